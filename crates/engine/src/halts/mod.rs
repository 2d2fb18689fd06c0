//! Circuit breakers, pause levels and the halt-action matrix (protocol P7).

pub mod breaker;
pub mod clearing;
mod liquidated;
mod market;
pub mod matrix;
mod volume;
mod window;

pub use market::{MarketHalts, Reading};

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Reader, Writer};
use crate::limits::{FEED_VALID_NS, MAX_PAUSE_REQUESTS, SECOND_NS};
use crate::state::{due, Due};
use breaker::{phase, Breaker, OF_PLATFORM};

/// Feed states of P6.2 that B6 trips on, and the best one.
const FEED_VALID: u8 = 0;
const FEED_STALE: u8 = 5;

/// Coverage that B1 wants to see before it closes, in ppm, and for how long.
const COVERAGE_RESUME_PPM: i64 = 600_000;
const COVERAGE_RESUME_NS: i64 = 300 * SECOND_NS;
/// Refusals that B5 wants to see at most before it closes, in bp of the commands of 30 s.
const CONGESTION_RESUME_BP: i64 = 1_000;
/// Coverage of 1.0.
pub const FULL_COVERAGE_PPM: i64 = 1_000_000;

/// A pause that waits for its second person (FREEZE, and FULL that switches off liquidation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseRequest {
    pub level: u8,
    pub categories: u8,
    pub until_ns: i64,
    pub by: [u8; 32],
    /// The second person comes until then.
    pub expires_ns: i64,
}

/// What the breakers know of one feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedWatch {
    pub state: u8,
    /// Since when it has this state.
    pub since_ns: i64,
    /// How many of its markets a bad state has been brought to; None = all, or there is nothing to tell.
    pub told: Option<u32>,
}

impl FeedWatch {
    /// STALE, NO_QUORUM or INVALID: what trips B6.
    pub fn is_bad(&self) -> bool {
        self.state >= FEED_STALE
    }

    /// Whether it has been VALID for 60 s.
    pub fn is_settled(&self, now_ns: i64) -> bool {
        self.state == FEED_VALID && now_ns >= self.since_ns.saturating_add(FEED_VALID_NS)
    }
}

/// What the condition of a breaker depends on and other concerns know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Refusals for congestion in bp of the commands of the last 30 s.
    pub congestion_bp: i64,
    /// The market's feed.
    pub feed: Option<u32>,
    /// The market shows a venue's, which has not been VALID for 60 s.
    pub venue_unsettled: bool,
}

/// Business state of this concern.
#[derive(Clone, Debug)]
pub struct Halts {
    /// By market handle; None where no breaker was ever armed or tripped.
    markets: Vec<Option<Box<MarketHalts>>>,
    /// In the order of [`OF_PLATFORM`].
    pub platform: Vec<Breaker>,
    /// By scope as in the due queue.
    pub requests: BTreeMap<u64, PauseRequest>,
    pub feeds: BTreeMap<u32, FeedWatch>,
    /// Feeds that are not VALID, bad feeds, and the last moment at which one became VALID; derived.
    pub feeds_not_valid: u32,
    pub feeds_bad: u32,
    pub feeds_valid_ns: i64,
    /// ppm; None while nobody has measured it: then B1 rests.
    pub coverage_ppm: Option<i64>,
    /// Since when coverage has been at least 0.60; `i64::MAX` = it is not.
    pub coverage_good_ns: i64,
    /// Sums over the markets of [`MarketHalts::weighed`]; derived.
    pub weighed: (i128, i128),
    /// Market at which the next look at B2c's sums starts.
    pub weigh_next: u32,
    /// Pauses and breakers that are not CLOSED; derived. 0 = nothing can be halted.
    pub in_force: u32,
    /// Breakers that are not CLOSED; derived.
    pub open_breakers: u32,
}

impl Default for Halts {
    fn default() -> Self {
        Halts {
            markets: Vec::new(),
            platform: OF_PLATFORM.iter().map(|&breaker| Breaker::new(breaker, true)).collect(),
            requests: BTreeMap::new(),
            feeds: BTreeMap::new(),
            feeds_not_valid: 0,
            feeds_bad: 0,
            feeds_valid_ns: i64::MIN,
            coverage_ppm: None,
            coverage_good_ns: i64::MAX,
            weighed: (0, 0),
            weigh_next: 0,
            in_force: 0,
            open_breakers: 0,
        }
    }
}

/// The number of a breaker in the due queue: breaker and scope.
pub fn due_id(breaker: u8, scope: u32) -> u64 {
    u64::from(breaker) << 32 | u64::from(scope)
}

/// Feeds share the due kind of breakers under this number, which is no breaker.
pub const FEED_DUE: u8 = 0xFE;

