//! One cancels the other, brackets and reduce-only orders (P2.5.2, P2.5.7).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{cancel_reason, CancelBody, EventKind, ResizeBody, TradeBody};
use tradewind_engine::wire::Code;

use crate::support::*;

fn oco(other: u64, order: PlaceOrder) -> PlaceOrder {
    PlaceOrder { order_flags: order.order_flags | order_flag::OCO, linked_order: other, ..order }
}

fn exit_of(entry: u64, order: PlaceOrder) -> PlaceOrder {
    PlaceOrder { order_flags: order.order_flags | order_flag::BRACKET, linked_order: entry, ..order }
}

fn reduce_only(order: PlaceOrder) -> PlaceOrder {
    PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..order }
}

/// (order, reason, remaining lots) of every cancel in the last batch.
fn cancels(world: &World) -> Vec<(u64, u8, i64)> {
    let cancelled = world.events().into_iter().filter(|(kind, _)| *kind == EventKind::OrderCancelled);
    cancelled
        .map(|(_, event)| (event.order, event.body_as::<CancelBody>()))
        .map(|(order, body)| (order, body.reason, body.remaining_lots))
        .collect()
}

fn resized(world: &World) -> Vec<(u64, i64, i64)> {
    let events = world.events().into_iter().filter(|(kind, _)| *kind == EventKind::OrderResized);
    events
        .map(|(_, event)| (event.order, event.body_as::<ResizeBody>()))
        .map(|(order, body)| (order, body.remaining_lots, body.inactive_lots))
        .collect()
}

fn asks(world: &World, market: u32) -> Vec<(i64, i64)> {
    world.engine.levels(market, side::SELL, 9).iter().map(|level| (level.price, level.lots)).collect()
}

/// Market 1 traded at 1,000.
fn traded() -> World {
    let mut world: World = World::new();
    world.accept(buy(CAROL, 1, 1_000, 1));
    world.accept(sell(BOB, 1, 1_000, 1));
    world
}

#[test]
fn p2_5_7_a_fill_of_one_reduces_the_other_by_as_much_and_a_full_one_cancels_it() {
    let mut world = traded();
    let profit = world.accept(sell(ALICE, 1, 1_050, 10)).value;
    let loss = world.accept(place(ALICE, oco(profit, stop(1, side::SELL, 950, 10)))).value;
    world.accept(buy(BOB, 1, 1_050, 4));
    assert_eq!(resized(&world), [(loss, 6, 0)]);
    assert_eq!(cancels(&world), []);
    world.accept(buy(BOB, 1, 1_050, 6));
    assert_eq!(cancels(&world), [(loss, cancel_reason::LINKED, 6)]);
    assert_eq!(world.engine.sizes().0, 0);
    assert_eq!(world.free(ALICE, BTC), FUNDS - 10_000);
}

#[test]
fn the_trigger_of_one_cancels_the_other_in_the_same_command() {
    let mut world = traded();
    let profit = world.accept(sell(ALICE, 1, 1_050, 10)).value;
    let loss = world.accept(place(ALICE, oco(profit, stop(1, side::SELL, 990, 10)))).value;
    world.accept(buy(CAROL, 1, 985, 30));
    world.accept(buy(CAROL, 1, 990, 1));
    world.accept(sell(BOB, 1, 990, 1));
    assert_eq!(cancels(&world)[0], (profit, cancel_reason::LINKED, 10));
    let events = world.events();
    let fired = events.iter().find(|(kind, _)| *kind == EventKind::TriggerFired).unwrap();
    let cancelled = events.iter().find(|(kind, _)| *kind == EventKind::OrderCancelled).unwrap();
    assert_eq!((fired.1.order, fired.1.seq), (loss, cancelled.1.seq));
    assert_eq!(world.free(ALICE, BTC), FUNDS - 10_000);
}

