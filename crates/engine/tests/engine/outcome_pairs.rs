//! Pairs of orders on claims of which one cancels the other (P2.5.7), in books, in sets and while one of them waits.

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{cancel_reason, CancelBody, Event, EventKind, ResizeBody};
use tradewind_engine::wire::Code;
use tradewind_engine::Engine;

use crate::outcome::*;
use crate::outcome_books::on;
use crate::outcome_rounds::{asks, bids, wide_market};
use crate::support::*;

fn paired(with: u64, order: PlaceOrder) -> PlaceOrder {
    PlaceOrder { order_flags: order.order_flags | order_flag::OCO, linked_order: with, ..order }
}

fn of_kind(world: &World, kind: EventKind) -> Vec<Event> {
    world.events().into_iter().filter(|event| event.0 == kind).map(|event| event.1).collect()
}

/// Orders that ended by their partner, and sizes of those that shrank with it.
fn felt(world: &World) -> (Vec<u64>, Vec<(u64, i64)>) {
    let ended = of_kind(world, EventKind::OrderCancelled).into_iter();
    let ended = ended.filter(|event| event.body_as::<CancelBody>().reason == cancel_reason::LINKED);
    let resized = of_kind(world, EventKind::OrderResized).into_iter();
    let left = |event: &Event| (event.order, event.body_as::<ResizeBody>().remaining_lots);
    (ended.map(|event| event.order).collect(), resized.map(|event| left(&event)).collect())
}

fn verified(world: &World) {
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), world.engine.state_hash());
    assert_eq!(restored.snapshot(), world.engine.snapshot());
    world.auditor.verify().unwrap();
}

#[test]
fn p2_5_7_a_resting_exit_shrinks_the_stop_and_the_stop_takes_over_the_claims_of_the_exit() {
    for outcome in [0, 1] {
        let mut world: World = World::new();
        let market = wide_market(&mut world, 2, 0, 0);
        world.accept(sets(ALICE, Kind::MintSet, market, 20));
        world.accept(sets(CAROL, Kind::MintSet, market, 20));
        world.accept(asks(CAROL, market, outcome, 500, 1));
        world.accept(bids(BOB, market, outcome, 500, 1));
        let profit = world.accept(asks(ALICE, market, outcome, 530, 20)).value;
        let stop = PlaceOrder {
            order_type: order_type::STOP,
            trigger_price: 495,
            trigger_source: trigger_source::LAST_TRADE,
            ..on(market, outcome, side::SELL, 0, 20)
        };
        let stop = world.accept(place(ALICE, paired(profit, stop))).value;
        world.accept(bids(BOB, market, outcome, 530, 6));
        assert_eq!(felt(&world), (vec![], vec![(stop, 14)]));
        assert_eq!(claim(&world, ALICE, market, outcome), (0, 14_000));
        verified(&world);
        world.accept(bids(BOB, market, outcome, 490, 14));
        world.accept(asks(CAROL, market, outcome, 490, 1));
        assert_eq!(felt(&world).0, [profit]);
        assert_eq!(claim(&world, ALICE, market, outcome), (1_000, 0), "thirteen were sold at 0.490");
        verified(&world);
    }
}

#[test]
fn p2_5_7_a_set_shrinks_the_partners_of_its_orders_and_frees_what_they_held() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    let first = world.accept(bids(ALICE, market, 0, 400, 10)).value;
    let second = world.accept(place(ALICE, paired(first, on(market, 0, side::BUY, 390, 10)))).value;
    assert_eq!(world.held(ALICE, USDC), 7_900);
    world.accept(bids(BOB, market, 1, 350, 10));
    world.accept(bids(CAROL, market, 2, 250, 4));
    assert_eq!(felt(&world), (vec![], vec![(second, 6)]));
    assert_eq!(world.held(ALICE, USDC), 6 * 400 + 6 * 390);
    verified(&world);
    // The rest is filled by an order that is one of a pair too: both partners end.
    let other = world.accept(bids(CAROL, market, 2, 100, 9)).value;
    world.accept(place(CAROL, paired(other, on(market, 2, side::BUY, 250, 6))));
    let mut ended = felt(&world).0;
    ended.sort_unstable();
    let mut expected = [second, other];
    expected.sort_unstable();
    assert_eq!(ended, expected);
    assert_eq!((world.held(ALICE, USDC), world.held(CAROL, USDC)), (0, 0));
    verified(&world);
}

#[test]
fn p2_5_7_sales_of_claims_in_a_pair_free_the_claims_of_the_other() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 4, 0, 0);
    world.accept(sets(ALICE, Kind::MintSet, market, 20));
    let first = world.accept(asks(ALICE, market, 3, 300, 10)).value;
    let second =
        PlaceOrder { order_type: order_type::ICEBERG, display_lots: 3, ..on(market, 3, side::SELL, 310, 10) };
    let second = world.accept(place(ALICE, paired(first, second))).value;
    assert_eq!(claim(&world, ALICE, market, 3), (0, 20_000));
    world.accept(bids(BOB, market, 3, 300, 4));
    // Hidden lots go first.
    assert_eq!(felt(&world), (vec![], vec![(second, 6)]));
    assert_eq!(world.engine.outcome_levels(market, 3, side::SELL, 9)[1].lots, 3);
    assert_eq!(claim(&world, ALICE, market, 3), (4_000, 12_000));
    verified(&world);
    world.accept(cancel(ALICE, first));
    world.accept(bids(BOB, market, 3, 310, 6));
    assert_eq!(claim(&world, ALICE, market, 3), (10_000, 0), "the other goes on alone");
    verified(&world);
}

#[test]
fn p2_5_7_only_orders_of_one_owner_on_one_outcome_make_a_pair() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    let first = world.accept(bids(ALICE, market, 0, 300, 10)).value;
    let order = on(market, 0, side::BUY, 290, 10);
    for (owner, order) in [
        (BOB, paired(first, order)),
        (ALICE, paired(first, PlaceOrder { outcome: 1, ..order })),
        (ALICE, paired(first, PlaceOrder { time_in_force: time_in_force::IOC, ..order })),
        (ALICE, PlaceOrder { order_flags: order_flag::OCO, ..order }),
    ] {
        world.refuse(place(owner, order), Code::INVALID_LINK);
    }
    world.accept(place(ALICE, paired(first, order)));
    world.refuse(place(ALICE, paired(first, order)), Code::INVALID_LINK);
    world.accept(cancel_all(ALICE, market));
    assert_eq!(world.held(ALICE, USDC), 0);
    verified(&world);
}
