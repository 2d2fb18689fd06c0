//! Events of orders and fills: I06, I07, I11 and the facts of an order's life (I26).

use super::book::{Order, BUY, NONE};
use super::fault::{ensure, Check};
use super::ledger::{FREE, HELD};
use super::loans::FIRST_PLEDGE;
use super::perpetual::PERPETUAL;
use super::records::{check_movements, Movement};
use super::specials::{secured_while_waiting, waits};
use super::{Auditor, Market};
use crate::roles::SYSTEM;
use crate::wire::command::{order_flag, order_type};
use crate::wire::event::{CancelBody, Event, EventKind, OrderBody, Posting, PreventedBody, TradeBody};

/// Fee rates are stored in 1e-6 bp; 10^10 of them are the whole.
const RATE_SCALE: u128 = 10_000_000_000;

pub fn fee_ceil(amount: i64, rate_e6bp: u32) -> i64 {
    let product = amount as u128 * u128::from(rate_e6bp);
    match u64::try_from(product) {
        Ok(small) => small.div_ceil(RATE_SCALE as u64) as i64,
        Err(_) => product.div_ceil(RATE_SCALE) as i64,
    }
}

impl Market {
    pub(super) fn value(&self, price: i64, lots: i64) -> Check<i64> {
        let value = price as i128 * lots as i128 * self.unit as i128;
        ensure!(
            (0..=i128::from(i64::MAX)).contains(&value),
            "I20",
            "{price} ticks × {lots} lots is out of range"
        );
        Ok(value as i64)
    }

    /// What must secure `lots`: quote with the worst fee for a buy, base for a sell; in a leveraged market nothing.
    pub(super) fn reserve(&self, side: u8, price: i64, lots: i64, fee_cap_e6bp: u32) -> Check<i64> {
        if self.kind == PERPETUAL {
            return Ok(0);
        }
        debug_assert!(!self.has_outcomes(), "orders of outcome markets are secured by their own rule");
        if side == BUY {
            let value = self.value(price, lots)?;
            return Ok(value + fee_ceil(value, fee_cap_e6bp));
        }
        let base = lots as i128 * self.lot_size as i128;
        ensure!((0..=i128::from(i64::MAX)).contains(&base), "I20", "{lots} lots are out of range");
        Ok(base as i64)
    }

    /// What must secure `lots` of an order.
    pub(super) fn reserve_of(&self, order: &Order, lots: i64) -> Check<i64> {
        if self.has_outcomes() {
            return self.outcome_reserve(order, lots);
        }
        self.reserve(order.side, order.price, lots, order.fee_cap_e6bp)
    }

    pub(super) fn reserve_asset(&self, side: u8) -> u16 {
        if side == BUY {
            self.quote
        } else {
            self.base
        }
    }
}

impl Auditor {
    #[inline]
    pub(super) fn check_order(&mut self, kind: EventKind, event: &Event) -> Check {
        match kind {
            EventKind::OrderAccepted => self.order_accepted(event),
            EventKind::OrderRested => self.order_rested(event),
            EventKind::OrderCancelled => self.order_cancelled(event),
            EventKind::OrderReplaced => self.order_replaced(event),
            _ => self.self_trade_prevented(event),
        }
    }

