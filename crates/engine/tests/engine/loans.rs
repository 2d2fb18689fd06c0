//! Leveraged outcome positions: loans of the vault that buy claims (P4.6, rows 0401 to 0403, P5.6, P15.7).

use tradewind_engine::audit::Auditor;
use tradewind_engine::outcome::Loan;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    loan_cause, EventKind, InterestIndexBody, LoanBody, LoanLiquidatedBody, LoanLossBody, LoanMovedBody,
};
use tradewind_engine::wire::record::Record;
use tradewind_engine::wire::Code;
use tradewind_engine::{id, ledger::line, Engine, FastBook};

use crate::outcome::{outcome_request, sets};
use crate::outcome_books::on;
use crate::resolution::{finalise, proposal};
use crate::support::*;

pub const DOLLAR: i64 = 1_000_000;
/// What the vault begins with.
pub const LENT_FROM: i64 = 200_000 * DOLLAR;
/// A whole position of the tests: 1,000 contracts.
pub const LOTS: i64 = 1_000_000;
pub const PLEDGE: u8 = 128;

/// A settlement asset, three rich owners, a vault of $200,000.
pub fn lending_world() -> World {
    let mut world: World = World::bare();
    world.accept(register_asset(*b"BTC\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    let usdc: RegisterAsset = register_asset(*b"USDC\0\0\0\0\0\0\0\0\0\0\0\0").payload_as();
    let usdc = RegisterAsset {
        initial_asset_bp: 10_000,
        maintenance_asset_bp: 10_000,
        initial_liability_bp: 10_000,
        maintenance_liability_bp: 10_000,
        asset_flags: asset_flag::SETTLEMENT,
        ..usdc
    };
    world.accept(by(OPERATOR, Kind::RegisterAsset).with(&usdc));
    for owner in OWNERS {
        world.accept(open_account(owner));
        world.deposit(owner, USDC, 10_000_000 * DOLLAR);
    }
    world.accept(by(OPERATOR, Kind::DepositVault).with(&DepositVault { amount: LENT_FROM }));
    world.advance(61 * SECOND);
    world.tick();
    world.advance(61 * SECOND);
    world.tick();
    world
}

/// A market without fees in which BOB asks and CAROL bids for outcome 0: 0.50 and 0.49 for $5,000 each way.
pub fn lent_market(world: &mut World, outcome_count: u8) -> u32 {
    lent_market_in_band(world, outcome_count, outcome_request(0, outcome_count).band_bp)
}

/// The same with a band of its own around the reference.
pub fn lent_market_in_band(world: &mut World, outcome_count: u8, band_bp: u16) -> u32 {
    lent_market_as(world, CreateMarket { band_bp, taker_fee_e6bp: 0, ..outcome_request(0, outcome_count) })
}

/// The same with a taker fee, in 1e-6 bp.
pub fn lent_market_with_fee(world: &mut World, outcome_count: u8, taker_fee_e6bp: u32) -> u32 {
    lent_market_as(world, CreateMarket { taker_fee_e6bp, ..outcome_request(0, outcome_count) })
}

/// The same with these terms, but for nonce and settlement.
fn lent_market_as(world: &mut World, terms: CreateMarket) -> u32 {
    let outcome_count = terms.outcome_count;
    let request = CreateMarket {
        nonce: 300 + world.engine.sizes().1 as u64,
        settle_time_ns: world.now_ns + 30 * DAY,
        ..terms
    };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    for owner in [BOB, CAROL] {
        world.accept(sets(owner, Kind::MintSet, market, 100 * LOTS));
    }
    world.accept(place(BOB, on(market, 0, side::SELL, 500, 10 * LOTS)));
    world.accept(place(CAROL, on(market, 0, side::BUY, 490, 10 * LOTS)));
    // What the first outcome is not the others share, so that all have marks.
    let rest = 1_000 - 495;
    for outcome in 1..outcome_count {
        if outcome_count > 2 {
            let middle = rest / i64::from(outcome_count - 1);
            world.accept(place(BOB, on(market, outcome, side::SELL, middle + 2, LOTS)));
            world.accept(place(CAROL, on(market, outcome, side::BUY, middle - 2, LOTS)));
        }
    }
    market
}

pub fn long(market: u32, lots: i64, max_price: i64, leverage_e2: u32) -> OpenLeveraged {
    OpenLeveraged { market, lots, max_price, leverage_e2, ..OpenLeveraged::zero() }
}

pub fn open(owner: Key, request: OpenLeveraged) -> Command {
    by(owner, Kind::OpenLeveraged).with(&request)
}

pub fn close(owner: Key, market: u32, lots: i64, limit: i64) -> Command {
    by(owner, Kind::CloseLeveraged).with(&CloseLeveraged { market, lots, limit, ..CloseLeveraged::zero() })
}

fn repay(owner: Key, market: u32, amount: i64) -> Command {
    by(owner, Kind::RepayLoan).with(&RepayLoan { market, amount, ..RepayLoan::zero() })
}

pub fn loan(world: &World, owner: Key, market: u32, outcome: u8) -> Option<Loan> {
    world.engine.loan_of(&id::account_id(&owner), 0, market, outcome).map(|found| found.1)
}

/// Free, and owed, of a pledge.
fn pledged(world: &World, owner: Key, pledge: u8) -> (i64, i64) {
    let at = |line| world.engine.balance(&id::account_id(&owner), pledge, USDC, line).expect("an account");
    (at(line::FREE), at(line::LOAN))
}

fn vault(world: &World) -> (i64, i64) {
    let at = |line| world.engine.system_balance(line, 0, USDC);
    (at(line::VAULT_CASH), at(line::VAULT_LOANS))
}

fn told<T: Record>(world: &World, kind: EventKind) -> Vec<T> {
    world.events().iter().filter(|event| event.0 == kind).map(|event| event.1.body_as()).collect()
}

/// The same state, restored; its auditor starts anew and every part is verified.
pub fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes);
    world.auditor = Auditor::from_engine(&world.engine).expect("a sound state");
    world.auditor.verify().expect("every invariant");
}

