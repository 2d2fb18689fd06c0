//! Which positions a price can have endangered, without looking at all of them (protocol P5.1, issue budgets).
//!
//! A sub-account whose margin buffer is `B = E − w·MM` with k priced exposures stays above level w while no exposure
//! alone has lost more than B/k. Each exposure therefore carries a price behind which it must be looked at again; the
//! prices are kept in ordered sets, so that a new mark finds those that it crossed first.

use crate::perp::margin::{div_ceil, product, PPM};

/// No price on this side.
pub const NO_LOW: i64 = i64::MIN;
pub const NO_HIGH: i64 = i64::MAX;

/// Account and sub-account in one number that orders as they do.
pub type Owner = u32;

const SUB_BITS: u32 = 7;

#[inline]
pub const fn owner(account: u32, sub: u8) -> Owner {
    account << SUB_BITS | sub as u32
}

#[inline]
pub const fn account_of(owner: Owner) -> (u32, u8) {
    (owner >> SUB_BITS, (owner & ((1 << SUB_BITS) - 1)) as u8)
}

const _: () = assert!(crate::limits::MAX_ACCOUNTS < 1 << (32 - SUB_BITS));
const _: () = assert!(crate::limits::MAX_SUB_ACCOUNTS <= 1 << SUB_BITS);

/// Ratios E/MM, in ppm, below which a warning is due, and the last one: liquidation.
pub const LEVELS_PPM: [i128; 4] = [1_500_000, 1_250_000, 1_100_000, 1_000_000];
/// A level is left again only above its ratio and this much of it, so that a price on the edge does not chatter.
const HYSTERESIS_PPM: i128 = 1_050_000;
/// Level of a sub-account that may be liquidated.
pub const LIQUIDATABLE: u8 = LEVELS_PPM.len() as u8;

/// Equity and margin in numbers whose product with a ratio in ppm fits 64 bits, if they are such.
#[inline]
fn small(equity: i128, maintenance: i128) -> Option<(i64, i64)> {
    const MOST: i64 = 1 << 42;
    match (i64::try_from(equity), i64::try_from(maintenance)) {
        (Ok(equity), Ok(maintenance))
            if (-MOST..MOST).contains(&equity) && (0..MOST).contains(&maintenance) =>
        {
            Some((equity, maintenance))
        }
        _ => None,
    }
}

/// The number of ratios of [`LEVELS_PPM`] that a sub-account is below: who is below one is below those before it.
#[inline]
pub fn ratios_below(equity: i128, maintenance: i128) -> u8 {
    match small(equity, maintenance) {
        Some((equity, maintenance)) => {
            let below = |at: usize| u8::from(equity * MILLION < maintenance * LEVELS_PPM[at] as i64);
            below(0) + below(1) + below(2) + below(3)
        }
        None => {
            let below = |ratio_ppm: &&i128| equity * PPM < maintenance * **ratio_ppm;
            LEVELS_PPM.iter().filter(below).count() as u8
        }
    }
}

/// Level of a sub-account that is below so many ratios, given the level that was published last.
#[inline]
pub fn level(equity: i128, maintenance: i128, reached: u8, previous: u8) -> u8 {
    if reached >= previous {
        return reached;
    }
    // Equality at the last ratio is healthy at once; the warnings above it wait.
    let below = |ratio_ppm: &&i128| equity * PPM < maintenance * (**ratio_ppm * HYSTERESIS_PPM / PPM);
    let held = LEVELS_PPM[..3].iter().filter(below).count() as u8;
    held.clamp(reached, previous.min(LIQUIDATABLE - 1))
}

/// The ratio that a sub-account which is below so many of them reaches next, in ppm.
#[inline]
pub fn next_ratio_ppm(reached: u8) -> i64 {
    LEVELS_PPM[usize::from(reached).min(LEVELS_PPM.len() - 1)] as i64
}

