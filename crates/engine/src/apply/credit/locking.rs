//! Locking credit (row 0E03/0): legs of one condition net against each other, conditions add up.

use std::collections::BTreeMap;

use super::job::{CreditJob, Step};
use super::{check_leg_count, legs_of};
use crate::apply::order_form::check_value;
use crate::apply::work::Work;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::gate::Action;
use crate::limits::{
    CLAIMS_ROOM, CREDIT_FILLS, CREDIT_LEG_EFFORT, MAX_CREDIT_LEGS, MAX_LOTS, MAX_OPEN_ORDERS,
    RESOLUTION_BUFFER_NS,
};
use crate::market::{kind, status, Market};
use crate::math::MAX_BALANCE;
use crate::order::Order;
use crate::outcome::credits::{Leg, Place};
use crate::output::Output;
use crate::wire::command::{
    order_flag, order_type, side, stp, time_in_force, Command, CreditLegs, PlaceOrder,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::credit_cause;

/// An order for a leg, in terms of the outcome that it trades.
#[derive(Clone, Copy, Debug)]
pub struct WantedOrder {
    pub market: u32,
    pub outcome: u8,
    /// As in orders.
    pub side: u8,
    /// Limit in ticks.
    pub price: i64,
    pub lots: i64,
    /// It closes a leg: as reduce-only orders it passes where new risk does not (P7.5).
    pub reduces: bool,
}

/// What the legs of one market come to.
struct Netted {
    /// Sets to make before the orders, in micro-shares.
    minted: i64,
    /// Micro-quote that leaves the credit, at most; what comes back is not counted for other markets.
    need: i64,
    orders: Vec<WantedOrder>,
}

impl<B: Book> Engine<B> {
    /// 0E03/0: buys all legs, or none, with what the credit has available; complete sets that arise are merged at once, so
    /// that what is locked is the largest loss over the outcomes of each market, markets added. The result is the
    /// credit's number.
    ///
    /// # Errors
    /// `RESERVED_NOT_ZERO`, `PARAMETER_OUT_OF_BOUNDS` (no legs, too many in one command, not as many staged as named),
    /// `VERSE_NOT_FOUND` (the verse, or a leg's market is not in it or below it), `CREDIT_NOT_EXCLUSIVE` (bound and given:
    /// two markets), `TOO_MANY_POSITIONS`, those of a leg's form, `ALREADY_EXISTS` (two legs trade in one book),
    /// `ASSET_NOT_FOUND`, `MARKET_NOT_ACTIVE`, `IN_RESOLUTION_BUFFER`, `BREAKER_ACTIVE` and what else halts new risk,
    /// `ORDER_TOO_SMALL`, `ORDER_TOO_LARGE`, `PRICE_TOO_HIGH`, `PRICE_TOO_LOW`, `SELF_TRADE_PREVENTED`,
    /// `SLIPPAGE_EXCEEDED` (bound: lots that the book has), `CAPACITY_EXCEEDED`, `CREDIT_INSUFFICIENT` (bound: available;
    /// given: needed).
    pub(crate) fn lock_credit(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CreditLegs = command.payload_as();
        if request.exclusive > 1 {
            return reject(Code::RESERVED_NOT_ZERO, 1, i64::from(request.exclusive));
        }
        self.state.verses.find(request.verse)?;
        let own = legs_of(&request)?;
        let place = self.own_credit(context.account, request.verse, 0)?;
        let mut legs = self.staged_legs(place, request.staged)?;
        legs.extend(own);
        check_leg_count(legs.len())?;
        let one = legs[0].market;
        if let Some(other) = legs.iter().find(|leg| request.exclusive == 1 && leg.market != one) {
            return reject(Code::CREDIT_NOT_EXCLUSIVE, i64::from(one), i64::from(other.market));
        }
        let steps = self.plan_legs(command, place, &legs)?;
        if request.staged != 0 {
            // What was kept for this command is used up.
            self.state.credits.get_mut(place).expect("found just now").staged.clear();
        }
        let job = CreditJob::new(place, (credit_cause::LOCKED, request.staged != 0), steps);
        let effort = legs.len() as u32 * CREDIT_LEG_EFFORT;
        self.do_work_after(command, command.seq, Work::Credit(Box::new(job)), effort, output);
        Ok(u64::from(place.1))
    }

    /// Checks every leg and what they need together; returns what is to be done.
    fn plan_legs(&self, command: &Command, place: Place, legs: &[Leg]) -> Result<Vec<Step>, Reject> {
        let credit = self.state.credits.get(place).expect("its place was found");
        let mut markets: BTreeMap<u32, Vec<WantedOrder>> = BTreeMap::new();
        for leg in legs {
            self.check_leg_form(leg)?;
            self.check_leg_market(leg, credit.verse, credit.asset, command.time_ns)?;
            let wanted = self.order_of_leg(leg);
            let orders = markets.entry(leg.market).or_default();
            let binary = self.market_of_credit(leg.market).outcome_count == 2;
            if orders.iter().any(|other| binary || other.outcome == wanted.outcome) {
                return reject(Code::ALREADY_EXISTS, i64::from(leg.market), i64::from(leg.outcome));
            }
            orders.push(wanted);
        }
        let known = credit.outlays().filter(|(market, _)| !markets.contains_key(market)).count();
        if known + markets.len() > MAX_CREDIT_LEGS {
            return reject(Code::TOO_MANY_POSITIONS, MAX_CREDIT_LEGS as i64, (known + markets.len()) as i64);
        }
        self.check_credit_room()?;
        let (mut steps, mut need, mut fills) = (Vec::new(), 0_i64, CREDIT_FILLS);
        for (&market, orders) in &markets {
            let netted = self.net_market(command, place, (market, orders), &mut fills)?;
            need = need.checked_add(netted.need).ok_or(Reject::from(Code::MATH_OVERFLOW))?;
            if netted.minted != 0 {
                steps.push(Step::Mint { market, amount: netted.minted });
            }
            steps.extend(netted.orders.into_iter().map(Step::Order));
            steps.push(Step::Account { market });
        }
        let available = self.credit_cash(place, credit.asset);
        if need > available {
            return reject(Code::CREDIT_INSUFFICIENT, available, need);
        }
        Ok(steps)
    }

    /// Of one condition: the sets to make for what is sold, and the cost of all orders less the sets that they complete.
    fn net_market(
        &self,
        command: &Command,
        place: Place,
        (handle, orders): (u32, &[WantedOrder]),
        fills: &mut u32,
    ) -> Result<Netted, Reject> {
        let market = self.market_of_credit(handle);
        let mut claims: Vec<i64> = (0..market.outcome_count)
            .map(|outcome| self.state.claims.free(place.0, place.1, handle, outcome))
            .collect();
        let mut cost = 0_i128;
        for wanted in orders {
            let order = self.credit_order(command, place, wanted);
            self.check_outcome_band(handle, wanted.outcome, wanted.side, wanted.price)?;
            self.check_outcome_execution(&order, command.time_ns)?;
            let planned = self.plan_order(wanted, &order, command.time_ns, fills)?;
            if planned.lots < wanted.lots {
                return reject(Code::SLIPPAGE_EXCEEDED, planned.lots, wanted.lots);
            }
            cost += i128::from(planned.cost);
            let shares = shares_of(market, wanted.lots)?;
            let held = &mut claims[usize::from(wanted.outcome)];
            let after =
                if wanted.side == side::BUY { held.checked_add(shares) } else { Some(*held - shares) };
            *held = after.ok_or(Reject::from(Code::MATH_OVERFLOW))?;
        }
        // Below zero: so many sets must be made first. Above: so many are complete.
        let least = claims.iter().copied().min().unwrap_or(0);
        let minted = (-least).max(0);
        let room = MAX_BALANCE - self.state.claims.supply(handle, 0);
        if minted > room {
            return reject(Code::INVALID_SIZE, room, minted);
        }
        // The orders first make every claim of the sets that are merged behind them, so that both are in the escrow for
        // a moment; what remains is the difference.
        let need = (cost - i128::from(least)).max(0);
        let need = i64::try_from(need).map_err(|_| Reject::from(Code::MATH_OVERFLOW))?;
        let (sold, bought): (Vec<_>, Vec<_>) = orders.iter().partition(|wanted| wanted.side == side::SELL);
        Ok(Netted { minted, need, orders: sold.into_iter().chain(bought).collect() })
    }

    /// A leg that could be traded in some market at some time.
    pub(super) fn check_leg_form(&self, leg: &Leg) -> Result<(), Reject> {
        let Some(market) = self.state.markets.list.get(leg.market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(leg.market));
        };
        if market.kind != kind::OUTCOME {
            return reject(Code::INVALID_MARKET_KIND, i64::from(kind::OUTCOME), i64::from(market.kind));
        }
        self.check_outcome(market, leg.outcome)?;
        if !(1..=MAX_LOTS).contains(&leg.lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, leg.lots);
        }
        let highest = market.payout_ticks() - 1;
        if !(1..=highest).contains(&leg.price) {
            return reject(Code::INVALID_PRICE, highest, leg.price);
        }
        Ok(())
    }

    /// The market is of the credit's verse and asset and takes new risk now.
    fn check_leg_market(&self, leg: &Leg, verse: u32, asset: u16, now_ns: i64) -> Result<(), Reject> {
        if !self.state.verses.holds_market(verse, leg.market) {
            return reject(Code::VERSE_NOT_FOUND, i64::from(verse), i64::from(leg.market));
        }
        let market = self.market_of_credit(leg.market);
        if market.quote != asset {
            return reject(Code::ASSET_NOT_FOUND, i64::from(asset), i64::from(market.quote));
        }
        if market.status != status::ACTIVE {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(market.status));
        }
        let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        if now_ns >= last_ns {
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, now_ns);
        }
        self.check_market_halts(Action::NewCollateralised, leg.market)?;
        self.check_market_halts(Action::MintMerge, leg.market)?;
        self.check_venue(leg.market, Action::NewCollateralised, now_ns)?;
        if self.collects(leg.market) {
            return reject(Code::BREAKER_ACTIVE, 0, i64::from(leg.market));
        }
        check_value(market, leg.price, leg.lots)
    }

    /// Whether the shard has room for another order and what it may buy.
    pub(super) fn check_credit_room(&self) -> Result<(), Reject> {
        if self.state.orders.len() >= MAX_OPEN_ORDERS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_OPEN_ORDERS as i64, self.state.orders.len() as i64);
        }
        if self.state.claims.len() >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, self.state.claims.len() as i64);
        }
        Ok(())
    }

    /// The one trade that gives a leg: a short of two outcomes is the other one; a short of more is a set whose claim on
    /// the outcome is sold.
    fn order_of_leg(&self, leg: &Leg) -> WantedOrder {
        let &Leg { market, outcome, short, price, lots } = leg;
        let long = WantedOrder { market, outcome, side: side::BUY, price, lots, reduces: false };
        let entry = self.market_of_credit(market);
        match (short, entry.outcome_count) {
            (false, _) => long,
            (true, 2) => WantedOrder { outcome: 1 - outcome, ..long },
            (true, _) => WantedOrder { side: side::SELL, price: entry.payout_ticks() - price, ..long },
        }
    }

    /// The order in terms of its book, without id and reserve.
    pub(super) fn credit_order(&self, command: &Command, place: Place, wanted: &WantedOrder) -> Order {
        let request = PlaceOrder {
            market: wanted.market,
            outcome: wanted.outcome,
            side: wanted.side,
            order_type: order_type::LIMIT,
            time_in_force: time_in_force::IOC,
            price: wanted.price,
            lots: wanted.lots,
            self_trade_prevention: stp::CANCEL_NEWEST,
            order_flags: if wanted.reduces { order_flag::REDUCE_ONLY } else { 0 },
            ..bytemuck::Zeroable::zeroed()
        };
        // Nobody finds the order by the key of the command that made it.
        let own = Command { sub: place.1, client_key: [0; 16], ..*command };
        let context = Context { account: place.0, system: false };
        self.in_book_terms(self.new_order(&own, context, &request, wanted.price))
    }
}

/// Micro-shares of so many lots.
pub(super) fn shares_of(market: &Market, lots: i64) -> Result<i64, Reject> {
    lots.checked_mul(market.lot_size).ok_or(Code::MATH_OVERFLOW.into())
}
