//! Launch distribution and status (P11.7), reward of the vault's first depositors (P9.11).

use tradewind_engine::audit::Auditor;
use tradewind_engine::ledger::line;
use tradewind_engine::token::launch::{BOOTSTRAP_POOL, LAUNCH_MOST};
use tradewind_engine::token::{RESERVED, SEASON_BUDGET};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{BootstrapClaimBody, EventKind as E, LaunchGrantBody, VaultDepositBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, Engine};

use crate::audit::Recording;
use crate::leveraged::asset;
use crate::support::*;
use crate::token::{allocate, claim, register_token, stake, token_world, unstake, MILLION, MMT, TOKEN};

const DOLLAR: i64 = 1_000_000;

fn grant(owner: Key, amount: i64) -> Command {
    Command { principal: TREASURER, ..by(owner, Kind::GrantLaunch).with(&GrantLaunch { amount }) }
}

fn claim_bootstrap(owner: Key) -> Command {
    by(owner, Kind::ClaimBootstrap)
}

fn suitable(owner: Key, level: u8, expiry_ns: i64) -> Command {
    let payload = SetSuitability { level, expiry_ns, ..Record::zero() };
    Command { principal: RISK, ..by(owner, Kind::SetSuitability).with(&payload) }
}

fn link(first: Key, other: Key) -> Command {
    let other = id::account_id(&other);
    let payload = LinkOwners { other, evidence_hash: [9; 32], linked: 1, ..Record::zero() };
    Command { principal: RISK, ..by(first, Kind::LinkOwners) }.with(&payload)
}

fn restores(world: &World) {
    let twin: Engine = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(twin.state_hash(), world.engine.state_hash());
    Auditor::from_engine(&twin).expect("the auditor takes over").verify().expect("I15 holds");
    world.auditor.verify().expect("I15 holds");
}

