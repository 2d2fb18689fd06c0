//! The waterfall of losses behind the book (P5.6, P5.8): the money of each stage, in the order of the stages (I10).

use super::book::BUY;
use super::fault::{ensure, fault, Check};
use super::ledger::{COST, FREE, FUNDING, INSURANCE, LIQUIDATION_FEES};
use super::margin::{Health, Purpose};
use super::position::Effect;
use super::records::{check_movements, Movement};
use super::validity::LIQUIDATING;
use super::Auditor;
use crate::wire::command::order_flag;
use crate::wire::event::{
    loss_stage, AdlBody, BackstopBody, Event, FundBody, LossCoveredBody, LossSocialisedBody, OrderBody,
    Posting, NO_ACCOUNT,
};

const CAUSE_ADL: u8 = 4;
const CAUSE_TAKEOVER: u8 = 7;
const PPM: i128 = 1_000_000;

impl Auditor {
    /// A stage of the waterfall pays a deficit; a later stage only when the ones before have nothing left (P5.6).
    pub(super) fn loss_covered(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LossCoveredBody = event.body_as();
        let market = *self.market(event.market)?;
        let (who, quote, covered) = ((event.account, event.sub), market.quote, body.covered);
        ensure!(covered > 0, "I10", "a loss of {covered} is covered");
        let receives = (who.0, who.1, quote, FREE, covered);
        let fund = self.liquidations.fund.unwrap_or(NO_ACCOUNT);
        self.check_shown_source(event.market, quote, &body)?;
        let (from, insured): (Movement, i64) = match body.stage {
            loss_stage::COLLATERAL => {
                let seized = (who.0, who.1, body.asset, FREE, -body.amount);
                let kept = (0, 0, body.asset, INSURANCE, body.amount);
                ensure!(body.amount > 0 && body.asset != quote, "I10", "{} is seized", body.amount);
                let paid = (0, 0, quote, INSURANCE, -covered);
                check_movements("I10", [seized, kept, paid, receives], postings)?;
                let worth = self.values.seized_worth(body.asset, body.amount);
                ensure!(
                    worth.is_some_and(|worth| i128::from(covered) <= worth),
                    "I10",
                    "{} of asset {} are seized for {covered}, they are worth {worth:?}",
                    body.amount,
                    body.asset
                );
                self.collect_fees(body.asset, body.amount);
                self.collect_fees(quote, -covered);
                return self.check_deficit(who, quote, body.deficit_left);
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
        if !keeps {
            self.check_deficit(who, quote, body.deficit_left)?;
        }
        ensure!(keeps || free <= 0, "I10", "account {} is covered up to {free} without a position", who.0);
        if keeps && self.is_sure(who.0, who.1) {
            let equity = self.health(who.0, who.1, Purpose::Keeping).equity;
            ensure!(equity <= 0, "I10", "account {} is covered up to a worth of {equity}", who.0);
        }
        Ok(())
    }

    /// A winner bears a share, at most its profit (P5.6 step 5).
    pub(super) fn loss_socialised(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LossSocialisedBody = event.body_as();
        let market = *self.market(event.market)?;
        let quote = market.quote;
        let to = match body.bankrupt_account {
            NO_ACCOUNT => (event.market, 0, quote, FUNDING, body.share),
            account => (account, body.bankrupt_sub, quote, FREE, body.share),
        };
        check_movements("I10", [(event.account, event.sub, quote, FREE, -body.share), to], postings)?;
        // Prefixes of the shares are rounded down once: each is its part of the loss, or a micro more.
        let loss = i128::from(body.loss_total.min(body.profit_total));
        let due = (loss * i128::from(body.profit)).div_euclid(i128::from(body.profit_total.max(1)));
        ensure!(
            body.share > 0
                && body.share <= body.profit
                && body.profit <= body.profit_total
                && (due..=due + 1).contains(&i128::from(body.share)),
            "I10",
            "account {} bears {} of a loss of {} with {} of all profits of {}",
            event.account,
            body.share,
            body.loss_total,
            body.profit,
            body.profit_total
        );
        if body.bankrupt_account == NO_ACCOUNT {
            let settled = self.liquidations.settled;
            ensure!(
                settled == Some((event.account, event.sub, body.profit)),
                "I10",
                "account {} bears a loss with a profit of {}, settled was {settled:?}",
                event.account,
                body.profit
            );
        } else {
            self.check_exhausted(quote, "winners bear a loss")?;
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
    pub(super) fn backstop_taken(&mut self, event: &Event, postings: &[Posting]) -> Check {
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
        self.check_taken_over(who, postings)?;
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
        self.check_draw(event, &body)
    }

    /// Insurance lends the fund what it loses at the mark, and keeps a micro.
    fn check_draw(&mut self, event: &Event, body: &BackstopBody) -> Check {
        let market = *self.market(event.market)?;
        let mark = self.positions.perp(event.market)?.mark;
        let per_lot = i128::from(mark) * i128::from(market.unit);
        let holds = self.positions.find(body.fund, 0, event.market);
        let holds = holds.map_or(0, |slot| self.positions.list[slot as usize].lots);
        let left = self.ledger.line(0, 0, market.quote, INSURANCE);
        let found = (body.mark, body.insurance_left, i128::from(body.notional));
        let due = (mark, left, i128::from(holds).abs() * per_lot);
        ensure!(found == due, "I10", "a takeover shows {found:?}, not {due:?}");
        // A takeover in two pieces, one of which closes what the fund holds, is paid with the second.
        let key = (event.account, event.sub, event.market);
        let lost = i128::from(body.value) - i128::from(body.lots) * per_lot;
        let before =
            self.liquidations.drawing.filter(|drawing| drawing.0 == key).map_or(0, |drawing| drawing.1);
        let lost = before + lost;
        ensure!(
            i128::from(body.draw) <= lost.max(0) && (body.draw == 0 || left >= 1),
            "I10",
            "insurance lends {} for a loss of {lost} and keeps {left}",
            body.draw
        );
        self.liquidations.drawing = (body.draw == 0).then_some((key, lost));
        Ok(())
    }

    /// What a sub-account was worth before the postings of the present event, which are on its lines already.
    pub(super) fn health_before(&self, who: (u32, u8), postings: &[Posting]) -> Health {
        let own = |posting: &&Posting| (posting.owner, posting.sub, posting.line) == (who.0, who.1, FREE);
        let posted: i128 = postings.iter().filter(own).map(|posting| i128::from(posting.amount)).sum();
        let health = self.health(who.0, who.1, Purpose::Keeping);
        Health { equity: health.equity - posted, ..health }
    }

    /// The first exchange of a takeover ends positions of somebody below the maintenance margin.
    fn check_taken_over(&mut self, who: (u32, u8), postings: &[Posting]) -> Check {
        if self.liquidations.taking == Some(who) {
            return Ok(());
        }
        if self.is_sure(who.0, who.1) {
            let health = self.health_before(who, postings);
            ensure!(
                !health.unpriced && health.equity < health.margin,
                "I10",
                "account {} is taken over with {} for a margin of {}",
                who.0,
                health.equity,
                health.margin
            );
        }
        self.liquidations.taking = Some(who);
        Ok(())
    }

    /// Without a position nothing but `free` says what is still owed.
    fn check_deficit(&self, who: (u32, u8), quote: u16, shown: i64) -> Check {
        let owed = -self.ledger.line(who.0, who.1, quote, FREE).min(0);
        ensure!(shown == owed, "I10", "account {} shows a deficit of {shown}, it owes {owed}", who.0);
        Ok(())
    }

    /// What a stage shows of its source is what it holds now.
    fn check_shown_source(&self, market: u32, quote: u16, body: &LossCoveredBody) -> Check {
        let fund = self.liquidations.fund.unwrap_or(NO_ACCOUNT);
        let left = match body.stage {
            loss_stage::FEES => self.ledger.line(0, 0, quote, LIQUIDATION_FEES),
            loss_stage::SOCIALISED => self.ledger.line(market, 0, quote, FUNDING),
            loss_stage::OWED => self.ledger.line(fund, 0, quote, FREE),
            _ => self.ledger.line(0, 0, quote, INSURANCE),
        };
        let seizes = body.stage == loss_stage::COLLATERAL;
        ensure!(
            body.source_left == left
                && body.deficit_left >= 0
                && (seizes || (body.asset, body.amount) == (quote, body.covered)),
            "I10",
            "stage {} shows {} left of its source, it holds {left}, and {} of asset {} for {}",
            body.stage,
            body.source_left,
            body.amount,
            body.asset,
            body.covered
        );
        Ok(())
    }

    /// Nothing is left in the stages before (P5.10).
    fn check_exhausted(&self, quote: u16, what: &str) -> Check {
        let pool = self.ledger.line(0, 0, quote, LIQUIDATION_FEES);
        let insurance = self.ledger.line(0, 0, quote, INSURANCE);
        ensure!(
            pool == 0 && insurance <= 1,
            "I10",
            "{what} while fees of {pool} and insurance of {insurance} are left"
        );
        Ok(())
    }

    /// An opposing position gives way at the bankruptcy price; it is only reduced (P5.8).
    pub(super) fn adl_executed(&mut self, event: &Event, postings: &[Posting]) -> Check {
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
        self.check_taken_over(bankrupt, postings)?;
        self.check_rank(event, &body, postings)?;
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

    /// Who gives way is shown with its profit, its score and its place (P5.8); a loss is only dealt out when the pool of
    /// fees is empty.
    fn check_rank(&mut self, event: &Event, body: &AdlBody, postings: &[Posting]) -> Check {
        let market = *self.market(event.market)?;
        let per_lot = i128::from(self.positions.perp(event.market)?.mark) * i128::from(market.unit);
        let slot = self.positions.slot(event.account, event.sub, event.market);
        let position = self.positions.list[slot as usize];
        let profit = i128::from(position.lots) * per_lot - i128::from(position.cost);
        let lots = i128::from(body.lots).abs();
        let price = i128::from(body.value).abs() / (lots * i128::from(market.unit));
        let found = (i128::from(body.price), i128::from(body.unrealised));
        ensure!(found == (price, profit), "I10", "deleveraging shows {found:?}, not {:?}", (price, profit));
        let key = (body.bankrupt_account, body.bankrupt_sub, event.market);
        let last = self.liquidations.ranked.filter(|ranked| ranked.0 == key).map_or(0, |ranked| ranked.1);
        ensure!(body.rank == last + 1, "I10", "place {} follows place {last}", body.rank);
        self.liquidations.ranked = Some((key, body.rank));
        if self.is_sure(event.account, event.sub) {
            let notional = i128::from(position.lots).abs() * per_lot;
            let equity = self.health_before((event.account, event.sub), postings).equity;
            let score = rank_score(profit, i128::from(position.cost).abs().max(1), notional, equity);
            ensure!(
                score.is_none_or(|score| score == i128::from(body.score_ppm)) && equity > 0,
                "I10",
                "account {} with {equity} gives way with a score of {}, not {score:?}",
                event.account,
                body.score_ppm
            );
        }
        let pool = self.ledger.line(0, 0, market.quote, LIQUIDATION_FEES);
        let worse = i128::from(body.value) > i128::from(body.lots) * per_lot;
        ensure!(!worse || pool == 0, "I10", "a loss is dealt out while the pool of fees holds {pool}");
        Ok(())
    }

    /// What the fund took over it offers passively: one order a market for no more than it holds, no worse than the mark
    /// and than what it paid (P5.6 step 3).
    #[cold]
    pub(super) fn check_fund_order(&self, event: &Event, body: &OrderBody) -> Check {
        let perp = self.positions.perp(event.market)?;
        let slot = self.positions.find(event.account, event.sub, event.market);
        let position = slot.map(|slot| self.positions.list[slot as usize]);
        let (lots, cost) = position.map_or((0, 0), |position| (position.lots, position.cost));
        let orders = slot.map_or(0, |slot| self.books.open_of(slot).orders);
        let unit = i128::from(self.market(event.market)?.unit);
        let gain = i128::from(lots) * i128::from(body.price) * unit - i128::from(cost);
        let beyond_mark = i128::from(body.price - perp.mark) * i128::from(lots.signum());
        let reduces = (lots > 0) == (body.side != BUY) && body.total_lots <= lots.abs();
        ensure!(
            lots != 0
                && reduces
                && orders == 0
                && gain >= 0
                && beyond_mark >= 0
                && body.order_flags == order_flag::REDUCE_ONLY | order_flag::POST_ONLY
                && body.resting == 1
                && !self.halts.scope(event.market).collects(),
            "I10",
            "the fund holds {lots} lots for {cost} with a mark of {} and offers {body:?}",
            perp.mark
        );
        Ok(())
    }

    /// The fund never takes, and by its own orders it never loses.
    #[inline]
    pub(super) fn check_fund_fill(&self, taker: u32, maker: u32, realised: i64) -> Check {
        let Some(fund) = self.liquidations.fund else { return Ok(()) };
        ensure!(
            taker != fund && (maker != fund || realised >= 0),
            "I10",
            "the fund trades with a profit of {realised}, account {taker} takes"
        );
        Ok(())
    }

    /// Money between insurance and the account that holds what it took over.
    pub(super) fn fund_settled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: FundBody = event.body_as();
        ensure!(Some(event.account) == self.liquidations.fund, "I10", "account {} is no fund", event.account);
        let asset = postings.first().map_or(0, |posting| posting.asset);
        let movements =
            [(event.account, 0, asset, FREE, -body.amount), (0, 0, asset, INSURANCE, body.amount)];
        check_movements("I10", movements, postings)?;
        self.collect_fees(asset, body.amount);
        let left = self.ledger.line(0, 0, asset, INSURANCE);
        let equity = self.health(event.account, 0, Purpose::Keeping).equity;
        let found = (body.fund, body.insurance_left, i128::from(body.equity));
        let due = (event.account, left, equity);
        ensure!(
            found == due && body.amount != 0 && (body.amount < 0 || equity >= 0),
            "I10",
            "the fund settles {} with insurance as {found:?}, not {due:?}",
            body.amount
        );
        Ok(())
    }
}

/// The score of P5.8 in ppm, rounded down; None beyond the range of the arithmetic.
fn rank_score(profit: i128, cost: i128, notional: i128, equity: i128) -> Option<i128> {
    let (over, under) = if profit > 0 { (notional, equity) } else { (equity, notional) };
    let whole = profit.checked_mul(over)?.checked_mul(PPM)?;
    Some(whole.div_euclid(cost.checked_mul(under).filter(|&under| under > 0)?))
}
