//! Releasing credit (row 0E03/1): closing a leg in the book, the payout of a market that is final, and claims that no loss
//! is open for.

use super::job::{CreditJob, Step};
use super::locking::{shares_of, WantedOrder};
use crate::apply::work::Work;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::limits::{CREDIT_FILLS, MAX_LOTS, RESOLUTION_BUFFER_NS};
use crate::outcome::credits::{Leg, Place};
use crate::output::{Output, Subject};
use crate::wire::command::{credit_release, side, Command, ReleaseCredit};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{claims_cause, credit_cause, CreditBody, EventKind};

impl<B: Book> Engine<B> {
    /// 0E03/1. The result is the credit's number.
    ///
    /// # Errors
    /// `RESERVED_NOT_ZERO`, `VERSE_NOT_FOUND`, `PARAMETER_OUT_OF_BOUNDS` (mode), `CREDIT_INSUFFICIENT` (no credit, or a loss
    /// is open: given), `POSITION_NOT_FOUND` (no claims in the market). Closing: those of a leg's form, `MARKET_NOT_ACTIVE`,
    /// `IN_RESOLUTION_BUFFER`, `BREAKER_ACTIVE`, `INSUFFICIENT_SHARES` (bound: lots of the leg), `PRICE_TOO_HIGH`,
    /// `PRICE_TOO_LOW`, `SELF_TRADE_PREVENTED`, `CAPACITY_EXCEEDED`, `SLIPPAGE_EXCEEDED` when nothing can be closed at the
    /// price or better. After the end: `NOT_RESOLVED`.
    pub(crate) fn release_credit(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ReleaseCredit = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        self.state.verses.find(request.verse)?;
        let place = self.own_credit(context.account, request.verse, 0)?;
        let credit = self.state.credits.get(place).expect("found just now");
        let Some(outlay) = credit.outlay(request.market) else {
            return reject(Code::POSITION_NOT_FOUND, 0, i64::from(request.market));
        };
        match request.mode {
            credit_release::CLOSE => self.close_leg(command, place, &request, output)?,
            credit_release::SETTLE => {
                plain(&request)?;
                let before = self.credit_cash(place, credit.asset);
                self.redeem_for(command, place, request.market, output)?;
                let paid = before - self.credit_cash(place, self.market_of_credit(request.market).quote);
                let told = (credit_cause::SETTLED, false);
                self.account_credit(command, place, (request.market, paid), told, output);
            }
            credit_release::HAND_OVER => self.hand_over(command, place, &request, outlay, output)?,
            mode => {
                return reject(
                    Code::PARAMETER_OUT_OF_BOUNDS,
                    i64::from(credit_release::HAND_OVER),
                    mode.into(),
                )
            }
        }
        Ok(u64::from(place.1))
    }

