//! Matching: the taker against the book, by price and time (protocol P3.1, P3.4).

use super::conditional::LINKED_CANCELS;
use super::elastic::Fill;
use super::hooks::Print;
use super::orders::subject;
use super::sets::SetsEnd;
use super::work::{Budget, CancelAccount, CancelMarket, Taker};
use crate::book::{crosses, Book};
use crate::engine::Engine;
use crate::ledger::{line, post_between, post_line};
use crate::limits::{CANCEL_EFFORT, FILL_EFFORT, OUTCOME_CANCEL_EFFORT, OUTCOME_FILL_EFFORT};
use crate::market::{kind, status, Leg, MarketRules, Settlement};
use crate::order::{flag, Order, NONE};
use crate::output::{Output, Subject};
use crate::state::due;
use crate::wire::command::{order_type, side, stp, time_in_force, Command, ALL, ALL_MARKETS};
use crate::wire::event::{
    cancel_reason, trade_kind, CountBody, EventKind, Posting, PreventedBody, StatusBody, TradeBody,
};

/// Most cancels that a fill between two orders causes, when one of them is linked to others.
pub(super) const PAIR_CANCELS: u32 = 2 * LINKED_CANCELS;

/// How a step of matching ended.
pub(crate) enum Step {
    Goes,
    /// The rest of the taker is cancelled for this reason.
    Ends(u8),
}

impl<B: Book> Engine<B> {
    /// Matches until the taker is done or nothing crosses; false when the budget was spent first.
    pub(crate) fn match_taker(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        let opposite = 1 - taker.order.side;
        let effort = self.fill_effort(taker.order.market);
        let leveraged = effort == FILL_EFFORT;
        if leveraged {
            let key = (taker.order.account, taker.order.sub, taker.order.market);
            taker.position = self.state.perps.begin_taking(taker.position, key);
        }
        let mut ended = None;
        let collected = self.collects(taker.order.market);
        while taker.order.remaining > 0 && ended.is_none() {
            let Some(slot) = self.state.books.of(&taker.order).first(opposite) else { break };
            let maker = self.state.orders[slot];
            if !crosses(taker.order.side, taker.order.price, maker.price) {
                break;
            }
            let special = (maker.flags | taker.order.flags) & flag::SPECIAL != 0;
            let effort =
                if maker.flags & flag::OFFER == 0 { effort } else { effort + self.offer_effort(&maker) };
            let spent = budget.fills == 0 || effort != 0 && !budget.admits(effort);
            if spent || budget.cancels < if special { PAIR_CANCELS } else { 1 } {
                return false;
            }
            if maker.expiry_ns != 0 && maker.expiry_ns <= command.time_ns {
                budget.cancels -= self.cancel_slot(command, slot, cancel_reason::EXPIRY, output);
                if leveraged {
                    budget.spend(CANCEL_EFFORT);
                }
                continue;
            }
            if maker.price < taker.low || maker.price > taker.high {
                ended = Some(cancel_reason::BAND);
            } else if maker.account == taker.order.account {
                if let Step::Ends(reason) = self.prevent_self_trade(command, taker, slot, budget, output) {
                    ended = Some(reason);
                }
            } else if self.trips_by_price(command, taker, maker.price, output) {
                ended = Some(cancel_reason::BAND);
            } else {
                if special {
                    let step = self.fill_special(command, taker, (slot, &maker), budget, output);
                    if let Step::Ends(reason) = step {
                        ended = Some(reason);
                    }
                } else {
                    budget.fills -= 1;
                    let lots = taker.order.remaining.min(maker.remaining);
                    if leveraged {
                        self.fill_perpetual(command, taker, slot, &maker, lots, output);
                    } else {
                        self.fill(command, taker, slot, &maker, lots, output);
                    }
                }
                budget.spend(effort);
                // The fill has tripped a breaker: what is left would trade in a halted market (P7.3).
                if !collected && self.collects(taker.order.market) {
                    if taker.liquidates {
                        self.hold_to_index(command.time_ns, taker);
                    } else {
                        ended = ended.or(Some(cancel_reason::BAND));
                    }
                }
            }
        }
        // Its own book has nothing more for it: the books of the other outcomes may complete a set.
        if effort == OUTCOME_FILL_EFFORT && taker.order.remaining > 0 && ended.is_none() {
            match self.match_sets(command, taker, budget, output) {
                SetsEnd::Spent => return false,
                SetsEnd::Done(reason) => ended = reason,
            }
        }
        self.finish(command, taker, ended, budget, output);
        true
    }

