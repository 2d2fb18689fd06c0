//! The small print of keepers (P13): who may sign what, when a duty is missed, two keepers for large actions.

use tradewind_engine::keeper::{action, capability, fault, keeper_state};
use tradewind_engine::ledger::line;
use tradewind_engine::limits::{MAX_KEEPERS, MAX_SLASHES};
use tradewind_engine::roles::OPERATOR as OPERATOR_ROLE;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind as E, KeeperDutyBody, KeeperScoreBody, LargeActionBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, Engine};

use crate::arena::*;
use crate::keepers::{act, appeal, register, slash, stake, staking_world, target, MMT, STAKE, TOKEN};
use crate::support::*;

fn scores(world: &World, kind: E) -> Vec<KeeperScoreBody> {
    let found = world.events().into_iter().filter(|(of, _)| *of == kind);
    found.map(|(_, event)| event.body_as()).collect()
}

/// Two signatures under a slash of 1 ppm, an appeal, and an arbiter who confirms it: a fault without waiting.
fn fault_of(keeper: Key, evidence: u8) -> [Command; 2] {
    let terms = SlashKeeper { evidence: [evidence; 32], ..slash(OPERATOR, keeper, 1).payload_as() };
    [OPERATOR, OPERATORS_B_C[0]].map(|signer| by(signer, Kind::SlashKeeper).with(&terms))
}

fn at_fault(world: &mut World, keeper: Key, evidence: u8) {
    let [first, second] = fault_of(keeper, evidence);
    world.accept(first);
    let id = world.accept(second).value;
    world.accept(appeal(keeper, Kind::AppealSlash, id, 0));
    world.accept(appeal(ARBITER, Kind::DecideAppeal, id, 1));
}

#[test]
fn p13_1_the_registry_holds_so_many_keepers_and_no_more() {
    let mut world = staking_world();
    let keepers: Vec<Key> = (0..=MAX_KEEPERS as u16)
        .map(|number| {
            let mut key = [0x5C; 32];
            key[..2].copy_from_slice(&number.to_le_bytes());
            key
        })
        .collect();
    for some in keepers.chunks(128) {
        let mut commands = Vec::new();
        for &keeper in some {
            let mut external_id = [0x5D; 32];
            external_id[..2].copy_from_slice(&keeper[..2]);
            commands.push(open_account(keeper));
            commands.push(deposit(keeper, MMT, STAKE, external_id));
        }
        let keyed: Vec<Command> = commands
            .into_iter()
            .map(|command| Command { client_key: world.fresh_key(), ..command })
            .collect();
        assert!(world.run(&keyed).iter().all(|result| result.accepted == 1));
    }
    let (last, others) = keepers.split_last().expect("keepers");
    for &keeper in others {
        world.accept(register(keeper, capability::CRANK, STAKE));
    }
    let full = world.refuse(register(*last, capability::CRANK, STAKE), Code::CAPACITY_EXCEEDED);
    assert_eq!(full.bound, MAX_KEEPERS as i64);
    world.accept(target(OPERATOR, Kind::RemoveKeeper, others[7]));
    world.accept(register(*last, capability::CRANK, STAKE));
}

#[test]
fn p13_1_all_that_is_free_may_be_staked_and_every_stake_is_that_of_the_main_account() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.accept(by(keeper, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..Record::zero() }));
    world.accept(register(keeper, capability::TRIGGER, 10_000 * TOKEN));
    for kind in [Kind::StakeKeeper, Kind::UnstakeKeeper, Kind::WithdrawKeeperStake] {
        let elsewhere = Command { sub: 1, ..stake(keeper, kind, TOKEN) };
        world.refuse(elsewhere, Code::PARAMETER_OUT_OF_BOUNDS);
    }
    world.refuse(Command { sub: 1, ..act(keeper, action::TRIGGER) }, Code::PARAMETER_OUT_OF_BOUNDS);
    // All of the bond may unbond; what does is not withdrawn early, and no more of it than there is.
    world.accept(stake(keeper, Kind::UnstakeKeeper, 10_000 * TOKEN));
    world.refuse(stake(keeper, Kind::WithdrawKeeperStake, 0), Code::INVALID_AMOUNT);
    world.refuse(stake(keeper, Kind::WithdrawKeeperStake, 10_000 * TOKEN + 1), Code::INSUFFICIENT_BALANCE);
    world.refuse(stake(keeper, Kind::UnstakeKeeper, 0), Code::INVALID_AMOUNT);
    world.refuse(act(keeper, action::TRIGGER), Code::KEEPER_STAKE_TOO_LOW);
}

