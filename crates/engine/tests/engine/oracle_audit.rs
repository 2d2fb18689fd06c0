//! The auditor of price feeds: each rule goes red on a recorded batch that was falsified to break it (I08, I25).

use tradewind_engine::audit::{Auditor, Violation};
use tradewind_engine::oracle::{action, cause, gate, state};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Record;

use crate::audit::Recording;
use crate::leveraged::{BTC_FEED, BTC_PRICE, BTC_TICKS, ETH_PRICE, PERP};
use crate::prices::*;
use crate::support::*;

const PRICE: i64 = 100_000_000;

/// A VALID feed of three sources.
fn fed() -> (World, u32) {
    let mut world: World = World::new();
    let feed = world.valid_feed("BTC-USD", PRICE);
    (world, feed)
}

/// The third source publishes a little more than the others: one publication, one index.
fn published() -> Recording {
    let (mut world, feed) = fed();
    let request = PublishPrice { confidence: 100, ..publication(&mut world, feed, PRICE + 1_000) };
    Recording::of(&mut world, publish(SOURCES[2], request))
}

fn tick(world: &mut World) -> Recording {
    Recording::of_run(world, |world| {
        world.tick();
    })
}

/// All sources fall silent: the feed turns STALE by time alone.
fn silence() -> Recording {
    let (mut world, _) = fed();
    world.advance(6 * SECOND);
    tick(&mut world)
}

fn overriding(who: Key, request: OverrideFeed) -> Command {
    by(who, Kind::OverrideFeed).with(&request)
}

/// The second person's command of an override.
fn overridden(verb: u8) -> Recording {
    let (mut world, feed) = fed();
    let source = if verb == action::EXCLUDE_SOURCE { SOURCES[0] } else { [0; 32] };
    let request =
        OverrideFeed { feed, action: verb, until_ns: world.now_ns + HOUR, source, ..Record::zero() };
    world.accept(overriding(EMERGENCY, request));
    Recording::of(&mut world, overriding(EMERGENCY_B, request))
}

#[test]
fn i08_an_index_is_the_weighted_median_of_the_sources_that_pass() {
    type Index = IndexBody;
    let kind = EventKind::IndexUpdated;
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.index += 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.index = PRICE + 1_000));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.confidence += 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.low -= 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.high += 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.passing -= 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.sources += 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.gates = u64::from(gate::OUTLIER)));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.updated_ns -= 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.state = state::WARN));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Index| body.feed = 9));
    // A source whose value counts differently gives another index.
    published().breaks("I08", |r| {
        r.edit(EventKind::SourceUpdated, |body: &mut SourceBody| body.confidence = PRICE / 50);
    });
    published().breaks("I08", |r| {
        r.edit(EventKind::SourceUpdated, |body: &mut SourceBody| body.value = PRICE * 2);
    });
}

#[test]
fn i08_an_index_that_a_quorum_gives_is_told_and_without_one_none_is() {
    published().breaks("I08", |r| r.drop_events(EventKind::IndexUpdated));
    let (mut world, feed) = fed();
    world.advance(6 * SECOND);
    world.tick();
    assert_eq!(world.feed_state(feed), state::STALE);
    // One of three is back; the rest is stale, so that what the feed shows is its last good index.
    let request = publication(&mut world, feed, PRICE + 50);
    let single = || Recording::of(&mut world.clone(), publish(SOURCES[0], request));
    let kind = EventKind::IndexUpdated;
    single().breaks("I08", |r| r.edit(kind, |body: &mut IndexBody| body.index = PRICE + 50));
    single().breaks("I08", |r| r.edit(kind, |body: &mut IndexBody| body.updated_ns = world.now_ns));
    single().breaks("I08", |r| {
        r.edit(kind, |body: &mut IndexBody| {
            (body.index, body.low, body.high) = (PRICE + 50, PRICE + 50, PRICE + 50);
        });
    });
    single().breaks("I08", |r| r.edit(kind, |body: &mut IndexBody| body.gates = 0));
    single().breaks("I08", |r| r.edit(kind, |body: &mut IndexBody| body.state = state::VALID));
}