/// `E/MM` in ppm, saturated.
pub fn ratio_ppm(equity: i128, maintenance: i128) -> i64 {
    if maintenance <= 0 {
        return if equity < 0 { i64::MIN } else { i64::MAX };
    }
    if let Some((equity, maintenance)) = small(equity, maintenance) {
        return (equity * MILLION).div_euclid(maintenance);
    }
    let ratio = crate::perp::margin::div_floor(equity.saturating_mul(PPM), maintenance);
    ratio.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Prices behind which a position is looked at again, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub low: i64,
    pub high: i64,
}

/// A bound that has to come nearer to the mark comes nearer by this share of its distance more.
const SPARE: i64 = 16;

impl Bounds {
    /// These bounds where they are nearer to the mark than `old` (both on the scale of the given marks), `old` where
    /// that is nearer already. A bound that moves goes a little further than it must: the fills that follow each other
    /// then move it once, not each time, and a look that comes early does no harm.
    #[inline]
    pub fn within(self, old: Bounds, falling: i64, rising: i64) -> Bounds {
        let low = match self.low {
            NO_LOW => NO_LOW,
            low if low <= old.low => old.low,
            low => low + falling.saturating_sub(low).max(0) / SPARE,
        };
        let high = match self.high {
            NO_HIGH => NO_HIGH,
            high if high >= old.high => old.high,
            high => high - high.saturating_sub(rising).max(0) / SPARE,
        };
        Bounds { low, high }
    }
}

pub const UNWATCHED: Bounds = Bounds { low: NO_LOW, high: NO_HIGH };

/// One exposure of a sub-account to a mark.
#[derive(Clone, Copy, Debug)]
pub struct Exposure {
    pub lots: i64,
    pub unit: i64,
    pub mark: i64,
    /// Notional at the mark in micro-quote, and the maintenance fractions at it and at twice of it.
    pub notional: i64,
    pub mmf_ppm: i64,
    pub mmf_twice_ppm: i64,
}

impl Exposure {
    /// The prices at which this exposure alone may have lost `share` micro-quote of `E − w·MM`.
    pub fn bounds(&self, share: i64, ratio_ppm: i64) -> Bounds {
        if self.lots == 0 {
            return UNWATCHED;
        }
        // What saturates makes the bounds narrower, never wider.
        let size = self.lots.saturating_abs().saturating_mul(self.unit);
        // w·MM grows by at most w·1.5·mmf(2V) of the notional's growth while the price less than doubles, by w·mmf of it
        // where the fraction stays the same.
        let weight_ppm = if self.mmf_twice_ppm == self.mmf_ppm { ratio_ppm } else { ratio_ppm * 2 };
        let growth_ppm = weight_ppm.saturating_mul(self.mmf_twice_ppm) / MILLION + 1;
        if self.lots > 0 {
            // A falling price takes at least w·mmf of what it takes from the value from w·MM as well.
            let relief_ppm = ratio_ppm.saturating_mul(self.mmf_ppm) / MILLION;
            let net_ppm = (MILLION - relief_ppm).clamp(1, MILLION);
            let falling = div_ceil(product(size, net_ppm, 1), PPM).clamp(1, i128::from(i64::MAX)) as i64;
            let steps = (share - ROUNDING).max(0) / falling;
            // Only where the margin grows faster than the value can a rising price endanger a long position.
            let high = if growth_ppm >= MILLION { self.mark + 1 } else { NO_HIGH };
            return Bounds { low: self.mark.saturating_sub(steps).saturating_sub(1), high };
        }
        // Fractions are whole ppm: one more of them on twice the notional.
        let slack = ROUNDING + self.notional / (MILLION / 4);
        let growing = div_ceil(product(size, growth_ppm, 1), PPM).min(i128::from(i64::MAX)) as i64;
        let steps = ((share - slack).max(0) / size.saturating_add(growing)).min(self.mark);
        Bounds { low: NO_LOW, high: self.mark + steps + 1 }
    }
}

