//! Payloads and bodies of manipulation detection (P12).

use crate::record;

record! {
    /// 0704/0, by RISK: the envelope's owner and `other` (an account id) count as one in detection. `linked` 0
    /// removes the link. The hash names the evidence and is never zero.
    LinkOwners: 72 {
        other: [u8; 32],
        evidence_hash: [u8; 32],
        linked: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
    }
}

record! {
    OwnerLinkBody: 40 { other: u32, linked: u8, reserved: u8, reserved2: u16, evidence_hash: [u8; 32] }
}

record! {
    /// 0704/1, by RISK: `founded` 1, or 0 = unfounded, which frees an account that the case slowed.
    CloseCase: 48 {
        case: u64,
        founded: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
        evidence_hash: [u8; 32],
    }
}

record! {
    /// A market, or an account in it, reached a step of P12.2. Bits of signals as in `detect::rules::signal`.
    DetectionBody: 56 {
        /// 1 alert, 2 watch, 3 slow.
        step: u8,
        score: u8,
        signals: u16,
        /// Signals without enough samples or dispersion; they score 0.
        insufficient: u16,
        reserved: u16,
        /// Window of the evidence.
        from_ns: i64,
        until_ns: i64,
        /// Open case; 0 = none.
        case: u64,
        last_price: i64,
        /// Micro-quote of 10 s, and the mean of 10 s before.
        volume: i64,
        expected: i64,
    }
}

record! {
    /// A case is opened (`founded` and the hash are 0) or closed.
    CaseBody: 56 {
        case: u64,
        opened_ns: i64,
        signals: u16,
        score: u8,
        founded: u8,
        reserved: u32,
        evidence_hash: [u8; 32],
    }
}

record! {
    /// Until then initial margin × 1.5, only post-only and reduce-only orders, no rewards; or the end of it.
    SlowedBody: 16 { until_ns: i64, case: u64 }
}
