//! Bridges of shorts from events alone (P4.6.1): the vault pays for sets, or for the outcome that completes them, and is
//! paid back by the order that it paid for (I24).

use super::fault::{ensure, Check};
use super::ledger::{FREE, VAULT_CASH};
use super::loans::{Loan, LOAN, VAULT_LOANS};
use super::records::check_movements;
use super::Auditor;
use crate::wire::event::{Event, LoanBridgedBody, Posting};

const SETTLED: u8 = 6;

impl Auditor {
    pub(super) fn loan_bridged(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LoanBridgedBody = event.body_as();
        let loan = self.loan_at(event)?;
        let market = *self.market(event.market)?;
        let quote = market.quote;
        let movements = [
            (event.account, event.sub, quote, FREE, body.amount),
            (event.account, event.sub, quote, LOAN, -body.amount),
            (0, 0, quote, VAULT_CASH, -body.amount),
            (0, 0, quote, VAULT_LOANS, body.amount),
        ];
        check_movements("I24", movements, postings)?;
        self.collect_fees(quote, -body.amount);
        let ticks = market.payout_ticks();
        ensure!(
            loan.short
                && !loan.taken
                && loan.bridge.is_none()
                && (loan.outcome, loan.sub) == (body.outcome, body.owner_sub)
                && body.opens == u8::from(loan.opening.is_some())
                && loan.opening.is_none_or(|opening| opening == (body.lots, body.price))
                && body.lots > 0
                && (1..ticks).contains(&body.price)
                && body.amount >= 0
                && body.debt == loan.debt + body.amount,
            "I24",
            "pledge {} of account {} owes {} and is bridged as {body:?}",
            event.sub,
            event.account,
            loan.debt
        );
        // Sets are worth all of it, whatever the order brings: what opens sells one outcome of them, what closes
        // completes some that are there.
        let value = market.value(body.price, body.lots)?;
        let backed = match body.opens {
            1 => body.amount == value,
            _ => {
                let held = self.pledged(event, &loan)?;
                let sets = market.value(ticks, body.lots)?;
                (value..=sets + 1).contains(&body.amount) && body.lots * market.lot_size <= held
            }
        };
        ensure!(backed, "I24", "{} lots at {} are bridged with {}", body.lots, body.price, body.amount);
        let bridge = Some((body.lots, loan.debt));
        self.set_loan(event, Loan { debt: body.debt, opening: None, bridge, ..loan });
        Ok(())
    }

    /// Behind the order the bridge is paid back. Each fill's fee is rounded up, and no lot fills twice.
    pub(super) fn check_bridged(&self, event: &Event, loan: &Loan, debt: i64) -> Check {
        let Some((lots, most)) = loan.bridge else { return Ok(()) };
        // Of a settled market no sets are dissolved: its payout pays them.
        if self.market(event.market)?.status >= SETTLED {
            return Ok(());
        }
        ensure!(
            debt <= most.saturating_add(lots),
            "I24",
            "pledge {} of account {} owes {debt} behind a bridge, {most} before it",
            event.sub,
            event.account
        );
        Ok(())
    }
}