impl Halts {
    /// The breakers of a market, if it has any.
    #[inline]
    pub fn of_market(&self, market: u32) -> Option<&MarketHalts> {
        self.markets.get(market as usize)?.as_deref()
    }

    #[inline]
    pub fn of_market_mut(&mut self, market: u32) -> Option<&mut MarketHalts> {
        self.markets.get_mut(market as usize)?.as_deref_mut()
    }

    /// The breakers of a market, made now when it has none.
    pub fn open_market(&mut self, market: u32, armed: bool, range_ticks: Option<i64>) -> &mut MarketHalts {
        let index = market as usize;
        if index >= self.markets.len() {
            self.markets.resize_with(index + 1, || None);
        }
        self.markets[index].get_or_insert_with(|| Box::new(MarketHalts::new(armed, range_ticks)))
    }

    /// Number of market handles that may have breakers.
    pub fn market_slots(&self) -> u32 {
        self.markets.len() as u32
    }

    /// The breaker of a scope (market handle, or `u32::MAX` for the platform); None where there is none.
    pub fn breaker(&self, scope: u32, id: u8) -> Option<&Breaker> {
        if scope == u32::MAX {
            return self.platform.iter().find(|breaker| breaker.id == id);
        }
        self.of_market(scope)?.breakers.iter().find(|breaker| breaker.id == id)
    }

    pub fn breaker_mut(&mut self, scope: u32, id: u8) -> Option<&mut Breaker> {
        if scope == u32::MAX {
            return self.platform.iter_mut().find(|breaker| breaker.id == id);
        }
        self.of_market_mut(scope)?.breakers.iter_mut().find(|breaker| breaker.id == id)
    }

    /// The condition, besides time, under which a breaker closes (last column of P7.1); auctions apart.
    pub fn may_reopen(&self, scope: u32, id: u8, now_ns: i64, facts: Facts) -> bool {
        match id {
            breaker::id::COVERAGE => {
                let good = self.coverage_good_ns != i64::MAX
                    && now_ns >= self.coverage_good_ns.saturating_add(COVERAGE_RESUME_NS);
                self.coverage_ppm.is_none() || good
            }
            breaker::id::CONGESTION => facts.congestion_bp < CONGESTION_RESUME_BP,
            breaker::id::LIQUIDATION => self.of_market(scope).is_none_or(|market| {
                let (pending, open) = (market.pending_liquidation, market.open_interest);
                pending == 0 || i128::from(pending) * 10_000 < 500 * i128::from(open)
            }),
            breaker::id::ORACLE if scope == u32::MAX => !self.too_many_bad_feeds(),
            breaker::id::ORACLE => !facts.venue_unsettled && self.feed_settled(facts.feed, now_ns),
            _ => true,
        }
    }

    /// Whether a market's feed, if it has one that has been heard of, has been VALID for 60 s.
    pub fn feed_settled(&self, feed: Option<u32>, now_ns: i64) -> bool {
        feed.and_then(|feed| self.feeds.get(&feed)).is_none_or(|feed| feed.is_settled(now_ns))
    }

    /// More than 20 % of the feeds are bad.
    pub fn too_many_bad_feeds(&self) -> bool {
        u64::from(self.feeds_bad) * 5 > self.feeds.len() as u64
    }

    /// Whether every feed has been VALID for 60 s.
    pub fn feeds_settled(&self, now_ns: i64) -> bool {
        self.feeds_not_valid == 0
            && (self.feeds.is_empty() || now_ns >= self.feeds_valid_ns.saturating_add(FEED_VALID_NS))
    }

    /// Takes a coverage in ppm; whether it is below 1.0 now.
    pub fn set_coverage(&mut self, now_ns: i64, coverage_ppm: i64) {
        if coverage_ppm < COVERAGE_RESUME_PPM {
            self.coverage_good_ns = i64::MAX;
        } else if self.coverage_good_ns == i64::MAX {
            self.coverage_good_ns = now_ns;
        }
        self.coverage_ppm = Some(coverage_ppm);
    }

    /// Whether coverage is known and below 1.0.
    #[inline]
    pub fn is_coverage_short(&self) -> bool {
        self.coverage_ppm.is_some_and(|coverage| coverage < FULL_COVERAGE_PPM)
    }

    /// Takes the state of a feed; whether it changed.
    pub fn set_feed(&mut self, feed: u32, state: u8, now_ns: i64) -> bool {
        let known = self.feeds.contains_key(&feed);
        let watch = self.feeds.entry(feed).or_default();
        if known && watch.state == state {
            return false;
        }
        let (was_valid, was_bad) = (!known || watch.state == FEED_VALID, known && watch.is_bad());
        (watch.state, watch.since_ns) = (state, now_ns);
        let is_bad = watch.is_bad();
        watch.told = is_bad.then_some(0);
        if state == FEED_VALID {
            self.feeds_valid_ns = self.feeds_valid_ns.max(now_ns);
        }
        self.feeds_not_valid = self.feeds_not_valid + u32::from(state != FEED_VALID) - u32::from(!was_valid);
        self.feeds_bad = self.feeds_bad + u32::from(is_bad) - u32::from(was_bad);
        true
    }

