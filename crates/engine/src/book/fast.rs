//! The fast book: intrusive queues per level, levels in a slab, an ordered index of prices, best levels cached.

use std::collections::BTreeMap;

use super::{Book, Level};
use crate::index::Index;
use crate::order::{Order, OrderStore, NONE};
use crate::wire::command::side;

#[derive(Clone, Copy, Debug)]
struct Queue {
    price: i64,
    lots: i64,
    first: u32,
    last: u32,
    orders: u32,
}

/// One market's (or outcome's) book.
#[derive(Clone, Debug)]
pub struct FastBook {
    queues: Vec<Queue>,
    free: Vec<u32>,
    /// Queues of each side by price; the ordered maps are only touched when a level appears or goes.
    by_price: [Index; 2],
    prices: [BTreeMap<i64, u32>; 2],
    best: [u32; 2],
}

impl Default for FastBook {
    fn default() -> Self {
        FastBook {
            queues: Vec::new(),
            free: Vec::new(),
            by_price: Default::default(),
            prices: Default::default(),
            best: [NONE; 2],
        }
    }
}

#[inline]
fn is_better(book_side: u8, price: i64, than: i64) -> bool {
    if book_side == side::BUY {
        price > than
    } else {
        price < than
    }
}

/// Spreads neighbouring prices, which otherwise fill neighbouring cells of the index.
#[inline]
fn price_hash(price: i64) -> u64 {
    (price as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

impl FastBook {
    #[inline(always)]
    fn queue_for(&mut self, book_side: u8, price: i64) -> u32 {
        let best = self.best[book_side as usize];
        if best != NONE && self.queues[best as usize].price == price {
            return best;
        }
        let queues = &self.queues;
        let same = |queue: u32| queues[queue as usize].price == price;
        match self.by_price[book_side as usize].find(price_hash(price), same) {
            Some(queue) => queue,
            None => self.add_queue(book_side, price),
        }
    }

    #[cold]
    fn add_queue(&mut self, book_side: u8, price: i64) -> u32 {
        let best = self.best[book_side as usize];
        let fresh = Queue { price, lots: 0, first: NONE, last: NONE, orders: 0 };
        let queue = match self.free.pop() {
            Some(queue) => {
                self.queues[queue as usize] = fresh;
                queue
            }
            None => {
                self.queues.push(fresh);
                (self.queues.len() - 1) as u32
            }
        };
        self.prices[book_side as usize].insert(price, queue);
        self.by_price[book_side as usize].insert(price_hash(price), queue);
        if best == NONE || is_better(book_side, price, self.queues[best as usize].price) {
            self.best[book_side as usize] = queue;
        }
        queue
    }

    #[cold]
    fn drop_queue(&mut self, book_side: u8, queue: u32) {
        let price = self.queues[queue as usize].price;
        let prices = &mut self.prices[book_side as usize];
        prices.remove(&price);
        self.by_price[book_side as usize].remove(price_hash(price), queue);
        self.free.push(queue);
        if self.best[book_side as usize] == queue {
            let next =
                if book_side == side::BUY { prices.last_key_value() } else { prices.first_key_value() };
            self.best[book_side as usize] = next.map_or(NONE, |(_, &queue)| queue);
        }
    }

    fn next_level(&self, book_side: u8, price: i64) -> Option<u32> {
        let prices = &self.prices[book_side as usize];
        let next = if book_side == side::BUY {
            prices.range(..price).next_back()
        } else {
            prices.range(price + 1..).next()
        };
        next.map(|(_, &queue)| queue)
    }
}

impl Book for FastBook {
    #[inline(always)]
    fn insert(&mut self, orders: &mut OrderStore, slot: u32) -> bool {
        let order = &mut orders[slot];
        let side = order.side;
        let index = self.queue_for(side, order.price);
        let queue = &mut self.queues[index as usize];
        order.level = index;
        order.previous = queue.last;
        order.next = NONE;
        queue.lots += order.remaining;
        queue.orders += 1;
        let last = queue.last;
        queue.last = slot;
        match last {
            NONE => queue.first = slot,
            _ => orders[last].next = slot,
        }
        self.best[side as usize] == index
    }

    #[inline]
    fn remove(&mut self, orders: &mut OrderStore, slot: u32) -> bool {
        let Order { side, remaining, level, previous, next, .. } = orders[slot];
        let was_best = self.best[side as usize] == level;
        let queue = &mut self.queues[level as usize];
        match previous {
            NONE => queue.first = next,
            previous => orders[previous].next = next,
        }
        match next {
            NONE => queue.last = previous,
            next => orders[next].previous = previous,
        }
        queue.lots -= remaining;
        queue.orders -= 1;
        if queue.orders == 0 {
            self.drop_queue(side, level);
        }
        was_best
    }

    #[inline]
    fn reduce(&mut self, orders: &mut OrderStore, slot: u32, lots: i64) {
        let order = &mut orders[slot];
        order.remaining -= lots;
        self.queues[order.level as usize].lots -= lots;
    }

    #[inline(always)]
    fn best(&self, book_side: u8) -> Option<i64> {
        match self.best[book_side as usize] {
            NONE => None,
            queue => Some(self.queues[queue as usize].price),
        }
    }

    #[inline(always)]
    fn first(&self, book_side: u8) -> Option<u32> {
        match self.best[book_side as usize] {
            NONE => None,
            queue => Some(self.queues[queue as usize].first),
        }
    }

    #[inline]
    fn last_at(&self, book_side: u8, price: i64) -> Option<u32> {
        let same = |queue: u32| self.queues[queue as usize].price == price;
        let queue = self.by_price[book_side as usize].find(price_hash(price), same)?;
        Some(self.queues[queue as usize].last)
    }

    fn following(&self, orders: &OrderStore, slot: u32) -> Option<u32> {
        let order = &orders[slot];
        match order.next {
            NONE => self.next_level(order.side, order.price).map(|queue| self.queues[queue as usize].first),
            next => Some(next),
        }
    }

    fn level_behind(&self, book_side: u8, than: Option<i64>) -> Option<Level> {
        let queue = match than {
            None => Some(self.best[book_side as usize]).filter(|&queue| queue != NONE),
            Some(price) => self.next_level(book_side, price),
        };
        queue.map(|queue| {
            let Queue { price, lots, orders, .. } = self.queues[queue as usize];
            Level { price, lots, orders }
        })
    }

    fn levels(&self, book_side: u8, visit: &mut dyn FnMut(Level) -> bool) {
        let prices = &self.prices[book_side as usize];
        let mut show = |&queue: &u32| {
            let Queue { price, lots, orders, .. } = self.queues[queue as usize];
            visit(Level { price, lots, orders })
        };
        if book_side == side::BUY {
            let _ = prices.values().rev().all(&mut show);
        } else {
            let _ = prices.values().all(&mut show);
        }
    }
}
