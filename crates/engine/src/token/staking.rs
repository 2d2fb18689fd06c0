//! Staking: lots with weights, and one accumulator of rewards per asset (protocol P11.5, P11.6).
//!
//! Fees feed the `staker_pool` line as they are taken. Between two changes of the total weight it makes no difference
//! when they are shared out, so this happens right before such a change and before a claim, and costs a fill nothing.

use std::collections::BTreeMap;

use crate::limits::{DAY_NS, MAX_REWARD_ASSETS};

/// Least stake: 100 tokens. With the fixed supply there are never more than a million lots.
pub const MIN_STAKE: i64 = 100_000_000;

/// Seconds that a stake may be locked for.
pub const LOCKS_S: [u32; 3] = [0, 2_592_000, 7_776_000];

/// Weight of a stake under a lock: 1, 1.25, 1.5 times, rounded down. None for a lock that does not exist.
pub fn weight(amount: i64, lock_s: u32) -> Option<i64> {
    let quarters = match lock_s {
        0 => 4,
        2_592_000 => 5,
        7_776_000 => 6,
        _ => return None,
    };
    Some((i128::from(amount) * quarters / 4) as i64)
}

const _: () = assert!(LOCKS_S[1] as i64 == 30 * DAY_NS / 1_000_000_000);

/// Rewards in one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fund {
    pub asset: u16,
    /// Micro-units per unit of weight, times 2^64.
    pub accumulator: u128,
    /// Rest of the last division; below the total weight.
    pub carry: u128,
    /// Micro-units of the pool that were shared out and not claimed yet.
    pub owed: i64,
}

impl Fund {
    /// Shares `reward` micro-units among `total` weight, which is positive.
    #[must_use]
    pub fn shared(mut self, reward: i64, total: i64) -> Fund {
        debug_assert!(reward >= 0 && total > 0);
        let numerator = ((reward as u128) << 64) + self.carry;
        self.accumulator += numerator / total as u128;
        self.carry = numerator % total as u128;
        self.owed += reward;
        self
    }

    /// After a change of the total weight: the carry stays below it. Without weight nobody can claim, so that what was
    /// rounded off is free again.
    fn settle(&mut self, total: i64) {
        if total == 0 {
            (self.carry, self.owed) = (0, 0);
        } else if self.carry >= total as u128 {
            self.accumulator += self.carry / total as u128;
            self.carry %= total as u128;
        }
    }
}

/// `(weight × (accumulator − entry)) >> 64` with a 192-bit product, rounded down.
pub fn pending(weight: i64, accumulator: u128, entry: u128) -> i64 {
    let gained = accumulator - entry;
    let weight = weight as u128;
    let (high, low) = (gained >> 64, gained & u128::from(u64::MAX));
    (weight * high + ((weight * low) >> 64)) as i64
}

/// One stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Number within its account, from 1.
    pub number: u64,
    pub amount: i64,
    pub weight: i64,
    pub lock_s: u32,
    pub unlock_ns: i64,
    /// Accumulators of the funds when it last was paid.
    pub entries: [u128; MAX_REWARD_ASSETS],
}

/// The stakes of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staker {
    /// Number of the last lot; numbers are never used again.
    pub last: u64,
    /// Ascending by number.
    pub lots: Vec<Lot>,
}

/// All stakes and funds.
#[derive(Clone, Debug, Default)]
pub struct Staking {
    pub stakers: BTreeMap<u32, Staker>,
    /// Assets in which fees are taken, in the order of their first market.
    pub funds: Vec<Fund>,
    /// Sum of the weights of all lots.
    pub total: i64,
}

impl Staking {
    /// Lets stakers be rewarded in an asset. When all places are taken the asset's pool waits.
    pub fn admit(&mut self, asset: u16) {
        if self.funds.len() < MAX_REWARD_ASSETS && self.funds.iter().all(|fund| fund.asset != asset) {
            self.funds.push(Fund { asset, ..Fund::default() });
        }
    }

