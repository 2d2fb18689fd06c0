//! Command limits of accounts: cursor state, so that a refused command may count (protocol P1.1.3, P2.1.3 step 7).
//!
//! A token bucket is kept as the one moment at which it will be full again. A bucket of `burst` tokens that gains
//! one each `interval_ns` holds a token exactly when that moment is at most `(burst − 1) × interval_ns` away, so a
//! check is a comparison and an addition, without a division and without a refill.

use crate::codec::{Reader, Writer};
use crate::limits::MAX_ACCOUNTS;
use crate::wire::command::{Command, Kind};
use crate::wire::error::{reject, Code, Reject};

/// What a bucket allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Nanoseconds after which one more command is allowed.
    pub interval_ns: i64,
    /// Commands that a rested account may send at once.
    pub burst: i64,
}

impl Allowance {
    const fn new(commands_per_second: i64, burst: i64) -> Self {
        Allowance { interval_ns: 1_000_000_000 / commands_per_second, burst }
    }
}

/// The buckets of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// New orders, changes, money.
    Commands,
    /// Cancels have their own, so that a limited account can always leave.
    Cancels,
}

const BUCKETS: usize = 2;

/// Rate classes: commands, cancels. Class 0 is every account's until RISK sets another.
/// A class bounds commands, it never buys priority (P11.7).
pub const CLASSES: [[Allowance; BUCKETS]; 4] = [
    [Allowance::new(1_000, 8_192), Allowance::new(5_000, 32_768)],
    [Allowance::new(5_000, 16_384), Allowance::new(25_000, 65_536)],
    [Allowance::new(50_000, 131_072), Allowance::new(250_000, 524_288)],
    // Market makers beside the engine, and the streams that measure it.
    [Allowance::new(5_000_000, 16_777_216), Allowance::new(20_000_000, 67_108_864)],
];

/// The bucket that a command of an owner takes from, and how many tokens; None = not limited here.
#[inline]
pub fn cost(command: &Command, kind: Kind) -> Option<(Bucket, i64)> {
    match kind {
        Kind::CancelOrder | Kind::CancelAll | Kind::SetCancelAllAfter | Kind::CancelWithdrawal => {
            Some((Bucket::Cancels, 1))
        }
        // A batch pays for its items at once, so that none of them can be refused for its rate.
        Kind::PlaceBatch => Some((Bucket::Commands, i64::from(command.payload[0]).max(1))),
        // Items are paid for. Operators, risk officers, custody and keepers act by a role with limits of its own,
        // and what they do must not empty the bucket of the account they act on.
        Kind::BatchItem
        | Kind::Deposit
        | Kind::SetSuitability
        | Kind::SetRateClass
        | Kind::LinkOwners
        | Kind::CreateMarket
        | Kind::Liquidate
        | Kind::KeeperAct => None,
        _ => Some((Bucket::Commands, 1)),
    }
}

/// Buckets of all accounts, by handle.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// The moments in ns at which the buckets are full again; in the past = full.
    full_at_ns: Vec<[i64; BUCKETS]>,
}

impl Rates {
    /// Takes `tokens` out of a bucket, or none.
    ///
    /// # Errors
    /// `RATE_LIMITED` with the moment at which the same command is taken and the present one.
    #[inline(always)]
    pub fn take(
        &mut self,
        account: u32,
        class: u8,
        bucket: Bucket,
        tokens: i64,
        now_ns: i64,
    ) -> Result<(), Reject> {
        let index = account as usize;
        if index >= self.full_at_ns.len() {
            self.grow(index);
        }
        let allowance = &CLASSES[class as usize][bucket as usize];
        let full_at_ns = &mut self.full_at_ns[index][bucket as usize];
        let after_ns = (*full_at_ns).max(now_ns).saturating_add(tokens * allowance.interval_ns);
        let latest_ns = now_ns.saturating_add(allowance.burst * allowance.interval_ns);
        if after_ns > latest_ns {
            return reject(Code::RATE_LIMITED, now_ns.saturating_add(after_ns - latest_ns), now_ns);
        }
        *full_at_ns = after_ns;
        Ok(())
    }

    /// Fills the buckets of an account: what it owes by one class means nothing in another.
    pub fn rest(&mut self, account: u32) {
        if let Some(full_at_ns) = self.full_at_ns.get_mut(account as usize) {
            *full_at_ns = [i64::MIN; BUCKETS];
        }
    }

    #[cold]
    fn grow(&mut self, index: usize) {
        self.full_at_ns.resize(index + 1, [i64::MIN; BUCKETS]);
    }

