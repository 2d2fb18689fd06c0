//! What outside venues show for outcome markets (protocol P6.3, P6.7): quotes, their age, and their sources.
//!
//! One entry a linked market, quotes of all markets in one array: 21,000 markets of two outcomes take some 3 MB.

use std::collections::BTreeSet;

use crate::codec::{Reader, Writer};
use crate::hash::{id32, Id, Map};
use crate::limits::*;
use crate::oracle::state;
use crate::state::{due, Due};
use crate::wire::error::Code;
use crate::wire::event::VenueBatchBody;

/// Millionths of the payout: a certain outcome.
pub const CERTAIN: u32 = 1_000_000;
/// |Σ − 1| in millionths that an item may have (100 bp), and that halts the market (1,000 bp) (P6.3).
pub const SUM_TOLERANCE: u64 = 10_000;
pub const SUM_HALT: u64 = 100_000;
/// Confidence in millionths beyond which a market is UNCERTAIN (1 %, absolute: P6.1.5).
const MAX_CONFIDENCE: u32 = 10_000;
/// Micro-USDC below which the confidence is doubled.
const THIN_LIQUIDITY: i64 = 10_000_000_000;
/// Expected interval of a poll, and the ages of P6.1.3.
const WARN_NS: i64 = 2 * VENUE_POLL_NS;
const STALE_NS: i64 = 5 * VENUE_POLL_NS;
const _: () = assert!(STALE_NS >= FEED_STALE_NS.0 && STALE_NS <= FEED_STALE_NS.1);

/// Best prices of one outcome in millionths of the payout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    pub bid: u32,
    pub ask: u32,
}

impl Quote {
    /// (bid + ask) / 2 of this outcome alone, in half millionths so that nothing is lost.
    pub const fn doubled(self) -> u64 {
        self.bid as u64 + self.ask as u64
    }
}

/// A market that a venue shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub condition: [u8; 32],
    pub market: u32,
    /// First quote in the common array.
    first: u32,
    pub source: u16,
    pub outcomes: u8,
    /// The state that a better one waits behind, and since when the inputs are better.
    worse: u8,
    /// Its last quotes were so far from one that they count as none.
    pub broken: bool,
    /// Millionths.
    pub confidence: u32,
    better_ns: i64,
    /// Micro-USDC.
    pub liquidity: i64,
    /// 0 = never heard of.
    pub venue_time_ns: i64,
    pub seq: u64,
}

impl Entry {
    /// What age and confidence say by themselves.
    fn raw(&self, now_ns: i64) -> u8 {
        let age_ns = now_ns.saturating_sub(self.venue_time_ns);
        match () {
            () if self.venue_time_ns == 0 || self.broken => state::INVALID,
            () if age_ns > STALE_NS => state::STALE,
            () if self.confidence > MAX_CONFIDENCE => state::UNCERTAIN,
            () if age_ns > WARN_NS => state::WARN,
            () => state::VALID,
        }
    }

    /// The state that has not been left for long enough.
    fn held(&self, now_ns: i64) -> u8 {
        if now_ns < self.better_ns.saturating_add(FEED_BETTER_NS) {
            self.worse
        } else if self.worse >= state::NO_QUORUM && now_ns < self.better_ns.saturating_add(FEED_VALID_NS) {
            state::WARN
        } else {
            state::VALID
        }
    }

    /// The state of P6.2 at a moment; nothing has to happen for a market to become stale.
    pub fn state(&self, now_ns: i64) -> u8 {
        self.raw(now_ns).max(self.held(now_ns))
    }

    /// Since when, at the earliest, the state of age can hold.
    pub fn since_ns(&self) -> i64 {
        self.venue_time_ns.max(self.better_ns)
    }

    /// Whether the inputs have been good for as long as a breaker asks for.
    pub fn is_settled(&self, now_ns: i64) -> bool {
        self.state(now_ns) == state::VALID && now_ns >= self.better_ns.saturating_add(FEED_VALID_NS)
    }

    /// New inputs: a worse state holds at once, a better one after its time (P6.2).
    fn renew(&mut self, now_ns: i64, renewal: impl FnOnce(&mut Self)) {
        let before = self.state(now_ns);
        let waits = self.raw(now_ns) < before && self.held(now_ns) == before;
        renewal(self);
        if self.raw(now_ns) < before && !waits {
            (self.worse, self.better_ns) = (before, now_ns);
        }
    }
}

