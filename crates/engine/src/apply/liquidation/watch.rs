//! Who must be looked at, and what a look finds: warnings, candidates, new bounds (protocol P5.1, P5.9).

use crate::apply::margin::{narrow, Health, Weights};
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::line;
use crate::limits::*;
use crate::liquidation::candidates::Candidate;
use crate::liquidation::watch::{
    level, next_ratio_ppm, owner, ratio_ppm, ratios_below, Bounds, Exposure, Owner, LIQUIDATABLE, NO_HIGH,
    NO_LOW, UNWATCHED,
};
use crate::liquidation::{rank_of, rerank, sub_of, BoundsLeft, NOBODY};
use crate::order::NONE;
use crate::output::{Output, Subject};
use crate::perp::margin::{part_ceil, product};
use crate::perp::Position;
use crate::wire::command::{asset_flag, Command};
use crate::wire::event::{liquidation_end, EventKind, HealthBody, LiquidationEndBody, LiquidationFlagBody};

/// Keepers have this long before SYSTEM acts (P13.1).
pub(super) const KEEPER_GRACE_NS: i64 = 2 * SECOND_NS;
/// Weights are in bp, prices per 10^6 micro-units.
const COLLATERAL_SCALE: i128 = 10_000_000_000;

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
        let mut health = Health { valued: true, ..Health::default() };
        let entry =
            self.state.accounts.list[account as usize].sub(sub).expect("sub-account was checked to exist");
        for balance in &entry.balances {
            let amount = balance.lines[line::FREE as usize] + balance.lines[line::HELD as usize];
            if amount == 0 {
                continue;
            }
            let asset = &self.state.assets[balance.asset as usize];
            if asset.is_money() {
                health.equity += i128::from(amount);
            } else {
                self.add_collateral(asset, amount, Weights::Maintenance, &mut health);
            }
        }
        for &slot in &entry.positions {
            let position = self.state.perps.at(slot);
            if position.lots == 0 {
                continue;
            }
            let perp =
                self.state.perps.of_market(position.market).expect("a position is in a leveraged market");
            let value = product(position.lots, perp.mark, perp.unit);
            let notional = value.abs();
            let margin = perp.maintenance_at(notional);
            held.exposures += 1;
            held.notional += notional;
            if margin > held.margin || held.market == NOBODY {
                (held.market, held.lots, held.margin) = (position.market, position.lots, margin);
            }
            if perp.mark == 0 {
                health.valued = false;
                continue;
            }
            health.equity += value - i128::from(position.cost) - i128::from(perp.funding_owed(position));
            health.maintenance_margin += margin;
            health.feed_state = health.feed_state.max(self.feed_state_of(perp.feed));
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
            return self.drop_bounds(who);
        }
        if !fresh && self.positions_of(who) as usize > FEW_POSITIONS {
            return self.state.liquidations.pending.add_owner(owner(account, sub), false);
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
        let reached = ratios_below(equity, maintenance);
        if health.valued {
            self.publish_level(command, who, (&health, &held), reached, output);
        }
        let candidate = health.valued && equity < maintenance;
        // A candidate is looked at when its turn comes; what cannot be valued, with every price.
        let ratio = next_ratio_ppm(reached);
        let rows = self.collateral_rows(account, sub);
        held.exposures += rows.len() as i64;
        let share = match (candidate, health.valued) {
            (true, _) => None,
            (_, false) => Some(0),
            _ => Some(narrow(equity - part_ceil(maintenance, i128::from(ratio))).max(0) / held.exposures),
        };
        self.set_bounds(who, BoundsLeft { next: 0, share, ratio_ppm: ratio, fresh });
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
        assert_eq!((ratios_below(equity, maintenance), next_ratio_ppm(0)), (0, 1_500_000));
        let share = narrow(equity - part_ceil(maintenance, 1_500_000));
        let place = self.state.perps.place(position.market).expect("a position is in a leveraged market");
        let job = BoundsLeft { next: 0, share: Some(share), ratio_ppm: 1_500_000, fresh: false };
        let kept = self.next_bounds(place, position, &job);
        assert_eq!(kept, position.watch, "{position:?} {health:?}");
    }

    /// A sub-account without positions needs no look any more.
    fn forget_watch(&mut self, command: &Command, who: (u32, u8), health: &Health, output: &mut Output) {
        let owner = owner(who.0, who.1);
        self.drop_bounds(who);
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
        (health, held): (&Health, &Holdings),
        below: u8,
        output: &mut Output,
    ) {
        let owner = owner(who.0, who.1);
        let (equity, maintenance) = (health.equity, health.maintenance_margin);
        let sub = sub_of(&mut self.state.accounts, owner);
        let previous = sub.level;
        let reached = level(equity, maintenance, below, previous);
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

    pub(super) fn flag(
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
        let largest = (held.market, held.lots);
        let moments = (command.time_ns, system_from_ns);
        let mut seen = Candidate::seen(owner, largest, ratio, held.notional, moments);
        (seen.equity, seen.maintenance) = (narrow(health.equity), narrow(health.maintenance_margin));
        let is_small = i128::from(seen.equity) == health.equity
            && i128::from(seen.maintenance) == health.maintenance_margin
            && i128::from(seen.notional) == held.notional;
        seen.plain = held.exposures == 1 && is_small && self.all_feeds_sure(health);
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

    /// Number of positions of a sub-account, open orders alone included.
    #[inline]
    pub(super) fn positions_of(&self, (account, sub): (u32, u8)) -> u32 {
        self.state.accounts.positions(account, sub).len() as u32
    }

    /// What a look at a sub-account takes at most, and a survey of it.
    #[inline]
    pub(super) fn look_effort(&self, who: (u32, u8)) -> u32 {
        let count = self.positions_of(who);
        LOOK_EFFORT + count * SURVEY_EFFORT + count.min(BOUNDS_PER_LOOK as u32) * BOUND_EFFORT
    }

    #[inline]
    pub(super) fn survey_effort(&self, who: (u32, u8)) -> u32 {
        self.positions_of(who) * SURVEY_EFFORT
    }

    /// Nothing is watched of a sub-account any more.
    fn drop_bounds(&mut self, (account, sub): (u32, u8)) {
        for at in 0..self.state.accounts.positions(account, sub).len() {
            let slot = self.state.accounts.positions(account, sub)[at];
            let position = self.state.perps.at(slot);
            if position.watch == UNWATCHED {
                continue;
            }
            let place = self.state.perps.place(position.market).expect("a position is in a leveraged market");
            let market = self.state.liquidations.market_mut(place);
            market.ladder.set(self.state.perps.records_mut(), slot, UNWATCHED);
        }
        self.state.liquidations.pending.set_bounds_left(owner(account, sub), None);
    }

    /// Sets the prices of the next look of some positions, from a place on; the rest is left to the next command.
    pub(super) fn set_bounds(&mut self, who: (u32, u8), job: BoundsLeft) {
        let (account, sub) = who;
        let count = self.state.accounts.positions(account, sub).len();
        let end = count.min(job.next + BOUNDS_PER_LOOK);
        for at in job.next..end {
            let slot = self.state.accounts.positions(account, sub)[at];
            let position = self.state.perps.at(slot);
            if job.share.is_none() && position.watch == UNWATCHED {
                continue;
            }
            let place = self.state.perps.place(position.market).expect("a position is in a leveraged market");
            let kept = self.next_bounds(place, position, &job);
            let market = self.state.liquidations.market_mut(place);
            market.ladder.set(self.state.perps.records_mut(), slot, kept);
        }
        let left = (end < count).then_some(BoundsLeft { next: end, ..job });
        self.state.liquidations.pending.set_bounds_left(owner(account, sub), left);
    }

    /// A position has moved: its place among those who may be deleveraged. One without lots is not watched.
    pub(crate) fn note_moved(&mut self, slot: u32) {
        let (position, perp) = self.state.perps.parts_mut(slot);
        if position.account == self.state.liquidations.fund {
            return;
        }
        let (rank, market) = (rank_of(position, perp.unit), position.market);
        let is_idle = position.lots == 0 && position.watch != UNWATCHED;
        if rank == position.rank && !is_idle {
            return;
        }
        let place = self.state.perps.place(market).expect("a position is in a leveraged market");
        let kept = self.state.liquidations.market_mut(place);
        rerank(kept, self.state.perps.at_mut(slot), rank);
        if is_idle {
            kept.ladder.set(self.state.perps.records_mut(), slot, UNWATCHED);
        }
    }

    /// The prices of the next look of a position in the market at this place.
    fn next_bounds(
        &self,
        place: usize,
        position: &Position,
        &BoundsLeft { share, ratio_ppm, fresh, .. }: &BoundsLeft,
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
}
