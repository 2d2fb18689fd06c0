//! Who would be deleveraged in which order, as a reading (protocol P5.8: the rank is published live).

use std::collections::{BTreeMap, BTreeSet};

use super::takeover::Opponent;
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::ADL_LOOKS;
use crate::liquidation::rank::AdlRank;
use crate::liquidation::watch::account_of;

impl<B: Book> Engine<B> {
    /// Every position of one side of a market (0 long, 1 short) in the order in which auto-deleveraging would take them
    /// now, were each closed whole: the same comparison of [`ADL_LOOKS`] that a takeover makes, one after the other.
    /// O(n log [`ADL_LOOKS`]) in the positions of the side; who has no equity left has no place.
    pub fn adl_ranks(&self, market: u32, side: u8) -> Vec<AdlRank> {
        let mut order = Vec::new();
        let mut compared: BTreeSet<_> = BTreeSet::new();
        for opponent in self.opponents(market, side) {
            compared.insert(Opponent::place(&opponent));
            if compared.len() == ADL_LOOKS {
                order.extend(compared.pop_first());
            }
        }
        order.extend(compared);
        let of = order.len() as u32;
        let place = |(rank, (_, _, owner)): (u32, (_, _, u32))| {
            let (account, sub) = account_of(owner);
            AdlRank { account, sub, rank, of }
        };
        (1..).zip(order).map(place).collect()
    }

    /// The ranks of both sides of a market, by account handle and sub-account.
    pub fn adl_board(&self, market: u32) -> BTreeMap<(u32, u8), AdlRank> {
        let both = [0, 1].into_iter().flat_map(|side| self.adl_ranks(market, side));
        both.map(|rank| ((rank.account, rank.sub), rank)).collect()
    }
}
