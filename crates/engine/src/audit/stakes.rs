//! Who has a stake in which market, and who had one in the last seven days, from events alone: an arbiter with either
//! has no vote there (P15.3).

use std::collections::VecDeque;

use super::fault::{ensure, Check};
use super::Auditor;
use crate::hash::{id32, Map};
use crate::id::account_id;
use crate::wire::event::Event;

const BAR_NS: i64 = 7 * 24 * 3_600 * 1_000_000_000;
/// Account of what pools hold.
const POOL: u32 = u32::MAX;

/// Claims on outcomes and parts of a pool that an account has in a market, and when it gave the last of them up.
#[derive(Clone, Copy, Debug, Default)]
struct Stake {
    held: u32,
    left_ns: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub struct Stakes {
    /// By market and account.
    stakes: Map<(u32, u32), Stake>,
    /// When which of them became nothing, ascending.
    left: VecDeque<(i64, (u32, u32))>,
    /// Account by the first word of its id.
    accounts: Map<u64, u32>,
}

impl Stakes {
    pub fn open_account(&mut self, id: &[u8; 32], account: u32) {
        self.accounts.insert(id32(id).0[0], account);
    }

    /// An account has one more claim or part, or one less (`now_ns`: when).
    pub fn change(&mut self, market: u32, account: u32, (before, after): (bool, bool), now_ns: i64) {
        if account == POOL || before == after {
            return;
        }
        let stake = self.stakes.entry((market, account)).or_default();
        if after {
            stake.held += 1;
            return;
        }
        stake.held = stake.held.saturating_sub(1);
        self.leave(market, account, now_ns);
    }

    /// Keeps when an account gave something up; what is older than the bar goes.
    pub fn leave(&mut self, market: u32, account: u32, now_ns: i64) {
        self.stakes.entry((market, account)).or_default().left_ns = Some(now_ns);
        self.left.push_back((now_ns, (market, account)));
        while let Some(&(left_ns, place)) = self.left.front().filter(|left| left.0 <= now_ns - BAR_NS) {
            self.left.pop_front();
            let ended = |stake: &Stake| stake.held == 0 && stake.left_ns == Some(left_ns);
            if self.stakes.get(&place).is_some_and(ended) {
                self.stakes.remove(&place);
            }
        }
    }
}

impl Auditor {
    /// A vote of somebody with an account of his own.
    pub(super) fn check_vote_stake(&self, event: &Event, arbiter: &[u8; 32]) -> Check {
        let id = id32(&account_id(arbiter)).0[0];
        let Some(&account) = self.stakes.accounts.get(&id) else { return Ok(()) };
        let stake = self.stakes.stakes.get(&(event.market, account)).copied().unwrap_or_default();
        let recent = stake.left_ns.is_some_and(|left_ns| self.time_ns - left_ns < BAR_NS);
        ensure!(
            stake.held == 0 && !recent && !self.questions.has_part(event.market, account),
            "I22",
            "account {account} votes in market {} with a stake there: {stake:?} at {}",
            event.market,
            self.time_ns
        );
        Ok(())
    }
}