    /// Exchanges a market's part of B2c's sums.
    pub fn weigh(&mut self, market: u32, part: (i128, i64)) {
        if let Some(entry) = self.of_market_mut(market) {
            let old = std::mem::replace(&mut entry.weighed, part);
            self.exchange(old, part);
        }
    }

    /// A market's part of B2c's sums was `old` and is `part`.
    #[inline]
    pub fn exchange(&mut self, old: (i128, i64), part: (i128, i64)) {
        if part.0 != old.0 {
            self.weighed.0 += part.0 - old.0;
        }
        self.weighed.1 += i128::from(part.1) - i128::from(old.1);
    }

    /// All breakers with their scopes, platform first.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Breaker)> {
        let of_markets = self.markets.iter().enumerate().flat_map(|(market, halts)| {
            halts.iter().flat_map(move |halts| halts.breakers.iter().map(move |b| (market as u32, b)))
        });
        self.platform.iter().map(|breaker| (u32::MAX, breaker)).chain(of_markets)
    }

    /// Counts what is derived; `pauses` are the pauses in force.
    pub fn recount(&mut self, pauses: u32) {
        self.open_breakers = self.all().filter(|(_, breaker)| breaker.phase != phase::CLOSED).count() as u32;
        self.in_force = pauses + self.open_breakers + u32::from(self.is_coverage_short());
        self.weighed = (0, 0);
        for market in self.markets.iter().flatten() {
            self.weighed.0 += market.weighed.0;
            self.weighed.1 += i128::from(market.weighed.1);
        }
        self.feeds_not_valid = self.feeds.values().filter(|feed| feed.state != FEED_VALID).count() as u32;
        self.feeds_bad = self.feeds.values().filter(|feed| feed.is_bad()).count() as u32;
    }

    pub fn encode(&self, writer: &mut Writer) {
        self.platform.iter().for_each(|breaker| breaker.encode(writer));
        writer.len(self.markets.iter().flatten().count());
        for (market, halts) in self.markets.iter().enumerate() {
            if let Some(halts) = halts {
                writer.u32(market as u32);
                halts.encode(writer);
            }
        }
        writer.len(self.requests.len());
        for (&scope, request) in &self.requests {
            writer.u64(scope);
            writer.raw(&[request.level, request.categories]);
            writer.i64(request.until_ns);
            writer.i64(request.expires_ns);
            writer.raw(&request.by);
        }
        writer.len(self.feeds.len());
        for (&feed, watch) in &self.feeds {
            writer.u32(feed);
            writer.u8(watch.state);
            writer.i64(watch.since_ns);
            writer.u32(watch.told.unwrap_or(u32::MAX));
        }
        [self.feeds_valid_ns, self.coverage_ppm.unwrap_or(-1), self.coverage_good_ns]
            .into_iter()
            .for_each(|value| writer.i64(value));
        writer.u32(self.weigh_next);
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut halts = Halts::default();
        for (place, breaker) in halts.platform.iter_mut().zip(OF_PLATFORM) {
            *place = Breaker::decode(reader, breaker)?;
        }
        for _ in 0..reader.len(1_000)? {
            let market = reader.u32()?;
            if market < halts.market_slots() || market as usize >= crate::limits::MAX_MARKETS {
                return Err(format!("breakers of market {market} out of order"));
            }
            halts.open_market(market, false, None).fill(reader)?;
        }
        let requests = reader.len(58)?;
        if requests > MAX_PAUSE_REQUESTS {
            return Err(format!("{requests} pause requests"));
        }
        for _ in 0..requests {
            let scope = reader.u64()?;
            let [level, categories] = reader.array()?;
            let (until_ns, expires_ns) = (reader.i64()?, reader.i64()?);
            let by = reader.array()?;
            halts.requests.insert(scope, PauseRequest { level, categories, until_ns, by, expires_ns });
        }
        for _ in 0..reader.len(17)? {
            let (feed, state, since_ns) = (reader.u32()?, reader.u8()?, reader.i64()?);
            let told = Some(reader.u32()?).filter(|&told| told != u32::MAX);
            halts.feeds.insert(feed, FeedWatch { state, since_ns, told });
        }
        halts.feeds_valid_ns = reader.i64()?;
        halts.coverage_ppm = Some(reader.i64()?).filter(|&coverage| coverage >= 0);
        halts.coverage_good_ns = reader.i64()?;
        halts.weigh_next = reader.u32()?;
        Ok(halts)
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        for (scope, breaker) in self.all() {
            if let Some(due_ns) = breaker.due_ns() {
                due.insert((due_ns, due::BREAKER, due_id(breaker.id, scope)));
            }
        }
        for (&feed, watch) in &self.feeds {
            if watch.told.is_some() {
                due.insert((watch.since_ns, due::BREAKER, due_id(FEED_DUE, feed)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_reopens_behind_300_s_of_coverage_at_0_60() {
        let (mut halts, facts) = (Halts::default(), Facts::default());
        let ready = |halts: &Halts, now_ns| halts.may_reopen(u32::MAX, breaker::id::COVERAGE, now_ns, facts);
        halts.set_coverage(0, 400_000);
        assert!(halts.is_coverage_short() && !ready(&halts, 1_000 * SECOND_NS));
        halts.set_coverage(10 * SECOND_NS, 600_000);
        assert!(!ready(&halts, 310 * SECOND_NS - 1) && ready(&halts, 310 * SECOND_NS));
        halts.set_coverage(320 * SECOND_NS, 599_999);
        assert!(!ready(&halts, 1_000 * SECOND_NS));
    }

    #[test]
    fn b6_of_the_platform_counts_more_than_a_fifth_of_the_feeds() {
        let mut halts = Halts::default();
        (0..10).for_each(|feed| assert!(halts.set_feed(feed, FEED_VALID, 0)));
        halts.set_feed(0, FEED_STALE, SECOND_NS);
        halts.set_feed(1, 7, SECOND_NS);
        assert!(!halts.too_many_bad_feeds());
        halts.set_feed(2, 6, SECOND_NS);
        assert!(halts.too_many_bad_feeds() && !halts.feeds_settled(HOUR));
        (0..3).for_each(|feed| assert!(halts.set_feed(feed, FEED_VALID, 2 * SECOND_NS)));
        assert!(!halts.feeds_settled(62 * SECOND_NS - 1) && halts.feeds_settled(62 * SECOND_NS));
    }

    const HOUR: i64 = 3_600 * SECOND_NS;

    #[test]
    fn b1_comes_back_by_time_alone_as_long_as_nobody_measures_coverage() {
        let halts = Halts::default();
        assert!(halts.may_reopen(u32::MAX, breaker::id::COVERAGE, 0, Facts::default()));
    }

    #[test]
    fn b4_comes_back_below_five_percent_of_the_open_interest() {
        let mut halts = Halts::default();
        for (pending, open, ready) in [(500, 10_000, false), (499, 10_000, true), (1, 0, false), (0, 0, true)]
        {
            let market = halts.open_market(3, true, None);
            (market.pending_liquidation, market.open_interest) = (pending, open);
            let found = halts.may_reopen(3, breaker::id::LIQUIDATION, 0, Facts::default());
            assert_eq!(found, ready, "{pending} of {open}");
        }
    }

    #[test]
    fn b5_comes_back_below_ten_percent() {
        for (congestion_bp, ready) in [(1_000, false), (999, true)] {
            let facts = Facts { congestion_bp, ..Facts::default() };
            assert_eq!(Halts::default().may_reopen(u32::MAX, breaker::id::CONGESTION, 0, facts), ready);
        }
    }

    #[test]
    fn b6_is_about_stale_no_quorum_and_invalid_and_ends_behind_a_minute_of_valid() {
        let at = |state: u8| FeedWatch { state, since_ns: 5, told: None };
        let bad: Vec<u8> = (0..8).filter(|&state| at(state).is_bad()).collect();
        assert_eq!(bad, [5, 6, 7]);
        let settled_ns = 5 + 60 * SECOND_NS;
        assert!(!at(0).is_settled(settled_ns - 1) && at(0).is_settled(settled_ns));
        assert!(!at(1).is_settled(settled_ns));
        let mut halts = Halts::default();
        (0..4).for_each(|feed| assert!(halts.set_feed(feed, FEED_STALE, 0)));
        let reopens = |halts: &Halts, scope, now_ns| {
            halts.may_reopen(scope, breaker::id::ORACLE, now_ns, Facts { feed: Some(1), ..Facts::default() })
        };
        assert!(!reopens(&halts, u32::MAX, HOUR) && !reopens(&halts, 0, HOUR));
        (0..4).for_each(|feed| assert!(halts.set_feed(feed, FEED_VALID, HOUR)));
        assert!(reopens(&halts, u32::MAX, HOUR) && !reopens(&halts, 0, HOUR));
        assert!(reopens(&halts, 0, HOUR + 60 * SECOND_NS));
    }
}
