//! Waiting orders of one market, found by price in O(log n).

use std::collections::{BTreeMap, BTreeSet};

use super::special::Special;
use super::trail::{Groups, TrailKind, Trails};
use crate::order::Order;
use crate::wire::command::{order_flag, order_type, side};

/// Mark, index, last trade.
pub const SOURCES: usize = 3;
const KINDS: [TrailKind; 4] = [
    TrailKind { side: side::BUY, in_ppm: false },
    TrailKind { side: side::BUY, in_ppm: true },
    TrailKind { side: side::SELL, in_ppm: false },
    TrailKind { side: side::SELL, in_ppm: true },
];

/// Everything that waits in a market.
#[derive(Clone, Debug, Default)]
pub struct MarketTriggers {
    /// Orders that fire when the source rises to their price, and when it falls to it.
    rising: [BTreeSet<(i64, u64)>; SOURCES],
    falling: [BTreeSet<(i64, u64)>; SOURCES],
    trails: [[Trails; KINDS.len()]; SOURCES],
    /// Every order of the market that waits for anything, ascending.
    pub waiting: BTreeSet<u64>,
    /// First and last price of each source that was seen and not looked at yet. In between it moved one way only.
    pub seen: [Option<(i64, i64)>; SOURCES],
    /// Price of a source at which an order was armed before the command moved it: looked at before what was seen.
    pub armed: [Option<i64>; SOURCES],
    /// Fired orders and due slices; they run ascending by id.
    pub queue: BTreeSet<u64>,
}

fn trail_kind(order: &Order) -> usize {
    usize::from(order.side) * 2 + usize::from(order.flags & order_flag::TRAIL_PPM != 0)
}

/// Whether the order fires when its source rises to the trigger: stop buys and take-profit sells do.
pub fn fires_rising(kind: u8, order_side: u8) -> bool {
    (kind == order_type::TAKE_PROFIT) == (order_side == side::SELL)
}

impl MarketTriggers {
    pub fn arm(&mut self, order: &Order, special: &mut Special, groups: &mut Groups) {
        let source = special.source as usize;
        if special.trail != 0 {
            let kind = trail_kind(order);
            return self.trails[source][kind].insert(KINDS[kind], groups, order.id, special);
        }
        self.fixed(order, source).insert((special.trigger_price, order.id));
    }

    pub fn disarm(&mut self, order: &Order, special: &mut Special, groups: &mut Groups) {
        let source = special.source as usize;
        if special.trail != 0 {
            let kind = trail_kind(order);
            return self.trails[source][kind].remove(KINDS[kind], groups, order.id, special);
        }
        self.fixed(order, source).remove(&(special.trigger_price, order.id));
    }

    fn fixed(&mut self, order: &Order, source: usize) -> &mut BTreeSet<(i64, u64)> {
        if fires_rising(order.order_type, order.side) {
            &mut self.rising[source]
        } else {
            &mut self.falling[source]
        }
    }

    pub fn ratchet(
        &mut self,
        source: u8,
        price: i64,
        groups: &mut Groups,
        specials: &mut BTreeMap<u64, Special>,
        moves: &mut u32,
    ) -> bool {
        let trails = &mut self.trails[source as usize];
        trails
            .iter_mut()
            .zip(KINDS)
            .all(|(trails, kind)| trails.ratchet(kind, groups, specials, price, moves))
    }

    /// The price of a source that is to be looked at next.
    pub fn next_price(&self, source: u8) -> Option<i64> {
        let source = source as usize;
        self.armed[source].or(self.seen[source].map(|(first, _)| first))
    }

    /// That price was looked at.
    pub fn pass_price(&mut self, source: u8) {
        let source = source as usize;
        if self.armed[source].take().is_none() {
            let seen = &mut self.seen[source];
            *seen = seen.and_then(|(first, last)| (first != last).then_some((last, last)));
        }
    }

    /// An order that fires at `price`.
    pub fn next_fired(&self, source: u8, price: i64) -> Option<u64> {
        let source = source as usize;
        let rising = self.rising[source].first().filter(|(trigger, _)| *trigger <= price);
        let falling = || self.falling[source].last().filter(|(trigger, _)| *trigger >= price);
        if let Some(&(_, id)) = rising.or_else(falling) {
            return Some(id);
        }
        let trails = &self.trails[source];
        trails.iter().zip(KINDS).find_map(|(trails, kind)| trails.next_fired(kind.side, price))
    }
}
