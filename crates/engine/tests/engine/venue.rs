//! Quotes of outside venues: links, batches, skipped items, age, outages (P6.3, P6.7, row 0702).

use proptest::prelude::*;
use tradewind_engine::oracle::state;
use tradewind_engine::venue::normalised;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    BreakerBody, CommandResult, EventKind, VenueBatchBody, VenueOutageBody, VenueQuoteBody, VenueRefreshBody,
};
use tradewind_engine::wire::pool::amm_kind;
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::Engine;

use crate::outcome::{sets, with_outcomes};
use crate::support::*;

const VENUE: Key = SOURCES[0];
const OTHER: Key = SOURCES[1];
/// Micro-USDC.
const DEEP: i64 = 50_000_000_000;

pub fn link(market: u32, condition: u8, source: Key) -> Command {
    by(OPERATOR, Kind::LinkVenue).with(&LinkVenue { market, reserved: 0, condition: [condition; 32], source })
}

pub fn open_batch(source: Key, batch: u64, count: u32) -> Command {
    by(source, Kind::PublishVenueBatch).with(&PublishVenueBatch { batch, count, unreadable: 0 })
}

/// Quotes of up to five outcomes.
pub fn item(source: Key, market: u32, stamp: (i64, u64), quotes: &[(u32, u32)]) -> Command {
    by(source, Kind::VenueItem).with(&fields(market, stamp, quotes))
}

fn fields(market: u32, (venue_time_ns, source_seq): (i64, u64), quotes: &[(u32, u32)]) -> VenueItem {
    let mut item = VenueItem {
        market,
        quotes: quotes.len() as u8,
        liquidity: DEEP,
        venue_time_ns,
        source_seq,
        ..VenueItem::zero()
    };
    for (place, &(bid, ask)) in quotes.iter().enumerate() {
        (item.bids[place], item.asks[place]) = (bid, ask);
    }
    item
}

pub fn refresh(source: Key, first: u32, stamp: (i64, u64), marked: &[u32]) -> Command {
    let mut markets = [0; 48];
    marked.iter().for_each(|market| markets[(market - first) as usize / 8] |= 1 << ((market - first) % 8));
    let (venue_time_ns, source_seq) = stamp;
    by(source, Kind::RefreshVenue).with(&RefreshVenue {
        first,
        reserved: 0,
        venue_time_ns,
        source_seq,
        markets,
    })
}

const EVEN: [(u32, u32); 2] = [(495_000, 505_000), (495_000, 505_000)];

/// A world with a linked market of two outcomes.
fn linked() -> (World, u32) {
    let mut world = World::new();
    let market = with_outcomes(&mut world, 2);
    world.accept(link(market, 7, VENUE));
    (world, market)
}

/// One market in a batch of its own, stamped now; the skip's code.
fn publish(world: &mut World, market: u32, quotes: &[(u32, u32)]) -> Option<Code> {
    let seq = world.now_ns as u64;
    world.accept(open_batch(VENUE, seq, 1));
    let result = world.accept(item(VENUE, market, (world.now_ns, seq), quotes));
    (result.value != 0).then(|| Code::from_number(result.value as u16).expect("a code"))
}

fn applied(world: &World) -> VenueBatchBody {
    let events = world.events();
    let found = events.iter().find(|(kind, _)| *kind == EventKind::VenueBatchApplied);
    found.expect("the batch is over").1.body_as()
}

fn shown(world: &World, market: u32) -> u8 {
    world.engine.venues().of_market(market).expect("linked").state(world.now_ns)
}

/// Sends commands as one batch, each with a key of its own.
fn run(world: &mut World, commands: &[Command]) -> Vec<CommandResult> {
    let keyed: Vec<Command> =
        commands.iter().map(|command| Command { client_key: world.fresh_key(), ..*command }).collect();
    world.run(&keyed)
}

