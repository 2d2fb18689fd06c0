//! Price feeds as events tell them: I08, every index is what its sources give and every state what its inputs allow;
//! I25, overrides are two persons' and set no price (P14.7).

use super::fault::{ensure, fault, Check};
use super::index::{lasted, why, Found, Hour, Look, Source, Standing, Terms, DIVERGENT, SOURCES};
use super::Auditor;
use crate::roles;
use crate::wire::event::{
    Event, EventKind, FeedBody, FeedSourceBody, FeedStateBody, IndexBody, OverrideBody, OverridePendingBody,
    SourceBody,
};

const FEEDS: usize = 65_536;
const WEIGHTS: u32 = 100;
const PROBABILITY: u8 = 1;
const SECOND_NS: i64 = 1_000_000_000;
/// How far ahead of the platform's time a source may be.
const AHEAD_NS: i64 = SECOND_NS;
const LONGEST_OVERRIDE_NS: i64 = 86_400 * SECOND_NS;
/// How long a first person's request waits for the second.
const PENDING_NS: i64 = 600 * SECOND_NS;

const LIFT: u8 = 0;
const EXCLUDE_SOURCE: u8 = 1;
const FORCE_INVALID: u8 = 2;
const USE_FALLBACK: u8 = 3;

/// What the first of two persons asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub action: u8,
    pub source: [u8; 32],
    pub until_ns: i64,
    pub pending_until_ns: i64,
    pub by: [u8; 32],
}

/// A feed rebuilt from its events.
#[derive(Clone, Debug)]
pub struct Feed {
    pub symbol: [u8; 16],
    pub terms: Terms,
    pub version: u32,
    /// In ascending order of their keys.
    pub sources: Vec<Source>,
    /// Last index that a quorum gave, its confidence and when it was given.
    pub index: i64,
    pub confidence: i64,
    pub updated_ns: i64,
    pub gates: u64,
    pub standing: Standing,
    pub clears: u8,
    pub cause: u8,
    pub apart_since_ns: Option<i64>,
    /// Action, end and target of an override of the whole feed.
    pub forced: Option<(u8, i64, u32)>,
    pub pending: Option<Pending>,
    pub hour: Hour,
}

impl Feed {
    pub fn new(symbol: [u8; 16], now_ns: i64) -> Self {
        Feed {
            symbol,
            terms: Terms::default(),
            version: 1,
            sources: Vec::new(),
            index: 0,
            confidence: 0,
            updated_ns: 0,
            gates: 0,
            standing: Standing::new(now_ns),
            clears: why::NOT_USABLE,
            cause: why::NOT_USABLE,
            apart_since_ns: None,
            forced: None,
            pending: None,
            hour: Hour::default(),
        }
    }
}

/// A look at a feed's sources whose events are still coming.
#[derive(Clone, Copy, Debug)]
struct Open {
    feed: u32,
    now_ns: i64,
    look: Look,
    /// What the inputs give, a far mark aside, and why.
    raw: (u8, u8),
    gates_before: u64,
    /// The state that the index was told with.
    told: Option<u8>,
    stated: Option<FeedStateBody>,
}

/// All feeds of the shard.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    pub list: Vec<Feed>,
    open: Option<Open>,
    /// A feed whose parameters, sources or overrides have changed: a look follows in the same command.
    changed: Option<u32>,
    /// A feed on whose overrides two persons have decided in the present command.
    decided: Option<u32>,
}

impl Feeds {
    fn known(&mut self, feed: u32) -> Check<&mut Feed> {
        match self.list.get_mut(feed as usize) {
            Some(feed) => Ok(feed),
            None => Err(fault("I26", format_args!("feed {feed} is unknown"))),
        }
    }

