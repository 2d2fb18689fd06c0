//! Leveraged positions by the price at which their equity ends (protocol P9.1): the sum of what could not be paid at a
//! mark, without looking at all positions.
//!
//! A position's equity is a line in the value of a lot, `K + q·Y`, with `Y` the lot's value less the funding index. Its
//! owner's money is shared among the owner's positions by what their entries cost, so that nothing here depends on the
//! mark of another market. All is in 10^-9 micro-units: exact, whatever funding leaves behind the comma.

use std::collections::BTreeSet;

use super::worst::STRESS_PCT;
use crate::codec::{Reader, Writer};
use crate::liquidation::watch::{account_of, owner, Owner};
use crate::perp::{PerpMarket, Position};

/// 10^-9 micro-units in one.
pub const FINE: i128 = 1_000_000_000;
/// Entries of a block; a full one is cut in two halves. Small in tests, so that there are many.
const BLOCK: usize = if cfg!(test) { 8 } else { 256 };

/// What a position was counted as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Side: 0 long, 1 short, [`NO_SIDE`]. Short positions are kept as long ones in `−Y`.
    pub side: u8,
    /// Least `Y` (long) or `−Y` (short) at which nothing is missing.
    pub end: i128,
}

/// Side of a position that was counted when the state was written and is closed since: nothing stands for it.
const NO_SIDE: u8 = 2;

impl Line {
    /// What such a position was counted as.
    pub const CLOSED: Line = Line { side: NO_SIDE, end: 0 };
}

/// Equity of a position as a function of the value of a lot.
#[derive(Clone, Copy, Debug)]
struct Entry {
    end: i128,
    constant: i128,
    lots: i64,
    owner: Owner,
}

impl Entry {
    fn key(&self) -> (i128, Owner) {
        (self.end, self.owner)
    }
}

/// Entries next to each other in order, and their sums.
#[derive(Clone, Debug, Default)]
struct Block {
    entries: Vec<Entry>,
    constant: i128,
    lots: i128,
}

impl Block {
    fn new(entries: Vec<Entry>) -> Self {
        let constant = entries.iter().map(|entry| entry.constant).sum();
        let lots = entries.iter().map(|entry| i128::from(entry.lots)).sum();
        Block { entries, constant, lots }
    }

    fn last_key(&self) -> (i128, Owner) {
        self.entries.last().expect("no block is empty").key()
    }
}

/// Positions of one side, ascending by where their equity ends.
#[derive(Clone, Debug, Default)]
struct Side {
    blocks: Vec<Block>,
}

impl Side {
    fn insert(&mut self, entry: Entry) {
        let key = entry.key();
        if self.blocks.is_empty() {
            self.blocks.push(Block::new(vec![entry]));
            return;
        }
        let place = self.blocks.partition_point(|block| block.last_key() < key).min(self.blocks.len() - 1);
        let block = &mut self.blocks[place];
        let at = block.entries.partition_point(|other| other.key() < key);
        block.entries.insert(at, entry);
        block.constant += entry.constant;
        block.lots += i128::from(entry.lots);
        if block.entries.len() > BLOCK {
            let upper = Block::new(block.entries.split_off(BLOCK / 2));
            block.constant -= upper.constant;
            block.lots -= upper.lots;
            self.blocks.insert(place + 1, upper);
        }
    }

    fn remove(&mut self, end: i128, owner: Owner) {
        let place = self.blocks.partition_point(|block| block.last_key() < (end, owner));
        let block = &mut self.blocks[place];
        let at = block.entries.binary_search_by_key(&(end, owner), Entry::key).expect("it was counted");
        let entry = block.entries.remove(at);
        block.constant -= entry.constant;
        block.lots -= i128::from(entry.lots);
        if block.entries.is_empty() {
            self.blocks.remove(place);
        }
    }

    /// `Σ max(0, −(K + q·Y))`.
    fn missing(&self, value: i128) -> i128 {
        let mut missing = 0;
        for block in self.blocks.iter().rev() {
            if block.entries[0].end > value {
                missing -= block.constant + block.lots * value;
                continue;
            }
            for entry in block.entries.iter().rev().take_while(|entry| entry.end > value) {
                missing -= entry.constant + i128::from(entry.lots) * value;
            }
            break;
        }
        missing
    }
}

/// Positions of one leveraged market.
#[derive(Clone, Debug, Default)]
struct Market {
    sides: [Side; 2],
}

