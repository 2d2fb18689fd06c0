//! What is added to the elastic fee for the state of a market and of the shard (protocol P8.3): how much its price
//! moves, how deep its book is, how loaded the shard is. All of it integers, none of it computed at a fill.

use std::collections::{BTreeMap, VecDeque};

use super::{adjustment_bp, Conditions};
use crate::codec::{Reader, Writer};
use crate::limits::{MAX_ADJUSTED_BOOKS, SECOND_NS};

const MINUTE_NS: i64 = 60 * SECOND_NS;
/// Minutes of a year.
const MINUTES_PER_YEAR: u128 = 525_600;
/// Weight of a new minute: 1/32.
const WEIGHT: i64 = 32;
/// Minutes without which a volatility is not known, and adds nothing.
const LEAST_MINUTES: u8 = 30;
/// Minutes without a trade after which nothing of what was before is left.
const FADED_MINUTES: i64 = 1_024;
const PPM: i64 = 1_000_000;
/// Depth from which nothing is added for it, in micro-units of the settlement asset.
pub const DEEP: i64 = 10_000_000_000;

/// Volatility of one series of prices: an exponential mean of the squares of the moves from minute to minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volatility {
    /// The last price, and that of the last minute that is over.
    last: i64,
    close: i64,
    /// End of the present minute; 0 = no price yet.
    end_ns: i64,
    /// Of a minute's move, in ppm².
    variance: i64,
    minutes: u8,
    bp: u8,
}

impl Volatility {
    /// Basis points for it at this moment (P8.3). `whole`: what a move is a part of; None = of the price before it.
    #[inline]
    pub fn bp_at(&self, now_ns: i64, whole: Option<i64>) -> u32 {
        if now_ns < self.end_ns {
            return u32::from(self.bp);
        }
        let mut later = *self;
        later.roll(now_ns, whole);
        u32::from(later.bp)
    }

    /// Annualised, in ppm; None before it is known.
    pub fn annual_ppm(&self, now_ns: i64, whole: Option<i64>) -> Option<u64> {
        let mut later = *self;
        later.roll(now_ns, whole);
        later.known_ppm()
    }

    /// A trade at a price.
    #[inline]
    pub fn note(&mut self, now_ns: i64, price: i64, whole: Option<i64>) {
        if now_ns >= self.end_ns {
            self.roll(now_ns, whole);
            if self.end_ns == 0 {
                self.close = price;
                self.end_ns = (now_ns.div_euclid(MINUTE_NS) + 1).saturating_mul(MINUTE_NS);
            }
        }
        self.last = price;
    }

    /// A trade that moves the price by so much.
    #[inline]
    pub fn note_move(&mut self, now_ns: i64, by: i64, whole: i64) {
        self.note(now_ns, self.last.saturating_add(by), Some(whole));
    }

    fn known_ppm(&self) -> Option<u64> {
        let annual = self.variance as u128 * MINUTES_PER_YEAR;
        (self.minutes >= LEAST_MINUTES).then(|| (annual as u64).isqrt())
    }

    /// Closes the minutes that are over: the first with the last price, the others without a move.
    #[cold]
    fn roll(&mut self, now_ns: i64, whole: Option<i64>) {
        if self.end_ns == 0 || now_ns < self.end_ns {
            return;
        }
        let over = (now_ns - self.end_ns) / MINUTE_NS + 1;
        let whole = whole.unwrap_or(self.close).max(1);
        let moved = self.last.saturating_sub(self.close).saturating_abs().min(whole);
        let ppm = (i128::from(moved) * i128::from(PPM) / i128::from(whole)) as i64;
        self.variance = ((WEIGHT - 1) * self.variance + ppm * ppm) / WEIGHT;
        for _ in 1..over.min(FADED_MINUTES) {
            self.variance = (WEIGHT - 1) * self.variance / WEIGHT;
        }
        self.minutes = (i64::from(self.minutes) + over).min(i64::from(LEAST_MINUTES)) as u8;
        self.close = self.last;
        self.end_ns = self.end_ns.saturating_add(over.saturating_mul(MINUTE_NS));
        let conditions = Conditions { volatility_ppm: self.known_ppm(), ..Conditions::default() };
        self.bp = adjustment_bp(&conditions) as u8;
    }

