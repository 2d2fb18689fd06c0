//! The auditor of leveraged markets: sound runs pass, and each invariant goes red on a falsified batch.

use tradewind_engine::audit::Auditor;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::{Engine, FastBook};

use crate::audit::Recording;
use crate::leveraged::*;
use crate::support::*;

/// ALICE short and BOB long 4,000 lots at 10,005, ALICE with 6,000 more on offer.
fn traded() -> World {
    let mut world: World = World::exchange();
    world.accept(sell(ALICE, PERP, BTC_TICKS + 5, 10_000));
    world.accept(buy(BOB, PERP, BTC_TICKS + 10, 4_000));
    assert!(world.saw(EventKind::PositionChanged));
    world
}

fn close(market: u32) -> Command {
    by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 })
}

#[test]
fn a_market_trades_charges_funding_closes_and_settles_under_the_auditor() {
    let mut world = traded();
    world.auditor.verify().unwrap();
    assert_eq!((world.cost(BOB, 0), world.cost(ALICE, 0)), (-400_200_000, 400_200_000));
    // Both sides quote above the index for more than an hour, so that longs pay.
    world.accept(buy(CAROL, PERP, BTC_TICKS + 4, 120_000));
    world.accept(sell(ALICE, PERP, BTC_TICKS + 9, 120_000));
    let mut charged = 0;
    for _ in 0..3_700 {
        world.second(BTC_PRICE - 5_000_000, ETH_PRICE);
        let hours = world.events().into_iter().filter(|(kind, event)| {
            *kind == EventKind::FundingIndexUpdated && event.body_as::<FundingBody>().rate_ppb > 0
        });
        charged += hours.filter(|(_, event)| event.market == PERP).count();
    }
    assert_eq!(charged, 1);
    world.accept(sell(BOB, PERP, BTC_TICKS + 4, 1_000));
    let paid = world.events().into_iter().any(|(kind, event)| {
        kind == EventKind::PositionChanged && event.body_as::<PositionBody>().funding_paid > 0
    });
    assert!(paid, "a touched long pays its funding");
    world.auditor.verify().unwrap();
    world.accept(close(PERP));
    world.accept(close(PERP));
    for _ in 0..70 {
        world.second(BTC_PRICE - 5_000_000, ETH_PRICE);
    }
    world.accept(one_market(OPERATOR, Kind::SettleMarket, PERP));
    assert!(world.saw(EventKind::PositionSettled) && world.saw(EventKind::MarketSettled));
    world.auditor.verify().unwrap();
    assert_eq!(world.engine.system_balance(0x87, PERP, USDC), 0);
}

#[test]
fn an_auditor_that_takes_over_leveraged_markets_goes_on_where_the_first_would() {
    let mut world = traded();
    world.accept(transfer(CAROL, 0, 1, USDC, 1_000_000_000));
    let chosen = PlaceOrder { leverage_e2: 500, ..limit(PERP, side::BUY, BTC_TICKS + 5, 1_000) };
    world.accept(Command { sub: 1, ..place(CAROL, chosen) });
    let mut taken = taken_over(&world);
    world.auditor.verify().unwrap();
    for command in [
        sell(BOB, PERP, BTC_TICKS + 1, 1_500),
        adjust_margin(CAROL, 1, PERP, 5_000_000),
        Command { sub: 1, ..sell(CAROL, PERP, BTC_TICKS + 2, 1_000) },
        buy(ALICE, PERP, BTC_TICKS + 2, 9_000),
    ] {
        world.accept(command);
        let output = &world.batch.output;
        let sound =
            taken.check(&world.batch.commands, &world.batch.results, &output.events, &output.postings);
        assert_eq!(sound, Ok(()));
    }
    taken.verify().unwrap();
    world.move_btc(BTC_PRICE + 3_000_000, 20);
    world.accept(buy(ALICE, PERP_ETH, 19_900, 1_000));
    world.accept(close_position(BOB, PERP, 500, BTC_TICKS - 100));
    world.auditor.verify().unwrap();
    let taken = taken_over(&world);
    for (account, line) in (0..5).flat_map(|account| [(account, 0), (account, 2)]) {
        assert_eq!(taken.line(account, 0, USDC, line), world.auditor.line(account, 0, USDC, line));
    }
}

fn taken_over(world: &World) -> Auditor {
    let restored = Engine::<FastBook>::restore(&world.engine.snapshot()).expect("its own snapshot");
    Auditor::from_engine(&restored).expect("a sound state")
}

/// ALICE offers 6,000 at 10,005, BOB takes 1,000 of them: one fill, two positions shown.
fn fill() -> Recording {
    Recording::of(&mut traded(), buy(BOB, PERP, BTC_TICKS + 5, 1_000))
}

