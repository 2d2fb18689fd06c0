//! Displayed lots that a paper taker took: they do not come back before the venue's level changes, or for a time (T15.2
//! rule 6).

use std::collections::BTreeMap;

use crate::Key;

/// Shadows of one level that are told apart; beyond, the last one takes in what comes.
pub const MAX_SHADOWS_PER_LEVEL: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Shadow {
    expiry_ns: i64,
    lots: i64,
}

/// No level is without a shadow, and no shadow without lots once it was capped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadows {
    levels: BTreeMap<Key, Vec<Shadow>>,
}

impl Shadows {
    #[inline]
    pub fn lots(&self, key: Key) -> i64 {
        let shadows = self.levels.get(&key).map_or(&[][..], Vec::as_slice);
        shadows.iter().fold(0, |sum, shadow| sum.saturating_add(shadow.lots))
    }

    pub fn add(&mut self, key: Key, lots: i64, expiry_ns: i64) {
        let shadows = self.levels.entry(key).or_default();
        let full = shadows.len() >= MAX_SHADOWS_PER_LEVEL;
        match shadows.last_mut() {
            Some(last) if full => {
                last.expiry_ns = expiry_ns;
                last.lots = last.lots.saturating_add(lots);
            }
            _ => shadows.push(Shadow { expiry_ns, lots }),
        }
    }

    /// The venue lost `lots` at this level: the front of the queue, which is what paper takers had taken.
    pub fn drop_front(&mut self, key: Key, lots: i64, displayed: i64) {
        let Some(shadows) = self.levels.get_mut(&key) else { return };
        let mut left = lots;
        for shadow in shadows.iter_mut() {
            let part = left.min(shadow.lots);
            shadow.lots -= part;
            left -= part;
        }
        if cap(shadows, displayed) {
            self.levels.remove(&key);
        }
    }

    /// No more is hidden than is displayed.
    pub fn cap_all(&mut self, displayed: impl Fn(Key) -> i64) {
        self.levels.retain(|&key, shadows| !cap(shadows, displayed(key)));
    }

    /// Forgets what has expired; the levels it belongs to.
    pub fn expire(&mut self, now_ns: i64) -> Vec<Key> {
        let mut touched = Vec::new();
        self.levels.retain(|&key, shadows| {
            let before = shadows.len();
            shadows.retain(|shadow| shadow.expiry_ns > now_ns);
            if shadows.len() != before {
                touched.push(key);
            }
            !shadows.is_empty()
        });
        touched
    }

    /// The expiry of the first shadow of each level.
    pub fn first_expiries(&self) -> impl Iterator<Item = i64> + '_ {
        self.levels.values().filter_map(|shadows| shadows.first().map(|shadow| shadow.expiry_ns))
    }
}

/// Whether nothing is left.
fn cap(shadows: &mut Vec<Shadow>, displayed: i64) -> bool {
    let mut room = displayed;
    for shadow in shadows.iter_mut() {
        shadow.lots = shadow.lots.min(room);
        room -= shadow.lots;
    }
    shadows.retain(|shadow| shadow.lots != 0);
    shadows.is_empty()
}