#[test]
fn p13_1_general_does_everything_and_nothing_else_stands_for_another() {
    let mut world = staking_world();
    world.accept(register(KEEPERS[0], capability::GENERAL, STAKE));
    world.accept(register(KEEPERS[1], capability::TRIGGER | capability::INGEST, STAKE));
    for wanted in [action::TRIGGER, action::INGEST] {
        world.refuse(act(KEEPERS[0], wanted), Code::NOTHING_DUE);
        world.refuse(act(KEEPERS[1], wanted), Code::NOTHING_DUE);
    }
    world.refuse(act(KEEPERS[0], action::LIQUIDATE), Code::ACCOUNT_NOT_FOUND);
    world.refuse(act(KEEPERS[0], action::CRANK), Code::INVALID_MARKET_KIND);
    for wanted in [action::LIQUIDATE, action::CRANK] {
        let missing = world.refuse(act(KEEPERS[1], wanted), Code::KEEPER_CAPABILITY);
        assert_eq!((missing.bound, missing.given), (1 << (wanted - 1), 6));
    }
    let stray = KeeperAct { action: action::TRIGGER, target: [1; 32], ..Record::zero() };
    world.refuse(by(KEEPERS[0], Kind::KeeperAct).with(&stray), Code::RESERVED_NOT_ZERO);
}

#[test]
fn p13_3_one_signature_freezes_nothing_and_a_slash_freezes_the_stake_of_its_keeper_alone() {
    let mut world = staking_world();
    for keeper in [KEEPERS[0], KEEPERS[1]] {
        world.accept(register(keeper, capability::TRIGGER, STAKE + TOKEN));
        world.accept(stake(keeper, Kind::UnstakeKeeper, TOKEN));
    }
    world.wait(7 * DAY);
    world.accept(slash(OPERATOR, KEEPERS[0], 1_000));
    world.clone().accept(stake(KEEPERS[0], Kind::WithdrawKeeperStake, TOKEN));
    world.accept(slash(OPERATORS_B_C[0], KEEPERS[0], 1_000));
    world.refuse(stake(KEEPERS[0], Kind::WithdrawKeeperStake, TOKEN), Code::UNBONDING);
    world.accept(stake(KEEPERS[1], Kind::WithdrawKeeperStake, TOKEN));
}

#[test]
fn p13_3_two_signatures_count_for_the_same_keeper_fault_share_and_evidence_alone() {
    let mut world = staking_world();
    for keeper in [KEEPERS[0], KEEPERS[1]] {
        world.accept(register(keeper, capability::GENERAL, STAKE));
    }
    world.accept(slash(OPERATOR, KEEPERS[0], 1_000));
    let same: SlashKeeper = slash(OPERATOR, KEEPERS[0], 1_000).payload_as();
    for other in [
        SlashKeeper { keeper: id::account_id(&KEEPERS[1]), ..same },
        SlashKeeper { fault: fault::FALSE_EXECUTION, ..same },
        SlashKeeper { ppm: 1_001, ..same },
        SlashKeeper { evidence: [8; 32], ..same },
    ] {
        world.accept(by(OPERATORS_B_C[0], Kind::SlashKeeper).with(&other));
        assert_eq!(world.kinds(), [E::SlashSigned]);
    }
    world.refuse(
        by(OPERATOR, Kind::SlashKeeper).with(&SlashKeeper { fault: 0, ..same }),
        Code::PARAMETER_OUT_OF_BOUNDS,
    );
    world.refuse(
        by(OPERATOR, Kind::SlashKeeper).with(&SlashKeeper { fault: 5, ..same }),
        Code::PARAMETER_OUT_OF_BOUNDS,
    );
    let reserved = SlashKeeper { reserved: 1, ..same };
    world.refuse(by(OPERATORS_B_C[0], Kind::SlashKeeper).with(&reserved), Code::RESERVED_NOT_ZERO);
    world.accept(by(OPERATORS_B_C[0], Kind::SlashKeeper).with(&same));
    assert_eq!(world.kinds(), [E::SlashOpened]);
}

