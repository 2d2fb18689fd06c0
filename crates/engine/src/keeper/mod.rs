//! Keepers: stake, capabilities, score, duty, slashing (protocol P13).

pub mod conflicts;
pub mod duty;
pub mod rates;
pub mod score;
mod snapshot;
mod stake;

use std::collections::{BTreeMap, VecDeque};

use duty::Wheel;
use rates::Meters;
pub use score::Score;
pub use stake::{Part, Stake};

use crate::limits::{MAX_KEEPERS, MAX_SLASHES};
use crate::state::{due, Due};

/// What a keeper may do (P13.1), as bits.
pub mod capability {
    pub const LIQUIDATE: u32 = 1;
    pub const TRIGGER: u32 = 2;
    pub const INGEST: u32 = 4;
    pub const CRANK: u32 = 8;
    /// Every action.
    pub const GENERAL: u32 = 16;
    pub const ALL: u32 = 31;
}

/// Actions of KeeperAct; the capability that each wants is `1 << (action - 1)`.
pub mod action {
    pub const LIQUIDATE: u8 = 1;
    pub const TRIGGER: u8 = 2;
    pub const INGEST: u8 = 3;
    pub const CRANK: u8 = 4;
    pub const COUNT: u8 = 4;
}

/// Faults that a slash may name (P13.3).
pub mod fault {
    /// By decision of the signers: the evidence is a document outside of the log.
    pub const FALSE_EXECUTION: u8 = 1;
    /// The engine's own record of a duty that was missed for more than an hour.
    pub const MISSED_DUTY: u8 = 2;
    /// The engine's own record of two publications of one source under one number.
    pub const CONFLICTING_SIGNATURES: u8 = 3;
    /// By decision.
    pub const MALICE: u8 = 4;
}

/// States of a registered keeper.
pub mod keeper_state {
    pub const REMOVED: u8 = 0;
    pub const ACTIVE: u8 = 1;
    pub const SUSPENDED: u8 = 2;
}

/// States of a slash that is not over.
pub mod slash_state {
    /// One signature.
    pub const SIGNED: u8 = 1;
    /// All signatures; effective at the deadline unless appealed.
    pub const OPEN: u8 = 2;
    /// Waits for an arbiter; reversed when none decides by the deadline.
    pub const APPEALED: u8 = 3;
    pub const DONE: u8 = 4;
    pub const REVERSED: u8 = 5;
    pub const LAPSED: u8 = 6;
}

/// What a stake change was.
pub mod stake_change {
    pub const STAKED: u8 = 1;
    pub const UNBONDING: u8 = 2;
    pub const WITHDRAWN: u8 = 3;
}

/// Concerns of keepers in the due queue: the high byte of the id.
pub mod duty_item {
    pub const REVIEW: u64 = 1 << 56;
    pub const IDLE: u64 = 2 << 56;
    pub const SLASH: u64 = 3 << 56;
    pub const LARGE: u64 = 4 << 56;
    pub const KIND: u64 = 0xFF << 56;
}

/// The capability that an action wants.
pub const fn needed(action: u8) -> u32 {
    1 << (action - 1)
}

/// A duty that the engine saw missed and nothing has made up for since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    pub first_ns: i64,
    pub market: u32,
    /// Names the keeper, the market and the moment.
    pub evidence: [u8; 32],
}

/// One registered keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    pub account: u32,
    pub capabilities: u32,
    pub state: u8,
    pub idle_alerted: bool,
    pub registered_ns: i64,
    /// Next look at a suspended keeper's score; 0 = not suspended.
    pub review_ns: i64,
    pub last_action_ns: i64,
    /// Next look at whether the keeper is idle.
    pub idle_check_ns: i64,
    pub actions: u64,
    pub score: Score,
    pub missed: Option<Missed>,
    pub meters: Meters,
    /// Micro-units bonded, as in its stake: what the duty wheel weighs.
    pub bonded: i64,
}

impl Keeper {
    fn weight(&self) -> u64 {
        match self.state {
            keeper_state::ACTIVE => duty::weight(self.bonded, self.score.ppm()),
            _ => 0,
        }
    }

