//! Price feeds: sources, aggregation, states and the validity matrix (protocol P6).
//!
//! Values and confidences are in micro-quote per whole unit; on probability feeds in millionths of the payout.

pub mod aggregate;
mod feed;
pub mod health;
pub mod matrix;
mod twap;

use std::collections::{BTreeMap, BTreeSet};

pub use feed::{Feed, FeedOverride, PendingOverride, Refreshed, Source, WEIGHT_SUM};

use crate::codec::{Reader, Writer};
use crate::gate::{Action, Cell};
use crate::limits::MAX_FEEDS;
use crate::state::{due, Due};
use crate::wire::error::{reject, Code, Reject};

/// Kinds of feeds.
pub mod feed_kind {
    /// The price of an asset: a quorum of at least two.
    pub const ASSET: u8 = 0;
    /// The probability of an outcome: every relative limit is absolute (P6.1.5).
    pub const PROBABILITY: u8 = 1;
}

/// Feed states of P6.2, from best to worst.
pub mod state {
    pub const VALID: u8 = 0;
    pub const WARN: u8 = 1;
    pub const DEGRADED: u8 = 2;
    pub const UNCERTAIN: u8 = 3;
    pub const DIVERGENT: u8 = 4;
    pub const STALE: u8 = 5;
    pub const NO_QUORUM: u8 = 6;
    pub const INVALID: u8 = 7;
    pub const COUNT: usize = 8;
    pub const NAMES: [&str; COUNT] =
        ["VALID", "WARN", "DEGRADED", "UNCERTAIN", "DIVERGENT", "STALE", "NO_QUORUM", "INVALID"];
}

/// The first gate of P6.1.1 that a source does not pass.
pub mod gate {
    pub const PASS: u8 = 0;
    /// It has never published.
    pub const MISSING: u8 = 1;
    /// Two persons excluded it.
    pub const EXCLUDED: u8 = 2;
    pub const STALE: u8 = 3;
    pub const CONFIDENCE: u8 = 4;
    pub const OUTLIER: u8 = 5;
    pub const NAMES: [&str; 6] = ["PASS", "MISSING", "EXCLUDED", "STALE", "CONFIDENCE", "OUTLIER"];
}

/// Why a feed is in its state, and so what clears it (P6.6).
pub mod cause {
    pub const NONE: u8 = 0;
    /// Sources are too old: fresh publications clear it.
    pub const AGE: u8 = 1;
    /// A source of the full set does not pass its gates.
    pub const SOURCE_MISSING: u8 = 2;
    pub const CONFIDENCE: u8 = 3;
    pub const SOURCES_APART: u8 = 4;
    /// The mark of a market is far from the index.
    pub const MARK_FAR: u8 = 5;
    /// Too few sources pass, whatever their age.
    pub const QUORUM: u8 = 6;
    /// No quorum has ever given an index.
    pub const NO_INDEX: u8 = 7;
    /// The weights of the sources do not sum to 100 yet.
    pub const NOT_USABLE: u8 = 8;
    pub const OVERRIDE: u8 = 9;
    /// The inputs are better; only time is missing.
    pub const HOLD: u8 = 10;
    /// The inputs were better for long enough.
    pub const BETTER: u8 = 11;
    pub const NAMES: [&str; 12] = [
        "none",
        "age",
        "source_missing",
        "confidence",
        "sources_apart",
        "mark_far",
        "quorum",
        "no_index",
        "not_usable",
        "override",
        "hold",
        "better",
    ];
}

/// Actions of OverrideFeed.
pub mod action {
    /// Ends every override of the feed.
    pub const LIFT: u8 = 0;
    pub const EXCLUDE_SOURCE: u8 = 1;
    pub const FORCE_INVALID: u8 = 2;
    pub const USE_FALLBACK: u8 = 3;
    pub const NAMES: [&str; 4] = ["lift", "exclude_source", "force_invalid", "use_fallback"];
}

/// "No feed".
pub const NO_FEED: u32 = crate::state::NO_FEED;

/// What a feed counts as for those who use it: its own values, or those of the feed it is switched to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The feed that the values come from.
    pub feed: u32,
    pub state: u8,
    pub since_ns: i64,
    /// Micro-quote per whole unit; 0 = never.
    pub index: i64,
    pub confidence: i64,
    pub updated_ns: i64,
}

