//! Payloads and event bodies of the rewards that a season pays to makers (P11.4), and of the launch (P11.7, P9.11).

use crate::record;

record! {
    /// 0A05/0. A book enters (1) or leaves (0) the list of those whose makers are rewarded; `outcome` 0 unless the
    /// market has three or more.
    RewardMarket: 8 { market: u32, outcome: u8, rewarded: u8, reserved: u16 }
}

record! {
    /// A book of the header's market entered or left the list.
    RewardedBody: 16 { first_hour_ns: i64, outcome: u8, rewarded: u8, quote: u16, reserved: u32 }
}

record! {
    /// An hour of rewards is over: what it gives out, and the sums of all scores and rewarded volumes.
    RewardHourBody: 72 {
        /// End of the hour.
        hour_ns: i64,
        /// Micro-tokens that the season emitted in it, and micro-quote of the maker fund.
        token_pot: i64,
        fund_pot: i64,
        score_low: u64,
        score_high: u64,
        volume: i64,
        /// Index of the token in micro-quote per token; 0 = none, and then volume is not rewarded.
        token_price: i64,
        token: u16,
        quote: u16,
        volume_pct: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u64,
    }
}

record! {
    /// What an account made in a book within the hour, and what it may claim for that. Score = depth × seen.
    MakerRewardedBody: 64 {
        /// Micro-quote summed over the samples: of each the smaller side.
        depth: i64,
        /// Micro-quote of rewarded fills, and the taker fees in them.
        volume: i64,
        fees: i64,
        /// Micro-tokens for the score and for the volume, micro-quote of the maker fund.
        by_score: i64,
        by_volume: i64,
        fund: i64,
        /// Samples, of at most 3,600, that found the account on both sides.
        seen: u32,
        token: u16,
        quote: u16,
        outcome: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
    }
}

record! {
    /// 0A05/2. Micro-tokens of the launch distribution for the envelope's account.
    GrantLaunch: 8 { amount: i64 }
}

record! {
    /// A grant of the launch distribution: `total` behind it, of all accounts.
    LaunchGrantBody: 24 { amount: i64, total: i64, asset: u16, reserved: u16, reserved2: u32 }
}

record! {
    /// What a depositor of the vault has taken of the bootstrap reward. `share` is what it has earned in all; points are
    /// units × seconds, its own and everybody's, low words first.
    BootstrapClaimBody: 64 {
        amount: i64,
        claimed: i64,
        share: i64,
        points_low: u64,
        points_high: u64,
        all_low: u64,
        all_high: u64,
        asset: u16,
        reserved: u16,
        reserved2: u32,
    }
}
