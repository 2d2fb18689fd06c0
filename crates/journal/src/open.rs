//! Creating and opening a journal: recovery of the tail after a crash.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::disk;
use crate::error::{Cause, JournalError};
use crate::format::{self, SegmentHeader, SEGMENT_HEADER_BYTES};
use crate::lock::lock;
use crate::log::{self, LogScan, TornTail};
use crate::merkle::{Frontier, Hash};
use crate::scan::{Cursor, Step, TornBytes, Window};
use crate::segment::{self, damage, Segment, SegmentName, MAX_GENESIS_BYTES};
use crate::writer::{
    hold_reserve, prepare_segment, publish_segment, ActiveSegment, Journal, JournalOptions, Position,
};

/// What `Journal::open` found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    pub blocks: u64,
    pub first_seq: Option<u64>,
    pub last_seq: Option<u64>,
    pub head_hash: Hash,
    pub segments: u64,
    /// Bytes of all blocks, headers and padding included.
    pub bytes: u64,
    /// The torn tail that was cut, if there was one.
    pub torn_tail: Option<TornTail>,
    /// Copy of the bytes that were cut; None without torn tail or when the copy could not be written.
    pub quarantine: Option<PathBuf>,
    /// False when no reserve is configured or the disk is too full for it.
    pub reserve_held: bool,
}

impl Journal {
    /// Starts a new journal in `dir`, which is made when missing.
    ///
    /// # Errors
    /// `AlreadyExists`, `Locked`, `InvalidOption`, `PayloadTooLarge` (genesis above 64 MiB), `NoSpace`, `Io`.
    pub fn create(dir: &Path, genesis: &[u8], options: JournalOptions) -> Result<Journal, JournalError> {
        options.check()?;
        if genesis.len() as u64 > MAX_GENESIS_BYTES {
            let bytes = genesis.len() as u64;
            return Err(JournalError::PayloadTooLarge { bytes, max_bytes: MAX_GENESIS_BYTES });
        }
        std::fs::create_dir_all(dir).map_err(|e| JournalError::from_io("create directory", dir, &e))?;
        let directory_lock = lock(dir)?;
        clear_unfinished_creation(dir)?;
        if !hold_reserve(dir, options.reserve_bytes)? && options.reserve_bytes > 0 {
            let path = dir.to_path_buf();
            return Err(JournalError::NoSpace { op: "reserve", path, needed_bytes: options.reserve_bytes });
        }
        let genesis_hash = format::genesis_hash(genesis);
        let header = SegmentHeader {
            shard: options.shard,
            capacity_bytes: options.segment_bytes,
            first_block: 0,
            first_seq: 0,
            prev_hash: genesis_hash,
            genesis_hash,
        };
        let name = SegmentName::new(options.shard, 0);
        let prepared = prepare_segment(dir, &name, &header, options.preallocate)?;
        let active = publish_segment(dir, prepared)?;
        // The genesis file comes last: where it exists, the journal is complete.
        disk::write_file_atomically(&segment::genesis_path(dir), &[genesis])?;
        let start = Position { block: 0, last_seq: None, hash: genesis_hash };
        Ok(Journal {
            dir: dir.to_path_buf(),
            options,
            genesis_hash,
            active,
            head: start.clone(),
            durable: start,
            log: Frontier::default(),
            epoch: 0,
            fenced: false,
            _lock: directory_lock,
        })
    }

    /// Opens an existing journal for writing: checks every block, cuts and reports a torn tail, and makes what it
    /// found durable before it returns.
    ///
    /// # Errors
    /// `Locked`, `NotAJournal`, `WrongShard`, `Corrupt` (damage that is no torn tail), `NoSpace`, `Io`.
    pub fn open(dir: &Path, options: JournalOptions) -> Result<(Journal, OpenReport), JournalError> {
        options.check()?;
        if !segment::genesis_path(dir).exists() {
            return Err(JournalError::NotAJournal { dir: dir.to_path_buf() });
        }
        let directory_lock = lock(dir)?;
        remove_temporary_files(dir)?;
        refresh_last_segment(dir)?;
        let scan = log::scan_log(dir, &mut |_, _| {})?;
        let found = scan.last.name.shard;
        if found != options.shard {
            return Err(JournalError::WrongShard { dir: dir.to_path_buf(), expected: options.shard, found });
        }
        let quarantine = match &scan.last_scan.torn {
            Some(torn) => cut_torn_tail(&scan.last, torn)?,
            None => None,
        };
        let report = OpenReport {
            blocks: scan.cursor.next_block,
            first_seq: scan.first_seq,
            last_seq: scan.cursor.last_seq,
            head_hash: scan.cursor.prev_hash,
            segments: scan.segments,
            bytes: scan.block_bytes,
            torn_tail: scan.torn_tail(),
            quarantine,
            reserve_held: hold_reserve(dir, options.reserve_bytes)?,
        };
        let position = Position {
            block: scan.cursor.next_block,
            last_seq: scan.cursor.last_seq,
            hash: scan.cursor.prev_hash,
        };
        let (genesis_hash, log, epoch) = (scan.genesis_hash, scan.frontier.clone(), scan.cursor.epoch);
        let active = resume(dir, scan, &options)?;
        let journal = Journal {
            dir: dir.to_path_buf(),
            options,
            genesis_hash,
            active,
            head: position.clone(),
            durable: position,
            log,
            epoch,
            fenced: false,
            _lock: directory_lock,
        };
        Ok((journal, report))
    }
}

