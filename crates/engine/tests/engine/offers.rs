//! Under a cascade a liquidation offers its lots passively before it takes anything (protocol P5.9, P5.10).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Code;
use tradewind_engine::{FastBook, ReferenceBook};

use crate::arena::*;
use crate::audit::Recording;
use crate::liquidation::{golden, keeper_in};
use crate::support::*;

const LOTS: i64 = 2_000;
const LIMIT: i64 = 9_750;

/// The golden case with nothing of the book at the mark: all of the open interest is pending, so a cascade is on. The
/// best bid lies below the limit of the sale.
fn thin() -> Arena {
    let mut arena = golden();
    // Slowly enough that a fill at the limit trips no breaker of the price.
    arena.price(PERP, 103.0);
    arena.seconds(310);
    arena.accept(buy(trader(2), PERP, 9_740, 50_000));
    arena.price(PERP, 100.0);
    arena.seconds(1);
    arena
}

/// [`thin`] with the passive order of the step in the book; its id.
fn offered() -> (Arena, u64) {
    let mut arena = thin();
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let order = arena.order_of(EventKind::OrderAccepted);
    (arena, order)
}

impl Arena {
    /// The order of the first event of a kind in the last batch.
    fn order_of(&self, kind: EventKind) -> u64 {
        self.events().into_iter().find(|(of, _)| *of == kind).expect("an event of the kind").1.order
    }

    fn asks(&self) -> Vec<(i64, i64)> {
        self.engine.levels(PERP, side::SELL, 8).iter().map(|level| (level.price, level.lots)).collect()
    }
}

#[test]
fn lots_are_offered_at_the_limit_of_the_sale_before_anything_is_taken() {
    let mut arena = thin();
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
    assert_eq!((start.lots, start.limit, start.cascade), (LOTS, LIMIT, 2));
    let (owner, order) = arena.bodies::<OrderBody>(EventKind::OrderAccepted)[0];
    assert_eq!((owner, order.side, order.price, order.total_lots), (0, side::SELL, LIMIT, LOTS));
    assert_eq!(order.order_flags, order_flag::POST_ONLY | order_flag::REDUCE_ONLY);
    assert_eq!((order.resting, order.expiry_ns), (1, arena.now_ns + OFFER));
    assert!(!arena.kinds().contains(&EventKind::LiquidationStepped), "nothing was taken");
    assert_eq!(arena.asks(), [(LIMIT, LOTS)]);
    let waits = arena.refuse(liquidate(SYSTEM, 0, PERP), Code::TRANCHE_COOLDOWN);
    assert_eq!((waits.bound, waits.given), (arena.now_ns + OFFER, arena.now_ns));
    arena.now_ns += OFFER - 1;
    arena.refuse(liquidate(SYSTEM, 0, PERP), Code::TRANCHE_COOLDOWN);
    arena.now_ns += 1;
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
    assert_eq!((start.lots, start.cascade), (LOTS, 1), "now it takes");
    assert_eq!(arena.asks(), []);
}

#[test]
fn the_price_goes_beside_the_best_bid_and_never_meets_it() {
    let mut arena = thin();
    arena.accept(buy(trader(1), PERP, 9_900, 10_000));
    arena.accept(liquidate(SYSTEM, 0, PERP));
    assert_eq!(arena.asks(), [(9_901, LOTS)]);
    // Where somebody bids at the mark there is nothing to wait for.
    let mut arena = thin();
    arena.accept(buy(trader(1), PERP, 10_000, 10_000));
    arena.accept(liquidate(SYSTEM, 0, PERP));
    assert_eq!(arena.bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)[0].1.filled_lots, LOTS);
}

#[test]
fn a_fill_is_a_step_with_its_fee_whose_print_never_enters_the_mark() {
    let (mut arena, order) = offered();
    arena.accept(buy(trader(1), PERP, 9_800, 500));
    let (taker, trade) = arena.bodies::<TradeBody>(EventKind::Trade)[0];
    assert_eq!((taker, trade.maker_account, trade.maker_order), (1, 0, order));
    assert_eq!((trade.price, trade.lots, trade.trade_kind), (LIMIT, 500, trade_kind::LIQUIDATION));
    let (account, step) = arena.bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)[0];
    assert_eq!((account, step.filled_lots, step.unfilled_lots), (0, 500, LOTS - 500));
    assert!(step.fee > 0 && step.ratio_ppm > step.ratio_before_ppm, "{step:?}");
    assert_eq!((arena.pool(0x86) + arena.pool(0x85), arena.position(0, PERP).0), (step.fee, 9_500));
    let causes: Vec<u8> =
        arena.bodies::<PositionBody>(EventKind::PositionChanged).iter().map(|(_, body)| body.cause).collect();
    assert_eq!(causes, [position_cause::TRADE, position_cause::LIQUIDATION]);
    arena.seconds(1);
    assert_eq!(arena.mark(PERP), 10_000);
    // What is left of the step is all that the sale behind it may take.
    arena.accept(buy(trader(1), PERP, LIMIT, 100));
    arena.now_ns += OFFER;
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
    assert!(start.lots <= LOTS - 600, "{} of {}", start.lots, LOTS - 600);
}

