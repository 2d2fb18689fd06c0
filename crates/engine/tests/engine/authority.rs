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
            | Kind::FinaliseResolution
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

/// Who may send a command.
enum Sender {
    /// Who holds this role.
    Role(u8),
    /// The account's owner, or a delegate.
    Owner,
    /// The command itself knows whose record it names.
    Anyone,
}

fn sender(kind: Kind) -> Sender {
    use Kind as K;
    match kind {
        K::Tick | K::Continue | K::AdvanceTime | K::Snapshot | K::ActivateRules | K::Checkpoint => {
            Sender::Role(roles::SYSTEM)
        }
        K::Deposit | K::ConfirmWithdrawal | K::CompleteLiquidation => Sender::Role(roles::SYSTEM),
        K::CreateMarket | K::CloseMarket | K::RegisterAsset | K::LinkVenue => Sender::Role(roles::OPERATOR),
        K::RewardMarket => Sender::Role(roles::OPERATOR),
        K::CreateVerse | K::LinkMarket | K::MoveVerse => Sender::Role(roles::OPERATOR),
        K::RemoveKeeper | K::ReinstateKeeper | K::SlashKeeper => Sender::Role(roles::OPERATOR),
        K::UpdateMarket | K::UpdateMarketRisk | K::UpdateAsset | K::ConfigureBreaker => {
            Sender::Role(roles::RISK)
        }
        K::RegisterFeed | K::UpdateFeed | K::SetFeedSource | K::SetParameter => Sender::Role(roles::RISK),
        K::LinkOwners | K::CloseCase | K::PublishRisk | K::SetSuitability | K::SetRateClass => {
            Sender::Role(roles::RISK)
        }
        K::PublishPrice | K::PublishVenueBatch | K::VenueItem | K::RefreshVenue => {
            Sender::Role(roles::ORACLE)
        }
        K::AllocateVesting | K::RevokeVesting | K::OpenSeason | K::GrantLaunch => {
            Sender::Role(roles::TREASURER)
        }
        K::SettleSeason | K::PruneMarket => Sender::Role(roles::SYSTEM),
        K::DecideAppeal | K::VoteResolution => Sender::Role(roles::ARBITER),
        K::FinaliseResolution => Sender::Anyone,
        K::ProposeAction => Sender::Role(roles::GOVERNOR),
        K::ApproveAction => Sender::Role(roles::APPROVER),
        K::Liquidate | K::KeeperAct => Sender::Role(roles::KEEPER),
        K::TripBreaker | K::OverrideFeed | K::PauseMarket | K::HaltVerse => Sender::Role(roles::EMERGENCY),
        K::ResumeMarket | K::CloseBreaker | K::ResumeVerse => Sender::Role(roles::RESUMER),
        K::GrantRole | K::RevokeRole | K::SuspendPrincipal | K::ReinstatePrincipal => {
            Sender::Role(roles::ROLE_ADMIN)
        }
        K::OpenAccount | K::SettleMarket | K::CrankFunding | K::ExecuteAction | K::CancelAction => {
            Sender::Anyone
        }
        K::OfferAuthority | K::AcceptAuthority | K::WithdrawOffer | K::RenounceAuthority => Sender::Anyone,
        _ => Sender::Owner,
    }
}

/// A world in which every role also has a holder whose grant ends a second after the start.
fn expiring_world() -> World {
    let mut genesis = genesis();
    for role in 0..roles::NAMES.len() as u8 {
        let grant = Grant { principal: key(0x80 + role), role, expiry_ns: START + SECOND };
        genesis.grants.push(grant);
    }
    let mut world: World = World::bare();
    world.engine = tradewind_engine::Engine::new(&genesis).expect("sound");
    world.auditor = tradewind_engine::audit::Auditor::new(&genesis);
    for owner in [ALICE, BOB] {
        world.accept(open_account(owner));
    }
    world
}

/// The answer to one command, by the engine alone; the state must stay as it was.
fn answer(world: &mut World, command: Command) -> Option<Code> {
    let before = world.engine.state_hash();
    let client_key = world.fresh_key();
    let (seq, time_ns) = (world.engine.next_seq(), world.now_ns);
    let stamped = Command { seq, time_ns, client_key, ..command };
    let result = world.engine.apply(&stamped, &mut tradewind_engine::Output::default());
    assert_eq!((result.accepted, result.event_count), (0, 0), "{:#06x}/{}", command.kind, command.op);
    assert_eq!(world.engine.state_hash(), before, "{:#06x}/{}", command.kind, command.op);
    Code::from_number(result.code)
}