    pub fn staked(&self, account: u32) -> i64 {
        self.lots(account).iter().map(|lot| lot.amount).sum()
    }

    pub fn lots(&self, account: u32) -> &[Lot] {
        self.stakers.get(&account).map_or(&[], |staker| &staker.lots)
    }

    /// A fund as it stands after sharing out what came into the pool since; `line` is the pool's balance.
    pub fn brought_up(&self, fund: Fund, line: i64) -> Fund {
        let fresh = line - fund.owed;
        if fresh > 0 && self.total > 0 {
            fund.shared(fresh, self.total)
        } else {
            fund
        }
    }

    /// Adds a lot; the funds are up to date and the caller has checked its bounds.
    pub fn add(&mut self, account: u32, amount: i64, lock_s: u32, unlock_ns: i64) -> Lot {
        let staker = self.stakers.entry(account).or_default();
        staker.last += 1;
        let mut entries = [0; MAX_REWARD_ASSETS];
        entries.iter_mut().zip(&self.funds).for_each(|(entry, fund)| *entry = fund.accumulator);
        let weight = weight(amount, lock_s).expect("the lock was checked");
        let lot = Lot { number: staker.last, amount, weight, lock_s, unlock_ns, entries };
        staker.lots.push(lot);
        self.reweigh(weight);
        lot
    }

    /// Removes a lot that was paid.
    pub fn remove(&mut self, account: u32, number: u64) -> Option<Lot> {
        let staker = self.stakers.get_mut(&account)?;
        let at = staker.lots.iter().position(|lot| lot.number == number)?;
        let lot = staker.lots.remove(at);
        self.reweigh(-lot.weight);
        Some(lot)
    }

    /// Pays a lot what the funds, up to date, owe it: micro-units by fund. A lock that is over falls back to weight 1;
    /// the second answer is the lot when it did.
    pub fn pay(&mut self, account: u32, number: u64, now_ns: i64) -> ([i64; MAX_REWARD_ASSETS], Option<Lot>) {
        let mut amounts = [0; MAX_REWARD_ASSETS];
        let lots = self.stakers.get_mut(&account).map(|staker| &mut staker.lots);
        let Some(lot) = lots.and_then(|lots| lots.iter_mut().find(|lot| lot.number == number)) else {
            return (amounts, None);
        };
        for (at, fund) in self.funds.iter_mut().enumerate() {
            amounts[at] = pending(lot.weight, fund.accumulator, lot.entries[at]);
            lot.entries[at] = fund.accumulator;
            fund.owed -= amounts[at];
        }
        if lot.weight == lot.amount || now_ns < lot.unlock_ns {
            return (amounts, None);
        }
        let fallen = lot.amount - lot.weight;
        lot.weight = lot.amount;
        let shown = *lot;
        self.reweigh(fallen);
        (amounts, Some(shown))
    }

