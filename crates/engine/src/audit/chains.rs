//! Chains from events alone: what was opened, that every step has its own event, that fees and flash loans are what P8.10
//! and P15.9 say, and that a chain that is closed was undone whole (I11, I19, I24, I26). Verses and correlations are kept
//! here again.

use std::collections::{BTreeMap, BTreeSet};

use super::chain_orders::{is_in_book, undone_at, Filled};
use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, INSURANCE, MAKER_FUND, STAKER_POOL, VAULT_CASH};
use super::records::check_movements;
use super::Auditor;
use crate::book::Book;
use crate::engine::Engine;
use crate::governance::parameters::Parameter;
use crate::wire::command::CloseChain;
use crate::wire::event::{
    ChainBody, ChainChargeBody, ChainEndBody, ChainStepBody, Event, EventKind, FlashBody, LiquidityBody,
    ParameterBody, Posting, RiskBody, SetBody, StakeBody, SwapBody, VaultDepositBody, VaultExitBody,
    VerseBody, VerseLinkBody,
};

const LOAN: u8 = 4;
const VAULT_LOANS: u8 = 0x84;
const FLASH_BORROW: u32 = 160;
const NONE: u32 = u32::MAX;
pub(super) const BUY: u8 = 0;
const POOL_BUY: u8 = 1;
const POOL_SELL: u8 = 2;
const ADD_LIQUIDITY: u8 = 3;
const DEPOSIT: u8 = 4;
const STAKE: u8 = 5;
pub(super) const MINT: u8 = 6;
pub(super) const BOOK_BUY: u8 = 7;
pub(super) const BOOK_SELL: u8 = 8;
const FLASH: u8 = 10;

/// A step as it was done: kind, outcome, market, the owner's numbers, and what undoing it gives back.
pub(super) type Step = (u8, u8, u32, u16, i64, i64, i64);

#[derive(Clone, Debug, Default)]
struct Chain {
    account: u32,
    sub: u8,
    steps: Vec<Step>,
}

/// A chain that the present command opens or undoes.
#[derive(Clone, Debug)]
struct Work {
    number: u64,
    chain: Chain,
    /// Steps that are still to come, or to be undone.
    left: usize,
    opening: bool,
    /// It is closed without being undone.
    released: bool,
    told: ChainBody,
    base: i128,
    /// What it was charged, and the owner's free money behind it.
    charged: Option<(ChainChargeBody, i128)>,
    flash: i64,
    /// Fills of the owner's order since the last step.
    filled: Filled,
    /// The event behind which a step may be told.
    last: Option<Event>,
}

#[derive(Clone, Debug, Default)]
pub struct Chains {
    open: BTreeMap<u64, Chain>,
    last: u64,
    work: Option<Box<Work>>,
    flash_allowed: bool,
    parents: Vec<u32>,
    verse_of: BTreeMap<u32, u32>,
    rho_ppm: BTreeMap<u32, u32>,
}

const fn fee(amount: i64, bp: i128) -> i64 {
    ((amount as i128 * bp + 9_999) / 10_000) as i64
}

impl Chains {
    fn depth(&self, verse: u32) -> usize {
        let known = |verse: u32| (verse != NONE).then_some(verse);
        let up = std::iter::successors(known(verse), |&verse| known(self.parents[verse as usize]));
        up.take(64).count()
    }

    fn bucket(&self, market: u32) -> u32 {
        let mut verse = self.verse_of.get(&market).copied().unwrap_or(NONE);
        while verse != NONE && self.parents[verse as usize] != NONE {
            verse = self.parents[verse as usize];
        }
        verse.wrapping_add(1)
    }

