//! The auditor of losses: each stage behind the book goes red on a falsified batch (P5.6–P5.8, I10).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;

use crate::arena::*;
use crate::audit::Recording;
use crate::support::*;
use crate::waterfall::{fund_insurance, long_against_two};

fn recorded(arena: &mut Arena, command: Command) -> Recording {
    let before = arena.auditor.clone();
    arena.accept(command);
    Recording::of_batch(before, &arena.batch)
}

/// Trader 0 is bankrupt by $10 and nothing is insured: traders 1 and 2 give way.
fn deleveraged() -> Recording {
    let mut arena = long_against_two(120);
    arena.price(PERP, 97.0);
    recorded(&mut arena, liquidate(SYSTEM, 0, PERP))
}

/// The same with insurance, which takes the position.
fn insured(dollars: i64) -> Recording {
    let mut arena = long_against_two(120);
    fund_insurance(&mut arena, dollars);
    arena.price(PERP, 97.0);
    recorded(&mut arena, liquidate(SYSTEM, 0, PERP))
}

/// Trader 4's liquidation has filled the pool of fees, which now pays a part of trader 0's loss.
fn covered_by_fees() -> Recording {
    let mut arena = long_against_two(120);
    fund_insurance(&mut arena, 10_000);
    arena.deposit(4, USDC, 45_500_000);
    arena.accept(buy(trader(3), OTHER, 9_500, 50_000));
    arena.trade(4, 3, OTHER, 10_000, 4_000);
    arena.price(OTHER, 92.9);
    arena.seconds(3);
    arena.price(PERP, 97.0);
    recorded(&mut arena, liquidate(SYSTEM, 0, PERP))
}

/// Trader 0 holds coins, which insurance buys before it pays anything.
fn seized() -> Recording {
    let mut arena = long_against_two(120);
    let update = UpdateAsset {
        asset: BTC,
        initial_asset_bp: 8_000,
        maintenance_asset_bp: 9_000,
        initial_liability_bp: 12_000,
        maintenance_liability_bp: 11_000,
        feed: 0,
        ..tradewind_engine::wire::Record::zero()
    };
    arena.accept(by(RISK, Kind::UpdateAsset).with(&update));
    fund_insurance(&mut arena, 10_000);
    arena.deposit(0, BTC, 100_000);
    arena.price(PERP, 97.0);
    recorded(&mut arena, liquidate(SYSTEM, 0, PERP))
}

/// The fund holds a position that has become worth something: the surplus returns to insurance.
fn fund_settled() -> Recording {
    let mut arena = long_against_two(120);
    fund_insurance(&mut arena, 10_000);
    arena.price(PERP, 97.0);
    arena.accept(liquidate(SYSTEM, 0, PERP));
    arena.price(PERP, 99.0);
    for _ in 0..200 {
        let before = arena.auditor.clone();
        arena.now_ns += SECOND / 10;
        arena.tick();
        if arena.kinds().contains(&EventKind::FundSettled) {
            return Recording::of_batch(before, &arena.batch);
        }
    }
    panic!("the fund never settles");
}

/// The step in the book of the golden case: fee, reward and health are shown.
fn stepped() -> Recording {
    let mut arena: Arena = Arena::new(4);
    arena.price(PERP, 110.0);
    arena.deposit(0, USDC, 145 * DOLLAR);
    arena.deposit(1, USDC, 100_000 * DOLLAR);
    arena.deposit(2, USDC, 100_000 * DOLLAR);
    arena.trade(0, 1, PERP, 11_000, 10_000);
    arena.accept(buy(trader(2), PERP, 10_000, 50_000));
    arena.price(PERP, 100.0);
    recorded(&mut arena, liquidate(SYSTEM, 0, PERP))
}

