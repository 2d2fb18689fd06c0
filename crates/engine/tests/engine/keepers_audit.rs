//! The auditor of stakes: I23 goes red on falsified batches of every event that moves a stake or a slash (P13.1, P13.3).

use tradewind_engine::keeper::{capability, slash_state};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;

use crate::audit::Recording;
use crate::keepers::*;
use crate::support::*;

const KEEPER: Key = KEEPERS[0];

fn staked() -> World {
    let mut world = staking_world();
    world.accept(register(KEEPER, capability::GENERAL, STAKE));
    world
}

fn signed() -> (World, u64) {
    let mut world = staked();
    let number = world.accept(slash(OPERATOR, KEEPER, 50_000)).value;
    (world, number)
}

fn opened() -> (World, u64) {
    let (mut world, number) = signed();
    world.accept(slash(OPERATORS_B_C[0], KEEPER, 50_000));
    (world, number)
}

fn appealed() -> (World, u64) {
    let (mut world, number) = opened();
    world.accept(appeal(KEEPER, Kind::AppealSlash, number, 0));
    (world, number)
}

/// The Tick that takes a slash which nobody has appealed.
fn slashed() -> Recording {
    let (mut world, _) = opened();
    world.wait(7 * DAY - HOUR);
    world.advance(HOUR);
    Recording::of_run(&mut world, |world| {
        world.tick();
    })
}

#[test]
fn i23_a_registration_bonds_the_minimum_that_it_shows() {
    let registered = || Recording::of(&mut staking_world(), register(KEEPER, capability::CRANK, STAKE));
    let kind = EventKind::KeeperRegistered;
    registered().breaks("I23", |r| r.edit(kind, |body: &mut KeeperBody| body.bonded += 1));
    registered().breaks("I23", |r| r.edit(kind, |body: &mut KeeperBody| body.unbonding += 1));
    registered().breaks("I23", |r| r.edit(kind, |body: &mut KeeperBody| body.amount -= 1));
    registered().breaks("I23", |r| r.edit(kind, |body: &mut KeeperBody| body.minimum_stake = STAKE + 1));
    registered().breaks("I23", |r| r.postings.iter_mut().for_each(|posting| posting.amount /= 2));
}

#[test]
fn i23_a_removal_unbonds_all_of_the_stake() {
    let removed = || Recording::of(&mut staked(), target(OPERATOR, Kind::RemoveKeeper, KEEPER));
    let kind = EventKind::KeeperRemoved;
    removed().breaks("I23", |r| r.edit(kind, |body: &mut KeeperBody| body.unbonding -= 1));
    removed().breaks("I23", |r| r.edit(kind, |body: &mut KeeperBody| body.bonded = 1));
}

#[test]
fn i23_a_stake_changes_by_what_is_shown_and_leaves_after_seven_days() {
    let kind = EventKind::KeeperStakeChanged;
    type Change = KeeperStakeBody;
    let more = || Recording::of(&mut staked(), stake(KEEPER, Kind::StakeKeeper, TOKEN));
    let less = || Recording::of(&mut staked(), stake(KEEPER, Kind::UnstakeKeeper, TOKEN));
    for recording in [more, less] {
        recording().breaks("I23", |r| r.edit(kind, |body: &mut Change| body.amount += 1));
        recording().breaks("I23", |r| r.edit(kind, |body: &mut Change| body.bonded += 1));
        recording().breaks("I23", |r| r.edit(kind, |body: &mut Change| body.unbonding += 1));
        recording().breaks("I23", |r| r.edit(kind, |body: &mut Change| body.ready_ns += 1));
        recording().breaks("I23", |r| r.edit(kind, |body: &mut Change| body.change = 3));
        recording().breaks("I23", |r| r.edit(kind, |body: &mut Change| body.change = 4));
    }
    more().breaks("I23", |r| r.postings.iter_mut().for_each(|posting| posting.amount /= 2));
    let mut world = staked();
    world.accept(stake(KEEPER, Kind::UnstakeKeeper, TOKEN));
    world.wait(7 * DAY);
    let left = || Recording::of(&mut world.clone(), stake(KEEPER, Kind::WithdrawKeeperStake, TOKEN));
    left().breaks("I23", |r| r.edit(kind, |body: &mut Change| body.amount -= 1));
    left().breaks("I23", |r| r.edit(kind, |body: &mut Change| body.unbonding += 1));
    left().breaks("I23", |r| r.postings.iter_mut().for_each(|posting| posting.amount *= 2));
    // The same batch an instant too early.
    left().breaks("I23", |r| {
        let early = world.now_ns - 1;
        r.commands.iter_mut().for_each(|command| command.time_ns = early);
        r.events.iter_mut().for_each(|event| event.time_ns = early);
        let mut early_world = staked();
        early_world.accept(stake(KEEPER, Kind::UnstakeKeeper, TOKEN));
        early_world.wait(7 * DAY - HOUR);
        early_world.advance(HOUR - 2);
        early_world.tick();
        r.before = early_world.auditor.clone();
        assert_eq!(r.before.seq() + 1, r.commands[0].seq);
    });
}

