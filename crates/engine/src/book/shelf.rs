//! All books of the shard: one a market, and one more for every further outcome of a categorical market (P3.6).

use std::collections::BTreeMap;

use super::Book;
use crate::codec::{Reader, Writer};
use crate::limits::MAX_PRICE;
use crate::order::{flag, Order};

/// The book of a further outcome and its prices; made with its first order.
#[derive(Clone, Debug, Default)]
pub struct Line<B> {
    pub book: B,
    /// Last trade price in ticks; 0 = none yet.
    pub last_price: i64,
    /// Reference of the price band in ticks; 0 = none.
    pub reference: i64,
}

/// Books by market handle; `of` finds the one that an order belongs to.
#[derive(Clone, Debug, Default)]
pub struct Shelf<B> {
    by_market: Vec<B>,
    /// Outcomes from 1 on of markets with three or more.
    further: BTreeMap<(u32, u8), Line<B>>,
    empty: B,
}

impl Order {
    /// The outcome whose book shows the order: a binary market has one book, in prices of its outcome 0 (P3.5).
    #[inline(always)]
    pub fn line(&self) -> u8 {
        if self.outcome == 0 || self.flags & flag::FLIPPED != 0 {
            0
        } else {
            self.outcome
        }
    }

    /// The side that its owner gave.
    #[inline]
    pub fn given_side(&self) -> u8 {
        self.side ^ u8::from(self.flags & flag::FLIPPED != 0)
    }
}

impl<B: Book> Shelf<B> {
    pub fn push(&mut self, book: B) {
        self.by_market.push(book);
    }

    pub fn len(&self) -> usize {
        self.by_market.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_market.is_empty()
    }

    /// The book of a market's first outcome.
    pub fn get(&self, market: usize) -> Option<&B> {
        self.by_market.get(market)
    }

    /// The book that an order belongs to.
    #[inline(always)]
    pub fn of(&self, order: &Order) -> &B {
        match order.line() {
            0 => &self.by_market[order.market as usize],
            line => self.further(order.market, line),
        }
    }

    /// As [`Shelf::of`].
    #[inline(always)]
    pub fn of_mut(&mut self, order: &Order) -> &mut B {
        match order.line() {
            0 => &mut self.by_market[order.market as usize],
            line => &mut self.line_mut(order.market, line).book,
        }
    }

    /// The book of one outcome of a market; an empty one where nobody has placed an order.
    #[inline]
    pub fn at(&self, market: u32, line: u8) -> &B {
        match line {
            0 => &self.by_market[market as usize],
            line => self.further(market, line),
        }
    }

    #[cold]
    fn further(&self, market: u32, line: u8) -> &B {
        self.further.get(&(market, line)).map_or(&self.empty, |line| &line.book)
    }

    /// The book and prices of a further outcome.
    #[cold]
    pub fn line_mut(&mut self, market: u32, line: u8) -> &mut Line<B> {
        self.further.entry((market, line)).or_default()
    }

    /// Lets go of the books and prices of a market without orders.
    pub fn forget(&mut self, market: u32) {
        self.by_market[market as usize] = B::default();
        let further: Vec<u8> =
            self.further.range((market, 0)..=(market, u8::MAX)).map(|(&(_, line), _)| line).collect();
        further.into_iter().for_each(|line| {
            self.further.remove(&(market, line));
        });
    }

    /// Reference of the price band of a further outcome in ticks; 0 = none.
    pub fn reference(&self, market: u32, line: u8) -> i64 {
        self.further.get(&(market, line)).map_or(0, |line| line.reference)
    }

    /// Last trade price of a further outcome in ticks; 0 = none yet.
    pub fn last_price(&self, market: u32, line: u8) -> i64 {
        self.further.get(&(market, line)).map_or(0, |line| line.last_price)
    }

    /// Prices of the further outcomes that have any, ascending by market and outcome.
    pub fn encode_prices(&self, writer: &mut Writer) {
        let priced = || self.further.iter().filter(|(_, line)| line.last_price | line.reference != 0);
        writer.len(priced().count());
        for (&(market, outcome), line) in priced() {
            writer.u32(market);
            writer.u8(outcome);
            writer.i64(line.last_price);
            writer.i64(line.reference);
        }
    }

    /// Reads what [`Shelf::encode_prices`] wrote.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn decode_prices(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        for _ in 0..reader.len(21)? {
            let (market, outcome) = (reader.u32()?, reader.u8()?);
            let (last_price, reference) = (reader.i64()?, reader.i64()?);
            let sound = (market as usize) < self.len()
                && outcome != 0
                && (0..=MAX_PRICE).contains(&last_price)
                && (0..=MAX_PRICE).contains(&reference);
            if !sound {
                return Err(format!("prices of outcome {outcome} of market {market}"));
            }
            let line = self.line_mut(market, outcome);
            (line.last_price, line.reference) = (last_price, reference);
        }
        Ok(())
    }
}

impl<B> std::ops::Index<usize> for Shelf<B> {
    type Output = B;
    #[inline(always)]
    fn index(&self, market: usize) -> &B {
        &self.by_market[market]
    }
}

impl<B> std::ops::IndexMut<usize> for Shelf<B> {
    #[inline(always)]
    fn index_mut(&mut self, market: usize) -> &mut B {
        &mut self.by_market[market]
    }
}
