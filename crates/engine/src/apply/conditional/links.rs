//! Orders that hang together (protocol P2.5.7): one cancels the other; an entry and its exits.

use super::super::matching::Step;
use super::super::orders::subject;
use super::super::work::{Budget, Taker};
use super::reducing::Room;
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::{line, post_between};
use crate::market::{kind, MarketRules};
use crate::order::{flag, Order};
use crate::output::Output;
use crate::trigger::{waits, Special};
use crate::wire::command::{order_flag, order_type, side, Command, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{cancel_reason, link_kind, resize_cause, EventKind, LinkBody, ResizeBody};

/// What a fill with a record costs, in plain fills.
const SPECIAL_FILL: u32 = 4;

/// What a new order is linked to, by slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    None,
    /// One cancels the other.
    Pair {
        other: u32,
    },
    /// An exit of this entry, beside the exit that is there already.
    Exit {
        entry: u32,
    },
}

/// Whether an exit takes the profit (and not the loss).
fn takes_profit(order: &Order) -> bool {
    order.order_type == order_type::TAKE_PROFIT
}

impl<B: Book> Engine<B> {
    /// The order that a new one names must be open, of the same owner, sub-account and market, and free.
    pub(super) fn check_links(&self, order: &Order, request: &PlaceOrder) -> Result<Links, Reject> {
        if request.linked_order == 0 {
            return Ok(Links::None);
        }
        let bad = |bound: i64| reject(Code::INVALID_LINK, bound, request.linked_order as i64);
        let Some(slot) = self.state.orders.find(request.linked_order) else { return bad(0) };
        let other = &self.state.orders[slot];
        let place = |order: &Order| (order.account, order.sub, order.market, order.outcome);
        let fixed = other.order_type == order_type::TWAP || other.flags & flag::OFFER != 0;
        if place(other) != place(order) || fixed {
            return bad(0);
        }
        let record =
            if other.flags & flag::SPECIAL == 0 { Special::PLAIN } else { self.state.triggers.of(other) };
        if request.order_flags & order_flag::OCO != 0 {
            let free = record.partner == 0 && record.entry == 0 && record.exits == [0; 2];
            return if free { Ok(Links::Pair { other: slot }) } else { bad(record.partner as i64) };
        }
        // An exit reduces the position that the entry opens, which only leveraged markets have.
        let leveraged = self.state.markets.list[order.market as usize].kind == kind::PERPETUAL;
        let open = other.remaining + record.hidden;
        if !leveraged || other.side == order.side || request.lots != open {
            return bad(open);
        }
        let is_entry = record.partner == 0 && record.entry == 0 && record.state == waits::NOT;
        let exits = record.exits.map(|id| self.state.orders.find(id).map(|slot| self.state.orders[slot]));
        let fits = exits.iter().flatten().all(|exit| takes_profit(exit) != takes_profit(order));
        if !is_entry || !fits || exits.iter().all(Option::is_some) {
            return bad(0);
        }
        Ok(Links::Exit { entry: slot })
    }

    /// Links an accepted order.
    pub(super) fn link(&mut self, command: &Command, order: &Order, links: Links, output: &mut Output) {
        let (Links::Pair { other: slot } | Links::Exit { entry: slot }) = links else { return };
        let other = &mut self.state.orders[slot];
        let first = other.flags & flag::SPECIAL == 0;
        other.flags |= flag::SPECIAL;
        let other = *other;
        if first {
            self.state.triggers.insert(other.id, Special::PLAIN);
        }
        if let Links::Pair { .. } = links {
            self.pair(command, order, &other, output);
            return;
        }
        let record = self.state.triggers.special_mut(other.id).expect("inserted above");
        let place = usize::from(record.exits[0] != 0);
        let sibling = record.exits[1 - place];
        record.exits[place] = order.id;
        self.state.triggers.special_mut(order.id).expect("a new order has its record").entry = other.id;
        let body = LinkBody { other: other.id, kind: link_kind::BRACKET, ..bytemuck::Zeroable::zeroed() };
        output.emit(command, EventKind::OrderLinked, subject(order), &body);
        if let Some(slot) = self.state.orders.find(sibling) {
            let sibling = self.state.orders[slot];
            self.pair(command, order, &sibling, output);
        }
    }