impl Exposure {
    /// Whether bounds at these prices are at least as near as [`Exposure::bounds`] wants them for the first warning:
    /// `bounds(share, ratio).within(old, ..)` is `old` then. No division; what saturates or overflows is a no.
    #[inline(always)]
    pub fn surely_within(&self, old: Bounds, share: i64) -> bool {
        let Some(size) = self.lots.checked_abs().and_then(|lots| lots.checked_mul(self.unit)) else {
            return false;
        };
        let weight_ppm = if self.mmf_twice_ppm == self.mmf_ppm { FIRST_PPM } else { FIRST_PPM * 2 };
        let growth_ppm = weight_ppm * self.mmf_twice_ppm / MILLION + 1;
        if self.lots > 0 {
            if old.high != NO_HIGH || growth_ppm >= MILLION {
                return false;
            }
            let net_ppm = (MILLION - FIRST_PPM * self.mmf_ppm / MILLION).clamp(1, MILLION);
            let falling = size.checked_mul(net_ppm).map(|falling| falling / MILLION + 1);
            // `steps ≤ floor(a / falling)` is `steps · falling ≤ a`.
            let steps = self.mark.checked_sub(1).and_then(|below| below.checked_sub(old.low));
            let lost = steps.zip(falling).and_then(|(steps, falling)| steps.max(0).checked_mul(falling));
            return lost.is_some_and(|lost| lost <= (share - ROUNDING).max(0));
        }
        if old.low != NO_LOW {
            return false;
        }
        let steps = self.mark.checked_add(1).and_then(|above| old.high.checked_sub(above));
        let Some(steps) = steps.filter(|&steps| steps <= self.mark) else {
            return false;
        };
        let growing = size.checked_mul(growth_ppm).map(|grown| grown / MILLION + 1);
        let each = growing.and_then(|growing| size.checked_add(growing));
        let lost = each.and_then(|each| steps.max(0).checked_mul(each));
        let slack = ROUNDING + self.notional / (MILLION / 4);
        lost.is_some_and(|lost| lost <= (share - slack).max(0))
    }
}

