//! Resolution and redemption through the engine (P15.1–P15.7, rows 0603 and 0B01–0B04).

use tradewind_engine::audit::Auditor;
use tradewind_engine::ledger::line;
use tradewind_engine::resolution::payout::{choice, pack, Packed};
use tradewind_engine::resolution::{stage, verdict};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::outcome::{claim, outcome_request, sets};
use crate::outcome_books::on;
use crate::support::*;

pub const USD: i64 = 1_000_000;
pub const BOND: i64 = 1_000 * USD;
const PROOF: Key = key(0xEF);

/// An outcome market that settles two hours from now.
pub fn short_market(world: &mut World, outcome_count: u8) -> u32 {
    let nonce = 500 + world.engine.sizes().1 as u64;
    let settle_time_ns = world.now_ns + 2 * HOUR;
    let request = CreateMarket { settle_time_ns, taker_fee_e6bp: 0, ..outcome_request(nonce, outcome_count) };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32
}

/// A market in which ALICE and BOB have minted sets and whose settle time has come.
pub fn closed_market(world: &mut World, outcome_count: u8) -> u32 {
    let market = short_market(world, outcome_count);
    world.accept(sets(ALICE, Kind::MintSet, market, 700));
    world.accept(sets(BOB, Kind::MintSet, market, 300));
    world.wait(2 * HOUR);
    market
}

pub fn says(owner: Key, kind: Kind, market: u32, round: u8, outcome: u8) -> Command {
    let request = ClaimPayout {
        market,
        choice: outcome,
        round,
        evidence_items: 1,
        bond: 64_000 * USD,
        evidence: PROOF,
        ..ClaimPayout::zero()
    };
    by(owner, kind).with(&request)
}

pub fn proposal(owner: Key, market: u32, outcome: u8) -> Command {
    says(owner, Kind::ProposeResolution, market, 0, outcome)
}

pub fn dispute(owner: Key, market: u32, round: u8, outcome: u8) -> Command {
    says(owner, Kind::DisputeResolution, market, round, outcome)
}

pub fn changed(command: Command, change: impl FnOnce(&mut ClaimPayout)) -> Command {
    let mut payload: ClaimPayout = command.payload_as();
    change(&mut payload);
    command.with(&payload)
}

pub fn vote(arbiter: Key, market: u32, round: u8, outcome: u8) -> Command {
    let request = VoteResolution { market, round, choice: outcome, ..VoteResolution::zero() };
    by(arbiter, Kind::VoteResolution).with(&request)
}

fn one(owner: Key, kind: Kind, market: u32) -> Command {
    by(owner, kind).with(&OneMarket { market, reserved: 0 })
}

pub fn finalise(market: u32) -> Command {
    one(CAROL, Kind::FinaliseResolution, market)
}

pub fn redeem(owner: Key, market: u32) -> Command {
    one(owner, Kind::Redeem, market)
}

pub fn escrow(world: &World, line: u8, market: u32) -> i64 {
    world.engine.system_balance(line, market + 1, USDC)
}

pub fn insurance(world: &World) -> i64 {
    world.engine.system_balance(line::INSURANCE, 0, USDC)
}

/// CAROL proposes outcome 0, BOB disputes for outcome 1.
fn disputed(world: &mut World, outcomes: u8) -> u32 {
    let market = closed_market(world, outcomes);
    world.accept(proposal(CAROL, market, 0));
    world.accept(dispute(BOB, market, 0, 1));
    market
}

pub fn decided(world: &mut World, market: u32, round: u8, outcome: u8) {
    for arbiter in &ARBITERS[..3] {
        world.accept(vote(*arbiter, market, round, outcome));
    }
}

/// The same state, restored; its auditor starts anew and every part is verified.
fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    world.auditor = Auditor::from_engine(&world.engine).expect("a sound state");
    world.auditor.verify().expect("every invariant");
}

#[test]
fn p2_3_1_at_its_settle_time_a_market_cancels_what_is_open_and_is_closed() {
    let mut world: World = World::new();
    let market = short_market(&mut world, 2);
    let early = world.refuse(proposal(CAROL, market, 0), Code::TOO_EARLY);
    assert_eq!((early.bound, early.given), (world.now_ns + 2 * HOUR, world.now_ns));
    restored(&mut world);
    world.wait(2 * HOUR - 1);
    world.refuse(proposal(CAROL, market, 0), Code::TOO_EARLY);
    world.wait(1);
    assert!(world.kinds().ends_with(&[
        EventKind::MarketClosing,
        EventKind::CancelAllDone,
        EventKind::MarketClosed
    ]));
    world.accept(proposal(CAROL, market, 0));
}

