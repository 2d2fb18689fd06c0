//! Margin credit between leveraged positions of one sub-account in one market (P4.6.6).

use proptest::prelude::*;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{loan_cause, EventKind, LoanLossBody, LoanMovedBody};
use tradewind_engine::wire::record::Record;
use tradewind_engine::wire::Code;
use tradewind_engine::{id, ledger::line};

use crate::loans::*;
use crate::loans_audit::{drop_result, told_otherwise, Change};

use crate::outcome_books::on;
use crate::resolution::{finalise, proposal};
use crate::support::*;

/// A market of two outcomes; ALICE may take any leverage.
fn world() -> (World, u32) {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let flag = SetSuitability { level: 1, expiry_ns: world.now_ns + 20 * DAY, ..SetSuitability::zero() };
    world.accept(Command { account: id::account_id(&ALICE), ..by(RISK, Kind::SetSuitability).with(&flag) });
    (world, market)
}

fn on_outcome(market: u32, outcome: u8, lots: i64, leverage_e2: u32) -> OpenLeveraged {
    let price = if outcome == 0 { 500 } else { 510 };
    OpenLeveraged { outcome, ..long(market, lots, price, leverage_e2) }
}

/// Ninefold on outcome 0, then 25-fold on the other one, which alone would need 10 %.
pub fn hedged() -> (World, u32) {
    let (mut world, market) = world();
    world.accept(open(ALICE, on_outcome(market, 0, LOTS, 900)));
    world.accept(open(ALICE, on_outcome(market, 1, LOTS, 2_500)));
    (world, market)
}

fn moves(world: &World) -> Vec<LoanMovedBody> {
    let told = world.events();
    told.iter().filter(|event| event.0 == EventKind::LoanMoved).map(|event| event.1.body_as()).collect()
}

fn owed(world: &World, market: u32) -> i64 {
    (0..2).filter_map(|outcome| loan(world, ALICE, market, outcome)).map(|loan| loan.debt).sum()
}

/// Nobody buys any more: debts wait for the payout.
pub fn cancel_quotes(world: &mut World, market: u32) {
    for owner in [ALICE, BOB, CAROL] {
        world.accept(cancel_all(owner, market));
    }
}

/// The settle time has come, an outcome is proposed, and nobody disputes it.
pub fn proposed(world: &mut World, market: u32, outcome: u8) {
    world.wait(START + 30 * DAY + 122 * SECOND - world.now_ns);
    world.accept(proposal(CAROL, market, outcome));
    world.wait(2 * HOUR + SECOND);
}

fn resolve(world: &mut World, market: u32, outcome: u8) -> (Vec<LoanMovedBody>, Vec<LoanLossBody>) {
    cancel_quotes(world, market);
    let (mut moved, mut lost) = (Vec::new(), Vec::new());
    proposed(world, market, outcome);
    world.accept(finalise(market));
    for _ in 0..12 {
        world.advance(SECOND);
        world.tick();
        moved.extend(moves(world));
        let told = world.events();
        let losses = told.iter().filter(|event| event.0 == EventKind::LoanLossCovered);
        lost.extend(losses.map(|event| event.1.body_as::<LoanLossBody>()));
    }
    (moved, lost)
}

