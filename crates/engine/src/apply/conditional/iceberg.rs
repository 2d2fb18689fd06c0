//! Icebergs (protocol P2.5.5): only the displayed part stands in the book; each refill joins the back of its level.
//!
//! The order's record is the order without its hidden lots, so that books, fills and cancels need not know them.

use super::super::orders::subject;
use crate::book::Book;
use crate::engine::Engine;
use crate::order::{flag, Order};
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::event::{EventKind, IcebergBody};

impl<B: Book> Engine<B> {
    /// Puts an order into its book; of an iceberg only the displayed part.
    #[inline(always)]
    pub(crate) fn rest_order(&mut self, command: &Command, order: &Order, stored: bool, output: &mut Output) {
        if order.flags & flag::SPECIAL == 0 {
            return self.rest(order, stored);
        }
        self.rest_special(command, order, stored, output);
    }

    #[inline(never)]
    fn rest_special(&mut self, command: &Command, order: &Order, stored: bool, output: &mut Output) {
        let mut shown = *order;
        let special = self.state.triggers.special_mut(order.id).expect("the flag says so");
        if special.display == 0 {
            return self.rest(order, stored);
        }
        special.hidden = (order.remaining - special.display).max(0);
        shown.remaining -= special.hidden;
        shown.total -= special.hidden;
        let hidden = special.hidden;
        self.rest(&shown, stored);
        self.track_open(&shown, hidden);
        self.emit_shown(command, &shown, output);
    }

    /// The displayed part of a resting iceberg is gone: shows the next one. False when nothing is hidden.
    pub(crate) fn refill(&mut self, command: &Command, slot: u32, reserve: i64, output: &mut Output) -> bool {
        let order = self.state.orders[slot];
        let special = self.state.triggers.special_mut(order.id).expect("the flag says so");
        let lots = special.hidden.min(special.display);
        if lots == 0 {
            return false;
        }
        special.hidden -= lots;
        let book = self.state.books.of_mut(&order);
        book.remove(&mut self.state.orders, slot);
        let stored = &mut self.state.orders[slot];
        // What the record loses as remaining it has filled (or prevented); the refill adds to both counts.
        stored.remaining = lots;
        stored.total += lots;
        stored.reserve = reserve;
        stored.priority = self.state.next_priority;
        self.state.next_priority += 1;
        self.note_improvement(slot);
        let shown = self.state.orders[slot];
        self.state.books.of_mut(&shown).insert(&mut self.state.orders, slot);
        self.emit_shown(command, &shown, output);
        true
    }

    pub(super) fn emit_shown(&self, command: &Command, shown: &Order, output: &mut Output) {
        let special = self.state.triggers.of(shown);
        let body = IcebergBody {
            displayed_lots: shown.remaining,
            hidden_lots: special.hidden,
            display: special.display,
            price: shown.price,
            priority: shown.priority,
        };
        output.emit(command, EventKind::IcebergShown, subject(shown), &body);
    }
}
