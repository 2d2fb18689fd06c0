//! What keepers do: duty, rates, two keepers for large actions, rewards (protocol P13.4–P13.6, row 0803).

use super::margin::Weights;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::keeper::duty::HEAD_START_NS;
use crate::keeper::{action, duty_item, keeper_state, Large, Missed};
use crate::ledger::{line, post_margin, post_system};
use crate::limits::*;
use crate::output::{Output, Subject};
use crate::state::due;
use crate::wire::command::{Command, KeeperAct, Kind, OneMarket, PAYLOAD_SIZE};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, KeeperDutyBody, LargeActionBody, RewardBody};
use crate::wire::record::Record;

/// What a keeper is about to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duty {
    /// `keeper::action`.
    pub action: u8,
    pub market: u32,
    /// Whom it liquidates; None for every other action.
    pub target: Option<Target>,
    /// Moment at which the duty arose; None when only the action itself can tell.
    pub since_ns: Option<i64>,
    /// Micro-units of the settlement asset that the action may take out of insurance.
    pub insurance: i64,
}

/// One position that is to be liquidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub account: u32,
    pub sub: u8,
    pub market: u32,
}

impl Target {
    /// One number a target: markets take 16 bits, sub-accounts 8. Never 0, which means no target.
    fn number(self) -> u64 {
        (1 << 63)
            | u64::from(self.account) << 24
            | u64::from(self.sub) << 16
            | u64::from(self.market & 0xFFFF)
    }
}

impl Duty {
    fn target_number(&self) -> u64 {
        self.target.map_or(0, Target::number)
    }
}

impl<B: Book> Engine<B> {
    /// 0803. The checks are those of the row, in its order; then the action itself.
    pub(crate) fn keeper_act(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: KeeperAct = command.payload_as();
        super::keepers::check_main_account(command)?;
        check_act(&request)?;
        match request.action {
            action::LIQUIDATE => {
                let target = self.find_target(&request.target, request.target_sub, request.market);
                self.liquidate_as_keeper(command, context.account, target, output)
            }
            action::CRANK => self.crank_as_keeper(command, context.account, request.market, output),
            // Triggers fire and prices enter inside of the engine: nothing of them is ever left to a keeper.
            other => {
                let duty = Duty {
                    action: other,
                    market: request.market,
                    target: None,
                    since_ns: None,
                    insurance: 0,
                };
                self.check_keeper(context.account, &duty, command.time_ns)?;
                reject(Code::NOTHING_DUE, 0, i64::from(other))
            }
        }
    }

    fn crank_as_keeper(
        &mut self,
        command: &Command,
        account: u32,
        market: u32,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let since_ns = self.state.perps.of_market(market).map(|perp| perp.hour_end_ns);
        let since_ns = since_ns.filter(|&end_ns| end_ns != 0 && end_ns <= command.time_ns);
        let duty = Duty { action: action::CRANK, market, target: None, since_ns, insurance: 0 };
        self.check_keeper(account, &duty, command.time_ns)?;
        let mut payload = [0; PAYLOAD_SIZE];
        payload[..OneMarket::SIZE].copy_from_slice(OneMarket { market, reserved: 0 }.bytes());
        let (kind, op) = Kind::CrankFunding.code();
        let crank = Command { kind, op, payload, ..*command };
        let value = self.crank_funding(&crank, output).map_err(|refusal| match refusal.code {
            Code::FUNDING_NOT_DUE => Reject::new(Code::NOTHING_DUE, refusal.bound, refusal.given),
            _ => refusal,
        })?;
        self.reward_crank(command, account, output);
        self.keeper_acted(command, account, &duty, output);
        Ok(value)
    }

