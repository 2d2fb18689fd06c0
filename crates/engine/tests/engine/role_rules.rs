//! The tables and edges of P14 that no story of a whole command reaches.

use tradewind_engine::governance::parameters::Parameter;
use tradewind_engine::governance::Governance;
use tradewind_engine::keeper::capability;
use tradewind_engine::roles::{self, permission, Roles};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind as E, RoleBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Genesis, Grant};

use crate::keepers::{register, slash, staking_world, STAKE};
use crate::leveraged::{collateral, BTC_FEED, ETH_FEED, PERP};
use crate::prices::*;
use crate::support::*;

/// P14.1 as printed: the bits of every role.
const TABLE: [(u8, &[u8]); 16] = [
    (roles::TRADER, &[12]),
    (roles::LIQUIDITY_PROVIDER, &[4, 12]),
    (roles::KEEPER, &[5, 14]),
    (roles::ORACLE, &[7]),
    (roles::OPERATOR, &[0, 3, 4, 8]),
    (roles::RISK, &[9, 20]),
    (roles::EMERGENCY, &[2]),
    (roles::RESUMER, &[6]),
    (roles::GOVERNOR, &[15]),
    (roles::APPROVER, &[16]),
    (roles::ARBITER, &[1]),
    (roles::TREASURER, &[17, 18]),
    (roles::ROLE_ADMIN, &[10]),
    (roles::AUDITOR, &[11, 21]),
    (roles::SYSTEM, &[14, 19]),
    (roles::DARK_TRADER, &[12, 13]),
];

fn grant(by_key: Key, principal: Key, role: u8, expiry_ns: i64) -> Command {
    by(by_key, Kind::GrantRole).with(&GrantRole { principal, role, expiry_ns, ..Record::zero() })
}

fn revoke(by_key: Key, principal: Key, role: u8) -> Command {
    by(by_key, Kind::RevokeRole).with(&GrantRole { principal, role, ..Record::zero() })
}

fn suspension(by_key: Key, kind: Kind, principal: Key) -> Command {
    by(by_key, kind).with(&SuspendPrincipal { principal })
}

fn offer(holder: Key, nominee: Key, authority: u8) -> Command {
    by(holder, Kind::OfferAuthority).with(&OfferAuthority { nominee, authority, ..Record::zero() })
}

fn renounce(holder: Key, authority: u8) -> Command {
    by(holder, Kind::RenounceAuthority).with(&RenounceAuthority { authority, ..Record::zero() })
}

fn accept(nominee: Key, offer: u64) -> Command {
    by(nominee, Kind::AcceptAuthority).with(&OneOffer { offer })
}

fn approve(who: Key, action: u64) -> Command {
    by(who, Kind::ApproveAction).with(&OneAction { action })
}

/// A platform-wide change that takes more risk.
fn lower_stake() -> Command {
    let request =
        SetParameter { parameter: Parameter::KeeperMinimumStake as u32, config_version: 0, value: 100 };
    propose(by(RISK, Kind::SetParameter).with(&request), 0)
}

/// A world of these grants besides the usual ones, without accounts.
fn with_grants(more: &[(Key, u8, i64)]) -> World {
    let mut genesis: Genesis = genesis();
    let grants = more.iter().map(|&(principal, role, expiry_ns)| Grant { principal, role, expiry_ns });
    genesis.grants.extend(grants);
    let mut world: World = World::bare();
    world.engine = tradewind_engine::Engine::new(&genesis).expect("sound");
    world.auditor = tradewind_engine::audit::Auditor::new(&genesis);
    world
}

fn number(at: usize) -> Key {
    let mut key = [0xAB; 32];
    key[..8].copy_from_slice(&(at as u64).to_le_bytes());
    key
}

#[test]
fn p14_1_every_role_holds_the_bits_of_the_table_and_no_other() {
    for (role, bits) in TABLE {
        let mut held = Roles::default();
        held.grant(&ALICE, role, START + DAY);
        for bit in 0..=permission::AUDIT_READ {
            let found = held.require(&ALICE, bit, START).map_err(|reject| reject.code);
            let expected = if bits.contains(&bit) { Ok(()) } else { Err(Code::PERMISSION_DENIED) };
            assert_eq!(found, expected, "role {role}, bit {bit}");
        }
    }
}

