//! Slashes of keepers (P13.3): two persons sign, seven days to appeal, an arbiter decides; and what may be withdrawn of
//! a stake meanwhile (I23).

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::Auditor;
use crate::roles;
use crate::wire::event::{Event, EventKind, KeeperStakeBody, SlashBody};

const DAY_NS: i64 = 86_400_000_000_000;
/// A first signature waits a day for the second; an appeal, and a decision on it, have seven days each.
const SIGNING_NS: i64 = DAY_NS;
const WINDOW_NS: i64 = 7 * DAY_NS;
/// What is unbonded may leave seven days later (P13.1).
const UNBONDING_NS: i64 = 7 * DAY_NS;
const SLASHES: usize = 256;
/// Parts of a stake that unbond at different times; the newest one takes further ones along.
const PARTS: usize = 8;

const SIGNED: u8 = 1;
const OPEN: u8 = 2;
const APPEALED: u8 = 3;
const DONE: u8 = 4;
const REVERSED: u8 = 5;
const LAPSED: u8 = 6;

/// A slash that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slash {
    pub account: u32,
    pub state: u8,
    pub fault: u8,
    pub ppm: u32,
    pub evidence: [u8; 32],
    pub first: [u8; 32],
    pub deadline_ns: i64,
}

impl Slash {
    fn terms(&self) -> (u32, u8, u32, [u8; 32]) {
        (self.account, self.fault, self.ppm, self.evidence)
    }
}

/// Slashes by number, and amounts of stakes that unbond with the moment from which on they may leave.
#[derive(Clone, Debug, Default)]
pub struct Slashes {
    pub open: BTreeMap<u64, Slash>,
    pub next: u64,
    /// A slash that an arbiter has upheld: its money is the next event.
    confirmed: Option<(u64, Slash)>,
    pub parts: BTreeMap<u32, Vec<(i64, i64)>>,
}

impl Slashes {
    /// An amount unbonds.
    pub fn unbond(&mut self, account: u32, amount: i64, now_ns: i64) {
        let parts = self.parts.entry(account).or_default();
        let ready_ns = now_ns.saturating_add(UNBONDING_NS);
        let full = parts.len() >= PARTS;
        match parts.last_mut() {
            _ if amount == 0 => {}
            Some(last) if full => *last = (last.0 + amount, ready_ns),
            _ => parts.push((amount, ready_ns)),
        }
        if parts.is_empty() {
            self.parts.remove(&account);
        }
    }

    /// When the last part of an account's stake may leave; 0 = none unbonds.
    pub fn last_ready_ns(&self, account: u32) -> i64 {
        self.parts.get(&account).and_then(|parts| parts.last()).map_or(0, |part| part.1)
    }

    /// An amount leaves, oldest first, or is slashed, newest first; false when there is not so much of it.
    fn take(&mut self, account: u32, mut amount: i64, newest: bool) -> bool {
        let Some(parts) = self.parts.get_mut(&account) else { return amount == 0 };
        while amount > 0 {
            let place = if newest { parts.len().checked_sub(1) } else { (!parts.is_empty()).then_some(0) };
            let Some(place) = place else { return false };
            let taken = amount.min(parts[place].0);
            (amount, parts[place].0) = (amount - taken, parts[place].0 - taken);
            if parts[place].0 == 0 {
                parts.remove(place);
            }
        }
        if parts.is_empty() {
            self.parts.remove(&account);
        }
        true
    }

    pub fn end_command(&self) -> Check {
        ensure!(self.confirmed.is_none(), "I23", "a slash is upheld and takes nothing");
        Ok(())
    }
}

