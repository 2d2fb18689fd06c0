//! Leveraged shorts of one outcome of many: they hold all the others (P4.6.1).

use proptest::prelude::*;
use tradewind_engine::outcome::loans::SHORT;
use tradewind_engine::outcome::Loan;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    EventKind, LoanBody, LoanBridgedBody, LoanLiquidatedBody, LoanMovedBody,
};
use tradewind_engine::wire::record::Record;
use tradewind_engine::wire::Code;
use tradewind_engine::{id, ledger::line};

use crate::loan_marks::quote;
use crate::loans::*;
use crate::loans_audit::{drop_result, told_otherwise, Change};
use crate::outcome_books::on;
use crate::resolution::{finalise, proposal};
use crate::support::*;

/// Bids and asks around 0.495, 0.2525 and 0.2525 for one thousand contracts each.
const PRICES: [(i64, i64); 3] = [(490, 500), (250, 255), (250, 255)];

fn short(market: u32, outcome: u8, lots: i64, max_price: i64, leverage_e2: u32) -> OpenLeveraged {
    OpenLeveraged { outcome, side: 1, ..long(market, lots, max_price, leverage_e2) }
}

fn close_short(owner: Key, market: u32, outcome: u8, lots: i64, limit: i64) -> Command {
    let request = CloseLeveraged { market, outcome, side: 1, lots, limit, ..CloseLeveraged::zero() };
    by(owner, Kind::CloseLeveraged).with(&request)
}

fn shorted(world: &World, owner: Key, market: u32, outcome: u8) -> Option<Loan> {
    loan(world, owner, market, outcome | SHORT)
}

fn told<T: Record>(world: &World, kind: EventKind) -> Vec<T> {
    world.events().iter().filter(|event| event.0 == kind).map(|event| event.1.body_as()).collect()
}

fn vault(world: &World) -> (i64, i64) {
    let at = |line| world.engine.system_balance(line, 0, USDC);
    (at(line::VAULT_CASH), at(line::VAULT_LOANS))
}

fn three() -> (World, u32) {
    let mut world = lending_world();
    let market = lent_market(&mut world, 3);
    quote(&mut world, market, PRICES);
    (world, market)
}

