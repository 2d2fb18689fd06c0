//! What a pool would answer: the engine's own pricing on the numbers that the log shows.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tradewind_engine::amm::dynamic::{Decay, SIDES};
use tradewind_engine::amm::pool::{thin_bp, Ask, Pool, Reserves};
use tradewind_engine::amm::MAX_OUTCOMES;
use tradewind_engine::coverage::Coverage;
use tradewind_engine::fees;
use tradewind_engine::math::MAX_BALANCE;
use tradewind_engine::wire::error::Reject;
use tradewind_engine::wire::pool::amm_kind;

use crate::errors::rejected;

/// A pool from its kind, liquidity and claims; what the engine never holds is refused.
fn pool_of(kind: u8, liquidity: i64, reserves: &[i64]) -> PyResult<(Pool, Reserves)> {
    let count = reserves.len();
    let sound = (2..=MAX_OUTCOMES).contains(&count)
        && (kind == amm_kind::LMSR
            || (matches!(kind, amm_kind::PM_STATIC | amm_kind::PM_DYNAMIC) && count == 2))
        && (1..=MAX_BALANCE).contains(&liquidity)
        && reserves.iter().all(|claims| (0..=MAX_BALANCE).contains(claims));
    if !sound {
        return Err(PyValueError::new_err(format!(
            "no pool of kind {kind} with {count} outcomes is like this"
        )));
    }
    let mut all = [0; MAX_OUTCOMES];
    all[..count].copy_from_slice(reserves);
    Ok((Pool { kind, outcome_count: count as u8, liquidity, ..Pool::default() }, all))
}

/// Prices of a pool's outcomes in 1e-9, from its kind, liquidity and claims in micro-shares.
///
/// Raises:
///     ValueError: no pool is like this.
///     Rejected: POOL_DOMAIN_EXCEEDED.
#[pyfunction]
pub fn pool_prices(kind: u8, liquidity: i64, reserves: Vec<i64>) -> PyResult<Vec<i64>> {
    let (pool, reserves) = pool_of(kind, liquidity, &reserves)?;
    pool.prices_ppb(&reserves).map_err(|code| rejected(Reject::new(code, 0, liquidity)))
}

/// A dynamic pool at `now_ns` (P10.4.4): its liquidity, its reserves and the claims that time has set free since.
///
/// Raises:
///     ValueError: no pool is like this.
#[pyfunction]
pub fn pool_touched(
    liquidity: i64,
    base: i64,
    times_ns: (i64, i64, i64),
    reserves: Vec<i64>,
) -> PyResult<(i64, Vec<i64>, Vec<i64>)> {
    let (mut pool, all) = pool_of(amm_kind::PM_DYNAMIC, liquidity, &reserves)?;
    let (created_ns, settle_ns, now_ns) = times_ns;
    pool.decay = Decay { base: base.max(0), created_ns, ..Decay::default() };
    pool.shares = 1;
    let mut all = all;
    Ok(match pool.rescaled(&mut all, settle_ns, now_ns) {
        Some((later, freed)) => (later.liquidity, all[..SIDES].to_vec(), freed.to_vec()),
        None => (liquidity, reserves, vec![0; SIDES]),
    })
}

/// A swap as the engine would price it, without its checks of owner, limit and impact. `ask` is spend, buy, sell or
/// earn; the fee follows P8 from the coverage in ppm (None = nothing is at risk) and the market's own taker fee.
///
/// Raises:
///     ValueError: no pool or ask is like this.
///     Rejected: what the kernels refuse.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn pool_quote<'py>(
    py: Python<'py>,
    kind: u8,
    liquidity: i64,
    reserves: Vec<i64>,
    cash: i64,
    outcome: u8,
    ask: &str,
    amount: i64,
    coverage_ppm: Option<u64>,
    most_e6bp: u32,
) -> PyResult<Bound<'py, PyDict>> {
    let (pool, all) = pool_of(kind, liquidity, &reserves)?;
    let wish = match ask {
        "spend" => Ask::Spend(amount),
        "buy" => Ask::Buy(amount),
        "sell" => Ask::Sell(amount),
        "earn" => Ask::Earn(amount),
        _ => {
            return Err(PyValueError::new_err(format!("no ask {ask:?}; there are spend, buy, sell and earn")))
        }
    };
    if usize::from(outcome) >= reserves.len() || !(0..=MAX_BALANCE).contains(&cash) || amount > MAX_BALANCE {
        return Err(PyValueError::new_err("outcome, cash and amount must be within the pool's bounds"));
    }
    let priced =
        pool.price(&all, cash, outcome, wish).map_err(|code| rejected(Reject::new(code, 0, amount)))?;
    let coverage = coverage_ppm.map_or(Coverage::INFINITE, Coverage::from_ppm);
    let thin = thin_bp(cash, &reserves);
    let rate_e8 = fees::taker_rate_e8(coverage, thin, 0).min(most_e6bp.saturating_mul(100));
    let whole = fees::amount(priced.fee_base(), rate_e8);
    let fee = if wish.buys() { whole } else { whole.min(priced.cost) };
    let quote = PyDict::new(py);
    quote.set_item("shares", priced.shares)?;
    quote.set_item("cost", priced.cost)?;
    quote.set_item("fee", fee)?;
    quote.set_item("provider_fee", fees::provider_share(fee))?;
    quote.set_item("rate_e8", rate_e8)?;
    quote.set_item("price_before_ppb", priced.before_ppb)?;
    quote.set_item("price_after_ppb", priced.after_ppb)?;
    quote.set_item("minted", priced.minted)?;
    Ok(quote)
}
