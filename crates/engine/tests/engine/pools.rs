//! Pools of market makers in the engine (rows 0109, 0501, 0502; P10, I17).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::fees::{amount, provider_share, split, Profile};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    ClaimsBody, EventKind, FeeBody, LiquidityBody, PoolBody, RescaleBody, SwapBody,
};
use tradewind_engine::wire::pool::amm_kind;
use tradewind_engine::wire::{Code, Event, Record};
use tradewind_engine::{id, Engine};

use crate::outcome::*;
use crate::support::*;

const DOLLAR: i64 = 1_000_000;
const POOL_CASH: u8 = 0x82;
const POOL: u32 = u32::MAX;

fn create(owner: Key, market: u32, kind: u8, funding: i64) -> Command {
    by(owner, Kind::CreatePool).with(&CreatePool { market, amm_kind: kind, funding, ..CreatePool::zero() })
}

fn request(market: u32, outcome: u8, side: u8, amount: i64) -> SwapAmm {
    SwapAmm { market, outcome, side, amount, limit: 1, max_impact_bp: 2_000, ..SwapAmm::zero() }
}

fn swap(owner: Key, request: SwapAmm) -> Command {
    by(owner, Kind::SwapAmm).with(&request)
}

fn liquidity(owner: Key, kind: Kind, market: u32, amount: i64) -> Command {
    by(owner, kind).with(&PoolLiquidity { market, reserved: 0, amount, min_out: 1 })
}

/// A market with a pool of $1,000.
fn with_pool(world: &mut World, outcome_count: u8, kind: u8) -> u32 {
    let market = with_outcomes(world, outcome_count);
    world.accept(create(OPERATOR, market, kind, 1_000 * DOLLAR));
    market
}

/// The swap of the last command.
fn swap_body(world: &World) -> SwapBody {
    let found = world.events().into_iter().find(|(kind, _)| *kind == EventKind::AmmSwapped);
    found.expect("a swap").1.body_as()
}

fn cash(world: &World, market: u32) -> i64 {
    world.engine.system_balance(POOL_CASH, market + 1, USDC)
}

#[test]
fn p10_1_the_table_selects_and_a_choice_is_recorded() {
    let mut world: World = World::new();
    let market = with_outcomes(&mut world, 3);
    world.accept(create(OPERATOR, market, 0, 500 * DOLLAR));
    let body: PoolBody = world.events()[0].1.body_as();
    assert_eq!((body.amm_kind, body.chosen, body.minted), (amm_kind::LMSR, 0, 0));
    // b·ln 3 is the funding, the largest loss.
    assert_eq!(body.liquidity, 455_119_613);
    assert_eq!(cash(&world, market), 500 * DOLLAR);
    let market = with_outcomes(&mut world, 2);
    world.accept(create(OPERATOR, market, amm_kind::PM_STATIC, 50 * DOLLAR));
    let body: PoolBody = world.events()[0].1.body_as();
    assert_eq!((body.chosen, body.minted), (1, 50 * DOLLAR));
    assert_eq!(cash(&world, market), 0);
    assert_eq!(world.engine.claim_supply(market, 1), 50 * DOLLAR);
    world.auditor.verify().unwrap();
}

