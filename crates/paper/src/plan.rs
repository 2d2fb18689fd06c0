//! Bringing the mirror to what is displayed: cuts, placements, and the crossings of rule 4.

use crate::cuts::cancel_shares;
use crate::mirror::Mirror;
use crate::queues::Entry;
use crate::{Action, Key, Side};

impl Mirror {
    /// Cuts first, then placements, so that no mirror order ever meets another one. `growth` is what the venue just
    /// added to levels.
    pub(crate) fn reconcile(
        &mut self,
        mut touched: Vec<Key>,
        growth: &[(Key, i64)],
        now_ns: i64,
        forced: bool,
        out: &mut Vec<Action>,
    ) {
        let mut cleared = Vec::new();
        let mut edges = [None; 2];
        for side in Side::BOTH {
            self.crossed_levels(side, &mut cleared);
            self.left_window(side, &mut cleared);
            edges[side as usize] = self.bare_window(side, &mut touched);
        }
        for keys in [&mut cleared, &mut touched] {
            keys.sort_unstable();
            keys.dedup();
        }
        for &key in &cleared {
            self.excess_since.remove(&key);
            self.clear_level(key, out);
        }
        let mut places = Vec::new();
        for key in touched {
            if cleared.binary_search(&key).is_err() {
                let edge = edges[key.0 as usize];
                self.reconcile_level(key, growth, now_ns, (forced, edge), out, &mut places);
            }
        }
        self.note_crossings(now_ns);
        out.append(&mut places);
    }

    /// Cuts and placements of one level.
    fn reconcile_level(
        &mut self,
        key: Key,
        growth: &[(Key, i64)],
        now_ns: i64,
        (forced, edge): (bool, Option<i64>),
        cuts: &mut Vec<Action>,
        places: &mut Vec<Action>,
    ) {
        let (side, price) = key;
        let level = self.queues.level(side, price);
        let (have, mirrored) = level.map_or((0, false), |level| (level.mirror_lots, true));
        let want = self.wanted_lots(side, price);
        if have > want {
            self.shrink(key, have - want, now_ns, forced, cuts);
            // an increase while a decrease waits: what the venue added last counts
            let grown = growth.iter().rev().find(|(grown, _)| *grown == key);
            if let Some(&(_, lots)) = grown.filter(|_| self.excess_since.contains_key(&key)) {
                self.grow(key, lots, places);
            }
            return;
        }
        self.excess_since.remove(&key);
        if have == want {
            self.held.remove(&key);
        } else if mirrored || edge.is_some_and(|edge| side.reaches(price, edge)) {
            self.grow(key, want - have, places);
        }
    }

    /// Mirror levels at prices where the venue now shows the other side: gone at the venue.
    fn crossed_levels(&self, side: Side, cleared: &mut Vec<Key>) {
        let Some(best) = self.best(side.opposite()) else { return };
        let levels = self.queues.levels(side).iter().rev().map(|level| level.price_ticks);
        cleared.extend(levels.take_while(|&price| side.reaches(price, best)).map(|price| (side, price)));
    }

    /// Levels beyond twice the depth in which no own order waits.
    fn left_window(&self, side: Side, cleared: &mut Vec<Key>) {
        let levels = self.queues.levels(side);
        let beyond = levels.len().saturating_sub(2 * self.config.depth_levels);
        let left = levels[..beyond].iter().filter(|level| level.own_count == 0);
        cleared.extend(left.map(|level| (side, level.price_ticks)));
    }

    /// Adds the displayed levels of the window in which the mirror has nothing; the window's worst price.
    fn bare_window(&self, side: Side, touched: &mut Vec<Key>) -> Option<i64> {
        let mut levels = self.queues.levels(side).iter().rev().peekable();
        let mut edge = None;
        for (price, _) in self.top(side, self.config.depth_levels) {
            while levels.peek().is_some_and(|level| !side.reaches(price, level.price_ticks)) {
                levels.next();
            }
            let mirrored =
                levels.peek().is_some_and(|level| level.price_ticks == price && level.mirror_lots != 0);
            if !mirrored {
                touched.push((side, price));
            }
            edge = Some(price);
        }
        edge
    }

    fn clear_level(&self, (side, price_ticks): Key, out: &mut Vec<Action>) {
        if let Some(level) = self.queues.level(side, price_ticks) {
            let mirrored = level.entries.iter().filter(|entry| entry.mirror);
            out.extend(mirrored.map(|entry| Action::Cancel { order: entry.order }));
        }
    }

    /// Takes `excess` away: at once where no own order can tell, else when it waited for a print to explain it.
    fn shrink(&mut self, key: Key, excess: i64, now_ns: i64, forced: bool, cuts: &mut Vec<Action>) {
        let Some(level) = self.queues.level(key.0, key.1) else { return };
        if level.own_count > 0 && !forced {
            let since_ns = *self.excess_since.entry(key).or_insert(now_ns);
            if now_ns - since_ns < self.config.decrease_wait_ns {
                return;
            }
            self.stats.unexplained_levels += 1;
            self.stats.forced_lots = self.stats.forced_lots.saturating_add(excess);
        }
        self.excess_since.remove(&key);
        let entries = &level.entries;
        if let [entry] = entries[..] {
            // nearly every level: the mirror's one order
            if entry.mirror {
                cuts.push(cut(&entry, excess.min(entry.lots)));
            }
            return;
        }
        let shares = cancel_shares(entries, excess, self.config.cancel_model);
        cuts.extend(shares.into_iter().map(|(place, lots)| cut(&entries[place], lots)));
    }