#[test]
fn p5_7_the_keeper_who_placed_it_earns_with_every_fill_and_nobody_with_what_system_placed() {
    let mut arena = thin();
    let (keeper, handle) = keeper_in(&mut arena);
    arena.accept(liquidate(keeper, 0, PERP));
    assert_eq!(arena.asks(), [(LIMIT, LOTS)]);
    // A snapshot knows whom to pay.
    let bytes = arena.engine.snapshot();
    arena.engine = tradewind_engine::Engine::restore(&bytes).unwrap();
    for lots in [500, LOTS - 500] {
        arena.accept(buy(trader(1), PERP, 9_800, lots));
        let (_, step) = arena.bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)[0];
        let (paid_to, reward) = arena.bodies::<RewardBody>(EventKind::KeeperRewarded)[0];
        // The least reward of $1 is more than half of the fee.
        assert_eq!((paid_to, reward.amount), (handle, step.fee / 2));
        assert!(reward.amount > 0, "{step:?}");
    }
    let (mut arena, _) = offered();
    arena.accept(buy(trader(1), PERP, 9_800, 500));
    assert!(!arena.kinds().contains(&EventKind::KeeperRewarded));
}

#[test]
fn a_whole_fill_heals_the_position_and_ends_the_liquidation() {
    let (mut arena, _) = offered();
    arena.accept(buy(trader(1), PERP, 9_800, LOTS));
    let (equity, maintenance) = arena.margin(0);
    let (before, after) = (45_i128 * 1_000_000 * maintenance, equity * 50_000_000);
    assert!(after > before, "the ratio rises: {equity} of {maintenance}");
    assert_eq!(arena.asks(), []);
    arena.seconds(40);
    arena.verify_solvent(4);
    arena.verify_replay::<FastBook>(arena.log.len() - 90);
    arena.verify_replay::<ReferenceBook>(usize::MAX);
}

#[test]
fn nothing_of_a_sub_account_that_is_healthy_again_is_sold() {
    let (mut arena, order) = offered();
    arena.deposit(0, USDC, 100 * DOLLAR);
    let fok = PlaceOrder { time_in_force: time_in_force::FOK, ..limit(PERP, side::BUY, 9_800, 100) };
    arena.refuse(place(trader(1), fok), Code::FOK_NOT_FILLABLE);
    arena.accept(buy(trader(1), PERP, 9_800, 500));
    assert!(!arena.kinds().contains(&EventKind::Trade));
    assert_eq!(arena.order_of(EventKind::OrderCancelled), order);
    let cancelled = arena.bodies::<CancelBody>(EventKind::OrderCancelled)[0].1;
    assert_eq!((cancelled.reason, cancelled.remaining_lots), (cancel_reason::LIQUIDATION, LOTS));
    assert_eq!(arena.position(0, PERP).0, 10_000);
    arena.refuse(liquidate(SYSTEM, 0, PERP), Code::POSITION_HEALTHY);
}

#[test]
fn a_price_that_the_mark_has_left_behind_is_not_sold_at() {
    let (mut arena, _) = offered();
    // At 100.40 the limit of a sale is higher: the old price would sell too cheaply.
    arena.price(PERP, 100.4);
    arena.accept(buy(trader(1), PERP, 9_800, 500));
    assert!(!arena.kinds().contains(&EventKind::Trade));
    assert_eq!(arena.position(0, PERP).0, 10_000);
}

#[test]
fn the_owner_cannot_move_it_or_hang_anything_on_it_and_gains_nothing_by_cancelling_it() {
    let (mut arena, order) = offered();
    arena.refuse(replace(trader(0), order, 9_990, 0), Code::INVALID_ORDER_TYPE);
    arena.refuse(replace(trader(0), order, 0, 1_000), Code::INVALID_ORDER_TYPE);
    let linked = PlaceOrder {
        order_flags: order_flag::OCO | order_flag::REDUCE_ONLY,
        linked_order: order,
        ..limit(PERP, side::SELL, 10_100, 100)
    };
    arena.refuse(place(trader(0), linked), Code::INVALID_LINK);
    arena.accept(cancel(trader(0), order));
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
    assert_eq!((start.lots, start.cascade), (LOTS, 1), "the sale follows at once");
}

#[test]
fn system_waits_for_the_passive_order_takes_and_gives_up_within_the_five_seconds() {
    let (mut arena, _) = offered();
    arena.seconds(3);
    assert_eq!(arena.asks(), [], "it lasts two seconds");
    assert_eq!(arena.position(0, PERP).0, 10_000);
    arena.seconds(3);
    assert_eq!(arena.position(0, PERP).0, 0, "nobody bid within the limit: taken over");
    arena.verify_solvent(4);
    let length = arena.log.len();
    for at in length - 60..=length {
        arena.verify_replay::<FastBook>(at);
    }
}