    /// Looks at a feed's sources now; what the look before did not say is final.
    fn look(&mut self, number: u32, now_ns: i64) -> Check<&mut Open> {
        self.close()?;
        if self.changed == Some(number) {
            self.changed = None;
        }
        let feed = self.known(number)?;
        let look = feed.terms.look(&feed.sources, now_ns);
        let gates_before = std::mem::replace(&mut feed.gates, look.gates);
        if let Some(Found { index, confidence, .. }) = look.found {
            feed.hour.set(index, now_ns);
            (feed.index, feed.confidence, feed.updated_ns) = (index, confidence, now_ns);
        }
        feed.apart_since_ns = feed.terms.apart_since(&look, feed.apart_since_ns, now_ns);
        let forced = feed.forced.is_some_and(|forced| forced.0 == FORCE_INVALID);
        let apart = lasted(feed.apart_since_ns, now_ns);
        let raw = feed.terms.judge(&look, forced, feed.index > 0, apart);
        Ok(self.open.insert(Open { feed: number, now_ns, look, raw, gates_before, told: None, stated: None }))
    }

    /// The look that an event belongs to: the open one unless it has had such an event.
    fn look_of(&mut self, feed: u32, now_ns: i64, again: impl Fn(&Open) -> bool) -> Check<&mut Open> {
        let fits = self.open.as_ref().is_some_and(|open| open.feed == feed && !again(open));
        match fits {
            true => Ok(self.open.as_mut().expect("it fits")),
            false => self.look(feed, now_ns),
        }
    }

    /// Every event of the open look has come.
    fn close(&mut self) -> Check {
        let Some(open) = self.open.take() else { return Ok(()) };
        ensure!(
            open.told.is_some() == (open.look.found.is_some() || open.look.gates != open.gates_before),
            "I08",
            "feed {} tells its index with state {:?}, its sources give {:?}",
            open.feed,
            open.told,
            open.look.found
        );
        let feed = self.known(open.feed)?;
        let shown = open.stated.map_or((feed.standing.state, feed.clears), |body| (body.state, body.clears));
        ensure!(
            open.told.is_none_or(|told| told == shown.0),
            "I08",
            "feed {} tells its index with state {:?} and is in state {}",
            open.feed,
            open.told,
            shown.0
        );
        settle(open.feed, feed, &open, shown)
    }

    /// What must hold when a command is over.
    pub fn end_command(&mut self, now_ns: i64) -> Check {
        if self.open.is_none() && self.changed.is_none() {
            return Ok(());
        }
        if let Some(feed) = self.changed {
            self.look(feed, now_ns)?;
        }
        if let Some(feed) = self.decided.take() {
            self.known(feed)?.pending = None;
        }
        self.close()
    }

    /// Number of the feed that a feed's users look at: itself, or its fallback.
    pub fn used(&self, feed: u32) -> Option<(u32, &Feed)> {
        let own = self.list.get(feed as usize)?;
        match own.forced {
            Some((USE_FALLBACK, _, target)) => Some((target, self.list.get(target as usize)?)),
            _ => Some((feed, own)),
        }
    }

    /// The mean of the last hour as the users of a feed see it.
    pub fn hour_mean(&self, feed: u32, now_ns: i64) -> Option<i64> {
        self.used(feed)?.1.hour.mean(now_ns)
    }
}

/// The state after a look is none that the inputs have not earned, and none worse than they are (P6.2).
fn settle(number: u32, feed: &mut Feed, open: &Open, (state, clears): (u8, u8)) -> Check {
    let (Open { now_ns, stated, .. }, mut raw) = (*open, open.raw);
    if clears == why::MARK_FAR && raw.0 < DIVERGENT {
        raw = (DIVERGENT, why::MARK_FAR);
    }
    let standing = &mut feed.standing;
    let before = standing.state;
    standing.note(raw.0, now_ns);
    let improves = state < before;
    let allowed = match improves {
        true => state >= raw.0 && standing.has_earned(state, now_ns),
        false => state == before.max(raw.0),
    };
    ensure!(
        allowed,
        "I08",
        "feed {number} goes from state {before} to {state}, its inputs give {} since {:?}, VALID from {}",
        raw.0,
        standing.good_since_ns,
        standing.valid_from_ns
    );
    let expected = if raw.0 < state { why::HOLD } else { raw.1 };
    ensure!(
        clears == expected || clears == why::MARK_FAR && raw.0 == DIVERGENT,
        "I08",
        "feed {number} in state {state} is cleared by {clears}, not by {expected}"
    );
    if state != before {
        (standing.state, standing.since_ns) = (state, now_ns);
        feed.cause = if improves { why::BETTER } else { clears };
    }
    feed.clears = clears;
    let Some(body) = stated else { return Ok(()) };
    let found = (body.previous, body.since_ns, body.cause, body.hold_ms);
    let due = (before, standing.since_ns, feed.cause, standing.hold_ms());
    ensure!(found == due, "I08", "the state of feed {number} shows {found:?}, not {due:?}");
    let found = (body.passing, body.sources, body.gates, body.index, body.confidence);
    let due = (open.look.passing, open.look.sources, open.look.gates, feed.index, feed.confidence);
    ensure!(found == due, "I08", "the state of feed {number} shows the sources {found:?}, not {due:?}");
    Ok(())
}

