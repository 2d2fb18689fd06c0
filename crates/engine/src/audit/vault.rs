//! The vault and coverage from events alone: shares against value (I24), worst cases, S and coverage (I14). The rules of
//! P8 and P9 are computed here again.

mod coverage;
mod terms;

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, VAULT_CASH};
use super::records::check_movements;
use super::Auditor;
use crate::book::Book;
use crate::engine::Engine;
use crate::governance::parameters::Parameter;
use crate::wire::event::{
    CoverageStateBody, Event, EventKind, FeeBody, LeverageCapBody, ParameterBody, Posting, RiskBody,
    VaultCohortBody, VaultDepositBody, VaultEpochBody, VaultExitBody, VaultPaidBody, WorstCaseBody,
};

const VAULT_LOANS: u8 = 0x84;
const TREASURY: u8 = 0x8B;
const LEAST: i64 = 1_000_000;
const VIRTUAL: i128 = 1_000_000;
const PPM: i128 = 1_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;
const PLATFORM_BUCKET: u32 = u32::MAX;
/// Parameter of the platform: stages bound perpetual markets.
const PERPETUAL_STAGES: u32 = 80;
/// J_min of leveraged outcome positions.
const JUMP_MINIMUM: u32 = 180;
const STAGE_NAMES: u8 = 5;
const SETTLEMENT: u32 = 1;
const BOOTSTRAP: u8 = 0;

#[derive(Clone, Copy, Debug, Default)]
struct Ticket {
    account: u32,
    shares: i64,
    collected: i64,
    cutoff_ns: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cohort {
    shares: i64,
    unserved: i64,
    paid: i64,
    collected: i64,
    tickets: u32,
    ledger_key: u32,
}

/// Worst cases of a bucket, summed.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    rho_ppm: u32,
    sum: u128,
    squares: u128,
}

impl Default for Bucket {
    fn default() -> Self {
        Bucket { rho_ppm: 1_000_000, sum: 0, squares: 0 }
    }
}

impl Bucket {
    fn add(&mut self, value: i64) {
        self.sum += value as u128;
        self.squares = self.squares.saturating_add((value as u128) * (value as u128));
    }

    fn take(&mut self, value: i64) {
        self.sum -= value as u128;
        self.squares -= (value as u128) * (value as u128);
    }

    /// `ceil(sqrt((1 − ρ)·ΣWC² + ρ·(ΣWC)²))`; None beyond what these integers hold.
    fn total(&self) -> Option<u128> {
        let whole = self.sum.checked_mul(self.sum).filter(|_| self.sum < 1 << 63)?;
        let (own, rho) = (PPM as u128 - u128::from(self.rho_ppm), u128::from(self.rho_ppm));
        let ppm = PPM as u128;
        let quotients = self.squares / ppm * own + whole / ppm * rho;
        let rests = (self.squares % ppm * own + whole % ppm * rho).div_ceil(ppm);
        let square = quotients + rests;
        let root = square.isqrt();
        Some(root + u128::from(root * root < square))
    }
}

/// What the events say of the vault.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    asset: Option<u16>,
    holders: BTreeMap<u32, i64>,
    supply: i64,
    tickets: BTreeMap<u64, Ticket>,
    /// The one ticket of an account and cut-off.
    by_owner: BTreeMap<(u32, i64), u64>,
    cohorts: BTreeMap<i64, Cohort>,
    worst_cases: BTreeMap<u32, (u32, i64)>,
    buckets: BTreeMap<u32, Bucket>,
    platform: Bucket,
    at_risk: i64,
    epoch_in: i64,
    epoch_out: i64,
    epoch_nav: i64,
    epoch_ns: i64,
    high_water_e12: i128,
    state: u8,
    stage: u8,
    stages_bind: bool,
    insured: terms::Insured,
    /// What new leveraged risk may have, in hundredths.
    cap_e2: Option<u32>,
    /// What the trade of the next event is charged.
    charged: Option<FeeBody>,
}

