//! Distribution markets in the engine (rows 0109, 0503; P10.5, P15.1, I17).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::fees::{provider_share, split, Profile};
use tradewind_engine::ledger::line;
use tradewind_engine::limits::RESOLUTION_BUFFER_NS;
use tradewind_engine::resolution::payout::{choice, pack};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    DistributionBody, DistributionMoveBody, DistributionPaidBody, EventKind, FeeBody,
};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::Engine;

use crate::outcome::{outcome_request, sets};
use crate::resolution::{changed, escrow, finalise, insurance, proposal, redeem};
use crate::support::*;

const DOLLAR: i64 = 1_000_000;
pub const UNIT: i64 = 1_000_000;
pub const BACKING: i64 = 1_000 * DOLLAR;

/// A market of a number between −10 and 10 that settles in two hours.
pub fn number_market(world: &mut World) -> u32 {
    let nonce = 700 + world.engine.sizes().1 as u64;
    let settle_time_ns = world.now_ns + 3 * HOUR;
    let request = CreateMarket { market_kind: 3, settle_time_ns, ..outcome_request(nonce, 2) };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32
}

fn pool_request(market: u32) -> CreatePool {
    CreatePool {
        market,
        amm_kind: 0,
        funding: BACKING,
        norm: BACKING,
        lower: -10 * UNIT,
        upper: 10 * UNIT,
        mean: 0,
        sigma: UNIT,
        ..CreatePool::zero()
    }
}

fn create(request: CreatePool) -> Command {
    by(OPERATOR, Kind::CreatePool).with(&request)
}

pub fn with_question(world: &mut World) -> u32 {
    let market = number_market(world);
    world.accept(create(pool_request(market)));
    market
}

pub fn towards(owner: Key, market: u32, mean: i64, sigma: i64) -> Command {
    by(owner, Kind::TradeDistribution).with(&TradeDistribution {
        market,
        mean,
        sigma,
        max_collateral: BACKING,
        ..TradeDistribution::zero()
    })
}

/// Closes the market and makes its number final: `high` ppm of the way up, or INVALID.
pub fn settle(world: &mut World, market: u32, high: Option<u32>) {
    world.wait(3 * HOUR);
    let named = proposal(CAROL, market, choice::INVALID);
    let said = match high {
        None => named,
        Some(0) => changed(named, |claim| claim.choice = 1),
        Some(1_000_000) => changed(named, |claim| claim.choice = 0),
        Some(ppm) => changed(named, |claim| {
            claim.choice = choice::VECTOR;
            claim.entries = 2;
            claim.packed = pack(&[(0, ppm), (1, 1_000_000 - ppm)]).unwrap();
        }),
    };
    world.accept(said);
    world.wait(2 * HOUR + 1);
    world.accept(finalise(market));
}

fn cash(world: &World, market: u32) -> i64 {
    escrow(world, line::POOL_CASH, market)
}

pub fn body<T: Record>(world: &World, kind: EventKind) -> T {
    let found = world.events().into_iter().find(|event| event.0 == kind);
    found.unwrap_or_else(|| panic!("no {}", kind.name())).1.body_as()
}

#[test]
fn p10_5_a_trade_posts_its_golden_collateral_and_pays_the_elastic_fee_on_it() {
    let mut world: World = World::new();
    let market = with_question(&mut world);
    assert_eq!(cash(&world, market), BACKING);
    let before = world.free(ALICE, USDC);
    world.accept(towards(ALICE, market, UNIT, UNIT));
    // Ten times the golden collateral of k = 100.
    let moved: DistributionMoveBody = body(&world, EventKind::DistributionMoved);
    assert_eq!((moved.collateral, moved.claims), (419_755_724, 1));
    let told: FeeBody = body(&world, EventKind::FeeCharged);
    assert_eq!((told.base, told.fee), (moved.collateral, moved.fee));
    assert_eq!(moved.provider_fee, provider_share(moved.fee));
    assert_eq!(world.free(ALICE, USDC), before - moved.collateral - moved.fee);
    assert_eq!(cash(&world, market), BACKING + moved.collateral + moved.provider_fee);
    assert_eq!(split(moved.fee, Profile::Standard).vault / 2, moved.provider_fee);
    world.auditor.verify().unwrap();
}