/// The bit that a command needs (P2.2); None where the sender's account or the record it names decides.
fn needed(kind: Kind) -> Option<u8> {
    use Kind as K;
    Some(match kind {
        K::Tick | K::Continue | K::AdvanceTime | K::Snapshot | K::ActivateRules | K::Checkpoint => 19,
        K::Deposit | K::ConfirmWithdrawal | K::CompleteLiquidation | K::PruneMarket => 19,
        K::CreateMarket | K::CloseMarket | K::RegisterAsset => 0,
        K::RemoveKeeper | K::ReinstateKeeper | K::SlashKeeper => 8,
        K::UpdateMarket | K::UpdateMarketRisk | K::UpdateAsset | K::ConfigureBreaker => 9,
        K::RegisterFeed | K::UpdateFeed | K::SetFeedSource | K::SetParameter => 9,
        K::LinkOwners | K::CloseCase | K::PublishRisk | K::SetSuitability | K::SetRateClass => 20,
        K::PublishPrice => 7,
        K::DecideAppeal => 1,
        K::ProposeAction => 15,
        K::ApproveAction => 16,
        K::Liquidate => 5,
        K::KeeperAct => 14,
        K::TripBreaker | K::OverrideFeed | K::PauseMarket => 2,
        K::ResumeMarket | K::CloseBreaker => 6,
        K::GrantRole | K::RevokeRole | K::SuspendPrincipal | K::ReinstatePrincipal => 10,
        _ => return None,
    })
}

#[test]
fn p14_8_a_role_opens_the_commands_of_its_bits_and_no_other() {
    let holders: Vec<(Key, u8, i64)> =
        TABLE.iter().map(|&(role, _)| (key(0x80 + role), role, START + DAY)).collect();
    let mut world = with_grants(&holders);
    for &(role, _) in &TABLE {
        world.accept(open_account(key(0x80 + role)));
    }
    for (&kind, bit) in Kind::ALL.iter().filter_map(|kind| Some((kind, needed(*kind)?))) {
        for (role, bits) in TABLE {
            // SYSTEM liquidates without the bit of keepers (row 0404).
            let may = bits.contains(&bit) || (kind == Kind::Liquidate && role == roles::SYSTEM);
            let (seq, client_key) = (world.engine.next_seq(), world.fresh_key());
            let command = Command { seq, client_key, time_ns: world.now_ns, ..by(key(0x80 + role), kind) };
            let mut engine = world.engine.clone();
            let result = engine.apply(&command, &mut tradewind_engine::Output::default());
            let denied = Code::from_number(result.code) == Some(Code::PERMISSION_DENIED);
            assert_eq!(denied, !may, "{} by role {role}", kind.name());
        }
    }
}

#[test]
fn cancelling_for_everybody_takes_the_permission_to_pause() {
    let mut world: World = World::new();
    let everybody = |who| Command { account: [0; 32], ..cancel_all(who, 0) };
    for who in [ALICE, RESUMER_A, OPERATOR] {
        world.refuse(everybody(who), Code::PERMISSION_DENIED);
    }
    world.accept(everybody(EMERGENCY));
}

#[test]
fn p14_3_expiry_is_exact_and_the_longest_of_several_grants_counts() {
    let mut held = Roles::default();
    held.grant(&SYSTEM, roles::SYSTEM, 100);
    assert_eq!((held.standing(&SYSTEM, 99), held.standing(&SYSTEM, 100)), (Ok(true), Ok(false)));
    held.grant(&ALICE, roles::TRADER, 100);
    held.grant(&ALICE, roles::DARK_TRADER, 200);
    let trades = |now_ns| held.require(&ALICE, permission::TRADE, now_ns).map_err(|reject| reject.code);
    assert_eq!((trades(199), trades(200)), (Ok(()), Err(Code::ROLE_EXPIRED)));
}

