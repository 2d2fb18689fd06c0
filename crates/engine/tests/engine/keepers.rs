//! Keepers (P13): stake, standing, slashing on evidence, appeals.

use tradewind_engine::keeper::{action, capability, fault, slash_state};
use tradewind_engine::ledger::line;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind as E, KeeperBody, KeeperStakeBody, SlashBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, Engine};

use crate::support::*;

pub const MMT: u16 = 2;
pub const TOKEN: i64 = 1_000_000;
pub const STAKE: i64 = 1_000 * TOKEN;
const MONTH: i64 = 30 * DAY;

/// A world with a staking asset, and accounts with 10,000 of it for the three keepers.
pub fn staking_world() -> World {
    let mut world = World::new();
    let request = RegisterAsset {
        asset_flags: asset_flag::STAKE,
        ..register_asset(*b"MMT\0\0\0\0\0\0\0\0\0\0\0\0\0").payload_as()
    };
    assert_eq!(world.accept(by(OPERATOR, Kind::RegisterAsset).with(&request)).value, u64::from(MMT));
    for keeper in KEEPERS {
        world.accept(open_account(keeper));
        world.deposit(keeper, MMT, 10_000 * TOKEN);
    }
    world
}

pub fn register(keeper: Key, capabilities: u32, stake: i64) -> Command {
    by(keeper, Kind::RegisterKeeper).with(&RegisterKeeper { capabilities, reserved: 0, stake })
}

pub fn stake(keeper: Key, kind: Kind, amount: i64) -> Command {
    by(keeper, kind).with(&KeeperStake { amount })
}

pub fn target(by_key: Key, kind: Kind, keeper: Key) -> Command {
    by(by_key, kind).with(&KeeperTarget { keeper: id::account_id(&keeper) })
}

pub fn act(keeper: Key, action: u8) -> Command {
    by(keeper, Kind::KeeperAct).with(&KeeperAct { action, market: 0, ..Record::zero() })
}

pub fn slash(signer: Key, keeper: Key, ppm: u32) -> Command {
    by(signer, Kind::SlashKeeper).with(&SlashKeeper {
        keeper: id::account_id(&keeper),
        evidence: [9; 32],
        fault: fault::MALICE,
        ppm,
        ..Record::zero()
    })
}

pub fn appeal(by_key: Key, kind: Kind, slash: u64, uphold: u8) -> Command {
    by(by_key, kind).with(&SlashAppeal { slash, uphold, ..Record::zero() })
}

fn bond(world: &World, keeper: Key) -> i64 {
    world.engine.balance(&id::account_id(&keeper), 0, MMT, line::BOND).expect("a known account")
}

/// A snapshot restores to an engine with the same state that has the same things to do.
fn restores(world: &World) {
    let twin: Engine = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(twin.state_hash(), world.engine.state_hash());
    assert_eq!(twin.cursor_hash(), world.engine.cursor_hash());
    assert_eq!(twin.next_due_ns(), world.engine.next_due_ns());
}

#[test]
fn p13_1_a_keeper_registers_once_with_the_minimum_stake_that_moves_to_its_bond() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.refuse(register(keeper, 0, STAKE), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(register(keeper, 32, STAKE), Code::PARAMETER_OUT_OF_BOUNDS);
    let low = world.refuse(register(keeper, capability::CRANK, STAKE - 1), Code::KEEPER_STAKE_TOO_LOW);
    assert_eq!((low.bound, low.given), (STAKE, STAKE - 1));
    world.refuse(register(keeper, capability::CRANK, 10_001 * TOKEN), Code::INSUFFICIENT_BALANCE);
    let reserved = RegisterKeeper { capabilities: capability::CRANK, reserved: 1, stake: STAKE };
    world.refuse(by(keeper, Kind::RegisterKeeper).with(&reserved), Code::RESERVED_NOT_ZERO);
    world.accept(register(keeper, capability::CRANK, STAKE));
    let (kind, event) = world.events()[0];
    let body: KeeperBody = event.body_as();
    assert_eq!(
        (kind, body.amount, body.bonded, body.minimum_stake),
        (E::KeeperRegistered, STAKE, STAKE, STAKE)
    );
    assert_eq!((bond(&world, keeper), world.free(keeper, MMT)), (STAKE, 9_000 * TOKEN));
    world.refuse(register(keeper, capability::CRANK, STAKE), Code::ALREADY_EXISTS);
    world.auditor.verify().expect("I23 holds");
    restores(&world);
}