/// Ticks second by second.
pub fn seconds(world: &mut World, count: i64) {
    for _ in 0..count {
        world.advance(SECOND);
        world.tick();
    }
}

#[test]
fn p4_6_1_a_loan_buys_claims_that_only_the_pledge_holds() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let free = world.free(ALICE, USDC);
    let pledge = world.accept(open(ALICE, long(market, LOTS, 500, 500))).value;
    assert_eq!(pledge, u64::from(PLEDGE));
    let body: LoanBody = told(&world, EventKind::LoanOpened)[0];
    assert_eq!((body.loan, body.margin, body.mark), (400 * DOLLAR, 100 * DOLLAR, 495));
    assert_eq!(world.free(ALICE, USDC), free - 100 * DOLLAR);
    let found = loan(&world, ALICE, market, 0).expect("a position");
    assert_eq!((found.debt, found.shares), (400 * DOLLAR, 1_000 * DOLLAR));
    assert_eq!(pledged(&world, ALICE, PLEDGE), (0, -400 * DOLLAR));
    assert_eq!(vault(&world), (LENT_FROM - 400 * DOLLAR, 400 * DOLLAR));
    let alice = id::account_id(&ALICE);
    assert_eq!(world.engine.claim(&alice, 0, market, 0), Some((0, 0)));
    assert_eq!(world.engine.claim(&alice, PLEDGE, market, 0), Some((1_000 * DOLLAR, 0)));
    // P9.1: if the outcome loses, the debt is what the vault misses.
    assert_eq!(world.engine.worst_cases().part(market).worst_case, 400 * DOLLAR);
    world.auditor.verify().unwrap();
    restored(&mut world);
    // What is pledged can be sold, merged or moved by nobody.
    world.refuse(place(ALICE, on(market, 0, side::SELL, 500, 1)), Code::INSUFFICIENT_SHARES);
    world.refuse(sets(ALICE, Kind::MergeSet, market, 1), Code::SET_INCOMPLETE);
    let into = Transfer { to_sub: PLEDGE, asset: USDC, amount: 1, ..Transfer::zero() };
    world.refuse(by(ALICE, Kind::Transfer).with(&into), Code::SUB_ACCOUNT_NOT_FOUND);
    let named = Command { sub: PLEDGE, ..sets(ALICE, Kind::MergeSet, market, 1) };
    world.refuse(named, Code::SUB_ACCOUNT_NOT_FOUND);
}