#[test]
fn p14_3_a_grantor_holds_every_bit_that_he_passes_on_now() {
    let mut held = Roles::default();
    held.grant(&ALICE, roles::TRADER, 100);
    let passes = |role, now_ns| {
        held.check_grant(Some(&ALICE), &BOB, role, now_ns).map_err(|reject| (reject.code, reject.bound))
    };
    assert_eq!(passes(roles::TRADER, 99), Ok(()));
    assert_eq!(passes(roles::TRADER, 100), Err((Code::ROLE_ESCALATION, 12)), "his own has expired");
    assert_eq!(passes(roles::LIQUIDITY_PROVIDER, 99), Err((Code::ROLE_ESCALATION, 4)), "one bit of two");
}

#[test]
fn p14_3_a_role_has_a_thousand_members_who_keep_their_rights_and_the_platform_sixteen_thousand() {
    let mut held = Roles::default();
    let full = |held: &Roles, who: Key| {
        held.check_grant(None, &who, roles::TRADER, 0).map_err(|r| (r.code, r.bound))
    };
    (0..999).for_each(|at| held.grant(&number(at), roles::TRADER, 100));
    assert_eq!(full(&held, number(999)), Ok(()), "the thousandth");
    held.grant(&number(999), roles::TRADER, 100);
    assert_eq!(full(&held, number(1_000)), Err((Code::ROLE_FULL, 1_000)));
    assert_eq!(full(&held, number(5)), Ok(()), "a member renews");
    (1_000..16_000).for_each(|at| held.grant(&number(at), roles::KEEPER, 100));
    assert_eq!(full(&held, number(16_000)), Err((Code::ROLE_FULL, 16_000)));
}

