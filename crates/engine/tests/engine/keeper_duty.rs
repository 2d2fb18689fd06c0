//! Keepers at work (P13.3–P13.5): the head start, the reward, the rate, duties missed, conflicting publications.

use tradewind_engine::keeper::{action, capability, conflicts, fault};
use tradewind_engine::ledger::line;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind as E, KeeperDutyBody, KeeperScoreBody, RewardBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, Engine};

use crate::keepers::{appeal, register, stake, target, MMT, STAKE, TOKEN};
use crate::prices::*;
use crate::support::*;

const PRICE: i64 = 100_000_000;
/// Moment at which the first funding hour ends.
const HOUR_END: i64 = (START / HOUR + 1) * HOUR;

/// `markets` leveraged markets in operation, a staking asset, and accounts for keepers and sources.
fn working_world(markets: u64) -> World {
    let mut world: World = World::leveraged();
    let token: RegisterAsset = register_asset(symbol("MMT")).payload_as();
    let token = RegisterAsset { asset_flags: asset_flag::STAKE, ..token };
    assert_eq!(world.accept(by(OPERATOR, Kind::RegisterAsset).with(&token)).value, u64::from(MMT));
    for keeper in KEEPERS.into_iter().chain(SOURCES) {
        world.accept(open_account(keeper));
        world.deposit(keeper, MMT, 10_000 * TOKEN);
    }
    for nonce in 1..markets {
        world.accept(perpetual(nonce, 0));
    }
    world.quote_all(0, PRICE);
    world.keep_quoting(0, PRICE, 130);
    world
}

/// The same at the very moment at which the funding hour ends, without a Tick there.
fn at_hour_end(markets: u64, prepare: impl FnOnce(&mut World)) -> World {
    let mut world = working_world(markets);
    prepare(&mut world);
    while world.now_ns < HOUR_END - 20 * SECOND {
        world.advance(10 * SECOND);
        world.tick();
        world.quote_all(0, PRICE);
    }
    world.advance(HOUR_END - world.now_ns);
    world
}

fn crank(keeper: Key, market: u32) -> Command {
    by(keeper, Kind::KeeperAct).with(&KeeperAct { action: action::CRANK, market, ..Record::zero() })
}

fn score(world: &World) -> KeeperScoreBody {
    let found = world.events().into_iter().rev().find(|(kind, _)| *kind == E::KeeperScored);
    found.expect("a score").1.body_as()
}

fn slash_for(signer: Key, keeper: Key, fault: u8, evidence: [u8; 32]) -> Command {
    let keeper = id::account_id(&keeper);
    let terms = SlashKeeper { keeper, evidence, fault, ppm: 100_000, ..Record::zero() };
    by(signer, Kind::SlashKeeper).with(&terms)
}

#[test]
fn p13_5_the_assigned_keeper_has_half_a_second_then_anyone_registered_may_act() {
    let mut world = at_hour_end(1, |world| {
        for keeper in [KEEPERS[0], KEEPERS[1]] {
            world.accept(register(keeper, capability::CRANK, STAKE));
        }
        world.accept(register(KEEPERS[2], capability::LIQUIDATE, STAKE));
        let early = world.refuse(crank(KEEPERS[0], 0), Code::NOTHING_DUE);
        assert_eq!(early.bound, HOUR_END);
    });
    world.refuse(crank(KEEPERS[2], 0), Code::KEEPER_CAPABILITY);
    let mut first = world.clone();
    let expected = usize::from(first.send(crank(KEEPERS[0], 0)).accepted == 0);
    let (assigned, other) = (KEEPERS[expected], KEEPERS[1 - expected]);
    let waiting = world.refuse(crank(other, 0), Code::NOTHING_DUE);
    assert_eq!(waiting.bound, HOUR_END + SECOND / 2);
    let mut at_once = world.clone();
    at_once.accept(crank(assigned, 0));
    assert_eq!(at_once.kinds(), [E::FundingIndexUpdated, E::KeeperScored]);
    assert_eq!((score(&at_once).score_ppm, score(&at_once).actions), (904_762, 1));
    // The second one comes too late, which is no fault.
    at_once.refuse(crank(other, 0), Code::NOTHING_DUE);
    world.advance(SECOND / 2 - 1);
    world.refuse(crank(other, 0), Code::NOTHING_DUE);
    world.advance(1);
    world.accept(crank(other, 0));
    let twin: Engine = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(twin.state_hash(), world.engine.state_hash());
    world.refuse(crank(assigned, 0), Code::NOTHING_DUE);
}