/// A principal that publishes for its markets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub key: [u8; 32],
    pub markets: u32,
    pub last_batch: u64,
    /// When its last good batch ended.
    pub success_ns: i64,
    /// Level of its outage, as in VenueOutageBody.
    pub outage: u8,
    pub open: Option<Open>,
}

impl Source {
    /// When its outage gets worse by time alone.
    fn due_ns(&self) -> Option<i64> {
        match self.outage {
            0 => Some(self.success_ns.saturating_add(VENUE_ALERT_NS)),
            1 => Some(self.success_ns.saturating_add(VENUE_BREAKER_NS)),
            _ => None,
        }
    }
}

/// A batch whose items are still coming, and the parts of a market of many outcomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub batch: u64,
    pub count: u32,
    pub unreadable: u32,
    pub quoted: u32,
    pub refreshed: u32,
    /// By place in [`SKIPS`].
    pub skipped: [u32; SKIPS.len()],
    pub staged_market: u32,
    pub staged_seq: u64,
    pub staged: Vec<Quote>,
}

/// Why an item may be skipped (P6.7.6), in the order of VenueBatchBody.
pub const SKIPS: [Code; 12] = [
    Code::MARKET_NOT_FOUND,
    Code::FEED_NOT_FOUND,
    Code::SOURCE_NOT_REGISTERED,
    Code::MARKET_NOT_ACTIVE,
    Code::INVALID_OUTCOME,
    Code::PUBLISH_OUT_OF_ORDER,
    Code::FUTURE_TIMESTAMP,
    Code::STALE_PRICE,
    Code::PARAMETER_OUT_OF_BOUNDS,
    Code::NON_POSITIVE_PRICE,
    Code::CROSSED_SOURCE,
    Code::INVALID_PROBABILITIES,
];

impl Open {
    pub fn new(batch: u64, count: u32, unreadable: u32) -> Self {
        Open { batch, count, unreadable, ..Open::default() }
    }

    /// Markets that have been dealt with.
    pub fn seen(&self) -> u32 {
        self.quoted + self.refreshed + self.skipped.iter().sum::<u32>()
    }

    pub fn is_complete(&self) -> bool {
        self.seen() >= self.count
    }

    /// Counts skipped markets by their code.
    pub fn skip(&mut self, code: Code, markets: u32) {
        let place = SKIPS.iter().position(|&known| known == code).expect("a code of SKIPS");
        self.skipped[place] += markets;
    }

    /// The batch as its event tells it. Bad: skipped, unreadable, or announced and missing (P6.7.6).
    pub fn body(&self, source: u16) -> VenueBatchBody {
        let missing = self.count.saturating_sub(self.seen());
        let bad = u64::from(self.skipped.iter().sum::<u32>() + self.unreadable + missing);
        let all = u64::from(self.count.max(self.seen())) + u64::from(self.unreadable);
        let count = |code: Code| {
            let place = SKIPS.iter().position(|&known| known == code).expect("a code of SKIPS");
            self.skipped[place].min(u32::from(u16::MAX)) as u16
        };
        VenueBatchBody {
            batch: self.batch,
            source,
            alert: u8::from(bad * 100 > all),
            failed: u8::from(bad * 5 > all),
            count: self.count,
            quoted: self.quoted.min(u32::from(u16::MAX)) as u16,
            refreshed: self.refreshed.min(u32::from(u16::MAX)) as u16,
            unreadable: self.unreadable,
            missing: missing.min(u32::from(u16::MAX)) as u16,
            market_not_found: count(Code::MARKET_NOT_FOUND),
            feed_not_found: count(Code::FEED_NOT_FOUND),
            source_not_registered: count(Code::SOURCE_NOT_REGISTERED),
            market_not_active: count(Code::MARKET_NOT_ACTIVE),
            invalid_outcome: count(Code::INVALID_OUTCOME),
            publish_out_of_order: count(Code::PUBLISH_OUT_OF_ORDER),
            future_timestamp: count(Code::FUTURE_TIMESTAMP),
            stale_price: count(Code::STALE_PRICE),
            parameter_out_of_bounds: count(Code::PARAMETER_OUT_OF_BOUNDS),
            non_positive_price: count(Code::NON_POSITIVE_PRICE),
            crossed_source: count(Code::CROSSED_SOURCE),
            invalid_probabilities: count(Code::INVALID_PROBABILITIES),
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
        }
    }
}