    /// What a fill counts for beside its number (P18.1); 0 where the number of fills says enough.
    #[inline]
    pub(super) fn fill_effort(&self, market: u32) -> u32 {
        match self.state.markets.list[market as usize].kind {
            kind::SPOT => 0,
            kind::PERPETUAL => FILL_EFFORT,
            _ => OUTCOME_FILL_EFFORT,
        }
    }

    /// As [`Engine::fill_effort`], of the cancel of an order.
    fn cancel_effort(&self, slot: u32) -> u32 {
        match self.state.markets.list[self.state.orders[slot].market as usize].kind {
            kind::SPOT => 0,
            kind::PERPETUAL => CANCEL_EFFORT,
            _ => OUTCOME_CANCEL_EFFORT,
        }
    }

    /// Whether a fill at this price would trip a breaker; then it has, and the fill is not made (P7.3). A liquidation
    /// trips it too, and goes on within the band of the index.
    #[inline]
    fn trips_by_price(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        price: i64,
        output: &mut Output,
    ) -> bool {
        match self.price_reading(command, taker.order.market, price) {
            None => false,
            Some(reading) => {
                self.trip(command, taker.order.market, reading, [0; 32], output);
                if taker.liquidates {
                    self.hold_to_index(command.time_ns, taker);
                }
                !taker.liquidates || price < taker.low || price > taker.high
            }
        }
    }

    fn finish(
        &mut self,
        command: &Command,
        taker: &Taker,
        ended: Option<u8>,
        budget: &mut Budget,
        output: &mut Output,
    ) {
        let order = &taker.order;
        if taker.position != NONE {
            self.state.perps.at_mut(taker.position).taking = false;
        }
        if order.order_type == order_type::TWAP {
            self.end_slice(command, taker, budget, output);
            self.forget_taken(taker);
            return self.touch_reference(order.market, order.line());
        }
        let immediate = order.order_type == order_type::MARKET
            || matches!(order.time_in_force, time_in_force::IOC | time_in_force::FOK);
        let reason = match ended {
            Some(reason) => reason,
            None if order.time_in_force == time_in_force::FOK => cancel_reason::FOK,
            None => cancel_reason::IOC,
        };
        if order.remaining > 0 && ended.is_none() && !immediate {
            self.emit_given(command, EventKind::OrderRested, order, true, output);
            self.rest_order(command, order, taker.stored, output);
            self.touch_reference(order.market, order.line());
            return;
        }
        if taker.stored {
            self.state.orders.remove(&mut self.state.accounts, taker.slot);
            if order.expiry_ns != 0 {
                self.state.due.remove(&(order.expiry_ns, due::ORDER_EXPIRY, order.id));
            }
        } else {
            self.state.orders.unreserve(taker.slot);
        }
        if order.remaining > 0 {
            self.release(command, order, reason, output);
        }
        if order.flags & flag::SPECIAL != 0 {
            self.end_special(command, order, output);
        }
        self.forget_taken(taker);
        self.touch_reference(order.market, order.line());
    }

    /// Drops the record of a taker's position if it holds neither lots nor orders any more.
    #[inline]
    fn forget_taken(&mut self, taker: &Taker) {
        let order = &taker.order;
        if taker.position != NONE || self.is_leveraged(order.market) {
            let key = (order.account, order.sub, order.market);
            self.state.perps.drop_at_if_empty(&mut self.state.accounts, taker.position, key);
        }
    }

