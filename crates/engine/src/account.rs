//! Accounts, sub-accounts, delegates and withdrawal addresses (protocol P1.5).

use crate::codec::{Reader, Writer};
use crate::hash::id_hash;
use crate::index::Index;
use crate::ledger::{line, Balance};
use crate::order::NONE;

/// A key that may act for an owner within scopes until an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegate {
    pub key: [u8; 32],
    pub scopes: u32,
    pub expiry_ns: i64,
}

/// A withdrawal address; usable some time after it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub asset: u16,
    pub hash: [u8; 32],
    pub usable_from_ns: i64,
}

/// One sub-account and its balances, ascending by asset.
#[derive(Clone, Debug)]
pub struct SubAccount {
    pub index: u8,
    pub margin_mode: u8,
    /// Level of its margin that was published last, and its slot among those below their maintenance margin ([`NONE`] =
    /// it is none of them): kept by [`crate::liquidation`].
    pub level: u8,
    pub candidate: u32,
    pub balances: Vec<Balance>,
    /// Slots of its positions, ascending by market; derived from the positions.
    pub positions: Vec<u32>,
}

impl SubAccount {
    fn new(index: u8, margin_mode: u8, balances: Vec<Balance>) -> Self {
        SubAccount { index, margin_mode, level: 0, candidate: NONE, balances, positions: Vec::new() }
    }
}

/// An owner's account. What every order reads lies in its first two cache lines.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Account {
    pub id: [u8; 32],
    pub owner_key: [u8; 32],
    /// Sub-account 0, which every account has.
    main: SubAccount,
    pub delegates: Vec<Delegate>,
    /// Open orders as an intrusive list in ascending order id.
    pub first_order: u32,
    pub last_order: u32,
    pub open_orders: u32,
    pub switch_window_s: u32,
    /// Cancel-all-after: deadline 0 = disarmed.
    pub switch_deadline_ns: i64,
    /// The other sub-accounts, ascending by index.
    others: Vec<SubAccount>,
    pub addresses: Vec<Address>,
}

impl Account {
    #[inline]
    pub fn sub(&self, index: u8) -> Option<&SubAccount> {
        if index == 0 {
            return Some(&self.main);
        }
        self.others.iter().find(|sub| sub.index == index)
    }

    /// Whether sub-account 0 is the only one.
    #[inline]
    pub fn has_one_sub(&self) -> bool {
        self.others.is_empty()
    }

    /// All sub-accounts, ascending by index.
    pub fn subs(&self) -> impl Iterator<Item = &SubAccount> {
        [&self.main].into_iter().chain(&self.others)
    }

    #[inline]
    pub fn sub_mut(&mut self, index: u8) -> Option<&mut SubAccount> {
        if index == 0 {
            return Some(&mut self.main);
        }
        self.others.iter_mut().find(|sub| sub.index == index)
    }

    /// Adds a sub-account that does not exist yet.
    pub fn open_sub(&mut self, index: u8, margin_mode: u8) {
        let position = self.others.partition_point(|sub| sub.index < index);
        self.others.insert(position, SubAccount::new(index, margin_mode, Vec::new()));
    }
}

/// Rows up to which searching one after the other beats halving.
const FEW_BALANCES: usize = 8;

impl SubAccount {
    /// Where the row of an asset is, or belongs. Who trades in one market has two rows.
    #[inline(always)]
    fn row(&self, asset: u16) -> Result<usize, usize> {
        match self.balances.as_slice() {
            [first, ..] if first.asset == asset => Ok(0),
            [_, second, ..] if second.asset == asset => Ok(1),
            _ => self.further_row(asset),
        }
    }

    /// The row of an asset, new when there was none.
    #[inline(always)]
    pub fn balance_mut(&mut self, asset: u16) -> &mut Balance {
        let row = match self.row(asset) {
            Ok(row) => row,
            Err(row) => add_balance(&mut self.balances, row, asset),
        };
        &mut self.balances[row]
    }

    #[inline(never)]
    fn further_row(&self, asset: u16) -> Result<usize, usize> {
        if self.balances.len() <= FEW_BALANCES {
            if let Some(row) = self.balances.iter().position(|balance| balance.asset == asset) {
                return Ok(row);
            }
        }
        self.balances.binary_search_by_key(&asset, |balance| balance.asset)
    }
}

/// All accounts of the shard.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    pub list: Vec<Account>,
    by_id: Index,
}

impl Accounts {
    #[inline]
    pub fn find(&self, id: &[u8; 32]) -> Option<u32> {
        self.by_id.find(id_hash(id), |handle| self.list[handle as usize].id == *id)
    }

    /// The handle that an id probably has, without a look at the account.
    #[inline(always)]
    pub fn guess(&self, id: &[u8; 32]) -> Option<u32> {
        self.by_id.find(id_hash(id), |_| true)
    }

    pub fn open(&mut self, id: [u8; 32], owner_key: [u8; 32]) -> u32 {
        let handle = self.list.len() as u32;
        self.by_id.insert(id_hash(&id), handle);
        self.list.push(Account {
            id,
            owner_key,
            main: SubAccount::new(0, 0, Vec::new()),
            others: Vec::new(),
            delegates: Vec::new(),
            addresses: Vec::new(),
            switch_deadline_ns: 0,
            switch_window_s: 0,
            first_order: NONE,
            last_order: NONE,
            open_orders: 0,
        });
        handle
    }

