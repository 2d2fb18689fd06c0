//! Lives of orders, markets, pauses, withdrawals and the dead-man's switch, event by event.

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::EventKind as E;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::{Code, Record};

use crate::support::*;

fn with_stp(owner: Key, mode: u8, request: PlaceOrder) -> Command {
    place(owner, PlaceOrder { self_trade_prevention: mode, ..request })
}

/// ALICE offers 5 at 100, BOB 5 at 101, ALICE 5 at 102.
fn interleaved() -> (World, [u64; 3]) {
    let mut world: World = World::new();
    let first = world.accept(sell(ALICE, 1, 100, 5)).value;
    let second = world.accept(sell(BOB, 1, 101, 5)).value;
    let third = world.accept(sell(ALICE, 1, 102, 5)).value;
    (world, [first, second, third])
}

fn cancelled(world: &World) -> Vec<(u64, u8, i64, i64)> {
    let events = world.events().into_iter().filter(|(kind, _)| *kind == E::OrderCancelled);
    let row = |event: Event| (event.order, event.body_as::<CancelBody>());
    events.map(|(_, event)| row(event)).map(|(o, b)| (o, b.reason, b.remaining_lots, b.filled_lots)).collect()
}

#[test]
fn p3_4_cancel_newest_refuses_untouched_and_cancels_the_rest_after_fills() {
    let (mut world, _) = interleaved();
    world
        .refuse(with_stp(ALICE, stp::CANCEL_NEWEST, limit(1, side::BUY, 102, 7)), Code::SELF_TRADE_PREVENTED);
    let (mut world, [first, ..]) = interleaved();
    world.accept(cancel(ALICE, first));
    let taker = world.accept(with_stp(ALICE, stp::CANCEL_NEWEST, limit(1, side::BUY, 102, 7))).value;
    assert_eq!(world.kinds(), [E::OrderAccepted, E::Trade, E::OrderCancelled]);
    assert_eq!(cancelled(&world), [(taker, cancel_reason::SELF_TRADE, 2, 5)]);
}

#[test]
fn p3_4_cancel_oldest_removes_the_own_resting_orders_and_goes_on() {
    let (mut world, [first, _, third]) = interleaved();
    world.accept(with_stp(ALICE, stp::CANCEL_OLDEST, limit(1, side::BUY, 102, 7)));
    assert_eq!(
        world.kinds(),
        [E::OrderAccepted, E::OrderCancelled, E::Trade, E::OrderCancelled, E::OrderRested]
    );
    let reason = cancel_reason::SELF_TRADE;
    assert_eq!(cancelled(&world), [(first, reason, 5, 0), (third, reason, 5, 0)]);
    assert_eq!(world.auditor.levels(1, side::BUY), [(102, 2, 1)]);
}

#[test]
fn p3_4_cancel_both_ends_both_orders() {
    let (mut world, [first, ..]) = interleaved();
    let taker = world.accept(with_stp(ALICE, stp::CANCEL_BOTH, limit(1, side::BUY, 102, 7))).value;
    let reason = cancel_reason::SELF_TRADE;
    assert_eq!(cancelled(&world), [(first, reason, 5, 0), (taker, reason, 7, 0)]);
    assert_eq!(world.held(ALICE, USDC), 0);
}

#[test]
fn p3_4_decrement_shrinks_both_without_trade_volume_or_fee() {
    let (mut world, [first, second, _]) = interleaved();
    let taker = world.accept(with_stp(ALICE, stp::DECREMENT, limit(1, side::BUY, 101, 7))).value;
    assert_eq!(world.kinds(), [E::OrderAccepted, E::SelfTradePrevented, E::Trade]);
    let prevented: PreventedBody = world.events()[1].1.body_as();
    assert_eq!((prevented.maker_order, prevented.lots, prevented.taker_remaining), (first, 5, 2));
    let trade: TradeBody = world.events()[2].1.body_as();
    assert_eq!((trade.maker_order, trade.lots, trade.taker_remaining), (second, 2, 0));
    world.refuse(cancel(ALICE, first), Code::ORDER_NOT_OPEN);
    world.refuse(cancel(ALICE, taker), Code::ORDER_NOT_OPEN);
    // A resting order that was decremented reports only traded lots as filled.
    let (mut world, [first, ..]) = interleaved();
    world.accept(with_stp(ALICE, stp::DECREMENT, limit(1, side::BUY, 100, 2)));
    world.accept(buy(BOB, 1, 100, 1));
    world.accept(cancel(ALICE, first));
    assert_eq!(cancelled(&world), [(first, cancel_reason::USER, 2, 1)]);
}

