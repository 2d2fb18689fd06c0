//! Payloads of governance and authority (P14).

use crate::record;

record! {
    /// 0C01. The command that is executed later: its kind, variant and payload (zero behind it).
    ProposeAction: 72 {
        action_kind: u16,
        action_op: u8,
        reserved: u8,
        /// Version of the platform's configuration that the proposal was written against.
        config_version: u32,
        payload: [u8; 64],
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

record! {
    /// 0C06. A platform-wide parameter, numbered as in `governance::parameters`.
    SetParameter: 16 { parameter: u32, config_version: u32, value: i64 }
}

record! {
    /// A proposed action; its payload follows in ActionPayload.
    ActionBody: 72 {
        action: u64,
        eta_ns: i64,
        /// Last moment of execution.
        expires_ns: i64,
        proposer: [u8; 32],
        action_kind: u16,
        action_op: u8,
        /// `governance::parameters::Class` by number.
        action_class: u8,
        /// Distinct approvals that it needs.
        needed: u8,
        /// `governance::parameters::Effect`: 0 none, 1 reduces risk, 2 a day's notice, 3 increases risk.
        effect: u8,
        reserved: u16,
        config_version: u32,
        reserved2: u32,
    }
}

record! {
    /// What a proposed action will execute.
    ActionPayloadBody: 72 { action: u64, payload: [u8; 64] }
}

record! {
    /// An action after an approval, its withdrawal or its end. `principal` acted.
    ActionStateBody: 48 {
        action: u64,
        approvals: u8,
        needed: u8,
        /// `governance::action_end`; 0 while it is open.
        end: u8,
        reserved: u8,
        config_version: u32,
        principal: [u8; 32],
    }
}

record! {
    /// An authority on offer, transferred or given up; nominee zero = renounced. The times follow from the event's.
    OfferBody: 72 {
        holder: [u8; 32],
        nominee: [u8; 32],
        offer: u32,
        authority: u8,
        reserved: u8,
        reserved2: u16,
    }
}

record! {
    /// A platform-wide parameter after the event.
    ParameterBody: 32 {
        parameter: u32,
        config_version: u32,
        value: i64,
        previous: i64,
        /// Next moment at which it may change.
        ready_ns: i64,
    }
}
