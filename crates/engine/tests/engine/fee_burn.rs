//! A tenth of the fees buys the token and burns it (P8.8, P11.1).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{BurnBody, BuybackBody, EventKind};
use tradewind_engine::wire::Code;

use crate::fee_tiers::reopened;
use crate::loans_audit::told_otherwise;
use crate::support::*;
use crate::token::{issued_in, released_in, MMT, TOKEN};

const DOLLAR: i64 = 1_000_000;
const SUPPLY: i64 = 100_000_000 * TOKEN;
const INSURANCE: u8 = 0x85;
const BUYBACK: u8 = 0x8A;
const ISSUANCE: u8 = 0x8E;
const MINUTE: i64 = 60 * SECOND;

fn line(world: &World, line: u8, asset: u16) -> i64 {
    world.engine.system_balance(line, 0, asset)
}

/// Prices in thousandths of a dollar, lots of a thousandth of a token; takers pay 20 bp.
fn token_market(world: &mut World) -> u32 {
    let spot: CreateMarket = create_market(40, 1_000, 1_000, 20_000_000, 0).payload_as();
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&CreateMarket { base: MMT, ..spot })).value as u32
}

/// A world in which the dollar is the settlement asset.
fn token_world() -> World {
    released_in(issued_in(World::leveraged()))
}

/// ALICE sells CAROL so many tokens for a dollar each.
fn trade(world: &mut World, market: u32, tokens: i64) {
    world.accept(sell(ALICE, market, 1_000, tokens * 1_000));
    world.accept(buy(CAROL, market, 1_000, tokens * 1_000));
}

/// $2 wait on the line for a purchase; the reference is a dollar.
fn funded() -> (World, u32) {
    let mut world = token_world();
    let market = token_market(&mut world);
    trade(&mut world, market, 10_000);
    (world, market)
}

fn burnt(world: &World) -> Option<BurnBody> {
    let found = world.events().into_iter().find(|(kind, _)| *kind == EventKind::TokensBurned);
    found.map(|(_, event)| event.body_as())
}

#[test]
fn p8_8_the_tenth_is_insurances_until_a_market_sells_the_token_for_the_settlement_asset() {
    let mut world = token_world();
    let other = world.accept(create_market(41, 1_000, 1_000, 20_000_000, 0)).value as u32;
    world.deposit(BOB, BTC, FUNDS);
    let mut parts = Vec::new();
    let mut market = 0;
    for round in 0..3 {
        let before = [INSURANCE, BUYBACK].map(|part| line(&world, part, USDC));
        world.accept(sell(BOB, other, 1_000, 10_000_000));
        world.accept(buy(ALICE, other, 1_000, 10_000_000));
        let after = [INSURANCE, BUYBACK].map(|part| line(&world, part, USDC));
        parts.push([after[0] - before[0], after[1] - before[1]]);
        match round {
            0 => market = token_market(&mut world),
            // While it is paused nothing can be bought there.
            _ => assert_eq!(world.accept(pause(market, 2, world.now_ns + HOUR)).accepted, 1),
        }
    }
    let part = 2 * DOLLAR;
    assert_eq!(parts, [[part, 0], [0, part], [part, 0]]);
    world.auditor.verify().unwrap();
}

#[test]
fn p8_8_a_purchase_takes_the_best_ask_burns_all_of_it_and_returns_the_rest() {
    let (mut world, market) = funded();
    assert_eq!(line(&world, BUYBACK, USDC), 2 * DOLLAR);
    // One token for $1.005 is all that is offered at the best price.
    world.accept(sell(ALICE, market, 1_005, 1_000));
    world.accept(sell(BOB, market, 1_006, 1_000_000));
    let alice = world.free(ALICE, USDC);
    world.advance(MINUTE);
    world.tick();
    let body = burnt(&world).expect("a purchase");
    assert_eq!((body.asset, body.quote, body.burnt, body.total), (MMT, USDC, TOKEN, TOKEN));
    assert_eq!(line(&world, ISSUANCE, MMT), TOKEN - SUPPLY);
    assert_eq!(world.free(ALICE, USDC), alice + 1_005_000);
    // The purchase pays the taker's fee like anybody: 20 bp, of which a tenth comes back to the line.
    assert_eq!(line(&world, BUYBACK, USDC), 2 * DOLLAR - 1_005_000 - 2_010 + 201);
    let mut world = reopened(&world);
    world.auditor.verify().unwrap();
    // What is left is less than a purchase waits for; with more there is one a minute.
    trade(&mut world, market, 2_500);
    let mut purchases = 0;
    for _ in 0..120 {
        world.advance(SECOND);
        world.tick();
        purchases += u32::from(burnt(&world).is_some());
    }
    assert_eq!(purchases, 1, "then less than a dollar is left");
    world.auditor.verify().unwrap();
}

