//! Double-entry balances (protocol P1.5.4, P1.5.5). Every change is a posting; per event and asset they sum to zero.

use std::collections::BTreeMap;

use crate::account::Accounts;
use crate::codec::{Reader, Writer};
use crate::math::MAX_BALANCE;
use crate::wire::event::Posting;

/// Balance lines: below 80h they belong to a sub-account, above to the system.
pub mod line {
    pub const FREE: u8 = 0;
    pub const HELD: u8 = 1;
    pub const COST: u8 = 2;
    pub const PLEDGED: u8 = 3;
    pub const LOAN: u8 = 4;
    pub const BOND: u8 = 5;
    pub const PENDING_WITHDRAWAL: u8 = 6;
    pub const IN_TRANSIT: u8 = 7;
    pub const WORLD: u8 = 0x80;
    pub const SET_ESCROW: u8 = 0x81;
    pub const POOL_CASH: u8 = 0x82;
    pub const VAULT_CASH: u8 = 0x83;
    pub const VAULT_LOANS: u8 = 0x84;
    pub const INSURANCE: u8 = 0x85;
    pub const LIQUIDATION_FEES: u8 = 0x86;
    pub const FUNDING: u8 = 0x87;
    pub const STAKER_POOL: u8 = 0x88;
    pub const MAKER_FUND: u8 = 0x89;
    pub const BUYBACK: u8 = 0x8A;
    pub const TREASURY: u8 = 0x8B;
    pub const KEEPER_BOUNTY: u8 = 0x8C;
    pub const BOND_ESCROW: u8 = 0x8D;
    pub const ISSUANCE: u8 = 0x8E;
    pub const DUST: u8 = 0x8F;
    /// Tokens under vesting, and of the season in course (P11.1).
    pub const RESERVED: u8 = 0x90;
    pub const SEASON: u8 = 0x91;

    /// Key of `season` and `maker_fund` for what their makers may claim; 0 is what is still to be given out.
    pub const CLAIMABLE: u32 = 1;

    pub const USER_LINES: usize = 8;
    pub const FIRST_SYSTEM: u8 = WORLD;
    pub const SYSTEM_LINES: usize = 18;

    /// Names by number, `""` where none is assigned.
    pub const NAMES: &[(&str, u8)] = &[
        ("free", FREE),
        ("held", HELD),
        ("cost", COST),
        ("pledged", PLEDGED),
        ("loan", LOAN),
        ("bond", BOND),
        ("pending_withdrawal", PENDING_WITHDRAWAL),
        ("in_transit", IN_TRANSIT),
        ("world", WORLD),
        ("set_escrow", SET_ESCROW),
        ("pool_cash", POOL_CASH),
        ("vault_cash", VAULT_CASH),
        ("vault_loans", VAULT_LOANS),
        ("insurance", INSURANCE),
        ("liquidation_fees", LIQUIDATION_FEES),
        ("funding", FUNDING),
        ("staker_pool", STAKER_POOL),
        ("maker_fund", MAKER_FUND),
        ("buyback", BUYBACK),
        ("treasury", TREASURY),
        ("keeper_bounty", KEEPER_BOUNTY),
        ("bond_escrow", BOND_ESCROW),
        ("issuance", ISSUANCE),
        ("dust", DUST),
        ("reserved", RESERVED),
        ("season", SEASON),
    ];

    /// Lines that may be negative (P1.5.5).
    pub const fn may_be_negative(line: u8) -> bool {
        matches!(line, COST | LOAN | WORLD | FUNDING | ISSUANCE)
    }
}

/// The balances of one sub-account in one asset, by user line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    pub asset: u16,
    pub lines: [i64; line::USER_LINES],
}

/// The system's lines. Those without a key are dense by asset; keyed ones (market, pool) are a map.
#[derive(Clone, Debug, Default)]
pub struct SystemLines {
    dense: Vec<[i64; line::SYSTEM_LINES]>,
    keyed: BTreeMap<(u8, u32, u16), i64>,
}

impl SystemLines {
    #[inline]
    pub fn get(&self, line: u8, key: u32, asset: u16) -> i64 {
        if key == 0 {
            self.dense.get(asset as usize).map_or(0, |lines| lines[(line - line::FIRST_SYSTEM) as usize])
        } else {
            self.keyed.get(&(line, key, asset)).copied().unwrap_or(0)
        }
    }

