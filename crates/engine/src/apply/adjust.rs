//! What the elastic fee adds for volatility, depth and load, as books and time change it (protocol P8.3), and which
//! orders better the best price when they come to rest (P8.6).

use crate::book::{Book, Level};
use crate::engine::Engine;
use crate::fees::adjust::{Place, DEEP};
use crate::limits::{ADJUSTED_DEPTH_LEVELS, DEPTHS_PER_TICK};
use crate::order::{flag, Order};
use crate::output::{Output, Subject};
use crate::perp::margin::product;
use crate::wire::command::{side, Command};
use crate::wire::event::{EventKind, FeeDepthBody, FeeLoadBody};

/// Depth counts within a fiftieth of the middle; of an outcome market within a fiftieth of a whole contract.
const DEPTH_PART: i64 = 50;
/// A basis point of the middle, of twice the middle: one part in 20,000.
const IMPROVEMENT_PART: i64 = 20_000;

impl<B: Book> Engine<B> {
    /// The book of a market changed.
    #[inline(always)]
    pub(crate) fn note_book(&mut self, market: u32, line: u8) {
        if self.state.markets.list[market as usize].is_elastic() {
            self.note_elastic_book(market, line);
        }
    }

    #[inline(never)]
    fn note_elastic_book(&mut self, market: u32, line: u8) {
        if self.is_valued(market) {
            self.state.fees.adjust.note_changed((market, line));
        }
    }

    /// What a move of a book's price is a part of: an outcome's moves are absolute, others relative.
    pub(crate) fn whole_of(&self, market: u32) -> Option<i64> {
        let market = &self.state.markets.list[market as usize];
        market.has_outcomes().then(|| market.payout_ticks())
    }

    /// Marks an order of an elastic market that is about to rest in this slot, if it betters the best price of its
    /// side by a basis point of the middle; takes an older mark away.
    #[inline(always)]
    pub(crate) fn note_improvement(&mut self, slot: u32) {
        if self.state.markets.list[self.state.orders[slot].market as usize].is_elastic() {
            self.mark_improvement(slot);
        }
    }

    #[inline(never)]
    fn mark_improvement(&mut self, slot: u32) {
        let order = self.state.orders[slot];
        self.note_elastic_book(order.market, order.line());
        let improves = !self.collects(order.market) && self.improves(&order);
        let flags = &mut self.state.orders[slot].flags;
        *flags = if improves { *flags | flag::IMPROVES } else { *flags & !flag::IMPROVES };
    }

    /// Without two sides there is no middle, and no improvement.
    fn improves(&self, order: &Order) -> bool {
        let book = self.state.books.of(order);
        let (Some(bid), Some(ask)) = (book.best(side::BUY), book.best(side::SELL)) else { return false };
        let by = if order.side == side::BUY { order.price - bid } else { ask - order.price };
        by > 0 && by.saturating_mul(IMPROVEMENT_PART) >= bid + ask
    }

    /// Every Tick: depths of a few books that changed, and once a second the load.
    #[inline]
    pub(crate) fn adjust_on_tick(&mut self, command: &Command, output: &mut Output) {
        if !self.state.fees.adjust.is_unused() {
            self.look_at_adjustments(command, output);
        }
    }

    #[inline(never)]
    fn look_at_adjustments(&mut self, command: &Command, output: &mut Output) {
        if let Some(second) = self.state.fees.adjust.second_over(command.time_ns) {
            self.look_at_load(command, second, output);
        }
        for _ in 0..DEPTHS_PER_TICK {
            let Some(place) = self.state.fees.adjust.next_changed(command.time_ns) else { continue };
            // A book that collects for an auction may be crossed and has no middle.
            if !self.collects(place.0) {
                self.look_at_depth(command, place, output);
            }
        }
    }

    fn look_at_load(&mut self, command: &Command, second: i64, output: &mut Output) {
        let commands = self.cursor.commands_of(second);
        let fees = &mut self.state.fees;
        let capacity = fees.settings.capacity;
        if let Some(loaded) = fees.adjust.set_load(commands, capacity) {
            let body = FeeLoadBody {
                commands,
                capacity,
                bp: u8::from(loaded),
                reserved: 0,
                reserved2: 0,
                reserved3: 0,
            };
            output.emit(command, EventKind::FeeLoadChanged, Subject::NONE, &body);
        }
    }

    fn look_at_depth(&mut self, command: &Command, place: Place, output: &mut Output) {
        let depth = self.depth_of(place);
        if let Some((bp, previous_bp)) = self.state.fees.adjust.set_depth(place, depth) {
            let body = FeeDepthBody { depth, outcome: place.1, bp, previous_bp, reserved: 0, reserved2: 0 };
            output.emit(command, EventKind::FeeDepthChanged, Subject::market(place.0), &body);
        }
    }

    /// Notional within 2 % of the middle on both sides, in micro-units: of the best levels, and no further than to
    /// what is deep enough. A book of one side has its best price for its middle.
    fn depth_of(&self, (market, line): Place) -> i64 {
        let unit = self.state.markets.list[market as usize].unit;
        let book = self.state.books.at(market, line);
        let twice = match (book.best(side::BUY), book.best(side::SELL)) {
            (Some(bid), Some(ask)) => bid + ask,
            (Some(price), None) | (None, Some(price)) => 2 * price,
            (None, None) => return 0,
        };
        let reach = self.whole_of(market).map_or(twice, |ticks| 2 * ticks);
        let mut depth = 0_i128;
        for book_side in [side::BUY, side::SELL] {
            let mut left = ADJUSTED_DEPTH_LEVELS;
            book.levels(book_side, &mut |Level { price, lots, .. }| {
                let near = (2 * price - twice).abs() * DEPTH_PART <= reach;
                if near {
                    depth += product(lots, unit, price);
                }
                left -= 1;
                near && left > 0 && depth < i128::from(DEEP)
            });
        }
        depth.min(i128::from(DEEP)) as i64
    }
}
