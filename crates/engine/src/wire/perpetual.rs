//! Payloads and bodies of leveraged markets: risk parameters, positions, margin, funding, liquidation (P4, P5).

use crate::record;

record! {
    /// 0102/1. Bit i of `field_mask` selects the i-th field behind it.
    UpdateMarketRisk: 64 {
        market: u32,
        /// The market's configuration version that this change was written against.
        config_version: u32,
        field_mask: u32,
        /// Largest leverage in hundredths, 100..10,000.
        max_leverage_e2: u32,
        /// Size term k of P4.2 in ppm per square root of a dollar, 0..1,000.
        size_k_ppm: u32,
        /// Floor of the maintenance fraction in ppm.
        floor_mmf_ppm: u32,
        /// Liquidation fee in 1e-6 bp (P5.2).
        liquidation_fee_e6bp: u32,
        reserved: u32,
        /// Largest notional of one position in micro-quote.
        position_limit: i64,
        /// Largest open interest in micro-quote.
        open_interest_cap: i64,
        /// Impact notional of the funding sample in micro-quote (P4.8.1).
        impact_notional: i64,
        /// Largest position that insurance takes over, in micro-quote (P5.6).
        insurance_limit: i64,
    }
}

record! {
    /// 0401. `lots` 0 = all; `limit` in ticks, 0 = the market's protective limit.
    ClosePosition: 24 { market: u32, reserved: u32, lots: i64, limit: i64 }
}

record! {
    /// 0403. Positive: from sub-account 0 into the envelope's isolated sub-account; negative: back. Micro-quote.
    AdjustMargin: 16 { market: u32, reserved: u32, amount: i64 }
}

record! {
    /// 0404 and 0405. The envelope's account earns the keeper's reward.
    Liquidate: 40 { target: [u8; 32], market: u32, target_sub: u8, reserved: u8, reserved2: u16 }
}

record! {
    /// 0106, 0901: one market.
    OneMarket: 8 { market: u32, reserved: u32 }
}

record! {
    /// 0110/1. Weights as in RegisterAsset; `feed` u32::MAX = none.
    UpdateAsset: 32 {
        asset: u16,
        initial_asset_bp: u16,
        maintenance_asset_bp: u16,
        initial_liability_bp: u16,
        maintenance_liability_bp: u16,
        reserved: u16,
        feed: u32,
        deposit_cap: i64,
        /// Micro-units that one sub-account may count as collateral; 0 = no cap.
        collateral_cap: i64,
    }
}

record! {
    /// 0D03.
    FundInsurance: 16 { asset: u16, reserved: u16, reserved2: u32, amount: i64 }
}

record! {
    /// 0209. The envelope's account; level 0 revokes.
    SetSuitability: 16 { level: u8, reserved: u8, reserved2: u16, reserved3: u32, expiry_ns: i64 }
}

record! {
    /// The risk parameters after the event.
    MarketRiskBody: 64 {
        config_version: u32,
        max_leverage_e2: u32,
        size_k_ppm: u32,
        floor_mmf_ppm: u32,
        liquidation_fee_e6bp: u32,
        feed: u32,
        position_limit: i64,
        open_interest_cap: i64,
        impact_notional: i64,
        insurance_limit: i64,
        /// Lots open on each side.
        open_interest_lots: i64,
    }
}

record! {
    /// A position after the event; the header names market, account and sub-account.
    PositionBody: 72 {
        /// Signed lots.
        lots: i64,
        /// Signed micro-quote: sum of buys minus sum of sells of the open part.
        cost: i64,
        /// Micro-quote realised by this event (profit positive).
        realised: i64,
        /// Micro-quote of funding paid (negative: received) when the position was touched.
        funding_paid: i64,
        open_buy_lots: i64,
        open_sell_lots: i64,
        /// Low and high half of the funding index at which the position stands.
        funding_index_low: u64,
        funding_index_high: i64,
        leverage_e2: u32,
        /// What touched it, `position_cause`.
        cause: u8,
        reserved: u8,
        reserved2: u16,
    }
}

record! {
    /// Mark, index and premium average in ticks; 0 = unknown.
    MarkBody: 48 {
        mark: i64,
        index: i64,
        /// What the mark would be without the limit on its speed.
        unclamped: i64,
        /// EMA of mid minus index, in 1e-6 ticks.
        premium_e6: i64,
        open_interest_lots: i64,
        clamped: u8,
        feed_state: u8,
        reserved: u16,
        reserved2: u32,
    }
}

record! {
    /// An hour of funding.
    FundingBody: 72 {
        /// Hourly rate in ppb: that of `sample_sum_ppb / samples` (P4.8.1), 0 when the hour is skipped.
        rate_ppb: i64,
        index_low: u64,
        index_high: i64,
        /// Change of the index: micro-quote per lot × 10^9.
        delta_low: u64,
        delta_high: i64,
        index_ticks: i64,
        samples: u32,
        /// 0 charged, else why nothing is: `funding_skip`.
        skipped: u32,
        next_due_ns: i64,
        /// Sum of the hour's premium samples in ppb, each within ±10^9.
        sample_sum_ppb: i64,
    }
}

record! {
    /// Suitability of the header's account.
    SuitabilityBody: 16 { level: u8, reserved: u8, reserved2: u16, reserved3: u32, expiry_ns: i64 }
}

record! {
    /// Money into the insurance fund or between an account's sub-accounts.
    AmountBody: 16 { asset: u16, other_sub: u8, reserved: u8, reserved2: u32, amount: i64 }
}

/// What touched a position.
pub mod position_cause {
    pub const TRADE: u8 = 1;
    pub const FUNDING: u8 = 2;
    pub const LIQUIDATION: u8 = 3;
    pub const ADL: u8 = 4;
    pub const SETTLEMENT: u8 = 5;
    pub const SOCIALISED: u8 = 6;
    pub const TAKEOVER: u8 = 7;
    /// The owner chose another leverage; nothing else changed.
    pub const LEVERAGE: u8 = 8;
}

/// Why an hour had no funding.
pub mod funding_skip {
    pub const FEW_SAMPLES: u32 = 1;
    pub const HALTED: u32 = 2;
    pub const FEED: u32 = 3;
}
