//! One feed: its sources, its index and what changes it by time (protocol P6.1.3, P6.1.4).

use std::collections::BTreeSet;

use super::aggregate::{aggregate, Limits, Quote};
use super::health::{judge, Inputs, Standing};
use super::twap::Twap;
use super::{action, cause, feed_kind, gate};
use crate::codec::{Reader, Writer};
use crate::limits::*;
use crate::state::{due, Due};

/// A mark further from the index than this makes the feed DIVERGENT in time.
const MARK_FAR_PPM: u32 = 100_000;
const MILLISECOND_NS: i64 = 1_000_000;
/// Weights of a usable feed sum to this.
pub const WEIGHT_SUM: u32 = 100;

/// A source of a feed and what it published last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub key: [u8; 32],
    /// In the present table; 0 = only in the next one.
    pub weight: u8,
    /// In the next table, which becomes the present one when its weights sum to 100.
    pub next_weight: u8,
    /// Two persons excluded it until this moment.
    pub excluded_until_ns: Option<i64>,
    /// 0 = it never published.
    pub value: i64,
    pub confidence: i64,
    pub time_ns: i64,
    pub seq: u64,
}

impl Source {
    pub const fn new(key: [u8; 32]) -> Self {
        Source {
            key,
            weight: 0,
            next_weight: 0,
            excluded_until_ns: None,
            value: 0,
            confidence: 0,
            time_ns: 0,
            seq: 0,
        }
    }
}

/// An override of the whole feed: [`action::FORCE_INVALID`] or [`action::USE_FALLBACK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedOverride {
    pub action: u8,
    pub until_ns: i64,
    /// The feed that is used instead; [`super::NO_FEED`] = none.
    pub target: u32,
}

/// What the first of two persons asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingOverride {
    pub by: [u8; 32],
    /// The wait for the second person ends here.
    pub pending_until_ns: i64,
    pub action: u8,
    pub until_ns: i64,
    pub source: [u8; 32],
}

/// What a look at all sources brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// A quorum gave an index: lowest and highest passing source.
    pub range: Option<(i64, i64)>,
    /// Those who use the feed must look: index or state changed, or the index was confirmed and they last looked an
    /// interval ago (marks move with time, too).
    pub tell: bool,
    pub gates_changed: bool,
    pub previous_state: u8,
    pub state_changed: bool,
    /// The state stayed, the condition that clears it is another one.
    pub cause_changed: bool,
}

/// A feed.
#[derive(Clone, Debug)]
pub struct Feed {
    pub symbol: [u8; 16],
    pub kind: u8,
    pub quorum: u8,
    pub interval_ms: u32,
    pub max_confidence_ppm: u32,
    pub max_deviation_bp: u32,
    /// Feed of footnote 1 of P6.5; [`super::NO_FEED`] = none.
    pub fallback: u32,
    pub config_version: u32,
    /// When the parameters, and when the sources, may change again.
    pub ready_ns: i64,
    pub sources_ready_ns: i64,
    /// In ascending order of their keys.
    pub sources: Vec<Source>,
    /// Last index that a quorum gave, micro-quote per whole unit; 0 = never.
    pub index: i64,
    pub confidence: i64,
    /// When a quorum last gave it, in ns.
    pub updated_ns: i64,
    /// When those who use the feed were last told to look.
    told_ns: i64,
    /// Sources that pass every gate, and four bits a source of the present table.
    pub passing: u8,
    pub gates: u64,
    /// What must end for a better state, and what the present state began with: [`cause`].
    pub clears: u8,
    pub cause: u8,
    pub(super) standing: Standing,
    /// Since when passing sources are too far apart.
    apart_since_ns: Option<i64>,
    /// A market whose mark is too far from the index, and since when.
    far: Option<(u32, i64)>,
    pub forced: Option<FeedOverride>,
    pub pending: Option<PendingOverride>,
    pub(crate) twap: Twap,
    pub(super) due_ns: Option<i64>,
    /// Feeds that are switched to this one.
    pub users: Vec<u32>,
}

