//! What the state of a market adds to the elastic fee (P8.3), the points for a better price (P8.6), and the profile of
//! P8.9.

use tradewind_engine::fees;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind, FeeBody, FeeDepthBody, FeeLoadBody, TradeBody};
use tradewind_engine::wire::Code;

use crate::fee_tiers::*;
use crate::loans_audit::told_otherwise;
use crate::outcome::{outcome_request, with_outcomes};
use crate::support::*;
use tradewind_engine::market::market_flag::ELASTIC_FEE;
use tradewind_engine::wire::Record;

const MINUTE: i64 = 60 * SECOND;

fn bp(told: &FeeBody) -> (u16, u64) {
    (told.adjustment_bp, told.rate_e8 / u64::from(fees::BP_E8))
}

/// The vault has $10,000 and nothing at risk: the curve asks for 3 bp. Bids of $15,000 stand 0.5 % below 100,000.
fn calm() -> (World, u32) {
    let mut world: World = World::leveraged();
    let market = elastic_market(&mut world);
    let vault = by(CAROL, Kind::DepositVault).with(&DepositVault { amount: 10_000 * DOLLAR });
    world.accept(vault);
    world.accept(buy(CAROL, market, 99_500, 150_000));
    world.wait(MINUTE);
    (world, market)
}

fn depths(world: &World) -> Vec<(i64, u8)> {
    let told = world.events().into_iter().filter(|(kind, _)| *kind == EventKind::FeeDepthChanged);
    told.map(|(_, event)| event.body_as::<FeeDepthBody>()).map(|body| (body.depth, body.bp)).collect()
}

#[test]
fn p8_3_a_cancel_alone_makes_a_book_be_measured_again() {
    let (mut world, market) = calm();
    // Nothing has happened in the book for two looks.
    second(&mut world);
    second(&mut world);
    assert_eq!(depths(&world), []);
    world.accept(cancel_all(CAROL, market));
    second(&mut world);
    assert_eq!(depths(&world), [(0, 2)]);
}

/// A second later, with a Tick.
fn second(world: &mut World) {
    world.advance(SECOND);
    world.tick();
}

#[test]
fn p8_3_a_thin_book_adds_one_or_two_bp_from_the_tick_that_sees_it() {
    let (mut world, market) = calm();
    assert_eq!(bp(&trade(&mut world, market, (BOB, ALICE), 1)), (0, 3));
    world.accept(cancel_all(CAROL, market));
    // What the last look has seen counts until the next one.
    assert_eq!(bp(&trade(&mut world, market, (BOB, ALICE), 1)), (0, 3));
    second(&mut world);
    assert_eq!(depths(&world), [(0, 2)]);
    assert_eq!(bp(&trade(&mut world, market, (BOB, ALICE), 1)), (2, 5));
    world.accept(buy(CAROL, market, 99_500, 10_051));
    second(&mut world);
    assert_eq!(depths(&world), [(10_051 * 99_500, 1)]);
    // What is further than 2 % from the middle is no depth, what is nearer is.
    world.accept(sell(BOB, market, 103_700, 1_000_000));
    second(&mut world);
    assert_eq!(depths(&world), [(0, 2)]);
    let mut world = reopened(&world);
    world.accept(sell(BOB, market, 99_600, 1_000_000));
    second(&mut world);
    assert_eq!(depths(&world), [(10_000 * DOLLAR, 0)]);
    world.auditor.verify().unwrap();
}

#[test]
fn p8_3_moves_of_the_price_add_up_to_three_bp_after_half_an_hour_and_fade() {
    let (mut world, market) = calm();
    for minute in 0..40 {
        let told = trade_at(&mut world, market, 100_000 + minute % 2 * 100);
        // A move of 0.1 % a minute is 72 % a year; it is known from the thirtieth minute on.
        assert_eq!(told.adjustment_bp, if minute < 30 { 0 } else { 3 }, "minute {minute}");
        world.advance(MINUTE);
        world.tick();
    }
    let mut world = reopened(&world);
    assert_eq!(bp(&trade_at(&mut world, market, 100_000)), (3, 6));
    world.wait(3 * HOUR);
    assert_eq!(trade_at(&mut world, market, 100_000).adjustment_bp, 0);
    world.auditor.verify().unwrap();
}

/// BOB sells a lot to ALICE at a price.
fn trade_at(world: &mut World, market: u32, price: i64) -> FeeBody {
    world.accept(sell(BOB, market, price, 10));
    world.accept(buy(ALICE, market, price, 10));
    charged(world)
}

#[test]
fn p8_3_what_is_added_stops_at_28_bp() {
    let mut world: World = World::leveraged();
    let market = elastic_market(&mut world);
    trade(&mut world, market, (BOB, ALICE), 1);
    second(&mut world);
    assert_eq!(bp(&trade(&mut world, market, (BOB, ALICE), 1)), (2, 28), "BOOTSTRAP asks for 28 already");
}