#[test]
fn p13_3_a_signer_who_lost_the_right_since_no_longer_counts() {
    let mut world = staking_world();
    world.accept(register(KEEPERS[0], capability::GENERAL, STAKE));
    let fourth = key(0xE7);
    let expiry_ns = world.now_ns + 100 * DAY;
    let granted = GrantRole { principal: fourth, role: OPERATOR_ROLE, expiry_ns, ..Record::zero() };
    world.govern(by(ADMIN_A, Kind::GrantRole).with(&granted), 0);
    world.accept(slash(OPERATOR, KEEPERS[0], 1_000));
    let taken = GrantRole { principal: OPERATOR, role: OPERATOR_ROLE, ..Record::zero() };
    world.accept(by(ADMIN_A, Kind::RevokeRole).with(&taken));
    world.accept(slash(fourth, KEEPERS[0], 1_000));
    assert_eq!(world.kinds(), [E::SlashSigned], "the first signature that stands");
    world.accept(slash(OPERATORS_B_C[0], KEEPERS[0], 1_000));
    assert_eq!(world.kinds(), [E::SlashOpened]);
}

#[test]
fn p13_3_verdicts_come_within_the_window_and_appeals_name_nothing_that_is_reserved() {
    let mut world = staking_world();
    world.accept(register(KEEPERS[0], capability::GENERAL, STAKE));
    world.accept(slash(OPERATOR, KEEPERS[0], 1_000));
    let id = world.accept(slash(OPERATORS_B_C[0], KEEPERS[0], 1_000)).value;
    let bare = SlashAppeal { slash: id, ..Record::zero() };
    for reserved in [
        SlashAppeal { reserved: 1, ..bare },
        SlashAppeal { reserved2: 1, ..bare },
        SlashAppeal { reserved3: 1, ..bare },
    ] {
        world.refuse(by(KEEPERS[0], Kind::AppealSlash).with(&reserved), Code::RESERVED_NOT_ZERO);
        world.refuse(by(ARBITER, Kind::DecideAppeal).with(&reserved), Code::RESERVED_NOT_ZERO);
    }
    world.accept(appeal(KEEPERS[0], Kind::AppealSlash, id, 0));
    // The Tick that reverses it has not come yet.
    world.advance(7 * DAY);
    let late = world.refuse(appeal(ARBITER, Kind::DecideAppeal, id, 1), Code::APPEAL_WINDOW_CLOSED);
    assert_eq!((late.bound, late.given), (world.now_ns, world.now_ns));
}

#[test]
fn p13_6_the_stake_of_a_removed_keeper_unbonds_for_seven_days_and_no_nanosecond_less() {
    let mut world = staking_world();
    world.accept(register(KEEPERS[0], capability::GENERAL, STAKE));
    world.accept(target(OPERATOR, Kind::RemoveKeeper, KEEPERS[0]));
    world.wait(7 * DAY - HOUR);
    world.advance(HOUR - 1);
    world.refuse(stake(KEEPERS[0], Kind::WithdrawKeeperStake, STAKE), Code::UNBONDING);
    world.advance(1);
    world.accept(stake(KEEPERS[0], Kind::WithdrawKeeperStake, STAKE));
}

