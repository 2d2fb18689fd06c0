//! Standard normal density, distribution function and its inverse, accurate relatively in both tails (P10.4.1).
//!
//! `exp(−u²/2)` and `erfc(u/√2)` amplify the rounding of their arguments by u²; at |u| = 8 that alone would be
//! 7e-15. Both arguments are therefore formed with their rounding error, which is put back to first order.

use libm::{erfc, exp, log};

/// 1/√(2π): the density at 0, and ψ(0) of the pm-AMM.
pub const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;
/// √2 and 1/√2; the latter as the sum of two doubles.
const SQRT_2: f64 = core::f64::consts::SQRT_2;
const INV_SQRT_2: f64 = core::f64::consts::FRAC_1_SQRT_2;
const INV_SQRT_2_LOW: f64 = -4.833_646_656_726_457e-17;
/// 2²⁷ + 1: splits a double into two halves whose products are exact.
const SPLIT: f64 = 134_217_729.0;

/// The upper 26 bits of `value` and the rest.
#[inline]
fn halves(value: f64) -> (f64, f64) {
    let shifted = SPLIT * value;
    let high = shifted - (shifted - value);
    (high, value - high)
}

/// `a·b` rounded and what the rounding took away (Dekker; no fused operation, P0.3).
#[inline]
fn product(a: f64, b: f64) -> (f64, f64) {
    let rounded = a * b;
    let (a_high, a_low) = halves(a);
    let (b_high, b_low) = halves(b);
    let error = ((a_high * b_high - rounded) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (rounded, error)
}

/// φ(u) = exp(−u²/2)/√(2π). Relative error below 1e-15 for |u| ≤ 38.
#[inline]
pub fn density(u: f64) -> f64 {
    let (square, error) = product(u, u);
    let value = DENSITY_AT_ZERO * exp(-0.5 * square);
    value - value * (0.5 * error)
}

/// φ(u) and Φ(u) = erfc(−u/√2)/2. Relative error of Φ below 1e-14 for |u| ≤ 30.
#[inline]
pub fn density_and_cdf(u: f64) -> (f64, f64) {
    let phi = density(u);
    let (argument, error) = product(u, INV_SQRT_2);
    let residue = error + u * INV_SQRT_2_LOW;
    // d/da ½·erfc(−a) = exp(−a²)/√π = √2·φ(u)
    (phi, 0.5 * erfc(-argument) + SQRT_2 * phi * residue)
}

/// Φ(u).
#[inline]
pub fn cdf(u: f64) -> f64 {
    density_and_cdf(u).1
}

/// u with Φ(u) = `probability`, for a probability from Φ(−38) to ½; above ½ negate the quantile of 1 − p, which is
/// exact. Newton steps on ln Φ from the leading term of the tail: |error of u| below 1e-14.
pub fn lower_quantile(probability: f64) -> f64 {
    debug_assert!(probability > 0.0 && probability <= 0.5);
    let target = log(probability);
    // A rational fit of the tail (error below 5e-4), then the second-order step on ln Φ converges in three.
    let t = (-2.0 * target).sqrt();
    let numerator = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let denominator = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut u = numerator / denominator - t;
    for _ in 0..3 {
        let (phi, below) = density_and_cdf(u);
        // (ln Φ − ln p) without losing digits where Φ ≈ p
        let gap = libm::log1p((below - probability) / probability);
        let slope = phi / below;
        let curvature = -slope * (u + slope);
        let newton = gap / slope;
        u -= newton / (1.0 - 0.5 * newton * curvature / slope);
    }
    u.min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30-digit references: (u, Φ(u)).
    const TAILS: [(f64, f64); 8] = [
        (-8.0, 6.220960574271784e-16),
        (-7.3, 1.4388386381575877e-13),
        (-5.0, 2.866515718791939e-07),
        (-3.0, 0.0013498980316300946),
        (-1.0, 0.15865525393145705),
        (0.0, 0.5),
        (2.5, 0.9937903346742238),
        (8.0, 0.9999999999999993),
    ];

    #[test]
    fn the_distribution_function_is_relatively_exact_in_both_tails() {
        for (u, expected) in TAILS {
            assert!((cdf(u) / expected - 1.0).abs() < 1e-14, "{u}: {}", cdf(u));
        }
    }

    #[test]
    fn the_quantile_inverts_the_distribution_function() {
        for step in 0..=800 {
            let u = -8.0 + 0.01 * f64::from(step);
            assert!((lower_quantile(cdf(u).min(0.5)) - u).abs() < 2e-14 * (1.0 - u), "{u}");
        }
    }
}
