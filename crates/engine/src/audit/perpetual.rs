//! Events of leveraged markets: fills, positions, marks, funding, settlement (I04, I10, I11, I13, I26).

use super::book::{Order, BUY};
use super::fault::{ensure, fault, Check};
use super::ledger::{COST, FREE, FUNDING, INSURANCE};
use super::orders::fee_ceil;
use super::position::{Effect, Perp, Position};
use super::records::check_movements;
use super::validity::TRADING;
use super::{Auditor, Market};
use crate::wire::event::{
    AmountBody, Event, EventKind, MarkBody, MarketRiskBody, PositionBody, Posting, StatusBody,
    SuitabilityBody, TradeBody,
};

pub const PERPETUAL: u8 = 1;
const TRADE_PERP: u8 = 3;
const TRADE_LIQUIDATION: u8 = 6;
const CAUSE_TRADE: u8 = 1;
const CAUSE_LIQUIDATION: u8 = 3;
const CAUSE_SETTLEMENT: u8 = 5;
const CAUSE_LEVERAGE: u8 = 8;
/// The mark moves at most 2 % in 400 ms (P4.7).
const MARK_SPEED_PPM: i128 = 20_000;
const MARK_SPEED_NS: i128 = 400_000_000;
const PREMIUM_SCALE: i128 = 1_000_000;
const SETTLED: u8 = 6;
const CLOSED: u8 = 4;
const PPM: i128 = 1_000_000;

/// A position that an event has moved and that the next events must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    position: Position,
    open: [i64; 2],
    realised: i64,
    funding: i64,
    cause: u8,
}

/// Up to two positions wait to be shown: the sides of one fill, the taker's first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    list: [Option<Shown>; 2],
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.list == [None, None]
    }

    fn take(&mut self) -> Option<Shown> {
        let [first, second] = self.list;
        self.list = [second, None];
        first
    }
}

/// The end of the hour that a moment is in (P4.8.3: missed hours are charged once).
pub(super) fn wide(low: u64, high: i64) -> i128 {
    (i128::from(high) << 64) | i128::from(low)
}

/// Median of the known terms; of two their mean, which must be whole.
fn median(terms: [Option<i128>; 3]) -> Option<i128> {
    match terms {
        [Some(a), Some(b), Some(c)] => Some(a.max(b).min(a.min(b).max(c))),
        [Some(a), Some(b), None] | [Some(a), None, Some(b)] | [None, Some(a), Some(b)] => Some((a + b) / 2),
        [one, None, None] | [None, one, None] | [None, None, one] => one,
    }
}

/// The fair price of P4.7 in ticks: rounded once, to the nearest, ties down.
fn fair_price(index: i64, premium_e6: i64, [bid, ask]: [Option<i64>; 2], last: i64) -> Option<i64> {
    // Two means of two stay whole in fours of a millionth of a tick.
    let parts = |price: i64| (price != 0).then_some(4 * PREMIUM_SCALE * i128::from(price));
    let book = median([bid.and_then(parts), ask.and_then(parts), parts(last)]);
    let smoothed = parts(index).map(|index| (index + 4 * i128::from(premium_e6)).max(4 * PREMIUM_SCALE));
    let middle = median([parts(index), smoothed, book])?;
    i64::try_from((middle + 2 * PREMIUM_SCALE - 1).div_euclid(4 * PREMIUM_SCALE)).ok()
}

impl Auditor {
    /// Events of leveraged markets that are not orders.
    pub(super) fn check_leveraged(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        match kind {
            EventKind::FundingIndexUpdated => return self.funding_updated(event, postings),
            EventKind::PositionSettled => return self.position_settled(event, postings),
            EventKind::MarketSettled => return self.market_settled(event, postings),
            EventKind::MarginAdjusted => return self.margin_adjusted(event, postings),
            EventKind::InsuranceFunded => return self.insurance_funded(event, postings),
            _ => {}
        }
        ensure!(postings.is_empty(), "I01", "a {} event moves money", kind.name());
        match kind {
            EventKind::MarketRiskSet => self.risk_set(event),
            EventKind::MarkUpdated => self.mark_updated(event),
            EventKind::SuitabilitySet => {
                let body: SuitabilityBody = event.body_as();
                self.values.set_suitable(event.account, if body.level == 0 { 0 } else { body.expiry_ns });
                Ok(())
            }
            _ => self.position_changed(event),
        }
    }