/// What the oracle matrix or a breaker says to new, fully collateralised risk in a market; None = nothing.
fn gate(world: &mut World, market: u32) -> Option<Code> {
    let order = by(BOB, Kind::PlaceOrder).with(&limit(market, side::BUY, 400, 10));
    let code = Code::from_number(world.send(order).code);
    let gates = [Code::STALE_PRICE, Code::NON_POSITIVE_PRICE, Code::LOW_CONFIDENCE, Code::BREAKER_ACTIVE];
    code.filter(|code| gates.contains(code))
}

/// A market with VALID quotes.
fn valid() -> (World, u32) {
    let (mut world, market) = linked();
    for _ in 0..3 {
        world.advance(31 * SECOND);
        assert_eq!(publish(&mut world, market, &EVEN), None);
    }
    assert_eq!(shown(&world, market), state::VALID);
    (world, market)
}

#[test]
fn a_link_names_market_condition_and_source_once() {
    let (mut world, market) = linked();
    world.refuse(link(market, 8, VENUE), Code::ALREADY_EXISTS);
    let other = with_outcomes(&mut world, 3);
    world.refuse(link(other, 7, VENUE), Code::ALREADY_EXISTS);
    world.refuse(link(other, 0, VENUE), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(link(other, 8, [0; 32]), Code::ZERO_AUTHORITY);
    world.refuse(link(0, 8, VENUE), Code::INVALID_MARKET_KIND);
    world.refuse(link(99, 8, VENUE), Code::MARKET_NOT_FOUND);
    let reserved = LinkVenue { market: other, reserved: 1, condition: [8; 32], source: VENUE };
    world.refuse(by(OPERATOR, Kind::LinkVenue).with(&reserved), Code::RESERVED_NOT_ZERO);
    world.refuse(Command { principal: VENUE, ..link(other, 8, VENUE) }, Code::PERMISSION_DENIED);
    for number in 0..15 {
        let market = with_outcomes(&mut world, 2);
        world.accept(link(market, 20 + number, key(0x40 + number)));
    }
    world.refuse(link(other, 9, OTHER), Code::CAPACITY_EXCEEDED);
    world.accept(link(other, 9, VENUE));
}

#[test]
fn a_batch_takes_what_is_good_and_counts_what_it_skips_by_code() {
    let mut world: World = World::new();
    let markets: Vec<u32> = (0..6).map(|_| with_outcomes(&mut world, 2)).collect();
    for (place, &market) in markets.iter().enumerate().take(5) {
        world.accept(link(market, place as u8 + 1, if place == 4 { OTHER } else { VENUE }));
    }
    world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: markets[3], reserved: 0 }));
    let stamp = (world.now_ns, 1);
    world.accept(open_batch(VENUE, 1, 14));
    let mut skipped = |command: Command| Code::from_number(world.accept(command).value as u16);
    let good = |market: u32| item(VENUE, market, stamp, &EVEN);
    assert_eq!(skipped(good(99)), Some(Code::MARKET_NOT_FOUND));
    assert_eq!(skipped(good(markets[5])), Some(Code::FEED_NOT_FOUND));
    assert_eq!(skipped(good(markets[4])), Some(Code::SOURCE_NOT_REGISTERED));
    assert_eq!(skipped(good(markets[3])), Some(Code::MARKET_NOT_ACTIVE));
    let one = markets[0];
    assert_eq!(skipped(item(VENUE, one, stamp, &EVEN[..1])), Some(Code::INVALID_OUTCOME));
    assert_eq!(skipped(item(VENUE, one, (stamp.0 + 2 * SECOND, 1), &EVEN)), Some(Code::FUTURE_TIMESTAMP));
    assert_eq!(skipped(item(VENUE, one, (stamp.0 - 301 * SECOND, 1), &EVEN)), Some(Code::STALE_PRICE));
    let liquid = VenueItem { liquidity: -1, ..fields(one, stamp, &EVEN) };
    let liquid = by(VENUE, Kind::VenueItem).with(&liquid);
    assert_eq!(skipped(liquid), Some(Code::PARAMETER_OUT_OF_BOUNDS));
    assert_eq!(skipped(item(VENUE, one, stamp, &[(0, 0), (1, 2)])), Some(Code::NON_POSITIVE_PRICE));
    assert_eq!(skipped(item(VENUE, one, stamp, &[(5, 5), (1, 2)])), Some(Code::CROSSED_SOURCE));
    let apart = [(500_000, 510_000), (505_000, 520_000)];
    assert_eq!(skipped(item(VENUE, one, stamp, &apart)), Some(Code::INVALID_PROBABILITIES));
    assert_eq!(skipped(good(one)), None);
    assert_eq!(skipped(good(one)), Some(Code::PUBLISH_OUT_OF_ORDER));
    assert_eq!(skipped(good(markets[1])), None);
    let body = applied(&world);
    assert_eq!((body.batch, body.count, body.quoted, body.missing), (1, 14, 2, 0));
    let counts = [
        body.market_not_found,
        body.feed_not_found,
        body.source_not_registered,
        body.market_not_active,
        body.invalid_outcome,
        body.publish_out_of_order,
        body.future_timestamp,
        body.stale_price,
        body.parameter_out_of_bounds,
        body.non_positive_price,
        body.crossed_source,
        body.invalid_probabilities,
    ];
    assert_eq!(counts, [1; 12]);
    assert_eq!((body.alert, body.failed), (1, 1));
}