#[test]
fn without_a_staking_asset_nobody_becomes_a_keeper() {
    let mut world: World = World::new();
    world.refuse(register(ALICE, capability::GENERAL, STAKE), Code::ASSET_NOT_FOUND);
}

#[test]
fn p13_1_stake_unbonds_for_seven_days_and_no_day_less() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    for kind in [Kind::StakeKeeper, Kind::UnstakeKeeper, Kind::WithdrawKeeperStake] {
        world.refuse(stake(keeper, kind, 1), Code::KEEPER_NOT_REGISTERED);
    }
    world.accept(register(keeper, capability::GENERAL, STAKE));
    for kind in [Kind::StakeKeeper, Kind::UnstakeKeeper, Kind::WithdrawKeeperStake] {
        world.refuse(stake(keeper, kind, 0), Code::INVALID_AMOUNT);
        world.refuse(stake(keeper, kind, i64::MAX), Code::INSUFFICIENT_BALANCE);
        world.refuse(Command { principal: BOB, ..stake(keeper, kind, 1) }, Code::UNAUTHORIZED_SIGNER);
    }
    world.accept(stake(keeper, Kind::StakeKeeper, 500 * TOKEN));
    assert_eq!(bond(&world, keeper), 1_500 * TOKEN);
    world.refuse(stake(keeper, Kind::UnstakeKeeper, 1_500 * TOKEN + 1), Code::INSUFFICIENT_BALANCE);
    world.accept(stake(keeper, Kind::UnstakeKeeper, 600 * TOKEN));
    let body: KeeperStakeBody = world.events()[0].1.body_as();
    assert_eq!((body.bonded, body.unbonding), (900 * TOKEN, 600 * TOKEN));
    assert_eq!(body.ready_ns, world.now_ns + 7 * DAY);
    // Below the minimum it stays registered and may not act.
    let low = world.refuse(act(keeper, action::TRIGGER), Code::KEEPER_STAKE_TOO_LOW);
    assert_eq!((low.bound, low.given), (STAKE, 900 * TOKEN));
    world.wait(7 * DAY - 1);
    let early = world.refuse(stake(keeper, Kind::WithdrawKeeperStake, 1), Code::UNBONDING);
    assert_eq!(early.bound, body.ready_ns);
    world.advance(1);
    world.refuse(stake(keeper, Kind::WithdrawKeeperStake, 600 * TOKEN + 1), Code::INSUFFICIENT_BALANCE);
    world.accept(stake(keeper, Kind::WithdrawKeeperStake, 600 * TOKEN));
    assert_eq!((bond(&world, keeper), world.free(keeper, MMT)), (900 * TOKEN, 9_100 * TOKEN));
    world.auditor.verify().expect("I23 holds");
    restores(&world);
}

#[test]
fn a_stake_lives_on_sub_account_zero() {
    let mut world = staking_world();
    world.accept(by(KEEPERS[0], Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..Record::zero() }));
    let other = Command { sub: 1, ..register(KEEPERS[0], capability::CRANK, STAKE) };
    world.refuse(other, Code::PARAMETER_OUT_OF_BOUNDS);
}

#[test]
fn p13_6_removal_works_at_once_even_for_the_last_keeper_and_the_stake_unbonds() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.refuse(target(OPERATOR, Kind::RemoveKeeper, keeper), Code::KEEPER_NOT_REGISTERED);
    world.refuse(target(OPERATOR, Kind::RemoveKeeper, key(0x61)), Code::ACCOUNT_NOT_FOUND);
    world.accept(register(keeper, capability::GENERAL, STAKE));
    world.refuse(target(ALICE, Kind::RemoveKeeper, keeper), Code::PERMISSION_DENIED);
    world.refuse(act(keeper, action::TRIGGER), Code::NOTHING_DUE);
    world.accept(target(OPERATOR, Kind::RemoveKeeper, keeper));
    world.refuse(act(keeper, action::TRIGGER), Code::KEEPER_NOT_REGISTERED);
    world.refuse(stake(keeper, Kind::StakeKeeper, 1), Code::KEEPER_NOT_REGISTERED);
    world.refuse(stake(keeper, Kind::WithdrawKeeperStake, STAKE), Code::UNBONDING);
    restores(&world);
    world.wait(7 * DAY);
    world.accept(stake(keeper, Kind::WithdrawKeeperStake, STAKE));
    assert_eq!((bond(&world, keeper), world.free(keeper, MMT)), (0, 10_000 * TOKEN));
    world.refuse(stake(keeper, Kind::WithdrawKeeperStake, 1), Code::KEEPER_NOT_REGISTERED);
    world.accept(register(keeper, capability::GENERAL, STAKE));
}

