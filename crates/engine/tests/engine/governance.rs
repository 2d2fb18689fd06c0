//! Actions, time-locks, parameters, offers of authority, suitability (P14.4–P14.6, rows 0209, 0C01–0C06).

use tradewind_engine::governance::parameters::{Class, Effect, Parameter};
use tradewind_engine::roles;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    ActionBody, ActionPayloadBody, ActionStateBody, EventKind as E, MarketBody, OfferBody, ParameterBody,
};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::Engine;

use crate::support::*;

const WEEK: i64 = 7 * DAY;

fn update(request: UpdateMarket) -> Command {
    by(RISK, Kind::UpdateMarket).with(&request)
}

/// Market 0 with another band; it starts with 9,000 bp.
fn band(config_version: u32, band_bp: u16) -> Command {
    update(UpdateMarket { market: 0, config_version, field_mask: 1, band_bp, ..Record::zero() })
}

/// Market 0 with another taker fee; it starts with 28,000,000.
fn fee(config_version: u32, taker_fee_e6bp: u32) -> Command {
    update(UpdateMarket { market: 0, config_version, field_mask: 4, taker_fee_e6bp, ..Record::zero() })
}

fn set(parameter: Parameter, config_version: u32, value: i64) -> Command {
    let request = SetParameter { parameter: parameter as u32, config_version, value };
    by(RISK, Kind::SetParameter).with(&request)
}

fn one(by_key: Key, kind: Kind, action: u64) -> Command {
    by(by_key, kind).with(&OneAction { action })
}

fn approve(approver: Key, action: u64) -> Command {
    one(approver, Kind::ApproveAction, action)
}

fn approve_by_all(world: &mut World, action: u64) {
    for approver in APPROVERS {
        world.accept(approve(approver, action));
    }
}

fn execute(action: u64) -> Command {
    one(ALICE, Kind::ExecuteAction, action)
}

fn grant_of(principal: Key, role: u8, expiry_ns: i64) -> Command {
    by(ADMIN_A, Kind::GrantRole).with(&GrantRole { principal, role, expiry_ns, ..Record::zero() })
}

fn suspend(principal: Key) -> Command {
    by(ADMIN_A, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal })
}

fn offer(holder: Key, nominee: Key, authority: u8) -> Command {
    by(holder, Kind::OfferAuthority).with(&OfferAuthority { nominee, authority, ..Record::zero() })
}

fn on_offer(by_key: Key, kind: Kind, offer: u64) -> Command {
    by(by_key, kind).with(&OneOffer { offer })
}

fn proposed(world: &World) -> ActionBody {
    let (kind, event) = world.events()[0];
    assert_eq!(kind, E::ActionProposed);
    event.body_as()
}

fn restores(world: &World) {
    let twin: Engine = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(twin.state_hash(), world.engine.state_hash());
    assert_eq!(twin.next_due_ns(), world.engine.next_due_ns());
}

#[test]
fn p14_5_a_fee_rise_waits_seven_days_and_two_other_people() {
    let mut world: World = World::new();
    let action = world.accept(propose(fee(1, 30_000_000), 0)).value;
    let body = proposed(&world);
    assert_eq!((body.action_class, body.needed), (Class::Fees as u8, 2));
    assert_eq!((body.effect, body.eta_ns), (Effect::Increases as u8, world.now_ns + WEEK));
    assert_eq!(body.expires_ns, world.now_ns + 2 * WEEK);
    let payload: ActionPayloadBody = world.events()[1].1.body_as();
    assert_eq!(payload.payload, fee(1, 30_000_000).payload[..64]);
    restores(&world);
    world.refuse(approve(GOVERNOR, action), Code::PERMISSION_DENIED);
    let missing = world.refuse(execute(action), Code::APPROVALS_MISSING);
    assert_eq!((missing.bound, missing.given), (2, 0));
    world.accept(approve(APPROVERS[0], action));
    world.refuse(approve(APPROVERS[0], action), Code::ALREADY_APPROVED);
    world.refuse(execute(action), Code::APPROVALS_MISSING);
    world.accept(approve(APPROVERS[1], action));
    let locked = world.refuse(execute(action), Code::TIMELOCK_ACTIVE);
    assert_eq!(locked.bound, body.eta_ns);
    world.wait(WEEK - HOUR);
    world.advance(HOUR - 1);
    world.refuse(execute(action), Code::TIMELOCK_ACTIVE);
    world.advance(1);
    world.accept(execute(action));
    assert_eq!(world.kinds(), [E::MarketUpdated, E::ActionExecuted]);
    let market: MarketBody = world.events()[0].1.body_as();
    assert_eq!((market.taker_fee_e6bp, market.config_version), (30_000_000, 2));
    world.refuse(execute(action), Code::GOV_PROPOSAL_NOT_FOUND);
    restores(&world);
}

