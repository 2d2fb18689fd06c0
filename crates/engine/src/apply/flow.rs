//! Withdrawals between request and release: caps, the queue, rate classes (protocol P9.10, P2.1.3 step 7).
//!
//! A withdrawal leaves at once when nobody waits before it, the platform's outflow of the asset within 24 h stays
//! within 25 % of the asset's custody, and the account's within $250,000. Otherwise it waits: for its own account's
//! cap by itself (`held`), so that nobody else waits for it, then in the queue of its asset, first in, first out.

use super::margin::Weights;
use super::timers::emit_withdrawal;
use crate::book::Book;
use crate::engine::Engine;
use crate::flow::window::Window;
use crate::flow::{next_bucket_ns, rates};
use crate::gate::{Action, Cell};
use crate::ledger::line;
use crate::limits::*;
use crate::output::{Output, Subject};
use crate::perp::margin::div_ceil;
use crate::state::{withdrawal_state, Withdrawal};
use crate::wire::command::{Command, Kind, SetRateClass};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, RateClassBody};

/// States of a feed up to which its price is taken as it is (P6.2).
const VALID: u8 = 0;
const WARN: u8 = 1;

/// What a withdrawal waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing: it leaves now.
    Nothing,
    /// Its own account's cap or state, until this moment in ns; others do not wait with it.
    Account(i64),
    /// The platform: a pause, a halt or the outflow cap of the asset, to be looked at again at this moment in ns.
    Platform(i64),
}

