//! What the ecosystem pool gives to begin with: launch distribution and bootstrap reward (protocol P11.7, P9.11).

use super::keepers::check_main_account;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_system, post_user};
use crate::output::{Output, Subject};
use crate::token::launch::{LAUNCH_LEAST, LAUNCH_MOST, LAUNCH_POOL};
use crate::token::Issue;
use crate::wire::command::{Command, GrantLaunch};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{BootstrapClaimBody, EventKind, LaunchGrantBody};

impl<B: Book> Engine<B> {
    /// What the ecosystem pool may give now.
    fn giveable(&self, issue: Issue, now_ns: i64) -> i64 {
        self.state.token.vesting.drawable(issue.issued_ns, now_ns)
    }

    /// Micro-tokens of the ecosystem pool go to an account: `reserved` − and `free` +.
    fn give(&mut self, command: &Command, account: u32, asset: u16, amount: i64, output: &mut Output) {
        self.state.token.vesting.draw(amount, command.time_ns);
        let postings = &mut output.postings;
        post_system(&mut self.state.system, postings, line::RESERVED, 0, asset, -amount);
        post_user(&mut self.state.accounts, postings, account, 0, asset, line::FREE, amount);
    }

    /// 0A05/2, by TREASURER: once per identity, which is an account with a suitability flag and all that are linked to it.
    pub(crate) fn grant_launch(
        &mut self,
        command: &Command,
        account: u32,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let GrantLaunch { amount } = command.payload_as();
        check_main_account(command)?;
        let issue = self.state.token.issue.ok_or(Reject::from(Code::ASSET_NOT_FOUND))?;
        if amount < LAUNCH_LEAST {
            return reject(Code::BELOW_MINIMUM, LAUNCH_LEAST, amount);
        }
        if amount > LAUNCH_MOST {
            return reject(Code::ABOVE_MAXIMUM, LAUNCH_MOST, amount);
        }
        if !self.state.governance.suitable(account, command.time_ns) {
            return reject(Code::SUITABILITY_REQUIRED, 1, 0);
        }
        let launch = &self.state.token.launch;
        let links = &self.state.detector.links;
        let served = |&other: &u32| other == account || links.linked(account, other);
        let known = match links.has_any(account) {
            true => launch.grants.keys().copied().find(served),
            false => launch.grants.contains_key(&account).then_some(account),
        };
        if let Some(known) = known {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(known));
        }
        let left = (LAUNCH_POOL - launch.total).min(self.giveable(issue, command.time_ns));
        if amount > left {
            return reject(Code::SUPPLY_EXCEEDED, left, amount);
        }
        self.give(command, account, issue.asset, amount, output);
        let launch = &mut self.state.token.launch;
        launch.grants.insert(account, amount);
        launch.total += amount;
        let total = launch.total;
        let body = LaunchGrantBody { amount, total, asset: issue.asset, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::LaunchGranted, Subject::account(account, 0), &body);
        self.after_collateral(command, account, 0, output);
        Ok(amount as u64)
    }

    /// 0A05/3: what a depositor has earned, once the time is over and as far as the ecosystem pool has vested.
    pub(crate) fn claim_bootstrap(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        check_main_account(command)?;
        let issue = self.state.token.issue.ok_or(Reject::from(Code::ASSET_NOT_FOUND))?;
        let (account, bootstrap) = (context.account, &self.state.token.bootstrap);
        let Some(depositor) = bootstrap.depositors.get(&account) else {
            return reject(Code::NOTHING_TO_CLAIM, 0, 0);
        };
        let end_ns = bootstrap.end_ns();
        if command.time_ns < end_ns {
            return reject(Code::TOO_EARLY, end_ns, command.time_ns);
        }
        let (share, claimed) = (bootstrap.share(account), depositor.claimed);
        if share <= claimed {
            return reject(Code::NOTHING_TO_CLAIM, share, claimed);
        }
        let amount = (share - claimed).min(self.giveable(issue, command.time_ns));
        if amount < 1 {
            return reject(Code::SUPPLY_EXCEEDED, amount.max(0), share - claimed);
        }
        let (points, all) = bootstrap.points(account, end_ns);
        self.give(command, account, issue.asset, amount, output);
        self.state.token.bootstrap.pay(account, amount);
        let body = BootstrapClaimBody {
            amount,
            claimed: claimed + amount,
            share,
            points_low: points as u64,
            points_high: (points >> 64) as u64,
            all_low: all as u64,
            all_high: (all >> 64) as u64,
            asset: issue.asset,
            reserved: 0,
            reserved2: 0,
        };
        output.emit(command, EventKind::BootstrapClaimed, Subject::account(account, 0), &body);
        self.after_collateral(command, account, 0, output);
        Ok(amount as u64)
    }
}
