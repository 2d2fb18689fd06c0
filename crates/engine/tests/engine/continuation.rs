//! Bounded work: 48 fills, 64 cancels, 16 due items a command, the rest in continuations nobody sees inside (T24).

use proptest::prelude::*;
use tradewind_engine::replay::replay;
use tradewind_engine::sequence::apply_batch;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{cancel_reason, CancelBody, CountBody, EventKind, TokenBody};
use tradewind_engine::wire::Code;
use tradewind_engine::{Batch, BatchView, Engine, FastBook, Output, ReferenceBook};

use crate::support::*;

/// Events of a kind by command of the last batch.
fn per_command(world: &World, wanted: EventKind) -> Vec<usize> {
    let commands = &world.batch.commands;
    let count =
        |seq: u64| world.events().iter().filter(|(kind, event)| *kind == wanted && event.seq == seq).count();
    commands.iter().map(|command| count(command.seq)).collect()
}

/// A world where `count` orders of one lot are for sale at 100.
fn with_sellers(count: usize) -> World {
    let mut world: World = World::new();
    for number in 0..count {
        let owner = if number < 150 { ALICE } else { CAROL };
        world.accept(sell(owner, 1, 100, 1));
    }
    world
}

#[test]
fn t24_fills_continue_in_the_next_command_beyond_48() {
    for (orders, expected) in
        [(47, vec![47]), (48, vec![48]), (49, vec![48, 1]), (96, vec![48, 48]), (97, vec![48, 48, 1])]
    {
        let mut world = with_sellers(orders);
        let result = world.accept(buy(BOB, 1, 100, orders as i64));
        assert_eq!(per_command(&world, EventKind::Trade), expected);
        assert_eq!(world.engine.pending_token(), None);
        assert_eq!(world.free(BOB, BTC), FUNDS + orders as i64 * 1_000);
        // The answer is that of the submitted command: the order's id, not a token.
        assert!(world
            .events()
            .iter()
            .filter(|(kind, _)| *kind == EventKind::Trade)
            .all(|(_, e)| e.order == result.value));
    }
}

#[test]
fn t24_cancels_continue_in_the_next_command_beyond_64() {
    for (orders, expected) in
        [(63, vec![63]), (64, vec![64]), (65, vec![64, 1]), (128, vec![64, 64]), (129, vec![64, 64, 1])]
    {
        let mut world = with_sellers(orders);
        world.accept(cancel_all(ALICE, ALL_MARKETS));
        assert_eq!(per_command(&world, EventKind::OrderCancelled), expected);
        let done = world.events().into_iter().filter(|(kind, _)| *kind == EventKind::CancelAllDone);
        let counts: Vec<u64> = done.map(|(_, event)| event.body_as::<CountBody>().count).collect();
        assert_eq!(counts, [orders as u64]);
        assert_eq!(world.held(ALICE, BTC), 0);
    }
}

#[test]
fn t24_due_items_continue_in_the_next_command_beyond_16() {
    for (orders, expected) in [(15, vec![15]), (16, vec![16]), (17, vec![16, 1]), (33, vec![16, 16, 1])] {
        let mut world: World = World::new();
        for _ in 0..orders {
            let expiry_ns = world.now_ns + SECOND;
            let request =
                PlaceOrder { time_in_force: time_in_force::GTD, expiry_ns, ..limit(0, side::BUY, 90, 1) };
            world.accept(place(ALICE, request));
        }
        world.advance(SECOND);
        world.tick();
        assert_eq!(per_command(&world, EventKind::OrderCancelled), expected);
        let reasons = world.events().into_iter().filter(|(kind, _)| *kind == EventKind::OrderCancelled);
        assert!(reasons
            .map(|(_, event)| event.body_as::<CancelBody>().reason)
            .all(|r| r == cancel_reason::EXPIRY));
        assert_eq!(world.held(ALICE, USDC), 0);
    }
}

