//! Walking a segment block by block, and deciding what the bytes after the last good block mean.

use crate::disk;
use crate::error::{Cause, JournalError};
use crate::format::{
    self, BlockHeader, Footer, IndexEntry, SegmentHeader, ALIGNMENT_BYTES, BLOCK_HEADER_BYTES, BLOCK_MAGIC,
    BLOCK_TRAILER_BYTES, FOOTER_HEADER_BYTES, FOOTER_MAGIC, SEGMENT_HEADER_BYTES,
};
use crate::merkle::{self, Frontier, Hash};
use crate::segment::{damage, Segment};

/// Read at once while walking; at the live tail only `TAIL_READ_BYTES`, since there is nothing behind it.
const READ_AHEAD_BYTES: usize = 2 << 20;
pub const TAIL_READ_BYTES: usize = 4096;
const TAIL_SCAN_STEP_BYTES: usize = 1 << 20;

/// What the next block must continue.
#[derive(Debug, Clone)]
pub struct Cursor {
    pub shard: u16,
    pub next_block: u64,
    /// None before the first block: the first sequence of a log is the writer's choice.
    pub last_seq: Option<u64>,
    pub prev_hash: Hash,
    pub epoch: u64,
}

impl Cursor {
    pub fn at_start_of(header: &SegmentHeader) -> Self {
        // A segment that is not the first begins right after the last sequence of the one before it.
        let last_seq = if header.first_block == 0 { None } else { header.first_seq.checked_sub(1) };
        Self {
            shard: header.shard,
            next_block: header.first_block,
            last_seq,
            prev_hash: header.prev_hash,
            epoch: 0,
        }
    }

    /// Sequence the next record must have; 0 in an empty log.
    pub fn next_seq(&self) -> u64 {
        self.last_seq.map_or(0, |seq| seq + 1)
    }

    pub fn check(&self, header: &BlockHeader) -> Result<(), Cause> {
        if header.shard != self.shard {
            return Err(Cause::WrongShard { expected: self.shard, found: header.shard });
        }
        if header.block != self.next_block {
            return Err(Cause::BlockNumberGap { expected: self.next_block, found: header.block });
        }
        if self.last_seq.is_some() && header.first_seq != self.next_seq() {
            return Err(Cause::SequenceGap { expected: self.next_seq(), found: header.first_seq });
        }
        if header.prev_hash != self.prev_hash {
            return Err(Cause::PreviousHash);
        }
        if header.epoch < self.epoch {
            return Err(Cause::EpochWentBack { previous: self.epoch, found: header.epoch });
        }
        Ok(())
    }

    pub fn advance(&mut self, header: &BlockHeader, hash: Hash) {
        self.next_block += 1;
        self.last_seq = Some(header.last_seq());
        self.prev_hash = hash;
        self.epoch = header.epoch;
    }

    /// Checks that a segment header continues the log at this cursor.
    pub fn check_segment(&self, header: &SegmentHeader, genesis_hash: &Hash) -> Result<(), Cause> {
        let differs = |field| Err(Cause::SegmentHeaderMismatch { field });
        if header.genesis_hash != *genesis_hash {
            return Err(Cause::Genesis);
        }
        if header.shard != self.shard {
            return differs("shard");
        }
        if header.first_block != self.next_block {
            return Err(Cause::MissingSegment);
        }
        if header.first_seq != self.next_seq() {
            return differs("first sequence");
        }
        if header.prev_hash != self.prev_hash {
            return differs("previous hash");
        }
        Ok(())
    }
}

/// A part of a segment file in memory, refilled as the walk goes on.
#[derive(Debug)]
pub struct Window {
    buffer: Vec<u8>,
    start: u64,
    length: usize,
    /// Nothing in the window was read before the current step began.
    fresh: bool,
    pub read_ahead_bytes: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { buffer: Vec::new(), start: 0, length: 0, fresh: false, read_ahead_bytes: READ_AHEAD_BYTES }
    }
}

