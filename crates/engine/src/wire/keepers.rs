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

record! {
    /// A keeper after registration or removal. `amount` micro-units moved from `free` to `bond`.
    KeeperBody: 48 {
        /// Bits of `keeper::capability`.
        capabilities: u32,
        asset: u16,
        /// `keeper::keeper_state`.
        state: u8,
        reserved: u8,
        amount: i64,
        bonded: i64,
        unbonding: i64,
        /// When the last unbonding part may be withdrawn; 0 = none.
        ready_ns: i64,
        /// Micro-units that a keeper needs to act.
        minimum_stake: i64,
    }
}

record! {
    /// A stake after a change of `amount` micro-units, `keeper::stake_change`.
    KeeperStakeBody: 40 {
        asset: u16,
        change: u8,
        reserved: u8,
        reserved2: u32,
        amount: i64,
        bonded: i64,
        unbonding: i64,
        /// When the last unbonding part may be withdrawn; 0 = none.
        ready_ns: i64,
    }
}

record! {
    /// A keeper's score after the event. `action` 0 = none, `ok` 0 = a fault.
    KeeperScoreBody: 40 {
        score_ppm: u32,
        state: u8,
        action: u8,
        ok: u8,
        /// 1: the score is below 0.90, worth an alert (P13.5).
        alert: u8,
        successes_e9: u64,
        faults_e9: u64,
        /// Next look at a suspended keeper; 0 = none.
        review_ns: i64,
        actions: u64,
    }
}

record! {
    /// SYSTEM had to do what the header's account was expected to do on the header's market.
    KeeperDutyBody: 56 {
        since_ns: i64,
        /// First duty missed since the keeper's last action.
        first_missed_ns: i64,
        evidence: [u8; 32],
        action: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
    }
}

record! {
    /// An action that moves `insurance` micro-units and waits for a second keeper until `until_ns`.
    LargeActionBody: 40 {
        large: u64,
        target_account: u32,
        target_sub: u8,
        action: u8,
        reserved: u16,
        insurance: i64,
        until_ns: i64,
        reserved2: u64,
    }
}

record! {
    /// `amount` micro-units from the system line `source` to the keeper's `free`.
    RewardBody: 16 { asset: u16, source: u8, action: u8, reserved: u32, amount: i64 }
}

record! {
    /// A slash of the header's account; `amount` micro-units moved from `bond` to insurance.
    SlashBody: 64 {
        slash: u64,
        amount: i64,
        /// Meaning by state as in `keeper::Slash`.
        deadline_ns: i64,
        evidence: [u8; 32],
        ppm: u32,
        /// `keeper::fault`.
        fault: u8,
        /// `keeper::slash_state`.
        state: u8,
        asset: u16,
    }
}
