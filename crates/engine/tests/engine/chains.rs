//! Chains: linked steps that happen together or not at all (P15.9, row 0E01, P8.10).

use tradewind_engine::audit::Auditor;
use tradewind_engine::verse::{slug, NONE};
use tradewind_engine::wire::chains::chain_step;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    ChainBody, ChainChargeBody, ChainEndBody, ChainStepBody, EventKind, FlashBody, VaultDepositBody,
    VaultExitBody,
};
use tradewind_engine::wire::record::Record;
use tradewind_engine::wire::Code;
use tradewind_engine::{fees, ledger::line};

use crate::loans::{lending_world, restored, DOLLAR, LENT_FROM};
use crate::outcome::{claim, outcome_request};
use crate::support::*;

/// A market with a pool of $2,000.
pub fn pooled(world: &mut World, outcome_count: u8) -> u32 {
    let nonce = 700 + world.engine.sizes().1 as u64;
    let settle_time_ns = world.now_ns + 60 * DAY;
    let request = CreateMarket { settle_time_ns, ..outcome_request(nonce, outcome_count) };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    let pool = CreatePool { market, funding: 2_000 * DOLLAR, ..CreatePool::zero() };
    world.accept(by(OPERATOR, Kind::CreatePool).with(&pool));
    market
}

/// A settlement asset, a vault, and a market of three outcomes with a pool.
pub fn chain_world() -> (World, u32) {
    let mut world = lending_world();
    let market = pooled(&mut world, 3);
    (world, market)
}

pub fn step(kind: u8, market: u32, outcome: u8, amount: i64, limit: i64) -> ChainStep {
    ChainStep { kind, outcome, detail: 0, market, amount, limit }
}

pub fn mint(market: u32, contracts: i64) -> ChainStep {
    step(chain_step::MINT_SET, market, 0, contracts * 1_000, 0)
}

pub fn pool_buy(market: u32, outcome: u8, money: i64) -> ChainStep {
    step(chain_step::POOL_BUY, market, outcome, money, 1)
}

pub fn pool_sell(market: u32, outcome: u8, shares: i64, least: i64) -> ChainStep {
    step(chain_step::POOL_SELL, market, outcome, shares, least)
}

pub fn into_vault(amount: i64) -> ChainStep {
    step(chain_step::DEPOSIT_VAULT, 0, 0, amount, 0)
}

pub fn flash(amount: i64) -> ChainStep {
    step(chain_step::FLASH_BORROW, 0, 0, amount, 0)
}

pub fn chain(owner: Key, steps: &[ChainStep]) -> Command {
    let mut places = [ChainStep::zero(); 3];
    places[..steps.len()].copy_from_slice(steps);
    by(owner, Kind::OpenChain).with(&OpenChain::of(places))
}

pub fn close(owner: Key, chain: u64, limits: [i64; 3]) -> Command {
    let [limit_1, limit_2, limit_3] = limits;
    by(owner, Kind::CloseChain).with(&CloseChain { chain, limit_1, limit_2, limit_3, ..CloseChain::zero() })
}

pub fn release(owner: Key, chain: u64) -> Command {
    by(owner, Kind::CloseChain).with(&CloseChain { chain, release: 1, ..CloseChain::zero() })
}

pub fn told<T: Record>(world: &World, kind: EventKind) -> Vec<T> {
    world.events().iter().filter(|event| event.0 == kind).map(|event| event.1.body_as()).collect()
}

/// The chain is refused by this step with this code.
#[track_caller]
pub fn fails(world: &mut World, command: Command, step: i64, code: Code) {
    let result = world.refuse(command, Code::CHAIN_STEP_FAILED);
    let inner = Code::from_number(result.given as u16);
    assert_eq!((result.bound, inner), (step, Some(code)));
}

fn link(world: &mut World, name: &str, parent: u32, market: u32) -> u32 {
    let request = CreateVerse { parent, reserved: 0, slug: slug(name).expect("a short name") };
    let verse = world.accept(by(OPERATOR, Kind::CreateVerse).with(&request)).value as u32;
    world.accept(by(OPERATOR, Kind::LinkMarket).with(&LinkMarket { market, verse }));
    verse
}

