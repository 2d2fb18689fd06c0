//! What the book does not take: the waterfall of losses (protocol P5.6, P5.8, P5.10).

use proptest::prelude::*;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Code;
use tradewind_engine::{FastBook, ReferenceBook};

use crate::arena::*;
use crate::support::*;

/// Trader 0 is long 10 contracts from 110.00 with this much money; traders 1 and 2 are short 6 and 4 against it.
pub fn long_against_two(dollars: i64) -> Arena {
    let mut arena: Arena = Arena::new(5);
    arena.price(PERP, 110.0);
    arena.deposit(0, USDC, dollars * DOLLAR);
    arena.deposit(1, USDC, 300 * DOLLAR);
    arena.deposit(2, USDC, 100_000 * DOLLAR);
    arena.deposit(3, USDC, 100_000 * DOLLAR);
    arena.trade(0, 1, PERP, 11_000, 6_000);
    arena.trade(0, 2, PERP, 11_000, 4_000);
    arena
}

pub fn fund_insurance(arena: &mut Arena, dollars: i64) {
    let payload = FundInsurance { asset: USDC, reserved: 0, reserved2: 0, amount: dollars * DOLLAR };
    arena.accept(by(trader(3), Kind::FundInsurance).with(&payload));
}

/// All money that anybody has in cash and at the mark.
fn worth(arena: &Arena, traders: u16) -> i128 {
    let people: i128 = (0..traders).map(|number| arena.margin(number).0).sum();
    people + i128::from(arena.pool(0x85)) + i128::from(arena.pool(0x86))
}

#[test]
fn without_insurance_opposing_positions_close_a_bankrupt_one_completely_best_rank_first() {
    let mut arena = long_against_two(120);
    arena.price(PERP, 97.0);
    // E = 120 − 130 = −10; nothing bids. Trader 1 is leveraged and goes first.
    assert_eq!(arena.margin(0).0, -10_000_000);
    let before = worth(&arena, 5);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    assert_eq!(arena.position(0, PERP), (0, 0));
    assert_eq!(arena.free(0), 0, "left with exactly nothing");
    let fills = arena.bodies::<AdlBody>(EventKind::AdlExecuted);
    assert_eq!(fills.len(), 2);
    assert_eq!((fills[0].0, fills[0].1.lots, fills[0].1.rank), (1, 6_000, 1));
    assert_eq!((fills[1].0, fills[1].1.lots, fills[1].1.rank), (2, 4_000, 2));
    assert!(fills[0].1.score_ppm > fills[1].1.score_ppm);
    // At the bankruptcy price 98.00: the winners realise 12 a contract instead of 13.
    assert_eq!(
        (fills[0].1.price, fills[0].1.realised, fills[1].1.realised),
        (9_800, 72 * DOLLAR, 48 * DOLLAR)
    );
    assert_eq!(worth(&arena, 5), before);
    assert_eq!((arena.position(1, PERP).0, arena.position(2, PERP).0), (0, 0));
    arena.verify_replay::<ReferenceBook>(arena.log.len() - 3);
}

#[test]
fn insurance_takes_a_bankrupt_position_at_its_bankruptcy_price_and_lends_the_fund_the_loss() {
    let mut arena = long_against_two(120);
    fund_insurance(&mut arena, 10_000);
    arena.price(PERP, 97.0);
    let before = worth(&arena, 5);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let taken = arena.bodies::<BackstopBody>(EventKind::BackstopTaken);
    assert_eq!(taken.len(), 1);
    let body = taken[0].1;
    assert_eq!((body.lots, body.value, body.draw), (10_000, 980 * DOLLAR, 10 * DOLLAR));
    assert_eq!((arena.position(0, PERP).0, arena.free(0)), (0, 0));
    assert_eq!(arena.bodies::<AdlBody>(EventKind::AdlExecuted).len(), 0);
    let fund = body.fund;
    assert_eq!(arena.engine.maintenance_of(fund, 0).expect("the fund's account").0, 0);
    assert_eq!(worth(&arena, 5), before, "the fund's account is worth nothing at this mark");
    // It is nobody's to liquidate, and what it holds in cash beyond its needs returns to insurance.
    arena.price(PERP, 99.0);
    arena.seconds(11);
    assert_eq!(arena.engine.maintenance_of(fund, 0).expect("the fund's account").0, 10_000_000);
    assert_eq!(arena.pool(0x85), 10_000 * DOLLAR);
    arena.verify_replay::<FastBook>(arena.log.len() - 20);
}