#[test]
fn p13_3_slashes_under_way_are_bounded() {
    let mut world = staking_world();
    world.accept(register(KEEPERS[0], capability::GENERAL, STAKE));
    let signed = |number: usize| {
        let mut evidence = [0x77; 32];
        evidence[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let terms = SlashKeeper { evidence, ..slash(OPERATOR, KEEPERS[0], 1).payload_as() };
        by(OPERATOR, Kind::SlashKeeper).with(&terms)
    };
    for number in 0..MAX_SLASHES {
        world.accept(signed(number));
    }
    let full = world.refuse(signed(MAX_SLASHES), Code::CAPACITY_EXCEEDED);
    assert_eq!(full.bound, MAX_SLASHES as i64);
}

#[test]
fn p14_2_nobody_signs_decides_or_reinstates_for_a_keeper_of_his_own() {
    let mut world = staking_world();
    for owner in [OPERATOR, ARBITER] {
        world.send(open_account(owner));
        world.deposit(owner, MMT, 2 * STAKE);
        world.accept(register(owner, capability::GENERAL, STAKE));
    }
    world.refuse(slash(OPERATOR, OPERATOR, 1_000), Code::CONFLICT_OF_INTEREST);
    let terms = slash(OPERATOR, ARBITER, 1_000);
    world.accept(terms);
    let id = world.accept(slash(OPERATORS_B_C[0], ARBITER, 1_000)).value;
    world.accept(appeal(ARBITER, Kind::AppealSlash, id, 0));
    world.refuse(appeal(ARBITER, Kind::DecideAppeal, id, 0), Code::CONFLICT_OF_INTEREST);
    world.accept(appeal(ARBITERS[1], Kind::DecideAppeal, id, 0));
    for evidence in 1..=3 {
        for signer in OPERATORS_B_C {
            let terms = SlashKeeper { evidence: [evidence; 32], ..slash(signer, OPERATOR, 1).payload_as() };
            world.accept(by(signer, Kind::SlashKeeper).with(&terms));
        }
        let id = u64::from(evidence);
        world.accept(appeal(OPERATOR, Kind::AppealSlash, id, 0));
        world.accept(appeal(ARBITER, Kind::DecideAppeal, id, 1));
    }
    world.refuse(target(OPERATOR, Kind::ReinstateKeeper, OPERATOR), Code::CONFLICT_OF_INTEREST);
    world.accept(target(OPERATORS_B_C[0], Kind::ReinstateKeeper, OPERATOR));
}

#[test]
fn p13_3_a_slash_takes_the_keeper_below_the_minimum_and_out_of_the_draw() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.accept(register(keeper, capability::GENERAL, STAKE));
    world.refuse(act(keeper, action::TRIGGER), Code::NOTHING_DUE);
    at_fault(&mut world, keeper, 4);
    let low = world.refuse(act(keeper, action::TRIGGER), Code::KEEPER_STAKE_TOO_LOW);
    assert_eq!((low.bound, low.given), (STAKE, STAKE - STAKE / 1_000_000));
    assert_eq!(world.engine.system_balance(line::INSURANCE, 0, MMT), STAKE / 1_000_000);
    assert_eq!(world.engine.system_balance(line::MAKER_FUND, 0, MMT), 0);
}

#[test]
fn p13_5_a_score_of_90_percent_is_no_alert_and_less_is_and_three_faults_suspend() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.accept(register(keeper, capability::GENERAL, STAKE + TOKEN));
    world.advance(HOUR - 1);
    world.tick();
    assert_eq!(scores(&world, E::KeeperIdle), []);
    world.advance(1);
    world.tick();
    let idle = scores(&world, E::KeeperIdle);
    assert_eq!((idle.len(), idle[0].score_ppm, idle[0].alert), (1, 900_000, 0));
    for (evidence, score_ppm) in [(1, 857_143), (2, 818_554), (3, 783_627)] {
        at_fault(&mut world, keeper, evidence);
        let scored = scores(&world, E::KeeperScored);
        assert_eq!((scored[0].score_ppm, scored[0].ok, scored[0].alert), (score_ppm, 0, 1));
        assert_eq!(scores(&world, E::KeeperSuspended).len(), usize::from(evidence == 3));
    }
    world.clone().accept(target(OPERATOR, Kind::ReinstateKeeper, keeper));
    let mut appealed = world.clone();
    appealed.accept(target(OPERATOR, Kind::ReinstateKeeper, keeper));
    let back = scores(&appealed, E::KeeperReinstated);
    assert_eq!((back[0].score_ppm, back[0].state), (850_000, keeper_state::ACTIVE));
    world.wait(DAY);
    assert_eq!(scores(&world, E::KeeperReinstated), []);
    let reviewed = scores(&world, E::KeeperReviewed);
    assert_eq!((reviewed.len(), reviewed[0].state), (1, keeper_state::SUSPENDED));
    world.wait(DAY);
    assert_eq!(scores(&world, E::KeeperReinstated).len(), 1);
}

