//! Orders that wait or come in parts (P2.5): triggers, icebergs, slices and links by the auditor's own rules.

use super::book::{Order, BUY};
use super::fault::{ensure, fault, Check};
use super::perpetual::PERPETUAL;
use super::validity::TRIGGERING;
use super::{Auditor, Market};
use crate::trigger;
use crate::wire::command::{order_flag, order_type, side, time_in_force};
use crate::wire::event::{
    link_kind, resize_cause, Event, EventKind, FiredBody, IcebergBody, LinkBody, OrderBody,
    OrderBody as Body, ResizeBody, SliceBody, TriggerBody, TwapBody,
};

/// A slice is at most so many times its base size.
const CATCH_UP: i64 = 3;
const SECOND_NS: i64 = 1_000_000_000;
const SPOT: u8 = 0;

/// What events said about one order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Special {
    trigger_price: i64,
    trail: i64,
    limit: i64,
    fired: bool,
    /// The other order of its pair.
    partner: u64,
    /// The entry of its bracket.
    entry: u64,
    slices: u16,
    sent: u16,
    /// When the next slice is due, and the time between two, in ns.
    next_ns: i64,
    interval_ns: i64,
    /// Whether a slice runs.
    slicing: bool,
}

impl Special {
    pub fn taken_over(special: &trigger::Special, trigger_price: i64) -> Self {
        Special {
            trigger_price,
            trail: special.trail,
            limit: special.limit,
            fired: special.state == trigger::waits::QUEUED,
            partner: special.partner,
            entry: special.entry,
            slices: special.slices,
            sent: special.sent,
            next_ns: special.next_ns,
            interval_ns: i64::from(special.interval_s) * SECOND_NS,
            slicing: false,
        }
    }
}

/// Types that wait outside of the book when they are accepted.
pub(super) fn waits(kind: u8) -> bool {
    matches!(
        kind,
        order_type::STOP
            | order_type::STOP_LIMIT
            | order_type::TAKE_PROFIT
            | order_type::TRAILING_STOP
            | order_type::TWAP
    )
}

/// A waiting sell of a spot market is secured at once, unless it is sliced or one of a pair.
pub(super) fn secured_while_waiting(market: &Market, body: &Body) -> bool {
    let linked = body.order_flags & (order_flag::OCO | order_flag::BRACKET) != 0;
    market.kind == SPOT && body.side != BUY && body.order_type != order_type::TWAP && !linked
}

/// Base size of a slice: what the shares of the total, rounded down, differ by.
fn base_size(total: i64, slices: u16, index: u16) -> i64 {
    let share = |index: i128| i128::from(total) * index / i128::from(slices);
    (share(i128::from(index) + 1) - share(i128::from(index))) as i64
}

impl Auditor {
    pub(super) fn check_special(&mut self, kind: EventKind, event: &Event) -> Check {
        match kind {
            EventKind::TriggerPlaced => self.trigger_placed(event),
            EventKind::TriggerFired => self.trigger_fired(event),
            EventKind::OrderActivated => self.order_activated(event),
            EventKind::IcebergShown => self.iceberg_shown(event),
            EventKind::TwapPlaced => self.twap_placed(event),
            EventKind::SliceSent => self.slice_sent(event),
            EventKind::SliceEnded => self.slice_ended(event),
            EventKind::OrderLinked => self.order_linked(event),
            _ => self.order_resized(event),
        }
    }

    fn special_of(&self, order: &Order) -> Check<Special> {
        let special = self.specials.get(&order.id).copied();
        special.ok_or_else(|| fault("I26", format_args!("nothing is special about order {}", order.id)))
    }

    /// An open order that waits.
    fn parked(&self, event: &Event) -> Check<(u32, Order)> {
        let slot = self.books.find(event.order)?;
        let order = self.books.orders[slot as usize];
        ensure!(order.parked, "I26", "order {} does not wait", order.id);
        Ok((slot, order))
    }

