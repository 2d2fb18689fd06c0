//! Properties of P17.2 over random runs of leveraged markets. Every batch passes the auditor, so that I01–I04, I06,
//! I07, I09–I11, I13, I18–I20, I23, I25 and I26 hold at each step of each of them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tradewind_engine::audit::Auditor;
use tradewind_engine::replay::replay;
use tradewind_engine::wire::command::{side, Command};
use tradewind_engine::wire::event::EventKind;
use tradewind_engine::{id, Batch, BatchView, Book, Engine, FastBook, ReferenceBook};

use crate::leveraged_streams::{any_move, any_moves, Stage};
use crate::support::*;

/// The world at its start, built once.
fn start() -> World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::exchange).clone()
}

fn plain_start() -> World<ReferenceBook> {
    static WORLD: OnceLock<World<ReferenceBook>> = OnceLock::new();
    WORLD.get_or_init(World::exchange).clone()
}

fn run_all<B: Book>(world: &mut World<B>, batches: &[(i64, Vec<Command>)]) {
    for (now_ns, commands) in batches {
        world.now_ns = *now_ns;
        world.run(commands);
    }
}

/// The auditor's reading of the events equals the engine's state wherever the engine shows it.
fn assert_same_view<B: Book>(world: &World<B>) {
    world.auditor.verify().unwrap_or_else(|violation| panic!("{violation}"));
    for (handle, owner) in OWNERS.into_iter().enumerate() {
        let account = id::account_id(&owner);
        for (sub, asset, line) in
            (0..4).flat_map(|s| (0..3).flat_map(move |a| (0..8).map(move |l| (s, a, l))))
        {
            let engine = world.engine.balance(&account, sub, asset, line).expect("a known account");
            assert_eq!(engine, world.auditor.line(handle as u32, sub, asset, line));
        }
    }
    for (asset, line) in (0..3).flat_map(|asset| (0x80..0x90).map(move |line| (asset, line))) {
        for key in 0..2 {
            assert_eq!(
                world.engine.system_balance(line, key, asset),
                world.auditor.line(key, 0, asset, line)
            );
        }
    }
    let (orders, markets, _) = world.engine.sizes();
    assert_eq!(orders, world.auditor.open_orders());
    for (market, book_side) in
        (0..markets as u32).flat_map(|market| [(market, side::BUY), (market, side::SELL)])
    {
        let levels = world.engine.levels(market, book_side, usize::MAX);
        let levels: Vec<_> = levels.iter().map(|level| (level.price, level.lots, level.orders)).collect();
        assert_eq!(levels, world.auditor.levels(market, book_side));
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn t05_money_positions_and_margin_hold_in_any_run_of_leveraged_markets(moves in any_moves(40..400)) {
        let mut world = start();
        let batches = Stage::of(&world).batches(&moves);
        run_all(&mut world, &batches);
        assert_same_view(&world);
    }

    #[test]
    fn t03_both_books_give_the_same_leveraged_run(moves in any_moves(20..200)) {
        let (mut fast, mut plain) = (start(), plain_start());
        for (now_ns, commands) in Stage::of(&fast).batches(&moves) {
            (fast.now_ns, plain.now_ns) = (now_ns, now_ns);
            prop_assert_eq!(fast.run(&commands), plain.run(&commands));
            prop_assert_eq!(fast.batch.as_view(), plain.batch.as_view());
        }
        prop_assert_eq!(fast.engine.state_hash(), plain.engine.state_hash());
        prop_assert_eq!(fast.engine.cursor_hash(), plain.engine.cursor_hash());
    }

    /// T01: replay of every recorded batch, and a snapshot anywhere, with a new auditor behind it.
    #[test]
    fn t01_replay_and_restart_anywhere_give_the_same_leveraged_run(
        moves in any_moves(40..200), cut in 0.0..1.0_f64
    ) {
        let mut world = start();
        let mut again: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
        let batches = Stage::of(&world).batches(&moves);
        let at = (batches.len() as f64 * cut) as usize;
        let (mut twin, mut scratch) = (None, Batch::default());
        for (number, (now_ns, commands)) in batches.iter().enumerate() {
            if number == at {
                let engine: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
                prop_assert_eq!(engine.snapshot(), world.engine.snapshot());
                let auditor = Auditor::from_engine(&engine).unwrap_or_else(|violation| panic!("{violation}"));
                twin = Some(World { auditor, engine, ..world.clone() });
            }
            world.now_ns = *now_ns;
            world.run(commands);
            if let Some(twin) = &mut twin {
                twin.now_ns = *now_ns;
                twin.run(commands);
                prop_assert_eq!(twin.batch.as_view(), world.batch.as_view());
            }
            let log = world.batch.parts(&world.batch.header()).concat();
            prop_assert_eq!(replay(&mut again, &BatchView::decode(&log).unwrap(), &mut scratch), Ok(()));
        }
        prop_assert_eq!(again.state_hash(), world.engine.state_hash());
        prop_assert_eq!(again.cursor_hash(), world.engine.cursor_hash());
        if let Some(twin) = twin {
            prop_assert_eq!(twin.engine.state_hash(), world.engine.state_hash());
            prop_assert_eq!(twin.engine.cursor_hash(), world.engine.cursor_hash());
            assert_same_view(&twin);
        }
    }

    #[test]
    fn t06_i19_a_reject_in_a_leveraged_run_changes_nothing(moves in any_moves(20..80)) {
        let mut world = start();
        for (now_ns, commands) in Stage::of(&world).batches(&moves) {
            world.now_ns = now_ns;
            for command in commands {
                let before = world.engine.state_hash();
                let result = world.run(&[command])[0];
                if result.accepted == 0 {
                    prop_assert_eq!(result.event_count, 0);
                    prop_assert_eq!(before, world.engine.state_hash(), "code {}", result.code);
                }
            }
        }
    }
}

/// What a run of many commands saw.
#[derive(Debug, Default)]
struct Tally {
    commands: usize,
    accepted: usize,
    codes: BTreeMap<u16, usize>,
    events: BTreeMap<EventKind, usize>,
}

/// Streams on one world that goes on, until `commands` were sent; checked from scratch between them.
fn long_run(commands: usize) -> Tally {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut tally = Tally::default();
    let mut world = start();
    let mut stage = Stage::of(&world);
    let (mut rounds, moves) = (0, proptest::collection::vec(any_move(), 300..600));
    while tally.commands < commands {
        let moves = moves.new_tree(&mut runner).expect("a tree").current();
        for (now_ns, batch) in stage.batches(&moves) {
            world.now_ns = now_ns;
            for result in world.run(&batch) {
                tally.commands += 1;
                tally.accepted += usize::from(result.accepted);
                *tally.codes.entry(result.code).or_insert(0) += 1;
            }
            for kind in world.kinds() {
                *tally.events.entry(kind).or_insert(0) += 1;
            }
        }
        assert_same_view(&world);
        rounds += 1;
        if rounds % 5 == 0 {
            // A restart: engine and auditor go on from the snapshot.
            let engine: Engine<FastBook> =
                Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
            world.auditor = Auditor::from_engine(&engine).unwrap_or_else(|violation| panic!("{violation}"));
            world.engine = engine;
        }
        if rounds % 12 == 0 {
            // Money runs dry and pauses stay; a fresh world has both again.
            world = start();
            stage = Stage::of(&world);
        }
    }
    tally
}

/// Without this the properties could hold because nothing ever happens.
#[test]
fn the_leveraged_streams_reach_what_they_are_for() {
    let tally = long_run(30_000);
    let wanted = [
        EventKind::PositionChanged,
        EventKind::FundingIndexUpdated,
        EventKind::MarkUpdated,
        EventKind::MarginAdjusted,
        EventKind::InsuranceFunded,
        EventKind::Transferred,
        EventKind::OrderReplaced,
        EventKind::SelfTradePrevented,
        EventKind::TriggerFired,
        EventKind::FeedStateChanged,
        EventKind::PauseSet,
    ];
    let missing: Vec<_> = wanted.iter().filter(|kind| !tally.events.contains_key(kind)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?} in {:?}", tally.events);
    assert!(tally.codes.len() > 40, "only these codes were seen: {:?}", tally.codes);
}

/// The long run of the nightly job: TRADEWIND_COMMANDS commands, a million without it.
///
/// `cargo test --release -p tradewind-engine --test engine -- --ignored a_million_commands --nocapture`
#[test]
#[ignore = "takes minutes; the nightly job runs it"]
fn a_million_commands_of_leveraged_markets_hold_every_invariant() {
    let commands = std::env::var("TRADEWIND_COMMANDS").ok().and_then(|text| text.parse().ok());
    let tally = long_run(commands.unwrap_or(1_000_000));
    println!("{tally:#?}");
    assert!(tally.accepted > tally.commands / 4, "{tally:?}");
    assert!(tally.commands < 500_000 || tally.events.contains_key(&EventKind::LiquidationStepped));
}
