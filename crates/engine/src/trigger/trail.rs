//! Trailing stops (protocol P2.5.4): orders with the same extreme move together.
//!
//! A new extreme overtakes groups from the worst on and joins them, the smaller into the larger. A change of price
//! adds at most one group and every join removes one, so joins are O(1) a change, amortised; an order changes its
//! group O(log n) times in its life, however often the price moves.

use std::collections::{BTreeMap, BTreeSet};

use super::special::{stop_of, Special};
use crate::order::NONE;
use crate::wire::command::side;

/// Orders of one kind with one extreme, ranked by trail: the first stops first.
#[derive(Clone, Debug, Default)]
struct Group {
    extreme: i64,
    members: BTreeSet<(i64, u64)>,
}

/// All groups of the shard, in a slab.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    slots: Vec<Group>,
    free: Vec<u32>,
}

impl Groups {
    pub fn extreme(&self, special: &Special) -> Option<i64> {
        self.slots.get(special.group as usize).map(|group| group.extreme)
    }

    fn add(&mut self, extreme: i64) -> u32 {
        let group = Group { extreme, members: BTreeSet::new() };
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = group;
                slot
            }
            None => {
                self.slots.push(group);
                (self.slots.len() - 1) as u32
            }
        }
    }

    fn drop(&mut self, slot: u32) {
        self.slots[slot as usize] = Group::default();
        self.free.push(slot);
    }
}

/// Trailing orders of one market, source, side and unit.
#[derive(Clone, Debug, Default)]
pub struct Trails {
    groups: BTreeMap<i64, u32>,
    /// The stop of each group's first order and that order.
    first_stops: BTreeSet<(i64, u64)>,
}

/// Side and unit that the orders of a [`Trails`] share.
#[derive(Clone, Copy, Debug)]
pub struct TrailKind {
    pub side: u8,
    pub in_ppm: bool,
}

impl Trails {
    /// Takes a group's first order out of the index of stops, or puts it there.
    fn rank(&mut self, kind: TrailKind, group: &Group, ranked: bool) {
        let Some(&(trail, id)) = group.members.first() else { return };
        let key = (stop_of(kind.side, group.extreme, trail, kind.in_ppm), id);
        if ranked {
            self.first_stops.insert(key);
        } else {
            self.first_stops.remove(&key);
        }
    }

    pub fn insert(&mut self, kind: TrailKind, groups: &mut Groups, id: u64, special: &mut Special) {
        let slot = *self.groups.entry(special.extreme).or_insert_with(|| groups.add(special.extreme));
        self.rank(kind, &groups.slots[slot as usize], false);
        groups.slots[slot as usize].members.insert((special.trail, id));
        self.rank(kind, &groups.slots[slot as usize], true);
        special.group = slot;
    }

    /// Removes an order; its record keeps the extreme.
    pub fn remove(&mut self, kind: TrailKind, groups: &mut Groups, id: u64, special: &mut Special) {
        let slot = special.group;
        let Some(group) = groups.slots.get_mut(slot as usize) else { return };
        special.extreme = group.extreme;
        special.group = NONE;
        self.rank(kind, group, false);
        group.members.remove(&(special.trail, id));
        if group.members.is_empty() {
            self.groups.remove(&group.extreme);
            groups.drop(slot);
        } else {
            self.rank(kind, &groups.slots[slot as usize], true);
        }
    }

    /// Joins all groups whose extreme `price` beats; false when more than `moves` orders would change their group.
    pub fn ratchet(
        &mut self,
        kind: TrailKind,
        groups: &mut Groups,
        specials: &mut BTreeMap<u64, Special>,
        price: i64,
        moves: &mut u32,
    ) -> bool {
        let mut joined = self.groups.remove(&price);
        if let Some(slot) = joined {
            self.rank(kind, &groups.slots[slot as usize], false);
        }
        let mut done = true;
        loop {
            let worst = if kind.side == side::SELL {
                self.groups.first_key_value().filter(|(&extreme, _)| extreme < price)
            } else {
                self.groups.last_key_value().filter(|(&extreme, _)| extreme > price)
            };
            let Some((&extreme, &slot)) = worst else { break };
            if *moves == 0 {
                done = false;
                break;
            }
            self.groups.remove(&extreme);
            self.rank(kind, &groups.slots[slot as usize], false);
            joined = Some(match joined {
                None => slot,
                Some(other) => join(groups, specials, other, slot, moves),
            });
            groups.slots[joined.expect("set above") as usize].extreme = price;
        }
        if let Some(slot) = joined {
            self.groups.insert(price, slot);
            self.rank(kind, &groups.slots[slot as usize], true);
        }
        done
    }

    /// An order whose stop `price` reaches.
    pub fn next_fired(&self, order_side: u8, price: i64) -> Option<u64> {
        let first = if order_side == side::SELL {
            self.first_stops.last().filter(|(stop, _)| *stop >= price)
        } else {
            self.first_stops.first().filter(|(stop, _)| *stop <= price)
        };
        first.map(|&(_, id)| id)
    }
}

