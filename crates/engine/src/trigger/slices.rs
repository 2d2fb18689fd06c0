//! The sizes of time slices (protocol P2.5.6).

/// A slice never exceeds this many times its base size.
const CATCH_UP: i64 = 3;

/// Lots of the slices before slice `index`: `floor(total × index / slices)`.
fn before(total: i64, slices: u16, index: u16) -> i64 {
    (i128::from(total) * i128::from(index) / i128::from(slices)) as i64
}

/// Base size of slice `index` (from 0); over all slices they sum to `total`.
pub fn base_size(total: i64, slices: u16, index: u16) -> i64 {
    before(total, slices, index + 1) - before(total, slices, index)
}

/// The smallest base size of all slices.
pub fn smallest(total: i64, slices: u16) -> i64 {
    total / i64::from(slices)
}

/// What slice `index` sends when `filled` lots traded before: its base size and the shortfall, at most three times
/// the base size.
pub fn to_send(total: i64, slices: u16, index: u16, filled: i64) -> i64 {
    let behind = before(total, slices, index + 1) - filled;
    behind.clamp(0, CATCH_UP * base_size(total, slices, index))
}

/// The slice that is sent at `now_ns` when slice `sent` was due at `next_ns`: the latest whose time has come.
pub fn index_at(sent: u16, slices: u16, next_ns: i64, interval_ns: i64, now_ns: i64) -> u16 {
    let late = now_ns.saturating_sub(next_ns).max(0) / interval_ns.max(1);
    (i64::from(sent) + late).min(i64::from(slices) - 1) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t17_ten_lots_in_four_slices_are_2_3_2_3() {
        let sizes: Vec<i64> = (0..4).map(|index| base_size(10, 4, index)).collect();
        assert_eq!(sizes, [2, 3, 2, 3]);
    }

    #[test]
    fn t17_base_sizes_sum_to_the_total_and_differ_by_at_most_one_lot() {
        for (total, slices) in [(2, 2), (100, 7), (101, 100), (1 << 40, 99), (999_983, 13)] {
            let sizes: Vec<i64> = (0..slices).map(|index| base_size(total, slices, index)).collect();
            assert_eq!(sizes.iter().sum::<i64>(), total);
            let (least, most) = (*sizes.iter().min().unwrap(), *sizes.iter().max().unwrap());
            assert!(most - least <= 1 && least == smallest(total, slices));
        }
    }

    #[test]
    fn a_shortfall_is_carried_up_to_three_times_the_base_size() {
        assert_eq!(to_send(100, 10, 0, 0), 10);
        assert_eq!(to_send(100, 10, 1, 4), 16);
        assert_eq!(to_send(100, 10, 5, 0), 30);
        assert_eq!(to_send(100, 10, 5, 60), 0);
    }
}
