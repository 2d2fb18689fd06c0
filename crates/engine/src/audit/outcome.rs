//! Claims on outcomes rebuilt from events: I05, the claims' side of I07, and that no claim moves without a cause.

use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, SET_ESCROW};
use super::records::check_movements;
use super::{Auditor, Market};
use crate::hash::Map;
use crate::wire::event::{ClaimsBody, Event, EventKind, Posting, SetBody};

pub const OUTCOME: u8 = 2;
/// Micro-quote that a whole winning contract pays.
pub const PAYOUT: i64 = 1_000_000;
const FEWEST_OUTCOMES: u8 = 2;
const MOST_OUTCOMES: u8 = 64;
const ACTIVE: u8 = 1;
const SETTLED: u8 = 6;
/// Levels of a pause.
const PARTIAL: u8 = 1;
const FULL: u8 = 2;

/// Claims that an event says it moves: the events that show it follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimsMove {
    pub market: u32,
    pub account: u32,
    pub sub: u8,
    pub outcome: u8,
    pub free: i64,
    pub held: i64,
}

/// Micro-shares of one holder in one outcome, and what `held` must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holding {
    free: i64,
    held: i64,
    reserved: i64,
}

/// An outcome market: what exists of each outcome, and complete sets outstanding by the bodies of the events.
#[derive(Clone, Debug, Default)]
struct Sets {
    supply: Vec<i64>,
    sets: i64,
}

/// All claims.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    holdings: Map<(u32, u32, u16), Holding>,
    markets: Map<u32, Sets>,
    expected: Vec<ClaimsMove>,
    /// Markets that the present command touched.
    touched: Vec<u32>,
}

const fn key(market: u32, account: u32, sub: u8, outcome: u8) -> (u32, u32, u16) {
    (market, account, (sub as u16) << 8 | outcome as u16)
}

impl Outcomes {
    /// An event moves claims; the ClaimsMoved that shows it must follow in the same command.
    pub fn expect(&mut self, movement: ClaimsMove) {
        if movement.free != 0 || movement.held != 0 {
            self.expected.push(movement);
        }
    }

    /// Changes what `held` must be: sell orders begin to use it with the books of outcome markets.
    #[allow(dead_code)]
    pub fn reserve(&mut self, market: u32, account: u32, sub: u8, outcome: u8, change: i64) {
        if change != 0 {
            self.holdings.entry(key(market, account, sub, outcome)).or_default().reserved += change;
        }
    }

    /// Counts sets in or out.
    pub fn count_sets(&mut self, market: u32, change: i64) -> Check<i64> {
        let Some(entry) = self.markets.get_mut(&market) else {
            return Err(fault("I05", format_args!("market {market} has no outcomes")));
        };
        entry.sets += change;
        if self.touched.last() != Some(&market) {
            self.touched.push(market);
        }
        Ok(entry.sets)
    }

    fn open(&mut self, market: u32, outcome_count: u8) {
        let supply = vec![0; usize::from(outcome_count)];
        self.markets.insert(market, Sets { supply, sets: 0 });
    }

    /// Takes a holding of a restored state over.
    pub fn load(&mut self, (market, account): (u32, u32), (sub, outcome): (u8, u8), free: i64, held: i64) {
        let holding = self.holdings.entry(key(market, account, sub, outcome)).or_default();
        (holding.free, holding.held) = (free, held);
        if let Some(entry) = self.markets.get_mut(&market) {
            entry.supply[usize::from(outcome)] += free + held;
            entry.sets = entry.supply[0];
        }
    }

    fn shift(&mut self, event: &Event, body: &ClaimsBody) -> Check {
        let place = key(event.market, event.account, event.sub, body.outcome);
        let holding = self.holdings.entry(place).or_default();
        holding.free += body.delta_free;
        holding.held += body.delta_held;
        let Holding { free, held, reserved } = *holding;
        ensure!(free >= 0 && held >= 0, "I03", "claims of account {} are {free} and {held}", event.account);
        ensure!(
            (free, held) == (body.free, body.held),
            "I05",
            "account {} holds {free} and {held} of outcome {}, not {} and {}",
            event.account,
            body.outcome,
            body.free,
            body.held
        );
        if free | held | reserved == 0 {
            self.holdings.remove(&place);
        }
        let entry = self.markets.get_mut(&event.market);
        let Some(supply) = entry.and_then(|entry| entry.supply.get_mut(usize::from(body.outcome))) else {
            return Err(fault(
                "I05",
                format_args!("market {} has no outcome {}", event.market, body.outcome),
            ));
        };
        *supply += body.delta_free + body.delta_held;
        ensure!(*supply == body.supply, "I05", "supply of outcome {} is {supply}", body.outcome);
        if self.touched.last() != Some(&event.market) {
            self.touched.push(event.market);
        }
        Ok(())
    }
}

impl Auditor {
    /// Number of outcomes as its identity tells it.
    pub(super) fn outcomes_identified(&mut self, market: u32, outcome_count: u8) -> Check {
        let is_outcome = self.market(market)?.kind == OUTCOME;
        let bounds = if is_outcome { FEWEST_OUTCOMES..=MOST_OUTCOMES } else { 1..=1 };
        ensure!(bounds.contains(&outcome_count), "I20", "market {market} has {outcome_count} outcomes");
        self.markets[market as usize].outcome_count = outcome_count;
        if is_outcome {
            self.outcomes.open(market, outcome_count);
        }
        Ok(())
    }

