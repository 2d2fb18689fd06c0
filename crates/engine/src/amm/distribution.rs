//! Distribution markets of the normal family (P10.5): the aggregate claim is λ·N(μ, σ²) with L2 norm k.
//!
//! A trade f → g costs the most by which f exceeds g anywhere. In units of f (z = (x − μ_f)/σ_f, s = σ_g/σ_f,
//! d = |μ_g − μ_f|/σ_f) the claims are exp(−z²/2) and exp(−z²/2 − K(z)), where K = ln(f/g) is a quadratic:
//!
//! K(z) = ½·ln s + ((1 − s)·z − d)·((1 + s)·z − d)/(2s²)
//!
//! and f − g = exp(−z²/2)·(1 − exp(−K)) is stationary where K(z) = ln((z − d)/(s²·z)). Where f > g there is exactly
//! one such point at z < 0, within (0, max(1, m)] of the centre; for s < 1 there is one more behind g, between the
//! right roots of K = 0 and of K = −2·ln s; all of these bounds are closed forms. With e = s − 1 taken from the
//! difference of the widths nothing cancels for small moves.

use libm::{exp, expm1, log, log1p};

use crate::wire::Code;

const SQRT_PI: f64 = 1.772_453_850_905_516;
/// Cap of the safeguarded Newton iteration, halvings of the bracket included.
const MAX_STEPS: u32 = 200;
/// The value is stationary at the solution: this error of ln z or z shows squared.
const TOLERANCE: f64 = 1e-9;
/// ln of the smallest distance from the centre that is told from it.
const LEAST_LOG: f64 = -690.0;

/// λ = k·√(2σ√π): mass of the claim with norm k.
pub fn mass(k: f64, sigma: f64) -> f64 {
    k * (2.0 * sigma * SQRT_PI).sqrt()
}

/// max f = k/√(σ√π).
pub fn peak(k: f64, sigma: f64) -> f64 {
    k / (sigma * SQRT_PI).sqrt()
}

/// σ_min = k²/(b²√π): the narrowest claim that stays below the backing b.
pub fn least_sigma(k: f64, backing: f64) -> f64 {
    let ratio = k / backing;
    ratio * ratio / SQRT_PI
}

/// A normal claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    pub mean: f64,
    pub sigma: f64,
}

/// The move in units of f; see the head of this file.
struct Shape {
    /// d ≥ 0 (mirrored if need be).
    distance: f64,
    /// s = σ_g/σ_f and s − 1, ln s.
    ratio: f64,
    excess: f64,
    log_ratio: f64,
}

impl Shape {
    /// K(z) = ln(f/g).
    fn log_quotient(&self, z: f64) -> f64 {
        let near = -self.excess * z - self.distance;
        let far = (2.0 + self.excess) * z - self.distance;
        0.5 * self.log_ratio + (near / self.ratio) * (far / self.ratio) * 0.5
    }

    /// K'(z).
    fn slope(&self, z: f64) -> f64 {
        (-self.excess * (2.0 + self.excess) * z - self.distance) / self.ratio / self.ratio
    }

    /// f − g over the peak of f.
    fn difference(&self, z: f64) -> f64 {
        exp(-0.5 * z * z) * -expm1(-self.log_quotient(z))
    }

    /// The largest distance from the centre at which the maximum at z < 0 can lie.
    fn reach(&self) -> f64 {
        let (d, e, s) = (self.distance, self.excess, self.ratio);
        let square_excess = e * (2.0 + e);
        if e > 0.0 {
            // left root of K, if it is nearer than 1
            let root = (d + s * (d * d + square_excess * self.log_ratio).sqrt()) / square_excess;
            return if root < 1.0 { root } else { 1.0 };
        }
        let centred = self.centred_reach();
        if centred > 1.0 {
            centred
        } else {
            1.0
        }
    }

    /// For d = 0 and s < 1: where K = −2·ln s, exactly.
    fn centred_reach(&self) -> f64 {
        let square_excess = self.excess * (2.0 + self.excess);
        if square_excess == 0.0 {
            return 1.0;
        }
        (-5.0 * self.ratio * self.ratio * self.log_ratio / -square_excess).sqrt()
    }
}