impl Vault {
    /// Bound that coverage and stage set to new leveraged risk, in hundredths.
    pub fn cap_e2(&self) -> u32 {
        self.cap_e2.unwrap_or(u32::MAX)
    }

    /// S of the platform; buckets are at most 2,048.
    fn total(&self) -> Option<u128> {
        let mut platform = Bucket { rho_ppm: self.platform.rho_ppm, ..Bucket::default() };
        for bucket in self.buckets.values() {
            platform.add(i64::try_from(bucket.total()?).ok()?);
        }
        platform.total()
    }

    fn coverage_ppm(&self, nav: i64) -> i64 {
        match self.at_risk {
            0 => i64::MAX,
            at_risk => (i128::from(nav.max(0)) * PPM / i128::from(at_risk)).min(1_000_000_000_000) as i64,
        }
    }

    fn verify_totals(&self) -> Check {
        let mut fresh = Vault { buckets: BTreeMap::new(), ..Vault::default() };
        fresh.platform.rho_ppm = self.platform.rho_ppm;
        for (&bucket, known) in &self.buckets {
            fresh.buckets.insert(bucket, Bucket { rho_ppm: known.rho_ppm, ..Bucket::default() });
        }
        for &(bucket, worst_case) in self.worst_cases.values() {
            fresh.buckets.entry(bucket).or_default().add(worst_case);
        }
        if let Some(total) = fresh.total() {
            ensure!(
                total == self.at_risk as u128,
                "I14",
                "S is {} and {total} when computed from scratch",
                self.at_risk
            );
        }
        Ok(())
    }
}

fn worth(shares: i64, supply: i64, nav: i64) -> i128 {
    i128::from(shares) * (i128::from(nav) + VIRTUAL) / (i128::from(supply) + VIRTUAL)
}

/// The state of coverage without hysteresis: 0 NORMAL to 3 HALT.
fn raw_state(coverage_ppm: i64) -> u8 {
    [1_500_000, 1_000_000, 500_000].iter().filter(|&&least| coverage_ppm < least).count() as u8
}

impl Auditor {
    /// The vault of an engine that the auditor takes over.
    pub(super) fn take_over_vault<B: Book>(&mut self, engine: &Engine<B>) {
        let state = &engine.state;
        let known = &state.vault;
        let vault = &mut self.vault;
        let settlement = |asset: &crate::state::Asset| asset.flags & SETTLEMENT != 0;
        vault.asset = state.assets.iter().position(settlement).map(|asset| asset as u16);
        vault.holders = known.holders.clone();
        vault.supply = known.supply;
        for (&number, ticket) in &known.tickets {
            let crate::vault::exit::Ticket { account, shares, collected, cutoff_ns, .. } = *ticket;
            vault.tickets.insert(number, Ticket { account, shares, collected, cutoff_ns });
            vault.by_owner.insert((account, cutoff_ns), number);
        }
        for (&cutoff_ns, cohort) in &known.cohorts {
            let crate::vault::exit::Cohort { shares, unserved, paid, collected, tickets } = *cohort;
            let ledger_key = if paid == 0 { 0 } else { crate::vault::exit::ledger_key(cutoff_ns) };
            vault
                .cohorts
                .insert(cutoff_ns, Cohort { shares, unserved, paid, collected, tickets, ledger_key });
        }
        vault.platform.rho_ppm = known.exposure.platform_rho_ppm();
        for (bucket, aggregate) in known.exposure.buckets() {
            vault.buckets.insert(bucket, Bucket { rho_ppm: aggregate.rho_ppm(), ..Bucket::default() });
        }
        for (market, part) in known.exposure.parts() {
            vault.buckets.entry(part.bucket).or_default().add(part.worst_case);
            vault.worst_cases.insert(market, (part.bucket, part.worst_case));
        }
        vault.at_risk = known.exposure.total().min(i128::from(i64::MAX)) as i64;
        (vault.epoch_ns, vault.epoch_nav) = (known.epoch_ns, known.epoch_nav);
        (vault.epoch_in, vault.epoch_out) = (known.epoch_in, known.epoch_out);
        vault.high_water_e12 = known.high_water_e12;
        (vault.state, vault.stage) = (known.status.state, known.stage.stage);
        vault.stages_bind = state.governance.value(Parameter::PerpetualStages) != 0;
        vault.cap_e2 = Some(state.perps.cover_cap_e2);
        vault.insured = terms::Insured::of_engine(state);
        self.values.cover_e2 = vault.cap_e2;
    }

