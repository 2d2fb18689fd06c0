//! What asks for looks at sub-accounts, and the looks that a command leaves to the next one (protocol P5.1, P2.1.4).

use crate::apply::work::{Budget, Work};
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::*;
use crate::liquidation::watch::{account_of, owner};
use crate::liquidation::{Look, NOBODY};
use crate::output::Output;
use crate::perp::margin::div_ceil;
use crate::wire::command::Command;

const PPB: i128 = 1_000_000_000;

impl<B: Book> Engine<B> {
    /// A new mark: moves the deviation; whom it has crossed is looked at before the next command.
    pub(crate) fn watch_mark(&mut self, command: &Command, market: u32) {
        let Some(place) = self.state.perps.place(market) else { return };
        let mark = self.state.perps.markets[place].mark;
        self.state.liquidations.market_mut(place).deviation.observe(mark, command.time_ns);
        self.note_crossed(place);
    }

    /// Funding moves equity without the mark: bounds shift by the ticks that it took, rounded up.
    pub(crate) fn watch_funding(&mut self, market: u32, delta: i128) {
        let Some(place) = self.state.perps.place(market).filter(|_| delta != 0) else { return };
        let per_tick = i128::from(self.state.perps.markets[place].unit) * PPB;
        let ticks = i64::try_from(div_ceil(delta.abs(), per_tick)).unwrap_or(i64::MAX / 4);
        let taken = &mut self.state.liquidations.market_mut(place).funding_ticks;
        let side = usize::from(delta < 0);
        taken[side] = taken[side].saturating_add(ticks);
        self.note_crossed(place);
    }

    fn note_crossed(&mut self, place: usize) {
        if self.crossed_in(place).is_some() {
            let market = self.state.perps.markets[place].market;
            self.state.liquidations.pending.add_market(market);
        }
    }

    /// A record of a market whose bounds the mark has reached.
    #[inline]
    fn crossed_in(&self, place: usize) -> Option<u32> {
        let mark = self.state.perps.markets[place].mark;
        let market = self.state.liquidations.market(place)?;
        let [long, short] = market.funding_ticks;
        market.ladder.crossed(mark.saturating_sub(long), mark.saturating_add(short))
    }

    /// The index or the state of a feed changed: collateral that it prices.
    pub(crate) fn watch_index(&mut self, feed: u32) {
        if self.state.liquidations.has_no_collateral_watch() {
            return;
        }
        for number in 0..self.state.assets.len() {
            if self.state.assets[number].feed == feed && self.crossed_by(number as u16).is_some() {
                self.state.liquidations.pending.add_asset(number as u16);
            }
        }
    }

    /// An owner whose collateral of this asset has reached its bound.
    fn crossed_by(&self, asset: u16) -> Option<(u32, u8)> {
        let entry = &self.state.assets[asset as usize];
        let price = self.collateral_price(entry, true, false).map_or(0, |(price, _)| price);
        self.state.liquidations.crossed_collateral(asset, price).map(account_of)
    }

    /// Looks at those who wait for it, as many as the budget admits.
    #[inline(never)]
    pub(crate) fn look_at_pending(
        &mut self,
        command: &Command,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Work> {
        while let Some(look) = self.state.liquidations.pending.first() {
            let who = match look {
                Look::Bounds(owner, _) | Look::Owner(owner, _) => Some(account_of(owner)),
                Look::Market(market) => {
                    let place = self.state.perps.place(market).expect("a leveraged market");
                    let position = self.crossed_in(place).map(|slot| self.state.perps.at(slot));
                    position.map(|position| (position.account, position.sub))
                }
                Look::Asset(asset) => self.crossed_by(asset),
            };
            let Some(who) = who else {
                self.state.liquidations.pending.remove(look);
                continue;
            };
            let effort = self.look_effort(who);
            if !budget.admits(effort) {
                return Some(Work::Looks);
            }
            budget.spend(effort);
            match look {
                // What is left, if anything is, is noted again.
                Look::Bounds(_, left) => self.set_bounds(who, left),
                Look::Owner(_, fresh) => {
                    self.state.liquidations.pending.remove(look);
                    let seen = self.survey(who.0, who.1);
                    self.look_with(command, who, seen, fresh, output);
                }
                Look::Market(_) | Look::Asset(_) => self.look_at(command, who, true, output),
            }
        }
        None
    }

    /// Risk parameters changed: every holder of a position is looked at, some a Tick.
    pub(crate) fn sweep_all(&mut self) {
        self.state.liquidations.sweep = 0;
    }

    /// Every Tick: the sweep goes on, cascades are measured.
    pub(crate) fn watch_tick(&mut self, command: &Command, output: &mut Output) {
        self.measure_cascades(command, output);
        let first = self.state.liquidations.sweep;
        if first == NOBODY {
            return;
        }
        let count = self.state.accounts.list.len();
        let (mut next, mut looks) = (first as usize, 0);
        let last = count.min(next + SWEEP_RECORDS);
        while next < last && looks < SWEEP_LOOKS {
            let subs = self.state.accounts.list[next].subs().filter(|sub| !sub.positions.is_empty());
            for sub in subs {
                let owner = owner(next as u32, sub.index);
                self.state.liquidations.pending.add_owner(owner, true);
                looks += 1;
            }
            next += 1;
        }
        self.state.liquidations.sweep = if next >= count { NOBODY } else { next as u32 };
    }
}
