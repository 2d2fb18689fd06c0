//! One side of a bounded book, and two of them.

use std::collections::VecDeque;

use crate::checksum::{crc32, write_decimal};
use crate::Level;

/// Price levels of one side.
///
/// They are sorted with the best one last, in rings: an edit moves what lies between it and the nearer end, and most
/// are near the top or drop the worst levels. Keys grow towards the best: a bid's price, an ask's complement. `horizon`: levels better than or at
/// it are completely known; beyond it only those that a later update touched (a snapshot is finite).
#[derive(Clone, Debug)]
pub struct Side {
    bids: bool,
    max_levels: usize,
    keys: VecDeque<i128>,
    lots: VecDeque<i128>,
    horizon_key: Option<i128>,
    text: Option<Text>,
}

/// The best levels as they were last written; most updates of a deep book are behind them.
#[derive(Clone, Debug)]
struct Text {
    asked: Units,
    digits: Vec<u8>,
    /// The worst of its levels; None when the whole side is in it.
    worst_key: Option<i128>,
}

/// How many levels to write, and what one tick and one lot count in the venue's smallest units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    pub count: usize,
    pub tick_units: u64,
    pub lot_units: u64,
}

impl Side {
    /// `max_levels` is at least 1.
    pub fn new(bids: bool, max_levels: usize) -> Self {
        let max_levels = max_levels.max(1);
        Side { bids, max_levels, keys: VecDeque::new(), lots: VecDeque::new(), horizon_key: None, text: None }
    }

    pub fn is_bids(&self) -> bool {
        self.bids
    }

    pub fn max_levels(&self) -> usize {
        self.max_levels
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Its own inverse. The complement of an ask turns the order around and, unlike the negative, always exists.
    fn key(&self, price_ticks: i128) -> i128 {
        if self.bids {
            price_ticks
        } else {
            !price_ticks
        }
    }

    fn level(&self, place: usize) -> Option<Level> {
        let (&key, &lots) = (self.keys.get(place)?, self.lots.get(place)?);
        Some(Level { price_ticks: self.key(key), lots })
    }

    /// Where the key is, or where it would be.
    #[inline]
    fn place(&self, key: i128) -> (usize, bool) {
        let place = self.keys.partition_point(|&one| one < key);
        (place, self.keys.get(place) == Some(&key))
    }

    /// Forgets every level.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.lots.clear();
        self.horizon_key = None;
        self.text = None;
    }

    /// Takes a snapshot's levels in any order; 0 lots are no level, and of several with one price the last holds.
    pub fn replace(&mut self, levels: &[Level]) {
        self.clear();
        let mut sorted: Vec<Level> = levels.iter().copied().filter(|level| level.lots != 0).collect();
        sorted.sort_by_key(|level| self.key(level.price_ticks));
        for (place, level) in sorted.iter().enumerate() {
            if sorted.get(place + 1).is_none_or(|next| next.price_ticks != level.price_ticks) {
                self.keys.push_back(self.key(level.price_ticks));
                self.lots.push_back(level.lots);
            }
        }
        self.truncate(&mut Vec::new());
        self.horizon_key = self.keys.front().copied();
    }

    /// Applies absolute quantities. None: every one of them changed its level; else those that did.
    pub fn apply(&mut self, levels: &[Level]) -> Option<Vec<Level>> {
        let mut changed: Option<Vec<Level>> = None;
        for (place, level) in levels.iter().enumerate() {
            match (self.set(*level), &mut changed) {
                (true, None) => {}
                (true, Some(changed)) => changed.push(*level),
                (false, None) => changed = Some(levels[..place].to_vec()),
                (false, Some(_)) => {}
            }
        }
        changed
    }

    /// Whether the level was another one before.
    #[inline]
    fn set(&mut self, level: Level) -> bool {
        let key = self.key(level.price_ticks);
        let (place, exists) = self.place(key);
        match (exists, level.lots) {
            (false, 0) => return false,
            (false, lots) => {
                self.keys.insert(place, key);
                self.lots.insert(place, lots);
            }
            (true, 0) => {
                self.keys.remove(place);
                self.lots.remove(place);
            }
            (true, lots) => {
                let old = &mut self.lots[place];
                if *old == lots {
                    return false;
                }
                *old = lots;
            }
        }
        if self.text.as_ref().is_some_and(|text| text.worst_key.is_none_or(|worst| key >= worst)) {
            self.text = None;
        }
        true
    }

