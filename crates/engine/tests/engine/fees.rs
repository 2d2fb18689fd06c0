//! Fees as pure functions (protocol P8).

use proptest::prelude::*;
use tradewind_engine::coverage::Coverage;
use tradewind_engine::fees::*;
use tradewind_engine::wire::error::Code;

#[test]
fn p8_2_the_elastic_rate_has_its_golden_points() {
    let golden = [
        (0, 2_800_000_000),
        (100_000, 2_152_045_552),
        (250_000, 1_480_916_382),
        (500_000, 857_825_400),
        (750_000, 563_498_061),
        (1_000_000, 424_467_671),
        (1_500_000, 327_772_491),
        (2_000_000, 306_196_880),
        (3_000_000, 300_308_525),
    ];
    for (ppm, rate) in golden {
        assert_eq!(elastic_rate_e8(Coverage::from_ppm(ppm)), rate, "coverage {ppm} ppm");
    }
    assert_eq!(elastic_rate_e8(Coverage::INFINITE), FLOOR_E8);
}

#[test]
fn p8_2_t07_the_rate_never_rises_with_coverage_and_stays_within_3_and_28_bp() {
    let rates = (0..=100_000_u64).map(|step| elastic_rate_e8(Coverage::from_ppm(step * 100)));
    let rates: Vec<u32> = rates.collect();
    assert!(rates.windows(2).all(|pair| pair[1] <= pair[0]));
    assert!(rates.iter().all(|rate| (FLOOR_E8..=CAP_E8).contains(rate)));
    assert!(rates[0] == CAP_E8 && *rates.last().unwrap() == FLOOR_E8);
    assert_eq!(elastic_rate_e8(Coverage::from_ppm(u64::MAX)), FLOOR_E8);
}

/// The exponential to four terms, which is what a mutation would put in its place.
fn by_a_short_polynomial(ppm: u64) -> f64 {
    let x = -3.0 * ppm as f64 / 1e6;
    3.0 + 25.0 * (1.0 + x + x * x / 2.0 + x * x * x / 6.0)
}

#[test]
fn a_short_polynomial_in_place_of_the_exponential_misses_the_golden_points() {
    let rate = f64::from(elastic_rate_e8(Coverage::from_ppm(1_000_000))) / 1e8;
    assert!((rate - by_a_short_polynomial(1_000_000)).abs() > 0.01);
}

#[test]
fn p8_3_adjustments_add_up_and_are_capped_at_28_bp() {
    let calm =
        Conditions { volatility_ppm: Some(100_000), depth_micro: Some(10_000_000_000), load_ppm: 800_000 };
    assert_eq!(adjustment_bp(&calm), 0);
    assert_eq!(adjustment_bp(&Conditions::default()), 0);
    let rough =
        Conditions { volatility_ppm: Some(500_001), depth_micro: Some(999_999_999), load_ppm: 800_001 };
    assert_eq!(adjustment_bp(&rough), 6);
    let some = Conditions { volatility_ppm: Some(300_001), depth_micro: Some(9_999_999_999), load_ppm: 0 };
    assert_eq!(adjustment_bp(&some), 3);
    assert_eq!(taker_rate_e8(Coverage::ZERO, 6, 0), CAP_E8);
    assert_eq!(taker_rate_e8(Coverage::INFINITE, 6, 0), 9 * BP_E8);
}

#[test]
fn p8_4_the_larger_discount_counts_down_to_3_bp() {
    assert_eq!(discount_bp(99_999_999_999, 0), 0);
    assert_eq!(discount_bp(100_000_000_000, 999_999_999), 5);
    assert_eq!(discount_bp(1_000_000_000_000, 100_000_000_000), 15);
    assert_eq!(discount_bp(100_000_000_000_000, 1_000_000_000_000), 25);
    assert_eq!(taker_rate_e8(Coverage::ZERO, 0, 25), FLOOR_E8);
    assert_eq!(taker_rate_e8(Coverage::ZERO, 0, 20), 8 * BP_E8);
}

#[test]
fn p8_5_p8_8_amount_and_split_have_their_golden_numbers() {
    assert_eq!(amount(100_000_000, 424_467_671_u32), 42_447);
    assert_eq!((amount(0, CAP_E8), amount(1, 1_u32)), (0, 1));
    let parts = split(42_447, Profile::Standard);
    let expected = Split { vault: 29_714, stakers: 6_367, maker_fund: 2_122, buyback: 4_244, treasury: 0 };
    assert_eq!(parts, expected);
    let later = split(1_001, Profile::PostEmission);
    assert_eq!((later.vault, later.maker_fund, later.treasury), (501, 300, 200));
}

