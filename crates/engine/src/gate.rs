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
}