    /// The verses of these steps' markets.
    fn verses<'a>(&self, steps: impl Iterator<Item = &'a Step>) -> BTreeSet<u32> {
        let markets = steps.filter(|step| is_in_market(step.0)).map(|step| step.2);
        markets.filter_map(|market| self.verse_of.get(&market).copied()).collect()
    }

    /// Verses, correlations and the switch of flash loans.
    pub fn note(&mut self, kind: EventKind, event: &Event) {
        match kind {
            EventKind::VerseCreated => self.parents.push(event.body_as::<VerseBody>().parent),
            EventKind::VerseMoved => {
                let body: VerseLinkBody = event.body_as();
                if let Some(parent) = self.parents.get_mut(body.verse as usize) {
                    *parent = body.parent;
                }
            }
            EventKind::MarketLinked => {
                let body: VerseLinkBody = event.body_as();
                match body.verse {
                    NONE => self.verse_of.remove(&event.market),
                    verse => self.verse_of.insert(event.market, verse),
                };
            }
            EventKind::RiskUpdated => {
                let body: RiskBody = event.body_as();
                self.rho_ppm.insert(body.bucket, body.rho_ppm);
            }
            _ => {
                let body: ParameterBody = event.body_as();
                if body.parameter == FLASH_BORROW {
                    self.flash_allowed = body.value == 1;
                }
            }
        }
    }

    /// While a chain is opened or closed: the events of its steps.
    #[inline]
    pub fn watch(&mut self, kind: EventKind, event: &Event) {
        if let Some(work) = &mut self.work {
            if kind == EventKind::Trade && (event.account, event.sub) == (work.chain.account, work.chain.sub)
            {
                work.filled.take(&event.body_as());
            }
            let acts = matches!(
                kind,
                EventKind::AmmSwapped
                    | EventKind::LiquidityAdded
                    | EventKind::LiquidityRemoved
                    | EventKind::VaultDeposited
                    | EventKind::VaultExitQueued
                    | EventKind::Staked
                    | EventKind::Unstaked
                    | EventKind::SetMinted
                    | EventKind::SetMerged
                    | EventKind::FlashBorrowed
                    | EventKind::Trade
            );
            if acts {
                work.last = Some(*event);
            }
        }
    }
}

const fn is_in_market(kind: u8) -> bool {
    matches!(kind, POOL_BUY | POOL_SELL | ADD_LIQUIDITY | MINT) || is_in_book(kind)
}

/// What the event of a step must be, and what it says was done.
fn done_by(event: &Event, step: &Step, undone: bool) -> Option<i64> {
    let kind = EventKind::from_code(event.kind)?;
    let swapped = |side: u8| {
        let body: SwapBody = event.body_as();
        (body.side == side && body.outcome == step.1).then_some(body.shares)
    };
    match (step.0, undone, kind) {
        (POOL_BUY, false, EventKind::AmmSwapped) | (POOL_SELL, true, EventKind::AmmSwapped) => swapped(BUY),
        (POOL_SELL, false, EventKind::AmmSwapped) | (POOL_BUY, true, EventKind::AmmSwapped) => swapped(1),
        (ADD_LIQUIDITY, false, EventKind::LiquidityAdded)
        | (ADD_LIQUIDITY, true, EventKind::LiquidityRemoved) => Some(event.body_as::<LiquidityBody>().shares),
        (DEPOSIT, false, EventKind::VaultDeposited) => {
            let body: VaultDepositBody = event.body_as();
            (body.amount == step.4).then_some(body.shares)
        }
        (DEPOSIT, true, EventKind::VaultExitQueued) => Some(event.body_as::<VaultExitBody>().shares),
        (STAKE, false, EventKind::Staked) => {
            let body: StakeBody = event.body_as();
            (body.amount == step.4).then_some(body.lot as i64)
        }
        (STAKE, true, EventKind::Unstaked) => Some(event.body_as::<StakeBody>().lot as i64),
        (MINT, false, EventKind::SetMinted) | (MINT, true, EventKind::SetMerged) => {
            Some(event.body_as::<SetBody>().lots)
        }
        (FLASH, false, EventKind::FlashBorrowed) => Some(event.body_as::<FlashBody>().principal),
        _ => None,
    }
}