impl Auditor {
    /// An event of a feed.
    pub(super) fn feed_moved(&mut self, kind: EventKind, event: &Event) -> Check {
        match kind {
            EventKind::FeedChanged => self.feed_changed(&event.body_as()),
            EventKind::FeedSourceSet => self.feed_source_set(&event.body_as()),
            EventKind::SourceUpdated => self.source_updated(&event.body_as()),
            EventKind::IndexUpdated => self.index_updated(&event.body_as()),
            EventKind::FeedStateChanged => self.feed_state_changed(&event.body_as()),
            EventKind::FeedOverridePending => self.override_pending(&event.body_as()),
            EventKind::FeedOverridden => self.overridden(&event.body_as()),
            _ => self.override_ended(&event.body_as()),
        }
    }

    fn feed_changed(&mut self, body: &FeedBody) -> Check {
        self.feeds.close()?;
        let (number, feeds) = (body.feed as usize, self.feeds.list.len());
        ensure!(number < FEEDS, "I20", "feed {number} is beyond {FEEDS} feeds");
        ensure!(number <= feeds, "I26", "feed {number} follows {feeds} feeds");
        let probability = body.feed_kind == PROBABILITY;
        let least = if probability { 1 } else { 2 };
        ensure!(
            body.feed_kind <= PROBABILITY && (least..=SOURCES as u8).contains(&body.quorum),
            "I26",
            "feed {number} of kind {} has a quorum of {}",
            body.feed_kind,
            body.quorum
        );
        if number == feeds {
            let feed = Feed::new(body.symbol, self.time_ns);
            ensure!(
                body.config_version == 1,
                "I26",
                "feed {number} starts as version {}",
                body.config_version
            );
            self.feeds.list.push(feed);
        } else {
            let feed = &mut self.feeds.list[number];
            feed.version += 1;
            ensure!(
                (feed.symbol, feed.terms.probability, feed.version)
                    == (body.symbol, probability, body.config_version),
                "I26",
                "feed {number} becomes another one, version {}",
                body.config_version
            );
            self.feeds.changed = Some(body.feed);
        }
        self.feeds.list[number].terms = Terms {
            probability,
            quorum: body.quorum,
            interval_ms: body.interval_ms,
            max_confidence_ppm: body.max_confidence_ppm,
            max_deviation_bp: body.max_deviation_bp,
            fallback: body.fallback,
        };
        Ok(())
    }

    /// A table of sources counts from the moment on at which its weights sum to 100.
    fn feed_source_set(&mut self, body: &FeedSourceBody) -> Check {
        self.feeds.close()?;
        let feed = self.feeds.known(body.feed)?;
        match feed.sources.binary_search_by_key(&body.source, |source| source.key) {
            Ok(place) => feed.sources[place].next_weight = body.weight,
            Err(place) => {
                let (key, next_weight) = (body.source, body.weight);
                feed.sources.insert(place, Source { key, next_weight, ..Source::default() });
            }
        }
        let next = || feed.sources.iter().map(|source| source.next_weight).filter(|&weight| weight > 0);
        let (sum, count) = (next().map(u32::from).sum::<u32>(), next().count());
        ensure!(count <= SOURCES, "I20", "feed {} has {count} sources", body.feed);
        let activates = sum == WEIGHTS;
        ensure!(
            sum <= WEIGHTS && (body.activated == 1) == activates,
            "I26",
            "feed {}: weights of {sum} are in force: {}",
            body.feed,
            body.activated
        );
        if activates {
            ensure!(
                count >= usize::from(feed.terms.quorum),
                "I26",
                "feed {} has {count} sources for a quorum of {}",
                body.feed,
                feed.terms.quorum
            );
            feed.sources.iter_mut().for_each(|source| source.weight = source.next_weight);
            feed.version += 1;
        }
        feed.sources.retain(|source| source.weight > 0 || source.next_weight > 0);
        let present = feed.sources.iter().filter(|source| source.weight > 0).count();
        ensure!(
            (usize::from(body.sources), body.config_version) == (present, feed.version),
            "I26",
            "feed {} shows {} sources as version {}",
            body.feed,
            body.sources,
            body.config_version
        );
        if activates {
            self.feeds.changed = Some(body.feed);
        }
        Ok(())
    }