#[test]
fn a_pool_is_refused_by_kind_funding_owner_and_number() {
    let mut world: World = World::new();
    let binary = with_outcomes(&mut world, 2);
    let many = with_outcomes(&mut world, 5);
    let kind = |kind, funding| create(OPERATOR, binary, kind, funding);
    world.refuse(kind(amm_kind::DISTRIBUTION, 100 * DOLLAR), Code::INVALID_AMM_KIND);
    for wrong in [amm_kind::PM_STATIC, amm_kind::PM_DYNAMIC, 5] {
        world.refuse(create(OPERATOR, many, wrong, 100 * DOLLAR), Code::INVALID_AMM_KIND);
    }
    world.refuse(create(OPERATOR, 0, amm_kind::LMSR, 100 * DOLLAR), Code::INVALID_AMM_KIND);
    world.refuse(create(OPERATOR, 99, amm_kind::LMSR, 100 * DOLLAR), Code::MARKET_NOT_FOUND);
    world.refuse(kind(amm_kind::LMSR, 100 * DOLLAR - 1), Code::BELOW_MINIMUM);
    world.refuse(kind(amm_kind::PM_STATIC, 50 * DOLLAR - 1), Code::BELOW_MINIMUM);
    world.refuse(kind(amm_kind::LMSR, 10_000_000 * DOLLAR), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(create(ALICE, many, amm_kind::LMSR, 100 * DOLLAR), Code::PERMISSION_DENIED);
    world.accept(kind(amm_kind::LMSR, 100 * DOLLAR));
    world.refuse(kind(amm_kind::LMSR, 100 * DOLLAR), Code::ALREADY_EXISTS);
    world.refuse(swap(ALICE, request(many, 0, side::BUY, DOLLAR)), Code::POOL_NOT_FOUND);
}

#[test]
fn a_buy_from_an_lmsr_pays_its_cost_and_fee_and_the_pool_mints_what_it_lacks() {
    let mut world: World = World::new();
    let market = with_pool(&mut world, 3, amm_kind::LMSR);
    let before = world.free(ALICE, USDC);
    world.accept(swap(ALICE, request(market, 1, side::BUY, 10 * DOLLAR)));
    let body: SwapBody = swap_body(&world);
    assert_eq!((body.cost, body.price_before_ppb), (10 * DOLLAR, 333_333_333));
    // 28 bp on shares × min(p, 1 − p), which here is the cost; half of the vault's 70 % is the providers'.
    assert_eq!((body.fee, body.provider_fee), (28_000, 9_800));
    assert_eq!(world.free(ALICE, USDC), before - body.cost - body.fee);
    assert_eq!(claim(&world, ALICE, market, 1), (body.shares, 0));
    // Half of what the pool has free becomes sets, half stays cash.
    assert_eq!(body.minted, 1_010 * DOLLAR - (1_010 * DOLLAR - body.shares) / 2);
    assert_eq!(cash(&world, market), 1_010 * DOLLAR - body.minted + 9_800);
    assert!(body.price_after_ppb > body.price_before_ppb);
    world.accept(swap(ALICE, request(market, 1, side::SELL, body.shares)));
    let back: SwapBody = swap_body(&world);
    assert!(back.cost <= body.cost && back.cost >= body.cost - 2);
    assert_eq!((back.minted, back.price_after_ppb), (0, 333_333_333));
    assert_eq!(world.engine.claim_supply(market, 0), body.minted);
    world.auditor.verify().unwrap();
}

#[test]
fn a_swap_that_the_pool_can_serve_from_what_it_has_moves_one_outcome() {
    let mut world: World = World::new();
    let market = with_pool(&mut world, 8, amm_kind::LMSR);
    world.accept(swap(ALICE, request(market, 3, side::BUY, 10 * DOLLAR)));
    for (outcome, side) in [(3, side::BUY), (5, side::BUY), (3, side::SELL), (7, side::BUY)] {
        world.accept(swap(ALICE, request(market, outcome, side, 5 * DOLLAR)));
        let moved: Vec<_> =
            world.events().iter().filter(|(kind, _)| *kind == EventKind::ClaimsMoved).cloned().collect();
        let outcomes: Vec<_> = moved.iter().map(|(_, event)| event.body_as::<ClaimsBody>().outcome).collect();
        assert_eq!((swap_body(&world).minted, outcomes), (0, vec![outcome, outcome]));
    }
    world.auditor.verify().unwrap();
}

#[test]
fn p8_11_a_swap_pays_the_elastic_fee_with_its_adjustment_and_half_of_the_vaults_part_is_the_providers() {
    let mut world: World = World::leveraged();
    // Nothing is at risk beyond BOOTSTRAP: 3 bp, and one or two more for a pool below $10,000 or $1,000.
    world.accept(by(BOB, Kind::DepositVault).with(&DepositVault { amount: 200_000 * DOLLAR }));
    world.wait(120 * SECOND);
    for (funding, bp) in [(50_000, 3), (5_000, 4), (500, 5)] {
        let market = with_outcomes(&mut world, 2);
        world.accept(create(OPERATOR, market, amm_kind::PM_STATIC, funding * DOLLAR));
        world.accept(swap(ALICE, request(market, 0, side::BUY, 10 * DOLLAR)));
        let told: FeeBody = world.events()[0].1.body_as();
        assert_eq!((told.rate_e8, told.adjustment_bp), (bp * 100_000_000, bp as u16 - 3), "{funding}");
        let body = swap_body(&world);
        let base = body.cost.min(body.shares - body.cost);
        assert_eq!((told.base, told.fee, body.fee), (base, amount(base, bp * 100_000_000), told.fee));
        let parts = split(body.fee, Profile::Standard);
        assert_eq!(body.provider_fee, parts.vault / 2);
        assert_eq!(cash(&world, market), body.provider_fee);
    }
    world.auditor.verify().unwrap();
    // Golden: the fee of $100 at a coverage of 1 (P8.5, P8.8).
    assert_eq!((split(42_447, Profile::Standard).vault, provider_share(42_447)), (29_714, 14_857));
}

#[test]
fn an_exact_sale_brings_its_money_for_at_most_the_limit_and_never_more_than_a_sale_of_the_shares() {
    for kind in [amm_kind::LMSR, amm_kind::PM_STATIC] {
        let mut world: World = World::new();
        let market = with_pool(&mut world, 2, kind);
        world.accept(swap(ALICE, request(market, 0, side::BUY, 100 * DOLLAR)));
        let (owned, free) = (claim(&world, ALICE, market, 0).0, world.free(ALICE, USDC));
        let sale = |amount, limit| {
            let one = SwapAmm { exact_out: 1, limit, ..request(market, 0, side::SELL, amount) };
            swap(ALICE, one)
        };
        world.refuse(sale(20 * DOLLAR, 25 * DOLLAR), Code::SLIPPAGE_EXCEEDED);
        world.refuse(sale(600 * DOLLAR, FUNDS), Code::INSUFFICIENT_SHARES);
        world.refuse(sale(100_000 * DOLLAR, FUNDS), Code::INSUFFICIENT_LIQUIDITY);
        let mut twin = world.clone();
        world.accept(sale(20 * DOLLAR, 60 * DOLLAR));
        let body = swap_body(&world);
        assert_eq!(body.cost, 20 * DOLLAR);
        assert_eq!(world.free(ALICE, USDC), free + 20 * DOLLAR - body.fee);
        assert_eq!(claim(&world, ALICE, market, 0).0, owned - body.shares);
        twin.accept(swap(ALICE, request(market, 0, side::SELL, body.shares)));
        let same = swap_body(&twin);
        assert!(same.cost >= body.cost && same.cost <= body.cost + 1, "{kind}: {}", same.cost);
        world.auditor.verify().unwrap();
    }
}

#[test]
fn the_golden_buys_of_the_pm_amm_come_out_of_the_engine() {
    let mut world: World = World::new();
    let market = with_outcomes(&mut world, 2);
    // L = 100 shares · 100: reserves of 3,989.42… shares.
    world.accept(create(OPERATOR, market, amm_kind::PM_STATIC, 3_989_422_805));
    let body: PoolBody = world.events()[0].1.body_as();
    assert!((body.liquidity - 10_000 * DOLLAR).abs() < 10, "{}", body.liquidity);
    world.accept(swap(ALICE, request(market, 0, side::BUY, 100 * DOLLAR)));
    let body: SwapBody = swap_body(&world);
    assert!((body.shares - 198_429_249).abs() < 10, "{}", body.shares);
    assert_eq!(body.price_after_ppb, 507_915_662);
    assert_eq!((body.minted, cash(&world, market)), (100 * DOLLAR, body.provider_fee));
    let exact = SwapAmm { exact_out: 1, limit: 200 * DOLLAR, ..request(market, 1, side::BUY, 50 * DOLLAR) };
    world.accept(swap(BOB, exact));
    assert_eq!(claim(&world, BOB, market, 1), (50 * DOLLAR, 0));
    world.auditor.verify().unwrap();
}

#[test]
fn a_swap_is_refused_by_form_bounds_impact_and_limit() {
    let mut world: World = World::new();
    let market = with_pool(&mut world, 2, amm_kind::LMSR);
    let buy = request(market, 0, side::BUY, 10 * DOLLAR);
    let mut refuse = |request: SwapAmm, code| {
        world.refuse(swap(ALICE, request), code);
    };
    refuse(SwapAmm { market: 9, ..buy }, Code::POOL_NOT_FOUND);
    refuse(SwapAmm { reserved2: 1, ..buy }, Code::RESERVED_NOT_ZERO);
    refuse(SwapAmm { outcome: 2, ..buy }, Code::INVALID_OUTCOME);
    refuse(SwapAmm { side: 2, ..buy }, Code::INVALID_ORDER_TYPE);
    refuse(SwapAmm { exact_out: 2, ..buy }, Code::INVALID_ORDER_TYPE);
    refuse(SwapAmm { amount: 0, ..buy }, Code::INVALID_AMOUNT);
    refuse(SwapAmm { limit: 0, ..buy }, Code::INVALID_AMOUNT);
    refuse(SwapAmm { max_impact_bp: 2_001, ..buy }, Code::PARAMETER_OUT_OF_BOUNDS);
    refuse(SwapAmm { deadline_ns: START - 1, ..buy }, Code::COMMAND_EXPIRED);
    refuse(SwapAmm { amount: 999, ..buy }, Code::BELOW_MINIMUM);
    refuse(SwapAmm { amount: 1_000_001 * DOLLAR, ..buy }, Code::ABOVE_MAXIMUM);
    refuse(SwapAmm { amount: 1_020_000 * DOLLAR, ..buy }, Code::POOL_DOMAIN_EXCEEDED);
    refuse(SwapAmm { side: side::SELL, amount: DOLLAR, ..buy }, Code::INSUFFICIENT_SHARES);
    refuse(SwapAmm { amount: 200 * DOLLAR, max_impact_bp: 0, ..buy }, Code::PRICE_IMPACT_TOO_HIGH);
    refuse(SwapAmm { limit: 20 * DOLLAR, ..buy }, Code::SLIPPAGE_EXCEEDED);
    let exact = SwapAmm { exact_out: 1, limit: DOLLAR, ..buy };
    refuse(exact, Code::SLIPPAGE_EXCEEDED);
    world.accept(swap(ALICE, SwapAmm { limit: 19 * DOLLAR, max_impact_bp: 0, ..buy }));
    world.accept(pause(market, 1, START + HOUR));
    world.refuse(swap(ALICE, buy), Code::PAUSED);
}

#[test]
fn liquidity_comes_and_goes_in_proportion_after_its_lock() {
    for (outcomes, kind) in [(4, amm_kind::LMSR), (2, amm_kind::LMSR), (2, amm_kind::PM_STATIC)] {
        let mut world: World = World::new();
        let market = with_pool(&mut world, outcomes, kind);
        world.accept(swap(ALICE, request(market, 1, side::BUY, 60 * DOLLAR)));
        let before = world.free(BOB, USDC);
        world.refuse(liquidity(BOB, Kind::AddLiquidity, market, DOLLAR), Code::BELOW_MINIMUM);
        world.refuse(liquidity(BOB, Kind::RemoveLiquidity, market, 1), Code::INSUFFICIENT_SHARES);
        world.accept(liquidity(BOB, Kind::AddLiquidity, market, 500 * DOLLAR));
        let added: LiquidityBody = world.events()[0].1.body_as();
        assert!(added.money <= 500 * DOLLAR && added.money > 500 * DOLLAR - 10);
        assert_eq!(world.free(BOB, USDC), before - added.money);
        let remove = liquidity(BOB, Kind::RemoveLiquidity, market, added.shares);
        world.refuse(remove, Code::LIQUIDITY_LOCKED);
        world.wait(DAY);
        world.refuse(liquidity(BOB, Kind::RemoveLiquidity, market, 0), Code::SHARES_ZERO);
        world.accept(remove);
        let removed: LiquidityBody = world.events()[0].1.body_as();
        assert_eq!((removed.provider_shares, removed.total_shares), (0, 1_000 * DOLLAR));
        // Money and claims together: nobody gains by coming and going.
        let owned: Vec<i64> = (0..outcomes).map(|outcome| claim(&world, BOB, market, outcome).0).collect();
        let best = owned.iter().max().expect("outcomes");
        assert!(world.free(BOB, USDC) + best <= before, "{kind}");
        assert!(world.free(BOB, USDC) + best >= before - 10, "{kind}");
        world.auditor.verify().unwrap();
    }
}

#[test]
fn p7_5_a_partial_pause_lets_liquidity_out_but_not_in_and_a_freeze_stops_both() {
    let mut world: World = World::new();
    let (market, other) = (with_pool(&mut world, 2, amm_kind::PM_STATIC), with_outcomes(&mut world, 2));
    world.accept(liquidity(BOB, Kind::AddLiquidity, market, 500 * DOLLAR));
    let added: LiquidityBody = world.events()[0].1.body_as();
    world.wait(DAY);
    let half = liquidity(BOB, Kind::RemoveLiquidity, market, added.shares / 2);
    world.accept(pause(ALL_MARKETS, 1, world.now_ns + HOUR));
    world.refuse(liquidity(BOB, Kind::AddLiquidity, market, 500 * DOLLAR), Code::PAUSED);
    world.refuse(create(BOB, other, amm_kind::LMSR, 1_000 * DOLLAR), Code::PAUSED);
    world.accept(half);
    let until_ns = world.now_ns + HOUR;
    freeze(&mut world, market, until_ns);
    world.refuse(half, Code::FROZEN);
}

#[test]
fn the_last_provider_closes_the_pool_and_takes_everything() {
    let mut world: World = World::new();
    let market = with_pool(&mut world, 2, amm_kind::PM_STATIC);
    world.wait(DAY);
    let most = liquidity(OPERATOR, Kind::RemoveLiquidity, market, 1_000 * DOLLAR - 1);
    world.refuse(most, Code::PARAMETER_OUT_OF_BOUNDS);
    let dear = PoolLiquidity { market, reserved: 0, amount: 1_000 * DOLLAR, min_out: 1_001 * DOLLAR };
    world.refuse(by(OPERATOR, Kind::RemoveLiquidity).with(&dear), Code::SLIPPAGE_EXCEEDED);
    world.accept(liquidity(OPERATOR, Kind::RemoveLiquidity, market, 1_000 * DOLLAR));
    assert_eq!((cash(&world, market), world.engine.claim_supply(market, 0)), (0, 0));
    assert!(world.engine.pool(market).is_none());
    world.refuse(swap(ALICE, request(market, 0, side::BUY, DOLLAR)), Code::POOL_NOT_FOUND);
    world.accept(create(OPERATOR, market, amm_kind::LMSR, 100 * DOLLAR));
}

#[test]
fn pools_survive_a_snapshot() {
    let mut world: World = World::new();
    let market = with_pool(&mut world, 3, amm_kind::LMSR);
    world.accept(swap(ALICE, request(market, 2, side::BUY, 30 * DOLLAR)));
    world.accept(liquidity(BOB, Kind::AddLiquidity, market, 200 * DOLLAR));
    let restored: Engine = Engine::restore(&world.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), world.engine.state_hash());
    assert_eq!(restored.pool(market), world.engine.pool(market));
    world.auditor = Auditor::from_engine(&restored).unwrap();
    world.engine = restored;
    world.accept(swap(ALICE, request(market, 2, side::SELL, DOLLAR)));
    assert!(world.engine.claim(&id::account_id(&ALICE), 0, market, 2).is_some());
}

