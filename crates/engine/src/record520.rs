//! The 520-byte outcome-market record and its overflow records (protocol P1.6): what an archive holds of a market.
//!
//! Little-endian, naturally aligned, no padding; size and every offset are asserted at compile time. A market of N
//! outcomes is one base record and `ceil(max(0, N - 8) / 28)` overflow records behind it.

use crate::record;
use crate::wire::error::{reject, Code, Reject};
use crate::wire::record::Record;

/// Bytes of a base record and of an overflow record.
pub const RECORD_BYTES: usize = 520;
/// Type tags of P1.3.4.
pub const OUTCOME_TAG: u8 = 0x08;
pub const OVERFLOW_TAG: u8 = 0x09;
pub const RECORD_VERSION: u8 = 1;
/// Outcomes of a market.
pub const MIN_OUTCOMES: usize = 2;
pub const MAX_OUTCOMES: usize = 64;
/// Outcomes that the base record holds, and each overflow record.
pub const BASE_OUTCOMES: usize = 8;
pub const OVERFLOW_OUTCOMES: usize = 28;
pub const MAX_OVERFLOW: usize = 2;
pub const MAX_LINKS: usize = 11;
/// Values of `winner` that are no outcome.
pub const WINNER_INVALID: u8 = 0xFE;
pub const WINNER_UNRESOLVED: u8 = 0xFF;
/// Bits of `halt_reasons`: breakers B1..B7 and, in the highest bit, a halt by hand.
pub const HALT_BITS: u16 = 0x807F;
/// Highest numbers of the fields that are codes.
const MAX_AMM_KIND: u8 = 4;
const MAX_STATUS: u8 = 7;
const MAX_PAUSE_LEVEL: u8 = 3;

/// A chain that holds this market: its handle, and the exposure in lots (negative: short).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Link {
    pub chain: u64,
    pub exposure_lots: i64,
}

const _: () = assert!(size_of::<Link>() == 16);

record! {
    /// The base record. Prices, volumes and liquidity in micro-USDC; times in ns.
    OutcomeMarketRecord: 520 {
        tag: u8,
        version: u8,
        length: u16,
        header_flags: u32,
        market_id: [u8; 32],
        condition_id: [u8; 32],
        /// Zero if the market is in no verse.
        verse_id: [u8; 32],
        /// Outcomes 0..7; further ones are in overflow records, unused places are zero.
        prices: [u64; 8],
        /// Cumulative.
        volumes: [u64; 8],
        /// In the pool and within 2 % of the middle.
        liquidity: u64,
        settle_time_ns: i64,
        /// 0 = not final.
        resolution_time_ns: i64,
        /// Evidence hash and resolution id.
        attestation: [u8; 64],
        /// Lots liquidated in the current window.
        liquidation_accumulator: u64,
        links: [Link; 11],
        links_used: u8,
        /// An outcome, `WINNER_INVALID` or `WINNER_UNRESOLVED`.
        winner: u8,
        outcome_count: u8,
        amm_kind: u8,
        /// As in `market::status`.
        status: u8,
        pause_level: u8,
        /// `HALT_BITS`.
        halt_reasons: u16,
        overflow_count: u8,
        reserved: [u8; 3],
        /// Links of the market, those kept elsewhere included.
        links_total: u16,
        /// CRC-16/CCITT-FALSE of the bytes before it.
        crc16: u16,
    }
}

record! {
    /// Outcomes 8..35 (index 1) and 36..63 (index 2) of a market.
    OutcomeOverflowRecord: 520 {
        tag: u8,
        version: u8,
        length: u16,
        header_flags: u32,
        market_id: [u8; 32],
        prices: [u64; 28],
        volumes: [u64; 28],
        index: u8,
        /// Outcomes held, 1..28; behind them everything is zero.
        used: u8,
        reserved: [u8; 28],
        crc16: u16,
    }
}

/// The offsets of P1.6.1 and P1.6.2; a field that moves does not compile.
macro_rules! offsets {
    ($record:ident { $($field:ident = $offset:literal),* $(,)? }) => {
        const _: () = { $(assert!(core::mem::offset_of!($record, $field) == $offset);)* };
    };
}

