//! The breakers of one market and what they watch.

use super::breaker::{id, phase, Breaker, OF_MARKET};
use super::liquidated::Liquidated;
use super::volume::Volume;
use super::window::{move_ppm, moves_beyond, Extremes};
use crate::codec::{Reader, Writer};
use crate::limits::SECOND_NS;

/// Windows of P7.1.
pub const FAST_NS: i64 = 1_600_000_000;
pub const SLOW_NS: i64 = 300 * SECOND_NS;
const INTEREST_NS: i64 = 400_000_000;
/// B7 asks for an open interest above $100,000, in micro.
const MIN_INTEREST: i64 = 100_000_000_000;

/// Why a breaker must trip: which one, the value found and the threshold it exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub breaker: u8,
    pub cause: u8,
    pub value: i64,
    pub threshold: i64,
}

/// State of one market's breakers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketHalts {
    /// In the order of [`OF_MARKET`].
    pub breakers: Vec<Breaker>,
    pub fast: Extremes,
    pub slow: Extremes,
    pub volume: Volume,
    /// Lots of open interest by the moment at which they ended, and the present ones.
    interest: Extremes,
    interest_lots: i64,
    /// The same in micro-quote, at the last price.
    pub open_interest: i64,
    pub liquidated: Liquidated,
    /// Micro-quote that waits for liquidation.
    pub pending_liquidation: i64,
    /// Ticks of the whole range of an outcome market: its moves are absolute (P7.2).
    pub range_ticks: Option<i64>,
    /// What this market adds to B2c's sums: open interest × move, and open interest.
    pub weighed: (i128, i64),
    /// The newest sample of both windows; known again with the next one after a restart.
    sampled: (i64, i64),
    /// Largest move in ppm of that sample within the slow window, once somebody has asked for it.
    moved_ppm: Option<i64>,
    /// Prices that trip nothing; known again with the next look after a restart.
    calm: Calm,
}

/// Prices at which no breaker of prices can trip, whatever its phase, as long as no sample leaves its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calm {
    low: i64,
    high: i64,
    /// The last moment at which every sample is still in its window.
    until_ns: i64,
    /// Thresholds of both breakers that this holds for.
    thresholds: [i64; 2],
}

impl Calm {
    const NEVER: Calm = Calm { low: i64::MAX, high: i64::MIN, until_ns: i64::MIN, thresholds: [0; 2] };

    /// These prices without those that a sample's distance of `threshold_bp` excludes; None when nothing is known.
    fn within(self, sample: i64, threshold_bp: i64, range_ticks: Option<i64>) -> Option<Calm> {
        let reach = threshold_bp.checked_mul(range_ticks.unwrap_or(sample))? / 10_000;
        let (low, high) = (sample.checked_sub(reach)?, sample.checked_add(reach)?);
        Some(Calm { low: self.low.max(low), high: self.high.min(high), ..self })
    }
}

/// Place of a breaker in [`OF_MARKET`].
#[inline]
fn place(id: u8) -> usize {
    const PLACES: [u8; 32] = {
        let (mut places, mut at) = ([u8::MAX; 32], 0);
        while at < OF_MARKET.len() {
            places[OF_MARKET[at] as usize] = at as u8;
            at += 1;
        }
        places
    };
    let place = PLACES[usize::from(id) % PLACES.len()];
    assert!(place != u8::MAX, "a breaker of markets");
    usize::from(place)
}

/// Places of the breakers of prices: of the fast window and of the slow one.
const PRICE_PLACES: [usize; 2] = [0, 1];
const _: () = assert!(OF_MARKET[0] == id::PRICE_FAST && OF_MARKET[1] == id::PRICE_SLOW);

impl MarketHalts {
    pub fn new(armed: bool, range_ticks: Option<i64>) -> Self {
        MarketHalts {
            breakers: OF_MARKET.iter().map(|&breaker| Breaker::new(breaker, armed)).collect(),
            fast: Extremes::new(FAST_NS),
            slow: Extremes::new(SLOW_NS),
            volume: Volume::default(),
            interest: Extremes::new(INTEREST_NS),
            interest_lots: 0,
            open_interest: 0,
            liquidated: Liquidated::default(),
            pending_liquidation: 0,
            range_ticks,
            weighed: (0, 0),
            sampled: (0, 0),
            moved_ppm: None,
            calm: Calm::NEVER,
        }
    }

