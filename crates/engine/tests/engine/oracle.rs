//! Price feeds: publications, index, states, parameters, and attacks on all of them (protocol P6).

mod overrides;
mod streams;

use tradewind_engine::gate::{Action, Cell};
use tradewind_engine::oracle::{cause, feed_kind, gate, state, Feed, NO_FEED};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    EventKind, FeedBody, FeedSourceBody, FeedStateBody, IndexBody, SourceBody,
};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::prices::*;
use crate::support::*;

const PRICE: i64 = 100_000_000;
const STRANGER: Key = key(0x66);

fn feed(world: &World, feed: u32) -> &Feed {
    world.engine.feeds().get(feed).expect("a known feed")
}

/// The last body of a kind among the events of the last batch.
fn last<R: Record>(world: &World, kind: EventKind) -> Option<R> {
    world.events().iter().rev().find(|(found, _)| *found == kind).map(|(_, event)| event.body_as())
}

/// A restored snapshot must be the engine itself: state, cursor and due queue.
fn assert_restores(world: &World) {
    let snapshot = world.engine.snapshot();
    let restored = Engine::<FastBook>::restore(&snapshot).expect("its own snapshot");
    assert_eq!(restored.snapshot(), snapshot);
    assert_eq!(restored.next_due_ns(), world.engine.next_due_ns());
}

#[test]
fn a_feed_is_usable_when_its_weights_sum_to_100_and_has_an_index_with_its_quorum() {
    let mut world: World = World::new();
    let btc = world.accept(register_feed(feed_request("BTC-USD"))).value as u32;
    assert_eq!(world.kinds(), [EventKind::FeedChanged, EventKind::FeedStateChanged]);
    let born: FeedStateBody = last(&world, EventKind::FeedStateChanged).expect("an event");
    assert_eq!((born.state, born.clears), (state::INVALID, cause::NOT_USABLE));
    world.accept(set_source(btc, SOURCES[0], 34));
    world.accept(set_source(btc, SOURCES[1], 33));
    let early = publication(&mut world, btc, PRICE);
    world.refuse(publish(SOURCES[0], early), Code::SOURCE_NOT_REGISTERED);
    world.accept(set_source(btc, SOURCES[2], 33));
    let table: FeedSourceBody = last(&world, EventKind::FeedSourceSet).expect("an event");
    assert_eq!((table.activated, table.sources), (1, 3));
    world.quote(SOURCES[0], btc, PRICE);
    assert_eq!((world.index(btc), world.feed_state(btc)), (0, state::INVALID), "one source is no quorum");
    world.quote(SOURCES[1], btc, PRICE + 10);
    let index: IndexBody = last(&world, EventKind::IndexUpdated).expect("a quorum gives an index");
    // 34 against 33: the heavier source is the median of the two.
    assert_eq!((index.index, index.low, index.high, index.passing), (PRICE, PRICE, PRICE + 10, 2));
    assert_eq!(world.feed_state(btc), state::INVALID, "better inputs must last");
    assert_restores(&world);
}

#[test]
fn a_new_feed_is_warn_after_ten_seconds_and_valid_after_sixty() {
    let mut world: World = World::new();
    let btc = world.open_feed(feed_request("BTC-USD"));
    world.quote_all(btc, PRICE);
    world.keep_quoting(btc, PRICE, 9);
    assert_eq!(world.feed_state(btc), state::INVALID);
    world.keep_quoting(btc, PRICE, 1);
    assert_eq!(world.feed_state(btc), state::WARN);
    let hold = feed(&world, btc);
    assert_eq!((hold.clears, hold.hold_ns()), (cause::HOLD, 60 * SECOND));
    world.keep_quoting(btc, PRICE, 49);
    assert_eq!(world.feed_state(btc), state::WARN);
    world.keep_quoting(btc, PRICE, 1);
    assert_eq!(world.feed_state(btc), state::VALID);
    assert_eq!(world.engine.feeds().check(btc, Action::NewLeveraged, world.now_ns), Ok(Cell::Allowed));
}

