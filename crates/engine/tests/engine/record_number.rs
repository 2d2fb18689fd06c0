//! Archives of distribution markets (P1.6.5, P10.5): the record of the number, and that nothing is left behind.

use proptest::prelude::*;
use tradewind_engine::amm::question::{Question, Shape};
use tradewind_engine::market::status;
use tradewind_engine::record520::{crc16, ArchivedMarket, RECORD_BYTES, WINNER_INVALID};
use tradewind_engine::record_number::{ArchivedNumber, NUMBER_BYTES};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::pool::amm_kind;
use tradewind_engine::wire::Code;

use crate::audit::Recording;
use crate::outcome::sets;
use crate::pruning::{archive_of, prune, restored, RETENTION};
use crate::questions::{number_market, settle, towards, with_question, BACKING, UNIT};
use crate::resolution::redeem;
use crate::support::*;

fn parts(bytes: &[u8]) -> (ArchivedMarket, ArchivedNumber) {
    let market = ArchivedMarket::decode(&bytes[..RECORD_BYTES]).expect("its own record");
    let number = ArchivedNumber::decode(&bytes[RECORD_BYTES..]).expect("its own number");
    number.check_of(&market).expect("one market");
    (market, number)
}

/// A market whose number became final, traded by ALICE and BOB and paid to all three.
fn paid(world: &mut World, high: Option<u32>) -> u32 {
    let market = with_question(world);
    world.accept(towards(ALICE, market, 2 * UNIT, UNIT));
    world.accept(towards(BOB, market, -3 * UNIT, 2 * UNIT));
    settle(world, market, high);
    for owner in [ALICE, BOB, OPERATOR] {
        world.accept(redeem(owner, market));
    }
    market
}

#[test]
fn p1_6_5_a_number_is_archived_with_its_bounds_its_last_claim_and_what_it_was() {
    let mut world: World = World::new();
    let market = paid(&mut world, Some(600_000));
    world.wait(RETENTION);
    let (bytes, hash) = archive_of(&world, market);
    assert_eq!(bytes.len(), RECORD_BYTES + NUMBER_BYTES);
    let (record, number) = parts(&bytes);
    assert_eq!((record.amm_kind, record.winner), (amm_kind::DISTRIBUTION, WINNER_INVALID));
    assert_eq!((record.prices, record.liquidity), (vec![600_000, 400_000], 0));
    assert_eq!((number.lower, number.upper, number.value), (-10 * UNIT, 10 * UNIT, Some(2 * UNIT)));
    assert_eq!((number.mean, number.sigma), (-3 * UNIT, 2 * UNIT));
    assert_eq!((number.norm, number.backing), (BACKING, BACKING));
    assert!(number.fees > 0);
    world.accept(prune(market, hash));
    let body: PrunedBody = world.events()[0].1.body_as();
    assert_eq!((body.archive_hash, body.status, body.previous), (hash, status::PRUNED, status::SETTLED));
    assert_eq!((world.engine.archive_hash(market), world.engine.market_archive(market)), (Some(hash), None));
    world.refuse(prune(market, hash), Code::INVALID_TRANSITION);
    world.refuse(redeem(ALICE, market), Code::NOT_RESOLVED);
    world.refuse(towards(ALICE, market, 0, UNIT), Code::POOL_NOT_FOUND);
    let before = world.engine.state_hash();
    restored(&mut world);
    assert_eq!((world.engine.archive_hash(market), world.engine.state_hash()), (Some(hash), before));
}

#[test]
fn p15_1_a_market_without_a_number_is_archived_as_one_that_had_none() {
    let mut world: World = World::new();
    let market = paid(&mut world, None);
    world.wait(RETENTION);
    let (bytes, hash) = archive_of(&world, market);
    let (record, number) = parts(&bytes);
    assert_eq!((record.prices, number.value), (vec![500_000, 500_000], None));
    world.accept(prune(market, hash));
    restored(&mut world);
}

#[test]
fn a_question_that_nobody_ever_backed_is_archived_without_a_number() {
    let mut world: World = World::new();
    let market = number_market(&mut world);
    settle(&mut world, market, Some(250_000));
    world.wait(RETENTION);
    let (bytes, hash) = archive_of(&world, market);
    let record = ArchivedMarket::decode(&bytes).expect("one record");
    assert_eq!((record.amm_kind, record.prices), (amm_kind::NONE, vec![250_000, 750_000]));
    world.accept(prune(market, hash));
    restored(&mut world);
}

