//! Time: ticks, the due queue, the dead-man's switch, hashes on record (protocol P2.1.5, P2.5.8, P1.1.4).

use super::conditional::LINKED_CANCELS;
use super::work::{Budget, CancelAccount, Work};
use crate::book::Book;
use crate::engine::{Context, Engine, RULES_VERSION};
use crate::ledger::{line, post_system, post_user};
use crate::limits::*;
use crate::output::{Output, Subject};
use crate::state::{due, VERSE_PAUSE};
use crate::wire::command::{ActivateRules, AdvanceTime, Command, Kind, SetCancelAllAfter, ALL, ALL_MARKETS};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{
    cancel_reason, CollateralBody, EventKind, HashBody, SwitchBody, TimeBody, TokenBody,
};

impl<B: Book> Engine<B> {
    pub(crate) fn tick(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        self.ticking = command.seq;
        self.refresh_marks_on_tick(command, output);
        let rest = if self.state.liquidations.has_looks() {
            Some(Work::TickLooks)
        } else {
            self.go_on_with_tick(command, output)
        };
        if let Some(rest) = rest {
            self.do_work(command, command.seq, rest, output);
        }
        Ok(0)
    }

    /// The Tick behind the looks at its marks: cascades count who was found (P5.9). What is to be done then.
    pub(super) fn go_on_with_tick(&mut self, command: &Command, output: &mut Output) -> Option<Work> {
        self.on_tick(command, output);
        if self.state.perps.stress.has_work() {
            return Some(Work::Stress);
        }
        self.is_due(command.time_ns).then_some(Work::Due)
    }

    /// Whether the due queue has work at this moment.
    #[inline]
    pub(crate) fn is_due(&self, now_ns: i64) -> bool {
        self.next_due_ns().is_some_and(|due_ns| due_ns <= now_ns)
    }

    /// Handles what is due. Returns the work left and whether the budget ended it (else the work runs at once).
    #[inline(never)]
    pub(crate) fn handle_due(
        &mut self,
        command: &Command,
        budget: &mut Budget,
        output: &mut Output,
    ) -> (Option<Work>, bool) {
        while let Some(&item) = self.state.due.first() {
            let (due_ns, kind, id) = item;
            if due_ns > command.time_ns {
                return (None, true);
            }
            if budget.due == 0 || budget.cancels < LINKED_CANCELS {
                return (Some(Work::Due), true);
            }
            budget.due -= 1;
            self.state.due.remove(&item);
            match kind {
                due::ORDER_EXPIRY => {
                    let slot = self.state.orders.find(id).expect("an open order owns its expiry");
                    budget.cancels -= self.cancel_slot(command, slot, cancel_reason::EXPIRY, output);
                }
                due::SWITCH => {
                    return (Some(Work::CancelAccount(self.fire_switch(command, id, output))), false)
                }
                due::PAUSE_END if id & VERSE_PAUSE != 0 => {
                    return (Some(self.end_verse_halt(command, id as u32, output)), false)
                }
                due::PAUSE_END => self.end_pause(command, id, output),
                due::WITHDRAWAL => self.withdrawal_ready(command, id),
                due::ORACLE => self.oracle_due(command, kind, id, output),
                due::BREAKER => {
                    if let Some(work) = self.breaker_due(command, kind, id, output) {
                        return (Some(work), false);
                    }
                }
                due::ORDER => self.order_due(command, kind, id, output),
                due::FUNDING => self.perp_due(command, kind, id, output),
                due::LIQUIDATION => {
                    if let Some(work) = self.liquidation_due(command, id, budget, output) {
                        return (Some(work), false);
                    }
                }
                due::KEEPER => self.keeper_due(command, kind, id, output),
                due::GOVERNANCE => self.governance_due(command, kind, id, output),
                due::VAULT => self.vault_due(command, output),
                due::FLOW => self.flow_due(command, kind, id, output),
                due::DETECTION => {
                    budget.due = budget.due.saturating_sub(DETECTION_DUE_COST);
                    self.detection_due(command, id, output);
                }
                due::TOKEN => self.token_due(command, id, budget, output),
                due::RESOLUTION => {
                    if let Some(work) = self.resolution_due(command, id, budget, output) {
                        return (Some(work), true);
                    }
                }
                due::VENUE => self.venue_due(command, id, output),
                due::DARK => {
                    if let Some(work) = self.dark_due(command, id, output) {
                        return (Some(work), false);
                    }
                }
                due::LOAN => {
                    if let Some(left) = self.loan_due(command, id, budget, output) {
                        return left;
                    }
                }
                other => unreachable!("due kind {other}"),
            }
        }
        (None, true)
    }

