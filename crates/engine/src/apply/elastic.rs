//! The elastic taker fee at a fill, and the maker's rebate out of it (protocol P8.2 to P8.6, P8.9).

use super::orders::subject;
use crate::book::Book;
use crate::coverage::Coverage;
use crate::engine::Engine;
use crate::fees::*;
use crate::ledger::{line, post_system_lines};
use crate::market::{market_flag, Parameters};
use crate::math::mul_div_floor;
use crate::order::{flag, Order};
use crate::output::{Output, Subject};
use crate::wire::command::{asset_flag, Command};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, FeeBody, Posting};

const E6_PER_BP: u32 = 1_000_000;

/// What an elastic market charges at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elastic {
    /// 1e-8 bp.
    pub rate_e8: u64,
    /// Basis points in it for volatility, depth and load (P8.3).
    pub adjustment_bp: u32,
    /// Basis points off it for what the taker has traded or staked (P8.4).
    pub discount_bp: u32,
    /// That the curve saw.
    pub coverage: Coverage,
}

/// A fill of an elastic market: what the fee is taken on, what it comes to, and at which price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub base: i64,
    pub fee: i64,
    pub price: i64,
}

impl<B: Book> Engine<B> {
    /// The rate that a taker pays for meeting this order; None in a market with fixed fees. The market's own taker fee
    /// is the most that it charges.
    #[inline]
    pub(crate) fn elastic_of(&self, maker: &Order, taker: u32, now_ns: i64) -> Option<Elastic> {
        if !self.state.markets.list[maker.market as usize].is_elastic() {
            return None;
        }
        Some(self.elastic_in_book((maker.market, maker.line()), taker, now_ns))
    }

    /// The rate that a taker pays in this elastic market's book.
    #[inline(never)]
    pub(crate) fn elastic_in_book(&self, place: (u32, u8), taker: u32, now_ns: i64) -> Elastic {
        let market = &self.state.markets.list[place.0 as usize];
        let adjustment_bp = self.state.fees.adjust.of_book(place, now_ns, self.whole_of(place.0));
        self.elastic_now(market.parameters.taker_fee_e6bp, adjustment_bp, (taker, now_ns))
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
        let fees = &self.state.fees;
        let discount_bp = discount_bp(fees.volumes.of(taker, now_ns), self.state.token.staked(taker));
        if fees.settings.profile == Profile::PostEmission {
            let rate_e8 = flat_rate_e8(most_e6bp, discount_bp);
            return Elastic { rate_e8, adjustment_bp: 0, discount_bp, coverage };
        }
        let most_e8 = most_e6bp.saturating_mul(100).min(CAP_E8);
        let rate_e8 = taker_rate_e8(coverage, adjustment_bp, discount_bp).min(most_e8);
        Elastic { rate_e8: u64::from(rate_e8), adjustment_bp, discount_bp, coverage }
    }

    /// Tells what the trade of the next event is charged, before its postings, and keeps what later fees depend on;
    /// the maker's rebate in micro-quote.
    #[inline(never)]
    pub(crate) fn charge_elastic(
        &mut self,
        command: &Command,
        (taker, maker): (&Order, &Order),
        elastic: Elastic,
        fill: Fill,
        output: &mut Output,
    ) -> i64 {
        let Fill { base, fee, price } = fill;
        let rebate_pct =
            rebate_share_pct(self.state.fees.settings.rebate_pct, maker.flags & flag::IMPROVES != 0);
        let rebate = mul_div_floor(fee, rebate_pct, 100);
        // Linked owners count as one (P12.3), and what pays no fee is neither volume nor a price.
        let distinct = !self.state.detector.links.linked(taker.account, maker.account);
        let counts = distinct && fee > 0 && self.is_valued(taker.market);
        if counts {
            let volumes = &mut self.state.fees.volumes;
            volumes.add(taker.account, base, command.time_ns);
            volumes.add(maker.account, base, command.time_ns);
        }
        if fee > 0 {
            let (place, whole) = ((maker.market, maker.line()), self.whole_of(maker.market));
            self.state.fees.adjust.note_price(place, command.time_ns, price, whole);
            self.note_book(maker.market, maker.line());
        }
        let charge = Charge { base, fee, rebate, rebate_pct: rebate_pct as u8, counts };
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
        // Nobody betters a price by an order that others complete to a set.
        let rebate_pct = self.state.fees.settings.rebate_pct;
        let rebate = rebate(fee, rebate_pct, false);
        let linked = |maker: u32| self.state.detector.links.linked(taker.account, maker);
        let distinct = !makers.clone().any(|(maker, _)| linked(maker));
        let counts = distinct && fee > 0 && self.is_valued(taker.market);
        if counts {
            let volumes = &mut self.state.fees.volumes;
            volumes.add(taker.account, base, command.time_ns);
            makers.for_each(|(maker, base)| volumes.add(maker, base, command.time_ns));
        }
        let charge = Charge { base, fee, rebate, rebate_pct: rebate_pct as u8, counts };
        tell_fee(command, subject(taker), elastic, &charge, output);
        rebate
    }