#[test]
fn i04_i26_a_position_that_is_shown_as_something_else_than_its_fills_made_it() {
    type Shown = PositionBody;
    let kind = EventKind::PositionChanged;
    fill().breaks("I26", |r| r.edit(kind, |body: &mut Shown| body.lots += 1));
    fill().breaks("I26", |r| r.edit(kind, |body: &mut Shown| body.cost += 1));
    fill().breaks("I26", |r| r.edit(kind, |body: &mut Shown| body.realised += 1));
    fill().breaks("I26", |r| r.edit(kind, |body: &mut Shown| body.funding_paid += 1));
    fill().breaks("I26", |r| r.edit(kind, |body: &mut Shown| body.funding_index_low += 1));
    fill().breaks("I26", |r| r.edit(kind, |body: &mut Shown| body.open_sell_lots += 1));
    fill().breaks("I26", |r| r.edit(kind, |body: &mut Shown| body.leverage_e2 = 500));
    fill().breaks("I26", |r| r.edit(kind, |body: &mut Shown| body.cause = 3));
    // Nobody shows the second position.
    fill().breaks("I26", |r| {
        let last = r.events.iter().rposition(|event| event.kind == kind as u16).unwrap();
        r.events.remove(last);
        r.results[0].event_count -= 1;
        r.events.iter_mut().enumerate().for_each(|(index, event)| event.index = index as u16);
    });
}

#[test]
fn i11_a_leveraged_fill_whose_money_goes_elsewhere() {
    fill().breaks("I11", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.taker_fee += 1));
    fill().breaks("I11", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.notional -= 1));
    fill().breaks("I11", |r| {
        // A micro of cost becomes money.
        r.posting(2, USDC).amount -= 1;
        r.posting(0, USDC).amount += 1;
    });
    fill().breaks("I11", |r| {
        r.posting(0x83, USDC).amount -= 1;
        r.posting(0x85, USDC).amount += 1;
    });
    fill().breaks("I26", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.trade_kind = 0));
}

#[test]
fn i10_a_liquidation_of_somebody_healthy() {
    fill().breaks("I10", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.trade_kind = 6));
    for kind in [EventKind::LiquidationFlagged, EventKind::LiquidationStarted, EventKind::LiquidationStepped]
    {
        fill().breaks("I10", |r| {
            let mut event = *r.events.last().unwrap();
            (event.kind, event.index, event.account, event.body) = (kind as u16, event.index + 1, 1, [0; 72]);
            (event.posting_count, event.market) = (0, PERP);
            r.events.push(event);
            r.results[0].event_count += 1;
        });
    }
}

#[test]
fn i09_an_order_or_a_removal_that_the_margin_does_not_cover() {
    let mut world = traded();
    let order = Command { sub: 1, ..buy(CAROL, PERP, BTC_TICKS, 1_000) };
    Recording::of(&mut world, order).breaks("I09", |r| {
        r.edit(EventKind::OrderAccepted, |body: &mut OrderBody| {
            (body.total_lots, body.remaining_lots) = (3_000_000, 3_000_000);
        });
    });
    world.accept(Command { sub: 1, ..buy(CAROL, PERP, BTC_TICKS + 5, 2_000) });
    Recording::of(&mut world, adjust_margin(CAROL, 1, PERP, -1_000_000)).breaks("I09", |r| {
        let amount = 19_990_000_000;
        r.edit(EventKind::MarginAdjusted, |body: &mut AmountBody| body.amount = amount);
        r.postings.iter_mut().for_each(|posting| posting.amount = posting.amount.signum() * amount);
    });
    let chosen = PlaceOrder { leverage_e2: 500, ..limit(PERP, side::BUY, BTC_TICKS - 9, 1_000) };
    Recording::of(&mut world, place(CAROL, chosen)).breaks("I09", |r| {
        r.edit(EventKind::PositionChanged, |body: &mut PositionBody| body.leverage_e2 = 1_001);
    });
}

#[test]
fn i04_i08_a_mark_that_does_not_follow_from_index_and_book() {
    let marked = || {
        let mut world = traded();
        world.advance(SECOND);
        let mut found = None;
        for source in SOURCES {
            let request = crate::prices::publication(&mut world, BTC_FEED, BTC_PRICE + 300_000);
            let recording = Recording::of(&mut world, crate::prices::publish(source, request));
            if recording.events.iter().any(|event| event.kind == EventKind::MarkUpdated as u16) {
                found = Some(recording);
            }
        }
        found.expect("a publication moves the mark")
    };
    let kind = EventKind::MarkUpdated;
    marked().breaks("I08", |r| r.edit(kind, |body: &mut MarkBody| body.unclamped += 1));
    marked().breaks("I08", |r| r.edit(kind, |body: &mut MarkBody| body.mark += 5_000));
    marked().breaks("I08", |r| r.edit(kind, |body: &mut MarkBody| body.clamped ^= 1));
    marked().breaks("I04", |r| r.edit(kind, |body: &mut MarkBody| body.open_interest_lots += 1));
    marked().breaks("I08", |r| {
        r.edit(EventKind::IndexUpdated, |body: &mut IndexBody| body.index = body.high + 1)
    });
}
