//! What a pledge cannot pay (protocol P5.6): the pool of liquidation fees, insurance within its limits, the vault that
//! lent. Nobody else pays.

use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::{line, post_system, post_user};
use crate::limits::{LOAN_INSURANCE_LIMIT, LOAN_INSURANCE_PCT};
use crate::outcome::leverage::Valued;
use crate::outcome::loans::Pledge;
use crate::outcome::Loan;
use crate::output::Output;
use crate::vault::terms::insurable;
use crate::wire::command::Command;
use crate::wire::event::{EventKind, LoanLossBody};

/// Micro-quote that each stage pays.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    liquidation_fees: i64,
    insurance: i64,
    vault: i64,
}

impl<B: Book> Engine<B> {
    /// What insurance may pay at once: a part of the fund, which keeps at least one micro-unit (P5.6).
    fn insurance_allowance(&self, asset: u16) -> i64 {
        let fund = self.state.system.get(line::INSURANCE, 0, asset);
        let part = (i128::from(fund) * i128::from(LOAN_INSURANCE_PCT) / 100) as i64;
        part.min(LOAN_INSURANCE_LIMIT).min(fund - 1).max(0)
    }

    /// A pledge that has nothing any more still owes: the position ends.
    pub(super) fn cover_loss(&mut self, command: &Command, pledge: Pledge, output: &mut Output) {
        let loan = *self.state.vault.loans.get(pledge).expect("a loss is a loan's");
        let quote = self.market_of_loan(loan.market).quote;
        let liquidation_fees = self.state.system.get(line::LIQUIDATION_FEES, 0, quote).min(loan.debt);
        // A hundredth of what it claims stays with the vault (P9.12).
        let insurance = self.insurance_allowance(quote).min(insurable(loan.debt - liquidation_fees));
        let vault = loan.debt - liquidation_fees - insurance;
        self.post_loss(command, pledge, &loan, Shares { liquidation_fees, insurance, vault }, 0, output);
        self.state.vault.loans.put(pledge, None);
    }

    /// Insurance takes the claims of a position at what it owes, the fees' pool pays what they are not worth. Whether
    /// both suffice: else nothing changes, and the vault waits for the market or its end.
    pub(super) fn insure_loan(
        &mut self,
        command: &Command,
        pledge: Pledge,
        valued: &Valued,
        output: &mut Output,
    ) -> bool {
        let loan = *self.state.vault.loans.get(pledge).expect("a takeover is of a loan");
        let quote = self.market_of_loan(loan.market).quote;
        let lost = (loan.debt - valued.value).max(0);
        let liquidation_fees = self.state.system.get(line::LIQUIDATION_FEES, 0, quote).min(lost);
        // Of what the claims are not worth, a hundredth stays with the vault (P9.12).
        let claim = lost - liquidation_fees;
        let vault = claim - insurable(claim);
        let insurance = loan.debt - liquidation_fees - vault;
        if insurance > self.insurance_allowance(quote) {
            return false;
        }
        let shares = Shares { liquidation_fees, insurance, vault };
        self.post_loss(command, pledge, &loan, shares, valued.mark, output);
        self.state.vault.loans.put(pledge, Some(Loan { debt: 0, taken: true, since_ns: 0, ..loan }));
        self.weigh_loans(command, loan.market, output);
        true
    }

    fn post_loss(
        &mut self,
        command: &Command,
        pledge: Pledge,
        loan: &Loan,
        paid: Shares,
        mark: i64,
        output: &mut Output,
    ) {
        let quote = self.market_of_loan(loan.market).quote;
        let Shares { liquidation_fees, insurance, vault } = paid;
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::LIQUIDATION_FEES, 0, quote, -liquidation_fees);
        post_system(system, postings, line::INSURANCE, 0, quote, -insurance);
        post_system(system, postings, line::VAULT_CASH, 0, quote, liquidation_fees + insurance);
        post_system(system, postings, line::VAULT_LOANS, 0, quote, -loan.debt);
        post_user(&mut self.state.accounts, postings, pledge.0, pledge.1, quote, line::LOAN, loan.debt);
        let body = LoanLossBody {
            outcome: loan.outcome,
            owner_sub: loan.sub,
            taken: u8::from(mark != 0),
            reserved: 0,
            reserved2: 0,
            debt: loan.debt,
            liquidation_fees,
            insurance,
            vault,
            shares: loan.shares,
            mark,
            debt_left: 0,
        };
        output.emit(command, EventKind::LoanLossCovered, self.pledge_subject(pledge, loan.market), &body);
    }
}
