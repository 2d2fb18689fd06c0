//! The one table of parameters: bounds, class, and which direction raises risk (protocol P14.5, P14.6).
//!
//! Whatever may be changed at run time is a row here. The row documents it, every check of bounds reads it, and
//! [`effect`] decides from it whether a change has to wait.

use crate::limits::{
    BAND_BP, DAY_NS, FEED_CONFIDENCE_PPM, FEED_DEVIATION_BP, FEED_INTERVAL_MS, FLOOR_MMF_PPM, HOUR_NS,
    LEVERAGE_E2, LIQUIDATION_FEE_E6BP, MAX_FEE_E6BP, MAX_MARKETS, MAX_SOURCES, SIZE_K_PPM, SLIPPAGE_BP,
};
use crate::math::MAX_BALANCE;
use crate::wire::error::{reject, Code, Reject};

/// Classes of P14.6: what a change needs and how long the next one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    Fees = 1,
    Risk = 2,
    Structure = 3,
    Roles = 4,
    Rules = 5,
    Treasury = 6,
}

impl Class {
    /// Approvals by distinct APPROVERs (P14.5).
    pub const fn approvals(self) -> u8 {
        match self {
            Class::Fees | Class::Risk => 2,
            Class::Structure | Class::Roles | Class::Rules | Class::Treasury => 3,
        }
    }

    /// Time between two changes of the same parameter (P14.6).
    pub const fn cooldown_ns(self) -> i64 {
        match self {
            Class::Structure => 90 * DAY_NS,
            _ => DAY_NS,
        }
    }
}

/// Which direction of a parameter is the dangerous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Riskier {
    /// A larger value takes more risk.
    Up,
    /// A smaller value takes more risk.
    Down,
    /// A larger value costs users more; a smaller one harms nobody.
    Fee,
    /// A larger value raises what open positions must hold, a smaller one takes more risk.
    Maintenance,
    /// A larger value takes more risk, a smaller one raises what open positions must hold.
    UpElseNotice,
    /// As `Up`, where 0 means that there is no limit.
    UpZeroIsNone,
    /// Any change counts as taking risk.
    Any,
    /// Any change but the one to 0, which switches something off.
    NotZero,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    None,
    /// Reduces risk, or lowers a fee: no time-lock.
    Reduces,
    /// Raises what open positions must hold: a day's notice.
    Notice,
    /// Takes more risk or raises a fee: the time-lock.
    Increases,
}

