//! Granting, revoking, suspending, reinstating (protocol P14.2, P14.3, row 0C04).

use crate::book::Book;
use crate::engine::Engine;
use crate::limits::{MAX_GRANT_NS, RESUME_WINDOW_NS};
use crate::output::{Output, Subject};
use crate::roles::{permission, SYSTEM};
use crate::wire::command::{Command, GrantRole, SuspendPrincipal};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, RoleBody};

impl<B: Book> Engine<B> {
    pub(crate) fn grant_role(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: GrantRole = command.payload_as();
        check_request(&request)?;
        if request.principal == command.principal {
            return Err(Code::SELF_APPROVAL.into());
        }
        if request.expiry_ns <= command.time_ns {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, command.time_ns, request.expiry_ns);
        }
        let latest = command.time_ns.saturating_add(MAX_GRANT_NS);
        if request.expiry_ns > latest {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, latest, request.expiry_ns);
        }
        // Governance may pass on any role; a person only bits that he holds (P14.3).
        let by = (!command.is_governed()).then_some(&command.principal);
        self.state.roles.check_grant(by, &request.principal, request.role, command.time_ns)?;
        if command.is_trial() {
            return Ok(0);
        }
        self.state.roles.grant(&request.principal, request.role, request.expiry_ns);
        emit_role(
            command,
            EventKind::RoleGranted,
            request.principal,
            request.role,
            request.expiry_ns,
            output,
        );
        Ok(u64::from(request.role))
    }

    pub(crate) fn revoke_role(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: GrantRole = command.payload_as();
        check_request(&request)?;
        let held =
            self.state.roles.get(&request.principal).is_some_and(|p| p.roles.contains_key(&request.role));
        let only_system =
            request.role == SYSTEM && self.state.roles.first_system() == Some(request.principal);
        if !held || only_system {
            // The sequencer's own identity cannot be taken away from under it.
            return reject(Code::INVALID_TRANSITION, i64::from(held), i64::from(request.role));
        }
        if command.is_trial() {
            return Ok(0);
        }
        self.state.roles.revoke(&request.principal, request.role);
        emit_role(command, EventKind::RoleRevoked, request.principal, request.role, 0, output);
        Ok(u64::from(request.role))
    }

    pub(crate) fn suspend_principal(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let principal = command.payload_as::<SuspendPrincipal>().principal;
        if principal == [0; 32] {
            return Err(Code::ZERO_AUTHORITY.into());
        }
        let entry = self.state.roles.get(&principal);
        if principal == command.principal || entry.is_some_and(|entry| entry.is_system) {
            return Err(Code::CONFLICT_OF_INTEREST.into());
        }
        if entry.is_some_and(|entry| entry.suspended_since_ns.is_some()) {
            return reject(Code::INVALID_TRANSITION, 0, 1);
        }
        self.state.roles.check_suspend(&principal)?;
        self.state.roles.edit(&principal, |entry| entry.suspended_since_ns = Some(command.time_ns));
        emit_role(command, EventKind::PrincipalSuspended, principal, u8::MAX, 0, output);
        self.drop_pending_rights(command, principal, output);
        Ok(0)
    }

    /// Two different role administrators lift a suspension.
    pub(crate) fn reinstate_principal(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let principal = command.payload_as::<SuspendPrincipal>().principal;
        let suspended = self.state.roles.get(&principal).filter(|entry| entry.suspended_since_ns.is_some());
        let Some(entry) = suspended else {
            return reject(Code::INVALID_TRANSITION, 1, 0);
        };
        // A first approval counts as long as its author still holds the right.
        let roles = &self.state.roles;
        let first = entry.reinstate_pending.filter(|(by, until)| {
            command.time_ns <= *until && roles.require(by, permission::ROLES, command.time_ns).is_ok()
        });
        match first {
            Some((by, _)) if by == command.principal => Err(Code::SELF_APPROVAL.into()),
            Some(_) => {
                self.state.roles.edit(&principal, |entry| {
                    entry.suspended_since_ns = None;
                    entry.reinstate_pending = None;
                });
                emit_role(command, EventKind::PrincipalReinstated, principal, u8::MAX, 0, output);
                Ok(1)
            }
            None => {
                let until = command.time_ns.saturating_add(RESUME_WINDOW_NS);
                self.state
                    .roles
                    .edit(&principal, |entry| entry.reinstate_pending = Some((command.principal, until)));
                emit_role(command, EventKind::ReinstatePending, principal, u8::MAX, until, output);
                Ok(0)
            }
        }
    }
}

fn check_request(request: &GrantRole) -> Result<(), Reject> {
    if request.principal == [0; 32] {
        return Err(Code::ZERO_AUTHORITY.into());
    }
    match u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3 {
        0 => Ok(()),
        given => reject(Code::RESERVED_NOT_ZERO, 0, i64::from(given)),
    }
}

pub(super) fn emit_role(
    command: &Command,
    kind: EventKind,
    principal: [u8; 32],
    role: u8,
    expiry_ns: i64,
    output: &mut Output,
) {
    let body = RoleBody { principal, role, reserved: 0, reserved2: 0, reserved3: 0, expiry_ns };
    output.emit(command, kind, Subject::NONE, &body);
}
