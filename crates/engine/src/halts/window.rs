//! Lowest and highest value within a sliding window, exactly, by monotone deques (P7.2).

use std::collections::VecDeque;

use crate::codec::{Reader, Writer};
use crate::limits::MAX_WINDOW_SAMPLES;

/// Samples (moment, value) of which each is an extreme of the rest of the window behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Deque {
    samples: VecDeque<(i64, i64)>,
}

impl Deque {
    /// `covers(old, new)`: the new sample makes the old one meaningless.
    #[inline(always)]
    fn push(&mut self, now_ns: i64, value: i64, covers: impl Fn(i64, i64) -> bool) {
        while let Some(last) = self.samples.back_mut() {
            if last.1 == value {
                // The usual case: the same price again. What is in front of it is more extreme.
                last.0 = now_ns;
                return;
            }
            if !covers(last.1, value) {
                break;
            }
            self.samples.pop_back();
        }
        if self.samples.len() >= MAX_WINDOW_SAMPLES {
            // The newest extreme stands for this sample too: it is kept longer than its window, so that a full
            // table can only make the breaker trip earlier, never later.
            self.samples.back_mut().expect("a full deque").0 = now_ns;
            return;
        }
        self.samples.push_back((now_ns, value));
    }

    /// Forgets samples from before `from_ns` and returns the extreme of the others.
    #[inline]
    fn extreme(&mut self, from_ns: i64) -> Option<i64> {
        while self.samples.front().is_some_and(|&(at_ns, _)| at_ns < from_ns) {
            self.samples.pop_front();
        }
        self.samples.front().map(|&(_, value)| value)
    }

    fn encode(&self, writer: &mut Writer) {
        writer.len(self.samples.len());
        for &(at_ns, value) in &self.samples {
            writer.i64(at_ns);
            writer.i64(value);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let count = reader.len(16)?;
        if count > MAX_WINDOW_SAMPLES {
            return Err(format!("{count} samples in a window"));
        }
        let mut samples = VecDeque::with_capacity(count);
        for _ in 0..count {
            samples.push_back((reader.i64()?, reader.i64()?));
        }
        Ok(Deque { samples })
    }
}

/// A window of `length_ns`: a sample counts while it is at most that old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extremes {
    length_ns: i64,
    /// The moment up to which samples were forgotten; known again with the next look after a restart.
    ranged_ns: i64,
    low: Deque,
    high: Deque,
}

impl Extremes {
    pub fn new(length_ns: i64) -> Self {
        Extremes { length_ns, ranged_ns: i64::MIN, low: Deque::default(), high: Deque::default() }
    }

    /// Adds a sample; moments never decrease. Amortised O(1).
    pub fn push(&mut self, now_ns: i64, value: i64) {
        // Without this a window that nobody asks would keep what has long left it. Moments repeat more often than not.
        if now_ns != self.ranged_ns {
            self.range(now_ns);
        }
        self.low.push(now_ns, value, |old, new| old >= new);
        self.high.push(now_ns, value, |old, new| old <= new);
    }

    /// Lowest and highest sample that is kept, and the last moment at which none of them has left the window.
    pub fn known(&self) -> Option<(i64, i64, i64)> {
        let (low, high) = (self.low.samples.front()?, self.high.samples.front()?);
        Some((low.1, high.1, low.0.min(high.0).saturating_add(self.length_ns)))
    }

    /// Lowest sample that is kept.
    #[inline]
    pub fn lowest(&self) -> Option<i64> {
        self.low.samples.front().map(|&(_, value)| value)
    }

    /// Lowest and highest sample of the window that ends now.
    #[inline]
    pub fn range(&mut self, now_ns: i64) -> Option<(i64, i64)> {
        let from_ns = now_ns.saturating_sub(self.length_ns);
        let (low, high) = (self.low.extreme(from_ns)?, self.high.extreme(from_ns)?);
        self.ranged_ns = now_ns;
        Some((low, high))
    }

    pub fn encode(&self, writer: &mut Writer) {
        self.low.encode(writer);
        self.high.encode(writer);
    }

    /// # Errors
    /// A sentence when a deque is larger than its bound.
    pub fn decode(reader: &mut Reader<'_>, length_ns: i64) -> Result<Self, String> {
        let (low, high) = (Deque::decode(reader)?, Deque::decode(reader)?);
        Ok(Extremes { low, high, ..Extremes::new(length_ns) })
    }
}