    fn reweigh(&mut self, change: i64) {
        self.total += change;
        let total = self.total;
        self.funds.iter_mut().for_each(|fund| fund.settle(total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Stakers and the pool of one asset.
    #[derive(Default)]
    struct Bench {
        staking: Staking,
        line: i64,
        funded: i64,
        claimed: i64,
    }

    const FOREVER: i64 = i64::MAX;

    impl Bench {
        fn new() -> Self {
            let mut bench = Bench::default();
            bench.staking.admit(1);
            bench
        }

        fn fund(&mut self, reward: i64) {
            self.line += reward;
            self.funded += reward;
        }

        fn share(&mut self) {
            for at in 0..self.staking.funds.len() {
                self.staking.funds[at] = self.staking.brought_up(self.staking.funds[at], self.line);
            }
        }

        fn stake(&mut self, account: u32, amount: i64, lock_s: u32) -> u64 {
            self.share();
            self.staking.add(account, amount, lock_s, FOREVER).number
        }

        fn claim(&mut self, account: u32, lot: u64) -> i64 {
            self.share();
            let paid = self.staking.pay(account, lot, 0).0[0];
            self.line -= paid;
            self.claimed += paid;
            assert!(self.claimed <= self.funded && self.line >= 0);
            paid
        }

        fn claim_all(&mut self, account: u32) -> i64 {
            let numbers: Vec<u64> = self.staking.lots(account).iter().map(|lot| lot.number).collect();
            numbers.into_iter().map(|number| self.claim(account, number)).sum()
        }

        fn unstake(&mut self, account: u32, lot: u64) -> i64 {
            let paid = self.claim(account, lot);
            self.staking.remove(account, lot).expect("a lot");
            paid
        }

        fn check(&self) {
            let total: i64 =
                self.staking.stakers.values().flat_map(|staker| &staker.lots).map(|lot| lot.weight).sum();
            assert_eq!(total, self.staking.total, "I16");
            for fund in &self.staking.funds {
                assert!(fund.carry < self.staking.total.max(1) as u128, "I16");
                assert!((0..=self.line).contains(&fund.owed));
            }
        }
    }

    const TOKEN: i64 = 1_000_000;

    #[test]
    fn p11_6_golden_a_thousand_at_one_and_a_half_gets_a_third() {
        let mut bench = Bench::new();
        let a = bench.stake(0, 1_000 * TOKEN, LOCKS_S[2]);
        let b = bench.stake(1, 3_000 * TOKEN, LOCKS_S[0]);
        bench.fund(900 * TOKEN);
        // 1/5 has no end in binary: the accumulator rounds down, so each lot is below its share by less than a micro.
        assert_eq!((bench.claim(0, a), bench.claim(1, b)), (300 * TOKEN - 1, 600 * TOKEN - 1));
        bench.fund(900 * TOKEN);
        // With the carry nothing is lost for good: what one distribution rounds off the next one adds.
        assert_eq!(bench.claim(0, a) + bench.claim(1, b), 900 * TOKEN - 2);
        assert_eq!((bench.claim(0, a), bench.claim(1, b)), (0, 0));
    }

    #[test]
    fn p11_5_weights_by_lock_round_down() {
        assert_eq!(weight(1_000, 0), Some(1_000));
        assert_eq!(weight(1_001, LOCKS_S[1]), Some(1_251));
        assert_eq!(weight(1_001, LOCKS_S[2]), Some(1_501));
        assert_eq!(weight(1, 1), None);
    }

    #[test]
    fn the_product_of_192_bits_is_exact_at_its_edges() {
        assert_eq!(pending(1, u128::from(u64::MAX), 0), 0);
        assert_eq!(pending(1, 1 << 64, 0), 1);
        assert_eq!(pending(i64::MAX, 1 << 64, 0), i64::MAX);
        assert_eq!(pending(i64::MAX, (1 << 64) - 1, 0), i64::MAX - 1);
        assert_eq!(pending(3, (7 << 64) / 3 + 5, 5), 6);
    }

    #[test]
    fn rewards_without_stakers_wait_and_what_was_rounded_off_comes_back() {
        let mut bench = Bench::new();
        bench.fund(10);
        let lot = bench.stake(0, 300 * TOKEN + 1, 0);
        assert_eq!(bench.claim(0, lot), 9, "one micro is rounded off");
        assert_eq!(bench.unstake(0, lot), 0);
        assert_eq!((bench.staking.funds[0].owed, bench.line), (0, 1));
        bench.check();
    }

    #[test]
    fn a_lock_that_is_over_weighs_one_at_the_next_touch_and_pays_history_once() {
        let mut bench = Bench::new();
        bench.share();
        let lot = bench.staking.add(0, 100 * TOKEN, LOCKS_S[2], 50);
        let other = bench.staking.add(1, 150 * TOKEN, 0, 0);
        bench.fund(300 * TOKEN);
        bench.share();
        let (paid, fell) = bench.staking.pay(0, lot.number, 49);
        assert_eq!((paid[0], fell), (150 * TOKEN, None));
        let (paid, fell) = bench.staking.pay(0, lot.number, 50);
        assert_eq!((paid[0], fell.map(|lot| lot.weight)), (0, Some(100 * TOKEN)));
        bench.line -= 150 * TOKEN;
        assert_eq!(bench.staking.total, 250 * TOKEN);
        bench.fund(250 * TOKEN);
        bench.share();
        assert_eq!(bench.staking.pay(0, lot.number, 50).0[0], 100 * TOKEN);
        assert_eq!(bench.staking.pay(1, other.number, 50).0[0], 300 * TOKEN);
    }

    #[test]
    fn t22_ten_thousand_tiny_restakes_gain_nothing() {
        let mut bench = Bench::new();
        let honest = bench.stake(0, 100 * TOKEN, 0);
        let mut lot = bench.stake(1, 100 * TOKEN, 0);
        let mut gained = 0;
        for _ in 0..10_000 {
            bench.fund(7);
            gained += bench.unstake(1, lot);
            lot = bench.stake(1, 100 * TOKEN, 0);
        }
        let kept = bench.claim(0, honest);
        assert!(gained <= kept, "re-staking gains {gained}, holding {kept}");
        bench.check();
    }

    #[test]
    fn t22_split_accounts_gain_less_than_a_micro_a_lot() {
        let mut bench = Bench::new();
        bench.stake(0, 6_400 * TOKEN, LOCKS_S[1]);
        (0..64).for_each(|account| {
            bench.stake(1 + account, 100 * TOKEN, LOCKS_S[1]);
        });
        bench.fund(999_999_937);
        let whole = bench.claim_all(0);
        let split: i64 = (1..65).map(|account| bench.claim_all(account)).sum();
        assert!(split <= whole && whole - split < 64, "{whole} against {split}");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Fund(i64),
        Stake(u32, i64, usize),
        Unstake(u32),
        Claim(u32),
    }

    fn any_steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..2_000_000_000_i64).prop_map(Step::Fund),
            (0..4_u32, MIN_STAKE..1_000_000_000_000, 0..3_usize)
                .prop_map(|(who, amount, lock)| Step::Stake(who, amount, lock)),
            (0..4_u32).prop_map(Step::Unstake),
            (0..4_u32).prop_map(Step::Claim),
        ];
        proptest::collection::vec(step, 1..60)
    }

