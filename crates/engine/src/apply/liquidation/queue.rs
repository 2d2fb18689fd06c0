//! SYSTEM's own liquidations: two seconds after keepers could, worst first (protocol P5.1, P13.1).

use super::step::retry_ns;
use crate::apply::work::{Budget, Work};
use crate::book::Book;
use crate::engine::Engine;
use crate::keeper::action;
use crate::limits::*;
use crate::liquidation::watch::account_of;
use crate::liquidation::{due_id, Candidate};
use crate::output::Output;
use crate::wire::command::Command;

impl<B: Book> Engine<B> {
    /// One item of this concern has fallen due; the work that it is, if it is any.
    pub(crate) fn liquidation_due(
        &mut self,
        command: &Command,
        id: u64,
        output: &mut Output,
    ) -> Option<Work> {
        match id {
            due_id::QUEUE => {
                self.state.liquidations.disarmed();
                Some(Work::LiquidateQueue)
            }
            due_id::CROSSINGS => {
                self.state.liquidations.crossings_taken();
                Some(Work::Crossings)
            }
            due_id::FUND => {
                self.state.liquidations.fund_ns = 0;
                self.work_off_fund(command, output);
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
            let Some(owner) = self.state.liquidations.ripen(now_ns) else { break };
            // Its number may be old: looked at now, it takes the place that is its own among the others.
            self.look_at(command, account_of(owner), true, output);
            budget.spend(LOOK_EFFORT);
        }
        if self.state.liquidations.is_due(now_ns) {
            return (Some(Work::LiquidateQueue), true);
        }
        for _ in 0..CANDIDATES_PER_COMMAND {
            let Some(owner) = self.state.liquidations.worst() else {
                self.state.liquidations.arm(&mut self.state.due);
                return (Some(Work::Due), false);
            };
            if budget.liquidations == 0 || budget.fills == 0 || budget.cancels == 0 || budget.is_spent() {
                return (Some(Work::LiquidateQueue), true);
            }
            budget.spend(PLAN_EFFORT);
            let who = account_of(owner);
            let candidate = self.state.liquidations.candidates[&owner];
            match self.plan_liquidation(now_ns, None, who, candidate.market) {
                Ok(mut job) => {
                    self.note_missed(command, &candidate, output);
                    job.queued = true;
                    return (Some(Work::Liquidate(job)), false);
                }
                Err(refusal) => self.state.liquidations.postpone(owner, retry_ns(&refusal, now_ns)),
            }
        }
        (Some(Work::LiquidateQueue), true)
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
