//! How an unexplained decrease of a level is shared out among the mirror's orders (T15.2 rule 3).

use crate::queues::Entry;

/// What a cancel that nobody saw removes from a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelModel {
    /// From ahead and behind of own orders in proportion to what lies there.
    Prorata,
    /// From behind first.
    Pessimistic,
}

/// How many lots a decrease removes from each mirror order of a level, and where the order lies in it.
///
/// The level is cut into segments by the own orders in it; [`segment_cuts`] shares the decrease out among them. Inside
/// a segment the back goes first: no own order can tell the difference. Never removes more than the mirror has.
pub fn cancel_shares(entries: &[Entry], excess_lots: i64, model: CancelModel) -> Vec<(usize, i64)> {
    let segments: Vec<_> = segments(entries).collect();
    let sizes: Vec<i64> = segments
        .iter()
        .map(|segment| {
            entries[segment.clone()].iter().fold(0_i64, |sum, entry| sum.saturating_add(entry.lots))
        })
        .collect();
    let mut shares = Vec::new();
    for (segment, mut left) in segments.into_iter().zip(segment_cuts(&sizes, excess_lots, model)) {
        for place in segment.rev() {
            if left == 0 {
                break;
            }
            let part = left.min(entries[place].lots);
            shares.push((place, part));
            left -= part;
        }
    }
    shares
}

/// Places of the mirror orders between own orders, front first; there is always one more segment than own orders.
fn segments(entries: &[Entry]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut start = 0;
    let ends = entries.iter().enumerate().filter(|(_, entry)| !entry.mirror).map(|(place, _)| place);
    ends.chain([entries.len()]).map(move |end| {
        let segment = start..end;
        start = end + 1;
        segment
    })
}

/// Lots to remove from each segment; front segment first. They sum to min(excess, all lots).
pub fn segment_cuts(sizes: &[i64], excess_lots: i64, model: CancelModel) -> Vec<i64> {
    let total: i128 = sizes.iter().map(|&size| i128::from(size)).sum();
    let excess = i128::from(excess_lots).min(total);
    if total == 0 {
        return vec![0; sizes.len()];
    }
    let share = |&size: &i64| match model {
        CancelModel::Prorata => excess * i128::from(size) / total,
        CancelModel::Pessimistic => 0,
    };
    let mut cuts: Vec<i128> = sizes.iter().map(share).collect();
    let mut rest = excess - cuts.iter().sum::<i128>();
    for (cut, &size) in cuts.iter_mut().zip(sizes).rev() {
        let part = rest.min(i128::from(size) - *cut);
        *cut += part;
        rest -= part;
    }
    // no cut is larger than its size
    cuts.into_iter().map(|cut| cut as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::{segment_cuts, CancelModel};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cuts_sum_to_the_excess_and_never_exceed_a_segment(
            sizes in prop::collection::vec(0_i64..i64::MAX / 8, 1..7),
            excess in 0_i64..i64::MAX,
            pessimistic: bool,
        ) {
            let model = if pessimistic { CancelModel::Pessimistic } else { CancelModel::Prorata };
            let cuts = segment_cuts(&sizes, excess, model);
            prop_assert_eq!(cuts.iter().sum::<i64>(), excess.min(sizes.iter().sum()));
            prop_assert!(cuts.iter().zip(&sizes).all(|(&cut, &size)| 0 <= cut && cut <= size));
        }
    }

    #[test]
    fn prorata_cuts_by_size_and_pessimistic_from_behind() {
        assert_eq!(segment_cuts(&[30, 10], 20, CancelModel::Prorata), [15, 5]);
        assert_eq!(segment_cuts(&[30, 10], 20, CancelModel::Pessimistic), [10, 10]);
        assert_eq!(segment_cuts(&[1, 1, 1], 1, CancelModel::Prorata), [0, 0, 1]);
    }
}
