//! Leveraged outcome positions that trade with their market's pool (P4.6, P8.11, P10.2.4).

use proptest::prelude::*;
use tradewind_engine::id;
use tradewind_engine::ledger::line;
use tradewind_engine::market::level;
use tradewind_engine::outcome::loans::SHORT;
use tradewind_engine::outcome::Loan;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    EventKind, LoanBody, LoanBridgedBody, LoanLiquidatedBody, LoanLossBody, LoanMovedBody, LoanSwappedBody,
    SwapBody, TradeBody,
};
use tradewind_engine::wire::record::Record;
use tradewind_engine::wire::Code;

use crate::loan_marks::quote;
use crate::loans::*;
use crate::loans_audit::{drop_result, told_otherwise, Change};
use crate::outcome_books::on;
use crate::support::*;

/// Ten basis points.
const FEE_E6BP: u32 = 10_000_000;
const PPB_PER_BP: i64 = 100_000;

fn told<T: Record>(world: &World, kind: EventKind) -> Vec<T> {
    world.events().iter().filter(|event| event.0 == kind).map(|event| event.1.body_as()).collect()
}

fn vault(world: &World) -> (i64, i64) {
    let at = |line| world.engine.system_balance(line, 0, USDC);
    (at(line::VAULT_CASH), at(line::VAULT_LOANS))
}

/// A market with a fee, books as in the other tests of loans, and a pool.
fn pooled(outcome_count: u8, funding: i64) -> (World, u32) {
    let mut world = lending_world();
    let market = lent_market_with_fee(&mut world, outcome_count, FEE_E6BP);
    let pool = CreatePool { market, funding, ..CreatePool::zero() };
    world.accept(by(OPERATOR, Kind::CreatePool).with(&pool));
    (world, market)
}

fn from_pool(market: u32, lots: i64, max_price: i64, leverage_e2: u32) -> OpenLeveraged {
    OpenLeveraged { pool_impact_bp: 500, ..long(market, lots, max_price, leverage_e2) }
}

fn into_pool(market: u32, lots: i64, limit: i64) -> CloseLeveraged {
    CloseLeveraged { market, lots, limit, pool_impact_bp: 500, ..CloseLeveraged::zero() }
}

fn close_with(owner: Key, request: CloseLeveraged) -> Command {
    by(owner, Kind::CloseLeveraged).with(&request)
}

fn swap(owner: Key, market: u32, side: u8, amount: i64) -> Command {
    let request = SwapAmm { market, side, amount, limit: 1, max_impact_bp: 2_000, ..SwapAmm::zero() };
    by(owner, Kind::SwapAmm).with(&request)
}

/// A book whose bid is this and whose ask is that, for one contract each.
fn quoted(world: &mut World, market: u32, bid: i64, ask: i64) {
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    // A price beyond the band around the last ones may be refused: then the side is empty.
    world.send(place(BOB, on(market, 0, side::SELL, ask, 1_000)));
    world.send(place(CAROL, on(market, 0, side::BUY, bid, 1_000)));
}

#[test]
fn p4_6_1_a_loan_buys_from_the_pool_and_what_the_swap_does_not_take_pays_it_back() {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    let free = world.free(ALICE, USDC);
    world.accept(open(ALICE, from_pool(market, LOTS, 520, 500)));
    let opened: LoanBody = told(&world, EventKind::LoanOpened)[0];
    let asked: LoanSwappedBody = told(&world, EventKind::LoanSwapped)[0];
    let swapped: SwapBody = told(&world, EventKind::AmmSwapped)[0];
    let moved: LoanMovedBody = told(&world, EventKind::LoanMoved)[0];
    assert_eq!((asked.side, asked.liquidates, asked.lots, asked.limit), (side::BUY, 0, LOTS, 520));
    assert_eq!(swapped.shares, 1_000 * DOLLAR);
    assert!(swapped.fee > 0 && swapped.cost + swapped.fee <= 520 * DOLLAR, "{swapped:?}");
    assert_eq!(moved.repaid, opened.loan + opened.margin - swapped.cost - swapped.fee);
    let found = loan(&world, ALICE, market, 0).expect("a position");
    assert_eq!((found.debt, found.shares), (opened.loan - moved.repaid, 1_000 * DOLLAR));
    assert_eq!(world.free(ALICE, USDC), free - opened.margin);
    // The vault's share of the fee is its own: nothing else of its value changed.
    let (cash, loans) = vault(&world);
    assert_eq!(loans, found.debt);
    assert!((0..=swapped.fee).contains(&(cash + loans - LENT_FROM)), "{cash} {loans}");
    world.auditor.verify().unwrap();
    restored(&mut world);
    // The books were not asked: their orders are as they were.
    assert_eq!(world.engine.worst_cases().part(market).worst_case, found.debt);
}

