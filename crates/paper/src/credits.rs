//! Prints that the display does not show yet, and their remainders below one lot.

use std::collections::BTreeMap;

use crate::Key;

/// Levels with the rest of a print; beyond, all rests are forgotten.
pub const MAX_CARRIES: usize = 4_096;
/// Levels with prints that are not displayed yet; beyond, all are forgotten.
pub const MAX_CREDITED_LEVELS: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Credit {
    venue_ts_ns: Option<i64>,
    lots: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Credits {
    levels: BTreeMap<Key, Vec<Credit>>,
    /// The venue's lots of prints that made no whole engine lot.
    carries: BTreeMap<Key, i128>,
    /// Time of the last difference.
    shown_ts_ns: Option<i64>,
}

impl Credits {
    pub fn clear(&mut self) {
        *self = Credits::default();
    }

    /// Lots of this level that were printed and are still displayed.
    #[inline]
    pub fn lots(&self, key: Key) -> i64 {
        let credits = self.levels.get(&key).map_or(&[][..], Vec::as_slice);
        credits.iter().fold(0, |sum, credit| sum.saturating_add(credit.lots))
    }

    /// Whole engine lots of this print, with the remainder of earlier ones at the same level.
    pub fn carried(&mut self, key: Key, venue_lots: i128, ratio: i64) -> i64 {
        let whole = |lots: i128| i64::try_from(lots).unwrap_or(i64::MAX);
        if ratio == 1 {
            return whole(venue_lots);
        }
        let ratio = i128::from(ratio);
        if self.carries.len() >= MAX_CARRIES {
            self.carries.clear();
        }
        let all = self.carries.remove(&key).unwrap_or(0).saturating_add(venue_lots);
        if all % ratio != 0 {
            self.carries.insert(key, all % ratio);
        }
        whole(all / ratio)
    }

    /// A print took `lots`: those of them count that the display still contains. None does when a difference was
    /// newer; `waiting` lots are gone from the display, and the print explains them.
    pub fn print(&mut self, key: Key, venue_ts_ns: Option<i64>, lots: i64, waiting: i64) {
        if matches!((venue_ts_ns, self.shown_ts_ns), (Some(printed), Some(shown)) if printed < shown) {
            return;
        }
        self.add(key, venue_ts_ns, lots - lots.min(waiting));
    }

    pub fn add(&mut self, key: Key, venue_ts_ns: Option<i64>, lots: i64) {
        if lots == 0 {
            return;
        }
        if self.levels.len() >= MAX_CREDITED_LEVELS {
            self.levels.clear();
        }
        self.levels.entry(key).or_default().push(Credit { venue_ts_ns, lots });
    }

    /// A difference of this time came: prints up to it are part of it. The levels they belong to.
    pub fn expire(&mut self, venue_ts_ns: Option<i64>) -> Vec<Key> {
        self.shown_ts_ns = venue_ts_ns;
        let mut touched = Vec::new();
        self.levels.retain(|&key, credits| {
            let before = credits.len();
            credits.retain(
                |credit| matches!((credit.venue_ts_ns, venue_ts_ns), (Some(own), Some(shown)) if own > shown),
            );
            if credits.len() != before {
                touched.push(key);
            }
            !credits.is_empty()
        });
        touched
    }
}