    fn trigger_placed(&mut self, event: &Event) -> Check {
        let body: TriggerBody = event.body_as();
        let (_, order) = self.parked(event)?;
        ensure!(
            body.reserve == order.reserve && body.inactive_lots == order.hidden,
            "I07",
            "order {} waits with reserve {} and {} inactive lots",
            order.id,
            body.reserve,
            body.inactive_lots
        );
        ensure!(
            (order.kind == order_type::TRAILING_STOP) == (body.trail != 0),
            "I26",
            "order {} has a trail of {}",
            order.id,
            body.trail
        );
        let entry = self.specials.entry(order.id).or_default();
        (entry.trigger_price, entry.trail, entry.limit) = (body.trigger_price, body.trail, body.limit);
        Ok(())
    }

    fn trigger_fired(&mut self, event: &Event) -> Check {
        let body: FiredBody = event.body_as();
        let (slot, order) = self.parked(event)?;
        if self.market(order.market)?.kind == PERPETUAL {
            self.check_feed_allows(order.market, TRIGGERING, false)?;
        }
        let special = self.special_of(&order)?;
        let takes_profit = order.kind == order_type::TAKE_PROFIT;
        let rising = takes_profit == (order.side == side::SELL);
        let reached = if rising {
            body.source_price >= body.trigger_price
        } else {
            body.source_price <= body.trigger_price
        };
        ensure!(
            reached && !special.fired,
            "I26",
            "order {} fires at {}, its trigger is {}",
            order.id,
            body.source_price,
            body.trigger_price
        );
        // A stop only ever trails in its order's favour.
        let moved = match (special.trail, order.side) {
            (0, _) => body.trigger_price == special.trigger_price,
            (_, side::SELL) => body.trigger_price >= special.trigger_price,
            _ => body.trigger_price <= special.trigger_price,
        };
        ensure!(moved, "I26", "the trigger of order {} moved to {}", order.id, body.trigger_price);
        ensure!(order.shown() > 0, "I26", "order {} fires without active lots", order.id);
        let limited = special.limit == 0 || body.limit == special.limit;
        ensure!(limited && body.limit > 0, "I26", "order {} fires with the limit {}", order.id, body.limit);
        self.books.orders[slot as usize].price = body.limit;
        self.specials.entry(order.id).or_default().fired = true;
        Ok(())
    }

    /// A fired order acts: it is secured now and takes, or rests.
    fn order_activated(&mut self, event: &Event) -> Check {
        let body: OrderBody = event.body_as();
        let (slot, mut order) = self.parked(event)?;
        let body = self.market(order.market)?.in_book_terms(&body);
        let special = self.special_of(&order)?;
        let cut = order.remaining - body.remaining_lots;
        if order.on_claims && order.reduces() && cut > 0 && body.remaining_lots > 0 {
            // It sells whatever its owner has of what it was asked for.
            let free = self.claim(order.account, order.sub, order.market, order.outcome).0;
            let lots = free / self.market(order.market)?.lot_size;
            ensure!(
                lots == body.remaining_lots,
                "I26",
                "order {} is cut to {} lots, its owner has {lots}",
                order.id,
                body.remaining_lots
            );
            self.books.shrink(slot, body.remaining_lots);
            self.books.orders[slot as usize].total -= cut;
            order = self.books.orders[slot as usize];
        }
        ensure!(special.fired, "I26", "order {} acts before it fired", order.id);
        ensure!(body.price == order.price, "I26", "order {} acts with the limit {}", order.id, body.price);
        let takes_only = special.limit == 0;
        ensure!(
            !takes_only || (body.time_in_force == time_in_force::IOC && body.resting == 0),
            "I26",
            "order {} fired at the market and rests",
            order.id
        );
        let market = self.check_takes_risk(order.market, order.flags)?;
        let entry = &mut self.books.orders[slot as usize];
        entry.price = body.price;
        entry.fee_cap_e6bp = market.fee_cap_e6bp();
        let reserve = market.reserve_of(entry, order.remaining)?;
        entry.reserve = reserve;
        let changed = *entry;
        self.secure(&order, reserve - order.reserve);
        self.books.park(slot, false);
        self.check_body(&changed, event, &body)?;
        self.check_acting(slot, changed.shown())?;
        if body.resting == 1 {
            self.books.rest(slot, body.priority)?;
        }
        Ok(())
    }

