//! What makes chains safe: a refused one leaves every bit as it was, an accepted one is what its steps are one by one.

use proptest::prelude::*;

use crate::genesis::{Genesis, Grant};
use crate::ledger::line;
use crate::limits::{DAY_NS, SECOND_NS};
use crate::output::Output;
use crate::wire::chains::{chain_step, ChainStep};
use crate::wire::command::*;
use crate::wire::event::CommandResult;
use crate::wire::pool::amm_kind;
use crate::wire::{Code, Record};
use crate::{roles, Engine, RULES_VERSION};

const SYSTEM: [u8; 32] = [1; 32];
const OPERATOR: [u8; 32] = [2; 32];
const OWNER: [u8; 32] = [3; 32];
const OTHER: [u8; 32] = [4; 32];
const DOLLAR: i64 = 1_000_000;
const NOW_NS: i64 = 1_000 * DAY_NS;
const USDC: u16 = 0;
const TOKEN: u16 = 1;
/// What OWNER has of money and token.
const MONEY: i64 = 5_000 * DOLLAR;

/// An engine with four markets (three with a pool each), a vault, and two owners.
#[derive(Clone)]
pub(super) struct Bench {
    pub engine: Engine,
    now_ns: i64,
}

impl Bench {
    /// `vaulted`: somebody has put money into the vault already.
    pub fn new(vaulted: bool) -> Self {
        let grant = |principal, role| Grant { principal, role, expiry_ns: i64::MAX };
        let grants = vec![grant(SYSTEM, roles::SYSTEM), grant(OPERATOR, roles::OPERATOR)];
        let genesis = Genesis { shard: 1, rules_version: RULES_VERSION, time_ns: NOW_NS, grants };
        let engine = Engine::new(&genesis).expect("a sound genesis");
        let mut bench = Bench { engine, now_ns: NOW_NS };
        for (symbol, asset_flags) in [(*b"USDC", asset_flag::SETTLEMENT), (*b"MMT\0", asset_flag::TOKEN)] {
            let mut name = [0; 16];
            name[..4].copy_from_slice(&symbol);
            let asset = RegisterAsset {
                symbol: name,
                initial_asset_bp: 10_000,
                maintenance_asset_bp: 10_000,
                initial_liability_bp: 10_000,
                maintenance_liability_bp: 10_000,
                asset_flags,
                ..Record::zero()
            };
            bench.send(OPERATOR, OPERATOR, Command::new(Kind::RegisterAsset).with(&asset));
        }
        for owner in [OPERATOR, OWNER, OTHER] {
            bench.send(owner, owner, Command::new(Kind::OpenAccount).with(&OpenAccount { owner_key: owner }));
            let amount = if owner == OPERATOR { 1_000_000 * DOLLAR } else { MONEY };
            let money = Deposit { amount, external_id: owner, ..Record::zero() };
            bench.send(SYSTEM, owner, Command::new(Kind::Deposit).with(&money));
        }
        // Tokens of nobody else: what follows looks at this owner's lots only.
        bench.engine.state.accounts.balance_mut(1, 0, TOKEN).lines[usize::from(line::FREE)] = MONEY;
        if vaulted {
            let deposit = DepositVault { amount: 20_000 * DOLLAR };
            bench.send(OPERATOR, OPERATOR, Command::new(Kind::DepositVault).with(&deposit));
        }
        let kinds =
            [(2, amm_kind::LMSR), (3, amm_kind::LMSR), (2, amm_kind::PM_DYNAMIC), (2, amm_kind::NONE)];
        for (nonce, (outcome_count, pool)) in kinds.into_iter().enumerate() {
            bench.add_market(nonce as u64, outcome_count, pool);
        }
        // Claims to sell, of every outcome.
        for market in 0..4 {
            let sets = OneSet { market, reserved: 0, lots: 100_000 };
            bench.send(OWNER, OWNER, Command::new(Kind::MintSet).with(&sets));
        }
        // Money of a pool's decay and of fees that somebody else has paid.
        for market in 0..3 {
            bench.now_ns += DAY_NS / 24;
            let swap =
                SwapAmm { market, amount: 40 * DOLLAR, limit: 1, max_impact_bp: 2_000, ..SwapAmm::zero() };
            bench.send(OTHER, OTHER, Command::new(Kind::SwapAmm).with(&swap));
        }
        for market in 0..4 {
            bench.fill_books(market);
        }
        bench.engine.state.vault.exposure.set_rho(None, 300_000);
        bench.engine.state.vault.exposure.set_rho(Some(0), 300_000);
        bench
    }

