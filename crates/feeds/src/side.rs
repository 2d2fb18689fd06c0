//! One side of a bounded book, and two of them.

use crate::checksum::{crc32, write_decimal};
use crate::ladder::Ladder;
use crate::Level;

/// Room for the digits of ten usual levels.
const USUAL_TEXT_BYTES: usize = 256;

/// Price levels of one side.
///
/// Their keys grow towards the best: a bid's price, an ask's complement. `horizon`: levels better than or at it are
/// completely known; beyond it only those that a later update touched (a snapshot is finite).
#[derive(Clone, Debug)]
pub struct Side {
    bids: bool,
    max_levels: usize,
    ladder: Ladder,
    horizon_key: Option<i64>,
    text: Option<Text>,
}

/// The best levels as they were last written; most updates of a deep book are behind them.
#[derive(Clone, Debug)]
struct Text {
    asked: Units,
    digits: Vec<u8>,
    /// The worst of its levels; None when the whole side is in it.
    worst_key: Option<i64>,
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
        Side { bids, max_levels, ladder: Ladder::default(), horizon_key: None, text: None }
    }

    pub fn is_bids(&self) -> bool {
        self.bids
    }

    pub fn max_levels(&self) -> usize {
        self.max_levels
    }

    pub fn len(&self) -> usize {
        self.ladder.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ladder.len() == 0
    }

    /// Its own inverse. The complement of an ask turns the order around and, unlike the negative, always exists.
    fn key(&self, price_ticks: i64) -> i64 {
        if self.bids {
            price_ticks
        } else {
            !price_ticks
        }
    }

    /// Forgets every level.
    pub fn clear(&mut self) {
        self.ladder.clear();
        self.horizon_key = None;
        self.text = None;
    }

    /// Takes a snapshot's levels in any order; 0 lots are no level, and of several with one price the last holds.
    pub fn replace(&mut self, levels: &[Level]) {
        self.clear();
        for level in levels.iter().filter(|level| level.lots != 0) {
            self.set(*level);
        }
        self.truncate(&mut Vec::new());
        self.horizon_key = self.ladder.first();
    }

    /// Applies absolute quantities. None: every one of them changed its level; else those that did.
    pub fn apply(&mut self, levels: &[Level]) -> Option<Vec<Level>> {
        let mut changed: Option<Vec<Level>> = None;
        for (place, level) in levels.iter().enumerate() {
            match (self.set(*level), &mut changed) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(changed)) => changed.push(*level),
                (false, None) => {
                    let mut before = Vec::with_capacity(levels.len());
                    before.extend_from_slice(&levels[..place]);
                    changed = Some(before);
                }
            }
        }
        changed
    }

    /// Whether the level was another one before.
    #[inline]
    fn set(&mut self, level: Level) -> bool {
        let key = self.key(level.price_ticks);
        let place = self.ladder.find(key);
        match (place.exists, level.lots) {
            (false, 0) => return false,
            (false, lots) => self.ladder.insert(place, key, lots),
            (true, 0) => self.ladder.remove(place),
            (true, lots) => match self.ladder.lots_mut(place) {
                Some(old) if *old != lots => *old = lots,
                _ => return false,
            },
        }
        if self.text.as_ref().is_some_and(|text| text.worst_key.is_none_or(|worst| key >= worst)) {
            self.text = None;
        }
        true
    }

    /// Drops the worst levels beyond the bound; `dropped` gets them as removals, worst first.
    pub fn truncate(&mut self, dropped: &mut Vec<Level>) {
        if self.ladder.len() <= self.max_levels {
            return;
        }
        while self.ladder.len() > self.max_levels {
            let Some(key) = self.ladder.pop_first() else { break };
            dropped.push(Level { price_ticks: self.key(key), lots: 0 });
        }
        self.text = None;
        self.horizon_key = self.horizon_key.max(self.ladder.first());
    }

    /// The best level.
    pub fn best(&self) -> Option<Level> {
        self.ladder.last().map(|(key, lots)| Level { price_ticks: self.key(key), lots })
    }

    /// Lots at a price, None when there is no such level.
    pub fn lots_at(&self, price_ticks: i64) -> Option<i128> {
        self.ladder.lots(self.key(price_ticks))
    }

    /// Worst price up to which every level is known, None before a snapshot.
    pub fn horizon_ticks(&self) -> Option<i64> {
        self.horizon_key.map(|key| self.key(key))
    }

    /// How many of the best levels are inside the horizon.
    pub fn complete_levels(&self) -> usize {
        self.horizon_key.map_or(0, |key| self.ladder.count_from(key))
    }

    /// The best `count` levels, best first.
    pub fn top(&self, count: usize) -> impl Iterator<Item = Level> + '_ {
        let level = |(key, lots)| Level { price_ticks: self.key(key), lots };
        self.ladder.descending().take(count).map(level)
    }

    /// Price and quantity of the best levels, each times its units, written one behind another.
    pub fn text(&mut self, asked: Units) -> &[u8] {
        let kept = self.text.take().filter(|text| text.asked == asked);
        let text = kept.unwrap_or_else(|| self.written(asked));
        &self.text.insert(text).digits
    }

    fn written(&self, asked: Units) -> Text {
        let mut digits = Vec::with_capacity(USUAL_TEXT_BYTES);
        let mut worst = None;
        for level in self.top(asked.count) {
            worst = Some(self.key(level.price_ticks));
            // no venue writes what saturates; if one did, its checksum would fail here and not pass
            write_decimal(i128::from(level.price_ticks) * i128::from(asked.tick_units), &mut digits);
            write_decimal(level.lots.saturating_mul(i128::from(asked.lot_units)), &mut digits);
        }
        Text { asked, digits, worst_key: worst.filter(|_| self.len() >= asked.count) }
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