#[test]
fn a_replayed_or_reordered_publication_is_refused() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let first = publication(&mut world, btc, PRICE);
    world.accept(publish(SOURCES[0], first));
    let again = world.refuse(publish(SOURCES[0], first), Code::PUBLISH_OUT_OF_ORDER);
    assert_eq!((again.bound, again.given), (first.source_seq as i64, first.source_seq as i64));
    let older = PublishPrice { source_seq: first.source_seq - 1, ..first };
    world.refuse(publish(SOURCES[0], older), Code::PUBLISH_OUT_OF_ORDER);
    // A later number with an earlier time is out of order too: a fresh value is never replaced by an older one.
    let backdated =
        PublishPrice { source_seq: first.source_seq + 1, source_time_ns: world.now_ns - 1, ..first };
    world.refuse(publish(SOURCES[0], backdated), Code::PUBLISH_OUT_OF_ORDER);
    // The same publication is another source's first.
    world.accept(publish(SOURCES[1], first));
}

#[test]
fn a_publication_from_the_future_of_more_than_a_second_is_refused() {
    let mut world: World = World::new();
    let btc = world.open_feed(feed_request("BTC-USD"));
    let ahead =
        PublishPrice { source_time_ns: world.now_ns + SECOND + 1, ..publication(&mut world, btc, PRICE) };
    let refused = world.refuse(publish(SOURCES[0], ahead), Code::FUTURE_TIMESTAMP);
    assert_eq!((refused.bound, refused.given), (world.now_ns + SECOND, ahead.source_time_ns));
    world.accept(publish(SOURCES[0], PublishPrice { source_time_ns: world.now_ns + SECOND, ..ahead }));
}

#[test]
fn zero_negative_crossed_and_oversized_values_are_refused() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let good = publication(&mut world, btc, PRICE);
    let cases = [
        (PublishPrice { value: 0, ..good }, Code::NON_POSITIVE_PRICE),
        (PublishPrice { value: -1, ..good }, Code::NON_POSITIVE_PRICE),
        (PublishPrice { value: i64::MIN, ..good }, Code::NON_POSITIVE_PRICE),
        (PublishPrice { value: i64::MAX, ..good }, Code::PARAMETER_OUT_OF_BOUNDS),
        (PublishPrice { confidence: -1, ..good }, Code::PARAMETER_OUT_OF_BOUNDS),
        (PublishPrice { confidence: i64::MAX, ..good }, Code::PARAMETER_OUT_OF_BOUNDS),
        (PublishPrice { bid: -1, ask: PRICE, ..good }, Code::PARAMETER_OUT_OF_BOUNDS),
        (PublishPrice { bid: PRICE, ask: PRICE, ..good }, Code::CROSSED_SOURCE),
        (PublishPrice { bid: PRICE + 1, ask: PRICE, ..good }, Code::CROSSED_SOURCE),
        (PublishPrice { reserved: 1, ..good }, Code::RESERVED_NOT_ZERO),
        (PublishPrice { feed: 9, ..good }, Code::FEED_NOT_FOUND),
    ];
    for (request, code) in cases {
        world.refuse(publish(SOURCES[0], request), code);
    }
    // A one-sided book is not crossed.
    world.accept(publish(SOURCES[0], PublishPrice { bid: PRICE, ..good }));
}

#[test]
fn only_a_registered_source_with_the_role_publishes() {
    let mut world: World = World::new();
    let btc = world.open_feed(feed_request("BTC-USD"));
    let other = world.accept(register_feed(feed_request("ETH-USD"))).value as u32;
    let request = publication(&mut world, btc, PRICE);
    world.refuse(publish(STRANGER, request), Code::PERMISSION_DENIED);
    // A source of one feed is none of another.
    let elsewhere = publication(&mut world, other, PRICE);
    world.refuse(publish(SOURCES[0], elsewhere), Code::SOURCE_NOT_REGISTERED);
    world.accept(by(ADMIN_A, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal: SOURCES[0] }));
    world.refuse(publish(SOURCES[0], request), Code::PRINCIPAL_SUSPENDED);
    world.accept(by(ADMIN_A, Kind::RevokeRole).with(&GrantRole {
        principal: SOURCES[1],
        role: tradewind_engine::roles::ORACLE,
        ..Record::zero()
    }));
    world.refuse(publish(SOURCES[1], request), Code::PERMISSION_DENIED);
}

#[test]
fn a_suspended_source_falls_out_by_its_age_like_any_silent_one() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    world.accept(by(ADMIN_A, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal: SOURCES[0] }));
    for _ in 0..6 {
        world.advance(SECOND);
        world.tick();
        world.quote(SOURCES[1], btc, PRICE);
        world.quote(SOURCES[2], btc, PRICE);
    }
    assert_eq!(world.feed_state(btc), state::DEGRADED);
    let refused =
        world.engine.feeds().check(btc, Action::NewLeveraged, world.now_ns).expect_err("a source is missing");
    assert_eq!(refused.code, Code::INSUFFICIENT_SOURCES);
}

