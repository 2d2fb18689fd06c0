//! Orders that wait or come in parts: triggers, trails, icebergs, slices, links (protocol P2.5).
//!
//! What an order has beyond the plain record stands here, keyed by its id, so that plain orders pay nothing. The
//! indexes of triggers are derived from it.

mod index;
pub mod slices;
mod special;
mod trail;

pub use index::{fires_rising, MarketTriggers, SOURCES};
pub use special::{waits, Special};

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Reader, Writer};
use crate::order::{flag, Order};
use crate::state::{due, Due};
use special::{decode_special, encode_special};
use trail::Groups;

/// Resting reduce-only orders of one position: (account, sub-account, market).
pub type PositionKey = (u32, u8, u32);

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Triggers {
    specials: BTreeMap<u64, Special>,
    /// Waiting orders of each market, by handle.
    markets: Vec<Option<Box<MarketTriggers>>>,
    groups: Groups,
    /// Markets where prices must be looked at or fired orders must run; empty between commands.
    pub dirty: BTreeSet<u32>,
    /// Open reduce-only orders by position.
    pub reducing: BTreeMap<PositionKey, BTreeSet<u64>>,
    /// Positions that shrank, whose reduce-only orders must be looked through; empty between commands.
    pub shrunk: BTreeSet<PositionKey>,
}

impl Triggers {
    #[inline]
    pub fn special(&self, id: u64) -> Option<&Special> {
        self.specials.get(&id)
    }

    #[inline]
    pub fn special_mut(&mut self, id: u64) -> Option<&mut Special> {
        self.specials.get_mut(&id)
    }

    /// The special record of an order that carries the flag.
    pub fn of(&self, order: &Order) -> Special {
        *self.specials.get(&order.id).expect("an order with the flag has a record")
    }

    /// Lots of an order beyond its record: not displayed, not grown yet, or of later slices.
    #[inline]
    pub fn hidden(&self, order: &Order) -> i64 {
        if order.flags & flag::SPECIAL == 0 {
            return 0;
        }
        self.specials.get(&order.id).map_or(0, |special| special.hidden)
    }

    pub fn insert(&mut self, id: u64, special: Special) {
        self.specials.insert(id, special);
    }

    pub fn remove(&mut self, id: u64) -> Option<Special> {
        self.specials.remove(&id)
    }

    /// Whether any order of the market waits for a price.
    #[inline]
    pub fn watches(&self, market: u32) -> bool {
        matches!(self.markets.get(market as usize), Some(Some(_)))
    }

    pub fn of_market(&self, market: u32) -> Option<&MarketTriggers> {
        self.markets.get(market as usize)?.as_deref()
    }

    /// Number of orders that wait in a market.
    pub fn waiting(&self, market: u32) -> usize {
        self.of_market(market).map_or(0, |triggers| triggers.waiting.len())
    }

    pub fn market_mut(&mut self, market: u32) -> &mut MarketTriggers {
        let index = market as usize;
        if self.markets.len() <= index {
            self.markets.resize_with(index + 1, || None);
        }
        self.markets[index].get_or_insert_default()
    }