#[test]
fn i08_a_source_publishes_for_itself_and_forward_in_number_and_time() {
    let kind = EventKind::SourceUpdated;
    type Source = SourceBody;
    published().breaks("I08", |r| r.edit(kind, |body: &mut Source| body.source = SOURCES[0]));
    published().breaks("I08", |r| r.commands[0].principal = SOURCES[0]);
    published().breaks("I08", |r| r.commands[0].principal = ALICE);
    published().breaks("I08", |r| r.edit(kind, |body: &mut Source| body.source_seq = 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Source| body.source_time_ns = START));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Source| body.source_time_ns += SECOND + 1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Source| body.value = 0));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Source| body.confidence = -1));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Source| body.weight = 100));
    published().breaks("I08", |r| r.edit(kind, |body: &mut Source| body.gate = gate::STALE));
    published().breaks("I26", |r| r.edit(kind, |body: &mut Source| body.feed = 9));
}

#[test]
fn i08_a_state_is_never_better_than_its_inputs_and_never_worse() {
    let kind = EventKind::FeedStateChanged;
    type State = FeedStateBody;
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.state = state::VALID));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.state = state::NO_QUORUM));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.previous = state::WARN));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.since_ns -= 1));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.cause = cause::QUORUM));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.clears = cause::HOLD));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.hold_ms += 1));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.index += 1));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.passing = 3));
    silence().breaks("I08", |r| r.edit(kind, |body: &mut State| body.gates = 0));
    silence().breaks("I08", |r| r.drop_events(kind));
}

#[test]
fn i08_a_better_state_is_earned_by_ten_seconds_and_valid_after_a_lost_quorum_by_sixty() {
    let (mut world, feed) = fed();
    world.advance(6 * SECOND);
    world.tick();
    world.quote_all(feed, PRICE);
    world.keep_quoting(feed, PRICE, 9);
    assert_eq!(world.feed_state(feed), state::STALE);
    world.advance(SECOND - 1);
    let request = publication(&mut world, feed, PRICE);
    Recording::of(&mut world, publish(SOURCES[0], request)).breaks("I08", |r| promote(r, state::VALID));
    let mut world: World = World::new();
    let feed = world.open_feed(feed_request("NEW"));
    world.quote_all(feed, PRICE);
    world.keep_quoting(feed, PRICE, 59);
    assert_eq!(world.feed_state(feed), state::WARN);
    world.advance(SECOND - 1);
    let request = publication(&mut world, feed, PRICE);
    Recording::of(&mut world, publish(SOURCES[0], request)).breaks("I08", |r| promote(r, state::VALID));
}

/// The index is told with a better state, and an event says so.
fn promote(recording: &mut Recording, to: u8) {
    let index_event = recording.of_kind(EventKind::IndexUpdated);
    let shown: IndexBody = index_event.body_as();
    recording.edit(EventKind::IndexUpdated, |body: &mut IndexBody| body.state = to);
    let claim = FeedStateBody {
        feed: shown.feed,
        state: to,
        previous: shown.state,
        cause: cause::BETTER,
        clears: cause::NONE,
        since_ns: index_event.time_ns,
        hold_ms: 0,
        passing: shown.passing,
        sources: shown.sources,
        reserved: 0,
        gates: shown.gates,
        index: shown.index,
        confidence: shown.confidence,
    };
    recording.push_event(EventKind::FeedStateChanged, &claim);
}