#[test]
fn closing_a_market_cancels_its_orders_over_several_commands_and_then_closes() {
    let mut world = with_sellers(200);
    world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: 1, reserved: 0 }));
    assert_eq!(per_command(&world, EventKind::OrderCancelled), [64, 64, 64, 8]);
    assert_eq!(world.kinds().last(), Some(&EventKind::MarketClosed));
    assert_eq!(world.engine.sizes().0, 0);
    world.refuse(buy(BOB, 1, 100, 1), Code::MARKET_NOT_ACTIVE);
}

#[test]
fn while_a_continuation_is_pending_only_it_is_accepted() {
    let mut engine: Engine = with_sellers(60).engine;
    let mut apply = |command: Command| {
        let mut output = Output::default();
        let stamped = Command { seq: engine.next_seq(), time_ns: engine.time_ns(), ..command };
        let result = engine.apply(&stamped, &mut output);
        (Code::from_number(result.code), output, engine.pending_token(), engine.state_hash())
    };
    let (code, output, token, _) = apply(Command { client_key: [1; 16], ..buy(BOB, 1, 100, 60) });
    let token = token.expect("48 of 60 are filled");
    assert_eq!(code, None);
    let last = output.events.last().expect("events");
    assert_eq!(
        (last.kind, last.body_as::<TokenBody>().token),
        (EventKind::ContinuationRequired as u16, token)
    );
    let continuation = |token| by(SYSTEM, Kind::Continue).with(&Continue { token });
    let (code, _, _, before) = apply(Command { client_key: [2; 16], ..buy(CAROL, 1, 90, 1) });
    assert_eq!(code, Some(Code::CONTINUATION_PENDING));
    let (code, _, _, same) = apply(by(SYSTEM, Kind::Tick));
    assert_eq!((code, same), (Some(Code::CONTINUATION_PENDING), before));
    let (code, _, still, same) = apply(continuation(token + 1));
    assert_eq!((code, still, same), (Some(Code::CONTINUATION_PENDING), Some(token), before));
    let (code, _, still, same) =
        apply(Command { principal: BOB, client_key: [3; 16], ..continuation(token) });
    assert_eq!((code, still, same), (Some(Code::PERMISSION_DENIED), Some(token), before));
    let (code, output, done, _) = apply(continuation(token));
    assert_eq!((code, done), (None, None));
    assert_eq!(output.events.iter().filter(|event| event.kind == EventKind::Trade as u16).count(), 12);
}

/// Half-finished work must never be published, and nothing may run beside it: the shard stops instead.
#[test]
fn a_continuation_that_is_refused_stops_the_engine_with_its_sequence() {
    let mut world = with_sellers(60);
    world.advance(301 * DAY);
    world.send(by(ALICE, Kind::SetCancelAllAfter).with(&SetCancelAllAfter { window_s: 0, reserved: 0 }));
    let command = Command { client_key: [1; 16], ..buy(BOB, 1, 100, 60) };
    let at = world.engine.next_seq() + 1;
    let mut batch = Batch::default();
    let outcome = apply_batch(&mut world.engine, bytemuck::bytes_of(&command), world.now_ns, &mut batch);
    let refusal = outcome.expect_err("SYSTEM's role expired a day ago");
    assert_eq!((refusal.code, refusal.given), (Code::INVARIANT_BROKEN, at as i64));
    assert_eq!(world.engine.stopped(), Some(at));
    let again = apply_batch(&mut world.engine, bytemuck::bytes_of(&command), world.now_ns, &mut batch);
    assert_eq!(again.expect_err("stopped").code, Code::ENGINE_STOPPED);
}

#[test]
fn an_order_that_continues_and_then_rests_has_its_place_in_time() {
    let mut world = with_sellers(50);
    let first = world.accept(buy(BOB, 1, 100, 55)).value;
    let second = world.accept(buy(CAROL, 1, 100, 5)).value;
    let resting = world.auditor.levels(1, side::BUY);
    assert_eq!(resting, [(100, 10, 2)]);
    world.accept(sell(ALICE, 1, 100, 5));
    let makers: Vec<u64> = world
        .events()
        .iter()
        .filter(|(kind, _)| *kind == EventKind::Trade)
        .map(|(_, event)| event.body_as::<tradewind_engine::wire::event::TradeBody>().maker_order)
        .collect();
    assert_eq!(makers, [first]);
    assert!(first < second);
}

