//! Volume of a market against its own past: 60 s sum, moving average, robust z (P7.1 B3).
//!
//! Everything is integer: the average decays by a factor in ppb, and the z is compared without a division.

use crate::codec::{Reader, Writer};
use crate::limits::SECOND_NS;

/// Seconds of the window, and minutes of the past that the median is taken over.
const SLOTS: usize = 60;
/// Minutes that must be known before B3 can trip; fewer say nothing (as P12.1 has it).
const MIN_MINUTES: u32 = 30;
/// 2^(−60/3600) in ppb: the decay of one minute at a half-life of 3,600 s.
const DECAY_PPB: i128 = 988_514_020;
const PPB: i128 = 1_000_000_000;
/// $50,000 in micro.
const MIN_VOLUME: i64 = 50_000_000_000;
/// A robust z of 6, times 10^4.
const Z_E4: i128 = 60_000;
/// 1.4826 in 1e-4: scales a median absolute deviation to a standard deviation.
const MAD_SCALE_E4: i128 = 14_826;
const MINUTE: i64 = 60;

/// Volumes of one market in micro-quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Volume by second modulo 60, and their sum over the last 60 s.
    seconds: [i64; SLOTS],
    sum: i64,
    second: i64,
    /// Whole minutes by minute modulo 60, how many are known (at most 60), and their moving average.
    minutes: [i64; SLOTS],
    known: u32,
    average: i64,
    minute: i64,
    minute_sum: i64,
    /// Median and median absolute deviation of the known minutes; derived, found again when a minute ends.
    spread: Option<(i64, i64)>,
}

impl Default for Volume {
    fn default() -> Self {
        Volume {
            seconds: [0; SLOTS],
            sum: 0,
            second: i64::MIN,
            minutes: [0; SLOTS],
            known: 0,
            average: 0,
            minute: i64::MIN,
            minute_sum: 0,
            spread: None,
        }
    }
}

impl Volume {
    /// Adds a fill of `notional` micro-quote. Amortised O(1).
    #[inline(always)]
    pub fn add(&mut self, now_ns: i64, notional: i64) {
        self.advance(now_ns.div_euclid(SECOND_NS));
        let slot = self.second.rem_euclid(SLOTS as i64) as usize;
        self.seconds[slot] = self.seconds[slot].saturating_add(notional);
        self.sum = self.sum.saturating_add(notional);
        self.minute_sum = self.minute_sum.saturating_add(notional);
    }

    /// What exceeds the threshold (hundredths of the average), if everything that B3 asks for holds: the 60 s volume
    /// in hundredths of the average.
    pub fn excess(&mut self, threshold_e2: i64) -> Option<i64> {
        if self.sum < MIN_VOLUME || self.known < MIN_MINUTES {
            return None;
        }
        let (sum, average) = (i128::from(self.sum), i128::from(self.average));
        if sum * 100 <= i128::from(threshold_e2) * average {
            return None;
        }
        let (median, deviation) = self.spread();
        // No dispersion says nothing about what is unusual.
        let unusual = deviation > 0
            && (sum - i128::from(median)) * 10_000 * 10_000 >= Z_E4 * MAD_SCALE_E4 * i128::from(deviation);
        let multiple = if average == 0 { i128::from(i64::MAX) } else { (sum * 100 + average - 1) / average };
        unusual.then(|| multiple.min(i128::from(i64::MAX)) as i64)
    }

    fn spread(&mut self) -> (i64, i64) {
        if let Some(spread) = self.spread {
            return spread;
        }
        let known = self.known as usize;
        let mut values = self.minutes;
        let values = &mut values[..known];
        let median = median(values);
        values.iter_mut().for_each(|value| *value = (*value - median).abs());
        let spread = (median, self::median(values));
        self.spread = Some(spread);
        spread
    }

    /// Moves to a second; the window and the minutes in between pass.
    #[inline(always)]
    fn advance(&mut self, second: i64) {
        if second != self.second {
            self.pass_to(second);
        }
    }

