//! Payloads of keepers: stake, duty, slashing (P13).

use crate::record;

record! {
    /// 0801/0. Capabilities as bits of `keeper::capability`; stake in micro-units of the staking asset.
    RegisterKeeper: 16 { capabilities: u32, reserved: u32, stake: i64 }
}

record! {
    /// 0801/1, 0801/2: removes or reinstates a keeper by its account.
    KeeperTarget: 32 { keeper: [u8; 32] }
}

record! {
    /// 0802/0, 0802/1, 0802/2.
    KeeperStake: 8 { amount: i64 }
}

record! {
    /// 0803. `action` as in `keeper::action`; the target fields that it does not need are zero.
    KeeperAct: 72 {
        action: u8,
        target_sub: u8,
        reserved: u16,
        market: u32,
        target: [u8; 32],
        order: u64,
        evidence: u64,
        reserved2: u64,
        reserved3: u64,
    }
}

record! {
    /// 0804.
    SlashKeeper: 72 { keeper: [u8; 32], evidence: [u8; 32], fault: u8, reserved: u8, reserved2: u16, ppm: u32 }
}

record! {
    /// 0805/0 and 0805/1 (`uphold` 1 confirms the slash, 0 reverses it).
    SlashAppeal: 16 { slash: u64, uphold: u8, reserved: u8, reserved2: u16, reserved3: u32 }
}
