//! Circuit breakers: each trips, halts, reopens, doubles; none mutes another (P7.1–P7.4, P7.7, T12).

use tradewind_engine::halts::breaker::{cause, id, phase};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    cancel_reason, BreakerBody, BreakerSettingsBody, CancelBody, EventKind as E,
};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::support::*;

fn last<B: Record>(world: &World, kind: E) -> B {
    let event = world.events().into_iter().rev().find(|(found, _)| *found == kind);
    event.unwrap_or_else(|| panic!("no {kind:?} in {:?}", world.kinds())).1.body_as()
}

/// Market 1 (unit 1, no fees) with a fast price breaker at its default of 5 % in 1.6 s.
fn watched() -> World {
    let mut world = World::new();
    world.accept(configure(1, id::PRICE_FAST, |_| ()));
    world
}

/// A trade at this price in market 1.
fn trade(world: &mut World, price: i64) {
    world.accept(sell(BOB, 1, price, 1));
    world.accept(buy(ALICE, 1, price, 1));
}

/// Trips the fast breaker of a watched market: 100.00, then more than 5 % in one step.
fn trip(world: &mut World) {
    trade(world, 10_000);
    world.accept(sell(BOB, 1, 10_501, 1));
    world.accept(buy(ALICE, 1, 10_501, 1));
    assert!(world.kinds().contains(&E::BreakerTripped), "{:?}", world.kinds());
}

fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    world.auditor = tradewind_engine::audit::Auditor::from_engine(&world.engine).expect("a sound state");
}

#[test]
fn p7_8_golden_five_percent_does_not_trip_and_one_tick_more_does() {
    for (price, trips) in [(10_500, false), (10_501, true)] {
        let mut world = watched();
        trade(&mut world, 10_000);
        world.advance(1_500_000_000);
        world.accept(sell(BOB, 1, price, 3));
        world.accept(buy(ALICE, 1, price, 3));
        let kinds = world.kinds();
        assert_eq!(kinds.contains(&E::BreakerTripped), trips, "{kinds:?}");
        assert_eq!(kinds.contains(&E::Trade), !trips);
    }
}

#[test]
fn p7_3_the_command_executes_up_to_the_band_and_its_rest_is_cancelled_in_the_same_command() {
    let mut world = watched();
    trade(&mut world, 10_000);
    world.accept(sell(BOB, 1, 10_400, 2));
    world.accept(sell(BOB, 1, 10_500, 3));
    world.accept(sell(BOB, 1, 10_600, 4));
    world.accept(buy(ALICE, 1, 10_600, 9));
    assert_eq!(world.kinds(), [E::OrderAccepted, E::Trade, E::Trade, E::BreakerTripped, E::OrderCancelled]);
    let body: BreakerBody = last(&world, E::BreakerTripped);
    assert_eq!((body.breaker, body.cause, body.phase), (id::PRICE_FAST, cause::TRADE, phase::TRIPPED));
    assert_eq!((body.value, body.threshold), (600, 500));
    assert_eq!((body.since_ns, body.until_ns, body.halt_s), (START, START + 300 * SECOND, 300));
    let rest: CancelBody = last(&world, E::OrderCancelled);
    assert_eq!((rest.reason, rest.remaining_lots, rest.filled_lots), (cancel_reason::BAND, 4, 5));
    let refused = world.refuse(buy(CAROL, 1, 10_000, 1), Code::BREAKER_ACTIVE);
    assert_eq!((refused.bound, refused.given), (START + 300 * SECOND, i64::from(id::PRICE_FAST)));
    world.refuse(replace(BOB, 5, 10_700, 4), Code::BREAKER_ACTIVE);
    world.accept(cancel(BOB, 5));
    world.accept(buy(CAROL, 0, 10_000, 1));
}

