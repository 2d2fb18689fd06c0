//! Exits from the vault: tickets, cohorts, and what an hourly cut-off may pay (protocol P9.9).

use super::shares::{assets_for, VIRTUAL};
use crate::limits::{HOUR_NS, VAULT_NOTICE_NS, VAULT_OUTFLOW_PCT};

/// Shares that one account takes out at one cut-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub account: u32,
    /// Where its money goes.
    pub sub: u8,
    pub shares: i64,
    /// Micro-units collected so far.
    pub collected: i64,
    pub cutoff_ns: i64,
}

/// The tickets of one cut-off together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cohort {
    pub shares: i64,
    /// Of these, not paid for yet: they still are part of the supply.
    pub unserved: i64,
    /// Micro-units that left the vault for it, and what its owners have collected.
    pub paid: i64,
    pub collected: i64,
    /// Tickets that have not collected everything.
    pub tickets: u32,
}

impl Cohort {
    /// What a ticket may have collected by now: pro rata, floored.
    pub fn entitled(&self, shares: i64) -> i64 {
        match self.shares {
            0 => 0,
            all => (i128::from(shares) * i128::from(self.paid) / i128::from(all)) as i64,
        }
    }

    pub fn is_served(&self) -> bool {
        self.unserved == 0
    }
}

/// The cut-off of a ticket asked for now: the first whole hour after its notice.
pub fn cutoff_ns(now_ns: i64) -> i64 {
    let ready_ns = now_ns.saturating_add(VAULT_NOTICE_NS);
    let hours = ready_ns.div_euclid(HOUR_NS) + i64::from(ready_ns.rem_euclid(HOUR_NS) != 0);
    hours.saturating_mul(HOUR_NS)
}

/// Key of a cohort's line in the ledger; 0 stands for the vault itself.
pub fn ledger_key(cutoff_ns: i64) -> u32 {
    (cutoff_ns / HOUR_NS).clamp(1, i64::from(u32::MAX) - 1) as u32
}

/// What a cut-off finds: micro-units, `at_risk` is the platform's S.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Till {
    pub nav: i64,
    pub cash: i64,
    pub supply: i64,
    pub at_risk: i128,
    /// What may still leave in this epoch.
    pub budget: i64,
}

/// What may leave within an epoch: a fifth of what it began with, and what came in since, less what left.
pub fn epoch_budget(epoch_nav: i64, came_in: i64, left: i64) -> i64 {
    let fifth = i128::from(epoch_nav) * i128::from(VAULT_OUTFLOW_PCT) / 100;
    let budget = fifth + i128::from(came_in) - i128::from(left);
    budget.clamp(0, i128::from(i64::MAX)) as i64
}

impl Till {
    /// Largest amount that may leave now: the epoch's outflow and a coverage of 1 afterwards; neither binds while
    /// nothing is at risk.
    pub fn limit(&self) -> i64 {
        if self.at_risk == 0 {
            return self.cash.max(0);
        }
        let covered = i128::from(self.nav) - self.at_risk;
        covered.min(i128::from(self.budget)).min(i128::from(self.cash)).max(0) as i64
    }

    /// Shares and micro-units that the cohort at the head of the line is paid: all of it, or what fits.
    pub fn serve(&self, unserved: i64) -> (i64, i64) {
        let limit = self.limit();
        let worth = assets_for(unserved, self.supply, self.nav);
        if worth <= limit {
            return (unserved, worth);
        }
        let fit = i128::from(limit) * (i128::from(self.supply) + VIRTUAL) / (i128::from(self.nav) + VIRTUAL);
        let shares = fit.min(i128::from(unserved)) as i64;
        (shares, assets_for(shares, self.supply, self.nav).min(limit))
    }
}