#[test]
fn p8_3_a_pool_adds_for_its_depth_and_for_its_moves() {
    let (mut world, _) = calm();
    let market = with_outcomes(&mut world, 2);
    let pool = CreatePool { market, funding: 3_000 * DOLLAR, ..CreatePool::zero() };
    world.accept(by(OPERATOR, Kind::CreatePool).with(&pool));
    for minute in 0..40 {
        let outcome = (minute % 2) as u8;
        let swap =
            SwapAmm { market, outcome, side: side::BUY, amount: 10 * DOLLAR, limit: 1, ..SwapAmm::zero() };
        world.accept(by(ALICE, Kind::SwapAmm).with(&swap));
        assert_eq!(charged(&world).adjustment_bp, if minute < 30 { 1 } else { 4 }, "minute {minute}");
        world.advance(MINUTE);
        world.tick();
        if minute == 20 {
            world = reopened(&world);
        }
    }
    world.auditor.verify().unwrap();
}

#[test]
fn p8_3_more_than_four_fifths_of_the_capacity_in_a_second_add_one_bp_until_one_has_fewer() {
    let (mut world, market) = calm();
    let lower = SetParameter { parameter: 100, config_version: 0, value: 1_000 };
    world.govern(Command::new(Kind::SetParameter).with(&lower), 0);
    world.accept(cancel_all(CAROL, market));
    world.accept(buy(CAROL, market, 99_500, 150_000));
    second(&mut world);
    let rest = SECOND - world.now_ns.rem_euclid(SECOND);
    world.advance(rest);
    for _ in 0..801 {
        world.tick();
    }
    second(&mut world);
    let told = world.events().into_iter().find(|(kind, _)| *kind == EventKind::FeeLoadChanged);
    let body: FeeLoadBody = told.expect("the load").1.body_as();
    assert_eq!((body.capacity, body.bp), (1_000, 1));
    assert!((801..=802).contains(&body.commands), "{}", body.commands);
    assert_eq!(bp(&trade(&mut world, market, (BOB, ALICE), 1)), (1, 4));
    let mut world = reopened(&world);
    second(&mut world);
    assert_eq!(bp(&trade(&mut world, market, (BOB, ALICE), 1)), (0, 3));
    world.auditor.verify().unwrap();
}

#[test]
fn p8_6_a_maker_that_betters_the_best_price_by_a_basis_point_has_five_points_more() {
    let (mut world, market) = calm();
    world.accept(sell(BOB, market, 100_500, 1_000));
    // The middle is 100,000: a basis point of it are 10 ticks.
    for (price, rebate_pct) in [(100_491, 20), (100_490, 25), (100_400, 25)] {
        world.accept(sell(BOB, market, price, 1_000));
        world = reopened(&world);
        world.accept(buy(ALICE, market, price, 1_000));
        let told = charged(&world);
        assert_eq!((told.rebate_pct, told.rebate), (rebate_pct, told.fee * i64::from(rebate_pct) / 100));
        let filled: TradeBody =
            world.events().into_iter().find(|(kind, _)| *kind == EventKind::Trade).unwrap().1.body_as();
        assert_eq!(filled.maker_fee, -told.rebate);
    }
    // Moved to a better price it has the points, moved back it has not.
    let order = world.accept(sell(BOB, market, 100_600, 1_000)).value;
    world.accept(replace(BOB, order, 100_400, 1_000));
    let mut better = world.clone();
    better.accept(buy(ALICE, market, 100_400, 1_000));
    assert_eq!(charged(&better).rebate_pct, 25);
    world.accept(replace(BOB, order, 100_500, 1_000));
    world.accept(buy(ALICE, market, 100_500, 2_000));
    let told: Vec<u8> = world
        .events()
        .into_iter()
        .filter(|(kind, _)| *kind == EventKind::FeeCharged)
        .map(|(_, event)| event.body_as::<FeeBody>().rebate_pct)
        .collect();
    assert_eq!(told, [20, 20]);
    world.auditor.verify().unwrap();
}

#[test]
fn p8_6_without_a_middle_no_order_betters_it() {
    let (mut world, market) = calm();
    for price in [101_000, 100_500] {
        // The book has no ask when the first one comes, and the first one is gone when the second comes.
        let told = trade_at(&mut world, market, price);
        assert_eq!(told.rebate_pct, 20);
    }
}

fn set(parameter: u32, value: i64, version: u32) -> Command {
    Command::new(Kind::SetParameter).with(&SetParameter { parameter, config_version: version, value })
}

