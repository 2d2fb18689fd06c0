//! Who must be looked at, and what a look finds: warnings, candidates, new bounds (protocol P5.1, P5.9).

use crate::apply::margin::{narrow, Health, Weights};
use crate::apply::work::{Budget, Work};
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::line;
use crate::limits::*;
use crate::liquidation::candidates::Candidate;
use crate::liquidation::watch::{
    account_of, level, next_ratio_ppm, owner, ratio_ppm, Bounds, Exposure, Owner, LIQUIDATABLE, NO_HIGH,
    NO_LOW, UNWATCHED,
};
use crate::liquidation::{rank_of, rerank, rewatch, sub_of, NOBODY};
use crate::order::NONE;
use crate::output::{Output, Subject};
use crate::perp::margin::{div_ceil, part_ceil};
use crate::perp::Position;
use crate::wire::command::{asset_flag, Command};
use crate::wire::event::{liquidation_end, EventKind, HealthBody, LiquidationEndBody, LiquidationFlagBody};

/// Keepers have this long before SYSTEM acts (P13.1).
pub(super) const KEEPER_GRACE_NS: i64 = 2 * SECOND_NS;
/// Weights are in bp, prices per 10^6 micro-units.
const COLLATERAL_SCALE: i128 = 10_000_000_000;
const PPB: i128 = 1_000_000_000;

/// What a sub-account holds, as far as liquidation asks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holdings {
    /// Positions with lots and collateral whose price can fall.
    pub exposures: i64,
    pub notional: i128,
    /// The market with the largest maintenance margin (the lower number on a tie), and the lots there.
    pub market: u32,
    pub lots: i64,
    pub margin: i128,
}

impl<B: Book> Engine<B> {
    /// Health for keeping positions, and what is held, in one walk over the sub-account.
    pub(super) fn survey(&self, account: u32, sub: u8) -> (Health, Holdings) {
        let mut held = Holdings { market: NOBODY, ..Holdings::default() };
        let mut health = self.collateral(account, sub, Weights::Maintenance);
        for &slot in self.state.accounts.positions(account, sub) {
            let position = self.state.perps.at(slot);
            if position.lots == 0 {
                continue;
            }
            let perp =
                self.state.perps.of_market(position.market).expect("a position is in a leveraged market");
            let notional = perp.value(position.lots);
            let margin = perp.maintenance_at(notional);
            self.keep_position(perp, position, margin, &mut health);
            held.exposures += 1;
            held.notional += notional;
            if margin > held.margin || held.market == NOBODY {
                (held.market, held.lots, held.margin) = (position.market, position.lots, margin);
            }
        }
        (health, held)
    }

    /// Looks at a sub-account: publishes its level, flags it, and sets the prices of the next look. `fresh`: bounds
    /// move even when the old ones would come earlier.
    pub(crate) fn look_at(&mut self, command: &Command, who: (u32, u8), fresh: bool, output: &mut Output) {
        let (account, sub) = who;
        if account == self.state.liquidations.fund {
            return self.state.perps.touch(&self.state.accounts, account, sub);
        }
        if self.state.liquidations.busy == Some(owner(account, sub)) {
            self.state.perps.touch(&self.state.accounts, account, sub);
            // The step looks at its end. Until then nothing is kept of it: a position that it closes leaves no trace.
            return self.set_bounds(who, None, 0, true);
        }
        let seen = self.survey(account, sub);
        self.look_with(command, who, seen, fresh, output);
    }

