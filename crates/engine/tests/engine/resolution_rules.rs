//! The rules of resolution without an engine: payout vectors, bonds, rounds (P15.1–P15.7).

use proptest::prelude::*;
use tradewind_engine::resolution::bonds::{required_bond, round_bond, round_window_ns, split_lost};
use tradewind_engine::resolution::payout::{choice, pack, Payout, WHOLE_PPM};
use tradewind_engine::resolution::{stage, verdict, Decision, Party, Resolution};
use tradewind_engine::wire::Code;

const USD: i64 = 1_000_000;
const HOUR: i64 = 3_600_000_000_000;
const WINDOW: i64 = 2 * HOUR;
const BASE: i64 = 1_000 * USD;

fn wins(outcome: u8) -> Payout {
    Payout::winner(outcome, 3).expect("an outcome of three")
}

fn party(account: u32, bond: i64) -> Party {
    Party { account, sub: 0, bond }
}

fn proposed() -> Resolution {
    Resolution::propose(party(0, BASE), wins(0), 1, (BASE, WINDOW), 0)
}

/// Disputes what stands with the bond of the round, by an account of its own.
fn disputed(resolution: &mut Resolution, now_ns: i64) {
    let account = resolution.parties.len() as u32;
    let counter = if *resolution.standing() == wins(1) { wins(2) } else { wins(1) };
    resolution.check_dispute(resolution.round, account, &counter, 1, now_ns).expect("may be disputed");
    resolution.dispute(party(account, resolution.bond()), 1, now_ns);
}

fn voted(resolution: &mut Resolution, payout: &Payout, now_ns: i64) -> Decision {
    for arbiter in 1..=2 {
        assert_eq!(resolution.vote([arbiter; 32], payout.clone(), now_ns), None);
    }
    resolution.vote([3; 32], payout.clone(), now_ns).expect("three of five decide")
}

#[test]
fn p15_2_bonds_and_windows_double_each_round() {
    let bonds: Vec<i64> = (0..6).map(|round| round_bond(BASE, round) / USD).collect();
    assert_eq!(bonds, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]);
    let hours: Vec<i64> = (0..6).map(|round| round_window_ns(WINDOW, round) / HOUR).collect();
    assert_eq!(hours, [2, 4, 8, 16, 32, 64]);
}

#[test]
fn p15_6_exposure_above_ten_bonds_asks_for_a_tenth_of_it_up_to_the_cap() {
    assert_eq!(required_bond(BASE, 0), BASE);
    assert_eq!(required_bond(BASE, 10 * BASE), BASE);
    assert_eq!(required_bond(BASE, 10 * BASE + 1), BASE + 1);
    assert_eq!(required_bond(BASE, 500_000 * USD), 50_000 * USD);
    assert_eq!(required_bond(BASE, 9_000_000 * USD), 100_000 * USD);
    assert_eq!(required_bond(BASE, i64::MAX), 100_000 * USD);
    assert_eq!(required_bond(200_000 * USD, 9_000_000 * USD), 200_000 * USD);
}

#[test]
fn p15_4_a_lost_bond_is_halved_and_the_odd_micro_unit_goes_to_insurance() {
    assert_eq!(split_lost(1_000_000_001), (500_000_000, 500_000_001));
    assert_eq!(split_lost(1), (0, 1));
}

#[test]
fn p15_1_vectors_are_read_in_each_of_their_forms() {
    let read = |named, entries, packed| Payout::read(named, entries, packed, 3);
    let none = [0; 24];
    assert_eq!(read(2, 0, &none).expect("the third").ppm(), [0, 0, WHOLE_PPM]);
    assert_eq!(read(choice::INVALID, 0, &none).expect("equal").ppm(), [333_334, 333_333, 333_333]);
    let mut mask = none;
    mask[0] = 0b110;
    assert_eq!(read(choice::SHARED, 0, &mask).expect("two").ppm(), [0, 500_000, 500_000]);
    let packed = pack(&[(0, 250_000), (2, 750_000)]).expect("two entries");
    assert_eq!(read(choice::VECTOR, 2, &packed).expect("a vector").ppm(), [250_000, 0, 750_000]);
}

