//! Who may do what (P14): seven distinct refusals, exclusions, two-person rules, delegates.

use std::collections::BTreeSet;

use tradewind_engine::roles;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::EventKind;
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Genesis, Grant};

use crate::support::*;

fn grant(by_key: Key, principal: Key, role: u8, expiry_ns: i64) -> Command {
    by(by_key, Kind::GrantRole).with(&GrantRole { principal, role, expiry_ns, ..Record::zero() })
}

fn suspend(by_key: Key, principal: Key) -> Command {
    by(by_key, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal })
}

fn reinstate(by_key: Key, principal: Key) -> Command {
    by(by_key, Kind::ReinstatePrincipal).with(&SuspendPrincipal { principal })
}

#[test]
fn p14_8_the_seven_ways_to_lack_authority_have_seven_codes() {
    let mut world: World = World::new();
    let order = world.accept(buy(BOB, 0, 100, 1)).value;
    world.accept(grant(ADMIN_A, key(0xD0), roles::ROLE_ADMIN, START + SECOND));
    world.accept(suspend(ADMIN_A, CAROL));
    world.advance(SECOND);
    let foreign_id = Command { account: by(BOB, Kind::Tick).account, ..open_account(key(0x60)) };
    let attempts = [
        (Command { principal: BOB, ..buy(ALICE, 0, 100, 1) }, Code::UNAUTHORIZED_SIGNER),
        (Command { principal: ALICE, ..pause(0, 1, START + HOUR) }, Code::PERMISSION_DENIED),
        (suspend(key(0xD0), BOB), Code::ROLE_EXPIRED),
        (buy(CAROL, 0, 100, 1), Code::PRINCIPAL_SUSPENDED),
        (cancel(ALICE, order), Code::WRONG_OWNER),
        (Command { tag: 1, ..buy(ALICE, 0, 100, 1) }, Code::INVALID_TYPE_TAG),
        (foreign_id, Code::DERIVED_ID_MISMATCH),
    ];
    let codes: BTreeSet<Code> = attempts.iter().map(|(_, code)| *code).collect();
    assert_eq!(codes.len(), 7);
    for (command, code) in attempts {
        world.refuse(command, code);
    }
}

#[test]
fn every_command_refuses_a_principal_without_its_authority() {
    let stranger = key(0x66);
    for kind in Kind::ALL {
        let mut world: World = World::new();
        let command = Command { principal: stranger, ..by(ALICE, *kind) };
        let before = world.engine.state_hash();
        let result = world.send(command);
        let code = Code::from_number(result.code);
        let expected: &[Code] = match kind {
            // An account is opened by its own key; the zero key of this empty payload is nobody's.
            Kind::OpenAccount => &[Code::UNAUTHORIZED_SIGNER],
            // Open to everybody: what they name must exist, be due, or be the sender's.
            Kind::SettleMarket
            | Kind::CrankFunding
            | Kind::ExecuteAction
            | Kind::CancelAction
            | Kind::OfferAuthority
            | Kind::AcceptAuthority
            | Kind::WithdrawOffer
            | Kind::RenounceAuthority => {
                assert_eq!(result.accepted, 0, "{}", kind.name());
                continue;
            }
            _ => &[Code::UNAUTHORIZED_SIGNER, Code::PERMISSION_DENIED],
        };
        assert!(code.is_some_and(|code| expected.contains(&code)), "{}: {code:?}", kind.name());
        assert_eq!(world.engine.state_hash(), before);
    }
}

#[test]
fn p14_2_excluded_roles_never_meet_in_one_principal() {
    let pairs = [
        (roles::EMERGENCY, roles::RESUMER),
        (roles::GOVERNOR, roles::APPROVER),
        (roles::KEEPER, roles::ARBITER),
        (roles::ORACLE, roles::ARBITER),
        (roles::SYSTEM, roles::TRADER),
        (roles::SYSTEM, roles::AUDITOR),
    ];
    for (a, b) in pairs {
        for (first, second) in [(a, b), (b, a)] {
            let mut conflicting: Genesis = genesis();
            for role in [first, second] {
                conflicting.grants.push(Grant { principal: key(0x70), role, expiry_ns: START + DAY });
            }
            let bytes = conflicting.encode();
            let refusal = Genesis::decode(&bytes).expect_err("exclusive roles");
            assert!(refusal.contains("CONFLICT_OF_INTEREST"), "{refusal}");
        }
    }
    let mut world: World = World::new();
    world.refuse(grant(ADMIN_A, SYSTEM, roles::ROLE_ADMIN, START + DAY), Code::CONFLICT_OF_INTEREST);
}