/// Positions of all leveraged markets, and what has changed since the last Tick. Lines follow from positions and
/// balances; what waits is state, because it decides how much one command does.
#[derive(Clone, Debug, Default)]
pub struct Stress {
    /// By place in the list of leveraged markets.
    markets: Vec<Market>,
    /// Sub-accounts whose money or positions changed; a flag in the first position of each keeps this short.
    pub touched: Vec<Owner>,
    /// Positions that are gone: place of the market, owner, and what they were counted as.
    gone: Vec<(u32, Owner, Line)>,
    /// Positions that were gone when the state was written; their lines went with it, their work stays.
    forgotten: u32,
    /// Places of markets whose worst case is to be computed again.
    dirty: BTreeSet<u32>,
}

impl Stress {
    #[inline]
    pub fn has_work(&self) -> bool {
        !(self.touched.is_empty() && self.dirty.is_empty() && self.gone.is_empty() && self.forgotten == 0)
    }

    /// A market's worst case is to be computed again.
    #[inline]
    pub fn set_dirty(&mut self, place: usize) {
        self.dirty.insert(place as u32);
    }

    /// The least place of a market whose worst case is to be computed again.
    pub fn next_dirty(&mut self) -> Option<u32> {
        self.dirty.pop_first()
    }

    /// The position of a key does not exist any more.
    #[inline]
    pub fn drop_line(&mut self, place: usize, account: u32, sub: u8, line: Line) {
        self.gone.push((place as u32, owner(account, sub), line));
        self.set_dirty(place);
    }

    /// Forgets one position that is gone; whether there was one.
    pub fn forget_one(&mut self) -> bool {
        if self.forgotten > 0 {
            self.forgotten -= 1;
            return true;
        }
        let Some((place, owner, line)) = self.gone.pop() else { return false };
        self.remove(place as usize, owner, line);
        true
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.u32(self.forgotten + self.gone.len() as u32);
        writer.len(self.touched.len());
        self.touched.iter().for_each(|&owner| writer.u32(owner));
        writer.len(self.dirty.len());
        self.dirty.iter().for_each(|&place| writer.u32(place));
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>, markets: usize) -> Result<Self, String> {
        let mut stress = Stress { forgotten: reader.u32()?, ..Stress::default() };
        for _ in 0..reader.len(4)? {
            stress.touched.push(reader.u32()?);
        }
        for _ in 0..reader.len(4)? {
            let place = reader.u32()?;
            if place as usize >= markets {
                return Err(format!("leveraged market {place} of {markets} waits for its worst case"));
            }
            stress.dirty.insert(place);
        }
        Ok(stress)
    }

    pub fn remove(&mut self, place: usize, owner: Owner, line: Line) {
        if line.side == NO_SIDE {
            return;
        }
        self.markets[place].sides[usize::from(line.side)].remove(line.end, owner);
    }

    /// Counts a position with `money` micro-units of its owner behind it.
    pub fn add(&mut self, place: usize, position: &Position, money: i128) -> Line {
        if place >= self.markets.len() {
            self.markets.resize_with(place + 1, Market::default);
        }
        let constant = constant_of(position, money);
        let (side, lots) = (u8::from(position.lots < 0), position.lots.abs());
        // Least whole Y with K + q·Y ≥ 0.
        let end = -constant.div_euclid(i128::from(lots));
        let entry = Entry { end, constant, lots, owner: owner(position.account, position.sub) };
        self.markets[place].sides[usize::from(side)].insert(entry);
        Line { side, end }
    }

    /// `max over the grid of Σ max(0, −E)` of a market in micro-units, rounded up (P9.1).
    pub fn worst_case(&self, place: usize, perp: &PerpMarket) -> i64 {
        let Some(market) = self.markets.get(place) else { return 0 };
        let missing = stressed_values(perp)
            .map(|value| market.sides[0].missing(value) + market.sides[1].missing(-value));
        let worst = missing.max().unwrap_or(0);
        i64::try_from((worst + FINE - 1) / FINE).unwrap_or(i64::MAX)
    }
}

/// `Y` at each mark of the grid.
fn stressed_values(perp: &PerpMarket) -> impl Iterator<Item = i128> {
    let hundredth = i128::from(perp.mark) * i128::from(perp.unit) * (FINE / 100);
    let funding_index = perp.funding_index;
    STRESS_PCT.iter().map(move |&pct| hundredth * i128::from(100 + pct) - funding_index)
}

