//! Open orders and price levels rebuilt from events: I06 and the order bounds of I20.

use std::collections::BTreeMap;

use super::counts::Counts;
use super::fault::{ensure, fault, Check};
use crate::hash::Map;

pub const NONE: u32 = u32::MAX;
pub const BUY: u8 = 0;
const REDUCE_ONLY: u16 = 2;

const ORDERS_PER_SHARD: usize = 2_000_000;
const ORDERS_PER_SUB_MARKET: u32 = 200;
const ORDERS_PER_ACCOUNT: u32 = 1_000;

/// An open order as events describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: u64,
    pub priority: u64,
    pub price: i64,
    pub total: i64,
    pub remaining: i64,
    /// Lots that traded; prevented lots are not among them.
    pub filled: i64,
    /// Micro-units that secure it by the rule, not by the engine's word.
    pub reserve: i64,
    pub account: u32,
    pub market: u32,
    /// Worst fee rate that it accepted, 1e-6 bp.
    pub fee_cap_e6bp: u32,
    /// Its balance in the auditor's ledger.
    pub balance: u32,
    /// Its position in the auditor's positions; NONE in a market without leverage.
    pub position: u32,
    /// Its book: the market's, or that of its outcome.
    pub book: u32,
    pub sub: u8,
    /// As its book shows it.
    pub side: u8,
    pub outcome: u8,
    /// Its owner named outcome 1 of two: its book shows the other side.
    pub flipped: bool,
    /// Claims secure it, not money.
    pub on_claims: bool,
    /// Order type.
    pub kind: u8,
    pub flags: u16,
    /// A liquidation offers its lots (P5.9).
    pub offered: bool,
    /// Waits outside of its book: for a price, a time, another order.
    pub parked: bool,
    /// It bettered the best price by a basis point of the middle when it came to rest.
    pub improves: bool,
    /// Lots among `remaining` that cannot trade now: not displayed, not active yet, or of later slices.
    pub hidden: i64,
    /// Level and neighbours while it rests; `level` NONE while it is still taking.
    pub level: u32,
    pub previous: u32,
    pub next: u32,
}

impl Order {
    pub const EMPTY: Order = Order {
        id: 0,
        priority: 0,
        price: 0,
        total: 0,
        remaining: 0,
        filled: 0,
        reserve: 0,
        account: 0,
        market: 0,
        fee_cap_e6bp: 0,
        balance: 0,
        position: NONE,
        book: 0,
        sub: 0,
        side: 0,
        outcome: 0,
        flipped: false,
        on_claims: false,
        kind: 0,
        flags: 0,
        offered: false,
        improves: false,
        parked: false,
        hidden: 0,
        level: NONE,
        previous: NONE,
        next: NONE,
    };

    /// It may do nothing but reduce its owner's position.
    #[inline]
    pub fn reduces(&self) -> bool {
        self.flags & REDUCE_ONLY != 0
    }

    #[inline]
    pub fn rests(&self) -> bool {
        self.level != NONE
    }

    /// Lots that can trade now.
    #[inline]
    pub fn shown(&self) -> i64 {
        self.remaining - self.hidden
    }
}

#[derive(Clone, Copy, Debug)]
struct Level {
    price: i64,
    lots: i64,
    orders: u32,
    first: u32,
    last: u32,
}

/// Prices of one market by side, and the best level of each.
#[derive(Clone, Debug)]
struct Sides {
    levels: [BTreeMap<i64, u32>; 2],
    /// The same by price, unordered: most orders join a level that is there.
    by_price: [Map<i64, u32>; 2],
    best: [u32; 2],
    orders: u32,
    /// Orders are collected for an auction: bids and asks may overlap (P3.3, P3.7).
    may_cross: bool,
    /// The sum of best prices over the books of its market is bounded (P3.6).
    summed: bool,
}

/// Open orders of one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Resting lots, and lots × ticks of them: buys and sells.
    pub lots: [i64; 2],
    pub ticks: [i128; 2],
    /// Orders, resting or taking.
    pub orders: u32,
}

/// All open orders and books of the shard.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub orders: Vec<Order>,
    free_orders: Vec<u32>,
    by_id: Map<u64, u32>,
    levels: Vec<Level>,
    free_levels: Vec<u32>,
    sides: Vec<Sides>,
    /// First book of a market.
    first: Vec<u32>,
    counts: Counts,
    /// By slot of the position.
    open: Vec<Open>,
    /// Positions whose last order has left.
    pub left: Vec<u32>,
    /// Markets whose sums of best prices may have changed for the worse.
    pub summed: Vec<u32>,
    /// Orders that took and neither rested nor left yet.
    pub in_flight: u32,
    pub last_order_id: u64,
}