#[test]
fn p14_3_a_grantor_passes_on_only_what_he_holds_and_only_for_a_year() {
    let mut world: World = World::new();
    for role in (0..16).filter(|role| *role != roles::ROLE_ADMIN) {
        world.refuse(grant(ADMIN_A, key(0xD0), role, START + DAY), Code::ROLE_ESCALATION);
    }
    world.refuse(grant(ADMIN_A, key(0xD0), 16, START + DAY), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(grant(ADMIN_A, key(0xD0), roles::ROLE_ADMIN, START), Code::PARAMETER_OUT_OF_BOUNDS);
    world.accept(grant(ADMIN_A, key(0xD0), roles::ROLE_ADMIN, START + 365 * DAY));
    world.accept(suspend(key(0xD0), CAROL));
    let revoke = GrantRole { principal: key(0xD0), role: roles::ROLE_ADMIN, ..Record::zero() };
    world.accept(by(ADMIN_B, Kind::RevokeRole).with(&revoke));
    world.refuse(suspend(key(0xD0), BOB), Code::PERMISSION_DENIED);
    world.refuse(by(ADMIN_B, Kind::RevokeRole).with(&revoke), Code::INVALID_TRANSITION);
}

#[test]
fn p14_3_a_suspension_takes_all_rights_at_once_and_two_different_people_lift_it() {
    let mut world: World = World::new();
    let order = world.accept(buy(CAROL, 0, 100, 1)).value;
    world.accept(suspend(ADMIN_A, CAROL));
    world.refuse(cancel(CAROL, order), Code::PRINCIPAL_SUSPENDED);
    world.refuse(suspend(ADMIN_B, CAROL), Code::INVALID_TRANSITION);
    world.accept(reinstate(ADMIN_A, CAROL));
    assert_eq!(world.kinds(), [EventKind::ReinstatePending]);
    world.refuse(reinstate(ADMIN_A, CAROL), Code::SELF_APPROVAL);
    world.refuse(cancel(CAROL, order), Code::PRINCIPAL_SUSPENDED);
    // The first approval lapses; it has to be given again.
    world.advance(600 * SECOND + 1);
    world.accept(reinstate(ADMIN_A, CAROL));
    assert_eq!(world.kinds(), [EventKind::ReinstatePending]);
    world.accept(reinstate(ADMIN_B, CAROL));
    assert_eq!(world.kinds(), [EventKind::PrincipalReinstated]);
    world.accept(cancel(CAROL, order));
    world.refuse(reinstate(ADMIN_A, CAROL), Code::INVALID_TRANSITION);
}

#[test]
fn p1_5_2_a_delegate_acts_within_scope_and_expiry_and_never_withdraws() {
    let mut world: World = World::new();
    let delegate = |scopes, expiry_ns| {
        by(ALICE, Kind::SetDelegate).with(&SetDelegate { key: key(0xE0), scopes, reserved: 0, expiry_ns })
    };
    let acting = |command: Command| Command { principal: key(0xE0), ..command };
    world.refuse(acting(buy(ALICE, 0, 100, 1)), Code::UNAUTHORIZED_SIGNER);
    world.accept(delegate(scope::CANCEL, START + HOUR));
    world.refuse(acting(buy(ALICE, 0, 100, 1)), Code::DELEGATE_SCOPE);
    let order = world.accept(buy(ALICE, 0, 100, 1)).value;
    world.accept(acting(cancel(ALICE, order)));
    world.accept(delegate(scope::ALL, START + HOUR));
    let order = world.accept(acting(buy(ALICE, 0, 100, 1))).value;
    world.accept(acting(replace(ALICE, order, 99, 1)));
    for kind in [Kind::RequestWithdrawal, Kind::ListAddress, Kind::SetDelegate, Kind::OpenSubAccount] {
        world.refuse(acting(by(ALICE, kind)), Code::DELEGATE_SCOPE);
    }
    world.advance(HOUR);
    world.refuse(acting(cancel(ALICE, order)), Code::ROLE_EXPIRED);
    world.accept(delegate(0, 0));
    world.refuse(acting(cancel(ALICE, order)), Code::UNAUTHORIZED_SIGNER);
}

#[test]
fn a_delegate_of_two_owners_does_not_trade_across_them() {
    let mut world: World = World::new();
    for owner in [ALICE, BOB] {
        let request =
            SetDelegate { key: key(0xE0), scopes: scope::ALL, reserved: 0, expiry_ns: START + HOUR };
        world.accept(by(owner, Kind::SetDelegate).with(&request));
    }
    let order = world.accept(Command { principal: key(0xE0), ..buy(ALICE, 0, 100, 1) }).value;
    world.refuse(Command { principal: key(0xE0), ..cancel(BOB, order) }, Code::WRONG_OWNER);
}