#[test]
fn p15_1_what_is_no_vector_is_not_read() {
    let read = |named, entries, parts: &[(u8, u32)]| Payout::read(named, entries, &pack(parts).unwrap(), 3);
    assert_eq!(read(3, 0, &[]), None, "an outcome that does not exist");
    assert_eq!(read(choice::NONE, 0, &[]), None);
    assert_eq!(read(0, 1, &[]), None, "entries beside a winner");
    assert_eq!(read(0, 0, &[(1, 1)]), None, "bytes beside a winner");
    assert_eq!(read(choice::VECTOR, 1, &[(0, 999_999)]), None, "too little");
    assert_eq!(read(choice::VECTOR, 2, &[(0, 999_999), (1, 2)]), None, "too much");
    assert_eq!(read(choice::VECTOR, 2, &[(1, 500_000), (0, 500_000)]), None, "not ascending");
    assert_eq!(read(choice::VECTOR, 2, &[(1, 500_000), (1, 500_000)]), None, "twice the same");
    assert_eq!(read(choice::VECTOR, 2, &[(0, WHOLE_PPM), (1, 0)]), None, "an entry that pays nothing");
    assert_eq!(read(choice::VECTOR, 1, &[(0, WHOLE_PPM), (1, 1)]), None, "bytes behind the entries");
    assert_eq!(read(choice::VECTOR, 7, &[]), None, "more entries than fit");
    assert_eq!(read(choice::SHARED, 0, &[]), None, "nobody shares");
    let mut mask = [0; 24];
    mask[0] = 0b1000;
    assert_eq!(Payout::read(choice::SHARED, 0, &mask, 3), None, "a fourth of three");
    assert!([0, 1, 65, 255].iter().all(|&outcomes| Payout::invalid(outcomes).is_none()));
}

proptest! {
    #[test]
    fn every_split_sums_to_the_whole_and_has_a_short_name(outcomes in 2_u8..=64, bits: u64, winner in 0_u8..64) {
        let mask = bits & (u64::MAX >> (64 - outcomes));
        for payout in [Payout::invalid(outcomes), Payout::shared(mask, outcomes)].into_iter().flatten() {
            prop_assert_eq!(payout.ppm().iter().sum::<u32>(), WHOLE_PPM);
            let (low, high) = payout.ppm().iter().filter(|&&ppm| ppm > 0).fold((u32::MAX, 0), |(low, high), &ppm| {
                (low.min(ppm), high.max(ppm))
            });
            prop_assert!(high - low <= 1);
        }
        prop_assert_eq!(Payout::invalid(outcomes).unwrap().choice(), choice::INVALID);
        match Payout::winner(winner, outcomes) {
            Some(payout) => prop_assert_eq!(payout.choice(), winner),
            None => prop_assert!(winner >= outcomes),
        }
    }

    #[test]
    fn p15_7_holders_of_equal_supplies_never_get_more_than_the_escrow_and_leave_at_most_dust(
        weights in prop::collection::vec(0_u32..1_000, 2..9),
        holders in prop::collection::vec(prop::collection::vec(0_i64..1_000_000_000_000, 9), 1..9),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let mut ppm: Vec<u32> = weights.iter().map(|&w| (u64::from(w) * 1_000_000 / total) as u32).collect();
        let at = weights.iter().position(|&weight| weight > 0).unwrap();
        ppm[at] += WHOLE_PPM - ppm.iter().sum::<u32>();
        let payout = Payout::of(&ppm).expect("sums to the whole");
        // One more holder has what makes every supply equal, as minted sets do.
        let supply = |outcome: usize| holders.iter().map(|holder| holder[outcome]).sum::<i64>();
        let sets = (0..ppm.len()).map(supply).max().unwrap();
        let rest: Vec<i64> = (0..ppm.len()).map(|outcome| sets - supply(outcome)).collect();
        let paid: i64 = holders.iter().chain([&rest]).map(|held| payout.value(held.iter().copied())).sum();
        prop_assert!(paid <= sets);
        prop_assert!(sets - paid <= (holders.len() as i64 + 1) * ppm.len() as i64);
    }
}

#[test]
fn an_undisputed_proposal_is_final_when_its_window_is_over_and_its_bond_returns() {
    let mut resolution = proposed();
    let refusal = resolution.check_final(WINDOW - 1).expect_err("the window is open");
    assert_eq!((refusal.code, refusal.bound, refusal.given), (Code::DISPUTE_WINDOW_OPEN, WINDOW, WINDOW - 1));
    resolution.check_final(WINDOW).expect("the window is over");
    let settled = resolution.finalise();
    assert_eq!((settled.len(), settled[0].returned, settled[0].to_insurance), (1, BASE, 0));
    assert_eq!((resolution.stage, resolution.escrowed()), (stage::FINAL, 0));
    assert_eq!(resolution.check_final(WINDOW).expect_err("once").code, Code::ALREADY_FINAL);
}

