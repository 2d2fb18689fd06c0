//! The bar of P15.3: arbiters with a stake in the market in the last seven days have no vote.

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::limits::ARBITER_BAR_NS;
use tradewind_engine::roles;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::ActionBody;
use tradewind_engine::wire::pool::amm_kind;
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::audit::Recording;
use crate::chains::{chain, chain_world, into_vault, mint};
use crate::credits::{closing, deposit_credit, lock, three, LOTS};
use crate::outcome::{outcome_request, sets};
use crate::outcome_books::on;
use crate::resolution::{dispute, proposal, vote, USD};
use crate::support::*;

/// What ARBITER does to have a stake in a market, and to give it up (`false`).
const WAYS: [fn(&mut World, u32, bool); 4] = [in_sets, in_a_sub_account, in_the_book, in_the_pool];

fn in_sets(world: &mut World, market: u32, enters: bool) {
    let kind = if enters { Kind::MintSet } else { Kind::MergeSet };
    world.accept(sets(ARBITER, kind, market, 10));
}

fn in_a_sub_account(world: &mut World, market: u32, enters: bool) {
    if enters {
        world.accept(by(ARBITER, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..Record::zero() }));
        let money = Transfer { to_sub: 1, asset: USDC, amount: 10 * USD, ..Record::zero() };
        world.accept(by(ARBITER, Kind::Transfer).with(&money));
    }
    let kind = if enters { Kind::MintSet } else { Kind::MergeSet };
    world.accept(Command { sub: 1, ..sets(ARBITER, kind, market, 10) });
}

/// In two sales, of which only the second ends the stake.
fn in_the_book(world: &mut World, market: u32, enters: bool) {
    let (own, other) = if enters { (side::BUY, side::SELL) } else { (side::SELL, side::BUY) };
    for lots in [300, 700] {
        world.accept(place(BOB, on(market, 1, other, 400, lots)));
        world.accept(place(ARBITER, on(market, 1, own, 400, lots)));
    }
}

/// The pool is in balance: nothing but money comes out of it.
fn in_the_pool(world: &mut World, market: u32, enters: bool) {
    let liquidity = |kind: Kind, amount| {
        by(ARBITER, kind).with(&PoolLiquidity { market, reserved: 0, amount, min_out: 1 })
    };
    if enters {
        world.accept(liquidity(Kind::AddLiquidity, 100 * USD));
        return;
    }
    // What is refused says how much there is.
    let all = world.refuse(liquidity(Kind::RemoveLiquidity, i64::MAX), Code::INSUFFICIENT_SHARES).bound;
    world.accept(liquidity(Kind::RemoveLiquidity, all));
}

/// A market with a book, a pool, and an arbiter with money in two sub-accounts.
fn open_market(world: &mut World) -> u32 {
    let settle_time_ns = world.now_ns + 100 * DAY;
    let request = CreateMarket { settle_time_ns, taker_fee_e6bp: 0, ..outcome_request(900, 3) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    world.accept(sets(BOB, Kind::MintSet, market, 100_000));
    let pool = CreatePool { market, amm_kind: amm_kind::LMSR, funding: 1_000 * USD, ..CreatePool::zero() };
    world.accept(by(OPERATOR, Kind::CreatePool).with(&pool));
    world.accept(open_account(ARBITER));
    world.deposit(ARBITER, USDC, 1_000 * USD);
    market
}

/// The market is closed, proposed and disputed at once.
fn disputed(world: &mut World, market: u32) {
    world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 }));
    world.accept(proposal(CAROL, market, 0));
    world.accept(dispute(BOB, market, 0, 1));
}

fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    world.auditor = Auditor::from_engine(&world.engine).expect("a sound state");
    world.auditor.verify().expect("every invariant");
}

/// Time from giving the stake up to the vote, around the bar and far from it.
fn gap() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(ARBITER_BAR_NS - 1), Just(ARBITER_BAR_NS), HOUR..14 * DAY]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// The bar is exact to the nanosecond, whatever the stake was, with a snapshot in between or without.
    #[test]
    fn p15_3_who_held_within_seven_days_has_no_vote_and_who_held_before_has(
        way in 0..WAYS.len(),
        gap_ns in gap(),
        restores in any::<bool>(),
    ) {
        let mut world: World = World::new();
        let market = open_market(&mut world);
        WAYS[way](&mut world, market, true);
        world.wait(DAY);
        WAYS[way](&mut world, market, false);
        let left_ns = world.now_ns;
        let voting_ns = gap_ns.min(HOUR);
        world.wait(gap_ns - voting_ns);
        disputed(&mut world, market);
        if restores {
            restored(&mut world);
        }
        world.wait(voting_ns);
        prop_assert_eq!(world.now_ns, left_ns + gap_ns);
        if gap_ns < ARBITER_BAR_NS {
            let barred = world.refuse(vote(ARBITER, market, 0, 1), Code::CONFLICT_OF_INTEREST);
            prop_assert_eq!((barred.bound, barred.given), (left_ns + ARBITER_BAR_NS, world.now_ns));
        } else {
            world.accept(vote(ARBITER, market, 0, 1));
        }
        world.accept(vote(ARBITERS[1], market, 0, 1));
        world.auditor.verify().unwrap();
    }
}

