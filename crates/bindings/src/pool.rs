//! What a pool would answer: the engine's own pricing on the numbers that the log shows.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tradewind_engine::amm::dynamic::{Decay, SIDES};
use tradewind_engine::amm::pool::{thin_bp, Ask, Pool, Reserves};
use tradewind_engine::amm::question::{Question, Shape};
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

/// What moving the claim of a distribution market to another mean and width costs now: `collateral`, `fee`,
/// `provider_fee` in micro-quote and `rate_e8`. `market` is norm, backing, lower and upper bound; claims are mean and
/// width; numbers in the question's unit times 10⁶.
///
/// Raises:
///     Rejected: INVALID_BOUNDS, SIGMA_BELOW_MINIMUM, INVALID_AMOUNT when nothing moves, and what the kernel refuses.
#[pyfunction]
pub fn distribution_quote<'py>(
    py: Python<'py>,
    market: (i64, i64, i64, i64),
    from: (i64, i64),
    to: (i64, i64),
    coverage_ppm: Option<u64>,
    most_e6bp: u32,
) -> PyResult<Bound<'py, PyDict>> {
    let (norm, backing, lower, upper) = market;
    if norm < 1 || backing < 1 || lower >= upper || from.1 < 1 {
        return Err(PyValueError::new_err("no distribution market is like this"));
    }
    let shape = |(mean, sigma)| Shape { mean, sigma };
    let question = Question { norm, backing, lower, upper, shape: shape(from), ..Question::default() };
    let refused = |(code, bound, given)| rejected(Reject::new(code, bound, given));
    question.check(shape(to)).map_err(refused)?;
    let collateral = question.collateral(shape(to)).map_err(|code| refused((code, from.0, to.0)))?;
    let coverage = coverage_ppm.map_or(Coverage::INFINITE, Coverage::from_ppm);
    let rate_e8 = fees::taker_rate_e8(coverage, 0, 0).min(most_e6bp.saturating_mul(100));
    let fee = fees::amount(collateral, rate_e8);
    let quote = PyDict::new(py);
    quote.set_item("collateral", collateral)?;
    quote.set_item("fee", fee)?;
    quote.set_item("provider_fee", fees::provider_share(fee))?;
    quote.set_item("rate_e8", rate_e8)?;
    Ok(quote)
}