#[test]
fn an_expired_maker_is_removed_on_sight_and_never_trades() {
    let mut world: World = World::new();
    let expiry_ns = START + SECOND;
    let dying = PlaceOrder { time_in_force: time_in_force::GTD, expiry_ns, ..limit(1, side::SELL, 99, 5) };
    let dead = world.accept(place(ALICE, dying)).value;
    let live = world.accept(sell(CAROL, 1, 100, 5)).value;
    world.advance(SECOND);
    world.accept(buy(BOB, 1, 100, 5));
    let kinds = world.kinds();
    assert_eq!(kinds, [EventKind::OrderAccepted, EventKind::OrderCancelled, EventKind::Trade]);
    assert_eq!(world.events()[1].1.order, dead);
    let trade: tradewind_engine::wire::event::TradeBody = world.events()[2].1.body_as();
    assert_eq!(trade.maker_order, live);
}

proptest! {
    #![proptest_config(config(40))]

    /// Deep books make random sweeps continue; both books, replay and restart agree there too.
    #[test]
    fn continuations_keep_both_books_replay_and_the_auditor_in_step(
        sweeps in proptest::collection::vec((0..2_u8, 90..111_i64, 1..400_i64, 0..4_u8, 0..4_u8), 1..12),
        seed in proptest::collection::vec((0..3_u8, 0..2_u8, 0..10_i64, 1..4_i64), 150..260),
    ) {
        let (mut fast, mut plain) = (World::<FastBook>::new(), World::<ReferenceBook>::new());
        let mut log = Vec::new();
        let mut commands = Vec::new();
        for (owner, side, away, lots) in seed {
            let price = if side == side::BUY { 99 - away } else { 101 + away };
            commands.push(place(OWNERS[owner as usize], limit(0, side, price, lots)));
        }
        for (side, price, lots, mode, action) in sweeps {
            let request = PlaceOrder { self_trade_prevention: mode, ..limit(0, side, price, lots) };
            commands.push(match action {
                0 => cancel_all(OWNERS[mode as usize % 3], 0),
                _ => place(OWNERS[lots as usize % 3], request),
            });
        }
        for command in commands {
            let client_key = fast.fresh_key();
            let command = Command { client_key, ..command };
            let answers = fast.run(&[command]);
            prop_assert_eq!(&answers, &plain.run(&[command]));
            prop_assert_eq!(fast.batch.as_view(), plain.batch.as_view());
            log.push(fast.batch.parts(&fast.batch.header()).concat());
        }
        prop_assert_eq!(fast.engine.state_hash(), plain.engine.state_hash());
        fast.auditor.verify().unwrap();
        let mut again = World::<FastBook>::new();
        for payload in &log {
            let view = BatchView::decode(payload).unwrap();
            prop_assert_eq!(replay(&mut again.engine, &view, &mut Batch::default()), Ok(()));
        }
        prop_assert_eq!(again.engine.state_hash(), fast.engine.state_hash());
    }
}

#[test]
fn what_is_due_at_the_same_moment_goes_on_behind_the_other_work_of_its_tick() {
    let mut world: World = World::new();
    for owner in [ALICE, BOB, CAROL] {
        world.accept(sell(owner, 1, 100, 1));
        let window = SetCancelAllAfter { window_s: 5, reserved: 0 };
        world.accept(by(owner, Kind::SetCancelAllAfter).with(&window));
    }
    world.advance(5 * SECOND);
    world.tick();
    let fired: usize = per_command(&world, EventKind::SwitchFired).iter().sum();
    assert_eq!(fired, 3, "one Tick fires all three switches");
    assert_eq!((world.engine.sizes().0, world.engine.pending_token()), (0, None));
    assert!(world.engine.next_due_ns().is_none_or(|due_ns| due_ns > world.now_ns));
}