impl Window {
    pub fn clear(&mut self) {
        self.length = 0;
    }

    pub fn reading_far_ahead(&mut self) {
        self.read_ahead_bytes = READ_AHEAD_BYTES;
    }

    /// Bytes that were read before; the range must lie inside the window.
    pub fn held(&self, offset: u64, length: usize) -> &[u8] {
        let at = (offset - self.start) as usize;
        &self.buffer[at..at + length]
    }

    /// `length` bytes at `offset`, fewer only where the file ends.
    fn bytes(&mut self, segment: &Segment, offset: u64, length: usize) -> Result<&[u8], JournalError> {
        let end = self.start + self.length as u64;
        if offset < self.start || offset + length as u64 > end {
            self.refill(segment, offset, length)?;
        }
        let at = (offset - self.start) as usize;
        Ok(&self.buffer[at..self.length.min(at + length)])
    }

    fn refill(&mut self, segment: &Segment, offset: u64, length: usize) -> Result<(), JournalError> {
        let end = self.start + self.length as u64;
        let mut carried = 0;
        if offset >= self.start && offset < end {
            let from = (offset - self.start) as usize;
            self.buffer.copy_within(from..self.length, 0);
            carried = self.length - from;
        }
        let file_bytes = disk::length(&segment.file, &segment.path)?;
        let left_bytes = usize::try_from(file_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = length.max(self.read_ahead_bytes.min(left_bytes)).max(carried);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let target = &mut self.buffer[carried..wanted];
        let read = disk::read_at(&segment.file, &segment.path, target, offset + carried as u64)?;
        self.start = offset;
        self.length = carried + read;
        self.fresh = carried == 0;
        Ok(())
    }
}

/// What stands at one offset of a segment.
#[derive(Debug)]
pub enum Step {
    Block {
        header: BlockHeader,
        hash: Hash,
    },
    Footer(Box<Footer>),
    /// Zeros or the end of the file.
    End,
    /// Not a whole block: torn if nothing valid follows. The search for a valid follower starts at `resume_at`.
    Invalid {
        cause: Cause,
        resume_at: u64,
    },
    /// A whole, checksummed block that does not continue the chain: never a torn tail.
    OutOfChain(Cause),
}

/// Examines the bytes at `offset`; bytes that look bad are read again from the file before they are called bad.
pub fn step(
    window: &mut Window,
    segment: &Segment,
    offset: u64,
    cursor: &Cursor,
) -> Result<Step, JournalError> {
    window.fresh = false;
    let found = examine(window, segment, offset, cursor)?;
    if window.fresh || matches!(found, Step::Block { .. } | Step::Footer(_)) {
        return Ok(found);
    }
    window.clear();
    examine(window, segment, offset, cursor)
}

fn examine(
    window: &mut Window,
    segment: &Segment,
    offset: u64,
    cursor: &Cursor,
) -> Result<Step, JournalError> {
    let bytes = window.bytes(segment, offset, BLOCK_HEADER_BYTES)?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Step::End);
    }
    if bytes.len() >= 4 && bytes[..4] == FOOTER_MAGIC {
        return examine_footer(window, segment, offset);
    }
    let resume_at = offset + ALIGNMENT_BYTES;
    if bytes.len() < BLOCK_HEADER_BYTES {
        let cause = short(BLOCK_HEADER_BYTES as u64, bytes.len());
        return Ok(Step::Invalid { cause, resume_at });
    }
    let header = match BlockHeader::decode(bytes) {
        Ok(header) => header,
        Err(cause) => return Ok(Step::Invalid { cause, resume_at }),
    };
    examine_block(window, segment, offset, cursor, header)
}

