//! SYSTEM's own liquidations: two seconds after keepers could, worst first (protocol P5.1, P13.1).

use super::plan::retry_ns;
use super::step::Liquidation;
use super::watch::Holdings;
use crate::apply::margin::Health;
use crate::apply::work::{Budget, Work};
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::keeper::action;
use crate::limits::*;
use crate::liquidation::candidates::Candidate;
use crate::liquidation::due_id;
use crate::liquidation::watch::account_of;
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::Code;

/// What a candidate's turn comes to.
enum Turn {
    /// It has another one later.
    Later,
    Begins(Box<Liquidation>),
    /// It is the next command's.
    Unfinished,
}

impl<B: Book> Engine<B> {
    /// One item of this concern has fallen due; the work that it is, if it is any.
    pub(crate) fn liquidation_due(
        &mut self,
        command: &Command,
        id: u64,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Work> {
        match id {
            due_id::QUEUE => {
                self.state.liquidations.disarmed();
                self.state.liquidations.begin_run();
                Some(Work::LiquidateQueue)
            }
            due_id::FUND => {
                self.state.liquidations.fund_ns = 0;
                self.work_off_fund(command, budget, output);
                None
            }
            other => unreachable!("liquidation item {other}"),
        }
    }

    /// Takes the worst candidate whose time has come, until none is left or the budget ends.
    #[inline(never)]
    pub(crate) fn liquidate_queue(
        &mut self,
        command: &Command,
        budget: &mut Budget,
        output: &mut Output,
    ) -> (Option<Work>, bool) {
        let now_ns = command.time_ns;
        while let Some(slot) = self.state.liquidations.candidates.next_ripe(now_ns) {
            // Its number may be old: looked at now, it takes the place that is its own among the others.
            let who = account_of(self.state.liquidations.candidates.at(slot).owner);
            if !budget.admits(self.look_effort(who)) {
                return (Some(Work::LiquidateQueue), true);
            }
            self.state.liquidations.candidates.ripen(slot);
            let (health, held) = self.survey(who.0, who.1);
            if health.valued && health.equity < health.maintenance_margin {
                // It stays what it is: only its numbers are new.
                self.flag(command, who, &health, &held, output);
                self.state.liquidations.candidates.enter(slot);
                budget.spend(RIPEN_EFFORT + self.survey_effort(who));
                continue;
            }
            self.look_with(command, who, (health, held), true, output);
            if self.candidate_slot(who) == Some(slot) {
                self.state.liquidations.candidates.enter(slot);
            }
            budget.spend(self.look_effort(who));
        }
        for _ in 0..CANDIDATES_PER_COMMAND {
            if budget.liquidations == 0 || budget.fills == 0 || !budget.admits(TURN_EFFORT) {
                return (Some(Work::LiquidateQueue), true);
            }
            let Some(worst) = self.state.liquidations.candidates.pop_worst() else {
                self.state.liquidations.arm(&mut self.state.due);
                return (Some(Work::Due), false);
            };
            budget.spend(TURN_EFFORT);
            let Some(slot) = worst else { continue };
            match self.take_turn(command, slot, budget, output) {
                Turn::Later => {}
                Turn::Begins(job) => return (Some(Work::Liquidate(job)), false),
                Turn::Unfinished => return (Some(Work::LiquidateQueue), true),
            }
        }
        (Some(Work::LiquidateQueue), true)
    }

    /// What a candidate's turn comes to.
    fn take_turn(&mut self, command: &Command, slot: u32, budget: &mut Budget, output: &mut Output) -> Turn {
        let now_ns = command.time_ns;
        let candidate = *self.state.liquidations.candidates.at(slot);
        let place = self.state.perps.place(candidate.market).expect("a leveraged market");
        // Who is below zero is taken over, who has been sold before may be, whatever the rate says (P5.6).
        let first_sale = candidate.plain && candidate.ratio_ppm > 0 && !candidate.is_stepped();
        if first_sale && self.state.liquidations.is_limited(place) {
            self.state.liquidations.candidates.postpone(slot, now_ns.saturating_add(SECOND_NS));
            return Turn::Later;
        }
        let who = account_of(candidate.owner);
        // In doubt every position is looked at twice.
        let effort = PLAN_EFFORT + if candidate.plain { 0 } else { 2 * self.survey_effort(who) };
        if !budget.admits(effort) {
            self.state.liquidations.candidates.enter(slot);
            return Turn::Unfinished;
        }
        budget.spend(effort);
        let plan = match candidate.plain {
            // Nothing has moved since it was looked at in this run, or it would have been looked at again.
            true => self.plan_with(now_ns, None, who, candidate.market, &plain_survey(&candidate)),
            false => self.plan_liquidation(now_ns, None, who, candidate.market),
        };
        match plan {
            Ok(plan) => {
                self.note_missed(command, &candidate, output);
                Turn::Begins(self.job_of(plan, who, None, true))
            }
            Err(refusal) => {
                let feed = self.state.perps.markets[place].feed;
                let is_sure = self.state.feeds.check(feed, Action::Liquidate, now_ns) == Ok(Cell::Allowed);
                if first_sale && is_sure && refusal.code == Code::LIQUIDATION_RATE_LIMITED {
                    self.state.liquidations.note_limited(place);
                }
                self.state.liquidations.candidates.postpone(slot, retry_ns(&refusal, now_ns));
                Turn::Later
            }
        }
    }

    /// A duty is that of one second in one market: the keeper that was expected misses it once, however many
    /// sub-accounts fell in that second.
    fn note_missed(&mut self, command: &Command, candidate: &Candidate, output: &mut Output) {
        let Some(place) = self.state.perps.place(candidate.market) else { return };
        let second = candidate.flagged_ns.div_euclid(SECOND_NS);
        let kept = self.state.liquidations.market_mut(place);
        if kept.missed_s < second {
            kept.missed_s = second;
            self.keeper_missed(command, action::LIQUIDATE, candidate.market, candidate.flagged_ns, output);
        }
    }
}

/// What a survey would find of a candidate with one position whose price is sure.
fn plain_survey(candidate: &Candidate) -> (Health, Holdings) {
    let &Candidate { equity, maintenance, market, lots, notional, .. } = candidate;
    let margin = i128::from(maintenance);
    let health =
        Health { equity: i128::from(equity), maintenance_margin: margin, valued: true, ..Health::default() };
    (health, Holdings { exposures: 1, notional: i128::from(notional), market, lots, margin })
}
