//! Slashing on evidence: two signers, a week to appeal, an arbiter (protocol P13.3, rows 0804 and 0805).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::keeper::{duty_item, fault, slash_state, Slash, Stake};
use crate::ledger::{line, post_system, post_user};
use crate::limits::*;
use crate::output::{Output, Subject};
use crate::roles::permission;
use crate::state::due;
use crate::wire::command::{Command, SlashAppeal, SlashKeeper};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, SlashBody};

impl<B: Book> Engine<B> {
    /// The first signature records the slash, the second of another KEEPERS principal opens the appeal window.
    pub(crate) fn slash_keeper(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: SlashKeeper = command.payload_as();
        let account = self.check_slash(command, &request)?;
        if let Some((id, signed)) = self.signed_slash(account, &request) {
            let first_stands =
                self.state.roles.require(&signed.first_signer, permission::KEEPERS, command.time_ns).is_ok();
            if signed.first_signer == command.principal {
                return Err(Code::SELF_APPROVAL.into());
            }
            if first_stands {
                self.open_slash(command, id, signed, output);
                return Ok(id);
            }
            // The first signer has lost his right since; the present one takes his place.
            self.state.due.remove(&slash_due(id, signed.deadline_ns));
            self.state.keepers.slashes.remove(&id);
        } else if self.state.keepers.slashes.len() >= MAX_SLASHES {
            return reject(Code::CAPACITY_EXCEEDED, MAX_SLASHES as i64, MAX_SLASHES as i64);
        }
        let id = self.state.keepers.next_slash;
        self.state.keepers.next_slash += 1;
        let slash = Slash {
            account,
            state: slash_state::SIGNED,
            fault: request.fault,
            ppm: request.ppm,
            evidence: request.evidence,
            first_signer: command.principal,
            deadline_ns: command.time_ns.saturating_add(SLASH_SIGNING_NS),
        };
        self.state.keepers.slashes.insert(id, slash);
        self.state.due.insert(slash_due(id, slash.deadline_ns));
        self.emit_slash(command, EventKind::SlashSigned, id, &slash, 0, output);
        Ok(id)
    }

