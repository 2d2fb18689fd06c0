//! Coverage of leveraged markets through the engine (protocol P4.5, P7.1 B1, P7.5, P9.1–P9.3): real positions, a vault,
//! and what the one allows with the other.

use proptest::prelude::*;
use tradewind_engine::coverage::leverage::Term;
use tradewind_engine::coverage::worst::{leveraged, Stressed};
use tradewind_engine::halts::breaker::{id as breaker_id, phase};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{CoverageStateBody, EventKind, WorstCaseBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{FastBook, ReferenceBook};

use crate::arena::*;
use crate::leveraged::{close_position, open_sub, transfer};
use crate::support::*;

/// Ten contracts: $1,000 at 100.00.
const LOTS: i64 = 10_000;
const UNIT: i64 = 10;
const PRICE: i64 = 10_000;

fn at_risk(arena: &Arena) -> i64 {
    arena.engine.worst_cases().total() as i64
}

fn breaker(arena: &Arena) -> u8 {
    arena.engine.breaker(ALL_MARKETS, breaker_id::COVERAGE).expect("the platform has it").phase
}

/// Traders 2·n and 2·n + 1 with this many dollars each, `LOTS` long and short of each other.
fn pair(arena: &mut Arena, number: u16, dollars: i64) {
    for trader in [2 * number, 2 * number + 1] {
        arena.deposit(trader, USDC, dollars * DOLLAR);
    }
    arena.trade(2 * number, 2 * number + 1, PERP, PRICE, LOTS);
    arena.seconds(1);
}

/// What P9.1 says of a market, from every position and all of its owner's money; owners have one position each.
fn by_definition(arena: &Arena, traders: u16, market: u32) -> i64 {
    let mark = arena.mark(market);
    let stressed = (0..traders).filter_map(|number| {
        let (lots, cost) = arena.position(number, market);
        let equity = arena.free(number) - cost + lots * mark * UNIT;
        (lots != 0).then_some(Stressed { lots, equity })
    });
    leveraged(&stressed.collect::<Vec<_>>(), mark, UNIT)
}

#[test]
fn p9_1_a_tick_tells_what_positions_could_not_pay_at_the_worst_mark_of_the_grid() {
    let mut arena: Arena = Arena::covered(4, 1_000 * DOLLAR, 1_000);
    assert_eq!(at_risk(&arena), 0);
    // $150 behind $1,000: at 30 % one side is short of $150.
    pair(&mut arena, 0, 150);
    assert_eq!(at_risk(&arena), 150 * DOLLAR);
    let told: Vec<(u32, WorstCaseBody)> = arena.bodies(EventKind::WorstCaseChanged);
    assert_eq!((told[0].1.previous, told[0].1.worst_case), (0, 150 * DOLLAR));
    // Money that comes, a price that moves, and a position that goes change it with the next Tick.
    arena.deposit(0, USDC, 100 * DOLLAR);
    arena.deposit(1, USDC, 50 * DOLLAR);
    arena.tick();
    assert_eq!(at_risk(&arena), 100 * DOLLAR, "the short side with $200 is the worse one now");
    arena.price(0, 104.0);
    assert_eq!(at_risk(&arena), by_definition(&arena, 4, PERP));
    assert_eq!(at_risk(&arena), 152 * DOLLAR, "the short side has lost $40 and stands for $1,040");
    arena.price(0, 100.0);
    arena.accept(sell(trader(0), PERP, PRICE, LOTS));
    arena.accept(buy(trader(1), PERP, PRICE, LOTS));
    assert_eq!(at_risk(&arena), 100 * DOLLAR, "until the Tick");
    arena.tick();
    assert_eq!(at_risk(&arena), 0);
    arena.verify_replay::<ReferenceBook>(arena.log.len() / 2);
}

#[test]
fn an_owners_money_stands_behind_each_position_by_its_entry_and_never_twice() {
    let mut arena: Arena = Arena::covered(3, 10_000 * DOLLAR, 1_000);
    arena.deposit(0, USDC, 400 * DOLLAR);
    arena.deposit(1, USDC, 10_000 * DOLLAR);
    arena.trade(0, 1, PERP, PRICE, LOTS);
    arena.trade(0, 1, OTHER, PRICE, 3 * LOTS);
    arena.seconds(1);
    // $100 behind $1,000 and $300 behind $3,000: at −30 % each is short of twice that.
    let parts: Vec<i64> = arena.engine.worst_cases().parts().map(|(_, part)| part.worst_case).collect();
    assert_eq!(parts, [200 * DOLLAR, 600 * DOLLAR]);
    // Both fall together until a correlation below one is published (P9.4).
    assert_eq!(at_risk(&arena), 800 * DOLLAR);
}

#[test]
fn p7_1_b1_trips_with_real_positions_and_recovers_with_the_vault() {
    let mut arena: Arena = Arena::covered(10, 300 * DOLLAR, 1_000);
    pair(&mut arena, 0, 150);
    pair(&mut arena, 1, 150);
    // c = 300/300: new risk is allowed, a warning stands.
    assert_eq!((at_risk(&arena), breaker(&arena)), (300 * DOLLAR, phase::CLOSED));
    pair(&mut arena, 2, 150);
    assert_eq!(at_risk(&arena), 450 * DOLLAR);
    // P7.5, coverage below 1.0: no new leveraged risk; reducing, cancelling and deposits go on.
    arena.deposit(6, USDC, 150 * DOLLAR);
    arena.refuse(buy(trader(6), PERP, PRICE, LOTS), Code::COVERAGE_TOO_LOW);
    let reducing = |price: i64, lots: i64| {
        let order = limit(PERP, side::SELL, price, lots);
        place(trader(0), PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..order })
    };
    let resting = arena.accept(reducing(PRICE + 50, 1)).value;
    arena.accept(cancel(trader(0), resting));
    // A price that takes their margin takes coverage below a half: $105 lost of $450 behind the long side.
    arena.price(0, 91.0);
    let body: Vec<(u32, CoverageStateBody)> = arena.bodies(EventKind::CoverageStateChanged);
    assert!(body.len() <= 1);
    assert!(at_risk(&arena) > 600 * DOLLAR, "{}", at_risk(&arena));
    assert_eq!(breaker(&arena), phase::TRIPPED);
    arena.refuse(buy(trader(6), PERP, 9_100, LOTS), Code::BREAKER_ACTIVE);
    arena.refuse(
        by(OPERATOR, Kind::RequestVaultExit).with(&RequestVaultExit { shares: DOLLAR }),
        Code::BREAKER_ACTIVE,
    );
    // Closing is possible, and it lowers what is at risk.
    arena.accept(reducing(9_100, LOTS));
    arena.accept(close_position(trader(1), PERP, 0, 0));
    // The vault is filled again; coverage has to hold for 300 s and the halt for 900 s.
    arena.cover(10_000 * DOLLAR);
    arena.seconds(890);
    assert_ne!(breaker(&arena), phase::CLOSED);
    arena.refuse(buy(trader(6), PERP, 9_100, LOTS), Code::BREAKER_ACTIVE);
    arena.seconds(400);
    assert_eq!(breaker(&arena), phase::CLOSED);
    arena.accept(buy(trader(6), PERP, 9_100, LOTS));
    arena.verify_replay::<FastBook>(arena.log.len() - 50);
}