/// Traders 0..count are long 36,000 contracts each from 100.00 against one seller each, with money such that at 87.00 each
/// has a deficit of `deficit` micro-dollars; the keepers may liquidate. Marks have fallen there without a Tick, so that
/// SYSTEM has not acted.
fn sunk(count: u16, deficit: i64) -> Arena {
    let mut arena: Arena = Arena::new(2 * count);
    let token = RegisterAsset {
        symbol: crate::prices::symbol("MMT"),
        initial_liability_bp: 12_000,
        maintenance_liability_bp: 11_000,
        asset_flags: asset_flag::STAKE,
        ..Record::zero()
    };
    arena.accept(by(OPERATOR, Kind::RegisterAsset).with(&token));
    for (number, keeper) in KEEPERS.into_iter().enumerate() {
        arena.accept(open_account(keeper));
        arena.accept(deposit(keeper, MMT, 3 * STAKE, [number as u8 + 1; 32]));
        arena.accept(register(keeper, capability::LIQUIDATE, STAKE + TOKEN));
    }
    for number in 0..count {
        arena.deposit(number, USDC, 468_000 * DOLLAR - deficit);
        arena.deposit(count + number, USDC, 5_000_000 * DOLLAR);
        arena.trade(number, count + number, PERP, 10_000, 36_000_000);
    }
    sink(&mut arena, 87);
    arena
}

fn sink(arena: &mut Arena, dollars: i64) {
    while arena.mark(PERP) != dollars * DOLLAR / TICK {
        arena.now_ns += SECOND / 10;
        arena.prices[0] = (arena.prices[0] * 996 / 1_000).max(dollars * DOLLAR);
        arena.publish_all();
    }
}

fn pending(arena: &Arena) -> Vec<(u32, LargeActionBody)> {
    arena.bodies(E::KeeperActionPending)
}

#[test]
fn p13_6_more_than_100_000_dollars_of_insurance_need_two_different_keepers_or_system() {
    let mut arena = sunk(1, 100_000 * DOLLAR + 1);
    assert_eq!(arena.margin(0).0, -100_000_000_001);
    arena.clone().accept(liquidate(SYSTEM, 0, PERP));
    arena.accept(liquidate(KEEPERS[0], 0, PERP));
    assert_eq!(arena.kinds(), [E::KeeperActionPending], "the first approval moves nothing");
    let waits = pending(&arena)[0].1;
    assert_eq!((waits.insurance, waits.until_ns), (100_000 * DOLLAR + 1, arena.now_ns + 60 * SECOND));
    assert_eq!(arena.position(0, PERP).0, 36_000_000);
    arena.refuse(liquidate(KEEPERS[0], 0, PERP), Code::SELF_APPROVAL);
    arena.accept(liquidate(KEEPERS[1], 0, PERP));
    assert!(arena.kinds().contains(&E::KeeperActionConfirmed));
    assert_eq!(arena.position(0, PERP).0, 0);
    // The approval is used up: nothing of it is left to lapse, and a restored engine has the same to do.
    let mut twin: Engine = Engine::restore(&arena.engine.snapshot()).expect("a sound snapshot");
    std::mem::swap(&mut arena.engine, &mut twin);
    arena.now_ns += 60 * SECOND;
    arena.tick();
    assert!(!arena.kinds().contains(&E::KeeperActionLapsed));
}

