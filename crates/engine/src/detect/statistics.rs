//! Robust statistics of P12.1: log returns, leave-one-out z, exponentially weighted volume. Integers but for the
//! logarithm, whose result is rounded to ppm before anything is compared or stored (P0.3).

use std::collections::VecDeque;

use bytemuck::{Pod, Zeroable};

use crate::codec::{Reader, Writer};
use crate::limits::DETECTION_RETURNS;

/// `ln(later / earlier)` in ppm, rounded to nearest; both positive and below 2^53.
///
/// Only +, −, × and ÷ of f64: the series of the inverse hyperbolic tangent, after the ratio was brought to within
/// a factor of 1.5 by powers of two.
pub fn ln_ppm(later: i64, earlier: i64) -> i64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let (mut a, mut b, mut doublings) = (later as f64, earlier as f64, 0.0);
    while a > b * 1.5 {
        b *= 2.0;
        doublings += 1.0;
    }
    while b > a * 1.5 {
        a *= 2.0;
        doublings -= 1.0;
    }
    let x = (a - b) / (a + b);
    let square = x * x;
    let mut series = 0.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * square + 1.0 / odd;
    }
    let ppm = (2.0 * x * series + doublings * LN_2) * 1e6;
    (if ppm < 0.0 { ppm - 0.5 } else { ppm + 0.5 }) as i64
}

/// The newest log returns in ppm, by age and by size.
#[derive(Clone, Debug, Default)]
pub struct Returns {
    ring: VecDeque<i64>,
    sorted: Vec<i64>,
}

impl Returns {
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether `x`, which is not among them, is further than 3 × 1.4826 × MAD from the median of the others.
    /// None: too few others or no dispersion.
    pub fn is_outlier(&self, x: i64, fewest: usize) -> Option<bool> {
        let count = self.sorted.len();
        if count < fewest.max(1) {
            return None;
        }
        let twice_median = self.sorted[(count - 1) / 2] + self.sorted[count / 2];
        let mad_4 = self.four_mads(twice_median);
        // |x − m| > 3 × 1.4826 × MAD, with 2|x − m| and 4 MAD at hand.
        (mad_4 > 0).then(|| {
            let twice_distance = i128::from((2 * x - twice_median).abs());
            2 * twice_distance * 10_000 > 44_478 * i128::from(mad_4)
        })
    }

    /// Four times the median absolute deviation: deviations ascend from the middle of the sorted values outward.
    fn four_mads(&self, twice_median: i64) -> i64 {
        let count = self.sorted.len();
        let deviation = |value: i64| (2 * value - twice_median).abs();
        let (mut below, mut above) = ((count - 1) / 2 + 1, (count - 1) / 2 + 1);
        let (mut lower, mut upper) = (0, 0);
        for rank in 0..=count / 2 {
            let left = (below > 0).then(|| deviation(self.sorted[below - 1]));
            let right = (above < count).then(|| deviation(self.sorted[above]));
            let next = match (left, right) {
                (Some(left), Some(right)) if left > right => {
                    above += 1;
                    right
                }
                (Some(left), _) => {
                    below -= 1;
                    left
                }
                (None, Some(right)) => {
                    above += 1;
                    right
                }
                (None, None) => break,
            };
            if rank == (count - 1) / 2 {
                lower = next;
            }
            upper = next;
        }
        lower + upper
    }

    /// Adds the newest and forgets the oldest beyond [`DETECTION_RETURNS`].
    pub fn push(&mut self, x: i64) {
        if self.ring.len() >= DETECTION_RETURNS {
            let oldest = self.ring.pop_front().expect("a full ring");
            let place = self.sorted.binary_search(&oldest).expect("what is in the ring is in the order");
            self.sorted.remove(place);
        }
        self.ring.push_back(x);
        let place = self.sorted.partition_point(|&value| value < x);
        self.sorted.insert(place, x);
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.ring.len());
        self.ring.iter().for_each(|&x| writer.i64(x));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut returns = Returns::default();
        for _ in 0..reader.len(8)? {
            let x = reader.i64()?;
            if returns.len() >= DETECTION_RETURNS || x.abs() > 1_000_000_000 {
                return Err(format!("a return of {x} ppm behind {} others", returns.len()));
            }
            returns.push(x);
        }
        Ok(returns)
    }
}

/// 2^63 × 2^(−1/3600): what is left of a weight after a second at a half-life of an hour.
const DECAY: u64 = 9_221_596_331_607_467_527;
const ONE: u64 = 1 << 63;
/// Scale of the weight that was given out so far.
const WHOLE: u64 = 1 << 60;
/// Scale of the mean, and the largest volume of a second that it takes, in micro-units.
const MEAN_BITS: u32 = 10;
const MAX_SECOND: i64 = 1 << 50;

fn times(value: u64, factor: u64) -> u64 {
    ((u128::from(value) * u128::from(factor)) >> 63) as u64
}

/// `2^63 × (DECAY / 2^63)^seconds`.
fn decay(seconds: u64) -> u64 {
    let (mut result, mut base, mut left) = (ONE, DECAY, seconds.min(1 << 20));
    while left > 0 {
        if left & 1 == 1 {
            result = times(result, base);
        }
        base = times(base, base);
        left >>= 1;
    }
    result
}

/// Mean volume of a second with a half-life of 3,600 s. The weights given out so far are kept beside it, so that a
/// young mean is not too small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Baseline {
    mean: u64,
    weight: u64,
    /// Seconds that it has seen.
    pub seconds: u64,
}

