//! The time-weighted average of an index (protocol P2.3.1: the delisting price).

use crate::codec::{Reader, Writer};
use crate::limits::{MAX_TWAP_NS, SECOND_NS};

/// Sums are kept at whole minutes; the oldest that a window of an hour can start at is 61 minutes back.
const GRID_NS: i64 = 60 * SECOND_NS;
const MARKS: usize = 64;

/// Sum of index × ns since the first index, and its values at the last [`MARKS`] whole minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twap {
    sum: i128,
    /// The index that counts from `from_ns` on; 0 = there was none yet.
    value: i64,
    from_ns: i64,
    /// First whole minute with a sum.
    first_mark: i64,
    /// Sum at minute m in place m modulo [`MARKS`]; empty until the first index.
    marks: Vec<i128>,
}

impl Twap {
    /// The index is `value` from now on. Time never goes back.
    pub fn set(&mut self, value: i64, now_ns: i64) {
        if self.value == 0 {
            self.first_mark = -((-now_ns).div_euclid(GRID_NS));
            self.marks = vec![0; MARKS];
        } else {
            let last = now_ns.div_euclid(GRID_NS);
            let first = (self.from_ns.div_euclid(GRID_NS) + 1).max(last - MARKS as i64 + 1);
            for mark in first..=last {
                self.marks[mark.rem_euclid(MARKS as i64) as usize] = self.sum_at(mark * GRID_NS);
            }
            self.sum = self.sum_at(now_ns);
        }
        self.value = value;
        self.from_ns = now_ns;
    }

    /// Present value, since when and the sum up to then; the first whole minute; whole minutes with their sums.
    pub(crate) fn sums(&self) -> ((i64, i64, i128), i64, impl Iterator<Item = (i64, i128)> + '_) {
        let last = self.from_ns.div_euclid(GRID_NS);
        let first = self.first_mark.max(last - MARKS as i64 + 1);
        let known = if self.value == 0 { 0..0 } else { first..last + 1 };
        let sums = known.map(|mark| (mark, self.marks[mark.rem_euclid(MARKS as i64) as usize]));
        ((self.value, self.from_ns, self.sum), self.first_mark, sums)
    }

    /// Sum at a moment not before the last change.
    fn sum_at(&self, at_ns: i64) -> i128 {
        self.sum + i128::from(self.value) * (i128::from(at_ns) - i128::from(self.from_ns))
    }

    /// Exact mean, rounded down, over the window that ends now and starts at the last whole minute that is at least
    /// `window_ns` (at most an hour) back, and the length of that window in ns. None when the index is younger.
    pub fn mean(&self, window_ns: i64, now_ns: i64) -> Option<(i64, i64)> {
        if self.value == 0 || !(1..=MAX_TWAP_NS).contains(&window_ns) || now_ns < self.from_ns {
            return None;
        }
        let mark = now_ns.checked_sub(window_ns)?.div_euclid(GRID_NS);
        if mark < self.first_mark {
            return None;
        }
        let start_ns = mark * GRID_NS;
        let start = match start_ns {
            moment if moment >= self.from_ns => self.sum_at(moment),
            _ => self.marks[mark.rem_euclid(MARKS as i64) as usize],
        };
        let length_ns = now_ns - start_ns;
        Some(((self.sum_at(now_ns) - start).div_euclid(i128::from(length_ns)) as i64, length_ns))
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.i64(self.value);
        writer.i64(self.from_ns);
        writer.i64(self.first_mark);
        write_i128(self.sum, writer);
        writer.len(self.marks.len());
        self.marks.iter().for_each(|&mark| write_i128(mark, writer));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let (value, from_ns, first_mark) = (reader.i64()?, reader.i64()?, reader.i64()?);
        let sum = read_i128(reader)?;
        let count = reader.len(16)?;
        if count != if value == 0 { 0 } else { MARKS } {
            return Err(format!("{count} sums of an index"));
        }
        let marks = (0..count).map(|_| read_i128(reader)).collect::<Result<_, _>>()?;
        Ok(Twap { sum, value, from_ns, first_mark, marks })
    }
}

fn write_i128(value: i128, writer: &mut Writer) {
    writer.raw(&value.to_le_bytes());
}

fn read_i128(reader: &mut Reader<'_>) -> Result<i128, String> {
    Ok(i128::from_le_bytes(reader.array()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_index_younger_than_the_window_has_no_mean() {
        let mut twap = Twap::default();
        assert_eq!(twap.mean(MAX_TWAP_NS, 10 * MAX_TWAP_NS), None);
        twap.set(100, 30 * SECOND_NS);
        // The first whole minute with a sum is at 60 s.
        assert_eq!(twap.mean(60 * SECOND_NS, 119 * SECOND_NS), None);
        assert_eq!(twap.mean(60 * SECOND_NS, 120 * SECOND_NS), Some((100, 60 * SECOND_NS)));
        assert_eq!(twap.mean(MAX_TWAP_NS + 1, 10 * MAX_TWAP_NS), None);
        assert_eq!(twap.mean(0, 120 * SECOND_NS), None);
    }

    #[test]
    fn the_mean_weighs_by_time_and_rounds_down() {
        let mut twap = Twap::default();
        twap.set(100, 0);
        twap.set(200, MAX_TWAP_NS + 1_800 * SECOND_NS);
        let (mean, length_ns) = twap.mean(MAX_TWAP_NS, 2 * MAX_TWAP_NS).expect("old enough");
        assert_eq!((mean, length_ns), (150, MAX_TWAP_NS));
        twap.set(201, 2 * MAX_TWAP_NS - 1);
        assert_eq!(twap.mean(MAX_TWAP_NS, 2 * MAX_TWAP_NS), Some((150, MAX_TWAP_NS)));
    }

    proptest! {
        /// Against a sum over every nanosecond's owner, from the list of changes.
        #[test]
        fn the_mean_equals_the_one_over_the_list_of_all_changes(
            changes in proptest::collection::vec((1..4_000_000_000_000_000_000_i64, 1..400_i64), 1..120),
            window_s in 1..=3_600_i64,
            after_s in 0..8_000_i64,
        ) {
            let (mut twap, mut now, mut list) = (Twap::default(), 7 * SECOND_NS, Vec::new());
            for (value, wait_s) in changes {
                twap.set(value, now);
                list.push((now, value));
                now += wait_s * SECOND_NS;
            }
            now += after_s * SECOND_NS;
            let mut writer = Writer::default();
            twap.encode(&mut writer);
            let twap = Twap::decode(&mut Reader::new(&writer.bytes)).expect("its own encoding");
            match twap.mean(window_s * SECOND_NS, now) {
                None => prop_assert!(now - window_s * SECOND_NS < list[0].0 + GRID_NS),
                Some((mean, length_ns)) => {
                    prop_assert!((window_s * SECOND_NS..window_s * SECOND_NS + GRID_NS).contains(&length_ns));
                    let start = now - length_ns;
                    let ends = list.iter().skip(1).map(|&(from, _)| from).chain([now]);
                    let sum: i128 = list.iter().zip(ends).map(|(&(from, value), end)| {
                        i128::from(value) * i128::from((end - from.max(start)).max(0))
                    }).sum();
                    prop_assert_eq!(i128::from(mean), sum.div_euclid(i128::from(length_ns)));
                }
            }
        }
    }
}