/// Moves the smaller group into the larger and returns the larger.
fn join(
    groups: &mut Groups,
    specials: &mut BTreeMap<u64, Special>,
    one: u32,
    other: u32,
    moves: &mut u32,
) -> u32 {
    let size = |slot: u32| groups.slots[slot as usize].members.len();
    let (large, small) = if size(one) >= size(other) { (one, other) } else { (other, one) };
    let members = std::mem::take(&mut groups.slots[small as usize].members);
    *moves = moves.saturating_sub(members.len() as u32);
    for (trail, id) in members {
        specials.get_mut(&id).expect("a member has a record").group = large;
        groups.slots[large as usize].members.insert((trail, id));
    }
    groups.drop(small);
    large
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trails that remember, beside the index, every order's extreme in the plainest way.
    struct Both {
        kind: TrailKind,
        trails: Trails,
        groups: Groups,
        specials: BTreeMap<u64, Special>,
        plain: BTreeMap<u64, i64>,
    }

    impl Both {
        fn move_to(&mut self, price: i64) -> BTreeSet<u64> {
            let (sell, in_ppm) = (self.kind.side == side::SELL, self.kind.in_ppm);
            let mut moves = u32::MAX;
            assert!(self.trails.ratchet(self.kind, &mut self.groups, &mut self.specials, price, &mut moves));
            let mut fired = BTreeSet::new();
            while let Some(id) = self.trails.next_fired(self.kind.side, price) {
                let special = self.specials.get_mut(&id).unwrap();
                self.trails.remove(self.kind, &mut self.groups, id, special);
                fired.insert(id);
            }
            let mut expected = BTreeSet::new();
            for (&id, extreme) in &mut self.plain {
                *extreme = if sell { price.max(*extreme) } else { price.min(*extreme) };
                let stop = stop_of(self.kind.side, *extreme, self.specials[&id].trail, in_ppm);
                if if sell { price <= stop } else { price >= stop } {
                    expected.insert(id);
                }
            }
            assert_eq!(fired, expected);
            for id in &fired {
                assert_eq!(self.specials[id].extreme, self.plain[id]);
                self.plain.remove(id);
                self.specials.remove(id);
            }
            for (id, extreme) in &self.plain {
                assert_eq!(self.groups.extreme(&self.specials[id]), Some(*extreme));
            }
            fired
        }
    }

    #[test]
    fn groups_move_and_fire_as_if_every_order_were_looked_at() {
        for (order_side, in_ppm) in
            [(side::SELL, false), (side::BUY, false), (side::SELL, true), (side::BUY, true)]
        {
            let kind = TrailKind { side: order_side, in_ppm };
            let mut both = Both {
                kind,
                trails: Trails::default(),
                groups: Groups::default(),
                specials: BTreeMap::new(),
                plain: BTreeMap::new(),
            };
            let (mut random, mut price, mut fired) = (7_u64, 10_000_i64, 0);
            for id in 1..4_000_u64 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                price = (price + (random >> 33) as i64 % 41 - 20).max(500);
                fired += both.move_to(price).len();
                let trail = 1 + (random >> 40) as i64 % if in_ppm { 30_000 } else { 300 };
                let mut special = Special { trail, extreme: price, ..Special::PLAIN };
                both.trails.insert(kind, &mut both.groups, id, &mut special);
                both.specials.insert(id, special);
                both.plain.insert(id, price);
                if id % 5 == 0 {
                    let other = *both.plain.keys().next().unwrap();
                    let special = both.specials.get_mut(&other).unwrap();
                    both.trails.remove(kind, &mut both.groups, other, special);
                    both.specials.remove(&other);
                    both.plain.remove(&other);
                }
            }
            assert!(fired > 500, "{order_side} {in_ppm}: only {fired} fired");
        }
    }

    #[test]
    fn a_ratchet_that_runs_out_of_moves_goes_on_where_it_stopped() {
        let kind = TrailKind { side: side::SELL, in_ppm: false };
        let (mut trails, mut groups, mut specials) = (Trails::default(), Groups::default(), BTreeMap::new());
        for id in 1..=20_u64 {
            let mut special = Special { trail: 500, extreme: 1_000 - id as i64, ..Special::PLAIN };
            trails.insert(kind, &mut groups, id, &mut special);
            specials.insert(id, special);
        }
        let mut rounds = 1;
        while !trails.ratchet(kind, &mut groups, &mut specials, 2_000, &mut 3) {
            rounds += 1;
        }
        assert!(rounds > 3);
        assert!(specials.values().all(|special| groups.extreme(special) == Some(2_000)));
        assert_eq!(groups.slots.len() - groups.free.len(), 1);
    }
}
