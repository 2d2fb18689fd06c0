//! The liquidity providers' vault: shares, exits, epochs, and what it stands behind (protocol P9).

pub mod exit;
pub mod shares;
mod snapshot;
pub mod terms;

use std::collections::{BTreeMap, BTreeSet};

use crate::coverage::stage::{Stage, LOOK_NS};
use crate::coverage::status::Status;
use crate::coverage::Exposure;
use crate::limits::DAY_NS;
use crate::outcome::Loans;
use crate::state::{due, Due};
use exit::{Cohort, Ticket};

/// The correlation from which the steps of a day are counted (P9.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub since_ns: i64,
    pub from_ppm: u32,
}

impl Published {
    pub fn is_over(&self, now_ns: i64) -> bool {
        now_ns >= self.since_ns.saturating_add(DAY_NS)
    }
}

/// The vault beside its money, which lies on the lines `vault_cash` and `vault_loans` of the settlement asset.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    /// Shares in micro-units by account, none of them zero; those that wait in tickets are not among them.
    pub holders: BTreeMap<u32, i64>,
    /// All shares: those of holders and the unserved ones of cohorts.
    pub supply: i64,
    pub tickets: BTreeMap<u64, Ticket>,
    /// The one ticket of an account and cohort.
    pub by_owner: BTreeMap<(u32, i64), u64>,
    /// By cut-off, which is the order in which they are served.
    pub cohorts: BTreeMap<i64, Cohort>,
    pub next_ticket: u64,
    pub exposure: Exposure,
    /// By bucket, `u32::MAX` for the platform: since when and from what the steps of a day are counted.
    pub published: BTreeMap<u32, Published>,
    /// Value and risk of the last look at coverage.
    pub seen_nav: i64,
    pub seen_at_risk: i128,
    pub status: Status,
    pub stage: Stage,
    /// Start of the present epoch (00:00 UTC), the value it began with, and what came in and left since.
    pub epoch_ns: i64,
    pub epoch_nav: i64,
    pub epoch_in: i64,
    pub epoch_out: i64,
    /// Highest price of a share at the start of an epoch, in 1e-12; 0 before the first deposit.
    pub high_water_e12: i128,
    /// The next look at stage, states and cohorts; 0 before the vault is used.
    pub next_look_ns: i64,
    /// Hour of the last cut-off that was served.
    pub served_ns: i64,
    /// Insurance's week (P9.12).
    pub insured: terms::InsuredWeek,
    /// What it has lent; written and read apart from the rest.
    pub loans: Loans,
}

impl Vault {
    pub fn shares_of(&self, account: u32) -> i64 {
        self.holders.get(&account).copied().unwrap_or(0)
    }

    /// Gives or takes free shares of an account; the supply stays.
    pub fn move_shares(&mut self, account: u32, delta: i64) -> i64 {
        let shares = self.holders.entry(account).or_insert(0);
        *shares += delta;
        assert!(*shares >= 0, "I24: account {account} would hold {shares} vault shares");
        let left = *shares;
        if left == 0 {
            self.holders.remove(&account);
        }
        left
    }

    /// The cohort at the head of the line whose time has come.
    pub fn head(&self, now_ns: i64) -> Option<(i64, Cohort)> {
        let due = self.cohorts.range(..=now_ns).find(|(_, cohort)| !cohort.is_served())?;
        Some((*due.0, *due.1))
    }

    /// What may still leave in this epoch, in micro-units.
    pub fn budget(&self) -> i64 {
        exit::epoch_budget(self.epoch_nav, self.epoch_in, self.epoch_out)
    }

    /// Whether a new epoch has begun by now.
    pub fn is_epoch_over(&self, now_ns: i64) -> bool {
        now_ns >= self.epoch_ns.saturating_add(DAY_NS)
    }

    /// The whole minute behind `now_ns`.
    pub fn next_look(now_ns: i64) -> i64 {
        (now_ns.div_euclid(LOOK_NS) + 1).saturating_mul(LOOK_NS)
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        if self.next_look_ns != 0 {
            due.insert((self.next_look_ns, due::VAULT, 0));
        }
    }
}
