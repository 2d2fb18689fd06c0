//! Payloads and bodies of chains: up to three linked steps that happen together or not at all (P15.9, row 0E01).

use crate::record;

record! {
    /// One step of a chain; see [`chain_step`].
    ChainStep: 24 {
        /// 0 = no step here or behind.
        kind: u8,
        outcome: u8,
        detail: u16,
        market: u32,
        amount: i64,
        limit: i64,
    }
}

record! {
    /// 0E01/0: three [`ChainStep`]s, in the order in which they happen.
    OpenChain: 72 {
        kind_1: u8,
        outcome_1: u8,
        detail_1: u16,
        market_1: u32,
        amount_1: i64,
        limit_1: i64,
        kind_2: u8,
        outcome_2: u8,
        detail_2: u16,
        market_2: u32,
        amount_2: i64,
        limit_2: i64,
        kind_3: u8,
        outcome_3: u8,
        detail_3: u16,
        market_3: u32,
        amount_3: i64,
        limit_3: i64,
    }
}

impl OpenChain {
    /// The steps as records; places behind the last one are zero.
    pub fn steps(&self) -> [ChainStep; 3] {
        bytemuck::must_cast(*self)
    }

    pub fn of(steps: [ChainStep; 3]) -> Self {
        bytemuck::must_cast(steps)
    }
}

record! {
    /// 0E01/1. `limit_n` bounds what undoing step n costs or brings, in the units of [`chain_step`]; 0 where it has no
    /// bound. `release` 1 ends the chain and leaves what its steps hold to its owner.
    CloseChain: 40 {
        chain: u64,
        release: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
        limit_1: i64,
        limit_2: i64,
        limit_3: i64,
    }
}

record! {
    /// A chain begins: its steps follow. Base and fee in micro-units of the settlement asset, the rate in bp.
    ChainBody: 40 { chain: u64, steps: u8, verses: u8, asset: u16, rate_bp: u32, base: i64, fee: i64, reserved: u64 }
}

record! {
    /// A step was done (ChainStepped) or undone (ChainUnwound). `step` counts from 1; `done` is what undoing it gives
    /// back: shares, lots, or the number of a lot. Of ChainUnwound `limit` is the owner's.
    ChainStepBody: 48 {
        chain: u64,
        step: u8,
        kind: u8,
        outcome: u8,
        reserved: u8,
        detail: u16,
        reserved2: u16,
        amount: i64,
        limit: i64,
        done: i64,
        reserved3: u64,
    }
}

record! {
    /// What a chain pays, and how much risk its sub-account has behind it: micro-units, the cap in hundredths.
    ChainChargeBody: 48 {
        chain: u64,
        fee: i64,
        exposure: i64,
        equity: i64,
        cap_e2: u32,
        asset: u16,
        reserved: u16,
        reserved2: u64,
    }
}

record! {
    /// A chain is over: CLOSED with all its steps undone, or released.
    ChainEndBody: 16 { chain: u64, steps: u8, released: u8, reserved: u16, reserved2: u32 }
}

record! {
    /// A flash loan of a chain, in micro-units. Of FlashBorrowed the fee is what its return will cost.
    FlashBody: 32 { chain: u64, principal: i64, fee: i64, asset: u16, reserved: u16, reserved2: u32 }
}

/// Kinds of steps. Amounts in micro-units or micro-shares unless something else is said.
pub mod chain_step {
    /// Buys claims from the market's pool: `detail` 0 spends `amount` for at least `limit` shares, 1 buys `amount` shares
    /// for at most `limit`. Undone by selling the shares for at least the limit of the closing.
    pub const POOL_BUY: u8 = 1;
    /// Sells claims to the market's pool: `detail` 0 sells `amount` shares for at least `limit`, 1 sells at most `limit`
    /// shares for `amount`. Undone by buying the shares back for at most the limit of the closing.
    pub const POOL_SELL: u8 = 2;
    /// Adds `amount` to the market's pool for at least `limit` pool shares. Undone by taking the pool shares out for at
    /// least the limit of the closing, once they are unlocked.
    pub const ADD_LIQUIDITY: u8 = 3;
    /// Deposits `amount` into the vault. Undone by asking for the exit of the shares.
    pub const DEPOSIT_VAULT: u8 = 4;
    /// Stakes `amount` of the token for `detail` days: 0, 30 or 90. Undone by taking the lot back, once it is unlocked.
    pub const STAKE: u8 = 5;
    /// Mints `amount` lots of complete sets. Undone by merging them.
    pub const MINT_SET: u8 = 6;
    /// Buys `amount` lots of claims in the outcome's book for at most `limit` ticks each, all of them at once or none. Only
    /// as the last step and without a flash loan. Undone behind all other steps, by selling the lots for at least the
    /// closing's limit in ticks.
    pub const BOOK_BUY: u8 = 7;
    /// Sells `amount` lots of claims in the outcome's book for at least `limit` ticks each, as [`BOOK_BUY`]. Undone by
    /// buying the lots back for at most the closing's limit in ticks, behind all other steps but sets of its market: they
    /// are merged behind it.
    pub const BOOK_SELL: u8 = 8;
    /// Borrows `amount` from the vault until the last step is done.
    pub const FLASH_BORROW: u8 = 10;

    /// Names by number, `""` where none is assigned.
    pub const NAMES: &[(&str, u8)] = &[
        ("pool_buy", POOL_BUY),
        ("pool_sell", POOL_SELL),
        ("add_liquidity", ADD_LIQUIDITY),
        ("vault_deposit", DEPOSIT_VAULT),
        ("stake", STAKE),
        ("mint_set", MINT_SET),
        ("book_buy", BOOK_BUY),
        ("book_sell", BOOK_SELL),
        ("flash_borrow", FLASH_BORROW),
    ];
}
