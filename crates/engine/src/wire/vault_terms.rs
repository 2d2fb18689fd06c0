//! Records of the vault's management fee and of insurance's week (protocol P9.8, P9.12). Money in micro-units.

use crate::record;

record! {
    /// The fee of one day, from the vault to the treasury.
    ManagementFeeBody: 32 {
        asset: u16,
        /// Of the vault's value a year.
        rate_bp: u16,
        reserved: u32,
        epoch_ns: i64,
        amount: i64,
        /// Behind the fee.
        nav: i64,
    }
}

record! {
    /// A week of insurance is over: what was set aside a week ago enters the vault's value, and what insurance has beyond
    /// twice its target is set aside.
    InsuranceWeekBody: 56 {
        asset: u16,
        reserved: u16,
        /// Key of the line `vault_cash` on which the money waits.
        ledger_key: u32,
        week_ns: i64,
        /// Largest S of the week.
        at_risk: i64,
        released: i64,
        set_aside: i64,
        insurance_left: i64,
        /// The vault's value with what is released.
        nav: i64,
    }
}
