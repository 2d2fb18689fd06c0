//! Owners that count as one in detection: declared by RISK with evidence, pair by pair (protocol P12.3).

use std::collections::BTreeSet;

use crate::codec::{Reader, Writer};
use crate::limits::MAX_OWNER_LINKS;

/// Declared pairs of accounts.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// (lower handle, higher handle).
    pairs: BTreeSet<(u32, u32)>,
    /// Links by account handle, as far as the last account that has one; derived.
    counts: Vec<u32>,
}

fn ordered(first: u32, other: u32) -> (u32, u32) {
    (first.min(other), first.max(other))
}

impl Links {
    /// Whether two accounts are linked.
    #[inline]
    pub fn linked(&self, first: u32, other: u32) -> bool {
        self.has_any(first) && self.has_any(other) && self.pairs.contains(&ordered(first, other))
    }

    /// Whether an account is linked to any other.
    #[inline]
    pub fn has_any(&self, account: u32) -> bool {
        self.counts.get(account as usize).is_some_and(|&count| count > 0)
    }

    /// Every pair, the lower handle first.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.pairs.iter().copied()
    }

    pub fn is_full(&self) -> bool {
        self.pairs.len() >= MAX_OWNER_LINKS
    }

    /// Adds a pair; false when it was declared before.
    pub fn link(&mut self, first: u32, other: u32) -> bool {
        let added = self.pairs.insert(ordered(first, other));
        if added {
            for account in [first as usize, other as usize] {
                if account >= self.counts.len() {
                    self.counts.resize(account + 1, 0);
                }
                self.counts[account] += 1;
            }
        }
        added
    }

    /// Removes a pair; false when there was none.
    pub fn unlink(&mut self, first: u32, other: u32) -> bool {
        let removed = self.pairs.remove(&ordered(first, other));
        if removed {
            for account in [first, other] {
                self.counts[account as usize] -= 1;
            }
        }
        removed
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.pairs.len());
        for &(low, high) in &self.pairs {
            writer.u32(low);
            writer.u32(high);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut links = Links::default();
        for _ in 0..reader.len(8)? {
            let (low, high) = (reader.u32()?, reader.u32()?);
            if low >= high || links.is_full() || high as usize >= crate::limits::MAX_ACCOUNTS {
                return Err(format!("accounts {low} and {high} are linked"));
            }
            links.link(low, high);
        }
        Ok(links)
    }
}
