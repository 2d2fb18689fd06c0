//! Time-sliced orders (P2.5.6).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{cancel_reason, CancelBody, EventKind, SliceBody, TradeBody};

use crate::support::*;

/// A world with a reference of 1,000 and `lots` for sale at each of the next prices.
fn offered(lots: i64) -> World {
    let mut world: World = World::new();
    world.accept(buy(CAROL, 1, 1_000, 1));
    world.accept(sell(BOB, 1, 1_000, 1));
    world.accept(buy(CAROL, 1, 999, 1));
    world.accept(sell(BOB, 1, 1_001, lots));
    world
}

fn place_twap(world: &mut World, payload: PlaceTwap) -> u64 {
    world.accept(by(ALICE, Kind::PlaceTwap).with(&payload)).value
}

/// Lots of the trades of an order in the last batch.
fn traded(world: &World, order: u64) -> i64 {
    let trades =
        world.events().into_iter().filter(|(kind, event)| *kind == EventKind::Trade && event.order == order);
    trades.map(|(_, event)| event.body_as::<TradeBody>().lots).sum()
}

fn slice(world: &World, kind: EventKind) -> Option<SliceBody> {
    let mut events = world.events().into_iter();
    events.find(|(other, _)| *other == kind).map(|(_, event)| event.body_as())
}

/// Trades of each slice, a tick every `interval_s`.
fn run(world: &mut World, order: u64, ticks: usize, interval_s: i64) -> Vec<i64> {
    (0..ticks)
        .map(|_| {
            world.tick();
            let lots = traded(world, order);
            world.advance(interval_s * SECOND);
            lots
        })
        .collect()
}

#[test]
fn t17_ten_lots_in_four_slices_trade_2_3_2_3_at_their_times() {
    let mut world = offered(100);
    let order = place_twap(&mut world, twap(1, side::BUY, 10, 4, 60));
    assert_eq!(world.kinds(), [EventKind::OrderAccepted, EventKind::TwapPlaced]);
    assert_eq!(run(&mut world, order, 4, 60), [2, 3, 2, 3]);
    assert_eq!(world.free(ALICE, BTC), FUNDS + 10_000);
    assert_eq!(world.held(ALICE, USDC), 0);
    // It ended with its last slice; nothing is due any more.
    assert_eq!(
        slice(&world, EventKind::SliceEnded).map(|body| (body.remaining_lots, body.next_ns)),
        Some((0, 0))
    );
    world.refuse(cancel(ALICE, order), tradewind_engine::wire::Code::ORDER_NOT_OPEN);
    assert!(only_detection_is_due(&world));
}

#[test]
fn no_slice_runs_before_its_time() {
    let mut world = offered(100);
    let order = place_twap(&mut world, twap(1, side::BUY, 10, 4, 60));
    world.tick();
    world.advance(60 * SECOND - 1);
    world.tick();
    assert_eq!(traded(&world, order), 0);
    world.advance(1);
    world.tick();
    assert_eq!(traded(&world, order), 3);
}

#[test]
fn a_shortfall_is_carried_and_the_rest_ends_with_the_last_slice() {
    // Ten slices of ten lots; only 15 lots are for sale at first, then plenty, then nothing.
    let mut world = offered(15);
    let order = place_twap(&mut world, twap(1, side::BUY, 100, 10, 10));
    assert_eq!(run(&mut world, order, 3, 10), [10, 5, 0]);
    world.accept(sell(BOB, 1, 1_001, 1_000));
    // 25 lots behind, 40 would be due: three times the base size is the most.
    assert_eq!(run(&mut world, order, 2, 10), [25, 10]);
    world.accept(cancel_all(BOB, 1));
    assert_eq!(run(&mut world, order, 4, 10), [0, 0, 0, 0]);
    world.accept(sell(BOB, 1, 1_001, 1_000));
    world.tick();
    assert_eq!(traded(&world, order), 30);
    let events = world.events();
    let (_, cancelled) = events.iter().find(|(kind, _)| *kind == EventKind::OrderCancelled).expect("the end");
    let body: CancelBody = cancelled.body_as();
    assert_eq!((body.reason, body.remaining_lots, body.filled_lots), (cancel_reason::TWAP_END, 20, 80));
}

#[test]
fn behind_a_stall_one_slice_carries_what_the_missed_ones_would_have_traded() {
    let mut world = offered(1_000);
    let order = place_twap(&mut world, twap(1, side::BUY, 100, 10, 10));
    assert_eq!(run(&mut world, order, 1, 10), [10]);
    // Slices 1 to 4 are due at once: slice 4 goes, with thirty of forty lots; the rest follows at the old times.
    world.advance(30 * SECOND);
    world.tick();
    assert_eq!(traded(&world, order), 30);
    let sent = slice(&world, EventKind::SliceSent).expect("a slice");
    assert_eq!((sent.slice, sent.next_ns), (4, world.now_ns + 10 * SECOND));
    world.tick();
    assert_eq!(traded(&world, order), 0);
    world.advance(10 * SECOND);
    assert_eq!(run(&mut world, order, 5, 10), [20, 10, 10, 10, 10]);
    assert_eq!(world.held(ALICE, USDC), 0);
}

#[test]
fn a_slice_stays_within_the_slippage_of_the_reference_and_the_owners_limit() {
    let mut world = offered(2);
    world.accept(sell(BOB, 1, 1_015, 100));
    let order = place_twap(&mut world, twap(1, side::BUY, 20, 2, 60));
    // 1 % of 1,000: the lots at 1,015 are too far away.
    assert_eq!(run(&mut world, order, 1, 60), [2]);
    let mut world = offered(100);
    let order = place_twap(&mut world, PlaceTwap { limit: 1_000, ..twap(1, side::BUY, 20, 2, 60) });
    assert_eq!(run(&mut world, order, 1, 60), [0]);
    assert_eq!(slice(&world, EventKind::SliceSent).map(|body| body.lots), Some(0));
}

#[test]
fn a_slice_that_cannot_be_paid_is_skipped_and_the_order_goes_on() {
    let mut world = offered(1_000);
    let payload = OpenSubAccount { index: 1, margin_mode: 0, reserved: 0, reserved2: 0 };
    world.accept(by(ALICE, Kind::OpenSubAccount).with(&payload));
    let command = by(ALICE, Kind::PlaceTwap).with(&twap(1, side::BUY, 30, 3, 60));
    let order = world.accept(Command { sub: 1, ..command }).value;
    assert_eq!(run(&mut world, order, 1, 60), [0]);
    let money = Transfer { to_sub: 1, reserved: 0, asset: USDC, reserved2: 0, amount: 1_000_000 };
    world.accept(by(ALICE, Kind::Transfer).with(&money));
    assert_eq!(run(&mut world, order, 2, 60), [20, 10]);
}

#[test]
fn a_sliced_order_can_be_cancelled_between_slices() {
    let mut world = offered(1_000);
    let order = place_twap(&mut world, twap(1, side::BUY, 30, 3, 60));
    assert_eq!(run(&mut world, order, 1, 60), [10]);
    world.accept(cancel(ALICE, order));
    let (_, event) = world.events()[0];
    let body: CancelBody = event.body_as();
    assert_eq!((body.reason, body.remaining_lots, body.filled_lots), (cancel_reason::USER, 20, 10));
    assert!(only_detection_is_due(&world));
    world.tick();
    assert_eq!(traded(&world, order), 0);
}

/// After a trade the statistics of its second are due when the second is over, and nothing else.
fn only_detection_is_due(world: &World) -> bool {
    world.engine.next_due_ns().is_none_or(|due_ns| due_ns <= world.now_ns + SECOND)
}
