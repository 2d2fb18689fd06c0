//! The 90 million tokens that are locked under vesting (protocol P11.2).
//!
//! A pool's share of the supply vests along its row of the table from the moment of issue. An allocation decides whose
//! locked tokens they are; its own schedule starts no earlier than the pool's `floor_ns`, so that whatever is
//! allocated, revoked, allocated again or drawn for a season, no more leaves a pool than its row has vested:
//! with P the pool, L its length and f(t) = t/L, every step keeps `Σ kept + Σ Aᵢ·fᵢ(t) + drawn ≤ P·f(t)`.

use std::collections::BTreeMap;

use crate::limits::DAY_NS;

/// A row of the vesting table. It never changes (P14.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: &'static str,
    /// Micro-units.
    pub size: i64,
    pub cliff_days: i64,
    pub length_days: i64,
    pub revocable: bool,
}

const MILLION: i64 = 1_000_000_000_000;

/// The table of P11.2 in its order; a pool's number is its place.
pub const POOLS: [Row; 5] = [
    Row { name: "team", size: 20 * MILLION, cliff_days: 365, length_days: 1_460, revocable: false },
    Row { name: "advisors", size: 5 * MILLION, cliff_days: 180, length_days: 730, revocable: true },
    Row { name: "strategic", size: 15 * MILLION, cliff_days: 180, length_days: 1_095, revocable: true },
    Row { name: "ecosystem", size: 30 * MILLION, cliff_days: 0, length_days: 1_825, revocable: true },
    Row { name: "reserve", size: 20 * MILLION, cliff_days: 1_095, length_days: 3_650, revocable: true },
];
/// The pool that later seasons draw on and that gets back what a season leaves over.
pub const ECOSYSTEM: usize = 3;

impl Row {
    /// Micro-units of `amount` that have vested `elapsed_ns` after the start, rounded down. 0 before the cliff, all of
    /// it at the end.
    pub fn vested(&self, amount: i64, elapsed_ns: i64) -> i64 {
        if elapsed_ns < self.cliff_days * DAY_NS || elapsed_ns < 0 {
            return 0;
        }
        let length_ns = self.length_days * DAY_NS;
        if elapsed_ns >= length_ns {
            return amount;
        }
        (i128::from(amount) * i128::from(elapsed_ns) / i128::from(length_ns)) as i64
    }
}

/// One allocation to a beneficiary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub pool: u8,
    pub account: u32,
    pub amount: i64,
    pub start_ns: i64,
    pub claimed: i64,
    /// When it was revoked; 0 = it was not.
    pub revoked_ns: i64,
}

impl Schedule {
    pub fn row(&self) -> &'static Row {
        &POOLS[usize::from(self.pool)]
    }

    /// Micro-units that belong to the beneficiary; a revocation keeps what had vested.
    pub fn vested(&self, now_ns: i64) -> i64 {
        let until_ns = if self.revoked_ns == 0 { now_ns } else { now_ns.min(self.revoked_ns) };
        self.row().vested(self.amount, until_ns.saturating_sub(self.start_ns))
    }

    pub fn claimable(&self, now_ns: i64) -> i64 {
        self.vested(now_ns) - self.claimed
    }

    /// First moment at which anything has vested.
    pub fn cliff_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.row().cliff_days * DAY_NS)
    }

    pub fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.row().length_days * DAY_NS)
    }
}

/// What has become of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Sum of the schedules in force.
    pub allocated: i64,
    /// What revoked schedules had vested.
    pub kept: i64,
    /// Drawn for seasons less what they left over: negative when the first season has left more than was drawn.
    pub drawn: i64,
    /// No schedule starts earlier: the moment of issue, of the last revocation, or of the last draw.
    pub floor_ns: i64,
}

/// All pools and schedules.
#[derive(Clone, Debug, Default)]
pub struct Vesting {
    pub pools: [Pool; POOLS.len()],
    pub schedules: BTreeMap<u64, Schedule>,
    /// Number of the last schedule.
    pub last: u64,
}

impl Vesting {
    /// Opens the pools at the moment of issue.
    pub fn begin(&mut self, issued_ns: i64) {
        self.pools = [Pool { floor_ns: issued_ns, ..Pool::default() }; POOLS.len()];
    }

    /// Micro-units of a pool that no schedule and no season has.
    pub fn available(&self, pool: usize) -> i64 {
        let Pool { allocated, kept, drawn, .. } = self.pools[pool];
        POOLS[pool].size - allocated - kept - drawn.max(0)
    }

    /// Micro-units of the ecosystem pool that a season may draw now: vested, not allocated, not drawn yet.
    pub fn drawable(&self, issued_ns: i64, now_ns: i64) -> i64 {
        let Pool { allocated, kept, drawn, .. } = self.pools[ECOSYSTEM];
        let row = &POOLS[ECOSYSTEM];
        row.vested(row.size - allocated, now_ns.saturating_sub(issued_ns)) - kept - drawn
    }

    /// Adds a schedule; the caller has checked the pool's room. Its number.
    pub fn allocate(&mut self, schedule: Schedule) -> u64 {
        self.pools[usize::from(schedule.pool)].allocated += schedule.amount;
        self.last += 1;
        self.schedules.insert(self.last, schedule);
        self.last
    }

    /// Ends a schedule that exists; what had vested stays its beneficiary's. Micro-units that the pool gets back.
    pub fn revoke(&mut self, id: u64, now_ns: i64) -> i64 {
        let schedule = self.schedules.get_mut(&id).expect("checked before");
        let kept = schedule.vested(now_ns);
        schedule.revoked_ns = now_ns;
        let pool = &mut self.pools[usize::from(schedule.pool)];
        pool.allocated -= schedule.amount;
        pool.kept += kept;
        pool.floor_ns = pool.floor_ns.max(now_ns);
        schedule.amount - kept
    }

