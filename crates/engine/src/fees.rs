//! Fees as pure functions (protocol P8): the elastic taker rate, its adjustments and discounts, amounts, rebates, the
//! split, and the incentive invariant. Rates in 1e-8 bp, money in micro-units.

pub mod adjust;
pub mod burn;
pub mod settings;
pub mod volume;

use crate::codec::{Reader, Writer};
use crate::coverage::Coverage;
use crate::wire::error::{reject, Code, Reject};

/// One basis point as a rate.
pub const BP_E8: u32 = 100_000_000;
/// The whole of an amount as a rate: 10,000 bp.
pub const WHOLE_E8: i128 = 1_000_000_000_000;
/// Bounds of the elastic taker rate (P8.2).
pub const FLOOR_BP: u32 = 3;
pub const CAP_BP: u32 = 28;
pub const FLOOR_E8: u32 = FLOOR_BP * BP_E8;
pub const CAP_E8: u32 = CAP_BP * BP_E8;
/// Steepness of the curve per unit of coverage.
const STEEPNESS: f64 = 3.0;
/// Bounds of the rate in the profile POST_EMISSION, and its named rates (P8.9).
pub const POST_FLOOR_BP: u32 = 5;
pub const POST_CAP_BP: u32 = 100;
pub const POST_RATES_BP: [(&str, u32); 3] = [("promo", 20), ("standard", 30), ("premium", 50)];

/// `3 + 25·exp(−3c)` bp, to the nearest 1e-8 bp (P8.2). The exponential is that of the compiled-in software library,
/// so that every machine has the same rate.
///
/// ```
/// # use tradewind_engine::{coverage::Coverage, fees::elastic_rate_e8};
/// assert_eq!(elastic_rate_e8(Coverage::from_ppm(1_000_000)), 424_467_671);
/// assert_eq!(elastic_rate_e8(Coverage::INFINITE), 300_000_000);
/// ```
pub fn elastic_rate_e8(coverage: Coverage) -> u32 {
    let Some(ppm) = coverage.ppm() else { return FLOOR_E8 };
    let spread = f64::from(CAP_E8 - FLOOR_E8) * libm::exp(-STEEPNESS * (ppm as f64 / 1e6));
    // Not negative and at most 25e8: the conversion is exact after rounding to the nearest integer.
    FLOOR_E8 + libm::floor(spread + 0.5) as u32
}

/// What a market looks like to the adjustments of P8.3. Unknown volatility or depth: `None`, which adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Annualised, in ppm.
    pub volatility_ppm: Option<u64>,
    /// Of the pool, or of the book within 2 %, in micro-quote.
    pub depth_micro: Option<i64>,
    /// Load of the shard in ppm.
    pub load_ppm: u32,
}

/// Basis points that the conditions add (P8.3).
pub fn adjustment_bp(conditions: &Conditions) -> u32 {
    let volatility = match conditions.volatility_ppm {
        Some(ppm) if ppm > 500_000 => 3,
        Some(ppm) if ppm > 300_000 => 2,
        Some(ppm) if ppm > 100_000 => 1,
        _ => 0,
    };
    let depth = match conditions.depth_micro {
        Some(micro) if micro < 1_000_000_000 => 2,
        Some(micro) if micro < 10_000_000_000 => 1,
        _ => 0,
    };
    volatility + depth + u32::from(conditions.load_ppm > 800_000)
}

/// (least micro-quote of 30 d volume, bp), ascending (P8.4).
pub const VOLUME_TIERS: [(i64, u32); 4] =
    [(100_000_000_000, 5), (1_000_000_000_000, 10), (10_000_000_000_000, 15), (100_000_000_000_000, 20)];
/// (least micro-MMT staked, bp), ascending (P8.4).
pub const STAKE_TIERS: [(i64, u32); 4] =
    [(1_000_000_000, 5), (10_000_000_000, 10), (100_000_000_000, 15), (1_000_000_000_000, 25)];

fn tier(tiers: &[(i64, u32)], value: i64) -> u32 {
    tiers.iter().rev().find(|(least, _)| value >= *least).map_or(0, |(_, bp)| *bp)
}