#[test]
fn insurance_takes_up_to_its_limit_and_the_rest_is_deleveraged() {
    let mut arena = long_against_two(120);
    // A fifth of $2,000 is $400: 4.12 contracts at 97.00.
    fund_insurance(&mut arena, 2_000);
    arena.price(PERP, 97.0);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let taken = arena.bodies::<BackstopBody>(EventKind::BackstopTaken)[0].1;
    assert_eq!(taken.lots, 4_123);
    let deleveraged: i64 =
        arena.bodies::<AdlBody>(EventKind::AdlExecuted).iter().map(|(_, body)| body.lots).sum();
    assert_eq!(deleveraged, 10_000 - 4_123);
    assert_eq!((arena.position(0, PERP), arena.free(0)), ((0, 0), 0));
}

#[test]
fn fees_of_earlier_liquidations_are_spent_before_insurance() {
    let mut arena = long_against_two(120);
    fund_insurance(&mut arena, 10_000);
    // Trader 4 is liquidated in the other market first, and its fee fills the pool.
    arena.deposit(4, USDC, 45_500_000);
    arena.accept(buy(trader(3), OTHER, 9_500, 50_000));
    arena.trade(4, 3, OTHER, 10_000, 4_000);
    arena.price(OTHER, 92.9);
    arena.seconds(3);
    let pool = arena.pool(0x86);
    assert!(pool > 0);
    arena.price(PERP, 97.0);
    let insurance = arena.pool(0x85);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let covered = arena.bodies::<LossCoveredBody>(EventKind::LossCovered)[0].1;
    assert_eq!((covered.stage, covered.covered), (loss_stage::FEES, pool.min(10 * DOLLAR)));
    let taken = arena.bodies::<BackstopBody>(EventKind::BackstopTaken)[0].1;
    assert_eq!(taken.draw, 10 * DOLLAR - covered.covered);
    assert_eq!(arena.pool(0x85), insurance - taken.draw);
    assert_eq!(arena.pool(0x86), pool - covered.covered);
}

#[test]
fn what_the_book_does_not_take_in_five_seconds_is_taken_over() {
    let mut arena = long_against_two(145);
    arena.price(PERP, 100.0);
    // The step begins with the passive order that goes first under a cascade.
    arena.accept(liquidate(SYSTEM, 0, PERP));
    arena.now_ns += OFFER;
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let step = arena.bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)[0].1;
    assert_eq!((step.filled_lots, step.unfilled_lots, step.fee), (0, 2_000, 0));
    let early = arena.refuse(complete(0, PERP), Code::NOTHING_DUE);
    assert_eq!(early.bound - early.given, 5 * SECOND - OFFER);
    arena.now_ns += 5 * SECOND - OFFER - 1;
    arena.refuse(complete(0, PERP), Code::NOTHING_DUE);
    arena.now_ns += 1;
    arena.accept(complete(0, PERP));
    assert_eq!((arena.position(0, PERP), arena.free(0)), ((0, 0), 0));
    let fills = arena.bodies::<AdlBody>(EventKind::AdlExecuted);
    assert_eq!(fills[0].1.price, 9_550, "at the bankruptcy price, better than the mark for those who close");
}

#[test]
fn system_completes_by_itself_and_the_whole_run_replays_from_everywhere() {
    let mut arena = long_against_two(145);
    arena.price(PERP, 100.0);
    arena.seconds(9);
    assert_eq!(arena.position(0, PERP), (0, 0));
    arena.verify_solvent(5);
    let length = arena.log.len();
    for at in length - 70..=length {
        arena.verify_replay::<FastBook>(at);
    }
    arena.verify_replay::<ReferenceBook>(length);
}

