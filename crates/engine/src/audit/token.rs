//! The token from events alone: supply, vesting and seasons (I15), stakes and their rewards (I16).
//!
//! Amounts, curves, weights and accumulators are computed here again, from the table of P11.2 as it stands below.

mod launch;
mod makers;
mod staking;

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::ledger::{BOND, FREE, ISSUANCE, RESERVED, SEASON, STAKER_POOL, WORLD};
use super::records::check_movements;
use super::Auditor;
use crate::book::Book;
use crate::engine::Engine;
use crate::wire::event::{
    AssetBody, Event, EventKind, Posting, RewardsBody, RewardsSharedBody, SeasonBody, StakeBody,
    TokenIssueBody, VestingBody,
};

const SUPPLY: i64 = 100_000_000_000_000;
const FIRST_SEASON: i64 = 10_000_000_000_000;
const LARGEST_SEASON: i64 = 10_000_000_000_000;
const SEASON_NS: i64 = 15_552_000_000_000_000;
const DAY_NS: i64 = 86_400_000_000_000;
const LEAST_STAKE: i64 = 100_000_000;
const LOTS: usize = 64;
const TOKEN_FLAG: u32 = 8;
const ECOSYSTEM: usize = 3;

/// Micro-units, cliff and length in days, whether it may be revoked: team, advisors, strategic, ecosystem, reserve.
const TABLE: [(i64, i64, i64, bool); 5] = [
    (20_000_000_000_000, 365, 1_460, false),
    (5_000_000_000_000, 180, 730, true),
    (15_000_000_000_000, 180, 1_095, true),
    (30_000_000_000_000, 0, 1_825, true),
    (20_000_000_000_000, 1_095, 3_650, true),
];

#[derive(Clone, Copy, Debug)]
struct Schedule {
    pool: u8,
    account: u32,
    amount: i64,
    start_ns: i64,
    claimed: i64,
    revoked_ns: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    /// Schedules in force, what revoked ones keep, what seasons have, what left.
    allocated: i64,
    kept: i64,
    drawn: i64,
    claimed: i64,
}

#[derive(Clone, Copy, Debug)]
struct Season {
    number: u32,
    budget: i64,
    start_ns: i64,
    paid: i64,
}

#[derive(Clone, Debug)]
struct Lot {
    amount: i64,
    weight: i64,
    unlock_ns: i64,
    /// Accumulators at the last payment by asset; 0 for an asset that it does not name.
    entries: BTreeMap<u16, u128>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Fund {
    accumulator: u128,
    carry: u128,
    owed: i64,
}

/// What the events say of the token.
#[derive(Clone, Debug, Default)]
pub struct Token {
    /// Registered with the flag, its supply not seen yet.
    expected: Option<u16>,
    asset: Option<u16>,
    issued_ns: i64,
    schedules: BTreeMap<u64, Schedule>,
    pools: [Pool; TABLE.len()],
    season: Option<Season>,
    last_season: u32,
    lots: BTreeMap<(u32, u64), Lot>,
    last_lot: BTreeMap<u32, u64>,
    funds: BTreeMap<u16, Fund>,
    total_weight: i64,
    makers: makers::Makers,
    launch: launch::Launch,
}

/// Micro-units of `amount` that have vested by a row of the table.
fn vested(pool: usize, amount: i64, elapsed_ns: i64) -> i64 {
    let (_, cliff, length, _) = TABLE[pool];
    match elapsed_ns {
        _ if elapsed_ns < 0 || elapsed_ns < cliff * DAY_NS => 0,
        _ if elapsed_ns >= length * DAY_NS => amount,
        _ => (i128::from(amount) * i128::from(elapsed_ns) / i128::from(length * DAY_NS)) as i64,
    }
}

/// `floor(weight × gained / 2^64)` by long multiplication in 32-bit limbs.
fn share(weight: i64, gained: u128) -> i128 {
    let limbs = [gained as u32, (gained >> 32) as u32, (gained >> 64) as u32, (gained >> 96) as u32];
    let weight = weight as u128;
    let mut carried = 0;
    let mut words = [0_u128; 4];
    for (word, limb) in words.iter_mut().zip(limbs) {
        let product = weight * u128::from(limb) + carried;
        *word = product & 0xFFFF_FFFF;
        carried = product >> 32;
    }
    (words[2] | (words[3] << 32) | (carried << 64)) as i128
}

impl Schedule {
    fn vested(&self, now_ns: i64) -> i64 {
        let until_ns = self.revoked_ns.map_or(now_ns, |revoked_ns| revoked_ns.min(now_ns));
        vested(usize::from(self.pool), self.amount, until_ns.saturating_sub(self.start_ns))
    }
}

impl Token {
    /// A new asset: with the flag it is the token, of which there is one.
    pub fn registered(&mut self, body: &AssetBody) -> Check {
        if body.asset_flags & TOKEN_FLAG == 0 {
            return Ok(());
        }
        ensure!(self.asset.is_none() && self.expected.is_none(), "I15", "a second token is registered");
        self.expected = Some(body.asset);
        Ok(())
    }

