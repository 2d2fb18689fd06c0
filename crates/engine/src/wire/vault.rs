//! Records of fees, coverage and the vault (protocol P8, P9). Money and shares in micro-units, ratios in ppm.

use crate::record;

record! {
    /// 0D01: into the vault, in the settlement asset, from the envelope's sub-account.
    DepositVault: 8 { amount: i64 }
}

record! {
    /// 0D02/0: shares out of the vault, after the notice and at the next cut-off.
    RequestVaultExit: 8 { shares: i64 }
}

record! {
    /// 0D02/1: what a cut-off has paid for a ticket.
    ClaimVaultExit: 8 { ticket: u64 }
}

record! {
    /// 0704/2: correlation of a bucket, `u32::MAX` = of the platform over its buckets (P9.4).
    PublishRisk: 40 { bucket: u32, rho_ppm: u32, evidence_hash: [u8; 32] }
}

record! {
    /// Shares for a deposit. Behind the event: the holder's shares, all shares, and the vault's value.
    VaultDepositBody: 56 {
        asset: u16,
        reserved: u16,
        reserved2: u32,
        amount: i64,
        shares: i64,
        held_shares: i64,
        supply: i64,
        nav: i64,
        /// Units of the bootstrap reward (P9.11).
        reward_units: i64,
    }
}

record! {
    /// Shares that wait for a cut-off. A second request for the same cut-off adds to the ticket.
    VaultExitBody: 48 {
        ticket: u64,
        shares: i64,
        ticket_shares: i64,
        held_shares: i64,
        cutoff_ns: i64,
        cohort_shares: i64,
    }
}

record! {
    /// What a cut-off paid for a cohort: the money waits on the cohort's own line.
    VaultCohortBody: 64 {
        asset: u16,
        reserved: u16,
        /// Key of the cohort's line.
        ledger_key: u32,
        cutoff_ns: i64,
        shares: i64,
        amount: i64,
        /// Shares of the cohort that are still to be paid.
        unserved: i64,
        supply: i64,
        /// The vault's value and what is at risk before the payment.
        nav: i64,
        at_risk: i64,
    }
}

record! {
    /// A ticket's owner has collected its part. `closed` = 1: nothing of the ticket is left; the last one of a cohort
    /// leaves what rounding kept to the vault.
    VaultPaidBody: 48 {
        ticket: u64,
        asset: u16,
        closed: u8,
        reserved: u8,
        ledger_key: u32,
        amount: i64,
        collected: i64,
        cutoff_ns: i64,
        /// Returned to the vault.
        dust: i64,
    }
}

record! {
    /// A new epoch (P9.9), and the performance fee on what the last ones gained (P9.8).
    VaultEpochBody: 56 {
        asset: u16,
        reserved: u16,
        reserved2: u32,
        epoch_ns: i64,
        /// Behind the fee.
        nav: i64,
        supply: i64,
        performance_fee: i64,
        /// Highest price of a share at the start of an epoch, in 1e-12.
        high_water_low: u64,
        high_water_high: i64,
    }
}

record! {
    /// A market's worst case (P9.1), and S of its bucket and of the platform behind the change (P9.2).
    WorstCaseBody: 40 {
        bucket: u32,
        reserved: u32,
        previous: i64,
        worst_case: i64,
        bucket_at_risk: i64,
        at_risk: i64,
    }
}

record! {
    /// A published correlation, and S of the platform with it. `bucket` `u32::MAX` = over the buckets.
    RiskBody: 56 {
        bucket: u32,
        rho_ppm: u32,
        previous_ppm: u32,
        reserved: u32,
        at_risk: i64,
        evidence_hash: [u8; 32],
    }
}

record! {
    /// State of coverage (P9.6) or stage of the vault (P9.7). Coverage in ppm, the largest i64 = infinite.
    CoverageStateBody: 32 {
        state: u8,
        previous: u8,
        reserved: u16,
        reserved2: u32,
        nav: i64,
        at_risk: i64,
        coverage_ppm: i64,
    }
}

record! {
    /// What coverage and stage allow to new leveraged risk (P4.5). `u32::MAX` = they set no bound.
    LeverageCapBody: 24 {
        cap_e2: u32,
        previous_e2: u32,
        /// As in `coverage::leverage::Term`.
        term: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
        coverage_ppm: i64,
    }
}

record! {
    /// The elastic fee of the trade before this event (P8): base, rate in 1e-8 bp and what it was computed from.
    FeeBody: 48 {
        base: i64,
        fee: i64,
        /// Of the fee, to the maker.
        rebate: i64,
        /// That the fee curve saw, in ppm; the largest i64 = infinite.
        coverage_ppm: i64,
        rate_e8: u64,
        adjustment_bp: u16,
        discount_bp: u16,
        rebate_pct: u8,
        /// 1: the base counts in the volume of both owners (P8.4).
        counts: u8,
        reserved: u16,
    }
}
