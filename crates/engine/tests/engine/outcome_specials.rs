//! Special orders on outcome markets: reduce-only (P2.5.2) and icebergs (P2.5.5).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{Event, EventKind, IcebergBody, OrderBody, SetFilledBody, TradeBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::Engine;

use crate::outcome::*;
use crate::outcome_books::on;
use crate::outcome_rounds::{asks, bids, wide_market};
use crate::support::*;

const YES: u8 = 0;
const NO: u8 = 1;

fn reducing(owner: Key, market: u32, outcome: u8, price: i64, lots: i64) -> Command {
    let order = on(market, outcome, side::SELL, price, lots);
    place(owner, PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..order })
}

fn iceberg_on(market: u32, outcome: u8, side: u8, price: i64, lots: i64, display_lots: i64) -> PlaceOrder {
    PlaceOrder { order_type: order_type::ICEBERG, display_lots, ..on(market, outcome, side, price, lots) }
}

fn lots_of(world: &World, kind: EventKind) -> Vec<i64> {
    let events = world.events().into_iter().filter(|event| event.0 == kind);
    let lots = |event: &Event| match kind {
        EventKind::Trade => event.body_as::<TradeBody>().lots,
        EventKind::SetFilled => event.body_as::<SetFilledBody>().lots,
        _ => event.body_as::<IcebergBody>().displayed_lots,
    };
    events.map(|(_, event)| lots(&event)).collect()
}

fn shown(world: &World, market: u32, outcome: u8, book_side: u8) -> Vec<(i64, i64)> {
    let levels = world.engine.outcome_levels(market, outcome, book_side, 9);
    levels.iter().map(|level| (level.price, level.lots)).collect()
}

fn restores(world: &World) {
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), world.engine.state_hash());
    assert_eq!(restored.snapshot(), world.engine.snapshot());
    world.auditor.verify().unwrap();
}

#[test]
fn p2_5_2_reduce_only_sells_claims_that_are_held_and_is_cut_to_what_is_free() {
    for (outcomes, outcome) in [(2, YES), (2, NO), (3, 2)] {
        let mut world: World = World::new();
        let market = wide_market(&mut world, outcomes, 0, 0);
        let refused =
            world.refuse(reducing(ALICE, market, outcome, 600, 5), Code::REDUCE_ONLY_WOULD_INCREASE);
        assert_eq!((refused.bound, refused.given), (0, 5));
        world.accept(sets(ALICE, Kind::MintSet, market, 10));
        let buys =
            PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..on(market, outcome, side::BUY, 300, 5) };
        world.refuse(place(ALICE, buys), Code::REDUCE_ONLY_WOULD_INCREASE);
        world.accept(asks(ALICE, market, outcome, 600, 4));
        world.accept(reducing(ALICE, market, outcome, 610, 50));
        let body: OrderBody = world.events()[0].1.body_as();
        assert_eq!((body.total_lots, body.order_flags), (6, order_flag::REDUCE_ONLY));
        assert_eq!(claim(&world, ALICE, market, outcome), (0, 10_000));
        world.refuse(reducing(ALICE, market, outcome, 610, 1), Code::REDUCE_ONLY_WOULD_INCREASE);
        world.accept(bids(BOB, market, outcome, 620, 10));
        assert_eq!(lots_of(&world, EventKind::Trade), [4, 6]);
        assert_eq!(claim(&world, ALICE, market, outcome), (0, 0));
        world.refuse(reducing(ALICE, market, outcome, 0, 5), Code::REDUCE_ONLY_WOULD_INCREASE);
        world.refuse(reducing(BOB, market, outcome, 620, 0), Code::INVALID_SIZE);
        restores(&world);
    }
}