/// What a set of quotes is worth believing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    Good,
    Bad(Code),
    /// So far from one that the market halts; the sum in millionths.
    Halts(u64),
}

/// The gates of P6.1.1 and P6.3 that quotes can fail, in their order.
pub fn judge(quotes: &[Quote]) -> Judged {
    if quotes.iter().any(|quote| quote.bid > CERTAIN || quote.ask > CERTAIN) {
        return Judged::Bad(Code::PARAMETER_OUT_OF_BOUNDS);
    }
    if quotes.iter().any(|quote| quote.ask == 0) {
        return Judged::Bad(Code::NON_POSITIVE_PRICE);
    }
    if quotes.iter().any(|quote| quote.bid >= quote.ask) {
        return Judged::Bad(Code::CROSSED_SOURCE);
    }
    let doubled: u64 = quotes.iter().map(|quote| quote.doubled()).sum();
    let off = doubled.abs_diff(2 * u64::from(CERTAIN));
    if off > 2 * SUM_HALT {
        return Judged::Halts(doubled / 2);
    }
    if off > 2 * SUM_TOLERANCE {
        return Judged::Bad(Code::INVALID_PROBABILITIES);
    }
    Judged::Good
}

/// Probabilities in millionths, divided by their sum; they add up to exactly one.
pub fn normalised(quotes: &[Quote]) -> Vec<u32> {
    let sum: u64 = quotes.iter().map(|quote| quote.doubled()).sum::<u64>().max(1);
    let (mut done, mut given) = (0_u64, 0_u64);
    let share = |quote: &Quote| {
        // The rounding of every outcome is what the running total leaves open.
        done += quote.doubled();
        let upto = done * u64::from(CERTAIN) / sum;
        let value = upto - given;
        given = upto;
        value as u32
    };
    quotes.iter().map(share).collect()
}

/// Half of the widest spread, doubled where liquidity is thin (P6.3).
pub fn confidence(quotes: &[Quote], liquidity: i64) -> u32 {
    let widest = quotes.iter().map(|quote| (quote.ask - quote.bid).div_ceil(2)).max().unwrap_or(0).max(1);
    widest * if liquidity < THIN_LIQUIDITY { 2 } else { 1 }
}

/// All venues.
#[derive(Clone, Debug, Default)]
pub struct Venues {
    pub sources: Vec<Source>,
    /// In the order of their links.
    entries: Vec<Entry>,
    quotes: Vec<Quote>,
    /// Place of a market's entry plus one, by handle; derived.
    places: Vec<u32>,
    /// Derived.
    conditions: Map<Id, u32>,
}

impl Venues {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Linked markets in the order of their links.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn place(&self, market: u32) -> Option<usize> {
        match self.places.get(market as usize) {
            None | Some(0) => None,
            Some(&place) => Some(place as usize - 1),
        }
    }

    /// A linked market.
    #[inline]
    pub fn of_market(&self, market: u32) -> Option<&Entry> {
        self.place(market).map(|place| &self.entries[place])
    }

    /// Quotes of a linked market as last accepted; empty before the first.
    pub fn quotes(&self, entry: &Entry) -> &[Quote] {
        if entry.venue_time_ns == 0 {
            return &[];
        }
        &self.quotes[entry.first as usize..entry.first as usize + usize::from(entry.outcomes)]
    }

    /// The market that shows a venue's condition.
    pub fn of_condition(&self, condition: &[u8; 32]) -> Option<u32> {
        self.conditions.get(&id32(condition)).copied()
    }

    /// Number of a source.
    pub fn source_of(&self, key: &[u8; 32]) -> Option<usize> {
        self.sources.iter().position(|source| source.key == *key)
    }

    /// Adds a source; the first market's link starts its clock.
    pub fn add_source(&mut self, key: [u8; 32], now_ns: i64) -> usize {
        let source = Source { key, markets: 0, last_batch: 0, success_ns: now_ns, outage: 0, open: None };
        self.sources.push(source);
        self.sources.len() - 1
    }

