//! Cancelling orders: one, all of an account or of a market, and what every order that ends goes through (P2.4, P2.5).

use super::orders::subject;
use super::work::{CancelAccount, CancelMarket, Work};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_between};
use crate::order::{flag, Order};
use crate::output::Output;
use crate::state::due;
use crate::wire::command::{side, CancelAll, CancelOrder, Command, ALL, ALL_MARKETS};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{cancel_reason, CancelBody, EventKind};

impl<B: Book> Engine<B> {
    pub(crate) fn cancel_order(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CancelOrder = command.payload_as();
        let slot = self.find_order(context.account, request.order, &request.target_key, command.time_ns)?;
        let id = self.state.orders[slot].id;
        self.cancel_slot(command, slot, cancel_reason::USER, output);
        Ok(id)
    }

    pub(crate) fn cancel_all(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CancelAll = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let known = (request.market as usize) < self.state.markets.list.len();
        let whole_market = command.account == [0; 32];
        if !(known || request.market == ALL_MARKETS && !whole_market) {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        }
        if request.side != ALL && request.side > side::SELL {
            return reject(Code::INVALID_ORDER_TYPE, i64::from(side::SELL), i64::from(request.side));
        }
        let reason = cancel_reason::CANCEL_ALL;
        let work = if whole_market {
            let job = CancelMarket {
                market: request.market,
                side: request.side,
                reason,
                done: 0,
                close: false,
                after: 0,
            };
            Work::CancelMarket(job)
        } else {
            let (account, market) = (context.account, request.market);
            Work::CancelAccount(CancelAccount {
                account,
                market,
                sub: request.sub,
                side: request.side,
                reason,
                done: 0,
            })
        };
        self.do_work(command, command.seq, work, output);
        Ok(0)
    }

    /// Takes an open order out of its book and the store, returns its reserve and says why. Returns the number of
    /// cancels: an order with links may end others.
    pub(crate) fn cancel_slot(
        &mut self,
        command: &Command,
        slot: u32,
        reason: u8,
        output: &mut Output,
    ) -> u32 {
        let order = self.state.orders[slot];
        self.detect_cancel(&order, reason, command.time_ns);
        self.note_book(order.market, order.line());
        if order.flags & flag::SPECIAL != 0 {
            return self.cancel_special(command, slot, reason, output);
        }
        let was_best = self.state.books.of_mut(&order).remove(&mut self.state.orders, slot);
        self.untrack(&order, order.remaining);
        self.state.orders.remove(&mut self.state.accounts, slot);
        if was_best {
            self.touch_reference(order.market, order.line());
        }
        if order.expiry_ns != 0 {
            self.state.due.remove(&(order.expiry_ns, due::ORDER_EXPIRY, order.id));
        }
        self.release(command, &order, reason, output);
        1
    }

    /// Returns what secures an order that is over and emits OrderCancelled.
    pub(crate) fn release(&mut self, command: &Command, order: &Order, reason: u8, output: &mut Output) {
        let market = &self.state.markets.list[order.market as usize];
        if market.has_outcomes() {
            return self.release_outcome(command, order, reason, output);
        }
        let asset = if order.side == side::BUY { market.quote } else { market.base };
        let (owner, lines) = ((order.account, order.sub), (line::HELD, line::FREE));
        post_between(&mut self.state.accounts, &mut output.postings, owner, asset, lines, order.reserve);
        let body = CancelBody {
            reason,
            side: order.side,
            reserved: 0,
            reserved2: 0,
            price: order.price,
            remaining_lots: order.remaining,
            released: order.reserve,
            filled_lots: order.total - order.remaining,
        };
        output.emit(command, EventKind::OrderCancelled, subject(order), &body);
    }
}
