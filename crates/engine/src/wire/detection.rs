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
