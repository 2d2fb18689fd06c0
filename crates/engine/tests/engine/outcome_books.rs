//! Order books of outcome markets: one canonical book for two outcomes, one book each for more (P3.5, P2.4, P8.1).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{trade_kind, CancelBody, Event, EventKind, OrderBody, TradeBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, Engine};

use crate::outcome::*;
use crate::support::*;

const YES: u8 = 0;
const NO: u8 = 1;

pub fn on(market: u32, outcome: u8, side: u8, price: i64, lots: i64) -> PlaceOrder {
    PlaceOrder { outcome, ..limit(market, side, price, lots) }
}

fn bids(owner: Key, market: u32, outcome: u8, price: i64, lots: i64) -> Command {
    place(owner, on(market, outcome, side::BUY, price, lots))
}

fn asks(owner: Key, market: u32, outcome: u8, price: i64, lots: i64) -> Command {
    place(owner, on(market, outcome, side::SELL, price, lots))
}

fn trades(world: &World) -> Vec<TradeBody> {
    let is_trade = |event: &(EventKind, Event)| event.0 == EventKind::Trade;
    world.events().iter().filter(|event| is_trade(event)).map(|event| event.1.body_as()).collect()
}

fn escrow(world: &World, market: u32) -> i64 {
    world.engine.system_balance(0x81, market + 1, USDC)
}

/// A binary market without fees.
fn free_market(world: &mut World, outcome_count: u8) -> u32 {
    let nonce = 200 + world.engine.sizes().1 as u64;
    let request = CreateMarket { taker_fee_e6bp: 0, ..outcome_request(nonce, outcome_count) };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32
}

#[test]
fn p1_4_4_golden_250_lots_at_0_640_are_160_000_micro() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    world.accept(bids(ALICE, market, YES, 640, 250));
    assert_eq!(world.held(ALICE, USDC), 160_000);
}

#[test]
fn p3_5_a_buyer_of_yes_and_a_seller_who_holds_yes_transfer() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    let (alice, bob) = (world.free(ALICE, USDC), world.free(BOB, USDC));
    world.accept(asks(ALICE, market, YES, 600, 10));
    assert_eq!(claim(&world, ALICE, market, YES), (0, 10_000));
    world.accept(bids(BOB, market, YES, 650, 4));
    let trade = trades(&world)[0];
    assert_eq!((trade.trade_kind, trade.price, trade.lots), (trade_kind::TRANSFER, 600, 4));
    assert_eq!(claim(&world, ALICE, market, YES), (0, 6_000));
    assert_eq!(claim(&world, BOB, market, YES), (4_000, 0));
    assert_eq!(world.free(ALICE, USDC), alice + 2_400);
    assert_eq!(world.free(BOB, USDC), bob - 2_400);
    assert_eq!(escrow(&world, market), 10_000);
    world.auditor.verify().unwrap();
}

#[test]
fn p3_5_a_buyer_of_yes_and_a_buyer_of_no_fund_a_set_and_the_taker_gets_the_improvement() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    let (alice, bob) = (world.free(ALICE, USDC), world.free(BOB, USDC));
    world.accept(bids(ALICE, market, YES, 640, 250));
    // Buying NO at 0.400 is selling YES at 0.600: it trades at Alice's 0.640 and pays 0.360.
    world.accept(bids(BOB, market, NO, 400, 100));
    let trade = trades(&world)[0];
    assert_eq!((trade.trade_kind, trade.price, trade.lots), (trade_kind::MINT, 640, 100));
    assert_eq!(claim(&world, ALICE, market, YES), (100_000, 0));
    assert_eq!(claim(&world, BOB, market, NO), (100_000, 0));
    assert_eq!((claim(&world, ALICE, market, NO), claim(&world, BOB, market, YES)), ((0, 0), (0, 0)));
    assert_eq!(escrow(&world, market), 100_000);
    assert_eq!(world.free(ALICE, USDC) + world.held(ALICE, USDC), alice - 64_000);
    assert_eq!((world.free(BOB, USDC), world.held(BOB, USDC)), (bob - 36_000, 0));
    world.auditor.verify().unwrap();
}

