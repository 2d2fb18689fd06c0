//! Outflow caps of withdrawals and the queue behind them; rate classes of accounts (protocol P9.10, P2.1.3).

pub mod rates;
pub mod window;

pub use rates::Rates;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::codec::{Reader, Writer};
use crate::limits::{MAX_ACCOUNTS, MAX_ASSETS, MAX_WITHDRAWALS, OUTFLOW_BUCKETS, OUTFLOW_BUCKET_NS};
use crate::state::{due, Due};
use window::{bucket_of, Window};

/// Tickets of one asset in the order of their requests. The first is released when the caps admit it.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    pub tickets: BTreeSet<u64>,
    /// Micro-units of all of them.
    pub amount: i128,
    /// When the first is looked at next; the queue's one due item.
    pub next_ns: i64,
}

/// What one account took out, and what it must wait with itself.
#[derive(Clone, Debug, Default)]
pub struct AccountFlow {
    /// Micro-units of the settlement asset by value.
    pub released: Window,
    /// Tickets that wait for this account's own cap.
    pub held: BTreeSet<u64>,
}

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Rate class by account handle that RISK has set, as far as the last account that has another than 0.
    classes: Vec<u8>,
    /// The larger of that and of what the account's stake stands for (P11.7); derived.
    effective: Vec<u8>,
    /// Outflow by asset.
    pub outflow: BTreeMap<u16, Window>,
    pub accounts: BTreeMap<u32, AccountFlow>,
    /// Never empty ones.
    pub queues: BTreeMap<u16, Queue>,
    /// Tickets that wait for their own account's cap: the moment at which they enter their asset's queue.
    pub held: BTreeMap<u64, i64>,
    /// (bucket, account) of what `accounts` counts, oldest first: what is to be forgotten.
    recent: VecDeque<(i64, u32)>,
}

/// Accounts forgotten per release; more than the one that a release can add, so the table stays bounded.
const FORGOTTEN_PER_RELEASE: usize = 2;

impl Flow {
    /// Rate class of an account.
    #[inline]
    pub fn class(&self, account: u32) -> u8 {
        self.effective.get(account as usize).copied().unwrap_or(0)
    }

    /// The class that RISK sets, beside the one that the stake stands for.
    pub fn set_class(&mut self, account: u32, class: u8, earned: u8) {
        self.give_class(account, class);
        self.set_earned(account, earned);
    }

    /// The class that an account's stake stands for.
    pub fn set_earned(&mut self, account: u32, earned: u8) {
        let index = account as usize;
        let class = self.classes.get(index).copied().unwrap_or(0).max(earned);
        if index >= self.effective.len() {
            if class == 0 {
                return;
            }
            self.effective.resize(index + 1, 0);
        }
        self.effective[index] = class;
    }

    fn give_class(&mut self, account: u32, class: u8) {
        let index = account as usize;
        if index >= self.classes.len() {
            self.classes.resize(index + 1, 0);
        }
        self.classes[index] = class;
        while self.classes.last() == Some(&0) {
            self.classes.pop();
        }
    }

    /// Counts a released withdrawal: `amount` of the asset, `value` against the account's cap.
    pub fn count_release(&mut self, account: u32, asset: u16, amount: i64, value: i64, now_ns: i64) {
        self.outflow.entry(asset).or_default().add(amount, now_ns);
        if value > 0 && self.accounts.entry(account).or_default().released.add(value, now_ns) {
            self.recent.push_back((bucket_of(now_ns), account));
        }
        for _ in 0..FORGOTTEN_PER_RELEASE {
            match self.recent.front() {
                Some(&(bucket, old)) if bucket + OUTFLOW_BUCKETS <= bucket_of(now_ns) => {
                    self.recent.pop_front();
                    if let Some(flow) = self.accounts.get_mut(&old) {
                        flow.released.forget(now_ns);
                    }
                    self.drop_idle(old);
                }
                _ => break,
            }
        }
    }

    fn drop_idle(&mut self, account: u32) {
        if self.accounts.get(&account).is_some_and(|flow| flow.held.is_empty() && flow.released.is_empty()) {
            self.accounts.remove(&account);
        }
    }

    /// A ticket waits until `ready_ns` for its account's cap.
    pub fn hold(&mut self, due: &mut BTreeSet<Due>, ticket: u64, account: u32, ready_ns: i64) {
        let flow = self.accounts.entry(account).or_default();
        flow.held.insert(ticket);
        self.held.insert(ticket, ready_ns);
        due.insert((ready_ns, due::WITHDRAWAL, ticket));
    }

    /// The ticket waits no longer; false when it did not.
    pub fn unhold(&mut self, due: &mut BTreeSet<Due>, ticket: u64, account: u32) -> bool {
        let Some(ready_ns) = self.held.remove(&ticket) else {
            return false;
        };
        due.remove(&(ready_ns, due::WITHDRAWAL, ticket));
        let flow = self.accounts.get_mut(&account).expect("an account that holds a ticket is kept");
        flow.held.remove(&ticket);
        self.drop_idle(account);
        true
    }

