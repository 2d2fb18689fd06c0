//! Bodies of set matching over the books of a categorical market (P3.6).

use crate::record;

record! {
    /// What one order of a set round trades; every order of the round has one, that which arrived last first. Its event
    /// carries the postings of the whole round, those of the others none. The header names the order and its owner.
    SetFilledBody: 64 {
        /// The order that arrived last, and its owner: the taker of the round.
        taker_order: u64,
        taker_account: u32,
        /// MINT (every order buys) or MERGE (every order sells); as in `trade_kind`.
        trade_kind: u8,
        /// The outcome that the order trades, and its side.
        outcome: u8,
        side: u8,
        /// Orders of the round: one for each outcome of the market.
        orders: u8,
        /// Ticks. A maker's own price; of the taker what the others leave of the payout, which is not positive where
        /// they pay the whole set and more.
        price: i64,
        lots: i64,
        /// Micro-quote that a purchase pays or a sale brings, before the fee; of the taker as its price.
        value: i64,
        /// Micro-quote; negative: a rebate.
        fee: i64,
        /// Micro-quote that the taker gets better than its limit; 0 of the others.
        surplus: i64,
        /// Lots of the order behind the round.
        remaining: i64,
    }
}