    fn vault_nav(&self) -> i64 {
        let Some(asset) = self.vault.asset else { return 0 };
        self.ledger.line(0, 0, asset, VAULT_CASH) + self.ledger.line(0, 0, asset, VAULT_LOANS)
    }

    /// Events that move the vault's money.
    pub(super) fn vault_money(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        match kind {
            EventKind::VaultDeposited => self.vault_deposited(event, postings),
            EventKind::VaultCohortServed => self.cohort_served(event, postings),
            EventKind::VaultExitServed => self.exit_served(event, postings),
            EventKind::ManagementFeeTaken => self.management_fee_taken(event, postings),
            EventKind::InsuranceWeekEnded => self.insurance_week_ended(event, postings),
            _ => self.epoch_started(event, postings),
        }
    }

    fn vault_deposited(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: VaultDepositBody = event.body_as();
        self.vault.asset = Some(body.asset);
        let (account, asset, amount) = (event.account, body.asset, body.amount);
        let movements = [(account, event.sub, asset, FREE, -amount), (0, 0, asset, VAULT_CASH, amount)];
        check_movements("I24", movements, postings)?;
        let nav = self.vault_nav();
        let supply = self.vault.supply;
        let before = i128::from(nav - amount) + i128::from(self.vault.insured.returning) + VIRTUAL;
        let shares = i128::from(amount) * (i128::from(supply) + VIRTUAL) / before;
        ensure!(
            amount >= LEAST && body.nav == nav && shares > 0 && shares == i128::from(body.shares),
            "I24",
            "a deposit of {amount} gives {} shares of {supply} at {nav}, not {shares}",
            body.shares
        );
        self.collect_fees(asset, amount);
        let vault = &mut self.vault;
        vault.supply += body.shares;
        vault.epoch_in += amount;
        let held = vault.holders.entry(account).or_insert(0);
        *held += body.shares;
        ensure!(
            (*held, vault.supply) == (body.held_shares, body.supply),
            "I24",
            "account {account} holds {} of {} shares, not {held} of {}",
            body.held_shares,
            body.supply,
            vault.supply
        );
        self.bootstrap_deposited(account, (nav - amount, amount), body.reward_units, event.time_ns)?;
        self.check_left_enough(account, event.sub)
    }

    /// Requests move shares from their holder into the ticket of the first cut-off behind the notice.
    fn exit_queued(&mut self, event: &Event) -> Check {
        let body: VaultExitBody = event.body_as();
        let known = self.vault.holders.get(&event.account).copied().unwrap_or(0);
        self.bootstrap_left(event.account, body.shares, known, event.time_ns);
        let notice_ns = body.cutoff_ns - event.time_ns;
        ensure!(
            body.cutoff_ns % HOUR_NS == 0
                && (DAY_NS..DAY_NS + HOUR_NS).contains(&notice_ns)
                && body.shares > 0,
            "I24",
            "ticket {} leaves after {notice_ns} ns",
            body.ticket
        );
        let vault = &mut self.vault;
        let held = vault.holders.get_mut(&event.account).filter(|held| **held >= body.shares);
        let Some(held) = held else {
            return Err(fault(
                "I24",
                format_args!("account {} has no {} shares", event.account, body.shares),
            ));
        };
        *held -= body.shares;
        let left = *held;
        let fresh = !vault.tickets.contains_key(&body.ticket);
        let one = *vault.by_owner.entry((event.account, body.cutoff_ns)).or_insert(body.ticket);
        ensure!(one == body.ticket, "I24", "account {} has two tickets of one cut-off", event.account);
        let cohort = vault.cohorts.entry(body.cutoff_ns).or_default();
        cohort.shares += body.shares;
        cohort.unserved += body.shares;
        cohort.tickets += u32::from(fresh);
        let known = Ticket { account: event.account, cutoff_ns: body.cutoff_ns, ..Ticket::default() };
        let ticket = vault.tickets.entry(body.ticket).or_insert(known);
        ticket.shares += body.shares;
        ensure!(
            (ticket.account, ticket.cutoff_ns, ticket.shares, left, cohort.shares)
                == (event.account, body.cutoff_ns, body.ticket_shares, body.held_shares, body.cohort_shares),
            "I24",
            "ticket {} of account {} has {} shares",
            body.ticket,
            event.account,
            ticket.shares
        );
        Ok(())
    }

