//! The call auction that reopens a market behind a halt (protocol P3.7, P7.4).
//!
//! While orders are collected they rest without matching and the book may be crossed. At the end the levels are paired,
//! the price is found, and every pair that the price suits trades at it, by price and time. What still overlaps
//! afterwards (an owner met itself, an order had expired) is paired again; what overlaps only outside the band is
//! cancelled. All of it is bounded work that continues in further commands.

use super::matching::{Step, PAIR_CANCELS};
use super::work::{Budget, Taker, Work};
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::Action;
use crate::halts::breaker::{has_auction, phase, OF_MARKET};
use crate::halts::clearing::{band, Scan};
use crate::limits::MAX_PRICE;
use crate::market::{level, status};
use crate::order::{flag, Order, NONE};
use crate::output::{Output, Subject};
use crate::wire::command::{order_flag, order_type, side, time_in_force, Command};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{cancel_reason, AuctionBody, EventKind};

/// What an uncrossing does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Levels are paired to find the price.
    Pairing,
    /// Orders trade at the price.
    Printing,
    /// Orders beyond the band that keep the book crossed are cancelled.
    Cleaning,
}

/// An uncrossing that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Uncross {
    pub market: u32,
    pub reference: i64,
    pub scan: Scan,
    pub stage: Stage,
    /// The price of the present round in ticks.
    pub price: i64,
    /// Lots traded so far.
    pub traded: i64,
}

impl<B: Book> Engine<B> {
    /// An order for a market whose orders are collected: it must be able to rest (P3.7).
    pub(super) fn check_collected(&self, order: &Order, crossing: bool) -> Result<(), Reject> {
        let immediate = matches!(order.order_type, order_type::MARKET | order_type::TWAP)
            || matches!(order.time_in_force, time_in_force::IOC | time_in_force::FOK);
        if immediate {
            let halts = self.state.halts.of_market(order.market);
            let halting = halts.and_then(|halts| {
                let auction = halts.in_auction_group(phase::AUCTION);
                halts.in_auction_group(phase::TRIPPED).chain(auction).max_by_key(|breaker| breaker.until_ns)
            });
            let (until_ns, id) = halting.map_or((0, 0), |breaker| (breaker.until_ns, breaker.id));
            return reject(Code::BREAKER_ACTIVE, until_ns, i64::from(id));
        }
        if crossing && order.flags & order_flag::POST_ONLY != 0 {
            let best = self.state.books[order.market as usize].best(1 - order.side).unwrap_or(0);
            return reject(Code::POST_ONLY_WOULD_TAKE, best, order.price);
        }
        Ok(())
    }

    /// The auction's reference and band as things are.
    fn auction_band(&self, market: u32) -> (i64, (i64, i64)) {
        let reference = self.state.markets.list[market as usize].reference;
        let range = self.state.halts.of_market(market).and_then(|halts| halts.range_ticks);
        (reference, band(reference, range))
    }

    pub(super) fn announce_auction(
        &mut self,
        command: &Command,
        market: u32,
        until_ns: i64,
        output: &mut Output,
    ) {
        let (reference, (low, high)) = self.auction_band(market);
        let body = AuctionBody { reference, low, high, price: 0, lots: 0, imbalance: 0, until_ns };
        output.emit(command, EventKind::AuctionStarted, Subject::market(market), &body);
    }

    /// The collecting is over: uncrosses, unless a pause or the state of the market's feed forbids trades meanwhile;
    /// then it goes on for another round.
    pub(super) fn end_auction(
        &mut self,
        command: &Command,
        market: u32,
        output: &mut Output,
    ) -> Option<Work> {
        let entry = &self.state.markets.list[market as usize];
        let paused = [self.state.platform_pause.as_ref(), entry.pause.as_ref()];
        let paused = paused.into_iter().flatten().any(|pause| pause.level > level::NONE);
        if paused || !self.feed_lets_trade(market) {
            self.start_auction(command, market, output);
            return None;
        }
        if !matches!(entry.status, status::ACTIVE | status::PAUSED) {
            self.finish_auction(command, market, 0, output);
            return None;
        }
        let (reference, range) = self.auction_band(market);
        let job =
            Uncross { market, reference, scan: Scan::new(range), stage: Stage::Pairing, price: 0, traded: 0 };
        Some(Work::Uncross(job))
    }

