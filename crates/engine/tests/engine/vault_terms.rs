//! The vault's management fee, insurance's weekly surplus and its deductible (protocol P9.8, P9.12).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::ledger::line;
use tradewind_engine::vault::terms::{insurable, insurance_surplus, management_fee, RETURN_KEY, WEEK_NS};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind, InsuranceWeekBody, ManagementFeeBody, VaultEpochBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::loans::{lending_world, lent_market, long, open, LENT_FROM, LOTS};
use crate::support::*;

const DOLLAR: i64 = 1_000_000;
const MANAGEMENT_FEE_BP: u32 = 190;
const INSURANCE_KEPT: u32 = 191;

fn parameter(parameter: u32, value: i64) -> Command {
    by(RISK, Kind::SetParameter).with(&SetParameter { parameter, value, ..Record::zero() })
}

fn into_vault(owner: Key, amount: i64) -> Command {
    by(owner, Kind::DepositVault).with(&DepositVault { amount })
}

fn insure(world: &mut World, amount: i64) {
    let gift = FundInsurance { asset: USDC, amount, ..Record::zero() };
    world.accept(by(CAROL, Kind::FundInsurance).with(&gift));
}

fn balance(world: &World, name: u8, key: u32) -> i64 {
    world.engine.system_balance(name, key, USDC)
}

/// Bodies of a kind that the Ticks up to a moment write.
fn told_until<B: Record>(world: &mut World, until_ns: i64, kind: EventKind) -> Vec<B> {
    let mut found = Vec::new();
    while world.now_ns < until_ns {
        world.wait((until_ns - world.now_ns).min(HOUR));
        found.extend(
            world
                .events()
                .into_iter()
                .filter(|(other, _)| *other == kind)
                .map(|(_, event)| event.body_as::<B>()),
        );
    }
    found
}

fn next_week(world: &World) -> i64 {
    (world.now_ns / WEEK_NS + 1) * WEEK_NS
}

fn reopened(world: &World) -> World {
    let engine: Engine<FastBook> = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(engine.state_hash(), world.engine.state_hash());
    let auditor = Auditor::from_engine(&engine).expect("a sound state");
    World { engine, auditor, ..world.clone() }
}

/// Shows the auditor of before a step its event of a kind with one field changed.
fn refuted<T: Record>(world: &mut World, kind: EventKind, step: impl FnOnce(&mut World), change: fn(&mut T)) {
    let mut auditor = world.auditor.clone();
    step(world);
    let output = &world.batch.output;
    let mut events = output.events.clone();
    let event = events.iter_mut().find(|event| event.kind == kind as u16).expect("the step writes it");
    let mut body: T = event.body_as();
    change(&mut body);
    event.body[..T::SIZE].copy_from_slice(body.bytes());
    let found = auditor.check(&world.batch.commands, &world.batch.results, &events, &output.postings);
    assert_eq!(found.expect_err("told otherwise").invariant, "I24");
}