    /// Whether work must follow the present command.
    #[inline]
    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty() || !self.shrunk.is_empty()
    }

    /// A price was seen; what it fires is found by the work that follows.
    #[inline]
    pub fn note_price(&mut self, market: u32, source: u8, price: i64) {
        if price > 0 && self.watches(market) {
            let seen = &mut self.market_mut(market).seen[source as usize];
            *seen = Some((seen.map_or(price, |(first, _)| first), price));
            self.dirty.insert(market);
        }
    }

    /// An order was armed at the price that its source has now.
    pub fn note_armed(&mut self, market: u32, source: u8, price: i64) {
        let entry = self.market_mut(market);
        // Once the command has moved the source, its present price is the last one seen.
        if entry.seen[source as usize].is_none() && entry.armed[source as usize].is_none() {
            entry.armed[source as usize] = Some(price);
        }
        self.dirty.insert(market);
    }

    /// Registers an order that waits: in its market's list and, when it waits for a price, in the index.
    pub fn wait(&mut self, order: &Order) {
        self.market_mut(order.market).waiting.insert(order.id);
        self.arm(order);
    }

    /// Puts an order that waits for a price into the index.
    pub fn arm(&mut self, order: &Order) {
        self.market_mut(order.market);
        let special = self.specials.get_mut(&order.id).expect("a waiting order has a record");
        if special.state != waits::PENDING {
            return;
        }
        let market = self.markets[order.market as usize].as_mut().expect("made above");
        market.arm(order, special, &mut self.groups);
    }

    /// Takes an order out of the index of prices; it stays in its market's list.
    pub fn disarm(&mut self, order: &Order) {
        let (Some(special), Some(Some(market))) =
            (self.specials.get_mut(&order.id), self.markets.get_mut(order.market as usize))
        else {
            return;
        };
        if special.state == waits::PENDING {
            market.disarm(order, special, &mut self.groups);
        }
    }

    /// Forgets a waiting order: index, list and queue.
    pub fn leave(&mut self, order: &Order) {
        self.disarm(order);
        let Some(Some(market)) = self.markets.get_mut(order.market as usize) else { return };
        market.waiting.remove(&order.id);
        market.queue.remove(&order.id);
        if market.waiting.is_empty() {
            self.markets[order.market as usize] = None;
            self.dirty.remove(&order.market);
        }
    }

    /// The present stop of a trailing order, or its fixed trigger price, in ticks.
    pub fn trigger_price(&self, order: &Order) -> i64 {
        let special = &self.specials[&order.id];
        match special.trail {
            0 => special.trigger_price,
            _ => special.stop(order.side, self.extreme(special), order.flags),
        }
    }

    /// Best price since activation, from a trailing order's side.
    pub fn extreme(&self, special: &Special) -> i64 {
        self.groups.extreme(special).unwrap_or(special.extreme)
    }

    /// Moves trailing stops of a market after its source went to `price`; false when `moves` did not suffice.
    pub fn ratchet(&mut self, market: u32, source: u8, price: i64, moves: &mut u32) -> bool {
        let Some(Some(entry)) = self.markets.get_mut(market as usize) else { return true };
        entry.ratchet(source, price, &mut self.groups, &mut self.specials, moves)
    }

    /// An order that `price` fires, lowest id not guaranteed: the queue ranks them.
    pub fn next_fired(&self, market: u32, source: u8, price: i64) -> Option<u64> {
        self.of_market(market)?.next_fired(source, price)
    }

    /// Open reduce-only orders of a position, oldest first.
    pub fn set_reducing(&mut self, order: &Order, open: bool) {
        let key = (order.account, order.sub, order.market);
        if open {
            self.reducing.entry(key).or_default().insert(order.id);
        } else if let Some(orders) = self.reducing.get_mut(&key) {
            orders.remove(&order.id);
            if orders.is_empty() {
                self.reducing.remove(&key);
            }
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.specials.len());
        for (&id, special) in &self.specials {
            writer.u64(id);
            let extreme = self.extreme(special);
            encode_special(&Special { extreme, ..*special }, writer);
        }
    }

    /// Reads the records; [`Triggers::rebuild`] makes the indexes once the orders are known.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut triggers = Triggers::default();
        for _ in 0..reader.len(100)? {
            let id = reader.u64()?;
            let special = decode_special(reader)?;
            if triggers.specials.insert(id, special).is_some() {
                return Err(format!("order {id} has two records"));
            }
        }
        Ok(triggers)
    }

    /// Indexes derived from the records and the open orders.
    ///
    /// # Errors
    /// A sentence when records and orders contradict each other.
    pub fn rebuild<'a>(&mut self, orders: impl Iterator<Item = &'a Order>) -> Result<(), String> {
        let mut marked = 0;
        for order in orders {
            if order.flags & flag::SPECIAL == 0 {
                continue;
            }
            if order.flags & crate::wire::command::order_flag::REDUCE_ONLY != 0 {
                self.set_reducing(order, true);
            }
            marked += 1;
            let Some(special) = self.specials.get(&order.id) else {
                return Err(format!("order {} has no record of what makes it special", order.id));
            };
            let waiting = order.flags & flag::WAITING != 0;
            if waiting != (special.state != waits::NOT) {
                return Err(format!("order {} waits in one record and not in the other", order.id));
            }
            if waiting {
                self.wait(order);
            }
        }
        if marked != self.specials.len() {
            return Err(format!("{} records for {marked} orders", self.specials.len()));
        }
        Ok(())
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, items: &mut BTreeSet<Due>) {
        let slicing = self.specials.iter().filter(|(_, special)| special.state == waits::SLICING);
        items.extend(slicing.map(|(&id, special)| (special.next_ns, due::ORDER, id)));
    }
}
