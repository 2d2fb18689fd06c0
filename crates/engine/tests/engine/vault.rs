//! The vault in the engine: deposits, exits at their cut-offs, epochs, correlations (protocol P9.4, P9.8, P9.9).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::market::market_flag::ELASTIC_FEE;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    EventKind, FeeBody, LeverageCapBody, RiskBody, VaultCohortBody, VaultDepositBody, VaultEpochBody,
    VaultExitBody, VaultPaidBody,
};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::outcome::outcome_request;
use crate::outcome_books::on;
use crate::prices::perpetual;
use crate::support::*;

const DOLLAR: i64 = 1_000_000;
const VAULT_CASH: u8 = 0x83;

fn into_vault(owner: Key, amount: i64) -> Command {
    by(owner, Kind::DepositVault).with(&DepositVault { amount })
}

fn exit(owner: Key, shares: i64) -> Command {
    by(owner, Kind::RequestVaultExit).with(&RequestVaultExit { shares })
}

fn claim(owner: Key, ticket: u64) -> Command {
    by(owner, Kind::ClaimVaultExit).with(&ClaimVaultExit { ticket })
}

fn correlation(bucket: u32, rho_ppm: u32) -> Command {
    by(RISK, Kind::PublishRisk).with(&PublishRisk { bucket, rho_ppm, evidence_hash: [7; 32] })
}

fn body<B: Record>(world: &World, kind: EventKind) -> B {
    let found = world.events().into_iter().find(|(other, _)| *other == kind);
    found.unwrap_or_else(|| panic!("no {kind:?} among {:?}", world.kinds())).1.body_as()
}

fn cash(world: &World) -> i64 {
    world.engine.system_balance(VAULT_CASH, 0, USDC)
}

/// Everything again from a snapshot, audited from there.
fn reopened(world: &World) -> World {
    let engine: Engine<FastBook> = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(engine.state_hash(), world.engine.state_hash());
    assert_eq!(engine.next_due_ns(), world.engine.next_due_ns());
    let auditor = Auditor::from_engine(&engine).expect("a sound state");
    World { engine, auditor, ..world.clone() }
}

#[test]
fn p9_8_a_deposit_buys_shares_and_the_event_shows_them() {
    let mut world: World = World::leveraged();
    let first = world.accept(into_vault(ALICE, 1_000 * DOLLAR)).value;
    assert_eq!(first as i64, 1_000 * DOLLAR);
    let shown: VaultDepositBody = body(&world, EventKind::VaultDeposited);
    assert_eq!(
        (shown.held_shares, shown.supply, shown.nav),
        (1_000 * DOLLAR, 1_000 * DOLLAR, 1_000 * DOLLAR)
    );
    // 2× on the first $1,000, of which nothing is left for the second deposit: 1.5×.
    assert_eq!(shown.reward_units, 2_000 * DOLLAR);
    world.accept(into_vault(BOB, 100 * DOLLAR));
    let shown: VaultDepositBody = body(&world, EventKind::VaultDeposited);
    assert_eq!((shown.shares, shown.reward_units), (100 * DOLLAR, 150 * DOLLAR));
    assert_eq!((cash(&world), world.free(BOB, USDC)), (1_100 * DOLLAR, FUNDS - 100 * DOLLAR));
    world.auditor.verify().unwrap();
}

