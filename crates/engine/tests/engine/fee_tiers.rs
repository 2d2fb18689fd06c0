//! Tiers of the elastic fee by the volume of 30 days (P8.4).

use tradewind_engine::audit::Auditor;
use tradewind_engine::fees;
use tradewind_engine::market::market_flag::ELASTIC_FEE;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind, FeeBody};
use tradewind_engine::wire::Record;
use tradewind_engine::{id, Engine, FastBook};

use crate::loans_audit::told_otherwise;
use crate::outcome::with_outcomes;
use crate::support::*;

pub const DOLLAR: i64 = 1_000_000;

/// A spot market with the elastic fee, and a seller with something to sell.
pub fn elastic_market(world: &mut World) -> u32 {
    let fixed: CreateMarket = create_market(9, 1_000, 1_000, 28_000_000, 0).payload_as();
    let elastic = CreateMarket { market_flags: ELASTIC_FEE, max_notional: 1_000_000 * DOLLAR, ..fixed };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&elastic)).value as u32;
    world.deposit(BOB, BTC, FUNDS);
    world.deposit(CAROL, BTC, FUNDS);
    market
}

/// `maker` sells as much for whole dollars to `taker`; what was charged.
pub fn trade(world: &mut World, market: u32, (maker, taker): (Key, Key), dollars: i64) -> FeeBody {
    world.accept(sell(maker, market, 100_000, dollars * 10));
    world.accept(buy(taker, market, 100_000, dollars * 10));
    charged(world)
}

pub fn charged(world: &World) -> FeeBody {
    let found = world.events().into_iter().find(|(kind, _)| *kind == EventKind::FeeCharged);
    found.expect("a fee").1.body_as()
}

pub fn linked(first: Key, other: Key, linked: u8) -> Command {
    let payload =
        LinkOwners { other: id::account_id(&other), evidence_hash: [9; 32], linked, ..Record::zero() };
    Command { principal: RISK, ..by(first, Kind::LinkOwners) }.with(&payload)
}

/// Everything again from a snapshot, audited from there.
pub fn reopened(world: &World) -> World {
    let engine: Engine<FastBook> = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(engine.state_hash(), world.engine.state_hash());
    let auditor = Auditor::from_engine(&engine).expect("a sound state");
    World { engine, auditor, ..world.clone() }
}

fn midnight(world: &mut World) {
    let left = DAY - world.now_ns.rem_euclid(DAY);
    world.wait(left);
}

#[test]
fn p8_4_volume_of_both_owners_lowers_the_rate_from_the_next_midnight_for_thirty_days() {
    let mut world: World = World::leveraged();
    let market = elastic_market(&mut world);
    for (dollars, discount_bp) in [(99_999, 0), (1, 0)] {
        let told = trade(&mut world, market, (BOB, ALICE), dollars);
        assert_eq!((told.discount_bp, told.counts), (discount_bp, 1));
    }
    midnight(&mut world);
    // Exactly $100,000 reach the first tier, of the buyer and of the seller.
    assert_eq!(trade(&mut world, market, (BOB, ALICE), 100).rate_e8, 23 * u64::from(fees::BP_E8));
    assert_eq!(trade(&mut world, market, (CAROL, BOB), 100).rate_e8, 23 * u64::from(fees::BP_E8));
    assert_eq!(trade(&mut world, market, (BOB, CAROL), 100).rate_e8, 28 * u64::from(fees::BP_E8));
    let mut world = reopened(&world);
    world.wait(29 * DAY);
    assert_eq!(trade(&mut world, market, (BOB, ALICE), 1).discount_bp, 5);
    world.wait(DAY);
    assert_eq!(trade(&mut world, market, (BOB, ALICE), 1).discount_bp, 0, "what is older does not count");
    world.auditor.verify().unwrap();
}

#[test]
fn p8_4_a_tier_begins_at_its_volume_and_the_larger_of_volume_and_stake_counts() {
    let mut world: World = World::leveraged();
    let market = elastic_market(&mut world);
    for _ in 0..10 {
        trade(&mut world, market, (BOB, ALICE), 100_000);
    }
    midnight(&mut world);
    let told = trade(&mut world, market, (BOB, ALICE), 1);
    assert_eq!((told.discount_bp, told.rate_e8), (10, 18 * u64::from(fees::BP_E8)));
    world.auditor.verify().unwrap();
}

#[test]
fn p8_4_fills_of_linked_owners_and_fills_without_the_elastic_fee_count_for_nobody() {
    let mut world: World = World::leveraged();
    let market = elastic_market(&mut world);
    world.accept(linked(ALICE, BOB, 1));
    assert_eq!(trade(&mut world, market, (BOB, ALICE), 200_000).counts, 0);
    let fixed = world.accept(create_market(10, 1_000, 1_000, 28_000_000, 0)).value as u32;
    world.accept(sell(BOB, fixed, 100_000, 2_000));
    world.accept(buy(CAROL, fixed, 100_000, 2_000));
    assert!(!world.kinds().contains(&EventKind::FeeCharged));
    midnight(&mut world);
    for pair in [(BOB, ALICE), (CAROL, BOB), (BOB, CAROL)] {
        assert_eq!(trade(&mut world, market, pair, 1).discount_bp, 0);
    }
    // Once they are no longer linked their fills count, whatever lies behind them.
    world.accept(linked(ALICE, BOB, 0));
    assert_eq!(trade(&mut world, market, (BOB, ALICE), 100_000).counts, 1);
    midnight(&mut world);
    assert_eq!(trade(&mut world, market, (BOB, ALICE), 1).discount_bp, 5);
    world.auditor.verify().unwrap();
}

