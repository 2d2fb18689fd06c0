//! Append-only, hash-chained, durable log. Knows bytes, not trading.
//!
//! One [`Journal`] writes, any number of [`Reader`]s read, also in other processes. A block is one batch of records;
//! it counts as written only after [`Journal::sync`]. `hash(n) = BLAKE3(header(n) || payload(n))`, and every header
//! holds the hash of the block before, down to the hash of the genesis configuration. [`verify`] names the first
//! damaged place, [`prove`] shows offline that a record is in a log with a published root.

mod disk;
mod error;
#[cfg(feature = "faults")]
pub mod faults;
mod format;
mod lock;
mod log;
mod merkle;
mod open;
mod proof;
mod reader;
mod scan;
mod segment;
pub mod snapshot;
mod verify;
mod writer;

pub use error::{Cause, JournalError};
pub use format::{genesis_hash, BLOCK_HEADER_BYTES};
pub use lock::{lock, DirectoryLock};
pub use log::TornTail;
pub use merkle::Hash;
pub use open::OpenReport;
pub use proof::{
    prove, prove_consistency, prove_consistency_between, root, root_at, ConsistencyProof, InclusionProof,
};
pub use reader::{Block, Reader};
pub use verify::{verify, VerifyReport};
pub use writer::{
    BlockMeta, BlockRef, Head, Journal, JournalOptions, MAX_PAYLOAD_LIMIT_BYTES, MAX_SEGMENT_AGE,
    MIN_SEGMENT_BYTES,
};