#[test]
fn p9_8_a_management_fee_needs_governance_and_is_taken_once_a_day_to_the_treasury() {
    let mut world: World = World::leveraged();
    world.accept(into_vault(ALICE, 365_000 * DOLLAR));
    world.refuse(parameter(MANAGEMENT_FEE_BP, 201), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(parameter(MANAGEMENT_FEE_BP, 200), Code::APPROVALS_MISSING);
    world.govern(parameter(MANAGEMENT_FEE_BP, 200), 0);
    assert_eq!(balance(&world, line::TREASURY, 0), 0, "nothing is charged for the time before");
    let midnight = (world.now_ns / DAY + 1) * DAY;
    let fees: Vec<ManagementFeeBody> = told_until(&mut world, midnight, EventKind::ManagementFeeTaken);
    // 2 % of $365,000 a year are $20 a day.
    assert_eq!(fees.iter().map(|fee| fee.amount).collect::<Vec<_>>(), [20 * DOLLAR]);
    assert_eq!(balance(&world, line::TREASURY, 0), 20 * DOLLAR);
    assert_eq!((fees[0].nav, fees[0].rate_bp), (364_980 * DOLLAR, 200));
    world = reopened(&world);
    world.wait(DAY - HOUR);
    refuted::<ManagementFeeBody>(
        &mut world,
        EventKind::ManagementFeeTaken,
        |world| world.wait(HOUR),
        |body| body.rate_bp += 1,
    );
    // What it takes is no loss that a performance fee is forgiven for, and no gain: the mark stays.
    let epochs: Vec<VaultEpochBody> =
        told_until(&mut world, midnight + 3 * DAY, EventKind::VaultEpochStarted);
    assert!(epochs.iter().all(|epoch| epoch.performance_fee == 0 && epoch.high_water_high == 0));
    assert!(epochs.windows(2).all(|pair| pair[0].high_water_low == pair[1].high_water_low));
    let lowered = SetParameter { parameter: MANAGEMENT_FEE_BP, config_version: 1, ..Record::zero() };
    world.accept(by(RISK, Kind::SetParameter).with(&lowered));
    assert_eq!(
        told_until::<ManagementFeeBody>(&mut world, midnight + 5 * DAY, EventKind::ManagementFeeTaken),
        []
    );
    world.auditor.verify().unwrap();
    reopened(&world);
}

#[test]
fn p9_12_what_insurance_has_beyond_twice_a_tenth_of_s_returns_to_the_vault_a_week_later() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(open(ALICE, long(market, LOTS, 500, 200)));
    insure(&mut world, 1_000 * DOLLAR);
    world.govern(parameter(INSURANCE_KEPT, 0), 0);
    let risk = world.engine.worst_cases().total() as i64;
    assert!(risk >= 250 * DOLLAR);
    let week_ns = next_week(&world);
    let weeks: Vec<InsuranceWeekBody> = told_until(&mut world, week_ns, EventKind::InsuranceWeekEnded);
    let [week] = weeks[..] else { panic!("{} weeks ended", weeks.len()) };
    // Interest has raised S since, and its largest value counts.
    assert!(week.at_risk >= risk && week.at_risk < risk + DOLLAR);
    assert_eq!(week.set_aside, 1_000 * DOLLAR - (week.at_risk + 4) / 5);
    assert_eq!((week.released, week.insurance_left), (0, 1_000 * DOLLAR - week.set_aside));
    assert_eq!(balance(&world, line::VAULT_CASH, RETURN_KEY), week.set_aside);
    world.auditor.verify().unwrap();
    world = reopened(&world);
    // It is the vault's already: a deposit pays for its part, so that coming for it gains nothing.
    let nav = balance(&world, line::VAULT_CASH, 0) + balance(&world, line::VAULT_LOANS, 0);
    let (supply, virtual_units) = (i128::from(LENT_FROM), i128::from(DOLLAR));
    let fair = i128::from(100 * DOLLAR) * (supply + virtual_units)
        / (i128::from(nav) + i128::from(week.set_aside) + virtual_units);
    assert_eq!(i128::from(world.accept(into_vault(BOB, 100 * DOLLAR)).value), fair);
    let before = nav + 100 * DOLLAR;
    let later = week_ns + WEEK_NS;
    told_until::<InsuranceWeekBody>(&mut world, later - HOUR, EventKind::InsuranceWeekEnded);
    refuted::<InsuranceWeekBody>(
        &mut world,
        EventKind::InsuranceWeekEnded,
        |world| world.wait(HOUR),
        |body| body.at_risk -= 1,
    );
    let now = balance(&world, line::VAULT_CASH, 0)
        + balance(&world, line::VAULT_LOANS, 0)
        + balance(&world, line::TREASURY, 0);
    assert!(now >= before + week.set_aside, "{now} after {before} and {}", week.set_aside);
    world.auditor.verify().unwrap();
    reopened(&world);
}