#[test]
fn p2_4_2_claims_of_any_worth_may_be_sold_and_nothing_else_may() {
    let mut world: World = World::new();
    let request = CreateMarket { min_notional: 1_000_000, ..outcome_request(800, 2) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    world.refuse(asks(ALICE, market, YES, 600, 10), Code::ORDER_TOO_SMALL);
    world.accept(reducing(ALICE, market, YES, 600, 10));
    restores(&world);
}

#[test]
fn p7_6_under_a_partial_pause_claims_are_sold_by_orders_that_only_reduce() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 2, 0, 0);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    world.accept(pause(market, 1, world.now_ns + HOUR));
    world.refuse(asks(ALICE, market, YES, 600, 5), Code::PAUSED);
    world.accept(reducing(ALICE, market, YES, 600, 5));
    restores(&world);
}

#[test]
fn p2_5_5_an_iceberg_shows_its_part_and_each_refill_joins_the_back_in_both_outcomes() {
    for (outcome, other) in [(YES, NO), (NO, YES)] {
        let mut world: World = World::new();
        let market = wide_market(&mut world, 2, 0, 0);
        world.accept(place(ALICE, iceberg_on(market, outcome, side::BUY, 400, 10, 2)));
        assert_eq!(lots_of(&world, EventKind::IcebergShown), [2]);
        assert_eq!(world.held(ALICE, USDC), 4_000);
        world.accept(bids(BOB, market, outcome, 400, 2));
        // The golden sequence of P3.10: 2 of the iceberg, 2 of the other order, 2 of the iceberg.
        world.accept(bids(CAROL, market, other, 600, 6));
        assert_eq!(lots_of(&world, EventKind::Trade), [2, 2, 2]);
        let (price, book_side) = if outcome == YES { (400, side::BUY) } else { (600, side::SELL) };
        assert_eq!(shown(&world, market, YES, book_side), [(price, 2)]);
        assert_eq!(world.held(ALICE, USDC), 6 * 400);
        assert_eq!(claim(&world, ALICE, market, outcome), (4_000, 0));
        restores(&world);
        let order = world.orders[0];
        world.refuse(replace(ALICE, order, 410, 0), Code::INVALID_ORDER_TYPE);
        world.accept(cancel(ALICE, order));
        assert_eq!(world.held(ALICE, USDC), 0);
        restores(&world);
    }
}

#[test]
fn p2_5_5_an_iceberg_of_claims_is_held_as_a_whole_and_shrinks_under_self_trade_prevention() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(sets(ALICE, Kind::MintSet, market, 20));
    let flags = order_flag::REDUCE_ONLY;
    let order = PlaceOrder { order_flags: flags, ..iceberg_on(market, 2, side::SELL, 400, 99, 5) };
    world.accept(place(ALICE, order));
    assert_eq!(claim(&world, ALICE, market, 2), (0, 20_000));
    let own = PlaceOrder { self_trade_prevention: stp::DECREMENT, ..on(market, 2, side::BUY, 400, 7) };
    world.accept(place(ALICE, own));
    assert_eq!(claim(&world, ALICE, market, 2), (7_000, 13_000));
    assert_eq!(shown(&world, market, 2, side::SELL), [(400, 3)]);
    world.accept(bids(BOB, market, 2, 400, 13));
    assert_eq!(lots_of(&world, EventKind::Trade), [3, 5, 5]);
    assert_eq!(claim(&world, ALICE, market, 2), (7_000, 0));
    restores(&world);
}

#[test]
fn p3_6_sets_take_the_smallest_displayed_quantity_of_icebergs_in_any_place() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(place(ALICE, iceberg_on(market, 0, side::BUY, 400, 9, 3)));
    world.accept(bids(BOB, market, 1, 350, 20));
    world.accept(bids(CAROL, market, 2, 250, 8));
    assert_eq!(lots_of(&world, EventKind::SetFilled), [3, 3, 3, 3, 3, 3, 2, 2, 2]);
    assert_eq!(shown(&world, market, 0, side::BUY), [(400, 1)]);
    assert_eq!(world.held(ALICE, USDC), 400);
    // An iceberg that takes does so with all it has, and rests with a part.
    world.accept(place(CAROL, iceberg_on(market, 2, side::BUY, 260, 10, 2)));
    assert_eq!(lots_of(&world, EventKind::SetFilled), [1, 1, 1]);
    assert_eq!(shown(&world, market, 2, side::BUY), [(260, 2)]);
    assert_eq!(world.held(CAROL, USDC), 9 * 260);
    restores(&world);
}