    fn cohort_served(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: VaultCohortBody = event.body_as();
        let movements = [
            (0, 0, body.asset, VAULT_CASH, -body.amount),
            (body.ledger_key, 0, body.asset, VAULT_CASH, body.amount),
        ];
        check_movements("I24", movements, postings)?;
        let nav = self.vault_nav() + body.amount;
        self.collect_fees(body.asset, -body.amount);
        let vault = &mut self.vault;
        let head = vault.cohorts.iter().find(|(_, cohort)| cohort.unserved > 0).map(|(&cutoff, _)| cutoff);
        ensure!(
            head == Some(body.cutoff_ns) && body.cutoff_ns <= event.time_ns && body.ledger_key != 0,
            "I24",
            "the cohort of {} is served, the first in line is {head:?}",
            body.cutoff_ns
        );
        let fair = worth(body.shares, vault.supply, nav).min(i128::from(nav));
        ensure!(
            body.nav == nav && body.shares > 0 && i128::from(body.amount) <= fair,
            "I24",
            "{} shares of {} are paid {} at {nav}, worth {fair}",
            body.shares,
            vault.supply,
            body.amount
        );
        vault.supply -= body.shares;
        vault.epoch_out += body.amount;
        if vault.at_risk > 0 {
            let budget = vault.epoch_nav / 5 + vault.epoch_in - vault.epoch_out;
            ensure!(
                budget >= 0 && nav - body.amount >= vault.at_risk,
                "I24",
                "the vault pays {} of {nav} with {} at risk, {budget} left of the epoch",
                body.amount,
                vault.at_risk
            );
        }
        let cohort = vault.cohorts.get_mut(&body.cutoff_ns).expect("it is the head");
        cohort.unserved -= body.shares;
        cohort.paid += body.amount;
        cohort.ledger_key = body.ledger_key;
        ensure!(
            (cohort.unserved, vault.supply) == (body.unserved, body.supply) && cohort.unserved >= 0,
            "I24",
            "the cohort of {} keeps {} shares",
            body.cutoff_ns,
            cohort.unserved
        );
        Ok(())
    }

    fn exit_served(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: VaultPaidBody = event.body_as();
        let movements = [
            (event.account, event.sub, body.asset, FREE, body.amount),
            (body.ledger_key, 0, body.asset, VAULT_CASH, -body.amount - body.dust),
            (0, 0, body.asset, VAULT_CASH, body.dust),
        ];
        check_movements("I24", movements, postings)?;
        self.collect_fees(body.asset, body.dust);
        let vault = &mut self.vault;
        let Some(ticket) = vault.tickets.get_mut(&body.ticket) else {
            return Err(fault("I24", format_args!("exit ticket {} is not open", body.ticket)));
        };
        let cohort = vault.cohorts.get_mut(&ticket.cutoff_ns).expect("a ticket has a cohort");
        let due = i128::from(ticket.shares) * i128::from(cohort.paid) / i128::from(cohort.shares.max(1));
        ticket.collected += body.amount;
        cohort.collected += body.amount;
        let closed = cohort.unserved == 0;
        ensure!(
            ticket.account == event.account
                && i128::from(ticket.collected) == due
                && ticket.collected == body.collected
                && closed == (body.closed == 1),
            "I24",
            "ticket {} has collected {} of {due}",
            body.ticket,
            ticket.collected
        );
        let cutoff_ns = ticket.cutoff_ns;
        let mut dust = 0;
        if closed {
            vault.by_owner.remove(&(event.account, cutoff_ns));
            vault.tickets.remove(&body.ticket);
            cohort.tickets -= 1;
            if cohort.tickets == 0 {
                dust = cohort.paid - cohort.collected;
                vault.cohorts.remove(&cutoff_ns);
            }
        }
        ensure!(dust == body.dust && dust >= 0, "I24", "{} of a cohort return, not {dust}", body.dust);
        Ok(())
    }