#[test]
fn what_a_purchase_does_not_take_pays_the_loan_back_at_once() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let free = world.free(ALICE, USDC);
    world.accept(open(ALICE, long(market, LOTS, 520, 400)));
    // $520 at fourfold: $130 of margin, $390 lent; $20 were not needed.
    assert_eq!(world.free(ALICE, USDC), free - 130 * DOLLAR);
    assert_eq!(loan(&world, ALICE, market, 0).unwrap().debt, 370 * DOLLAR);
    let body: LoanMovedBody = told(&world, EventKind::LoanMoved)[0];
    assert_eq!((body.cause, body.repaid, body.returned), (loan_cause::ORDER, 20 * DOLLAR, 0));
}

#[test]
fn p3_5_a_loan_may_fund_a_new_set_and_a_short_of_two_outcomes_is_long_the_other() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    // CAROL bids 0.49 for outcome 0: buying the other one at 0.51 makes sets with her.
    let short = OpenLeveraged { side: 1, ..long(market, LOTS, 510, 500) };
    world.accept(open(ALICE, short));
    let found = loan(&world, ALICE, market, 1).expect("it holds the other outcome");
    assert_eq!((found.debt, found.shares), (408 * DOLLAR, 1_000 * DOLLAR));
    assert_eq!(loan(&world, ALICE, market, 0), None);
    let request = CloseLeveraged { market, side: 1, limit: 490, ..CloseLeveraged::zero() };
    world.accept(by(ALICE, Kind::CloseLeveraged).with(&request));
    assert_eq!(loan(&world, ALICE, market, 1), None);
    assert_eq!(vault(&world), (LENT_FROM, 0));
    world.auditor.verify().unwrap();
}

#[test]
fn a_position_grows_by_another_loan_and_two_outcomes_are_two_positions() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    world.accept(open(ALICE, long(market, LOTS, 500, 200)));
    let found = loan(&world, ALICE, market, 0).expect("a position");
    assert_eq!((found.debt, found.shares), (650 * DOLLAR, 2_000 * DOLLAR));
    let other = OpenLeveraged { outcome: 1, ..long(market, LOTS, 510, 200) };
    assert_eq!(world.accept(open(ALICE, other)).value, u64::from(PLEDGE) + 1);
    // Only one of the two can lose.
    assert_eq!(world.engine.worst_cases().part(market).worst_case, 650 * DOLLAR);
    restored(&mut world);
    world.accept(close(ALICE, market, 0, 490));
    assert_eq!(world.engine.worst_cases().part(market).worst_case, 255 * DOLLAR);
}

