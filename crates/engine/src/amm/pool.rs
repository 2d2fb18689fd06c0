//! Pools of markets: kind, liquidity and who provides it. What a pool owns lies in the claims of the market's pool and
//! on its POOL_CASH line.
//!
//! An LMSR pool needs no record of what it sold: its prices depend on differences of quantities only, and after every
//! trade the claims it is left with are T_j = max q − q_j, the complete sets among them being dissolved. So q = −T.

use std::collections::BTreeMap;

use super::micro::{Lmsr, Pm};
use super::MAX_OUTCOMES;
use crate::codec::{Reader, Writer};
use crate::wire::pool::amm_kind;
use crate::wire::Code;

/// Claims of a pool, by outcome.
pub type Reserves = [i64; MAX_OUTCOMES];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    pub kind: u8,
    pub outcome_count: u8,
    /// b or L in micro-shares.
    pub liquidity: i64,
    /// Of all providers.
    pub shares: i64,
}

/// What one sub-account provides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    pub shares: i64,
    pub unlock_ns: i64,
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
}

/// What a trader asks of one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// For so much money.
    Spend(i64),
    /// So many shares.
    Buy(i64),
    Sell(i64),
}

impl Pool {
    /// Price of an outcome in 1e-9.
    ///
    /// # Errors
    /// As the kernels.
    pub fn price_ppb(&self, reserves: &Reserves, outcome: u8) -> Result<i64, Code> {
        if self.kind != amm_kind::LMSR {
            return Ok(self.pm(reserves, outcome).price_ppb());
        }
        let mut prices = [0; MAX_OUTCOMES];
        let quantities = self.quantities(reserves);
        self.lmsr(&quantities).prices_ppb(&mut prices)?;
        Ok(prices[usize::from(outcome)])
    }

    /// Shares, money and sets of a trade.
    ///
    /// # Errors
    /// As the kernels.
    pub fn price(&self, reserves: &Reserves, outcome: u8, ask: Ask) -> Result<Priced, Code> {
        if self.kind == amm_kind::LMSR {
            return self.price_lmsr(reserves, outcome, ask);
        }
        let pm = self.pm(reserves, outcome);
        Ok(match ask {
            Ask::Spend(money) => Priced { shares: pm.buy_x(money)?.out, cost: money, minted: money },
            Ask::Buy(shares) => {
                let cost = pm.cost_of_x(shares)?;
                Priced { shares, cost, minted: cost }
            }
            Ask::Sell(shares) => {
                let cost = pm.cash_for_x(shares)?;
                Priced { shares, cost, minted: -cost }
            }
        })
    }

    fn price_lmsr(&self, reserves: &Reserves, outcome: u8, ask: Ask) -> Result<Priced, Code> {
        let quantities = self.quantities(reserves);
        let lmsr = self.lmsr(&quantities);
        let at = usize::from(outcome);
        let mut delta = [0; MAX_OUTCOMES];
        let delta = &mut delta[..usize::from(self.outcome_count)];
        let (shares, cost) = match ask {
            Ask::Spend(money) => (lmsr.shares_for_cost(at, money)?, money),
            Ask::Buy(shares) => {
                delta[at] = shares;
                (shares, lmsr.cost(delta)?)
            }
            Ask::Sell(shares) => {
                delta[at] = -shares;
                (shares, (-lmsr.cost(delta)?).max(0))
            }
        };
        // The claims after the trade, as if it could go below zero: what is missing is minted, complete sets go.
        let signed = if matches!(ask, Ask::Sell(_)) { shares } else { -shares };
        let others = reserves[..delta.len()].iter().enumerate().filter(|(place, _)| *place != at);
        let least = others.map(|(_, &claims)| claims).min().unwrap_or(0);
        Ok(Priced { shares, cost, minted: -least.min(reserves[at] + signed) })
    }

    fn quantities(&self, reserves: &Reserves) -> Reserves {
        let mut quantities = [0; MAX_OUTCOMES];
        for (quantity, claims) in quantities.iter_mut().zip(&reserves[..usize::from(self.outcome_count)]) {
            *quantity = -claims;
        }
        quantities
    }

    fn lmsr<'a>(&self, quantities: &'a Reserves) -> Lmsr<'a> {
        Lmsr { b: self.liquidity, quantities: &quantities[..usize::from(self.outcome_count)] }
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

impl Pools {
    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.pools.len());
        for (&market, pool) in &self.pools {
            writer.u32(market);
            writer.raw(&[pool.kind, pool.outcome_count]);
            writer.i64(pool.liquidity);
            writer.i64(pool.shares);
        }
        writer.len(self.providers.len());
        for (&(market, account, sub), provider) in &self.providers {
            writer.u32(market);
            writer.u32(account);
            writer.raw(&[sub]);
            writer.i64(provider.shares);
            writer.i64(provider.unlock_ns);
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
            let pool = Pool { kind, outcome_count, liquidity: reader.i64()?, shares: reader.i64()? };
            let known = matches!(kind, amm_kind::LMSR | amm_kind::PM_STATIC);
            if !known || pool.liquidity < 1 || pool.shares < 1 || outcome_count < 2 {
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
            let provider = Provider { shares: reader.i64()?, unlock_ns: reader.i64()? };
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
