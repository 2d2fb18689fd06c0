//! The logarithmic market scoring rule (P10.3) on plain numbers.
//!
//! Quantities enter as exponents `(q_i − max q)/b`: the caller takes the differences, in integers where it has
//! integers, so nothing is lost before the first division. Results are in units of b.

use libm::{exp, expm1, log, log1p};

use super::MAX_OUTCOMES;
use crate::wire::Code;

/// Largest spread of quantities in units of b (P10.3.2): exp(−700) is still a normal number.
pub const MAX_SPREAD: f64 = 700.0;
/// Spends above this many b take the logarithm of exp(s/b) apart.
const MAX_DIRECT_SPEND: f64 = 30.0;
/// Steps above this many b take the shifted difference of logarithms: exp of them would overflow. P10.3.2 does so
/// from 30 on; a cheap outcome's tiny cost would drown there, and is exact here.
const MAX_DIRECT_STEP: f64 = 700.0;
/// Above this the +1 below the logarithm no longer shows, and the quotient itself could overflow.
const MAX_DIRECT_RATIO: f64 = 1e15;

/// Exponentials of one state, with the largest one taken out as 1.
pub struct Weights {
    exponentials: [f64; MAX_OUTCOMES],
    count: usize,
    /// The outcome whose exponential was taken out as 1.
    top: usize,
    /// Σ exp(a_j) over all but the largest term.
    rest: f64,
}

impl Weights {
    /// `exponents[i] = (q_i − max q)/b`, the largest of them 0.
    ///
    /// # Errors
    /// `INVALID_OUTCOME_COUNT` outside 2..64, `NOT_A_NUMBER`, `POOL_DOMAIN_EXCEEDED` below −700.
    pub fn new(exponents: &[f64]) -> Result<Weights, Code> {
        let mut weights = Weights::empty();
        weights.fill(exponents.len(), exponents.iter().copied())?;
        Ok(weights)
    }

    /// No state yet; to be filled in place.
    #[inline]
    pub const fn empty() -> Weights {
        Weights { exponentials: [0.0; MAX_OUTCOMES], count: 0, top: 0, rest: 0.0 }
    }

    /// As [`Weights::new`], without moving the result.
    ///
    /// # Errors
    /// As [`Weights::new`].
    #[inline]
    pub fn fill(&mut self, count: usize, exponents: impl Iterator<Item = f64>) -> Result<(), Code> {
        if !(2..=MAX_OUTCOMES).contains(&count) {
            return Err(Code::INVALID_OUTCOME_COUNT);
        }
        (self.count, self.top, self.rest) = (count, count, 0.0);
        for (outcome, exponent) in exponents.enumerate() {
            if exponent.is_nan() {
                return Err(Code::NOT_A_NUMBER);
            }
            if !(-MAX_SPREAD..=0.0).contains(&exponent) {
                return Err(Code::POOL_DOMAIN_EXCEEDED);
            }
            let power = if exponent == 0.0 { 1.0 } else { exp(exponent) };
            self.exponentials[outcome] = power;
            if exponent == 0.0 && self.top == count {
                self.top = outcome;
            } else {
                self.rest += power;
            }
        }
        if self.top < count {
            Ok(())
        } else {
            Err(Code::POOL_DOMAIN_EXCEEDED)
        }
    }

    /// ln Σ exp(a_i): what C(q)/b exceeds max(q)/b by.
    pub fn log_sum(&self) -> f64 {
        log1p(self.rest)
    }

    /// Price of one outcome.
    pub fn price(&self, outcome: usize) -> f64 {
        self.exponentials[outcome] / (1.0 + self.rest)
    }

    /// Price of one outcome, and what all others cost together; neither loses digits where it is small.
    pub fn price_and_rest(&self, outcome: usize) -> (f64, f64) {
        let own = self.price(outcome);
        let others = if outcome == self.top { self.rest / (1.0 + self.rest) } else { 1.0 - own };
        (own, others)
    }

