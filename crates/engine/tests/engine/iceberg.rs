//! Icebergs (P2.5.5, P3.10).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{CancelBody, EventKind, TradeBody};

use crate::support::*;

/// (maker order, lots) of every trade in the last batch.
fn trades(world: &World) -> Vec<(u64, i64)> {
    let trades = world.events().into_iter().filter(|(kind, _)| *kind == EventKind::Trade);
    trades.map(|(_, event)| event.body_as::<TradeBody>()).map(|t| (t.maker_order, t.lots)).collect()
}

fn asks(world: &World) -> Vec<(i64, i64, u32)> {
    let levels = world.engine.levels(1, side::SELL, 9);
    levels.iter().map(|level| (level.price, level.lots, level.orders)).collect()
}

#[test]
fn p3_10_a_refill_joins_the_back_of_its_level() {
    let mut world: World = World::new();
    let ice = world.accept(place(ALICE, iceberg(1, side::SELL, 100, 10, 2))).value;
    let plain = world.accept(sell(CAROL, 1, 100, 2)).value;
    assert_eq!(asks(&world), [(100, 4, 2)]);
    world.accept(buy(BOB, 1, 100, 6));
    assert_eq!(trades(&world), [(ice, 2), (plain, 2), (ice, 2)]);
    assert_eq!(asks(&world), [(100, 2, 1)]);
    assert_eq!(world.held(ALICE, BTC), 6_000);
    // The remaining six, displayed two at a time.
    world.accept(buy(BOB, 1, 100, 6));
    assert_eq!(trades(&world), [(ice, 2), (ice, 2), (ice, 2)]);
    assert_eq!(asks(&world), []);
    assert_eq!(world.held(ALICE, BTC), 0);
}

#[test]
fn the_default_display_is_a_tenth_rounded_up() {
    for (lots, shown) in [(100, 10), (101, 11), (5, 1)] {
        let mut world: World = World::new();
        world.accept(place(ALICE, iceberg(1, side::SELL, 100, lots, 0)));
        assert_eq!(asks(&world), [(100, shown, 1)]);
    }
}

#[test]
fn an_iceberg_takes_with_all_of_itself_and_shows_a_part_of_its_rest() {
    let mut world: World = World::new();
    world.accept(buy(BOB, 1, 100, 7));
    let ice = world.accept(place(ALICE, iceberg(1, side::SELL, 100, 20, 3))).value;
    assert_eq!(trades(&world).len(), 1);
    assert_eq!(asks(&world), [(100, 3, 1)]);
    world.accept(cancel(ALICE, ice));
    let (_, event) = world.events()[0];
    let body: CancelBody = event.body_as();
    assert_eq!((body.remaining_lots, body.filled_lots, body.released), (13, 7, 13_000));
    assert_eq!(world.held(ALICE, BTC), 0);
}

#[test]
fn a_smaller_iceberg_keeps_its_place_and_loses_hidden_lots_first() {
    let mut world: World = World::new();
    let ice = world.accept(place(ALICE, iceberg(1, side::SELL, 100, 20, 4))).value;
    let behind = world.accept(sell(CAROL, 1, 100, 5)).value;
    world.accept(replace(ALICE, ice, 0, 10));
    assert_eq!(asks(&world), [(100, 9, 2)]);
    assert_eq!(world.held(ALICE, BTC), 10_000);
    world.accept(buy(BOB, 1, 100, 5));
    assert_eq!(trades(&world), [(ice, 4), (behind, 1)]);
    world.accept(replace(ALICE, ice, 101, 12));
    assert_eq!(asks(&world), [(100, 4, 1), (101, 4, 1)]);
    assert_eq!(world.held(ALICE, BTC), 8_000);
}

#[test]
fn decrement_prevention_shrinks_the_displayed_part_and_shows_the_next() {
    let mut world: World = World::new();
    let ice = world.accept(place(ALICE, iceberg(1, side::SELL, 100, 10, 2))).value;
    let own = PlaceOrder { self_trade_prevention: stp::DECREMENT, ..limit(1, side::BUY, 100, 5) };
    world.accept(place(ALICE, own));
    assert_eq!(trades(&world), []);
    assert_eq!(asks(&world), [(100, 1, 1)]);
    world.accept(buy(BOB, 1, 100, 9));
    assert_eq!(trades(&world), [(ice, 1), (ice, 2), (ice, 2)]);
}
