//! One step: whether it may be taken, the sale in the book, its fee (protocol P5.2–P5.5, P5.7).

use crate::apply::margin::{narrow, Health, Weights};
use crate::apply::orders::emit_order;
use crate::apply::work::{Budget, Taker};
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::keeper::action;
use crate::ledger::{line, post_margin, post_system_lines};
use crate::limits::{MAX_PRICE, SALE_EFFORT, SECOND_NS};
use crate::liquidation::step::{fee, fee_parts, fee_rate_e6bp, reward, Case, STEP_NS, TRANCHE_NS};
use crate::liquidation::watch::{owner, ratio_ppm, Owner};
use crate::liquidation::{StepTimes, NOBODY};
use crate::oracle::matrix;
use crate::order::{Order, NONE};
use crate::output::{Output, Subject};
use crate::perp::margin::product;
use crate::perp::{PerpMarket, Position};
use crate::wire::command::{order_flag, order_type, side, stp, time_in_force, Command};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{
    cancel_reason, liquidation_end, EventKind, LiquidationEndBody, LiquidationStartBody, LiquidationStepBody,
};

use super::takeover::Takeover;
use super::watch::{Holdings, KEEPER_GRACE_NS};

/// A liquidation under way; in no state between commands but as unfinished work.
#[derive(Clone, Debug)]
pub struct Liquidation {
    pub account: u32,
    pub sub: u8,
    /// The market that is reduced.
    pub market: u32,
    pub keeper: Option<u32>,
    /// Part of the queue: that goes on behind it.
    pub queued: bool,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Cancels open orders, those of the market first; then the takeover.
    Clear,
    /// The same, then the sale. What was found stays true unless an order was cancelled.
    Cancel(Option<Found>),
    Sell(Sale),
    Takeover(Takeover),
}

/// An order that sells (or buys back) a part.
#[derive(Clone, Copy, Debug)]
struct Sale {
    taker: Taker,
    equity: i128,
    maintenance: i128,
    fee_rate_e6bp: u32,
}

impl Liquidation {
    pub fn takeover((account, sub): (u32, u8), market: u32, keeper: Option<u32>) -> Self {
        let phase = Phase::Clear;
        Liquidation { account, sub, market, keeper, queued: false, phase }
    }
}

/// A sub-account below its maintenance margin, and where it is reduced first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub market: u32,
    pub case: Case,
}

impl<B: Book> Engine<B> {
    pub(super) fn step_begun(&self, owner: Owner, market: u32) -> i64 {
        self.state.liquidations.steps.get(&(owner, market)).map_or(0, |times| times.begun_ns)
    }

    /// The price at which a position is liquidated, or why it may not be now (P6.5 with footnote 2).
    pub(super) fn liquidation_price(&self, perp: &PerpMarket, long: bool) -> Result<i64, Reject> {
        // A command has passed the gate; what SYSTEM does by itself asks here (P7.5: FREEZE; P7.6: masks).
        if self.halt_cell(Action::Liquidate, Some(perp.market)) == Cell::Refused {
            return reject(Code::PAUSED, 0, i64::from(perp.market));
        }
        let cell = self.state.feeds.check(perp.feed, Action::Liquidate, self.cursor.time_ns)?;
        Ok(if cell == Cell::SaferSide { self.favourable(perp, long) } else { perp.mark })
    }

    /// The most favourable to its holder of index ± confidence and mark, in ticks.
    fn favourable(&self, perp: &PerpMarket, long: bool) -> i64 {
        let Some(quote) = self.quote_of(perp.feed) else { return perp.mark };
        let tick = self.state.markets.list[perp.market as usize].tick_size;
        let confidence = (quote.confidence + tick - 1) / tick;
        matrix::safer_price(perp.index, confidence, perp.mark, long).clamp(1, MAX_PRICE)
    }

    /// Health with every position whose feed is in doubt at its favourable price.
    pub(super) fn liquidation_health(&self, account: u32, sub: u8) -> Health {
        let mut health = self.health(account, sub, Weights::Maintenance);
        if self.all_feeds_sure(&health) {
            return health;
        }
        for &slot in self.state.accounts.positions(account, sub) {
            let position = self.state.perps.at(slot);
            let perp =
                self.state.perps.of_market(position.market).expect("a position is in a leveraged market");
            let doubtful = self
                .quote_of(perp.feed)
                .is_some_and(|quote| matrix::cell(quote.state, Action::MarginValuation) == Cell::SaferSide);
            if position.lots == 0 || !doubtful || perp.mark == 0 {
                continue;
            }
            let price = self.favourable(perp, position.lots > 0);
            let moved = i128::from(price - perp.mark) * i128::from(perp.unit);
            health.equity += i128::from(position.lots) * moved;
            health.maintenance_margin += margin_at(perp, position, price) - perp.maintenance_margin(position);
        }
        health
    }