#[test]
fn p4_6_1_a_short_of_three_outcomes_holds_the_other_two_and_owes_what_they_cost() {
    let (mut world, market) = three();
    let free = world.free(ALICE, USDC);
    // The others for 0.51: outcome 0 is sold at 0.49 or better.
    let pledge = world.accept(open(ALICE, short(market, 0, LOTS, 510, 300))).value as u8;
    let body: LoanBody = told(&world, EventKind::LoanOpened)[0];
    assert_eq!((body.outcome, body.short, body.loan, body.margin), (0, 1, 340 * DOLLAR, 170 * DOLLAR));
    // The mark of the others is the payout less that of the outcome.
    let marks = world.engine.outcome_marks(market).expect("marks").lines.clone();
    assert_eq!(body.mark, 1_000 - marks[0].mark);
    assert_eq!(body.mark, marks[1].mark + marks[2].mark);
    let bridge: LoanBridgedBody = told(&world, EventKind::LoanBridged)[0];
    assert_eq!((bridge.amount, bridge.debt, bridge.opens), (490 * DOLLAR, 830 * DOLLAR, 1));
    let found = shorted(&world, ALICE, market, 0).expect("a position");
    assert_eq!((found.debt, found.shares), (340 * DOLLAR, 1_000 * DOLLAR));
    assert_eq!(world.free(ALICE, USDC), free - 170 * DOLLAR);
    assert_eq!(vault(&world), (LENT_FROM - 340 * DOLLAR, 340 * DOLLAR));
    let alice = id::account_id(&ALICE);
    let claims = [0, 1, 2].map(|outcome| world.engine.claim(&alice, pledge, market, outcome).unwrap());
    assert_eq!(claims, [(0, 0), (1_000 * DOLLAR, 0), (1_000 * DOLLAR, 0)]);
    assert_eq!(world.engine.worst_cases().part(market).worst_case, 340 * DOLLAR);
    world.auditor.verify().unwrap();
    restored(&mut world);
    // It ends by buying the outcome back at 0.50: the others bring 0.50.
    world.refuse(close_short(ALICE, market, 0, 0, 501), Code::SLIPPAGE_EXCEEDED);
    world.refuse(close_short(ALICE, market, 1, 0, 500), Code::POSITION_NOT_FOUND);
    world.accept(close_short(ALICE, market, 0, LOTS / 4, 500));
    let bridge: LoanBridgedBody = told(&world, EventKind::LoanBridged)[0];
    assert_eq!((bridge.amount, bridge.opens), (125 * DOLLAR, 0));
    let left = shorted(&world, ALICE, market, 0).expect("three quarters");
    assert_eq!((left.debt, left.shares), (215 * DOLLAR, 750 * DOLLAR));
    world.accept(close_short(ALICE, market, 0, 0, 500));
    assert_eq!((shorted(&world, ALICE, market, 0), vault(&world)), (None, (LENT_FROM, 0)));
    assert_eq!(world.free(ALICE, USDC), free - 10 * DOLLAR);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn row_0402_a_short_is_refused_for_what_a_long_is_and_when_the_vault_cannot_bridge_it() {
    let (mut world, market) = three();
    world.refuse(open(ALICE, short(market, 3, LOTS, 510, 300)), Code::INVALID_OUTCOME);
    let slipped = world.refuse(open(ALICE, short(market, 0, LOTS, 509, 300)), Code::SLIPPAGE_EXCEEDED);
    assert_eq!((slipped.bound, slipped.given), (0, LOTS));
    world.refuse(open(ALICE, short(market, 0, 2 * LOTS, 510, 300)), Code::SLIPPAGE_EXCEEDED);
    world.refuse(open(ALICE, short(market, 0, LOTS, 510, 2_501)), Code::LEVERAGE_TOO_HIGH);
    world.refuse(open(ALICE, short(market, 0, 40 * LOTS, 510, 300)), Code::EXPOSURE_LIMIT);
    world.refuse(open(ALICE, short(market, 0, LOTS, 510, 1_000)), Code::INSUFFICIENT_MARGIN);
    // Only 2 % of a set are borrowed, but all of it is needed for a moment.
    quote(&mut world, market, [(966, 970), (14, 18), (14, 18)]);
    world.accept(place(BOB, on(market, 0, side::BUY, 967, 110 * LOTS)));
    world.accept(place(CAROL, on(market, 0, side::BUY, 967, 110 * LOTS)));
    let bridge =
        world.refuse(open(ALICE, short(market, 0, 210 * LOTS, 34, 200)), Code::INSUFFICIENT_LIQUIDITY);
    let lent = 210 * LOTS * 34 / 2;
    assert_eq!((bridge.bound, bridge.given), (LENT_FROM - lent, 210 * LOTS * 966));
    world.auditor.verify().unwrap();
}

#[test]
fn p2_1_4_a_short_over_many_makers_is_bridged_until_the_next_tick_shares_it_out() {
    let (mut world, market) = three();
    quote(&mut world, market, [(480, 500), PRICES[1], PRICES[2]]);
    for _ in 0..20 {
        world.accept(place(CAROL, on(market, 0, side::BUY, 490, LOTS / 20)));
    }
    world.accept(open(ALICE, short(market, 0, LOTS, 510, 300)));
    assert_eq!(shorted(&world, ALICE, market, 0).unwrap().shares, 0, "not shared out yet");
    restored(&mut world);
    world.tick();
    let found = shorted(&world, ALICE, market, 0).expect("a position");
    assert_eq!((found.debt, found.shares), (340 * DOLLAR, 1_000 * DOLLAR));
    world.auditor.verify().unwrap();
}

#[test]
fn p5_5_a_short_whose_outcome_rises_buys_so_much_back_that_the_rest_is_healthy() {
    let (mut world, market) = three();
    world.accept(open(ALICE, short(market, 0, LOTS, 510, 500)));
    let vault_before = vault(&world);
    // $408 owed for 1,000: at 0.425 for the others the maintenance of 5 % is not met.
    quote(&mut world, market, [(574, 576), (211, 214), (211, 214)]);
    let mut sold: Vec<LoanLiquidatedBody> = Vec::new();
    for _ in 0..8 {
        seconds(&mut world, 1);
        sold.extend(told::<LoanLiquidatedBody>(&world, EventKind::LoanLiquidated));
    }
    assert!(!sold.is_empty() && sold[0].limit >= 408, "{sold:?}");
    let found = shorted(&world, ALICE, market, 0).expect("a part is left");
    assert!(found.shares < 1_000 * DOLLAR && found.shares > 0, "{found:?}");
    let (valued, _) = world.engine.loan_health((0, PLEDGE)).expect("it has a mark");
    assert!(valued.is_healthy(), "{valued:?}");
    let (cash, lent) = vault(&world);
    assert_eq!((cash + lent, lent), (vault_before.0 + vault_before.1, found.debt));
    world.auditor.verify().unwrap();
    restored(&mut world);
}

fn resolve(world: &mut World, market: u32, settle_ns: i64, outcome: u8) {
    world.wait(settle_ns - world.now_ns);
    world.accept(proposal(CAROL, market, outcome));
    world.wait(2 * HOUR + SECOND);
    world.accept(finalise(market));
    seconds(world, 3);
}

#[test]
fn p15_7_a_short_is_paid_when_another_outcome_wins_and_loses_no_more_than_its_margin_when_its_own_does() {
    for winner in [0, 2] {
        let (mut world, market) = three();
        let (settle_ns, free) = (START + 30 * DAY + 122 * SECOND, world.free(ALICE, USDC));
        world.accept(open(ALICE, short(market, 0, LOTS, 510, 200)));
        // Nobody sells the outcome: the debt waits for the payout.
        world.accept(cancel_all(BOB, market));
        world.accept(cancel_all(CAROL, market));
        resolve(&mut world, market, settle_ns, winner);
        assert_eq!(shorted(&world, ALICE, market, 0), None);
        let paid = world.free(ALICE, USDC) - free + 255 * DOLLAR;
        let expected = if winner == 0 { 0..=0 } else { 743 * DOLLAR..=745 * DOLLAR };
        assert!(expected.contains(&paid), "{paid} when {winner} wins");
        assert_eq!(vault(&world).1, 0);
        world.auditor.verify().unwrap();
        restored(&mut world);
    }
}

#[test]
fn i24_the_auditor_computes_a_bridge_and_what_pays_it_back_again() {
    let (mut world, market) = three();
    let opening =
        |world: &mut World| drop_result(world.accept(open(ALICE, short(market, 0, LOTS, 510, 300))));
    let mut twin = world.clone();
    let mut third = world.clone();
    let changes: &[Change<LoanBridgedBody>] = &[
        ("amount", |body| body.amount += 1),
        ("debt", |body| body.debt -= 1),
        ("price", |body| body.price += 1),
        ("lots", |body| body.lots += 1),
        ("outcome", |body| body.outcome = 1),
        ("purpose", |body| body.opens ^= 1),
        ("sub-account", |body| body.owner_sub = 1),
    ];
    told_otherwise(&mut world, EventKind::LoanBridged, opening, changes);
    let closing = |world: &mut World| drop_result(world.accept(close_short(ALICE, market, 0, 0, 500)));
    told_otherwise(&mut world, EventKind::LoanBridged, closing, changes);
    let changes: &[Change<LoanBody>] = &[("side", |body| body.short = 0), ("mark", |body| body.mark = 495)];
    told_otherwise(&mut twin, EventKind::LoanOpened, opening, changes);
    let changes: &[Change<LoanMovedBody>] =
        &[("shares", |body| body.shares += 1), ("repaid", |body| body.repaid -= 1)];
    told_otherwise(&mut third, EventKind::LoanMoved, opening, changes);
}

/// Who, what, how much, at which price, and how many seconds after the step before.
type Deal = (u8, u8, i64, i64, i64);

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn any_history_of_shorts_keeps_every_invariant_and_is_restored_alike(
        deals in proptest::collection::vec((0..4_u8, 0..60_u8, 1..800_i64, -60..60_i64, 0..90_i64), 40..120),
        winner in 0..3_u8,
    ) {
        let deals: Vec<Deal> = deals;
        let (mut world, market) = three();
        let settle_ns = START + 30 * DAY + 122 * SECOND;
        let middle = [495, 252, 252];
        for (place_in, &(who, what, lots, away, pause_s)) in deals.iter().enumerate() {
            world.advance(pause_s * SECOND);
            let owner = OWNERS[usize::from(who) % 3];
            let (outcome, lots) = (what % 3, lots * 1_000);
            let price = (middle[usize::from(outcome)] + away).clamp(1, 999);
            let leverage_e2 = 100 + (lots as u32 / 100 * 7) % 700;
            let max_price = (1_000 - price).max(1);
            let command = match what / 3 {
                0..=4 => open(owner, short(market, outcome, lots, max_price, leverage_e2)),
                5 | 6 => open(owner, OpenLeveraged { outcome, ..long(market, lots, price, leverage_e2) }),
                7 | 8 => close_short(owner, market, outcome, lots % 3_000, 0),
                9 => by(owner, Kind::RepayLoan).with(&RepayLoan {
                    market, outcome, side: 1, amount: lots, ..RepayLoan::zero()
                }),
                10..=13 => place(owner, on(market, outcome, side::BUY, price, lots * 3)),
                14..=17 => place(owner, on(market, outcome, side::SELL, price, lots * 3)),
                _ => { world.tick(); continue; }
            };
            world.send(command);
            if place_in == deals.len() / 2 {
                restored(&mut world);
            }
        }
        world.auditor.verify().unwrap();
        world.wait((settle_ns - 12 * HOUR - world.now_ns).max(0));
        seconds(&mut world, 3);
        resolve(&mut world, market, settle_ns, winner);
        seconds(&mut world, 300);
        prop_assert_eq!((world.engine.loans().count(), vault(&world).1), (0, 0));
        world.auditor.verify().unwrap();
        restored(&mut world);
    }
}