    /// Sells a leg's claims, or buys the outcome that completes sets with them, at once and in part if need be.
    fn close_leg(
        &mut self,
        command: &Command,
        place: Place,
        request: &ReleaseCredit,
        output: &mut Output,
    ) -> Result<(), Reject> {
        if request.side > 1 {
            return reject(Code::INVALID_ORDER_TYPE, 1, i64::from(request.side));
        }
        if !(0..=MAX_LOTS).contains(&request.lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
        }
        let (price, short) = (i64::from(request.price), request.side == 1);
        let leg =
            Leg { market: request.market, outcome: request.outcome, short, price, lots: request.lots.max(1) };
        self.check_leg_form(&leg)?;
        let market = self.market_for_orders(request.market, true)?;
        let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        if command.time_ns >= last_ns {
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, command.time_ns);
        }
        if self.collects(request.market) {
            return reject(Code::BREAKER_ACTIVE, 0, i64::from(request.market));
        }
        let (ticks, lot_size) = (market.payout_ticks(), market.lot_size);
        let free = |outcome| self.state.claims.free(place.0, place.1, request.market, outcome);
        let (outcome, trade, limit, held) = match (short, market.outcome_count) {
            (false, _) => (request.outcome, side::SELL, price, free(request.outcome)),
            (true, 2) => (1 - request.outcome, side::SELL, price, free(1 - request.outcome)),
            (true, outcomes) => {
                let others = (0..outcomes).filter(|&outcome| outcome != request.outcome);
                (request.outcome, side::BUY, ticks - price, others.map(free).min().unwrap_or(0))
            }
        };
        let held = held / lot_size;
        let lots = if request.lots == 0 { held } else { request.lots };
        if lots > held || held == 0 {
            return reject(Code::INSUFFICIENT_SHARES, held, lots);
        }
        shares_of(market, lots)?;
        self.check_credit_room()?;
        self.check_outcome_band(request.market, outcome, trade, limit)?;
        let wanted =
            WantedOrder { market: request.market, outcome, side: trade, price: limit, lots, reduces: true };
        let order = self.credit_order(command, place, &wanted);
        self.check_outcome_execution(&order, command.time_ns)?;
        let planned = self.plan_order(&wanted, &order, command.time_ns, &mut CREDIT_FILLS.clone())?;
        if planned.lots == 0 {
            return reject(Code::SLIPPAGE_EXCEEDED, limit, lots);
        }
        let wanted = WantedOrder { lots: planned.lots, ..wanted };
        let steps = vec![Step::Order(wanted), Step::Account { market: request.market }];
        let job = CreditJob::new(place, (credit_cause::CLOSED, false), steps);
        self.do_work_after(command, command.seq, Work::Credit(Box::new(job)), 0, output);
        Ok(())
    }

    /// Gives the owner the claims on one outcome of a market that locks nothing.
    fn hand_over(
        &mut self,
        command: &Command,
        place: Place,
        request: &ReleaseCredit,
        outlay: i64,
        output: &mut Output,
    ) -> Result<(), Reject> {
        if (request.side, request.price, request.lots) != (0, 0, 0) {
            return reject(Code::RESERVED_NOT_ZERO, 0, request.lots);
        }
        self.check_outcome(self.market_of_credit(request.market), request.outcome)?;
        if outlay != 0 {
            return reject(Code::CREDIT_INSUFFICIENT, 0, outlay);
        }
        let shares = self.state.claims.free(place.0, place.1, request.market, request.outcome);
        if shares == 0 {
            return reject(Code::INSUFFICIENT_SHARES, 0, 0);
        }
        self.check_credit_room()?;
        let from = Subject { account: place.0, sub: place.1, ..Subject::market(request.market) };
        let to = Subject { sub: command.sub, ..from };
        let outcomes = self.market_of_credit(request.market).outcome_count;
        let holds = (0..outcomes).any(|outcome| {
            outcome != request.outcome && self.claims_of_credit(place, request.market, outcome) != 0
        });
        let cash = self.credit_cash(place, self.market_of_credit(request.market).quote);
        let credit = self.state.credits.get_mut(place).expect("found just now");
        credit.set_outlay(request.market, holds.then_some(0));
        let body = CreditBody {
            verse: credit.verse,
            cause: credit_cause::HANDED_OVER,
            outcome: request.outcome,
            owner_sub: command.sub,
            unstaged: 0,
            paid: 0,
            outlay: 0,
            realised: 0,
            available: cash,
            locked: credit.locked(),
            total: credit.total,
            shares,
        };
        output.emit(command, EventKind::CreditReleased, from, &body);
        self.move_claims(command, &from, request.outcome, (-shares, 0), claims_cause::CREDIT, output);
        self.move_claims(command, &to, request.outcome, (shares, 0), claims_cause::CREDIT, output);
        Ok(())
    }
}

/// A request that names nothing but its market.
fn plain(request: &ReleaseCredit) -> Result<(), Reject> {
    if (request.outcome, request.side, request.price, request.lots) != (0, 0, 0, 0) {
        return reject(Code::RESERVED_NOT_ZERO, 0, request.lots);
    }
    Ok(())
}