#[test]
fn p3_2_a_smaller_size_keeps_the_place_everything_else_loses_it() {
    let mut world: World = World::new();
    let first = world.accept(sell(ALICE, 1, 100, 5)).value;
    let second = world.accept(sell(BOB, 1, 100, 5)).value;
    let next_maker = |world: &mut World| {
        let mut probe = world.clone();
        probe.accept(buy(CAROL, 1, 100, 1));
        probe
            .events()
            .iter()
            .find(|(kind, _)| *kind == E::Trade)
            .expect("a trade")
            .1
            .body_as::<TradeBody>()
            .maker_order
    };
    world.accept(replace(ALICE, first, 100, 4));
    assert_eq!(next_maker(&mut world), first);
    world.accept(replace(ALICE, first, 100, 5));
    assert_eq!(next_maker(&mut world), second);
    world.accept(replace(BOB, second, 101, 5));
    assert_eq!(next_maker(&mut world), first);
    world.accept(replace(BOB, second, 100, 5));
    assert_eq!(next_maker(&mut world), first);
}

#[test]
fn a_replaced_order_keeps_its_id_and_may_take() {
    let mut world: World = World::new();
    let order = world.accept(buy(ALICE, 1, 90, 10)).value;
    world.accept(sell(BOB, 1, 100, 4));
    let result = world.accept(replace(ALICE, order, 100, 10));
    assert_eq!(result.value, order);
    assert_eq!(world.kinds(), [E::OrderReplaced, E::Trade, E::OrderRested]);
    assert_eq!(world.auditor.levels(1, side::BUY), [(100, 6, 1)]);
    // Total counts what is filled: nine in all leave five.
    world.accept(replace(ALICE, order, 0, 9));
    assert_eq!(world.auditor.levels(1, side::BUY), [(100, 5, 1)]);
    world.refuse(replace(ALICE, order, 0, 4), Code::REPLACE_BELOW_FILLED);
}

#[test]
fn a_replacement_that_leaves_the_best_price_moves_the_reference() {
    let mut world: World = World::new();
    let request = CreateMarket { band_bp: 1_000, ..create_market(9, 1_000, 1_000, 0, 0).payload_as() };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&request));
    world.accept(sell(CAROL, 2, 129, 5));
    world.accept(buy(BOB, 2, 107, 5));
    let best = world.accept(buy(ALICE, 2, 113, 5)).value;
    // Reference 121: a sale at 108 is below ten per cent of it.
    world.refuse(sell(BOB, 2, 108, 5), Code::PRICE_TOO_LOW);
    world.accept(replace(ALICE, best, 94, 5));
    // Reference 118 now, whose band begins at 107.
    world.accept(sell(CAROL, 2, 108, 5));
}

#[test]
fn immediate_orders_never_rest() {
    let mut world: World = World::new();
    world.accept(sell(BOB, 1, 100, 5));
    let ioc = PlaceOrder { time_in_force: time_in_force::IOC, ..limit(1, side::BUY, 100, 8) };
    let order = world.accept(place(ALICE, ioc)).value;
    assert_eq!(cancelled(&world), [(order, cancel_reason::IOC, 3, 5)]);
    let order = world.accept(place(ALICE, ioc)).value;
    assert_eq!(cancelled(&world), [(order, cancel_reason::IOC, 8, 0)]);
    world.accept(sell(BOB, 1, 100, 8));
    world.accept(place(ALICE, PlaceOrder { time_in_force: time_in_force::FOK, ..ioc }));
    assert_eq!(world.kinds(), [E::OrderAccepted, E::Trade]);
    assert_eq!(world.engine.sizes().0, 0);
}

