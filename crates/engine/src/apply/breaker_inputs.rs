//! What the breakers watch: prices, volume, open interest, liquidations, feeds, refusals, coverage (protocol P7.1).

use super::hooks::Print;
use crate::book::Book;
use crate::engine::Engine;
use crate::halts::breaker::{cause, id};
use crate::halts::{due_id, MarketHalts, Reading, FEED_DUE};
use crate::limits::{FEED_MARKETS_PER_STEP, WEIGHED_MARKETS_PER_TICK};
use crate::market::kind;
use crate::output::{Output, Subject};
use crate::perp::margin::product;
use crate::state::due;
use crate::wire::command::{Command, ALL_MARKETS};
use crate::wire::event::{CoverageBody, EventKind};

/// By nobody: the engine itself trips.
const ENGINE: [u8; 32] = [0; 32];
const CONGESTION_WINDOW_S: i64 = 10;
/// B5 looks at windows of at least so many commands.
const CONGESTION_MIN_COMMANDS: u64 = 1_000;
/// The last feed state that B6 tolerates (P6.2: DIVERGENT).
pub(super) const WORST_TOLERATED_STATE: i64 = 4;
/// B6 of the platform: more than this share of the feeds, in bp.
const BAD_FEEDS_BP: i64 = 2_000;

impl<B: Book> Engine<B> {
    /// The breakers of a market whose inputs count: a leveraged market always has them.
    #[inline]
    fn watched(&mut self, market: u32) -> Option<&mut MarketHalts> {
        if self.state.halts.of_market(market).is_none() {
            if self.state.markets.list[market as usize].kind == kind::SPOT {
                return None;
            }
            self.open_halts(market);
        }
        self.state.halts.of_market_mut(market)
    }

    /// The breaker that a fill at this price would trip; then the fill is not made (P7.3). One load for a market
    /// without breakers.
    #[inline]
    pub(crate) fn price_reading(&mut self, command: &Command, market: u32, price: i64) -> Option<Reading> {
        let halts = self.state.halts.of_market_mut(market)?;
        halts.price_reading(command.time_ns, price, cause::TRADE)
    }

    /// After a fill: price, volume and open interest.
    #[inline]
    pub(crate) fn halts_after_trade(&mut self, command: &Command, print: &Print, output: &mut Output) {
        let now = command.time_ns;
        let Some(halts) = self.watched(print.market) else { return };
        halts.sample(now, print.price);
        let by_volume = halts.volume_reading(now, print.notional);
        if let Some(reading) = by_volume {
            self.trip(command, print.market, reading, ENGINE, output);
        }
        self.halts_open_interest(command, print.market, print.price, output);
    }

    /// After lots of open interest have changed, or may have: B7, and this market's part of B2c. Price in ticks.
    #[inline]
    pub(crate) fn halts_open_interest(
        &mut self,
        command: &Command,
        market: u32,
        price: i64,
        output: &mut Output,
    ) {
        let Some(perp) = self.state.perps.of_market(market) else { return };
        let (lots, value) = (perp.open_interest, perp.value(perp.open_interest));
        let value = if value > 0 { value } else { product(lots, price, perp.unit) };
        let value = value.clamp(0, i128::from(i64::MAX)) as i64;
        let now = command.time_ns;
        let Some(halts) = self.watched(market) else { return };
        let by_interest = halts.interest_reading(now, lots, value);
        let part = halts.weigh(now, price);
        let old = std::mem::replace(&mut halts.weighed, part);
        self.state.halts.exchange(old, part);
        if let Some(reading) = by_interest {
            self.trip(command, market, reading, ENGINE, output);
        }
    }

    /// After the mark of a leveraged market has changed: it is a price of the windows, and moves B2c.
    pub(crate) fn halts_after_mark(&mut self, command: &Command, market: u32, output: &mut Output) {
        let Some(mark) = self.state.perps.of_market(market).map(|perp| perp.mark).filter(|&mark| mark != 0)
        else {
            return;
        };
        let now = command.time_ns;
        let Some(halts) = self.watched(market) else { return };
        let by_price = halts.price_reading(now, mark, cause::MARK);
        halts.sample(now, mark);
        if let Some(reading) = by_price {
            self.trip(command, market, reading, ENGINE, output);
        }
        self.halts_open_interest(command, market, mark, output);
        self.check_platform_price(command, output);
    }

    /// B2c: the mean move of all leveraged markets, weighted by open interest.
    fn check_platform_price(&mut self, command: &Command, output: &mut Output) {
        let halts = &self.state.halts;
        let breaker = halts.breaker(ALL_MARKETS, id::PRICE_PLATFORM).expect("the platform has it");
        let (weighed, interest) = halts.weighed;
        let threshold = breaker.threshold_now();
        // The moves are in ppm, the threshold in bp.
        if weighed <= i128::from(threshold) * 100 * interest || !breaker.watches(command.time_ns) {
            return;
        }
        let value = ((weighed + interest * 100 - 1) / (interest * 100)).min(i128::from(i64::MAX)) as i64;
        let reading = Reading { breaker: id::PRICE_PLATFORM, cause: cause::WEIGHTED_MOVE, value, threshold };
        self.trip(command, ALL_MARKETS, reading, ENGINE, output);
    }

    /// After a liquidation of `notional` micro-quote: B4.
    pub(crate) fn halts_liquidation(
        &mut self,
        command: &Command,
        market: u32,
        account: u32,
        notional: i64,
        output: &mut Output,
    ) {
        let Some(halts) = self.watched(market) else { return };
        if let Some(reading) = halts.liquidation_reading(command.time_ns, account, notional) {
            self.trip(command, market, reading, ENGINE, output);
        }
    }

