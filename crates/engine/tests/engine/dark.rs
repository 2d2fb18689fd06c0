//! The dark midpoint cross (protocol P16, row 0F01).

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::ledger::line;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    cancel_reason, DarkAcceptedBody, DarkCancelledBody, DarkCrossedBody, DarkFilledBody, DarkPrintedBody,
    EventKind,
};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{roles, Engine, FastBook};

use crate::outcome::{claim, outcome_request, sets};
use crate::outcome_books::on;
use crate::support::*;

const DOLLAR: i64 = 1_000_000;
const INTERVAL: u32 = 192;
const FIRST_PLACE: u32 = 193;
/// Spot market of unit 10 and 28 bp, whose lit book shows 99.99 and 100.02 here: a midpoint of 100.005.
const SPOT: u32 = 0;
const BID: i64 = 9_999;
const ASK: i64 = 10_002;
/// A thousand units: about $100,000.
const LOTS: i64 = 1_000_000;

fn parameter(parameter: u32, value: i64, config_version: u32) -> Command {
    let payload = SetParameter { parameter, config_version, value };
    by(RISK, Kind::SetParameter).with(&payload)
}

fn dark(owner: Key, market: u32, side: u8, lots: i64, limit: i64) -> PlaceDarkOf {
    PlaceDarkOf { owner, request: PlaceDark { market, side, lots, limit, ..Record::zero() } }
}

/// A request and who sends it.
#[derive(Clone, Copy)]
struct PlaceDarkOf {
    owner: Key,
    request: PlaceDark,
}

impl PlaceDarkOf {
    fn least(mut self, min_lots: i64) -> Self {
        self.request.min_lots = min_lots;
        self
    }

    fn outcome(mut self, outcome: u8) -> Self {
        self.request.outcome = outcome;
        self
    }

    fn oldest(mut self) -> Self {
        self.request.self_trade_prevention = stp::CANCEL_OLDEST;
        self
    }

    fn command(self) -> Command {
        by(self.owner, Kind::PlaceDark).with(&self.request)
    }
}

fn uncover(owner: Key, order: u64) -> Command {
    by(owner, Kind::CancelDark).with(&CancelDark { order })
}

/// Actions proposed together, approved, and carried out when the last time-lock is over.
fn govern_all(world: &mut World, commands: &[(Command, u32)]) {
    let actions: Vec<u64> =
        commands.iter().map(|&(inner, version)| world.accept(propose(inner, version)).value).collect();
    for &action in &actions {
        for approver in APPROVERS {
            world.accept(by(approver, Kind::ApproveAction).with(&OneAction { action }));
        }
    }
    world.wait(7 * DAY);
    for action in actions {
        world.accept(by(OPERATOR, Kind::ExecuteAction).with(&OneAction { action }));
    }
}

/// A world in which the owners have the role and these markets cross.
fn let_cross(world: &mut World, markets: &[u32]) {
    let grant = |owner| {
        let payload = GrantRole {
            principal: owner,
            role: roles::DARK_TRADER,
            expiry_ns: START + 200 * DAY,
            ..Record::zero()
        };
        (by(ADMIN_A, Kind::GrantRole).with(&payload), 0)
    };
    govern_all(world, &[grant(ALICE), grant(BOB), grant(CAROL)]);
    for (place, &market) in markets.iter().enumerate() {
        let version = place as u32;
        let enable = parameter(FIRST_PLACE + version, i64::from(market) + 1, version);
        govern_all(world, &[(enable, version)]);
    }
}

fn show(world: &mut World) {
    world.accept(buy(OPERATOR, SPOT, BID, 1_000));
    world.accept(sell(OPERATOR, SPOT, ASK, 1_000));
}

fn crossing_world() -> World {
    let mut world: World = World::new();
    let_cross(&mut world, &[SPOT]);
    show(&mut world);
    world
}

/// Time passes until the next whole second, with its Ticks.
fn next_cross(world: &mut World) {
    world.advance(SECOND - world.now_ns % SECOND);
    world.tick();
}

fn told<B: Record>(world: &World, kind: EventKind) -> Vec<B> {
    world.events().into_iter().filter(|(other, _)| *other == kind).map(|(_, event)| event.body_as()).collect()
}