    /// [`Engine::look_at`] with what a survey has just found.
    pub(super) fn look_with(
        &mut self,
        command: &Command,
        who: (u32, u8),
        (health, mut held): (Health, Holdings),
        fresh: bool,
        output: &mut Output,
    ) {
        let (account, sub) = who;
        let owner = owner(account, sub);
        self.state.perps.touch(&self.state.accounts, account, sub);
        if held.exposures == 0 {
            return self.forget_watch(command, who, &health, output);
        }
        let (equity, maintenance) = (health.equity, health.maintenance_margin);
        if health.valued {
            self.publish_level(command, who, &health, &held, output);
        }
        let candidate = health.valued && equity < maintenance;
        // A candidate is looked at when its turn comes; what cannot be valued, with every price.
        let ratio = next_ratio_ppm(equity, maintenance);
        let rows = self.collateral_rows(account, sub);
        held.exposures += rows.len() as i64;
        let share = match (candidate, health.valued) {
            (true, _) => None,
            (_, false) => Some(0),
            _ => Some(narrow(equity - part_ceil(maintenance, i128::from(ratio))).max(0) / held.exposures),
        };
        self.set_bounds(who, share, ratio, fresh);
        self.set_collateral_bounds(owner, &rows, share, fresh);
    }

    /// What [`Engine::stays_watched`] says without these numbers, by them.
    #[cfg(debug_assertions)]
    pub(in crate::apply) fn assert_unchanged(&self, slot: u32) {
        let position = self.state.perps.at(slot);
        let (account, sub) = (position.account, position.sub);
        let (health, held) = self.survey(account, sub);
        let (equity, maintenance) = (health.equity, health.maintenance_margin);
        assert!(health.valued && held.exposures == 1 && self.collateral_rows(account, sub).is_empty());
        assert_eq!((level(equity, maintenance, 0), next_ratio_ppm(equity, maintenance)), (0, 1_500_000));
        let share = narrow(equity - part_ceil(maintenance, 1_500_000));
        let place = self.state.perps.place(position.market).expect("a position is in a leveraged market");
        let kept = self.next_bounds(place, position, Some(share), 1_500_000, false);
        assert_eq!(kept, position.watch, "{position:?} {health:?}");
    }

    /// A sub-account without positions needs no look any more.
    fn forget_watch(&mut self, command: &Command, who: (u32, u8), health: &Health, output: &mut Output) {
        let owner = owner(who.0, who.1);
        self.set_bounds(who, None, 0, true);
        if !self.state.liquidations.has_no_collateral_watch() {
            for asset in self.state.liquidations.watched_assets(owner) {
                self.state.liquidations.watch_collateral(owner, asset, None);
            }
        }
        sub_of(&mut self.state.accounts, owner).level = 0;
        self.unflag(command, who, health, liquidation_end::CLOSED, output);
    }

    fn unflag(
        &mut self,
        command: &Command,
        who: (u32, u8),
        health: &Health,
        reason: u8,
        output: &mut Output,
    ) {
        let owner = owner(who.0, who.1);
        let (accounts, perps) = (&mut self.state.accounts, &self.state.perps);
        let Some(old) = self.state.liquidations.unflag(accounts, perps, owner) else { return };
        self.state.liquidations.arm(&mut self.state.due);
        self.note_pending(old.market);
        let body = LiquidationEndBody {
            reason,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            equity: narrow(health.equity),
            maintenance_margin: narrow(health.maintenance_margin),
            next_ns: 0,
        };
        output.emit(command, EventKind::LiquidationEnded, Subject::account(who.0, who.1), &body);
    }

    fn publish_level(
        &mut self,
        command: &Command,
        who: (u32, u8),
        health: &Health,
        held: &Holdings,
        output: &mut Output,
    ) {
        let owner = owner(who.0, who.1);
        let (equity, maintenance) = (health.equity, health.maintenance_margin);
        let sub = sub_of(&mut self.state.accounts, owner);
        let previous = sub.level;
        let reached = level(equity, maintenance, previous);
        sub.level = reached;
        if reached == LIQUIDATABLE {
            return self.flag(command, who, health, held, output);
        }
        if previous == LIQUIDATABLE {
            self.unflag(command, who, health, liquidation_end::HEALTHY, output);
        }
        if reached == previous {
            return;
        }
        let body = HealthBody {
            equity: narrow(equity),
            maintenance_margin: narrow(maintenance),
            ratio_ppm: ratio_ppm(equity, maintenance),
            notional: narrow(held.notional),
            level: reached,
            previous,
            reserved: 0,
            reserved2: 0,
        };
        output.emit(command, EventKind::HealthWarning, Subject::account(who.0, who.1), &body);
    }

