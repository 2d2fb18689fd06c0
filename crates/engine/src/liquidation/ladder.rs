//! Positions of one market by the price at which they must be looked at (protocol P5.1).
//!
//! Every fill and every look moves bounds, so that moving one must cost little however many there are: prices share a
//! page with their neighbours, and those of one price are a list through the records themselves.

use std::collections::BTreeMap;

use super::watch::{account_of, owner, Bounds, Owner, NO_HIGH, NO_LOW};
use crate::codec::{Reader, Writer};
use crate::order::NONE;
use crate::perp::{Perps, Position};

/// Neighbours of a record among those of the same price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    previous: u32,
    next: u32,
}

/// In no list.
pub const UNLINKED: Link = Link { previous: NONE, next: NONE };

const FALLING: usize = 0;
const RISING: usize = 1;

const PAGE_BITS: u32 = 4;
const PAGE_PRICES: usize = 1 << PAGE_BITS;

/// Neighbouring prices and the first record of each that has some; the one that came last is the first.
#[derive(Clone, Copy, Debug)]
struct Page {
    used: u16,
    first: [u32; PAGE_PRICES],
}

/// Bounds on one side of the mark.
#[derive(Clone, Debug, Default)]
struct Shelf {
    /// Pages that are in use, by their prices without the last bits.
    pages: BTreeMap<i64, u32>,
    table: Vec<Page>,
    free: Vec<u32>,
    count: usize,
}

#[inline]
fn place_of(price: i64) -> (i64, usize) {
    (price >> PAGE_BITS, (price as usize) & (PAGE_PRICES - 1))
}

impl Shelf {
    fn insert(&mut self, records: &mut [Position], slot: u32, price: i64, side: usize) {
        let (number, at) = place_of(price);
        let index = match self.pages.get(&number) {
            Some(&index) => index,
            None => self.open(number),
        };
        let page = &mut self.table[index as usize];
        let next = if page.used & 1 << at == 0 { NONE } else { page.first[at] };
        page.used |= 1 << at;
        page.first[at] = slot;
        if next != NONE {
            records[next as usize].links[side].previous = slot;
        }
        records[slot as usize].links[side] = Link { previous: NONE, next };
        self.count += 1;
    }

    /// Whether a record is the first of its price.
    fn begins(&self, slot: u32, price: i64) -> bool {
        let (number, at) = place_of(price);
        let page = self.pages.get(&number).map(|&index| &self.table[index as usize]);
        page.is_some_and(|page| page.used & 1 << at != 0 && page.first[at] == slot)
    }

    fn open(&mut self, number: i64) -> u32 {
        let page = Page { used: 0, first: [NONE; PAGE_PRICES] };
        let index = match self.free.pop() {
            Some(index) => {
                self.table[index as usize] = page;
                index
            }
            None => {
                self.table.push(page);
                (self.table.len() - 1) as u32
            }
        };
        self.pages.insert(number, index);
        index
    }

    fn remove(&mut self, records: &mut [Position], slot: u32, price: i64, side: usize) {
        self.count -= 1;
        let Link { previous, next } = std::mem::replace(&mut records[slot as usize].links[side], UNLINKED);
        if next != NONE {
            records[next as usize].links[side].previous = previous;
        }
        if previous != NONE {
            records[previous as usize].links[side].next = next;
            return;
        }
        let (number, at) = place_of(price);
        let index = *self.pages.get(&number).expect("a bound has its page");
        let page = &mut self.table[index as usize];
        debug_assert_eq!(page.first[at], slot);
        page.first[at] = next;
        if next == NONE {
            page.used &= !(1 << at);
            if page.used == 0 {
                self.pages.remove(&number);
                self.free.push(index);
            }
        }
    }

    /// The highest price and the first of its records.
    #[inline]
    fn last(&self) -> Option<(i64, u32)> {
        let (&number, &index) = self.pages.last_key_value()?;
        let page = &self.table[index as usize];
        let at = (u16::BITS - 1 - page.used.leading_zeros()) as usize;
        Some((number << PAGE_BITS | at as i64, page.first[at]))
    }

    /// The lowest price and the first of its records.
    #[inline]
    fn first(&self) -> Option<(i64, u32)> {
        let (&number, &index) = self.pages.first_key_value()?;
        let page = &self.table[index as usize];
        let at = page.used.trailing_zeros() as usize;
        Some((number << PAGE_BITS | at as i64, page.first[at]))
    }

    /// Owners by ascending price, those of one price in the order of their list.
    fn encode(&self, records: &Perps, side: usize, writer: &mut Writer) {
        writer.len(self.count);
        for &index in self.pages.values() {
            let page = &self.table[index as usize];
            for at in (0..PAGE_PRICES).filter(|at| page.used & 1 << at != 0) {
                let mut slot = page.first[at];
                while slot != NONE {
                    let position = records.at(slot);
                    writer.u32(owner(position.account, position.sub));
                    slot = position.links[side].next;
                }
            }
        }
    }
}

/// Exposures of one market by the price at which they are due.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    falling: Shelf,
    rising: Shelf,
    /// Order of a snapshot's records, until they are known: falling, rising.
    decoded: [Vec<Owner>; 2],
}

impl Ladder {
    /// Puts a record where `new` says, from where its bounds say it is.
    #[inline]
    pub fn set(&mut self, records: &mut [Position], slot: u32, new: Bounds) {
        let old = std::mem::replace(&mut records[slot as usize].watch, new);
        if old.low != new.low {
            if old.low != NO_LOW {
                self.falling.remove(records, slot, old.low, FALLING);
            }
            if new.low != NO_LOW {
                self.falling.insert(records, slot, new.low, FALLING);
            }
        }
        if old.high != new.high {
            if old.high != NO_HIGH {
                self.rising.remove(records, slot, old.high, RISING);
            }
            if new.high != NO_HIGH {
                self.rising.insert(records, slot, new.high, RISING);
            }
        }
    }