/// The ratio of the first warning.
const FIRST_PPM: i64 = LEVELS_PPM[0] as i64;
/// Micro-quote that roundings of fees, funding and valuations may move unseen.
const ROUNDING: i64 = 16;
const MILLION: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perp::margin::Fractions;

    #[test]
    fn owners_order_as_account_and_sub_account() {
        assert!(owner(1, 127) < owner(2, 0));
        assert_eq!(account_of(owner(999_999, 127)), (999_999, 127));
    }

    #[test]
    fn levels_rise_at_once_and_fall_behind_a_margin() {
        let at = |ratio: i128, previous| {
            let wide = 1 << 70;
            let reached = ratios_below(ratio, 1_000_000);
            assert_eq!(reached, ratios_below(ratio * wide, 1_000_000 * wide), "in 64 bits as in 128");
            level(ratio, 1_000_000, reached, previous)
        };
        assert_eq!((at(1_500_000, 0), at(1_499_999, 0), at(1_249_999, 0)), (0, 1, 2));
        assert_eq!((at(1_099_999, 0), at(1_000_000, 0), at(999_999, 0)), (3, 3, 4));
        assert_eq!((at(1_510_000, 1), at(1_575_000, 1)), (1, 0));
        assert_eq!(at(1_000_000, 4), 3, "equality is healthy");
        assert_eq!(at(9_000_000, 4), 0);
    }

    /// Below the bounds a sub-account with one position is surely above the ratio; behind them it is looked at.
    #[test]
    fn no_price_within_the_bounds_breaks_the_ratio() {
        let fractions = |k| Fractions {
            leverage_cap_e2: 2_000,
            leverage_base_e2: 2_000,
            chosen_e2: 0,
            size_k_ppm: k,
            floor_mmf_ppm: 5_000,
        };
        for (lots, unit, k) in
            [(10_000_i64, 10_i64, 50), (-10_000, 10, 50), (4_000_000, 10, 50), (-4_000_000, 10, 500)]
        {
            let (mark, fractions) = (10_000_i64, fractions(k));
            let value = |mark: i64| i128::from(lots.unsigned_abs()) * i128::from(mark) * i128::from(unit);
            let margin = |mark: i64| fractions.maintenance_margin(value(mark));
            for buffer_pct in [0, 1, 30, 200] {
                let equity = margin(mark) * (100 + buffer_pct) / 100;
                let ratio = MILLION;
                let share = (equity - margin(mark)) as i64;
                let exposure = Exposure {
                    lots,
                    unit,
                    mark,
                    notional: value(mark) as i64,
                    mmf_ppm: fractions.maintenance_ppm(value(mark)) as i64,
                    mmf_twice_ppm: fractions.maintenance_ppm(2 * value(mark)) as i64,
                };
                let bounds = exposure.bounds(share, ratio);
                for price in 1..3 * mark {
                    let inside = (bounds.low == NO_LOW || price > bounds.low)
                        && (bounds.high == NO_HIGH || price < bounds.high);
                    let change = i128::from(lots) * i128::from(price - mark) * i128::from(unit);
                    assert!(
                        !inside || equity + change >= margin(price),
                        "{lots} {price} {bounds:?} {buffer_pct}"
                    );
                }
                let beyond = if lots > 0 { bounds.low } else { bounds.high };
                assert!((beyond - mark).abs() <= mark + 1, "a long or short exposure is watched");
                if exposure.mmf_ppm == exposure.mmf_twice_ppm && buffer_pct > 0 {
                    // Where the fraction does not change, the bound is the price at which the ratio breaks.
                    let price = if lots > 0 { beyond - 1 } else { beyond + 1 };
                    let change = i128::from(lots) * i128::from(price - mark) * i128::from(unit);
                    assert!(
                        equity + change < margin(price),
                        "{lots} {bounds:?} {buffer_pct} comes too early"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_surely_within_is_what_the_exact_bounds_would_keep() {
        let (mut yes, mut no, mut state) = (0, 0, 3_u64);
        let mut random = move |most: i64| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            ((state >> 33) as i64) % most
        };
        for _ in 0..200_000 {
            let (lots, unit, mark) = (1 + random(50_000), 1 + random(20), 1 + random(20_000));
            let lots = if random(2) == 0 { lots } else { -lots };
            let notional = lots.abs() * unit * mark;
            let mmf_ppm = 5_000 + random(200_000);
            let mmf_twice_ppm = mmf_ppm + random(2) * random(50_000);
            let exposure = Exposure { lots, unit, mark, notional, mmf_ppm, mmf_twice_ppm };
            let share = random(notional + 1_000) * random(3) / 2;
            let exact = exposure.bounds(share, LEVELS_PPM[0] as i64);
            let mut near = |bound: i64| bound + random(9) - 4;
            let old = match lots > 0 {
                true => Bounds { low: near(exact.low), high: NO_HIGH },
                false => Bounds { low: NO_LOW, high: near(exact.high) },
            };
            if exposure.surely_within(old, share) {
                assert_eq!(exact.within(old, mark, mark), old, "{exposure:?} {share}");
                yes += 1;
            } else {
                no += usize::from(exact.within(old, mark, mark) == old);
            }
        }
        assert!(yes > 50_000, "{yes} short answers, {no} of the others were true too");
        let none = Exposure { lots: i64::MIN, unit: 2, mark: 1, notional: 1, mmf_ppm: 1, mmf_twice_ppm: 1 };
        assert!(
            !none.surely_within(UNWATCHED, 1) && !Exposure { lots: 1, ..none }.surely_within(UNWATCHED, 1)
        );
    }
}