#[test]
fn t17_two_resting_orders_of_a_pair_never_fill_beyond_the_size() {
    let mut world = traded();
    let near = world.accept(sell(ALICE, 1, 1_010, 10)).value;
    world.accept(place(ALICE, oco(near, limit(1, side::SELL, 1_020, 10))));
    world.accept(buy(BOB, 1, 1_020, 100));
    let sold: i64 = world
        .events()
        .iter()
        .filter(|(kind, _)| *kind == EventKind::Trade)
        .map(|(_, event)| event.body_as::<TradeBody>().lots)
        .sum();
    assert_eq!(sold, 10);
    assert_eq!(world.free(ALICE, BTC), FUNDS - 10_000);
}

#[test]
fn the_other_of_a_pair_shrinks_in_place_and_keeps_its_priority() {
    let mut world = traded();
    let first = world.accept(sell(ALICE, 1, 1_020, 10)).value;
    world.accept(sell(CAROL, 1, 1_020, 5));
    world.accept(place(ALICE, oco(first, limit(1, side::SELL, 1_010, 10))));
    world.accept(buy(BOB, 1, 1_010, 3));
    assert_eq!(resized(&world), [(first, 7, 0)]);
    assert_eq!(asks(&world, 1), [(1_010, 7), (1_020, 12)]);
    assert_eq!(world.held(ALICE, BTC), 14_000);
    world.accept(cancel(ALICE, world.orders[4]));
    world.accept(place(BOB, limit(1, side::BUY, 1_020, 8)));
    // Cancelling one leaves the other alone.
    let makers: Vec<u64> = world
        .events()
        .iter()
        .filter(|(kind, _)| *kind == EventKind::Trade)
        .map(|(_, event)| event.body_as::<TradeBody>().maker_order)
        .collect();
    assert_eq!(makers, [first, world.orders[3]]);
}

#[test]
fn an_order_belongs_to_one_pair_only() {
    let mut world = traded();
    let first = world.accept(sell(ALICE, 1, 1_020, 10)).value;
    let second = world.accept(place(ALICE, oco(first, limit(1, side::SELL, 1_030, 10)))).value;
    for taken in [first, second] {
        world.refuse(place(ALICE, oco(taken, limit(1, side::SELL, 1_040, 10))), Code::INVALID_LINK);
    }
    // A bracket reduces a position, which a spot market does not have.
    let entry = world.accept(buy(ALICE, 1, 900, 10)).value;
    world.refuse(place(ALICE, exit_of(entry, stop(1, side::SELL, 850, 10))), Code::INVALID_LINK);
}

/// A leveraged market at 100.00, its book quoted by CAROL.
fn leveraged() -> World {
    let mut world = World::leveraged();
    world.quote_all(0, 100_000_000);
    world.keep_quoting(0, 100_000_000, 130);
    world
}

#[test]
fn reduce_only_never_increases_and_never_flips() {
    let mut world = leveraged();
    world
        .refuse(place(ALICE, reduce_only(limit(0, side::SELL, 10_000, 5))), Code::REDUCE_ONLY_WOULD_INCREASE);
    world.accept(sell(BOB, 0, 10_000, 10));
    world.accept(buy(ALICE, 0, 10_000, 10));
    world.refuse(place(ALICE, reduce_only(limit(0, side::BUY, 10_000, 5))), Code::REDUCE_ONLY_WOULD_INCREASE);
    // Larger than the position: cut at match time, the rest is cancelled.
    world.accept(buy(CAROL, 0, 9_990, 100));
    let close = PlaceOrder { time_in_force: time_in_force::GTC, ..limit(0, side::SELL, 9_990, 25) };
    let order = world.accept(place(ALICE, reduce_only(close))).value;
    assert_eq!(position(&world, ALICE), 0);
    assert_eq!(cancels(&world), [(order, cancel_reason::REDUCE_ONLY, 15)]);
}

fn position(world: &World, owner: Key) -> i64 {
    world.engine.position(&tradewind_engine::id::account_id(&owner), 0, 0).expect("a known account")
}

