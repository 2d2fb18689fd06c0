//! Every operation of this crate that changes the disk goes through here: typed errors and fault injection.

use std::fs::{File, OpenOptions};
use std::io::IoSlice;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::error::JournalError;
#[cfg(feature = "faults")]
use crate::faults::{self, Op};

type Outcome<T> = Result<T, JournalError>;

/// Zeros are written in steps of this size where the file system cannot preallocate.
pub const ZERO_STEP_BYTES: usize = 4 << 20;
/// Linux takes at most this many buffers in one vectored write.
const MAX_VECTORED_PARTS: usize = 1024;
/// Files may hold orders and balances: readable by the owner only.
const FILE_MODE: u32 = 0o600;

#[cfg(not(feature = "faults"))]
macro_rules! fault_point {
    ($op:ident, $name:expr, $path:expr) => {};
}
#[cfg(feature = "faults")]
macro_rules! fault_point {
    ($op:ident, $name:expr, $path:expr) => {
        if let Some(verdict) = faults::verdict(Op::$op, $path) {
            return Err(fail(verdict, $name, $path));
        }
    };
}

#[cfg(feature = "faults")]
fn fail(verdict: faults::Verdict, op: &'static str, path: &Path) -> JournalError {
    if verdict.abort {
        std::process::abort();
    }
    JournalError::from_errno(op, path, verdict.errno, 0)
}

fn errno_error(op: &'static str, path: &Path, errno: rustix::io::Errno, needed_bytes: u64) -> JournalError {
    JournalError::from_errno(op, path, errno.raw_os_error(), needed_bytes)
}

/// Creates a file for reading and writing; an older one of the same name is emptied.
pub fn create(path: &Path) -> Outcome<File> {
    fault_point!(Create, "create", path);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|e| JournalError::from_io("create", path, &e))
}

pub fn open_for_writing(path: &Path) -> Outcome<File> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|e| JournalError::from_io("open", path, &e))
}

pub fn open_for_reading(path: &Path) -> Outcome<File> {
    File::open(path).map_err(|e| JournalError::from_io("open", path, &e))
}

pub fn length(file: &File, path: &Path) -> Outcome<u64> {
    file.metadata().map(|m| m.len()).map_err(|e| JournalError::from_io("stat", path, &e))
}

/// Reads until the buffer is full or the file ends; returns the number of bytes read.
pub fn read_at(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(JournalError::from_io("read", path, &e)),
        }
    }
    Ok(filled)
}

/// Writes all parts one after the other, without joining them in memory first.
pub fn write_all_at(file: &File, path: &Path, parts: &[&[u8]], offset: u64) -> Outcome<()> {
    #[cfg(feature = "faults")]
    if let Some(verdict) = faults::verdict(Op::Write, path) {
        write_prefix(file, path, parts, offset, verdict.bytes)?;
        return Err(fail(verdict, "write", path));
    }
    write_parts(file, path, parts, offset)
}

#[cfg(feature = "faults")]
fn write_prefix(file: &File, path: &Path, parts: &[&[u8]], offset: u64, bytes: u64) -> Outcome<()> {
    let mut left = bytes as usize;
    let cut = |part: &&'_ [u8]| -> usize {
        let length = part.len().min(left);
        left -= length;
        length
    };
    let lengths: Vec<usize> = parts.iter().map(cut).collect();
    let prefix: Vec<&[u8]> = parts.iter().zip(lengths).map(|(part, length)| &part[..length]).collect();
    write_parts(file, path, &prefix, offset)
}

fn write_parts(file: &File, path: &Path, parts: &[&[u8]], offset: u64) -> Outcome<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let total_bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
    let mut rest = &mut slices[..];
    let mut written_bytes = 0;
    while written_bytes < total_bytes {
        let batch = &rest[..rest.len().min(MAX_VECTORED_PARTS)];
        match rustix::io::pwritev(file, batch, offset + written_bytes) {
            // A write that takes nothing and reports no error would loop for ever: treat it as a full disk.
            Ok(0) => {
                let errno = rustix::io::Errno::NOSPC;
                return Err(errno_error("write", path, errno, total_bytes - written_bytes));
            }
            Ok(n) => {
                written_bytes += n as u64;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(errno_error("write", path, e, total_bytes - written_bytes)),
        }
    }
    Ok(())
}