    /// Price of one outcome after `step` (in units of b) of its shares were sold by the pool.
    pub fn price_after(&self, outcome: usize, step: f64) -> f64 {
        let (own, others) = self.price_and_rest(outcome);
        if step > 0.0 {
            own / (own + others * exp(-step))
        } else {
            let grown = own * exp(step);
            grown / (grown + others)
        }
    }

    /// ln(1 + p·(exp(step) − 1)): cost of a step of one outcome in units of b, where that form keeps its digits.
    pub fn step_cost(&self, outcome: usize, step: f64) -> Option<f64> {
        if step > MAX_DIRECT_STEP {
            return None;
        }
        let gain = self.price(outcome) * expm1(step);
        (gain > -0.5 && gain < 1.0).then(|| log1p(gain))
    }

    /// Prices of all outcomes into `prices`.
    pub fn prices(&self, prices: &mut [f64]) {
        for (price, exponential) in prices.iter_mut().zip(&self.exponentials[..self.count]) {
            *price = exponential / (1.0 + self.rest);
        }
    }
}

/// A trade: `steps[i] = (Δ_i − t)/b` for a common part t, and the exponents of the state after it, shifted to their
/// own maximum; `lift` is that new maximum less the old one, less t, in units of b.
pub struct Move<'a> {
    pub steps: &'a [f64],
    pub after: &'a [f64],
    pub lift: f64,
}

/// `ln Σ p_i·exp(step_i)`: cost of the trade in units of b, without its common part.
///
/// # Errors
/// As [`Weights::new`] for the state after the trade.
pub fn trade_cost(before: &Weights, trade: &Move<'_>) -> Result<f64, Code> {
    let mut gain = 0.0;
    let mut largest = f64::NEG_INFINITY;
    for (exponential, &step) in before.exponentials[..before.count].iter().zip(trade.steps) {
        largest = if step > largest { step } else { largest };
        if step != 0.0 && step <= MAX_DIRECT_STEP {
            gain += exponential * expm1(step);
        }
    }
    gain /= 1.0 + before.rest;
    // Near −1 the sum has lost its digits, and from 1 on the two logarithms are apart far enough to be subtracted.
    if largest <= MAX_DIRECT_STEP && gain > -0.5 && gain < 1.0 {
        check_domain(trade.after)?;
        return Ok(log1p(gain));
    }
    let after = Weights::new(trade.after)?;
    Ok(trade.lift + (after.log_sum() - before.log_sum()))
}

fn check_domain(exponents: &[f64]) -> Result<(), Code> {
    match exponents.iter().find(|exponent| !(-MAX_SPREAD..=0.0).contains(*exponent)) {
        None => Ok(()),
        Some(exponent) if exponent.is_nan() => Err(Code::NOT_A_NUMBER),
        Some(_) => Err(Code::POOL_DOMAIN_EXCEEDED),
    }
}

/// Shares of one outcome, in units of b, that `spend` buys (also in units of b, at least 0); `exponent` is the
/// outcome's own.
pub fn shares_for_cost(before: &Weights, outcome: usize, exponent: f64, spend: f64) -> f64 {
    if spend == 0.0 {
        return 0.0;
    }
    let price = before.price(outcome);
    let log_price = exponent - before.log_sum();
    if spend > MAX_DIRECT_SPEND {
        return spend - log_price + log1p(-(1.0 - price) * exp(-spend));
    }
    let growth = expm1(spend);
    if growth < MAX_DIRECT_RATIO * price {
        return log1p(growth / price);
    }
    // growth may be subnormal only when spend is; the quotient price/growth is below 1e-15 here
    log(growth) - log_price + price / growth
}

/// Shares of one outcome, in units of b, whose sale brings `money` (in units of b); `None` when no number of them does.
pub fn shares_that_bring(before: &Weights, outcome: usize, money: f64) -> Option<f64> {
    let fall = expm1(-money) / before.price(outcome);
    (fall > -1.0).then(|| -log1p(fall))
}
