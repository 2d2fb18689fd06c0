//! Proofs that stand on their own: a record is in the log, and one log continues another.

use std::path::Path;

use crate::error::{Cause, JournalError};
use crate::format::{BlockHeader, BLOCK_HEADER_BYTES};
use crate::merkle::{self, Hash, MAX_PATH_LENGTH};
use crate::reader::Reader;
use crate::scan::{at_cursor, Cursor};
use crate::segment::{self, Segment};
use crate::writer::MAX_PAYLOAD_LIMIT_BYTES;

const INCLUSION_MAGIC: [u8; 8] = *b"TWPROOF1";
const CONSISTENCY_MAGIC: [u8; 8] = *b"TWCONS01";
const DIGEST_BYTES: usize = 32;

/// Shows that the record with sequence `seq` is in the log with `root`. Holds the whole block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    pub seq: u64,
    pub tree_size: u64,
    pub root: Hash,
    pub header_bytes: [u8; BLOCK_HEADER_BYTES],
    pub payload: Vec<u8>,
    pub path: Vec<Hash>,
}

impl InclusionProof {
    /// True when the block is whole, holds `seq`, and is in the log with this published root. Needs no journal.
    pub fn verify(&self, root: Hash) -> bool {
        let Ok(header) = BlockHeader::decode(&self.header_bytes) else { return false };
        let payload_fits = self.payload.len() == header.payload_bytes as usize
            && crc32c::crc32c(&self.payload) == header.payload_crc;
        let holds_sequence = (header.first_seq..=header.last_seq()).contains(&self.seq);
        if !payload_fits || !holds_sequence || self.root != root || self.path.len() > MAX_PATH_LENGTH {
            return false;
        }
        let leaf = merkle::leaf_hash(&self.block_hash());
        merkle::tree_hash_from_inclusion(leaf, header.block, self.tree_size, &self.path)
            .is_some_and(|tree_hash| merkle::bound_root(self.tree_size, &tree_hash) == root)
    }

    pub fn block_hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.header_bytes);
        hasher.update(&self.payload);
        *hasher.finalize().as_bytes()
    }

    /// Number of the proven block, None when the header bytes are no block header.
    pub fn block(&self) -> Option<u64> {
        BlockHeader::decode(&self.header_bytes).ok().map(|header| header.block)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = INCLUSION_MAGIC.to_vec();
        bytes.extend_from_slice(&self.seq.to_le_bytes());
        bytes.extend_from_slice(&self.tree_size.to_le_bytes());
        bytes.extend_from_slice(&self.root);
        bytes.extend_from_slice(&self.header_bytes);
        bytes.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.payload);
        put_path(&mut bytes, &self.path);
        seal(bytes)
    }

    /// # Errors
    /// `InvalidProof` when the bytes are short, changed, or not a proof of this kind.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JournalError> {
        let mut fields = Fields::unseal(bytes, INCLUSION_MAGIC)?;
        let proof = Self {
            seq: u64::from_le_bytes(fields.array()?),
            tree_size: u64::from_le_bytes(fields.array()?),
            root: fields.array()?,
            header_bytes: fields.array()?,
            payload: fields.payload()?,
            path: fields.path()?,
        };
        fields.finish()?;
        Ok(proof)
    }
}

/// Shows that the log with `old_size` blocks is a prefix of the one with `new_size` blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    pub old_size: u64,
    pub new_size: u64,
    /// Tree hash of the old log, not yet bound to its size.
    pub old_tree_hash: Hash,
    /// Tree hash of the new log, not yet bound to its size.
    pub new_tree_hash: Hash,
    pub path: Vec<Hash>,
}

impl ConsistencyProof {
    /// True when both published roots belong to one log that only grew. Needs no journal.
    pub fn verify(&self, old_root: Hash, new_root: Hash) -> bool {
        let roots_fit = merkle::bound_root(self.old_size, &self.old_tree_hash) == old_root
            && merkle::bound_root(self.new_size, &self.new_tree_hash) == new_root;
        if !roots_fit || self.old_size > self.new_size || self.path.len() > MAX_PATH_LENGTH {
            return false;
        }
        if self.old_size == 0 && self.new_size > 0 {
            // Every log continues the empty one.
            return self.path.is_empty() && self.old_tree_hash == merkle::empty_tree_hash();
        }
        merkle::tree_hash_from_consistency(self.old_size, self.new_size, self.old_tree_hash, &self.path)
            == Some(self.new_tree_hash)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = CONSISTENCY_MAGIC.to_vec();
        bytes.extend_from_slice(&self.old_size.to_le_bytes());
        bytes.extend_from_slice(&self.new_size.to_le_bytes());
        bytes.extend_from_slice(&self.old_tree_hash);
        bytes.extend_from_slice(&self.new_tree_hash);
        put_path(&mut bytes, &self.path);
        seal(bytes)
    }