    /// One trade at the maker's price.
    pub(super) fn fill(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        slot: u32,
        maker: &Order,
        lots: i64,
        output: &mut Output,
    ) {
        match self.state.markets.list[maker.market as usize].kind {
            kind::SPOT => {}
            kind::PERPETUAL => return self.fill_perpetual(command, taker, slot, maker, lots, output),
            _ => return self.fill_outcome(command, taker, (slot, maker), lots, output),
        }
        let price = taker.price_with(maker);
        let elastic = self.elastic_of(maker, taker.order.account, command.time_ns);
        // A slice is secured by itself, an iceberg as a whole.
        let unseen = self.state.triggers.hidden(maker);
        let later = self.state.triggers.hidden(&taker.order);
        // In an auction the taker rests too.
        let behind = if taker.print_price == 0 { 0 } else { later };
        let market = &mut self.state.markets.list[maker.market as usize];
        market.last_price = price;
        let parameters = market.parameters;
        let leg = |order: &Order, unseen: i64, rate: u32, elastic_e8: u64| Leg {
            reserve: order.reserve,
            remaining_after: order.remaining - lots + unseen,
            limit: order.price,
            fee_e6bp: rate,
            elastic_e8,
            fee_cap_e6bp: order.fee_cap_e6bp,
        };
        let (taking, making) = (
            leg(
                &taker.order,
                behind,
                parameters.taker_fee_e6bp,
                elastic.map_or(0, |elastic| elastic.rate_e8),
            ),
            leg(maker, unseen, parameters.maker_fee_e6bp, 0),
        );
        let taker_buys = taker.order.side == side::BUY;
        let (buyer, seller, buyer_leg, seller_leg) = if taker_buys {
            (&taker.order, maker, taking, making)
        } else {
            (maker, &taker.order, making, taking)
        };
        let mut settlement = market.rules().settle(market, price, lots, buyer_leg, seller_leg);
        let (base, quote) = (market.base, market.quote);
        if let Some(elastic) = elastic {
            // The maker's fee is its rebate, negative.
            let fees = [settlement.buyer_fee, settlement.seller_fee];
            let (base, fee) = (settlement.notional, fees[usize::from(!taker_buys)]);
            let fill = Fill { base, fee, price };
            let rebate = self.charge_elastic(command, (&taker.order, maker), elastic, fill, output);
            *(if taker_buys { &mut settlement.seller_fee } else { &mut settlement.buyer_fee }) -= rebate;
        }
        self.post_fill(&settlement, (buyer, seller), (base, quote), &mut output.postings);

        let (taker_fee, maker_fee) = if taker_buys {
            (settlement.buyer_fee, settlement.seller_fee)
        } else {
            (settlement.seller_fee, settlement.buyer_fee)
        };
        let (taker_reserve, maker_reserve) = if taker_buys {
            (settlement.buyer_reserve, settlement.seller_reserve)
        } else {
            (settlement.seller_reserve, settlement.buyer_reserve)
        };
        taker.order.remaining -= lots;
        taker.order.reserve = taker_reserve;
        let body = TradeBody {
            maker_order: maker.id,
            maker_account: maker.account,
            maker_sub: maker.sub,
            taker_side: taker.order.side,
            trade_kind: trade_kind::TRANSFER,
            outcome: maker.outcome,
            price,
            lots,
            notional: settlement.notional,
            taker_fee,
            maker_fee,
            maker_remaining: maker.remaining - lots + unseen,
            taker_remaining: taker.order.remaining + later,
        };
        output.emit(command, EventKind::Trade, subject(&taker.order), &body);
        self.shrink_maker(command, (slot, maker), lots, maker_reserve, output);
        // A sub-account may hold leveraged positions beside what it trades here.
        self.after_collateral(command, taker.order.account, taker.order.sub, output);
        self.after_collateral(command, maker.account, maker.sub, output);
        let print = Print {
            market: maker.market,
            price,
            lots,
            notional: body.notional,
            taker: taker.order.account,
            maker: maker.account,
            taker_side: taker.order.side,
            taker_fee,
        };
        self.after_trade(command, &print, output);
    }

    /// Takes `lots` from a resting order; it leaves when nothing remains. Returns whether it is still open.
    #[inline(always)]
    pub(super) fn shrink_maker(
        &mut self,
        command: &Command,
        (slot, maker): (u32, &Order),
        lots: i64,
        reserve: i64,
        output: &mut Output,
    ) -> bool {
        self.untrack(maker, lots);
        self.take_from(command, (slot, maker), lots, reserve, output)
    }

    /// [`Engine::shrink_maker`] of an order whose lots no position counts any more.
    pub(super) fn take_from(
        &mut self,
        command: &Command,
        (slot, maker): (u32, &Order),
        lots: i64,
        reserve: i64,
        output: &mut Output,
    ) -> bool {
        let book = self.state.books.of_mut(maker);
        if maker.remaining > lots {
            book.reduce(&mut self.state.orders, slot, lots);
            self.state.orders[slot].reserve = reserve;
            return true;
        }
        let special = maker.flags & flag::SPECIAL != 0;
        if special && self.refill(command, slot, reserve, output) {
            return true;
        }
        let book = self.state.books.of_mut(maker);
        book.remove(&mut self.state.orders, slot);
        self.state.orders.remove(&mut self.state.accounts, slot);
        if maker.expiry_ns != 0 {
            self.state.due.remove(&(maker.expiry_ns, due::ORDER_EXPIRY, maker.id));
        }
        if special {
            self.end_special(command, maker, output);
        }
        false
    }