#[test]
fn deposits_and_exits_that_break_a_rule_are_refused() {
    let mut world: World = World::leveraged();
    world.refuse(into_vault(ALICE, 0), Code::INVALID_AMOUNT);
    world.refuse(into_vault(ALICE, i64::MAX), Code::INVALID_AMOUNT);
    world.refuse(into_vault(ALICE, DOLLAR - 1), Code::BELOW_MINIMUM);
    world.refuse(into_vault(ALICE, 1_000_000_000 * DOLLAR + 1), Code::VAULT_CAP);
    world.accept(into_vault(ALICE, 900_000_000 * DOLLAR));
    world.refuse(into_vault(ALICE, 100_000_000 * DOLLAR + 1), Code::VAULT_CAP);
    world.accept(by(ALICE, Kind::FundInsurance).with(&FundInsurance {
        asset: USDC,
        amount: 99_999_999 * DOLLAR,
        ..Record::zero()
    }));
    world.refuse(into_vault(ALICE, 2 * DOLLAR), Code::INSUFFICIENT_BALANCE);
    world.refuse(exit(ALICE, 0), Code::INVALID_AMOUNT);
    world.refuse(exit(ALICE, DOLLAR - 1), Code::BELOW_MINIMUM);
    let refusal = world.refuse(exit(ALICE, 900_000_000 * DOLLAR + 1), Code::INSUFFICIENT_SHARES);
    assert_eq!(refusal.bound, 900_000_000 * DOLLAR);
    world.refuse(exit(BOB, 1), Code::INSUFFICIENT_SHARES);
    world.refuse(claim(ALICE, 1), Code::INSUFFICIENT_SHARES);
    let ticket = world.accept(exit(ALICE, DOLLAR)).value;
    world.refuse(claim(BOB, ticket), Code::WRONG_OWNER);
    world.refuse(claim(ALICE, ticket), Code::NOTICE_NOT_ELAPSED);
    let mut spot: World = World::new();
    spot.refuse(into_vault(ALICE, DOLLAR), Code::ASSET_NOT_FOUND);
}

#[test]
fn shares_of_less_than_one_micro_are_not_sold() {
    let mut world: World = World::leveraged();
    // Fees of more than a million dollars lie in a vault without a share.
    world.accept(create_market(9, 1_000, 1_000, 100_000_000, 100_000_000));
    world.deposit(BOB, BTC, FUNDS);
    for _ in 0..75 {
        world.accept(sell(BOB, 1, 1_000_000, 1_000_000));
        world.accept(buy(ALICE, 1, 1_000_000, 1_000_000));
    }
    assert!(cash(&world) > 1_000_000 * DOLLAR);
    world.refuse(into_vault(CAROL, DOLLAR), Code::SHARES_ZERO);
    assert!(world.accept(into_vault(CAROL, 100 * DOLLAR)).value > 0);
}

#[test]
fn p9_9_an_exit_waits_a_day_and_is_paid_at_the_next_whole_hour() {
    let mut world: World = World::leveraged();
    world.accept(into_vault(ALICE, 600 * DOLLAR));
    world.accept(into_vault(BOB, 300 * DOLLAR));
    let ticket = world.accept(exit(ALICE, 100 * DOLLAR)).value;
    let queued: VaultExitBody = body(&world, EventKind::VaultExitQueued);
    assert_eq!(queued.held_shares, 500 * DOLLAR);
    assert!(queued.cutoff_ns % HOUR == 0 && (DAY..DAY + HOUR).contains(&(queued.cutoff_ns - world.now_ns)));
    // One ticket per account and cut-off: splitting gains nothing.
    assert_eq!(world.accept(exit(ALICE, 50 * DOLLAR)).value, ticket);
    let other = world.accept(exit(BOB, 30 * DOLLAR)).value;
    assert_ne!(ticket, other);
    world = reopened(&world);
    world.wait(queued.cutoff_ns - world.now_ns - 1);
    world.refuse(claim(ALICE, ticket), Code::NOTICE_NOT_ELAPSED);
    world.advance(1);
    world.tick();
    let served: VaultCohortBody = body(&world, EventKind::VaultCohortServed);
    assert_eq!((served.shares, served.amount, served.unserved), (180 * DOLLAR, 180 * DOLLAR, 0));
    assert_eq!(cash(&world), 720 * DOLLAR);
    assert_eq!(world.engine.system_balance(VAULT_CASH, served.ledger_key, USDC), 180 * DOLLAR);
    world = reopened(&world);
    let before = world.free(ALICE, USDC);
    assert_eq!(world.accept(claim(ALICE, ticket)).value as i64, 150 * DOLLAR);
    assert_eq!(world.free(ALICE, USDC) - before, 150 * DOLLAR);
    world.refuse(claim(ALICE, ticket), Code::INSUFFICIENT_SHARES);
    world.accept(claim(BOB, other));
    let paid: VaultPaidBody = body(&world, EventKind::VaultExitServed);
    assert_eq!((paid.amount, paid.closed, paid.dust), (30 * DOLLAR, 1, 0));
    assert_eq!(world.engine.system_balance(VAULT_CASH, served.ledger_key, USDC), 0);
    world.auditor.verify().unwrap();
    reopened(&world);
}