    #[inline(never)]
    fn pass_to(&mut self, second: i64) {
        let minute = second.div_euclid(MINUTE);
        if self.second == i64::MIN {
            (self.second, self.minute) = (second, minute);
            return;
        }
        let passed = second - self.second;
        if passed >= SLOTS as i64 {
            self.seconds = [0; SLOTS];
            self.sum = 0;
        } else {
            for gone in self.second + 1..=second {
                let slot = gone.rem_euclid(SLOTS as i64) as usize;
                self.sum -= std::mem::take(&mut self.seconds[slot]);
            }
        }
        self.second = second;
        if minute != self.minute {
            self.end_minutes(minute);
        }
    }

    fn end_minutes(&mut self, minute: i64) {
        let empty = minute - self.minute - 1;
        self.end_minute(self.minute_sum);
        for _ in 0..empty.min(SLOTS as i64) {
            self.push_minute(0);
        }
        let decay = power_ppb(DECAY_PPB, empty);
        self.average = (i128::from(self.average) * decay / PPB) as i64;
        self.minute = minute;
        self.minute_sum = 0;
        self.spread = None;
    }

    fn end_minute(&mut self, volume: i64) {
        let mixed = i128::from(self.average) * DECAY_PPB + i128::from(volume) * (PPB - DECAY_PPB);
        // The first minute is the average of itself.
        self.average = if self.known == 0 { volume } else { (mixed / PPB) as i64 };
        self.push_minute(volume);
    }

    /// Keeps the last 60 minutes; their order does not matter to a median, so the oldest is always overwritten.
    fn push_minute(&mut self, volume: i64) {
        if (self.known as usize) < SLOTS {
            self.minutes[self.known as usize] = volume;
            self.known += 1;
            return;
        }
        self.minutes.copy_within(1.., 0);
        self.minutes[SLOTS - 1] = volume;
    }

    pub fn encode(&self, writer: &mut Writer) {
        self.seconds.iter().chain(&self.minutes).for_each(|&value| writer.i64(value));
        [self.second, self.average, self.minute, self.minute_sum].into_iter().for_each(|v| writer.i64(v));
        writer.u32(self.known);
    }

    /// Reads what [`Volume::encode`] wrote into volumes that were just made.
    ///
    /// # Errors
    /// A sentence when the minutes known are more than are kept.
    pub fn fill(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        for slot in 0..2 * SLOTS {
            let value = reader.i64()?;
            if slot < SLOTS {
                self.seconds[slot] = value;
                self.sum = self.sum.saturating_add(value);
            } else {
                self.minutes[slot - SLOTS] = value;
            }
        }
        self.second = reader.i64()?;
        self.average = reader.i64()?;
        self.minute = reader.i64()?;
        self.minute_sum = reader.i64()?;
        self.known = reader.u32()?;
        if self.known as usize > SLOTS {
            return Err(format!("{} minutes of volume", self.known));
        }
        Ok(())
    }
}

/// `factor^exponent` in ppb, floored at every multiplication.
fn power_ppb(mut factor: i128, mut exponent: i64) -> i128 {
    let mut product = PPB;
    while exponent > 0 && product > 0 {
        if exponent & 1 == 1 {
            product = product * factor / PPB;
        }
        factor = factor * factor / PPB;
        exponent >>= 1;
    }
    product
}