    /// Whether the market's feed lets anybody trade: where not even a position may be reduced, nobody opens one (P6.5).
    fn feed_lets_trade(&self, market: u32) -> bool {
        let perp = self.state.perps.of_market(market);
        perp.is_none_or(|perp| self.state.feeds.check(perp.feed, Action::Reduce, self.cursor.time_ns).is_ok())
    }

    /// Does as much of an uncrossing as the budget allows; what is left, if anything.
    #[inline(never)]
    pub(crate) fn uncross(
        &mut self,
        command: &Command,
        mut job: Uncross,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Uncross> {
        loop {
            match job.stage {
                Stage::Pairing => {
                    if !self.pair_levels(&mut job, budget) {
                        return Some(job);
                    }
                    if self.announce_price(command, &mut job, output) {
                        job.stage = Stage::Printing;
                    } else if self.is_crossed(job.market) {
                        job.stage = Stage::Cleaning;
                    } else {
                        break;
                    }
                }
                Stage::Printing => {
                    if !self.print_pairs(command, &mut job, budget, output) {
                        return Some(job);
                    }
                    (job.scan, job.stage) = (Scan::new((job.scan.low, job.scan.high)), Stage::Pairing);
                }
                Stage::Cleaning => {
                    if !self.is_crossed(job.market) {
                        break;
                    }
                    if budget.cancels < PAIR_CANCELS {
                        return Some(job);
                    }
                    budget.cancels -= self.clean_one(command, &job, output);
                }
            }
        }
        self.finish_auction(command, job.market, job.traded, output);
        None
    }

    fn is_crossed(&self, market: u32) -> bool {
        let book = &self.state.books[market as usize];
        matches!((book.best(side::BUY), book.best(side::SELL)), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// Pairs levels until none pairs; false when the budget was spent first.
    fn pair_levels(&self, job: &mut Uncross, budget: &mut Budget) -> bool {
        let (book, scan) = (&self.state.books[job.market as usize], &mut job.scan);
        loop {
            if budget.levels == 0 {
                return false;
            }
            budget.levels -= 1;
            if scan.bid_left == 0 {
                let next = book.level_behind(side::BUY, scan.bid);
                (scan.bid, scan.bid_left) = (next.map(|l| l.price).or(Some(0)), next.map_or(0, |l| l.lots));
            }
            if scan.ask_left == 0 {
                let next = book.level_behind(side::SELL, scan.ask);
                (scan.ask, scan.ask_left) =
                    (next.map(|l| l.price).or(Some(MAX_PRICE)), next.map_or(0, |l| l.lots));
            }
            if !scan.pair() {
                return true;
            }
        }
    }

    /// Finds the price of the round and says so; false when nothing can trade.
    fn announce_price(&self, command: &Command, job: &mut Uncross, output: &mut Output) -> bool {
        let book = &self.state.books[job.market as usize];
        let (bid, ask) = job.scan.behind();
        let next_bid = bid.and_then(|bid| book.level_behind(side::BUY, Some(bid))).map(|level| level.price);
        let next_ask = ask.and_then(|ask| book.level_behind(side::SELL, Some(ask))).map(|level| level.price);
        let Some(clearing) = job.scan.clear(next_bid, next_ask, job.reference) else { return false };
        job.price = clearing.price;
        let body = AuctionBody {
            reference: job.reference,
            low: job.scan.low,
            high: job.scan.high,
            price: clearing.price,
            lots: clearing.lots,
            imbalance: clearing.imbalance,
            until_ns: command.time_ns,
        };
        output.emit(command, EventKind::AuctionUncrossed, Subject::market(job.market), &body);
        true
    }

    /// Trades pairs at the price, best with best, until one side has none left for it; false when the budget was
    /// spent first.
    fn print_pairs(
        &mut self,
        command: &Command,
        job: &mut Uncross,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        loop {
            let book = &self.state.books[job.market as usize];
            let (Some(buy), Some(sell)) = (book.first(side::BUY), book.first(side::SELL)) else {
                return true;
            };
            let (buyer, seller) = (self.state.orders[buy], self.state.orders[sell]);
            if buyer.price < job.price || seller.price > job.price {
                return true;
            }
            if budget.fills == 0 || budget.cancels < PAIR_CANCELS || budget.is_spent() {
                return false;
            }
            let now_ns = command.time_ns;
            let has_expired = |order: &Order| order.expiry_ns != 0 && order.expiry_ns <= now_ns;
            if has_expired(&buyer) || has_expired(&seller) {
                let slot = if has_expired(&buyer) { buy } else { sell };
                budget.cancels -= self.cancel_slot(command, slot, cancel_reason::EXPIRY, output);
            } else if buyer.account == seller.account {
                let newer = if buyer.priority > seller.priority { buy } else { sell };
                budget.cancels -= self.cancel_slot(command, newer, cancel_reason::SELF_TRADE, output);
            } else {
                let pair = if buyer.priority > seller.priority {
                    ((buy, buyer), (sell, seller))
                } else {
                    ((sell, seller), (buy, buyer))
                };
                job.traded += self.print_pair(command, job, pair, budget, output);
                budget.spend(self.fill_effort(job.market));
            }
        }
    }

    /// One trade at the auction's price. Both orders rest; the younger counts as the taker (P3.1) and leaves its
    /// lots behind the fill, as the maker does within it.
    fn print_pair(
        &mut self,
        command: &Command,
        job: &Uncross,
        ((slot, taker), (maker_slot, maker)): ((u32, Order), (u32, Order)),
        budget: &mut Budget,
        output: &mut Output,
    ) -> i64 {
        let mut taking = Taker {
            order: taker,
            slot,
            position: NONE,
            stored: true,
            low: job.scan.low,
            high: job.scan.high,
            liquidates: false,
            print_price: job.price,
            taken_value: 0,
        };
        let step = if (taker.flags | maker.flags) & flag::SPECIAL != 0 {
            self.fill_special(command, &mut taking, (maker_slot, &maker), budget, output)
        } else {
            budget.fills -= 1;
            let lots = taker.remaining.min(maker.remaining);
            self.fill(command, &mut taking, maker_slot, &maker, lots, output);
            Step::Goes
        };
        let lots = taker.remaining - taking.order.remaining;
        let Some(slot) = self.state.orders.find(taker.id) else { return lots };
        if lots > 0 {
            self.shrink_maker(command, (slot, &taker), lots, taking.order.reserve, output);
        } else if let Step::Ends(reason) = step {
            budget.cancels -= self.cancel_slot(command, slot, reason, output);
        }
        lots
    }

    /// Cancels the best order that lies beyond its side of the band and keeps the book crossed.
    fn clean_one(&mut self, command: &Command, job: &Uncross, output: &mut Output) -> u32 {
        let book = &self.state.books[job.market as usize];
        let (buy, sell) = (book.first(side::BUY), book.first(side::SELL));
        let beyond = |slot: Option<u32>, is_beyond: &dyn Fn(i64) -> bool| {
            slot.filter(|&slot| is_beyond(self.state.orders[slot].price))
        };
        let bid = beyond(buy, &|price| price > job.scan.high);
        let ask = beyond(sell, &|price| price < job.scan.low);
        // Crossed within the band would have paired: one of the two lies beyond it.
        let slot = bid.or(ask).expect("a crossed pair that does not clear lies beyond the band");
        self.cancel_slot(command, slot, cancel_reason::BAND, output)
    }

    /// The auction is over: its breakers go on probation and the book opens for continuous trading.
    fn finish_auction(&mut self, command: &Command, market: u32, traded: i64, output: &mut Output) {
        let (reference, (low, high)) = self.auction_band(market);
        let price = self.state.markets.list[market as usize].last_price;
        let body = AuctionBody {
            reference,
            low,
            high,
            price,
            lots: traded,
            imbalance: 0,
            until_ns: command.time_ns,
        };
        output.emit(command, EventKind::AuctionEnded, Subject::market(market), &body);
        for id in OF_MARKET.into_iter().filter(|&id| has_auction(id)) {
            if self.state.halts.breaker(market, id).is_some_and(|breaker| breaker.phase == phase::AUCTION) {
                self.half_open(command, market, id, output);
            }
        }
        self.touch_reference(market, 0);
    }
}