#[test]
fn p13_4_a_valid_crank_is_paid_from_the_maker_fund_while_it_lasts() {
    let mut world = at_hour_end(2, |world| {
        world.accept(register(KEEPERS[0], capability::CRANK, STAKE));
        let spot = world.accept(create_market(77, 10_000, 1_000, 28_000_000, 10_000_000)).value as u32;
        world.deposit(BOB, BTC, FUNDS);
        world.accept(buy(ALICE, spot, 100, 10_000));
        world.accept(sell(BOB, spot, 100, 10_000));
    });
    let fund = world.engine.system_balance(line::MAKER_FUND, 0, USDC);
    assert!((1..10_000).contains(&fund), "{fund}");
    let before = world.free(KEEPERS[0], USDC);
    world.accept(crank(KEEPERS[0], 0));
    assert_eq!(world.kinds(), [E::FundingIndexUpdated, E::KeeperRewarded, E::KeeperScored]);
    let reward: RewardBody = world.events()[1].1.body_as();
    assert_eq!((reward.amount, reward.source), (fund, line::MAKER_FUND));
    assert_eq!(world.free(KEEPERS[0], USDC), before + fund);
    world.accept(crank(KEEPERS[0], 1));
    assert_eq!(world.kinds(), [E::FundingIndexUpdated, E::KeeperScored]);
    world.auditor.verify().expect("I11 holds");
}

#[test]
fn p13_5_ten_actions_a_second_and_not_one_more() {
    let mut world = at_hour_end(12, |world| {
        world.accept(register(KEEPERS[0], capability::CRANK, STAKE));
    });
    for market in 0..10 {
        world.accept(crank(KEEPERS[0], market));
    }
    let limited = world.refuse(crank(KEEPERS[0], 10), Code::KEEPER_RATE_LIMITED);
    assert_eq!(limited.bound, world.now_ns + SECOND / 10);
    world.advance(SECOND / 10);
    world.accept(crank(KEEPERS[0], 10));
    world.refuse(crank(KEEPERS[0], 11), Code::KEEPER_RATE_LIMITED);
}

#[test]
fn p13_1_what_no_keeper_does_the_engine_does_after_two_seconds_and_the_assigned_one_has_a_fault() {
    let mut world = at_hour_end(1, |world| {
        world.accept(register(KEEPERS[0], capability::CRANK, STAKE));
    });
    world.tick();
    world.advance(2 * SECOND - 1);
    world.tick();
    assert!(!world.kinds().contains(&E::FundingIndexUpdated));
    world.advance(1);
    world.tick();
    let kinds = world.kinds();
    assert!(kinds
        .windows(3)
        .any(|found| *found == [E::FundingIndexUpdated, E::KeeperDutyMissed, E::KeeperScored]));
    assert_eq!((score(&world).score_ppm, score(&world).ok), (857_143, 0));
    world.refuse(crank(KEEPERS[0], 0), Code::NOTHING_DUE);
}

#[test]
fn p13_3_duties_missed_for_more_than_an_hour_are_evidence_until_the_keeper_acts() {
    let mut world = at_hour_end(1, |world| {
        world.accept(register(KEEPERS[0], capability::CRANK, STAKE));
    });
    world.advance(2 * SECOND);
    world.tick();
    let found = world.events().into_iter().find(|(kind, _)| *kind == E::KeeperDutyMissed).expect("missed").1;
    let missed: KeeperDutyBody = found.body_as();
    assert_eq!((missed.since_ns, missed.first_missed_ns), (HOUR_END, HOUR_END));
    let slash = |world: &mut World, signer| {
        let command = slash_for(signer, KEEPERS[0], fault::MISSED_DUTY, missed.evidence);
        world.send(command)
    };
    let early = slash(&mut world.clone(), OPERATOR);
    assert_eq!(Code::from_number(early.code), Some(Code::EVIDENCE_INVALID));
    // In the next hour it acts: nothing is missed any more.
    world.wait(HOUR - 2 * SECOND - SECOND);
    world.advance(SECOND);
    let mut diligent = world.clone();
    diligent.accept(crank(KEEPERS[0], 0));
    diligent.wait(HOUR / 2);
    let refused = slash(&mut diligent, OPERATOR);
    assert_eq!(Code::from_number(refused.code), Some(Code::EVIDENCE_INVALID));
    let exact = slash(&mut world.clone(), OPERATOR);
    assert_eq!(Code::from_number(exact.code), Some(Code::EVIDENCE_INVALID), "an hour and not more");
    world.advance(1);
    let unknown = slash_for(OPERATOR, KEEPERS[0], fault::MISSED_DUTY, [1; 32]);
    world.refuse(unknown, Code::EVIDENCE_INVALID);
    assert_eq!(slash(&mut world, OPERATOR).accepted, 1);
    assert_eq!(slash(&mut world, OPERATORS_B_C[0]).accepted, 1);
    assert_eq!(world.kinds(), [E::SlashOpened]);
}

/// Missed duties of one hour after another, as the Ticks tell them.
fn missed_duties(world: &mut World, hours: i64) -> Vec<KeeperDutyBody> {
    let mut missed = Vec::new();
    let end = world.now_ns + hours * HOUR;
    while world.now_ns < end {
        world.advance(10 * SECOND);
        world.tick();
        let told = world.events().into_iter().filter(|(kind, _)| *kind == E::KeeperDutyMissed);
        missed.extend(told.map(|(_, event)| event.body_as::<KeeperDutyBody>()));
        world.quote_all(0, PRICE);
    }
    missed
}

