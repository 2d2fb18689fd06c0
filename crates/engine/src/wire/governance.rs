//! Payloads of governance and authority (P14).

use crate::record;

record! {
    /// 0C01. The command that is executed later: its kind, variant and payload.
    ProposeAction: 72 {
        action_kind: u16,
        action_op: u8,
        reserved: u8,
        config_version: u32,
        nonce: u64,
        payload: [u8; 56],
    }
}

record! {
    /// 0C02/0, 0C02/1, 0C03.
    OneAction: 8 { action: u64 }
}

record! {
    /// 0C05/0: the authority is the role of this number, which the sender holds.
    OfferAuthority: 40 { nominee: [u8; 32], authority: u8, reserved: u8, reserved2: u16, reserved3: u32 }
}

record! {
    /// 0C05/1, 0C05/2: accepts or withdraws an offer.
    OneOffer: 8 { offer: u64 }
}

record! {
    /// 0C05/3: gives up a role; takes effect 48 h later.
    RenounceAuthority: 8 { authority: u8, reserved: u8, reserved2: u16, reserved3: u32 }
}
