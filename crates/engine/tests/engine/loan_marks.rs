//! Marks of the outcomes of markets with leveraged positions (P4.7, I08), and J_min as governance sets it (P4.6.2).

use proptest::prelude::*;
use tradewind_engine::governance::parameters::Parameter;
use tradewind_engine::oracle::state;
use tradewind_engine::outcome::marks::{Marks, Terms};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind, LoanBody, OutcomeMarkBody, OutcomeMarksBody};
use tradewind_engine::wire::record::Record;
use tradewind_engine::wire::Code;

use crate::loans::*;
use crate::loans_audit::{drop_result, told_otherwise, Change};
use crate::outcome_books::on;
use crate::support::*;

const MILLISECOND: i64 = 1_000_000;

/// Prices of one outcome in ticks; what is 0 does not exist.
fn terms((index, bid, ask, last): (i64, i64, i64, i64)) -> Terms {
    let known = |price: i64| Some(price).filter(|&price| price != 0);
    Terms {
        index_e6: known(index).map(|index| index * 1_000_000),
        bid: known(bid),
        ask: known(ask),
        last: known(last),
    }
}

fn marks_of(marks: &Marks) -> Vec<i64> {
    marks.lines.iter().map(|line| line.mark).collect()
}

#[test]
fn p4_7_the_mark_is_the_median_and_what_is_missing_is_left_out() {
    let cases = [
        ((500, 480, 490, 485), 500, "index, index without a premium yet, 485"),
        ((500, 0, 0, 0), 500, "the index alone"),
        ((0, 480, 491, 0), 485, "the mean of two, ties down"),
        ((0, 480, 490, 489), 489, "the median of the book"),
        ((0, 0, 0, 999), 999, "the last trade alone"),
    ];
    for (given, expected, why) in cases {
        let mut marks = Marks::new(1, 0);
        marks.step(&[terms(given)], 1_000, 0);
        assert_eq!((marks.of(0, 1_000), marks.of(1, 1_000)), (expected, 1_000 - expected), "{why}");
    }
    let mut marks = Marks::new(1, 0);
    marks.step(&[Terms::default()], 1_000, 0);
    assert_eq!((marks.of(0, 1_000), marks.of(1, 1_000), marks.state), (0, 0, state::DEGRADED));
}

#[test]
fn p4_7_a_premium_that_stood_for_150_seconds_counts_for_half_of_it() {
    let mut marks = Marks::new(1, 0);
    let wide = terms((500, 580, 620, 600));
    marks.step(&[wide], 1_000, 0);
    assert_eq!(marks.of(0, 1_000), 500);
    marks.step(&[wide], 1_000, 150_000 * MILLISECOND);
    // Index 500, with the premium 550, book 600.
    assert_eq!((marks.lines[0].premium_e6, marks.lines[0].target), (50_000_000, 550));
    // It stood still, so that one step of the speed is all it has.
    assert_eq!(marks.of(0, 1_000), 520);
    marks.step(&[wide], 1_000, 150_400 * MILLISECOND);
    assert_eq!(marks.of(0, 1_000), 540);
}

#[test]
fn i08_marks_of_many_outcomes_are_the_payout_or_are_held() {
    let mut marks = Marks::new(3, 0);
    marks.step(&[terms((500, 0, 0, 0)), terms((300, 0, 0, 0)), terms((205, 0, 0, 0))], 1_000, 0);
    assert_eq!((marks_of(&marks), marks.state), (vec![498, 298, 204], state::VALID));
    let far = [terms((500, 0, 0, 0)), terms((300, 0, 0, 0)), terms((211, 0, 0, 0))];
    marks.step(&far, 1_000, 400 * MILLISECOND);
    assert_eq!((marks_of(&marks), marks.state), (vec![498, 298, 204], state::DEGRADED));
    // Outcomes that cost less than a tick keep one.
    let mut marks = Marks::new(3, 0);
    let sure = [
        terms((1_000, 0, 0, 0)),
        Terms { index_e6: Some(1), ..Terms::default() },
        Terms { index_e6: Some(1), ..Terms::default() },
    ];
    marks.step(&sure, 1_000, 0);
    assert_eq!(marks_of(&marks), [998, 1, 1]);
}

