//! Feeds, their sources and their overrides (protocol P6, P14.7, row 0703).

use crate::book::Book;
use crate::engine::Engine;
use crate::limits::*;
use crate::oracle::{action, feed_kind, Feed, FeedOverride, PendingOverride, Source, NO_FEED, WEIGHT_SUM};
use crate::output::{Output, Subject};
use crate::wire::command::{Command, OverrideFeed, RegisterFeed, SetFeedSource};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, FeedBody, FeedSourceBody, OverrideBody, OverridePendingBody};

/// `source` of a pending override that names none.
const NO_SOURCE: u8 = u8::MAX;

/// Which overrides of a feed end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Those whose time is over.
    RunOut,
    /// The one of the whole feed.
    OfTheFeed,
    All,
}

impl<B: Book> Engine<B> {
    pub(crate) fn register_feed(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: RegisterFeed = command.payload_as();
        check_reserved(&request)?;
        if request.feed != 0 || request.config_version != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.feed | request.config_version));
        }
        check_symbol(&request.symbol)?;
        self.check_feed_parameters(&request, u32::MAX)?;
        if let Some(known) = self.state.feeds.find(&request.symbol, request.feed_kind) {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(known));
        }
        let feeds = self.state.feeds.len();
        if feeds >= MAX_FEEDS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_FEEDS as i64, feeds as i64);
        }
        if command.is_trial() {
            return Ok(0);
        }
        let mut feed = Feed::new(request.symbol, request.feed_kind, command.time_ns);
        set_parameters(&mut feed, &request);
        let handle = self.state.feeds.push(feed);
        let feed = self.state.feeds.get(handle).expect("just added");
        emit_feed(command, feed, handle, output);
        super::oracle::emit_state(command, feed, handle, feed.state(), output);
        Ok(u64::from(handle))
    }

    pub(crate) fn update_feed(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: RegisterFeed = command.payload_as();
        check_reserved(&request)?;
        let feed = self.feed_of(request.feed)?;
        if request.config_version != feed.config_version {
            return reject(
                Code::CONFIG_VERSION_MISMATCH,
                i64::from(feed.config_version),
                i64::from(request.config_version),
            );
        }
        if request.symbol != feed.symbol || request.feed_kind != feed.kind {
            return reject(Code::IMMUTABLE_PARAMETER, i64::from(feed.kind), i64::from(request.feed_kind));
        }
        self.check_feed_parameters(&request, request.feed)?;
        let present = feed.present().count() as i64;
        if present > 0 && i64::from(request.quorum) > present {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, present, i64::from(request.quorum));
        }
        if command.time_ns < feed.ready_ns {
            return reject(Code::PARAMETER_COOLDOWN, feed.ready_ns, command.time_ns);
        }
        if command.is_trial() {
            return Ok(0);
        }
        let feed = self.state.feeds.get_mut(request.feed).expect("found above");
        set_parameters(feed, &request);
        feed.config_version += 1;
        feed.ready_ns = command.time_ns.saturating_add(PARAMETER_COOLDOWN_NS);
        let version = u64::from(feed.config_version);
        emit_feed(command, feed, request.feed, output);
        self.look_at_feed(command, request.feed, output);
        Ok(version)
    }

    /// Edits the next table of sources; when its weights sum to 100 it becomes the present one, in one step.
    pub(crate) fn set_feed_source(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: SetFeedSource = command.payload_as();
        if request.reserved != 0 || request.reserved2 != 0 {
            return reject(
                Code::RESERVED_NOT_ZERO,
                0,
                i64::from(request.reserved2) | i64::from(request.reserved),
            );
        }
        let feed = self.feed_of(request.feed)?;
        let activates = check_source(feed, &request, command.time_ns)?;
        if command.is_trial() {
            return Ok(u64::from(activates));
        }
        let feed = self.state.feeds.get_mut(request.feed).expect("found above");
        match feed.sources.binary_search_by_key(&request.source, |source| source.key) {
            Ok(place) => feed.sources[place].next_weight = request.weight,
            Err(place) => {
                let next_weight = request.weight;
                feed.sources.insert(place, Source { next_weight, ..Source::new(request.source) });
            }
        }
        if activates {
            let first = feed.present().count() == 0;
            feed.sources.iter_mut().for_each(|source| source.weight = source.next_weight);
            feed.config_version += 1;
            if !first {
                feed.sources_ready_ns = command.time_ns.saturating_add(PARAMETER_COOLDOWN_NS);
            }
        }
        feed.sources.retain(|source| source.weight > 0 || source.next_weight > 0);
        let body = FeedSourceBody {
            feed: request.feed,
            weight: request.weight,
            activated: u8::from(activates),
            sources: feed.present().count() as u8,
            reserved: 0,
            config_version: feed.config_version,
            reserved2: 0,
            source: request.source,
        };
        output.emit(command, EventKind::FeedSourceSet, Subject::NONE, &body);
        if activates {
            self.look_at_feed(command, request.feed, output);
        }
        Ok(u64::from(body.config_version))
    }

    /// Two EMERGENCY principals may exclude a source, stop a feed or switch it to its fallback, for a day at most.
    /// Nobody sets a price (P14.7).
    pub(crate) fn override_feed(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: OverrideFeed = command.payload_as();
        self.check_override(&request, command.time_ns)?;
        let feed = self.state.feeds.get_mut(request.feed).expect("checked above");
        let asked = PendingOverride {
            by: command.principal,
            pending_until_ns: command.time_ns.saturating_add(OVERRIDE_PENDING_NS),
            action: request.action,
            until_ns: request.until_ns,
            source: request.source,
        };
        let same = |first: &PendingOverride| {
            command.time_ns <= first.pending_until_ns
                && (first.action, first.until_ns, first.source)
                    == (asked.action, asked.until_ns, asked.source)
        };
        match feed.pending.filter(same) {
            Some(first) if first.by == command.principal => Err(Code::SELF_APPROVAL.into()),
            Some(_) => {
                feed.pending = None;
                self.start_override(command, &request, output);
                Ok(1)
            }
            None => {
                // The latest request waits; an older one is forgotten.
                feed.pending = Some(asked);
                emit_pending(command, feed, request.feed, &asked, output);
                Ok(0)
            }
        }
    }

    fn check_override(&self, request: &OverrideFeed, now_ns: i64) -> Result<(), Reject> {
        if request.reserved != 0 || request.reserved2 != 0 || request.reserved3 != 0 {
            return reject(
                Code::RESERVED_NOT_ZERO,
                0,
                request.reserved3 as i64 | i64::from(request.reserved2),
            );
        }
        let feed = self.feed_of(request.feed)?;
        if request.action > action::USE_FALLBACK {
            return reject(
                Code::PARAMETER_OUT_OF_BOUNDS,
                i64::from(action::USE_FALLBACK),
                i64::from(request.action),
            );
        }
        if request.action != action::EXCLUDE_SOURCE && request.source != [0; 32] {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.source[0]));
        }
        let earliest_ns = now_ns.saturating_add(1);
        let (low_ns, high_ns) = match request.action {
            action::LIFT => (0, 0),
            _ => (earliest_ns, now_ns.saturating_add(MAX_OVERRIDE_NS)),
        };
        if !(low_ns..=high_ns).contains(&request.until_ns) {
            let bound = if request.until_ns < low_ns { low_ns } else { high_ns };
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, request.until_ns);
        }
        let excluded = feed.sources.iter().any(|source| source.excluded_until_ns.is_some());
        match request.action {
            action::LIFT if feed.forced.is_none() && !excluded => reject(Code::INVALID_TRANSITION, 1, 0),
            action::EXCLUDE_SOURCE if !feed.present().any(|source| source.key == request.source) => {
                reject(Code::SOURCE_NOT_REGISTERED, feed.present().count() as i64, i64::from(request.feed))
            }
            action::USE_FALLBACK => {
                let target = self.feed_of(feed.fallback)?;
                let users = target.users.len();
                if users >= MAX_FALLBACK_USERS && !target.users.contains(&request.feed) {
                    return reject(Code::CAPACITY_EXCEEDED, MAX_FALLBACK_USERS as i64, users as i64);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start_override(&mut self, command: &Command, request: &OverrideFeed, output: &mut Output) {
        let mut switched = false;
        let handle = request.feed;
        if request.action == action::EXCLUDE_SOURCE {
            let feed = self.state.feeds.get_mut(handle).expect("checked before");
            let source = feed.sources.iter_mut().find(|source| source.key == request.source);
            source.expect("checked before").excluded_until_ns = Some(request.until_ns);
        } else {
            // One override of the whole feed at a time: the new one takes the place of the old one.
            let ends = if request.action == action::LIFT { Ends::All } else { Ends::OfTheFeed };
            switched = self.end_overrides(command, handle, ends, output);
        }
        let feed = self.state.feeds.get_mut(handle).expect("checked before");
        let fallback = feed.fallback;
        let target = if request.action == action::USE_FALLBACK { fallback } else { NO_FEED };
        if matches!(request.action, action::FORCE_INVALID | action::USE_FALLBACK) {
            feed.forced = Some(FeedOverride { action: request.action, until_ns: request.until_ns, target });
        }
        if let Some(target) = self.state.feeds.get_mut(target) {
            target.users.push(handle);
            switched = true;
        }
        if request.action != action::LIFT {
            let started = (request.action, request.until_ns, request.source, target);
            emit_override(command, EventKind::FeedOverridden, handle, started, output);
        }
        let feed = self.state.feeds.get_mut(handle).expect("checked before");
        let mut refreshed = feed.refresh(command.time_ns);
        feed.schedule(&mut self.state.due, handle, command.time_ns);
        refreshed.tell |= switched;
        self.spread(command, handle, &refreshed, output);
    }

    /// Ends overrides of a feed; true when it was switched to another one and no longer is.
    pub(super) fn end_overrides(
        &mut self,
        command: &Command,
        handle: u32,
        ends: Ends,
        output: &mut Output,
    ) -> bool {
        let feed = self.state.feeds.get_mut(handle).expect("the caller knows the feed");
        let past = |until_ns: i64| until_ns <= command.time_ns;
        for source in &mut feed.sources {
            let over = |&until_ns: &i64| ends == Ends::All || (ends == Ends::RunOut && past(until_ns));
            if let Some(until_ns) = source.excluded_until_ns.filter(over) {
                source.excluded_until_ns = None;
                let ended = (action::EXCLUDE_SOURCE, until_ns, source.key, NO_FEED);
                emit_override(command, EventKind::FeedOverrideEnded, handle, ended, output);
            }
        }
        let Some(forced) = feed.forced.filter(|forced| ends != Ends::RunOut || past(forced.until_ns)) else {
            return false;
        };
        feed.forced = None;
        let ended = (forced.action, forced.until_ns, [0; 32], forced.target);
        emit_override(command, EventKind::FeedOverrideEnded, handle, ended, output);
        match self.state.feeds.get_mut(forced.target) {
            Some(target) => {
                target.users.retain(|&user| user != handle);
                true
            }
            None => false,
        }
    }

    fn feed_of(&self, feed: u32) -> Result<&Feed, Reject> {
        let feeds = &self.state.feeds;
        feeds.get(feed).ok_or(Reject::new(Code::FEED_NOT_FOUND, feeds.len() as i64, i64::from(feed)))
    }

    /// Bounds of a feed's parameters; `own` is the feed itself, which cannot be its fallback.
    fn check_feed_parameters(&self, request: &RegisterFeed, own: u32) -> Result<(), Reject> {
        // One source alone is nobody's price of an asset (P6.1.2); a venue's own feed has one.
        let least = if request.feed_kind == feed_kind::ASSET { 2 } else { 1 };
        let ranges = [
            (u32::from(request.feed_kind), 0, u32::from(feed_kind::PROBABILITY)),
            (u32::from(request.quorum), least, MAX_SOURCES as u32),
            (request.interval_ms, FEED_INTERVAL_MS.0, FEED_INTERVAL_MS.1),
            (request.max_confidence_ppm, FEED_CONFIDENCE_PPM.0, FEED_CONFIDENCE_PPM.1),
            (request.max_deviation_bp, FEED_DEVIATION_BP.0, FEED_DEVIATION_BP.1),
        ];
        for (given, low, high) in ranges {
            if !(low..=high).contains(&given) {
                let bound = if given < low { low } else { high };
                return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(bound), i64::from(given));
            }
        }
        if request.fallback != NO_FEED {
            let fallback = self.feed_of(request.fallback)?;
            if request.fallback == own || fallback.kind != request.feed_kind {
                return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(own), i64::from(request.fallback));
            }
        }
        Ok(())
    }
}