#[test]
fn p7_2_the_window_is_one_second_and_six_tenths_and_every_sample_in_it_counts() {
    for (wait, trips) in [(1_600_000_000, true), (1_600_000_001, false)] {
        let mut world = watched();
        trade(&mut world, 10_000);
        trade(&mut world, 10_300);
        world.advance(wait);
        world.accept(sell(BOB, 1, 10_501, 1));
        world.accept(buy(ALICE, 1, 10_501, 1));
        assert_eq!(world.kinds().contains(&E::BreakerTripped), trips, "after {wait} ns");
    }
    // Falls count like rises.
    let mut world = watched();
    trade(&mut world, 10_000);
    world.accept(buy(BOB, 1, 9_499, 1));
    world.accept(sell(ALICE, 1, 9_499, 1));
    assert!(world.kinds().contains(&E::BreakerTripped));
}

#[test]
fn p7_4_closed_tripped_half_open_closed_by_time_alone_and_over_restarts() {
    let mut world = watched();
    trip(&mut world);
    restored(&mut world);
    world.advance(300 * SECOND - 1);
    world.tick();
    assert_eq!(world.kinds(), []);
    world.advance(1);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerHalfOpen, E::AuctionStarted]);
    assert_eq!(last::<BreakerBody>(&world, E::BreakerHalfOpen).phase, phase::AUCTION);
    restored(&mut world);
    world.advance(30 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::AuctionEnded, E::BreakerHalfOpen]);
    assert_eq!(last::<BreakerBody>(&world, E::BreakerHalfOpen).phase, phase::PROBATION);
    world.accept(cancel_all(BOB, 1));
    world.accept(buy(ALICE, 1, 10_000, 1));
    restored(&mut world);
    world.advance(60 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerClosed]);
    restored(&mut world);
    world.auditor.verify().unwrap();
}

/// Lets a tripped breaker run through its auction into probation.
fn into_probation(world: &mut World, halt_s: i64) {
    world.advance(halt_s * SECOND);
    world.tick();
    world.advance(30 * SECOND);
    world.tick();
    world.accept(cancel_all(BOB, 1));
    world.accept(cancel_all(ALICE, 1));
}

#[test]
fn p7_4_half_the_threshold_trips_in_probation_and_the_halt_doubles() {
    let mut world = watched();
    trip(&mut world);
    into_probation(&mut world, 300);
    trade(&mut world, 10_000);
    world.accept(sell(BOB, 1, 10_251, 1));
    world.accept(buy(ALICE, 1, 10_251, 1));
    let body: BreakerBody = last(&world, E::BreakerTripped);
    assert_eq!((body.threshold, body.value, body.halt_s), (250, 251, 600));
    into_probation(&mut world, 600);
    world.advance(60 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerClosed]);
}

#[test]
fn p7_4_a_trip_within_an_hour_behind_the_last_doubles_and_an_hour_of_quiet_resets() {
    for (quiet, halt_s) in [(3_600 * SECOND - 1, 600), (3_600 * SECOND, 300)] {
        let mut world = watched();
        trip(&mut world);
        into_probation(&mut world, 300);
        world.advance(60 * SECOND);
        world.tick();
        world.advance(quiet);
        trip(&mut world);
        assert_eq!(last::<BreakerBody>(&world, E::BreakerTripped).halt_s, halt_s, "after {quiet} ns");
    }
}

#[test]
fn p7_4_the_cool_down_mutes_the_same_breaker_and_scope_only() {
    let mut world = watched();
    world.accept(configure(0, id::PRICE_FAST, |_| ()));
    world.accept(configure(1, id::PRICE_SLOW, |_| ()));
    trip(&mut world);
    into_probation(&mut world, 300);
    world.advance(60 * SECOND);
    world.tick();
    // Within the cool-down the fast breaker of market 1 rests: 6 % in one step.
    trade(&mut world, 10_000);
    world.accept(sell(BOB, 1, 10_600, 1));
    world.accept(buy(ALICE, 1, 10_600, 1));
    assert!(!world.kinds().contains(&E::BreakerTripped));
    // The slow one of the same market does not.
    world.accept(sell(BOB, 1, 11_100, 1));
    world.accept(buy(ALICE, 1, 11_100, 1));
    assert_eq!(last::<BreakerBody>(&world, E::BreakerTripped).breaker, id::PRICE_SLOW);
    // Nor does the fast one of another market.
    for price in [10_000, 10_600] {
        world.accept(sell(BOB, 0, price, 1));
        world.accept(buy(ALICE, 0, price, 1));
    }
    assert_eq!(last::<BreakerBody>(&world, E::BreakerTripped).breaker, id::PRICE_FAST);
}

