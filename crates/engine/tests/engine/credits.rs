//! Verse credits: legs that net inside one condition and add up between conditions (P15.10, row 0E03).

use tradewind_engine::outcome::credits::FIRST_CREDIT;
use tradewind_engine::verse::{slug, NONE};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{credit_cause, CreditBody, CreditMoneyBody, EventKind};
use tradewind_engine::wire::record::Record;
use tradewind_engine::wire::Code;
use tradewind_engine::{id, ledger::line};

use crate::loans::restored;
use crate::outcome::{claim, outcome_request, sets};
use crate::outcome_books::on;
use crate::resolution::{finalise, proposal};
use crate::support::*;

pub const DOLLAR: i64 = 1_000_000;
pub const LONG: u8 = 0;
pub const SHORT: u8 = 1;
/// Ten contracts.
pub const LOTS: i64 = 10_000;

/// Market, outcome, side, price, lots.
pub type Wanted = (u32, u8, u8, u32, i64);

pub fn create_verse(world: &mut World, name: &str, parent: u32) -> u32 {
    let slug = slug(name).expect("a short name");
    let request = CreateVerse { parent, reserved: 0, slug };
    world.accept(by(OPERATOR, Kind::CreateVerse).with(&request)).value as u32
}

/// A market of the verse in which BOB bids and asks around these prices of every outcome, 0.01 to each side.
pub fn quoted(world: &mut World, verse: u32, middles: &[i64], taker_fee_e6bp: u32) -> u32 {
    quoted_until(world, verse, middles, (taker_fee_e6bp, 30 * DAY))
}

/// As [`quoted`], with the time until settlement.
pub fn quoted_until(
    world: &mut World,
    verse: u32,
    middles: &[i64],
    (taker_fee_e6bp, lasts_ns): (u32, i64),
) -> u32 {
    let nonce = 700 + world.engine.sizes().1 as u64;
    let request = CreateMarket {
        taker_fee_e6bp,
        settle_time_ns: world.now_ns + lasts_ns,
        ..outcome_request(nonce, middles.len() as u8)
    };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    if verse != NONE {
        world.accept(by(OPERATOR, Kind::LinkMarket).with(&LinkMarket { market, verse }));
    }
    world.accept(sets(BOB, Kind::MintSet, market, 100 * LOTS));
    // Of two outcomes one book shows both.
    let books = if middles.len() == 2 { 1 } else { middles.len() };
    for (outcome, &middle) in middles.iter().enumerate().take(books) {
        world.accept(place(BOB, on(market, outcome as u8, side::BUY, middle - 10, 50 * LOTS)));
        world.accept(place(BOB, on(market, outcome as u8, side::SELL, middle + 10, 50 * LOTS)));
    }
    market
}

/// A verse, and a market of three outcomes in it with bids at 0.30, 0.40 and 0.26.
pub fn three() -> (World, u32, u32) {
    let mut world: World = World::new();
    let verse = create_verse(&mut world, "election", NONE);
    let market = quoted(&mut world, verse, &[310, 410, 270], 0);
    (world, verse, market)
}

pub fn money(kind: Kind, verse: u32, amount: i64) -> Command {
    by(ALICE, kind).with(&CreditMoney { verse, asset: USDC, reserved: 0, amount })
}

pub fn deposit_credit(verse: u32, amount: i64) -> Command {
    money(Kind::DepositCredit, verse, amount)
}

pub fn legs(verse: u32, wanted: &[Wanted]) -> CreditLegs {
    let at = |at: usize| wanted.get(at).copied().unwrap_or_default();
    let [first, second, third] = [at(0), at(1), at(2)];
    CreditLegs {
        verse,
        count: wanted.len() as u8,
        market_1: first.0,
        market_2: second.0,
        market_3: third.0,
        outcome_1: first.1,
        outcome_2: second.1,
        outcome_3: third.1,
        side_1: first.2,
        side_2: second.2,
        side_3: third.2,
        price_1: first.3,
        price_2: second.3,
        price_3: third.3,
        lots_1: first.4,
        lots_2: second.4,
        lots_3: third.4,
        ..CreditLegs::zero()
    }
}

