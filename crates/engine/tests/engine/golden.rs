//! Golden sequences of the specification.

use tradewind_engine::math::{fee_ceil, notional};
use tradewind_engine::wire::command::side;
use tradewind_engine::wire::event::{EventKind, TradeBody};

use crate::support::*;

/// (maker order, price, lots) of every trade in the last batch.
fn trades(world: &World) -> Vec<(u64, i64, i64)> {
    let trades = world.events().into_iter().filter(|(kind, _)| *kind == EventKind::Trade);
    trades.map(|(_, event)| event.body_as::<TradeBody>()).map(|t| (t.maker_order, t.price, t.lots)).collect()
}

#[test]
fn p3_10_fills_walk_the_levels_in_price_time_order_and_the_rest_keeps_its_priority() {
    let mut world: World = World::new();
    let a1 = world.accept(sell(ALICE, 1, 101, 5)).value;
    let a2 = world.accept(sell(ALICE, 1, 101, 5)).value;
    let a3 = world.accept(sell(ALICE, 1, 102, 5)).value;
    let behind = world.accept(sell(CAROL, 1, 102, 5)).value;
    world.accept(buy(BOB, 1, 102, 12));
    assert_eq!(trades(&world), [(a1, 101, 5), (a2, 101, 5), (a3, 102, 2)]);
    let levels = world.engine.levels(1, side::SELL, 9);
    assert_eq!(
        levels.iter().map(|level| (level.price, level.lots, level.orders)).collect::<Vec<_>>(),
        [(102, 8, 2)]
    );
    // A3's rest of 3 is still ahead of the order behind it.
    world.accept(buy(BOB, 1, 102, 4));
    assert_eq!(trades(&world), [(a3, 102, 3), (behind, 102, 1)]);
}

#[test]
fn p1_4_4_notional_is_price_times_lots_times_unit() {
    assert_eq!(notional(10_000, 10_000, 10), Ok(1_000_000_000));
    let mut world: World = World::new();
    // Market 0 has tick 0.01 and lot 0.001, hence unit 10: 10 contracts at 100.00 hold 1,000 USDC and the fee.
    world.accept(buy(ALICE, 0, 10_000, 10_000));
    assert_eq!(world.held(ALICE, USDC), 1_000_000_000 + 2_800_000);
    world.accept(sell(BOB, 0, 10_000, 10_000));
    assert_eq!(world.held(ALICE, USDC), 0);
    assert_eq!(world.free(ALICE, BTC), FUNDS + 10_000_000);
}

#[test]
fn p8_5_a_fee_is_rounded_up_once_per_fill() {
    assert_eq!(fee_ceil(100_000_000, 4_244_677), 42_447);
    let mut world: World = World::new();
    world.accept(create_market(7, 1_000, 1_000, 4_244_677, 0));
    world.accept(sell(ALICE, 2, 100_000, 1_000));
    world.accept(buy(BOB, 2, 100_000, 1_000));
    let (_, event) = world.events().into_iter().find(|(kind, _)| *kind == EventKind::Trade).expect("a trade");
    let body: TradeBody = event.body_as();
    assert_eq!((body.notional, body.taker_fee, body.maker_fee), (100_000_000, 42_447, 0));
    assert_eq!(world.free(BOB, USDC), FUNDS - 100_000_000 - 42_447);
    assert_eq!(world.free(ALICE, USDC), FUNDS + 100_000_000);
}

#[test]
fn p8_8_fees_split_into_vault_stakers_makers_and_insurance() {
    let mut world: World = World::new();
    world.accept(create_market(7, 1_000, 1_000, 4_244_677, 0));
    world.accept(sell(ALICE, 2, 100_000, 1_000));
    world.accept(buy(BOB, 2, 100_000, 1_000));
    let line = |line| world.engine.system_balance(line, 0, USDC);
    assert_eq!([line(0x83), line(0x88), line(0x89), line(0x85)], [29_714, 6_367, 2_122, 4_244]);
}

#[test]
fn trades_print_at_the_resting_price_and_the_surplus_of_the_reserve_returns() {
    let mut world: World = World::new();
    world.accept(sell(ALICE, 1, 90, 10));
    world.accept(buy(BOB, 1, 100, 10));
    assert_eq!(world.free(BOB, USDC), FUNDS - 900);
    assert_eq!(world.held(BOB, USDC), 0);
}
