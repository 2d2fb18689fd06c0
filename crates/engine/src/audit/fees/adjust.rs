//! What the state of a market and of the shard adds to an elastic fee, computed again (I12; P8.3), and what becomes of
//! the parts of a fee (I11; P8.8, P8.9).

use super::super::ledger::{MAKER_FUND, STAKER_POOL, VAULT_CASH};
use super::super::records::Movement;
use super::*;
use crate::governance::parameters::Parameter;
use crate::wire::event::{FeeDepthBody, FeeLoadBody, ParameterBody};

const MINUTE_NS: i64 = 60_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const PPM: i128 = 1_000_000;
const WHOLE_PPB: i64 = 1_000_000_000;
const DEPTH_LEVELS: usize = 32;
const ENOUGH: i128 = 10_000_000_000;
const THIN: i128 = 1_000_000_000;
/// Books and pools whose series the engine keeps.
const SERIES: usize = 65_536;
const TREASURY: u8 = 0x8B;
const SHARD_CAPACITY: u32 = 100;
const MAKER_REBATE_PCT: u32 = 101;
const POST_EMISSION: u32 = 102;

/// What governance has set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub rebate_pct: i64,
    pub post_emission: bool,
    pub capacity: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { rebate_pct: 20, post_emission: false, capacity: 50_000 }
    }
}

/// Prices of one book or pool, minute by minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Series {
    price: i64,
    /// At the end of the minute before `minute`, and that minute, counted from 1970; None = no price yet.
    closed: i64,
    minute: Option<i64>,
    variance: i64,
    minutes: i64,
}

impl Series {
    /// Goes on to a moment: one move for the first minute that ended, none for the others.
    fn at(mut self, now_ns: i64, whole: Option<i64>) -> Self {
        let Some(minute) = self.minute else { return self };
        let ended = now_ns.div_euclid(MINUTE_NS) - minute;
        if ended < 1 {
            return self;
        }
        let base = i128::from(whole.unwrap_or(self.closed).max(1));
        let step = i128::from(self.price) - i128::from(self.closed);
        let ppm = (step.abs().min(base) * PPM / base) as i64;
        self.variance = (31 * self.variance + ppm * ppm) / 32;
        for _ in 0..(ended - 1).min(1_023) {
            self.variance = 31 * self.variance / 32;
        }
        self.minutes = (self.minutes + ended).min(30);
        (self.closed, self.minute) = (self.price, Some(minute + ended));
        self
    }

    /// Above 0.5, 0.3 and 0.1 a year: the squares of these in ppm².
    fn bp(&self) -> u16 {
        if self.minutes < 30 {
            return 0;
        }
        // The root is floored to a ppm before it is compared.
        let annual = i128::from(self.variance) * 525_600;
        let above = |ppm: i128| u16::from(annual >= (ppm + 1) * (ppm + 1));
        above(500_000) + above(300_000) + above(100_000)
    }

    fn trade(self, now_ns: i64, price: i64, whole: Option<i64>) -> Self {
        let mut next = self.at(now_ns, whole);
        if next.minute.is_none() {
            (next.closed, next.minute) = (price, Some(now_ns.div_euclid(MINUTE_NS)));
        }
        next.price = price;
        next
    }

    fn taken_over([price, closed, end_ns, variance, minutes]: [i64; 5]) -> Self {
        let minute = (end_ns != 0).then(|| end_ns.div_euclid(MINUTE_NS) - 1);
        Series { price, closed, minute, variance, minutes }
    }
}

/// Series, depths and load.
#[derive(Clone, Debug, Default)]
pub struct Adjustments {
    pub settings: Settings,
    /// By book.
    books: BTreeMap<u32, Series>,
    depth_bp: BTreeMap<u32, u8>,
    pools: BTreeMap<u32, Series>,
    load_bp: u8,
    /// (second, commands) of the present second and of the last one before it that had any.
    seconds: [(i64, u64); 2],
}

impl Adjustments {
    /// A command of the log.
    #[inline]
    pub fn meter(&mut self, now_ns: i64) {
        let second = now_ns.div_euclid(SECOND_NS);
        if self.seconds[0].0 != second {
            self.seconds = [(second, 0), self.seconds[0]];
        }
        self.seconds[0].1 += 1;
    }

    fn commands_of(&self, second: i64) -> u64 {
        self.seconds.iter().find(|known| known.0 == second).map_or(0, |known| known.1)
    }