#[test]
fn p3_5_a_seller_of_yes_and_a_seller_of_no_dissolve_a_set() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    world.accept(sets(BOB, Kind::MintSet, market, 10));
    let (alice, bob) = (world.free(ALICE, USDC), world.free(BOB, USDC));
    world.accept(asks(ALICE, market, YES, 600, 10));
    // Selling NO at 0.350 is buying YES at 0.650.
    world.accept(asks(BOB, market, NO, 350, 7));
    let trade = trades(&world)[0];
    assert_eq!((trade.trade_kind, trade.price, trade.lots), (trade_kind::MERGE, 600, 7));
    assert_eq!(world.free(ALICE, USDC), alice + 4_200);
    assert_eq!(world.free(BOB, USDC), bob + 2_800);
    assert_eq!(escrow(&world, market), 13_000);
    assert_eq!(claim(&world, BOB, market, NO), (3_000, 0));
    assert_eq!(claim(&world, ALICE, market, YES), (0, 3_000));
    world.auditor.verify().unwrap();
}

#[test]
fn p3_5_both_outcomes_stand_in_one_book_and_events_show_what_the_owner_gave() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    let order = world.accept(bids(ALICE, market, NO, 300, 5)).value;
    let body: OrderBody = world.events()[0].1.body_as();
    assert_eq!((body.outcome, body.side, body.price, body.order_flags), (NO, side::BUY, 300, 0));
    let asks_shown = world.engine.levels(market, side::SELL, 9);
    assert_eq!((asks_shown[0].price, asks_shown[0].lots), (700, 5));
    assert_eq!(world.held(ALICE, USDC), 1_500);
    world.accept(replace(ALICE, order, 310, 6));
    let body: OrderBody = world.events()[0].1.body_as();
    assert_eq!((body.outcome, body.side, body.price, body.total_lots), (NO, side::BUY, 310, 6));
    assert_eq!(world.engine.levels(market, side::SELL, 9)[0].price, 690);
    world.accept(cancel(ALICE, order));
    let body: CancelBody = world.events()[0].1.body_as();
    assert_eq!((body.side, body.price, body.released), (side::BUY, 310, 1_860));
    assert_eq!(world.held(ALICE, USDC), 0);
}

#[test]
fn p8_1_the_fee_is_charged_on_the_cheaper_side() {
    let mut world: World = World::new();
    let market = with_outcomes(&mut world, 2);
    world.accept(bids(ALICE, market, NO, 100, 100_000));
    world.accept(bids(BOB, market, YES, 900, 100_000));
    // 100 contracts at 0.90: base $10, 28 bp of it.
    assert_eq!((trades(&world)[0].taker_fee, trades(&world)[0].maker_fee), (28_000, 0));
    assert_eq!(trades(&world)[0].notional, 90_000_000);
}

#[test]
fn what_sells_must_be_held_and_is_bound_until_the_order_ends() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    world.refuse(asks(ALICE, market, YES, 600, 1), Code::INSUFFICIENT_SHARES);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    let order = world.accept(asks(ALICE, market, NO, 600, 8)).value;
    let refused = world.refuse(asks(ALICE, market, NO, 610, 3), Code::INSUFFICIENT_SHARES);
    assert_eq!((refused.bound, refused.given), (2_000, 3_000));
    world.refuse(sets(ALICE, Kind::MergeSet, market, 3), Code::SET_INCOMPLETE);
    world.refuse(replace(ALICE, order, 0, 11), Code::INSUFFICIENT_SHARES);
    world.accept(replace(ALICE, order, 0, 5));
    assert_eq!(claim(&world, ALICE, market, NO), (5_000, 5_000));
    world.accept(cancel(ALICE, order));
    assert_eq!(claim(&world, ALICE, market, NO), (10_000, 0));
    world.auditor.verify().unwrap();
}

#[test]
fn p2_4_prices_lie_within_the_contract_and_the_absolute_band() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    for price in [0, 1_000, -1] {
        world.refuse(bids(ALICE, market, NO, price, 5), Code::INVALID_PRICE);
    }
    world.accept(bids(ALICE, market, YES, 400, 10));
    world.accept(bids(BOB, market, NO, 600, 5));
    // The reference is 0.400 of YES, 0.600 of NO.
    let high = world.refuse(bids(BOB, market, YES, 501, 5), Code::PRICE_TOO_HIGH);
    assert_eq!((high.bound, high.given), (500, 501));
    let high = world.refuse(bids(BOB, market, NO, 701, 5), Code::PRICE_TOO_HIGH);
    assert_eq!((high.bound, high.given), (700, 701));
    let low = world.refuse(asks(BOB, market, NO, 499, 5), Code::PRICE_TOO_LOW);
    assert_eq!((low.bound, low.given), (500, 499));
    // An order at the market may slip by 0.01.
    world.accept(bids(ALICE, market, YES, 385, 10));
    let at_market = PlaceOrder {
        order_type: order_type::MARKET,
        time_in_force: time_in_force::IOC,
        ..on(market, NO, side::BUY, 0, 30)
    };
    world.accept(place(BOB, at_market));
    assert_eq!(trades(&world).len(), 1, "0.385 lies beyond 0.600 + 0.010 of NO");
    assert_eq!(trades(&world)[0].price, 400);
}