impl Auditor {
    pub(super) fn take_over_chains<B: Book>(&mut self, engine: &Engine<B>) {
        let state = &engine.state;
        let chains = &mut self.chains;
        chains.last = state.chains.last;
        chains.flash_allowed = state.governance.value(Parameter::FlashBorrow) == 1;
        for (number, known) in state.chains.iter() {
            let steps = known.steps.iter().map(|step| {
                let request = &step.request;
                let place = (request.kind, request.outcome, request.market, request.detail);
                (place.0, place.1, place.2, place.3, request.amount, request.limit, step.done)
            });
            let chain = Chain { account: known.account, sub: known.sub, steps: steps.collect() };
            chains.open.insert(number, chain);
        }
        for verse in 0..state.verses.len() as u32 {
            chains.parents.push(state.verses.get(verse).map_or(NONE, |verse| verse.parent));
        }
        for market in 0..state.markets.list.len() as u32 {
            let verse = state.verses.of_market(market);
            if verse != NONE {
                chains.verse_of.insert(market, verse);
            }
        }
        let exposure = &state.vault.exposure;
        chains.rho_ppm.insert(u32::MAX, exposure.platform_rho_ppm());
        chains.rho_ppm.extend(exposure.buckets().map(|(bucket, known)| (bucket, known.rho_ppm())));
    }

    pub(super) fn check_chain(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        match kind {
            EventKind::FlashBorrowed | EventKind::FlashRepaid => self.flash_moved(kind, event, postings),
            EventKind::ChainCharged => self.chain_charged(event, postings),
            _ => {
                ensure!(postings.is_empty(), "I01", "a {} event moves money", kind.name());
                match kind {
                    EventKind::ChainOpened => self.chain_opened(event),
                    EventKind::ChainStepped => self.chain_stepped(event),
                    EventKind::ChainUnwound => self.chain_unwound(event),
                    _ => self.chain_closed(event),
                }
            }
        }
    }

    fn chain_opened(&mut self, event: &Event) -> Check {
        let body: ChainBody = event.body_as();
        let chains = &mut self.chains;
        let open = chains.open.values().filter(|chain| chain.account == event.account).count();
        ensure!(
            body.chain == chains.last + 1 && open < 5 && (1..=3).contains(&body.steps),
            "I26",
            "chain {} with {} steps follows {}, its owner has {open}",
            body.chain,
            body.steps,
            chains.last
        );
        let rate = i128::from(if body.verses > 1 { 100 } else { 50_u8 });
        ensure!(
            i128::from(body.rate_bp) == rate && body.base >= 1_000_000 && body.fee == fee(body.base, rate),
            "I11",
            "chain {} costs {} on {} at {} bp",
            body.chain,
            body.fee,
            body.base,
            body.rate_bp
        );
        ensure!(self.values.settlement() == Some(body.asset), "I26", "chains settle in {}", body.asset);
        let chain = Chain { account: event.account, sub: event.sub, steps: Vec::new() };
        let work = Work {
            number: body.chain,
            chain,
            left: usize::from(body.steps),
            opening: true,
            released: false,
            told: body,
            base: 0,
            charged: None,
            flash: 0,
            filled: Filled::default(),
            last: None,
        };
        self.chains.last = body.chain;
        self.chains.work = Some(Box::new(work));
        Ok(())
    }

    fn chain_work(&mut self, number: u64, event: &Event) -> Check<&mut Work> {
        let own = |work: &&mut Box<Work>| {
            (work.number, work.chain.account, work.chain.sub) == (number, event.account, event.sub)
        };
        match self.chains.work.as_mut().filter(own) {
            Some(work) => Ok(work),
            None => Err(fault("I26", format_args!("chain {number} is not at work"))),
        }
    }

