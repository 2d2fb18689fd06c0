//! Quotes of outside venues: links, batches, items, outages (protocol P6.3, P6.7, row 0702).
//!
//! An item that cannot be taken is skipped and counted by its code; it never fails its batch. Each item is accepted
//! as a command, and its value is 0 when it was taken, else the number of the code it was skipped for.

use super::breaker_inputs::WORST_TOLERATED_STATE;
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::halts::breaker::{cause, id as breaker_id};
use crate::halts::Reading;
use crate::limits::*;
use crate::market::{kind as market_kind, status};
use crate::oracle::{matrix, state};
use crate::output::{Output, Subject};
use crate::venue::{judge, Entry, Judged, Open, Quote, Source, Venues, SUM_HALT};
use crate::wire::command::{Command, LinkVenue, PublishVenueBatch, RefreshVenue, VenueItem};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, VenueLinkBody, VenueOutageBody, VenueQuoteBody, VenueRefreshBody};

/// Outcomes of one item.
const PART: usize = 5;
/// The engine itself, as the principal of a trip.
const ENGINE: [u8; 32] = [0; 32];

impl<B: Book> Engine<B> {
    /// What venues show.
    pub fn venues(&self) -> &Venues {
        &self.state.venues
    }

    /// Links an outcome market to what a venue trades under a condition; for a linked market a new source.
    ///
    /// # Errors
    /// `RESERVED_NOT_ZERO`, `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `ZERO_AUTHORITY` (no source),
    /// `PARAMETER_OUT_OF_BOUNDS` (no condition), `ALREADY_EXISTS` (the condition or the market is linked),
    /// `CAPACITY_EXCEEDED` (sources).
    pub(crate) fn link_venue(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let LinkVenue { market, reserved, condition, source: key } = command.payload_as();
        if reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved));
        }
        let Some(known) = self.state.markets.list.get(market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, self.state.markets.list.len() as i64, i64::from(market));
        };
        if !known.has_outcomes() {
            return reject(Code::INVALID_MARKET_KIND, i64::from(market_kind::OUTCOME), i64::from(known.kind));
        }
        if key == [0; 32] {
            return Err(Code::ZERO_AUTHORITY.into());
        }
        if condition == [0; 32] {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        let outcomes = known.outcome_count;
        let venues = &self.state.venues;
        let taken = venues.of_condition(&condition).or(venues.of_market(market).map(|entry| entry.market));
        if let Some(taken) = taken {
            return reject(Code::ALREADY_EXISTS, i64::from(taken), i64::from(market));
        }
        let number = venues.source_of(&key);
        if number.is_none() && venues.sources.len() >= MAX_VENUE_SOURCES {
            return reject(Code::CAPACITY_EXCEEDED, MAX_VENUE_SOURCES as i64, venues.sources.len() as i64);
        }
        let (venues, now_ns) = (&mut self.state.venues, command.time_ns);
        let number = number.unwrap_or_else(|| {
            let number = venues.add_source(key, now_ns);
            venues.reschedule(&mut self.state.due, number, |_| ());
            number
        });
        venues.link(market, outcomes, condition, number, now_ns);
        let body =
            VenueLinkBody { source: number as u16, outcomes, reserved: 0, reserved2: 0, condition, key };
        output.emit(command, EventKind::VenueLinked, Subject::market(market), &body);
        Ok(number as u64)
    }

    /// Opens a batch. One whose items never came is closed with what it had.
    ///
    /// # Errors
    /// `SOURCE_NOT_REGISTERED`, `BATCH_TOO_LARGE` (1..1,000 markets), `PUBLISH_OUT_OF_ORDER`,
    /// `PARAMETER_OUT_OF_BOUNDS` (unreadable entries).
    pub(crate) fn publish_venue_batch(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let PublishVenueBatch { batch, count, unreadable } = command.payload_as();
        let Some(number) = self.state.venues.source_of(&command.principal) else {
            return reject(Code::SOURCE_NOT_REGISTERED, self.state.venues.sources.len() as i64, 0);
        };
        if count == 0 || count > MAX_VENUE_BATCH {
            return reject(Code::BATCH_TOO_LARGE, i64::from(MAX_VENUE_BATCH), i64::from(count));
        }
        if unreadable > MAX_VENUE_BATCH {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(MAX_VENUE_BATCH), i64::from(unreadable));
        }
        let last = self.state.venues.sources[number].last_batch;
        if batch <= last {
            return reject(Code::PUBLISH_OUT_OF_ORDER, last as i64, batch as i64);
        }
        if self.state.venues.sources[number].open.is_some() {
            self.close_venue_batch(command, number, output);
        }
        let source = &mut self.state.venues.sources[number];
        source.last_batch = batch;
        source.open = Some(Open::new(batch, count, unreadable));
        Ok(batch)
    }

    /// One item of the open batch, or one part of a market of many outcomes.
    ///
    /// # Errors
    /// `SOURCE_NOT_REGISTERED`; `BATCH_ITEM_FAILED` without an open batch. Everything else skips the item.
    pub(crate) fn venue_item(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let item: VenueItem = command.payload_as();
        let number = self.open_source(command, item.market)?;
        let answer = match self.take_item(command, number, &item, output) {
            Ok(true) => {
                self.open_batch(number).quoted += 1;
                0
            }
            // The other parts of the market come behind it.
            Ok(false) => return Ok(0),
            Err(code) => {
                let open = self.open_batch(number);
                open.staged.clear();
                open.skip(code, 1);
                code as u64
            }
        };
        self.end_venue_batch(command, number, output);
        Ok(answer)
    }

    /// Markets of the open batch that have not changed: only their age begins again (P6.7.5).
    ///
    /// # Errors
    /// As [`Self::venue_item`]; `RESERVED_NOT_ZERO`, `FUTURE_TIMESTAMP`, `PARAMETER_OUT_OF_BOUNDS` (no market is
    /// marked).
    pub(crate) fn refresh_venue(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: RefreshVenue = command.payload_as();
        let number = self.open_source(command, request.first)?;
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let latest_ns = command.time_ns.saturating_add(MAX_SOURCE_AHEAD_NS);
        if request.venue_time_ns > latest_ns {
            return reject(Code::FUTURE_TIMESTAMP, latest_ns, request.venue_time_ns);
        }
        if request.markets == [0; 48] {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        let stamp = (request.venue_time_ns, request.source_seq);
        let (mut taken, mut count) = ([0_u8; 48], 0);
        for (place, byte) in request.markets.into_iter().enumerate() {
            for bit in (0..8).filter(|bit| byte >> bit & 1 != 0) {
                let market = request.first.saturating_add((place * 8 + bit) as u32);
                let answer = self.stamped(command, number, market, stamp).and_then(|entry| {
                    // There is nothing yet that could be unchanged.
                    if entry.venue_time_ns == 0 || entry.broken {
                        return Err(Code::NON_POSITIVE_PRICE);
                    }
                    Ok(())
                });
                match answer {
                    Ok(()) => {
                        self.state.venues.refresh(market, stamp, command.time_ns);
                        taken[place] |= 1 << bit;
                        count += 1;
                    }
                    Err(code) => self.open_batch(number).skip(code, 1),
                }
            }
        }
        if count > 0 {
            let body = VenueRefreshBody {
                first: request.first,
                count,
                venue_time_ns: request.venue_time_ns,
                source_seq: request.source_seq,
                markets: taken,
            };
            output.emit(command, EventKind::VenueRefreshed, Subject::NONE, &body);
        }
        self.open_batch(number).refreshed += count;
        self.end_venue_batch(command, number, output);
        Ok(u64::from(count))
    }

    fn open_source(&self, command: &Command, market: u32) -> Result<usize, Reject> {
        let Some(number) = self.state.venues.source_of(&command.principal) else {
            return reject(
                Code::SOURCE_NOT_REGISTERED,
                self.state.venues.sources.len() as i64,
                i64::from(market),
            );
        };
        if self.state.venues.sources[number].open.is_none() {
            return reject(Code::BATCH_ITEM_FAILED, 0, i64::from(market));
        }
        Ok(number)
    }

    fn open_batch(&mut self, number: usize) -> &mut Open {
        self.state.venues.sources[number].open.as_mut().expect("the caller found it open")
    }

    /// A market that this source may stamp now, by the checks that items and refreshes share.
    fn stamped(
        &self,
        command: &Command,
        number: usize,
        market: u32,
        (venue_time_ns, seq): (i64, u64),
    ) -> Result<&Entry, Code> {
        let known = self.state.markets.list.get(market as usize).ok_or(Code::MARKET_NOT_FOUND)?;
        let entry = self.state.venues.of_market(market).ok_or(Code::FEED_NOT_FOUND)?;
        if usize::from(entry.source) != number {
            return Err(Code::SOURCE_NOT_REGISTERED);
        }
        if known.status > status::CLOSE_ONLY {
            return Err(Code::MARKET_NOT_ACTIVE);
        }
        if seq <= entry.seq || venue_time_ns < entry.venue_time_ns {
            return Err(Code::PUBLISH_OUT_OF_ORDER);
        }
        if venue_time_ns > command.time_ns.saturating_add(MAX_SOURCE_AHEAD_NS) {
            return Err(Code::FUTURE_TIMESTAMP);
        }
        if command.time_ns.saturating_sub(venue_time_ns) > FEED_STALE_NS.1 {
            return Err(Code::STALE_PRICE);
        }
        Ok(entry)
    }

    /// Whether the item completes its market.
    fn take_item(
        &mut self,
        command: &Command,
        number: usize,
        item: &VenueItem,
        output: &mut Output,
    ) -> Result<bool, Code> {
        let stamp = (item.venue_time_ns, item.source_seq);
        let outcomes = usize::from(self.stamped(command, number, item.market, stamp)?.outcomes);
        let (first, count) = (usize::from(item.first), usize::from(item.quotes));
        let expected = outcomes.saturating_sub(first).min(PART);
        if count != expected || count == 0 {
            return Err(Code::INVALID_OUTCOME);
        }
        if item.reserved != 0 || item.liquidity < 0 || item.venue_time_ns <= 0 {
            return Err(Code::PARAMETER_OUT_OF_BOUNDS);
        }
        let open = self.open_batch(number);
        let same = (open.staged_market, open.staged_seq) == (item.market, item.source_seq);
        if first == 0 {
            open.staged.clear();
        } else if !same || open.staged.len() != first {
            return Err(Code::INVALID_OUTCOME);
        }
        (open.staged_market, open.staged_seq) = (item.market, item.source_seq);
        let quotes = item.bids.iter().zip(&item.asks).map(|(&bid, &ask)| Quote { bid, ask });
        open.staged.extend(quotes.take(count));
        if open.staged.len() < outcomes {
            return Ok(false);
        }
        let staged = std::mem::take(&mut open.staged);
        match judge(&staged) {
            Judged::Good => {
                self.state.venues.take(item.market, &staged, item.liquidity, stamp, command.time_ns);
                self.tell_quotes(command, item.market, output);
                Ok(true)
            }
            Judged::Bad(code) => Err(code),
            Judged::Halts(sum) => {
                self.halt_venue(command, item.market, sum, output);
                Err(Code::INVALID_PROBABILITIES)
            }
        }
    }

    /// One event for every five outcomes.
    fn tell_quotes(&self, command: &Command, market: u32, output: &mut Output) {
        let entry = self.state.venues.of_market(market).expect("quotes were taken for it");
        for (part, quotes) in self.state.venues.quotes(entry).chunks(PART).enumerate() {
            let mut body = VenueQuoteBody {
                first: (part * PART) as u8,
                quotes: quotes.len() as u8,
                state: entry.state(command.time_ns),
                reserved: 0,
                confidence: entry.confidence,
                liquidity: entry.liquidity,
                venue_time_ns: entry.venue_time_ns,
                source_seq: entry.seq,
                bids: [0; PART],
                asks: [0; PART],
            };
            for (place, quote) in quotes.iter().enumerate() {
                (body.bids[place], body.asks[place]) = (quote.bid, quote.ask);
            }
            output.emit(command, EventKind::VenueQuoted, Subject::market(market), &body);
        }
    }

    /// Quotes so far from one that something is wrong with the venue: the market's oracle breaker (P6.3).
    fn halt_venue(&mut self, command: &Command, market: u32, sum: u64, output: &mut Output) {
        self.state.venues.doubt(market, command.time_ns);
        self.open_halts(market);
        let breaker = self.state.halts.breaker(market, breaker_id::ORACLE).expect("opened just now");
        if breaker.watches(command.time_ns) {
            let reading = Reading {
                breaker: breaker_id::ORACLE,
                cause: cause::FEED,
                value: i64::from(state::INVALID),
                threshold: WORST_TOLERATED_STATE,
            };
            debug_assert!(sum.abs_diff(1_000_000) > SUM_HALT);
            self.trip(command, market, reading, ENGINE, output);
        }
    }

    /// Closes the batch when every announced market has been dealt with.
    fn end_venue_batch(&mut self, command: &Command, number: usize, output: &mut Output) {
        if self.open_batch(number).is_complete() {
            self.close_venue_batch(command, number, output);
        }
    }

    fn close_venue_batch(&mut self, command: &Command, number: usize, output: &mut Output) {
        let open = self.state.venues.sources[number].open.take().expect("the caller found it open");
        let body = open.body(number as u16);
        output.emit(command, EventKind::VenueBatchApplied, Subject::NONE, &body);
        if body.failed != 0 {
            return;
        }
        let was_out = self.state.venues.sources[number].outage != 0;
        let now_ns = command.time_ns;
        self.state.venues.reschedule(&mut self.state.due, number, |source| {
            (source.success_ns, source.outage) = (now_ns, 0);
        });
        if was_out {
            self.tell_outage(command, number, output);
        }
    }

    /// A source has had no good batch for 180 s, or for 300 s (P6.7.4).
    pub(crate) fn venue_due(&mut self, command: &Command, id: u64, output: &mut Output) {
        let number = id as usize;
        self.state.venues.reschedule(&mut self.state.due, number, |source| source.outage += 1);
        self.tell_outage(command, number, output);
    }

    fn tell_outage(&self, command: &Command, number: usize, output: &mut Output) {
        let Source { outage, markets, success_ns, .. } = self.state.venues.sources[number];
        let body = VenueOutageBody {
            source: number as u16,
            level: outage,
            reserved: 0,
            markets,
            success_ns,
            since_ns: command.time_ns,
        };
        output.emit(command, EventKind::VenueOutage, Subject::NONE, &body);
    }

    /// The oracle matrix (P6.5) for a market that shows a venue's. After 300 s without a good batch all markets of the
    /// source are as if their oracle breaker had tripped.
    pub(crate) fn check_venue(&self, market: u32, action: Action, now_ns: i64) -> Result<(), Reject> {
        let Some(entry) = self.state.venues.of_market(market) else { return Ok(()) };
        let source = &self.state.venues.sources[usize::from(entry.source)];
        let mut venue_state = entry.state(now_ns);
        if source.outage >= 2 {
            venue_state = venue_state.max(state::STALE);
        }
        match matrix::cell(venue_state, action) {
            // Nothing of an outcome market is put aside for later.
            Cell::Refused | Cell::Queued => Err(matrix::refusal(venue_state, entry.since_ns())),
            _ => Ok(()),
        }
    }
}