#[test]
fn markets_with_one_settle_time_close_together() {
    let mut world: World = World::new();
    let settle_time_ns = world.now_ns + 2 * HOUR;
    let markets: Vec<u32> = (0..40)
        .map(|number| {
            let request = CreateMarket { settle_time_ns, ..outcome_request(700 + number, 2) };
            world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32
        })
        .collect();
    world.wait(2 * HOUR);
    let closed = world.kinds().iter().filter(|kind| **kind == EventKind::MarketClosed).count();
    assert_eq!(closed, markets.len());
    assert_eq!(world.batch.commands.len(), 3, "16 due items a command");
}

#[test]
fn a_market_that_its_operator_closes_needs_no_settle_time_any_more() {
    let mut world: World = World::new();
    let market = short_market(&mut world, 2);
    world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 }));
    assert!(world.engine.next_due_ns().is_none_or(|due_ns| due_ns < world.now_ns + 2 * HOUR));
    world.accept(proposal(CAROL, market, 1));
}

#[test]
fn p15_an_undisputed_proposal_pays_the_winners_and_leaves_nothing_in_escrow() {
    let mut world: World = World::new();
    let market = closed_market(&mut world, 3);
    let before = [ALICE, BOB, CAROL].map(|owner| world.free(owner, USDC));
    world.accept(proposal(CAROL, market, 2));
    let shown: ClaimBody = world.events()[0].1.body_as();
    assert_eq!((shown.choice, shown.round, shown.bond, shown.exposure), (2, 0, BOND, 0));
    assert_eq!(shown.until_ns, world.now_ns + 2 * HOUR);
    assert_eq!(escrow(&world, line::BOND_ESCROW, market), BOND);
    assert_eq!(world.free(CAROL, USDC), before[2] - BOND);
    world.refuse(proposal(ALICE, market, 1), Code::ALREADY_PROPOSED);
    world.refuse(redeem(ALICE, market), Code::NOT_RESOLVED);
    let open = world.refuse(finalise(market), Code::DISPUTE_WINDOW_OPEN);
    assert_eq!(open.bound, shown.until_ns);
    // Merging stays open until the payout is final (P15.7).
    world.accept(sets(ALICE, Kind::MergeSet, market, 200));
    restored(&mut world);
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    let kinds = [EventKind::ResolutionFinal, EventKind::BondSettled, EventKind::MarketResolved];
    assert_eq!(world.kinds(), kinds);
    let end: FinalBody = world.events()[0].1.body_as();
    assert_eq!((end.choice, end.rounds, end.disputes, end.escrow, end.owed), (2, 1, 0, 800_000, 800_000));
    world.refuse(finalise(market), Code::ALREADY_FINAL);
    world.refuse(proposal(CAROL, market, 0), Code::ALREADY_FINAL);
    world.refuse(sets(ALICE, Kind::MergeSet, market, 1), Code::MARKET_NOT_ACTIVE);
    restored(&mut world);
    world.refuse(redeem(CAROL, market), Code::NOTHING_TO_REDEEM);
    assert_eq!(world.accept(redeem(ALICE, market)).value, 500_000);
    world.refuse(redeem(ALICE, market), Code::NOTHING_TO_REDEEM);
    assert_eq!(claim(&world, ALICE, market, 0), (0, 0));
    assert_eq!(world.accept(redeem(BOB, market)).value, 300_000);
    assert_eq!(escrow(&world, line::SET_ESCROW, market), 0);
    let after = [ALICE, BOB, CAROL].map(|owner| world.free(owner, USDC));
    assert_eq!(after, [before[0] + 700_000, before[1] + 300_000, before[2]]);
    world.auditor.verify().unwrap();
}

