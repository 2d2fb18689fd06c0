//! Orders of the dark midpoint cross: how they enter and leave (protocol P16, row 0F01).

use super::work::CancelAccount;
use crate::book::Book;
use crate::dark::{DarkOrder, Line};
use crate::engine::{Context, Engine};
use crate::gate::{Action, Cell};
use crate::governance::parameters::{Parameter, DARK_MARKETS};
use crate::ledger::{line, post_between};
use crate::limits::*;
use crate::market::{kind, status, Market};
use crate::math::notional;
use crate::output::{Output, Subject};
use crate::wire::command::{side, stp, CancelDark, Command, PlaceDark, ALL, ALL_MARKETS};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{cancel_reason, claims_cause, DarkAcceptedBody, DarkCancelledBody, EventKind};

impl<B: Book> Engine<B> {
    /// Whether governance lets a market cross.
    pub(crate) fn crosses_darkly(&self, market: u32) -> bool {
        let wanted = i64::from(market) + 1;
        DARK_MARKETS.iter().any(|&place| self.state.governance.value(place) == wanted)
    }

    /// The moment of the next cross behind `now_ns`: whole intervals since the epoch.
    pub(super) fn next_cross(&self, now_ns: i64) -> i64 {
        let interval_ns = self.state.governance.value(Parameter::DarkIntervalMs) * 1_000_000;
        (now_ns.div_euclid(interval_ns) + 1).saturating_mul(interval_ns)
    }

    /// Best bid and ask that a cross may refer to (P16.1); None where it may not: a side is empty, the spread is too wide,
    /// the market is not ACTIVE, halted, near its settlement, or its prices outside are not to be believed.
    pub(super) fn lit_reference(&self, (market, outcome): Line, now_ns: i64) -> Option<(i64, i64)> {
        let entry = &self.state.markets.list[market as usize];
        if entry.status != status::ACTIVE
            || self.collects(market)
            || self.halt_cell(Action::NewCollateralised, Some(market)) != Cell::Allowed
            || self.check_venue(market, Action::NewCollateralised, now_ns).is_err()
            || is_near_settlement(entry, now_ns)
        {
            return None;
        }
        let book = self.state.books.at(market, outcome);
        let (bid, ask) = (book.best(side::BUY)?, book.best(side::SELL)?);
        let wide = match entry.has_outcomes() {
            true => ask - bid > entry.ticks_of_bp(DARK_SPREAD_BP),
            false => i128::from(ask - bid) * 20_000 > i128::from(DARK_SPREAD_BP) * i128::from(ask + bid),
        };
        (bid < ask && !wide).then_some((bid, ask))
    }

    /// 0F01/0.
    ///
    /// # Errors
    /// In this order: `RESERVED_NOT_ZERO`, `MARKET_NOT_FOUND`, `DARK_DISABLED`, `MARKET_NOT_ACTIVE`, `MARKET_CLOSE_ONLY`,
    /// `INVALID_MARKET_KIND`, `INVALID_OUTCOME`, `IN_RESOLUTION_BUFFER`, `INVALID_ORDER_TYPE`, `INVALID_SIZE`,
    /// `INVALID_PRICE`, `LIT_REFERENCE_INVALID`, `DARK_SIZE_TOO_SMALL`, `ORDER_TOO_LARGE`, `CAPACITY_EXCEEDED`,
    /// `SELF_TRADE_PREVENTED`, `INSUFFICIENT_BALANCE`, `INSUFFICIENT_SHARES`, `INSUFFICIENT_FREE_COLLATERAL`.
    pub(crate) fn place_dark(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: PlaceDark = command.payload_as();
        let order = self.check_dark(command, context.account, &request)?;
        let own = self.opposing(&order);
        if request.self_trade_prevention == stp::CANCEL_NEWEST && !own.is_empty() {
            return Err(Code::SELF_TRADE_PREVENTED.into());
        }
        self.check_dark_reserve(&order)?;
        for id in own {
            self.cancel_dark_order(command, id, cancel_reason::SELF_TRADE, output);
        }
        let id = self.state.dark.last_id + 1;
        self.hold_dark(&order, order.reserve, output);
        self.state.dark.put(id, order);
        let body = DarkAcceptedBody {
            side: order.side,
            outcome: order.outcome,
            reserved: 0,
            cap_e8: order.cap_e8,
            lots: order.lots,
            min_lots: order.min_lots,
            limit: order.limit,
            reserve: order.reserve,
        };
        output.emit(command, EventKind::DarkAccepted, dark_subject(id, &order), &body);
        self.hold_dark_claims(command, id, &order, order.reserve, output);
        if self.state.dark.next_ns(order.market).is_none() {
            let next_ns = self.next_cross(command.time_ns);
            self.state.dark.schedule(order.market, Some(next_ns), &mut self.state.due);
        }
        self.after_collateral(command, order.account, order.sub, output);
        Ok(id)
    }