    pub(super) fn check_claims(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        if kind == EventKind::ClaimsMoved {
            ensure!(postings.is_empty(), "I01", "moving claims moves money");
            return self.claims_moved(event);
        }
        let body: SetBody = event.body_as();
        let market = *self.market(event.market)?;
        let minted = kind == EventKind::SetMinted;
        let open = if minted { market.status == ACTIVE } else { (ACTIVE..SETTLED).contains(&market.status) };
        ensure!(
            market.kind == OUTCOME && open,
            "I25",
            "sets of market {} move in status {}",
            event.market,
            market.status
        );
        self.check_sets_in_pause(event.market, minted)?;
        let amount = i128::from(body.lots) * i128::from(market.lot_size);
        ensure!(
            body.lots > 0 && amount == i128::from(body.amount),
            "I05",
            "{} lots of sets are {}, not {amount}",
            body.lots,
            body.amount
        );
        let into = if minted { body.amount } else { -body.amount };
        let movements = [
            (event.account, event.sub, market.quote, FREE, -into),
            (event.market + 1, 0, market.quote, SET_ESCROW, into),
        ];
        check_movements("I05", movements, postings)?;
        let sets = self.outcomes.count_sets(event.market, into)?;
        ensure!(sets == body.sets, "I05", "market {} has {sets} sets, not {}", event.market, body.sets);
        for outcome in 0..market.outcome_count {
            let &Event { market, account, sub, .. } = event;
            self.outcomes.expect(ClaimsMove { market, account, sub, outcome, free: into, held: 0 });
        }
        Ok(())
    }

    fn claims_moved(&mut self, event: &Event) -> Check {
        let body: ClaimsBody = event.body_as();
        let shown = ClaimsMove {
            market: event.market,
            account: event.account,
            sub: event.sub,
            outcome: body.outcome,
            free: body.delta_free,
            held: body.delta_held,
        };
        let Some(at) = self.outcomes.expected.iter().position(|expected| *expected == shown) else {
            return Err(fault("I05", format_args!("claims move without a cause: {shown:?}")));
        };
        self.outcomes.expected.swap_remove(at);
        self.outcomes.shift(event, &body)
    }

    /// Free and held micro-shares of a holder as the events tell them.
    pub fn claim(&self, account: u32, sub: u8, market: u32, outcome: u8) -> (i64, i64) {
        let holding = self.outcomes.holdings.get(&key(market, account, sub, outcome));
        holding.map_or((0, 0), |holding| (holding.free, holding.held))
    }

    /// Pauses that hold back what the event does (P7.5: under PARTIAL only merging, under FULL neither).
    fn check_sets_in_pause(&self, market: u32, minted: bool) -> Check {
        for scope in [self.halts.platform, self.halts.scope(market)] {
            let Some((level, _)) = scope.pause else { continue };
            let refused = level >= if minted { PARTIAL } else { FULL };
            ensure!(!refused, "I25", "sets of market {market} move under a pause of level {level}");
        }
        Ok(())
    }

    /// I05 for every market that the command touched.
    pub(super) fn check_claims_end(&mut self) -> Check {
        if let Some(missing) = self.outcomes.expected.first() {
            return Err(fault("I05", format_args!("claims did not move: {missing:?}")));
        }
        while let Some(market) = self.outcomes.touched.pop() {
            self.check_sets(market)?;
        }
        Ok(())
    }

    fn check_sets(&self, handle: u32) -> Check {
        let market: &Market = self.market(handle)?;
        let Some(entry) = self.outcomes.markets.get(&handle) else { return Ok(()) };
        let escrow = self.ledger.line(handle + 1, 0, market.quote, SET_ESCROW);
        // Winners of a settled market are paid out of the escrow one by one.
        if market.status >= SETTLED {
            return Ok(());
        }
        let sets = entry.sets;
        for (outcome, &supply) in entry.supply.iter().enumerate() {
            ensure!(
                supply == sets,
                "I05",
                "market {handle}: {supply} claims on outcome {outcome} and {sets} sets"
            );
        }
        ensure!(escrow == sets, "I05", "market {handle}: escrow {escrow} and {sets} sets");
        Ok(())
    }

    /// Everything from scratch: supply from holdings, escrow, and what secures open sell orders.
    pub(super) fn verify_claims(&self) -> Check {
        let mut supply: Map<(u32, u8), i64> = Map::default();
        for (&(market, account, place), holding) in &self.outcomes.holdings {
            let outcome = place as u8;
            ensure!(
                holding.held == holding.reserved,
                "I07",
                "account {account} sub {}: {} claims of outcome {outcome} in market {market} are held against \
                 reserves {}",
                place >> 8,
                holding.held,
                holding.reserved
            );
            *supply.entry((market, outcome)).or_insert(0) += holding.free + holding.held;
        }
        for (&market, entry) in &self.outcomes.markets {
            for (outcome, &told) in entry.supply.iter().enumerate() {
                let held = supply.get(&(market, outcome as u8)).copied().unwrap_or(0);
                ensure!(told == held, "I05", "market {market}: {told} claims on {outcome}, {held} are held");
            }
            self.check_sets(market)?;
        }
        Ok(())
    }
}