#[test]
fn p2_4_1_before_its_settlement_a_market_takes_no_orders() {
    let mut world: World = World::new();
    let request = CreateMarket { settle_time_ns: START + 2 * HOUR, ..outcome_request(300, 2) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    let order = world.accept(bids(ALICE, market, YES, 400, 10)).value;
    world.wait(2 * HOUR - 60 * SECOND - 1);
    world.accept(bids(ALICE, market, YES, 410, 10));
    world.advance(1);
    let refused = world.refuse(bids(BOB, market, NO, 600, 5), Code::IN_RESOLUTION_BUFFER);
    assert_eq!(refused.bound, START + 2 * HOUR - 60 * SECOND);
    world.refuse(replace(ALICE, order, 405, 0), Code::IN_RESOLUTION_BUFFER);
    world.accept(cancel(ALICE, order));
}

#[test]
fn immediate_and_passive_orders_keep_their_rules_on_both_outcomes() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    world.accept(bids(ALICE, market, YES, 400, 10));
    let post = PlaceOrder { order_flags: order_flag::POST_ONLY, ..on(market, NO, side::BUY, 600, 5) };
    let refused = world.refuse(place(BOB, post), Code::POST_ONLY_WOULD_TAKE);
    assert_eq!((refused.bound, refused.given), (600, 600));
    let fok = PlaceOrder { time_in_force: time_in_force::FOK, ..on(market, NO, side::BUY, 600, 11) };
    world.refuse(place(BOB, fok), Code::FOK_NOT_FILLABLE);
    let ioc = PlaceOrder { time_in_force: time_in_force::IOC, ..fok };
    world.accept(place(BOB, ioc));
    assert_eq!(world.kinds().last(), Some(&EventKind::OrderCancelled));
    assert_eq!(claim(&world, BOB, market, NO), (10_000, 0));
    world.refuse(bids(ALICE, market, 2, 400, 1), Code::INVALID_OUTCOME);
    let exit = PlaceOrder { order_flags: order_flag::BRACKET, linked_order: 1, ..on(market, YES, 0, 400, 9) };
    world.refuse(place(ALICE, exit), Code::INVALID_ORDER_TYPE);
    world.refuse(
        by(ALICE, Kind::PlaceTwap).with(&twap(market, side::BUY, 10, 2, 1)),
        Code::INVALID_ORDER_TYPE,
    );
}

#[test]
fn p3_4_nobody_funds_a_set_with_himself() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    world.accept(bids(ALICE, market, YES, 400, 10));
    world.refuse(bids(ALICE, market, NO, 600, 5), Code::SELF_TRADE_PREVENTED);
    let decrement =
        PlaceOrder { self_trade_prevention: stp::DECREMENT, ..on(market, YES, side::SELL, 400, 4) };
    world.accept(place(ALICE, decrement));
    assert_eq!(claim(&world, ALICE, market, YES), (10_000, 0));
    assert_eq!(world.held(ALICE, USDC), 2_400);
    world.auditor.verify().unwrap();
}

#[test]
fn p3_6_every_outcome_of_a_categorical_market_has_its_own_book() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 4);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    world.accept(asks(ALICE, market, 3, 250, 5));
    world.accept(bids(BOB, market, 2, 260, 5));
    assert!(trades(&world).is_empty());
    world.accept(bids(BOB, market, 3, 260, 3));
    let trade = trades(&world)[0];
    assert_eq!((trade.outcome, trade.price, trade.trade_kind), (3, 250, trade_kind::TRANSFER));
    assert_eq!(claim(&world, BOB, market, 3), (3_000, 0));
    assert_eq!(world.engine.outcome_levels(market, 3, side::SELL, 9)[0].lots, 2);
    assert_eq!(world.engine.outcome_levels(market, 2, side::BUY, 9)[0].price, 260);
    assert!(world.engine.levels(market, side::BUY, 9).is_empty());
    // The reference of one outcome is not that of another.
    world.refuse(bids(BOB, market, 3, 351, 1), Code::PRICE_TOO_HIGH);
    world.accept(bids(CAROL, market, 1, 900, 1));
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), world.engine.state_hash());
    assert_eq!(restored.snapshot(), world.engine.snapshot());
    world.accept(cancel_all(BOB, market));
    world.auditor.verify().unwrap();
    assert_eq!(world.held(BOB, USDC), 0);
}

