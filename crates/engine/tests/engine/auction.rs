//! The call auction: orders collect, one price, price-time within it, and a book that is not crossed behind it (P3.7).

use tradewind_engine::halts::breaker::id;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{cancel_reason, AuctionBody, CancelBody, EventKind as E, TradeBody};
use tradewind_engine::wire::Code;
use tradewind_engine::{Book, FastBook, ReferenceBook};

use crate::support::*;

/// Market 1 halted at a reference of 10,000 ticks, in its auction.
fn auction<B: Book>() -> World<B> {
    let mut world: World<B> = World::new();
    world.accept(sell(CAROL, 1, 10_000, 1));
    world.accept(buy(ALICE, 1, 10_000, 1));
    world.accept(trip_breaker(EMERGENCY, 1, id::PRICE_FAST));
    world.advance(300 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerHalfOpen, E::AuctionStarted]);
    let body: AuctionBody = world.events()[1].1.body_as();
    assert_eq!((body.reference, body.low, body.high), (10_000, 9_000, 11_000));
    assert_eq!(body.until_ns, world.now_ns + 30 * SECOND);
    world
}

fn uncross<B: Book>(world: &mut World<B>) {
    world.advance(30 * SECOND);
    world.tick();
}

fn trades<B: Book>(world: &World<B>) -> Vec<(i64, i64, u64, u64)> {
    let events = world.events();
    let rows = events.iter().filter(|(kind, _)| *kind == E::Trade);
    rows.map(|(_, event)| {
        let body: TradeBody = event.body_as();
        (body.price, body.lots, event.order, body.maker_order)
    })
    .collect()
}

#[test]
fn p3_7_orders_collect_and_uncross_at_the_price_of_most_volume_by_price_and_time() {
    let mut world: World = auction();
    let sells = [(10_000, 5), (10_000, 5), (10_100, 5), (9_900, 2)]
        .map(|(price, lots)| world.accept(sell(BOB, 1, price, lots)).value);
    let buys = [(10_050, 4), (10_200, 6), (9_950, 9)]
        .map(|(price, lots)| world.accept(buy(ALICE, 1, price, lots)).value);
    assert_eq!(world.kinds(), [E::OrderAccepted], "nothing matches while orders are collected");
    uncross(&mut world);
    // Demand 10 at 10,050 and below; supply 12 at 10,000: 10 lots at the reference.
    assert_eq!(
        trades(&world),
        [
            (10_000, 2, buys[1], sells[3]),
            (10_000, 4, buys[1], sells[0]),
            (10_000, 1, buys[0], sells[0]),
            (10_000, 3, buys[0], sells[1]),
        ]
    );
    let kinds = world.kinds();
    assert_eq!(kinds.first(), Some(&E::AuctionUncrossed));
    assert_eq!(kinds[5..], [E::AuctionEnded, E::BreakerHalfOpen]);
    let body: AuctionBody = world.events()[0].1.body_as();
    assert_eq!((body.price, body.lots, body.imbalance), (10_000, 10, -2));
    let levels = |side| world.engine.levels(1, side, 9).iter().map(|l| (l.price, l.lots)).collect::<Vec<_>>();
    assert_eq!(levels(side::BUY), [(9_950, 9)]);
    assert_eq!(levels(side::SELL), [(10_000, 2), (10_100, 5)]);
    world.accept(buy(CAROL, 1, 10_000, 2));
    assert_eq!(trades(&world).len(), 1, "continuous trading is open");
    world.auditor.verify().unwrap();
}

#[test]
fn buyers_get_back_what_the_one_price_leaves_of_their_reserves() {
    let mut world: World = auction();
    let before = (world.free(ALICE, USDC), world.free(BOB, USDC));
    world.accept(buy(ALICE, 1, 10_500, 10));
    world.accept(sell(BOB, 1, 9_500, 7));
    uncross(&mut world);
    let order = world.engine.levels(1, side::BUY, 1)[0];
    assert_eq!((order.price, order.lots), (10_500, 3));
    assert_eq!(world.held(ALICE, USDC), 3 * 10_500);
    assert_eq!(world.free(ALICE, USDC), before.0 - 7 * 10_000 - 3 * 10_500);
    assert_eq!(world.free(BOB, USDC), before.1 + 7 * 10_000);
    world.auditor.verify().unwrap();
}

#[test]
fn immediate_orders_and_takers_by_post_only_are_refused_while_orders_are_collected() {
    let mut world: World = auction();
    world.accept(sell(BOB, 1, 10_000, 5));
    for tif in [time_in_force::IOC, time_in_force::FOK] {
        let order = PlaceOrder { time_in_force: tif, ..limit(1, side::BUY, 10_000, 5) };
        let refused = world.refuse(place(ALICE, order), Code::BREAKER_ACTIVE);
        assert_eq!((refused.bound, refused.given), (world.now_ns + 30 * SECOND, i64::from(id::PRICE_FAST)));
    }
    let market = PlaceOrder { order_type: order_type::MARKET, time_in_force: 1, ..limit(1, 0, 0, 1) };
    world.refuse(place(ALICE, market), Code::BREAKER_ACTIVE);
    let post_only = PlaceOrder { order_flags: order_flag::POST_ONLY, ..limit(1, side::BUY, 10_000, 5) };
    world.refuse(place(ALICE, post_only), Code::POST_ONLY_WOULD_TAKE);
}

