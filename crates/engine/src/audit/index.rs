//! What the sources of a price feed give together, recomputed by the auditor's own rules (P6.1, P6.2, P2.3.1).
//!
//! Values are in micro-quote per whole unit, on probability feeds in millionths of the payout.

use std::collections::VecDeque;

pub const SOURCES: usize = 16;
const SECOND_NS: i64 = 1_000_000_000;
const MINUTE_NS: i64 = 60 * SECOND_NS;
const HOUR_NS: i64 = 60 * MINUTE_NS;
const MILLISECOND_NS: i64 = 1_000_000;
/// A source is stale beyond five intervals, but not before 5 s and not later than 300 s (P6.1.3).
const STALE_NS: (i64, i64) = (5 * SECOND_NS, 300 * SECOND_NS);
/// Sources may differ for this long before the feed is DIVERGENT (P6.1.4).
const APART_NS: i64 = 60 * SECOND_NS;
/// A better state needs better inputs for this long, VALID after a lost quorum for longer (P6.2).
const BETTER_NS: i64 = 10 * SECOND_NS;
const VALID_NS: i64 = 60 * SECOND_NS;
const PAYOUT: i64 = 1_000_000;
const OUTLIER_PPM: u32 = 50_000;
const NEVER: i64 = i64::MAX;

pub const VALID: u8 = 0;
pub const WARN: u8 = 1;
pub const DEGRADED: u8 = 2;
pub const UNCERTAIN: u8 = 3;
pub const DIVERGENT: u8 = 4;
pub const STALE: u8 = 5;
pub const NO_QUORUM: u8 = 6;
pub const INVALID: u8 = 7;

const PASS: u8 = 0;
const GATE_MISSING: u8 = 1;
const GATE_EXCLUDED: u8 = 2;
const GATE_STALE: u8 = 3;
const GATE_CONFIDENCE: u8 = 4;
const GATE_OUTLIER: u8 = 5;

/// What clears a state, in the numbers of the events (P6.6).
pub mod why {
    pub const NONE: u8 = 0;
    pub const AGE: u8 = 1;
    pub const SOURCE_MISSING: u8 = 2;
    pub const CONFIDENCE: u8 = 3;
    pub const SOURCES_APART: u8 = 4;
    pub const MARK_FAR: u8 = 5;
    pub const QUORUM: u8 = 6;
    pub const NO_INDEX: u8 = 7;
    pub const NOT_USABLE: u8 = 8;
    pub const OVERRIDE: u8 = 9;
    pub const HOLD: u8 = 10;
    pub const BETTER: u8 = 11;
}

/// A source and its last publication; value 0 = none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    pub key: [u8; 32],
    pub weight: u8,
    pub next_weight: u8,
    /// Two persons excluded it until this moment, ns.
    pub excluded_until_ns: Option<i64>,
    pub value: i64,
    pub confidence: i64,
    pub time_ns: i64,
    pub seq: u64,
}

/// A feed's parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub probability: bool,
    pub quorum: u8,
    pub interval_ms: u32,
    pub max_confidence_ppm: u32,
    pub max_deviation_bp: u32,
    pub fallback: u32,
}

/// An index that a quorum gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub index: i64,
    pub confidence: i64,
    pub low: i64,
    pub high: i64,
}

/// The sources at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Four bits a source of the present table.
    pub gates: u64,
    pub sources: u8,
    pub passing: u8,
    stale: u8,
    /// A source that counts is older than two intervals.
    aged: bool,
    /// None without a quorum.
    pub found: Option<Found>,
}

impl Terms {
    /// Whether `part` is more than `ppm` of `whole`, on a probability feed of the payout (P6.1.5).
    fn beyond(&self, part: i64, whole: i64, ppm: u32) -> bool {
        let whole = if self.probability { PAYOUT } else { whole };
        i128::from(part) * 1_000_000 > i128::from(whole) * i128::from(ppm)
    }

    fn interval_ns(&self) -> i64 {
        i64::from(self.interval_ms) * MILLISECOND_NS
    }

    /// The first gate of P6.1.1 that one source fails by itself.
    fn gate(&self, source: &Source, now_ns: i64) -> u8 {
        let stale_ns = (5 * self.interval_ns()).clamp(STALE_NS.0, STALE_NS.1);
        match source {
            Source { value: ..=0, .. } => GATE_MISSING,
            Source { excluded_until_ns: Some(_), .. } => GATE_EXCLUDED,
            _ if now_ns.saturating_sub(source.time_ns) > stale_ns => GATE_STALE,
            _ if self.beyond(source.confidence, source.value, self.max_confidence_ppm) => GATE_CONFIDENCE,
            _ => PASS,
        }
    }

