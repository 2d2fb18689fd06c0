//! Properties of P17.2 over random command streams of all kinds, sensible and hostile.
//!
//! Every batch of every stream also passes the auditor, so conservation (T05) and the other invariants hold at
//! each step of each property.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tradewind_engine::audit::Auditor;
use tradewind_engine::replay::replay;
use tradewind_engine::sequence::{apply_batch, apply_stamped};
use tradewind_engine::wire::command::{side, Command, Kind};
use tradewind_engine::wire::event::{CommandResult, EventKind, TradeBody};
use tradewind_engine::wire::Record;
use tradewind_engine::{Batch, BatchView, Book, Engine, FastBook, ReferenceBook};

use crate::support::*;

/// Events that need more than a short random stream; other tests reach them.
const RARE_EVENTS: &[EventKind] = &[
    EventKind::ContinuationRequired,
    EventKind::WithdrawalCancelled,
    EventKind::KeeperRemoved,
    EventKind::KeeperIdle,
    EventKind::BatchApplied,
    EventKind::OrderResized,
];

/// Events that these streams, which know spot markets only, can give.
fn is_spot(kind: EventKind) -> bool {
    let code = kind as u16;
    code < 0x010A
        || code == 0x0110
        || (0x0200..0x020D).contains(&code)
        || (0x0300..0x031A).contains(&code)
        || (0x0C00..0x0C10).contains(&code)
        || code >= 0xFF00
        || matches!(
            kind,
            EventKind::KeeperRegistered
                | EventKind::KeeperRemoved
                | EventKind::KeeperStakeChanged
                | EventKind::KeeperIdle
                | EventKind::SlashSigned
                | EventKind::SlashOpened
                | EventKind::ActionProposed
                | EventKind::ActionApproved
                | EventKind::AuthorityOffered
                | EventKind::SuitabilitySet
        )
}

/// Commands in batches of up to seven, each with the time at which it is sequenced.
fn batches(steps: &[Step]) -> Vec<(i64, Vec<Command>)> {
    let (mut now_ns, mut batches) = (BASE, Vec::<(i64, Vec<Command>)>::new());
    for step in steps {
        match step {
            Step::Wait(wait_ns) => now_ns += wait_ns,
            Step::Send(command) => match batches.last_mut() {
                Some((time_ns, open)) if *time_ns == now_ns && open.len() < 7 => open.push(**command),
                _ => batches.push((now_ns, vec![**command])),
            },
        }
    }
    batches
}

fn bytes(commands: &[Command]) -> Vec<u8> {
    commands.iter().flat_map(|command| command.bytes().to_vec()).collect()
}

