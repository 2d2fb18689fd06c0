//! Archive and tombstone of settled markets (P1.6.5, row 0107).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::market::status;
use tradewind_engine::record520::{ArchivedMarket, WINNER_INVALID};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::outcome::{outcome_request, sets};
use crate::outcome_books::on;
use crate::resolution::{closed_market, decided, dispute, finalise, proposal, redeem, short_market};
use crate::support::*;

pub const RETENTION: i64 = 48 * HOUR;

pub fn prune(market: u32, archive_hash: [u8; 32]) -> Command {
    by(SYSTEM, Kind::PruneMarket).with(&PruneMarket { market, reserved: 0, archive_hash })
}

pub fn archive_of(world: &World, market: u32) -> (Vec<u8>, [u8; 32]) {
    let bytes = world.engine.market_archive(market).expect("a settled market");
    let hash = *blake3::hash(&bytes).as_bytes();
    (bytes, hash)
}

/// A market of so many outcomes that pays `winner` and whose claims are all redeemed; the moment of FINAL.
fn settled(world: &mut World, outcomes: u8, winner: u8) -> (u32, i64) {
    let market = closed_market(world, outcomes);
    world.accept(proposal(CAROL, market, winner));
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    let final_ns = world.now_ns;
    world.accept(redeem(ALICE, market));
    world.accept(redeem(BOB, market));
    (market, final_ns)
}

#[test]
fn p1_6_5_a_settled_market_leaves_its_id_and_the_hash_of_its_archive() {
    let mut world: World = World::new();
    let (market, final_ns) = settled(&mut world, 3, 1);
    world.wait(RETENTION);
    let (bytes, hash) = archive_of(&world, market);
    let record = ArchivedMarket::decode(&bytes).expect("its own record");
    assert_eq!((record.winner, record.prices), (1, vec![0, 1_000_000, 0]));
    assert_eq!(record.resolution_time_ns, final_ns);
    assert!((START..final_ns).contains(&record.settle_time_ns));
    world.accept(prune(market, hash));
    let (kind, event) = world.events()[0];
    let body: PrunedBody = event.body_as();
    assert_eq!((kind, event.market), (EventKind::MarketPruned, market));
    assert_eq!((body.archive_hash, body.status, body.previous), (hash, status::PRUNED, status::SETTLED));
    assert_eq!(world.engine.archive_hash(market), Some(hash));
    assert_eq!((world.engine.market_archive(market), world.engine.resolution(market)), (None, None));
    let before = world.engine.state_hash();
    restored(&mut world);
    assert_eq!((world.engine.archive_hash(market), world.engine.state_hash()), (Some(hash), before));
}

/// The same state, restored; its auditor starts anew and every part is verified.
pub fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    world.auditor = Auditor::from_engine(&world.engine).expect("a sound state");
    world.auditor.verify().expect("every invariant");
}

#[test]
fn p1_6_5_not_before_48_hours_behind_final() {
    let mut world: World = World::new();
    let (market, final_ns) = settled(&mut world, 2, 0);
    let (_, hash) = archive_of(&world, market);
    world.wait(RETENTION - 1);
    let refused = world.refuse(prune(market, hash), Code::TOO_EARLY);
    assert_eq!((refused.bound, refused.given), (final_ns + RETENTION, world.now_ns));
    restored(&mut world);
    world.refuse(prune(market, hash), Code::TOO_EARLY);
    world.now_ns += 1;
    world.accept(prune(market, hash));
}

#[test]
fn p1_6_5_an_archive_that_is_not_this_markets_is_no_evidence() {
    let mut world: World = World::new();
    let (market, _) = settled(&mut world, 2, 0);
    let (other, _) = settled(&mut world, 2, 1);
    world.wait(RETENTION);
    let (_, hash) = archive_of(&world, market);
    let (_, foreign) = archive_of(&world, other);
    let mut flipped = hash;
    flipped[31] ^= 1;
    for wrong in [[0; 32], foreign, flipped] {
        world.refuse(prune(market, wrong), Code::EVIDENCE_INVALID);
    }
    world.accept(prune(market, hash));
    world.accept(prune(other, foreign));
}

#[test]
fn p1_6_5_claims_that_nobody_redeemed_keep_a_market() {
    let mut world: World = World::new();
    let market = closed_market(&mut world, 2);
    world.accept(proposal(CAROL, market, 0));
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    world.wait(RETENTION);
    let (_, hash) = archive_of(&world, market);
    world.refuse(prune(market, hash), Code::MARKET_HAS_OPEN_INTEREST);
    world.accept(redeem(ALICE, market));
    let refused = world.refuse(prune(market, hash), Code::MARKET_HAS_OPEN_INTEREST);
    assert_eq!(refused.bound, 0);
    world.accept(redeem(BOB, market));
    world.accept(prune(market, hash));
}

