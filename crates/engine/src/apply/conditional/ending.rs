//! How special orders end: their records, and what is linked to them (protocol P2.3.2, P2.5.7).

use super::super::work::{Budget, CancelMarket};
use super::firing::LINKED_CANCELS;
use crate::book::Book;
use crate::engine::Engine;
use crate::order::{flag, Order};
use crate::output::Output;
use crate::state::due;
use crate::trigger::{waits, Special};
use crate::wire::command::{order_flag, Command, ALL};

/// Waiting orders of a market that one command looks through.
const SCANNED_PER_COMMAND: usize = 256;

impl<B: Book> Engine<B> {
    /// Cancels an order with a record, waiting or resting; returns the number of cancels, linked ones included.
    #[inline(never)]
    pub(crate) fn cancel_special(
        &mut self,
        command: &Command,
        slot: u32,
        reason: u8,
        output: &mut Output,
    ) -> u32 {
        let mut order = self.state.orders[slot];
        if order.flags & flag::WAITING != 0 {
            self.state.triggers.leave(&order);
        } else {
            let was_best = self.state.books.of_mut(&order).remove(&mut self.state.orders, slot);
            let hidden = self.state.triggers.hidden(&order);
            self.untrack(&order, order.remaining + hidden);
            if was_best {
                self.touch_reference(order.market, order.line());
            }
        }
        self.state.orders.remove(&mut self.state.accounts, slot);
        if order.expiry_ns != 0 {
            self.state.due.remove(&(order.expiry_ns, due::ORDER_EXPIRY, order.id));
        }
        let hidden = self.state.triggers.hidden(&order);
        order.remaining += hidden;
        order.total += hidden;
        let special = self.forget(&order);
        self.release(command, &order, reason, output);
        1 + self.part(command, &order, &special, output)
    }

    /// Removes the record of an order that is over.
    pub(crate) fn forget(&mut self, order: &Order) -> Special {
        if order.flags & order_flag::REDUCE_ONLY != 0 {
            self.state.triggers.set_reducing(order, false);
        }
        let special = self.state.triggers.remove(order.id).expect("the flag says so");
        if special.state == waits::SLICING && special.next_ns != 0 {
            self.state.due.remove(&(special.next_ns, due::ORDER, order.id));
        }
        special
    }

    /// Cancels that ending the order in this slot may need.
    #[inline]
    pub(crate) fn cancels_needed(&self, slot: u32) -> u32 {
        match self.state.orders[slot].flags & flag::SPECIAL {
            0 => 1,
            _ => LINKED_CANCELS,
        }
    }

    /// Cancels what waits in a market, ascending by id; false when the budget or the scan did not suffice.
    pub(crate) fn cancel_waiting(
        &mut self,
        command: &Command,
        job: &mut CancelMarket,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        let Some(entry) = self.state.triggers.of_market(job.market) else { return true };
        let ids: Vec<u64> = entry.waiting.range(job.after + 1..).take(SCANNED_PER_COMMAND).copied().collect();
        let whole = ids.len() < SCANNED_PER_COMMAND;
        for id in ids {
            // One that was linked to an earlier one is gone already.
            if let Some(slot) = self.state.orders.find(id) {
                if job.side == ALL || self.state.orders[slot].side == job.side {
                    if budget.cancels < LINKED_CANCELS {
                        return false;
                    }
                    let cancels = self.cancel_slot(command, slot, job.reason, output);
                    budget.cancels -= cancels;
                    job.done += u64::from(cancels);
                }
            }
            job.after = id;
        }
        whole
    }

    /// A taker or maker with a record is over: what it leaves behind.
    #[inline(never)]
    pub(crate) fn end_special(&mut self, command: &Command, order: &Order, output: &mut Output) {
        let special = self.forget(order);
        self.part(command, order, &special, output);
    }
}
