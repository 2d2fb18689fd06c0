//! Liquidation and the waterfall of losses (protocol P5, rows 0404 and 0405).

mod band;
mod clearing;
mod fund;
mod holdings;
mod looks;
mod losses;
mod offer;
mod plan;
mod queue;
mod ranking;
mod step;
mod takeover;
mod watch;

use plan::Plan;
pub(crate) use step::Liquidation;

use super::keeper_acts::Target;
use super::margin::Weights;
use super::work::Work;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::limits::PLAN_EFFORT;
use crate::liquidation::step::STEP_NS;
use crate::order::NONE;
use crate::output::Output;
use crate::wire::command::{Command, Liquidate};
use crate::wire::error::{reject, Code, Reject};

impl<B: Book> Engine<B> {
    pub(crate) fn liquidate(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let target = self.liquidation_target(command)?;
        if !context.system {
            return self.liquidate_as_keeper(command, context.account, target, output);
        }
        let target = target?;
        self.liquidate_target(command, None, target.account, target.sub, target.market, output)
    }

    fn liquidation_target(&self, command: &Command) -> Result<Result<Target, Reject>, Reject> {
        let request: Liquidate = command.payload_as();
        if request.reserved != 0 || request.reserved2 != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved2));
        }
        Ok(self.find_target(&request.target, request.target_sub, request.market))
    }

    /// One step of a liquidation; the market that it reduces. `by`: the keeper that earns; its standing is checked by
    /// [`Engine::liquidate_as_keeper`].
    ///
    /// # Errors
    /// `POSITION_NOT_FOUND`, `POSITION_HEALTHY` (bound: maintenance margin, given: equity, micro-quote), codes of P6.4,
    /// `TRANCHE_COOLDOWN` (bound: until, ns), `LIQUIDATION_RATE_LIMITED` (bound: micro-quote per second).
    pub(crate) fn liquidate_target(
        &mut self,
        command: &Command,
        by: Option<u32>,
        account: u32,
        sub: u8,
        market: u32,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let plan = self.plan_liquidation(command.time_ns, by, (account, sub), market)?;
        let reduced = plan.market();
        let job = self.job_of(plan, (account, sub), by, false);
        // A keeper's standing asks for a survey too, and for two of a large one.
        let surveys = if by.is_some() { 3 } else { 1 };
        let spent = PLAN_EFFORT + surveys * self.survey_effort((account, sub));
        self.do_work_after(command, command.seq, Work::Liquidate(job), spent, output);
        Ok(u64::from(reduced))
    }

    /// 0405: what the book did not take five seconds after the step began goes down the waterfall (P5.6).
    ///
    /// # Errors
    /// As [`Engine::find_target`]; `NOTHING_DUE` (bound: when, ns; 0 = no step waits), `POSITION_HEALTHY`, P6.4.
    pub(crate) fn complete_liquidation(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let target = self.liquidation_target(command)??;
        let who = (target.account, target.sub);
        let begun_ns = self.step_times(who, target.market).begun_ns;
        let due_ns = if begun_ns == 0 { 0 } else { begun_ns.saturating_add(STEP_NS) };
        if due_ns == 0 || command.time_ns < due_ns {
            return reject(Code::NOTHING_DUE, due_ns, command.time_ns);
        }
        let case = self.liquidation_case(who, target.market)?;
        let job = self.job_of(Plan::TakeOver(case.market), who, None, false);
        let spent = PLAN_EFFORT + self.survey_effort(who);
        self.do_work_after(command, command.seq, Work::Liquidate(job), spent, output);
        Ok(u64::from(case.market))
    }

    /// Since when a sub-account is liquidatable, as far as the watch knows.
    pub(crate) fn liquidatable_since(&self, target: Target) -> Option<i64> {
        let slot = self.candidate_slot((target.account, target.sub))?;
        Some(self.state.liquidations.candidates.at(slot).flagged_ns)
    }

    /// The slot of a sub-account among the candidates.
    #[inline]
    pub(super) fn candidate_slot(&self, (account, sub): (u32, u8)) -> Option<u32> {
        let entry = self.state.accounts.list[account as usize].sub(sub)?;
        Some(entry.candidate).filter(|&slot| slot != NONE)
    }

    /// Leveraged markets and positions as they stand.
    pub fn perps(&self) -> &crate::perp::Perps {
        &self.state.perps
    }

    /// Micro-units that a sub-account has free in an asset, by the account's handle; 0 for an unknown one.
    pub fn free_of(&self, account: u32, sub: u8, asset: u16) -> i64 {
        let known = (account as usize) < self.state.accounts.list.len();
        if known {
            self.state.accounts.balance(account, sub, asset, crate::ledger::line::FREE)
        } else {
            0
        }
    }

    /// Maintenance equity and margin of a sub-account in micro-quote; None for an unknown one.
    pub fn maintenance_of(&self, account: u32, sub: u8) -> Option<(i128, i128)> {
        self.state.accounts.list.get(account as usize)?.sub(sub)?;
        let health = self.health(account, sub, Weights::Maintenance);
        Some((health.equity, health.maintenance_margin))
    }

    /// What stands behind the public views: flagged sub-accounts, the fund's account.
    pub fn liquidations(&self) -> &crate::liquidation::Liquidations {
        &self.state.liquidations
    }
}