/// A weight by outcome, and how long after the look before in 10 ms.
type Look = (Vec<i64>, i64, i64);

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn i08_no_history_moves_a_mark_too_fast_nor_their_sum_away_from_the_payout(
        outcomes in 3..12_usize,
        looks in proptest::collection::vec(
            (proptest::collection::vec(1..1_000_i64, 12), 9_880..10_120_i64, 0..300_i64), 1..40),
    ) {
        let ticks = 1_000;
        let (mut marks, mut now_ns) = (Marks::new(outcomes, 0), 0);
        let looks: Vec<Look> = looks;
        for (weights, sum_bp, pause) in looks {
            let weights = &weights[..outcomes];
            let all: i64 = weights.iter().sum();
            // Prices in 1e-6 ticks whose sum is so many bp of the payout.
            let prices: Vec<i64> = weights.iter().map(|weight| weight * ticks * 100 * sum_bp / all).collect();
            let given: Vec<Terms> =
                prices.iter().map(|&price| Terms { index_e6: Some(price), ..Terms::default() }).collect();
            let before = marks.clone();
            now_ns += pause * 10 * MILLISECOND;
            marks.step(&given, ticks, now_ns);
            let sum: i64 = prices.iter().sum();
            let believable = (sum - ticks * 1_000_000).abs() * 100 <= ticks * 1_000_000;
            prop_assert_eq!(marks.state == state::VALID, believable);
            let known = before.lines[0].mark != 0;
            for (line, old) in marks.lines.iter().zip(&before.lines) {
                let moved = line.mark - old.mark;
                prop_assert!(believable || moved == 0);
                if known {
                    let passed_ns = now_ns - before.moved_ns();
                    prop_assert!(moved.abs() <= passed_ns / (20 * MILLISECOND), "{moved} in {passed_ns}");
                    prop_assert!(moved * (line.target - old.mark) >= 0);
                    prop_assert!(moved.abs() <= (line.target - old.mark).abs() || !believable);
                }
                prop_assert!(marks.lines[0].mark == 0 || (1..ticks).contains(&line.mark));
            }
            if marks.lines[0].mark != 0 {
                prop_assert_eq!(marks_of(&marks).iter().sum::<i64>(), ticks);
            }
        }
    }
}

fn told<T: Record>(world: &World, kind: EventKind) -> Vec<T> {
    world.events().iter().filter(|event| event.0 == kind).map(|event| event.1.body_as()).collect()
}

/// Other bids and asks for the outcomes of a market.
pub fn quote(world: &mut World, market: u32, prices: [(i64, i64); 3]) {
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    for (outcome, (bid, ask)) in (0..).zip(prices) {
        world.accept(place(CAROL, on(market, outcome, side::BUY, bid, LOTS)));
        world.accept(place(BOB, on(market, outcome, side::SELL, ask, LOTS)));
    }
}

#[test]
fn p4_7_new_leverage_is_refused_while_the_marks_of_a_market_are_held() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 3);
    world.accept(open(ALICE, long(market, LOTS, 500, 300)));
    assert_eq!(told::<OutcomeMarkBody>(&world, EventKind::OutcomeMarked).len(), 3);
    let together: OutcomeMarksBody = told(&world, EventKind::OutcomeMarksSet)[0];
    assert_eq!((together.sum, together.outcomes, together.feed_state), (1_000, 3, state::VALID));
    let marks = world.engine.outcome_marks(market).expect("marks").clone();
    // The second outcome is bid up: all three together cost more than they can pay.
    quote(&mut world, market, [(480, 505), (290, 315), (224, 226)]);
    seconds(&mut world, 1);
    let together: OutcomeMarksBody = told(&world, EventKind::OutcomeMarksSet)[0];
    assert_eq!((together.sum, together.feed_state), (1_000, state::DEGRADED));
    assert_eq!(marks_of(world.engine.outcome_marks(market).unwrap()), marks_of(&marks));
    let refused = world.refuse(open(CAROL, long(market, LOTS / 10, 500, 200)), Code::INSUFFICIENT_SOURCES);
    assert_eq!(refused.given, i64::from(state::DEGRADED));
    restored(&mut world);
    // The third makes room for it.
    quote(&mut world, market, [(492, 496), (300, 304), (202, 206)]);
    seconds(&mut world, 1);
    let together: OutcomeMarksBody = told(&world, EventKind::OutcomeMarksSet)[0];
    assert_eq!((together.sum, together.feed_state), (1_000, state::VALID));
    world.accept(open(CAROL, OpenLeveraged { outcome: 2, ..long(market, LOTS / 10, 206, 200) }));
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p4_7_a_wide_book_has_the_pools_price_as_its_index() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let pool = CreatePool { market, funding: 1_000 * DOLLAR, ..CreatePool::zero() };
    world.accept(by(OPERATOR, Kind::CreatePool).with(&pool));
    world.accept(cancel_all(CAROL, market));
    world.accept(place(CAROL, on(market, 0, side::BUY, 410, LOTS)));
    world.accept(open(ALICE, long(market, LOTS, 500, 300)));
    let body: OutcomeMarkBody = told(&world, EventKind::OutcomeMarked)[0];
    // The pool says one half, the book 0.455.
    assert_eq!((body.index_e6, body.mark), (500_000_000, 500));
    world.accept(place(CAROL, on(market, 0, side::BUY, 470, LOTS)));
    seconds(&mut world, 1);
    let body: OutcomeMarkBody = told(&world, EventKind::OutcomeMarked)[0];
    // A narrow book is its own index; the premium that stood for moments is small.
    assert_eq!((body.index_e6, body.unclamped), (485_000_000, 485));
}