    /// Last price, that of the last whole minute, end of the present one, variance of a minute, minutes seen.
    pub fn parts(&self) -> [i64; 5] {
        [self.last, self.close, self.end_ns, self.variance, i64::from(self.minutes)]
    }

    fn encode(&self, writer: &mut Writer) {
        [self.last, self.close, self.end_ns, self.variance].into_iter().for_each(|value| writer.i64(value));
        writer.raw(&[self.minutes, self.bp]);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let (last, close, end_ns) = (reader.i64()?, reader.i64()?, reader.i64()?);
        let variance = reader.i64()?;
        let [minutes, bp] = reader.array()?;
        let sound = (0..=PPM * PPM).contains(&variance) && minutes <= LEAST_MINUTES && bp <= 3 && end_ns >= 0;
        if !sound {
            return Err(format!("a variance of {variance} over {minutes} minutes"));
        }
        Ok(Volatility { last, close, end_ns, variance, minutes, bp })
    }
}

/// What is known of one book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookState {
    pub volatility: Volatility,
    /// As of the last look, in micro-units, at most [`DEEP`]; what it adds.
    pub depth: i64,
    pub depth_bp: u8,
    queued: bool,
    looked_ns: i64,
}

/// A book: market and, of categorical markets, outcome.
pub type Place = (u32, u8);

/// Volatilities, depths and the load.
#[derive(Clone, Debug, Default)]
pub struct Adjustments {
    books: BTreeMap<Place, BookState>,
    pools: BTreeMap<u32, Volatility>,
    /// Books that changed since they were looked at, each once, the longest waiting first.
    changed: VecDeque<Place>,
    /// The last second whose load was measured, and whether it was above the threshold.
    second: i64,
    loaded: bool,
}

impl Adjustments {
    /// Whether there is nothing to look at.
    #[inline]
    pub fn is_unused(&self) -> bool {
        self.books.is_empty() && self.pools.is_empty()
    }

    /// Basis points for the load of the shard.
    #[inline]
    pub fn load_bp(&self) -> u32 {
        u32::from(self.loaded)
    }

    /// Basis points for a book: volatility, depth and load.
    pub fn of_book(&self, place: Place, now_ns: i64, whole: Option<i64>) -> u32 {
        let own = self.books.get(&place);
        own.map_or(0, |book| book.volatility.bp_at(now_ns, whole) + u32::from(book.depth_bp)) + self.load_bp()
    }

    /// Basis points for a pool beside its depth: volatility and load.
    pub fn of_pool(&self, market: u32, now_ns: i64) -> u32 {
        self.pools.get(&market).map_or(0, |pool| pool.bp_at(now_ns, Some(POOL_WHOLE))) + self.load_bp()
    }

    pub fn book(&self, place: Place) -> Option<&BookState> {
        self.books.get(&place)
    }

    /// Its depth may have changed: it is looked at with one of the next Ticks.
    pub fn note_changed(&mut self, place: Place) {
        if self.books.len() >= MAX_ADJUSTED_BOOKS && !self.books.contains_key(&place) {
            return;
        }
        let book =
            self.books.entry(place).or_insert(BookState { looked_ns: i64::MIN, ..BookState::default() });
        if !std::mem::replace(&mut book.queued, true) {
            self.changed.push_back(place);
        }
    }

    /// A fill of a book.
    pub fn note_price(&mut self, place: Place, now_ns: i64, price: i64, whole: Option<i64>) {
        if let Some(book) = self.books.get_mut(&place) {
            book.volatility.note(now_ns, price, whole);
        }
    }

    /// A swap moves a price of a pool by so many ppb. Prices of outcomes 0 and 1 of two are one series.
    pub fn note_swap(&mut self, market: u32, now_ns: i64, by: i64) {
        if let Some(pool) = self.pools.get_mut(&market) {
            return pool.note_move(now_ns, by, POOL_WHOLE);
        }
        if self.pools.len() < MAX_ADJUSTED_BOOKS {
            self.pools.entry(market).or_default().note_move(now_ns, by, POOL_WHOLE);
        }
    }

