//! Liquidations in the book (P5): I10, and the money of a step.

use std::collections::BTreeSet;

use super::book::{Order, BUY};
use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, INSURANCE, LIQUIDATION_FEES};
use super::margin::{Health, Purpose, UNCERTAIN};
use super::records::check_movements;
use super::validity::LIQUIDATING;
use super::Auditor;
use crate::id;
use crate::wire::command::order_flag;
use crate::wire::event::{
    CascadeBody, Event, EventKind, LiquidationEndBody, LiquidationFlagBody, LiquidationStartBody,
    LiquidationStepBody, OrderBody, Posting, RewardBody,
};

/// Why a liquidation ended.
const HEALTHY: u8 = 1;
const CANCELS: u8 = 2;
const CLOSED: u8 = 3;
/// A step that offers its lots before it takes, and for how long (P5.9).
const OFFERS: u8 = 2;
const OFFER_NS: i64 = 2_000_000_000;
/// A keeper earns at most half of the fee, and at most $100 (P5.7).
const LARGEST_REWARD: i64 = 100_000_000;

/// A sale that runs: whose, what its event said, and what its fills sold.
#[derive(Clone, Copy, Debug)]
pub struct Sale {
    account: u32,
    sub: u8,
    market: u32,
    lots: i64,
    limit: i64,
    equity: i128,
    margin: i128,
    filled: i64,
    notional: i128,
}

/// What liquidation needs beyond one event.
#[derive(Clone, Debug, Default)]
pub struct Liquidations {
    pub sale: Option<Sale>,
    /// Fee of the last step, out of which its keeper is paid.
    fee: i64,
    /// The account that holds what insurance took over; its debt is the fund's.
    pub fund: Option<u32>,
    /// Whose positions the present commands take over.
    pub taking: Option<(u32, u8)>,
    /// Account, sub-account and market of a takeover whose loss is not paid yet, and the loss in micro-quote.
    pub drawing: Option<((u32, u8, u32), i128)>,
    /// Of whose position in which market how many have been deleveraged.
    pub ranked: Option<((u32, u8, u32), u16)>,
    /// Account, sub-account and profit of the position that was settled last.
    pub settled: Option<(u32, u8, i64)>,
    /// Markets under a cascade.
    pub cascades: BTreeSet<u32>,
    /// What the next order offers passively.
    pub offering: Option<Sale>,
}

impl Liquidations {
    /// No takeover goes on.
    pub fn end_command(&mut self) {
        (self.taking, self.drawing, self.ranked) = (None, None, None);
    }
}

/// Key of the account that holds what insurance took over: nobody can sign for it.
pub fn fund_key() -> [u8; 32] {
    id::derive("system", b"insurance fund")
}

impl Auditor {
    pub(super) fn check_liquidation(
        &mut self,
        kind: EventKind,
        event: &Event,
        postings: &[Posting],
    ) -> Check {
        match kind {
            EventKind::LiquidationStepped => return self.liquidation_stepped(event, postings),
            EventKind::LossCovered => return self.loss_covered(event, postings),
            EventKind::LossSocialised => return self.loss_socialised(event, postings),
            EventKind::BackstopTaken => return self.backstop_taken(event, postings),
            EventKind::AdlExecuted => return self.adl_executed(event, postings),
            EventKind::FundSettled => return self.fund_settled(event, postings),
            _ => {}
        }
        ensure!(postings.is_empty(), "I01", "a {} event moves money", kind.name());
        match kind {
            EventKind::LiquidationStarted => self.liquidation_started(event),
            EventKind::CascadeChanged => self.cascade_changed(event),
            EventKind::LiquidationFlagged => {
                let body: LiquidationFlagBody = event.body_as();
                self.check_unhealthy(event.account, event.sub)?;
                self.check_shown_health(event, body.equity, body.maintenance_margin)
            }
            EventKind::LiquidationEnded => {
                let body: LiquidationEndBody = event.body_as();
                let healthy = body.equity >= body.maintenance_margin;
                ensure!(
                    healthy || !matches!(body.reason, HEALTHY | CANCELS),
                    "I10",
                    "a liquidation of account {} ends as healthy with {} of {}",
                    event.account,
                    body.equity,
                    body.maintenance_margin
                );
                let holds = self.positions.holds_lots(event.account, event.sub);
                ensure!(body.reason != CLOSED || !holds, "I10", "account {} is not closed", event.account);
                self.check_shown_health(event, body.equity, body.maintenance_margin)
            }
            _ => Ok(()),
        }
    }

