//! Time-sliced orders (protocol P2.5.6): slices fall due, each an immediate-or-cancel order with a slippage limit.
//!
//! The order waits outside of the book between slices and holds nothing; a slice is secured when it is sent. While it
//! runs, the order's record is the slice and the rest of the order is hidden.

use super::super::order_form::{check_value, slippage_bp};
use super::super::orders::{emit_order, subject};
use super::super::work::{Budget, Taker, Work};
use crate::book::{crosses, Book};
use crate::engine::{Context, Engine};
use crate::gate::Action;
use crate::ledger::{line, post_between};
use crate::limits::*;
use crate::market::Market;
use crate::order::{flag, Order};
use crate::output::Output;
use crate::state::due;
use crate::trigger::{slices, waits, Special};
use crate::wire::command::{
    order_flag, order_type, side, stp, time_in_force, Command, PlaceOrder, PlaceTwap,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{cancel_reason, EventKind, SliceBody, TwapBody};

impl<B: Book> Engine<B> {
    pub(crate) fn place_twap(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: PlaceTwap = command.payload_as();
        let reserved = i64::from(request.reserved) | i64::from(request.reserved2) | request.reserved3 as i64;
        if reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, reserved);
        }
        let reduces = request.order_flags & order_flag::REDUCE_ONLY != 0;
        let market = self.market_for_orders(request.market, reduces)?;
        if market.has_outcomes() {
            return reject(
                Code::INVALID_ORDER_TYPE,
                i64::from(order_type::MARKET),
                i64::from(order_type::TWAP),
            );
        }
        self.check_outcome(market, request.outcome)?;
        let price = check_twap(market, &request)?;
        let slippage_bp = slippage_bp(market, request.slippage_bp)?;
        self.check_room(command, context, request.market, true)?;
        let form = PlaceOrder {
            market: request.market,
            outcome: request.outcome,
            side: request.side,
            order_type: order_type::TWAP,
            lots: request.lots,
            order_flags: request.order_flags,
            self_trade_prevention: request.self_trade_prevention,
            ..bytemuck::Zeroable::zeroed()
        };
        let mut order = self.new_order(command, context, &form, price);
        order.flags |= flag::SPECIAL | flag::WAITING;
        if reduces {
            self.check_reduces(&order)?;
        }
        self.take_id(&mut order);
        let special = Special {
            state: waits::SLICING,
            slippage_bp,
            leverage_e2: request.leverage_e2,
            limit: request.limit,
            slices: request.slices,
            interval_s: request.interval_s,
            next_ns: command.time_ns,
            ..Special::PLAIN
        };
        emit_order(command, EventKind::OrderAccepted, &order, false, output);
        let body = TwapBody {
            limit: request.limit,
            next_ns: special.next_ns,
            slices: request.slices,
            slippage_bp,
            interval_s: request.interval_s,
            leverage_e2: request.leverage_e2,
            reserved: 0,
            reserved2: 0,
        };
        output.emit(command, EventKind::TwapPlaced, subject(&order), &body);
        self.store_waiting(&order, special);
        self.state.due.insert((special.next_ns, due::ORDER, order.id));
        Ok(order.id)
    }

    /// A slice has fallen due: it runs behind this command, in the market's queue.
    pub(crate) fn order_due(&mut self, _command: &Command, _kind: u8, id: u64, _output: &mut Output) {
        let slot = self.state.orders.find(id).expect("an open order owns its due item");
        let market = self.state.orders[slot].market;
        self.state.triggers.market_mut(market).queue.insert(id);
        self.state.triggers.dirty.insert(market);
    }

    /// Sends the slice that is due. Returns the matching that is not finished.
    pub(super) fn run_slice(
        &mut self,
        command: &Command,
        slot: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Work> {
        let order = self.state.orders[slot];
        self.state.triggers.market_mut(order.market).queue.remove(&order.id);
        let index = self.plan_next(&order, command.time_ns);
        let special = self.state.triggers.of(&order);
        let lots = slices::to_send(order.total, special.slices, index, order.total - order.remaining);
        let mut slice = Order {
            remaining: lots.min(order.remaining),
            total: order.total - (order.remaining - lots.min(order.remaining)),
            time_in_force: time_in_force::IOC,
            flags: order.flags & !flag::WAITING,
            priority: self.state.next_priority,
            ..order
        };
        let hidden = order.remaining - slice.remaining;
        let row = match self.check_slice(&mut slice, &special, command.time_ns) {
            Ok(row) => row,
            Err(refusal) => {
                emit_slice(command, &order, &special, (0, refusal.code as u16, 0, 0), output);
                self.end_slices(command, slot, budget, output);
                return None;
            }
        };
        self.state.next_priority += 1;
        if special.leverage_e2 != 0 {
            self.choose_leverage(command, &slice, special.leverage_e2, output);
        }
        self.state.triggers.special_mut(order.id).expect("it has a record").hidden = hidden;
        let reserve = slice.reserve;
        self.hold(&slice, row, reserve, output);
        let sent = (slice.remaining, 0, slice.price, reserve);
        emit_slice(command, &order, &special, sent, output);
        let mut taker = self.taker(slice, slot, true, false);
        let done = self.match_taker(command, &mut taker, budget, output);
        (!done).then_some(Work::Match(taker))
    }

    /// Counts the slice that is sent now and plans the one behind it. Slices whose time passed meanwhile too are not sent
    /// one after the other at one moment: their lots are carried, within what a slice may catch up.
    fn plan_next(&mut self, order: &Order, now_ns: i64) -> u16 {
        let special = self.state.triggers.special_mut(order.id).expect("it has a record");
        let interval_ns = i64::from(special.interval_s) * SECOND_NS;
        let index = slices::index_at(special.sent, special.slices, special.next_ns, interval_ns, now_ns);
        let passed = i64::from(index - special.sent) + 1;
        special.sent = index + 1;
        special.next_ns = match special.sent < special.slices {
            true => special.next_ns.saturating_add(passed.saturating_mul(interval_ns)),
            false => 0,
        };
        let next_ns = special.next_ns;
        if next_ns != 0 {
            self.state.due.insert((next_ns, due::ORDER, order.id));
        }
        index
    }

    /// The slice's limit and what secures it: the reference and the slippage, not beyond the owner's limit.
    fn check_slice(&self, slice: &mut Order, special: &Special, now_ns: i64) -> Result<usize, Reject> {
        let reduces = slice.flags & order_flag::REDUCE_ONLY != 0;
        let market = self.market_for_orders(slice.market, reduces)?;
        if !self.may_trade(slice.market) {
            return Err(Code::PAUSED.into());
        }
        if let Some(perp) = self.state.perps.of_market(slice.market) {
            // The feed may have changed since the order was placed (P6.5).
            let action = if reduces { Action::Reduce } else { Action::NewLeveraged };
            self.state.feeds.check(perp.feed, action, self.cursor.time_ns)?;
        }
        if slice.remaining < 1 {
            return reject(Code::INVALID_SIZE, 1, slice.remaining);
        }
        let Some(protected) = market.protective_limit(slice.side, u32::from(special.slippage_bp)) else {
            return Err(Code::NO_LIQUIDITY.into());
        };
        slice.price = match (special.limit, slice.side) {
            (0, _) => protected.min(MAX_PRICE),
            (limit, side::BUY) => protected.min(limit),
            (limit, _) => protected.max(limit),
        };
        if reduces {
            self.check_reduces(slice)?;
        } else {
            self.check_new_risk(slice.market)?;
        }
        let best = self.state.books[slice.market as usize].best(1 - slice.side);
        if !best.is_some_and(|best| crosses(slice.side, slice.price, best)) {
            return Err(Code::NO_LIQUIDITY.into());
        }
        slice.fee_cap_e6bp = market.parameters.fee_cap_e6bp();
        let (row, reserve) = self.check_risk(slice, special.leverage_e2, None)?;
        slice.reserve = reserve;
        self.check_execution(slice, now_ns)?;
        Ok(row)
    }

    /// The slice is over: what it did not trade returns to the order, which waits for the next one.
    pub(crate) fn end_slice(
        &mut self,
        command: &Command,
        taker: &Taker,
        budget: &mut Budget,
        output: &mut Output,
    ) {
        let slice = &taker.order;
        let market = &self.state.markets.list[slice.market as usize];
        let asset = if slice.side == side::BUY { market.quote } else { market.base };
        let (owner, lines) = ((slice.account, slice.sub), (line::HELD, line::FREE));
        post_between(&mut self.state.accounts, &mut output.postings, owner, asset, lines, slice.reserve);
        let special = self.state.triggers.special_mut(slice.id).expect("it has a record");
        let hidden = std::mem::take(&mut special.hidden);
        let special = *special;
        let stored = &mut self.state.orders[taker.slot];
        stored.remaining = slice.remaining + hidden;
        stored.total = slice.total + hidden;
        (stored.price, stored.fee_cap_e6bp) = (slice.price, slice.fee_cap_e6bp);
        let rest = *stored;
        let body = SliceBody {
            slice: special.sent - 1,
            slices: special.slices,
            code: 0,
            reserved: 0,
            lots: slice.remaining,
            remaining_lots: rest.remaining,
            price: slice.price,
            reserve: slice.reserve,
            next_ns: special.next_ns,
        };
        output.emit(command, EventKind::SliceEnded, subject(&rest), &body);
        self.end_slices(command, taker.slot, budget, output);
    }

    /// Ends the order: silently when nothing remains, else behind its last slice (reason twap_end).
    fn end_slices(&mut self, command: &Command, slot: u32, budget: &mut Budget, output: &mut Output) {
        let order = self.state.orders[slot];
        if order.remaining == 0 {
            self.state.triggers.leave(&order);
            self.forget(&order);
            self.state.orders.remove(&mut self.state.accounts, slot);
        } else if self.state.triggers.of(&order).next_ns == 0 {
            budget.cancels = budget.cancels.saturating_sub(1);
            self.cancel_slot(command, slot, cancel_reason::TWAP_END, output);
        }
    }
}

