//! Margin credit inside one exclusive outcome set (protocol P4.6.6).
//!
//! A *group* is every position of one owner's sub-account in one market. At most one outcome wins, so that what one
//! position loses another may gain: the group is worth what all its claims are, and its largest loss is that of the worst
//! outcome. A group of one has the requirement of its position.

use crate::outcome::leverage::Ramp;
use crate::outcome::loans::pays;

/// A position of a group at its mark, in micro-quote; a claim pays one micro-quote for each micro-share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What it holds: see [`crate::outcome::Loan::place`].
    pub place: u8,
    pub shares: i64,
    pub value: i64,
    pub debt: i64,
    /// Money on its pledge.
    pub cash: i64,
}

/// Which of the two margins of P4.6.2, and the leverage of it in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margin {
    Initial(u32),
    Maintenance(u32),
}

/// The positions of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub parts: Vec<Part>,
    pub outcome_count: u8,
}

impl Group {
    pub fn value(&self) -> i128 {
        self.parts.iter().map(|part| i128::from(part.value)).sum()
    }

    pub fn debt(&self) -> i128 {
        self.parts.iter().map(|part| i128::from(part.debt)).sum()
    }

    /// What its owner has in it: money counts, as it does for a single position.
    pub fn equity(&self) -> i128 {
        let cash: i128 = self.parts.iter().map(|part| i128::from(part.cash)).sum();
        self.value() + cash - self.debt()
    }

    /// What its claims pay when an outcome wins.
    pub fn payout(&self, winner: u8) -> i128 {
        let paid = self.parts.iter().filter(|part| pays(part.place, winner));
        paid.map(|part| i128::from(part.shares)).sum()
    }

    /// What its claims lose at most of their value, whatever wins.
    pub fn largest_loss(&self) -> i64 {
        let least = (0..self.outcome_count).map(|winner| self.payout(winner)).min().unwrap_or(0);
        i64::try_from((self.value() - least).max(0)).unwrap_or(i64::MAX)
    }

    /// The margin of the largest loss, never less than half of the largest J-margin of a position, and never more than
    /// what the positions need each for itself. Without debt nothing is needed.
    pub fn requirement(&self, ramp: Ramp, margin: Margin) -> i128 {
        if self.debt() == 0 {
            return 0;
        }
        let of = |value| match margin {
            Margin::Initial(cap_e2) => ramp.initial_margin(value, cap_e2),
            Margin::Maintenance(base_e2) => ramp.maintenance_margin(value, base_e2),
        };
        let owing = || self.parts.iter().filter(|part| part.debt != 0);
        let floor = owing().map(|part| ramp.half_jump_margin(part.value)).max().unwrap_or(0);
        let apart = self.apart(of);
        // In the last hour no debt may stand, whatever it is secured by (P4.6.3).
        if ramp.is_over() {
            return apart;
        }
        of(self.largest_loss()).max(floor).min(apart)
    }

    /// What the positions need each for itself.
    fn apart(&self, margin_of: impl Fn(i64) -> i128) -> i128 {
        self.parts.iter().filter(|part| part.debt != 0).map(|part| margin_of(part.value)).sum()
    }

    /// What the group is short of.
    pub fn lack(&self, ramp: Ramp, margin: Margin) -> i128 {
        (self.requirement(ramp, margin) - self.equity()).max(0)
    }
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