/// RISK publishes, a tenth a day.
fn correlate(world: &mut World, bucket: u32, target_ppm: u32) {
    let mut rho_ppm = 1_000_000;
    while rho_ppm > target_ppm {
        rho_ppm = (rho_ppm - 100_000).max(target_ppm);
        world.wait(DAY + SECOND);
        world.accept(by(RISK, Kind::PublishRisk).with(&PublishRisk {
            bucket,
            rho_ppm,
            evidence_hash: [7; 32],
        }));
    }
}

#[test]
fn p15_9_2_steps_move_real_balances_in_order_and_the_fee_is_charged_behind_them() {
    let (mut world, market) = chain_world();
    let before = world.free(ALICE, USDC);
    let kept = |world: &World, line| world.engine.system_balance(line, 0, USDC);
    let vault = kept(&world, line::VAULT_CASH);
    // A set for $100, of which outcome 2 is sold for $30 or more, and $50 for the vault.
    let steps = [mint(market, 100), pool_sell(market, 2, 100 * DOLLAR, 30 * DOLLAR), into_vault(50 * DOLLAR)];
    let number = world.accept(chain(ALICE, &steps)).value;
    assert_eq!(number, 1);
    let body: ChainBody = told(&world, EventKind::ChainOpened)[0];
    assert_eq!((body.chain, body.steps, body.verses, body.rate_bp), (1, 3, 0, 50));
    // 100 + 30 + 50: 50 bp of $180 are $0.90.
    assert_eq!((body.base, body.fee), (180 * DOLLAR, 900_000));
    let done: Vec<ChainStepBody> = told(&world, EventKind::ChainStepped);
    let results: Vec<_> = done.iter().map(|body| (body.step, body.done)).collect();
    assert_eq!(results[..2], [(1, 100_000), (2, 100 * DOLLAR)]);
    let vaulted: VaultDepositBody = told(&world, EventKind::VaultDeposited)[0];
    assert_eq!(results[2], (3, vaulted.held_shares));
    let charge: ChainChargeBody = told(&world, EventKind::ChainCharged)[0];
    assert_eq!((charge.fee, charge.exposure, charge.cap_e2), (900_000, 150 * DOLLAR, 2_500));
    let swap: tradewind_engine::wire::event::SwapBody = told(&world, EventKind::AmmSwapped)[0];
    let now = before - 150 * DOLLAR + swap.cost - swap.fee - 900_000;
    assert_eq!(world.free(ALICE, USDC), now);
    assert_eq!(charge.equity, now + 150 * DOLLAR);
    // 70 % of the fee, and what the swap and the deposit brought.
    let swap_part = fees::split(swap.fee, fees::Profile::Standard).vault - swap.provider_fee;
    assert_eq!(kept(&world, line::VAULT_CASH), vault + 50 * DOLLAR + swap_part + 630_000);
    assert_eq!(claim(&world, ALICE, market, 0), (100 * DOLLAR, 0));
    assert_eq!(claim(&world, ALICE, market, 2), (0, 0));
    world.auditor.verify().unwrap();
    restored(&mut world);
    assert_eq!(world.engine.chains().len(), 1);
    // Back again: the exit is asked for, the outcome bought back, the set merged.
    let limits = [0, 60 * DOLLAR, 0];
    world.accept(close(ALICE, number, limits));
    let undone: Vec<ChainStepBody> = told(&world, EventKind::ChainUnwound);
    assert_eq!(undone.iter().map(|body| body.step).collect::<Vec<_>>(), [3, 2, 1]);
    let body: ChainEndBody = told(&world, EventKind::ChainClosed)[0];
    assert_eq!((body.chain, body.steps, body.released), (1, 3, 0));
    assert_eq!(claim(&world, ALICE, market, 0), (0, 0));
    assert_eq!(told::<VaultExitBody>(&world, EventKind::VaultExitQueued)[0].held_shares, 0);
    assert!(world.engine.chains().is_empty());
    world.auditor.verify().unwrap();
    restored(&mut world);
    // Numbers are never used again.
    assert_eq!(world.accept(chain(ALICE, &steps[..1])).value, 2);
}

