//! Stops, take-profits and trailing stops (P2.5.3, P2.5.4) by the last trade of a spot market.

use tradewind_engine::audit::Auditor;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{cancel_reason, CancelBody, EventKind, FiredBody, OrderBody, TradeBody};
use tradewind_engine::wire::Record;
use tradewind_engine::{id, Engine};

use crate::support::*;

/// A world where market 1 traded at 1,000 and CAROL quotes 990 to 1,010, deep.
fn quoted() -> World {
    let mut world: World = World::new();
    world.accept(buy(CAROL, 1, 1_000, 1));
    world.accept(sell(BOB, 1, 1_000, 1));
    world.accept(buy(CAROL, 1, 990, 1_000));
    world.accept(sell(CAROL, 1, 1_010, 1_000));
    world
}

/// Makes market 1 print at `price`: BOB rests one lot, SYSTEM, which no band binds, takes it.
fn print_at(world: &mut World, price: i64) {
    world.accept(cancel_all(CAROL, 1));
    world.accept(sell(SYSTEM, 1, price, 1));
    world.accept(place(OPERATOR, PlaceOrder { time_in_force: time_in_force::IOC, ..limit(1, 0, price, 1) }));
}

fn fired(world: &World) -> Vec<u64> {
    of_kind(world, EventKind::TriggerFired)
}

fn of_kind(world: &World, wanted: EventKind) -> Vec<u64> {
    world.events().into_iter().filter(|(kind, _)| *kind == wanted).map(|(_, event)| event.order).collect()
}

fn reason(world: &World, order: u64) -> Option<u8> {
    let cancelled = |(kind, event): &(EventKind, _)| {
        let event: &tradewind_engine::wire::event::Event = event;
        *kind == EventKind::OrderCancelled && event.order == order
    };
    world
        .events()
        .iter()
        .find(|event| cancelled(event))
        .map(|(_, event)| event.body_as::<CancelBody>().reason)
}

#[test]
fn p2_5_3_stops_and_take_profits_fire_on_their_side_of_the_trigger() {
    // (order, prices that do not fire it, price that does)
    let cases = [
        (stop(1, side::BUY, 1_020, 5), [1_001, 1_019], 1_020),
        (stop(1, side::SELL, 980, 5), [999, 981], 980),
        (take_profit(1, side::BUY, 980, 5), [999, 981], 979),
        (take_profit(1, side::SELL, 1_020, 5), [1_001, 1_019], 1_021),
    ];
    for (request, quiet, loud) in cases {
        let mut world = quoted();
        let order = world.accept(place(ALICE, request)).value;
        assert_eq!(world.kinds(), [EventKind::OrderAccepted, EventKind::TriggerPlaced]);
        for price in quiet {
            print_at(&mut world, price);
            assert_eq!(fired(&world), [0_u64; 0], "{request:?} at {price}");
        }
        print_at(&mut world, loud);
        assert_eq!(fired(&world), [order], "{request:?} at {loud}");
        let body: FiredBody = world
            .events()
            .into_iter()
            .find(|(kind, _)| *kind == EventKind::TriggerFired)
            .map(|(_, event)| event.body_as())
            .unwrap();
        assert_eq!((body.source_price, body.trigger_price), (loud, request.trigger_price));
    }
}

#[test]
fn a_stop_at_the_market_takes_within_the_slippage_of_its_trigger_price() {
    let mut world = quoted();
    world.accept(sell(BOB, 1, 1_025, 3));
    world.accept(sell(BOB, 1, 1_040, 3));
    let order = world.accept(place(ALICE, stop(1, side::BUY, 1_020, 5))).value;
    print_at(&mut world, 1_020);
    // 1 % above 1,020 is 1,030.2: the three lots at 1,025 are within, those at 1,040 are not.
    let events = world.events();
    let (_, activated) = events.iter().find(|(kind, _)| *kind == EventKind::OrderActivated).unwrap();
    let body: OrderBody = activated.body_as();
    assert_eq!((body.price, body.time_in_force), (1_030, time_in_force::IOC));
    let traded: Vec<_> = events
        .iter()
        .filter(|(kind, event)| *kind == EventKind::Trade && event.order == order)
        .map(|(_, event)| event.body_as::<TradeBody>())
        .map(|body| (body.price, body.lots))
        .collect();
    assert_eq!(traded, [(1_025, 3)]);
    assert_eq!(reason(&world, order), Some(cancel_reason::IOC));
    assert_eq!(world.held(ALICE, USDC), 0);
}