impl Effect {
    /// Time between proposal and execution; `time_lock_ns` as governance has set it.
    pub const fn lock_ns(self, time_lock_ns: i64) -> i64 {
        match self {
            Effect::None | Effect::Reduces => 0,
            Effect::Notice => 24 * HOUR_NS,
            Effect::Increases => time_lock_ns,
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    pub parameter: Parameter,
    pub name: &'static str,
    pub class: Class,
    pub riskier: Riskier,
    pub low: i64,
    pub high: i64,
    /// Value of a platform-wide parameter that was never set; the others start with what their record says.
    pub default: i64,
    pub meaning: &'static str,
}

macro_rules! parameters {
    ($($name:ident = $number:literal $text:literal $class:ident $riskier:ident [$low:expr, $high:expr] $default:expr, $meaning:literal;)*) => {
        /// Parameters by number; append-only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Parameter { $(#[doc = $meaning] $name = $number),* }

        /// Every parameter, ascending by number.
        pub const TABLE: &[Definition] = &[$(Definition {
            parameter: Parameter::$name, name: $text, class: Class::$class, riskier: Riskier::$riskier,
            low: $low, high: $high, default: $default, meaning: $meaning,
        }),*];
    };
}

parameters! {
    BandBp = 1 "market.band_bp" Risk Up [BAND_BP.0 as i64, BAND_BP.1 as i64] 1_000, "Price band around the reference in bp (P2.4.5)";
    SlippageBp = 2 "market.slippage_bp" Risk Up [SLIPPAGE_BP.0 as i64, SLIPPAGE_BP.1 as i64] 100, "Protective limit of market orders in bp (P2.4.4)";
    TakerFeeE6bp = 3 "market.taker_fee_e6bp" Fees Fee [0, MAX_FEE_E6BP as i64] 0, "Taker fee in 1e-6 bp (P8)";
    MakerFeeE6bp = 4 "market.maker_fee_e6bp" Fees Fee [0, MAX_FEE_E6BP as i64] 0, "Maker fee in 1e-6 bp (P8)";
    MinNotional = 5 "market.min_notional" Risk Down [1, MAX_BALANCE] 1_000_000, "Least notional of an order in micro-quote (P2.4.2)";
    MaxNotional = 6 "market.max_notional" Risk Up [1, MAX_BALANCE] 1_000_000_000_000, "Largest notional of an order in micro-quote (P2.4.2)";
    MaxLeverageE2 = 7 "risk.max_leverage_e2" Risk UpElseNotice [LEVERAGE_E2.0 as i64, LEVERAGE_E2.1 as i64] 1_000, "Largest leverage in hundredths; it sets the maintenance fraction too (P4.2, P4.5)";
    SizeKPpm = 8 "risk.size_k_ppm" Risk Maintenance [SIZE_K_PPM.0 as i64, SIZE_K_PPM.1 as i64] 50, "Size term of the margin fractions in ppm per root of a dollar (P4.2)";
    FloorMmfPpm = 9 "risk.floor_mmf_ppm" Risk Maintenance [FLOOR_MMF_PPM.0 as i64, FLOOR_MMF_PPM.1 as i64] 5_000, "Floor of the maintenance fraction in ppm (P4.2)";
    LiquidationFeeE6bp = 10 "risk.liquidation_fee_e6bp" Fees Fee [LIQUIDATION_FEE_E6BP.0 as i64, LIQUIDATION_FEE_E6BP.1 as i64] 50_000_000, "Liquidation fee in 1e-6 bp (P5.2)";
    PositionLimit = 11 "risk.position_limit" Risk Up [1, MAX_BALANCE] 10_000_000_000_000, "Largest notional of one position in micro-quote";
    OpenInterestCap = 12 "risk.open_interest_cap" Risk Up [1, MAX_BALANCE] 1_000_000_000_000_000, "Largest open interest in micro-quote";
    ImpactNotional = 13 "risk.impact_notional" Risk Any [1, MAX_BALANCE] 10_000_000_000, "Impact notional of the funding sample in micro-quote (P4.8)";
    InsuranceLimit = 14 "risk.insurance_limit" Risk Up [1, MAX_BALANCE] 1_000_000_000_000, "Largest position that insurance takes over in micro-quote (P5.6)";
    InitialAssetBp = 15 "asset.initial_asset_bp" Risk Up [0, 10_000] 0, "Initial weight of a holding in bp (P1.4.5)";
    MaintenanceAssetBp = 16 "asset.maintenance_asset_bp" Risk UpElseNotice [0, 10_000] 0, "Maintenance weight of a holding in bp (P1.4.5)";
    InitialLiabilityBp = 17 "asset.initial_liability_bp" Risk Down [10_000, 65_535] 10_000, "Initial weight of a debt in bp (P1.4.5)";
    MaintenanceLiabilityBp = 18 "asset.maintenance_liability_bp" Risk Maintenance [10_000, 65_535] 10_000, "Maintenance weight of a debt in bp (P1.4.5)";
    DepositCap = 19 "asset.deposit_cap" Risk UpZeroIsNone [0, MAX_BALANCE] 0, "Deposits over the whole platform in micro-units; 0 = no cap";
    CollateralCap = 20 "asset.collateral_cap" Risk UpZeroIsNone [0, MAX_BALANCE] 0, "What one sub-account may count as collateral in micro-units; 0 = no cap";
    FeedQuorum = 21 "feed.quorum" Risk Down [1, MAX_SOURCES as i64] 2, "Sources that an index needs (P6.1)";
    FeedIntervalMs = 22 "feed.interval_ms" Risk Up [FEED_INTERVAL_MS.0 as i64, FEED_INTERVAL_MS.1 as i64] 1_000, "Expected interval between updates of a source in ms (P6.1.3)";
    FeedConfidencePpm = 23 "feed.max_confidence_ppm" Risk Up [FEED_CONFIDENCE_PPM.0 as i64, FEED_CONFIDENCE_PPM.1 as i64] 10_000, "Largest confidence over value in ppm (P6.1)";
    FeedDeviationBp = 24 "feed.max_deviation_bp" Risk Up [FEED_DEVIATION_BP.0 as i64, FEED_DEVIATION_BP.1 as i64] 200, "Largest deviation between two sources in bp (P6.1.4)";
    FeedFallback = 25 "feed.fallback" Risk Any [0, u32::MAX as i64] 4_294_967_295, "Feed that is used when this one fails; 4294967295 = none";
    AssetFeed = 26 "asset.feed" Risk Any [0, u32::MAX as i64] 4_294_967_295, "Feed of an asset's price; 4294967295 = none, worth nothing as collateral";
    BreakerThreshold = 27 "breaker.threshold" Risk Up [0, MAX_BALANCE] 0, "Threshold of a breaker in its own unit (P7.1); its bounds stand with the breaker";
    BreakerSecondThreshold = 28 "breaker.second_threshold" Risk Up [0, MAX_BALANCE] 0, "Second threshold of a breaker (P7.1)";
    BreakerHaltS = 29 "breaker.halt_s" Risk Down [30, 14_400] 300, "Length of a breaker's halt in seconds (P7.1)";
    BreakerCooldownS = 30 "breaker.cooldown_s" Risk Up [12, 720] 60, "Seconds for which a closed breaker stays quiet (P7.4)";
    KeeperMinimumStake = 64 "keeper.minimum_stake" Risk Down [100, 100_000] 1_000, "Stake that a keeper needs to act, in whole tokens (P13.1)";
    TimeLockDays = 65 "governance.time_lock_days" Structure Down [1, 30] 7, "Days between proposal and execution of what raises risk (P14.5)";
    PerpetualStages = 80 "vault.perpetual_stages" Risk Down [0, 1] 0, "1: the stage of the vault bounds the leverage of perpetual markets too (P9.7)";
    ResolutionBond = 96 "resolution.bond" Risk Down [100, 100_000] 1_000, "Bond of the first round of a resolution, in whole units of the quote asset (P15.2)";
    ResolutionWindowHours = 97 "resolution.window_hours" Risk Down [1, 168] 2, "Hours to dispute the first round of a resolution (P15.2)";
    ShardCapacity = 100 "fees.shard_capacity" Fees Down [1_000, 10_000_000] 50_000, "Commands per second that count as a whole load of the shard (P8.3)";
    MakerRebatePct = 101 "fees.maker_rebate_pct" Fees Any [0, 50] 20, "Share of an elastic taker fee that its maker receives, in per cent (P8.6)";
    PostEmission = 102 "fees.post_emission" Fees Any [0, 1] 0, "1: the fee profile POST_EMISSION, flat rates of 5 to 100 bp and another split (P8.9)";
    RewardVolumePct = 120 "rewards.volume_pct" Structure Up [0, 20] 20, "Per cent of the season's rewards that go by makers' volume, the rest by what they show (P11.4)";
    ListingOpen = 140 "listing.open" Risk Up [0, 1] 0, "1: accounts may list outcome markets themselves (row 0101)";
    ListingBond = 141 "listing.bond" Risk Down [10, 100_000] 100, "Bond of a market that an account lists, in whole units of the quote asset (row 0101)";
    ListingRewardPct = 142 "listing.reward_pct" Risk Any [0, 50] 10, "Part of a listing bond for whoever says first what becomes final, in percent (P15.4)";
    ListingMarkets = 143 "listing.markets_per_account" Risk Up [1, 1_000] 16, "Markets listed by one account that are not final";
    FlashBorrow = 160 "chain.flash_borrow" Risk Up [0, 1] 0, "1: a chain may borrow from the vault until its last step (P15.9)";
    JumpMinimumPpm = 180 "outcome.jump_minimum_ppm" Risk Maintenance [20_000, 1_000_000] 100_000, "Least margin fraction of a leveraged outcome position in ppm: J_min (P4.6.2)";
    ManagementFeeBp = 190 "vault.management_fee_bp" Fees Fee [0, 200] 0, "Management fee of the vault in bp of its value a year, taken each day (P9.8)";
    InsuranceKept = 191 "insurance.kept" Risk Down [0, 1_000_000_000] 100_000, "Insurance that never returns to the vault, in whole units of the settlement asset (P9.12)";
    DarkIntervalMs = 192 "dark.interval_ms" Risk Any [250, 60_000] 1_000, "Time between two midpoint crosses of a market in ms (P16.1)";
    DarkMarket1 = 193 "dark.market_1" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket2 = 194 "dark.market_2" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket3 = 195 "dark.market_3" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket4 = 196 "dark.market_4" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket5 = 197 "dark.market_5" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket6 = 198 "dark.market_6" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket7 = 199 "dark.market_7" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket8 = 200 "dark.market_8" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket9 = 201 "dark.market_9" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket10 = 202 "dark.market_10" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket11 = 203 "dark.market_11" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket12 = 204 "dark.market_12" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket13 = 205 "dark.market_13" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket14 = 206 "dark.market_14" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket15 = 207 "dark.market_15" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
    DarkMarket16 = 208 "dark.market_16" Risk NotZero [0, MAX_MARKETS as i64] 0, "Handle plus one of a market with a midpoint cross; 0 = none (P16)";
}

/// The markets with a midpoint cross, each in a place of its own.
pub const DARK_MARKETS: [Parameter; 16] = [
    Parameter::DarkMarket1,
    Parameter::DarkMarket2,
    Parameter::DarkMarket3,
    Parameter::DarkMarket4,
    Parameter::DarkMarket5,
    Parameter::DarkMarket6,
    Parameter::DarkMarket7,
    Parameter::DarkMarket8,
    Parameter::DarkMarket9,
    Parameter::DarkMarket10,
    Parameter::DarkMarket11,
    Parameter::DarkMarket12,
    Parameter::DarkMarket13,
    Parameter::DarkMarket14,
    Parameter::DarkMarket15,
    Parameter::DarkMarket16,
];

/// First number of the parameters that SetParameter changes; those below belong to a market or an asset.
pub const FIRST_OF_PLATFORM: u32 = 64;

impl Parameter {
    pub fn definition(self) -> &'static Definition {
        let at = TABLE.binary_search_by_key(&self, |row| row.parameter);
        &TABLE[at.expect("every parameter has a row")]
    }

    /// The platform-wide parameter with this number.
    pub fn of_platform(number: u32) -> Option<Parameter> {
        let row = TABLE.iter().find(|row| row.parameter as u32 == number && number >= FIRST_OF_PLATFORM)?;
        Some(row.parameter)
    }

    /// # Errors
    /// `PARAMETER_OUT_OF_BOUNDS` with the bound that the value violates.
    pub fn check(self, value: i64) -> Result<(), Reject> {
        let row = self.definition();
        if value < row.low {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, row.low, value);
        }
        if value > row.high {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, row.high, value);
        }
        Ok(())
    }
}