/// The auditor's reading of the events equals the engine's state wherever the engine shows it.
fn assert_same_view<B: Book>(world: &World<B>) {
    world.auditor.verify().unwrap_or_else(|violation| panic!("{violation}"));
    for (handle, owner) in OWNERS.into_iter().enumerate() {
        let account = tradewind_engine::id::account_id(&owner);
        for (sub, asset, line) in
            (0..4).flat_map(|s| (0..2).flat_map(move |a| (0..8).map(move |l| (s, a, l))))
        {
            let engine = world.engine.balance(&account, sub, asset, line).expect("a known account");
            assert_eq!(engine, world.auditor.line(handle as u32, sub, asset, line));
        }
    }
    for (asset, line) in (0..2).flat_map(|asset| (0x80..0x90).map(move |line| (asset, line))) {
        assert_eq!(world.engine.system_balance(line, 0, asset), world.auditor.line(0, 0, asset, line));
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

fn run_all<B: Book>(world: &mut World<B>, batches: &[(i64, Vec<Command>)]) {
    for (now_ns, commands) in batches {
        world.now_ns = *now_ns;
        world.run(commands);
    }
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn t05_money_is_conserved_and_events_tell_the_whole_state(steps in any_steps(20..360)) {
        let mut world: World = World::new();
        run_all(&mut world, &batches(&steps));
        assert_same_view(&world);
    }

    #[test]
    fn t03_the_fast_book_equals_the_reference_book(steps in any_steps(20..360)) {
        let (mut fast, mut plain) = (World::<FastBook>::new(), World::<ReferenceBook>::new());
        for (now_ns, commands) in batches(&steps) {
            (fast.now_ns, plain.now_ns) = (now_ns, now_ns);
            prop_assert_eq!(fast.run(&commands), plain.run(&commands));
            prop_assert_eq!(fast.batch.as_view(), plain.batch.as_view());
            prop_assert_eq!(fast.engine.state_hash(), plain.engine.state_hash());
        }
        prop_assert_eq!(fast.engine.cursor_hash(), plain.engine.cursor_hash());
    }

    #[test]
    fn t01_replay_from_genesis_gives_every_byte_again(steps in any_steps(20..200)) {
        let mut world: World = World::bare();
        let mut log = Vec::new();
        for (now_ns, commands) in batches(&steps) {
            world.now_ns = now_ns;
            world.run(&commands);
            log.push(world.batch.parts(&world.batch.header()).concat());
        }
        let mut again: Engine = Engine::new(&genesis()).unwrap();
        let mut scratch = Batch::default();
        for payload in &log {
            let view = BatchView::decode(payload).unwrap();
            prop_assert_eq!(replay(&mut again, &view, &mut scratch), Ok(()));
        }
        prop_assert_eq!(world.engine.state_hash(), again.state_hash());
        prop_assert_eq!(world.engine.cursor_hash(), again.cursor_hash());
    }

    #[test]
    fn t01_a_snapshot_anywhere_restores_both_hashes_and_the_same_future(
        steps in any_steps(40..200), cut in 0.0..1.0_f64
    ) {
        let batches = batches(&steps);
        let (before, after) = batches.split_at((batches.len() as f64 * cut) as usize);
        let mut world: World = World::new();
        run_all(&mut world, before);
        let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
        prop_assert_eq!(restored.state_hash(), world.engine.state_hash());
        prop_assert_eq!(restored.cursor_hash(), world.engine.cursor_hash());
        prop_assert_eq!(restored.snapshot(), world.engine.snapshot());
        let mut other = World { auditor: Auditor::from_engine(&restored).unwrap(), engine: restored, ..world.clone() };
        for (now_ns, commands) in after {
            (world.now_ns, other.now_ns) = (*now_ns, *now_ns);
            prop_assert_eq!(world.run(commands), other.run(commands));
            prop_assert_eq!(world.batch.as_view(), other.batch.as_view());
        }
        prop_assert_eq!(other.engine.state_hash(), world.engine.state_hash());
        prop_assert_eq!(other.engine.cursor_hash(), world.engine.cursor_hash());
        assert_same_view(&other);
    }

    #[test]
    fn t06_i19_a_reject_or_repetition_leaves_business_state_alone(steps in any_steps(20..160)) {
        let mut world: World = World::new();
        for (now_ns, commands) in batches(&steps) {
            world.now_ns = now_ns;
            for command in commands {
                let before = world.engine.state_hash();
                let result = world.run(&[command])[0];
                if result.accepted == 0 || result.duplicate == 1 {
                    prop_assert_eq!(result.event_count, 0);
                    prop_assert_eq!(before, world.engine.state_hash(), "code {}", result.code);
                }
            }
        }
    }

    #[test]
    fn t23_an_accepted_command_repeated_gets_the_stored_answer_and_no_effect(steps in any_steps(20..160)) {
        let mut world: World = World::new();
        for (now_ns, commands) in batches(&steps) {
            world.now_ns = now_ns;
            for command in commands {
                let first = world.run(&[command])[0];
                let sealed = command.client_key != [0; 16] && OWNERS.iter().any(|owner| by(*owner, tradewind_engine::wire::Kind::Tick).account == command.account);
                if first.accepted == 0 || !sealed {
                    continue;
                }
                let before = world.engine.state_hash();
                let again = world.run(&[command])[0];
                // A principal may have lost its right by the very command; then the repetition is refused.
                if again.accepted == 1 {
                    prop_assert_eq!((again.duplicate, again.value, again.code), (1, first.value, 0));
                }
                prop_assert_eq!(again.event_count, 0);
                prop_assert_eq!(before, world.engine.state_hash());
            }
        }
    }

    #[test]
    fn t18_no_trade_joins_one_owner_with_himself(steps in any_steps(40..300)) {
        let mut world: World = World::new();
        for (now_ns, commands) in batches(&steps) {
            world.now_ns = now_ns;
            world.run(&commands);
            for (kind, event) in world.events() {
                if kind == EventKind::Trade {
                    prop_assert_ne!(event.account, event.body_as::<TradeBody>().maker_account);
                }
            }
        }
    }

    #[test]
    fn splitting_a_stream_into_other_batches_changes_nothing(steps in any_steps(20..160), size in 1..40_usize) {
        let (mut single, mut commands) = (World::<FastBook>::new(), Vec::new());
        // A batch of orders must come in one submission; that alone a split may change.
        let opens = |command: &Command| (command.kind, command.op) == Kind::PlaceBatch.code();
        let commands_of = |(_, commands): (i64, Vec<Command>)| commands;
        for command in batches(&steps).into_iter().flat_map(commands_of).filter(|command| !opens(command)) {
            single.run(&[command]);
            commands.push(single.batch.commands[single.batch.submitted[0] as usize]);
        }
        let (mut whole, mut split) = (World::<FastBook>::new(), World::<FastBook>::new());
        let all = whole.run_raw(&commands);
        let parts: Vec<CommandResult> = commands.chunks(size).flat_map(|part| split.run_raw(part)).collect();
        prop_assert_eq!(whole.engine.state_hash(), single.engine.state_hash());
        prop_assert_eq!(whole.engine.state_hash(), split.engine.state_hash());
        prop_assert_eq!(whole.engine.cursor_hash(), split.engine.cursor_hash());
        let answers = |results: &[CommandResult]| -> Vec<_> {
            results.iter().map(|r| (r.seq, r.code, r.value, r.bound, r.given, r.event_count)).collect()
        };
        prop_assert_eq!(answers(&all), answers(&parts));
    }
}

/// Without this the properties could hold because nothing ever happens.
#[test]
fn the_random_streams_reach_every_kind_of_order_event_and_most_rejects() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut events, mut codes) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..110 {
        let steps = any_steps(300..500).new_tree(&mut runner).expect("a tree").current();
        let mut world: World = World::new();
        for (now_ns, commands) in batches(&steps) {
            world.now_ns = now_ns;
            codes.extend(world.run(&commands).iter().map(|result| result.code));
            events.extend(world.kinds());
        }
    }
    let missing: Vec<_> = EventKind::ALL
        .iter()
        .filter(|kind| !events.contains(kind) && !RARE_EVENTS.contains(kind) && is_spot(**kind))
        .map(|kind| kind.name())
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
    assert!(codes.len() > 40, "only these codes were seen: {codes:?}");
}