    fn order_accepted(&mut self, event: &Event) -> Check {
        let body: OrderBody = event.body_as();
        // A liquidation goes on where orders are only collected (P7.5); what waits for a price is in no book.
        let offered = self.check_offer(event, &body)?;
        let of_fund = self.liquidations.fund == Some(event.account);
        if self.tiers.burn.account == Some(event.account) {
            self.check_burner_order(event, &body)?;
        }
        if of_fund {
            self.check_fund_order(event, &body)?;
        }
        let of_pledge = event.sub >= FIRST_PLEDGE && self.loans.begins_sale(event);
        let is_sale = offered || of_pledge || self.is_sale(event, body.price, body.total_lots);
        let market = if is_sale {
            self.check_sale_in_halt(event.market)?
        } else {
            let only_closes =
                || self.only_closes((event.account, event.sub, event.market), body.side, body.total_lots);
            self.check_takes_risk(event.market, body.order_flags).or_else(|fault| match only_closes() {
                true => self.check_takes_risk(event.market, body.order_flags | order_flag::REDUCE_ONLY),
                false => Err(fault),
            })?
        };
        if !is_sale && !waits(body.order_type) {
            self.check_collected(event, &body)?;
        }
        if market.kind == PERPETUAL && !is_sale {
            let lots = body.total_lots;
            self.check_feed_takes(
                (event.account, event.sub, event.market),
                body.order_flags,
                (body.side, lots),
            )?;
        }
        ensure!(body.side <= 1, "I26", "order {} has side {}", event.order, body.side);
        let (book, flipped) = self.place_in_book(&market, event, body.outcome, body.price)?;
        let on_claims = market.has_outcomes() && body.side != BUY;
        // Leveraged positions and credits close a short by buying the outcome back (P4.6.1, P15.10).
        let bought_back = event.sub >= FIRST_PLEDGE;
        let reduces = body.order_flags & order_flag::REDUCE_ONLY != 0;
        ensure!(
            !reduces || on_claims || bought_back || !market.has_outcomes(),
            "I25",
            "order {} only reduces and buys claims",
            event.order
        );
        let body = market.in_book_terms(&body);
        ensure!(body.remaining_lots == body.total_lots, "I26", "order {} starts partly filled", event.order);
        ensure!(body.total_lots > 0 && body.price > 0, "I26", "order {} has no size or price", event.order);
        let parked = waits(body.order_type);
        ensure!(!parked || body.resting == 0, "I06", "order {} waits and rests", event.order);
        let secured = if parked && !secured_while_waiting(&market, &body) { 0 } else { body.total_lots };
        let balance = self.ledger.slot(event.account, event.sub, market.reserve_asset(body.side));
        let mut order = Order {
            id: event.order,
            priority: body.priority,
            price: body.price,
            total: body.total_lots,
            remaining: body.remaining_lots,
            account: event.account,
            market: event.market,
            // What sells the claims of a loan pays the fee of the book as anybody does.
            fee_cap_e6bp: if is_sale && !of_pledge || of_fund { 0 } else { market.fee_cap_e6bp() },
            balance,
            book,
            sub: event.sub,
            side: body.side,
            outcome: body.outcome,
            flipped,
            on_claims,
            kind: body.order_type,
            flags: body.order_flags,
            offered,
            ..Order::EMPTY
        };
        order.reserve = market.reserve_of(&order, secured)?;
        ensure!(
            body.reserve == order.reserve,
            "I07",
            "order {} reserves {}, not {}",
            event.order,
            body.reserve,
            order.reserve
        );
        let slot = self.books.open(&order)?;
        self.books.park(slot, parked);
        if body.order_flags & order_flag::BRACKET != 0 {
            self.books.hide(slot, body.total_lots);
        }
        // Principals with SYSTEM mirror whole books; the order counts bind everybody else.
        if self.books.is_near_bound(event.account) && !self.records.holds(&self.principal, SYSTEM) {
            self.books.check_counts(event.account, event.sub, event.market)?;
        }
        self.secure(&order, order.reserve);
        if !parked {
            self.check_acting(slot, body.total_lots)?;
        }
        if body.resting == 1 {
            self.books.rest(slot, body.priority)?;
        }
        Ok(())
    }

    fn order_rested(&mut self, event: &Event) -> Check {
        let body: OrderBody = event.body_as();
        let slot = self.books.find(event.order)?;
        let order = self.books.orders[slot as usize];
        ensure!(!order.rests(), "I26", "order {} rests twice", order.id);
        let body = self.market(order.market)?.in_book_terms(&body);
        self.check_body(&order, event, &body)?;
        self.books.rest(slot, body.priority)
    }

    /// What an order event shows must be what the events before it made of the order.
    pub(super) fn check_body(&self, order: &Order, event: &Event, body: &OrderBody) -> Check {
        let same = order.price == body.price
            && order.total == body.total_lots
            && order.remaining == body.remaining_lots
            && order.side == body.side
            && (order.account, order.sub, order.market) == (event.account, event.sub, event.market);
        ensure!(same, "I26", "order {} differs from what its events made of it: {body:?}", order.id);
        ensure!(
            order.reserve == body.reserve,
            "I07",
            "order {} reserves {}, not {}",
            order.id,
            body.reserve,
            order.reserve
        );
        Ok(())
    }

