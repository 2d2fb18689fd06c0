//! The arithmetic of a liquidation step as pure functions (protocol P5.2–P5.8). Money in micro-quote, fractions in
//! ppm, fee rates in 1e-6 bp.

use crate::limits::SECOND_NS;
use crate::perp::margin::{bankruptcy_price, div_ceil, div_floor, PPM};

const DOLLAR: i64 = 1_000_000;
/// A step restores the margin ratio to this much (P5.2).
const TARGET_PPM: i128 = 1_100_000;
/// 1 ppm in 1e-6 bp.
const E6BP_PER_PPM: i128 = 10_000;
const E6BP: i128 = 10_000_000_000;
/// A rest below this much goes with the step (P5.2).
const SMALL_REST: i128 = 100 * DOLLAR as i128;
/// Above this notional a position that is not deep under is sold in tranches (P5.3).
const TRANCHE_FROM: i128 = 100_000 * DOLLAR as i128;
const TRANCHE_PPM: i128 = 200_000;
/// Time between tranches.
pub const TRANCHE_NS: i64 = 30 * SECOND_NS;
/// What the book did not take in this time goes down the waterfall (P5.6).
pub const STEP_NS: i64 = 5 * SECOND_NS;
/// Distance of the sale's limit from the mark, and under a cascade after [`WIDE_AFTER_NS`] (P5.5, P5.9).
pub const BAND_PPM: i64 = 25_000;
pub const WIDE_BAND_PPM: i64 = 50_000;
pub const WIDE_AFTER_NS: i64 = 10 * SECOND_NS;
/// Share of open interest that may be sold per second, lowest and highest (P5.4).
const RATE_PPM: (i64, i64) = (20_000, 80_000);
const RATE_FLOOR: i64 = 10_000 * DOLLAR;
const REWARD_BP: i128 = 5;
const REWARD: (i64, i64) = (DOLLAR, 100 * DOLLAR);
/// One position takes at most this share of the fund (P5.6).
const FUND_SHARE: i64 = 5;

/// A position about to be reduced, with the totals of its sub-account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Signed lots.
    pub lots: i64,
    pub unit: i64,
    pub mark: i64,
    /// Maintenance equity and margin of the whole sub-account.
    pub equity: i128,
    pub maintenance: i128,
    /// Maintenance fraction of this position.
    pub mmf_ppm: i128,
    pub fee_e6bp: u32,
}

/// Liquidation fee rate: `min(configured, mmf/2)` (P5.2).
#[inline]
pub fn fee_rate_e6bp(configured: u32, mmf_ppm: i128) -> u32 {
    i128::from(configured).min(mmf_ppm * E6BP_PER_PPM / 2) as u32
}

impl Case {
    pub fn notional(&self) -> i128 {
        i128::from(self.lots.unsigned_abs()) * self.lot_value()
    }

    fn lot_value(&self) -> i128 {
        i128::from(self.mark) * i128::from(self.unit)
    }

    /// Whether the sale is cut into tranches: large, and `E ≥ ⅔·MM` (P5.3).
    pub fn needs_tranches(&self) -> bool {
        self.notional() > TRANCHE_FROM && 3 * self.equity >= 2 * self.maintenance
    }

    /// Lots that bring the ratio to 1.1: `ceil((1.1·MM − E) / (M·unit·(1.1·mmf − f)))`, all of them when that
    /// cannot work or would leave crumbs (P5.2); at most a tranche of them, halved under a cascade (P5.3, P5.9).
    pub fn size(&self, cascade: bool) -> i64 {
        let held = i128::from(self.lots.unsigned_abs());
        let wanted = self.wanted(held);
        let capped = if self.needs_tranches() {
            let share = if cascade { TRANCHE_PPM / 2 } else { TRANCHE_PPM };
            wanted.min((held * share / PPM).max(1))
        } else {
            wanted
        };
        capped as i64
    }