    fn pair(&mut self, command: &Command, order: &Order, other: &Order, output: &mut Output) {
        for (one, partner) in [(order.id, other.id), (other.id, order.id)] {
            self.state.triggers.special_mut(one).expect("both have records").partner = partner;
        }
        let body = LinkBody { other: other.id, kind: link_kind::OCO, ..bytemuck::Zeroable::zeroed() };
        output.emit(command, EventKind::OrderLinked, subject(order), &body);
    }

    /// An order is over: what was linked to it goes on alone, and exits keep the part that became active. Returns
    /// the number of cancels that this causes.
    pub(super) fn part(
        &mut self,
        command: &Command,
        order: &Order,
        special: &Special,
        output: &mut Output,
    ) -> u32 {
        if let Some(partner) = self.state.triggers.special_mut(special.partner) {
            partner.partner = 0;
        }
        if let Some(entry) = self.state.triggers.special_mut(special.entry) {
            entry.exits.iter_mut().filter(|id| **id == order.id).for_each(|id| *id = 0);
        }
        let mut cancels = 0;
        for id in special.exits {
            let Some(slot) = self.state.orders.find(id) else { continue };
            let exit = self.state.triggers.special_mut(id).expect("an exit has a record");
            exit.entry = 0;
            let dropped = std::mem::take(&mut exit.hidden);
            if self.state.orders[slot].remaining == 0 {
                self.state.triggers.special_mut(id).expect("present above").hidden = dropped;
                cancels += self.cancel_slot(command, slot, cancel_reason::LINKED, output);
            } else if dropped != 0 {
                self.emit_resized(command, slot, resize_cause::ENTRY_ENDED, order.id, output);
            }
        }
        cancels
    }

    /// Before a fill shrinks an entry: its exits grow by the same lots.
    fn grow_exits(
        &mut self,
        command: &Command,
        (order, record): (&Order, &Special),
        lots: i64,
        output: &mut Output,
    ) {
        for id in record.exits {
            let Some(slot) = self.state.orders.find(id) else { continue };
            let exit = self.state.triggers.special_mut(id).expect("an exit has a record");
            let grown = lots.min(exit.hidden);
            if grown == 0 {
                continue;
            }
            exit.hidden -= grown;
            let (first, source) = (exit.state == waits::INACTIVE, exit.source);
            let stored = &mut self.state.orders[slot];
            stored.remaining += grown;
            stored.total += grown;
            let stored = *stored;
            if first {
                self.arm_exit(&stored, source);
            }
            self.emit_resized(command, slot, resize_cause::BRACKET, order.id, output);
        }
    }

    /// The first fill of its entry arms an exit; a price that is beyond its trigger already fires it at once.
    fn arm_exit(&mut self, exit: &Order, source: u8) {
        let now = self.source_price(exit.market, source);
        let special = self.state.triggers.special_mut(exit.id).expect("an exit has a record");
        special.state = waits::PENDING;
        special.extreme = now.unwrap_or(special.extreme);
        self.state.triggers.arm(exit);
        if let Some(now) = now {
            self.state.triggers.note_armed(exit.market, source, now);
        }
    }

    /// A fill between two orders of which at least one has a record: bounded by positions, felt by linked orders.
    #[inline(never)]
    pub(crate) fn fill_special(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        (slot, maker): (u32, &Order),
        budget: &mut Budget,
        output: &mut Output,
    ) -> Step {
        let room = match self.room_to_reduce(command, taker, (slot, maker), budget, output) {
            Room::MakerGone => return Step::Goes,
            Room::TakerEnds => return Step::Ends(cancel_reason::REDUCE_ONLY),
            Room::Lots(room) => room,
        };
        let lots = taker.order.remaining.min(maker.remaining).min(room);
        budget.fills = budget.fills.saturating_sub(SPECIAL_FILL);
        if (maker.flags | taker.order.flags) & flag::OFFER != 0 {
            return self.fill_offer(command, taker, (slot, maker), lots, budget, output);
        }
        let record = |order: &Order| match order.flags & flag::SPECIAL {
            0 => Special::PLAIN,
            _ => self.state.triggers.of(order),
        };
        let (making, taking) = (record(maker), record(&taker.order));
        self.grow_exits(command, (maker, &making), lots, output);
        self.grow_exits(command, (&taker.order, &taking), lots, output);
        self.fill(command, taker, slot, maker, lots, output);
        let whole = maker.remaining + making.hidden == lots;
        self.after_linked_fill(command, making.partner, (maker.id, lots, whole), budget, output);
        let whole = taker.order.remaining + taking.hidden == 0;
        self.after_linked_fill(command, taking.partner, (taker.order.id, lots, whole), budget, output);
        Step::Goes
    }