    pub(super) fn all_feeds_sure(&self, health: &Health) -> bool {
        matrix::cell(health.feed_state, Action::MarginValuation) == Cell::Allowed
    }

    /// Checks of row 0404 up to the oracle's, and the market that goes first: the one with the largest maintenance
    /// margin among those whose feed lets it (P5.2).
    pub(super) fn liquidation_case(&self, who: (u32, u8), named: u32) -> Result<Found, Reject> {
        self.check_target(who, named)?;
        let seen = self.survey(who.0, who.1);
        self.case_of(who, named, &seen)
    }

    /// There is something to liquidate, and it is not the fund's.
    fn check_target(&self, (account, sub): (u32, u8), named: u32) -> Result<(), Reject> {
        let position = self.state.perps.position(account, sub, named);
        if account == self.state.liquidations.fund || position.is_none_or(|position| position.lots == 0) {
            return reject(Code::POSITION_NOT_FOUND, 0, i64::from(named));
        }
        Ok(())
    }

    /// [`Engine::liquidation_case`] with what a survey has just found.
    fn case_of(
        &self,
        who: (u32, u8),
        named: u32,
        (health, held): &(Health, Holdings),
    ) -> Result<Found, Reject> {
        if !self.all_feeds_sure(health) || held.market != named {
            return self.case_among(who, named);
        }
        let (equity, maintenance) = (health.equity, health.maintenance_margin);
        if health.valued && equity >= maintenance {
            return reject(Code::POSITION_HEALTHY, narrow(maintenance), narrow(equity));
        }
        let perp = self.state.perps.of_market(named).expect("a position is in a leveraged market");
        let mark = self.liquidation_price(perp, held.lots > 0)?;
        if !health.valued {
            return Err(Code::STALE_PRICE.into());
        }
        Ok(found(perp, held.lots, mark, health))
    }

    /// [`Engine::case_of`] where feeds are in doubt or another market goes first than the one that was named.
    fn case_among(&self, (account, sub): (u32, u8), named: u32) -> Result<Found, Reject> {
        let health = self.liquidation_health(account, sub);
        let (equity, maintenance) = (health.equity, health.maintenance_margin);
        if health.valued && equity >= maintenance {
            return reject(Code::POSITION_HEALTHY, narrow(maintenance), narrow(equity));
        }
        let perp = self.state.perps.of_market(named).expect("a position is in a leveraged market");
        let position = self.state.perps.position(account, sub, named).expect("the target was checked");
        let named_price = self.liquidation_price(perp, position.lots > 0)?;
        if !health.valued {
            return Err(Code::STALE_PRICE.into());
        }
        let mut best = None;
        for &slot in self.state.accounts.positions(account, sub) {
            let position = self.state.perps.at(slot);
            let perp =
                self.state.perps.of_market(position.market).expect("a position is in a leveraged market");
            let price = if position.market == named {
                Ok(named_price)
            } else {
                self.liquidation_price(perp, position.lots > 0)
            };
            let Ok(mark) = price else { continue };
            let margin = margin_at(perp, position, mark);
            if position.lots != 0 && best.as_ref().is_none_or(|&(most, _)| margin > most) {
                best = Some((margin, found(perp, position.lots, mark, &health)));
            }
        }
        Ok(best.expect("the named market is one of them").1)
    }

    /// What a step would do now, or why there is none.
    pub(crate) fn plan_liquidation(
        &self,
        now_ns: i64,
        keeper: Option<u32>,
        who: (u32, u8),
        named: u32,
    ) -> Result<Liquidation, Reject> {
        self.check_target(who, named)?;
        let seen = self.survey(who.0, who.1);
        self.plan_with(now_ns, keeper, who, named, &seen)
    }

