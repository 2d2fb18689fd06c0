//! Accounts, sub-accounts, delegates and withdrawal addresses (protocol P1.5).

use crate::codec::{Reader, Writer};
use crate::hash::{id32, Id, Map};
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
    pub balances: Vec<Balance>,
}

/// An owner's account.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: [u8; 32],
    pub owner_key: [u8; 32],
    pub subs: Vec<SubAccount>,
    pub delegates: Vec<Delegate>,
    pub addresses: Vec<Address>,
    /// Cancel-all-after: deadline 0 = disarmed.
    pub switch_deadline_ns: i64,
    pub switch_window_s: u32,
    /// Open orders as an intrusive list in ascending order id.
    pub first_order: u32,
    pub last_order: u32,
    pub open_orders: u32,
}

impl Account {
    #[inline]
    pub fn sub(&self, index: u8) -> Option<&SubAccount> {
        match self.subs.first() {
            Some(sub) if sub.index == index => Some(sub),
            _ => self.subs.iter().find(|sub| sub.index == index),
        }
    }
}

/// All accounts of the shard.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    pub list: Vec<Account>,
    by_id: Map<Id, u32>,
}

impl Accounts {
    #[inline]
    pub fn find(&self, id: &[u8; 32]) -> Option<u32> {
        self.by_id.get(&id32(id)).copied()
    }

    pub fn open(&mut self, id: [u8; 32], owner_key: [u8; 32]) -> u32 {
        let handle = self.list.len() as u32;
        self.by_id.insert(id32(&id), handle);
        self.list.push(Account {
            id,
            owner_key,
            subs: vec![SubAccount { index: 0, margin_mode: 0, balances: Vec::new() }],
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
            .and_then(|sub| sub.balances.iter().find(|balance| balance.asset == asset))
            .map_or(0, |balance| balance.lines[line as usize])
    }

    #[inline]
    pub fn balance_mut(&mut self, account: u32, sub: u8, asset: u16) -> &mut Balance {
        let subs = &mut self.list[account as usize].subs;
        let position = if subs[0].index == sub {
            0
        } else {
            subs.iter().position(|entry| entry.index == sub).expect("sub-account was checked to exist")
        };
        let balances = &mut subs[position].balances;
        match balances.iter().position(|balance| balance.asset == asset) {
            Some(row) => &mut balances[row],
            None => add_balance(balances, asset),
        }
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
            writer.len(account.subs.len());
            for sub in &account.subs {
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
            account.subs = decode_subs(reader)?;
        }
        Ok(accounts)
    }
}

/// A fresh row at its place: rows ascend by asset.
#[cold]
fn add_balance(balances: &mut Vec<Balance>, asset: u16) -> &mut Balance {
    let row = balances.partition_point(|balance| balance.asset < asset);
    balances.insert(row, Balance { asset, lines: [0; line::USER_LINES] });
    &mut balances[row]
}

fn decode_subs(reader: &mut Reader<'_>) -> Result<Vec<SubAccount>, String> {
    let mut subs = Vec::new();
    for _ in 0..reader.len(10)? {
        let (index, margin_mode) = (reader.u8()?, reader.u8()?);
        let mut balances = Vec::new();
        for _ in 0..reader.len(66)? {
            let asset = reader.u16()?;
            let mut lines = [0; line::USER_LINES];
            for value in &mut lines {
                *value = reader.i64()?;
            }
            balances.push(Balance { asset, lines });
        }
        subs.push(SubAccount { index, margin_mode, balances });
    }
    if subs.is_empty() {
        return Err("an account without sub-accounts".into());
    }
    Ok(subs)
}
