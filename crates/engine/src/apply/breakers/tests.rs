//! Breakers whose inputs no command brings from outside, at their exact edges: coverage, congestion, what waits for
//! liquidation.

use super::*;
use crate::gate::{Action, Cell};
use crate::genesis::{Genesis, Grant};
use crate::halts::breaker::id;
use crate::limits::SECOND_NS;
use crate::roles;
use crate::FastBook;

const START: i64 = 1_700_000_000 * SECOND_NS;

fn engine() -> Engine<FastBook> {
    let grants = vec![Grant { principal: [1; 32], role: roles::SYSTEM, expiry_ns: i64::MAX }];
    let genesis = Genesis { shard: 3, rules_version: crate::RULES_VERSION, time_ns: START, grants };
    Engine::new(&genesis).expect("a sound genesis")
}

/// A Tick at this many seconds behind the start.
fn at(seconds: i64) -> Command {
    Command { time_ns: START + seconds * SECOND_NS, ..Command::new(crate::wire::command::Kind::Tick) }
}

/// Kinds and bodies of breakers that one call has told.
fn told(run: impl FnOnce(&mut Output)) -> Vec<(EventKind, BreakerBody)> {
    let mut output = Output::default();
    run(&mut output);
    let kind = |event: &crate::wire::event::Event| EventKind::from_code(event.kind).expect("a known kind");
    let of_breakers = |kind: &EventKind| format!("{kind:?}").starts_with("Breaker");
    output
        .events
        .iter()
        .map(|event| (kind(event), event))
        .filter(|(kind, _)| of_breakers(kind))
        .map(|(kind, event)| (kind, event.body_as()))
        .collect()
}

fn tripped(events: &[(EventKind, BreakerBody)]) -> Vec<u8> {
    events
        .iter()
        .filter(|(kind, _)| *kind == EventKind::BreakerTripped)
        .map(|(_, body)| body.breaker)
        .collect()
}

#[test]
fn b1_trips_below_its_threshold_once_and_coverage_below_one_stops_new_leverage() {
    let mut engine = engine();
    let mut cover = |seconds: i64, ppm: i64| {
        let events = told(|output| engine.halts_coverage(&at(seconds), ppm, output));
        (tripped(&events), engine.state.halts.in_force, engine.halt_cell(Action::NewLeveraged, None))
    };
    assert_eq!(cover(0, 1_000_000), (vec![], 0, Cell::Allowed));
    assert_eq!(cover(1, 999_999), (vec![], 1, Cell::Refused));
    assert_eq!(cover(2, 500_000), (vec![], 1, Cell::Refused));
    assert_eq!(cover(3, 499_999), (vec![id::COVERAGE], 2, Cell::Refused));
    assert_eq!(cover(4, 400_000), (vec![], 2, Cell::Refused));
    assert_eq!(cover(5, 1_000_000), (vec![], 1, Cell::Refused));
    let breaker = engine.state.halts.breaker(ALL_MARKETS, id::COVERAGE).expect("B1");
    assert_eq!((breaker.cause, breaker.until_ns), (cause::COVERAGE, START + 903 * SECOND_NS));
}

#[test]
fn coverage_below_one_has_its_own_refusal() {
    let mut engine = engine();
    told(|output| engine.halts_coverage(&at(0), 999_999, output));
    let market = 0;
    engine.state.halts.open_market(market, true, None);
    let refused = engine
        .check_breakers_of(Action::NewLeveraged)
        .map_err(|reject| (reject.code, reject.bound, reject.given));
    assert_eq!(refused, Err((Code::COVERAGE_TOO_LOW, 1_000_000, 999_999)));
    assert_eq!(engine.check_breakers_of(Action::NewCollateralised), Ok(()));
}

/// Counts commands of the engine's present second: refused ones with this code, then accepted ones.
fn meter(engine: &mut Engine<FastBook>, seconds: i64, code: Code, refused: u32, accepted: u32) {
    engine.cursor.time_ns = START + seconds * SECOND_NS;
    (0..refused).for_each(|_| engine.cursor.meter(Some(code)));
    (0..accepted).for_each(|_| engine.cursor.meter(None));
}