    /// Buckets that are not full; a full one is the same as none.
    pub fn encode(&self, now_ns: i64, writer: &mut Writer) {
        let live =
            || self.full_at_ns.iter().enumerate().filter(|(_, full)| full.iter().any(|&at| at > now_ns));
        writer.len(live().count());
        for (account, full) in live() {
            writer.u32(account as u32);
            full.iter().for_each(|&at| writer.i64(if at > now_ns { at } else { i64::MIN }));
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut rates = Self::default();
        for _ in 0..reader.len(20)? {
            let account = reader.u32()? as usize;
            if account >= MAX_ACCOUNTS || account < rates.full_at_ns.len() {
                return Err(format!("buckets of account {account} are out of order"));
            }
            rates.grow(account);
            rates.full_at_ns[account] = [reader.i64()?, reader.i64()?];
        }
        Ok(rates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;

    fn taken(rates: &mut Rates, bucket: Bucket, times: i64, now_ns: i64) -> i64 {
        (0..times).filter(|_| rates.take(3, 0, bucket, 1, now_ns).is_ok()).count() as i64
    }

    #[test]
    fn a_rested_account_sends_its_burst_at_once_and_then_its_rate() {
        let mut rates = Rates::default();
        assert_eq!(taken(&mut rates, Bucket::Commands, 10_000, 0), 8_192);
        assert_eq!(taken(&mut rates, Bucket::Commands, 10, SECOND_NS / 1_000 - 1), 0);
        assert_eq!(taken(&mut rates, Bucket::Commands, 10, SECOND_NS / 1_000), 1);
        assert_eq!(taken(&mut rates, Bucket::Commands, 10_000, SECOND_NS), 999);
        assert_eq!(taken(&mut rates, Bucket::Commands, 10_000, 1_000 * SECOND_NS), 8_192);
    }

    #[test]
    fn a_refusal_names_the_moment_at_which_the_same_command_is_taken() {
        let mut rates = Rates::default();
        taken(&mut rates, Bucket::Commands, 8_192, 77);
        let refusal = rates.take(3, 0, Bucket::Commands, 5, 77).unwrap_err();
        assert_eq!((refusal.code, refusal.bound, refusal.given), (Code::RATE_LIMITED, 77 + 5_000_000, 77));
        assert!(rates.take(3, 0, Bucket::Commands, 5, refusal.bound - 1).is_err());
        assert!(rates.take(3, 0, Bucket::Commands, 5, refusal.bound).is_ok());
    }

    #[test]
    fn a_limited_account_still_cancels_and_others_are_not_limited() {
        let mut rates = Rates::default();
        taken(&mut rates, Bucket::Commands, 9_000, 0);
        assert_eq!(taken(&mut rates, Bucket::Cancels, 40_000, 0), 32_768);
        assert!(rates.take(2, 0, Bucket::Commands, 1, 0).is_ok());
    }

    #[test]
    fn any_window_holds_at_most_the_burst_and_the_rate_over_it() {
        let (mut rates, mut now_ns, mut state) = (Rates::default(), 0_i64, 9_u64);
        let mut accepted: Vec<i64> = Vec::new();
        for _ in 0..60_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            now_ns += (state % 1_000_000) as i64;
            if rates.take(0, 0, Bucket::Commands, 1, now_ns).is_ok() {
                accepted.push(now_ns);
            }
        }
        for first in (0..accepted.len()).step_by(97) {
            for last in (first..accepted.len()).step_by(1_001) {
                let span_ns = accepted[last] - accepted[first];
                assert!((last - first) as i64 <= 8_192 + span_ns / 1_000_000);
            }
        }
        assert!(accepted.len() < 60_000, "the stream was not faster than the limit");
    }

    #[test]
    fn what_is_stored_is_what_is_restored_and_the_extremes_of_time_do_not_overflow() {
        let mut rates = Rates::default();
        taken(&mut rates, Bucket::Commands, 9_000, 500);
        assert!(rates.take(1, 0, Bucket::Cancels, 1, 500).is_ok());
        let mut writer = Writer::default();
        rates.encode(500, &mut writer);
        let mut copy = Rates::decode(&mut Reader::new(&writer.bytes)).unwrap();
        assert_eq!(copy.take(3, 0, Bucket::Commands, 1, 500), rates.take(3, 0, Bucket::Commands, 1, 500));
        let mut again = Writer::default();
        copy.encode(500, &mut again);
        assert_eq!(writer.bytes, again.bytes);
        let mut later = Writer::default();
        rates.encode(i64::MAX, &mut later);
        assert_eq!(later.bytes, 0_u64.to_le_bytes());
        assert!(rates.take(3, 0, Bucket::Commands, 1, i64::MAX).is_ok());
        assert!(Rates::default().take(0, 3, Bucket::Cancels, 1, i64::MIN).is_ok());
    }
}
