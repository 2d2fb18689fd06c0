//! Every cell of the halt-action matrix (P7.5, T13), as the specification prints it.

use tradewind_engine::gate::{Action, Cell};
use tradewind_engine::halts::matrix::{category, category_of, cell, pause_cell, HaltState};

/// The columns of P7.5 in the specification's order.
const COLUMNS: [Action; 12] = [
    Action::NewLeveraged,
    Action::NewCollateralised,
    Action::Reduce,
    Action::Cancel,
    Action::Liquidate,
    Action::Deposit,
    Action::Withdraw,
    Action::MintMerge,
    Action::AmmSwap,
    Action::VaultExit,
    Action::OracleIn,
    Action::Funding,
];

/// The rows as printed: y, n, q(ueue), a(uction), b(and), m(erge only), p (no positions only), 0.
const ROWS: [(HaltState, &str); 11] = [
    (HaltState::Normal, "yyyyyyyyyyyy"),
    (HaltState::MarketHalt, "nnaybyyynyy0"),
    (HaltState::Liquidations, "nyyyyyyyyyyy"),
    (HaltState::CoverageShort, "nyyyyyqyyqyy"),
    (HaltState::Coverage, "nnyyyypmnnyy"),
    (HaltState::Congestion, "nnyyyyqynqyy"),
    (HaltState::Oracle, "yyyyyyyyyyy0"),
    (HaltState::Partial, "nnyyyyqmnqyy"),
    (HaltState::Full, "nnnyynnnnny0"),
    (HaltState::Freeze, "nnnnnnnnnny0"),
    // Not printed: the auction of P3.7 collects, the platform's price breaker has no auction.
    (HaltState::MarketAuction, "aaaybyyynyy0"),
];

fn letter(cell: Cell) -> char {
    match cell {
        Cell::Allowed => 'y',
        Cell::Refused => 'n',
        Cell::Queued => 'q',
        Cell::SaferSide => 'b',
        Cell::Auction => 'a',
        Cell::MergeOnly => 'm',
        Cell::Zero => '0',
    }
}

#[test]
fn t13_every_cell_of_p7_5_is_as_printed() {
    for (state, row) in ROWS {
        for (action, printed) in COLUMNS.into_iter().zip(row.chars()) {
            let found = match (printed, action) {
                ('p', Action::Withdraw) => {
                    assert_eq!(cell(state, Action::WithdrawWithPositions), Cell::Refused);
                    assert_eq!(cell(state, Action::Withdraw), Cell::Allowed);
                    'p'
                }
                (_, Action::Withdraw) => {
                    assert_eq!(cell(state, Action::WithdrawWithPositions), cell(state, Action::Withdraw));
                    letter(cell(state, action))
                }
                _ => letter(cell(state, action)),
            };
            assert_eq!(found, printed, "{state:?}, {action:?}");
        }
    }
}

#[test]
fn cancel_is_possible_at_every_level_but_freeze_and_prices_always_come_in() {
    for state in HaltState::ALL {
        assert_eq!(cell(state, Action::Cancel) == Cell::Allowed, state != HaltState::Freeze);
        assert_eq!(cell(state, Action::OracleIn), Cell::Allowed);
    }
}

#[test]
fn of_several_states_the_stricter_cell_holds_in_any_order() {
    for a in HaltState::ALL {
        for b in HaltState::ALL {
            for action in Action::ALL {
                let (one, other) = (cell(a, action), cell(b, action));
                assert_eq!(one.stricter(other), other.stricter(one), "{a:?}, {b:?}, {action:?}");
                if one == Cell::Refused || other == Cell::Refused {
                    assert_eq!(one.stricter(other), Cell::Refused);
                }
                assert_eq!(one.stricter(Cell::Allowed), one);
            }
        }
    }
}

#[test]
fn p7_6_a_mask_only_tightens_its_level() {
    for level in 0..=3_u8 {
        for categories in 0..=u8::MAX {
            for action in Action::ALL {
                let (plain, masked) = (pause_cell(level, 0, action), pause_cell(level, categories, action));
                assert_eq!(plain.stricter(masked), masked, "level {level}, mask {categories}, {action:?}");
                let named = categories & category_of(action) != 0;
                assert_eq!(masked, if named { Cell::Refused } else { plain });
            }
        }
    }
    assert_eq!(category_of(Action::Cancel), 0);
    assert_eq!(category_of(Action::Liquidate), category::LIQUIDATION);
}