    fn may(&self, capability: u32) -> bool {
        self.capabilities & (capability | capability::GENERAL) != 0
    }

    /// # Errors
    /// The capability is missing.
    pub fn can(&self, action: u8) -> bool {
        self.may(needed(action))
    }
}

/// A slash on its way (P13.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slash {
    pub account: u32,
    pub state: u8,
    pub fault: u8,
    pub ppm: u32,
    pub evidence: [u8; 32],
    pub first_signer: [u8; 32],
    /// SIGNED: the second signature's last moment. OPEN: when it takes effect. APPEALED: last moment of a decision.
    pub deadline_ns: i64,
}

/// An action that moves much insurance and waits for a second keeper (P13.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Large {
    pub target: u64,
    pub first: u32,
    pub until_ns: i64,
}

/// All keepers. Slots are dense and given again, lowest first; the duty wheels are indexed by them.
#[derive(Clone, Debug, Default)]
pub struct Keepers {
    slots: Vec<Option<Box<Keeper>>>,
    by_account: BTreeMap<u32, u16>,
    wheels: [Wheel; action::COUNT as usize],
    pub stakes: BTreeMap<u32, Stake>,
    pub slashes: BTreeMap<u64, Slash>,
    pub next_slash: u64,
    pub large: BTreeMap<u64, Large>,
    pub next_large: u64,
    /// Evidence that slashes were built on: none is used twice.
    pub judged: VecDeque<[u8; 32]>,
}

impl Keepers {
    pub fn get(&self, account: u32) -> Option<&Keeper> {
        let slot = *self.by_account.get(&account)?;
        self.slots[usize::from(slot)].as_deref()
    }

    pub fn len(&self) -> usize {
        self.by_account.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_account.is_empty()
    }

    /// All keepers, ascending by account.
    pub fn iter(&self) -> impl Iterator<Item = &Keeper> {
        self.by_account.values().filter_map(|&slot| self.slots[usize::from(slot)].as_deref())
    }

    /// Adds a keeper that does not exist yet; there must be room.
    pub fn insert(&mut self, keeper: Keeper) {
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        assert!(slot < MAX_KEEPERS, "room was checked");
        self.place(slot, keeper);
    }

    fn place(&mut self, slot: usize, keeper: Keeper) {
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, None);
        }
        self.by_account.insert(keeper.account, slot as u16);
        let (weight, capabilities) = (keeper.weight(), keeper.capabilities);
        self.slots[slot] = Some(Box::new(keeper));
        self.reweigh(slot, capabilities, 0, weight);
    }

    /// Takes a keeper out of the registry; its stake stays.
    pub fn remove(&mut self, account: u32) -> Option<Keeper> {
        let slot = usize::from(self.by_account.remove(&account)?);
        let keeper = self.slots[slot].take().expect("a known account has a slot");
        self.reweigh(slot, keeper.capabilities, keeper.weight(), 0);
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
        Some(*keeper)
    }

    /// Changes a registered keeper and what the duty wheels know of it.
    pub fn edit<T>(&mut self, account: u32, change: impl FnOnce(&mut Keeper) -> T) -> T {
        let slot = usize::from(self.by_account[&account]);
        let keeper = self.slots[slot].as_mut().expect("a known account has a slot");
        let (old, capabilities) = (keeper.weight(), keeper.capabilities);
        let answer = change(keeper);
        let new = keeper.weight();
        debug_assert_eq!(capabilities, keeper.capabilities, "capabilities are fixed at registration");
        self.reweigh(slot, capabilities, old, new);
        answer
    }

    fn reweigh(&mut self, slot: usize, capabilities: u32, old: u64, new: u64) {
        if old == new {
            return;
        }
        for (at, wheel) in self.wheels.iter_mut().enumerate() {
            if capabilities & (1 << at | capability::GENERAL) != 0 {
                wheel.change(slot, old, new);
            }
        }
    }

    /// The account that is expected to do this action on a market first; None when nobody can.
    pub fn assigned(&self, action: u8, market: u32, since_ns: i64, now_ns: i64) -> Option<u32> {
        let moment_ns = duty::draw_ns(since_ns, now_ns);
        let slot = self.wheels[usize::from(action) - 1].draw(duty::ticket(moment_ns, market))?;
        self.slots.get(slot)?.as_ref().map(|keeper| keeper.account)
    }

    /// Whether a slash of this account is under way: its stake is frozen meanwhile (P13.3).
    pub fn frozen_until(&self, account: u32) -> Option<i64> {
        let of_account = |slash: &&Slash| slash.account == account && slash.state != slash_state::SIGNED;
        self.slashes.values().filter(of_account).map(|slash| slash.deadline_ns).max()
    }

    /// Marks evidence as used.
    pub fn judge(&mut self, evidence: [u8; 32]) {
        if self.judged.len() >= MAX_SLASHES {
            self.judged.pop_front();
        }
        self.judged.push_back(evidence);
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut std::collections::BTreeSet<Due>) {
        for keeper in self.iter() {
            due.extend(keeper.due_items());
        }
        for (&id, slash) in &self.slashes {
            due.insert((slash.deadline_ns, due::KEEPER, duty_item::SLASH | id));
        }
        for (&id, large) in &self.large {
            due.insert((large.until_ns, due::KEEPER, duty_item::LARGE | id));
        }
    }
}