fn check_reserved(request: &RegisterFeed) -> Result<(), Reject> {
    let reserved =
        u64::from(request.reserved) | u64::from(request.reserved2) | request.reserved3 | request.reserved4;
    match reserved {
        0 => Ok(()),
        given => reject(Code::RESERVED_NOT_ZERO, 0, given as i64),
    }
}

/// Visible ASCII, zero padded.
fn check_symbol(symbol: &[u8; 16]) -> Result<(), Reject> {
    let length = symbol.iter().position(|&byte| byte == 0).unwrap_or(16);
    let (name, padding) = symbol.split_at(length);
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) || padding.iter().any(|&byte| byte != 0) {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, length as i64);
    }
    Ok(())
}

/// Whether the edited next table would become the present one.
pub(super) fn check_source(feed: &Feed, request: &SetFeedSource, now_ns: i64) -> Result<bool, Reject> {
    if request.source == [0; 32] {
        return Err(Code::ZERO_AUTHORITY.into());
    }
    let others =
        || feed.sources.iter().filter(|source| source.key != request.source).map(|source| source.next_weight);
    let known = feed.sources.iter().any(|source| source.key == request.source);
    if request.weight == 0 && !known {
        return reject(Code::SOURCE_NOT_REGISTERED, feed.sources.len() as i64, i64::from(request.feed));
    }
    let sum = u32::from(request.weight) + others().map(u32::from).sum::<u32>();
    if sum > WEIGHT_SUM {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(WEIGHT_SUM), i64::from(sum));
    }
    let count = others().filter(|&weight| weight > 0).count() + usize::from(request.weight > 0);
    if count > MAX_SOURCES {
        return reject(Code::CAPACITY_EXCEEDED, MAX_SOURCES as i64, count as i64);
    }
    if sum < WEIGHT_SUM {
        return Ok(false);
    }
    if count < usize::from(feed.quorum) {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(feed.quorum), count as i64);
    }
    if now_ns < feed.sources_ready_ns {
        return reject(Code::PARAMETER_COOLDOWN, feed.sources_ready_ns, now_ns);
    }
    Ok(true)
}