#[test]
fn i25_an_override_is_two_persons_word_for_word_and_ends_in_its_time() {
    let kind = EventKind::FeedOverridden;
    type Override = OverrideBody;
    for verb in [action::EXCLUDE_SOURCE, action::FORCE_INVALID] {
        overridden(verb).breaks("I25", |r| r.commands[0].principal = EMERGENCY);
        overridden(verb).breaks("I25", |r| r.commands[0].principal = RISK);
        overridden(verb).breaks("I25", |r| r.edit(kind, |body: &mut Override| body.until_ns += 1));
        overridden(verb).breaks("I25", |r| r.edit(kind, |body: &mut Override| body.target = 0));
        overridden(verb).breaks("I25", |r| r.edit(kind, |body: &mut Override| body.source = SOURCES[1]));
        overridden(verb).breaks("I25", |r| r.edit(kind, |body: &mut Override| body.action ^= 3));
        // Who asked first is forgotten: the second person is the only one.
        overridden(verb).breaks("I25", |r| r.events[0].kind = EventKind::FeedOverrideEnded as u16);
    }
    let (mut world, feed) = fed();
    let until_ns = world.now_ns + HOUR;
    let request = OverrideFeed { feed, action: action::FORCE_INVALID, until_ns, ..Record::zero() };
    let asked = || Recording::of(&mut fed().0, overriding(EMERGENCY, request));
    let kind = EventKind::FeedOverridePending;
    type Pending = OverridePendingBody;
    asked().breaks("I25", |r| r.commands[0].principal = RISK);
    asked().breaks("I25", |r| r.edit(kind, |body: &mut Pending| body.principal = EMERGENCY_B));
    asked().breaks("I25", |r| r.edit(kind, |body: &mut Pending| body.pending_until_ns += 1));
    world.accept(overriding(EMERGENCY, request));
    world.accept(overriding(EMERGENCY_B, request));
    let lift = OverrideFeed { action: action::LIFT, until_ns: 0, ..request };
    world.accept(overriding(EMERGENCY_B, lift));
    let lifted = || Recording::of(&mut world.clone(), overriding(EMERGENCY, lift));
    let kind = EventKind::FeedOverrideEnded;
    lifted().breaks("I25", |r| r.commands[0].principal = EMERGENCY_B);
    lifted().breaks("I25", |r| r.edit(kind, |body: &mut Override| body.action = action::USE_FALLBACK));
    lifted().breaks("I25", |r| r.edit(kind, |body: &mut Override| body.until_ns -= 1));
}

#[test]
fn i08_an_override_sets_no_price_and_stops_what_it_says() {
    // One of three is excluded: the index is that of the other two, and the feed is DEGRADED.
    let kind = EventKind::IndexUpdated;
    let excluded = || overridden(action::EXCLUDE_SOURCE);
    excluded().breaks("I08", |r| r.edit(kind, |body: &mut IndexBody| body.index += 1));
    excluded().breaks("I08", |r| r.edit(kind, |body: &mut IndexBody| body.passing = 3));
    excluded().breaks("I08", |r| r.drop_events(EventKind::FeedStateChanged));
    let forced = || overridden(action::FORCE_INVALID);
    forced().breaks("I08", |r| r.drop_events(EventKind::FeedStateChanged));
    forced().breaks("I08", |r| {
        r.edit(EventKind::FeedStateChanged, |body: &mut FeedStateBody| body.state = state::STALE);
    });
}

#[test]
fn i26_feeds_and_their_tables_of_sources_are_what_their_events_made_them() {
    let registered = || Recording::of(&mut World::new(), register_feed(feed_request("ETH-USD")));
    let kind = EventKind::FeedChanged;
    registered().breaks("I26", |r| r.edit(kind, |body: &mut FeedBody| body.quorum = 1));
    registered().breaks("I26", |r| r.edit(kind, |body: &mut FeedBody| body.feed = 1));
    registered().breaks("I26", |r| r.edit(kind, |body: &mut FeedBody| body.feed_kind = 2));
    registered().breaks("I26", |r| r.edit(kind, |body: &mut FeedBody| body.config_version = 2));
    let mut world: World = World::new();
    let feed = world.accept(register_feed(feed_request("ETH-USD"))).value as u32;
    for (source, weight) in [(SOURCES[0], 50), (SOURCES[1], 30)] {
        world.accept(set_source(feed, source, weight));
    }
    let last = || Recording::of(&mut world.clone(), set_source(feed, SOURCES[2], 20));
    let kind = EventKind::FeedSourceSet;
    last().breaks("I26", |r| r.edit(kind, |body: &mut FeedSourceBody| body.weight = 19));
    last().breaks("I26", |r| r.edit(kind, |body: &mut FeedSourceBody| body.weight = 21));
    last().breaks("I26", |r| r.edit(kind, |body: &mut FeedSourceBody| body.activated = 0));
    last().breaks("I26", |r| r.edit(kind, |body: &mut FeedSourceBody| body.sources = 2));
    last().breaks("I26", |r| r.edit(kind, |body: &mut FeedSourceBody| body.config_version += 1));
    last().breaks("I26", |r| r.edit(kind, |body: &mut FeedSourceBody| body.source = SOURCES[0]));
}

