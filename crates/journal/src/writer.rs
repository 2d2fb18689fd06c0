//! The single writer: append, sync, rotate.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk;
use crate::error::JournalError;
use crate::format::{self, BlockHeader, Footer, IndexEntry, SegmentHeader, SEGMENT_HEADER_BYTES};
use crate::lock::DirectoryLock;
use crate::merkle::{self, Frontier, Hash};
use crate::segment::SegmentName;

/// A segment is closed after this time even when it is not full, so that it can be shipped and archived.
pub const MAX_SEGMENT_AGE: Duration = Duration::from_secs(3600);
/// Smallest permitted segment.
pub const MIN_SEGMENT_BYTES: u64 = 4096;
/// Largest permitted payload of one block.
pub const MAX_PAYLOAD_LIMIT_BYTES: u32 = 1 << 30;
/// Zeros are written this far ahead of small blocks: preallocated space that was never written costs every sync a
/// metadata update (measured: 4 KiB blocks 166 us instead of 108 us). Larger blocks gain nothing and skip it.
const ZERO_AHEAD_BYTES: u64 = 256 << 10;
/// Durable bytes leave the page cache in steps of this size, and as many stay cached for readers at the tail: a log
/// that fills all memory evicts what is needed and writes each block into cold pages (measured: 1,000 us instead of
/// 60 us to copy 512 KiB).
const CACHED_TAIL_BYTES: u64 = 4 << 20;
const RESERVE_FILE: &str = "reserve.bin";

/// How a journal is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalOptions {
    /// Size of a segment, 64 MiB unless told; one larger block gets a larger segment.
    pub segment_bytes: u64,
    /// Gives each segment its space when it is created, so that an append cannot find the disk full.
    pub preallocate: bool,
    /// Largest payload of one block, 16 MiB unless told.
    pub max_payload_bytes: u32,
    pub shard: u16,
    /// Space held back in a file of its own; `release_reserve` frees it for cancels when the disk is full. 0 = none.
    pub reserve_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            preallocate: true,
            max_payload_bytes: 16 << 20,
            shard: 0,
            reserve_bytes: 0,
        }
    }
}

impl JournalOptions {
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let refuse = |field, value, rule| Err(JournalError::InvalidOption { field, value, rule });
        if self.segment_bytes < MIN_SEGMENT_BYTES {
            return refuse("segment_bytes", self.segment_bytes, "it must be at least 4096");
        }
        if self.max_payload_bytes == 0 || self.max_payload_bytes > MAX_PAYLOAD_LIMIT_BYTES {
            let value = u64::from(self.max_payload_bytes);
            return refuse("max_payload_bytes", value, "it must be between 1 and 1073741824");
        }
        Ok(())
    }
}

/// What the writer knows about a block beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMeta {
    /// Sequence of the first record: one more than the last of the block before (free for the first block).
    pub first_seq: u64,
    /// Number of records, at least 1.
    pub count: u32,
    /// Nanoseconds since the Unix epoch, UTC.
    pub time_ns: i64,
    pub rule_version: u32,
    /// Format of the payload: opaque to the journal.
    pub format: u16,
}

/// Where an appended block stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRef {
    pub block: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    pub hash: Hash,
    pub segment: String,
    pub offset: u64,
    /// Bytes on disk, header and padding included.
    pub bytes: u64,
}

/// Position of the writer. Block numbers count from 0, so `block` and `durable_block` are also numbers of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of the next block = blocks appended.
    pub block: u64,
    /// Sequence of the last appended record; 0 while `block` is 0.
    pub last_seq: u64,
    /// Hash of the last appended block, the genesis hash while `block` is 0.
    pub hash: Hash,
    /// Blocks that a crash can no longer take away.
    pub durable_block: u64,
    pub durable_seq: u64,
    pub durable_hash: Hash,
    pub segment: String,
    pub offset: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Position {
    pub block: u64,
    pub last_seq: Option<u64>,
    pub hash: Hash,
}