    /// Runs the steps; what each account has been paid after a last claim in the given order.
    fn run(steps: &[Step], order: [u32; 4], claims: bool) -> ([i64; 4], usize) {
        let mut bench = Bench::new();
        let (mut paid, mut roundings) = ([0; 4], 0);
        for step in steps {
            match *step {
                Step::Fund(reward) => bench.fund(reward),
                Step::Stake(who, amount, lock) => {
                    bench.stake(who, amount, LOCKS_S[lock]);
                }
                Step::Unstake(who) => {
                    if let Some(lot) = bench.staking.lots(who).first().copied() {
                        paid[who as usize] += bench.unstake(who, lot.number);
                    }
                }
                Step::Claim(who) if claims => {
                    roundings += bench.staking.lots(who).len();
                    paid[who as usize] += bench.claim_all(who);
                }
                Step::Claim(_) => {}
            }
            bench.check();
        }
        for who in order {
            paid[who as usize] += bench.claim_all(who);
        }
        bench.check();
        (paid, roundings)
    }

    proptest! {
        #[test]
        fn t15_claims_are_independent_of_their_order_and_never_exceed_what_was_funded(steps in any_steps()) {
            let (forwards, roundings) = run(&steps, [0, 1, 2, 3], true);
            prop_assert_eq!((forwards, roundings), run(&steps, [3, 1, 0, 2], true));
            // An account that claims in between never has more than one that waits, less by the micros rounded off;
            // what the others let lie as dust may come back to it when nobody has a stake.
            let (waiting, _) = run(&steps, [0, 1, 2, 3], false);
            let (early, late): (i64, i64) = (forwards.iter().sum(), waiting.iter().sum());
            prop_assert!((late - early).abs() <= roundings as i64 + 4, "{} against {}", early, late);
        }
    }
}
