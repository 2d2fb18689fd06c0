//! Bodies of leveraged outcome positions that trade with their market's pool (P4.6, P8.11, P10.2.4).

use crate::record;

record! {
    /// A position swaps with the pool: the next swap told is this one. The header's sub-account is the pledge.
    LoanSwappedBody: 24 {
        /// What is bought or sold: of a short of more than two, what it has none of.
        outcome: u8,
        owner_sub: u8,
        side: u8,
        /// 1: a liquidation, told right before.
        liquidates: u8,
        /// By how much the pool's price moves at most, in basis points of the payout.
        impact_bp: u16,
        reserved: u16,
        lots: i64,
        /// In ticks of one contract: the most it costs with the fee, or the least it brings behind the fee.
        limit: i64,
    }
}
