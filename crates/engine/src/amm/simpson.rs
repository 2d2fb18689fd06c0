//! Simpson's rule with Richardson's estimate of its error (P10.5.4), for integrands without a closed form and for
//! audits of those that have one.

use crate::wire::Code;

/// Segments of the protocol.
pub const SEGMENTS: u32 = 100;
/// Most segments that one integral may ask for.
pub const MAX_SEGMENTS: u32 = 10_000;
/// Largest accepted estimate of the relative error.
pub const TOLERANCE: f64 = 1e-6;

/// An integral and the estimate of its relative error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Integral {
    pub value: f64,
    pub relative_error: f64,
}

/// ∫ `function` over [`lower`, `upper`] in `segments` equal parts.
///
/// The estimate is |S_n − S_{n/2}|/15 over |S_n| where n/2 is even, else (n = 2, 6, 10 …) the trapezoid's
/// |S_n − T_n|/15, which is larger.
///
/// # Errors
/// `INVALID_SEGMENTS` when odd, below 2 or above 10,000; `INVALID_BOUNDS` unless lower < upper, both finite;
/// `NOT_A_NUMBER` for a value that is not finite; `CONVERGENCE_FAILED` when the estimate exceeds 1e-6.
pub fn integrate(
    mut function: impl FnMut(f64) -> f64,
    lower: f64,
    upper: f64,
    segments: u32,
) -> Result<Integral, Code> {
    if segments < 2 || segments % 2 == 1 || segments > MAX_SEGMENTS {
        return Err(Code::INVALID_SEGMENTS);
    }
    if !lower.is_finite() || !upper.is_finite() || upper <= lower || !(upper - lower).is_finite() {
        return Err(Code::INVALID_BOUNDS);
    }
    let width = (upper - lower) / f64::from(segments);
    let ends = function(lower) + function(upper);
    // Sums over positions by remainder of 4: odd ones, 2 mod 4, 0 mod 4.
    let (mut odd, mut half_odd, mut half_even) = (0.0, 0.0, 0.0);
    for position in 1..segments {
        let value = function(lower + f64::from(position) * width);
        match position % 4 {
            0 => half_even += value,
            2 => half_odd += value,
            _ => odd += value,
        }
    }
    let fine = width / 3.0 * (ends + 4.0 * odd + 2.0 * (half_odd + half_even));
    let coarse = if segments % 4 == 0 {
        2.0 * width / 3.0 * (ends + 4.0 * half_odd + 2.0 * half_even)
    } else {
        width * (0.5 * ends + odd + half_odd + half_even)
    };
    if !fine.is_finite() || !coarse.is_finite() {
        return Err(Code::NOT_A_NUMBER);
    }
    let difference = (fine - coarse).abs() / 15.0;
    let relative_error = if difference == 0.0 { 0.0 } else { difference / fine.abs() };
    if relative_error > TOLERANCE {
        return Err(Code::CONVERGENCE_FAILED);
    }
    Ok(Integral { value: fine, relative_error })
}

#[cfg(test)]
mod tests {
    use super::super::normal::density;
    use super::*;

    #[test]
    fn golden_integrals_of_p10_5_4() {
        let sine = integrate(libm::sin, 0.0, core::f64::consts::PI, SEGMENTS).unwrap();
        assert!((sine.value - 2.000_000_010_825).abs() < 5e-13, "{}", sine.value);
        let mass = integrate(density, -8.0, 8.0, SEGMENTS).unwrap();
        assert!((mass.value - 1.0).abs() < 1e-14, "{}", mass.value);
    }

    #[test]
    fn wrong_segments_and_bounds_are_refused() {
        for segments in [0, 1, 3, 99, 101, MAX_SEGMENTS + 2] {
            assert_eq!(integrate(|_| 1.0, 0.0, 1.0, segments), Err(Code::INVALID_SEGMENTS));
        }
        for (lower, upper) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert_eq!(integrate(|_| 1.0, lower, upper, 100), Err(Code::INVALID_BOUNDS));
        }
    }

    #[test]
    fn a_rough_integrand_is_refused_and_not_a_number_is_named() {
        let jump = |x: f64| if x < 0.333 { 1.0 } else { 0.0 };
        assert_eq!(integrate(jump, 0.0, 1.0, 100), Err(Code::CONVERGENCE_FAILED));
        assert_eq!(integrate(|x| 1.0 / x, 0.0, 1.0, 100), Err(Code::NOT_A_NUMBER));
    }

    #[test]
    fn the_rule_is_exact_for_cubics_at_every_even_number_of_segments() {
        for segments in (4..=60).step_by(4) {
            let found = integrate(|x| x * x * x + x * x, -1.0, 3.0, segments).unwrap().value;
            assert!((found - (20.0 + 28.0 / 3.0)).abs() < 1e-12, "{segments}: {found}");
        }
    }
}
