//! Markets that accounts list themselves, and their bonds (row 0101, P15.4).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::governance::parameters::Parameter;
use tradewind_engine::ledger::line;
use tradewind_engine::resolution::payout::choice;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::audit::Recording;
use crate::resolution::*;
use crate::support::*;

/// The governed bond, and the part of it for whoever is right.
const LISTING: i64 = 100 * USD;
const REWARD: i64 = 10 * USD;

pub fn listing_request(world: &World, nonce: u64) -> ListMarket {
    ListMarket {
        nonce,
        market_kind: 2,
        outcome_count: 2,
        quote: USDC,
        tick_size: 1_000,
        lot_size: 1_000,
        settle_time_ns: world.now_ns + 2 * HOUR,
        bond: LISTING,
        ..ListMarket::zero()
    }
}

fn listed(owner: Key, request: ListMarket) -> Command {
    by(owner, Kind::ListMarket).with(&request)
}

/// Governance sets a parameter of the platform, whose configuration has had so many changes.
fn set(world: &mut World, config_version: u32, parameter: Parameter, value: i64) {
    let request = SetParameter { parameter: parameter as u32, config_version, value };
    world.govern(by(GOVERNOR, Kind::SetParameter).with(&request), config_version);
}

/// Governance has opened the listing.
pub fn open_world() -> World {
    let mut world: World = World::new();
    set(&mut world, 0, Parameter::ListingOpen, 1);
    world
}

fn list(world: &mut World, owner: Key, nonce: u64) -> u32 {
    let request = listing_request(world, nonce);
    world.accept(listed(owner, request)).value as u32
}

fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    world.auditor = Auditor::from_engine(&world.engine).expect("a sound state");
    world.auditor.verify().expect("every invariant");
}

/// The end of a bond as its event tells it.
fn ended(world: &World) -> ListingEndBody {
    let found = world.events().into_iter().find(|(kind, _)| *kind == EventKind::ListingEnded);
    found.expect("a listing ends").1.body_as()
}

#[test]
fn row_0101_nobody_lists_a_market_before_governance_opens_the_listing() {
    let mut world: World = World::new();
    let request = listing_request(&world, 1);
    world.refuse(listed(ALICE, request), Code::PERMISSION_DENIED);
    world.refuse(listed(OPERATOR, request), Code::PERMISSION_DENIED);
    set(&mut world, 0, Parameter::ListingOpen, 1);
    let request = listing_request(&world, 1);
    world.refuse(Command { principal: BOB, ..listed(ALICE, request) }, Code::UNAUTHORIZED_SIGNER);
    world.accept(listed(ALICE, request));
    world.wait(DAY);
    set(&mut world, 1, Parameter::ListingOpen, 0);
    let request = listing_request(&world, 2);
    world.refuse(listed(ALICE, request), Code::PERMISSION_DENIED);
}

#[test]
fn row_0101_a_listed_market_is_its_accounts_with_the_platforms_terms_and_a_bond_in_escrow() {
    let mut world = open_world();
    let before = world.free(ALICE, USDC);
    let request = ListMarket { bond: LISTING + 5, outcome_count: 3, ..listing_request(&world, 7) };
    let market = world.accept(listed(ALICE, request)).value as u32;
    let kinds = [
        EventKind::MarketCreated,
        EventKind::MarketIdentified,
        EventKind::MarketActivated,
        EventKind::ListingBonded,
    ];
    assert_eq!(world.kinds(), kinds);
    let made: MarketBody = world.events()[0].1.body_as();
    assert_eq!((made.taker_fee_e6bp, made.maker_fee_e6bp, made.market_flags), (28_000_000, 0, 1 << 8));
    assert_eq!((made.band_bp, made.slippage_bp), (1_000, 100));
    assert_eq!((made.min_notional, made.max_notional), (USD, 1_000_000 * USD));
    assert_eq!(world.events()[0].1.account, 0);
    let bond: ListingBody = world.events()[3].1.body_as();
    assert_eq!((bond.bond, bond.reward), (LISTING, REWARD), "what the rule asks for, not what was offered");
    assert_eq!(escrow(&world, line::BOND_ESCROW, market), LISTING);
    assert_eq!(world.free(ALICE, USDC), before - LISTING);
    restored(&mut world);
    assert_eq!(world.engine.listing(market).expect("listed").bond, LISTING);
}

