//! Leveraged outcome positions (protocol P4.6, rows 0401 to 0403): loans of the vault that buy claims. What a position
//! holds and owes lies on a pledge, a sub-account that no command can name; see [`crate::outcome::loans`].

mod basket;
mod closing;
mod group;
mod interest;
mod look;
mod loss;
mod mark;
mod opening;
mod pool;

use super::work::{Budget, Taker, Work};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_system, post_user};
use crate::limits::{CLAIMS_ROOM, MAX_OPEN_ORDERS};
use crate::market::{kind, Market};
use crate::outcome::leverage::{Ramp, Valued};
use crate::outcome::loans::{Pledge, SHORT};
use crate::outcome::marks::Marks;
use crate::outcome::Loan;
use crate::output::{Output, Subject};
use crate::wire::command::{order_flag, order_type, time_in_force, Command, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, LoanMovedBody};

/// An order of a pledge, before it is checked.
#[derive(Clone, Copy, Debug)]
struct PledgeOrder {
    market: u32,
    outcome: u8,
    side: u8,
    /// Ticks of the outcome.
    price: i64,
    lots: i64,
    self_trade_prevention: u8,
    /// It closes a position: what a pause that only lets reduce takes (P7.5).
    reduces: bool,
}

impl<B: Book> Engine<B> {
    /// Loans by pledge, for readers.
    pub fn loans(&self) -> impl Iterator<Item = (Pledge, &Loan)> {
        self.state.vault.loans.iter()
    }

    /// The position of an account's sub-account in an outcome (with [`SHORT`]: in all but it): its pledge and loan.
    pub fn loan_of(&self, account: &[u8; 32], sub: u8, market: u32, place: u8) -> Option<(u8, Loan)> {
        let handle = self.state.accounts.find(account)?;
        let pledge = self.state.vault.loans.find(handle, sub, market, place)?;
        Some((pledge.1, *self.state.vault.loans.get(pledge)?))
    }

    /// Marks of a market that has positions.
    pub fn outcome_marks(&self, market: u32) -> Option<&Marks> {
        self.state.vault.loans.marks(market)
    }