fn examine_block(
    window: &mut Window,
    segment: &Segment,
    offset: u64,
    cursor: &Cursor,
    header: BlockHeader,
) -> Result<Step, JournalError> {
    let total_bytes = header.total_bytes();
    let resume_at = offset + total_bytes;
    let file_bytes = disk::length(&segment.file, &segment.path)?;
    if resume_at > file_bytes {
        let cause = short(total_bytes, file_bytes.saturating_sub(offset) as usize);
        return Ok(Step::Invalid { cause, resume_at });
    }
    let bytes = window.bytes(segment, offset, total_bytes as usize)?;
    if (bytes.len() as u64) < total_bytes {
        let cause = short(total_bytes, bytes.len());
        return Ok(Step::Invalid { cause, resume_at });
    }
    let (hashed, rest) = bytes.split_at(BLOCK_HEADER_BYTES + header.payload_bytes as usize);
    let (trailer, padding) = rest.split_at(BLOCK_TRAILER_BYTES);
    let hash = *blake3::hash(hashed).as_bytes();
    let cause = if crc32c::crc32c(&hashed[BLOCK_HEADER_BYTES..]) != header.payload_crc {
        Cause::PayloadChecksum
    } else if hash != *trailer {
        Cause::TrailerHash
    } else if padding.iter().any(|byte| *byte != 0) {
        Cause::PaddingNotZero
    } else {
        return Ok(match cursor.check(&header) {
            Ok(()) => Step::Block { header, hash },
            Err(cause) => Step::OutOfChain(cause),
        });
    };
    Ok(Step::Invalid { cause, resume_at })
}

fn examine_footer(window: &mut Window, segment: &Segment, offset: u64) -> Result<Step, JournalError> {
    let invalid = Step::Invalid { cause: Cause::FooterDamaged, resume_at: offset + ALIGNMENT_BYTES };
    let Some(blocks) = Footer::declared_blocks(window.bytes(segment, offset, FOOTER_HEADER_BYTES)?) else {
        return Ok(invalid);
    };
    let footer_bytes = format::footer_bytes(blocks);
    let file_bytes = disk::length(&segment.file, &segment.path)?;
    if offset + footer_bytes > file_bytes {
        return Ok(invalid);
    }
    let bytes = window.bytes(segment, offset, footer_bytes as usize)?;
    Ok(match Footer::decode(bytes) {
        Ok(footer) if footer.offset == offset => Step::Footer(Box::new(footer)),
        _ => invalid,
    })
}

fn short(declared_bytes: u64, available_bytes: usize) -> Cause {
    Cause::Short { declared_bytes, available_bytes: available_bytes as u64 }
}

/// What follows the last good block of the last segment.
#[derive(Debug, Default)]
pub struct TailFacts {
    /// End of the last byte that is not zero, None when all is zero.
    pub nonzero_end: Option<u64>,
    /// Offset of a valid later block or footer.
    pub later_valid_offset: Option<u64>,
}

/// Reads everything from `offset` to the end of the file; looks for valid successors from `resume_at` on.
pub fn examine_tail(
    segment: &Segment,
    offset: u64,
    resume_at: u64,
    cursor: &Cursor,
) -> Result<TailFacts, JournalError> {
    let mut facts = TailFacts::default();
    let left_bytes = disk::length(&segment.file, &segment.path)?.saturating_sub(offset);
    let mut buffer = vec![0u8; left_bytes.clamp(1, TAIL_SCAN_STEP_BYTES as u64) as usize];
    let mut at = offset;
    loop {
        let length = disk::read_at(&segment.file, &segment.path, &mut buffer, at)?;
        if length == 0 {
            return Ok(facts);
        }
        if let Some(last) = last_nonzero(&buffer[..length]) {
            facts.nonzero_end = Some(at + last as u64 + 1);
            let stride = ALIGNMENT_BYTES as usize;
            let starts = (0..length).step_by(stride).filter(|start| at + *start as u64 >= resume_at);
            for start in starts {
                let candidate = &buffer[start..length.min(start + 4)];
                if (candidate == BLOCK_MAGIC || candidate == FOOTER_MAGIC)
                    && is_successor(segment, at + start as u64, cursor)?
                {
                    facts.later_valid_offset = Some(at + start as u64);
                    return Ok(facts);
                }
            }
        }
        at += length as u64;
    }
}