    /// What an event shows of a sub-account is what it is worth and needs.
    fn check_shown_health(&self, event: &Event, equity: i64, margin: i64) -> Check {
        if !self.is_sure(event.account, event.sub) {
            return Ok(());
        }
        let health = self.health(event.account, event.sub, Purpose::Keeping);
        ensure!(
            (i128::from(equity), i128::from(margin)) == (health.equity, health.margin),
            "I10",
            "account {} shows {equity} for a margin of {margin}, it has {} for {}",
            event.account,
            health.equity,
            health.margin
        );
        Ok(())
    }

    /// Whether every feed that a sub-account's worth depends on is beyond doubt: else its holder has a safer price.
    pub(super) fn is_sure(&self, account: u32, sub: u8) -> bool {
        let feed_is_sure = |feed: u32| self.values.feed(feed).is_some_and(|feed| feed.state < UNCERTAIN);
        let positions = self.positions.of_sub(account, sub).filter(|(_, position)| position.lots != 0);
        let mut markets =
            positions.map(|(_, position)| self.positions.markets[position.market as usize].feed);
        let mut balances =
            self.ledger.of_sub(account, sub).filter(|balance| balance.lines[FREE as usize] != 0);
        markets.all(feed_is_sure)
            && balances.all(|balance| self.values.feed_of(balance.asset).is_none_or(feed_is_sure))
    }

    /// I10: only who is below the maintenance margin is liquidated.
    pub(super) fn check_unhealthy(&self, account: u32, sub: u8) -> Check<Health> {
        let health = self.health(account, sub, Purpose::Keeping);
        ensure!(
            self.positions.holds_lots(account, sub) && !health.unpriced && health.equity < health.margin,
            "I10",
            "account {account} sub {sub} is liquidated with {} for a maintenance margin of {}",
            health.equity,
            health.margin
        );
        Ok(health)
    }

    fn liquidation_started(&mut self, event: &Event) -> Check {
        let body: LiquidationStartBody = event.body_as();
        let (account, sub) = (event.account, event.sub);
        ensure!(self.liquidations.sale.is_none(), "I10", "two sales run at once");
        self.check_feed_allows(event.market, LIQUIDATING, false)?;
        let health = self.check_unhealthy(account, sub)?;
        let shown = (i128::from(body.equity), i128::from(body.maintenance_margin));
        ensure!(
            shown.0 < shown.1 && (shown == (health.equity, health.margin) || !self.is_sure(account, sub)),
            "I10",
            "account {account} sub {sub} shows {shown:?}, is worth {} for a margin of {}",
            health.equity,
            health.margin
        );
        let held = self.positions.find(account, sub, event.market);
        let held = held.map_or(0, |slot| self.positions.list[slot as usize].lots);
        ensure!(
            body.lots > 0 && body.lots <= held.abs() && body.limit > 0,
            "I10",
            "{} of {held} lots are to be sold at {}",
            body.lots,
            body.limit
        );
        let cascade = self.liquidations.cascades.contains(&event.market);
        ensure!(
            (body.cascade != 0) == cascade && body.cascade <= OFFERS,
            "I10",
            "a step in market {} says {} of a cascade",
            event.market,
            body.cascade
        );
        self.check_index_band(event.market, held, body.limit)?;
        let sale = Sale {
            account,
            sub,
            market: event.market,
            lots: body.lots,
            limit: body.limit,
            equity: shown.0,
            margin: shown.1,
            filled: 0,
            notional: 0,
        };
        if body.cascade == OFFERS {
            self.liquidations.offering = Some(sale);
        } else {
            self.liquidations.sale = Some(sale);
        }
        Ok(())
    }