    /// Whether an asset is the token.
    pub fn is_asset(&self, asset: u16) -> bool {
        self.asset == Some(asset)
    }

    /// Micro-units of an asset that an account has staked.
    pub fn staked_in(&self, account: u32, asset: u16) -> i64 {
        if self.asset != Some(asset) {
            return 0;
        }
        self.lots_of(account).map(|(_, lot)| lot.amount).sum()
    }

    /// What an account has staked, in micro-MMT.
    pub fn staked_by(&self, account: u32) -> i64 {
        self.lots_of(account).map(|(_, lot)| lot.amount).sum()
    }

    fn lots_of(&self, account: u32) -> impl Iterator<Item = (&(u32, u64), &Lot)> {
        self.lots.range((account, 0)..=(account, u64::MAX))
    }

    fn schedule(&self, id: u64) -> Check<&Schedule> {
        self.schedules.get(&id).ok_or_else(|| fault("I15", format_args!("schedule {id} is unknown")))
    }

    /// Whether more has left a pool than its row of the table has vested since the issue.
    fn check_pool(&self, pool: usize, now_ns: i64) -> Check {
        let (size, ..) = TABLE[pool];
        let Pool { allocated, kept, drawn, claimed } = self.pools[pool];
        let free = vested(pool, size, now_ns.saturating_sub(self.issued_ns));
        ensure!(
            i128::from(claimed) + i128::from(drawn) <= i128::from(free),
            "I15",
            "{claimed} claimed and {drawn} drawn of pool {pool}, which has vested {free}"
        );
        let given = i128::from(allocated) + i128::from(kept) + i128::from(drawn.max(0));
        ensure!(given <= i128::from(size), "I15", "pool {pool} of {size} has given {given}");
        Ok(())
    }

    /// What of a fund waits for a lot.
    fn waiting(&self, asset: u16, lot: &Lot) -> i128 {
        let accumulator = self.funds.get(&asset).map_or(0, |fund| fund.accumulator);
        share(lot.weight, accumulator - lot.entries.get(&asset).copied().unwrap_or(0))
    }

    fn reweigh(&mut self, change: i64) {
        self.total_weight += change;
        let total = self.total_weight as u128;
        for fund in self.funds.values_mut() {
            match total {
                0 => (fund.carry, fund.owed) = (0, 0),
                _ => {
                    fund.accumulator += fund.carry / total;
                    fund.carry %= total;
                }
            }
        }
    }
}

impl Auditor {
    /// Events of the token.
    pub(super) fn check_token(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        match kind {
            EventKind::TokenIssued => self.token_issued(event, postings)?,
            EventKind::Staked => self.staked(event, postings)?,
            EventKind::Unstaked | EventKind::StakeReweighed => self.stake_fell(kind, event, postings)?,
            EventKind::RewardsShared => self.rewards_shared(event, postings)?,
            EventKind::RewardsClaimed => self.rewards_claimed(event, postings)?,
            EventKind::VestingAllocated => self.vesting_allocated(event, postings)?,
            EventKind::VestedClaimed => self.vested_claimed(event, postings)?,
            EventKind::VestingRevoked => self.vesting_revoked(event, postings)?,
            EventKind::LaunchGranted => self.launch_granted(event, postings)?,
            EventKind::BootstrapClaimed => self.bootstrap_claimed(event, postings)?,
            EventKind::SeasonOpened | EventKind::SeasonSettled => self.season_moved(kind, event, postings)?,
            _ => {
                self.makers_moved(kind, event, postings)?;
                if self.token.asset.is_none() {
                    // Fees are shared out without a token, too.
                    return Ok(());
                }
            }
        }
        self.check_supply_lines()
    }

