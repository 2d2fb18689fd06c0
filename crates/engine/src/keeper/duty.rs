//! Who is expected to act first (protocol P13.5): a draw with weight √stake × score, the same on every machine.

use crate::limits::{MAX_KEEPERS, SECOND_NS};

/// Others may act this long after a duty arose.
pub const HEAD_START_NS: i64 = SECOND_NS / 2;
/// A duty that stays undone is drawn anew.
pub const REASSIGN_NS: i64 = 60 * SECOND_NS;

/// `floor(√stake) × score`; the stake in micro-units, the score in ppm.
pub fn weight(stake: i64, score_ppm: u32) -> u64 {
    floor_root(stake.max(0) as u64) * u64::from(score_ppm)
}

/// `floor(√value)` by Newton's iteration from above.
fn floor_root(value: u64) -> u64 {
    if value < 2 {
        return value;
    }
    let mut root = 1 << (u64::BITS - value.leading_zeros()).div_ceil(2);
    loop {
        let next = (root + value / root) / 2;
        if next >= root {
            return root;
        }
        root = next;
    }
}

/// A number from the whole second and the market, spread over all u64.
pub fn ticket(moment_ns: i64, market: u32) -> u64 {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&moment_ns.div_euclid(SECOND_NS).to_le_bytes());
    key[8..].copy_from_slice(&market.to_le_bytes());
    let hash = crate::id::derive("keeper-duty", &key);
    u64::from_le_bytes(hash[..8].try_into().expect("eight of thirty-two bytes"))
}

/// The moment whose draw counts now for a duty that arose at `since_ns`.
pub fn draw_ns(since_ns: i64, now_ns: i64) -> i64 {
    let waited = now_ns.saturating_sub(since_ns).max(0);
    since_ns.saturating_add(waited / REASSIGN_NS * REASSIGN_NS)
}

/// Weights by slot as a tree of partial sums: changing one and drawing take O(log n).
#[derive(Clone, Debug)]
pub struct Wheel {
    sums: Vec<u128>,
}

impl Default for Wheel {
    fn default() -> Self {
        Wheel { sums: vec![0; MAX_KEEPERS + 1] }
    }
}

impl Wheel {
    /// Replaces the weight of a slot, which was `old`.
    pub fn change(&mut self, slot: usize, old: u64, new: u64) {
        let mut at = slot + 1;
        while at <= MAX_KEEPERS {
            self.sums[at] = self.sums[at] + u128::from(new) - u128::from(old);
            at += at & at.wrapping_neg();
        }
    }

    pub fn total(&self) -> u128 {
        // MAX_KEEPERS is a power of two, so that the last node holds everything.
        self.sums[MAX_KEEPERS]
    }

    /// The slot that a ticket draws, with a probability proportional to its weight; None when all weigh nothing.
    pub fn draw(&self, ticket: u64) -> Option<usize> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        // total < 2^10 × 2^31 × 2^20, so that the product fits.
        let mut left = (total * u128::from(ticket)) >> 64;
        let (mut at, mut step) = (0, MAX_KEEPERS);
        while step > 0 {
            let next = at + step;
            if next <= MAX_KEEPERS && self.sums[next] <= left {
                left -= self.sums[next];
                at = next;
            }
            step /= 2;
        }
        Some(at)
    }
}

const _: () = assert!(MAX_KEEPERS.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_root_of_the_stake_and_the_score() {
        assert_eq!(weight(4_000_000_000, 900_000), 63_245 * 900_000);
        assert_eq!(weight(1_000_000, 500_000), 500_000_000);
        assert_eq!(weight(0, 900_000), 0);
    }

    #[test]
    fn roots_are_exact_around_squares_and_at_the_extremes() {
        for root in [1_u64, 2, 3, 1_000, 31_622, 4_294_967_295] {
            assert_eq!(floor_root(root * root), root);
            assert_eq!(floor_root(root * root - 1), root - 1);
            assert_eq!(floor_root(root * root + 1), if root == 1 { 1 } else { root });
        }
        assert_eq!(floor_root(i64::MAX as u64), 3_037_000_499);
    }

    #[test]
    fn draws_are_proportional_to_weight_and_skip_what_weighs_nothing() {
        let mut wheel = Wheel::default();
        assert_eq!(wheel.draw(1), None);
        for (slot, weight) in [(0, 10), (7, 30), (1_023, 60)] {
            wheel.change(slot, 0, weight);
        }
        let mut counts = [0_u32; MAX_KEEPERS];
        (0..100_000).for_each(|second| {
            counts[wheel.draw(ticket(second * SECOND_NS, 5)).expect("weights")] += 1;
        });
        let near = |count: u32, expected: u32| count.abs_diff(expected) < 700;
        assert!(near(counts[0], 10_000) && near(counts[7], 30_000) && near(counts[1_023], 60_000));
        assert_eq!(counts.iter().sum::<u32>(), 100_000);
        wheel.change(7, 30, 0);
        assert!((0..1_000).all(|n| wheel.draw(n * 0x0040_0000_0000_0000) != Some(7)));
        assert_eq!(wheel.draw(u64::MAX), Some(1_023));
        assert_eq!(wheel.draw(0), Some(0));
    }

    #[test]
    fn the_draw_depends_on_whole_second_and_market_alone_and_changes_after_a_minute() {
        assert_eq!(ticket(5 * SECOND_NS, 1), ticket(6 * SECOND_NS - 1, 1));
        assert_ne!(ticket(5 * SECOND_NS, 1), ticket(6 * SECOND_NS, 1));
        assert_ne!(ticket(5 * SECOND_NS, 1), ticket(5 * SECOND_NS, 2));
        assert_eq!(draw_ns(100, 100 + REASSIGN_NS - 1), 100);
        assert_eq!(draw_ns(100, 100 + REASSIGN_NS), 100 + REASSIGN_NS);
        assert_eq!(draw_ns(100, 50), 100);
    }
}
