//! Payloads and event bodies of the token (P11): issue, vesting, seasons, staking.

use crate::record;

record! {
    /// 0A01/0. Micro-units of the token; a lock of 0, 2,592,000 or 7,776,000 s.
    StakeToken: 16 { amount: i64, lock_s: u32, reserved: u32 }
}

record! {
    /// 0A01/1. A lot by its number within the account.
    UnstakeToken: 8 { lot: u64 }
}

record! {
    /// 0A02. 0 = every lot.
    ClaimRewards: 8 { lot: u64 }
}

record! {
    /// 0A03/0 and 0A03/1.
    VestingTarget: 8 { schedule: u64 }
}

record! {
    /// 0A03/2. Tokens of a pool (`token::vesting::POOLS`) for an account; a start of 0 = now.
    AllocateVesting: 56 {
        beneficiary: [u8; 32],
        amount: i64,
        start_ns: i64,
        pool: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
    }
}

record! {
    /// 0A04/0. Numbers follow each other from 1; budget in micro-units.
    OpenSeason: 16 { season: u32, reserved: u32, budget: i64 }
}

record! {
    /// 0A04/1.
    SettleSeason: 8 { season: u32, reserved: u32 }
}

record! {
    /// The whole supply comes into being: `issuance` −(season + reserved).
    TokenIssueBody: 32 { asset: u16, reserved: u16, reserved2: u32, season: i64, locked: i64, issued_ns: i64 }
}

record! {
    /// A stake after the event; `lot_id` derives from the account's id and the number.
    StakeBody: 72 {
        lot: u64,
        amount: i64,
        /// Weight in the total: the amount times 1, 1.25 or 1.5.
        weight: i64,
        unlock_ns: i64,
        lot_id: [u8; 32],
        lock_s: u32,
        asset: u16,
        reserved: u16,
    }
}

record! {
    /// `amount` micro-units of an asset's staker pool were shared among the total weight. Accumulator and carry as
    /// they stand then, low words first.
    RewardsSharedBody: 56 {
        asset: u16,
        reserved: u16,
        reserved2: u32,
        amount: i64,
        total_weight: i64,
        accumulator_low: u64,
        accumulator_high: u64,
        carry_low: u64,
        carry_high: u64,
    }
}

record! {
    /// Rewards of one lot, or of all when `lot` is 0: from the system line `source` to the owner's `free`.
    RewardsBody: 24 { lot: u64, amount: i64, asset: u16, source: u8, reserved: u8, reserved2: u32 }
}

record! {
    /// A schedule after the event. `amount` was allocated, `vested` had vested by then, `claimed` was taken so far.
    VestingBody: 72 {
        schedule: u64,
        amount: i64,
        start_ns: i64,
        cliff_ns: i64,
        end_ns: i64,
        vested: i64,
        claimed: i64,
        /// What moved: claimed now, or given back to the pool.
        moved: i64,
        pool: u8,
        revoked: u8,
        asset: u16,
        reserved: u32,
    }
}

record! {
    /// A season after the event. `moved` went from `reserved` to `season` when it opened, back when it was settled.
    SeasonBody: 48 { season: u32, asset: u16, reserved: u16, budget: i64, start_ns: i64, end_ns: i64, paid: i64, moved: i64 }
}
