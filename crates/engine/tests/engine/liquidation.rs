//! Liquidation: who is found, when, what a step does (protocol P5.1–P5.5, P5.7, P5.9, rows 0404 and 0405).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Code;
use tradewind_engine::{FastBook, ReferenceBook};

use crate::arena::*;
use crate::support::*;

/// Trader 0 is long 10 contracts from 110.00 with $145; at 100.00 its equity is $45 against a margin of $50, the golden
/// case of P5.2. Trader 1 is short against it, trader 2 has money for bids.
pub fn golden() -> Arena {
    let mut arena: Arena = Arena::new(4);
    arena.price(PERP, 110.0);
    arena.deposit(0, USDC, 145 * DOLLAR);
    arena.deposit(1, USDC, 100_000 * DOLLAR);
    arena.deposit(2, USDC, 100_000 * DOLLAR);
    arena.trade(0, 1, PERP, 11_000, 10_000);
    arena
}

#[test]
fn a_position_is_flagged_by_the_mark_that_takes_it_below_its_margin_and_warned_before() {
    let mut arena = golden();
    let mut seen = Vec::new();
    for dollars in [107.0, 104.0, 103.0, 101.0, 100.6, 100.5, 100.4] {
        let from = arena.log.len();
        arena.price(PERP, dollars);
        seen.push((dollars, arena.warnings(from)));
    }
    let of = |wanted: f64| &seen.iter().find(|(dollars, _)| *dollars == wanted).expect("a step").1;
    // E = 10·p − 955, MM = p/2: 1.5 below 103.24, 1.25 below 101.87, 1.1 below 101.06, 1 below 100.53.
    assert_eq!(of(104.0), &[]);
    assert_eq!(of(103.0), &[(EventKind::HealthWarning, 1)]);
    assert_eq!(of(101.0), &[(EventKind::HealthWarning, 2), (EventKind::HealthWarning, 3)]);
    assert_eq!(of(100.6), &[]);
    assert_eq!(of(100.5), &[(EventKind::LiquidationFlagged, 0)]);
    assert_eq!(of(100.4), &[]);
    assert_eq!(arena.engine.liquidations().len(), 1);
    arena.verify_replay::<FastBook>(usize::MAX);
}

