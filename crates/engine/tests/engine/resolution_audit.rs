//! Resolutions against their records: falsified batches are noticed, and every ending conserves money (I22, I23, P15.7).

use proptest::prelude::*;
use tradewind_engine::ledger::line;
use tradewind_engine::resolution::payout::{choice, pack};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Code;

use crate::audit::Recording;
use crate::outcome::{claim, sets};
use crate::outcome_books::on;
use crate::resolution::*;
use crate::support::*;

#[test]
fn i22_the_auditor_sees_a_payout_set_twice_too_early_or_above_the_escrow() {
    let mut world: World = World::new();
    let market = closed_market(&mut world, 2);
    world.accept(proposal(CAROL, market, 0));
    world.wait(2 * HOUR - 1);
    world.advance(1);
    let kind = EventKind::ResolutionFinal;
    let end = || Recording::of(&mut world.clone(), finalise(market));
    end().breaks("I22", |r| r.edit(kind, |body: &mut FinalBody| body.choice = 1));
    end().breaks("I22", |r| r.edit(kind, |body: &mut FinalBody| body.owed += 1));
    end().breaks("I22", |r| r.edit(kind, |body: &mut FinalBody| body.escrow -= 1));
    end().breaks("I22", |r| r.edit(kind, |body: &mut FinalBody| body.outcomes = 3));
    end().breaks("I23", |r| r.edit(EventKind::BondSettled, |body: &mut BondBody| body.returned -= 1));
    end().breaks("I26", |r| r.edit(EventKind::MarketResolved, |body: &mut StatusBody| body.status = 5));
    // The same batch an instant before the window is over.
    end().breaks("I22", |r| {
        let early = world.now_ns - 1;
        r.commands.iter_mut().for_each(|command| command.time_ns = early);
        r.events.iter_mut().for_each(|event| event.time_ns = early);
    });
    world.accept(finalise(market));
    let paid = || Recording::of(&mut world.clone(), redeem(ALICE, market));
    paid().breaks("I22", |r| r.edit(EventKind::Redeemed, |body: &mut RedeemedBody| body.amount += 1));
    paid().breaks("I22", |r| r.edit(EventKind::Redeemed, |body: &mut RedeemedBody| body.escrow += 1));
    paid().breaks("I05", |r| r.drop_events(EventKind::ClaimsMoved));
    paid().breaks("I22", |r| r.postings.iter_mut().for_each(|posting| posting.amount /= 2));
}