#[test]
fn collateral_of_the_bankrupt_is_seized_before_anybody_else_pays() {
    let mut arena = long_against_two(120);
    let update = UpdateAsset {
        asset: BTC,
        initial_asset_bp: 8_000,
        maintenance_asset_bp: 9_000,
        initial_liability_bp: 12_000,
        maintenance_liability_bp: 11_000,
        feed: 0,
        ..tradewind_engine::wire::Record::zero()
    };
    arena.accept(by(RISK, Kind::UpdateAsset).with(&update));
    fund_insurance(&mut arena, 10_000);
    // 0.1 BTC: worth 8.73 at 97.00 after the weight.
    arena.deposit(0, BTC, 100_000);
    arena.price(PERP, 97.0);
    assert_eq!(arena.margin(0).0, -1_270_000);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let covered = arena.bodies::<LossCoveredBody>(EventKind::LossCovered);
    let seized = covered.iter().find(|(_, body)| body.stage == loss_stage::COLLATERAL).expect("seized").1;
    assert_eq!(
        (seized.asset, seized.amount, seized.covered, seized.deficit_left),
        (BTC, 100_000, 8_730_000, 0)
    );
    assert_eq!((arena.position(0, PERP).0, arena.free(0)), (0, 0));
    let btc = arena.engine.balance(&tradewind_engine::id::account_id(&trader(0)), 0, BTC, 0);
    assert_eq!(btc, Some(0));
}

#[test]
fn a_loss_that_no_stage_covers_is_shared_by_the_winners_of_the_market_alone() {
    // Everybody short has lost everything else: nobody may be deleveraged, so the rest closes at the mark.
    let mut arena: Arena = Arena::new(5);
    arena.deposit(0, USDC, 21 * DOLLAR);
    arena.deposit(1, USDC, 60 * DOLLAR);
    arena.deposit(2, USDC, 1_000 * DOLLAR);
    // Trader 0 is long 2 in each market; trader 2 is short against it in the first, trader 1 in the other.
    arena.deposit(0, USDC, 21 * DOLLAR);
    arena.trade(0, 2, PERP, 10_000, 2_000);
    arena.trade(0, 1, OTHER, 10_000, 2_000);
    arena.price(PERP, 80.0);
    arena.seconds(20);
    assert_eq!((arena.position(0, PERP).0, arena.position(0, OTHER).0), (0, 0));
    arena.verify_solvent(5);
}