    /// Gates of all sources of the present table, and the index if a quorum passes them.
    pub fn look(&self, sources: &[Source], now_ns: i64) -> Look {
        let (mut gates, mut values, mut count, mut passing) = ([0; SOURCES], [0; SOURCES], 0, 0);
        let present = || sources.iter().filter(|source| source.weight > 0).take(SOURCES);
        for source in present() {
            gates[count] = self.gate(source, now_ns);
            if gates[count] == PASS {
                values[passing] = source.value;
                passing += 1;
            }
            count += 1;
        }
        if let Some(centre) = middle(&mut values[..passing]) {
            let spread = spread_about(&values[..passing], centre);
            for (source, gate) in present().zip(&mut gates).filter(|(_, gate)| **gate == PASS) {
                let distance = source.value.abs_diff(centre) as i64;
                let far = self.beyond(distance, centre, OUTLIER_PPM);
                if far && i128::from(distance) > 6 * i128::from(spread) {
                    *gate = GATE_OUTLIER;
                }
            }
        }
        let mut look = Look { sources: count as u8, ..Look::default() };
        let (mut by_value, mut passing) = ([(0, 0, 0); SOURCES], 0);
        for (place, (source, &gate)) in present().zip(&gates).enumerate() {
            look.gates |= u64::from(gate) << (4 * place);
            look.stale += u8::from(gate == GATE_STALE);
            if gate == PASS {
                look.aged |= now_ns.saturating_sub(source.time_ns) > 2 * self.interval_ns();
                by_value[passing] = (source.value, u32::from(source.weight), source.confidence);
                passing += 1;
            }
        }
        look.passing = passing as u8;
        if count > 0 && look.passing >= self.quorum {
            look.found = index_of(&mut by_value[..passing]);
        }
        look
    }

    /// The state that the inputs alone give, and why (P6.2). What a far mark adds, the events say only at its end.
    pub fn judge(&self, look: &Look, forced: bool, known: bool, apart: bool) -> (u8, u8) {
        if forced {
            return (INVALID, why::OVERRIDE);
        }
        if look.sources == 0 {
            return (INVALID, why::NOT_USABLE);
        }
        if let Some(found) = look.found {
            return match () {
                () if apart => (DIVERGENT, why::SOURCES_APART),
                () if self.beyond(found.confidence, found.index, self.max_confidence_ppm) => {
                    (UNCERTAIN, why::CONFIDENCE)
                }
                () if look.passing < look.sources => (DEGRADED, why::SOURCE_MISSING),
                () if look.aged => (WARN, why::AGE),
                () => (VALID, why::NONE),
            };
        }
        match () {
            () if !known => (INVALID, why::NO_INDEX),
            () if look.passing + look.stale >= self.quorum => (STALE, why::AGE),
            () => (NO_QUORUM, why::QUORUM),
        }
    }

    /// Since when the sources that count are too far apart, ns.
    pub fn apart_since(&self, look: &Look, since_ns: Option<i64>, now_ns: i64) -> Option<i64> {
        let found = look.found?;
        let wide = self.beyond(found.high - found.low, found.low, self.max_deviation_bp.saturating_mul(100));
        wide.then(|| since_ns.unwrap_or(now_ns))
    }
}

/// Whether a disagreement has lasted too long.
pub fn lasted(since_ns: Option<i64>, now_ns: i64) -> bool {
    since_ns.is_some_and(|since_ns| now_ns.saturating_sub(since_ns) >= APART_NS)
}

/// Median of values, which it sorts; of two middles the mean rounded down.
fn middle(values: &mut [i64]) -> Option<i64> {
    values.sort_unstable();
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(lower + (upper - lower) / 2)
}

/// Median distance from a centre.
fn spread_about(values: &[i64], centre: i64) -> i64 {
    let mut distances = [0; SOURCES];
    for (distance, value) in distances.iter_mut().zip(values) {
        *distance = value.abs_diff(centre) as i64;
    }
    middle(&mut distances[..values.len()]).unwrap_or(0)
}

/// The value at which half of the weight is reached; at an exact half the mean of it and the next, rounded down.
fn heavy_middle(ascending: impl Iterator<Item = (i64, u32)> + Clone) -> i64 {
    let whole: u32 = ascending.clone().map(|(_, weight)| weight).sum();
    let (mut reached, mut lower) = (0, None);
    for (value, weight) in ascending {
        if let Some(lower) = lower {
            return lower + (value - lower) / 2;
        }
        reached += weight;
        if 2 * reached > whole {
            return value;
        }
        lower = (2 * reached == whole).then_some(value);
    }
    lower.unwrap_or(0)
}

