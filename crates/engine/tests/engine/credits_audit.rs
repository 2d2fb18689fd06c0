//! The auditor against credits that were told otherwise than they are (P15.10; I02, I05, I09, I20, I26).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{ClaimsBody, CreditBody, CreditLegs, CreditMoneyBody, EventKind};
use tradewind_engine::wire::record::Record;

use crate::credits::*;
use crate::loans_audit::{told_otherwise, Change};
use crate::support::*;

fn funded() -> (World, u32, u32) {
    let (mut world, verse, market) = three();
    world.accept(deposit_credit(verse, 20 * DOLLAR));
    (world, verse, market)
}

fn both(market: u32) -> [Wanted; 2] {
    [(market, 0, SHORT, 700, LOTS), (market, 1, SHORT, 600, LOTS)]
}

/// Every number of the account of a market.
const SUMS: &[Change<CreditBody>] = &[
    ("verse", |body| body.verse += 1),
    ("cause", |body| body.cause = if body.cause == 1 { 2 } else { 1 }),
    ("cost", |body| body.paid += 1),
    ("smaller loss", |body| body.outlay -= 1),
    ("larger loss", |body| body.outlay += 1),
    ("result", |body| body.realised += 1),
    ("available", |body| body.available += 1),
    ("locked", |body| body.locked -= 1),
    ("total", |body| body.total += 1),
    ("staged legs", |body| body.unstaged = 2),
    ("larger loss in every sum", |body| {
        for amount in [&mut body.outlay, &mut body.realised, &mut body.locked, &mut body.total] {
            *amount += 1;
        }
    }),
];

#[test]
fn i09_what_a_market_locks_is_its_largest_loss_over_all_outcomes() {
    let (mut world, verse, market) = funded();
    told_otherwise(
        &mut world,
        EventKind::CreditLocked,
        |world| assert_eq!(world.accept(lock(verse, &both(market))).accepted, 1),
        SUMS,
    );
}

#[test]
fn i02_what_is_released_comes_back_and_what_is_realised_changes_the_total() {
    let (mut world, verse, market) = funded();
    world.accept(lock(verse, &[(market, 1, LONG, 420, LOTS)]));
    let closes = |world: &mut World| {
        assert_eq!(world.accept(closing(verse, market, (1, LONG, 400, 0))).accepted, 1);
    };
    told_otherwise(&mut world.clone(), EventKind::CreditReleased, closes, SUMS);
    resolve(&mut world, market, 1);
    let mut ended = world.clone();
    let settles = |world: &mut World| assert_eq!(world.accept(settling(verse, market)).accepted, 1);
    told_otherwise(&mut world, EventKind::CreditReleased, settles, SUMS);
    let closed: &[Change<CreditBody>] = &[("closing in the book", |body| body.cause = 2)];
    told_otherwise(&mut ended, EventKind::CreditReleased, settles, closed);
}

#[test]
fn i09_claims_leave_only_whole_and_only_when_nothing_is_at_risk() {
    let (mut world, verse, market) = funded();
    world.accept(lock(verse, &[(market, 1, LONG, 420, LOTS)]));
    climb(&mut world, market, 1, 840);
    let mut at_risk = world.clone();
    world.accept(closing(verse, market, (1, LONG, 840, LOTS / 2)));
    let hands = |world: &mut World| assert_eq!(world.accept(handing(verse, market, 1)).accepted, 1);
    let others: &[Change<CreditBody>] = &[
        ("outcome", |body| body.outcome = 0),
        ("receiver", |body| body.owner_sub = 1),
        ("number of claims", |body| body.shares -= 1),
        ("loss", |body| body.outlay = 1),
    ];
    told_otherwise(&mut world, EventKind::CreditReleased, hands, others);
    // Two lots fewer are sold: the rest has still a loss open, and the engine says so.
    at_risk.accept(closing(verse, market, (1, LONG, 840, LOTS / 2 - 2)));
    at_risk.refuse(handing(verse, market, 1), tradewind_engine::wire::Code::CREDIT_INSUFFICIENT);
}

#[test]
fn i02_money_of_a_credit_is_accounted_for_before_the_command_ends() {
    let (mut world, verse, market) = funded();
    let before = world.auditor.clone();
    world.accept(lock(verse, &both(market)));
    let output = &world.batch.output;
    let accounts =
        output.events.iter().position(|event| event.kind == EventKind::CreditLocked as u16).expect("one");
    assert_eq!(accounts + 1, output.events.len(), "the account of the only market ends the command");
    let mut results = world.batch.results.clone();
    results.last_mut().expect("a result").event_count -= 1;
    let mut auditor = before;
    let found = auditor.check(&world.batch.commands, &results, &output.events[..accounts], &output.postings);
    assert_eq!(found.expect_err("money left without an account").invariant, "I02");
}

#[test]
fn i02_deposits_are_one_to_one_and_staged_legs_are_counted() {
    let (mut world, verse, market) = three();
    let changes: &[Change<CreditMoneyBody>] = &[
        ("amount", |body| body.amount -= 1),
        ("payer", |body| body.owner_sub = 1),
        ("available", |body| body.available += 1),
        ("locked", |body| body.locked += 1),
        ("total", |body| body.total += 1),
        ("end", |body| body.closed = 1),
        ("asset", |body| body.asset = 0),
    ];
    let pays = |world: &mut World| assert_eq!(world.accept(deposit_credit(verse, DOLLAR)).accepted, 1);
    told_otherwise(&mut world, EventKind::CreditMoved, pays, changes);
    let more: &[Change<CreditMoneyBody>] = &[("verse", |body| body.verse += 1)];
    told_otherwise(&mut world, EventKind::CreditMoved, pays, more);
    let stages = |world: &mut World| {
        let legs = legs(verse, &[(market, 0, LONG, 320, LOTS)]);
        assert_eq!(world.accept(by(ALICE, Kind::StageCredit).with(&legs)).accepted, 1);
    };
    let changes: &[Change<CreditLegs>] = &[
        ("number before", |body| body.staged = 2),
        ("number", |body| body.count = 33),
        ("no leg", |body| body.count = 0),
        ("verse", |body| body.verse += 1),
    ];
    told_otherwise(&mut world, EventKind::CreditStaged, stages, changes);
}

#[test]
fn i05_claims_do_not_reach_a_credit_without_a_cause() {
    let (mut world, verse, market) = funded();
    let changes: &[Change<ClaimsBody>] =
        &[("claims", |body| body.free += 1), ("change", |body| body.delta_free += 1)];
    let locks = |world: &mut World| assert_eq!(world.accept(lock(verse, &both(market))).accepted, 1);
    told_otherwise(&mut world, EventKind::ClaimsMoved, locks, changes);
    assert_eq!(ClaimsBody::zero().cause, 0);
}
