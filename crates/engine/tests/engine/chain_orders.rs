//! Orders in books as the last step of a chain (P15.9.1, P15.9.3): whole and certain before they are placed, as nothing
//! takes a fill back.

use tradewind_engine::wire::chains::chain_step;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{ChainBody, ChainChargeBody, ChainStepBody, EventKind, TradeBody};
use tradewind_engine::wire::Code;

use crate::chains::*;
use crate::loans::{restored, DOLLAR};
use crate::outcome::{claim, sets};
use crate::outcome_books::on;
use crate::support::*;

fn asks(owner: Key, market: u32, price: i64, lots: i64) -> Command {
    place(owner, on(market, 0, side::SELL, price, lots))
}

fn bids(owner: Key, market: u32, price: i64, lots: i64) -> Command {
    place(owner, on(market, 0, side::BUY, price, lots))
}

/// Sells at the market when the last trade falls to this price.
fn stop_at(market: u32, trigger_price: i64, lots: i64) -> PlaceOrder {
    let trigger_source = trigger_source::LAST_TRADE;
    let order_type = order_type::STOP;
    PlaceOrder { order_type, trigger_price, trigger_source, ..on(market, 0, side::SELL, 0, lots) }
}

fn book_buy(market: u32, lots: i64, limit: i64) -> ChainStep {
    step(chain_step::BOOK_BUY, market, 0, lots, limit)
}

fn book_sell(market: u32, lots: i64, limit: i64) -> ChainStep {
    step(chain_step::BOOK_SELL, market, 0, lots, limit)
}

/// A binary market whose book has traded at 500; bob and carol have many claims.
fn traded(world: &mut World) -> u32 {
    let market = pooled(world, 2);
    for owner in [BOB, CAROL] {
        world.accept(sets(owner, Kind::MintSet, market, 3_000_000_000));
    }
    world.accept(asks(BOB, market, 500, 1_000));
    world.accept(bids(CAROL, market, 500, 1_000));
    market
}

fn has(world: &World, kind: EventKind) -> bool {
    world.kinds().contains(&kind)
}