    /// I15: the lines of supply are what issue, claims and seasons leave.
    pub(super) fn check_supply_lines(&self) -> Check {
        let Some(asset) = self.token.asset else {
            return Err(fault("I15", format_args!("a token moves before it is issued")));
        };
        let claimed: i64 = self.token.pools.iter().map(|pool| pool.claimed).sum();
        let drawn = self.token.pools[ECOSYSTEM].drawn;
        let paid = self.token.season.map_or(0, |season| season.paid);
        let line = |line| self.ledger.line(0, 0, asset, line);
        let locked = SUPPLY - FIRST_SEASON - claimed - drawn;
        ensure!(
            line(RESERVED) == locked && line(ISSUANCE) == self.tiers.burn.total - SUPPLY,
            "I15",
            "reserved is {} and issuance {}, not {locked} and −{SUPPLY}",
            line(RESERVED),
            line(ISSUANCE)
        );
        // What earlier seasons paid has left both lines: an unspent rest goes back, the spent part does not.
        ensure!(
            line(SEASON) <= FIRST_SEASON + drawn - paid,
            "I15",
            "the season's line is {} after {drawn} drawn and {paid} paid",
            line(SEASON)
        );
        Ok(())
    }

    fn token_issued(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: TokenIssueBody = event.body_as();
        ensure!(
            self.token.expected == Some(body.asset) && self.token.asset.is_none(),
            "I15",
            "the supply comes into being a second time, or of an asset that is no token"
        );
        ensure!(
            (body.season, body.locked) == (FIRST_SEASON, SUPPLY - FIRST_SEASON),
            "I15",
            "the supply is {} for seasons and {} locked",
            body.season,
            body.locked
        );
        let movements = [
            (0, 0, body.asset, ISSUANCE, -SUPPLY),
            (0, 0, body.asset, SEASON, FIRST_SEASON),
            (0, 0, body.asset, RESERVED, SUPPLY - FIRST_SEASON),
        ];
        check_movements("I15", movements, postings)?;
        (self.token.asset, self.token.issued_ns) = (Some(body.asset), event.time_ns);
        Ok(())
    }

    /// A deposit of the token brings back what had left, no more.
    pub(super) fn check_no_mint(&self, asset: u16) -> Check {
        let outside = self.ledger.line(0, 0, asset, WORLD);
        let token = self.token.asset == Some(asset);
        ensure!(!token || outside >= 0, "I15", "a deposit creates {} of the token", -outside);
        Ok(())
    }

    fn vesting_allocated(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: VestingBody = event.body_as();
        let last = self.token.schedules.last_key_value().map_or(0, |(&id, _)| id);
        let pool = usize::from(body.pool);
        ensure!(
            body.schedule == last + 1 && pool < TABLE.len() && body.amount > 0 && body.claimed == 0,
            "I15",
            "schedule {} of pool {pool} follows {last}",
            body.schedule
        );
        ensure!(
            body.start_ns >= self.token.issued_ns,
            "I15",
            "schedule {} starts before the issue",
            body.schedule
        );
        ensure!(postings.is_empty(), "I15", "an allocation moves tokens");
        self.token.pools[pool].allocated += body.amount;
        let schedule = Schedule {
            pool: body.pool,
            account: event.account,
            amount: body.amount,
            start_ns: body.start_ns,
            claimed: 0,
            revoked_ns: None,
        };
        self.token.schedules.insert(body.schedule, schedule);
        self.token.check_pool(pool, event.time_ns)
    }

