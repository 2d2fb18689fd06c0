//! Accepting orders of special types (protocol P2.5.2–P2.5.5, P2.5.7).

use super::form::Form;
use super::links::Links;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::limits::*;
use crate::market::kind;
use crate::order::{flag, Order};
use crate::output::Output;
use crate::state::due;
use crate::trigger::{waits, Special};
use crate::wire::command::{order_flag, side, Command, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, TriggerBody};

use super::super::orders::{emit_order, subject};

impl<B: Book> Engine<B> {
    /// Checks and accepts an order that is more than a plain limit or market order.
    #[inline(never)]
    pub(crate) fn place_special(
        &mut self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let reduces = request.order_flags & order_flag::REDUCE_ONLY != 0;
        let market = self.market_for_orders(request.market, reduces)?;
        self.check_outcome(market, request.outcome)?;
        if market.has_outcomes() {
            return self.place_on_claims(command, context, request, output);
        }
        let Form { price, special } = self.special_form(market, request, command.time_ns)?;
        let waiting = special.state != waits::NOT;
        if !waiting && !context.system {
            market.check_band(request.side, price)?;
        }
        self.check_room(command, context, request.market, waiting)?;
        let mut order = self.new_order(command, context, request, price);
        order.flags |= flag::SPECIAL | if waiting { flag::WAITING } else { 0 };
        // An exit reduces what its entry has yet to open.
        if request.order_flags & order_flag::BRACKET != 0 {
            order.flags |= order_flag::REDUCE_ONLY;
        } else if reduces {
            self.check_reduces(&order)?;
        }
        let links = self.check_links(&order, request)?;
        if waiting {
            return self.place_waiting(command, order, special, links, output);
        }
        let (row, reserve) = self.check_risk(&order, special.leverage_e2, None)?;
        order.reserve = reserve;
        let takes = self.check_execution(&order, command.time_ns)?;

        if special.leverage_e2 != 0 {
            self.choose_leverage(command, &order, special.leverage_e2, output);
        }
        let slot = self.take_id(&mut order);
        self.hold(&order, row, reserve, output);
        self.remember(&order, special);
        emit_order(command, EventKind::OrderAccepted, &order, !takes, output);
        self.detect_order(&order);
        self.link(command, &order, links, output);
        self.match_or_rest(command, order, (slot, false), takes, context.system, output);
        Ok(order.id)
    }

    /// Bounds of open orders of the account, the shard, and of what waits in the market.
    pub(super) fn check_room(
        &self,
        command: &Command,
        context: Context,
        market: u32,
        waiting: bool,
    ) -> Result<(), Reject> {
        if !context.system {
            self.check_counts(context.account, command.sub, market)?;
        }
        let open = self.state.orders.len();
        if open >= MAX_OPEN_ORDERS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_OPEN_ORDERS as i64, open as i64);
        }
        let there = self.state.triggers.waiting(market);
        if waiting && there >= MAX_TRIGGERS_PER_MARKET {
            return reject(Code::CAPACITY_EXCEEDED, MAX_TRIGGERS_PER_MARKET as i64, there as i64);
        }
        if waiting && self.state.due.len() >= MAX_DUE {
            return reject(Code::CAPACITY_EXCEEDED, MAX_DUE as i64, self.state.due.len() as i64);
        }
        Ok(())
    }

    /// Accepts an order that waits for a price; on a spot market a sell is secured at once (P2.5.3).
    fn place_waiting(
        &mut self,
        command: &Command,
        mut order: Order,
        mut special: Special,
        links: Links,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let secured = self.secures_waiting(&order).then(|| self.secure(&order, 0)).transpose()?;
        self.take_id(&mut order);
        if let Some((row, reserve)) = secured {
            order.reserve = reserve;
            self.hold(&order, row, reserve, output);
        }
        let mut body = order;
        if let Links::Exit { .. } = links {
            // Nothing is active before the entry trades.
            special.state = waits::INACTIVE;
            special.hidden = order.remaining;
            (order.remaining, order.total) = (0, 0);
            body.reserve = 0;
        }
        emit_order(command, EventKind::OrderAccepted, &body, false, output);
        self.store_waiting(&order, special);
        self.emit_trigger(command, &order, output);
        self.link(command, &order, links, output);
        Ok(order.id)
    }

    /// Puts a waiting order into the store, its market's list, the index of prices and the due queue.
    pub(super) fn store_waiting(&mut self, order: &Order, special: Special) {
        self.remember(order, special);
        self.state.orders.insert(&mut self.state.accounts, order);
        self.state.triggers.wait(order);
        if order.expiry_ns != 0 {
            self.state.due.insert((order.expiry_ns, due::ORDER_EXPIRY, order.id));
        }
    }

    /// Keeps what makes an order special.
    pub(crate) fn remember(&mut self, order: &Order, special: Special) {
        self.state.triggers.insert(order.id, special);
        if order.flags & order_flag::REDUCE_ONLY != 0 {
            self.state.triggers.set_reducing(order, true);
        }
    }

    /// Whether a waiting order is secured before it fires: spot sells are (P2.5.3), unless they are one of a pair, of
    /// which only one will ever sell.
    pub(super) fn secures_waiting(&self, order: &Order) -> bool {
        let spot = self.state.markets.list[order.market as usize].kind == kind::SPOT;
        spot && order.side == side::SELL && order.flags & super::form::LINKS == 0
    }

    /// Says what a waiting order waits for.
    pub(super) fn emit_trigger(&self, command: &Command, order: &Order, output: &mut Output) {
        let special = self.state.triggers.of(order);
        let body = TriggerBody {
            trigger_price: self.state.triggers.trigger_price(order),
            trail: special.trail,
            extreme: self.state.triggers.extreme(&special),
            limit: special.limit,
            reserve: order.reserve,
            inactive_lots: special.hidden,
            source: special.source,
            state: special.state,
            slippage_bp: special.slippage_bp,
            leverage_e2: special.leverage_e2,
            reserved: 0,
        };
        output.emit(command, EventKind::TriggerPlaced, subject(order), &body);
    }
}