    /// In a halt a sale keeps to the band around the index (P7.5): 2.5 %, up to 5 % under a cascade (P5.5, P5.9).
    fn check_index_band(&self, market: u32, held: i64, limit: i64) -> Check {
        let index = i128::from(self.positions.perp(market)?.index);
        if index == 0 || !self.is_halted_by_price(market) {
            return Ok(());
        }
        let widest = if self.liquidations.cascades.contains(&market) { 50_000 } else { 25_000 };
        let away = (index - i128::from(limit)) * i128::from(held.signum());
        ensure!(
            away * 1_000_000 <= index * widest,
            "I25",
            "a liquidation in the halted market {market} goes to {limit} with an index of {index}"
        );
        Ok(())
    }

    fn cascade_changed(&mut self, event: &Event) -> Check {
        let body: CascadeBody = event.body_as();
        let known = match body.active {
            0 => self.liquidations.cascades.remove(&event.market),
            _ => self.liquidations.cascades.insert(event.market),
        };
        ensure!(known, "I10", "the cascade of market {} changes to {} twice", event.market, body.active);
        Ok(())
    }

    /// Whether an order is the one that a step has just offered: post-only, reduce-only, for two seconds, between the
    /// limit of the step and the mark (P5.9).
    #[inline]
    pub(super) fn check_offer(&mut self, event: &Event, body: &OrderBody) -> Check<bool> {
        match self.liquidations.offering.take() {
            None => Ok(false),
            Some(offering) => self.check_offering(&offering, event, body).map(|()| true),
        }
    }

    #[cold]
    fn check_offering(&self, offering: &Sale, event: &Event, body: &OrderBody) -> Check {
        let &Sale { account, sub, market, lots, limit, .. } = offering;
        let passive = order_flag::REDUCE_ONLY | order_flag::POST_ONLY;
        let (low, high) = match body.side {
            BUY => (i64::MIN, limit),
            _ => (limit, i64::MAX),
        };
        ensure!(
            (account, sub, market, lots) == (event.account, event.sub, event.market, body.total_lots)
                && (low..=high).contains(&body.price)
                && body.order_flags == passive
                && body.resting == 1
                && body.expiry_ns == event.time_ns + OFFER_NS
                && !self.halts.scope(market).collects(),
            "I10",
            "account {account} offers {lots} lots in market {market} with a limit of {limit} as {body:?}"
        );
        let mark = self.positions.perp(market)?.mark;
        let beyond = if body.side == BUY { body.price < mark } else { body.price > mark };
        ensure!(
            !beyond || !self.is_sure(account, sub),
            "I10",
            "account {account} offers at {}, beyond the mark of {mark}",
            body.price
        );
        Ok(())
    }

    /// A fill of a passive order is a step of a liquidation: of somebody below the margin, and shown behind it.
    #[cold]
    pub(super) fn check_offer_fill(
        &mut self,
        offer: &Order,
        lots: i64,
        value: i64,
        postings: &[Posting],
    ) -> Check {
        let &Order { account, sub, market, price, remaining, .. } = offer;
        ensure!(self.liquidations.sale.is_none(), "I10", "two sales run at once");
        self.check_feed_allows(market, LIQUIDATING, false)?;
        let health = self.health_before((account, sub), postings);
        ensure!(
            !health.unpriced
                && health.equity < health.margin
                && (health.equity > 0 || !self.is_sure(account, sub)),
            "I10",
            "account {account} sells passively with {} for a maintenance margin of {}",
            health.equity,
            health.margin
        );
        self.liquidations.sale = Some(Sale {
            account,
            sub,
            market,
            lots: remaining,
            limit: price,
            equity: health.equity,
            margin: health.margin,
            filled: lots,
            notional: i128::from(value),
        });
        Ok(())
    }