/// `|p − x| × 10,000 > threshold × base`, where the base is x itself, or the whole range of an outcome market in
/// ticks (P7.2).
#[inline]
pub fn moves_beyond(price: i64, extreme: i64, threshold_bp: i64, range_ticks: Option<i64>) -> bool {
    let (base, moved) = (range_ticks.unwrap_or(extreme), (price - extreme).abs());
    match (moved.checked_mul(10_000), threshold_bp.checked_mul(base)) {
        (Some(moved), Some(most)) => moved > most,
        _ => i128::from(moved) * 10_000 > i128::from(threshold_bp) * i128::from(base),
    }
}

/// The move against an extreme in ppm of the base, rounded up; 0 without a base.
pub fn move_ppm(price: i64, extreme: i64, range_ticks: Option<i64>) -> i64 {
    let (base, moved) = (range_ticks.unwrap_or(extreme), (price - extreme).abs());
    if base <= 0 || moved == 0 {
        return 0;
    }
    if let Some(scaled) = moved.checked_mul(1_000_000) {
        return (scaled as u64).div_ceil(base as u64) as i64;
    }
    let (scaled, base) = (i128::from(moved) * 1_000_000, i128::from(base));
    ((scaled + base - 1) / base).min(i128::from(i64::MAX)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_8_golden_moves() {
        assert!(!moves_beyond(10_500, 10_000, 500, None));
        assert!(moves_beyond(10_501, 10_000, 500, None));
        // Outcome 0.010 → 0.020 of 1,000 ticks: absolute 0.010 is below 0.05.
        assert!(!moves_beyond(20, 10, 500, Some(1_000)));
        assert!(!moves_beyond(60, 10, 500, Some(1_000)));
        assert!(moves_beyond(61, 10, 500, Some(1_000)));
    }

    #[test]
    fn p7_2_the_extremes_of_prices_are_compared_without_overflow() {
        // A twentieth of the base is exactly 5 %.
        let base = i64::MAX / 20 * 20;
        assert!(!moves_beyond(base, base - base / 20, 500, Some(base)));
        assert!(moves_beyond(base, base - base / 20 - 1, 500, Some(base)));
    }

    #[test]
    fn p7_2_a_price_that_is_seen_again_counts_from_then_on() {
        let mut window = Extremes::new(10);
        window.push(0, 7);
        window.push(8, 7);
        assert_eq!(window.range(18), Some((7, 7)));
        assert_eq!(window.range(19), None);
    }

    #[test]
    fn p7_2_the_window_knows_exactly_the_extremes_of_the_samples_in_it() {
        let (mut window, mut all) = (Extremes::new(50), Vec::new());
        let mut state = 7_u64;
        for step in 0..5_000_i64 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let (now, value) = (step * 3 / 2, (state >> 40) as i64 % 1_000);
            window.push(now, value);
            all.push((now, value));
            let inside = || all.iter().filter(|(at, _)| *at >= now - 50).map(|(_, value)| *value);
            assert_eq!(window.range(now), Some((inside().min().unwrap(), inside().max().unwrap())));
        }
        assert_eq!(window.range(1_000_000), None);
    }

    #[test]
    fn p7_2_several_samples_of_one_moment_leave_what_samples_one_by_one_would() {
        let (mut window, mut plain) = (Extremes::new(50), Extremes::new(50));
        let mut state = 11_u64;
        let mut now = 0;
        for step in 0..20_000 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let random = (state >> 33) as i64;
            // Half of the moments repeat; now and then everything is too old.
            now += [0, 0, 0, 7, 13, 90][(random % 6) as usize];
            // Forgets when it was asked last, so that it looks at every sample.
            plain.ranged_ns = i64::MIN;
            if random % 5 == 0 {
                assert_eq!(window.range(now), plain.range(now), "step {step}");
            } else {
                window.push(now, random % 40);
                plain.push(now, random % 40);
            }
            assert_eq!((&window.low, &window.high), (&plain.low, &plain.high), "step {step}");
        }
    }

    #[test]
    fn a_full_window_keeps_its_extreme_rather_than_losing_it() {
        let mut window = Extremes::new(1_000_000_000);
        let count = MAX_WINDOW_SAMPLES as i64 + 500;
        (0..count).for_each(|step| window.push(step, 1_000 + step));
        assert_eq!(window.range(count), Some((1_000, 1_000 + count - 1)));
    }
}