/// Index and confidence of (value, weight, confidence) of those that pass (P6.1.2).
fn index_of(passing: &mut [(i64, u32, i64)]) -> Option<Found> {
    passing.sort_unstable_by_key(|&(value, ..)| value);
    let (low, high) = (passing.first()?.0, passing.last()?.0);
    let index = heavy_middle(passing.iter().map(|&(value, weight, _)| (value, weight)));
    let mut values = [0; SOURCES];
    values.iter_mut().zip(passing.iter()).for_each(|(value, source)| *value = source.0);
    let spread = spread_about(&values[..passing.len()], index);
    passing.sort_unstable_by_key(|&(_, _, confidence)| confidence);
    let own = heavy_middle(passing.iter().map(|&(_, weight, confidence)| (confidence, weight)));
    let wide = (i128::from(spread) * 14_826).div_euclid(10_000)
        + i128::from(!(i128::from(spread) * 14_826).rem_euclid(10_000).eq(&0));
    Some(Found { index, confidence: own.max(wide as i64), low, high })
}

/// How far a feed is on the way to a better state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: u8,
    pub since_ns: i64,
    /// By state: since when the inputs are that good or better; `i64::MAX` = they are not.
    pub good_since_ns: [i64; 8],
    /// Not VALID before; `i64::MAX` while there is no quorum.
    pub valid_from_ns: i64,
}

impl Standing {
    pub const fn new(now_ns: i64) -> Self {
        Standing { state: INVALID, since_ns: now_ns, good_since_ns: [NEVER; 8], valid_from_ns: NEVER }
    }

    /// The inputs give `raw` now.
    pub fn note(&mut self, raw: u8, now_ns: i64) {
        self.valid_from_ns = match (raw >= NO_QUORUM, self.valid_from_ns) {
            (true, _) => NEVER,
            (false, NEVER) => now_ns.saturating_add(VALID_NS),
            (false, known) => known,
        };
        for (level, since_ns) in self.good_since_ns.iter_mut().enumerate() {
            *since_ns = if usize::from(raw) > level { NEVER } else { (*since_ns).min(now_ns) };
        }
    }

    /// Whether better inputs have lasted long enough for a state.
    pub fn has_earned(&self, state: u8, now_ns: i64) -> bool {
        let long_enough = self.good_since_ns[usize::from(state)].saturating_add(BETTER_NS) <= now_ns;
        long_enough && (state != VALID || self.valid_from_ns <= now_ns)
    }

    /// How long better inputs must last as the events show it, ms.
    pub fn hold_ms(&self) -> u32 {
        let hold_ns = match self.state {
            VALID => 0,
            WARN if self.valid_from_ns > self.since_ns => VALID_NS,
            _ => BETTER_NS,
        };
        (hold_ns / MILLISECOND_NS) as u32
    }
}

/// Sums of index × ns at the last 62 whole minutes: the mean of an hour at which a closed market settles.
#[derive(Clone, Debug, Default)]
pub struct Hour {
    value: i64,
    from_ns: i64,
    sum: i128,
    /// Whole minutes and the sums up to them.
    minutes: VecDeque<(i64, i128)>,
    /// First whole minute that the index has seen.
    first: i64,
}

impl Hour {
    const MINUTES: i64 = 62;

    /// Goes on from a state in the middle: the present index and the sums at whole minutes, ascending.
    pub fn taken_over(
        (value, from_ns, sum): (i64, i64, i128),
        first: i64,
        minutes: impl Iterator<Item = (i64, i128)>,
    ) -> Self {
        Hour { value, from_ns, sum, first, minutes: minutes.collect() }
    }

    fn sum_at(&self, at_ns: i64) -> i128 {
        self.sum + i128::from(self.value) * (i128::from(at_ns) - i128::from(self.from_ns))
    }

    /// The index is `value` from now on.
    pub fn set(&mut self, value: i64, now_ns: i64) {
        if value == self.value {
            return;
        }
        let last = now_ns.div_euclid(MINUTE_NS);
        if self.value == 0 {
            self.first = if now_ns.rem_euclid(MINUTE_NS) == 0 { last } else { last + 1 };
            self.minutes.extend((self.first == last).then_some((last, 0)));
        } else {
            let from = (self.from_ns.div_euclid(MINUTE_NS) + 1).max(last - Self::MINUTES + 1);
            for minute in from..=last {
                let sum = self.sum_at(minute * MINUTE_NS);
                self.minutes.push_back((minute, sum));
            }
            self.sum = self.sum_at(now_ns);
        }
        while self.minutes.len() > Self::MINUTES as usize {
            self.minutes.pop_front();
        }
        (self.value, self.from_ns) = (value, now_ns);
    }

    /// The mean, rounded down, from the last whole minute that is an hour back until now; None for a younger index.
    pub fn mean(&self, now_ns: i64) -> Option<i64> {
        let minute = now_ns.checked_sub(HOUR_NS)?.div_euclid(MINUTE_NS);
        if self.value == 0 || minute < self.first {
            return None;
        }
        let start_ns = minute * MINUTE_NS;
        let start = match start_ns >= self.from_ns {
            true => self.sum_at(start_ns),
            false => self.minutes.iter().find(|&&(known, _)| known == minute)?.1,
        };
        i64::try_from((self.sum_at(now_ns) - start).div_euclid(i128::from(now_ns - start_ns))).ok()
    }
}
