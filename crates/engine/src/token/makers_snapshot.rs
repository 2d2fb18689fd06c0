//! Makers' rewards in the canonical encoding. Walks and hours that are being paid end before any snapshot.

use super::makers::{Makers, Pair, Quoted, Score};
use crate::codec::{Reader, Writer};
use crate::limits::{MAX_MAKERS_PER_BOOK, MAX_REWARDED_BOOKS, MAX_REWARD_PAIRS};

impl Makers {
    pub fn encode(&self, writer: &mut Writer) {
        writer.u16(self.quote);
        writer.i64(self.hour_ns);
        writer.len(self.books.len());
        for (&(market, outcome), book) in &self.books {
            writer.u32(market);
            writer.raw(&[outcome, u8::from(book.ends)]);
            book.encode(writer);
        }
        writer.len(self.accrued.len());
        for (&(account, asset), &amount) in &self.accrued {
            writer.u32(account);
            writer.u16(asset);
            writer.i64(amount);
        }
    }

    /// The sums are not stored: they are those of the scores.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut makers = Makers { quote: reader.u16()?, hour_ns: reader.i64()?, ..Makers::default() };
        for _ in 0..reader.len(38)? {
            let (market, [outcome, ends]) = (reader.u32()?, reader.array()?);
            let mut book = Quoted::decode(reader)?;
            book.ends = ends != 0;
            for score in book.scores.values() {
                makers.total_points += score.points();
                makers.total_volume += score.volume;
            }
            makers.books.insert((market, outcome), book);
        }
        if makers.books.len() > MAX_REWARDED_BOOKS {
            return Err(format!("{} books are rewarded", makers.books.len()));
        }
        for _ in 0..reader.len(14)? {
            let key = (reader.u32()?, reader.u16()?);
            makers.accrued.insert(key, reader.i64()?);
        }
        Ok(makers)
    }
}

impl Quoted {
    fn encode(&self, writer: &mut Writer) {
        writer.i64(self.next_ns);
        writer.len(self.scores.len());
        for (&account, score) in &self.scores {
            writer.u32(account);
            writer.u32(score.seen);
            [score.depth, score.volume, score.fees].into_iter().for_each(|value| writer.i64(value));
        }
        writer.len(self.pairs.len());
        for (&(first, second), pair) in &self.pairs {
            writer.u32(first);
            writer.u32(second);
            let amounts = [pair.net, pair.gross].into_iter().chain(pair.value).chain(pair.fees);
            amounts.for_each(|value| writer.i64(value));
        }
        writer.len(self.clocks.len());
        for (&account, &at_ns) in &self.clocks {
            writer.u32(account);
            writer.i64(at_ns);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut book = Quoted { next_ns: reader.i64()?, ..Quoted::default() };
        for _ in 0..reader.len(32)? {
            let (account, seen) = (reader.u32()?, reader.u32()?);
            let (depth, volume, fees) = (reader.i64()?, reader.i64()?, reader.i64()?);
            if depth < 0 || volume < 0 {
                return Err(format!("account {account} has a score below zero"));
            }
            book.scores.insert(account, Score { depth, seen, volume, fees });
        }
        for _ in 0..reader.len(56)? {
            let key = (reader.u32()?, reader.u32()?);
            let (net, gross) = (reader.i64()?, reader.i64()?);
            let (value, fees) = ([reader.i64()?, reader.i64()?], [reader.i64()?, reader.i64()?]);
            book.pairs.insert(key, Pair { net, gross, value, fees });
        }
        for _ in 0..reader.len(12)? {
            let account = reader.u32()?;
            book.clocks.insert(account, reader.i64()?);
        }
        if book.scores.len().max(book.clocks.len()) > MAX_MAKERS_PER_BOOK
            || book.pairs.len() > MAX_REWARD_PAIRS
        {
            return Err(format!("a book rewards {} makers", book.scores.len()));
        }
        Ok(book)
    }
}
