//! What a fee depends on beside coverage, from events alone: volumes of 30 days and who is linked to whom (I12; P8.4).

mod adjust;
mod burn;

pub use burn::{burner_key, BUYBACK};

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{ensure, fault, Check};
use super::{Auditor, Market};
use crate::book::Book;
use crate::engine::Engine;
use crate::wire::event::{Event, FeeBody, OwnerLinkBody};

const DAY_NS: i64 = 86_400_000_000_000;
const WINDOW_DAYS: i64 = 30;
/// Accounts whose volume the engine keeps.
const KEPT: usize = 65_536;

/// Basis points by volume in whole dollars, and by whole tokens at stake (P8.4).
const VOLUME_BP: [(i64, u16); 4] = [(100_000_000, 20), (10_000_000, 15), (1_000_000, 10), (100_000, 5)];
const STAKE_BP: [(i64, u16); 4] = [(1_000_000, 25), (100_000, 15), (10_000, 10), (1_000, 5)];

/// Volumes and links.
#[derive(Clone, Debug, Default)]
pub struct Tiers {
    /// Micro-units by account and day.
    days: BTreeMap<(u32, i64), i64>,
    /// Accounts that ever had a volume: beyond what the engine keeps it may know less than this.
    accounts: BTreeSet<u32>,
    /// Declared pairs, in both directions.
    links: BTreeSet<(u32, u32)>,
    pub adjust: adjust::Adjustments,
    pub burn: burn::Burn,
}

impl Tiers {
    fn add(&mut self, account: u32, day: i64, amount: i64) {
        let known = self.days.entry((account, day)).or_insert(0);
        *known = known.saturating_add(amount);
        self.accounts.insert(account);
        // What is out of every window goes with the account's next trade.
        while let Some((&place, _)) =
            self.days.range((account, i64::MIN)..(account, day - WINDOW_DAYS)).next()
        {
            self.days.remove(&place);
        }
    }

    fn volume(&self, account: u32, now_ns: i64) -> i64 {
        let today = now_ns.div_euclid(DAY_NS);
        let window = self.days.range((account, today - WINDOW_DAYS)..(account, today));
        window.fold(0, |sum, (_, &amount)| i64::saturating_add(sum, amount))
    }

    pub(super) fn is_linked(&self, first: u32, other: u32) -> bool {
        self.links.contains(&(first, other))
    }

    fn has_links(&self, account: u32) -> bool {
        self.links.range((account, 0)..=(account, u32::MAX)).next().is_some()
    }

    fn link(&mut self, first: u32, other: u32, linked: bool) {
        for pair in [(first, other), (other, first)] {
            if linked {
                self.links.insert(pair);
            } else {
                self.links.remove(&pair);
            }
        }
    }
}

fn step(rows: &[(i64, u16)], whole: i64) -> u16 {
    rows.iter().find(|(least, _)| whole >= *least).map_or(0, |row| row.1)
}

impl Auditor {
    pub(super) fn owners_linked(&mut self, event: &Event) -> Check {
        let body: OwnerLinkBody = event.body_as();
        self.tiers.link(event.account, body.other, body.linked == 1);
        Ok(())
    }

    /// What volume and stake take off: the larger of the two.
    pub(super) fn check_discount(&self, event: &Event, told_bp: u16) -> Check {
        let volume = self.tiers.volume(event.account, event.time_ns);
        let (traded, staked) = (
            step(&VOLUME_BP, volume / 1_000_000),
            step(&STAKE_BP, self.token.staked_by(event.account) / 1_000_000),
        );
        let due = traded.max(staked);
        let forgotten = self.tiers.accounts.len() > KEPT && (staked..=due).contains(&told_bp);
        ensure!(
            told_bp == due || forgotten,
            "I12",
            "account {} has {told_bp} bp off for a volume of {volume}, computed again {due}",
            event.account
        );
        Ok(())
    }

    /// Whether the base of a fill counts for both of its owners, and if so that it does.
    pub(super) fn count_fill(&mut self, told: &FeeBody, (taker, maker): (u32, u32), quote: u16) -> Check {
        let distinct = taker != maker && !self.tiers.is_linked(taker, maker);
        self.count(told, distinct, quote, [Some(taker), Some(maker)])
    }

    /// As [`Auditor::count_fill`], of a swap: of who neither provides the pool nor is linked to anybody.
    pub(super) fn count_swap(&mut self, told: &FeeBody, market: u32, account: u32, quote: u16) -> Check {
        let distinct = !self.tiers.has_links(account) && !self.pools.has_provider(market, account);
        self.count(told, distinct, quote, [Some(account), None])
    }

    /// The same of a set round: of its taker, the first, what the fee is charged on, of every maker its own.
    pub(super) fn count_set(&mut self, told: &FeeBody, orders: &[(u32, i64)], quote: u16) -> Check {
        let [(taker, _), makers @ ..] = orders else { return Ok(()) };
        let distinct =
            makers.iter().all(|(maker, _)| taker != maker && !self.tiers.is_linked(*taker, *maker));
        self.count_all(told, distinct, quote, orders.iter().copied())
    }

    fn count(&mut self, told: &FeeBody, distinct: bool, quote: u16, of: [Option<u32>; 2]) -> Check {
        self.count_all(told, distinct, quote, of.into_iter().flatten().map(|account| (account, told.base)))
    }

    fn count_all(
        &mut self,
        told: &FeeBody,
        distinct: bool,
        quote: u16,
        of: impl Iterator<Item = (u32, i64)>,
    ) -> Check {
        let counts = distinct && told.fee > 0 && self.values.settlement() == Some(quote);
        ensure!(
            u8::from(counts) == told.counts,
            "I12",
            "a volume of {} counts as {}, not {counts}",
            told.base,
            told.counts
        );
        if counts {
            let day = self.time_ns.div_euclid(DAY_NS);
            of.for_each(|(account, base)| self.tiers.add(account, day, base));
        }
        Ok(())
    }

    pub(super) fn take_over_fees<B: Book>(&mut self, engine: &Engine<B>) -> Check {
        for (account, day, amount) in engine.state.fees.volumes.all_days() {
            if amount < 0 {
                return Err(fault("I12", format_args!("account {account} has a volume of {amount}")));
            }
            self.tiers.add(account, day, amount);
        }
        for (first, other) in engine.state.detector.links.pairs() {
            self.tiers.link(first, other, true);
        }
        self.take_over_adjustments(engine);
        self.take_over_burn(engine);
        Ok(())
    }
}