#[test]
fn a_changed_byte_in_a_recorded_batch_is_a_replay_mismatch_with_its_sequence() {
    let mut world: World = World::bare();
    let results =
        world.run(&[ALICE, BOB, CAROL].map(|owner| Command { client_key: [9; 16], ..open_account(owner) }));
    assert!(results.iter().all(|result| result.accepted == 1));
    let payload = world.batch.parts(&world.batch.header()).concat();
    let view = BatchView::decode(&payload).unwrap();
    let events_at = payload.len() - view.postings.len() - view.events.len();
    let mut damaged = payload.clone();
    damaged[events_at + 128 + 60] ^= 1;
    let mut engine: Engine = Engine::new(&genesis()).unwrap();
    let outcome = replay(&mut engine, &BatchView::decode(&damaged).unwrap(), &mut Batch::default());
    let refusal = outcome.expect_err("the damage is found");
    assert_eq!((refusal.code.entry().name, refusal.given), ("REPLAY_MISMATCH", 2));
}

#[test]
fn stamped_commands_give_what_the_sequencer_gave() {
    let mut world: World = World::new();
    world.run(
        &[sell(ALICE, 0, 100, 5), buy(BOB, 0, 100, 9), cancel_all(BOB, 0)]
            .map(|command| Command { client_key: [command.principal[0]; 16], ..command }),
    );
    let mut fresh: World = World::new();
    let mut batch = Batch::default();
    apply_stamped(&mut fresh.engine, world.batch.commands.iter().copied(), &mut batch).unwrap();
    assert_eq!(batch.as_view(), world.batch.as_view());
    // The same stamps a second time are a gap in the sequence.
    batch.clear();
    apply_stamped(&mut fresh.engine, world.batch.commands.iter().copied(), &mut batch).unwrap();
    assert!(batch.results.iter().all(|result| result.code == 1303 && result.accepted == 0));
}

#[test]
fn a_clock_that_steps_back_never_moves_time_back() {
    let mut world: World = World::new();
    world.advance(10 * SECOND);
    world.accept(buy(ALICE, 0, 100, 1));
    let late = world.engine.time_ns();
    let mut batch = Batch::default();
    let command = Command { client_key: [9; 16], ..buy(ALICE, 0, 100, 1) };
    apply_batch(&mut world.engine, &bytes(&[command]), late - HOUR, &mut batch).unwrap();
    assert_eq!((batch.commands[0].time_ns, batch.results[0].accepted), (late, 1));
}