#[test]
fn p9_10_no_removal_leaves_the_platform_covered_by_less_than_a_half() {
    for counted in [false, true] {
        let mut arena: Arena = Arena::covered(4, 90 * DOLLAR, 1_000);
        arena.accept(open_sub(trader(0), 1, 0));
        for number in [0, 1] {
            arena.deposit(number, USDC, 500 * DOLLAR);
        }
        arena.trade(0, 1, PERP, PRICE, LOTS);
        if counted {
            arena.seconds(1);
        }
        // A move of 30 % costs $300: with $120 left 90 of 180 are covered, with a micro-unit less not half of it.
        assert_eq!(at_risk(&arena), 0);
        let most = arena.free(0) - 120 * DOLLAR;
        let out = |amount| transfer(trader(0), 0, 1, USDC, amount);
        let refused = arena.refuse(out(most + 1), Code::COVERAGE_TOO_LOW);
        assert_eq!((refused.bound, refused.given), (500_000, 499_999), "{counted}");
        // What covers nothing of it may leave, and what the margin keeps is refused by the margin.
        arena.refuse(out(most + 30 * DOLLAR), Code::INSUFFICIENT_FREE_COLLATERAL);
        // In two parts before the next Tick it is the same.
        arena.accept(out(most - 80 * DOLLAR));
        arena.refuse(out(80 * DOLLAR + 1), Code::COVERAGE_TOO_LOW);
        arena.accept(out(80 * DOLLAR));
        arena.seconds(1);
        assert_eq!((at_risk(&arena), breaker(&arena)), (180 * DOLLAR, phase::CLOSED));
        arena.accept(transfer(trader(0), 1, 0, USDC, most));
        arena.seconds(1);
        assert_eq!(at_risk(&arena), 0);
    }
}

