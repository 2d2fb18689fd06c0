//! Bonds and windows of the rounds (protocol P15.2, P15.4, P15.6).

use crate::limits::{MAX_EXPOSURE_BOND, RESOLUTION_ROUNDS};

/// Exposure above this many bonds raises the bond (P15.6).
const EXPOSURE_BONDS: i64 = 10;

/// `base × 2^round` in micro-units.
///
/// # Panics
/// Beyond the last round: a broken invariant, the state machine has none.
pub fn round_bond(base: i64, round: u8) -> i64 {
    doubled(base, round)
}

/// `base × 2^round` in ns.
///
/// # Panics
/// As [`round_bond`].
pub fn round_window_ns(base_ns: i64, round: u8) -> i64 {
    doubled(base_ns, round)
}

fn doubled(base: i64, round: u8) -> i64 {
    assert!(round < RESOLUTION_ROUNDS, "round {round} does not exist");
    base.checked_mul(1 << round).expect("bounds of the parameters keep this small")
}

/// The bond of someone with this market exposure: with exposure above ten bonds a tenth of the exposure, rounded up,
/// at most $100,000, and never below the bond of the round (P15.6).
pub fn required_bond(round_bond: i64, exposure: i64) -> i64 {
    if exposure / EXPOSURE_BONDS < round_bond {
        return round_bond;
    }
    let tenth = exposure.saturating_add(EXPOSURE_BONDS - 1) / EXPOSURE_BONDS;
    tenth.min(MAX_EXPOSURE_BOND).max(round_bond)
}

/// A lost bond as (to the winner, to insurance): halves, the odd micro-unit to insurance (P15.4).
pub fn split_lost(bond: i64) -> (i64, i64) {
    let to_winner = bond / 2;
    (to_winner, bond - to_winner)
}