    /// Links a market that is not linked yet.
    pub fn link(&mut self, market: u32, outcomes: u8, condition: [u8; 32], source: usize, now_ns: i64) {
        let first = self.quotes.len() as u32;
        self.quotes.resize(self.quotes.len() + usize::from(outcomes), Quote::default());
        self.sources[source].markets += 1;
        let entry = Entry {
            condition,
            market,
            first,
            source: source as u16,
            outcomes,
            worse: state::INVALID,
            broken: false,
            confidence: 0,
            better_ns: now_ns,
            liquidity: 0,
            venue_time_ns: 0,
            seq: 0,
        };
        self.attach(entry);
    }

    fn attach(&mut self, entry: Entry) {
        let market = entry.market as usize;
        if self.places.len() <= market {
            self.places.resize(market + 1, 0);
        }
        self.places[market] = self.entries.len() as u32 + 1;
        self.conditions.insert(id32(&entry.condition), entry.market);
        self.entries.push(entry);
    }

    /// Takes quotes that were judged good.
    pub fn take(&mut self, market: u32, quotes: &[Quote], liquidity: i64, stamp: (i64, u64), now_ns: i64) {
        let place = self.place(market).expect("the caller found the entry");
        let entry = &mut self.entries[place];
        let first = entry.first as usize;
        self.quotes[first..first + quotes.len()].copy_from_slice(quotes);
        entry.renew(now_ns, |entry| {
            (entry.venue_time_ns, entry.seq) = stamp;
            entry.liquidity = liquidity;
            entry.broken = false;
            entry.confidence = confidence(quotes, liquidity);
        });
    }

    /// Nothing that the venue shows for the market is believed until good quotes come (P6.3).
    pub fn doubt(&mut self, market: u32, now_ns: i64) {
        let place = self.place(market).expect("the caller found the entry");
        self.entries[place].renew(now_ns, |entry| entry.broken = true);
    }

    /// The quotes are as they were, at a later moment.
    pub fn refresh(&mut self, market: u32, stamp: (i64, u64), now_ns: i64) {
        let place = self.place(market).expect("the caller found the entry");
        self.entries[place].renew(now_ns, |entry| (entry.venue_time_ns, entry.seq) = stamp);
    }

    /// Puts a source's next look into the due queue, and takes the earlier one out.
    pub fn reschedule(&mut self, due: &mut BTreeSet<Due>, source: usize, change: impl FnOnce(&mut Source)) {
        let entry = &mut self.sources[source];
        if let Some(at_ns) = entry.due_ns() {
            due.remove(&(at_ns, due::VENUE, source as u64));
        }
        change(entry);
        if let Some(at_ns) = entry.due_ns() {
            due.insert((at_ns, due::VENUE, source as u64));
        }
    }

    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        for (number, source) in (0..).zip(&self.sources) {
            if let Some(at_ns) = source.due_ns() {
                due.insert((at_ns, due::VENUE, number));
            }
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.sources.len());
        for source in &self.sources {
            writer.raw(&source.key);
            writer.u64(source.last_batch);
            writer.i64(source.success_ns);
            writer.raw(&[source.outage, u8::from(source.open.is_some())]);
            if let Some(open) = &source.open {
                encode_open(open, writer);
            }
        }
        writer.len(self.entries.len());
        for entry in &self.entries {
            writer.raw(&entry.condition);
            writer.u32(entry.market);
            writer.u16(entry.source);
            writer.raw(&[entry.outcomes, entry.worse, u8::from(entry.broken)]);
            writer.u32(entry.confidence);
            writer.i64(entry.better_ns);
            writer.i64(entry.liquidity);
            writer.i64(entry.venue_time_ns);
            writer.u64(entry.seq);
        }
        self.quotes.iter().for_each(|quote| {
            writer.u32(quote.bid);
            writer.u32(quote.ask);
        });
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut venues = Venues::default();
        for _ in 0..reader.len(50)? {
            let (key, last_batch, success_ns) = (reader.array()?, reader.u64()?, reader.i64()?);
            let [outage, has_open] = reader.array()?;
            let open = if has_open == 1 { Some(decode_open(reader)?) } else { None };
            venues.sources.push(Source { key, markets: 0, last_batch, success_ns, outage, open });
        }
        let mut first = 0;
        for _ in 0..reader.len(80)? {
            let (condition, market, source) = (reader.array()?, reader.u32()?, reader.u16()?);
            let [outcomes, worse, broken] = reader.array()?;
            let entry = Entry {
                condition,
                market,
                first,
                source,
                outcomes,
                worse,
                broken: broken != 0,
                confidence: reader.u32()?,
                better_ns: reader.i64()?,
                liquidity: reader.i64()?,
                venue_time_ns: reader.i64()?,
                seq: reader.u64()?,
            };
            first += u32::from(outcomes);
            let Some(source) = venues.sources.get_mut(usize::from(source)) else {
                return Err(format!("market {market} has no source {source}"));
            };
            source.markets += 1;
            if market as usize >= MAX_MARKETS || venues.of_market(market).is_some() {
                return Err(format!("market {market} cannot be linked"));
            }
            venues.attach(entry);
        }
        for _ in 0..first {
            venues.quotes.push(Quote { bid: reader.u32()?, ask: reader.u32()? });
        }
        Ok(venues)
    }
}

