//! Distribution markets in integers (P10.5): one pool's state, what a trade posts, what its claim pays.
//!
//! Every payment is rounded down by more than the formulas can be wrong, every collateral up. The claims of all trades
//! telescope: first claim + Σ (g − f) + (backing − last claim) = backing, so that a pool with the backing and the
//! collateral of every trade can pay all of them whatever the number is.

use std::collections::BTreeMap;

use super::distribution::{least_sigma, peak};
use super::micro::distribution_collateral;
use super::{exponential, received};
use crate::codec::{Reader, Writer};
use crate::resolution::payout::{choice, Payout, WHOLE_PPM};
use crate::wire::Code;

/// Units of the question's numbers in the state.
pub const UNIT: f64 = 1e6;
/// A claim is at least this part of the range wide. A number becomes final in steps of a millionth of the range: within
/// half a step no claim changes by more than 0.4 % of its peak.
pub const RANGE_OVER_SIGMA: i64 = 10_000;

/// A normal claim: mean and width in the question's unit times 10⁶.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub mean: i64,
    pub sigma: i64,
}

/// The pool of one distribution market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// k and b in micro-quote.
    pub norm: i64,
    pub backing: i64,
    pub lower: i64,
    pub upper: i64,
    pub shape: Shape,
    /// Account and sub-account that have the first claim, what is left of the backing, and the fees.
    pub creator: (u32, u8),
    pub fees: i64,
    /// Whether the creator's rest has been paid.
    pub rest_paid: bool,
}

/// One trade: the claim to − from (nothing, for the first claim) and its collateral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    pub from: Option<Shape>,
    pub to: Shape,
    pub collateral: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Questions {
    pub pools: BTreeMap<u32, Question>,
    /// By market, account and sub-account, in the order of the trades.
    pub trades: BTreeMap<(u32, u32, u8), Vec<Trade>>,
    /// Pools that have paid everything, for the archive of their market; at most one a market, until it is pruned.
    pub ended: BTreeMap<u32, Question>,
}

impl Shape {
    /// Height of the claim at a number, in micro-quote.
    fn height(&self, norm: i64, at: i64) -> f64 {
        let sigma = self.sigma as f64 / UNIT;
        let z = (i128::from(at) - i128::from(self.mean)) as f64 / self.sigma as f64;
        peak(norm as f64, sigma) * exponential(-0.5 * z * z)
    }
}

impl Trade {
    /// What the claim pays at a number together with its collateral, rounded down and never below 0 (P10.5.3); without
    /// a number the collateral returns (P15.1).
    ///
    /// # Errors
    /// `NOT_A_NUMBER`, `MATH_OVERFLOW`.
    pub fn pays(&self, norm: i64, at: Option<i64>) -> Result<i64, Code> {
        let Some(at) = at else { return Ok(self.collateral) };
        let from = self.from.map_or(0.0, |from| from.height(norm, at));
        let change = received(self.to.height(norm, at) - from, norm as f64)?;
        Ok(change.checked_add(self.collateral).ok_or(Code::MATH_OVERFLOW)?.max(0))
    }
}

impl Question {
    /// Whether a claim may stand: within the bounds, and nowhere above the backing (P10.5.1).
    ///
    /// # Errors
    /// `INVALID_BOUNDS`, `SIGMA_BELOW_MINIMUM`; the bound and the number that violates it.
    pub fn check(&self, shape: Shape) -> Result<(), (Code, i64, i64)> {
        if !(self.lower..=self.upper).contains(&shape.mean) {
            let bound = if shape.mean < self.lower { self.lower } else { self.upper };
            return Err((Code::INVALID_BOUNDS, bound, shape.mean));
        }
        let width = self.upper - self.lower;
        if shape.sigma > width {
            return Err((Code::INVALID_BOUNDS, width, shape.sigma));
        }
        let least = self.least_sigma();
        if shape.sigma < least {
            return Err((Code::SIGMA_BELOW_MINIMUM, least, shape.sigma));
        }
        Ok(())
    }

    /// σ_min, rounded up, or what the range asks for.
    pub fn least_sigma(&self) -> i64 {
        let backed = libm::ceil(least_sigma(self.norm as f64, self.backing as f64) * UNIT).max(1.0) as i64;
        backed.max((self.upper - self.lower) / RANGE_OVER_SIGMA)
    }

    /// Collateral of the trade to another claim, rounded up.
    ///
    /// # Errors
    /// `INVALID_AMOUNT` when nothing moves, those of the kernel.
    pub fn collateral(&self, to: Shape) -> Result<i64, Code> {
        let from = self.shape;
        distribution_collateral(self.norm, (from.mean, from.sigma), (to.mean, to.sigma))
    }

    /// The number that a payout stands for: how far up from the lower bound, in ppm of the range. None for INVALID, the
    /// equal split of the two sides: exactly the middle cannot be told from it and is named one ppm beside it.
    pub fn value_of(&self, payout: &Payout) -> Option<i64> {
        if payout.choice() == choice::INVALID {
            return None;
        }
        let part = i128::from(self.upper - self.lower) * i128::from(payout.ppm()[0]) / i128::from(WHOLE_PPM);
        Some(self.lower + part as i64)
    }

    /// What of the backing no claim takes at a number, rounded down; without a number all of it.
    ///
    /// # Errors
    /// As [`Trade::pays`].
    pub fn rest(&self, at: Option<i64>) -> Result<i64, Code> {
        let Some(at) = at else { return Ok(self.backing) };
        let unused = received(-self.shape.height(self.norm, at), self.norm as f64)?;
        Ok(self.backing.checked_add(unused).ok_or(Code::MATH_OVERFLOW)?.max(0))
    }
}

