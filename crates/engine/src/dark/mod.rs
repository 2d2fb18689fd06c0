//! The dark midpoint cross (protocol P16): orders that rest unseen and trade at the middle of the lit book.
//!
//! They are no orders of the book: a table of their own keeps them, by book and in the order of their arrival. Nothing
//! here is shown to anybody but their owners; what the public learns of a cross is printed a minute later.

pub mod cross;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use crate::state::{due, Due};
use crate::wire::command::side;

/// Ids of due items from here on are prints, the others are markets.
pub const PRINT: u64 = 1 << 40;

/// Market and outcome of a book; outcome 0 in spot markets, and of the one book of two outcomes.
pub type Line = (u32, u8);

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DarkOrder {
    pub account: u32,
    pub sub: u8,
    pub market: u32,
    pub outcome: u8,
    pub side: u8,
    /// That still wait.
    pub lots: i64,
    /// Least lots of one cross; 0 = any.
    pub min_lots: i64,
    /// The worst midpoint in ticks.
    pub limit: i64,
    /// Quote of a purchase; base or claims of a sale.
    pub reserve: i64,
    /// Most that a fill is charged, in 1e-8 bp.
    pub cap_e8: u32,
}

impl DarkOrder {
    pub fn line(&self) -> Line {
        (self.market, self.outcome)
    }

    pub fn buys(&self) -> bool {
        self.side == side::BUY
    }

    /// Whether its limit admits a midpoint in half ticks.
    pub fn admits(&self, midpoint: i64) -> bool {
        match self.buys() {
            true => midpoint <= 2 * self.limit,
            false => midpoint >= 2 * self.limit,
        }
    }
}

/// A cross that the public does not know of yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    pub due_ns: i64,
    pub crossed_ns: i64,
    pub market: u32,
    pub outcome: u8,
    /// In half ticks.
    pub midpoint: i64,
    pub lots: i64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Dark {
    orders: BTreeMap<u64, DarkOrder>,
    /// Derived: ids by book, ascending, which is the order of their arrival.
    books: BTreeMap<Line, BTreeSet<u64>>,
    /// Derived: ids by account.
    owners: BTreeMap<u32, BTreeSet<u64>>,
    /// The last number that was given.
    pub last_id: u64,
    /// Moment of each market's next cross, while it has orders.
    next_ns: BTreeMap<u32, i64>,
    prints: BTreeMap<u64, Print>,
    pub last_print: u64,
}

impl Dark {
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    pub fn len(&self) -> usize {
        self.orders.len()
    }

    pub fn get(&self, id: u64) -> Option<&DarkOrder> {
        self.orders.get(&id)
    }

    /// All orders, ascending by number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &DarkOrder)> {
        self.orders.iter().map(|(&id, order)| (id, order))
    }

    /// Orders of a book in the order of their arrival.
    pub fn of_line(&self, line: Line) -> impl Iterator<Item = (u64, &DarkOrder)> {
        let ids = self.books.get(&line).into_iter().flatten();
        ids.map(|&id| (id, &self.orders[&id]))
    }

    /// Orders of an account, ascending.
    pub fn of_account(&self, account: u32) -> impl Iterator<Item = (u64, &DarkOrder)> {
        let ids = self.owners.get(&account).into_iter().flatten();
        ids.map(|&id| (id, &self.orders[&id]))
    }

    /// The first book of a market from an outcome on that has orders.
    pub fn next_line(&self, market: u32, outcome: u8) -> Option<Line> {
        self.books.range((market, outcome)..=(market, u8::MAX)).next().map(|(&line, _)| line)
    }

    pub fn put(&mut self, id: u64, order: DarkOrder) {
        self.books.entry(order.line()).or_default().insert(id);
        self.owners.entry(order.account).or_default().insert(id);
        self.orders.insert(id, order);
        self.last_id = self.last_id.max(id);
    }

    /// Changes what an order still wants and what secures it.
    pub fn shrink(&mut self, id: u64, lots: i64, reserve: i64) {
        let order = self.orders.get_mut(&id).expect("a filled order rests");
        (order.lots, order.reserve) = (lots, reserve);
        if lots == 0 {
            self.remove(id);
        }
    }

    pub fn remove(&mut self, id: u64) -> Option<DarkOrder> {
        let order = self.orders.remove(&id)?;
        forget(&mut self.books, order.line(), id);
        forget(&mut self.owners, order.account, id);
        Some(order)
    }

    /// When a market crosses next.
    pub fn next_ns(&self, market: u32) -> Option<i64> {
        self.next_ns.get(&market).copied()
    }

    /// Sets, or (None) forgets, a market's next cross; its due item follows.
    pub fn schedule(&mut self, market: u32, next_ns: Option<i64>, due: &mut BTreeSet<Due>) {
        if let Some(old_ns) = self.next_ns.remove(&market) {
            due.remove(&(old_ns, due::DARK, u64::from(market)));
        }
        if let Some(next_ns) = next_ns {
            self.next_ns.insert(market, next_ns);
            due.insert((next_ns, due::DARK, u64::from(market)));
        }
    }

    /// Crosses that are not printed yet.
    pub fn waiting_prints(&self) -> usize {
        self.prints.len()
    }

    /// Ascending by their number.
    pub fn unprinted(&self) -> impl Iterator<Item = &Print> {
        self.prints.values()
    }

    pub fn add_print(&mut self, print: Print, due: &mut BTreeSet<Due>) {
        self.last_print += 1;
        due.insert((print.due_ns, due::DARK, PRINT | self.last_print));
        self.prints.insert(self.last_print, print);
    }

    /// The print of a due item that was taken from the queue.
    pub fn take_print(&mut self, item: u64) -> Option<Print> {
        self.prints.remove(&(item & (PRINT - 1)))
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        due.extend(self.next_ns.iter().map(|(&market, &next_ns)| (next_ns, due::DARK, u64::from(market))));
        due.extend(self.prints.iter().map(|(&id, print)| (print.due_ns, due::DARK, PRINT | id)));
    }
}

fn forget<K: Ord + Copy>(index: &mut BTreeMap<K, BTreeSet<u64>>, key: K, id: u64) {
    if let Some(ids) = index.get_mut(&key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}