    fn check_slash(&self, command: &Command, request: &SlashKeeper) -> Result<u32, Reject> {
        if u32::from(request.reserved) | u32::from(request.reserved2) != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved2));
        }
        let account =
            self.state.accounts.find(&request.keeper).ok_or(Reject::from(Code::ACCOUNT_NOT_FOUND))?;
        if self.state.keepers.stakes.get(&account).map_or(0, Stake::total) == 0 {
            return Err(Code::KEEPER_NOT_REGISTERED.into());
        }
        if !(fault::FALSE_EXECUTION..=fault::MALICE).contains(&request.fault) {
            let bound = i64::from(fault::MALICE);
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, i64::from(request.fault));
        }
        self.check_evidence(account, request, command.time_ns)?;
        if request.ppm > MAX_SLASH_PPM {
            return reject(Code::SLASH_TOO_LARGE, i64::from(MAX_SLASH_PPM), i64::from(request.ppm));
        }
        if request.ppm == 0 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        self.check_not_own(command, account)?;
        let panel = self.state.roles.live_holders(permission::KEEPERS, command.time_ns, SLASH_PANEL);
        if panel < SLASH_PANEL {
            return reject(Code::NOT_ENOUGH_SIGNERS, SLASH_PANEL as i64, panel as i64);
        }
        Ok(account)
    }

    /// What the log itself holds must match; a decision names a document by its hash. Nothing counts twice.
    fn check_evidence(&self, account: u32, request: &SlashKeeper, now_ns: i64) -> Result<(), Reject> {
        let keepers = &self.state.keepers;
        let holds = match request.fault {
            fault::MISSED_DUTY => {
                let missed = keepers.get(account).and_then(|keeper| keeper.missed);
                missed.is_some_and(|missed| {
                    missed.evidence == request.evidence
                        && now_ns.saturating_sub(missed.first_ns) > MISSED_DUTY_NS
                })
            }
            fault::CONFLICTING_SIGNATURES => {
                let owner = &self.state.accounts.list[account as usize].owner_key;
                self.cursor.conflicts.holds(owner, &request.evidence)
            }
            _ => request.evidence != [0; 32],
        };
        let under_way = keepers.slashes.values().any(|slash| {
            slash.state != slash_state::SIGNED
                && slash.account == account
                && slash.evidence == request.evidence
        });
        if !holds || under_way || keepers.judged.contains(&request.evidence) {
            return reject(Code::EVIDENCE_INVALID, 0, i64::from(request.fault));
        }
        Ok(())
    }

    /// The slash with these terms that waits for its second signature.
    fn signed_slash(&self, account: u32, request: &SlashKeeper) -> Option<(u64, Slash)> {
        let same = |slash: &Slash| {
            slash.state == slash_state::SIGNED
                && (slash.account, slash.fault, slash.ppm) == (account, request.fault, request.ppm)
                && slash.evidence == request.evidence
        };
        self.state.keepers.slashes.iter().find(|(_, slash)| same(slash)).map(|(&id, &slash)| (id, slash))
    }

    fn open_slash(&mut self, command: &Command, id: u64, mut slash: Slash, output: &mut Output) {
        self.state.due.remove(&slash_due(id, slash.deadline_ns));
        slash.state = slash_state::OPEN;
        slash.deadline_ns = command.time_ns.saturating_add(APPEAL_WINDOW_NS);
        self.state.due.insert(slash_due(id, slash.deadline_ns));
        self.state.keepers.slashes.insert(id, slash);
        self.emit_slash(command, EventKind::SlashOpened, id, &slash, 0, output);
    }

    pub(crate) fn appeal_slash(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: SlashAppeal = command.payload_as();
        check_appeal(&request)?;
        if request.uphold != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.uphold));
        }
        let mut slash = self.find_slash(request.slash)?;
        if slash.account != context.account {
            return Err(Code::WRONG_OWNER.into());
        }
        if slash.state != slash_state::OPEN {
            return reject(Code::INVALID_TRANSITION, i64::from(slash_state::OPEN), i64::from(slash.state));
        }
        if command.time_ns >= slash.deadline_ns {
            return reject(Code::APPEAL_WINDOW_CLOSED, slash.deadline_ns, command.time_ns);
        }
        self.state.due.remove(&slash_due(request.slash, slash.deadline_ns));
        slash.state = slash_state::APPEALED;
        slash.deadline_ns = command.time_ns.saturating_add(APPEAL_WINDOW_NS);
        self.state.due.insert(slash_due(request.slash, slash.deadline_ns));
        self.state.keepers.slashes.insert(request.slash, slash);
        self.emit_slash(command, EventKind::SlashAppealed, request.slash, &slash, 0, output);
        Ok(request.slash)
    }

    /// An arbiter confirms, which takes the money at once, or reverses.
    pub(crate) fn decide_appeal(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: SlashAppeal = command.payload_as();
        check_appeal(&request)?;
        if request.uphold > 1 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, i64::from(request.uphold));
        }
        let mut slash = self.find_slash(request.slash)?;
        if slash.state != slash_state::APPEALED {
            return reject(
                Code::INVALID_TRANSITION,
                i64::from(slash_state::APPEALED),
                i64::from(slash.state),
            );
        }
        if command.time_ns >= slash.deadline_ns {
            return reject(Code::APPEAL_WINDOW_CLOSED, slash.deadline_ns, command.time_ns);
        }
        self.check_not_own(command, slash.account)?;
        self.state.due.remove(&slash_due(request.slash, slash.deadline_ns));
        self.state.keepers.slashes.remove(&request.slash);
        if request.uphold == 1 {
            slash.state = slash_state::DONE;
            self.emit_slash(command, EventKind::SlashConfirmed, request.slash, &slash, 0, output);
            self.take_slash(command, request.slash, slash, output);
        } else {
            slash.state = slash_state::REVERSED;
            self.emit_slash(command, EventKind::SlashReversed, request.slash, &slash, 0, output);
        }
        Ok(request.slash)
    }

    fn find_slash(&self, id: u64) -> Result<Slash, Reject> {
        match self.state.keepers.slashes.get(&id) {
            Some(slash) => Ok(*slash),
            None => reject(Code::APPEAL_WINDOW_CLOSED, 0, id as i64),
        }
    }

    /// A slash with one signature loses it.
    pub(super) fn lapse_slash(&mut self, command: &Command, id: u64, output: &mut Output) {
        let Some(mut slash) = self.state.keepers.slashes.remove(&id) else { return };
        self.state.due.remove(&slash_due(id, slash.deadline_ns));
        slash.state = slash_state::LAPSED;
        self.emit_slash(command, EventKind::SlashLapsed, id, &slash, 0, output);
    }

    /// A deadline of a slash has come: unsigned ones lapse, unappealed ones take effect, undecided ones are reversed.
    pub(super) fn slash_due(&mut self, command: &Command, id: u64, output: &mut Output) {
        let mut slash = self.state.keepers.slashes.remove(&id).expect("a slash owns its due item");
        let event = match slash.state {
            slash_state::OPEN => {
                slash.state = slash_state::DONE;
                return self.take_slash(command, id, slash, output);
            }
            slash_state::APPEALED => {
                slash.state = slash_state::REVERSED;
                EventKind::SlashReversed
            }
            _ => {
                slash.state = slash_state::LAPSED;
                EventKind::SlashLapsed
            }
        };
        self.emit_slash(command, event, id, &slash, 0, output);
    }

    /// Half goes to the harmed party or insurance, half to insurance: no fault of today names a harmed party in the
    /// log, so that both halves go to insurance.
    fn take_slash(&mut self, command: &Command, id: u64, slash: Slash, output: &mut Output) {
        self.state.keepers.judge(slash.evidence);
        let account = slash.account;
        let stake = self.state.keepers.stakes.entry(account).or_default();
        let part = i128::from(stake.total()) * i128::from(slash.ppm) / 1_000_000;
        let amount = stake.slash(part as i64);
        if let Ok(asset) = self.stake_asset() {
            let postings = &mut output.postings;
            post_user(&mut self.state.accounts, postings, account, 0, asset, line::BOND, -amount);
            post_system(&mut self.state.system, postings, line::INSURANCE, 0, asset, amount);
        }
        self.weigh_stake(account);
        if self.state.keepers.get(account).is_some() && slash.fault == fault::MISSED_DUTY {
            self.state.keepers.edit(account, |keeper| keeper.missed = None);
        }
        self.emit_slash(command, EventKind::KeeperSlashed, id, &slash, amount, output);
        self.drop_empty_stake(account);
        if self.state.keepers.get(account).is_some() {
            self.score_keeper(command, account, 0, false, output);
        }
    }

    fn emit_slash(
        &self,
        command: &Command,
        event: EventKind,
        id: u64,
        slash: &Slash,
        amount: i64,
        output: &mut Output,
    ) {
        let body = SlashBody {
            slash: id,
            amount,
            deadline_ns: slash.deadline_ns,
            evidence: slash.evidence,
            ppm: slash.ppm,
            fault: slash.fault,
            state: slash.state,
            asset: self.stake_asset().unwrap_or(u16::MAX),
        };
        output.emit(command, event, Subject::account(slash.account, 0), &body);
    }
}

fn slash_due(id: u64, deadline_ns: i64) -> crate::state::Due {
    (deadline_ns, due::KEEPER, duty_item::SLASH | id)
}

fn check_appeal(request: &SlashAppeal) -> Result<(), Reject> {
    match u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3 {
        0 => Ok(()),
        given => reject(Code::RESERVED_NOT_ZERO, 0, i64::from(given)),
    }
}
