//! Payloads and bodies of rate limits (P2.1.3 step 7).

use crate::record;

record! {
    /// 0209/1, by RISK: how many commands the envelope's account may send. Classes of `flow::rates::CLASSES`.
    SetRateClass: 8 { rate_class: u8, reserved: u8, reserved2: u16, reserved3: u32 }
}

record! {
    RateClassBody: 8 { rate_class: u8, reserved: u8, reserved2: u16, reserved3: u32 }
}
