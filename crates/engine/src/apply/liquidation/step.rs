//! One step: whether it may be taken, the sale in the book, its fee (protocol P5.2–P5.5, P5.7).

use crate::apply::margin::{narrow, Health};
use crate::apply::orders::emit_order;
use crate::apply::work::{Budget, Taker};
use crate::book::Book;
use crate::engine::Engine;
use crate::keeper::action;
use crate::ledger::{line, post_margin, post_system_lines};
use crate::limits::*;
use crate::liquidation::step::{fee, fee_parts, reward, STEP_NS};
use crate::liquidation::watch::{owner, ratio_ppm};
use crate::liquidation::{StepTimes, NOBODY};
use crate::order::{Order, NONE};
use crate::output::{Output, Subject};
use crate::perp::Position;
use crate::wire::command::{order_flag, order_type, side, stp, time_in_force, Command};
use crate::wire::event::{
    liquidation_end, EventKind, LiquidationEndBody, LiquidationStartBody, LiquidationStepBody,
};

use super::clearing::Clearing;
use super::plan::{lot_value, margin_at, retry_ns, Found, Plan};
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
    pub(super) clearing: Clearing,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Cancels open orders, those of the market first; then the takeover.
    Clear,
    /// The same, then the sale. What was found stays true unless an order was cancelled.
    Cancel(Option<Found>),
    Sell(Sale),
    /// The sale is over; its fee and the new standing follow.
    Finish(Sale),
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
        let (clearing, phase) = (Clearing::default(), Phase::Clear);
        Liquidation { account, sub, market, keeper, queued: false, clearing, phase }
    }
}

impl<B: Book> Engine<B> {
    /// Moments of a sub-account's steps in a market.
    pub(super) fn step_times(&self, who: (u32, u8), market: u32) -> StepTimes {
        let slot = self.candidate_slot(who);
        slot.map_or(StepTimes::NONE, |slot| self.state.liquidations.step_times(slot, market))
    }

    /// The liquidation that a plan begins, where the last one has been.
    pub(super) fn job_of(
        &mut self,
        plan: Plan,
        who: (u32, u8),
        keeper: Option<u32>,
        queued: bool,
    ) -> Box<Liquidation> {
        let market = plan.market();
        let phase = match plan {
            Plan::Sell(found) => Phase::Cancel(Some(found)),
            Plan::TakeOver(_) => Phase::Clear,
        };
        let ((account, sub), clearing) = (who, Clearing::default());
        let job = Liquidation { account, sub, market, keeper, queued, clearing, phase };
        match self.spare_job.take() {
            Some(mut spare) => {
                *spare = job;
                spare
            }
            None => Box::new(job),
        }
    }

    /// Does as much of a liquidation as the budget allows; what is left.
    pub(crate) fn go_on_liquidating(
        &mut self,
        command: &Command,
        mut job: Box<Liquidation>,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Box<Liquidation>> {
        let who = (job.account, job.sub);
        loop {
            match job.phase {
                Phase::Clear => {
                    if self.cancel_for_liquidation(command, &mut job, budget, output).is_none() {
                        return Some(job);
                    }
                    job.phase = Phase::Takeover(Takeover::default());
                }
                Phase::Cancel(found) => {
                    let cancelled = self.cancel_for_liquidation(command, &mut job, budget, output);
                    let found = found.filter(|_| cancelled == Some(0));
                    job.phase = Phase::Cancel(found);
                    let look = if found.is_none() { PLAN_EFFORT + self.look_effort(who) } else { 0 };
                    let effort = SALE_EFFORT + look;
                    if cancelled.is_none() || !budget.admits(effort) {
                        return Some(job);
                    }
                    budget.spend(effort);
                    match self.begin_sale(command, &job, found, output) {
                        Some(sale) => job.phase = Phase::Sell(sale),
                        None => break,
                    }
                }
                Phase::Sell(ref mut sale) => {
                    if !self.match_taker(command, &mut sale.taker, budget, output) {
                        return Some(job);
                    }
                    job.phase = Phase::Finish(*sale);
                }
                Phase::Finish(ref sale) => {
                    let effort = FINISH_EFFORT + self.look_effort(who);
                    if !budget.admits(effort) {
                        return Some(job);
                    }
                    budget.spend(effort);
                    budget.liquidations = budget.liquidations.saturating_sub(1);
                    self.finish_sale(command, &job, sale, output);
                    break;
                }
                Phase::Takeover(mut takeover) => {
                    let done = self.take_over(command, &job, &mut takeover, budget, output);
                    if done {
                        break;
                    }
                    job.phase = Phase::Takeover(takeover);
                    return Some(job);
                }
            }
        }
        self.spare_job = Some(job);
        None
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
        if self.candidate_slot(who).is_none() {
            // Risk parameters have changed, and the sweep has not come to it yet.
            let seen = self.survey(who.0, who.1);
            self.look_with(command, who, seen, true, output);
        }
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
            false => self.liquidation_health(who),
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
        self.look_with(command, who, seen, true, output);
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
        // It became one when the sale began at the latest, and the sale's fills are not looked at.
        let Some(slot) = self.candidate_slot((job.account, job.sub)) else { return };
        let mut times = self.state.liquidations.step_times(slot, market);
        // The next step is preceded by its own passive order.
        (times.offer, times.offer_ns, times.offer_lots) = (0, 0, 0);
        times.offer_keeper = NOBODY;
        if filled > 0 {
            times.last_ns = now_ns;
        }
        times.begun_ns = match (left, times.begun_ns) {
            (0, _) => 0,
            (_, 0) => now_ns,
            (_, begun_ns) => begun_ns,
        };
        self.state.liquidations.set_step_times(slot, market, times);
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
            Ok(Plan::TakeOver(_)) => now_ns,
            Ok(Plan::Sell(found)) => match self.step_times(who, found.market).begun_ns {
                0 => now_ns.saturating_add(KEEPER_GRACE_NS),
                begun_ns => begun_ns.saturating_add(STEP_NS),
            },
        }
    }
}
