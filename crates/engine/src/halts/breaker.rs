//! One breaker: its rule, its settings and its state machine CLOSED → TRIPPED → HALF_OPEN → CLOSED (P7.1, P7.4).

use crate::codec::{Reader, Writer};
use crate::limits::SECOND_NS;

/// Breakers of P7.1.
pub mod id {
    /// B1, platform. Threshold: coverage in ppm.
    pub const COVERAGE: u8 = 1;
    /// B2a, market. Threshold: bp within 1.6 s.
    pub const PRICE_FAST: u8 = 2;
    /// B2b, market. Threshold: bp within 300 s.
    pub const PRICE_SLOW: u8 = 3;
    /// B2c, platform. Threshold: mean move in bp within 300 s, weighted by open interest.
    pub const PRICE_PLATFORM: u8 = 4;
    /// B3, market. Threshold: 60 s volume in hundredths of its moving average.
    pub const VOLUME: u8 = 5;
    /// B4, market. Threshold: accounts in 60 s; second: bp of the open interest.
    pub const LIQUIDATION: u8 = 6;
    /// B5, shard. Threshold: bp of the commands in 10 s.
    pub const CONGESTION: u8 = 7;
    /// B6, market and platform. Its limits are those of the feeds.
    pub const ORACLE: u8 = 8;
    /// B7, market. Threshold: bp of growth within 400 ms.
    pub const OPEN_INTEREST: u8 = 9;

    /// Names by number; number 0 is none.
    pub const NAMES: [&str; 10] = ["", "B1", "B2a", "B2b", "B2c", "B3", "B4", "B5", "B6", "B7"];
}

/// Breakers that a market has, in this order.
pub const OF_MARKET: [u8; 6] =
    [id::PRICE_FAST, id::PRICE_SLOW, id::VOLUME, id::LIQUIDATION, id::ORACLE, id::OPEN_INTEREST];
/// Breakers that the platform has, in this order.
pub const OF_PLATFORM: [u8; 4] = [id::COVERAGE, id::PRICE_PLATFORM, id::CONGESTION, id::ORACLE];

/// States of P7.4; HALF_OPEN is an auction, a probation, or both in this order.
pub mod phase {
    pub const CLOSED: u8 = 0;
    pub const TRIPPED: u8 = 1;
    pub const AUCTION: u8 = 2;
    pub const PROBATION: u8 = 3;
}

/// What tripped a breaker.
pub mod cause {
    pub const TRADE: u8 = 1;
    pub const MARK: u8 = 2;
    pub const VOLUME: u8 = 3;
    pub const LIQUIDATED_ACCOUNTS: u8 = 4;
    pub const LIQUIDATED_INTEREST: u8 = 5;
    pub const REFUSALS: u8 = 6;
    pub const FEED: u8 = 7;
    pub const FEEDS: u8 = 8;
    pub const OPEN_INTEREST: u8 = 9;
    pub const COVERAGE: u8 = 10;
    pub const WEIGHTED_MOVE: u8 = 11;
    pub const MANUAL: u8 = 12;
}

/// How a breaker comes back (last column of P7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopening {
    /// 30 s call auction, then probation at half the threshold.
    Auction,
    /// When its condition holds, then probation.
    Condition,
    /// Two persons, then probation at half the threshold.
    TwoPersons,
}

/// Default and bounds of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub default: i64,
    pub low: i64,
    pub high: i64,
}

const fn range(default: i64, low: i64, high: i64) -> Range {
    Range { default, low, high }
}

/// Nothing to set.
const NONE: Range = range(0, 0, 0);

/// A row of P7.1.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub threshold: Range,
    pub second: Range,
    pub halt_s: Range,
    pub reopening: Reopening,
}

/// Cool-down behind CLOSED in seconds (P7.4).
pub const COOLDOWN_S: Range = range(60, 12, 720);

