//! Records of the dark midpoint cross (protocol P16). Prices in ticks, midpoints in half ticks, money in micro-quote.

use crate::record;

record! {
    /// 0F01/0: into the dark book of an outcome (0 in spot markets), from the envelope's sub-account.
    PlaceDark: 32 {
        market: u32,
        outcome: u8,
        side: u8,
        /// `CANCEL_NEWEST` or `CANCEL_OLDEST`.
        self_trade_prevention: u8,
        reserved: u8,
        lots: i64,
        /// Least lots of one cross; 0 = any.
        min_lots: i64,
        /// The midpoint must be no worse.
        limit: i64,
    }
}

record! {
    /// 0F01/1.
    CancelDark: 8 { order: u64 }
}

record! {
    /// An order rests in the dark. `order` of the header is its number among dark orders.
    DarkAcceptedBody: 40 {
        side: u8,
        outcome: u8,
        reserved: u16,
        /// Most that a fill is charged, in 1e-8 bp.
        cap_e8: u32,
        lots: i64,
        min_lots: i64,
        limit: i64,
        /// Micro-units, or micro-shares, that secure it.
        reserve: i64,
    }
}

record! {
    /// It left without a fill of what remained.
    DarkCancelledBody: 24 {
        side: u8,
        outcome: u8,
        /// As in `cancel_reason`.
        reason: u8,
        reserved: u8,
        reserved2: u32,
        lots: i64,
        released: i64,
    }
}

record! {
    /// A cross: its lit reference, and what was allocated. The fills follow.
    DarkCrossedBody: 48 {
        outcome: u8,
        reserved: u8,
        /// Rounds of the allocation.
        rounds: u16,
        fills: u32,
        bid: i64,
        ask: i64,
        lots: i64,
        /// Lots whose limits admit the midpoint.
        buy_lots: i64,
        sell_lots: i64,
    }
}

record! {
    /// One fill of a cross. The header names the buyer's account and order.
    DarkFilledBody: 64 {
        seller_order: u64,
        seller_account: u32,
        seller_sub: u8,
        outcome: u8,
        reserved: u16,
        /// In half ticks.
        midpoint: i64,
        lots: i64,
        /// By the buyer and to the seller, without fees: they differ by a half micro-unit each.
        paid: i64,
        received: i64,
        buyer_fee: i64,
        seller_fee: i64,
    }
}

record! {
    /// What the public learns of a cross, a minute later.
    DarkPrintedBody: 32 {
        outcome: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
        crossed_ns: i64,
        midpoint: i64,
        lots: i64,
    }
}