    /// # Errors
    /// `InvalidProof` when the bytes are short, changed, or not a proof of this kind.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JournalError> {
        let mut fields = Fields::unseal(bytes, CONSISTENCY_MAGIC)?;
        let proof = Self {
            old_size: u64::from_le_bytes(fields.array()?),
            new_size: u64::from_le_bytes(fields.array()?),
            old_tree_hash: fields.array()?,
            new_tree_hash: fields.array()?,
            path: fields.path()?,
        };
        fields.finish()?;
        Ok(proof)
    }
}

/// Proves that `seq` is in the log as it stands now.
///
/// # Errors
/// `SequenceNotFound`, `Corrupt`, `NotAJournal`, `Io`.
pub fn prove(dir: &Path, seq: u64) -> Result<InclusionProof, JournalError> {
    let mut reader = Reader::open_at_seq(dir, seq)?;
    let last_seq = reader.last_seq();
    let Some(block) = reader.next()? else {
        return Err(JournalError::SequenceNotFound { seq, last_seq });
    };
    let header_bytes = block.header_bytes.try_into().expect("a block lends its 96 header bytes");
    let (number, hash, offset, first_seq) = (block.block, block.hash, block.offset, block.first_seq);
    let payload = block.payload.to_vec();
    let leaves = leaves(dir)?;
    let index = number as usize;
    if leaves.get(index) != Some(&merkle::leaf_hash(&hash)) {
        let segment = reader.segment_name().to_string();
        let cause = Cause::FooterMismatch { field: "block index" };
        return Err(JournalError::Corrupt { block: number, segment, first_seq, offset, cause });
    }
    let tree_size = leaves.len() as u64;
    let root = merkle::bound_root(tree_size, &merkle::tree_hash(&leaves));
    Ok(InclusionProof {
        seq,
        tree_size,
        root,
        header_bytes,
        payload,
        path: merkle::inclusion_path(&leaves, index),
    })
}

/// Number of blocks and the Merkle root over them that may be signed and published.
pub fn root(dir: &Path) -> Result<(u64, Hash), JournalError> {
    let leaves = leaves(dir)?;
    let tree_size = leaves.len() as u64;
    Ok((tree_size, merkle::bound_root(tree_size, &merkle::tree_hash(&leaves))))
}

/// The root as it was when the log had `tree_size` blocks.
///
/// # Errors
/// `BlockNotFound` when the log is shorter; `Corrupt`, `NotAJournal`, `Io`.
pub fn root_at(dir: &Path, tree_size: u64) -> Result<Hash, JournalError> {
    let leaves = leaves_up_to(dir, tree_size)?;
    Ok(merkle::bound_root(tree_size, &merkle::tree_hash(&leaves)))
}

/// Proves that the log as it stands now continues the one that had `old_size` blocks.
///
/// # Errors
/// `BlockNotFound` when the log is shorter; `Corrupt`, `NotAJournal`, `Io`.
pub fn prove_consistency(dir: &Path, old_size: u64) -> Result<ConsistencyProof, JournalError> {
    let leaves = leaves(dir)?;
    consistency(&leaves, old_size)
}

/// Proves that the log with `new_size` blocks continues the one with `old_size` blocks.
///
/// # Errors
/// `BlockNotFound` when the log is shorter or `old_size > new_size`; `Corrupt`, `NotAJournal`, `Io`.
pub fn prove_consistency_between(
    dir: &Path,
    old_size: u64,
    new_size: u64,
) -> Result<ConsistencyProof, JournalError> {
    consistency(&leaves_up_to(dir, new_size)?, old_size)
}

