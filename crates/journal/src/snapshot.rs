//! Snapshots of the state at one position of the log: written completely or not at all, checked when loaded.
//!
//! `snapshots/<seq>.tws = header (128) | payload | BLAKE3(header || payload)`.

use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::JournalError;
use crate::merkle::Hash;

/// Snapshots kept on this disk, the newest ones.
pub const SNAPSHOTS_KEPT: usize = 3;
/// Damaged snapshots kept for inspection, the newest ones.
pub const BAD_SNAPSHOTS_KEPT: usize = 3;
/// Largest payload of a snapshot.
pub const MAX_SNAPSHOT_BYTES: u64 = 16 << 30;

const FOLDER: &str = "snapshots";
const SUFFIX: &str = ".tws";
const BAD_SUFFIX: &str = ".tws.bad";
const TEMPORARY_SUFFIX: &str = ".tmp";
const MAGIC: [u8; 8] = *b"TWSNAP01";
const HEADER_BYTES: usize = 128;
const DIGEST_BYTES: usize = 32;

/// A checked snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Last sequence whose effect is in the payload.
    pub seq: u64,
    /// Number of blocks whose effect is in the payload: replay goes on with this block number.
    pub block: u64,
    /// Hash of the last of those blocks.
    pub head_hash: Hash,
    pub state_hash: Hash,
    pub payload: Vec<u8>,
}

/// One snapshot file, not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    pub seq: u64,
    pub path: PathBuf,
    pub bytes: u64,
}

/// The newest snapshot that is whole, and the ones that were not and are now marked `.bad`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub snapshot: Option<Snapshot>,
    pub marked_bad: Vec<PathBuf>,
}

/// Writes a snapshot durably and removes all but the newest three. Returns its path. One writer at a time.
///
/// # Errors
/// `NoSpace`, `Io`, `PayloadTooLarge`: the snapshots from before are untouched.
pub fn write(
    dir: &Path,
    seq: u64,
    block: u64,
    head_hash: &Hash,
    state_hash: &Hash,
    payload: &[u8],
) -> Result<PathBuf, JournalError> {
    let bytes = payload.len() as u64;
    if bytes > MAX_SNAPSHOT_BYTES {
        return Err(JournalError::PayloadTooLarge { bytes, max_bytes: MAX_SNAPSHOT_BYTES });
    }
    let folder = dir.join(FOLDER);
    if !folder.exists() {
        std::fs::create_dir_all(&folder)
            .map_err(|e| JournalError::from_io("create directory", &folder, &e))?;
        disk::sync_dir(dir)?;
    }
    // Left by a writer that died: there is one snapshot writer, so nobody is still writing them.
    list_suffix(&folder, TEMPORARY_SUFFIX)?.iter().try_for_each(|file| disk::remove(&file.path))?;
    let header = encode_header(seq, block, head_hash, state_hash, bytes);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header);
    hasher.update(payload);
    let digest = hasher.finalize();
    let path = folder.join(format!("{seq:020}{SUFFIX}"));
    disk::write_file_atomically(&path, &[&header, payload, digest.as_bytes()])?;
    prune(&folder, SUFFIX, SNAPSHOTS_KEPT)?;
    Ok(path)
}

/// Snapshot files, newest first; files marked bad are not listed.
pub fn list(dir: &Path) -> Result<Vec<SnapshotFile>, JournalError> {
    list_suffix(&dir.join(FOLDER), SUFFIX)
}

/// Loads the newest snapshot that is whole. A damaged one is renamed to `.bad` and the one before is tried.
///
/// # Errors
/// `Io` when a file cannot be read or renamed; a damaged file is no error.
pub fn load_newest_valid(dir: &Path) -> Result<Loaded, JournalError> {
    let mut loaded = Loaded { snapshot: None, marked_bad: Vec::new() };
    for file in list(dir)? {
        match load(&file.path) {
            Ok(snapshot) => {
                loaded.snapshot = Some(snapshot);
                break;
            }
            Err(JournalError::InvalidSnapshot { .. }) => loaded.marked_bad.push(mark_bad(&file.path)?),
            Err(error) => return Err(error),
        }
    }
    if !loaded.marked_bad.is_empty() {
        prune(&dir.join(FOLDER), BAD_SUFFIX, BAD_SNAPSHOTS_KEPT)?;
    }
    Ok(loaded)
}

/// Loads and checks one snapshot file.
///
/// # Errors
/// `InvalidSnapshot` when it is short or any byte differs; `Io`.
pub fn load(path: &Path) -> Result<Snapshot, JournalError> {
    let refuse = |reason| JournalError::InvalidSnapshot { path: path.to_path_buf(), reason };
    let mut bytes = std::fs::read(path).map_err(|e| JournalError::from_io("read", path, &e))?;
    if bytes.len() < HEADER_BYTES + DIGEST_BYTES {
        return Err(refuse("too short"));
    }
    let (body, digest) = bytes.split_at(bytes.len() - DIGEST_BYTES);
    if blake3::hash(body).as_bytes() != digest {
        return Err(refuse("digest does not match"));
    }
    if body[..8] != MAGIC {
        return Err(refuse("not a snapshot of this version"));
    }
    let number = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("8 bytes"));
    let hash = |at: usize| -> Hash { body[at..at + 32].try_into().expect("32 bytes") };
    if number(24) != (body.len() - HEADER_BYTES) as u64 {
        return Err(refuse("length does not match"));
    }
    let (seq, block, head_hash, state_hash) = (number(8), number(16), hash(32), hash(64));
    if path.file_name().and_then(|name| name.to_str()) != Some(&format!("{seq:020}{SUFFIX}")) {
        return Err(refuse("name and content disagree about the sequence"));
    }
    bytes.truncate(bytes.len() - DIGEST_BYTES);
    bytes.drain(..HEADER_BYTES);
    Ok(Snapshot { seq, block, head_hash, state_hash, payload: bytes })
}

/// Renames a snapshot out of the way, also for a caller whose own check of the content failed.
///
/// # Errors
/// `Io`.
pub fn mark_bad(path: &Path) -> Result<PathBuf, JournalError> {
    let bad = path.with_extension("tws.bad");
    disk::rename(path, &bad)?;
    disk::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    Ok(bad)
}

fn encode_header(
    seq: u64,
    block: u64,
    head_hash: &Hash,
    state_hash: &Hash,
    bytes: u64,
) -> [u8; HEADER_BYTES] {
    let mut header = [0u8; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&seq.to_le_bytes());
    header[16..24].copy_from_slice(&block.to_le_bytes());
    header[24..32].copy_from_slice(&bytes.to_le_bytes());
    header[32..64].copy_from_slice(head_hash);
    header[64..96].copy_from_slice(state_hash);
    header
}

fn list_suffix(folder: &Path, suffix: &str) -> Result<Vec<SnapshotFile>, JournalError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = |e: &std::io::Error| JournalError::from_io("read directory", folder, e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| failed(&e))? {
        let path = entry.map_err(|e| failed(&e))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(suffix));
        let Some(seq) = name.and_then(|name| name.parse::<u64>().ok()) else { continue };
        let bytes = std::fs::metadata(&path).map_err(|e| failed(&e))?.len();
        files.push(SnapshotFile { seq, path, bytes });
    }
    files.sort_by_key(|file| std::cmp::Reverse(file.seq));
    Ok(files)
}

fn prune(folder: &Path, suffix: &str, kept: usize) -> Result<(), JournalError> {
    list_suffix(folder, suffix)?.iter().skip(kept).try_for_each(|file| disk::remove(&file.path))
}