#[test]
fn p9_9_the_last_holder_leaves_a_vault_with_nothing_at_risk_whole() {
    let mut world: World = World::leveraged();
    world.accept(into_vault(ALICE, 12_345 * DOLLAR));
    let ticket = world.accept(exit(ALICE, 12_345 * DOLLAR)).value;
    world.wait(26 * HOUR);
    world.accept(claim(ALICE, ticket));
    assert_eq!((cash(&world), world.free(ALICE, USDC)), (0, FUNDS));
    world.auditor.verify().unwrap();
}

#[test]
fn p7_5_a_full_pause_takes_no_deposit_serves_no_cut_off_and_the_next_hour_makes_up_for_it() {
    let mut world: World = World::leveraged();
    world.accept(into_vault(ALICE, 600 * DOLLAR));
    let ticket = world.accept(exit(ALICE, 100 * DOLLAR)).value;
    let pause_id = world.accept(pause(ALL_MARKETS, 2, world.now_ns + 26 * HOUR)).value as u32;
    world.refuse(into_vault(ALICE, DOLLAR), Code::PAUSED);
    world.refuse(exit(ALICE, DOLLAR), Code::PAUSED);
    world.refuse(claim(ALICE, ticket), Code::PAUSED);
    world.wait(26 * HOUR);
    assert_eq!(cash(&world), 600 * DOLLAR);
    world.accept(resume(RESUMER_A, ALL_MARKETS, pause_id));
    world.accept(resume(RESUMER_B, ALL_MARKETS, pause_id));
    world.refuse(claim(ALICE, ticket), Code::NOTICE_NOT_ELAPSED);
    world.wait(HOUR);
    assert_eq!(world.accept(claim(ALICE, ticket)).value as i64, 100 * DOLLAR);
}

#[test]
fn p9_8_an_epoch_takes_a_tenth_of_what_the_vault_gained_above_its_mark() {
    let mut world: World = World::leveraged();
    world.accept(into_vault(CAROL, 1_000 * DOLLAR));
    world.accept(create_market(9, 1_000, 1_000, 100_000_000, 0));
    world.deposit(BOB, BTC, FUNDS);
    world.accept(sell(BOB, 1, 1_000_000, 10_000));
    world.accept(buy(ALICE, 1, 1_000_000, 10_000));
    let gained = cash(&world) - 1_000 * DOLLAR;
    assert_eq!(gained, 70 * DOLLAR);
    let midnight = (world.now_ns / DAY + 1) * DAY;
    world.wait(midnight - world.now_ns);
    let epoch: VaultEpochBody = body(&world, EventKind::VaultEpochStarted);
    assert_eq!((epoch.epoch_ns, epoch.performance_fee), (midnight, 7 * DOLLAR));
    assert_eq!(world.engine.system_balance(0x8B, 0, USDC), 7 * DOLLAR);
    // The same gain is not charged twice.
    world.wait(DAY);
    assert_eq!(body::<VaultEpochBody>(&world, EventKind::VaultEpochStarted).performance_fee, 0);
    world.auditor.verify().unwrap();
}

