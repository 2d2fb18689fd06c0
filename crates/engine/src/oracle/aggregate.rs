//! From quotes to an index: gates, weighted median, confidence (protocol P6.1.1, P6.1.2, P6.1.5). Pure functions.

use super::gate;
use crate::limits::MAX_SOURCES;

/// A source further from the median than this is an outlier, unless all are spread that wide.
const OUTLIER_PPM: u32 = 50_000;
const OUTLIER_MADS: i128 = 6;

/// What one source says, and the first gate that it does not pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// Micro-quote per whole unit; above 0 unless the gate is MISSING.
    pub value: i64,
    /// Same unit, at least 0.
    pub confidence: i64,
    pub weight: u8,
    pub gate: u8,
}

/// The limits of a feed that aggregation needs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Relative limits are absolute, of a payout of 1,000,000 (P6.1.5).
    pub probability: bool,
    /// Largest confidence over value in ppm.
    pub max_confidence_ppm: u32,
    /// Largest deviation between two sources in bp.
    pub max_deviation_bp: u32,
}

/// What the passing sources give together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Weighted median.
    pub value: i64,
    pub confidence: i64,
    /// Lowest and highest passing value.
    pub low: i64,
    pub high: i64,
    pub passing: u8,
}

impl Limits {
    /// Whether `part` is more than `ppm` of `whole`, on a probability feed of the payout.
    pub fn exceeds(&self, part: i64, whole: i64, ppm: u32) -> bool {
        let whole = if self.probability { 1_000_000 } else { whole };
        i128::from(part) * 1_000_000 > i128::from(ppm) * i128::from(whole)
    }

    /// Whether the confidence of a value is too wide to use.
    pub fn unsure(&self, confidence: i64, value: i64) -> bool {
        self.exceeds(confidence, value, self.max_confidence_ppm)
    }

    /// Whether two passing sources are further apart than the limit; measured on the lower one.
    pub fn apart(&self, low: i64, high: i64) -> bool {
        self.exceeds(high - low, low, self.max_deviation_bp * 100)
    }
}

/// Closes the remaining gates and gives the index of the sources that pass; None when none does.
///
/// At most [`MAX_SOURCES`] quotes. A quote whose gate is not PASS on entry keeps it and is left out.
pub fn aggregate(quotes: &mut [Quote], limits: &Limits) -> Option<Index> {
    debug_assert!(quotes.len() <= MAX_SOURCES);
    for quote in quotes.iter_mut().filter(|quote| quote.gate == gate::PASS) {
        if limits.unsure(quote.confidence, quote.value) {
            quote.gate = gate::CONFIDENCE;
        }
    }
    exclude_outliers(quotes, limits);
    let (mut passing, mut count) = ([(0, 0, 0); MAX_SOURCES], 0);
    for quote in quotes.iter().filter(|quote| quote.gate == gate::PASS) {
        passing[count] = (quote.value, u32::from(quote.weight), quote.confidence);
        count += 1;
    }
    let passing = &mut passing[..count];
    passing.sort_unstable();
    let (low, high) = (passing.first()?.0, passing.last()?.0);
    let value = weighted_median(passing.iter().map(|&(value, weight, _)| (value, weight)))?;
    let spread = deviation(passing.iter().map(|&(value, _, _)| value), value);
    passing.sort_unstable_by_key(|&(value, weight, confidence)| (confidence, value, weight));
    let confidence = weighted_median(passing.iter().map(|&(_, weight, confidence)| (confidence, weight)))?;
    Some(Index {
        value,
        confidence: confidence.max(spread_confidence(spread)),
        low,
        high,
        passing: count as u8,
    })
}

/// Sources that are further from the median than max(5 %, 6·MAD) do not count.
fn exclude_outliers(quotes: &mut [Quote], limits: &Limits) {
    let (mut values, mut count) = ([0; MAX_SOURCES], 0);
    for quote in quotes.iter().filter(|quote| quote.gate == gate::PASS) {
        values[count] = quote.value;
        count += 1;
    }
    let values = &mut values[..count];
    values.sort_unstable();
    let Some(centre) = median(values) else {
        return;
    };
    let spread = deviation(values.iter().copied(), centre);
    for quote in quotes.iter_mut().filter(|quote| quote.gate == gate::PASS) {
        let distance = (quote.value - centre).abs();
        let wide = i128::from(distance) > OUTLIER_MADS * i128::from(spread);
        if wide && limits.exceeds(distance, centre, OUTLIER_PPM) {
            quote.gate = gate::OUTLIER;
        }
    }
}

