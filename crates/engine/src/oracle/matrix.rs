//! Oracle validity × action (protocol P6.4, P6.5): one table, and its footnotes as functions.

use super::state;
use crate::gate::{Action, Cell};
use crate::wire::error::{Code, Reject};

use Cell::{Allowed as Y, Queued as Q, Refused as N, SaferSide as S};

/// Cells by state; the order of columns is that of [`state`].
type Row = [Cell; state::COUNT];

const ALWAYS: Row = [Y; state::COUNT];

/// The row of an action. Actions that need no price are always allowed here.
const fn row(action: Action) -> Row {
    //                              VALID WARN DEGRADED UNCERTAIN DIVERGENT STALE NO_QUORUM INVALID
    match action {
        Action::NewLeveraged => [Y, Y, N, N, N, N, N, N],
        Action::NewCollateralised => [Y, Y, Y, Y, N, N, N, N],
        Action::Passive => [Y, Y, Y, Y, Y, N, N, N],
        // Footnote 1, `use_fallback`, opens two of these cells.
        Action::Reduce => [Y, Y, Y, Y, Y, N, N, N],
        Action::Liquidate => [Y, Y, Y, S, S, N, N, N],
        Action::Trigger => [Y, Y, Y, N, N, N, N, N],
        Action::MarginValuation => [Y, Y, Y, S, S, S, S, N],
        Action::WithdrawWithPositions => [Y, Y, Q, Q, Q, N, N, N],
        Action::AmmSwap => [Y, Y, Y, Y, N, N, N, N],
        Action::Funding => [Y, Y, Y, N, N, N, N, N],
        Action::SettleAtIndex => [Y, N, N, N, N, N, N, N],
        Action::Cancel
        | Action::Deposit
        | Action::Withdraw
        | Action::MintMerge
        | Action::VaultExit
        | Action::OracleIn => ALWAYS,
    }
}

/// The cell of P6.5 without its footnotes. A state that does not exist is as bad as the worst.
#[inline]
pub fn cell(feed_state: u8, action: Action) -> Cell {
    row(action)[usize::from(feed_state.min(state::INVALID))]
}

/// Footnote 1: reducing goes on at the price of a second registered feed when that one is VALID.
pub fn use_fallback(feed_state: u8, action: Action, fallback_state: Option<u8>) -> bool {
    action == Action::Reduce
        && matches!(feed_state, state::STALE | state::NO_QUORUM)
        && fallback_state == Some(state::VALID)
}

/// The refusal of P6.4 with the state and since when it holds. A feed that is only aged (WARN) answers as stale.
pub fn refusal(feed_state: u8, since_ns: i64) -> Reject {
    let code = match feed_state {
        state::VALID | state::WARN | state::STALE => Code::STALE_PRICE,
        state::UNCERTAIN => Code::LOW_CONFIDENCE,
        state::DIVERGENT => Code::SOURCE_DIVERGENCE,
        state::DEGRADED | state::NO_QUORUM => Code::INSUFFICIENT_SOURCES,
        _ => Code::NON_POSITIVE_PRICE,
    };
    Reject::new(code, since_ns, i64::from(feed_state))
}

/// Prices that an uncertain feed leaves open: index ± confidence and the mark; all in one unit, the mark 0 = unknown.
fn candidates(index: i64, confidence: i64, mark: i64) -> (i64, i64) {
    let low = index.saturating_sub(confidence).max(1);
    let high = index.saturating_add(confidence);
    match mark {
        0 => (low, high),
        mark => (low.min(mark), high.max(mark)),
    }
}

/// Footnote 2: the price most favourable to the holder of a long (or short) position.
pub fn safer_price(index: i64, confidence: i64, mark: i64, long: bool) -> i64 {
    let (low, high) = candidates(index, confidence, mark);
    if long {
        high
    } else {
        low
    }
}

