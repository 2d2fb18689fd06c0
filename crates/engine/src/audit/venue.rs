//! What venues show, rebuilt from events alone: nothing crossed, stale or out of order is ever taken, probabilities add
//! up, and a batch tells what became of its items (P6.3, P6.7).

use super::fault::{ensure, Check};
use super::Auditor;
use crate::hash::Map;
use crate::venue::{Source, Venues};
use crate::wire::event::{
    Event, EventKind, VenueBatchBody, VenueLinkBody, VenueOutageBody, VenueQuoteBody, VenueRefreshBody,
};

const CERTAIN: u32 = 1_000_000;
/// 100 bp of one, of the doubled values.
const TOLERANCE: i64 = 20_000;
const SECOND_NS: i64 = 1_000_000_000;
/// Oldest quote that is taken, and how far ahead of the platform one may be.
const STALE_NS: i64 = 300 * SECOND_NS;
const AHEAD_NS: i64 = SECOND_NS;
/// Micro-USDC below which the confidence is doubled.
const THIN: i64 = 10_000_000_000;
/// How long without a good batch makes level 1 and level 2 of an outage.
const OUTAGE_NS: [i64; 3] = [0, 180 * SECOND_NS, 300 * SECOND_NS];
/// Markets of a refresh.
const MARKED: u32 = 384;

/// A linked market.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    source: u16,
    outcomes: u8,
    /// Outcomes of the quotes that are coming part by part, and their sum and widest spread.
    parts: u8,
    doubled: i64,
    widest: u32,
    venue_time_ns: i64,
    seq: u64,
}

/// What a source's open batch took, and when its last good one ended.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    last_batch: u64,
    quoted: u32,
    refreshed: u32,
    success_ns: i64,
    outage: u8,
}

/// All venues.
#[derive(Clone, Debug, Default)]
pub struct Shows {
    markets: Map<u32, Shown>,
    sources: Vec<([u8; 32], Counted)>,
}

impl Shows {
    /// Takes the venues of a restored state over.
    pub fn load(&mut self, venues: &Venues) {
        for Source { key, last_batch, success_ns, outage, open, .. } in &venues.sources {
            let (quoted, refreshed) = open.as_ref().map_or((0, 0), |open| (open.quoted, open.refreshed));
            let counted = Counted {
                last_batch: (*last_batch).saturating_sub(u64::from(open.is_some())),
                quoted,
                refreshed,
                success_ns: *success_ns,
                outage: *outage,
            };
            self.sources.push((*key, counted));
        }
        for entry in venues.entries() {
            let shown = Shown {
                source: entry.source,
                outcomes: entry.outcomes,
                venue_time_ns: entry.venue_time_ns,
                seq: entry.seq,
                ..Shown::default()
            };
            self.markets.insert(entry.market, shown);
        }
    }

    fn counted(&mut self, source: u16) -> Check<&mut Counted> {
        let known = self.sources.len();
        match self.sources.get_mut(usize::from(source)) {
            Some((_, counted)) => Ok(counted),
            None => Err(super::fault::fault("I25", format_args!("source {source} of {known} is told of"))),
        }
    }

    /// A stamp that may follow the market's last one, from the market's own source.
    fn stamped(
        &mut self,
        market: u32,
        by: &[u8; 32],
        (venue_time_ns, seq): (i64, u64),
        now_ns: i64,
    ) -> Check<&mut Shown> {
        let Some(shown) = self.markets.get_mut(&market) else {
            return Err(super::fault::fault("I25", format_args!("market {market} shows no venue")));
        };
        let owner = self.sources.get(usize::from(shown.source)).map(|(key, _)| key);
        ensure!(owner == Some(by), "I25", "market {market} is quoted by a stranger");
        let age_ns = now_ns - venue_time_ns;
        ensure!(
            (-AHEAD_NS..=STALE_NS).contains(&age_ns) && venue_time_ns >= shown.venue_time_ns,
            "I25",
            "market {market} takes quotes of {age_ns} ns of age"
        );
        ensure!(seq > shown.seq, "I25", "market {market} takes {seq} behind {}", shown.seq);
        Ok(shown)
    }
}

impl Auditor {
    pub(super) fn check_venue(&mut self, kind: EventKind, event: &Event) -> Check {
        match kind {
            EventKind::VenueLinked => self.venue_linked(event),
            EventKind::VenueQuoted => self.venue_quoted(event),
            EventKind::VenueRefreshed => self.venue_refreshed(event),
            EventKind::VenueBatchApplied => self.venue_batch(event),
            _ => self.venue_outage(event),
        }
    }

    fn venue_linked(&mut self, event: &Event) -> Check {
        let body: VenueLinkBody = event.body_as();
        let market = *self.market(event.market)?;
        ensure!(
            market.has_outcomes() && market.outcome_count == body.outcomes,
            "I25",
            "market {} has {} outcomes, not {}",
            event.market,
            market.outcome_count,
            body.outcomes
        );
        let number = usize::from(body.source);
        ensure!(number <= self.venues.sources.len(), "I25", "source {number} comes out of order");
        if number == self.venues.sources.len() {
            let fresh = Counted { success_ns: event.time_ns, ..Counted::default() };
            self.venues.sources.push((body.key, fresh));
        }
        ensure!(self.venues.sources[number].0 == body.key, "I25", "source {number} has another key");
        let shown = Shown { source: body.source, outcomes: body.outcomes, ..Shown::default() };
        let before = self.venues.markets.insert(event.market, shown);
        ensure!(before.is_none(), "I25", "market {} is linked twice", event.market);
        Ok(())
    }

