//! What the insurance fund took over it works off passively (protocol P5.6 step 3): one post-only, reduce-only order a
//! market, at no price at which it would lose.

use super::Liquidation;
use crate::apply::orders::emit_order;
use crate::apply::work::Budget;
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::limits::*;
use crate::market::status;
use crate::order::{flag, Order};
use crate::output::Output;
use crate::perp::margin::{div_ceil, div_floor, product};
use crate::perp::Position;
use crate::trigger::Special;
use crate::wire::command::{order_flag, side, time_in_force, Command};
use crate::wire::event::{cancel_reason, EventKind};

/// An order of the fund: side, price in ticks, lots.
type Offer = (u8, i64, i64);

impl<B: Book> Engine<B> {
    /// Renews the orders of the next few markets that the fund holds something in; true when that were the last ones.
    pub(super) fn offer_holdings(
        &mut self,
        command: &Command,
        fund: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        let from = self.state.liquidations.fund_next;
        let markets: Vec<u32> = self
            .state
            .accounts
            .positions(fund, 0)
            .iter()
            .map(|&slot| self.state.perps.at(slot).market)
            .filter(|&market| market >= from)
            .take(FUND_ORDERS_PER_LOOK + 1)
            .collect();
        for &market in markets.iter().take(FUND_ORDERS_PER_LOOK) {
            if budget.cancels == 0 {
                self.state.liquidations.fund_next = market;
                return false;
            }
            self.offer_holding(command, fund, market, budget, output);
        }
        let next = markets.get(FUND_ORDERS_PER_LOOK).copied();
        self.state.liquidations.fund_next = next.unwrap_or(0);
        next.is_none()
    }

    fn offer_holding(
        &mut self,
        command: &Command,
        fund: u32,
        market: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) {
        let wanted = self.holding_offer(fund, market, command.time_ns);
        let present = self.fund_order(fund, market);
        if let Some(slot) = present {
            let order = &self.state.orders[slot];
            if wanted == Some((order.side, order.price, order.remaining)) {
                return;
            }
            budget.cancels -= self.cancel_slot(command, slot, cancel_reason::LIQUIDATION, output);
        }
        let Some((order_side, price, lots)) = wanted else { return };
        let job = Liquidation::takeover((fund, 0), market, None);
        let (_, mut order) = self.liquidation_order(&job, market, (lots, price, order_side));
        order.time_in_force = time_in_force::GTC;
        order.flags = order_flag::REDUCE_ONLY | order_flag::POST_ONLY | flag::SPECIAL | flag::OFFER;
        self.remember(&order, Special::PLAIN);
        emit_order(command, EventKind::OrderAccepted, &order, true, output);
        self.rest_order(command, &order, false, output);
    }

    /// The fund's order in a market; there is at most one.
    pub(super) fn fund_order(&self, fund: u32, market: u32) -> Option<u32> {
        let orders = &self.state.orders;
        orders.of_account(&self.state.accounts, fund).find(|&slot| orders[slot].market == market)
    }

    /// What the fund may offer now: all it holds, no worse than the mark and than what it paid, beside the best
    /// opposite price. None where a halt or the state of the feed stops it, and without a price.
    fn holding_offer(&self, fund: u32, market: u32, now_ns: i64) -> Option<Offer> {
        let position = self.state.perps.position(fund, 0, market).filter(|position| position.lots != 0)?;
        let perp = self.state.perps.of_market(market)?;
        let entry = &self.state.markets.list[market as usize];
        let trades = matches!(entry.status, status::ACTIVE | status::PAUSED | status::CLOSE_ONLY)
            && !self.collects(market)
            && self.halt_cell(Action::Reduce, Some(market)) == Cell::Allowed
            && self.state.feeds.check(perp.feed, Action::Passive, now_ns).is_ok();
        let room = self.state.orders.len() < MAX_OPEN_ORDERS
            && self.state.accounts.list[fund as usize].open_orders < MAX_ORDERS_PER_ACCOUNT;
        if !trades || !room || perp.mark == 0 {
            return None;
        }
        let book = &self.state.books[market as usize];
        let paid = entry_price(position, perp.unit);
        let (order_side, price) = if position.lots > 0 {
            let bid = book.best(side::BUY).unwrap_or(0);
            (side::SELL, paid.max(perp.mark).max(bid + 1))
        } else {
            let ask = book.best(side::SELL).unwrap_or(MAX_PRICE);
            (side::BUY, paid.min(perp.mark).min(ask - 1))
        };
        (1..=MAX_PRICE).contains(&price).then_some((order_side, price, position.lots.abs()))
    }

    /// Whether an order of the fund still loses nothing: what it holds may have become dearer by another takeover.
    pub(super) fn fund_gains(&self, order: &Order) -> bool {
        let position = self.state.perps.position(order.account, order.sub, order.market);
        let unit = self.state.perps.of_market(order.market).map_or(1, |perp| perp.unit);
        position.is_some_and(|position| match position.lots {
            0 => false,
            lots if lots > 0 => order.price >= entry_price(position, unit),
            _ => order.price <= entry_price(position, unit),
        })
    }
}

/// The price at which a position can be closed without a loss, in ticks: rounded to the holder's side.
fn entry_price(position: &Position, unit: i64) -> i64 {
    let size = product(position.lots, unit, 1).abs();
    let price = match position.lots > 0 {
        true => div_ceil(i128::from(position.cost), size),
        false => div_floor(-i128::from(position.cost), size),
    };
    price.clamp(0, i128::from(MAX_PRICE) + 1) as i64
}