    /// What a position holds: the outcome itself when long, of two the other one when short, else all but it.
    fn held_place(&self, market: u32, outcome: u8, short: u8) -> Result<u8, Reject> {
        let Some(entry) = self.state.markets.list.get(market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(market));
        };
        if entry.kind != kind::OUTCOME {
            return reject(Code::INVALID_MARKET_KIND, i64::from(kind::OUTCOME), i64::from(entry.kind));
        }
        self.check_outcome(entry, outcome)?;
        match (short, entry.outcome_count) {
            (0, _) => Ok(outcome),
            (1, 2) => Ok(1 - outcome),
            (1, _) => Ok(outcome | SHORT),
            (side, _) => reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, i64::from(side)),
        }
    }

    fn market_of_loan(&self, market: u32) -> &Market {
        &self.state.markets.list[market as usize]
    }

    /// Micro-shares on a pledge, those that secure its order among them; of a short so many of each other outcome.
    fn pledged_shares(&self, (account, pledge): Pledge, loan: &Loan) -> i64 {
        let held = |outcome| {
            let holding = self.state.claims.holding(account, pledge, loan.market, outcome);
            holding.free + holding.held
        };
        if !loan.short {
            return held(loan.outcome);
        }
        let outcomes = self.market_of_loan(loan.market).outcome_count;
        (0..outcomes).filter(|&outcome| outcome != loan.outcome).map(held).min().unwrap_or(0)
    }

    /// Money of a pledge that no order has reserved.
    fn pledged_cash(&self, (account, pledge): Pledge, quote: u16) -> i64 {
        self.state.accounts.balance(account, pledge, quote, line::FREE)
    }

    /// Tier of the market: what maintenance follows (P4.2, P4.5). Outcome markets have no maximum of their own.
    fn loan_base_e2(market: &Market) -> u32 {
        crate::coverage::leverage::tier_e2(u32::from(market.outcome_count))
    }

    /// Margins of the market at a moment (P4.6.2).
    fn ramp(&self, market: &Market, now_ns: i64) -> Ramp {
        Ramp::at(now_ns, market.settle_time_ns, self.state.governance.jump_minimum_ppm())
    }

    /// A position at a mark of its outcome in ticks (P4.6.2).
    fn valued(&self, pledge: Pledge, loan: &Loan, mark: i64, now_ns: i64) -> Valued {
        let market = self.market_of_loan(loan.market);
        let lots = loan.shares / market.lot_size;
        let value = crate::math::notional(mark, lots, market.unit).unwrap_or(i64::MAX);
        let equity = value.saturating_add(self.pledged_cash(pledge, market.quote)).saturating_sub(loan.debt);
        let ramp = self.ramp(market, now_ns);
        let maintenance = match loan.debt {
            0 => 0,
            _ => ramp.maintenance_margin(value, Self::loan_base_e2(market)),
        };
        Valued { lots, mark, value, equity, maintenance }
    }

    /// Health of a position as it is marked now: its value, equity and maintenance margin; None without a mark.
    pub fn loan_health(&self, pledge: Pledge) -> Option<(Valued, i128)> {
        let loan = self.state.vault.loans.get(pledge)?;
        let mark = self.loan_mark(loan.market, loan.place());
        let now_ns = self.cursor.time_ns;
        let market = self.market_of_loan(loan.market);
        let valued = self.valued(pledge, loan, mark, now_ns);
        let ramp = self.ramp(market, now_ns);
        (mark != 0).then(|| (valued, ramp.initial_margin(valued.value, Self::loan_base_e2(market))))
    }

    /// Accepts an immediate order of a pledge, whose money or claims suffice, and returns it to be matched.
    fn pledge_taker(
        &mut self,
        command: &Command,
        (account, pledge): Pledge,
        wanted: &PledgeOrder,
        output: &mut Output,
    ) -> Result<Taker, Reject> {
        let mut order = self.pledge_order(command, (account, pledge), wanted);
        order.reserve = self.secure_outcome(&order, 0)?;
        let slot = self.take_id(&mut order);
        self.hold_quote(&order, order.reserve, output);
        self.emit_given(command, EventKind::OrderAccepted, &order, false, output);
        self.hold_claims(command, &order, order.reserve, output);
        self.detect_order(&order);
        Ok(self.taker(order, slot, false, false))
    }

    /// The order in terms of its book, without id and reserve.
    fn pledge_order(
        &self,
        command: &Command,
        (account, pledge): Pledge,
        wanted: &PledgeOrder,
    ) -> crate::order::Order {
        let request = PlaceOrder {
            market: wanted.market,
            outcome: wanted.outcome,
            side: wanted.side,
            order_type: order_type::LIMIT,
            time_in_force: time_in_force::IOC,
            price: wanted.price,
            lots: wanted.lots,
            order_flags: if wanted.reduces { order_flag::REDUCE_ONLY } else { 0 },
            self_trade_prevention: wanted.self_trade_prevention,
            ..bytemuck::Zeroable::zeroed()
        };
        // Nobody finds the order by the key of the command that made it.
        let own = Command { sub: pledge, client_key: [0; 16], ..*command };
        self.in_book_terms(self.new_order(&own, Context { account, system: false }, &request, wanted.price))
    }

    /// Whether the shard has room for another order and what it may buy.
    fn check_loan_room(&self) -> Result<(), Reject> {
        if self.state.orders.len() >= MAX_OPEN_ORDERS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_OPEN_ORDERS as i64, self.state.orders.len() as i64);
        }
        if self.state.claims.len() >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, self.state.claims.len() as i64);
        }
        Ok(())
    }

    /// Matches a pledge's order within the owner's command; what fills it is shared out now, or at the next look.
    fn run_pledge(
        &mut self,
        command: &Command,
        pledge: Pledge,
        mut taker: Taker,
        cause: u8,
        output: &mut Output,
    ) {
        let market = taker.order.market;
        self.state.vault.loans.unsettle(market, pledge);
        if self.match_taker(command, &mut taker, &mut Budget::full(), output) {
            self.settle_pledge(command, pledge, cause, output);
            return;
        }
        self.suspend(command, command.seq, Work::Match(taker), output);
        self.state.vault.loans.look_at(&mut self.state.due, market, Some(command.time_ns));
    }

    /// Shares out the money of a pledge whose order is over: the debt first, then the owner (of what insurance has taken
    /// over, insurance). A position without claims ends; what it still owes then is a loss.
    fn settle_pledge(&mut self, command: &Command, pledge: Pledge, cause: u8, output: &mut Output) {
        let Some(&loan) = self.state.vault.loans.get(pledge) else { return };
        let quote = self.market_of_loan(loan.market).quote;
        self.state.vault.loans.settle(loan.market, pledge);
        self.merge_pledged(command, pledge, &loan, output);
        self.share_surplus(command, pledge, cause, output);
        let cash = self.pledged_cash(pledge, quote);
        let shares = self.pledged_shares(pledge, &loan);
        let repaid = cash.min(loan.debt);
        let (returned, debt) = (cash - repaid, loan.debt - repaid);
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_user(accounts, postings, pledge.0, pledge.1, quote, line::FREE, -cash);
        post_user(accounts, postings, pledge.0, pledge.1, quote, line::LOAN, repaid);
        if !loan.taken {
            post_user(accounts, postings, pledge.0, loan.sub, quote, line::FREE, returned);
        }
        let system = &mut self.state.system;
        post_system(system, postings, line::VAULT_LOANS, 0, quote, -repaid);
        post_system(system, postings, line::VAULT_CASH, 0, quote, repaid);
        if loan.taken {
            post_system(system, postings, line::INSURANCE, 0, quote, returned);
        }
        let closed = shares == 0 && debt == 0;
        let body = LoanMovedBody {
            outcome: loan.outcome,
            owner_sub: loan.sub,
            cause,
            closed: u8::from(closed),
            payer: 0,
            repaid,
            paid_in: 0,
            returned,
            debt,
            shares,
        };
        output.emit(command, EventKind::LoanMoved, self.pledge_subject(pledge, loan.market), &body);
        self.state.vault.loans.put(pledge, (!closed).then_some(Loan { debt, shares, ..loan }));
        if shares == 0 && debt != 0 {
            self.cover_loss(command, pledge, output);
        }
        self.weigh_loans(command, loan.market, output);
        self.after_collateral(command, pledge.0, loan.sub, output);
    }

    fn pledge_subject(&self, (account, pledge): Pledge, market: u32) -> Subject {
        Subject { account, sub: pledge, ..Subject::market(market) }
    }

    /// The market's worst case as its loans are now, in the bucket of its verse (P9.1).
    fn weigh_loans(&mut self, command: &Command, market: u32, output: &mut Output) {
        let outcome_count = self.market_of_loan(market).outcome_count;
        let worst_case = self.state.vault.loans.worst_case(market, outcome_count);
        let bucket = self.state.verses.root_of_market(market).map_or(0, |root| root + 1);
        self.set_worst_case(command, market, bucket, worst_case, output);
    }
}
