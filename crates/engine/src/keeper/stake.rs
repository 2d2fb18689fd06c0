//! A keeper's stake: bonded, and parts that unbond for seven days (protocol P13.1).

use crate::limits::MAX_UNBONDING_PARTS;

/// A part of a stake that may be withdrawn from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub amount: i64,
    pub ready_ns: i64,
}

/// Micro-units of the staking asset on one account's `bond` line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stake {
    pub bonded: i64,
    /// Ascending by moment.
    pub parts: Vec<Part>,
}

impl Stake {
    pub fn unbonding(&self) -> i64 {
        self.parts.iter().map(|part| part.amount).sum()
    }

    /// Everything that a slash can reach.
    pub fn total(&self) -> i64 {
        self.bonded + self.unbonding()
    }

    /// Moves an amount from bonded to unbonding. When all parts are in use the newest one absorbs it and waits longer.
    pub fn unbond(&mut self, amount: i64, ready_ns: i64) {
        self.bonded -= amount;
        let full = self.parts.len() >= MAX_UNBONDING_PARTS;
        match self.parts.last_mut() {
            Some(last) if full => {
                *last = Part { amount: last.amount + amount, ready_ns };
            }
            _ => self.parts.push(Part { amount, ready_ns }),
        }
    }

    /// Micro-units that have waited long enough.
    pub fn ready(&self, now_ns: i64) -> i64 {
        self.parts.iter().filter(|part| part.ready_ns <= now_ns).map(|part| part.amount).sum()
    }

    /// Moment at which an amount will be ready.
    pub fn ready_ns(&self, amount: i64) -> i64 {
        let mut sum = 0;
        let ready = self.parts.iter().find(|part| {
            sum += part.amount;
            sum >= amount
        });
        ready.map_or(i64::MAX, |part| part.ready_ns)
    }

    /// Takes an amount that is ready, oldest part first.
    pub fn withdraw(&mut self, mut amount: i64) {
        self.parts.retain_mut(|part| {
            let taken = amount.min(part.amount);
            amount -= taken;
            part.amount -= taken;
            part.amount > 0
        });
        debug_assert_eq!(amount, 0, "more than was ready");
    }

    /// Takes up to an amount, bonded first, then the newest parts; what was taken.
    pub fn slash(&mut self, amount: i64) -> i64 {
        let mut left = amount.min(self.total());
        let taken = left;
        let bonded = left.min(self.bonded);
        self.bonded -= bonded;
        left -= bonded;
        for part in self.parts.iter_mut().rev() {
            let taken = left.min(part.amount);
            part.amount -= taken;
            left -= taken;
        }
        self.parts.retain(|part| part.amount > 0);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_ready_one_by_one_and_never_more_than_eight() {
        let mut stake = Stake { bonded: 100, parts: Vec::new() };
        (1..=10).for_each(|n| stake.unbond(5, n));
        assert_eq!((stake.bonded, stake.unbonding(), stake.total()), (50, 50, 100));
        assert_eq!(stake.parts.len(), MAX_UNBONDING_PARTS);
        assert_eq!((stake.ready(7), stake.ready(9), stake.ready(10)), (35, 35, 50));
        stake.withdraw(12);
        assert_eq!((stake.ready(7), stake.total()), (23, 88));
    }

    #[test]
    fn a_slash_reaches_what_unbonds_too_and_never_more_than_there_is() {
        let mut stake = Stake { bonded: 10, parts: vec![Part { amount: 20, ready_ns: 1 }] };
        assert_eq!(stake.slash(15), 15);
        assert_eq!((stake.bonded, stake.unbonding()), (0, 15));
        assert_eq!(stake.slash(100), 15);
        assert_eq!(stake, Stake::default());
    }
}
