//! What left within the last 24 hours (protocol P9.10), with bounded memory.

use std::collections::VecDeque;

use crate::codec::{Reader, Writer};
use crate::limits::{DAY_NS, OUTFLOW_BUCKETS, OUTFLOW_BUCKET_NS};

/// A rolling sum over buckets of 15 minutes. A bucket counts whole until its last moment is 24 h ago, so the sum is
/// never below the exact one and at most 15 minutes behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// (number of the bucket, micro-units), ascending, none empty.
    buckets: VecDeque<(i64, i64)>,
}

/// The bucket of a moment.
#[inline]
pub fn bucket_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(OUTFLOW_BUCKET_NS)
}

/// The first moment at which a bucket no longer counts.
fn expiry_ns(bucket: i64) -> i64 {
    bucket.saturating_add(OUTFLOW_BUCKETS).saturating_mul(OUTFLOW_BUCKET_NS)
}

impl Window {
    fn live(&self, now_ns: i64) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.buckets.iter().copied().filter(move |&(bucket, _)| expiry_ns(bucket) > now_ns)
    }

    /// Micro-units that count at this moment.
    pub fn used(&self, now_ns: i64) -> i128 {
        self.live(now_ns).map(|(_, amount)| i128::from(amount)).sum()
    }

    /// Whether `amount` may leave now without more than `cap` within the window; if not, when it may at the
    /// earliest as things are.
    ///
    /// An amount above the whole cap would never fit. It goes alone: a day after it was asked for, when nothing else
    /// left within the window.
    pub fn admit(&self, amount: i64, cap: i64, requested_ns: i64, now_ns: i64) -> Result<(), i64> {
        let mut over = self.used(now_ns) + i128::from(amount) - i128::from(cap);
        if over <= 0 {
            return Ok(());
        }
        if amount > cap {
            let empty_ns = self.live(now_ns).last().map_or(now_ns, |(bucket, _)| expiry_ns(bucket));
            let earliest_ns = requested_ns.saturating_add(DAY_NS).max(empty_ns);
            return if earliest_ns <= now_ns { Ok(()) } else { Err(earliest_ns) };
        }
        for (bucket, left) in self.live(now_ns) {
            over -= i128::from(left);
            if over <= 0 {
                return Err(expiry_ns(bucket));
            }
        }
        unreachable!("an amount within the cap fits an empty window")
    }

    /// When `ahead` and everything before it will have left, if nothing changes: an estimate for the owner.
    pub fn estimate(&self, ahead: i128, cap: i64, now_ns: i64) -> i64 {
        let mut over = self.used(now_ns) + ahead - i128::from(cap);
        let mut at_ns = now_ns;
        for (bucket, left) in self.live(now_ns) {
            if over <= 0 {
                return at_ns;
            }
            over -= i128::from(left);
            at_ns = expiry_ns(bucket);
        }
        let days = (over.max(0) + i128::from(cap.max(1)) - 1) / i128::from(cap.max(1));
        at_ns.saturating_add((days.min(MAX_ESTIMATE_DAYS) as i64) * DAY_NS)
    }

    /// Counts what leaves. Forgets what no longer counts. Returns whether a bucket was opened for it.
    pub fn add(&mut self, amount: i64, now_ns: i64) -> bool {
        self.forget(now_ns);
        let bucket = bucket_of(now_ns);
        match self.buckets.back_mut() {
            Some((last, sum)) if *last == bucket => {
                *sum = sum.saturating_add(amount);
                false
            }
            _ => {
                self.buckets.push_back((bucket, amount));
                true
            }
        }
    }

    pub fn forget(&mut self, now_ns: i64) {
        while self.buckets.front().is_some_and(|&(bucket, _)| expiry_ns(bucket) <= now_ns) {
            self.buckets.pop_front();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.buckets.len());
        for &(bucket, amount) in &self.buckets {
            writer.i64(bucket);
            writer.i64(amount);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut window = Window::default();
        for _ in 0..reader.len(16)? {
            let (bucket, amount) = (reader.i64()?, reader.i64()?);
            let ascending = window.buckets.back().is_none_or(|&(last, _)| last < bucket);
            if !ascending || amount < 1 || window.buckets.len() as i64 >= OUTFLOW_BUCKETS {
                return Err(format!("outflow of {amount} in bucket {bucket}"));
            }
            window.buckets.push_back((bucket, amount));
        }
        Ok(window)
    }
}

/// An estimate names no moment further away.
const MAX_ESTIMATE_DAYS: i128 = 365;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: i64 = 60_000_000_000;

    #[test]
    fn an_amount_fits_up_to_the_cap_and_waits_for_the_bucket_that_frees_enough() {
        let mut window = Window::default();
        window.add(40, 0);
        window.add(50, 20 * MINUTE_NS);
        assert_eq!(window.admit(10, 100, 0, 20 * MINUTE_NS), Ok(()));
        assert_eq!(window.admit(11, 100, 0, 20 * MINUTE_NS), Err(DAY_NS + 15 * MINUTE_NS));
        assert_eq!(window.admit(60, 100, 0, 20 * MINUTE_NS), Err(DAY_NS + 30 * MINUTE_NS));
        assert_eq!(window.admit(11, 100, 0, DAY_NS + 15 * MINUTE_NS - 1), Err(DAY_NS + 15 * MINUTE_NS));
        assert_eq!(window.admit(11, 100, 0, DAY_NS + 15 * MINUTE_NS), Ok(()));
    }

    #[test]
    fn an_amount_above_the_whole_cap_goes_alone_a_day_later() {
        let mut window = Window::default();
        assert_eq!(window.admit(101, 100, 5, 5), Err(DAY_NS + 5));
        assert_eq!(window.admit(101, 100, 5, DAY_NS + 5), Ok(()));
        window.add(1, DAY_NS);
        assert_eq!(window.admit(101, 100, 5, DAY_NS + 5), Err(2 * DAY_NS + 15 * MINUTE_NS));
    }

    #[test]
    fn memory_is_bounded_and_an_old_bucket_is_forgotten() {
        let mut window = Window::default();
        for minute in 0..5_000 {
            window.add(1, minute * MINUTE_NS);
            assert!(window.buckets.len() as i64 <= OUTFLOW_BUCKETS);
            let exact = (minute + 1).min(24 * 60);
            let used = window.used(minute * MINUTE_NS) as i64;
            assert!((exact..=exact + 15).contains(&used), "{used} of {exact}");
        }
    }

    #[test]
    fn the_estimate_counts_what_waits_ahead() {
        let mut window = Window::default();
        window.add(100, 0);
        assert_eq!(window.estimate(0, 100, 0), 0);
        assert_eq!(window.estimate(100, 100, 0), DAY_NS + 15 * MINUTE_NS);
        assert_eq!(window.estimate(250, 100, 0), 3 * DAY_NS + 15 * MINUTE_NS);
        assert_eq!(Window::default().estimate(1, 0, 7), 7 + DAY_NS);
    }
}
