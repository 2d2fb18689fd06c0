//! The halt-action matrix of P7.5 as one table.

use super::breaker::id;
use crate::gate::{Action, Cell};

/// Rows of P7.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltState {
    Normal,
    /// B2a, B2b, B3 or B7 of a market has tripped.
    MarketHalt,
    /// The call auction behind such a halt: everything that can rest is collected (P3.7, P7.4).
    MarketAuction,
    /// B2c: the platform's own price breaker. P7.5 has no row for it: as B2, but reductions go to the book, since
    /// there is no auction of the whole platform.
    PlatformPrice,
    /// B4.
    Liquidations,
    /// Coverage below 1.0.
    CoverageShort,
    /// B1.
    Coverage,
    /// B5.
    Congestion,
    /// B6: the oracle matrix (P6.5) decides; funding is zero.
    Oracle,
    Partial,
    Full,
    Freeze,
}

impl HaltState {
    pub const ALL: [HaltState; 12] = [
        HaltState::Normal,
        HaltState::MarketHalt,
        HaltState::MarketAuction,
        HaltState::PlatformPrice,
        HaltState::Liquidations,
        HaltState::CoverageShort,
        HaltState::Coverage,
        HaltState::Congestion,
        HaltState::Oracle,
        HaltState::Partial,
        HaltState::Full,
        HaltState::Freeze,
    ];

    /// The row of a tripped breaker.
    pub const fn of_breaker(breaker: u8) -> HaltState {
        match breaker {
            id::COVERAGE => HaltState::Coverage,
            id::PRICE_PLATFORM => HaltState::PlatformPrice,
            id::LIQUIDATION => HaltState::Liquidations,
            id::CONGESTION => HaltState::Congestion,
            id::ORACLE => HaltState::Oracle,
            _ => HaltState::MarketHalt,
        }
    }
}

/// The cell of one state and one action. Actions that P7.5 has no column for follow the nearest one: a passive
/// order takes new risk, a trigger reduces, settlement runs as long as cancels do.
#[rustfmt::skip]
pub const fn cell(state: HaltState, action: Action) -> Cell {
    use Cell::{Allowed as Y, Auction as A, MergeOnly as M, Queued as Q, Refused as N, SaferSide as S, Zero as Z};
    // Columns: leveraged, collateralised, reduce, cancel, liquidate, deposit, withdraw, withdraw with positions,
    // mint and merge, AMM swap, vault exit, oracle in, funding.
    let row = match state {
        HaltState::Normal        => [Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y],
        HaltState::MarketHalt    => [N, N, A, Y, S, Y, Y, Y, Y, N, Y, Y, Z],
        HaltState::MarketAuction => [A, A, A, Y, S, Y, Y, Y, Y, N, Y, Y, Z],
        HaltState::PlatformPrice => [N, N, Y, Y, S, Y, Y, Y, Y, N, Y, Y, Z],
        HaltState::Liquidations  => [N, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y],
        HaltState::CoverageShort => [N, Y, Y, Y, Y, Y, Q, Q, Y, Y, Q, Y, Y],
        HaltState::Coverage      => [N, N, Y, Y, Y, Y, Y, N, M, N, N, Y, Y],
        HaltState::Congestion    => [N, N, Y, Y, Y, Y, Q, Q, Y, N, Q, Y, Y],
        HaltState::Oracle        => [Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Y, Z],
        HaltState::Partial       => [N, N, Y, Y, Y, Y, Q, Q, M, N, Q, Y, Y],
        HaltState::Full          => [N, N, N, Y, Y, N, N, N, N, N, N, Y, Z],
        HaltState::Freeze        => [N, N, N, N, N, N, N, N, N, N, N, Y, Z],
    };
    row[match action {
        Action::NewLeveraged => 0,
        Action::NewCollateralised | Action::Passive => 1,
        Action::Reduce | Action::Trigger => 2,
        Action::Cancel | Action::SettleAtIndex => 3,
        Action::Liquidate => 4,
        Action::Deposit => 5,
        Action::Withdraw => 6,
        Action::WithdrawWithPositions => 7,
        Action::MintMerge => 8,
        Action::AmmSwap => 9,
        Action::VaultExit => 10,
        // Valuing is no deed; only a feed may forbid it.
        Action::OracleIn | Action::MarginValuation => 11,
        Action::Funding => 12,
    }]
}

/// Categories of a pause's mask (P7.6); a category that is set refuses what its commands do.
pub mod category {
    pub const TRADING: u8 = 1;
    pub const LIQUIDATION: u8 = 2;
    pub const ORACLE: u8 = 4;
    pub const WITHDRAWAL: u8 = 8;
    pub const DEPOSIT: u8 = 16;
    pub const ADMIN: u8 = 32;
    pub const EMERGENCY: u8 = 64;
    /// Reading is not the engine's business: the bit is kept and shown, and refuses no command.
    pub const VIEW: u8 = 128;
}

/// The category that an action belongs to; 0 for those that no mask may take away (cancels, funding, settlement).
pub const fn category_of(action: Action) -> u8 {
    match action {
        Action::NewLeveraged
        | Action::NewCollateralised
        | Action::Passive
        | Action::Reduce
        | Action::Trigger
        | Action::MintMerge
        | Action::AmmSwap => category::TRADING,
        Action::Liquidate => category::LIQUIDATION,
        Action::OracleIn => category::ORACLE,
        Action::Withdraw | Action::WithdrawWithPositions | Action::VaultExit => category::WITHDRAWAL,
        Action::Deposit => category::DEPOSIT,
        Action::Cancel | Action::Funding | Action::SettleAtIndex | Action::MarginValuation => 0,
    }
}

/// The cell of a pause: its level's row, tightened by its mask and never eased by it.
pub const fn pause_cell(level: u8, categories: u8, action: Action) -> Cell {
    let state = match level {
        0 => HaltState::Normal,
        1 => HaltState::Partial,
        2 => HaltState::Full,
        _ => HaltState::Freeze,
    };
    if categories & category_of(action) != 0 {
        return Cell::Refused;
    }
    cell(state, action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_halts_only_a_freeze_and_the_mask_of_a_pause_refuse_liquidation() {
        for state in HaltState::ALL {
            let refuses = cell(state, Action::Liquidate) == Cell::Refused;
            assert_eq!(refuses, state == HaltState::Freeze, "{state:?}");
        }
        assert_eq!(pause_cell(2, category::LIQUIDATION, Action::Liquidate), Cell::Refused);
    }
}
