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

record! {
    /// One source's publication; `gate` as of this moment, `oracle::gate`.
    SourceBody: 72 {
        feed: u32,
        weight: u8,
        gate: u8,
        reserved: u16,
        value: i64,
        confidence: i64,
        source_time_ns: i64,
        source_seq: u64,
        source: [u8; 32],
    }
}

record! {
    /// The index after the event; prices in micro-quote per whole unit.
    IndexBody: 56 {
        feed: u32,
        /// Sources that pass every gate, of all that the feed has.
        passing: u8,
        sources: u8,
        state: u8,
        reserved: u8,
        index: i64,
        confidence: i64,
        /// When a quorum last gave the index, in ns.
        updated_ns: i64,
        /// Lowest and highest passing source.
        low: i64,
        high: i64,
        /// Four bits a source, in ascending order of their keys: `oracle::gate`.
        gates: u64,
    }
}

record! {
    /// A feed's state, why, since when and what clears it (P6.6).
    FeedStateBody: 48 {
        feed: u32,
        state: u8,
        previous: u8,
        /// `oracle::cause`.
        cause: u8,
        /// What must end for a better state, `oracle::cause`; 0 = nothing, the feed is VALID.
        clears: u8,
        since_ns: i64,
        /// How long better inputs must last before the state improves, in ms.
        hold_ms: u32,
        passing: u8,
        sources: u8,
        reserved: u16,
        gates: u64,
        /// Last good index, 0 = none yet.
        index: i64,
        confidence: i64,
    }
}

record! {
    /// A feed's parameters after the event.
    FeedBody: 56 {
        symbol: [u8; 16],
        feed: u32,
        feed_kind: u8,
        quorum: u8,
        reserved: u16,
        interval_ms: u32,
        max_confidence_ppm: u32,
        max_deviation_bp: u32,
        /// u32::MAX = none.
        fallback: u32,
        config_version: u32,
        reserved2: u32,
        /// When the parameters may change again, in ns.
        ready_ns: i64,
    }
}

record! {
    /// A source's weight in the feed's next table. With `activated` the next table has become the present one:
    /// its weights sum to 100, sources without weight are gone.
    FeedSourceBody: 48 {
        feed: u32,
        weight: u8,
        activated: u8,
        /// Sources of the present table.
        sources: u8,
        reserved: u8,
        config_version: u32,
        reserved2: u32,
        source: [u8; 32],
    }
}

record! {
    /// The first of two persons asks for an override.
    OverridePendingBody: 56 {
        feed: u32,
        action: u8,
        /// Place of the source among the feed's, in ascending order of their keys; 255 = no source.
        source: u8,
        reserved: u16,
        /// End of the override asked for, and of the wait for the second person, in ns.
        until_ns: i64,
        pending_until_ns: i64,
        principal: [u8; 32],
    }
}

record! {
    /// An override in force, or its end.
    OverrideBody: 56 {
        feed: u32,
        /// `oracle::action`.
        action: u8,
        reserved: u8,
        reserved2: u16,
        until_ns: i64,
        source: [u8; 32],
        /// Feed that is used instead; u32::MAX = none.
        target: u32,
        reserved3: u32,
    }
}