pub fn lock(verse: u32, wanted: &[Wanted]) -> Command {
    by(ALICE, Kind::LockCredit).with(&legs(verse, wanted))
}

fn exclusive(verse: u32, wanted: &[Wanted]) -> Command {
    by(ALICE, Kind::LockCredit).with(&CreditLegs { exclusive: 1, ..legs(verse, wanted) })
}

fn staging(verse: u32, staged: u8, wanted: &[Wanted]) -> Command {
    by(ALICE, Kind::StageCredit).with(&CreditLegs { staged, ..legs(verse, wanted) })
}

pub fn release(verse: u32, market: u32) -> ReleaseCredit {
    ReleaseCredit { verse, market, ..ReleaseCredit::zero() }
}

pub fn released(request: ReleaseCredit) -> Command {
    by(ALICE, Kind::ReleaseCredit).with(&request)
}

/// Closes a leg: outcome, side, price, lots.
pub fn closing(verse: u32, market: u32, (outcome, side, price, lots): (u8, u8, u32, i64)) -> Command {
    released(ReleaseCredit { outcome, side, price, lots, ..release(verse, market) })
}

pub fn settling(verse: u32, market: u32) -> Command {
    released(ReleaseCredit { mode: credit_release::SETTLE, ..release(verse, market) })
}

pub fn handing(verse: u32, market: u32, outcome: u8) -> Command {
    released(ReleaseCredit { mode: credit_release::HAND_OVER, outcome, ..release(verse, market) })
}

/// Available, locked, total of ALICE's credit.
pub fn sums(world: &World, verse: u32) -> (i64, i64, i64) {
    let (sub, available, credit) = world.engine.credit_of(&id::account_id(&ALICE), verse).expect("a credit");
    let line = world.engine.balance(&id::account_id(&ALICE), sub, USDC, line::FREE);
    assert_eq!(line, Some(available));
    assert_eq!(available + credit.locked(), credit.total, "P15.10");
    (available, credit.locked(), credit.total)
}

/// Claims of ALICE's credit.
pub fn credited(world: &World, verse: u32, market: u32, outcome: u8) -> i64 {
    let alice = id::account_id(&ALICE);
    let sub = world.engine.credit_of(&alice, verse).expect("a credit").0;
    world.engine.claim(&alice, sub, market, outcome).expect("an account").0
}

fn told(world: &World) -> Vec<CreditBody> {
    let ours = |kind: EventKind| matches!(kind, EventKind::CreditLocked | EventKind::CreditReleased);
    world.events().iter().filter(|event| ours(event.0)).map(|event| event.1.body_as()).collect()
}

/// BOB's quotes leave, and trades within the band lift an outcome to a price at which CAROL then bids.
pub fn climb(world: &mut World, market: u32, outcome: u8, price: i64) {
    world.accept(by(BOB, Kind::CancelAll).with(&CancelAll { market, sub: ALL, side: ALL, reserved: 0 }));
    let mut step = 430;
    while step < price {
        world.accept(place(CAROL, on(market, outcome, side::BUY, step, 1)));
        world.accept(place(BOB, on(market, outcome, side::SELL, step, 1)));
        step += 90;
    }
    world.accept(place(CAROL, on(market, outcome, side::BUY, price, LOTS)));
}

/// The outcome is proposed when the market has ended, and final a challenge window later.
pub fn resolve(world: &mut World, market: u32, outcome: u8) {
    world.wait(30 * DAY);
    world.accept(proposal(CAROL, market, outcome));
    world.wait(3 * HOUR);
    world.accept(finalise(market));
}

