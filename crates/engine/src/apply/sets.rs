//! Set matching over the books of a categorical market (protocol P3.6): orders of one side, one of each outcome, make or
//! dissolve complete sets.
//!
//! An order first trades in its own book. When that has nothing more for it, the best orders of all other books on its
//! own side may complete a set with it: N purchases that pay the payout or more fund new sets (MINT), N sales that ask for
//! no more than the payout dissolve sets (MERGE). Those that rest trade at exactly their prices, each the first of its
//! book; what is over goes to the order that arrived last. So the sum of the best bids stays below the payout, that of the
//! best asks above it, as one book's best bid stays below its best ask.

use super::matching::Step;
use super::orders::subject;
use super::outcome_fill::{Part, FITS};
use super::work::{Budget, Taker};
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::{line, post_system};
use crate::limits::{CANCELS_PER_COMMAND, SET_LEG_EFFORT, SET_MATCHING_OUTCOMES};
use crate::market::Market;
use crate::order::{flag, Order};
use crate::outcome::loans::FIRST_PLEDGE;
use crate::output::Output;
use crate::wire::command::{order_flag, side, stp, time_in_force, Command, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{cancel_reason, claims_cause, trade_kind, EventKind, SetFilledBody};

/// Orders that one order needs to complete a set.
const OTHERS: usize = SET_MATCHING_OUTCOMES as usize - 1;

/// How the rounds of a taker ended.
pub(super) enum SetsEnd {
    /// Nothing completes a set any more, or the rest of the taker is cancelled for this reason.
    Done(Option<u8>),
    /// The command has no more work left for them.
    Spent,
}

/// What completes a set with one order: the best orders of the other books, ascending by outcome.
#[derive(Clone, Copy)]
struct Completion {
    slots: [u32; OTHERS],
    count: usize,
    /// Ticks that they leave of the payout: what the order pays or gets.
    price: i64,
}

impl Completion {
    fn slots(&self) -> &[u32] {
        &self.slots[..self.count]
    }

    /// Orders of a round.
    fn orders(&self) -> u32 {
        self.count as u32 + 1
    }
}

/// Whether the books of a market are matched with each other.
pub(super) fn has_set_matching(market: &Market) -> bool {
    market.outcome_count > 2 && market.outcome_count <= SET_MATCHING_OUTCOMES
}

/// Whether an order trades in sets: what must fill at once in whole is measured on its own book's level totals (P2.5.1),
/// and so is what a loan pays for or a pledge sells.
#[inline(always)]
pub(super) fn trades_in_sets(market: &Market, order: &Order) -> bool {
    market.outcome_count > 2 && is_in_sets(market, order)
}

fn is_in_sets(market: &Market, order: &Order) -> bool {
    has_set_matching(market) && order.time_in_force != time_in_force::FOK && order.sub < FIRST_PLEDGE
}

impl<B: Book> Engine<B> {
    /// What [`Engine::check_execution`] asks of an order, of sets: passive orders complete none, and nobody makes one
    /// with himself. Returns whether matching must run.
    #[inline(never)]
    pub(super) fn check_set_execution(
        &self,
        order: &Order,
        takes: bool,
        now_ns: i64,
    ) -> Result<bool, Reject> {
        if self.collects(order.market) || self.first_live_crossing(order, now_ns).is_some() {
            return Ok(takes);
        }
        if let Some(set) = self.completion(order, Some(now_ns)) {
            let passive = order.flags & order_flag::POST_ONLY != 0
                || self.state.detector.is_slowed(order.account, now_ns);
            if passive {
                return reject(Code::POST_ONLY_WOULD_TAKE, set.price, order.price);
            }
            let own = self.own_of(order, &set);
            if let Some(slot) = own.filter(|_| order.self_trade_prevention == stp::CANCEL_NEWEST) {
                let own = &self.state.orders[slot];
                return reject(Code::SELF_TRADE_PREVENTED, own.id as i64, order.price);
            }
        }
        // One that has expired is removed when it is met.
        Ok(takes || self.completion(order, None).is_some())
    }

    /// Refuses an item of a batch that would complete a set: it must come to rest.
    pub(super) fn check_completes_nothing(&self, request: &PlaceOrder) -> Result<(), Reject> {
        let Some(market) = self.state.markets.list.get(request.market as usize) else { return Ok(()) };
        if !has_set_matching(market) || request.outcome >= market.outcome_count || request.side > side::SELL {
            return Ok(());
        }
        match self.set_of(request.market, request.outcome, (request.side, request.price), None) {
            Some(set) => reject(Code::POST_ONLY_WOULD_TAKE, set.price, request.price),
            None => Ok(()),
        }
    }

    /// What completes a set with an order now; with a time, expired orders are passed over.
    fn completion(&self, order: &Order, live_at_ns: Option<i64>) -> Option<Completion> {
        self.set_of(order.market, order.outcome, (order.side, order.price), live_at_ns)
    }

    fn set_of(
        &self,
        market: u32,
        outcome: u8,
        (book_side, price): (u8, i64),
        live_at_ns: Option<i64>,
    ) -> Option<Completion> {
        let entry = &self.state.markets.list[market as usize];
        let mut set = Completion { slots: [0; OTHERS], count: 0, price: entry.payout_ticks() };
        for line in (0..entry.outcome_count).filter(|&line| line != outcome) {
            let book = self.state.books.at(market, line);
            let slot = match live_at_ns {
                None => book.first(book_side)?,
                Some(now_ns) => self.first_live(book, book_side, now_ns)?,
            };
            set.price -= self.state.orders[slot].price;
            set.slots[set.count] = slot;
            set.count += 1;
        }
        let completes = if book_side == side::BUY { price >= set.price } else { price <= set.price };
        completes.then_some(set)
    }

    /// The order of a side that trades next and has not expired. Beyond the bound an expired one counts as live: a
    /// refusal is safe, an unbounded search is not.
    fn first_live(&self, book: &B, book_side: u8, now_ns: i64) -> Option<u32> {
        let mut slot = book.first(book_side)?;
        for _ in 0..CANCELS_PER_COMMAND {
            if !self.state.orders[slot].is_expired(now_ns) {
                break;
            }
            slot = book.following(&self.state.orders, slot)?;
        }
        Some(slot)
    }

    /// The first order of the set that has the same owner.
    fn own_of(&self, order: &Order, set: &Completion) -> Option<u32> {
        let owned = |slot: &&u32| self.state.orders[**slot].account == order.account;
        set.slots().iter().find(owned).copied()
    }

    /// Makes sets with a taker until none is complete, it is used up, or the command's work is done.
    #[inline(never)]
    pub(super) fn match_sets(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        budget: &mut Budget,
        output: &mut Output,
    ) -> SetsEnd {
        let market = &self.state.markets.list[taker.order.market as usize];
        if !trades_in_sets(market, &taker.order) || self.collects(taker.order.market) {
            return SetsEnd::Done(None);
        }
        while taker.order.remaining > 0 {
            let Some(set) = self.completion(&taker.order, None) else { break };
            let (orders, effort) = (set.orders(), set.orders() * SET_LEG_EFFORT);
            let cancels = self.set_cancels(&taker.order, &set);
            if budget.fills < orders || !budget.admits(effort) || budget.cancels < cancels {
                return SetsEnd::Spent;
            }
            let expired = |slot: &&u32| self.state.orders[**slot].is_expired(command.time_ns);
            if let Some(&slot) = set.slots().iter().find(expired) {
                budget.cancels -= self.cancel_slot(command, slot, cancel_reason::EXPIRY, output);
                budget.spend(SET_LEG_EFFORT);
                continue;
            }
            if set.slots().iter().any(|&slot| self.is_beyond_band(slot)) {
                return SetsEnd::Done(Some(cancel_reason::BAND));
            }
            if let Some(slot) = self.own_of(&taker.order, &set) {
                let line = self.state.orders[slot].line();
                let step = self.prevent_self_trade(command, taker, slot, budget, output);
                self.touch_reference(taker.order.market, line);
                budget.spend(SET_LEG_EFFORT);
                match step {
                    Step::Ends(reason) => return SetsEnd::Done(Some(reason)),
                    Step::Goes => continue,
                }
            }
            self.fill_set(command, taker, &set, budget, output);
            budget.fills -= orders;
            budget.spend(effort);
        }
        SetsEnd::Done(None)
    }

    /// Cancels that a round may cause.
    fn set_cancels(&self, order: &Order, set: &Completion) -> u32 {
        let special = |flags: u16| flags & flag::SPECIAL != 0;
        let any =
            special(order.flags) || set.slots().iter().any(|&slot| special(self.state.orders[slot].flags));
        if any {
            set.orders() * super::conditional::LINKED_CANCELS
        } else {
            1
        }
    }

    /// Whether a resting order stands where it may not trade now (P2.4.5).
    fn is_beyond_band(&self, slot: u32) -> bool {
        let order = &self.state.orders[slot];
        self.band_of(order).is_some_and(|(low, high)| !(low..=high).contains(&order.price))
    }

    /// One round: the smallest displayed quantity of all orders.
    #[inline(never)]
    fn fill_set(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        set: &Completion,
        budget: &mut Budget,
        output: &mut Output,
    ) {
        let lots = set.slots().iter().map(|&slot| self.state.orders[slot].remaining).min();
        let lots = lots.map_or(0, |least| least.min(taker.order.remaining));
        let elastic = self.elastic_of(&taker.order, taker.order.account, command.time_ns);
        let mut round = self.round_of(taker, set, lots, elastic.map_or(0, |elastic| elastic.rate_e8));
        if let Some(elastic) = elastic {
            let charged = (round.base, round.taking.fee);
            let accounts = set.slots.map(|slot| self.state.orders.get(slot).map_or(0, |order| order.account));
            let makers = accounts.into_iter().zip(round.bases).take(set.count);
            let rebate = self.charge_set(command, &taker.order, makers, elastic, charged, output);
            round.share_rebate(rebate);
        }
        self.post_round(taker, set, &round, output);
        taker.order.remaining -= lots;
        taker.order.reserve = round.taking.reserve;
        self.tell_round(command, taker, set, &round, output);
        let linked = self.linked_in(taker, set, lots);
        self.end_round(command, taker, set, &round, output);
        for (partner, filled) in linked.into_iter().flatten() {
            self.after_linked_fill(command, partner, filled, budget, output);
        }
    }

    /// Partners of the orders of a round (P2.5.7), with what each of these has filled and whether that was all of it.
    fn linked_in(&self, taker: &Taker, set: &Completion, lots: i64) -> [Option<Linked>; OTHERS + 1] {
        let link = |order: &Order, remaining: i64| {
            if order.flags & flag::SPECIAL == 0 {
                return None;
            }
            let record = self.state.triggers.of(order);
            let whole = remaining + record.hidden == 0;
            (record.partner != 0).then_some((record.partner, (order.id, lots, whole)))
        };
        let mut linked = [None; OTHERS + 1];
        linked[OTHERS] = link(&taker.order, taker.order.remaining);
        for (place, &slot) in linked.iter_mut().zip(set.slots()) {
            let maker = &self.state.orders[slot];
            *place = link(maker, maker.remaining - lots);
        }
        linked
    }

    /// What a round of `lots` moves for each of its orders.
    fn round_of(&self, taker: &Taker, set: &Completion, lots: i64, elastic_e8: u64) -> Round {
        let market = &self.state.markets.list[taker.order.market as usize];
        let rates = market.parameters;
        let mut round = Round {
            lots,
            price: set.price,
            shares: lots * market.lot_size,
            base: 0,
            taking: Part::default(),
            making: [Part::default(); OTHERS],
            bases: [0; OTHERS],
        };
        let mut left = round.shares;
        for (at, &slot) in set.slots().iter().enumerate() {
            let maker = &self.state.orders[slot];
            round.making[at] = self.part_of(maker, maker.price, lots, (rates.maker_fee_e6bp, 0));
            round.bases[at] = market.outcome_fee_base(maker.price, lots).expect(FITS);
            left -= round.making[at].value;
        }
        // Where the others pay for the whole set there is no cheaper side to charge a fee on.
        if set.price > 0 {
            round.base = market.outcome_fee_base(set.price, lots).expect(FITS);
        }
        let taking = (rates.taker_fee_e6bp, elastic_e8);
        round.taking = self.part_worth(&taker.order, (left, round.base), lots, taking);
        round
    }

    /// Money of a round: all its orders, the escrow and the fees.
    fn post_round(&mut self, taker: &Taker, set: &Completion, round: &Round, output: &mut Output) {
        let (market, quote) =
            (taker.order.market, self.state.markets.list[taker.order.market as usize].quote);
        self.post_part(&taker.order, &round.taking, quote, output);
        let mut fees = round.taking.fee;
        for (&slot, part) in set.slots().iter().zip(&round.making) {
            let maker = self.state.orders[slot];
            self.post_part(&maker, part, quote, output);
            fees += part.fee;
        }
        let escrowed = if round.taking.buys { round.shares } else { -round.shares };
        let postings = &mut output.postings;
        post_system(&mut self.state.system, postings, line::SET_ESCROW, market + 1, quote, escrowed);
        self.post_fees(fees, quote, &mut output.postings);
    }

    /// The events of a round: every order's fill, that of the taker first, then the claims that move.
    fn tell_round(
        &mut self,
        command: &Command,
        taker: &Taker,
        set: &Completion,
        round: &Round,
        output: &mut Output,
    ) {
        let market = &self.state.markets.list[taker.order.market as usize];
        let better = (taker.order.price - round.price).abs() * round.lots * market.unit;
        let fill = |order: &Order, part: &Part, price: i64, surplus: i64, remaining: i64| SetFilledBody {
            taker_order: taker.order.id,
            taker_account: taker.order.account,
            trade_kind: if part.buys { trade_kind::MINT } else { trade_kind::MERGE },
            outcome: order.outcome,
            side: order.side,
            orders: set.orders() as u8,
            price,
            lots: round.lots,
            value: part.value,
            fee: part.fee,
            surplus,
            remaining,
        };
        let order = &taker.order;
        let left = order.remaining + self.state.triggers.hidden(order);
        let body = fill(order, &round.taking, round.price, better, left);
        output.emit(command, EventKind::SetFilled, subject(order), &body);
        for (&slot, part) in set.slots().iter().zip(&round.making) {
            let maker = &self.state.orders[slot];
            let left = maker.remaining - round.lots + self.state.triggers.hidden(maker);
            let body = fill(maker, part, maker.price, 0, left);
            output.emit(command, EventKind::SetFilled, subject(maker), &body);
        }
        let moved = if round.taking.buys { (round.shares, 0) } else { (0, -round.shares) };
        self.move_claims(command, &subject(order), order.outcome, moved, claims_cause::TRADE, output);
        for &slot in set.slots() {
            let maker = self.state.orders[slot];
            self.move_claims(command, &subject(&maker), maker.outcome, moved, claims_cause::TRADE, output);
        }
    }

    /// Books, prices and owners behind a round.
    fn end_round(
        &mut self,
        command: &Command,
        taker: &Taker,
        set: &Completion,
        round: &Round,
        output: &mut Output,
    ) {
        let market = taker.order.market;
        let highest = self.state.markets.list[market as usize].payout_ticks() - 1;
        for (&slot, part) in set.slots().iter().zip(&round.making) {
            let maker = self.state.orders[slot];
            let previous = self.note_trade_price(&maker, maker.price);
            self.shrink_maker(command, (slot, &maker), round.lots, part.reserve, output);
            self.touch_reference(market, maker.line());
            self.note_book(market, maker.line());
            self.after_collateral(command, maker.account, maker.sub, output);
            self.watch_trade(command, (market, maker.line()), (previous, maker.price), output);
        }
        let price = round.price.clamp(1, highest);
        let previous = self.note_trade_price(&taker.order, price);
        self.touch_reference(market, taker.order.line());
        self.after_collateral(command, taker.order.account, taker.order.sub, output);
        self.watch_trade(command, (market, taker.order.line()), (previous, price), output);
    }
}

/// The other order of a pair, and the fill that it feels: by which order, lots, whether it was filled as a whole.
type Linked = (u64, (u64, i64, bool));

/// The amounts of a round.
struct Round {
    lots: i64,
    /// Ticks of the taker.
    price: i64,
    /// Micro-shares of every outcome, and micro-quote in or out of the escrow.
    shares: i64,
    /// What the taker's fee is charged on, and the same of the others.
    base: i64,
    taking: Part,
    making: [Part; OTHERS],
    bases: [i64; OTHERS],
}

impl Round {
    /// Divides the makers' part of an elastic fee (P8.6) by what a fee of each would be charged on, rounded down.
    fn share_rebate(&mut self, rebate: i64) {
        let all: i64 = self.bases.iter().sum();
        for (part, &base) in self.making.iter_mut().zip(&self.bases) {
            part.fee -= (i128::from(rebate) * i128::from(base) / i128::from(all)) as i64;
        }
    }
}