    /// Orders of somebody else on four prices of both sides of every outcome's book.
    fn fill_books(&mut self, market: u32) {
        let sets = OneSet { market, reserved: 0, lots: 300_000 };
        self.send(OTHER, OTHER, Command::new(Kind::MintSet).with(&sets));
        let outcomes = if market == 1 { 3 } else { 1 };
        for (outcome, at) in (0..outcomes).flat_map(|outcome| (0..4).map(move |at| (outcome, at))) {
            let (ask, bid) = if market == 1 { (340, 325) } else { (505, 495) };
            for (side, price) in [(side::SELL, ask + 10 * at), (side::BUY, bid - 10 * at)] {
                let request =
                    PlaceOrder { market, outcome, side, price, lots: 15_000 + at, ..PlaceOrder::zero() };
                self.send(OTHER, OTHER, Command::new(Kind::PlaceOrder).with(&request));
            }
        }
    }

    fn add_market(&mut self, nonce: u64, outcome_count: u8, pool: u8) {
        let request = CreateMarket {
            nonce,
            market_kind: 2,
            outcome_count,
            base: USDC,
            quote: USDC,
            tick_size: 1_000,
            lot_size: 1_000,
            settle_time_ns: NOW_NS + 30 * DAY_NS,
            band_bp: 1_000,
            slippage_bp: 100,
            taker_fee_e6bp: 28_000_000,
            min_notional: 1,
            max_notional: 1_000_000 * DOLLAR,
            ..CreateMarket::zero()
        };
        let market = self.send(OPERATOR, OPERATOR, Command::new(Kind::CreateMarket).with(&request)).value;
        if pool != amm_kind::NONE {
            let request = CreatePool {
                market: market as u32,
                amm_kind: pool,
                funding: 2_000 * DOLLAR,
                ..Record::zero()
            };
            self.send(OPERATOR, OPERATOR, Command::new(Kind::CreatePool).with(&request));
        }
    }

    fn try_send(&mut self, who: [u8; 32], owner: [u8; 32], command: Command) -> CommandResult {
        let seq = self.engine.next_seq();
        let mut client_key = [0; 16];
        client_key[..8].copy_from_slice(&seq.to_le_bytes());
        let account = crate::id::account_id(&owner);
        let stamp =
            Command { seq, time_ns: self.now_ns, shard: 1, principal: who, account, client_key, ..command };
        self.engine.apply(&stamp, &mut Output::default())
    }

    fn send(&mut self, who: [u8; 32], owner: [u8; 32], command: Command) -> CommandResult {
        let result = self.try_send(who, owner, command);
        let code = Code::from_number(result.code);
        assert_eq!(result.accepted, 1, "{:#06x}/{} is refused with {code:?}", command.kind, command.op);
        result
    }

    pub fn owner(&mut self, command: Command) -> CommandResult {
        self.try_send(OWNER, OWNER, command)
    }

    pub fn open(&mut self, steps: [ChainStep; 3]) -> CommandResult {
        self.owner(Command::new(Kind::OpenChain).with(&OpenChain::of(steps)))
    }
}

fn command<P: Record>(kind: Kind, payload: &P) -> Command {
    Command::new(kind).with(payload)
}

fn order(step: &ChainStep, side: u8, price: i64) -> Command {
    let ChainStep { market, outcome, amount: lots, .. } = *step;
    let time_in_force = time_in_force::FOK;
    let request = PlaceOrder { market, outcome, side, time_in_force, price, lots, ..PlaceOrder::zero() };
    command(Kind::PlaceOrder, &request)
}

fn is_order(step: &ChainStep) -> bool {
    matches!(step.kind, chain_step::BOOK_BUY | chain_step::BOOK_SELL)
}