impl Baseline {
    /// The next second had this volume in micro-units.
    pub fn feed(&mut self, volume: i64) {
        let gain = ONE - DECAY;
        let volume = volume.clamp(0, MAX_SECOND) as u64;
        self.mean = times(self.mean, DECAY) + times(volume << MEAN_BITS, gain);
        self.weight = times(self.weight, DECAY) + times(WHOLE, gain);
        self.seconds += 1;
    }

    /// The next seconds had none.
    pub fn skip(&mut self, seconds: i64) {
        let left = decay(seconds.max(0) as u64);
        self.mean = times(self.mean, left);
        self.weight = WHOLE - times(WHOLE - self.weight, left);
        self.seconds = self.seconds.saturating_add(seconds.max(0) as u64);
    }

    /// Whether `volume` within `seconds` is more than `factor` times the mean of so many seconds.
    pub fn exceeded(&self, volume: i64, seconds: u64, factor: u64) -> bool {
        let volume = volume.clamp(0, 1 << 54) as u128;
        let mean = u128::from(self.mean.min(u64::MAX / 4));
        // Both sides carry the scales of mean and weight; 600 seconds and a factor of 5 are 12 bits.
        ((volume << MEAN_BITS) * u128::from(self.weight)) >> 12
            > ((mean * u128::from(WHOLE)) >> 12) * u128::from(seconds * factor)
    }

    /// Mean volume of so many seconds in micro-units, rounded down.
    pub fn expected(&self, seconds: u64) -> i64 {
        if self.weight == 0 {
            return 0;
        }
        let mean = u128::from(self.mean) * u128::from(seconds) * u128::from(WHOLE);
        ((mean / u128::from(self.weight)) >> MEAN_BITS).min(i64::MAX as u128) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_right_to_a_ppm() {
        let golden = [
            (100, 100, 0),
            (101, 100, 9_950),
            (100, 101, -9_950),
            (110, 100, 95_310),
            (2, 1, 693_147),
            (1, 2, -693_147),
            (3, 2, 405_465),
            (i64::from(i32::MAX), 1, 21_487_563),
            (1, i64::from(i32::MAX), -21_487_563),
        ];
        for (later, earlier, ppm) in golden {
            assert_eq!(ln_ppm(later, earlier), ppm, "ln({later}/{earlier})");
        }
    }

    fn returns(values: &[i64]) -> Returns {
        let mut returns = Returns::default();
        values.iter().for_each(|&value| returns.push(value));
        returns
    }

    /// Median by definition, for values times four.
    fn median_4(mut values: Vec<i64>) -> i64 {
        values.sort_unstable();
        2 * (values[(values.len() - 1) / 2] + values[values.len() / 2])
    }

    #[test]
    fn an_outlier_is_beyond_three_robust_deviations_of_the_others() {
        // −15..=14 without 0 twice: median −0.5, deviations 0.5..=14.5 twice each, MAD 7.5 → 33.3585 from −0.5.
        let values: Vec<i64> = (-15..15).collect();
        assert_eq!(returns(&values).is_outlier(32, 30), Some(false));
        assert_eq!(returns(&values).is_outlier(33, 30), Some(true));
        assert_eq!(returns(&values).is_outlier(-33, 30), Some(false));
        assert_eq!(returns(&values).is_outlier(-34, 30), Some(true));
        assert_eq!(returns(&values[1..]).is_outlier(1_000, 30), None, "29 others are too few");
        assert_eq!(returns(&[7; 40]).is_outlier(8, 30), None, "no dispersion");
    }

    #[test]
    fn the_deviation_found_from_the_middle_is_the_median_by_definition() {
        let mut state = 77_u64;
        for count in 1..90 {
            let values: Vec<i64> = (0..count)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state % 40) as i64 - 20
                })
                .collect();
            let twice_median = median_4(values.clone()) / 2;
            let deviations: Vec<i64> = values.iter().map(|value| (2 * value - twice_median).abs()).collect();
            assert_eq!(returns(&values).four_mads(twice_median), median_4(deviations) / 2, "{values:?}");
        }
    }

    #[test]
    fn the_oldest_return_leaves_and_a_copy_is_the_same() {
        let values: Vec<i64> = (0..500).map(|n| (n * 7_919) % 1_000).collect();
        let kept = returns(&values);
        assert_eq!(kept.len(), DETECTION_RETURNS);
        let mut writer = Writer::default();
        kept.encode(&mut writer);
        let copy = Returns::decode(&mut Reader::new(&writer.bytes)).unwrap();
        assert_eq!((copy.ring, copy.sorted), (kept.ring, kept.sorted));
    }

    #[test]
    fn a_steady_volume_is_its_own_mean_from_the_first_second_on() {
        let mut baseline = Baseline::default();
        for second in 1..10_000_u64 {
            baseline.feed(1_000_000_000);
            let expected = baseline.expected(10);
            assert!((9_999_000_000..=10_000_000_000).contains(&expected), "{expected} after {second}");
        }
        assert!(!baseline.exceeded(49_990_000_000, 10, 5));
        assert!(baseline.exceeded(50_001_000_000, 10, 5));
    }

    #[test]
    fn the_mean_halves_in_an_hour_without_volume() {
        let mut baseline = Baseline::default();
        (0..100_000).for_each(|_| baseline.feed(1_000_000_000));
        let before = baseline.expected(1);
        let mut slowly = baseline;
        baseline.skip(3_600);
        (0..3_600).for_each(|_| slowly.feed(0));
        assert!((baseline.expected(1) - before / 2).abs() < 1_000);
        assert!((baseline.expected(1) - slowly.expected(1)).abs() < 1_000);
        baseline.skip(i64::MAX);
        assert_eq!(baseline.expected(1), 0);
        assert_eq!(Baseline::default().expected(10), 0);
    }
}
