//! Sub-accounts below their maintenance margin: when each one's turn comes, and who of them is worst (protocol P5.1).
//!
//! A crash makes tens of thousands of them wait for the same second again and again. Those of one moment are therefore
//! a list through the table, in the order in which they came to wait, and those whose turn has come a heap.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::watch::Owner;
use super::StepTimes;
use crate::order::NONE;

/// A sub-account below its maintenance margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub owner: Owner,
    /// Its market with the largest maintenance margin, and its signed lots there.
    pub market: u32,
    pub lots: i64,
    /// E/MM when it was last looked at.
    pub ratio_ppm: i64,
    /// Notional of its positions then, micro-quote.
    pub notional: i64,
    pub flagged_ns: i64,
    /// When SYSTEM acts unless a keeper has.
    pub ready_ns: i64,
    /// Neighbours among those of the same moment.
    previous: u32,
    next: u32,
    /// Its turn has come; whether its numbers are in the heap.
    ripe: bool,
    heaped: bool,
    /// The market that a step reduced first ([`NONE`] = no step yet), and the moments of the steps there.
    pub step_market: u32,
    pub step: StepTimes,
    /// Steps reduced other markets too: their moments are kept apart.
    pub stepped_elsewhere: bool,
    /// It has one position, whose price is sure, and its numbers are small: nothing but its market's rate can make a sale
    /// wait.
    pub plain: bool,
    /// Of a plain one: equity and margin when it was last looked at, micro-quote. Nothing in a snapshot: its turn begins
    /// with a look.
    pub equity: i64,
    pub maintenance: i64,
}

impl Candidate {
    /// What a look finds of an owner.
    pub fn seen(
        owner: Owner,
        (market, lots): (u32, i64),
        ratio_ppm: i64,
        notional: i128,
        (flagged_ns, ready_ns): (i64, i64),
    ) -> Candidate {
        let notional = notional.clamp(0, i128::from(i64::MAX)) as i64;
        Candidate {
            owner,
            market,
            lots,
            ratio_ppm,
            notional,
            flagged_ns,
            ready_ns,
            previous: NONE,
            next: NONE,
            ripe: false,
            heaped: false,
            step_market: NONE,
            step: StepTimes::NONE,
            stepped_elsewhere: false,
            plain: false,
            equity: 0,
            maintenance: 0,
        }
    }

    /// Whether a step has reduced it since it was flagged.
    #[inline]
    pub fn is_stepped(&self) -> bool {
        self.step_market != NONE
    }

    /// The worst is the least: lowest E/MM, then larger notional, then lower id.
    #[inline]
    fn key(&self, slot: u32) -> Key {
        (self.ratio_ppm, Reverse(self.notional), self.owner, slot)
    }
}

type Key = (i64, Reverse<i64>, Owner, u32);

/// First and last of those who wait for one moment.
#[derive(Clone, Copy, Debug)]
struct Line {
    first: u32,
    last: u32,
}

/// All candidates. Slots are kept by the sub-accounts that they are of.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    table: Vec<Candidate>,
    free: Vec<u32>,
    lines: BTreeMap<i64, Line>,
    /// Keys of the ripe ones, the least first; entries of numbers that have changed since say nothing. Empty between
    /// commands.
    heap: Vec<Key>,
}