    /// The engine keeps a bounded number of series: beyond it may know fewer than this.
    fn fits(&self, series: Option<&Series>, told_bp: u16, due_bp: u16) -> bool {
        let full = self.books.len() > SERIES || self.pools.len() > SERIES;
        told_bp == due_bp || full && series.is_some() && told_bp <= due_bp
    }
}

impl Auditor {
    /// A setting of the fees.
    pub(in crate::audit) fn fee_setting(&mut self, body: &ParameterBody) {
        let settings = &mut self.tiers.adjust.settings;
        match body.parameter {
            SHARD_CAPACITY => settings.capacity = body.value,
            MAKER_REBATE_PCT => settings.rebate_pct = body.value,
            POST_EMISSION => settings.post_emission = body.value != 0,
            _ => {}
        }
    }

    pub(in crate::audit) fn fee_depth_changed(&mut self, event: &Event) -> Check {
        let body: FeeDepthBody = event.body_as();
        let market = *self.market(event.market)?;
        let books = if market.outcome_count > 2 { market.outcome_count } else { 1 };
        ensure!(body.outcome < books, "I12", "book {} of market {} is told", body.outcome, event.market);
        let sides = [0, 1].map(|side| self.books.levels(event.market, body.outcome, side));
        let twice = match [sides[0].first(), sides[1].first()] {
            [Some(bid), Some(ask)] => bid.0 + ask.0,
            [Some(only), None] | [None, Some(only)] => 2 * only.0,
            [None, None] => 0,
        };
        let reach = if market.has_outcomes() { 2 * market.payout_ticks() } else { twice };
        let near = |&&(price, ..): &&(i64, i64, u32)| (2 * price - twice).abs() * 50 <= reach;
        let levels = sides.iter().flat_map(|side| side.iter().take(DEPTH_LEVELS).take_while(near));
        let value = |&(price, lots, _): &(i64, i64, u32)| {
            i128::from(price) * i128::from(lots) * i128::from(market.unit)
        };
        let depth: i128 = levels.map(value).sum();
        let bp = u8::from(depth < ENOUGH) + u8::from(depth < THIN);
        let book = self.books.book(event.market, body.outcome);
        let previous = self.tiers.adjust.depth_bp.insert(book, body.bp).unwrap_or(0);
        ensure!(
            i128::from(body.depth) == depth.min(ENOUGH)
                && (body.bp, body.previous_bp) == (bp, previous)
                && bp != previous,
            "I12",
            "market {} has a depth of {depth}, told {} for {} bp after {}",
            event.market,
            body.depth,
            body.bp,
            body.previous_bp
        );
        Ok(())
    }

    pub(in crate::audit) fn fee_load_changed(&mut self, event: &Event) -> Check {
        let body: FeeLoadBody = event.body_as();
        let adjust = &mut self.tiers.adjust;
        let commands = adjust.commands_of(event.time_ns.div_euclid(SECOND_NS) - 1);
        let capacity = adjust.settings.capacity;
        let bp = u8::from(i128::from(commands) * 10 > i128::from(capacity) * 8);
        let previous = std::mem::replace(&mut adjust.load_bp, body.bp);
        ensure!(
            (body.commands, body.capacity, body.bp) == (commands, capacity, bp) && bp != previous,
            "I12",
            "{} commands of {} in a second, counted {commands} of {capacity}",
            body.commands,
            body.capacity
        );
        Ok(())
    }

    /// What a fill of a book adds, computed again; then the series goes on with its price. A set has none.
    pub(in crate::audit) fn check_book_adjustment(
        &mut self,
        told: &FeeBody,
        (market, book): (&Market, u32),
        price: Option<i64>,
    ) -> Check {
        let whole = market.has_outcomes().then(|| market.payout_ticks());
        let adjust = &mut self.tiers.adjust;
        let series = adjust.books.get(&book).copied();
        let moving = series.map_or(0, |series| series.at(self.time_ns, whole).bp());
        let depth = adjust.depth_bp.get(&book).copied().unwrap_or(0);
        let due = moving + u16::from(depth) + u16::from(adjust.load_bp);
        let due = if adjust.settings.post_emission { 0 } else { due };
        ensure!(
            adjust.fits(series.as_ref(), told.adjustment_bp, due),
            "I12",
            "a fill is adjusted by {} bp, computed again {due}: {moving} for its moves, {depth} for its depth",
            told.adjustment_bp
        );
        let valued = told.fee > 0 && self.values.settlement() == Some(market.quote);
        if let Some(price) = price.filter(|_| valued) {
            let next = series.unwrap_or_default().trade(self.time_ns, price, whole);
            adjust.books.insert(book, next);
        }
        Ok(())
    }