offsets!(OutcomeMarketRecord {
    tag = 0,
    version = 1,
    length = 2,
    header_flags = 4,
    market_id = 8,
    condition_id = 40,
    verse_id = 72,
    prices = 104,
    volumes = 168,
    liquidity = 232,
    settle_time_ns = 240,
    resolution_time_ns = 248,
    attestation = 256,
    liquidation_accumulator = 320,
    links = 328,
    links_used = 504,
    winner = 505,
    outcome_count = 506,
    amm_kind = 507,
    status = 508,
    pause_level = 509,
    halt_reasons = 510,
    overflow_count = 512,
    reserved = 513,
    links_total = 516,
    crc16 = 518,
});
offsets!(OutcomeOverflowRecord {
    tag = 0,
    version = 1,
    length = 2,
    header_flags = 4,
    market_id = 8,
    prices = 40,
    volumes = 264,
    index = 488,
    used = 489,
    reserved = 490,
    crc16 = 518,
});
const _: () = assert!(align_of::<OutcomeMarketRecord>() == 8 && align_of::<OutcomeOverflowRecord>() == 8);
const _: () = assert!(BASE_OUTCOMES + MAX_OVERFLOW * OVERFLOW_OUTCOMES == MAX_OUTCOMES);
// The bytes in memory are the bytes on the wire.
const _: () = assert!(cfg!(target_endian = "little"));

/// CRC-16/CCITT-FALSE (P1.6.3): polynomial 1021, initial FFFF, not reflected, nothing added at the end.
pub const fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    let mut place = 0;
    while place < bytes.len() {
        crc = (crc << 8) ^ CRC_TABLE[((crc >> 8) ^ bytes[place] as u16) as usize];
        place += 1;
    }
    crc
}

