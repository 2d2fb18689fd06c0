//! Stages of the platform by the vault's value (protocol P9.7).

use super::Coverage;
use crate::limits::SECOND_NS;

/// Stages as they stand in events.
pub mod phase {
    pub const BOOTSTRAP: u8 = 0;
    pub const NEARING: u8 = 1;
    pub const MINIMUM_VIABLE: u8 = 2;
    pub const FULL: u8 = 3;
    pub const DEGRADED: u8 = 4;
    pub const NAMES: [&str; 5] = ["BOOTSTRAP", "NEARING", "MINIMUM_VIABLE", "FULL", "DEGRADED"];
}

/// Micro-units of net asset value.
pub const FIRST_LEVERAGE: i64 = 1_000_000_000;
pub const NEARING_FROM: i64 = 9_000_000_000;
pub const VIABLE_FROM: i64 = 10_000_000_000;
pub const FULL_FROM: i64 = 100_000_000_000;
/// Below this a stage that was viable is DEGRADED.
pub const DEGRADED_BELOW: i64 = 9_000_000_000;
pub const RECOVERY_NS: i64 = 300 * SECOND_NS;
/// Stages are looked at this often.
pub const LOOK_NS: i64 = 60 * SECOND_NS;
/// Leverage of MINIMUM_VIABLE in hundredths.
const VIABLE_CAP_E2: u32 = 1_000;

/// The present stage, and since when a DEGRADED vault has been worth enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    pub stage: u8,
    pub recovered_since_ns: i64,
}

impl Default for Stage {
    fn default() -> Self {
        Stage { stage: phase::BOOTSTRAP, recovered_since_ns: i64::MAX }
    }
}

/// The stage that a value and a coverage have by themselves.
pub fn raw(nav: i64, coverage: Coverage) -> u8 {
    match nav {
        nav if nav < NEARING_FROM => phase::BOOTSTRAP,
        nav if nav < VIABLE_FROM => phase::NEARING,
        nav if nav >= FULL_FROM && coverage >= Coverage::from_ppm(1_000_000) => phase::FULL,
        _ => phase::MINIMUM_VIABLE,
    }
}

impl Stage {
    /// Looks at the vault; whether the stage changed.
    pub fn observe(&mut self, now_ns: i64, nav: i64, coverage: Coverage) -> bool {
        if nav < VIABLE_FROM {
            self.recovered_since_ns = i64::MAX;
        } else if self.recovered_since_ns == i64::MAX {
            self.recovered_since_ns = now_ns;
        }
        let recovered = self.recovered_since_ns != i64::MAX
            && now_ns.saturating_sub(self.recovered_since_ns) >= RECOVERY_NS;
        let next = match self.stage {
            phase::DEGRADED if !recovered => phase::DEGRADED,
            phase::MINIMUM_VIABLE | phase::FULL if nav < DEGRADED_BELOW => phase::DEGRADED,
            // Between nine tenths of the threshold and the threshold a viable vault stays viable.
            phase::MINIMUM_VIABLE | phase::FULL if nav < VIABLE_FROM => phase::MINIMUM_VIABLE,
            _ => raw(nav, coverage),
        };
        std::mem::replace(&mut self.stage, next) != next
    }

    /// Coverage that the fee curve sees: none before the vault is near its minimum (P8.2).
    pub fn fee_coverage(&self, coverage: Coverage) -> Coverage {
        match self.stage {
            phase::BOOTSTRAP => Coverage::ZERO,
            _ => coverage,
        }
    }

    /// Largest leverage in hundredths for new risk; `u32::MAX` = the stage sets none, 0 = close only.
    ///
    /// ```
    /// # use tradewind_engine::coverage::{stage::Stage, Coverage};
    /// let cap = |dollars: i64| Stage::default().leverage_cap_e2(dollars * 1_000_000, Coverage::INFINITE);
    /// assert_eq!([cap(1_000), cap(5_500), cap(9_999)], [100, 500, 900]);
    /// ```
    pub fn leverage_cap_e2(&self, nav: i64, coverage: Coverage) -> u32 {
        match self.stage {
            phase::FULL => u32::MAX,
            phase::MINIMUM_VIABLE => VIABLE_CAP_E2,
            phase::DEGRADED => 0,
            _ => {
                let above = (nav.min(VIABLE_FROM) - FIRST_LEVERAGE).max(0);
                let ramp = 1 + 9 * above / (VIABLE_FROM - FIRST_LEVERAGE);
                // 100·c in hundredths is 10^4·c.
                let covered = coverage.ppm().map_or(u64::MAX, |ppm| ppm / 100);
                (ramp as u64 * 100).min(covered) as u32
            }
        }
    }
}
