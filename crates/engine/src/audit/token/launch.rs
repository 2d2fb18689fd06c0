//! Launch distribution and bootstrap reward (I15): once per identity, no more than their pools, by units × seconds.

use super::*;
use crate::wire::event::{BootstrapClaimBody, LaunchGrantBody};

const LAUNCH_POOL: i64 = 100_000_000_000;
const LAUNCH_BOUNDS: std::ops::RangeInclusive<i64> = 1_000_000..=100_000_000;
const BOOTSTRAP_POOL: i64 = 2_000_000_000_000;
/// 180 days.
const BOOTSTRAP_S: i64 = 15_552_000;
const SECOND_NS: i64 = 1_000_000_000;

/// A depositor: units, and units × seconds until a second.
#[derive(Clone, Copy, Debug, Default)]
struct Holder {
    units: i64,
    points: u128,
    since_s: i64,
    claimed: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Launch {
    grants: BTreeMap<u32, i64>,
    start_s: Option<i64>,
    holders: BTreeMap<u32, Holder>,
}

impl Holder {
    fn points_at(&self, now_s: i64) -> u128 {
        self.points + self.units as u128 * (now_s - self.since_s).max(0) as u128
    }
}

impl Launch {
    fn change(&mut self, account: u32, now_ns: i64, units: impl FnOnce(i64) -> i64) {
        let now_s = now_ns.div_euclid(SECOND_NS);
        let start_s = *self.start_s.get_or_insert(now_s);
        let now_s = now_s.min(start_s + BOOTSTRAP_S);
        let holder = self.holders.entry(account).or_default();
        holder.points = holder.points_at(now_s);
        holder.since_s = holder.since_s.max(now_s);
        holder.units = units(holder.units);
    }
}

impl Auditor {
    /// A deposit of the vault brings units while the time lasts.
    pub(in crate::audit) fn bootstrap_deposited(
        &mut self,
        account: u32,
        (before, amount): (i64, i64),
        units: i64,
        now_ns: i64,
    ) -> Check {
        let below = |bound: i64| (before + amount).min(bound) - before.min(bound);
        let twice = below(1_000_000_000);
        let half_more = below(5_000_000_000) - twice;
        let expected = amount + twice + half_more / 2;
        ensure!(
            units == expected,
            "I24",
            "a deposit of {amount} on {before} has {units} units, not {expected}"
        );
        let launch = &mut self.token.launch;
        let over_ns = launch.start_s.map_or(i64::MAX, |start_s| (start_s + BOOTSTRAP_S) * SECOND_NS);
        if now_ns < over_ns {
            launch.change(account, now_ns, |before| before + units);
        }
        Ok(())
    }

    /// Shares that leave take their part of the units along.
    pub(in crate::audit) fn bootstrap_left(&mut self, account: u32, shares: i64, held: i64, now_ns: i64) {
        let launch = &mut self.token.launch;
        if launch.holders.contains_key(&account) && held > 0 {
            let kept = i128::from(held - shares);
            launch.change(account, now_ns, |units| (i128::from(units) * kept / i128::from(held)) as i64);
        }
    }

    pub(super) fn launch_granted(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LaunchGrantBody = event.body_as();
        let account = event.account;
        ensure!(
            self.values.is_suitable(account, event.time_ns),
            "I15",
            "account {account} has a grant and no flag"
        );
        let known = &self.token.launch.grants;
        let twice = known.keys().any(|&other| other == account || self.tiers.is_linked(account, other));
        let total = known.values().sum::<i64>() + body.amount;
        ensure!(
            !twice && LAUNCH_BOUNDS.contains(&body.amount) && body.total == total && total <= LAUNCH_POOL,
            "I15",
            "account {account} is granted {} of {total} at the launch, again: {twice}",
            body.amount
        );
        self.token.launch.grants.insert(account, body.amount);
        self.given(event, body.asset, body.amount, postings)
    }

    /// Out of what the ecosystem pool has vested.
    fn given(&mut self, event: &Event, asset: u16, amount: i64, postings: &[Posting]) -> Check {
        let movements = [(0, 0, asset, RESERVED, -amount), (event.account, 0, asset, FREE, amount)];
        check_movements("I15", movements, postings)?;
        self.token.pools[ECOSYSTEM].drawn += amount;
        self.token.check_pool(ECOSYSTEM, event.time_ns)
    }

    pub(super) fn bootstrap_claimed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: BootstrapClaimBody = event.body_as();
        let launch = &mut self.token.launch;
        let end_s = launch.start_s.map_or(i64::MAX, |start_s| start_s + BOOTSTRAP_S);
        let all: u128 = launch.holders.values().map(|holder| holder.points_at(end_s)).sum();
        let Some(holder) = launch.holders.get_mut(&event.account) else {
            return Err(fault("I15", format_args!("account {} never deposited", event.account)));
        };
        let points = holder.points_at(end_s);
        let share = (BOOTSTRAP_POOL as u128 * points).checked_div(all).unwrap_or(0) as i64;
        holder.claimed += body.amount;
        let claimed = holder.claimed;
        ensure!(
            event.time_ns.div_euclid(SECOND_NS) >= end_s && body.amount > 0 && claimed <= share,
            "I15",
            "account {} claims {} to make {claimed} of {share}",
            event.account,
            body.amount
        );
        let wide = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
        let shown = (wide(body.points_low, body.points_high), wide(body.all_low, body.all_high));
        ensure!(
            (body.share, body.claimed) == (share, claimed) && shown == (points, all),
            "I15",
            "the bootstrap reward of account {} is shown as {shown:?}",
            event.account
        );
        self.given(event, body.asset, body.amount, postings)
    }

    pub(super) fn take_over_launch<B: Book>(&mut self, engine: &Engine<B>) {
        let (known, launch) = (&engine.state.token, &mut self.token.launch);
        launch.grants = known.launch.grants.clone();
        launch.start_s = (known.bootstrap.start_s != 0).then_some(known.bootstrap.start_s);
        for (&account, one) in &known.bootstrap.depositors {
            let crate::token::launch::Depositor { units, points, since_s, claimed } = *one;
            launch.holders.insert(account, Holder { units, points, since_s, claimed });
        }
    }
}
