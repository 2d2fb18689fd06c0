//! What an accepted command does with a credit: sets, orders, and the account of each market. It may take several commands
//! (P2.1.4), between which nobody sees the credit: its `free` line may be below zero until the sales and merges behind
//! a purchase have brought what the check counted on.

use super::locking::WantedOrder;
use crate::apply::work::{Budget, Taker};
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::{line, post_margin, post_system, post_user};
use crate::limits::{CREDIT_CLAIM_EFFORT, CREDIT_ORDER_EFFORT, CREDIT_STEP_EFFORT};
use crate::outcome::credits::{locked_after, Place};
use crate::output::{Output, Subject};
use crate::wire::command::{side, Command};
use crate::wire::event::{claims_cause, credit_cause, CreditBody, EventKind, SetBody};

/// One piece of work.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Makes complete sets, in micro-shares.
    Mint {
        market: u32,
        amount: i64,
    },
    Order(WantedOrder),
    /// Merges what is complete and says what the market locks now.
    Account {
        market: u32,
    },
}

/// The steps of one command, market after market.
#[derive(Clone, Debug)]
pub struct CreditJob {
    place: Place,
    cause: u8,
    /// It has taken the staged legs along.
    unstaged: bool,
    /// The next one last.
    steps: Vec<Step>,
    taker: Option<Taker>,
    /// What the credit had before the present market's first step.
    cash: Option<i64>,
}

impl CreditJob {
    pub fn new(place: Place, (cause, unstaged): (u8, bool), mut steps: Vec<Step>) -> Self {
        steps.reverse();
        CreditJob { place, cause, unstaged, steps, taker: None, cash: None }
    }
}