#[test]
fn p15_10_two_shorts_of_three_outcomes_lock_thirty_cents_of_one_dollar_thirty() {
    let (mut world, verse, market) = three();
    let free = world.free(ALICE, USDC);
    let sub = world.accept(deposit_credit(verse, 3 * DOLLAR)).value;
    assert_eq!(sub, u64::from(FIRST_CREDIT));
    assert_eq!(world.free(ALICE, USDC), free - 3 * DOLLAR);
    let both = [(market, 0, SHORT, 700, LOTS), (market, 1, SHORT, 600, LOTS)];
    world.accept(exclusive(verse, &both));
    // Ten contracts of each for 7.00 and 6.00, ten sets merged for 10.00.
    assert_eq!(sums(&world, verse), (0, 3 * DOLLAR, 3 * DOLLAR));
    let body = told(&world)[0];
    assert_eq!((body.cause, body.paid, body.outlay), (credit_cause::LOCKED, 3 * DOLLAR, 3 * DOLLAR));
    let held: Vec<i64> = (0..3).map(|outcome| credited(&world, verse, market, outcome)).collect();
    assert_eq!(held, [0, 0, 10 * DOLLAR]);
    assert_eq!(world.free(ALICE, USDC), free - 3 * DOLLAR, "nobody lends, nothing else is touched");
    world.auditor.verify().unwrap();
    restored(&mut world);
    // The loss is what was locked if either short is wrong, and nothing is lost if both are right.
    for (winner, back) in [(0, 0), (1, 0), (2, 10 * DOLLAR)] {
        let mut ended = world.clone();
        resolve(&mut ended, market, winner);
        ended.accept(settling(verse, market));
        assert_eq!(sums(&ended, verse), (back, 0, back), "outcome {winner} wins");
        ended.auditor.verify().unwrap();
        ended.accept(money(Kind::WithdrawCredit, verse, 0));
        assert_eq!(ended.free(ALICE, USDC), free - 3 * DOLLAR + back);
        assert!(ended.engine.credits().is_empty());
        restored(&mut ended);
    }
}

#[test]
fn p15_10_one_micro_unit_less_than_the_largest_loss_is_not_enough() {
    let (mut world, verse, market) = three();
    let both = [(market, 0, SHORT, 700, LOTS), (market, 1, SHORT, 600, LOTS)];
    world.refuse(lock(verse, &both), Code::CREDIT_INSUFFICIENT);
    world.accept(deposit_credit(verse, 3 * DOLLAR - 1));
    let short = world.refuse(lock(verse, &both), Code::CREDIT_INSUFFICIENT);
    assert_eq!((short.bound, short.given), (3 * DOLLAR - 1, 3 * DOLLAR));
    // Alone each leg has no other one to net against.
    let alone = world.refuse(lock(verse, &both[..1]), Code::CREDIT_INSUFFICIENT);
    assert_eq!(alone.given, 7 * DOLLAR);
}

#[test]
fn p2_4_7_what_is_needed_counts_the_worst_fee() {
    let mut world: World = World::new();
    let verse = create_verse(&mut world, "election", NONE);
    let market = quoted(&mut world, verse, &[310, 410, 270], 20_000_000);
    world.accept(deposit_credit(verse, 3_200_000));
    let wanted = [(market, 0, LONG, 320, LOTS)];
    let short = world.refuse(lock(verse, &wanted), Code::CREDIT_INSUFFICIENT);
    assert!(short.given > 3_200_000, "{short:?}");
    world.accept(deposit_credit(verse, short.given - short.bound));
    world.accept(lock(verse, &wanted));
}

#[test]
fn p3_4_an_own_order_ends_what_a_leg_can_fill() {
    let (mut world, verse, market) = three();
    world.accept(deposit_credit(verse, 400 * DOLLAR));
    // Behind BOB's bids for 50 lots of the first outcome stands one of the credit's owner.
    world.accept(place(ALICE, on(market, 0, side::BUY, 295, LOTS)));
    world.refuse(lock(verse, &[(market, 0, SHORT, 705, 50 * LOTS + 1)]), Code::SLIPPAGE_EXCEEDED);
    world.accept(lock(verse, &[(market, 0, SHORT, 705, 50 * LOTS)]));
}