#[test]
fn p13_6_exactly_100_000_dollars_are_one_keepers_matter() {
    let mut arena = sunk(1, 100_000 * DOLLAR);
    arena.accept(liquidate(KEEPERS[0], 0, PERP));
    assert_eq!((pending(&arena).len(), arena.position(0, PERP).0), (0, 0));
}

#[test]
fn p13_6_an_approval_is_for_one_position_and_lapses_after_a_minute() {
    let mut arena = sunk(2, 105_000 * DOLLAR);
    arena.accept(liquidate(KEEPERS[0], 0, PERP));
    arena.accept(liquidate(KEEPERS[1], 1, PERP));
    assert_eq!(pending(&arena).len(), 1, "the other position has an approval of its own");
    arena.now_ns += 60 * SECOND;
    arena.tick();
    assert_eq!(arena.kinds().iter().filter(|kind| **kind == E::KeeperActionLapsed).count(), 2);
}

#[test]
fn p13_6_the_first_keeper_must_still_be_in_force_when_the_second_comes() {
    let mut arena = sunk(1, 105_000 * DOLLAR);
    arena.accept(liquidate(KEEPERS[0], 0, PERP));
    let mut removed = arena.clone();
    removed.accept(target(OPERATOR, Kind::RemoveKeeper, KEEPERS[0]));
    removed.accept(liquidate(KEEPERS[1], 0, PERP));
    assert_eq!(removed.kinds(), [E::KeeperActionPending]);
    for evidence in 1..=3 {
        let [first, second] = fault_of(KEEPERS[0], evidence);
        arena.accept(first);
        let id = arena.accept(second).value;
        arena.accept(appeal(KEEPERS[0], Kind::AppealSlash, id, 0));
        arena.accept(appeal(ARBITER, Kind::DecideAppeal, id, 1));
    }
    arena.refuse(liquidate(KEEPERS[0], 0, PERP), Code::KEEPER_SUSPENDED);
    arena.accept(liquidate(KEEPERS[1], 0, PERP));
    assert_eq!(arena.kinds(), [E::KeeperActionPending]);
    arena.accept(liquidate(KEEPERS[2], 0, PERP));
    assert_eq!(arena.position(0, PERP).0, 0);
}

#[test]
fn p13_5_a_first_approval_costs_an_action_of_the_rate() {
    let mut arena = sunk(11, 105_000 * DOLLAR);
    // The eleventh gets money until it owes nothing: its steps are nobody else's matter, and no bid takes them.
    arena.deposit(10, USDC, 200_000 * DOLLAR);
    arena.accept(liquidate(KEEPERS[0], 10, PERP));
    for number in 0..10 {
        arena.accept(liquidate(KEEPERS[0], number, PERP));
        assert_eq!(pending(&arena).len(), 1);
    }
    let limited = arena.refuse(liquidate(KEEPERS[0], 10, PERP), Code::KEEPER_RATE_LIMITED);
    assert_eq!(limited.bound, arena.now_ns + SECOND / 10);
}

#[test]
fn p13_3_sub_accounts_that_fall_in_one_second_are_one_missed_duty_of_the_keeper_that_was_there() {
    let mut arena = sunk(2, 105_000 * DOLLAR);
    for keeper in [KEEPERS[1], KEEPERS[2]] {
        arena.accept(target(OPERATOR, Kind::RemoveKeeper, keeper));
    }
    let mut late = arena.clone();
    late.accept(target(OPERATOR, Kind::RemoveKeeper, KEEPERS[0]));
    late.accept(register(KEEPERS[1], capability::LIQUIDATE, STAKE));
    arena.now_ns += 2 * SECOND;
    arena.tick();
    let missed: Vec<(u32, KeeperDutyBody)> = arena.bodies(E::KeeperDutyMissed);
    assert_eq!(missed.len(), 1);
    assert_eq!((missed[0].1.action, missed[0].1.since_ns), (action::LIQUIDATE, missed[0].1.first_missed_ns));
    late.now_ns += 2 * SECOND;
    late.tick();
    assert!(!late.kinds().contains(&E::KeeperDutyMissed), "who registered later was not there");
}