#[test]
fn p8_8_nothing_is_bought_dearer_than_a_market_order_would_accept_or_while_trading_is_halted() {
    let (mut world, market) = funded();
    // The limit of market orders is 1 % above the reference, which the ask itself moves up to the last price at most.
    world.accept(buy(CAROL, market, 999, 1_000));
    world.accept(sell(ALICE, market, 1_011, 1_000_000));
    world.advance(MINUTE);
    world.tick();
    assert_eq!(burnt(&world), None);
    world.accept(sell(ALICE, market, 1_010, 1_000_000));
    let mut halted = world.clone();
    halted.accept(pause(market, 2, halted.now_ns + HOUR));
    halted.advance(MINUTE);
    halted.tick();
    assert_eq!(burnt(&halted), None);
    halted.auditor.verify().unwrap();
    world.advance(MINUTE);
    world.tick();
    // 1,976 lots of $0.00101 cost $1.99576 and $0.00400 of fee: one lot more would not fit into $2.
    let body = burnt(&world).expect("a purchase");
    assert_eq!((body.burnt, body.returned), (1_976_000, 0));
    assert_eq!(line(&world, BUYBACK, USDC), 2 * DOLLAR - 1_995_760 - 3_992 + 399);
}

#[test]
fn nobody_signs_for_the_account_that_buys() {
    let (mut world, market) = funded();
    world.accept(sell(ALICE, market, 1_000, 1_000_000));
    world.advance(MINUTE);
    world.tick();
    let opened = world.events().into_iter().find(|(kind, _)| *kind == EventKind::AccountOpened);
    let key = tradewind_engine::id::derive("system", b"token buyback");
    assert!(opened.is_some());
    let order = Command { account: tradewind_engine::id::account_id(&key), ..buy(ALICE, market, 1_000, 1) };
    world.refuse(order, Code::UNAUTHORIZED_SIGNER);
}

#[test]
fn i11_i15_the_auditor_knows_what_a_purchase_may_spend_and_what_it_burns() {
    let (mut world, market) = funded();
    world.accept(sell(ALICE, market, 1_000, 1_000_000));
    world.advance(MINUTE);
    let tick = |world: &mut World| {
        world.tick();
    };
    told_otherwise::<BuybackBody>(
        &mut world.clone(),
        EventKind::BuybackFunded,
        tick,
        &[
            ("amount", |body| body.amount += 1),
            ("asset", |body| body.asset = BTC),
            ("price", |body| body.price += 1),
            ("lots", |body| body.lots += 1),
        ],
    );
    told_otherwise::<BurnBody>(
        &mut world,
        EventKind::TokensBurned,
        tick,
        &[
            ("burnt", |body| body.burnt -= 1),
            ("returned", |body| body.returned += 1),
            ("total", |body| body.total += 1),
            ("asset", |body| body.asset = USDC),
            ("quote", |body| body.quote = MMT),
        ],
    );
}

#[test]
fn p8_8_purchases_are_a_minute_apart_and_end_with_less_than_a_dollar() {
    let (mut world, market) = funded();
    // Each purchase takes the first of these and leaves $0.30 less of the $2: the fifth finds $0.80.
    for _ in 0..10 {
        world.accept(sell(ALICE, market, 1_000, 300));
    }
    let mut moments = Vec::new();
    for _ in 0..600 {
        world.advance(SECOND);
        world.tick();
        if burnt(&world).is_some() {
            moments.push(world.now_ns);
        }
    }
    assert_eq!(moments.len(), 4);
    assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= MINUTE), "{moments:?}");
    assert!((DOLLAR * 3 / 4..DOLLAR).contains(&line(&world, BUYBACK, USDC)));
    world.auditor.verify().unwrap();
}
