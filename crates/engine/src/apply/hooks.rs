//! Where concerns meet: what else must look when something has happened. Each line calls one concern.

use crate::book::Book;
use crate::engine::Engine;
use crate::output::Output;
use crate::wire::command::{trigger_source, Command};

// The concerns that read these fields join one after the other.
#[allow(dead_code)]
/// A fill as the concerns around the book see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Print {
    pub market: u32,
    pub price: i64,
    pub lots: i64,
    /// Micro-quote.
    pub notional: i64,
    pub taker: u32,
    pub maker: u32,
    pub taker_side: u8,
}

#[allow(dead_code)]
/// A position that an event has moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub account: u32,
    pub sub: u8,
    pub market: u32,
    /// Signed lots before and after.
    pub before: i64,
    pub after: i64,
}

impl<B: Book> Engine<B> {
    /// After every fill of the book.
    #[inline]
    pub(crate) fn after_trade(&mut self, command: &Command, print: &Print, output: &mut Output) {
        self.state.triggers.note_price(print.market, trigger_source::LAST_TRADE, print.price);
        self.halts_after_trade(command, print, output);
        self.detect_fill(command.time_ns, print);
    }

    /// After the index of a feed, or its state, has changed.
    pub(crate) fn after_index(&mut self, command: &Command, feed: u32, output: &mut Output) {
        for at in 0..self.state.perps.of_feed(feed).len() {
            let market = self.state.perps.of_feed(feed)[at];
            self.refresh_mark(command, market, output);
            self.note_market_prices(market);
        }
        self.watch_index(command, feed, output);
        self.halts_after_index(command, feed, output);
    }

    /// After the mark of a market has changed.
    pub(crate) fn after_mark(&mut self, command: &Command, market: u32, output: &mut Output) {
        self.state.perps.set_dirty(market);
        self.watch_mark(command, market, output);
        self.note_market_prices(market);
        self.halts_after_mark(command, market, output);
    }

    /// Every Tick, before the due queue.
    pub(crate) fn on_tick(&mut self, command: &Command, output: &mut Output) {
        if !self.state.perps.stale.is_empty() {
            self.refresh_stale_marks(command, output);
        }
        self.watch_tick(command, output);
        self.halts_on_tick(command, output);
    }

    /// After a position has changed, once both sides of the event are posted.
    pub(crate) fn after_position(&mut self, command: &Command, moved: &Moved, output: &mut Output) {
        self.note_rank((moved.account, moved.sub, moved.market));
        self.look_at(command, (moved.account, moved.sub), false, output);
        if moved.after.abs() < moved.before.abs() {
            self.note_position((moved.account, moved.sub, moved.market));
        }
    }

    /// After the funding index of a market has moved.
    pub(crate) fn after_funding(&mut self, command: &Command, market: u32, delta: i128, output: &mut Output) {
        self.state.perps.set_dirty(market);
        self.watch_funding(command, market, delta, output);
    }

    /// After money came to or left a sub-account other than by its positions.
    pub(crate) fn after_collateral(&mut self, command: &Command, account: u32, sub: u8, output: &mut Output) {
        if !self.state.accounts.positions(account, sub).is_empty() {
            self.look_at(command, (account, sub), false, output);
        }
    }
}
