//! Payloads and bodies of outcome markets: complete sets and claims (P2.2 rows 0601, 0602; P1.4.3).

use crate::record;

record! {
    /// 0601 and 0602: complete sets of `lots` lots.
    OneSet: 16 { market: u32, reserved: u32, lots: i64 }
}

record! {
    /// Sets that were made or dissolved.
    SetBody: 24 {
        lots: i64,
        /// Micro-shares of every outcome, and micro-quote in or out of the market's escrow.
        amount: i64,
        /// Sets of the market after the event, in micro-shares.
        sets: i64,
    }
}

record! {
    /// What an event has done to the claims of one holder in one outcome. The header names account, sub-account and
    /// market; account u32::MAX is the market's pool.
    ClaimsBody: 48 {
        outcome: u8,
        /// As in `claims_cause`.
        cause: u8,
        reserved: u16,
        reserved2: u32,
        /// Micro-shares.
        delta_free: i64,
        delta_held: i64,
        /// After the event.
        free: i64,
        held: i64,
        /// Micro-shares of the outcome that exist after the event, with all holders.
        supply: i64,
    }
}

/// Why claims moved.
pub mod claims_cause {
    pub const MINT: u8 = 1;
    pub const MERGE: u8 = 2;
    pub const TRADE: u8 = 3;
    /// Between free and held, with an order.
    pub const ORDER: u8 = 4;
    pub const POOL: u8 = 5;
    pub const REDEEM: u8 = 6;
    /// From a verse credit to its owner.
    pub const CREDIT: u8 = 7;

    /// Names in code order, starting with 1.
    pub const NAMES: [&str; 7] = ["mint", "merge", "trade", "order", "pool", "redeem", "credit"];
}