/// A step as the command that it would be alone, written here again.
fn single(step: &ChainStep) -> Command {
    let ChainStep { kind, outcome, detail, market, amount, limit } = *step;
    let swap = |side| {
        let exact_out = detail as u8;
        command(
            Kind::SwapAmm,
            &SwapAmm { market, outcome, side, exact_out, amount, limit, ..SwapAmm::zero() },
        )
    };
    match kind {
        chain_step::BOOK_BUY => order(step, side::BUY, limit),
        chain_step::BOOK_SELL => order(step, side::SELL, limit),
        chain_step::POOL_BUY => swap(side::BUY),
        chain_step::POOL_SELL => swap(side::SELL),
        chain_step::ADD_LIQUIDITY => {
            command(Kind::AddLiquidity, &PoolLiquidity { market, reserved: 0, amount, min_out: limit })
        }
        chain_step::DEPOSIT_VAULT => command(Kind::DepositVault, &DepositVault { amount }),
        chain_step::STAKE => {
            let lock_s = u32::from(detail) * 86_400;
            command(Kind::StakeToken, &StakeToken { amount, lock_s, reserved: 0 })
        }
        _ => command(Kind::MintSet, &OneSet { market, reserved: 0, lots: amount }),
    }
}

pub(super) fn step(kind: u8, market: u32, outcome: u8, amount: i64, limit: i64) -> ChainStep {
    ChainStep { kind, outcome, detail: 0, market, amount, limit }
}

const NO_STEP: ChainStep = ChainStep { kind: 0, outcome: 0, detail: 0, market: 0, amount: 0, limit: 0 };

/// Steps that mostly can be done: amounts around what the owner and the pools have, some beyond, some impossible.
fn any_step() -> impl Strategy<Value = ChainStep> {
    let amount =
        prop_oneof![8 => DOLLAR..60 * DOLLAR, 1 => 1..2_000_i64, 1 => 3_000 * DOLLAR..9_000 * DOLLAR];
    let market = prop_oneof![12 => 0..3_u32, 1 => Just(3_u32)];
    let limit = prop_oneof![4 => Just(1_i64), 1 => DOLLAR..100 * DOLLAR];
    (0..12_u8, market, 0..3_u8, amount, limit, 0..2_u16).prop_map(
        |(kind, market, outcome, amount, limit, exact)| {
            let swap = |kind| {
                let limit = if exact == 1 { amount.saturating_mul(2).max(limit) } else { limit };
                ChainStep { detail: exact, ..step(kind, market, outcome, amount, limit) }
            };
            match kind {
                0..=2 => swap(chain_step::POOL_BUY),
                3..=4 => swap(chain_step::POOL_SELL),
                5..=6 => step(chain_step::ADD_LIQUIDITY, market, 0, amount * 20, 1),
                7 => step(chain_step::DEPOSIT_VAULT, 0, 0, amount, 0),
                8 => ChainStep { detail: exact * 30, ..step(chain_step::STAKE, 0, 0, amount * 10, 0) },
                _ => step(chain_step::MINT_SET, market, 0, 1 + amount / 1_000, 0),
            }
        },
    )
}

/// Orders in books around what rests there: one fill to five, and more.
fn any_order() -> impl Strategy<Value = ChainStep> {
    let kind = prop_oneof![Just(chain_step::BOOK_BUY), Just(chain_step::BOOK_SELL)];
    let lots = prop_oneof![6 => 2_100..50_000_i64, 1 => 50_000..120_000_i64];
    (kind, 0..4_u32, 0..3_u8, lots, 0..60_i64).prop_map(|(kind, market, outcome, lots, beyond)| {
        let middle = if market == 1 { 333 } else { 500 };
        let limit = if kind == chain_step::BOOK_BUY { middle + beyond } else { middle - beyond };
        step(kind, market, outcome % if market == 1 { 3 } else { 2 }, lots, limit)
    })
}

fn any_steps() -> impl Strategy<Value = Vec<ChainStep>> {
    let ordered = (prop::collection::vec(any_step(), 0..=2), any_order()).prop_map(|(mut steps, order)| {
        steps.push(order);
        steps
    });
    prop_oneof![1 => prop::collection::vec(any_step(), 1..=3), 1 => ordered]
}

fn places(steps: &[ChainStep]) -> [ChainStep; 3] {
    let mut places = [NO_STEP; 3];
    places[..steps.len()].copy_from_slice(steps);
    places
}