#[test]
fn p15_9_an_order_in_a_book_is_the_last_step_filled_whole_and_undone_whole() {
    let (mut world, market) = chain_world();
    world.accept(sets(BOB, Kind::MintSet, market, 400_000));
    // Six asks: one more than a chain's order fills.
    for at in 0..6 {
        world.accept(place(BOB, on(market, 0, side::SELL, 340 + at, 10_000)));
    }
    world.accept(place(BOB, on(market, 0, side::BUY, 320, 100_000)));
    let buy = |lots| step(chain_step::BOOK_BUY, market, 0, lots, 350);
    let one = into_vault(5 * DOLLAR);
    fails(&mut world, chain(ALICE, &[one, buy(50_001)]), 2, Code::FOK_NOT_FILLABLE);
    fails(&mut world, chain(ALICE, &[buy(10_000), one]), 1, Code::INVALID_ORDER_TYPE);
    fails(&mut world, chain(ALICE, &[flash(5 * DOLLAR), buy(10_000)]), 2, Code::INVALID_ORDER_TYPE);
    fails(&mut world, chain(BOB, &[one, buy(10_000)]), 2, Code::FOK_NOT_FILLABLE);
    let before = world.auditor.clone();
    let number = world.accept(chain(ALICE, &[one, buy(50_000)])).value;
    assert_eq!(claim(&world, ALICE, market, 0), (50 * DOLLAR, 0));
    // $5, and 50,000 lots at 350 of 1,000 ticks: $17.50.
    let body: ChainBody = told(&world, EventKind::ChainOpened)[0];
    assert_eq!(body.base, 22_500_000);
    let changes: [fn(&mut TradeBody); 2] =
        [|body| body.taker_remaining += 1, |body| body.taker_side = side::SELL];
    otherwise::<TradeBody>(&world, &before, EventKind::Trade, &changes);
    let step_changes: [fn(&mut ChainChargeBody); 2] = [|body| body.fee += 1, |body| body.exposure -= 1];
    otherwise::<ChainChargeBody>(&world, &before, EventKind::ChainCharged, &step_changes);
    restored(&mut world);
    // The bid is at 320.
    fails(&mut world, close(ALICE, number, [0, 321, 0]), 2, Code::FOK_NOT_FILLABLE);
    world.accept(close(ALICE, number, [0, 320, 0]));
    let undone: Vec<ChainStepBody> = told(&world, EventKind::ChainUnwound);
    assert_eq!(undone.iter().map(|body| body.step).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(claim(&world, ALICE, market, 0), (0, 0));
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p7_2_a_breaker_that_would_end_the_order_is_found_before_it_is_placed() {
    let (mut world, _) = chain_world();
    let market = traded(&mut world);
    for price in [500, 530, 560] {
        world.accept(asks(BOB, market, price, 10_000));
    }
    let one = into_vault(5 * DOLLAR);
    // 560 is more than 50 of 1,000 ticks above what traded a moment ago.
    fails(&mut world, chain(ALICE, &[one, book_buy(market, 20_001, 570)]), 2, Code::FOK_NOT_FILLABLE);
    world.accept(chain(ALICE, &[one, book_buy(market, 20_000, 570)]));
    assert!(!has(&world, EventKind::BreakerTripped));
    let fok = PlaceOrder { time_in_force: time_in_force::FOK, ..on(market, 0, side::BUY, 570, 10_000) };
    world.accept(place(ALICE, fok));
    assert!(has(&world, EventKind::BreakerTripped), "alone it halts the market");
    assert_eq!(claim(&world, ALICE, market, 0), (20 * DOLLAR, 0));
    // The market is halted now.
    fails(&mut world, chain(ALICE, &[one, book_buy(market, 10_000, 570)]), 2, Code::BREAKER_ACTIVE);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

/// An hour of about $10,000 a minute.
fn usual_hour(world: &mut World, market: u32) {
    for minute in 0..60 {
        let lots = 20_000_000 + minute % 11 * 200_000;
        world.accept(asks(BOB, market, 500, lots));
        world.accept(bids(CAROL, market, 500, lots));
        world.advance(60 * SECOND);
    }
}

#[test]
fn p7_1_volume_halts_behind_an_order_but_never_between_it_and_the_sets_of_its_chain() {
    let (mut world, _) = chain_world();
    let market = traded(&mut world);
    world.accept(bids(BOB, market, 500, 150_000_000));
    let steps = [mint(market, 150_000), book_sell(market, 150_000_000, 500)];
    let number = world.accept(chain(ALICE, &steps)).value;
    world.wait(12 * HOUR);
    usual_hour(&mut world, market);
    for _ in 0..2 {
        world.accept(asks(BOB, market, 500, 150_000_000));
    }
    let one = into_vault(5 * DOLLAR);
    // $75,000 are beyond five times what is usual: the second maker would not be reached.
    fails(&mut world, chain(ALICE, &[one, book_buy(market, 150_000_001, 500)]), 2, Code::FOK_NOT_FILLABLE);
    // Nor could the sets be merged behind the halt.
    fails(&mut world, close(ALICE, number, [0, 500, 0]), 2, Code::FOK_NOT_FILLABLE);
    // With nothing behind it the order may be the one that halts.
    world.accept(chain(ALICE, &[one, book_buy(market, 150_000_000, 500)]));
    assert!(has(&world, EventKind::BreakerTripped));
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p15_9_1_an_order_of_a_chain_counts_on_plain_orders_of_others() {
    type Maker = (Key, fn(PlaceOrder) -> PlaceOrder);
    let makers: [Maker; 3] = [
        (ALICE, |order| order),
        (BOB, |order| PlaceOrder { order_type: order_type::ICEBERG, display_lots: 1_000, ..order }),
        (BOB, |order| order),
    ];
    for (owner, change) in makers {
        let (mut world, _) = chain_world();
        let market = traded(&mut world);
        world.accept(sets(ALICE, Kind::MintSet, market, 10_000));
        world.accept(asks(BOB, market, 500, 4_000));
        let order = on(market, 0, side::SELL, 500, 10_000);
        let maker = world.accept(place(owner, change(order))).value;
        if change(order) == order && owner == BOB {
            // With a stop of which it is the other half.
            let stop = stop_at(market, 480, 10_000);
            let half = PlaceOrder { order_flags: order_flag::OCO, linked_order: maker, ..stop };
            world.accept(place(BOB, half));
        }
        world.accept(asks(BOB, market, 500, 50_000));
        fails(&mut world, chain(ALICE, &[book_buy(market, 4_001, 500)]), 1, Code::FOK_NOT_FILLABLE);
        world.accept(chain(ALICE, &[book_buy(market, 4_000, 500)]));
        world.auditor.verify().unwrap();
    }
}

#[test]
fn p2_5_3_a_stop_that_an_order_of_a_chain_fires_runs_behind_the_chain() {
    let (mut world, _) = chain_world();
    let market = traded(&mut world);
    world.accept(place(CAROL, stop_at(market, 480, 5_000)));
    world.accept(bids(BOB, market, 480, 10_000));
    world.accept(bids(BOB, market, 475, 10_000));
    let number = world.accept(chain(ALICE, &[mint(market, 10), book_sell(market, 10_000, 480)])).value;
    let kinds = world.kinds();
    let place_of = |kind| kinds.iter().position(|&told| told == kind).expect("it is told");
    assert!(place_of(EventKind::ChainStepped) < place_of(EventKind::TriggerFired));
    assert_eq!(world.engine.chains().get(number).map(|chain| chain.steps.len()), Some(2));
    assert_eq!(claim(&world, CAROL, market, 0).0, 3_000_000_000_000 - 4 * DOLLAR);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p15_9_3_what_a_chain_sold_in_a_book_is_bought_back_before_its_sets_are_merged() {
    let (mut world, market) = chain_world();
    world.accept(sets(BOB, Kind::MintSet, market, 400_000));
    world.accept(bids(BOB, market, 320, 10_000));
    // Outcome 1 is sold to the pool, outcome 0 in its book.
    let steps = [mint(market, 10), pool_sell(market, 1, 10 * DOLLAR, 1), book_sell(market, 10_000, 320)];
    let number = world.accept(chain(ALICE, &steps)).value;
    assert_eq!(claim(&world, ALICE, market, 0), (0, 0));
    let limits = [0, 20 * DOLLAR, 350];
    fails(&mut world, close(ALICE, number, limits), 3, Code::FOK_NOT_FILLABLE);
    world.accept(asks(BOB, market, 350, 10_000));
    // A limit of what has none, a price of none, a worse one.
    fails(&mut world, close(ALICE, number, [1, 20 * DOLLAR, 350]), 1, Code::INVALID_AMOUNT);
    fails(&mut world, close(ALICE, number, [0, 20 * DOLLAR, 0]), 3, Code::INVALID_PRICE);
    fails(&mut world, close(ALICE, number, [0, 20 * DOLLAR, 349]), 3, Code::FOK_NOT_FILLABLE);
    // Without the third claim nothing is bought back.
    world.accept(place(ALICE, on(market, 2, side::SELL, 900, 1)));
    fails(&mut world, close(ALICE, number, limits), 1, Code::SET_INCOMPLETE);
    world.accept(by(ALICE, Kind::CancelAll).with(&CancelAll { market, sub: 0, side: 0xFF, reserved: 0 }));
    world.accept(pause(market, 1, world.now_ns + 120 * SECOND));
    fails(&mut world, close(ALICE, number, limits), 2, Code::PAUSED);
    world.wait(121 * SECOND);
    let before = world.auditor.clone();
    world.accept(close(ALICE, number, limits));
    let undone: Vec<ChainStepBody> = told(&world, EventKind::ChainUnwound);
    assert_eq!(undone.iter().map(|body| body.step).collect::<Vec<_>>(), [2, 3, 1]);
    assert_eq!([0, 1, 2].map(|outcome| claim(&world, ALICE, market, outcome)), [(0, 0); 3]);
    let changes: [fn(&mut ChainStepBody); 2] = [|body| body.step = 3, |body| body.done += 1];
    otherwise::<ChainStepBody>(&world, &before, EventKind::ChainUnwound, &changes);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn i26_an_order_of_a_chain_that_is_told_otherwise_is_found() {
    let (mut world, market) = chain_world();
    world.accept(sets(BOB, Kind::MintSet, market, 400_000));
    world.accept(asks(BOB, market, 340, 5_000));
    world.accept(asks(BOB, market, 345, 5_000));
    world.accept(bids(BOB, market, 320, 10_000));
    let changes: [fn(&mut ChainStepBody); 6] = [
        |body| body.kind = chain_step::BOOK_SELL,
        |body| body.kind = chain_step::POOL_BUY,
        |body| body.outcome = 1,
        |body| body.amount -= 1,
        |body| body.done -= 1,
        |body| body.limit = 344,
    ];
    let before = world.auditor.clone();
    let number = world.accept(chain(ALICE, &[book_buy(market, 10_000, 350)])).value;
    otherwise::<ChainStepBody>(&world, &before, EventKind::ChainStepped, &changes);
    let before = world.auditor.clone();
    world.accept(close(ALICE, number, [320, 0, 0]));
    let changes: [fn(&mut ChainStepBody); 4] = [
        |body| body.kind = chain_step::BOOK_SELL,
        |body| body.amount -= 1,
        |body| body.done -= 1,
        |body| body.limit = 321,
    ];
    otherwise::<ChainStepBody>(&world, &before, EventKind::ChainUnwound, &changes);
}

#[test]
fn p3_5_the_second_outcome_of_a_binary_market_is_bought_and_sold_at_its_own_price() {
    let (mut world, _) = chain_world();
    let market = traded(&mut world);
    // Who bids 510 for the first outcome asks 490 for the second.
    world.accept(bids(BOB, market, 510, 10_000));
    world.accept(asks(BOB, market, 520, 10_000));
    let no = |kind, limit| step(kind, market, 1, 10_000, limit);
    fails(&mut world, chain(ALICE, &[no(chain_step::BOOK_BUY, 489)]), 1, Code::FOK_NOT_FILLABLE);
    let before = world.auditor.clone();
    let number = world.accept(chain(ALICE, &[no(chain_step::BOOK_BUY, 490)])).value;
    assert_eq!(claim(&world, ALICE, market, 1), (10 * DOLLAR, 0));
    let changes: [fn(&mut ChainStepBody); 3] =
        [|body| body.outcome = 0, |body| body.limit = 489, |body| body.kind = chain_step::BOOK_SELL];
    otherwise::<ChainStepBody>(&world, &before, EventKind::ChainStepped, &changes);
    fails(&mut world, close(ALICE, number, [481, 0, 0]), 1, Code::FOK_NOT_FILLABLE);
    world.accept(close(ALICE, number, [480, 0, 0]));
    assert_eq!(claim(&world, ALICE, market, 1), (0, 0));
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p15_9_1_an_order_of_a_chain_is_a_whole_price_of_a_market_with_claims() {
    let (mut world, market) = chain_world();
    let refused: [(ChainStep, Code); 6] = [
        (book_buy(market, 10_000, 0), Code::INVALID_PRICE),
        (book_sell(market, 10_000, 1_000), Code::INVALID_PRICE),
        (step(chain_step::BOOK_BUY, market, 3, 10_000, 500), Code::INVALID_OUTCOME),
        (ChainStep { detail: 1, ..book_buy(market, 10_000, 500) }, Code::RESERVED_NOT_ZERO),
        (book_buy(99, 10_000, 500), Code::MARKET_NOT_FOUND),
        (book_buy(market, i64::MAX, 500), Code::INVALID_SIZE),
    ];
    for (one, code) in refused {
        fails(&mut world, chain(ALICE, &[one]), 1, code);
    }
}

#[test]
fn p15_9_2_what_an_order_may_take_must_be_there_beside_the_fee() {
    let (mut world, market) = chain_world();
    world.accept(sets(BOB, Kind::MintSet, market, 400_000));
    world.accept(asks(BOB, market, 340, 100_000));
    let poor = key(0xD4);
    world.accept(open_account(poor));
    world.deposit(poor, USDC, 35 * DOLLAR);
    // 100,000 lots at 350 take up to $35 and their fee; the chain's own is another 50 bp.
    let answer = world.refuse(chain(poor, &[book_buy(market, 100_000, 350)]), Code::INSUFFICIENT_BALANCE);
    assert_eq!(answer.bound, 35 * DOLLAR);
    assert!(answer.given > 35 * DOLLAR + 175_000);
    world.accept(chain(poor, &[book_buy(market, 90_000, 350)]));
    // What is not held is not sold.
    world.accept(bids(BOB, market, 320, 100_000));
    fails(&mut world, chain(poor, &[book_sell(market, 90_001, 320)]), 1, Code::INSUFFICIENT_SHARES);
    world.auditor.verify().unwrap();
}