/// The rule of a breaker; None for a number that is none.
pub const fn rule(breaker: u8) -> Option<Rule> {
    use Reopening::{Auction, Condition, TwoPersons};
    let (threshold, second, halt_s, reopening) = match breaker {
        id::COVERAGE => (range(500_000, 300_000, 1_000_000), NONE, range(900, 60, 14_400), Condition),
        id::PRICE_FAST => (range(500, 100, 2_000), NONE, range(300, 60, 7_200), Auction),
        id::PRICE_SLOW => (range(1_000, 200, 5_000), NONE, range(900, 60, 7_200), Auction),
        id::PRICE_PLATFORM => (range(2_000, 500, 5_000), NONE, range(900, 60, 7_200), TwoPersons),
        id::VOLUME => (range(500, 300, 5_000), NONE, range(450, 60, 10_800), Auction),
        id::LIQUIDATION => (range(10, 3, 1_000), range(800, 100, 5_000), range(600, 60, 14_400), Condition),
        id::CONGESTION => (range(2_000, 500, 8_000), NONE, range(150, 30, 3_600), Condition),
        id::ORACLE => (NONE, NONE, range(60, 30, 3_600), Condition),
        id::OPEN_INTEREST => (range(800, 200, 5_000), NONE, range(450, 60, 7_200), Auction),
        _ => return None,
    };
    Some(Rule { threshold, second, halt_s, reopening })
}

/// Whether a breaker reopens by a call auction.
pub const fn has_auction(breaker: u8) -> bool {
    matches!(breaker, id::PRICE_FAST | id::PRICE_SLOW | id::VOLUME | id::OPEN_INTEREST)
}

/// A trip again within this time behind CLOSED doubles the halt.
const ESCALATION_NS: i64 = 3_600 * SECOND_NS;
/// "Never."
const NEVER: i64 = i64::MIN;

/// One breaker of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    pub id: u8,
    /// Whether its inputs are watched; without that it trips by hand only.
    pub armed: bool,
    /// Rises with every ConfigureBreaker.
    pub version: u32,
    pub threshold: i64,
    pub second: i64,
    pub halt_s: u32,
    pub cooldown_s: u32,
    pub phase: u8,
    pub cause: u8,
    pub since_ns: i64,
    /// End of the present phase; a breaker that waits for two persons keeps the end of its halt time.
    pub until_ns: i64,
    /// Length of the present or last halt in seconds.
    pub last_halt_s: u32,
    pub closed_ns: i64,
    /// Who tripped it by hand; zero = nobody.
    pub tripped_by: [u8; 32],
    /// First of two who close it early, and until when that counts; zero = none.
    pub pending_by: [u8; 32],
    pub pending_until_ns: i64,
}

impl Breaker {
    /// A breaker with the defaults of P7.1.
    ///
    /// # Panics
    /// For a number that is no breaker.
    pub fn new(breaker: u8, armed: bool) -> Self {
        let rule = rule(breaker).expect("a breaker of P7.1");
        Breaker {
            id: breaker,
            armed,
            version: 1,
            threshold: rule.threshold.default,
            second: rule.second.default,
            halt_s: rule.halt_s.default as u32,
            cooldown_s: COOLDOWN_S.default as u32,
            phase: phase::CLOSED,
            cause: 0,
            since_ns: 0,
            until_ns: 0,
            last_halt_s: 0,
            closed_ns: NEVER,
            tripped_by: [0; 32],
            pending_by: [0; 32],
            pending_until_ns: 0,
        }
    }

    /// End of the cool-down in ns; [`i64::MIN`] before the first trip.
    pub fn cooldown_until_ns(&self) -> i64 {
        match self.closed_ns {
            NEVER => NEVER,
            closed => closed.saturating_add(i64::from(self.cooldown_s) * SECOND_NS),
        }
    }

    /// Whether an input may trip it now: armed, not tripped already, not in its own cool-down.
    #[inline]
    pub fn watches(&self, now_ns: i64) -> bool {
        match self.phase {
            phase::CLOSED => self.armed && now_ns >= self.cooldown_until_ns(),
            phase::PROBATION => self.armed,
            _ => false,
        }
    }