    /// What an iceberg displays: after it came to rest, after a fill used it up, after a replace.
    fn iceberg_shown(&mut self, event: &Event) -> Check {
        let body: IcebergBody = event.body_as();
        let slot = self.books.find(event.order)?;
        let order = self.books.orders[slot as usize];
        ensure!(
            order.kind == order_type::ICEBERG && order.rests(),
            "I06",
            "order {} shows a part and does not rest",
            order.id
        );
        ensure!(
            body.displayed_lots > 0
                && body.displayed_lots <= body.display
                && body.hidden_lots >= 0
                && body.displayed_lots + body.hidden_lots == order.remaining,
            "I06",
            "order {} shows {} and hides {} of {}",
            order.id,
            body.displayed_lots,
            body.hidden_lots,
            order.remaining
        );
        if body.priority == order.priority {
            self.books.hide(slot, body.hidden_lots);
            return Ok(());
        }
        // A refill: nothing was shown any more, and it joins the back of its level.
        ensure!(order.shown() == 0, "I06", "order {} refills {} shown lots", order.id, order.shown());
        self.books.lift(slot);
        self.books.hide(slot, body.hidden_lots);
        self.books.rest(slot, body.priority)
    }

    fn twap_placed(&mut self, event: &Event) -> Check {
        let body: TwapBody = event.body_as();
        let (_, order) = self.parked(event)?;
        ensure!(order.kind == order_type::TWAP, "I26", "order {} has slices", order.id);
        ensure!(
            body.slices >= 2 && body.slices <= 100,
            "I20",
            "order {} has {} slices",
            order.id,
            body.slices
        );
        let entry = self.specials.entry(order.id).or_default();
        (entry.slices, entry.limit) = (body.slices, body.limit);
        (entry.next_ns, entry.interval_ns) = (body.next_ns, i64::from(body.interval_s) * SECOND_NS);
        Ok(())
    }

    fn slice_sent(&mut self, event: &Event) -> Check {
        let body: SliceBody = event.body_as();
        let (slot, order) = self.parked(event)?;
        let special = self.special_of(&order)?;
        // The latest slice whose time has come; those before it that were not sent are carried.
        let late = (event.time_ns - special.next_ns) / special.interval_ns.max(1);
        let index = (i64::from(special.sent) + late).min(i64::from(special.slices) - 1);
        let next_ns = match i64::from(special.slices) - 1 - index {
            0 => 0,
            _ => special.next_ns + (index + 1 - i64::from(special.sent)) * special.interval_ns,
        };
        ensure!(
            event.time_ns >= special.next_ns
                && special.sent < special.slices
                && (i64::from(body.slice), body.next_ns) == (index, next_ns),
            "I26",
            "slice {} of order {} behind {} of {} slices is {index}, the next at {next_ns}, told {}",
            body.slice,
            order.id,
            special.sent,
            special.slices,
            body.next_ns
        );
        ensure!(body.remaining_lots == order.remaining, "I26", "order {} lost lots", order.id);
        let entry = self.specials.entry(order.id).or_default();
        (entry.sent, entry.next_ns) = (body.slice + 1, next_ns);
        if body.lots == 0 {
            ensure!(body.code != 0 && body.reserve == 0, "I26", "an empty slice has no reason");
            return Ok(());
        }
        entry.slicing = true;
        if self.market(order.market)?.kind == PERPETUAL {
            // A slice is judged by its flag alone.
            let owner = (order.account, order.sub, order.market);
            self.check_feed_takes(owner, order.flags, (order.side, i64::MAX))?;
        }
        let most = CATCH_UP * base_size(order.total, special.slices, body.slice);
        ensure!(
            body.lots <= most && body.lots <= order.remaining,
            "I26",
            "slice {} of order {} has {} lots, at most {most} of {}",
            body.slice,
            order.id,
            body.lots,
            order.remaining
        );
        let within = match (special.limit, order.side) {
            (0, _) => true,
            (limit, BUY) => body.price <= limit,
            (limit, _) => body.price >= limit,
        };
        ensure!(within && body.price > 0, "I26", "a slice of order {} at {}", order.id, body.price);
        let market = self.check_takes_risk(order.market, order.flags)?;
        let reserve = market.reserve(order.side, body.price, body.lots, market.fee_cap_e6bp())?;
        ensure!(body.reserve == reserve, "I07", "a slice reserves {}, not {reserve}", body.reserve);
        let entry = &mut self.books.orders[slot as usize];
        (entry.price, entry.fee_cap_e6bp, entry.reserve) = (body.price, market.fee_cap_e6bp(), reserve);
        self.ledger.reserve(order.balance, reserve);
        self.books.park(slot, false);
        self.books.hide(slot, order.remaining - body.lots);
        self.check_acting(slot, body.lots)
    }

