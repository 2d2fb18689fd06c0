//! The bytes on disk: segment header, block header, segment footer. Little-endian, pure, no I/O.
//!
//! ```text
//! segment  = segment header (128) | block* | zeros          while it is open
//!          = segment header (128) | block* | footer         once it is sealed; the file ends with the footer
//! block    = header (96) | payload | BLAKE3(header || payload) (32) | zeros up to a multiple of 64
//! footer   = header (192) | index entry (48) per block | zeros up to a multiple of 64 | tail (64)
//! ```

use crate::error::Cause;
use crate::merkle::Hash;

pub const ALIGNMENT_BYTES: u64 = 64;
pub const SEGMENT_HEADER_BYTES: usize = 128;
pub const BLOCK_HEADER_BYTES: usize = 96;
pub const BLOCK_TRAILER_BYTES: usize = 32;
pub const FOOTER_HEADER_BYTES: usize = 192;
pub const INDEX_ENTRY_BYTES: usize = 48;
pub const FOOTER_TAIL_BYTES: usize = 64;

/// No segment holds more blocks; keeps the arithmetic on a declared count from overflowing.
const MAX_SEGMENT_BLOCKS: u64 = 1 << 40;

pub const BLOCK_MAGIC: [u8; 4] = *b"TWJB";
pub const FOOTER_MAGIC: [u8; 4] = *b"TWJF";
const SEGMENT_MAGIC: [u8; 8] = *b"TWJSEG01";
const TAIL_MAGIC: [u8; 8] = *b"TWJTAIL1";
const GENESIS_DOMAIN: &[u8] = b"tradewind/genesis/v1";

/// Hash from which block 0 chains: `BLAKE3("tradewind/genesis/v1" || genesis)`.
pub fn genesis_hash(genesis: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(GENESIS_DOMAIN);
    hasher.update(genesis);
    *hasher.finalize().as_bytes()
}

pub fn align_up(bytes: u64) -> u64 {
    bytes.div_ceil(ALIGNMENT_BYTES) * ALIGNMENT_BYTES
}

/// Bytes a block with this payload takes in a segment, padding included.
pub fn block_bytes(payload_bytes: u64) -> u64 {
    align_up(BLOCK_HEADER_BYTES as u64 + payload_bytes + BLOCK_TRAILER_BYTES as u64)
}

/// Bytes of the footer of a segment with this many blocks.
pub fn footer_bytes(blocks: u64) -> u64 {
    align_up(FOOTER_HEADER_BYTES as u64 + blocks * INDEX_ENTRY_BYTES as u64) + FOOTER_TAIL_BYTES as u64
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("slice of N bytes")
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn crc_fits(bytes: &[u8], at: usize) -> bool {
    crc32c::crc32c(&bytes[..at]).to_le_bytes() == bytes[at..at + 4]
}

fn put_crc(bytes: &mut [u8], at: usize) {
    let crc = crc32c::crc32c(&bytes[..at]);
    put(bytes, at, &crc.to_le_bytes());
}

/// First bytes of every segment: where in the log it begins, and from which hash it chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    pub shard: u16,
    pub capacity_bytes: u64,
    pub first_block: u64,
    pub first_seq: u64,
    pub prev_hash: Hash,
    pub genesis_hash: Hash,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0u8; SEGMENT_HEADER_BYTES];
        put(&mut bytes, 0, &SEGMENT_MAGIC);
        put(&mut bytes, 8, &self.shard.to_le_bytes());
        put(&mut bytes, 16, &self.capacity_bytes.to_le_bytes());
        put(&mut bytes, 24, &self.first_block.to_le_bytes());
        put(&mut bytes, 32, &self.first_seq.to_le_bytes());
        put(&mut bytes, 40, &self.prev_hash);
        put(&mut bytes, 72, &self.genesis_hash);
        put_crc(&mut bytes, 124);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Cause> {
        if bytes.len() < SEGMENT_HEADER_BYTES || bytes[..8] != SEGMENT_MAGIC || !crc_fits(bytes, 124) {
            return Err(Cause::SegmentHeader);
        }
        let header = Self {
            shard: u16::from_le_bytes(take(bytes, 8)),
            capacity_bytes: u64::from_le_bytes(take(bytes, 16)),
            first_block: u64::from_le_bytes(take(bytes, 24)),
            first_seq: u64::from_le_bytes(take(bytes, 32)),
            prev_hash: take(bytes, 40),
            genesis_hash: take(bytes, 72),
        };
        Ok(header)
    }
}