#[test]
fn row_0402_refuses_in_the_order_of_the_protocol() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let three = lent_market(&mut world, 3);
    let good = long(market, LOTS, 500, 500);
    world.refuse(open(ALICE, OpenLeveraged { market: 99, ..good }), Code::MARKET_NOT_FOUND);
    world.refuse(open(ALICE, OpenLeveraged { outcome: 2, ..good }), Code::INVALID_OUTCOME);
    world.refuse(open(ALICE, OpenLeveraged { side: 2, ..good }), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(open(ALICE, OpenLeveraged { reserved2: 1, ..good }), Code::RESERVED_NOT_ZERO);
    world.refuse(open(ALICE, OpenLeveraged { lots: 0, ..good }), Code::INVALID_SIZE);
    world.refuse(open(ALICE, OpenLeveraged { max_price: 1_000, ..good }), Code::INVALID_PRICE);
    // From here on every request fails all the later checks, too.
    let bad = OpenLeveraged { lots: 1_000 * LOTS, max_price: 400, ..good };
    world.refuse(open(ALICE, OpenLeveraged { leverage_e2: 0, ..bad }), Code::INVALID_LEVERAGE);
    world.refuse(open(ALICE, OpenLeveraged { leverage_e2: 99, ..bad }), Code::INVALID_LEVERAGE);
    let high =
        world.refuse(open(ALICE, OpenLeveraged { leverage_e2: 7_001, ..bad }), Code::LEVERAGE_TOO_HIGH);
    assert_eq!((high.bound & 0xFFFF_FFFF, high.bound >> 32), (7_000, 1), "the tier binds");
    let third = OpenLeveraged { market: three, leverage_e2: 2_501, ..bad };
    assert_eq!(world.refuse(open(ALICE, third), Code::LEVERAGE_TOO_HIGH).bound, 2_500 | 1 << 32);
    let suits = OpenLeveraged { leverage_e2: 1_001, ..bad };
    world.refuse(open(ALICE, suits), Code::SUITABILITY_REQUIRED);
    let used = world.refuse(open(ALICE, OpenLeveraged { leverage_e2: 1_000, ..bad }), Code::UTILISATION_CAP);
    assert_eq!((used.bound, used.given), (160_000 * DOLLAR, 360_000 * DOLLAR));
    let exposed = OpenLeveraged { lots: 30 * LOTS, ..bad };
    let exposed =
        world.refuse(open(ALICE, OpenLeveraged { leverage_e2: 1_000, ..exposed }), Code::EXPOSURE_LIMIT);
    assert_eq!((exposed.bound, exposed.given), (10_000 * DOLLAR, 10_800 * DOLLAR));
    // At 0.495 the $500 of a tenfold purchase have an equity of $45, and need $49.50.
    let thin =
        world.refuse(open(ALICE, OpenLeveraged { leverage_e2: 1_000, ..good }), Code::INSUFFICIENT_MARGIN);
    assert_eq!((thin.bound, thin.given), (45_000_000, 49_500_000));
    world.accept(open(ALICE, OpenLeveraged { leverage_e2: 900, max_price: 500, ..good }));
    let slipped = OpenLeveraged { max_price: 499, ..good };
    let slipped = world.refuse(open(CAROL, slipped), Code::SLIPPAGE_EXCEEDED);
    assert_eq!((slipped.bound, slipped.given), (0, LOTS));
    // Of an owner who has nothing.
    world.accept(open_account(key(0xD4)));
    let poor = world.refuse(open(key(0xD4), good), Code::INSUFFICIENT_MARGIN);
    assert_eq!((poor.bound, poor.given), (0, 100 * DOLLAR));
    // Within the last hour no debt may begin: row 0402 has it before the vault's limits.
    world.wait(30 * DAY - HOUR - 10 * SECOND);
    world.refuse(open(ALICE, OpenLeveraged { leverage_e2: 7_001, ..bad }), Code::LEVERAGE_TOO_HIGH);
    world.wait(10 * SECOND);
    world.refuse(open(ALICE, OpenLeveraged { leverage_e2: 1_000, ..bad }), Code::IN_RESOLUTION_BUFFER);
}

#[test]
fn p4_5_a_suitable_owner_may_ask_for_more_and_a_poor_vault_allows_less() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let flag = SetSuitability { level: 1, expiry_ns: world.now_ns + DAY, ..SetSuitability::zero() };
    let flagged = Command { account: id::account_id(&ALICE), ..by(RISK, Kind::SetSuitability).with(&flag) };
    world.accept(flagged);
    // J of one tenth binds: the leverage is allowed, the margin is not.
    world.refuse(open(ALICE, long(market, LOTS, 500, 1_500)), Code::INSUFFICIENT_MARGIN);
    let mut poor: World = lending_world();
    let market = lent_market(&mut poor, 2);
    // The first deposit made a share of each micro-unit.
    let exit = RequestVaultExit { shares: LENT_FROM - 5_500 * DOLLAR };
    poor.accept(by(OPERATOR, Kind::RequestVaultExit).with(&exit));
    poor.wait(27 * HOUR);
    assert_eq!(vault(&poor).0, 5_500 * DOLLAR);
    let stage = poor.refuse(open(ALICE, long(market, LOTS / 10, 500, 600)), Code::STAGE_FORBIDS);
    assert_eq!((stage.bound, stage.given), (100, 0));
}

