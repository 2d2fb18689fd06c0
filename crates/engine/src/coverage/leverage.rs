//! The leverage cap (protocol P4.5). Leverage in hundredths.

use super::Coverage;
use crate::limits;

const MAX_OUTCOMES: u32 = limits::MAX_OUTCOMES as u32;

/// Outcomes that a market without a finite number of them counts as.
pub const CONTINUUM: u32 = MAX_OUTCOMES + 1;

/// What binds the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Term {
    /// The market's own maximum.
    Market = 0,
    /// The number of outcomes.
    Tier = 1,
    /// `100·c/√N`.
    Coverage = 2,
    /// The ladder of coverage.
    Ladder = 3,
    /// The stage of the vault.
    Stage = 4,
}

impl Term {
    pub const NAMES: [&'static str; 5] =
        ["market maximum", "outcome tier", "coverage", "coverage ladder", "stage"];
}

/// A cap and what binds it; of equal terms the first of the protocol's formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub cap_e2: u32,
    pub term: Term,
}

/// Tier by number of outcomes (P4.5).
pub const fn tier_e2(outcome_count: u32) -> u32 {
    match outcome_count {
        0 | 1 => 10_000,
        2 => 7_000,
        3..=4 => 2_500,
        5..=8 => 1_500,
        9..=16 => 1_200,
        17..=MAX_OUTCOMES => 1_000,
        _ => 500,
    }
}

/// Largest leverage at a coverage; `u32::MAX` when nothing is at risk.
pub fn ladder_e2(coverage: Coverage) -> u32 {
    match coverage.ppm() {
        None => u32::MAX,
        Some(2_000_000..) => 10_000,
        Some(1_500_000..) => 5_000,
        Some(1_200_000..) => 2_000,
        Some(1_000_000..) => 1_000,
        Some(500_000..) => 100,
        Some(_) => 0,
    }
}

/// `floor(100 · 100·c/√N)`: the root is real, the result floored once. `u32::MAX` when nothing is at risk.
pub fn coverage_e2(coverage: Coverage, outcome_count: u32) -> u32 {
    let Some(ppm) = coverage.ppm() else { return u32::MAX };
    // 10^4·c/√N = ppm/(100·√N) = √(ppm²/(10^4·N)); floors nest under a root.
    let square = u128::from(ppm) * u128::from(ppm) / (10_000 * u128::from(outcome_count.max(1)));
    u32::try_from(square.isqrt()).unwrap_or(u32::MAX)
}

/// The cap of P4.5 and its binding term. `stage_e2` as [`Stage::leverage_cap_e2`](super::stage::Stage) gives it.
///
/// ```
/// # use tradewind_engine::coverage::{leverage::cap, Coverage};
/// let at = |outcomes, ppm| cap(outcomes, Coverage::from_ppm(ppm), u32::MAX, u32::MAX).cap_e2;
/// assert_eq!([at(1, 2_000_000), at(2, 2_000_000), at(2, 1_000_000)], [10_000, 7_000, 1_000]);
/// assert_eq!([at(8, 2_000_000), at(64, 1_500_000), at(65, 5_000_000)], [1_500, 1_000, 500]);
/// ```
pub fn cap(outcome_count: u32, coverage: Coverage, stage_e2: u32, market_max_e2: u32) -> Cap {
    let terms = [
        (tier_e2(outcome_count), Term::Tier),
        (coverage_e2(coverage, outcome_count), Term::Coverage),
        (ladder_e2(coverage), Term::Ladder),
        (stage_e2, Term::Stage),
        (market_max_e2, Term::Market),
    ];
    let (cap_e2, term) = terms.into_iter().min_by_key(|(cap_e2, _)| *cap_e2).expect("five terms");
    Cap { cap_e2, term }
}