    /// The ledger's side of a fill: base to the buyer, quote to the seller, fees to their destinations.
    fn post_fill(
        &mut self,
        settlement: &Settlement,
        (buyer, seller): (&Order, &Order),
        (base, quote): (u16, u16),
        postings: &mut Vec<Posting>,
    ) {
        let accounts = &mut self.state.accounts;
        let spent = settlement.notional + settlement.buyer_fee;
        let unheld = buyer.reserve - settlement.buyer_reserve;
        let sold = seller.reserve - settlement.seller_reserve;
        let (owner, freed) = ((buyer.account, buyer.sub), unheld - spent);
        let buys = accounts.sub_mut(buyer.account, buyer.sub);
        if unheld | freed != 0 {
            let row = buys.balance_mut(quote);
            post_line(row, postings, owner, line::HELD, -unheld);
            post_line(row, postings, owner, line::FREE, freed);
        }
        if sold != 0 {
            post_line(buys.balance_mut(base), postings, owner, line::FREE, sold);
        }
        let (owner, proceeds) = ((seller.account, seller.sub), settlement.notional - settlement.seller_fee);
        let sells = accounts.sub_mut(seller.account, seller.sub);
        if sold != 0 {
            post_line(sells.balance_mut(base), postings, owner, line::HELD, -sold);
        }
        if proceeds != 0 {
            post_line(sells.balance_mut(quote), postings, owner, line::FREE, proceeds);
        }
        self.post_fees(settlement.buyer_fee + settlement.seller_fee, quote, postings);
    }