    fn order_replaced(&mut self, event: &Event) -> Check {
        let body: OrderBody = event.body_as();
        let slot = self.books.find(event.order)?;
        let old = self.books.orders[slot as usize];
        ensure!(old.rests() || old.parked, "I26", "order {} is replaced before it rests", old.id);
        ensure!(!old.offered, "I10", "order {} of a liquidation is replaced", old.id);
        let body = self.market(old.market)?.in_book_terms(&body);
        let may_keep = body.price == old.price && body.total_lots <= old.total;
        let keeps = body.priority == old.priority;
        ensure!(keeps == may_keep, "I06", "order {} keeps its priority against the rule of P3.2", old.id);
        let more = if old.parked { body.total_lots } else { body.total_lots - old.total };
        let owner = (old.account, old.sub, old.market);
        let market = self.check_takes_risk(old.market, body.order_flags).or_else(|fault| {
            match self.only_closes(owner, old.side, more) {
                true => self.check_takes_risk(old.market, body.order_flags | order_flag::REDUCE_ONLY),
                false => Err(fault),
            }
        })?;
        self.check_collected(event, &body)?;
        if market.kind == PERPETUAL {
            self.check_feed_takes(owner, old.flags, (old.side, more))?;
        }
        let fee_cap_e6bp = if keeps { old.fee_cap_e6bp } else { market.fee_cap_e6bp() };
        let remaining = old.remaining + (body.total_lots - old.total);
        ensure!(remaining > 0, "I26", "order {} is replaced by nothing", old.id);
        let secured = if old.parked && old.reserve == 0 { 0 } else { remaining };
        let changed = Order { price: body.price, fee_cap_e6bp, ..old };
        let reserve = market.reserve_of(&changed, secured)?;
        if keeps {
            ensure!(
                (body.resting == 1) != old.parked,
                "I06",
                "order {} keeps its priority and does not rest",
                old.id
            );
            self.books.shrink(slot, remaining);
        } else if !old.parked {
            self.books.lift(slot);
            self.books.hide(slot, 0);
        }
        let order = &mut self.books.orders[slot as usize];
        (order.price, order.total, order.remaining) = (body.price, body.total_lots, remaining);
        (order.reserve, order.fee_cap_e6bp) = (reserve, fee_cap_e6bp);
        if old.parked {
            order.priority = body.priority;
        }
        let order = *order;
        self.secure(&order, reserve - old.reserve);
        self.check_body(&order, event, &body)?;
        if !keeps && !old.parked {
            self.check_acting(slot, remaining)?;
        }
        if !keeps && !old.parked && body.resting == 1 {
            self.books.rest(slot, body.priority)?;
        }
        Ok(())
    }

    fn order_cancelled(&mut self, event: &Event) -> Check {
        let mut body: CancelBody = event.body_as();
        self.work.cancels += 1;
        let slot = self.books.find(event.order)?;
        let order = self.books.orders[slot as usize];
        if order.flipped {
            let ticks = self.market(order.market)?.payout_ticks();
            (body.side, body.price) = (1 - (body.side & 1), ticks - body.price);
        }
        let same = order.remaining == body.remaining_lots
            && order.price == body.price
            && order.side == body.side
            && (order.account, order.sub, order.market) == (event.account, event.sub, event.market);
        ensure!(same, "I26", "order {} is cancelled as {body:?}", order.id);
        ensure!(
            order.filled == body.filled_lots,
            "I26",
            "order {} is cancelled with {} filled lots, {} traded",
            order.id,
            body.filled_lots,
            order.filled
        );
        ensure!(
            order.reserve == body.released,
            "I07",
            "order {} releases {}, its reserve is {}",
            order.id,
            body.released,
            order.reserve
        );
        self.check_cancel_in_halt(event, &body)?;
        if order.rests() {
            self.books.lift(slot);
        }
        self.close_order(slot);
        self.secure(&order, -order.reserve);
        Ok(())
    }

    /// Forgets an order that is over and what was special about it.
    pub(super) fn close_order(&mut self, slot: u32) {
        self.books.close(slot);
        if !self.specials.is_empty() {
            self.specials.remove(&self.books.orders[slot as usize].id);
        }
    }