    /// [`Engine::plan_liquidation`] of a target that exists with what a survey has just found.
    fn plan_with(
        &self,
        now_ns: i64,
        keeper: Option<u32>,
        who: (u32, u8),
        named: u32,
        seen: &(Health, Holdings),
    ) -> Result<Liquidation, Reject> {
        let found = self.case_of(who, named, seen)?;
        let Found { market, case } = found;
        let (account, sub) = who;
        if case.equity <= 0 {
            return Ok(Liquidation::takeover(who, market, keeper));
        }
        let times = self.state.liquidations.steps.get(&(owner(account, sub), market)).copied();
        let times = times.unwrap_or(StepTimes::NONE);
        // Only SYSTEM ends what the book did not take: row 0405, or the queue.
        if keeper.is_none() && times.begun_ns != 0 && now_ns >= times.begun_ns.saturating_add(STEP_NS) {
            return Ok(Liquidation::takeover(who, market, keeper));
        }
        if now_ns < times.offer_ns && self.state.orders.find(times.offer).is_some() {
            return reject(Code::TRANCHE_COOLDOWN, times.offer_ns, now_ns);
        }
        let ready_ns = times.last_ns.saturating_add(TRANCHE_NS);
        if case.needs_tranches() && times.last_ns != i64::MIN && now_ns < ready_ns {
            return reject(Code::TRANCHE_COOLDOWN, ready_ns, now_ns);
        }
        let (left, size) = self.rate_left(market, now_ns);
        if left < lot_value(&case) {
            return reject(Code::LIQUIDATION_RATE_LIMITED, size, left);
        }
        let phase = Phase::Cancel(Some(found));
        Ok(Liquidation { account, sub, market, keeper, queued: false, phase })
    }

    /// Micro-quote that a market may still sell in this second, and what it may in a whole one.
    fn rate_left(&self, market: u32, now_ns: i64) -> (i64, i64) {
        let place = self.state.perps.place(market).expect("a leveraged market");
        let perp = &self.state.perps.markets[place];
        match self.state.liquidations.market(place) {
            Some(kept) => kept.refilled(perp, now_ns),
            None => crate::liquidation::MarketState::default().refilled(perp, now_ns),
        }
    }