#[test]
fn a_batch_is_refused_whole_only_for_its_header() {
    let (mut world, market) = linked();
    world.refuse(open_batch(OTHER, 1, 1), Code::SOURCE_NOT_REGISTERED);
    world.refuse(open_batch(ALICE, 1, 1), Code::PERMISSION_DENIED);
    world.refuse(open_batch(VENUE, 1, 0), Code::BATCH_TOO_LARGE);
    world.refuse(open_batch(VENUE, 1, 1_001), Code::BATCH_TOO_LARGE);
    world.refuse(item(VENUE, market, (START, 1), &EVEN), Code::BATCH_ITEM_FAILED);
    let header = PublishVenueBatch { batch: 1, count: 1, unreadable: 1_001 };
    let header = by(VENUE, Kind::PublishVenueBatch).with(&header);
    world.refuse(header, Code::PARAMETER_OUT_OF_BOUNDS);
    world.accept(open_batch(VENUE, 5, 1));
    world.refuse(open_batch(VENUE, 5, 1), Code::PUBLISH_OUT_OF_ORDER);
    world.refuse(item(OTHER, market, (START, 1), &EVEN), Code::SOURCE_NOT_REGISTERED);
    let late = (world.now_ns + 2 * SECOND, 1);
    world.refuse(refresh(VENUE, market, late, &[market]), Code::FUTURE_TIMESTAMP);
    world.refuse(refresh(VENUE, market, (world.now_ns, 1), &[]), Code::PARAMETER_OUT_OF_BOUNDS);
}

#[test]
fn items_that_never_came_are_missing_when_the_next_batch_begins() {
    let (mut world, market) = linked();
    world.accept(open_batch(VENUE, 1, 3));
    world.accept(item(VENUE, market, (world.now_ns, 1), &EVEN));
    world.accept(open_batch(VENUE, 2, 1));
    let body = applied(&world);
    assert_eq!((body.batch, body.quoted, body.missing, body.failed), (1, 1, 2, 1));
}

#[test]
fn p6_7_6_more_than_one_percent_alerts_and_more_than_twenty_fail_the_batch() {
    for (bad, alert, failed) in [(1, 0, 0), (2, 1, 0), (20, 1, 0), (21, 1, 1)] {
        let mut world: World = World::new();
        let markets: Vec<u32> = (0..100).map(|_| with_outcomes(&mut world, 2)).collect();
        let links: Vec<_> = markets.iter().map(|&market| link(market, market as u8, VENUE)).collect();
        run(&mut world, &links);
        let mut batch = vec![open_batch(VENUE, 1, 100)];
        for (place, &market) in markets.iter().enumerate() {
            let quotes = if place < bad { [(9, 8), (1, 2)] } else { EVEN };
            batch.push(item(VENUE, market, (world.now_ns, 1), &quotes));
        }
        run(&mut world, &batch);
        let body = applied(&world);
        assert_eq!((body.crossed_source, body.alert, body.failed), (bad as u16, alert, failed), "{bad} bad");
    }
}