    /// The threshold in force: half of the setting in the probation of prices, volume and open interest.
    #[inline]
    pub fn threshold_now(&self) -> i64 {
        let halves = has_auction(self.id) || self.id == id::PRICE_PLATFORM;
        if self.phase == phase::PROBATION && halves {
            self.threshold / 2
        } else {
            self.threshold
        }
    }

    /// Seconds that a trip now halts: doubled in probation and within 3,600 s behind CLOSED, at most the bound.
    pub fn next_halt_s(&self, now_ns: i64) -> u32 {
        let again = self.phase == phase::PROBATION
            || (self.closed_ns != NEVER && now_ns < self.closed_ns.saturating_add(ESCALATION_NS));
        if !again {
            return self.halt_s;
        }
        let bound = rule(self.id).expect("a breaker of P7.1").halt_s.high as u32;
        self.last_halt_s.saturating_mul(2).max(self.halt_s).min(bound)
    }

    pub fn trip(&mut self, now_ns: i64, cause: u8, by: [u8; 32]) {
        self.last_halt_s = self.next_halt_s(now_ns);
        self.phase = phase::TRIPPED;
        self.cause = cause;
        self.since_ns = now_ns;
        self.until_ns = now_ns.saturating_add(i64::from(self.last_halt_s) * SECOND_NS);
        self.tripped_by = by;
        self.pending_by = [0; 32];
        self.pending_until_ns = 0;
    }

    /// Moves to a later phase that ends at `until_ns`.
    pub fn enter(&mut self, next: u8, now_ns: i64, until_ns: i64) {
        self.phase = next;
        self.until_ns = until_ns;
        if next == phase::CLOSED {
            self.closed_ns = now_ns;
            self.tripped_by = [0; 32];
        }
        self.pending_by = [0; 32];
        self.pending_until_ns = 0;
    }

