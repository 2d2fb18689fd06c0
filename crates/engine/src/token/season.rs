//! Seasons: a budget that is given out by time (protocol P11.3).

use super::SEASON_BUDGET;
use crate::limits::SECOND_NS;

/// Length of a season: 180 days.
pub const SEASON_NS: i64 = 15_552_000 * SECOND_NS;

/// A season in course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Season {
    pub number: u32,
    /// Micro-units.
    pub budget: i64,
    pub start_ns: i64,
    /// Micro-units that left the season's line.
    pub paid: i64,
}

impl Season {
    pub fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(SEASON_NS)
    }

    /// Micro-units that may have left by now, rounded down.
    pub fn emitted(&self, now_ns: i64) -> i64 {
        let elapsed_ns = now_ns.saturating_sub(self.start_ns).clamp(0, SEASON_NS);
        (i128::from(self.budget) * i128::from(elapsed_ns) / i128::from(SEASON_NS)) as i64
    }
}

/// All seasons: one in course, the others are history of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seasons {
    /// Number of the last season that was opened; 0 = none.
    pub last: u32,
    pub active: Option<Season>,
}

/// Largest budget of any season.
pub const LARGEST_BUDGET: i64 = SEASON_BUDGET;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DAY_NS;

    #[test]
    fn p11_3_golden_emission_by_time_and_never_beyond_the_budget() {
        let season = Season { number: 1, budget: SEASON_BUDGET, start_ns: 7, paid: 0 };
        assert_eq!(season.emitted(7), 0);
        assert_eq!(season.emitted(7 + SECOND_NS), 643_004);
        assert_eq!(season.emitted(7 + DAY_NS), 55_555_555_555);
        assert_eq!(season.emitted(season.end_ns() - 1), SEASON_BUDGET - 1);
        assert_eq!(season.emitted(season.end_ns()), SEASON_BUDGET);
        assert_eq!(season.emitted(i64::MAX), SEASON_BUDGET);
        assert_eq!(season.emitted(i64::MIN), 0);
    }
}
