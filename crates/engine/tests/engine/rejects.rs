//! Every code of the catalogue that this build can answer with is reached, and leaves the state alone (T06).

mod cases;
mod outcome_cases;
mod requests;

use std::collections::BTreeSet;
use std::path::Path;

use tradewind_engine::sequence::{apply_batch, MAX_BATCH};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::error::CATALOGUE;
use tradewind_engine::wire::Code;
use tradewind_engine::{Batch, Engine, Output};

use crate::support::*;
use cases::{Build, CASES};
use outcome_cases::OUTCOME_CASES;
use requests::*;

/// The cases of every slice of the catalogue.
fn all_cases() -> impl Iterator<Item = &'static (Code, Build)> {
    CASES.iter().chain(OUTCOME_CASES)
}

/// Answered outside of one command's checks; each has a test of its own.
const AT_ANOTHER_BORDER: &[Code] = &[
    Code::MALFORMED_FRAME,
    Code::SEQUENCE_GAP,
    Code::TIME_REGRESSION,
    Code::TIME_JUMP,
    Code::CONTINUATION_PENDING,
    Code::REPLAY_MISMATCH,
    Code::INVARIANT_BROKEN,
    Code::ENGINE_STOPPED,
];

/// In the source and not reachable yet: leveraged markets wait for feeds, and a spot market closes in the same command that makes it CLOSE_ONLY.
const NOT_REACHABLE_YET: &[Code] = &[
    Code::MARKET_CLOSE_ONLY,
    // The guards leave every pool backed: what would have to be refused does not arise.
    Code::INSUFFICIENT_LIQUIDITY,
    Code::POSITION_HEALTHY,
    Code::FUNDING_NOT_DUE,
    Code::INSUFFICIENT_FREE_COLLATERAL,
    Code::INSUFFICIENT_MARGIN,
    Code::INVALID_LEVERAGE,
    Code::LEVERAGE_TOO_HIGH,
    Code::MAINTENANCE_ABOVE_ENTRY_MARGIN,
    Code::OPEN_INTEREST_CAP,
    Code::POSITION_TOO_LARGE,
    Code::SETTLEMENT_NOT_FINAL,
    Code::SUITABILITY_REQUIRED,
    Code::WITHDRAWAL_LOCKED,
    Code::COVERAGE_TOO_LOW,
];

#[test]
fn every_case_gets_its_code_and_changes_nothing() {
    let fresh: World = World::new();
    for (number, (code, build)) in all_cases().enumerate() {
        let mut world = fresh.clone();
        let command = build(&mut world);
        let before = world.engine.state_hash();
        let result = world.send(command);
        assert_eq!(
            Code::from_number(result.code),
            Some(*code),
            "case {number}: accepted {}, bound {}, given {}",
            result.accepted,
            result.bound,
            result.given
        );
        assert_eq!((result.accepted, result.event_count), (0, 0), "case {number} for {code:?}");
        assert_eq!(world.engine.state_hash(), before, "case {number} for {code:?} changed the state");
    }
}

#[test]
fn the_cases_cover_exactly_the_codes_that_the_source_can_answer() {
    let mut named = BTreeSet::new();
    collect_codes(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), &mut named);
    let reached: BTreeSet<&str> = all_cases().map(|(code, _)| code.entry().name).collect();
    let elsewhere: BTreeSet<&str> =
        AT_ANOTHER_BORDER.iter().chain(NOT_REACHABLE_YET).map(|code| code.entry().name).collect();
    assert!(reached.is_disjoint(&elsewhere));
    let mut covered: BTreeSet<String> = reached.union(&elsewhere).map(|name| (*name).to_owned()).collect();
    // Concerns with a module of their own refuse there.
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine");
    let mut in_modules = BTreeSet::new();
    for entry in std::fs::read_dir(tests).expect("the tests are readable") {
        let path = entry.expect("an entry").path();
        let concern = path.file_stem().and_then(|stem| stem.to_str());
        match concern {
            Some("rejects" | "support") => {}
            _ if path.is_dir() => collect_codes(&path, &mut in_modules),
            _ => collect_codes_of(&path, &mut in_modules),
        }
    }
    covered.extend(in_modules.intersection(&named).cloned());
    assert_eq!(named, covered, "left: codes in the source, right: codes with a test");
}