/// Two worlds that differ in their last commands alone: in one all sources publish, in the other none does and the feed
/// turns STALE.
fn fresh_and_stale() -> (World, World) {
    let mut fresh: World = World::exchange();
    fresh.accept(sell(ALICE, PERP, BTC_TICKS + 5, 10_000));
    fresh.accept(buy(BOB, PERP, BTC_TICKS + 10, 4_000));
    let mut stale = fresh.clone();
    for _ in 0..6 {
        fresh.second(BTC_PRICE, ETH_PRICE);
        stale.advance(SECOND);
        for _ in 0..7 {
            stale.tick();
        }
    }
    assert_eq!((fresh.auditor.seq(), fresh.now_ns), (stale.auditor.seq(), stale.now_ns));
    let states = (fresh.feed_state(BTC_FEED), stale.feed_state(BTC_FEED));
    assert_eq!(states, (state::VALID, state::STALE));
    (fresh, stale)
}

/// What an auditor says that saw another past.
fn judged_by(auditor: &Auditor, recording: &Recording) -> Result<(), Violation> {
    let Recording { commands, results, events, postings, .. } = recording;
    auditor.clone().check(commands, results, events, postings)
}

#[test]
fn i25_a_stale_feed_takes_no_risk_lets_nobody_trade_and_no_money_out_of_positions() {
    let (fresh, stale) = fresh_and_stale();
    let reduce =
        PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..limit(PERP, side::SELL, BTC_TICKS + 50, 1_000) };
    let payload = RequestWithdrawal {
        asset: USDC,
        reserved: 0,
        reserved2: 0,
        amount: 2_000_000,
        address_hash: [0; 32],
    };
    let commands = [
        buy(BOB, PERP, BTC_TICKS - 5, 1_000),
        buy(BOB, PERP, BTC_TICKS + 5, 1_000),
        place(BOB, reduce),
        place(
            CAROL,
            PlaceOrder { trigger_source: trigger_source::MARK, ..stop(PERP, side::SELL, 9_000, 100) },
        ),
        by(BOB, Kind::RequestWithdrawal).with(&payload),
    ];
    for (number, command) in commands.into_iter().enumerate() {
        let mut fresh = fresh.clone();
        let recording = Recording::of(&mut fresh, command);
        assert_eq!(recording.check(), Ok(()));
        let violation = judged_by(&stale.auditor, &recording).expect_err("its feed is stale");
        assert_eq!(violation.invariant, "I25", "command {number}: {violation}");
    }
    // The engine says the same.
    let mut stale = stale;
    for command in &commands[..4] {
        stale.refuse(*command, tradewind_engine::wire::Code::STALE_PRICE);
    }
}

#[test]
fn i08_a_mark_stands_on_the_index_of_its_feed_and_on_none_that_is_stale() {
    let (_, stale) = fresh_and_stale();
    let mut world: World = World::exchange();
    world.advance(6 * SECOND);
    let marked = || tick(&mut world.clone());
    let kind = EventKind::MarkUpdated;
    marked().breaks("I08", |r| r.edit(kind, |body: &mut MarkBody| body.index = BTC_TICKS));
    marked().breaks("I08", |r| r.edit(kind, |body: &mut MarkBody| body.feed_state = state::VALID));
    assert_eq!(stale.engine.perps().of_market(PERP).map(|perp| perp.index), Some(0));
}