    fn venue_quoted(&mut self, event: &Event) -> Check {
        let body: VenueQuoteBody = event.body_as();
        let stamp = (body.venue_time_ns, body.source_seq);
        let Auditor { venues, principal, .. } = self;
        let shown = venues.stamped(event.market, principal, stamp, event.time_ns)?;
        let count = usize::from(body.quotes);
        ensure!(
            body.first == shown.parts && (1..=5).contains(&count),
            "I25",
            "outcomes from {} on come behind {}",
            body.first,
            shown.parts
        );
        for (&bid, &ask) in body.bids.iter().zip(&body.asks).take(count) {
            ensure!(bid < ask && ask <= CERTAIN, "I25", "market {} takes {bid}/{ask}", event.market);
            shown.doubled += i64::from(bid) + i64::from(ask);
            shown.widest = shown.widest.max((ask - bid).div_ceil(2));
        }
        shown.parts += body.quotes;
        if shown.parts < shown.outcomes {
            return Ok(());
        }
        let off = (shown.doubled - 2 * i64::from(CERTAIN)).abs();
        ensure!(
            shown.parts == shown.outcomes && off <= TOLERANCE,
            "I25",
            "{} outcomes of market {} are {off} half millionths off one",
            shown.parts,
            event.market
        );
        let confidence = shown.widest.max(1) * if body.liquidity < THIN { 2 } else { 1 };
        ensure!(
            confidence == body.confidence,
            "I25",
            "the confidence is {}, not {confidence}",
            body.confidence
        );
        *shown = Shown {
            source: shown.source,
            outcomes: shown.outcomes,
            venue_time_ns: body.venue_time_ns,
            seq: body.source_seq,
            ..Shown::default()
        };
        let source = shown.source;
        self.venues.counted(source)?.quoted += 1;
        Ok(())
    }

    fn venue_refreshed(&mut self, event: &Event) -> Check {
        let body: VenueRefreshBody = event.body_as();
        let stamp = (body.venue_time_ns, body.source_seq);
        let mut count = 0;
        for place in 0..MARKED {
            if body.markets[place as usize / 8] >> (place % 8) & 1 == 0 {
                continue;
            }
            let Auditor { venues, principal, .. } = self;
            let shown = venues.stamped(body.first + place, principal, stamp, event.time_ns)?;
            ensure!(shown.venue_time_ns != 0, "I25", "market {} has no quotes", body.first + place);
            (shown.venue_time_ns, shown.seq) = stamp;
            let source = shown.source;
            self.venues.counted(source)?.refreshed += 1;
            count += 1;
        }
        ensure!(count == body.count && count > 0, "I25", "{count} markets are marked, not {}", body.count);
        Ok(())
    }

    fn venue_batch(&mut self, event: &Event) -> Check {
        let body: VenueBatchBody = event.body_as();
        let counted = self.venues.counted(body.source)?;
        ensure!(body.batch > counted.last_batch, "I25", "batch {} comes late", body.batch);
        ensure!(
            (u32::from(body.quoted), u32::from(body.refreshed)) == (counted.quoted, counted.refreshed),
            "I25",
            "batch {} took {} and {}, not {} and {}",
            body.batch,
            counted.quoted,
            counted.refreshed,
            body.quoted,
            body.refreshed
        );
        let skipped = [
            body.market_not_found,
            body.feed_not_found,
            body.source_not_registered,
            body.market_not_active,
            body.invalid_outcome,
            body.publish_out_of_order,
            body.future_timestamp,
            body.stale_price,
            body.parameter_out_of_bounds,
            body.non_positive_price,
            body.crossed_source,
            body.invalid_probabilities,
        ];
        let skipped: u64 = skipped.into_iter().map(u64::from).sum();
        let taken = u64::from(body.quoted) + u64::from(body.refreshed);
        let all = u64::from(body.count).max(taken + skipped) + u64::from(body.unreadable);
        let bad = skipped + u64::from(body.missing) + u64::from(body.unreadable);
        ensure!(taken + bad == all, "I25", "batch {} is {taken} good and {bad} bad of {all}", body.batch);
        ensure!(
            (body.alert, body.failed) == (u8::from(bad * 100 > all), u8::from(bad * 5 > all)),
            "I25",
            "batch {} with {bad} of {all} bad says {} and {}",
            body.batch,
            body.alert,
            body.failed
        );
        (counted.last_batch, counted.quoted, counted.refreshed) = (body.batch, 0, 0);
        if body.failed == 0 {
            counted.success_ns = event.time_ns;
        }
        Ok(())
    }

    fn venue_outage(&mut self, event: &Event) -> Check {
        let body: VenueOutageBody = event.body_as();
        let counted = self.venues.counted(body.source)?;
        let steps = match body.level {
            0 => counted.outage > 0,
            level => level == counted.outage + 1 && usize::from(level) < OUTAGE_NS.len(),
        };
        ensure!(steps, "I25", "outage goes from {} to {}", counted.outage, body.level);
        ensure!(
            body.success_ns == counted.success_ns
                && event.time_ns - body.success_ns >= OUTAGE_NS[usize::from(body.level)],
            "I25",
            "outage {} is {} ns behind the last good batch",
            body.level,
            event.time_ns - counted.success_ns
        );
        counted.outage = body.level;
        Ok(())
    }
}