    fn chain_stepped(&mut self, event: &Event) -> Check {
        let body: ChainStepBody = event.body_as();
        let market = self.markets.get(event.market as usize).copied();
        let (lot_size, unit) = market.map_or((0, 0), |market| (market.lot_size, market.unit));
        let work = self.chain_work(body.chain, event)?;
        let step: Step =
            (body.kind, body.outcome, event.market, body.detail, body.amount, body.limit, body.done);
        let in_order = work.opening && work.left > 0 && usize::from(body.step) == work.chain.steps.len() + 1;
        let twice = work.chain.steps.iter().any(|old| (old.0, old.1, old.2) == (step.0, step.1, step.2));
        let caused = work.last.take().filter(|last| (last.account, last.sub) == (event.account, event.sub));
        let caused = caused.filter(|last| !is_in_market(step.0) || last.market == event.market);
        let filled = std::mem::take(&mut work.filled);
        let in_book = is_in_book(step.0);
        let done = caused.and_then(|last| match market {
            Some(market) if in_book => filled.whole(&step, step.5, false, &market),
            _ => done_by(&last, &step, false),
        });
        // An order in a book is the last step, and the only one behind the charge.
        let in_order = in_order && in_book == work.charged.is_some();
        ensure!(
            in_order && !twice && done == Some(body.done),
            "I26",
            "step {} of chain {} did {}, its event says {done:?}",
            body.step,
            body.chain,
            body.done
        );
        work.base += match (step.0, step.3) {
            (POOL_BUY, 0) | (POOL_SELL, 1) | (ADD_LIQUIDITY | DEPOSIT, _) => i128::from(step.4),
            (POOL_BUY | POOL_SELL, _) => i128::from(step.5),
            (MINT, _) => i128::from(step.4) * i128::from(lot_size),
            (BOOK_BUY | BOOK_SELL, _) => i128::from(step.4) * i128::from(step.5) * i128::from(unit),
            _ => 0,
        };
        work.chain.steps.push(step);
        work.left -= 1;
        if in_book {
            self.check_charge(event)?;
        }
        Ok(())
    }

    fn flash_moved(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let FlashBody { chain, principal, fee: told, asset, .. } = event.body_as();
        let borrows = kind == EventKind::FlashBorrowed;
        let (amount, paid) = if borrows { (principal, 0) } else { (-principal, told) };
        let (account, sub) = (event.account, event.sub);
        let [vault, stakers, makers, insurance] = parts(paid);
        let movements = [
            (account, sub, asset, FREE, amount - paid),
            (account, sub, asset, LOAN, -amount),
            (0, 0, asset, VAULT_CASH, vault - amount),
            (0, 0, asset, VAULT_LOANS, amount),
            (0, 0, asset, STAKER_POOL, stakers),
            (0, 0, asset, MAKER_FUND, makers),
            (0, 0, asset, INSURANCE, insurance),
        ];
        check_movements("I24", movements, postings)?;
        self.collect_fees(asset, paid - amount);
        let allowed = self.chains.flash_allowed;
        let lent = i128::from(self.ledger.line(0, 0, asset, VAULT_LOANS));
        let nav = i128::from(self.ledger.line(0, 0, asset, VAULT_CASH)) + lent;
        let work = self.chain_work(chain, event)?;
        let expected = if borrows { work.flash + principal } else { work.flash - principal };
        let whole = borrows || expected == 0 && work.left == 0;
        ensure!(
            allowed && principal > 0 && told == fee(principal, 200) && whole && expected >= 0,
            "I24",
            "a flash loan of {principal} at {told}, {expected} stay out"
        );
        ensure!(!borrows || lent * 100 <= nav * 80, "I24", "{lent} are lent of a vault of {nav}");
        work.flash = expected;
        Ok(())
    }