    /// The key-less lines of an asset.
    #[inline]
    fn row(&mut self, asset: u16) -> &mut [i64; line::SYSTEM_LINES] {
        let index = asset as usize;
        if index >= self.dense.len() {
            self.dense.resize(index + 1, [0; line::SYSTEM_LINES]);
        }
        &mut self.dense[index]
    }

    #[inline]
    fn slot(&mut self, line: u8, key: u32, asset: u16) -> &mut i64 {
        if key == 0 {
            &mut self.row(asset)[usize::from(line - line::FIRST_SYSTEM)]
        } else {
            self.keyed.entry((line, key, asset)).or_insert(0)
        }
    }

    /// Lines that are not zero as ((line, key, asset), micro-units), ascending.
    pub fn rows(&self) -> Vec<((u8, u32, u16), i64)> {
        let dense = self.dense.iter().enumerate().flat_map(|(asset, lines)| {
            lines.iter().enumerate().map(move |(i, &v)| ((line::FIRST_SYSTEM + i as u8, 0, asset as u16), v))
        });
        let mut rows: Vec<_> = dense
            .chain(self.keyed.iter().map(|(&key, &value)| (key, value)))
            .filter(|row| row.1 != 0)
            .collect();
        rows.sort_unstable();
        rows
    }

    pub fn encode(&self, writer: &mut Writer) {
        let rows = self.rows();
        writer.len(rows.len());
        for ((line, key, asset), value) in rows {
            writer.u8(line);
            writer.u32(key);
            writer.u16(asset);
            writer.i64(value);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut lines = SystemLines::default();
        for _ in 0..reader.len(15)? {
            let (line, key, asset) = (reader.u8()?, reader.u32()?, reader.u16()?);
            if !(line::FIRST_SYSTEM..=line::SEASON).contains(&line) {
                return Err(format!("system line {line} is unknown"));
            }
            *lines.slot(line, key, asset) = reader.i64()?;
        }
        Ok(lines)
    }
}

/// Posts one movement and applies it.
///
/// # Panics
/// When the line leaves its domain: a broken invariant (I03), never an operating error.
#[inline]
pub fn post_user(
    accounts: &mut Accounts,
    postings: &mut Vec<Posting>,
    account: u32,
    sub: u8,
    asset: u16,
    line: u8,
    amount: i64,
) {
    if amount == 0 {
        return;
    }
    let slot = &mut accounts.balance_mut(account, sub, asset).lines[line as usize];
    *slot = checked(*slot, amount, line);
    postings.push(Posting { owner: account, asset, line, sub, amount });
}

/// [`post_user`] on a balance that was looked up already.
///
/// # Panics
/// As [`post_user`].
#[inline(always)]
pub fn post_line(
    balance: &mut Balance,
    postings: &mut Vec<Posting>,
    (owner, sub): (u32, u8),
    line: u8,
    amount: i64,
) {
    if amount != 0 {
        let slot = &mut balance.lines[line as usize];
        *slot = checked(*slot, amount, line);
        postings.push(Posting { owner, asset: balance.asset, line, sub, amount });
    }
}

/// Moves an amount between two lines of one balance: one look-up, two postings. A negative amount moves back.
///
/// # Panics
/// As [`post_user`].
#[inline]
pub fn post_between(
    accounts: &mut Accounts,
    postings: &mut Vec<Posting>,
    owner: (u32, u8),
    asset: u16,
    (from, to): (u8, u8),
    amount: i64,
) {
    if amount != 0 {
        let balance = accounts.balance_mut(owner.0, owner.1, asset);
        post_in_row(balance, postings, owner, (from, to), amount);
    }
}

/// [`post_between`] on a balance that was looked up already.
///
/// # Panics
/// As [`post_user`].
#[inline(always)]
pub fn post_in_row(
    balance: &mut Balance,
    postings: &mut Vec<Posting>,
    (owner, sub): (u32, u8),
    (from, to): (u8, u8),
    amount: i64,
) {
    if amount == 0 {
        return;
    }
    let Balance { asset, lines } = balance;
    let asset = *asset;
    lines[from as usize] = checked(lines[from as usize], -amount, from);
    lines[to as usize] = checked(lines[to as usize], amount, to);
    postings.push(Posting { owner, asset, line: from, sub, amount: -amount });
    postings.push(Posting { owner, asset, line: to, sub, amount });
}

/// Posts one movement on a system line and applies it.
///
/// # Panics
/// As [`post_user`].
#[inline]
pub fn post_system(
    system: &mut SystemLines,
    postings: &mut Vec<Posting>,
    line: u8,
    key: u32,
    asset: u16,
    amount: i64,
) {
    if amount == 0 {
        return;
    }
    let slot = system.slot(line, key, asset);
    *slot = checked(*slot, amount, line);
    postings.push(Posting { owner: key, asset, line, sub: 0, amount });
}

/// Undoes a posting that was made and that nobody has heard of.
pub(crate) fn take_back(accounts: &mut Accounts, system: &mut SystemLines, posting: &Posting) {
    let Posting { owner, asset, line, sub, amount } = *posting;
    if line < line::FIRST_SYSTEM {
        accounts.balance_mut(owner, sub, asset).lines[usize::from(line)] -= amount;
    } else {
        *system.slot(line, owner, asset) -= amount;
    }
}

/// Posts several amounts on key-less system lines of one asset: one look-up, and room is made once.
///
/// # Panics
/// As [`post_user`].
#[inline(always)]
pub fn post_system_lines<const N: usize>(
    system: &mut SystemLines,
    postings: &mut Vec<Posting>,
    asset: u16,
    amounts: [(u8, i64); N],
) {
    let lines = system.row(asset);
    if amounts.iter().all(|&(_, amount)| amount != 0) {
        let mut posted = [Posting { owner: 0, asset, line: 0, sub: 0, amount: 0 }; N];
        for (row, (line, amount)) in posted.iter_mut().zip(amounts) {
            let slot = &mut lines[usize::from(line - line::FIRST_SYSTEM)];
            *slot = checked(*slot, amount, line);
            (row.line, row.amount) = (line, amount);
        }
        return postings.extend_from_slice(&posted);
    }
    for (line, amount) in amounts {
        if amount != 0 {
            let slot = &mut lines[usize::from(line - line::FIRST_SYSTEM)];
            *slot = checked(*slot, amount, line);
            postings.push(Posting { owner: 0, asset, line, sub: 0, amount });
        }
    }
}

#[inline(always)]
fn checked(balance: i64, amount: i64, line: u8) -> i64 {
    let sum = balance + amount;
    // One comparison covers the usual case: neither negative nor too large. A cost is negative as often as not.
    let usual = match line {
        line::COST => sum.unsigned_abs() <= MAX_BALANCE as u64,
        _ => sum as u64 <= MAX_BALANCE as u64,
    };
    if !usual {
        check_domain(sum, amount, line);
    }
    sum
}

#[cold]
fn check_domain(sum: i64, amount: i64, line: u8) {
    // What margin has driven below zero may come back in steps, but nothing else may deepen it.
    let recovers = line == line::FREE && amount > 0;
    let allowed = line::may_be_negative(line) || recovers;
    assert!(allowed && sum.abs() <= MAX_BALANCE, "I03: line {line} would be {sum}");
}

/// Posts on the `free` line of a sub-account whose positions secure what goes below zero (P1.5.5).
///
/// # Panics
/// Beyond the largest balance.
#[inline]
pub fn post_margin(
    accounts: &mut Accounts,
    postings: &mut Vec<Posting>,
    (account, sub): (u32, u8),
    asset: u16,
    amount: i64,
) {
    if amount != 0 {
        post_margin_in(accounts.balance_mut(account, sub, asset), postings, (account, sub), amount);
    }
}

/// [`post_margin`] on a balance that was looked up already.
///
/// # Panics
/// As [`post_margin`].
#[inline(always)]
pub fn post_margin_in(
    balance: &mut Balance,
    postings: &mut Vec<Posting>,
    (owner, sub): (u32, u8),
    amount: i64,
) {
    if amount == 0 {
        return;
    }
    let slot = &mut balance.lines[usize::from(line::FREE)];
    *slot += amount;
    assert!(slot.abs() <= MAX_BALANCE, "I03: free would be {slot}");
    postings.push(Posting { owner, asset: balance.asset, line: line::FREE, sub, amount });
}