#[test]
fn i23_a_slash_takes_its_share_when_its_window_is_over_and_gives_it_to_insurance() {
    let kind = EventKind::KeeperSlashed;
    type Slash = SlashBody;
    slashed().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.amount += 1));
    slashed().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.ppm += 1));
    slashed().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.slash += 1));
    slashed().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.evidence = [8; 32]));
    slashed().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.fault ^= 1));
    slashed().breaks("I23", |r| r.posting(0x85, MMT).line = 0x88);
    slashed().breaks("I23", |r| r.posting(5, MMT).line = 0);
    // Taken at once instead of after seven days: two signatures are not enough.
    let (mut world, number) = signed();
    let second = Recording::of(&mut world, slash(OPERATORS_B_C[0], KEEPER, 50_000));
    second.breaks("I23", |r| {
        let opened: SlashBody = r.of_kind(EventKind::SlashOpened).body_as();
        let amount = STAKE / 20;
        let account = r.events[0].account;
        let taken = SlashBody { slash: number, amount, state: slash_state::DONE, ..opened };
        r.push_event(kind, &taken);
        let posting = |owner, line, amount| Posting { owner, asset: MMT, line, sub: 0, amount };
        r.postings.extend([posting(account, 5, -amount), posting(0, 0x85, amount)]);
        let last = r.events.last_mut().expect("just added");
        (last.first_posting, last.posting_count) = (0, 2);
    });
}

#[test]
fn i23_a_slash_has_two_signers_a_week_to_appeal_and_an_arbiter() {
    type Slash = SlashBody;
    let first = || Recording::of(&mut staked(), slash(OPERATOR, KEEPER, 50_000));
    let kind = EventKind::SlashSigned;
    first().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.deadline_ns += 1));
    first().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.state = slash_state::OPEN));
    first().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.evidence = [0; 32]));
    first().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.slash += 1));
    let second = || Recording::of(&mut signed().0, slash(OPERATORS_B_C[0], KEEPER, 50_000));
    let kind = EventKind::SlashOpened;
    second().breaks("I23", |r| r.commands[0].principal = OPERATOR);
    second().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.deadline_ns -= 1));
    second().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.ppm += 1));
    second().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.slash += 1));
    second().breaks("I23", |r| r.events[0].account = 0);
    let asked = || {
        let (mut world, number) = opened();
        Recording::of(&mut world, appeal(KEEPER, Kind::AppealSlash, number, 0))
    };
    let kind = EventKind::SlashAppealed;
    asked().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.deadline_ns -= 1));
    asked().breaks("I23", |r| r.edit(kind, |body: &mut Slash| body.state = slash_state::OPEN));
    asked().breaks("I23", |r| r.events[0].kind = EventKind::SlashReversed as u16);
    let decided = |uphold: u8| {
        let (mut world, number) = appealed();
        Recording::of(&mut world, appeal(ARBITER, Kind::DecideAppeal, number, uphold))
    };
    decided(1).breaks("I23", |r| r.commands[0].principal = OPERATOR);
    decided(0).breaks("I23", |r| r.commands[0].principal = OPERATOR);
    decided(0).breaks("I23", |r| {
        r.edit(EventKind::SlashReversed, |body: &mut Slash| body.state = slash_state::DONE);
    });
    // Upheld, and nothing is taken.
    decided(1).breaks("I23", |r| {
        r.events.truncate(1);
        r.results[0].event_count = 1;
        r.postings.clear();
    });
}

#[test]
fn i23_nothing_of_a_stake_leaves_while_a_slash_of_it_is_under_way() {
    let unbonded = |slashed: bool| {
        let mut world = staked();
        world.accept(stake(KEEPER, Kind::UnstakeKeeper, TOKEN));
        world.wait(6 * DAY);
        for signer in [OPERATOR, OPERATORS_B_C[0]] {
            match slashed {
                true => world.accept(slash(signer, KEEPER, 1)),
                false => world.tick(),
            };
        }
        world.wait(DAY);
        world
    };
    let (mut free, frozen) = (unbonded(false), unbonded(true));
    assert_eq!(free.auditor.seq(), frozen.auditor.seq());
    let left = Recording::of(&mut free, stake(KEEPER, Kind::WithdrawKeeperStake, TOKEN));
    let Recording { commands, results, events, postings, .. } = left;
    let violation = frozen.auditor.clone().check(&commands, &results, &events, &postings);
    assert_eq!(violation.expect_err("frozen").invariant, "I23");
}