impl Books {
    pub fn open_market(&mut self) {
        self.first.push(self.sides.len() as u32);
        self.open_books(1);
    }

    /// Further books of the market that was opened last.
    pub fn open_books(&mut self, count: u8) {
        for _ in 0..count {
            let (levels, by_price) = Default::default();
            self.sides.push(Sides {
                levels,
                by_price,
                best: [NONE; 2],
                orders: 0,
                may_cross: false,
                summed: false,
            });
        }
    }

    /// The last books belong to a market whose sums of best prices are bounded.
    pub fn bound_sums(&mut self, count: u8) {
        self.sides.iter_mut().rev().take(usize::from(count)).for_each(|sides| sides.summed = true);
    }

    /// The order that trades next on a side of a book; NONE when it is empty.
    pub fn first_of(&self, book: u32, side: u8) -> u32 {
        match self.sides[book as usize].best[side as usize] {
            NONE => NONE,
            level => self.levels[level as usize].first,
        }
    }

    /// A book of a market.
    #[inline]
    pub fn book(&self, market: u32, line: u8) -> u32 {
        self.first[market as usize] + u32::from(line)
    }

    /// Lets bids and asks of a market overlap, or not any more: then they may not.
    pub fn let_cross(&mut self, market: u32, may_cross: bool) -> Check {
        let book = self.book(market, 0);
        self.sides[book as usize].may_cross = may_cross;
        self.check_not_crossed(book)
    }

    /// Open orders of a market, resting or still taking.
    pub fn orders_of_market(&self, market: u32) -> u32 {
        self.sides[self.book(market, 0) as usize].orders
    }

    /// Open orders of the shard.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    #[inline]
    pub fn find(&self, id: u64) -> Check<u32> {
        self.by_id.get(&id).copied().ok_or_else(|| fault("I26", format_args!("order {id} is not open")))
    }

    /// Open orders of a position.
    #[inline]
    pub fn open_of(&self, position: u32) -> Open {
        self.open.get(position as usize).copied().unwrap_or_default()
    }

    /// Counts resting lots of an order in (negative: out) for its position.
    #[inline]
    fn track(&mut self, slot: u32, lots: i64) {
        let order = &self.orders[slot as usize];
        if order.position != NONE {
            let open = &mut self.open[order.position as usize];
            open.lots[order.side as usize] += lots;
            open.ticks[order.side as usize] += i128::from(lots) * i128::from(order.price);
        }
    }

    /// Ties an order that begins to act to its position.
    pub fn attach(&mut self, slot: u32, position: u32) {
        self.orders[slot as usize].position = position;
        let index = position as usize;
        if index >= self.open.len() {
            self.open.resize(index + 1, Open::default());
        }
        self.open[index].orders += 1;
    }

    /// Takes an order that is in no level away from its position.
    pub fn detach(&mut self, slot: u32) {
        let order = &mut self.orders[slot as usize];
        let position = std::mem::replace(&mut order.position, NONE);
        if position != NONE {
            let open = &mut self.open[position as usize];
            open.orders -= 1;
            if open.orders == 0 {
                self.left.push(position);
            }
        }
    }

    /// A new order; it does not rest yet.
    #[inline]
    pub fn open(&mut self, order: &Order) -> Check<u32> {
        ensure!(
            order.id > self.last_order_id,
            "I26",
            "order id {} follows order id {}",
            order.id,
            self.last_order_id
        );
        self.last_order_id = order.id;
        self.store(order)
    }

    /// Counts and stores an order.
    pub fn store(&mut self, order: &Order) -> Check<u32> {
        let slot = match self.free_orders.pop() {
            Some(slot) => {
                self.orders[slot as usize] = *order;
                slot
            }
            None => {
                self.orders.push(*order);
                (self.orders.len() - 1) as u32
            }
        };
        ensure!(self.by_id.insert(order.id, slot).is_none(), "I26", "order {} exists twice", order.id);
        ensure!(self.by_id.len() <= ORDERS_PER_SHARD, "I20", "{} orders are open", self.by_id.len());
        self.counts.add((order.account, order.sub, order.market));
        let first = self.book(order.market, 0);
        self.sides[first as usize].orders += 1;
        self.in_flight += 1;
        Ok(slot)
    }

    /// Whether the account may be over a bound of its order counts; then [`Books::check_counts`] tells.
    #[inline]
    pub fn is_near_bound(&self, account: u32) -> bool {
        self.counts.all(account) > ORDERS_PER_SUB_MARKET
    }

    /// The bounds of an account's open orders.
    pub fn check_counts(&self, account: u32, sub: u8, market: u32) -> Check {
        let (here, all) = (self.counts.of((account, sub, market)), self.counts.all(account));
        ensure!(
            here <= ORDERS_PER_SUB_MARKET,
            "I20",
            "account {account} sub {sub} has {here} orders in market {market}"
        );
        ensure!(all <= ORDERS_PER_ACCOUNT, "I20", "account {account} has {all} open orders");
        Ok(())
    }