#[test]
fn p4_6_6_an_opposite_position_is_opened_against_the_margin_of_the_set() {
    let (mut world, market) = world();
    let alone = on_outcome(market, 1, LOTS, 2_500);
    world.refuse(open(ALICE, alone), Code::INSUFFICIENT_MARGIN);
    world.accept(open(ALICE, on_outcome(market, 0, LOTS, 900)));
    // The same outcome once more has no credit; nor has another market, or another account's position.
    world.refuse(open(ALICE, on_outcome(market, 0, LOTS, 2_500)), Code::INSUFFICIENT_MARGIN);
    world.accept(open(ALICE, alone));
    let health = world.engine.group_health((0, PLEDGE)).expect("it has marks");
    // Sets lose nothing: half of the larger J-margin is left of both.
    assert_eq!((health.positions, health.largest_loss), (2, 0));
    assert_eq!((health.initial, health.maintenance), (25_250_000, 25_250_000));
    assert_eq!(health.credit, 24_750_000);
    assert!(health.equity >= health.initial, "{health:?}");
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p4_6_6_a_sound_group_sells_none_of_its_positions() {
    let (mut world, market) = hedged();
    for _ in 0..20 {
        world.advance(SECOND);
        world.tick();
        assert!(!world.kinds().contains(&EventKind::LoanLiquidated));
    }
    let (_, initial) = world.engine.loan_health((0, PLEDGE + 1)).expect("it has a mark");
    let (valued, _) = world.engine.loan_health((0, PLEDGE + 1)).expect("it has a mark");
    assert!(!valued.is_healthy() && initial > 0, "alone it would be sold: {valued:?}");
    assert!(owed(&world, market) > 0);
}

#[test]
fn p4_6_6_what_a_closed_position_has_left_pays_what_the_other_lacks() {
    let (mut world, market) = hedged();
    let free = world.free(ALICE, USDC);
    let before = loan(&world, ALICE, market, 1).expect("a position").debt;
    world.accept(close(ALICE, market, 0, 490));
    let told = moves(&world);
    let credited = told.iter().find(|body| body.cause == loan_cause::CREDITED).expect("it pays");
    assert_eq!((credited.payer, credited.paid_in), (u32::from(PLEDGE), credited.repaid));
    let left = loan(&world, ALICE, market, 1).expect("a position");
    assert_eq!(left.debt, before - credited.repaid);
    let (valued, initial) = world.engine.loan_health((0, PLEDGE + 1)).expect("it has a mark");
    let paid = world.free(ALICE, USDC) - free;
    assert!(paid == 0 || i128::from(valued.equity) >= initial, "{paid} with {valued:?} of {initial}");
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p4_6_6_a_payout_pays_every_debt_of_the_group_before_the_owner_and_before_any_loss() {
    for winner in 0..2 {
        let (mut world, market) = hedged();
        let vault = LENT_FROM;
        let (moved, lost) = resolve(&mut world, market, winner);
        assert!(lost.is_empty(), "{lost:?}");
        assert!(moved.iter().any(|body| body.cause == loan_cause::CREDITED), "{moved:?}");
        assert_eq!(owed(&world, market), 0);
        assert_eq!(world.engine.system_balance(line::VAULT_LOANS, 0, USDC), 0);
        assert!(world.engine.system_balance(line::VAULT_CASH, 0, USDC) >= vault);
        world.auditor.verify().unwrap();
        restored(&mut world);
    }
}

#[test]
fn i24_the_auditor_computes_credit_and_what_it_pays_again() {
    let (mut world, market) = hedged();
    let closing = |world: &mut World| drop_result(world.accept(close(ALICE, market, 0, 490)));
    let changes: &[Change<LoanMovedBody>] = &[
        ("payer", |body| body.payer += 1),
        ("repaid", |body| body.repaid += 1),
        ("debt", |body| body.debt -= 1),
        ("end", |body| body.closed = 1),
    ];
    told_otherwise(&mut world, EventKind::LoanMoved, closing, changes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn p4_6_6_after_every_accepted_opening_a_group_has_what_it_needs(
        steps in proptest::collection::vec((0_u8..2, 1_i64..5, 100_u32..4_000), 1..8),
    ) {
        let (mut world, market) = world();
        for (outcome, part, leverage_e2) in steps {
            let request = on_outcome(market, outcome, part * LOTS / 4, leverage_e2);
            if world.send(open(ALICE, request)).accepted == 1 {
                let health = world.engine.group_health((0, PLEDGE)).expect("it has marks");
                prop_assert!(health.equity >= health.initial, "{:?}", health);
                prop_assert!(health.maintenance <= health.initial);
            }
        }
        world.auditor.verify().unwrap();
    }
}

#[test]
fn p5_1_an_unsound_group_sells_its_worst_position_until_it_is_sound() {
    let (mut world, market) = world();
    world.accept(open(ALICE, on_outcome(market, 0, 4 * LOTS, 900)));
    world.accept(open(ALICE, on_outcome(market, 1, LOTS / 2, 1_000)));
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    world.accept(place(CAROL, on(market, 0, side::BUY, 450, 50 * LOTS)));
    world.accept(place(BOB, on(market, 0, side::SELL, 454, 50 * LOTS)));
    let mut sold = Vec::new();
    for _ in 0..20 {
        world.advance(SECOND);
        world.tick();
        let told = world.events();
        let sales = told.iter().filter(|event| event.0 == EventKind::LoanLiquidated);
        sold.extend(sales.map(|event| event.1.sub));
    }
    assert!(!sold.is_empty() && sold.iter().all(|&pledge| pledge == PLEDGE), "{sold:?}");
    let health = world.engine.group_health((0, PLEDGE + 1)).expect("it has marks");
    assert!(health.equity >= health.maintenance, "{health:?}");
    world.auditor.verify().unwrap();
    restored(&mut world);
}