    /// A fill: both orders shrink, the amounts follow from price, lots and rates, and nothing else moves.
    pub(super) fn trade(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: TradeBody = event.body_as();
        self.work.fills += 1;
        self.note_made(event, &body);
        let (taker_slot, maker_slot) = (self.books.find(event.order)?, self.books.find(body.maker_order)?);
        let (taker, maker) = (self.books.orders[taker_slot as usize], self.books.orders[maker_slot as usize]);
        let in_auction = self.check_trade_in_halt(event, &body, maker.offered)?;
        self.check_pair(&taker, &maker, event, &body, in_auction)?;
        self.books.check_is_next(maker_slot)?;
        if in_auction {
            self.books.check_is_next(taker_slot)?;
        }
        let market = *self.market(taker.market)?;
        if market.kind == super::outcome::OUTCOME {
            self.early.note(taker.market, body.outcome, body.price, self.time_ns);
        }
        if market.kind == PERPETUAL {
            return self.perpetual_trade(event, &body, (taker_slot, maker_slot), postings);
        }
        if market.has_outcomes() {
            return self.outcome_trade(event, &body, (taker_slot, maker_slot), postings);
        }
        // A slice is secured by itself, everything else as a whole.
        let slice = if taker.kind == order_type::TWAP { taker.shown() } else { taker.remaining };
        let taker_left = market.reserve(taker.side, taker.price, slice - body.lots, taker.fee_cap_e6bp)?;
        let maker_left =
            market.reserve(maker.side, maker.price, maker.remaining - body.lots, maker.fee_cap_e6bp)?;
        let (taker_freed, maker_freed) = (taker.reserve - taker_left, maker.reserve - maker_left);
        let value = market.value(body.price, body.lots)?;
        let limited = |order: &Order, freed: i64, whole: i64| match order.side {
            BUY => whole.min(freed - value),
            _ => whole,
        };
        let fee = |order: &Order, freed: i64, rate: u32| {
            limited(order, freed, fee_ceil(value, rate.min(order.fee_cap_e6bp)))
        };
        let elastic = self.elastic_fees(&market, value, (&taker, &maker), &body)?;
        let (taker_fee, maker_fee) = match elastic {
            Some((whole, rebate)) => (limited(&taker, taker_freed, whole), rebate),
            None => (
                fee(&taker, taker_freed, market.taker_fee_e6bp),
                fee(&maker, maker_freed, market.maker_fee_e6bp),
            ),
        };
        ensure!(
            (body.notional, body.taker_fee, body.maker_fee) == (value, taker_fee, maker_fee),
            "I11",
            "fill of {} lots at {}: notional and fees are {}, {}, {}, not {value}, {taker_fee}, {maker_fee}",
            body.lots,
            body.price,
            body.notional,
            body.taker_fee,
            body.maker_fee
        );
        let (buyer, seller, unheld, buyer_fee, seller_fee) = if taker.side == BUY {
            (&taker, &maker, taker_freed, taker_fee, maker_fee)
        } else {
            (&maker, &taker, maker_freed, maker_fee, taker_fee)
        };
        let fees = (buyer_fee, seller_fee);
        let parts = self.fee_movements(market.quote, taker_fee + maker_fee);
        let movements = fill_movements(&market, &body, (buyer, seller), unheld, (fees, parts));
        check_movements("I11", movements, postings)?;
        self.collect_charged(market.quote, taker_fee + maker_fee, 0);
        self.secure(&taker, taker_left - taker.reserve);
        self.secure(&maker, maker_left - maker.reserve);
        self.after_fill(taker_slot, body.lots, taker_left, true);
        self.after_fill(maker_slot, body.lots, maker_left, true);
        Ok(())
    }