#[test]
fn p1_6_5_whoever_has_not_been_paid_keeps_a_number() {
    let mut world: World = World::new();
    let market = with_question(&mut world);
    world.accept(sets(BOB, Kind::MintSet, market, 10));
    world.accept(towards(ALICE, market, 2 * UNIT, UNIT));
    settle(&mut world, market, Some(600_000));
    world.wait(RETENTION);
    let (_, hash) = archive_of(&world, market);
    // The sides that BOB holds, ALICE's claim, the creator's rest: each of them alone.
    for owner in [OPERATOR, ALICE, BOB] {
        let left = world.clone();
        for other in [OPERATOR, ALICE, BOB].into_iter().filter(|&other| other != owner) {
            world.accept(redeem(other, market));
        }
        // What is written does not depend on who was paid.
        assert_eq!(archive_of(&world, market).1, hash);
        world.refuse(prune(market, hash), Code::MARKET_HAS_OPEN_INTEREST);
        restored(&mut world);
        world.refuse(prune(market, hash), Code::MARKET_HAS_OPEN_INTEREST);
        let mut last = world.clone();
        last.accept(redeem(owner, market));
        last.accept(prune(market, hash));
        world = left;
    }
}

#[test]
fn p1_6_5_of_a_number_too_nothing_goes_before_48_hours_or_without_its_archive() {
    let mut world: World = World::new();
    let market = paid(&mut world, Some(600_000));
    let (bytes, hash) = archive_of(&world, market);
    world.refuse(prune(market, hash), Code::TOO_EARLY);
    world.wait(RETENTION);
    restored(&mut world);
    let without_number = *blake3::hash(&bytes[..RECORD_BYTES]).as_bytes();
    world.refuse(prune(market, without_number), Code::EVIDENCE_INVALID);
    world.refuse(prune(market, [0; 32]), Code::EVIDENCE_INVALID);
    world.accept(prune(market, hash));
}

#[test]
fn i22_the_auditor_sees_a_number_pruned_early_or_before_everybody_was_paid() {
    let mut world: World = World::new();
    let open = with_question(&mut world);
    settle(&mut world, open, Some(600_000));
    let market = paid(&mut world, Some(600_000));
    // Exactly to the moment, so that the one before it is too early.
    world.wait(RETENTION - 1);
    world.now_ns += 1;
    let (_, hash) = archive_of(&world, market);
    let pruned = || Recording::of(&mut world.clone(), prune(market, hash));
    pruned().breaks("I22", |r| {
        r.edit(EventKind::MarketPruned, |body: &mut PrunedBody| body.archive_hash = [0; 32]);
    });
    // The same event of the market whose creator has still the backing.
    pruned().breaks("I22", |r| r.events.iter_mut().for_each(|event| event.market = open));
    pruned().breaks("I26", |r| {
        let early = world.now_ns - 1;
        r.commands.iter_mut().for_each(|command| command.time_ns = early);
        r.events.iter_mut().for_each(|event| event.time_ns = early);
    });
}

fn number() -> ArchivedNumber {
    ArchivedNumber {
        market_id: [7; 32],
        lower: -10 * UNIT,
        upper: 10 * UNIT,
        norm: 1,
        backing: 2,
        fees: 0,
        mean: 3,
        sigma: 4,
        value: Some(-5),
    }
}