/// The lower middle of the values, which it sorts.
fn median(values: &mut [i64]) -> i64 {
    values.sort_unstable();
    values[(values.len() - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_040 * SECOND_NS;
    const DOLLAR: i64 = 1_000_000;

    /// An hour of minutes with about $10,000 each.
    fn usual() -> Volume {
        let mut volume = Volume::default();
        for minute in 0..60 {
            volume.add(START + minute * MINUTE * SECOND_NS, (9_500 + minute % 11 * 100) * DOLLAR);
        }
        volume
    }

    #[test]
    fn b3_needs_multiple_size_and_dispersion_at_once() {
        let mut volume = usual();
        let now = START + 60 * MINUTE * SECOND_NS;
        volume.add(now, 49_999 * DOLLAR);
        assert_eq!(volume.excess(300), None, "below $50,000");
        volume.add(now, DOLLAR);
        assert_eq!(volume.excess(600), None, "below the multiple");
        let multiple = volume.excess(400).expect("five times the usual volume");
        assert!((450..550).contains(&multiple), "{multiple}");
        let mut steady = Volume::default();
        (0..60).for_each(|minute| steady.add(START + minute * MINUTE * SECOND_NS, 10_000 * DOLLAR));
        steady.add(now, 500_000 * DOLLAR);
        assert_eq!(steady.excess(300), None, "no dispersion");
    }

    #[test]
    fn b3_says_nothing_before_thirty_minutes_are_known() {
        let mut volume = Volume::default();
        for minute in 0..30 {
            volume.add(START + minute * MINUTE * SECOND_NS, (minute + 1) * DOLLAR);
        }
        volume.add(START + 29 * MINUTE * SECOND_NS + SECOND_NS, 1_000_000 * DOLLAR);
        assert_eq!(volume.excess(300), None);
        volume.add(START + 30 * MINUTE * SECOND_NS, 0);
        assert!(volume.excess(300).is_some());
    }

    #[test]
    fn the_window_is_the_last_sixty_seconds() {
        let mut volume = Volume::default();
        volume.add(START, 5);
        volume.add(START + 59 * SECOND_NS, 7);
        assert_eq!(volume.sum, 12);
        volume.add(START + 60 * SECOND_NS, 0);
        assert_eq!(volume.sum, 7);
        volume.add(START + 1_000 * SECOND_NS, 1);
        assert_eq!(volume.sum, 1);
    }

    #[test]
    fn the_average_halves_in_an_hour_of_silence() {
        let mut volume = usual();
        let before = volume.average;
        volume.add(START + (60 + 60) * MINUTE * SECOND_NS, 0);
        let ratio = volume.average * 1_000 / before;
        assert!((490..=515).contains(&ratio), "{ratio}");
        volume.add(START + (1 << 32) * SECOND_NS, 0);
        assert_eq!(volume.average, 0);
    }

    #[test]
    fn a_snapshot_of_volumes_is_exact() {
        let mut volume = usual();
        volume.spread();
        let mut writer = Writer::default();
        volume.encode(&mut writer);
        let mut copy = Volume::default();
        copy.fill(&mut Reader::new(&writer.bytes)).unwrap();
        assert_eq!(Volume { spread: None, ..volume }, copy);
    }

    /// A volume of which everything that B3 looks at is given.
    fn given(sum: i64, average: i64, median: i64, deviation: i64) -> Volume {
        Volume { sum, average, known: 60, spread: Some((median, deviation)), ..Volume::default() }
    }

    #[test]
    fn b3_trips_above_its_multiple_and_at_a_robust_z_of_six() {
        let (sum, average) = (60_000 * DOLLAR, 12_000 * DOLLAR);
        assert_eq!(given(sum, average, 1, 1).excess(500), None, "exactly five times the average");
        assert_eq!(given(sum + 1, average, 1, 1).excess(500), Some(501));
        // 6 times 1.4826 times a deviation of $5,000 are $44,478.
        let (deviation, median) = (5_000 * DOLLAR, (60_000 - 44_478) * DOLLAR);
        assert_eq!(given(sum, 10_000 * DOLLAR, median, deviation).excess(500), Some(600));
        assert_eq!(given(sum, 10_000 * DOLLAR, median + 1, deviation).excess(500), None);
        let least = 50_000 * DOLLAR;
        assert!(given(least, DOLLAR, 1, 1).excess(500).is_some());
        assert_eq!(given(least - 1, DOLLAR, 1, 1).excess(500), None);
    }

    #[test]
    fn a_minute_enters_the_average_by_its_weight() {
        let mut volume = Volume::default();
        volume.add(START, 10_000_000_000);
        volume.add(START + MINUTE * SECOND_NS, 20_000_000_000);
        volume.add(START + 2 * MINUTE * SECOND_NS, 0);
        // 10,000 · 0.98851402 + 20,000 · 0.01148598.
        assert_eq!(volume.average, 10_114_859_800);
    }
}
