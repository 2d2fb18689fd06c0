//! Prices from outside: publications, and what time alone changes (protocol P6, row 0701).

use super::feeds::Ends;
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::MAX_SOURCE_AHEAD_NS;
use crate::math::MAX_BALANCE;
use crate::oracle::{feed_kind, Feed, Feeds, Refreshed, Source};
use crate::output::{Output, Subject};
use crate::wire::command::{Command, PublishPrice};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, FeedStateBody, IndexBody, SourceBody};

/// Largest value of a probability feed: the payout (P6.1.5).
const MAX_PROBABILITY: i64 = 1_000_000;
const MILLISECOND_NS: i64 = 1_000_000;

impl<B: Book> Engine<B> {
    /// Price feeds as they stand.
    pub fn feeds(&self) -> &Feeds {
        &self.state.feeds
    }

    pub(crate) fn publish_price(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: PublishPrice = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let Some(feed) = self.state.feeds.get(request.feed) else {
            return reject(Code::FEED_NOT_FOUND, self.state.feeds.len() as i64, i64::from(request.feed));
        };
        let place = feed.sources.binary_search_by_key(&command.principal, |source| source.key).ok();
        let Some(place) = place.filter(|&place| feed.sources[place].weight > 0) else {
            return reject(
                Code::SOURCE_NOT_REGISTERED,
                feed.present().count() as i64,
                i64::from(request.feed),
            );
        };
        let last = &feed.sources[place];
        if last.value > 0 && request.source_seq == last.seq {
            // Two values under one number: refused below, and evidence against the source (P13.3).
            let (first, second) = (last.value, request.value);
            self.cursor.conflicts.note(&last.key, request.feed, request.source_seq, first, second);
        }
        check_publication(feed, last, &request, command.time_ns)?;
        if feed.is_due(command.time_ns) {
            // What time has changed before this publication comes first, as if its Tick had been in time.
            self.look_at_feed(command, request.feed, output);
        }
        let feed = self.state.feeds.get_mut(request.feed).expect("found above");
        let source = &mut feed.sources[place];
        (source.value, source.confidence) = (request.value, request.confidence);
        (source.time_ns, source.seq) = (request.source_time_ns, request.source_seq);
        let refreshed = feed.refresh(command.time_ns);
        feed.schedule(&mut self.state.due, request.feed, command.time_ns);
        emit_source(command, feed, place, request.feed, output);
        self.spread(command, request.feed, &refreshed, output);
        Ok(request.source_seq)
    }

    /// A feed's due item: something may have changed by time alone.
    pub(crate) fn oracle_due(&mut self, command: &Command, _kind: u8, id: u64, output: &mut Output) {
        let feed = id as u32;
        self.state.feeds.get_mut(feed).expect("a due item has its feed").due_taken();
        self.look_at_feed(command, feed, output);
    }

    /// Ends what has run out and looks at all sources again.
    pub(super) fn look_at_feed(&mut self, command: &Command, handle: u32, output: &mut Output) {
        let switched = self.end_overrides(command, handle, Ends::RunOut, output);
        let feed = self.state.feeds.get_mut(handle).expect("the caller knows the feed");
        let mut refreshed = feed.refresh(command.time_ns);
        feed.schedule(&mut self.state.due, handle, command.time_ns);
        refreshed.tell |= switched;
        self.spread(command, handle, &refreshed, output);
    }

    /// Tells of a look: events, then the concerns that use this feed.
    pub(super) fn spread(
        &mut self,
        command: &Command,
        handle: u32,
        refreshed: &Refreshed,
        output: &mut Output,
    ) {
        let feed = self.state.feeds.get(handle).expect("the caller knows the feed");
        if refreshed.range.is_some() || refreshed.gates_changed {
            emit_index(command, feed, handle, refreshed, output);
        }
        if refreshed.state_changed || refreshed.cause_changed {
            emit_state(command, feed, handle, refreshed.previous_state, output);
        }
        if !refreshed.tell {
            return;
        }
        let users = feed.users.len();
        self.after_index(command, handle, output);
        for place in 0..users {
            let user = self.state.feeds.get(handle).and_then(|feed| feed.users.get(place)).copied();
            if let Some(user) = user {
                self.after_index(command, user, output);
            }
        }
    }
}

/// Checks of row 0701, and the gates of P6.1.1 that one publication can fail for good.
fn check_publication(
    feed: &Feed,
    source: &Source,
    request: &PublishPrice,
    now_ns: i64,
) -> Result<(), Reject> {
    if request.source_seq <= source.seq {
        return reject(Code::PUBLISH_OUT_OF_ORDER, source.seq as i64, request.source_seq as i64);
    }
    if source.value > 0 && request.source_time_ns < source.time_ns {
        return reject(Code::PUBLISH_OUT_OF_ORDER, source.time_ns, request.source_time_ns);
    }
    let latest_ns = now_ns.saturating_add(MAX_SOURCE_AHEAD_NS);
    if request.source_time_ns > latest_ns {
        return reject(Code::FUTURE_TIMESTAMP, latest_ns, request.source_time_ns);
    }
    if request.value <= 0 {
        return reject(Code::NON_POSITIVE_PRICE, 1, request.value);
    }
    let largest = if feed.kind == feed_kind::PROBABILITY { MAX_PROBABILITY } else { MAX_BALANCE };
    for value in [request.value, request.confidence, request.bid, request.ask] {
        if value > largest {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, largest, value);
        }
        if value < 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, value);
        }
    }
    // A source without a book on one side has 0 there.
    if request.bid > 0 && request.ask > 0 && request.bid >= request.ask {
        return reject(Code::CROSSED_SOURCE, request.ask, request.bid);
    }
    Ok(())
}

fn emit_source(command: &Command, feed: &Feed, place: usize, handle: u32, output: &mut Output) {
    let source = &feed.sources[place];
    let present = feed.sources[..place].iter().filter(|source| source.weight > 0).count();
    let body = SourceBody {
        feed: handle,
        weight: source.weight,
        gate: feed.gate_of(present),
        reserved: 0,
        value: source.value,
        confidence: source.confidence,
        source_time_ns: source.time_ns,
        source_seq: source.seq,
        source: source.key,
    };
    output.emit(command, EventKind::SourceUpdated, Subject::NONE, &body);
}

fn emit_index(command: &Command, feed: &Feed, handle: u32, refreshed: &Refreshed, output: &mut Output) {
    let (low, high) = refreshed.range.unwrap_or((0, 0));
    let body = IndexBody {
        feed: handle,
        passing: feed.passing,
        sources: feed.present().count() as u8,
        state: feed.state(),
        reserved: 0,
        index: feed.index,
        confidence: feed.confidence,
        updated_ns: feed.updated_ns,
        low,
        high,
        gates: feed.gates,
    };
    output.emit(command, EventKind::IndexUpdated, Subject::NONE, &body);
}

pub(super) fn emit_state(command: &Command, feed: &Feed, handle: u32, previous: u8, output: &mut Output) {
    let body = FeedStateBody {
        feed: handle,
        state: feed.state(),
        previous,
        cause: feed.cause,
        clears: feed.clears,
        since_ns: feed.since_ns(),
        hold_ms: (feed.hold_ns() / MILLISECOND_NS) as u32,
        passing: feed.passing,
        sources: feed.present().count() as u8,
        reserved: 0,
        gates: feed.gates,
        index: feed.index,
        confidence: feed.confidence,
    };
    output.emit(command, EventKind::FeedStateChanged, Subject::NONE, &body);
}
