//! Atomic batches (row 0302): all or nothing, bit for bit, and nothing in between.

use tradewind_engine::sequence::apply_stamped;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{CommandResult, EventKind};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Batch, Engine};

use crate::support::*;

fn header(owner: Key, count: u8) -> Command {
    by(owner, Kind::PlaceBatch).with(&PlaceBatch { count, ..PlaceBatch::zero() })
}

fn item(owner: Key, order: PlaceOrder) -> Command {
    by(owner, Kind::BatchItem).with(&order)
}

/// Header and items in one submission, each with a fresh key.
fn send(world: &mut World, owner: Key, orders: &[PlaceOrder]) -> Vec<CommandResult> {
    let mut commands = vec![header(owner, orders.len() as u8)];
    commands.extend(orders.iter().map(|&order| item(owner, order)));
    for command in &mut commands {
        command.client_key = world.fresh_key();
    }
    world.run_raw(&commands)
}

/// The batch must fail at `index` with `inner`, and change no bit of business state.
#[track_caller]
fn refuse(world: &mut World, orders: &[PlaceOrder], index: i64, inner: Code) {
    let (before, snapshot) = (world.engine.state_hash(), world.engine.sizes());
    let results = send(world, ALICE, orders);
    let last = results.last().unwrap();
    assert_eq!(Code::from_number(last.code), Some(Code::BATCH_ITEM_FAILED));
    assert_eq!((last.bound, last.given), (index, inner as i64), "{:?}", Code::from_number(last.given as u16));
    assert!(world.events().is_empty());
    assert_eq!(world.engine.state_hash(), before);
    assert_eq!(world.engine.sizes(), snapshot);
    assert_eq!(world.engine.pending_token(), None);
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("a sound state");
    assert_eq!(restored.state_hash(), before);
}

fn quotes(count: i64) -> Vec<PlaceOrder> {
    (0..count).map(|n| limit(1, (n % 2) as u8, if n % 2 == 0 { 95 - n } else { 105 + n }, 10)).collect()
}

#[test]
fn a_batch_of_eight_rests_as_eight_orders_in_one_command() {
    let mut world: World = World::new();
    let results = send(&mut world, ALICE, &quotes(8));
    assert!(results.iter().all(|result| result.accepted == 1));
    let kinds = world.kinds();
    assert_eq!(kinds[0], EventKind::BatchApplied);
    assert_eq!(kinds[1..], [EventKind::OrderAccepted; 8]);
    let seqs: Vec<u64> = world.events().iter().map(|(_, event)| event.seq).collect();
    assert!(seqs.iter().all(|&seq| seq == seqs[0]), "one command shows all of it");
    assert_eq!(world.engine.sizes().0, 8);
}

#[test]
fn the_last_item_may_take() {
    let mut world: World = World::new();
    world.accept(sell(BOB, 1, 100, 5));
    let results = send(&mut world, ALICE, &[limit(1, side::BUY, 90, 5), limit(1, side::BUY, 100, 5)]);
    assert!(results.iter().all(|result| result.accepted == 1));
    assert_eq!(world.free(ALICE, BTC), FUNDS + 5_000);
}

#[test]
fn whichever_item_fails_nothing_was_applied() {
    for bad in 0..8_usize {
        let mut world: World = World::new();
        // Empty slots in an unusual order, and a reference price.
        let orders: Vec<u64> = (0..5).map(|n| world.accept(buy(BOB, 1, 80 + n, 1)).value).collect();
        for order in [1, 3] {
            world.accept(cancel(BOB, orders[order]));
        }
        world.accept(sell(BOB, 1, 200, 1));
        let mut batch = quotes(8);
        batch[bad].lots = 0;
        refuse(&mut world, &batch, bad as i64, Code::INVALID_SIZE);
        // The next order gets the id that it would have got without the batch.
        let mut other = World::clone(&world);
        let expected = other.accept(buy(CAROL, 1, 75, 1)).value;
        refuse(&mut world, &batch, bad as i64, Code::INVALID_SIZE);
        assert_eq!(world.accept(buy(CAROL, 1, 75, 1)).value, expected);
    }
}