    fn risk_set(&mut self, event: &Event) -> Check {
        let body: MarketRiskBody = event.body_as();
        let market = *self.market(event.market)?;
        ensure!(market.kind == PERPETUAL, "I26", "market {} has no leverage", event.market);
        let perp = &mut self.positions.markets[event.market as usize];
        let next = market.config_version + u32::from(perp.exists);
        ensure!(
            body.config_version == next,
            "I26",
            "risk configuration {} follows {}",
            body.config_version,
            market.config_version
        );
        ensure!(!perp.exists || perp.feed == body.feed, "I26", "the feed of market {} changed", event.market);
        let entry = (100 * PPM as u128).div_ceil(u128::from(body.max_leverage_e2.max(1)));
        ensure!(
            (100..=10_000).contains(&body.max_leverage_e2) && u128::from(body.floor_mmf_ppm) < entry,
            "I26",
            "market {} has leverage {} and a maintenance floor of {} ppm",
            event.market,
            body.max_leverage_e2,
            body.floor_mmf_ppm
        );
        *perp = Perp {
            exists: true,
            feed: body.feed,
            max_leverage_e2: body.max_leverage_e2,
            size_k_ppm: body.size_k_ppm,
            floor_mmf_ppm: body.floor_mmf_ppm,
            liquidation_fee_e6bp: body.liquidation_fee_e6bp,
            position_limit: body.position_limit,
            open_interest_cap: body.open_interest_cap,
            ..*perp
        };
        self.markets[event.market as usize].config_version = next;
        self.check_shown_interest(event.market, body.open_interest_lots)
    }

    fn check_shown_interest(&self, market: u32, lots: i64) -> Check {
        let perp = self.positions.perp(market)?;
        ensure!(
            perp.settling_at != 0 || perp.long == i128::from(lots),
            "I04",
            "market {market} shows an open interest of {lots} lots, {} are long",
            perp.long
        );
        Ok(())
    }

    /// The mark follows from index, book and last print, and moves no faster than P4.7 allows.
    fn mark_updated(&mut self, event: &Event) -> Check {
        let body: MarkBody = event.body_as();
        self.check_shown_interest(event.market, body.open_interest_lots)?;
        self.check_mark_index(event.market, self.positions.perp(event.market)?.feed, &body)?;
        // A book that is collected for an auction says nothing about the price.
        let best = match self.halts.scope(event.market).collects() {
            true => Default::default(),
            false => self.books.best(event.market),
        };
        let perp = self.positions.perp_mut(event.market)?;
        // Without any term the mark stays what it was.
        let fair = fair_price(body.index, body.premium_e6, best, perp.last_price).unwrap_or(perp.mark);
        ensure!(
            fair == body.unclamped,
            "I08",
            "the fair price of market {} is shown as {}, not {fair}",
            event.market,
            body.unclamped
        );
        let elapsed_ns = i128::from(event.time_ns) - i128::from(perp.mark_ns);
        let reach = i128::from(perp.mark) * MARK_SPEED_PPM * elapsed_ns / (MARK_SPEED_NS * PPM);
        let moved = (i128::from(body.mark) - i128::from(perp.mark)).abs();
        let towards =
            (body.mark >= perp.mark.min(body.unclamped)) && body.mark <= perp.mark.max(body.unclamped);
        ensure!(
            body.mark >= perp.mark.min(1)
                && (perp.mark == 0 && body.mark == body.unclamped || towards && moved <= reach),
            "I08",
            "the mark of market {} goes from {} to {} in {elapsed_ns} ns, the fair price is {}",
            event.market,
            perp.mark,
            body.mark,
            body.unclamped
        );
        ensure!(
            (body.clamped == 1) == (body.mark != body.unclamped),
            "I08",
            "the mark of market {} calls itself held back: {}",
            event.market,
            body.clamped
        );
        // A mark that is held where it was gains time for a whole tick.
        if body.clamped == 0 || body.mark != perp.mark {
            perp.mark_ns = event.time_ns;
        }
        (perp.mark, perp.index) = (body.mark, body.index);
        Ok(())
    }