#[test]
fn p13_3_a_row_of_missed_duties_counts_from_its_first_until_it_has_been_paid_for() {
    let mut world = at_hour_end(1, |world| {
        world.accept(register(KEEPERS[0], capability::CRANK, STAKE + TOKEN));
    });
    let missed = missed_duties(&mut world, 2);
    let firsts: Vec<_> = missed.iter().map(|body| (body.since_ns, body.first_missed_ns)).collect();
    assert_eq!(firsts, [(HOUR_END, HOUR_END), (HOUR_END + HOUR, HOUR_END)]);
    assert_eq!(missed[1].evidence, missed[0].evidence);
    let terms = SlashKeeper {
        ppm: 1,
        ..slash_for(OPERATOR, KEEPERS[0], fault::MISSED_DUTY, missed[0].evidence).payload_as()
    };
    world.accept(by(OPERATOR, Kind::SlashKeeper).with(&terms));
    let id = world.accept(by(OPERATORS_B_C[0], Kind::SlashKeeper).with(&terms)).value;
    world.accept(appeal(KEEPERS[0], Kind::AppealSlash, id, 0));
    world.accept(appeal(ARBITER, Kind::DecideAppeal, id, 1));
    // The third fault has suspended it: it has no duty, until it is back.
    world.accept(target(OPERATOR, Kind::ReinstateKeeper, KEEPERS[0]));
    let later = missed_duties(&mut world, 1);
    assert_eq!(later[0].first_missed_ns, later[0].since_ns, "what was paid for is over");
}

#[test]
fn p13_3_a_keeper_below_the_minimum_has_no_duty() {
    let mut world = at_hour_end(1, |world| {
        world.accept(register(KEEPERS[0], capability::CRANK, STAKE));
        world.accept(stake(KEEPERS[0], Kind::UnstakeKeeper, 1));
    });
    assert_eq!(missed_duties(&mut world, 1), []);
}

#[test]
fn p13_5_an_hour_without_an_action_is_told_again_after_the_keeper_has_acted() {
    let mut world = at_hour_end(1, |world| {
        world.accept(register(KEEPERS[0], capability::CRANK, STAKE));
    });
    let idle = |world: &mut World, seconds: i64| {
        let mut told = Vec::new();
        for _ in 0..seconds / 10 {
            world.advance(10 * SECOND);
            world.tick();
            let kinds = world.kinds();
            told.extend(kinds.contains(&E::KeeperIdle).then_some(world.now_ns));
            world.quote_all(0, PRICE);
        }
        told
    };
    world.accept(crank(KEEPERS[0], 0));
    let acted_ns = world.now_ns;
    let mut early = world.clone();
    idle(&mut early, 30 * 60);
    early.advance(acted_ns + HOUR - 1 - early.now_ns);
    early.tick();
    assert!(!early.kinds().contains(&E::KeeperIdle), "an hour and no less");
    assert_eq!(idle(&mut world, 2 * HOUR / SECOND), [acted_ns + HOUR], "an hour after the last action, once");
    world.advance(HOUR_END + 3 * HOUR - world.now_ns);
    world.accept(crank(KEEPERS[0], 0));
    let again_ns = world.now_ns;
    // A snapshot knows that the keeper is watched again.
    world.engine = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(idle(&mut world, HOUR / SECOND + 60), [again_ns + HOUR]);
}

#[test]
fn p13_3_two_values_under_one_number_are_evidence_against_their_source_alone() {
    let mut world = working_world(1);
    for source in [SOURCES[0], SOURCES[1]] {
        world.accept(register(source, capability::INGEST, STAKE));
    }
    let honest = publication(&mut world, 0, PRICE);
    world.accept(publish(SOURCES[0], honest));
    let number = honest.source_seq;
    // The same again is a repetition, another value is a lie.
    world.refuse(publish(SOURCES[0], honest), Code::PUBLISH_OUT_OF_ORDER);
    let evidence = conflicts::evidence(&SOURCES[0], 0, number, PRICE, PRICE + 1);
    let slash = |source| slash_for(OPERATOR, source, fault::CONFLICTING_SIGNATURES, evidence);
    world.refuse(slash(SOURCES[0]), Code::EVIDENCE_INVALID);
    let lie = PublishPrice { value: PRICE + 1, ..honest };
    world.refuse(publish(SOURCES[0], lie), Code::PUBLISH_OUT_OF_ORDER);
    // The cursor remembers what a reject must not put into the state, and a snapshot carries it.
    world.engine = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    world.refuse(slash(SOURCES[1]), Code::EVIDENCE_INVALID);
    world.accept(slash(SOURCES[0]));
}