    /// Drops the worst levels beyond the bound; `dropped` gets them as removals, worst first.
    pub fn truncate(&mut self, dropped: &mut Vec<Level>) {
        let excess = self.keys.len().saturating_sub(self.max_levels);
        if excess == 0 {
            return;
        }
        let bids = self.bids;
        self.lots.drain(..excess);
        dropped.extend(self.keys.drain(..excess).map(|key| {
            let price_ticks = if bids { key } else { !key };
            Level { price_ticks, lots: 0 }
        }));
        self.text = None;
        let worst = self.keys.front().copied();
        self.horizon_key = self.horizon_key.max(worst);
    }

    /// The best level.
    pub fn best(&self) -> Option<Level> {
        self.level(self.keys.len().checked_sub(1)?)
    }

    /// Lots at a price, None when there is no such level.
    pub fn lots_at(&self, price_ticks: i128) -> Option<i128> {
        let (place, exists) = self.place(self.key(price_ticks));
        exists.then(|| self.lots[place])
    }

    /// Worst price up to which every level is known, None before a snapshot.
    pub fn horizon_ticks(&self) -> Option<i128> {
        self.horizon_key.map(|key| self.key(key))
    }

    /// How many of the best levels are inside the horizon.
    pub fn complete_levels(&self) -> usize {
        self.horizon_key.map_or(0, |key| self.keys.len() - self.place(key).0)
    }

    /// The best `count` levels, best first.
    pub fn top(&self, count: usize) -> impl Iterator<Item = Level> + '_ {
        let begin = self.keys.len().saturating_sub(count);
        (begin..self.keys.len()).rev().filter_map(|place| self.level(place))
    }

    /// Price and quantity of the best levels, each times its units, written one behind another.
    pub fn text(&mut self, asked: Units) -> &[u8] {
        let kept = self.text.take().filter(|text| text.asked == asked);
        let text = kept.unwrap_or_else(|| self.written(asked));
        &self.text.insert(text).digits
    }

    fn written(&self, asked: Units) -> Text {
        let mut digits = Vec::new();
        for level in self.top(asked.count) {
            // no venue writes what saturates; if one did, its checksum would fail here and not pass
            write_decimal(level.price_ticks.saturating_mul(i128::from(asked.tick_units)), &mut digits);
            write_decimal(level.lots.saturating_mul(i128::from(asked.lot_units)), &mut digits);
        }
        let worst = self.keys.len().checked_sub(asked.count).and_then(|place| self.keys.get(place));
        Text { asked, digits, worst_key: worst.copied() }
    }
}

/// Kraken's checksum: CRC-32 over the text of the best asks, then of the best bids.
pub fn checksum(bids: &mut Side, asks: &mut Side, asked: Units) -> u32 {
    crc32(&[asks.text(asked), bids.text(asked)])
}

/// Applies an update to both sides and cuts them to their bound. None: what really changed is the update itself; else
/// the changed levels of both sides, those that were dropped behind them with 0 lots.
pub fn update(
    sides: (&mut Side, &mut Side),
    bids: &[Level],
    asks: &[Level],
) -> Option<(Vec<Level>, Vec<Level>)> {
    let (changed_bids, changed_asks) = (sides.0.apply(bids), sides.1.apply(asks));
    let (mut dropped_bids, mut dropped_asks) = (Vec::new(), Vec::new());
    sides.0.truncate(&mut dropped_bids);
    sides.1.truncate(&mut dropped_asks);
    let as_told = dropped_bids.is_empty() && dropped_asks.is_empty();
    if as_told && changed_bids.is_none() && changed_asks.is_none() {
        return None;
    }
    let mut all_bids = changed_bids.unwrap_or_else(|| bids.to_vec());
    let mut all_asks = changed_asks.unwrap_or_else(|| asks.to_vec());
    all_bids.append(&mut dropped_bids);
    all_asks.append(&mut dropped_asks);
    Some((all_bids, all_asks))
}
