//! States of coverage with hysteresis (protocol P9.6).

use super::Coverage;
use crate::limits::SECOND_NS;

/// States, best first.
pub mod state {
    pub const NORMAL: u8 = 0;
    pub const WARNING: u8 = 1;
    pub const CRITICAL: u8 = 2;
    pub const HALT: u8 = 3;
    pub const NAMES: [&str; 4] = ["NORMAL", "WARNING", "CRITICAL", "HALT"];
}

/// Least coverage in ppm of NORMAL, WARNING and CRITICAL.
pub const LEAST_PPM: [u64; 3] = [1_500_000, 1_000_000, 500_000];
/// What a better state needs beyond its threshold, and for how long.
pub const MARGIN_PPM: u64 = 100_000;
pub const PATIENCE_NS: i64 = 300 * SECOND_NS;

/// The state that a coverage would have without hysteresis.
pub fn raw(coverage: Coverage) -> u8 {
    let reached = LEAST_PPM.iter().position(|&least| coverage >= Coverage::from_ppm(least));
    reached.map_or(state::HALT, |place| place as u8)
}

/// The state and since when each better one is earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    pub state: u8,
    /// By state: since when coverage has been its threshold plus the margin or more; `i64::MAX` while it is not.
    pub good_since_ns: [i64; 3],
}

impl Default for Status {
    fn default() -> Self {
        Status { state: state::NORMAL, good_since_ns: [i64::MIN; 3] }
    }
}

impl Status {
    /// Takes the present coverage; whether the state changed. A worse state holds at once, a better one after 300 s.
    pub fn observe(&mut self, now_ns: i64, coverage: Coverage) -> bool {
        for (since_ns, least) in self.good_since_ns.iter_mut().zip(LEAST_PPM) {
            if coverage < Coverage::from_ppm(least + MARGIN_PPM) {
                *since_ns = i64::MAX;
            } else if *since_ns == i64::MAX {
                *since_ns = now_ns;
            }
        }
        let earned = self
            .good_since_ns
            .iter()
            .position(|&since_ns| since_ns != i64::MAX && now_ns.saturating_sub(since_ns) >= PATIENCE_NS);
        let earned = earned.map_or(state::HALT, |place| place as u8);
        let present = raw(coverage);
        let next = if present > self.state { present } else { self.state.min(earned.max(present)) };
        std::mem::replace(&mut self.state, next) != next
    }
}