#[test]
fn row_0401_a_close_pays_the_debt_first_and_never_sells_below_bankruptcy() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let free = world.free(ALICE, USDC);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    world.refuse(close(ALICE, market, LOTS + 1, 490), Code::INSUFFICIENT_SHARES);
    world.refuse(close(ALICE, market, 0, 1_000), Code::INVALID_PRICE);
    world.refuse(close(BOB, market, 0, 490), Code::POSITION_NOT_FOUND);
    world.refuse(close(ALICE, market, 0, 491), Code::SLIPPAGE_EXCEEDED);
    world.accept(close(ALICE, market, LOTS / 2, 490));
    let half = loan(&world, ALICE, market, 0).expect("half is left");
    assert_eq!((half.debt, half.shares), (155 * DOLLAR, 500 * DOLLAR));
    assert_eq!(world.free(ALICE, USDC), free - 100 * DOLLAR);
    // The book falls; what is left of the bids is below the price that pays the debt.
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    world.wait(20 * 60 * SECOND);
    world.accept(place(CAROL, on(market, 0, side::BUY, 309, LOTS)));
    let low = world.refuse(close(ALICE, market, 0, 1), Code::SLIPPAGE_EXCEEDED);
    assert_eq!(low.bound, 310);
    world.accept(place(CAROL, on(market, 0, side::BUY, 310, LOTS)));
    world.accept(close(ALICE, market, 0, 1));
    assert_eq!(loan(&world, ALICE, market, 0), None);
    assert_eq!((vault(&world), pledged(&world, ALICE, PLEDGE)), ((LENT_FROM, 0), (0, 0)));
    assert_eq!(world.free(ALICE, USDC), free - 100 * DOLLAR);
    assert_eq!(world.engine.worst_cases().part(market).worst_case, 0);
    world.auditor.verify().unwrap();
}

#[test]
fn a_close_in_profit_pays_the_owner_after_the_vault() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let free = world.free(ALICE, USDC);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    world.accept(cancel_all(BOB, market));
    world.accept(place(BOB, on(market, 0, side::BUY, 520, LOTS)));
    world.accept(close(ALICE, market, 0, 520));
    assert_eq!(world.free(ALICE, USDC), free + 20 * DOLLAR);
}

#[test]
fn row_0403_paying_back_lowers_the_debt_and_nothing_else() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    world.refuse(repay(ALICE, market, 0), Code::INVALID_AMOUNT);
    world.refuse(repay(ALICE, market, 400 * DOLLAR + 1), Code::ABOVE_MAXIMUM);
    world.refuse(repay(BOB, market, 1), Code::POSITION_NOT_FOUND);
    let free = world.free(ALICE, USDC);
    assert_eq!(world.accept(repay(ALICE, market, 150 * DOLLAR)).value, 250 * DOLLAR as u64);
    assert_eq!(world.free(ALICE, USDC), free - 150 * DOLLAR);
    assert_eq!(vault(&world), (LENT_FROM - 250 * DOLLAR, 250 * DOLLAR));
    world.accept(repay(ALICE, market, 250 * DOLLAR));
    // Without debt it stays a position until it is closed.
    assert_eq!(loan(&world, ALICE, market, 0).unwrap().debt, 0);
    world.accept(close(ALICE, market, 0, 490));
    assert_eq!(world.free(ALICE, USDC), free - 400 * DOLLAR + 490 * DOLLAR);
    restored(&mut world);
}