#[test]
fn a_dispute_needs_the_open_round_another_vector_and_another_account() {
    let mut resolution = proposed();
    let code = |resolution: &Resolution, round, account, payout: &Payout, evidence, now_ns| {
        resolution.check_dispute(round, account, payout, evidence, now_ns).map_err(|refusal| refusal.code)
    };
    assert_eq!(code(&resolution, 0, 1, &wins(1), 1, WINDOW), Err(Code::DISPUTE_WINDOW_CLOSED));
    assert_eq!(code(&resolution, 1, 1, &wins(1), 1, 0), Err(Code::DISPUTE_WINDOW_CLOSED));
    assert_eq!(code(&resolution, 0, 1, &wins(0), 1, 0), Err(Code::INVALID_PAYOUT_VECTOR));
    assert_eq!(code(&resolution, 0, 0, &wins(1), 1, 0), Err(Code::CONFLICT_OF_INTEREST));
    assert_eq!(code(&resolution, 0, 1, &wins(1), 100, 0), Err(Code::EVIDENCE_LIMIT));
    assert_eq!(code(&resolution, 0, 1, &wins(1), 99, 0), Ok(()));
    disputed(&mut resolution, 0);
    assert_eq!(code(&resolution, 0, 2, &wins(1), 1, 0), Err(Code::DISPUTE_WINDOW_CLOSED));
}

#[test]
fn p15_3_three_of_five_decide_each_votes_once_and_whoever_has_a_bond_does_not() {
    let mut resolution = proposed();
    let check = |resolution: &Resolution, round, arbiter, account, now_ns| {
        resolution.check_vote(round, &[arbiter; 32], account, now_ns).map_err(|refusal| refusal.code)
    };
    assert_eq!(check(&resolution, 0, 1, None, 0), Err(Code::NOT_IN_RESOLUTION));
    disputed(&mut resolution, 0);
    assert_eq!(check(&resolution, 1, 1, None, 0), Err(Code::NOT_IN_RESOLUTION));
    assert_eq!(check(&resolution, 0, 1, None, 48 * HOUR), Err(Code::NOT_IN_RESOLUTION));
    assert_eq!(check(&resolution, 0, 1, Some(1), 0), Err(Code::CONFLICT_OF_INTEREST));
    assert_eq!(check(&resolution, 0, 1, Some(9), 0), Ok(()));
    assert_eq!(resolution.vote([1; 32], wins(1), 0), None);
    assert_eq!(check(&resolution, 0, 1, None, 0), Err(Code::ALREADY_VOTED));
    assert_eq!(resolution.check_final(0).expect_err("not yet").code, Code::QUORUM_NOT_MET);
    assert_eq!(resolution.vote([2; 32], wins(0), 0), None);
    assert_eq!(resolution.vote([3; 32], wins(1), 0), None);
    let decision = resolution.vote([4; 32], wins(1), 7).expect("three for one vector");
    assert_eq!(decision, Decision { verdict: verdict::OVERTURNED, returned: None });
    assert_eq!((resolution.stage, resolution.round), (stage::PROPOSED, 1));
    assert_eq!((resolution.until_ns, resolution.bond()), (7 + 2 * WINDOW, 2 * BASE));
    assert_eq!(resolution.standing(), &wins(1));
}

#[test]
fn p15_4_an_overturned_proposer_pays_the_disputer_and_insurance() {
    let mut resolution = proposed();
    disputed(&mut resolution, 0);
    voted(&mut resolution, &wins(1), 0);
    let settled = resolution.finalise();
    assert_eq!((settled[0].returned, settled[0].winner), (0, 1));
    assert_eq!((settled[0].to_winner, settled[0].to_insurance), (BASE / 2, BASE / 2));
    assert_eq!((settled[1].returned, settled[1].winner), (BASE, 1));
}

