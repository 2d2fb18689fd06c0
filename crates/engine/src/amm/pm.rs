//! The pm-AMM (P10.4) on plain numbers: one score u = (y − x)/L stands for the whole state.
//!
//! With ψ(u) = φ(u) + u·Φ(u) the reserves are y = L·ψ(u) and x = L·ψ(−u). What flows out of a swap is the
//! difference of a reserve before and after; short steps take it from Taylor's series, which does not cancel.

use libm::log;

use super::normal::{density, density_and_cdf, lower_quantile, DENSITY_AT_ZERO};
use crate::wire::Code;

/// Largest |u| (P10.4.1).
pub const MAX_SCORE: f64 = 8.0;
/// Newton steps before bisection takes over, and bisections (P10.4.3).
pub const MAX_NEWTON_STEPS: u32 = 10;
pub const MAX_BISECTIONS: u32 = 64;
const STEP_TOLERANCE: f64 = 1e-10;
const BRACKET_TOLERANCE: f64 = 1e-12;
/// Below this change of the score Taylor's form is used (P10.4.2).
const TAYLOR_STEP: f64 = 1e-4;
/// A reserve that differs from the curve by less than this part of itself, or of L, differs by rounding.
const ROUNDING_OF_RESERVE: f64 = 1e-12;
const ROUNDING_OF_LIQUIDITY: f64 = 1e-15;

/// ψ(u), with φ(u) and Φ(u).
#[inline]
fn psi_parts(u: f64) -> (f64, f64, f64) {
    let (phi, below) = density_and_cdf(u);
    (phi + u * below, phi, below)
}

/// ψ(u) = φ(u) + u·Φ(u): reserve of Y per unit of liquidity; relative error below 1e-12 for u ≥ −8.
pub fn psi(u: f64) -> f64 {
    psi_parts(u).0
}

/// Result of the solver, with what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solved {
    pub score: f64,
    pub newton_steps: u32,
    pub bisections: u32,
}

/// First guess of ψ⁻¹(w) (P10.4.3).
fn first_guess(w: f64) -> f64 {
    let linear = 2.0 * (w - DENSITY_AT_ZERO);
    if w >= DENSITY_AT_ZERO {
        return if w < linear { w } else { linear };
    }
    let s = log(DENSITY_AT_ZERO / w);
    let root = (2.0 * s).sqrt();
    if s < 1.5 {
        return if linear > -root { linear } else { -root };
    }
    let root = if root > 1.0 { root } else { 1.0 };
    -(2.0 * (s - 2.0 * log(root))).sqrt()
}

/// The score u in [`lower`, 8] with ψ(u) = w, by safeguarded Newton (P10.4.3).
///
/// # Errors
/// `NOT_A_NUMBER`; `POOL_DOMAIN_EXCEEDED` when the score would leave the bracket; `CONVERGENCE_FAILED`.
pub fn solve_score(w: f64, lower: f64) -> Result<Solved, Code> {
    if !w.is_finite() || !lower.is_finite() {
        return Err(Code::NOT_A_NUMBER);
    }
    let mut bracket = (lower, MAX_SCORE);
    if w <= 0.0 || w > psi(MAX_SCORE) || lower > MAX_SCORE {
        return Err(Code::POOL_DOMAIN_EXCEEDED);
    }
    let logarithmic = w < DENSITY_AT_ZERO;
    let log_w = if logarithmic { log(w) } else { 0.0 };
    let mut u = first_guess(w).clamp(bracket.0, bracket.1);
    for step in 1..=MAX_NEWTON_STEPS {
        let (value, _, slope) = psi_parts(u);
        if value < w {
            bracket.0 = u;
        } else {
            bracket.1 = u;
        }
        let change = if logarithmic { (log(value) - log_w) * value / slope } else { (value - w) / slope };
        let mut next = u - change;
        if !(bracket.0..=bracket.1).contains(&next) {
            next = 0.5 * (bracket.0 + bracket.1);
        }
        let moved = (next - u).abs();
        u = next;
        if moved <= STEP_TOLERANCE {
            return Ok(Solved { score: u, newton_steps: step, bisections: 0 });
        }
    }
    bisect(w, bracket)
}

/// The fallback: halves the bracket at most 64 times.
fn bisect(w: f64, mut bracket: (f64, f64)) -> Result<Solved, Code> {
    for halving in 1..=MAX_BISECTIONS {
        let middle = 0.5 * (bracket.0 + bracket.1);
        if psi(middle) < w {
            bracket.0 = middle;
        } else {
            bracket.1 = middle;
        }
        if bracket.1 - bracket.0 <= BRACKET_TOLERANCE {
            let score = 0.5 * (bracket.0 + bracket.1);
            return Ok(Solved { score, newton_steps: MAX_NEWTON_STEPS, bisections: halving });
        }
    }
    Err(Code::CONVERGENCE_FAILED)
}

/// What a swap does, in units of liquidity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Swapped {
    /// What flows out of the other reserve.
    pub out: f64,
    /// Score after the swap, seen from the reserve that took the inflow (price of the other side = Φ of it).
    pub score: f64,
    pub newton_steps: u32,
    pub bisections: u32,
}

