//! What the ecosystem pool gives to begin with: the launch distribution (protocol P11.7) and the reward of the vault's
//! first depositors (P9.11).

use std::collections::BTreeMap;

use crate::codec::{Reader, Writer};
use crate::limits::{BOOTSTRAP_S, SECOND_NS};

/// Micro-tokens of the launch distribution in all, the most and the least of one identity.
pub const LAUNCH_POOL: i64 = 100_000_000_000;
pub const LAUNCH_MOST: i64 = 100_000_000;
pub const LAUNCH_LEAST: i64 = 1_000_000;
/// Micro-tokens of the bootstrap reward.
pub const BOOTSTRAP_POOL: i64 = 2_000_000_000_000;

/// Grants by account: once per identity.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    pub grants: BTreeMap<u32, i64>,
    pub total: i64,
}

/// A depositor of the vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depositor {
    /// Units of the deposits that still lie there.
    pub units: i64,
    /// Units × seconds until `since_s`.
    pub points: u128,
    pub since_s: i64,
    /// Micro-tokens claimed.
    pub claimed: i64,
}

/// The pool of the bootstrap reward: pro rata to units × time, over a fixed time from the first deposit on.
#[derive(Clone, Debug, Default)]
pub struct Bootstrap {
    /// Unix second of the first deposit; 0 = none yet.
    pub start_s: i64,
    pub depositors: BTreeMap<u32, Depositor>,
    /// Of all depositors.
    pub all: Depositor,
}

impl Depositor {
    /// As it stands at a second: time counts for what it held since.
    fn at(mut self, now_s: i64) -> Depositor {
        let held_s = (now_s - self.since_s).max(0);
        self.points += self.units as u128 * held_s as u128;
        self.since_s = self.since_s.max(now_s);
        self
    }
}

impl Bootstrap {
    pub fn end_s(&self) -> i64 {
        self.start_s.saturating_add(BOOTSTRAP_S)
    }

    pub fn end_ns(&self) -> i64 {
        self.end_s().saturating_mul(SECOND_NS)
    }

    /// Micro-tokens that nobody else may have: what depositors have not claimed yet.
    pub fn committed(&self) -> i64 {
        if self.start_s == 0 {
            0
        } else {
            BOOTSTRAP_POOL - self.all.claimed
        }
    }

    /// Changes the units of a depositor at a moment; time before it counts with the units before.
    fn change(&mut self, account: u32, now_ns: i64, change: impl FnOnce(i64) -> i64) {
        let now_s = now_ns.div_euclid(SECOND_NS).min(self.end_s());
        let depositor = self.depositors.entry(account).or_default();
        *depositor = depositor.at(now_s);
        let units = change(depositor.units);
        self.all = self.all.at(now_s);
        self.all.units += units - depositor.units;
        depositor.units = units;
    }

    /// A deposit of so many units. The first one begins the time; none counts behind it.
    pub fn deposited(&mut self, account: u32, units: i64, now_ns: i64) {
        if self.start_s == 0 {
            self.start_s = now_ns.div_euclid(SECOND_NS);
        }
        if now_ns < self.end_ns() {
            self.change(account, now_ns, |before| before.saturating_add(units));
        }
    }

    /// `shares` of `held` leave: their part of the units stops to count, what remains is rounded down.
    pub fn left(&mut self, account: u32, (shares, held): (i64, i64), now_ns: i64) {
        if self.depositors.contains_key(&account) && held > 0 {
            let kept = i128::from(held - shares);
            self.change(account, now_ns, |units| (i128::from(units) * kept / i128::from(held)) as i64);
        }
    }

    /// Micro-tokens of an account over the whole time, rounded down; what it has when the time is over.
    pub fn share(&self, account: u32) -> i64 {
        let end_s = self.end_s();
        let Some(depositor) = self.depositors.get(&account) else { return 0 };
        match self.all.at(end_s).points {
            0 => 0,
            total => (BOOTSTRAP_POOL as u128 * depositor.at(end_s).points / total) as i64,
        }
    }

    /// Units × seconds of an account, and of all, at a moment.
    pub fn points(&self, account: u32, now_ns: i64) -> (u128, u128) {
        let now_s = now_ns.div_euclid(SECOND_NS).min(self.end_s());
        let own = self.depositors.get(&account).map_or(0, |depositor| depositor.at(now_s).points);
        (own, self.all.at(now_s).points)
    }