/// What the auditor says when the events of a buy are changed.
fn damaged(change: impl Fn(&mut Event)) -> String {
    let mut world: World = World::new();
    let market = with_pool(&mut world, 2, amm_kind::PM_STATIC);
    let mut auditor = world.auditor.clone();
    world.accept(swap(ALICE, request(market, 0, side::BUY, 20 * DOLLAR)));
    let (batch, mut events) = (&world.batch, world.batch.output.events.clone());
    events.iter_mut().for_each(change);
    let checked = auditor.check(&batch.commands, &batch.results, &events, &batch.output.postings);
    checked.expect_err("the damage is noticed").invariant.to_owned()
}

#[test]
fn i17_the_auditor_notices_a_swap_that_gives_more_than_the_curve() {
    // The trader and the pool agree on 10,000 micro-shares more: the claims still add up, the curve does not.
    let more = 10_000_i64;
    let add = |event: &mut Event, at: usize, by: i64| {
        let now = i64::from_le_bytes(event.body[at..at + 8].try_into().expect("eight bytes"));
        event.body[at..at + 8].copy_from_slice(&(now + by).to_le_bytes());
    };
    let found = damaged(|event| {
        if event.kind == EventKind::AmmSwapped as u16 {
            add(event, 8, more);
        } else if event.kind == EventKind::ClaimsMoved as u16 && event.body[0] == 0 {
            let by = if event.account == POOL { -more } else { more };
            add(event, 8, by);
            add(event, 24, by);
        }
    });
    assert!(found == "I17" || found == "I11", "{found}");
    for at in [0, 1, 8, 16, 24, 32, 56, 64] {
        let found = damaged(|event| {
            if event.kind == EventKind::AmmSwapped as u16 {
                event.body[at] = event.body[at].wrapping_add(1);
            }
        });
        assert!(["I17", "I05", "I11", "I12"].contains(&found.as_str()), "byte {at}: {found}");
    }
}

