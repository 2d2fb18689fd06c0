//! The vault's commands and its clock (protocol P9.8, P9.9, rows 0D01 and 0D02).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::gate::{Action, Cell};
use crate::ledger::{line, post_margin, post_system, post_user};
use crate::limits::*;
use crate::math::MAX_BALANCE;
use crate::output::{Output, Subject};
use crate::state::due;
use crate::vault::exit::{cutoff_ns, ledger_key, Cohort, Ticket, Till};
use crate::vault::shares::{assets_for, performance_fee, price_e12, reward_units, shares_for, LEAST};
use crate::vault::terms::InsuredWeek;
use crate::vault::Vault;
use crate::wire::command::{ClaimVaultExit, Command, DepositVault, RequestVaultExit};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{
    EventKind, VaultCohortBody, VaultDepositBody, VaultEpochBody, VaultExitBody, VaultPaidBody,
};

impl<B: Book> Engine<B> {
    /// Net asset value of the vault in micro-units of the settlement asset: its cash and what it has lent (P9.8).
    #[inline]
    pub(crate) fn vault_nav(&self, asset: u16) -> i64 {
        let system = &self.state.system;
        system.get(line::VAULT_CASH, 0, asset) + system.get(line::VAULT_LOANS, 0, asset)
    }

    fn vault_asset(&self) -> Result<u16, Reject> {
        self.settlement_asset().ok_or(Reject::from(Code::ASSET_NOT_FOUND))
    }

