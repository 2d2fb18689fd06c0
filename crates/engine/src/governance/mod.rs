//! Governance: parameters, actions, offers of authority, suitability (protocol P14, P2.2 row 0209).

pub mod parameters;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parameters::{Parameter, TABLE};

use crate::limits::{ACTION_WINDOW_NS, DAY_NS, HOUR_NS, MAX_CLOSED_ACTIONS, OFFER_LAPSE_NS};
use crate::state::{due, Due};
use crate::wire::command::PROPOSAL_SIZE;

/// Highest level of suitability (P4.5): 1 means a passed quiz, higher ones are the operator's own grades.
pub const MAX_SUITABILITY: u8 = 3;

/// Concerns of governance in the due queue: the high byte of the id.
pub mod due_item {
    pub const ACTION: u64 = 1 << 56;
    pub const OFFER: u64 = 2 << 56;
    pub const RENOUNCE: u64 = 3 << 56;
    pub const KIND: u64 = 0xFF << 56;
}

/// How an action ended.
pub mod action_end {
    pub const EXECUTED: u8 = 1;
    pub const CANCELLED: u8 = 2;
    pub const EXPIRED: u8 = 3;
}

/// A proposed command that waits for approvals and time (P14.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    pub kind: u16,
    pub op: u8,
    /// `parameters::Class` by number.
    pub class: u8,
    pub needed: u8,
    /// Version of the platform's configuration that it was written against.
    pub config_version: u32,
    pub payload: [u8; PROPOSAL_SIZE],
    pub proposer: [u8; 32],
    pub proposed_ns: i64,
    pub eta_ns: i64,
    /// Distinct approvers, in the order of their approvals.
    pub approvals: Vec<[u8; 32]>,
}

impl Action {
    /// Last moment of execution.
    pub fn expiry_ns(&self) -> i64 {
        self.eta_ns.saturating_add(ACTION_WINDOW_NS)
    }
}

/// A role that its holder hands to a nominee, or gives up when there is none (P14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    pub holder: [u8; 32],
    /// Zero: the holder renounces.
    pub nominee: [u8; 32],
    pub role: u8,
    pub offered_ns: i64,
}

impl Offer {
    pub fn renounces(&self) -> bool {
        self.nominee == [0; 32]
    }

    fn due_item(&self, id: u64) -> Due {
        match self.renounces() {
            true => (self.usable_ns(), due::GOVERNANCE, due_item::RENOUNCE | id),
            false => (self.offered_ns.saturating_add(OFFER_LAPSE_NS), due::GOVERNANCE, due_item::OFFER | id),
        }
    }

    /// Moment from which it may be accepted, or at which the renunciation takes effect.
    pub fn usable_ns(&self) -> i64 {
        self.offered_ns.saturating_add(if self.renounces() { 2 * DAY_NS } else { DAY_NS })
    }
}

/// A platform-wide parameter that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub value: i64,
    pub changed_ns: i64,
}

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Governance {
    pub actions: BTreeMap<u64, Action>,
    pub next_action: u64,
    /// The last actions that ended and how, so that late commands get the right answer.
    pub closed: VecDeque<(u64, u8)>,
    pub offers: BTreeMap<u64, Offer>,
    pub next_offer: u64,
    settings: BTreeMap<u32, Setting>,
    /// Number of changes of platform-wide parameters.
    pub config_version: u32,
    /// Account → (level, expiry in ns).
    suitability: BTreeMap<u32, (u8, i64)>,
}

impl Governance {
    /// Present value of a platform-wide parameter.
    pub fn value(&self, parameter: Parameter) -> i64 {
        let set = self.settings.get(&(parameter as u32));
        set.map_or(parameter.definition().default, |setting| setting.value)
    }

    /// When a platform-wide parameter was last set.
    pub fn changed_ns(&self, parameter: Parameter) -> Option<i64> {
        self.settings.get(&(parameter as u32)).map(|setting| setting.changed_ns)
    }

    /// Sets a platform-wide parameter that was checked.
    pub fn set(&mut self, parameter: Parameter, value: i64, now_ns: i64) {
        self.settings.insert(parameter as u32, Setting { value, changed_ns: now_ns });
        self.config_version += 1;
    }

    /// Time-lock of what raises risk, in ns.
    pub fn time_lock_ns(&self) -> i64 {
        self.value(Parameter::TimeLockDays) * DAY_NS
    }

    /// Micro-units that a keeper needs to act (P13.1).
    pub fn minimum_stake(&self) -> i64 {
        self.value(Parameter::KeeperMinimumStake) * 1_000_000
    }

    /// Bond of the first round of a resolution, micro-units (P15.2).
    pub fn resolution_bond(&self) -> i64 {
        self.value(Parameter::ResolutionBond) * 1_000_000
    }

    /// J_min of leveraged outcome positions in ppm (P4.6.2).
    pub fn jump_minimum_ppm(&self) -> i64 {
        self.value(Parameter::JumpMinimumPpm)
    }

    /// Window to dispute the first round of a resolution, ns (P15.2).
    pub fn resolution_window_ns(&self) -> i64 {
        self.value(Parameter::ResolutionWindowHours) * HOUR_NS
    }

    /// Whether an account may use leverage above 10 (P4.5).
    pub fn suitable(&self, account: u32, now_ns: i64) -> bool {
        self.suitability.get(&account).is_some_and(|&(level, expiry_ns)| level > 0 && expiry_ns > now_ns)
    }

    /// Level 0 forgets the account.
    pub fn set_suitability(&mut self, account: u32, level: u8, expiry_ns: i64) {
        match level {
            0 => self.suitability.remove(&account),
            _ => self.suitability.insert(account, (level, expiry_ns)),
        };
    }

    /// How an action that is not open any more ended.
    pub fn ended(&self, id: u64) -> Option<u8> {
        self.closed.iter().find(|(closed, _)| *closed == id).map(|(_, end)| *end)
    }

    /// Takes an open action out of the table and remembers its end.
    pub fn close(&mut self, id: u64, end: u8) -> Option<Action> {
        let action = self.actions.remove(&id)?;
        if self.closed.len() >= MAX_CLOSED_ACTIONS {
            self.closed.pop_front();
        }
        self.closed.push_back((id, end));
        Some(action)
    }

    /// The due item of an open action.
    pub fn action_due(&self, id: u64) -> Option<Due> {
        let action = self.actions.get(&id)?;
        // The last moment still counts.
        Some((action.expiry_ns().saturating_add(1), due::GOVERNANCE, due_item::ACTION | id))
    }

    /// The due item of an open offer.
    pub fn offer_due(&self, id: u64) -> Option<Due> {
        self.offers.get(&id).map(|offer| offer.due_item(id))
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        due.extend(self.actions.keys().filter_map(|&id| self.action_due(id)));
        due.extend(self.offers.keys().filter_map(|&id| self.offer_due(id)));
    }
}

/// Parameters that SetParameter changes.
pub fn platform_parameters() -> impl Iterator<Item = Parameter> {
    TABLE.iter().map(|row| row.parameter).filter(|&row| row as u32 >= parameters::FIRST_OF_PLATFORM)
}