fn rescaled(world: &World) -> Option<RescaleBody> {
    let found = world.events().into_iter().find(|(kind, _)| *kind == EventKind::PoolRescaled);
    found.map(|(_, event)| event.body_as())
}

fn collect(owner: Key, market: u32) -> Command {
    by(owner, Kind::CollectLiquidity).with(&PoolLiquidity { market, reserved: 0, amount: 0, min_out: 0 })
}

#[test]
fn p10_1_a_binary_market_has_the_dynamic_pm_amm_and_no_other_within_a_day_of_its_end() {
    let mut world: World = World::new();
    let market = with_outcomes(&mut world, 2);
    world.accept(create(OPERATOR, market, amm_kind::NONE, 50 * DOLLAR));
    let body: PoolBody = world.events()[0].1.body_as();
    assert_eq!((body.amm_kind, body.chosen, body.minted), (amm_kind::PM_DYNAMIC, 0, 50 * DOLLAR));
    let soon = CreateMarket { settle_time_ns: START + 20 * HOUR, ..outcome_request(77, 2) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&soon)).value as u32;
    for refused in [amm_kind::LMSR, amm_kind::PM_STATIC] {
        world.refuse(create(OPERATOR, market, refused, 100 * DOLLAR), Code::INVALID_AMM_KIND);
    }
    world.accept(create(OPERATOR, market, amm_kind::PM_DYNAMIC, 100 * DOLLAR));
    world.wait(20 * HOUR - 60 * SECOND);
    world.refuse(swap(ALICE, request(market, 0, side::BUY, DOLLAR)), Code::IN_RESOLUTION_BUFFER);
}