    pub(crate) fn deposit_vault(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let DepositVault { amount } = command.payload_as();
        if !(1..=MAX_BALANCE).contains(&amount) {
            return reject(Code::INVALID_AMOUNT, 1, amount);
        }
        if amount < LEAST {
            return reject(Code::BELOW_MINIMUM, LEAST, amount);
        }
        let asset = self.vault_asset()?;
        let (account, sub) = (context.account, command.sub);
        let (nav, supply) = (self.vault_nav(asset), self.state.vault.supply);
        if amount > VAULT_NAV_CAP.saturating_sub(nav) {
            return reject(Code::VAULT_CAP, VAULT_NAV_CAP, amount.saturating_add(nav));
        }
        let held = self.state.vault.shares_of(account);
        // What insurance has given back is the vault's already, so that no deposit gets a part of it for nothing.
        let shares = shares_for(amount, supply, nav + self.state.vault.insured.returning);
        if shares < 1 {
            return reject(Code::SHARES_ZERO, 1, shares);
        }
        if shares > MAX_BALANCE - supply {
            return reject(Code::VAULT_CAP, MAX_BALANCE - supply, shares);
        }
        if held == 0 && self.state.vault.holders.len() >= MAX_VAULT_HOLDERS {
            let holders = self.state.vault.holders.len() as i64;
            return reject(Code::CAPACITY_EXCEEDED, MAX_VAULT_HOLDERS as i64, holders);
        }
        let free = self.state.accounts.balance(account, sub, asset, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        self.check_removal(account, sub, asset, amount)?;
        self.use_vault(command.time_ns);
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_margin(accounts, postings, (account, sub), asset, -amount);
        post_system(&mut self.state.system, postings, line::VAULT_CASH, 0, asset, amount);
        let vault = &mut self.state.vault;
        vault.supply += shares;
        vault.epoch_in = vault.epoch_in.saturating_add(amount);
        if vault.high_water_e12 == 0 {
            vault.high_water_e12 = price_e12(vault.supply, nav + amount);
        }
        let body = VaultDepositBody {
            asset,
            reserved: 0,
            reserved2: 0,
            amount,
            shares,
            held_shares: vault.move_shares(account, shares),
            supply: vault.supply,
            nav: nav + amount,
            reward_units: reward_units(nav, amount),
        };
        self.state.token.bootstrap.deposited(account, body.reward_units, command.time_ns);
        output.emit(command, EventKind::VaultDeposited, Subject::account(account, sub), &body);
        self.after_collateral(command, account, sub, output);
        Ok(shares as u64)
    }

    pub(crate) fn request_vault_exit(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let RequestVaultExit { shares } = command.payload_as();
        if shares < 1 {
            return reject(Code::INVALID_AMOUNT, 1, shares);
        }
        let asset = self.vault_asset()?;
        let account = context.account;
        let held = self.state.vault.shares_of(account);
        if shares > held {
            return reject(Code::INSUFFICIENT_SHARES, held, shares);
        }
        // Dust leaves only together with everything that the account holds.
        let worth = assets_for(shares, self.state.vault.supply, self.vault_nav(asset));
        if worth < LEAST && shares < held {
            return reject(Code::BELOW_MINIMUM, LEAST, worth);
        }
        let cutoff_ns = cutoff_ns(command.time_ns);
        let known = self.state.vault.by_owner.get(&(account, cutoff_ns)).copied();
        if known.is_none() && self.state.vault.tickets.len() >= MAX_VAULT_TICKETS {
            let tickets = self.state.vault.tickets.len() as i64;
            return reject(Code::CAPACITY_EXCEEDED, MAX_VAULT_TICKETS as i64, tickets);
        }
        let vault = &mut self.state.vault;
        let number = known.unwrap_or_else(|| {
            vault.next_ticket += 1;
            vault.next_ticket
        });
        let cohort = vault.cohorts.entry(cutoff_ns).or_default();
        cohort.shares += shares;
        cohort.unserved += shares;
        cohort.tickets += u32::from(known.is_none());
        let cohort_shares = cohort.shares;
        let fresh = Ticket { account, sub: command.sub, shares: 0, collected: 0, cutoff_ns };
        let ticket = vault.tickets.entry(number).or_insert(fresh);
        ticket.shares += shares;
        let ticket_shares = ticket.shares;
        vault.by_owner.insert((account, cutoff_ns), number);
        let held_shares = vault.move_shares(account, -shares);
        self.state.token.bootstrap.left(account, (shares, held), command.time_ns);
        let body =
            VaultExitBody { ticket: number, shares, ticket_shares, held_shares, cutoff_ns, cohort_shares };
        output.emit(command, EventKind::VaultExitQueued, Subject::account(account, command.sub), &body);
        Ok(number)
    }

    pub(crate) fn claim_vault_exit(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let ClaimVaultExit { ticket: number } = command.payload_as();
        let ticket = match self.state.vault.tickets.get(&number) {
            Some(ticket) if ticket.account == context.account => *ticket,
            Some(_) => return Err(Code::WRONG_OWNER.into()),
            None => return reject(Code::INSUFFICIENT_SHARES, 0, number as i64),
        };
        let asset = self.vault_asset()?;
        let cohort = self.state.vault.cohorts[&ticket.cutoff_ns];
        let amount = cohort.entitled(ticket.shares) - ticket.collected;
        if amount == 0 && !cohort.is_served() {
            return self.not_served(command.time_ns, &ticket, asset);
        }
        let closed = cohort.is_served();
        let key = ledger_key(ticket.cutoff_ns);
        let dust = self.collect(number, amount, closed);
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_user(accounts, postings, ticket.account, ticket.sub, asset, line::FREE, amount);
        let system = &mut self.state.system;
        post_system(system, postings, line::VAULT_CASH, key, asset, -amount - dust);
        post_system(system, postings, line::VAULT_CASH, 0, asset, dust);
        let body = VaultPaidBody {
            ticket: number,
            asset,
            closed: u8::from(closed),
            reserved: 0,
            ledger_key: key,
            amount,
            collected: ticket.collected + amount,
            cutoff_ns: ticket.cutoff_ns,
            dust,
        };
        let subject = Subject::account(ticket.account, ticket.sub);
        output.emit(command, EventKind::VaultExitServed, subject, &body);
        self.after_collateral(command, ticket.account, ticket.sub, output);
        Ok(amount as u64)
    }

    /// Why a ticket has nothing to collect yet.
    fn not_served(&self, now_ns: i64, ticket: &Ticket, asset: u16) -> Result<u64, Reject> {
        if now_ns >= ticket.cutoff_ns {
            let coverage = self.coverage_now(asset);
            if coverage < crate::coverage::Coverage::from_ppm(1_000_000) {
                return reject(Code::COVERAGE_TOO_LOW, 1_000_000, coverage.to_wire());
            }
        }
        let next_hour_ns = (now_ns.div_euclid(HOUR_NS) + 1).saturating_mul(HOUR_NS);
        reject(Code::NOTICE_NOT_ELAPSED, ticket.cutoff_ns.max(next_hour_ns), now_ns)
    }

    /// Notes what a ticket collects; what rounding kept of its cohort, once the last ticket is closed.
    fn collect(&mut self, number: u64, amount: i64, closed: bool) -> i64 {
        let vault = &mut self.state.vault;
        let ticket = vault.tickets.get_mut(&number).expect("found above");
        ticket.collected += amount;
        let Ticket { account, cutoff_ns, .. } = *ticket;
        let cohort = vault.cohorts.get_mut(&cutoff_ns).expect("a ticket has a cohort");
        cohort.collected += amount;
        if !closed {
            return 0;
        }
        vault.tickets.remove(&number);
        vault.by_owner.remove(&(account, cutoff_ns));
        let cohort = vault.cohorts.get_mut(&cutoff_ns).expect("a ticket has a cohort");
        cohort.tickets -= 1;
        if cohort.tickets != 0 {
            return 0;
        }
        let dust = cohort.paid - cohort.collected;
        vault.cohorts.remove(&cutoff_ns);
        dust
    }

    /// Starts the vault's clock with its first use.
    pub(crate) fn use_vault(&mut self, now_ns: i64) {
        if self.state.vault.next_look_ns != 0 {
            return;
        }
        let asset = self.settlement_asset();
        let nav = asset.map_or(0, |asset| self.vault_nav(asset));
        let vault = &mut self.state.vault;
        vault.next_look_ns = Vault::next_look(now_ns);
        vault.epoch_ns = now_ns.div_euclid(DAY_NS).saturating_mul(DAY_NS);
        vault.epoch_nav = nav;
        vault.insured.since_ns = InsuredWeek::start_of(now_ns);
        self.state.due.insert((vault.next_look_ns, due::VAULT, 0));
    }

    /// Every minute: the epoch, the cohorts whose cut-off has come, stage and states of coverage.
    pub(crate) fn vault_due(&mut self, command: &Command, output: &mut Output) {
        let now_ns = command.time_ns;
        if let Some(asset) = self.settlement_asset() {
            if self.state.vault.is_epoch_over(now_ns) {
                self.take_management_fee(command, asset, output);
                self.end_insured_week(command, asset, output);
                self.start_epoch(command, asset, output);
            }
            self.serve_cohorts(command, asset, output);
            self.look_at_stage(command, asset, output);
        }
        let vault = &mut self.state.vault;
        vault.next_look_ns = Vault::next_look(now_ns);
        self.state.due.insert((vault.next_look_ns, due::VAULT, 0));
    }

    fn start_epoch(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let nav = self.vault_nav(asset);
        let cash = self.state.system.get(line::VAULT_CASH, 0, asset);
        let vault = &mut self.state.vault;
        let fee = match vault.high_water_e12 {
            0 => 0,
            mark => performance_fee(vault.supply, nav, mark).min(cash),
        };
        let nav = nav - fee;
        if vault.high_water_e12 != 0 {
            vault.high_water_e12 = vault.high_water_e12.max(price_e12(vault.supply, nav));
        }
        vault.epoch_ns = command.time_ns.div_euclid(DAY_NS).saturating_mul(DAY_NS);
        (vault.epoch_nav, vault.epoch_in, vault.epoch_out) = (nav, 0, 0);
        let body = VaultEpochBody {
            asset,
            reserved: 0,
            reserved2: 0,
            epoch_ns: vault.epoch_ns,
            nav,
            supply: vault.supply,
            performance_fee: fee,
            high_water_low: vault.high_water_e12 as u64,
            high_water_high: (vault.high_water_e12 >> 64) as i64,
        };
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::VAULT_CASH, 0, asset, -fee);
        post_system(system, postings, line::TREASURY, 0, asset, fee);
        output.emit(command, EventKind::VaultEpochStarted, Subject::NONE, &body);
    }