#[derive(Debug)]
pub(crate) struct ActiveSegment {
    pub file: File,
    pub path: PathBuf,
    pub name: SegmentName,
    pub capacity_bytes: u64,
    pub first_block: u64,
    pub offset: u64,
    pub zeroed_to: u64,
    pub uncached_to: u64,
    pub entries: Vec<IndexEntry>,
    pub frontier: Frontier,
    pub opened: Instant,
}

/// The single writer of a journal directory. Holds the directory lock until dropped.
///
/// ```no_run
/// use tradewind_journal::{BlockMeta, Journal, JournalOptions};
/// # fn main() -> Result<(), tradewind_journal::JournalError> {
/// let mut journal = Journal::create("data".as_ref(), b"genesis", JournalOptions::default())?;
/// journal.append(BlockMeta::new(1, 2, 1_700_000_000_000_000_000), &[b"commands", b"events"])?;
/// journal.sync()?; // only now may anybody be told
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Journal {
    pub(crate) dir: PathBuf,
    pub(crate) options: JournalOptions,
    pub(crate) genesis_hash: Hash,
    pub(crate) active: ActiveSegment,
    pub(crate) head: Position,
    pub(crate) durable: Position,
    pub(crate) log: Frontier,
    pub(crate) epoch: u64,
    pub(crate) fenced: bool,
    pub(crate) _lock: DirectoryLock,
}

impl ActiveSegment {
    /// Drops durable pages that readers at the tail no longer need. Call right after a sync.
    fn trim_cache(&mut self) {
        let cached_bytes = self.offset - self.uncached_to;
        if cached_bytes >= 2 * CACHED_TAIL_BYTES {
            let dropped_bytes = cached_bytes - CACHED_TAIL_BYTES;
            disk::drop_cache(&self.file, self.uncached_to, dropped_bytes);
            self.uncached_to += dropped_bytes;
        }
    }
}

impl BlockMeta {
    /// Meta with rule version 0 and format 0.
    pub fn new(first_seq: u64, count: u32, time_ns: i64) -> Self {
        Self { first_seq, count, time_ns, rule_version: 0, format: 0 }
    }
}

