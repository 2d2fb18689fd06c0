//! What a command is about to do, in the terms of the two matrices: oracle validity (P6.5) and halts (P7.5).

/// Columns of P7.5 and rows of P6.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// New risk in a leveraged market.
    NewLeveraged,
    /// New risk that is fully collateralised (spot, complete sets).
    NewCollateralised,
    /// A resting order that cannot take.
    Passive,
    /// Reduces a position.
    Reduce,
    Cancel,
    Liquidate,
    /// Evaluation of triggers.
    Trigger,
    Deposit,
    /// A withdrawal or transfer of an account without positions.
    Withdraw,
    /// The same with open positions.
    WithdrawWithPositions,
    MintMerge,
    AmmSwap,
    VaultExit,
    OracleIn,
    Funding,
    SettleAtIndex,
    /// Valuation of positions and collateral at the index.
    MarginValuation,
}

impl Action {
    /// Every action, in the order of their declaration.
    pub const ALL: [Action; 17] = [
        Action::NewLeveraged,
        Action::NewCollateralised,
        Action::Passive,
        Action::Reduce,
        Action::Cancel,
        Action::Liquidate,
        Action::Trigger,
        Action::Deposit,
        Action::Withdraw,
        Action::WithdrawWithPositions,
        Action::MintMerge,
        Action::AmmSwap,
        Action::VaultExit,
        Action::OracleIn,
        Action::Funding,
        Action::SettleAtIndex,
        Action::MarginValuation,
    ];
}

/// A cell of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Allowed,
    Refused,
    /// Accepted, served later.
    Queued,
    /// Allowed at the price that is safer for the one concerned.
    SaferSide,
    /// Collected for the call auction.
    Auction,
    /// Of minting and merging only merging is allowed.
    MergeOnly,
    /// Runs, and its amount is zero.
    Zero,
}

impl Cell {
    /// How much a cell takes away; of several states the larger counts.
    const fn strictness(self) -> u8 {
        match self {
            Cell::Allowed => 0,
            Cell::SaferSide => 1,
            Cell::MergeOnly => 2,
            Cell::Auction => 3,
            Cell::Queued => 4,
            Cell::Zero => 5,
            Cell::Refused => 6,
        }
    }

    /// The stricter of two cells (P7.5: several states hold).
    #[must_use]
    pub const fn stricter(self, other: Cell) -> Cell {
        if other.strictness() > self.strictness() {
            other
        } else {
            self
        }
    }
}
