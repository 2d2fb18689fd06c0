//! Coverage, stages, leverage and expected shortfall as pure functions (protocol P4.5, P9).

use proptest::prelude::*;
use tradewind_engine::coverage::leverage::{cap, coverage_e2, tier_e2, Term, CONTINUUM};
use tradewind_engine::coverage::shortfall::{expected_shortfall, is_short, parametric_tail_ppm, Scenario};
use tradewind_engine::coverage::stage::{phase, Stage};
use tradewind_engine::coverage::status::{state, Status};
use tradewind_engine::coverage::worst::{leveraged, loans, outcomes, Loan, Stressed};
use tradewind_engine::coverage::{Aggregate, Coverage, Exposure};
use tradewind_engine::limits::{MAX_MARKETS, SECOND_NS};
use tradewind_engine::math::MAX_BALANCE;

/// `S` of worst cases in millionths of a unit, so that the golden numbers show their digits.
fn aggregated(worst_cases: &[i64], rho_ppm: u32) -> i128 {
    let mut aggregate = Aggregate::default();
    aggregate.set_rho(rho_ppm);
    worst_cases.iter().for_each(|&value| aggregate.replace(0, i128::from(value)));
    aggregate.total()
}

#[test]
fn p9_2_worst_cases_of_3_and_4_come_to_5_and_7_and_in_between() {
    let golden = [3_000_000, 4_000_000];
    assert_eq!(aggregated(&golden, 0), 5_000_000);
    assert_eq!(aggregated(&golden, 500_000), 6_082_763);
    assert_eq!(aggregated(&golden, 1_000_000), 7_000_000);
}

#[test]
fn p9_1_complete_sets_have_no_worst_case_and_a_pool_its_subsidy() {
    assert_eq!(outcomes([100, 100], 100), 0);
    assert_eq!(outcomes([100, 130, 90], 100), 30);
    assert_eq!(outcomes([], 5), 0);
    let loan = Loan { debt: 100, value_if_won: 0, margin: 30 };
    assert_eq!(loans([loan, Loan { value_if_won: 200, ..loan }]), 70);
    // One long and one short of 10 lots at mark 100, unit 1, with a tenth of margin each: at 30 % one side is short
    // of 200; at 10 % of nothing.
    let sides = [Stressed { lots: 10, equity: 100 }, Stressed { lots: -10, equity: 100 }];
    assert_eq!(leveraged(&sides, 100, 1), 200);
    assert_eq!(leveraged(&[Stressed { lots: 10, equity: 300 }], 100, 1), 0);
    assert_eq!(leveraged(&[Stressed { lots: i64::MAX, equity: i64::MIN }], i64::MAX, i64::MAX), i64::MAX);
}

#[test]
fn p9_3_coverage_is_total() {
    assert_eq!(Coverage::of(0, 0), Coverage::INFINITE);
    assert_eq!(Coverage::of(0, 5), Coverage::ZERO);
    assert_eq!(Coverage::of(i64::MIN, i128::MAX), Coverage::ZERO);
    assert_eq!(Coverage::of(i64::MAX, 1).ppm(), Some(Coverage::LARGEST_PPM));
    assert_eq!(Coverage::of(2, 3).ppm(), Some(666_666));
    assert!(Coverage::INFINITE > Coverage::of(i64::MAX, 1));
}

#[test]
fn p4_5_leverage_has_its_golden_points_and_names_what_binds() {
    let at = |outcomes, ppm| cap(outcomes, Coverage::from_ppm(ppm), u32::MAX, u32::MAX);
    let golden = [
        (1, 2_000_000, 10_000, Term::Tier),
        (2, 2_000_000, 7_000, Term::Tier),
        (2, 1_000_000, 1_000, Term::Ladder),
        (8, 2_000_000, 1_500, Term::Tier),
        (64, 1_500_000, 1_000, Term::Tier),
        (CONTINUUM, 5_000_000, 500, Term::Tier),
    ];
    for (outcomes, ppm, cap_e2, term) in golden {
        let found = at(outcomes, ppm);
        assert_eq!((found.cap_e2, found.term), (cap_e2, term), "{outcomes} outcomes at {ppm}");
    }
    // 100·2/√2 = 141.42: the root is real; an integer root would say 200.
    assert_eq!(coverage_e2(Coverage::from_ppm(2_000_000), 2), 14_142);
    assert_eq!(cap(64, Coverage::from_ppm(500_000), u32::MAX, u32::MAX).cap_e2, 100);
    assert_eq!(cap(1, Coverage::from_ppm(499_999), u32::MAX, u32::MAX).cap_e2, 0);
    assert_eq!(cap(1, Coverage::INFINITE, u32::MAX, u32::MAX).cap_e2, 10_000);
    assert_eq!(cap(1, Coverage::INFINITE, 500, 700).term, Term::Stage);
    assert_eq!(cap(1, Coverage::INFINITE, 900, 700).term, Term::Market);
}