#[test]
fn items_share_the_money_and_the_counts() {
    let mut world: World = World::new();
    world.accept(by(ALICE, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..Record::zero() }));
    world.accept(transfer(1, USDC, 1_500));
    let orders = [limit(1, side::BUY, 100, 10), limit(1, side::BUY, 99, 10)];
    let commands: Vec<Command> = std::iter::once(header(ALICE, 2))
        .chain(orders.map(|order| item(ALICE, order)))
        .map(|command| Command { sub: 1, client_key: world.fresh_key(), ..command })
        .collect();
    let before = world.engine.state_hash();
    let results = world.run_raw(&commands);
    assert_eq!((results[2].bound, results[2].given), (1, Code::INSUFFICIENT_BALANCE as i64));
    assert_eq!(world.engine.state_hash(), before);
    for _ in 0..199 {
        world.accept(buy(CAROL, 1, 50, 1));
    }
    let results = send(&mut world, CAROL, &[limit(1, 0, 50, 1), limit(1, 0, 50, 1)]);
    assert_eq!((results[2].bound, results[2].given), (1, Code::TOO_MANY_OPEN_ORDERS as i64));
}

fn transfer(to_sub: u8, asset: u16, amount: i64) -> Command {
    by(ALICE, Kind::Transfer).with(&Transfer { to_sub, reserved: 0, asset, reserved2: 0, amount })
}

#[test]
fn an_item_before_the_last_must_rest() {
    let mut world: World = World::new();
    world.accept(sell(BOB, 1, 100, 5));
    let taking = limit(1, side::BUY, 100, 5);
    refuse(&mut world, &[taking, limit(1, side::BUY, 90, 5)], 0, Code::POST_ONLY_WOULD_TAKE);
    let at_once = PlaceOrder { time_in_force: time_in_force::IOC, ..limit(1, 0, 90, 5) };
    refuse(&mut world, &[at_once, limit(1, side::BUY, 90, 5)], 0, Code::INVALID_TIME_IN_FORCE);
    // Also against an earlier item of the same batch.
    let crossed = [limit(1, side::SELL, 99, 5), limit(1, side::BUY, 99, 5), limit(1, side::BUY, 90, 5)];
    refuse(&mut world, &crossed, 1, Code::POST_ONLY_WOULD_TAKE);
}

#[test]
fn special_orders_of_a_failed_batch_are_taken_back_too() {
    let mut world: World = World::new();
    world.accept(buy(BOB, 1, 100, 1));
    world.accept(sell(CAROL, 1, 100, 1));
    let earlier = world.accept(buy(ALICE, 1, 70, 3)).value;
    let expiry_ns = world.now_ns + HOUR;
    let orders = [
        iceberg(1, side::SELL, 110, 100, 10),
        PlaceOrder { time_in_force: time_in_force::GTD, expiry_ns, ..stop(1, side::SELL, 90, 5) },
        trailing(1, side::BUY, 5, 5),
        PlaceOrder { order_flags: order_flag::OCO, linked_order: earlier, ..limit(1, 0, 60, 3) },
        PlaceOrder { order_flags: order_flag::OCO, linked_order: 1, ..limit(1, 1, 120, 3) },
        limit(1, side::BUY, 100, 0),
    ];
    refuse(&mut world, &orders, 5, Code::INVALID_SIZE);
    let results = send(&mut world, ALICE, &orders[..5]);
    assert!(results.iter().all(|result| result.accepted == 1), "{results:?}");
    let unknown = [
        limit(1, 0, 60, 3),
        PlaceOrder { order_flags: order_flag::OCO, linked_order: 2, ..limit(1, 0, 61, 3) },
    ];
    refuse(&mut world, &unknown, 1, Code::INVALID_LINK);
}

