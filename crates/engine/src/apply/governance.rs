//! Actions: proposed by one, approved by others, executed after their time-lock (protocol P14.5, rows 0C01–0C03).

use super::governed::{may_be_proposed, Assessment};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::governance::{action_end, due_item, Action, MAX_SUITABILITY};
use crate::limits::{MAX_APPROVALS, MAX_OPEN_ACTIONS, MAX_SUITABILITY_NS};
use crate::output::{Output, Subject};
use crate::roles::permission;
use crate::wire::command::{
    internal, Command, Kind, OneAction, ProposeAction, SetSuitability, PAYLOAD_SIZE, PROPOSAL_SIZE,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{ActionBody, ActionPayloadBody, ActionStateBody, EventKind, SuitabilityBody};

impl<B: Book> Engine<B> {
    pub(crate) fn propose_action(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: ProposeAction = command.payload_as();
        let (kind, trial) = check_proposal(command, &request)?;
        let version = self.state.governance.config_version;
        if request.config_version != version {
            let given = i64::from(request.config_version);
            return reject(Code::CONFIG_VERSION_MISMATCH, i64::from(version), given);
        }
        self.run_governed(&trial, kind, output)?;
        let open = &self.state.governance.actions;
        if open.len() >= MAX_OPEN_ACTIONS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_OPEN_ACTIONS as i64, open.len() as i64);
        }
        let same = |action: &Action| {
            (action.kind, action.op, action.payload)
                == (request.action_kind, request.action_op, request.payload)
        };
        if let Some((&known, _)) = open.iter().find(|(_, action)| same(action)) {
            return reject(Code::ALREADY_EXISTS, 0, known as i64);
        }
        let Assessment { class, effect, .. } = self.assess(&trial, kind);
        let lock_ns = effect.lock_ns(self.state.governance.time_lock_ns());
        let action = Action {
            kind: request.action_kind,
            op: request.action_op,
            class: class as u8,
            needed: class.approvals(),
            config_version: version,
            payload: request.payload,
            proposer: command.principal,
            proposed_ns: command.time_ns,
            eta_ns: command.time_ns.saturating_add(lock_ns),
            approvals: Vec::new(),
        };
        let governance = &mut self.state.governance;
        governance.next_action += 1;
        let id = governance.next_action;
        emit_proposed(command, id, &action, effect as u8, output);
        governance.actions.insert(id, action);
        self.state.due.extend(self.state.governance.action_due(id));
        Ok(id)
    }

    /// The open action, as long as it may still be executed.
    fn open_action(&self, id: u64, now_ns: i64) -> Result<&Action, Reject> {
        match self.state.governance.actions.get(&id) {
            Some(action) if now_ns > action.expiry_ns() => {
                reject(Code::GOV_PROPOSAL_EXPIRED, action.expiry_ns(), now_ns)
            }
            Some(action) => Ok(action),
            None => Err(self.ended_action(id)),
        }
    }

    fn ended_action(&self, id: u64) -> Reject {
        match self.state.governance.ended(id) {
            Some(action_end::EXPIRED) => Reject::new(Code::GOV_PROPOSAL_EXPIRED, 0, id as i64),
            _ => Reject::new(Code::GOV_PROPOSAL_NOT_FOUND, 0, id as i64),
        }
    }

    pub(crate) fn approve_action(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let id = command.payload_as::<OneAction>().action;
        if !self.state.governance.actions.contains_key(&id) {
            return Err(self.ended_action(id));
        }
        let action = &self.state.governance.actions[&id];
        if action.proposer == command.principal {
            return Err(Code::SELF_APPROVAL.into());
        }
        if action.approvals.contains(&command.principal) {
            return reject(Code::ALREADY_APPROVED, 0, id as i64);
        }
        self.open_action(id, command.time_ns)?;
        if action.approvals.len() >= MAX_APPROVALS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_APPROVALS as i64, action.approvals.len() as i64);
        }
        let action = self.state.governance.actions.get_mut(&id).expect("found above");
        action.approvals.push(command.principal);
        let approvals = action.approvals.len() as u64;
        let action = self.state.governance.actions[&id].clone();
        self.emit_action(command, EventKind::ActionApproved, id, &action, 0, command.principal, output);
        Ok(approvals)
    }

    /// By its proposer, or by EMERGENCY.
    pub(crate) fn cancel_action(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let id = command.payload_as::<OneAction>().action;
        let Some(action) = self.state.governance.actions.get(&id) else {
            return Err(self.ended_action(id));
        };
        if action.proposer != command.principal {
            self.state.roles.require(&command.principal, permission::PAUSE, command.time_ns)?;
        }
        self.open_action(id, command.time_ns)?;
        self.end_action(command, id, action_end::CANCELLED, command.principal, output);
        Ok(id)
    }

    /// By anyone, once enough approvers stand behind it and its time has come; its checks run again.
    pub(crate) fn execute_action(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let id = command.payload_as::<OneAction>().action;
        let Some(action) = self.state.governance.actions.get(&id).cloned() else {
            return Err(self.ended_action(id));
        };
        let stands =
            |key: &&[u8; 32]| self.state.roles.require(key, permission::APPROVE, command.time_ns).is_ok();
        let approvals = action.approvals.iter().filter(stands).count();
        if approvals < usize::from(action.needed) {
            return reject(Code::APPROVALS_MISSING, i64::from(action.needed), approvals as i64);
        }
        if command.time_ns < action.eta_ns {
            return reject(Code::TIMELOCK_ACTIVE, action.eta_ns, command.time_ns);
        }
        self.open_action(id, command.time_ns)?;
        let kind = Kind::from_code(action.kind, action.op).ok_or(Reject::from(Code::UNKNOWN_COMMAND))?;
        let governed = proposed_command(command, &action, internal::GOVERNED);
        // The change may have become a riskier one since: then its time-lock was too short.
        let trial = Command { flags: governed.flags | internal::TRIAL, ..governed };
        self.run_governed(&trial, kind, output)?;
        let lock_ns = self.assess(&governed, kind).effect.lock_ns(self.state.governance.time_lock_ns());
        let earliest_ns = action.proposed_ns.saturating_add(lock_ns);
        if command.time_ns < earliest_ns {
            return reject(Code::TIMELOCK_ACTIVE, earliest_ns, command.time_ns);
        }
        self.run_governed(&governed, kind, output)?;
        self.end_action(command, id, action_end::EXECUTED, command.principal, output);
        Ok(id)
    }

    pub(super) fn end_action(
        &mut self,
        command: &Command,
        id: u64,
        end: u8,
        principal: [u8; 32],
        output: &mut Output,
    ) {
        if let Some(item) = self.state.governance.action_due(id) {
            self.state.due.remove(&item);
        }
        let Some(action) = self.state.governance.close(id, end) else { return };
        let event = match end {
            action_end::EXECUTED => EventKind::ActionExecuted,
            action_end::CANCELLED => EventKind::ActionCancelled,
            _ => EventKind::ActionExpired,
        };
        self.emit_action(command, event, id, &action, end, principal, output);
    }

    #[allow(clippy::too_many_arguments)]
    fn emit_action(
        &self,
        command: &Command,
        event: EventKind,
        id: u64,
        action: &Action,
        end: u8,
        principal: [u8; 32],
        output: &mut Output,
    ) {
        let body = ActionStateBody {
            action: id,
            approvals: action.approvals.len() as u8,
            needed: action.needed,
            end,
            reserved: 0,
            config_version: self.state.governance.config_version,
            principal,
        };
        output.emit(command, event, Subject::NONE, &body);
    }

    /// A suspended principal's proposals, approvals, offers and signatures end with its rights (P14.3).
    pub(super) fn drop_pending_rights(
        &mut self,
        command: &Command,
        principal: [u8; 32],
        output: &mut Output,
    ) {
        let open: Vec<u64> = self.state.governance.actions.keys().copied().collect();
        for id in open {
            let action = self.state.governance.actions.get_mut(&id).expect("just listed");
            if action.proposer == principal {
                self.end_action(command, id, action_end::CANCELLED, principal, output);
                continue;
            }
            let before = action.approvals.len();
            action.approvals.retain(|key| *key != principal);
            if action.approvals.len() != before {
                let action = action.clone();
                self.emit_action(command, EventKind::ApprovalWithdrawn, id, &action, 0, principal, output);
            }
        }
        self.drop_offers(command, principal, output);
        self.drop_signatures(command, principal, output);
    }

    /// One item of this concern has fallen due.
    pub(crate) fn governance_due(&mut self, command: &Command, _kind: u8, id: u64, output: &mut Output) {
        let number = id & !due_item::KIND;
        match id & due_item::KIND {
            due_item::ACTION => self.expire_action(command, number, output),
            due_item::OFFER => self.lapse_offer(command, number, output),
            due_item::RENOUNCE => self.renounce_now(command, number, output),
            other => unreachable!("governance item {other:#x}"),
        }
    }

    fn expire_action(&mut self, command: &Command, id: u64, output: &mut Output) {
        self.end_action(command, id, action_end::EXPIRED, [0; 32], output);
    }

    /// 0209. Level 0 revokes; else valid until an expiry at most a year ahead.
    pub(crate) fn set_suitability(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: SetSuitability = command.payload_as();
        match u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3 {
            0 => {}
            given => return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(given)),
        }
        if request.level > MAX_SUITABILITY {
            let bound = i64::from(MAX_SUITABILITY);
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, i64::from(request.level));
        }
        let (first, last) = match request.level {
            0 => (0, 0),
            _ => (command.time_ns.saturating_add(1), command.time_ns.saturating_add(MAX_SUITABILITY_NS)),
        };
        if request.expiry_ns < first || request.expiry_ns > last {
            let bound = if request.expiry_ns < first { first } else { last };
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, request.expiry_ns);
        }
        let account = context.account;
        self.state.governance.set_suitability(account, request.level, request.expiry_ns);
        let body = SuitabilityBody {
            level: request.level,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            expiry_ns: request.expiry_ns,
        };
        output.emit(command, EventKind::SuitabilitySet, Subject::account(account, command.sub), &body);
        Ok(u64::from(request.level))
    }
}