    /// # Panics
    /// For a breaker that markets do not have.
    #[inline]
    pub fn breaker(&self, id: u8) -> &Breaker {
        &self.breakers[place(id)]
    }

    /// # Panics
    /// As [`MarketHalts::breaker`].
    pub fn breaker_mut(&mut self, id: u8) -> &mut Breaker {
        &mut self.breakers[place(id)]
    }

    /// The breakers that reopen by an auction and are in this phase.
    pub fn in_auction_group(&self, in_phase: u8) -> impl Iterator<Item = &Breaker> {
        self.breakers
            .iter()
            .filter(move |breaker| breaker.phase == in_phase && super::breaker::has_auction(breaker.id))
    }

    /// Whether orders are collected instead of matched: halted by price, volume or open interest, or in the
    /// auction behind such a halt.
    pub fn collects(&self) -> bool {
        self.in_auction_group(phase::TRIPPED).chain(self.in_auction_group(phase::AUCTION)).next().is_some()
    }

    /// The breaker, if any, that a trade or mark at `price` would trip (P7.2). The sample itself is not taken.
    #[inline]
    pub fn price_reading(&mut self, now_ns: i64, price: i64, cause: u8) -> Option<Reading> {
        let Calm { low, high, until_ns, thresholds } = self.calm;
        let known = now_ns <= until_ns && low <= price && price <= high;
        if known && thresholds == PRICE_PLACES.map(|place| self.breakers[place].threshold) {
            return None;
        }
        self.find_price_reading(now_ns, price, cause)
    }

    #[inline(never)]
    fn find_price_reading(&mut self, now_ns: i64, price: i64, cause: u8) -> Option<Reading> {
        for breaker in [id::PRICE_FAST, id::PRICE_SLOW] {
            let entry = self.breaker(breaker);
            if !entry.watches(now_ns) {
                continue;
            }
            let threshold = entry.threshold_now();
            let window = if breaker == id::PRICE_FAST { &mut self.fast } else { &mut self.slow };
            let Some((low, high)) = window.range(now_ns) else { continue };
            let range = self.range_ticks;
            let beyond = [low, high].into_iter().find(|&x| moves_beyond(price, x, threshold, range));
            if let Some(extreme) = beyond {
                let value = (move_ppm(price, extreme, range) + 99) / 100;
                return Some(Reading { breaker, cause, value, threshold });
            }
        }
        self.calm = self.find_calm(now_ns).unwrap_or(Calm::NEVER);
        None
    }

    /// What the samples of both windows leave at half of the thresholds, which is what probation asks for. None when a
    /// window is empty, or knows a sample that is to be forgotten.
    fn find_calm(&self, now_ns: i64) -> Option<Calm> {
        let thresholds = PRICE_PLACES.map(|place| self.breakers[place].threshold);
        let mut calm = Calm { low: i64::MIN, high: i64::MAX, until_ns: i64::MAX, thresholds };
        for (window, threshold) in [&self.fast, &self.slow].into_iter().zip(thresholds) {
            let (lowest, highest, until_ns) = window.known()?;
            for sample in [lowest, highest] {
                calm = calm.within(sample, threshold / 2, self.range_ticks)?;
            }
            calm.until_ns = calm.until_ns.min(until_ns);
        }
        (now_ns <= calm.until_ns).then_some(calm)
    }

    /// Takes a price into both windows, tripped or not.
    #[inline]
    pub fn sample(&mut self, now_ns: i64, price: i64) {
        if self.sampled == (now_ns, price) {
            // The same moment and price again change neither window.
            return;
        }
        if self.sampled.1 != price {
            // A sample that no window knew.
            let [fast, slow] = self.calm.thresholds;
            let calm = self.calm.within(price, fast.min(slow) / 2, self.range_ticks);
            self.calm = calm.unwrap_or(Calm::NEVER);
        }
        self.sampled = (now_ns, price);
        self.moved_ppm = None;
        self.fast.push(now_ns, price);
        self.slow.push(now_ns, price);
    }