    /// Whether a market trades for a settlement asset, whose units count as dollars.
    pub(crate) fn is_valued(&self, market: u32) -> bool {
        let quote = self.state.markets.list[market as usize].quote;
        self.state.assets[quote as usize].flags & asset_flag::SETTLEMENT != 0
    }

    /// Counts a swap for its account (P8.4), unless that may trade with itself: as a provider of the pool, or through
    /// an owner that it is linked to.
    pub(crate) fn count_swap(&mut self, market: u32, account: u32, base: i64, fee: i64, now_ns: i64) -> bool {
        let counts = fee > 0
            && self.is_valued(market)
            && !self.state.detector.links.has_any(account)
            && !self.provides(market, account);
        if counts {
            self.state.fees.volumes.add(account, base, now_ns);
        }
        counts
    }

    /// Whether an account has a part in a pool, under whichever of its sub-accounts.
    #[inline]
    fn provides(&self, market: u32, account: u32) -> bool {
        let providers = &self.state.pools.providers;
        if self.state.accounts.list[account as usize].has_one_sub() {
            return providers.contains_key(&(market, account, 0));
        }
        providers.range((market, account, 0)..=(market, account, u8::MAX)).next().is_some()
    }

    /// The parts of a fee in the profile in force (P8.8, P8.9).
    pub(crate) fn split_fee(&self, fee: i64) -> Split {
        split(fee, self.state.fees.settings.profile)
    }

    /// Splits fees that were taken from users among their destinations (P8.8).
    #[inline(never)]
    pub(crate) fn post_fees(&mut self, fees: i64, quote: u16, postings: &mut Vec<Posting>) {
        if fees != 0 {
            let parts = self.split_fee(fees);
            self.post_split(&parts, 0, quote, postings);
        }
    }

    /// The platform's side of a fee of which a pool's providers have had `provided` out of the vault's part.
    #[inline]
    pub(crate) fn post_split(
        &mut self,
        parts: &Split,
        provided: i64,
        quote: u16,
        postings: &mut Vec<Posting>,
    ) {
        let burns = self.buyback_line(quote);
        let system = &mut self.state.system;
        let vault = (line::VAULT_CASH, parts.vault - provided);
        if self.state.fees.settings.profile == Profile::PostEmission {
            let lines = [vault, (line::MAKER_FUND, parts.maker_fund), (line::TREASURY, parts.treasury)];
            return post_system_lines(system, postings, quote, lines);
        }
        let lines = [
            vault,
            (line::STAKER_POOL, parts.stakers),
            (line::MAKER_FUND, parts.maker_fund),
            (burns, parts.buyback),
        ];
        post_system_lines(system, postings, quote, lines);
    }
}

/// An elastic fee has the taker fee as its cap, within the bounds of the profile in force, and no maker fee (P8.2,
/// P8.6, P8.9).
pub(crate) fn check_elastic(profile: Profile, flags: u16, parameters: &Parameters) -> Result<(), Reject> {
    if flags & market_flag::ELASTIC_FEE == 0 {
        return Ok(());
    }
    let Parameters { taker_fee_e6bp, maker_fee_e6bp, .. } = *parameters;
    let (low_bp, high_bp) = match profile {
        Profile::Standard => (FLOOR_BP, CAP_BP),
        Profile::PostEmission => (POST_FLOOR_BP, POST_CAP_BP),
    };
    let (low, high) = (low_bp * E6_PER_BP, high_bp * E6_PER_BP);
    if !(low..=high).contains(&taker_fee_e6bp) {
        let bound = if taker_fee_e6bp < low { low } else { high };
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(bound), i64::from(taker_fee_e6bp));
    }
    if maker_fee_e6bp != 0 {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, i64::from(maker_fee_e6bp));
    }
    Ok(())
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
        reserved: 0,
    };
    output.emit(command, EventKind::FeeCharged, subject, &body);
}