fn set_parameters(feed: &mut Feed, request: &RegisterFeed) {
    feed.quorum = request.quorum;
    feed.interval_ms = request.interval_ms;
    feed.max_confidence_ppm = request.max_confidence_ppm;
    feed.max_deviation_bp = request.max_deviation_bp;
    feed.fallback = request.fallback;
}

fn emit_feed(command: &Command, feed: &Feed, handle: u32, output: &mut Output) {
    let body = FeedBody {
        symbol: feed.symbol,
        feed: handle,
        feed_kind: feed.kind,
        quorum: feed.quorum,
        reserved: 0,
        interval_ms: feed.interval_ms,
        max_confidence_ppm: feed.max_confidence_ppm,
        max_deviation_bp: feed.max_deviation_bp,
        fallback: feed.fallback,
        config_version: feed.config_version,
        reserved2: 0,
        ready_ns: feed.ready_ns,
    };
    output.emit(command, EventKind::FeedChanged, Subject::NONE, &body);
}

fn emit_pending(command: &Command, feed: &Feed, handle: u32, pending: &PendingOverride, output: &mut Output) {
    let place = feed.sources.iter().position(|source| source.key == pending.source);
    let body = OverridePendingBody {
        feed: handle,
        action: pending.action,
        source: place.map_or(NO_SOURCE, |place| place as u8),
        reserved: 0,
        until_ns: pending.until_ns,
        pending_until_ns: pending.pending_until_ns,
        principal: pending.by,
    };
    output.emit(command, EventKind::FeedOverridePending, Subject::NONE, &body);
}

fn emit_override(
    command: &Command,
    kind: EventKind,
    feed: u32,
    (action, until_ns, source, target): (u8, i64, [u8; 32], u32),
    output: &mut Output,
) {
    let body =
        OverrideBody { feed, action, reserved: 0, reserved2: 0, until_ns, source, target, reserved3: 0 };
    output.emit(command, kind, Subject::NONE, &body);
}