#[test]
fn staleness_is_found_by_time_without_any_message() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let last_ns = world.now_ns;
    world.advance(2 * SECOND);
    world.tick();
    assert_eq!(world.feed_state(btc), state::VALID, "two intervals are not old");
    world.advance(1);
    world.tick();
    assert_eq!(world.feed_state(btc), state::WARN);
    world.advance(3 * SECOND - 1);
    world.tick();
    assert_eq!(world.feed_state(btc), state::WARN, "five seconds still count");
    world.advance(1);
    world.tick();
    let stale: FeedStateBody = last(&world, EventKind::FeedStateChanged).expect("an event");
    assert_eq!((stale.state, stale.previous, stale.cause), (state::STALE, state::WARN, cause::AGE));
    assert_eq!((stale.clears, stale.since_ns), (cause::AGE, last_ns + 5 * SECOND + 1));
    assert_eq!((stale.passing, stale.index), (0, PRICE), "the last good index is kept for display");
    let refused = world.engine.feeds().check(btc, Action::Liquidate, world.now_ns).expect_err("stale");
    assert_eq!((refused.code, refused.bound), (Code::STALE_PRICE, stale.since_ns));
    assert_restores(&world);
}

#[test]
fn the_first_good_update_moves_the_index_and_starts_the_recovery() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    world.wait_seconds(30);
    assert_eq!(world.feed_state(btc), state::STALE);
    world.quote(SOURCES[0], btc, PRICE + 1);
    assert_eq!(world.index(btc), PRICE, "one of three");
    world.quote(SOURCES[1], btc, PRICE + 1);
    assert_eq!(world.index(btc), PRICE + 1);
    assert_eq!((world.feed_state(btc), feed(&world, btc).clears), (state::STALE, cause::HOLD));
    world.quote(SOURCES[2], btc, PRICE + 1);
    world.keep_quoting(btc, PRICE + 1, 9);
    assert_eq!(world.feed_state(btc), state::STALE);
    world.keep_quoting(btc, PRICE + 1, 1);
    assert_eq!(world.feed_state(btc), state::VALID);
}

#[test]
fn old_publications_that_arrive_late_do_not_revive_a_stale_feed() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let last_ns = world.now_ns;
    world.wait_seconds(30);
    for source in SOURCES {
        let late =
            PublishPrice { source_time_ns: last_ns + SECOND, ..publication(&mut world, btc, PRICE / 2) };
        world.accept(publish(source, late));
        let body: SourceBody = last(&world, EventKind::SourceUpdated).expect("an event");
        assert_eq!(body.gate, gate::STALE);
    }
    assert_eq!((world.feed_state(btc), world.index(btc)), (state::STALE, PRICE));
}

#[test]
fn one_of_three_that_lies_moves_nothing_and_is_named() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    for lie in [1, PRICE / 2, PRICE * 95 / 100 - 1, PRICE * 105 / 100 + 1, 1_000_000 * PRICE] {
        world.quote(SOURCES[0], btc, lie);
        let body: SourceBody = last(&world, EventKind::SourceUpdated).expect("an event");
        assert_eq!(body.gate, gate::OUTLIER, "{lie}");
        assert_eq!((world.index(btc), world.feed_state(btc)), (PRICE, state::DEGRADED));
    }
    // A lie inside the outlier limit stays between the others.
    world.quote(SOURCES[0], btc, PRICE * 105 / 100);
    assert_eq!(world.index(btc), PRICE);
}

#[test]
fn a_frozen_value_is_an_outlier_once_the_others_have_moved() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    for step in 1..=8 {
        world.advance(SECOND);
        world.tick();
        world.quote(SOURCES[0], btc, PRICE);
        world.quote(SOURCES[1], btc, PRICE + step * PRICE / 100);
        world.quote(SOURCES[2], btc, PRICE + step * PRICE / 100);
    }
    assert_eq!(world.index(btc), PRICE + 8 * PRICE / 100);
    assert_eq!((feed(&world, btc).passing, feed(&world, btc).gate_of(0)), (2, gate::OUTLIER));
    let refused =
        world.engine.feeds().check(btc, Action::NewLeveraged, world.now_ns).expect_err("a source is missing");
    assert!(refused.given >= i64::from(state::DEGRADED));
}

