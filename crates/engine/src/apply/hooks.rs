//! Where concerns meet: what else must look when something has happened. Each line calls one concern.

use crate::book::Book;
use crate::engine::Engine;
use crate::output::Output;
use crate::perp::Position;
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
    /// Micro-quote.
    pub taker_fee: i64,
}

impl<B: Book> Engine<B> {
    /// After every fill of the book.
    #[inline]
    pub(crate) fn after_trade(&mut self, command: &Command, print: &Print, output: &mut Output) {
        self.state.triggers.note_price(print.market, trigger_source::LAST_TRADE, print.price);
        self.halts_after_trade(command, print, output);
        self.detect_fill(command.time_ns, print);
        self.reward_fill(command.time_ns, print);
    }

    /// After the index of a feed, or its state, has changed.
    pub(crate) fn after_index(&mut self, command: &Command, feed: u32, output: &mut Output) {
        for at in 0..self.state.perps.of_feed(feed).len() {
            let market = self.state.perps.of_feed(feed)[at];
            self.refresh_mark(command, market, output);
            self.note_market_prices(market);
        }
        self.watch_index(feed);
        self.halts_after_index(command, feed, output);
    }

    /// After the mark of a market has changed.
    pub(crate) fn after_mark(&mut self, command: &Command, market: u32, output: &mut Output) {
        self.state.perps.set_dirty(market);
        self.watch_mark(command, market);
        self.note_market_prices(market);
        self.halts_after_mark(command, market, output);
    }

    /// Every Tick, first of all.
    pub(crate) fn refresh_marks_on_tick(&mut self, command: &Command, output: &mut Output) {
        if !self.state.perps.stale.is_empty() {
            self.refresh_stale_marks(command, output);
        }
    }

    /// Every Tick, before the due queue.
    pub(crate) fn on_tick(&mut self, command: &Command, output: &mut Output) {
        self.watch_tick(command, output);
        self.halts_on_tick(command, output);
        self.adjust_on_tick(command, output);
        self.burn_on_tick(command, output);
    }

    /// After the position in this slot has changed from `before` lots, once both sides of the event are posted.
    #[inline(never)]
    pub(crate) fn after_position(&mut self, command: &Command, slot: u32, before: i64, output: &mut Output) {
        let Position { account, sub, market, lots, .. } = *self.state.perps.at(slot);
        self.note_moved(slot);
        self.look_behind(command, slot, (account, sub), output);
        // Smaller, or turned to the other side: what only reduces may be too much now.
        if lots.abs() < before.abs() || (lots ^ before) < 0 && before != 0 {
            self.note_position((account, sub, market));
        }
    }

    /// After the funding index of a market has moved.
    pub(crate) fn after_funding(&mut self, market: u32, delta: i128) {
        self.state.perps.set_dirty(market);
        self.watch_funding(market, delta);
    }

    /// After money came to or left a sub-account other than by its positions.
    #[inline(always)]
    pub(crate) fn after_collateral(&mut self, command: &Command, account: u32, sub: u8, output: &mut Output) {
        if let Some(&slot) = self.state.accounts.positions(account, sub).first() {
            self.look_behind_money(command, slot, (account, sub), output);
        }
    }

    #[inline(never)]
    fn look_behind_money(&mut self, command: &Command, slot: u32, who: (u32, u8), output: &mut Output) {
        self.look_behind(command, slot, who, output);
    }

    /// A look at the sub-account of this position, unless it surely finds nothing new; coverage counts it either way.
    #[inline(always)]
    fn look_behind(&mut self, command: &Command, slot: u32, who: (u32, u8), output: &mut Output) {
        if self.stays_watched(slot) {
            // It is the only position, and so the first.
            self.state.perps.touch_first(slot, who);
        } else {
            self.look_at(command, who, false, output);
        }
    }
}
