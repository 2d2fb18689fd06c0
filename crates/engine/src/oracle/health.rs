//! A feed's state: the worst condition that applies, and the time that a better one takes (protocol P6.2).

use super::{cause, state};
use crate::limits::{FEED_BETTER_NS, FEED_VALID_NS};

/// What the sources and the mark give at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// Two persons declared the feed invalid.
    pub forced: bool,
    /// There was an index once.
    pub has_index: bool,
    /// Sources of the feed; 0 = the feed is not usable yet.
    pub sources: u8,
    pub quorum: u8,
    pub passing: u8,
    /// Sources that only their age excludes.
    pub stale: u8,
    /// A passing source is older than twice the interval.
    pub aged: bool,
    /// The index has a confidence beyond the limit.
    pub unsure: bool,
    /// Sources have been apart, or a mark far from the index, for the whole time allowed.
    pub apart: bool,
    pub far: bool,
}

/// The worst state that applies and its cause.
pub fn judge(inputs: &Inputs) -> (u8, u8) {
    if inputs.forced {
        return (state::INVALID, cause::OVERRIDE);
    }
    if inputs.sources == 0 {
        return (state::INVALID, cause::NOT_USABLE);
    }
    if inputs.passing < inputs.quorum {
        let known = inputs.passing + inputs.stale;
        return match inputs.has_index {
            false => (state::INVALID, cause::NO_INDEX),
            true if known >= inputs.quorum => (state::STALE, cause::AGE),
            true => (state::NO_QUORUM, cause::QUORUM),
        };
    }
    match inputs {
        Inputs { apart: true, .. } => (state::DIVERGENT, cause::SOURCES_APART),
        Inputs { far: true, .. } => (state::DIVERGENT, cause::MARK_FAR),
        Inputs { unsure: true, .. } => (state::UNCERTAIN, cause::CONFIDENCE),
        Inputs { passing, sources, .. } if passing < sources => (state::DEGRADED, cause::SOURCE_MISSING),
        Inputs { aged: true, .. } => (state::WARN, cause::AGE),
        _ => (state::VALID, cause::NONE),
    }
}

/// "The inputs are not that good now."
const NOT_NOW: i64 = i64::MAX;

/// The state in force and how far it is on the way to a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: u8,
    pub since_ns: i64,
    /// By state: since when the inputs are that good or better without a break; `i64::MAX` = they are not.
    pub good_since_ns: [i64; state::COUNT],
    /// Not VALID before this moment; `i64::MAX` while the inputs are NO_QUORUM or INVALID.
    pub valid_from_ns: i64,
}

impl Standing {
    pub const fn new(now_ns: i64) -> Self {
        let good_since_ns = [NOT_NOW; state::COUNT];
        Standing { state: state::INVALID, since_ns: now_ns, good_since_ns, valid_from_ns: NOT_NOW }
    }

    /// Takes the state that the inputs have now: a worse one at once, a better one after its time.
    pub fn settle(&mut self, raw: u8, now_ns: i64) {
        if raw >= state::NO_QUORUM {
            self.valid_from_ns = NOT_NOW;
        } else if self.valid_from_ns == NOT_NOW {
            self.valid_from_ns = now_ns.saturating_add(FEED_VALID_NS);
        }
        for (level, since_ns) in (0..).zip(&mut self.good_since_ns) {
            if raw > level {
                *since_ns = NOT_NOW;
            } else if *since_ns == NOT_NOW {
                *since_ns = now_ns;
            }
        }
        let earned = (raw..state::INVALID).find(|&level| self.earned_ns(level) <= now_ns);
        let target = if raw > self.state { raw } else { earned.unwrap_or(self.state).min(self.state) };
        if target != self.state {
            (self.state, self.since_ns) = (target, now_ns);
        }
    }

    /// When the state may be this good if the inputs stay as they are; `i64::MAX` = not by time alone.
    fn earned_ns(&self, level: u8) -> i64 {
        let better_ns = self.good_since_ns[usize::from(level)].saturating_add(FEED_BETTER_NS);
        if level == state::VALID {
            better_ns.max(self.valid_from_ns)
        } else {
            better_ns
        }
    }

    /// When the state next improves if the inputs stay as they are; `i64::MAX` = not by time alone.
    pub fn improves_ns(&self) -> i64 {
        (0..self.state).map(|level| self.earned_ns(level)).min().unwrap_or(NOT_NOW)
    }

