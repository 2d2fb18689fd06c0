//! The auditor against loans that were told otherwise than they are (I02, I09, I10, I14, I24).

use tradewind_engine::audit::Auditor;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    EventKind, InterestIndexBody, LoanBody, LoanInterestBody, LoanLiquidatedBody, LoanLossBody,
    LoanMovedBody, WorstCaseBody,
};
use tradewind_engine::wire::record::Record;

use crate::loans::*;
use crate::outcome_books::on;
use crate::support::*;

/// What a field is called, and another value of it.
pub type Change<T> = (&'static str, fn(&mut T));

/// Runs a step, then shows the auditor of before each of the step's events of a kind with one field changed.
pub fn told_otherwise<T: Record>(
    world: &mut World,
    kind: EventKind,
    step: impl FnOnce(&mut World),
    changes: &[Change<T>],
) {
    let before = world.auditor.clone();
    step(world);
    let output = &world.batch.output;
    let places: Vec<usize> =
        (0..output.events.len()).filter(|&at| output.events[at].kind == kind as u16).collect();
    assert!(!places.is_empty(), "no {} in {:?}", kind.name(), world.kinds());
    let check = |mut auditor: Auditor, events: &[_]| {
        auditor.check(&world.batch.commands, &world.batch.results, events, &output.postings)
    };
    assert_eq!(check(before.clone(), &output.events), Ok(()));
    for (name, change) in changes {
        let mut events = output.events.clone();
        let mut body: T = events[places[0]].body_as();
        change(&mut body);
        events[places[0]].body[..T::SIZE].copy_from_slice(body.bytes());
        let found = check(before.clone(), &events);
        assert!(found.is_err(), "{} with another {name} passes", kind.name());
    }
}

fn lent() -> (World, u32) {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    (world, market)
}

#[test]
fn i24_a_loan_is_as_large_as_it_is_told_and_secured_as_p4_6_asks() {
    let (mut world, market) = lent();
    told_otherwise::<LoanBody>(
        &mut world,
        EventKind::LoanOpened,
        |world| drop_result(world.accept(open(ALICE, long(market, LOTS, 520, 500)))),
        &[
            ("loan", |body| body.loan += 1),
            ("margin", |body| body.margin -= 1),
            ("debt", |body| body.debt -= 1),
            ("leverage below", |body| body.leverage_e2 = 400),
            ("leverage above the tier", |body| body.leverage_e2 = 7_001),
            ("outcome", |body| body.outcome = 1),
            ("sub-account", |body| body.owner_sub = 1),
            ("mark", |body| body.mark = 420),
            ("margin asked for", |body| body.initial_margin /= 2),
        ],
    );
}

pub fn drop_result<T>(_: T) {}

#[test]
fn i24_what_a_pledge_pays_and_keeps_is_what_it_has() {
    let (mut world, market) = lent();
    let changes: &[Change<LoanMovedBody>] = &[
        ("repaid", |body| body.repaid += 1),
        ("returned", |body| body.returned += 1),
        ("debt", |body| body.debt -= 1),
        ("shares", |body| body.shares += 1),
        ("end", |body| body.closed ^= 1),
        ("payment", |body| body.paid_in += 1),
    ];
    let opening = |world: &mut World| drop_result(world.accept(open(ALICE, long(market, LOTS, 520, 500))));
    told_otherwise(&mut world, EventKind::LoanMoved, opening, changes);
    let closing = |world: &mut World| drop_result(world.accept(close(ALICE, market, 0, 490)));
    told_otherwise(&mut world, EventKind::LoanMoved, closing, changes);
}

#[test]
fn i14_a_worst_case_of_loans_is_computed_again() {
    let (mut world, market) = lent();
    told_otherwise::<WorstCaseBody>(
        &mut world,
        EventKind::WorstCaseChanged,
        |world| drop_result(world.accept(open(ALICE, long(market, LOTS, 500, 500)))),
        &[("worst case", |body| body.worst_case -= 1), ("sum", |body| body.at_risk -= 1)],
    );
}

#[test]
fn i24_interest_follows_from_what_is_lent() {
    let (mut world, market) = lent();
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    let pass = |world: &mut World| {
        world.advance(HOUR);
        world.tick();
    };
    told_otherwise::<InterestIndexBody>(
        &mut world,
        EventKind::InterestIndexMoved,
        pass,
        &[
            ("rate", |body| body.apr_ppm -= 1),
            ("utilisation", |body| body.utilisation_ppm -= 1),
            ("index", |body| body.index_low -= 1),
            ("value", |body| body.nav += 1),
            ("loans", |body| body.loans -= 1),
            ("hours", |body| body.hours += 1),
        ],
    );
    told_otherwise::<LoanInterestBody>(
        &mut world,
        EventKind::LoanCharged,
        pass,
        &[
            ("interest", |body| body.interest -= 1),
            ("debt", |body| body.debt -= 1),
            ("index", |body| body.index_low -= 1),
        ],
    );
}

#[test]
fn i10_only_what_is_below_its_maintenance_margin_is_sold_and_not_below_bankruptcy() {
    let (mut world, market) = lent();
    world.accept(open(ALICE, long(market, 4 * LOTS, 500, 900)));
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    // Ten makers: a sale of a Tick goes on behind its command.
    for price in (451..=460).rev() {
        world.accept(place(CAROL, on(market, 0, side::BUY, price, 50_000)));
    }
    world.accept(place(BOB, on(market, 0, side::SELL, 464, 50 * LOTS)));
    // The first look moves the mark by 0.02, which is not enough.
    seconds(&mut world, 1);
    told_otherwise::<LoanLiquidatedBody>(
        &mut world,
        EventKind::LoanLiquidated,
        |world| {
            world.advance(2 * SECOND);
            world.tick();
        },
        &[
            ("mark", |body| body.mark = 490),
            ("value", |body| body.value -= 1),
            ("debt", |body| body.debt += 1),
            ("maintenance", |body| body.maintenance += 1),
            ("lots held", |body| body.lots_held += 1),
            ("lots", |body| body.lots = body.lots_held + 1),
            ("limit", |body| body.limit = 440),
            ("ramp", |body| body.ramp_ppm -= 1),
        ],
    );
    assert!(world.kinds().contains(&EventKind::ContinuationRequired));
    seconds(&mut world, 30);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn i10_losses_are_paid_in_the_order_of_p5_6() {
    let (mut world, market) = lent();
    let insured = FundInsurance { asset: USDC, amount: 100_000 * DOLLAR, ..FundInsurance::zero() };
    world.accept(by(CAROL, Kind::FundInsurance).with(&insured));
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    world.accept(place(CAROL, on(market, 0, side::BUY, 298, 50 * LOTS)));
    world.accept(place(BOB, on(market, 0, side::SELL, 302, 50 * LOTS)));
    let mut before = world.clone();
    while !world.kinds().contains(&EventKind::LoanLossCovered) {
        before = world.clone();
        seconds(&mut world, 1);
    }
    told_otherwise::<LoanLossBody>(
        &mut before,
        EventKind::LoanLossCovered,
        |world| seconds(world, 1),
        &[
            ("insurance", |body| body.insurance -= 1),
            ("vault", |body| body.vault += 1),
            ("fees", |body| body.liquidation_fees += 1),
            ("debt", |body| body.debt -= 1),
            ("end", |body| body.taken = 0),
        ],
    );
}
