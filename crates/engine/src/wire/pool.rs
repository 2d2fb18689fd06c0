//! Payloads and bodies of market makers' pools (P2.2 rows 0109, 0501, 0502). A pool is named by its market.

use crate::record;

record! {
    /// 0109: the funding makes the liquidity; kind 0 takes the one of the selection table. For a distribution market the
    /// funding is what backs the claims; the rest is its own and 0 for others.
    CreatePool: 56 {
        market: u32,
        amm_kind: u8,
        reserved: u8,
        reserved2: u16,
        funding: i64,
        /// L2 norm of the claims in micro-quote.
        norm: i64,
        /// Bounds of the number, mean and width of the first claim, in its own unit times 10⁶.
        lower: i64,
        upper: i64,
        mean: i64,
        sigma: i64,
    }
}

record! {
    /// 0501. Buying, the amount is money in (or shares out, when `exact_out`); selling, it is shares in (or money out).
    /// Money is before the fee.
    SwapAmm: 40 {
        market: u32,
        outcome: u8,
        side: u8,
        exact_out: u8,
        reserved: u8,
        /// Micro-quote or micro-shares.
        amount: i64,
        /// Fewest to receive after the fee, or most to give: money with the fee, or shares; mandatory.
        limit: i64,
        /// 0 = none.
        deadline_ns: i64,
        /// Largest change of the price in bp; 0 = 500, at most 2,000.
        max_impact_bp: u16,
        reserved2: u16,
        reserved3: u32,
    }
}

record! {
    /// 0502: micro-quote to add, or the provider's shares to take out (none to collect what a dynamic pool has set
    /// free); fewest shares, or least money, to get.
    PoolLiquidity: 24 { market: u32, reserved: u32, amount: i64, min_out: i64 }
}

record! {
    /// 0503: where the market's claim is moved to, in the number's unit times 10⁶; most collateral in micro-quote, without
    /// the fee; 0 = no deadline.
    TradeDistribution: 40 { market: u32, reserved: u32, mean: i64, sigma: i64, max_collateral: i64, deadline_ns: i64 }
}

record! {
    /// A new distribution market's pool; the creator has the first claim.
    DistributionBody: 48 { norm: i64, backing: i64, lower: i64, upper: i64, mean: i64, sigma: i64 }
}

record! {
    /// A trade that moved a distribution market's claim, and what it posted.
    DistributionMoveBody: 72 {
        from_mean: i64,
        from_sigma: i64,
        mean: i64,
        sigma: i64,
        collateral: i64,
        fee: i64,
        /// Of the fee, to the pool's cash.
        provider_fee: i64,
        /// Claims of the trader in this market with the new one.
        claims: u32,
        reserved: u32,
        /// Cash of the pool after it.
        cash: i64,
    }
}

record! {
    /// Claims of a sub-account in a distribution market, paid at its value in the number's unit times 10⁶.
    DistributionPaidBody: 48 {
        value: i64,
        paid: i64,
        /// Of it, what the creator has of the backing and of fees.
        residual: i64,
        /// What rounding kept, to insurance behind the last payment.
        swept: i64,
        /// Cash of the pool after it.
        cash: i64,
        claims: u32,
        /// 1: the market is INVALID and has no value; every collateral returns.
        invalid: u32,
    }
}

record! {
    /// A new pool.
    PoolBody: 40 {
        /// As in `amm_kind`.
        amm_kind: u8,
        /// 1: the creator has overridden the selection table.
        chosen: u8,
        reserved: u16,
        reserved2: u32,
        /// b or L in micro-shares.
        liquidity: i64,
        funding: i64,
        /// Complete sets that the pool made of its cash, in micro-shares.
        minted: i64,
        /// Shares of the provider.
        shares: i64,
    }
}

record! {
    /// A swap. Prices of the outcome in 1e-9.
    SwapBody: 72 {
        outcome: u8,
        side: u8,
        reserved: u16,
        reserved2: u32,
        /// Micro-shares that changed hands.
        shares: i64,
        /// Micro-quote for them, without the fee.
        cost: i64,
        fee: i64,
        /// Complete sets that the pool made (negative: dissolved).
        minted: i64,
        price_before_ppb: i64,
        price_after_ppb: i64,
        liquidity: i64,
        /// Of the fee, to the pool's cash: its providers' share.
        provider_fee: i64,
    }
}

record! {
    /// Liquidity that came or went, and what there is after it.
    LiquidityBody: 56 {
        shares: i64,
        /// Micro-quote paid by (LiquidityAdded) or to (LiquidityRemoved) the provider.
        money: i64,
        /// Complete sets made (negative: dissolved).
        minted: i64,
        provider_shares: i64,
        total_shares: i64,
        liquidity: i64,
        /// Until then the provider takes nothing out.
        unlock_ns: i64,
    }
}

record! {
    /// A dynamic pool at its next touch: liquidity in micro-shares, and the claims set free at the same price.
    RescaleBody: 56 {
        liquidity_before: i64,
        liquidity: i64,
        /// Of outcomes 0 and 1, now and in all that nobody has collected.
        freed_first: i64,
        freed_second: i64,
        released_first: i64,
        released_second: i64,
        /// L₀.
        base: i64,
    }
}

/// Kinds of market makers (offset 507 of the market record).
pub mod amm_kind {
    pub const NONE: u8 = 0;
    pub const LMSR: u8 = 1;
    pub const PM_STATIC: u8 = 2;
    pub const PM_DYNAMIC: u8 = 3;
    pub const DISTRIBUTION: u8 = 4;

    /// Names in code order.
    pub const NAMES: [&str; 5] = ["none", "lmsr", "pm-static", "pm-dynamic", "distribution"];
}
