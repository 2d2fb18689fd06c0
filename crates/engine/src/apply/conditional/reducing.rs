//! REDUCE_ONLY (protocol P2.5.2): never increases a position or flips its sign.

use super::super::work::{Budget, Taker};
use super::links::reducing_side;
use crate::book::Book;
use crate::engine::Engine;
use crate::order::Order;
use crate::output::Output;
use crate::trigger::PositionKey;
use crate::wire::command::{order_flag, Command};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::cancel_reason;

/// What a pair of orders may trade, when one of them only reduces.
pub(crate) enum Room {
    /// At most so many lots.
    Lots(i64),
    /// The maker has nothing left to reduce; it was cancelled.
    MakerGone,
    TakerEnds,
}

impl<B: Book> Engine<B> {
    /// Signed lots of a position; 0 without one. None for an unknown account.
    pub fn position(&self, account: &[u8; 32], sub: u8, market: u32) -> Option<i64> {
        let account = self.state.accounts.find(account)?;
        Some(self.position_lots((account, sub, market)))
    }

    /// Signed lots of a position; 0 without one.
    fn position_lots(&self, (account, sub, market): PositionKey) -> i64 {
        self.state.perps.position(account, sub, market).map_or(0, |position| position.lots)
    }

    /// Lots that an order of this side can take from the position.
    fn reducible(&self, order: &Order) -> i64 {
        if self.has_outcomes(order.market) {
            // It sells claims that it holds: these cannot become fewer.
            return i64::MAX;
        }
        let lots = self.position_lots((order.account, order.sub, order.market));
        if lots != 0 && reducing_side(lots) == order.side {
            lots.abs()
        } else {
            0
        }
    }

    /// Refuses an order that would open or increase the position.
    pub(super) fn check_reduces(&self, order: &Order) -> Result<(), Reject> {
        if self.reducible(order) > 0 {
            return Ok(());
        }
        let lots = self.position_lots((order.account, order.sub, order.market));
        reject(Code::REDUCE_ONLY_WOULD_INCREASE, lots, order.remaining)
    }

    /// The size of a fill between these orders as far as positions bound it.
    #[inline(never)]
    pub(crate) fn room_to_reduce(
        &mut self,
        command: &Command,
        taker: &Taker,
        maker: (u32, &Order),
        budget: &mut Budget,
        output: &mut Output,
    ) -> Room {
        let mut most = i64::MAX;
        let (slot, order) = maker;
        if order.flags & order_flag::REDUCE_ONLY != 0 {
            most = self.reducible(order);
            if most == 0 {
                budget.cancels -= self.cancel_slot(command, slot, cancel_reason::REDUCE_ONLY, output);
                return Room::MakerGone;
            }
        }
        if taker.order.flags & order_flag::REDUCE_ONLY != 0 {
            most = most.min(self.reducible(&taker.order));
        }
        if most == 0 {
            Room::TakerEnds
        } else {
            Room::Lots(most)
        }
    }

    /// A position shrank: its reduce-only orders are looked through behind this command.
    #[inline]
    pub(crate) fn note_position(&mut self, position: PositionKey) {
        let triggers = &mut self.state.triggers;
        if !triggers.reducing.is_empty() && triggers.reducing.contains_key(&position) {
            triggers.shrunk.insert(position);
        }
    }

    /// Cancels, newest first, resting reduce-only orders that lie wholly beyond their position; false when the
    /// budget did not suffice. What is larger than the rest of the position is cut when it trades.
    pub(super) fn trim_shrunk(
        &mut self,
        command: &Command,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        while let Some(&key) = self.state.triggers.shrunk.first() {
            while let Some(slot) = self.newest_beyond(key) {
                if budget.cancels < super::firing::LINKED_CANCELS {
                    return false;
                }
                budget.cancels -= self.cancel_slot(command, slot, cancel_reason::REDUCE_ONLY, output);
            }
            self.state.triggers.shrunk.remove(&key);
        }
        true
    }

    /// The newest resting reduce-only order before which the older ones use up the position.
    fn newest_beyond(&self, key: PositionKey) -> Option<u32> {
        let position = self.position_lots(key);
        let (mut left, mut newest) = (position.abs(), None);
        for &id in self.state.triggers.reducing.get(&key)? {
            let slot = self.state.orders.find(id).expect("an open order");
            let order = &self.state.orders[slot];
            if order.flags & crate::order::flag::WAITING != 0 {
                continue;
            }
            let reduces = position != 0 && reducing_side(position) == order.side;
            if !reduces || left <= 0 {
                newest = Some(slot);
            } else {
                left -= order.remaining + self.state.triggers.hidden(order);
            }
        }
        newest
    }
}