    /// B3 with a fill of `notional` micro-quote counted.
    #[inline]
    pub fn volume_reading(&mut self, now_ns: i64, notional: i64) -> Option<Reading> {
        self.volume.add(now_ns, notional);
        let entry = self.breaker(id::VOLUME);
        if !entry.watches(now_ns) {
            return None;
        }
        let threshold = entry.threshold_now();
        let value = self.volume.excess(threshold)?;
        Some(Reading { breaker: id::VOLUME, cause: super::breaker::cause::VOLUME, value, threshold })
    }

    /// B7 with a new open interest in lots and micro-quote. A number of lots counts in the window until the moment it
    /// ended; only lots tell growth from a change of price.
    #[inline(always)]
    pub fn interest_reading(&mut self, now_ns: i64, lots: i64, value: i64) -> Option<Reading> {
        self.open_interest = value;
        if lots == self.interest_lots {
            return None;
        }
        self.interest.push(now_ns, self.interest_lots);
        self.interest_lots = lots;
        let entry = self.breaker(id::OPEN_INTEREST);
        if value <= MIN_INTEREST || !entry.watches(now_ns) {
            return None;
        }
        let threshold = entry.threshold_now();
        // What is too old has just left it.
        let low = self.interest.lowest()?;
        // From nothing there is no rate: the first positions of a market are its beginning, not a rush.
        if low == 0 || lots <= low || !moves_beyond(lots, low, threshold, None) {
            return None;
        }
        let grown = (i128::from(lots - low) * 10_000 + i128::from(low) - 1) / i128::from(low);
        let value = grown.min(i128::from(i64::MAX)) as i64;
        let cause = super::breaker::cause::OPEN_INTEREST;
        Some(Reading { breaker: id::OPEN_INTEREST, cause, value, threshold })
    }

    /// B4 with a liquidation of `notional` micro-quote counted.
    pub fn liquidation_reading(&mut self, now_ns: i64, account: u32, notional: i64) -> Option<Reading> {
        let (accounts, total) = self.liquidated.add(now_ns, account, notional);
        let entry = self.breaker(id::LIQUIDATION);
        if !entry.watches(now_ns) {
            return None;
        }
        let (threshold, second) = (entry.threshold_now(), entry.second);
        let breaker = id::LIQUIDATION;
        if accounts > threshold {
            let cause = super::breaker::cause::LIQUIDATED_ACCOUNTS;
            return Some(Reading { breaker, cause, value: accounts, threshold });
        }
        // Open interest is what it was before the liquidations took from it: the part still open and the part gone.
        let base = i128::from(self.open_interest) + i128::from(total);
        if i128::from(total) * 10_000 <= i128::from(second) * base {
            return None;
        }
        let value = ((i128::from(total) * 10_000 + base - 1) / base) as i64;
        let cause = super::breaker::cause::LIQUIDATED_INTEREST;
        Some(Reading { breaker, cause, value, threshold: second })
    }

    /// Open interest × largest move within 300 s in ppm, and open interest: this market's part of B2c.
    #[inline]
    pub fn weigh(&mut self, now_ns: i64, price: i64) -> (i128, i64) {
        let moved = match self.moved_ppm {
            // Nothing has entered or left the window since.
            Some(moved) if self.sampled == (now_ns, price) => moved,
            _ => self.find_moved(now_ns, price),
        };
        (i128::from(moved) * i128::from(self.open_interest), self.open_interest)
    }

    #[inline(never)]
    fn find_moved(&mut self, now_ns: i64, price: i64) -> i64 {
        let Some((low, high)) = self.slow.range(now_ns) else { return 0 };
        let range = self.range_ticks;
        let moved = move_ppm(price, low, range).max(move_ppm(price, high, range));
        if self.sampled == (now_ns, price) {
            self.moved_ppm = Some(moved);
        }
        moved
    }

    pub fn encode(&self, writer: &mut Writer) {
        self.breakers.iter().for_each(|breaker| breaker.encode(writer));
        self.fast.encode(writer);
        self.slow.encode(writer);
        self.volume.encode(writer);
        self.interest.encode(writer);
        self.liquidated.encode(writer);
        [
            self.interest_lots,
            self.open_interest,
            self.pending_liquidation,
            self.range_ticks.unwrap_or(0),
            self.weighed.1,
        ]
        .into_iter()
        .for_each(|value| writer.i64(value));
        writer.raw(&self.weighed.0.to_le_bytes());
    }