#[test]
fn p4_6_5_interest_steps_every_hour_and_the_vault_is_worth_more_at_once() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    world.accept(open(BOB, OpenLeveraged { outcome: 1, ..long(market, LOTS, 510, 200) }));
    let hour_ns = (world.now_ns / HOUR + 1) * HOUR;
    let rest_ns = hour_ns - world.now_ns;
    world.advance(rest_ns - 1);
    world.tick();
    assert_eq!(loan(&world, ALICE, market, 0).unwrap().debt, 400 * DOLLAR);
    world.advance(1);
    world.tick();
    let step: InterestIndexBody = told(&world, EventKind::InterestIndexMoved)[0];
    // $655 of $200,000 are lent: 0.3275 %, rounded up to the ppm; 4 % + 10 % of it.
    assert_eq!((step.utilisation_ppm, step.apr_ppm, step.hours), (3_275, 40_328, 1));
    let (a, b) = (loan(&world, ALICE, market, 0).unwrap().debt, loan(&world, BOB, market, 1).unwrap().debt);
    let owed = |debt: i128| (debt * 40_328 + 8_760 * 1_000_000 - 1) / (8_760 * 1_000_000);
    assert_eq!(i128::from(a), 400_000_000 + owed(400_000_000));
    assert_eq!(i128::from(b), 255_000_000 + owed(255_000_000));
    assert_eq!(vault(&world).1, a + b);
    assert_eq!(pledged(&world, ALICE, PLEDGE).1, -a);
    restored(&mut world);
    // Hours that pass without a Tick are charged together.
    let step = AdvanceTime { reason: [7; 48] };
    world.advance(10 * HOUR);
    let command: Command = by(SYSTEM, Kind::AdvanceTime).with(&step);
    world.accept(Command { account: [0; 32], ..command });
    world.tick();
    assert_eq!(told::<InterestIndexBody>(&world, EventKind::InterestIndexMoved)[0].hours, 10);
    world.auditor.verify().unwrap();
}

#[test]
fn p5_5_a_fallen_mark_sells_so_much_that_the_rest_is_healthy() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(open(ALICE, long(market, 4 * LOTS, 500, 900)));
    // Debt of $1,777.77 for 4,000 contracts: $0.4444 each, healthy above 0.468 at a maintenance of 5 %.
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    world.accept(place(CAROL, on(market, 0, side::BUY, 460, 50 * LOTS)));
    world.accept(place(BOB, on(market, 0, side::SELL, 464, 50 * LOTS)));
    seconds(&mut world, 3);
    let found = loan(&world, ALICE, market, 0).expect("a part is left");
    assert!(found.shares < 4_000 * DOLLAR && found.shares > 0, "{found:?}");
    let pledge = (0, PLEDGE);
    let (valued, _) = world.engine.loan_health(pledge).expect("it has a mark");
    assert!(valued.is_healthy(), "{valued:?}");
    assert!(i128::from(valued.equity) * 10 >= valued.maintenance * 9, "{valued:?}");
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p5_1_a_position_at_its_maintenance_margin_is_healthy_and_is_not_sold() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    for _ in 0..50 {
        world.advance(SECOND);
        world.tick();
        assert!(!world.kinds().contains(&EventKind::LoanLiquidated));
    }
}

#[test]
fn p4_6_3_the_ramp_leaves_no_debt_for_the_last_hour() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let settle_ns = world.now_ns + 30 * DAY;
    world.accept(open(ALICE, long(market, 4 * LOTS, 500, 300)));
    world.accept(open(OPERATOR, OpenLeveraged { outcome: 1, ..long(market, LOTS, 510, 200) }));
    world.wait(settle_ns - world.now_ns - 25 * HOUR);
    assert!(loan(&world, ALICE, market, 0).unwrap().shares == 4_000 * DOLLAR);
    let mut sold = 0;
    while world.now_ns < settle_ns - HOUR + 20 * SECOND {
        world.advance(60 * SECOND);
        world.tick();
        for body in told::<LoanLiquidatedBody>(&world, EventKind::LoanLiquidated) {
            assert!(i128::from(body.value) - i128::from(body.debt) < i128::from(body.maintenance));
            sold += 1;
        }
    }
    assert!(sold > 1, "deleveraging goes in steps, there were {sold}");
    seconds(&mut world, 3);
    let left = world.engine.loans().map(|(_, loan)| loan.debt).sum::<i64>();
    assert_eq!((left, vault(&world).1), (0, 0));
    assert!(vault(&world).0 > LENT_FROM, "the interest is the vault's");
    world.auditor.verify().unwrap();
}

/// Closes the market at its time and pays the outcome.
fn resolve(world: &mut World, market: u32, settle_ns: i64, outcome: u8) {
    world.wait(settle_ns - world.now_ns);
    world.accept(proposal(CAROL, market, outcome));
    world.wait(2 * HOUR + SECOND);
    world.accept(finalise(market));
    seconds(world, 3);
}

