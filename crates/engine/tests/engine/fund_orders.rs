//! The insurance fund works off passively what it took over (protocol P5.6 step 3).

use tradewind_engine::halts::breaker::id;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::{FastBook, ReferenceBook};

use crate::arena::*;
use crate::audit::Recording;
use crate::support::*;
use crate::waterfall::{fund_insurance, long_against_two};

/// Insurance has taken 10 contracts at their bankruptcy price of 98.00 with a mark of 97.00 and lent the fund $10.
fn taken() -> (Arena, u32) {
    let mut arena = long_against_two(120);
    fund_insurance(&mut arena, 10_000);
    arena.price(PERP, 97.0);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let fund = arena.bodies::<BackstopBody>(EventKind::BackstopTaken)[0].1.fund;
    // The fall has halted the market: halt, auction and probation pass.
    arena.seconds(1_000);
    (arena, fund)
}

impl Arena {
    fn offers(&self) -> Vec<(i64, i64)> {
        self.engine.levels(PERP, side::SELL, 8).iter().map(|level| (level.price, level.lots)).collect()
    }

    fn holds(&self, account: u32) -> i64 {
        self.engine.perps().position(account, 0, PERP).map_or(0, |position| position.lots)
    }

    /// Time goes on until the fund's order changes.
    fn until_order(&mut self) {
        for _ in 0..11 {
            self.seconds(1);
            if self.kinds().contains(&EventKind::OrderAccepted) {
                return;
            }
        }
        panic!("the fund sends no order");
    }
}

#[test]
fn the_fund_offers_all_it_holds_at_what_it_paid_or_at_the_mark_and_never_takes() {
    let (mut arena, fund) = taken();
    arena.accept(cancel_all_of_market());
    arena.until_order();
    let (owner, order) = arena.bodies::<OrderBody>(EventKind::OrderAccepted)[0];
    assert_eq!((owner, order.side, order.price, order.total_lots), (fund, side::SELL, 9_800, 10_000));
    assert_eq!(order.order_flags, order_flag::POST_ONLY | order_flag::REDUCE_ONLY);
    assert_eq!(arena.offers(), [(9_800, 10_000)]);
    // The mark rises beyond what it paid: the next look asks for the mark.
    arena.price(PERP, 99.0);
    arena.seconds(11);
    assert_eq!(arena.offers(), [(9_900, 10_000)]);
    // A bid above the mark is not met.
    arena.accept(buy(trader(2), PERP, 9_890, 1_000));
    arena.prices[0] = 98 * DOLLAR;
    arena.seconds(11);
    assert!(arena.mark(PERP) < 9_890);
    assert_eq!(arena.offers(), [(9_891, 10_000)]);
    assert_eq!(arena.holds(fund), 10_000, "nothing was taken");
    arena.verify_replay::<FastBook>(arena.log.len() - 4);
}

#[test]
fn who_takes_it_pays_the_price_and_what_the_fund_gains_returns_to_insurance() {
    let (mut arena, fund) = taken();
    arena.price(PERP, 99.0);
    arena.seconds(11);
    let insured = arena.pool(0x85);
    arena.accept(buy(trader(3), PERP, 9_950, 4_000));
    let (taker, trade) = arena.bodies::<TradeBody>(EventKind::Trade)[0];
    assert_eq!((taker, trade.maker_account, trade.price, trade.lots), (3, fund, 9_900, 4_000));
    assert_eq!((trade.trade_kind, trade.maker_fee), (trade_kind::PERP, 0));
    let shown = arena.bodies::<PositionBody>(EventKind::PositionChanged);
    let sold = shown.iter().find(|(owner, _)| *owner == fund).expect("the fund's position").1;
    assert_eq!((sold.lots, sold.realised), (6_000, 4 * DOLLAR));
    arena.accept(buy(trader(3), PERP, 9_950, 6_000));
    assert_eq!((arena.holds(fund), arena.offers().len()), (0, 0));
    arena.seconds(25);
    // The loan of $10 came back with the mark, now the gain of a dollar a contract.
    assert_eq!((insured, arena.pool(0x85)), (10_000 * DOLLAR, 10_010 * DOLLAR));
    assert_eq!(arena.engine.free_of(fund, 0, USDC), 0);
    assert_eq!(arena.engine.liquidations().fund_ns, 0, "there is nothing to look at any more");
    arena.verify_solvent(5);
    arena.verify_replay::<ReferenceBook>(usize::MAX);
}

