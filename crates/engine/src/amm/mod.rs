//! Automated market makers (P10): pure mathematics in f64, and its results in integer micro.
//!
//! The kernels see plain numbers only. What touches money goes through [`paid`] and [`received`], which round
//! against the user by more than the kernels can be wrong (P10.2.1). Every transcendental function is the same
//! software on every machine (crate `libm` without its architecture features).

pub mod distribution;
pub mod dynamic;
pub mod lmsr;
pub mod micro;
pub mod normal;
pub mod pm;
pub mod pool;
pub mod question;
pub mod simpson;

use crate::wire::Code;

/// Outcomes of one market at most (P10.1).
pub const MAX_OUTCOMES: usize = crate::limits::MAX_OUTCOMES as usize;
/// Largest amount that the guards round, in micro: beyond it i64 would overflow in sums.
const MAX_REAL_MICRO: f64 = 4e18;
const RELATIVE_GUARD: f64 = 1.0 / (1_u64 << 40) as f64;
const SCALE_GUARD: f64 = 1.0 / (1_u64 << 46) as f64;

/// eˣ by the engine's own library: the same bits everywhere.
pub fn exponential(value: f64) -> f64 {
    libm::exp(value)
}

/// g = |r|·2⁻⁴⁰ + s·2⁻⁴⁶ (P10.2.1), in micro.
fn guard(real_micro: f64, scale_micro: f64) -> f64 {
    real_micro.abs() * RELATIVE_GUARD + scale_micro * SCALE_GUARD
}

fn to_integer(real_micro: f64) -> Result<i64, Code> {
    if real_micro.is_nan() {
        return Err(Code::NOT_A_NUMBER);
    }
    if real_micro.abs() > MAX_REAL_MICRO {
        return Err(Code::MATH_OVERFLOW);
    }
    Ok(real_micro as i64)
}

/// `ceil(r + g)`: what the user pays for a real amount of micro; `scale_micro` is b, L or k.
///
/// # Errors
/// `NOT_A_NUMBER`, `MATH_OVERFLOW`.
pub fn paid(real_micro: f64, scale_micro: f64) -> Result<i64, Code> {
    to_integer(libm::ceil(real_micro + guard(real_micro, scale_micro)))
}

/// `floor(r − g)`: what the user receives. Errors as [`paid`].
pub fn received(real_micro: f64, scale_micro: f64) -> Result<i64, Code> {
    to_integer(libm::floor(real_micro - guard(real_micro, scale_micro)))
}
