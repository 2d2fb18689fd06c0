//! Margin fractions and prices as pure functions (protocol P4.2, P4.4, P4.5). Fractions in ppm, money in micro-quote.

/// Parts per million of the whole.
pub const PPM: i128 = 1_000_000;
/// Largest leverage of a market with one outcome, in hundredths (P4.5).
pub const TIER_SINGLE_E2: u32 = 10_000;

/// `ceil(sqrt(value))` of a non-negative value.
///
/// ```
/// # use tradewind_engine::perp::margin::isqrt_ceil;
/// assert_eq!((isqrt_ceil(0), isqrt_ceil(16), isqrt_ceil(17)), (0, 4, 5));
/// ```
#[inline]
pub fn isqrt_ceil(value: i128) -> i128 {
    debug_assert!(value >= 0);
    match i64::try_from(value) {
        Ok(narrow) => i128::from(isqrt_ceil_narrow(narrow as u64)),
        Err(_) => isqrt_ceil_wide(value as u128),
    }
}

/// [`isqrt_ceil`] below 2^63. The floating-point root is a first guess that is put right: the result is exact,
/// whatever was rounded.
#[inline]
fn isqrt_ceil_narrow(value: u64) -> u64 {
    // Signed conversions are one instruction each.
    let mut root = (value as i64 as f64).sqrt() as i64 as u64;
    while root > 0 && (root - 1) * (root - 1) >= value {
        root -= 1;
    }
    while root * root < value {
        root += 1;
    }
    root
}

#[cold]
fn isqrt_ceil_wide(value: u128) -> i128 {
    let root = value.isqrt();
    (root + u128::from(root * root < value)) as i128
}

/// `a · b` of factors that mostly fit 64 bits.
#[inline]
pub fn product(a: i64, b: i64, c: i64) -> i128 {
    match a.checked_mul(b).and_then(|ab| ab.checked_mul(c)) {
        Some(narrow) => i128::from(narrow),
        None => product_wide(a, b, c),
    }
}

#[cold]
fn product_wide(a: i64, b: i64, c: i64) -> i128 {
    i128::from(a) * i128::from(b) * i128::from(c)
}

/// `ceil(value · ppm / 10^6)` of a value and a fraction of at least 0.
#[inline]
pub fn part_ceil(value: i128, ppm: i128) -> i128 {
    if let (Ok(narrow), Ok(part)) = (u64::try_from(value), u64::try_from(ppm)) {
        if let Some(product) = narrow.checked_mul(part) {
            return i128::from(product.div_ceil(PPM as u64));
        }
    }
    div_ceil(value * ppm, PPM)
}

/// `ceil(numerator / denominator)`, the denominator positive.
#[inline]
pub fn div_ceil(numerator: i128, denominator: i128) -> i128 {
    // Most quantities fit 64 bits, where a division costs a fraction of the wide one.
    if let (Ok(n), Ok(d)) = (i64::try_from(numerator), i64::try_from(denominator)) {
        return i128::from(n.div_euclid(d)) + i128::from(n.rem_euclid(d) != 0);
    }
    numerator.div_euclid(denominator) + i128::from(numerator.rem_euclid(denominator) != 0)
}

/// `floor(numerator / denominator)`, the denominator positive.
#[inline]
pub fn div_floor(numerator: i128, denominator: i128) -> i128 {
    if let (Ok(n), Ok(d)) = (i64::try_from(numerator), i64::try_from(denominator)) {
        return i128::from(n.div_euclid(d));
    }
    numerator.div_euclid(denominator)
}

/// What the fractions of a position depend on besides its notional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fractions {
    /// Cap for new risk and the static base for maintenance, in hundredths (P4.5).
    pub leverage_cap_e2: u32,
    pub leverage_base_e2: u32,
    /// Leverage that the trader chose; 0 = none.
    pub chosen_e2: u32,
    pub size_k_ppm: u32,
    pub floor_mmf_ppm: u32,
}

/// The maintenance fraction (ppm) of every notional up to a bound (micro-quote): most positions need no root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flat {
    pub upto: i64,
    pub ppm: u32,
}

impl Fractions {
    /// Size term z: `ceil(k · isqrt_ceil(V) / 1000)` ppm.
    #[inline]
    fn size_ppm(&self, notional: i128) -> i128 {
        if self.size_k_ppm == 0 {
            return 0;
        }
        match i64::try_from(notional) {
            Ok(narrow) => i128::from(self.size_narrow_ppm(narrow as u64)),
            Err(_) => div_ceil(i128::from(self.size_k_ppm) * isqrt_ceil_wide(notional as u128), 1_000),
        }
    }