#[test]
fn p15_9_1_a_chain_has_one_to_three_steps_and_none_twice() {
    let (mut world, market) = chain_world();
    let one = mint(market, 10);
    world.refuse(chain(ALICE, &[]), Code::CHAIN_STEP_COUNT);
    let gap = OpenChain::of([one, ChainStep::zero(), into_vault(10 * DOLLAR)]);
    let answer = world.refuse(by(ALICE, Kind::OpenChain).with(&gap), Code::CHAIN_STEP_COUNT);
    assert_eq!((answer.bound, answer.given), (3, 2));
    let twice = world.refuse(chain(ALICE, &[one, into_vault(DOLLAR), mint(market, 20)]), Code::CHAIN_CYCLE);
    assert_eq!((twice.bound, twice.given), (1, 3));
    world.refuse(chain(ALICE, &[into_vault(DOLLAR), into_vault(2 * DOLLAR)]), Code::CHAIN_CYCLE);
    // Another outcome, or another kind, is another step.
    let buys = [pool_buy(market, 0, DOLLAR), pool_buy(market, 1, DOLLAR), pool_sell(market, 0, DOLLAR, 1)];
    world.accept(chain(ALICE, &buys));
    world.refuse(chain(ALICE, &[mint(market, 0)]), Code::CHAIN_STEP_FAILED);
    for kind in [9, 11, 255] {
        let unknown = step(kind, market, 0, DOLLAR, 1);
        fails(&mut world, chain(ALICE, &[one, unknown]), 2, Code::INVALID_ORDER_TYPE);
    }
    world.auditor.verify().unwrap();
}

#[test]
fn a_step_with_a_field_that_its_kind_does_not_know_is_refused() {
    let (mut world, market) = chain_world();
    let bad = [
        (ChainStep { outcome: 1, ..mint(market, 10) }, Code::RESERVED_NOT_ZERO),
        (ChainStep { limit: 1, ..mint(market, 10) }, Code::RESERVED_NOT_ZERO),
        (ChainStep { market: 1, ..into_vault(DOLLAR) }, Code::RESERVED_NOT_ZERO),
        (ChainStep { detail: 1, ..into_vault(DOLLAR) }, Code::RESERVED_NOT_ZERO),
        (ChainStep { outcome: 1, ..step(chain_step::STAKE, 0, 0, 100 * DOLLAR, 0) }, Code::RESERVED_NOT_ZERO),
        (
            ChainStep { detail: 1, ..step(chain_step::ADD_LIQUIDITY, market, 0, DOLLAR, 0) },
            Code::RESERVED_NOT_ZERO,
        ),
        (ChainStep { detail: 2, ..pool_buy(market, 0, DOLLAR) }, Code::INVALID_ORDER_TYPE),
        (ChainStep { limit: -1, ..pool_buy(market, 0, DOLLAR) }, Code::INVALID_AMOUNT),
        (ChainStep { amount: 0, ..pool_buy(market, 0, DOLLAR) }, Code::INVALID_AMOUNT),
        (ChainStep { market: 999, ..pool_buy(market, 0, DOLLAR) }, Code::MARKET_NOT_FOUND),
    ];
    for (step, code) in bad {
        fails(&mut world, chain(ALICE, &[step]), 1, code);
        fails(&mut world, chain(ALICE, &[pool_buy(market, 2, DOLLAR), step]), 2, code);
    }
}