/// Overwrites a range with zeros, in bounded steps.
pub fn write_zeros(file: &File, path: &Path, from: u64, to: u64) -> Outcome<()> {
    let step = (to.saturating_sub(from)).min(ZERO_STEP_BYTES as u64) as usize;
    let zeros = vec![0u8; step];
    let mut at = from;
    while at < to {
        let length = ((to - at) as usize).min(step);
        write_all_at(file, path, &[&zeros[..length]], at)?;
        at += length as u64;
    }
    Ok(())
}

/// Gives the file its space on disk now, so that no later write into it can find the disk full.
pub fn allocate(file: &File, path: &Path, bytes: u64) -> Outcome<()> {
    fault_point!(Allocate, "allocate", path);
    let current_bytes = length(file, path)?;
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            write_zeros(file, path, current_bytes, bytes)
        }
        Err(e) => Err(errno_error("allocate", path, e, bytes)),
    }
}

pub fn truncate(file: &File, path: &Path, bytes: u64) -> Outcome<()> {
    fault_point!(Truncate, "truncate", path);
    rustix::fs::ftruncate(file, bytes).map_err(|e| errno_error("truncate", path, e, bytes))
}

/// `fdatasync`: contents and size are on disk afterwards. After an error the descriptor must not be used again.
pub fn sync_data(file: &File, path: &Path) -> Outcome<()> {
    fault_point!(SyncData, "fdatasync", path);
    rustix::fs::fdatasync(file).map_err(|e| errno_error("fdatasync", path, e, 0))
}

/// Makes creations, renames and removals in `dir` durable.
pub fn sync_dir(dir: &Path) -> Outcome<()> {
    fault_point!(SyncDir, "fsync directory", dir);
    let handle = open_for_reading(dir)?;
    rustix::fs::fsync(&handle).map_err(|e| errno_error("fsync directory", dir, e, 0))
}

pub fn rename(from: &Path, to: &Path) -> Outcome<()> {
    fault_point!(Rename, "rename", to);
    std::fs::rename(from, to).map_err(|e| JournalError::from_io("rename", to, &e))
}

/// Removes a file; one that is already gone is no error.
pub fn remove(path: &Path) -> Outcome<()> {
    fault_point!(Remove, "remove", path);
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(JournalError::from_io("remove", path, &e)),
        _ => Ok(()),
    }
}

/// Writes a small file completely or not at all: temporary name, sync, rename, directory sync.
pub fn write_file_atomically(path: &Path, parts: &[&[u8]]) -> Outcome<()> {
    let temporary = path.with_extension("tmp");
    let written = create(&temporary).and_then(|file| {
        write_all_at(&file, &temporary, parts, 0)?;
        sync_data(&file, &temporary)
    });
    if let Err(error) = written {
        // Best effort: the temporary file is ignored by every reader and replaced by the next attempt.
        let _ = remove(&temporary);
        return Err(error);
    }
    rename(&temporary, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Forgets the clean cached pages of a range (`bytes` 0 means to the end), so that the next read shows what is on disk.
pub fn drop_cache(file: &File, offset: u64, bytes: u64) {
    // A hint only: where it is not supported the read shows the page cache, as any read does.
    let length = std::num::NonZeroU64::new(bytes);
    let _ = rustix::fs::fadvise(file, offset, length, rustix::fs::Advice::DontNeed);
}

/// Free bytes an ordinary user may still allocate in the file system of `dir`.
pub fn free_bytes(dir: &Path) -> Outcome<u64> {
    let stat = rustix::fs::statvfs(dir).map_err(|e| errno_error("statvfs", dir, e, 0))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