#[test]
fn p10_4_4_time_shrinks_a_dynamic_pool_at_its_price_and_its_providers_collect_what_is_free() {
    let mut world: World = World::new();
    let market = with_pool(&mut world, 2, amm_kind::PM_DYNAMIC);
    let first = world.engine.pool(market).expect("a pool").liquidity;
    world.accept(swap(ALICE, request(market, 0, side::BUY, 50 * DOLLAR)));
    assert!(rescaled(&world).is_none());
    let price = swap_body(&world).price_after_ppb;
    world.refuse(collect(OPERATOR, market), Code::NOTHING_TO_CLAIM);
    world.wait(15 * DAY);
    let large = SwapAmm { max_impact_bp: 0, ..request(market, 0, side::BUY, 200 * DOLLAR) };
    world.refuse(swap(ALICE, large), Code::PRICE_IMPACT_TOO_HIGH);
    assert_eq!(world.engine.pool(market).expect("a pool").liquidity, first, "a reject touches nothing");
    world.accept(swap(ALICE, request(market, 0, side::BUY, 10 * DOLLAR)));
    let body = rescaled(&world).expect("half of the time is over");
    assert_eq!((body.liquidity_before, body.base), (first, first));
    assert!((body.liquidity as f64 - first as f64 * 0.5_f64.sqrt()).abs() < 1.0);
    assert!((swap_body(&world).price_before_ppb - price).abs() < 10);
    // Whoever provides from now on has no part in what is free already.
    world.accept(liquidity(BOB, Kind::AddLiquidity, market, 100 * DOLLAR));
    world.refuse(collect(BOB, market), Code::NOTHING_TO_CLAIM);
    let mut reopened: World =
        World { engine: Engine::restore(&world.engine.snapshot()).unwrap(), ..world.clone() };
    reopened.auditor = Auditor::from_engine(&reopened.engine).unwrap();
    for world in [&mut world, &mut reopened] {
        let free = world.free(OPERATOR, USDC);
        world.accept(collect(OPERATOR, market));
        let taken: LiquidityBody = world.events()[0].1.body_as();
        let sets = body.freed_first.min(body.freed_second);
        assert!((taken.money - sets).abs() <= 1 && taken.shares == 0 && taken.minted == -taken.money);
        assert_eq!(world.free(OPERATOR, USDC), free + taken.money);
        let rest = claim(world, OPERATOR, market, 1).0;
        assert!((rest - (body.freed_second - sets)).abs() <= 1);
        world.refuse(collect(OPERATOR, market), Code::NOTHING_TO_CLAIM);
        world.auditor.verify().unwrap();
    }
    assert_eq!(reopened.engine.state_hash(), world.engine.state_hash());
}