    /// A new day: the fee is at most a tenth of what the vault gained above its mark.
    fn epoch_started(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: VaultEpochBody = event.body_as();
        let fee = body.performance_fee;
        let movements = [(0, 0, body.asset, VAULT_CASH, -fee), (0, 0, body.asset, TREASURY, fee)];
        check_movements("I24", movements, postings)?;
        self.vault.asset = Some(body.asset);
        let nav = self.vault_nav();
        self.collect_fees(body.asset, -fee);
        let vault = &mut self.vault;
        let mark = i128::from(body.high_water_high) << 64 | i128::from(body.high_water_low);
        let held = (i128::from(vault.supply) + VIRTUAL) * vault.high_water_e12 / 1_000_000_000_000;
        let gain = (i128::from(nav + fee) + VIRTUAL - held).max(0);
        let price = (i128::from(nav) + VIRTUAL) * 1_000_000_000_000 / (i128::from(vault.supply) + VIRTUAL);
        // The first mark is the price behind the first deposit, which only the engine's event shows.
        let known = vault.high_water_e12 != 0;
        ensure!(
            fee >= 0
                && (!known || i128::from(fee) * 10 <= gain)
                && (!known || mark == vault.high_water_e12.max(price)),
            "I24",
            "a performance fee of {fee} on a gain of {gain}"
        );
        ensure!(
            body.nav == nav
                && body.supply == vault.supply
                && body.epoch_ns % DAY_NS == 0
                && body.epoch_ns > vault.epoch_ns,
            "I24",
            "the epoch {} begins with {} and {} shares",
            body.epoch_ns,
            body.nav,
            body.supply
        );
        (vault.epoch_ns, vault.epoch_nav) = (body.epoch_ns, nav);
        (vault.epoch_in, vault.epoch_out) = (0, 0);
        vault.high_water_e12 = mark;
        Ok(())
    }

    /// Everything of the vault from scratch.
    pub(super) fn verify_vault(&self) -> Check {
        let vault = &self.vault;
        let held: i64 = vault.holders.values().sum();
        let leaving: i64 = vault.cohorts.values().map(|cohort| cohort.unserved).sum();
        ensure!(
            vault.supply == held + leaving,
            "I24",
            "{} shares exist, {held} held and {leaving} leaving",
            vault.supply
        );
        self.verify_insured()?;
        if let Some(asset) = vault.asset {
            for (cutoff_ns, cohort) in &vault.cohorts {
                let line = match cohort.ledger_key {
                    0 => 0,
                    key => self.ledger.line(key, 0, asset, VAULT_CASH),
                };
                ensure!(
                    line == cohort.paid - cohort.collected,
                    "I24",
                    "the cohort of {cutoff_ns} has {line} on its line, {} to collect",
                    cohort.paid - cohort.collected
                );
            }
            let nav = self.vault_nav();
            let price = worth(vault.supply, vault.supply, nav).min(i128::from(nav));
            ensure!(price <= i128::from(nav), "I24", "shares are worth {price} of {nav}");
        }
        vault.verify_totals()
    }
}
