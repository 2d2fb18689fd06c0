//! Deposits, withdrawals, transfers (protocol P1.5, rows 0203–0208).

use super::flow::Wait;
use super::timers::emit_withdrawal;
use crate::account::Address;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::hash::id32;
use crate::ledger::{line, post_system, post_user};
use crate::limits::*;
use crate::math::MAX_BALANCE;
use crate::outcome::loans::FIRST_PLEDGE;
use crate::output::{Output, Subject};
use crate::state::{withdrawal_state, Withdrawal};
use crate::wire::command::{
    CancelWithdrawal, Command, ConfirmWithdrawal, Deposit, Kind, ListAddress, RequestWithdrawal, Transfer,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{AddressBody, CollateralBody, EventKind};

impl<B: Book> Engine<B> {
    fn check_asset(&self, asset: u16) -> Result<(), Reject> {
        let known = self.state.assets.len();
        if asset as usize >= known {
            return reject(Code::ASSET_NOT_FOUND, known as i64, i64::from(asset));
        }
        Ok(())
    }

    fn check_free(&self, context: Context, sub: u8, asset: u16, amount: i64) -> Result<(), Reject> {
        let free = self.state.accounts.balance(context.account, sub, asset, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        Ok(())
    }

    pub(crate) fn deposit(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: Deposit = command.payload_as();
        check_reserved(request.reserved, request.reserved2)?;
        check_amount(request.amount)?;
        self.check_asset(request.asset)?;
        if self.state.deposits.contains(&id32(&request.external_id)) {
            return Err(Code::DUPLICATE_DEPOSIT.into());
        }
        // The world's line is the negative of custody, so it alone bounds every line of the asset.
        let custody = -self.state.system.get(line::WORLD, 0, request.asset) as i128 + request.amount as i128;
        let cap = match self.state.assets[request.asset as usize].deposit_cap {
            0 => MAX_BALANCE,
            cap => cap,
        };
        if custody > cap as i128 {
            return reject(Code::ASSET_CAP_EXCEEDED, cap, custody.min(i64::MAX as i128) as i64);
        }
        // The token's supply is fixed: only what has left can come in (P11.1).
        if custody > 0 && self.state.token.asset() == Some(request.asset) {
            let outside = self.state.system.get(line::WORLD, 0, request.asset);
            return reject(Code::SUPPLY_EXCEEDED, outside, request.amount);
        }
        if self.state.deposits.len() >= MAX_DEPOSITS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_DEPOSITS as i64, MAX_DEPOSITS as i64);
        }
        self.state.deposits.insert(id32(&request.external_id));
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_system(&mut self.state.system, postings, line::WORLD, 0, request.asset, -request.amount);
        post_user(
            accounts,
            postings,
            context.account,
            command.sub,
            request.asset,
            line::FREE,
            request.amount,
        );
        let body = CollateralBody {
            asset: request.asset,
            to_sub: command.sub,
            reserved: 0,
            reserved2: 0,
            amount: request.amount,
            ticket: 0,
            eta_ns: 0,
            reference: request.external_id,
        };
        output.emit(command, EventKind::Deposited, Subject::account(context.account, command.sub), &body);
        self.after_collateral(command, context.account, command.sub, output);
        Ok(0)
    }

    pub(crate) fn request_withdrawal(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: RequestWithdrawal = command.payload_as();
        check_reserved(request.reserved, request.reserved2)?;
        check_amount(request.amount)?;
        self.check_asset(request.asset)?;
        let addresses = &self.state.accounts.list[context.account as usize].addresses;
        let listed = addresses
            .iter()
            .find(|address| address.asset == request.asset && address.hash == request.address_hash);
        match listed {
            None => return reject(Code::ADDRESS_NOT_ALLOWED, 0, command.time_ns),
            Some(address) if address.usable_from_ns > command.time_ns => {
                return reject(Code::ADDRESS_NOT_ALLOWED, address.usable_from_ns, command.time_ns)
            }
            Some(_) => {}
        }
        if request.amount < MIN_WITHDRAWAL {
            return reject(Code::BELOW_MINIMUM, MIN_WITHDRAWAL, request.amount);
        }
        self.check_leaving(context, command.sub, request.asset, request.amount)?;
        if self.state.withdrawals.len() >= MAX_WITHDRAWALS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_WITHDRAWALS as i64, MAX_WITHDRAWALS as i64);
        }
        let now_ns = command.time_ns;
        let ticket = self.state.next_ticket;
        self.state.next_ticket += 1;
        let mut entry = Withdrawal {
            account: context.account,
            sub: command.sub,
            state: withdrawal_state::RELEASED,
            asset: request.asset,
            amount: request.amount,
            requested_ns: now_ns,
            eta_ns: now_ns,
            address_hash: request.address_hash,
        };
        let wait = self.withdrawal_wait(ticket, &entry, now_ns);
        let kind = if wait == Wait::Nothing && !self.queue_waits(request.asset) {
            self.count_outflow(&entry, now_ns);
            EventKind::WithdrawalReleased
        } else {
            entry.state = withdrawal_state::QUEUED;
            entry.eta_ns = match wait {
                Wait::Account(ready_ns) => ready_ns,
                _ => self.withdrawal_eta_ns(&entry, now_ns),
            };
            self.keep_waiting(ticket, &entry, wait, now_ns);
            EventKind::WithdrawalQueued
        };
        self.state.withdrawals.insert(ticket, entry);
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        let (account, sub, asset) = (context.account, command.sub, request.asset);
        post_user(accounts, postings, account, sub, asset, line::FREE, -request.amount);
        post_user(accounts, postings, account, sub, asset, line::PENDING_WITHDRAWAL, request.amount);
        emit_withdrawal(command, kind, ticket, &entry, output);
        self.after_collateral(command, account, sub, output);
        self.after_collateral(command, context.account, command.sub, output);
        Ok(ticket)
    }

    /// What leaves a sub-account must be free, and positions must stay secured without it (P4.3). A feed that does
    /// not let them be valued answers first, as row 0204 wants it.
    fn check_leaving(&self, context: Context, sub: u8, asset: u16, amount: i64) -> Result<(), Reject> {
        let secured = self.check_removal(context.account, sub, asset, amount);
        match secured {
            Err(refusal) if refusal.code == Code::WITHDRAWAL_LOCKED => Err(refusal),
            secured => self.check_free(context, sub, asset, amount).and(secured),
        }
    }

    pub(crate) fn cancel_withdrawal(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let ticket = command.payload_as::<CancelWithdrawal>().ticket;
        let entry = match self.state.withdrawals.get(&ticket) {
            Some(entry) if entry.account == context.account => *entry,
            Some(_) => return Err(Code::WRONG_OWNER.into()),
            None => return reject(Code::WITHDRAWAL_NOT_FOUND, 0, ticket as i64),
        };
        if entry.state != withdrawal_state::QUEUED {
            return reject(Code::WITHDRAWAL_NOT_CANCELLABLE, 0, i64::from(entry.state));
        }
        self.state.withdrawals.remove(&ticket);
        self.leave_queue(ticket, &entry, command.time_ns);
        self.settle_pending(entry.account, entry.sub, entry.asset, entry.amount, false, output);
        emit_withdrawal(command, EventKind::WithdrawalCancelled, ticket, &entry, output);
        self.after_collateral(command, entry.account, entry.sub, output);
        Ok(ticket)
    }

    pub(crate) fn confirm_withdrawal(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ConfirmWithdrawal = command.payload_as();
        if request.ok > 1 || request.reserved != 0 || request.reserved2 != 0 || request.reserved3 != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.ok));
        }
        let Some(entry) = self.state.withdrawals.get(&request.ticket).copied() else {
            return reject(Code::WITHDRAWAL_NOT_FOUND, 0, request.ticket as i64);
        };
        if entry.state != withdrawal_state::RELEASED {
            return reject(
                Code::INVALID_TRANSITION,
                i64::from(withdrawal_state::RELEASED),
                i64::from(entry.state),
            );
        }
        self.state.withdrawals.remove(&request.ticket);
        self.settle_pending(entry.account, entry.sub, entry.asset, entry.amount, request.ok == 1, output);
        let kind = if request.ok == 1 { EventKind::WithdrawalSettled } else { EventKind::WithdrawalReturned };
        emit_withdrawal(command, kind, request.ticket, &entry, output);
        self.after_collateral(command, entry.account, entry.sub, output);
        Ok(request.ticket)
    }

    pub(crate) fn transfer(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: Transfer = command.payload_as();
        check_reserved(u16::from(request.reserved), request.reserved2)?;
        if request.to_sub == command.sub {
            return reject(Code::TRANSFER_SAME_ACCOUNT, 0, i64::from(command.sub));
        }
        check_amount(request.amount)?;
        self.check_asset(request.asset)?;
        let target = self.state.accounts.list[context.account as usize].sub(request.to_sub);
        // A pledge of a leveraged position is nobody's to name.
        if request.to_sub >= FIRST_PLEDGE || target.is_none() {
            return reject(Code::SUB_ACCOUNT_NOT_FOUND, 127, i64::from(request.to_sub));
        }
        self.check_leaving(context, command.sub, request.asset, request.amount)?;
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_user(
            accounts,
            postings,
            context.account,
            command.sub,
            request.asset,
            line::FREE,
            -request.amount,
        );
        post_user(
            accounts,
            postings,
            context.account,
            request.to_sub,
            request.asset,
            line::FREE,
            request.amount,
        );
        let body = CollateralBody {
            asset: request.asset,
            to_sub: request.to_sub,
            reserved: 0,
            reserved2: 0,
            amount: request.amount,
            ticket: 0,
            eta_ns: 0,
            reference: [0; 32],
        };
        output.emit(command, EventKind::Transferred, Subject::account(context.account, command.sub), &body);
        self.after_collateral(command, context.account, command.sub, output);
        self.after_collateral(command, context.account, request.to_sub, output);
        Ok(0)
    }

    pub(crate) fn edit_address(
        &mut self,
        command: &Command,
        kind: Kind,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ListAddress = command.payload_as();
        check_reserved(request.reserved, request.reserved2)?;
        self.check_asset(request.asset)?;
        let addresses = &mut self.state.accounts.list[context.account as usize].addresses;
        let known = addresses
            .iter()
            .position(|address| address.asset == request.asset && address.hash == request.address_hash);
        let (event, usable_from_ns) = match (kind, known) {
            (Kind::ListAddress, Some(position)) => return reject(Code::ALREADY_EXISTS, 0, position as i64),
            (Kind::ListAddress, None) if addresses.len() >= MAX_ADDRESSES => {
                return reject(Code::CAPACITY_EXCEEDED, MAX_ADDRESSES as i64, addresses.len() as i64)
            }
            (Kind::ListAddress, None) => {
                let usable_from_ns = command.time_ns.saturating_add(ADDRESS_DELAY_NS);
                addresses.push(Address { asset: request.asset, hash: request.address_hash, usable_from_ns });
                (EventKind::AddressListed, usable_from_ns)
            }
            (_, None) => return reject(Code::ADDRESS_NOT_ALLOWED, 0, 0),
            (_, Some(position)) => (EventKind::AddressUnlisted, addresses.remove(position).usable_from_ns),
        };
        let body = AddressBody {
            asset: request.asset,
            reserved: 0,
            reserved2: 0,
            usable_from_ns,
            address_hash: request.address_hash,
        };
        output.emit(command, event, Subject::account(context.account, command.sub), &body);
        Ok(usable_from_ns as u64)
    }
}

fn check_amount(amount: i64) -> Result<(), Reject> {
    if amount < 1 {
        return reject(Code::INVALID_AMOUNT, 1, amount);
    }
    if amount > MAX_BALANCE {
        return reject(Code::ABOVE_MAXIMUM, MAX_BALANCE, amount);
    }
    Ok(())
}

fn check_reserved(a: u16, b: u32) -> Result<(), Reject> {
    match u32::from(a) | b {
        0 => Ok(()),
        given => reject(Code::RESERVED_NOT_ZERO, 0, i64::from(given)),
    }
}