#[test]
fn i10_a_step_sells_what_its_fills_sold_for_a_bounded_fee_and_shows_what_it_left() {
    type Start = LiquidationStartBody;
    type Step = LiquidationStepBody;
    let kind = EventKind::LiquidationStarted;
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Start| body.equity += 1));
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Start| body.maintenance_margin -= 1));
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Start| body.lots = 10_001));
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Start| body.limit = 0));
    let kind = EventKind::LiquidationStepped;
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Step| body.filled_lots += 1));
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Step| body.unfilled_lots += 1));
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Step| body.notional -= 1));
    stepped().breaks("I11", |r| r.edit(kind, |body: &mut Step| body.fee += 1));
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Step| body.equity += 1));
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut Step| body.maintenance_margin += 1));
    // The fee that insurance misses stays nowhere.
    stepped().breaks("I11", |r| r.posting(0x86, USDC).line = 0x88);
    let kind = EventKind::LiquidationEnded;
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut LiquidationEndBody| body.equity += 1));
    stepped().breaks("I10", |r| r.edit(kind, |body: &mut LiquidationEndBody| body.reason = 3));
}

#[test]
fn i10_who_gives_way_does_so_at_the_bankruptcy_price_in_the_order_of_the_ranks() {
    let kind = EventKind::AdlExecuted;
    type Adl = AdlBody;
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.lots += 1));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.lots *= -1));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.value -= 1));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.price += 1));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.rank = 2));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.score_ppm += 1));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.realised += 1));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.bankrupt_realised -= 1));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.unrealised += 1));
    deleveraged().breaks("I10", |r| r.edit(kind, |body: &mut Adl| body.bankrupt_account = 3));
    // One who stands on the same side as the bankrupt, or has nothing, cannot give way.
    deleveraged().breaks("I10", |r| {
        let place = r.events.iter().position(|event| event.kind == kind as u16).expect("an event");
        r.events[place].account = 3;
    });
    // Trader 2 goes first.
    deleveraged().breaks("I10", |r| {
        let places: Vec<usize> =
            (0..r.events.len()).filter(|&place| r.events[place].kind == kind as u16).collect();
        let (first, second) = (r.events[places[0]].account, r.events[places[1]].account);
        (r.events[places[0]].account, r.events[places[1]].account) = (second, first);
    });
    deleveraged().breaks("I10", |r| {
        // A micro of the loss is the other trader's.
        r.postings.iter_mut().filter(|posting| posting.owner == 1 && posting.line == 0).for_each(|posting| {
            posting.owner = 2;
        });
    });
}

#[test]
fn i10_a_healthy_sub_account_is_not_taken_over() {
    let mut arena = long_against_two(400);
    arena.price(PERP, 97.0);
    let mut bankrupt = long_against_two(120);
    bankrupt.price(PERP, 97.0);
    // What its liquidation offers passively would be unknown in the other world.
    arena.accept(cancel_all(trader(0), PERP));
    bankrupt.accept(cancel_all(trader(0), PERP));
    // Looks and liquidations took further commands.
    while arena.auditor.seq() < bankrupt.auditor.seq() {
        arena.accept(cancel_all(trader(0), PERP));
    }
    let healthy = arena.auditor.clone();
    assert_eq!((arena.now_ns, healthy.seq()), (bankrupt.now_ns, bankrupt.auditor.seq()));
    for insurance in [false, true] {
        let (mut arena, mut bankrupt) = (arena.clone(), bankrupt.clone());
        if insurance {
            fund_insurance(&mut arena, 10_000);
            fund_insurance(&mut bankrupt, 10_000);
        }
        let recording = recorded(&mut bankrupt, liquidate(SYSTEM, 0, PERP));
        let Recording { commands, results, events, postings, .. } = recording;
        let checked = arena.auditor.clone().check(&commands, &results, &events, &postings);
        let violation = checked.expect_err("trader 0 of the other world is healthy");
        assert_eq!(violation.invariant, "I10", "{violation}");
    }
}

