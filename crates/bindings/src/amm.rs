//! Quotes of the automated market makers as floats: the engine's own kernels (P10), with named arguments.

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use tradewind_engine::amm::distribution::{self, Normal};
use tradewind_engine::amm::lmsr::{self, Move, Weights, MAX_SPREAD};
use tradewind_engine::amm::pm::{self, Reserves};
use tradewind_engine::amm::{simpson, MAX_OUTCOMES};
use tradewind_engine::wire::Code;

/// Bounds of b in shares (P10.3.1).
const B_BOUNDS: (f64, f64) = (1.0, 10_000_000.0);
/// Bounds of liquidity, k, backing and width: wide enough for every unit, narrow enough that no square overflows.
const LIQUIDITY_BOUNDS: (f64, f64) = (1e-9, 1e18);
const CLAIM_BOUNDS: (f64, f64) = (1e-9, 1e18);
const SIGMA_BOUNDS: (f64, f64) = (1e-12, 1e12);
const MEAN_BOUND: f64 = 1e15;
/// Reserves further from the curve than this part of the liquidity are not the reserves of a pool.
const CURVE_TOLERANCE: f64 = 1e-6;

fn refused(name: &str, problem: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{name} {problem}"))
}

/// A finite float; an integer that no float holds is refused like infinity.
fn number(name: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    let number = match value.extract::<f64>() {
        Ok(number) => number,
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => f64::INFINITY,
        Err(error) => return Err(error),
    };
    if number.is_finite() {
        Ok(number)
    } else {
        Err(refused(name, format_args!("must be finite, got {number}")))
    }
}

fn within(name: &str, value: &Bound<'_, PyAny>, bounds: (f64, f64)) -> PyResult<f64> {
    let number = number(name, value)?;
    if (bounds.0..=bounds.1).contains(&number) {
        Ok(number)
    } else {
        Err(refused(name, format_args!("must be from {:e} to {:e}, got {number}", bounds.0, bounds.1)))
    }
}

fn not_negative(name: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    let number = number(name, value)?;
    if number >= 0.0 {
        Ok(number)
    } else {
        Err(refused(name, format_args!("must be at least 0, got {number}")))
    }
}

fn finite(name: &str, value: f64) -> PyResult<f64> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(refused(name, "leads to a result that no float holds"))
    }
}

/// Quantities of 2 to 64 outcomes.
fn quantities(name: &str, values: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let mut numbers = Vec::with_capacity(MAX_OUTCOMES);
    for item in values.try_iter()? {
        if numbers.len() == MAX_OUTCOMES {
            return Err(refused(name, format_args!("must have from 2 to {MAX_OUTCOMES} outcomes, got more")));
        }
        numbers.push(number(name, &item?)?);
    }
    if numbers.len() < 2 {
        return Err(refused(
            name,
            format_args!("must have from 2 to {MAX_OUTCOMES} outcomes, got {}", numbers.len()),
        ));
    }
    Ok(numbers)
}

/// An LMSR state in units of b.
struct State {
    b: f64,
    q: Vec<f64>,
    top: f64,
    exponents: Vec<f64>,
    weights: Weights,
}