impl Journal {
    /// Writes one block after the last one. The payload is the concatenation of `parts`. Not durable before `sync`.
    ///
    /// Sync after each append unless losing power may cost a restore: the disk may keep a later unsynced block and
    /// lose an earlier one, and that cannot be told from damage, so `open` refuses it.
    ///
    /// # Errors
    /// `InvalidMeta`, `PayloadTooLarge`: nothing was written. `NoSpace`: the partial bytes are cut, the writer stays
    /// usable. `Io`: the writer is fenced. `Fenced` after any earlier failure.
    pub fn append(&mut self, meta: BlockMeta, parts: &[&[u8]]) -> Result<BlockRef, JournalError> {
        self.refuse_when_fenced()?;
        let payload_bytes = self.check_block(&meta, parts)?;
        let bytes = format::block_bytes(u64::from(payload_bytes));
        self.make_room(bytes)?;
        let header = BlockHeader {
            format: meta.format,
            shard: self.options.shard,
            epoch: self.epoch,
            block: self.head.block,
            first_seq: meta.first_seq,
            count: meta.count,
            payload_bytes,
            rule_version: meta.rule_version,
            payload_crc: parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part)),
            time_ns: meta.time_ns,
            prev_hash: self.head.hash,
        };
        let hash = self.write_block(&header, parts)?;
        let placed = BlockRef {
            block: header.block,
            first_seq: header.first_seq,
            last_seq: header.last_seq(),
            hash,
            segment: self.active.name.file_name.clone(),
            offset: self.active.offset,
            bytes,
        };
        self.record(&placed);
        self.zero_ahead(bytes)?;
        Ok(placed)
    }

    /// Makes every appended block durable (`fdatasync`). Without unsynced blocks it does nothing.
    ///
    /// # Errors
    /// `Io` or `NoSpace` from the disk: the writer is fenced for good, since the kernel may have dropped the pages.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.refuse_when_fenced()?;
        if self.durable.block < self.head.block {
            let synced = disk::sync_data(&self.active.file, &self.active.path);
            self.fence_on_error(synced)?;
            self.durable = self.head.clone();
            self.active.trim_cache();
        }
        Ok(())
    }

    pub fn head(&self) -> Head {
        Head {
            block: self.head.block,
            last_seq: self.head.last_seq.unwrap_or(0),
            hash: self.head.hash,
            durable_block: self.durable.block,
            durable_seq: self.durable.last_seq.unwrap_or(0),
            durable_hash: self.durable.hash,
            segment: self.active.name.file_name.clone(),
            offset: self.active.offset,
        }
    }

    /// Seals the current segment with its footer and starts the next one; durable afterwards. A segment without
    /// blocks is kept.
    ///
    /// # Errors
    /// `NoSpace` before anything was changed: the writer stays usable. Any other failure fences it.
    pub fn rotate(&mut self) -> Result<(), JournalError> {
        self.refuse_when_fenced()?;
        if self.active.entries.is_empty() {
            return Ok(());
        }
        // The next segment gets its space first: a full disk is found while the current one is still untouched.
        let header = self.next_segment_header();
        let name = SegmentName::new(header.shard, header.first_seq);
        let prepared = match prepare_segment(&self.dir, &name, &header, self.options.preallocate) {
            Err(error @ JournalError::NoSpace { .. }) => return Err(error),
            other => self.fence_on_error(other)?,
        };
        let sealed = self.seal_active();
        self.fence_on_error(sealed)?;
        self.durable = self.head.clone();
        let published = publish_segment(&self.dir, prepared);
        self.active = self.fence_on_error(published)?;
        Ok(())
    }

    /// Syncs and gives the directory free.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.sync()
    }

    /// Free bytes in the file system of the journal.
    pub fn free_bytes(&self) -> Result<u64, JournalError> {
        disk::free_bytes(&self.dir)
    }

    /// Frees the reserve file, for cancels and reductions when the disk is full. The next `open` takes it again.
    pub fn release_reserve(&mut self) -> Result<(), JournalError> {
        disk::remove(&self.dir.join(RESERVE_FILE))
    }

    /// Epoch written into the following blocks.
    ///
    /// # Errors
    /// `InvalidMeta` when it is lower than the current one: a stale writer must not go on.
    pub fn set_epoch(&mut self, epoch: u64) -> Result<(), JournalError> {
        if epoch < self.epoch {
            let rule = "it must not be lower than the epoch of the log";
            return Err(JournalError::InvalidMeta { field: "epoch", value: epoch, rule });
        }
        self.epoch = epoch;
        Ok(())
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of blocks and the Merkle root over them that may be signed and published.
    pub fn root(&self) -> (u64, Hash) {
        (self.log.size(), self.log.root())
    }

    pub fn genesis_hash(&self) -> Hash {
        self.genesis_hash
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn is_fenced(&self) -> bool {
        self.fenced
    }

    fn refuse_when_fenced(&self) -> Result<(), JournalError> {
        if self.fenced {
            return Err(JournalError::Fenced);
        }
        Ok(())
    }

    fn fence_on_error<T>(&mut self, result: Result<T, JournalError>) -> Result<T, JournalError> {
        self.fenced |= result.is_err();
        result
    }

    fn check_block(&self, meta: &BlockMeta, parts: &[&[u8]]) -> Result<u32, JournalError> {
        let refuse = |field, value, rule| Err(JournalError::InvalidMeta { field, value, rule });
        if meta.count == 0 {
            return refuse("count", 0, "a block holds at least one record");
        }
        if meta.first_seq.checked_add(u64::from(meta.count)).is_none() {
            return refuse("first_seq", meta.first_seq, "the last sequence must fit 64 bits");
        }
        if self.head.last_seq.is_some_and(|last| meta.first_seq != last + 1) {
            return refuse("first_seq", meta.first_seq, "it must follow the last sequence of the log");
        }
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let max_bytes = u64::from(self.options.max_payload_bytes);
        if bytes > max_bytes {
            return Err(JournalError::PayloadTooLarge { bytes, max_bytes });
        }
        Ok(bytes as u32)
    }

    fn fits(&self, bytes: u64) -> bool {
        let footer_bytes = format::footer_bytes(self.active.entries.len() as u64 + 1);
        self.active.offset + bytes + footer_bytes <= self.active.capacity_bytes
    }

    /// Rotates when the segment is full or old; grows an empty segment for a block larger than a segment.
    fn make_room(&mut self, bytes: u64) -> Result<(), JournalError> {
        if !self.fits(bytes) {
            self.rotate()?;
        } else if self.active.opened.elapsed() >= MAX_SEGMENT_AGE {
            match self.rotate() {
                // There is still room here: a full disk must not keep the last cancels from being recorded.
                Ok(()) | Err(JournalError::NoSpace { .. }) if !self.fenced => {}
                other => return other,
            }
        }
        if !self.fits(bytes) {
            let capacity_bytes = self.active.offset + bytes + format::footer_bytes(1);
            if self.options.preallocate {
                disk::allocate(&self.active.file, &self.active.path, capacity_bytes)?;
            }
            self.active.capacity_bytes = capacity_bytes;
        }
        Ok(())
    }

    fn write_block(&mut self, header: &BlockHeader, parts: &[&[u8]]) -> Result<Hash, JournalError> {
        let header_bytes = header.encode();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header_bytes);
        parts.iter().for_each(|part| {
            hasher.update(part);
        });
        let hash = *hasher.finalize().as_bytes();
        let payload_end = format::BLOCK_HEADER_BYTES as u64 + u64::from(header.payload_bytes);
        let padding_bytes = header.total_bytes() - payload_end - format::BLOCK_TRAILER_BYTES as u64;
        let padding = [0u8; format::ALIGNMENT_BYTES as usize];
        let mut pieces: Vec<&[u8]> = Vec::with_capacity(parts.len() + 3);
        pieces.push(&header_bytes);
        pieces.extend_from_slice(parts);
        pieces.push(&hash);
        pieces.push(&padding[..padding_bytes as usize]);
        let written = disk::write_all_at(&self.active.file, &self.active.path, &pieces, self.active.offset);
        match written {
            Ok(()) => Ok(hash),
            Err(error) => {
                self.cut_or_fence(&error, header.total_bytes());
                Err(error)
            }
        }
    }

    /// After a full disk the partial block is removed and the writer stays usable; after anything else nothing on
    /// this descriptor can be trusted.
    fn cut_or_fence(&mut self, error: &JournalError, bytes: u64) {
        let (file, path, offset) = (&self.active.file, &self.active.path, self.active.offset);
        let cut = match error {
            JournalError::NoSpace { .. } if self.options.preallocate => {
                disk::write_zeros(file, path, offset, offset + bytes)
            }
            JournalError::NoSpace { .. } => disk::truncate(file, path, offset),
            other => Err(other.clone()),
        };
        self.fenced |= cut.is_err();
    }

    fn record(&mut self, placed: &BlockRef) {
        let (offset, first_seq, hash) = (placed.offset, placed.first_seq, placed.hash);
        self.active.entries.push(IndexEntry { offset, first_seq, hash });
        let leaf = merkle::leaf_hash(&hash);
        self.active.frontier.push_leaf(leaf);
        self.log.push_leaf(leaf);
        self.active.offset += placed.bytes;
        self.head = Position { block: placed.block + 1, last_seq: Some(placed.last_seq), hash };
    }

    fn zero_ahead(&mut self, block_bytes: u64) -> Result<(), JournalError> {
        let active = &mut self.active;
        if !self.options.preallocate || active.offset < active.zeroed_to {
            return Ok(());
        }
        active.zeroed_to = active.offset;
        if block_bytes >= ZERO_AHEAD_BYTES {
            return Ok(());
        }
        let end = (active.offset + ZERO_AHEAD_BYTES).min(active.capacity_bytes);
        let written = disk::write_zeros(&active.file, &active.path, active.offset, end);
        active.zeroed_to = end;
        self.fence_on_error(written)
    }

    fn next_segment_header(&self) -> SegmentHeader {
        SegmentHeader {
            shard: self.options.shard,
            capacity_bytes: self.options.segment_bytes,
            first_block: self.head.block,
            first_seq: self.head.last_seq.map_or(0, |seq| seq + 1),
            prev_hash: self.head.hash,
            genesis_hash: self.genesis_hash,
        }
    }

    fn seal_active(&mut self) -> Result<(), JournalError> {
        let active = &mut self.active;
        let footer = Footer {
            shard: self.options.shard,
            first_block: active.first_block,
            last_seq: self.head.last_seq.unwrap_or(0),
            offset: active.offset,
            head_hash: self.head.hash,
            segment_hash: active.frontier.tree_hash(),
            log_hash: self.log.tree_hash(),
            entries: std::mem::take(&mut active.entries),
        };
        disk::write_all_at(&active.file, &active.path, &[&footer.encode()], active.offset)?;
        // Two syncs: the footer must be there before the zeros behind it go.
        disk::sync_data(&active.file, &active.path)?;
        disk::truncate(&active.file, &active.path, footer.end_offset())?;
        disk::sync_data(&active.file, &active.path)?;
        disk::drop_cache(&active.file, 0, 0);
        Ok(())
    }
}