#[test]
fn fill_or_kill_counts_what_can_be_filled_and_not_what_lies_behind_it() {
    let fok = |owner, mode, price, lots| {
        let request = PlaceOrder { time_in_force: time_in_force::FOK, ..limit(1, side::BUY, price, lots) };
        with_stp(owner, mode, request)
    };
    let mut world: World = World::new();
    world.accept(sell(BOB, 1, 100, 20));
    // ALICE's own large order stands behind the lots she asks for and must not count against them.
    world.accept(sell(ALICE, 1, 101, 100));
    for mode in [stp::CANCEL_NEWEST, stp::CANCEL_OLDEST, stp::CANCEL_BOTH, stp::DECREMENT] {
        let mut world = world.clone();
        world.accept(fok(ALICE, mode, 101, 10));
        assert_eq!(world.kinds(), [E::OrderAccepted, E::Trade], "mode {mode}");
        let refusal = world.refuse(fok(ALICE, mode, 101, 11), Code::FOK_NOT_FILLABLE);
        assert_eq!(refusal.bound, 10, "mode {mode}");
    }
    // The same behind an expired order that no Tick has removed.
    let mut world: World = World::new();
    world.accept(sell(BOB, 1, 100, 20));
    let expiry_ns = START + SECOND;
    let dying = PlaceOrder { time_in_force: time_in_force::GTD, expiry_ns, ..limit(1, side::SELL, 101, 100) };
    world.accept(place(CAROL, dying));
    world.advance(SECOND);
    world.accept(fok(ALICE, stp::CANCEL_OLDEST, 101, 10));
    assert_eq!(world.kinds(), [E::OrderAccepted, E::Trade]);
}

#[test]
fn a_market_order_takes_within_its_protective_limit() {
    let mut world: World = World::new();
    world.accept(buy(BOB, 1, 9_990, 5));
    world.accept(sell(BOB, 1, 10_010, 5));
    world.accept(sell(CAROL, 1, 10_100, 5));
    world.accept(sell(CAROL, 1, 10_200, 5));
    let request = PlaceOrder { order_type: 1, time_in_force: 1, ..limit(1, side::BUY, 0, 20) };
    let order = world.accept(place(ALICE, request)).value;
    // Reference 10,000 and 1 %: 10,100 is the last price it may pay.
    assert_eq!(world.kinds(), [E::OrderAccepted, E::Trade, E::Trade, E::OrderCancelled]);
    assert_eq!(cancelled(&world), [(order, cancel_reason::IOC, 10, 10)]);
}

#[test]
fn p2_4_5_fills_outside_the_band_are_not_made() {
    let mut world: World = World::new();
    let request = CreateMarket { band_bp: 1_000, ..create_market(9, 1_000, 1_000, 0, 0).payload_as() };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&request));
    world.accept(buy(BOB, 2, 100, 5));
    let ask = world.accept(sell(CAROL, 2, 100, 5)).value;
    assert_eq!(world.kinds(), [E::OrderAccepted, E::Trade]);
    world.refuse(cancel(CAROL, ask), Code::ORDER_NOT_OPEN);
    // Mirrored depth is not bound by the band: a bid rests at 400, the reference is the mean of it and the last trade.
    world.accept(buy(SYSTEM, 2, 400, 5));
    world.refuse(sell(ALICE, 2, 224, 5), Code::PRICE_TOO_LOW);
    // 300 is inside the band of 250 (225 to 375), the bid of 400 is not: nothing prints and the rest is cancelled.
    let order = world.accept(sell(ALICE, 2, 300, 5)).value;
    assert_eq!(world.kinds(), [E::OrderAccepted, E::OrderCancelled]);
    assert_eq!(cancelled(&world), [(order, cancel_reason::BAND, 5, 0)]);
}

#[test]
fn p2_1_2_keys_live_until_their_validity_ends() {
    let mut world: World = World::new();
    let command = Command { client_key: [5; 16], ..buy(ALICE, 0, 100, 1) };
    let first = world.accept(command);
    let again = world.accept(command);
    assert_eq!((again.value, again.duplicate, again.event_count), (first.value, 1, 0));
    world.advance(60 * SECOND);
    assert_eq!(world.accept(command).duplicate, 1);
    world.advance(1);
    let later = world.accept(command);
    assert_eq!(later.duplicate, 0);
    assert_ne!(later.value, first.value);
    // A refused command does not use its key up.
    let other = Command { client_key: [6; 16], ..buy(ALICE, 0, 100, 0) };
    world.refuse(other, Code::INVALID_SIZE);
    world.accept(Command { client_key: [6; 16], ..buy(ALICE, 0, 100, 1) });
    // Keys belong to their account.
    world.accept(Command { client_key: [6; 16], ..buy(BOB, 0, 99, 2) });
}

#[test]
fn orders_are_found_by_client_key_too() {
    let mut world: World = World::new();
    world.accept(Command { client_key: [5; 16], ..buy(ALICE, 0, 100, 3) });
    let by_key = |owner| by(owner, Kind::CancelOrder).with(&CancelOrder { order: 0, target_key: [5; 16] });
    world.refuse(by_key(BOB), Code::ORDER_NOT_FOUND);
    let request = ReplaceOrder { order: 0, target_key: [5; 16], price: 99, total_lots: 0 };
    world.accept(by(ALICE, Kind::ReplaceOrder).with(&request));
    world.advance(DAY / 48);
    world.accept(by_key(ALICE));
    assert_eq!(world.held(ALICE, USDC), 0);
}