/// Names behind `Code::` in one file.
fn collect_codes_of(path: &Path, names: &mut BTreeSet<String>) {
    let text = std::fs::read_to_string(path).expect("a source is text");
    let behind = text.split("Code::").skip(1);
    let name = |rest: &str| {
        rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect()
    };
    names.extend(behind.map(name).filter(|name: &String| name.len() > 1));
}

/// Names behind `Code::` in the sources, the catalogue itself left out.
fn collect_codes(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the sources are readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_codes(&path, names);
        } else if !path.ends_with("wire/error.rs") {
            collect_codes_of(&path, names);
        }
    }
}

#[test]
fn the_catalogue_holds_every_code_once_with_a_message() {
    let names: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), CATALOGUE.len());
    for entry in CATALOGUE {
        assert!(!entry.template.is_empty() && (400..600).contains(&entry.http_status), "{}", entry.name);
    }
}

#[test]
fn a_frame_of_a_fraction_of_a_record_is_malformed_and_applies_nothing() {
    let mut world: World = World::new();
    let before = world.engine.next_seq();
    let refusal = apply_batch(&mut world.engine, &[0; 193], START, &mut Batch::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.bound, refusal.given), (Code::MALFORMED_FRAME, 192, 193));
    let bytes = vec![0; (MAX_BATCH + 1) * COMMAND_SIZE];
    let refusal = apply_batch(&mut world.engine, &bytes, START, &mut Batch::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.bound), (Code::CAPACITY_EXCEEDED, MAX_BATCH as i64));
    assert_eq!(world.engine.next_seq(), before);
}

/// Applies one stamped command; the cursor may not move when the stamp is refused.
fn stamp(engine: &mut Engine, seq: u64, time_ns: i64, command: Command) -> Option<Code> {
    let (state, cursor) = (engine.state_hash(), engine.cursor_hash());
    let result = engine.apply(&Command { seq, time_ns, ..command }, &mut Output::default());
    if result.accepted == 0 {
        assert_eq!((engine.state_hash(), engine.cursor_hash()), (state, cursor));
    }
    Code::from_number(result.code)
}

#[test]
fn a_wrong_stamp_is_refused_and_moves_not_even_the_cursor() {
    let mut engine = World::<tradewind_engine::FastBook>::new().engine;
    let (next, now) = (engine.next_seq(), engine.time_ns());
    let command = Command { client_key: [3; 16], ..buy(ALICE, 0, 100, 1) };
    assert_eq!(stamp(&mut engine, next + 1, now, command), Some(Code::SEQUENCE_GAP));
    assert_eq!(stamp(&mut engine, next - 1, now, command), Some(Code::SEQUENCE_GAP));
    assert_eq!(stamp(&mut engine, next, now - 1, command), Some(Code::TIME_REGRESSION));
    assert_eq!(stamp(&mut engine, next, now + HOUR + 1, command), Some(Code::TIME_JUMP));
    assert_eq!(stamp(&mut engine, next, now + HOUR, command), None);
    let far = by(SYSTEM, Kind::AdvanceTime).with(&AdvanceTime { reason: [b'x'; 48] });
    assert_eq!(stamp(&mut engine, next + 1, now + 100 * HOUR, far), None);
}

#[test]
fn a_stopped_engine_refuses_every_command() {
    let mut world: World = World::new();
    world.engine.stop();
    let seq = world.engine.stopped().expect("stopped");
    let refusal = apply_batch(&mut world.engine, &[0; 192], START, &mut Batch::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.bound), (Code::ENGINE_STOPPED, seq as i64));
    let command = Command { seq: world.engine.next_seq(), time_ns: START, ..buy(ALICE, 0, 100, 1) };
    let result = world.engine.apply(&command, &mut Output::default());
    assert_eq!((result.accepted, Code::from_number(result.code)), (0, Some(Code::ENGINE_STOPPED)));
}