    /// A fill of a liquidation belongs to the sale that runs.
    pub(super) fn check_sale(&mut self, event: &Event, price: i64, lots: i64, value: i64) -> Check {
        let Some(sale) = &mut self.liquidations.sale else {
            return Err(fault(
                "I10",
                format_args!("a liquidation of account {} never started", event.account),
            ));
        };
        ensure!(
            (sale.account, sale.sub, sale.market) == (event.account, event.sub, event.market)
                && sale.filled + lots <= sale.lots,
            "I10",
            "a liquidation sells {lots} lots of account {} at {price}, limit {}",
            event.account,
            sale.limit
        );
        sale.filled += lots;
        sale.notional += i128::from(value);
        Ok(())
    }

    /// The order of a sale: nobody's trading fee applies to it.
    pub(super) fn is_sale(&self, event: &Event, price: i64, lots: i64) -> bool {
        self.liquidations.sale.is_some_and(|sale| {
            (sale.account, sale.sub, sale.market) == (event.account, event.sub, event.market)
                && (sale.limit, sale.lots) == (price, lots)
                && sale.filled == 0
        })
    }

    /// The step is over: its fee is bounded, nobody ends below zero and the ratio rises (P5.7, P5.10).
    fn liquidation_stepped(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LiquidationStepBody = event.body_as();
        let Some(sale) = self.liquidations.sale.take() else {
            return Err(fault("I10", format_args!("a step of account {} never started", event.account)));
        };
        let Sale { account, sub, .. } = sale;
        ensure!(
            (account, sub, sale.market) == (event.account, event.sub, event.market)
                && (body.filled_lots, i128::from(body.notional)) == (sale.filled, sale.notional)
                && body.unfilled_lots == sale.lots - sale.filled,
            "I10",
            "a step shows {} lots for {}, its fills are {} for {}",
            body.filled_lots,
            body.notional,
            sale.filled,
            sale.notional
        );
        let market = *self.market(event.market)?;
        let insured: i64 =
            postings.iter().filter(|posting| posting.line == INSURANCE).map(|p| p.amount).sum();
        let (fee, quote) = (body.fee, market.quote);
        let movements = [
            (account, sub, quote, FREE, -fee),
            (0, 0, quote, LIQUIDATION_FEES, fee.saturating_sub(insured)),
            (0, 0, quote, INSURANCE, insured),
        ];
        check_movements("I11", movements, postings)?;
        self.collect_fees(quote, insured);
        let rate = i128::from(self.positions.perp(event.market)?.liquidation_fee_e6bp);
        // Rounded up once.
        let most = (sale.notional * rate + 9_999_999_999) / 10_000_000_000;
        ensure!(
            fee >= 0 && i128::from(fee) <= most && (0..=fee / 2 + 1).contains(&insured),
            "I11",
            "a step of {} costs {fee}, {insured} of it for insurance",
            sale.notional
        );
        self.liquidations.fee = fee;
        if !self.is_sure(account, sub) {
            return Ok(());
        }
        self.check_shown_health(event, body.equity, body.maintenance_margin)?;
        let health = self.health(account, sub, Purpose::Keeping);
        ensure!(health.equity >= 0, "I10", "a step leaves account {account} with {}", health.equity);
        let closed = self
            .positions
            .find(account, sub, event.market)
            .is_none_or(|slot| self.positions.list[slot as usize].lots == 0);
        ensure!(
            sale.filled == 0 || closed || health.equity * sale.margin > sale.equity * health.margin,
            "I10",
            "a step takes account {account} from {} of {} to {} of {}",
            sale.equity,
            sale.margin,
            health.equity,
            health.margin
        );
        Ok(())
    }

    /// P5.7: the keeper of a step is paid out of its fee.
    pub(super) fn check_step_reward(&mut self, body: &RewardBody) -> Check {
        let fee = std::mem::take(&mut self.liquidations.fee);
        ensure!(
            body.source != LIQUIDATION_FEES || (body.amount <= fee / 2 && body.amount <= LARGEST_REWARD),
            "I11",
            "a keeper is paid {} for a step whose fee is {fee}",
            body.amount
        );
        Ok(())
    }
}
