//! The engine's resting orders of one market, level by level in queue order, as the mirror needs them.
//!
//! Pure bookkeeping, fed from engine events; nothing is predicted.

use std::collections::BTreeMap;

use crate::{Key, Side};

/// One resting order in its level's queue: the mirror's, or *own* (any other account's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub order: u64,
    pub side: Side,
    pub price_ticks: i64,
    pub lots: i64,
    /// What was filled already is in it.
    pub total_lots: i64,
    pub priority: u64,
    pub mirror: bool,
    pub account: u32,
}

/// A price level: entries front first. It has at least one.
#[derive(Clone, Debug)]
pub struct Level {
    pub price_ticks: i64,
    rank: i64,
    pub entries: Vec<Entry>,
    pub mirror_lots: i64,
    pub own_count: usize,
}

/// All levels of both sides.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    /// By side; the best level is the last.
    levels: [Vec<Level>; 2],
    orders: BTreeMap<u64, Key>,
    /// Own orders by side and rank of their price.
    own: [BTreeMap<i64, usize>; 2],
}

impl Queues {
    fn place(&self, side: Side, price_ticks: i64) -> Result<usize, usize> {
        self.levels[side as usize].binary_search_by_key(&side.rank(price_ticks), |level| level.rank)
    }

    /// The level, or None when nothing rests there.
    #[inline]
    pub fn level(&self, side: Side, price_ticks: i64) -> Option<&Level> {
        self.place(side, price_ticks).ok().map(|place| &self.levels[side as usize][place])
    }

    /// Levels of a side, best last.
    pub fn levels(&self, side: Side) -> &[Level] {
        &self.levels[side as usize]
    }

    /// Lots of the mirror at this level.
    #[inline]
    pub fn mirror_lots(&self, side: Side, price_ticks: i64) -> i64 {
        self.level(side, price_ticks).map_or(0, |level| level.mirror_lots)
    }

    /// Number of resting orders.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    pub fn has_own(&self) -> bool {
        !self.own[0].is_empty() || !self.own[1].is_empty()
    }

    /// Best price at which another account's order rests.
    pub fn best_own(&self, side: Side) -> Option<i64> {
        self.own[side as usize].last_key_value().map(|(&rank, _)| side.rank(rank))
    }

    /// Orders of other accounts on this side, best price first, front first.
    pub fn own(&self, side: Side) -> impl Iterator<Item = &Entry> {
        let prices = self.own[side as usize].keys().rev().map(move |&rank| side.rank(rank));
        let levels = prices.filter_map(move |price| self.level(side, price));
        levels.flat_map(|level| level.entries.iter().filter(|entry| !entry.mirror))
    }

    /// Every resting order, level by level in queue order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.levels.iter().flatten().flat_map(|level| &level.entries)
    }

    /// A resting order.
    pub fn get(&self, order: u64) -> Option<&Entry> {
        let &(side, price) = self.orders.get(&order)?;
        self.level(side, price)?.entries.iter().find(|entry| entry.order == order)
    }

    fn get_mut(&mut self, order: u64) -> Option<(&mut i64, &mut Entry)> {
        let &(side, price) = self.orders.get(&order)?;
        let place = self.place(side, price).ok()?;
        let level = &mut self.levels[side as usize][place];
        let entry = level.entries.iter_mut().find(|entry| entry.order == order)?;
        Some((&mut level.mirror_lots, entry))
    }

    /// The order rests as stated: in place when its priority is unchanged, else at the back of its level.
    pub fn rest(&mut self, entry: Entry) {
        if let Some(known) = self.get(entry.order) {
            if known.priority == entry.priority && known.price_ticks == entry.price_ticks {
                self.reduce(entry.order, entry.lots);
                if let Some((_, known)) = self.get_mut(entry.order) {
                    known.total_lots = entry.total_lots;
                }
                return;
            }
            self.remove(entry.order);
        }
        let side = entry.side;
        let levels = &mut self.levels[side as usize];
        let rank = side.rank(entry.price_ticks);
        let place = levels.binary_search_by_key(&rank, |level| level.rank).unwrap_or_else(|place| {
            let price_ticks = entry.price_ticks;
            let entries = Vec::with_capacity(2);
            levels.insert(place, Level { price_ticks, rank, entries, mirror_lots: 0, own_count: 0 });
            place
        });
        let level = &mut levels[place];
        level.entries.push(entry);
        self.orders.insert(entry.order, (side, entry.price_ticks));
        if entry.mirror {
            level.mirror_lots = level.mirror_lots.saturating_add(entry.lots);
        } else {
            level.own_count += 1;
            self.own[side as usize].insert(rank, level.own_count);
        }
    }

    /// The order keeps its place with fewer lots; with none it leaves. The order as it is then (as it was, when it
    /// left); unknown orders are ignored.
    pub fn reduce(&mut self, order: u64, remaining_lots: i64) -> Option<Entry> {
        if remaining_lots == 0 {
            return self.remove(order);
        }
        let (mirror_lots, entry) = self.get_mut(order)?;
        if entry.mirror {
            *mirror_lots = mirror_lots.saturating_add(remaining_lots - entry.lots);
        }
        entry.lots = remaining_lots;
        Some(*entry)
    }

    /// The order left the book.
    pub fn remove(&mut self, order: u64) -> Option<Entry> {
        let (side, price) = self.orders.remove(&order)?;
        let place = self.place(side, price).ok()?;
        let levels = &mut self.levels[side as usize];
        let level = &mut levels[place];
        let at = level.entries.iter().position(|entry| entry.order == order)?;
        let entry = level.entries.remove(at);
        if entry.mirror {
            level.mirror_lots -= entry.lots;
        } else {
            level.own_count -= 1;
            let own = &mut self.own[side as usize];
            match level.own_count {
                0 => own.remove(&level.rank),
                count => own.insert(level.rank, count),
            };
        }
        if level.entries.is_empty() {
            levels.remove(place);
        }
        Some(entry)
    }
}
