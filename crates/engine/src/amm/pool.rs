//! Pools of markets: kind, liquidity and who provides it. What a pool owns lies in the claims of the market's pool and
//! on its POOL_CASH line.
//!
//! An LMSR pool needs no record of what it sold: its prices depend on differences of quantities only, and those are
//! the differences of the claims T that it holds, so q = −T however many complete sets are among them.

use std::collections::BTreeMap;

use super::dynamic::{Decay, Owed};
pub use super::micro::{Ask, Traded};
use super::micro::{Lmsr, Pm};
use super::MAX_OUTCOMES;
use crate::codec::{Reader, Writer};
use crate::fees::{adjustment_bp, Conditions};
use crate::wire::pool::amm_kind;
use crate::wire::Code;

/// Claims of a pool, by outcome.
pub type Reserves = [i64; MAX_OUTCOMES];
/// Outcomes that most markets do not exceed.
const FEW: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    pub kind: u8,
    pub outcome_count: u8,
    /// b or L in micro-shares.
    pub liquidity: i64,
    /// Of all providers.
    pub shares: i64,
    /// What a dynamic pm-AMM has beside it.
    pub decay: Decay,
}

/// What one sub-account provides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    pub shares: i64,
    pub unlock_ns: i64,
    /// Of a dynamic pool's released claims.
    pub owed: Owed,
}

#[derive(Clone, Debug, Default)]
pub struct Pools {
    pub pools: BTreeMap<u32, Pool>,
    /// By market, account and sub-account.
    pub providers: BTreeMap<(u32, u32, u8), Provider>,
}

/// A trade at the pool's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priced {
    pub shares: i64,
    /// Micro-quote: paid for a buy, received for a sell.
    pub cost: i64,
    /// Complete sets that the pool makes, or dissolves when negative.
    pub minted: i64,
    /// Price of the outcome before and after, in 1e-9.
    pub before_ppb: i64,
    pub after_ppb: i64,
}

impl Priced {
    /// What the fee is taken on, in micro-quote: shares × min(p, 1 − p) at the average price (P8.1).
    pub fn fee_base(&self) -> i64 {
        self.cost.min((self.shares - self.cost).max(0))
    }
}

/// Basis points for a thin pool (P8.3): by what it is worth whichever outcome wins, its cash and complete sets.
pub fn thin_bp(cash: i64, reserves: &[i64]) -> u32 {
    let depth_micro = cash.saturating_add(reserves.iter().copied().min().unwrap_or(0));
    adjustment_bp(&Conditions { depth_micro: Some(depth_micro), ..Conditions::default() })
}

impl Pool {
    /// Prices of all outcomes in 1e-9.
    ///
    /// # Errors
    /// As the kernels.
    pub fn prices_ppb(&self, reserves: &Reserves) -> Result<Vec<i64>, Code> {
        if self.kind != amm_kind::LMSR {
            return Ok((0..self.outcome_count)
                .map(|outcome| self.pm(reserves, outcome).price_ppb())
                .collect());
        }
        let mut prices = vec![0; usize::from(self.outcome_count)];
        let mut space = [0; MAX_OUTCOMES];
        let quantities = self.fill_quantities(reserves, &mut space);
        Lmsr { b: self.liquidity, quantities }.prices_ppb(&mut prices)?;
        Ok(prices)
    }

    /// Shares, money, sets and prices of a trade with a pool that has `cash` beside its claims.
    ///
    /// # Errors
    /// As the kernels; `INSUFFICIENT_LIQUIDITY` when cash and complete sets do not suffice.
    pub fn price(&self, reserves: &Reserves, cash: i64, outcome: u8, ask: Ask) -> Result<Priced, Code> {
        let (traded, minted) = if self.kind == amm_kind::LMSR {
            // Space for few outcomes costs nothing to clear.
            let (mut few, mut many);
            let space: &mut [i64] = if usize::from(self.outcome_count) <= FEW {
                few = [0; FEW];
                &mut few
            } else {
                many = [0; MAX_OUTCOMES];
                &mut many
            };
            let quantities = self.fill_quantities(reserves, space);
            let traded = Lmsr { b: self.liquidity, quantities }.trade(usize::from(outcome), ask)?;
            (traded, self.minted(reserves, cash, outcome, ask, &traded)?)
        } else {
            let traded = self.pm(reserves, outcome).trade_x(ask)?;
            (traded, if ask.buys() { traded.cost } else { -traded.cost })
        };
        let Traded { shares, cost, before_ppb, after_ppb } = traded;
        Ok(Priced { shares, cost, minted, before_ppb, after_ppb })
    }

