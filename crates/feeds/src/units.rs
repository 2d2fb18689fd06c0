//! Decimal digits to whole steps of a price or a quantity, exactly.

/// Most decimals of a number that is read here.
pub const MAX_DECIMALS: usize = 18;

#[derive(Clone, Copy, Debug, Default)]
struct Ratio {
    multiplier: u64,
    /// 0: a number with so many decimals is not read here.
    divisor: u64,
}

/// One step of a price or quantity: `denominator` × 10^`exponent`.
#[derive(Clone, Debug)]
pub struct Units {
    minimum_steps: u64,
    ratios: [Ratio; MAX_DECIMALS + 1],
}

impl Units {
    /// None when the step is zero. `minimum_steps` is the smallest count that a number may have.
    pub fn new(denominator: u64, exponent: i32, minimum_steps: u64) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let mut ratios = [Ratio::default(); MAX_DECIMALS + 1];
        for (decimals, ratio) in ratios.iter_mut().enumerate() {
            // digits × 10^-decimals = steps × denominator × 10^exponent
            let shift = -(decimals as i64) - i64::from(exponent);
            let Some(power) =
                u32::try_from(shift.unsigned_abs()).ok().and_then(|places| 10_u64.checked_pow(places))
            else {
                continue;
            };
            *ratio = if shift >= 0 {
                Ratio { multiplier: power, divisor: denominator }
            } else {
                Ratio { multiplier: 1, divisor: denominator.checked_mul(power).unwrap_or(0) }
            };
        }
        Some(Units { minimum_steps, ratios })
    }

    /// How many steps `digits` × 10^-`decimals` are; None when it is no whole number of them, below the minimum, or
    /// too large to be told here.
    #[inline]
    pub fn steps(&self, digits: u64, decimals: usize) -> Option<u64> {
        let ratio = self.ratios.get(decimals)?;
        let scaled = digits.checked_mul(ratio.multiplier)?;
        let steps = match ratio.divisor {
            1 => scaled,
            divisor => {
                let steps = scaled.checked_div(divisor)?;
                if steps * divisor != scaled {
                    return None;
                }
                steps
            }
        };
        (steps >= self.minimum_steps).then_some(steps)
    }
}

/// The two steps of an instrument.
#[derive(Clone, Debug)]
pub struct Scale {
    pub price: Units,
    pub quantity: Units,
}
