//! Margins, interest and sizes of leveraged outcome positions (protocol P4.6). Money in micro-units, shares of one in
//! ppm, leverage in hundredths, prices in ticks of the outcome that is held. Everything here is exact until the last
//! division, which names its direction.

use crate::limits::{DAY_NS, HOUR_NS};
use crate::market::Market;
use crate::math::{fee_ceil, notional};

const ONE: i128 = 1_000_000;
/// How long before settlement no debt may stand, and how long the ramp towards it lasts (P4.6.2).
pub const DEBT_FREE_NS: i64 = HOUR_NS;
pub const RAMP_NS: i64 = DAY_NS;
/// Of the vault's value: all loans, and what one account may cost it at worst (P4.6.5).
pub const MAX_UTILISATION_PCT: i128 = 80;
pub const MAX_EXPOSURE_PCT: i128 = 5;
/// A sale's limit lies at most this far below the mark (P5.5).
const SALE_BAND_BP: i64 = 250;
/// A sale that would leave less than this sells everything (P5.2).
const LEAST_REMAINDER: i64 = 100_000_000;
/// Hours of a year (P0.1).
const YEAR_H: i128 = 8_760;
/// One in the interest index.
pub const INDEX_ONE: i128 = 1_000_000_000_000_000_000;

fn div_ceil(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) != 0)
}

/// w of P4.6.2 in ppm, rounded down: 10^6 until a day before the last hour, 0 within it.
pub fn ramp_ppm(now_ns: i64, settle_ns: i64) -> i128 {
    let left_ns = i128::from(settle_ns) - i128::from(DEBT_FREE_NS) - i128::from(now_ns);
    (left_ns * ONE / i128::from(RAMP_NS)).clamp(0, ONE)
}

/// A day before settlement and a fraction of it: what the terms of P4.6.2 have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    w_ppm: i128,
    /// J_min, a parameter of the platform.
    jump_ppm: i128,
}

impl Ramp {
    pub fn at(now_ns: i64, settle_ns: i64, jump_ppm: i64) -> Self {
        Ramp { w_ppm: ramp_ppm(now_ns, settle_ns), jump_ppm: i128::from(jump_ppm) }
    }

    /// w in ppm.
    pub const fn w_ppm(self) -> u32 {
        self.w_ppm as u32
    }

    /// Whether no debt may stand any more.
    pub const fn is_over(self) -> bool {
        self.w_ppm == 0
    }

    /// `10^8·(1 + (l − 1)·w)`: leverage of the ramp.
    fn leverage_e8(self, cap_e2: u32) -> i128 {
        100 * ONE + (i128::from(cap_e2.max(100)) - 100) * self.w_ppm
    }

    /// `10^12·J`.
    fn jump_e12(self) -> i128 {
        self.jump_ppm * ONE + (ONE - self.jump_ppm) * (ONE - self.w_ppm)
    }

    /// `IM = ceil(v · max(1/l_cap(τ), J))`; a cap below 1 counts as 1 (P4.5).
    pub fn initial_margin(self, value: i64, cap_e2: u32) -> i128 {
        let value = i128::from(value.max(0));
        let by_leverage = div_ceil(value * 100 * ONE, self.leverage_e8(cap_e2));
        by_leverage.max(div_ceil(value * self.jump_e12(), ONE * ONE))
    }

    /// `ceil(v · J / 2)`: what a position needs at least within a group (P4.6.6).
    pub fn half_jump_margin(self, value: i64) -> i128 {
        div_ceil(i128::from(value.max(0)) * self.jump_e12(), ONE * ONE * 2)
    }

    /// `MM = ceil(v · max(1/l_base(τ), J) · (1 − w/2))`.
    pub fn maintenance_margin(self, value: i64, base_e2: u32) -> i128 {
        let (value, half) = (i128::from(value.max(0)), 2 * ONE - self.w_ppm);
        let by_leverage = div_ceil(value * 100 * half, self.leverage_e8(base_e2) * 2);
        by_leverage.max(div_ceil(value * self.jump_e12() * half, ONE * ONE * 2 * ONE))
    }
}

/// What a purchase at `leverage_e2` borrows of its value: all but `ceil(value / leverage)`.
pub fn loan_of(value: i64, leverage_e2: u32) -> i64 {
    value - div_ceil(i128::from(value) * 100, i128::from(leverage_e2.max(100))) as i64
}