#[test]
fn p15_10_legs_of_different_conditions_add_up_and_cannot_be_claimed_to_exclude_each_other() {
    let (mut world, verse, market) = three();
    let below = create_verse(&mut world, "senate", verse);
    let other = quoted(&mut world, below, &[510, 490], 0);
    world.accept(deposit_credit(verse, 20 * DOLLAR));
    let mixed = [
        (market, 0, SHORT, 700, LOTS),
        (market, 1, SHORT, 600, LOTS),
        // Of two outcomes a short is the other one: yes is bid at 0.50.
        (other, 0, SHORT, 500, LOTS),
    ];
    let refused = world.refuse(exclusive(verse, &mixed), Code::CREDIT_NOT_EXCLUSIVE);
    assert_eq!((refused.bound, refused.given), (i64::from(market), i64::from(other)));
    world.accept(lock(verse, &mixed));
    assert_eq!(sums(&world, verse), (12 * DOLLAR, 8 * DOLLAR, 20 * DOLLAR));
    assert_eq!(told(&world).iter().map(|body| body.outlay).collect::<Vec<_>>(), [3 * DOLLAR, 5 * DOLLAR]);
    assert_eq!(credited(&world, verse, other, 1), 10 * DOLLAR);
    restored(&mut world);
}

#[test]
fn p15_10_what_comes_back_in_one_market_does_not_pay_for_another_in_the_same_command() {
    let (mut world, verse, market) = three();
    let other = quoted(&mut world, verse, &[510, 490], 0);
    world.accept(deposit_credit(verse, 5 * DOLLAR));
    world.accept(lock(verse, &[(other, 0, SHORT, 500, LOTS)]));
    assert_eq!(sums(&world, verse).0, 0);
    // Yes for 0.52 completes ten sets and brings 4.80 back: later, not for the leg beside it.
    let beside = [(other, 0, LONG, 520, LOTS), (market, 2, LONG, 280, LOTS)];
    let refused = world.refuse(lock(verse, &beside), Code::CREDIT_INSUFFICIENT);
    assert_eq!((refused.bound, refused.given), (0, 2_800_000));
    world.accept(lock(verse, &beside[..1]));
    let body = told(&world)[0];
    assert_eq!((body.paid, body.outlay, body.realised), (-4_800_000, 0, -200_000));
    assert_eq!(sums(&world, verse), (4_800_000, 0, 4_800_000));
    world.accept(lock(verse, &beside[1..]));
    assert_eq!(sums(&world, verse), (2_000_000, 2_800_000, 4_800_000));
}

#[test]
fn p15_10_a_gain_without_risk_is_there_at_once() {
    let mut world: World = World::new();
    let verse = create_verse(&mut world, "many", NONE);
    // Nine outcomes bid at 0.12 each: all of them sold bring 1.08 for a set of 1.
    let market = quoted(&mut world, verse, &[130; 9], 0);
    world.accept(deposit_credit(verse, 1));
    let all: Vec<Wanted> = (0..9).map(|outcome| (market, outcome, SHORT, 880, LOTS)).collect();
    world.accept(staging(verse, 0, &all[..3]));
    world.accept(staging(verse, 3, &all[3..6]));
    let command = CreditLegs { staged: 6, exclusive: 1, ..legs(verse, &all[6..]) };
    world.accept(by(ALICE, Kind::LockCredit).with(&command));
    assert_eq!(sums(&world, verse), (800_001, 0, 800_001));
    assert!((0..9).all(|outcome| credited(&world, verse, market, outcome) == 0));
    assert_eq!(
        told(&world).iter().map(|body| (body.realised, body.unstaged)).collect::<Vec<_>>(),
        [(800_000, 1)]
    );
    restored(&mut world);
}

#[test]
fn p15_10_the_same_legs_in_several_commands_lock_what_they_lock_in_one() {
    let (mut world, verse, market) = three();
    world.accept(deposit_credit(verse, 20 * DOLLAR));
    world.accept(lock(verse, &[(market, 0, SHORT, 700, LOTS)]));
    assert_eq!(sums(&world, verse).1, 7 * DOLLAR);
    world.accept(lock(verse, &[(market, 1, SHORT, 600, LOTS)]));
    assert_eq!(sums(&world, verse), (17 * DOLLAR, 3 * DOLLAR, 20 * DOLLAR));
    let held: Vec<i64> = (0..3).map(|outcome| credited(&world, verse, market, outcome)).collect();
    assert_eq!(held, [0, 0, 10 * DOLLAR]);
    // And the long of what is left completes nothing: it adds its cost.
    world.accept(lock(verse, &[(market, 2, LONG, 280, LOTS)]));
    assert_eq!(sums(&world, verse).1, 5_800_000);
    world.auditor.verify().unwrap();
}