#[test]
fn a_header_whose_items_do_not_follow_is_refused() {
    let mut world: World = World::new();
    let keyed = |world: &mut World, command: Command| Command { client_key: world.fresh_key(), ..command };
    let order = limit(1, side::BUY, 90, 5);
    let cases = [
        vec![header(ALICE, 2), item(ALICE, order)],
        vec![header(ALICE, 2), item(ALICE, order), buy(ALICE, 1, 80, 1)],
        vec![header(ALICE, 2), item(ALICE, order), item(BOB, order)],
        vec![header(ALICE, 2)],
    ];
    for case in cases {
        let missing_from = case.len().min(2) as i64 - 1;
        let commands: Vec<Command> = case.into_iter().map(|command| keyed(&mut world, command)).collect();
        let results = world.run_raw(&commands);
        assert_eq!(Code::from_number(results[0].code), Some(Code::BATCH_ITEM_FAILED));
        assert_eq!(results[0].bound, missing_from);
        for (command, result) in commands.iter().zip(&results).skip(1) {
            let lone = (command.kind, command.op) == Kind::BatchItem.code();
            let expected = if lone { Some(Code::INVALID_TRANSITION) } else { None };
            assert_eq!(Code::from_number(result.code), expected);
        }
    }
    // What a sender writes into the stamped field does not count.
    let forged =
        by(ALICE, Kind::PlaceBatch).with(&PlaceBatch { count: 2, following: 8, ..PlaceBatch::zero() });
    world.refuse(forged, Code::BATCH_ITEM_FAILED);
}

#[test]
fn a_repeated_batch_gets_its_answers_again_and_a_failed_one_may_be_repeated() {
    let mut world: World = World::new();
    let mut commands = vec![header(ALICE, 2)];
    commands.extend([limit(1, 0, 90, 5), limit(1, 0, 91, 0)].map(|order| item(ALICE, order)));
    for command in &mut commands {
        command.client_key = world.fresh_key();
    }
    assert_eq!(world.run_raw(&commands)[2].accepted, 0);
    commands[2] = Command { client_key: commands[2].client_key, ..item(ALICE, limit(1, 0, 91, 5)) };
    let first = world.run_raw(&commands);
    assert!(first.iter().all(|result| result.accepted == 1));
    let hash = world.engine.state_hash();
    let again = world.run_raw(&commands);
    assert!(again.iter().all(|result| (result.accepted, result.duplicate) == (1, 1)));
    assert_eq!(again[2].value, first[2].value);
    assert_eq!(world.engine.state_hash(), hash);
}

#[test]
fn no_other_command_sees_an_open_batch() {
    let mut world: World = World::new();
    let stamp = |engine: &Engine, command: Command, key: u8| Command {
        seq: engine.next_seq(),
        time_ns: engine.time_ns(),
        client_key: [key; 16],
        ..command
    };
    let open = PlaceBatch { count: 2, following: 2, ..PlaceBatch::zero() };
    let steps = [
        (by(ALICE, Kind::PlaceBatch).with(&open), None),
        (item(ALICE, limit(1, 0, 90, 5)), None),
        (buy(BOB, 1, 80, 1), Some(Code::CONTINUATION_PENDING)),
        (by(SYSTEM, Kind::Tick), Some(Code::CONTINUATION_PENDING)),
        (item(BOB, limit(1, 0, 90, 5)), Some(Code::BATCH_ITEM_FAILED)),
        (item(ALICE, limit(1, 0, 90, 5)), Some(Code::INVALID_TRANSITION)),
        (buy(BOB, 1, 80, 1), None),
    ];
    for (number, (command, expected)) in steps.into_iter().enumerate() {
        let command = stamp(&world.engine, command, number as u8 + 1);
        let mut batch = Batch::default();
        apply_stamped(&mut world.engine, std::iter::once(command), &mut batch).expect("applies");
        assert_eq!(Code::from_number(batch.results[0].code), expected, "step {number}");
    }
    assert_eq!(world.engine.sizes().0, 1);
}