#[test]
fn unchanged_markets_become_fresh_without_quotes() {
    let (mut world, market) = valid();
    let second = with_outcomes(&mut world, 2);
    world.accept(link(second, 8, VENUE));
    world.advance(50 * SECOND);
    let seq = world.now_ns as u64;
    world.accept(open_batch(VENUE, seq, 3));
    let stamp = (world.now_ns, seq);
    world.accept(refresh(VENUE, market, stamp, &[market, second, second + 9]));
    let events = world.events();
    let body: VenueRefreshBody = events[0].1.body_as();
    assert_eq!((body.first, body.count, body.markets[0]), (market, 1, 1));
    let body = applied(&world);
    // The second market has nothing yet that could be unchanged.
    assert_eq!((body.refreshed, body.non_positive_price, body.market_not_found), (1, 1, 1));
    world.advance(110 * SECOND);
    assert_eq!(shown(&world, market), state::VALID);
    world.advance(20 * SECOND);
    assert_eq!(shown(&world, market), state::WARN);
}

#[test]
fn p6_1_3_age_alone_makes_a_market_warn_and_stale_and_it_recovers_by_p6_2() {
    let (mut world, market) = valid();
    assert_eq!(gate(&mut world, market), None);
    let funding =
        CreatePool { market, amm_kind: amm_kind::LMSR, funding: 1_000_000_000, ..CreatePool::zero() };
    world.accept(by(OPERATOR, Kind::CreatePool).with(&funding));
    let amount = SwapAmm { market, amount: 1_000_000, limit: 1, max_impact_bp: 500, ..SwapAmm::zero() };
    let swap = by(BOB, Kind::SwapAmm).with(&amount);
    world.accept(swap);
    let at = world.now_ns;
    for (age, expected) in [(120, state::VALID), (121, state::WARN), (300, state::WARN), (301, state::STALE)]
    {
        world.now_ns = at + age * SECOND;
        assert_eq!(shown(&world, market), expected, "{age} s");
    }
    assert_eq!(gate(&mut world, market), Some(Code::STALE_PRICE));
    world.refuse(swap, Code::STALE_PRICE);
    world.accept(sets(BOB, Kind::MintSet, market, 5));
    assert_eq!(publish(&mut world, market, &EVEN), None);
    assert_eq!(shown(&world, market), state::STALE);
    world.advance(10 * SECOND - 1);
    assert_eq!(gate(&mut world, market), Some(Code::STALE_PRICE));
    world.advance(1);
    assert_eq!(shown(&world, market), state::VALID);
    assert_eq!(gate(&mut world, market), None);
    world.accept(swap);
}

#[test]
fn a_new_link_is_invalid_for_ten_seconds_of_quotes_and_warns_until_a_minute() {
    let (mut world, market) = linked();
    world.advance(100 * SECOND);
    assert_eq!(gate(&mut world, market), Some(Code::NON_POSITIVE_PRICE));
    assert_eq!(publish(&mut world, market, &EVEN), None);
    let at = world.now_ns;
    for (after, expected) in [
        (10 * SECOND - 1, state::INVALID),
        (10 * SECOND, state::WARN),
        (60 * SECOND - 1, state::WARN),
        (60 * SECOND, state::VALID),
    ] {
        world.now_ns = at + after;
        assert_eq!(shown(&world, market), expected, "{after} ns");
    }
}