#[test]
fn i23_the_auditor_sees_a_bond_that_is_not_what_is_at_stake() {
    let mut world: World = World::new();
    let market = closed_market(&mut world, 2);
    let kind = EventKind::ResolutionProposed;
    let made = || Recording::of(&mut world.clone(), proposal(CAROL, market, 0));
    made().breaks("I23", |r| r.edit(kind, |body: &mut ClaimBody| body.bond -= 1));
    made().breaks("I23", |r| r.edit(kind, |body: &mut ClaimBody| body.base_bond += 1));
    made().breaks("I23", |r| r.edit(kind, |body: &mut ClaimBody| body.exposure = 20 * BOND));
    made().breaks("I22", |r| r.edit(kind, |body: &mut ClaimBody| body.choice = choice::VECTOR));
    made().breaks("I22", |r| r.edit(kind, |body: &mut ClaimBody| body.round = 1));
    world.accept(proposal(CAROL, market, 0));
    let kind = EventKind::ResolutionDisputed;
    let against = || Recording::of(&mut world.clone(), dispute(BOB, market, 0, 1));
    against().breaks("I23", |r| r.edit(kind, |body: &mut ClaimBody| body.bond *= 2));
    against().breaks("I22", |r| r.edit(kind, |body: &mut ClaimBody| body.choice = 0));
    world.accept(dispute(BOB, market, 0, 1));
    world.accept(vote(ARBITERS[0], market, 0, 1));
    world.accept(vote(ARBITERS[1], market, 0, 1));
    let third = || Recording::of(&mut world.clone(), vote(ARBITERS[2], market, 0, 1));
    third().breaks("I22", |r| r.edit(EventKind::VoteCast, |body: &mut VoteBody| body.arbiter = ARBITERS[0]));
    third().breaks("I22", |r| r.edit(EventKind::VoteCast, |body: &mut VoteBody| body.votes_for = 2));
    third().breaks("I22", |r| r.edit(EventKind::DisputeDecided, |body: &mut DecisionBody| body.verdict = 1));
    third().breaks("I23", |r| r.edit(EventKind::DisputeDecided, |body: &mut DecisionBody| body.returned = 1));
    third().breaks("I22", |r| {
        r.edit(EventKind::VoteCast, |body: &mut VoteBody| (body.choice, body.votes_for) = (0, 1))
    });
    world.accept(vote(ARBITERS[2], market, 0, 1));
    world.wait(4 * HOUR);
    let end = || Recording::of(&mut world.clone(), finalise(market));
    let kind = EventKind::BondSettled;
    end().breaks("I23", |r| {
        r.edit(kind, |body: &mut BondBody| (body.to_winner, body.to_insurance) = (BOND, 0))
    });
    end().breaks("I23", |r| r.edit(kind, |body: &mut BondBody| body.winner = 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Random markets, holders and endings: the quote asset is conserved, no payout exceeds the escrow, and what
    /// remains when everybody has redeemed is in no escrow.
    #[test]
    fn p15_7_every_resolution_conserves_money_and_empties_the_escrow(
        outcomes in 2_u8..=8,
        minted in prop::collection::vec(1_i64..100_000, 3),
        merged in prop::collection::vec(0_i64..100_000, 3),
        proposed in 0_u8..=8,
        traded in prop::collection::vec((0_usize..3, 0_usize..3, 0_u8..8, 1_i64..50_000), 0..12),
        part in 1_u32..1_000_000,
        rounds in prop::collection::vec((0_u8..3, 0_u8..=8), 0..7),
        order in Just([ALICE, BOB, CAROL]).prop_shuffle(),
    ) {
        let named = |number: u8| if number < outcomes { number } else { choice::INVALID };
        let mut world: World = World::new();
        let market = short_market(&mut world, outcomes);
        let owners = [ALICE, BOB, CAROL];
        for (owner, &lots) in owners.iter().zip(&minted) {
            world.accept(sets(*owner, Kind::MintSet, market, lots));
        }
        for (owner, (&lots, &had)) in owners.iter().zip(merged.iter().zip(&minted)) {
            if (1..had).contains(&lots) {
                world.accept(sets(*owner, Kind::MergeSet, market, lots));
            }
        }
        // Holders of anything but sets; what does not trade rests until the market closes.
        for (seller, buyer, outcome, lots) in traded {
            let (outcome, price) = (outcome % outcomes, 400 + lots % 100);
            world.send(place(owners[seller], on(market, outcome, side::SELL, price, lots)));
            world.send(place(owners[buyer], on(market, outcome, side::BUY, price, lots)));
        }
        world.wait(2 * HOUR);
        // Work that fell due at the same moment may leave the closing to the next Tick.
        world.wait(1_000_000_000);
        let total = |world: &World| {
            let users: i64 = OWNERS.iter().map(|owner| world.free(*owner, USDC) + world.held(*owner, USDC)).sum();
            users + insurance(world) + escrow(world, line::SET_ESCROW, market) + escrow(world, line::BOND_ESCROW, market)
        };
        let before = total(&world);
        let first = match proposed {
            8 => changed(proposal(OPERATOR, market, choice::VECTOR), |request| {
                request.entries = 2;
                request.packed = pack(&[(0, part), (1, 1_000_000 - part)]).unwrap();
            }),
            _ => proposal(OPERATOR, market, named(proposed)),
        };
        world.accept(first);
        for (round, (deed, outcome)) in rounds.into_iter().enumerate() {
            let standing = world.engine.resolution(market).unwrap().standing().choice();
            let against = if standing == 0 { 1 } else { 0 };
            let disputer = owners[round % 3];
            if world.send(dispute(disputer, market, round as u8, against)).accepted == 0 {
                break;
            }
            match deed {
                0 => world.wait(48 * HOUR),
                _ => decided(&mut world, market, round as u8, named(outcome)),
            }
            prop_assert_eq!(total(&world), before);
        }
        world.wait(70 * HOUR);
        world.accept(finalise(market));
        prop_assert_eq!(escrow(&world, line::BOND_ESCROW, market), 0);
        prop_assert_eq!(total(&world), before);
        for owner in order {
            let holds = (0..outcomes).any(|outcome| claim(&world, owner, market, outcome).0 > 0);
            if holds {
                world.accept(redeem(owner, market));
            } else {
                world.refuse(redeem(owner, market), Code::NOTHING_TO_REDEEM);
            }
        }
        prop_assert_eq!(escrow(&world, line::SET_ESCROW, market), 0);
        prop_assert_eq!(total(&world), before);
        world.auditor.verify().unwrap();
    }
}
