//! The numbers and edges of P7 that no story of a whole breaker reaches: the table itself, exact equality, inputs that
//! must not count.

use tradewind_engine::gate::{Action, Cell};
use tradewind_engine::halts::breaker::{id, rule, Reopening};
use tradewind_engine::halts::matrix::{cell, HaltState};

/// P7.1 as printed: default and bounds of the threshold, of the second threshold, of the halt in seconds.
type Row = (u8, (i64, i64, i64), (i64, i64, i64), (i64, i64, i64), Reopening);

const NONE: (i64, i64, i64) = (0, 0, 0);

const TABLE: [Row; 9] = [
    (id::COVERAGE, (500_000, 300_000, 1_000_000), NONE, (900, 60, 14_400), Reopening::Condition),
    (id::PRICE_FAST, (500, 100, 2_000), NONE, (300, 60, 7_200), Reopening::Auction),
    (id::PRICE_SLOW, (1_000, 200, 5_000), NONE, (900, 60, 7_200), Reopening::Auction),
    (id::PRICE_PLATFORM, (2_000, 500, 5_000), NONE, (900, 60, 7_200), Reopening::TwoPersons),
    (id::VOLUME, (500, 300, 5_000), NONE, (450, 60, 10_800), Reopening::Auction),
    (id::LIQUIDATION, (10, 3, 1_000), (800, 100, 5_000), (600, 60, 14_400), Reopening::Condition),
    (id::CONGESTION, (2_000, 500, 8_000), NONE, (150, 30, 3_600), Reopening::Condition),
    (id::ORACLE, NONE, NONE, (60, 30, 3_600), Reopening::Condition),
    (id::OPEN_INTEREST, (800, 200, 5_000), NONE, (450, 60, 7_200), Reopening::Auction),
];

#[test]
fn p7_1_every_row_of_the_table_is_as_printed() {
    for (breaker, threshold, second, halt_s, reopening) in TABLE {
        let found = rule(breaker).expect("a breaker of P7.1");
        let range = |range: tradewind_engine::halts::breaker::Range| (range.default, range.low, range.high);
        assert_eq!(range(found.threshold), threshold, "threshold of {breaker}");
        assert_eq!(range(found.second), second, "second threshold of {breaker}");
        assert_eq!(range(found.halt_s), halt_s, "halt of {breaker}");
        assert_eq!(found.reopening, reopening, "reopening of {breaker}");
    }
}

#[test]
fn the_platforms_price_breaker_has_the_row_of_b2_with_reductions_to_the_book() {
    for action in Action::ALL {
        let expected = match action {
            Action::Reduce | Action::Trigger => Cell::Allowed,
            other => cell(HaltState::MarketHalt, other),
        };
        assert_eq!(cell(HaltState::PlatformPrice, action), expected, "{action:?}");
    }
}