    /// The series of a pool.
    pub fn pool(&self, market: u32) -> Option<Volatility> {
        self.pools.get(&market).copied()
    }

    /// Takes back what a swap has made of the series of a pool.
    pub fn put_pool(&mut self, market: u32, series: Option<Volatility>) {
        match series {
            Some(series) => drop(self.pools.insert(market, series)),
            None => drop(self.pools.remove(&market)),
        }
    }

    /// The next book that changed and was not looked at within the last second.
    pub fn next_changed(&mut self, now_ns: i64) -> Option<Place> {
        let place = self.changed.pop_front()?;
        let book = self.books.get_mut(&place)?;
        if now_ns < book.looked_ns.saturating_add(SECOND_NS) {
            self.changed.push_back(place);
            return None;
        }
        (book.queued, book.looked_ns) = (false, now_ns);
        Some(place)
    }

    /// The depth of a book at a look; what it adds and what it added, when that is something else.
    pub fn set_depth(&mut self, place: Place, depth: i64) -> Option<(u8, u8)> {
        let book = self.books.get_mut(&place)?;
        book.depth = depth.min(DEEP);
        let bp = adjustment_bp(&Conditions { depth_micro: Some(depth), ..Conditions::default() }) as u8;
        let previous = std::mem::replace(&mut book.depth_bp, bp);
        (previous != bp).then_some((bp, previous))
    }

    /// The second whose load is to be measured now, once a second.
    #[inline]
    pub fn second_over(&mut self, now_ns: i64) -> Option<i64> {
        let over = now_ns.div_euclid(SECOND_NS) - 1;
        (std::mem::replace(&mut self.second, over) != over).then_some(over)
    }

    /// The commands of a second against what the shard is meant for; whether that changes what is added (P8.3).
    pub fn set_load(&mut self, commands: u64, capacity: i64) -> Option<bool> {
        let loaded = i128::from(commands) * 10 > i128::from(capacity) * 8;
        (std::mem::replace(&mut self.loaded, loaded) != loaded).then_some(loaded)
    }

    /// Nobody trades in this market any more.
    pub fn forget(&mut self, market: u32) {
        let of_market: Vec<Place> =
            self.books.range((market, 0)..=(market, u8::MAX)).map(|(&place, _)| place).collect();
        of_market.iter().for_each(|place| {
            self.books.remove(place);
        });
        self.changed.retain(|place| place.0 != market);
        self.pools.remove(&market);
    }

    /// Every book, for who continues from a snapshot.
    pub fn books(&self) -> impl Iterator<Item = (Place, &BookState)> {
        self.books.iter().map(|(&place, book)| (place, book))
    }

    pub fn pools(&self) -> impl Iterator<Item = (u32, &Volatility)> {
        self.pools.iter().map(|(&market, pool)| (market, pool))
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.books.len());
        for (&(market, line), book) in &self.books {
            writer.u32(market);
            writer.raw(&[line, book.depth_bp]);
            writer.i64(book.depth);
            writer.i64(book.looked_ns);
            book.volatility.encode(writer);
        }
        writer.len(self.pools.len());
        for (&market, pool) in &self.pools {
            writer.u32(market);
            pool.encode(writer);
        }
        writer.len(self.changed.len());
        for &(market, line) in &self.changed {
            writer.u32(market);
            writer.u8(line);
        }
        writer.i64(self.second);
        writer.u8(u8::from(self.loaded));
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut all = Adjustments::default();
        for _ in 0..reader.len(48)? {
            let market = reader.u32()?;
            let [line, depth_bp] = reader.array()?;
            let (depth, looked_ns) = (reader.i64()?, reader.i64()?);
            let volatility = Volatility::decode(reader)?;
            let book = BookState { volatility, depth, depth_bp, queued: false, looked_ns };
            if depth_bp > 2 || all.books.insert((market, line), book).is_some() {
                return Err(format!("the depth of market {market} is damaged"));
            }
        }
        for _ in 0..reader.len(38)? {
            let market = reader.u32()?;
            all.pools.insert(market, Volatility::decode(reader)?);
        }
        for _ in 0..reader.len(5)? {
            let place = (reader.u32()?, reader.u8()?);
            let fresh = all.books.get_mut(&place).filter(|book| !book.queued);
            let Some(book) = fresh else { return Err(format!("book {place:?} waits for no look")) };
            book.queued = true;
            all.changed.push_back(place);
        }
        all.second = reader.i64()?;
        all.loaded = reader.u8()? == 1;
        Ok(all)
    }
}