#[test]
fn a_jump_of_all_sources_is_the_new_price_and_a_jump_on_the_way_is_no_quorum_of_one() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    world.quote(SOURCES[0], btc, PRICE / 2);
    assert_eq!(world.index(btc), PRICE);
    world.quote(SOURCES[1], btc, PRICE / 2);
    assert_eq!(world.index(btc), PRICE / 2, "two of three agree");
    world.quote(SOURCES[2], btc, PRICE / 2);
    assert_eq!((world.index(btc), feed(&world, btc).passing), (PRICE / 2, 3));
}

#[test]
fn a_wide_confidence_closes_the_gate_and_a_wide_index_is_uncertain() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let unsure = PublishPrice { confidence: PRICE / 100 + 1, ..publication(&mut world, btc, PRICE) };
    world.accept(publish(SOURCES[0], unsure));
    let body: SourceBody = last(&world, EventKind::SourceUpdated).expect("an event");
    assert_eq!((body.gate, world.feed_state(btc)), (gate::CONFIDENCE, state::DEGRADED));
    // Three sources 1 % apart: MAD 1 %, times 1.4826.
    world.quote(SOURCES[0], btc, PRICE * 99 / 100);
    world.quote(SOURCES[2], btc, PRICE * 101 / 100);
    assert_eq!((world.feed_state(btc), feed(&world, btc).confidence), (state::UNCERTAIN, 1_482_600));
    let refused = world.engine.feeds().check(btc, Action::Trigger, world.now_ns).expect_err("uncertain");
    assert_eq!((refused.code, refused.given), (Code::LOW_CONFIDENCE, i64::from(state::UNCERTAIN)));
    assert_eq!(world.engine.feeds().check(btc, Action::Liquidate, world.now_ns), Ok(Cell::SaferSide));
}

#[test]
fn sources_more_than_two_percent_apart_for_a_minute_are_divergent() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let apart = |world: &mut World, high: i64| {
        world.quote(SOURCES[0], btc, PRICE);
        world.quote(SOURCES[1], btc, PRICE);
        world.quote(SOURCES[2], btc, high);
    };
    let limit = PRICE * 102 / 100;
    for _ in 0..70 {
        world.advance(SECOND);
        world.tick();
        apart(&mut world, limit);
    }
    assert_ne!(world.feed_state(btc), state::DIVERGENT, "exactly two percent is near");
    for second in 0..=60 {
        assert_ne!(world.feed_state(btc), state::DIVERGENT, "second {second}");
        world.advance(SECOND);
        world.tick();
        apart(&mut world, limit + 1);
    }
    assert_eq!((world.feed_state(btc), feed(&world, btc).clears), (state::DIVERGENT, cause::SOURCES_APART));
    let refused =
        world.engine.feeds().check(btc, Action::NewCollateralised, world.now_ns).expect_err("divergent");
    assert_eq!(refused.code, Code::SOURCE_DIVERGENCE);
    assert_restores(&world);
}

#[test]
fn a_lost_quorum_is_told_from_staleness() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    for source in [SOURCES[0], SOURCES[1]] {
        let unsure = PublishPrice { confidence: PRICE / 10, ..publication(&mut world, btc, PRICE) };
        world.accept(publish(source, unsure));
    }
    assert_eq!((world.feed_state(btc), feed(&world, btc).clears), (state::NO_QUORUM, cause::QUORUM));
    let refused = world.engine.feeds().check(btc, Action::Passive, world.now_ns).expect_err("no quorum");
    assert_eq!(refused.code, Code::INSUFFICIENT_SOURCES);
    world.keep_quoting(btc, PRICE, 20);
    assert_eq!(world.feed_state(btc), state::WARN, "VALID takes sixty seconds after a lost quorum");
    world.keep_quoting(btc, PRICE, 41);
    assert_eq!(world.feed_state(btc), state::VALID);
}

