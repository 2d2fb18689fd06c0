//! Passive orders that precede the sales of liquidations under a cascade (protocol P5.9): lots are offered on the
//! bankruptcy side of the mark, where they cross nothing, before anything of the book is taken.

use super::plan::{lot_value, margin_at};
use super::Liquidation;
use crate::apply::matching::Step;
use crate::apply::orders::emit_order;
use crate::apply::work::{Budget, Taker};
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::*;
use crate::liquidation::step::{fee, fee_rate_e6bp, Case};
use crate::liquidation::watch::{owner, ratio_ppm};
use crate::liquidation::{StepTimes, NOBODY};
use crate::order::{flag, Order};
use crate::output::Output;
use crate::perp::Position;
use crate::trigger::Special;
use crate::wire::command::{order_flag, side, time_in_force, Command};
use crate::wire::event::{cancel_reason, EventKind, LiquidationStepBody};

use crate::apply::margin::narrow;

impl<B: Book> Engine<B> {
    /// Lots of the present step that are left behind its passive order; None when no such order preceded it.
    pub(super) fn lots_offered(&self, who: (u32, u8), market: u32) -> Option<i64> {
        let times = self.step_times(who, market);
        (times.offer_ns != 0).then_some(times.offer_lots)
    }

    /// The price of a passive order: the limit of the sale, or beside the best opposite price where that is nearer to
    /// the mark. None where the book takes at the mark or better, is collected for an auction, or has no room.
    pub(super) fn offer_price(
        &mut self,
        command: &Command,
        (account, _): (u32, u8),
        market: u32,
        (case, limit): (&Case, i64),
    ) -> Option<i64> {
        let book = &self.state.books[market as usize];
        let price = if case.lots > 0 {
            let bid = book.best(side::BUY).unwrap_or(0);
            Some(limit.max(bid + 1)).filter(|&price| price <= case.mark)?
        } else {
            let ask = book.best(side::SELL).unwrap_or(i64::MAX);
            Some(limit.min(ask - 1)).filter(|&price| price >= case.mark)?
        };
        let open = self.state.accounts.list[account as usize].open_orders;
        let full = open >= MAX_ORDERS_PER_ACCOUNT
            || self.state.orders.len() >= MAX_OPEN_ORDERS
            || self.state.due.len() >= MAX_DUE;
        if full || self.collects(market) {
            return None;
        }
        let place = self.state.perps.place(market).expect("a leveraged market");
        let offers = &mut self.state.liquidations.market_mut(place).offers;
        while offers.front().is_some_and(|first| first.0 <= command.time_ns) {
            offers.pop_front();
        }
        (offers.len() < OFFERS_PER_MARKET).then_some(price)
    }

    /// Puts the passive order of a step into the book; it lasts for [`OFFER_NS`].
    pub(super) fn place_offer(
        &mut self,
        command: &Command,
        job: &Liquidation,
        market: u32,
        (lots, price, sells): (i64, i64, bool),
        output: &mut Output,
    ) {
        let sale = (lots, price, if sells { side::SELL } else { side::BUY });
        let (_, mut order) = self.liquidation_order(job, market, sale);
        order.time_in_force = time_in_force::GTD;
        order.flags = order_flag::REDUCE_ONLY | order_flag::POST_ONLY | flag::SPECIAL | flag::OFFER;
        order.expiry_ns = command.time_ns.saturating_add(OFFER_NS);
        self.remember(&order, Special::PLAIN);
        emit_order(command, EventKind::OrderAccepted, &order, true, output);
        self.rest_order(command, &order, false, output);
        let place = self.state.perps.place(market).expect("a leveraged market");
        self.state.liquidations.market_mut(place).offers.push_back((order.expiry_ns, order.id));
        let Some(candidate) = self.candidate_slot((job.account, job.sub)) else { return };
        let mut times = self.state.liquidations.step_times(candidate, market);
        (times.offer, times.offer_ns, times.offer_lots) = (order.id, order.expiry_ns, lots);
        times.offer_keeper = job.keeper.unwrap_or(NOBODY);
        if times.begun_ns == 0 {
            times.begun_ns = command.time_ns;
        }
        self.state.liquidations.set_step_times(candidate, market, times);
    }

    /// Price and lots of the passive orders of a market: whether one still trades is only known when it is met.
    pub(crate) fn offers_of(&self, market: u32) -> impl Iterator<Item = &Order> {
        let kept = self.state.perps.place(market).and_then(|place| self.state.liquidations.market(place));
        let ids = kept.into_iter().flat_map(|kept| &kept.offers);
        let slots = ids.filter_map(|&(_, id)| self.state.orders.find(id));
        let fund = Some(self.state.liquidations.fund).filter(|&fund| fund != NOBODY);
        let held = fund.and_then(|fund| self.fund_order(fund, market));
        slots.chain(held).map(|slot| &self.state.orders[slot])
    }

