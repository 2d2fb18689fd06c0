//! Balance lines rebuilt from postings: I01, I02, I03 and the amounts that I07 compares.

use super::fault::{ensure, fault, Check};
use super::position::sub_key;
use crate::hash::Map;
use crate::wire::event::Posting;

/// Largest absolute balance of any line, in micro-units (P1.4.1).
const LARGEST_BALANCE: i64 = 4_000_000_000_000_000_000;
/// Accounts and assets whose balances are found without hashing. What a log names beyond is found all the same.
const NEAR_ACCOUNTS: usize = 1 << 20;
const NEAR_ASSETS: usize = 8;
/// Assets that the postings of one event may touch.
const ASSETS_PER_EVENT: usize = 8;
const USER_LINES: usize = 8;
const SYSTEM_LINES: usize = 18;
const FIRST_SYSTEM: u8 = 0x80;

pub const FREE: u8 = 0;
pub const HELD: u8 = 1;
pub const COST: u8 = 2;
const LOAN: u8 = 4;
pub const BOND: u8 = 5;
pub const PENDING_WITHDRAWAL: u8 = 6;
pub const WORLD: u8 = 0x80;
pub const SET_ESCROW: u8 = 0x81;
pub const POOL_CASH: u8 = 0x82;
pub const VAULT_CASH: u8 = 0x83;
pub const BOND_ESCROW: u8 = 0x8D;
pub const INSURANCE: u8 = 0x85;
pub const LIQUIDATION_FEES: u8 = 0x86;
pub const FUNDING: u8 = 0x87;
pub const STAKER_POOL: u8 = 0x88;
pub const MAKER_FUND: u8 = 0x89;
pub const ISSUANCE: u8 = 0x8E;
pub const RESERVED: u8 = 0x90;
pub const SEASON: u8 = 0x91;

/// The lines of one (account, sub-account, asset), and what `held` and `pending_withdrawal` must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub account: u32,
    pub asset: u16,
    pub sub: u8,
    pub lines: [i64; USER_LINES],
    /// Sum of the reserves of the open orders, in micro-units.
    pub reserved: i64,
    /// Sum of the withdrawals that are not over, in micro-units.
    pub withdrawing: i64,
    /// Next balance of the sub-account.
    next: u32,
}

/// All lines.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub balances: Vec<Balance>,
    index: Map<u64, u32>,
    /// The same for the first sub-account of an account and the first assets, by account: position + 1, 0 = unknown.
    near: Vec<[u32; NEAR_ASSETS]>,
    /// System lines with key 0, by asset.
    dense: Vec<[i64; SYSTEM_LINES]>,
    /// System lines of a market or pool.
    keyed: Map<(u8, u32, u16), i64>,
    /// What custody must hold by the bodies of deposits and settled withdrawals, by asset.
    custody: Vec<i128>,
    /// First balance of a sub-account.
    first: Map<u64, u32>,
    /// Balances that the present event touched.
    touched: Vec<u32>,
    /// Balances that the present command has left with less than nothing on `free`.
    pub indebted: Vec<u32>,
    /// Key and slot of the balance that was looked up last: postings come in pairs.
    last: (u64, u32),
}

/// The lines that may be negative (P1.5.5). Whether `free` may be, the positions of the sub-account say.
const fn may_be_negative(line: u8) -> bool {
    matches!(line, WORLD | ISSUANCE | COST | LOAN | FUNDING)
}

const fn balance_key(account: u32, sub: u8, asset: u16) -> u64 {
    ((account as u64) << 32) | ((sub as u64) << 16) | asset as u64
}

/// Sums by asset of one event. Nearly every event touches one or two assets.
struct Sums {
    first: (u16, i128),
    second: (Option<u16>, i128),
    rest: Vec<(u16, i128)>,
}

impl Sums {
    /// No sums yet; the first posting is in this asset.
    #[inline]
    fn of(asset: u16) -> Self {
        Sums { first: (asset, 0), second: (None, 0), rest: Vec::new() }
    }

    #[inline]
    fn add(&mut self, asset: u16, amount: i64) -> Check {
        let amount = i128::from(amount);
        if asset == self.first.0 {
            self.first.1 += amount;
        } else if self.second.0 == Some(asset) {
            self.second.1 += amount;
        } else if self.second.0.is_none() {
            self.second = (Some(asset), amount);
        } else {
            return self.add_further(asset, amount);
        }
        Ok(())
    }