#[test]
fn spot_markets_watch_only_what_is_configured() {
    let mut world: World = World::new();
    trade(&mut world, 10_000);
    trade(&mut world, 15_000);
    assert!(!world.kinds().contains(&E::BreakerTripped));
    world.accept(trip_breaker(EMERGENCY, 1, id::PRICE_SLOW));
    world.refuse(buy(ALICE, 1, 10_000, 1), Code::BREAKER_ACTIVE);
    world.accept(buy(ALICE, 0, 10_000, 1));
}

#[test]
fn the_mirror_shows_its_book_in_a_halt_and_trades_with_nobody() {
    let mut world = watched();
    trip(&mut world);
    world.accept(cancel_all(BOB, 1));
    world.accept(buy(SYSTEM, 1, 11_000, 1));
    world.accept(sell(SYSTEM, 1, 12_000, 1));
    assert_eq!(world.kinds(), [E::OrderAccepted]);
    world.refuse(buy(ALICE, 1, 10_000, 1), Code::BREAKER_ACTIVE);
    let ioc = PlaceOrder { time_in_force: time_in_force::IOC, ..limit(1, side::BUY, 10_000, 1) };
    world.refuse(place(SYSTEM, ioc), Code::BREAKER_ACTIVE);
}

#[test]
fn b3_volume_beyond_its_usual_multiple_halts_behind_the_fill_that_brings_it() {
    let mut world: World = World::new();
    world.accept(configure(1, id::VOLUME, |_| ()));
    // An hour of about $10,000 a minute: at 10,000 ticks of unit 1 a lot is 10,000 micro.
    let minute = |world: &mut World, lots: i64| {
        world.accept(sell(BOB, 1, 10_000, lots));
        world.accept(buy(ALICE, 1, 10_000, lots));
    };
    for number in 0..60 {
        minute(&mut world, 950_000 + number % 11 * 10_000);
        world.advance(60 * SECOND);
    }
    minute(&mut world, 4_900_000);
    assert!(!world.kinds().contains(&E::BreakerTripped), "$49,000");
    world.accept(sell(BOB, 1, 10_000, 200_000));
    world.accept(sell(BOB, 1, 10_000, 200_000));
    world.accept(buy(ALICE, 1, 10_000, 400_000));
    assert_eq!(
        world.kinds(),
        [E::OrderAccepted, E::Trade, E::BreakerTripped, E::OrderCancelled],
        "the second maker is not reached"
    );
    let body: BreakerBody = last(&world, E::BreakerTripped);
    assert_eq!(
        (body.breaker, body.cause, body.threshold, body.halt_s),
        (id::VOLUME, cause::VOLUME, 500, 450)
    );
    assert!(body.value > 500);
    restored(&mut world);
}

#[test]
fn b5_refusals_for_congestion_slow_the_platform_until_they_are_few() {
    let mut world: World = World::new();
    let order = world.accept(buy(ALICE, 1, 100, 1)).value;
    // What the account may burst, then about 1,800 of 10,000 commands refused: below a fifth.
    assert_eq!(flood(&mut world, 8_000), 0);
    let first = flood(&mut world, 2_000);
    assert!((1_700..2_000).contains(&first), "{first}");
    world.tick();
    assert!(!world.kinds().contains(&E::BreakerTripped));
    assert_eq!(flood(&mut world, 1_000), 1_000);
    world.tick();
    assert!(world.kinds().contains(&E::BreakerTripped), "{:?}", world.kinds());
    let body: BreakerBody = last(&world, E::BreakerTripped);
    assert_eq!((body.breaker, body.cause, body.halt_s), (id::CONGESTION, cause::REFUSALS, 150));
    assert!(body.value > 2_000);
    let refused = world.refuse(buy(CAROL, 1, 100, 1), Code::BREAKER_ACTIVE);
    assert_eq!(refused.given, i64::from(id::CONGESTION));
    world.accept(cancel(ALICE, order));
    world.accept(deposit(ALICE, USDC, 1, [1; 32]));
    world.advance(150 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerHalfOpen]);
    world.accept(buy(CAROL, 1, 100, 1));
    world.advance(60 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerClosed]);
}

