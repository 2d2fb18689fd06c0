//! The mirror of one symbol: what comes in from outside. Every call states the time, none reads a clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::credits::Credits;
use crate::cuts::CancelModel;
use crate::queues::Queues;
use crate::shadows::Shadows;
use crate::shown::Shown;
use crate::{Action, Key, Side};

/// Most levels that are mirrored for one order that arrives.
pub const MAX_PREPARED_LEVELS: usize = 64;

/// Bounds and times of the mirror.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Best levels of each side that are mirrored; levels that leave stay until twice that depth.
    pub depth_levels: usize,
    /// The venue's lots in one engine lot.
    pub lots_ratio: i64,
    pub cancel_model: CancelModel,
    pub decrease_wait_ns: i64,
    pub cross_wait_ns: i64,
    pub shadow_ns: i64,
}

/// Counters of one mirror; `forced_lots` over `updates` is the discrepancy metric of rule 5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub updates: u64,
    pub prints: u64,
    pub prints_without_side: u64,
    pub unexplained_levels: u64,
    pub forced_lots: i64,
    pub trade_through_fills: u64,
    pub stale_better_lots: i64,
    pub shadowed_lots: i64,
}

/// A level's new absolute quantity in the venue's lots; 0 removes it.
pub type Change = (Side, i64, i128);

#[derive(Clone, Debug)]
pub struct Mirror {
    pub config: Config,
    pub queues: Queues,
    pub stats: Stats,
    pub(crate) live: bool,
    pub(crate) shown: [Shown; 2],
    pub(crate) shadows: Shadows,
    pub(crate) credits: Credits,
    /// Since when a level holds more than it should.
    pub(crate) excess_since: BTreeMap<Key, i64>,
    /// Since when the venue's other side shows through an own order.
    pub(crate) cross_since: BTreeMap<u64, i64>,
    /// Levels to look at again at the next `due`.
    pub(crate) held: BTreeSet<Key>,
}

