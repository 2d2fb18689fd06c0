//! The auditor of leveraged markets: sound runs pass, and each invariant goes red on a falsified batch.

use tradewind_engine::audit::Auditor;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::{Engine, FastBook};

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