/// Footnote 3: the price least favourable to the holder, for withdrawals and new risk.
pub fn adverse_price(index: i64, confidence: i64, mark: i64, long: bool) -> i64 {
    safer_price(index, confidence, mark, !long)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P6.5 as it stands in the specification, one character a cell.
    const SPECIFICATION: [(Action, &str); 17] = [
        (Action::NewLeveraged, "yynnnnnn"),
        (Action::NewCollateralised, "yyyynnnn"),
        (Action::Passive, "yyyyynnn"),
        (Action::Reduce, "yyyyynnn"),
        (Action::Cancel, "yyyyyyyy"),
        (Action::Liquidate, "yyyssnnn"),
        (Action::Trigger, "yyynnnnn"),
        (Action::MarginValuation, "yyyssssn"),
        (Action::Withdraw, "yyyyyyyy"),
        (Action::WithdrawWithPositions, "yyqqqnnn"),
        (Action::Deposit, "yyyyyyyy"),
        (Action::MintMerge, "yyyyyyyy"),
        (Action::AmmSwap, "yyyynnnn"),
        (Action::Funding, "yyynnnnn"),
        (Action::SettleAtIndex, "ynnnnnnn"),
        // No rows of P6.5: prices come in and the vault pays out whatever a feed's state is.
        (Action::VaultExit, "yyyyyyyy"),
        (Action::OracleIn, "yyyyyyyy"),
    ];

    #[test]
    fn every_cell_is_the_one_of_the_specification() {
        for (action, cells) in SPECIFICATION {
            for (feed_state, expected) in (0..).zip(cells.chars()) {
                let expected = match expected {
                    'y' => Cell::Allowed,
                    'n' => Cell::Refused,
                    'q' => Cell::Queued,
                    's' => Cell::SaferSide,
                    other => panic!("no cell is {other}"),
                };
                assert_eq!(cell(feed_state, action), expected, "{action:?} in state {feed_state}");
            }
        }
        assert_eq!(cell(200, Action::Reduce), Cell::Refused);
    }

    #[test]
    fn every_state_refuses_with_its_own_code() {
        let codes = [
            (state::WARN, Code::STALE_PRICE),
            (state::DEGRADED, Code::INSUFFICIENT_SOURCES),
            (state::UNCERTAIN, Code::LOW_CONFIDENCE),
            (state::DIVERGENT, Code::SOURCE_DIVERGENCE),
            (state::STALE, Code::STALE_PRICE),
            (state::NO_QUORUM, Code::INSUFFICIENT_SOURCES),
            (state::INVALID, Code::NON_POSITIVE_PRICE),
        ];
        for (feed_state, code) in codes {
            assert_eq!(refusal(feed_state, 77), Reject::new(code, 77, i64::from(feed_state)));
        }
    }

    #[test]
    fn footnote_1_opens_reducing_alone_and_only_with_a_valid_second_feed() {
        for feed_state in 0..state::COUNT as u8 {
            let lost = matches!(feed_state, state::STALE | state::NO_QUORUM);
            assert_eq!(use_fallback(feed_state, Action::Reduce, Some(state::VALID)), lost);
            assert!(!use_fallback(feed_state, Action::Reduce, Some(state::WARN)));
            assert!(!use_fallback(feed_state, Action::Reduce, None));
            assert!(!use_fallback(feed_state, Action::NewLeveraged, Some(state::VALID)));
        }
    }

    #[test]
    fn footnotes_2_and_3_take_the_extremes_of_index_confidence_and_mark() {
        assert_eq!(safer_price(100, 3, 99, true), 103);
        assert_eq!(safer_price(100, 3, 99, false), 97);
        assert_eq!(safer_price(100, 3, 110, true), 110);
        assert_eq!(safer_price(100, 3, 90, false), 90);
        assert_eq!(adverse_price(100, 3, 90, true), 90);
        assert_eq!(adverse_price(100, 3, 0, false), 103);
        // A confidence as wide as the index leaves no price of zero.
        assert_eq!(adverse_price(100, 200, 0, true), 1);
        assert_eq!(safer_price(i64::MAX, i64::MAX, 0, true), i64::MAX);
    }
}