#[test]
fn a_pool_is_refused_by_kind_funding_norm_bounds_width_and_number() {
    let mut world: World = World::new();
    let market = number_market(&mut world);
    let with = |change: fn(&mut CreatePool)| {
        let mut request = pool_request(market);
        change(&mut request);
        create(request)
    };
    world.refuse(with(|pool| pool.amm_kind = 1), Code::INVALID_AMM_KIND);
    world.refuse(with(|pool| pool.funding = 200 * DOLLAR - 1), Code::BELOW_MINIMUM);
    world.refuse(with(|pool| pool.norm = 0), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(with(|pool| pool.norm = i64::MAX), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(with(|pool| pool.lower = pool.upper), Code::INVALID_BOUNDS);
    world.refuse(with(|pool| pool.upper = i64::MAX), Code::INVALID_BOUNDS);
    world.refuse(with(|pool| pool.mean = 10 * UNIT + 1), Code::INVALID_BOUNDS);
    world.refuse(with(|pool| pool.sigma = 20 * UNIT + 1), Code::INVALID_BOUNDS);
    // σ_min for k = b is 1/√π.
    world.refuse(with(|pool| pool.sigma = 564_189), Code::SIGMA_BELOW_MINIMUM);
    world.refuse(with(|pool| pool.sigma = i64::MIN), Code::SIGMA_BELOW_MINIMUM);
    world.accept(with(|pool| pool.sigma = 564_190));
    world.refuse(with(|_| ()), Code::ALREADY_EXISTS);
    let other = crate::outcome::with_outcomes(&mut world, 2);
    world.refuse(create(CreatePool { amm_kind: 4, ..pool_request(other) }), Code::INVALID_AMM_KIND);
    world.refuse(create(CreatePool { amm_kind: 1, ..pool_request(other) }), Code::PARAMETER_OUT_OF_BOUNDS);
}

#[test]
fn a_trade_is_refused_by_bounds_width_limit_money_time_and_number_of_claims() {
    let mut world: World = World::new();
    let market = with_question(&mut world);
    let with = |change: fn(&mut TradeDistribution)| {
        let command = towards(ALICE, market, UNIT, UNIT);
        let mut request: TradeDistribution = command.payload_as();
        change(&mut request);
        command.with(&request)
    };
    world.refuse(with(|trade| trade.market = 99), Code::POOL_NOT_FOUND);
    world.refuse(with(|trade| trade.reserved = 1), Code::RESERVED_NOT_ZERO);
    world.refuse(with(|trade| trade.mean = -10 * UNIT - 1), Code::INVALID_BOUNDS);
    world.refuse(with(|trade| trade.sigma = 564_189), Code::SIGMA_BELOW_MINIMUM);
    world.refuse(with(|trade| trade.sigma = 0), Code::SIGMA_BELOW_MINIMUM);
    world.refuse(with(|trade| trade.sigma = i64::MAX), Code::INVALID_BOUNDS);
    world.refuse(with(|trade| trade.mean = 0), Code::INVALID_AMOUNT);
    world.refuse(with(|trade| trade.max_collateral = 419_755_723), Code::SLIPPAGE_EXCEEDED);
    world.refuse(with(|trade| trade.deadline_ns = 1), Code::COMMAND_EXPIRED);
    let poor = key(0x77);
    world.accept(open_account(poor));
    world.refuse(towards(poor, market, UNIT, UNIT), Code::INSUFFICIENT_BALANCE);
    for number in 0..32 {
        world.accept(towards(ALICE, market, (number % 2 + 1) * UNIT / 100, UNIT));
    }
    world.refuse(towards(ALICE, market, UNIT, UNIT), Code::TOO_MANY_CLAIMS);
    world.accept(towards(BOB, market, UNIT, UNIT));
    world.wait(3 * HOUR - RESOLUTION_BUFFER_NS);
    world.refuse(towards(BOB, market, 0, UNIT), Code::IN_RESOLUTION_BUFFER);
    world.wait(RESOLUTION_BUFFER_NS);
    world.refuse(towards(BOB, market, 0, UNIT), Code::MARKET_NOT_ACTIVE);
    world.auditor.verify().unwrap();
}

#[test]
fn who_knew_the_number_wins_what_the_others_lost_and_the_creator_has_the_rest() {
    let mut world: World = World::new();
    let market = with_question(&mut world);
    let before = [ALICE, BOB].map(|owner| world.free(owner, USDC));
    // ALICE moves the claim to 2, BOB away from it to −3: the number is 2.
    world.accept(towards(ALICE, market, 2 * UNIT, UNIT));
    world.accept(towards(BOB, market, -3 * UNIT, UNIT));
    world.refuse(redeem(ALICE, market), Code::NOT_RESOLVED);
    settle(&mut world, market, Some(600_000));
    world.accept(redeem(ALICE, market));
    let paid: DistributionPaidBody = body(&world, EventKind::DistributionPaid);
    assert_eq!((paid.value, paid.claims, paid.residual, paid.invalid), (2 * UNIT, 1, 0, 0));
    world.refuse(redeem(ALICE, market), Code::NOTHING_TO_REDEEM);
    world.accept(redeem(BOB, market));
    let insured = insurance(&world);
    world.accept(redeem(OPERATOR, market));
    let last: DistributionPaidBody = body(&world, EventKind::DistributionPaid);
    assert!(last.residual > 0 && last.claims == 1);
    // Only what rounding kept is left over.
    assert!((0..=6).contains(&last.swept), "{last:?}");
    assert_eq!((cash(&world, market), insurance(&world) - insured), (0, last.swept));
    assert!(world.engine.question(market).is_none());
    let won = [ALICE, BOB].map(|owner| world.free(owner, USDC));
    assert!(won[0] > before[0] && won[1] < before[1]);
    world.refuse(redeem(OPERATOR, market), Code::NOTHING_TO_REDEEM);
    world.auditor.verify().unwrap();
}

#[test]
fn p15_1_without_a_number_every_collateral_and_the_backing_return() {
    let mut world: World = World::new();
    let market = with_question(&mut world);
    world.accept(towards(ALICE, market, 2 * UNIT, UNIT));
    let moved: DistributionMoveBody = body(&world, EventKind::DistributionMoved);
    settle(&mut world, market, None);
    world.accept(redeem(ALICE, market));
    let paid: DistributionPaidBody = body(&world, EventKind::DistributionPaid);
    assert_eq!((paid.paid, paid.value, paid.invalid), (moved.collateral, 0, 1));
    world.accept(redeem(OPERATOR, market));
    let rest: DistributionPaidBody = body(&world, EventKind::DistributionPaid);
    assert_eq!((rest.paid, rest.swept, rest.cash), (BACKING + moved.provider_fee, 0, 0));
    world.auditor.verify().unwrap();
}

#[test]
fn the_two_sides_of_a_number_trade_beside_its_pool_and_pay_by_where_it_is() {
    let mut world: World = World::new();
    let market = with_question(&mut world);
    world.accept(sets(ALICE, Kind::MintSet, market, 1_000));
    world.accept(towards(ALICE, market, UNIT, UNIT));
    settle(&mut world, market, Some(250_000));
    let before = world.free(ALICE, USDC);
    let result = world.accept(redeem(ALICE, market));
    let paid: DistributionPaidBody = body(&world, EventKind::DistributionPaid);
    assert_eq!(paid.value, -5 * UNIT);
    // A complete set pays one whatever the number is.
    assert_eq!(world.free(ALICE, USDC) - before, paid.paid + 1_000_000);
    assert_eq!(result.value as i64, paid.paid + 1_000_000);
    world.auditor.verify().unwrap();
}

#[test]
fn distribution_markets_survive_a_snapshot() {
    let mut world: World = World::new();
    let market = with_question(&mut world);
    let created: DistributionBody = body(&world, EventKind::DistributionCreated);
    assert_eq!((created.backing, created.upper), (BACKING, 10 * UNIT));
    world.accept(towards(ALICE, market, 2 * UNIT, 2 * UNIT));
    world.accept(towards(BOB, market, -UNIT, UNIT));
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), world.engine.state_hash());
    world.auditor = Auditor::from_engine(&restored).unwrap();
    world.engine = restored;
    settle(&mut world, market, Some(123_456));
    for owner in [ALICE, BOB, OPERATOR] {
        world.accept(redeem(owner, market));
    }
    assert_eq!(cash(&world, market), 0);
    world.auditor.verify().unwrap();
}