    fn flag(
        &mut self,
        command: &Command,
        who: (u32, u8),
        health: &Health,
        held: &Holdings,
        output: &mut Output,
    ) {
        let owner = owner(who.0, who.1);
        let system_from_ns = command.time_ns.saturating_add(KEEPER_GRACE_NS);
        let ratio = ratio_ppm(health.equity, health.maintenance_margin);
        let largest = (held.market, held.lots.abs());
        let moments = (command.time_ns, system_from_ns);
        let mut seen = Candidate::seen(owner, largest, ratio, held.notional, moments);
        seen.plain = held.exposures == 1 && self.all_feeds_sure(health);
        let (accounts, perps) = (&mut self.state.accounts, &self.state.perps);
        let slot = sub_of(accounts, owner).candidate;
        if slot != NONE {
            return self.state.liquidations.refresh(perps, slot, &seen);
        }
        self.state.liquidations.flag(accounts, perps, seen);
        self.state.liquidations.arm(&mut self.state.due);
        self.note_pending(held.market);
        let body = LiquidationFlagBody {
            equity: narrow(health.equity),
            maintenance_margin: narrow(health.maintenance_margin),
            ratio_ppm: ratio,
            notional: narrow(held.notional),
            system_from_ns,
            lots: held.lots,
        };
        let subject = Subject { market: held.market, ..Subject::account(who.0, who.1) };
        output.emit(command, EventKind::LiquidationFlagged, subject, &body);
    }

    /// Tells the breakers what waits for its liquidation in a market.
    fn note_pending(&mut self, market: u32) {
        let Some(place) = self.state.perps.place(market) else { return };
        let lots = self.state.liquidations.market(place).map_or(0, |kept| kept.pending_lots);
        let value = narrow(self.state.perps.markets[place].value(lots));
        self.halts_pending_liquidation(market, value);
    }

    /// Sets the prices of the next look of every position; `share` None = none needed.
    fn set_bounds(&mut self, (account, sub): (u32, u8), share: Option<i64>, ratio_ppm: i64, fresh: bool) {
        for at in 0..self.state.accounts.positions(account, sub).len() {
            let slot = self.state.accounts.positions(account, sub)[at];
            let position = self.state.perps.at(slot);
            if share.is_none() && position.watch == UNWATCHED {
                continue;
            }
            let place = self.state.perps.place(position.market).expect("a position is in a leveraged market");
            let kept = self.next_bounds(place, position, share, ratio_ppm, fresh);
            rewatch(self.state.liquidations.market_mut(place), self.state.perps.at_mut(slot), kept);
        }
    }

    /// A position has moved: its place among those who may be deleveraged.
    pub(crate) fn note_rank(&mut self, slot: u32) {
        let (position, perp) = self.state.perps.parts_mut(slot);
        if position.account == self.state.liquidations.fund {
            return;
        }
        let (rank, market) = (rank_of(position, perp.unit), position.market);
        if rank == position.rank {
            return;
        }
        let place = self.state.perps.place(market).expect("a position is in a leveraged market");
        rerank(self.state.liquidations.market_mut(place), self.state.perps.at_mut(slot), rank);
    }

