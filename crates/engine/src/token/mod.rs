//! The platform's token: fixed supply, vesting, seasons, staking (protocol P11).
//!
//! All 10^14 micro come into being once, when an asset with the flag TOKEN is registered: `issuance` −10^14, `season`
//! +10^13, `reserved` +9×10^13. No other path posts to `issuance`. What stands on neither `reserved` nor `season` and
//! was not burnt circulates, whoever holds it; `circulating` is therefore a sum of the other lines and no line.

pub mod launch;
pub mod makers;
mod makers_snapshot;
pub mod season;
mod snapshot;
pub mod staking;
pub mod vesting;

pub use launch::{Bootstrap, Launch};
pub use makers::Makers;
pub use season::{Season, Seasons};
pub use staking::{Fund, Lot, Staking};
pub use vesting::{Schedule, Vesting};

use crate::state::{due, Due};

/// Whole supply in micro-units (P11.1).
pub const SUPPLY: i64 = 100_000_000_000_000;
/// Budget of the first season, and the most that a later one may have (P11.3).
pub const SEASON_BUDGET: i64 = 10_000_000_000_000;
/// What is locked under vesting at genesis (P11.2).
pub const RESERVED: i64 = SUPPLY - SEASON_BUDGET;

/// Concerns of the token in the due queue: the high byte of the id.
pub mod due_item {
    pub const SEASON_END: u64 = 1 << 56;
    pub const MAKER_SAMPLE: u64 = 2 << 56;
    pub const MAKER_HOUR: u64 = 3 << 56;
    pub const KIND: u64 = 0xFF << 56;
}

/// Rate class that a stake of so many micro-tokens stands for: gold and platinum 1, diamond 2 (P11.7).
pub const fn rate_class(staked: i64) -> u8 {
    match staked {
        1_000_000_000_000.. => 2,
        10_000_000_000.. => 1,
        _ => 0,
    }
}

/// The moment at which the supply came into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    pub asset: u16,
    pub issued_ns: i64,
}

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Token {
    pub issue: Option<Issue>,
    pub vesting: Vesting,
    pub seasons: Seasons,
    pub staking: Staking,
    pub makers: Makers,
    pub launch: Launch,
    pub bootstrap: Bootstrap,
}

impl Token {
    /// The token's asset, once it is issued.
    pub fn asset(&self) -> Option<u16> {
        self.issue.map(|issue| issue.asset)
    }

    /// Rate classes that stakes stand for: account, class.
    pub fn rate_classes(&self) -> impl Iterator<Item = (u32, u8)> + '_ {
        self.staking.stakers.keys().map(|&account| (account, rate_class(self.staked(account))))
    }

    /// Micro-units that an account has staked: what its status tier and its fee discount stand on (P8.4, P11.7).
    pub fn staked(&self, account: u32) -> i64 {
        self.staking.staked(account)
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut std::collections::BTreeSet<Due>) {
        due.extend(self.season_due());
        self.makers.due_items(due);
    }

    /// The due item of the active season's end.
    pub fn season_due(&self) -> Option<Due> {
        let season = self.seasons.active?;
        Some((season.end_ns(), due::TOKEN, due_item::SEASON_END))
    }
}