    /// A source publishes for itself, forward in number and time, and is shown with the gate that it meets (P6.1.1).
    fn source_updated(&mut self, body: &SourceBody) -> Check {
        self.feeds.close()?;
        let (now_ns, principal) = (self.time_ns, self.principal);
        let feed = self.feeds.known(body.feed)?;
        let place = feed.sources.iter().position(|source| source.key == body.source && source.weight > 0);
        let Some(place) = place.filter(|_| body.source == principal) else {
            return Err(fault("I08", format_args!("feed {}: no source of it publishes", body.feed)));
        };
        let source = &mut feed.sources[place];
        ensure!(
            body.source_seq > source.seq
                && (source.value == 0 || body.source_time_ns >= source.time_ns)
                && body.source_time_ns <= now_ns.saturating_add(AHEAD_NS),
            "I08",
            "publication {} of {} ns follows {} of {} ns at {now_ns}",
            body.source_seq,
            body.source_time_ns,
            source.seq,
            source.time_ns
        );
        ensure!(
            body.value > 0 && body.confidence >= 0 && body.weight == source.weight,
            "I08",
            "a source of weight {} publishes {} ± {} with weight {}",
            source.weight,
            body.value,
            body.confidence,
            body.weight
        );
        (source.value, source.confidence) = (body.value, body.confidence);
        (source.time_ns, source.seq) = (body.source_time_ns, body.source_seq);
        let present = feed.sources[..place].iter().filter(|source| source.weight > 0).count();
        let gate = (self.feeds.look(body.feed, now_ns)?.look.gates >> (4 * present)) as u8 & 0xF;
        ensure!(
            gate == body.gate,
            "I08",
            "a source of feed {} meets gate {gate}, not {}",
            body.feed,
            body.gate
        );
        Ok(())
    }

    /// The index is the weighted median of those that pass, or without a quorum what it was (P6.1.2).
    fn index_updated(&mut self, body: &IndexBody) -> Check {
        let number = body.feed;
        let open =
            self.feeds.look_of(number, self.time_ns, |open| open.told.is_some() || open.stated.is_some())?;
        open.told = Some(body.state);
        let look = open.look;
        let feed = self.feeds.known(number)?;
        let found = (body.gates, body.passing, body.sources);
        let due = (look.gates, look.passing, look.sources);
        ensure!(found == due, "I08", "feed {number} shows the sources {found:?}, not {due:?}");
        let (low, high) = look.found.map_or((0, 0), |found| (found.low, found.high));
        let found = (body.index, body.confidence, body.updated_ns, body.low, body.high);
        let due = (feed.index, feed.confidence, feed.updated_ns, low, high);
        ensure!(found == due, "I08", "feed {number} publishes {found:?}, its sources give {due:?}");
        let known = self.values.feed_mut(number)?;
        (known.index, known.confidence, known.state) = (body.index, body.confidence, body.state);
        Ok(())
    }

    fn feed_state_changed(&mut self, body: &FeedStateBody) -> Check {
        let open = self.feeds.look_of(body.feed, self.time_ns, |open| open.stated.is_some())?;
        open.stated = Some(*body);
        let known = self.values.feed_mut(body.feed)?;
        (known.index, known.confidence, known.state) = (body.index, body.confidence, body.state);
        Ok(())
    }