#[test]
fn p15_7_a_payout_pays_the_debt_first() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let settle_ns = world.now_ns + 30 * DAY;
    world.accept(open(ALICE, long(market, LOTS, 500, 200)));
    // Nobody buys: what it owes is paid by the market.
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    world.wait(settle_ns - world.now_ns - SECOND);
    let owed = loan(&world, ALICE, market, 0).expect("no buyer").debt;
    assert!(owed > 250 * DOLLAR);
    let free = world.free(ALICE, USDC);
    resolve(&mut world, market, settle_ns, 0);
    assert_eq!(loan(&world, ALICE, market, 0), None);
    let paid = world.free(ALICE, USDC) - free;
    assert!(paid < 750 * DOLLAR && paid > 749 * DOLLAR, "{paid}");
    assert_eq!(vault(&world).1, 0);
    // Of the vault's gain a tenth is its performance fee.
    let all = vault(&world).0 + world.engine.system_balance(line::TREASURY, 0, USDC) + paid;
    assert_eq!(all, LENT_FROM + 750 * DOLLAR, "what is not Alice's is the vault's");
    restored(&mut world);
}

#[test]
fn p5_6_what_a_losing_position_owes_is_paid_by_insurance_within_its_limit_and_then_by_the_vault() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    let settle_ns = world.now_ns + 30 * DAY;
    world.accept(by(CAROL, Kind::FundInsurance).with(&FundInsurance {
        asset: USDC,
        amount: 500 * DOLLAR,
        ..FundInsurance::zero()
    }));
    world.accept(open(ALICE, long(market, LOTS, 500, 200)));
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    world.wait(settle_ns - world.now_ns - SECOND);
    let owed = loan(&world, ALICE, market, 0).expect("no buyer").debt;
    let free = world.free(ALICE, USDC);
    world.wait(settle_ns - world.now_ns);
    world.accept(proposal(CAROL, market, 1));
    world.wait(2 * HOUR + SECOND);
    let before = vault(&world);
    let grown = loan(&world, ALICE, market, 0).expect("not paid yet").debt - owed;
    world.accept(finalise(market));
    world.advance(SECOND);
    world.tick();
    let loss: LoanLossBody = told(&world, EventKind::LoanLossCovered)[0];
    assert_eq!((loss.taken, loss.liquidation_fees, loss.insurance), (0, 0, 100 * DOLLAR));
    assert_eq!(loss.vault, owed + grown - 100 * DOLLAR);
    assert_eq!(loan(&world, ALICE, market, 0), None);
    assert_eq!(world.free(ALICE, USDC), free, "nobody pays more than the position");
    assert_eq!(vault(&world), (before.0 + 100 * DOLLAR, 0));
    world.auditor.verify().unwrap();
    restored(&mut world);
}

#[test]
fn p5_6_after_five_seconds_without_a_buyer_insurance_takes_what_is_under_water() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(by(CAROL, Kind::FundInsurance).with(&FundInsurance {
        asset: USDC,
        amount: 100_000 * DOLLAR,
        ..FundInsurance::zero()
    }));
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    // Bids of 0.30 pay no debt of 0.40.
    world.accept(place(CAROL, on(market, 0, side::BUY, 298, 50 * LOTS)));
    world.accept(place(BOB, on(market, 0, side::SELL, 302, 50 * LOTS)));
    let (free, fund) = (world.free(ALICE, USDC), world.engine.system_balance(line::INSURANCE, 0, USDC));
    let mut taken = Vec::new();
    for second in 1..=20 {
        world.advance(SECOND);
        world.tick();
        taken.extend(told::<LoanLossBody>(&world, EventKind::LoanLossCovered));
        // Its mark falls by 0.05 a second, below the debt with the second one; five later insurance may.
        assert!(second >= 7 || taken.is_empty(), "taken in second {second}");
    }
    assert_eq!(taken.len(), 1);
    // Of the dollars that the claims are not worth (P9.12) a hundredth stays with the vault.
    let own = (400 * DOLLAR - LOTS * 300 + 99) / 100;
    assert_eq!((taken[0].taken, taken[0].insurance, taken[0].vault), (1, 400 * DOLLAR - own, own));
    assert_eq!(loan(&world, ALICE, market, 0), None, "it is not Alice's any more");
    assert_eq!(vault(&world), (LENT_FROM - own, 0));
    assert_eq!(world.free(ALICE, USDC), free);
    restored(&mut world);
    // The same owner may open a position again, beside what insurance holds.
    assert_eq!(world.accept(open(ALICE, long(market, LOTS / 10, 302, 200))).value, u64::from(PLEDGE) + 1);
    let settle_ns = START + 30 * DAY + 122 * SECOND;
    resolve(&mut world, market, settle_ns, 0);
    let now = world.engine.system_balance(line::INSURANCE, 0, USDC);
    assert_eq!(now - fund, 600 * DOLLAR + own, "the claims paid $1,000 for what insurance gave");
    assert_eq!(world.engine.loans().count(), 0);
    world.auditor.verify().unwrap();
}