#[test]
fn p9_12_insurance_keeps_what_governance_said_and_a_lower_bound_needs_governance() {
    let mut world: World = World::leveraged();
    world.accept(into_vault(ALICE, 1_000 * DOLLAR));
    insure(&mut world, 100_400 * DOLLAR);
    world.refuse(parameter(INSURANCE_KEPT, 99_999), Code::APPROVALS_MISSING);
    let week_ns = next_week(&world);
    let weeks: Vec<InsuranceWeekBody> = told_until(&mut world, week_ns, EventKind::InsuranceWeekEnded);
    assert_eq!((weeks[0].set_aside, weeks[0].insurance_left), (400 * DOLLAR, 100_000 * DOLLAR));
    world.accept(parameter(INSURANCE_KEPT, 200_000));
    let weeks: Vec<InsuranceWeekBody> =
        told_until(&mut world, week_ns + WEEK_NS, EventKind::InsuranceWeekEnded);
    assert_eq!((weeks[0].set_aside, weeks[0].released), (0, 400 * DOLLAR));
    world.auditor.verify().unwrap();
}

proptest! {
    #[test]
    fn a_surplus_leaves_twice_the_target_and_what_is_kept(
        insurance in 0..1_000_000_000_000_000_000_i64,
        at_risk in 0..1_000_000_000_000_000_000_i128,
        kept in 0..1_000_000_000_000_000_i64,
    ) {
        let surplus = insurance_surplus(insurance, at_risk, kept);
        let left = i128::from(insurance - surplus);
        prop_assert!(surplus >= 0 && surplus <= insurance);
        prop_assert!(surplus == 0 || left * 10 >= 2 * at_risk && left >= i128::from(kept));
        prop_assert!(surplus == 0 || left * 10 < 2 * at_risk + 10 || left == i128::from(kept));
    }

    #[test]
    fn a_hundredth_of_a_claim_is_the_claimants_rounded_up(claim in 0..4_000_000_000_000_000_000_i64) {
        let own = i128::from(claim - insurable(claim));
        prop_assert!(own * 100 >= i128::from(claim) && (own - 1) * 100 < i128::from(claim));
    }

    #[test]
    fn a_management_fee_never_exceeds_its_rate(nav in 0..4_000_000_000_000_000_000_i64, rate_bp in 0..=200_i64) {
        let fee = i128::from(management_fee(nav, rate_bp));
        prop_assert!(fee * 3_650_000 <= i128::from(nav) * i128::from(rate_bp));
        prop_assert!((fee + 1) * 3_650_000 > i128::from(nav) * i128::from(rate_bp));
    }
}

proptest! {
    #![proptest_config(config(12))]
    /// With fees of the vault and a surplus on its way, no deposit that leaves at the next cut-off gains.
    #[test]
    fn p9_8_coming_for_a_surplus_and_leaving_again_gains_nothing(
        amount in DOLLAR..20_000 * DOLLAR,
        surplus in 0..50_000 * DOLLAR,
        hours in 1..120_i64,
        rate_bp in 0..=200_i64,
    ) {
        let mut world: World = World::leveraged();
        world.accept(into_vault(ALICE, 10_000 * DOLLAR));
        let mut version = 0;
        if rate_bp != 0 {
            world.govern(parameter(MANAGEMENT_FEE_BP, rate_bp), version);
            version += 1;
        }
        prop_assert!(version <= 1);
        insure(&mut world, 100_000 * DOLLAR + surplus.max(1));
        let week_ns = next_week(&world);
        told_until::<InsuranceWeekBody>(&mut world, week_ns, EventKind::InsuranceWeekEnded);
        prop_assert_eq!(balance(&world, line::VAULT_CASH, RETURN_KEY), surplus.max(1));
        world.wait(hours * HOUR);
        let before = world.free(BOB, USDC);
        let shares = world.accept(into_vault(BOB, amount)).value as i64;
        let ticket = world.send(by(BOB, Kind::RequestVaultExit).with(&RequestVaultExit { shares }));
        prop_assert_eq!(ticket.accepted, 1);
        world.wait(26 * HOUR);
        world.accept(by(BOB, Kind::ClaimVaultExit).with(&ClaimVaultExit { ticket: ticket.value }));
        prop_assert!(world.free(BOB, USDC) <= before);
        world.auditor.verify().unwrap();
    }
}
