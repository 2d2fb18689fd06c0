//! Early triggers (P15.5): a price that jumps to an end pauses its market and lets it be resolved before its time.

use tradewind_engine::audit::Auditor;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Code;
use tradewind_engine::{Engine, FastBook};

use crate::audit::Recording;
use crate::loan_marks::quote;
use crate::loans::{lending_world, lent_market_in_band, long, open, seconds, LOTS};
use crate::outcome::{outcome_request, sets};
use crate::outcome_books::on;
use crate::resolution::{escrow, finalise, proposal, redeem};
use crate::support::*;

/// A market whose band holds no price back, and whose books no breaker watches (those of two outcomes are), with claims in the hands of ALICE and BOB.
fn wide(world: &mut World, outcomes: u8) -> u32 {
    let nonce = 300 + world.engine.sizes().1 as u64;
    let request = CreateMarket { band_bp: 9_000, ..outcome_request(nonce, outcomes) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    world.accept(sets(ALICE, Kind::MintSet, market, 50_000));
    world.accept(sets(BOB, Kind::MintSet, market, 50_000));
    market
}

fn order(owner: Key, market: u32, outcome: u8, side: u8, price: i64, lots: i64) -> Command {
    place(owner, on(market, outcome, side, price, lots))
}

/// ALICE buys from BOB at this price; the kinds of events of the trade.
fn trade(world: &mut World, market: u32, outcome: u8, price: i64) -> Vec<EventKind> {
    world.accept(order(BOB, market, outcome, side::SELL, price, 10));
    world.accept(order(ALICE, market, outcome, side::BUY, price, 10));
    world.kinds()
}

fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    world.auditor = Auditor::from_engine(&world.engine).expect("a sound state");
    world.auditor.verify().expect("every invariant");
}

/// A market that was triggered; a restored world behind it.
fn triggered(world: &mut World) -> u32 {
    let market = wide(world, 3);
    trade(world, market, 0, 600);
    world.advance(30 * SECOND);
    trade(world, market, 0, 970);
    assert!(world.engine.is_triggered_early(market));
    market
}

#[test]
fn p15_5_a_jump_to_an_end_pauses_the_market_with_the_trade_that_made_it() {
    let mut world: World = World::new();
    let market = wide(&mut world, 3);
    trade(&mut world, market, 0, 600);
    world.advance(60 * SECOND);
    let kinds = trade(&mut world, market, 0, 970);
    let at = kinds.iter().position(|kind| *kind == EventKind::EarlyTriggered).expect("a trigger");
    assert_eq!(kinds[at + 1], EventKind::PauseSet);
    let shown: EarlyBody = world.events()[at].1.body_as();
    assert_eq!(
        (shown.outcome, shown.cause, shown.price, shown.jumped_from),
        (0, early_cause::TRADE, 970, 600)
    );
    let pause: PauseBody = world.events()[at + 1].1.body_as();
    assert_eq!((pause.level, &pause.reason[..13]), (1, &b"early trigger"[..]));
    world.refuse(sets(ALICE, Kind::MintSet, market, 1), Code::PAUSED);
    world.refuse(order(ALICE, market, 0, side::BUY, 900, 10), Code::PAUSED);
    world.accept(sets(ALICE, Kind::MergeSet, market, 1));
    restored(&mut world);
    // Time does not end it.
    world.wait(100 * HOUR);
    world.refuse(sets(ALICE, Kind::MintSet, market, 1), Code::PAUSED);
    world.accept(resume(RESUMER_A, market, pause.pause_id));
    world.accept(resume(RESUMER_B, market, pause.pause_id));
    assert!(!world.engine.is_triggered_early(market));
    world.accept(sets(ALICE, Kind::MintSet, market, 1));
    world.refuse(proposal(CAROL, market, 0), Code::TOO_EARLY);
    restored(&mut world);
}

#[test]
fn p15_5_slow_or_small_moves_and_moves_to_the_middle_pause_nothing() {
    for prices in [[600, 790], [760, 960], [600, 950], [240, 49], [600, 50]] {
        let mut world: World = World::new();
        let market = wide(&mut world, 3);
        trade(&mut world, market, 0, prices[0]);
        trade(&mut world, market, 0, prices[1]);
        assert!(!world.engine.is_triggered_early(market), "{prices:?}");
    }
    let mut world: World = World::new();
    let market = wide(&mut world, 3);
    trade(&mut world, market, 0, 600);
    trade(&mut world, market, 0, 780);
    world.advance(61 * SECOND);
    trade(&mut world, market, 0, 960);
    assert!(!world.engine.is_triggered_early(market), "0.60 was left more than a minute ago");
}

#[test]
fn p15_5_every_outcome_of_a_categorical_market_is_watched_and_a_window_survives_a_snapshot() {
    let mut world: World = World::new();
    let market = wide(&mut world, 4);
    trade(&mut world, market, 2, 300);
    trade(&mut world, market, 2, 250);
    restored(&mut world);
    world.advance(59 * SECOND);
    trade(&mut world, market, 1, 40);
    assert!(!world.engine.is_triggered_early(market));
    trade(&mut world, market, 2, 40);
    let shown = world.events().into_iter().find(|(kind, _)| *kind == EventKind::EarlyTriggered);
    let shown: EarlyBody = shown.expect("a trigger").1.body_as();
    assert_eq!((shown.outcome, shown.price, shown.jumped_from), (2, 40, 300));
}

