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
    PlaceBatch: 8 {
        count: u8,
        /// 0 = atomic, the only mode.
        mode: u8,
        /// Items that follow in the same submission; stamped by the sequencer, whatever was sent.
        following: u8,
        reserved: u8,
        reserved2: u32,
    }
}

record! {
    /// What an accepted order waits for. The order's own event before it has state `resting` 0.
    TriggerBody: 64 {
        /// Ticks; of a trailing stop the present stop.
        trigger_price: i64,
        /// Ticks, or ppm with the flag TRAIL_PPM; 0 = a fixed trigger.
        trail: i64,
        /// Best price of the source so far, from which the stop follows.
        extreme: i64,
        /// Limit that it fires with; 0 = at the market, protected from the trigger price.
        limit: i64,
        /// Micro-units of `held` that secure it while it waits.
        reserve: i64,
        /// Lots that wait for fills of a bracket's entry.
        inactive_lots: i64,
        /// 0 mark, 1 index, 2 last trade.
        source: u8,
        /// 1 waits for its price, 3 for its bracket's entry.
        state: u8,
        slippage_bp: u16,
        leverage_e2: u32,
        reserved: u64,
    }
}

record! {
    /// The source reached the trigger: the order is in its market's queue and runs as a continuation.
    FiredBody: 40 {
        trigger_price: i64,
        source_price: i64,
        extreme: i64,
        /// The limit with which it will act, in ticks.
        limit: i64,
        source: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
    }
}

record! {
    /// The displayed part of an iceberg, behind all others of its price.
    IcebergBody: 40 { displayed_lots: i64, hidden_lots: i64, display: i64, price: i64, priority: u64 }
}

record! {
    TwapBody: 40 {
        /// Worst price in ticks; 0 = only the slippage limit of each slice.
        limit: i64,
        next_ns: i64,
        slices: u16,
        slippage_bp: u16,
        interval_s: u32,
        leverage_e2: u32,
        reserved: u32,
        reserved2: u64,
    }
}

record! {
    /// A slice as it is sent (0 lots: it could not be, `code` says why) or what it leaves when it has ended.
    SliceBody: 48 {
        /// From 0.
        slice: u16,
        slices: u16,
        code: u16,
        reserved: u16,
        /// Sent: lots of the slice. Ended: lots of it that did not trade.
        lots: i64,
        /// Lots of the whole order that did not trade yet.
        remaining_lots: i64,
        price: i64,
        /// Sent: micro-units of `held` that secure it. Ended: those that return.
        reserve: i64,
        /// When the next slice is due; 0 = this was the last.
        next_ns: i64,
    }
}

/// How two orders hang together.
pub mod link_kind {
    /// One cancels the other.
    pub const OCO: u8 = 1;
    /// The event's order is an exit of `other`.
    pub const BRACKET: u8 = 2;
}

record! {
    LinkBody: 16 { other: u64, kind: u8, reserved: u8, reserved2: u16, reserved3: u32 }
}

/// Why an order changed its size.
pub mod resize_cause {
    /// The other order of its pair traded.
    pub const OCO: u8 = 1;
    /// The entry of its bracket traded: lots became active.
    pub const BRACKET: u8 = 2;
    /// The position it may reduce became smaller.
    pub const REDUCE_ONLY: u8 = 3;
    /// The entry of its bracket ended: lots that never became active are gone.
    pub const ENTRY_ENDED: u8 = 4;
}

record! {
    /// An order that another event made larger or smaller, where it stands.
    ResizeBody: 48 {
        /// Lots that can trade or fire now.
        remaining_lots: i64,
        /// Of a bracket's exit: lots that still wait for the entry.
        inactive_lots: i64,
        total_lots: i64,
        /// Micro-units of `held` that secure it now.
        reserve: i64,
        other: u64,
        cause: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
    }
}
