//! Order books: price-time priority behind one interface (protocol P3.1, P3.8).

mod fast;
mod reference;
mod shelf;

pub use fast::FastBook;
pub use reference::ReferenceBook;
pub use shelf::Shelf;

use crate::order::OrderStore;
use crate::wire::command::side;

/// A level as seen from outside: price in ticks, lots and orders at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub price: i64,
    pub lots: i64,
    pub orders: u32,
}

/// What the engine needs of a book. Orders live in the store; a book only ranks their slots.
pub trait Book: Default + Clone + Send {
    /// Adds an order behind all others of its price; whether that price is now the best of its side.
    fn insert(&mut self, orders: &mut OrderStore, slot: u32) -> bool;
    /// Takes an order out; whether it stood at the best price of its side.
    fn remove(&mut self, orders: &mut OrderStore, slot: u32) -> bool;
    /// Shrinks an order in place by `lots`; it keeps its rank and must keep a rest.
    fn reduce(&mut self, orders: &mut OrderStore, slot: u32, lots: i64);
    /// Best price of a side.
    fn best(&self, side: u8) -> Option<i64>;
    /// The order that trades next on a side.
    fn first(&self, side: u8) -> Option<u32>;
    /// The order behind this one in trading order.
    fn following(&self, orders: &OrderStore, slot: u32) -> Option<u32>;
    /// The order that ranks last at a price, if that is known without a search.
    fn last_at(&self, _side: u8, _price: i64) -> Option<u32> {
        None
    }
    /// The best level that is strictly worse than `than`; None = the best of the side.
    fn level_behind(&self, side: u8, than: Option<i64>) -> Option<Level>;
    /// Levels from the best on; stops when `visit` returns false.
    fn levels(&self, side: u8, visit: &mut dyn FnMut(Level) -> bool);
}

/// Whether a resting price on the opposite side trades with `limit`.
#[inline]
pub fn crosses(taker_side: u8, limit: i64, resting: i64) -> bool {
    if taker_side == side::BUY {
        resting <= limit
    } else {
        resting >= limit
    }
}
