//! Overrides of feeds: two persons, a day at most, never a price (P14.7).

use tradewind_engine::gate::Action;
use tradewind_engine::oracle::{action, cause, gate, state};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind, OverrideBody, SourceBody};
use tradewind_engine::wire::{Code, Record};

use crate::prices::*;
use crate::support::*;

use super::*;

pub fn override_request(feed: u32, action: u8, until_ns: i64) -> OverrideFeed {
    OverrideFeed { feed, action, until_ns, ..Record::zero() }
}

pub fn override_by(who: Key, request: OverrideFeed) -> Command {
    by(who, Kind::OverrideFeed).with(&request)
}

#[track_caller]
pub fn override_both(world: &mut World, request: OverrideFeed) {
    assert_eq!(world.accept(override_by(EMERGENCY, request)).value, 0);
    assert_eq!(world.accept(override_by(EMERGENCY_B, request)).value, 1);
}

#[test]
fn an_override_takes_two_persons_and_the_same_request() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let stop = override_request(btc, action::FORCE_INVALID, world.now_ns + HOUR);
    world.refuse(override_by(RISK, stop), Code::PERMISSION_DENIED);
    world.accept(override_by(EMERGENCY, stop));
    assert_eq!(world.kinds(), [EventKind::FeedOverridePending]);
    assert_eq!(world.feed_state(btc), state::VALID);
    world.refuse(override_by(EMERGENCY, stop), Code::SELF_APPROVAL);
    // Another request of the second person is a first one of its own.
    let longer = OverrideFeed { until_ns: stop.until_ns + 1, ..stop };
    world.accept(override_by(EMERGENCY_B, longer));
    assert_eq!(world.feed_state(btc), state::VALID);
    world.refuse(override_by(EMERGENCY_B, longer), Code::SELF_APPROVAL);
    world.accept(override_by(EMERGENCY, longer));
    assert_eq!((world.feed_state(btc), feed(&world, btc).clears), (state::INVALID, cause::OVERRIDE));
    let refused = world.engine.feeds().check(btc, Action::Reduce, world.now_ns).expect_err("invalid");
    assert_eq!(refused.code, Code::NON_POSITIVE_PRICE);
    assert_restores(&world);
}

#[test]
fn a_first_approval_waits_600_seconds() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let stop = override_request(btc, action::FORCE_INVALID, world.now_ns + HOUR);
    world.accept(override_by(EMERGENCY, stop));
    world.advance(600 * SECOND + 1);
    assert_eq!(world.accept(override_by(EMERGENCY_B, stop)).value, 0, "the first one has lapsed");
    world.advance(600 * SECOND);
    assert_eq!(world.accept(override_by(EMERGENCY, stop)).value, 1);
}

#[test]
fn an_override_ends_by_itself_and_lasts_a_day_at_most() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let stop = override_request(btc, action::FORCE_INVALID, world.now_ns + 30 * SECOND);
    for until_ns in [world.now_ns, 0, world.now_ns + DAY + 1, i64::MAX] {
        let request = OverrideFeed { until_ns, ..stop };
        world.refuse(override_by(EMERGENCY, request), Code::PARAMETER_OUT_OF_BOUNDS);
    }
    override_both(&mut world, stop);
    world.keep_quoting(btc, PRICE, 29);
    assert_eq!(world.feed_state(btc), state::INVALID);
    world.advance(SECOND);
    world.tick();
    let ended: OverrideBody = last(&world, EventKind::FeedOverrideEnded).expect("an event");
    assert_eq!((ended.feed, ended.action), (btc, action::FORCE_INVALID));
    assert_eq!(feed(&world, btc).forced, None);
    // As after any INVALID: ten seconds for WARN, sixty for VALID.
    world.keep_quoting(btc, PRICE, 62);
    assert_eq!(world.feed_state(btc), state::VALID);
}

#[test]
fn an_excluded_source_does_not_count_until_the_override_is_lifted_by_two() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    let exclude = OverrideFeed {
        source: SOURCES[2],
        ..override_request(btc, action::EXCLUDE_SOURCE, world.now_ns + DAY)
    };
    let lift = override_request(btc, action::LIFT, 0);
    world.refuse(override_by(EMERGENCY, lift), Code::INVALID_TRANSITION);
    let unknown = OverrideFeed { source: STRANGER, ..exclude };
    world.refuse(override_by(EMERGENCY, unknown), Code::SOURCE_NOT_REGISTERED);
    override_both(&mut world, exclude);
    assert_eq!((feed(&world, btc).passing, world.feed_state(btc)), (2, state::DEGRADED));
    world.quote(SOURCES[2], btc, PRICE);
    let body: SourceBody = last(&world, EventKind::SourceUpdated).expect("an event");
    assert_eq!(body.gate, gate::EXCLUDED);
    // Forcing the feed does not bring the source back.
    let stop = override_request(btc, action::FORCE_INVALID, world.now_ns + HOUR);
    override_both(&mut world, stop);
    assert_eq!(feed(&world, btc).passing, 2);
    override_both(&mut world, lift);
    assert_eq!((feed(&world, btc).passing, feed(&world, btc).forced), (3, None));
    assert_restores(&world);
}