fn state(b: &Bound<'_, PyAny>, q: &Bound<'_, PyAny>) -> PyResult<State> {
    let b = within("b", b, B_BOUNDS)?;
    let q = quantities("q", q)?;
    let top = largest(&q);
    let exponents: Vec<f64> = q.iter().map(|quantity| (quantity - top) / b).collect();
    let weights = Weights::new(&exponents).map_err(|code| spread("q", code))?;
    Ok(State { b, q, top, exponents, weights })
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn spread(name: &str, code: Code) -> PyErr {
    refused(name, format_args!("puts quantities more than {MAX_SPREAD} b apart ({})", code.entry().name))
}

/// C(q) = b·ln Σ exp(q_i/b).
#[pyfunction]
pub fn lmsr_cost(b: &Bound<'_, PyAny>, q: &Bound<'_, PyAny>) -> PyResult<f64> {
    let state = state(b, q)?;
    finite("q", state.top + state.b * state.weights.log_sum())
}

#[pyfunction]
pub fn lmsr_prices(b: &Bound<'_, PyAny>, q: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let state = state(b, q)?;
    let mut prices = vec![0.0; state.q.len()];
    state.weights.prices(&mut prices);
    Ok(prices)
}

#[pyfunction]
pub fn lmsr_trade_cost(
    b: &Bound<'_, PyAny>,
    q: &Bound<'_, PyAny>,
    delta: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let state = state(b, q)?;
    let delta = quantities("delta", delta)?;
    if delta.len() != state.q.len() {
        let wanted = state.q.len();
        return Err(refused(
            "delta",
            format_args!("must have {wanted} outcomes like q, got {}", delta.len()),
        ));
    }
    let most = largest(&delta);
    let least = delta.iter().copied().fold(f64::INFINITY, f64::min);
    let common = if least > 0.0 { least } else { most.min(0.0) };
    if least == most {
        return Ok(least);
    }
    let steps: Vec<f64> = delta.iter().map(|step| (step - common) / state.b).collect();
    // Each new quantity relative to the old top and without the common part: small numbers stay small.
    let moved: Vec<f64> =
        state.q.iter().zip(&delta).map(|(q, step)| (q - state.top) + (step - common)).collect();
    let top = largest(&moved);
    let after: Vec<f64> = moved.iter().map(|quantity| (quantity - top) / state.b).collect();
    let trade = Move { steps: &steps, after: &after, lift: top / state.b };
    let cost = lmsr::trade_cost(&state.weights, &trade).map_err(|code| spread("delta", code))?;
    finite("delta", common + state.b * cost)
}

#[pyfunction]
pub fn lmsr_shares_for_cost(
    b: &Bound<'_, PyAny>,
    q: &Bound<'_, PyAny>,
    outcome: &Bound<'_, PyAny>,
    spend: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let state = state(b, q)?;
    let wanted: i128 = match outcome.extract::<i128>() {
        Ok(wanted) => wanted,
        Err(error) if error.is_instance_of::<PyOverflowError>(outcome.py()) => -1,
        Err(error) => return Err(error),
    };
    let outcome = match usize::try_from(wanted) {
        Ok(index) if index < state.q.len() => index,
        _ => {
            return Err(refused(
                "outcome",
                format_args!("must be from 0 to {}, got {outcome}", state.q.len() - 1),
            ))
        }
    };
    let spend = not_negative("spend", spend)?;
    let shares =
        lmsr::shares_for_cost(&state.weights, outcome, state.exponents[outcome], spend / state.b) * state.b;
    let bottom = state.q.iter().copied().fold(f64::INFINITY, f64::min);
    let reach = (state.q[outcome] + shares - bottom) / state.b;
    if reach.is_nan() || reach > MAX_SPREAD {
        return Err(spread("spend", Code::POOL_DOMAIN_EXCEEDED));
    }
    finite("spend", shares)
}

/// Liquidity, reserves and score of a pool.
struct Pool {
    liquidity: f64,
    x: f64,
    y: f64,
    score: f64,
}

fn pool(liquidity: &Bound<'_, PyAny>, x: &Bound<'_, PyAny>, y: &Bound<'_, PyAny>) -> PyResult<Pool> {
    let liquidity = within("liquidity", liquidity, LIQUIDITY_BOUNDS)?;
    let (x, y) = (not_negative("x", x)?, not_negative("y", y)?);
    let score = (y - x) / liquidity;
    if score.abs() > pm::MAX_SCORE {
        let name = if y > x { "y" } else { "x" };
        let bound = pm::MAX_SCORE;
        return Err(refused(
            name,
            format_args!("puts |y - x| above {bound} times the liquidity (score {score})"),
        ));
    }
    Ok(Pool { liquidity, x, y, score })
}

impl Pool {
    /// What flows out when `amount` is paid into Y (`true`) or X.
    fn swap(&self, name: &str, into_y: bool, amount: f64) -> PyResult<f64> {
        let (into, from, score) =
            if into_y { (self.y, self.x, self.score) } else { (self.x, self.y, -self.score) };
        let reserves = Reserves { into: into / self.liquidity, from: from / self.liquidity, score };
        let excess = reserves.excess();
        if excess.abs() > CURVE_TOLERANCE {
            return Err(refused(
                "x",
                format_args!("and y are not reserves of this liquidity: {excess:e} of it off the curve"),
            ));
        }
        match pm::swap(&reserves, amount / self.liquidity) {
            Ok(swapped) => finite(name, swapped.out * self.liquidity),
            Err(code) => {
                let bound = pm::MAX_SCORE;
                Err(refused(name, format_args!("leads beyond a score of {bound} ({})", code.entry().name)))
            }
        }
    }
}

#[pyfunction]
pub fn pm_amm_price(
    liquidity: &Bound<'_, PyAny>,
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    Ok(pm::price(pool(liquidity, x, y)?.score))
}

#[pyfunction]
pub fn pm_amm_swap(
    liquidity: &Bound<'_, PyAny>,
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
    dx_in: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let pool = pool(liquidity, x, y)?;
    pool.swap("dx_in", false, not_negative("dx_in", dx_in)?)
}

#[pyfunction]
pub fn pm_amm_buy(
    liquidity: &Bound<'_, PyAny>,
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
    collateral: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let pool = pool(liquidity, x, y)?;
    let collateral = not_negative("collateral", collateral)?;
    finite("collateral", pool.swap("collateral", true, collateral)? + collateral)
}

fn score(price: &Bound<'_, PyAny>) -> PyResult<f64> {
    let price = number("price", price)?;
    pm::score_of_price(price).map_err(|code| {
        let bound = pm::MAX_SCORE;
        let name = code.entry().name;
        refused("price", format_args!("must have a score within ±{bound}, got {price} ({name})"))
    })
}

#[pyfunction]
pub fn pm_amm_reserves(liquidity: &Bound<'_, PyAny>, price: &Bound<'_, PyAny>) -> PyResult<(f64, f64)> {
    let liquidity = within("liquidity", liquidity, LIQUIDITY_BOUNDS)?;
    let (x, y) = pm::reserves_at(score(price)?);
    Ok((x * liquidity, y * liquidity))
}

#[pyfunction]
pub fn pm_amm_value(liquidity: &Bound<'_, PyAny>, price: &Bound<'_, PyAny>) -> PyResult<f64> {
    let liquidity = within("liquidity", liquidity, LIQUIDITY_BOUNDS)?;
    Ok(pm::value_at(score(price)?) * liquidity)
}

#[pyfunction]
pub fn distribution_lambda(k: &Bound<'_, PyAny>, sigma: &Bound<'_, PyAny>) -> PyResult<f64> {
    Ok(distribution::mass(within("k", k, CLAIM_BOUNDS)?, within("sigma", sigma, SIGMA_BOUNDS)?))
}

#[pyfunction]
pub fn distribution_peak(k: &Bound<'_, PyAny>, sigma: &Bound<'_, PyAny>) -> PyResult<f64> {
    Ok(distribution::peak(within("k", k, CLAIM_BOUNDS)?, within("sigma", sigma, SIGMA_BOUNDS)?))
}

#[pyfunction]
pub fn distribution_min_sigma(k: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<f64> {
    Ok(distribution::least_sigma(within("k", k, CLAIM_BOUNDS)?, within("b", b, CLAIM_BOUNDS)?))
}

#[pyfunction]
pub fn distribution_collateral(
    k: &Bound<'_, PyAny>,
    mu_f: &Bound<'_, PyAny>,
    sigma_f: &Bound<'_, PyAny>,
    mu_g: &Bound<'_, PyAny>,
    sigma_g: &Bound<'_, PyAny>,
) -> PyResult<f64> {
    let k = within("k", k, CLAIM_BOUNDS)?;
    let means = (-MEAN_BOUND, MEAN_BOUND);
    let from =
        Normal { mean: within("mu_f", mu_f, means)?, sigma: within("sigma_f", sigma_f, SIGMA_BOUNDS)? };
    let to = Normal { mean: within("mu_g", mu_g, means)?, sigma: within("sigma_g", sigma_g, SIGMA_BOUNDS)? };
    distribution::collateral(k, from, to)
        .map_err(|code| refused("mu_g", format_args!("has no collateral ({})", code.entry().name)))
}

/// (value, estimate of the relative error) of an integral by Simpson's rule.
#[pyfunction]
pub fn amm_simpson(
    function: &Bound<'_, PyAny>,
    lower: &Bound<'_, PyAny>,
    upper: &Bound<'_, PyAny>,
    segments: &Bound<'_, PyAny>,
) -> PyResult<(f64, f64)> {
    let (lower, upper) = (number("lower", lower)?, number("upper", upper)?);
    let segments: u32 = match segments.extract::<u32>() {
        Ok(segments) => segments,
        Err(error) if error.is_instance_of::<PyOverflowError>(segments.py()) => 0,
        Err(error) => return Err(error),
    };
    let mut failure = None;
    let value = |x: f64| match function.call1((x,)).and_then(|value| value.extract::<f64>()) {
        Ok(value) => value,
        Err(error) => {
            failure.get_or_insert(error);
            f64::NAN
        }
    };
    let integral = simpson::integrate(value, lower, upper, segments);
    if let Some(failure) = failure {
        return Err(failure);
    }
    match integral {
        Ok(integral) => Ok((integral.value, integral.relative_error)),
        Err(Code::INVALID_SEGMENTS) => {
            let most = simpson::MAX_SEGMENTS;
            Err(refused("segments", format_args!("must be even, from 2 to {most}, got {segments}")))
        }
        Err(Code::INVALID_BOUNDS) => {
            Err(refused("upper", format_args!("must be above lower {lower}, got {upper}")))
        }
        Err(Code::NOT_A_NUMBER) => Err(refused("function", "is not finite on the interval")),
        Err(_) => {
            let tolerance = simpson::TOLERANCE;
            Err(refused("function", format_args!("is too rough: estimated error above {tolerance:e}")))
        }
    }
}

/// The solver on its own: (score u, Newton steps, bisections, |ψ(u) − w|) of ψ(u) = `w` within [`lower`, 8]; None
/// when it refuses.
#[pyfunction]
pub fn amm_solve_score(w: f64, lower: f64) -> Option<(f64, u32, u32, f64)> {
    let solved = pm::solve_score(w, lower).ok()?;
    Some((solved.score, solved.newton_steps, solved.bisections, (pm::psi(solved.score) - w).abs()))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(lmsr_cost, module)?)?;
    module.add_function(wrap_pyfunction!(lmsr_prices, module)?)?;
    module.add_function(wrap_pyfunction!(lmsr_trade_cost, module)?)?;
    module.add_function(wrap_pyfunction!(lmsr_shares_for_cost, module)?)?;
    module.add_function(wrap_pyfunction!(pm_amm_price, module)?)?;
    module.add_function(wrap_pyfunction!(pm_amm_swap, module)?)?;
    module.add_function(wrap_pyfunction!(pm_amm_buy, module)?)?;
    module.add_function(wrap_pyfunction!(pm_amm_reserves, module)?)?;
    module.add_function(wrap_pyfunction!(pm_amm_value, module)?)?;
    module.add_function(wrap_pyfunction!(distribution_lambda, module)?)?;
    module.add_function(wrap_pyfunction!(distribution_peak, module)?)?;
    module.add_function(wrap_pyfunction!(distribution_min_sigma, module)?)?;
    module.add_function(wrap_pyfunction!(distribution_collateral, module)?)?;
    module.add_function(wrap_pyfunction!(amm_simpson, module)?)?;
    module.add_function(wrap_pyfunction!(amm_solve_score, module)?)
}