    fn slice_ended(&mut self, event: &Event) -> Check {
        let body: SliceBody = event.body_as();
        let slot = self.books.find(event.order)?;
        let order = self.books.orders[slot as usize];
        let special = self.special_of(&order)?;
        ensure!(special.slicing && !order.parked, "I26", "no slice of order {} runs", order.id);
        ensure!(
            body.lots == order.shown() && body.remaining_lots == order.remaining,
            "I26",
            "a slice of order {} leaves {} of {} lots",
            order.id,
            body.lots,
            body.remaining_lots
        );
        ensure!(
            body.reserve == order.reserve,
            "I07",
            "a slice of order {} releases {}, its reserve is {}",
            order.id,
            body.reserve,
            order.reserve
        );
        self.ledger.reserve(order.balance, -order.reserve);
        self.books.orders[slot as usize].reserve = 0;
        self.books.hide(slot, 0);
        self.books.park(slot, true);
        self.specials.entry(order.id).or_default().slicing = false;
        if order.remaining == 0 {
            self.close_order(slot);
        }
        Ok(())
    }

    fn order_linked(&mut self, event: &Event) -> Check {
        let body: LinkBody = event.body_as();
        let (one, other) = (self.books.find(event.order)?, self.books.find(body.other)?);
        let (one, other) = (self.books.orders[one as usize], self.books.orders[other as usize]);
        let place = |order: &Order| (order.account, order.sub, order.market);
        ensure!(place(&one) == place(&other), "I26", "orders {} and {} are apart", one.id, other.id);
        if body.kind == link_kind::BRACKET {
            self.specials.entry(one.id).or_default().entry = other.id;
            return Ok(());
        }
        for (id, partner) in [(one.id, other.id), (other.id, one.id)] {
            self.specials.entry(id).or_default().partner = partner;
        }
        Ok(())
    }

    /// A linked order grew or shrank where it stands.
    fn order_resized(&mut self, event: &Event) -> Check {
        let body: ResizeBody = event.body_as();
        let slot = self.books.find(event.order)?;
        let order = self.books.orders[slot as usize];
        let special = self.special_of(&order)?;
        let remaining = body.remaining_lots + body.inactive_lots;
        let cut = order.remaining - remaining;
        let known = match body.cause {
            resize_cause::OCO => special.partner == body.other && cut > 0,
            resize_cause::BRACKET => {
                special.entry == body.other && cut == 0 && body.inactive_lots < order.hidden
            }
            resize_cause::ENTRY_ENDED => special.entry == body.other && cut == order.hidden && cut > 0,
            _ => false,
        };
        ensure!(known && remaining > 0, "I26", "order {} becomes {body:?}", order.id);
        // Hidden lots go first; lots that wait for an entry are the event's.
        let hidden = if order.parked { body.inactive_lots } else { (order.hidden - cut).max(0) };
        self.books.shrink(slot, remaining);
        self.books.hide(slot, hidden);
        let market = *self.market(order.market)?;
        let secured = if order.reserve == 0 { 0 } else { remaining };
        let reserve = market.reserve_of(&order, secured)?;
        ensure!(
            body.reserve == reserve,
            "I07",
            "order {} reserves {}, not {reserve}",
            order.id,
            body.reserve
        );
        if body.cause == resize_cause::BRACKET && order.hidden == order.remaining && special.trail != 0 {
            // Its entry's first fill arms a trailing exit: it trails from the price of that moment, not of its placing.
            let free = if order.side == side::SELL { 0 } else { i64::MAX };
            self.specials.entry(order.id).or_default().trigger_price = free;
        }
        let entry = &mut self.books.orders[slot as usize];
        entry.total -= cut;
        entry.reserve = reserve;
        self.secure(&order, reserve - order.reserve);
        Ok(())
    }
}