    /// A fill of a leveraged market: both positions, their profit, funding and fees are computed again.
    pub(super) fn perpetual_trade(
        &mut self,
        event: &Event,
        body: &TradeBody,
        (taker_slot, maker_slot): (u32, u32),
        postings: &[Posting],
    ) -> Check {
        let (taker, maker) = (self.books.orders[taker_slot as usize], self.books.orders[maker_slot as usize]);
        let market = *self.market(event.market)?;
        let liquidates = body.trade_kind == TRADE_LIQUIDATION;
        ensure!(
            body.trade_kind == TRADE_PERP || liquidates,
            "I26",
            "a fill of kind {} in a leveraged market",
            body.trade_kind
        );
        let value = market.value(body.price, body.lots)?;
        let fee = |order: &Order, rate: u32| fee_ceil(value, rate.min(order.fee_cap_e6bp));
        let elastic = self.elastic_fees(&market, value, (&taker, &maker), body)?;
        let (taker_fee, maker_fee) =
            elastic.unwrap_or((fee(&taker, market.taker_fee_e6bp), fee(&maker, market.maker_fee_e6bp)));
        ensure!(liquidates || !maker.offered, "I10", "order {} of a liquidation trades as another", maker.id);
        if maker.offered {
            self.check_feed_allows(event.market, TRADING, true)?;
            self.check_offer_fill(&maker, body.lots, value, postings)?;
        } else if liquidates {
            self.check_sale(event, body.price, body.lots, value)?;
        } else {
            self.check_feed_allows(event.market, TRADING, true)?;
        }
        ensure!(
            (body.notional, body.taker_fee, body.maker_fee) == (value, taker_fee, maker_fee),
            "I11",
            "fill of {} lots at {}: notional and fees are {}, {}, {}, not {value}, {taker_fee}, {maker_fee}",
            body.lots,
            body.price,
            body.notional,
            body.taker_fee,
            body.maker_fee
        );
        let taking = self.side_effect(&taker, body, &market)?;
        let making = self.side_effect(&maker, body, &market)?;
        self.check_fund_fill(taker.account, maker.account, making.realised)?;
        let quote = market.quote;
        let [vault, stakers, makers, insurance, treasury] = self.fee_movements(quote, taker_fee + maker_fee);
        let movements = [
            (taker.account, taker.sub, quote, FREE, taking.realised - taking.funding - taker_fee),
            (taker.account, taker.sub, quote, COST, taking.cost_line),
            (maker.account, maker.sub, quote, FREE, making.realised - making.funding - maker_fee),
            (maker.account, maker.sub, quote, COST, making.cost_line),
            (event.market, 0, quote, FUNDING, taking.funding + making.funding),
            vault,
            stakers,
            makers,
            insurance,
            treasury,
        ];
        check_movements("I11", movements, postings)?;
        self.collect_charged(quote, taker_fee + maker_fee, 0);
        self.positions.apply(taker.position, &taking);
        self.positions.apply(maker.position, &making);
        self.after_fill(taker_slot, body.lots, 0, true);
        self.after_fill(maker_slot, body.lots, 0, true);
        if !liquidates {
            self.positions.perp_mut(event.market)?.last_price = body.price;
        }
        let causes = match (liquidates, maker.offered) {
            (_, true) => [CAUSE_TRADE, CAUSE_LIQUIDATION],
            (true, _) => [CAUSE_LIQUIDATION, CAUSE_TRADE],
            _ => [CAUSE_TRADE; 2],
        };
        self.wait_for([taker.position, maker.position], [taking, making], causes)
    }

    /// The next two events must show these positions.
    pub(super) fn wait_for(&mut self, slots: [u32; 2], effects: [Effect; 2], causes: [u8; 2]) -> Check {
        ensure!(self.waiting.is_empty(), "I26", "a position was moved and not shown");
        for at in 0..2 {
            self.waiting.list[at] = Some(self.shown(slots[at], &effects[at], causes[at]));
        }
        Ok(())
    }

    fn shown(&self, slot: u32, effect: &Effect, cause: u8) -> Shown {
        let position = self.positions.list[slot as usize];
        let open = self.books.open_of(slot).lots;
        Shown { position, open, realised: effect.realised, funding: effect.funding, cause }
    }

    /// What a fill does to the position of one order; a reduce-only order does nothing but reduce.
    fn side_effect(&self, order: &Order, body: &TradeBody, market: &Market) -> Check<Effect> {
        let delta = if order.side == BUY { body.lots } else { -body.lots };
        let held = self.positions.list[order.position as usize].lots;
        ensure!(
            !order.reduces() || (held.signum() == -delta.signum() && body.lots <= held.abs()),
            "I26",
            "reduce-only order {} moves a position of {held} lots by {delta}",
            order.id
        );
        self.positions.effect(order.position, delta, body.price, market.unit)
    }