#[test]
fn p14_5_what_reduces_risk_needs_two_approvals_and_no_time() {
    let mut world: World = World::new();
    let action = world.accept(propose(band(1, 500), 0)).value;
    assert_eq!(proposed(&world).eta_ns, world.now_ns);
    world.accept(approve(APPROVERS[0], action));
    world.accept(approve(APPROVERS[2], action));
    world.accept(execute(action));
    assert_eq!(world.kinds(), [E::MarketUpdated, E::ActionExecuted]);
}

#[test]
fn p14_5_config_alone_makes_only_changes_that_reduce_risk() {
    let mut world: World = World::new();
    world.accept(band(1, 500));
    world.advance(DAY);
    let wider = world.refuse(band(2, 501), Code::APPROVALS_MISSING);
    assert_eq!((wider.bound, wider.given), (2, 0));
    world.refuse(fee(2, 28_000_001), Code::APPROVALS_MISSING);
    // One riskier field among safer ones is enough.
    let mixed = UpdateMarket {
        market: 0,
        config_version: 2,
        field_mask: 0b101,
        band_bp: 400,
        taker_fee_e6bp: 28_000_001,
        ..Record::zero()
    };
    world.refuse(update(mixed), Code::APPROVALS_MISSING);
    // The command's own checks answer first.
    world.refuse(band(1, 600), Code::CONFIG_VERSION_MISMATCH);
    world.refuse(band(2, 9_001), Code::PARAMETER_OUT_OF_BOUNDS);
    world.accept(fee(2, 27_000_000));
    world.refuse(band(3, 600), Code::PARAMETER_COOLDOWN);
    world.accept(set(Parameter::KeeperMinimumStake, 0, 2_000));
    world.refuse(set(Parameter::TimeLockDays, 1, 6), Code::APPROVALS_MISSING);
}

#[test]
fn row_0c01_a_proposal_is_checked_as_the_command_itself_would_be_and_changes_nothing_yet() {
    let mut world: World = World::new();
    world.refuse(propose(fee(2, 30_000_000), 0), Code::CONFIG_VERSION_MISMATCH);
    world.refuse(propose(fee(1, 100_000_001), 0), Code::PARAMETER_OUT_OF_BOUNDS);
    let tick_size = UpdateMarket { market: 0, config_version: 1, field_mask: 64, ..Record::zero() };
    world.refuse(propose(update(tick_size), 0), Code::IMMUTABLE_PARAMETER);
    world.refuse(propose(fee(1, 30_000_000), 1), Code::CONFIG_VERSION_MISMATCH);
    for kind in
        [Kind::Deposit, Kind::PlaceOrder, Kind::SuspendPrincipal, Kind::PublishPrice, Kind::ProposeAction]
    {
        world.refuse(propose(by(RISK, kind), 0), Code::IMMUTABLE_PARAMETER);
    }
    world.refuse(propose(Command { kind: 0x0999, ..fee(1, 5) }, 0), Code::UNKNOWN_COMMAND);
    let mut long = fee(1, 30_000_000);
    long.payload[60] = 1;
    world.refuse(propose(long, 0), Code::RESERVED_NOT_ZERO);
    let reserved = ProposeAction { reserved: 1, ..propose(fee(1, 30_000_000), 0).payload_as() };
    world.refuse(by(GOVERNOR, Kind::ProposeAction).with(&reserved), Code::RESERVED_NOT_ZERO);
    world.refuse(Command { principal: APPROVERS[0], ..propose(fee(1, 5), 0) }, Code::PERMISSION_DENIED);
    let before = world.engine.levels(0, 0, 1);
    world.accept(propose(fee(1, 30_000_000), 0));
    assert_eq!(world.engine.levels(0, 0, 1), before);
    assert_eq!(world.kinds(), [E::ActionProposed, E::ActionPayload]);
    world.refuse(propose(fee(1, 30_000_000), 0), Code::ALREADY_EXISTS);
    world.accept(band(1, 500));
    world.refuse(propose(fee(2, 31_000_000), 0), Code::PARAMETER_COOLDOWN);
}