#[test]
fn p4_7_prints_of_a_liquidation_never_enter_the_mark() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(open(ALICE, long(market, 4 * LOTS, 500, 900)));
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    world.accept(place(BOB, on(market, 0, side::SELL, 464, 50 * LOTS)));
    world.accept(place(CAROL, on(market, 0, side::BUY, 460, LOTS / 4)));
    world.accept(place(CAROL, on(market, 0, side::BUY, 452, LOTS / 4)));
    let mut sold = false;
    for _ in 0..10 {
        seconds(&mut world, 1);
        sold |= world.kinds().contains(&EventKind::LoanLiquidated);
    }
    assert!(sold, "{:?}", world.kinds());
    // The last print that anybody wanted was the purchase at 0.50.
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    seconds(&mut world, 20);
    let marks = world.engine.outcome_marks(market).expect("a position is left");
    assert_eq!(marks.lines[0].target, 500);
}

#[test]
fn i08_the_auditor_computes_domain_speed_and_sum_of_marks_again() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 3);
    let changes: &[Change<OutcomeMarkBody>] = &[
        ("mark", |body| body.mark += 1),
        ("mark beyond the payout", |body| body.mark = 1_000),
        ("outcome", |body| body.outcome = 3),
    ];
    told_otherwise(
        &mut world,
        EventKind::OutcomeMarked,
        |world| drop_result(world.accept(open(ALICE, long(market, LOTS, 500, 300)))),
        changes,
    );
    // All prices move at once and together.
    quote(&mut world, market, [(413, 417), (330, 334), (251, 255)]);
    let changes: &[Change<OutcomeMarkBody>] = &[
        ("speed", |body| body.mark = body.unclamped),
        ("note of its limit", |body| body.clamped ^= 1),
        ("outcome", |body| body.outcome = 2),
    ];
    let mut twin = world.clone();
    told_otherwise(&mut world, EventKind::OutcomeMarked, |world| seconds(world, 1), changes);
    let changes: &[Change<OutcomeMarksBody>] = &[
        ("sum", |body| body.sum -= 1),
        ("count", |body| body.outcomes = 2),
        ("state", |body| body.feed_state = state::DEGRADED),
    ];
    told_otherwise(&mut twin, EventKind::OutcomeMarksSet, |world| seconds(world, 1), changes);
    restored(&mut world);
}

#[test]
fn p4_6_2_governance_sets_the_least_margin_of_a_position() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let raise = |value| {
        let request = SetParameter { parameter: Parameter::JumpMinimumPpm as u32, config_version: 0, value };
        by(RISK, Kind::SetParameter).with(&request)
    };
    world.refuse(propose(raise(19_999), 0), Code::PARAMETER_OUT_OF_BOUNDS);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    let body: LoanBody = told(&world, EventKind::LoanOpened)[0];
    assert_eq!(body.initial_margin, 49_500_000);
    // It raises what open positions must hold: a day's notice.
    let action = world.accept(propose(raise(150_000), 0)).value;
    for approver in APPROVERS {
        world.accept(by(approver, Kind::ApproveAction).with(&OneAction { action }));
    }
    world.refuse(by(ALICE, Kind::ExecuteAction).with(&OneAction { action }), Code::TIMELOCK_ACTIVE);
    world.wait(DAY);
    world.accept(by(ALICE, Kind::ExecuteAction).with(&OneAction { action }));
    let refused = world.refuse(open(CAROL, long(market, LOTS, 500, 700)), Code::INSUFFICIENT_MARGIN);
    assert_eq!(refused.given, 74_250_000);
    world.accept(open(CAROL, long(market, LOTS, 500, 500)));
    assert_eq!(told::<LoanBody>(&world, EventKind::LoanOpened)[0].initial_margin, 74_250_000);
    world.auditor.verify().unwrap();
    restored(&mut world);
    world.accept(open(CAROL, long(market, LOTS, 500, 500)));
}