#[test]
fn p9_4_risk_moves_a_correlation_by_a_tenth_a_day_and_governance_by_more() {
    let mut world: World = World::leveraged();
    world.refuse(correlation(3, 1_000_001), Code::PARAMETER_OUT_OF_BOUNDS);
    let blank = PublishRisk { bucket: 3, rho_ppm: 950_000, evidence_hash: [0; 32] };
    world.refuse(by(RISK, Kind::PublishRisk).with(&blank), Code::EVIDENCE_INVALID);
    world.refuse(by(ALICE, Kind::PublishRisk).with(&blank), Code::PERMISSION_DENIED);
    let refusal = world.refuse(correlation(3, 899_999), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!((refusal.bound, refusal.given), (100_000, 100_001));
    world.accept(correlation(3, 950_000));
    world.accept(correlation(3, 900_000));
    world.refuse(correlation(3, 890_000), Code::PARAMETER_OUT_OF_BOUNDS);
    world.accept(correlation(u32::MAX, 900_000));
    world = reopened(&world);
    world.wait(DAY);
    world.accept(correlation(3, 800_000));
    let shown: RiskBody = body(&world, EventKind::RiskUpdated);
    assert_eq!((shown.previous_ppm, shown.rho_ppm, shown.at_risk), (900_000, 800_000, 0));
    world.govern(correlation(3, 200_000), 0);
    let shown: RiskBody = body(&world, EventKind::RiskUpdated);
    assert_eq!((shown.previous_ppm, shown.rho_ppm), (800_000, 200_000));
}

#[test]
fn p9_7_stages_bind_perpetual_markets_once_governance_says_so() {
    let mut world: World = World::leveraged();
    world.quote_all(0, 100_000_000);
    world.keep_quoting(0, 100_000_000, 121);
    let order = |leverage_e2| place(ALICE, PlaceOrder { leverage_e2, ..limit(0, side::BUY, 10_000, 1_000) });
    world.accept(order(500));
    let stages = SetParameter { parameter: 80, value: 1, ..Record::zero() };
    world.accept(by(RISK, Kind::SetParameter).with(&stages));
    let cap: LeverageCapBody = body(&world, EventKind::LeverageCapChanged);
    assert_eq!((cap.cap_e2, cap.previous_e2), (100, u32::MAX));
    // The bound names the stage: term 4.
    let refusal = world.refuse(order(500), Code::LEVERAGE_TOO_HIGH);
    assert_eq!(refusal.bound, 4 << 32 | 100);
    world.accept(order(100));
    world = reopened(&world);
    world.accept(into_vault(BOB, 5_500 * DOLLAR));
    world.keep_quoting(0, 100_000_000, 61);
    world.accept(order(500));
    let refusal = world.refuse(order(501), Code::LEVERAGE_TOO_HIGH);
    assert_eq!(refusal.bound, 4 << 32 | 500);
}

#[test]
fn p9_7_a_viable_vault_that_shrinks_forbids_new_leveraged_risk() {
    let mut world: World = World::leveraged();
    let stages = SetParameter { parameter: 80, value: 1, ..Record::zero() };
    world.accept(by(RISK, Kind::SetParameter).with(&stages));
    world.accept(into_vault(BOB, 11_000 * DOLLAR));
    world.quote_all(0, 100_000_000);
    world.keep_quoting(0, 100_000_000, 121);
    world.accept(place(ALICE, PlaceOrder { leverage_e2: 1_000, ..limit(0, side::BUY, 10_000, 1_000) }));
    world.accept(exit(BOB, 5_000 * DOLLAR));
    world.wait(26 * HOUR);
    world.quote_all(0, 100_000_000);
    world.keep_quoting(0, 100_000_000, 121);
    let refusal = world.refuse(buy(ALICE, 0, 10_000, 1_000), Code::STAGE_FORBIDS);
    assert_eq!((refusal.bound, refusal.given), (100, 0));
    // The stage heals five minutes after the vault is worth enough again.
    world.accept(into_vault(BOB, 5_000 * DOLLAR));
    world.keep_quoting(0, 100_000_000, 240);
    world.refuse(buy(ALICE, 0, 10_000, 1_000), Code::STAGE_FORBIDS);
    world.keep_quoting(0, 100_000_000, 121);
    world.accept(buy(ALICE, 0, 10_000, 1_000));
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    In(usize, i64),
    Out(usize, i64),
    Claim(usize, u64),
    Wait(i64),
    Trade(i64),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..3_usize, 1..5_000_000_000_i64).prop_map(|(who, amount)| Deed::In(who, amount)),
        (0..3_usize, 1..2_000_000_000_i64).prop_map(|(who, shares)| Deed::Out(who, shares)),
        (0..3_usize, 1..12_u64).prop_map(|(who, ticket)| Deed::Claim(who, ticket)),
        (1..40_i64).prop_map(Deed::Wait),
        (1..10_000_i64).prop_map(Deed::Trade),
    ]
}