    pub(crate) fn set_cancel_all_after(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: SetCancelAllAfter = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let window = request.window_s;
        if window != 0 && !(MIN_SWITCH_S..=MAX_SWITCH_S).contains(&window) {
            return reject(Code::INVALID_SWITCH_WINDOW, i64::from(MAX_SWITCH_S), i64::from(window));
        }
        let account = &mut self.state.accounts.list[context.account as usize];
        if account.switch_deadline_ns != 0 {
            self.state.due.remove(&(account.switch_deadline_ns, due::SWITCH, u64::from(context.account)));
        } else if self.state.due.len() >= MAX_DUE {
            return reject(Code::CAPACITY_EXCEEDED, MAX_DUE as i64, self.state.due.len() as i64);
        }
        let deadline =
            if window == 0 { 0 } else { command.time_ns.saturating_add(i64::from(window) * SECOND_NS) };
        account.switch_deadline_ns = deadline;
        account.switch_window_s = window;
        let kind = if window == 0 { EventKind::SwitchDisarmed } else { EventKind::SwitchArmed };
        if window != 0 {
            self.state.due.insert((deadline, due::SWITCH, u64::from(context.account)));
        }
        let body = SwitchBody { deadline_ns: deadline, window_s: window, reserved: 0 };
        output.emit(command, kind, Subject::account(context.account, command.sub), &body);
        Ok(deadline as u64)
    }

    fn fire_switch(&mut self, command: &Command, id: u64, output: &mut Output) -> CancelAccount {
        let handle = id as u32;
        let account = &mut self.state.accounts.list[handle as usize];
        let body = SwitchBody {
            deadline_ns: account.switch_deadline_ns,
            window_s: account.switch_window_s,
            reserved: 0,
        };
        account.switch_deadline_ns = 0;
        account.switch_window_s = 0;
        output.emit(command, EventKind::SwitchFired, Subject::account(handle, 0), &body);
        CancelAccount {
            account: handle,
            market: ALL_MARKETS,
            sub: ALL,
            side: ALL,
            reason: cancel_reason::SWITCH,
            done: 0,
        }
    }

    pub(crate) fn advance_time(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: AdvanceTime = command.payload_as();
        let previous_ns = self.previous_ns;
        let body = TimeBody {
            previous_ns,
            jump_ns: command.time_ns.saturating_sub(previous_ns),
            reason: request.reason,
        };
        output.emit(command, EventKind::TimeAdvanced, Subject::NONE, &body);
        Ok(command.time_ns as u64)
    }

    /// Snapshot and Checkpoint put both hashes on record, as they stand before the command.
    pub(crate) fn record_hashes(
        &mut self,
        command: &Command,
        kind: Kind,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let body = HashBody { state_hash: self.state_hash(), cursor_hash: self.cursor_hash() };
        let event = if kind == Kind::Snapshot { EventKind::SnapshotTaken } else { EventKind::StateHashed };
        output.emit(command, event, Subject::NONE, &body);
        Ok(command.seq)
    }

    pub(crate) fn activate_rules(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: ActivateRules = command.payload_as();
        if request.rules_version != RULES_VERSION || request.reserved != 0 {
            return reject(
                Code::UNSUPPORTED_VERSION,
                i64::from(RULES_VERSION),
                i64::from(request.rules_version),
            );
        }
        if command.is_trial() {
            return Ok(0);
        }
        self.cursor.rules_version = request.rules_version;
        let token = u64::from(request.rules_version);
        output.emit(command, EventKind::RulesActivated, Subject::NONE, &TokenBody { token });
        Ok(token)
    }

    /// Moves money that left for good from the pending line to the world.
    pub(crate) fn settle_pending(
        &mut self,
        account: u32,
        sub: u8,
        asset: u16,
        amount: i64,
        ok: bool,
        output: &mut Output,
    ) {
        let accounts = &mut self.state.accounts;
        post_user(accounts, &mut output.postings, account, sub, asset, line::PENDING_WITHDRAWAL, -amount);
        if ok {
            post_system(&mut self.state.system, &mut output.postings, line::WORLD, 0, asset, amount);
        } else {
            post_user(accounts, &mut output.postings, account, sub, asset, line::FREE, amount);
        }
    }
}

/// Emits a withdrawal event that shows the whole ticket.
pub(crate) fn emit_withdrawal(
    command: &Command,
    kind: EventKind,
    ticket: u64,
    entry: &crate::state::Withdrawal,
    output: &mut Output,
) {
    let body = CollateralBody {
        asset: entry.asset,
        to_sub: 0,
        reserved: 0,
        reserved2: 0,
        amount: entry.amount,
        ticket,
        eta_ns: entry.eta_ns,
        reference: entry.address_hash,
    };
    output.emit(command, kind, Subject::account(entry.account, entry.sub), &body);
}