/// Reserves before a swap, per unit of liquidity: `into` takes the inflow, `from` pays; `score` = into − from, taken
/// before the division where the reserves are integers.
#[derive(Clone, Copy, Debug)]
pub struct Reserves {
    pub into: f64,
    pub from: f64,
    pub score: f64,
}

impl Reserves {
    /// How much more than the curve asks for lies in both reserves; 0 when only rounding shows.
    pub fn excess(&self) -> f64 {
        let (reserve, score) =
            if self.score < 0.0 { (self.into, self.score) } else { (self.from, -self.score) };
        let excess = reserve - psi(score);
        if excess.abs() <= ROUNDING_OF_RESERVE * reserve + ROUNDING_OF_LIQUIDITY {
            0.0
        } else {
            excess
        }
    }
}

/// Pays `amount` into one reserve: ψ(score') = (into + amount); out = from − ψ(−score').
///
/// # Errors
/// As [`solve_score`].
pub fn swap(reserves: &Reserves, amount: f64) -> Result<Swapped, Code> {
    let excess = reserves.excess();
    let (phi, below) = density_and_cdf(reserves.score);
    if excess == 0.0 && amount < TAYLOR_STEP * below && reserves.score.abs() <= MAX_SCORE {
        return short_swap(reserves.score, phi, below, amount);
    }
    // A deficit (excess < 0) can put the solution below the score that the reserves show.
    let lower = if excess < 0.0 { -MAX_SCORE } else { reserves.score };
    let solved = solve_score(reserves.into + amount, lower.max(-MAX_SCORE))?;
    let out = reserves.from - psi(-solved.score);
    Ok(Swapped { out, score: solved.score, newton_steps: solved.newton_steps, bisections: solved.bisections })
}

/// Derivatives two to five of ψ at u, over their factorials.
fn higher_terms(u: f64, phi: f64) -> [f64; 4] {
    let square = u * u;
    [phi / 2.0, -u * phi / 6.0, (square - 1.0) * phi / 24.0, (3.0 - square) * u * phi / 120.0]
}

/// The swap of a step below 1e-4 of the score: both reserves by Taylor's series to fifth order.
fn short_swap(score: f64, phi: f64, below: f64, amount: f64) -> Result<Swapped, Code> {
    let [second, third, fourth, fifth] = higher_terms(score, phi);
    let mut step = amount / below;
    let mut newton_steps = 0;
    for _ in 0..3 {
        let tail = step * (second + step * (third + step * (fourth + step * fifth)));
        let slope =
            below + step * (2.0 * second + step * (3.0 * third + step * (4.0 * fourth + step * 5.0 * fifth)));
        step -= (step * (below + tail) - amount) / slope;
        newton_steps += 1;
    }
    if score + step > MAX_SCORE {
        return Err(Code::POOL_DOMAIN_EXCEEDED);
    }
    // ψ(a) − ψ(a − δ) at a = −score
    let above = density_and_cdf(-score).1;
    let [second, third, fourth, fifth] = higher_terms(-score, phi);
    let out = step * (above - step * (second - step * (third - step * (fourth - step * fifth))));
    Ok(Swapped { out, score: score + step, newton_steps, bisections: 0 })
}

/// ψ(score + change) − ψ(score): what flows through Y when the trader's X moves the score by `change`.
///
/// # Errors
/// `NOT_A_NUMBER`; `POOL_DOMAIN_EXCEEDED` when either score is outside ±8.
pub fn reserve_change(score: f64, change: f64) -> Result<f64, Code> {
    let end = score + change;
    if end.is_nan() {
        return Err(Code::NOT_A_NUMBER);
    }
    if score.abs() > MAX_SCORE || end.abs() > MAX_SCORE {
        return Err(Code::POOL_DOMAIN_EXCEEDED);
    }
    if change.abs() >= TAYLOR_STEP {
        return Ok(psi(end) - psi(score));
    }
    let (phi, below) = density_and_cdf(score);
    let [second, third, fourth, fifth] = higher_terms(score, phi);
    Ok(change * (below + change * (second + change * (third + change * (fourth + change * fifth)))))
}

/// Price of X at a score.
pub fn price(score: f64) -> f64 {
    density_and_cdf(score).1
}

/// Score of a price in (0, 1).
///
/// # Errors
/// `NOT_A_NUMBER`; `POOL_DOMAIN_EXCEEDED` for |u| > 8.
pub fn score_of_price(price: f64) -> Result<f64, Code> {
    if price.is_nan() {
        return Err(Code::NOT_A_NUMBER);
    }
    let tail = density_and_cdf(-MAX_SCORE).1;
    // 1 − p is exact from ½ on
    if price <= 0.5 {
        if price < tail {
            return Err(Code::POOL_DOMAIN_EXCEEDED);
        }
        return Ok(lower_quantile(price));
    }
    if 1.0 - price < tail {
        return Err(Code::POOL_DOMAIN_EXCEEDED);
    }
    Ok(-lower_quantile(1.0 - price))
}

/// Reserves (x, y) per unit of liquidity at a score.
pub fn reserves_at(score: f64) -> (f64, f64) {
    (psi(-score), psi(score))
}

/// Value of the pool per unit of liquidity at a score: φ(u).
pub fn value_at(score: f64) -> f64 {
    density(score)
}
