//! The management fee of a day (protocol P9.8), and insurance: its target, and what its surplus gives back (P9.12).

use crate::codec::{Reader, Writer};
use crate::limits::DAY_NS;

/// Weeks are counted from the Unix epoch: they begin on Thursdays, 00:00 UTC.
pub const WEEK_NS: i64 = 7 * DAY_NS;
/// Line `vault_cash` on which a week's surplus waits until it enters the vault's value.
pub const RETURN_KEY: u32 = u32::MAX;
/// The target is a tenth of S; what is beyond twice the target is surplus.
const TARGET_PART: i128 = 10;
/// A hundredth of a claim is the claimant's own (P9.12).
const DEDUCTIBLE_PART: i64 = 100;
/// 10^4 bp of 365 days.
const YEAR_PARTS: i128 = 3_650_000;

/// The week of insurance that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InsuredWeek {
    /// 0 before the vault is used.
    pub since_ns: i64,
    /// Largest S of the week.
    pub at_risk: i128,
    /// Set aside at its start: the vault's, but not yet in its value.
    pub returning: i64,
}

impl InsuredWeek {
    /// The week that a moment lies in.
    pub fn start_of(now_ns: i64) -> i64 {
        now_ns.div_euclid(WEEK_NS).saturating_mul(WEEK_NS)
    }

    pub fn is_over(&self, now_ns: i64) -> bool {
        now_ns >= self.since_ns.saturating_add(WEEK_NS)
    }

    /// Notes a new S.
    pub fn observe(&mut self, at_risk: i128) {
        self.at_risk = self.at_risk.max(at_risk);
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.i64(self.since_ns);
        writer.raw(&self.at_risk.to_le_bytes());
        writer.i64(self.returning);
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let since_ns = reader.i64()?;
        let week =
            InsuredWeek { since_ns, at_risk: i128::from_le_bytes(reader.array()?), returning: reader.i64()? };
        if week.at_risk < 0 || week.returning < 0 {
            return Err(format!("a week of insurance with {} at risk, {}", week.at_risk, week.returning));
        }
        Ok(week)
    }
}

/// Insurance beyond twice a tenth of S, and beyond what it always keeps. Micro-units, all at least 0.
///
/// ```
/// # use tradewind_engine::vault::terms::insurance_surplus;
/// assert_eq!(insurance_surplus(500, 1_000, 0), 300);
/// assert_eq!((insurance_surplus(500, 1_001, 0), insurance_surplus(500, 0, 450)), (299, 50));
/// ```
pub fn insurance_surplus(insurance: i64, at_risk: i128, kept: i64) -> i64 {
    let wanted = (at_risk.max(0).saturating_mul(2) + TARGET_PART - 1) / TARGET_PART;
    let left = i128::from(insurance) - wanted.max(i128::from(kept));
    left.max(0) as i64
}

/// What insurance may pay of a claim: all but the hundredth, rounded up, that stays with the claimant.
pub const fn insurable(claim: i64) -> i64 {
    claim - (claim / DEDUCTIBLE_PART + (claim % DEDUCTIBLE_PART != 0) as i64)
}

/// The fee of one day on a vault's value, rounded down: what rounding keeps is the vault's.
///
/// ```
/// # use tradewind_engine::vault::terms::management_fee;
/// assert_eq!(management_fee(3_650_000_000_000, 200), 200_000_000);
/// assert_eq!((management_fee(18_249, 200), management_fee(18_250, 200)), (0, 1));
/// ```
pub fn management_fee(nav: i64, rate_bp: i64) -> i64 {
    (i128::from(nav.max(0)) * i128::from(rate_bp.max(0)) / YEAR_PARTS) as i64
}