    #[cold]
    fn add_further(&mut self, asset: u16, amount: i128) -> Check {
        match self.rest.iter_mut().find(|row| row.0 == asset) {
            Some(row) => row.1 += amount,
            None => self.rest.push((asset, amount)),
        }
        ensure!(
            self.rest.len() + 2 <= ASSETS_PER_EVENT,
            "I20",
            "an event touches more than {ASSETS_PER_EVENT} assets"
        );
        Ok(())
    }

    /// The first asset whose sum is not zero.
    #[inline]
    fn unbalanced(&self) -> Option<(u16, i128)> {
        if self.first.1 != 0 {
            return Some(self.first);
        }
        match self.second {
            (Some(asset), sum) if sum != 0 => Some((asset, sum)),
            _ => self.rest.iter().copied().find(|row| row.1 != 0),
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger {
            balances: Vec::new(),
            index: Map::default(),
            near: Vec::new(),
            dense: Vec::new(),
            keyed: Map::default(),
            custody: Vec::new(),
            first: Map::default(),
            touched: Vec::new(),
            indebted: Vec::new(),
            last: (u64::MAX, 0),
        }
    }
}

impl Ledger {
    /// Position of a balance, made when it is new.
    #[inline]
    pub fn slot(&mut self, account: u32, sub: u8, asset: u16) -> u32 {
        if sub == 0 && usize::from(asset) < NEAR_ASSETS {
            let row = self.near.get(account as usize);
            if let Some(known) = row.and_then(|row| row[usize::from(asset)].checked_sub(1)) {
                return known;
            }
        }
        self.find_slot(account, sub, asset)
    }

    #[inline(never)]
    fn find_slot(&mut self, account: u32, sub: u8, asset: u16) -> u32 {
        let key = balance_key(account, sub, asset);
        if self.last.0 == key {
            return self.last.1;
        }
        let slot = match self.index.get(&key) {
            Some(&slot) => slot,
            None => {
                let slot = self.balances.len() as u32;
                let next = self.first.insert(sub_key(account, sub), slot).unwrap_or(u32::MAX);
                self.balances.push(Balance { account, asset, sub, next, ..Balance::default() });
                self.index.insert(key, slot);
                slot
            }
        };
        self.last = (key, slot);
        let (owner, column) = (account as usize, usize::from(asset));
        if sub == 0 && owner < NEAR_ACCOUNTS && column < NEAR_ASSETS {
            if owner >= self.near.len() {
                self.near.resize(owner + 1, [0; NEAR_ASSETS]);
            }
            self.near[owner][column] = slot + 1;
        }
        slot
    }

    /// Applies the postings of one event: they sum to zero by asset (I01) and leave every line in its domain (I03).
    #[inline]
    pub fn apply(&mut self, postings: &[Posting]) -> Check {
        let Some(first) = postings.first() else { return Ok(()) };
        let mut sums = Sums::of(first.asset);
        let mut below_zero = false;
        for posting in postings {
            sums.add(posting.asset, posting.amount)?;
            let value = self.post(posting)?;
            below_zero |= value < 0 && !may_be_negative(posting.line);
        }
        if let Some((asset, sum)) = sums.unbalanced() {
            return Err(fault("I01", format_args!("postings of asset {asset} sum to {sum}")));
        }
        if below_zero {
            self.check_signs(postings)?;
        }
        Ok(())
    }

    #[inline]
    fn post(&mut self, posting: &Posting) -> Check<i64> {
        let &Posting { owner, asset, line, sub, amount } = posting;
        let place = if line < FIRST_SYSTEM {
            ensure!((line as usize) < USER_LINES, "I03", "line {line} does not exist");
            let slot = self.slot(owner, sub, asset);
            if self.touched.last() != Some(&slot) {
                self.touched.push(slot);
            }
            &mut self.balances[slot as usize].lines[line as usize]
        } else {
            ensure!(((line - FIRST_SYSTEM) as usize) < SYSTEM_LINES, "I03", "line {line:#x} does not exist");
            self.system_mut(line, owner, asset)
        };
        match place.checked_add(amount) {
            Some(value) if value.unsigned_abs() <= LARGEST_BALANCE as u64 => {
                *place = value;
                Ok(value)
            }
            _ => Err(fault(
                "I03",
                format_args!("line {line:#x} of {owner}: {place} + {amount} is out of range"),
            )),
        }
    }