#[test]
fn row_0803_answers_in_the_order_of_its_checks() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.refuse(act(keeper, 5), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(act(keeper, 0), Code::PARAMETER_OUT_OF_BOUNDS);
    let stray = KeeperAct { action: action::CRANK, order: 1, ..Record::zero() };
    world.refuse(by(keeper, Kind::KeeperAct).with(&stray), Code::RESERVED_NOT_ZERO);
    world.refuse(act(keeper, action::LIQUIDATE), Code::KEEPER_NOT_REGISTERED);
    world.accept(register(keeper, capability::LIQUIDATE, STAKE));
    world.refuse(act(keeper, action::CRANK), Code::KEEPER_CAPABILITY);
    world.accept(stake(keeper, Kind::UnstakeKeeper, 1));
    world.refuse(act(keeper, action::CRANK), Code::KEEPER_CAPABILITY);
    world.refuse(act(keeper, action::LIQUIDATE), Code::KEEPER_STAKE_TOO_LOW);
    world.accept(stake(keeper, Kind::StakeKeeper, 1));
    world.refuse(act(keeper, action::LIQUIDATE), Code::ACCOUNT_NOT_FOUND);
    let position = |target: Key, market| KeeperAct {
        action: action::LIQUIDATE,
        market,
        target: id::account_id(&target),
        ..Record::zero()
    };
    world.refuse(by(keeper, Kind::KeeperAct).with(&position(ALICE, 9)), Code::MARKET_NOT_FOUND);
    world.refuse(by(keeper, Kind::KeeperAct).with(&position(ALICE, 0)), Code::POSITION_NOT_FOUND);
    let direct = Liquidate { target: id::account_id(&ALICE), market: 0, ..Record::zero() };
    world.refuse(by(keeper, Kind::Liquidate).with(&direct), Code::POSITION_NOT_FOUND);
    world.refuse(by(KEEPERS[1], Kind::Liquidate).with(&direct), Code::KEEPER_NOT_REGISTERED);
    world.refuse(by(ALICE, Kind::KeeperAct).with(&position(ALICE, 0)), Code::PERMISSION_DENIED);
    // A keeper's act is judged as what it does, and a bond does not move in a freeze either.
    freeze(&mut world, ALL_MARKETS, START + HOUR);
    world.refuse(by(keeper, Kind::KeeperAct).with(&position(ALICE, 0)), Code::FROZEN);
    world.refuse(stake(keeper, Kind::UnstakeKeeper, 1), Code::FROZEN);
}