impl Keeper {
    /// What of this keeper waits in the due queue.
    pub fn due_items(&self) -> impl Iterator<Item = Due> {
        let account = u64::from(self.account);
        let idle =
            (!self.idle_alerted).then_some((self.idle_check_ns, due::KEEPER, duty_item::IDLE | account));
        let review =
            (self.review_ns != 0).then_some((self.review_ns, due::KEEPER, duty_item::REVIEW | account));
        idle.into_iter().chain(review)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper(account: u32, capabilities: u32) -> Keeper {
        Keeper {
            account,
            capabilities,
            state: keeper_state::ACTIVE,
            idle_alerted: false,
            registered_ns: 0,
            review_ns: 0,
            last_action_ns: 0,
            idle_check_ns: 1,
            actions: 0,
            score: Score::default(),
            missed: None,
            meters: Meters::default(),
            bonded: 1_000_000_000,
        }
    }

    #[test]
    fn a_removed_keeper_leaves_no_weight_behind_that_would_draw_nobody() {
        let mut keepers = Keepers::default();
        (1..=9).for_each(|account| keepers.insert(keeper(account, capability::GENERAL)));
        (1..=8).for_each(|account| {
            keepers.remove(account);
        });
        let assigned = |n: i64| keepers.assigned(action::CRANK, 0, n << 30, n << 30);
        assert!((0..200).all(|n| assigned(n) == Some(9)));
    }

    #[test]
    fn duty_goes_to_capable_keepers_in_force_and_follows_every_change() {
        let mut keepers = Keepers::default();
        keepers.insert(keeper(9, capability::CRANK));
        keepers.insert(keeper(4, capability::GENERAL));
        let drawn = |keepers: &Keepers, action| {
            (0..200).filter_map(|n| keepers.assigned(action, 0, n << 30, n << 30)).collect::<Vec<_>>()
        };
        assert!(drawn(&keepers, action::LIQUIDATE).iter().all(|&account| account == 4));
        let cranks = drawn(&keepers, action::CRANK);
        assert!(cranks.contains(&4) && cranks.contains(&9));
        keepers.edit(4, |keeper| keeper.state = keeper_state::SUSPENDED);
        assert!(drawn(&keepers, action::LIQUIDATE).is_empty());
        assert!(drawn(&keepers, action::CRANK).iter().all(|&account| account == 9));
        assert_eq!(keepers.remove(9).map(|keeper| keeper.account), Some(9));
        assert!(drawn(&keepers, action::CRANK).is_empty());
        keepers.insert(keeper(7, capability::LIQUIDATE));
        assert_eq!(keepers.assigned(action::LIQUIDATE, 3, 5, 5), Some(7));
        assert_eq!(keepers.iter().map(|keeper| keeper.account).collect::<Vec<_>>(), [4, 7]);
    }
}