/// Utilisation of the vault in ppm, rounded up; 10^6 when it is worth nothing.
pub fn utilisation_ppm(loans: i64, nav: i64) -> i64 {
    if nav <= 0 {
        return ONE as i64;
    }
    div_ceil(i128::from(loans) * ONE, i128::from(nav)).min(ONE) as i64
}

/// Interest a year in ppm at a utilisation in ppm (P4.6.5), rounded up.
///
/// ```
/// # use tradewind_engine::outcome::leverage::apr_ppm;
/// assert_eq!([0, 400_000, 800_000, 1_000_000].map(apr_ppm), [40_000, 80_000, 120_000, 920_000]);
/// ```
pub fn apr_ppm(utilisation_ppm: i64) -> i64 {
    let used = i128::from(utilisation_ppm.clamp(0, ONE as i64));
    let kink = 800_000;
    let apr = match used <= kink {
        true => 40_000 + div_ceil(80_000 * used, kink),
        false => 120_000 + div_ceil(800_000 * (used - kink), ONE - kink),
    };
    apr as i64
}

/// What the index grows by in so many hours.
pub fn index_step(apr_ppm: i64, hours: i64) -> i128 {
    div_ceil(i128::from(apr_ppm) * i128::from(hours) * (INDEX_ONE / ONE), YEAR_H)
}

/// Interest on a debt for a growth of the index, rounded up.
pub fn interest(debt: i64, grown: i128) -> i64 {
    let whole = div_ceil(i128::from(debt) * grown.max(0), INDEX_ONE);
    i64::try_from(whole).unwrap_or(i64::MAX)
}

/// The least price in ticks at which `lots` bring `owed` after the worst fee; None when none within the contract does.
pub fn least_price(market: &Market, lots: i64, owed: i64) -> Option<i64> {
    let highest = market.payout_ticks() - 1;
    let brings = |price: i64| {
        let value = notional(price, lots, market.unit).unwrap_or(i64::MAX);
        let base = market.outcome_fee_base(price, lots).unwrap_or(i64::MAX);
        value.saturating_sub(fee_ceil(base, market.parameters.fee_cap_e6bp())) >= owed
    };
    if !brings(highest) {
        return None;
    }
    // What a sale brings rises with its price: a fee is below its base's change.
    let (mut low, mut high) = (1, highest);
    while low < high {
        let middle = (low + high) / 2;
        match brings(middle) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Some(low)
}

/// A position at its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Valued {
    pub lots: i64,
    pub mark: i64,
    pub value: i64,
    pub equity: i64,
    pub maintenance: i128,
}

impl Valued {
    /// Equality is healthy (P5.1).
    pub const fn is_healthy(&self) -> bool {
        self.equity as i128 >= self.maintenance
    }

    /// Lots that a step sells: so many that what is left has a tenth more than its maintenance margin, everything when
    /// that is not to be had or less than $100 would be left (P5.2). Selling at the mark leaves the equity as it is.
    pub fn lots_to_sell(&self, unit: i64) -> i64 {
        let per_lot = i128::from(self.mark) * i128::from(unit);
        if self.equity <= 0 || per_lot == 0 || self.maintenance == 0 {
            return self.lots;
        }
        // v' = E·v / min(1.1·MM, v).
        let value = i128::from(self.value);
        let needed = div_ceil(self.maintenance * 11, 10).min(value).max(1);
        let kept = i128::from(self.equity) * value / needed;
        if kept < i128::from(LEAST_REMAINDER) {
            return self.lots;
        }
        (div_ceil(value - kept, per_lot) as i64).clamp(1, self.lots)
    }

