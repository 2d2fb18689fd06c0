//! Set rounds over the books of a categorical market (P3.6), computed again from the auditor's own books: who trades, how
//! much, at which price, and that the sums of best prices complete no set behind a command.

use std::collections::VecDeque;

use super::book::{Order, BUY, NONE};
use super::fault::{ensure, Check};
use super::ledger::{FREE, HELD, SET_ESCROW};
use super::orders::fee_ceil;
use super::outcome::ClaimsMove;
use super::records::{check_movements, Movement};
use super::{Auditor, Market};
use crate::wire::event::{trade_kind, Event, Posting, SetFilledBody, TradeBody};

/// Outcomes of the markets whose books are matched with each other.
const FEWEST: u8 = 3;
const MOST: u8 = 8;
/// Money of a round: held and free of every order, the escrow, four destinations of fees.
const MOVEMENTS: usize = 2 * MOST as usize + 6;
const SELL: u8 = 1;
/// In the place of a movement: no posting names this line.
const NOTHING: Movement = (u32::MAX, u8::MAX, u16::MAX, u8::MAX, 0);

/// Fills of a round that its first event has announced: order, account, sub-account, market and body.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    announced: VecDeque<((u64, u32, u8, u32), SetFilledBody)>,
}

/// One order of a round and what it moves.
struct Leg {
    slot: u32,
    order: Order,
    price: i64,
    value: i64,
    /// What its fee is charged on.
    base: i64,
    fee: i64,
    freed: i64,
    left: i64,
}

impl Market {
    /// Whether the books of its outcomes are matched with each other.
    pub(super) fn matches_sets(&self) -> bool {
        self.has_outcomes() && (FEWEST..=MOST).contains(&self.outcome_count)
    }
}

