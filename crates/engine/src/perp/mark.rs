//! The mark price (protocol P4.7): a median that no single print moves, and a limit on its speed. Prices in ticks.

/// Time constant of the premium's average in ns.
const PREMIUM_TAU_NS: i128 = 150_000_000_000;
/// The mark moves at most by this much per [`SPEED_WINDOW_NS`].
const SPEED_PPM: i128 = 20_000;
const SPEED_WINDOW_NS: i128 = 400_000_000;
/// The premium is kept in 1e-6 ticks.
pub const PREMIUM_SCALE: i64 = 1_000_000;

/// The running average of mid minus index after `sample_e6` has stood for `elapsed_ns`, in 1e-6 ticks: an implicit
/// step of the exponential average, `ema + (x − ema) · dt / (τ + dt)`, which stays between its inputs.
pub fn premium_e6(previous_e6: i64, sample_e6: i64, elapsed_ns: i64) -> i64 {
    let step = i128::from(elapsed_ns.max(0));
    let moved = (i128::from(sample_e6) - i128::from(previous_e6)) * step / (PREMIUM_TAU_NS + step);
    (i128::from(previous_e6) + moved) as i64
}

/// Prices are compared in these parts of a tick: enough that the mean of two means of two is whole.
const PARTS: i64 = 4 * PREMIUM_SCALE;

/// Median of up to three terms; of two their mean, which is whole for even numbers. None without a term.
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

/// The fair price of P4.7 before its speed is limited: rounded once, to the nearest tick, ties down.
pub fn fair(
    index: Option<i64>,
    premium_e6: i64,
    bid: Option<i64>,
    ask: Option<i64>,
    last: Option<i64>,
) -> Option<i64> {
    let parts = |price: Option<i64>| price.map(|price| price * PARTS);
    let smoothed = index.map(|index| (index * PARTS + premium_e6 * (PARTS / PREMIUM_SCALE)).max(PARTS));
    let middle = median([parts(index), smoothed, median([parts(bid), parts(ask), parts(last)])])?;
    Some((middle + PARTS / 2 - 1).div_euclid(PARTS))
}

/// Time for which a mark may move now (P4.7): since it was last moved when it was held back; else the time in which
/// it stood where it was wanted is no credit, and the first move has one step of the limit.
pub fn credit_ns(held_back: bool, elapsed_ns: i64) -> i64 {
    if held_back {
        elapsed_ns
    } else {
        elapsed_ns.min(SPEED_WINDOW_NS as i64)
    }
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
    fn the_fair_price_is_rounded_once_and_ties_go_down() {
        // 100 and 101.5 are 100.75, not the mean of 100 and 102 or 101.
        assert_eq!(fair(Some(100), 1_500_000, None, None, None), Some(101));
        assert_eq!(fair(Some(100), 1_000_000, None, None, None), Some(100));
        assert_eq!(fair(Some(100), 0, Some(101), Some(102), None), Some(100));
        // 101.5 in the book, 103 smoothed, 100: the middle is 101.5.
        assert_eq!(fair(Some(100), 3_000_000, Some(101), Some(102), None), Some(101));
        assert_eq!(fair(Some(100), -500_000_000, None, None, None), Some(50));
    }

    #[test]
    fn standing_still_is_no_credit_for_a_jump() {
        let minute = 60_000_000_000;
        assert_eq!(limited(10_000, 20_000, credit_ns(false, minute)), (10_200, true));
        assert_eq!(limited(10_000, 20_000, credit_ns(true, minute)), (20_000, false));
        assert_eq!(limited(10_000, 20_000, credit_ns(false, 200_000_000)), (10_100, true));
    }

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
            let next = premium_e6(premium, 10_000_000, 1_000_000_000);
            assert!(next >= premium && next <= 10_000_000);
            premium = next;
        }
        assert!(premium > 9_900_000);
        assert_eq!(premium_e6(0, 10_000_000, i64::MAX), 9_999_999);
    }
}