/// Root of an increasing function in `bracket`; `function` gives value and slope.
fn newton(
    mut function: impl FnMut(f64) -> (f64, f64),
    mut bracket: (f64, f64),
    start: f64,
) -> Result<f64, Code> {
    let mut at = start.clamp(bracket.0, bracket.1);
    for _ in 0..MAX_STEPS {
        let (value, slope) = function(at);
        if value.is_nan() {
            return Err(Code::NOT_A_NUMBER);
        }
        if value < 0.0 {
            bracket.0 = at;
        } else {
            bracket.1 = at;
        }
        let mut next = at - value / slope;
        // also when the slope is 0 or negative: then the step is not finite or leads out
        if !(next >= bracket.0 && next <= bracket.1) {
            next = 0.5 * (bracket.0 + bracket.1);
        }
        let moved = (next - at).abs();
        at = next;
        if moved <= TOLERANCE * (1.0 + at.abs()) {
            return Ok(at);
        }
    }
    Err(Code::CONVERGENCE_FAILED)
}

/// The maximum of f − g in front of f, seen from g: at z = −m.
fn front(shape: &Shape) -> Result<f64, Code> {
    if shape.distance == 0.0 {
        let z = if shape.excess > 0.0 { 0.0 } else { shape.centred_reach() };
        return Ok(shape.difference(z));
    }
    let reach = shape.reach();
    let balance = |log_m: f64| {
        let m = exp(log_m);
        let value = shape.log_quotient(-m) + 2.0 * shape.log_ratio - log1p(shape.distance / m);
        (value, -shape.slope(-m) * m + shape.distance / (m + shape.distance))
    };
    if balance(LEAST_LOG).0 >= 0.0 {
        return Ok(shape.difference(0.0));
    }
    let at_centre = shape.log_quotient(0.0) + 2.0 * shape.log_ratio;
    let start = if at_centre > 1.0 {
        log(shape.distance) - at_centre
    } else if at_centre > 0.0 {
        log((shape.distance / expm1(at_centre)).min(reach))
    } else {
        log(reach)
    };
    let log_m = newton(balance, (LEAST_LOG, log(reach)), start)?;
    Ok(shape.difference(-exp(log_m)))
}

/// The maximum of f − g behind g, which exists only for a narrower g.
fn behind(shape: &Shape) -> Result<f64, Code> {
    let (d, s) = (shape.distance, shape.ratio);
    let narrowing = -shape.excess * (2.0 + shape.excess);
    let root = |level: f64| {
        let inner = d * d - level * narrowing * shape.log_ratio;
        (d + s * inner.sqrt()) / narrowing
    };
    let bracket = (root(1.0), root(5.0));
    // exp(−z²/2) is below any claim here
    if bracket.0 > 40.0 {
        return Ok(0.0);
    }
    let balance = |z: f64| {
        let value = shape.log_quotient(z) + 2.0 * shape.log_ratio - log1p(-d / z);
        (value, shape.slope(z) - d / (z * (z - d)))
    };
    let z = newton(balance, bracket, bracket.1)?;
    Ok(shape.difference(z))
}

/// Collateral of the trade f → g: −min(g − f), at least 0; 0 only when nothing moves.
///
/// # Errors
/// `CONVERGENCE_FAILED`, `NOT_A_NUMBER`.
pub fn collateral(k: f64, from: Normal, to: Normal) -> Result<f64, Code> {
    let excess = (to.sigma - from.sigma) / from.sigma;
    let shape = Shape {
        distance: ((to.mean - from.mean) / from.sigma).abs(),
        ratio: to.sigma / from.sigma,
        excess,
        log_ratio: if excess.abs() < 0.5 { log1p(excess) } else { log(to.sigma / from.sigma) },
    };
    if shape.distance == 0.0 && shape.excess == 0.0 {
        return Ok(0.0);
    }
    let mut most = front(&shape)?;
    if shape.excess < 0.0 && shape.distance > 0.0 {
        let other = behind(&shape)?;
        most = if other > most { other } else { most };
    }
    if most.is_nan() {
        return Err(Code::NOT_A_NUMBER);
    }
    Ok(peak(k, from.sigma) * if most > 0.0 { most } else { 0.0 })
}