impl Auditor {
    /// A fill of a round: one that was announced, or the taker's, which announces the others.
    pub(super) fn set_filled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: SetFilledBody = event.body_as();
        let Some(announced) = self.sets.announced.pop_front() else {
            return self.set_round(event, &body, postings);
        };
        ensure!(postings.is_empty(), "I01", "the fill of a maker of a set moves money");
        let told = ((event.order, event.account, event.sub, event.market), body);
        ensure!(told == announced, "I26", "a fill of a set is told as {told:?}, not {announced:?}");
        Ok(())
    }

    fn set_round(&mut self, event: &Event, body: &SetFilledBody, postings: &[Posting]) -> Check {
        let market = *self.market(event.market)?;
        let halted =
            TradeBody { price: body.price, trade_kind: body.trade_kind, ..bytemuck::Zeroable::zeroed() };
        let in_auction = self.check_trade_in_halt(event, &halted, false)?;
        ensure!(market.matches_sets() && !in_auction, "I06", "sets of market {} do not match", event.market);
        let slot = self.books.find(event.order)?;
        let taker = self.books.orders[slot as usize];
        ensure!(
            !taker.rests()
                && !taker.parked
                && (taker.account, taker.sub, taker.market) == (event.account, event.sub, event.market)
                && (body.taker_order, body.taker_account) == (taker.id, taker.account),
            "I26",
            "order {} takes no part in a set as its taker",
            taker.id
        );
        let mut legs = self.set_legs(&market, slot)?;
        let lots = legs.iter().map(|leg| leg.order.shown()).min().unwrap_or(0);
        ensure!(lots > 0, "I26", "a set of {lots} lots");
        self.value_legs(&market, &mut legs, lots, body.fee)?;
        for (at, leg) in legs.iter().enumerate() {
            let told = told_of(&market, &legs[0], leg, lots, legs.len());
            if at == 0 {
                ensure!(*body == told, "I11", "a set is told as {body:?}, not {told:?}");
            } else {
                let Order { id, account, sub, market, .. } = leg.order;
                self.sets.announced.push_back(((id, account, sub, market), told));
            }
        }
        self.move_set(event, &market, &legs, lots, postings)
    }

    /// The taker and, ascending by outcome, the first order of every other book on its side: together they complete a set,
    /// nobody with himself.
    fn set_legs(&self, market: &Market, slot: u32) -> Check<Vec<Leg>> {
        let leg = |slot: u32| {
            let order = self.books.orders[slot as usize];
            Leg { slot, order, price: order.price, value: 0, base: 0, fee: 0, freed: 0, left: 0 }
        };
        let mut legs = vec![leg(slot)];
        let taker = legs[0].order;
        let mut price = market.payout_ticks();
        for outcome in (0..market.outcome_count).filter(|&outcome| outcome != taker.outcome) {
            let book = self.books.book(taker.market, outcome);
            let first = self.books.first_of(book, taker.side);
            ensure!(first != NONE, "I06", "a set without an order for outcome {outcome}");
            let maker = leg(first);
            ensure!(
                maker.order.account != taker.account,
                "I06",
                "order {} makes a set with its own owner",
                taker.id
            );
            price -= maker.price;
            legs.push(maker);
        }
        let completes = if taker.side == BUY { taker.price >= price } else { taker.price <= price };
        ensure!(completes, "I06", "order {} at {} completes no set at {price}", taker.id, taker.price);
        let resting = self.books.first_of(taker.book, SELL - taker.side);
        let own_first = resting != NONE && {
            let resting = self.books.orders[resting as usize].price;
            if taker.side == BUY {
                resting <= taker.price
            } else {
                resting >= taker.price
            }
        };
        ensure!(!own_first, "I06", "order {} makes a set before it trades in its own book", taker.id);
        legs[0].price = price;
        Ok(legs)
    }

    /// Values, fees and reserves of `lots`.
    fn value_legs(&mut self, market: &Market, legs: &mut [Leg], lots: i64, told_fee: i64) -> Check {
        let (ticks, mut left) = (market.payout_ticks(), lots * market.lot_size);
        for (at, leg) in legs.iter_mut().enumerate().rev() {
            leg.value = if at == 0 { left } else { market.value(leg.price, lots)? };
            left -= leg.value;
            leg.base = if leg.price > 0 { market.value(leg.price.min(ticks - leg.price), lots)? } else { 0 };
            leg.left = market.outcome_reserve(&leg.order, leg.order.remaining - lots)?;
            leg.freed = leg.order.reserve - leg.left;
            let rate = if at == 0 { market.taker_fee_e6bp } else { market.maker_fee_e6bp };
            leg.fee = fee_ceil(leg.base, rate.min(leg.order.fee_cap_e6bp));
        }
        let cap = legs[0].order.fee_cap_e6bp;
        if let Some((told, whole)) = self.charged_fee(market, legs[0].base, cap, told_fee)? {
            let counted: Vec<_> = legs.iter().map(|leg| (leg.order.account, leg.base)).collect();
            self.check_rebate(&told, false)?;
            self.check_book_adjustment(&told, (market, legs[0].order.book), None)?;
            self.count_set(&told, &counted, market.quote)?;
            legs[0].fee = whole;
            let bases: i128 = legs[1..].iter().map(|leg| i128::from(leg.base)).sum();
            for leg in &mut legs[1..] {
                leg.fee = -(i128::from(told.rebate) * i128::from(leg.base) / bases) as i64;
            }
        }
        for leg in legs.iter_mut().filter(|leg| !leg.order.on_claims) {
            leg.fee = leg.fee.min(leg.freed - leg.value);
        }
        Ok(())
    }

    /// Money, claims and orders of a round.
    fn move_set(
        &mut self,
        event: &Event,
        market: &Market,
        legs: &[Leg],
        lots: i64,
        postings: &[Posting],
    ) -> Check {
        let (quote, shares) = (market.quote, lots * market.lot_size);
        let minted = !legs[0].order.on_claims;
        let escrowed = if minted { shares } else { -shares };
        let fees: i64 = legs.iter().map(|leg| leg.fee).sum();
        let mut movements: [Movement; MOVEMENTS] = [NOTHING; MOVEMENTS];
        movements[0] = (event.market + 1, 0, quote, SET_ESCROW, escrowed);
        movements[1..6].copy_from_slice(&self.fee_movements(quote, fees));
        for (at, leg) in legs.iter().enumerate() {
            let Order { account, sub, .. } = leg.order;
            let (held, free) =
                if minted { (-leg.freed, leg.freed - leg.value - leg.fee) } else { (0, leg.value - leg.fee) };
            movements[6 + 2 * at] = (account, sub, quote, HELD, held);
            movements[7 + 2 * at] = (account, sub, quote, FREE, free);
        }
        // Several orders of one owner, and destinations of fees, are one line each.
        check_movements("I11", merged(movements), postings)?;
        self.collect_charged(quote, fees, 0);
        self.outcomes.count_sets(event.market, escrowed)?;
        self.work.fills += legs.len() as u32;
        for leg in legs {
            let Order { market, account, sub, outcome, reserve, balance, .. } = leg.order;
            let (free, held) = if minted { (shares, 0) } else { (0, -shares) };
            self.outcomes.expect(ClaimsMove { market, account, sub, outcome, free, held });
            match minted {
                true => self.ledger.reserve(balance, leg.left - reserve),
                false => self.outcomes.reserve(market, account, sub, outcome, leg.left - reserve),
            }
            self.after_fill(leg.slot, lots, leg.left, true);
        }
        Ok(())
    }

    /// What a round announced was told, and in markets where orders came to rest no set is complete (P3.6, P3.3).
    pub(super) fn check_sets_end(&mut self) -> Check {
        ensure!(self.sets.announced.is_empty(), "I26", "the fills of a set are not told");
        while let Some(market) = self.books.summed.pop() {
            self.check_sums(market)?;
        }
        Ok(())
    }

    /// The same of all markets.
    pub(super) fn verify_sums(&self) -> Check {
        (0..self.markets.len() as u32).try_for_each(|market| self.check_sums(market))
    }

    fn check_sums(&self, handle: u32) -> Check {
        let market = self.market(handle)?;
        if !market.matches_sets() || self.halts.scope(handle).collects() {
            return Ok(());
        }
        for side in [BUY, SELL] {
            let mut sum = 0;
            let complete = (0..market.outcome_count).all(|outcome| {
                let first = self.books.first_of(self.books.book(handle, outcome), side);
                if first != NONE {
                    sum += self.books.orders[first as usize].price;
                }
                first != NONE
            });
            let ticks = market.payout_ticks();
            let crossed = complete && if side == BUY { sum >= ticks } else { sum <= ticks };
            ensure!(
                !crossed,
                "I06",
                "market {handle}: the best prices of side {side} sum to {sum} of {ticks}"
            );
        }
        Ok(())
    }
}

/// How a leg must be told.
fn told_of(market: &Market, taker: &Leg, leg: &Leg, lots: i64, orders: usize) -> SetFilledBody {
    let is_taker = leg.order.id == taker.order.id;
    SetFilledBody {
        taker_order: taker.order.id,
        taker_account: taker.order.account,
        trade_kind: if leg.order.on_claims { trade_kind::MERGE } else { trade_kind::MINT },
        outcome: leg.order.outcome,
        side: leg.order.side,
        orders: orders as u8,
        price: leg.price,
        lots,
        value: leg.value,
        fee: leg.fee,
        surplus: if is_taker { (leg.order.price - leg.price).abs() * lots * market.unit } else { 0 },
        remaining: leg.order.remaining - lots,
    }
}

/// Movements with each line once.
fn merged(mut movements: [Movement; MOVEMENTS]) -> [Movement; MOVEMENTS] {
    for at in 1..MOVEMENTS {
        let line = |movement: &Movement| (movement.0, movement.1, movement.2, movement.3);
        if let Some(first) = (0..at).find(|&first| line(&movements[first]) == line(&movements[at])) {
            movements[first].4 += std::mem::replace(&mut movements[at], NOTHING).4;
        }
    }
    movements
}
