//! What a step of a liquidation would do now, or why there is none (protocol P5.1–P5.4).

use crate::apply::margin::{narrow, Health, Weights};
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::limits::*;
use crate::liquidation::step::{fee_rate_e6bp, Case, STEP_NS, TRANCHE_NS};
use crate::oracle::matrix;
use crate::perp::margin::product;
use crate::perp::{PerpMarket, Position};
use crate::wire::error::{reject, Code, Reject};

use super::watch::{Holdings, KEEPER_GRACE_NS};

/// What a step would do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Sells a part of the position in the book.
    Sell(Found),
    /// Takes the sub-account over; its market with the largest margin.
    TakeOver(u32),
}

impl Plan {
    /// The market that is reduced first.
    pub fn market(&self) -> u32 {
        match self {
            Plan::Sell(found) => found.market,
            Plan::TakeOver(market) => *market,
        }
    }
}

/// A sub-account below its maintenance margin, and where it is reduced first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub market: u32,
    pub case: Case,
}

impl<B: Book> Engine<B> {
    /// The price at which a position is liquidated, or why it may not be now (P6.5 with footnote 2).
    pub(super) fn liquidation_price(&self, perp: &PerpMarket, long: bool) -> Result<i64, Reject> {
        // A command has passed the gate; what SYSTEM does by itself asks here (P7.5: FREEZE; P7.6: masks).
        if self.pauses_liquidation(perp.market) {
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
    pub(super) fn liquidation_health(&self, who: (u32, u8)) -> Health {
        self.survey_in_doubt(who).0
    }

    /// [`Engine::survey`] with every position whose feed is in doubt at its favourable price; of the positions whose feed
    /// lets them be liquidated the one with the largest maintenance margin, and its price.
    fn survey_in_doubt(&self, (account, sub): (u32, u8)) -> (Health, Option<(u32, i64)>) {
        let mut health = self.collateral(account, sub, Weights::Maintenance);
        let mut best: Option<(i128, u32, i64)> = None;
        for &slot in self.state.accounts.positions(account, sub) {
            let position = self.state.perps.at(slot);
            if position.lots == 0 {
                continue;
            }
            let perp =
                self.state.perps.of_market(position.market).expect("a position is in a leveraged market");
            let state = self.quote_of(perp.feed).map_or(u8::MAX, |quote| quote.state);
            let price = match matrix::cell(state, Action::MarginValuation) {
                _ if perp.mark == 0 => {
                    health.valued = false;
                    continue;
                }
                Cell::SaferSide => self.favourable(perp, position.lots > 0),
                _ => perp.mark,
            };
            let moved =
                product(position.lots, price, perp.unit) - product(position.lots, perp.mark, perp.unit);
            health.equity += perp.profit(position) + moved;
            health.maintenance_margin += margin_at(perp, position, price);
            health.feed_state = health.feed_state.max(state);
            let Ok(price) = self.liquidation_price(perp, position.lots > 0) else { continue };
            let margin = margin_at(perp, position, price);
            if best.is_none_or(|(most, ..)| margin > most) {
                best = Some((margin, slot, price));
            }
        }
        (health, best.map(|(_, slot, price)| (slot, price)))
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
    pub(super) fn check_target(&self, (account, sub): (u32, u8), named: u32) -> Result<(), Reject> {
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
        let (health, best) = self.survey_in_doubt((account, sub));
        let (equity, maintenance) = (health.equity, health.maintenance_margin);
        if health.valued && equity >= maintenance {
            return reject(Code::POSITION_HEALTHY, narrow(maintenance), narrow(equity));
        }
        let perp = self.state.perps.of_market(named).expect("a position is in a leveraged market");
        let position = self.state.perps.position(account, sub, named).expect("the target was checked");
        self.liquidation_price(perp, position.lots > 0)?;
        let Some((slot, mark)) = best.filter(|_| health.valued) else {
            return Err(Code::STALE_PRICE.into());
        };
        let position = self.state.perps.at(slot);
        let perp = self.state.perps.of_market(position.market).expect("a position is in a leveraged market");
        Ok(found(perp, position.lots, mark, &health))
    }

    /// What a step would do now, or why there is none.
    pub(crate) fn plan_liquidation(
        &self,
        now_ns: i64,
        keeper: Option<u32>,
        who: (u32, u8),
        named: u32,
    ) -> Result<Plan, Reject> {
        self.check_target(who, named)?;
        let seen = self.survey(who.0, who.1);
        self.plan_with(now_ns, keeper, who, named, &seen)
    }

    /// [`Engine::plan_liquidation`] of a target that exists with what a survey has just found.
    pub(super) fn plan_with(
        &self,
        now_ns: i64,
        keeper: Option<u32>,
        who: (u32, u8),
        named: u32,
        seen: &(Health, Holdings),
    ) -> Result<Plan, Reject> {
        let found = self.case_of(who, named, seen)?;
        let Found { market, case } = &found;
        if case.equity <= 0 {
            return Ok(Plan::TakeOver(*market));
        }
        let times = self.step_times(who, *market);
        // Only SYSTEM ends what the book did not take: row 0405, or the queue.
        if keeper.is_none() && times.begun_ns != 0 && now_ns >= times.begun_ns.saturating_add(STEP_NS) {
            return Ok(Plan::TakeOver(*market));
        }
        if now_ns < times.offer_ns && self.state.orders.find(times.offer).is_some() {
            return reject(Code::TRANCHE_COOLDOWN, times.offer_ns, now_ns);
        }
        let ready_ns = times.last_ns.saturating_add(TRANCHE_NS);
        if case.needs_tranches() && times.last_ns != i64::MIN && now_ns < ready_ns {
            return reject(Code::TRANCHE_COOLDOWN, ready_ns, now_ns);
        }
        let (left, size) = self.rate_left(*market, now_ns);
        if left < lot_value(case) {
            return reject(Code::LIQUIDATION_RATE_LIMITED, size, left);
        }
        Ok(Plan::Sell(found))
    }

    /// Micro-quote that a market may still sell in this second, and what it may in a whole one.
    pub(super) fn rate_left(&self, market: u32, now_ns: i64) -> (i64, i64) {
        let place = self.state.perps.place(market).expect("a leveraged market");
        let perp = &self.state.perps.markets[place];
        match self.state.liquidations.market(place) {
            Some(kept) => kept.refilled(perp, now_ns),
            None => crate::liquidation::MarketState::default().refilled(perp, now_ns),
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