    /// Sets that an LMSR pool makes or dissolves for a trade: none while claims and cash suffice, so that most trades
    /// move one outcome; else as many as leave half of what is free as cash and half as sets.
    fn minted(
        &self,
        reserves: &Reserves,
        cash: i64,
        outcome: u8,
        ask: Ask,
        traded: &Traded,
    ) -> Result<i64, Code> {
        let sign = if ask.buys() { 1 } else { -1 };
        let at = usize::from(outcome);
        let cash = cash.checked_add(sign * traded.cost).ok_or(Code::MATH_OVERFLOW)?;
        let own = reserves[at].checked_sub(sign * traded.shares).ok_or(Code::MATH_OVERFLOW)?;
        if cash >= 0 && own >= 0 {
            return Ok(0);
        }
        let others = reserves[..usize::from(self.outcome_count)].iter().enumerate();
        let least = others.filter(|(place, _)| *place != at).map(|(_, &claims)| claims).min();
        let least = own.min(least.unwrap_or(own));
        match cash.checked_add(least) {
            Some(free) if free >= 0 => Ok(cash - free / 2),
            _ => Err(Code::INSUFFICIENT_LIQUIDITY),
        }
    }

    /// An LMSR's quantities: prices depend on differences only, so what the pool misses of a set counts as sold.
    #[inline]
    fn fill_quantities<'a>(&self, reserves: &[i64], quantities: &'a mut [i64]) -> &'a [i64] {
        let quantities = &mut quantities[..usize::from(self.outcome_count)];
        for (quantity, claims) in quantities.iter_mut().zip(reserves) {
            *quantity = -claims;
        }
        quantities
    }

    /// The pool as a pm-AMM whose X is `outcome`.
    fn pm(&self, reserves: &Reserves, outcome: u8) -> Pm {
        let pm = Pm { liquidity: self.liquidity, x: reserves[0], y: reserves[1] };
        if outcome == 0 {
            pm
        } else {
            pm.mirrored()
        }
    }
}

/// b of a new LMSR pool: the largest whose possible loss the funding covers.
///
/// # Errors
/// `PARAMETER_OUT_OF_BOUNDS` when that is outside 1 to 10,000,000 shares.
pub fn lmsr_liquidity(funding: i64, outcomes: usize) -> Result<i64, Code> {
    let mut b = (funding as f64 / libm::log(outcomes as f64)) as i64;
    while Lmsr::funding(b, outcomes)? > funding {
        b -= 1 + b / (1 << 50);
    }
    Ok(b)
}

/// L of a new pm-AMM at price ½: the largest whose reserves the funding covers.
///
/// # Errors
/// `PARAMETER_OUT_OF_BOUNDS` for nothing.
pub fn pm_liquidity(funding: i64) -> Result<i64, Code> {
    const HALF_PPB: i64 = 500_000_000;
    let mut liquidity = (funding as f64 / super::normal::DENSITY_AT_ZERO) as i64;
    while Pm::at_price(liquidity, HALF_PPB)?.x > funding {
        liquidity -= 1 + liquidity / (1 << 46);
    }
    Ok(liquidity)
}

/// `amount × part / whole` of non-negative numbers, toward zero or up.
pub fn share(amount: i64, part: i64, whole: i64, up: bool) -> i64 {
    let (product, whole) = (i128::from(amount) * i128::from(part), i128::from(whole));
    (if up { (product + whole - 1) / whole } else { product / whole }) as i64
}

fn encode_decay(writer: &mut Writer, decay: &Decay) {
    writer.i64(decay.base);
    writer.i64(decay.created_ns);
    decay.released.iter().for_each(|&released| writer.i64(released));
    decay.growth.iter().for_each(|growth| writer.raw(&growth.to_le_bytes()));
}