    fn chain_charged(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: ChainChargeBody = event.body_as();
        let (account, sub, asset) = (event.account, event.sub, body.asset);
        let [vault, stakers, makers, insurance] = parts(body.fee);
        let movements = [
            (account, sub, asset, FREE, -body.fee),
            (0, 0, asset, VAULT_CASH, vault),
            (0, 0, asset, STAKER_POOL, stakers),
            (0, 0, asset, MAKER_FUND, makers),
            (0, 0, asset, INSURANCE, insurance),
        ];
        check_movements("I11", movements, postings)?;
        self.collect_fees(asset, body.fee);
        let free = i128::from(self.ledger.line(account, sub, asset, FREE));
        let work = self.chain_work(body.chain, event)?;
        let once = work.opening && work.left <= 1 && work.flash == 0 && work.charged.is_none();
        ensure!(once, "I11", "chain {} is charged at the wrong moment", body.chain);
        work.charged = Some((body, free));
        if work.left == 0 {
            self.check_charge(event)?;
        }
        Ok(())
    }

    /// The charge of a chain whose steps are all told.
    fn check_charge(&mut self, event: &Event) -> Check {
        let Some(work) = &self.chains.work else { return Ok(()) };
        let Some((body, free)) = work.charged else { return Ok(()) };
        let (account, asset) = (event.account, body.asset);
        let (told, base, steps) = (work.told, work.base, work.chain.steps.clone());
        ensure!(
            work.left == 0 && base == i128::from(told.base) && (told.fee, told.asset) == (body.fee, asset),
            "I11",
            "chain {} is charged {} on {base}, told {} on {}",
            body.chain,
            body.fee,
            told.fee,
            told.base
        );
        let unit = |market: u32| self.markets.get(market as usize).map_or(0, |market| market.unit);
        let held: i128 = base - sold(&steps, unit);
        let (exposure, equity) = (i128::from(body.exposure), i128::from(body.equity));
        ensure!(
            exposure >= held && equity <= exposure + free,
            "I09",
            "chain {} holds {held}, told {exposure} with an equity of {equity}",
            body.chain
        );
        let chains = &self.chains;
        let verses = chains.verses(steps.iter());
        let depth = verses.iter().map(|&verse| chains.depth(verse)).max().unwrap_or(0);
        let cap_e2 = [10_000, 5_000, 2_500, 1_000][depth.min(3)];
        ensure!(
            body.cap_e2 <= cap_e2 && exposure * 100 <= i128::from(body.cap_e2) * equity,
            "I09",
            "chain {} carries {exposure} on {equity} under a cap of {} at depth {depth}",
            body.chain,
            body.cap_e2
        );
        self.check_chain_markets(account, &steps, (verses, told.verses))
    }

    /// Verses and correlations of P15.9.1.
    fn check_chain_markets(
        &self,
        account: u32,
        steps: &[Step],
        (mut verses, told): (BTreeSet<u32>, u8),
    ) -> Check {
        let chains = &self.chains;
        ensure!(verses.len() == usize::from(told), "I11", "{} verses, told {told}", verses.len());
        for chain in chains.open.values().filter(|chain| chain.account == account) {
            verses.extend(chains.verses(chain.steps.iter()));
        }
        ensure!(verses.len() <= 3, "I26", "the chains of account {account} lie in {} verses", verses.len());
        let markets: BTreeSet<u32> =
            steps.iter().filter(|step| is_in_market(step.0)).map(|step| step.2).collect();
        for &one in &markets {
            for &two in markets.range(..one) {
                let bucket = chains.bucket(one);
                let key = if bucket == chains.bucket(two) { bucket } else { u32::MAX };
                let rho_ppm = chains.rho_ppm.get(&key).copied().unwrap_or(1_000_000);
                ensure!(
                    rho_ppm <= 500_000,
                    "I26",
                    "markets {one} and {two} of a chain correlate at {rho_ppm}"
                );
            }
        }
        Ok(())
    }