impl Candidates {
    pub fn len(&self) -> usize {
        self.table.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn at(&self, slot: u32) -> &Candidate {
        &self.table[slot as usize]
    }

    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> &mut Candidate {
        &mut self.table[slot as usize]
    }

    /// Those who wait, by their moment and in their order within it. Between commands all of them do.
    pub fn waiting(&self) -> impl Iterator<Item = (u32, &Candidate)> {
        self.lines.values().flat_map(move |line| {
            std::iter::successors(Some(line.first), |&slot| {
                Some(self.at(slot).next).filter(|&next| next != NONE)
            })
            .map(|slot| (slot, self.at(slot)))
        })
    }

    /// Adds a candidate that waits; its slot.
    pub fn add(&mut self, candidate: Candidate) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.table[slot as usize] = candidate;
                slot
            }
            None => {
                self.table.push(candidate);
                (self.table.len() - 1) as u32
            }
        };
        self.wait(slot, candidate.ready_ns);
        slot
    }

    /// Takes a candidate out.
    pub fn remove(&mut self, slot: u32) -> Candidate {
        let candidate = *self.at(slot);
        if !candidate.ripe {
            self.leave_line(slot);
        }
        let gone = self.at_mut(slot);
        // Entries of the heap that still name the slot find nobody.
        (gone.ripe, gone.heaped) = (false, false);
        self.free.push(slot);
        candidate
    }

    /// Refreshes what is known of a candidate.
    #[inline]
    pub fn refresh(&mut self, slot: u32, seen: &Candidate) {
        let known = &mut self.table[slot as usize];
        let changed = (known.ratio_ppm, known.notional) != (seen.ratio_ppm, seen.notional);
        (known.ratio_ppm, known.notional) = (seen.ratio_ppm, seen.notional);
        (known.market, known.lots, known.plain) = (seen.market, seen.lots, seen.plain);
        (known.equity, known.maintenance) = (seen.equity, seen.maintenance);
        if changed && known.heaped {
            let key = known.key(slot);
            self.push(key);
        }
    }

    /// Moves the moment at which SYSTEM acts on a candidate; it is no longer ripe.
    #[inline]
    pub fn postpone(&mut self, slot: u32, ready_ns: i64) {
        if !self.at(slot).ripe {
            self.leave_line(slot);
        }
        self.wait(slot, ready_ns);
    }

    /// The first moment for which somebody waits.
    #[inline]
    pub fn first_ns(&self) -> Option<i64> {
        self.lines.first_key_value().map(|(&ready_ns, _)| ready_ns)
    }

    /// The first whose moment has come.
    #[inline]
    pub fn next_ripe(&self, now_ns: i64) -> Option<u32> {
        let (_, line) = self.lines.first_key_value().filter(|(&ready_ns, _)| ready_ns <= now_ns)?;
        Some(line.first)
    }

    /// Takes one that waits out of its line; [`Candidates::enter`] makes it one of those to act on.
    #[inline]
    pub fn ripen(&mut self, slot: u32) {
        self.leave_line(slot);
        self.at_mut(slot).ripe = true;
    }

    /// Puts a ripe candidate among those to act on.
    #[inline]
    pub fn enter(&mut self, slot: u32) {
        let known = &mut self.table[slot as usize];
        if known.ripe && !known.heaped {
            known.heaped = true;
            let key = known.key(slot);
            self.push(key);
        }
    }

    /// Takes the least entry out; its candidate's slot, None when the entry's numbers are old.
    #[inline]
    pub fn pop_worst(&mut self) -> Option<Option<u32>> {
        let last = self.heap.pop()?;
        let least = match self.heap.is_empty() {
            true => last,
            false => self.sink(last),
        };
        Some(self.taken(least))
    }

    fn taken(&mut self, key: Key) -> Option<u32> {
        let slot = key.3;
        let known = &mut self.table[slot as usize];
        let present = known.heaped && known.key(slot) == key;
        if present {
            known.heaped = false;
        }
        present.then_some(slot)
    }

    fn push(&mut self, key: Key) {
        let mut at = self.heap.len();
        self.heap.push(key);
        while at > 0 {
            let above = (at - 1) / 2;
            if self.heap[above] <= key {
                break;
            }
            self.heap[at] = self.heap[above];
            at = above;
        }
        self.heap[at] = key;
    }

    /// Takes the first out and lets `key` sink from there.
    fn sink(&mut self, key: Key) -> Key {
        let least = self.heap[0];
        let count = self.heap.len();
        let mut at = 0;
        loop {
            let mut below = 2 * at + 1;
            if below >= count {
                break;
            }
            if below + 1 < count && self.heap[below + 1] < self.heap[below] {
                below += 1;
            }
            if key <= self.heap[below] {
                break;
            }
            self.heap[at] = self.heap[below];
            at = below;
        }
        self.heap[at] = key;
        least
    }

    /// Puts a candidate at the end of those of its moment.
    #[inline]
    fn wait(&mut self, slot: u32, ready_ns: i64) {
        let mut last = NONE;
        self.lines
            .entry(ready_ns)
            .and_modify(|line| last = std::mem::replace(&mut line.last, slot))
            .or_insert(Line { first: slot, last: slot });
        let candidate = &mut self.table[slot as usize];
        (candidate.ready_ns, candidate.ripe, candidate.heaped) = (ready_ns, false, false);
        (candidate.previous, candidate.next) = (last, NONE);
        if last != NONE {
            self.table[last as usize].next = slot;
        }
    }

    #[inline]
    fn leave_line(&mut self, slot: u32) {
        let Candidate { previous, next, ready_ns, .. } = *self.at(slot);
        if previous != NONE {
            self.table[previous as usize].next = next;
        }
        if next != NONE {
            self.table[next as usize].previous = previous;
        }
        if previous != NONE && next != NONE {
            return;
        }
        if previous == NONE && next == NONE {
            self.lines.remove(&ready_ns);
            return;
        }
        let line = self.lines.get_mut(&ready_ns).expect("who waits has a line");
        if previous == NONE {
            line.first = next;
        } else {
            line.last = previous;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(owner: Owner, ratio_ppm: i64, ready_ns: i64) -> Candidate {
        Candidate::seen(owner, (0, 1), ratio_ppm, 1_000, (0, ready_ns))
    }

    fn order(candidates: &Candidates) -> Vec<Owner> {
        candidates.waiting().map(|(_, candidate)| candidate.owner).collect()
    }

    fn ripen_all(candidates: &mut Candidates, now_ns: i64) {
        while let Some(slot) = candidates.next_ripe(now_ns) {
            candidates.ripen(slot);
            candidates.enter(slot);
        }
    }

    fn drained(candidates: &mut Candidates) -> Vec<Owner> {
        let mut owners = Vec::new();
        while let Some(found) = candidates.pop_worst() {
            owners.extend(found.map(|slot| candidates.at(slot).owner));
        }
        owners
    }

    #[test]
    fn who_waits_is_kept_by_moment_and_then_in_order_of_arrival() {
        let mut all = Candidates::default();
        let slots: Vec<u32> = [(7, 20), (3, 10), (5, 20), (9, 20)]
            .iter()
            .map(|&(o, at)| all.add(candidate(o, 0, at)))
            .collect();
        assert_eq!(order(&all), [3, 7, 5, 9]);
        all.remove(slots[2]);
        assert_eq!(order(&all), [3, 7, 9]);
        all.postpone(slots[1], 20);
        assert_eq!(order(&all), [7, 9, 3]);
        all.remove(slots[1]);
        all.remove(slots[0]);
        all.remove(slots[3]);
        assert_eq!((all.first_ns(), all.len()), (None, 0));
        // A slot that is free is used again.
        assert_eq!(all.add(candidate(1, 0, 5)), slots[3]);
        assert_eq!(all.first_ns(), Some(5));
    }

    #[test]
    fn the_worst_is_the_lowest_ratio_then_the_larger_notional_then_the_lower_id() {
        let mut all = Candidates::default();
        for (owner, ratio, notional) in [(1, 900, 5), (2, 800, 5), (3, 900, 6), (4, 800, 5), (5, -1, 1)] {
            let slot = all.add(Candidate { notional, ..candidate(owner, ratio, 10) });
            assert_eq!(all.at(slot).owner, owner);
        }
        assert_eq!(all.next_ripe(9), None);
        ripen_all(&mut all, 10);
        assert_eq!(drained(&mut all), [5, 2, 4, 3, 1]);
    }

    #[test]
    fn numbers_that_change_move_a_ripe_candidate_and_who_left_is_not_found() {
        let mut all = Candidates::default();
        let slots: Vec<u32> =
            (0..6).map(|owner| all.add(candidate(owner, 100 + i64::from(owner), 1))).collect();
        ripen_all(&mut all, 1);
        all.refresh(slots[5], &candidate(5, 1, 1));
        all.refresh(slots[0], &candidate(0, 500, 1));
        all.refresh(slots[1], &candidate(1, 102, 1));
        all.remove(slots[3]);
        all.postpone(slots[4], 9);
        // The slot of one who left belongs to another who waits.
        assert_eq!(all.add(candidate(8, 103, 7)), slots[3]);
        assert_eq!(drained(&mut all), [5, 1, 2, 0]);
        assert_eq!(order(&all), [8, 4]);
    }

    #[test]
    fn the_heap_gives_the_order_of_a_sort() {
        let (mut all, mut state) = (Candidates::default(), 7_u64);
        for owner in 0..500 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            all.add(candidate(owner, (state >> 50) as i64, 1));
        }
        let mut expected: Vec<(i64, Owner)> =
            all.table.iter().map(|candidate| (candidate.ratio_ppm, candidate.owner)).collect();
        expected.sort_unstable();
        ripen_all(&mut all, 1);
        let expected: Vec<Owner> = expected.into_iter().map(|(_, owner)| owner).collect();
        assert_eq!(drained(&mut all), expected);
    }
}