fn decode_decay(reader: &mut Reader<'_>) -> Result<Decay, String> {
    let mut decay = Decay { base: reader.i64()?, created_ns: reader.i64()?, ..Decay::default() };
    for released in &mut decay.released {
        *released = reader.i64()?;
    }
    for growth in &mut decay.growth {
        *growth = u128::from_le_bytes(reader.array()?);
    }
    if decay.base < 1 || decay.released.iter().any(|&released| released < 0) {
        return Err(format!("a dynamic pool has {decay:?}"));
    }
    Ok(decay)
}

fn decode_owed(reader: &mut Reader<'_>) -> Result<Owed, String> {
    let mut owed = Owed::default();
    for entry in &mut owed.entry {
        *entry = u128::from_le_bytes(reader.array()?);
    }
    for claims in &mut owed.claims {
        *claims = reader.i64()?;
    }
    Ok(owed)
}

impl Pools {
    fn is_dynamic(&self, market: u32) -> bool {
        self.pools.get(&market).is_some_and(|pool| pool.kind == amm_kind::PM_DYNAMIC)
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.pools.len());
        for (&market, pool) in &self.pools {
            writer.u32(market);
            writer.raw(&[pool.kind, pool.outcome_count]);
            writer.i64(pool.liquidity);
            writer.i64(pool.shares);
            if pool.kind == amm_kind::PM_DYNAMIC {
                encode_decay(writer, &pool.decay);
            }
        }
        writer.len(self.providers.len());
        for (&(market, account, sub), provider) in &self.providers {
            writer.u32(market);
            writer.u32(account);
            writer.raw(&[sub]);
            writer.i64(provider.shares);
            writer.i64(provider.unlock_ns);
            if self.is_dynamic(market) {
                provider.owed.entry.iter().for_each(|entry| writer.raw(&entry.to_le_bytes()));
                provider.owed.claims.iter().for_each(|&claims| writer.i64(claims));
            }
        }
    }

    /// Reads what [`Pools::encode`] wrote.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut pools = Pools::default();
        for _ in 0..reader.len(22)? {
            let market = reader.u32()?;
            let [kind, outcome_count] = reader.array()?;
            let (liquidity, shares) = (reader.i64()?, reader.i64()?);
            let dynamic = kind == amm_kind::PM_DYNAMIC;
            let decay = if dynamic { decode_decay(reader)? } else { Decay::default() };
            let pool = Pool { kind, outcome_count, liquidity, shares, decay };
            let known = matches!(kind, amm_kind::LMSR..=amm_kind::PM_DYNAMIC);
            // The liquidity of a dynamic pool is nothing once its market ends.
            let least = i64::from(!dynamic);
            if !known || pool.liquidity < least || pool.shares < 1 || outcome_count < 2 {
                return Err(format!("pool {market} is {pool:?}"));
            }
            if pools.pools.last_key_value().is_some_and(|(&last, _)| last >= market) {
                return Err(format!("pool {market} is out of order"));
            }
            pools.pools.insert(market, pool);
        }
        for _ in 0..reader.len(25)? {
            let (market, account) = (reader.u32()?, reader.u32()?);
            let [sub] = reader.array()?;
            let (shares, unlock_ns) = (reader.i64()?, reader.i64()?);
            let owed = if pools.is_dynamic(market) { decode_owed(reader)? } else { Owed::default() };
            let provider = Provider { shares, unlock_ns, owed };
            let place = (market, account, sub);
            if provider.shares < 1 || pools.providers.last_key_value().is_some_and(|(&last, _)| last >= place)
            {
                return Err(format!("provider {place:?} holds {provider:?}"));
            }
            pools.providers.insert(place, provider);
        }
        let mut sums: BTreeMap<u32, i128> = BTreeMap::new();
        for (&(market, _, _), provider) in &pools.providers {
            *sums.entry(market).or_default() += i128::from(provider.shares);
        }
        let told = pools.pools.iter().map(|(&market, pool)| (market, i128::from(pool.shares)));
        if !told.eq(sums) {
            return Err("the shares of the providers are not those of the pools".into());
        }
        Ok(pools)
    }
}
