//! One position and what a fill does to it (protocol P1.5.6, P4.1).

use super::margin::{div_ceil, product};
use crate::coverage::stress::Line;
use crate::liquidation::ladder::{Link, UNLINKED};
use crate::liquidation::watch::{Bounds, UNWATCHED};
use crate::liquidation::{Rank, UNRANKED};

/// A position or the open orders of one; keyed by (account, sub-account, market).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub account: u32,
    pub market: u32,
    pub sub: u8,
    /// Leverage that the owner chose, in hundredths; 0 = none.
    pub leverage_e2: u32,
    /// Signed lots.
    pub lots: i64,
    /// Signed micro-quote: buys minus sells of the open part. The ledger's `cost` line holds the negative.
    pub cost: i64,
    pub funding_entry: i128,
    /// Resting orders: lots and their value at their limits.
    pub open_buy_lots: i64,
    pub open_sell_lots: i64,
    pub open_buy_value: i64,
    pub open_sell_value: i64,
    /// An order of its owner is taking: the record stays until it is done. Never set between commands.
    pub taking: bool,
    /// Marks behind which its owner's margin is looked at again with the neighbours there, and its place in the ranking
    /// of P5.8; kept by [`crate::liquidation`].
    pub watch: Bounds,
    pub links: [Link; 2],
    pub rank: Rank,
    /// What coverage counts it as, and whether its owner waits to be counted again; kept by
    /// [`crate::coverage::stress`].
    pub line: Option<Line>,
    pub touched: bool,
}

/// What a fill changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub lots: i64,
    pub cost: i64,
    /// Realised profit, rounded down.
    pub realised: i64,
}

impl Position {
    pub fn new(account: u32, sub: u8, market: u32, funding_entry: i128) -> Self {
        Position {
            account,
            market,
            sub,
            leverage_e2: 0,
            lots: 0,
            cost: 0,
            funding_entry,
            open_buy_lots: 0,
            open_sell_lots: 0,
            open_buy_value: 0,
            open_sell_value: 0,
            taking: false,
            watch: UNWATCHED,
            links: [UNLINKED; 2],
            rank: UNRANKED,
            line: None,
            touched: false,
        }
    }

    /// Neither lots nor open orders: the record may go.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.lots | self.open_buy_lots | self.open_sell_lots == 0 && !self.taking
    }

    /// Whether this is the record of a key and holds something.
    #[inline]
    pub fn keeps(&self, (account, sub, market): (u32, u8, u32)) -> bool {
        self.account == account && self.market == market && self.sub == sub && !self.is_empty()
    }

    /// Unrealised profit at a mark, micro-quote.
    #[inline]
    pub fn unrealised(&self, mark: i64, unit: i64) -> i128 {
        product(self.lots, mark, unit) - i128::from(self.cost)
    }

    /// The position after `lots` more (negative: sold) at a price whose value is `value_of(lots)`.
    ///
    /// The share of the cost that leaves with a reduced part is rounded so that the profit is rounded down.
    #[inline]
    pub fn after(&self, delta: i64, value_of: impl Fn(i64) -> i64) -> Change {
        self.after_by((delta, value_of(delta.abs())), value_of)
    }

    /// [`Position::after`] with the value of all lots; `value_of` those of parts.
    #[inline(always)]
    pub fn after_by(&self, (delta, value): (i64, i64), value_of: impl Fn(i64) -> i64) -> Change {
        if self.lots == 0 || (self.lots > 0) == (delta > 0) {
            let cost = if delta > 0 { self.cost + value } else { self.cost - value };
            return Change { lots: self.lots + delta, cost, realised: 0 };
        }
        self.after_reducing(delta, value_of)
    }

    #[inline(never)]
    fn after_reducing(&self, delta: i64, value_of: impl Fn(i64) -> i64) -> Change {
        let sign = delta.signum();
        let held = self.lots.abs();
        let reduced = delta.abs().min(held);
        let share = if reduced == held {
            self.cost
        } else {
            div_ceil(i128::from(self.cost) * i128::from(reduced), i128::from(held)) as i64
        };
        let realised = -sign * value_of(reduced) - share;
        let opened = delta.abs() - reduced;
        let cost = self.cost - share + if opened > 0 { sign * value_of(opened) } else { 0 };
        Change { lots: self.lots + delta, cost, realised }
    }

    /// Lots of a reduce-only order of this side that the position admits.
    #[inline]
    pub fn reducible(&self, buys: bool) -> i64 {
        if buys {
            (-self.lots).max(0)
        } else {
            self.lots.max(0)
        }
    }

    /// Lots of the larger worst case: all buys filled or all sells filled.
    #[inline]
    pub fn worst_lots(&self) -> i64 {
        (self.lots + self.open_buy_lots).abs().max((self.lots - self.open_sell_lots).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(lots: i64, cost: i64) -> Position {
        Position { lots, cost, ..Position::new(0, 0, 0, 0) }
    }

    #[test]
    fn a_reduced_part_leaves_with_its_share_and_profit_is_rounded_down() {
        let value = |lots: i64| lots * 100;
        assert_eq!(position(3, 200).after(-1, value), Change { lots: 2, cost: 133, realised: 33 });
        assert_eq!(position(-3, -200).after(1, value), Change { lots: -2, cost: -134, realised: -34 });
        assert_eq!(position(3, 200).after(-5, value), Change { lots: -2, cost: -200, realised: 100 });
        assert_eq!(position(-3, -400).after(3, value), Change { lots: 0, cost: 0, realised: 100 });
        assert_eq!(position(0, 0).after(-2, value), Change { lots: -2, cost: -200, realised: 0 });
    }

    #[test]
    fn closing_in_parts_never_realises_more_than_closing_at_once() {
        for (lots, cost) in [(7, 1_000), (-7, -1_000), (11, 3), (-11, -3), (5, -13)] {
            let value = |lots: i64| lots * 137;
            let whole = position(lots, cost).after(-lots, value);
            let (mut rest, mut total) = (position(lots, cost), 0);
            while rest.lots != 0 {
                let change = rest.after(-rest.lots.signum(), value);
                (rest.lots, rest.cost) = (change.lots, change.cost);
                total += change.realised;
            }
            assert_eq!(rest.cost, 0);
            assert_eq!(total, whole.realised, "a sum of shares is the whole cost");
        }
    }
}
