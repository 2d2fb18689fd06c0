//! Fills in outcome markets (protocol P3.5): the pair decides whether claims change hands, a set is made or dissolved.

use super::elastic::Fill;
use super::hooks::Print;
use super::orders::subject;
use super::work::Taker;
use crate::book::{Book, Level};
use crate::engine::Engine;
use crate::fees::{amount, worst_e8};
use crate::ledger::{line, post_system, post_user};
use crate::market::Market;
use crate::math::{fee_ceil, notional};
use crate::order::{flag, Order};
use crate::outcome::loans::FIRST_PLEDGE;
use crate::output::Output;
use crate::wire::command::{side, Command};
use crate::wire::event::{claims_cause, trade_kind, EventKind, PreventedBody, TradeBody};

pub(super) const FITS: &str = "a fill is not larger than its accepted order";

/// What a fill moves for one of its orders.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub buys: bool,
    /// Micro-quote of the outcome that it buys or sells.
    pub value: i64,
    pub fee: i64,
    /// Reserve that the fill sets free, and what secures the rest.
    pub freed: i64,
    pub reserve: i64,
}

/// Rates of a part: the fixed one in 1e-6 bp, and the elastic one in 1e-8 bp that replaces it unless it is 0.
pub(super) type Rates = (u32, u64);

impl<B: Book> Engine<B> {
    /// One trade at the maker's price.
    #[inline(never)]
    pub(super) fn fill_outcome(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        (slot, maker): (u32, &Order),
        lots: i64,
        output: &mut Output,
    ) {
        let price = taker.price_with(maker);
        let market = &self.state.markets.list[maker.market as usize];
        let (rates, quote) = (market.parameters, market.quote);
        let shares = lots * market.lot_size;
        let elastic = self.elastic_of(maker, taker.order.account, command.time_ns);
        let elastic_e8 = elastic.map_or(0, |elastic| elastic.rate_e8);
        let taking = self.part_of(&taker.order, price, lots, (rates.taker_fee_e6bp, elastic_e8));
        let mut making = self.part_of(maker, price, lots, (rates.maker_fee_e6bp, 0));
        if let Some(elastic) = elastic {
            // The maker's fee is its rebate, negative.
            let market = &self.state.markets.list[maker.market as usize];
            let base = market.outcome_fee_base(price, lots).expect(FITS);
            let pair = (&taker.order, maker);
            making.fee -=
                self.charge_elastic(command, pair, elastic, Fill { base, fee: taking.fee, price }, output);
        }
        for (order, part) in [(&taker.order, &taking), (maker, &making)] {
            self.post_part(order, part, quote, output);
        }
        let (kind, escrowed) = match (taking.buys, making.buys) {
            (true, true) => (trade_kind::MINT, taking.value + making.value),
            (false, false) => (trade_kind::MERGE, -(taking.value + making.value)),
            _ => (trade_kind::TRANSFER, 0),
        };
        let postings = &mut output.postings;
        post_system(&mut self.state.system, postings, line::SET_ESCROW, maker.market + 1, quote, escrowed);
        self.post_fees(taking.fee + making.fee, quote, &mut output.postings);
        // Liquidation prints never enter the mark (P4.7).
        let counts = taker.order.sub < FIRST_PLEDGE || !self.is_liquidated(&taker.order);
        let previous = if counts { self.note_trade_price(maker, price) } else { price };

        taker.order.remaining -= lots;
        taker.order.reserve = taking.reserve;
        let unit = self.state.markets.list[maker.market as usize].unit;
        let body = TradeBody {
            maker_order: maker.id,
            maker_account: maker.account,
            maker_sub: maker.sub,
            taker_side: taker.order.side,
            trade_kind: kind,
            outcome: maker.line(),
            price,
            lots,
            notional: notional(price, lots, unit).expect(FITS),
            taker_fee: taking.fee,
            maker_fee: making.fee,
            maker_remaining: maker.remaining - lots + self.state.triggers.hidden(maker),
            taker_remaining: taker.order.remaining + self.state.triggers.hidden(&taker.order),
        };
        output.emit(command, EventKind::Trade, subject(&taker.order), &body);
        for (order, part) in [(&taker.order, &taking), (maker, &making)] {
            let moved = if part.buys { (shares, 0) } else { (0, -shares) };
            self.move_claims(command, &subject(order), order.outcome, moved, claims_cause::TRADE, output);
        }
        self.shrink_maker(command, (slot, maker), lots, making.reserve, output);
        self.after_collateral(command, taker.order.account, taker.order.sub, output);
        self.after_collateral(command, maker.account, maker.sub, output);
        // The statistics and breakers of a market know one price: categorical markets have several.
        if self.lines(maker.market) == 1 {
            let print = Print {
                market: maker.market,
                price,
                lots,
                notional: body.notional,
                taker: taker.order.account,
                maker: maker.account,
                taker_side: taker.order.side,
                taker_fee: taking.fee,
            };
            self.after_trade(command, &print, output);
        }
        self.watch_trade(command, (maker.market, maker.line()), (previous, price), output);
    }

