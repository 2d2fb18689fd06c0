//! Worst cases of leveraged markets, followed from Tick to Tick (protocol P9.1).

use super::work::{Budget, Work};
use crate::book::Book;
use crate::coverage::stress::{missing_of, share, weight, who, Line};
use crate::coverage::{Coverage, Exposure};
use crate::engine::Engine;
use crate::halts::breaker::Breaker;
use crate::ledger::line;
use crate::limits::STRESS_EFFORT;
use crate::liquidation::watch::owner;
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::{reject, Code, Reject};

/// Coverage below which nothing leaves a sub-account with positions (P9.10, B1).
const LEAST_COVERAGE_PPM: u64 = 500_000;

impl<B: Book> Engine<B> {
    /// Worst cases of all markets and what they come to.
    pub fn worst_cases(&self) -> &Exposure {
        &self.state.vault.exposure
    }

    /// A breaker of a market, or of the platform (`ALL_MARKETS`).
    pub fn breaker(&self, scope: u32, id: u8) -> Option<&Breaker> {
        self.state.halts.breaker(scope, id)
    }

    /// A sub-account's money or positions changed.
    #[inline]
    pub(crate) fn touch(&mut self, (account, sub): (u32, u8)) {
        self.state.perps.touch(&self.state.accounts, account, sub);
    }

    /// Counts again what has changed since the last Tick: first positions, then, once none is left, the worst cases of
    /// their markets. What is due comes behind.
    pub(crate) fn look_at_stress(
        &mut self,
        command: &Command,
        budget: &mut Budget,
        output: &mut Output,
    ) -> (Option<Work>, bool) {
        while !budget.is_spent() {
            budget.spend(STRESS_EFFORT);
            if self.state.perps.stress.forget_one() {
                continue;
            }
            if let Some(owner) = self.state.perps.stress.touched.pop() {
                let (account, sub) = who(owner);
                self.count_positions(account, sub, false);
                continue;
            }
            let Some(place) = self.state.perps.stress.next_dirty() else {
                return (self.is_due(command.time_ns).then_some(Work::Due), false);
            };
            self.weigh_market(command, place as usize, output);
        }
        (Some(Work::Stress), true)
    }

    /// Shares the sub-account's money in the settlement asset among its positions and counts them as they are now.
    /// `restored`: of a state that was read, only those that had been counted when it was written.
    pub(crate) fn count_positions(&mut self, account: u32, sub: u8, restored: bool) {
        let Some(asset) = self.settlement_asset() else { return };
        let accounts = &self.state.accounts;
        let money = accounts.balance(account, sub, asset, line::FREE)
            + accounts.balance(account, sub, asset, line::HELD);
        let perps = &mut self.state.perps;
        let slots = accounts.positions(account, sub);
        let held = slots.iter().map(|&slot| perps.at(slot)).filter(|position| position.lots != 0);
        let costs = held.map(|position| weight(position.cost)).sum();
        for &slot in slots {
            let position = *perps.at(slot);
            let place = perps.place(position.market).expect("a position is in a leveraged market");
            if let Some(line) = position.line.filter(|_| !restored) {
                perps.stress.remove(place, owner(account, sub), line);
            }
            let counts = !restored || position.line.is_some();
            let money = share(money, position.cost, costs);
            perps.at_mut(slot).line = match position.lots {
                // Closed since it was counted: the work to forget it is still to be done, as before the state was read.
                0 => position.line.filter(|_| restored).map(|_| Line::CLOSED),
                _ => counts.then(|| perps.stress.add(place, &position, money)),
            };
            perps.at_mut(slot).touched &= restored;
            if !restored {
                perps.stress.set_dirty(place);
            }
        }
    }

    /// Whether what leaves a sub-account with positions leaves the platform covered (P9.10): what they could then not
    /// pay beyond what is counted already is at risk in full, whatever the correlations.
    ///
    /// # Errors
    /// `COVERAGE_TOO_LOW`: bound and given in ppm.
    pub(crate) fn check_cover_left(
        &self,
        account: u32,
        sub: u8,
        asset: u16,
        amount: i64,
    ) -> Result<(), Reject> {
        if self.settlement_asset() != Some(asset) {
            return Ok(());
        }
        let slots = self.state.accounts.positions(account, sub);
        let balance = |line| self.state.accounts.balance(account, sub, asset, line);
        let money = balance(line::FREE) + balance(line::HELD);
        // What changed since the last Tick is not counted yet.
        let is_counted = slots.first().is_some_and(|&slot| !self.state.perps.at(slot).touched);
        let counted = if is_counted { self.missing_in(slots, money) } else { 0 };
        let worse = self.missing_in(slots, money.saturating_sub(amount)) - counted;
        if worse <= 0 {
            return Ok(());
        }
        let covered = Coverage::of(self.vault_nav(asset), self.state.vault.exposure.total() + worse);
        match covered.ppm() {
            Some(ppm) if ppm < LEAST_COVERAGE_PPM => {
                reject(Code::COVERAGE_TOO_LOW, LEAST_COVERAGE_PPM as i64, ppm as i64)
            }
            _ => Ok(()),
        }
    }

    /// What the positions of a sub-account could not pay with this money behind them.
    fn missing_in(&self, slots: &[u32], money: i64) -> i128 {
        let held = || slots.iter().map(|&slot| self.state.perps.at(slot)).filter(|held| held.lots != 0);
        let costs = held().map(|position| weight(position.cost)).sum();
        held()
            .map(|position| {
                let place = self.state.perps.place(position.market).expect("a leveraged market");
                let perp = &self.state.perps.markets[place];
                missing_of(position, share(money, position.cost, costs), perp)
            })
            .sum()
    }

    /// A market's worst case as it is now, in the bucket of its verse; markets without one are a class of their own.
    fn weigh_market(&mut self, command: &Command, place: usize, output: &mut Output) {
        let perp = &self.state.perps.markets[place];
        let market = perp.market;
        let worst_case = self.state.perps.stress.worst_case(place, perp);
        let bucket = self.state.verses.root_of_market(market).map_or(0, |root| root + 1);
        self.set_worst_case(command, market, bucket, worst_case, output);
    }

    /// Counts the positions of a state that was read.
    pub(crate) fn count_all_positions(&mut self) {
        let sorted = self.state.perps.sorted();
        let mut owners: Vec<(u32, u8)> =
            sorted.iter().map(|position| (position.account, position.sub)).collect();
        owners.dedup();
        owners.into_iter().for_each(|(account, sub)| self.count_positions(account, sub, true));
    }
}