#[test]
fn at_the_end_of_its_market_everything_of_a_dynamic_pool_is_its_providers() {
    let mut world: World = World::new();
    let market = with_pool(&mut world, 2, amm_kind::PM_DYNAMIC);
    world.accept(liquidity(BOB, Kind::AddLiquidity, market, 500 * DOLLAR));
    world.accept(swap(ALICE, request(market, 1, side::BUY, 80 * DOLLAR)));
    world.wait(31 * DAY);
    world.refuse(liquidity(BOB, Kind::AddLiquidity, market, 500 * DOLLAR), Code::MARKET_NOT_ACTIVE);
    let shares = world.engine.pool(market).expect("a pool").shares;
    world.accept(liquidity(OPERATOR, Kind::RemoveLiquidity, market, 1_000 * DOLLAR));
    assert_eq!(rescaled(&world).expect("the end").liquidity, 0);
    world.accept(liquidity(BOB, Kind::RemoveLiquidity, market, shares - 1_000 * DOLLAR));
    assert!(world.engine.pool(market).is_none());
    for outcome in 0..2 {
        let held: i64 =
            [ALICE, BOB, OPERATOR].iter().map(|&owner| claim(&world, owner, market, outcome).0).sum();
        // Nothing is left with the pool.
        assert_eq!(held, world.engine.claim_supply(market, outcome));
    }
    assert_eq!(cash(&world, market), 0);
    world.auditor.verify().unwrap();
}

