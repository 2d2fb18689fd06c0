//! The mark price (protocol P4.7): a median that no single print moves, and a limit on its speed. Prices in ticks.

/// Time constant of the premium's average in ns.
const PREMIUM_TAU_NS: i128 = 150_000_000_000;
/// The mark moves at most by this much per [`SPEED_WINDOW_NS`].
const SPEED_PPM: i128 = 20_000;
const SPEED_WINDOW_NS: i128 = 400_000_000;
/// The premium is kept in 1e-6 ticks.
pub const PREMIUM_SCALE: i64 = 1_000_000;

/// The running average of mid minus index after `elapsed_ns`, in 1e-6 ticks: an implicit step of the exponential
/// average, `ema + (x − ema) · dt / (τ + dt)`, which stays between its inputs for every step.
pub fn premium_e6(previous_e6: i64, mid_e6: i64, index: i64, elapsed_ns: i64) -> i64 {
    let target = i128::from(mid_e6) - i128::from(index) * i128::from(PREMIUM_SCALE);
    let step = i128::from(elapsed_ns.max(0));
    let moved = (target - i128::from(previous_e6)) * step / (PREMIUM_TAU_NS + step);
    (i128::from(previous_e6) + moved) as i64
}

/// Median of up to three terms; the mean of two is rounded to the nearest tick, ties down. None without a term.
pub fn median(terms: [Option<i64>; 3]) -> Option<i64> {
    let mut known = [0; 3];
    let mut count = 0;
    for term in terms.into_iter().flatten() {
        known[count] = term;
        count += 1;
    }
    let known = &mut known[..count];
    known.sort_unstable();
    match *known {
        [] => None,
        [one] => Some(one),
        [low, high] => Some(low + (high - low) / 2),
        [_, middle, _] => Some(middle),
        _ => unreachable!("three terms"),
    }
}

/// The fair price of P4.7 before its speed is limited.
pub fn fair(
    index: Option<i64>,
    premium_e6: i64,
    bid: Option<i64>,
    ask: Option<i64>,
    last: Option<i64>,
) -> Option<i64> {
    let premium = (premium_e6 + PREMIUM_SCALE / 2).div_euclid(PREMIUM_SCALE);
    let smoothed = index.map(|index| (index + premium).max(1));
    median([index, smoothed, median([bid, ask, last])])
}

/// The mark after `elapsed_ns`, and whether it was held back.
///
/// A mark of 0 is unknown and takes any value.
pub fn limited(mark: i64, target: i64, elapsed_ns: i64) -> (i64, bool) {
    if mark == 0 {
        return (target, false);
    }
    let reach = i128::from(mark) * SPEED_PPM * i128::from(elapsed_ns.max(0)) / (SPEED_WINDOW_NS * 1_000_000);
    let reach = i64::try_from(reach).unwrap_or(i64::MAX);
    let moved = target.clamp(mark.saturating_sub(reach).max(1), mark.saturating_add(reach));
    (moved, moved != target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wild_term_never_moves_the_median() {
        assert_eq!(fair(Some(100), 0, Some(99), Some(101), Some(5_000)), Some(100));
        assert_eq!(fair(Some(100), 0, None, None, Some(9_000)), Some(100));
        assert_eq!(fair(None, 0, Some(99), Some(102), None), Some(100));
        assert_eq!(fair(None, 0, None, None, None), None);
    }

    #[test]
    fn the_mark_moves_two_percent_in_400_ms_and_no_more() {
        assert_eq!(limited(10_000, 20_000, 400_000_000), (10_200, true));
        assert_eq!(limited(10_000, 20_000, 0), (10_000, true));
        assert_eq!(limited(10_000, 10_150, 400_000_000), (10_150, false));
        assert_eq!(limited(10_000, 1, 40_000_000_000), (1, false));
        assert_eq!(limited(0, 777, 0), (777, false));
    }

    #[test]
    fn the_premium_approaches_its_input_and_never_passes_it() {
        let mut premium = 0;
        for _ in 0..10_000 {
            let next = premium_e6(premium, 110_000_000, 100, 1_000_000_000);
            assert!(next >= premium && next <= 10_000_000);
            premium = next;
        }
        assert!(premium > 9_900_000);
        assert_eq!(premium_e6(0, 110_000_000, 100, i64::MAX), 9_999_999);
    }
}