#[test]
fn p14_3_grants_are_for_others_and_for_a_year_at_most() {
    let mut world: World = World::new();
    let admin = roles::ROLE_ADMIN;
    world.refuse(grant(ADMIN_A, ADMIN_A, admin, START + DAY), Code::SELF_APPROVAL);
    world.refuse(grant(ADMIN_A, [0; 32], admin, START + DAY), Code::ZERO_AUTHORITY);
    let late =
        world.refuse(grant(ADMIN_A, key(0xD0), admin, START + 365 * DAY + 1), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(late.bound, START + 365 * DAY);
}

#[test]
fn p14_2_the_sequencers_own_role_is_neither_revoked_nor_suspended() {
    let mut world: World = World::new();
    world.refuse(revoke(ADMIN_A, SYSTEM, roles::SYSTEM), Code::INVALID_TRANSITION);
    let suspend = |who| suspension(ADMIN_A, Kind::SuspendPrincipal, who);
    world.refuse(suspend(SYSTEM), Code::CONFLICT_OF_INTEREST);
    world.refuse(suspend(ADMIN_A), Code::CONFLICT_OF_INTEREST);
    world.refuse(suspend([0; 32]), Code::ZERO_AUTHORITY);
}

#[test]
fn p14_3_a_reinstatement_is_of_somebody_suspended_and_its_first_approval_counts_for_600_seconds() {
    let mut world: World = World::new();
    let reinstate = |admin| suspension(admin, Kind::ReinstatePrincipal, RISK);
    world.refuse(reinstate(ADMIN_A), Code::INVALID_TRANSITION);
    world.accept(suspension(ADMIN_A, Kind::SuspendPrincipal, RISK));
    world.accept(reinstate(ADMIN_A));
    world.advance(600 * SECOND);
    world.accept(reinstate(ADMIN_B));
    assert_eq!(world.kinds(), [E::PrincipalReinstated]);
}

#[test]
fn p14_3_the_first_signature_of_a_suspended_operator_ends_and_does_not_come_back_with_him() {
    let mut world = staking_world();
    let keeper = KEEPERS[0];
    world.accept(register(keeper, capability::CRANK, STAKE));
    let first = world.accept(slash(OPERATOR, keeper, 10_000)).value;
    let other = world.accept(slash(OPERATORS_B_C[0], keeper, 20_000)).value;
    world.accept(suspension(ADMIN_A, Kind::SuspendPrincipal, OPERATOR));
    let lapsed: Vec<E> = world.kinds().into_iter().filter(|&kind| kind == E::SlashLapsed).collect();
    assert_eq!(lapsed.len(), 1, "his own, not {other}");
    for admin in [ADMIN_A, ADMIN_B] {
        world.accept(suspension(admin, Kind::ReinstatePrincipal, OPERATOR));
    }
    let second = world.accept(slash(OPERATORS_B_C[1], keeper, 10_000)).value;
    assert_ne!(second, first);
    assert_eq!(world.kinds(), [E::SlashSigned], "a first signature again");
    assert_eq!(world.accept(slash(OPERATORS_B_C[1], keeper, 20_000)).value, other);
    assert_eq!(world.kinds(), [E::SlashOpened]);
}

#[test]
fn p14_4_a_transfer_keeps_the_end_of_the_holders_grant() {
    let mut world: World = World::new();
    let id = world.accept(offer(RISK, key(0xD0), roles::RISK)).value;
    world.wait(DAY);
    world.accept(accept(key(0xD0), id));
    let granted = world.events().into_iter().find(|(kind, _)| *kind == E::RoleGranted).expect("granted").1;
    assert_eq!(granted.body_as::<RoleBody>().expiry_ns, START + 300 * DAY);
}

#[test]
fn p14_2_a_nominee_who_has_taken_an_excluded_role_since_is_refused() {
    let mut world: World = World::new();
    let nominee = key(0xD0);
    let first = world.accept(offer(EMERGENCY, nominee, roles::EMERGENCY)).value;
    let other = world.accept(offer(RESUMER_A, nominee, roles::RESUMER)).value;
    world.wait(DAY);
    world.accept(accept(nominee, first));
    world.refuse(accept(nominee, other), Code::CONFLICT_OF_INTEREST);
}

#[test]
fn p14_4_offers_need_a_live_role_are_bounded_and_end_with_their_nominees_suspension() {
    let many: Vec<(Key, u8, i64)> = (0..65).map(|at| (number(at), roles::TRADER, START + 10 * DAY)).collect();
    let mut world = with_grants(&many);
    for at in 0..64 {
        world.accept(renounce(number(at), roles::TRADER));
    }
    let full = world.refuse(renounce(number(64), roles::TRADER), Code::CAPACITY_EXCEEDED);
    assert_eq!((full.bound, full.given), (64, 64));

    let mut world: World = World::new();
    world.accept(grant(ADMIN_A, key(0xD0), roles::ROLE_ADMIN, START + SECOND));
    world.accept(offer(RISK, key(0xD1), roles::RISK));
    world.accept(suspension(ADMIN_A, Kind::SuspendPrincipal, key(0xD1)));
    assert_eq!(world.kinds(), [E::PrincipalSuspended, E::OfferWithdrawn]);
    world.advance(SECOND);
    world.refuse(offer(key(0xD0), key(0xD2), roles::ROLE_ADMIN), Code::ROLE_EXPIRED);
}

#[test]
fn p14_4_a_role_that_was_taken_away_is_not_renounced_any_more() {
    let mut world: World = World::new();
    world.accept(renounce(RISK, roles::RISK));
    world.accept(revoke(ADMIN_A, RISK, roles::RISK));
    world.wait(2 * DAY - HOUR);
    world.advance(HOUR);
    world.tick();
    assert_eq!(world.kinds(), [E::OfferLapsed]);
}

#[test]
fn p14_5_who_proposed_does_not_approve_even_as_an_approver_of_later() {
    let mut world: World = World::new();
    let offered = world.accept(offer(APPROVERS[0], ALICE, roles::APPROVER)).value;
    world.accept(by(APPROVERS[0], Kind::WithdrawOffer).with(&OneOffer { offer: offered }));
    let action = world.accept(lower_stake()).value;
    world.accept(revoke(ADMIN_A, GOVERNOR, roles::GOVERNOR));
    let id = world.accept(offer(APPROVERS[0], GOVERNOR, roles::APPROVER)).value;
    world.wait(DAY);
    world.accept(accept(GOVERNOR, id));
    world.refuse(approve(GOVERNOR, action), Code::SELF_APPROVAL);
    world.accept(approve(APPROVERS[1], action));
}

#[test]
fn p14_5_approvals_are_bounded_and_end_with_the_action() {
    let more: Vec<(Key, u8, i64)> =
        (0..6).map(|at| (number(at), roles::APPROVER, START + 100 * DAY)).collect();
    let mut world = with_grants(&more);
    let action = world.accept(lower_stake()).value;
    for who in APPROVERS.into_iter().chain((0..5).map(number)) {
        world.accept(approve(who, action));
    }
    let full = world.refuse(approve(number(5), action), Code::CAPACITY_EXCEEDED);
    assert_eq!((full.bound, full.given), (8, 8));

    let mut world = with_grants(&more);
    let action = world.accept(lower_stake()).value;
    world.wait(14 * DAY - HOUR);
    world.advance(HOUR + 1);
    world.refuse(approve(APPROVERS[0], action), Code::GOV_PROPOSAL_EXPIRED);
}

#[test]
fn p4_5_a_suitability_that_has_run_out_is_none() {
    let mut governance = Governance::default();
    governance.set_suitability(7, 1, 100);
    assert!(governance.suitable(7, 99) && !governance.suitable(7, 100) && !governance.suitable(8, 99));
}

#[test]
fn p14_5_config_changes_nothing_alone_that_a_running_market_or_a_held_asset_depends_on() {
    let mut world: World = World::exchange();
    let config = |kind: Kind| by(RISK, kind);
    // Bit 0 of the mask: leverage; a running market's may not rise by one person's word.
    let perp = world.engine.perps().of_market(PERP).expect("a market").risk;
    let risk = UpdateMarketRisk {
        market: PERP,
        config_version: 1,
        field_mask: 1,
        max_leverage_e2: perp.max_leverage_e2 + 100,
        ..Record::zero()
    };
    world.refuse(config(Kind::UpdateMarketRisk).with(&risk), Code::APPROVALS_MISSING);
    // Less weight in maintenance raises what positions must hold: a day's notice, so not at once.
    let asset = UpdateAsset { maintenance_asset_bp: 8_500, ..collateral(BTC, BTC_FEED) };
    world.refuse(config(Kind::UpdateAsset).with(&asset), Code::APPROVALS_MISSING);
    world.accept(
        config(Kind::UpdateAsset).with(&UpdateAsset { initial_asset_bp: 7_900, ..collateral(BTC, BTC_FEED) }),
    );
    // The table of sources of a feed in use: the step that would put another one into force.
    world.advance(DAY);
    world.tick();
    world.accept(set_source(BTC_FEED, SOURCES[2], 30));
    world.refuse(set_source(BTC_FEED, SOURCES[1], 36), Code::APPROVALS_MISSING);
    // A feed that only an asset uses, which somebody holds.
    let spare = world.open_feed(feed_request("ETH-2"));
    world.quote_all(spare, 20_000_000);
    let version = world.engine.feeds().get(spare).expect("the feed").config_version;
    let wider =
        RegisterFeed { feed: spare, config_version: version, max_deviation_bp: 300, ..feed_request("ETH-2") };
    let mut unused = world.clone();
    unused.accept(update_feed(wider));
    assert_eq!(world.engine.feeds().get(ETH_FEED).expect("the feed").config_version, 2);
    world.govern(config(Kind::UpdateAsset).with(&collateral(crate::leveraged::ETH, spare)), 0);
    world.refuse(update_feed(wider), Code::APPROVALS_MISSING);
}

#[test]
fn p14_5_a_time_lock_holds_though_the_change_has_become_harmless_since() {
    let mut world: World = World::new();
    let cap = |deposit_cap| {
        let weights = UpdateAsset {
            asset: USDC,
            initial_asset_bp: 10_000,
            maintenance_asset_bp: 10_000,
            initial_liability_bp: 10_000,
            maintenance_liability_bp: 10_000,
            feed: u32::MAX,
            deposit_cap,
            ..Record::zero()
        };
        by(RISK, Kind::UpdateAsset).with(&weights)
    };
    world.accept(cap(FUNDS * 6));
    let raise = |world: &mut World, to: i64| {
        let action = world.accept(propose(cap(to), 0)).value;
        for who in APPROVERS {
            world.accept(approve(who, action));
        }
        by(ALICE, Kind::ExecuteAction).with(&OneAction { action })
    };
    let first = raise(&mut world, FUNDS * 9);
    world.wait(3 * DAY);
    let second = raise(&mut world, FUNDS * 8);
    let second_ready_ns = world.now_ns + 7 * DAY;
    world.wait(4 * DAY);
    world.accept(first);
    let early = world.refuse(second, Code::TIMELOCK_ACTIVE);
    assert_eq!(early.bound, second_ready_ns);
}
