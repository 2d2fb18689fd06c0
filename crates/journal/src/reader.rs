//! Reading the log in order, from any process, also while one writes.

use std::path::{Path, PathBuf};

use crate::error::{Cause, JournalError};
use crate::format::{BlockHeader, ALIGNMENT_BYTES, BLOCK_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use crate::log::open_next;
use crate::merkle::Hash;
use crate::scan::{self, at_cursor, Cursor, Step, Window, TAIL_READ_BYTES};
use crate::segment::{self, damage, Segment, SegmentName};

/// One block, checked. The payload is borrowed from the reader until its next call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    pub block: u64,
    pub shard: u16,
    pub epoch: u64,
    pub format: u16,
    pub first_seq: u64,
    pub count: u32,
    pub rule_version: u32,
    /// Nanoseconds since the Unix epoch, UTC.
    pub time_ns: i64,
    pub prev_hash: Hash,
    pub hash: Hash,
    /// Offset of the block in its segment.
    pub offset: u64,
    /// The 96 header bytes as they stand on disk: `hash = BLAKE3(header_bytes || payload)`.
    pub header_bytes: &'a [u8],
    pub payload: &'a [u8],
}

impl Block<'_> {
    pub fn last_seq(&self) -> u64 {
        self.first_seq + (u64::from(self.count) - 1)
    }
}

/// Reads blocks in order and checks each (both checksums, hash, chain). Takes no lock.
///
/// Behind a running writer it also shows blocks which are not synced yet; `set_upper_block` holds it back to what the
/// writer's head calls durable.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    genesis_hash: Hash,
    segment: Segment,
    window: Window,
    cursor: Cursor,
    offset: u64,
    upper_block: Option<u64>,
    /// The bytes behind the tail of this segment were once seen to hold no block.
    tail_checked: bool,
}

struct Found {
    header: BlockHeader,
    hash: Hash,
    offset: u64,
}

impl Reader {
    /// Stands before block `from_block`, which may be the one that is written next.
    ///
    /// # Errors
    /// `BlockNotFound` beyond the end, `NotAJournal`, `Corrupt`, `Io`.
    pub fn open(dir: &Path, from_block: u64) -> Result<Self, JournalError> {
        let mut reader = Self::at_segment(dir, |header_block, _| header_block <= from_block)?;
        while reader.cursor.next_block < from_block {
            if reader.advance()?.is_none() {
                let blocks = reader.cursor.next_block;
                return Err(JournalError::BlockNotFound { block: from_block, blocks });
            }
        }
        Ok(reader)
    }

    /// Stands before the block that holds `seq`; `seq` may be the one that is written next.
    ///
    /// # Errors
    /// `SequenceNotFound` beyond the end or before the first sequence, `NotAJournal`, `Corrupt`, `Io`.
    pub fn open_at_seq(dir: &Path, seq: u64) -> Result<Self, JournalError> {
        let mut reader = Self::at_segment(dir, |_, header_seq| header_seq <= seq)?;
        loop {
            let cursor = reader.cursor.clone();
            let Some(found) = reader.advance()? else {
                if seq == reader.cursor.next_seq() {
                    return Ok(reader);
                }
                return Err(JournalError::SequenceNotFound { seq, last_seq: reader.cursor.last_seq });
            };
            if seq < found.header.first_seq {
                return Err(JournalError::SequenceNotFound { seq, last_seq: None });
            }
            if seq <= found.header.last_seq() {
                // Back before this block: the block and its offset are in the segment where the reader now stands.
                reader.cursor = cursor;
                reader.offset = found.offset;
                return Ok(reader);
            }
        }
    }

    /// The last segment whose header (first block, first sequence) satisfies `before`.
    fn at_segment(dir: &Path, before: impl Fn(u64, u64) -> bool) -> Result<Self, JournalError> {
        let genesis_hash = segment::read_genesis_hash(dir)?;
        let names = segment::list(dir)?;
        let Some(first_name) = names.first() else {
            return Err(damage(&SegmentName::new(0, 0), 0, 0, 0, Cause::MissingSegment));
        };
        let mut chosen = Segment::open(dir, first_name)?;
        let (mut low, mut high) = (1, names.len());
        while low < high {
            let middle = (low + high) / 2;
            let candidate = Segment::open(dir, &names[middle])?;
            if before(candidate.header.first_block, candidate.header.first_seq) {
                chosen = candidate;
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if chosen.header.genesis_hash != genesis_hash {
            let first_seq = chosen.header.first_seq;
            return Err(damage(&chosen.name, chosen.header.first_block, first_seq, 0, Cause::Genesis));
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            genesis_hash,
            cursor: Cursor::at_start_of(&chosen.header),
            segment: chosen,
            window: Window::default(),
            offset: SEGMENT_HEADER_BYTES as u64,
            upper_block: None,
            tail_checked: false,
        })
    }

    /// The next block, or None at the end of what is written so far; ask again later to follow a writer.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are no block although a valid one follows, or break the chain; `Io`.
    #[allow(clippy::should_implement_trait)] // Lends the payload, which Iterator cannot.
    pub fn next(&mut self) -> Result<Option<Block<'_>>, JournalError> {
        let Some(found) = self.advance()? else { return Ok(None) };
        let Found { header, hash, offset } = found;
        let length = BLOCK_HEADER_BYTES + header.payload_bytes as usize;
        let (header_bytes, payload) = self.window.held(offset, length).split_at(BLOCK_HEADER_BYTES);
        Ok(Some(Block {
            block: header.block,
            shard: header.shard,
            epoch: header.epoch,
            format: header.format,
            first_seq: header.first_seq,
            count: header.count,
            rule_version: header.rule_version,
            time_ns: header.time_ns,
            prev_hash: header.prev_hash,
            hash,
            offset,
            header_bytes,
            payload,
        }))
    }

