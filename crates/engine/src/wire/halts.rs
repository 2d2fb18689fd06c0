//! Payloads of circuit breakers (P7).

use crate::record;

record! {
    /// 0108/0 and 0108/1. `breaker` as in `halts::breaker`; market u32::MAX = platform.
    Breaker: 64 { market: u32, breaker: u8, reserved: u8, reserved2: u16, reason: [u8; 48], reserved3: u64 }
}

record! {
    /// 0108/2. New threshold and duration of one breaker; 0 keeps the present value.
    ConfigureBreaker: 40 {
        market: u32,
        breaker: u8,
        reserved: u8,
        reserved2: u16,
        config_version: u32,
        reserved3: u32,
        /// In the breaker's own unit: bp, multiples in 1e-2, ppm or a count.
        threshold: i64,
        second_threshold: i64,
        halt_s: u32,
        cooldown_s: u32,
    }
}

record! {
    /// A breaker as it stands after the event; the header's market, or none = platform.
    BreakerBody: 72 {
        /// As in `halts::breaker::id`.
        breaker: u8,
        /// What tripped it, `halts::breaker::cause`.
        cause: u8,
        /// `halts::breaker::phase`.
        phase: u8,
        reserved: u8,
        /// Length of the present or last halt.
        halt_s: u32,
        /// BreakerTripped: what was measured, in the threshold's unit; 0 else.
        value: i64,
        /// The threshold in force.
        threshold: i64,
        since_ns: i64,
        /// End of the phase; of BreakerResumePending the last moment of the second person.
        until_ns: i64,
        /// Who did it; zero = the engine.
        principal: [u8; 32],
    }
}

record! {
    /// The reason of a manual trip or close.
    BreakerReasonBody: 56 { breaker: u8, reserved: u8, reserved2: u16, reserved3: u32, reason: [u8; 48] }
}

record! {
    /// The settings of a breaker after the event.
    BreakerSettingsBody: 40 {
        breaker: u8,
        armed: u8,
        reserved: u16,
        config_version: u32,
        threshold: i64,
        second_threshold: i64,
        halt_s: u32,
        cooldown_s: u32,
        reserved2: u64,
    }
}

record! {
    /// A call auction. Prices in ticks; 0 = not known (yet).
    AuctionBody: 56 {
        reference: i64,
        low: i64,
        high: i64,
        /// AuctionUncrossed: the one price of the trades that follow.
        price: i64,
        /// AuctionUncrossed: lots that can trade; AuctionEnded: lots that did.
        lots: i64,
        /// Buyers' lots minus sellers' lots at the price.
        imbalance: i64,
        /// AuctionStarted: when it uncrosses.
        until_ns: i64,
    }
}

record! {
    /// Coverage in ppm, when it falls below 1.0 or is whole again.
    CoverageBody: 16 { coverage_ppm: i64, reserved: u64 }
}