    /// Limit of a sale: the bankruptcy price or 2.5 % below the mark, whichever is higher (P5.5).
    pub fn sale_limit(&self, bankruptcy: i64) -> i64 {
        let band = (self.mark * (10_000 - SALE_BAND_BP) + 9_999) / 10_000;
        bankruptcy.max(band).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SECOND_NS;

    const V: i64 = 100_000_000;
    const SETTLE: i64 = 1_000_000 * SECOND_NS;

    fn before(seconds: i64) -> Ramp {
        Ramp::at(SETTLE - 3_600 * SECOND_NS - seconds * SECOND_NS, SETTLE, 100_000)
    }

    #[test]
    fn p4_6_4_golden_margins_along_the_ramp() {
        let at = |seconds| {
            let ramp = before(seconds);
            (ramp.initial_margin(V, 7_000), ramp.maintenance_margin(V, 7_000))
        };
        assert_eq!(at(86_400), (10_000_000, 5_000_000));
        assert_eq!(at(10 * 86_400), (10_000_000, 5_000_000));
        assert_eq!(at(43_200), (55_000_000, 41_250_000));
        assert_eq!(before(43_200).leverage_e8(7_000), 3_550_000_000);
        assert_eq!(before(43_200).jump_e12(), 550_000_000_000);
        assert_eq!([at(0), at(-3_600), at(-7_200)], [(100_000_000, 100_000_000); 3]);
    }

    #[test]
    fn margins_only_grow_as_time_passes_and_maintenance_never_exceeds_the_initial_margin() {
        for cap_e2 in [0, 100, 101, 500, 1_000, 7_000] {
            for value in [1, 999, V, 4_000_000_000_000_000] {
                let mut last = (0, 0);
                for seconds in (0..=90_000).rev().step_by(450) {
                    let ramp = before(seconds);
                    let now = (ramp.initial_margin(value, cap_e2), ramp.maintenance_margin(value, cap_e2));
                    assert!(
                        now.0 >= last.0 && now.1 >= last.1 && now.1 <= now.0,
                        "{cap_e2} {value} {seconds}"
                    );
                    assert!(now.0 <= i128::from(value));
                    last = now;
                }
                assert_eq!(last, (i128::from(value), i128::from(value)));
            }
        }
    }

    #[test]
    fn p4_6_5_interest_by_utilisation_and_an_hour_is_rounded_up() {
        assert_eq!(utilisation_ppm(0, 0), 1_000_000);
        assert_eq!(utilisation_ppm(1, 3), 333_334);
        // 8.76 % of $1,000 a year are a cent an hour.
        let step = index_step(87_600, 1);
        assert_eq!(step, INDEX_ONE / 100_000);
        assert_eq!(interest(1_000_000_000, step), 10_000);
        assert_eq!(interest(1, step), 1);
        assert_eq!(interest(0, step), 0);
        assert_eq!(index_step(87_600, 3), 3 * step);
    }

    #[test]
    fn a_loan_is_what_the_chosen_leverage_leaves_and_none_at_one() {
        assert_eq!(loan_of(100, 500), 80);
        assert_eq!(loan_of(101, 500), 80);
        assert_eq!(loan_of(100, 100), 0);
        assert_eq!(loan_of(1, 7_000), 0);
    }

    #[test]
    fn a_step_sells_to_a_tenth_above_maintenance_and_all_of_what_is_small_or_lost() {
        // $1,000 at 0.5 with $40 of equity, MM 5 %: 1.1·MM = 55, kept 40/55 of 1,000.
        let valued = Valued {
            lots: 2_000_000,
            mark: 500,
            value: 1_000_000_000,
            equity: 40_000_000,
            maintenance: 50_000_000,
        };
        assert!(!valued.is_healthy());
        assert!(Valued { equity: 50_000_000, ..valued }.is_healthy());
        assert!(!Valued { equity: 49_999_999, ..valued }.is_healthy());
        let sold = valued.lots_to_sell(1);
        let left = 1_000_000_000 - sold * 500;
        assert!(i128::from(valued.equity) * 10 >= i128::from(left) / 20 * 11);
        assert!(i128::from(valued.equity) * 10 < i128::from(left + 1_000) / 20 * 11 + 100);
        assert_eq!(Valued { equity: 0, ..valued }.lots_to_sell(1), valued.lots);
        assert_eq!(Valued { equity: 4_000_000, ..valued }.lots_to_sell(1), valued.lots);
        // In the last hour everything that the debt is worth goes.
        let last = Valued { maintenance: 1_000_000_000, equity: 400_000_000, ..valued };
        assert_eq!(last.lots_to_sell(1), 1_200_000);
        assert_eq!(valued.sale_limit(1), 488);
        assert_eq!(valued.sale_limit(490), 490);
    }
}