#[test]
fn p4_5_falling_coverage_lowers_the_leverage_of_new_risk_and_moves_no_maintenance() {
    let mut arena: Arena = Arena::covered(10, 350 * DOLLAR, 10_000);
    for number in 0..10 {
        let until = SetSuitability { level: 1, expiry_ns: arena.now_ns + DAY, ..Record::zero() };
        let suitable = by(trader(number), Kind::SetSuitability).with(&until);
        arena.accept(Command { principal: RISK, ..suitable });
    }
    pair(&mut arena, 0, 150);
    let cap = |arena: &Arena| arena.engine.perps().cover_cap_e2;
    assert_eq!((at_risk(&arena), cap(&arena)), (150 * DOLLAR, 10_000), "c = 2.33");
    let margin = arena.margin(0).1;
    let order = |number: u16, leverage_e2: u16| {
        place(trader(number), PlaceOrder { leverage_e2, ..limit(PERP, side::BUY, PRICE - 100, 10) })
    };
    arena.deposit(8, USDC, 1_000 * DOLLAR);
    arena.accept(order(8, 6_000));
    arena.accept(cancel_all(trader(8), PERP));
    // $195 behind $1,000: $105 more at risk.
    pair(&mut arena, 1, 195);
    assert_eq!((at_risk(&arena), cap(&arena)), (255 * DOLLAR, 2_000), "c = 1.37");
    let refused = arena.refuse(order(8, 2_001), Code::LEVERAGE_TOO_HIGH);
    assert_eq!(refused.bound, (Term::Ladder as i64) << 32 | 2_000);
    arena.accept(order(8, 2_000));
    arena.accept(cancel_all(trader(8), PERP));
    pair(&mut arena, 2, 250);
    assert_eq!((at_risk(&arena), cap(&arena)), (305 * DOLLAR, 1_000), "c = 1.15");
    arena.refuse(order(8, 1_001), Code::LEVERAGE_TOO_HIGH);
    assert_eq!(arena.margin(0).1, margin, "P4.2: falling coverage moves no maintenance");
    // The vault is filled again: the next Tick allows more.
    arena.cover(1_000 * DOLLAR);
    arena.tick();
    assert_eq!(cap(&arena), 10_000);
    arena.accept(order(8, 6_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Whatever was traded, paid in and moved: with the next Tick the exposure is the definition's, in an engine and
    /// in its restored twin.
    #[test]
    fn p9_1_the_worst_case_is_the_definitions_at_every_tick(
        moves in prop::collection::vec((0_u16..6, 0_u16..6, 1_i64..20, -8_i64..9, 0_i64..200), 1..30),
    ) {
        let mut arena: Arena = Arena::new(6);
        for number in 0..6 {
            arena.deposit(number, USDC, (300 + 40 * i64::from(number)) * DOLLAR);
        }
        let mut price = 100.0;
        for (buyer, seller, thousand, step, dollars) in moves {
            if buyer != seller {
                let ticks = arena.mark(PERP);
                arena.send(sell(trader(seller), PERP, ticks, thousand * 500));
                arena.send(buy(trader(buyer), PERP, ticks, thousand * 500));
                for owner in [buyer, seller] {
                    arena.send(cancel_all(trader(owner), PERP));
                }
            }
            if dollars > 150 {
                arena.deposit(seller, USDC, dollars * DOLLAR);
            }
            price = (price + step as f64 * 0.25).clamp(98.5, 101.5);
            arena.price(0, price);
            arena.seconds(1);
            prop_assert_eq!(at_risk(&arena), by_definition(&arena, 6, PERP));
        }
        arena.verify_replay::<ReferenceBook>(arena.log.len() * 2 / 3);
    }
}