#[test]
fn i17_the_auditor_notices_a_touch_that_keeps_or_frees_too_much() {
    for at in [0, 8, 16, 24, 32, 40, 48] {
        let mut world: World = World::new();
        let market = with_pool(&mut world, 2, amm_kind::PM_DYNAMIC);
        world.wait(DAY);
        let mut auditor = world.auditor.clone();
        world.accept(swap(ALICE, request(market, 0, side::BUY, 20 * DOLLAR)));
        let (batch, mut events) = (&world.batch, world.batch.output.events.clone());
        let touch = events.iter_mut().find(|event| event.kind == EventKind::PoolRescaled as u16);
        let body = &mut touch.expect("a touch").body;
        body[at] = body[at].wrapping_add(1);
        let checked = auditor.check(&batch.commands, &batch.results, &events, &batch.output.postings);
        assert_eq!(checked.expect_err("the damage is noticed").invariant, "I17", "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_swaps_keep_every_invariant_and_round_trips_never_gain(
        outcomes in 2_u8..9,
        kind in amm_kind::LMSR..=amm_kind::PM_DYNAMIC,
        steps in proptest::collection::vec((0_u8..8, 0_u8..4, 1_000_i64..60_000_000, 0_i64..24), 1..25),
    ) {
        let mut world: World = World::new();
        let outcomes = if kind == amm_kind::LMSR { outcomes } else { 2 };
        let market = with_pool(&mut world, outcomes, kind);
        let before = world.free(ALICE, USDC);
        for (outcome, ask, amount, hours) in steps {
            let outcome = outcome % outcomes;
            let owned = claim(&world, ALICE, market, outcome).0;
            let one = match ask {
                0 => request(market, outcome, side::BUY, amount),
                1 => SwapAmm { exact_out: 1, limit: FUNDS, ..request(market, outcome, side::BUY, amount) },
                2 => request(market, outcome, side::SELL, amount.min(owned).max(1)),
                _ => SwapAmm { exact_out: 1, limit: FUNDS, ..request(market, outcome, side::SELL, amount / 4) },
            };
            world.send(swap(ALICE, one));
            world.wait(hours * HOUR);
        }
        // Everything back, as far as it is worth a swap: no gain, before fees even.
        for outcome in 0..outcomes {
            let owned = claim(&world, ALICE, market, outcome).0;
            if owned > 0 {
                world.send(swap(ALICE, request(market, outcome, side::SELL, owned)));
            }
        }
        let rest: i64 = (0..outcomes).map(|outcome| claim(&world, ALICE, market, outcome).0).max().unwrap_or(0);
        if rest == 0 {
            prop_assert!(world.free(ALICE, USDC) <= before);
        }
        // Every resolution can be paid: of each outcome there is as much as lies in escrow.
        let escrow = world.engine.system_balance(0x81, market + 1, USDC);
        for outcome in 0..outcomes {
            prop_assert_eq!(world.engine.claim_supply(market, outcome), escrow);
        }
        world.auditor.verify().unwrap();
    }
}