proptest! {
    #![proptest_config(config(24))]
    #[test]
    fn t16_whatever_happens_the_vault_conserves_money_and_nobody_gains_by_coming_and_going(
        deeds in prop::collection::vec(any_deed(), 1..60),
    ) {
        let mut world: World = World::leveraged();
        world.accept(create_market(9, 1_000, 1_000, 100_000_000, 0));
        world.deposit(SYSTEM, BTC, FUNDS);
        let owners = [ALICE, BOB, CAROL];
        let mut fees = 0;
        for deed in deeds {
            let before = cash(&world);
            match deed {
                Deed::In(who, amount) => _ = world.send(into_vault(owners[who], amount)),
                Deed::Out(who, shares) => _ = world.send(exit(owners[who], shares)),
                Deed::Claim(who, ticket) => _ = world.send(claim(owners[who], ticket)),
                Deed::Wait(hours) => world.wait(hours * HOUR),
                Deed::Trade(lots) => {
                    world.accept(sell(SYSTEM, 1, 1_000_000, lots));
                    world.accept(buy(OPERATOR, 1, 1_000_000, lots));
                    fees += cash(&world) - before;
                }
            }
        }
        // Every share leaves; what all three have then is at most what they had and what the fees gave.
        for owner in owners {
            while let Some(shares) = (0..41).rev().map(|bits| 1_i64 << bits).find(|&shares| world.send(exit(owner, shares)).accepted == 1) {
                assert!(shares > 0);
            }
        }
        world.wait(30 * HOUR);
        for ticket in 1..400 {
            owners.iter().for_each(|&owner| _ = world.send(claim(owner, ticket)));
        }
        let total: i64 = owners.iter().map(|&owner| world.free(owner, USDC)).sum();
        prop_assert!(total <= 3 * FUNDS + fees);
        world.auditor.verify().unwrap();
        reopened(&world);
    }
}

/// Spot market 1 of this world with the elastic fee.
fn elastic_world() -> World {
    let mut world: World = World::leveraged();
    let fixed: CreateMarket = create_market(9, 1_000, 1_000, 28_000_000, 0).payload_as();
    let elastic = CreateMarket { market_flags: ELASTIC_FEE, ..fixed };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&elastic));
    world.deposit(BOB, BTC, FUNDS);
    world
}

/// BOB sells 100 dollars' worth to ALICE; what was charged.
fn hundred_dollars(world: &mut World) -> FeeBody {
    world.accept(sell(BOB, 1, 100_000, 1_000));
    world.accept(buy(ALICE, 1, 100_000, 1_000));
    body(world, EventKind::FeeCharged)
}