    /// Forgets an order that left; it must not rest any more.
    #[inline]
    pub fn close(&mut self, slot: u32) {
        self.detach(slot);
        let Order { id, account, sub, market, parked, .. } = self.orders[slot as usize];
        self.by_id.remove(&id);
        self.free_orders.push(slot);
        self.counts.remove((account, sub, market));
        let first = self.book(market, 0);
        self.sides[first as usize].orders -= 1;
        self.in_flight -= u32::from(!parked);
    }

    /// An order in flight begins to wait outside of its book, or a waiting one acts.
    pub fn park(&mut self, slot: u32, parked: bool) {
        let order = &mut self.orders[slot as usize];
        match (order.parked, parked) {
            (false, true) => {
                self.in_flight -= 1;
                order.parked = true;
                self.detach(slot);
                return;
            }
            (true, false) => self.in_flight += 1,
            _ => {}
        }
        order.parked = parked;
    }

    /// Sets how much of an order cannot trade; what its level shows follows.
    pub fn hide(&mut self, slot: u32, hidden: i64) {
        let order = &mut self.orders[slot as usize];
        let change = order.hidden - hidden;
        order.hidden = hidden;
        if order.level != NONE {
            self.levels[order.level as usize].lots += change;
        }
    }

    /// Puts an order into its level, behind all others of its price, and looks whether the book is crossed.
    #[inline]
    pub fn rest(&mut self, slot: u32, priority: u64) -> Check {
        let Order { id, price, side, book, remaining, hidden, .. } = self.orders[slot as usize];
        ensure!(remaining > hidden, "I06", "order {id} rests with {remaining} lots");
        let improves = self.improves(book, side, price);
        let index = self.level_at(book, side, price);
        let level = &mut self.levels[index as usize];
        let last = level.last;
        level.last = slot;
        level.lots += remaining - hidden;
        level.orders += 1;
        if last == NONE {
            level.first = slot;
        } else {
            let ahead = &mut self.orders[last as usize];
            ensure!(
                priority > ahead.priority,
                "I06",
                "order {id} rests with priority {priority} behind order {} with {}",
                ahead.id,
                ahead.priority
            );
            ahead.next = slot;
        }
        let order = &mut self.orders[slot as usize];
        (order.priority, order.level, order.previous, order.next) = (priority, index, last, NONE);
        order.improves = improves;
        self.in_flight -= 1;
        self.track(slot, remaining);
        if self.sides[book as usize].summed {
            self.summed.push(self.orders[slot as usize].market);
        }
        self.check_not_crossed(book)
    }

    /// Takes an order out of its level; it is in flight again until it rests or closes.
    #[inline]
    pub fn lift(&mut self, slot: u32) {
        let Order { level, previous, next, remaining, hidden, side, book, .. } = self.orders[slot as usize];
        self.track(slot, -remaining);
        match previous {
            NONE => self.levels[level as usize].first = next,
            _ => self.orders[previous as usize].next = next,
        }
        match next {
            NONE => self.levels[level as usize].last = previous,
            _ => self.orders[next as usize].previous = previous,
        }
        let entry = &mut self.levels[level as usize];
        entry.lots -= remaining - hidden;
        entry.orders -= 1;
        if entry.orders == 0 {
            self.drop_level(book, side, level);
        }
        self.orders[slot as usize].level = NONE;
        self.in_flight += 1;
    }

    /// Shrinks an order to `remaining` lots where it stands.
    #[inline]
    pub fn shrink(&mut self, slot: u32, remaining: i64) {
        let order = &self.orders[slot as usize];
        if order.level != NONE {
            let less = order.remaining - remaining;
            self.levels[order.level as usize].lots -= less;
            self.track(slot, -less);
        }
        self.orders[slot as usize].remaining = remaining;
    }

    /// A maker trades only as the first order of the best level of its side (P3.1).
    #[inline]
    pub fn check_is_next(&self, slot: u32) -> Check {
        let order = &self.orders[slot as usize];
        let best = self.sides[order.book as usize].best[order.side as usize];
        ensure!(order.level != NONE, "I06", "maker order {} does not rest", order.id);
        ensure!(order.level == best, "I06", "maker order {} is not at the best price", order.id);
        ensure!(order.previous == NONE, "I06", "maker order {} is not first of its level", order.id);
        Ok(())
    }

    /// Prices of the best bid and the best ask.
    pub fn best(&self, market: u32) -> [Option<i64>; 2] {
        let price = |level: u32| (level != NONE).then(|| self.levels[level as usize].price);
        self.sides[self.book(market, 0) as usize].best.map(price)
    }