    /// The prices of the next look of a position in the market at this place.
    fn next_bounds(
        &self,
        place: usize,
        position: &Position,
        share: Option<i64>,
        ratio_ppm: i64,
        fresh: bool,
    ) -> Bounds {
        let perp = &self.state.perps.markets[place];
        let (notional, mark) = (perp.value(position.lots), perp.mark);
        let new = share.map_or(UNWATCHED, |share| {
            let mmf_ppm = narrow(perp.maintenance_ppm(notional));
            let mmf_twice_ppm = narrow(perp.maintenance_ppm(notional + notional));
            let (lots, unit) = (position.lots, perp.unit);
            let share = if notional > i128::from(i64::MAX) { 0 } else { share };
            let notional = narrow(notional);
            Exposure { lots, unit, mark, notional, mmf_ppm, mmf_twice_ppm }.bounds(share, ratio_ppm)
        });
        let [long, short] = self.state.liquidations.market(place).map_or([0; 2], |kept| kept.funding_ticks);
        // Funding is loss without a move of the mark: bounds are kept relative to what it had taken by now, and
        // compared with the mark less (for short positions plus) what it has taken since the market began.
        let low = if new.low == NO_LOW { NO_LOW } else { new.low.saturating_sub(long) };
        let high = if new.high == NO_HIGH { NO_HIGH } else { new.high.saturating_add(short) };
        if fresh || new == UNWATCHED {
            return Bounds { low, high };
        }
        let (falling, rising) = (mark.saturating_sub(long), mark.saturating_add(short));
        Bounds { low, high }.within(position.watch, falling, rising)
    }

    /// Collateral whose price can fall: asset and micro-units that count.
    fn collateral_rows(&self, account: u32, sub: u8) -> Vec<(u16, i64)> {
        let entry = self.state.accounts.list[account as usize].sub(sub).expect("it has positions");
        let mut rows = Vec::new();
        if entry.balances.len() > 1 {
            for balance in &entry.balances {
                let asset = &self.state.assets[balance.asset as usize];
                let amount = balance.lines[line::FREE as usize] + balance.lines[line::HELD as usize];
                let counts = asset.flags & asset_flag::SETTLEMENT == 0 && asset.weights_bp[1] > 0;
                if amount > 0 && counts && asset.feed != crate::state::NO_FEED {
                    let counted =
                        if asset.collateral_cap == 0 { amount } else { amount.min(asset.collateral_cap) };
                    rows.push((balance.asset, counted));
                }
            }
        }
        rows
    }

    fn set_collateral_bounds(&mut self, owner: Owner, rows: &[(u16, i64)], share: Option<i64>, fresh: bool) {
        if rows.is_empty() && self.state.liquidations.has_no_collateral_watch() {
            return;
        }
        for asset in self.state.liquidations.watched_assets(owner) {
            if share.is_none() || !rows.iter().any(|row| row.0 == asset) {
                self.state.liquidations.watch_collateral(owner, asset, None);
            }
        }
        let Some(share) = share else { return };
        for &(number, counted) in rows {
            let asset = self.state.assets[number as usize];
            let price = self.collateral_price(&asset, true, false).map_or(0, |(price, _)| price);
            let slope = (i128::from(counted) * i128::from(asset.weights_bp[1])).max(1);
            let reach = (i128::from(share) * COLLATERAL_SCALE / slope).min(i128::from(price)) as i64;
            // At 0 nothing can fall any further.
            let bound = if price == 0 { -1 } else { price - reach - 1 };
            let old = self.state.liquidations.collateral_bound(owner, number);
            let kept = if fresh { bound } else { old.map_or(bound, |old| old.max(bound)) };
            self.state.liquidations.watch_collateral(owner, number, Some(kept));
        }
    }

    /// A new mark: moves the deviation, looks at whom it crossed.
    pub(crate) fn watch_mark(&mut self, command: &Command, market: u32, output: &mut Output) {
        let Some(place) = self.state.perps.place(market) else { return };
        let mark = self.state.perps.markets[place].mark;
        self.state.liquidations.market_mut(place).deviation.observe(mark, command.time_ns);
        if !self.look_at_crossed(command, place, CROSSINGS_PER_EVENT, output) {
            self.state.liquidations.crossings.insert(market);
            self.state.liquidations.arm_crossings(command.time_ns, &mut self.state.due);
        }
    }

    /// Looks at up to `most` sub-accounts whose bounds the mark has crossed; true when none is left.
    fn look_at_crossed(&mut self, command: &Command, place: usize, most: usize, output: &mut Output) -> bool {
        for look in 0..=most {
            let mark = self.state.perps.markets[place].mark;
            let Some(market) = self.state.liquidations.market(place) else { return true };
            let [long, short] = market.funding_ticks;
            let Some(who) = market.ladder.crossed(mark.saturating_sub(long), mark.saturating_add(short))
            else {
                return true;
            };
            if look == most {
                return false;
            }
            self.look_at(command, account_of(who), true, output);
        }
        false
    }

