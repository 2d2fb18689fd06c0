//! Liquidations and the waterfall of losses (P5): I10, and the money of each stage.

use super::fault::{ensure, fault, Check};
use super::ledger::{COST, FREE, FUNDING, INSURANCE, LIQUIDATION_FEES};
use super::margin::{Health, Purpose, UNCERTAIN};
use super::position::Effect;
use super::records::{check_movements, Movement};
use super::validity::LIQUIDATING;
use super::Auditor;
use crate::id;
use crate::wire::event::{
    loss_stage, AdlBody, BackstopBody, Event, EventKind, FundBody, LiquidationStartBody, LiquidationStepBody,
    LossCoveredBody, LossSocialisedBody, Posting, RewardBody, NO_ACCOUNT,
};

const CAUSE_ADL: u8 = 4;
const CAUSE_TAKEOVER: u8 = 7;
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
#[derive(Clone, Copy, Debug, Default)]
pub struct Liquidations {
    pub sale: Option<Sale>,
    /// Fee of the last step, out of which its keeper is paid.
    fee: i64,
    /// The account that holds what insurance took over; its debt is the fund's.
    pub fund: Option<u32>,
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
            EventKind::LiquidationFlagged => self.check_unhealthy(event.account, event.sub).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Whether every feed that a sub-account's worth depends on is beyond doubt: else its holder has a safer price.
    fn is_sure(&self, account: u32, sub: u8) -> bool {
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
    fn check_unhealthy(&self, account: u32, sub: u8) -> Check<Health> {
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
        self.liquidations.sale = Some(Sale {
            account,
            sub,
            market: event.market,
            lots: body.lots,
            limit: body.limit,
            equity: shown.0,
            margin: shown.1,
            filled: 0,
            notional: 0,
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

    /// A stage of the waterfall pays a deficit; a later stage only when the ones before have nothing left (P5.6).
    fn loss_covered(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LossCoveredBody = event.body_as();
        let market = *self.market(event.market)?;
        let (who, quote, covered) = ((event.account, event.sub), market.quote, body.covered);
        ensure!(covered > 0, "I10", "a loss of {covered} is covered");
        let receives = (who.0, who.1, quote, FREE, covered);
        let fund = self.liquidations.fund.unwrap_or(NO_ACCOUNT);
        let (from, insured): (Movement, i64) = match body.stage {
            loss_stage::COLLATERAL => {
                let seized = (who.0, who.1, body.asset, FREE, -body.amount);
                let kept = (0, 0, body.asset, INSURANCE, body.amount);
                ensure!(body.amount > 0 && body.asset != quote, "I10", "{} is seized", body.amount);
                let paid = (0, 0, quote, INSURANCE, -covered);
                check_movements("I10", [seized, kept, paid, receives], postings)?;
                self.collect_fees(body.asset, body.amount);
                self.collect_fees(quote, -covered);
                return Ok(());
            }
            loss_stage::FEES => ((0, 0, quote, LIQUIDATION_FEES, -covered), 0),
            loss_stage::INSURANCE => ((0, 0, quote, INSURANCE, -covered), covered),
            loss_stage::SOCIALISED => ((event.market, 0, quote, FUNDING, -covered), 0),
            loss_stage::OWED if who.0 == fund => {
                let movements =
                    [(fund, 0, quote, FREE, -covered), (event.market, 0, quote, FUNDING, covered)];
                return check_movements("I10", movements, postings);
            }
            loss_stage::OWED => ((fund, 0, quote, FREE, -covered), 0),
            stage => return Err(fault("I10", format_args!("stage {stage} of the waterfall is none"))),
        };
        check_movements("I10", [from, receives], postings)?;
        self.collect_fees(quote, -insured);
        let pool = self.ledger.line(0, 0, quote, LIQUIDATION_FEES);
        let insurance = self.ledger.line(0, 0, quote, INSURANCE);
        ensure!(
            body.stage == loss_stage::FEES || pool == 0,
            "I10",
            "stage {} pays while the pool of fees holds {pool}",
            body.stage
        );
        ensure!(
            body.stage <= loss_stage::INSURANCE || insurance <= 1,
            "I10",
            "stage {} pays while insurance holds {insurance}",
            body.stage
        );
        // What was missing is filled up and no more.
        let free = self.ledger.line(who.0, who.1, quote, FREE);
        let keeps = self.positions.holds_lots(who.0, who.1);
        ensure!(keeps || free <= 0, "I10", "account {} is covered up to {free} without a position", who.0);
        if keeps && self.is_sure(who.0, who.1) {
            let equity = self.health(who.0, who.1, Purpose::Keeping).equity;
            ensure!(equity <= 0, "I10", "account {} is covered up to a worth of {equity}", who.0);
        }
        Ok(())
    }

    /// A winner bears a share, at most its profit (P5.6 step 5).
    fn loss_socialised(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LossSocialisedBody = event.body_as();
        let market = *self.market(event.market)?;
        let quote = market.quote;
        let to = match body.bankrupt_account {
            NO_ACCOUNT => (event.market, 0, quote, FUNDING, body.share),
            account => (account, body.bankrupt_sub, quote, FREE, body.share),
        };
        check_movements("I10", [(event.account, event.sub, quote, FREE, -body.share), to], postings)?;
        ensure!(
            body.share > 0 && body.share <= body.profit && body.profit <= body.profit_total,
            "I10",
            "account {} bears {} of a profit of {}",
            event.account,
            body.share,
            body.profit
        );
        if body.bankrupt_account != NO_ACCOUNT {
            let perp = self.positions.perp(event.market)?;
            let slot = self.positions.find(event.account, event.sub, event.market);
            let position = slot.map(|slot| self.positions.list[slot as usize]);
            let profit = position.map_or(0, |position| {
                i128::from(position.lots) * i128::from(perp.mark) * i128::from(market.unit)
                    - i128::from(position.cost)
            });
            ensure!(
                profit == i128::from(body.profit),
                "I10",
                "account {} shows a profit of {}, it has {profit}",
                event.account,
                body.profit
            );
        }
        Ok(())
    }

    /// Two positions meet outside of the book at a value: postings by P1.5.6, and both are shown behind the event.
    fn exchange(
        &mut self,
        (from, to, market): ((u32, u8), (u32, u8), u32),
        (lots, value): (i64, i64),
        cause: u8,
    ) -> Check<([Effect; 2], [Movement; 5])> {
        let quote = self.market(market)?.quote;
        ensure!(lots != 0 && lots.signum() == value.signum(), "I10", "{lots} lots change hands for {value}");
        let mut effects = [Effect::default(); 2];
        let mut slots = [0; 2];
        for (at, (who, delta)) in [(from, -lots), (to, lots)].into_iter().enumerate() {
            let slot = self.positions.slot(who.0, who.1, market);
            let worth = i128::from(value).abs();
            effects[at] = self.positions.effect_of(slot, delta, |part| {
                // A part of the change has no price of its own.
                if part == i128::from(delta).abs() {
                    worth
                } else {
                    0
                }
            })?;
            self.positions.apply(slot, &effects[at]);
            slots[at] = slot;
        }
        self.wait_for(slots, effects, [cause; 2])?;
        for slot in slots {
            self.positions.drop_if_empty(slot, self.books.open_of(slot).orders);
        }
        let [gives, takes] = effects;
        let movements = [
            (from.0, from.1, quote, FREE, gives.realised - gives.funding),
            (from.0, from.1, quote, COST, gives.cost_line),
            (to.0, to.1, quote, FREE, takes.realised - takes.funding),
            (to.0, to.1, quote, COST, takes.cost_line),
            (market, 0, quote, FUNDING, gives.funding + takes.funding),
        ];
        Ok((effects, movements))
    }

    /// Insurance takes lots of an insolvent, or stuck, sub-account at its bankruptcy price (P5.6 step 3).
    fn backstop_taken(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: BackstopBody = event.body_as();
        let who = (event.account, event.sub);
        ensure!(Some(body.fund) == self.liquidations.fund, "I10", "account {} is not the fund", body.fund);
        self.check_feed_allows(event.market, LIQUIDATING, false)?;
        let quote = self.market(event.market)?.quote;
        let held = self.positions.find(who.0, who.1, event.market);
        let held = held.map_or(0, |slot| self.positions.list[slot as usize].lots);
        ensure!(
            held.signum() == body.lots.signum() && body.lots.abs() <= held.abs() && body.draw >= 0,
            "I10",
            "the fund takes {} of {held} lots",
            body.lots
        );
        let parties = (who, (body.fund, 0), event.market);
        let (effects, [a, b, (to, sub, asset, line, amount), d, e]) =
            self.exchange(parties, (body.lots, body.value), CAUSE_TAKEOVER)?;
        let drawn = (to, sub, asset, line, amount + body.draw);
        check_movements("I10", [a, b, drawn, d, e, (0, 0, quote, INSURANCE, -body.draw)], postings)?;
        self.collect_fees(quote, -body.draw);
        ensure!(
            effects[0].realised == body.realised,
            "I10",
            "a takeover realises {}, not {}",
            body.realised,
            effects[0].realised
        );
        Ok(())
    }

    /// An opposing position gives way at the bankruptcy price; it is only reduced (P5.8).
    fn adl_executed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: AdlBody = event.body_as();
        self.check_feed_allows(event.market, LIQUIDATING, false)?;
        let (who, bankrupt) = ((event.account, event.sub), (body.bankrupt_account, body.bankrupt_sub));
        let lots_of = |owner: (u32, u8)| {
            let slot = self.positions.find(owner.0, owner.1, event.market);
            slot.map_or(0, |slot| self.positions.list[slot as usize].lots)
        };
        let (held, gone) = (lots_of(who), lots_of(bankrupt));
        ensure!(
            held.signum() == -body.lots.signum()
                && gone.signum() == body.lots.signum()
                && body.lots.abs() <= held.abs().min(gone.abs())
                && who != bankrupt,
            "I10",
            "{} lots are deleveraged between {held} and {gone}",
            body.lots
        );
        let (effects, movements) =
            self.exchange((bankrupt, who, event.market), (body.lots, body.value), CAUSE_ADL)?;
        check_movements("I10", movements, postings)?;
        ensure!(
            (body.bankrupt_realised, body.realised) == (effects[0].realised, effects[1].realised),
            "I10",
            "deleveraging realises {} and {}, not {effects:?}",
            body.bankrupt_realised,
            body.realised
        );
        Ok(())
    }

    /// Money between insurance and the account that holds what it took over.
    fn fund_settled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: FundBody = event.body_as();
        ensure!(Some(event.account) == self.liquidations.fund, "I10", "account {} is no fund", event.account);
        let asset = postings.first().map_or(0, |posting| posting.asset);
        let movements =
            [(event.account, 0, asset, FREE, -body.amount), (0, 0, asset, INSURANCE, body.amount)];
        check_movements("I10", movements, postings)?;
        self.collect_fees(asset, body.amount);
        Ok(())
    }
}