#[test]
fn a_stop_limit_rests_at_its_limit_with_a_new_priority() {
    let mut world = quoted();
    let request =
        PlaceOrder { order_type: order_type::STOP_LIMIT, price: 1_005, ..stop(1, side::BUY, 1_020, 5) };
    let order = world.accept(place(ALICE, request)).value;
    let ahead = world.accept(buy(BOB, 1, 1_005, 4)).value;
    print_at(&mut world, 1_020);
    assert_eq!(of_kind(&world, EventKind::OrderActivated), [order]);
    assert_eq!(world.held(ALICE, USDC), 5 * 1_005);
    // It queues behind the order that came to rest before it fired.
    world.accept(sell(OPERATOR, 1, 1_005, 6));
    let makers: Vec<u64> = world
        .events()
        .into_iter()
        .filter(|(kind, _)| *kind == EventKind::Trade)
        .map(|(_, event)| event.body_as::<TradeBody>().maker_order)
        .collect();
    assert_eq!(makers, [ahead, order]);
}

#[test]
fn only_spot_sells_are_secured_before_they_fire() {
    let mut world = quoted();
    world.accept(place(ALICE, stop(1, side::BUY, 1_020, 5)));
    assert_eq!(world.held(ALICE, USDC), 0);
    let sell_stop = world.accept(place(ALICE, stop(1, side::SELL, 980, 5))).value;
    assert_eq!(world.held(ALICE, BTC), 5_000);
    world.accept(cancel(ALICE, sell_stop));
    assert_eq!(world.held(ALICE, BTC), 0);
}

#[test]
fn a_fired_order_that_cannot_be_paid_is_cancelled_with_the_reason_margin() {
    let mut world = quoted();
    world.accept(by(ALICE, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..Record::zero() }));
    let command = Command { sub: 1, ..place(ALICE, stop(1, side::BUY, 1_020, 5)) };
    let order = world.accept(command).value;
    print_at(&mut world, 1_020);
    assert_eq!(reason(&world, order), Some(cancel_reason::MARGIN));
    assert_eq!(of_kind(&world, EventKind::OrderActivated), [0_u64; 0]);
}

#[test]
fn fired_orders_run_ascending_by_id_each_as_a_new_taker() {
    let mut world = quoted();
    // The later an order was placed, the earlier its trigger is reached.
    let orders: Vec<u64> =
        (0..30).map(|n| world.accept(place(ALICE, stop(1, side::BUY, 1_050 - n, 1))).value).collect();
    print_at(&mut world, 1_050);
    assert_eq!(of_kind(&world, EventKind::OrderActivated), orders);
    assert_eq!(fired(&world).len(), 30);
    assert_eq!(world.engine.pending_token(), None);
    // 16 fire in a command and 4 run: nobody else's command comes in between.
    let submitted = world.batch.submitted.len();
    assert!(world.batch.commands.len() > submitted + 8);
}

#[test]
fn what_a_fired_order_trades_fires_the_next() {
    let mut world = quoted();
    for price in [1_025, 1_035, 1_045] {
        world.accept(sell(BOB, 1, price, 1));
    }
    let orders: Vec<u64> = [1_020, 1_025, 1_035]
        .into_iter()
        .map(|trigger| {
            let order_type = order_type::STOP_LIMIT;
            let request = PlaceOrder { order_type, price: 1_060, ..stop(1, side::BUY, trigger, 1) };
            world.accept(place(ALICE, request)).value
        })
        .collect();
    print_at(&mut world, 1_020);
    assert_eq!(fired(&world), orders);
    assert_eq!(world.free(ALICE, BTC), FUNDS + 3_000);
}

#[test]
fn p2_5_4_a_trailing_stop_follows_the_best_price_and_never_goes_back() {
    let mut world = quoted();
    let order = world.accept(place(ALICE, trailing(1, side::SELL, 30, 5))).value;
    for price in [1_010, 1_050, 1_030, 1_021] {
        print_at(&mut world, price);
        assert_eq!(fired(&world), [0_u64; 0], "at {price}");
    }
    print_at(&mut world, 1_020);
    assert_eq!(fired(&world), [order]);
    let mut world = quoted();
    let order_flags = order_flag::TRAIL_PPM;
    let request = PlaceOrder { order_flags, ..trailing(1, side::BUY, 10_000, 5) };
    let order = world.accept(place(ALICE, request)).value;
    // 1 % above 955 is 964.55, rounded up.
    for price in [990, 955, 960, 964] {
        print_at(&mut world, price);
        assert_eq!(fired(&world), [0_u64; 0], "at {price}");
    }
    print_at(&mut world, 965);
    assert_eq!(fired(&world), [order]);
}

