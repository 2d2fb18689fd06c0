//! The edges of P6 that no story of a whole feed reaches.

use tradewind_engine::oracle::{action, state};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind as E, LiquidationStartBody, PositionBody};
use tradewind_engine::wire::{Code, Record};

use crate::arena::{liquidate, publication_at, trader, Arena};
use crate::leveraged::{
    adjust_margin, one_market, BTC_FEED, BTC_PRICE, BTC_TICKS, ETH_FEED, ETH_PRICE, PERP,
};
use crate::prices::*;
use crate::support::*;

const PRICE: i64 = 100_000_000;
const DOLLAR: i64 = 1_000_000;

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

#[test]
fn p6_5_an_order_that_only_reduces_needs_no_flag_on_a_degraded_feed() {
    let mut world = degraded();
    // ALICE is long 100: all her sells together may close that and no more.
    world.refuse(sell(ALICE, PERP, 10_050, 101), Code::INSUFFICIENT_SOURCES);
    let first = world.accept(sell(ALICE, PERP, 10_050, 60)).value;
    world.refuse(sell(ALICE, PERP, 10_060, 41), Code::INSUFFICIENT_SOURCES);
    world.accept(sell(ALICE, PERP, 10_060, 30));
    world.refuse(replace(ALICE, first, 10_050, 71), Code::INSUFFICIENT_SOURCES);
    world.accept(replace(ALICE, first, 10_040, 70));
    world.refuse(buy(BOB, PERP, 9_950, 101), Code::INSUFFICIENT_SOURCES);
    world.accept(buy(BOB, PERP, 9_950, 100));
    world.refuse(sell(CAROL, PERP, 10_050, 1), Code::INSUFFICIENT_SOURCES);
}

/// What the three sources say about a price so that its confidence, 1.4826 · 0.8 %, is beyond the limit of 1 %.
fn unsure(price: i64) -> [i64; 3] {
    [price - price / 125, price, price + price / 110]
}

impl World {
    /// Seconds in which the three sources of BTC say this; how many triggers fire meanwhile.
    fn said(&mut self, values: [i64; 3], seconds: i64) -> usize {
        let mut fired = 0;
        for _ in 0..seconds {
            self.advance(SECOND);
            self.quote_all(ETH_FEED, ETH_PRICE);
            for (source, value) in SOURCES.into_iter().zip(values) {
                self.quote(source, BTC_FEED, value);
                fired += usize::from(self.saw(E::TriggerFired));
            }
            self.tick();
            fired += usize::from(self.saw(E::TriggerFired));
        }
        fired
    }

    /// Samples of the premium in this hour: taken, and prevented.
    fn samples(&self) -> (u32, u32) {
        let perp = self.engine.perps().of_market(PERP).expect("a leveraged market");
        (perp.samples, perp.blocked_samples)
    }
}

#[test]
fn p6_1_3_what_time_has_ended_comes_before_a_publication_whose_tick_is_late() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let until_ns = world.now_ns + 10 * SECOND;
    let request = OverrideFeed { feed: btc, action: action::FORCE_INVALID, until_ns, ..Record::zero() };
    for who in [EMERGENCY, EMERGENCY_B] {
        world.accept(by(who, Kind::OverrideFeed).with(&request));
    }
    world.keep_quoting(btc, PRICE, 9);
    world.now_ns = until_ns - 1;
    world.quote(SOURCES[0], btc, PRICE);
    assert!(!world.kinds().contains(&E::FeedOverrideEnded));
    world.now_ns = until_ns;
    world.quote(SOURCES[0], btc, PRICE);
    let kinds = world.kinds();
    let place = |wanted: E| kinds.iter().position(|&kind| kind == wanted).expect("an event");
    assert!(place(E::FeedOverrideEnded) < place(E::SourceUpdated), "{kinds:?}");
}

#[test]
fn p6_5_a_withdrawal_from_behind_positions_waits_while_their_feed_is_degraded() {
    let mut world = degraded();
    let withdraw = |owner| {
        let request = RequestWithdrawal { asset: USDC, amount: 5 * DOLLAR, ..Record::zero() };
        by(owner, Kind::RequestWithdrawal).with(&request)
    };
    world.accept(withdraw(CAROL));
    assert!(world.kinds().contains(&E::WithdrawalReleased), "nobody without positions waits");
    world.accept(withdraw(ALICE));
    assert_eq!(world.kinds(), [E::WithdrawalQueued]);
    let mut released = None;
    for second in 0..90 {
        world.second(BTC_PRICE, ETH_PRICE);
        if world.saw(E::WithdrawalReleased) {
            released = released.or(Some(second));
        }
    }
    assert!(released.is_some_and(|second| second >= 9), "VALID ten seconds later: {released:?}");
}

#[test]
fn p6_5_a_trigger_waits_while_its_feed_is_uncertain_and_fires_behind_it() {
    let mut world: World = World::exchange();
    world.accept(buy(ALICE, PERP, BTC_TICKS, 100));
    world.accept(sell(BOB, PERP, BTC_TICKS, 100));
    let order = PlaceOrder {
        order_flags: order_flag::REDUCE_ONLY,
        trigger_source: trigger_source::INDEX,
        ..stop(PERP, side::SELL, BTC_TICKS - 100, 100)
    };
    world.accept(place(ALICE, order));
    for price in [BTC_PRICE, BTC_PRICE - DOLLAR / 2, BTC_PRICE - 2 * DOLLAR] {
        assert_eq!(world.said(unsure(price), 5), 0);
    }
    assert_eq!((world.feed_state(BTC_FEED), world.index(BTC_FEED)), (state::UNCERTAIN, 98 * DOLLAR));
    assert_eq!(world.said([98 * DOLLAR; 3], 9), 0, "better for nine seconds");
    assert_eq!(world.said([98 * DOLLAR; 3], 6), 1, "it fires though the price has not moved since");
    assert_eq!(world.feed_state(BTC_FEED), state::VALID);
}