#[test]
fn i10_insurance_takes_positions_at_their_value_lends_the_loss_and_keeps_a_micro() {
    let kind = EventKind::BackstopTaken;
    type Backstop = BackstopBody;
    insured(10_000).breaks("I10", |r| r.edit(kind, |body: &mut Backstop| body.lots += 1));
    insured(10_000).breaks("I10", |r| r.edit(kind, |body: &mut Backstop| body.value += 1));
    insured(10_000).breaks("I10", |r| r.edit(kind, |body: &mut Backstop| body.mark += 1));
    insured(10_000).breaks("I10", |r| r.edit(kind, |body: &mut Backstop| body.realised += 1));
    insured(10_000).breaks("I10", |r| r.edit(kind, |body: &mut Backstop| body.draw -= 1));
    insured(10_000).breaks("I10", |r| r.edit(kind, |body: &mut Backstop| body.insurance_left += 1));
    insured(10_000).breaks("I10", |r| r.edit(kind, |body: &mut Backstop| body.fund = 3));
    insured(10_000).breaks("I10", |r| r.edit(kind, |body: &mut Backstop| body.notional += 1));
    // Insurance lends a dollar more than the loss, and posts it.
    insured(10_000).breaks("I10", |r| {
        let fund = r.of_kind(kind).body_as::<Backstop>().fund;
        r.edit(kind, |body: &mut Backstop| {
            body.draw += DOLLAR;
            body.insurance_left -= DOLLAR;
        });
        r.posting(0x85, USDC).amount -= DOLLAR;
        let free = r.postings.iter_mut().find(|posting| (posting.owner, posting.line) == (fund, 0));
        free.expect("the fund receives").amount += DOLLAR;
    });
    // The fund shows nothing of what it took.
    insured(10_000).breaks("I26", |r| {
        let place = r.events.iter().rposition(|event| event.kind == EventKind::PositionChanged as u16);
        r.events.remove(place.expect("two positions are shown"));
        r.results[0].event_count -= 1;
        r.events.iter_mut().enumerate().for_each(|(index, event)| event.index = index as u16);
    });
}

#[test]
fn i10_stages_of_a_loss_pay_in_their_order_what_they_hold() {
    let kind = EventKind::LossCovered;
    type Covered = LossCoveredBody;
    let fees = covered_by_fees;
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.stage = loss_stage::INSURANCE));
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.stage = loss_stage::SOCIALISED));
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.stage = loss_stage::OWED));
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.stage = loss_stage::ADL));
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.covered += 1));
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.amount += 1));
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.asset = BTC));
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.source_left += 1));
    fees().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.deficit_left = -1));
    // Insurance pays while the pool of fees still holds something.
    fees().breaks("I10", |r| {
        let insurance_left = r.insurance_before();
        r.edit(kind, |body: &mut Covered| {
            body.stage = loss_stage::INSURANCE;
            body.source_left = insurance_left - body.covered;
        });
        r.posting(0x86, USDC).line = 0x85;
    });
    seized().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.amount -= 1));
    seized().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.covered += 1));
    seized().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.source_left -= 1));
    seized().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.deficit_left += 1));
    seized().breaks("I10", |r| r.edit(kind, |body: &mut Covered| body.asset = USDC));
    // Coins are taken for more than they are worth.
    seized().breaks("I10", |r| {
        r.edit(kind, |body: &mut Covered| body.amount /= 2);
        r.postings.iter_mut().filter(|posting| posting.asset == BTC).for_each(|posting| posting.amount /= 2);
    });
}

impl Recording {
    /// What insurance held before the batch.
    fn insurance_before(&self) -> i64 {
        self.before.line(0, 0, USDC, 0x85)
    }
}

#[test]
fn i10_the_fund_settles_with_insurance_what_it_is_worth() {
    let kind = EventKind::FundSettled;
    let settled = fund_settled;
    settled().breaks("I10", |r| r.edit(kind, |body: &mut FundBody| body.amount -= 1));
    settled().breaks("I10", |r| r.edit(kind, |body: &mut FundBody| body.insurance_left += 1));
    settled().breaks("I10", |r| r.edit(kind, |body: &mut FundBody| body.equity += 1));
    settled().breaks("I10", |r| r.edit(kind, |body: &mut FundBody| body.fund = 0));
    settled().breaks("I10", |r| {
        let place = r.events.iter().position(|event| event.kind == kind as u16).expect("an event");
        r.events[place].account = 0;
    });
}