#[test]
fn p8_4_swaps_count_unless_one_provides_the_pool_or_is_linked_to_anybody() {
    let mut world: World = World::leveraged();
    let market = with_outcomes(&mut world, 2);
    let pool = CreatePool { market, funding: 50_000 * DOLLAR, ..CreatePool::zero() };
    world.accept(by(OPERATOR, Kind::CreatePool).with(&pool));
    let swap = SwapAmm { market, side: side::BUY, amount: 100 * DOLLAR, limit: 1, ..SwapAmm::zero() };
    world.accept(by(ALICE, Kind::SwapAmm).with(&swap));
    assert_eq!(charged(&world).counts, 1);
    let own = SwapAmm { side: side::SELL, amount: DOLLAR, ..swap };
    world.accept(by(ALICE, Kind::SwapAmm).with(&own));
    assert_eq!(charged(&world).counts, 1);
    world.accept(by(OPERATOR, Kind::SwapAmm).with(&swap));
    assert_eq!(charged(&world).counts, 0, "a provider trades with itself");
    world.accept(linked(ALICE, CAROL, 1));
    world.accept(by(ALICE, Kind::SwapAmm).with(&swap));
    assert_eq!(charged(&world).counts, 0, "the provider may be who it is linked to");
    let mut world = reopened(&world);
    world.accept(by(CAROL, Kind::SwapAmm).with(&swap));
    assert_eq!(charged(&world).counts, 0);
    world.auditor.verify().unwrap();
}

#[test]
fn i12_the_auditor_knows_volume_discount_and_rate_by_itself() {
    let mut world: World = World::leveraged();
    let market = elastic_market(&mut world);
    trade(&mut world, market, (BOB, ALICE), 100_000);
    midnight(&mut world);
    world.accept(sell(BOB, market, 100_000, 1_000));
    told_otherwise::<FeeBody>(
        &mut world,
        EventKind::FeeCharged,
        |world| assert_eq!(world.accept(buy(ALICE, market, 100_000, 1_000)).accepted, 1),
        &[
            ("discount", |body| body.discount_bp = 10),
            ("no discount", |body| body.discount_bp = 0),
            ("rate", |body| body.rate_e8 += 1),
            ("no volume", |body| body.counts = 0),
            ("base", |body| body.base += 1),
            ("rebate", |body| body.rebate += 1),
        ],
    );
}

/// A person with two accounts, ALICE and BOB: everything that they have or may claim, in micro-dollars. BTC moves
/// between them at one price, so that it cancels out.
fn fortune(world: &World, lot: u64) -> i64 {
    let mut world = world.clone();
    world.send(crate::token::claim(ALICE, lot));
    let cash = world.free(ALICE, USDC) + world.free(BOB, USDC);
    let bitcoin = world.free(ALICE, BTC) + world.free(BOB, BTC);
    assert_eq!(bitcoin, FUNDS);
    let vault = |line| world.engine.system_balance(line, 0, USDC);
    let nav = vault(0x83) + vault(0x84);
    // CAROL's share is one micro-dollar more than ALICE's.
    cash + nav / 2
}

#[test]
fn p8_7_t21_whoever_has_less_than_half_of_vault_and_stake_loses_by_trading_with_its_other_account() {
    use crate::token::{issued_in, released_in, stake, LOCK_90, TOKEN};
    for (rebate_pct, vault, volume) in
        [(0, 0, 0), (20, 20_000, 0), (50, 0, 0), (50, 20_000, 0), (50, 20_000, 1), (50, 0, 10)]
    {
        let mut world = released_in(issued_in(World::leveraged()));
        let fixed: CreateMarket = create_market(9, 1_000, 1_000, 28_000_000, 0).payload_as();
        let elastic = CreateMarket { market_flags: ELASTIC_FEE, ..fixed };
        let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&elastic)).value as u32;
        world.deposit(BOB, BTC, FUNDS);
        if rebate_pct != 20 {
            let share = SetParameter { parameter: 101, config_version: 0, value: rebate_pct };
            world.govern(Command::new(Kind::SetParameter).with(&share), 0);
        }
        let lot = world.accept(stake(ALICE, 9_000 * TOKEN, LOCK_90)).value;
        world.accept(stake(CAROL, 9_000 * TOKEN + 1, LOCK_90));
        for (owner, amount) in [(ALICE, vault * DOLLAR), (CAROL, vault * DOLLAR + 1)] {
            if amount > DOLLAR {
                world.accept(by(owner, Kind::DepositVault).with(&DepositVault { amount }));
            }
        }
        // Volume of a day before, for the tier; the counterpart is CAROL.
        for _ in 0..volume {
            world.deposit(CAROL, BTC, FUNDS / 100);
            trade(&mut world, market, (CAROL, ALICE), 100_000);
            world.accept(sell(ALICE, market, 100_000, 1_000_000));
            world.accept(buy(CAROL, market, 100_000, 1_000_000));
        }
        midnight(&mut world);
        let mut before = fortune(&world, lot);
        for (maker, taker, price) in [(BOB, ALICE, 100_000), (ALICE, BOB, 100_000), (BOB, ALICE, 100_100)] {
            world.accept(sell(maker, market, price, 1_000_000));
            world.accept(buy(taker, market, price, 1_000_000));
            let told = charged(&world);
            assert!(told.rebate_pct >= rebate_pct as u8 && told.rebate * 2 <= told.fee);
            let after = fortune(&world, lot);
            assert!(after < before, "{rebate_pct} % of {told:?} gain {}", after - before);
            before = after;
        }
        world.auditor.verify().unwrap();
    }
}
