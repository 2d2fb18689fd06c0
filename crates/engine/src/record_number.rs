//! The 128-byte record of a number (tag 1B of P1.3.4): what an archive holds of a distribution market behind its
//! 520-byte record (P1.6), where there is no place for bounds and a value.
//!
//! Little-endian, naturally aligned, no padding; numbers in the question's unit times 10⁶, money in micro-USDC.

use crate::record;
use crate::record520::{crc16, ArchivedMarket};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::pool::amm_kind;
use crate::wire::record::Record;

pub const NUMBER_BYTES: usize = 128;
pub const NUMBER_TAG: u8 = 0x1B;
pub const NUMBER_VERSION: u8 = 1;
/// The whole of a payout in micro-USDC: the number is the upper bound.
const WHOLE: i128 = 1_000_000;

record! {
    /// What a distribution market asked for and what it paid at.
    DistributionClaimRecord: 128 {
        tag: u8,
        version: u8,
        length: u16,
        /// Zero in this version.
        header_flags: u32,
        market_id: [u8; 32],
        lower: i64,
        upper: i64,
        /// L2 norm of the claim, and what backed it.
        norm: i64,
        backing: i64,
        /// Of the traders' fees, what the creator received.
        fees: i64,
        /// The claim at the end.
        mean: i64,
        sigma: i64,
        /// The number that became final; 0 when there was none.
        value: i64,
        /// 1: there was none, every collateral returned (P15.1).
        invalid: u8,
        reserved: [u8; 21],
        /// CRC-16/CCITT-FALSE of the bytes before it.
        crc16: u16,
    }
}

const _: () = assert!(core::mem::offset_of!(DistributionClaimRecord, lower) == 40);
const _: () = assert!(core::mem::offset_of!(DistributionClaimRecord, crc16) == NUMBER_BYTES - 2);

/// The number of a market as its archive holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivedNumber {
    pub market_id: [u8; 32],
    pub lower: i64,
    pub upper: i64,
    pub norm: i64,
    pub backing: i64,
    pub fees: i64,
    pub mean: i64,
    pub sigma: i64,
    /// None: INVALID.
    pub value: Option<i64>,
}

impl ArchivedNumber {
    /// The record.
    ///
    /// # Errors
    /// `INVALID_BOUNDS` for a range that is empty or does not hold mean or value, `PARAMETER_OUT_OF_BOUNDS` for norm,
    /// backing and width below 1 or negative fees.
    pub fn encode(&self) -> Result<[u8; NUMBER_BYTES], Reject> {
        self.check()?;
        let mut record = DistributionClaimRecord {
            tag: NUMBER_TAG,
            version: NUMBER_VERSION,
            length: NUMBER_BYTES as u16,
            market_id: self.market_id,
            lower: self.lower,
            upper: self.upper,
            norm: self.norm,
            backing: self.backing,
            fees: self.fees,
            mean: self.mean,
            sigma: self.sigma,
            value: self.value.unwrap_or(0),
            invalid: u8::from(self.value.is_none()),
            ..Record::zero()
        };
        record.crc16 = crc16(&record.bytes()[..NUMBER_BYTES - 2]);
        Ok(record.bytes().try_into().expect("the size of the record"))
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// In the order of P1.3.3: `INVALID_RECORD_LENGTH`, `INVALID_TYPE_TAG`, `UNSUPPORTED_VERSION`,
    /// `RESERVED_NOT_ZERO`, `CHECKSUM_MISMATCH`; then what [`encode`](Self::encode) refuses.
    pub fn decode(bytes: &[u8]) -> Result<Self, Reject> {
        if bytes.len() != NUMBER_BYTES {
            return reject(Code::INVALID_RECORD_LENGTH, NUMBER_BYTES as i64, bytes.len() as i64);
        }
        let record: DistributionClaimRecord = bytemuck::pod_read_unaligned(bytes);
        if usize::from(record.length) != NUMBER_BYTES {
            return reject(Code::INVALID_RECORD_LENGTH, NUMBER_BYTES as i64, i64::from(record.length));
        }
        if record.tag != NUMBER_TAG {
            return reject(Code::INVALID_TYPE_TAG, i64::from(NUMBER_TAG), i64::from(record.tag));
        }
        if record.version != NUMBER_VERSION {
            return reject(Code::UNSUPPORTED_VERSION, i64::from(NUMBER_VERSION), i64::from(record.version));
        }
        if record.header_flags != 0 || record.reserved != [0; 21] {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(record.header_flags));
        }
        let computed = crc16(&bytes[..NUMBER_BYTES - 2]);
        if record.crc16 != computed {
            return reject(Code::CHECKSUM_MISMATCH, i64::from(computed), i64::from(record.crc16));
        }
        let value = match (record.invalid, record.value) {
            (0, value) => Some(value),
            (1, 0) => None,
            (other, _) => return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, i64::from(other)),
        };
        let number = ArchivedNumber {
            market_id: record.market_id,
            lower: record.lower,
            upper: record.upper,
            norm: record.norm,
            backing: record.backing,
            fees: record.fees,
            mean: record.mean,
            sigma: record.sigma,
            value,
        };
        number.check()?;
        Ok(number)
    }

    fn check(&self) -> Result<(), Reject> {
        let range = self.lower..=self.upper;
        if self.lower >= self.upper {
            return reject(Code::INVALID_BOUNDS, self.upper, self.lower);
        }
        for number in [self.mean].into_iter().chain(self.value) {
            if !range.contains(&number) {
                return reject(Code::INVALID_BOUNDS, self.upper, number);
            }
        }
        for (given, least) in [(self.norm, 1), (self.backing, 1), (self.sigma, 1), (self.fees, 0)] {
            if given < least {
                return reject(Code::PARAMETER_OUT_OF_BOUNDS, least, given);
            }
        }
        Ok(())
    }

    /// Whether this is the number of that market: the upper side was paid for how far up the number lies.
    ///
    /// # Errors
    /// `DERIVED_ID_MISMATCH` for another market, `INVALID_AMM_KIND` for one without a number, `PARAMETER_OUT_OF_BOUNDS`
    /// when its prices say another number.
    pub fn check_of(&self, market: &ArchivedMarket) -> Result<(), Reject> {
        if self.market_id != market.market_id {
            return Err(Code::DERIVED_ID_MISMATCH.into());
        }
        if market.amm_kind != amm_kind::DISTRIBUTION {
            return reject(
                Code::INVALID_AMM_KIND,
                i64::from(amm_kind::DISTRIBUTION),
                i64::from(market.amm_kind),
            );
        }
        let Some(value) = self.value else { return Ok(()) };
        let width = i128::from(self.upper) - i128::from(self.lower);
        let paid = width * i128::from(market.prices[0]) / WHOLE + i128::from(self.lower);
        if paid != i128::from(value) {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, paid as i64, value);
        }
        Ok(())
    }
}