#[test]
fn p14_8_every_command_refuses_each_way_of_lacking_authority_with_its_own_code() {
    let mut world = expiring_world();
    let (stranger, banned) = (key(0x66), key(0x67));
    world.accept(suspend(ADMIN_A, banned));
    world.advance(SECOND);
    for &kind in Kind::ALL {
        let name = kind.name();
        let command = by(ALICE, kind);
        let acting = |principal| Command { principal, ..command };
        let damaged = answer(&mut world, Command { tag: 7, ..command });
        assert_eq!(damaged, Some(Code::INVALID_TYPE_TAG), "{name}");
        let suspended = answer(&mut world, acting(banned));
        assert_eq!(suspended, Some(Code::PRINCIPAL_SUSPENDED), "{name}");
        let nobody = answer(&mut world, acting([0; 32]));
        assert_eq!(nobody, Some(Code::UNAUTHORIZED_SIGNER), "{name}");
        match sender(kind) {
            Sender::Role(role) => {
                let denied = answer(&mut world, acting(stranger));
                assert_eq!(denied, Some(Code::PERMISSION_DENIED), "{name}");
                let expired = answer(&mut world, acting(key(0x80 + role)));
                assert_eq!(expired, Some(Code::ROLE_EXPIRED), "{name}");
            }
            Sender::Owner => {
                let foreign = answer(&mut world, acting(stranger));
                assert_eq!(foreign, Some(Code::UNAUTHORIZED_SIGNER), "{name}");
                let unknown = answer(&mut world, Command { account: [9; 32], ..command });
                assert_eq!(unknown, Some(Code::ACCOUNT_NOT_FOUND), "{name}");
            }
            Sender::Anyone => {}
        }
    }
    // A role's bit is not enough where the account must be the sender's own.
    for kind in [Kind::CreateMarket, Kind::KeeperAct, Kind::Liquidate] {
        let principal = if kind == Kind::CreateMarket { OPERATOR } else { KEEPERS[0] };
        let foreign = answer(&mut world, Command { principal, ..by(ALICE, kind) });
        assert_eq!(foreign, Some(Code::UNAUTHORIZED_SIGNER), "{}", kind.name());
    }
    let foreign_id = Command { account: by(BOB, Kind::Tick).account, ..open_account(key(0x60)) };
    assert_eq!(answer(&mut world, foreign_id), Some(Code::DERIVED_ID_MISMATCH));
}

#[test]
fn p14_3_suspensions_of_principals_without_a_role_are_bounded_and_leave_room_for_grants() {
    let mut world: World = World::new();
    let outsider = |number: u32| {
        let mut principal = [0xEF; 32];
        principal[..4].copy_from_slice(&number.to_le_bytes());
        principal
    };
    let many: Vec<Command> = (0..4_000)
        .map(|number| Command { client_key: world.fresh_key(), ..suspend(ADMIN_A, outsider(number)) })
        .collect();
    let accepted: usize =
        many.chunks(1_000).map(|part| world.run(part).iter().filter(|one| one.accepted == 1).count()).sum();
    assert_eq!(accepted, 4_000);
    let full = world.refuse(suspend(ADMIN_A, outsider(4_000)), Code::CAPACITY_EXCEEDED);
    assert_eq!((full.bound, full.given), (4_000, 4_000));
    // Who holds a role can always be suspended, and grants find room.
    world.accept(suspend(ADMIN_A, RESUMER_A));
    world.accept(grant(ADMIN_A, key(0xD0), roles::ROLE_ADMIN, START + DAY));
    // One that is lifted makes room for another, and is a stranger again.
    for admin in [ADMIN_A, ADMIN_B] {
        world.accept(reinstate(admin, outsider(7)));
    }
    world.refuse(reinstate(ADMIN_A, outsider(7)), Code::INVALID_TRANSITION);
    world.accept(suspend(ADMIN_A, outsider(4_000)));
    let restored = tradewind_engine::Engine::<tradewind_engine::FastBook>::restore(&world.engine.snapshot());
    world.engine = restored.expect("a sound snapshot");
    world.refuse(suspend(ADMIN_A, outsider(4_001)), Code::CAPACITY_EXCEEDED);
}

#[test]
fn p14_3_a_first_approval_of_a_reinstatement_ends_with_its_authors_right() {
    let mut world: World = World::new();
    world.accept(suspend(ADMIN_A, CAROL));
    world.accept(reinstate(ADMIN_A, CAROL));
    world.accept(suspend(ADMIN_B, ADMIN_A));
    world.accept(reinstate(ADMIN_B, CAROL));
    assert_eq!(world.kinds(), [EventKind::ReinstatePending]);
    world.refuse(buy(CAROL, 0, 100, 1), Code::PRINCIPAL_SUSPENDED);
}