#[test]
fn p15_4_an_overturned_proposal_costs_its_bond_half_to_the_disputer_half_to_insurance() {
    let mut world: World = World::new();
    let market = disputed(&mut world, 2);
    let before = [BOB, CAROL].map(|owner| world.free(owner, USDC));
    assert_eq!(escrow(&world, line::BOND_ESCROW, market), 2 * BOND);
    world.refuse(finalise(market), Code::QUORUM_NOT_MET);
    world.accept(vote(ARBITERS[0], market, 0, 1));
    let body: VoteBody = world.events()[0].1.body_as();
    assert_eq!((body.arbiter, body.votes, body.votes_for), (ARBITERS[0], 1, 1));
    restored(&mut world);
    world.refuse(vote(ARBITERS[0], market, 0, 0), Code::ALREADY_VOTED);
    world.accept(vote(ARBITERS[1], market, 0, 0));
    world.accept(vote(ARBITERS[2], market, 0, 1));
    world.accept(vote(ARBITERS[3], market, 0, 1));
    assert_eq!(world.kinds(), [EventKind::VoteCast, EventKind::DisputeDecided]);
    let body: DecisionBody = world.events()[1].1.body_as();
    assert_eq!((body.verdict, body.choice, body.stage), (verdict::OVERTURNED, 1, stage::PROPOSED));
    assert_eq!((body.next_round, body.until_ns, body.returned), (1, world.now_ns + 4 * HOUR, 0));
    world.refuse(vote(ARBITERS[4], market, 0, 1), Code::NOT_IN_RESOLUTION);
    world.refuse(dispute(ALICE, market, 0, 0), Code::DISPUTE_WINDOW_CLOSED);
    let poor = changed(dispute(ALICE, market, 1, 0), |request| request.bond = 2 * BOND - 1);
    let low = world.refuse(poor, Code::BOND_TOO_LOW);
    assert_eq!((low.bound, low.given), (2 * BOND, 2 * BOND - 1));
    restored(&mut world);
    world.wait(4 * HOUR);
    world.refuse(dispute(ALICE, market, 1, 0), Code::DISPUTE_WINDOW_CLOSED);
    let insured = insurance(&world);
    world.accept(finalise(market));
    let after = [BOB, CAROL].map(|owner| world.free(owner, USDC));
    assert_eq!(after, [before[0] + BOND + BOND / 2, before[1]]);
    assert_eq!(insurance(&world), insured + BOND / 2);
    assert_eq!(escrow(&world, line::BOND_ESCROW, market), 0);
    world.accept(redeem(ALICE, market));
    world.accept(redeem(BOB, market));
    assert_eq!(escrow(&world, line::SET_ESCROW, market), 0);
    world.auditor.verify().unwrap();
}

#[test]
fn p15_3_no_quorum_in_48_hours_returns_the_bond_and_opens_the_next_round_until_the_market_is_invalid() {
    let mut world: World = World::new();
    let market = closed_market(&mut world, 3);
    world.accept(proposal(CAROL, market, 0));
    let before = world.free(BOB, USDC);
    for round in 0..6 {
        world.accept(dispute(BOB, market, round, 1));
        let bond = world.events()[0].1.body_as::<ClaimBody>().bond;
        assert_eq!(bond, BOND << round);
        assert_eq!(world.free(BOB, USDC), before - bond);
        world.accept(vote(ARBITERS[0], market, round, 1));
        restored(&mut world);
        world.wait(48 * HOUR);
        let events = world.events();
        let decided = events.iter().find(|event| event.0 == EventKind::DisputeDecided).expect("decided");
        let body: DecisionBody = decided.1.body_as();
        assert_eq!((body.verdict, body.round, body.returned), (verdict::NO_QUORUM, round, bond));
        assert_eq!(world.free(BOB, USDC), before);
    }
    world.refuse(dispute(BOB, market, 5, 1), Code::MAX_ROUNDS_REACHED);
    world.accept(finalise(market));
    let body: FinalBody = world.events()[0].1.body_as();
    assert_eq!((body.choice, body.rounds, body.disputes), (choice::INVALID, 6, 6));
    // Thirds of a million ppm: the first outcome pays one ppm more.
    assert_eq!(world.accept(redeem(ALICE, market)).value, 700_000);
    assert_eq!(world.accept(redeem(BOB, market)).value, 300_000);
    assert_eq!(escrow(&world, line::SET_ESCROW, market), 0);
}