    /// Notes a payment.
    pub fn pay(&mut self, account: u32, amount: i64) {
        if let Some(depositor) = self.depositors.get_mut(&account) {
            depositor.claimed += amount;
            self.all.claimed += amount;
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.i64(self.start_s);
        self.all.encode(writer);
        writer.len(self.depositors.len());
        for (&account, depositor) in &self.depositors {
            writer.u32(account);
            depositor.encode(writer);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut bootstrap =
            Bootstrap { start_s: reader.i64()?, all: Depositor::decode(reader)?, ..Bootstrap::default() };
        for _ in 0..reader.len(44)? {
            let account = reader.u32()?;
            bootstrap.depositors.insert(account, Depositor::decode(reader)?);
        }
        let sum = |of: fn(&Depositor) -> i64| bootstrap.depositors.values().map(of).sum::<i64>();
        let known = (sum(|one| one.units), sum(|one| one.claimed));
        if known != (bootstrap.all.units, bootstrap.all.claimed) {
            return Err(format!("depositors of the bootstrap reward have {known:?}"));
        }
        Ok(bootstrap)
    }
}

impl Depositor {
    fn encode(&self, writer: &mut Writer) {
        writer.i64(self.units);
        writer.u64(self.points as u64);
        writer.u64((self.points >> 64) as u64);
        writer.i64(self.since_s);
        writer.i64(self.claimed);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let units = reader.i64()?;
        let points = u128::from(reader.u64()?) | u128::from(reader.u64()?) << 64;
        if units < 0 {
            return Err(format!("a depositor has {units} units"));
        }
        Ok(Depositor { units, points, since_s: reader.i64()?, claimed: reader.i64()? })
    }
}

impl Launch {
    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.grants.len());
        for (&account, &amount) in &self.grants {
            writer.u32(account);
            writer.i64(amount);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut launch = Launch::default();
        for _ in 0..reader.len(12)? {
            let (account, amount) = (reader.u32()?, reader.i64()?);
            launch.total = launch.total.checked_add(amount).ok_or("grants are too large")?;
            launch.grants.insert(account, amount);
        }
        if launch.total > LAUNCH_POOL {
            return Err(format!("{} were granted at the launch", launch.total));
        }
        Ok(launch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_000 * SECOND_NS;
    const DAY: i64 = 86_400 * SECOND_NS;

    #[test]
    fn p9_11_golden_the_first_hundred_thousand_dollars_have_103_000_units_and_half_of_the_time_half_of_the_reward(
    ) {
        let units = crate::vault::shares::reward_units(0, 100_000_000_000);
        assert_eq!(units, 103_000_000_000);
        let mut bootstrap = Bootstrap::default();
        bootstrap.deposited(0, units, START);
        assert_eq!(bootstrap.share(0), BOOTSTRAP_POOL);
        // Another with as many units for the second half of the time: a third of the points.
        bootstrap.deposited(1, units, START + BOOTSTRAP_S * SECOND_NS / 2);
        assert_eq!(bootstrap.share(1), BOOTSTRAP_POOL / 3);
        assert_eq!(bootstrap.share(0), BOOTSTRAP_POOL * 2 / 3);
    }

    #[test]
    fn what_leaves_stops_to_count_and_what_was_earned_stays() {
        let mut bootstrap = Bootstrap::default();
        bootstrap.deposited(0, 1_000, START);
        bootstrap.deposited(1, 1_000, START);
        bootstrap.left(1, (1, 4), START + BOOTSTRAP_S * SECOND_NS / 2);
        assert_eq!(bootstrap.depositors[&1].units, 750);
        // 1,000 + 750 halves against two of 1,000.
        assert_eq!(bootstrap.share(1), (BOOTSTRAP_POOL as i128 * 1_750 / 3_750) as i64);
        bootstrap.deposited(1, 5, START + BOOTSTRAP_S * SECOND_NS);
        assert_eq!(bootstrap.depositors[&1].units, 750);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Deposit(u32, i64),
        Leave(u32, i64),
    }

    fn any_step() -> impl Strategy<Value = (i64, Step)> {
        let step = prop_oneof![
            (0..5_u32, 1..3_000_000_000_000_i64).prop_map(|(who, units)| Step::Deposit(who, units)),
            (0..5_u32, 0..=100_i64).prop_map(|(who, part)| Step::Leave(who, part)),
        ];
        (0..12 * DAY, step)
    }

    proptest! {
        #[test]
        fn shares_never_exceed_the_pool_and_split_deposits_gain_no_more_than_rounding(steps in proptest::collection::vec(any_step(), 1..40)) {
            let (mut whole, mut split) = (Bootstrap::default(), Bootstrap::default());
            let mut now_ns = START;
            for (passed_ns, step) in steps {
                now_ns += passed_ns;
                match step {
                    Step::Deposit(who, units) => {
                        whole.deposited(who, units, now_ns);
                        for (who, units) in if who == 0 { vec![(0, units / 2), (9, units - units / 2)] } else { vec![(who, units)] } {
                            split.deposited(who, units, now_ns);
                        }
                    }
                    Step::Leave(who, part) => {
                        whole.left(who, (part, 100), now_ns);
                        split.left(who, (part, 100), now_ns);
                        if who == 0 {
                            split.left(9, (part, 100), now_ns);
                        }
                    }
                }
            }
            let total: i64 = (0..5).map(|who| whole.share(who)).sum();
            prop_assert!(total <= BOOTSTRAP_POOL);
            let parts = split.share(0) + split.share(9);
            prop_assert!(parts <= whole.share(0), "{} against {}", parts, whole.share(0));
        }
    }
}