#[test]
fn a_switched_feed_has_the_price_and_the_state_of_its_fallback() {
    let mut world: World = World::new();
    let second = world.valid_feed("BTC-USD-2", PRICE + 500);
    let request = RegisterFeed { fallback: second, ..feed_request("BTC-USD") };
    let first = world.open_feed(request);
    let alone = world.open_feed(feed_request("BTC-USD-3"));
    world.quote_all(first, PRICE);
    world.quote_all(second, PRICE + 500);
    let until_ns = world.now_ns + 20 * SECOND;
    world.refuse(
        override_by(EMERGENCY, override_request(alone, action::USE_FALLBACK, until_ns)),
        Code::FEED_NOT_FOUND,
    );
    override_both(&mut world, override_request(first, action::USE_FALLBACK, until_ns));
    let used = world.engine.feeds().effective(first).expect("a known feed");
    assert_eq!((used.feed, used.state, used.index), (second, state::VALID, PRICE + 500));
    assert_eq!(feed(&world, second).users, [first]);
    assert_restores(&world);
    world.keep_quoting(second, PRICE + 600, 19);
    assert_eq!(world.engine.feeds().effective(first).map(|used| used.index), Some(PRICE + 600));
    world.advance(SECOND);
    world.tick();
    let used = world.engine.feeds().effective(first).expect("a known feed");
    assert_eq!((used.feed, used.index), (first, PRICE));
    assert!(feed(&world, second).users.is_empty());
    assert_restores(&world);
}

#[test]
fn sixteen_feeds_may_use_one_fallback() {
    let mut world: World = World::new();
    let second = world.open_feed(feed_request("SECOND"));
    let until_ns = world.now_ns + HOUR;
    for number in 0..17 {
        let request = RegisterFeed { fallback: second, ..feed_request(&format!("FIRST-{number}")) };
        let first = world.accept(register_feed(request)).value as u32;
        let switch = override_request(first, action::USE_FALLBACK, until_ns);
        if number == 16 {
            world.refuse(override_by(EMERGENCY, switch), Code::CAPACITY_EXCEEDED);
        } else {
            override_both(&mut world, switch);
        }
    }
    // The same switch again only moves its end.
    override_both(&mut world, override_request(1, action::USE_FALLBACK, until_ns + HOUR));
    assert_eq!(feed(&world, second).users.len(), 16);
}

#[test]
fn override_requests_are_checked() {
    let mut world: World = World::new();
    let btc = world.open_feed(feed_request("BTC-USD"));
    let stop = override_request(btc, action::FORCE_INVALID, world.now_ns + HOUR);
    world.refuse(override_by(EMERGENCY, OverrideFeed { feed: 9, ..stop }), Code::FEED_NOT_FOUND);
    world.refuse(override_by(EMERGENCY, OverrideFeed { action: 4, ..stop }), Code::PARAMETER_OUT_OF_BOUNDS);
    for request in [
        OverrideFeed { reserved: 1, ..stop },
        OverrideFeed { reserved3: 1, ..stop },
        OverrideFeed { source: SOURCES[0], ..stop },
    ] {
        world.refuse(override_by(EMERGENCY, request), Code::RESERVED_NOT_ZERO);
    }
    let lift = OverrideFeed { action: action::LIFT, ..stop };
    world.refuse(override_by(EMERGENCY, lift), Code::PARAMETER_OUT_OF_BOUNDS);
}

#[test]
fn no_command_sets_a_price() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", PRICE);
    for (source, value) in SOURCES.into_iter().zip([PRICE - 10, PRICE, PRICE + 10]) {
        world.quote(source, btc, value);
    }
    let excluded = OverrideFeed {
        source: SOURCES[1],
        ..override_request(btc, action::EXCLUDE_SOURCE, world.now_ns + HOUR)
    };
    let stop = override_request(btc, action::FORCE_INVALID, world.now_ns + HOUR);
    for request in [excluded, stop, override_request(btc, action::LIFT, 0)] {
        override_both(&mut world, request);
        assert!((PRICE - 10..=PRICE + 10).contains(&world.index(btc)), "only what sources said");
    }
}