#[test]
fn p2_1_4_a_purchase_over_many_makers_goes_on_behind_its_command_and_is_shared_out_by_the_next_tick() {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(cancel_all(BOB, market));
    for _ in 0..20 {
        world.accept(place(BOB, on(market, 0, side::SELL, 500, LOTS / 20)));
    }
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    assert_eq!(loan(&world, ALICE, market, 0).unwrap().shares, 0, "not shared out yet");
    world.refuse(close(ALICE, market, 0, 490), Code::POSITION_NOT_FOUND);
    restored(&mut world);
    world.tick();
    assert_eq!(loan(&world, ALICE, market, 0).unwrap().shares, 1_000 * DOLLAR);
    assert_eq!(loan(&world, ALICE, market, 0).unwrap().debt, 400 * DOLLAR);
    world.auditor.verify().unwrap();
}

/// A step of a random history: who, what, how much, and how long after the step before.
type Deal = (u8, u8, i64, i64, u32);

fn play(world: &mut World, markets: [u32; 2], &(who, what, lots, price, pause_s): &Deal) {
    world.advance(i64::from(pause_s) * SECOND);
    let owner = OWNERS[usize::from(who) % 4];
    let market = markets[usize::from(what / 16) % 2];
    let outcome = (what / 32) % 2;
    let leverage_e2 = 100 + (lots as u32 * 7) % 800;
    let request = OpenLeveraged { outcome, ..long(market, lots * 100, price.max(500) + 20, leverage_e2) };
    let closing =
        CloseLeveraged { market, outcome, lots: lots % 3 * 100, limit: price / 2, ..CloseLeveraged::zero() };
    let command = match what % 16 {
        0..=3 => open(owner, request),
        4 | 5 => by(owner, Kind::CloseLeveraged).with(&closing),
        6 => {
            by(owner, Kind::RepayLoan).with(&RepayLoan { market, outcome, amount: lots, ..RepayLoan::zero() })
        }
        7 => cancel_all(owner, market),
        8..=10 => place(owner, on(market, outcome, side::BUY, price, lots * 300)),
        11..=13 => place(owner, on(market, outcome, side::SELL, price, lots * 300)),
        _ => {
            world.tick();
            return;
        }
    };
    world.send(command);
}

proptest::proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn any_history_of_loans_keeps_every_invariant_and_is_restored_alike(
        deals in proptest::collection::vec((0..4_u8, 0..64_u8, 1..4_000_i64, 300..700_i64, 0..400_u32), 60..200),
        winner in 0..2_u8,
    ) {
        let mut world = lending_world();
        let markets = [lent_market(&mut world, 2), lent_market(&mut world, 3)];
        let settle_ns = world.now_ns + 30 * DAY;
        let (first, second) = deals.split_at(deals.len() / 2);
        first.iter().for_each(|deal| play(&mut world, markets, deal));
        restored(&mut world);
        world.wait((settle_ns - 12 * HOUR - world.now_ns).max(0));
        second.iter().for_each(|deal| play(&mut world, markets, deal));
        world.auditor.verify().unwrap();
        for market in markets {
            let from_ns = settle_ns.max(world.now_ns);
            resolve(&mut world, market, from_ns, winner);
        }
        seconds(&mut world, 400);
        proptest::prop_assert_eq!(world.engine.loans().count(), 0);
        proptest::prop_assert_eq!(vault(&world).1, 0);
        world.auditor.verify().unwrap();
        restored(&mut world);
    }
}
