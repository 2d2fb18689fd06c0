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