impl<B: Book> Engine<B> {
    /// Step 7 of P2.1.3: takes a token for a command of an account's owner or delegate.
    #[inline(always)]
    pub(crate) fn check_rate(&mut self, command: &Command, kind: Kind, account: u32) -> Result<(), Reject> {
        match rates::cost(command, kind) {
            Some((bucket, tokens)) => {
                let class = self.state.flow.class(account);
                self.cursor.rates.take(account, class, bucket, tokens, command.time_ns)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn set_rate_class(
        &mut self,
        command: &Command,
        account: u32,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: SetRateClass = command.payload_as();
        let reserved = u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3;
        if reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved));
        }
        let highest = rates::CLASSES.len() as i64 - 1;
        if i64::from(request.rate_class) > highest {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, highest, i64::from(request.rate_class));
        }
        let earned = crate::token::rate_class(self.state.token.staked(account));
        self.state.flow.set_class(account, request.rate_class, earned);
        self.cursor.rates.rest(account);
        let body = RateClassBody { rate_class: request.rate_class, reserved: 0, reserved2: 0, reserved3: 0 };
        output.emit(command, EventKind::RateClassSet, Subject::account(account, 0), &body);
        Ok(u64::from(request.rate_class))
    }

    /// Micro-units of custody of an asset: what the outside world owes.
    fn custody(&self, asset: u16) -> i64 {
        if self.state.token.asset() == Some(asset) {
            return self.token_inside();
        }
        self.state.system.get(line::WORLD, 0, asset).saturating_neg().max(0)
    }

    /// Micro-units that may leave the platform within 24 h: 25 % of custody, rounded down.
    fn platform_cap(&self, asset: u16) -> i64 {
        crate::math::mul_div_floor(self.custody(asset), PLATFORM_OUTFLOW_BP, 10_000)
    }

    /// What a withdrawal counts against its account's cap, in micro-units of the settlement asset.
    ///
    /// The settlement asset counts as it is. An asset whose worth is not known counts more than the whole cap, so it
    /// waits a day and goes alone. A platform that declares no settlement asset has no unit for the cap: 0.
    fn outflow_value(&self, asset: u16, amount: i64) -> i64 {
        let Some(settlement) = self.settlement_asset() else {
            return 0;
        };
        if asset == settlement {
            return amount;
        }
        match self.collateral_price(&self.state.assets[asset as usize], true, false) {
            Some((price, VALID)) => {
                let value = div_ceil(i128::from(amount) * i128::from(price), 1_000_000);
                value.min(i128::from(i64::MAX)) as i64
            }
            _ => ACCOUNT_OUTFLOW_CAP + 1,
        }
    }

    /// Until when pauses and breakers keep a withdrawal in the queue (P7.5: queue). None = they do not. Two people may
    /// end them earlier, so it is looked at before.
    fn withdrawal_halted_until_ns(&self, entry: &Withdrawal, now_ns: i64) -> Option<i64> {
        let until_ns = self.withdrawal_waits_until(entry.account, entry.sub, now_ns)?;
        Some(until_ns.min(now_ns.saturating_add(OUTFLOW_RECHECK_NS)))
    }

    /// What a withdrawal waits for at this moment, apart from those before it.
    pub(crate) fn withdrawal_wait(&self, ticket: u64, entry: &Withdrawal, now_ns: i64) -> Wait {
        if let Some(look_ns) = self.withdrawal_halted_until_ns(entry, now_ns) {
            let everyone = matches!(self.halt_cell(Action::Withdraw, None), Cell::Queued | Cell::Refused);
            // Coverage below a half keeps only the money of accounts with positions; nobody else waits for them.
            return if everyone {
                Wait::Platform(look_ns)
            } else {
                Wait::Account(look_ns.max(now_ns.saturating_add(1)))
            };
        }
        if self.positions_in_doubt(entry) {
            return Wait::Account(now_ns.saturating_add(OUTFLOW_RECHECK_NS));
        }
        let value = self.outflow_value(entry.asset, entry.amount);
        let (none, flow) = (Window::default(), &self.state.flow);
        let account = flow.accounts.get(&entry.account);
        // Tickets of one account stay in their order among themselves.
        let ahead = account.and_then(|account| account.held.range(..ticket).next_back());
        if let Some(ahead) = ahead {
            return Wait::Account(flow.held[ahead].max(now_ns.saturating_add(1)));
        }
        let of_account = account.map_or(&none, |account| &account.released);
        if let Err(ready_ns) = of_account.admit(value, ACCOUNT_OUTFLOW_CAP, entry.requested_ns, now_ns) {
            return Wait::Account(ready_ns);
        }
        let of_asset = flow.outflow.get(&entry.asset).unwrap_or(&none);
        let cap = self.platform_cap(entry.asset);
        match of_asset.admit(entry.amount, cap, entry.requested_ns, now_ns) {
            Ok(()) => Wait::Nothing,
            Err(ready_ns) => Wait::Platform(ready_ns),
        }
    }

    /// Row "withdrawal, open positions" of P6.5: a feed that is DEGRADED or worse keeps the money here.
    fn positions_in_doubt(&self, entry: &Withdrawal) -> bool {
        let positions = self.state.accounts.positions(entry.account, entry.sub);
        !positions.is_empty() && self.health(entry.account, entry.sub, Weights::Withdrawal).feed_state > WARN
    }

    /// Whether others wait for the same asset: then a new ticket goes behind them.
    pub(crate) fn queue_waits(&self, asset: u16) -> bool {
        self.state.flow.queues.contains_key(&asset)
    }

    /// When a ticket that is put behind the queue of its asset will leave, as things are.
    pub(crate) fn withdrawal_eta_ns(&self, entry: &Withdrawal, now_ns: i64) -> i64 {
        let flow = &self.state.flow;
        let ahead = flow.queues.get(&entry.asset).map_or(0, |queue| queue.amount);
        let cap = self.platform_cap(entry.asset);
        let none = Window::default();
        let window = flow.outflow.get(&entry.asset).unwrap_or(&none);
        let mut eta_ns = window.estimate(ahead + i128::from(entry.amount), cap, now_ns);
        if entry.amount > cap {
            eta_ns = eta_ns.max(entry.requested_ns.saturating_add(DAY_NS));
        }
        let halted = self.withdrawal_waits_until(entry.account, entry.sub, now_ns);
        eta_ns.max(halted.unwrap_or(now_ns))
    }

    /// Makes a ticket wait; its event is the caller's.
    pub(crate) fn keep_waiting(&mut self, ticket: u64, entry: &Withdrawal, wait: Wait, now_ns: i64) {
        let (flow, due) = (&mut self.state.flow, &mut self.state.due);
        match wait {
            Wait::Account(ready_ns) => flow.hold(due, ticket, entry.account, ready_ns),
            Wait::Platform(look_ns) => {
                flow.enqueue(due, entry.asset, ticket, entry.amount, look_ns.min(next_bucket_ns(now_ns)));
            }
            Wait::Nothing => flow.enqueue(due, entry.asset, ticket, entry.amount, now_ns),
        }
    }

    /// A released withdrawal counts against the caps.
    pub(crate) fn count_outflow(&mut self, entry: &Withdrawal, now_ns: i64) {
        let value = self.outflow_value(entry.asset, entry.amount);
        self.state.flow.count_release(entry.account, entry.asset, entry.amount, value, now_ns);
    }

    /// The ticket waits no longer, wherever it did.
    pub(crate) fn leave_queue(&mut self, ticket: u64, entry: &Withdrawal, now_ns: i64) {
        let (flow, due) = (&mut self.state.flow, &mut self.state.due);
        if !flow.unhold(due, ticket, entry.account) {
            let waited = flow.dequeue(due, entry.asset, ticket, entry.amount, now_ns);
            assert!(waited, "a queued withdrawal waits somewhere");
        }
    }

    /// A ticket that waited for its own account goes to its place in the queue of its asset.
    pub(crate) fn withdrawal_ready(&mut self, command: &Command, ticket: u64) {
        let entry = self.state.withdrawals[&ticket];
        let (flow, due) = (&mut self.state.flow, &mut self.state.due);
        assert!(flow.unhold(due, ticket, entry.account), "a due withdrawal was held");
        flow.enqueue(due, entry.asset, ticket, entry.amount, command.time_ns);
    }

    /// The first ticket of an asset's queue is looked at: it leaves, is held for its account, or everyone waits.
    pub(crate) fn flow_due(&mut self, command: &Command, _kind: u8, id: u64, output: &mut Output) {
        let (asset, now_ns) = (id as u16, command.time_ns);
        let first = self.state.flow.queues.get(&asset).and_then(|queue| queue.tickets.first().copied());
        let ticket = first.expect("a queue that is looked at has a first ticket");
        let mut entry = self.state.withdrawals[&ticket];
        match self.withdrawal_wait(ticket, &entry, now_ns) {
            Wait::Nothing => {
                self.leave_queue(ticket, &entry, now_ns);
                entry.state = withdrawal_state::RELEASED;
                entry.eta_ns = now_ns;
                self.state.withdrawals.insert(ticket, entry);
                self.count_outflow(&entry, now_ns);
                emit_withdrawal(command, EventKind::WithdrawalReleased, ticket, &entry, output);
            }
            Wait::Account(ready_ns) => {
                self.leave_queue(ticket, &entry, now_ns);
                self.keep_waiting(ticket, &entry, Wait::Account(ready_ns), now_ns);
                self.reschedule(command, ticket, entry, ready_ns, output);
            }
            Wait::Platform(look_ns) => {
                let next_ns = look_ns.min(next_bucket_ns(now_ns));
                self.state.flow.look_at(&mut self.state.due, asset, next_ns);
                if entry.eta_ns <= now_ns {
                    self.reschedule(command, ticket, entry, look_ns.max(now_ns), output);
                }
            }
        }
    }

    /// The moment that the owner was told has changed.
    fn reschedule(
        &mut self,
        command: &Command,
        ticket: u64,
        mut entry: Withdrawal,
        eta_ns: i64,
        output: &mut Output,
    ) {
        if entry.eta_ns == eta_ns {
            return;
        }
        entry.eta_ns = eta_ns;
        self.state.withdrawals.insert(ticket, entry);
        emit_withdrawal(command, EventKind::WithdrawalRescheduled, ticket, &entry, output);
    }
}