#[test]
fn row_0101_each_check_of_a_listing_has_its_code() {
    let mut world = open_world();
    let good = listing_request(&world, 1);
    let changed = |change: fn(&mut ListMarket)| {
        let mut request = good;
        change(&mut request);
        listed(ALICE, request)
    };
    world.refuse(changed(|one| one.market_kind = 0), Code::INVALID_MARKET_KIND);
    world.refuse(changed(|one| one.market_kind = 1), Code::INVALID_MARKET_KIND);
    world.refuse(changed(|one| one.market_kind = 9), Code::INVALID_MARKET_KIND);
    world.refuse(changed(|one| one.reserved = 1), Code::RESERVED_NOT_ZERO);
    world.refuse(changed(|one| one.outcome_count = 1), Code::INVALID_OUTCOME_COUNT);
    world.refuse(changed(|one| one.outcome_count = 65), Code::INVALID_OUTCOME_COUNT);
    world.refuse(changed(|one| one.quote = 99), Code::ASSET_NOT_FOUND);
    world.refuse(changed(|one| one.tick_size = 3_000), Code::INVALID_TICK_LOT);
    world.refuse(changed(|one| one.settle_time_ns = START), Code::TOO_EARLY);
    let low = world.refuse(changed(|one| one.bond -= 1), Code::BOND_TOO_LOW);
    assert_eq!((low.bound, low.given), (LISTING, LISTING - 1));
    let poor = key(0x77);
    world.accept(open_account(poor));
    world.refuse(listed(poor, good), Code::INSUFFICIENT_BALANCE);
    world.accept(listed(ALICE, good));
    world.refuse(listed(ALICE, good), Code::ALREADY_EXISTS);
}

#[test]
fn row_0101_the_bond_is_in_the_settlement_asset_where_there_is_one() {
    let mut world = World::leveraged();
    let mut symbol = [0; 16];
    symbol[..4].copy_from_slice(b"PLAY");
    let play = world.accept(register_asset(symbol)).value as u16;
    set(&mut world, 0, Parameter::ListingOpen, 1);
    world.deposit(ALICE, play, 1_000 * USD);
    let request = ListMarket { quote: play, ..listing_request(&world, 1) };
    let refused = world.refuse(listed(ALICE, request), Code::ASSET_NOT_FOUND);
    assert_eq!((refused.bound, refused.given), (i64::from(USDC), i64::from(play)));
    world.accept(listed(ALICE, ListMarket { quote: USDC, ..request }));
}

#[test]
fn row_0101_an_account_has_a_bounded_number_of_listings_that_are_not_final() {
    let mut world = open_world();
    let first = list(&mut world, ALICE, 0);
    for nonce in 1..16 {
        list(&mut world, ALICE, nonce);
    }
    let request = listing_request(&world, 16);
    let full = world.refuse(listed(ALICE, request), Code::MARKET_LIMIT_REACHED);
    assert_eq!((full.bound, full.given), (16, 16));
    list(&mut world, BOB, 1);
    restored(&mut world);
    let request = listing_request(&world, 17);
    world.refuse(listed(ALICE, request), Code::MARKET_LIMIT_REACHED);
    world.wait(2 * HOUR);
    world.accept(proposal(CAROL, first, 0));
    world.wait(2 * HOUR);
    world.accept(finalise(first));
    // What is final makes room.
    list(&mut world, ALICE, 18);
    let request = listing_request(&world, 19);
    world.refuse(listed(ALICE, request), Code::MARKET_LIMIT_REACHED);
}

#[test]
fn p15_4_an_undisputed_proposer_is_rewarded_out_of_the_listing_bond_and_the_rest_returns() {
    let mut world = open_world();
    let market = list(&mut world, ALICE, 1);
    // Terms of a listing are those of its moment.
    set(&mut world, 1, Parameter::ListingRewardPct, 50);
    let before = [ALICE, CAROL].map(|owner| world.free(owner, USDC));
    world.accept(proposal(CAROL, market, 1));
    assert_eq!(escrow(&world, line::BOND_ESCROW, market), BOND + LISTING);
    restored(&mut world);
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    let kinds = [
        EventKind::ResolutionFinal,
        EventKind::BondSettled,
        EventKind::ListingEnded,
        EventKind::MarketResolved,
    ];
    assert_eq!(world.kinds(), kinds);
    let end = ended(&world);
    assert_eq!(
        (end.bond, end.reward, end.returned, end.to_insurance),
        (LISTING, REWARD, LISTING - REWARD, 0)
    );
    assert_eq!((end.winner, end.winner_sub), (2, 0));
    let after = [ALICE, CAROL].map(|owner| world.free(owner, USDC));
    assert_eq!(after, [before[0] + LISTING - REWARD, before[1] + REWARD]);
    assert_eq!(escrow(&world, line::BOND_ESCROW, market), 0);
    assert_eq!(world.engine.listing(market), None);
    restored(&mut world);
}