/// Basis points that an account's volume or stake takes off: the larger of the two (P8.4).
pub fn discount_bp(volume_30d_micro: i64, staked_micro: i64) -> u32 {
    tier(&VOLUME_TIERS, volume_30d_micro).max(tier(&STAKE_TIERS, staked_micro))
}

/// The rate that a taker pays: elastic, adjusted and capped, discounted and floored (P8.2 to P8.4).
pub fn taker_rate_e8(coverage: Coverage, adjustment_bp: u32, discount_bp: u32) -> u32 {
    let adjusted = elastic_rate_e8(coverage).saturating_add(adjustment_bp.saturating_mul(BP_E8)).min(CAP_E8);
    adjusted.saturating_sub(discount_bp.saturating_mul(BP_E8)).max(FLOOR_E8)
}

/// The rate in the profile POST_EMISSION: the market's own, at most 100 bp, less the discount, but at least 5 bp unless
/// the market asks for less (P8.9).
pub fn flat_rate_e8(market_e6bp: u32, discount_bp: u32) -> u64 {
    let bp_e8 = |bp: u32| u64::from(bp) * u64::from(BP_E8);
    let most_e8 = (u64::from(market_e6bp) * 100).min(bp_e8(POST_CAP_BP));
    most_e8.saturating_sub(bp_e8(discount_bp)).max(bp_e8(POST_FLOOR_BP).min(most_e8))
}

/// `ceil(base · rate / 10^12)`, once per fill (P8.5). The base is not negative, the rate at most the whole.
///
/// ```
/// # use tradewind_engine::fees::amount;
/// assert_eq!(amount(100_000_000, 424_467_671_u32), 42_447);
/// ```
#[inline]
pub fn amount(base_micro: i64, rate_e8: impl Into<u64>) -> i64 {
    let rate_e8: u64 = rate_e8.into();
    debug_assert!(base_micro >= 0);
    match base_micro.checked_mul(rate_e8 as i64) {
        Some(product) => (product as u64).div_ceil(WHOLE_E8 as u64) as i64,
        None => {
            let product = i128::from(base_micro) * i128::from(rate_e8);
            ((product + WHOLE_E8 - 1) / WHOLE_E8) as i64
        }
    }
}

/// An order's worst rate in 1e-6 bp as one in 1e-8 bp.
#[inline]
pub const fn worst_e8(cap_e6bp: u32) -> u64 {
    cap_e6bp as u64 * 100
}

/// Fee base of an outcome fill: `lots · unit · min(p, T − p)` in micro-quote, price in ticks of `ticks` (P8.1).
#[inline]
pub fn outcome_base(price: i64, ticks: i64, lots: i64, unit: i64) -> i64 {
    crate::perp::margin::product(lots, unit, price.min(ticks - price)).clamp(0, i128::from(i64::MAX)) as i64
}

/// Points that a maker gains by improving the best price by a basis point of the middle or more (P8.6).
pub const IMPROVEMENT_POINTS: u32 = 5;
/// Largest shares of a taker fee in per cent: maker rebate, referral, volume reward, all three (P8.6, P8.7).
pub const MAX_REBATE_PCT: u32 = 50;
pub const MAX_REFERRAL_PCT: u32 = 10;
pub const MAX_REWARD_PCT: u32 = 20;
pub const MAX_INCENTIVE_PCT: u32 = 80;
pub const DEFAULT_REBATE_PCT: u32 = 20;

/// Shares of the taker fee that go back to traders, in per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incentives {
    pub rebate_pct: u32,
    pub referral_pct: u32,
    pub reward_pct: u32,
}