    /// A position as the fill before has left it, or the leverage that its owner chose.
    fn position_changed(&mut self, event: &Event) -> Check {
        let body: PositionBody = event.body_as();
        let Some(expected) = self.waiting.take() else {
            return self.leverage_chosen(event, &body);
        };
        let position = &expected.position;
        let found = (event.account, event.sub, event.market, body.lots, body.cost, body.leverage_e2);
        let due = (
            position.account,
            position.sub,
            position.market,
            position.lots,
            position.cost,
            position.leverage_e2,
        );
        ensure!(found == due, "I26", "a position is shown as {found:?}, its events made it {due:?}");
        let index = wide(body.funding_index_low, body.funding_index_high);
        let found = (body.realised, body.funding_paid, index, body.cause);
        let due = (expected.realised, expected.funding, position.funding_entry, expected.cause);
        ensure!(found == due, "I26", "a position of account {} shows {found:?}, not {due:?}", event.account);
        ensure!(
            [body.open_buy_lots, body.open_sell_lots] == expected.open,
            "I26",
            "account {} shows {} and {} open lots, its orders have {:?}",
            event.account,
            body.open_buy_lots,
            body.open_sell_lots,
            expected.open
        );
        Ok(())
    }

    fn leverage_chosen(&mut self, event: &Event, body: &PositionBody) -> Check {
        ensure!(body.cause == CAUSE_LEVERAGE, "I26", "a position is shown that nothing has moved");
        let perp = self.positions.perp(event.market)?;
        let allowed = self.values.allowed_e2(event.account, perp, self.time_ns);
        ensure!(
            (100..=allowed).contains(&body.leverage_e2),
            "I09",
            "account {} chooses a leverage of {} with {allowed} allowed",
            event.account,
            body.leverage_e2
        );
        let slot = self.positions.slot(event.account, event.sub, event.market);
        let position = &mut self.positions.list[slot as usize];
        position.leverage_e2 = body.leverage_e2;
        ensure!(
            (body.lots, body.cost, body.realised, body.funding_paid) == (position.lots, position.cost, 0, 0),
            "I26",
            "the choice of a leverage shows a position of {} lots",
            body.lots
        );
        Ok(())
    }