#[test]
fn p15_10_a_long_leg_is_closed_by_a_sale_and_its_result_is_the_total_s() {
    let (mut world, verse, market) = three();
    world.accept(deposit_credit(verse, 10 * DOLLAR));
    world.accept(lock(verse, &[(market, 1, LONG, 420, LOTS)]));
    assert_eq!(sums(&world, verse), (5_800_000, 4_200_000, 10 * DOLLAR));
    world.refuse(closing(verse, market, (1, LONG, 410, 0)), Code::SLIPPAGE_EXCEEDED);
    world.refuse(closing(verse, market, (1, LONG, 400, LOTS + 1)), Code::INSUFFICIENT_SHARES);
    world.refuse(closing(verse, market, (0, LONG, 300, 0)), Code::INSUFFICIENT_SHARES);
    world.refuse(closing(verse, market, (1, SHORT, 400, 0)), Code::INSUFFICIENT_SHARES);
    // Half of it at 0.40: what came back is no longer at risk, what is missing still is.
    world.accept(closing(verse, market, (1, LONG, 400, LOTS / 2)));
    assert_eq!(sums(&world, verse), (7_800_000, 2_200_000, 10 * DOLLAR));
    restored(&mut world);
    world.accept(closing(verse, market, (1, LONG, 390, 0)));
    assert_eq!(sums(&world, verse), (9_800_000, 0, 9_800_000));
    world.refuse(closing(verse, market, (1, LONG, 390, 0)), Code::POSITION_NOT_FOUND);
}

#[test]
fn p15_10_a_short_leg_is_closed_by_buying_the_outcome_back() {
    let (mut world, verse, market) = three();
    let other = quoted(&mut world, verse, &[510, 490], 0);
    world.accept(deposit_credit(verse, 12 * DOLLAR));
    world.accept(lock(verse, &[(market, 0, SHORT, 700, LOTS), (other, 0, SHORT, 500, LOTS)]));
    assert_eq!(sums(&world, verse), (0, 12 * DOLLAR, 12 * DOLLAR));
    // Bought at 0.32 although nothing is available: the sets that it completes pay for it.
    world.accept(closing(verse, market, (0, SHORT, 680, 0)));
    assert_eq!(sums(&world, verse), (6_800_000, 5 * DOLLAR, 11_800_000));
    world.accept(closing(verse, other, (0, SHORT, 480, 0)));
    assert_eq!(sums(&world, verse), (11_600_000, 0, 11_600_000));
    world.auditor.verify().unwrap();
}

#[test]
fn p15_10_only_what_is_available_can_be_withdrawn_and_nothing_else_touches_a_credit() {
    let (mut world, verse, market) = three();
    world.refuse(money(Kind::WithdrawCredit, verse, 1), Code::CREDIT_INSUFFICIENT);
    world.accept(deposit_credit(verse, 5 * DOLLAR));
    let body: CreditMoneyBody = world.events()[0].1.body_as();
    assert_eq!(
        (body.amount, body.available, body.locked, body.total),
        (5 * DOLLAR, 5 * DOLLAR, 0, 5 * DOLLAR)
    );
    world.accept(lock(verse, &[(market, 2, LONG, 280, LOTS)]));
    let more = world.refuse(money(Kind::WithdrawCredit, verse, 2_200_001), Code::CREDIT_INSUFFICIENT);
    assert_eq!((more.bound, more.given), (2_200_000, 2_200_001));
    let named = Command { sub: FIRST_CREDIT, ..sets(ALICE, Kind::MintSet, market, 1) };
    world.refuse(named, Code::SUB_ACCOUNT_NOT_FOUND);
    let into = Transfer { to_sub: FIRST_CREDIT, asset: USDC, amount: 1, ..Transfer::zero() };
    world.refuse(by(ALICE, Kind::Transfer).with(&into), Code::SUB_ACCOUNT_NOT_FOUND);
    world.accept(money(Kind::WithdrawCredit, verse, 2_200_000));
    assert_eq!(sums(&world, verse), (0, 2_800_000, 2_800_000));
    world.refuse(money(Kind::WithdrawCredit, verse, 0), Code::CREDIT_INSUFFICIENT);
    world.refuse(money(Kind::WithdrawCredit, verse, -1), Code::INVALID_AMOUNT);
}

