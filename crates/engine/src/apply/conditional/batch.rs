//! Atomic batches of orders (protocol row 0302).
//!
//! The header opens the batch, each item is looked at and kept, and the last one applies all of them within its own
//! command: no other command ever sees a part. All items but the last must come to rest without taking; so what was
//! applied before one fails can be taken back exactly, and the failure leaves not one bit changed.

use super::super::work::Work;
use super::form::waits_for_price;
use crate::book::{crosses, Book};
use crate::engine::{Context, Engine};
use crate::idempotency::Known;
use crate::ledger::{line, post_between};
use crate::limits::MAX_ORDER_BATCH;
use crate::order::{flag, Order, SLOT_BITS};
use crate::output::{Output, Subject};
use crate::state::due;
use crate::trigger::Special;
use crate::wire::command::{
    order_flag, order_type, side, time_in_force, Command, Kind, PlaceBatch, PlaceOrder,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{CountBody, EventKind};

/// A batch whose items are still to come.
#[derive(Clone, Debug)]
pub struct OpenBatch {
    header: Command,
    count: u8,
    items: Vec<Command>,
    /// The first item that was refused, and its code.
    failed: Option<(u8, Code)>,
}

/// What taking an applied item back needs.
struct Applied {
    order: u64,
    market: u32,
    /// Slots of the store before it.
    slots: usize,
    reference: i64,
    stale: bool,
    /// Leverage of its position before it.
    leverage_e2: Option<u32>,
    /// Orders that it was linked to, as they were.
    linked: Vec<(u32, u16, Option<Special>)>,
}

impl<B: Book> Engine<B> {
    /// Opens a batch; the next `count` commands are its items.
    pub(crate) fn place_batch(
        &mut self,
        command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        let PlaceBatch { count, mode, following, reserved, reserved2 } = command.payload_as();
        if u32::from(reserved) | reserved2 != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved2 | u32::from(reserved)));
        }
        if mode != 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, i64::from(mode));
        }
        if count == 0 || count > MAX_ORDER_BATCH {
            return reject(Code::BATCH_TOO_LARGE, i64::from(MAX_ORDER_BATCH), i64::from(count));
        }
        if following < count {
            // The first item that is missing; there is nothing to refuse it for but that.
            return reject(Code::BATCH_ITEM_FAILED, i64::from(following), Code::MALFORMED_FRAME as i64);
        }
        let batch = OpenBatch { header: *command, count, items: Vec::new(), failed: None };
        self.pending = Some((command.seq, Work::Batch(Box::new(batch))));
        Ok(u64::from(count))
    }

    /// An item outside of a batch.
    pub(crate) fn batch_item(
        &mut self,
        command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        reject(Code::INVALID_TRANSITION, 0, command.seq as i64)
    }

    /// Whether the next command must be an item of a batch.
    pub(crate) fn collects_batch(&self) -> bool {
        matches!(self.pending, Some((_, Work::Batch(_))))
    }

    /// Takes the next item of the open batch; the last one applies the batch or refuses it.
    #[cold]
    pub(crate) fn collect_item(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<(u64, bool), Reject> {
        let Some((token, Work::Batch(mut batch))) = self.pending.take() else {
            unreachable!("only an open batch collects items")
        };
        let index = batch.items.len() as u8;
        if batch.failed.is_none() {
            batch.failed = self.admit_item(&batch.header, command).err().map(|refusal| (index, refusal.code));
        }
        batch.items.push(*command);
        let failed = batch.failed;
        let last = batch.items.len() == usize::from(batch.count);
        if let Some((item, code)) = failed {
            if !last {
                self.pending = Some((token, Work::Batch(batch)));
            }
            return reject(Code::BATCH_ITEM_FAILED, i64::from(item), code as i64);
        }
        if !last {
            self.pending = Some((token, Work::Batch(batch)));
            return Ok((0, false));
        }
        self.apply_items(command, &batch, output)
    }

    /// Steps 4 to 6 of P2.1.3 for an item: it belongs to the header's sender, and its key is fresh.
    fn admit_item(&self, header: &Command, item: &Command) -> Result<(), Reject> {
        if (item.principal, item.account, item.sub) != (header.principal, header.account, header.sub) {
            return Err(Code::UNAUTHORIZED_SIGNER.into());
        }
        crate::engine::validity(item)?;
        let handle = self.state.accounts.find(&item.account);
        let system = self.state.roles.standing(&item.principal, item.time_ns)?;
        let context = self.authorize(item, Kind::BatchItem, handle, system)?;
        if item.client_key != [0; 16] {
            let keys = &self.cursor.idempotency;
            let hash = crate::engine::body_hash(item);
            if let Known::Answer(value) = keys.check(context.account, &item.client_key, hash, item.time_ns)? {
                return reject(Code::IDEMPOTENCY_CONFLICT, value as i64, 0);
            }
        } else if !system {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        self.check_halts(item, Kind::BatchItem, &context)
    }

    /// Applies all items; the first that fails takes everything back.
    fn apply_items(
        &mut self,
        command: &Command,
        batch: &OpenBatch,
        output: &mut Output,
    ) -> Result<(u64, bool), Reject> {
        let account = self.state.accounts.find(&command.account).expect("admitted");
        let system = self.state.roles.standing(&command.principal, command.time_ns)?;
        let context = Context { account, system };
        let marks = (output.events.len(), output.postings.len());
        let counters = (self.state.next_order, self.state.next_priority);
        let subject = Subject::account(account, command.sub);
        output.emit(command, EventKind::BatchApplied, subject, &CountBody { count: u64::from(batch.count) });
        let (mut applied, mut ids) = (Vec::new(), Vec::new());
        for (index, item) in batch.items.iter().enumerate() {
            let last = index + 1 == batch.items.len();
            let stamped = Command { seq: command.seq, time_ns: command.time_ns, ..*item };
            let answer = named(item.payload_as(), &ids).and_then(|order| {
                if !last {
                    self.check_rests(&order)?;
                }
                let before = self.before_item(&order, context.account, command.sub);
                let id = self.place_order(&stamped.with(&order), context, output)?;
                Ok((id, before))
            });
            match answer {
                Ok((id, before)) => {
                    ids.push(id);
                    applied.push(Applied { order: id, ..before });
                }
                Err(refusal) => {
                    applied.iter().rev().for_each(|item| self.take_back(item));
                    (self.state.next_order, self.state.next_priority) = counters;
                    output.take_back(marks);
                    return reject(Code::BATCH_ITEM_FAILED, index as i64, refusal.code as i64);
                }
            }
        }
        self.keep_keys(batch, account, &ids);
        if self.state.triggers.has_work() && self.pending.is_none() {
            self.suspend(command, command.seq, Work::Triggers, output);
        }
        Ok((ids.last().copied().unwrap_or(0), false))
    }

    /// Header and items are remembered as accepted, so that a repetition gets the same answers.
    fn keep_keys(&mut self, batch: &OpenBatch, account: u32, ids: &[u64]) {
        let values = std::iter::once(u64::from(batch.count)).chain(ids.iter().copied());
        for (command, value) in std::iter::once(&batch.header).chain(&batch.items).zip(values) {
            if command.client_key == [0; 16] {
                continue;
            }
            let hash = crate::engine::body_hash(command);
            let until_ns = crate::engine::validity(command).expect("admitted");
            let keys = &mut self.cursor.idempotency;
            // A full window only means that this repetition would not be recognised: the orders stand.
            if let Ok(known) = keys.check(account, &command.client_key, hash, command.time_ns) {
                keys.store(account, &command.client_key, known, hash, value, until_ns);
            }
        }
    }

    /// Every item but the last must come to rest, or wait.
    fn check_rests(&self, order: &PlaceOrder) -> Result<(), Reject> {
        if waits_for_price(order.order_type) {
            return Ok(());
        }
        let one_time = matches!(order.time_in_force, time_in_force::IOC | time_in_force::FOK);
        if one_time || order.order_type == order_type::MARKET {
            return reject(Code::INVALID_TIME_IN_FORCE, 0, i64::from(order.time_in_force));
        }
        let (book, side, price) = self.placed_in(order);
        let best = book.and_then(|book| book.best(1 - (side & 1)));
        match best.filter(|&best| crosses(side, price, best)) {
            Some(best) => reject(Code::POST_ONLY_WOULD_TAKE, best, order.price),
            None => self.check_completes_nothing(order),
        }
    }

    fn before_item(&self, order: &PlaceOrder, account: u32, sub: u8) -> Applied {
        let market = order.market;
        let mut linked = Vec::new();
        let mut keep = |id: u64| {
            if let Some(slot) = self.state.orders.find(id) {
                linked.push((slot, self.state.orders[slot].flags, self.state.triggers.special(id).copied()));
            }
        };
        keep(order.linked_order);
        if let Some(entry) = self.state.triggers.special(order.linked_order) {
            entry.exits.into_iter().for_each(&mut keep);
        }
        Applied {
            order: 0,
            market,
            slots: self.state.orders.slots(),
            reference: self.reference_of(market, order.outcome),
            stale: self.state.perps.of_market(market).is_some_and(|perp| perp.stale),
            leverage_e2: self.state.perps.position(account, sub, market).map(|position| position.leverage_e2),
            linked,
        }
    }

    /// Takes an applied item back: it rests or waits and nothing has touched it since.
    fn take_back(&mut self, item: &Applied) {
        let slot = self.state.orders.find(item.order).expect("an item that was applied rests or waits");
        let order = self.state.orders[slot];
        self.unplace(&order, slot);
        self.set_reference(&order, item.reference);
        let market = &self.state.markets.list[item.market as usize];
        let (base, quote) = (market.base, market.quote);
        let asset = if order.side == side::BUY { quote } else { base };
        let (owner, lines) = ((order.account, order.sub), (line::HELD, line::FREE));
        if market.has_outcomes() && order.given_side() == side::SELL {
            let back = (order.reserve, -order.reserve);
            self.state.claims.shift(owner, order.market, order.outcome, back);
        } else {
            post_between(&mut self.state.accounts, &mut Vec::new(), owner, asset, lines, order.reserve);
        }
        self.state.orders.remove_last(&mut self.state.accounts, slot, item.slots);
        for &(slot, flags, special) in &item.linked {
            let id = self.state.orders[slot].id;
            self.state.orders[slot].flags = flags;
            match special {
                Some(special) => self.state.triggers.insert(id, special),
                None => drop(self.state.triggers.remove(id)),
            }
        }
        self.restore_leverage(&order, item);
        let stale = self.state.perps.of_market(item.market).is_some_and(|perp| perp.stale);
        if stale && !item.stale {
            self.state.perps.take_stale_back(item.market);
        }
    }

    /// Book, record and due items of an order that is taken back.
    fn unplace(&mut self, order: &Order, slot: u32) {
        if order.flags & flag::WAITING != 0 {
            self.state.triggers.leave(order);
        } else {
            self.state.books.of_mut(order).remove(&mut self.state.orders, slot);
            self.untrack(order, order.remaining + self.state.triggers.hidden(order));
        }
        if order.flags & flag::SPECIAL != 0 {
            self.forget(order);
        }
        if order.expiry_ns != 0 {
            self.state.due.remove(&(order.expiry_ns, due::ORDER_EXPIRY, order.id));
        }
    }

    fn restore_leverage(&mut self, order: &Order, item: &Applied) {
        let Some(slot) = self.state.perps.find(order.account, order.sub, order.market) else { return };
        self.state.perps.at_mut(slot).leverage_e2 = item.leverage_e2.unwrap_or(0);
        self.forget_position(order);
    }
}

/// An item that names an earlier one by its place (1 = the first) gets that one's id.
fn named(mut order: PlaceOrder, ids: &[u64]) -> Result<PlaceOrder, Reject> {
    let place = order.linked_order;
    if place == 0
        || place >> SLOT_BITS != 0
        || order.order_flags & (order_flag::OCO | order_flag::BRACKET) == 0
    {
        return Ok(order);
    }
    match ids.get(place as usize - 1) {
        Some(&id) => {
            order.linked_order = id;
            Ok(order)
        }
        None => reject(Code::INVALID_LINK, ids.len() as i64, place as i64),
    }
}