/// What a random run does next.
#[derive(Clone, Debug)]
enum Act {
    Buy(u16, u32, i64, i64),
    Sell(u16, u32, i64, i64),
    Move(u32, i64),
    Liquidate(u16, u32),
    Complete(u16, u32),
    Deposit(u16, i64),
    Insure(i64),
    Wait(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..6_u16;
    prop_oneof![
        6 => (who.clone(), 0..2_u32, -300..300_i64, 1..4_000_i64).prop_map(|(a, m, p, l)| Act::Buy(a, m, p, l)),
        6 => (who.clone(), 0..2_u32, -300..300_i64, 1..4_000_i64).prop_map(|(a, m, p, l)| Act::Sell(a, m, p, l)),
        5 => (0..2_u32, -900..900_i64).prop_map(|(m, p)| Act::Move(m, p)),
        3 => (who.clone(), 0..2_u32).prop_map(|(a, m)| Act::Liquidate(a, m)),
        1 => (who.clone(), 0..2_u32).prop_map(|(a, m)| Act::Complete(a, m)),
        1 => (who, 1..80_i64).prop_map(|(a, d)| Act::Deposit(a, d)),
        1 => (1..400_i64).prop_map(Act::Insure),
        2 => (1..12_i64).prop_map(Act::Wait),
    ]
}

fn perform(arena: &mut Arena, act: &Act) {
    match *act {
        Act::Buy(who, market, off, lots) => {
            let price = arena.mark(market) + off;
            arena.send(buy(trader(who), market, price, lots));
        }
        Act::Sell(who, market, off, lots) => {
            let price = arena.mark(market) + off;
            arena.send(sell(trader(who), market, price, lots));
        }
        Act::Move(market, ticks) => {
            let feed = market as usize;
            let wanted = (arena.prices[feed] + ticks * TICK).max(20 * DOLLAR);
            for _ in 0..40 {
                let present = arena.prices[feed];
                arena.prices[feed] = wanted.clamp(present - present / 200, present + present / 200);
                arena.now_ns += SECOND / 2;
                arena.publish_all();
                arena.tick();
                if arena.prices[feed] == wanted {
                    break;
                }
            }
        }
        Act::Liquidate(who, market) => {
            let before = arena.margin(who);
            let result = arena.send(liquidate(SYSTEM, who, market));
            assert!(result.accepted == 0 || before.0 < before.1, "a healthy one was liquidated: {before:?}");
        }
        Act::Complete(who, market) => drop(arena.send(complete(who, market))),
        Act::Deposit(who, dollars) => arena.deposit(who, USDC, dollars * DOLLAR),
        Act::Insure(dollars) => {
            let payload = FundInsurance { asset: USDC, reserved: 0, reserved2: 0, amount: dollars * DOLLAR };
            arena.send(by(trader(5), Kind::FundInsurance).with(&payload));
        }
        Act::Wait(seconds) => arena.seconds(seconds),
    }
}

/// Every sub-account below its margin is known, whatever the watch has looked at (P5.1).
fn assert_found(arena: &Arena, traders: u16) {
    for number in 0..traders {
        let (equity, maintenance) = arena.margin(number);
        let known = arena
            .engine
            .liquidations()
            .candidates
            .waiting()
            .any(|(_, one)| one.owner >> 7 == u32::from(number));
        assert!(known || equity >= maintenance, "{number} at {equity} of {maintenance} is not known");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_markets_find_everybody_and_leave_nobody_owing(acts in prop::collection::vec(act(), 1..60), cut in 0..1000_usize) {
        let mut arena: Arena = Arena::new(6);
        for number in 0..6 {
            arena.deposit(number, USDC, 400 * DOLLAR);
        }
        for act in &acts {
            perform(&mut arena, act);
            assert_found(&arena, 6);
            arena.verify_solvent(6);
        }
        arena.seconds(40);
        assert_found(&arena, 6);
        let cut = arena.log.len() * cut / 1000;
        arena.verify_replay::<FastBook>(cut);
        arena.verify_replay::<ReferenceBook>(usize::MAX);
    }
}

#[test]
fn winners_of_a_settled_market_bear_what_losers_cannot_pay_and_nobody_owes_anything() {
    let mut arena: Arena = Arena::new(4);
    arena.price(PERP, 80.0);
    arena.seconds(2_700);
    // No faster than the breakers of the price allow.
    for dollars in [86.5, 93.4, 100.0] {
        arena.price(PERP, dollars);
        arena.seconds(310);
    }
    arena.deposit(0, USDC, 110 * DOLLAR);
    arena.deposit(1, USDC, 1_000 * DOLLAR);
    arena.deposit(2, USDC, 1_000 * DOLLAR);
    arena.trade(0, 1, PERP, 10_000, 6_000);
    arena.trade(0, 2, PERP, 10_000, 4_000);
    for _ in 0..2 {
        arena.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: PERP, reserved: 0 }));
    }
    let settle = OneMarket { market: PERP, reserved: 0 };
    let price = arena.accept(by(SYSTEM, Kind::SettleMarket).with(&settle)).value as i64;
    assert!((8_200..8_600).contains(&price), "the mean of the hour, {price}");
    // The loser pays its 110; the winners share the rest of the loss 6 : 4.
    let profit = (10_000 - price) * 10 * 10_000;
    let missing = profit - 110 * DOLLAR;
    let shares = arena.bodies::<LossSocialisedBody>(EventKind::LossSocialised);
    let borne: Vec<(u32, i64)> = shares.iter().map(|(who, body)| (*who, body.share)).collect();
    assert_eq!(borne, [(1, missing * 6 / 10), (2, missing - missing * 6 / 10)]);
    assert_eq!((arena.free(0), arena.position(0, PERP).0), (0, 0));
    assert_eq!(arena.free(1) + arena.free(2), 2_110 * DOLLAR);
    assert_eq!(arena.engine.system_balance(0x87, PERP, USDC), 0);
    arena.verify_replay::<FastBook>(arena.log.len() - 1);
}

