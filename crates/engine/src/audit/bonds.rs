//! Stakes of keepers: the `bond` line of an account is what its stake says (I23), and rewards come from system lines.

use super::fault::{ensure, Check};
use super::ledger::{BOND, FREE, INSURANCE, MAKER_FUND};
use super::records::check_movements;
use super::Auditor;
use crate::wire::event::{Event, EventKind, KeeperBody, KeeperStakeBody, Posting, RewardBody, SlashBody};

const STAKED: u8 = 1;
const UNBONDING: u8 = 2;
const WITHDRAWN: u8 = 3;
/// Largest part of a stake that one event may take, in ppm (P13.3).
const LARGEST_SLASH_PPM: u32 = 100_000;
/// Keepers and accounts that were (P18.4).
const STAKES: usize = 4_096;

/// What the events say of one account's stake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bond {
    pub asset: u16,
    pub bonded: i64,
    pub unbonding: i64,
}

impl Bond {
    pub fn total(&self) -> i64 {
        self.bonded + self.unbonding
    }
}

impl Auditor {
    /// Events that move a keeper's stake or pay a keeper.
    pub(super) fn keeper_money(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        match kind {
            EventKind::KeeperRewarded => return self.keeper_rewarded(event, postings),
            EventKind::KeeperSlashed => self.keeper_slashed(event, postings)?,
            EventKind::KeeperStakeChanged => self.stake_changed(event, postings)?,
            _ => self.keeper_stands(kind, event, postings)?,
        }
        let bond = self.records.bonds.get(&event.account).copied().unwrap_or_default();
        let line = self.ledger.line(event.account, 0, bond.asset, BOND);
        ensure!(
            line == bond.total() + self.token.staked_in(event.account, bond.asset),
            "I23",
            "account {} has {line} on its bond line and a stake of {}",
            event.account,
            bond.total()
        );
        if bond.total() == 0 {
            self.records.bonds.remove(&event.account);
        }
        ensure!(self.records.bonds.len() <= STAKES, "I20", "{} stakes exist", self.records.bonds.len());
        Ok(())
    }

    /// Registered bonds fresh money; removed turns what is bonded into what unbonds.
    fn keeper_stands(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let body: KeeperBody = event.body_as();
        let old = self.records.bonds.get(&event.account).copied().unwrap_or_default();
        let registered = kind == EventKind::KeeperRegistered;
        let expected = match registered {
            true => (old.bonded + body.amount, old.unbonding),
            false => (0, old.total()),
        };
        ensure!(
            (body.bonded, body.unbonding) == expected,
            "I23",
            "the stake of account {} becomes {} and {}, not {expected:?}",
            event.account,
            body.bonded,
            body.unbonding
        );
        if registered {
            ensure!(
                body.amount >= body.minimum_stake && body.minimum_stake > 0,
                "I23",
                "a keeper registers with {} of {}",
                body.amount,
                body.minimum_stake
            );
        }
        let amount = if registered { body.amount } else { 0 };
        if !registered {
            self.slashes.unbond(event.account, old.bonded, self.time_ns);
        }
        bonded(event, body.asset, amount, postings)?;
        let bond = Bond { asset: body.asset, bonded: body.bonded, unbonding: body.unbonding };
        self.records.bonds.insert(event.account, bond);
        Ok(())
    }

    fn stake_changed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: KeeperStakeBody = event.body_as();
        let mut bond = self.records.bonds.get(&event.account).copied().unwrap_or_default();
        bond.asset = body.asset;
        let moved = match body.change {
            STAKED => {
                bond.bonded += body.amount;
                body.amount
            }
            UNBONDING => {
                bond.bonded -= body.amount;
                bond.unbonding += body.amount;
                self.slashes.unbond(event.account, body.amount, self.time_ns);
                0
            }
            WITHDRAWN => {
                self.check_stake_leaves(event, &body)?;
                bond.unbonding -= body.amount;
                -body.amount
            }
            other => ensure_known(other)?,
        };
        ensure!(
            body.amount > 0
                && (bond.bonded, bond.unbonding) == (body.bonded, body.unbonding)
                && bond.bonded >= 0
                && bond.unbonding >= 0,
            "I23",
            "the stake of account {} becomes {} and {}, not {} and {}",
            event.account,
            body.bonded,
            body.unbonding,
            bond.bonded,
            bond.unbonding
        );
        let ready_ns = self.slashes.last_ready_ns(event.account);
        ensure!(
            body.ready_ns == ready_ns,
            "I23",
            "the stake of account {} has unbonded at {}, not at {ready_ns}",
            event.account,
            body.ready_ns
        );
        bonded(event, body.asset, moved, postings)?;
        self.records.bonds.insert(event.account, bond);
        Ok(())
    }

    /// A slash takes its share of the whole stake, bonded first, and gives it to insurance.
    fn keeper_slashed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: SlashBody = event.body_as();
        let mut bond = self.records.bonds.get(&event.account).copied().unwrap_or_default();
        let share = i128::from(bond.total()) * i128::from(body.ppm) / 1_000_000;
        ensure!(
            body.ppm <= LARGEST_SLASH_PPM && i128::from(body.amount) == share,
            "I23",
            "a slash of {} ppm takes {} of {}",
            body.ppm,
            body.amount,
            bond.total()
        );
        let from_bonded = body.amount.min(bond.bonded);
        bond.bonded -= from_bonded;
        bond.unbonding -= body.amount - from_bonded;
        self.check_slash_due(event, &body, body.amount - from_bonded)?;
        let movements =
            [(event.account, 0, body.asset, BOND, -body.amount), (0, 0, body.asset, INSURANCE, body.amount)];
        check_movements("I23", movements, postings)?;
        self.collect_fees(body.asset, body.amount);
        self.records.bonds.insert(event.account, bond);
        Ok(())
    }

    fn keeper_rewarded(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: RewardBody = event.body_as();
        ensure!(body.amount > 0 && body.source >= 0x80, "I02", "a reward of {}", body.amount);
        let movements = [
            (event.account, 0, body.asset, FREE, body.amount),
            (0, 0, body.asset, body.source, -body.amount),
        ];
        check_movements("I02", movements, postings)?;
        self.check_step_reward(&body)?;
        if matches!(body.source, MAKER_FUND | INSURANCE) {
            self.collect_fees(body.asset, -body.amount);
        }
        Ok(())
    }

    /// Every bond line is a stake (I23), from scratch.
    pub(super) fn verify_bonds(&self) -> Check {
        for balance in self.ledger.balances.iter().filter(|balance| balance.lines[BOND as usize] != 0) {
            let bond = self.records.bonds.get(&balance.account).copied().unwrap_or_default();
            let keeper = if bond.asset == balance.asset { bond.total() } else { 0 };
            let staked = self.token.staked_in(balance.account, balance.asset);
            let line = balance.lines[BOND as usize];
            ensure!(
                balance.sub == 0 && keeper + staked == line,
                "I23",
                "account {} sub {} asset {} bonds {line}, its stake is {}",
                balance.account,
                balance.sub,
                balance.asset,
                bond.total()
            );
        }
        Ok(())
    }
}

fn ensure_known(change: u8) -> Check<i64> {
    Err(super::fault("I23", format_args!("stake change {change} is unknown")))
}

/// `amount` went from the account's `free` to its `bond`, or back when negative.
fn bonded(event: &Event, asset: u16, amount: i64, postings: &[Posting]) -> Check {
    let account = event.account;
    let movements = [(account, 0, asset, FREE, -amount), (account, 0, asset, BOND, amount)];
    check_movements("I23", movements, postings)
}