#[test]
fn p15_4_a_disputer_of_an_upheld_proposal_pays_the_proposer_and_insurance() {
    let mut resolution = proposed();
    disputed(&mut resolution, 0);
    assert_eq!(voted(&mut resolution, &wins(0), 0).verdict, verdict::UPHELD);
    let settled = resolution.finalise();
    assert_eq!(settled[0].returned, BASE);
    assert_eq!((settled[1].returned, settled[1].winner, settled[1].to_winner), (0, 0, BASE / 2));
}

#[test]
fn a_decision_that_a_later_round_takes_back_costs_whom_it_favoured() {
    let mut resolution = proposed();
    disputed(&mut resolution, 0);
    voted(&mut resolution, &wins(1), 0);
    disputed(&mut resolution, 0);
    voted(&mut resolution, &wins(0), 0);
    let settled = resolution.finalise();
    let ends: Vec<_> = settled.iter().map(|end| (end.returned, end.winner)).collect();
    assert_eq!(ends, [(BASE, 0), (0, 0), (2 * BASE, 2)]);
}

#[test]
fn p15_3_without_a_quorum_the_dispute_is_unjudged_and_the_next_round_opens() {
    let mut resolution = proposed();
    disputed(&mut resolution, 0);
    let decision = resolution.end_voting(48 * HOUR);
    assert_eq!(decision, Decision { verdict: verdict::NO_QUORUM, returned: Some((1, BASE)) });
    assert_eq!((resolution.stage, resolution.round, resolution.escrowed()), (stage::PROPOSED, 1, BASE));
    assert_eq!(resolution.standing(), &wins(0));
    // Five votes without three for one vector end the round at once.
    disputed(&mut resolution, 48 * HOUR);
    for arbiter in 1..=4 {
        let payout = wins(arbiter % 2);
        assert_eq!(resolution.vote([arbiter; 32], payout, 48 * HOUR), None);
    }
    let decision = resolution.vote([5; 32], wins(2), 48 * HOUR).expect("the fifth vote");
    assert_eq!(decision.verdict, verdict::NO_QUORUM);
}

#[test]
fn p15_3_behind_the_last_round_without_a_quorum_the_market_is_invalid_and_every_bond_returns() {
    let mut resolution = proposed();
    for round in 0..6 {
        assert_eq!(resolution.round, round);
        disputed(&mut resolution, 0);
        resolution.end_voting(0);
    }
    assert_eq!((resolution.stage, resolution.standing().choice()), (stage::DECIDED, choice::INVALID));
    let late = resolution.check_dispute(5, 99, &wins(0), 1, 0).expect_err("no seventh round");
    assert_eq!((late.code, late.bound), (Code::MAX_ROUNDS_REACHED, 6));
    resolution.check_final(0).expect("no window is left");
    let settled = resolution.finalise();
    assert_eq!((settled.len(), settled[0].returned), (1, BASE));
}

proptest! {
    #[test]
    fn every_bond_ends_once_and_winners_are_never_losers(
        steps in prop::collection::vec((0_u8..4, 0_u8..3), 1..12),
    ) {
        let mut resolution = proposed();
        let (mut paid_in, mut returned) = (BASE, 0);
        for (deed, outcome) in steps {
            match (resolution.stage, deed) {
                (stage::PROPOSED, 1..) => {
                    disputed(&mut resolution, 0);
                    paid_in += resolution.parties[resolution.parties.len() - 1].bond;
                }
                (stage::DISPUTED, 0) => returned += resolution.end_voting(0).returned.map_or(0, |(_, bond)| bond),
                (stage::DISPUTED, _) => {
                    voted(&mut resolution, &wins(outcome), 0);
                }
                _ => {}
            }
            prop_assert_eq!(resolution.escrowed(), paid_in - returned);
        }
        if resolution.stage == stage::DISPUTED {
            returned += resolution.end_voting(0).returned.map_or(0, |(_, bond)| bond);
        }
        resolution.check_final(i64::MAX).expect("nothing is open");
        let settled = resolution.finalise();
        let losers: Vec<u8> = settled.iter().filter(|end| end.returned == 0).map(|end| end.party).collect();
        let ends: i64 = settled.iter().map(|end| end.returned + end.to_winner + end.to_insurance).sum();
        prop_assert_eq!(returned + ends, paid_in);
        for end in &settled {
            prop_assert!(!losers.contains(&end.winner), "party {} pays a loser", end.party);
            prop_assert_eq!(end.returned == 0, end.winner != end.party);
        }
        prop_assert_eq!(resolution.escrowed(), 0);
    }
}