#[test]
fn waiting_orders_are_reached_by_cancel_cancel_all_switch_expiry_close_and_market_wide_cancel() {
    type Act = fn(&mut World, u64);
    let acts: [(Act, u8); 6] = [
        (
            |world, order| {
                world.accept(cancel(ALICE, order));
            },
            cancel_reason::USER,
        ),
        (
            |world, _| {
                world.accept(cancel_all(ALICE, 1));
            },
            cancel_reason::CANCEL_ALL,
        ),
        (
            |world, _| {
                world.accept(
                    by(ALICE, Kind::SetCancelAllAfter).with(&SetCancelAllAfter { window_s: 5, reserved: 0 }),
                );
                world.advance(5 * SECOND);
                world.tick();
            },
            cancel_reason::SWITCH,
        ),
        (
            |world, _| {
                world.advance(20 * SECOND);
                world.tick();
            },
            cancel_reason::EXPIRY,
        ),
        (
            |world, _| {
                world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: 1, reserved: 0 }));
            },
            cancel_reason::MARKET_CLOSED,
        ),
        (
            |world, _| {
                let payload = CancelAll { market: 1, sub: ALL, side: side::SELL, reserved: 0 };
                let command = by(EMERGENCY, Kind::CancelAll).with(&payload);
                world.accept(Command { account: [0; 32], ..command });
            },
            cancel_reason::CANCEL_ALL,
        ),
    ];
    for (act, expected) in acts {
        for request in [stop(1, side::SELL, 980, 5), trailing(1, side::SELL, 10, 5)] {
            let mut world = quoted();
            let expiry_ns = world.now_ns + 20 * SECOND;
            let request = PlaceOrder { time_in_force: time_in_force::GTD, expiry_ns, ..request };
            let order = world.accept(place(ALICE, request)).value;
            act(&mut world, order);
            assert_eq!(reason(&world, order), Some(expected));
            assert_eq!(world.held(ALICE, BTC), 0);
            print_at_if_open(&mut world);
        }
    }
}

/// Nothing is left that a price could fire.
fn print_at_if_open(world: &mut World) {
    if world.engine.levels(1, side::BUY, 1).is_empty() {
        return;
    }
    print_at(world, 900);
    assert_eq!(fired(world), [0_u64; 0]);
}

#[test]
fn a_waiting_order_can_be_replaced_in_size_and_limit() {
    let mut world = quoted();
    let order = world.accept(place(ALICE, stop(1, side::SELL, 980, 5))).value;
    world.accept(replace(ALICE, order, 0, 9));
    assert_eq!(world.kinds(), [EventKind::OrderReplaced, EventKind::TriggerPlaced]);
    assert_eq!(world.held(ALICE, BTC), 9_000);
    world.refuse(replace(ALICE, order, 970, 9), tradewind_engine::wire::Code::MARKET_ORDER_HAS_PRICE);
    world.accept(buy(BOB, 1, 979, 20));
    print_at(&mut world, 980);
    assert_eq!(world.free(ALICE, BTC), FUNDS - 9_000);
}

#[test]
fn waiting_orders_survive_a_snapshot_with_their_trails() {
    let mut world = quoted();
    let order = world.accept(place(ALICE, trailing(1, side::SELL, 30, 5))).value;
    world.accept(place(ALICE, stop(1, side::BUY, 1_100, 5)));
    print_at(&mut world, 1_050);
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), world.engine.state_hash());
    let auditor = Auditor::from_engine(&restored).expect("a sound state");
    let mut world = World { auditor, engine: restored, ..world };
    print_at(&mut world, 1_020);
    assert_eq!(fired(&world), [order]);
    assert_eq!(world.engine.balance(&id::account_id(&ALICE), 0, BTC, 1), Some(0));
}

#[test]
fn nothing_fires_while_the_market_is_paused() {
    let mut world = quoted();
    let order = world.accept(place(ALICE, stop(1, side::SELL, 980, 5))).value;
    let until = world.now_ns + HOUR;
    world.accept(pause(1, 1, until));
    world.advance(HOUR);
    world.tick();
    print_at(&mut world, 979);
    assert_eq!(fired(&world), [order]);
}
