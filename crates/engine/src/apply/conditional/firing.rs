//! Triggers: which orders a price fires, and how fired orders run (protocol P2.5.3, P2.5.4).
//!
//! A command only notes the prices it saw. The continuations behind it find what fires, in O(log n) an order, put it
//! into the market's queue, and run the queue ascending by order id, each order as a new taker.

use super::super::orders::{emit_order, subject};
use super::super::work::{Budget, Work};
use super::form::is_reached;
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::limits::*;
use crate::market::{slipped, status};
use crate::order::{flag, Order};
use crate::output::Output;
use crate::trigger::{waits, Special, SOURCES};
use crate::wire::command::{order_flag, time_in_force, trigger_source, Command};
use crate::wire::error::{Code, Reject};
use crate::wire::event::{cancel_reason, EventKind, FiredBody};

/// Most cancels that one cancelled or fired order causes: itself and what is linked to it.
pub(crate) const LINKED_CANCELS: u32 = 3;
/// What running one order costs, in fills.
const RUN_IN_FILLS: u32 = 8;

/// What one command may still do for triggers.
struct Allowance {
    fired: u32,
    moves: u32,
    runs: u32,
}

impl<B: Book> Engine<B> {
    /// Looks at the prices that were seen and runs what they fired. Returns what is left.
    #[inline(never)]
    pub(crate) fn run_triggers(
        &mut self,
        command: &Command,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Work> {
        let mut left =
            Allowance { fired: FIRED_PER_COMMAND, moves: TRAIL_MOVES_PER_COMMAND, runs: RUNS_PER_COMMAND };
        loop {
            if !self.trim_shrunk(command, budget, output) {
                return Some(Work::Triggers);
            }
            let market = *self.state.triggers.dirty.first()?;
            if !self.look_at_prices(command, market, &mut left, budget, output) {
                return Some(Work::Triggers);
            }
            let next = self.state.triggers.of_market(market).and_then(|entry| entry.queue.first().copied());
            let Some(id) = next else {
                self.state.triggers.dirty.remove(&market);
                continue;
            };
            if left.runs == 0 || budget.fills < RUN_IN_FILLS || budget.cancels < LINKED_CANCELS {
                return Some(Work::Triggers);
            }
            left.runs -= 1;
            budget.fills -= RUN_IN_FILLS;
            if let Some(unfinished) = self.run_queued(command, id, budget, output) {
                return Some(unfinished);
            }
        }
    }

    /// Fires what the seen prices of a market reach; false when the allowance did not suffice.
    fn look_at_prices(
        &mut self,
        command: &Command,
        market: u32,
        left: &mut Allowance,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        for source in 0..SOURCES as u8 {
            while let Some(price) = self.next_price(market, source) {
                if self.evaluates_triggers(market) {
                    if !self.state.triggers.ratchet(market, source, price, &mut left.moves) {
                        return false;
                    }
                    while let Some(id) = self.state.triggers.next_fired(market, source, price) {
                        if left.fired == 0 || budget.cancels < LINKED_CANCELS {
                            return false;
                        }
                        left.fired -= 1;
                        self.fire(command, self.first_of_pair(id, price), price, budget, output);
                    }
                }
                if self.state.triggers.watches(market) {
                    self.state.triggers.market_mut(market).pass_price(source);
                }
            }
        }
        true
    }

    /// The mark or the index of a market has changed.
    pub(crate) fn note_market_prices(&mut self, market: u32) {
        if !self.state.triggers.watches(market) {
            return;
        }
        for source in [trigger_source::MARK, trigger_source::INDEX] {
            if let Some(price) = self.source_price(market, source) {
                self.state.triggers.note_price(market, source, price);
            }
        }
    }

    fn next_price(&self, market: u32, source: u8) -> Option<i64> {
        self.state.triggers.of_market(market)?.next_price(source)
    }

    /// Of a pair that one price reaches the lower id fires, and cancels the other (P2.5.3, P2.5.7).
    fn first_of_pair(&self, id: u64, price: i64) -> u64 {
        let Some(&Special { partner, source, .. }) = self.state.triggers.special(id) else { return id };
        let (Some(slot), true) = (self.state.orders.find(partner), partner < id) else { return id };
        let order = &self.state.orders[slot];
        let waits_too = self
            .state
            .triggers
            .special(partner)
            .is_some_and(|other| other.state == waits::PENDING && other.source == source);
        let reached = || {
            let trigger = self.state.triggers.trigger_price(order);
            is_reached(order.order_type, order.side, trigger, price)
        };
        if waits_too && reached() {
            partner
        } else {
            id
        }
    }

    /// Whether prices may fire orders now: the market trades, and the oracle matrix (row trigger evaluation, P6.5)
    /// allows it. A price that is passed over here fires at the next one seen after the obstacle is gone.
    fn evaluates_triggers(&self, market: u32) -> bool {
        let (feeds, now_ns) = (&self.state.feeds, self.cursor.time_ns);
        let feed = self.state.perps.of_market(market).map(|perp| perp.feed);
        self.may_trade(market) && feed.is_none_or(|feed| feeds.check(feed, Action::Trigger, now_ns).is_ok())
    }

    /// Whether the market's status and the pauses let orders trade now.
    pub(super) fn may_trade(&self, market: u32) -> bool {
        let entry = &self.state.markets.list[market as usize];
        matches!(entry.status, status::ACTIVE | status::CLOSE_ONLY)
            && entry.pause.is_none()
            && self.state.platform_pause.is_none()
            && self.halt_cell(Action::Reduce, Some(market)) == Cell::Allowed
    }

    /// Moves a reached order into its market's queue; what is linked to it ends in the same command.
    fn fire(&mut self, command: &Command, id: u64, price: i64, budget: &mut Budget, output: &mut Output) {
        let slot = self.state.orders.find(id).expect("a waiting order is open");
        let order = self.state.orders[slot];
        let trigger_price = self.state.triggers.trigger_price(&order);
        self.state.triggers.disarm(&order);
        let special = self.state.triggers.special_mut(id).expect("a waiting order has a record");
        special.state = waits::QUEUED;
        special.trigger_price = trigger_price;
        let Special { source, extreme, partner, entry, limit, slippage_bp, .. } = *special;
        if limit == 0 {
            let market = &self.state.markets.list[order.market as usize];
            self.state.orders[slot].price = if market.has_outcomes() {
                market.slipped_claim(order.side, trigger_price, slippage_bp)
            } else {
                slipped(order.side, trigger_price.max(1), u32::from(slippage_bp)).min(MAX_PRICE)
            };
        }
        self.state.triggers.market_mut(order.market).queue.insert(id);
        let body = FiredBody {
            trigger_price,
            source_price: price,
            extreme,
            limit: self.state.orders[slot].price,
            source,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
        };
        output.emit(command, EventKind::TriggerFired, subject(&order), &body);
        for linked in [partner, entry] {
            if let Some(slot) = self.state.orders.find(linked) {
                budget.cancels -= self.cancel_slot(command, slot, cancel_reason::LINKED, output);
            }
        }
    }

    /// Runs the next order of a queue. Returns the matching that is not finished.
    fn run_queued(
        &mut self,
        command: &Command,
        id: u64,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Work> {
        let slot = self.state.orders.find(id).expect("a queued order is open");
        let order = self.state.orders[slot];
        let Special { state, leverage_e2, .. } = self.state.triggers.of(&order);
        if state == waits::SLICING {
            return self.run_slice(command, slot, budget, output);
        }
        let mut live = self.live_order(&order);
        let on_claims = self.has_outcomes(live.market);
        let checked = if on_claims {
            self.check_fired_claims(&mut live, command.time_ns).map(|takes| (0, takes))
        } else {
            self.check_fired(&mut live, leverage_e2, command.time_ns)
        };
        let (row, takes) = match checked {
            Ok(checked) => checked,
            Err(refusal) => {
                let reason = reason_of(refusal);
                budget.cancels -= self.cancel_slot(command, slot, reason, output);
                return None;
            }
        };
        self.state.triggers.leave(&order);
        if live.flags & flag::SPECIAL == 0 {
            self.state.triggers.remove(id);
        } else if let Some(special) = self.state.triggers.special_mut(id) {
            special.state = waits::NOT;
        }
        live.priority = self.state.next_priority;
        self.state.next_priority += 1;
        self.state.orders[slot].flags = live.flags;
        if leverage_e2 != 0 {
            self.choose_leverage(command, &live, leverage_e2, output);
        }
        if on_claims {
            self.hold_quote(&live, live.reserve, output);
            self.emit_given(command, EventKind::OrderActivated, &live, !takes, output);
            self.hold_claims(command, &live, live.reserve, output);
        } else {
            self.hold(&live, row, live.reserve - order.reserve, output);
            emit_order(command, EventKind::OrderActivated, &live, !takes, output);
        }
        if !takes {
            self.rest_order(command, &live, true, output);
            return None;
        }
        let mut taker = self.taker(live, slot, true, false);
        let done = self.match_taker(command, &mut taker, budget, output);
        (!done).then_some(Work::Match(taker))
    }

    /// A waiting order as it acts: at the market it takes and does not rest.
    fn live_order(&self, order: &Order) -> Order {
        let special = self.state.triggers.of(order);
        let mut live = Order { flags: order.flags & !flag::WAITING, ..*order };
        if special.limit == 0 {
            live.time_in_force = time_in_force::IOC;
        }
        if special.is_ordinary() && live.flags & order_flag::REDUCE_ONLY == 0 {
            live.flags &= !flag::SPECIAL;
        }
        let market = &self.state.markets.list[order.market as usize];
        live.fee_cap_e6bp = market.parameters.fee_cap_e6bp();
        live
    }

    /// The checks of P2.4 that a fired order meets when it runs: market, band, position, risk, execution.
    fn check_fired(&self, live: &mut Order, leverage_e2: u32, now_ns: i64) -> Result<(usize, bool), Reject> {
        let reduces = live.flags & order_flag::REDUCE_ONLY != 0;
        let market = self.market_for_orders(live.market, reduces)?;
        market.check_band(live.side, live.price)?;
        if reduces {
            self.check_reduces(live)?;
        } else {
            self.check_new_risk(live.market)?;
        }
        // What is secured already is credited; a waiting order of a leveraged market counts for nothing yet.
        let (row, reserve) = if self.is_leveraged(live.market) {
            self.check_risk(live, leverage_e2, None)?
        } else {
            self.secure(live, live.reserve)?
        };
        live.reserve = reserve;
        Ok((row, self.check_execution(live, now_ns)?))
    }
}

/// The reason with which a fired order ends that is refused.
fn reason_of(refusal: Reject) -> u8 {
    match refusal.code {
        Code::MARKET_NOT_ACTIVE | Code::MARKET_CLOSE_ONLY | Code::IN_RESOLUTION_BUFFER => {
            cancel_reason::MARKET_CLOSED
        }
        Code::PRICE_TOO_HIGH | Code::PRICE_TOO_LOW => cancel_reason::BAND,
        Code::REDUCE_ONLY_WOULD_INCREASE => cancel_reason::REDUCE_ONLY,
        Code::POST_ONLY_WOULD_TAKE => cancel_reason::POST_ONLY,
        Code::SELF_TRADE_PREVENTED => cancel_reason::SELF_TRADE,
        Code::FOK_NOT_FILLABLE => cancel_reason::FOK,
        _ => cancel_reason::MARGIN,
    }
}
