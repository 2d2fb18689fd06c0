//! Stops, take-profits and trailing stops on binary outcome markets (P2.5.3, P2.5.4, P2.5.2).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    cancel_reason, CancelBody, Event, EventKind, FiredBody, OrderBody, TradeBody,
};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::Engine;

use crate::outcome::*;
use crate::outcome_books::on;
use crate::outcome_rounds::{asks, bids, wide_market};
use crate::support::*;

const YES: u8 = 0;
const NO: u8 = 1;

fn waiting(kind: u8, market: u32, outcome: u8, side: u8, trigger_price: i64, lots: i64) -> PlaceOrder {
    let trigger_source = trigger_source::LAST_TRADE;
    PlaceOrder { order_type: kind, trigger_price, trigger_source, ..on(market, outcome, side, 0, lots) }
}

/// The price of outcome 0 that a price of this outcome is.
fn of_book(outcome: u8, price: i64) -> i64 {
    if outcome == YES {
        price
    } else {
        1_000 - price
    }
}

/// A market whose outcome last traded at this price of its own; alice has 20 lots of both.
fn traded(world: &mut World, outcome: u8, price: i64) -> u32 {
    let market = wide_market(world, 2, 0, 0);
    world.accept(sets(ALICE, Kind::MintSet, market, 20));
    world.accept(sets(CAROL, Kind::MintSet, market, 50));
    trade_at(world, market, outcome, price, 1);
    market
}

fn trade_at(world: &mut World, market: u32, outcome: u8, price: i64, lots: i64) {
    world.accept(asks(CAROL, market, outcome, price, lots));
    world.accept(bids(BOB, market, outcome, price, lots));
}

fn of_kind(world: &World, kind: EventKind) -> Vec<Event> {
    world.events().into_iter().filter(|event| event.0 == kind).map(|event| event.1).collect()
}

fn verified(world: &World) {
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), world.engine.state_hash());
    assert_eq!(restored.snapshot(), world.engine.snapshot());
    world.auditor.verify().unwrap();
}

#[test]
fn p2_5_3_a_stop_sells_at_the_market_when_the_last_trade_falls_to_it_in_both_outcomes() {
    for outcome in [YES, NO] {
        let mut world: World = World::new();
        let market = traded(&mut world, outcome, 500);
        let order = waiting(order_type::STOP, market, outcome, side::SELL, 480, 8);
        let stop = world.accept(place(ALICE, order)).value;
        let body: OrderBody = of_kind(&world, EventKind::OrderAccepted)[0].body_as();
        assert_eq!((body.side, body.price, body.reserve, body.resting), (side::SELL, 470, 0, 0));
        assert_eq!(claim(&world, ALICE, market, outcome), (20_000, 0), "nothing is held before it fires");
        trade_at(&mut world, market, outcome, 481, 1);
        assert!(of_kind(&world, EventKind::TriggerFired).is_empty());
        verified(&world);
        world.accept(bids(BOB, market, outcome, 475, 5));
        trade_at(&mut world, market, outcome, 480, 1);
        let fired: FiredBody = of_kind(&world, EventKind::TriggerFired)[0].body_as();
        // Prices of triggers are those of the book.
        let prices = (fired.trigger_price, fired.source_price, fired.limit);
        assert_eq!(prices, (of_book(outcome, 480), of_book(outcome, 480), of_book(outcome, 470)));
        let trade: TradeBody = of_kind(&world, EventKind::Trade).last().unwrap().body_as();
        assert_eq!((trade.price, trade.lots), (of_book(outcome, 475), 5));
        // What is left of it does not rest.
        let cancelled = of_kind(&world, EventKind::OrderCancelled);
        let body: CancelBody = cancelled[0].body_as();
        assert_eq!((cancelled[0].order, body.reason, body.remaining_lots), (stop, cancel_reason::IOC, 3));
        assert_eq!(claim(&world, ALICE, market, outcome), (15_000, 0));
        verified(&world);
    }
}