impl Arena {
    /// Warnings and flags of trader 0 since a command of the log, with their levels.
    fn warnings(&self, from: usize) -> Vec<(EventKind, u8)> {
        let events = self.history.iter().filter(|event| event.seq > from as u64);
        events
            .filter_map(|event| match EventKind::from_code(event.kind) {
                Some(kind @ EventKind::HealthWarning) => Some((kind, event.body_as::<HealthBody>().level)),
                Some(kind @ EventKind::LiquidationFlagged) => Some((kind, 0)),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn the_golden_step_sells_two_contracts_and_ends_at_1_1() {
    let mut arena = golden();
    arena.accept(buy(trader(2), PERP, 10_000, 50_000));
    arena.price(PERP, 100.0);
    assert_eq!(arena.margin(0), (45_000_000, 50_000_000));
    let result = arena.accept(liquidate(SYSTEM, 0, PERP));
    assert_eq!(result.value, u64::from(PERP));
    let (account, step) = arena.bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)[0];
    assert_eq!((account, step.filled_lots, step.unfilled_lots), (0, 2_000, 0));
    assert_eq!((step.notional, step.fee), (200 * DOLLAR, DOLLAR));
    assert_eq!((step.ratio_before_ppm, step.ratio_ppm), (900_000, 1_100_000));
    assert_eq!(arena.margin(0), (44_000_000, 40_000_000));
    assert_eq!(arena.position(0, PERP).0, 8_000);
    assert_eq!(arena.position(2, PERP).0, 2_000);
    assert_eq!(arena.engine.liquidations().len(), 0, "healthy again");
    // SYSTEM earns nothing: half of the fee to the pool, half to insurance.
    let pools = (arena.pool(0x86), arena.pool(0x85));
    assert_eq!(pools, (DOLLAR / 2, DOLLAR / 2));
    arena.refuse(liquidate(SYSTEM, 0, PERP), Code::POSITION_HEALTHY);
    for at in 0..arena.log.len() {
        if at + 30 > arena.log.len() {
            arena.verify_replay::<FastBook>(at);
        }
    }
    arena.verify_replay::<ReferenceBook>(usize::MAX);
}

#[test]
fn nobody_healthy_or_without_a_position_is_liquidated() {
    let mut arena = golden();
    arena.price(PERP, 101.0);
    arena.refuse(liquidate(SYSTEM, 0, PERP), Code::POSITION_HEALTHY);
    arena.refuse(liquidate(SYSTEM, 0, OTHER), Code::POSITION_NOT_FOUND);
    arena.refuse(liquidate(SYSTEM, 3, PERP), Code::POSITION_NOT_FOUND);
    arena.refuse(liquidate(SYSTEM, 99, PERP), Code::ACCOUNT_NOT_FOUND);
    arena.refuse(complete(0, PERP), Code::NOTHING_DUE);
    arena.price(PERP, 100.0);
    assert_eq!(arena.margin(0), (45_000_000, 50_000_000));
    // Exactly at its margin a position is healthy: $5 more.
    arena.deposit(0, USDC, 5 * DOLLAR);
    assert_eq!(arena.margin(0), (50_000_000, 50_000_000));
    arena.refuse(liquidate(SYSTEM, 0, PERP), Code::POSITION_HEALTHY);
    assert_eq!(arena.engine.liquidations().len(), 0, "money that comes in ends a liquidation");
}

#[test]
fn system_acts_two_seconds_after_keepers_could() {
    let mut arena = golden();
    arena.accept(buy(trader(2), PERP, 10_000, 50_000));
    arena.price(PERP, 100.0);
    let flagged_ns = arena.engine.liquidations().candidates.waiting().next().expect("flagged").1.flagged_ns;
    arena.now_ns = flagged_ns + 2 * SECOND - 1;
    arena.tick();
    assert_eq!(arena.position(0, PERP).0, 10_000);
    arena.now_ns += 1;
    arena.tick();
    assert_eq!(arena.position(0, PERP).0, 8_000);
}

/// Traders 0 and 4 are long 1,500 contracts from 110.00 with this much money, trader 1 short against both; trader 2 bids
/// 6,000 at 99.00..100.00.
fn two_large(dollars: i64) -> Arena {
    let mut arena: Arena = Arena::new(5);
    arena.price(PERP, 110.0);
    for number in [1, 2] {
        arena.deposit(number, USDC, 1_000_000 * DOLLAR);
    }
    for number in [0, 4] {
        arena.deposit(number, USDC, dollars * DOLLAR);
        arena.trade(number, 1, PERP, 11_000, 1_500_000);
    }
    arena.accept(buy(trader(2), PERP, 10_000, 6_000_000));
    arena
}

#[test]
fn a_large_position_waits_between_tranches_and_a_market_sells_no_more_than_its_rate() {
    let mut arena = two_large(21_900);
    arena.price(PERP, 100.0);
    assert_eq!(arena.margin(0), (6_900 * 1_000_000, 7_500 * 1_000_000));
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
    // Two percent of $300,000 are less than the least rate of $10,000 a second.
    assert_eq!((start.rate_left, start.lots, start.cut), (10_000 * DOLLAR, 100_000, 3));
    let cooling = arena.refuse(liquidate(SYSTEM, 0, PERP), Code::TRANCHE_COOLDOWN);
    assert_eq!((cooling.bound, cooling.given), (arena.now_ns + 30 * SECOND, arena.now_ns));
    let limited = arena.refuse(liquidate(SYSTEM, 4, PERP), Code::LIQUIDATION_RATE_LIMITED);
    assert_eq!((limited.bound, limited.given), (10_000 * DOLLAR, 0));
    arena.now_ns += SECOND / 2;
    arena.accept(liquidate(SYSTEM, 4, PERP));
    let (_, half) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
    assert_eq!((half.rate_left, half.lots), (5_000 * DOLLAR, 50_000), "half a second, half of the bucket");
    arena.refuse(liquidate(SYSTEM, 0, PERP), Code::TRANCHE_COOLDOWN);
    // Deep under there is no cool-down: E < 2/3 MM.
    arena.price(PERP, 98.0);
    let (equity, maintenance) = arena.margin(0);
    assert!(equity > 0 && 3 * equity < 2 * maintenance, "{equity} of {maintenance}");
    arena.now_ns += SECOND;
    arena.accept(liquidate(SYSTEM, 0, PERP));
}

#[test]
fn the_order_of_systems_own_steps_is_by_ratio_and_not_by_account() {
    let mut arena: Arena = Arena::new(6);
    arena.price(PERP, 110.0);
    arena.deposit(1, USDC, 100_000 * DOLLAR);
    arena.deposit(2, USDC, 100_000 * DOLLAR);
    for (number, dollars) in [(0, 145), (3, 142), (4, 143), (5, 142)] {
        arena.deposit(number, USDC, dollars * DOLLAR);
        arena.trade(number, 1, PERP, 11_000, 10_000);
    }
    arena.accept(buy(trader(2), PERP, 10_000, 500_000));
    arena.price(PERP, 100.0);
    assert_eq!(arena.engine.liquidations().len(), 4);
    arena.now_ns += 3 * SECOND;
    arena.tick();
    let order: Vec<u32> = arena
        .bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)
        .iter()
        .map(|step| step.0)
        .collect();
    assert_eq!(order, [3, 5, 4, 0], "lowest ratio first, equal ones by id");
}

#[test]
fn open_orders_go_before_anything_is_sold() {
    let mut arena = golden();
    arena.accept(buy(trader(2), PERP, 10_000, 50_000));
    arena.accept(buy(trader(0), PERP, 9_900, 100));
    arena.accept(buy(trader(0), OTHER, 9_900, 100));
    arena.price(PERP, 100.0);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let kinds = arena.kinds();
    let first_sale = kinds.iter().position(|&kind| kind == EventKind::LiquidationStarted).expect("a step");
    let cancels: Vec<CancelBody> =
        arena.bodies(EventKind::OrderCancelled).into_iter().map(|(_, body)| body).collect();
    assert_eq!(cancels.len(), 2);
    assert!(cancels.iter().all(|body: &CancelBody| body.reason == cancel_reason::LIQUIDATION));
    assert!(kinds[..first_sale].iter().filter(|&&kind| kind == EventKind::OrderCancelled).count() == 2);
}

#[test]
fn of_several_markets_the_one_with_the_largest_margin_is_reduced_first() {
    let mut arena = golden();
    arena.accept(buy(trader(2), PERP, 10_000, 50_000));
    arena.deposit(0, USDC, 20 * DOLLAR);
    arena.trade(0, 1, OTHER, 10_000, 1_000);
    arena.price(PERP, 98.6);
    let (equity, maintenance) = arena.margin(0);
    assert!(0 < equity && equity < maintenance, "{equity} of {maintenance}");
    let result = arena.accept(liquidate(SYSTEM, 0, OTHER));
    assert_eq!(result.value, u64::from(PERP));
    assert_eq!(arena.position(0, OTHER).0, 1_000);
}

#[test]
fn a_sale_stops_at_two_and_a_half_percent_and_at_bankruptcy() {
    let mut arena = golden();
    // Bankruptcy is at 95.50; a bid below 97.50 is out of reach.
    arena.accept(buy(trader(2), PERP, 9_749, 50_000));
    arena.price(PERP, 100.0);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    // Nothing bids at the mark, and the cascade lets a passive order go first.
    arena.now_ns += OFFER;
    arena.accept(liquidate(SYSTEM, 0, PERP));
    let (_, start) = arena.bodies::<LiquidationStartBody>(EventKind::LiquidationStarted)[0];
    assert_eq!(start.limit, 9_750);
    let (_, step) = arena.bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)[0];
    assert_eq!((step.filled_lots, step.fee), (0, 0));
    assert_eq!(arena.engine.perps().of_market(PERP).expect("a market").mark, 10_000);
}

#[test]
fn a_stale_feed_stops_liquidation_and_the_first_good_price_lets_it_go_on() {
    let mut arena = golden();
    // Without an index the mark is the book's: a last trade that leaves the position below its margin.
    arena.deposit(3, USDC, 1_000 * DOLLAR);
    arena.price(PERP, 100.6);
    arena.trade(2, 3, PERP, 10_050, 1_000);
    arena.price(PERP, 100.4);
    arena.publishing(false);
    arena.seconds(8);
    let refusal = arena.refuse(liquidate(SYSTEM, 0, PERP), Code::STALE_PRICE);
    assert!(refusal.bound > 0);
    arena.refuse(complete(0, PERP), Code::STALE_PRICE);
    arena.seconds(5);
    assert_eq!(arena.position(0, PERP).0, 10_000, "SYSTEM waits as well");
    arena.publishing(true);
    arena.seconds(30);
    assert_eq!(arena.position(0, PERP).0, 0);
    arena.verify_solvent(4);
}

#[test]
fn a_cascade_closes_the_market_for_new_risk_until_it_is_over() {
    let mut arena = golden();
    arena.price(PERP, 100.0);
    let shown = arena.history.iter().filter(|event| event.kind == EventKind::CascadeChanged as u16);
    let shown: Vec<CascadeBody> = shown.map(|event| event.body_as()).collect();
    assert_eq!((shown.len(), shown[0].active), (1, 1), "all of the open interest is pending");
    arena.refuse(buy(trader(2), PERP, 10_000, 1_000), Code::BREAKER_ACTIVE);
    // Reducing stays possible: trader 1 buys back from the one who is liquidated, or from anybody.
    arena.accept(buy(trader(1), PERP, 10_000, 10_000));
    arena.accept(liquidate(SYSTEM, 0, PERP));
    assert_eq!(arena.position(0, PERP).0, 8_000);
    arena.seconds(1);
    let ended = arena.history.iter().rfind(|event| event.kind == EventKind::CascadeChanged as u16);
    assert_eq!(ended.map(|event| event.body_as::<CascadeBody>().active), Some(0));
}

#[test]
fn p5_9_orders_that_the_mark_has_left_behind_hide_no_depth() {
    let mut arena = golden();
    // Above the mark to come by more than 2 %: it is no depth itself, and what lies behind it is.
    arena.accept(buy(trader(2), PERP, 10_400, 1));
    arena.accept(buy(trader(2), PERP, 9_900, 5_000));
    arena.accept(buy(trader(2), PERP, 9_750, 5_000));
    arena.price(PERP, 100.0);
    let shown = arena.history.iter().find(|event| event.kind == EventKind::CascadeChanged as u16);
    let body: CascadeBody = shown.expect("all of the open interest is pending").body_as();
    assert_eq!(body.depth, 9_900 * 5_000 * 10);
}

#[test]
fn collateral_that_falls_flags_its_owner_like_a_mark() {
    let mut arena: Arena = Arena::new(3);
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
    arena.deposit(0, BTC, 2_000_000);
    arena.deposit(1, USDC, 10_000 * DOLLAR);
    arena.trade(0, 1, OTHER, 10_000, 10_000);
    // E = 180 against MM = 50: below the margin when BTC is below 27.78.
    assert_eq!(arena.margin(0), (180_000_000, 50_000_000));
    let before = arena.log.len();
    arena.price(0, 28.0);
    assert_eq!(arena.engine.liquidations().len(), 0);
    assert_eq!(arena.warnings(before).len(), 3);
    arena.price(0, 27.7);
    assert_eq!(arena.engine.liquidations().len(), 1);
}

#[test]
fn funding_that_takes_the_margin_flags_without_any_move_of_the_mark() {
    let mut arena: Arena = Arena::new(4);
    arena.deposit(1, USDC, 100_000 * DOLLAR);
    arena.deposit(2, USDC, 1_000_000 * DOLLAR);
    arena.deposit(3, USDC, 1_000_000 * DOLLAR);
    arena.price(PERP, 110.0);
    arena.deposit(0, USDC, 155 * DOLLAR);
    arena.trade(0, 1, PERP, 11_000, 10_000);
    arena.price(PERP, 99.48);
    arena.price(PERP, 100.0);
    // E = 55 − d; a deposit cannot be negative, so the entry is chosen such that little is left above MM = 50.
    arena.accept(buy(trader(2), PERP, 9_990, 2_000_000));
    arena.accept(sell(trader(3), PERP, 10_010, 2_000_000));
    let withdrawn = arena.margin(0);
    assert_eq!(withdrawn, (55_000_000, 50_000_000));
    let mut hours = 0;
    // An hour costs 0.125 bp of $1,000: 12,500 micro.
    while arena.engine.liquidations().is_empty() && hours < 2 {
        arena.seconds(3_700);
        hours += 1;
    }
    let funded = arena.engine.perps().of_market(PERP).expect("a market").funding_index;
    assert!(funded > 0, "long positions pay");
    let owed = arena.margin(0).0;
    assert_eq!(owed, 55_000_000 - i128::from(hours) * 12_500);
}

/// A keeper with the stake for liquidations: its key and its account.
pub fn keeper_in(arena: &mut Arena) -> ([u8; 32], u32) {
    use tradewind_engine::keeper::capability;
    let mmt = 2_u16;
    let register_mmt = RegisterAsset {
        symbol: crate::prices::symbol("MMT"),
        initial_asset_bp: 0,
        maintenance_asset_bp: 0,
        initial_liability_bp: 12_000,
        maintenance_liability_bp: 11_000,
        asset_flags: asset_flag::STAKE,
        ..tradewind_engine::wire::Record::zero()
    };
    arena.accept(by(OPERATOR, Kind::RegisterAsset).with(&register_mmt));
    let keeper = KEEPERS[0];
    let handle = arena.accept(open_account(keeper)).value as u32;
    arena.accept(deposit(keeper, mmt, 1_000 * DOLLAR, [0x77; 32]));
    let stake = RegisterKeeper { capabilities: capability::LIQUIDATE, reserved: 0, stake: 1_000 * DOLLAR };
    arena.accept(by(keeper, Kind::RegisterKeeper).with(&stake));
    (keeper, handle)
}

#[test]
fn a_keeper_earns_out_of_the_fee_and_the_parts_sum_to_it() {
    let mut arena = golden();
    let (keeper, handle) = keeper_in(&mut arena);
    arena.accept(buy(trader(2), PERP, 10_000, 50_000));
    arena.refuse(liquidate(keeper, 0, PERP), Code::POSITION_HEALTHY);
    arena.price(PERP, 100.0);
    arena.accept(liquidate(keeper, 0, PERP));
    let (_, step) = arena.bodies::<LiquidationStepBody>(EventKind::LiquidationStepped)[0];
    let (paid_to, reward) = arena.bodies::<RewardBody>(EventKind::KeeperRewarded)[0];
    // 5 bp of $200 are 10 cents, the least reward $1, half of the fee of $1: 50 cents.
    assert_eq!((paid_to, reward.amount, step.fee), (handle, DOLLAR / 2, DOLLAR));
    assert_eq!((arena.pool(0x86), arena.pool(0x85)), (DOLLAR / 4, DOLLAR / 4));
    let free = arena.engine.balance(&tradewind_engine::id::account_id(&keeper), 0, USDC, 0);
    assert_eq!(free, Some(DOLLAR / 2));
    assert_eq!(arena.margin(0), (44_000_000, 40_000_000), "who submits changes nothing for the liquidated");
}
