//! The vault's management fee, and what insurance gives back to it (protocol P9.8, P9.12).

use crate::book::Book;
use crate::engine::Engine;
use crate::governance::parameters::Parameter;
use crate::ledger::{line, post_system};
use crate::limits::DAY_NS;
use crate::output::{Output, Subject};
use crate::vault::terms::{insurance_surplus, management_fee, InsuredWeek, RETURN_KEY};
use crate::wire::command::Command;
use crate::wire::event::{EventKind, InsuranceWeekBody, ManagementFeeBody};

impl<B: Book> Engine<B> {
    /// The fee of one day, whatever the time since the last epoch: a day that nobody looked at is not charged. It comes
    /// before the performance fee, which is not taken on it.
    pub(super) fn take_management_fee(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let rate_bp = self.state.governance.value(Parameter::ManagementFeeBp);
        let cash = self.state.system.get(line::VAULT_CASH, 0, asset);
        let amount = management_fee(self.vault_nav(asset), rate_bp).min(cash);
        if amount <= 0 {
            return;
        }
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::VAULT_CASH, 0, asset, -amount);
        post_system(system, postings, line::TREASURY, 0, asset, amount);
        let body = ManagementFeeBody {
            asset,
            rate_bp: rate_bp as u16,
            reserved: 0,
            epoch_ns: command.time_ns.div_euclid(DAY_NS).saturating_mul(DAY_NS),
            amount,
            nav: self.vault_nav(asset),
        };
        output.emit(command, EventKind::ManagementFeeTaken, Subject::NONE, &body);
    }

    /// With the first epoch of a week. The surplus first waits for a week, counted in the price of deposits and not in
    /// that of exits: who comes for it must stay for it.
    pub(super) fn end_insured_week(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let week = self.state.vault.insured;
        if !week.is_over(command.time_ns) {
            return;
        }
        let kept = self.state.governance.value(Parameter::InsuranceKept) * 1_000_000;
        let insurance = self.state.system.get(line::INSURANCE, 0, asset);
        let set_aside = insurance_surplus(insurance, week.at_risk, kept);
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::INSURANCE, 0, asset, -set_aside);
        post_system(system, postings, line::VAULT_CASH, RETURN_KEY, asset, set_aside - week.returning);
        post_system(system, postings, line::VAULT_CASH, 0, asset, week.returning);
        let vault = &mut self.state.vault;
        vault.insured = InsuredWeek {
            since_ns: InsuredWeek::start_of(command.time_ns),
            at_risk: vault.exposure.total(),
            returning: set_aside,
        };
        let body = InsuranceWeekBody {
            asset,
            reserved: 0,
            ledger_key: RETURN_KEY,
            week_ns: vault.insured.since_ns,
            at_risk: week.at_risk.min(i128::from(i64::MAX)) as i64,
            released: week.returning,
            set_aside,
            insurance_left: insurance - set_aside,
            nav: self.vault_nav(asset),
        };
        output.emit(command, EventKind::InsuranceWeekEnded, Subject::NONE, &body);
    }
}