fn consistency(leaves: &[Hash], old_size: u64) -> Result<ConsistencyProof, JournalError> {
    let new_size = leaves.len() as u64;
    if old_size > new_size {
        return Err(JournalError::BlockNotFound { block: old_size, blocks: new_size });
    }
    let old_leaves = &leaves[..old_size as usize];
    Ok(ConsistencyProof {
        old_size,
        new_size,
        old_tree_hash: merkle::tree_hash(old_leaves),
        new_tree_hash: merkle::tree_hash(leaves),
        path: merkle::consistency_path(leaves, old_size as usize),
    })
}

fn leaves_up_to(dir: &Path, tree_size: u64) -> Result<Vec<Hash>, JournalError> {
    let mut all = leaves(dir)?;
    if tree_size > all.len() as u64 {
        return Err(JournalError::BlockNotFound { block: tree_size, blocks: all.len() as u64 });
    }
    all.truncate(tree_size as usize);
    Ok(all)
}

/// Leaf hashes of all blocks: from the footers of sealed segments, by walking the open one.
fn leaves(dir: &Path) -> Result<Vec<Hash>, JournalError> {
    let genesis_hash = segment::read_genesis_hash(dir)?;
    let names = segment::list(dir)?;
    let mut leaves = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let opened = Segment::open(dir, name)?;
        let cursor = Cursor::at_start_of(&opened.header);
        let refuse = |cursor: &Cursor, cause| Err(at_cursor(&opened, cursor, 0, cause));
        if opened.header.genesis_hash != genesis_hash {
            return refuse(&cursor, Cause::Genesis);
        }
        if opened.header.first_block != leaves.len() as u64 {
            return refuse(&cursor, Cause::MissingSegment);
        }
        match opened.footer()? {
            Some(footer) => leaves.extend(footer.entries.iter().map(|entry| merkle::leaf_hash(&entry.hash))),
            None if position + 1 < names.len() => return refuse(&cursor, Cause::NotSealed),
            None => walk(dir, cursor.next_block, &mut leaves)?,
        }
    }
    Ok(leaves)
}

/// The blocks behind the last footer. The reader tells the end of the log from damage.
fn walk(dir: &Path, first_block: u64, leaves: &mut Vec<Hash>) -> Result<(), JournalError> {
    let mut reader = Reader::open(dir, first_block)?;
    while let Some(block) = reader.next()? {
        leaves.push(merkle::leaf_hash(&block.hash));
    }
    Ok(())
}

fn put_path(bytes: &mut Vec<u8>, path: &[Hash]) {
    bytes.extend_from_slice(&(path.len() as u32).to_le_bytes());
    path.iter().for_each(|hash| bytes.extend_from_slice(hash));
}

/// Appends a digest, so that a damaged file is told from a false proof.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = blake3::hash(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn unseal(bytes: &'a [u8], magic: [u8; 8]) -> Result<Self, JournalError> {
        let refuse = |reason| Err(JournalError::InvalidProof { reason });
        let Some(length) = bytes.len().checked_sub(DIGEST_BYTES).filter(|length| *length >= magic.len())
        else {
            return refuse("too short");
        };
        let (body, digest) = bytes.split_at(length);
        if body[..magic.len()] != magic {
            return refuse("not a proof of this kind and version");
        }
        if blake3::hash(body).as_bytes() != digest {
            return refuse("digest does not match: the bytes were changed");
        }
        Ok(Self { rest: &body[magic.len()..] })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], JournalError> {
        if length > self.rest.len() {
            return Err(JournalError::InvalidProof { reason: "too short" });
        }
        let (field, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], JournalError> {
        Ok(self.take(N)?.try_into().expect("took N bytes"))
    }

    fn payload(&mut self) -> Result<Vec<u8>, JournalError> {
        let length = u32::from_le_bytes(self.array()?);
        if length > MAX_PAYLOAD_LIMIT_BYTES {
            return Err(JournalError::InvalidProof { reason: "payload too large" });
        }
        Ok(self.take(length as usize)?.to_vec())
    }

    fn path(&mut self) -> Result<Vec<Hash>, JournalError> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        if length > MAX_PATH_LENGTH {
            return Err(JournalError::InvalidProof { reason: "path too long" });
        }
        (0..length).map(|_| self.array()).collect()
    }

    fn finish(&self) -> Result<(), JournalError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(JournalError::InvalidProof { reason: "bytes follow the proof" })
    }
}
