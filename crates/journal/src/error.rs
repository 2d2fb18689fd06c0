//! One error type for the crate. Every message names the place: segment, block, sequence, byte offset.

use std::path::{Path, PathBuf};

/// Why bytes found in a segment are not the block, header or footer which must stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("the bytes do not start with a block or footer magic")]
    BadMagic,
    #[error("zero bytes stand where a block must stand")]
    Wiped,
    #[error("block header checksum does not match")]
    HeaderChecksum,
    #[error("reserved header bytes are not zero")]
    ReservedNotZero,
    #[error("block declares {declared_bytes} bytes and the segment holds only {available_bytes} more")]
    Short { declared_bytes: u64, available_bytes: u64 },
    #[error("payload checksum (CRC-32C) does not match")]
    PayloadChecksum,
    #[error("block hash (BLAKE3) does not match its trailer")]
    TrailerHash,
    #[error("padding after the block is not zero")]
    PaddingNotZero,
    #[error("block belongs to shard {found}, the log to shard {expected}")]
    WrongShard { expected: u16, found: u16 },
    #[error("block number {found} found, {expected} expected")]
    BlockNumberGap { expected: u64, found: u64 },
    #[error("first sequence {found} found, {expected} expected")]
    SequenceGap { expected: u64, found: u64 },
    #[error("block holds no record or its last sequence overflows")]
    RecordCount,
    #[error("previous block hash does not match")]
    PreviousHash,
    #[error("epoch went back from {previous} to {found}")]
    EpochWentBack { previous: u64, found: u64 },
    #[error("segment header is damaged or short")]
    SegmentHeader,
    #[error("segment header does not continue the log: {field} differs")]
    SegmentHeaderMismatch { field: &'static str },
    #[error("segment footer is damaged")]
    FooterDamaged,
    #[error("segment footer contradicts the blocks: {field} differs")]
    FooterMismatch { field: &'static str },
    #[error("segment is not sealed although a later segment exists")]
    NotSealed,
    #[error("bytes follow the footer of a sealed segment")]
    BytesAfterFooter,
    #[error("a segment is missing")]
    MissingSegment,
    #[error("genesis file does not match the hash in the first segment")]
    Genesis,
    #[error("the genesis file is missing although blocks exist")]
    GenesisMissing,
    #[error("the log ends here, but a snapshot holds sequence {snapshot_seq}: durable blocks were lost")]
    EndsBeforeSnapshot { snapshot_seq: u64 },
    #[error(
        "{cause}; a valid block follows at offset {later_offset}, so this is damage and not a torn tail"
    )]
    FollowedByValidBlock { cause: Box<Cause>, later_offset: u64 },
}

/// Everything this crate can refuse or fail with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// An operating-system call failed.
    #[error("{op} failed on {}: errno {errno} ({})", path.display(), std::io::Error::from_raw_os_error(*errno))]
    Io { op: &'static str, path: PathBuf, errno: i32 },
    /// The file system (or quota) is full. Nothing after the failure was recorded.
    #[error("no space left for {op} on {}: {needed_bytes} bytes needed", path.display())]
    NoSpace { op: &'static str, path: PathBuf, needed_bytes: u64 },
    /// Damage before the end of the log: the log must not be used before it is restored.
    #[error(
        "JOURNAL_CORRUPT at block {block} (first sequence {first_seq}), segment {segment}, offset {offset}: {cause}"
    )]
    Corrupt { block: u64, segment: String, first_seq: u64, offset: u64, cause: Cause },
    /// Another process (or another handle of this one) writes here. `pid` is None while it is not yet written.
    #[error("journal directory is locked by another writer (pid {})", pid.map_or("unknown".into(), |p| p.to_string()))]
    Locked { pid: Option<u32> },
    /// An earlier write or sync failed; this writer never writes again. Drop it and open the journal anew.
    #[error("journal writer is fenced after a failed write or sync; reopen the journal to continue")]
    Fenced,
    #[error("{} holds no journal (no genesis file)", dir.display())]
    NotAJournal { dir: PathBuf },
    #[error("{} already holds a journal", dir.display())]
    AlreadyExists { dir: PathBuf },
    #[error("journal in {} belongs to shard {found}, shard {expected} was asked for", dir.display())]
    WrongShard { dir: PathBuf, expected: u16, found: u16 },
    #[error("payload of {bytes} bytes is larger than the maximum of {max_bytes}")]
    PayloadTooLarge { bytes: u64, max_bytes: u64 },
    #[error("block meta refused: {field} is {value}, {rule}")]
    InvalidMeta { field: &'static str, value: u64, rule: &'static str },
    #[error("option refused: {field} is {value}, {rule}")]
    InvalidOption { field: &'static str, value: u64, rule: &'static str },
    #[error("sequence {seq} is not in the log (last sequence {})", last_seq.map_or("none".into(), |s| s.to_string()))]
    SequenceNotFound { seq: u64, last_seq: Option<u64> },
    #[error("block {block} is not in the log of {blocks} blocks")]
    BlockNotFound { block: u64, blocks: u64 },
    #[error("proof bytes refused: {reason}")]
    InvalidProof { reason: &'static str },
    #[error("snapshot {} refused: {reason}", path.display())]
    InvalidSnapshot { path: PathBuf, reason: &'static str },
}

impl JournalError {
    /// Stable code for operators and for the caller's error table.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "JOURNAL_IO",
            Self::NoSpace { .. } => "JOURNAL_NO_SPACE",
            Self::Corrupt { .. } => "JOURNAL_CORRUPT",
            Self::Locked { .. } => "JOURNAL_LOCKED",
            Self::Fenced => "JOURNAL_FENCED",
            Self::NotAJournal { .. } => "JOURNAL_NOT_FOUND",
            Self::AlreadyExists { .. } => "JOURNAL_ALREADY_EXISTS",
            Self::WrongShard { .. } => "WRONG_SHARD",
            Self::PayloadTooLarge { .. } => "JOURNAL_PAYLOAD_TOO_LARGE",
            Self::InvalidMeta { .. } => "JOURNAL_INVALID_META",
            Self::InvalidOption { .. } => "JOURNAL_INVALID_OPTION",
            Self::SequenceNotFound { .. } => "JOURNAL_SEQUENCE_NOT_FOUND",
            Self::BlockNotFound { .. } => "JOURNAL_BLOCK_NOT_FOUND",
            Self::InvalidProof { .. } => "JOURNAL_INVALID_PROOF",
            Self::InvalidSnapshot { .. } => "JOURNAL_INVALID_SNAPSHOT",
        }
    }

    /// Turns an errno into the typed error: full disk and quota become `NoSpace`, all else `Io`.
    pub(crate) fn from_errno(op: &'static str, path: &Path, errno: i32, needed_bytes: u64) -> Self {
        let full = [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT];
        if full.iter().any(|e| e.raw_os_error() == errno) {
            Self::NoSpace { op, path: path.to_path_buf(), needed_bytes }
        } else {
            Self::Io { op, path: path.to_path_buf(), errno }
        }
    }

    pub(crate) fn from_io(op: &'static str, path: &Path, error: &std::io::Error) -> Self {
        // Errors without an errno come from std itself (for example an interrupted write-all): report EIO.
        let errno = error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error());
        Self::from_errno(op, path, errno, 0)
    }
}
