//! Liquidations while a market is halted: they go on, within the band around the index (protocol P7.5, P5.5).

use tradewind_engine::halts::breaker::id;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Code;
use tradewind_engine::FastBook;

use crate::arena::*;
use crate::audit::Recording;
use crate::liquidation::golden;
use crate::support::*;

/// The golden case, halted by hand; the index then jumps up while the mark, held back by its speed, follows slowly: the
/// position is still below its margin at the mark.
fn halted(breaker: u8) -> Arena {
    let mut arena = golden();
    arena.accept(buy(trader(2), PERP, 9_760, 50_000));
    arena.price(PERP, 100.0);
    arena.accept(trip_breaker(EMERGENCY, PERP, breaker));
    arena
}

#[test]
fn in_a_halt_a_sale_stays_within_the_band_around_the_index() {
    for breaker in [id::PRICE_FAST, id::PRICE_SLOW, id::VOLUME, id::OPEN_INTEREST] {
        let mut arena = halted(breaker);
        // 0.8 % up within a moment: the mark reaches only a part of the way.
        arena.prices[0] = 100_800_000;
        arena.now_ns += SECOND / 100;
        arena.publish_all();
        let mark = arena.mark(PERP);
        assert!(mark < 10_050, "{mark}");
        arena.accept(liquidate(SYSTEM, 0, PERP));
        let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
        assert_eq!(start.limit, 10_080 - 252, "2.5 % below the index, not below the mark of {mark}");
        assert_eq!(start.cascade, 1, "nothing rests passively in a book that is collected");
        let (_, step) = arena.bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)[0];
        assert_eq!(step.filled_lots, 0, "a bid at 97.60 is beyond the band");
        arena.verify_replay::<FastBook>(arena.log.len() - 2);
    }
}

#[test]
fn without_a_halt_the_band_is_that_of_the_mark_alone() {
    let mut arena = golden();
    arena.accept(buy(trader(2), PERP, 10_001, 50_000));
    arena.price(PERP, 100.0);
    arena.prices[0] = 100_800_000;
    arena.now_ns += SECOND / 100;
    arena.publish_all();
    let mark = arena.mark(PERP);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
    assert_eq!(start.limit, mark - mark * 25 / 1_000);
}

#[test]
fn i25_the_auditor_knows_the_band_of_a_halt() {
    let mut arena = halted(id::PRICE_FAST);
    let before = arena.auditor.clone();
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let recording = Recording::of_batch(before, &arena.batch);
    // Under a cascade the widest band is 5 % of the index.
    let kind = EventKind::LiquidationStarted;
    recording.breaks("I25", |r| r.edit(kind, |body: &mut LiquidationStartBody| body.limit = 9_499));
}

#[test]
fn an_order_that_only_reduces_needs_no_flag_while_liquidations_halt_new_risk() {
    let mut arena = golden();
    arena.accept(trip_breaker(EMERGENCY, PERP, id::LIQUIDATION));
    arena.refuse(sell(trader(0), PERP, 11_000, 10_001), Code::BREAKER_ACTIVE);
    arena.accept(sell(trader(0), PERP, 11_000, 10_000));
    arena.refuse(sell(trader(0), PERP, 11_010, 1), Code::BREAKER_ACTIVE);
    arena.refuse(buy(trader(2), PERP, 10_900, 10), Code::BREAKER_ACTIVE);
}

/// P6.5: what is stale by the time of a command is stale for it, whether or not a Tick has been in between.
#[test]
fn no_order_is_accepted_on_a_feed_that_is_stale_by_the_orders_own_time() {
    let mut arena: Arena = Arena::new(2);
    arena.deposit(0, USDC, 1_000 * DOLLAR);
    let known_ns = arena.now_ns;
    arena.now_ns = known_ns + 5 * SECOND;
    arena.accept(buy(trader(0), PERP, 9_990, 10));
    arena.now_ns = known_ns + 5 * SECOND + 1;
    let refused = arena.refuse(buy(trader(0), PERP, 9_990, 10), Code::STALE_PRICE);
    assert_eq!(refused.given, 5, "the state that a Tick would find");
}