    /// Puts a ticket into its asset's queue; `look_ns` is when the queue is looked at if it was empty or the ticket
    /// is the first.
    pub fn enqueue(&mut self, due: &mut BTreeSet<Due>, asset: u16, ticket: u64, amount: i64, look_ns: i64) {
        let queue = self.queues.entry(asset).or_default();
        let first = queue.tickets.first().is_none_or(|&first| ticket < first);
        queue.tickets.insert(ticket);
        queue.amount += i128::from(amount);
        if first {
            self.look_at(due, asset, look_ns);
        }
    }

    /// Takes a ticket out of its asset's queue; false when it was not there.
    pub fn dequeue(
        &mut self,
        due: &mut BTreeSet<Due>,
        asset: u16,
        ticket: u64,
        amount: i64,
        now_ns: i64,
    ) -> bool {
        let Some(queue) = self.queues.get_mut(&asset) else {
            return false;
        };
        let was_first = queue.tickets.first() == Some(&ticket);
        if !queue.tickets.remove(&ticket) {
            return false;
        }
        queue.amount -= i128::from(amount);
        if queue.tickets.is_empty() {
            due.remove(&(queue.next_ns, due::FLOW, u64::from(asset)));
            self.queues.remove(&asset);
        } else if was_first {
            self.look_at(due, asset, now_ns);
        }
        true
    }

    /// Moves the moment at which the first ticket of a queue is looked at.
    pub fn look_at(&mut self, due: &mut BTreeSet<Due>, asset: u16, next_ns: i64) {
        let Some(queue) = self.queues.get_mut(&asset) else {
            return;
        };
        due.remove(&(queue.next_ns, due::FLOW, u64::from(asset)));
        queue.next_ns = next_ns;
        due.insert((next_ns, due::FLOW, u64::from(asset)));
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.classes.len());
        writer.raw(&self.classes);
        writer.len(self.outflow.len());
        for (&asset, window) in &self.outflow {
            writer.u16(asset);
            window.encode(writer);
        }
        writer.len(self.accounts.len());
        for (&account, flow) in &self.accounts {
            writer.u32(account);
            flow.released.encode(writer);
            writer.len(flow.held.len());
            flow.held.iter().for_each(|&ticket| writer.u64(ticket));
        }
        writer.len(self.queues.len());
        for (&asset, queue) in &self.queues {
            writer.u16(asset);
            writer.i64(queue.next_ns);
            writer.i64(queue.amount as i64);
            writer.i64((queue.amount >> 64) as i64);
            writer.len(queue.tickets.len());
            queue.tickets.iter().for_each(|&ticket| writer.u64(ticket));
        }
        writer.len(self.held.len());
        for (&ticket, &ready_ns) in &self.held {
            writer.u64(ticket);
            writer.i64(ready_ns);
        }
        writer.len(self.recent.len());
        for &(bucket, account) in &self.recent {
            writer.i64(bucket);
            writer.u32(account);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut flow = Self::default();
        for _ in 0..reader.len(1)? {
            flow.classes.push(reader.u8()?);
        }
        let class = flow.classes.iter().find(|&&class| usize::from(class) >= rates::CLASSES.len());
        if class.is_some() || flow.classes.len() > MAX_ACCOUNTS || flow.classes.last() == Some(&0) {
            return Err(format!("rate classes of {} accounts, one {class:?}", flow.classes.len()));
        }
        flow.effective.clone_from(&flow.classes);
        for _ in 0..reader.len(10)? {
            flow.outflow.insert(reader.u16()?, Window::decode(reader)?);
        }
        for _ in 0..reader.len(20)? {
            let account = reader.u32()?;
            let mut entry = AccountFlow { released: Window::decode(reader)?, ..AccountFlow::default() };
            for _ in 0..reader.len(8)? {
                entry.held.insert(reader.u64()?);
            }
            flow.accounts.insert(account, entry);
        }
        for _ in 0..reader.len(34)? {
            let (asset, next_ns) = (reader.u16()?, reader.i64()?);
            let (low, high) = (reader.i64()?, reader.i64()?);
            let mut queue = Queue {
                next_ns,
                amount: i128::from(high) << 64 | i128::from(low as u64),
                ..Queue::default()
            };
            for _ in 0..reader.len(8)? {
                queue.tickets.insert(reader.u64()?);
            }
            if queue.tickets.is_empty() {
                return Err(format!("an empty queue of asset {asset}"));
            }
            flow.queues.insert(asset, queue);
        }
        for _ in 0..reader.len(16)? {
            flow.held.insert(reader.u64()?, reader.i64()?);
        }
        for _ in 0..reader.len(12)? {
            flow.recent.push_back((reader.i64()?, reader.u32()?));
        }
        let sizes = flow.outflow.len().max(flow.queues.len());
        if sizes > MAX_ASSETS || flow.held.len() > MAX_WITHDRAWALS {
            return Err(format!("{sizes} assets, {} tickets held", flow.held.len()));
        }
        Ok(flow)
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        for (&asset, queue) in &self.queues {
            due.insert((queue.next_ns, due::FLOW, u64::from(asset)));
        }
        for (&ticket, &ready_ns) in &self.held {
            due.insert((ready_ns, due::WITHDRAWAL, ticket));
        }
    }
}

/// The next moment at which a window may have room: custody may have grown meanwhile, so a queue looks again then.
pub fn next_bucket_ns(now_ns: i64) -> i64 {
    bucket_of(now_ns).saturating_add(1).saturating_mul(OUTFLOW_BUCKET_NS)
}