    /// The index or the state of a feed changed: collateral that it prices.
    pub(crate) fn watch_index(&mut self, command: &Command, feed: u32, output: &mut Output) {
        if self.state.liquidations.has_no_collateral_watch() {
            return;
        }
        for number in 0..self.state.assets.len() {
            if self.state.assets[number].feed == feed
                && !self.look_at_collateral(command, number as u16, CROSSINGS_PER_EVENT, output)
            {
                self.state.liquidations.asset_crossings.insert(number as u16);
                self.state.liquidations.arm_crossings(command.time_ns, &mut self.state.due);
            }
        }
    }

    fn look_at_collateral(
        &mut self,
        command: &Command,
        asset: u16,
        most: usize,
        output: &mut Output,
    ) -> bool {
        for _ in 0..most {
            let entry = self.state.assets[asset as usize];
            let price = self.collateral_price(&entry, true, false).map_or(0, |(price, _)| price);
            let Some(who) = self.state.liquidations.crossed_collateral(asset, price) else { return true };
            self.look_at(command, account_of(who), true, output);
        }
        false
    }

    /// Funding moves equity without the mark: bounds shift by the ticks that it took, rounded up.
    pub(crate) fn watch_funding(&mut self, command: &Command, market: u32, delta: i128, output: &mut Output) {
        let Some(place) = self.state.perps.place(market).filter(|_| delta != 0) else { return };
        let per_tick = i128::from(self.state.perps.markets[place].unit) * PPB;
        let ticks = i64::try_from(div_ceil(delta.abs(), per_tick)).unwrap_or(i64::MAX / 4);
        let taken = &mut self.state.liquidations.market_mut(place).funding_ticks;
        let side = usize::from(delta < 0);
        taken[side] = taken[side].saturating_add(ticks);
        if !self.look_at_crossed(command, place, CROSSINGS_PER_EVENT, output) {
            self.state.liquidations.crossings.insert(market);
            self.state.liquidations.arm_crossings(command.time_ns, &mut self.state.due);
        }
    }

    /// What waits since prices were crossed: a bounded number of looks; the rest by the next command.
    pub(crate) fn look_at_crossings(
        &mut self,
        command: &Command,
        budget: &mut Budget,
        output: &mut Output,
    ) -> (Option<Work>, bool) {
        let most = (budget.looks() as usize).clamp(1, CROSSINGS_PER_COMMAND);
        budget.spend(most as u32 * LOOK_EFFORT);
        if let Some(&market) = self.state.liquidations.crossings.first() {
            let place = self.state.perps.place(market).expect("a leveraged market");
            if self.look_at_crossed(command, place, most, output) {
                self.state.liquidations.crossings.remove(&market);
            }
        } else if let Some(&asset) = self.state.liquidations.asset_crossings.first() {
            if self.look_at_collateral(command, asset, most, output) {
                self.state.liquidations.asset_crossings.remove(&asset);
            }
        }
        let watched = &self.state.liquidations;
        if watched.crossings.is_empty() && watched.asset_crossings.is_empty() {
            return (Some(Work::Due), false);
        }
        (Some(Work::Crossings), true)
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
        let last = first.saturating_add(SWEEP_LOOKS).min(self.state.accounts.list.len() as u32);
        let mut looks = 0;
        let mut next = first;
        while next < last && looks < CROSSINGS_PER_EVENT {
            let subs: Vec<u8> = self.state.accounts.list[next as usize]
                .subs()
                .filter(|sub| !sub.positions.is_empty())
                .map(|sub| sub.index)
                .collect();
            looks += subs.len();
            subs.iter().for_each(|&sub| self.look_at(command, (next, sub), true, output));
            next += 1;
        }
        let done = next as usize >= self.state.accounts.list.len();
        self.state.liquidations.sweep = if done { NOBODY } else { next };
    }
}