/// Sends commands of Alice at one moment; how many were above her rate.
fn flood(world: &mut World, commands: usize) -> usize {
    let mut limited = 0;
    for _ in 0..commands.div_ceil(1_000) {
        let count = commands.min(1_000);
        let all: Vec<Command> =
            (0..count).map(|_| Command { client_key: world.fresh_key(), ..buy(ALICE, 1, 100, 0) }).collect();
        let results = world.run(&all);
        limited += results.iter().filter(|r| Code::from_number(r.code) == Some(Code::RATE_LIMITED)).count();
    }
    limited
}

#[test]
fn p7_7_one_person_trips_with_a_reason_and_two_others_close() {
    let mut world: World = World::new();
    let mut bare = trip_breaker(EMERGENCY, 1, id::PRICE_FAST);
    bare = bare.with(&Breaker { reason: [0; 48], ..bare.payload_as() });
    world.refuse(bare, Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(trip_breaker(RESUMER_A, 1, id::PRICE_FAST), Code::PERMISSION_DENIED);
    world.refuse(trip_breaker(EMERGENCY, 9, id::PRICE_FAST), Code::MARKET_NOT_FOUND);
    world.refuse(trip_breaker(EMERGENCY, 1, id::COVERAGE), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(trip_breaker(EMERGENCY, ALL_MARKETS, id::VOLUME), Code::PARAMETER_OUT_OF_BOUNDS);
    world.accept(trip_breaker(EMERGENCY, ALL_MARKETS, id::PRICE_PLATFORM));
    assert_eq!(world.kinds(), [E::BreakerTripped, E::BreakerReasoned]);
    let body: BreakerBody = last(&world, E::BreakerTripped);
    assert_eq!((body.cause, body.principal), (cause::MANUAL, EMERGENCY));
    world.refuse(trip_breaker(EMERGENCY_B, ALL_MARKETS, id::PRICE_PLATFORM), Code::INVALID_TRANSITION);
    world.refuse(buy(ALICE, 1, 100, 1), Code::BREAKER_ACTIVE);
    // Time alone does not end it: two persons do.
    world.advance(10_000 * SECOND);
    world.tick();
    assert!(!world.kinds().contains(&E::BreakerHalfOpen));
    world.refuse(close_breaker(EMERGENCY, ALL_MARKETS, id::PRICE_PLATFORM), Code::PERMISSION_DENIED);
    world.accept(close_breaker(RESUMER_A, ALL_MARKETS, id::PRICE_PLATFORM));
    assert_eq!(world.kinds(), [E::BreakerResumePending]);
    world.refuse(close_breaker(RESUMER_A, ALL_MARKETS, id::PRICE_PLATFORM), Code::SELF_APPROVAL);
    restored(&mut world);
    world.accept(close_breaker(RESUMER_B, ALL_MARKETS, id::PRICE_PLATFORM));
    assert_eq!(world.kinds(), [E::BreakerHalfOpen, E::BreakerReasoned]);
    world.accept(buy(ALICE, 1, 100, 1));
    world.advance(60 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerClosed]);
    world.refuse(close_breaker(RESUMER_A, ALL_MARKETS, id::PRICE_PLATFORM), Code::BREAKER_NOT_TRIPPED);
    let cool = world.refuse(trip_breaker(EMERGENCY, ALL_MARKETS, id::PRICE_PLATFORM), Code::COOLDOWN_ACTIVE);
    assert_eq!((cool.bound, cool.given), (world.now_ns + 60 * SECOND, world.now_ns));
    world.advance(60 * SECOND);
    world.accept(trip_breaker(EMERGENCY, ALL_MARKETS, id::PRICE_PLATFORM));
}

#[test]
fn p7_7_an_early_close_waives_the_time_and_not_the_auction() {
    let mut world = watched();
    trip(&mut world);
    world.accept(close_breaker(RESUMER_A, 1, id::PRICE_FAST));
    world.advance(600 * SECOND - 301 * SECOND);
    world.accept(close_breaker(RESUMER_B, 1, id::PRICE_FAST));
    assert_eq!(world.kinds(), [E::BreakerHalfOpen, E::AuctionStarted, E::BreakerReasoned]);
    world.accept(close_breaker(RESUMER_A, 1, id::PRICE_FAST));
    let unmet = world.refuse(close_breaker(RESUMER_B, 1, id::PRICE_FAST), Code::RESUME_CONDITION_UNMET);
    assert_eq!(unmet.bound, 8, "the auction is running");
    world.advance(30 * SECOND);
    world.tick();
    world.accept(close_breaker(RESUMER_A, 1, id::PRICE_FAST));
    world.accept(close_breaker(RESUMER_B, 1, id::PRICE_FAST));
    assert_eq!(world.kinds(), [E::BreakerClosed, E::BreakerReasoned]);
}

#[test]
fn p7_6_a_pause_is_not_resumed_while_a_breaker_in_its_scope_is_open() {
    let mut world = watched();
    let id_of_pause = world.accept(pause(1, 1, START + DAY)).value as u32;
    let other = world.accept(pause(0, 2, START + DAY)).value as u32;
    world.accept(trip_breaker(EMERGENCY, 1, id::PRICE_SLOW));
    world.accept(resume(RESUMER_A, 1, id_of_pause));
    let unmet = world.refuse(resume(RESUMER_B, 1, id_of_pause), Code::RESUME_CONDITION_UNMET);
    assert_eq!(unmet.bound, 1, "a breaker is not CLOSED");
    world.accept(resume(RESUMER_A, 0, other));
    world.accept(resume(RESUMER_B, 0, other));
    let platform = world.accept(pause(ALL_MARKETS, 2, START + DAY)).value as u32;
    world.accept(resume(RESUMER_A, ALL_MARKETS, platform));
    world.refuse(resume(RESUMER_B, ALL_MARKETS, platform), Code::RESUME_CONDITION_UNMET);
}

#[test]
fn p7_1_settings_keep_to_their_bounds_and_versions() {
    let mut world: World = World::new();
    let with = |change: &dyn Fn(&mut ConfigureBreaker)| {
        let base = configure(1, id::PRICE_FAST, |_| ());
        let mut payload: ConfigureBreaker = base.payload_as();
        change(&mut payload);
        base.with(&payload)
    };
    for (change, bound) in [
        (&(|p: &mut ConfigureBreaker| p.threshold = 99) as &dyn Fn(&mut ConfigureBreaker), 100),
        (&|p| p.threshold = 2_001, 2_000),
        (&|p| p.second_threshold = 1, 0),
        (&|p| p.halt_s = 59, 60),
        (&|p| p.halt_s = 7_201, 7_200),
        (&|p| p.cooldown_s = 11, 12),
        (&|p| p.cooldown_s = 721, 720),
    ] {
        assert_eq!(world.refuse(with(change), Code::PARAMETER_OUT_OF_BOUNDS).bound, bound);
    }
    world.refuse(with(&|p| p.reserved3 = 1), Code::RESERVED_NOT_ZERO);
    world.refuse(with(&|p| p.config_version = 2), Code::CONFIG_VERSION_MISMATCH);
    world.refuse(with(&|p| p.market = 9), Code::MARKET_NOT_FOUND);
    world.accept(with(&|p| (p.threshold, p.halt_s) = (200, 60)));
    let body: BreakerSettingsBody = last(&world, E::BreakerConfigured);
    assert_eq!((body.threshold, body.halt_s, body.cooldown_s, body.config_version), (200, 60, 60, 2));
    trade(&mut world, 10_000);
    world.accept(sell(BOB, 1, 10_201, 1));
    world.accept(buy(ALICE, 1, 10_201, 1));
    assert_eq!(last::<BreakerBody>(&world, E::BreakerTripped).halt_s, 60);
}