fn encode_open(open: &Open, writer: &mut Writer) {
    writer.u64(open.batch);
    [open.count, open.unreadable, open.quoted, open.refreshed].into_iter().for_each(|n| writer.u32(n));
    open.skipped.iter().for_each(|&number| writer.u32(number));
    writer.u32(open.staged_market);
    writer.u64(open.staged_seq);
    writer.len(open.staged.len());
    open.staged.iter().for_each(|quote| {
        writer.u32(quote.bid);
        writer.u32(quote.ask);
    });
}

fn decode_open(reader: &mut Reader<'_>) -> Result<Open, String> {
    let mut open = Open {
        batch: reader.u64()?,
        count: reader.u32()?,
        unreadable: reader.u32()?,
        quoted: reader.u32()?,
        refreshed: reader.u32()?,
        ..Open::default()
    };
    for number in &mut open.skipped {
        *number = reader.u32()?;
    }
    open.staged_market = reader.u32()?;
    open.staged_seq = reader.u64()?;
    for _ in 0..reader.len(8)? {
        open.staged.push(Quote { bid: reader.u32()?, ask: reader.u32()? });
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn quote(bid: u32, ask: u32) -> Quote {
        Quote { bid, ask }
    }

    #[test]
    fn p6_3_the_gates_answer_in_their_order_at_their_exact_limits() {
        let sum = |value: u32| [quote(value - 1_000, value + 1_000), quote(499_000, 501_000)];
        assert_eq!(judge(&sum(500_000)), Judged::Good);
        assert_eq!(judge(&sum(510_000)), Judged::Good);
        assert_eq!(judge(&sum(490_000)), Judged::Good);
        assert_eq!(judge(&sum(510_001)), Judged::Bad(Code::INVALID_PROBABILITIES));
        assert_eq!(judge(&sum(489_999)), Judged::Bad(Code::INVALID_PROBABILITIES));
        assert_eq!(judge(&sum(600_000)), Judged::Bad(Code::INVALID_PROBABILITIES));
        assert_eq!(judge(&sum(600_001)), Judged::Halts(1_100_001));
        assert_eq!(judge(&sum(399_999)), Judged::Halts(899_999));
        assert_eq!(judge(&[quote(5, 5), quote(1, 2)]), Judged::Bad(Code::CROSSED_SOURCE));
        assert_eq!(judge(&[quote(0, 0), quote(2, 1)]), Judged::Bad(Code::NON_POSITIVE_PRICE));
        assert_eq!(judge(&[quote(0, 1_000_001), quote(0, 0)]), Judged::Bad(Code::PARAMETER_OUT_OF_BOUNDS));
    }

    #[test]
    fn probabilities_add_up_to_exactly_one_and_keep_their_order_of_size() {
        let quotes = [quote(100_000, 110_000), quote(640_000, 641_000), quote(250_000, 270_001)];
        let values = normalised(&quotes);
        assert_eq!(values.iter().sum::<u32>(), CERTAIN);
        assert!(values[1] > values[2] && values[2] > values[0]);
    }

    #[test]
    fn thin_liquidity_doubles_the_confidence() {
        let quotes = [quote(100, 201), quote(5, 6)];
        assert_eq!(confidence(&quotes, THIN_LIQUIDITY), 51);
        assert_eq!(confidence(&quotes, THIN_LIQUIDITY - 1), 102);
    }
}