#[test]
fn p15_3_a_stake_that_is_still_there_bars_without_an_end_and_a_part_of_the_pool_is_one() {
    for way in WAYS {
        let mut world: World = World::new();
        let market = open_market(&mut world);
        way(&mut world, market, true);
        world.wait(8 * DAY);
        disputed(&mut world, market);
        let barred = world.refuse(vote(ARBITER, market, 0, 1), Code::CONFLICT_OF_INTEREST);
        assert!(barred.bound == 0 && barred.given > 0, "{barred:?}");
    }
}

#[test]
fn p15_3_a_stake_in_another_market_bars_nobody() {
    let mut world: World = World::new();
    let other = open_market(&mut world);
    in_sets(&mut world, other, true);
    in_sets(&mut world, other, false);
    let request = CreateMarket { settle_time_ns: world.now_ns + DAY, ..outcome_request(901, 2) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    disputed(&mut world, market);
    world.accept(vote(ARBITER, market, 0, 1));
}

/// Governance is about to make ALICE an arbiter: the action, an hour before its time.
fn nominate(world: &mut World) -> u64 {
    let role =
        GrantRole { principal: ALICE, role: roles::ARBITER, expiry_ns: START + 200 * DAY, ..Record::zero() };
    let action = world.accept(propose(by(ADMIN_A, Kind::GrantRole).with(&role), 0)).value;
    let eta_ns = world.events()[0].1.body_as::<ActionBody>().eta_ns;
    for approver in APPROVERS {
        world.accept(by(approver, Kind::ApproveAction).with(&OneAction { action }));
    }
    world.wait(eta_ns - world.now_ns - HOUR);
    action
}

/// Nobody executes what is for himself.
fn appoint(world: &mut World, action: u64) {
    world.wait(HOUR);
    world.accept(by(BOB, Kind::ExecuteAction).with(&OneAction { action }));
}

#[test]
fn p15_3_who_becomes_an_arbiter_after_the_sale_is_barred_from_the_sale_on() {
    let mut world: World = World::new();
    let market = open_market(&mut world);
    let action = nominate(&mut world);
    world.accept(sets(ALICE, Kind::MintSet, market, 5));
    world.accept(sets(ALICE, Kind::MergeSet, market, 5));
    appoint(&mut world, action);
    world.wait(ARBITER_BAR_NS - 2 * HOUR);
    disputed(&mut world, market);
    world.refuse(vote(ALICE, market, 0, 1), Code::CONFLICT_OF_INTEREST);
    world.wait(HOUR);
    world.accept(vote(ALICE, market, 0, 1));
}

#[test]
fn p15_3_claims_in_a_credit_bar_and_so_does_their_sale() {
    let (mut world, verse, market) = three();
    world.accept(deposit_credit(verse, 100 * USD));
    world.accept(lock(verse, &[(market, 0, side::BUY, 320, LOTS)]));
    let action = nominate(&mut world);
    appoint(&mut world, action);
    let mut holds = world.clone();
    disputed(&mut holds, market);
    let barred = holds.refuse(vote(ALICE, market, 0, 1), Code::CONFLICT_OF_INTEREST);
    assert!(barred.bound == 0 && barred.given > 0, "{barred:?}");
    world.accept(closing(verse, market, (0, side::BUY, 300, LOTS)));
    let left_ns = world.now_ns;
    disputed(&mut world, market);
    let barred = world.refuse(vote(ALICE, market, 0, 1), Code::CONFLICT_OF_INTEREST);
    assert_eq!(barred.bound, left_ns + ARBITER_BAR_NS);
}

#[test]
fn i22_the_auditor_sees_a_vote_of_an_arbiter_with_a_stake() {
    for way in WAYS {
        let mut world: World = World::new();
        let market = open_market(&mut world);
        way(&mut world, market, true);
        world.wait(DAY);
        way(&mut world, market, false);
        world.wait(ARBITER_BAR_NS - HOUR);
        disputed(&mut world, market);
        world.wait(HOUR - 1);
        world.advance(1);
        // The same batch an instant before the bar ends, for an auditor from the start and for one that took over.
        for takes_over in [false, true] {
            let mut world = world.clone();
            if takes_over {
                restored(&mut world);
            }
            let early_ns = world.now_ns - 1;
            Recording::of(&mut world, vote(ARBITER, market, 0, 1)).breaks("I22", |r| {
                r.commands.iter_mut().for_each(|command| command.time_ns = early_ns);
                r.events.iter_mut().for_each(|event| event.time_ns = early_ns);
            });
        }
    }
}

#[test]
fn p15_9_1_a_chain_that_is_refused_has_not_left_the_market() {
    let (mut world, market) = chain_world();
    world.accept(open_account(ARBITER));
    world.deposit(ARBITER, USDC, 1_000 * USD);
    world.refuse(chain(ARBITER, &[mint(market, 10), into_vault(2_000 * USD)]), Code::CHAIN_STEP_FAILED);
    disputed(&mut world, market);
    world.accept(vote(ARBITER, market, 0, 1));
}