#[test]
fn p14_5_checks_run_again_at_execution() {
    let mut world: World = World::new();
    let action = world.accept(propose(fee(1, 30_000_000), 0)).value;
    approve_by_all(&mut world, action);
    world.accept(band(1, 500));
    world.wait(WEEK);
    let stale = world.refuse(execute(action), Code::CONFIG_VERSION_MISMATCH);
    assert_eq!((stale.bound, stale.given), (2, 1));
    // It stays open until it expires, and can be cancelled.
    world.refuse(one(ALICE, Kind::CancelAction, action), Code::PERMISSION_DENIED);
    world.refuse(one(APPROVERS[0], Kind::CancelAction, action), Code::PERMISSION_DENIED);
    let mut cancelled = world.clone();
    cancelled.accept(one(EMERGENCY, Kind::CancelAction, action));
    assert_eq!(cancelled.kinds(), [E::ActionCancelled]);
    cancelled.refuse(one(EMERGENCY, Kind::CancelAction, action), Code::GOV_PROPOSAL_NOT_FOUND);
    world.accept(one(GOVERNOR, Kind::CancelAction, action));
    world.refuse(approve(APPROVERS[0], action), Code::GOV_PROPOSAL_NOT_FOUND);
}

#[test]
fn a_change_that_became_riskier_since_its_proposal_waits_the_longer_time() {
    let mut world: World = World::new();
    let cap = |deposit_cap| {
        let weight = 10_000;
        by(RISK, Kind::UpdateAsset).with(&UpdateAsset {
            asset: USDC,
            initial_asset_bp: weight,
            maintenance_asset_bp: weight,
            initial_liability_bp: weight,
            maintenance_liability_bp: weight,
            feed: u32::MAX,
            deposit_cap,
            ..Record::zero()
        })
    };
    // A first cap reduces risk: no time-lock. Then a lower one comes, and the first would raise it again.
    let action = world.accept(propose(cap(2 << 60), 0)).value;
    let body = proposed(&world);
    assert_eq!((body.effect, body.eta_ns), (Effect::Reduces as u8, world.now_ns));
    approve_by_all(&mut world, action);
    world.accept(cap(1 << 60));
    let locked = world.refuse(execute(action), Code::TIMELOCK_ACTIVE);
    assert_eq!(locked.bound, world.now_ns + WEEK);
    world.refuse(cap(2 << 60), Code::APPROVALS_MISSING);
    world.wait(WEEK);
    world.accept(execute(action));
}

#[test]
fn a_longer_time_lock_holds_for_the_next_proposal() {
    let mut world: World = World::new();
    let action = world.accept(propose(set(Parameter::TimeLockDays, 0, 8), 0)).value;
    assert_eq!((proposed(&world).needed, proposed(&world).eta_ns), (3, world.now_ns));
    approve_by_all(&mut world, action);
    world.accept(execute(action));
    let body: ParameterBody = world.events()[0].1.body_as();
    assert_eq!((body.value, body.previous, body.config_version), (8, 7, 1));
    world.refuse(set(Parameter::TimeLockDays, 1, 9), Code::PARAMETER_COOLDOWN);
    world.accept(propose(fee(1, 30_000_000), 1));
    assert_eq!(proposed(&world).eta_ns, world.now_ns + 8 * DAY);
}

