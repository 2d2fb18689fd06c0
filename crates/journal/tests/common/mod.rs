//! Small logs for tests.
#![allow(dead_code)] // Each test file uses its own part.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tradewind_journal::{BlockMeta, Journal, JournalError, JournalOptions, Reader};

pub const GENESIS: &[u8] = b"genesis of the tests";
pub const TIME_NS: i64 = 1_700_000_000_000_000_000;

pub fn small_options() -> JournalOptions {
    JournalOptions { segment_bytes: 4096, max_payload_bytes: 1 << 20, ..JournalOptions::default() }
}

pub fn growing_options() -> JournalOptions {
    JournalOptions { preallocate: false, ..small_options() }
}

pub fn directory() -> TempDir {
    tempfile::tempdir().expect("temporary directory")
}

/// Payload of block `number`: different for each block, `bytes` long.
pub fn payload(number: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (number as usize * 37 + i * 11 + 1) as u8).collect()
}

/// Appends the next block of one record.
pub fn append_one(journal: &mut Journal, bytes: usize) -> Result<u64, JournalError> {
    let block = journal.head().block;
    let meta = BlockMeta::new(block + 1, 1, TIME_NS + block as i64);
    journal.append(meta, &[&payload(block, bytes)]).map(|placed| placed.last_seq)
}

pub fn append_synced(journal: &mut Journal, bytes: usize) -> Result<u64, JournalError> {
    let seq = append_one(journal, bytes)?;
    journal.sync().map(|()| seq)
}

pub fn append_many(journal: &mut Journal, blocks: u64, bytes: usize) {
    for _ in 0..blocks {
        append_synced(journal, bytes).expect("append");
    }
}

/// A closed log with `sealed` blocks in its first segment and `open` blocks in the second.
pub fn two_segments(dir: &Path, options: JournalOptions, sealed: u64, open: u64) {
    let mut journal = Journal::create(dir, GENESIS, options).expect("create");
    append_many(&mut journal, sealed, 40);
    journal.rotate().expect("rotate");
    append_many(&mut journal, open, 40);
    journal.close().expect("close");
}

pub fn segment_paths(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("read directory");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "twj"));
    paths.sort();
    paths
}

/// Bytes of one block with this payload on disk.
pub fn block_bytes(payload_bytes: usize) -> usize {
    (96 + payload_bytes + 32).div_ceil(64) * 64
}

/// Payloads of all blocks from the start.
pub fn read_all(dir: &Path) -> Result<Vec<Vec<u8>>, JournalError> {
    let mut reader = Reader::open(dir, 0)?;
    let mut payloads = Vec::new();
    while let Some(block) = reader.next()? {
        payloads.push(block.payload.to_vec());
    }
    Ok(payloads)
}

/// Blocks 0..count hold what `append_one` wrote.
pub fn assert_blocks(dir: &Path, count: u64, bytes: usize) {
    let payloads = read_all(dir).expect("readable log");
    assert_eq!(payloads.len() as u64, count);
    payloads.iter().enumerate().for_each(|(number, found)| assert_eq!(*found, payload(number as u64, bytes)));
}

pub fn flip(path: &Path, bit: usize) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("open");
    let mut byte = [0u8];
    file.read_exact_at(&mut byte, bit as u64 / 8).expect("read");
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit as u64 / 8).expect("write");
}