/// The state without the record of chains and without what chains were charged.
fn without_chains(bench: &Bench, fee: i64) -> Vec<u8> {
    let mut state = bench.engine.state.clone();
    *state.chains = Default::default();
    let split = crate::fees::split(fee, crate::fees::Profile::Standard);
    let lines = [
        (line::VAULT_CASH, split.vault),
        (line::STAKER_POOL, split.stakers),
        (line::MAKER_FUND, split.maker_fund),
        (line::INSURANCE, split.buyback),
    ];
    crate::ledger::post_system_lines(
        &mut state.system,
        &mut Vec::new(),
        USDC,
        lines.map(|(line, part)| (line, -part)),
    );
    state.accounts.balance_mut(1, 0, USDC).lines[usize::from(line::FREE)] += fee;
    state.encode()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn p15_9_a_chain_is_its_steps_one_by_one_or_nothing_at_all(
        bench in 0..2_usize, before in any_steps(), chains in prop::collection::vec(any_steps(), 1..4)
    ) {
        let mut bench = BENCHES[bench].clone();
        for step in &before {
            bench.owner(single(step));
        }
        for steps in &chains {
            let (state, mut alone) = (bench.engine.state.encode(), bench.clone());
            let result = bench.open(places(steps));
            let one_by_one: Vec<CommandResult> = steps.iter().map(|step| alone.owner(single(step))).collect();
            let refused = one_by_one.iter().position(|result| result.accepted == 0);
            if result.accepted == 0 {
                prop_assert_eq!(bench.engine.state.encode(), state, "{:?} left something", Code::from_number(result.code));
                let asked = result.bound.checked_sub(1).and_then(|at| steps.get(at as usize));
                let failed = Code::from_number(result.code) == Some(Code::CHAIN_STEP_FAILED);
                // A chain asks more of an order than its book does alone: it is filled in this command for certain.
                if failed && !asked.is_some_and(is_order) {
                    // The step and the code are those of the single command.
                    let at = refused.expect("a step that is refused alone, too");
                    prop_assert_eq!((result.bound, result.given), (at as i64 + 1, i64::from(one_by_one[at].code)));
                }
                continue;
            }
            prop_assert_eq!(refused, None);
            prop_assert!(bench.engine.pending.is_none());
            let fee = bench.engine.state.chains.get(result.value).expect("it is open").fee;
            prop_assert_eq!(without_chains(&bench, fee), without_chains(&alone, 0));
        }
    }

    #[test]
    fn p15_9_3_a_chain_is_closed_whole_or_stays_as_it_is(
        bench in 0..2_usize, steps in any_steps(), between in any_steps(), limits in prop::array::uniform3(0..40 * DOLLAR), days in 0..3_i64
    ) {
        let mut bench = BENCHES[bench].clone();
        bench.owner(single(&step(chain_step::MINT_SET, 0, 0, 100_000, 0)));
        let opened = bench.open(places(&steps));
        if opened.accepted == 0 {
            return Ok(());
        }
        for step in &between {
            bench.owner(single(step));
        }
        bench.now_ns += days * DAY_NS / 2 + SECOND_NS;
        bench.engine.cursor.time_ns = bench.now_ns;
        let chain = bench.engine.state.chains.get(opened.value).expect("it is open").clone();
        let bounded = |step: &ChainStep| {
            is_order(step)
                || matches!(
                    step.kind,
                    chain_step::POOL_BUY | chain_step::POOL_SELL | chain_step::ADD_LIQUIDITY
                )
        };
        let limit = |at: usize| chain.steps.get(at).filter(|step| bounded(&step.request)).map_or(0, |step| {
            // What must be bought back may cost more than it brought.
            match step.request.kind {
                chain_step::POOL_SELL => 100 * DOLLAR,
                chain_step::BOOK_BUY | chain_step::BOOK_SELL => {
                    let middle = if step.request.market == 1 { 333 } else { 500 };
                    middle - 60 + limits[at] % 120
                }
                _ => limits[at],
            }
        });
        let request =
            CloseChain { chain: opened.value, limit_1: limit(0), limit_2: limit(1), limit_3: limit(2), ..CloseChain::zero() };
        let (state, mut alone) = (bench.engine.state.encode(), bench.clone());
        let result = bench.owner(command(Kind::CloseChain, &request));
        let mut refused = None;
        // An order is undone behind everything else but the sets whose claims it buys back.
        let sold = chain.steps.iter().find(|step| step.request.kind == chain_step::BOOK_SELL);
        let is_behind = |step: &ChainStep| {
            step.kind == chain_step::MINT_SET && sold.is_some_and(|sale| sale.request.market == step.market)
        };
        let (behind, before): (Vec<_>, Vec<_>) =
            chain.steps.iter().enumerate().rev().partition(|(_, step)| is_behind(&step.request));
        let (orders, others): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|(_, step)| is_order(&step.request));
        for (at, step) in others.into_iter().chain(orders).chain(behind) {
            if refused.is_none() && alone.owner(undoing(step, limit(at))).accepted == 0 {
                refused = Some(at as i64 + 1);
            }
        }
        if result.accepted == 0 {
            prop_assert_eq!(bench.engine.state.encode(), state);
            prop_assert_eq!(Code::from_number(result.code), Some(Code::CHAIN_STEP_FAILED));
            let order = is_order(&chain.steps[result.bound as usize - 1].request);
            prop_assert!(order && refused.is_none() || Some(result.bound) == refused);
        } else {
            prop_assert_eq!(refused, None);
            prop_assert!(bench.engine.state.chains.is_empty());
            prop_assert_eq!(without_chains(&bench, 0), without_chains(&alone, 0));
        }
    }
}