    /// What `lots` at a price of the book move for an order.
    #[inline(always)]
    pub(super) fn part_of(&self, order: &Order, price: i64, lots: i64, rates: Rates) -> Part {
        let market: &Market = &self.state.markets.list[order.market as usize];
        let own = if order.flags & flag::FLIPPED != 0 { market.payout_ticks() - price } else { price };
        let value = notional(own, lots, market.unit).expect(FITS);
        let base = market.outcome_fee_base(price, lots).expect(FITS);
        self.part_worth(order, (value, base), lots, rates)
    }

    /// What `lots` of an order move that are worth `value` micro-quote, with the fee charged on `base`.
    #[inline(always)]
    pub(super) fn part_worth(
        &self,
        order: &Order,
        (value, base): (i64, i64),
        lots: i64,
        (fixed_e6bp, elastic_e8): Rates,
    ) -> Part {
        let buys = order.given_side() == side::BUY;
        let left = order.remaining - lots + self.state.triggers.hidden(order);
        let reserve = self.outcome_reserve(order, left).expect(FITS);
        let freed = order.reserve - reserve;
        let whole = match elastic_e8 {
            0 => fee_ceil(base, fixed_e6bp.min(order.fee_cap_e6bp)),
            rate_e8 => amount(base, rate_e8.min(worst_e8(order.fee_cap_e6bp))),
        };
        // Rounding up at every fill could add up to more than the reserve, which was rounded up once.
        let fee = if buys { whole.min(freed - value) } else { whole };
        Part { buys, value, fee, freed, reserve }
    }

    /// The quote's side of a part: a purchase is paid from its reserve, a sale is paid into `free`.
    pub(super) fn post_part(&mut self, order: &Order, part: &Part, quote: u16, output: &mut Output) {
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        let (account, sub) = (order.account, order.sub);
        let returned = if part.buys {
            post_user(accounts, postings, account, sub, quote, line::HELD, -part.freed);
            part.freed - part.value - part.fee
        } else {
            part.value - part.fee
        };
        post_user(accounts, postings, account, sub, quote, line::FREE, returned);
    }

    /// Keeps the last price of an order's book; the one before.
    pub(super) fn note_trade_price(&mut self, order: &Order, price: i64) -> i64 {
        let last = match order.line() {
            0 => &mut self.state.markets.list[order.market as usize].last_price,
            line => &mut self.state.books.line_mut(order.market, line).last_price,
        };
        std::mem::replace(last, price)
    }

    /// Self-trade prevention by DECREMENT: both orders shrink, what secured them is free again.
    #[inline(never)]
    pub(super) fn decrement_outcome(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        (slot, maker): (u32, &Order),
        lots: i64,
        output: &mut Output,
    ) {
        const FITS: &str = "a rest is not larger than its accepted order";
        let hidden = [&taker.order, maker].map(|order| self.state.triggers.hidden(order));
        let taking =
            self.outcome_reserve(&taker.order, taker.order.remaining - lots + hidden[0]).expect(FITS);
        let making = self.outcome_reserve(maker, maker.remaining - lots + hidden[1]).expect(FITS);
        let releases = [(taker.order, taker.order.reserve - taking), (*maker, maker.reserve - making)];
        for (order, released) in &releases {
            self.hold_quote(order, -released, output);
        }
        taker.order.remaining -= lots;
        taker.order.total -= lots;
        taker.order.reserve = taking;
        let body = PreventedBody {
            maker_order: maker.id,
            lots,
            maker_remaining: maker.remaining - lots + hidden[1],
            taker_remaining: taker.order.remaining + hidden[0],
            price: maker.price,
        };
        output.emit(command, EventKind::SelfTradePrevented, subject(&taker.order), &body);
        for (order, released) in &releases {
            self.hold_claims(command, order, -released, output);
        }
        if self.shrink_maker(command, (slot, maker), lots, making, output) {
            self.state.orders[slot].total -= lots;
        }
    }

    /// The best `depth` levels of a side of an outcome's book; binary markets have one, in prices of outcome 0.
    pub fn outcome_levels(&self, market: u32, outcome: u8, book_side: u8, depth: usize) -> Vec<Level> {
        let mut levels = Vec::new();
        let known = self.state.markets.list.get(market as usize);
        if depth == 0 || known.is_none_or(|entry| outcome >= entry.outcome_count) {
            return levels;
        }
        let line = if self.lines(market) == 1 { 0 } else { outcome };
        self.state.books.at(market, line).levels(book_side, &mut |level| {
            levels.push(level);
            levels.len() < depth
        });
        levels
    }
}
