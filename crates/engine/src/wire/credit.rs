//! Payloads and bodies of verse credits (P15.10, P2.2 row 0E03). Money in micro-quote, prices in ticks of one claim, lots as
//! in orders. Events name the credit by the number of its pledge, as sub-account.

use crate::record;

record! {
    /// 0E03/0 and 0E03/4: up to three legs behind `staged` ones. Side 0 is long: claims on the outcome, at most at the price;
    /// 1 is short: one claim on every other outcome, at most at the price for one of each.
    CreditLegs: 64 {
        verse: u32,
        /// LockCredit: all legs exclude each other, or nothing is locked.
        exclusive: u8,
        /// StageCredit: legs that are staged already, 0 = begins anew. LockCredit: staged legs to take along, 0 = none.
        staged: u8,
        count: u8,
        reserved: u8,
        market_1: u32,
        market_2: u32,
        market_3: u32,
        price_1: u32,
        price_2: u32,
        price_3: u32,
        lots_1: i64,
        lots_2: i64,
        lots_3: i64,
        outcome_1: u8,
        side_1: u8,
        outcome_2: u8,
        side_2: u8,
        outcome_3: u8,
        side_3: u8,
        reserved2: u16,
    }
}

record! {
    /// 0E03/1. `mode` as in `credit_release`; `lots` 0 = all, `price` the least for a claim (long) or for one claim on every
    /// other outcome (short).
    ReleaseCredit: 24 {
        verse: u32,
        market: u32,
        mode: u8,
        outcome: u8,
        side: u8,
        reserved: u8,
        price: u32,
        lots: i64,
    }
}

record! {
    /// 0E03/2 and 0E03/3: into a verse's credit, and out of what is available. WithdrawCredit: amount 0 = all of it.
    CreditMoney: 16 { verse: u32, asset: u16, reserved: u16, amount: i64 }
}

record! {
    /// Money went into a credit or left it.
    CreditMoneyBody: 48 {
        verse: u32,
        asset: u16,
        /// Sub-account that paid or received.
        owner_sub: u8,
        /// The credit is no more.
        closed: u8,
        /// Negative = withdrawn.
        amount: i64,
        /// After the event; available + locked = total.
        available: i64,
        locked: i64,
        total: i64,
        reserved: u64,
    }
}

record! {
    /// What legs of one market have cost or brought, and what they lock now. The header names the market.
    CreditBody: 64 {
        verse: u32,
        /// As in `credit_cause`.
        cause: u8,
        /// HANDED_OVER: the outcome, and the sub-account that has its claims now.
        outcome: u8,
        owner_sub: u8,
        /// 1: the legs that were staged are used up.
        unstaged: u8,
        /// Money that left the credit in this market since its last event; negative = came back.
        paid: i64,
        /// What the market locks after the event: the largest loss over its outcomes.
        outlay: i64,
        /// Gain or loss that changed the total.
        realised: i64,
        available: i64,
        locked: i64,
        total: i64,
        /// HANDED_OVER: claims, in micro-shares.
        shares: i64,
    }
}

/// What ReleaseCredit does.
pub mod credit_release {
    /// Closes a leg in the book.
    pub const CLOSE: u8 = 0;
    /// Redeems the claims of a market whose payout is final.
    pub const SETTLE: u8 = 1;
    /// Gives the owner claims that no loss is open for.
    pub const HAND_OVER: u8 = 2;
}

/// Why a credit's legs changed.
pub mod credit_cause {
    pub const LOCKED: u8 = 1;
    pub const CLOSED: u8 = 2;
    pub const SETTLED: u8 = 3;
    pub const HANDED_OVER: u8 = 4;

    /// Names in code order, starting with 1.
    pub const NAMES: [&str; 4] = ["locked", "closed", "settled", "handed over"];
}