#[test]
fn p15_5_a_triggered_market_is_proposed_before_its_time_and_its_orders_leave() {
    let mut world: World = World::new();
    let market = wide(&mut world, 3);
    for step in 0..30 {
        world.accept(order(BOB, market, 1, side::SELL, 900 + step, 10));
    }
    trade(&mut world, market, 0, 600);
    world.refuse(proposal(CAROL, market, 0), Code::TOO_EARLY);
    trade(&mut world, market, 0, 970);
    restored(&mut world);
    world.accept(proposal(CAROL, market, 0));
    let kinds = world.kinds();
    let place = |wanted: EventKind| kinds.iter().position(|kind| *kind == wanted).expect("in the batch");
    let order = [
        EventKind::MarketClosing,
        EventKind::ResolutionProposed,
        EventKind::OrderCancelled,
        EventKind::MarketClosed,
        EventKind::MarketResolving,
    ];
    assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{kinds:?}");
    assert!(world.batch.commands.len() > 1, "more orders than one command cancels");
    world.refuse(proposal(ALICE, market, 1), Code::ALREADY_PROPOSED);
    restored(&mut world);
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    world.accept(redeem(ALICE, market));
    world.accept(redeem(BOB, market));
    assert_eq!(escrow(&world, tradewind_engine::ledger::line::SET_ESCROW, market), 0);
    // Its settle time means nothing any more.
    world.wait(31 * DAY);
    world.auditor.verify().expect("every invariant");
}

#[test]
fn p15_5_at_its_settle_time_a_triggered_market_closes_as_any_other() {
    let mut world: World = World::new();
    let market = triggered(&mut world);
    world.wait(31 * DAY);
    assert!(!world.engine.is_triggered_early(market));
    world.accept(proposal(CAROL, market, 0));
}

#[test]
fn p15_5_a_stricter_pause_stays_and_still_lets_the_market_be_proposed() {
    let mut world: World = World::new();
    let market = triggered(&mut world);
    let until_ns = world.now_ns + HOUR;
    let id = world.accept(pause(market, 2, until_ns)).value as u32;
    world.accept(resume(RESUMER_A, market, id));
    world.accept(proposal(CAROL, market, 0));
    world.refuse(resume(RESUMER_B, market, id), Code::INVALID_TRANSITION);
}

#[test]
fn i25_the_auditor_sees_a_trigger_without_a_jump_or_without_a_pause() {
    let mut world: World = World::new();
    world.advance(100 * SECOND);
    let market = wide(&mut world, 3);
    trade(&mut world, market, 0, 600);
    world.advance(100 * SECOND);
    trade(&mut world, market, 0, 601);
    world.accept(order(BOB, market, 0, side::SELL, 970, 10));
    let jump = || Recording::of(&mut world.clone(), order(ALICE, market, 0, side::BUY, 970, 10));
    let kind = EventKind::EarlyTriggered;
    jump().breaks("I25", |r| r.edit(kind, |body: &mut EarlyBody| body.jumped_from = 800));
    jump().breaks("I25", |r| r.edit(kind, |body: &mut EarlyBody| body.price = 940));
    jump().breaks("I25", |r| r.edit(kind, |body: &mut EarlyBody| body.payout_ticks = 900));
    jump().breaks("I25", |r| r.drop_events(EventKind::PauseSet));
    world.accept(order(ALICE, market, 0, side::BUY, 970, 10));
    // A proposal before the time of a market that nothing has triggered.
    let early = || Recording::of(&mut world.clone(), proposal(CAROL, market, 0));
    early().breaks("I22", |r| r.drop_events(EventKind::MarketClosing));
}

#[test]
fn p15_5_what_is_marked_is_watched_by_its_mark_and_no_single_trade_halts_it() {
    let mut world = lending_world();
    let market = lent_market_in_band(&mut world, 3, 9_000);
    world.accept(open(ALICE, long(market, LOTS, 500, 300)));
    let before = world.engine.outcome_marks(market).expect("marks").of(1, 1_000);
    quote(&mut world, market, [(960, 970), (12, 16), (12, 16)]);
    // One lot is traded at the new price: the mark has not moved yet.
    world.accept(order(CAROL, market, 0, side::BUY, 970, LOTS));
    assert!(!world.kinds().contains(&EventKind::EarlyTriggered));
    assert!(!world.engine.is_triggered_early(market));
    world.accept(place(BOB, on(market, 0, side::SELL, 970, LOTS)));
    let mut told = None;
    for _ in 0..58 {
        seconds(&mut world, 1);
        told = world.events().into_iter().find(|(kind, _)| *kind == EventKind::EarlyTriggered);
        if told.is_some() {
            break;
        }
    }
    let shown: EarlyBody = told.expect("the mark follows within the minute").1.body_as();
    // The second outcome falls below 0.05 before the first has risen to 0.95.
    assert_eq!((shown.outcome, shown.cause, shown.jumped_from), (1, early_cause::MARK, before));
    assert!(shown.price < 50 && before - shown.price > 200);
    assert!(world.engine.is_triggered_early(market));
    world.refuse(sets(ALICE, Kind::MintSet, market, 1), Code::PAUSED);
    restored(&mut world);
}