#[test]
fn a_halt_or_a_stale_feed_takes_the_order_out_of_the_book() {
    let (mut arena, _) = taken();
    assert_eq!(arena.offers(), [(9_800, 10_000)]);
    let mut halted = arena.clone();
    halted.accept(trip_breaker(EMERGENCY, PERP, id::PRICE_FAST));
    halted.seconds(11);
    assert_eq!(halted.offers(), []);
    let mut stale = arena.clone();
    stale.publishing(false);
    stale.seconds(25);
    assert_eq!(stale.offers(), []);
    stale.publishing(true);
    stale.seconds(25);
    assert_eq!(stale.offers(), [(9_800, 10_000)]);
    let until_ns = arena.now_ns + 600 * SECOND;
    arena.accept(pause(PERP, 2, until_ns));
    arena.seconds(11);
    assert_eq!(arena.offers(), [], "FULL lets nobody reduce");
}

#[test]
fn another_liquidation_may_take_what_the_fund_offers_and_the_order_goes_with_the_position() {
    let (mut arena, fund) = taken();
    // Trader 4 goes short, and the price rises beyond its margin.
    arena.deposit(4, USDC, 42 * DOLLAR);
    arena.accept(buy(trader(3), PERP, 9_650, 4_000));
    arena.accept(sell(trader(4), PERP, 9_650, 4_000));
    arena.price(PERP, 101.0);
    arena.seconds(11);
    assert_eq!(arena.offers(), [(10_100, 10_000)]);
    arena.price(PERP, 102.2);
    arena.seconds(10);
    let left = arena.holds(fund);
    assert!(left < 10_000 && arena.position(4, PERP).0 > -4_000, "{left}");
    arena.seconds(11);
    assert_eq!(arena.offers().iter().map(|offer| offer.1).sum::<i64>(), left);
    arena.accept(buy(trader(3), PERP, 10_300, left));
    assert_eq!((arena.holds(fund), arena.offers()), (0, vec![]));
    arena.verify_replay::<FastBook>(arena.log.len() - 30);
}

/// Everybody's orders of the market go, the fund's too; its next look brings it back.
fn cancel_all_of_market() -> Command {
    let payload = CancelAll { market: PERP, sub: ALL, side: ALL, reserved: 0 };
    Command { account: [0; 32], ..by(EMERGENCY, Kind::CancelAll).with(&payload) }
}

/// The look that brings an order, as the auditor sees it.
fn first_order() -> Recording {
    let (mut arena, _) = taken();
    arena.price(PERP, 97.1);
    arena.accept(cancel_all_of_market());
    for _ in 0..110 {
        arena.now_ns += SECOND / 10;
        arena.publish_all();
        let before = arena.auditor.clone();
        arena.tick();
        if arena.kinds().contains(&EventKind::OrderAccepted) {
            return Recording::of_batch(before, &arena.batch);
        }
    }
    panic!("the fund sends no order");
}

#[test]
fn i10_the_fund_offers_no_more_than_it_holds_and_at_no_loss() {
    let kind = EventKind::OrderAccepted;
    let order = first_order;
    order().breaks("I10", |r| r.edit(kind, |body: &mut OrderBody| body.price = 9_799));
    order().breaks("I10", |r| {
        r.edit(kind, |body: &mut OrderBody| (body.total_lots, body.remaining_lots) = (10_001, 10_001));
    });
    order().breaks("I10", |r| r.edit(kind, |body: &mut OrderBody| body.side = side::BUY));
    order().breaks("I10", |r| r.edit(kind, |body: &mut OrderBody| body.order_flags = 2));
    order().breaks("I10", |r| r.edit(kind, |body: &mut OrderBody| body.resting = 0));
}