    fn check_pair(
        &self,
        taker: &Order,
        maker: &Order,
        event: &Event,
        body: &TradeBody,
        in_auction: bool,
    ) -> Check {
        let (buy, sell) = if taker.side == BUY { (taker, maker) } else { (maker, taker) };
        ensure!(
            taker.side != maker.side && taker.side == body.taker_side,
            "I26",
            "both orders are on one side"
        );
        ensure!(
            taker.market == maker.market && taker.market == event.market && taker.book == maker.book,
            "I26",
            "the orders' markets differ"
        );
        ensure!(taker.rests() == in_auction, "I26", "taker order {} rests: {}", taker.id, taker.rests());
        ensure!(taker.account != maker.account, "I06", "order {} trades with its own owner", taker.id);
        ensure!(
            (taker.account, taker.sub, maker.account, maker.sub)
                == (event.account, event.sub, body.maker_account, body.maker_sub),
            "I26",
            "the fill of order {} names other accounts",
            taker.id
        );
        ensure!(
            (body.price == maker.price || in_auction)
                && buy.price >= sell.price
                && (sell.price..=buy.price).contains(&body.price),
            "I06",
            "order {} trades at {} against a resting {}",
            taker.id,
            body.price,
            maker.price
        );
        ensure!(
            body.lots > 0
                && body.lots <= taker.shown()
                && body.lots <= maker.shown()
                && body.taker_remaining == taker.remaining - body.lots
                && body.maker_remaining == maker.remaining - body.lots,
            "I26",
            "a fill of {} lots leaves {} of {} and {} of {}",
            body.lots,
            body.taker_remaining,
            taker.remaining,
            body.maker_remaining,
            maker.remaining
        );
        Ok(())
    }

    /// Self-trade prevention by DECREMENT: both shrink, only their own reserves move.
    fn self_trade_prevented(&mut self, event: &Event) -> Check {
        let body: PreventedBody = event.body_as();
        self.work.cancels += 1;
        let (taker_slot, maker_slot) = (self.books.find(event.order)?, self.books.find(body.maker_order)?);
        let (taker, maker) = (self.books.orders[taker_slot as usize], self.books.orders[maker_slot as usize]);
        ensure!(taker.account == maker.account, "I26", "orders of two owners are kept apart");
        ensure!(
            body.lots > 0
                && body.lots == taker.shown().min(maker.shown())
                && body.taker_remaining == taker.remaining - body.lots
                && body.maker_remaining == maker.remaining - body.lots,
            "I26",
            "order {} shrinks by {} lots against order {}",
            taker.id,
            body.lots,
            maker.id
        );
        self.books.check_is_next(maker_slot)?;
        let market = *self.market(taker.market)?;
        for (slot, order) in [(taker_slot, taker), (maker_slot, maker)] {
            let secured = if order.kind == order_type::TWAP { order.shown() } else { order.remaining };
            let left = market.reserve_of(&order, secured - body.lots)?;
            self.secure(&order, left - order.reserve);
            self.after_fill(slot, body.lots, left, false);
        }
        Ok(())
    }

    /// Shrinks an order by `lots`; without a rest it is gone.
    pub(super) fn after_fill(&mut self, slot: u32, lots: i64, reserve: i64, traded: bool) {
        let order = self.books.orders[slot as usize];
        self.books.shrink(slot, order.remaining - lots);
        let entry = &mut self.books.orders[slot as usize];
        entry.reserve = reserve;
        if traded {
            entry.filled += lots;
        } else {
            // Prevented lots never were and never will be filled: the order is smaller by them.
            entry.total -= lots;
        }
        // A time-sliced order ends with its slice, not within it.
        if order.remaining > lots || order.kind == order_type::TWAP {
            return;
        }
        if order.level != NONE {
            self.books.lift(slot);
        }
        self.close_order(slot);
    }
}

fn fill_movements(
    market: &Market,
    body: &TradeBody,
    (buyer, seller): (&Order, &Order),
    unheld: i64,
    (fees, [vault, stakers, maker_fund, insurance, treasury]): ((i64, i64), [Movement; 5]),
) -> [Movement; 10] {
    let sold = body.lots * market.lot_size;
    let spent = body.notional + fees.0;
    let quote = market.quote;
    [
        (buyer.account, buyer.sub, quote, HELD, -unheld),
        (buyer.account, buyer.sub, quote, FREE, unheld - spent),
        (buyer.account, buyer.sub, market.base, FREE, sold),
        (seller.account, seller.sub, market.base, HELD, -sold),
        (seller.account, seller.sub, quote, FREE, body.notional - fees.1),
        vault,
        stakers,
        maker_fund,
        insurance,
        treasury,
    ]
}