/// Header of one block, 96 bytes. `payload_crc` is the CRC-32C of the payload alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// Format of the payload: the writer's business, opaque here.
    pub format: u16,
    pub shard: u16,
    /// Epoch of the writer; never goes back within one log.
    pub epoch: u64,
    /// Number of this block, counted from 0.
    pub block: u64,
    pub first_seq: u64,
    /// Number of records, at least 1.
    pub count: u32,
    pub payload_bytes: u32,
    pub rule_version: u32,
    pub payload_crc: u32,
    /// Nanoseconds since the Unix epoch, UTC, as stamped by the sequencer.
    pub time_ns: i64,
    pub prev_hash: Hash,
}

impl BlockHeader {
    pub fn encode(&self) -> [u8; BLOCK_HEADER_BYTES] {
        let mut bytes = [0u8; BLOCK_HEADER_BYTES];
        put(&mut bytes, 0, &BLOCK_MAGIC);
        put(&mut bytes, 4, &self.format.to_le_bytes());
        put(&mut bytes, 6, &self.shard.to_le_bytes());
        put(&mut bytes, 8, &self.epoch.to_le_bytes());
        put(&mut bytes, 16, &self.block.to_le_bytes());
        put(&mut bytes, 24, &self.first_seq.to_le_bytes());
        put(&mut bytes, 32, &self.count.to_le_bytes());
        put(&mut bytes, 36, &self.payload_bytes.to_le_bytes());
        put(&mut bytes, 40, &self.rule_version.to_le_bytes());
        put(&mut bytes, 44, &self.payload_crc.to_le_bytes());
        put(&mut bytes, 48, &self.time_ns.to_le_bytes());
        put(&mut bytes, 56, &self.prev_hash);
        put_crc(&mut bytes, 92);
        bytes
    }

    /// # Errors
    /// `BadMagic`, `HeaderChecksum`, `ReservedNotZero`, `RecordCount`. `bytes` must hold 96 bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Cause> {
        if bytes[..4] != BLOCK_MAGIC {
            return Err(Cause::BadMagic);
        }
        if !crc_fits(bytes, 92) {
            return Err(Cause::HeaderChecksum);
        }
        if bytes[88..92] != [0; 4] {
            return Err(Cause::ReservedNotZero);
        }
        let header = Self {
            format: u16::from_le_bytes(take(bytes, 4)),
            shard: u16::from_le_bytes(take(bytes, 6)),
            epoch: u64::from_le_bytes(take(bytes, 8)),
            block: u64::from_le_bytes(take(bytes, 16)),
            first_seq: u64::from_le_bytes(take(bytes, 24)),
            count: u32::from_le_bytes(take(bytes, 32)),
            payload_bytes: u32::from_le_bytes(take(bytes, 36)),
            rule_version: u32::from_le_bytes(take(bytes, 40)),
            payload_crc: u32::from_le_bytes(take(bytes, 44)),
            time_ns: i64::from_le_bytes(take(bytes, 48)),
            prev_hash: take(bytes, 56),
        };
        if header.count == 0 || header.first_seq.checked_add(u64::from(header.count)).is_none() {
            return Err(Cause::RecordCount);
        }
        Ok(header)
    }

    /// Sequence of the last record. Cannot overflow: checked when decoding and before writing.
    pub fn last_seq(&self) -> u64 {
        self.first_seq + (u64::from(self.count) - 1)
    }

    /// Bytes from the start of this block to the start of the next.
    pub fn total_bytes(&self) -> u64 {
        block_bytes(u64::from(self.payload_bytes))
    }
}

/// One line of a footer's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    pub offset: u64,
    pub first_seq: u64,
    pub hash: Hash,
}

/// Seals a segment: index of its blocks, Merkle hash over them, tree hash of the whole log up to here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    pub shard: u16,
    pub first_block: u64,
    pub last_seq: u64,
    /// Offset of the footer, which is where the blocks end.
    pub offset: u64,
    pub head_hash: Hash,
    pub segment_hash: Hash,
    pub log_hash: Hash,
    pub entries: Vec<IndexEntry>,
}

