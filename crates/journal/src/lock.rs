//! One writer per directory: an advisory lock that the kernel releases when the process dies.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::JournalError;

const LOCK_FILE: &str = "writer.lock";
/// Longest decimal pid, with room to spare.
const MAX_PID_TEXT_BYTES: usize = 16;

/// Holds the writer's lock of one directory until dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    path: PathBuf,
}

/// Takes the writer's lock of `dir` at once or refuses.
///
/// # Errors
/// `Locked { pid }` when any other handle, in this process or another, holds it; `Io` when the file cannot be made.
pub fn lock(dir: &Path) -> Result<DirectoryLock, JournalError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| JournalError::from_io("open", &path, &e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(JournalError::Locked { pid: holder(&file) }),
        Err(e) => return Err(JournalError::from_errno("flock", &path, e.raw_os_error(), 0)),
    }
    let text = format!("{}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
    match written {
        // The pid is only for the message of the one who is refused: a full disk must not prevent recovery.
        Err(e) if e.raw_os_error() != Some(rustix::io::Errno::NOSPC.raw_os_error()) => {
            Err(JournalError::from_io("write", &path, &e))
        }
        _ => Ok(DirectoryLock { file, path }),
    }
}

fn holder(file: &File) -> Option<u32> {
    let mut buffer = [0u8; MAX_PID_TEXT_BYTES];
    let length = file.read_at(&mut buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..length]).ok()?.trim().parse().ok()
}

impl DirectoryLock {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing releases the lock as well; doing it here keeps a descriptor inherited by a child from holding it.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}
