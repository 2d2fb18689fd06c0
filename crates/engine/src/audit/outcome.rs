//! Claims on outcomes rebuilt from events: I05, the claims' side of I07, and that no claim moves without a cause.

use super::book::Order;
use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, HELD, SET_ESCROW};
use super::orders::fee_ceil;
use super::records::check_movements;
use super::{Auditor, Market};
use crate::hash::Map;
use crate::wire::event::{trade_kind, ClaimsBody, Event, EventKind, OrderBody, Posting, SetBody, TradeBody};

pub const OUTCOME: u8 = 2;
pub const DISTRIBUTION: u8 = 3;
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
    /// Markets, and holdings, that the present command touched.
    touched: Vec<u32>,
    secured: Vec<(u32, u32, u16)>,
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

    /// Changes what `held` must be.
    pub fn reserve(&mut self, market: u32, account: u32, sub: u8, outcome: u8, change: i64) {
        if change != 0 {
            let place = key(market, account, sub, outcome);
            self.holdings.entry(place).or_default().reserved += change;
            self.secured.push(place);
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

    /// What exists of each outcome of a market.
    pub fn supplies(&self, market: u32) -> &[i64] {
        self.markets.get(&market).map_or(&[], |entry| &entry.supply)
    }

    /// Sub-accounts from a number on that hold claims, with the market.
    pub fn holders_from(&self, first: u8) -> impl Iterator<Item = (u32, u8, u32)> + '_ {
        let all = self.holdings.keys().map(|&(market, account, place)| (account, (place >> 8) as u8, market));
        all.filter(move |holder| holder.1 >= first && holder.0 != u32::MAX)
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

impl Market {
    /// Ticks of a whole contract.
    pub(super) fn payout_ticks(&self) -> i64 {
        PAYOUT / self.tick_size
    }

    /// Orders for outcome 1 of two stand in the book of outcome 0: on the other side, at the complement of their price.
    fn flips(&self, outcome: u8) -> bool {
        self.has_outcomes() && self.outcome_count == 2 && outcome == 1
    }

    /// An order as its book shows it.
    pub(super) fn in_book_terms(&self, body: &OrderBody) -> OrderBody {
        if !self.flips(body.outcome) {
            return *body;
        }
        OrderBody { side: 1 - (body.side & 1), price: self.payout_ticks() - body.price, ..*body }
    }

    /// Of a purchase quote with the worst fee on the cheaper side of the contract; of a sale the claims themselves.
    pub(super) fn outcome_reserve(&self, order: &Order, lots: i64) -> Check<i64> {
        if order.on_claims {
            let shares = i128::from(lots) * i128::from(self.lot_size);
            ensure!((0..=i128::from(i64::MAX)).contains(&shares), "I20", "{lots} lots are out of range");
            return Ok(shares as i64);
        }
        let ticks = self.payout_ticks();
        let price = if order.flipped { ticks - order.price } else { order.price };
        let base = self.value(price.min(ticks - price), lots)?;
        Ok(self.value(price, lots)? + fee_ceil(base, order.fee_cap_e6bp))
    }
}

impl Auditor {
    /// Book of a new order, and whether it stands there for the other side; its outcome and price exist (I08).
    pub(super) fn place_in_book(
        &self,
        market: &Market,
        event: &Event,
        outcome: u8,
        price: i64,
    ) -> Check<(u32, bool)> {
        ensure!(
            outcome < market.outcome_count,
            "I26",
            "order {} names outcome {outcome} of {}",
            event.order,
            market.outcome_count
        );
        if !market.has_outcomes() {
            return Ok((self.books.book(event.market, 0), false));
        }
        let ticks = market.payout_ticks();
        ensure!(0 < price && price < ticks, "I08", "order {} has price {price} of {ticks}", event.order);
        let line = if market.outcome_count == 2 { 0 } else { outcome };
        Ok((self.books.book(event.market, line), market.flips(outcome)))
    }

    /// Changes what secures an order: money on `held`, or claims, which move with an event of their own.
    #[inline]
    pub(super) fn secure(&mut self, order: &Order, change: i64) {
        if !order.on_claims {
            return self.ledger.reserve(order.balance, change);
        }
        let &Order { market, account, sub, outcome, .. } = order;
        self.outcomes.reserve(market, account, sub, outcome, change);
        self.outcomes.expect(ClaimsMove { market, account, sub, outcome, free: -change, held: change });
    }

    /// A fill of an outcome market: two purchases make sets, two sales dissolve them, otherwise claims change hands.
    pub(super) fn outcome_trade(
        &mut self,
        event: &Event,
        body: &TradeBody,
        (taker_slot, maker_slot): (u32, u32),
        postings: &[Posting],
    ) -> Check {
        let (taker, maker) = (self.books.orders[taker_slot as usize], self.books.orders[maker_slot as usize]);
        let market = *self.market(taker.market)?;
        let ticks = market.payout_ticks();
        ensure!(0 < body.price && body.price < ticks, "I08", "a fill at {} of {ticks}", body.price);
        let base = market.value(body.price.min(ticks - body.price), body.lots)?;
        let elastic = self.elastic_fees(&market, base, (&taker, &maker), body)?;
        let part = |order: &Order, rate: u32, whole: Option<i64>| -> Check<(i64, i64, i64, i64)> {
            let own = if order.flipped { ticks - body.price } else { body.price };
            let value = market.value(own, body.lots)?;
            let left = market.outcome_reserve(order, order.remaining - body.lots)?;
            let freed = order.reserve - left;
            let whole = whole.unwrap_or_else(|| fee_ceil(base, rate.min(order.fee_cap_e6bp)));
            let fee = if order.on_claims { whole } else { whole.min(freed - value) };
            Ok((value, fee, freed, left))
        };
        let (taken, taker_fee, taker_freed, taker_left) =
            part(&taker, market.taker_fee_e6bp, elastic.map(|(whole, _)| whole))?;
        let (made, maker_fee, maker_freed, maker_left) = part(&maker, market.maker_fee_e6bp, None)?;
        let maker_fee = elastic.map_or(maker_fee, |(_, rebate)| rebate);
        let (kind, escrowed) = match (taker.on_claims, maker.on_claims) {
            (false, false) => (trade_kind::MINT, taken + made),
            (true, true) => (trade_kind::MERGE, -(taken + made)),
            _ => (trade_kind::TRANSFER, 0),
        };
        let line = if market.outcome_count == 2 { 0 } else { maker.outcome };
        let notional = market.value(body.price, body.lots)?;
        ensure!(
            (body.trade_kind, body.outcome, body.notional, body.taker_fee, body.maker_fee)
                == (kind, line, notional, taker_fee, maker_fee),
            "I11",
            "a fill of kind {kind} on outcome {line} over {notional} with fees {taker_fee}, {maker_fee} is told as              {body:?}"
        );
        // What a purchase does not need of its reserve returns; a sale is paid into `free`.
        let paid = |order: &Order, value: i64, fee: i64, freed: i64| match order.on_claims {
            true => (0, value - fee),
            false => (-freed, freed - value - fee),
        };
        let (taker_held, taker_free) = paid(&taker, taken, taker_fee, taker_freed);
        let (maker_held, maker_free) = paid(&maker, made, maker_fee, maker_freed);
        let quote = market.quote;
        let [vault, stakers, maker_fund, insurance, treasury] =
            self.fee_movements(quote, taker_fee + maker_fee);
        let movements = [
            (taker.account, taker.sub, quote, HELD, taker_held),
            (taker.account, taker.sub, quote, FREE, taker_free),
            (maker.account, maker.sub, quote, HELD, maker_held),
            (maker.account, maker.sub, quote, FREE, maker_free),
            (event.market + 1, 0, quote, SET_ESCROW, escrowed),
            vault,
            stakers,
            maker_fund,
            insurance,
            treasury,
        ];
        check_movements("I11", movements, postings)?;
        self.collect_charged(quote, taker_fee + maker_fee, 0);
        self.outcomes.count_sets(event.market, escrowed)?;
        for (slot, order, left) in [(taker_slot, taker, taker_left), (maker_slot, maker, maker_left)] {
            let shares = body.lots * market.lot_size;
            let &Order { market, account, sub, outcome, .. } = &order;
            let (free, held) = if order.on_claims { (0, -shares) } else { (shares, 0) };
            self.outcomes.expect(ClaimsMove { market, account, sub, outcome, free, held });
            match order.on_claims {
                true => self.outcomes.reserve(market, account, sub, outcome, left - order.reserve),
                false => self.ledger.reserve(order.balance, left - order.reserve),
            }
            self.after_fill(slot, body.lots, left, true);
        }
        Ok(())
    }

    /// Number of outcomes as its identity tells it.
    pub(super) fn outcomes_identified(&mut self, market: u32, outcome_count: u8) -> Check {
        let is_outcome = self.market(market)?.has_outcomes();
        let bounds = if is_outcome { FEWEST_OUTCOMES..=MOST_OUTCOMES } else { 1..=1 };
        ensure!(bounds.contains(&outcome_count), "I20", "market {market} has {outcome_count} outcomes");
        self.markets[market as usize].outcome_count = outcome_count;
        if is_outcome {
            self.outcomes.open(market, outcome_count);
        }
        if outcome_count > 2 {
            self.books.open_books(outcome_count - 1);
        }
        if self.market(market)?.matches_sets() {
            self.books.bound_sums(outcome_count);
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
            market.has_outcomes() && open,
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
        let before = body.free - body.delta_free != 0 || body.held - body.delta_held != 0;
        let after = body.free != 0 || body.held != 0;
        self.stakes.change(event.market, event.account, (before, after), event.time_ns);
        self.outcomes.shift(event, &body)
    }

    /// Free and held micro-shares of a holder as the events tell them.
    pub fn claim(&self, account: u32, sub: u8, market: u32, outcome: u8) -> (i64, i64) {
        let holding = self.outcomes.holdings.get(&key(market, account, sub, outcome));
        holding.map_or((0, 0), |holding| (holding.free, holding.held))
    }

    /// Pauses that hold back what the event does (P7.5: under PARTIAL only merging, under FULL neither).
    pub(super) fn check_sets_in_pause(&self, market: u32, minted: bool) -> Check {
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
        while let Some(place) = self.outcomes.secured.pop() {
            let holding = self.outcomes.holdings.get(&place).copied().unwrap_or_default();
            check_secured(place, &holding)?;
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
            check_secured((market, account, place), holding)?;
            let outcome = place as u8;
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

/// I07: the claims that a holder has `held` are what secures its open sell orders.
fn check_secured((market, account, place): (u32, u32, u16), holding: &Holding) -> Check {
    ensure!(
        holding.held == holding.reserved,
        "I07",
        "account {account} sub {}: {} claims of outcome {} in market {market} are held against reserves {}",
        place >> 8,
        holding.held,
        place as u8,
        holding.reserved
    );
    Ok(())
}