/// The strongest effect of several changes: parameter, old and new value.
pub fn strongest(changes: impl IntoIterator<Item = (Parameter, i64, i64)>) -> Effect {
    let effects = changes.into_iter().map(|(parameter, old, new)| effect(parameter, old, new));
    effects.max().unwrap_or(Effect::None)
}

/// What changing a parameter from `old` to `new` does.
pub fn effect(parameter: Parameter, old: i64, new: i64) -> Effect {
    if old == new {
        return Effect::None;
    }
    let up = new > old;
    match (parameter.definition().riskier, up) {
        (Riskier::Any, _) => Effect::Increases,
        (Riskier::NotZero, _) if new == 0 => Effect::Reduces,
        (Riskier::NotZero, _) => Effect::Increases,
        (Riskier::Up | Riskier::Fee, true) => Effect::Increases,
        (Riskier::Up | Riskier::Fee, false) => Effect::Reduces,
        (Riskier::Down, true) => Effect::Reduces,
        (Riskier::Down, false) => Effect::Increases,
        (Riskier::Maintenance, true) => Effect::Notice,
        (Riskier::Maintenance, false) => Effect::Increases,
        (Riskier::UpElseNotice, true) => Effect::Increases,
        (Riskier::UpElseNotice, false) => Effect::Notice,
        (Riskier::UpZeroIsNone, _) => match (old, new) {
            (_, 0) => Effect::Increases,
            (0, _) => Effect::Reduces,
            _ if up => Effect::Increases,
            _ => Effect::Reduces,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Effect of a fall and of a rise between two positive values, row by row.
    fn expected(parameter: Parameter) -> (Effect, Effect) {
        use Effect::{Increases, Notice, Reduces};
        use Parameter as P;
        match parameter {
            P::BandBp | P::SlippageBp | P::MaxNotional => (Reduces, Increases),
            P::TakerFeeE6bp | P::MakerFeeE6bp | P::LiquidationFeeE6bp | P::ManagementFeeBp => {
                (Reduces, Increases)
            }
            P::PositionLimit | P::OpenInterestCap | P::InsuranceLimit => (Reduces, Increases),
            P::InitialAssetBp | P::DepositCap | P::CollateralCap => (Reduces, Increases),
            P::MinNotional | P::InitialLiabilityBp => (Increases, Reduces),
            P::KeeperMinimumStake | P::TimeLockDays | P::PerpetualStages => (Increases, Reduces),
            P::ResolutionBond | P::ResolutionWindowHours | P::InsuranceKept => (Increases, Reduces),
            P::RewardVolumePct => (Reduces, Increases),
            P::SizeKPpm | P::FloorMmfPpm | P::MaintenanceLiabilityBp | P::JumpMinimumPpm => {
                (Increases, Notice)
            }
            P::MaintenanceAssetBp | P::MaxLeverageE2 => (Notice, Increases),
            P::FeedIntervalMs | P::FeedConfidencePpm | P::FeedDeviationBp => (Reduces, Increases),
            P::BreakerThreshold | P::BreakerSecondThreshold | P::BreakerCooldownS => (Reduces, Increases),
            P::FeedQuorum | P::BreakerHaltS => (Increases, Reduces),
            P::FlashBorrow => (Reduces, Increases),
            P::ListingOpen | P::ListingMarkets => (Reduces, Increases),
            P::ListingBond => (Increases, Reduces),
            P::ListingRewardPct => (Increases, Increases),
            P::ShardCapacity => (Increases, Reduces),
            P::MakerRebatePct | P::PostEmission => (Increases, Increases),
            P::ImpactNotional | P::FeedFallback | P::AssetFeed | P::DarkIntervalMs => (Increases, Increases),
            other if DARK_MARKETS.contains(&other) => (Increases, Increases),
            other => unreachable!("{other:?} has no row here"),
        }
    }

    #[test]
    fn p14_5_every_parameter_has_its_effect_in_each_direction() {
        for row in TABLE {
            let middle = row.low + (row.high - row.low) / 2;
            let (fall, rise) = expected(row.parameter);
            assert_eq!(effect(row.parameter, middle, middle - 1), fall, "{} falls", row.name);
            assert_eq!(effect(row.parameter, middle, middle + 1), rise, "{} rises", row.name);
            assert_eq!(effect(row.parameter, middle, middle), Effect::None, "{} stays", row.name);
        }
    }

    #[test]
    fn taking_a_cap_away_raises_risk_and_setting_a_first_one_reduces_it() {
        for cap in [Parameter::DepositCap, Parameter::CollateralCap] {
            assert_eq!(effect(cap, 5, 0), Effect::Increases);
            assert_eq!(effect(cap, 0, 5), Effect::Reduces);
        }
        for place in DARK_MARKETS {
            assert_eq!((effect(place, 5, 0), effect(place, 0, 5)), (Effect::Reduces, Effect::Increases));
        }
    }

    #[test]
    fn rows_ascend_defaults_lie_within_bounds_and_one_beyond_either_bound_is_refused() {
        assert!(TABLE.windows(2).all(|pair| pair[0].parameter < pair[1].parameter));
        for row in TABLE {
            assert!(row.low < row.high && (row.low..=row.high).contains(&row.default), "{}", row.name);
            assert!(!row.meaning.is_empty());
            for bound in [row.low, row.high] {
                assert_eq!(row.parameter.check(bound), Ok(()));
            }
            let low = row.parameter.check(row.low - 1).expect_err("below");
            assert_eq!(
                (low.code, low.bound, low.given),
                (Code::PARAMETER_OUT_OF_BOUNDS, row.low, row.low - 1)
            );
            let high = row.parameter.check(row.high + 1).expect_err("above");
            assert_eq!(
                (high.code, high.bound, high.given),
                (Code::PARAMETER_OUT_OF_BOUNDS, row.high, row.high + 1)
            );
        }
    }

    #[test]
    fn locks_and_approvals_are_those_of_p14_5() {
        assert_eq!(Effect::Reduces.lock_ns(7 * DAY_NS), 0);
        assert_eq!(Effect::Notice.lock_ns(7 * DAY_NS), DAY_NS);
        assert_eq!(Effect::Increases.lock_ns(7 * DAY_NS), 7 * DAY_NS);
        let many = [Class::Structure, Class::Roles, Class::Rules, Class::Treasury];
        assert!(many.iter().all(|class| class.approvals() == 3));
        assert_eq!((Class::Fees.approvals(), Class::Risk.approvals()), (2, 2));
        assert_eq!((Class::Risk.cooldown_ns(), Class::Structure.cooldown_ns()), (DAY_NS, 90 * DAY_NS));
    }
}
