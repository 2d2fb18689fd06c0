//! Special orders on outcome markets (protocol P2.5): what a position is there are claims, and prices of outcome 1 of two
//! are those of outcome 0 turned round.
//!
//! REDUCE_ONLY sells claims that its owner has, and no more of them: it is cut when it is accepted, and what it sells is
//! held from then on, so that nothing can shrink below it.

use super::form::{check_fields, display_of, is_reached, takes_time_in_force, waits_for_price};
use crate::apply::order_form::{check_time, check_value, slippage_bp};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::limits::{CLAIMS_ROOM, MAX_LOTS, RESOLUTION_BUFFER_NS};
use crate::order::{flag, Order};
use crate::output::Output;
use crate::trigger::{waits, Special};
use crate::wire::command::{order_flag, order_type, side, trigger_source, Command, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::EventKind;

const KNOWN_FLAGS: u16 = order_flag::POST_ONLY | order_flag::REDUCE_ONLY | order_flag::OCO;

impl<B: Book> Engine<B> {
    /// Checks and accepts an order on claims that is more than a plain limit or market order; its market and outcome are
    /// checked.
    #[inline(never)]
    pub(super) fn place_on_claims(
        &mut self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let kind = request.order_type;
        // A categorical market has a last trade for each outcome, and triggers watch one price of a market.
        let waits = waits_for_price(kind) && self.lines(request.market) == 1;
        let known = kind <= order_type::MARKET || kind == order_type::ICEBERG || waits;
        if !known || request.order_flags & !KNOWN_FLAGS != 0 {
            return reject(Code::INVALID_ORDER_TYPE, i64::from(order_type::MARKET), i64::from(kind));
        }
        if waits {
            return self.place_claims_trigger(command, context, request, output);
        }
        let mut request = *request;
        if request.order_flags & order_flag::REDUCE_ONLY != 0 {
            request.lots = self.sellable(context.account, command.sub, &request)?;
        }
        if kind == order_type::ICEBERG || request.order_flags & order_flag::OCO != 0 {
            return self.place_special_claims(command, context, &request, output);
        }
        self.place_outcome(command, context, &request, output)
    }

    /// Lots that an order which only reduces may sell: those asked for, at most the claims that are free.
    fn sellable(&self, account: u32, sub: u8, request: &PlaceOrder) -> Result<i64, Reject> {
        if !(1..=MAX_LOTS).contains(&request.lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
        }
        let market = &self.state.markets.list[request.market as usize];
        let free = self.state.claims.free(account, sub, request.market, request.outcome) / market.lot_size;
        if request.side == side::BUY || free == 0 {
            return reject(Code::REDUCE_ONLY_WOULD_INCREASE, free, request.lots);
        }
        Ok(request.lots.min(free))
    }

    /// STOP, STOP_LIMIT, TAKE_PROFIT and TRAILING_STOP (P2.5.3, P2.5.4) of a binary market. Nothing is held before the
    /// order fires.
    fn place_claims_trigger(
        &mut self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let market = &self.state.markets.list[request.market as usize];
        let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        if command.time_ns >= last_ns {
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, command.time_ns);
        }
        if !(1..=MAX_LOTS).contains(&request.lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
        }
        check_fields(request)?;
        check_time(request, takes_time_in_force(request), command.time_ns)?;
        let (given, special) = self.claims_trigger(command, context, request)?;
        self.check_room(command, context, request.market, true)?;
        if request.order_flags & order_flag::REDUCE_ONLY != 0 {
            self.sellable(context.account, command.sub, request)?;
        }
        let mut order = self.in_book_terms(given);
        let links = self.check_links(&order, request)?;
        self.take_id(&mut order);
        self.emit_given(command, EventKind::OrderAccepted, &order, false, output);
        self.store_waiting(&order, special);
        self.emit_trigger(command, &order, output);
        self.link(command, &order, links, output);
        Ok(order.id)
    }

    /// The order as its owner gives it, with its limit, and what it waits for in prices of its book.
    fn claims_trigger(
        &self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
    ) -> Result<(Order, Special), Reject> {
        let market = &self.state.markets.list[request.market as usize];
        let (ticks, source) = (market.payout_ticks(), request.trigger_source);
        let limit_is_missing = request.order_type == order_type::STOP_LIMIT && request.price == 0;
        if limit_is_missing || source != trigger_source::LAST_TRADE || market.last_price == 0 {
            return reject(Code::INVALID_TRIGGER, 0, i64::from(source));
        }
        let flips = request.outcome == 1;
        let turned = |price: i64| if flips { ticks - price } else { price };
        let book_side = if flips { 1 - request.side } else { request.side };
        let now = market.last_price;
        let mut special = Special { state: waits::PENDING, source, ..Special::PLAIN };
        let trigger = if request.order_type == order_type::TRAILING_STOP {
            let most = if book_side == side::SELL { now - 1 } else { ticks - 1 - now };
            if request.trigger_price != 0 {
                return reject(Code::INVALID_TRIGGER, 0, request.trigger_price);
            }
            if !(1..=most).contains(&request.trail) {
                return reject(Code::INVALID_TRAIL, most, request.trail);
            }
            (special.trail, special.extreme) = (request.trail, now);
            special.stop(book_side, now, 0)
        } else {
            if !(1..ticks).contains(&request.trigger_price) {
                return reject(Code::INVALID_TRIGGER, ticks - 1, request.trigger_price);
            }
            special.trigger_price = turned(request.trigger_price);
            if is_reached(request.order_type, book_side, special.trigger_price, now) {
                return reject(Code::TRIGGER_WOULD_FIRE, turned(now), request.trigger_price);
            }
            special.trigger_price
        };
        let price = if request.price == 0 {
            special.slippage_bp = slippage_bp(market, request.slippage_bp)?;
            turned(market.slipped_claim(book_side, trigger, special.slippage_bp))
        } else {
            special.limit = turned(request.price);
            request.price
        };
        if !(1..ticks).contains(&price) {
            return reject(Code::INVALID_PRICE, ticks - 1, price);
        }
        if request.order_flags & order_flag::REDUCE_ONLY == 0 {
            check_value(market, price, request.lots)?;
        }
        let mut given = self.new_order(command, context, request, price);
        given.flags |= flag::SPECIAL | flag::WAITING;
        Ok((given, special))
    }

    /// The checks of P2.4 that a fired order on claims meets when it runs; one that only reduces is cut to the claims
    /// that are free now. Returns whether matching must run.
    pub(super) fn check_fired_claims(&self, live: &mut Order, now_ns: i64) -> Result<bool, Reject> {
        let reduces = live.flags & order_flag::REDUCE_ONLY != 0;
        let market = self.market_for_orders(live.market, reduces)?;
        let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        if now_ns >= last_ns {
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, now_ns);
        }
        let given = self.given(live);
        self.check_outcome_band(live.market, live.outcome, given.side, given.price)?;
        if reduces {
            let free = self.state.claims.free(live.account, live.sub, live.market, live.outcome);
            let lots = free / market.lot_size;
            if lots == 0 {
                return reject(Code::REDUCE_ONLY_WOULD_INCREASE, 0, live.remaining);
            }
            live.remaining = live.remaining.min(lots);
            live.total = live.remaining;
        } else {
            self.check_new_risk(live.market)?;
        }
        if self.state.claims.len() >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, self.state.claims.len() as i64);
        }
        live.reserve = self.secure_outcome(live, 0)?;
        self.check_outcome_execution(live, now_ns)
    }

    /// An iceberg (P2.5.5), secured as a whole and displayed in parts, or one order of a pair (P2.5.7).
    fn place_special_claims(
        &mut self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        check_fields(request)?;
        check_time(request, takes_time_in_force(request), command.time_ns)?;
        let form = PlaceOrder { order_type: order_type::LIMIT, display_lots: 0, linked_order: 0, ..*request };
        let price = self.outcome_form(&form, command.time_ns, context.system)?;
        let display = match request.order_type {
            order_type::ICEBERG => display_of(request)?,
            _ => 0,
        };
        let special = Special { limit: price, display, ..Special::PLAIN };
        if !context.system {
            self.check_outcome_band(request.market, request.outcome, request.side, price)?;
        }
        self.check_room(command, context, request.market, false)?;
        if self.state.claims.len() >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, self.state.claims.len() as i64);
        }
        let mut given = self.new_order(command, context, request, price);
        given.flags |= flag::SPECIAL;
        let mut order = self.in_book_terms(given);
        let links = self.check_links(&order, request)?;
        order.reserve = self.secure_outcome(&order, 0)?;
        let takes = self.check_outcome_execution(&order, command.time_ns)?;

        let slot = self.take_id(&mut order);
        self.remember(&order, special);
        self.hold_quote(&order, order.reserve, output);
        self.emit_given(command, EventKind::OrderAccepted, &order, !takes, output);
        self.hold_claims(command, &order, order.reserve, output);
        self.detect_order(&order);
        self.link(command, &order, links, output);
        self.match_or_rest(command, order, (slot, false), takes, context.system, output);
        Ok(order.id)
    }
}
