//! The token: issue, vesting, seasons, staking and its rewards (protocol P11, rows 0A01–0A04).

use super::governed::Assessment;
use super::keepers::check_main_account;
use super::work::Budget;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::governance::parameters::{Class, Effect};
use crate::id::stake_lot_id;
use crate::ledger::{line, post_between, post_system, post_user};
use crate::limits::*;
use crate::output::{Output, Subject};
use crate::token::season::LARGEST_BUDGET;
use crate::token::staking::{pending, weight, MIN_STAKE};
use crate::token::vesting::{ECOSYSTEM, POOLS};
use crate::token::{due_item, Fund, Issue, Lot, Schedule, Season, RESERVED, SEASON_BUDGET, SUPPLY};
use crate::wire::command::{
    AllocateVesting, ClaimRewards, Command, Kind, OpenSeason, SettleSeason, StakeToken, UnstakeToken,
    VestingTarget,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{
    EventKind, RewardsBody, RewardsSharedBody, SeasonBody, StakeBody, TokenIssueBody, VestingBody,
};

/// Micro-units by fund.
type Amounts = [i64; MAX_REWARD_ASSETS];

impl<B: Book> Engine<B> {
    fn issued(&self) -> Result<Issue, Reject> {
        let known = self.state.assets.len() as i64;
        self.state.token.issue.ok_or(Reject::new(Code::ASSET_NOT_FOUND, known, 0))
    }

    /// Micro-units of the token that circulate on the platform.
    pub(super) fn token_inside(&self) -> i64 {
        let Some(asset) = self.state.token.asset() else { return 0 };
        let of = |line| self.state.system.get(line, 0, asset);
        let claimable = self.state.system.get(line::SEASON, line::CLAIMABLE, asset);
        -of(line::ISSUANCE) - of(line::RESERVED) - of(line::SEASON) - of(line::WORLD) - claimable
    }

    /// The supply comes into being with the registration of its asset, of which there is one at most.
    pub(super) fn issue_token(&mut self, command: &Command, asset: u16, output: &mut Output) {
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::ISSUANCE, 0, asset, -SUPPLY);
        post_system(system, postings, line::SEASON, 0, asset, SEASON_BUDGET);
        post_system(system, postings, line::RESERVED, 0, asset, RESERVED);
        self.state.token.issue = Some(Issue { asset, issued_ns: command.time_ns });
        self.state.token.vesting.begin(command.time_ns);
        let body = TokenIssueBody {
            asset,
            reserved: 0,
            reserved2: 0,
            season: SEASON_BUDGET,
            locked: RESERVED,
            issued_ns: command.time_ns,
        };
        output.emit(command, EventKind::TokenIssued, Subject::NONE, &body);
    }

    /// Until the first season opens TREASURER sets allocations up; afterwards they are decisions about the treasury,
    /// and seasons about the structure (P14.5, P14.6). Nobody revokes alone.
    pub(super) fn assess_token(&self, kind: Kind) -> Assessment {
        let in_setup = self.state.token.seasons.last == 0;
        match kind {
            Kind::OpenSeason => Assessment { class: Class::Structure, effect: Effect::Increases, in_setup },
            Kind::RevokeVesting => {
                Assessment { class: Class::Treasury, effect: Effect::Notice, in_setup: false }
            }
            _ => Assessment { class: Class::Treasury, effect: Effect::Increases, in_setup },
        }
    }

    pub(super) fn allocate_vesting(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: AllocateVesting = command.payload_as();
        let issue = self.issued()?;
        let padding = u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3;
        if padding != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(padding));
        }
        let beneficiary = self.state.accounts.find(&request.beneficiary);
        let account = beneficiary.ok_or(Reject::from(Code::ACCOUNT_NOT_FOUND))?;
        let pool = usize::from(request.pool);
        if pool >= POOLS.len() {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, POOLS.len() as i64 - 1, i64::from(request.pool));
        }
        if request.amount < 1 {
            return reject(Code::INVALID_AMOUNT, 1, request.amount);
        }
        let vesting = &self.state.token.vesting;
        let waiting = if pool == ECOSYSTEM { self.state.token.bootstrap.committed() } else { 0 };
        let available = (vesting.available(pool) - waiting).max(0);
        if request.amount > available {
            return reject(Code::SUPPLY_EXCEEDED, available, request.amount);
        }
        let start_ns = if request.start_ns == 0 { command.time_ns } else { request.start_ns };
        let (floor_ns, latest_ns) =
            (vesting.pools[pool].floor_ns, command.time_ns.saturating_add(MAX_VESTING_DELAY_NS));
        if start_ns < floor_ns || start_ns > latest_ns {
            let bound = if start_ns < floor_ns { floor_ns } else { latest_ns };
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, start_ns);
        }
        if vesting.schedules.len() >= MAX_VESTING_SCHEDULES {
            let known = vesting.schedules.len() as i64;
            return reject(Code::CAPACITY_EXCEEDED, MAX_VESTING_SCHEDULES as i64, known);
        }
        if command.is_trial() {
            return Ok(0);
        }
        let amount = request.amount;
        let schedule = Schedule { pool: request.pool, account, amount, start_ns, claimed: 0, revoked_ns: 0 };
        let id = self.state.token.vesting.allocate(schedule);
        self.emit_vesting(command, EventKind::VestingAllocated, (id, issue.asset), 0, output);
        Ok(id)
    }

    fn schedule(&self, id: u64) -> Result<Schedule, Reject> {
        let known = self.state.token.vesting.last as i64;
        let schedule = self.state.token.vesting.schedules.get(&id).copied();
        schedule.ok_or(Reject::new(Code::NOTHING_TO_CLAIM, known, id as i64))
    }

    pub(crate) fn claim_vested(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let id = command.payload_as::<VestingTarget>().schedule;
        check_main_account(command)?;
        let asset = self.issued()?.asset;
        let schedule = self.schedule(id)?;
        if schedule.account != context.account {
            return Err(Code::WRONG_OWNER.into());
        }
        let now_ns = command.time_ns;
        let revoked = schedule.revoked_ns != 0;
        if now_ns < schedule.cliff_ns() && !revoked {
            return reject(Code::VESTING_CLIFF, schedule.cliff_ns(), now_ns);
        }
        let amount = schedule.claimable(now_ns);
        if amount < 1 {
            let code = if revoked { Code::VESTING_REVOKED } else { Code::NOTHING_TO_CLAIM };
            return reject(code, schedule.vested(now_ns), schedule.claimed);
        }
        let entry = self.state.token.vesting.schedules.get_mut(&id).expect("found above");
        entry.claimed += amount;
        let postings = &mut output.postings;
        post_system(&mut self.state.system, postings, line::RESERVED, 0, asset, -amount);
        post_user(&mut self.state.accounts, postings, context.account, 0, asset, line::FREE, amount);
        self.emit_vesting(command, EventKind::VestedClaimed, (id, asset), amount, output);
        self.after_collateral(command, context.account, 0, output);
        Ok(amount as u64)
    }

    pub(super) fn revoke_vesting(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let id = command.payload_as::<VestingTarget>().schedule;
        let asset = self.issued()?.asset;
        let schedule = self.schedule(id)?;
        if schedule.revoked_ns != 0 {
            return reject(Code::VESTING_REVOKED, schedule.revoked_ns, id as i64);
        }
        if !schedule.row().revocable {
            return reject(Code::NOT_REVOCABLE, 0, i64::from(schedule.pool));
        }
        if command.is_trial() {
            return Ok(0);
        }
        let returned = self.state.token.vesting.revoke(id, command.time_ns);
        self.emit_vesting(command, EventKind::VestingRevoked, (id, asset), returned, output);
        Ok(returned as u64)
    }

    fn emit_vesting(
        &self,
        command: &Command,
        event: EventKind,
        (id, asset): (u64, u16),
        moved: i64,
        output: &mut Output,
    ) {
        let schedule = self.state.token.vesting.schedules[&id];
        let body = VestingBody {
            schedule: id,
            amount: schedule.amount,
            start_ns: schedule.start_ns,
            cliff_ns: schedule.cliff_ns(),
            end_ns: schedule.end_ns(),
            vested: schedule.vested(command.time_ns),
            claimed: schedule.claimed,
            moved,
            pool: schedule.pool,
            revoked: u8::from(schedule.revoked_ns != 0),
            asset,
            reserved: 0,
        };
        output.emit(command, event, Subject::account(schedule.account, 0), &body);
    }

    /// The first season has its budget from the issue; later ones draw on what the ecosystem pool has vested.
    pub(super) fn open_season(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: OpenSeason = command.payload_as();
        let Issue { asset, issued_ns } = self.issued()?;
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let seasons = self.state.token.seasons;
        if let Some(active) = seasons.active {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(active.number));
        }
        let number = seasons.last.saturating_add(1);
        if request.season != number {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(number), i64::from(request.season));
        }
        if request.budget < 1 {
            return reject(Code::INVALID_AMOUNT, 1, request.budget);
        }
        let first = number == 1;
        let available = match first {
            true => self.state.system.get(line::SEASON, 0, asset),
            false => {
                let waiting = self.state.token.bootstrap.committed();
                let free = self.state.token.vesting.drawable(issued_ns, command.time_ns) - waiting;
                free.clamp(0, LARGEST_BUDGET)
            }
        };
        if request.budget > available {
            return reject(Code::SUPPLY_EXCEEDED, available, request.budget);
        }
        if command.is_trial() {
            return Ok(0);
        }
        let drawn = if first { 0 } else { request.budget };
        if drawn > 0 {
            self.state.token.vesting.draw(drawn, command.time_ns);
        }
        self.move_to_season(asset, drawn, output);
        let season = Season { number, budget: request.budget, start_ns: command.time_ns, paid: 0 };
        self.state.token.seasons.active = Some(season);
        self.state.token.seasons.last = number;
        self.state.due.extend(self.state.token.season_due());
        emit_season(command, EventKind::SeasonOpened, &season, (asset, drawn), output);
        Ok(u64::from(number))
    }

    fn move_to_season(&mut self, asset: u16, amount: i64, output: &mut Output) {
        let (system, postings) = (&mut self.state.system, &mut output.postings);
        post_system(system, postings, line::RESERVED, 0, asset, -amount);
        post_system(system, postings, line::SEASON, 0, asset, amount);
    }

    /// By SYSTEM once the season's time is over; the Tick does it when nobody else has.
    pub(crate) fn settle_season(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: SettleSeason = command.payload_as();
        self.issued()?;
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let active = self.state.token.seasons.active.filter(|season| season.number == request.season);
        let Some(season) = active else {
            let last = i64::from(self.state.token.seasons.last);
            return reject(Code::SEASON_NOT_ACTIVE, last, i64::from(request.season));
        };
        if command.time_ns < season.end_ns() {
            return reject(Code::TOO_EARLY, season.end_ns(), command.time_ns);
        }
        if let Some(item) = self.state.token.season_due() {
            self.state.due.remove(&item);
        }
        Ok(self.end_season(command, output) as u64)
    }

    pub(super) fn token_due(&mut self, command: &Command, id: u64, budget: &mut Budget, output: &mut Output) {
        match id & due_item::KIND {
            due_item::SEASON_END => {
                self.end_season(command, output);
            }
            _ => self.makers_due(command, id, budget, output),
        }
    }

    /// What the season has left over goes back to the ecosystem pool.
    fn end_season(&mut self, command: &Command, output: &mut Output) -> i64 {
        let (Some(season), Some(asset)) = (self.state.token.seasons.active.take(), self.state.token.asset())
        else {
            return 0;
        };
        let rest = self.state.system.get(line::SEASON, 0, asset);
        self.move_to_season(asset, -rest, output);
        self.state.token.vesting.give_back(rest);
        emit_season(command, EventKind::SeasonSettled, &season, (asset, rest), output);
        rest
    }

    pub(crate) fn stake_token(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let StakeToken { amount, lock_s, reserved } = command.payload_as();
        check_main_account(command)?;
        let asset = self.issued()?.asset;
        if reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved));
        }
        if amount < MIN_STAKE {
            return reject(Code::BELOW_MINIMUM, MIN_STAKE, amount);
        }
        if amount > SUPPLY {
            return reject(Code::ABOVE_MAXIMUM, SUPPLY, amount);
        }
        if weight(amount, lock_s).is_none() {
            return reject(Code::INVALID_LOCK, 0, i64::from(lock_s));
        }
        let account = context.account;
        let lots = self.state.token.staking.lots(account).len();
        if lots >= MAX_STAKE_LOTS {
            return reject(Code::TOO_MANY_STAKE_LOTS, MAX_STAKE_LOTS as i64, lots as i64);
        }
        let free = self.state.accounts.balance(account, 0, asset, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        self.check_removal(account, 0, asset, amount)?;
        self.share_rewards(command, output);
        let unlock_ns = command.time_ns.saturating_add(i64::from(lock_s) * SECOND_NS);
        let lot = self.state.token.staking.add(account, amount, lock_s, unlock_ns);
        let lines = (line::FREE, line::BOND);
        post_between(&mut self.state.accounts, &mut output.postings, (account, 0), asset, lines, amount);
        self.emit_stake_lot(command, EventKind::Staked, (account, asset), &lot, output);
        let staked = self.state.token.staked(account);
        self.state.flow.set_earned(account, crate::token::rate_class(staked));
        self.after_collateral(command, account, 0, output);
        Ok(lot.number)
    }

    pub(crate) fn unstake_token(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let number = command.payload_as::<UnstakeToken>().lot;
        check_main_account(command)?;
        let asset = self.issued()?.asset;
        let account = context.account;
        let lot = self.lot(account, number, Code::POSITION_NOT_FOUND)?;
        if command.time_ns < lot.unlock_ns {
            return reject(Code::STAKE_LOCKED, lot.unlock_ns, command.time_ns);
        }
        self.share_rewards(command, output);
        // The lot leaves with the weight that it has had until now.
        let (amounts, _) = self.state.token.staking.pay(account, number, i64::MIN);
        self.pay_rewards(command, account, number, &amounts, output);
        let lot = self.state.token.staking.remove(account, number).expect("found above");
        let lines = (line::BOND, line::FREE);
        post_between(&mut self.state.accounts, &mut output.postings, (account, 0), asset, lines, lot.amount);
        self.emit_stake_lot(command, EventKind::Unstaked, (account, asset), &lot, output);
        let staked = self.state.token.staked(account);
        self.state.flow.set_earned(account, crate::token::rate_class(staked));
        self.after_collateral(command, account, 0, output);
        Ok(lot.amount as u64)
    }

    fn lot(&self, account: u32, number: u64, code: Code) -> Result<Lot, Reject> {
        let lots = self.state.token.staking.lots(account);
        let lot = lots.iter().find(|lot| lot.number == number).copied();
        lot.ok_or(Reject::new(code, lots.len() as i64, number as i64))
    }

    pub(crate) fn claim_rewards(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let number = command.payload_as::<ClaimRewards>().lot;
        check_main_account(command)?;
        let asset = self.issued()?.asset;
        let account = context.account;
        let lots: Vec<Lot> = match number {
            0 => self.state.token.staking.lots(account).to_vec(),
            _ => vec![self.lot(account, number, Code::NOTHING_TO_CLAIM)?],
        };
        if !self.has_pending(&lots) {
            return reject(Code::NOTHING_TO_CLAIM, 0, number as i64);
        }
        self.share_rewards(command, output);
        let mut amounts = Amounts::default();
        let mut fallen = Vec::new();
        for lot in &lots {
            let (paid, fell) = self.state.token.staking.pay(account, lot.number, command.time_ns);
            amounts.iter_mut().zip(paid).for_each(|(amount, paid)| *amount += paid);
            fallen.extend(fell);
        }
        self.pay_rewards(command, account, number, &amounts, output);
        for lot in &fallen {
            self.emit_stake_lot(command, EventKind::StakeReweighed, (account, asset), lot, output);
        }
        self.after_collateral(command, account, 0, output);
        Ok(lots.len() as u64)
    }

    /// What a fund will be once the pool is shared out.
    fn fund_now(&self, fund: Fund) -> Fund {
        let pool = self.state.system.get(line::STAKER_POOL, 0, fund.asset);
        self.state.token.staking.brought_up(fund, pool)
    }

    fn has_pending(&self, lots: &[Lot]) -> bool {
        self.state.token.staking.funds.iter().enumerate().any(|(at, &fund)| {
            let accumulator = self.fund_now(fund).accumulator;
            lots.iter().any(|lot| pending(lot.weight, accumulator, lot.entries[at]) > 0)
        })
    }

    /// Shares among the stakers what has come into their pools since the last change of weights.
    fn share_rewards(&mut self, command: &Command, output: &mut Output) {
        for at in 0..self.state.token.staking.funds.len() {
            let old = self.state.token.staking.funds[at];
            let new = self.fund_now(old);
            if new == old {
                continue;
            }
            self.state.token.staking.funds[at] = new;
            let body = RewardsSharedBody {
                asset: new.asset,
                reserved: 0,
                reserved2: 0,
                amount: new.owed - old.owed,
                total_weight: self.state.token.staking.total,
                accumulator_low: new.accumulator as u64,
                accumulator_high: (new.accumulator >> 64) as u64,
                carry_low: new.carry as u64,
                carry_high: (new.carry >> 64) as u64,
            };
            output.emit(command, EventKind::RewardsShared, Subject::NONE, &body);
        }
    }

    fn pay_rewards(
        &mut self,
        command: &Command,
        account: u32,
        lot: u64,
        amounts: &Amounts,
        output: &mut Output,
    ) {
        for (at, &amount) in amounts.iter().enumerate().filter(|(_, &amount)| amount > 0) {
            let asset = self.state.token.staking.funds[at].asset;
            let postings = &mut output.postings;
            post_system(&mut self.state.system, postings, line::STAKER_POOL, 0, asset, -amount);
            post_user(&mut self.state.accounts, postings, account, 0, asset, line::FREE, amount);
            let body =
                RewardsBody { lot, amount, asset, source: line::STAKER_POOL, reserved: 0, reserved2: 0 };
            output.emit(command, EventKind::RewardsClaimed, Subject::account(account, 0), &body);
        }
    }

    fn emit_stake_lot(
        &self,
        command: &Command,
        event: EventKind,
        (account, asset): (u32, u16),
        lot: &Lot,
        output: &mut Output,
    ) {
        let body = StakeBody {
            lot: lot.number,
            amount: lot.amount,
            weight: lot.weight,
            unlock_ns: lot.unlock_ns,
            lot_id: stake_lot_id(&self.state.accounts.list[account as usize].id, lot.number),
            lock_s: lot.lock_s,
            asset,
            reserved: 0,
        };
        output.emit(command, event, Subject::account(account, 0), &body);
    }

    /// Micro-units of the token that an account has staked (P8.4).
    pub fn staked_token(&self, account: &[u8; 32]) -> i64 {
        self.state.accounts.find(account).map_or(0, |handle| self.state.token.staked(handle))
    }
}

fn emit_season(
    command: &Command,
    event: EventKind,
    season: &Season,
    (asset, moved): (u16, i64),
    output: &mut Output,
) {
    let body = SeasonBody {
        season: season.number,
        asset,
        reserved: 0,
        budget: season.budget,
        start_ns: season.start_ns,
        end_ns: season.end_ns(),
        paid: season.paid,
        moved,
    };
    output.emit(command, event, Subject::NONE, &body);
}