#[test]
fn p15_4_of_a_disputed_resolution_whoever_said_first_what_is_final_is_rewarded() {
    // What the arbiters say in each disputed round, and whom the last of them rewards (handles: CAROL 2, BOB 1).
    for (rounds, rewarded) in [(vec![0], 2), (vec![1], 1), (vec![1, 0], 2)] {
        let mut world = open_world();
        let market = list(&mut world, ALICE, 1);
        world.wait(2 * HOUR);
        world.accept(proposal(CAROL, market, 0));
        for (round, decided_for) in rounds.iter().enumerate() {
            let round = round as u8;
            let against = if round == 0 { BOB } else { OPERATOR };
            world.accept(dispute(against, market, round, if round == 0 { 1 } else { 0 }));
            decided(&mut world, market, round, *decided_for);
        }
        world.wait(16 * HOUR);
        world.accept(finalise(market));
        assert_eq!(ended(&world).winner, rewarded, "{rounds:?}");
        restored(&mut world);
    }
}

#[test]
fn p15_4_a_judged_invalid_forfeits_the_rest_and_an_unjudged_one_nothing() {
    let mut world = open_world();
    let market = list(&mut world, ALICE, 1);
    world.wait(2 * HOUR);
    let insured = insurance(&world);
    world.accept(proposal(CAROL, market, choice::INVALID));
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    let end = ended(&world);
    assert_eq!((end.reward, end.returned, end.to_insurance), (REWARD, 0, LISTING - REWARD));
    assert_eq!(insurance(&world), insured + LISTING - REWARD);

    let market = list(&mut world, ALICE, 2);
    world.wait(2 * HOUR);
    world.accept(proposal(CAROL, market, 0));
    for round in 0..6 {
        world.accept(dispute(BOB, market, round, 1));
        world.wait(48 * HOUR);
    }
    world.accept(finalise(market));
    let end = ended(&world);
    assert_eq!((end.reward, end.returned, end.to_insurance), (0, LISTING, 0));
    assert_eq!(end.winner, NO_ACCOUNT);
    restored(&mut world);
}

#[test]
fn i23_the_auditor_sees_a_listing_bond_that_is_not_what_the_rule_asks_for() {
    let mut world = open_world();
    let request = listing_request(&world, 1);
    let made = || Recording::of(&mut world.clone(), listed(ALICE, request));
    let kind = EventKind::ListingBonded;
    made().breaks("I23", |r| r.edit(kind, |body: &mut ListingBody| body.bond -= 1));
    made().breaks("I23", |r| r.edit(kind, |body: &mut ListingBody| body.reward += 1));
    made().breaks("I23", |r| {
        r.drop_events(kind);
    });
    let market = list(&mut world, ALICE, 1);
    world.wait(2 * HOUR);
    world.accept(proposal(CAROL, market, 0));
    world.wait(2 * HOUR);
    let end = || Recording::of(&mut world.clone(), finalise(market));
    let kind = EventKind::ListingEnded;
    end().breaks("I23", |r| r.edit(kind, |body: &mut ListingEndBody| body.winner = 0));
    end().breaks("I23", |r| r.edit(kind, |body: &mut ListingEndBody| body.reward += 1));
    end().breaks("I23", |r| {
        r.edit(kind, |body: &mut ListingEndBody| std::mem::swap(&mut body.returned, &mut body.to_insurance))
    });
    end().breaks("I23", |r| {
        r.drop_events(kind);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Whatever becomes final, and whoever says so: the bond is paid out once and in full, and nothing stays in escrow.
    #[test]
    fn p15_4_every_ending_pays_the_listing_bond_out_in_full(
        outcomes in 2_u8..=5,
        proposed in 0_u8..=5,
        rounds in prop::collection::vec((0_u8..3, 0_u8..=5), 0..6),
    ) {
        let named = |number: u8| if number < outcomes { number } else { choice::INVALID };
        let mut world = open_world();
        let request = ListMarket { outcome_count: outcomes, ..listing_request(&world, 1) };
        let owners = [ALICE, BOB, CAROL, OPERATOR];
        let money = |world: &World| -> i64 {
            owners.iter().map(|owner| world.free(*owner, USDC)).sum::<i64>() + insurance(world)
        };
        let before = money(&world);
        let market = world.accept(listed(ALICE, request)).value as u32;
        world.wait(2 * HOUR);
        world.accept(proposal(CAROL, market, named(proposed)));
        for (round, (votes, counter)) in rounds.into_iter().enumerate() {
            let disputer = if round % 2 == 0 { BOB } else { OPERATOR };
            let claim = dispute(disputer, market, round as u8, named(counter));
            if world.send(claim).accepted == 0 {
                break;
            }
            match votes {
                0 => world.wait(48 * HOUR),
                1 => decided(&mut world, market, round as u8, named(counter)),
                _ => decided(&mut world, market, round as u8, named(proposed)),
            }
        }
        world.wait(128 * HOUR);
        world.accept(finalise(market));
        let end = ended(&world);
        prop_assert_eq!(end.reward + end.returned + end.to_insurance, LISTING);
        prop_assert!(end.reward == 0 || end.reward == REWARD);
        prop_assert_eq!(escrow(&world, line::BOND_ESCROW, market), 0);
        prop_assert_eq!(money(&world), before);
        world.auditor.verify().expect("every invariant");
    }
}