fn write_shape(writer: &mut Writer, shape: Shape) {
    writer.i64(shape.mean);
    writer.i64(shape.sigma);
}

fn read_shape(reader: &mut Reader<'_>) -> Result<Shape, String> {
    let shape = Shape { mean: reader.i64()?, sigma: reader.i64()? };
    if shape.sigma < 1 {
        return Err(format!("a claim is {shape:?}"));
    }
    Ok(shape)
}

fn write_pools(pools: &BTreeMap<u32, Question>, writer: &mut Writer) {
    writer.len(pools.len());
    for (&market, pool) in pools {
        writer.u32(market);
        for number in [pool.norm, pool.backing, pool.lower, pool.upper, pool.fees] {
            writer.i64(number);
        }
        write_shape(writer, pool.shape);
        writer.u32(pool.creator.0);
        writer.raw(&[pool.creator.1, u8::from(pool.rest_paid)]);
    }
}

fn read_pools(reader: &mut Reader<'_>) -> Result<BTreeMap<u32, Question>, String> {
    let mut pools = BTreeMap::new();
    for _ in 0..reader.len(66)? {
        let market = reader.u32()?;
        let mut numbers = [0; 5];
        for number in &mut numbers {
            *number = reader.i64()?;
        }
        let [norm, backing, lower, upper, fees] = numbers;
        let shape = read_shape(reader)?;
        let account = reader.u32()?;
        let [sub, paid] = reader.array()?;
        let creator = (account, sub);
        let pool = Question { norm, backing, lower, upper, shape, creator, fees, rest_paid: paid == 1 };
        let bounded = (lower..=upper).contains(&shape.mean);
        if norm < 1 || backing < 1 || lower >= upper || !bounded || fees < 0 || paid > 1 {
            return Err(format!("distribution market {market} is {pool:?}"));
        }
        if pools.last_key_value().is_some_and(|(&last, _)| last >= market) {
            return Err(format!("distribution market {market} is out of order"));
        }
        pools.insert(market, pool);
    }
    Ok(pools)
}

impl Questions {
    /// Whether somebody has claims in a market that were not paid.
    pub fn has_claims(&self, market: u32) -> bool {
        self.trades.range((market, 0, 0)..).next().is_some_and(|(&(held_in, ..), _)| held_in == market)
    }

    /// The pool has paid everything. What it asked for stays until its market is archived.
    pub fn end(&mut self, market: u32) {
        if let Some(pool) = self.pools.remove(&market) {
            self.ended.insert(market, pool);
        }
    }

    /// What an archive says of a market's number, whether everything is paid or not.
    pub fn of_archive(&self, market: u32) -> Option<&Question> {
        self.pools.get(&market).or_else(|| self.ended.get(&market))
    }

    /// A bound of what a sub-account's claims in a market may pay, in micro-quote: its collateral and the peaks that it
    /// is long, and for the creator the backing.
    pub fn exposure(&self, market: u32, owner: (u32, u8)) -> i64 {
        let Some(pool) = self.pools.get(&market) else { return 0 };
        let trades = self.trades.get(&(market, owner.0, owner.1)).map_or(&[][..], Vec::as_slice);
        // No peak is above the backing (P10.5.1).
        let of_trade = |trade: &Trade| trade.collateral.saturating_add(pool.backing);
        let start = if pool.creator == owner && !pool.rest_paid { pool.backing } else { 0 };
        trades.iter().map(of_trade).fold(start, i64::saturating_add)
    }

    pub fn encode(&self, writer: &mut Writer) {
        write_pools(&self.pools, writer);
        writer.len(self.trades.len());
        for (&(market, account, sub), trades) in &self.trades {
            writer.u32(market);
            writer.u32(account);
            writer.raw(&[sub, trades.len() as u8]);
            for trade in trades {
                writer.raw(&[u8::from(trade.from.is_some())]);
                if let Some(from) = trade.from {
                    write_shape(writer, from);
                }
                write_shape(writer, trade.to);
                writer.i64(trade.collateral);
            }
        }
        write_pools(&self.ended, writer);
    }

    /// Reads what [`Questions::encode`] wrote.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut questions = Questions { pools: read_pools(reader)?, ..Questions::default() };
        for _ in 0..reader.len(10)? {
            let (market, account) = (reader.u32()?, reader.u32()?);
            let [sub, count] = reader.array()?;
            let mut trades = Vec::with_capacity(usize::from(count));
            for _ in 0..count {
                let [has_from] = reader.array()?;
                let from = if has_from == 1 { Some(read_shape(reader)?) } else { None };
                trades.push(Trade { from, to: read_shape(reader)?, collateral: reader.i64()? });
            }
            let place = (market, account, sub);
            let ordered = questions.trades.last_key_value().is_none_or(|(&last, _)| last < place);
            if !ordered || count == 0 || !questions.pools.contains_key(&market) {
                return Err(format!("claims of {place:?} are {trades:?}"));
            }
            questions.trades.insert(place, trades);
        }
        questions.ended = read_pools(reader)?;
        let paid =
            |(market, pool): (&u32, &Question)| pool.rest_paid && !questions.pools.contains_key(market);
        if !questions.ended.iter().all(paid) {
            return Err("a distribution market is over and has not paid".into());
        }
        Ok(questions)
    }
}