#[test]
fn p2_5_3_a_stop_limit_that_buys_rests_at_its_limit_and_a_take_profit_waits_for_the_other_side() {
    for outcome in [YES, NO] {
        let mut world: World = World::new();
        let market = traded(&mut world, outcome, 500);
        let stop = waiting(order_type::STOP_LIMIT, market, outcome, side::BUY, 520, 4);
        world.accept(place(ALICE, PlaceOrder { price: 515, ..stop }));
        let profit = waiting(order_type::TAKE_PROFIT, market, outcome, side::SELL, 530, 4);
        world.accept(place(ALICE, PlaceOrder { price: 525, ..profit }));
        trade_at(&mut world, market, outcome, 520, 1);
        assert_eq!(of_kind(&world, EventKind::TriggerFired).len(), 1);
        let body: OrderBody = of_kind(&world, EventKind::OrderActivated)[0].body_as();
        assert_eq!((body.side, body.price, body.resting), (side::BUY, 515, 1));
        assert_eq!(world.held(ALICE, USDC), 4 * 515);
        trade_at(&mut world, market, outcome, 530, 1);
        let body: OrderBody = of_kind(&world, EventKind::OrderActivated)[0].body_as();
        assert_eq!((body.side, body.price, body.outcome), (side::SELL, 525, outcome));
        assert_eq!(claim(&world, ALICE, market, outcome), (16_000, 4_000));
        verified(&world);
    }
}

#[test]
fn p2_5_4_a_trailing_stop_follows_the_last_trade_in_its_orders_favour() {
    for outcome in [YES, NO] {
        let mut world: World = World::new();
        let market = traded(&mut world, outcome, 500);
        let order = waiting(order_type::TRAILING_STOP, market, outcome, side::SELL, 0, 4);
        world.accept(place(ALICE, PlaceOrder { trail: 15, ..order }));
        trade_at(&mut world, market, outcome, 520, 1);
        trade_at(&mut world, market, outcome, 506, 1);
        assert!(of_kind(&world, EventKind::TriggerFired).is_empty());
        verified(&world);
        trade_at(&mut world, market, outcome, 505, 1);
        let fired: FiredBody = of_kind(&world, EventKind::TriggerFired)[0].body_as();
        assert_eq!(fired.trigger_price, of_book(outcome, 505));
        verified(&world);
    }
}

#[test]
fn p2_5_2_a_stop_that_only_reduces_is_cut_to_the_claims_that_are_free_when_it_fires() {
    for outcome in [YES, NO] {
        let mut world: World = World::new();
        let market = traded(&mut world, outcome, 500);
        let order = waiting(order_type::STOP_LIMIT, market, outcome, side::SELL, 450, 30);
        let order = PlaceOrder { price: 440, order_flags: order_flag::REDUCE_ONLY, ..order };
        world.refuse(
            place(BOB, PlaceOrder { outcome: 1 - outcome, ..order }),
            Code::REDUCE_ONLY_WOULD_INCREASE,
        );
        world.accept(place(ALICE, order));
        let second = world.accept(place(ALICE, order)).value;
        world.accept(asks(ALICE, market, outcome, 700, 12));
        trade_at(&mut world, market, outcome, 450, 1);
        let body: OrderBody = of_kind(&world, EventKind::OrderActivated)[0].body_as();
        assert_eq!((body.total_lots, body.remaining_lots, body.resting), (8, 8, 1));
        assert_eq!(claim(&world, ALICE, market, outcome), (0, 20_000));
        // For the second one nothing is left.
        let cancelled = of_kind(&world, EventKind::OrderCancelled);
        let body: CancelBody = cancelled[0].body_as();
        assert_eq!((cancelled[0].order, body.reason), (second, cancel_reason::REDUCE_ONLY));
        verified(&world);
    }
}

#[test]
fn p2_5_3_a_fired_order_that_cannot_be_secured_is_cancelled_and_no_order_fires_in_the_last_minute() {
    let mut world: World = World::new();
    let request = CreateMarket {
        taker_fee_e6bp: 0,
        band_bp: 9_000,
        settle_time_ns: START + 2 * HOUR,
        ..outcome_request(910, 2)
    };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    world.accept(sets(CAROL, Kind::MintSet, market, 50));
    trade_at(&mut world, market, YES, 500, 1);
    let order = waiting(order_type::STOP, market, NO, side::SELL, 480, 5);
    let stop = world.accept(place(ALICE, order)).value;
    trade_at(&mut world, market, YES, 520, 1);
    let cancelled = of_kind(&world, EventKind::OrderCancelled);
    let body: CancelBody = cancelled[0].body_as();
    assert_eq!((cancelled[0].order, body.reason, body.released), (stop, cancel_reason::MARGIN, 0));
    world.accept(place(ALICE, waiting(order_type::STOP, market, YES, side::BUY, 700, 5)));
    world.wait(2 * HOUR - 60 * SECOND);
    world.refuse(place(ALICE, order), Code::IN_RESOLUTION_BUFFER);
    verified(&world);
    world.wait(61 * SECOND);
    assert_eq!(world.engine.sizes().0, 0, "with its market the waiting order ends");
    verified(&world);
}

