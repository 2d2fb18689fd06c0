//! Walking the whole log: the common part of opening and verifying.

use std::path::Path;

use crate::disk;
use crate::error::{Cause, JournalError};
use crate::merkle::{Frontier, Hash};
use crate::scan::{self, at_cursor, Cursor, SegmentScan};
use crate::segment::{self, damage, Segment, SegmentName};
use crate::snapshot::{self, SnapshotFile};

/// Invalid bytes after the last good block: cut when the writer opens the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    pub segment: String,
    /// Number of the block that is not whole.
    pub block: u64,
    pub offset: u64,
    /// Bytes from `offset` to the last byte that is not zero.
    pub bytes: u64,
    pub cause: Cause,
}

/// The whole log, checked.
#[derive(Debug)]
pub struct LogScan {
    pub cursor: Cursor,
    pub first_seq: Option<u64>,
    pub segments: u64,
    /// Bytes of all blocks, headers and padding included.
    pub block_bytes: u64,
    pub frontier: Frontier,
    pub genesis_hash: Hash,
    pub last: Segment,
    pub last_scan: SegmentScan,
}

impl LogScan {
    pub fn torn_tail(&self) -> Option<TornTail> {
        self.last_scan.torn.as_ref().map(|torn| TornTail {
            segment: self.last.name.file_name.clone(),
            block: self.cursor.next_block,
            offset: torn.offset,
            bytes: torn.end_offset - torn.offset,
            cause: torn.cause.clone(),
        })
    }
}

/// Opens a segment and checks that it goes on where the log stands.
///
/// # Errors
/// `Corrupt` when the header is damaged or does not continue the log; `Io`.
pub fn open_next(
    dir: &Path,
    name: &SegmentName,
    cursor: &Cursor,
    genesis_hash: &Hash,
) -> Result<Segment, JournalError> {
    let refuse = |cause| damage(name, cursor.next_block, cursor.next_seq(), 0, cause);
    let opened = Segment::open(dir, name).map_err(|error| match error {
        // The place is known here and not there: name the block with which this segment should begin.
        JournalError::Corrupt { cause, .. } => refuse(cause),
        other => other,
    })?;
    cursor.check_segment(&opened.header, genesis_hash).map_err(refuse)?;
    Ok(opened)
}

/// Walks and checks every segment. `progress(done_bytes, total_bytes)` is called about once per MiB.
///
/// # Errors
/// `NotAJournal`, `Corrupt` naming the first damage, `Io`.
pub fn scan_log(dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<LogScan, JournalError> {
    // Before the blocks: a writer may add blocks and a snapshot of them meanwhile.
    let snapshots = snapshot::list(dir)?;
    let genesis_hash = segment::read_genesis_hash(dir)?;
    let names = segment::list(dir)?;
    let Some(first) = names.first() else {
        return Err(damage(&SegmentName::new(0, 0), 0, 0, 0, Cause::MissingSegment));
    };
    let mut meter = Meter::new(total_bytes(dir, &names)?, progress);
    let mut cursor =
        Cursor { shard: first.shard, next_block: 0, last_seq: None, prev_hash: genesis_hash, epoch: 0 };
    let mut frontier = Frontier::default();
    let (mut first_seq, mut block_bytes, mut last) = (None, 0, None);
    for (position, name) in names.iter().enumerate() {
        let opened = open_next(dir, name, &cursor, &genesis_hash)?;
        let is_last = position + 1 == names.len();
        let found =
            scan::scan_segment(&opened, &mut cursor, &mut frontier, is_last, &mut |bytes| meter.add(bytes))?;
        if found.entries.is_empty() && !is_last {
            return Err(at_cursor(&opened, &cursor, found.data_end, Cause::RecordCount));
        }
        first_seq = first_seq.or(found.first_block_seq);
        block_bytes += found.data_end - crate::format::SEGMENT_HEADER_BYTES as u64;
        last = Some((opened, found));
    }
    meter.finish();
    let (last, last_scan) = last.expect("at least one segment, checked above");
    refuse_lost_blocks(&snapshots, &last, &cursor, last_scan.data_end)?;
    let segments = names.len() as u64;
    Ok(LogScan { cursor, first_seq, segments, block_bytes, frontier, genesis_hash, last, last_scan })
}

/// A snapshot is written after its blocks are durable: one that is whole and newer than the end shows that blocks
/// are gone, which a torn tail alone cannot tell.
fn refuse_lost_blocks(
    snapshots: &[SnapshotFile],
    last: &Segment,
    cursor: &Cursor,
    end_offset: u64,
) -> Result<(), JournalError> {
    for file in snapshots.iter().filter(|file| cursor.last_seq.is_none_or(|last_seq| file.seq > last_seq)) {
        match snapshot::load(&file.path) {
            Ok(_) => {
                let cause = Cause::EndsBeforeSnapshot { snapshot_seq: file.seq };
                return Err(at_cursor(last, cursor, end_offset, cause));
            }
            // A damaged snapshot proves nothing; whoever loads it reports it. One that is gone was replaced.
            Err(JournalError::InvalidSnapshot { .. }) => {}
            Err(_) if !file.path.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn total_bytes(dir: &Path, names: &[SegmentName]) -> Result<u64, JournalError> {
    let mut total = 0;
    for name in names {
        let path = dir.join(&name.file_name);
        total += disk::length(&disk::open_for_reading(&path)?, &path)?;
    }
    Ok(total)
}

const PROGRESS_STEP_BYTES: u64 = 1 << 20;

struct Meter<'a> {
    done_bytes: u64,
    reported_bytes: u64,
    total_bytes: u64,
    report: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Meter<'a> {
    fn new(total_bytes: u64, report: &'a mut dyn FnMut(u64, u64)) -> Self {
        Self { done_bytes: 0, reported_bytes: 0, total_bytes, report }
    }

    fn add(&mut self, bytes: u64) {
        self.done_bytes += bytes;
        if self.done_bytes - self.reported_bytes >= PROGRESS_STEP_BYTES {
            self.reported_bytes = self.done_bytes;
            (self.report)(self.done_bytes, self.total_bytes.max(self.done_bytes));
        }
    }

    fn finish(&mut self) {
        // Headers, footers and preallocated zeros are done too: the bar ends full.
        let total = self.total_bytes.max(self.done_bytes);
        (self.report)(total, total);
    }
}