#[test]
fn p15_9_1_a_refused_step_takes_everything_before_it_back() {
    let (mut world, market) = chain_world();
    let free = world.free(ALICE, USDC);
    let bought = [mint(market, 50), pool_buy(market, 0, 20 * DOLLAR)];
    let refuse = |world: &mut World, last: ChainStep, code| {
        fails(world, chain(ALICE, &[bought[0], bought[1], last]), 3, code);
    };
    refuse(&mut world, pool_sell(market, 1, 51 * DOLLAR, 1), Code::INSUFFICIENT_SHARES);
    refuse(&mut world, pool_sell(market, 1, 20 * DOLLAR, 19 * DOLLAR), Code::SLIPPAGE_EXCEEDED);
    refuse(&mut world, into_vault(DOLLAR - 1), Code::BELOW_MINIMUM);
    refuse(&mut world, into_vault(free - 60 * DOLLAR), Code::INSUFFICIENT_BALANCE);
    refuse(&mut world, step(chain_step::STAKE, 0, 0, 100 * DOLLAR, 0), Code::ASSET_NOT_FOUND);
    refuse(&mut world, step(chain_step::ADD_LIQUIDITY, market, 0, 99 * DOLLAR, 1), Code::BELOW_MINIMUM);
    // What is left does not pay the fee: the steps were done, and are undone.
    let (account, poor) = (key(0xD4), 100 * DOLLAR);
    world.accept(open_account(account));
    world.deposit(account, USDC, poor);
    let answer = world.refuse(chain(account, &[mint(market, 100)]), Code::INSUFFICIENT_BALANCE);
    assert_eq!((answer.bound, answer.given), (0, 500_000));
    world.accept(chain(account, &[mint(market, 99)]));
    world.auditor.verify().unwrap();
}

#[test]
fn p15_9_1_an_account_has_five_open_chains_of_a_dollar_or_more() {
    let (mut world, market) = chain_world();
    let small = ChainStep { amount: 999, ..mint(market, 1) };
    let answer = world.refuse(chain(ALICE, &[small]), Code::BELOW_MINIMUM);
    assert_eq!((answer.bound, answer.given), (DOLLAR, 999_000));
    for _ in 0..5 {
        world.accept(chain(ALICE, &[mint(market, 1)]));
    }
    let answer = world.refuse(chain(ALICE, &[mint(market, 1)]), Code::TOO_MANY_POSITIONS);
    assert_eq!((answer.bound, answer.given), (5, 5));
    world.accept(chain(BOB, &[mint(market, 1)]));
    world.accept(release(ALICE, 3));
    world.accept(chain(ALICE, &[mint(market, 1)]));
    // What a released chain held is its owner's.
    assert_eq!(claim(&world, ALICE, market, 0), (6 * DOLLAR, 0));
    restored(&mut world);
    world.refuse(chain(ALICE, &[mint(market, 1)]), Code::TOO_MANY_POSITIONS);
}

#[test]
fn p15_9_3_what_cannot_be_undone_whole_stays_open() {
    let (mut world, market) = chain_world();
    let steps =
        [pool_buy(market, 0, 50 * DOLLAR), step(chain_step::ADD_LIQUIDITY, market, 0, 200 * DOLLAR, 1)];
    let number = world.accept(chain(ALICE, &steps)).value;
    // The liquidity is locked for a day.
    fails(&mut world, close(ALICE, number, [1, 1, 0]), 2, Code::LIQUIDITY_LOCKED);
    world.wait(DAY);
    // The liquidity would come back, the claims not for that much: nothing is undone.
    fails(&mut world, close(ALICE, number, [60 * DOLLAR, 1, 0]), 1, Code::SLIPPAGE_EXCEEDED);
    assert_eq!(world.engine.chains().len(), 1);
    world.refuse(close(BOB, number, [1, 1, 0]), Code::WRONG_OWNER);
    world.refuse(close(ALICE, 9, [1, 1, 0]), Code::POSITION_NOT_FOUND);
    world.refuse(close(ALICE, number, [1, 1, 1]), Code::PARAMETER_OUT_OF_BOUNDS);
    let both = CloseChain { chain: number, release: 1, limit_1: 1, ..CloseChain::zero() };
    world.refuse(by(ALICE, Kind::CloseChain).with(&both), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(
        by(ALICE, Kind::CloseChain).with(&CloseChain { release: 2, ..both }),
        Code::PARAMETER_OUT_OF_BOUNDS,
    );
    world.refuse(
        by(ALICE, Kind::CloseChain).with(&CloseChain { reserved: 1, ..both }),
        Code::RESERVED_NOT_ZERO,
    );
    world
        .accept(by(ALICE, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..OpenSubAccount::zero() }));
    world.refuse(Command { sub: 1, ..close(ALICE, number, [1, 1, 0]) }, Code::SUB_ACCOUNT_NOT_FOUND);
    world.accept(close(ALICE, number, [DOLLAR, DOLLAR, 0]));
    world.refuse(close(ALICE, number, [1, 1, 0]), Code::POSITION_NOT_FOUND);
    world.auditor.verify().unwrap();
}