    /// Reads what [`MarketHalts::encode`] wrote into breakers that were just made: a second record of this size does
    /// not belong onto the stack.
    ///
    /// # Errors
    /// A sentence when the bytes are no breakers of a market. The record then holds a part of them: its owner drops
    /// it.
    pub fn fill(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        for (place, breaker) in self.breakers.iter_mut().zip(OF_MARKET) {
            *place = Breaker::decode(reader, breaker)?;
        }
        self.fast = Extremes::decode(reader, FAST_NS)?;
        self.slow = Extremes::decode(reader, SLOW_NS)?;
        self.volume.fill(reader)?;
        self.interest = Extremes::decode(reader, INTEREST_NS)?;
        self.liquidated = Liquidated::decode(reader)?;
        self.interest_lots = reader.i64()?;
        self.open_interest = reader.i64()?;
        self.pending_liquidation = reader.i64()?;
        self.range_ticks = Some(reader.i64()?).filter(|&range| range != 0);
        self.weighed.1 = reader.i64()?;
        self.weighed.0 = i128::from_le_bytes(reader.array()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::breaker::cause;
    use super::*;

    const DOLLAR: i64 = 1_000_000;

    #[test]
    fn b7_trips_above_eight_percent_within_400_ms_and_100_000_dollars() {
        let grow = |first: i64, then: i64, after_ns: i64, dollars: i64| {
            let mut halts = MarketHalts::new(true, None);
            assert_eq!(
                halts.interest_reading(0, first, dollars * DOLLAR),
                None,
                "from nothing there is no rate"
            );
            assert_eq!(halts.interest_reading(SECOND_NS, first + 1, dollars * DOLLAR), None);
            halts.interest_reading(SECOND_NS + after_ns, then, dollars * DOLLAR).map(|reading| reading.value)
        };
        assert_eq!(grow(9_999, 10_800, 400_000_001, 100_001), None, "exactly 8 %");
        assert_eq!(grow(9_999, 10_801, 400_000_000, 100_001), Some(803));
        assert_eq!(grow(9_999, 10_801, 400_000_000, 100_000), None, "not above $100,000");
        assert_eq!(
            grow(9_999, 10_801, 60 * SECOND_NS, 100_001),
            Some(801),
            "the value lasts until it changes"
        );
    }

    #[test]
    fn b4_trips_above_ten_accounts_or_eight_percent_of_the_open_interest() {
        let mut halts = MarketHalts::new(true, None);
        halts.open_interest = 1_000_000 * DOLLAR;
        let at = |halts: &mut MarketHalts, account: u32, dollars: i64| {
            halts
                .liquidation_reading(0, account, dollars * DOLLAR)
                .map(|reading| (reading.cause, reading.value))
        };
        assert!((0..10).all(|account| at(&mut halts, account, 1).is_none()));
        assert_eq!(at(&mut halts, 10, 1), Some((cause::LIQUIDATED_ACCOUNTS, 11)));
        let mut halts = MarketHalts::new(true, None);
        halts.open_interest = 920 * DOLLAR;
        assert_eq!(at(&mut halts, 1, 80), None, "80 of 1,000");
        assert_eq!(at(&mut halts, 1, 1), Some((cause::LIQUIDATED_INTEREST, 810)));
    }

    #[test]
    fn a_market_weighs_its_largest_move_by_its_open_interest() {
        let mut halts = MarketHalts::new(true, None);
        halts.open_interest = 50;
        halts.sample(0, 10_000);
        halts.sample(SECOND_NS, 12_000);
        assert_eq!(halts.weigh(SECOND_NS, 12_000), (50 * 200_000, 50));
        assert_eq!(halts.weigh(SLOW_NS + 2 * SECOND_NS, 12_000), (0, 50));
    }

    #[test]
    fn p7_2_a_fall_is_measured_against_the_highest_sample_of_the_window() {
        let mut halts = MarketHalts::new(true, None);
        halts.sample(0, 10_000);
        halts.sample(1, 10_300);
        let reading = halts.price_reading(2, 9_780, cause::MARK).expect("5.05 % below the highest");
        assert_eq!((reading.breaker, reading.value), (id::PRICE_FAST, 505));
    }

    #[test]
    fn p7_2_prices_that_are_known_to_be_calm_trip_nothing_and_keep_every_sample() {
        let bytes = |halts: &MarketHalts| {
            let mut writer = Writer::default();
            halts.encode(&mut writer);
            writer.bytes
        };
        for range_ticks in [None, Some(20_000)] {
            let mut halts = MarketHalts::new(true, range_ticks);
            let (mut now, mut price, mut state, mut calm, mut read) = (0, 10_000, 5_u64, 0, 0);
            for step in 0..20_000_i64 {
                state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                let random = (state >> 33) as i64;
                now += random % 400 * 1_000_000;
                price = (price + random % 41 - 20 + i64::from(random % 61 == 0) * 900).clamp(5_000, 15_000);
                if step % 5_000 == 0 {
                    halts.breakers[step as usize % 2].threshold = 200 + random % 800;
                    halts.breakers[0].phase = [phase::CLOSED, phase::PROBATION][step as usize % 2];
                }
                let mut plain = MarketHalts { calm: Calm::NEVER, ..halts.clone() };
                let Calm { low, high, until_ns, .. } = halts.calm;
                calm += u32::from(now <= until_ns && low <= price && price <= high);
                let reading = halts.price_reading(now, price, cause::TRADE);
                assert_eq!(reading, plain.price_reading(now, price, cause::TRADE));
                read += u32::from(reading.is_some());
                if reading.is_none() {
                    halts.sample(now, price);
                    plain.sample(now, price);
                    let other = price + random % 3;
                    plain.moved_ppm = None;
                    assert_eq!(halts.weigh(now, other), plain.weigh(now, other));
                    assert_eq!(halts.weigh(now, price), plain.weigh(now, price));
                    plain.moved_ppm = None;
                    assert_eq!(halts.weigh(now, price), plain.weigh(now, price));
                } else {
                    price = halts.sampled.1;
                }
                assert!(bytes(&halts) == bytes(&plain), "step {step}");
            }
            assert!(calm > 1_000 && read > 20, "{calm} calm, {read} read");
        }
    }

    #[test]
    fn b7_looks_at_growth_of_lots_and_not_at_falls_or_prices() {
        let large = 200_000 * DOLLAR;
        let mut halts = MarketHalts::new(true, None);
        assert_eq!(halts.interest_reading(0, 20_000, large), None);
        assert_eq!(halts.interest_reading(SECOND_NS, 10_000, large), None, "a fall");
        let mut halts = MarketHalts::new(true, None);
        halts.interest_reading(0, 10_000, 90_000 * DOLLAR);
        assert_eq!(halts.interest_reading(SECOND_NS, 11_000, 99_000 * DOLLAR), None, "still small");
        assert_eq!(
            halts.interest_reading(SECOND_NS + 1, 11_000, large),
            None,
            "the same lots at another price"
        );
    }

    #[test]
    fn p7_4_no_breaker_of_a_market_reads_while_it_is_tripped() {
        let mut halts = MarketHalts::new(true, None);
        halts.breakers.iter_mut().for_each(|breaker| breaker.trip(0, cause::MANUAL, [0; 32]));
        halts.open_interest = 1_000 * DOLLAR;
        halts.sample(0, 100);
        assert_eq!(halts.price_reading(0, 1_000, cause::TRADE), None);
        assert_eq!(halts.liquidation_reading(0, 1, 900 * DOLLAR), None);
        halts.interest_reading(0, 10_000, 200_000 * DOLLAR);
        assert_eq!(halts.interest_reading(SECOND_NS, 20_000, 200_000 * DOLLAR), None);
        for minute in 0..60 {
            let notional = (9_500 + minute % 11 * 100) * DOLLAR;
            assert_eq!(halts.volume_reading(minute * 60 * SECOND_NS, notional), None);
        }
        assert_eq!(halts.volume_reading(3_600 * SECOND_NS, 1_000_000 * DOLLAR), None);
    }
}