#[test]
fn a_wide_or_thin_market_is_uncertain_and_takes_no_leverage_but_full_collateral() {
    let (mut world, market) = valid();
    let wide = [(489_000, 511_000), (489_000, 511_000)];
    world.advance(SECOND);
    assert_eq!(publish(&mut world, market, &wide), None);
    assert_eq!(shown(&world, market), state::UNCERTAIN);
    assert_eq!(gate(&mut world, market), None);
    let (mut world, market) = valid();
    world.advance(SECOND);
    let seq = world.now_ns as u64;
    let thin = VenueItem { liquidity: 1, ..fields(market, (world.now_ns, seq), &[(494_000, 506_000); 2]) };
    world.accept(open_batch(VENUE, seq, 1));
    world.accept(by(VENUE, Kind::VenueItem).with(&thin));
    assert_eq!(shown(&world, market), state::UNCERTAIN);
}

#[test]
fn p6_3_probabilities_far_from_one_halt_the_market_until_its_quotes_are_good_again() {
    let (mut world, market) = valid();
    world.advance(SECOND);
    let far = [(600_000, 602_000), (600_000, 602_000)];
    assert_eq!(publish(&mut world, market, &far), Some(Code::INVALID_PROBABILITIES));
    let tripped = world.events().into_iter().find(|(kind, _)| *kind == EventKind::BreakerTripped);
    let (_, event) = tripped.expect("the oracle breaker trips");
    assert_eq!((event.market, event.body_as::<BreakerBody>().breaker), (market, 8));
    assert_eq!(gate(&mut world, market), Some(Code::NON_POSITIVE_PRICE));
    // What counts as nothing cannot be unchanged either.
    world.advance(SECOND);
    let seq = world.now_ns as u64;
    world.accept(open_batch(VENUE, seq, 1));
    world.accept(refresh(VENUE, market, (world.now_ns, seq), &[market]));
    assert_eq!(applied(&world).non_positive_price, 1);
    assert_eq!(gate(&mut world, market), Some(Code::NON_POSITIVE_PRICE));
    assert_eq!(publish_later(&mut world, market), None);
    for _ in 0..8 {
        world.advance(20 * SECOND);
        assert_eq!(publish(&mut world, market, &EVEN), None);
        world.tick();
    }
    assert_eq!(gate(&mut world, market), None);
}

fn publish_later(world: &mut World, market: u32) -> Option<Code> {
    world.advance(SECOND);
    publish(world, market, &EVEN)
}

#[test]
fn a_market_of_many_outcomes_comes_in_parts_that_must_fit_together() {
    let mut world: World = World::new();
    let market = with_outcomes(&mut world, 12);
    world.accept(link(market, 3, VENUE));
    let quote = |value: u32| (value - 1_000, value + 1_000);
    let parts = |seq: u64, order: [u8; 3], now_ns: i64| -> Vec<Command> {
        let mut batch = vec![open_batch(VENUE, seq, 1)];
        for first in order {
            let count = if first == 10 { 2 } else { 5 };
            let quotes = vec![quote(if first == 10 { 85_000 } else { 83_000 }); count];
            let part = VenueItem { first, ..fields(market, (now_ns, seq), &quotes) };
            batch.push(by(VENUE, Kind::VenueItem).with(&part));
        }
        batch
    };
    let whole = parts(1, [0, 5, 10], world.now_ns);
    assert!(run(&mut world, &whole).iter().all(|result| result.accepted == 1 && result.value <= 1));
    let quoted: Vec<VenueQuoteBody> = world
        .events()
        .iter()
        .filter(|(kind, _)| *kind == EventKind::VenueQuoted)
        .map(|(_, event)| event.body_as())
        .collect();
    assert_eq!(
        quoted.iter().map(|body| (body.first, body.quotes)).collect::<Vec<_>>(),
        [(0, 5), (5, 5), (10, 2)]
    );
    let entry = world.engine.venues().of_market(market).expect("linked");
    assert_eq!(normalised(world.engine.venues().quotes(entry)).iter().sum::<u32>(), 1_000_000);
    let torn = parts(2, [0, 10, 5], world.now_ns);
    let results = run(&mut world, &torn);
    assert_eq!(results[2].value, Code::INVALID_OUTCOME as u64);
    assert_eq!(applied(&world).invalid_outcome, 1);
}