impl Mirror {
    /// `depth_levels` and `lots_ratio` are at least 1.
    pub fn new(config: Config) -> Self {
        let (depth_levels, lots_ratio) = (config.depth_levels.max(1), config.lots_ratio.max(1));
        Mirror {
            config: Config { depth_levels, lots_ratio, ..config },
            queues: Queues::default(),
            stats: Stats::default(),
            live: false,
            shown: Side::BOTH.map(Shown::new),
            shadows: Shadows::default(),
            credits: Credits::default(),
            excess_since: BTreeMap::new(),
            cross_since: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    /// Whether the outside book is live and mirrored.
    pub fn is_live(&self) -> bool {
        self.live
    }

    // ---- what the venue displays ---------------------------------------------------------------------------------

    /// Best displayed price of the venue, in ticks.
    pub fn best(&self, side: Side) -> Option<i64> {
        self.shown[side as usize].best()
    }

    /// Displayed size at a level in whole engine lots.
    pub fn shown_lots(&self, side: Side, price_ticks: i64) -> i64 {
        self.shown[side as usize].lots(price_ticks)
    }

    /// The best `count` displayed levels as (price in ticks, engine lots), best first.
    pub fn top(&self, side: Side, count: usize) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.shown[side as usize].levels().take(count)
    }

    /// Displayed size of a side from its best price to `limit_ticks`, in engine lots.
    pub fn shown_through(&self, side: Side, limit_ticks: i64) -> i64 {
        let through = self.shown[side as usize].through(limit_ticks);
        through.fold(0, |sum, (_, lots)| sum.saturating_add(lots))
    }

    /// What the mirror should hold: displayed, less what paper takers took, less prints not yet displayed.
    pub fn wanted_lots(&self, side: Side, price_ticks: i64) -> i64 {
        let hidden = self.hidden_lots((side, price_ticks));
        self.shown_lots(side, price_ticks).saturating_sub(hidden).max(0)
    }

    #[inline]
    fn hidden_lots(&self, key: Key) -> i64 {
        self.shadows.lots(key).saturating_add(self.credits.lots(key))
    }

    /// Whole engine lots of the venue's; None: no level.
    #[inline]
    fn engine_lots(&self, venue_lots: i128) -> Option<i64> {
        if venue_lots == 0 {
            return None;
        }
        let ratio = self.config.lots_ratio;
        // nearly all quantities are small, and the wide division is slow
        Some(match i64::try_from(venue_lots) {
            Ok(lots) if ratio == 1 => lots,
            Ok(lots) => lots / ratio,
            Err(_) => i64::try_from(venue_lots / i128::from(ratio)).unwrap_or(i64::MAX),
        })
    }

    // ---- inputs --------------------------------------------------------------------------------------------------

    /// A whole new book. Queues that survived a gap shrink at once (nobody printed what we missed).
    pub fn snapshot(&mut self, levels: impl Iterator<Item = Change>, now_ns: i64, out: &mut Vec<Action>) {
        self.remember(levels);
        self.resume(now_ns, out);
    }

    /// Takes note of a whole new book without acting on it.
    pub fn remember(&mut self, levels: impl Iterator<Item = Change>) {
        self.shown.iter_mut().for_each(Shown::clear);
        for (side, price_ticks, venue_lots) in levels {
            let lots = self.engine_lots(venue_lots);
            self.shown[side as usize].set(price_ticks, lots);
        }
    }

    /// The book is live (again): everything that is not displayed leaves at once.
    pub fn resume(&mut self, now_ns: i64, out: &mut Vec<Action>) {
        self.credits.clear();
        self.excess_since.clear();
        self.cross_since.clear();
        self.held.clear();
        let shown = &self.shown;
        self.shadows.cap_all(|(side, price_ticks)| shown[side as usize].lots(price_ticks));
        self.live = true;
        let levels = |side: Side| self.queues.levels(side).iter().map(move |level| (side, level.price_ticks));
        let touched = levels(Side::Bid).chain(levels(Side::Ask)).collect();
        self.reconcile(touched, &[], now_ns, true, out);
    }

    /// The book is not live any more: no prints, no crossings, no changes until the next snapshot (rule 8).
    pub fn suspend(&mut self) {
        self.live = false;
        self.cross_since.clear();
    }

    /// Absolute new sizes of some levels. Without a live book they are only remembered.
    pub fn diff(
        &mut self,
        changes: impl Iterator<Item = Change>,
        venue_ts_ns: Option<i64>,
        now_ns: i64,
        out: &mut Vec<Action>,
    ) {
        if !self.live {
            for (side, price_ticks, venue_lots) in changes {
                let lots = self.engine_lots(venue_lots);
                self.shown[side as usize].set(price_ticks, lots);
            }
            return;
        }
        self.stats.updates += 1;
        let mut touched = self.credits.expire(venue_ts_ns);
        let mut growth: Vec<(Key, i64)> = Vec::new();
        for (side, price_ticks, venue_lots) in changes {
            let key = (side, price_ticks);
            let lots = self.engine_lots(venue_lots);
            let before = self.shown[side as usize].set(price_ticks, lots);
            let after = lots.unwrap_or(0);
            if after > before {
                growth.push((key, after - before));
            } else if after < before {
                self.shadows.drop_front(key, before - after, after);
            }
            touched.push(key);
        }
        self.reconcile(touched, &growth, now_ns, false, out);
    }

    /// A public trade print (rule 2); `aggressor` is the side of who took, when it is known.
    pub fn trade(
        &mut self,
        price_ticks: i64,
        venue_lots: i128,
        aggressor: Option<Side>,
        venue_ts_ns: Option<i64>,
        out: &mut Vec<Action>,
    ) {
        if !self.live {
            return;
        }
        self.stats.prints += 1;
        let Some(aggressor) = aggressor.or_else(|| self.aggressor(price_ticks)) else {
            self.stats.prints_without_side += 1;
            return;
        };
        let hit = aggressor.opposite();
        let key = (hit, price_ticks);
        let lots = self.credits.carried(key, venue_lots, self.config.lots_ratio);
        self.drop_stale_better(key, venue_ts_ns, out);
        if lots == 0 {
            return;
        }
        let waiting = self.queues.mirror_lots(hit, price_ticks) - self.wanted_lots(hit, price_ticks);
        self.credits.print(key, venue_ts_ns, lots, waiting.max(0));
        out.push(Action::Take { side: aggressor, price_ticks, lots });
        self.retry(hit, price_ticks);
    }

    /// A paper taker took mirror lots from this level: they stay gone (rule 6).
    pub fn taken(&mut self, side: Side, price_ticks: i64, lots: i64, now_ns: i64) {
        self.shadows.add((side, price_ticks), lots, now_ns.saturating_add(self.config.shadow_ns));
        self.stats.shadowed_lots = self.stats.shadowed_lots.saturating_add(lots);
    }

    /// Looks at this level again at the next `due`: a placement was refused, or a print came late.
    pub fn retry(&mut self, side: Side, price_ticks: i64) {
        self.held.insert((side, price_ticks));
    }

    /// The engine refused this action: somebody else's order came in between.
    pub fn refused(&mut self, action: &Action) {
        match *action {
            Action::Place { side, price_ticks, .. } => self.retry(side, price_ticks),
            Action::Resize { order, .. } => {
                if let Some(&entry) = self.queues.get(order) {
                    self.retry(entry.side, entry.price_ticks);
                }
            }
            Action::Cancel { .. } | Action::Take { .. } => {}
        }
    }

    /// What must be mirrored before an own order arrives: the queue it joins and the depth it may take.
    pub fn prepare(&mut self, side: Side, price_ticks: i64, lots: i64, out: &mut Vec<Action>) {
        let taken_from = side.opposite();
        let reach: Vec<i64> =
            self.shown[taken_from as usize].through(price_ticks).map(|(price, _)| price).collect();
        let (mut room, before) = (lots, out.len());
        for price in reach {
            self.fill_level((taken_from, price), out);
            room = room.saturating_sub(self.wanted_lots(taken_from, price));
            if room <= 0 || out.len() - before >= MAX_PREPARED_LEVELS {
                break;
            }
        }
        self.fill_level((side, price_ticks), out);
    }

    /// Actions whose time has come: waited-out decreases, persisted crossings, expired shadows, held levels.
    pub fn due(&mut self, now_ns: i64, out: &mut Vec<Action>) {
        if !self.live {
            return;
        }
        let mut touched = self.shadows.expire(now_ns);
        let wait_ns = self.config.decrease_wait_ns;
        touched.extend(
            self.excess_since
                .iter()
                .filter(|(_, &since_ns)| now_ns - since_ns >= wait_ns)
                .map(|(&key, _)| key),
        );
        touched.extend(&self.held);
        if !touched.is_empty() {
            self.reconcile(touched, &[], now_ns, false, out);
        }
        self.crossings(now_ns, out);
    }

    /// The earliest moment at which `due` may have something to do; None: nothing is waiting.
    pub fn next_due_ns(&self) -> Option<i64> {
        let excess = self.excess_since.values().map(|since_ns| since_ns + self.config.decrease_wait_ns);
        let crosses = self.cross_since.values().map(|since_ns| since_ns + self.config.cross_wait_ns);
        excess.chain(crosses).chain(self.shadows.first_expiries()).min()
    }
}
