//! Keepers: registration, stake, standing (protocol P13.1, P13.2, rows 0801 and 0802).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::keeper::rates::Meters;
use crate::keeper::score::{Score, ALERT_BELOW_PPM, REINSTATE_FROM_PPM, SUSPEND_BELOW_PPM};
use crate::keeper::{capability, duty_item, keeper_state, stake_change, Keeper, Stake};
use crate::ledger::{line, post_between};
use crate::limits::*;
use crate::math::MAX_BALANCE;
use crate::output::{Output, Subject};
use crate::state::due;
use crate::wire::command::{asset_flag, Command, KeeperStake, KeeperTarget, RegisterKeeper};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, KeeperBody, KeeperScoreBody, KeeperStakeBody};

impl<B: Book> Engine<B> {
    /// The asset that keepers stake.
    pub(super) fn stake_asset(&self) -> Result<u16, Reject> {
        match self.state.assets.iter().position(|asset| asset.flags & asset_flag::STAKE != 0) {
            Some(asset) => Ok(asset as u16),
            None => reject(Code::ASSET_NOT_FOUND, self.state.assets.len() as i64, 0),
        }
    }

    fn check_stake_amount(&self, context: Context, asset: u16, amount: i64) -> Result<(), Reject> {
        if amount < 1 {
            return reject(Code::INVALID_AMOUNT, 1, amount);
        }
        let free = self.state.accounts.balance(context.account, 0, asset, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        self.check_removal(context.account, 0, asset, amount)
    }

    pub(crate) fn register_keeper(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: RegisterKeeper = command.payload_as();
        check_main_account(command)?;
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        if request.capabilities == 0 || request.capabilities & !capability::ALL != 0 {
            let (bound, given) = (i64::from(capability::ALL), i64::from(request.capabilities));
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, given);
        }
        let asset = self.stake_asset()?;
        let minimum = self.state.governance.minimum_stake();
        if request.stake < minimum {
            return reject(Code::KEEPER_STAKE_TOO_LOW, minimum, request.stake);
        }
        if self.state.keepers.get(context.account).is_some() {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(context.account));
        }
        self.check_stake_amount(context, asset, request.stake)?;
        let keepers = &self.state.keepers;
        if keepers.len() >= MAX_KEEPERS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_KEEPERS as i64, keepers.len() as i64);
        }
        if !keepers.stakes.contains_key(&context.account) && keepers.stakes.len() >= MAX_KEEPER_STAKES {
            return reject(Code::CAPACITY_EXCEEDED, MAX_KEEPER_STAKES as i64, keepers.stakes.len() as i64);
        }
        let keeper = fresh_keeper(context.account, &request, command.time_ns);
        self.state.due.extend(keeper.due_items());
        self.state.keepers.insert(keeper);
        self.bond(context.account, asset, request.stake, output);
        self.emit_keeper(
            command,
            EventKind::KeeperRegistered,
            context.account,
            request.capabilities,
            request.stake,
            output,
        );
        self.after_collateral(command, context.account, 0, output);
        Ok(u64::from(context.account))
    }

    /// Moves money from `free` to `bond` and into the stake.
    fn bond(&mut self, account: u32, asset: u16, amount: i64, output: &mut Output) {
        let accounts = &mut self.state.accounts;
        post_between(accounts, &mut output.postings, (account, 0), asset, (line::FREE, line::BOND), amount);
        let stake = self.state.keepers.stakes.entry(account).or_default();
        stake.bonded += amount;
        self.weigh_stake(account);
    }

    /// Tells the duty wheels what the stake is now.
    pub(super) fn weigh_stake(&mut self, account: u32) {
        let bonded = self.state.keepers.stakes.get(&account).map_or(0, |stake| stake.bonded);
        if self.state.keepers.get(account).is_some() {
            self.state.keepers.edit(account, |keeper| keeper.bonded = bonded);
        }
    }

    /// Takes effect at once; the stake unbonds and stays within reach of a slash (P13.6).
    pub(crate) fn remove_keeper(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let account = self.keeper_account(command)?;
        self.forget_keeper(command, account, output);
        Ok(u64::from(account))
    }

    pub(super) fn forget_keeper(&mut self, command: &Command, account: u32, output: &mut Output) {
        let Some(keeper) = self.state.keepers.remove(account) else { return };
        for item in keeper.due_items() {
            self.state.due.remove(&item);
        }
        let stake = self.state.keepers.stakes.entry(account).or_default();
        let bonded = stake.bonded;
        if bonded > 0 {
            stake.unbond(bonded, command.time_ns.saturating_add(UNBONDING_NS));
        }
        self.drop_empty_stake(account);
        self.emit_keeper(command, EventKind::KeeperRemoved, account, keeper.capabilities, 0, output);
    }

    fn keeper_account(&self, command: &Command) -> Result<u32, Reject> {
        let target = command.payload_as::<KeeperTarget>().keeper;
        let account = self.state.accounts.find(&target).ok_or(Reject::from(Code::ACCOUNT_NOT_FOUND))?;
        match self.state.keepers.get(account) {
            Some(_) => Ok(account),
            None => Err(Code::KEEPER_NOT_REGISTERED.into()),
        }
    }

    /// The answer to an appeal against a suspension: back at once, with the score of 0.85.
    pub(crate) fn reinstate_keeper(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let account = self.keeper_account(command)?;
        let state = self.state.keepers.get(account).map_or(0, |keeper| keeper.state);
        if state != keeper_state::SUSPENDED {
            let bound = i64::from(keeper_state::SUSPENDED);
            return reject(Code::INVALID_TRANSITION, bound, i64::from(state));
        }
        self.check_not_own(command, account)?;
        self.end_suspension(command, account, output);
        Ok(u64::from(account))
    }

    /// Nobody decides about the keeper that is his own.
    pub(super) fn check_not_own(&self, command: &Command, account: u32) -> Result<(), Reject> {
        if self.state.accounts.list[account as usize].owner_key == command.principal {
            return Err(Code::CONFLICT_OF_INTEREST.into());
        }
        Ok(())
    }

    fn end_suspension(&mut self, command: &Command, account: u32, output: &mut Output) {
        let review_ns = self.state.keepers.edit(account, |keeper| {
            keeper.score = keeper.score.pardoned();
            keeper.state = keeper_state::ACTIVE;
            std::mem::take(&mut keeper.review_ns)
        });
        self.state.due.remove(&(review_ns, due::KEEPER, duty_item::REVIEW | u64::from(account)));
        self.emit_score(command, EventKind::KeeperReinstated, account, 0, true, output);
    }

    pub(crate) fn stake_keeper(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let amount = command.payload_as::<KeeperStake>().amount;
        check_main_account(command)?;
        if self.state.keepers.get(context.account).is_none() {
            return Err(Code::KEEPER_NOT_REGISTERED.into());
        }
        let asset = self.stake_asset()?;
        self.check_stake_amount(context, asset, amount)?;
        let total = self.state.keepers.stakes.get(&context.account).map_or(0, Stake::total);
        if amount > MAX_BALANCE - total {
            return reject(Code::ABOVE_MAXIMUM, MAX_BALANCE - total, amount);
        }
        self.bond(context.account, asset, amount, output);
        self.emit_stake(command, context.account, asset, stake_change::STAKED, amount, output);
        self.after_collateral(command, context.account, 0, output);
        Ok(0)
    }

    pub(crate) fn unstake_keeper(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let amount = command.payload_as::<KeeperStake>().amount;
        check_main_account(command)?;
        if self.state.keepers.get(context.account).is_none() {
            return Err(Code::KEEPER_NOT_REGISTERED.into());
        }
        let asset = self.stake_asset()?;
        let bonded = self.state.keepers.stakes.get(&context.account).map_or(0, |stake| stake.bonded);
        if amount < 1 {
            return reject(Code::INVALID_AMOUNT, 1, amount);
        }
        if amount > bonded {
            return reject(Code::INSUFFICIENT_BALANCE, bonded, amount);
        }
        let ready_ns = command.time_ns.saturating_add(UNBONDING_NS);
        self.state.keepers.stakes.entry(context.account).or_default().unbond(amount, ready_ns);
        self.weigh_stake(context.account);
        self.emit_stake(command, context.account, asset, stake_change::UNBONDING, amount, output);
        Ok(ready_ns as u64)
    }

    /// A keeper, or one that was, takes back what has unbonded, unless a slash is under way.
    pub(crate) fn withdraw_keeper_stake(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let amount = command.payload_as::<KeeperStake>().amount;
        check_main_account(command)?;
        let Some(stake) = self.state.keepers.stakes.get(&context.account) else {
            return Err(Code::KEEPER_NOT_REGISTERED.into());
        };
        if amount < 1 {
            return reject(Code::INVALID_AMOUNT, 1, amount);
        }
        if amount > stake.unbonding() {
            return reject(Code::INSUFFICIENT_BALANCE, stake.unbonding(), amount);
        }
        if amount > stake.ready(command.time_ns) {
            return reject(Code::UNBONDING, stake.ready_ns(amount), command.time_ns);
        }
        if let Some(until) = self.state.keepers.frozen_until(context.account) {
            return reject(Code::UNBONDING, until, command.time_ns);
        }
        let asset = self.stake_asset()?;
        self.state.keepers.stakes.entry(context.account).or_default().withdraw(amount);
        let accounts = &mut self.state.accounts;
        let (owner, lines) = ((context.account, 0), (line::BOND, line::FREE));
        post_between(accounts, &mut output.postings, owner, asset, lines, amount);
        self.emit_stake(command, context.account, asset, stake_change::WITHDRAWN, amount, output);
        self.after_collateral(command, context.account, 0, output);
        self.drop_empty_stake(context.account);
        Ok(amount as u64)
    }

    /// The record of a stake that is gone, unless a keeper stands on it.
    pub(super) fn drop_empty_stake(&mut self, account: u32) {
        let keepers = &mut self.state.keepers;
        let gone = keepers.stakes.get(&account).is_some_and(|stake| stake.total() == 0);
        if gone && keepers.get(account).is_none() {
            keepers.stakes.remove(&account);
        }
    }

    /// Counts an action or a fault in the score; a score that falls too low suspends (P13.2).
    pub(super) fn score_keeper(
        &mut self,
        command: &Command,
        account: u32,
        action: u8,
        ok: bool,
        output: &mut Output,
    ) {
        let (state, score_ppm) = self.state.keepers.edit(account, |keeper| {
            keeper.score = keeper.score.after(ok);
            (keeper.state, keeper.score.ppm())
        });
        self.emit_score(command, EventKind::KeeperScored, account, action, ok, output);
        if state == keeper_state::ACTIVE && score_ppm < SUSPEND_BELOW_PPM {
            let review_ns = command.time_ns.saturating_add(DAY_NS);
            self.state.keepers.edit(account, |keeper| {
                keeper.state = keeper_state::SUSPENDED;
                keeper.review_ns = review_ns;
            });
            self.state.due.insert((review_ns, due::KEEPER, duty_item::REVIEW | u64::from(account)));
            self.emit_score(command, EventKind::KeeperSuspended, account, action, ok, output);
        }
    }

    /// A day of suspension is over.
    pub(super) fn review_keeper(&mut self, command: &Command, account: u32, output: &mut Output) {
        let next_ns = command.time_ns.saturating_add(DAY_NS);
        let score_ppm = self.state.keepers.edit(account, |keeper| {
            keeper.score = keeper.score.after_a_day_suspended();
            keeper.review_ns = next_ns;
            keeper.score.ppm()
        });
        if score_ppm >= REINSTATE_FROM_PPM {
            self.state.keepers.edit(account, |keeper| {
                keeper.review_ns = 0;
                keeper.state = keeper_state::ACTIVE;
            });
            return self.emit_score(command, EventKind::KeeperReinstated, account, 0, true, output);
        }
        self.state.due.insert((next_ns, due::KEEPER, duty_item::REVIEW | u64::from(account)));
        self.emit_score(command, EventKind::KeeperReviewed, account, 0, true, output);
    }

    /// Looks whether a keeper has been idle for an hour; one alert until it acts again (P13.5).
    pub(super) fn check_idle(&mut self, command: &Command, account: u32, output: &mut Output) {
        let idle = self.state.keepers.edit(account, |keeper| {
            let until = keeper.last_action_ns.saturating_add(KEEPER_IDLE_NS);
            keeper.idle_alerted = until <= command.time_ns;
            keeper.idle_check_ns = until.max(command.time_ns.saturating_add(1));
            keeper.idle_alerted
        });
        if idle {
            return self.emit_score(command, EventKind::KeeperIdle, account, 0, true, output);
        }
        let check_ns = self.state.keepers.get(account).map_or(0, |keeper| keeper.idle_check_ns);
        self.state.due.insert((check_ns, due::KEEPER, duty_item::IDLE | u64::from(account)));
    }

    pub(super) fn emit_score(
        &self,
        command: &Command,
        event: EventKind,
        account: u32,
        action: u8,
        ok: bool,
        output: &mut Output,
    ) {
        let Some(keeper) = self.state.keepers.get(account) else { return };
        let body = KeeperScoreBody {
            score_ppm: keeper.score.ppm(),
            state: keeper.state,
            action,
            ok: u8::from(ok),
            alert: u8::from(keeper.score.ppm() < ALERT_BELOW_PPM),
            successes_e9: keeper.score.successes_e9,
            faults_e9: keeper.score.faults_e9,
            review_ns: keeper.review_ns,
            actions: keeper.actions,
        };
        output.emit(command, event, Subject::account(account, 0), &body);
    }

    fn emit_keeper(
        &self,
        command: &Command,
        event: EventKind,
        account: u32,
        capabilities: u32,
        amount: i64,
        output: &mut Output,
    ) {
        let none = Stake::default();
        let stake = self.state.keepers.stakes.get(&account).unwrap_or(&none);
        let body = KeeperBody {
            capabilities,
            asset: self.stake_asset().unwrap_or(u16::MAX),
            state: self.state.keepers.get(account).map_or(keeper_state::REMOVED, |keeper| keeper.state),
            reserved: 0,
            amount,
            bonded: stake.bonded,
            unbonding: stake.unbonding(),
            ready_ns: stake.parts.last().map_or(0, |part| part.ready_ns),
            minimum_stake: self.state.governance.minimum_stake(),
        };
        output.emit(command, event, Subject::account(account, 0), &body);
    }

    fn emit_stake(
        &self,
        command: &Command,
        account: u32,
        asset: u16,
        change: u8,
        amount: i64,
        output: &mut Output,
    ) {
        let none = Stake::default();
        let stake = self.state.keepers.stakes.get(&account).unwrap_or(&none);
        let body = KeeperStakeBody {
            asset,
            change,
            reserved: 0,
            reserved2: 0,
            amount,
            bonded: stake.bonded,
            unbonding: stake.unbonding(),
            ready_ns: stake.parts.last().map_or(0, |part| part.ready_ns),
        };
        output.emit(command, EventKind::KeeperStakeChanged, Subject::account(account, 0), &body);
    }
}

fn fresh_keeper(account: u32, request: &RegisterKeeper, now_ns: i64) -> Keeper {
    Keeper {
        account,
        capabilities: request.capabilities,
        state: keeper_state::ACTIVE,
        idle_alerted: false,
        registered_ns: now_ns,
        review_ns: 0,
        last_action_ns: now_ns,
        idle_check_ns: now_ns.saturating_add(KEEPER_IDLE_NS),
        actions: 0,
        score: Score::default(),
        missed: None,
        meters: Meters::default(),
        bonded: 0,
    }
}

/// A keeper's stake and rewards live on sub-account 0.
pub(super) fn check_main_account(command: &Command) -> Result<(), Reject> {
    match command.sub {
        0 => Ok(()),
        sub => reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, i64::from(sub)),
    }
}