#[test]
fn an_order_replaced_in_the_auction_is_collected_at_its_new_price() {
    let mut world: World = auction();
    let order = world.accept(buy(ALICE, 1, 9_900, 5)).value;
    world.accept(sell(BOB, 1, 10_000, 5));
    world.accept(replace(ALICE, order, 10_000, 5));
    assert_eq!(world.kinds(), [E::OrderReplaced]);
    uncross(&mut world);
    assert_eq!(trades(&world), [(10_000, 5, order, world.orders[3])]);
}

#[test]
fn of_two_orders_of_one_owner_the_newer_leaves_and_the_rest_is_paired_again() {
    let mut world: World = auction();
    let own = world.accept(sell(ALICE, 1, 9_950, 5)).value;
    let newer = world.accept(buy(ALICE, 1, 10_050, 5)).value;
    let other = world.accept(buy(BOB, 1, 10_000, 3)).value;
    uncross(&mut world);
    let events = world.events();
    let gone = events.iter().find(|(kind, _)| *kind == E::OrderCancelled).unwrap().1;
    assert_eq!((gone.order, gone.body_as::<CancelBody>().reason), (newer, cancel_reason::SELF_TRADE));
    assert_eq!(trades(&world).iter().map(|t| (t.1, t.2, t.3)).collect::<Vec<_>>(), [(3, other, own)]);
    assert!(world.engine.levels(1, side::BUY, 1).is_empty());
}

#[test]
fn what_overlaps_only_beyond_the_band_is_cancelled_so_that_the_book_opens_uncrossed() {
    let mut world: World = auction();
    // The mirror is free of the order band; its bid lies beyond the auction's.
    let beyond = world.accept(buy(SYSTEM, 1, 12_000, 5)).value;
    world.accept(sell(BOB, 1, 11_500, 5));
    uncross(&mut world);
    assert_eq!(world.kinds(), [E::OrderCancelled, E::AuctionEnded, E::BreakerHalfOpen]);
    assert_eq!(world.events()[0].1.order, beyond);
    assert_eq!(world.events()[0].1.body_as::<CancelBody>().reason, cancel_reason::BAND);
    assert_eq!(world.engine.levels(1, side::SELL, 1)[0].price, 11_500);
}

#[test]
fn without_overlap_the_book_opens_as_it_is() {
    let mut world: World = auction();
    world.accept(buy(ALICE, 1, 9_900, 5));
    world.accept(sell(BOB, 1, 10_100, 5));
    uncross(&mut world);
    assert_eq!(world.kinds(), [E::AuctionEnded, E::BreakerHalfOpen]);
    assert_eq!(world.engine.sizes().0, 2);
}

#[test]
fn an_auction_under_a_pause_waits_for_its_end() {
    let mut world: World = auction();
    world.accept(buy(ALICE, 1, 10_000, 5));
    world.accept(sell(BOB, 1, 10_000, 5));
    world.accept(pause(1, 1, world.now_ns + 40 * SECOND));
    uncross(&mut world);
    assert_eq!(world.kinds(), [E::BreakerHalfOpen, E::AuctionStarted]);
    world.advance(10 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::Resumed]);
    world.advance(20 * SECOND);
    world.tick();
    assert_eq!(trades(&world).len(), 1);
}

#[test]
fn another_halt_during_the_auction_puts_it_off() {
    let mut world: World = auction();
    world.accept(buy(ALICE, 1, 10_000, 5));
    world.accept(sell(BOB, 1, 10_000, 5));
    world.accept(trip_breaker(EMERGENCY_B, 1, id::PRICE_SLOW));
    assert_eq!(world.kinds(), [E::BreakerTripped, E::BreakerExtended, E::BreakerReasoned]);
    uncross(&mut world);
    assert_eq!(world.kinds(), []);
    world.refuse(buy(ALICE, 1, 10_000, 1), Code::BREAKER_ACTIVE);
    world.advance(870 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerHalfOpen, E::BreakerHalfOpen, E::AuctionStarted]);
    uncross(&mut world);
    assert_eq!(trades(&world).len(), 1);
    assert_eq!(world.kinds()[2..], [E::AuctionEnded, E::BreakerHalfOpen, E::BreakerHalfOpen]);
}

/// A crossed book of many small orders: more levels and fills than one command does.
fn deep<B: Book>() -> World<B> {
    let mut world: World<B> = auction();
    for number in 0..190_i64 {
        world.accept(buy(ALICE, 1, 9_900 + number, 1 + number % 3));
        world.accept(sell(BOB, 1, 10_100 - number, 1 + number % 4));
    }
    world
}

#[test]
fn t24_a_deep_auction_goes_on_in_continuations_and_both_books_agree() {
    let (mut fast, mut reference) = (deep::<FastBook>(), deep::<ReferenceBook>());
    uncross(&mut fast);
    uncross(&mut reference);
    assert!(fast.batch.commands.len() > 3, "{} commands", fast.batch.commands.len());
    assert_eq!(fast.batch.output.events, reference.batch.output.events);
    assert_eq!(fast.engine.state_hash(), reference.engine.state_hash());
    let done = trades(&fast);
    assert!(done.len() > 100 && done.windows(2).all(|pair| pair[0].0 == pair[1].0), "one price");
    fast.auditor.verify().unwrap();
    let (bid, ask) = (fast.engine.levels(1, side::BUY, 1)[0], fast.engine.levels(1, side::SELL, 1)[0]);
    assert!(bid.price < ask.price);
}