/// Removes what a creation left behind that died before its genesis file was in place.
fn clear_unfinished_creation(dir: &Path) -> Result<(), JournalError> {
    if segment::genesis_path(dir).exists() {
        return Err(JournalError::AlreadyExists { dir: dir.to_path_buf() });
    }
    let names = segment::list(dir)?;
    for name in &names {
        let lost = || damage(name, 0, 0, 0, Cause::GenesisMissing);
        let opened = Segment::open(dir, name).map_err(|_| lost())?;
        let cursor = Cursor::at_start_of(&opened.header);
        let offset = SEGMENT_HEADER_BYTES as u64;
        let first = crate::scan::step(&mut Window::default(), &opened, offset, &cursor)?;
        if opened.header.first_block != 0 || !matches!(first, Step::End) {
            return Err(lost());
        }
    }
    names.iter().try_for_each(|name| disk::remove(&dir.join(&name.file_name)))?;
    remove_temporary_files(dir)
}

fn remove_temporary_files(dir: &Path) -> Result<(), JournalError> {
    let entries = std::fs::read_dir(dir).map_err(|e| JournalError::from_io("read directory", dir, &e))?;
    for entry in entries {
        let path = entry.map_err(|e| JournalError::from_io("read directory", dir, &e))?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            disk::remove(&path)?;
        }
    }
    Ok(())
}

/// Blocks written before a crash of the process may still be in memory only, and pages whose sync failed may differ
/// from the disk: sync, then forget the cache, so that what is read below is what is on disk.
fn refresh_last_segment(dir: &Path) -> Result<(), JournalError> {
    let Some(name) = segment::list(dir)?.pop() else { return Ok(()) };
    let path = dir.join(&name.file_name);
    let file = disk::open_for_writing(&path)?;
    disk::sync_data(&file, &path)?;
    disk::drop_cache(&file, 0, 0);
    disk::sync_dir(dir)
}

/// Overwrites the torn bytes with zeros after keeping a copy of them.
fn cut_torn_tail(last: &Segment, torn: &TornBytes) -> Result<Option<PathBuf>, JournalError> {
    let quarantine = quarantine_bytes(last, torn);
    let file = disk::open_for_writing(&last.path)?;
    disk::write_zeros(&file, &last.path, torn.offset, torn.end_offset)?;
    disk::sync_data(&file, &last.path)?;
    Ok(quarantine.ok())
}

fn quarantine_bytes(last: &Segment, torn: &TornBytes) -> Result<PathBuf, JournalError> {
    let path = last.path.with_extension(format!("torn-{}", torn.offset));
    let mut bytes = vec![0u8; (torn.end_offset - torn.offset) as usize];
    disk::read_at(&last.file, &last.path, &mut bytes, torn.offset)?;
    let copy = disk::create(&path)?;
    disk::write_all_at(&copy, &path, &[&bytes], 0)?;
    disk::sync_data(&copy, &path)?;
    Ok(path)
}

/// Takes the last segment up where it ends, or starts the next one when it is sealed.
fn resume(dir: &Path, scan: LogScan, options: &JournalOptions) -> Result<ActiveSegment, JournalError> {
    let path = scan.last.path.clone();
    let file = disk::open_for_writing(&path)?;
    if let Some(footer) = &scan.last_scan.footer {
        if disk::length(&file, &path)? > footer.end_offset() {
            disk::truncate(&file, &path, footer.end_offset())?;
            disk::sync_data(&file, &path)?;
        }
        return start_next(dir, &scan, options);
    }
    let capacity_bytes = scan.last.header.capacity_bytes.max(scan.last_scan.data_end);
    resize(&file, &path, options, capacity_bytes, scan.last_scan.data_end)?;
    Ok(ActiveSegment {
        file,
        path,
        name: scan.last.name,
        capacity_bytes,
        first_block: scan.last.header.first_block,
        offset: scan.last_scan.data_end,
        zeroed_to: scan.last_scan.data_end,
        uncached_to: scan.last_scan.data_end,
        entries: scan.last_scan.entries,
        frontier: scan.last_scan.frontier,
        opened: Instant::now(),
    })
}

fn start_next(dir: &Path, scan: &LogScan, options: &JournalOptions) -> Result<ActiveSegment, JournalError> {
    let header = SegmentHeader {
        shard: options.shard,
        capacity_bytes: options.segment_bytes,
        first_block: scan.cursor.next_block,
        first_seq: scan.cursor.next_seq(),
        prev_hash: scan.cursor.prev_hash,
        genesis_hash: scan.genesis_hash,
    };
    let name = SegmentName::new(options.shard, header.first_seq);
    let prepared = prepare_segment(dir, &name, &header, options.preallocate)?;
    publish_segment(dir, prepared)
}

/// Gives a file that was cut short its full size back.
fn resize(
    file: &File,
    path: &Path,
    options: &JournalOptions,
    capacity_bytes: u64,
    data_end: u64,
) -> Result<(), JournalError> {
    let file_bytes = disk::length(file, path)?;
    if options.preallocate && file_bytes < capacity_bytes {
        disk::allocate(file, path, capacity_bytes)?;
        disk::sync_data(file, path)?;
    } else if !options.preallocate && file_bytes > data_end {
        disk::truncate(file, path, data_end)?;
        disk::sync_data(file, path)?;
    }
    Ok(())
}