#[test]
fn p8_2_an_elastic_market_charges_28_bp_in_bootstrap_and_3_once_nothing_is_at_risk() {
    let mut world = elastic_world();
    // Deep enough, so that nothing is added for it (P8.3).
    world.accept(buy(CAROL, 1, 99_500, 150_000));
    let (alice, bob) = (world.free(ALICE, USDC), world.free(BOB, USDC));
    let charged = hundred_dollars(&mut world);
    assert_eq!((charged.rate_e8, charged.coverage_ppm, charged.fee), (2_800_000_000, 0, 280_000));
    // A fifth goes to the maker; the rest is split.
    assert_eq!(charged.rebate, 56_000);
    assert_eq!(world.free(ALICE, USDC), alice - 100 * DOLLAR - 280_000);
    assert_eq!(world.free(BOB, USDC), bob + 100 * DOLLAR + 56_000);
    let line = |line| world.engine.system_balance(line, 0, USDC);
    assert_eq!([line(0x83), line(0x88), line(0x89), line(0x85)], [156_800, 33_600, 11_200, 22_400]);
    world.accept(into_vault(CAROL, 10_000 * DOLLAR));
    world.wait(60 * SECOND);
    let charged = hundred_dollars(&mut world);
    assert_eq!((charged.rate_e8, charged.coverage_ppm, charged.fee), (300_000_000, i64::MAX, 30_000));
    // A seller that takes pays out of its proceeds, and a buyer that makes gets its rebate back.
    world.accept(buy(ALICE, 1, 100_000, 1_000));
    let alice = world.free(ALICE, USDC);
    world.accept(sell(BOB, 1, 100_000, 1_000));
    assert_eq!(body::<FeeBody>(&world, EventKind::FeeCharged).rebate, 6_000);
    // The reserve held 28 bp of the purchase, too.
    assert_eq!(world.free(ALICE, USDC), alice + 280_000 + 6_000);
    world.auditor.verify().unwrap();
    let mut again = reopened(&world);
    hundred_dollars(&mut again);
}

#[test]
fn an_elastic_market_has_a_cap_within_the_curve_and_no_maker_fee() {
    let mut world: World = World::leveraged();
    for (taker, maker, flags) in
        [(2_999_999, 0, ELASTIC_FEE), (28_000_001, 0, ELASTIC_FEE), (5_000_000, 1, ELASTIC_FEE), (0, 0, 1)]
    {
        let fixed: CreateMarket = create_market(9, 1_000, 1_000, taker, maker).payload_as();
        let elastic = CreateMarket { market_flags: flags, ..fixed };
        world.refuse(by(OPERATOR, Kind::CreateMarket).with(&elastic), Code::PARAMETER_OUT_OF_BOUNDS);
    }
}

#[test]
fn an_elastic_perpetual_market_charges_at_most_its_own_cap() {
    let mut world: World = World::leveraged();
    let fixed: CreateMarket = perpetual(11, 0).payload_as();
    let elastic = CreateMarket { market_flags: ELASTIC_FEE, taker_fee_e6bp: 5_000_000, ..fixed };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&elastic));
    world.quote_all(0, 100_000_000);
    world.keep_quoting(0, 100_000_000, 121);
    world.accept(sell(BOB, 1, 10_000, 1_000));
    world.accept(buy(ALICE, 1, 10_000, 1_000));
    let charged: FeeBody = body(&world, EventKind::FeeCharged);
    assert_eq!((charged.rate_e8, charged.base, charged.fee), (500_000_000, 100 * DOLLAR, 50_000));
    assert_eq!(charged.rebate, 10_000);
    world.auditor.verify().unwrap();
}

#[test]
fn p8_1_an_elastic_outcome_market_charges_the_cheaper_side_of_the_contract() {
    let mut world: World = World::leveraged();
    let fixed = outcome_request(21, 2);
    let elastic =
        CreateMarket { market_flags: ELASTIC_FEE, taker_fee_e6bp: 28_000_000, maker_fee_e6bp: 0, ..fixed };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&elastic)).value as u32;
    // 100 contracts at 0.90: the base is $10 on either side.
    world.accept(place(ALICE, on(market, 0, side::BUY, 900, 100_000)));
    world.accept(place(BOB, on(market, 1, side::BUY, 100, 100_000)));
    let charged: FeeBody = body(&world, EventKind::FeeCharged);
    assert_eq!((charged.base, charged.rate_e8), (10 * DOLLAR, 2_800_000_000));
    assert_eq!((charged.fee, charged.rebate), (28_000, 5_600));
    assert_eq!(world.free(BOB, USDC), FUNDS - 10 * DOLLAR - 28_000);
    assert_eq!(world.free(ALICE, USDC), FUNDS - 90 * DOLLAR + 5_600);
    world.auditor.verify().unwrap();
}