    /// What of a request depends on market, form and lit book.
    fn check_dark(&self, command: &Command, account: u32, request: &PlaceDark) -> Result<DarkOrder, Reject> {
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        if request.market as usize >= self.state.markets.list.len() {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        }
        if !self.crosses_darkly(request.market) {
            return reject(Code::DARK_DISABLED, 0, i64::from(request.market));
        }
        let market = self.market_for_orders(request.market, false)?;
        if !matches!(market.kind, kind::SPOT | kind::OUTCOME) {
            return reject(Code::INVALID_MARKET_KIND, i64::from(kind::OUTCOME), i64::from(market.kind));
        }
        // Of two outcomes one book knows both: dark orders are given in its terms, for outcome 0.
        let outcomes = if market.outcome_count > 2 { market.outcome_count } else { 1 };
        if request.outcome >= outcomes {
            return reject(Code::INVALID_OUTCOME, i64::from(outcomes) - 1, i64::from(request.outcome));
        }
        if is_near_settlement(market, command.time_ns) {
            let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, command.time_ns);
        }
        let known = matches!(request.self_trade_prevention, stp::CANCEL_NEWEST | stp::CANCEL_OLDEST);
        if request.side > side::SELL || !known {
            return reject(Code::INVALID_ORDER_TYPE, 1, i64::from(request.side));
        }
        if !(1..=MAX_LOTS).contains(&request.lots) || !(0..=request.lots).contains(&request.min_lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots.min(request.min_lots));
        }
        let highest = if market.has_outcomes() { market.payout_ticks() - 1 } else { MAX_PRICE };
        if !(1..=highest).contains(&request.limit) {
            return reject(Code::INVALID_PRICE, highest, request.limit);
        }
        let lit = (request.market, request.outcome);
        let Some((bid, ask)) = self.lit_reference(lit, command.time_ns) else {
            return reject(Code::LIT_REFERENCE_INVALID, 0, i64::from(request.market));
        };
        let doubled = notional(bid + ask, request.lots, market.unit)?;
        if doubled / 2 < MIN_DARK_NOTIONAL {
            return reject(Code::DARK_SIZE_TOO_SMALL, MIN_DARK_NOTIONAL, doubled / 2);
        }
        if doubled / 2 > market.parameters.max_notional {
            return reject(Code::ORDER_TOO_LARGE, market.parameters.max_notional, doubled / 2);
        }
        self.check_dark_room(account, lit, request.side)?;
        let mut order = DarkOrder {
            account,
            sub: command.sub,
            market: request.market,
            outcome: request.outcome,
            side: request.side,
            lots: request.lots,
            min_lots: request.min_lots,
            limit: request.limit,
            reserve: 0,
            cap_e8: half_rate(market.parameters.taker_fee_e6bp.saturating_mul(100)),
        };
        order.reserve = dark_reserve(market, &order, order.lots)?;
        Ok(order)
    }

    fn check_dark_room(&self, account: u32, place: Line, wanted: u8) -> Result<(), Reject> {
        let dark = &self.state.dark;
        let rows = [
            (MAX_DARK_ORDERS, dark.len()),
            (MAX_DARK_PER_ACCOUNT, dark.of_account(account).count()),
            (MAX_DARK_PER_SIDE, dark.of_line(place).filter(|(_, order)| order.side == wanted).count()),
            (MAX_DUE, self.state.due.len()),
        ];
        match rows.into_iter().find(|(most, found)| found >= most) {
            Some((most, found)) => reject(Code::CAPACITY_EXCEEDED, most as i64, found as i64),
            None => self.check_claims_room(),
        }
    }

    /// Own orders that a midpoint could match the order with (P3.4).
    fn opposing(&self, order: &DarkOrder) -> Vec<u64> {
        let meets = |other: &DarkOrder| match order.buys() {
            true => order.limit >= other.limit,
            false => order.limit <= other.limit,
        };
        let own = self.state.dark.of_account(order.account);
        own.filter(|(_, other)| other.line() == order.line() && other.side != order.side && meets(other))
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether what an order needs is there.
    fn check_dark_reserve(&self, order: &DarkOrder) -> Result<(), Reject> {
        let market = &self.state.markets.list[order.market as usize];
        if order.buys() || !market.has_outcomes() {
            let asset = if order.buys() { market.quote } else { market.base };
            let free = self.state.accounts.balance(order.account, order.sub, asset, line::FREE);
            if order.reserve > free {
                return reject(Code::INSUFFICIENT_BALANCE, free, order.reserve);
            }
            return self.check_removal(order.account, order.sub, asset, order.reserve);
        }
        let free = self.state.claims.free(order.account, order.sub, order.market, order.outcome);
        if order.reserve > free {
            return reject(Code::INSUFFICIENT_SHARES, free, order.reserve);
        }
        Ok(())
    }

    /// Moves what secures an order from free to held; negative amounts back. Claims follow with an event of their own.
    fn hold_dark(&mut self, order: &DarkOrder, amount: i64, output: &mut Output) {
        let market = &self.state.markets.list[order.market as usize];
        if order.buys() || !market.has_outcomes() {
            let asset = if order.buys() { market.quote } else { market.base };
            let (owner, lines) = ((order.account, order.sub), (line::FREE, line::HELD));
            post_between(&mut self.state.accounts, &mut output.postings, owner, asset, lines, amount);
        }
    }

    fn hold_dark_claims(
        &mut self,
        command: &Command,
        id: u64,
        order: &DarkOrder,
        amount: i64,
        output: &mut Output,
    ) {
        let sells_claims = !order.buys() && self.state.markets.list[order.market as usize].has_outcomes();
        if sells_claims && amount != 0 {
            let subject = dark_subject(id, order);
            let moved = (-amount, amount);
            self.move_claims(command, &subject, order.outcome, moved, claims_cause::ORDER, output);
        }
    }

    /// 0F01/1.
    ///
    /// # Errors
    /// `ORDER_NOT_FOUND`, `WRONG_OWNER`.
    pub(crate) fn cancel_dark(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let CancelDark { order: id } = command.payload_as();
        match self.state.dark.get(id) {
            None => return reject(Code::ORDER_NOT_FOUND, 0, id as i64),
            Some(order) if order.account != context.account => return Err(Code::WRONG_OWNER.into()),
            Some(_) => {}
        }
        self.cancel_dark_order(command, id, cancel_reason::USER, output);
        Ok(id)
    }

    /// Takes an order out and frees what secured it.
    pub(super) fn cancel_dark_order(&mut self, command: &Command, id: u64, reason: u8, output: &mut Output) {
        let order = self.state.dark.remove(id).expect("a cancelled order rests");
        self.hold_dark(&order, -order.reserve, output);
        let body = DarkCancelledBody {
            side: order.side,
            outcome: order.outcome,
            reason,
            reserved: 0,
            reserved2: 0,
            lots: order.lots,
            released: order.reserve,
        };
        output.emit(command, EventKind::DarkCancelled, dark_subject(id, &order), &body);
        self.hold_dark_claims(command, id, &order, -order.reserve, output);
    }

    /// The dark orders of a cancel of all orders of an account (P2.5.8): at most [`MAX_DARK_PER_ACCOUNT`]. How many.
    #[cold]
    #[inline(never)]
    pub(super) fn cancel_dark_of(
        &mut self,
        command: &Command,
        job: &CancelAccount,
        output: &mut Output,
    ) -> u64 {
        let by_owner = job.reason == cancel_reason::CANCEL_ALL;
        let wanted = |order: &DarkOrder| {
            (job.market == ALL_MARKETS || order.market == job.market)
                && (job.sub == ALL || order.sub == job.sub)
                && (job.side == ALL || order.side == job.side)
                && !(by_owner && self.is_frozen(order.market))
        };
        let own = self.state.dark.of_account(job.account);
        let ids: Vec<u64> = own.filter(|(_, order)| wanted(order)).map(|(id, _)| id).collect();
        for &id in &ids {
            self.cancel_dark_order(command, id, job.reason, output);
        }
        ids.len() as u64
    }

    /// Orders of the dark book, ascending by number: for their owners' views and tests, nothing public.
    pub fn dark_orders(&self) -> impl Iterator<Item = (u64, &DarkOrder)> {
        self.state.dark.iter()
    }
}

/// Half of a taker's rate, rounded up (P16.2).
pub(super) const fn half_rate(rate_e8: u32) -> u32 {
    rate_e8.div_ceil(2)
}

/// What secures `lots` of an order: of a purchase the worst price with its fee, of a sale what is sold.
pub(super) fn dark_reserve(market: &Market, order: &DarkOrder, lots: i64) -> Result<i64, Reject> {
    if lots == 0 {
        return Ok(0);
    }
    if !order.buys() {
        return lots.checked_mul(market.lot_size).ok_or(Code::MATH_OVERFLOW.into());
    }
    let value = notional(order.limit, lots, market.unit)?;
    // A better price never costs more: the fee's base grows by less than the price falls.
    let base = if market.has_outcomes() { market.outcome_fee_base(order.limit, lots)? } else { value };
    value.checked_add(crate::fees::amount(base, order.cap_e8)).ok_or(Code::MATH_OVERFLOW.into())
}

fn is_near_settlement(market: &Market, now_ns: i64) -> bool {
    market.has_outcomes() && now_ns >= market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS)
}

pub(super) fn dark_subject(id: u64, order: &DarkOrder) -> Subject {
    Subject { market: order.market, account: order.account, sub: order.sub, order: id }
}