#[test]
fn p6_5_a_degraded_feed_gives_samples_of_the_premium_and_an_uncertain_one_does_not() {
    let mut world: World = World::exchange();
    world.accept(buy(ALICE, PERP, BTC_TICKS - 10, 120_000));
    world.accept(sell(BOB, PERP, BTC_TICKS + 10, 120_000));
    // A minute of doubt, a minute with two sources.
    world.said(unsure(BTC_PRICE), 5);
    let before = world.samples();
    world.said(unsure(BTC_PRICE), 60);
    assert_eq!(world.feed_state(BTC_FEED), state::UNCERTAIN);
    assert_eq!(world.samples(), (before.0, before.1 + 1), "prevented");
    for second in 0..75 {
        world.advance(SECOND);
        for source in &SOURCES[..2] {
            world.quote(*source, BTC_FEED, BTC_PRICE);
        }
        world.quote_all(ETH_FEED, ETH_PRICE);
        world.tick();
        if second == 14 {
            assert_eq!(world.feed_state(BTC_FEED), state::DEGRADED);
        }
    }
    let (taken, prevented) = world.samples();
    assert!(taken > before.0, "taken");
    assert!(prevented <= before.1 + 2, "the minute before");
}

#[test]
fn p6_5_a_liquidation_in_doubt_takes_the_price_that_is_best_for_the_holder() {
    // Long 10 contracts from 110.00 with $145, as in the golden case of P5.2; the confidence is worth $11.7 to it.
    let mut arena: Arena = Arena::new(4);
    arena.price(0, 110.0);
    for (number, dollars) in [(0, 145), (1, 100_000), (2, 100_000)] {
        arena.deposit(number, USDC, dollars * DOLLAR);
    }
    arena.trade(0, 1, 0, 11_000, 10_000);
    arena.price(0, 101.0);
    arena.accept(buy(trader(2), 0, 9_900, 50_000));
    let mut seen = Vec::new();
    for cents in [10_100, 10_050, 10_000, 9_950, 9_900, 9_850] {
        arena.now_ns += SECOND;
        for (source, value) in SOURCES.into_iter().zip(unsure(cents * DOLLAR / 100)) {
            let request = publication_at(&mut arena, 0, value);
            arena.accept(publish(source, request));
        }
        let feed = arena.engine.feeds().get(0).expect("a feed");
        assert_eq!((feed.state(), feed.index), (state::UNCERTAIN, cents * DOLLAR / 100));
        // In ticks, rounded up: what the holder may hope for.
        let best = cents + (feed.confidence + 9_999) / 10_000;
        if 20 * best - 191_000 >= best {
            arena.refuse(liquidate(SYSTEM, 0, 0), Code::POSITION_HEALTHY);
            continue;
        }
        arena.accept(liquidate(SYSTEM, 0, 0));
        let (_, body) = arena.bodies::<LiquidationStartBody>(E::LiquidationStarted)[0];
        assert_eq!(body.mark, best);
        assert!(arena.mark(0) < best);
        seen.push(cents);
        break;
    }
    assert_eq!(seen, [9_900], "at the mark it would have been 100.50");
}

#[test]
fn p2_3_1_a_market_becomes_active_when_its_feed_has_been_valid_for_exactly_sixty_seconds() {
    let mut world: World = World::leveraged();
    // Two sources of three are DEGRADED, however long.
    for _ in 0..150 {
        world.advance(SECOND);
        for source in &SOURCES[..2] {
            world.quote(*source, 0, PRICE);
        }
        world.tick();
        assert!(!world.saw(E::MarketActivated));
    }
    assert_eq!(world.feed_state(0), state::DEGRADED);
    let mut active_ns = None;
    for _ in 0..90 {
        world.advance(SECOND);
        world.quote_all(0, PRICE);
        world.tick();
        if world.saw(E::MarketActivated) {
            active_ns = active_ns.or(Some(world.now_ns));
        }
    }
    let valid_ns = world.engine.feeds().get(0).expect("a feed").since_ns();
    assert_eq!((world.feed_state(0), active_ns), (state::VALID, Some(valid_ns + 60 * SECOND)));
}

#[test]
fn p2_3_1_a_closed_market_settles_at_the_mean_of_the_whole_last_hour() {
    let mut world: World = World::leveraged();
    world.quote_all(0, PRICE);
    world.keep_quoting(0, PRICE, 130);
    world.accept(buy(ALICE, 0, 10_000, 100));
    world.accept(sell(BOB, 0, 10_000, 100));
    for _ in 0..2 {
        world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: 0, reserved: 0 }));
    }
    let keep = |world: &mut World, price: i64, count: usize| {
        for _ in 0..count {
            world.advance(20 * SECOND);
            world.tick();
            world.quote_all(0, price);
        }
    };
    keep(&mut world, PRICE, 120);
    // The last 30 of the 60 minutes were half a percent higher.
    keep(&mut world, PRICE + 50 * TICK, 86);
    world.keep_quoting(0, PRICE + 50 * TICK, 80);
    world.accept(one_market(SYSTEM, Kind::SettleMarket, 0));
    let settled =
        world.events().into_iter().find(|(kind, _)| *kind == E::PositionSettled).expect("an event").1;
    let ticks = settled.body_as::<PositionBody>().realised.abs() / (100 * 10);
    assert!((24..=26).contains(&ticks), "{ticks}");
}