#[test]
fn p15_6_exposure_above_ten_bonds_is_shown_and_raises_the_bond() {
    let mut world: World = World::new();
    let market = short_market(&mut world, 2);
    // BOB holds 30,000 claims on outcome 0 alone.
    let lots = 30_000_000;
    world.accept(sets(ALICE, Kind::MintSet, market, lots));
    world.accept(place(ALICE, on(market, 0, side::SELL, 500, lots)));
    world.accept(place(BOB, on(market, 0, side::BUY, 500, lots)));
    assert_eq!(claim(&world, BOB, market, 0), (30_000 * USD, 0));
    world.wait(2 * HOUR);
    let offers = |command: Command, bond: i64| changed(command, |request| request.bond = bond);
    let low = world.refuse(offers(proposal(BOB, market, 0), 3_000 * USD - 1), Code::CONFLICT_OF_INTEREST);
    assert_eq!((low.bound, low.given), (3_000 * USD, 3_000 * USD - 1));
    let disputed = &mut world.clone();
    disputed.accept(proposal(CAROL, market, 1));
    let low = disputed.refuse(offers(dispute(BOB, market, 0, 0), 3_000 * USD - 1), Code::BOND_TOO_LOW);
    assert_eq!(low.bound, 3_000 * USD);
    disputed.accept(offers(dispute(BOB, market, 0, 0), 3_000 * USD));
    world.accept(offers(proposal(BOB, market, 0), 3_000 * USD));
    let body: ClaimBody = world.events()[0].1.body_as();
    assert_eq!((body.exposure, body.bond), (30_000 * USD, 3_000 * USD));
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    // Only claims on the loser are left, and they are worth nothing: the escrow is empty before they are redeemed.
    assert_eq!(world.accept(redeem(BOB, market)).value, 30_000_000_000);
    assert_eq!(escrow(&world, line::SET_ESCROW, market), 0);
    assert_eq!(world.accept(redeem(ALICE, market)).value, 0);
    assert_eq!(world.engine.claim_supply(market, 1), 0);
}

#[test]
fn p2_3_1_open_orders_end_at_the_settle_time_and_give_back_what_they_held() {
    let mut world: World = World::new();
    let market = short_market(&mut world, 2);
    world.accept(sets(ALICE, Kind::MintSet, market, 1_000));
    let free = world.free(BOB, USDC);
    for number in 0..90 {
        world.accept(place(ALICE, on(market, 0, side::SELL, 600, 10)));
        world.accept(place(BOB, on(market, 0, side::BUY, 500 - number, 10)));
    }
    assert!(world.held(BOB, USDC) > 0 && claim(&world, ALICE, market, 0) == (100_000, 900_000));
    world.wait(2 * HOUR);
    // 180 cancels need three commands.
    assert!(world.batch.commands.len() >= 3);
    assert_eq!((world.free(BOB, USDC), world.held(BOB, USDC)), (free, 0));
    assert_eq!(claim(&world, ALICE, market, 0), (1_000_000, 0));
    world.accept(proposal(CAROL, market, 0));
}

#[test]
fn p15_6_complete_sets_are_no_exposure() {
    let mut world: World = World::new();
    let market = short_market(&mut world, 2);
    world.accept(sets(ALICE, Kind::MintSet, market, 40_000_000));
    world.wait(2 * HOUR);
    world.accept(proposal(ALICE, market, 0));
    assert_eq!(world.events()[0].1.body_as::<ClaimBody>().exposure, 0);
}

#[test]
fn p15_1_an_explicit_vector_is_shown_whole_and_pays_by_the_floor() {
    let mut world: World = World::new();
    let market = short_market(&mut world, 20);
    for (owner, lots) in [(ALICE, 7), (BOB, 3)] {
        world.accept(sets(owner, Kind::MintSet, market, lots));
    }
    world.wait(2 * HOUR);
    let packed: Packed = pack(&[(0, 333_333), (7, 333_333), (19, 333_334)]).unwrap();
    let command = changed(proposal(CAROL, market, choice::VECTOR), |request| {
        (request.entries, request.packed) = (3, packed);
    });
    world.accept(command);
    let kinds = [
        EventKind::PayoutShown,
        EventKind::PayoutShown,
        EventKind::ResolutionProposed,
        EventKind::MarketResolving,
    ];
    assert_eq!(world.kinds(), kinds);
    let (first, second): (PayoutBody, PayoutBody) =
        (world.events()[0].1.body_as(), world.events()[1].1.body_as());
    assert_eq!((first.first, first.count, second.first, second.count), (0, 16, 16, 4));
    assert_eq!(second.ppm[12..16], 333_334_u32.to_le_bytes());
    restored(&mut world);
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    assert_eq!(world.accept(redeem(ALICE, market)).value, 7_000);
    assert_eq!(world.accept(redeem(BOB, market)).value, 3_000);
    assert_eq!(escrow(&world, line::SET_ESCROW, market), 0);
}

type Build = fn(&mut World) -> Command;