    #[cold]
    fn check_signs(&mut self, postings: &[Posting]) -> Check {
        for posting in postings {
            let value = self.line(posting.owner, posting.sub, posting.asset, posting.line);
            if value < 0 && posting.line == FREE {
                // Looked at when the command is over: a loss and what covers it are two events.
                let slot = self.slot(posting.owner, posting.sub, posting.asset);
                self.indebted.push(slot);
                continue;
            }
            ensure!(
                value >= 0 || may_be_negative(posting.line),
                "I03",
                "line {:#x} of owner {} sub {} asset {} is {value}",
                posting.line,
                posting.owner,
                posting.sub,
                posting.asset
            );
        }
        Ok(())
    }

    #[inline]
    fn system_mut(&mut self, line: u8, key: u32, asset: u16) -> &mut i64 {
        if key != 0 {
            return self.keyed.entry((line, key, asset)).or_insert(0);
        }
        let index = asset as usize;
        if index >= self.dense.len() {
            self.dense.resize(index + 1, [0; SYSTEM_LINES]);
        }
        &mut self.dense[index][(line - FIRST_SYSTEM) as usize]
    }

    /// Micro-units on any line; 0 when nothing was posted there.
    pub fn line(&self, owner: u32, sub: u8, asset: u16, line: u8) -> i64 {
        if line >= FIRST_SYSTEM {
            return match owner {
                0 => self.dense.get(asset as usize).map_or(0, |row| row[(line - FIRST_SYSTEM) as usize]),
                key => self.keyed.get(&(line, key, asset)).copied().unwrap_or(0),
            };
        }
        let slot = self.index.get(&balance_key(owner, sub, asset));
        slot.map_or(0, |&slot| self.balances[slot as usize].lines[line as usize])
    }

    /// Balances of a sub-account.
    pub fn of_sub(&self, account: u32, sub: u8) -> impl Iterator<Item = &Balance> {
        let mut at = self.first.get(&sub_key(account, sub)).copied().unwrap_or(u32::MAX);
        std::iter::from_fn(move || {
            let balance = self.balances.get(at as usize)?;
            at = balance.next;
            Some(balance)
        })
    }

    /// Changes what `held` must be.
    #[inline]
    pub fn reserve(&mut self, slot: u32, change: i64) {
        self.balances[slot as usize].reserved += change;
        if self.touched.last() != Some(&slot) {
            self.touched.push(slot);
        }
    }

    /// Changes what `pending_withdrawal` must be.
    pub fn withdraw(&mut self, account: u32, sub: u8, asset: u16, change: i64) {
        let slot = self.slot(account, sub, asset);
        self.balances[slot as usize].withdrawing += change;
        self.touched.push(slot);
    }

    /// Money crossed the border of custody: `world` must mirror it (I02).
    pub fn cross_border(&mut self, asset: u16, amount: i64) -> Check {
        let index = asset as usize;
        if index >= self.custody.len() {
            self.custody.resize(index + 1, 0);
        }
        self.custody[index] += i128::from(amount);
        self.check_custody(asset)
    }

    fn check_custody(&self, asset: u16) -> Check {
        let custody = self.custody.get(asset as usize).copied().unwrap_or(0);
        let world = self.line(0, 0, asset, WORLD);
        ensure!(
            custody == -i128::from(world),
            "I02",
            "asset {asset}: deposits less settled withdrawals are {custody}, the world line is {world}"
        );
        Ok(())
    }

    /// I07 for every balance that the event touched.
    #[inline]
    pub fn check_touched(&mut self) -> Check {
        for index in 0..self.touched.len() {
            let balance = &self.balances[self.touched[index] as usize];
            if balance.lines[HELD as usize] != balance.reserved
                || balance.lines[PENDING_WITHDRAWAL as usize] != balance.withdrawing
            {
                return Err(secured_fault(balance));
            }
        }
        self.touched.clear();
        Ok(())
    }