impl Feed {
    /// A feed without sources, INVALID since now. Parameters are set by the caller.
    pub fn new(symbol: [u8; 16], kind: u8, now_ns: i64) -> Self {
        Feed {
            symbol,
            kind,
            quorum: 0,
            interval_ms: 0,
            max_confidence_ppm: 0,
            max_deviation_bp: 0,
            fallback: super::NO_FEED,
            config_version: 1,
            ready_ns: i64::MIN,
            sources_ready_ns: i64::MIN,
            sources: Vec::new(),
            index: 0,
            confidence: 0,
            updated_ns: 0,
            told_ns: i64::MIN,
            passing: 0,
            gates: 0,
            clears: cause::NOT_USABLE,
            cause: cause::NOT_USABLE,
            standing: Standing::new(now_ns),
            apart_since_ns: None,
            far: None,
            forced: None,
            pending: None,
            twap: Twap::default(),
            due_ns: None,
            users: Vec::new(),
        }
    }

    /// State of P6.2.
    #[inline]
    pub fn state(&self) -> u8 {
        self.standing.state
    }

    #[inline]
    pub fn since_ns(&self) -> i64 {
        self.standing.since_ns
    }

    /// By state: since when the inputs are that good or better; and not VALID before when. `i64::MAX` = not now.
    pub(crate) fn progress_ns(&self) -> ([i64; super::state::COUNT], i64) {
        (self.standing.good_since_ns, self.standing.valid_from_ns)
    }

    /// Since when passing sources are too far apart.
    pub(crate) fn apart_since_ns(&self) -> Option<i64> {
        self.apart_since_ns
    }

    /// How long better inputs must last for a better state, in ns.
    pub fn hold_ns(&self) -> i64 {
        self.standing.hold_ns()
    }

    /// Ages beyond which a source is old (WARN) and does not count (STALE), in ns (P6.1.3).
    pub fn age_limits_ns(&self) -> (i64, i64) {
        let interval_ns = i64::from(self.interval_ms) * MILLISECOND_NS;
        (2 * interval_ns, (5 * interval_ns).clamp(FEED_STALE_NS.0, FEED_STALE_NS.1))
    }

    pub fn limits(&self) -> Limits {
        Limits {
            probability: self.kind == feed_kind::PROBABILITY,
            max_confidence_ppm: self.max_confidence_ppm,
            max_deviation_bp: self.max_deviation_bp,
        }
    }

