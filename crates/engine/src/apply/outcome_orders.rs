//! Orders in outcome markets (protocol P2.4, P3.5): the form in terms of the outcome that the owner named, the book in
//! terms of outcome 0 when there are only two.

use super::order_form::{check_type, check_value, slippage_bp};
use super::orders::{emit_order, subject};
use super::sets::trades_in_sets;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_between};
use crate::limits::{CLAIMS_ROOM, MAX_LOTS, MAX_OPEN_ORDERS, RESOLUTION_BUFFER_NS};
use crate::market::{median, Market};
use crate::order::{flag, Order};
use crate::output::Output;
use crate::wire::command::{order_flag, order_type, side, Command, PlaceOrder, ReplaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{cancel_reason, claims_cause, CancelBody, EventKind};

impl<B: Book> Engine<B> {
    /// A plain order; its market and outcome are checked.
    #[inline(never)]
    pub(super) fn place_outcome(
        &mut self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let price = self.outcome_form(request, command.time_ns, context.system)?;
        if !context.system {
            self.check_outcome_band(request.market, request.outcome, request.side, price)?;
            self.check_counts(context.account, command.sub, request.market)?;
        }
        if self.state.orders.len() >= MAX_OPEN_ORDERS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_OPEN_ORDERS as i64, self.state.orders.len() as i64);
        }
        if self.state.claims.len() >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, self.state.claims.len() as i64);
        }
        let given = self.new_order(command, context, request, price);
        let mut order = self.in_book_terms(given);
        order.reserve = self.secure_outcome(&order, 0)?;
        let takes = self.check_outcome_execution(&order, command.time_ns)?;

        let slot = self.take_id(&mut order);
        self.hold_quote(&order, order.reserve, output);
        self.emit_given(command, EventKind::OrderAccepted, &order, !takes, output);
        self.hold_claims(command, &order, order.reserve, output);
        self.detect_order(&order);
        self.match_or_rest(command, order, (slot, false), takes, context.system, output);
        Ok(order.id)
    }

    /// As [`Engine::replace_order`], for an order that was found.
    #[inline(never)]
    pub(super) fn replace_outcome(
        &mut self,
        command: &Command,
        context: Context,
        slot: u32,
        request: &ReplaceOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let old = self.state.orders[slot];
        let given = self.given(&old);
        let filled = old.total - old.remaining;
        let price = if request.price == 0 { given.price } else { request.price };
        let total = if request.total_lots == 0 { old.total } else { request.total_lots };
        let form = PlaceOrder {
            market: old.market,
            outcome: old.outcome,
            price,
            lots: total - filled,
            side: given.side,
            order_type: old.order_type,
            time_in_force: old.time_in_force,
            order_flags: old.flags & !flag::INTERNAL,
            self_trade_prevention: old.self_trade_prevention,
            expiry_ns: old.expiry_ns,
            ..bytemuck::Zeroable::zeroed()
        };
        self.outcome_form(&form, command.time_ns, context.system)?;
        if !context.system {
            self.check_outcome_band(old.market, old.outcome, given.side, price)?;
        }
        let market = &self.state.markets.list[old.market as usize];
        let keeps_priority = price == given.price && total <= old.total;
        let fee_cap_e6bp = if keeps_priority { old.fee_cap_e6bp } else { market.parameters.fee_cap_e6bp() };
        let plain = Order { flags: old.flags & !flag::FLIPPED, ..given };
        let changed = Order { price, total, remaining: total - filled, fee_cap_e6bp, ..plain };
        let mut order = self.in_book_terms(changed);
        order.reserve = self.secure_outcome(&order, old.reserve)?;
        let takes = !keeps_priority && self.check_outcome_execution(&order, command.time_ns)?;

        let more = order.reserve - old.reserve;
        self.hold_quote(&order, more, output);
        let book = self.state.books.of_mut(&order);
        if keeps_priority {
            if old.remaining > order.remaining {
                book.reduce(&mut self.state.orders, slot, old.remaining - order.remaining);
            }
            let stored = &mut self.state.orders[slot];
            (stored.total, stored.reserve) = (total, order.reserve);
            self.emit_given(command, EventKind::OrderReplaced, &order, true, output);
            self.hold_claims(command, &order, more, output);
            return Ok(order.id);
        }
        book.remove(&mut self.state.orders, slot);
        order.priority = self.state.next_priority;
        self.state.next_priority += 1;
        self.emit_given(command, EventKind::OrderReplaced, &order, !takes, output);
        self.hold_claims(command, &order, more, output);
        self.detect_order(&order);
        self.match_or_rest(command, order, (slot, true), takes, context.system, output);
        Ok(order.id)
    }

    /// P2.4.1 (buffer) to P2.4.4; returns the limit in ticks of the outcome that the order names.
    pub(super) fn outcome_form(
        &self,
        request: &PlaceOrder,
        now_ns: i64,
        system: bool,
    ) -> Result<i64, Reject> {
        let market = &self.state.markets.list[request.market as usize];
        let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        if now_ns >= last_ns {
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, now_ns);
        }
        // The books of a categorical market know no call auction: while it is halted they take nothing.
        if market.outcome_count > 2 && self.collects(request.market) {
            return reject(Code::BREAKER_ACTIVE, 0, i64::from(request.market));
        }
        if !(1..=MAX_LOTS).contains(&request.lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
        }
        let is_market = request.order_type == order_type::MARKET;
        let price = if is_market { self.outcome_protection(market, request)? } else { request.price };
        let highest = market.payout_ticks() - 1;
        let in_domain = (1..=highest).contains(&price);
        // Claims of any worth may be sold.
        if in_domain && !system && request.order_flags & order_flag::REDUCE_ONLY == 0 {
            check_value(market, price, request.lots)?;
        }
        check_type(request, now_ns, false)?;
        if is_market && request.price != 0 {
            return reject(Code::MARKET_ORDER_HAS_PRICE, 0, request.price);
        }
        if !in_domain {
            return reject(Code::INVALID_PRICE, highest, price);
        }
        Ok(price)
    }

    /// The limit of a market order: the reference and the absolute slippage, rounded inward (P2.4.4).
    fn outcome_protection(&self, market: &Market, request: &PlaceOrder) -> Result<i64, Reject> {
        let slippage = market.ticks_of_bp(slippage_bp(market, request.slippage_bp)?);
        if request.side > side::SELL {
            return reject(Code::INVALID_ORDER_TYPE, i64::from(side::SELL), i64::from(request.side));
        }
        let Some(reference) = self.given_reference(request.market, request.outcome) else {
            return Err(Code::NO_LIQUIDITY.into());
        };
        Ok(match request.side {
            side::BUY => (reference + slippage).min(market.payout_ticks() - 1),
            _ => (reference - slippage).max(1),
        })
    }

    /// P2.4.5: buy at most the absolute band above the reference, sell at most as much below it.
    ///
    /// # Errors
    /// `PRICE_TOO_HIGH`, `PRICE_TOO_LOW` with the bound, in ticks of the outcome.
    pub(super) fn check_outcome_band(
        &self,
        handle: u32,
        outcome: u8,
        given_side: u8,
        price: i64,
    ) -> Result<(), Reject> {
        let market = &self.state.markets.list[handle as usize];
        let Some(reference) = self.given_reference(handle, outcome) else { return Ok(()) };
        let band = market.ticks_of_bp(market.parameters.band_bp);
        if given_side == side::BUY {
            let high = (reference + band).min(market.payout_ticks() - 1);
            if price > high {
                return reject(Code::PRICE_TOO_HIGH, high, price);
            }
        } else {
            let low = (reference - band).max(1);
            if price < low {
                return reject(Code::PRICE_TOO_LOW, low, price);
            }
        }
        Ok(())
    }

    /// The prices at which an order may trade now, in terms of its book; None without a reference.
    #[inline(always)]
    pub(super) fn band_of(&self, order: &Order) -> Option<(i64, i64)> {
        let market = &self.state.markets.list[order.market as usize];
        if !market.has_outcomes() {
            return market.band(order.side);
        }
        let highest = market.payout_ticks() - 1;
        let reference = match order.line() {
            0 => market.reference,
            line => self.state.books.reference(order.market, line),
        };
        let band = market.ticks_of_bp(market.parameters.band_bp);
        match (reference, order.side) {
            (0, _) => Some((1, highest)),
            (reference, side::BUY) => Some((1, (reference + band).min(highest))),
            (reference, _) => Some(((reference - band).max(1), highest)),
        }
    }

    /// The line of a market on which an outcome trades.
    fn line_of(&self, market: u32, outcome: u8) -> u8 {
        match self.state.markets.list.get(market as usize) {
            Some(entry) if entry.outcome_count > 2 => outcome,
            _ => 0,
        }
    }

    /// Number of books of a market.
    pub(super) fn lines(&self, market: u32) -> u8 {
        match self.state.markets.list[market as usize].outcome_count {
            count if count > 2 => count,
            _ => 1,
        }
    }

    /// The reference of the book on which an outcome trades; 0 = none.
    pub(super) fn reference_of(&self, market: u32, outcome: u8) -> i64 {
        match self.line_of(market, outcome) {
            0 => self.state.markets.list.get(market as usize).map_or(0, |market| market.reference),
            line => self.state.books.reference(market, line),
        }
    }

    /// Puts back the reference of an order's book.
    pub(super) fn set_reference(&mut self, order: &Order, reference: i64) {
        match order.line() {
            0 => self.state.markets.list[order.market as usize].reference = reference,
            line => self.state.books.line_mut(order.market, line).reference = reference,
        }
    }

    /// The reference in terms of the outcome.
    pub(super) fn given_reference(&self, market: u32, outcome: u8) -> Option<i64> {
        let reference = Some(self.reference_of(market, outcome)).filter(|&reference| reference != 0)?;
        let entry = &self.state.markets.list[market as usize];
        let flips = entry.outcome_count == 2 && outcome == 1;
        Some(if flips { entry.payout_ticks() - reference } else { reference })
    }

    /// Recomputes the reference of a further outcome's book.
    #[cold]
    pub(super) fn touch_line(&mut self, market: u32, line: u8) {
        let entry = self.state.books.line_mut(market, line);
        let (bid, ask) = (entry.book.best(side::BUY), entry.book.best(side::SELL));
        entry.reference = median(bid, ask, entry.last_price);
    }

    /// An order as its owner gave it, as its book shows it: buying outcome 1 of two at p is selling outcome 0 at T − p.
    pub(super) fn in_book_terms(&self, given: Order) -> Order {
        let market = &self.state.markets.list[given.market as usize];
        if market.outcome_count != 2 || given.outcome != 1 {
            return given;
        }
        let price = market.payout_ticks() - given.price;
        Order { side: 1 - given.side, price, flags: given.flags | flag::FLIPPED, ..given }
    }

    /// An order in terms of the outcome that its owner named.
    pub(super) fn given(&self, order: &Order) -> Order {
        if order.flags & flag::FLIPPED == 0 {
            return *order;
        }
        let ticks = self.state.markets.list[order.market as usize].payout_ticks();
        Order { side: 1 - order.side, price: ticks - order.price, ..*order }
    }

    /// Side, price and book of an order that is about to be placed.
    pub(super) fn placed_in(&self, request: &PlaceOrder) -> (Option<&B>, u8, i64) {
        let known = self.state.markets.list.get(request.market as usize);
        let (side, price) = (request.side, request.price);
        match known {
            None => (None, side, price),
            Some(market) if !market.has_outcomes() || request.outcome >= market.outcome_count => {
                (self.state.books.get(request.market as usize), side, price)
            }
            Some(market) if market.outcome_count == 2 && request.outcome == 1 => {
                let flipped = market.payout_ticks().saturating_sub(price);
                (self.state.books.get(request.market as usize), 1 - (side & 1), flipped)
            }
            Some(_) => {
                let line = self.line_of(request.market, request.outcome);
                (Some(self.state.books.at(request.market, line)), side, price)
            }
        }
    }

    /// What secures an order, if its owner has it beside `credit`, what secures it already.
    ///
    /// # Errors
    /// `INSUFFICIENT_BALANCE` in micro-quote, `INSUFFICIENT_SHARES` in micro-shares.
    pub(super) fn secure_outcome(&self, order: &Order, credit: i64) -> Result<i64, Reject> {
        let market = &self.state.markets.list[order.market as usize];
        let reserve = self.outcome_reserve(order, order.remaining)?;
        let (account, sub) = (order.account, order.sub);
        if order.given_side() == side::BUY {
            let free = self.state.accounts.balance(account, sub, market.quote, line::FREE);
            if reserve - credit > free {
                return reject(Code::INSUFFICIENT_BALANCE, free, reserve - credit);
            }
            return Ok(reserve);
        }
        let free = self.state.claims.free(account, sub, order.market, order.outcome);
        if reserve - credit > free {
            return reject(Code::INSUFFICIENT_SHARES, free, reserve - credit);
        }
        Ok(reserve)
    }

    /// What must secure `lots` of an order: micro-quote of a purchase, micro-shares of a sale.
    pub(super) fn outcome_reserve(&self, order: &Order, lots: i64) -> Result<i64, Reject> {
        let market = &self.state.markets.list[order.market as usize];
        if order.given_side() == side::BUY {
            return market.outcome_reserve(self.given(order).price, lots, order.fee_cap_e6bp);
        }
        lots.checked_mul(market.lot_size).ok_or(Code::MATH_OVERFLOW.into())
    }

    /// As [`Engine::check_execution`]; a refusal names prices of the outcome.
    pub(super) fn check_outcome_execution(&self, order: &Order, now_ns: i64) -> Result<bool, Reject> {
        let market = &self.state.markets.list[order.market as usize];
        let ticks = market.payout_ticks();
        let in_sets = trades_in_sets(market, order);
        let takes = self.check_execution(order, now_ns).map_err(|refusal| {
            let priced = matches!(refusal.code, Code::POST_ONLY_WOULD_TAKE | Code::SELF_TRADE_PREVENTED);
            if !priced || order.flags & flag::FLIPPED == 0 {
                return refusal;
            }
            let bound = match refusal.code {
                Code::POST_ONLY_WOULD_TAKE => ticks - refusal.bound,
                _ => refusal.bound,
            };
            Reject::new(refusal.code, bound, ticks - refusal.given)
        })?;
        if in_sets {
            return self.check_set_execution(order, takes, now_ns);
        }
        Ok(takes)
    }

    /// Moves what secures a purchase from `free` to `held`.
    pub(super) fn hold_quote(&mut self, order: &Order, amount: i64, output: &mut Output) {
        if order.given_side() == side::BUY {
            let quote = self.state.markets.list[order.market as usize].quote;
            let (owner, lines) = ((order.account, order.sub), (line::FREE, line::HELD));
            post_between(&mut self.state.accounts, &mut output.postings, owner, quote, lines, amount);
        }
    }

    /// Moves the claims that secure a sale from free to held, and says so behind the order's event.
    pub(super) fn hold_claims(&mut self, command: &Command, order: &Order, amount: i64, output: &mut Output) {
        if order.given_side() == side::SELL && amount != 0 {
            let moved = (-amount, amount);
            self.move_claims(command, &subject(order), order.outcome, moved, claims_cause::ORDER, output);
        }
    }

    /// As [`Engine::release`].
    #[inline(never)]
    pub(super) fn release_outcome(
        &mut self,
        command: &Command,
        order: &Order,
        reason: u8,
        output: &mut Output,
    ) {
        self.hold_quote(order, -order.reserve, output);
        let given = self.given(order);
        let body = CancelBody {
            reason,
            side: given.side,
            reserved: 0,
            reserved2: 0,
            price: given.price,
            remaining_lots: order.remaining,
            released: order.reserve,
            filled_lots: order.total - order.remaining,
        };
        debug_assert!(reason >= cancel_reason::USER);
        output.emit(command, EventKind::OrderCancelled, subject(order), &body);
        self.hold_claims(command, order, -order.reserve, output);
    }

    /// Emits an event that shows the whole order as its owner gave it.
    #[inline(always)]
    pub(super) fn emit_given(
        &self,
        command: &Command,
        kind: EventKind,
        order: &Order,
        resting: bool,
        output: &mut Output,
    ) {
        if order.flags & flag::FLIPPED == 0 {
            return emit_order(command, kind, order, resting, output);
        }
        self.emit_flipped(command, kind, order, resting, output);
    }

    #[inline(never)]
    fn emit_flipped(
        &self,
        command: &Command,
        kind: EventKind,
        order: &Order,
        resting: bool,
        output: &mut Output,
    ) {
        emit_order(command, kind, &self.given(order), resting, output);
    }
}