    /// The next call stops before this block number; None reads everything that is written.
    pub fn set_upper_block(&mut self, upper_block: Option<u64>) {
        self.upper_block = upper_block;
    }

    /// Number of the block that `next` returns next.
    pub fn next_block(&self) -> u64 {
        self.cursor.next_block
    }

    /// Hash of the block before, the genesis hash at the start.
    pub fn head_hash(&self) -> Hash {
        self.cursor.prev_hash
    }

    /// Last sequence read or skipped so far, None at the start of the log.
    pub fn last_seq(&self) -> Option<u64> {
        self.cursor.last_seq
    }

    /// File name of the segment in which the reader stands.
    pub fn segment_name(&self) -> &str {
        &self.segment.name.file_name
    }

    /// The genesis bytes with which the journal was created.
    pub fn genesis(dir: &Path) -> Result<Vec<u8>, JournalError> {
        segment::read_genesis(dir)
    }

    fn advance(&mut self) -> Result<Option<Found>, JournalError> {
        loop {
            if self.upper_block.is_some_and(|upper| self.cursor.next_block >= upper) {
                return Ok(None);
            }
            let offset = self.offset;
            let (cause, resume_at) = match scan::step(&mut self.window, &self.segment, offset, &self.cursor)?
            {
                Step::Block { header, hash } => {
                    self.cursor.advance(&header, hash);
                    self.offset += header.total_bytes();
                    self.window.reading_far_ahead();
                    return Ok(Some(Found { header, hash, offset }));
                }
                Step::Footer(_) => match self.enter_next_segment()? {
                    true => continue,
                    false => return Ok(None),
                },
                Step::OutOfChain(cause) => {
                    return Err(at_cursor(&self.segment, &self.cursor, offset, cause));
                }
                Step::End if self.tail_checked => return Ok(None),
                Step::End => (Cause::Wiped, offset + ALIGNMENT_BYTES),
                Step::Invalid { cause, resume_at } => (cause, resume_at),
            };
            if !self.meanwhile_written(cause, resume_at)? {
                self.tail_checked = true;
                self.window.clear();
                self.window.read_ahead_bytes = TAIL_READ_BYTES;
                return Ok(None);
            }
        }
    }

    /// Tells the end of the log from damage: true when the writer has completed the block by now, false at the end.
    fn meanwhile_written(&mut self, cause: Cause, resume_at: u64) -> Result<bool, JournalError> {
        let offset = self.offset;
        let first_seq = self.segment.header.first_seq;
        let superseded = segment::list(&self.dir)?.iter().any(|name| name.first_seq > first_seq);
        let facts = scan::examine_tail(&self.segment, offset, resume_at, &self.cursor)?;
        if !superseded && facts.later_valid_offset.is_none() {
            return Ok(false);
        }
        if scan::recheck(&mut self.window, &self.segment, offset, &self.cursor)? {
            return Ok(true);
        }
        let cause = match facts.later_valid_offset {
            Some(later_offset) => Cause::FollowedByValidBlock { cause: Box::new(cause), later_offset },
            None if cause == Cause::Wiped => Cause::NotSealed,
            None => cause,
        };
        Err(at_cursor(&self.segment, &self.cursor, offset, cause))
    }

    fn enter_next_segment(&mut self) -> Result<bool, JournalError> {
        let name = SegmentName::new(self.cursor.shard, self.cursor.next_seq());
        if !self.dir.join(&name.file_name).exists() {
            let first_seq = self.segment.header.first_seq;
            let skipped = segment::list(&self.dir)?.into_iter().find(|later| later.first_seq > first_seq);
            return match skipped {
                // The writer may have published it between the two looks.
                Some(later) if later == name => Ok(true),
                Some(later) => {
                    let (block, seq) = (self.cursor.next_block, self.cursor.next_seq());
                    Err(damage(&later, block, seq, 0, Cause::MissingSegment))
                }
                None => Ok(false),
            };
        }
        self.segment = open_next(&self.dir, &name, &self.cursor, &self.genesis_hash)?;
        self.window = Window::default();
        self.offset = SEGMENT_HEADER_BYTES as u64;
        self.tail_checked = false;
        Ok(true)
    }
}