    /// One record that these prices have reached: the furthest behind first.
    #[inline]
    pub fn crossed(&self, falling: i64, rising: i64) -> Option<u32> {
        if let Some((_, slot)) = self.falling.last().filter(|&(low, _)| low >= falling) {
            return Some(slot);
        }
        self.rising.first().filter(|&(high, _)| high <= rising).map(|(_, slot)| slot)
    }

    pub fn len(&self) -> usize {
        self.falling.count + self.rising.count
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The order of the lists: prices come from the records.
    pub fn encode(&self, records: &Perps, writer: &mut Writer) {
        self.falling.encode(records, FALLING, writer);
        self.rising.encode(records, RISING, writer);
    }

    /// Reads what [`Ladder::encode`] wrote; [`Ladder::attach`] builds the lists.
    ///
    /// # Errors
    /// A sentence when the bytes end early.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut ladder = Ladder::default();
        for order in &mut ladder.decoded {
            for _ in 0..reader.len(4)? {
                order.push(reader.u32()?);
            }
        }
        Ok(ladder)
    }

    /// Builds the lists over the records of `market`.
    ///
    /// # Errors
    /// A sentence when an owner has no such record, none with a bound, or stands there twice.
    pub fn attach(&mut self, perps: &mut Perps, market: u32) -> Result<(), String> {
        for (side, order) in std::mem::take(&mut self.decoded).into_iter().enumerate() {
            for known in order.into_iter().rev() {
                let (account, sub) = account_of(known);
                let slot = perps.find(account, sub, market);
                let bounds = slot.map(|slot| perps.at(slot).watch);
                let (Some(slot), Some(Bounds { low, high })) = (slot, bounds) else {
                    return Err(format!("sub-account {sub} of account {account} has no position to watch"));
                };
                let price = if side == FALLING { low } else { high };
                let shelf = if side == FALLING { &mut self.falling } else { &mut self.rising };
                let twice = perps.at(slot).links[side] != UNLINKED || shelf.begins(slot, price);
                if twice || price == NO_LOW || price == NO_HIGH {
                    return Err(format!(
                        "sub-account {sub} of account {account} is watched twice or not at all"
                    ));
                }
                shelf.insert(perps.records_mut(), slot, price, side);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::liquidation::watch::UNWATCHED;

    fn records(count: u32) -> Vec<Position> {
        (0..count).map(|account| Position::new(account, 0, 0, 0)).collect()
    }

    fn low(low: i64) -> Bounds {
        Bounds { low, high: NO_HIGH }
    }

    #[test]
    fn the_furthest_behind_comes_first_and_of_one_price_the_newest() {
        let (mut ladder, mut records) = (Ladder::default(), records(4));
        ladder.set(&mut records, 0, low(90));
        ladder.set(&mut records, 1, low(95));
        ladder.set(&mut records, 2, Bounds { low: NO_LOW, high: 110 });
        assert_eq!(ladder.crossed(96, 109), None);
        assert_eq!(ladder.crossed(90, 100), Some(1));
        ladder.set(&mut records, 1, UNWATCHED);
        assert_eq!((ladder.crossed(90, 100), ladder.crossed(91, 110)), (Some(0), Some(2)));
        ladder.set(&mut records, 3, low(90));
        assert_eq!((ladder.crossed(90, 100), ladder.len()), (Some(3), 3));
        ladder.set(&mut records, 3, low(-20));
        ladder.set(&mut records, 0, low(-16));
        assert_eq!((ladder.crossed(-17, 100), ladder.crossed(-15, 100)), (Some(0), None));
    }

    #[test]
    fn a_ladder_answers_like_an_ordered_set_of_prices() {
        let count = 64;
        let (mut ladder, mut records, mut state) = (Ladder::default(), records(count), 11_u64);
        let mut model: [BTreeSet<(i64, u32)>; 2] = Default::default();
        let mut draw = |most: u64| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (state >> 33) % most
        };
        for _ in 0..20_000 {
            let slot = draw(u64::from(count)) as u32;
            let mut bound = |none| if draw(3) == 0 { none } else { draw(90) as i64 - 45 };
            let new = Bounds { low: bound(NO_LOW), high: bound(NO_HIGH) };
            let old = records[slot as usize].watch;
            model[0].remove(&(old.low, slot));
            model[1].remove(&(old.high, slot));
            model[0].extend(Some((new.low, slot)).filter(|_| new.low != NO_LOW));
            model[1].extend(Some((new.high, slot)).filter(|_| new.high != NO_HIGH));
            ladder.set(&mut records, slot, new);
            let (lowest, highest) = (model[0].last(), model[1].first());
            assert_eq!(ladder.falling.last().map(|found| found.0), lowest.map(|found| found.0));
            assert_eq!(ladder.rising.first().map(|found| found.0), highest.map(|found| found.0));
            let found = ladder.crossed(i64::MIN + 1, i64::MAX - 1);
            let expected = found.is_some_and(|slot| {
                let Bounds { low, high } = records[slot as usize].watch;
                lowest.map_or(highest.is_some_and(|h| h.0 == high), |l| l.0 == low)
            });
            assert_eq!(expected, !ladder.is_empty());
            assert_eq!(ladder.len(), model[0].len() + model[1].len());
        }
        for slot in 0..count {
            ladder.set(&mut records, slot, UNWATCHED);
        }
        assert!(ladder.is_empty() && ladder.falling.pages.is_empty() && ladder.rising.pages.is_empty());
        assert!(records.iter().all(|record| record.links == [UNLINKED; 2]));
    }
}