    /// Whether a price is better than the best of its side by a basis point of the middle: only where both sides exist
    /// and the book does not collect for an auction.
    fn improves(&self, book: u32, side: u8, price: i64) -> bool {
        let sides = &self.sides[book as usize];
        let [bid, ask] = sides.best;
        if bid == NONE || ask == NONE || sides.may_cross {
            return false;
        }
        let (bid, ask) = (self.levels[bid as usize].price, self.levels[ask as usize].price);
        let better = if side == BUY { price - bid } else { ask - price };
        better > 0 && i128::from(better) * 20_000 >= i128::from(bid) + i128::from(ask)
    }

    fn level_at(&mut self, book: u32, side: u8, price: i64) -> u32 {
        let sides = &mut self.sides[book as usize];
        let best = sides.best[side as usize];
        if best != NONE && self.levels[best as usize].price == price {
            return best;
        }
        match sides.by_price[side as usize].get(&price) {
            Some(&level) => level,
            None => self.add_level(book, side, price),
        }
    }

    #[cold]
    fn add_level(&mut self, book: u32, side: u8, price: i64) -> u32 {
        let sides = &mut self.sides[book as usize];
        let best = sides.best[side as usize];
        let fresh = Level { price, lots: 0, orders: 0, first: NONE, last: NONE };
        let index = match self.free_levels.pop() {
            Some(index) => {
                self.levels[index as usize] = fresh;
                index
            }
            None => {
                self.levels.push(fresh);
                (self.levels.len() - 1) as u32
            }
        };
        sides.levels[side as usize].insert(price, index);
        sides.by_price[side as usize].insert(price, index);
        let better = best == NONE || (side == BUY) == (price > self.levels[best as usize].price);
        if better {
            sides.best[side as usize] = index;
        }
        index
    }

    fn drop_level(&mut self, book: u32, side: u8, level: u32) {
        let sides = &mut self.sides[book as usize];
        let prices = &mut sides.levels[side as usize];
        let price = self.levels[level as usize].price;
        prices.remove(&price);
        sides.by_price[side as usize].remove(&price);
        self.free_levels.push(level);
        if sides.best[side as usize] == level {
            let next = if side == BUY { prices.last_key_value() } else { prices.first_key_value() };
            sides.best[side as usize] = next.map_or(NONE, |(_, &next)| next);
        }
    }

    #[inline]
    fn check_not_crossed(&self, book: u32) -> Check {
        let sides = &self.sides[book as usize];
        let [bid, ask] = sides.best;
        if bid == NONE || ask == NONE || sides.may_cross {
            return Ok(());
        }
        let (bid, ask) = (self.levels[bid as usize].price, self.levels[ask as usize].price);
        ensure!(bid < ask, "I06", "book {book}: best bid {bid} is not below best ask {ask}");
        Ok(())
    }

    /// Levels of a side, best first: price in ticks, lots, orders.
    pub fn levels(&self, market: u32, line: u8, side: u8) -> Vec<(i64, i64, u32)> {
        let prices = &self.sides[self.book(market, line) as usize].levels[side as usize];
        let row = |(_, &index): (&i64, &u32)| {
            let level = &self.levels[index as usize];
            (level.price, level.lots, level.orders)
        };
        if side == BUY {
            prices.iter().rev().map(row).collect()
        } else {
            prices.iter().map(row).collect()
        }
    }

    /// Open orders, ascending by id.
    pub fn sorted(&self) -> Vec<&Order> {
        let mut orders: Vec<&Order> = self.by_id.values().map(|&slot| &self.orders[slot as usize]).collect();
        orders.sort_unstable_by_key(|order| order.id);
        orders
    }

    /// Level totals, queue order and crossing from scratch.
    pub fn verify(&self) -> Check {
        for (book, sides) in self.sides.iter().enumerate() {
            for (&price, &index) in sides.levels.iter().flatten() {
                self.verify_level(price, index)?;
            }
            self.check_not_crossed(book as u32)?;
        }
        Ok(())
    }

    fn verify_level(&self, price: i64, index: u32) -> Check {
        let level = &self.levels[index as usize];
        let (mut lots, mut orders, mut priority, mut slot) = (0, 0, 0, level.first);
        while slot != NONE {
            let order = &self.orders[slot as usize];
            ensure!(order.price == price, "I06", "order {} is in the level {price}", order.id);
            ensure!(orders == 0 || order.priority > priority, "I06", "order {} jumped the queue", order.id);
            (lots, orders, priority, slot) = (lots + order.shown(), orders + 1, order.priority, order.next);
        }
        ensure!(
            lots == level.lots && orders == level.orders,
            "I06",
            "level {price} counts {} lots, its orders {lots}",
            level.lots
        );
        Ok(())
    }
}