#[test]
fn p8_9_flat_rates_lie_within_5_and_100_bp_and_never_above_the_markets_own() {
    let bp = |market_bp: u32, discount_bp| flat_rate_e8(market_bp * 1_000_000, discount_bp) / 100_000_000;
    assert_eq!(POST_RATES_BP.map(|(_, rate)| bp(rate, 0)), [20, 30, 50]);
    assert_eq!((bp(100, 0), bp(200, 0), bp(30, 10), bp(20, 25), bp(3, 0)), (100, 100, 20, 5, 3));
}

#[test]
fn p8_1_the_base_of_an_outcome_is_the_cheaper_side() {
    // 100 contracts at 0.90: lots of 0.001.
    assert_eq!(outcome_base(900, 1_000, 100_000, 1), 10_000_000);
    assert_eq!(outcome_base(100, 1_000, 100_000, 1), 10_000_000);
}

#[test]
fn p8_6_a_maker_that_improves_the_price_has_five_points_more_within_the_bound() {
    assert_eq!((rebate(1_000, 20, false), rebate(1_000, 20, true)), (200, 250));
    assert_eq!((rebate(1_000, 48, true), rebate(999, 20, false)), (500, 199));
}

#[test]
fn p8_7_a_configuration_that_could_break_the_incentive_invariant_is_out_of_bounds() {
    let check =
        |rebate_pct, referral_pct, reward_pct| Incentives { rebate_pct, referral_pct, reward_pct }.check();
    assert_eq!(check(50, 10, 20), Ok(()));
    for (rebate, referral, reward, bound) in [(51, 0, 0, 50), (0, 11, 0, 10), (0, 0, 21, 20)] {
        let refusal = check(rebate, referral, reward).unwrap_err();
        assert_eq!((refusal.code, refusal.bound), (Code::PARAMETER_OUT_OF_BOUNDS, bound));
    }
}

#[test]
fn t21_trading_with_oneself_loses_for_every_coverage_tier_and_reward_while_one_owns_less_than_half() {
    let mut tried = 0;
    for step in 0..=40_u64 {
        for discount in [0, 5, 10, 15, 20, 25] {
            let rate = taker_rate_e8(Coverage::from_ppm(step * 100_000), 0, discount);
            let fee = amount(1_000_000_000_000, rate);
            for (rebate_pct, referral_pct, reward_pct) in [(0, 0, 0), (20, 10, 20), (50, 0, 0), (50, 10, 20)]
            {
                let incentives = Incentives { rebate_pct, referral_pct, reward_pct };
                for profile in [Profile::Standard, Profile::PostEmission] {
                    let returned = incentives.returned(fee, 499_999, true, profile);
                    assert!(returned < fee, "{incentives:?} at {rate} returns {returned} of {fee}");
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 41 * 6 * 4 * 2);
    // The worst case of P8.7: 97 %.
    let worst = Incentives { rebate_pct: 50, referral_pct: 10, reward_pct: 20 };
    assert_eq!(worst.returned(1_000_000, 500_000, false, Profile::Standard), 970_000);
    // Beyond the bounds it would pay.
    let beyond = Incentives { rebate_pct: 50, referral_pct: 30, reward_pct: 20 };
    assert!(
        beyond.check().is_err() && beyond.returned(1_000_000, 499_999, false, Profile::Standard) > 1_000_000
    );
}

proptest! {
    #[test]
    fn a_fee_is_the_least_integer_that_is_not_below_the_exact_one(base in 0..=4_000_000_000_000_000_000_i64, rate in 0..=CAP_E8) {
        let exact = i128::from(base) * i128::from(rate);
        let fee = i128::from(amount(base, rate));
        prop_assert!(fee * WHOLE_E8 >= exact && (fee - 1) * WHOLE_E8 < exact);
    }

    #[test]
    fn i11_a_split_sums_to_its_fee_and_no_part_is_negative(fee in 0..=4_000_000_000_000_000_i64, emission: bool) {
        let parts = split(fee, if emission { Profile::PostEmission } else { Profile::Standard });
        prop_assert_eq!(parts.total(), fee);
        prop_assert!([parts.vault, parts.stakers, parts.maker_fund, parts.buyback, parts.treasury].iter().all(|&part| part >= 0));
    }
}
