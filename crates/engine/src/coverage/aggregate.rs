//! Worst cases of one bucket, or of the platform, under one correlation (protocol P9.2).

use crate::perp::margin::isqrt_ceil;

use super::PPM;

/// Unpublished correlation (P9.4: fewer than two markets).
pub const FULL_CORRELATION_PPM: u32 = 1_000_000;

/// Sums from which `S = sqrt((1 − ρ)·ΣWC² + ρ·(ΣWC)²)` follows. Each change is O(1).
///
/// Squares are kept as three sums over the halves of each value, so that no number of values overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregate {
    rho_ppm: u32,
    count: u32,
    sum: u128,
    high: u128,
    cross: u128,
    low: u128,
}

impl Default for Aggregate {
    fn default() -> Self {
        Aggregate { rho_ppm: FULL_CORRELATION_PPM, count: 0, sum: 0, high: 0, cross: 0, low: 0 }
    }
}

/// The halves of a value: what remains above 32 bits, and the low 32.
const fn halves(value: u128) -> (u128, u128) {
    (value >> 32, value & 0xFFFF_FFFF)
}

impl Aggregate {
    pub const fn rho_ppm(&self) -> u32 {
        self.rho_ppm
    }

    /// At most 10^6; larger values count as 10^6.
    pub fn set_rho(&mut self, rho_ppm: u32) {
        self.rho_ppm = rho_ppm.min(FULL_CORRELATION_PPM);
    }

    /// Values above zero.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Sum of all values.
    pub const fn sum(&self) -> i128 {
        self.sum as i128
    }

    /// Exchanges one value for another; negative ones count as zero. `old` must be what was put in before.
    pub fn replace(&mut self, old: i128, new: i128) {
        let (old, new) = (old.max(0) as u128, new.max(0) as u128);
        self.count = self.count + u32::from(new > 0) - u32::from(old > 0);
        let ((old_high, old_low), (new_high, new_low)) = (halves(old), halves(new));
        self.sum = self.sum + new - old;
        self.high = self.high + new_high * new_high - old_high * old_high;
        self.cross = self.cross + new_high * new_low - old_high * old_low;
        self.low = self.low + new_low * new_low - old_low * old_low;
    }

    /// `ceil(S)`. Never less than the largest value. Exact while the sum is below 2^63 micro-units, which is more than
    /// the ledger can hold; beyond, the terms are first rounded up to multiples of 2^32 micro-units.
    pub fn total(&self) -> i128 {
        let (square_of_sum, squares, shift) = if self.sum < 1 << 63 {
            (self.sum * self.sum, (self.high << 64) + (self.cross << 33) + self.low, 0)
        } else {
            let sum = self.sum.div_ceil(1 << 32);
            let squares = self.high + self.cross.div_ceil(1 << 31) + self.low.div_ceil(1 << 64);
            (sum * sum, squares, 32)
        };
        // (1 − ρ)x + ρy = x + ρ(y − x); rounding up before the root that is rounded up changes nothing.
        let apart = square_of_sum.saturating_sub(squares);
        let (ppm, rho) = (PPM as u128, u128::from(self.rho_ppm));
        let correlated = apart / ppm * rho + (apart % ppm * rho).div_ceil(ppm);
        isqrt_ceil((squares + correlated) as i128) << shift
    }
}