    fn chain_unwound(&mut self, event: &Event) -> Check {
        let body: ChainStepBody = event.body_as();
        let market = self.markets.get(event.market as usize).copied();
        let work = self.chain_work(body.chain, event)?;
        let number = undone_at(&work.chain.steps, work.left);
        let step = (!work.opening && work.left > 0).then(|| work.chain.steps[number - 1]);
        let filled = std::mem::take(&mut work.filled);
        let caused = work.last.take().filter(|last| (last.account, last.sub) == (event.account, event.sub));
        let Some(step) = step else {
            return Err(fault("I26", format_args!("chain {} is undone beyond its steps", body.chain)));
        };
        let caused = caused.filter(|last| !is_in_market(step.0) || last.market == step.2);
        let undone = caused.and_then(|last| match market {
            Some(market) if is_in_book(step.0) => filled.whole(&step, body.limit, true, &market),
            _ => done_by(&last, &step, true),
        });
        let told = (body.kind, body.outcome, event.market, body.detail, body.amount, step.5, body.done);
        ensure!(
            usize::from(body.step) == number && told == step && (step.0 == FLASH || undone == Some(step.6)),
            "I26",
            "step {} of chain {} is undone by {undone:?}, it did {}",
            body.step,
            body.chain,
            step.6
        );
        work.left -= 1;
        Ok(())
    }

    fn chain_closed(&mut self, event: &Event) -> Check {
        let body: ChainEndBody = event.body_as();
        let own = |chain: &Chain| (chain.account, chain.sub) == (event.account, event.sub);
        let known = self.chains.open.remove(&body.chain).filter(own);
        let Some(chain) = known else {
            return Err(fault("I26", format_args!("chain {} is not open", body.chain)));
        };
        let undone = match self.chains.work.take() {
            Some(work) => {
                let whole = work.number == body.chain && !work.opening && work.left == 0;
                whole && u8::from(work.released) == body.released
            }
            None => false,
        };
        ensure!(
            undone && chain.steps.len() == usize::from(body.steps),
            "I19",
            "chain {} ends with its steps not undone",
            body.chain
        );
        Ok(())
    }

    /// Behind a command no chain is half-way, and nothing lent in it is out.
    #[inline]
    pub(super) fn check_chains_end(&mut self) -> Check {
        match self.chains.work.take() {
            None => Ok(()),
            Some(work) => self.keep_chain(*work),
        }
    }

    #[cold]
    fn keep_chain(&mut self, work: Work) -> Check {
        ensure!(
            work.opening && work.left == 0 && work.charged.is_some() && work.flash == 0,
            "I19",
            "chain {} is left with {} steps and {} of a flash loan",
            work.number,
            work.left,
            work.flash
        );
        self.chains.open.insert(work.number, work.chain);
        Ok(())
    }

    /// A command that closes a chain: its steps are what was done, the last one first.
    pub(super) fn begin_chain(&mut self, request: &CloseChain) {
        let number = request.chain;
        if let Some(chain) = self.chains.open.get(&number) {
            let released = request.release == 1;
            let (chain, left) = (chain.clone(), if released { 0 } else { chain.steps.len() });
            let told = <ChainBody as crate::wire::Record>::zero();
            let work = Work {
                number,
                chain,
                left,
                opening: false,
                released,
                told,
                base: 0,
                charged: None,
                flash: 0,
                filled: Filled::default(),
                last: None,
            };
            self.chains.work = Some(Box::new(work));
        }
    }
}

/// What steps sell: nothing of it is held behind them.
fn sold(steps: &[Step], unit: impl Fn(u32) -> i64) -> i128 {
    let worth = |step: &Step| match step.0 {
        POOL_SELL => i128::from(if step.3 == 0 { step.5 } else { step.4 }),
        BOOK_SELL => i128::from(step.4) * i128::from(step.5) * i128::from(unit(step.2)),
        _ => 0,
    };
    steps.iter().map(worth).sum()
}

/// P8.8: vault, stakers, makers, buyback; parts floor, the remainder is the vault's.
fn parts(fee: i64) -> [i64; 4] {
    let part = |percent: i64| (i128::from(fee) * i128::from(percent) / 100) as i64;
    let (stakers, makers, buyback) = (part(15), part(5), part(10));
    [fee - stakers - makers - buyback, stakers, makers, buyback]
}