const CRC_TABLE: [u16; 256] = {
    let mut table = [0_u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

// The check values of P1.6.3.
const _: () = assert!(crc16(b"123456789") == 0x29B1);
const _: () = assert!(crc16(&[0; 518]) == 0x128D);

/// Overflow records of a market of `outcomes` outcomes (P1.6.2).
pub const fn overflow_count(outcomes: usize) -> usize {
    outcomes.saturating_sub(BASE_OUTCOMES).div_ceil(OVERFLOW_OUTCOMES)
}

/// A market as an archive holds it. Prices, volumes and liquidity in micro-USDC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedMarket {
    pub header_flags: u32,
    pub market_id: [u8; 32],
    pub condition_id: [u8; 32],
    pub verse_id: [u8; 32],
    /// One per outcome, 2..=64.
    pub prices: Vec<u64>,
    /// As many as there are prices.
    pub volumes: Vec<u64>,
    pub liquidity: u64,
    pub settle_time_ns: i64,
    pub resolution_time_ns: i64,
    pub evidence_hash: [u8; 32],
    pub resolution_id: [u8; 32],
    pub liquidation_accumulator: u64,
    /// At most [`MAX_LINKS`].
    pub links: Vec<Link>,
    /// At least as many as `links`.
    pub links_total: u16,
    pub winner: u8,
    pub amm_kind: u8,
    pub status: u8,
    pub pause_level: u8,
    pub halt_reasons: u16,
}

impl ArchivedMarket {
    /// The base record and its overflow records, one after the other.
    ///
    /// # Errors
    /// `INVALID_OUTCOME_COUNT` for fewer than 2 or more than 64 outcomes or another number of volumes;
    /// `PARAMETER_OUT_OF_BOUNDS`, `INVALID_OUTCOME` and `RESERVED_NOT_ZERO` for a value that has no meaning. Nothing
    /// is ever cut to fit.
    pub fn encode(&self) -> Result<Vec<u8>, Reject> {
        self.check()?;
        let outcomes = self.prices.len();
        let mut base = OutcomeMarketRecord {
            tag: OUTCOME_TAG,
            version: RECORD_VERSION,
            length: RECORD_BYTES as u16,
            header_flags: self.header_flags,
            market_id: self.market_id,
            condition_id: self.condition_id,
            verse_id: self.verse_id,
            liquidity: self.liquidity,
            settle_time_ns: self.settle_time_ns,
            resolution_time_ns: self.resolution_time_ns,
            liquidation_accumulator: self.liquidation_accumulator,
            links_used: self.links.len() as u8,
            winner: self.winner,
            outcome_count: outcomes as u8,
            amm_kind: self.amm_kind,
            status: self.status,
            pause_level: self.pause_level,
            halt_reasons: self.halt_reasons,
            overflow_count: overflow_count(outcomes) as u8,
            links_total: self.links_total,
            ..Record::zero()
        };
        base.attestation[..32].copy_from_slice(&self.evidence_hash);
        base.attestation[32..].copy_from_slice(&self.resolution_id);
        let head = outcomes.min(BASE_OUTCOMES);
        base.prices[..head].copy_from_slice(&self.prices[..head]);
        base.volumes[..head].copy_from_slice(&self.volumes[..head]);
        base.links[..self.links.len()].copy_from_slice(&self.links);
        base.crc16 = checksum(base.bytes());
        let mut bytes = base.bytes().to_vec();
        let behind = self.prices[head..].chunks(OVERFLOW_OUTCOMES);
        for (place, (prices, volumes)) in
            behind.zip(self.volumes[head..].chunks(OVERFLOW_OUTCOMES)).enumerate()
        {
            bytes.extend_from_slice(overflow(self, place + 1, prices, volumes).bytes());
        }
        Ok(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// In the order of P1.3.3: `INVALID_RECORD_LENGTH`, `INVALID_TYPE_TAG`, `UNSUPPORTED_VERSION`,
    /// `RESERVED_NOT_ZERO`, `CHECKSUM_MISMATCH`; then what [`encode`](Self::encode) refuses, and
    /// `DERIVED_ID_MISMATCH` for an overflow record of another market.
    pub fn decode(bytes: &[u8]) -> Result<Self, Reject> {
        if bytes.len() < RECORD_BYTES || bytes.len() % RECORD_BYTES != 0 {
            return reject(Code::INVALID_RECORD_LENGTH, RECORD_BYTES as i64, bytes.len() as i64);
        }
        let base = read_base(&bytes[..RECORD_BYTES])?;
        let outcomes = check_outcomes(usize::from(base.outcome_count))?;
        let (wanted, given) = (overflow_count(outcomes), usize::from(base.overflow_count));
        if wanted != given {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, wanted as i64, given as i64);
        }
        let whole = RECORD_BYTES * (1 + wanted);
        if bytes.len() != whole {
            return reject(Code::INVALID_RECORD_LENGTH, whole as i64, bytes.len() as i64);
        }
        let (mut prices, mut volumes) = (base.prices.to_vec(), base.volumes.to_vec());
        for (place, part) in bytes[RECORD_BYTES..].chunks_exact(RECORD_BYTES).enumerate() {
            let part = read_overflow(part, &base.market_id, place + 1)?;
            prices.extend_from_slice(&part.prices);
            volumes.extend_from_slice(&part.volumes);
        }
        check_unused(&prices[outcomes..])?;
        check_unused(&volumes[outcomes..])?;
        prices.truncate(outcomes);
        volumes.truncate(outcomes);
        let (evidence, resolution) = base.attestation.split_at(32);
        let market = ArchivedMarket {
            header_flags: base.header_flags,
            market_id: base.market_id,
            condition_id: base.condition_id,
            verse_id: base.verse_id,
            prices,
            volumes,
            liquidity: base.liquidity,
            settle_time_ns: base.settle_time_ns,
            resolution_time_ns: base.resolution_time_ns,
            evidence_hash: evidence.try_into().expect("half of 64 bytes"),
            resolution_id: resolution.try_into().expect("half of 64 bytes"),
            liquidation_accumulator: base.liquidation_accumulator,
            links: base.links[..usize::from(base.links_used)].to_vec(),
            links_total: base.links_total,
            winner: base.winner,
            amm_kind: base.amm_kind,
            status: base.status,
            pause_level: base.pause_level,
            halt_reasons: base.halt_reasons,
        };
        market.check()?;
        Ok(market)
    }

    /// What no value of a field may contradict, in both directions.
    fn check(&self) -> Result<(), Reject> {
        let outcomes = check_outcomes(self.prices.len())?;
        if self.volumes.len() != outcomes {
            return reject(Code::INVALID_OUTCOME_COUNT, outcomes as i64, self.volumes.len() as i64);
        }
        let links = self.links.len();
        for (given, most) in [
            (links, MAX_LINKS),
            (usize::from(self.amm_kind), usize::from(MAX_AMM_KIND)),
            (usize::from(self.status), usize::from(MAX_STATUS)),
            (usize::from(self.pause_level), usize::from(MAX_PAUSE_LEVEL)),
        ] {
            if given > most {
                return reject(Code::PARAMETER_OUT_OF_BOUNDS, most as i64, given as i64);
            }
        }
        if usize::from(self.links_total) < links {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, links as i64, i64::from(self.links_total));
        }
        if self.halt_reasons & !HALT_BITS != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(self.halt_reasons & !HALT_BITS));
        }
        if usize::from(self.winner) >= outcomes && !matches!(self.winner, WINNER_INVALID | WINNER_UNRESOLVED)
        {
            return reject(Code::INVALID_OUTCOME, outcomes as i64 - 1, i64::from(self.winner));
        }
        Ok(())
    }
}