    /// Micro-units on a user line; 0 when nothing was ever posted there.
    #[inline]
    pub fn balance(&self, account: u32, sub: u8, asset: u16, line: u8) -> i64 {
        self.list[account as usize]
            .sub(sub)
            .and_then(|sub| sub.row(asset).ok().map(|row| &sub.balances[row]))
            .map_or(0, |balance| balance.lines[line as usize])
    }

    /// Assets in which a sub-account that exists was ever posted to, ascending.
    pub fn assets(&self, account: u32, sub: u8) -> impl Iterator<Item = u16> + '_ {
        let sub = self.list[account as usize].sub(sub).expect("sub-account was checked to exist");
        sub.balances.iter().map(|balance| balance.asset)
    }

    /// Slots of the positions of a sub-account that exists.
    #[inline]
    pub fn positions(&self, account: u32, sub: u8) -> &[u32] {
        let sub = self.list[account as usize].sub(sub).expect("sub-account was checked to exist");
        &sub.positions
    }

    #[inline]
    pub fn positions_mut(&mut self, account: u32, sub: u8) -> &mut Vec<u32> {
        let sub = self.list[account as usize].sub_mut(sub).expect("sub-account was checked to exist");
        &mut sub.positions
    }

    /// Position of an asset's row among the balances of a sub-account, and the row.
    #[inline(always)]
    pub fn row(&self, account: u32, sub: u8, asset: u16) -> Option<(usize, &Balance)> {
        let sub = self.list[account as usize].sub(sub)?;
        let row = sub.row(asset).ok()?;
        Some((row, &sub.balances[row]))
    }

    /// The row at a position that [`Accounts::row`] gave, to change it.
    #[inline(always)]
    pub fn at_mut(&mut self, account: u32, sub: u8, row: usize) -> &mut Balance {
        &mut self.sub_mut(account, sub).balances[row]
    }

    /// A sub-account that exists.
    #[inline(always)]
    pub fn sub_mut(&mut self, account: u32, sub: u8) -> &mut SubAccount {
        self.list[account as usize].sub_mut(sub).expect("sub-account was checked to exist")
    }

    #[inline]
    pub fn balance_mut(&mut self, account: u32, sub: u8, asset: u16) -> &mut Balance {
        self.sub_mut(account, sub).balance_mut(asset)
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.list.len());
        for account in &self.list {
            writer.raw(&account.id);
            writer.raw(&account.owner_key);
            writer.i64(account.switch_deadline_ns);
            writer.u32(account.switch_window_s);
            writer.len(account.delegates.len());
            for delegate in &account.delegates {
                writer.raw(&delegate.key);
                writer.u32(delegate.scopes);
                writer.i64(delegate.expiry_ns);
            }
            writer.len(account.addresses.len());
            for address in &account.addresses {
                writer.u16(address.asset);
                writer.raw(&address.hash);
                writer.i64(address.usable_from_ns);
            }
            writer.len(1 + account.others.len());
            for sub in account.subs() {
                writer.u8(sub.index);
                writer.u8(sub.margin_mode);
                let rows =
                    || sub.balances.iter().filter(|balance| balance.lines.iter().any(|&value| value != 0));
                writer.len(rows().count());
                for balance in rows() {
                    writer.u16(balance.asset);
                    balance.lines.iter().for_each(|&value| writer.i64(value));
                }
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut accounts = Accounts::default();
        for _ in 0..reader.len(100)? {
            let handle = accounts.open(reader.array()?, reader.array()?);
            let account = &mut accounts.list[handle as usize];
            account.switch_deadline_ns = reader.i64()?;
            account.switch_window_s = reader.u32()?;
            for _ in 0..reader.len(44)? {
                let (key, scopes, expiry_ns) = (reader.array()?, reader.u32()?, reader.i64()?);
                account.delegates.push(Delegate { key, scopes, expiry_ns });
            }
            for _ in 0..reader.len(42)? {
                let (asset, hash, usable_from_ns) = (reader.u16()?, reader.array()?, reader.i64()?);
                account.addresses.push(Address { asset, hash, usable_from_ns });
            }
            account.others = decode_subs(reader)?;
            account.main = account.others.remove(0);
        }
        Ok(accounts)
    }
}

/// A fresh row at its place: rows ascend by asset.
#[cold]
fn add_balance(balances: &mut Vec<Balance>, row: usize, asset: u16) -> usize {
    balances.insert(row, Balance { asset, lines: [0; line::USER_LINES] });
    row
}

/// The sub-accounts of one account, ascending; never empty, and the first is number 0.
fn decode_subs(reader: &mut Reader<'_>) -> Result<Vec<SubAccount>, String> {
    let mut subs = Vec::<SubAccount>::new();
    for _ in 0..reader.len(10)? {
        let (index, margin_mode) = (reader.u8()?, reader.u8()?);
        let mut balances = Vec::<Balance>::new();
        for _ in 0..reader.len(66)? {
            let asset = reader.u16()?;
            let mut lines = [0; line::USER_LINES];
            for value in &mut lines {
                *value = reader.i64()?;
            }
            balances.push(Balance { asset, lines });
        }
        if !balances.windows(2).all(|pair| pair[0].asset < pair[1].asset) {
            return Err(format!("balances of sub-account {index} out of order"));
        }
        subs.push(SubAccount::new(index, margin_mode, balances));
    }
    let ascending = subs.windows(2).all(|pair| pair[0].index < pair[1].index);
    if subs.first().is_none_or(|sub| sub.index != 0) || !ascending {
        return Err("an account without sub-account 0, or with its sub-accounts out of order".into());
    }
    Ok(subs)
}