fn reopened(world: &World) -> World {
    let engine: Engine<FastBook> = Engine::restore(&world.engine.snapshot()).expect("a sound snapshot");
    assert_eq!(engine.state_hash(), world.engine.state_hash());
    assert_eq!(engine.next_due_ns(), world.engine.next_due_ns());
    let auditor = Auditor::from_engine(&engine).expect("a sound state");
    World { engine, auditor, ..world.clone() }
}

/// The step again, before an auditor to whom its first event of a kind is told otherwise.
fn refuted<T: Record>(world: &World, kind: EventKind, step: impl Fn(&mut World), change: fn(&mut T)) {
    let mut later = world.clone();
    step(&mut later);
    let output = &later.batch.output;
    let mut events = output.events.clone();
    let event = events.iter_mut().find(|event| event.kind == kind as u16).expect("the step writes it");
    let mut body: T = event.body_as();
    change(&mut body);
    event.body[..T::SIZE].copy_from_slice(body.bytes());
    let found =
        world.auditor.clone().check(&later.batch.commands, &later.batch.results, &events, &output.postings);
    assert!(found.is_err(), "{} told otherwise passes", kind.name());
}

#[test]
fn p16_nothing_rests_in_the_dark_until_governance_lets_a_market_cross() {
    let mut world: World = World::new();
    let order = dark(ALICE, SPOT, side::BUY, LOTS, 10_100);
    world.refuse(order.command(), Code::PERMISSION_DENIED);
    world.refuse(parameter(FIRST_PLACE, 1, 0), Code::APPROVALS_MISSING);
    world.refuse(parameter(INTERVAL, 249, 0), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(parameter(INTERVAL, 60_001, 0), Code::PARAMETER_OUT_OF_BOUNDS);
    let_cross(&mut world, &[]);
    show(&mut world);
    let refusal = world.refuse(order.command(), Code::DARK_DISABLED);
    assert_eq!(refusal.given, i64::from(SPOT));
    world.refuse(dark(ALICE, 77, side::BUY, LOTS, 10_100).command(), Code::MARKET_NOT_FOUND);
}

#[test]
fn p16_2_the_midpoint_is_paid_in_halves_of_a_tick_and_both_sides_pay_half_the_takers_fee() {
    let mut world = crossing_world();
    let before = [world.free(ALICE, USDC), world.free(BOB, USDC), world.free(ALICE, BTC)];
    world.accept(dark(ALICE, SPOT, side::BUY, LOTS, 10_100).command());
    let accepted: DarkAcceptedBody = told(&world, EventKind::DarkAccepted)[0];
    // A thousand at 101.00 and 14 bp of it.
    assert_eq!(accepted.reserve, 101_000 * DOLLAR + 141_400_000);
    assert_eq!(world.held(ALICE, USDC), accepted.reserve);
    world.accept(dark(BOB, SPOT, side::SELL, 400_000, 9_900).command());
    world = reopened(&world);
    next_cross(&mut world);
    let cross: DarkCrossedBody = told(&world, EventKind::DarkCrossed)[0];
    assert_eq!((cross.bid, cross.ask, cross.lots, cross.fills), (BID, ASK, 400_000, 1));
    assert_eq!((cross.buy_lots, cross.sell_lots), (LOTS, 400_000));
    let fill: DarkFilledBody = told(&world, EventKind::DarkFilled)[0];
    // 400 at 100.005, and 14 bp of that from both.
    assert_eq!((fill.midpoint, fill.paid, fill.received), (20_001, 40_002 * DOLLAR, 40_002 * DOLLAR));
    assert_eq!((fill.buyer_fee, fill.seller_fee), (56_002_800, 56_002_800));
    assert_eq!(world.free(ALICE, BTC) - before[2], 400 * DOLLAR);
    assert_eq!(world.free(BOB, USDC) - before[1], 40_002 * DOLLAR - 56_002_800);
    // What is left stays secured at its limit, and waits.
    assert_eq!(world.held(ALICE, USDC), 60_600 * DOLLAR + 84_840_000);
    let left: Vec<i64> = world.engine.dark_orders().map(|(_, order)| order.lots).collect();
    assert_eq!(left, [600_000]);
    let all = world.free(ALICE, USDC) + world.held(ALICE, USDC);
    assert_eq!(before[0] - all, 40_002 * DOLLAR + 56_002_800);
    world.auditor.verify().unwrap();
    reopened(&world).auditor.verify().unwrap();
    // Nothing of it is a trade of the lit book, and the print comes a minute later.
    assert!(!world.kinds().contains(&EventKind::Trade));
    world.wait(59 * SECOND);
    assert_eq!(told::<DarkPrintedBody>(&world, EventKind::DarkPrinted).len(), 0);
    let crossed_ns = world.now_ns - 59 * SECOND;
    world = reopened(&world);
    world.wait(SECOND);
    let print: DarkPrintedBody = told(&world, EventKind::DarkPrinted)[0];
    assert_eq!((print.midpoint, print.lots, print.crossed_ns), (20_001, 400_000, crossed_ns));
}

#[test]
fn p16_1_an_odd_micro_is_dust() {
    let mut world: World = World::new();
    // Market 1 has a unit of 1 and no fees; 9,999,999 and 10,000,002 ticks of a micro-unit.
    let_cross(&mut world, &[1]);
    world.accept(buy(OPERATOR, 1, 9_999_999, 1_000));
    world.accept(sell(OPERATOR, 1, 10_000_002, 1_000));
    for (owner, order_side) in [(ALICE, side::BUY), (BOB, side::SELL)] {
        world.accept(dark(owner, 1, order_side, 1_001, 10_000_000 + 1).command());
    }
    let sold = told::<DarkFilledBody>(&world, EventKind::DarkFilled);
    assert!(sold.is_empty());
    next_cross(&mut world);
    assert!(told::<DarkFilledBody>(&world, EventKind::DarkFilled).is_empty(), "the seller asks for more");
    world.accept(dark(BOB, 1, side::SELL, 1_001, 10_000_000).command());
    next_cross(&mut world);
    let fill: DarkFilledBody = told(&world, EventKind::DarkFilled)[0];
    let total = 20_000_001_i64 * 1_001;
    assert_eq!((fill.paid, fill.received), (total / 2 + 1, total / 2));
    assert_eq!(world.engine.system_balance(line::DUST, 0, USDC), 1);
    world.auditor.verify().unwrap();
}

#[test]
fn p16_2_the_long_side_shares_by_size_and_least_fills_are_kept() {
    let mut world = crossing_world();
    let rows = [(ALICE, 200_000, 0), (BOB, 400_000, 250_000), (ALICE, 600_000, 0)];
    for (owner, lots, least) in rows {
        world.accept(dark(owner, SPOT, side::BUY, lots, 10_100).least(least).command());
    }
    world.accept(dark(CAROL, SPOT, side::SELL, 600_000, 9_900).command());
    next_cross(&mut world);
    // Bob's half of 400,000 would be 200,000: he leaves, and the others share 600,000 of 800,000.
    let cross: DarkCrossedBody = told(&world, EventKind::DarkCrossed)[0];
    assert_eq!((cross.rounds, cross.lots, cross.buy_lots), (2, 600_000, 1_200_000));
    let left: Vec<(u64, i64)> = world.engine.dark_orders().map(|(id, order)| (id, order.lots)).collect();
    assert_eq!(left, [(1, 50_000), (2, 400_000), (3, 150_000)]);
    world.auditor.verify().unwrap();
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let mut world = crossing_world();
    let good = dark(ALICE, SPOT, side::BUY, LOTS, 10_100);
    let altered = |change: fn(&mut PlaceDark)| {
        let mut order = good;
        change(&mut order.request);
        order.command()
    };
    world.refuse(altered(|request| request.reserved = 1), Code::RESERVED_NOT_ZERO);
    world.refuse(altered(|request| request.outcome = 1), Code::INVALID_OUTCOME);
    world.refuse(altered(|request| request.side = 2), Code::INVALID_ORDER_TYPE);
    world.refuse(
        altered(|request| request.self_trade_prevention = stp::CANCEL_BOTH),
        Code::INVALID_ORDER_TYPE,
    );
    world.refuse(altered(|request| request.lots = 0), Code::INVALID_SIZE);
    world.refuse(altered(|request| request.min_lots = LOTS + 1), Code::INVALID_SIZE);
    world.refuse(altered(|request| request.limit = 0), Code::INVALID_PRICE);
    let small = world.refuse(altered(|request| request.lots = 99_995 - 1), Code::DARK_SIZE_TOO_SMALL);
    assert_eq!(small.bound, 10_000 * DOLLAR);
    world.refuse(altered(|request| request.lots = 10_000_000), Code::ORDER_TOO_LARGE);
    let rich = dark(ALICE, SPOT, side::BUY, LOTS, i64::from(i32::MAX)).command();
    world.refuse(rich, Code::INSUFFICIENT_BALANCE);
    world.refuse(uncover(ALICE, 1), Code::ORDER_NOT_FOUND);
    let order = world.accept(good.command()).value;
    world.refuse(uncover(BOB, order), Code::WRONG_OWNER);
    world.accept(uncover(ALICE, order));
    assert_eq!(world.held(ALICE, USDC), 0);
    world.auditor.verify().unwrap();
}

#[test]
fn p16_1_without_a_sound_lit_book_nothing_enters_and_nothing_crosses() {
    let mut world = crossing_world();
    world.accept(dark(ALICE, SPOT, side::BUY, LOTS, 10_900).command());
    world.accept(dark(BOB, SPOT, side::SELL, LOTS, 9_000).command());
    world.accept(cancel_all(OPERATOR, SPOT));
    let empty = dark(CAROL, SPOT, side::BUY, LOTS, 10_100).command();
    world.refuse(empty, Code::LIT_REFERENCE_INVALID);
    next_cross(&mut world);
    // A spread of more than 5 % of its middle.
    world.accept(buy(OPERATOR, SPOT, 9_500, 1_000));
    world.accept(sell(OPERATOR, SPOT, 9_988, 1_000));
    world.refuse(empty, Code::LIT_REFERENCE_INVALID);
    next_cross(&mut world);
    assert_eq!(told::<DarkCrossedBody>(&world, EventKind::DarkCrossed), []);
    // A halted market.
    world.accept(cancel_all(OPERATOR, SPOT));
    show(&mut world);
    let pause_id = world.accept(pause(SPOT, 1, world.now_ns + HOUR)).value as u32;
    next_cross(&mut world);
    assert_eq!(told::<DarkCrossedBody>(&world, EventKind::DarkCrossed), []);
    world.refuse(empty, Code::PAUSED);
    world.accept(resume(RESUMER_A, SPOT, pause_id));
    world.accept(resume(RESUMER_B, SPOT, pause_id));
    next_cross(&mut world);
    assert_eq!(told::<DarkCrossedBody>(&world, EventKind::DarkCrossed).len(), 1);
    world.auditor.verify().unwrap();
}

#[test]
fn p3_4_nobody_meets_itself_in_the_dark() {
    let mut world = crossing_world();
    world.accept(dark(ALICE, SPOT, side::BUY, LOTS, 10_100).command());
    let opposite = dark(ALICE, SPOT, side::SELL, LOTS, 9_900);
    world.refuse(opposite.command(), Code::SELF_TRADE_PREVENTED);
    // Where no midpoint admits both there is nothing to prevent.
    world.accept(dark(ALICE, SPOT, side::SELL, LOTS, 10_101).command());
    world.accept(opposite.oldest().command());
    let gone: DarkCancelledBody = told(&world, EventKind::DarkCancelled)[0];
    assert_eq!((gone.reason, gone.lots), (cancel_reason::SELF_TRADE, LOTS));
    next_cross(&mut world);
    assert_eq!(told::<DarkCrossedBody>(&world, EventKind::DarkCrossed), []);
    world.auditor.verify().unwrap();
}

#[test]
fn p2_5_8_the_switch_and_a_cancel_of_everything_take_dark_orders_along() {
    let mut world = crossing_world();
    world.accept(dark(ALICE, SPOT, side::BUY, LOTS, 10_100).command());
    world.accept(dark(BOB, SPOT, side::BUY, LOTS, 10_100).command());
    let armed = SetCancelAllAfter { window_s: 5, reserved: 0 };
    world.accept(by(ALICE, Kind::SetCancelAllAfter).with(&armed));
    world.wait(5 * SECOND);
    let gone: DarkCancelledBody = told(&world, EventKind::DarkCancelled)[0];
    assert_eq!(gone.reason, cancel_reason::SWITCH);
    assert_eq!(world.held(ALICE, USDC), 0);
    world.accept(cancel_all(BOB, ALL_MARKETS));
    assert_eq!(world.engine.dark_orders().count(), 0);
    world.auditor.verify().unwrap();
}

#[test]
fn a_market_that_closes_or_no_longer_crosses_sends_its_dark_orders_away() {
    let mut world = crossing_world();
    world.accept(dark(ALICE, SPOT, side::BUY, LOTS, 10_100).command());
    // Switching off needs no time-lock, only the day since it was switched on.
    world.wait(DAY);
    world.accept(parameter(FIRST_PLACE, 0, 1));
    next_cross(&mut world);
    assert_eq!((world.engine.dark_orders().count(), world.held(ALICE, USDC)), (0, 0));
    let mut world = crossing_world();
    world.accept(dark(ALICE, SPOT, side::BUY, LOTS, 10_100).command());
    world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: SPOT, reserved: 0 }));
    next_cross(&mut world);
    let gone: DarkCancelledBody = told(&world, EventKind::DarkCancelled)[0];
    assert_eq!(gone.reason, cancel_reason::MARKET_CLOSED);
    assert_eq!(world.held(ALICE, USDC), 0);
    world.auditor.verify().unwrap();
}

