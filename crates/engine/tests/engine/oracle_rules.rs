//! The edges of P6 that no story of a whole feed reaches.

use tradewind_engine::oracle::state;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::Code;

use crate::leveraged::{adjust_margin, BTC_FEED, BTC_PRICE, ETH_FEED, ETH_PRICE, PERP};
use crate::prices::*;
use crate::support::*;

const PRICE: i64 = 100_000_000;

#[test]
fn publications_with_a_reserved_byte_or_for_no_feed_are_refused() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let given = publication(&mut world, btc, PRICE);
    world.refuse(publish(SOURCES[0], PublishPrice { reserved: 1, ..given }), Code::RESERVED_NOT_ZERO);
    world.refuse(publish(SOURCES[0], PublishPrice { feed: 7, ..given }), Code::FEED_NOT_FOUND);
    world.accept(publish(SOURCES[0], given));
}

#[test]
fn p6_1_3_a_source_is_old_above_twice_and_stale_above_five_times_the_interval() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let last_ns = world.now_ns;
    for (age_ns, expected) in [
        (2 * SECOND, state::VALID),
        (2 * SECOND + 1, state::WARN),
        (5 * SECOND, state::WARN),
        (5 * SECOND + 1, state::STALE),
    ] {
        world.now_ns = last_ns + age_ns;
        world.tick();
        assert_eq!(world.feed_state(btc), expected, "after {age_ns} ns");
        // A publication that is refused looks at nothing.
        let limits = world.engine.feeds().get(btc).expect("the feed").age_limits_ns();
        assert_eq!(limits, (2 * SECOND, 5 * SECOND));
    }
    for (interval_ms, limits) in [(100, (SECOND / 5, 5 * SECOND)), (60_000, (120 * SECOND, 300 * SECOND))] {
        let request =
            RegisterFeed { interval_ms, ..feed_request(if interval_ms == 100 { "A" } else { "B" }) };
        let feed = world.accept(register_feed(request)).value as u32;
        assert_eq!(world.engine.feeds().get(feed).expect("the feed").age_limits_ns(), limits);
    }
}

#[test]
fn p6_1_4_sources_that_come_together_in_between_start_the_minute_anew() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    for (seconds, high) in [(50, PRICE * 103 / 100), (3, PRICE), (50, PRICE * 103 / 100)] {
        for _ in 0..seconds {
            world.advance(SECOND);
            world.tick();
            for (source, value) in SOURCES.into_iter().zip([PRICE, PRICE, high]) {
                world.quote(source, btc, value);
            }
            assert_ne!(world.feed_state(btc), state::DIVERGENT);
        }
    }
}

/// One of three sources of BTC falls silent until the feed is DEGRADED.
fn degraded() -> World {
    let mut world: World = World::exchange();
    world.accept(list_address(ALICE, USDC, [5; 32]));
    world.accept(buy(ALICE, PERP, 10_000, 100));
    world.accept(sell(BOB, PERP, 10_000, 100));
    for _ in 0..8 {
        world.advance(SECOND);
        for source in &SOURCES[..2] {
            world.quote(*source, BTC_FEED, BTC_PRICE);
        }
        world.quote_all(ETH_FEED, ETH_PRICE);
        world.tick();
    }
    assert_eq!(world.feed_state(BTC_FEED), state::DEGRADED);
    world
}

#[test]
fn p6_5_a_degraded_feed_keeps_money_that_positions_may_need() {
    let mut world = degraded();
    let refused = world.refuse(adjust_margin(ALICE, 0, PERP, -DOLLAR), Code::INSUFFICIENT_SOURCES);
    assert_eq!(refused.given, i64::from(state::DEGRADED));
    world.refuse(buy(ALICE, PERP, 10_000, 100), Code::INSUFFICIENT_SOURCES);
    let closing = PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..limit(PERP, side::SELL, 10_050, 50) };
    world.accept(place(ALICE, closing));
}

const DOLLAR: i64 = 1_000_000;