    fn wanted(&self, held: i128) -> i128 {
        // (1.1·MM − E)·10^6 over M·unit·(1.1·mmf − f)·10^12: below 2^127 for every balance and price in bounds.
        let gain_ppm2 = TARGET_PPM * self.mmf_ppm - i128::from(self.fee_e6bp) * 100;
        if gain_ppm2 <= 0 {
            return held;
        }
        let missing = TARGET_PPM * self.maintenance - PPM * self.equity;
        let wanted = div_ceil(missing.max(0) * PPM, self.lot_value().max(1) * gain_ppm2).clamp(0, held);
        let rest = (held - wanted) * self.lot_value();
        if rest < SMALL_REST {
            held
        } else {
            wanted
        }
    }

    /// Worst price of a sale of `lots` (P5.5): within the band around the mark, never beyond bankruptcy, and such
    /// that the ratio E/MM strictly rises when `maintenance_after` is the margin behind it (P5.10).
    pub fn limit(&self, lots: i64, maintenance_after: i128, band_ppm: i64) -> i64 {
        let band = i128::from(self.mark) * i128::from(band_ppm) / PPM;
        let whole = lots == self.lots.abs();
        let bankruptcy = (self.mark - bankruptcy_price(self.lots, self.unit, self.mark, self.equity)).abs();
        let mut reach = band.min(i128::from(bankruptcy));
        if !whole {
            // A loss of E·ΔMM/MM leaves the ratio as it is; one micro less raises it.
            let relief = (self.maintenance - maintenance_after).max(0);
            let loss = mul_div(self.equity.max(0), relief, self.maintenance.max(1));
            let size = i128::from(lots) * i128::from(self.unit);
            reach = reach.min(div_floor((loss - 1).max(0), size.max(1)));
        }
        let reach = reach as i64;
        if self.lots > 0 {
            (self.mark - reach).max(1)
        } else {
            (self.mark + reach).min(crate::limits::MAX_PRICE)
        }
    }
}

/// `floor(a·b/c)` of non-negative numbers whose product may exceed 127 bits.
pub fn mul_div(a: i128, b: i128, c: i128) -> i128 {
    match a.checked_mul(b) {
        Some(product) => product / c,
        // Low bits of the larger factors decide less than one part in 2^40 here; rounding stays downwards.
        None => ((a >> 24) * (b >> 24) / (c >> 24).max(1)) << 24,
    }
}

/// The fee of a step (P5.7): `ceil(f × notional)`, never more than the equity behind the step, and never so much that
/// the ratio does not rise (P5.10). `closed`: nothing is left to raise.
pub fn fee(notional: i64, rate_e6bp: u32, before: (i128, i128), after: (i128, i128), closed: bool) -> i64 {
    let (equity, maintenance) = after;
    let mut most = equity.max(0);
    if !closed && before.1 > 0 {
        // E' − fee > E·MM'/MM, and no more than that is left to the owner.
        let kept = if before.0 > 0 { mul_div(before.0, maintenance, before.1) } else { 0 };
        most = most.min((equity - kept - 1).max(0));
    }
    let full = div_ceil(i128::from(notional) * i128::from(rate_e6bp), E6BP);
    full.min(most) as i64
}

/// The keeper's reward out of a fee (P5.7).
pub fn reward(notional: i64, fee: i64) -> i64 {
    let share = (i128::from(notional) * REWARD_BP / 10_000) as i64;
    share.clamp(REWARD.0, REWARD.1).min(fee / 2)
}

/// Parts of the rest of a fee: (`liquidation_fees`, insurance); an odd micro goes to insurance.
pub fn fee_parts(rest: i64) -> (i64, i64) {
    (rest / 2, rest - rest / 2)
}