    /// Sources of the present table.
    pub fn present(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.weight > 0)
    }

    /// Gate of the source at `place` among the present ones, as of the last look.
    pub fn gate_of(&self, place: usize) -> u8 {
        (self.gates >> (4 * place)) as u8 & 0xF
    }

    /// Whether users of this feed are switched to another one.
    #[inline]
    pub fn is_switched(&self) -> bool {
        self.switched_to().is_some()
    }

    /// The feed that users of this one are switched to.
    #[inline]
    pub fn switched_to(&self) -> Option<u32> {
        self.forced.filter(|forced| forced.action == action::USE_FALLBACK).map(|forced| forced.target)
    }

    /// The first gate that concerns one source alone.
    fn own_gate(&self, source: &Source, now_ns: i64) -> u8 {
        if source.value == 0 {
            gate::MISSING
        } else if source.excluded_until_ns.is_some() {
            gate::EXCLUDED
        } else if now_ns.saturating_sub(source.time_ns) > self.age_limits_ns().1 {
            gate::STALE
        } else {
            gate::PASS
        }
    }

    /// Looks at all sources: index, gates, state. At most [`MAX_SOURCES`] of them.
    pub fn refresh(&mut self, now_ns: i64) -> Refreshed {
        let (mut quotes, mut count) = ([Quote::default(); MAX_SOURCES], 0);
        for source in self.present() {
            let Source { value, confidence, weight, .. } = *source;
            quotes[count] = Quote { value, confidence, weight, gate: self.own_gate(source, now_ns) };
            count += 1;
        }
        let quotes = &mut quotes[..count];
        let limits = self.limits();
        let found = aggregate(quotes, &limits);
        let gates = quotes.iter().rev().fold(0, |gates, quote| gates << 4 | u64::from(quote.gate));
        let stale = quotes.iter().filter(|quote| quote.gate == gate::STALE).count() as u8;
        let old_ns = self.age_limits_ns().0;
        let aged = self.present().zip(quotes.iter()).any(|(source, quote)| {
            quote.gate == gate::PASS && now_ns.saturating_sub(source.time_ns) > old_ns
        });
        let previous = (self.index, self.confidence);
        let gates_changed = self.gates != gates;
        self.gates = gates;
        self.passing = found.map_or(0, |index| index.passing);
        let found = found.filter(|index| count > 0 && index.passing >= self.quorum);
        if let Some(index) = found {
            if index.value != self.index {
                self.twap.set(index.value, now_ns);
            }
            (self.index, self.confidence, self.updated_ns) = (index.value, index.confidence, now_ns);
        }
        let apart = found.is_some_and(|index| limits.apart(index.low, index.high));
        self.apart_since_ns = apart.then(|| self.apart_since_ns.unwrap_or(now_ns));
        let inputs = Inputs {
            forced: self.forced.is_some_and(|forced| forced.action == action::FORCE_INVALID),
            has_index: self.index > 0,
            sources: count as u8,
            quorum: self.quorum,
            passing: self.passing,
            stale,
            aged,
            unsure: found.is_some_and(|index| limits.unsure(index.confidence, index.value)),
            apart: lasted(self.apart_since_ns, now_ns),
            far: lasted(self.far.map(|(_, since_ns)| since_ns), now_ns),
        };
        let previous_state = self.state();
        let cause_changed = self.settle(&inputs, now_ns);
        let state_changed = self.state() != previous_state;
        let waited = now_ns.saturating_sub(self.told_ns) >= i64::from(self.interval_ms) * MILLISECOND_NS;
        let tell = state_changed || (self.index, self.confidence) != previous || (found.is_some() && waited);
        if tell {
            self.told_ns = now_ns;
        }
        Refreshed {
            range: found.map(|index| (index.low, index.high)),
            tell,
            gates_changed,
            previous_state,
            state_changed,
            cause_changed,
        }
    }

    /// Moves the state; true when what clears it has changed.
    fn settle(&mut self, inputs: &Inputs, now_ns: i64) -> bool {
        let (raw, why) = judge(inputs);
        let before = self.state();
        self.standing.settle(raw, now_ns);
        let clears = if raw < self.state() { cause::HOLD } else { why };
        if self.state() != before {
            self.cause = if self.state() < before { cause::BETTER } else { why };
        }
        std::mem::replace(&mut self.clears, clears) != clears
    }

    /// When something changes without a message, seen from `now_ns`.
    fn next_change_ns(&self, now_ns: i64) -> Option<i64> {
        let (old_ns, stale_ns) = self.age_limits_ns();
        let ages = self.present().filter(|source| source.value > 0).flat_map(|source| {
            [old_ns, stale_ns].map(|limit_ns| source.time_ns.saturating_add(limit_ns).saturating_add(1))
        });
        let apart = [self.apart_since_ns, self.far.map(|(_, since_ns)| since_ns)];
        let apart = apart.into_iter().flatten().map(|since_ns| since_ns.saturating_add(FEED_DIVERGENCE_NS));
        let better = [self.standing.improves_ns()];
        let by_time = ages.chain(apart).chain(better);
        by_time.filter(|&moment| moment > now_ns && moment < i64::MAX).chain(self.override_end_ns()).min()
    }

    /// The earliest end of an override.
    fn override_end_ns(&self) -> Option<i64> {
        let excluded = self.sources.iter().filter_map(|source| source.excluded_until_ns);
        excluded.chain(self.forced.map(|forced| forced.until_ns)).min()
    }

    /// Puts the next look into the due queue. One item a feed, so that [`MAX_FEEDS`] bounds them.
    pub fn schedule(&mut self, queue: &mut BTreeSet<Due>, feed: u32, now_ns: i64) {
        let next = self.next_change_ns(now_ns);
        self.reschedule(queue, feed, next);
    }

    /// After a mark has moved: a mark that is good again is looked at with the next Tick.
    pub(super) fn schedule_after_mark(&mut self, queue: &mut BTreeSet<Due>, feed: u32, now_ns: i64) {
        let next = if self.far.is_some() { self.next_change_ns(now_ns) } else { Some(now_ns) };
        self.reschedule(queue, feed, next);
    }

    fn reschedule(&mut self, queue: &mut BTreeSet<Due>, feed: u32, next: Option<i64>) {
        if next == self.due_ns {
            return;
        }
        if let Some(due_ns) = self.due_ns {
            queue.remove(&(due_ns, due::ORACLE, u64::from(feed)));
        }
        queue.extend(next.map(|due_ns| (due_ns, due::ORACLE, u64::from(feed))));
        self.due_ns = next;
    }

    /// The feed's due item was taken from the queue.
    pub fn due_taken(&mut self) {
        self.due_ns = None;
    }

    /// Whether a change by time waits for its Tick.
    #[inline]
    pub fn is_due(&self, now_ns: i64) -> bool {
        self.due_ns.is_some_and(|due_ns| due_ns <= now_ns)
    }

    /// State and since when, with what time alone has made worse by this moment.
    #[inline]
    pub fn standing_at(&self, now_ns: i64) -> (u8, i64) {
        if self.is_due(now_ns) {
            return self.overdue_standing(now_ns);
        }
        (self.state(), self.since_ns())
    }

    /// What the look that is due would find, where that is worse.
    #[cold]
    #[inline(never)]
    fn overdue_standing(&self, now_ns: i64) -> (u8, i64) {
        let mut later = self.clone();
        later.refresh(now_ns);
        let found = if later.state() > self.state() { &later } else { self };
        (found.state(), found.since_ns())
    }

    /// Compares a market's mark with the index; true when that changes what the feed waits for.
    pub(super) fn note_mark(&mut self, market: u32, mark_value: i64, now_ns: i64) -> bool {
        let distance = mark_value.saturating_sub(self.index).saturating_abs();
        let far =
            mark_value > 0 && self.index > 0 && self.limits().exceeds(distance, self.index, MARK_FAR_PPM);
        match self.far {
            None if far => self.far = Some((market, now_ns)),
            // Another market's good mark does not clear this one's.
            Some((owner, _)) if owner == market && !far => self.far = None,
            _ => return false,
        }
        true
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.symbol);
        writer.raw(&[self.kind, self.quorum, self.passing, self.clears, self.cause]);
        [
            self.interval_ms,
            self.max_confidence_ppm,
            self.max_deviation_bp,
            self.fallback,
            self.config_version,
        ]
        .into_iter()
        .for_each(|value| writer.u32(value));
        [self.ready_ns, self.sources_ready_ns, self.index, self.confidence, self.updated_ns, self.told_ns]
            .into_iter()
            .for_each(|value| writer.i64(value));
        writer.u64(self.gates);
        encode_standing(&self.standing, writer);
        [self.apart_since_ns, self.due_ns].into_iter().for_each(|moment| encode_moment(moment, writer));
        encode_moment(self.far.map(|(_, since_ns)| since_ns), writer);
        writer.u32(self.far.map_or(0, |(market, _)| market));
        encode_moment(self.forced.map(|forced| forced.until_ns), writer);
        if let Some(forced) = self.forced {
            writer.u8(forced.action);
            writer.u32(forced.target);
        }
        encode_moment(self.pending.map(|pending| pending.pending_until_ns), writer);
        if let Some(pending) = self.pending {
            writer.raw(&pending.by);
            writer.u8(pending.action);
            writer.i64(pending.until_ns);
            writer.raw(&pending.source);
        }
        writer.len(self.sources.len());
        self.sources.iter().for_each(|source| encode_source(source, writer));
        self.twap.encode(writer);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let symbol = reader.array()?;
        let [kind, quorum, passing, clears, cause] = reader.array()?;
        let mut feed = Feed { quorum, passing, clears, cause, ..Feed::new(symbol, kind, 0) };
        feed.interval_ms = reader.u32()?;
        feed.max_confidence_ppm = reader.u32()?;
        feed.max_deviation_bp = reader.u32()?;
        feed.fallback = reader.u32()?;
        feed.config_version = reader.u32()?;
        feed.ready_ns = reader.i64()?;
        feed.sources_ready_ns = reader.i64()?;
        feed.index = reader.i64()?;
        feed.confidence = reader.i64()?;
        feed.updated_ns = reader.i64()?;
        feed.told_ns = reader.i64()?;
        feed.gates = reader.u64()?;
        feed.standing = decode_standing(reader)?;
        feed.apart_since_ns = decode_moment(reader)?;
        feed.due_ns = decode_moment(reader)?;
        let far_since = decode_moment(reader)?;
        let far_market = reader.u32()?;
        feed.far = far_since.map(|since_ns| (far_market, since_ns));
        if let Some(until_ns) = decode_moment(reader)? {
            feed.forced = Some(FeedOverride { action: reader.u8()?, until_ns, target: reader.u32()? });
        }
        if let Some(pending_until_ns) = decode_moment(reader)? {
            feed.pending = Some(PendingOverride {
                by: reader.array()?,
                pending_until_ns,
                action: reader.u8()?,
                until_ns: reader.i64()?,
                source: reader.array()?,
            });
        }
        for _ in 0..reader.len(67)? {
            feed.sources.push(decode_source(reader)?);
        }
        if feed.present().count() > MAX_SOURCES {
            return Err(format!("a feed with {} sources", feed.sources.len()));
        }
        feed.twap = Twap::decode(reader)?;
        Ok(feed)
    }
}