    /// Self-trade prevention by the incoming order's mode.
    pub(super) fn prevent_self_trade(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        slot: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Step {
        match taker.order.self_trade_prevention {
            stp::CANCEL_NEWEST => {
                budget.cancels -= 1;
                Step::Ends(cancel_reason::SELF_TRADE)
            }
            stp::CANCEL_OLDEST => {
                budget.cancels -= self.cancel_slot(command, slot, cancel_reason::SELF_TRADE, output);
                Step::Goes
            }
            stp::CANCEL_BOTH => {
                budget.cancels -= self.cancel_slot(command, slot, cancel_reason::SELF_TRADE, output);
                Step::Ends(cancel_reason::SELF_TRADE)
            }
            _ => {
                budget.cancels -= 1;
                self.decrement(command, taker, slot, output);
                Step::Goes
            }
        }
    }

    /// Both orders shrink by the smaller remainder; nothing trades and no fee is due.
    fn decrement(&mut self, command: &Command, taker: &mut Taker, slot: u32, output: &mut Output) {
        let maker = self.state.orders[slot];
        let lots = taker.order.remaining.min(maker.remaining);
        let unseen = self.state.triggers.hidden(&maker);
        let later = self.state.triggers.hidden(&taker.order);
        if self.has_outcomes(maker.market) {
            return self.decrement_outcome(command, taker, (slot, &maker), lots, output);
        }
        let market = &self.state.markets.list[maker.market as usize];
        let leveraged = market.kind == kind::PERPETUAL;
        let reserve = |order: &Order, unseen: i64| {
            if leveraged {
                return (market.quote, 0);
            }
            let rest = order.remaining - lots + unseen;
            let needed = market.rules().reserve(market, order.side, order.price, rest, order.fee_cap_e6bp);
            needed.expect("a rest is not larger than its accepted order")
        };
        let ((taker_asset, taker_reserve), (maker_asset, maker_reserve)) =
            (reserve(&taker.order, 0), reserve(&maker, unseen));
        let releases = [
            (&taker.order, taker_asset, taker.order.reserve - taker_reserve),
            (&maker, maker_asset, maker.reserve - maker_reserve),
        ];
        for (order, asset, released) in releases {
            let (owner, lines) = ((order.account, order.sub), (line::HELD, line::FREE));
            post_between(&mut self.state.accounts, &mut output.postings, owner, asset, lines, released);
        }
        taker.order.remaining -= lots;
        // Prevented lots are not filled: the total shrinks with the rest, so that filled = total − remaining.
        taker.order.total -= lots;
        taker.order.reserve = taker_reserve;
        let body = PreventedBody {
            maker_order: maker.id,
            lots,
            maker_remaining: maker.remaining - lots + unseen,
            taker_remaining: taker.order.remaining + later,
            price: maker.price,
        };
        output.emit(command, EventKind::SelfTradePrevented, subject(&taker.order), &body);
        if self.shrink_maker(command, (slot, &maker), lots, maker_reserve, output) {
            self.state.orders[slot].total -= lots;
        }
    }

    /// Cancels matching orders of an account until none is left or the budget is spent.
    #[inline(never)]
    pub(crate) fn cancel_account_orders(
        &mut self,
        command: &Command,
        mut job: CancelAccount,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<CancelAccount> {
        let mut rest = None;
        // Of a FREEZE (P7.5) the switch is free: it is the owner's protection, and it will not fire again.
        let by_owner = job.reason == cancel_reason::CANCEL_ALL;
        let slots: Vec<u32> = self
            .state
            .orders
            .of_account(&self.state.accounts, job.account)
            .filter(|&slot| {
                let order = &self.state.orders[slot];
                (job.market == ALL_MARKETS || order.market == job.market)
                    && !(by_owner && self.is_frozen(order.market))
                    && (job.sub == ALL || order.sub == job.sub)
                    && (job.side == ALL || order.side == job.side)
            })
            .take(budget.cancels as usize + 1)
            .collect();
        for slot in slots {
            if self.state.orders[slot].id == 0 {
                // An order that was linked to it took it along.
                continue;
            }
            if budget.cancels < self.cancels_needed(slot) || budget.is_spent() {
                rest = Some(job);
                break;
            }
            budget.spend(self.cancel_effort(slot));
            let cancels = self.cancel_slot(command, slot, job.reason, output);
            budget.cancels -= cancels;
            job.done += u64::from(cancels);
        }
        match rest {
            Some(_) => Some(job),
            None => {
                if !self.state.dark.is_empty() {
                    job.done += self.cancel_dark_of(command, &job, output);
                }
                let subject = Subject { market: job.market, ..Subject::account(job.account, 0) };
                output.emit(command, EventKind::CancelAllDone, subject, &CountBody { count: job.done });
                None
            }
        }
    }

    /// Cancels a market's orders, bids first; a closing market is closed behind them.
    #[inline(never)]
    pub(crate) fn cancel_market_orders(
        &mut self,
        command: &Command,
        mut job: CancelMarket,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<CancelMarket> {
        let lines = self.lines(job.market);
        for (line, book_side) in (0..lines).flat_map(|line| [(line, side::BUY), (line, side::SELL)]) {
            if job.side != ALL && job.side != book_side {
                continue;
            }
            while let Some(slot) = self.state.books.at(job.market, line).first(book_side) {
                if budget.cancels < self.cancels_needed(slot) || budget.is_spent() {
                    return Some(job);
                }
                budget.spend(self.cancel_effort(slot));
                let cancels = self.cancel_slot(command, slot, job.reason, output);
                budget.cancels -= cancels;
                job.done += u64::from(cancels);
            }
        }
        if !self.cancel_waiting(command, &mut job, budget, output) {
            return Some(job);
        }
        for line in 0..lines {
            self.touch_reference(job.market, line);
        }
        output.emit(
            command,
            EventKind::CancelAllDone,
            Subject::market(job.market),
            &CountBody { count: job.done },
        );
        if job.close {
            if let Some(perp) = self.state.perps.of_market_mut(job.market) {
                perp.closed_ns = command.time_ns;
            }
            let market = &mut self.state.markets.list[job.market as usize];
            let previous = std::mem::replace(&mut market.status, status::CLOSED);
            let body = StatusBody { status: status::CLOSED, previous, reserved: 0, reserved2: 0 };
            output.emit(command, EventKind::MarketClosed, Subject::market(job.market), &body);
            self.state.resolutions.early.forget(job.market);
            if self.state.resolutions.get(job.market).is_some() {
                // It was proposed before its time (P15.5).
                self.begin_resolving(command, job.market, output);
            }
        }
        None
    }
}