/// Notional that may be sold per second (P5.4) with the deviation of the mark in ppm; rounded down once.
pub fn rate_limit(deviation_ppm: i64, open_interest: i128) -> i64 {
    let share = deviation_ppm.clamp(RATE_PPM.0, RATE_PPM.1);
    // In 64 bits while the product fits.
    let narrow = i64::try_from(open_interest).ok().and_then(|interest| interest.checked_mul(share));
    let notional = match narrow {
        Some(product) => product / 1_000_000,
        None => {
            let product = open_interest.saturating_mul(i128::from(share));
            i64::try_from(div_floor(product, PPM)).unwrap_or(i64::MAX / 4)
        }
    };
    notional.clamp(RATE_FLOOR, i64::MAX / 4)
}

/// Largest notional that the fund may hold in a market: `min(limit, a fifth of the fund)` (P5.6).
pub fn insurance_limit(limit: i64, fund: i64) -> i64 {
    limit.min(fund.max(0) / FUND_SHARE)
}

/// Rank of an opposing position (P5.8) in ppm, higher first; None when its owner has nothing left.
pub fn adl_score_ppm(profit: i128, cost: i64, notional: i128, equity: i128) -> Option<i64> {
    if equity <= 0 || notional <= 0 {
        return None;
    }
    let cost = i128::from(cost.unsigned_abs().max(1));
    // Two factors in ppm: profit share, and leverage (or its inverse); floor of their product.
    let ratio = |a: i128, b: i128| -> i128 {
        match a.checked_mul(PPM) {
            Some(product) => div_floor(product, b),
            None => div_floor(a, b).saturating_mul(PPM),
        }
    };
    let (over, under) = if profit > 0 { (notional, equity) } else { (equity, notional) };
    let exact = profit
        .checked_mul(over)
        .and_then(|product| product.checked_mul(PPM))
        .and_then(|product| cost.checked_mul(under).map(|whole| div_floor(product, whole)));
    let score =
        exact.unwrap_or_else(|| div_floor(ratio(profit, cost).saturating_mul(ratio(over, under)), PPM));
    Some(score.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

/// Value of the next `lots` of a whole of `size` lots worth `value`: prefixes are rounded down once, so that the parts
/// sum to the whole.
pub fn part(value: i128, size: i64, gone: i64, lots: i64) -> i128 {
    let upto = |count: i64| {
        if count == size {
            value
        } else {
            div_floor(value * i128::from(count), i128::from(size.max(1)))
        }
    };
    upto(gone + lots) - upto(gone)
}

/// Running mean and variance of the mark over an hour (P5.4). Rational steps of the exponential average,
/// `α = dt/(τ + dt)`, on integers; the relative deviation stands for the one of the logarithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deviation {
    /// 1e-6 ticks; 0 = nothing seen.
    pub mean_e6: i64,
    /// ppm².
    pub variance: i64,
    pub time_ns: i64,
}

const DEVIATION_TAU_NS: i128 = 3_600 * SECOND_NS as i128;

impl Deviation {
    pub fn observe(&mut self, mark: i64, now_ns: i64) {
        let value = i128::from(mark) * 1_000_000;
        let elapsed = i128::from(now_ns.saturating_sub(self.time_ns).max(0));
        self.time_ns = now_ns;
        if self.mean_e6 == 0 {
            (self.mean_e6, self.variance) = (value as i64, 0);
            return;
        }
        let mean = i128::from(self.mean_e6);
        let away = value - mean;
        let relative_ppm = (away * PPM / mean).clamp(-10 * PPM, 10 * PPM);
        let weight = DEVIATION_TAU_NS + elapsed;
        let step_ppm = relative_ppm * elapsed / weight;
        let variance = (i128::from(self.variance) + relative_ppm * step_ppm) * DEVIATION_TAU_NS / weight;
        self.mean_e6 = (mean + away * elapsed / weight) as i64;
        self.variance = variance.max(0) as i64;
    }

    /// Standard deviation in ppm, rounded down.
    pub fn ppm(&self) -> i64 {
        self.variance.max(0).isqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 contracts at 100.00, unit 10: the market of P1.4.4.
    fn golden() -> Case {
        Case {
            lots: 10_000,
            unit: 10,
            mark: 10_000,
            equity: 45_000_000,
            maintenance: 50_000_000,
            mmf_ppm: 50_000,
            fee_e6bp: 50_000_000,
        }
    }

    #[test]
    fn golden_step_of_p5_2_is_two_contracts_and_ends_at_the_ratio_1_1() {
        let case = golden();
        assert_eq!(case.fee_e6bp, fee_rate_e6bp(50_000_000, 50_000));
        // 2 contracts = 2,000 lots of the 10,000; the sum of $1,000 is above the crumbs of $100.
        assert_eq!(case.size(false), 2_000);
        let sold = 2_000 * 10_000 * 10;
        let after = (case.equity, case.maintenance * 8 / 10);
        let fee = fee(sold, case.fee_e6bp, (case.equity, case.maintenance), after, false);
        assert_eq!(fee, 1_000_000);
        assert_eq!((case.equity - i128::from(fee), after.1), (44_000_000, 40_000_000));
        assert_eq!((case.equity - i128::from(fee)) * 10, after.1 * 11);
    }

    #[test]
    fn a_rest_below_a_hundred_dollars_goes_with_the_step() {
        let case = Case { lots: 1_200, equity: 5_400_000, maintenance: 6_000_000, ..golden() };
        assert_eq!(case.notional(), 120_000_000);
        assert_eq!(case.size(false), 1_200);
    }

    #[test]
    fn without_a_gain_per_lot_the_whole_position_goes() {
        let case = Case { mmf_ppm: 4_000, fee_e6bp: 50_000_000, ..golden() };
        assert_eq!(case.size(false), 10_000);
        assert_eq!(fee_rate_e6bp(50_000_000, 5_000), 25_000_000);
    }

    #[test]
    fn large_positions_go_in_tranches_only_above_two_thirds_of_the_margin() {
        let large = Case { lots: 2_000_000, equity: 9_000_000_000, maintenance: 10_000_000_000, ..golden() };
        assert_eq!(large.notional(), 200_000_000_000);
        assert!(large.needs_tranches());
        assert_eq!(large.size(false), 400_000);
        assert_eq!(large.size(true), 200_000);
        let deep = Case { equity: 6_666_666_666, ..large };
        assert!(!deep.needs_tranches());
        assert!(deep.size(false) > 400_000);
        assert!(Case { equity: 6_666_666_667, ..large }.needs_tranches());
        assert!(!Case { lots: 1_000_000, ..large }.needs_tranches(), "exactly $100,000 is not above it");
    }

    #[test]
    fn the_limit_is_within_the_band_and_never_beyond_bankruptcy() {
        let whole = Case { equity: 100_000_000, ..golden() };
        assert_eq!(whole.limit(10_000, 0, BAND_PPM), 9_750);
        assert_eq!(Case { lots: -10_000, ..whole }.limit(10_000, 0, BAND_PPM), 10_250);
        let near = Case { equity: 10_000_000, ..golden() };
        assert_eq!(near.limit(10_000, 0, BAND_PPM), 9_900);
        assert_eq!(Case { lots: -10_000, ..near }.limit(10_000, 0, BAND_PPM), 10_100);
        assert_eq!(near.limit(10_000, 0, WIDE_BAND_PPM), 9_900);
    }

    #[test]
    fn a_part_is_never_sold_so_low_that_the_ratio_falls() {
        // Half the margin of the sub-account is another position's: selling at bankruptcy would lower the ratio.
        let case = Case { equity: 10_000_000, maintenance: 100_000_000, ..golden() };
        let (lots, after) = (2_000, 90_000_000);
        let limit = case.limit(lots, after, BAND_PPM);
        let loss = i128::from(lots * (10_000 - limit) * 10);
        assert!((case.equity - loss) * 100 > case.equity * 90, "{limit}");
        assert!((case.equity - loss - 20_000) * 100 <= case.equity * 90, "the limit is as wide as it may be");
    }

    #[test]
    fn a_fee_takes_no_more_than_the_equity_and_lets_the_ratio_rise() {
        assert_eq!(fee(1_000_000_000, 50_000_000, (10, 1_000), (3, 0), true), 3);
        assert_eq!(fee(1_000_000_000, 50_000_000, (10, 1_000), (-3, 0), true), 0);
        let taken = fee(1_000_000_000, 50_000_000, (900, 1_000), (900, 800), false);
        assert_eq!(taken, 900 - 720 - 1, "one micro more would leave the ratio as it was");
        assert!((900 - i128::from(taken)) * 1_000 > 900 * 800);
    }

    #[test]
    fn rewards_and_parts_of_p5_7() {
        assert_eq!(reward(10_000_000_000, 50_000_000), 5_000_000);
        assert_eq!(reward(100_000_000, 500_000), 250_000, "half of the fee, below the dollar");
        assert_eq!(reward(100_000_000, 5_000_000), 1_000_000);
        assert_eq!(reward(1_000_000_000_000, 5_000_000_000), 100_000_000);
        assert_eq!(fee_parts(7), (3, 4));
    }

    #[test]
    fn the_rate_limit_is_between_two_and_eight_percent_and_at_least_ten_thousand() {
        let interest = 100_000_000 * i128::from(DOLLAR);
        assert_eq!(rate_limit(0, interest), 2_000_000 * DOLLAR);
        assert_eq!(rate_limit(50_000, interest), 5_000_000 * DOLLAR);
        assert_eq!(rate_limit(900_000, interest), 8_000_000 * DOLLAR);
        assert_eq!(rate_limit(0, 0), 10_000 * DOLLAR);
        // Not of whole dollars only, and the same beyond 64 bits.
        assert_eq!(rate_limit(20_001, 500_000_999_999), 10_000_520_000);
        assert_eq!(rate_limit(20_001, 500_000_000_999_999), 10_000_500_020_000);
    }

    #[test]
    fn scores_of_p5_8_put_leveraged_profit_first_and_leveraged_loss_last() {
        // Profit 10 on cost 100; notional 110, equity 22: 0.1 · 5.
        assert_eq!(adl_score_ppm(10, -100, 110, 22), Some(500_000));
        assert_eq!(adl_score_ppm(-10, 100, 90, 45), Some(-50_000));
        assert_eq!(adl_score_ppm(0, 100, 90, 45), Some(0));
        assert_eq!(adl_score_ppm(10, 0, 110, 22), Some(50_000_000));
        assert_eq!(adl_score_ppm(10, 100, 110, 0), None);
        let wide = adl_score_ppm(1 << 61, i64::MAX, 1 << 61, 1 << 60);
        assert!(wide.is_some_and(|score| (499_000..=501_000).contains(&score)), "{wide:?}");
    }

    #[test]
    fn parts_of_a_value_sum_to_it() {
        for value in [-1_000_i128, -7, 0, 13, 999] {
            let (mut gone, mut sum) = (0, 0);
            for lots in [1, 3, 2, 1] {
                sum += part(value, 7, gone, lots);
                gone += lots;
            }
            assert_eq!(sum, value);
        }
    }

    #[test]
    fn the_deviation_of_a_calm_mark_is_zero_and_of_a_swinging_one_its_amplitude() {
        let mut calm = Deviation::default();
        let mut wild = Deviation::default();
        for second in 0..20_000_i64 {
            calm.observe(10_000, second * SECOND_NS);
            wild.observe(if second % 2 == 0 { 9_500 } else { 10_500 }, second * SECOND_NS);
        }
        assert_eq!(calm.ppm(), 0);
        assert!((45_000..52_000).contains(&wild.ppm()), "{}", wild.ppm());
    }
}
