//! Placing and replacing orders (protocol P2.4, P2.5, P3.2).

use super::order_form::check_form;
use super::perpetual_fill::Side;
use super::work::{Budget, Taker, Work};
use crate::book::{crosses, Book};
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_in_row};
use crate::limits::*;
use crate::market::{kind, status, Market, MarketRules};
use crate::order::{flag, Order, NONE, SLOT_BITS};
use crate::output::{Output, Subject};
use crate::state::due;
use crate::wire::command::{
    order_flag, order_type, side, stp, time_in_force, Command, PlaceOrder, ReplaceOrder,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{position_cause, EventKind, OrderBody};

impl<B: Book> Engine<B> {
    pub(crate) fn place_order(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: &PlaceOrder = command.payload_ref();
        if request.order_type > order_type::MARKET || request.order_flags & !order_flag::POST_ONLY != 0 {
            return self.place_special(command, context, request, output);
        }
        let market = self.market_for_orders(request.market, false)?;
        // One comparison for a market without outcomes.
        if market.outcome_count != 1 || request.outcome != 0 {
            self.check_outcome(market, request.outcome)?;
            return self.place_outcome(command, context, request, output);
        }
        let price = check_form(market, request, command.time_ns, context.system)?;
        if !context.system {
            market.check_band(request.side, price)?;
            self.check_counts(context.account, command.sub, request.market)?;
        }
        if self.state.orders.len() >= MAX_OPEN_ORDERS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_OPEN_ORDERS as i64, self.state.orders.len() as i64);
        }
        let mut order = self.new_order(command, context, request, price);
        let (mut position, mut row) = (NONE, 0);
        if self.is_leveraged(order.market) {
            position = self.check_margin(&order, u32::from(request.leverage_e2), None)?;
        } else {
            (row, order.reserve) = self.secure(&order, 0)?;
        }
        let takes = self.check_execution(&order, command.time_ns)?;

        if request.leverage_e2 != 0 {
            let leverage_e2 = u32::from(request.leverage_e2);
            self.choose_leverage(command, &order, leverage_e2, output);
        }
        let slot = self.take_id(&mut order);
        if order.reserve != 0 {
            self.hold(&order, row, order.reserve, output);
        }
        emit_order(command, EventKind::OrderAccepted, &order, !takes, output);
        self.detect_order(&order);
        if takes {
            self.match_accepted(command, &order, (slot, position), context.system, output);
        } else {
            self.rest_order(command, &order, false, output);
        }
        Ok(order.id)
    }

    /// The order that a request asks for, without id and reserve.
    #[inline(always)]
    pub(super) fn new_order(
        &self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
        price: i64,
    ) -> Order {
        let market = &self.state.markets.list[request.market as usize];
        Order {
            id: 0,
            priority: self.state.next_priority,
            price,
            remaining: request.lots,
            total: request.lots,
            expiry_ns: request.expiry_ns,
            reserve: 0,
            client_key: command.client_key,
            account: context.account,
            market: request.market,
            sub: command.sub,
            side: request.side,
            order_type: request.order_type,
            time_in_force: request.time_in_force,
            self_trade_prevention: request.self_trade_prevention,
            outcome: request.outcome,
            flags: request.order_flags,
            fee_cap_e6bp: market.parameters.fee_cap_e6bp(),
            level: NONE,
            previous: NONE,
            next: NONE,
            account_previous: NONE,
            account_next: NONE,
        }
    }

    /// Gives an accepted order its id and returns its slot.
    #[inline(always)]
    pub(super) fn take_id(&mut self, order: &mut Order) -> u32 {
        let (slot, id) = self.state.orders.reserve(self.state.next_order);
        order.id = id;
        self.state.next_order += 1;
        self.state.next_priority += 1;
        slot
    }

    /// P2.4.7: what secures the order (row of balances and micro-units), or why it may not be.
    #[inline(always)]
    pub(super) fn check_risk(
        &self,
        order: &Order,
        leverage_e2: u32,
        replaced: Option<&Order>,
    ) -> Result<(usize, i64), Reject> {
        if self.is_leveraged(order.market) {
            self.check_margin(order, leverage_e2, replaced)?;
            return Ok((0, 0));
        }
        self.secure(order, replaced.map_or(0, |old| old.reserve))
    }

    #[inline]
    pub(super) fn check_outcome(&self, market: &Market, outcome: u8) -> Result<(), Reject> {
        if outcome >= market.outcome_count {
            return reject(Code::INVALID_OUTCOME, i64::from(market.outcome_count), i64::from(outcome));
        }
        Ok(())
    }

    /// Runs the matching of an accepted order, or puts it into the book when nothing crosses.
    #[inline(always)]
    pub(super) fn match_or_rest(
        &mut self,
        command: &Command,
        order: Order,
        (slot, stored): (u32, bool),
        takes: bool,
        system: bool,
        output: &mut Output,
    ) {
        if takes {
            self.match_now(command, self.taker(order, slot, stored, system), output);
        } else {
            self.rest_order(command, &order, stored, output);
        }
    }

    /// Matches an order that was accepted just now; `position`: the slot of its owner's position, or [`NONE`]. On its
    /// own, so that orders that rest have a small frame.
    #[inline(never)]
    fn match_accepted(
        &mut self,
        command: &Command,
        order: &Order,
        (slot, position): (u32, u32),
        system: bool,
        output: &mut Output,
    ) {
        let taker = self.taker(*order, slot, false, system);
        self.match_now(command, Taker { position, ..taker }, output);
    }

    /// Matches as far as one command may.
    #[inline(always)]
    fn match_now(&mut self, command: &Command, mut taker: Taker, output: &mut Output) {
        if !self.match_taker(command, &mut taker, &mut Budget::full(), output) {
            self.suspend(command, command.seq, Work::Match(taker), output);
        }
    }

    pub(crate) fn replace_order(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ReplaceOrder = command.payload_as();
        let slot = self.find_order(context.account, request.order, &request.target_key, command.time_ns)?;
        let old = self.state.orders[slot];
        if old.flags & flag::SPECIAL != 0 {
            return self.replace_special(command, context, slot, output);
        }
        let filled = old.total - old.remaining;
        let price = if request.price == 0 { old.price } else { request.price };
        let total = if request.total_lots == 0 { old.total } else { request.total_lots };
        if total <= filled {
            return reject(Code::REPLACE_BELOW_FILLED, filled, total);
        }
        let market = self.market_for_orders(old.market, false)?;
        if market.has_outcomes() {
            return self.replace_outcome(command, context, slot, &request, output);
        }
        let form = PlaceOrder {
            price,
            lots: total - filled,
            side: old.side,
            order_type: old.order_type,
            time_in_force: old.time_in_force,
            order_flags: old.flags & !flag::INTERNAL,
            self_trade_prevention: old.self_trade_prevention,
            expiry_ns: old.expiry_ns,
            ..bytemuck::Zeroable::zeroed()
        };
        check_form(market, &form, command.time_ns, context.system)?;
        if !context.system {
            market.check_band(old.side, price)?;
        }
        let keeps_priority = price == old.price && total <= old.total;
        let fee_cap_e6bp = if keeps_priority { old.fee_cap_e6bp } else { market.parameters.fee_cap_e6bp() };
        let mut order = Order { price, total, remaining: total - filled, fee_cap_e6bp, ..old };
        let (row, reserve) = self.check_risk(&order, 0, Some(&old))?;
        order.reserve = reserve;
        let takes = !keeps_priority && self.check_execution(&order, command.time_ns)?;

        self.hold(&order, row, reserve - old.reserve, output);
        let book = &mut self.state.books[order.market as usize];
        if keeps_priority {
            if old.remaining > order.remaining {
                book.reduce(&mut self.state.orders, slot, old.remaining - order.remaining);
            }
            let stored = &mut self.state.orders[slot];
            stored.total = total;
            stored.reserve = reserve;
            self.track_open(&old, order.remaining - old.remaining);
            emit_order(command, EventKind::OrderReplaced, &order, true, output);
            return Ok(order.id);
        }
        book.remove(&mut self.state.orders, slot);
        self.track_open(&old, -old.remaining);
        order.priority = self.state.next_priority;
        self.state.next_priority += 1;
        emit_order(command, EventKind::OrderReplaced, &order, !takes, output);
        self.detect_order(&order);
        self.match_or_rest(command, order, (slot, true), takes, context.system, output);
        Ok(order.id)
    }

    /// The slot of an order named by id or client key.
    pub(crate) fn find_order(
        &self,
        account: u32,
        id: u64,
        key: &[u8; 16],
        now_ns: i64,
    ) -> Result<u32, Reject> {
        let by_key = |&slot: &u32| self.state.orders[slot].client_key == *key;
        let slot = match id {
            0 if *key == [0; 16] => None,
            0 => {
                let stored = self.cursor.idempotency.value(account, key, now_ns);
                let hit = stored.and_then(|id| self.state.orders.find(id)).filter(by_key);
                hit.or_else(|| self.state.orders.of_account(&self.state.accounts, account).find(by_key))
            }
            id if id >> SLOT_BITS == 0 || id >> SLOT_BITS >= self.state.next_order => None,
            id => match self.state.orders.find(id) {
                None => return reject(Code::ORDER_NOT_OPEN, 0, id as i64),
                found => found,
            },
        };
        match slot {
            None => reject(Code::ORDER_NOT_FOUND, 0, id as i64),
            Some(slot) if self.state.orders[slot].account != account => Err(Code::WRONG_OWNER.into()),
            Some(slot) => Ok(slot),
        }
    }

    /// The market, if it takes orders now; one that closes takes those that only reduce (P2.4.1).
    #[inline]
    pub(super) fn market_for_orders(&self, handle: u32, reduces: bool) -> Result<&Market, Reject> {
        let Some(market) = self.state.markets.list.get(handle as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(handle));
        };
        match market.status {
            // A paused market takes what step 6 of P2.1.3 let through: reductions under PARTIAL.
            status::ACTIVE | status::PAUSED => Ok(market),
            status::CLOSE_ONLY if reduces => Ok(market),
            status::CLOSE_ONLY => Err(Code::MARKET_CLOSE_ONLY.into()),
            other => reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(other)),
        }
    }

    #[inline(always)]
    pub(super) fn check_counts(&self, account: u32, sub: u8, market: u32) -> Result<(), Reject> {
        let all = self.state.accounts.list[account as usize].open_orders;
        // Fewer in all than are allowed in one market: nothing to count.
        if all < MAX_ORDERS_PER_SUB_MARKET {
            return Ok(());
        }
        self.count_orders(account, sub, market, all)
    }

    #[inline(never)]
    fn count_orders(&self, account: u32, sub: u8, market: u32, all: u32) -> Result<(), Reject> {
        let orders = &self.state.orders;
        let here = orders
            .of_account(&self.state.accounts, account)
            .filter(|&slot| orders[slot].market == market && orders[slot].sub == sub)
            .count() as u32;
        if here >= MAX_ORDERS_PER_SUB_MARKET {
            return reject(Code::TOO_MANY_OPEN_ORDERS, i64::from(MAX_ORDERS_PER_SUB_MARKET), i64::from(here));
        }
        if all >= MAX_ORDERS_PER_ACCOUNT {
            return reject(Code::TOO_MANY_OPEN_ORDERS, i64::from(MAX_ORDERS_PER_ACCOUNT), i64::from(all));
        }
        Ok(())
    }

    /// The reserve of an order and the row of balances that it comes from, if `free` plus `credit` (the reserve it
    /// already has) covers it.
    #[inline(always)]
    pub(super) fn secure(&self, order: &Order, credit: i64) -> Result<(usize, i64), Reject> {
        let market = &self.state.markets.list[order.market as usize];
        let (asset, reserve) =
            market.rules().reserve(market, order.side, order.price, order.remaining, order.fee_cap_e6bp)?;
        let accounts = &self.state.accounts;
        // Without a row nothing is free and nothing is held, and no order has a reserve of zero.
        let Some((row, balance)) = accounts.row(order.account, order.sub, asset) else {
            return reject(Code::INSUFFICIENT_BALANCE, 0, reserve - credit);
        };
        let free = balance.lines[line::FREE as usize];
        if reserve - credit > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, reserve - credit);
        }
        Ok((row, reserve))
    }

    /// Moves micro-units from `free` to `held` of an order's owner, in the row that [`Engine::secure`] found.
    #[inline(always)]
    pub(super) fn hold(&mut self, order: &Order, row: usize, amount: i64, output: &mut Output) {
        let balance = self.state.accounts.at_mut(order.account, order.sub, row);
        let owner = (order.account, order.sub);
        post_in_row(balance, &mut output.postings, owner, (line::FREE, line::HELD), amount);
    }

    /// Post-only, fill-or-kill, market and self-trade rules that refuse before anything changes (P2.5.1, P3.4).
    /// Returns whether matching must run.
    #[inline(always)]
    pub(super) fn check_execution(&self, order: &Order, now_ns: i64) -> Result<bool, Reject> {
        let best = self.state.books.of(order).best(1 - order.side);
        let crossing = best.is_some_and(|best| crosses(order.side, order.price, best));
        let tif = order.time_in_force;
        if self.collects(order.market) {
            return self.check_collected(order, crossing).map(|()| false);
        }
        if !crossing && order.order_type != order_type::MARKET && tif != time_in_force::FOK {
            // An IOC order that meets nothing still runs, so that its rest is cancelled with a reason.
            return Ok(tif == time_in_force::IOC);
        }
        self.check_taking(order, best.is_none(), crossing, now_ns)?;
        Ok(true)
    }

    /// What may refuse an order that takes, or that must not.
    #[inline(always)]
    fn check_taking(&self, order: &Order, empty: bool, crossing: bool, now_ns: i64) -> Result<(), Reject> {
        if order.order_type == order_type::MARKET && empty {
            return Err(Code::NO_LIQUIDITY.into());
        }
        if crossing {
            if let Some(live) = self.first_live_crossing(order, now_ns) {
                let passive = order.flags & order_flag::POST_ONLY != 0
                    || self.state.detector.is_slowed(order.account, now_ns);
                if passive {
                    return reject(Code::POST_ONLY_WOULD_TAKE, live.price, order.price);
                }
                if order.self_trade_prevention == stp::CANCEL_NEWEST && live.account == order.account {
                    return reject(Code::SELF_TRADE_PREVENTED, live.id as i64, order.price);
                }
            }
        }
        if order.time_in_force == time_in_force::FOK {
            let feasible = self.feasible_lots(order, now_ns);
            if feasible < order.remaining {
                return reject(Code::FOK_NOT_FILLABLE, feasible, order.remaining);
            }
        }
        Ok(())
    }

    /// The first resting order that `order` would meet and that has not expired.
    #[inline(always)]
    pub(super) fn first_live_crossing(&self, order: &Order, now_ns: i64) -> Option<&Order> {
        let first = &self.state.orders[self.state.books.of(order).first(1 - order.side)?];
        if first.expiry_ns == 0 && crosses(order.side, order.price, first.price) {
            return Some(first);
        }
        self.find_live_crossing(order, now_ns)
    }

    #[inline(never)]
    fn find_live_crossing(&self, order: &Order, now_ns: i64) -> Option<&Order> {
        let book = self.state.books.of(order);
        let mut slot = book.first(1 - order.side);
        let mut looked_at = 0;
        while let Some(present) = slot {
            let resting = &self.state.orders[present];
            if !crosses(order.side, order.price, resting.price) {
                return None;
            }
            // Beyond the bound an expired order counts as live: the refusal is safe, an unbounded search is not.
            let expired = resting.expiry_ns != 0 && resting.expiry_ns <= now_ns;
            if !expired || looked_at == CANCELS_PER_COMMAND {
                return Some(resting);
            }
            looked_at += 1;
            slot = book.following(&self.state.orders, present);
        }
        None
    }

    #[inline(always)]
    pub(super) fn taker(&self, order: Order, slot: u32, stored: bool, system: bool) -> Taker {
        let (low, high) = if system { None } else { self.band_of(&order) }.unwrap_or((1, MAX_PRICE));
        Taker {
            order,
            slot,
            position: NONE,
            stored,
            low,
            high,
            liquidates: false,
            print_price: 0,
            taken_value: 0,
        }
    }

    #[inline]
    pub(crate) fn has_outcomes(&self, market: u32) -> bool {
        self.state.markets.list[market as usize].has_outcomes()
    }

    #[inline]
    pub(crate) fn is_leveraged(&self, market: u32) -> bool {
        self.state.markets.list[market as usize].kind == kind::PERPETUAL
    }

    /// Counts lots of a resting order of a leveraged market in (negative: out) for its owner's margin.
    #[inline(always)]
    pub(crate) fn track_open(&mut self, order: &Order, lots: i64) {
        if self.is_leveraged(order.market) {
            self.state.perps.track(&mut self.state.accounts, order, lots);
        }
    }

    /// Counts lots of a resting order out; the record of a position goes when it holds nothing any more.
    #[inline(always)]
    pub(crate) fn untrack(&mut self, order: &Order, lots: i64) {
        if self.is_leveraged(order.market) {
            self.state.perps.track(&mut self.state.accounts, order, -lots);
            self.forget_position(order);
        }
    }

    /// Drops the record of an order's position if it holds neither lots nor orders.
    #[inline]
    pub(crate) fn forget_position(&mut self, order: &Order) {
        let key = (order.account, order.sub, order.market);
        self.state.perps.drop_if_empty(&mut self.state.accounts, key);
    }

    /// Keeps the leverage that an accepted order chose for its position.
    pub(super) fn choose_leverage(
        &mut self,
        command: &Command,
        order: &Order,
        leverage_e2: u32,
        output: &mut Output,
    ) {
        if !self.is_leveraged(order.market) {
            return;
        }
        let (account, sub, market) = (order.account, order.sub, order.market);
        let slot = self.state.perps.open(&mut self.state.accounts, account, sub, market);
        let position = self.state.perps.at_mut(slot);
        if position.leverage_e2 != leverage_e2 {
            position.leverage_e2 = leverage_e2;
            let before_lots = position.lots;
            let side = Side { slot, before_lots, realised: 0, funding_paid: 0, leaving: [0; 2] };
            self.emit_position(command, &side, position_cause::LEVERAGE, output);
        }
    }

    /// Puts an order into its book; `stored` when it never left the store (replace).
    #[inline]
    pub(crate) fn rest(&mut self, order: &Order, stored: bool) {
        let slot = if stored {
            let slot = self.state.orders.find(order.id).expect("a replaced order stays in the store");
            let kept = &mut self.state.orders[slot];
            let links = (kept.account_previous, kept.account_next);
            *kept = *order;
            (kept.account_previous, kept.account_next) = links;
            slot
        } else {
            if order.expiry_ns != 0 {
                self.state.due.insert((order.expiry_ns, due::ORDER_EXPIRY, order.id));
            }
            self.state.orders.insert(&mut self.state.accounts, order)
        };
        self.track_open(order, order.remaining);
        self.note_improvement(slot);
        let is_best = self.state.books.of_mut(order).insert(&mut self.state.orders, slot);
        // Only the best prices enter the reference; a replaced order may have left one and rest behind it.
        if stored || is_best {
            self.touch_reference(order.market, order.line());
        }
    }

    /// Recomputes the reference after the book or the last price changed.
    #[inline]
    pub(crate) fn touch_reference(&mut self, market: u32, line: u8) {
        if self.is_leveraged(market) {
            // Its reference is the index, and its mark follows the book with the next Tick.
            return self.state.perps.set_stale(market);
        }
        if self.collects(market) {
            // The auction's reference is that of the moment of the halt; a crossed book says nothing about the price.
            return;
        }
        if line != 0 {
            return self.touch_line(market, line);
        }
        let book = &self.state.books[market as usize];
        let (bid, ask) = (book.best(side::BUY), book.best(side::SELL));
        self.state.markets.list[market as usize].update_reference(bid, ask);
    }
}

pub(crate) fn subject(order: &Order) -> Subject {
    Subject { market: order.market, account: order.account, sub: order.sub, order: order.id }
}

/// Emits an event that shows the whole order.
#[inline(always)]
pub(crate) fn emit_order(
    command: &Command,
    kind: EventKind,
    order: &Order,
    resting: bool,
    output: &mut Output,
) {
    let body = OrderBody {
        side: order.side,
        order_type: order.order_type,
        time_in_force: order.time_in_force,
        self_trade_prevention: order.self_trade_prevention,
        order_flags: order.flags & !flag::INTERNAL,
        outcome: order.outcome,
        resting: u8::from(resting),
        price: order.price,
        total_lots: order.total,
        remaining_lots: order.remaining,
        expiry_ns: order.expiry_ns,
        reserve: order.reserve,
        priority: order.priority,
        client_key: order.client_key,
    };
    output.emit(command, kind, subject(order), &body);
}