impl Footer {
    /// Offset at which the sealed file ends.
    pub fn end_offset(&self) -> u64 {
        self.offset + footer_bytes(self.entries.len() as u64)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0u8; footer_bytes(self.entries.len() as u64) as usize];
        let (header, rest) = bytes.split_at_mut(FOOTER_HEADER_BYTES);
        for (slot, entry) in rest.chunks_exact_mut(INDEX_ENTRY_BYTES).zip(&self.entries) {
            put(slot, 0, &entry.offset.to_le_bytes());
            put(slot, 8, &entry.first_seq.to_le_bytes());
            put(slot, 16, &entry.hash);
        }
        let tail_at = rest.len() - FOOTER_TAIL_BYTES;
        let index_crc = crc32c::crc32c(&rest[..tail_at]);
        put(header, 0, &FOOTER_MAGIC);
        put(header, 6, &self.shard.to_le_bytes());
        put(header, 8, &self.first_block.to_le_bytes());
        put(header, 16, &(self.entries.len() as u64).to_le_bytes());
        put(header, 24, &self.last_seq.to_le_bytes());
        put(header, 32, &self.offset.to_le_bytes());
        put(header, 40, &self.head_hash);
        put(header, 72, &self.segment_hash);
        put(header, 104, &self.log_hash);
        put(header, 136, &index_crc.to_le_bytes());
        put_crc(header, 188);
        let tail = &mut rest[tail_at..];
        put(tail, 0, &TAIL_MAGIC);
        put(tail, 8, &self.offset.to_le_bytes());
        put_crc(tail, 60);
        bytes
    }

    /// Number of blocks a footer header declares, or None when the header is not a valid footer header.
    pub fn declared_blocks(header: &[u8]) -> Option<u64> {
        let valid =
            header.len() >= FOOTER_HEADER_BYTES && header[..4] == FOOTER_MAGIC && crc_fits(header, 188);
        valid.then(|| u64::from_le_bytes(take(header, 16))).filter(|blocks| *blocks <= MAX_SEGMENT_BLOCKS)
    }

    /// Decodes a whole footer, tail included. `bytes` must hold exactly `footer_bytes(declared_blocks)`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Cause> {
        let blocks = Self::declared_blocks(bytes).ok_or(Cause::FooterDamaged)?;
        if bytes.len() as u64 != footer_bytes(blocks) {
            return Err(Cause::FooterDamaged);
        }
        let (header, rest) = bytes.split_at(FOOTER_HEADER_BYTES);
        let (index, tail) = rest.split_at(rest.len() - FOOTER_TAIL_BYTES);
        let offset = u64::from_le_bytes(take(header, 32));
        let index_fits = crc32c::crc32c(index) == u32::from_le_bytes(take(header, 136));
        if !index_fits || Self::offset_in_tail(tail) != Some(offset) {
            return Err(Cause::FooterDamaged);
        }
        let entry = |slot: &[u8]| IndexEntry {
            offset: u64::from_le_bytes(take(slot, 0)),
            first_seq: u64::from_le_bytes(take(slot, 8)),
            hash: take(slot, 16),
        };
        Ok(Self {
            shard: u16::from_le_bytes(take(header, 6)),
            first_block: u64::from_le_bytes(take(header, 8)),
            last_seq: u64::from_le_bytes(take(header, 24)),
            offset,
            head_hash: take(header, 40),
            segment_hash: take(header, 72),
            log_hash: take(header, 104),
            entries: index.chunks_exact(INDEX_ENTRY_BYTES).take(blocks as usize).map(entry).collect(),
        })
    }

    /// Offset of the footer, read from the last 64 bytes of a sealed segment; None when it is not sealed.
    pub fn offset_in_tail(tail: &[u8]) -> Option<u64> {
        let valid = tail.len() == FOOTER_TAIL_BYTES && tail[..8] == TAIL_MAGIC && crc_fits(tail, 60);
        valid.then(|| u64::from_le_bytes(take(tail, 8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c_with_the_published_check_value() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn the_genesis_hash_covers_the_domain_and_the_configuration() {
        assert_eq!(genesis_hash(b"abc"), *blake3::hash(b"tradewind/genesis/v1abc").as_bytes());
    }

    fn header() -> BlockHeader {
        BlockHeader {
            format: 3,
            shard: 2,
            epoch: 9,
            block: 77,
            first_seq: 1000,
            count: 5,
            payload_bytes: 321,
            rule_version: 4,
            payload_crc: 0xDEAD_BEEF,
            time_ns: -5,
            prev_hash: [0xAB; 32],
        }
    }

    #[test]
    fn a_block_header_comes_back_as_it_was_and_every_changed_bit_is_refused() {
        let bytes = header().encode();
        assert_eq!(BlockHeader::decode(&bytes), Ok(header()));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(BlockHeader::decode(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_header_without_records_or_past_the_last_sequence_is_refused() {
        let empty = BlockHeader { count: 0, ..header() };
        assert_eq!(BlockHeader::decode(&empty.encode()), Err(Cause::RecordCount));
        let overflowing = BlockHeader { first_seq: u64::MAX, count: 1, ..header() };
        assert_eq!(BlockHeader::decode(&overflowing.encode()), Err(Cause::RecordCount));
    }

    #[test]
    fn a_footer_comes_back_as_it_was_and_every_changed_bit_is_refused() {
        let entry = |i: u64| IndexEntry { offset: 128 + i * 192, first_seq: i, hash: [i as u8; 32] };
        let footer = Footer {
            shard: 1,
            first_block: 4,
            last_seq: 8,
            offset: 128 + 3 * 192,
            head_hash: [1; 32],
            segment_hash: [2; 32],
            log_hash: [3; 32],
            entries: (0..3).map(entry).collect(),
        };
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes), Ok(footer));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&changed).is_err(), "bit {bit}");
        }
    }
}