#[test]
fn a_probability_feed_measures_in_absolute_terms() {
    let mut world: World = World::new();
    let request = RegisterFeed { feed_kind: feed_kind::PROBABILITY, quorum: 1, ..feed_request("ELECTION-A") };
    let odds = world.open_feed(request);
    for (source, value) in SOURCES.into_iter().zip([20_000, 20_000, 69_999]) {
        world.quote(source, odds, value);
    }
    assert_eq!(feed(&world, odds).passing, 3, "0.05 apart is no outlier however low the price");
    world.quote(SOURCES[2], odds, 70_001);
    let body: SourceBody = last(&world, EventKind::SourceUpdated).expect("an event");
    assert_eq!(body.gate, gate::OUTLIER);
    let beyond = publication(&mut world, odds, 1_000_001);
    let refused = world.refuse(publish(SOURCES[0], beyond), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!((refused.bound, refused.given), (1_000_000, 1_000_001));
    // One name may be a price and a probability.
    world.accept(register_feed(feed_request("ELECTION-A")));
}

#[test]
fn feed_parameters_have_bounds() {
    let mut world: World = World::new();
    let good = feed_request("BTC-USD");
    let btc = world.accept(register_feed(good)).value as u32;
    world.refuse(register_feed(good), Code::ALREADY_EXISTS);
    let eth = feed_request("ETH-USD");
    let out_of_bounds = [
        RegisterFeed { symbol: [0; 16], ..eth },
        RegisterFeed { symbol: *b"A\0B\0\0\0\0\0\0\0\0\0\0\0\0\0", ..eth },
        RegisterFeed { feed_kind: 2, ..eth },
        RegisterFeed { quorum: 1, ..eth },
        RegisterFeed { quorum: 0, feed_kind: feed_kind::PROBABILITY, ..eth },
        RegisterFeed { quorum: 17, ..eth },
        RegisterFeed { interval_ms: 99, ..eth },
        RegisterFeed { interval_ms: 60_001, ..eth },
        RegisterFeed { max_confidence_ppm: 999, ..eth },
        RegisterFeed { max_confidence_ppm: 100_001, ..eth },
        RegisterFeed { max_deviation_bp: 9, ..eth },
        RegisterFeed { max_deviation_bp: 2_001, ..eth },
        RegisterFeed { feed_kind: feed_kind::PROBABILITY, fallback: btc, ..eth },
    ];
    for request in out_of_bounds {
        world.refuse(register_feed(request), Code::PARAMETER_OUT_OF_BOUNDS);
    }
    world.refuse(register_feed(RegisterFeed { fallback: 9, ..eth }), Code::FEED_NOT_FOUND);
    for request in [
        RegisterFeed { feed: 1, ..eth },
        RegisterFeed { config_version: 1, ..eth },
        RegisterFeed { reserved: 1, ..eth },
        RegisterFeed { reserved4: 1, ..eth },
    ] {
        world.refuse(register_feed(request), Code::RESERVED_NOT_ZERO);
    }
    let stranger = Command { principal: OPERATOR, ..register_feed(eth) };
    world.refuse(stranger, Code::PERMISSION_DENIED);
    world.accept(register_feed(RegisterFeed { fallback: btc, ..eth }));
}

#[test]
fn a_feed_changes_once_a_day_by_its_version_and_keeps_its_name() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let present = RegisterFeed {
        feed: btc,
        config_version: feed(&world, btc).config_version,
        ..feed_request("BTC-USD")
    };
    world.refuse(update_feed(RegisterFeed { feed: 9, ..present }), Code::FEED_NOT_FOUND);
    world.refuse(update_feed(RegisterFeed { config_version: 9, ..present }), Code::CONFIG_VERSION_MISMATCH);
    let renamed = RegisterFeed { symbol: symbol("BTC"), ..present };
    world.refuse(update_feed(renamed), Code::IMMUTABLE_PARAMETER);
    world.refuse(update_feed(RegisterFeed { quorum: 4, ..present }), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(update_feed(RegisterFeed { fallback: btc, ..present }), Code::PARAMETER_OUT_OF_BOUNDS);
    world.accept(update_feed(RegisterFeed { quorum: 3, ..present }));
    let body: FeedBody = last(&world, EventKind::FeedChanged).expect("an event");
    assert_eq!((body.quorum, body.config_version), (3, present.config_version + 1));
    let again = RegisterFeed { config_version: present.config_version + 1, ..present };
    world.advance(DAY - 1);
    world.refuse(update_feed(again), Code::PARAMETER_COOLDOWN);
    world.advance(1);
    world.accept(update_feed(again));
}

#[test]
fn a_higher_quorum_takes_effect_at_once() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    world.quote(SOURCES[0], btc, PRICE * 2);
    assert_eq!(world.feed_state(btc), state::DEGRADED);
    let version = feed(&world, btc).config_version;
    world.accept(update_feed(RegisterFeed {
        feed: btc,
        config_version: version,
        quorum: 3,
        ..feed_request("BTC-USD")
    }));
    assert_eq!(world.feed_state(btc), state::NO_QUORUM);
}