/// Which command it proposes, and that command as a trial.
fn check_proposal(command: &Command, request: &ProposeAction) -> Result<(Kind, Command), Reject> {
    if request.reserved != 0 {
        return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
    }
    let Some(kind) = Kind::from_code(request.action_kind, request.action_op) else {
        return reject(Code::UNKNOWN_COMMAND, 0, i64::from(request.action_kind));
    };
    if !may_be_proposed(kind) {
        return reject(Code::IMMUTABLE_PARAMETER, 0, i64::from(request.action_kind));
    }
    let behind = request.payload[kind.payload_size()..].iter().fold(0, |bits, &byte| bits | byte);
    if behind != 0 {
        return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(behind));
    }
    let flags = internal::GOVERNED | internal::TRIAL;
    let trial = with_payload(command, (request.action_kind, request.action_op), &request.payload, flags);
    Ok((kind, trial))
}

/// The command that an action carries, at the moment and on behalf of the command that executes it.
fn proposed_command(command: &Command, action: &Action, flags: u32) -> Command {
    with_payload(command, (action.kind, action.op), &action.payload, flags)
}

fn with_payload(
    command: &Command,
    (kind, op): (u16, u8),
    proposal: &[u8; PROPOSAL_SIZE],
    flags: u32,
) -> Command {
    let mut payload = [0; PAYLOAD_SIZE];
    payload[..PROPOSAL_SIZE].copy_from_slice(proposal);
    Command { kind, op, flags, payload, ..*command }
}

fn emit_proposed(command: &Command, id: u64, action: &Action, effect: u8, output: &mut Output) {
    let body = ActionBody {
        action: id,
        eta_ns: action.eta_ns,
        expires_ns: action.expiry_ns(),
        proposer: action.proposer,
        action_kind: action.kind,
        action_op: action.op,
        action_class: action.class,
        needed: action.needed,
        effect,
        reserved: 0,
        config_version: action.config_version,
        reserved2: 0,
    };
    output.emit(command, EventKind::ActionProposed, Subject::NONE, &body);
    let payload = ActionPayloadBody { action: id, payload: action.payload };
    output.emit(command, EventKind::ActionPayload, Subject::NONE, &payload);
}