/// An outcome market of so many outcomes that crosses, with claims for bob and a lit book of 0.498 and 0.501.
fn claims_world(outcome_count: u8) -> (World, u32) {
    let mut world: World = World::new();
    let settle_time_ns = START + 90 * DAY;
    let request = CreateMarket { settle_time_ns, ..outcome_request(9, outcome_count) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    let_cross(&mut world, &[market]);
    for owner in [BOB, OPERATOR] {
        world.accept(sets(owner, Kind::MintSet, market, 100_000_000));
    }
    let outcome = outcome_count - 2;
    for (order_side, price) in [(side::BUY, 498), (side::SELL, 501)] {
        world.accept(place(OPERATOR, on(market, outcome, order_side, price, 1_000)));
    }
    (world, market)
}

#[test]
fn p16_claims_of_binary_and_categorical_markets_cross_too() {
    for outcome_count in [2, 3] {
        let (mut world, market) = claims_world(outcome_count);
        let outcome = outcome_count - 2;
        let lots = 40_000_000;
        let order = |owner, order_side, limit| dark(owner, market, order_side, lots, limit).outcome(outcome);
        world.refuse(order(CAROL, side::SELL, 400).command(), Code::INSUFFICIENT_SHARES);
        world.refuse(
            dark(CAROL, market, side::BUY, lots, 600)
                .outcome(outcome_count.max(3) - 2 + outcome_count - 1)
                .command(),
            Code::INVALID_OUTCOME,
        );
        world.accept(order(ALICE, side::BUY, 520).command());
        world.accept(order(BOB, side::SELL, 480).command());
        assert_eq!(claim(&world, BOB, market, outcome), (60_000_000_000, 40_000_000_000));
        world = reopened(&world);
        next_cross(&mut world);
        let fill: DarkFilledBody = told(&world, EventKind::DarkFilled)[0];
        // 40,000 contracts at 0.4995, and 14 bp of the cheaper side.
        assert_eq!((fill.midpoint, fill.paid), (999, 19_980 * DOLLAR));
        assert_eq!((fill.buyer_fee, fill.seller_fee), (27_972_000, 27_972_000));
        assert_eq!(claim(&world, ALICE, market, outcome), (40_000_000_000, 0));
        assert_eq!(claim(&world, BOB, market, outcome), (60_000_000_000, 0));
        assert_eq!(world.held(ALICE, USDC), 0);
        world.auditor.verify().unwrap();
        reopened(&world).auditor.verify().unwrap();
    }
}

#[test]
fn before_the_settlement_dark_orders_on_claims_go_home() {
    let (mut world, market) = claims_world(2);
    world.accept(dark(BOB, market, side::SELL, 40_000_000, 480).command());
    let last_ns = START + 90 * DAY - 60 * SECOND;
    world.wait(last_ns - world.now_ns);
    assert_eq!(claim(&world, BOB, market, 0), (100_000_000_000, 0));
    assert_eq!(world.engine.dark_orders().count(), 0);
    world.refuse(dark(BOB, market, side::SELL, 40_000_000, 480).command(), Code::IN_RESOLUTION_BUFFER);
    world.auditor.verify().unwrap();
}

#[test]
fn an_auditor_finds_a_cross_that_is_told_otherwise() {
    let mut world = crossing_world();
    let enter = |world: &mut World| _ = world.accept(dark(ALICE, SPOT, side::BUY, LOTS, 10_100).command());
    let accepted = EventKind::DarkAccepted;
    refuted::<DarkAcceptedBody>(&world, accepted, enter, |body| body.reserve -= 1);
    refuted::<DarkAcceptedBody>(&world, accepted, enter, |body| body.lots += 1);
    refuted::<DarkAcceptedBody>(&world, accepted, enter, |body| body.cap_e8 += 1);
    enter(&mut world);
    world.accept(dark(BOB, SPOT, side::SELL, 400_000, 9_900).command());
    let crossed = EventKind::DarkCrossed;
    refuted::<DarkCrossedBody>(&world, crossed, next_cross, |body| body.bid += 1);
    refuted::<DarkCrossedBody>(&world, crossed, next_cross, |body| body.lots -= 1);
    refuted::<DarkCrossedBody>(&world, crossed, next_cross, |body| body.fills += 1);
    refuted::<DarkCrossedBody>(&world, crossed, next_cross, |body| body.sell_lots += 1);
    let filled = EventKind::DarkFilled;
    refuted::<DarkFilledBody>(&world, filled, next_cross, |body| body.midpoint += 1);
    refuted::<DarkFilledBody>(&world, filled, next_cross, |body| body.lots -= 1);
    refuted::<DarkFilledBody>(&world, filled, next_cross, |body| body.paid += 1);
    refuted::<DarkFilledBody>(&world, filled, next_cross, |body| body.seller_fee -= 1);
    next_cross(&mut world);
    let leave = |world: &mut World| _ = world.accept(uncover(ALICE, 1));
    refuted::<DarkCancelledBody>(&world, EventKind::DarkCancelled, leave, |body| body.released -= 1);
    world.wait(59 * SECOND);
    let print = |world: &mut World| world.wait(SECOND);
    refuted::<DarkPrintedBody>(&world, EventKind::DarkPrinted, print, |body| body.lots += 1);
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Place(usize, u8, i64, i64, i64),
    Cancel(usize, u64),
    Lit(i64),
    Wait(i64),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..3_usize, 0..2_u8, 100_000..3_000_000_i64, 9_900..10_100_i64, 0..1_000_000_i64)
            .prop_map(|(who, order_side, lots, limit, least)| Deed::Place(who, order_side, lots, limit, least)),
        1 => (0..3_usize, 1..30_u64).prop_map(|(who, order)| Deed::Cancel(who, order)),
        1 => (9_950..10_050_i64).prop_map(Deed::Lit),
        2 => (1..3_000_i64).prop_map(Deed::Wait),
    ]
}

