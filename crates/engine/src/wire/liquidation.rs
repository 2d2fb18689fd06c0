//! Bodies of liquidation and the waterfall of losses (protocol P5). The header names market, account and sub-account
//! of the one who is liquidated unless a body says otherwise. Money in micro-quote.

use crate::record;

record! {
    /// The level of a sub-account's margin changed: the number of the ratios 1.5, 1.25, 1.1 that E/MM is below.
    HealthBody: 40 {
        equity: i64,
        maintenance_margin: i64,
        /// E/MM in ppm.
        ratio_ppm: i64,
        /// Notional of its positions.
        notional: i64,
        level: u8,
        previous: u8,
        reserved: u16,
        reserved2: u32,
    }
}

record! {
    /// E < MM: keepers may act now, SYSTEM from `system_from_ns` on. The header's market is the one to be reduced first.
    LiquidationFlagBody: 48 {
        equity: i64,
        maintenance_margin: i64,
        ratio_ppm: i64,
        notional: i64,
        system_from_ns: i64,
        /// Lots in the header's market, signed.
        lots: i64,
    }
}

record! {
    /// A step begins: an IOC order of the header's sub-account; `keeper` u32::MAX = SYSTEM.
    LiquidationStartBody: 64 {
        lots: i64,
        limit: i64,
        mark: i64,
        equity: i64,
        maintenance_margin: i64,
        fee_rate_e6bp: u32,
        keeper: u32,
        /// 1: cut to a tranche (P5.3); 2: cut by the market's rate (P5.4).
        cut: u8,
        /// 1: under a cascade; 2: and its lots are offered passively first, the order follows (P5.9).
        cascade: u8,
        reserved: u16,
        reserved2: u32,
        /// Micro-quote that the market may still sell in this second, before the step.
        rate_left: i64,
    }
}

record! {
    /// What a step did. Its postings take the fee; a keeper's reward follows as KeeperRewarded out of `liquidation_fees`.
    LiquidationStepBody: 64 {
        filled_lots: i64,
        unfilled_lots: i64,
        notional: i64,
        fee: i64,
        equity: i64,
        maintenance_margin: i64,
        /// E/MM in ppm before the step.
        ratio_before_ppm: i64,
        ratio_ppm: i64,
    }
}

record! {
    /// A liquidation is over or goes on later: `liquidation_end`.
    LiquidationEndBody: 32 {
        reason: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
        equity: i64,
        maintenance_margin: i64,
        next_ns: i64,
    }
}

record! {
    /// A deficit is covered by a stage of the waterfall: `loss_stage`.
    LossCoveredBody: 40 {
        stage: u8,
        reserved: u8,
        /// The asset that is seized for the cover, with `amount` of it.
        asset: u16,
        reserved2: u32,
        covered: i64,
        deficit_left: i64,
        amount: i64,
        /// What is left of the source: pool or fund.
        source_left: i64,
    }
}

record! {
    /// Insurance takes over lots at the bankruptcy price: the header's sub-account ends them, `fund` holds them.
    BackstopBody: 64 {
        /// Signed lots that left the sub-account.
        lots: i64,
        /// Signed value of the transfer.
        value: i64,
        mark: i64,
        realised: i64,
        /// Drawn from insurance so that the fund's account is worth at least nothing at the mark.
        draw: i64,
        insurance_left: i64,
        fund: u32,
        reserved: u32,
        /// Notional that the fund holds in the market after it.
        notional: i64,
    }
}

record! {
    /// Auto-deleveraging: the header's sub-account closes lots against a bankrupt one, at the latter's bankruptcy price.
    AdlBody: 64 {
        bankrupt_account: u32,
        bankrupt_sub: u8,
        reserved: u8,
        /// Place among the opposing positions, 1 first.
        rank: u16,
        /// Signed lots that the header's sub-account receives.
        lots: i64,
        value: i64,
        /// Ticks, rounded down.
        price: i64,
        score_ppm: i64,
        realised: i64,
        bankrupt_realised: i64,
        unrealised: i64,
    }
}

record! {
    /// The last step: the header's sub-account, which profits in the market, bears a share of a loss.
    LossSocialisedBody: 48 {
        bankrupt_account: u32,
        bankrupt_sub: u8,
        reserved: u8,
        reserved2: u16,
        share: i64,
        profit: i64,
        loss_total: i64,
        profit_total: i64,
        reserved3: u64,
    }
}

record! {
    /// A cascade began or ended (P5.9).
    CascadeBody: 40 {
        active: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
        pending_notional: i64,
        /// Book depth within ±2 % and open interest, micro-quote.
        depth: i64,
        open_interest: i64,
        since_ns: i64,
    }
}

record! {
    /// Money between insurance and the account that holds what it took over; positive to insurance.
    FundBody: 32 { fund: u32, reserved: u32, amount: i64, insurance_left: i64, equity: i64 }
}

/// Why a liquidation ended.
pub mod liquidation_end {
    pub const HEALTHY: u8 = 1;
    /// The cancels alone restored it.
    pub const CANCELS: u8 = 2;
    pub const CLOSED: u8 = 3;
    /// Another tranche follows.
    pub const COOLING: u8 = 4;
    pub const NAMES: [&str; 4] = ["healthy", "cancels", "closed", "cooling"];
}

/// Stages of the waterfall (P5.6).
pub mod loss_stage {
    pub const COLLATERAL: u8 = 1;
    pub const FEES: u8 = 2;
    pub const INSURANCE: u8 = 3;
    pub const ADL: u8 = 4;
    pub const SOCIALISED: u8 = 5;
    /// What no stage covered: the fund owes it.
    pub const OWED: u8 = 6;
    pub const NAMES: [&str; 6] = ["collateral", "fees", "insurance", "adl", "socialised", "owed"];
}