#[test]
fn a_table_of_sources_changes_in_one_step_and_never_leaves_the_feed_without_one() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let newcomer = key(0x2F);
    world.refuse(set_source(btc, [0; 32], 10), Code::ZERO_AUTHORITY);
    world.refuse(set_source(btc, newcomer, 0), Code::SOURCE_NOT_REGISTERED);
    world.refuse(set_source(btc, newcomer, 1), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(set_source(9, newcomer, 1), Code::FEED_NOT_FOUND);
    let damaged = SetFeedSource { feed: btc, weight: 1, source: newcomer, reserved: 1, reserved2: 0 };
    world.refuse(by(RISK, Kind::SetFeedSource).with(&damaged), Code::RESERVED_NOT_ZERO);
    world.accept(set_source(btc, SOURCES[2], 0));
    // Still in force: the new table is not complete.
    world.quote(SOURCES[2], btc, PRICE);
    assert_eq!((feed(&world, btc).passing, world.feed_state(btc)), (3, state::VALID));
    world.accept(set_source(btc, newcomer, 33));
    assert_eq!((feed(&world, btc).passing, world.feed_state(btc)), (2, state::DEGRADED));
    let request = publication(&mut world, btc, PRICE);
    world.refuse(publish(SOURCES[2], request), Code::SOURCE_NOT_REGISTERED);
    // A second change of the table waits a day.
    world.accept(set_source(btc, newcomer, 0));
    world.refuse(set_source(btc, SOURCES[2], 33), Code::PARAMETER_COOLDOWN);
    world.advance(DAY);
    world.accept(set_source(btc, SOURCES[2], 33));
    assert_restores(&world);
}

#[test]
fn a_table_needs_as_many_sources_as_the_quorum_and_holds_sixteen() {
    let mut world: World = World::new();
    let btc = world.accept(register_feed(feed_request("BTC-USD"))).value as u32;
    let refused = world.refuse(set_source(btc, SOURCES[0], 100), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!((refused.bound, refused.given), (2, 1));
    for number in 0..16 {
        world.accept(set_source(btc, key(0x80 + number), 1));
    }
    world.refuse(set_source(btc, key(0xA0), 1), Code::CAPACITY_EXCEEDED);
    world.accept(set_source(btc, key(0x80), 85));
    assert_eq!(feed(&world, btc).present().count(), 16);
}

#[test]
fn the_time_weighted_index_of_an_hour_is_exact() {
    let mut world: World = World::new();
    let btc = world.open_feed(RegisterFeed { interval_ms: 60_000, ..feed_request("BTC-USD") });
    let hour = |world: &World| world.engine.feeds().twap(btc, HOUR, world.now_ns);
    // START is 20 s behind a whole minute.
    world.advance(40 * SECOND);
    world.quote_all(btc, PRICE);
    world.advance(HOUR - 1);
    assert_eq!(hour(&world), None, "the index is younger than an hour");
    world.advance(1);
    assert_eq!(hour(&world), Some((PRICE, HOUR)));
    for source in SOURCES {
        world.quote(source, btc, PRICE * 103 / 100);
    }
    // The second of three settles the median: from that moment on, at one instant.
    world.advance(HOUR / 4);
    assert_eq!(hour(&world), Some((PRICE + PRICE * 3 / 400, HOUR)));
    assert_restores(&world);
}

#[test]
fn a_late_tick_does_not_hide_an_outage_from_the_publication_behind_it() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    world.advance(20 * SECOND);
    // No Tick ran; the publications come first.
    world.quote_all(btc, PRICE);
    assert_eq!((world.feed_state(btc), feed(&world, btc).clears), (state::STALE, cause::HOLD));
}

#[test]
fn a_feed_without_fallback_has_none_and_unknown_feeds_are_not_found() {
    let mut world: World = World::new();
    let btc = world.open_feed(feed_request("BTC-USD"));
    assert_eq!(feed(&world, btc).fallback, NO_FEED);
    assert_eq!(world.engine.feeds().fallback_state(btc, world.now_ns), None);
    assert_eq!(world.engine.feeds().effective(9), None);
    let refused =
        world.engine.feeds().check(NO_FEED, Action::NewLeveraged, world.now_ns).expect_err("no feed");
    assert_eq!(refused.code, Code::FEED_NOT_FOUND);
}