#[test]
fn p2_5_8_the_switch_fires_at_the_first_tick_behind_its_deadline_and_survives_a_restart() {
    let mut world: World = World::new();
    let arm =
        |window_s| by(ALICE, Kind::SetCancelAllAfter).with(&SetCancelAllAfter { window_s, reserved: 0 });
    world.accept(buy(ALICE, 0, 90, 1));
    world.accept(buy(ALICE, 1, 90, 1));
    world.accept(buy(BOB, 1, 90, 1));
    world.accept(arm(10));
    world.advance(9 * SECOND);
    world.accept(arm(10));
    world.advance(10 * SECOND - 1);
    world.tick();
    assert_eq!(world.kinds(), []);
    world.engine = tradewind_engine::Engine::restore(&world.engine.snapshot()).unwrap();
    world.advance(1);
    world.tick();
    assert_eq!(world.kinds(), [E::SwitchFired, E::OrderCancelled, E::OrderCancelled, E::CancelAllDone]);
    assert!(cancelled(&world).iter().all(|row| row.1 == cancel_reason::SWITCH));
    assert_eq!(world.engine.sizes().0, 1);
    world.accept(arm(10));
    world.accept(arm(0));
    assert_eq!(world.kinds(), [E::SwitchDisarmed]);
    world.advance(DAY / 24);
    world.tick();
    assert_eq!(world.kinds(), []);
}

#[test]
fn p7_5_a_pause_stops_new_risk_and_lets_cancels_through_until_two_others_resume() {
    let mut world: World = World::new();
    let order = world.accept(buy(ALICE, 0, 90, 5)).value;
    let id = world.accept(pause(0, 2, START + HOUR)).value as u32;
    world.refuse(buy(ALICE, 0, 90, 1), Code::PAUSED);
    world.refuse(replace(ALICE, order, 91, 5), Code::PAUSED);
    world.accept(buy(ALICE, 1, 90, 1));
    world.refuse(resume(EMERGENCY, 0, id), Code::PERMISSION_DENIED);
    world.refuse(resume(RESUMER_A, 0, id + 1), Code::INVALID_TRANSITION);
    world.accept(resume(RESUMER_A, 0, id));
    world.refuse(buy(ALICE, 0, 90, 1), Code::PAUSED);
    world.accept(resume(RESUMER_B, 0, id));
    assert_eq!(world.kinds(), [E::Resumed]);
    world.accept(pause(0, 2, START + HOUR));
    world.refuse(pause(0, 1, START + HOUR), Code::INVALID_TRANSITION);
    world.accept(cancel(ALICE, order));
}

#[test]
fn p7_6_a_partial_pause_ends_by_itself_and_a_full_one_does_not() {
    for (level, ends) in [(1, true), (2, false)] {
        for scope in [0, ALL_MARKETS] {
            let mut world: World = World::new();
            world.accept(pause(scope, level, START + 10 * SECOND));
            world.advance(10 * SECOND);
            world.tick();
            assert_eq!(world.kinds().contains(&E::Resumed), ends);
            assert_eq!(world.send(buy(ALICE, 0, 90, 1)).accepted, u8::from(ends));
        }
    }
}

#[test]
fn emergency_clears_a_market() {
    let mut world: World = World::new();
    world.accept(buy(ALICE, 0, 90, 1));
    world.accept(sell(BOB, 0, 110, 1));
    let payload = CancelAll { market: 0, sub: ALL, side: ALL, reserved: 0 };
    let clear = Command { account: [0; 32], ..by(EMERGENCY, Kind::CancelAll).with(&payload) };
    world.refuse(Command { principal: ALICE, ..clear }, Code::PERMISSION_DENIED);
    world.accept(clear);
    assert_eq!(world.kinds(), [E::OrderCancelled, E::OrderCancelled, E::CancelAllDone]);
    assert_eq!(world.engine.sizes().0, 0);
}

