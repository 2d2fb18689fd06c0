//! Interest on loans (protocol P4.6.5): an index that steps every hour, charged to every loan in turn.

use crate::apply::work::{Budget, Work};
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::{line, post_system, post_user};
use crate::limits::{HOUR_NS, LOANS_CHARGED_PER_ITEM, LOAN_CHARGE_EFFORT};
use crate::outcome::leverage::{apr_ppm, index_step, interest, utilisation_ppm};
use crate::outcome::loans::{Pledge, HOUR_ITEM};
use crate::outcome::Loan;
use crate::output::{Output, Subject};
use crate::state::due;
use crate::wire::command::Command;
use crate::wire::event::{EventKind, InterestIndexBody, LoanInterestBody};

impl<B: Book> Engine<B> {
    /// What is due of loans: the hour's interest, or a look at a market. What is left, and whether it ends the command.
    pub(crate) fn loan_due(
        &mut self,
        command: &Command,
        id: u64,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<(Option<Work>, bool)> {
        if id != HOUR_ITEM {
            return self.look_at_loans(command, id as u32, budget, output);
        }
        self.charge_interest(command, budget, output);
        let loans = &self.state.vault.loans;
        let next_ns = if loans.charged.is_some() { loans.hour_ns } else { loans.next_hour_ns() };
        self.state.due.insert((next_ns, due::LOAN, HOUR_ITEM));
        budget.is_spent().then_some((Some(Work::Due), true))
    }

    /// Steps the index when an hour is over, then charges loans in ascending order until all have been.
    fn charge_interest(&mut self, command: &Command, budget: &mut Budget, output: &mut Output) {
        let Some(asset) = self.settlement_asset() else { return };
        if self.state.vault.loans.charged.is_none() {
            self.step_index(command, asset, output);
            if self.state.vault.loans.is_empty() {
                return;
            }
            self.state.vault.loans.charged = Some((0, 0));
        }
        for _ in 0..LOANS_CHARGED_PER_ITEM {
            let after = self.state.vault.loans.charged.expect("set above");
            let Some((pledge, loan)) = self.state.vault.loans.next_charged(after) else {
                self.state.vault.loans.charged = None;
                return;
            };
            self.state.vault.loans.charged = Some(pledge);
            budget.spend(LOAN_CHARGE_EFFORT);
            self.charge_loan(command, pledge, loan, asset, output);
        }
    }

    fn step_index(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let hour_ns = command.time_ns.div_euclid(HOUR_NS).saturating_mul(HOUR_NS);
        let hours = (hour_ns - self.state.vault.loans.hour_ns) / HOUR_NS;
        self.state.vault.loans.hour_ns = hour_ns;
        if self.state.vault.loans.is_empty() {
            return;
        }
        let loans = self.state.system.get(line::VAULT_LOANS, 0, asset);
        let nav = self.vault_nav(asset);
        let used_ppm = utilisation_ppm(loans, nav);
        let apr = apr_ppm(used_ppm);
        self.state.vault.loans.index_e18 += index_step(apr, hours);
        let body = InterestIndexBody {
            index_low: self.state.vault.loans.index_e18 as u64,
            index_high: (self.state.vault.loans.index_e18 >> 64) as i64,
            apr_ppm: apr,
            utilisation_ppm: used_ppm,
            hours,
            hour_ns,
            loans,
            nav,
        };
        output.emit(command, EventKind::InterestIndexMoved, Subject::NONE, &body);
    }

    /// What the index has grown by since the loan was charged last, rounded up: the debt grows, and the vault's claim.
    fn charge_loan(
        &mut self,
        command: &Command,
        pledge: Pledge,
        loan: Loan,
        asset: u16,
        output: &mut Output,
    ) {
        let index_e18 = self.state.vault.loans.index_e18;
        let owed = interest(loan.debt, index_e18 - loan.index_e18);
        let debt = loan.debt + owed;
        self.state.vault.loans.put(pledge, Some(Loan { debt, index_e18, ..loan }));
        if owed == 0 {
            return;
        }
        let postings = &mut output.postings;
        post_user(&mut self.state.accounts, postings, pledge.0, pledge.1, asset, line::LOAN, -owed);
        post_system(&mut self.state.system, postings, line::VAULT_LOANS, 0, asset, owed);
        let body = LoanInterestBody {
            interest: owed,
            debt,
            index_low: index_e18 as u64,
            index_high: (index_e18 >> 64) as i64,
        };
        output.emit(command, EventKind::LoanCharged, self.pledge_subject(pledge, loan.market), &body);
        self.weigh_loans(command, loan.market, output);
    }
}