    /// Everything from scratch: zero sums, custody, signs, secured lines.
    pub fn verify(&self) -> Check {
        let mut sums: Map<u16, i128> = Map::default();
        for balance in &self.balances {
            for (line, &amount) in balance.lines.iter().enumerate() {
                let line = line as u8;
                ensure!(
                    amount >= 0 || line == FREE || may_be_negative(line),
                    "I03",
                    "line {line} is {amount}"
                );
                *sums.entry(balance.asset).or_insert(0) += i128::from(amount);
            }
            if balance.lines[HELD as usize] != balance.reserved
                || balance.lines[PENDING_WITHDRAWAL as usize] != balance.withdrawing
            {
                return Err(secured_fault(balance));
            }
        }
        for ((line, _, asset), amount) in self.system_rows() {
            ensure!(amount >= 0 || may_be_negative(line), "I03", "line {line:#x} is {amount}");
            *sums.entry(asset).or_insert(0) += i128::from(amount);
        }
        for (asset, sum) in sums {
            ensure!(sum == 0, "I01", "all lines of asset {asset} sum to {sum}");
        }
        (0..self.dense.len().max(self.custody.len())).try_for_each(|asset| self.check_custody(asset as u16))
    }

    /// Sum of an asset's lines apart from those of supply: what its holders have, on the platform or outside.
    pub fn circulating(&self, asset: u16) -> i128 {
        let of_users = self.balances.iter().filter(|balance| balance.asset == asset);
        let users: i128 = of_users.flat_map(|balance| balance.lines).map(i128::from).sum();
        let rows = self.system_rows().into_iter().filter(|((_, _, of), _)| *of == asset);
        let kept = rows.filter(|((line, _, _), _)| !matches!(*line, ISSUANCE | RESERVED | SEASON));
        users + kept.map(|row| i128::from(row.1)).sum::<i128>()
    }

    fn system_rows(&self) -> Vec<((u8, u32, u16), i64)> {
        let dense = self.dense.iter().enumerate().flat_map(|(asset, lines)| {
            lines
                .iter()
                .enumerate()
                .map(move |(at, &amount)| ((FIRST_SYSTEM + at as u8, 0, asset as u16), amount))
        });
        let mut rows: Vec<_> = dense.chain(self.keyed.iter().map(|(&key, &amount)| (key, amount))).collect();
        rows.retain(|row| row.1 != 0);
        rows.sort_unstable();
        rows
    }

    /// Takes a balance over as it stands; what secures it follows with the orders and withdrawals.
    pub fn load(&mut self, account: u32, sub: u8, asset: u16, lines: [i64; USER_LINES]) {
        let slot = self.slot(account, sub, asset);
        self.balances[slot as usize].lines = lines;
    }

    /// Takes a system line over as it stands; custody is what the world line says.
    pub fn load_system(&mut self, line: u8, key: u32, asset: u16, amount: i64) {
        *self.system_mut(line, key, asset) = amount;
        if line == WORLD {
            let length = self.custody.len().max(asset as usize + 1);
            self.custody.resize(length, 0);
            self.custody[asset as usize] = -i128::from(amount);
        }
    }

    /// Forgets what loading touched; [`Ledger::verify`] looks at everything instead.
    pub fn forget_touched(&mut self) {
        self.touched.clear();
    }
}

#[cold]
fn secured_fault(balance: &Balance) -> super::fault::Fault {
    let &Balance { account, sub, asset, lines, reserved, withdrawing, .. } = balance;
    let (held, pending) = (lines[HELD as usize], lines[PENDING_WITHDRAWAL as usize]);
    fault(
        "I07",
        format_args!(
            "account {account} sub {sub} asset {asset}: held {held} against reserves {reserved}, pending \
             {pending} against open withdrawals {withdrawing}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_balance_has_one_slot_near_or_not() {
        let mut ledger = Ledger::default();
        let most = NEAR_ACCOUNTS as u32;
        let mut known = std::collections::BTreeMap::new();
        for _ in 0..2 {
            for account in [0, 1, 7, most - 1, most, u32::MAX - 1] {
                for (sub, asset) in [(0, 0), (0, 7), (0, 8), (0, u16::MAX), (1, 0), (127, 7)] {
                    let slot = ledger.slot(account, sub, asset);
                    assert_eq!(*known.entry((account, sub, asset)).or_insert(slot), slot);
                    let Balance { account: owner, sub: of, asset: kept, .. } = ledger.balances[slot as usize];
                    assert_eq!((owner, of, kept), (account, sub, asset));
                }
            }
        }
        assert_eq!(known.len(), ledger.balances.len());
        assert!(ledger.near.len() <= NEAR_ACCOUNTS, "an owner that cannot be takes no room");
    }
}