/// `K` of a position with `money` micro-units behind it.
fn constant_of(position: &Position, money: i128) -> i128 {
    (money - i128::from(position.cost)) * FINE + i128::from(position.lots) * position.funding_entry
}

/// What one position with `money` micro-units behind it could not pay at the worst mark of the grid: micro-units,
/// rounded up.
pub fn missing_of(position: &Position, money: i128, perp: &PerpMarket) -> i128 {
    let constant = constant_of(position, money);
    let missing = stressed_values(perp).map(|value| -(constant + i128::from(position.lots) * value));
    (missing.max().unwrap_or(0).max(0) + FINE - 1) / FINE
}

/// The part of `money` that stands behind one position, by what its entry cost among all of its owner's.
pub fn share(money: i64, cost: i64, costs: i128) -> i128 {
    (i128::from(money) * weight(cost)).div_euclid(costs.max(1))
}

/// What a position counts in sharing its owner's money.
pub fn weight(cost: i64) -> i128 {
    i128::from(cost).abs().max(1)
}

/// Account and sub-account of an owner.
pub fn who(owner: Owner) -> (u32, u8) {
    account_of(owner)
}

#[cfg(test)]
mod tests {
    use super::super::worst::{leveraged, Stressed};
    use super::*;
    use crate::perp::Risk;
    use proptest::prelude::*;

    fn market(mark: i64, unit: i64) -> PerpMarket {
        let mut market = PerpMarket::new(0, 0, unit, Risk::default());
        market.mark = mark;
        market
    }

    fn position(account: u32, lots: i64, cost: i64) -> Position {
        Position { lots, cost, ..Position::new(account, 0, 0, 0) }
    }

    proptest! {
        /// Whatever came and went, and wherever the mark is: the sums over blocks are the sums over positions.
        #[test]
        fn blocks_say_what_a_walk_over_all_positions_says(
            book in prop::collection::vec((1_i64..500, any::<bool>(), 1_i64..2_000, 0_i64..60_000), 1..400),
            leaving in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
            marks in prop::collection::vec(1_i64..3_000, 1..6),
        ) {
            let mut stress = Stress::default();
            let mut known: Vec<Option<(Position, i64, Line)>> = Vec::new();
            for (account, &(lots, long, price, money)) in book.iter().enumerate() {
                let lots = if long { lots } else { -lots };
                let position = position(account as u32, lots, lots * price * 10);
                let line = stress.add(0, &position, i128::from(money));
                known.push(Some((position, money, line)));
            }
            for index in leaving {
                if let Some((position, _, line)) = known[index.index(book.len())].take() {
                    stress.remove(0, owner(position.account, 0), line);
                }
            }
            for mark in marks {
                let equity = |position: &Position, money: i64| money - position.cost + position.lots * mark * 10;
                let all = known.iter().flatten();
                let all: Vec<_> = all
                    .map(|(position, money, _)| Stressed { lots: position.lots, equity: equity(position, *money) })
                    .collect();
                prop_assert_eq!(stress.worst_case(0, &market(mark, 10)), leveraged(&all, mark, 10));
            }
        }
    }

    #[test]
    fn funding_that_is_owed_counts_to_the_last_fraction() {
        let mut stress = Stress::default();
        // 3 lots long at 100, $0 behind them, mark 100: a fall of 30 % loses 900 micro-units at unit 10.
        stress.add(0, &position(0, 3, 3_000), 0);
        let mut perp = market(100, 10);
        assert_eq!(stress.worst_case(0, &perp), 900);
        // A billionth of a micro-unit a lot more is owed: rounded up once, at the end.
        perp.funding_index = 1;
        assert_eq!(stress.worst_case(0, &perp), 901);
        perp.funding_index = -FINE;
        assert_eq!(stress.worst_case(0, &perp), 897);
    }

    #[test]
    fn money_is_shared_by_entry_cost_and_never_more_than_there_is() {
        let costs = [3_000, -6_000, 0, 1];
        let all = costs.iter().map(|&cost| weight(cost)).sum();
        for money in [10_000, 7, 0, -5, i64::MAX / 2] {
            let shares: Vec<i128> = costs.iter().map(|&cost| share(money, cost, all)).collect();
            let sum: i128 = shares.iter().sum();
            assert!(sum <= i128::from(money) && sum > i128::from(money) - 4, "{shares:?} of {money}");
        }
        assert_eq!(share(9_999, 5, 5), 9_999);
    }
}