#[test]
fn the_form_of_a_waiting_order_on_claims() {
    let mut world: World = World::new();
    let categorical = wide_market(&mut world, 3, 0, 0);
    let untraded = wide_market(&mut world, 2, 0, 0);
    let market = traded(&mut world, YES, 500);
    let stop = waiting(order_type::STOP, market, NO, side::SELL, 400, 5);
    let refused = [
        (PlaceOrder { market: categorical, ..stop }, Code::INVALID_ORDER_TYPE),
        (PlaceOrder { order_flags: order_flag::BRACKET, linked_order: 1, ..stop }, Code::INVALID_ORDER_TYPE),
        (PlaceOrder { order_flags: order_flag::OCO, linked_order: 999, ..stop }, Code::INVALID_LINK),
        (PlaceOrder { order_flags: order_flag::OCO, ..stop }, Code::INVALID_LINK),
        (PlaceOrder { market: untraded, ..stop }, Code::INVALID_TRIGGER),
        (PlaceOrder { trigger_source: trigger_source::MARK, ..stop }, Code::INVALID_TRIGGER),
        (PlaceOrder { trigger_price: 1_000, ..stop }, Code::INVALID_TRIGGER),
        (PlaceOrder { trigger_price: 500, ..stop }, Code::TRIGGER_WOULD_FIRE),
        (PlaceOrder { side: side::BUY, ..stop }, Code::TRIGGER_WOULD_FIRE),
        (PlaceOrder { order_type: order_type::STOP_LIMIT, ..stop }, Code::INVALID_TRIGGER),
        (PlaceOrder { price: 1_000, order_type: order_type::STOP_LIMIT, ..stop }, Code::INVALID_PRICE),
        (PlaceOrder { time_in_force: time_in_force::FOK, ..stop }, Code::INVALID_TIME_IN_FORCE),
        (PlaceOrder { lots: 0, ..stop }, Code::INVALID_SIZE),
        (PlaceOrder { trail: 5, ..stop }, Code::INVALID_TRAIL),
        (
            PlaceOrder { order_type: order_type::TRAILING_STOP, trigger_price: 0, trail: 500, ..stop },
            Code::INVALID_TRAIL,
        ),
    ];
    for (order, code) in refused {
        world.refuse(place(ALICE, order), code);
    }
    let bound =
        world.refuse(place(ALICE, PlaceOrder { trigger_price: 510, ..stop }), Code::TRIGGER_WOULD_FIRE);
    assert_eq!((bound.bound, bound.given), (500, 510), "in prices of the outcome");
    let order = world.accept(place(ALICE, stop)).value;
    world.refuse(replace(ALICE, order, 0, 4), Code::INVALID_ORDER_TYPE);
    world.accept(cancel(ALICE, order));
    verified(&world);
}

#[test]
fn i26_a_fired_order_that_is_told_otherwise_is_noticed() {
    let mut world: World = World::new();
    let market = traded(&mut world, NO, 500);
    let order = waiting(order_type::STOP_LIMIT, market, NO, side::SELL, 450, 30);
    world.accept(place(ALICE, PlaceOrder { price: 440, order_flags: order_flag::REDUCE_ONLY, ..order }));
    world.accept(asks(CAROL, market, NO, 450, 1));
    let auditor = world.auditor.clone();
    world.accept(bids(BOB, market, NO, 450, 1));
    let batch = &world.batch;
    let noticed = |kind: EventKind, change: &dyn Fn(&mut Event)| {
        let mut events = batch.output.events.clone();
        change(events.iter_mut().find(|event| event.kind == kind as u16).expect("there is one"));
        let checked = auditor.clone().check(&batch.commands, &batch.results, &events, &batch.output.postings);
        checked.expect_err("the damage is noticed").invariant
    };
    let less = |event: &mut Event| {
        let body: OrderBody = event.body_as();
        let lots = body.total_lots - 1;
        let body = OrderBody { total_lots: lots, remaining_lots: lots, reserve: lots * 1_000, ..body };
        event.body[..OrderBody::SIZE].copy_from_slice(body.bytes());
    };
    assert_eq!(noticed(EventKind::OrderActivated, &less), "I26");
    assert_eq!(noticed(EventKind::TriggerFired, &|event| event.body[0] ^= 64), "I26");
}
