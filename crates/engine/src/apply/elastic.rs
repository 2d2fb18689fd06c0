//! The elastic taker fee at a fill, and the maker's rebate out of it (protocol P8.2, P8.5, P8.6).

use super::orders::subject;
use crate::book::Book;
use crate::coverage::Coverage;
use crate::engine::Engine;
use crate::fees::{discount_bp, rebate, taker_rate_e8, CAP_E8, DEFAULT_REBATE_PCT};
use crate::order::Order;
use crate::output::{Output, Subject};
use crate::wire::command::{asset_flag, Command};
use crate::wire::event::{EventKind, FeeBody};

/// What an elastic market charges at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elastic {
    /// 1e-8 bp.
    pub rate_e8: u32,
    /// Basis points in it for thin depth (P8.3).
    pub adjustment_bp: u32,
    /// Basis points off it for what the taker has traded or staked (P8.4).
    pub discount_bp: u32,
    /// That the curve saw.
    pub coverage: Coverage,
}

impl<B: Book> Engine<B> {
    /// The rate that a taker pays in a market with an elastic fee; None in a market with fixed fees. The market's own
    /// taker fee is the most that it charges.
    #[inline]
    pub(crate) fn elastic_of(&self, market: u32, taker: u32, now_ns: i64) -> Option<Elastic> {
        let market = &self.state.markets.list[market as usize];
        if !market.is_elastic() {
            return None;
        }
        Some(self.elastic_now(market.parameters.taker_fee_e6bp, 0, (taker, now_ns)))
    }

    /// The rate under adjustments and the account's discount, at most `most_e6bp`.
    #[inline(never)]
    pub(crate) fn elastic_now(
        &self,
        most_e6bp: u32,
        adjustment_bp: u32,
        (taker, now_ns): (u32, i64),
    ) -> Elastic {
        // Without a settlement asset there is no vault: as in BOOTSTRAP.
        let seen = self.settlement_asset().map_or(Coverage::ZERO, |asset| self.coverage_now(asset));
        let coverage = self.state.vault.stage.fee_coverage(seen);
        let most_e8 = most_e6bp.saturating_mul(100).min(CAP_E8);
        let discount_bp =
            discount_bp(self.state.fees.volumes.of(taker, now_ns), self.state.token.staked(taker));
        let rate_e8 = taker_rate_e8(coverage, adjustment_bp, discount_bp).min(most_e8);
        Elastic { rate_e8, adjustment_bp, discount_bp, coverage }
    }

    /// Tells what the trade of the next event is charged, before its postings; the maker's rebate in micro-quote.
    pub(crate) fn charge_elastic(
        &mut self,
        command: &Command,
        (taker, maker): (&Order, &Order),
        elastic: Elastic,
        (base, fee): (i64, i64),
        output: &mut Output,
    ) -> i64 {
        let rebate = rebate(fee, DEFAULT_REBATE_PCT, false);
        // Linked owners count as one (P12.3), and what pays no fee is no volume.
        let distinct = !self.state.detector.links.linked(taker.account, maker.account);
        let counts = distinct && fee > 0 && self.is_valued(taker.market);
        if counts {
            let volumes = &mut self.state.fees.volumes;
            volumes.add(taker.account, base, command.time_ns);
            volumes.add(maker.account, base, command.time_ns);
        }
        let charge = Charge { base, fee, rebate, rebate_pct: DEFAULT_REBATE_PCT as u8, counts };
        tell_fee(command, subject(taker), elastic, &charge, output);
        rebate
    }

    /// The same of a set round: what its taker is charged on counts for the taker, its own cheaper side for every maker,
    /// unless one of them is linked to the taker.
    pub(super) fn charge_set(
        &mut self,
        command: &Command,
        taker: &Order,
        makers: impl Iterator<Item = (u32, i64)> + Clone,
        elastic: Elastic,
        (base, fee): (i64, i64),
        output: &mut Output,
    ) -> i64 {
        let rebate = rebate(fee, DEFAULT_REBATE_PCT, false);
        let linked = |maker: u32| self.state.detector.links.linked(taker.account, maker);
        let distinct = !makers.clone().any(|(maker, _)| linked(maker));
        let counts = distinct && fee > 0 && self.is_valued(taker.market);
        if counts {
            let volumes = &mut self.state.fees.volumes;
            volumes.add(taker.account, base, command.time_ns);
            makers.for_each(|(maker, base)| volumes.add(maker, base, command.time_ns));
        }
        let charge = Charge { base, fee, rebate, rebate_pct: DEFAULT_REBATE_PCT as u8, counts };
        tell_fee(command, subject(taker), elastic, &charge, output);
        rebate
    }

    /// Whether a market trades for a settlement asset, whose units count as dollars.
    fn is_valued(&self, market: u32) -> bool {
        let quote = self.state.markets.list[market as usize].quote;
        self.state.assets[quote as usize].flags & asset_flag::SETTLEMENT != 0
    }

    /// Counts a swap for its account (P8.4), unless that may trade with itself: as a provider of the pool, or through
    /// an owner that it is linked to.
    pub(crate) fn count_swap(&mut self, market: u32, account: u32, base: i64, fee: i64, now_ns: i64) -> bool {
        let places = (market, account, 0)..=(market, account, u8::MAX);
        let counts = fee > 0
            && self.is_valued(market)
            && !self.state.detector.links.has_any(account)
            && self.state.pools.providers.range(places).next().is_none();
        if counts {
            self.state.fees.volumes.add(account, base, now_ns);
        }
        counts
    }
}

/// One fee: its base, what it comes to, and what of it goes to a maker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    pub base: i64,
    pub fee: i64,
    pub rebate: i64,
    pub rebate_pct: u8,
    /// The base counts in the volume of 30 days.
    pub counts: bool,
}

/// `FeeCharged`, before the postings of the trade or swap that it belongs to.
pub(crate) fn tell_fee(
    command: &Command,
    subject: Subject,
    elastic: Elastic,
    charge: &Charge,
    output: &mut Output,
) {
    let body = FeeBody {
        base: charge.base,
        fee: charge.fee,
        rebate: charge.rebate,
        coverage_ppm: elastic.coverage.to_wire(),
        rate_e8: elastic.rate_e8,
        adjustment_bp: elastic.adjustment_bp as u16,
        discount_bp: elastic.discount_bp as u16,
        rebate_pct: charge.rebate_pct,
        counts: u8::from(charge.counts),
        reserved2: 0,
        reserved3: 0,
    };
    output.emit(command, EventKind::FeeCharged, subject, &body);
}
