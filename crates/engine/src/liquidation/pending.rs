//! Sub-accounts that must be looked at before anything else happens (protocol P5.1).

use std::collections::{BTreeMap, BTreeSet};

use super::watch::Owner;

/// Sub-accounts that must be looked at, by what asks for it. The command that finds one is continued until none is left.
#[derive(Clone, Debug, Default)]
pub struct PendingLooks {
    /// Markets and assets with bounds that their price has crossed.
    markets: BTreeSet<u32>,
    assets: BTreeSet<u16>,
    /// Owners of more positions than a fill looks at, with the look's `fresh`, and owners of more than a look moves the
    /// bounds of.
    owners: BTreeMap<Owner, bool>,
    bounds: BTreeMap<Owner, BoundsLeft>,
    /// Entries of all of them.
    count: usize,
}

/// Bounds that are still to be moved.
#[derive(Clone, Copy, Debug)]
pub struct BoundsLeft {
    /// Place of the next position.
    pub next: usize,
    /// As [`super::watch::Exposure::bounds`] takes it, None = none needed.
    pub share: Option<i64>,
    pub ratio_ppm: i64,
    pub fresh: bool,
}

/// What to look at next.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    Bounds(Owner, BoundsLeft),
    Owner(Owner, bool),
    Market(u32),
    Asset(u16),
}

impl PendingLooks {
    pub fn add_market(&mut self, market: u32) {
        self.count += usize::from(self.markets.insert(market));
    }

    pub fn add_asset(&mut self, asset: u16) {
        self.count += usize::from(self.assets.insert(asset));
    }

    pub fn add_owner(&mut self, owner: Owner, fresh: bool) {
        let known = self.owners.insert(owner, fresh);
        self.count += usize::from(known.is_none());
        if known == Some(true) {
            self.owners.insert(owner, true);
        }
    }

    /// The bounds of an owner that are left, if any; others that were left of it are forgotten.
    pub fn set_bounds_left(&mut self, owner: Owner, left: Option<BoundsLeft>) {
        let (was, is) = match left {
            Some(left) => (self.bounds.insert(owner, left).is_some(), true),
            None if self.bounds.is_empty() => return,
            None => (self.bounds.remove(&owner).is_some(), false),
        };
        self.count = self.count + usize::from(is) - usize::from(was);
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What comes next: bounds that are half moved first.
    pub fn first(&self) -> Option<Look> {
        if let Some((&owner, &left)) = self.bounds.first_key_value() {
            return Some(Look::Bounds(owner, left));
        }
        if let Some((&owner, &fresh)) = self.owners.first_key_value() {
            return Some(Look::Owner(owner, fresh));
        }
        let market = self.markets.first().map(|&market| Look::Market(market));
        market.or_else(|| self.assets.first().map(|&asset| Look::Asset(asset)))
    }

    /// It is done.
    pub fn remove(&mut self, look: Look) {
        let removed = match look {
            Look::Bounds(owner, _) => self.bounds.remove(&owner).is_some(),
            Look::Owner(owner, _) => self.owners.remove(&owner).is_some(),
            Look::Market(market) => self.markets.remove(&market),
            Look::Asset(asset) => self.assets.remove(&asset),
        };
        self.count -= usize::from(removed);
    }

    /// The command that asked for looks is taken back.
    pub fn clear(&mut self) {
        *self = PendingLooks::default();
    }
}