#[test]
fn p15_10_at_settlement_and_in_a_halt_only_legs_without_open_loss_leave() {
    let (mut world, verse, market) = three();
    world.accept(deposit_credit(verse, 5 * DOLLAR));
    world.accept(lock(verse, &[(market, 1, LONG, 420, LOTS)]));
    world.refuse(settling(verse, market), Code::NOT_RESOLVED);
    let open = world.refuse(handing(verse, market, 1), Code::CREDIT_INSUFFICIENT);
    assert_eq!((open.bound, open.given), (0, 4_200_000));
    // The price doubles: what is sold pays for all, the rest is free.
    climb(&mut world, market, 1, 840);
    world.accept(closing(verse, market, (1, LONG, 840, LOTS / 2)));
    assert_eq!(sums(&world, verse), (5 * DOLLAR, 0, 5 * DOLLAR));
    assert_eq!(credited(&world, verse, market, 1), 5 * DOLLAR);
    world.accept(pause(market, 2, world.now_ns + HOUR));
    world.refuse(closing(verse, market, (1, LONG, 840, 0)), Code::PAUSED);
    world.refuse(handing(verse, market, 0), Code::INSUFFICIENT_SHARES);
    restored(&mut world);
    world.accept(handing(verse, market, 1));
    assert_eq!(told(&world)[0].shares, 5 * DOLLAR);
    assert_eq!(claim(&world, ALICE, market, 1), (5 * DOLLAR, 0));
    assert_eq!((credited(&world, verse, market, 1), sums(&world, verse)), (0, (5 * DOLLAR, 0, 5 * DOLLAR)));
    world.refuse(handing(verse, market, 1), Code::POSITION_NOT_FOUND);
    restored(&mut world);
}

#[test]
fn p15_10_a_credit_has_at_most_32_legs_and_says_when_it_was_told_of_others() {
    let (mut world, verse, market) = three();
    world.refuse(staging(verse, 0, &[(market, 0, LONG, 320, LOTS)]), Code::CREDIT_INSUFFICIENT);
    world.accept(deposit_credit(verse, 900 * DOLLAR));
    let markets: Vec<u32> = (0..33).map(|_| quoted(&mut world, verse, &[510, 490], 0)).collect();
    let all: Vec<Wanted> = markets.iter().map(|&market| (market, 1, LONG, 500, LOTS)).collect();
    for at in 0..10 {
        let command = staging(verse, 3 * at as u8, &all[3 * at..3 * at + 3]);
        assert_eq!(world.accept(command).value, 3 * at as u64 + 3);
    }
    let full = world.refuse(staging(verse, 30, &all[30..33]), Code::TOO_MANY_POSITIONS);
    assert_eq!((full.bound, full.given), (32, 33));
    world.refuse(staging(verse, 29, &all[30..31]), Code::PARAMETER_OUT_OF_BOUNDS);
    let taking = |staged: u8, wanted: &[Wanted]| {
        by(ALICE, Kind::LockCredit).with(&CreditLegs { staged, ..legs(verse, wanted) })
    };
    world.refuse(taking(30, &all[30..33]), Code::TOO_MANY_POSITIONS);
    world.refuse(taking(3, &all[30..32]), Code::PARAMETER_OUT_OF_BOUNDS);
    restored(&mut world);
    world.accept(taking(30, &all[30..32]));
    assert_eq!(sums(&world, verse), (740 * DOLLAR, 160 * DOLLAR, 900 * DOLLAR));
    world.auditor.verify().unwrap();
    // A 33rd market has no room beside them, a leg in one of them has.
    world.refuse(lock(verse, &all[32..]), Code::TOO_MANY_POSITIONS);
    world.accept(lock(verse, &all[..1]));
    world.refuse(taking(30, &all[..1]), Code::PARAMETER_OUT_OF_BOUNDS);
    restored(&mut world);
}