#[test]
fn p6_7_4_a_source_without_a_good_batch_alerts_at_180_s_and_halts_at_300_s() {
    let (mut world, market) = valid();
    let levels = |world: &World| -> Vec<u8> {
        let outages = world.events().into_iter().filter(|(kind, _)| *kind == EventKind::VenueOutage);
        outages.map(|(_, event)| event.body_as::<VenueOutageBody>().level).collect()
    };
    let last = world.now_ns;
    world.now_ns = last + 180 * SECOND - 1;
    world.tick();
    assert_eq!(levels(&world), []);
    world.now_ns += 1;
    world.tick();
    assert_eq!(levels(&world), [1]);
    // A failed batch is no success, and its good items do not open a market of a source that is out.
    world.now_ns = last + 299 * SECOND;
    let seq = world.now_ns as u64;
    world.accept(open_batch(VENUE, seq, 2));
    world.accept(item(VENUE, market, (world.now_ns, seq), &EVEN));
    world.accept(item(VENUE, 99, (world.now_ns, seq), &EVEN));
    world.now_ns = last + 300 * SECOND;
    world.tick();
    assert_eq!(levels(&world), [2]);
    assert_eq!(gate(&mut world, market), Some(Code::STALE_PRICE));
    world.advance(11 * SECOND);
    assert_eq!(publish(&mut world, market, &EVEN), None);
    assert_eq!(levels(&world), [0]);
    assert_eq!(gate(&mut world, market), None);
}

#[test]
fn a_restored_engine_goes_on_in_the_middle_of_a_batch() {
    let (mut world, market) = valid();
    world.advance(SECOND);
    let seq = world.now_ns as u64;
    world.accept(open_batch(VENUE, seq, 2));
    world.accept(item(VENUE, market, (world.now_ns, seq), &EVEN));
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), world.engine.state_hash());
    world.engine = restored;
    world.accept(item(VENUE, 99, (world.now_ns, seq), &EVEN));
    assert_eq!((applied(&world).quoted, applied(&world).market_not_found), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_source_sends_the_batch_adds_up_and_the_auditor_agrees(
        sent in prop::collection::vec((0..6_u32, 0..4_i64, any::<bool>(), 0..1_000_002_u32, 0..1_000_002_u32), 1..60),
    ) {
        let mut world: World = World::new();
        let markets: Vec<u32> = (0..4).map(|_| with_outcomes(&mut world, 2)).collect();
        for &market in &markets[..3] {
            world.accept(link(market, market as u8, VENUE));
        }
        world.accept(open_batch(VENUE, 1, sent.len() as u32));
        for (number, &(place, age, good, bid, ask)) in sent.iter().enumerate() {
            world.advance(SECOND);
            let market = markets.get(place as usize).copied().unwrap_or(place);
            let stamp = (world.now_ns - age * 100 * SECOND, number as u64 / 2 + 1);
            let other = (1_000_000_u32.saturating_sub(ask), 1_000_000_u32.saturating_sub(bid));
            let quotes = if good { EVEN } else { [(bid, ask), other] };
            world.accept(item(VENUE, market, stamp, &quotes));
        }
        let body = applied(&world);
        let skipped = body.market_not_found + body.feed_not_found + body.source_not_registered
            + body.market_not_active + body.invalid_outcome + body.publish_out_of_order
            + body.future_timestamp + body.stale_price + body.parameter_out_of_bounds
            + body.non_positive_price + body.crossed_source + body.invalid_probabilities;
        prop_assert_eq!(usize::from(body.quoted + skipped), sent.len());
        prop_assert_eq!(body.missing, 0);
    }
}
