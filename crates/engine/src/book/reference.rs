//! The reference book: an ordered map of plain queues, obviously right and slow. The oracle of the fast book.

use std::collections::{BTreeMap, VecDeque};

use super::{Book, Level};
use crate::order::OrderStore;
use crate::wire::command::side;

/// (slot, remaining lots) in the order of arrival.
type Queue = VecDeque<(u32, i64)>;

/// Queues by price, one map a side.
#[derive(Clone, Debug, Default)]
pub struct ReferenceBook {
    sides: [BTreeMap<i64, Queue>; 2],
}

impl ReferenceBook {
    fn in_order(&self, book_side: u8) -> Box<dyn Iterator<Item = (&i64, &Queue)> + '_> {
        let prices = &self.sides[book_side as usize];
        if book_side == side::BUY {
            Box::new(prices.iter().rev())
        } else {
            Box::new(prices.iter())
        }
    }
}

impl Book for ReferenceBook {
    fn insert(&mut self, orders: &mut OrderStore, slot: u32) -> bool {
        let order = &orders[slot];
        self.sides[order.side as usize].entry(order.price).or_default().push_back((slot, order.remaining));
        self.best(order.side) == Some(order.price)
    }

    fn remove(&mut self, orders: &mut OrderStore, slot: u32) -> bool {
        let order = &orders[slot];
        let was_best = self.best(order.side) == Some(order.price);
        let prices = &mut self.sides[order.side as usize];
        let queue = prices.get_mut(&order.price).expect("the order's price is in the book");
        queue.retain(|&(other, _)| other != slot);
        if queue.is_empty() {
            prices.remove(&order.price);
        }
        was_best
    }

    fn reduce(&mut self, orders: &mut OrderStore, slot: u32, lots: i64) {
        let order = &mut orders[slot];
        order.remaining -= lots;
        let queue =
            self.sides[order.side as usize].get_mut(&order.price).expect("the order's price is in the book");
        let entry = queue.iter_mut().find(|entry| entry.0 == slot).expect("the order is in its queue");
        entry.1 -= lots;
    }

    fn best(&self, book_side: u8) -> Option<i64> {
        self.in_order(book_side).next().map(|(&price, _)| price)
    }

    fn first(&self, book_side: u8) -> Option<u32> {
        self.in_order(book_side).next().map(|(_, queue)| queue[0].0)
    }

    fn following(&self, orders: &OrderStore, slot: u32) -> Option<u32> {
        let ranked: Vec<u32> = self
            .in_order(orders[slot].side)
            .flat_map(|(_, queue)| queue.iter().map(|entry| entry.0))
            .collect();
        let position = ranked.iter().position(|&other| other == slot)?;
        ranked.get(position + 1).copied()
    }

    fn level_behind(&self, book_side: u8, than: Option<i64>) -> Option<Level> {
        let worse = |price: i64| match than {
            None => true,
            Some(than) if book_side == side::BUY => price < than,
            Some(than) => price > than,
        };
        let (&price, queue) = self.in_order(book_side).find(|(&price, _)| worse(price))?;
        let lots = queue.iter().map(|entry| entry.1).sum();
        Some(Level { price, lots, orders: queue.len() as u32 })
    }

    fn levels(&self, book_side: u8, visit: &mut dyn FnMut(Level) -> bool) {
        let _ = self.in_order(book_side).all(|(&price, queue)| {
            let lots = queue.iter().map(|entry| entry.1).sum();
            visit(Level { price, lots, orders: queue.len() as u32 })
        });
    }
}
