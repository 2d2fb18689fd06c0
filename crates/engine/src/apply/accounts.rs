//! Accounts, sub-accounts, delegates (protocol P1.5, rows 0201 and 0202).

use crate::account::Delegate;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::id::account_id;
use crate::limits::{MAX_ACCOUNTS, MAX_DELEGATES, MAX_SUB_ACCOUNTS};
use crate::output::{Output, Subject};
use crate::wire::command::{scope, Command, OpenAccount, OpenSubAccount, SetDelegate};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{AccountBody, DelegateBody, EventKind, SubAccountBody};

impl<B: Book> Engine<B> {
    /// The owner opens its own account; SYSTEM may open one for an owner that a gateway has identified.
    pub(crate) fn open_account(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: OpenAccount = command.payload_as();
        if request.owner_key != command.principal && !context.system {
            return Err(Code::UNAUTHORIZED_SIGNER.into());
        }
        let id = account_id(&request.owner_key);
        if id != command.account || request.owner_key == [0; 32] {
            return Err(Code::DERIVED_ID_MISMATCH.into());
        }
        if let Some(known) = self.state.accounts.find(&id) {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(known));
        }
        if self.state.accounts.list.len() >= MAX_ACCOUNTS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_ACCOUNTS as i64, MAX_ACCOUNTS as i64);
        }
        let handle = self.state.accounts.open(id, request.owner_key);
        let body = AccountBody { account_id: id, owner_key: request.owner_key };
        output.emit(command, EventKind::AccountOpened, Subject::account(handle, 0), &body);
        Ok(u64::from(handle))
    }

    pub(crate) fn open_sub_account(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: OpenSubAccount = command.payload_as();
        if request.reserved != 0 || request.reserved2 != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved2));
        }
        let account = &mut self.state.accounts.list[context.account as usize];
        if request.index as usize >= MAX_SUB_ACCOUNTS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_SUB_ACCOUNTS as i64, i64::from(request.index));
        }
        if request.margin_mode > 1 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, i64::from(request.margin_mode));
        }
        if account.sub(request.index).is_some() {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(request.index));
        }
        account.open_sub(request.index, request.margin_mode);
        let body = SubAccountBody {
            index: request.index,
            margin_mode: request.margin_mode,
            reserved: 0,
            reserved2: 0,
        };
        let subject = Subject::account(context.account, request.index);
        output.emit(command, EventKind::SubAccountOpened, subject, &body);
        Ok(u64::from(request.index))
    }

    pub(crate) fn set_delegate(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: SetDelegate = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let account = &mut self.state.accounts.list[context.account as usize];
        if request.scopes & !scope::ALL != 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(scope::ALL), i64::from(request.scopes));
        }
        if request.key == [0; 32] || request.key == account.owner_key {
            return Err(Code::ZERO_AUTHORITY.into());
        }
        if request.scopes != 0 && request.expiry_ns <= command.time_ns {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, command.time_ns, request.expiry_ns);
        }
        let known = account.delegates.iter().position(|delegate| delegate.key == request.key);
        let delegate = Delegate { key: request.key, scopes: request.scopes, expiry_ns: request.expiry_ns };
        match (known, request.scopes) {
            (None, 0) => return reject(Code::DELEGATE_SCOPE, 1, 0),
            (Some(position), 0) => {
                account.delegates.remove(position);
            }
            (Some(position), _) => account.delegates[position] = delegate,
            (None, _) if account.delegates.len() >= MAX_DELEGATES => {
                return reject(Code::CAPACITY_EXCEEDED, MAX_DELEGATES as i64, account.delegates.len() as i64);
            }
            (None, _) => {
                let position = account.delegates.partition_point(|entry| entry.key < request.key);
                account.delegates.insert(position, delegate);
            }
        }
        let body = DelegateBody {
            key: request.key,
            scopes: request.scopes,
            reserved: 0,
            expiry_ns: request.expiry_ns,
        };
        output.emit(command, EventKind::DelegateSet, Subject::account(context.account, 0), &body);
        Ok(u64::from(request.scopes))
    }
}