/// Middle of ascending values; of two middles the mean, rounded down.
fn median(ascending: &[i64]) -> Option<i64> {
    let (low, high) = (ascending.len().checked_sub(1)? / 2, ascending.len() / 2);
    Some(mean(ascending[low], ascending[high]))
}

/// Mean rounded down; neither is negative.
fn mean(a: i64, b: i64) -> i64 {
    ((i128::from(a) + i128::from(b)) / 2) as i64
}

/// Median absolute deviation from `centre` of at most [`MAX_SOURCES`] values.
fn deviation(values: impl Iterator<Item = i64>, centre: i64) -> i64 {
    let (mut distances, mut count) = ([0; MAX_SOURCES], 0);
    for value in values {
        distances[count] = (value - centre).abs();
        count += 1;
    }
    let distances = &mut distances[..count];
    distances.sort_unstable();
    median(distances).unwrap_or(0)
}

/// `ceil(1.4826 · MAD)`: the standard deviation that this spread would have.
fn spread_confidence(spread: i64) -> i64 {
    ((i128::from(spread) * 14_826 + 9_999) / 10_000) as i64
}

/// Weighted median of (value, weight) in ascending order; at an exact half the mean of both middles, rounded down.
fn weighted_median(ascending: impl Iterator<Item = (i64, u32)> + Clone) -> Option<i64> {
    let total: u32 = ascending.clone().map(|(_, weight)| weight).sum();
    let (mut below, mut middle) = (0, None);
    for (value, weight) in ascending {
        if let Some(lower) = middle {
            return Some(mean(lower, value));
        }
        below += weight;
        match (2 * below).cmp(&total) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => middle = Some(value),
            std::cmp::Ordering::Greater => return Some(value),
        }
    }
    middle
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASSET: Limits = Limits { probability: false, max_confidence_ppm: 10_000, max_deviation_bp: 200 };
    const PROBABILITY: Limits = Limits { probability: true, ..ASSET };

    fn quotes(values: &[(i64, i64, u8)]) -> Vec<Quote> {
        let quote = |&(value, confidence, weight)| Quote { value, confidence, weight, gate: gate::PASS };
        values.iter().map(quote).collect()
    }

    fn index_of(values: &[(i64, i64, u8)]) -> Index {
        aggregate(&mut quotes(values), &ASSET).expect("a source passes")
    }

    fn gates_of(values: &[(i64, i64, u8)], limits: &Limits) -> Vec<u8> {
        let mut quotes = quotes(values);
        aggregate(&mut quotes, limits);
        quotes.iter().map(|quote| quote.gate).collect()
    }

    #[test]
    fn the_index_is_the_weighted_median() {
        assert_eq!(index_of(&[(100_000, 0, 34), (101_000, 0, 33), (102_000, 0, 33)]).value, 101_000);
        assert_eq!(index_of(&[(100_000, 0, 60), (101_000, 0, 20), (102_000, 0, 20)]).value, 100_000);
    }

    #[test]
    fn at_an_exact_half_the_mean_of_both_middles_is_rounded_down() {
        assert_eq!(index_of(&[(100_000, 0, 50), (100_003, 0, 50)]).value, 100_001);
        assert_eq!(index_of(&[(100_000, 0, 25), (100_010, 0, 25), (100_021, 0, 50)]).value, 100_015);
        // Half of the weight that passes, not of the whole hundred.
        assert_eq!(index_of(&[(100_000, 0, 33), (100_010, 0, 33)]).value, 100_005);
    }

    #[test]
    fn confidence_is_the_larger_of_the_spread_and_the_sources_own() {
        // Distances 0, 1,000, 1,000: MAD 1,000, ceil(1,482.6).
        let spread = index_of(&[(100_000, 10, 34), (101_000, 20, 33), (102_000, 30, 33)]);
        assert_eq!(spread.confidence, 1_483);
        let own = index_of(&[(100_000, 10, 34), (100_000, 700, 33), (100_000, 900, 33)]);
        assert_eq!(own.confidence, 700);
    }

    #[test]
    fn confidence_above_one_percent_closes_the_gate_and_exactly_one_percent_does_not() {
        let gates = gates_of(&[(100_000, 1_000, 34), (100_000, 1_001, 33), (100_000, 0, 33)], &ASSET);
        assert_eq!(gates, [gate::PASS, gate::CONFIDENCE, gate::PASS]);
        let gates = gates_of(&[(100_000, 10_000, 50), (100_000, 10_001, 50)], &PROBABILITY);
        assert_eq!(gates, [gate::PASS, gate::CONFIDENCE]);
    }

    #[test]
    fn a_source_beyond_five_percent_of_the_median_is_an_outlier_unless_all_are_spread() {
        let gates = gates_of(&[(100_000, 0, 34), (100_000, 0, 33), (105_001, 0, 33)], &ASSET);
        assert_eq!(gates, [gate::PASS, gate::PASS, gate::OUTLIER]);
        let gates = gates_of(&[(100_000, 0, 34), (100_000, 0, 33), (105_000, 0, 33)], &ASSET);
        assert_eq!(gates, [gate::PASS; 3]);
        // Median 100,000, MAD 2,000: 12,000 is six times as much.
        let gates = gates_of(&[(98_000, 0, 34), (100_000, 0, 33), (112_000, 0, 33)], &ASSET);
        assert_eq!(gates, [gate::PASS; 3]);
        let gates = gates_of(&[(98_000, 0, 34), (100_000, 0, 33), (112_001, 0, 33)], &ASSET);
        assert_eq!(gates, [gate::PASS, gate::PASS, gate::OUTLIER]);
    }

    #[test]
    fn outliers_are_measured_from_those_that_pass_alone() {
        let mut all = quotes(&[
            (100_000, 0, 20),
            (100_100, 0, 20),
            (200_000, 0, 20),
            (200_000, 0, 20),
            (200_000, 0, 20),
        ]);
        all[2..].iter_mut().for_each(|quote| quote.gate = gate::STALE);
        assert_eq!(aggregate(&mut all, &ASSET).map(|index| (index.value, index.passing)), Some((100_050, 2)));
    }

    #[test]
    fn on_probability_feeds_limits_are_absolute() {
        let gates = gates_of(&[(10_000, 0, 34), (10_000, 0, 33), (60_000, 0, 33)], &PROBABILITY);
        assert_eq!(gates, [gate::PASS; 3]);
        let gates = gates_of(&[(10_000, 0, 34), (10_000, 0, 33), (60_001, 0, 33)], &PROBABILITY);
        assert_eq!(gates, [gate::PASS, gate::PASS, gate::OUTLIER]);
        assert!(!PROBABILITY.apart(10_000, 30_000) && PROBABILITY.apart(10_000, 30_001));
        assert!(!ASSET.apart(10_000, 10_200) && ASSET.apart(10_000, 10_201));
    }

    #[test]
    fn a_closed_gate_stays_closed_and_no_source_gives_no_index() {
        let mut all = quotes(&[(100_000, 0, 50), (500_000, 0, 50)]);
        all[1].gate = gate::STALE;
        assert_eq!(aggregate(&mut all, &ASSET).map(|index| (index.value, index.passing)), Some((100_000, 1)));
        all[0].gate = gate::MISSING;
        assert_eq!(aggregate(&mut all, &ASSET), None);
    }

    proptest! {
        #[test]
        fn the_index_lies_between_the_passing_sources(
            values in proptest::collection::vec((1..=i64::MAX / 4, 0..1_000_i64, 1..=100_u8), 1..=16),
            probability in any::<bool>(),
        ) {
            let mut all = quotes(&values);
            let limits = Limits { probability, ..ASSET };
            if let Some(index) = aggregate(&mut all, &limits) {
                let passing = all.iter().filter(|quote| quote.gate == gate::PASS).map(|quote| quote.value);
                prop_assert_eq!(passing.clone().min(), Some(index.low));
                prop_assert_eq!(passing.clone().max(), Some(index.high));
                prop_assert!(index.low <= index.value && index.value <= index.high);
                prop_assert_eq!(passing.count(), usize::from(index.passing));
                prop_assert!(index.confidence >= 0);
            }
        }

        #[test]
        fn no_single_source_of_three_moves_the_index_beyond_the_others(
            honest in (1_000_000..1_020_000_i64, 1_000_000..1_020_000_i64),
            lie in 1..=i64::MAX / 4,
            place in 0..3_usize,
        ) {
            let mut values = vec![(honest.0, 0, 33), (honest.1, 0, 33)];
            values.insert(place, (lie, 0, 34));
            let index = index_of(&values);
            let (low, high) = (honest.0.min(honest.1), honest.0.max(honest.1));
            prop_assert!(low <= index.value && index.value <= high, "{index:?}");
        }

        #[test]
        fn the_order_of_sources_does_not_matter(
            mut values in proptest::collection::vec((1..1_000_000_i64, 0..10_000_i64, 1..=100_u8), 1..=16),
        ) {
            let forward = aggregate(&mut quotes(&values), &ASSET);
            values.reverse();
            prop_assert_eq!(forward, aggregate(&mut quotes(&values), &ASSET));
        }
    }
}
