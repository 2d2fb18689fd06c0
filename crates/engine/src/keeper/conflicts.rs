//! Evidence that a price source signed two different values under one number (protocol P13.3).
//!
//! The second publication is refused, so that business state cannot remember it; the cursor can (P1.1.3).

use std::collections::VecDeque;

use crate::codec::{Reader, Writer};
use crate::limits::MAX_CONFLICTS;

/// The last conflicts: source key and evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conflicts {
    ring: VecDeque<([u8; 32], [u8; 32])>,
}

impl Conflicts {
    /// Notes that `source` published `second` where it had published `first`, under the same number.
    pub fn note(&mut self, source: &[u8; 32], feed: u32, number: u64, first: i64, second: i64) {
        let evidence = evidence(source, feed, number, first, second);
        if first == second || self.holds(source, &evidence) {
            return;
        }
        if self.ring.len() >= MAX_CONFLICTS {
            self.ring.pop_front();
        }
        self.ring.push_back((*source, evidence));
    }

    pub fn holds(&self, source: &[u8; 32], evidence: &[u8; 32]) -> bool {
        self.ring.iter().any(|entry| entry == &(*source, *evidence))
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.ring.len());
        for (source, evidence) in &self.ring {
            writer.raw(source);
            writer.raw(evidence);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut conflicts = Conflicts::default();
        for _ in 0..reader.len(64)? {
            conflicts.ring.push_back((reader.array()?, reader.array()?));
        }
        Ok(conflicts)
    }
}

/// The hash that names a conflict; whoever reads the log can compute it from the two publications.
pub fn evidence(source: &[u8; 32], feed: u32, number: u64, first: i64, second: i64) -> [u8; 32] {
    let mut key = Vec::with_capacity(60);
    key.extend_from_slice(source);
    key.extend_from_slice(&feed.to_le_bytes());
    key.extend_from_slice(&number.to_le_bytes());
    key.extend_from_slice(&first.to_le_bytes());
    key.extend_from_slice(&second.to_le_bytes());
    crate::id::derive("conflicting-publication", &key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_kept_once_belongs_to_its_source_and_old_ones_make_room() {
        let mut conflicts = Conflicts::default();
        conflicts.note(&[1; 32], 0, 7, 100, 100);
        assert_eq!(conflicts, Conflicts::default());
        conflicts.note(&[1; 32], 0, 7, 100, 101);
        conflicts.note(&[1; 32], 0, 7, 100, 101);
        let first = evidence(&[1; 32], 0, 7, 100, 101);
        assert!(conflicts.holds(&[1; 32], &first) && !conflicts.holds(&[2; 32], &first));
        assert_eq!(conflicts.ring.len(), 1);
        (0..MAX_CONFLICTS as u64).for_each(|number| conflicts.note(&[1; 32], 1, number, 1, 2));
        assert!(!conflicts.holds(&[1; 32], &first));
        assert_eq!(conflicts.ring.len(), MAX_CONFLICTS);
    }
}