impl Auditor {
    /// A step in the life of a slash that moves no money.
    pub(super) fn slash_moved(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: SlashBody = event.body_as();
        let now_ns = self.time_ns;
        let shown = Slash {
            account: event.account,
            state: body.state,
            fault: body.fault,
            ppm: body.ppm,
            evidence: body.evidence,
            first: self.principal,
            deadline_ns: body.deadline_ns,
        };
        if kind == EventKind::SlashSigned {
            return self.slash_signed(body.slash, shown);
        }
        let Some(&known) = self.slashes.open.get(&body.slash) else {
            return Err(fault("I23", format_args!("slash {} is unknown", body.slash)));
        };
        ensure!(shown.terms() == known.terms(), "I23", "slash {} has become another one", body.slash);
        let (late, again) = (now_ns >= known.deadline_ns, now_ns.saturating_add(WINDOW_NS));
        let (allowed, state, deadline_ns) = match kind {
            EventKind::SlashOpened => (known.state == SIGNED && known.first != self.principal, OPEN, again),
            EventKind::SlashAppealed => (known.state == OPEN && !late, APPEALED, again),
            EventKind::SlashConfirmed => {
                let judge = self.records.holds(&self.principal, roles::ARBITER);
                (known.state == APPEALED && !late && judge, DONE, known.deadline_ns)
            }
            EventKind::SlashReversed => {
                let judge = self.records.holds(&self.principal, roles::ARBITER);
                (known.state == APPEALED && (late || judge), REVERSED, known.deadline_ns)
            }
            _ => (known.state == SIGNED, LAPSED, known.deadline_ns),
        };
        ensure!(
            allowed && (body.state, body.deadline_ns, body.amount) == (state, deadline_ns, 0),
            "I23",
            "slash {} goes from state {} until {} to {} until {}",
            body.slash,
            known.state,
            known.deadline_ns,
            body.state,
            body.deadline_ns
        );
        match state {
            OPEN | APPEALED => {
                let next = Slash { state, deadline_ns, ..known };
                self.slashes.open.insert(body.slash, next);
            }
            _ => drop(self.slashes.open.remove(&body.slash)),
        }
        if state == DONE {
            self.slashes.confirmed = Some((body.slash, known));
        }
        Ok(())
    }

    fn slash_signed(&mut self, number: u64, slash: Slash) -> Check {
        // The same terms of one who has lost the right to sign since: the later person takes the place.
        let same = |known: &Slash| known.state == SIGNED && known.terms() == slash.terms();
        self.slashes.open.retain(|_, known| !same(known));
        ensure!(
            number == self.slashes.next
                && slash.state == SIGNED
                && slash.ppm > 0
                && slash.evidence != [0; 32]
                && slash.deadline_ns == self.time_ns.saturating_add(SIGNING_NS),
            "I23",
            "slash {number} comes instead of {} with {} ppm in state {}",
            self.slashes.next,
            slash.ppm,
            slash.state
        );
        self.slashes.next = number + 1;
        self.slashes.open.insert(number, slash);
        let open = self.slashes.open.len();
        ensure!(open <= SLASHES, "I20", "{open} slashes are not over");
        Ok(())
    }

    /// Money is taken by a slash that nobody has appealed in its window, or that an arbiter has upheld.
    pub(super) fn check_slash_due(&mut self, event: &Event, body: &SlashBody, from_parts: i64) -> Check {
        let due = match self.slashes.confirmed.take() {
            Some((number, slash)) => Some(slash).filter(|_| number == body.slash),
            None => {
                let open = self.slashes.open.remove(&body.slash);
                open.filter(|slash| slash.state == OPEN && self.time_ns >= slash.deadline_ns)
            }
        };
        let Some(slash) = due else {
            return Err(fault("I23", format_args!("slash {} takes money before its time", body.slash)));
        };
        let shown = (event.account, body.fault, body.ppm, body.evidence);
        ensure!(shown == slash.terms(), "I23", "slash {} has become another one", body.slash);
        ensure!(
            self.slashes.take(event.account, from_parts, true),
            "I23",
            "account {} unbonds less than {from_parts}",
            event.account
        );
        Ok(())
    }

    /// What is withdrawn has unbonded for seven days, and no slash of it is under way (P13.1, P13.3).
    pub(super) fn check_stake_leaves(&mut self, event: &Event, body: &KeeperStakeBody) -> Check {
        let now_ns = self.time_ns;
        let parts = self.slashes.parts.get(&event.account).map_or(&[][..], |parts| parts);
        let ready: i64 = parts.iter().filter(|part| part.1 <= now_ns).map(|part| part.0).sum();
        let under_way =
            |slash: &Slash| slash.account == event.account && matches!(slash.state, OPEN | APPEALED);
        let frozen = self.slashes.open.values().any(under_way);
        ensure!(
            body.amount <= ready && !frozen,
            "I23",
            "{} of the stake of account {} leave, {ready} have unbonded, a slash is under way: {frozen}",
            body.amount,
            event.account
        );
        ensure!(
            self.slashes.take(event.account, body.amount, false),
            "I23",
            "account {} unbonds less than {}",
            event.account,
            body.amount
        );
        Ok(())
    }
}