impl<B: Book> Engine<B> {
    /// Goes on until everything is done (None) or the budget is spent.
    #[inline(never)]
    pub(crate) fn go_on_with_credit(
        &mut self,
        command: &Command,
        mut job: Box<CreditJob>,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Box<CreditJob>> {
        loop {
            if let Some(taker) = &mut job.taker {
                if !self.match_taker(command, taker, budget, output) {
                    return Some(job);
                }
                job.taker = None;
            }
            let &step = job.steps.last()?;
            let effort = self.effort_of_step(&step);
            if !budget.admits(effort) {
                return Some(job);
            }
            budget.spend(effort);
            job.steps.pop();
            if job.cash.is_none() {
                job.cash = Some(self.cash_of_credit(job.place));
            }
            match step {
                Step::Mint { market, amount } => self.mint_credit(command, job.place, market, amount, output),
                Step::Order(wanted) => {
                    job.taker = Some(self.take_for_credit(command, job.place, &wanted, output))
                }
                Step::Account { market } => {
                    let before = job.cash.take().expect("kept with the market's first step");
                    self.merge_credit(command, job.place, market, output);
                    let paid = before - self.cash_of_credit(job.place);
                    let told = (job.cause, job.unstaged);
                    self.account_credit(command, job.place, (market, paid), told, output);
                }
            }
        }
    }

    fn effort_of_step(&self, step: &Step) -> u32 {
        let claims =
            |market: u32| u32::from(self.market_of_credit(market).outcome_count) * CREDIT_CLAIM_EFFORT;
        match *step {
            Step::Order(_) => CREDIT_ORDER_EFFORT,
            Step::Mint { market, .. } | Step::Account { market } => CREDIT_STEP_EFFORT + claims(market),
        }
    }

    fn cash_of_credit(&self, place: Place) -> i64 {
        let asset = self.state.credits.get(place).map_or(0, |credit| credit.asset);
        self.credit_cash(place, asset)
    }

    /// Complete sets out of the credit's money, which the sales behind it bring back.
    fn mint_credit(
        &mut self,
        command: &Command,
        place: Place,
        market: u32,
        amount: i64,
        output: &mut Output,
    ) {
        let entry = self.market_of_credit(market);
        let (quote, outcomes, lots) = (entry.quote, entry.outcome_count, amount / entry.lot_size);
        let sets = self.state.claims.supply(market, 0) + amount;
        post_margin(&mut self.state.accounts, &mut output.postings, place, quote, -amount);
        post_system(
            &mut self.state.system,
            &mut output.postings,
            line::SET_ESCROW,
            market + 1,
            quote,
            amount,
        );
        let subject = Subject { account: place.0, sub: place.1, ..Subject::market(market) };
        output.emit(command, EventKind::SetMinted, subject, &SetBody { lots, amount, sets });
        for outcome in 0..outcomes {
            self.move_claims(command, &subject, outcome, (amount, 0), claims_cause::MINT, output);
        }
    }

    /// Accepts an immediate order of a credit and returns it to be matched.
    fn take_for_credit(
        &mut self,
        command: &Command,
        place: Place,
        wanted: &WantedOrder,
        output: &mut Output,
    ) -> Taker {
        const FITS: &str = "its cost was planned";
        let mut order = self.credit_order(command, place, wanted);
        order.reserve = self.outcome_reserve(&order, order.remaining).expect(FITS);
        let slot = self.take_id(&mut order);
        if wanted.side == side::BUY {
            let quote = self.market_of_credit(wanted.market).quote;
            let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
            post_margin(accounts, postings, place, quote, -order.reserve);
            post_user(accounts, postings, place.0, place.1, quote, line::HELD, order.reserve);
        }
        self.emit_given(command, EventKind::OrderAccepted, &order, false, output);
        self.hold_claims(command, &order, order.reserve, output);
        self.detect_order(&order);
        self.taker(order, slot, false, false)
    }

    /// Turns complete sets into money.
    fn merge_credit(&mut self, command: &Command, place: Place, market: u32, output: &mut Output) {
        let entry = self.market_of_credit(market);
        let (quote, outcomes, lot_size) = (entry.quote, entry.outcome_count, entry.lot_size);
        let free = |outcome| self.state.claims.free(place.0, place.1, market, outcome);
        let amount = (0..outcomes).map(free).min().unwrap_or(0);
        if amount == 0 {
            return;
        }
        let sets = self.state.claims.supply(market, 0) - amount;
        post_margin(&mut self.state.accounts, &mut output.postings, place, quote, amount);
        post_system(
            &mut self.state.system,
            &mut output.postings,
            line::SET_ESCROW,
            market + 1,
            quote,
            -amount,
        );
        let subject = Subject { account: place.0, sub: place.1, ..Subject::market(market) };
        let body = SetBody { lots: amount / lot_size, amount, sets };
        output.emit(command, EventKind::SetMerged, subject, &body);
        for outcome in 0..outcomes {
            self.move_claims(command, &subject, outcome, (-amount, 0), claims_cause::MERGE, output);
        }
    }

    /// Says what a market locks behind `paid` more, and what that has realised.
    pub(super) fn account_credit(
        &mut self,
        command: &Command,
        place: Place,
        (market, paid): (u32, i64),
        (cause, unstaged): (u8, bool),
        output: &mut Output,
    ) {
        let outcomes = self.market_of_credit(market).outcome_count;
        let holds = (0..outcomes).any(|outcome| self.claims_of_credit(place, market, outcome) != 0);
        let cash = self.cash_of_credit(place);
        let Some(credit) = self.state.credits.get_mut(place) else { return };
        let (outlay, realised) = locked_after(credit.outlay(market).unwrap_or(0), paid, holds);
        credit.set_outlay(market, holds.then_some(outlay));
        credit.total += realised;
        let body = CreditBody {
            verse: credit.verse,
            cause,
            outcome: 0,
            owner_sub: 0,
            unstaged: u8::from(unstaged),
            paid,
            outlay,
            realised,
            available: cash,
            locked: credit.locked(),
            total: credit.total,
            shares: 0,
        };
        debug_assert_eq!(body.available + body.locked, body.total, "P15.10");
        let kind =
            if cause == credit_cause::LOCKED { EventKind::CreditLocked } else { EventKind::CreditReleased };
        let subject = Subject { account: place.0, sub: place.1, ..Subject::market(market) };
        output.emit(command, kind, subject, &body);
    }

    pub(super) fn claims_of_credit(&self, place: Place, market: u32, outcome: u8) -> i64 {
        let holding = self.state.claims.holding(place.0, place.1, market, outcome);
        holding.free + holding.held
    }
}