    fn vested_claimed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: VestingBody = event.body_as();
        let schedule = *self.token.schedule(body.schedule)?;
        let (free, claimed) = (schedule.vested(event.time_ns), schedule.claimed + body.moved);
        ensure!(schedule.account == event.account, "I15", "schedule {} is another's", body.schedule);
        ensure!(
            body.moved > 0 && claimed <= free && (body.vested, body.claimed) == (free, claimed),
            "I15",
            "schedule {} gives {} to make {claimed} of {free} vested",
            body.schedule,
            body.moved
        );
        let movements =
            [(0, 0, body.asset, RESERVED, -body.moved), (event.account, 0, body.asset, FREE, body.moved)];
        check_movements("I15", movements, postings)?;
        self.token.schedules.insert(body.schedule, Schedule { claimed, ..schedule });
        let pool = usize::from(schedule.pool);
        self.token.pools[pool].claimed += body.moved;
        self.token.check_pool(pool, event.time_ns)
    }

    fn vesting_revoked(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: VestingBody = event.body_as();
        let schedule = *self.token.schedule(body.schedule)?;
        let pool = usize::from(schedule.pool);
        ensure!(
            TABLE[pool].3 && schedule.revoked_ns.is_none(),
            "I15",
            "schedule {} cannot be revoked",
            body.schedule
        );
        ensure!(postings.is_empty(), "I15", "a revocation moves tokens");
        let kept = schedule.vested(event.time_ns);
        ensure!(
            body.moved == schedule.amount - kept && body.vested == kept,
            "I15",
            "the revocation of schedule {} returns {} of {}, {kept} had vested",
            body.schedule,
            body.moved,
            schedule.amount
        );
        self.token.schedules.insert(body.schedule, Schedule { revoked_ns: Some(event.time_ns), ..schedule });
        self.token.pools[pool].allocated -= schedule.amount;
        self.token.pools[pool].kept += kept;
        self.token.check_pool(pool, event.time_ns)
    }

    fn season_moved(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let body: SeasonBody = event.body_as();
        let opens = kind == EventKind::SeasonOpened;
        let onto_season = if opens { body.moved } else { -body.moved };
        let movements = [(0, 0, body.asset, SEASON, onto_season), (0, 0, body.asset, RESERVED, -onto_season)];
        check_movements("I15", movements, postings)?;
        self.token.pools[ECOSYSTEM].drawn += onto_season;
        if opens {
            ensure!(
                self.token.season.is_none() && body.season == self.token.last_season + 1,
                "I15",
                "season {} opens after {}",
                body.season,
                self.token.last_season
            );
            let drawn = if body.season == 1 { 0 } else { body.budget };
            ensure!(
                (1..=LARGEST_SEASON).contains(&body.budget) && body.moved == drawn && body.paid == 0,
                "I15",
                "season {} opens with {} and draws {}",
                body.season,
                body.budget,
                body.moved
            );
            self.token.last_season = body.season;
            let (number, budget, start_ns) = (body.season, body.budget, event.time_ns);
            self.token.season = Some(Season { number, budget, start_ns, paid: 0 });
            return self.token.check_pool(ECOSYSTEM, event.time_ns);
        }
        let Some(season) = self.token.season.take() else {
            return Err(fault("I15", format_args!("season {} is settled and not open", body.season)));
        };
        ensure!(
            (season.number, season.budget, season.paid) == (body.season, body.budget, body.paid)
                && event.time_ns >= season.start_ns.saturating_add(SEASON_NS),
            "I15",
            "season {} is settled early or is another one",
            body.season
        );
        let rest = self.ledger.line(0, 0, body.asset, SEASON);
        ensure!(rest == 0 && body.moved >= 0, "I15", "season {} leaves {rest} behind", body.season);
        Ok(())
    }