fn any_trades() -> impl Strategy<Value = Vec<(usize, i64, i64)>> {
    let mean = prop_oneof![-10 * UNIT..=10 * UNIT, -UNIT..=UNIT, -1_000_i64..=1_000];
    let sigma = prop_oneof![564_190..=20 * UNIT, 564_190..=565_000_i64, 999_990..=1_000_010_i64];
    proptest::collection::vec((0..2_usize, mean, sigma), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn p10_5_3_every_number_pays_all_claims_in_any_order_and_nothing_is_left_but_dust(
        trades in any_trades(),
        high in prop_oneof![Just(None), (0_u32..=1_000_000).prop_map(Some)],
        order in Just([ALICE, BOB, OPERATOR]).prop_shuffle(),
    ) {
        let mut world: World = World::new();
        let market = with_question(&mut world);
        let mut made = 0;
        for (who, mean, sigma) in trades {
            let command = towards([ALICE, BOB][who], market, mean, sigma);
            made += i64::from(world.send(command).accepted);
        }
        let high = high.map(|ppm| if ppm == 500_000 { 500_001 } else { ppm });
        settle(&mut world, market, high);
        for owner in order {
            // Who never traded has nothing; the creator always has.
            let result = world.send(redeem(owner, market));
            prop_assert!(result.accepted == 1 || result.code == Code::NOTHING_TO_REDEEM as u16);
        }
        prop_assert_eq!(cash(&world, market), 0);
        prop_assert!(world.engine.question(market).is_none());
        let swept = world.events().into_iter().find(|event| event.0 == EventKind::DistributionPaid);
        if let Some((_, event)) = swept {
            let last: DistributionPaidBody = event.body_as();
            prop_assert!(last.swept <= 4 * (made + 2), "{last:?} of {made} trades");
        }
        world.auditor.verify().unwrap();
    }

    #[test]
    fn moving_the_claim_away_and_back_never_wins(mean in -9 * UNIT..=9 * UNIT, sigma in 564_190..=9 * UNIT) {
        prop_assume!((mean, sigma) != (0, UNIT));
        let mut world: World = World::new();
        let market = with_question(&mut world);
        let before = world.free(ALICE, USDC);
        world.accept(towards(ALICE, market, mean, sigma));
        world.accept(towards(ALICE, market, 0, UNIT));
        settle(&mut world, market, Some(((mean + 10 * UNIT) / 20) as u32));
        world.accept(redeem(ALICE, market));
        prop_assert!(world.free(ALICE, USDC) < before);
    }
}