#[test]
fn every_reject_of_a_resolution_changes_nothing() {
    let cases: &[(Code, Build)] = &[
        (Code::MARKET_NOT_FOUND, |_| proposal(CAROL, 99, 0)),
        (Code::INVALID_MARKET_KIND, |_| proposal(CAROL, 0, 0)),
        (Code::INVALID_MARKET_KIND, |_| dispute(CAROL, 0, 0, 0)),
        (Code::INVALID_MARKET_KIND, |_| vote(ARBITER, 0, 0, 0)),
        (Code::INVALID_MARKET_KIND, |_| finalise(0)),
        (Code::INVALID_MARKET_KIND, |_| redeem(ALICE, 0)),
        (Code::MARKET_NOT_FOUND, |_| redeem(ALICE, 99)),
        (Code::RESERVED_NOT_ZERO, |world| {
            let market = closed_market(world, 2);
            changed(proposal(CAROL, market, 0), |request| request.round = 1)
        }),
        (Code::RESERVED_NOT_ZERO, |world| {
            let market = closed_market(world, 2);
            by(CAROL, Kind::FinaliseResolution).with(&OneMarket { market, reserved: 1 })
        }),
        (Code::RESERVED_NOT_ZERO, |world| {
            let market = closed_market(world, 2);
            by(CAROL, Kind::Redeem).with(&OneMarket { market, reserved: 1 })
        }),
        (Code::RESERVED_NOT_ZERO, |world| {
            let market = disputed(world, 2);
            let request = VoteResolution { market, reserved: 1, ..VoteResolution::zero() };
            by(ARBITER, Kind::VoteResolution).with(&request)
        }),
        (Code::INVALID_PAYOUT_VECTOR, |world| {
            let market = closed_market(world, 2);
            proposal(CAROL, market, 2)
        }),
        (Code::INVALID_PAYOUT_VECTOR, |world| {
            let market = disputed(world, 2);
            vote(ARBITER, market, 0, 64)
        }),
        (Code::EVIDENCE_INVALID, |world| {
            let market = closed_market(world, 2);
            changed(proposal(CAROL, market, 0), |request| request.evidence = [0; 32])
        }),
        (Code::EVIDENCE_LIMIT, |world| {
            let market = closed_market(world, 2);
            changed(proposal(CAROL, market, 0), |request| request.evidence_items = 101)
        }),
        (Code::EVIDENCE_LIMIT, |world| {
            let market = closed_market(world, 2);
            world.accept(proposal(CAROL, market, 0));
            changed(dispute(BOB, market, 0, 1), |request| request.evidence_items = 100)
        }),
        (Code::BOND_TOO_LOW, |world| {
            let market = closed_market(world, 2);
            changed(proposal(CAROL, market, 0), |request| request.bond = BOND - 1)
        }),
        (Code::INSUFFICIENT_BALANCE, |world| {
            let market = closed_market(world, 2);
            let free = world.free(CAROL, USDC);
            let payload = Transfer { to_sub: 1, asset: USDC, amount: free - BOND + 1, ..Transfer::zero() };
            world.accept(
                by(CAROL, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..OpenSubAccount::zero() }),
            );
            world.accept(by(CAROL, Kind::Transfer).with(&payload));
            proposal(CAROL, market, 0)
        }),
        (Code::NOT_IN_RESOLUTION, |world| {
            let market = closed_market(world, 2);
            dispute(CAROL, market, 0, 0)
        }),
        (Code::NOT_IN_RESOLUTION, |world| {
            let market = closed_market(world, 2);
            vote(ARBITER, market, 0, 0)
        }),
        (Code::NOT_IN_RESOLUTION, |world| {
            let market = closed_market(world, 2);
            finalise(market)
        }),
        (Code::NOT_IN_RESOLUTION, |world| {
            let market = disputed(world, 2);
            vote(ARBITER, market, 1, 0)
        }),
        (Code::CONFLICT_OF_INTEREST, |world| {
            let market = closed_market(world, 2);
            world.accept(proposal(CAROL, market, 0));
            dispute(CAROL, market, 0, 1)
        }),
        // An arbiter who holds the market.
        (Code::CONFLICT_OF_INTEREST, |world| {
            let market = short_market(world, 2);
            world.accept(open_account(ARBITER));
            world.deposit(ARBITER, USDC, 10 * USD);
            world.accept(sets(ARBITER, Kind::MintSet, market, 1));
            world.wait(2 * HOUR);
            world.accept(proposal(CAROL, market, 0));
            world.accept(dispute(BOB, market, 0, 1));
            vote(ARBITER, market, 0, 0)
        }),
        (Code::PERMISSION_DENIED, |world| {
            let market = disputed(world, 2);
            vote(OPERATOR, market, 0, 0)
        }),
        (Code::INVALID_PAYOUT_VECTOR, |world| {
            let market = closed_market(world, 2);
            world.accept(proposal(CAROL, market, 0));
            dispute(BOB, market, 0, 0)
        }),
    ];
    let fresh: World = World::new();
    for (code, build) in cases {
        let mut world = fresh.clone();
        let command = build(&mut world);
        world.refuse(command, *code);
    }
}