#[test]
fn resting_reduce_only_orders_beyond_the_position_go_newest_first() {
    let mut world = leveraged();
    world.accept(sell(BOB, 0, 10_000, 10));
    world.accept(buy(ALICE, 0, 10_000, 10));
    let orders: Vec<u64> = [(10_030, 4), (10_020, 4), (10_010, 4)]
        .into_iter()
        .map(|(price, lots)| world.accept(place(ALICE, reduce_only(limit(0, side::SELL, price, lots)))).value)
        .collect();
    // Six remain: the two older ones use them up, the third lies beyond.
    world.accept(buy(CAROL, 0, 9_990, 4));
    world.accept(place(ALICE, PlaceOrder { time_in_force: 1, ..limit(0, side::SELL, 9_990, 4) }));
    assert_eq!(cancels(&world), [(orders[2], cancel_reason::REDUCE_ONLY, 4)]);
    // What straddles the end of the position is cut when it trades, and goes then.
    world.accept(buy(BOB, 0, 10_040, 20));
    assert_eq!(position(&world, ALICE), 0);
    assert_eq!(cancels(&world), [(orders[0], cancel_reason::REDUCE_ONLY, 2)]);
}

#[test]
fn a_bracket_grows_with_its_entry_and_one_exit_ends_the_other() {
    let mut world = leveraged();
    let entry = world.accept(buy(ALICE, 0, 9_980, 10)).value;
    let loss = exit_of(
        entry,
        PlaceOrder { trigger_source: trigger_source::LAST_TRADE, ..stop(0, side::SELL, 9_500, 10) },
    );
    // There was no trade yet, so that the last price cannot be watched.
    world.refuse(place(ALICE, loss), Code::INVALID_TRIGGER);
    let loss = PlaceOrder { trigger_source: trigger_source::MARK, ..loss };
    let loss = world.accept(place(ALICE, loss)).value;
    let profit =
        PlaceOrder { trigger_source: trigger_source::MARK, ..take_profit(0, side::SELL, 10_200, 10) };
    let profit = world.accept(place(ALICE, exit_of(entry, profit))).value;
    let third = PlaceOrder { trigger_source: trigger_source::MARK, ..stop(0, side::SELL, 9_400, 10) };
    world.refuse(place(ALICE, exit_of(entry, third)), Code::INVALID_LINK);
    world.accept(sell(BOB, 0, 9_980, 4));
    assert_eq!(resized(&world), [(loss, 4, 6), (profit, 4, 6)]);
    // The entry's rest goes, the exits keep what became active.
    world.accept(cancel(ALICE, entry));
    assert_eq!(resized(&world), [(loss, 4, 0), (profit, 4, 0)]);
    world.accept(buy(CAROL, 0, 10_190, 50));
    world.quote_all(0, 103_000_000);
    world.keep_quoting(0, 103_000_000, 60);
    assert_eq!(position(&world, ALICE), 0);
    assert_eq!(world.engine.sizes().0, 1, "only CAROL's order is left");
}

#[test]
fn an_entry_that_never_traded_takes_its_exits_along() {
    let mut world = leveraged();
    let entry = world.accept(buy(ALICE, 0, 9_980, 10)).value;
    let loss = PlaceOrder { trigger_source: trigger_source::MARK, ..stop(0, side::SELL, 9_500, 10) };
    let loss = world.accept(place(ALICE, exit_of(entry, loss))).value;
    world.accept(cancel(ALICE, entry));
    assert_eq!(cancels(&world), [(entry, cancel_reason::USER, 10), (loss, cancel_reason::LINKED, 10)]);
}

#[test]
fn stops_watch_the_mark_of_a_leveraged_market() {
    let mut world = leveraged();
    world.accept(sell(BOB, 0, 10_000, 10));
    world.accept(buy(ALICE, 0, 10_000, 10));
    let request = PlaceOrder { trigger_source: trigger_source::MARK, ..stop(0, side::SELL, 9_800, 10) };
    let order = world.accept(place(ALICE, reduce_only(request))).value;
    let index = PlaceOrder { trigger_source: trigger_source::INDEX, ..stop(0, side::BUY, 10_500, 1) };
    let other = world.accept(place(BOB, index)).value;
    world.accept(buy(CAROL, 0, 9_750, 50));
    world.quote_all(0, 97_000_000);
    world.keep_quoting(0, 97_000_000, 60);
    assert_eq!(position(&world, ALICE), 0);
    world.refuse(cancel(ALICE, order), Code::ORDER_NOT_OPEN);
    world.accept(cancel(BOB, other));
}