#[test]
fn p1_6_5_claims_that_pay_nothing_keep_a_market_too_until_they_are_redeemed() {
    let mut world: World = World::new();
    let market = short_market(&mut world, 2);
    world.accept(sets(ALICE, Kind::MintSet, market, 700));
    // ALICE sells what wins to BOB: what she keeps pays nothing.
    world.accept(place(ALICE, on(market, 0, side::SELL, 500, 700)));
    world.accept(place(BOB, on(market, 0, side::BUY, 500, 700)));
    world.wait(2 * HOUR);
    world.accept(proposal(CAROL, market, 0));
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    world.accept(redeem(BOB, market));
    world.wait(RETENTION);
    let (_, hash) = archive_of(&world, market);
    world.refuse(prune(market, hash), Code::MARKET_HAS_OPEN_INTEREST);
    world.accept(redeem(ALICE, market));
    world.accept(prune(market, hash));
}

#[test]
fn row_0107_every_other_status_and_kind_is_refused() {
    let mut world: World = World::new();
    let hash = [7; 32];
    world.refuse(prune(9_999, hash), Code::MARKET_NOT_FOUND);
    world.refuse(prune(0, hash), Code::INVALID_MARKET_KIND);
    let settle_time_ns = world.now_ns + 3 * HOUR;
    let of_a_number = CreateMarket { market_kind: 3, settle_time_ns, ..outcome_request(700, 2) };
    let number = world.accept(by(OPERATOR, Kind::CreateMarket).with(&of_a_number)).value as u32;
    world.refuse(prune(number, hash), Code::INVALID_TRANSITION);
    let market = short_market(&mut world, 2);
    world.refuse(prune(market, hash), Code::INVALID_TRANSITION);
    world.wait(2 * HOUR);
    world.refuse(prune(market, hash), Code::INVALID_TRANSITION);
    world.accept(proposal(CAROL, market, 0));
    world.refuse(prune(market, hash), Code::INVALID_TRANSITION);
    world.wait(2 * HOUR);
    world.accept(finalise(market));
    world.wait(RETENTION);
    let (_, hash) = archive_of(&world, market);
    let reserved = PruneMarket { market, reserved: 1, archive_hash: hash };
    world.refuse(by(SYSTEM, Kind::PruneMarket).with(&reserved), Code::RESERVED_NOT_ZERO);
    let stranger = Command { principal: OPERATOR, ..prune(market, hash) };
    world.refuse(stranger, Code::PERMISSION_DENIED);
    world.accept(prune(market, hash));
    world.refuse(prune(market, hash), Code::INVALID_TRANSITION);
}

#[test]
fn p2_3_1_nothing_happens_to_a_pruned_market_any_more() {
    let mut world: World = World::new();
    let (market, _) = settled(&mut world, 2, 0);
    world.wait(RETENTION);
    let (_, hash) = archive_of(&world, market);
    world.accept(prune(market, hash));
    world.refuse(proposal(CAROL, market, 0), Code::ALREADY_FINAL);
    world.refuse(dispute(BOB, market, 0, 1), Code::NOT_IN_RESOLUTION);
    world.refuse(finalise(market), Code::NOT_IN_RESOLUTION);
    world.refuse(redeem(ALICE, market), Code::NOT_RESOLVED);
    world.refuse(sets(ALICE, Kind::MintSet, market, 1), Code::MARKET_NOT_ACTIVE);
    let link = by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, ..CloseMarket::zero() });
    world.refuse(link, Code::INVALID_TRANSITION);
    // Its number and its id stay taken.
    let next = world.accept(by(OPERATOR, Kind::CreateMarket).with(&outcome_request(77, 2))).value;
    assert!(next > u64::from(market));
}

#[test]
fn p1_6_2_overflow_records_and_a_vector_without_a_winner_are_archived() {
    let mut world: World = World::new();
    let market = closed_market(&mut world, 64);
    world.accept(proposal(CAROL, market, 63));
    world.accept(dispute(BOB, market, 0, 0xFE));
    decided(&mut world, market, 0, 0xFE);
    world.wait(4 * HOUR);
    world.accept(finalise(market));
    world.accept(redeem(ALICE, market));
    world.accept(redeem(BOB, market));
    world.wait(RETENTION);
    let (bytes, hash) = archive_of(&world, market);
    let record = ArchivedMarket::decode(&bytes).expect("its own records");
    assert_eq!((bytes.len(), record.winner), (3 * 520, WINNER_INVALID));
    assert_eq!(record.prices.iter().sum::<u64>(), 1_000_000);
    world.accept(prune(market, hash));
    restored(&mut world);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Markets that end in any order are pruned in any order; what is left is what was not.
    #[test]
    fn p1_6_5_pruning_any_of_several_markets_touches_no_other(
        outcomes in prop::collection::vec(2u8..=12, 1..5),
        chosen in prop::collection::vec(any::<bool>(), 5),
    ) {
        let mut world: World = World::new();
        let markets: Vec<u32> =
            outcomes.iter().map(|&count| settled(&mut world, count, count - 1).0).collect();
        world.wait(RETENTION);
        let archives: Vec<_> = markets.iter().map(|&market| archive_of(&world, market)).collect();
        for (at, &market) in markets.iter().enumerate() {
            if chosen[at] {
                world.accept(prune(market, archives[at].1));
            }
        }
        restored(&mut world);
        for (at, &market) in markets.iter().enumerate() {
            let expected = (!chosen[at]).then(|| archives[at].0.clone());
            prop_assert_eq!(world.engine.market_archive(market), expected);
            prop_assert_eq!(world.engine.archive_hash(market), chosen[at].then_some(archives[at].1));
        }
    }
}