fn last_nonzero(bytes: &[u8]) -> Option<usize> {
    // Most of a preallocated segment is zero: whole chunks are compared at the speed of memory.
    const ZEROS: [u8; TAIL_READ_BYTES] = [0; TAIL_READ_BYTES];
    let chunks = bytes.chunks(TAIL_READ_BYTES).enumerate();
    let (number, chunk) = chunks.rev().find(|(_, chunk)| **chunk != ZEROS[..chunk.len()])?;
    let last = chunk.iter().rposition(|byte| *byte != 0)?;
    Some(number * TAIL_READ_BYTES + last)
}

fn is_successor(segment: &Segment, offset: u64, cursor: &Cursor) -> Result<bool, JournalError> {
    let mut bytes = [0u8; FOOTER_HEADER_BYTES];
    let length = disk::read_at(&segment.file, &segment.path, &mut bytes, offset)?;
    if Footer::declared_blocks(&bytes[..length]).is_some() {
        return Ok(true);
    }
    let header = if length < BLOCK_HEADER_BYTES { None } else { BlockHeader::decode(&bytes).ok() };
    // Numbers must go on from here: bytes that only look like a block of another place prove nothing.
    Ok(header.is_some_and(|h| {
        h.shard == cursor.shard && h.block >= cursor.next_block && h.first_seq >= cursor.next_seq()
    }))
}

/// Bytes after the last good block which are no block.
#[derive(Debug, Clone)]
pub struct TornBytes {
    pub cause: Cause,
    pub offset: u64,
    pub end_offset: u64,
}

/// One segment, walked to its end.
#[derive(Debug)]
pub struct SegmentScan {
    pub entries: Vec<IndexEntry>,
    /// Offset after the last good block.
    pub data_end: u64,
    pub footer: Option<Box<Footer>>,
    pub torn: Option<TornBytes>,
    /// Merkle frontier over the blocks of this segment alone.
    pub frontier: Frontier,
    pub first_block_seq: Option<u64>,
}