#[test]
fn p15_9_1_markets_of_a_chain_must_not_be_correlated_and_lie_in_three_verses_at_most() {
    let (mut world, first) = chain_world();
    let others: Vec<u32> = (0..4).map(|_| pooled(&mut world, 2)).collect();
    let both = |one, two| chain(ALICE, &[mint(one, 10), mint(two, 10)]);
    // Until somebody measures them, everything is correlated.
    let answer = world.refuse(both(first, others[0]), Code::CORRELATION_TOO_HIGH);
    assert_eq!((answer.bound, answer.given), (500_000, 1_000_000));
    correlate(&mut world, 0, 500_001);
    world.refuse(both(first, others[0]), Code::CORRELATION_TOO_HIGH);
    correlate(&mut world, u32::MAX, 500_000);
    world.accept(by(RISK, Kind::PublishRisk).with(&PublishRisk {
        bucket: 0,
        rho_ppm: 500_000,
        evidence_hash: [7; 32],
    }));
    world.accept(both(first, others[0]));
    // A verse of its own: between buckets it is the platform's correlation that counts, within the bucket its own.
    let root = link(&mut world, "alpha", NONE, first);
    let deeper = link(&mut world, "below", root, others[0]);
    world.refuse(both(first, others[0]), Code::CORRELATION_TOO_HIGH);
    world.accept(chain(BOB, &[mint(first, 10), mint(others[1], 10)]));
    let body: ChainBody = told(&world, EventKind::ChainOpened)[0];
    assert_eq!((body.verses, body.rate_bp, body.fee), (1, 50, 100_000));
    link(&mut world, "beta", NONE, others[1]);
    world.accept(chain(BOB, &[mint(first, 10), mint(others[1], 10)]));
    let body: ChainBody = told(&world, EventKind::ChainOpened)[0];
    assert_eq!((body.verses, body.rate_bp, body.fee), (2, 100, 200_000), "two verses cost twice as much");
    // Depth 1 and 2.
    let charge: ChainChargeBody = told(&world, EventKind::ChainCharged)[0];
    assert_eq!(charge.cap_e2, 2_500, "the tier of three outcomes");
    world.accept(chain(CAROL, &[mint(others[0], 10)]));
    let charge: ChainChargeBody = told(&world, EventKind::ChainCharged)[0];
    assert_eq!(charge.cap_e2, 2_500, "two levels deep");
    link(&mut world, "gamma", NONE, others[2]);
    world.accept(chain(BOB, &[mint(others[2], 10)]));
    link(&mut world, "delta", NONE, others[3]);
    let answer = world.refuse(chain(BOB, &[mint(others[3], 10)]), Code::VERSE_FULL);
    assert_eq!((answer.bound, answer.given), (3, 4));
    assert_eq!(world.engine.verses().depth(deeper), 2);
    world.auditor.verify().unwrap();
    restored(&mut world);
    world.refuse(chain(BOB, &[mint(others[3], 10)]), Code::VERSE_FULL);
}

