//! Open orders go before a step does (protocol P5.5).

use crate::apply::work::Budget;
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::*;
use crate::order::NONE;
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::event::cancel_reason;

use super::step::Liquidation;

/// Open orders of a sub-account that is liquidated, as far as they are found and cancelled. Nobody adds one meanwhile.
#[derive(Clone, Debug, Default)]
pub(super) struct Clearing {
    /// Where the list of the account's orders is read on; None = from its beginning.
    next: Option<u32>,
    /// Slots of orders in the market that is reduced, and of the others; the last ones found are the first.
    here: Vec<u32>,
    elsewhere: Vec<u32>,
}

impl<B: Book> Engine<B> {
    /// Cancels the sub-account's open orders, the market's first; how many, None when the budget ended before.
    pub(super) fn cancel_for_liquidation(
        &mut self,
        command: &Command,
        job: &mut Liquidation,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<u32> {
        if self.state.accounts.list[job.account as usize].open_orders == 0 {
            return Some(0);
        }
        if !self.find_orders_in_the_way(job, budget) {
            return None;
        }
        let mut cancelled = 0;
        let clearing = &mut job.clearing;
        loop {
            let waiting = if clearing.here.is_empty() { &mut clearing.elsewhere } else { &mut clearing.here };
            let Some(&slot) = waiting.last() else { return Some(cancelled) };
            // An order that was linked to it may have taken it along.
            if self.state.orders[slot].id != 0 {
                if budget.cancels < self.cancels_needed(slot) || !budget.admits(CANCEL_EFFORT) {
                    return None;
                }
                let cancels = self.cancel_slot(command, slot, cancel_reason::LIQUIDATION, output);
                budget.cancels -= cancels;
                budget.spend(CANCEL_EFFORT * cancels);
                cancelled += cancels;
            }
            waiting.pop();
        }
    }

    /// Reads the list of the account's orders; false when the budget ended before.
    fn find_orders_in_the_way(&self, job: &mut Liquidation, budget: &mut Budget) -> bool {
        let (sub, market) = (job.sub, job.market);
        let clearing = &mut job.clearing;
        let mut next = clearing.next.unwrap_or(self.state.accounts.list[job.account as usize].first_order);
        while next != NONE {
            if !budget.admits(SCAN_EFFORT) {
                clearing.next = Some(next);
                return false;
            }
            budget.spend(SCAN_EFFORT);
            let order = &self.state.orders[next];
            if order.sub == sub {
                let list = if order.market == market { &mut clearing.here } else { &mut clearing.elsewhere };
                list.push(next);
            }
            next = order.account_next;
        }
        if clearing.next != Some(NONE) {
            // The first of the list goes first.
            clearing.here.reverse();
            clearing.elsewhere.reverse();
        }
        clearing.next = Some(NONE);
        true
    }
}