impl Incentives {
    /// The invariant of P8.7: a configuration that could return more than 80 % of a taker fee is refused.
    ///
    /// # Errors
    /// `PARAMETER_OUT_OF_BOUNDS` with the violated bound and the given per cent.
    pub fn check(&self) -> Result<(), Reject> {
        let sum = self.rebate_pct.saturating_add(self.referral_pct).saturating_add(self.reward_pct);
        let rows = [
            (self.rebate_pct, MAX_REBATE_PCT),
            (self.referral_pct, MAX_REFERRAL_PCT),
            (self.reward_pct, MAX_REWARD_PCT),
            (sum, MAX_INCENTIVE_PCT),
        ];
        match rows.into_iter().find(|(given, bound)| given > bound) {
            Some((given, bound)) => reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(bound), i64::from(given)),
            None => Ok(()),
        }
    }

    /// Micro-quote that come back to one who trades with itself and owns `owned_ppm` of vault and stake, of a taker
    /// fee: everything floored as it is paid. The invariant of P8.7 is that this is less than the fee while it owns
    /// less than half.
    pub fn returned(&self, taker_fee: i64, owned_ppm: u32, improves: bool, profile: Profile) -> i64 {
        let rebate = rebate(taker_fee, self.rebate_pct, improves);
        let part = |amount: i64, pct: u32| amount * i64::from(pct) / 100;
        let referral = part(taker_fee, self.referral_pct);
        let split = split(taker_fee - rebate - referral, profile);
        let owned = |amount: i64| (i128::from(amount) * i128::from(owned_ppm) / 1_000_000) as i64;
        rebate + referral + part(taker_fee, self.reward_pct) + owned(split.vault) + owned(split.stakers)
    }
}

/// What a maker receives of a collected taker fee: `floor(share · fee)`; a maker that improves the best price by a
/// basis point or more has five points more, within the bound (P8.6).
#[inline]
pub fn rebate(taker_fee: i64, share_pct: u32, improves: bool) -> i64 {
    crate::math::mul_div_floor(taker_fee, rebate_share_pct(share_pct, improves), 100)
}

/// The share of a taker fee that a maker receives, in per cent (P8.6).
#[inline]
pub fn rebate_share_pct(share_pct: u32, improves: bool) -> u32 {
    let extra = if improves { IMPROVEMENT_POINTS } else { 0 };
    (share_pct + extra).min(MAX_REBATE_PCT)
}

/// What the fees of the platform keep beside money.
#[derive(Clone, Debug, Default)]
pub struct Fees {
    pub volumes: volume::Volumes,
    pub adjust: adjust::Adjustments,
    pub burn: burn::Burn,
    /// Derived from governance.
    pub settings: settings::Settings,
}

impl Fees {
    pub fn encode(&self, writer: &mut Writer) {
        self.volumes.encode(writer);
        self.adjust.encode(writer);
        self.burn.encode(writer);
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let volumes = volume::Volumes::decode(reader)?;
        let adjust = adjust::Adjustments::decode(reader)?;
        Ok(Fees { volumes, adjust, burn: burn::Burn::decode(reader)?, ..Fees::default() })
    }
}

/// Where fees go (P8.8, P8.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Standard,
    /// A governance switch, off by default.
    PostEmission,
}

/// Parts of a fee in micro-units; they sum to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub vault: i64,
    pub stakers: i64,
    pub maker_fund: i64,
    /// Buys MMT from the market to burn it; insurance while there is no such market.
    pub buyback: i64,
    pub treasury: i64,
}

impl Split {
    pub const fn total(&self) -> i64 {
        self.vault + self.stakers + self.maker_fund + self.buyback + self.treasury
    }
}

/// Splits what is left of a fee after rebate and referral; each part floored, the remainder to the vault.
#[inline]
pub fn split(fees: i64, profile: Profile) -> Split {
    let part = |pct| crate::math::mul_div_floor(fees, pct, 100);
    let mut parts = match profile {
        Profile::Standard => {
            Split { stakers: part(15), maker_fund: part(5), buyback: part(10), ..Split::default() }
        }
        Profile::PostEmission => Split { maker_fund: part(30), treasury: part(20), ..Split::default() },
    };
    parts.vault = fees - parts.total();
    parts
}

impl Split {
    /// What the providers of a pool have of it: half of the vault's part, rounded down (P8.11).
    pub const fn providers(&self) -> i64 {
        self.vault / 2
    }
}

/// What the providers of a pool have of a swap's fee: half of the vault's part, rounded down (P8.11).
///
/// ```
/// assert_eq!(tradewind_engine::fees::provider_share(42_447), 14_857);
/// ```
pub fn provider_share(fee: i64) -> i64 {
    split(fee, Profile::Standard).vault / 2
}