    /// [`Fractions::size_ppm`] of a notional below 2^63, whose root is below 2^32.
    #[inline]
    fn size_narrow_ppm(&self, notional: u64) -> u64 {
        (u64::from(self.size_k_ppm) * isqrt_ceil_narrow(notional)).div_ceil(1_000)
    }

    /// The maintenance fraction of all notionals at which the size term does not count.
    ///
    /// `ceil(k·r/1000) ≤ entry` says `r ≤ floor(1000·entry/k)`, and `isqrt_ceil(V) ≤ R` says `V ≤ R²`.
    pub fn flat(&self) -> Flat {
        let entry = inverse_ppm(self.leverage_base_e2);
        let root = match self.size_k_ppm {
            0 => i128::from(i64::MAX),
            k => entry * 1_000 / i128::from(k),
        };
        let upto = root.saturating_mul(root).min(i128::from(i64::MAX)) as i64;
        Flat { upto, ppm: i128::from(self.floor_mmf_ppm).max((entry + 1) / 2) as u32 }
    }

    /// The larger of a fraction (at most 10^8 ppm) and the size term of a notional below 2^63, by the root only where
    /// the size is the larger: `ceil(k · ⌈√V⌉ / 1000) ≤ e` is `V ≤ ⌊1000 · e / k⌋²`.
    #[inline]
    fn or_size_narrow_ppm(&self, entry_ppm: u64, notional: u64) -> u64 {
        if self.size_k_ppm == 0 {
            return entry_ppm;
        }
        let root = (entry_ppm * 1_000 / u64::from(self.size_k_ppm)).min(u64::from(u32::MAX));
        if notional <= root * root {
            return entry_ppm;
        }
        entry_ppm.max(self.size_narrow_ppm(notional))
    }

    /// Initial margin fraction at a notional.
    #[inline]
    pub fn initial_ppm(&self, notional: i128) -> i128 {
        let cap = match self.chosen_e2 {
            0 => self.leverage_cap_e2,
            chosen => chosen.min(self.leverage_cap_e2),
        };
        self.or_size_ppm(cap, notional)
    }

    /// The larger of the fraction that a leverage asks for and the size term.
    #[inline]
    fn or_size_ppm(&self, leverage_e2: u32, notional: i128) -> i128 {
        let entry_ppm = inverse_narrow_ppm(leverage_e2);
        match i64::try_from(notional) {
            Ok(narrow) => i128::from(self.or_size_narrow_ppm(entry_ppm, narrow as u64)),
            Err(_) => i128::from(entry_ppm).max(self.size_ppm(notional)),
        }
    }

    /// Maintenance margin fraction at a notional.
    #[inline]
    pub fn maintenance_ppm(&self, notional: i128) -> i128 {
        let entry = self.or_size_ppm(self.leverage_base_e2, notional);
        i128::from(self.floor_mmf_ppm).max((entry + 1) / 2)
    }

    /// Maintenance margin fraction of a notional below 2^63.
    #[inline]
    pub fn maintenance_narrow_ppm(&self, notional: u64) -> i64 {
        let entry = self.or_size_narrow_ppm(inverse_narrow_ppm(self.leverage_base_e2), notional);
        u64::from(self.floor_mmf_ppm).max(entry.div_ceil(2)) as i64
    }

    /// [`Fractions::initial_margin`] of a notional below 2^63; None when it leaves 64 bits.
    #[inline]
    pub fn initial_narrow(&self, notional: u64) -> Option<i64> {
        let cap = match self.chosen_e2 {
            0 => self.leverage_cap_e2,
            chosen => chosen.min(self.leverage_cap_e2),
        };
        part_narrow(notional, self.or_size_narrow_ppm(inverse_narrow_ppm(cap), notional))
    }

    /// `ceil(V · imf / 10^6)`.
    #[inline]
    pub fn initial_margin(&self, notional: i128) -> i128 {
        part_ceil(notional, self.initial_ppm(notional))
    }

    /// `ceil(V · mmf / 10^6)`.
    #[inline]
    pub fn maintenance_margin(&self, notional: i128) -> i128 {
        part_ceil(notional, self.maintenance_ppm(notional))
    }
}

