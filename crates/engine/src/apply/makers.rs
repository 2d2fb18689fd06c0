//! Rewards of makers: the list of books, samples, the end of an hour, claims (protocol P11.4, P8.8, rows 0A05).

use super::hooks::Print;
use super::keepers::check_main_account;
use super::work::Budget;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::gate::{Action, Cell};
use crate::governance::parameters::Parameter;
use crate::ledger::{line, post_system, post_user};
use crate::limits::*;
use crate::market::{kind, status, Market};
use crate::oracle::state::VALID;
use crate::order::flag;
use crate::output::{Output, Subject};
use crate::token::makers::*;
use crate::wire::command::{side, Command, RewardMarket};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, MakerRewardedBody, RewardHourBody, RewardedBody, RewardsBody};

/// T of an outcome market, whose distances are absolute; None where prices are prices.
fn payout_ticks(market: &Market) -> Option<i64> {
    market.has_outcomes().then(|| market.payout_ticks())
}

impl<B: Book> Engine<B> {
    /// 0A05/0: a book enters or leaves the list.
    pub(crate) fn reward_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: RewardMarket = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        if request.rewarded > 1 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, i64::from(request.rewarded));
        }
        let known = self.state.markets.list.len() as i64;
        let Some(market) = self.state.markets.list.get(request.market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, known, i64::from(request.market));
        };
        if request.outcome >= self.lines(request.market) {
            let lines = i64::from(self.lines(request.market));
            return reject(Code::INVALID_OUTCOME, lines - 1, i64::from(request.outcome));
        }
        let key = (request.market, request.outcome);
        let listed = self.state.token.makers.books.get(&key).is_some_and(|book| !book.ends);
        if request.rewarded == 0 {
            if !listed {
                return reject(Code::INVALID_TRANSITION, 1, 0);
            }
            self.end_rewards(command, key, output);
            return Ok(0);
        }
        if listed {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(request.market));
        }
        let quote = market.quote;
        if market.status >= status::CLOSE_ONLY {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(market.status));
        }
        let makers = &self.state.token.makers;
        let other_quote = makers.is_open() && makers.quote != quote;
        if other_quote || self.state.token.asset() == Some(quote) {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(makers.quote), i64::from(quote));
        }
        if makers.books.len() >= MAX_REWARDED_BOOKS && !makers.books.contains_key(&key) {
            return reject(Code::CAPACITY_EXCEEDED, MAX_REWARDED_BOOKS as i64, makers.books.len() as i64);
        }
        let makers = &mut self.state.token.makers;
        if !makers.is_open() {
            (makers.quote, makers.hour_ns) = (quote, next_hour(command.time_ns));
        }
        let book = makers.books.entry(key).or_default();
        (book.ends, book.next_ns) = (false, next_second(command.time_ns));
        self.state.due.extend(self.state.token.makers.sample_due(key));
        self.state.due.extend(self.state.token.makers.hour_due());
        self.emit_rewarded(command, key, 1, output);
        Ok(self.state.token.makers.books.len() as u64)
    }

    /// A book is sampled no more; what its makers have earned until now is paid with the hour.
    fn end_rewards(&mut self, command: &Command, key: BookKey, output: &mut Output) {
        if let Some(item) = self.state.token.makers.sample_due(key) {
            self.state.due.remove(&item);
        }
        if let Some(book) = self.state.token.makers.books.get_mut(&key) {
            book.ends = true;
            self.emit_rewarded(command, key, 0, output);
        }
    }

    fn emit_rewarded(
        &self,
        command: &Command,
        (market, outcome): BookKey,
        rewarded: u8,
        output: &mut Output,
    ) {
        let makers = &self.state.token.makers;
        let (first_hour_ns, quote) = (makers.hour_ns, makers.quote);
        let body = RewardedBody { first_hour_ns, outcome, rewarded, quote, reserved: 0 };
        output.emit(command, EventKind::MarketRewarded, Subject::market(market), &body);
    }

    /// A fill, seen by the rewards of its book.
    #[inline]
    pub(super) fn reward_fill(&mut self, now_ns: i64, print: &Print) {
        if self.state.token.makers.is_open() {
            self.count_reward(now_ns, print);
        }
    }

    #[inline(never)]
    fn count_reward(&mut self, now_ns: i64, print: &Print) {
        let key = (print.market, 0);
        if !self.state.token.makers.books.contains_key(&key)
            || self.state.detector.links.linked(print.maker, print.taker)
        {
            return;
        }
        let rewarded = print.notional >= REWARD_LEAST
            && self.may_earn(print.maker, now_ns)
            && self.passes_reward_clock(key, print.maker, now_ns);
        let fill = MadeFill {
            maker: print.maker,
            taker: print.taker,
            taker_buys: print.taker_side == side::BUY,
            lots: print.lots,
            value: print.notional,
            fee: print.taker_fee.max(0),
            rewarded,
        };
        self.state.token.makers.count_fill(key, &fill);
    }

    /// Linked owners share one clock.
    fn passes_reward_clock(&mut self, key: BookKey, maker: u32, now_ns: i64) -> bool {
        let links = &self.state.detector.links;
        let Some(book) = self.state.token.makers.books.get_mut(&key) else { return false };
        let others = links.has_any(maker).then(|| book.clocks.iter());
        let recent = |(&other, &at_ns): (&u32, &i64)| {
            now_ns.saturating_sub(at_ns) < REWARD_PAUSE_NS && links.linked(maker, other)
        };
        if others.is_some_and(|mut others| others.any(recent)) {
            return false;
        }
        book.passes_clock(maker, now_ns)
    }

    /// Neither the engine's own accounts nor mirrors, and nobody whom detection has slowed (P12.2).
    fn may_earn(&self, account: u32, now_ns: i64) -> bool {
        let owner = &self.state.accounts.list[account as usize].owner_key;
        account != self.state.liquidations.fund
            && !self.state.detector.is_slowed(account, now_ns)
            && self.state.roles.standing(owner, now_ns) == Ok(false)
    }

    /// One due item of the rewards.
    pub(super) fn makers_due(
        &mut self,
        command: &Command,
        id: u64,
        budget: &mut Budget,
        output: &mut Output,
    ) {
        if id & crate::token::due_item::KIND == crate::token::due_item::MAKER_HOUR {
            return self.close_hour(command, budget, output);
        }
        let key = sampled_book(id);
        if self.state.token.makers.books.get(&key).is_none_or(|book| book.ends) {
            return;
        }
        if self.sample_book(command.time_ns, key) {
            let book = self.state.token.makers.books.get_mut(&key).expect("found above");
            (book.next_ns, book.walk) = (next_second(command.time_ns), None);
        } else {
            budget.due = 0;
        }
        self.state.due.extend(self.state.token.makers.sample_due(key));
    }

    /// Takes a sample, or a part of it; whether it is complete.
    fn sample_book(&mut self, now_ns: i64, key: BookKey) -> bool {
        let walk = self.state.token.makers.books.get_mut(&key).and_then(|book| book.walk.take());
        let mut walk = match walk {
            Some(walk) => walk,
            None => match self.begin_sample(key) {
                Some(walk) => Box::new(walk),
                None => return true,
            },
        };
        let done = self.walk_book(key, &mut walk) && self.count_walk(now_ns, key, &mut walk);
        if let Some(book) = self.state.token.makers.books.get_mut(&key) {
            book.walk = Some(walk);
        }
        done
    }

    /// A sample of an active book with two sides; None while the market is halted, paused or not open.
    fn begin_sample(&self, (market, outcome): BookKey) -> Option<Walk> {
        let entry = &self.state.markets.list[market as usize];
        let action = match entry.kind {
            kind::PERPETUAL => Action::NewLeveraged,
            _ => Action::NewCollateralised,
        };
        let halted = self.collects(market) || self.halt_cell(action, Some(market)) != Cell::Allowed;
        if entry.status != status::ACTIVE || halted {
            return None;
        }
        let book = self.state.books.at(market, outcome);
        let doubled_mid = book.best(side::BUY)? + book.best(side::SELL)?;
        let next = book.first(side::BUY).map(|slot| self.state.orders[slot].id);
        Some(Walk { doubled_mid, side: side::BUY, next, ..Walk::default() })
    }

    /// Adds up what is shown near the middle; whether both sides are done.
    fn walk_book(&self, (market, outcome): BookKey, walk: &mut Walk) -> bool {
        let ticks = payout_ticks(&self.state.markets.list[market as usize]);
        let book = self.state.books.at(market, outcome);
        for _ in 0..SAMPLED_PER_COMMAND {
            let slot = walk.next.and_then(|id| self.state.orders.find(id));
            let near = slot.filter(|&slot| is_near(self.state.orders[slot].price, walk.doubled_mid, ticks));
            let Some(slot) = near.filter(|_| walk.walked < SAMPLED_ORDERS) else {
                if walk.side == side::SELL {
                    walk.next = None;
                    return true;
                }
                let first = book.first(side::SELL).map(|slot| self.state.orders[slot].id);
                (walk.side, walk.next, walk.walked) = (side::SELL, first, 0);
                continue;
            };
            let order = &self.state.orders[slot];
            if order.flags & flag::OFFER == 0 {
                // What an iceberg hides is not in the order's rest.
                let shown = walk.shown.entry(order.account).or_default();
                shown[usize::from(walk.side)] = shown[usize::from(walk.side)].saturating_add(order.remaining);
            }
            walk.walked += 1;
            walk.next = book.following(&self.state.orders, slot).map(|slot| self.state.orders[slot].id);
        }
        walk.next.is_none() && walk.side == side::SELL
    }

    /// Counts what the walk has found, account by account; whether all of them are counted.
    fn count_walk(&mut self, now_ns: i64, key: BookKey, walk: &mut Walk) -> bool {
        let market = &self.state.markets.list[key.0 as usize];
        let (ticks, unit) = (payout_ticks(market), market.unit);
        for _ in 0..COUNTED_PER_COMMAND {
            let Some((account, [bids, asks])) = walk.shown.pop_first() else { return true };
            let depth = depth_of(bids.min(asks), walk.doubled_mid, unit, ticks);
            if depth >= REWARD_LEAST && self.may_earn(account, now_ns) {
                self.state.token.makers.count_sample(key, account, depth);
            }
        }
        walk.shown.is_empty()
    }

    /// The end of an hour: what it gives out is fixed, then shared out, a few accounts a command.
    fn close_hour(&mut self, command: &Command, budget: &mut Budget, output: &mut Output) {
        let mut closing = match self.state.token.makers.closing.take() {
            Some(closing) => closing,
            None => Box::new(self.begin_hour_end(command, output)),
        };
        for _ in 0..REWARDED_PER_COMMAND {
            let Some((key, scores, _)) = closing.books.last_mut() else { break };
            match scores.pop_first() {
                Some((account, score)) => {
                    let (key, earned) = (*key, closing.earned(&score));
                    self.reward_maker(command, key, (account, &score), &earned, output);
                }
                None => drop(closing.books.pop()),
            }
        }
        if !closing.books.is_empty() {
            self.state.token.makers.closing = Some(closing);
            self.state.due.extend(self.state.token.makers.hour_due());
            budget.due = 0;
            return;
        }
        self.end_hour(command, output);
    }

    fn begin_hour_end(&mut self, command: &Command, output: &mut Output) -> Closing {
        let (hour_ns, quote) = (self.state.token.makers.hour_ns, self.state.token.makers.quote);
        let season = self.state.token.seasons.active;
        let asset = self.state.token.asset();
        let emitted = |season: crate::token::Season| {
            season.emitted(hour_ns) - season.emitted(hour_ns.saturating_sub(HOUR_NS))
        };
        let mut closing = self.state.token.makers.take_scores();
        closing.token_pot = season.map_or(0, emitted);
        closing.fund_pot = self.state.system.get(line::MAKER_FUND, 0, quote);
        closing.volume_pct = self.state.governance.value(Parameter::RewardVolumePct);
        closing.token_price = asset.map_or(0, |asset| self.token_price(asset, quote));
        let body = RewardHourBody {
            hour_ns,
            token_pot: closing.token_pot,
            fund_pot: closing.fund_pot,
            score_low: closing.total_points as u64,
            score_high: (closing.total_points >> 64) as u64,
            volume: closing.total_volume,
            token_price: closing.token_price,
            token: asset.unwrap_or(u16::MAX),
            quote,
            volume_pct: closing.volume_pct as u8,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
        };
        output.emit(command, EventKind::RewardHourClosed, Subject::NONE, &body);
        closing
    }

    /// Valid index of the token in micro-quote per token; 0 without one, or where quotes are no settlement asset.
    fn token_price(&self, asset: u16, quote: u16) -> i64 {
        if self.settlement_asset() != Some(quote) {
            return 0;
        }
        match self.collateral_price(&self.state.assets[usize::from(asset)], true, false) {
            Some((price, VALID)) => price.max(0),
            _ => 0,
        }
    }

    /// Sets aside what a score has earned: its account may claim it.
    fn reward_maker(
        &mut self,
        command: &Command,
        (market, outcome): BookKey,
        (account, score): (u32, &Score),
        earned: &Earned,
        output: &mut Output,
    ) {
        let token = earned.by_score + earned.by_volume;
        if token == 0 && earned.fund == 0 {
            return;
        }
        let quote = self.state.token.makers.quote;
        let asset = self.state.token.asset().unwrap_or(u16::MAX);
        for (line, asset, amount) in [(line::SEASON, asset, token), (line::MAKER_FUND, quote, earned.fund)] {
            if amount > 0 {
                let (system, postings) = (&mut self.state.system, &mut output.postings);
                post_system(system, postings, line, 0, asset, -amount);
                post_system(system, postings, line, line::CLAIMABLE, asset, amount);
                self.state.token.makers.accrue(account, asset, amount);
            }
        }
        if let Some(season) = &mut self.state.token.seasons.active {
            season.paid += token;
        }
        let body = MakerRewardedBody {
            depth: score.depth,
            volume: score.volume,
            fees: score.fees,
            by_score: earned.by_score,
            by_volume: earned.by_volume,
            fund: earned.fund,
            seen: score.seen,
            token: asset,
            quote,
            outcome,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
        };
        let subject = Subject { account, ..Subject::market(market) };
        output.emit(command, EventKind::MakerRewarded, subject, &body);
    }

    /// Books that left the list, or whose market closed, go; the next hour begins.
    fn end_hour(&mut self, command: &Command, output: &mut Output) {
        let markets = &self.state.markets.list;
        let books = self.state.token.makers.books.iter();
        let closed = books.filter(|(key, _)| markets[key.0 as usize].status >= status::CLOSE_ONLY);
        let closed: Vec<BookKey> = closed.filter(|(_, book)| !book.ends).map(|(&key, _)| key).collect();
        for key in closed {
            self.end_rewards(command, key, output);
        }
        let makers = &mut self.state.token.makers;
        makers.books.retain(|_, book| !book.ends);
        makers.hour_ns = if makers.is_open() { next_hour(command.time_ns) } else { 0 };
        self.state.due.extend(self.state.token.makers.hour_due());
    }

    /// 0A05/1: everything that an account may claim, in every asset.
    pub(crate) fn claim_maker_rewards(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        check_main_account(command)?;
        let account = context.account;
        let owed = self.state.token.makers.of_account(account);
        if owed.is_empty() {
            return reject(Code::NOTHING_TO_CLAIM, 0, 0);
        }
        for &(asset, amount) in &owed {
            self.state.token.makers.accrued.remove(&(account, asset));
            let is_token = self.state.token.asset() == Some(asset);
            let source = if is_token { line::SEASON } else { line::MAKER_FUND };
            let postings = &mut output.postings;
            post_system(&mut self.state.system, postings, source, line::CLAIMABLE, asset, -amount);
            post_user(&mut self.state.accounts, postings, account, 0, asset, line::FREE, amount);
            let body = RewardsBody { lot: 0, amount, asset, source, reserved: 0, reserved2: 0 };
            output.emit(command, EventKind::MakerRewardsClaimed, Subject::account(account, 0), &body);
        }
        self.after_collateral(command, account, 0, output);
        Ok(owed.len() as u64)
    }

    /// Micro-units that an account may claim for its making, by asset.
    pub fn maker_rewards(&self, account: &[u8; 32]) -> Vec<(u16, i64)> {
        self.state
            .accounts
            .find(account)
            .map_or(Vec::new(), |handle| self.state.token.makers.of_account(handle))
    }
}