proptest! {
    #![proptest_config(config(24))]
    /// Every batch passes the auditor, which computes each cross again; money and base are conserved.
    #[test]
    fn whatever_is_placed_in_the_dark_is_conserved_and_crosses_as_p16_says(
        deeds in prop::collection::vec(any_deed(), 1..60),
    ) {
        let mut world = crossing_world();
        let owners = [ALICE, BOB, CAROL];
        for deed in deeds {
            match deed {
                Deed::Place(who, order_side, lots, limit, least) => {
                    let order = dark(owners[who], SPOT, order_side, lots, limit).least(least.min(lots));
                    world.send(order.command());
                }
                Deed::Cancel(who, order) => _ = world.send(uncover(owners[who], order)),
                Deed::Lit(middle) => {
                    world.accept(cancel_all(OPERATOR, SPOT));
                    world.accept(buy(OPERATOR, SPOT, middle - 1, 1_000));
                    world.accept(sell(OPERATOR, SPOT, middle + 2, 1_000));
                }
                Deed::Wait(millis) => world.wait(millis * 1_000_000),
            }
        }
        world = reopened(&world);
        for owner in owners {
            world.accept(cancel_all(owner, ALL_MARKETS));
            prop_assert_eq!((world.held(owner, USDC), world.held(owner, BTC)), (0, 0));
        }
        let base: i64 = owners.iter().map(|&owner| world.free(owner, BTC)).sum();
        prop_assert_eq!(base, 3 * FUNDS);
        world.auditor.verify().unwrap();
    }
}
