//! The dynamic pm-AMM (P10.4.4): liquidity that shrinks with the square root of the time that is left, and whose claims
//! the part that this sets free are.
//!
//! What is set free stays with the pool's claims until its provider collects it, but is no reserve any more. It is
//! shared out as it falls due: an accumulator counts claims per share in 2⁻⁶⁴, so that who comes later has no part in
//! it, and no touch ever walks over the providers.

use super::pool::{Pool, Provider, Reserves};
use crate::wire::pool::amm_kind;

/// Outcomes of a pm-AMM.
pub const SIDES: usize = 2;

/// What the dynamic kind has beyond a pool; zero for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decay {
    /// L₀ in micro-shares.
    pub base: i64,
    /// t₀.
    pub created_ns: i64,
    /// Claims set free that nobody has collected yet, by outcome.
    pub released: [i64; SIDES],
    /// Claims set free per share, in 2⁻⁶⁴.
    pub growth: [u128; SIDES],
}

/// What a provider is owed of claims set free, up to the growth that it was settled at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    pub entry: [u128; SIDES],
    pub claims: [i64; SIDES],
}

/// L_t = L₀·√((T − t)/(T − t₀)), rounded down; 0 from T on.
pub fn liquidity_at(base: i64, created_ns: i64, settle_ns: i64, now_ns: i64) -> i64 {
    let (left, whole) = (settle_ns.saturating_sub(now_ns), settle_ns.saturating_sub(created_ns));
    if left <= 0 || whole <= 0 {
        return 0;
    }
    let part = (left as f64 / whole as f64).sqrt();
    ((base as f64 * part) as i64).clamp(0, base)
}

/// What of `reserve` a fall of liquidity sets free, rounded down.
fn freed(reserve: i64, before: i64, after: i64) -> i64 {
    let product = i128::from(reserve) * i128::from(before - after);
    (product / i128::from(before)) as i64
}

impl Pool {
    /// The pool at `now_ns` and the claims set free, which leave `reserves` at the same price; `None` when nothing
    /// changes.
    pub fn rescaled(
        &self,
        reserves: &mut Reserves,
        settle_ns: i64,
        now_ns: i64,
    ) -> Option<(Pool, [i64; SIDES])> {
        if self.kind != amm_kind::PM_DYNAMIC {
            return None;
        }
        let Decay { base, created_ns, .. } = self.decay;
        let liquidity = liquidity_at(base, created_ns, settle_ns, now_ns);
        if liquidity >= self.liquidity {
            return None;
        }
        let (mut pool, mut free) = (Pool { liquidity, ..*self }, [0; SIDES]);
        for side in 0..SIDES {
            free[side] = freed(reserves[side], self.liquidity, liquidity);
            reserves[side] -= free[side];
            pool.decay.released[side] += free[side];
            pool.decay.growth[side] += ((free[side] as u128) << 64) / self.shares as u128;
        }
        Some((pool, free))
    }
}

impl Provider {
    /// Credits what was set free since the provider was settled last.
    pub fn settle(&mut self, pool: &Pool) {
        for side in 0..SIDES {
            let grown = pool.decay.growth[side] - self.owed.entry[side];
            self.owed.claims[side] += ((self.shares as u128 * grown) >> 64) as i64;
            self.owed.entry[side] = pool.decay.growth[side];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::micro::Pm;
    use super::*;

    const DAY: i64 = 86_400_000_000_000;

    fn pool(liquidity: i64, price_ppb: i64) -> (Pool, Reserves) {
        let pm = Pm::at_price(liquidity, price_ppb).unwrap();
        let mut reserves = [0; super::super::MAX_OUTCOMES];
        (reserves[0], reserves[1]) = (pm.x, pm.y);
        let decay = Decay { base: liquidity, ..Decay::default() };
        let kind = amm_kind::PM_DYNAMIC;
        (Pool { kind, outcome_count: 2, liquidity, shares: liquidity, decay }, reserves)
    }

    #[test]
    fn p10_4_6_half_way_the_golden_reserves_are_left() {
        let (pool, mut rest) = pool(100_000_000, 500_000_000);
        let whole = rest[0];
        let (later, free) = pool.rescaled(&mut rest, 2 * DAY, DAY).unwrap();
        assert_eq!(later.liquidity, 70_710_678);
        assert!((rest[0] - 28_209_480).abs() <= 1 && rest[0] == rest[1], "{rest:?}");
        assert_eq!(free[0] + rest[0], whole);
    }

    #[test]
    fn the_price_stays_the_residual_is_not_negative_and_at_the_end_all_is_free() {
        for price in [30_000_000, 500_000_000, 871_000_000] {
            let (mut pool, mut reserves) = pool(5_000_000_000, price);
            let whole = reserves;
            for step in 1..=40 {
                pool = pool.rescaled(&mut reserves, 40 * DAY, step * DAY).expect("time has passed").0;
                if step == 40 {
                    break;
                }
                let pm = Pm { liquidity: pool.liquidity, x: reserves[0], y: reserves[1] };
                assert!((pm.price_ppb() - price).abs() <= 10, "{step}: {}", pm.price_ppb());
                assert!(pm.residual() >= -1e-3, "{step}: {}", pm.residual());
            }
            assert_eq!((pool.liquidity, reserves[0], reserves[1]), (0, 0, 0));
            assert_eq!(pool.decay.released, [whole[0], whole[1]]);
        }
    }

    #[test]
    fn who_provides_later_has_no_part_in_what_was_free_before() {
        let (pool, mut reserves) = pool(100_000_000, 500_000_000);
        let mut first = Provider { shares: pool.shares, ..Provider::default() };
        let (mut pool, free) = pool.rescaled(&mut reserves, 4 * DAY, DAY).unwrap();
        let mut second = Provider { shares: pool.shares, ..Provider::default() };
        second.owed.entry = pool.decay.growth;
        pool.shares *= 2;
        let (pool, more) = pool.rescaled(&mut reserves, 4 * DAY, 2 * DAY).unwrap();
        first.settle(&pool);
        second.settle(&pool);
        assert!((second.owed.claims[0] - more[0] / 2).abs() <= 1);
        assert!((first.owed.claims[0] - free[0] - more[0] / 2).abs() <= 1);
        assert!(first.owed.claims[1] + second.owed.claims[1] <= pool.decay.released[1]);
    }

    #[test]
    fn liquidity_never_rises_and_is_nothing_from_the_end_on() {
        let at = |now_ns| liquidity_at(1_000_000_000, DAY, 3 * DAY, now_ns);
        assert_eq!((at(DAY), at(2 * DAY), at(3 * DAY), at(i64::MAX)), (1_000_000_000, 707_106_781, 0, 0));
        let hours: Vec<i64> = (24..=72).map(|hour| at(hour * DAY / 24)).collect();
        assert!(hours.windows(2).all(|pair| pair[0] > pair[1]));
        assert_eq!(liquidity_at(7, 5, 5, 5), 0);
        assert_eq!(liquidity_at(7, 5, 9, 0), 7);
    }
}