    /// A position of a closed market goes at the delisting price, the same for all.
    fn position_settled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: PositionBody = event.body_as();
        ensure!(body.cause == CAUSE_SETTLEMENT, "I26", "a position settles for cause {}", body.cause);
        let market = *self.market(event.market)?;
        ensure!(
            market.status == CLOSED,
            "I26",
            "market {} settles with status {}",
            event.market,
            market.status
        );
        let Some(slot) = self.positions.find(event.account, event.sub, event.market) else {
            return Err(fault("I26", format_args!("account {} has no position to settle", event.account)));
        };
        let position = self.positions.list[slot as usize];
        let price = self.settlement_price(&position, &body, market.unit)?;
        let effect = self.positions.effect(slot, -position.lots, price, market.unit)?;
        let index = self.positions.perp(event.market)?.funding_index;
        let found = (
            body.lots,
            body.cost,
            body.realised,
            body.funding_paid,
            wide(body.funding_index_low, body.funding_index_high),
        );
        ensure!(
            found == (0, 0, effect.realised, effect.funding, index),
            "I26",
            "account {} settles as {found:?}, not {effect:?}",
            event.account
        );
        let value = i128::from(position.lots) * i128::from(price) * i128::from(market.unit);
        let out = i64::try_from(i128::from(effect.funding) - value)
            .map_err(|_| fault("I20", format_args!("a settlement of {value} is out of range")))?;
        let (account, sub, quote) = (event.account, event.sub, market.quote);
        let movements = [
            (account, sub, quote, FREE, effect.realised - effect.funding),
            (account, sub, quote, COST, effect.cost_line),
            (event.market, 0, quote, FUNDING, out),
        ];
        check_movements("I04", movements, postings)?;
        self.positions.apply(slot, &effect);
        self.positions.drop_if_empty(slot, self.books.open_of(slot).orders);
        self.liquidations.settled = Some((account, sub, effect.realised));
        Ok(())
    }

    /// The price in ticks that the realised profit of a whole position tells; all of a market's are equal.
    fn settlement_price(&mut self, position: &Position, body: &PositionBody, unit: i64) -> Check<i64> {
        let lots = i128::from(position.lots) * i128::from(unit);
        let value = i128::from(body.realised) + i128::from(position.cost);
        ensure!(
            lots != 0 && value % lots == 0,
            "I26",
            "a position of {} lots settles at no price",
            position.lots
        );
        let price = i64::try_from(value / lots).unwrap_or(0);
        if self.positions.perp(position.market)?.settling_at == 0 {
            let due = self.settlement_due(position.market)?;
            ensure!(
                price == due,
                "I08",
                "market {} settles at {price}, its hour has a mean of {due}",
                position.market
            );
            self.positions.perp_mut(position.market)?.settling_at = price;
        }
        let perp = self.positions.perp(position.market)?;
        ensure!(
            price > 0 && perp.settling_at == price,
            "I26",
            "market {} settles at {price} and at {}",
            position.market,
            perp.settling_at
        );
        Ok(price)
    }

    fn market_settled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: StatusBody = event.body_as();
        let market = *self.market(event.market)?;
        ensure!(
            (market.status, body.previous, body.status) == (CLOSED, CLOSED, SETTLED),
            "I26",
            "market {} with status {} settles",
            event.market,
            market.status
        );
        let perp = self.positions.perp_mut(event.market)?;
        ensure!(
            (perp.long, perp.short, perp.positions) == (0, 0, 0),
            "I04",
            "market {} is settled with {} lots long and {} short",
            event.market,
            perp.long,
            perp.short
        );
        perp.settling_at = 0;
        // What is left of the funding line belongs to nobody any more.
        let left: i64 = postings.iter().filter(|posting| posting.line == INSURANCE).map(|p| p.amount).sum();
        let movements =
            [(event.market, 0, market.quote, FUNDING, -left), (0, 0, market.quote, INSURANCE, left)];
        check_movements("I13", movements, postings)?;
        let line = self.ledger.line(event.market, 0, market.quote, FUNDING);
        ensure!(line == 0 && left >= 0, "I13", "market {} is settled with {line} of funding", event.market);
        self.collect_fees(market.quote, left);
        self.markets[event.market as usize].status = SETTLED;
        Ok(())
    }

    fn margin_adjusted(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let AmountBody { asset, other_sub, amount, .. } = event.body_as();
        ensure!(
            amount > 0 && other_sub != event.sub && (other_sub == 0 || event.sub == 0),
            "I02",
            "margin of {amount} goes from sub-account {} to {other_sub}",
            event.sub
        );
        let account = event.account;
        let movements =
            [(account, event.sub, asset, FREE, -amount), (account, other_sub, asset, FREE, amount)];
        check_movements("I02", movements, postings)?;
        self.check_left_enough(account, event.sub)
    }

    fn insurance_funded(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let AmountBody { asset, amount, .. } = event.body_as();
        ensure!(amount > 0, "I02", "insurance is funded with {amount}");
        let movements = [(event.account, event.sub, asset, FREE, -amount), (0, 0, asset, INSURANCE, amount)];
        check_movements("I02", movements, postings)?;
        self.collect_fees(asset, amount);
        self.check_left_enough(event.account, event.sub)
    }

    /// What must hold when a command is over: both sides of every market, its funding line, debts.
    pub(super) fn check_leveraged_end(&mut self) -> Check {
        ensure!(self.waiting.is_empty(), "I26", "a position was moved and not shown");
        ensure!(self.liquidations.offering.is_none(), "I10", "a liquidation offers nothing");
        for at in 0..self.positions.touched.len() {
            let market = self.positions.touched[at];
            self.positions.check_open_interest(market)?;
            let quote = self.market(market)?.quote;
            self.positions.check_funding(market, self.ledger.line(market, 0, quote, FUNDING))?;
        }
        self.positions.touched.clear();
        if self.pending.is_some() {
            // Who pays for a loss may be found over several commands.
            return Ok(());
        }
        ensure!(self.liquidations.sale.is_none(), "I10", "a sale of a liquidation never ended");
        self.liquidations.end_command();
        for at in 0..self.ledger.indebted.len() {
            let balance = self.ledger.balances[self.ledger.indebted[at] as usize];
            self.check_debt(&balance)?;
        }
        self.ledger.indebted.clear();
        Ok(())
    }

    /// Positions and their money from scratch.
    pub(super) fn verify_positions(&self) -> Check {
        self.positions.verify()?;
        let mut costs = crate::hash::Map::<(u32, u8, u16), i128>::default();
        for position in self.positions.iter() {
            let quote = self.market(position.market)?.quote;
            *costs.entry((position.account, position.sub, quote)).or_insert(0) += i128::from(position.cost);
        }
        for balance in &self.ledger.balances {
            let key = (balance.account, balance.sub, balance.asset);
            let cost = costs.get(&key).copied().unwrap_or(0);
            ensure!(
                i128::from(balance.lines[COST as usize]) == -cost,
                "I04",
                "account {} sub {}: the cost line is {}, its positions cost {cost}",
                balance.account,
                balance.sub,
                balance.lines[COST as usize]
            );
            self.check_debt(balance)?;
        }
        for (market, entry) in self.markets.iter().enumerate().filter(|(_, entry)| entry.kind == PERPETUAL) {
            let market = market as u32;
            self.positions.check_funding(market, self.ledger.line(market, 0, entry.quote, FUNDING))?;
        }
        Ok(())
    }
}