    /// Takes tokens out of the ecosystem pool for a season.
    pub fn draw(&mut self, amount: i64, now_ns: i64) {
        let pool = &mut self.pools[ECOSYSTEM];
        pool.drawn += amount;
        pool.floor_ns = pool.floor_ns.max(now_ns);
    }

    /// Takes back what a season has left over.
    pub fn give_back(&mut self, amount: i64) {
        self.pools[ECOSYSTEM].drawn -= amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vested(pool: usize, day: i64) -> i64 {
        POOLS[pool].vested(POOLS[pool].size, day * DAY_NS)
    }

    #[test]
    fn p11_2_golden_amounts_by_day() {
        assert_eq!(vested(0, 364), 0);
        assert_eq!(vested(0, 365), 5_000_000_000_000);
        assert_eq!(vested(0, 366), 5_013_698_630_136);
        assert_eq!(vested(1, 180), 1_232_876_712_328);
        assert_eq!(vested(2, 180), 2_465_753_424_657);
        assert_eq!(vested(3, 365), 6_000_000_000_000);
        assert_eq!(vested(4, 1_095), 6_000_000_000_000);
    }

    #[test]
    fn pools_add_up_to_what_is_reserved_and_every_pool_ends_with_all_of_it() {
        assert_eq!(POOLS.iter().map(|pool| pool.size).sum::<i64>(), super::super::RESERVED);
        for pool in POOLS {
            let cliff_ns = pool.cliff_days * DAY_NS;
            assert_eq!(pool.vested(pool.size, cliff_ns - 1), 0);
            assert_eq!(pool.vested(pool.size, pool.length_days * DAY_NS), pool.size);
            assert_eq!(pool.vested(pool.size, i64::MAX), pool.size);
            assert!(pool.vested(pool.size, pool.length_days * DAY_NS - 1) < pool.size);
        }
        assert_eq!(POOLS[ECOSYSTEM].name, "ecosystem");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Allocate { permille: i64, delay_days: i64 },
        Revoke { which: usize },
        Draw { permille: i64 },
        GiveBack { permille: i64 },
        Claim { which: usize },
    }

    fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
        let step = prop_oneof![
            (1..=1_000_i64, 0..400_i64)
                .prop_map(|(permille, delay_days)| Step::Allocate { permille, delay_days }),
            (0..8_usize).prop_map(|which| Step::Revoke { which }),
            (1..=1_000_i64).prop_map(|permille| Step::Draw { permille }),
            (1..=1_000_i64).prop_map(|permille| Step::GiveBack { permille }),
            (0..8_usize).prop_map(|which| Step::Claim { which }),
        ];
        proptest::collection::vec((0..200_i64, step), 1..40)
    }

    fn share(amount: i64, permille: i64) -> i64 {
        (i128::from(amount) * i128::from(permille) / 1_000) as i64
    }

    proptest! {
        #[test]
        fn no_sequence_of_allocations_revocations_and_draws_releases_more_than_the_pool_has_vested(steps in steps()) {
            let row = &POOLS[ECOSYSTEM];
            let mut vesting = Vesting::default();
            vesting.begin(0);
            let (mut now_ns, mut claimed, mut on_season) = (0, 0, 0);
            for (days, step) in steps {
                now_ns += days * DAY_NS;
                let live: Vec<u64> = vesting.schedules.keys().copied().collect();
                let pick = |which: usize| live.get(which % live.len().max(1)).copied();
                match step {
                    Step::Allocate { permille, delay_days } => {
                        let amount = share(vesting.available(ECOSYSTEM), permille);
                        let start_ns = vesting.pools[ECOSYSTEM].floor_ns + delay_days * DAY_NS;
                        if amount > 0 {
                            vesting.allocate(Schedule { pool: ECOSYSTEM as u8, account: 0, amount, start_ns, claimed: 0, revoked_ns: 0 });
                        }
                    }
                    Step::Revoke { which } => {
                        if let Some(id) = pick(which).filter(|id| vesting.schedules[id].revoked_ns == 0) {
                            vesting.revoke(id, now_ns);
                        }
                    }
                    Step::Draw { permille } => {
                        let amount = share(vesting.drawable(0, now_ns), permille);
                        if amount > 0 {
                            vesting.draw(amount, now_ns);
                            on_season += amount;
                        }
                    }
                    Step::GiveBack { permille } => {
                        let amount = share(on_season, permille);
                        vesting.give_back(amount);
                        on_season -= amount;
                    }
                    Step::Claim { which } => {
                        if let Some(id) = pick(which) {
                            let due = vesting.schedules[&id].claimable(now_ns);
                            prop_assert!(due >= 0);
                            vesting.schedules.get_mut(&id).unwrap().claimed += due;
                            claimed += due;
                        }
                    }
                }
                let pool = vesting.pools[ECOSYSTEM];
                let owed: i64 = vesting.schedules.values().map(|schedule| schedule.vested(now_ns)).sum();
                prop_assert!(claimed <= owed);
                let released = owed + pool.drawn;
                prop_assert!(released <= row.vested(row.size, now_ns), "{released} of {}", row.vested(row.size, now_ns));
                prop_assert!(vesting.available(ECOSYSTEM) >= 0 && pool.drawn >= 0);
            }
        }
    }
}