#[test]
fn p10_2_4_a_purchase_from_the_pool_is_whole_and_within_price_and_impact_or_refused() {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    let bare = lent_market(&mut world, 2);
    let good = from_pool(market, LOTS, 520, 500);
    world.refuse(open(ALICE, OpenLeveraged { market: bare, ..good }), Code::POOL_NOT_FOUND);
    let far = OpenLeveraged { pool_impact_bp: 2_001, ..good };
    assert_eq!(world.refuse(open(ALICE, far), Code::PARAMETER_OUT_OF_BOUNDS).bound, 2_000);
    let still =
        world.refuse(open(ALICE, OpenLeveraged { pool_impact_bp: 1, ..good }), Code::PRICE_IMPACT_TOO_HIGH);
    assert_eq!(still.bound, PPB_PER_BP);
    let cheap = world.refuse(open(ALICE, OpenLeveraged { max_price: 500, ..good }), Code::SLIPPAGE_EXCEEDED);
    assert_eq!(cheap.bound, 500 * DOLLAR);
    assert!(cheap.given > cheap.bound);
    // The limits of the vault come first, as in the book.
    world.refuse(open(ALICE, OpenLeveraged { lots: 1_000 * LOTS, ..good }), Code::UTILISATION_CAP);
    assert_eq!(vault(&world), (LENT_FROM, 0));
    assert_eq!(loan(&world, ALICE, market, 0), None);
}

