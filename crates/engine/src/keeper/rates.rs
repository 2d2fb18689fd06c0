//! Rates of keepers (protocol P13.5), as the theoretical arrival time of a leaky bucket: exact, one integer each.

use crate::limits::SECOND_NS;

/// Distinct targets of liquidation: 100 an hour, 50 at once.
pub const TARGETS: Rate = Rate { interval_ns: 36 * SECOND_NS, burst: 50 };
/// Everything else, further steps on a known target included: 10 a second.
pub const ACTIONS: Rate = Rate { interval_ns: SECOND_NS / 10, burst: 10 };
/// Targets that a keeper is remembered to have worked on.
pub const RECENT_TARGETS: usize = 64;

/// One unit every `interval_ns`, at most `burst` saved up.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub interval_ns: i64,
    pub burst: i64,
}

impl Rate {
    /// Moment from which the next unit is there, given the arrival time so far.
    pub fn ready_ns(&self, arrival_ns: i64) -> i64 {
        arrival_ns.saturating_sub((self.burst - 1) * self.interval_ns)
    }

    /// The arrival time after one unit was used at `now_ns`.
    pub fn used(&self, arrival_ns: i64, now_ns: i64) -> i64 {
        arrival_ns.max(now_ns).saturating_add(self.interval_ns)
    }
}

/// Both buckets of a keeper and the targets that it has paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meters {
    pub targets_ns: i64,
    pub actions_ns: i64,
    /// Ring of the targets of the last liquidations; 0 = empty.
    pub recent: [u64; RECENT_TARGETS],
    pub next: u8,
}

impl Default for Meters {
    fn default() -> Self {
        Meters { targets_ns: i64::MIN, actions_ns: i64::MIN, recent: [0; RECENT_TARGETS], next: 0 }
    }
}

impl Meters {
    /// Whether an action must wait, and until when. `target` 0 = no liquidation.
    pub fn wait_until(&self, target: u64, now_ns: i64) -> Option<i64> {
        let ready_ns = match self.is_new(target) {
            true => TARGETS.ready_ns(self.targets_ns),
            false => ACTIONS.ready_ns(self.actions_ns),
        };
        (ready_ns > now_ns).then_some(ready_ns)
    }

    /// Counts an action that was carried out.
    pub fn count(&mut self, target: u64, now_ns: i64) {
        if self.is_new(target) {
            self.targets_ns = TARGETS.used(self.targets_ns, now_ns);
            self.recent[usize::from(self.next)] = target;
            self.next = (self.next + 1) % RECENT_TARGETS as u8;
        } else {
            self.actions_ns = ACTIONS.used(self.actions_ns, now_ns);
        }
    }

    fn is_new(&self, target: u64) -> bool {
        target != 0 && !self.recent.contains(&target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried_out(meters: &mut Meters, target: u64, now_ns: i64) -> bool {
        let ready = meters.wait_until(target, now_ns).is_none();
        if ready {
            meters.count(target, now_ns);
        }
        ready
    }

    #[test]
    fn fifty_targets_at_once_then_one_every_36_seconds() {
        let mut meters = Meters::default();
        let done = (1..=60).filter(|&target| carried_out(&mut meters, target, 0)).count();
        assert_eq!(done, 50);
        assert_eq!(meters.wait_until(99, 0), Some(36 * SECOND_NS));
        assert!(!carried_out(&mut meters, 99, 36 * SECOND_NS - 1));
        assert!(carried_out(&mut meters, 99, 36 * SECOND_NS));
        assert!(!carried_out(&mut meters, 100, 36 * SECOND_NS));
    }

    #[test]
    fn further_steps_on_a_known_target_cost_no_target() {
        let mut meters = Meters::default();
        (1..=50).for_each(|target| assert!(carried_out(&mut meters, target, 0)));
        let steps = (0..20).filter(|_| carried_out(&mut meters, 50, 0)).count();
        assert_eq!(steps, 10);
    }

    #[test]
    fn an_hour_of_legal_use_never_locks_out() {
        let mut meters = Meters::default();
        for step in 0..1_000_i64 {
            assert!(carried_out(&mut meters, 1_000 + step as u64, step * 36 * SECOND_NS));
        }
        for step in 0..1_000_i64 {
            assert!(carried_out(&mut meters, 0, step * SECOND_NS / 10));
        }
    }
}