#[test]
fn p8_7_the_makers_share_is_governed_and_never_more_than_half() {
    let (mut world, market) = calm();
    world.refuse(propose(set(101, 51, 0), 0), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(propose(set(101, -1, 0), 0), Code::PARAMETER_OUT_OF_BOUNDS);
    world.govern(set(101, 48, 0), 0);
    world.accept(buy(CAROL, market, 99_500, 150_000));
    world.accept(sell(BOB, market, 100_500, 1_000));
    let mut world = reopened(&world);
    world.accept(sell(BOB, market, 100_000, 1_000));
    world.accept(buy(ALICE, market, 100_500, 2_000));
    let told: Vec<u8> = world
        .events()
        .into_iter()
        .filter(|(kind, _)| *kind == EventKind::FeeCharged)
        .map(|(_, event)| event.body_as::<FeeBody>().rebate_pct)
        .collect();
    assert_eq!(told, [50, 48]);
    world.auditor.verify().unwrap();
}

#[test]
fn p8_9_the_profile_post_emission_has_flat_rates_and_another_split() {
    let (mut world, market) = calm();
    let outcomes = CreateMarket { taker_fee_e6bp: 20_000_000, ..outcome_request(31, 2) };
    let request = CreateMarket { market_flags: ELASTIC_FEE, taker_fee_e6bp: 50_000_000, ..outcomes };
    world.refuse(by(OPERATOR, Kind::CreateMarket).with(&request), Code::PARAMETER_OUT_OF_BOUNDS);
    world.govern(set(102, 1, 0), 0);
    world.accept(buy(CAROL, market, 99_500, 150_000));
    let line = |world: &World, line| world.engine.system_balance(line, 0, USDC);
    let lines = |world: &World| [0x83, 0x88, 0x89, 0x85, 0x8B].map(|number| line(world, number));
    let before = lines(&world);
    let told = trade(&mut world, market, (BOB, ALICE), 100);
    // The market's own 28 bp, whatever coverage is; a fifth of 280,000 to the maker, the rest by 50, 30 and 20.
    assert_eq!(
        (told.rate_e8, told.adjustment_bp, told.fee, told.rebate),
        (2_800_000_000, 0, 280_000, 56_000)
    );
    let after = lines(&world);
    let parts: Vec<i64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(parts, [112_000, 0, 67_200, 0, 44_800]);
    // The rates that it names, beyond what the elastic fee ever asks for, and its bounds.
    for (fee_bp, accepted) in [(4, false), (5, true), (20, true), (30, true), (50, true), (100, true)] {
        let request =
            CreateMarket { taker_fee_e6bp: fee_bp * 1_000_000, nonce: 90 + u64::from(fee_bp), ..request };
        let command = by(OPERATOR, Kind::CreateMarket).with(&request);
        if !accepted {
            world.refuse(command, Code::PARAMETER_OUT_OF_BOUNDS);
            continue;
        }
        let market = world.accept(command).value as u32;
        world.accept(place(BOB, crate::outcome_books::on(market, 1, side::BUY, 100, 100_000)));
        world.accept(place(ALICE, crate::outcome_books::on(market, 0, side::BUY, 900, 100_000)));
        let told = charged(&world);
        assert_eq!((told.rate_e8, told.fee), (u64::from(fee_bp) * 100_000_000, i64::from(fee_bp) * 1_000));
    }
    let mut world = reopened(&world);
    trade(&mut world, market, (BOB, ALICE), 100);
    world.auditor.verify().unwrap();
}

#[test]
fn i12_the_auditor_measures_depth_load_moves_and_rebate_by_itself() {
    let (mut world, market) = calm();
    world.accept(buy(CAROL, market, 99_900, 1_000));
    world.accept(sell(BOB, market, 100_400, 1_000));
    world.accept(sell(BOB, market, 100_000, 1_000));
    told_otherwise::<FeeBody>(
        &mut world.clone(),
        EventKind::FeeCharged,
        |world| assert_eq!(world.accept(buy(ALICE, market, 100_000, 1_000)).accepted, 1),
        &[
            ("adjustment", |body| {
                body.adjustment_bp = 1;
                body.rate_e8 += 100_000_000;
            }),
            ("rebate", |body| {
                body.rebate_pct = 20;
                body.rebate = body.fee / 5;
            }),
            ("more than half", |body| {
                body.rebate_pct = 51;
                body.rebate = body.fee * 51 / 100;
            }),
        ],
    );
    world.accept(cancel_all(CAROL, market));
    told_otherwise::<FeeDepthBody>(
        &mut world,
        EventKind::FeeDepthChanged,
        second,
        &[
            ("depth", |body| body.depth += 1),
            ("step", |body| body.bp = 0),
            ("step before", |body| body.previous_bp = 1),
            ("book", |body| body.outcome = 1),
        ],
    );
}
