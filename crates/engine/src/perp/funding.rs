//! Funding rate and payments (protocol P4.8). Rates in ppb, money in micro-quote, the index in micro-quote per lot × 10^9.

use super::margin::{div_ceil, div_floor};

pub const PPB: i128 = 1_000_000_000;
/// One basis point in ppb.
const BP_PPB: i64 = 100_000;
/// Interest of P4.8.1: 1 bp per 8 h.
const INTEREST_PPB: i64 = BP_PPB;
const INTEREST_REACH_PPB: i64 = 5 * BP_PPB;
/// Samples that an hour needs for a rate.
pub const MIN_SAMPLES: u32 = 15;
/// Samples that an hour has.
pub const SAMPLES_PER_HOUR: u32 = 60;

/// Premium sample in ppb from the impact prices and the index, all in micro-ticks or ticks alike.
pub fn premium_sample_ppb(impact_bid: i128, impact_ask: i128, index: i128) -> i64 {
    let premium = (impact_bid - index).max(0) - (index - impact_ask).max(0);
    let ppb = premium * PPB / index.max(1);
    ppb.clamp(-PPB, PPB) as i64
}

/// The hourly rate from the mean premium of the hour (P4.8.1), capped at an eighth of
/// `0.75 · (1/l_base − mmf)` with both fractions in ppm.
pub fn hourly_rate_ppb(mean_premium_ppb: i64, entry_ppm: i128, mmf_ppm: i128) -> i64 {
    let interest = (INTEREST_PPB - mean_premium_ppb).clamp(-INTEREST_REACH_PPB, INTEREST_REACH_PPB);
    let eight_hours = i128::from(mean_premium_ppb) + i128::from(interest);
    let cap = ((entry_ppm - mmf_ppm).max(0) * 1_000 * 3 / 4).max(0);
    (eight_hours.clamp(-cap, cap) / 8) as i64
}

/// Change of the index for an hour at this rate.
pub fn index_delta(rate_ppb: i64, index_ticks: i64, unit: i64) -> i128 {
    i128::from(rate_ppb) * i128::from(index_ticks) * i128::from(unit)
}

/// What a position pays since its entry (negative: receives); the payer's part is rounded up, the receiver's down.
#[inline]
pub fn payment(lots: i64, index: i128, entry: i128) -> i64 {
    if index == entry || lots == 0 {
        return 0;
    }
    let exact = i128::from(lots) * (index - entry);
    // ceil of a positive number is the payer's direction; of a negative one it is the receiver's floor.
    let owed = div_ceil(exact, PPB);
    i64::try_from(owed).expect("funding of a position fits the ledger")
}

/// Micro-quote that the funding line may give up: its balance less what open positions can still claim.
pub fn dust(line: i64, claims: i128) -> i64 {
    (i128::from(line) + div_floor(-claims, PPB)).max(0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_rates_of_p4_8_4() {
        let (entry, mmf) = (50_000, 25_000);
        assert_eq!(hourly_rate_ppb(2 * BP_PPB, entry, mmf) * 8, BP_PPB);
        assert_eq!(hourly_rate_ppb(20 * BP_PPB, entry, mmf), 187_500);
        let delta = index_delta(187_500, 10_000, 10);
        assert_eq!(delta, 18_750_000_000);
        assert_eq!(payment(10_000, delta, 0), 187_500);
        assert_eq!(payment(-10_000, delta, 0), -187_500);
    }

    #[test]
    fn the_rate_never_exceeds_three_quarters_of_the_distance_between_the_margins() {
        assert_eq!(hourly_rate_ppb(i64::MAX / 4, 10_000, 5_000), 3_750_000 / 8);
        assert_eq!(hourly_rate_ppb(-900_000_000, 10_000, 5_000), -3_750_000 / 8);
    }

    #[test]
    fn a_fraction_of_a_micro_is_rounded_against_payer_and_receiver() {
        assert_eq!(payment(1, 1, 0), 1);
        assert_eq!(payment(-1, 1, 0), 0);
        assert_eq!(payment(1, -1, 0), 0);
        assert_eq!(payment(-1, -1, 0), 1);
    }

    #[test]
    fn a_sample_is_positive_only_when_even_the_impact_bid_is_above_the_index() {
        assert_eq!(premium_sample_ppb(101, 103, 100), 10_000_000);
        assert_eq!(premium_sample_ppb(97, 99, 100), -10_000_000);
        assert_eq!(premium_sample_ppb(99, 101, 100), 0);
    }
}
