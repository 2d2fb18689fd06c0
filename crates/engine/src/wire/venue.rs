//! Payloads and bodies of ingestion from outside venues (P6.3, P6.7, row 0702).

use crate::record;

record! {
    /// 0702/0. Opens a batch of `count` markets, 1..1,000; its items follow from the same principal.
    PublishVenueBatch: 16 {
        /// Ascending per source.
        batch: u64,
        count: u32,
        /// Entries of the venue that the source could not read, beside those in `count`.
        unreadable: u32,
    }
}

record! {
    /// 0702/1. One market, or the part of it from outcome `first` on; prices in millionths of the payout.
    VenueItem: 72 {
        market: u32,
        first: u8,
        /// Outcomes in this part, 1..5. A market of more outcomes comes in parts, in order, behind each other.
        quotes: u8,
        reserved: u16,
        /// Micro-USDC.
        liquidity: i64,
        venue_time_ns: i64,
        /// Ascending per market.
        source_seq: u64,
        bids: [u32; 5],
        asks: [u32; 5],
    }
}

record! {
    /// 0702/2. Nothing changed in the marked markets: bit i of byte j is market `first` + 8j + i.
    RefreshVenue: 72 {
        first: u32,
        reserved: u32,
        venue_time_ns: i64,
        source_seq: u64,
        markets: [u8; 48],
    }
}

record! {
    /// 0702/3. An outcome market shows what a venue trades under `condition`; `source` publishes it.
    LinkVenue: 72 { market: u32, reserved: u32, condition: [u8; 32], source: [u8; 32] }
}

record! {
    /// A market's venue and source; `outcomes` as the market has.
    VenueLinkBody: 72 {
        /// Number of the source.
        source: u16,
        outcomes: u8,
        reserved: u8,
        reserved2: u32,
        condition: [u8; 32],
        key: [u8; 32],
    }
}

record! {
    /// Quotes as accepted; as VenueItem. Confidence in millionths, doubled where liquidity is thin.
    VenueQuoteBody: 72 {
        first: u8,
        quotes: u8,
        /// State of P6.2 after it.
        state: u8,
        reserved: u8,
        confidence: u32,
        liquidity: i64,
        venue_time_ns: i64,
        source_seq: u64,
        bids: [u32; 5],
        asks: [u32; 5],
    }
}

record! {
    /// The marked markets are as fresh as `venue_time_ns`; as RefreshVenue, without those that were skipped.
    VenueRefreshBody: 72 {
        first: u32,
        count: u32,
        venue_time_ns: i64,
        source_seq: u64,
        markets: [u8; 48],
    }
}

record! {
    /// A batch is over: its markets by what became of them.
    VenueBatchBody: 64 {
        batch: u64,
        source: u16,
        /// More than 1 % of the entries were bad.
        alert: u8,
        /// More than 20 % were bad: the batch does not count as a success.
        failed: u8,
        count: u32,
        /// Quotes taken, and markets that are unchanged.
        quoted: u16,
        refreshed: u16,
        unreadable: u32,
        /// Announced and never sent.
        missing: u16,
        market_not_found: u16,
        feed_not_found: u16,
        source_not_registered: u16,
        market_not_active: u16,
        invalid_outcome: u16,
        publish_out_of_order: u16,
        future_timestamp: u16,
        stale_price: u16,
        parameter_out_of_bounds: u16,
        non_positive_price: u16,
        crossed_source: u16,
        invalid_probabilities: u16,
        reserved: u16,
        reserved2: u32,
        reserved3: u64,
    }
}

record! {
    /// How long a source has had no successful batch: level 0 it has one again, 1 alert, 2 breaker.
    VenueOutageBody: 24 { source: u16, level: u8, reserved: u8, markets: u32, success_ns: i64, since_ns: i64 }
}