#[test]
fn p15_9_4_a_flash_loan_is_off_until_governance_allows_it_and_is_returned_with_two_per_cent() {
    let (mut world, market) = chain_world();
    let loan = [flash(1_000 * DOLLAR), mint(market, 900)];
    fails(&mut world, chain(ALICE, &loan), 1, Code::PERMISSION_DENIED);
    let allow = SetParameter { parameter: 160, value: 1, ..SetParameter::zero() };
    world.govern(by(GOVERNOR, Kind::SetParameter).with(&allow), 0);
    let cash = |world: &World| world.engine.system_balance(line::VAULT_CASH, 0, USDC);
    let (before, vault) = (world.free(ALICE, USDC), cash(&world));
    world.accept(chain(ALICE, &loan));
    let lent: FlashBody = told(&world, EventKind::FlashBorrowed)[0];
    let back: FlashBody = told(&world, EventKind::FlashRepaid)[0];
    assert_eq!((lent, back.fee), (back, 20 * DOLLAR));
    // 50 bp of the $900 and 2 % of the $1,000; the set is hers.
    assert_eq!(world.free(ALICE, USDC), before - 900 * DOLLAR - 20 * DOLLAR - 4_500_000);
    assert_eq!(cash(&world), vault + 14 * DOLLAR + 3_150_000);
    assert_eq!(world.engine.system_balance(line::VAULT_LOANS, 0, USDC), 0);
    world.auditor.verify().unwrap();
    restored(&mut world);
    // Money that is gone does not come back: everything is taken back.
    let poor = key(0xD4);
    world.accept(open_account(poor));
    world.deposit(poor, USDC, 100 * DOLLAR);
    let answer = world.refuse(chain(poor, &[flash(500 * DOLLAR), mint(market, 500)]), Code::FLASH_NOT_REPAID);
    assert_eq!((answer.bound, answer.given), (510 * DOLLAR, 100 * DOLLAR));
    // The principal would be there, its two per cent are not.
    let answer = world.refuse(chain(poor, &[flash(100 * DOLLAR), mint(market, 99)]), Code::FLASH_NOT_REPAID);
    assert_eq!((answer.bound, answer.given), (102 * DOLLAR, 101 * DOLLAR));
    // ceil: a micro-unit of interest on the smallest loan.
    world.accept(chain(poor, &[flash(1), mint(market, 1)]));
    assert_eq!(told::<FlashBody>(&world, EventKind::FlashRepaid)[0].fee, 1);
    let most = LENT_FROM * 4 / 5;
    fails(&mut world, chain(ALICE, &[mint(market, 1), flash(most + 100 * DOLLAR)]), 2, Code::UTILISATION_CAP);
    world.accept(chain(ALICE, &[mint(market, 1), flash(most)]));
    // Closing one has nothing to return.
    world.accept(close(ALICE, 1, [0, 0, 0]));
    world.auditor.verify().unwrap();
}

#[test]
fn a_chain_asks_every_step_what_its_market_allows() {
    let (mut world, market) = chain_world();
    let number = world.accept(chain(ALICE, &[mint(market, 10)])).value;
    world.accept(pause(market, 1, world.now_ns + HOUR));
    fails(&mut world, chain(ALICE, &[into_vault(DOLLAR), mint(market, 10)]), 2, Code::PAUSED);
    // Under a PARTIAL pause sets are still merged.
    world.accept(close(ALICE, number, [0; 3]));
    let stranger = Command { principal: BOB, ..chain(ALICE, &[mint(market, 10)]) };
    world.refuse(stranger, Code::UNAUTHORIZED_SIGNER);
}

#[test]
fn a_repeated_key_opens_one_chain() {
    let (mut world, market) = chain_world();
    let command = Command { client_key: [9; 16], ..chain(ALICE, &[mint(market, 10)]) };
    let first = world.accept(command);
    let again = world.accept(command);
    assert_eq!((again.value, again.duplicate, again.event_count), (first.value, 1, 0));
    let closing = Command { client_key: [8; 16], ..close(ALICE, first.value, [0; 3]) };
    world.accept(closing);
    assert_eq!(world.accept(closing).duplicate, 1);
    assert!(world.engine.chains().is_empty());
}