#[test]
fn p2_1_4_all_legs_of_a_command_fill_48_times_and_not_once_more() {
    for (fills, code) in [(47, None), (48, None), (49, Some(Code::CAPACITY_EXCEEDED))] {
        let mut world: World = World::new();
        let verse = create_verse(&mut world, "thin", NONE);
        let market = quoted(&mut world, verse, &[110; 9], 0);
        world.accept(by(BOB, Kind::CancelAll).with(&CancelAll { market, sub: ALL, side: ALL, reserved: 0 }));
        for number in 0..fills {
            world.accept(place(BOB, on(market, number % 2, side::SELL, 120, 100)));
        }
        world.accept(deposit_credit(verse, 6 * DOLLAR));
        let lots = |outcome: i64| 100 * ((i64::from(fills) + 1 - outcome) / 2);
        let both = [(market, 0, LONG, 120, lots(0)), (market, 1, LONG, 120, lots(1))];
        match code {
            Some(code) => {
                world.refuse(lock(verse, &both), code);
            }
            None => {
                world.accept(lock(verse, &both));
                let continued = world.batch.results.len() > 1;
                assert!(continued, "so many fills take several commands");
                assert_eq!(sums(&world, verse).1, i64::from(fills) * 12_000);
                world.auditor.verify().unwrap();
            }
        }
    }
}

#[test]
fn row_0e03_a_command_that_is_not_right_in_every_leg_changes_nothing() {
    let (mut world, verse, market) = three();
    let (apart, binary) =
        (quoted(&mut world, NONE, &[310, 410, 270], 0), quoted(&mut world, verse, &[510, 490], 0));
    world.accept(deposit_credit(verse, 90 * DOLLAR));
    let good = (market, 0, LONG, 320, LOTS);
    let mut refuse = |bad: Wanted, code: Code| {
        world.refuse(lock(verse, &[good, bad]), code);
    };
    refuse((99, 0, LONG, 320, LOTS), Code::MARKET_NOT_FOUND);
    refuse((0, 0, LONG, 320, LOTS), Code::INVALID_MARKET_KIND);
    refuse((market, 3, LONG, 320, LOTS), Code::INVALID_OUTCOME);
    refuse((market, 1, 2, 420, LOTS), Code::INVALID_ORDER_TYPE);
    refuse((market, 1, LONG, 420, 0), Code::INVALID_SIZE);
    refuse((market, 1, LONG, 1_000, LOTS), Code::INVALID_PRICE);
    refuse((market, 1, SHORT, 0, LOTS), Code::INVALID_PRICE);
    refuse((apart, 1, LONG, 420, LOTS), Code::VERSE_NOT_FOUND);
    refuse((market, 0, SHORT, 700, LOTS), Code::ALREADY_EXISTS);
    refuse((market, 1, LONG, 419, LOTS), Code::SLIPPAGE_EXCEEDED);
    refuse((market, 1, SHORT, 599, LOTS), Code::SLIPPAGE_EXCEEDED);
    refuse((market, 1, LONG, 511, LOTS), Code::PRICE_TOO_HIGH);
    refuse((market, 1, LONG, 420, 50 * LOTS + 1), Code::SLIPPAGE_EXCEEDED);
    world.refuse(lock(verse, &[]), Code::PARAMETER_OUT_OF_BOUNDS);
    let two = [(binary, 0, LONG, 520, LOTS), (binary, 1, LONG, 500, LOTS)];
    world.refuse(lock(verse, &two), Code::ALREADY_EXISTS);
    world.refuse(lock(77, &[good]), Code::VERSE_NOT_FOUND);
    let behind = CreditLegs { lots_2: 5, ..legs(verse, &[good]) };
    world.refuse(by(ALICE, Kind::LockCredit).with(&behind), Code::RESERVED_NOT_ZERO);
    world.refuse(
        by(ALICE, Kind::LockCredit).with(&CreditLegs { count: 4, ..behind }),
        Code::PARAMETER_OUT_OF_BOUNDS,
    );
    world.refuse(
        by(ALICE, Kind::LockCredit).with(&CreditLegs { exclusive: 2, ..behind }),
        Code::RESERVED_NOT_ZERO,
    );
    world.refuse(Command { principal: BOB, ..lock(verse, &[good]) }, Code::UNAUTHORIZED_SIGNER);
    world.refuse(released(ReleaseCredit { mode: 3, ..release(verse, market) }), Code::POSITION_NOT_FOUND);
    world.accept(lock(verse, &[good]));
    world
        .refuse(released(ReleaseCredit { mode: 3, ..release(verse, market) }), Code::PARAMETER_OUT_OF_BOUNDS);
    let nothing = closing(verse, market, (0, LONG, 0, 0));
    world.refuse(nothing, Code::INVALID_PRICE);
}

