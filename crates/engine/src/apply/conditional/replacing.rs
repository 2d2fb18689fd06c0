//! Replacing orders of special types (protocol row 0304, P3.2).

use super::super::order_form::check_value;
use super::super::orders::emit_order;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::limits::*;
use crate::order::{flag, Order};
use crate::output::Output;
use crate::trigger::{waits, Special};
use crate::wire::command::{order_flag, Command, ReplaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::EventKind;

/// An order before and after its replacement, both with what they hide.
struct Change {
    old: Order,
    new: Order,
    keeps_priority: bool,
}

impl<B: Book> Engine<B> {
    pub(crate) fn replace_special(
        &mut self,
        command: &Command,
        context: Context,
        slot: u32,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let stored = self.state.orders[slot];
        let special = self.state.triggers.of(&stored);
        let fixed = !matches!(special.state, waits::NOT | waits::PENDING)
            || stored.flags & flag::OFFER != 0
            || self.has_outcomes(stored.market);
        if fixed || special.entry != 0 || special.exits != [0; 2] {
            // Slices, the orders of a bracket, whose sizes follow each other, what a liquidation offers, and what is
            // special on claims.
            return reject(Code::INVALID_ORDER_TYPE, 0, i64::from(stored.order_type));
        }
        let change = self.check_replacement(command, context, &stored, &special)?;
        if special.state == waits::PENDING {
            return self.replace_waiting(command, slot, &special, &change, output);
        }
        self.replace_resting(command, context, slot, change, output)
    }

    fn check_replacement(
        &self,
        command: &Command,
        context: Context,
        stored: &Order,
        special: &Special,
    ) -> Result<Change, Reject> {
        let request: ReplaceOrder = command.payload_as();
        let hidden = special.hidden;
        let old = Order { remaining: stored.remaining + hidden, total: stored.total + hidden, ..*stored };
        let filled = old.total - old.remaining;
        let at_market = special.state == waits::PENDING && special.limit == 0;
        if at_market && request.price != 0 {
            return reject(Code::MARKET_ORDER_HAS_PRICE, 0, request.price);
        }
        let price = if request.price == 0 { old.price } else { request.price };
        let total = if request.total_lots == 0 { old.total } else { request.total_lots };
        if total <= filled {
            return reject(Code::REPLACE_BELOW_FILLED, filled, total);
        }
        let reduces = old.flags & order_flag::REDUCE_ONLY != 0;
        let market = self.market_for_orders(old.market, reduces)?;
        if total > MAX_LOTS {
            return reject(Code::INVALID_SIZE, MAX_LOTS, total);
        }
        if !(1..=MAX_PRICE).contains(&price) {
            return reject(Code::INVALID_PRICE, MAX_PRICE, price);
        }
        if !reduces {
            check_value(market, price, total - filled)?;
        }
        if old.expiry_ns != 0 && old.expiry_ns <= command.time_ns {
            return reject(Code::ORDER_EXPIRED, command.time_ns, old.expiry_ns);
        }
        if special.state == waits::NOT && !context.system {
            market.check_band(old.side, price)?;
        }
        let keeps_priority = price == old.price && total <= old.total;
        let fee_cap_e6bp = if keeps_priority { old.fee_cap_e6bp } else { market.parameters.fee_cap_e6bp() };
        let new = Order { price, total, remaining: total - filled, fee_cap_e6bp, ..old };
        Ok(Change { old, new, keeps_priority })
    }

    /// A waiting order changes its size and, if it has one, its limit; its trigger stays.
    fn replace_waiting(
        &mut self,
        command: &Command,
        slot: u32,
        special: &Special,
        change: &Change,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let Change { old, mut new, keeps_priority } = *change;
        if self.secures_waiting(&old) {
            let (row, reserve) = self.secure(&new, old.reserve)?;
            new.reserve = reserve;
            self.hold(&new, row, reserve - old.reserve, output);
        }
        if !keeps_priority {
            new.priority = self.state.next_priority;
            self.state.next_priority += 1;
        }
        let stored = &mut self.state.orders[slot];
        (stored.price, stored.total, stored.remaining) = (new.price, new.total, new.remaining);
        (stored.reserve, stored.priority, stored.fee_cap_e6bp) =
            (new.reserve, new.priority, new.fee_cap_e6bp);
        if special.limit != 0 {
            self.state.triggers.special_mut(new.id).expect("present").limit = new.price;
        }
        emit_order(command, EventKind::OrderReplaced, &new, false, output);
        self.emit_trigger(command, &new, output);
        Ok(new.id)
    }

    fn replace_resting(
        &mut self,
        command: &Command,
        context: Context,
        slot: u32,
        change: Change,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let Change { old, mut new, keeps_priority } = change;
        if new.flags & order_flag::REDUCE_ONLY != 0 {
            self.check_reduces(&new)?;
        }
        let (row, reserve) = self.check_risk(&new, 0, Some(&old))?;
        new.reserve = reserve;
        let takes = !keeps_priority && self.check_execution(&new, command.time_ns)?;
        self.hold(&new, row, reserve - old.reserve, output);
        if keeps_priority {
            emit_order(command, EventKind::OrderReplaced, &new, true, output);
            self.state.orders[slot].reserve = reserve;
            self.take_lots(slot, old.remaining - new.remaining);
            let shown = self.state.orders[slot];
            if self.state.triggers.of(&shown).display != 0 {
                self.emit_shown(command, &shown, output);
            }
            return Ok(new.id);
        }
        self.state.books[new.market as usize].remove(&mut self.state.orders, slot);
        self.track_open(&old, -old.remaining);
        self.state.triggers.special_mut(new.id).expect("present").hidden = 0;
        new.priority = self.state.next_priority;
        self.state.next_priority += 1;
        emit_order(command, EventKind::OrderReplaced, &new, !takes, output);
        self.detect_order(&new);
        self.match_or_rest(command, new, (slot, true), takes, context.system, output);
        Ok(new.id)
    }

    /// Takes lots from an open order where it stands, the hidden ones first. They never were and never will be
    /// filled, so that its total shrinks with them.
    pub(super) fn take_lots(&mut self, slot: u32, lots: i64) {
        let order = self.state.orders[slot];
        let mut shown = lots;
        let resting = order.flags & flag::WAITING == 0;
        if let Some(special) = self.state.triggers.special_mut(order.id).filter(|_| resting) {
            let unseen = special.hidden.min(lots);
            special.hidden -= unseen;
            shown -= unseen;
        }
        if !resting {
            self.state.orders[slot].remaining -= shown;
        } else if shown > 0 {
            self.state.books.of_mut(&order).reduce(&mut self.state.orders, slot, shown);
        }
        self.state.orders[slot].total -= shown;
        if resting {
            self.track_open(&order, -lots);
        }
    }
}