/// A complete segment under a temporary name.
pub(crate) struct PreparedSegment {
    active: ActiveSegment,
    temporary: PathBuf,
}

/// Makes the file of a segment with its space and header, synced, under a name that no reader looks at.
pub(crate) fn prepare_segment(
    dir: &Path,
    name: &SegmentName,
    header: &SegmentHeader,
    preallocate: bool,
) -> Result<PreparedSegment, JournalError> {
    let path = dir.join(&name.file_name);
    let temporary = path.with_extension("tmp");
    let fill = || -> Result<File, JournalError> {
        let file = disk::create(&temporary)?;
        if preallocate {
            disk::allocate(&file, &temporary, header.capacity_bytes)?;
        }
        disk::write_all_at(&file, &temporary, &[&header.encode()], 0)?;
        disk::sync_data(&file, &temporary)?;
        Ok(file)
    };
    let file = fill().inspect_err(|_| {
        // Best effort, to give the space back; a leftover is removed by the next open.
        let _ = disk::remove(&temporary);
    })?;
    let active = ActiveSegment {
        file,
        path,
        name: name.clone(),
        capacity_bytes: header.capacity_bytes,
        first_block: header.first_block,
        offset: SEGMENT_HEADER_BYTES as u64,
        zeroed_to: SEGMENT_HEADER_BYTES as u64,
        uncached_to: SEGMENT_HEADER_BYTES as u64,
        entries: Vec::new(),
        frontier: Frontier::default(),
        opened: Instant::now(),
    };
    Ok(PreparedSegment { active, temporary })
}

pub(crate) fn publish_segment(dir: &Path, prepared: PreparedSegment) -> Result<ActiveSegment, JournalError> {
    disk::rename(&prepared.temporary, &prepared.active.path)?;
    disk::sync_dir(dir)?;
    Ok(prepared.active)
}

/// Takes the reserve. False when the disk is too full for it.
pub(crate) fn hold_reserve(dir: &Path, bytes: u64) -> Result<bool, JournalError> {
    let path = dir.join(RESERVE_FILE);
    if bytes == 0 {
        disk::remove(&path)?;
        return Ok(false);
    }
    let file = disk::create(&path)?;
    match disk::allocate(&file, &path, bytes) {
        Ok(()) => Ok(true),
        Err(JournalError::NoSpace { .. }) => disk::remove(&path).map(|()| false),
        Err(error) => Err(error),
    }
}