    /// Does as much of a liquidation as the budget allows; what is left.
    pub(crate) fn go_on_liquidating(
        &mut self,
        command: &Command,
        mut job: Liquidation,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Liquidation> {
        loop {
            job.phase = match job.phase {
                Phase::Clear => {
                    if self.cancel_for_liquidation(command, &job, budget, output).is_none() {
                        return Some(job);
                    }
                    budget.spend(SALE_EFFORT);
                    Phase::Takeover(Takeover::default())
                }
                Phase::Cancel(found) => {
                    let cancelled = self.cancel_for_liquidation(command, &job, budget, output);
                    if cancelled != Some(0) {
                        job.phase = Phase::Cancel(None);
                    }
                    let Some(cancelled) = cancelled else { return Some(job) };
                    budget.spend(SALE_EFFORT);
                    let found = found.filter(|_| cancelled == 0);
                    match self.begin_sale(command, &job, found, output) {
                        Some(sale) => Phase::Sell(sale),
                        None => return None,
                    }
                }
                Phase::Sell(mut sale) => {
                    if !self.match_taker(command, &mut sale.taker, budget, output) {
                        return Some(Liquidation { phase: Phase::Sell(sale), ..job });
                    }
                    budget.liquidations = budget.liquidations.saturating_sub(1);
                    self.finish_sale(command, &job, &sale, output);
                    return None;
                }
                Phase::Takeover(mut takeover) => {
                    let done = self.take_over(command, &job, &mut takeover, budget, output);
                    return (!done).then_some(Liquidation { phase: Phase::Takeover(takeover), ..job });
                }
            };
        }
    }

    /// Cancels the sub-account's open orders, the market's first; how many, None when the budget ended before.
    fn cancel_for_liquidation(
        &mut self,
        command: &Command,
        job: &Liquidation,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<u32> {
        let mut cancelled = 0;
        if self.state.accounts.list[job.account as usize].open_orders == 0 {
            return Some(0);
        }
        for only_here in [true, false] {
            let orders = &self.state.orders;
            let slots: Vec<u32> = orders
                .of_account(&self.state.accounts, job.account)
                .filter(|&slot| {
                    orders[slot].sub == job.sub && (!only_here || orders[slot].market == job.market)
                })
                .take(budget.cancels as usize + 1)
                .collect();
            for slot in slots {
                if self.state.orders[slot].id == 0 {
                    // An order that was linked to it took it along.
                    continue;
                }
                if budget.cancels < self.cancels_needed(slot) {
                    return None;
                }
                let cancels = self.cancel_slot(command, slot, cancel_reason::LIQUIDATION, output);
                budget.cancels -= cancels;
                cancelled += cancels;
            }
        }
        Some(cancelled)
    }

    /// Puts the sale's order together; None when nothing is to be sold any more.
    fn begin_sale(
        &mut self,
        command: &Command,
        job: &Liquidation,
        found: Option<Found>,
        output: &mut Output,
    ) -> Option<Sale> {
        let who = (job.account, job.sub);
        let found = found.map_or_else(|| self.liquidation_case(who, job.market), Ok);
        let Ok(Found { market, case }) = found else {
            let seen = self.survey(who.0, who.1);
            self.look_with(command, who, seen, true, output);
            self.end_step(command, job, liquidation_end::CANCELS, &seen, output);
            return None;
        };
        let place = self.state.perps.place(market).expect("a leveraged market");
        let cascade_ns = self.state.liquidations.market_mut(place).cascade_ns;
        let (left, _) = self.rate_left(market, command.time_ns);
        let wanted = case.size(cascade_ns != 0);
        let offered = self.lots_offered(who, market);
        let lots = wanted.min((left / lot_value(&case)).max(1)).min(offered.unwrap_or(i64::MAX));
        let perp = &self.state.perps.markets[place];
        let rest = (case.lots.abs() - lots) * case.lots.signum();
        let position = *self.state.perps.position(job.account, job.sub, market).expect("it was found");
        let held = margin_at(perp, &position, case.mark);
        let after =
            case.maintenance - held + margin_at(perp, &Position { lots: rest, ..position }, case.mark);
        let limit = self.sale_limit(command.time_ns, market, &case, (lots, after));
        let offer = match offered {
            None if cascade_ns != 0 => self.offer_price(command, who, market, (&case, limit)),
            _ => None,
        };
        let body = LiquidationStartBody {
            lots,
            limit,
            mark: case.mark,
            equity: narrow(case.equity),
            maintenance_margin: narrow(case.maintenance),
            fee_rate_e6bp: case.fee_e6bp,
            keeper: job.keeper.unwrap_or(NOBODY),
            cut: u8::from(case.needs_tranches()) | u8::from(lots < wanted) << 1,
            cascade: u8::from(cascade_ns != 0) + u8::from(offer.is_some()),
            reserved: 0,
            reserved2: 0,
            rate_left: left,
        };
        let subject = Subject { market, ..Subject::account(job.account, job.sub) };
        output.emit(command, EventKind::LiquidationStarted, subject, &body);
        if let Some(price) = offer {
            self.place_offer(command, job, market, (lots, price, case.lots > 0), output);
            let seen = self.survey(who.0, who.1);
            self.end_step(command, job, liquidation_end::COOLING, &seen, output);
            return None;
        }
        let taker = self.sale_order(command, job, market, (lots, limit, case.lots > 0), output);
        self.state.liquidations.busy = Some(owner(job.account, job.sub));
        Some(Sale { taker, equity: case.equity, maintenance: case.maintenance, fee_rate_e6bp: case.fee_e6bp })
    }

    /// An immediate-or-cancel order without a trading fee: the liquidated pays the liquidation fee instead (P5.7).
    fn sale_order(
        &mut self,
        command: &Command,
        job: &Liquidation,
        market: u32,
        (lots, limit, sells): (i64, i64, bool),
        output: &mut Output,
    ) -> Taker {
        let sale = (lots, limit, if sells { side::SELL } else { side::BUY });
        let (slot, order) = self.liquidation_order(job, market, sale);
        emit_order(command, EventKind::OrderAccepted, &order, false, output);
        Taker {
            order,
            slot,
            position: NONE,
            stored: false,
            low: 1,
            high: MAX_PRICE,
            liquidates: true,
            print_price: 0,
            taken_value: 0,
        }
    }

    /// The record of a liquidation's order, with the next id.
    pub(super) fn liquidation_order(
        &mut self,
        job: &Liquidation,
        market: u32,
        (lots, price, order_side): (i64, i64, u8),
    ) -> (u32, Order) {
        let (slot, id) = self.state.orders.reserve(self.state.next_order);
        let order = Order {
            id,
            priority: self.state.next_priority,
            price,
            remaining: lots,
            total: lots,
            expiry_ns: 0,
            reserve: 0,
            client_key: [0; 16],
            account: job.account,
            market,
            sub: job.sub,
            side: order_side,
            order_type: order_type::LIMIT,
            time_in_force: time_in_force::IOC,
            self_trade_prevention: stp::CANCEL_OLDEST,
            outcome: 0,
            flags: order_flag::REDUCE_ONLY,
            fee_cap_e6bp: 0,
            level: NONE,
            previous: NONE,
            next: NONE,
            account_previous: NONE,
            account_next: NONE,
        };
        self.state.next_order += 1;
        self.state.next_priority += 1;
        (slot, order)
    }

    /// Fee, reward, times and the new standing behind a sale.
    fn finish_sale(&mut self, command: &Command, job: &Liquidation, sale: &Sale, output: &mut Output) {
        let Taker { order, taken_value: notional, .. } = sale.taker;
        let market = order.market;
        let filled = order.total - order.remaining;
        self.state.liquidations.busy = None;
        self.note_step(command.time_ns, job, market, (filled, order.remaining), notional);
        let who = (job.account, job.sub);
        let mut seen = self.survey(who.0, who.1);
        let health = match self.all_feeds_sure(&seen.0) {
            true => seen.0,
            false => self.liquidation_health(who.0, who.1),
        };
        let before = (sale.equity, sale.maintenance);
        let closed =
            self.state.perps.position(who.0, who.1, market).is_none_or(|position| position.lots == 0);
        let after = (health.equity, health.maintenance_margin);
        let fee = if filled == 0 { 0 } else { fee(notional, sale.fee_rate_e6bp, before, after, closed) };
        let equity = health.equity - i128::from(fee);
        assert!(equity >= 0, "P5.10: a step leaves {equity}");
        let rises = equity * before.1 > before.0 * health.maintenance_margin;
        assert!(
            filled == 0 || closed || rises,
            "P5.10: the ratio falls from {before:?} to ({equity}, {})",
            after.1
        );
        self.post_liquidation_fee(command, job, market, (fee, notional), output, |ratio_fee| {
            LiquidationStepBody {
                filled_lots: filled,
                unfilled_lots: order.remaining,
                notional,
                fee: ratio_fee,
                equity: narrow(equity),
                maintenance_margin: narrow(health.maintenance_margin),
                ratio_before_ppm: ratio_ppm(before.0, before.1),
                ratio_ppm: ratio_ppm(equity, health.maintenance_margin),
            }
        });
        if job.keeper.is_none() && self.is_money(self.state.markets.list[market as usize].quote) {
            seen.0.equity -= i128::from(fee);
        } else {
            seen = self.survey(who.0, who.1);
        }
        let known = self.candidate_slot(who).is_some();
        self.look_with(command, who, seen, true, output);
        if !known && self.candidate_slot(who).is_none() {
            // Nobody else forgets the moment of a step before which it was no candidate.
            self.state.liquidations.steps.remove(&(owner(who.0, who.1), market));
        }
        if filled > 0 {
            self.halts_liquidation(command, market, job.account, notional, output);
        }
        self.end_step(command, job, liquidation_end::COOLING, &seen, output);
    }

    fn note_step(
        &mut self,
        now_ns: i64,
        job: &Liquidation,
        market: u32,
        (filled, left): (i64, i64),
        notional: i64,
    ) {
        let place = self.state.perps.place(market).expect("a leveraged market");
        let perp = &self.state.perps.markets[place];
        let kept = self.state.liquidations.market_mut(place);
        let (tokens, _) = kept.refilled(perp, now_ns);
        (kept.tokens, kept.tokens_ns) = (tokens - notional, now_ns);
        let candidate = self.candidate_slot((job.account, job.sub));
        if let Some(slot) = candidate {
            self.state.liquidations.candidates.at_mut(slot).stepped = true;
        }
        let key = (owner(job.account, job.sub), market);
        let times = self.state.liquidations.steps.entry(key);
        let times = times.or_insert(StepTimes::NONE);
        // The next step is preceded by its own passive order.
        (times.offer, times.offer_ns, times.offer_lots) = (0, 0, 0);
        if filled > 0 {
            times.last_ns = now_ns;
        }
        times.begun_ns = match (left, times.begun_ns) {
            (0, _) => 0,
            (_, 0) => now_ns,
            (_, begun_ns) => begun_ns,
        };
    }

    /// Takes the fee of a step, pays the keeper out of it (P5.7).
    pub(super) fn post_liquidation_fee(
        &mut self,
        command: &Command,
        job: &Liquidation,
        market: u32,
        (fee, notional): (i64, i64),
        output: &mut Output,
        body: impl Fn(i64) -> LiquidationStepBody,
    ) {
        let asset = self.state.markets.list[market as usize].quote;
        let earned = job.keeper.map_or(0, |_| if fee > 0 { reward(notional, fee) } else { 0 });
        let (pool, insurance) = fee_parts(fee - earned);
        let who = (job.account, job.sub);
        post_margin(&mut self.state.accounts, &mut output.postings, who, asset, -fee);
        let lines = [(line::LIQUIDATION_FEES, pool + earned), (line::INSURANCE, insurance)];
        post_system_lines(&mut self.state.system, &mut output.postings, asset, lines);
        let subject = Subject { market, ..Subject::account(job.account, job.sub) };
        output.emit(command, EventKind::LiquidationStepped, subject, &body(fee));
        if let Some(keeper) = job.keeper {
            self.pay_keeper(
                command,
                keeper,
                asset,
                (line::LIQUIDATION_FEES, earned),
                action::LIQUIDATE,
                output,
            );
        }
    }

    /// When the next step of a sub-account that is still below its margin is due; `seen` is how it stands.
    fn end_step(
        &mut self,
        command: &Command,
        job: &Liquidation,
        reason: u8,
        seen: &(Health, Holdings),
        output: &mut Output,
    ) {
        let Some(slot) = self.candidate_slot((job.account, job.sub)) else { return };
        let next_ns = self.next_step_ns(command.time_ns, job, seen);
        self.state.liquidations.candidates.postpone(slot, next_ns);
        self.state.liquidations.arm(&mut self.state.due);
        let body = LiquidationEndBody {
            reason,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            equity: narrow(seen.0.equity),
            maintenance_margin: narrow(seen.0.maintenance_margin),
            next_ns,
        };
        output.emit(command, EventKind::LiquidationEnded, Subject::account(job.account, job.sub), &body);
    }

    /// What SYSTEM does next with a candidate: the end of an unfilled step's time, or two seconds after the next step
    /// is open to keepers.
    fn next_step_ns(&self, now_ns: i64, job: &Liquidation, seen: &(Health, Holdings)) -> i64 {
        let who = (job.account, job.sub);
        let plan = self.check_target(who, job.market);
        match plan.and_then(|()| self.plan_with(now_ns, None, who, job.market, seen)) {
            Err(refusal) => retry_ns(&refusal, now_ns),
            Ok(Liquidation { phase: Phase::Clear, .. }) => now_ns,
            Ok(plan) => match self.step_begun(owner(job.account, job.sub), plan.market) {
                0 => now_ns.saturating_add(KEEPER_GRACE_NS),
                begun_ns => begun_ns.saturating_add(STEP_NS),
            },
        }
    }
}

/// When SYSTEM tries again what was refused.
pub(super) fn retry_ns(refusal: &Reject, now_ns: i64) -> i64 {
    match refusal.code {
        Code::TRANCHE_COOLDOWN => refusal.bound.saturating_add(KEEPER_GRACE_NS),
        // A second fills the bucket, whatever its size.
        _ => now_ns.saturating_add(SECOND_NS),
    }
}

/// A sub-account of this health is to be reduced in this market, at this price.
fn found(perp: &PerpMarket, lots: i64, mark: i64, health: &Health) -> Found {
    let mmf_ppm = perp.maintenance_ppm(product(lots, mark, perp.unit).abs());
    let fee_e6bp = fee_rate_e6bp(perp.risk.liquidation_fee_e6bp, mmf_ppm);
    let (equity, maintenance) = (health.equity, health.maintenance_margin);
    let case = Case { lots, unit: perp.unit, mark, equity, maintenance, mmf_ppm, fee_e6bp };
    Found { market: perp.market, case }
}

pub(super) fn lot_value(case: &Case) -> i64 {
    i64::try_from(i128::from(case.mark) * i128::from(case.unit)).unwrap_or(i64::MAX)
}

/// Maintenance margin of a position at another price than the mark.
pub(super) fn margin_at(perp: &PerpMarket, position: &Position, price: i64) -> i128 {
    perp.maintenance_at(product(position.lots, price, perp.unit).abs())
}