#[test]
fn p2_5_5_the_form_of_an_iceberg_is_checked_as_elsewhere() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    let whole = iceberg_on(market, 1, side::BUY, 300, 200, 2);
    let refused = [
        (PlaceOrder { display_lots: 1, ..whole }, Code::INVALID_DISPLAY_SIZE),
        (PlaceOrder { display_lots: 201, ..whole }, Code::INVALID_DISPLAY_SIZE),
        (PlaceOrder { time_in_force: time_in_force::IOC, ..whole }, Code::INVALID_TIME_IN_FORCE),
        (PlaceOrder { trigger_price: 5, ..whole }, Code::INVALID_TRIGGER),
        (PlaceOrder { price: 1_000, ..whole }, Code::INVALID_PRICE),
        (PlaceOrder { outcome: 3, ..whole }, Code::INVALID_OUTCOME),
        (PlaceOrder { side: side::SELL, ..whole }, Code::INSUFFICIENT_SHARES),
        (PlaceOrder { lots: 0, ..whole }, Code::INVALID_SIZE),
    ];
    for (order, code) in refused {
        world.refuse(place(ALICE, order), code);
    }
    world.accept(place(ALICE, PlaceOrder { display_lots: 0, ..whole }));
    assert_eq!(lots_of(&world, EventKind::IcebergShown), [20], "a tenth by default");
    let batch_item = PlaceOrder { lots: 10, display_lots: 5, ..whole };
    let header = by(BOB, Kind::PlaceBatch).with(&PlaceBatch { count: 2, ..PlaceBatch::zero() });
    let items = [batch_item, PlaceOrder { price: 0, ..batch_item }];
    let mut batch = vec![header];
    batch.extend(items.map(|order| by(BOB, Kind::BatchItem).with(&order)));
    let keyed: Vec<Command> =
        batch.into_iter().map(|command| Command { client_key: world.fresh_key(), ..command }).collect();
    let before = world.engine.state_hash();
    assert_eq!(world.run(&keyed)[2].accepted, 0);
    assert_eq!(world.engine.state_hash(), before, "what was applied is taken back");
    restores(&world);
}

#[test]
fn p3_7_icebergs_trade_in_the_call_auction_of_a_binary_market_with_what_they_hide() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 2, 0, 0);
    world.accept(sets(ALICE, Kind::MintSet, market, 20));
    world.accept(asks(ALICE, market, YES, 500, 1));
    world.accept(bids(BOB, market, YES, 500, 1));
    world.accept(trip_breaker(EMERGENCY, market, 2));
    // Behind the halt of 300 s orders are collected for 30 s.
    for _ in 0..301 {
        world.advance(SECOND);
        world.tick();
    }
    world.accept(place(ALICE, iceberg_on(market, YES, side::SELL, 490, 10, 3)));
    world.accept(place(BOB, iceberg_on(market, NO, side::BUY, 500, 8, 2)));
    world.accept(place(CAROL, iceberg_on(market, YES, side::BUY, 510, 12, 5)));
    assert!(lots_of(&world, EventKind::Trade).is_empty());
    world.auditor.verify().unwrap();
    let mut traded = 0;
    for _ in 0..60 {
        world.advance(SECOND);
        world.tick();
        traded += lots_of(&world, EventKind::Trade).iter().sum::<i64>();
    }
    assert_eq!(traded, 12);
    assert_eq!(claim(&world, CAROL, market, YES), (12_000, 0));
    restores(&world);
}
