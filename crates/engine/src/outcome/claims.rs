//! Who holds how much of which outcome (protocol P1.4.3, I05).
//!
//! Claims are counted in micro-shares (10⁻⁶ contract): one micro-share of the winner pays one micro-unit of the quote
//! asset. They are no ledger asset: 65,536 markets of 64 outcomes would not fit its numbers.

use crate::codec::{Reader, Writer};
use crate::index::Index;
use crate::limits::MAX_CLAIMS;
use crate::market::Markets;
use crate::math::MAX_BALANCE;

/// Account of what a market's pool holds, with sub-account 0.
pub const POOL: u32 = u32::MAX;

/// "No market of outcomes".
const NONE: u32 = u32::MAX;

/// Micro-shares of one outcome that a sub-account, or the market's pool, holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holding {
    pub market: u32,
    pub account: u32,
    pub sub: u8,
    pub outcome: u8,
    pub free: i64,
    /// Secures the open sell orders of its owner.
    pub held: i64,
}

impl Holding {
    fn hash(&self) -> u64 {
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let owner = u64::from(self.market) << 32 | u64::from(self.account);
        let part = (u64::from(self.sub) << 8 | u64::from(self.outcome)).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        let product = u128::from(owner ^ part) * u128::from(FACTOR);
        (product as u64) ^ ((product >> 64) as u64)
    }

    #[inline]
    fn is(&self, other: &Holding) -> bool {
        (self.market, self.account, self.sub, self.outcome)
            == (other.market, other.account, other.sub, other.outcome)
    }
}

/// All claims of the shard. Only holdings that are not zero are kept.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    rows: Vec<Holding>,
    free_rows: Vec<u32>,
    index: Index,
    /// Place of a market's first outcome in `supply`, by market handle.
    first: Vec<u32>,
    supply: Vec<i64>,
    /// What the market's pool holds free, at the same places.
    of_pool: Vec<i64>,
    /// Market and account of users' holdings that became zero in this command; empty between commands.
    pub left: Vec<(u32, u32)>,
}

impl Claims {
    /// Makes room for the outcomes of a new market.
    pub fn open_market(&mut self, market: u32, outcome_count: u8) {
        self.first.resize(market as usize, NONE);
        self.first.push(self.supply.len() as u32);
        let end = self.supply.len() + usize::from(outcome_count);
        self.supply.resize(end, 0);
        self.of_pool.resize(end, 0);
    }

    /// What exists of an outcome, with users and pools, in micro-shares.
    #[inline]
    pub fn supply(&self, market: u32, outcome: u8) -> i64 {
        match self.first.get(market as usize) {
            Some(&first) if first != NONE => self.supply[first as usize + usize::from(outcome)],
            _ => 0,
        }
    }

    /// Holdings that are not zero.
    pub fn len(&self) -> usize {
        self.rows.len() - self.free_rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The holding of a sub-account in an outcome; zero when there is none.
    #[inline]
    pub fn holding(&self, account: u32, sub: u8, market: u32, outcome: u8) -> Holding {
        let wanted = Holding { market, account, sub, outcome, free: 0, held: 0 };
        let same = |row: u32| self.rows[row as usize].is(&wanted);
        self.index.find(wanted.hash(), same).map_or(wanted, |row| self.rows[row as usize])
    }

    /// Micro-shares that their owner may use.
    #[inline]
    pub fn free(&self, account: u32, sub: u8, market: u32, outcome: u8) -> i64 {
        self.holding(account, sub, market, outcome).free
    }

    /// Micro-shares that secure open sell orders.
    #[inline]
    pub fn held(&self, account: u32, sub: u8, market: u32, outcome: u8) -> i64 {
        self.holding(account, sub, market, outcome).held
    }

    /// Micro-shares of an outcome that the market's pool holds.
    #[inline]
    pub fn pool(&self, market: u32, outcome: u8) -> i64 {
        match self.first.get(market as usize) {
            Some(&first) if first != NONE => self.of_pool[first as usize + usize::from(outcome)],
            _ => 0,
        }
    }

    /// Changes what is free by `delta`; as [`Claims::shift`].
    pub fn move_free(&mut self, account: u32, sub: u8, market: u32, outcome: u8, delta: i64) -> Holding {
        self.shift((account, sub), market, outcome, (delta, 0))
    }

    /// Changes what is held by `delta`; as [`Claims::shift`].
    pub fn move_held(&mut self, account: u32, sub: u8, market: u32, outcome: u8, delta: i64) -> Holding {
        self.shift((account, sub), market, outcome, (0, delta))
    }

    /// Changes a holding by (free, held) micro-shares and the supply by their sum; returns the new holding.
    ///
    /// # Panics
    /// When a part would be negative or too large: a broken invariant (I03, I05), never an operating error.
    pub fn shift(
        &mut self,
        (account, sub): (u32, u8),
        market: u32,
        outcome: u8,
        (free, held): (i64, i64),
    ) -> Holding {
        let wanted = Holding { market, account, sub, outcome, free: 0, held: 0 };
        let hash = wanted.hash();
        let rows = &self.rows;
        let row = match self.index.find(hash, |row| rows[row as usize].is(&wanted)) {
            Some(row) => row,
            None => self.add_row(hash, wanted),
        };
        let holding = &mut self.rows[row as usize];
        holding.free += free;
        holding.held += held;
        let holding = *holding;
        assert!(
            (0..=MAX_BALANCE).contains(&holding.free) && (0..=MAX_BALANCE).contains(&holding.held),
            "I05: account {account} sub {sub} would hold {} and {} of outcome {outcome} in market {market}",
            holding.free,
            holding.held
        );
        let first = self.first[market as usize] as usize;
        self.supply[first + usize::from(outcome)] += free + held;
        if account == POOL {
            self.of_pool[first + usize::from(outcome)] = holding.free;
        }
        if holding.free | holding.held == 0 {
            self.index.remove(hash, row);
            self.free_rows.push(row);
            if account != POOL {
                self.left.push((market, account));
            }
        }
        holding
    }

    #[cold]
    fn add_row(&mut self, hash: u64, holding: Holding) -> u32 {
        let row = match self.free_rows.pop() {
            Some(row) => {
                self.rows[row as usize] = holding;
                row
            }
            None => {
                self.rows.push(holding);
                (self.rows.len() - 1) as u32
            }
        };
        self.index.insert(hash, row);
        row
    }

    /// All holdings that are not zero, ascending by market, account, sub-account, outcome.
    pub fn ascending(&self) -> Vec<Holding> {
        let mut rows: Vec<Holding> =
            self.rows.iter().filter(|row| row.free | row.held != 0).copied().collect();
        rows.sort_unstable();
        rows
    }

    /// The holdings of a market that are not zero, the pool's among them, ascending by account, sub-account, outcome.
    pub fn holders(&self, market: u32) -> Vec<Holding> {
        let mut rows: Vec<Holding> = self
            .rows
            .iter()
            .filter(|row| row.market == market && row.free | row.held != 0)
            .copied()
            .collect();
        rows.sort_unstable();
        rows
    }

    pub fn encode(&self, writer: &mut Writer) {
        let rows = self.ascending();
        writer.len(rows.len());
        for Holding { market, account, sub, outcome, free, held } in rows {
            writer.u32(market);
            writer.u32(account);
            writer.raw(&[sub, outcome]);
            writer.i64(free);
            writer.i64(held);
        }
    }

    /// Reads what [`Claims::encode`] wrote; [`Claims::attach`] completes it.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut claims = Claims::default();
        let count = reader.len(26)?;
        if count > MAX_CLAIMS {
            return Err(format!("{count} claims"));
        }
        for _ in 0..count {
            let (market, account) = (reader.u32()?, reader.u32()?);
            let [sub, outcome] = reader.array()?;
            let holding = Holding { market, account, sub, outcome, free: reader.i64()?, held: reader.i64()? };
            let in_domain = |amount: i64| (0..=MAX_BALANCE).contains(&amount);
            if holding.free | holding.held == 0 || !in_domain(holding.free) || !in_domain(holding.held) {
                return Err(format!("claim {holding:?}"));
            }
            if claims.rows.last().is_some_and(|last| *last >= holding || last.is(&holding)) {
                return Err(format!("claim {holding:?} is out of order"));
            }
            claims.add_row(holding.hash(), holding);
        }
        Ok(claims)
    }