#[test]
fn p8_10_the_fee_follows_from_the_request_and_is_rounded_up() {
    let (mut world, market) = chain_world();
    let steps = [mint(market, 100), pool_buy(market, 1, 33_333_333), into_vault(7_777_777)];
    world.accept(chain(ALICE, &steps));
    let body: ChainBody = told(&world, EventKind::ChainOpened)[0];
    assert_eq!((body.base, body.rate_bp, body.fee), (141_111_110, 50, 705_556));
}

#[test]
fn i11_i24_a_chain_that_is_told_otherwise_is_found() {
    let (mut world, market) = chain_world();
    let allow = SetParameter { parameter: 160, value: 1, ..SetParameter::zero() };
    world.govern(by(GOVERNOR, Kind::SetParameter).with(&allow), 0);
    let opening =
        chain(ALICE, &[flash(100 * DOLLAR), mint(market, 100), pool_sell(market, 2, 50 * DOLLAR, DOLLAR)]);
    let before = world.auditor.clone();
    world.accept(opening);
    otherwise::<ChainBody>(
        &world,
        &before,
        EventKind::ChainOpened,
        &[
            |body| body.chain += 1,
            |body| body.steps -= 1,
            |body| body.verses = 2,
            |body| body.base -= 1,
            |body| body.fee -= 1,
            |body| body.rate_bp = 100,
            |body| body.asset = BTC,
        ],
    );
    otherwise::<ChainStepBody>(
        &world,
        &before,
        EventKind::ChainStepped,
        &[|body| body.chain += 1, |body| body.step += 1, |body| body.kind = 6, |body| body.done += 1],
    );
    otherwise::<ChainChargeBody>(
        &world,
        &before,
        EventKind::ChainCharged,
        &[
            |body| body.chain += 1,
            |body| body.fee -= 1,
            |body| body.exposure = DOLLAR,
            |body| body.cap_e2 = 10_001,
            |body| body.equity = i64::MAX / 2,
            |body| body.equity = 0,
        ],
    );
    for kind in [EventKind::FlashBorrowed, EventKind::FlashRepaid] {
        otherwise::<FlashBody>(
            &world,
            &before,
            kind,
            &[|body| body.chain += 1, |body| body.principal += 1, |body| body.fee -= 1],
        );
    }
    let before = world.auditor.clone();
    world.accept(close(ALICE, 1, [0, 0, 100 * DOLLAR]));
    otherwise::<ChainStepBody>(
        &world,
        &before,
        EventKind::ChainUnwound,
        &[
            |body| body.chain += 1,
            |body| body.step -= 1,
            |body| body.kind = 6,
            |body| body.done += 1,
            |body| body.amount += 1,
        ],
    );
    otherwise::<ChainEndBody>(
        &world,
        &before,
        EventKind::ChainClosed,
        &[|body| body.chain += 1, |body| body.steps += 1, |body| body.released = 2],
    );
    world.accept(chain(ALICE, &[mint(market, 10)]));
    let before = world.auditor.clone();
    world.accept(release(ALICE, 2));
    otherwise::<ChainEndBody>(&world, &before, EventKind::ChainClosed, &[|body| body.released = 0]);
}

/// The auditor of before finds each change of the first event of this kind.
pub fn otherwise<T: Record>(world: &World, before: &Auditor, kind: EventKind, changes: &[fn(&mut T)]) {
    let output = &world.batch.output;
    let check = |events: &[_]| {
        let (commands, results) = (&world.batch.commands, &world.batch.results);
        before.clone().check(commands, results, events, &output.postings)
    };
    assert_eq!(check(&output.events), Ok(()));
    let place = output.events.iter().position(|event| event.kind == kind as u16).expect("an event");
    for (at, change) in changes.iter().enumerate() {
        let mut events = output.events.clone();
        let mut body: T = events[place].body_as();
        change(&mut body);
        events[place].body[..T::SIZE].copy_from_slice(body.bytes());
        assert!(check(&events).is_err(), "change {at} of {} passes", kind.name());
    }
    // Without the event nothing fits either.
    let mut events = output.events.clone();
    events[place].kind = EventKind::TimeAdvanced as u16;
    assert!(check(&events).is_err(), "without {}", kind.name());
}