#[test]
fn p14_5_an_action_expires_seven_days_after_its_time() {
    let mut world: World = World::new();
    let action = world.accept(propose(fee(1, 30_000_000), 0)).value;
    approve_by_all(&mut world, action);
    world.wait(2 * WEEK - HOUR);
    world.advance(HOUR);
    let mut last_moment = world.clone();
    last_moment.accept(execute(action));
    world.advance(1);
    world.refuse(execute(action), Code::GOV_PROPOSAL_EXPIRED);
    world.refuse(approve(APPROVERS[0], action), Code::ALREADY_APPROVED);
    world.refuse(one(GOVERNOR, Kind::CancelAction, action), Code::GOV_PROPOSAL_EXPIRED);
    world.tick();
    assert_eq!(world.kinds(), [E::ActionExpired]);
    for late in [execute(action), approve(APPROVERS[0], action), one(GOVERNOR, Kind::CancelAction, action)] {
        world.refuse(late, Code::GOV_PROPOSAL_EXPIRED);
    }
    world.refuse(execute(99), Code::GOV_PROPOSAL_NOT_FOUND);
    restores(&world);
}

#[test]
fn p14_5_ten_actions_are_open_at_most() {
    let mut world: World = World::new();
    for number in 0..10 {
        world.accept(propose(fee(1, 30_000_000 + number), 0));
    }
    let full = world.refuse(propose(fee(1, 40_000_000), 0), Code::CAPACITY_EXCEEDED);
    assert_eq!((full.bound, full.given), (10, 10));
    world.accept(one(GOVERNOR, Kind::CancelAction, 1));
    world.accept(propose(fee(1, 40_000_000), 0));
}

#[test]
fn p14_3_governance_grants_what_no_person_may_with_three_approvals() {
    let mut world: World = World::new();
    let (newcomer, expiry_ns) = (key(0xD0), START + 60 * DAY);
    world.refuse(grant_of(newcomer, roles::OPERATOR, expiry_ns), Code::ROLE_ESCALATION);
    let action = world.accept(propose(grant_of(newcomer, roles::OPERATOR, expiry_ns), 0)).value;
    assert_eq!((proposed(&world).needed, proposed(&world).action_class), (3, Class::Roles as u8));
    world.accept(approve(APPROVERS[0], action));
    world.accept(approve(APPROVERS[1], action));
    world.wait(WEEK);
    world.refuse(execute(action), Code::APPROVALS_MISSING);
    world.accept(approve(APPROVERS[2], action));
    world.accept(execute(action));
    assert_eq!(world.kinds(), [E::RoleGranted, E::ActionExecuted]);
    world.accept(Command { principal: newcomer, ..register_asset([b'N'; 16]) });
    // Exclusions hold for governance too.
    let excluded = grant_of(EMERGENCY, roles::RESUMER, expiry_ns);
    world.refuse(propose(excluded, 0), Code::CONFLICT_OF_INTEREST);
    // Taking a role away reduces risk: three approvals and no time.
    let revoke = Command { op: Kind::RevokeRole.code().1, ..grant_of(newcomer, roles::OPERATOR, 0) };
    world.govern(revoke, 0);
    world.refuse(Command { principal: newcomer, ..register_asset([b'M'; 16]) }, Code::PERMISSION_DENIED);
}