#[test]
fn p9_7_leverage_grows_with_the_vault() {
    let bootstrap = Stage::default();
    let at = |dollars: i64| bootstrap.leverage_cap_e2(dollars * 1_000_000, Coverage::INFINITE);
    assert_eq!([at(0), at(999), at(1_000), at(5_500), at(9_999)], [100, 100, 100, 500, 900]);
    // In BOOTSTRAP and NEARING also at most 100·c.
    assert_eq!(bootstrap.leverage_cap_e2(5_500_000_000, Coverage::from_ppm(20_000)), 200);
    let of = |stage| Stage { stage, ..Stage::default() }.leverage_cap_e2(1 << 40, Coverage::ZERO);
    assert_eq!([of(phase::MINIMUM_VIABLE), of(phase::FULL), of(phase::DEGRADED)], [1_000, u32::MAX, 0]);
}

#[test]
fn p9_7_a_viable_vault_that_shrinks_is_degraded_until_it_has_been_whole_for_300_s() {
    let (mut now, mut vault) = (0, Stage::default());
    let mut look = |vault: &mut Stage, seconds: i64, dollars: i64| {
        now += seconds * SECOND_NS;
        vault.observe(now, dollars * 1_000_000, Coverage::INFINITE);
        vault.stage
    };
    assert_eq!(look(&mut vault, 60, 8_999), phase::BOOTSTRAP);
    assert_eq!(look(&mut vault, 60, 9_000), phase::NEARING);
    assert_eq!(look(&mut vault, 60, 100_000), phase::FULL);
    assert_eq!(look(&mut vault, 60, 9_500), phase::MINIMUM_VIABLE);
    assert_eq!(look(&mut vault, 60, 8_999), phase::DEGRADED);
    assert_eq!(look(&mut vault, 60, 10_000), phase::DEGRADED);
    assert_eq!(look(&mut vault, 299, 10_000), phase::DEGRADED);
    assert_eq!(look(&mut vault, 1, 10_000), phase::MINIMUM_VIABLE);
    let mut covered = Stage { stage: phase::MINIMUM_VIABLE, ..Stage::default() };
    covered.observe(0, 200_000_000_000, Coverage::from_ppm(999_999));
    assert_eq!(covered.stage, phase::MINIMUM_VIABLE);
    assert_eq!(Stage::default().fee_coverage(Coverage::INFINITE), Coverage::ZERO);
}

#[test]
fn p9_6_states_worsen_at_once_and_improve_after_300_s_at_a_tenth_more() {
    let mut status = Status::default();
    let mut at = |seconds: i64, ppm| {
        status.observe(seconds * SECOND_NS, Coverage::from_ppm(ppm));
        status.state
    };
    assert_eq!(at(0, 1_500_000), state::NORMAL);
    assert_eq!(at(1, 1_499_999), state::WARNING);
    assert_eq!(at(2, 499_999), state::HALT);
    assert_eq!(at(10, 600_000), state::HALT);
    assert_eq!(at(309, 600_000), state::HALT);
    assert_eq!(at(310, 600_000), state::CRITICAL);
    assert_eq!(at(311, 599_999), state::CRITICAL);
    assert_eq!(at(400, 1_600_000), state::CRITICAL);
    assert_eq!(at(699, 1_599_999), state::CRITICAL);
    assert_eq!(at(700, 1_600_000), state::WARNING);
    assert_eq!(at(1_000, 1_600_000), state::NORMAL);
}