/// Every feed, by handle.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    list: Vec<Feed>,
    by_name: BTreeMap<([u8; 16], u8), u32>,
}

impl Feeds {
    #[inline]
    pub fn get(&self, feed: u32) -> Option<&Feed> {
        self.list.get(feed as usize)
    }

    pub(crate) fn get_mut(&mut self, feed: u32) -> Option<&mut Feed> {
        self.list.get_mut(feed as usize)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The feed of this symbol and kind.
    pub fn find(&self, symbol: &[u8; 16], kind: u8) -> Option<u32> {
        self.by_name.get(&(*symbol, kind)).copied()
    }

    /// Adds a feed whose name is new; at most [`MAX_FEEDS`].
    pub(crate) fn push(&mut self, feed: Feed) -> u32 {
        debug_assert!(self.list.len() < MAX_FEEDS);
        let handle = self.list.len() as u32;
        self.by_name.insert((feed.symbol, feed.kind), handle);
        self.list.push(feed);
        handle
    }

    /// A feed and its number as its users see it, with an override applied.
    #[inline]
    fn used(&self, feed: u32) -> Option<(u32, &Feed)> {
        let own = self.get(feed)?;
        Some(match own.switched_to() {
            Some(target) => (target, self.get(target)?),
            None => (feed, own),
        })
    }

    /// The feed as its users see it, with an override applied.
    #[inline]
    pub fn effective(&self, feed: u32) -> Option<Effective> {
        let (number, used) = self.used(feed)?;
        Some(Effective {
            feed: number,
            state: used.state(),
            since_ns: used.since_ns(),
            index: used.index,
            confidence: used.confidence,
            updated_ns: used.updated_ns,
        })
    }

    /// State of the second feed that footnote 1 of P6.5 asks for.
    pub fn fallback_state(&self, feed: u32, now_ns: i64) -> Option<u8> {
        self.get(self.get(feed)?.fallback).map(|second| second.standing_at(now_ns).0)
    }

    /// The cell of P6.5 for an action on this feed at a moment, its override and its footnote 1 applied. What time has
    /// made worse counts, whether or not a Tick has said so.
    ///
    /// # Errors
    /// `FEED_NOT_FOUND`; where the cell is *n* a code of P6.4, with since when (ns) as bound and the state as given.
    #[inline(always)]
    pub fn check(&self, feed: u32, action: Action, now_ns: i64) -> Result<Cell, Reject> {
        match self.get(feed) {
            // The usual case: a feed of its own that allows it, and nothing about it is due.
            Some(own) if !own.is_switched() && !own.is_due(now_ns) => match matrix::cell(own.state(), action)
            {
                Cell::Allowed => Ok(Cell::Allowed),
                _ => self.check_effective(feed, action, now_ns),
            },
            _ => self.check_effective(feed, action, now_ns),
        }
    }

    fn check_effective(&self, feed: u32, action: Action, now_ns: i64) -> Result<Cell, Reject> {
        let Some((number, used)) = self.used(feed) else {
            return reject(Code::FEED_NOT_FOUND, self.len() as i64, i64::from(feed));
        };
        let (state, since_ns) = used.standing_at(now_ns);
        match matrix::cell(state, action) {
            Cell::Refused if matrix::use_fallback(state, action, self.fallback_state(number, now_ns)) => {
                Ok(Cell::Allowed)
            }
            Cell::Refused => Err(matrix::refusal(state, since_ns)),
            cell => Ok(cell),
        }
    }

    /// Exact time-weighted mean of a feed's index over at least `window_ns` (at most an hour) and less than a minute
    /// more, rounded down: `(mean, length of the window in ns)`. None for an unknown or younger index.
    pub fn twap(&self, feed: u32, window_ns: i64, now_ns: i64) -> Option<(i64, i64)> {
        self.get(feed)?.twap.mean(window_ns, now_ns)
    }

    /// Tells a feed the mark of a market on it, in micro-quote per whole unit (0 = none any more). A mark more than
    /// 10 % away for 60 s makes the feed DIVERGENT (P6.1.4). The state itself only moves when the due queue is run.
    /// A feed that is switched to another one is not compared: the mark follows the other one's index.
    pub fn note_mark(
        &mut self,
        due: &mut BTreeSet<Due>,
        feed: u32,
        market: u32,
        mark_value: i64,
        now_ns: i64,
    ) {
        if let Some(entry) = self.list.get_mut(feed as usize) {
            let mark_value = if entry.switched_to().is_some() { 0 } else { mark_value };
            if entry.note_mark(market, mark_value, now_ns) {
                entry.schedule_after_mark(due, feed, now_ns);
            }
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.list.len());
        self.list.iter().for_each(|feed| feed.encode(writer));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut feeds = Feeds::default();
        for _ in 0..reader.len(100)? {
            feeds.push(Feed::decode(reader)?);
        }
        if feeds.by_name.len() != feeds.list.len() || feeds.len() > MAX_FEEDS {
            return Err(format!("{} feeds with {} names", feeds.len(), feeds.by_name.len()));
        }
        for handle in 0..feeds.len() {
            if let Some(target) = feeds.list[handle].switched_to() {
                let target = feeds.get_mut(target).ok_or(format!("feed {handle} is switched to none"))?;
                target.users.push(handle as u32);
            }
        }
        Ok(feeds)
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        for (handle, feed) in self.list.iter().enumerate() {
            due.extend(feed.due_ns.map(|due_ns| (due_ns, due::ORACLE, handle as u64)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SECOND_NS;

    const KEYS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];
    const MARKET: u32 = 7;

    /// A feed of three sources that all say 100 at `now_ns`, VALID.
    fn valid_feed(now_ns: i64) -> Feed {
        let mut feed = Feed::new(*b"BTC-USD\0\0\0\0\0\0\0\0\0", feed_kind::ASSET, 0);
        (feed.quorum, feed.interval_ms) = (2, 60_000);
        (feed.max_confidence_ppm, feed.max_deviation_bp) = (10_000, 200);
        feed.sources = KEYS.map(|key| Source { weight: 33, value: 100_000_000, ..Source::new(key) }).to_vec();
        for moment_ns in [0, 10 * SECOND_NS, 60 * SECOND_NS, now_ns] {
            feed.sources.iter_mut().for_each(|source| source.time_ns = moment_ns);
            feed.refresh(moment_ns);
        }
        assert_eq!(feed.state(), state::VALID);
        feed
    }

    /// Runs the due items up to `now_ns` in steps of a second.
    fn pass(feeds: &mut Feeds, due: &mut BTreeSet<Due>, from_ns: i64, now_ns: i64) {
        for moment_ns in (from_ns..=now_ns).step_by(SECOND_NS as usize) {
            while due.first().is_some_and(|item| item.0 <= moment_ns) {
                let (_, _, feed) = due.pop_first().expect("one is due");
                let entry = feeds.get_mut(feed as u32).expect("its feed");
                entry.due_taken();
                entry.refresh(moment_ns);
                entry.schedule(due, feed as u32, moment_ns);
            }
        }
    }

    fn world() -> (Feeds, BTreeSet<Due>, i64) {
        let (mut feeds, now_ns) = (Feeds::default(), 100 * SECOND_NS);
        feeds.push(valid_feed(now_ns));
        (feeds, BTreeSet::new(), now_ns)
    }

    #[test]
    fn a_mark_more_than_ten_percent_away_for_sixty_seconds_makes_the_feed_divergent() {
        let (mut feeds, mut due, now_ns) = world();
        feeds.note_mark(&mut due, 0, MARKET, 110_000_000, now_ns);
        assert!(due.is_empty(), "exactly ten percent is near");
        feeds.note_mark(&mut due, 0, MARKET, 110_000_001, now_ns);
        pass(&mut feeds, &mut due, now_ns, now_ns + 59 * SECOND_NS);
        assert_eq!(feeds.get(0).map(Feed::state), Some(state::VALID));
        // Another market's good mark does not hide this one's.
        feeds.note_mark(&mut due, 0, MARKET + 1, 100_000_000, now_ns + 59 * SECOND_NS);
        pass(&mut feeds, &mut due, now_ns, now_ns + 60 * SECOND_NS);
        let feed = feeds.get(0).expect("the feed");
        assert_eq!((feed.state(), feed.clears), (state::DIVERGENT, cause::MARK_FAR));
        let near_ns = now_ns + 61 * SECOND_NS;
        feeds.note_mark(&mut due, 0, MARKET, 90_000_000, near_ns);
        pass(&mut feeds, &mut due, near_ns, near_ns + 9 * SECOND_NS);
        assert_eq!(feeds.get(0).map(|feed| feed.clears), Some(cause::HOLD));
        pass(&mut feeds, &mut due, near_ns, near_ns + 10 * SECOND_NS);
        assert_eq!(feeds.get(0).map(Feed::state), Some(state::VALID));
    }

    #[test]
    fn a_feed_that_is_switched_to_another_is_not_compared_with_marks() {
        let (mut feeds, mut due, now_ns) = world();
        let switched = FeedOverride { action: action::USE_FALLBACK, until_ns: i64::MAX, target: 0 };
        feeds.get_mut(0).expect("the feed").forced = Some(switched);
        feeds.note_mark(&mut due, 0, MARKET, 150_000_000, now_ns);
        assert!(due.is_empty());
    }

    #[test]
    fn a_mark_that_comes_back_or_ends_within_the_minute_changes_nothing() {
        for mark_value in [101_000_000, 0] {
            let (mut feeds, mut due, now_ns) = world();
            feeds.note_mark(&mut due, 0, MARKET, 150_000_000, now_ns);
            feeds.note_mark(&mut due, 0, MARKET, mark_value, now_ns + 59 * SECOND_NS);
            pass(&mut feeds, &mut due, now_ns, now_ns + 65 * SECOND_NS);
            assert_eq!(feeds.get(0).map(Feed::state), Some(state::VALID));
        }
    }

    #[test]
    fn checks_answer_by_the_matrix_and_footnote_1_asks_the_fallback() {
        let (mut feeds, mut due, now_ns) = world();
        let mut second = valid_feed(now_ns);
        second.symbol[15] = b'2';
        feeds.push(second);
        assert_eq!(feeds.check(0, Action::SettleAtIndex, now_ns), Ok(Cell::Allowed));
        let far = feeds.check(9, Action::Cancel, now_ns).expect_err("no such feed");
        assert_eq!(far.code, Code::FEED_NOT_FOUND);
        // The first feed's sources fall silent; the second one's do not.
        feeds.get_mut(0).expect("the feed").schedule(&mut due, 0, now_ns);
        let late_ns = now_ns + 301 * SECOND_NS;
        pass(&mut feeds, &mut due, now_ns, late_ns);
        let refused = feeds.check(0, Action::Reduce, late_ns).expect_err("stale");
        assert_eq!((refused.code, refused.given), (Code::STALE_PRICE, i64::from(state::STALE)));
        assert_eq!(refused.bound, feeds.get(0).expect("the feed").since_ns());
        feeds.get_mut(0).expect("the feed").fallback = 1;
        assert_eq!(feeds.check(0, Action::Reduce, late_ns), Ok(Cell::Allowed));
        assert_eq!(
            feeds.check(0, Action::NewLeveraged, late_ns).map_err(|reject| reject.code),
            Err(Code::STALE_PRICE)
        );
        assert_eq!(feeds.check(0, Action::MarginValuation, late_ns), Ok(Cell::SaferSide));
    }

    #[test]
    fn a_feed_is_judged_by_the_moment_of_the_check_before_any_tick_has_looked() {
        let (mut feeds, mut due, now_ns) = world();
        feeds.get_mut(0).expect("the feed").schedule(&mut due, 0, now_ns);
        let late_ns = now_ns + 301 * SECOND_NS;
        assert_eq!(feeds.get(0).map(Feed::state), Some(state::VALID), "nobody has looked");
        assert_eq!(feeds.check(0, Action::NewLeveraged, now_ns), Ok(Cell::Allowed));
        let refused = feeds.check(0, Action::NewLeveraged, late_ns).expect_err("stale by its own time");
        assert_eq!((refused.code, refused.given), (Code::STALE_PRICE, i64::from(state::STALE)));
        assert_eq!(feeds.get(0).map(Feed::state), Some(state::VALID), "a check changes nothing");
    }
}