#[test]
fn p14_5_approvals_count_only_while_their_authors_hold_the_right() {
    let mut world: World = World::new();
    let action = world.accept(propose(band(1, 500), 0)).value;
    world.accept(approve(APPROVERS[0], action));
    world.accept(approve(APPROVERS[1], action));
    world.accept(suspend(APPROVERS[1]));
    assert_eq!(world.kinds(), [E::PrincipalSuspended, E::ApprovalWithdrawn]);
    let state: ActionStateBody = world.events()[1].1.body_as();
    assert_eq!((state.approvals, state.principal), (1, APPROVERS[1]));
    let missing = world.refuse(execute(action), Code::APPROVALS_MISSING);
    assert_eq!((missing.bound, missing.given), (2, 1));
    // Lifting the suspension does not bring the approval back.
    for admin in [ADMIN_A, ADMIN_B] {
        let request = SuspendPrincipal { principal: APPROVERS[1] };
        world.accept(by(admin, Kind::ReinstatePrincipal).with(&request));
    }
    world.refuse(execute(action), Code::APPROVALS_MISSING);
    world.accept(approve(APPROVERS[1], action));
    // An approver whose role was taken away no longer counts.
    let mut revoked = world.clone();
    let request = GrantRole { principal: APPROVERS[0], role: roles::APPROVER, ..Record::zero() };
    revoked.accept(by(ADMIN_A, Kind::RevokeRole).with(&request));
    revoked.refuse(execute(action), Code::APPROVALS_MISSING);
    // With its proposer suspended an action is cancelled.
    let mut gone = world.clone();
    gone.accept(suspend(GOVERNOR));
    assert_eq!(gone.kinds(), [E::PrincipalSuspended, E::ActionCancelled]);
    gone.refuse(execute(action), Code::GOV_PROPOSAL_NOT_FOUND);
    world.accept(execute(action));
}