    /// The position that an order offers, if it is still to be liquidated and the order's price suits it (P5.5, P5.10).
    fn case_of_offer(&self, command: &Command, offer: &Order, lots: i64) -> Option<Case> {
        let health = self.liquidation_health((offer.account, offer.sub));
        let (equity, maintenance) = (health.equity, health.maintenance_margin);
        if !health.valued || equity <= 0 || equity >= maintenance {
            return None;
        }
        let position = *self.state.perps.position(offer.account, offer.sub, offer.market)?;
        let perp = self.state.perps.of_market(offer.market)?;
        let mark = self.liquidation_price(perp, position.lots > 0).ok()?;
        let mmf_ppm = perp.maintenance_ppm(perp.value(position.lots));
        let fee_e6bp = fee_rate_e6bp(perp.risk.liquidation_fee_e6bp, mmf_ppm);
        let (held, unit) = (position.lots, perp.unit);
        let case = Case { lots: held, unit, mark, equity, maintenance, mmf_ppm, fee_e6bp };
        let rest = (held.abs() - lots) * held.signum();
        let after = maintenance - margin_at(perp, &position, mark)
            + margin_at(perp, &Position { lots: rest, ..position }, mark);
        let limit = self.sale_limit(command.time_ns, offer.market, &case, (lots, after));
        let suits = if held > 0 { offer.price >= limit } else { offer.price <= limit };
        (suits && lots > 0 && lots <= held.abs() && lot_value(&case) > 0).then_some(case)
    }

    /// What a fill with a passive order takes beyond one with another.
    pub(crate) fn offer_effort(&self, offer: &Order) -> u32 {
        let who = (offer.account, offer.sub);
        PLAN_EFFORT + FINISH_EFFORT + LOOK_EFFORT + 3 * self.survey_effort(who)
    }

    /// An order meets a passive order of a liquidation, or of the fund. That trades only as a step would now, the
    /// fund's only without a loss; otherwise, and in an auction, it leaves. So it does where another liquidation meets it.
    #[inline(never)]
    pub(crate) fn fill_offer(
        &mut self,
        command: &Command,
        taker: &mut Taker,
        (slot, offer): (u32, &Order),
        lots: i64,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Step {
        if taker.order.flags & flag::OFFER != 0 {
            return Step::Ends(cancel_reason::LIQUIDATION);
        }
        if offer.account == self.state.liquidations.fund && taker.print_price == 0 && self.fund_gains(offer) {
            self.fill(command, taker, slot, offer, lots, output);
            return Step::Goes;
        }
        let alone =
            !taker.liquidates && taker.print_price == 0 && offer.account != self.state.liquidations.fund;
        let Some(case) = self.case_of_offer(command, offer, lots).filter(|_| alone) else {
            budget.cancels -= self.cancel_slot(command, slot, cancel_reason::LIQUIDATION, output);
            return Step::Goes;
        };
        budget.liquidations = budget.liquidations.saturating_sub(1);
        let who = (offer.account, offer.sub);
        let before = taker.taken_value;
        self.state.liquidations.busy = Some(owner(who.0, who.1));
        self.fill(command, taker, slot, offer, lots, output);
        self.state.liquidations.busy = None;
        self.finish_offer(command, offer, (lots, taker.taken_value - before), &case, output);
        Step::Goes
    }

    /// Fee, times and the new standing behind a fill of a passive order: a step of its own. Who placed the order
    /// earns with it (P5.7).
    fn finish_offer(
        &mut self,
        command: &Command,
        offer: &Order,
        (lots, notional): (i64, i64),
        case: &Case,
        output: &mut Output,
    ) {
        let who = (offer.account, offer.sub);
        let left = offer.remaining - lots;
        let keeper = self.note_offer(command.time_ns, offer, left, notional);
        let health = self.liquidation_health(who);
        let known = self.state.perps.position(who.0, who.1, offer.market);
        let closed = known.is_none_or(|position| position.lots == 0);
        let (before, after) = ((case.equity, case.maintenance), (health.equity, health.maintenance_margin));
        let fee = fee(notional, case.fee_e6bp, before, after, closed);
        let equity = health.equity - i128::from(fee);
        let job = Liquidation::takeover(who, offer.market, keeper);
        self.post_liquidation_fee(command, &job, offer.market, (fee, notional), output, |fee| {
            LiquidationStepBody {
                filled_lots: lots,
                unfilled_lots: left,
                notional,
                fee,
                equity: narrow(equity),
                maintenance_margin: narrow(after.1),
                ratio_before_ppm: ratio_ppm(before.0, before.1),
                ratio_ppm: ratio_ppm(equity, after.1),
            }
        });
        match self.positions_of(who) as usize > FEW_POSITIONS {
            true => self.state.liquidations.pending.add_owner(owner(who.0, who.1), true),
            false => self.look_at(command, who, true, output),
        }
        self.halts_liquidation(command, offer.market, who.0, notional, output);
    }

    /// What was sold passively counts for the market's rate (P5.4); a whole passive order was the step. The keeper who
    /// placed it, if one did.
    fn note_offer(&mut self, now_ns: i64, offer: &Order, left: i64, notional: i64) -> Option<u32> {
        let place = self.state.perps.place(offer.market).expect("a leveraged market");
        let perp = &self.state.perps.markets[place];
        let kept = self.state.liquidations.market_mut(place);
        let (tokens, _) = kept.refilled(perp, now_ns);
        (kept.tokens, kept.tokens_ns) = (tokens.saturating_sub(notional), now_ns);
        let candidate = self.candidate_slot((offer.account, offer.sub))?;
        let mut times = self.state.liquidations.step_times(candidate, offer.market);
        if times.offer != offer.id {
            return None;
        }
        let keeper = Some(times.offer_keeper).filter(|&keeper| keeper != NOBODY);
        times.offer_lots = left;
        if left == 0 {
            times = StepTimes { last_ns: now_ns, ..StepTimes::NONE };
        }
        self.state.liquidations.set_step_times(candidate, offer.market, times);
        keeper
    }
}