    /// A keeper's liquidation, by 0404 or by 0803: standing first, then whether there is such a position.
    pub(crate) fn liquidate_as_keeper(
        &mut self,
        command: &Command,
        account: u32,
        target: Result<Target, Reject>,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let known = target.ok();
        let duty = Duty {
            action: action::LIQUIDATE,
            market: known.map_or(u32::MAX, |target| target.market),
            target: known,
            since_ns: known.and_then(|target| self.liquidatable_since(target)),
            insurance: known.map_or(0, |target| self.insurance_at_stake(target)),
        };
        self.check_keeper(account, &duty, command.time_ns)?;
        let target = target?;
        if duty.insurance > LARGE_INSURANCE {
            // What would be refused anyway must not wait for a second keeper; the first approval moves nothing.
            self.plan_liquidation(
                command.time_ns,
                Some(account),
                (target.account, target.sub),
                target.market,
            )?;
            if !self.second_keeper(command, account, &duty, target, output)? {
                return Ok(0);
            }
        }
        let value =
            self.liquidate_target(command, Some(account), target.account, target.sub, target.market, output)?;
        self.keeper_acted(command, account, &duty, output);
        Ok(value)
    }

    /// The position that a command names.
    ///
    /// # Errors
    /// `ACCOUNT_NOT_FOUND`, `SUB_ACCOUNT_NOT_FOUND`, `MARKET_NOT_FOUND`, `POSITION_NOT_FOUND`.
    pub(crate) fn find_target(&self, id: &[u8; 32], sub: u8, market: u32) -> Result<Target, Reject> {
        let account = self.state.accounts.find(id).ok_or(Reject::from(Code::ACCOUNT_NOT_FOUND))?;
        if self.state.accounts.list[account as usize].sub(sub).is_none() {
            return reject(Code::SUB_ACCOUNT_NOT_FOUND, 127, i64::from(sub));
        }
        if market as usize >= self.state.markets.list.len() {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(market));
        }
        let position = self.state.perps.position(account, sub, market);
        if position.is_none_or(|position| position.lots == 0) {
            return reject(Code::POSITION_NOT_FOUND, 0, i64::from(market));
        }
        Ok(Target { account, sub, market })
    }

    /// What insurance would lose if it had to cover the sub-account now: its deficit in micro-units.
    fn insurance_at_stake(&self, target: Target) -> i64 {
        let equity = self.health(target.account, target.sub, Weights::Maintenance).equity;
        (-equity).clamp(0, i128::from(i64::MAX)) as i64
    }

    /// The standing of a keeper for an action: the checks of row 0803 up to "due".
    pub(crate) fn check_keeper(&self, account: u32, duty: &Duty, now_ns: i64) -> Result<(), Reject> {
        let Some(keeper) = self.state.keepers.get(account) else {
            return Err(Code::KEEPER_NOT_REGISTERED.into());
        };
        if keeper.state == keeper_state::SUSPENDED {
            return reject(Code::KEEPER_SUSPENDED, keeper.review_ns, i64::from(keeper.score.ppm()));
        }
        if !keeper.can(duty.action) {
            let needed = i64::from(crate::keeper::needed(duty.action));
            return reject(Code::KEEPER_CAPABILITY, needed, i64::from(keeper.capabilities));
        }
        let minimum = self.state.governance.minimum_stake();
        if keeper.bonded < minimum {
            return reject(Code::KEEPER_STAKE_TOO_LOW, minimum, keeper.bonded);
        }
        if let Some(until) = keeper.meters.wait_until(duty.target_number(), now_ns) {
            return reject(Code::KEEPER_RATE_LIMITED, until, now_ns);
        }
        self.check_head_start(account, duty, now_ns)
    }

    /// For half a second a duty is the assigned keeper's alone.
    fn check_head_start(&self, account: u32, duty: &Duty, now_ns: i64) -> Result<(), Reject> {
        let Some(since_ns) = duty.since_ns else { return Ok(()) };
        let open_ns = since_ns.saturating_add(HEAD_START_NS);
        let assigned = self.state.keepers.assigned(duty.action, duty.market, since_ns, now_ns);
        match assigned {
            Some(expected) if expected != account && now_ns < open_ns => {
                reject(Code::NOTHING_DUE, open_ns, now_ns)
            }
            _ => Ok(()),
        }
    }

    /// Whether two different keepers want this large action now; the first approval is kept for a minute.
    fn second_keeper(
        &mut self,
        command: &Command,
        account: u32,
        duty: &Duty,
        target: Target,
        output: &mut Output,
    ) -> Result<bool, Reject> {
        let number = target.number();
        let waiting = self.state.keepers.large.iter().find(|(_, large)| large.target == number);
        let found = waiting.map(|(&id, &large)| (id, large));
        let first = found.filter(|(_, large)| {
            self.state.keepers.get(large.first).is_some_and(|keeper| keeper.state == keeper_state::ACTIVE)
        });
        if let Some((id, large)) = first {
            if large.first == account {
                return Err(Code::SELF_APPROVAL.into());
            }
            self.forget_large(id, large);
            emit_large(
                command,
                EventKind::KeeperActionConfirmed,
                id,
                account,
                target,
                duty.insurance,
                0,
                output,
            );
            return Ok(true);
        }
        match found {
            Some((id, large)) => self.forget_large(id, large),
            None if self.state.keepers.large.len() >= MAX_LARGE_ACTIONS => {
                let bound = MAX_LARGE_ACTIONS as i64;
                return reject(Code::CAPACITY_EXCEEDED, bound, bound);
            }
            None => {}
        }
        let id = self.state.keepers.next_large;
        self.state.keepers.next_large += 1;
        let until_ns = command.time_ns.saturating_add(LARGE_ACTION_NS);
        self.state.keepers.large.insert(id, Large { target: number, first: account, until_ns });
        self.state.due.insert((until_ns, due::KEEPER, duty_item::LARGE | id));
        let pending = EventKind::KeeperActionPending;
        emit_large(command, pending, id, account, target, duty.insurance, until_ns, output);
        self.state.keepers.edit(account, |keeper| keeper.meters.count(0, command.time_ns));
        Ok(false)
    }

    fn forget_large(&mut self, id: u64, large: Large) {
        self.state.keepers.large.remove(&id);
        self.state.due.remove(&(large.until_ns, due::KEEPER, duty_item::LARGE | id));
    }

    /// A keeper has done what it came for: rate, score, idleness, and no duty is missed any more.
    pub(crate) fn keeper_acted(&mut self, command: &Command, account: u32, duty: &Duty, output: &mut Output) {
        let now_ns = command.time_ns;
        let alerted = self.state.keepers.edit(account, |keeper| {
            keeper.meters.count(duty.target_number(), now_ns);
            keeper.last_action_ns = now_ns;
            keeper.actions += 1;
            keeper.missed = None;
            if keeper.idle_alerted {
                keeper.idle_check_ns = now_ns.saturating_add(KEEPER_IDLE_NS);
            }
            std::mem::take(&mut keeper.idle_alerted).then_some(keeper.idle_check_ns)
        });
        if let Some(check_ns) = alerted {
            self.state.due.insert((check_ns, due::KEEPER, duty_item::IDLE | u64::from(account)));
        }
        self.score_keeper(command, account, duty.action, true, output);
    }

    /// SYSTEM had to do it: the keeper that was expected at the first draw has missed a duty, which is a fault.
    /// To be called by whatever performs a due action two seconds after `since_ns`.
    pub(crate) fn keeper_missed(
        &mut self,
        command: &Command,
        action: u8,
        market: u32,
        since_ns: i64,
        output: &mut Output,
    ) {
        let Some(account) = self.state.keepers.assigned(action, market, since_ns, since_ns) else { return };
        let minimum = self.state.governance.minimum_stake();
        let owner = self.state.accounts.list[account as usize].id;
        let missed = self.state.keepers.edit(account, |keeper| {
            // A keeper below the minimum may not act, and one that registered later was not there.
            if keeper.bonded < minimum || keeper.registered_ns > since_ns {
                return None;
            }
            let first = *keeper.missed.get_or_insert_with(|| Missed {
                first_ns: since_ns,
                market,
                evidence: missed_evidence(&owner, market, since_ns),
            });
            Some(first)
        });
        let Some(first) = missed else { return };
        let body = KeeperDutyBody {
            since_ns,
            first_missed_ns: first.first_ns,
            evidence: first.evidence,
            action,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
        };
        let subject = Subject { account, ..Subject::market(market) };
        output.emit(command, EventKind::KeeperDutyMissed, subject, &body);
        self.score_keeper(command, account, action, false, output);
    }

    fn reward_crank(&mut self, command: &Command, account: u32, output: &mut Output) {
        let Some(asset) = self.settlement_asset() else { return };
        let amount = CRANK_REWARD.min(self.state.system.get(line::MAKER_FUND, 0, asset));
        self.pay_keeper(command, account, asset, (line::MAKER_FUND, amount), action::CRANK, output);
    }

    /// Pays a keeper out of a system line that holds the amount.
    pub(crate) fn pay_keeper(
        &mut self,
        command: &Command,
        account: u32,
        asset: u16,
        (source, amount): (u8, i64),
        action: u8,
        output: &mut Output,
    ) {
        if amount <= 0 {
            return;
        }
        post_system(&mut self.state.system, &mut output.postings, source, 0, asset, -amount);
        post_margin(&mut self.state.accounts, &mut output.postings, (account, 0), asset, amount);
        let body = RewardBody { asset, source, action, reserved: 0, amount };
        output.emit(command, EventKind::KeeperRewarded, Subject::account(account, 0), &body);
        self.after_collateral(command, account, 0, output);
    }

    /// One item of this concern has fallen due.
    pub(crate) fn keeper_due(&mut self, command: &Command, _kind: u8, id: u64, output: &mut Output) {
        let number = id & !duty_item::KIND;
        match id & duty_item::KIND {
            duty_item::REVIEW => self.review_keeper(command, number as u32, output),
            duty_item::IDLE => self.check_idle(command, number as u32, output),
            duty_item::SLASH => self.slash_due(command, number, output),
            duty_item::LARGE => {
                let large = self.state.keepers.large.remove(&number).expect("an approval owns its due item");
                let target = Target {
                    account: (large.target >> 24) as u32,
                    sub: (large.target >> 16) as u8,
                    market: (large.target & 0xFFFF) as u32,
                };
                let lapsed = EventKind::KeeperActionLapsed;
                emit_large(command, lapsed, number, large.first, target, 0, large.until_ns, output);
            }
            other => unreachable!("keeper item {other:#x}"),
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn emit_large(
    command: &Command,
    event: EventKind,
    large: u64,
    keeper: u32,
    target: Target,
    insurance: i64,
    until_ns: i64,
    output: &mut Output,
) {
    let body = LargeActionBody {
        large,
        target_account: target.account,
        target_sub: target.sub,
        action: action::LIQUIDATE,
        reserved: 0,
        insurance,
        until_ns,
        reserved2: 0,
    };
    let subject = Subject { account: keeper, ..Subject::market(target.market) };
    output.emit(command, event, subject, &body);
}

fn missed_evidence(keeper: &[u8; 32], market: u32, since_ns: i64) -> [u8; 32] {
    let mut key = [0; 44];
    key[..32].copy_from_slice(keeper);
    key[32..36].copy_from_slice(&market.to_le_bytes());
    key[36..].copy_from_slice(&since_ns.to_le_bytes());
    crate::id::derive("missed-duty", &key)
}

/// Known action; every field that it does not need is zero.
fn check_act(request: &KeeperAct) -> Result<(), Reject> {
    if request.action == 0 || request.action > action::COUNT {
        let bound = i64::from(action::COUNT);
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, i64::from(request.action));
    }
    let unused = match request.action {
        action::LIQUIDATE => request.order | request.evidence,
        action::TRIGGER => request.evidence | u64::from(request.target_sub),
        _ => request.order | request.evidence | u64::from(request.target_sub),
    };
    let stray = request.action != action::LIQUIDATE && request.target != [0; 32];
    let reserved =
        u64::from(request.reserved) | request.reserved2 | request.reserved3 | unused | u64::from(stray);
    match reserved {
        0 => Ok(()),
        given => reject(Code::RESERVED_NOT_ZERO, 0, given as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_sub_account_and_market_is_a_target_of_its_own_and_none_is_no_target() {
        let target = |account, sub, market| Target { account, sub, market }.number();
        let numbers = [target(0, 0, 0), target(1, 0, 0), target(0, 1, 0), target(0, 0, 1), target(0, 0, 256)];
        for (at, number) in numbers.iter().enumerate() {
            assert!(*number != 0 && !numbers[..at].contains(number), "{number:#x}");
        }
        let far = target(u32::MAX, 127, 0xFFFF);
        assert_eq!(((far >> 24) as u32, (far >> 16) as u8, far & 0xFFFF), (u32::MAX, 127, 0xFFFF));
    }
}