fn check_outcomes(outcomes: usize) -> Result<usize, Reject> {
    match outcomes {
        MIN_OUTCOMES..=MAX_OUTCOMES => Ok(outcomes),
        few if few < MIN_OUTCOMES => reject(Code::INVALID_OUTCOME_COUNT, MIN_OUTCOMES as i64, few as i64),
        many => reject(Code::INVALID_OUTCOME_COUNT, MAX_OUTCOMES as i64, many as i64),
    }
}

fn overflow(market: &ArchivedMarket, index: usize, prices: &[u64], volumes: &[u64]) -> OutcomeOverflowRecord {
    let mut record = OutcomeOverflowRecord {
        tag: OVERFLOW_TAG,
        version: RECORD_VERSION,
        length: RECORD_BYTES as u16,
        market_id: market.market_id,
        index: index as u8,
        used: prices.len() as u8,
        ..Record::zero()
    };
    record.prices[..prices.len()].copy_from_slice(prices);
    record.volumes[..volumes.len()].copy_from_slice(volumes);
    record.crc16 = checksum(record.bytes());
    record
}

fn checksum(record: &[u8]) -> u16 {
    crc16(&record[..RECORD_BYTES - size_of::<u16>()])
}

/// The checks that both kinds of record share, in the order of P1.3.3.
fn check_header(record: &[u8], tag: u8, length: u16, reserved: &[u8]) -> Result<(), Reject> {
    if usize::from(length) != RECORD_BYTES {
        return reject(Code::INVALID_RECORD_LENGTH, RECORD_BYTES as i64, i64::from(length));
    }
    if record[0] != tag {
        return reject(Code::INVALID_TYPE_TAG, i64::from(tag), i64::from(record[0]));
    }
    if record[1] != RECORD_VERSION {
        return reject(Code::UNSUPPORTED_VERSION, i64::from(RECORD_VERSION), i64::from(record[1]));
    }
    if let Some(&byte) = reserved.iter().find(|&&byte| byte != 0) {
        return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(byte));
    }
    let stored = u16::from_le_bytes([record[RECORD_BYTES - 2], record[RECORD_BYTES - 1]]);
    let computed = checksum(record);
    if stored != computed {
        return reject(Code::CHECKSUM_MISMATCH, i64::from(computed), i64::from(stored));
    }
    Ok(())
}

fn read_base(bytes: &[u8]) -> Result<OutcomeMarketRecord, Reject> {
    let base: OutcomeMarketRecord = bytemuck::pod_read_unaligned(bytes);
    check_header(bytes, OUTCOME_TAG, base.length, &base.reserved)?;
    let used = usize::from(base.links_used);
    if used > MAX_LINKS {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, MAX_LINKS as i64, used as i64);
    }
    if base.links[used..].iter().any(|link| *link != Link::default()) {
        return reject(Code::RESERVED_NOT_ZERO, 0, used as i64);
    }
    Ok(base)
}

fn read_overflow(bytes: &[u8], market: &[u8; 32], index: usize) -> Result<OutcomeOverflowRecord, Reject> {
    let part: OutcomeOverflowRecord = bytemuck::pod_read_unaligned(bytes);
    check_header(bytes, OVERFLOW_TAG, part.length, &part.reserved)?;
    if part.market_id != *market {
        return reject(Code::DERIVED_ID_MISMATCH, 0, index as i64);
    }
    if usize::from(part.index) != index {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, index as i64, i64::from(part.index));
    }
    if part.header_flags != 0 {
        return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(part.header_flags));
    }
    let used = usize::from(part.used);
    if used == 0 || used > OVERFLOW_OUTCOMES {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, OVERFLOW_OUTCOMES as i64, used as i64);
    }
    check_unused(&part.prices[used..])?;
    check_unused(&part.volumes[used..])?;
    Ok(part)
}

/// Places behind the last outcome hold nothing.
fn check_unused(places: &[u64]) -> Result<(), Reject> {
    match places.iter().find(|&&value| value != 0) {
        Some(&value) => reject(Code::RESERVED_NOT_ZERO, 0, value.min(i64::MAX as u64) as i64),
        None => Ok(()),
    }
}