fn emit_slice(
    command: &Command,
    order: &Order,
    special: &Special,
    (lots, code, price, reserve): (i64, u16, i64, i64),
    output: &mut Output,
) {
    let body = SliceBody {
        slice: special.sent - 1,
        slices: special.slices,
        code,
        reserved: 0,
        lots,
        remaining_lots: order.remaining,
        price,
        reserve,
        next_ns: special.next_ns,
    };
    output.emit(command, EventKind::SliceSent, subject(order), &body);
}

/// Sizes, times and flags of a time-sliced order; returns the price at which it is valued.
fn check_twap(market: &Market, request: &PlaceTwap) -> Result<i64, Reject> {
    if request.lots < 1 || request.lots > MAX_LOTS {
        return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
    }
    if request.side > side::SELL
        || request.self_trade_prevention > stp::DECREMENT
        || request.order_flags & !order_flag::REDUCE_ONLY != 0
    {
        return reject(Code::INVALID_ORDER_TYPE, 0, i64::from(request.order_flags));
    }
    if request.limit != 0 && !(1..=MAX_PRICE).contains(&request.limit) {
        return reject(Code::INVALID_PRICE, MAX_PRICE, request.limit);
    }
    let (fewest, most) = TWAP_SLICES;
    if request.slices < fewest || request.slices > most {
        return reject(Code::INVALID_TWAP, i64::from(most), i64::from(request.slices));
    }
    let (shortest, longest) = TWAP_INTERVAL_S;
    if request.interval_s < shortest || request.interval_s > longest {
        return reject(Code::INVALID_TWAP, i64::from(longest), i64::from(request.interval_s));
    }
    let span_s = (u32::from(request.slices) - 1) * request.interval_s;
    if span_s > MAX_TWAP_S {
        return reject(Code::INVALID_TWAP, i64::from(MAX_TWAP_S), i64::from(span_s));
    }
    let price = if request.limit != 0 { request.limit } else { market.reference };
    if price == 0 {
        return Err(Code::NO_LIQUIDITY.into());
    }
    check_value(market, price, request.lots)?;
    let smallest = slices::smallest(request.lots, request.slices);
    let value = crate::math::notional(price, smallest, market.unit)?;
    if smallest < 1 || value < market.parameters.min_notional {
        return reject(Code::INVALID_TWAP, market.parameters.min_notional, value);
    }
    Ok(price)
}