#[test]
fn p15_9_1_an_order_that_has_expired_fills_nothing_of_a_chain() {
    let mut bench = BENCHES[0].clone();
    let expiry_ns = bench.now_ns + 60 * SECOND_NS;
    let time_in_force = time_in_force::GTD;
    let order = PlaceOrder { market: 3, side: side::SELL, price: 500, lots: 10_000, ..PlaceOrder::zero() };
    let order = PlaceOrder { time_in_force, expiry_ns, ..order };
    bench.send(OTHER, OTHER, command(Kind::PlaceOrder, &order));
    let buy = |lots| places(&[step(chain_step::BOOK_BUY, 3, 0, lots, 500)]);
    assert_eq!(bench.open(buy(4_000)).accepted, 1);
    // Nobody has taken it out of the book yet.
    bench.now_ns = expiry_ns;
    let before = bench.engine.state.encode();
    let result = bench.open(buy(4_000));
    let told = (Code::from_number(result.code), Code::from_number(result.given as u16));
    assert_eq!(told, (Some(Code::CHAIN_STEP_FAILED), Some(Code::FOK_NOT_FILLABLE)));
    assert_eq!(bench.engine.state.encode(), before);
}

/// What undoes a step as the command that it would be alone, written here again.
fn undoing(step: &crate::chains::Step, limit: i64) -> Command {
    let (ChainStep { kind, outcome, market, .. }, done) = (step.request, step.done);
    let swap = |side, exact_out| {
        command(
            Kind::SwapAmm,
            &SwapAmm { market, outcome, side, exact_out, amount: done, limit, ..SwapAmm::zero() },
        )
    };
    match kind {
        chain_step::BOOK_BUY => order(&step.request, side::SELL, limit),
        chain_step::BOOK_SELL => order(&step.request, side::BUY, limit),
        chain_step::POOL_BUY => swap(side::SELL, 0),
        chain_step::POOL_SELL => swap(side::BUY, 1),
        chain_step::ADD_LIQUIDITY => command(
            Kind::RemoveLiquidity,
            &PoolLiquidity { market, reserved: 0, amount: done, min_out: limit },
        ),
        chain_step::DEPOSIT_VAULT => command(Kind::RequestVaultExit, &RequestVaultExit { shares: done }),
        chain_step::STAKE => command(Kind::UnstakeToken, &UnstakeToken { lot: done as u64 }),
        _ => command(Kind::MergeSet, &OneSet { market, reserved: 0, lots: done }),
    }
}

/// Made once: every case begins with a copy of one of them, with a vault or without.
static BENCHES: std::sync::LazyLock<[Bench; 2]> = std::sync::LazyLock::new(|| [true, false].map(Bench::new));

#[test]
fn the_generator_reaches_both_ends_of_every_kind_of_step() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut opened, mut failed) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for _ in 0..1_500 {
        let steps = any_steps().new_tree(&mut runner).expect("a case").current();
        let mut bench = BENCHES[0].clone();
        let result = bench.open(places(&steps));
        if result.accepted == 1 {
            opened.extend(steps.iter().map(|step| step.kind));
        } else if Code::from_number(result.code) == Some(Code::CHAIN_STEP_FAILED) && result.bound > 1 {
            // Something was to be taken back.
            failed.extend(steps[..result.bound as usize - 1].iter().map(|step| step.kind));
        }
    }
    // Orders in books are last, so that nothing behind them fails.
    assert_eq!(opened.into_iter().collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert_eq!(failed.into_iter().collect::<Vec<_>>(), (1..=6).collect::<Vec<_>>());
}