    /// After a fill of `lots`: the other order of the pair ends with a full fill, and shrinks with a partial one.
    pub(crate) fn after_linked_fill(
        &mut self,
        command: &Command,
        partner: u64,
        filled: (u64, i64, bool),
        budget: &mut Budget,
        output: &mut Output,
    ) {
        let Some(slot) = self.state.orders.find(partner) else { return };
        let (by, lots, whole) = filled;
        let order = &self.state.orders[slot];
        let open = order.remaining + self.state.triggers.hidden(order);
        if whole || open <= lots {
            budget.cancels -= self.cancel_slot(command, slot, cancel_reason::LINKED, output);
        } else {
            self.shrink_order(command, slot, lots, (resize_cause::OCO, by), output);
        }
    }

    /// Shrinks an open order by `lots` where it stands; some must remain.
    pub(super) fn shrink_order(
        &mut self,
        command: &Command,
        slot: u32,
        lots: i64,
        (cause, by): (u8, u64),
        output: &mut Output,
    ) {
        self.take_lots(slot, lots);
        let freed = self.free_reserve(slot, output);
        self.emit_resized(command, slot, cause, by, output);
        let order = self.state.orders[slot];
        if self.has_outcomes(order.market) {
            self.hold_claims(command, &order, -freed, output);
        }
    }

    /// Returns what an order holds beyond what its lots need now, money at once; how much that is.
    fn free_reserve(&mut self, slot: u32, output: &mut Output) -> i64 {
        let order = self.state.orders[slot];
        if order.reserve == 0 {
            return 0;
        }
        let market = &self.state.markets.list[order.market as usize];
        let lots = order.remaining + self.state.triggers.hidden(&order);
        if market.has_outcomes() {
            let needed = self.outcome_reserve(&order, lots).expect("a part is not larger than its order");
            let freed = order.reserve - needed;
            self.hold_quote(&order, -freed, output);
            self.state.orders[slot].reserve = needed;
            return freed;
        }
        let needed = market.rules().reserve(market, order.side, order.price, lots, order.fee_cap_e6bp);
        let (asset, needed) = needed.expect("a part is not larger than its accepted order");
        let (owner, lines) = ((order.account, order.sub), (line::HELD, line::FREE));
        let freed = order.reserve - needed;
        post_between(&mut self.state.accounts, &mut output.postings, owner, asset, lines, freed);
        self.state.orders[slot].reserve = needed;
        freed
    }

    pub(super) fn emit_resized(
        &self,
        command: &Command,
        slot: u32,
        cause: u8,
        other: u64,
        output: &mut Output,
    ) {
        let order = &self.state.orders[slot];
        let special = self.state.triggers.special(order.id);
        let inactive =
            special.filter(|special| special.state != waits::NOT).map_or(0, |special| special.hidden);
        let unseen =
            special.filter(|special| special.state == waits::NOT).map_or(0, |special| special.hidden);
        let body = ResizeBody {
            remaining_lots: order.remaining + unseen,
            inactive_lots: inactive,
            total_lots: order.total + unseen,
            reserve: order.reserve,
            other,
            cause,
            ..bytemuck::Zeroable::zeroed()
        };
        output.emit(command, EventKind::OrderResized, subject(order), &body);
    }
}

/// The side that reduces a position of this sign.
pub(super) fn reducing_side(lots: i64) -> u8 {
    if lots > 0 {
        side::SELL
    } else {
        side::BUY
    }
}
