//! Payloads and bodies of feeds and their sources (P6).

use crate::record;

record! {
    /// 0701. Value and confidence in micro-quote per whole unit; bid and ask 0 when the source has none.
    PublishPrice: 56 {
        feed: u32,
        reserved: u32,
        value: i64,
        confidence: i64,
        bid: i64,
        ask: i64,
        source_time_ns: i64,
        source_seq: u64,
    }
}

record! {
    /// 0703/0 and 0703/1. A feed is usable when the weights of its sources sum to 100.
    RegisterFeed: 64 {
        symbol: [u8; 16],
        /// 0 asset, 1 probability.
        feed_kind: u8,
        quorum: u8,
        reserved: u16,
        /// Expected interval between updates of a source in ms.
        interval_ms: u32,
        /// Largest confidence over value in ppm, 1,000..100,000.
        max_confidence_ppm: u32,
        /// Largest deviation between two sources in bp.
        max_deviation_bp: u32,
        /// Feed whose index is used when this one fails; u32::MAX = none.
        fallback: u32,
        /// 0703/1: the feed; 0703/0: 0.
        feed: u32,
        config_version: u32,
        reserved2: u32,
        reserved3: u64,
        reserved4: u64,
    }
}

record! {
    /// 0703/2. Weight 0 removes the source.
    SetFeedSource: 40 { feed: u32, weight: u8, reserved: u8, reserved2: u16, source: [u8; 32] }
}

record! {
    /// 0703/3, two EMERGENCY principals: 1 exclude a source, 2 force the feed INVALID, 3 use the fallback, 0 lift.
    OverrideFeed: 56 {
        feed: u32,
        action: u8,
        reserved: u8,
        reserved2: u16,
        until_ns: i64,
        source: [u8; 32],
        reserved3: u64,
    }
}
