//! Checking a whole journal without opening it for writing.

use std::path::Path;

use crate::error::JournalError;
use crate::log::{self, TornTail};
use crate::merkle::Hash;

/// A log without damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    pub blocks: u64,
    pub first_seq: Option<u64>,
    pub last_seq: Option<u64>,
    /// Bytes of all blocks, headers and padding included.
    pub bytes: u64,
    pub head_hash: Hash,
    pub segments: u64,
    /// Bytes after the last good block: a block that was never whole, or one that a writer is writing just now.
    pub torn_tail: Option<TornTail>,
    /// The Merkle root over all blocks that may be compared with a published one.
    pub root: Hash,
}

/// Reads and checks everything: both checksums, hash and chain of each block, every footer and Merkle hash.
/// Changes nothing and takes no lock. `progress(bytes_done, bytes_total)` is called about once per MiB.
///
/// # Errors
/// `Corrupt` names the first damaged block with segment, offset, sequence and cause; `NotAJournal`; `Io`.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport, JournalError> {
    let scan = log::scan_log(dir, progress)?;
    Ok(VerifyReport {
        blocks: scan.cursor.next_block,
        first_seq: scan.first_seq,
        last_seq: scan.cursor.last_seq,
        bytes: scan.block_bytes,
        head_hash: scan.cursor.prev_hash,
        segments: scan.segments,
        torn_tail: scan.torn_tail(),
        root: scan.frontier.root(),
    })
}
