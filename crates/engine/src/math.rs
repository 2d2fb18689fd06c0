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
    // Two widening multiplications; a negative factor becomes huge and fails like any other overflow.
    let lots_at_price = u128::from(price as u64) * u128::from(lots as u64);
    if let Ok(lots_at_price) = u64::try_from(lots_at_price) {
        let value = u128::from(lots_at_price) * u128::from(unit as u64);
        if value <= MAX_BALANCE as u128 {
            return Ok(value as i64);
        }
    }
    Err(Code::MATH_OVERFLOW.into())
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
    match amount.checked_mul(i64::from(numerator)) {
        Some(product) => product / i64::from(denominator),
        None => (amount as i128 * i128::from(numerator) / i128::from(denominator)) as i64,
    }
}

/// `floor(reference × (10,000 + bp) / 10,000)` of a price in ticks.
#[inline]
pub fn plus_bp(reference: i64, bp: u32) -> i64 {
    reference * (10_000 + i64::from(bp)) / 10_000
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