    fn override_pending(&mut self, body: &OverridePendingBody) -> Check {
        self.feeds.close()?;
        let (now_ns, principal) = (self.time_ns, self.principal);
        self.check_emergency(body.feed)?;
        let feed = self.feeds.known(body.feed)?;
        let source = feed.sources.get(usize::from(body.source)).map_or([0; 32], |source| source.key);
        ensure!(
            body.action <= USE_FALLBACK
                && body.principal == principal
                && body.pending_until_ns == now_ns.saturating_add(PENDING_NS)
                && (body.action == EXCLUDE_SOURCE) == (source != [0; 32]),
            "I25",
            "an override of feed {} is asked for as {body:?}",
            body.feed
        );
        feed.pending = Some(Pending {
            action: body.action,
            source,
            until_ns: body.until_ns,
            pending_until_ns: body.pending_until_ns,
            by: body.principal,
        });
        Ok(())
    }

    /// Only EMERGENCY principals decide on overrides.
    fn check_emergency(&self, feed: u32) -> Check {
        let holds = self.records.holds(&self.principal, roles::EMERGENCY);
        ensure!(holds, "I25", "an override of feed {feed} is asked for without the role");
        Ok(())
    }

    /// A second person decides on what a first one has asked for in time.
    fn check_second(&mut self, feed: u32) -> Check<Pending> {
        self.check_emergency(feed)?;
        let (now_ns, principal) = (self.time_ns, self.principal);
        let first = self.feeds.known(feed)?.pending;
        let Some(first) = first.filter(|first| first.by != principal && now_ns <= first.pending_until_ns)
        else {
            return Err(fault("I25", format_args!("one person alone overrides feed {feed}")));
        };
        self.feeds.decided = Some(feed);
        Ok(first)
    }

    /// Excludes a source, stops a feed or switches it to its registered fallback; there is no field for a price.
    fn overridden(&mut self, body: &OverrideBody) -> Check {
        self.feeds.close()?;
        let first = self.check_second(body.feed)?;
        let now_ns = self.time_ns;
        let feed = self.feeds.known(body.feed)?;
        ensure!(
            (body.action, body.source, body.until_ns) == (first.action, first.source, first.until_ns)
                && body.action != LIFT
                && body.until_ns > now_ns
                && body.until_ns <= now_ns.saturating_add(LONGEST_OVERRIDE_NS),
            "I25",
            "feed {} is overridden by {} until {}, asked for was {first:?}",
            body.feed,
            body.action,
            body.until_ns
        );
        let target = if body.action == USE_FALLBACK { feed.terms.fallback } else { u32::MAX };
        ensure!(body.target == target, "I25", "feed {} is switched to {}", body.feed, body.target);
        if body.action == EXCLUDE_SOURCE {
            let source = feed.sources.iter_mut().find(|source| source.key == body.source);
            let Some(source) = source.filter(|source| source.weight > 0) else {
                return Err(fault(
                    "I25",
                    format_args!("an unknown source of feed {} is excluded", body.feed),
                ));
            };
            source.excluded_until_ns = Some(body.until_ns);
        } else {
            ensure!(feed.forced.is_none(), "I25", "feed {} is overridden twice", body.feed);
            feed.forced = Some((body.action, body.until_ns, body.target));
            let switched = (body.action == USE_FALLBACK).then_some(body.target);
            self.values.feed_mut(body.feed)?.switched_to = switched;
        }
        self.feeds.changed = Some(body.feed);
        Ok(())
    }

    /// An override ends when its time is over, or by two persons.
    fn override_ended(&mut self, body: &OverrideBody) -> Check {
        self.feeds.close()?;
        if body.until_ns > self.time_ns {
            self.check_second(body.feed)?;
        }
        let feed = self.feeds.known(body.feed)?;
        let source = feed.sources.iter_mut().find(|source| source.key == body.source);
        let known = match (body.action, source) {
            (EXCLUDE_SOURCE, Some(source)) => source.excluded_until_ns.take() == Some(body.until_ns),
            (EXCLUDE_SOURCE, None) => false,
            _ => feed.forced.take() == Some((body.action, body.until_ns, body.target)),
        };
        ensure!(known, "I25", "an override of feed {} ends that never began: {body:?}", body.feed);
        if body.action != EXCLUDE_SOURCE {
            self.values.feed_mut(body.feed)?.switched_to = None;
        }
        self.feeds.changed = Some(body.feed);
        Ok(())
    }
}