    /// How long better inputs must last for the next better state.
    pub fn hold_ns(&self) -> i64 {
        match self.state {
            state::VALID => 0,
            state::WARN if self.valid_from_ns > self.since_ns => FEED_VALID_NS,
            _ => FEED_BETTER_NS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SECOND_NS;

    const GOOD: Inputs = Inputs {
        forced: false,
        has_index: true,
        sources: 3,
        quorum: 2,
        passing: 3,
        stale: 0,
        aged: false,
        unsure: false,
        apart: false,
        far: false,
    };

    #[test]
    fn the_worst_condition_names_the_state() {
        let worst = Inputs {
            forced: true,
            has_index: false,
            sources: 0,
            passing: 1,
            stale: 0,
            aged: true,
            unsure: true,
            apart: true,
            far: true,
            ..GOOD
        };
        type Mend = fn(&mut Inputs);
        let mended: [(Mend, u8, u8); 10] = [
            (|_| (), state::INVALID, cause::OVERRIDE),
            (|inputs| inputs.forced = false, state::INVALID, cause::NOT_USABLE),
            (|inputs| inputs.sources = 3, state::INVALID, cause::NO_INDEX),
            (|inputs| inputs.has_index = true, state::NO_QUORUM, cause::QUORUM),
            (|inputs| inputs.stale = 1, state::STALE, cause::AGE),
            (|inputs| (inputs.passing, inputs.stale) = (2, 0), state::DIVERGENT, cause::SOURCES_APART),
            (|inputs| inputs.apart = false, state::DIVERGENT, cause::MARK_FAR),
            (|inputs| inputs.far = false, state::UNCERTAIN, cause::CONFIDENCE),
            (|inputs| inputs.unsure = false, state::DEGRADED, cause::SOURCE_MISSING),
            (|inputs| inputs.passing = 3, state::WARN, cause::AGE),
        ];
        let mut inputs = worst;
        for (mend, feed_state, why) in mended {
            mend(&mut inputs);
            assert_eq!(judge(&inputs), (feed_state, why), "{inputs:?}");
        }
        assert_eq!(judge(&GOOD), (state::VALID, cause::NONE));
    }

    fn standing(feed_state: u8) -> Standing {
        Standing { state: feed_state, valid_from_ns: 0, ..Standing::new(0) }
    }

    #[test]
    fn worse_is_at_once_and_better_takes_ten_seconds_without_a_break() {
        let mut feed = standing(state::VALID);
        feed.settle(state::DIVERGENT, 5);
        assert_eq!((feed.state, feed.since_ns, feed.improves_ns()), (state::DIVERGENT, 5, i64::MAX));
        let good_ns = 100 * SECOND_NS;
        feed.settle(state::VALID, good_ns);
        assert_eq!(feed.improves_ns(), good_ns + FEED_BETTER_NS);
        feed.settle(state::VALID, good_ns + FEED_BETTER_NS - 1);
        assert_eq!(feed.state, state::DIVERGENT);
        // A break starts the ten seconds anew.
        feed.settle(state::DIVERGENT, good_ns + FEED_BETTER_NS - 1);
        feed.settle(state::VALID, good_ns + FEED_BETTER_NS);
        feed.settle(state::VALID, good_ns + 2 * FEED_BETTER_NS - 1);
        assert_eq!(feed.state, state::DIVERGENT);
        feed.settle(state::VALID, good_ns + 2 * FEED_BETTER_NS);
        assert_eq!((feed.state, feed.since_ns), (state::VALID, good_ns + 2 * FEED_BETTER_NS));
    }

    #[test]
    fn each_better_state_needs_ten_seconds_of_its_own() {
        let mut feed = standing(state::STALE);
        feed.settle(state::VALID, 0);
        feed.settle(state::DEGRADED, 5 * SECOND_NS);
        feed.settle(state::VALID, 6 * SECOND_NS);
        feed.settle(state::VALID, FEED_BETTER_NS);
        assert_eq!((feed.state, feed.improves_ns()), (state::DEGRADED, 6 * SECOND_NS + FEED_BETTER_NS));
        feed.settle(state::VALID, 6 * SECOND_NS + FEED_BETTER_NS - 1);
        assert_eq!(feed.state, state::DEGRADED);
        feed.settle(state::VALID, 6 * SECOND_NS + FEED_BETTER_NS);
        assert_eq!(feed.state, state::VALID);
    }

    #[test]
    fn valid_takes_sixty_seconds_after_a_lost_quorum() {
        let mut feed = standing(state::VALID);
        feed.settle(state::NO_QUORUM, 0);
        let good_ns = 7 * SECOND_NS;
        feed.settle(state::VALID, good_ns);
        feed.settle(state::VALID, good_ns + FEED_BETTER_NS);
        assert_eq!((feed.state, feed.hold_ns()), (state::WARN, FEED_VALID_NS));
        assert_eq!(feed.improves_ns(), good_ns + FEED_VALID_NS);
        feed.settle(state::VALID, good_ns + FEED_VALID_NS - 1);
        assert_eq!(feed.state, state::WARN);
        feed.settle(state::VALID, good_ns + FEED_VALID_NS);
        assert_eq!((feed.state, feed.hold_ns()), (state::VALID, 0));
    }
}
