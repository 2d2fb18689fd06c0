//! Exact integer arithmetic; every division names its direction (protocol P0.2, P0.3).

use crate::wire::error::{Code, Reject};

/// Largest absolute balance of any line, in micro-units (P1.4.1).
pub const MAX_BALANCE: i64 = 4_000_000_000_000_000_000;
/// Fees are stored in 1e-6 bp; 10^10 of them are the whole.
pub const FEE_SCALE: u64 = 10_000_000_000;

/// `price_ticks × lots × unit` in micro-quote.
///
/// # Errors
/// `MATH_OVERFLOW` above [`MAX_BALANCE`].
#[inline]
pub fn notional(price: i64, lots: i64, unit: i64) -> Result<i64, Reject> {
    let product = (price as i128 * lots as i128).checked_mul(unit as i128);
    match product {
        Some(value) if (0..=MAX_BALANCE as i128).contains(&value) => Ok(value as i64),
        _ => Err(Code::MATH_OVERFLOW.into()),
    }
}

/// `ceil(amount × rate / 10^10)`: what a user pays at `rate` in 1e-6 bp. Both at least 0; rate at most 10^8.
#[inline]
pub fn fee_ceil(amount: i64, rate_e6bp: u32) -> i64 {
    debug_assert!(amount >= 0);
    let (amount, rate) = (amount as u64, u64::from(rate_e6bp));
    // The usual case fits u64, where the division by a constant is one multiplication.
    match amount.checked_mul(rate) {
        Some(product) => product.div_ceil(FEE_SCALE) as i64,
        None => (u128::from(amount) * u128::from(rate)).div_ceil(u128::from(FEE_SCALE)) as i64,
    }
}

/// `floor(amount × numerator / denominator)` of non-negative amounts.
#[inline]
pub fn mul_div_floor(amount: i64, numerator: u32, denominator: u32) -> i64 {
    (amount as i128 * i128::from(numerator) / i128::from(denominator)) as i64
}

/// `floor(reference × (10,000 − bp) / 10,000)`.
#[inline]
pub fn less_bp(reference: i64, bp: u32) -> i64 {
    (reference as i128 * i128::from(10_000_i64 - i64::from(bp)) / 10_000) as i64
}

/// `floor(reference × (10,000 + bp) / 10,000)`.
#[inline]
pub fn plus_bp(reference: i64, bp: u32) -> i64 {
    (reference as i128 * i128::from(10_000_i64 + i64::from(bp)) / 10_000) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notional_golden_of_p1_4_4() {
        assert_eq!(notional(10_000, 10_000, 10), Ok(1_000_000_000));
        assert_eq!(notional(640, 250, 1), Ok(160_000));
    }

    #[test]
    fn notional_beyond_the_largest_balance_overflows() {
        assert!(notional(i64::from(i32::MAX), 1 << 40, 1_000_000).is_err());
    }

    #[test]
    fn fee_golden_of_p8_5_rounds_up() {
        // $100 at 4.24467671 bp (stored to 1e-6 bp, rounded up)
        assert_eq!(fee_ceil(100_000_000, 4_244_677), 42_447);
        assert_eq!(fee_ceil(1, 1), 1);
        assert_eq!(fee_ceil(0, 100_000_000), 0);
        assert_eq!(fee_ceil(MAX_BALANCE, 100_000_000), MAX_BALANCE / 100);
    }
}