/// `ceil(10^6 / l)` ppm of a leverage in hundredths.
#[inline]
pub fn inverse_ppm(leverage_e2: u32) -> i128 {
    i128::from(inverse_narrow_ppm(leverage_e2))
}

#[inline]
fn inverse_narrow_ppm(leverage_e2: u32) -> u64 {
    u64::from(100_000_000_u32.div_ceil(leverage_e2.max(1)))
}

/// [`part_ceil`] within 64 bits.
#[inline]
pub fn part_narrow(value: u64, ppm: u64) -> Option<i64> {
    i64::try_from(value.checked_mul(ppm)?.div_ceil(PPM as u64)).ok()
}

/// Price in ticks at which an isolated position reaches maintenance, rounded toward earlier liquidation (P4.4).
///
/// `equity_at_zero` is the sub-account's equity without the position's value: collateral minus cost, micro-quote.
/// None when no positive price is one.
pub fn liquidation_price(lots: i64, unit: i64, equity_without_value: i128, mmf_ppm: i128) -> Option<i64> {
    let size = i128::from(lots.unsigned_abs()) * i128::from(unit);
    if size == 0 {
        return None;
    }
    // Long: size·P + rest = size·P·mmf; short: −size·P + rest = size·P·mmf.
    let price = if lots > 0 {
        div_ceil(-equity_without_value * PPM, size * (PPM - mmf_ppm).max(1))
    } else {
        div_floor(equity_without_value * PPM, size * (PPM + mmf_ppm))
    };
    i64::try_from(price).ok().filter(|&price| price > 0)
}

