//! Vault shares and exits as pure functions (protocol P9.8, P9.9, P9.11).

use proptest::prelude::*;
use tradewind_engine::limits::{DAY_NS, HOUR_NS};
use tradewind_engine::vault::exit::{cutoff_ns, epoch_budget, Cohort, Till};
use tradewind_engine::vault::shares::{assets_for, performance_fee, price_e12, reward_units, shares_for};

#[test]
fn p9_8_a_deposit_has_its_golden_shares() {
    assert_eq!(shares_for(100_000_000, 1_000_000_000, 1_100_000_000), 90_917_347);
    assert_eq!(shares_for(5, 0, 0), 5);
}

#[test]
fn p9_11_reward_units_are_integrated_across_bands() {
    assert_eq!(reward_units(0, 100_000_000_000), 103_000_000_000);
    assert_eq!(reward_units(500_000_000, 1_000_000_000), 1_750_000_000);
    assert_eq!(reward_units(5_000_000_000, 1_000_000), 1_000_000);
}

#[test]
fn t16_inflating_the_first_share_costs_more_than_it_takes() {
    // The attacker deposits the least, gives the vault a fortune, and a victim deposits the same.
    for donation in [1_000_000_i64, 1_000_000_000, 1_000_000_000_000] {
        let attacker = shares_for(1_000_000, 0, 0);
        let nav = 1_000_000 + donation;
        let victim = shares_for(donation, attacker, nav);
        let (supply, nav) = (attacker + victim, nav + donation);
        let taken = assets_for(attacker, supply, nav);
        assert!(taken < 1_000_000 + donation, "{donation}: {taken}");
        // Without the virtual shares the victim's money would be divided by a single share.
        assert!(assets_for(victim, supply, nav) > donation / 10 * 9);
    }
}

#[test]
fn ten_thousand_round_trips_never_gain() {
    let (mut supply, mut nav, mut purse) = (1_000_000_007_i64, 1_234_567_891_i64, 1_000_000_000_i64);
    let mut state = 7_u64;
    for _ in 0..10_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let amount = 1 + (state >> 34) as i64 % purse;
        let before = purse;
        let shares = shares_for(amount, supply, nav);
        (purse, supply, nav) = (purse - amount, supply + shares, nav + amount);
        let assets = assets_for(shares, supply, nav);
        (purse, supply, nav) = (purse + assets, supply - shares, nav - assets);
        assert!(purse <= before, "gained {} by {amount}", purse - before);
    }
}

#[test]
fn p9_9_notice_ends_at_a_whole_hour() {
    assert_eq!(cutoff_ns(0), DAY_NS);
    assert_eq!(cutoff_ns(1), DAY_NS + HOUR_NS);
    assert_eq!(cutoff_ns(HOUR_NS), DAY_NS + HOUR_NS);
}

#[test]
fn p9_9_an_epoch_lets_a_fifth_out_and_coverage_never_falls_below_one() {
    assert_eq!(epoch_budget(1_000, 50, 100), 150);
    assert_eq!(epoch_budget(1_000, 0, 900), 0);
    let till = Till {
        nav: 1_000_000_000,
        cash: 1_000_000_000,
        supply: 999_000_000,
        at_risk: 1,
        budget: 200_000_000,
    };
    assert_eq!(till.limit(), 200_000_000);
    assert_eq!(Till { at_risk: 900_000_000, ..till }.limit(), 100_000_000);
    assert_eq!(Till { at_risk: 2_000_000_000, ..till }.limit(), 0);
    // With nothing at risk neither binds, so that the last holder can always leave.
    let alone = Till { at_risk: 0, budget: 0, ..till };
    assert_eq!(alone.serve(999_000_000), (999_000_000, 999_999_000));
}

#[test]
fn p9_8_a_performance_fee_is_a_tenth_of_what_lies_above_the_mark() {
    let mark = price_e12(1_000_000_000, 1_000_000_000);
    assert_eq!(performance_fee(1_000_000_000, 1_000_000_000, mark), 0);
    assert_eq!(performance_fee(1_000_000_000, 1_100_000_000, mark), 10_000_000);
    assert_eq!(performance_fee(1_000_000_000, 900_000_000, mark), 0);
}

proptest! {
    #[test]
    fn no_deposit_and_exit_gains_whatever_the_vault_is_worth(
        amount in 1..=1_000_000_000_000_i64, supply in 0..=1_000_000_000_000_i64, nav in 0..=1_000_000_000_000_i64,
    ) {
        let shares = shares_for(amount, supply, nav);
        prop_assert!(assets_for(shares, supply + shares, nav + amount) <= amount);
    }

    #[test]
    fn t22_splitting_an_exit_gains_nothing(
        shares in 2..=1_000_000_000_i64, part in 1..=999_999_i64, nav in 0..=4_000_000_000_i64,
    ) {
        let supply = 2_000_000_000;
        let first = shares * part / 1_000_000;
        let whole = assets_for(shares, supply, nav);
        let head = assets_for(first, supply, nav);
        let tail = assets_for(shares - first, supply - first, nav - head);
        // What the first part leaves by rounding the second may pick up, but never more than the whole.
        prop_assert!(head + tail <= whole + 1);
        let cohort = Cohort { shares, unserved: 0, paid: whole, ..Cohort::default() };
        prop_assert!(cohort.entitled(first) + cohort.entitled(shares - first) <= cohort.entitled(shares));
    }

    #[test]
    fn a_cut_off_never_pays_beyond_its_limit_nor_more_than_the_shares_are_worth(
        unserved in 1..=1_000_000_000_i64, nav in 0..=4_000_000_000_i64, at_risk in 0..=4_000_000_000_i64, budget in 0..=1_000_000_000_i64,
    ) {
        let till = Till { nav, cash: nav, supply: 2_000_000_000, at_risk: i128::from(at_risk), budget };
        let (shares, assets) = till.serve(unserved);
        prop_assert!((0..=unserved).contains(&shares) && assets >= 0 && assets <= till.limit());
        prop_assert!(assets <= assets_for(unserved, till.supply, nav));
        if at_risk > 0 && assets > 0 {
            prop_assert!(nav - assets >= at_risk);
        }
    }
}