    /// When the due queue looks at it; None while nothing is to happen by itself.
    pub fn due_ns(&self) -> Option<i64> {
        let waits_for_persons = self.id == id::PRICE_PLATFORM && self.phase == phase::TRIPPED;
        (self.phase != phase::CLOSED && !waits_for_persons).then_some(self.until_ns)
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&[self.id, u8::from(self.armed), self.phase, self.cause]);
        [self.version, self.halt_s, self.cooldown_s, self.last_halt_s]
            .into_iter()
            .for_each(|value| writer.u32(value));
        [self.threshold, self.second, self.since_ns, self.until_ns, self.closed_ns, self.pending_until_ns]
            .into_iter()
            .for_each(|value| writer.i64(value));
        writer.raw(&self.tripped_by);
        writer.raw(&self.pending_by);
    }

    /// # Errors
    /// A sentence when the bytes are those of another breaker or of none.
    pub fn decode(reader: &mut Reader<'_>, expected: u8) -> Result<Self, String> {
        let [breaker, armed, phase, cause] = reader.array()?;
        if breaker != expected || armed > 1 || phase > phase::PROBATION {
            return Err(format!("breaker {breaker} in phase {phase} where {expected} belongs"));
        }
        let [version, halt_s, cooldown_s, last_halt_s] =
            [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
        Ok(Breaker {
            id: breaker,
            armed: armed == 1,
            version,
            threshold: reader.i64()?,
            second: reader.i64()?,
            halt_s,
            cooldown_s,
            phase,
            cause,
            since_ns: reader.i64()?,
            until_ns: reader.i64()?,
            last_halt_s,
            closed_ns: reader.i64()?,
            pending_until_ns: reader.i64()?,
            tripped_by: reader.array()?,
            pending_by: reader.array()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_4_a_trip_again_within_an_hour_doubles_up_to_the_bound_and_an_hour_of_quiet_resets() {
        let mut breaker = Breaker::new(id::PRICE_FAST, true);
        let (mut now, mut lengths) = (0, Vec::new());
        for _ in 0..7 {
            breaker.trip(now, cause::TRADE, [0; 32]);
            lengths.push(breaker.last_halt_s);
            now = breaker.until_ns;
            breaker.enter(phase::CLOSED, now, now);
            now += 100 * SECOND_NS;
        }
        assert_eq!(lengths, [300, 600, 1_200, 2_400, 4_800, 7_200, 7_200]);
        assert_eq!(breaker.next_halt_s(breaker.closed_ns + ESCALATION_NS - 1), 7_200);
        assert_eq!(breaker.next_halt_s(breaker.closed_ns + ESCALATION_NS), 300);
    }

    #[test]
    fn every_rule_has_its_default_within_its_bounds() {
        for breaker in OF_MARKET.into_iter().chain(OF_PLATFORM) {
            let rule = rule(breaker).unwrap();
            for Range { default, low, high } in [rule.threshold, rule.second, rule.halt_s, COOLDOWN_S] {
                assert!(low <= default && default <= high, "breaker {breaker}");
            }
        }
        assert!(rule(0).is_none() && rule(10).is_none());
    }

    #[test]
    fn p7_4_a_breaker_watches_when_it_is_armed_and_neither_halted_nor_cooling_down() {
        let mut breaker = Breaker::new(id::VOLUME, true);
        assert!(breaker.watches(0) && !Breaker::new(id::VOLUME, false).watches(0));
        breaker.trip(0, cause::VOLUME, [0; 32]);
        assert!(!breaker.watches(0));
        breaker.enter(phase::AUCTION, 0, 5);
        assert!(!breaker.watches(0));
        breaker.enter(phase::PROBATION, 0, 5);
        assert!(breaker.watches(0));
        breaker.cooldown_s = 100;
        breaker.enter(phase::CLOSED, 7, 7);
        let end_ns = 7 + 100 * SECOND_NS;
        assert!(!breaker.watches(end_ns - 1) && breaker.watches(end_ns));
    }

    #[test]
    fn p7_4_only_price_volume_and_open_interest_are_on_half_the_threshold_in_probation() {
        for (breaker, threshold) in [
            (id::PRICE_PLATFORM, 1_000),
            (id::PRICE_FAST, 250),
            (id::VOLUME, 250),
            (id::OPEN_INTEREST, 400),
            (id::CONGESTION, 2_000),
            (id::LIQUIDATION, 10),
            (id::COVERAGE, 500_000),
        ] {
            let mut breaker = Breaker::new(breaker, true);
            breaker.enter(phase::PROBATION, 0, 1);
            assert_eq!(breaker.threshold_now(), threshold, "breaker {}", breaker.id);
        }
    }

    #[test]
    fn p7_4_an_escalated_halt_is_at_least_the_configured_one() {
        let mut breaker = Breaker { halt_s: 60, ..Breaker::new(id::PRICE_FAST, true) };
        breaker.trip(0, cause::TRADE, [0; 32]);
        breaker.halt_s = 900;
        breaker.enter(phase::PROBATION, 1, 2);
        assert_eq!(breaker.next_halt_s(1), 900);
    }

    #[test]
    fn p7_7_a_new_trip_forgets_who_wanted_to_close_the_last_one() {
        let mut breaker =
            Breaker { pending_by: [9; 32], pending_until_ns: 5, ..Breaker::new(id::VOLUME, true) };
        breaker.trip(1, cause::VOLUME, [0; 32]);
        assert_eq!((breaker.pending_by, breaker.pending_until_ns), ([0; 32], 0));
    }

    #[test]
    fn p7_1_time_does_not_bring_the_platforms_price_breaker_back() {
        let mut breaker = Breaker::new(id::PRICE_PLATFORM, true);
        breaker.trip(0, cause::WEIGHTED_MOVE, [0; 32]);
        assert_eq!(breaker.due_ns(), None);
        breaker.enter(phase::PROBATION, 1, 2);
        assert_eq!(breaker.due_ns(), Some(2));
    }
}