#[test]
fn row_0401_a_close_into_the_pool_pays_the_debt_first_and_is_whole_or_refused() {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    world.accept(open(ALICE, from_pool(market, LOTS, 520, 500)));
    let debt = loan(&world, ALICE, market, 0).unwrap().debt;
    world.refuse(close_with(ALICE, into_pool(market, LOTS + 1, 400)), Code::INSUFFICIENT_SHARES);
    world.refuse(close_with(ALICE, into_pool(market, 0, 520)), Code::SLIPPAGE_EXCEEDED);
    let still = CloseLeveraged { pool_impact_bp: 1, ..into_pool(market, 0, 480) };
    world.refuse(close_with(ALICE, still), Code::PRICE_IMPACT_TOO_HIGH);
    world.accept(close_with(ALICE, into_pool(market, LOTS / 2, 480)));
    let swapped: SwapBody = told(&world, EventKind::AmmSwapped)[0];
    let half = loan(&world, ALICE, market, 0).expect("half is left");
    assert_eq!((half.debt, half.shares), (debt - (swapped.cost - swapped.fee), 500 * DOLLAR));
    let free = world.free(ALICE, USDC);
    world.accept(close_with(ALICE, into_pool(market, 0, 480)));
    let swapped: SwapBody = told(&world, EventKind::AmmSwapped)[0];
    assert_eq!(loan(&world, ALICE, market, 0), None);
    assert_eq!(world.free(ALICE, USDC), free + swapped.cost - swapped.fee - half.debt);
    assert_eq!(vault(&world).1, 0);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p5_5_without_a_buyer_in_the_book_a_liquidation_sells_into_the_pool_once_a_look() {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    world.accept(open(ALICE, long(market, 4 * LOTS, 510, 700)));
    let before = loan(&world, ALICE, market, 0).unwrap();
    // The mark falls below maintenance; who bids in the book bids too little.
    quoted(&mut world, market, 430, 460);
    let (mut swaps, mut at) = (0, before);
    for _ in 0..20 {
        world.advance(SECOND);
        world.tick();
        let sold: Vec<LoanSwappedBody> = told(&world, EventKind::LoanSwapped);
        assert!(sold.len() <= 1, "one swap a look");
        let Some(sold) = sold.first() else { continue };
        swaps += 1;
        let began: LoanLiquidatedBody = told(&world, EventKind::LoanLiquidated)[0];
        let swapped: SwapBody = told(&world, EventKind::AmmSwapped)[0];
        assert_eq!(
            (sold.liquidates, sold.side, sold.lots, sold.limit),
            (1, side::SELL, began.lots, began.limit)
        );
        assert!((swapped.price_after_ppb - swapped.price_before_ppb).abs() <= 500 * PPB_PER_BP);
        let owed = i128::from(at.debt) * i128::from(began.lots);
        assert!(i128::from(swapped.cost - swapped.fee) * i128::from(began.lots_held) >= owed);
        match loan(&world, ALICE, market, 0) {
            Some(left) => at = left,
            None => break,
        }
    }
    assert!(swaps > 0, "the pool bought");
    assert!(at.debt < before.debt);
    assert!(vault(&world).0 + vault(&world).1 >= LENT_FROM);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p5_5_a_liquidation_in_a_book_pays_its_fee_and_still_what_is_owed() {
    let (mut world, market) = pooled(2, 2_000 * DOLLAR);
    world.accept(open(ALICE, long(market, LOTS, 500, 700)));
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    world.accept(place(CAROL, on(market, 0, side::BUY, 440, 50 * LOTS)));
    world.accept(place(BOB, on(market, 0, side::SELL, 444, LOTS)));
    let mut paid = 0;
    for _ in 0..10 {
        world.advance(SECOND);
        world.tick();
        let fills: Vec<TradeBody> = told(&world, EventKind::Trade);
        paid += fills.iter().map(|fill| fill.taker_fee).sum::<i64>();
    }
    assert!(paid > 0, "the sale was a taker's");
    assert!(vault(&world).0 + vault(&world).1 >= LENT_FROM);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn of_two_unsound_positions_one_look_sells_one_to_the_pool() {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    world.accept(open(ALICE, long(market, LOTS, 510, 700)));
    world.accept(open(OPERATOR, long(market, LOTS, 510, 700)));
    quoted(&mut world, market, 430, 460);
    let mut swaps = 0;
    for _ in 0..20 {
        world.advance(SECOND);
        world.tick();
        let sold = told::<LoanSwappedBody>(&world, EventKind::LoanSwapped).len();
        assert!(sold <= 1, "{sold} swaps in a look");
        swaps += sold;
    }
    assert!(swaps >= 2, "both are sold, there were {swaps}");
}

#[test]
fn p7_5_what_refuses_swaps_refuses_a_positions_too() {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    world.accept(open(ALICE, long(market, 4 * LOTS, 510, 700)));
    world.accept(pause(market, level::PARTIAL, world.now_ns + 24 * HOUR));
    world.refuse(swap(CAROL, market, side::SELL, DOLLAR), Code::PAUSED);
    world.refuse(close_with(ALICE, into_pool(market, LOTS, 480)), Code::PAUSED);
    world.accept(close(ALICE, market, LOTS, 490));
    quoted(&mut world, market, 430, 460);
    for _ in 0..20 {
        world.advance(SECOND);
        world.tick();
        assert!(!world.kinds().contains(&EventKind::LoanSwapped));
    }
}

#[test]
fn p5_5_a_small_pool_takes_a_part_and_one_below_bankruptcy_takes_nothing() {
    let (mut world, market) = pooled(2, 2_000 * DOLLAR);
    world.accept(open(ALICE, long(market, 4 * LOTS, 510, 700)));
    quoted(&mut world, market, 430, 460);
    seconds(&mut world, 6);
    let parts = loan(&world, ALICE, market, 0).expect("the pool is too small for all");
    assert!(parts.shares < 4_000 * DOLLAR, "{parts:?}");
    // Others sell until the pool pays less than what is owed for a contract.
    let (mut world, market) = pooled(2, 2_000 * DOLLAR);
    world.accept(open(ALICE, long(market, 4 * LOTS, 510, 700)));
    for _ in 0..5 {
        world.accept(swap(CAROL, market, side::SELL, 400 * DOLLAR));
    }
    let before = loan(&world, ALICE, market, 0).unwrap();
    quoted(&mut world, market, 430, 460);
    for _ in 0..10 {
        world.advance(SECOND);
        world.tick();
        assert!(!world.kinds().contains(&EventKind::LoanSwapped));
    }
    assert_eq!(loan(&world, ALICE, market, 0).unwrap().shares, before.shares);
    world.auditor.verify().unwrap();
}

#[test]
fn p4_6_6_a_look_asks_the_group_then_the_book_then_the_pool() {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    let flag = SetSuitability { level: 1, expiry_ns: world.now_ns + 20 * DAY, ..SetSuitability::zero() };
    world.accept(Command { account: id::account_id(&ALICE), ..by(RISK, Kind::SetSuitability).with(&flag) });
    world.accept(open(ALICE, long(market, 4 * LOTS, 500, 900)));
    // Against the first one it has credit for a leverage that it would not have alone.
    world.accept(open(ALICE, OpenLeveraged { outcome: 1, ..long(market, 4 * LOTS, 510, 2_500) }));
    let (valued, _) = world.engine.loan_health((0, PLEDGE + 1)).expect("it has a mark");
    assert!(!valued.is_healthy(), "alone it would be sold: {valued:?}");
    world.accept(cancel_all(CAROL, market));
    world.accept(cancel_all(BOB, market));
    for _ in 0..10 {
        world.advance(SECOND);
        world.tick();
        assert!(!world.kinds().contains(&EventKind::LoanLiquidated), "the group has what it needs");
    }
    // Most of what secured the second position is sold, and what it has left falls.
    world.accept(close_with(ALICE, into_pool(market, 3 * LOTS, 1)));
    quoted(&mut world, market, 520, 550);
    seconds(&mut world, 3);
    let lacking = world.engine.loan_health((0, PLEDGE + 1)).expect("it has a mark").0;
    assert!(lacking.equity < 0 && world.engine.loan_of(&id::account_id(&ALICE), 0, market, 1).is_some());
    quoted(&mut world, market, 550, 580);
    let (mut orders, mut swaps) = (0, 0);
    for _ in 0..30 {
        world.advance(SECOND);
        world.tick();
        for kind in world.kinds() {
            orders += usize::from(kind == EventKind::OrderAccepted);
            swaps += usize::from(kind == EventKind::LoanSwapped);
        }
        if swaps == 0 {
            continue;
        }
        let sold = world
            .events()
            .iter()
            .filter(|event| event.0 == EventKind::LoanSwapped)
            .all(|event| event.1.sub == PLEDGE + 1);
        assert!(sold, "what lacks most of its margin is sold");
    }
    assert!(swaps > 0, "{orders} orders, {swaps} swaps");
    if let Some(health) = world.engine.group_health((0, PLEDGE)) {
        assert!(health.equity >= health.maintenance, "{health:?}");
    }
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p5_5_a_short_of_three_is_liquidated_by_buying_its_outcome_from_the_pool() {
    let (mut world, market) = pooled(3, 20_000 * DOLLAR);
    // Outcome 0 stands at a half in the book and at a third in the pool.
    world.accept(open(ALICE, OpenLeveraged { side: 1, ..from_pool(market, LOTS, 700, 280) }));
    let before = loan(&world, ALICE, market, SHORT).expect("a position");
    quote(&mut world, market, [(574, 576), (211, 214), (211, 214)]);
    let (mut swaps, mut at) = (0, before);
    for _ in 0..12 {
        world.advance(SECOND);
        world.tick();
        let Some(&asked) = told::<LoanSwappedBody>(&world, EventKind::LoanSwapped).first() else { continue };
        swaps += 1;
        let began: LoanLiquidatedBody = told(&world, EventKind::LoanLiquidated)[0];
        let bridge: LoanBridgedBody = told(&world, EventKind::LoanBridged)[0];
        let swapped: SwapBody = told(&world, EventKind::AmmSwapped)[0];
        assert_eq!((asked.liquidates, asked.outcome, asked.side), (1, 0, side::BUY));
        assert_eq!((asked.lots, asked.limit, bridge.lots), (began.lots, 1_000 - began.limit, began.lots));
        assert!(swapped.cost + swapped.fee <= bridge.amount);
        // A set pays one dollar: what it does not cost pays the debt.
        assert_eq!(at.debt - left_of(&world, market).debt, swapped.shares - swapped.cost - swapped.fee);
        at = left_of(&world, market);
    }
    assert!(swaps > 0 && at.debt < before.debt && at.shares < before.shares, "{at:?}");
    assert_eq!(vault(&world).1, at.debt);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

/// ALICE's short of outcome 0, nothing once it has ended.
fn left_of(world: &World, market: u32) -> Loan {
    loan(world, ALICE, market, SHORT).unwrap_or_default()
}

#[test]
fn p4_6_1_a_short_of_three_sells_its_outcome_to_the_pool_and_buys_it_back() {
    let (mut world, market) = pooled(3, 20_000 * DOLLAR);
    // Outcome 0 stands at a third in the pool: the others cost two thirds and a fee.
    let request = OpenLeveraged { side: 1, ..from_pool(market, LOTS, 700, 150) };
    let free = world.free(ALICE, USDC);
    world.accept(open(ALICE, request));
    let bridge: LoanBridgedBody = told(&world, EventKind::LoanBridged)[0];
    let sold: LoanSwappedBody = told(&world, EventKind::LoanSwapped)[0];
    assert_eq!((sold.outcome, sold.side, sold.limit), (0, side::SELL, 300));
    assert_eq!(bridge.amount, 300 * DOLLAR);
    let found = loan(&world, ALICE, market, SHORT).expect("a position");
    assert_eq!(found.shares, 1_000 * DOLLAR);
    assert!(world.free(ALICE, USDC) < free);
    world.auditor.verify().unwrap();
    restored(&mut world);
    let request = CloseLeveraged { side: 1, ..into_pool(market, 0, 600) };
    world.refuse(close_with(ALICE, CloseLeveraged { limit: 700, ..request }), Code::SLIPPAGE_EXCEEDED);
    world.accept(close_with(ALICE, request));
    assert_eq!(loan(&world, ALICE, market, SHORT), None);
    assert_eq!(vault(&world).1, 0);
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn i24_a_pledge_swaps_what_it_told_and_as_its_loan_asked() {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    let changes: &[Change<LoanSwappedBody>] = &[
        ("outcome", |body| body.outcome ^= 1),
        ("sub-account", |body| body.owner_sub = 1),
        ("side", |body| body.side ^= 1),
        ("reason", |body| body.liquidates ^= 1),
        ("impact", |body| body.impact_bp = 1),
        ("impact beyond the largest", |body| body.impact_bp = 2_001),
        ("lots", |body| body.lots -= 1),
        ("limit", |body| body.limit = 999),
    ];
    let opening =
        |world: &mut World| drop_result(world.accept(open(ALICE, from_pool(market, LOTS, 520, 500))));
    told_otherwise(&mut world, EventKind::LoanSwapped, opening, changes);
    let changes: &[Change<LoanSwappedBody>] = &[
        ("lots", |body| body.lots += 1),
        ("limit above what came", |body| body.limit = 600),
        ("limit below bankruptcy", |body| body.limit = 300),
        ("side", |body| body.side ^= 1),
    ];
    let closing = |world: &mut World| drop_result(world.accept(close_with(ALICE, into_pool(market, 0, 480))));
    told_otherwise(&mut world, EventKind::LoanSwapped, closing, changes);
}

/// A position below its maintenance margin so many seconds after its mark began to fall.
fn falling(seconds_of: i64) -> (World, u32) {
    let (mut world, market) = pooled(2, 20_000 * DOLLAR);
    world.accept(open(ALICE, long(market, 4 * LOTS, 510, 700)));
    quoted(&mut world, market, 430, 460);
    seconds(&mut world, seconds_of);
    (world, market)
}

#[test]
fn i10_a_liquidation_in_the_pool_is_told_as_one_and_moves_it_by_five_percent_at_most() {
    let (mut world, _) = falling(0);
    let mut waited = 0;
    while !world.kinds().contains(&EventKind::LoanSwapped) {
        seconds(&mut world, 1);
        waited += 1;
        assert!(waited < 30, "nothing was sold");
    }
    let (mut world, _) = falling(waited - 1);
    let changes: &[Change<LoanSwappedBody>] = &[
        ("reason", |body| body.liquidates = 0),
        ("impact", |body| body.impact_bp = 501),
        ("lots", |body| body.lots -= 1),
        ("limit", |body| body.limit -= 1),
    ];
    told_otherwise(&mut world, EventKind::LoanSwapped, |world| seconds(world, 1), changes);
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Open(usize, i64, u32, bool),
    Close(usize, i64),
    Swap(bool, i64),
    Quote(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0..2_usize, 1..3_000_i64, 100..900_u32, any::<bool>()).prop_map(
            |(who, contracts, leverage, second)| Act::Open(who, contracts * 1_000, leverage, second)
        ),
        (0..2_usize, 0..2_000_i64).prop_map(|(who, contracts)| Act::Close(who, contracts * 1_000)),
        (any::<bool>(), 1..500_i64).prop_map(|(buys, dollars)| Act::Swap(buys, dollars)),
        (380..600_i64).prop_map(Act::Quote),
    ];
    prop::collection::vec(act, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is bought, sold and liquidated against the pool: every invariant holds, money is conserved, and the
    /// vault loses no more than what a debt exceeds by what was paid for its claims.
    #[test]
    fn the_vault_never_loses_more_than_a_debt_less_what_the_pool_pays(acts in acts()) {
        let (mut world, market) = pooled(2, 10_000 * DOLLAR);
        let owners = [ALICE, OPERATOR];
        let mut lost = 0;
        for act in acts {
            let command = match act {
                Act::Open(who, lots, leverage, second) => open(owners[who], OpenLeveraged {
                    outcome: u8::from(second),
                    pool_impact_bp: 2_000,
                    ..long(market, lots, 600, leverage)
                }),
                Act::Close(who, lots) => close_with(owners[who], CloseLeveraged {
                    pool_impact_bp: 2_000,
                    ..into_pool(market, lots, 1)
                }),
                Act::Swap(buys, dollars) => swap(CAROL, market, u8::from(!buys), dollars * DOLLAR),
                Act::Quote(bid) => {
                    quoted(&mut world, market, bid, bid + 20);
                    world.advance(SECOND);
                    world.tick();
                    continue;
                }
            };
            let owed = vault(&world).1;
            world.send(command);
            for body in told::<SwapBody>(&world, EventKind::AmmSwapped) {
                let asked = told::<LoanSwappedBody>(&world, EventKind::LoanSwapped);
                let moved = told::<LoanMovedBody>(&world, EventKind::LoanMoved);
                if asked.first().is_some_and(|asked| asked.side == side::SELL) {
                    // Its own debt, what the other position of its group lacks, and its owner.
                    let repaid: i64 = moved.iter().map(|body| body.repaid).sum();
                    let returned: i64 = moved.iter().map(|body| body.returned).sum();
                    prop_assert_eq!(repaid + returned, body.cost - body.fee);
                    prop_assert_eq!(vault(&world).1, owed - repaid);
                }
            }
            for _ in 0..2 {
                world.advance(SECOND);
                world.tick();
                lost += told::<LoanLossBody>(&world, EventKind::LoanLossCovered).iter().map(|body| body.vault).sum::<i64>();
            }
            let (cash, loans) = vault(&world);
            prop_assert!(cash + loans >= LENT_FROM - lost, "{} of {}, {} lost", cash + loans, LENT_FROM, lost);
            world.auditor.verify().unwrap();
        }
        restored(&mut world);
    }
}