#[test]
fn p9_5_expected_shortfall_has_its_golden_numbers() {
    let scenarios = [(50, 30_000_000), (100, 20_000_000)];
    let scenarios = scenarios.map(|(loss, probability_ppb)| Scenario { loss, probability_ppb });
    assert_eq!(expected_shortfall(&scenarios, 950_000_000).unwrap().expected, 70);
    let far = expected_shortfall(&scenarios, 975_000_000).unwrap();
    assert_eq!((far.value_at_risk, far.expected), (50, 90));
    assert_eq!(expected_shortfall(&[], 975_000_000).unwrap().expected, 0);
    assert!(
        expected_shortfall(&scenarios, 0).is_err() && expected_shortfall(&scenarios, 1_000_000_000).is_err()
    );
    let too_likely = [Scenario { loss: 1, probability_ppb: 1_000_000_001 }];
    assert!(expected_shortfall(&too_likely, 975_000_000).is_err());
    assert!(is_short(149, 100) && !is_short(150, 100));
    assert_eq!(parametric_tail_ppm(2, 0), 500_000);
}

#[test]
fn i14_a_change_of_one_of_21_000_markets_gives_what_a_recomputation_gives() {
    let mut exposure = Exposure::default();
    (0..16).for_each(|bucket| exposure.set_rho(Some(bucket), 60_000 * bucket));
    exposure.set_rho(None, 300_000);
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for step in 0..63_000_u64 {
        let market = (if step < 21_000 { step } else { next() % 21_000 }) as u32;
        exposure.set(market, (next() % 16) as u32, (next() % 5_000_000_000) as i64 - 1_000_000_000);
    }
    let platform = (0..16).map(|bucket| {
        let parts = exposure.parts().filter(|(_, part)| part.bucket == bucket);
        let parts: Vec<i64> = parts.map(|(_, part)| part.worst_case).collect();
        let total = aggregated(&parts, 60_000 * bucket);
        assert_eq!(total, exposure.bucket_total(bucket));
        total as i64
    });
    assert_eq!(aggregated(&platform.collect::<Vec<_>>(), 300_000), exposure.total());
    assert!(exposure.total() > 0);
    (0..21_000).for_each(|market| exposure.set(market, 3, 0));
    assert_eq!((exposure.total(), exposure.parts().count()), (0, 0));
}

#[test]
fn the_largest_worst_cases_in_every_market_neither_overflow_nor_fall_below_their_maximum() {
    let mut exposure = Exposure::default();
    for market in 0..MAX_MARKETS as u32 {
        exposure.set(market, market % 3_000, i64::MAX);
        assert!(exposure.total() >= i128::from(MAX_BALANCE));
    }
    assert_eq!(Coverage::of(MAX_BALANCE, exposure.total()).ppm(), Some(15));
    exposure.set_rho(None, 0);
    assert!(exposure.total() >= i128::from(MAX_BALANCE) && exposure.buckets().count() == 2_048);
}

proptest! {
    #[test]
    fn s_is_at_least_the_largest_worst_case_at_most_their_sum_and_grows_with_correlation(
        worst_cases in prop::collection::vec(0..=MAX_BALANCE, 1..40), low in 0..=1_000_000_u32, high in 0..=1_000_000_u32,
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let largest = i128::from(*worst_cases.iter().max().unwrap());
        let sum: i128 = worst_cases.iter().map(|&value| i128::from(value)).sum();
        let (at_low, at_high) = (aggregated(&worst_cases, low), aggregated(&worst_cases, high));
        prop_assert!(largest <= at_low && at_low <= at_high);
        // Beyond 2^63 the sum is rounded up to a multiple of 2^32.
        prop_assert!(at_high <= sum + (1 << 33));
    }

    #[test]
    fn a_shortfall_lies_between_value_at_risk_and_the_largest_loss(
        losses in prop::collection::vec((0..=1_000_000_000_i64, 1..=20_000_000_u64), 1..40), level in 900_000_000..999_000_000_u64,
    ) {
        let scenarios: Vec<_> = losses.iter().map(|&(loss, probability_ppb)| Scenario { loss, probability_ppb }).collect();
        let found = expected_shortfall(&scenarios, level).unwrap();
        prop_assert!(found.value_at_risk <= found.expected);
        prop_assert!(found.expected <= losses.iter().map(|(loss, _)| *loss).max().unwrap());
    }

    #[test]
    fn no_term_ever_raises_a_cap(outcomes in 1..=65_u32, ppm in 0..=3_000_000_u64, stage_e2: u32, market_e2 in 100..=10_000_u32) {
        let found = cap(outcomes, Coverage::from_ppm(ppm), stage_e2, market_e2).cap_e2;
        prop_assert!(found <= tier_e2(outcomes) && found <= stage_e2 && found <= market_e2);
        prop_assert!(f64::from(found) <= ppm as f64 / 100.0 / f64::from(outcomes).sqrt() + 1e-6);
    }
}