fn congested(engine: &mut Engine<FastBook>, seconds: i64) -> bool {
    engine.cursor.time_ns = START + seconds * SECOND_NS;
    let events = told(|output| engine.halts_on_tick(&at(seconds), output));
    tripped(&events).contains(&id::CONGESTION)
}

#[test]
fn b5_trips_above_a_fifth_of_a_thousand_commands_refused_for_congestion() {
    for (code, refused, accepted, trips) in [
        (Code::RATE_LIMITED, 200, 800, false),
        (Code::RATE_LIMITED, 201, 799, true),
        (Code::CAPACITY_EXCEEDED, 201, 799, true),
        (Code::INVALID_PRICE, 900, 100, false),
        (Code::RATE_LIMITED, 999, 0, false),
        (Code::RATE_LIMITED, 1_000, 0, true),
    ] {
        let mut engine = engine();
        // One refusal for congestion makes the engine look, whatever the others are.
        meter(&mut engine, 0, Code::RATE_LIMITED, u32::from(code == Code::INVALID_PRICE), 0);
        meter(&mut engine, 0, code, refused, accepted);
        assert_eq!(congested(&mut engine, 0), trips, "{code:?}: {refused} refused, {accepted} accepted");
        assert!(!congested(&mut engine, 1), "it does not trip again while it is tripped");
    }
}

#[test]
fn b5_looks_at_ten_seconds_no_more_and_no_less() {
    let mut inside = engine();
    meter(&mut inside, 0, Code::RATE_LIMITED, 500, 500);
    assert!(congested(&mut inside, 9));
    let mut outside = engine();
    meter(&mut outside, 0, Code::RATE_LIMITED, 500, 0);
    meter(&mut outside, 10, Code::RATE_LIMITED, 1, 500);
    assert!(!congested(&mut outside, 10));
}

#[test]
fn b5_comes_back_behind_thirty_calm_seconds_and_else_looks_again_after_ten() {
    let due = |engine: &mut Engine<FastBook>, seconds: i64| {
        engine.cursor.time_ns = START + seconds * SECOND_NS;
        let item = due_id(id::CONGESTION, ALL_MARKETS);
        told(|output| {
            engine.breaker_due(&at(seconds), due::BREAKER, item, output);
        })
    };
    for (last_refusal, event, until) in
        [(121, EventKind::BreakerExtended, 160), (120, EventKind::BreakerHalfOpen, 210)]
    {
        let mut engine = engine();
        meter(&mut engine, 0, Code::RATE_LIMITED, 1_000, 0);
        assert!(congested(&mut engine, 0));
        meter(&mut engine, last_refusal, Code::RATE_LIMITED, 100, 0);
        meter(&mut engine, 140, Code::RATE_LIMITED, 0, 100);
        let events = due(&mut engine, 150);
        let found: Vec<_> = events.iter().map(|(kind, body)| (*kind, body.until_ns)).collect();
        assert_eq!(found, [(event, START + until * SECOND_NS)], "last refusal at {last_refusal}");
    }
}

#[test]
fn what_waits_for_liquidation_is_known_to_b4() {
    let mut engine = engine();
    engine.state.halts.open_market(0, true, None).open_interest = 100;
    engine.halts_pending_liquidation(0, 5);
    assert!(!engine.state.halts.may_reopen(0, id::LIQUIDATION, START, Facts::default()));
    engine.halts_pending_liquidation(0, 4);
    assert!(engine.state.halts.may_reopen(0, id::LIQUIDATION, START, Facts::default()));
}

impl Engine<FastBook> {
    /// What breakers and coverage of the platform say about an action.
    fn check_breakers_of(&self, action: Action) -> Result<(), Reject> {
        self.check_breakers(action, None, &|cell| cell == Cell::Refused)
    }
}