    /// Mirrors what is missing at a level.
    pub(crate) fn fill_level(&mut self, key: Key, out: &mut Vec<Action>) {
        let missing = self.wanted_lots(key.0, key.1) - self.queues.mirror_lots(key.0, key.1);
        if missing > 0 {
            self.grow(key, missing, out);
        }
    }

    /// A new order at the back; the last mirror order grows instead where nobody can tell the difference.
    fn grow(&mut self, key: Key, lots: i64, out: &mut Vec<Action>) {
        let (side, price_ticks) = key;
        if self.meets_other_side(side, price_ticks) {
            self.held.insert(key);
            return;
        }
        self.held.remove(&key);
        let last = self.queues.level(side, price_ticks).and_then(|level| level.entries.last());
        out.push(match last {
            Some(last) if last.mirror => {
                Action::Resize { order: last.order, total_lots: last.total_lots.saturating_add(lots) }
            }
            _ => Action::Place { side, price_ticks, lots },
        });
    }

    /// Whether a mirror order at this price would trade with an own order, or cross the display itself.
    fn meets_other_side(&self, side: Side, price_ticks: i64) -> bool {
        let other = side.opposite();
        let meets = |best: Option<i64>| best.is_some_and(|best| side.reaches(price_ticks, best));
        meets(self.best(other)) || meets(self.queues.best_own(other))
    }

    // ---- prints --------------------------------------------------------------------------------------------------

    /// Who took, judged by the price.
    pub(crate) fn aggressor(&self, price_ticks: i64) -> Option<Side> {
        if self.best(Side::Bid).is_some_and(|bid| price_ticks <= bid) {
            return Some(Side::Ask);
        }
        self.best(Side::Ask).filter(|&ask| price_ticks >= ask).map(|_| Side::Bid)
    }

    /// A print proves that displayed levels better than its price were gone at that moment.
    pub(crate) fn drop_stale_better(
        &mut self,
        (hit, price_ticks): Key,
        venue_ts_ns: Option<i64>,
        out: &mut Vec<Action>,
    ) {
        let better = self.queues.levels(hit).iter().rev().map(|level| (level.price_ticks, level.mirror_lots));
        let better = better.take_while(|&(price, _)| price != price_ticks && hit.reaches(price, price_ticks));
        let mut stale: Vec<(i64, i64)> = better.filter(|&(_, lots)| lots != 0).collect();
        stale.sort_unstable();
        for (price, lots) in stale {
            self.stats.stale_better_lots = self.stats.stale_better_lots.saturating_add(lots);
            self.credits.add((hit, price), venue_ts_ns, self.shown[hit as usize].lots(price));
            self.clear_level((hit, price), out);
        }
    }

    // ---- crossings (rule 4) --------------------------------------------------------------------------------------

    /// Own resting orders through which the venue's other side now shows.
    fn crossed_own(&self) -> Vec<Entry> {
        let mut crossed = Vec::new();
        for side in Side::BOTH {
            if let Some(best) = self.best(side.opposite()) {
                let own = self.queues.own(side);
                crossed.extend(own.take_while(|entry| side.reaches(entry.price_ticks, best)).copied());
            }
        }
        crossed
    }

    fn note_crossings(&mut self, now_ns: i64) {
        if !self.queues.has_own() {
            self.cross_since.clear();
            return;
        }
        let crossed = self.crossed_own();
        self.cross_since.retain(|order, _| crossed.iter().any(|entry| entry.order == *order));
        for entry in crossed {
            self.cross_since.entry(entry.order).or_insert(now_ns);
        }
    }

    pub(crate) fn crossings(&mut self, now_ns: i64, out: &mut Vec<Action>) {
        self.note_crossings(now_ns);
        if self.cross_since.is_empty() {
            return;
        }
        for entry in self.crossed_own() {
            if now_ns - self.cross_since[&entry.order] >= self.config.cross_wait_ns {
                self.trade_through(&entry, now_ns, out);
            }
        }
    }

    /// The order fills at its own price for min(own, crossing quantity).
    fn trade_through(&mut self, entry: &Entry, now_ns: i64, out: &mut Vec<Action>) {
        let other = entry.side.opposite();
        let crossing: Vec<i64> =
            self.shown[other as usize].through(entry.price_ticks).map(|(price, _)| price).collect();
        let mut need = entry.lots;
        for price in crossing {
            let part = need.min(self.wanted_lots(other, price));
            if part != 0 {
                self.taken(other, price, part, now_ns);
                need -= part;
            }
            if need == 0 {
                break;
            }
        }
        if need < entry.lots {
            self.stats.trade_through_fills += 1;
            let (price_ticks, lots) = (entry.price_ticks, entry.lots - need);
            out.push(Action::Take { side: other, price_ticks, lots });
        }
    }
}

fn cut(entry: &Entry, lots: i64) -> Action {
    match entry.lots {
        left if lots >= left => Action::Cancel { order: entry.order },
        _ => Action::Resize { order: entry.order, total_lots: entry.total_lots - lots },
    }
}