/// Walks one segment, checks every block and the footer, and moves `cursor` and `log` along.
///
/// # Errors
/// `Corrupt` for the first damage that cannot be a torn tail; `Io`.
pub fn scan_segment(
    segment: &Segment,
    cursor: &mut Cursor,
    log: &mut Frontier,
    is_last: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<SegmentScan, JournalError> {
    let mut window = Window::default();
    let mut scan = SegmentScan {
        entries: Vec::new(),
        data_end: SEGMENT_HEADER_BYTES as u64,
        footer: None,
        torn: None,
        frontier: Frontier::default(),
        first_block_seq: None,
    };
    loop {
        let offset = scan.data_end;
        match step(&mut window, segment, offset, cursor)? {
            Step::Block { header, hash } => {
                scan.entries.push(IndexEntry { offset, first_seq: header.first_seq, hash });
                scan.first_block_seq.get_or_insert(header.first_seq);
                let leaf = merkle::leaf_hash(&hash);
                scan.frontier.push_leaf(leaf);
                log.push_leaf(leaf);
                cursor.advance(&header, hash);
                scan.data_end += header.total_bytes();
                progress(header.total_bytes());
            }
            Step::Footer(footer) => {
                check_footer(&footer, &scan, cursor, log)
                    .and_then(|()| check_nothing_follows(segment, &footer, is_last))
                    .map_err(|cause| at_cursor(segment, cursor, offset, cause))?;
                scan.footer = Some(footer);
                return Ok(scan);
            }
            Step::OutOfChain(cause) => return Err(at_cursor(segment, cursor, offset, cause)),
            Step::End if !is_last => return Err(at_cursor(segment, cursor, offset, Cause::NotSealed)),
            Step::Invalid { cause, .. } if !is_last => return Err(at_cursor(segment, cursor, offset, cause)),
            Step::End => {
                if settle_tail(
                    &mut window,
                    segment,
                    cursor,
                    &mut scan,
                    Cause::Wiped,
                    offset + ALIGNMENT_BYTES,
                )? {
                    return Ok(scan);
                }
            }
            Step::Invalid { cause, resume_at } => {
                if settle_tail(&mut window, segment, cursor, &mut scan, cause, resume_at)? {
                    return Ok(scan);
                }
            }
        }
    }
}

/// Decides between the end of the log, a torn tail and damage. False when a writer has meanwhile completed the block.
fn settle_tail(
    window: &mut Window,
    segment: &Segment,
    cursor: &Cursor,
    scan: &mut SegmentScan,
    cause: Cause,
    resume_at: u64,
) -> Result<bool, JournalError> {
    let offset = scan.data_end;
    let facts = examine_tail(segment, offset, resume_at, cursor)?;
    if let Some(later_offset) = facts.later_valid_offset {
        return match recheck(window, segment, offset, cursor)? {
            true => Ok(false),
            false => {
                let cause = Cause::FollowedByValidBlock { cause: Box::new(cause), later_offset };
                Err(at_cursor(segment, cursor, offset, cause))
            }
        };
    }
    scan.torn = facts.nonzero_end.map(|end_offset| TornBytes { cause, offset, end_offset });
    Ok(true)
}

/// Whether a block or footer now stands at `offset`: a writer appends in order, so a valid later block means that
/// this one is either complete by now or damaged.
pub fn recheck(
    window: &mut Window,
    segment: &Segment,
    offset: u64,
    cursor: &Cursor,
) -> Result<bool, JournalError> {
    window.clear();
    Ok(matches!(step(window, segment, offset, cursor)?, Step::Block { .. } | Step::Footer(_)))
}

/// `Corrupt` at the block which the cursor expects next.
pub fn at_cursor(segment: &Segment, cursor: &Cursor, offset: u64, cause: Cause) -> JournalError {
    damage(&segment.name, cursor.next_block, cursor.next_seq(), offset, cause)
}

fn check_footer(footer: &Footer, scan: &SegmentScan, cursor: &Cursor, log: &Frontier) -> Result<(), Cause> {
    let differs = |field| Err(Cause::FooterMismatch { field });
    if footer.shard != cursor.shard {
        return differs("shard");
    }
    if footer.entries != scan.entries {
        return differs("block index");
    }
    if footer.first_block + scan.entries.len() as u64 != cursor.next_block {
        return differs("first block");
    }
    if Some(footer.last_seq) != cursor.last_seq {
        return differs("last sequence");
    }
    if footer.head_hash != cursor.prev_hash {
        return differs("head hash");
    }
    if footer.segment_hash != scan.frontier.tree_hash() {
        return differs("segment Merkle hash");
    }
    if footer.log_hash != log.tree_hash() {
        return differs("log Merkle hash");
    }
    Ok(())
}

/// A sealed file ends with its footer; only in the last one may the preallocated zeros still be there.
fn check_nothing_follows(segment: &Segment, footer: &Footer, is_last: bool) -> Result<(), Cause> {
    let file_bytes = disk::length(&segment.file, &segment.path).map_err(|_| Cause::BytesAfterFooter)?;
    if file_bytes == footer.end_offset() {
        return Ok(());
    }
    let cursor = Cursor::at_start_of(&segment.header);
    let facts = examine_tail(segment, footer.end_offset(), u64::MAX, &cursor);
    match facts {
        Ok(TailFacts { nonzero_end: None, .. }) if is_last => Ok(()),
        _ => Err(Cause::BytesAfterFooter),
    }
}