#[test]
fn a_market_has_a_bounded_number_of_them_and_what_comes_beyond_takes_at_once() {
    let mut arena: Arena = Arena::new(20);
    arena.price(PERP, 110.0);
    arena.deposit(18, USDC, 100_000 * DOLLAR);
    for number in 0..17 {
        arena.deposit(number, USDC, 14_500_000);
        arena.trade(number, 18, PERP, 11_000, 1_000);
    }
    arena.price(PERP, 100.0);
    for number in 0..17 {
        arena.accept(liquidate(SYSTEM, number, PERP));
        let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
        assert_eq!(start.cascade, if number < 16 { 2 } else { 1 }, "number {number}");
    }
    assert_eq!(arena.asks().iter().map(|level| level.1).sum::<i64>(), 16 * 1_000);
    // After two seconds there is room again.
    arena.seconds(2);
    assert_eq!(arena.asks(), []);
    arena.verify_replay::<FastBook>(arena.log.len() - 3);
}

#[test]
fn a_bracket_goes_whole_when_its_owner_is_liquidated() {
    let mut arena = golden();
    arena.accept(buy(trader(2), PERP, 10_000, 50_000));
    let entry = arena.accept(buy(trader(0), PERP, 9_900, 10)).value;
    let exit = PlaceOrder {
        order_flags: order_flag::BRACKET,
        linked_order: entry,
        trigger_source: trigger_source::MARK,
        ..stop(PERP, side::SELL, 9_500, 10)
    };
    arena.accept(place(trader(0), exit));
    arena.price(PERP, 100.0);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    assert_eq!(arena.bodies::<CancelBody>(EventKind::OrderCancelled).len(), 2, "entry and exit, once each");
    assert_eq!(arena.position(0, PERP).0, 8_000);
}

fn recorded(arena: &mut Arena, command: Command) -> Recording {
    let before = arena.auditor.clone();
    arena.accept(command);
    Recording::of_batch(before, &arena.batch)
}

#[test]
fn i10_what_is_offered_is_what_the_step_said_and_within_its_limit() {
    let started = EventKind::LiquidationStarted;
    let offer = || recorded(&mut thin(), liquidate(SYSTEM, 0, PERP));
    offer().breaks("I10", |r| r.edit(started, |body: &mut LiquidationStartBody| body.cascade = 1));
    offer().breaks("I10", |r| r.edit(started, |body: &mut LiquidationStartBody| body.cascade = 0));
    offer().breaks("I10", |r| r.edit(started, |body: &mut LiquidationStartBody| body.cascade = 3));
    offer().breaks("I10", |r| r.edit(started, |body: &mut LiquidationStartBody| body.limit += 1));
    offer().breaks("I10", |r| r.edit(started, |body: &mut LiquidationStartBody| body.lots -= 1));
    let accepted = EventKind::OrderAccepted;
    offer().breaks("I10", |r| r.edit(accepted, |body: &mut OrderBody| body.price = 10_001));
    offer().breaks("I10", |r| r.edit(accepted, |body: &mut OrderBody| body.price = LIMIT - 1));
    offer().breaks("I10", |r| r.edit(accepted, |body: &mut OrderBody| body.total_lots += 1));
    offer().breaks("I10", |r| r.edit(accepted, |body: &mut OrderBody| body.expiry_ns += 1));
    offer().breaks("I10", |r| r.edit(accepted, |body: &mut OrderBody| body.order_flags = 2));
    offer().breaks("I10", |r| r.edit(accepted, |body: &mut OrderBody| body.resting = 0));
    offer().breaks("I10", |r| r.drop_events(accepted));
}

#[test]
fn i10_a_fill_of_what_is_offered_is_a_step_and_says_so() {
    let fill = || recorded(&mut offered().0, buy(trader(1), PERP, 9_800, 500));
    let (trade, step) = (EventKind::Trade, EventKind::LiquidationStepped);
    fill().breaks("I10", |r| r.edit(trade, |body: &mut TradeBody| body.trade_kind = trade_kind::PERP));
    fill().breaks("I10", |r| r.edit(step, |body: &mut LiquidationStepBody| body.filled_lots -= 1));
    fill().breaks("I10", |r| r.edit(step, |body: &mut LiquidationStepBody| body.unfilled_lots = 0));
    fill().breaks("I10", |r| r.edit(step, |body: &mut LiquidationStepBody| body.equity += 1));
    fill().breaks("I11", |r| r.edit(step, |body: &mut LiquidationStepBody| body.fee += 1));
    let shown = EventKind::PositionChanged;
    fill()
        .breaks("I26", |r| r.edit(shown, |body: &mut PositionBody| body.cause = position_cause::LIQUIDATION));
}

#[test]
fn i10_nobody_healthy_sells_what_was_offered() {
    // The same fill against an auditor that knows of a deposit.
    let (mut poor, _) = offered();
    let (mut rich, _) = offered();
    rich.deposit(0, USDC, 100 * DOLLAR);
    poor.deposit(3, USDC, 100 * DOLLAR);
    let recording = recorded(&mut poor, buy(trader(1), PERP, 9_800, 500));
    let Recording { commands, results, events, postings, .. } = recording;
    let checked = rich.auditor.clone().check(&commands, &results, &events, &postings);
    assert_eq!(checked.expect_err("it is healthy").invariant, "I10");
}
