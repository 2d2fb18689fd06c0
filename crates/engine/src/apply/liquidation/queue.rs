//! SYSTEM's own liquidations: two seconds after keepers could, worst first (protocol P5.1, P13.1).

use super::step::{retry_ns, Liquidation};
use crate::apply::work::{Budget, Work};
use crate::book::Book;
use crate::engine::Engine;
use crate::keeper::action;
use crate::limits::*;
use crate::liquidation::candidates::Candidate;
use crate::liquidation::due_id;
use crate::liquidation::watch::account_of;
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::Code;

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
            due_id::CROSSINGS => {
                self.state.liquidations.crossings_taken();
                Some(Work::Crossings)
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
        for _ in 0..RIPENED_PER_COMMAND {
            if budget.is_spent() {
                break;
            }
            let Some(slot) = self.state.liquidations.candidates.ripen(now_ns) else { break };
            // Its number may be old: looked at now, it takes the place that is its own among the others.
            let who = account_of(self.state.liquidations.candidates.at(slot).owner);
            let seen = self.survey(who.0, who.1);
            self.look_with(command, who, seen, true, output);
            if self.candidate_slot(who) == Some(slot) {
                self.state.liquidations.candidates.enter(slot);
            }
            budget.spend(LOOK_EFFORT);
        }
        if self.state.liquidations.candidates.first_ns().is_some_and(|first_ns| first_ns <= now_ns) {
            return (Some(Work::LiquidateQueue), true);
        }
        for _ in 0..CANDIDATES_PER_COMMAND {
            if budget.liquidations == 0 || budget.fills == 0 || budget.cancels == 0 || budget.is_spent() {
                return (Some(Work::LiquidateQueue), true);
            }
            let Some(worst) = self.state.liquidations.candidates.pop_worst() else {
                self.state.liquidations.arm(&mut self.state.due);
                return (Some(Work::Due), false);
            };
            budget.spend(TURN_EFFORT);
            if let Some(job) = worst.and_then(|slot| self.take_turn(command, slot, budget, output)) {
                return (Some(Work::Liquidate(job)), false);
            }
        }
        (Some(Work::LiquidateQueue), true)
    }

    /// The liquidation of a candidate whose turn has come, or a later turn for it.
    fn take_turn(
        &mut self,
        command: &Command,
        slot: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Liquidation> {
        let now_ns = command.time_ns;
        let candidate = *self.state.liquidations.candidates.at(slot);
        let place = self.state.perps.place(candidate.market).expect("a leveraged market");
        // Who is below zero is taken over, who has been sold before may be, whatever the rate says (P5.6).
        let first_sale = candidate.plain && candidate.ratio_ppm > 0 && !candidate.stepped;
        if first_sale && self.state.liquidations.is_limited(place) {
            self.state.liquidations.candidates.postpone(slot, now_ns.saturating_add(SECOND_NS));
            return None;
        }
        budget.spend(PLAN_EFFORT);
        let who = account_of(candidate.owner);
        match self.plan_liquidation(now_ns, None, who, candidate.market) {
            Ok(mut job) => {
                self.note_missed(command, &candidate, output);
                job.queued = true;
                Some(job)
            }
            Err(refusal) => {
                if first_sale && refusal.code == Code::LIQUIDATION_RATE_LIMITED {
                    self.state.liquidations.note_limited(place);
                }
                self.state.liquidations.candidates.postpone(slot, retry_ns(&refusal, now_ns));
                None
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
