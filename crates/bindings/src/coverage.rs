//! Fees, coverage and vault shares as the engine computes them, for views, probes and pictures.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tradewind_engine::coverage::leverage::{self, Term};
use tradewind_engine::coverage::shortfall::{self, Scenario};
use tradewind_engine::coverage::stage::Stage;
use tradewind_engine::coverage::status::Status;
use tradewind_engine::coverage::{Aggregate, Coverage};
use tradewind_engine::fees::{self, Incentives, Profile};
use tradewind_engine::math::MAX_BALANCE;
use tradewind_engine::vault::shares;

fn coverage_of(ppm: Option<u64>) -> Coverage {
    ppm.map_or(Coverage::INFINITE, Coverage::from_ppm)
}

fn amount_of(name: &str, value: i64) -> PyResult<i64> {
    match value {
        0..=MAX_BALANCE => Ok(value),
        _ => Err(PyValueError::new_err(format!("{name} must be from 0 to {MAX_BALANCE}"))),
    }
}

/// Taker rate in 1e-8 bp at a coverage in ppm (None = nothing is at risk), with adjustments and discount in bp.
#[pyfunction]
#[pyo3(signature = (coverage_ppm, adjustment_bp = 0, discount_bp = 0))]
pub fn fee_rate_e8(coverage_ppm: Option<u64>, adjustment_bp: u32, discount_bp: u32) -> u32 {
    fees::taker_rate_e8(coverage_of(coverage_ppm), adjustment_bp, discount_bp)
}

/// Fee in micro-units on a base at a rate in 1e-8 bp, rounded up.
///
/// Raises:
///     ValueError: the base is negative or beyond the largest balance, or the rate above 100 bp.
#[pyfunction]
pub fn fee_amount(base: i64, rate_e8: u64) -> PyResult<i64> {
    let most = u64::from(fees::POST_CAP_BP) * u64::from(fees::BP_E8);
    if rate_e8 > most {
        return Err(PyValueError::new_err(format!("rate_e8 must be at most {most}")));
    }
    Ok(fees::amount(amount_of("base", base)?, rate_e8))
}

/// Least micro-units and the basis points that they take off, ascending.
type Tiers = Vec<(i64, u32)>;

/// Tiers of P8.4: by volume of 30 days, and by stake.
#[pyfunction]
pub fn fee_tiers() -> (Tiers, Tiers) {
    (fees::VOLUME_TIERS.to_vec(), fees::STAKE_TIERS.to_vec())
}

/// Basis points that volume and stake in micro-units take off: the larger of the two (P8.4).
#[pyfunction]
pub fn fee_discount_bp(volume: i64, staked: i64) -> u32 {
    fees::discount_bp(volume, staked)
}

/// Rate in 1e-8 bp of the profile POST_EMISSION for a market's own rate in 1e-6 bp (P8.9).
#[pyfunction]
pub fn fee_flat_rate_e8(market_e6bp: u32, discount_bp: u32) -> u64 {
    fees::flat_rate_e8(market_e6bp, discount_bp)
}

/// Vault, stakers, maker fund and buy-back of a fee after rebates, in micro-units.
///
/// Raises:
///     ValueError: the fee is negative or beyond the largest balance.
#[pyfunction]
pub fn fee_split(fee: i64) -> PyResult<(i64, i64, i64, i64)> {
    let parts = fees::split(amount_of("fee", fee)?, Profile::Standard);
    Ok((parts.vault, parts.stakers, parts.maker_fund, parts.buyback))
}

/// What comes back of a taker fee to one who trades with itself: rebate, referral and reward in per cent, and the
/// part of vault and stake that it owns in ppm. Its orders better the best price, for five points more; the profile is
/// POST_EMISSION if `post_emission`.
///
/// Raises:
///     ValueError: a setting beyond the bounds of the incentive invariant, or a number out of range.
#[pyfunction]
#[pyo3(signature = (fee, rebate_pct, referral_pct, reward_pct, owned_ppm, post_emission = false))]
pub fn fee_returned(
    fee: i64,
    rebate_pct: u32,
    referral_pct: u32,
    reward_pct: u32,
    owned_ppm: u32,
    post_emission: bool,
) -> PyResult<i64> {
    let incentives = Incentives { rebate_pct, referral_pct, reward_pct };
    if incentives.check().is_err() || owned_ppm > 1_000_000 {
        return Err(PyValueError::new_err("a share is beyond its bound"));
    }
    let fee = amount_of("fee", fee)?;
    if fee > MAX_BALANCE / 100 {
        return Err(PyValueError::new_err("fee is too large to be shared in per cent"));
    }
    let profile = if post_emission { Profile::PostEmission } else { Profile::Standard };
    Ok(incentives.returned(fee, owned_ppm, true, profile))
}