    /// Pays the cohorts at the head of the line what this cut-off allows: once an hour, and only while exits are not
    /// halted or queued (P7.5).
    fn serve_cohorts(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let now_ns = command.time_ns;
        let hour_ns = now_ns.div_euclid(HOUR_NS).saturating_mul(HOUR_NS);
        if hour_ns <= self.state.vault.served_ns && self.state.vault.served_ns != 0 {
            return;
        }
        let allowed =
            self.state.halts.in_force == 0 || self.halt_cell(Action::VaultExit, None) == Cell::Allowed;
        for _ in 0..COHORTS_PER_LOOK {
            let Some((cutoff_ns, cohort)) = self.state.vault.head(now_ns).filter(|_| allowed) else { break };
            if !self.serve_cohort(command, asset, (cutoff_ns, cohort), output) {
                break;
            }
        }
        self.state.vault.served_ns = hour_ns;
    }

    /// Whether the cohort got everything.
    fn serve_cohort(
        &mut self,
        command: &Command,
        asset: u16,
        (cutoff_ns, cohort): (i64, Cohort),
        output: &mut Output,
    ) -> bool {
        let nav = self.vault_nav(asset);
        let at_risk = self.state.vault.exposure.total();
        let vault = &mut self.state.vault;
        let cash = self.state.system.get(line::VAULT_CASH, 0, asset);
        let till = Till { nav, cash, supply: vault.supply, at_risk, budget: vault.budget() };
        let (shares, amount) = till.serve(cohort.unserved);
        if shares == 0 {
            return false;
        }
        vault.supply -= shares;
        vault.epoch_out = vault.epoch_out.saturating_add(amount);
        let entry = vault.cohorts.get_mut(&cutoff_ns).expect("it is the head");
        entry.unserved -= shares;
        entry.paid += amount;
        let body = VaultCohortBody {
            asset,
            reserved: 0,
            ledger_key: ledger_key(cutoff_ns),
            cutoff_ns,
            shares,
            amount,
            unserved: entry.unserved,
            supply: vault.supply,
            nav,
            at_risk: at_risk.min(i128::from(i64::MAX)) as i64,
        };
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::VAULT_CASH, 0, asset, -amount);
        post_system(system, postings, line::VAULT_CASH, body.ledger_key, asset, amount);
        output.emit(command, EventKind::VaultCohortServed, Subject::NONE, &body);
        body.unserved == 0
    }
}