    /// Counts the supply of every outcome.
    ///
    /// # Errors
    /// A claim on an outcome that does not exist.
    pub fn attach(&mut self, markets: &Markets) -> Result<(), String> {
        for (handle, market) in markets.list.iter().enumerate() {
            if market.has_outcomes() {
                self.open_market(handle as u32, market.outcome_count);
            }
        }
        for row in &self.rows {
            let market = markets.list.get(row.market as usize);
            if !market.is_some_and(|market| market.has_outcomes() && row.outcome < market.outcome_count) {
                return Err(format!("claim {row:?} names no outcome"));
            }
            let first = self.first[row.market as usize] as usize;
            self.supply[first + usize::from(row.outcome)] += row.free + row.held;
            if row.account == POOL {
                self.of_pool[first + usize::from(row.outcome)] = row.free;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn claims_answer_like_an_ordered_map_and_supply_is_their_sum() {
        let mut claims = Claims::default();
        claims.open_market(2, 3);
        claims.open_market(7, 2);
        let mut model: BTreeMap<(u32, u8, u32, u8), (i64, i64)> = BTreeMap::new();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let bits = state >> 20;
            let market = if bits & 1 == 0 { 2 } else { 7 };
            let outcome = ((bits >> 1) % if market == 2 { 3 } else { 2 }) as u8;
            let (account, sub) = ((bits >> 8) as u32 % 5, (bits >> 16) as u8 % 2);
            let account = if account == 4 { POOL } else { account };
            let entry = model.entry((account, sub, market, outcome)).or_default();
            let (free, held) = match (bits >> 20) % 5 {
                0 => (-entry.0, -entry.1),
                1 => (-(entry.0 / 2), entry.0 / 2),
                2 => (entry.1, -entry.1),
                _ => (((bits >> 24) % 100) as i64, 0),
            };
            *entry = (entry.0 + free, entry.1 + held);
            let expected = *entry;
            let holding = claims.shift((account, sub), market, outcome, (free, held));
            assert_eq!((holding.free, holding.held), expected);
            assert_eq!(claims.free(account, sub, market, outcome), expected.0);
            let sum = |market: u32, outcome: u8| -> i64 {
                model
                    .iter()
                    .filter(|row| row.0 .2 == market && row.0 .3 == outcome)
                    .map(|row| row.1 .0 + row.1 .1)
                    .sum()
            };
            assert_eq!(claims.supply(market, outcome), sum(market, outcome));
            assert_eq!(claims.len(), model.values().filter(|row| **row != (0, 0)).count());
        }
    }

    #[test]
    #[should_panic(expected = "I05")]
    fn more_than_is_there_cannot_be_taken() {
        let mut claims = Claims::default();
        claims.open_market(0, 2);
        claims.shift((1, 0), 0, 1, (5, 0));
        claims.shift((1, 0), 0, 1, (-6, 0));
    }
}