/// A price of a pool is a part of this.
const POOL_WHOLE: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A price that moves by so many ppm up and down, minute by minute.
    fn after(minutes: i64, ppm: i64) -> Volatility {
        let mut series = Volatility::default();
        for minute in 0..minutes {
            series.note(minute * MINUTE_NS, 1_000_000 + ppm * (minute % 2), Some(1_000_000));
        }
        series
    }

    #[test]
    fn p8_3_a_steady_move_has_the_volatility_of_its_root_of_the_minutes_of_a_year() {
        for (ppm, bp) in [(130, 0), (150, 1), (410, 1), (420, 2), (685, 2), (700, 3), (500_000, 3)] {
            let (series, end) = (after(500, ppm), 500 * MINUTE_NS);
            let annual = series.annual_ppm(end, Some(1_000_000)).expect("it is known");
            let exact = ppm as f64 * 525_600_f64.sqrt();
            assert!((annual as f64 - exact).abs() < 0.01 * exact, "{ppm} a minute are {annual}, not {exact}");
            assert_eq!(series.bp_at(end, Some(1_000_000)), bp, "{ppm} ppm a minute, {annual} a year");
        }
    }

    #[test]
    fn a_volatility_is_unknown_for_half_an_hour_and_fades_without_trades() {
        let series = after(29, 100_000);
        assert_eq!((series.bp_at(29 * MINUTE_NS, None), series.annual_ppm(29 * MINUTE_NS, None)), (0, None));
        assert_eq!(series.bp_at(30 * MINUTE_NS, None), 3);
        assert_eq!(series.bp_at(10_000 * MINUTE_NS, None), 0);
    }

    #[test]
    fn when_a_series_is_looked_at_does_not_change_it() {
        let (mut seldom, mut often) = (Volatility::default(), Volatility::default());
        for step in 0..2_000_i64 {
            let (now_ns, price) = (step * step * 7 * SECOND_NS / 10, 100_000 + step * 37 % 991);
            seldom.note(now_ns, price, None);
            for look in 0..3 {
                often.roll(now_ns - look, None);
            }
            often.note(now_ns, price, None);
            assert_eq!(seldom, often, "step {step}");
        }
    }

    #[test]
    fn p8_3_the_load_counts_above_four_fifths_of_the_capacity() {
        let mut all = Adjustments::default();
        assert_eq!((all.set_load(800, 1_000), all.load_bp()), (None, 0));
        assert_eq!((all.set_load(801, 1_000), all.load_bp()), (Some(true), 1));
        assert_eq!((all.set_load(900, 1_000), all.set_load(0, 1_000)), (None, Some(false)));
    }

    #[test]
    fn a_book_is_looked_at_once_a_second_however_often_it_changes_and_none_is_forgotten() {
        let mut all = Adjustments::default();
        for place in [(1, 0), (2, 0), (1, 0)] {
            all.note_changed(place);
        }
        assert_eq!(
            (all.next_changed(0), all.next_changed(0), all.next_changed(0)),
            (Some((1, 0)), Some((2, 0)), None)
        );
        all.note_changed((1, 0));
        assert_eq!((all.next_changed(SECOND_NS - 1), all.next_changed(SECOND_NS)), (None, Some((1, 0))));
        assert_eq!(all.set_depth((1, 0), 999_999_999), Some((2, 0)));
        assert_eq!(all.set_depth((1, 0), 1_000_000_000), Some((1, 2)));
        assert_eq!((all.set_depth((1, 0), 5_000_000_000), all.set_depth((1, 0), DEEP)), (None, Some((0, 1))));
        all.note_changed((1, 0));
        all.forget(1);
        assert_eq!((all.next_changed(i64::MAX), all.book((1, 0))), (None, None));
    }
}
