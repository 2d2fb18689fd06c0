//! Segment files: names, order, headers, footers.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::{Cause, JournalError};
use crate::format::{self, Footer, SegmentHeader, FOOTER_TAIL_BYTES, SEGMENT_HEADER_BYTES};
use crate::merkle::Hash;

pub const SEGMENT_SUFFIX: &str = ".twj";
const GENESIS_FILE: &str = "genesis";
/// The genesis configuration is read into memory at once.
pub const MAX_GENESIS_BYTES: u64 = 64 << 20;

/// A segment file as its name tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    pub shard: u16,
    /// Sequence of the first record; 0 for the first segment, which begins before any record.
    pub first_seq: u64,
    pub file_name: String,
}

impl SegmentName {
    pub fn new(shard: u16, first_seq: u64) -> Self {
        // Fixed width: the order of the names is the order of the log.
        Self { shard, first_seq, file_name: format!("{shard:05}-{first_seq:020}{SEGMENT_SUFFIX}") }
    }

    fn parse(file_name: &str) -> Option<Self> {
        let (shard, first_seq) = file_name.strip_suffix(SEGMENT_SUFFIX)?.split_once('-')?;
        let name = Self::new(shard.parse().ok()?, first_seq.parse().ok()?);
        (name.file_name == file_name).then_some(name)
    }
}

/// All segments of `dir` in log order.
///
/// # Errors
/// `Io`; `WrongShard` when segments of two shards share the directory.
pub fn list(dir: &Path) -> Result<Vec<SegmentName>, JournalError> {
    let mut names = Vec::new();
    let entries = std::fs::read_dir(dir).map_err(|e| JournalError::from_io("read directory", dir, &e))?;
    for entry in entries {
        let entry = entry.map_err(|e| JournalError::from_io("read directory", dir, &e))?;
        names.extend(entry.file_name().to_str().and_then(SegmentName::parse));
    }
    names.sort();
    if let (Some(first), Some(last)) = (names.first(), names.last()) {
        if first.shard != last.shard {
            let dir = dir.to_path_buf();
            return Err(JournalError::WrongShard { dir, expected: first.shard, found: last.shard });
        }
    }
    Ok(names)
}

/// An opened segment with its decoded header.
#[derive(Debug)]
pub struct Segment {
    pub file: File,
    pub path: PathBuf,
    pub name: SegmentName,
    pub header: SegmentHeader,
}

impl Segment {
    /// Opens and checks the header against the name.
    ///
    /// # Errors
    /// `Corrupt` with `SegmentHeader` or `SegmentHeaderMismatch`; `Io`.
    pub fn open(dir: &Path, name: &SegmentName) -> Result<Self, JournalError> {
        let path = dir.join(&name.file_name);
        let file = disk::open_for_reading(&path)?;
        let mut bytes = [0u8; SEGMENT_HEADER_BYTES];
        let filled = disk::read_at(&file, &path, &mut bytes, 0)?;
        let refuse = |cause| damage(name, 0, name.first_seq, 0, cause);
        let header = SegmentHeader::decode(&bytes[..filled]).map_err(refuse)?;
        if header.encode() != bytes {
            return Err(refuse(Cause::SegmentHeader));
        }
        if header.shard != name.shard {
            return Err(refuse(Cause::SegmentHeaderMismatch { field: "shard" }));
        }
        if header.first_seq != name.first_seq {
            return Err(refuse(Cause::SegmentHeaderMismatch { field: "first sequence" }));
        }
        Ok(Self { file, path, name: name.clone(), header })
    }

    /// The footer if the segment is sealed, found through the last bytes of the file without walking the blocks.
    pub fn footer(&self) -> Result<Option<Footer>, JournalError> {
        let file_bytes = disk::length(&self.file, &self.path)?;
        let mut tail = [0u8; FOOTER_TAIL_BYTES];
        let Some(tail_offset) = file_bytes.checked_sub(FOOTER_TAIL_BYTES as u64) else { return Ok(None) };
        disk::read_at(&self.file, &self.path, &mut tail, tail_offset)?;
        let Some(offset) = Footer::offset_in_tail(&tail).filter(|offset| *offset < file_bytes) else {
            return Ok(None);
        };
        let mut bytes = vec![0u8; (file_bytes - offset) as usize];
        disk::read_at(&self.file, &self.path, &mut bytes, offset)?;
        let footer = Footer::decode(&bytes);
        let refuse =
            |cause| damage(&self.name, self.header.first_block, self.header.first_seq, offset, cause);
        footer.map(Some).map_err(refuse)
    }
}

/// The error that names a damaged place.
pub fn damage(name: &SegmentName, block: u64, first_seq: u64, offset: u64, cause: Cause) -> JournalError {
    JournalError::Corrupt { block, segment: name.file_name.clone(), first_seq, offset, cause }
}

pub fn genesis_path(dir: &Path) -> PathBuf {
    dir.join(GENESIS_FILE)
}

/// The genesis bytes with which the journal was created.
///
/// # Errors
/// `NotAJournal` without a genesis file; `Io`.
pub fn read_genesis(dir: &Path) -> Result<Vec<u8>, JournalError> {
    let path = genesis_path(dir);
    let length = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(JournalError::NotAJournal { dir: dir.to_path_buf() });
        }
        Err(e) => return Err(JournalError::from_io("stat", &path, &e)),
    };
    if length > MAX_GENESIS_BYTES {
        return Err(JournalError::PayloadTooLarge { bytes: length, max_bytes: MAX_GENESIS_BYTES });
    }
    std::fs::read(&path).map_err(|e| JournalError::from_io("read", &path, &e))
}

pub fn read_genesis_hash(dir: &Path) -> Result<Hash, JournalError> {
    read_genesis(dir).map(|genesis| format::genesis_hash(&genesis))
}
