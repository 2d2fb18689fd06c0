//! Bytes and times that nobody should send: typed answers, never a panic (T20, T25).

use proptest::prelude::*;
use tradewind_engine::sequence::{apply_batch, system_command};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::Record;
use tradewind_engine::{Batch, BatchView, Engine, Genesis, Output};

use crate::support::*;

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn t25_random_bytes_as_commands_never_panic_and_rarely_do_anything(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 192), 1..6)
    ) {
        let mut world: World = World::new();
        let before = world.engine.state_hash();
        let commands: Vec<Command> = frames.iter().map(|frame| bytemuck::pod_read_unaligned(frame)).collect();
        let results = world.run_raw(&commands);
        prop_assert!(results.iter().all(|result| result.accepted == 0));
        prop_assert_eq!(world.engine.state_hash(), before);
    }

    #[test]
    fn t25_a_valid_envelope_around_a_random_payload_never_panics(
        kind in 0..Kind::ALL.len(), payload in proptest::collection::vec(any::<u8>(), 72),
        who in 0..8_u8, sub in 0..3_u8, trim in any::<bool>()
    ) {
        let mut world: World = World::new();
        let kind = Kind::ALL[kind];
        let owner = [ALICE, OPERATOR, SYSTEM, EMERGENCY, RESUMER_A, ADMIN_A, RISK, BOB][who as usize];
        let mut command = Command { sub, client_key: [7; 16], ..by(owner, kind) };
        command.payload.copy_from_slice(&payload);
        if trim {
            command.payload[kind.payload_size()..].fill(0);
        }
        world.run_raw(&[command]);
        world.auditor.verify().unwrap();
    }

    #[test]
    fn t25_damaged_snapshots_and_genesis_bytes_are_errors_not_panics(
        at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<proptest::sample::Index>()
    ) {
        let mut world: World = World::new();
        world.accept(buy(ALICE, 0, 100, 3));
        let snapshot = world.engine.snapshot();
        let mut damaged = snapshot.clone();
        let position = at.index(damaged.len());
        damaged[position] = byte;
        if damaged != snapshot {
            // Magic and shard stand before the hashed parts; another shard is another valid snapshot.
            prop_assert!(Engine::<tradewind_engine::FastBook>::restore(&damaged).is_err() || (8..10).contains(&position));
        }
        prop_assert!(Engine::<tradewind_engine::FastBook>::restore(&snapshot[..cut.index(snapshot.len())]).is_err());
        let mut bytes = genesis().encode();
        let position = at.index(bytes.len());
        bytes[position] = byte;
        if let Ok(read) = Genesis::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
        prop_assert!(BatchView::decode(&snapshot).is_err());
    }

    #[test]
    fn t20_time_extremes_and_equal_timestamps_never_panic(
        genesis_time in prop_oneof![Just(i64::MIN), Just(i64::MIN + 1), Just(-1_i64), Just(0), Just(START), Just(i64::MAX - HOUR), any::<i64>()],
        times in proptest::collection::vec(
            prop_oneof![Just(i64::MAX), Just(i64::MAX - 1), Just(i64::MIN), Just(0_i64), Just(START), any::<i64>()], 1..8),
        steps in any_steps(6..16),
    ) {
        let mut genesis = genesis();
        genesis.time_ns = genesis_time;
        genesis.grants.iter_mut().for_each(|grant| grant.expiry_ns = i64::MAX);
        let Ok(mut engine) = Engine::<tradewind_engine::FastBook>::new(&genesis) else { return Ok(()) };
        let mut input = Vec::new();
        input.extend_from_slice(register_asset([b'A'; 16]).bytes());
        for step in steps {
            if let Step::Send(command) = step {
                input.extend_from_slice(command.bytes());
            }
        }
        for (number, owner) in OWNERS.into_iter().enumerate() {
            let key = [number as u8 + 1; 16];
            input.extend_from_slice(Command { client_key: key, ..open_account(owner) }.bytes());
            let key = [number as u8 + 33; 16];
            let window = SetCancelAllAfter { window_s: 86_400, reserved: 0 };
            input.extend_from_slice(Command { client_key: key, ..by(owner, Kind::SetCancelAllAfter).with(&window) }.bytes());
            let address = Command { client_key: [number as u8 + 65; 16], ..list_address(owner, 0, [1; 32]) };
            input.extend_from_slice(address.bytes());
        }
        for now_ns in times {
            let mut batch = Batch::default();
            let time_before = engine.time_ns();
            prop_assert_eq!(apply_batch(&mut engine, &input, now_ns, &mut batch), Ok(()));
            prop_assert!(engine.time_ns() >= time_before);
        }
    }
}

#[test]
fn a_grant_without_an_end_holds_when_the_clock_reads_the_end_of_time() {
    let mut genesis = genesis();
    genesis.time_ns = i64::MAX - HOUR;
    genesis.grants.iter_mut().for_each(|grant| grant.expiry_ns = i64::MAX);
    let mut engine = Engine::<tradewind_engine::FastBook>::new(&genesis).expect("sound");
    for now_ns in [i64::MAX - 1, i64::MAX, i64::MAX] {
        let mut batch = Batch::default();
        let tick = system_command(&engine, Kind::Tick);
        assert_eq!(apply_batch(&mut engine, &tick, now_ns, &mut batch), Ok(()));
        assert_eq!((batch.results[0].accepted, engine.time_ns()), (1, now_ns));
    }
}

#[test]
fn every_single_bit_of_a_command_may_flip_without_a_panic() {
    let mut world: World = World::new();
    let command = Command { client_key: [9; 16], ..buy(ALICE, 0, 100, 5) };
    for bit in 0..192 * 8 {
        let mut flipped = command;
        bytemuck::bytes_of_mut(&mut flipped)[bit / 8] ^= 1 << (bit % 8);
        world.run_raw(&[flipped]);
    }
    world.auditor.verify().unwrap();
}

#[test]
fn commands_at_the_same_nanosecond_are_ordered_by_sequence_alone() {
    let mut world: World = World::new();
    let first = world.accept(sell(ALICE, 1, 100, 1)).value;
    let second = world.accept(sell(CAROL, 1, 100, 1)).value;
    world.accept(buy(BOB, 1, 100, 1));
    assert_eq!(world.batch.commands[0].time_ns, START);
    assert!(first < second);
    let left = world.engine.levels(1, side::SELL, 1)[0];
    assert_eq!((left.lots, left.orders), (1, 1));
    world.accept(cancel(CAROL, second));
}

#[test]
fn an_unstamped_command_straight_into_apply_is_refused_without_effect() {
    let mut engine = World::<tradewind_engine::FastBook>::new().engine;
    let before = (engine.state_hash(), engine.cursor_hash());
    let result = engine.apply(&buy(ALICE, 0, 100, 1), &mut Output::default());
    assert_eq!(result.accepted, 0);
    assert_eq!((engine.state_hash(), engine.cursor_hash()), before);
}
