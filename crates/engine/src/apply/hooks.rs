//! Where concerns meet: what else must look when something has happened. Each line calls one concern.

use crate::book::Book;
use crate::engine::Engine;
use crate::output::Output;
use crate::wire::command::Command;

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

impl<B: Book> Engine<B> {
    /// After every fill of the book.
    #[inline]
    pub(crate) fn after_trade(&mut self, _command: &Command, _print: &Print, _output: &mut Output) {}

    /// After the index of a feed, or its state, has changed.
    pub(crate) fn after_index(&mut self, _command: &Command, _feed: u32, _output: &mut Output) {}

    /// After the mark of a market has changed.
    pub(crate) fn after_mark(&mut self, _command: &Command, _market: u32, _output: &mut Output) {}

    /// Every Tick, before the due queue.
    pub(crate) fn on_tick(&mut self, _command: &Command, _output: &mut Output) {}
}
