use proptest::prelude::*;

use super::*;
use crate::limits::{DAY_NS, HOUR_NS};
use crate::outcome::loans::SHORT;

const V: i64 = 100_000_000;

fn ramp(left_ns: i64) -> Ramp {
    Ramp::at(0, left_ns + HOUR_NS, 100_000)
}

fn part(place: u8, shares: i64, value: i64, debt: i64) -> Part {
    Part { place, shares, value, debt, cash: 0 }
}

fn group(parts: &[Part], outcome_count: u8) -> Group {
    Group { parts: parts.to_vec(), outcome_count }
}

/// What is lost of the claims' value, one outcome and one claim after the other.
fn brute_force(group: &Group) -> i128 {
    let mut worst = 0;
    for winner in 0..group.outcome_count {
        let mut lost = 0;
        for part in &group.parts {
            let named = part.place & 0x7F;
            let wins = if part.place >= SHORT { named != winner } else { named == winner };
            lost += i128::from(part.value) - if wins { i128::from(part.shares) } else { 0 };
        }
        worst = worst.max(lost);
    }
    worst
}

fn any_group() -> impl Strategy<Value = Group> {
    (2_u8..9).prop_flat_map(|outcomes| {
        let place = (0..outcomes, any::<bool>()).prop_map(move |(outcome, short)| {
            if short && outcomes > 2 {
                outcome | SHORT
            } else {
                outcome
            }
        });
        let any_part =
            (place, 1_i64..1_000, 1_i64..1_000, 0_i64..=1_000).prop_map(|(place, lots, price, owed)| {
                let value = lots * price * 1_000;
                part(place, lots * 1_000_000, value, value / 1_000 * owed)
            });
        proptest::collection::vec(any_part, 1..7)
            .prop_map(move |parts| Group { parts, outcome_count: outcomes })
    })
}

proptest! {
    #[test]
    fn p4_6_6_the_basis_is_the_largest_loss_over_the_outcomes(group in any_group()) {
        prop_assert_eq!(i128::from(group.largest_loss()), brute_force(&group));
    }

    #[test]
    fn p4_6_6_a_group_needs_no_more_than_its_positions_and_no_less_than_half_the_largest_j_margin(
        group in any_group(),
        left_ns in 0..2 * DAY_NS,
        cap_e2 in 100_u32..7_000,
    ) {
        let ramp = ramp(left_ns);
        for margin in [Margin::Initial(cap_e2), Margin::Maintenance(cap_e2)] {
            let needed = group.requirement(ramp, margin);
            let mut apart = 0;
            for one in group.parts.iter().filter(|part| part.debt != 0) {
                let alone = Group { parts: vec![*one], outcome_count: group.outcome_count };
                let single = match margin {
                    Margin::Initial(cap_e2) => ramp.initial_margin(one.value, cap_e2),
                    Margin::Maintenance(base_e2) => ramp.maintenance_margin(one.value, base_e2),
                };
                prop_assert_eq!(alone.requirement(ramp, margin), single, "a group of one is its position");
                prop_assert!(needed >= ramp.half_jump_margin(one.value));
                apart += single;
            }
            prop_assert!(needed <= apart);
        }
    }

    #[test]
    fn p4_6_6_a_group_whose_surplus_pays_its_debts_never_costs_more_than_its_positions_apart(group in any_group()) {
        for winner in 0..group.outcome_count {
            let apart: i128 = group
                .parts
                .iter()
                .map(|part| {
                    let paid = if pays(part.place, winner) { part.shares } else { 0 };
                    i128::from((part.debt - paid).max(0))
                })
                .sum();
            prop_assert!((group.debt() - group.payout(winner)).max(0) <= apart);
        }
    }

    #[test]
    fn p4_6_6_at_its_requirement_a_group_costs_no_more_than_its_positions_at_theirs(
        group in any_group(),
        left_ns in 0..2 * DAY_NS,
    ) {
        // Everything is lent that the margin allows: together, and apart.
        let ramp = ramp(left_ns);
        let owing: Vec<Part> = group.parts.iter().map(|part| Part { debt: 1, ..*part }).collect();
        let group = Group { parts: owing, ..group };
        let lent = group.value() - group.requirement(ramp, Margin::Initial(7_000));
        let costs = |winner| (lent - group.payout(winner)).max(0);
        let apart = |winner| -> i128 {
            let lost = group.parts.iter().map(|part| {
                let lent = i128::from(part.value) - ramp.initial_margin(part.value, 7_000);
                (lent - if pays(part.place, winner) { i128::from(part.shares) } else { 0 }).max(0)
            });
            lost.sum()
        };
        let worst = (0..group.outcome_count).map(costs).max().unwrap_or(0);
        let worst_apart = (0..group.outcome_count).map(apart).max().unwrap_or(0);
        // Each position rounds its margin up by less than one.
        prop_assert!(worst <= worst_apart + group.parts.len() as i128, "{} {}", worst, worst_apart);
    }
}

#[test]
fn p4_6_6_golden_opposite_positions_need_half_the_largest_and_the_same_twice_needs_the_sum() {
    let day = ramp(2 * DAY_NS);
    let needs = |group: &Group| {
        let (initial, maintenance) = (Margin::Initial(7_000), Margin::Maintenance(7_000));
        (group.requirement(day, initial), group.requirement(day, maintenance))
    };
    // 200 contracts of each outcome at 0.50 are complete sets: nothing can be lost, and the floor is left.
    let hedged = group(&[part(0, 2 * V, V, 90_000_000), part(1, 2 * V, V, 90_000_000)], 2);
    assert_eq!((hedged.largest_loss(), needs(&hedged)), (0, (5_000_000, 5_000_000)));
    // In the last hour before settlement all that is owed would have to be covered, set or not (P4.6.3).
    let over = ramp(0);
    assert!(over.is_over());
    assert_eq!(hedged.requirement(over, Margin::Initial(7_000)), i128::from(2 * V));
    assert_eq!(hedged.requirement(over, Margin::Maintenance(7_000)), i128::from(2 * V));
    let same = group(&[part(0, 2 * V, V, 90_000_000), part(0, 2 * V, V, 90_000_000)], 2);
    assert_eq!((same.largest_loss(), needs(&same)), (2 * V, (20_000_000, 10_000_000)));
    // With a third outcome both may lose.
    let open = group(&[part(0, 2 * V, V, 90_000_000), part(1, 2 * V, V, 90_000_000)], 3);
    assert_eq!(needs(&open), needs(&same));
    let free = group(&[part(0, 2 * V, V, 0), part(1, 2 * V, V, 0)], 3);
    assert_eq!(needs(&free), (0, 0));
}