#[test]
fn p2_1_3_the_earlier_check_answers_when_several_causes_hold() {
    let mut world: World = World::new();
    world.accept(by(ADMIN_A, Kind::SuspendPrincipal).with(&SuspendPrincipal { principal: CAROL }));
    world.accept(Command { client_key: [5; 16], ..buy(ALICE, 0, 100, 1) });
    world.accept(pause(0, 1, START + HOUR));
    // Every later cause stays in the command while the earlier ones are mended one by one.
    let worst = Command {
        length: 1,
        tag: 0,
        version: 9,
        flags: 1,
        shard: 4,
        valid_until_ns: 1,
        client_key: [5; 16],
        principal: CAROL,
        ..buy(ALICE, 0, 0, 0)
    };
    let mut command = worst;
    world.refuse(command, Code::INVALID_RECORD_LENGTH);
    command.length = 192;
    world.refuse(command, Code::INVALID_TYPE_TAG);
    command.tag = COMMAND_TAG;
    world.refuse(command, Code::UNSUPPORTED_VERSION);
    command.version = COMMAND_VERSION;
    world.refuse(command, Code::RESERVED_NOT_ZERO);
    command.flags = 0;
    world.refuse(command, Code::WRONG_SHARD);
    command.shard = 3;
    world.refuse(command, Code::COMMAND_EXPIRED);
    command.valid_until_ns = 0;
    world.refuse(command, Code::IDEMPOTENCY_CONFLICT);
    command.client_key = [6; 16];
    world.refuse(command, Code::PRINCIPAL_SUSPENDED);
    command.principal = BOB;
    world.refuse(command, Code::UNAUTHORIZED_SIGNER);
    command.principal = ALICE;
    world.refuse(command, Code::PAUSED);
    let id = world.batch.commands.len() as u32;
    assert_eq!(id, 1);
    world.accept(resume(RESUMER_A, 0, 1));
    world.accept(resume(RESUMER_B, 0, 1));
    world.refuse(command, Code::INVALID_SIZE);
    command = command.with(&limit(0, side::BUY, 0, 1));
    world.refuse(command, Code::INVALID_PRICE);
    command = command.with(&limit(0, side::BUY, i64::from(i32::MAX), 1 << 20));
    world.refuse(command, Code::ORDER_TOO_LARGE);
    command = command.with(&limit(0, side::BUY, 100, 1));
    world.accept(command);
}

#[test]
fn p2_4_order_rules_answer_in_their_order() {
    let mut world: World = World::new();
    two_sided(&mut world);
    let mut order = PlaceOrder {
        market: 7,
        outcome: 1,
        lots: 0,
        order_type: 9,
        time_in_force: time_in_force::GTD,
        expiry_ns: 1,
        price: 1 << 40,
        ..limit(7, side::BUY, 0, 0)
    };
    world.refuse(place(ALICE, order), Code::MARKET_NOT_FOUND);
    order.market = 0;
    world.refuse(place(ALICE, order), Code::INVALID_OUTCOME);
    order.outcome = 0;
    world.refuse(place(ALICE, order), Code::INVALID_SIZE);
    order.lots = 1;
    world.refuse(place(ALICE, order), Code::INVALID_ORDER_TYPE);
    order.order_type = order_type::LIMIT;
    world.refuse(place(ALICE, order), Code::ORDER_EXPIRED);
    order.expiry_ns = START + 31 * DAY;
    world.refuse(place(ALICE, order), Code::ORDER_EXPIRY_TOO_FAR);
    order.expiry_ns = START + DAY;
    world.refuse(place(ALICE, order), Code::INVALID_PRICE);
    order.price = 1_000;
    world.refuse(place(ALICE, order), Code::PRICE_TOO_HIGH);
    order.price = 101;
    world.accept(place(ALICE, order));
}

#[test]
fn a_reject_names_the_bound_and_the_value_that_violated_it() {
    let mut world: World = World::new();
    two_sided(&mut world);
    let high = world.refuse(buy(ALICE, 0, 191, 1), Code::PRICE_TOO_HIGH);
    assert_eq!((high.bound, high.given), (190, 191));
    let low = world.refuse(sell(ALICE, 0, 9, 1), Code::PRICE_TOO_LOW);
    assert_eq!((low.bound, low.given), (10, 9));
    let fok = PlaceOrder { time_in_force: time_in_force::FOK, ..limit(0, side::BUY, 101, 11) };
    let fok = world.refuse(place(ALICE, fok), Code::FOK_NOT_FILLABLE);
    assert_eq!((fok.bound, fok.given), (10, 11));
}
