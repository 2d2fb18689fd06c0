//! Steps in books: an order that is filled whole, or is not placed at all.
//!
//! Fills change other owners' orders and prices and are not taken back. So such a step is the last thing that a chain does:
//! it is planned against the state that the steps before it left, and behind it nothing is asked any more.

use super::steps::as_command;
use crate::book::{crosses, Book};
use crate::chains::Step;
use crate::engine::{Context, Engine};
use crate::halts::breaker::cause;
use crate::limits::{CHAIN_BOOK_FILLS, MAX_LOTS, MAX_PRICE};
use crate::market::status;
use crate::math::{notional, MAX_BALANCE};
use crate::order::flag;
use crate::output::Output;
use crate::wire::chains::{chain_step, ChainStep};
use crate::wire::command::{order_type, side, stp, time_in_force, Command, Kind, OneSet, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::record::Record;

/// Whether a step is an order in a book.
pub(super) const fn is_in_book(step: &ChainStep) -> bool {
    matches!(step.kind, chain_step::BOOK_BUY | chain_step::BOOK_SELL)
}

/// A step in a book is the last one, and nothing that it may bring can pay a flash loan back.
pub(super) fn check_places(steps: &[ChainStep]) -> Result<(), (usize, Reject)> {
    let Some(at) = steps.iter().position(is_in_book) else { return Ok(()) };
    let flash = steps.iter().any(|step| step.kind == chain_step::FLASH_BORROW);
    if at + 1 < steps.len() || flash {
        let kind = i64::from(steps[at].kind);
        return Err((at, Reject::new(Code::INVALID_ORDER_TYPE, steps.len() as i64, kind)));
    }
    Ok(())
}

/// The order in which steps are undone: the last one first, but what fills in a book behind everything that may refuse.
/// Sets whose claims a sale took are whole again only behind its purchase; they are asked before it
/// ([`Engine::check_behind`]).
pub(super) fn order_of_undoing(steps: &[Step]) -> Vec<usize> {
    let sold = steps.last().filter(|step| step.request.kind == chain_step::BOOK_SELL);
    let sold = sold.map(|step| step.request.market);
    let rank = |step: &ChainStep| match step.kind {
        chain_step::BOOK_BUY | chain_step::BOOK_SELL => 1,
        chain_step::MINT_SET if sold == Some(step.market) => 2,
        _ => 0,
    };
    let mut order: Vec<usize> = (0..steps.len()).rev().collect();
    order.sort_by_key(|&at| rank(&steps[at].request));
    order
}

/// The step as the order that it is, or (`undone`) as the one that undoes it.
fn order_of(step: &ChainStep, limit: i64, undone: bool) -> PlaceOrder {
    let buys = (step.kind == chain_step::BOOK_BUY) != undone;
    PlaceOrder {
        market: step.market,
        outcome: step.outcome,
        side: if buys { side::BUY } else { side::SELL },
        order_type: order_type::LIMIT,
        time_in_force: time_in_force::FOK,
        price: limit,
        lots: step.amount,
        self_trade_prevention: stp::CANCEL_NEWEST,
        ..PlaceOrder::zero()
    }
}

impl<B: Book> Engine<B> {
    /// What an order of a chain must look like, whatever the books hold.
    pub(super) fn check_book_form(&self, step: &ChainStep) -> Result<(), Reject> {
        let ChainStep { outcome, market, amount, limit, .. } = *step;
        let entry = &self.state.markets.list[market as usize];
        if !entry.has_outcomes() {
            return reject(Code::INVALID_MARKET_KIND, 0, i64::from(entry.kind));
        }
        self.check_outcome(entry, outcome)?;
        if amount > MAX_LOTS {
            return reject(Code::INVALID_SIZE, MAX_LOTS, amount);
        }
        let highest = entry.payout_ticks() - 1;
        if !(1..=highest).contains(&limit) {
            return reject(Code::INVALID_PRICE, highest, limit);
        }
        Ok(())
    }

    /// Micro-quote that a step in a book may take from `free` at most.
    pub(super) fn book_outlay(&self, step: &ChainStep) -> Result<i64, Reject> {
        if step.kind != chain_step::BOOK_BUY {
            return Ok(0);
        }
        let market = &self.state.markets.list[step.market as usize];
        market.outcome_reserve(step.limit, step.amount, market.parameters.fee_cap_e6bp())
    }

    /// Fills the order of a step whole, or changes nothing; its lots.
    pub(super) fn run_book_step(
        &mut self,
        command: &Command,
        context: Context,
        (step, undone): (&ChainStep, bool),
        limit: i64,
        output: &mut Output,
    ) -> Result<i64, Reject> {
        self.check_book_form(&ChainStep { limit, ..*step })?;
        let request = order_of(step, limit, undone);
        let (kind, single) = as_command(command, Kind::PlaceOrder, &request);
        self.check_halts(&single, kind, &context)?;
        self.market_for_orders(request.market, false)?;
        self.check_whole(&single, context, (&request, undone))?;
        self.dispatch(&single, kind, context, output)?;
        debug_assert!(self.pending.is_none(), "an order of a chain is filled in its command");
        Ok(request.lots)
    }

    /// Whether sets may be merged behind an order that buys `bought` back, asked before its fills: they move only these
    /// claims, and trip no breaker ([`Engine::check_whole`]).
    pub(super) fn check_behind(
        &self,
        command: &Command,
        context: Context,
        (minted, bought): (&ChainStep, &ChainStep),
    ) -> Result<(), Reject> {
        let ChainStep { market, amount: lots, .. } = *minted;
        let (kind, single) = as_command(command, Kind::MergeSet, &OneSet { market, lots, ..OneSet::zero() });
        self.check_halts(&single, kind, &context)?;
        let entry = &self.state.markets.list[market as usize];
        if !(status::ACTIVE..status::SETTLED).contains(&entry.status) {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(entry.status));
        }
        let owned = |outcome| {
            let back = if outcome == bought.outcome { bought.amount * entry.lot_size } else { 0 };
            back + self.state.claims.free(context.account, command.sub, market, outcome)
        };
        let complete = (0..entry.outcome_count).map(owned).min().unwrap_or(0);
        match lots * entry.lot_size > complete {
            true => reject(Code::SET_INCOMPLETE, complete, lots * entry.lot_size),
            false => Ok(()),
        }
    }

    /// Walks the book as matching will: the order must be filled whole by plain orders of others, within its band, without
    /// a breaker that ends it (`undone`: or that its last fill trips, as sets may be merged behind it) and without a
    /// continuation.
    ///
    /// # Errors
    /// `BREAKER_ACTIVE` while orders are collected, `FOK_NOT_FILLABLE` (bound: lots that are certain).
    #[inline(never)]
    fn check_whole(
        &self,
        command: &Command,
        context: Context,
        (request, undone): (&PlaceOrder, bool),
    ) -> Result<(), Reject> {
        if self.collects(request.market) {
            return reject(Code::BREAKER_ACTIVE, 0, i64::from(request.market));
        }
        let order = self.in_book_terms(self.new_order(command, context, request, request.price));
        let (low, high) = self.band_of(&order).unwrap_or((1, MAX_PRICE));
        // The breakers are asked as each fill will ask them, on a copy that takes the fills before it. The books of a
        // market of three outcomes or more feed no breaker.
        let feeds = self.lines(request.market) == 1;
        let unit = self.state.markets.list[request.market as usize].unit;
        let mut halts = self.state.halts.of_market(request.market).map(|known| Box::new(known.clone()));
        let (book, orders) = (self.state.books.of(&order), &self.state.orders);
        let (mut lots, mut fills, mut slot) = (0_i64, 0, book.first(1 - order.side));
        while let Some(present) = slot.filter(|_| lots < order.remaining && fills < CHAIN_BOOK_FILLS) {
            let maker = &orders[present];
            let price = maker.price;
            let lasts = maker.expiry_ns == 0 || maker.expiry_ns > command.time_ns;
            let plain = maker.flags & (flag::SPECIAL | flag::OFFER) == 0 && maker.account != order.account;
            let trades = crosses(order.side, order.price, price) && (low..=high).contains(&price);
            if !lasts || !plain || !trades {
                break;
            }
            let trips = |halts: &mut crate::halts::MarketHalts| {
                halts.price_reading(command.time_ns, price, cause::TRADE).is_some()
            };
            if halts.as_deref_mut().is_some_and(trips) {
                break;
            }
            let taken = maker.remaining.min(order.remaining - lots);
            (lots, fills, slot) = (lots + taken, fills + 1, book.following(orders, present));
            if feeds && (undone || lots < order.remaining) {
                // The first fill of a market makes its breakers: what they would say to a second one is not known.
                let calm = halts.as_mut().is_some_and(|halts| {
                    halts.sample(command.time_ns, price);
                    let notional = notional(price, taken, unit).unwrap_or(MAX_BALANCE);
                    halts.volume_reading(command.time_ns, notional).is_none()
                });
                if !calm {
                    lots -= taken;
                    break;
                }
            }
        }
        if lots < order.remaining {
            return reject(Code::FOK_NOT_FILLABLE, lots, order.remaining);
        }
        Ok(())
    }
}