#[test]
fn p13_3_two_signers_open_a_slash_and_a_week_later_it_takes_its_share_for_insurance() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.refuse(slash(OPERATOR, keeper, 100_000), Code::KEEPER_NOT_REGISTERED);
    world.accept(register(keeper, capability::GENERAL, STAKE));
    world.accept(stake(keeper, Kind::UnstakeKeeper, 300 * TOKEN));
    let too_much = world.refuse(slash(OPERATOR, keeper, 100_001), Code::SLASH_TOO_LARGE);
    assert_eq!((too_much.bound, too_much.given), (100_000, 100_001));
    world.refuse(slash(OPERATOR, keeper, 0), Code::PARAMETER_OUT_OF_BOUNDS);
    let blank = SlashKeeper { evidence: [0; 32], ..slash(OPERATOR, keeper, 5).payload_as() };
    world.refuse(by(OPERATOR, Kind::SlashKeeper).with(&blank), Code::EVIDENCE_INVALID);
    for fault in [fault::MISSED_DUTY, fault::CONFLICTING_SIGNATURES] {
        let unfounded = SlashKeeper { fault, ..slash(OPERATOR, keeper, 5).payload_as() };
        world.refuse(by(OPERATOR, Kind::SlashKeeper).with(&unfounded), Code::EVIDENCE_INVALID);
    }
    world.refuse(slash(RISK, keeper, 5), Code::PERMISSION_DENIED);
    let id = world.accept(slash(OPERATOR, keeper, 100_000)).value;
    assert_eq!(world.kinds(), [E::SlashSigned]);
    world.refuse(slash(OPERATOR, keeper, 100_000), Code::SELF_APPROVAL);
    assert_eq!(world.accept(slash(OPERATORS_B_C[0], keeper, 100_000)).value, id);
    assert_eq!(world.kinds(), [E::SlashOpened]);
    world.refuse(slash(OPERATORS_B_C[1], keeper, 100_000), Code::EVIDENCE_INVALID);
    assert_eq!(bond(&world, keeper), STAKE);
    // Unbonded after a week, but frozen until the slash has been decided.
    restores(&world);
    world.wait(7 * DAY - HOUR);
    world.advance(HOUR - 1);
    world.refuse(stake(keeper, Kind::WithdrawKeeperStake, 300 * TOKEN), Code::UNBONDING);
    world.advance(1);
    world.refuse(stake(keeper, Kind::WithdrawKeeperStake, 300 * TOKEN), Code::UNBONDING);
    world.tick();
    let slashed = world.events().into_iter().find(|(kind, _)| *kind == E::KeeperSlashed).expect("due").1;
    let body: SlashBody = slashed.body_as();
    assert_eq!((body.amount, body.state), (100 * TOKEN, slash_state::DONE));
    assert_eq!(bond(&world, keeper), 900 * TOKEN);
    assert_eq!(world.engine.system_balance(line::INSURANCE, 0, MMT), 100 * TOKEN);
    world.accept(stake(keeper, Kind::WithdrawKeeperStake, 300 * TOKEN));
    // The same evidence is not used twice.
    world.refuse(slash(OPERATOR, keeper, 100_000), Code::EVIDENCE_INVALID);
    world.auditor.verify().expect("I11 and I23 hold");
    restores(&world);
}

#[test]
fn p13_3_a_slash_needs_three_who_could_sign_and_two_who_still_may() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.accept(register(keeper, capability::GENERAL, STAKE));
    world.accept(slash(OPERATOR, keeper, 10_000));
    let suspend = |who| by(ADMIN_A, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal: who });
    world.accept(suspend(OPERATORS_B_C[1]));
    let few = world.refuse(slash(OPERATORS_B_C[0], keeper, 10_000), Code::NOT_ENOUGH_SIGNERS);
    assert_eq!((few.bound, few.given), (3, 2));
    let reinstate =
        |who| by(who, Kind::ReinstatePrincipal).with(&SuspendPrincipal { principal: OPERATORS_B_C[1] });
    world.accept(reinstate(ADMIN_A));
    world.accept(reinstate(ADMIN_B));
    // A first signature lapses after a day.
    world.wait(DAY);
    assert!(world.kinds().contains(&E::SlashLapsed));
    world.accept(slash(OPERATORS_B_C[0], keeper, 10_000));
    assert_eq!(world.kinds(), [E::SlashSigned]);
    assert_eq!(bond(&world, keeper), STAKE);
}