#[test]
fn p14_6_platform_parameters_have_bounds_versions_and_cool_downs() {
    let mut world: World = World::new();
    world.refuse(propose(set(Parameter::TimeLockDays, 0, 0), 0), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(propose(set(Parameter::TimeLockDays, 0, 31), 0), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(propose(set(Parameter::BandBp, 0, 500), 0), Code::IMMUTABLE_PARAMETER);
    world.refuse(propose(set(Parameter::TimeLockDays, 1, 6), 0), Code::CONFIG_VERSION_MISMATCH);
    world.govern(set(Parameter::TimeLockDays, 0, 1), 0);
    let (kind, event) = world.events()[0];
    let body: ParameterBody = event.body_as();
    assert_eq!((kind, body.value, body.previous, body.config_version), (E::ParameterSet, 1, 7, 1));
    assert_eq!(body.ready_ns, world.now_ns + 90 * DAY);
    world.wait(90 * DAY - HOUR);
    world.refuse(propose(set(Parameter::TimeLockDays, 1, 2), 1), Code::PARAMETER_COOLDOWN);
    world.wait(HOUR);
    // A day's lock is in force now.
    let action = world.accept(propose(fee(1, 30_000_000), 1)).value;
    assert_eq!(proposed(&world).eta_ns, world.now_ns + DAY);
    world.accept(one(GOVERNOR, Kind::CancelAction, action));
    world.accept(propose(set(Parameter::TimeLockDays, 1, 2), 1));
    restores(&world);
}

#[test]
fn p13_1_governance_moves_the_minimum_stake_of_keepers() {
    let mut world: World = World::new();
    let staking = RegisterAsset {
        asset_flags: asset_flag::STAKE,
        ..register_asset(*b"MMT\0\0\0\0\0\0\0\0\0\0\0\0\0").payload_as()
    };
    let token = world.accept(by(OPERATOR, Kind::RegisterAsset).with(&staking)).value as u16;
    world.deposit(ALICE, token, 1_000_000_000_000);
    world.govern(set(Parameter::KeeperMinimumStake, 0, 100), 0);
    let register =
        |stake| by(ALICE, Kind::RegisterKeeper).with(&RegisterKeeper { capabilities: 8, reserved: 0, stake });
    let low = world.refuse(register(99_999_999), Code::KEEPER_STAKE_TOO_LOW);
    assert_eq!(low.bound, 100_000_000);
    world.accept(register(100_000_000));
}

#[test]
fn p14_4_authority_moves_a_day_after_the_offer_by_the_nominees_own_key() {
    let mut world: World = World::new();
    let nominee = key(0xD0);
    world.refuse(offer(RISK, [0; 32], roles::RISK), Code::ZERO_AUTHORITY);
    world.refuse(offer(RISK, RISK, roles::RISK), Code::SELF_APPROVAL);
    world.refuse(offer(RISK, nominee, roles::OPERATOR), Code::PERMISSION_DENIED);
    world.refuse(offer(RISK, nominee, 16), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(offer(EMERGENCY, RESUMER_A, roles::EMERGENCY), Code::CONFLICT_OF_INTEREST);
    world.refuse(offer(SYSTEM, nominee, roles::SYSTEM), Code::INVALID_TRANSITION);
    let reserved = OfferAuthority { nominee, authority: roles::RISK, reserved: 1, ..Record::zero() };
    world.refuse(by(RISK, Kind::OfferAuthority).with(&reserved), Code::RESERVED_NOT_ZERO);
    let id = world.accept(offer(RISK, nominee, roles::RISK)).value;
    world.refuse(offer(RISK, key(0xD1), roles::RISK), Code::ALREADY_EXISTS);
    world.refuse(on_offer(nominee, Kind::AcceptAuthority, id + 1), Code::TRANSFER_NOT_PENDING);
    world.refuse(on_offer(ALICE, Kind::AcceptAuthority, id), Code::UNAUTHORIZED_SIGNER);
    world.wait(DAY - HOUR);
    world.advance(HOUR - 1);
    let early = world.refuse(on_offer(nominee, Kind::AcceptAuthority, id), Code::TIMELOCK_ACTIVE);
    assert_eq!((early.bound, early.given), (START + DAY, START + DAY - 1));
    restores(&world);
    world.advance(1);
    world.accept(on_offer(nominee, Kind::AcceptAuthority, id));
    assert_eq!(world.kinds(), [E::RoleRevoked, E::RoleGranted, E::AuthorityTransferred]);
    world.refuse(band(1, 500), Code::PERMISSION_DENIED);
    world.accept(Command { principal: nominee, ..band(1, 500) });
    world.refuse(on_offer(nominee, Kind::AcceptAuthority, id), Code::TRANSFER_NOT_PENDING);
}

#[test]
fn p14_4_an_offer_lapses_after_a_week_or_when_the_holder_takes_it_back_or_loses_the_role() {
    let nominee = key(0xD0);
    let mut fresh: World = World::new();
    let id = fresh.accept(offer(RISK, nominee, roles::RISK)).value;
    fresh.refuse(on_offer(nominee, Kind::WithdrawOffer, id), Code::UNAUTHORIZED_SIGNER);
    fresh.refuse(on_offer(RISK, Kind::WithdrawOffer, id + 1), Code::TRANSFER_NOT_PENDING);
    let accept = on_offer(nominee, Kind::AcceptAuthority, id);

    let mut late = fresh.clone();
    late.wait(WEEK - HOUR);
    late.advance(HOUR);
    late.refuse(accept, Code::TRANSFER_NOT_PENDING);
    late.tick();
    assert_eq!(late.kinds(), [E::OfferLapsed]);
    late.refuse(accept, Code::TRANSFER_NOT_PENDING);

    let mut withdrawn = fresh.clone();
    withdrawn.accept(on_offer(RISK, Kind::WithdrawOffer, id));
    withdrawn.wait(DAY);
    withdrawn.refuse(accept, Code::TRANSFER_NOT_PENDING);

    let mut revoked = fresh.clone();
    let request = GrantRole { principal: RISK, role: roles::RISK, ..Record::zero() };
    revoked.accept(by(ADMIN_A, Kind::RevokeRole).with(&request));
    revoked.wait(DAY);
    revoked.refuse(accept, Code::TRANSFER_NOT_PENDING);

    let mut suspended = fresh.clone();
    suspended.accept(suspend(RISK));
    assert_eq!(suspended.kinds(), [E::PrincipalSuspended, E::OfferWithdrawn]);
    let body: OfferBody = suspended.events()[1].1.body_as();
    assert_eq!((body.holder, body.nominee, u64::from(body.offer)), (RISK, nominee, id));
    suspended.wait(DAY);
    suspended.refuse(accept, Code::TRANSFER_NOT_PENDING);
}

#[test]
fn p14_4_renouncing_waits_48_hours_and_may_be_taken_back() {
    let mut world: World = World::new();
    let renounce = |holder, authority| {
        by(holder, Kind::RenounceAuthority).with(&RenounceAuthority { authority, ..Record::zero() })
    };
    world.refuse(renounce(ALICE, roles::RISK), Code::PERMISSION_DENIED);
    world.refuse(renounce(SYSTEM, roles::SYSTEM), Code::INVALID_TRANSITION);
    let id = world.accept(renounce(RISK, roles::RISK)).value;
    world.refuse(on_offer(RISK, Kind::AcceptAuthority, id), Code::TRANSFER_NOT_PENDING);
    let mut kept = world.clone();
    kept.accept(on_offer(RISK, Kind::WithdrawOffer, id));
    kept.wait(3 * DAY);
    kept.accept(band(1, 500));
    world.wait(2 * DAY - HOUR);
    world.advance(HOUR - 1);
    world.tick();
    restores(&world);
    let mut before = world.clone();
    before.accept(band(1, 500));
    world.advance(1);
    world.tick();
    assert_eq!(world.kinds(), [E::RoleRevoked, E::AuthorityRenounced]);
    world.refuse(band(1, 500), Code::PERMISSION_DENIED);
}

#[test]
fn row_0209_suitability_is_set_by_risk_for_at_most_a_year() {
    let mut world: World = World::new();
    let set = |level, expiry_ns| {
        let request = SetSuitability { level, expiry_ns, ..Record::zero() };
        Command { principal: RISK, ..by(BOB, Kind::SetSuitability).with(&request) }
    };
    let year = START + 365 * DAY;
    for (level, expiry_ns) in [(4, year), (1, START), (1, year + 1), (0, 1), (1, i64::MIN)] {
        world.refuse(set(level, expiry_ns), Code::PARAMETER_OUT_OF_BOUNDS);
    }
    world.refuse(Command { principal: BOB, ..set(1, year) }, Code::PERMISSION_DENIED);
    world.refuse(Command { account: [7; 32], ..set(1, year) }, Code::ACCOUNT_NOT_FOUND);
    let reserved = SetSuitability { level: 1, reserved3: 1, expiry_ns: year, ..Record::zero() };
    let reserved = Command { principal: RISK, ..by(BOB, Kind::SetSuitability).with(&reserved) };
    world.refuse(reserved, Code::RESERVED_NOT_ZERO);
    let before = world.engine.state_hash();
    world.accept(set(1, year));
    assert_eq!(world.kinds(), [E::SuitabilitySet]);
    restores(&world);
    assert_ne!(world.engine.state_hash(), before);
    world.accept(set(0, 0));
    assert_eq!(world.engine.state_hash(), before);
}

#[test]
fn flags_that_mark_the_engines_own_commands_cannot_come_from_outside() {
    let mut world: World = World::new();
    for flags in [1, 2, 3] {
        world.refuse(Command { flags, ..fee(1, 30_000_000) }, Code::RESERVED_NOT_ZERO);
        let grant = grant_of(key(0xD0), roles::OPERATOR, START + DAY);
        world.refuse(Command { flags, ..grant }, Code::RESERVED_NOT_ZERO);
    }
}

#[test]
fn p14_5_loosening_an_armed_breaker_needs_approvals_and_tightening_does_not() {
    let mut world: World = World::new();
    let configure = |threshold: i64, config_version: u32| ConfigureBreaker {
        market: 0,
        breaker: tradewind_engine::halts::breaker::id::PRICE_FAST,
        config_version,
        threshold,
        ..Record::zero()
    };
    let by_risk = |payload: &ConfigureBreaker| by(RISK, Kind::ConfigureBreaker).with(payload);
    world.accept(by_risk(&configure(500, 1)));
    world.accept(by_risk(&configure(300, 2)));
    // One person alone must not loosen it, least of all during a halt.
    world.refuse(by_risk(&configure(400, 3)), Code::APPROVALS_MISSING);
    let slower = ConfigureBreaker { threshold: 0, halt_s: 60, ..configure(0, 3) };
    world.refuse(by_risk(&slower), Code::APPROVALS_MISSING);
    world.accept(by_risk(&ConfigureBreaker { threshold: 0, halt_s: 600, ..configure(0, 3) }));
}