    /// Micro-quote of positions that wait for their liquidation: B4 reopens below 5 % of the open interest.
    pub(crate) fn halts_pending_liquidation(&mut self, market: u32, value: i64) {
        if let Some(halts) = self.watched(market) {
            halts.pending_liquidation = value;
        }
    }

    /// After the state of a feed, or its index: B6 of its markets and of the platform.
    pub(crate) fn halts_after_index(&mut self, command: &Command, feed: u32, output: &mut Output) {
        let Some(used) = self.state.feeds.effective(feed) else { return };
        // A feed that has never been usable is being set up: it is no outage, and not one of the active feeds.
        if used.state >= crate::oracle::state::STALE && !self.state.halts.feeds.contains_key(&feed) {
            return;
        }
        if !self.state.halts.set_feed(feed, used.state, command.time_ns) {
            return;
        }
        self.tell_feed(command, feed, output);
        let halts = &self.state.halts;
        let breaker = halts.breaker(ALL_MARKETS, id::ORACLE).expect("the platform has it");
        if halts.too_many_bad_feeds() && breaker.watches(command.time_ns) {
            let value =
                (i64::from(halts.feeds_bad) * 10_000 / halts.feeds.len() as i64).max(BAD_FEEDS_BP + 1);
            let reading =
                Reading { breaker: id::ORACLE, cause: cause::FEEDS, value, threshold: BAD_FEEDS_BP };
            self.trip(command, ALL_MARKETS, reading, ENGINE, output);
        }
    }

    /// Trips B6 of the next few markets of a bad feed; the due queue brings the others.
    pub(super) fn tell_feed(&mut self, command: &Command, feed: u32, output: &mut Output) {
        let Some(watch) = self.state.halts.feeds.get(&feed) else { return };
        let Some(told) = watch.told else { return };
        let (state, since_ns) = (watch.state, watch.since_ns);
        let count = self.state.perps.of_feed(feed).len();
        let next = count.min(told as usize + FEED_MARKETS_PER_STEP);
        for place in told as usize..next {
            let market = self.state.perps.of_feed(feed)[place];
            let Some(halts) = self.watched(market) else { continue };
            if halts.breaker(id::ORACLE).watches(command.time_ns) {
                let reading = Reading {
                    breaker: id::ORACLE,
                    cause: cause::FEED,
                    value: i64::from(state),
                    threshold: WORST_TOLERATED_STATE,
                };
                self.trip(command, market, reading, ENGINE, output);
            }
        }
        let item = (since_ns, due::BREAKER, due_id(FEED_DUE, feed));
        let watch = self.state.halts.feeds.get_mut(&feed).expect("found above");
        watch.told = (next < count).then_some(next as u32);
        if watch.told.is_some() {
            self.state.due.insert(item);
        }
    }

    /// At every Tick: B5 from the meters, and a few markets' parts of B2c, whose windows pass without trades.
    pub(crate) fn halts_on_tick(&mut self, command: &Command, output: &mut Output) {
        if self.cursor.congested_second
            > command.time_ns.div_euclid(crate::limits::SECOND_NS) - CONGESTION_WINDOW_S
        {
            self.check_congestion(command, output);
        }
        if self.state.halts.weighed.0 != 0 {
            self.reweigh(command.time_ns);
        }
    }

    fn check_congestion(&mut self, command: &Command, output: &mut Output) {
        let (commands, refused) = self.cursor.congestion(CONGESTION_WINDOW_S);
        let breaker = self.state.halts.breaker(ALL_MARKETS, id::CONGESTION).expect("the platform has it");
        let threshold = breaker.threshold_now();
        let beyond = i128::from(refused) * 10_000 > i128::from(threshold) * i128::from(commands);
        if commands < CONGESTION_MIN_COMMANDS || !beyond || !breaker.watches(command.time_ns) {
            return;
        }
        let value = (refused * 10_000).div_ceil(commands) as i64;
        let reading = Reading { breaker: id::CONGESTION, cause: cause::REFUSALS, value, threshold };
        self.trip(command, ALL_MARKETS, reading, ENGINE, output);
    }

    fn reweigh(&mut self, now_ns: i64) {
        let slots = self.state.halts.market_slots();
        for _ in 0..WEIGHED_MARKETS_PER_TICK.min(slots) {
            let market = self.state.halts.weigh_next % slots;
            self.state.halts.weigh_next = (market + 1) % slots;
            let Some(price) = self.state.perps.of_market(market).map(|perp| perp.mark) else { continue };
            if let Some(halts) = self.state.halts.of_market_mut(market) {
                let part = halts.weigh(now_ns, price);
                self.state.halts.weigh(market, part);
            }
        }
    }

    /// A new coverage in ppm, the largest i64 when nothing is at risk (P9): B1, and the row "coverage < 1.0" of P7.5.
    pub(crate) fn halts_coverage(&mut self, command: &Command, coverage_ppm: i64, output: &mut Output) {
        let halts = &mut self.state.halts;
        let was_short = halts.is_coverage_short();
        halts.set_coverage(command.time_ns, coverage_ppm);
        let is_short = halts.is_coverage_short();
        halts.in_force = halts.in_force + u32::from(is_short) - u32::from(was_short);
        if is_short != was_short {
            let body = CoverageBody { coverage_ppm, reserved: 0 };
            output.emit(command, EventKind::CoverageShort, Subject::NONE, &body);
        }
        let breaker = self.state.halts.breaker(ALL_MARKETS, id::COVERAGE).expect("the platform has it");
        let threshold = breaker.threshold_now();
        if coverage_ppm < threshold && breaker.watches(command.time_ns) {
            let reading =
                Reading { breaker: id::COVERAGE, cause: cause::COVERAGE, value: coverage_ppm, threshold };
            self.trip(command, ALL_MARKETS, reading, ENGINE, output);
        }
    }
}