/// Price in ticks at which the equity is zero (P4.4): long `M − E/q`, short `M + E/|q|`, rounded to the side of the
/// position's owner (long up, short down), so that a fill there never leaves less than nothing.
pub fn bankruptcy_price(lots: i64, unit: i64, mark: i64, equity: i128) -> i64 {
    let size = i128::from(lots.unsigned_abs()) * i128::from(unit);
    let price = if lots > 0 {
        i128::from(mark) - div_floor(equity, size.max(1))
    } else {
        i128::from(mark) + div_floor(equity, size.max(1))
    };
    price.clamp(1, i128::from(crate::limits::MAX_PRICE)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fractions(cap_e2: u32, base_e2: u32) -> Fractions {
        Fractions {
            leverage_cap_e2: cap_e2,
            leverage_base_e2: base_e2,
            chosen_e2: 0,
            size_k_ppm: 50,
            floor_mmf_ppm: 5_000,
        }
    }

    #[test]
    fn golden_margins_of_p4_2() {
        let large = fractions(10_000, 10_000);
        assert_eq!(large.size_ppm(4_000_000_000_000), 100_000);
        assert_eq!(large.initial_margin(4_000_000_000_000), 400_000_000_000);
        assert_eq!(large.maintenance_margin(4_000_000_000_000), 200_000_000_000);
        let twenty = fractions(2_000, 2_000);
        assert_eq!(twenty.initial_margin(10_000_000_000), 500_000_000);
        assert_eq!(twenty.maintenance_margin(10_000_000_000), 250_000_000);
        let fallen = fractions(1_000, 2_000);
        assert_eq!(fallen.initial_margin(10_000_000_000), 1_000_000_000);
        assert_eq!(fallen.maintenance_margin(10_000_000_000), 250_000_000);
    }

    #[test]
    fn golden_liquidation_and_bankruptcy_prices_of_p4_4() {
        // One contract at 100.000000: tick 1e-6, 1 lot = 1 contract, unit 1; margin a tenth of the notional.
        let (lots, unit, entry, margin) = (1, 1, 100_000_000_i64, 10_000_000_i128);
        let cost = i128::from(entry);
        assert_eq!(liquidation_price(lots, unit, margin - cost, 50_000), Some(94_736_843));
        assert_eq!(liquidation_price(-lots, unit, margin + cost, 50_000), Some(104_761_904));
        assert_eq!(bankruptcy_price(lots, unit, entry, margin), 90_000_000);
        assert_eq!(bankruptcy_price(-lots, unit, entry, margin), 110_000_000);
    }

    #[test]
    fn a_chosen_leverage_only_ever_raises_the_initial_margin() {
        let chosen = Fractions { chosen_e2: 500, ..fractions(2_000, 2_000) };
        assert_eq!(chosen.initial_margin(10_000_000_000), 2_000_000_000);
        let beyond = Fractions { chosen_e2: 9_000, ..fractions(2_000, 2_000) };
        assert_eq!(beyond.initial_margin(10_000_000_000), 500_000_000);
    }

    #[test]
    fn the_flat_fraction_is_the_exact_one_up_to_its_bound_and_no_further() {
        for base_e2 in [100, 700, 1_000, 2_000, 10_000] {
            for k in [0, 1, 7, 50, 999, 1_000] {
                for floor in [1_000, 5_000, 500_000] {
                    let exact =
                        Fractions { size_k_ppm: k, floor_mmf_ppm: floor, ..fractions(base_e2, base_e2) };
                    let Flat { upto, ppm } = exact.flat();
                    let at = |notional: i128| exact.maintenance_ppm(notional);
                    for notional in [0, 1, upto / 2, upto - 1, upto] {
                        assert_eq!(at(i128::from(notional)), i128::from(ppm), "{exact:?} {notional}");
                    }
                    let entry = inverse_ppm(base_e2);
                    let above = upto == i64::MAX || exact.size_ppm(i128::from(upto) + 1) > entry;
                    assert!(above, "{exact:?}: the size term counts behind the bound");
                }
            }
        }
    }

    #[test]
    fn narrow_margins_are_the_wide_ones_where_they_fit() {
        let mut fitted = 0;
        for (shift, k, cap_e2, chosen_e2) in (0..63_u32).flat_map(|shift| {
            [(0, 1_000, 0), (50, 1_000, 300), (u32::MAX, 10_000, 5_000)]
                .map(|(k, cap, chosen)| (shift, k, cap, chosen))
        }) {
            let some = Fractions { size_k_ppm: k, chosen_e2, ..fractions(cap_e2, cap_e2) };
            for notional in [(1_u64 << shift) - 1, 1 << shift, (1 << shift) + 12_345] {
                let wide = i128::from(notional);
                let ppm = some.maintenance_narrow_ppm(notional);
                assert_eq!(i128::from(ppm), some.maintenance_ppm(wide));
                if let Some(margin) = part_narrow(notional, ppm as u64) {
                    assert_eq!(i128::from(margin), some.maintenance_margin(wide));
                    fitted += 1;
                }
                if let Some(margin) = some.initial_narrow(notional) {
                    assert_eq!(i128::from(margin), some.initial_margin(wide));
                    fitted += 1;
                }
            }
        }
        assert!(fitted > 600, "{fitted}");
    }

    #[test]
    fn the_size_term_decides_from_the_first_notional_on_at_which_it_is_the_larger() {
        for (k, cap_e2) in [(50, 1_000), (50, 10_000), (7, 333), (999_999, 100), (1, 10_000)] {
            let some = Fractions { size_k_ppm: k, ..fractions(cap_e2, cap_e2) };
            let entry = inverse_ppm(cap_e2);
            let root = entry * 1_000 / i128::from(k);
            for notional in [root * root, root * root + 1, root * root / 2, 2 * root * root + 7] {
                assert_eq!(
                    some.initial_ppm(notional),
                    entry.max(some.size_ppm(notional)),
                    "{some:?} {notional}"
                );
            }
            assert!(some.size_ppm(root * root) <= entry && some.size_ppm((root + 1) * (root + 1)) > entry);
        }
    }

    #[test]
    fn roots_and_divisions_round_up_at_the_extremes_of_their_range() {
        let squares = (0..4_000_i128).map(|step| (3_037_000_499 - step * 759_000).pow(2));
        let around = squares.flat_map(|square| [square - 1, square, square + 1]);
        for value in [0, 1, 2, 3, 4, 15, 16, 17, i128::from(i64::MAX), i128::MAX].into_iter().chain(around) {
            let root = isqrt_ceil(value);
            assert!(root.checked_mul(root).is_none_or(|square| square >= value));
            assert!(root == 0 || (root - 1) * (root - 1) < value);
        }
        assert_eq!((div_ceil(-7, 2), div_floor(-7, 2), div_ceil(7, 2), div_floor(7, 2)), (-3, -4, 4, 3));
        let wide = i128::from(i64::MAX) * 10 + 1;
        assert_eq!(
            (div_ceil(wide, 10), div_floor(wide, 10)),
            (i128::from(i64::MAX) + 1, i128::from(i64::MAX))
        );
    }
}