/// Money, a settlement asset, the token (number 2), three owners with dollars.
fn vault_world() -> World {
    let mut world = World::bare();
    world.accept(register_asset(*b"BTC\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    world.accept(asset("USDC", asset_flag::SETTLEMENT, [10_000; 4]));
    assert_eq!(world.accept(register_token(asset_flag::TOKEN)).value, u64::from(MMT));
    for owner in [ALICE, BOB, CAROL] {
        world.accept(open_account(owner));
        world.deposit(owner, USDC, 1_000_000 * DOLLAR);
    }
    world
}

fn put(owner: Key, dollars: i64) -> Command {
    by(owner, Kind::DepositVault).with(&DepositVault { amount: dollars * DOLLAR })
}

#[test]
fn p11_7_a_grant_is_once_per_identity_within_its_bounds_and_comes_from_the_ecosystem_pool() {
    let mut world = vault_world();
    world.refuse(grant(ALICE, TOKEN), Code::SUITABILITY_REQUIRED);
    for owner in [ALICE, BOB, CAROL] {
        world.accept(suitable(owner, 1, world.now_ns + 100 * DAY));
    }
    // Nothing has vested at the moment of issue.
    world.refuse(grant(ALICE, LAUNCH_MOST), Code::SUPPLY_EXCEEDED);
    world.wait(HOUR);
    world.refuse(grant(ALICE, LAUNCH_MOST + 1), Code::ABOVE_MAXIMUM);
    world.refuse(grant(ALICE, TOKEN - 1), Code::BELOW_MINIMUM);
    world.refuse(Command { principal: RISK, ..grant(ALICE, TOKEN) }, Code::PERMISSION_DENIED);
    world.accept(grant(ALICE, LAUNCH_MOST));
    let body: LaunchGrantBody = world.events()[0].1.body_as();
    assert_eq!((body.amount, body.total, body.asset), (LAUNCH_MOST, LAUNCH_MOST, MMT));
    assert_eq!(world.free(ALICE, MMT), LAUNCH_MOST);
    assert_eq!(world.engine.system_balance(line::RESERVED, 0, MMT), RESERVED - LAUNCH_MOST);
    assert_eq!(world.engine.system_balance(line::SEASON, 0, MMT), SEASON_BUDGET);
    world.refuse(grant(ALICE, TOKEN), Code::ALREADY_EXISTS);
    world.accept(link(ALICE, BOB));
    world.refuse(grant(BOB, TOKEN), Code::ALREADY_EXISTS);
    world.accept(grant(CAROL, TOKEN));
    restores(&world);
    world.accept(link(BOB, CAROL));
    restores(&world);
}

#[test]
fn a_flag_that_has_run_out_is_no_identity() {
    let mut world = vault_world();
    world.accept(suitable(ALICE, 1, world.now_ns + DAY));
    world.wait(DAY);
    world.refuse(grant(ALICE, TOKEN), Code::SUITABILITY_REQUIRED);
}

#[test]
fn p9_11_the_pool_goes_to_depositors_by_units_and_time_and_exits_stop_to_earn() {
    let mut world = vault_world();
    world.accept(put(ALICE, 100_000));
    let units = world.events()[0].1.body_as::<VaultDepositBody>().reward_units;
    assert_eq!(units, 103_000 * DOLLAR);
    let start_ns = world.now_ns;
    let shares = world.accept(put(BOB, 103_000)).value as i64;
    world.wait(90 * DAY);
    restores(&world);
    world.refuse(claim_bootstrap(ALICE), Code::TOO_EARLY);
    world.refuse(claim_bootstrap(CAROL), Code::NOTHING_TO_CLAIM);
    // BOB leaves with everything: half of the time counts.
    world.accept(by(BOB, Kind::RequestVaultExit).with(&RequestVaultExit { shares }));
    world.wait(start_ns + 180 * DAY - world.now_ns);
    world.accept(claim_bootstrap(ALICE));
    let body: BootstrapClaimBody = world.events()[0].1.body_as();
    assert_eq!(body.share, BOOTSTRAP_POOL * 2 / 3);
    assert_eq!((body.amount, world.free(ALICE, MMT)), (body.share, body.share));
    world.refuse(claim_bootstrap(ALICE), Code::NOTHING_TO_CLAIM);
    world.accept(claim_bootstrap(BOB));
    assert_eq!(world.free(BOB, MMT), BOOTSTRAP_POOL / 3);
    // A deposit behind the end earns nothing.
    world.accept(put(CAROL, 100));
    world.refuse(claim_bootstrap(CAROL), Code::NOTHING_TO_CLAIM);
    restores(&world);
}

#[test]
fn what_depositors_wait_for_is_given_to_nobody_else_and_is_paid_as_it_vests() {
    let mut world = vault_world();
    world.accept(put(ALICE, 1_000));
    let full = world.refuse(allocate(BOB, 3, 28 * MILLION + 1, 0), Code::SUPPLY_EXCEEDED);
    assert_eq!(full.bound, 28 * MILLION);
    world.accept(allocate(BOB, 3, 28 * MILLION, 0));
    world.wait(180 * DAY);
    world.accept(claim_bootstrap(ALICE));
    let first: BootstrapClaimBody = world.events()[0].1.body_as();
    assert_eq!((first.share, first.claimed), (BOOTSTRAP_POOL, first.amount));
    assert!(first.amount < BOOTSTRAP_POOL);
    world.refuse(claim_bootstrap(ALICE), Code::SUPPLY_EXCEEDED);
    world.wait(DAY);
    world.accept(claim_bootstrap(ALICE));
    restores(&world);
}

#[test]
fn p11_7_a_gold_stake_has_a_wider_rate_class_and_loses_it_with_the_stake() {
    let mut world = token_world();
    world.accept(stake(ALICE, 10_000 * TOKEN, 0));
    world.accept(stake(BOB, 9_999 * TOKEN, 0));
    let limited = |world: &World, owner: Key| {
        let mut copy = world.clone();
        let command = Command { client_key: [7; 16], ..claim(owner, 0) };
        let results = copy.run_raw(&vec![command; 8_300]);
        results.iter().any(|result| result.code == Code::RATE_LIMITED as u16)
    };
    assert!(!limited(&world, ALICE));
    assert!(limited(&world, BOB));
    let mut twin = world.clone();
    twin.engine = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert!(!limited(&twin, ALICE));
    world.accept(unstake(ALICE, 1));
    assert!(limited(&world, ALICE));
}

#[test]
fn an_auditor_refuses_grants_and_claims_that_are_not_due() {
    let mut world = vault_world();
    world.accept(suitable(ALICE, 1, world.now_ns + 300 * DAY));
    world.accept(put(ALICE, 1_000));
    world.accept(put(BOB, 1_000));
    world.wait(HOUR);
    let granted = || Recording::of(&mut world.clone(), grant(ALICE, LAUNCH_MOST));
    granted().breaks("I15", |r| r.edit(E::LaunchGranted, |body: &mut LaunchGrantBody| body.total += 1));
    granted().breaks("I15", |r| r.edit(E::LaunchGranted, |body: &mut LaunchGrantBody| body.amount -= 1));
    // To somebody without a flag.
    granted().breaks("I15", |r| r.events[0].account = 1);
    world.wait(180 * DAY);
    let claimed = || Recording::of(&mut world.clone(), claim_bootstrap(ALICE));
    type Claim = BootstrapClaimBody;
    claimed().breaks("I15", |r| r.edit(E::BootstrapClaimed, |body: &mut Claim| body.share += 1));
    claimed().breaks("I15", |r| r.edit(E::BootstrapClaimed, |body: &mut Claim| body.amount += 1));
    claimed().breaks("I15", |r| r.edit(E::BootstrapClaimed, |body: &mut Claim| body.points_low += 1));
    claimed().breaks("I15", |r| r.events[0].account = 2);
    let deposit = || Recording::of(&mut world.clone(), put(BOB, 10));
    deposit()
        .breaks("I24", |r| r.edit(E::VaultDeposited, |body: &mut VaultDepositBody| body.reward_units += 1));
}