/// Writes the checksum again after the bytes were changed on purpose.
fn sealed(mut bytes: [u8; NUMBER_BYTES]) -> [u8; NUMBER_BYTES] {
    let crc = crc16(&bytes[..NUMBER_BYTES - 2]);
    bytes[NUMBER_BYTES - 2..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn refusal(bytes: &[u8]) -> Code {
    ArchivedNumber::decode(bytes).expect_err("the bytes are no number").code
}

#[test]
fn every_changed_byte_of_a_number_is_seen() {
    let bytes = number().encode().expect("within bounds");
    for place in 0..NUMBER_BYTES {
        for change in 1..=255_u8 {
            let mut damaged = bytes;
            damaged[place] ^= change;
            assert!(ArchivedNumber::decode(&damaged).is_err(), "byte {place} changed by {change}");
        }
    }
    assert_eq!(ArchivedNumber::decode(&bytes), Ok(number()));
}

#[test]
fn p1_3_3_the_first_defect_in_the_published_order_is_the_answer() {
    let good = number().encode().expect("within bounds");
    assert_eq!(refusal(&good[..127]), Code::INVALID_RECORD_LENGTH);
    assert_eq!(refusal(&[&good[..], &[0]].concat()), Code::INVALID_RECORD_LENGTH);
    let mut bytes = good;
    (bytes[0], bytes[1], bytes[2], bytes[105]) = (8, 2, 7, 1);
    assert_eq!(refusal(&bytes), Code::INVALID_RECORD_LENGTH);
    bytes[2] = good[2];
    assert_eq!(refusal(&bytes), Code::INVALID_TYPE_TAG);
    bytes[0] = good[0];
    assert_eq!(refusal(&bytes), Code::UNSUPPORTED_VERSION);
    bytes[1] = good[1];
    assert_eq!(refusal(&bytes), Code::RESERVED_NOT_ZERO);
    bytes[105] = 0;
    bytes[40] ^= 1;
    assert_eq!(refusal(&bytes), Code::CHECKSUM_MISMATCH);
    let changed = |place: usize, value: u8| {
        let mut bytes = good;
        bytes[place] = value;
        refusal(&sealed(bytes))
    };
    assert_eq!(changed(4, 1), Code::RESERVED_NOT_ZERO);
    assert_eq!(changed(104, 2), Code::PARAMETER_OUT_OF_BOUNDS);
    // No number, and yet one.
    assert_eq!(changed(104, 1), Code::PARAMETER_OUT_OF_BOUNDS);
}

#[test]
fn a_number_out_of_its_bounds_is_never_written() {
    let refused = |change: fn(&mut ArchivedNumber)| {
        let mut one = number();
        change(&mut one);
        one.encode().expect_err("out of bounds").code
    };
    assert_eq!(refused(|one| one.lower = one.upper), Code::INVALID_BOUNDS);
    assert_eq!(refused(|one| one.mean = one.upper + 1), Code::INVALID_BOUNDS);
    assert_eq!(refused(|one| one.value = Some(one.lower - 1)), Code::INVALID_BOUNDS);
    assert_eq!(refused(|one| one.norm = 0), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(refused(|one| one.backing = 0), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(refused(|one| one.sigma = 0), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(refused(|one| one.fees = -1), Code::PARAMETER_OUT_OF_BOUNDS);
}

#[test]
fn a_number_belongs_to_one_market_and_to_what_that_one_paid() {
    let mut world: World = World::new();
    let market = paid(&mut world, Some(600_000));
    let (record, number) = parts(&archive_of(&world, market).0);
    let other = ArchivedNumber { market_id: [9; 32], ..number };
    assert_eq!(other.check_of(&record).expect_err("another market").code, Code::DERIVED_ID_MISMATCH);
    let without = ArchivedMarket { amm_kind: 0, ..record.clone() };
    assert_eq!(number.check_of(&without).expect_err("no number").code, Code::INVALID_AMM_KIND);
    let beside = ArchivedNumber { value: Some(2 * UNIT + 1), ..number };
    assert_eq!(beside.check_of(&record).expect_err("another number").code, Code::PARAMETER_OUT_OF_BOUNDS);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    /// Whatever was traded and wherever the number is: the archive is the same before and behind the payments, names
    /// the number that was paid at, and pruning one of two markets leaves the other as it was.
    #[test]
    fn p1_6_5_an_archive_names_the_number_that_was_paid_at(
        trades in prop::collection::vec((0..2_usize, -10 * UNIT..=10 * UNIT, 600_000..=20 * UNIT), 0..6),
        high in prop_oneof![Just(None), (0_u32..=1_000_000).prop_map(Some)],
        order in Just([ALICE, BOB, OPERATOR]).prop_shuffle(),
    ) {
        let high = high.map(|ppm| if ppm == 500_000 { 500_001 } else { ppm });
        let mut world: World = World::new();
        let (market, other) = (with_question(&mut world), with_question(&mut world));
        for (who, mean, sigma) in trades {
            world.send(towards([ALICE, BOB][who], market, mean, sigma));
        }
        let pool: Question = world.engine.question(market).expect("a pool");
        settle(&mut world, market, high);
        let early = archive_of(&world, market);
        for owner in order {
            world.send(redeem(owner, market));
            for (_, event) in world.events().iter().filter(|event| event.0 == EventKind::DistributionPaid) {
                let body: DistributionPaidBody = event.body_as();
                prop_assert_eq!(parts(&early.0).1.value, (body.invalid == 0).then_some(body.value));
            }
        }
        world.wait(RETENTION);
        prop_assert_eq!(&archive_of(&world, market), &early);
        let number = parts(&early.0).1;
        prop_assert_eq!(Shape { mean: number.mean, sigma: number.sigma }, pool.shape);
        prop_assert_eq!(number.fees, pool.fees);
        let beside = world.engine.question(other);
        world.accept(prune(market, early.1));
        restored(&mut world);
        prop_assert_eq!(world.engine.archive_hash(market), Some(early.1));
        prop_assert_eq!(world.engine.question(other), beside);
    }
}