#[test]
fn cancel_all_keeps_to_its_market_sub_account_and_side() {
    let mut world: World = World::new();
    world.accept(by(ALICE, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..Record::zero() }));
    let move_money = Transfer { to_sub: 1, reserved: 0, asset: USDC, reserved2: 0, amount: FUNDS / 2 };
    world.accept(by(ALICE, Kind::Transfer).with(&move_money));
    world.accept(buy(ALICE, 0, 90, 1));
    world.accept(sell(ALICE, 0, 110, 1));
    world.accept(Command { sub: 1, ..buy(ALICE, 0, 91, 1) });
    world.accept(buy(ALICE, 1, 90, 1));
    let all =
        |market, sub, side| by(ALICE, Kind::CancelAll).with(&CancelAll { market, sub, side, reserved: 0 });
    world.accept(all(0, 1, ALL));
    assert_eq!(world.engine.sizes().0, 3);
    world.accept(all(0, ALL, side::SELL));
    assert_eq!(world.engine.sizes().0, 2);
    world.accept(all(ALL_MARKETS, ALL, ALL));
    assert_eq!(world.engine.sizes().0, 0);
    world.accept(all(ALL_MARKETS, ALL, ALL));
    assert_eq!(world.kinds(), [E::CancelAllDone]);
}

#[test]
fn p2_3_3_a_withdrawal_is_queued_under_a_pause_released_behind_it_and_settled_or_returned() {
    let mut world: World = World::new();
    world.advance(DAY);
    let request = RequestWithdrawal {
        asset: USDC,
        reserved: 0,
        reserved2: 0,
        amount: 5_000_000,
        address_hash: [0; 32],
    };
    let withdraw = by(ALICE, Kind::RequestWithdrawal).with(&request);
    let confirm = |ticket, ok| {
        by(SYSTEM, Kind::ConfirmWithdrawal).with(&ConfirmWithdrawal { ticket, ok, ..Record::zero() })
    };
    let pending = |world: &World| world.auditor.line(0, 0, USDC, 6);
    world.accept(pause(ALL_MARKETS, 1, START + DAY + HOUR));
    let queued = world.accept(withdraw).value;
    assert_eq!(world.kinds(), [E::WithdrawalQueued]);
    let unwanted = world.accept(withdraw).value;
    world.accept(by(ALICE, Kind::CancelWithdrawal).with(&CancelWithdrawal { ticket: unwanted }));
    assert_eq!(world.kinds(), [E::WithdrawalCancelled]);
    world.refuse(confirm(queued, 1), Code::INVALID_TRANSITION);
    world.advance(HOUR);
    world.tick();
    assert_eq!(world.kinds(), [E::Resumed, E::WithdrawalReleased]);
    assert_eq!(pending(&world), 5_000_000);
    world.accept(confirm(queued, 1));
    assert_eq!((world.kinds(), pending(&world)), (vec![E::WithdrawalSettled], 0));
    assert_eq!(world.free(ALICE, USDC), FUNDS - 5_000_000);
    let returned = world.accept(withdraw).value;
    assert_eq!(world.kinds(), [E::WithdrawalReleased]);
    world.accept(confirm(returned, 0));
    assert_eq!((world.kinds(), world.free(ALICE, USDC)), (vec![E::WithdrawalReturned], FUNDS - 5_000_000));
    world.refuse(confirm(returned, 0), Code::WITHDRAWAL_NOT_FOUND);
    world.auditor.verify().unwrap();
}

#[test]
fn a_fee_rise_binds_new_orders_and_not_those_that_rest() {
    let mut world: World = World::new();
    world.accept(buy(ALICE, 1, 1_000, 1_000));
    let request = UpdateMarket {
        market: 1,
        config_version: 1,
        field_mask: 0b1100,
        taker_fee_e6bp: 50_000_000,
        maker_fee_e6bp: 20_000_000,
        ..Record::zero()
    };
    world.govern(by(RISK, Kind::UpdateMarket).with(&request), 0);
    world.accept(sell(BOB, 1, 1_000, 1_000));
    let trade: TradeBody = world.events().iter().find(|(kind, _)| *kind == E::Trade).unwrap().1.body_as();
    assert_eq!((trade.notional, trade.maker_fee, trade.taker_fee), (1_000_000, 0, 5_000));
    assert_eq!(world.free(ALICE, USDC), FUNDS - 1_000_000);
}

#[test]
fn splitting_an_order_never_costs_the_buyer_more_than_its_reserve() {
    let mut world: World = World::new();
    let order = world.accept(buy(ALICE, 0, 101, 97)).value;
    let reserve = world.held(ALICE, USDC);
    for lots in [1, 2, 3, 5, 7, 11, 13, 17, 19, 19] {
        world.accept(sell(BOB, 0, 101, lots));
    }
    assert_eq!(world.held(ALICE, USDC), 0);
    assert!(FUNDS - world.free(ALICE, USDC) <= reserve);
    world.refuse(cancel(ALICE, order), Code::ORDER_NOT_OPEN);
}
