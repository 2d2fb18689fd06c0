//! Shorts of an outcome of more than two (protocol P4.6.1): they hold every other outcome.
//!
//! A short makes complete sets and sells the outcome in its book, which costs what all the others together are worth;
//! it ends by buying the outcome back and dissolving the sets. For as long as that order runs the vault pays the whole
//! sets, or the outcome: a bridge that sets and sale pay back, whatever the order fills.

use super::PledgeOrder;
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::ledger::{line, post_system, post_user};
use crate::market::{status, Market};
use crate::math::{notional, MAX_BALANCE};
use crate::outcome::loans::Pledge;
use crate::outcome::Loan;
use crate::output::Output;
use crate::wire::command::{side, Command};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, LoanBridgedBody};

/// The order of a short in the book of the outcome that it has none of.
pub(super) fn basket_order(market: &Market, wanted: &PledgeOrder) -> PledgeOrder {
    PledgeOrder { side: 1 - wanted.side, price: market.payout_ticks() - wanted.price, ..*wanted }
}

impl<B: Book> Engine<B> {
    /// What the vault pays meanwhile: what the outcome will bring at least, or, when it is bought back, its price with
    /// the worst fee.
    ///
    /// # Errors
    /// `MATH_OVERFLOW`; `INSUFFICIENT_LIQUIDITY` when the vault has less (bound), `INVALID_SIZE` beyond the sets that may
    /// exist.
    pub(super) fn check_bridge(&self, order: &PledgeOrder, lent: i64) -> Result<i64, Reject> {
        let market = self.market_of_loan(order.market);
        let amount = match order.side {
            side::SELL => notional(order.price, order.lots, market.unit)?,
            _ => market.outcome_reserve(order.price, order.lots, market.parameters.fee_cap_e6bp())?,
        };
        let cash = self.state.system.get(line::VAULT_CASH, 0, market.quote) - lent;
        if amount > cash {
            return reject(Code::INSUFFICIENT_LIQUIDITY, cash, amount);
        }
        let room = MAX_BALANCE - self.state.claims.supply(order.market, 0);
        if order.side == side::SELL && order.lots.saturating_mul(market.lot_size) > room {
            return reject(Code::INVALID_SIZE, room / market.lot_size, order.lots);
        }
        Ok(amount)
    }

    /// Lots of the outcome for which the vault's money suffices whatever they cost: a claim with its fee costs no more
    /// than a set.
    pub(super) fn bridged_lots(&self, market: &Market) -> i64 {
        let cash = self.state.system.get(line::VAULT_CASH, 0, market.quote);
        (cash - 1).max(0) / market.lot_size
    }

    /// Pays the bridge, and makes the sets of a short that opens.
    pub(super) fn bridge(
        &mut self,
        command: &Command,
        pledge: Pledge,
        order: &PledgeOrder,
        amount: i64,
        output: &mut Output,
    ) {
        let loan = *self.state.vault.loans.get(pledge).expect("a bridge is of a loan");
        let quote = self.market_of_loan(loan.market).quote;
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_user(accounts, postings, pledge.0, pledge.1, quote, line::FREE, amount);
        post_user(accounts, postings, pledge.0, pledge.1, quote, line::LOAN, -amount);
        post_system(&mut self.state.system, postings, line::VAULT_CASH, 0, quote, -amount);
        post_system(&mut self.state.system, postings, line::VAULT_LOANS, 0, quote, amount);
        let debt = loan.debt + amount;
        let body = LoanBridgedBody {
            outcome: loan.outcome,
            owner_sub: loan.sub,
            opens: u8::from(order.side == side::SELL),
            reserved: 0,
            reserved2: 0,
            lots: order.lots,
            price: order.price,
            amount,
            debt,
        };
        output.emit(command, EventKind::LoanBridged, self.pledge_subject(pledge, loan.market), &body);
        self.state.vault.loans.put(pledge, Some(Loan { debt, ..loan }));
        if order.side == side::SELL {
            self.make_sets(command, pledge, loan.market, order.lots, output);
        }
    }

    /// Dissolves the sets that a short's order has left or completed, so that they pay the bridge.
    pub(super) fn merge_pledged(
        &mut self,
        command: &Command,
        pledge: Pledge,
        loan: &Loan,
        output: &mut Output,
    ) {
        let market = self.market_of_loan(loan.market);
        if !loan.short || market.status >= status::SETTLED {
            return;
        }
        let free = |outcome| self.state.claims.free(pledge.0, pledge.1, loan.market, outcome);
        let complete = (0..market.outcome_count).map(free).min().unwrap_or(0) / market.lot_size;
        if complete > 0 {
            self.make_sets(command, pledge, loan.market, -complete, output);
        }
    }

    /// Whether sets may be dissolved now: else a short's order waits to be shared out (P7.5).
    pub(super) fn may_merge(&self, market: u32) -> bool {
        !matches!(self.halt_cell(Action::MintMerge, Some(market)), Cell::Refused)
    }
}