#[test]
fn closing_a_market_cancels_the_orders_of_every_outcome() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 3);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    for outcome in 0..3 {
        world.accept(bids(BOB, market, outcome, 200, 5));
        world.accept(asks(ALICE, market, outcome, 700, 5));
    }
    world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 }));
    assert_eq!(world.engine.sizes().0, 0);
    assert_eq!(world.held(BOB, USDC), 0);
    assert_eq!(claim(&world, ALICE, market, 2), (10_000, 0));
    world.refuse(bids(BOB, market, 0, 200, 5), Code::MARKET_NOT_ACTIVE);
    world.auditor.verify().unwrap();
}

#[test]
fn an_atomic_batch_of_outcome_orders_is_all_or_nothing() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 3);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    let before = world.engine.state_hash();
    let header = |count: u8| by(ALICE, Kind::PlaceBatch).with(&PlaceBatch { count, ..PlaceBatch::zero() });
    let item = |order: PlaceOrder| Command { ..by(ALICE, Kind::BatchItem).with(&order) };
    let good = [on(market, 0, side::SELL, 400, 5), on(market, 2, side::SELL, 500, 10)];
    let too_much = on(market, 2, side::SELL, 510, 1);
    let mut batch = vec![header(3)];
    batch.extend(good.iter().chain([&too_much]).map(|order| item(*order)));
    let keyed = |world: &mut World, commands: Vec<Command>| -> Vec<Command> {
        commands.into_iter().map(|command| Command { client_key: world.fresh_key(), ..command }).collect()
    };
    let commands = keyed(&mut world, batch);
    let results = world.run(&commands);
    assert_eq!(results[3].accepted, 0);
    assert_eq!(world.engine.state_hash(), before, "nothing was applied");
    let mut batch = vec![header(2)];
    batch.extend(good.iter().map(|order| item(*order)));
    let commands = keyed(&mut world, batch);
    assert!(world.run(&commands).iter().all(|result| result.accepted == 1));
    assert_eq!(claim(&world, ALICE, market, 2), (0, 10_000));
    world.auditor.verify().unwrap();
}

#[test]
fn p18_1_a_sweep_and_a_cancel_of_many_orders_go_on_in_further_commands() {
    let mut world: World = World::new();
    let market = free_market(&mut world, 2);
    for _ in 0..60 {
        world.accept(bids(ALICE, market, NO, 500, 1));
    }
    world.accept(bids(BOB, market, YES, 500, 30));
    let continued =
        |world: &World| world.kinds().iter().filter(|kind| **kind == EventKind::ContinuationRequired).count();
    assert_eq!((trades(&world).len(), continued(&world)), (30, 5), "five fills a command");
    assert_eq!(claim(&world, BOB, market, YES), (30_000, 0));
    world.accept(cancel_all(ALICE, market));
    assert_eq!((world.engine.sizes().0, continued(&world)), (0, 1), "eighteen cancels a command");
    assert_eq!(world.held(ALICE, USDC), 0);
    world.auditor.verify().unwrap();
}

#[test]
fn i05_a_trade_that_tells_another_kind_or_fee_is_noticed() {
    let mut world: World = World::new();
    let market = with_outcomes(&mut world, 2);
    world.accept(bids(ALICE, market, YES, 640, 250));
    let auditor = world.auditor.clone();
    world.accept(bids(BOB, market, NO, 400, 100));
    let batch = &world.batch;
    let noticed = |change: &dyn Fn(&mut Event)| {
        let mut events = batch.output.events.clone();
        events.iter_mut().for_each(change);
        let postings = &batch.output.postings;
        let checked = auditor.clone().check(&batch.commands, &batch.results, &events, postings);
        checked.expect_err("the damage is noticed").invariant
    };
    for at in [13, 14, 15] {
        let kind = noticed(&|event| {
            if event.kind == EventKind::Trade as u16 {
                event.body[at] ^= 1;
            }
        });
        assert!(["I11", "I26"].contains(&kind), "byte {at}: {kind}");
    }
    let moved = noticed(&|event| {
        if event.kind == EventKind::ClaimsMoved as u16 {
            event.body[0] ^= 1;
        }
    });
    assert_eq!(moved, "I05");
    assert_eq!(id::account_id(&ALICE).len(), 32);
}