/// Whether a disagreement has lasted for the whole time that is allowed.
fn lasted(since_ns: Option<i64>, now_ns: i64) -> bool {
    since_ns.is_some_and(|since_ns| now_ns >= since_ns.saturating_add(FEED_DIVERGENCE_NS))
}

fn encode_moment(moment: Option<i64>, writer: &mut Writer) {
    writer.u8(u8::from(moment.is_some()));
    if let Some(moment) = moment {
        writer.i64(moment);
    }
}

fn decode_moment(reader: &mut Reader<'_>) -> Result<Option<i64>, String> {
    match reader.u8()? {
        0 => Ok(None),
        1 => Ok(Some(reader.i64()?)),
        other => Err(format!("{other} is no flag")),
    }
}

fn encode_standing(standing: &Standing, writer: &mut Writer) {
    writer.u8(standing.state);
    writer.i64(standing.since_ns);
    writer.i64(standing.valid_from_ns);
    standing.good_since_ns.iter().for_each(|&since_ns| writer.i64(since_ns));
}

fn decode_standing(reader: &mut Reader<'_>) -> Result<Standing, String> {
    let state = reader.u8()?;
    if usize::from(state) >= super::state::COUNT {
        return Err(format!("{state} is no state of a feed"));
    }
    let mut standing = Standing { state, ..Standing::new(reader.i64()?) };
    standing.valid_from_ns = reader.i64()?;
    for since_ns in &mut standing.good_since_ns {
        *since_ns = reader.i64()?;
    }
    Ok(standing)
}

fn encode_source(source: &Source, writer: &mut Writer) {
    writer.raw(&source.key);
    writer.raw(&[source.weight, source.next_weight]);
    encode_moment(source.excluded_until_ns, writer);
    [source.value, source.confidence, source.time_ns].into_iter().for_each(|value| writer.i64(value));
    writer.u64(source.seq);
}

fn decode_source(reader: &mut Reader<'_>) -> Result<Source, String> {
    let key = reader.array()?;
    let [weight, next_weight] = reader.array()?;
    Ok(Source {
        weight,
        next_weight,
        excluded_until_ns: decode_moment(reader)?,
        value: reader.i64()?,
        confidence: reader.i64()?,
        time_ns: reader.i64()?,
        seq: reader.u64()?,
        ..Source::new(key)
    })
}
