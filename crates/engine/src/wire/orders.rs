//! Payloads of orders that are more than one PlaceOrder: batches and time slices (P2.5).

use crate::record;

record! {
    /// 0301/1: `slices` orders `interval_s` apart, each immediate-or-cancel (P2.5.6).
    PlaceTwap: 48 {
        market: u32,
        outcome: u8,
        side: u8,
        self_trade_prevention: u8,
        reserved: u8,
        lots: i64,
        /// Worst price in ticks; 0 = only the slippage limit of each slice.
        limit: i64,
        slices: u16,
        slippage_bp: u16,
        interval_s: u32,
        order_flags: u16,
        reserved2: u16,
        leverage_e2: u32,
        reserved3: u64,
    }
}

record! {
    /// 0302/0: the next `count` commands are the batch's items (0302/1, payload of PlaceOrder), all or nothing.
    PlaceBatch: 8 { count: u8, mode: u8, reserved: u16, reserved2: u32 }
}