#[test]
fn row_0e03_money_in_and_out_is_checked_before_anything_moves() {
    let (mut world, verse, _) = three();
    world.refuse(deposit_credit(9, 1), Code::VERSE_NOT_FOUND);
    world.refuse(deposit_credit(verse, 0), Code::INVALID_AMOUNT);
    world.refuse(deposit_credit(verse, FUNDS + 1), Code::INSUFFICIENT_BALANCE);
    let other = |kind, asset| by(ALICE, kind).with(&CreditMoney { verse, asset, reserved: 0, amount: 1 });
    world.refuse(other(Kind::DepositCredit, 7), Code::ASSET_NOT_FOUND);
    world.accept(deposit_credit(verse, 1));
    world.refuse(other(Kind::DepositCredit, BTC), Code::ASSET_NOT_FOUND);
    world.refuse(other(Kind::WithdrawCredit, BTC), Code::ASSET_NOT_FOUND);
    let delegate =
        SetDelegate { key: CAROL, scopes: 1, expiry_ns: world.now_ns + DAY, ..SetDelegate::zero() };
    world.accept(by(ALICE, Kind::SetDelegate).with(&delegate));
    world.refuse(Command { principal: CAROL, ..deposit_credit(verse, 1) }, Code::DELEGATE_SCOPE);
    for number in 1..16 {
        let verse = create_verse(&mut world, &format!("verse-{number}"), NONE);
        world.accept(deposit_credit(verse, 1));
    }
    let last = create_verse(&mut world, "one-more", NONE);
    let full = world.refuse(deposit_credit(last, 1), Code::CAPACITY_EXCEEDED);
    assert_eq!((full.bound, full.given), (16, 16));
    world.accept(money(Kind::WithdrawCredit, verse, 0));
    world.accept(deposit_credit(last, 1));
    restored(&mut world);
}

#[test]
fn p15_10_a_credit_never_trades_with_its_owner_and_not_in_a_halted_or_ended_market() {
    let (mut world, verse, market) = three();
    world.accept(deposit_credit(verse, 50 * DOLLAR));
    world.accept(place(ALICE, on(market, 0, side::BUY, 305, LOTS)));
    world.refuse(lock(verse, &[(market, 0, SHORT, 700, LOTS)]), Code::SELF_TRADE_PREVENTED);
    world.accept(lock(verse, &[(market, 0, LONG, 320, LOTS)]));
    world.accept(pause(market, 1, world.now_ns + HOUR));
    world.refuse(lock(verse, &[(market, 1, LONG, 420, LOTS)]), Code::MARKET_NOT_ACTIVE);
    world.accept(by(ALICE, Kind::CancelAll).with(&CancelAll { market, sub: 0, side: ALL, reserved: 0 }));
    world.accept(closing(verse, market, (0, LONG, 300, LOTS / 2)));
    let other = quoted(&mut world, verse, &[510, 490], 0);
    world.accept(pause(u32::MAX, 1, world.now_ns + HOUR));
    world.refuse(lock(verse, &[(other, 0, LONG, 520, LOTS)]), Code::PAUSED);
    let (mut world, verse, market) = three();
    world.accept(deposit_credit(verse, 50 * DOLLAR));
    world.wait(30 * DAY - 60 * SECOND);
    world.refuse(lock(verse, &[(market, 1, LONG, 420, LOTS)]), Code::IN_RESOLUTION_BUFFER);
}