/// Coverage in ppm, None when nothing is at risk.
#[pyfunction]
pub fn coverage_ppm(nav: i64, at_risk: i128) -> Option<u64> {
    Coverage::of(nav, at_risk).ppm()
}

/// S of worst cases in micro-units under one correlation in ppm, rounded up.
///
/// Raises:
///     ValueError: a worst case is negative or beyond the largest balance, or the correlation above 10^6.
#[pyfunction]
pub fn coverage_at_risk(worst_cases: Vec<i64>, rho_ppm: u32) -> PyResult<i128> {
    if rho_ppm > 1_000_000 {
        return Err(PyValueError::new_err("rho_ppm must be at most 1000000"));
    }
    let mut aggregate = Aggregate::default();
    aggregate.set_rho(rho_ppm);
    for value in worst_cases {
        aggregate.replace(0, i128::from(amount_of("a worst case", value)?));
    }
    Ok(aggregate.total())
}

/// States of coverage (0 NORMAL to 3 HALT) along samples of (ns, ppm or None).
#[pyfunction]
pub fn coverage_states(samples: Vec<(i64, Option<u64>)>) -> Vec<u8> {
    let mut status = Status::default();
    let state = |(now_ns, ppm): (i64, Option<u64>)| {
        status.observe(now_ns, coverage_of(ppm));
        status.state
    };
    samples.into_iter().map(state).collect()
}

/// Leverage cap in hundredths and the name of what binds it. `stage_e2` and `market_max_e2` in hundredths.
#[pyfunction]
#[pyo3(signature = (outcome_count, coverage_ppm, stage_e2 = u32::MAX, market_max_e2 = u32::MAX))]
pub fn leverage_cap(
    outcome_count: u32,
    coverage_ppm: Option<u64>,
    stage_e2: u32,
    market_max_e2: u32,
) -> (u32, &'static str) {
    let found = leverage::cap(outcome_count, coverage_of(coverage_ppm), stage_e2, market_max_e2);
    (found.cap_e2, Term::NAMES[found.term as usize])
}

/// Leverage in hundredths that a stage (0 BOOTSTRAP to 4 DEGRADED) allows at a vault's value, 4294967295 = no bound.
///
/// Raises:
///     ValueError: an unknown stage.
#[pyfunction]
pub fn leverage_of_stage(stage: u8, nav: i64, coverage_ppm: Option<u64>) -> PyResult<u32> {
    if stage > 4 {
        return Err(PyValueError::new_err("stage must be from 0 to 4"));
    }
    Ok(Stage { stage, ..Stage::default() }.leverage_cap_e2(amount_of("nav", nav)?, coverage_of(coverage_ppm)))
}

/// Value at risk and expected shortfall of (loss in micro-units, probability in ppb) at a level in ppb.
///
/// Raises:
///     ValueError: the level is not between 0 and 1, or the probabilities sum to more than one.
#[pyfunction]
pub fn expected_shortfall(scenarios: Vec<(i64, u64)>, level_ppb: u64) -> PyResult<(i64, i64)> {
    let scenario = |(loss, probability_ppb)| Scenario { loss, probability_ppb };
    let scenarios: Vec<Scenario> = scenarios.into_iter().map(scenario).collect();
    let found = shortfall::expected_shortfall(&scenarios, level_ppb).map_err(PyValueError::new_err)?;
    Ok((found.value_at_risk, found.expected))
}

/// Shares for a deposit into a vault with this supply and value, all in micro-units.
///
/// Raises:
///     ValueError: a number is negative or beyond the largest balance.
#[pyfunction]
pub fn vault_shares(assets: i64, supply: i64, nav: i64) -> PyResult<i64> {
    let (assets, supply) = (amount_of("assets", assets)?, amount_of("supply", supply)?);
    Ok(shares::shares_for(assets, supply, amount_of("nav", nav)?))
}

/// What shares are worth, in micro-units. Raises as `vault_shares`.
#[pyfunction]
pub fn vault_assets(shares: i64, supply: i64, nav: i64) -> PyResult<i64> {
    let (shares, supply) = (amount_of("shares", shares)?, amount_of("supply", supply)?);
    Ok(shares::assets_for(shares, supply, amount_of("nav", nav)?))
}