#[test]
fn row_0805_an_appeal_stops_a_slash_until_an_arbiter_decides() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.accept(register(keeper, capability::GENERAL, STAKE));
    let open = |world: &mut World, evidence: u8| {
        let terms = SlashKeeper { evidence: [evidence; 32], ..slash(OPERATOR, keeper, 50_000).payload_as() };
        world.accept(by(OPERATOR, Kind::SlashKeeper).with(&terms));
        world.accept(by(OPERATORS_B_C[1], Kind::SlashKeeper).with(&terms)).value
    };
    let first = open(&mut world, 1);
    world.refuse(appeal(keeper, Kind::AppealSlash, first + 9, 0), Code::APPEAL_WINDOW_CLOSED);
    world.refuse(appeal(ALICE, Kind::AppealSlash, first, 0), Code::WRONG_OWNER);
    world.refuse(appeal(keeper, Kind::AppealSlash, first, 1), Code::RESERVED_NOT_ZERO);
    world.refuse(appeal(ARBITER, Kind::DecideAppeal, first, 1), Code::INVALID_TRANSITION);
    world.wait(3 * DAY);
    world.accept(appeal(keeper, Kind::AppealSlash, first, 0));
    world.refuse(appeal(keeper, Kind::AppealSlash, first, 0), Code::INVALID_TRANSITION);
    // The window of the slash passes without effect while an arbiter is asked.
    world.wait(5 * DAY);
    assert_eq!(bond(&world, keeper), STAKE);
    world.refuse(appeal(OPERATOR, Kind::DecideAppeal, first, 0), Code::PERMISSION_DENIED);
    world.refuse(appeal(ARBITER, Kind::DecideAppeal, first, 2), Code::PARAMETER_OUT_OF_BOUNDS);
    world.accept(appeal(ARBITER, Kind::DecideAppeal, first, 0));
    assert_eq!(world.kinds(), [E::SlashReversed]);
    let second = open(&mut world, 2);
    world.accept(appeal(keeper, Kind::AppealSlash, second, 0));
    world.accept(appeal(ARBITER, Kind::DecideAppeal, second, 1));
    assert_eq!(world.kinds()[..2], [E::SlashConfirmed, E::KeeperSlashed]);
    assert_eq!(bond(&world, keeper), 950 * TOKEN);
    // An appeal that nobody decides reverses the slash.
    let third = open(&mut world, 3);
    world.accept(appeal(keeper, Kind::AppealSlash, third, 0));
    world.wait(7 * DAY);
    assert_eq!(bond(&world, keeper), 950 * TOKEN);
    world.refuse(appeal(ARBITER, Kind::DecideAppeal, third, 1), Code::APPEAL_WINDOW_CLOSED);
    // Too late to appeal, though the Tick that takes the money has not come yet.
    let fourth = open(&mut world, 4);
    world.wait(7 * DAY - HOUR);
    world.advance(HOUR);
    world.refuse(appeal(keeper, Kind::AppealSlash, fourth, 0), Code::APPEAL_WINDOW_CLOSED);
    world.auditor.verify().expect("I23 holds");
}

#[test]
fn p13_2_faults_suspend_days_or_an_appeal_bring_back() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.accept(register(keeper, capability::GENERAL, STAKE + TOKEN));
    world.refuse(target(OPERATOR, Kind::ReinstateKeeper, keeper), Code::INVALID_TRANSITION);
    // Three upheld slashes are three faults: 0.783627.
    for evidence in 1..=3 {
        world.refuse(act(keeper, action::TRIGGER), Code::NOTHING_DUE);
        let terms = SlashKeeper { evidence: [evidence; 32], ..slash(OPERATOR, keeper, 1).payload_as() };
        world.accept(by(OPERATOR, Kind::SlashKeeper).with(&terms));
        let id = world.accept(by(OPERATORS_B_C[0], Kind::SlashKeeper).with(&terms)).value;
        world.accept(appeal(keeper, Kind::AppealSlash, id, 0));
        world.accept(appeal(ARBITER, Kind::DecideAppeal, id, 1));
    }
    assert_eq!(world.kinds().last(), Some(&E::KeeperSuspended));
    world.accept(stake(keeper, Kind::StakeKeeper, TOKEN));
    let suspended = world.refuse(act(keeper, action::TRIGGER), Code::KEEPER_SUSPENDED);
    assert_eq!((suspended.bound, suspended.given), (world.now_ns + DAY, 783_627));
    let mut appealed = world.clone();
    appealed.accept(target(OPERATOR, Kind::ReinstateKeeper, keeper));
    appealed.refuse(act(keeper, action::TRIGGER), Code::NOTHING_DUE);
    appealed.wait(2 * DAY);
    // One day is not enough for this score, two are.
    world.wait(DAY);
    world.refuse(act(keeper, action::TRIGGER), Code::KEEPER_SUSPENDED);
    restores(&world);
    world.wait(DAY);
    world.refuse(act(keeper, action::TRIGGER), Code::NOTHING_DUE);
}

#[test]
fn p13_5_an_idle_hour_is_told_once() {
    let mut world = staking_world();
    world.accept(register(KEEPERS[0], capability::CRANK, STAKE));
    let mut told = 0;
    for _ in 0..200 {
        world.advance(60 * SECOND);
        world.tick();
        told += world.kinds().iter().filter(|kind| **kind == E::KeeperIdle).count();
    }
    assert_eq!(told, 1);
    restores(&world);
    assert!(world.now_ns < START + MONTH);
}