    /// I15 and I16 from scratch.
    pub(super) fn verify_token(&self) -> Check {
        self.verify_makers()?;
        let Some(asset) = self.token.asset else {
            ensure!(self.token.expected.is_none(), "I15", "a token is registered and not issued");
            return Ok(());
        };
        self.check_supply_lines()?;
        let line = |line| i128::from(self.ledger.line(0, 0, asset, line));
        let circulating = self.ledger.circulating(asset);
        let claimable = i128::from(self.token_claimable(asset));
        let burnt = i128::from(SUPPLY) + line(ISSUANCE);
        ensure!(
            line(RESERVED) + line(SEASON) + claimable + circulating + burnt == i128::from(SUPPLY),
            "I15",
            "reserved {}, season {}, circulating {circulating} and burnt {burnt} are not the supply",
            line(RESERVED),
            line(SEASON)
        );
        ensure!(line(WORLD) >= 0, "I15", "{} of the token came from outside", -line(WORLD));
        for pool in 0..TABLE.len() {
            let of_pool = || {
                let schedules = self.token.schedules.values();
                schedules.filter(move |schedule| usize::from(schedule.pool) == pool)
            };
            let claimed: i64 = of_pool().map(|schedule| schedule.claimed).sum();
            ensure!(
                claimed == self.token.pools[pool].claimed
                    && of_pool().all(|schedule| schedule.claimed <= schedule.vested(self.time_ns)),
                "I15",
                "schedules of pool {pool} have claimed {claimed}"
            );
            self.token.check_pool(pool, self.time_ns)?;
        }
        let weights: i64 = self.token.lots.values().map(|lot| lot.weight).sum();
        ensure!(weights == self.token.total_weight, "I16", "lots weigh {weights} in sum");
        for (&asset, fund) in &self.token.funds {
            let waiting: i128 = self.token.lots.values().map(|lot| self.token.waiting(asset, lot)).sum();
            ensure!(
                fund.carry < self.token.total_weight.max(1) as u128 && waiting <= i128::from(fund.owed),
                "I16",
                "asset {asset}: {waiting} wait, {} is owed, carry {}",
                fund.owed,
                fund.carry
            );
        }
        Ok(())
    }

    pub(super) fn take_over_token<B: Book>(&mut self, engine: &Engine<B>) -> Check {
        self.take_over_makers(engine);
        self.take_over_launch(engine);
        let state = &engine.state.token;
        let Some(issue) = state.issue else { return Ok(()) };
        let token = &mut self.token;
        (token.expected, token.asset, token.issued_ns) =
            (Some(issue.asset), Some(issue.asset), issue.issued_ns);
        for (mine, theirs) in token.pools.iter_mut().zip(&state.vesting.pools) {
            let (allocated, kept, drawn) = (theirs.allocated, theirs.kept, theirs.drawn);
            *mine = Pool { allocated, kept, drawn, claimed: 0 };
        }
        for (&id, schedule) in &state.vesting.schedules {
            let &crate::token::Schedule { pool, account, amount, start_ns, claimed, revoked_ns } = schedule;
            let revoked_ns = (revoked_ns != 0).then_some(revoked_ns);
            token.pools[usize::from(pool)].claimed += claimed;
            token.schedules.insert(id, Schedule { pool, account, amount, start_ns, claimed, revoked_ns });
        }
        token.last_season = state.seasons.last;
        token.season = state.seasons.active.map(|season| Season {
            number: season.number,
            budget: season.budget,
            start_ns: season.start_ns,
            paid: season.paid,
        });
        for fund in &state.staking.funds {
            let (accumulator, carry, owed) = (fund.accumulator, fund.carry, fund.owed);
            token.funds.insert(fund.asset, Fund { accumulator, carry, owed });
        }
        for (&account, staker) in &state.staking.stakers {
            token.last_lot.insert(account, staker.last);
            for lot in &staker.lots {
                let assets = state.staking.funds.iter().map(|fund| fund.asset);
                let entries = assets.zip(lot.entries).collect();
                let (amount, weight, unlock_ns) = (lot.amount, lot.weight, lot.unlock_ns);
                token.lots.insert((account, lot.number), Lot { amount, weight, unlock_ns, entries });
                token.total_weight += weight;
            }
        }
        Ok(())
    }
}
