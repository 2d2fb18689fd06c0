//! Random publications: events tell every view of a feed (P2.2.1), and every snapshot restores.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tradewind_engine::oracle::Feed;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    EventKind, FeedBody, FeedSourceBody, FeedStateBody, IndexBody, SourceBody,
};
use tradewind_engine::Engine;

use crate::prices::*;
use crate::support::*;

use super::overrides::{override_by, override_request};
use super::*;

/// What the events alone tell of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    index: (i64, i64, i64),
    state: (u8, i64, u8, u8),
    passing: (u8, u64),
    config_version: u32,
    sources: BTreeMap<Key, (i64, i64, i64, u64)>,
}

/// Reads the events of the last batch into the views.
fn project(world: &World, views: &mut BTreeMap<u32, View>) {
    for (kind, event) in world.events() {
        match kind {
            EventKind::FeedChanged => {
                let body: FeedBody = event.body_as();
                views.entry(body.feed).or_default().config_version = body.config_version;
            }
            EventKind::FeedSourceSet => {
                let body: FeedSourceBody = event.body_as();
                views.entry(body.feed).or_default().config_version = body.config_version;
            }
            EventKind::SourceUpdated => {
                let body: SourceBody = event.body_as();
                let said = (body.value, body.confidence, body.source_time_ns, body.source_seq);
                views.entry(body.feed).or_default().sources.insert(body.source, said);
            }
            EventKind::IndexUpdated => {
                let body: IndexBody = event.body_as();
                let view = views.entry(body.feed).or_default();
                view.index = (body.index, body.confidence, body.updated_ns);
                view.passing = (body.passing, body.gates);
                if body.low > 0 {
                    assert!(body.low <= body.index && body.index <= body.high, "{body:?}");
                }
            }
            EventKind::FeedStateChanged => {
                let body: FeedStateBody = event.body_as();
                let view = views.entry(body.feed).or_default();
                view.state = (body.state, body.since_ns, body.cause, body.clears);
            }
            _ => {}
        }
    }
}

fn view_of(feed: &Feed) -> View {
    let said = feed
        .sources
        .iter()
        .filter(|source| source.value > 0)
        .map(|source| (source.key, (source.value, source.confidence, source.time_ns, source.seq)));
    View {
        index: (feed.index, feed.confidence, feed.updated_ns),
        state: (feed.state(), feed.since_ns(), feed.cause, feed.clears),
        passing: (feed.passing, feed.gates),
        config_version: feed.config_version,
        sources: said.collect(),
    }
}

/// One move of a random run on two feeds.
#[derive(Clone, Debug)]
enum Move {
    Publish { source: usize, feed: u32, value: i64, confidence: i64, back_ns: i64 },
    Wait(i64),
    Override { who: usize, feed: u32, action: u8, seconds: i64, source: usize },
}

fn any_move() -> impl Strategy<Value = Move> {
    let value = prop_oneof![
        12 => PRICE * 99 / 100..PRICE * 101 / 100,
        3 => PRICE * 90 / 100..PRICE * 110 / 100,
        1 => any::<i64>(),
    ];
    let confidence = prop_oneof![8 => 0..PRICE / 100, 1 => any::<i64>()];
    let back_ns = prop_oneof![8 => Just(0_i64), 2 => 0..8 * SECOND, 1 => -2 * SECOND..0];
    prop_oneof![
        12 => (0..3_usize, 0..3_u32, value, confidence, back_ns).prop_map(
            |(source, feed, value, confidence, back_ns)| Move::Publish { source, feed, value, confidence, back_ns }
        ),
        4 => prop_oneof![8 => 0..3 * SECOND, 1 => 0..100 * SECOND].prop_map(Move::Wait),
        1 => (0..2_usize, 0..2_u32, 0..4_u8, 1..90_i64, 0..3_usize).prop_map(
            |(who, feed, action, seconds, source)| Move::Override { who, feed, action, seconds, source }
        ),
    ]
}

fn command_of(world: &mut World, step: &Move) -> Option<Command> {
    match *step {
        Move::Wait(_) => None,
        Move::Publish { source, feed, value, confidence, back_ns } => {
            let source_time_ns = world.now_ns - back_ns;
            let request = publication(world, feed, value);
            Some(publish(SOURCES[source], PublishPrice { confidence, source_time_ns, ..request }))
        }
        Move::Override { who, feed, action, seconds, source } => {
            let until_ns = if action == 0 { 0 } else { BASE + (seconds / 30) * 60 * SECOND };
            let source = if action == 1 { SOURCES[source] } else { [0; 32] };
            let request = OverrideFeed { source, ..override_request(feed, action, until_ns) };
            Some(override_by([EMERGENCY, EMERGENCY_B][who], request))
        }
    }
}

proptest! {
    #![proptest_config(config(24))]

    /// Index within the sources that pass, views from events alone, restore at any point, refusals without a trace.
    #[test]
    fn random_publications_keep_every_view_and_every_restore(moves in proptest::collection::vec(any_move(), 1..160)) {
        let mut world: World = World::bare();
        let mut views = BTreeMap::new();
        world.now_ns = BASE;
        world.run(&[by(SYSTEM, Kind::AdvanceTime).with(&AdvanceTime { reason: [b'x'; 48] })]);
        let second = world.accept(register_feed(feed_request("SECOND"))).value as u32;
        project(&world, &mut views);
        world.accept(register_feed(RegisterFeed { fallback: second, ..feed_request("FIRST") }));
        project(&world, &mut views);
        for feed in 0..2 {
            for (source, weight) in SOURCES.into_iter().zip(WEIGHTS) {
                world.accept(set_source(feed, source, weight));
                project(&world, &mut views);
            }
        }
        for step in &moves {
            let before = world.engine.state_hash();
            match command_of(&mut world, step) {
                Some(command) => {
                    if world.send(command).accepted == 0 {
                        prop_assert_eq!(world.engine.state_hash(), before);
                    }
                }
                None => {
                    let Move::Wait(wait_ns) = step else { unreachable!("only waiting gives no command") };
                    world.advance(*wait_ns);
                    world.tick();
                }
            }
            project(&world, &mut views);
            for number in 0..2 {
                prop_assert_eq!(&view_of(feed(&world, number)), &views[&number], "{:?}", step);
            }
            assert_restores(&world);
        }
        // A restored engine goes on exactly like the one that was never stopped.
        let mut restored = world.clone();
        restored.engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
        for world in [&mut world, &mut restored] {
            world.wait_seconds(70);
        }
        prop_assert_eq!(world.engine.state_hash(), restored.engine.state_hash());
    }
}