    /// As [`Auditor::check_book_adjustment`], of a swap whose pool adds `thin_bp` for its depth.
    pub(in crate::audit) fn check_pool_adjustment(
        &mut self,
        told: &FeeBody,
        market: u32,
        thin_bp: u16,
        moved_ppb: i64,
    ) -> Check {
        let adjust = &mut self.tiers.adjust;
        let series = adjust.pools.get(&market).copied();
        let whole = Some(WHOLE_PPB);
        let moving = series.map_or(0, |series| series.at(self.time_ns, whole).bp());
        let due = moving + thin_bp + u16::from(adjust.load_bp);
        let due = if adjust.settings.post_emission { 0 } else { due };
        ensure!(
            adjust.fits(series.as_ref(), told.adjustment_bp, due),
            "I12",
            "a swap is adjusted by {} bp, computed again {due}: {moving} for its moves, {thin_bp} for its depth",
            told.adjustment_bp
        );
        let series = series.unwrap_or_default();
        let next = series.trade(self.time_ns, series.price.saturating_add(moved_ppb), whole);
        adjust.pools.insert(market, next);
        Ok(())
    }

    /// What the load of the shard adds to the fee of a move of a claim.
    pub(in crate::audit) fn check_load_alone(&self, told: &FeeBody) -> Check {
        let adjust = &self.tiers.adjust;
        let due = if adjust.settings.post_emission { 0 } else { u16::from(adjust.load_bp) };
        ensure!(told.adjustment_bp == due, "I12", "a claim's move is adjusted by {} bp", told.adjustment_bp);
        Ok(())
    }

    /// The share of a fee that a maker has: the setting and five points for having bettered the price, at most half.
    pub(in crate::audit) fn check_rebate(&self, told: &FeeBody, improves: bool) -> Check {
        let due = (self.tiers.adjust.settings.rebate_pct + 5 * i64::from(improves)).min(50);
        ensure!(
            i64::from(told.rebate_pct) == due,
            "I12",
            "a maker has {} per cent of a fee, not {due}",
            told.rebate_pct
        );
        Ok(())
    }

    /// Where collected fees go (P8.8, P8.9); the first part is the vault's, the last leaves the lines of I11.
    pub(in crate::audit) fn fee_movements(&self, quote: u16, total: i64) -> [Movement; 5] {
        let part = |percent: i64| (i128::from(total) * i128::from(percent) / 100) as i64;
        let [stakers, makers, burnt, treasury] = match self.tiers.adjust.settings.post_emission {
            false => [part(15), part(5), part(10), 0],
            true => [0, part(30), 0, part(20)],
        };
        let vault = total - stakers - makers - burnt - treasury;
        [
            (VAULT_CASH, vault),
            (STAKER_POOL, stakers),
            (MAKER_FUND, makers),
            (self.burn_line(quote), burnt),
            (TREASURY, treasury),
        ]
        .map(|(line, amount)| (0, 0, quote, line, amount))
    }

    /// Notes what the lines of I11 have of collected fees, `provided` of them the providers' of a pool.
    pub(in crate::audit) fn collect_charged(&mut self, quote: u16, total: i64, provided: i64) {
        let treasury = self.fee_movements(quote, total)[4].4;
        self.collect_fees(quote, total - treasury - provided);
    }

    pub(in crate::audit) fn take_over_adjustments<B: Book>(&mut self, engine: &Engine<B>) {
        let state = &engine.state;
        let adjust = &mut self.tiers.adjust;
        for ((market, line), book) in state.fees.adjust.books() {
            let place = self.books.book(market, line);
            adjust.books.insert(place, Series::taken_over(book.volatility.parts()));
            adjust.depth_bp.insert(place, book.depth_bp);
        }
        for (market, pool) in state.fees.adjust.pools() {
            adjust.pools.insert(market, Series::taken_over(pool.parts()));
        }
        adjust.load_bp = state.fees.adjust.load_bp() as u8;
        let second = engine.cursor.time_ns.div_euclid(SECOND_NS);
        adjust.seconds = [second, second - 1].map(|second| (second, engine.cursor.commands_of(second)));
        adjust.settings = Settings {
            rebate_pct: state.governance.value(Parameter::MakerRebatePct),
            post_emission: state.governance.value(Parameter::PostEmission) != 0,
            capacity: state.governance.value(Parameter::ShardCapacity),
        };
    }
}