#[test]
fn a_crash_of_many_positions_ends_every_one_that_is_below_its_margin_and_conserves_every_micro() {
    use tradewind_engine::streams_crash::{Crash, Report};
    let mut crash: Crash<FastBook> = Crash::new(600).expect("the engine goes on");
    let mut report = Report::default();
    crash.bid(9_300, 3_000_000, &mut report).expect("the engine goes on");
    crash.fall(400_000, 240, &mut report).expect("the engine goes on");
    crash.wait(400, &mut report).expect("the engine goes on");
    assert!(report.flagged >= 600 && report.steps >= 600, "{report:?}");
    let engine = &crash.engine;
    assert!(engine.liquidations().is_empty(), "{} are left", engine.liquidations().len());
    let (mut long, mut short, mut cash, mut cost) = (0_i64, 0_i64, 0_i128, 0_i128);
    for position in engine.perps().sorted() {
        long += position.lots.max(0);
        short += position.lots.min(0);
        cost += i128::from(position.cost);
        let (equity, maintenance) = engine.maintenance_of(position.account, 0).expect("known");
        assert!(position.account == engine.liquidations().fund || equity >= maintenance);
    }
    assert_eq!(long, -short);
    let accounts = engine.sizes().2 as u32;
    for account in 0..accounts {
        let held = engine.perps().position(account, 0, 0).is_some_and(|position| position.lots != 0);
        let free = engine.free_of(account, 0, 1);
        assert!(free >= 0 || held, "{account} owes {free}");
        cash += i128::from(free);
    }
    let lines: i128 =
        (0x80..=0x8F_u8).flat_map(|line| [engine.system_balance(line, 0, 1)]).map(i128::from).sum();
    assert_eq!(cash - cost + lines, 0, "all lines of the settlement asset sum to zero");
}

#[test]
fn the_ranks_that_are_shown_are_the_order_in_which_positions_give_way() {
    let mut arena: Arena = Arena::new(64);
    arena.price(PERP, 110.0);
    arena.deposit(0, USDC, 460 * DOLLAR);
    // Forty short positions with every leverage between two and nine, opened at ten prices.
    for number in 1..=40_u16 {
        let share = i64::from(number * 7 % 40);
        arena.deposit(number, USDC, (12 + share) * DOLLAR);
        arena.trade(0, number, PERP, 11_000 - i64::from(number % 10) * 40, 1_000);
    }
    arena.price(PERP, 96.4);
    assert!(arena.margin(0).0 < 0, "{:?}", arena.margin(0));
    let shown = arena.engine.adl_ranks(PERP, 1);
    assert_eq!(shown.len(), 40);
    let by_entry: Vec<u32> = arena
        .engine
        .liquidations()
        .market(0)
        .expect("a market")
        .ranks
        .iter()
        .filter(|rank| rank.0 == 1)
        .map(|rank| rank.2 >> 7)
        .collect();
    let accounts: Vec<u32> = shown.iter().map(|rank| rank.account).collect();
    assert_ne!(accounts, by_entry, "leverage counts, not the entry alone");
    let mut gone = Vec::new();
    arena.accept(liquidate(SYSTEM, 0, PERP));
    gone.extend(arena.bodies::<AdlBody>(EventKind::AdlExecuted).iter().map(|(account, _)| *account));
    assert_eq!(arena.position(0, PERP), (0, 0));
    assert_eq!(gone, accounts);
    let quintiles: Vec<usize> =
        (1..=5).map(|fifth| shown.iter().filter(|rank| rank.quintile() == fifth).count()).collect();
    assert_eq!(quintiles, [8; 5]);
}
