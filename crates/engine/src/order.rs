//! Orders and their store: a slab with an index by id. Slots are internal; only ids and priorities are state.

use crate::account::Accounts;
use crate::codec::{Reader, Writer};
use crate::hash::Map;

/// "No slot".
pub const NONE: u32 = u32::MAX;

/// An open order. At most 128 bytes (P18.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: u64,
    /// Rank in time within its price level; lower is first.
    pub priority: u64,
    pub price: i64,
    pub remaining: i64,
    pub total: i64,
    pub expiry_ns: i64,
    /// Micro-units of `held` that secure it: quote for a buy, base for a sell.
    pub reserve: i64,
    pub client_key: [u8; 16],
    pub account: u32,
    pub market: u32,
    pub sub: u8,
    pub side: u8,
    pub order_type: u8,
    pub time_in_force: u8,
    pub self_trade_prevention: u8,
    pub outcome: u8,
    pub flags: u16,
    /// Worst fee rate that the order accepted, 1e-6 bp.
    pub fee_cap_e6bp: u32,
    /// Links of the fast book: level and neighbours in it.
    pub level: u32,
    pub previous: u32,
    pub next: u32,
    /// Links of the account's list.
    pub account_previous: u32,
    pub account_next: u32,
}

const _: () = assert!(core::mem::size_of::<Order>() <= 128);

/// All open orders of the shard.
#[derive(Clone, Debug, Default)]
pub struct OrderStore {
    slots: Vec<Order>,
    free: Vec<u32>,
    by_id: Map<u64, u32>,
    /// Open orders by (account, sub, market).
    counts: Map<u64, u32>,
}

/// Accounts and markets stay far below 2^28, so that the three fit one word.
#[inline]
fn count_key(account: u32, sub: u8, market: u32) -> u64 {
    (u64::from(account) << 32) ^ (u64::from(sub) << 24) ^ u64::from(market)
}

impl std::ops::Index<u32> for OrderStore {
    type Output = Order;
    #[inline]
    fn index(&self, slot: u32) -> &Order {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for OrderStore {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.slots[slot as usize]
    }
}

impl OrderStore {
    #[inline]
    pub fn find(&self, id: u64) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Open orders of a sub-account in a market.
    #[inline]
    pub fn count(&self, account: u32, sub: u8, market: u32) -> u32 {
        self.counts.get(&count_key(account, sub, market)).copied().unwrap_or(0)
    }

    /// Stores an order and appends it to its account's list (ids ascend, so the list does).
    #[inline]
    pub fn insert(&mut self, accounts: &mut Accounts, order: Order) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = order;
                slot
            }
            None => {
                self.slots.push(order);
                (self.slots.len() - 1) as u32
            }
        };
        self.by_id.insert(order.id, slot);
        *self.counts.entry(count_key(order.account, order.sub, order.market)).or_insert(0) += 1;
        let account = &mut accounts.list[order.account as usize];
        let last = account.last_order;
        account.last_order = slot;
        account.open_orders += 1;
        match last {
            NONE => account.first_order = slot,
            _ => self.slots[last as usize].account_next = slot,
        }
        let stored = &mut self.slots[slot as usize];
        stored.account_previous = last;
        stored.account_next = NONE;
        slot
    }

    /// Removes an order that is in no book any more.
    #[inline]
    pub fn remove(&mut self, accounts: &mut Accounts, slot: u32) -> Order {
        let order = self.slots[slot as usize];
        self.by_id.remove(&order.id);
        let key = count_key(order.account, order.sub, order.market);
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
        let account = &mut accounts.list[order.account as usize];
        account.open_orders -= 1;
        match order.account_previous {
            NONE => account.first_order = order.account_next,
            previous => self.slots[previous as usize].account_next = order.account_next,
        }
        match order.account_next {
            NONE => account.last_order = order.account_previous,
            next => self.slots[next as usize].account_previous = order.account_previous,
        }
        self.free.push(slot);
        order
    }

    /// The slots of an account's open orders, ascending by id.
    pub fn of_account<'a>(&'a self, accounts: &Accounts, account: u32) -> impl Iterator<Item = u32> + 'a {
        let mut slot = accounts.list[account as usize].first_order;
        std::iter::from_fn(move || {
            let present = slot;
            (present != NONE).then(|| {
                slot = self.slots[present as usize].account_next;
                present
            })
        })
    }

    /// All open order ids, ascending.
    pub fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub fn encode(&self, writer: &mut Writer) {
        let ids = self.ids();
        writer.len(ids.len());
        for id in ids {
            let order = &self.slots[self.by_id[&id] as usize];
            writer.u64(order.id);
            writer.u64(order.priority);
            [order.price, order.remaining, order.total, order.expiry_ns, order.reserve]
                .into_iter()
                .for_each(|value| writer.i64(value));
            writer.raw(&order.client_key);
            writer.u32(order.account);
            writer.u32(order.market);
            let small = [
                order.sub,
                order.side,
                order.order_type,
                order.time_in_force,
                order.self_trade_prevention,
                order.outcome,
            ];
            writer.raw(&small);
            writer.u16(order.flags);
            writer.u32(order.fee_cap_e6bp);
        }
    }
}

/// Reads one order as [`OrderStore::encode`] wrote it.
pub fn decode_order(reader: &mut Reader<'_>) -> Result<Order, String> {
    let (id, priority) = (reader.u64()?, reader.u64()?);
    let (price, remaining, total) = (reader.i64()?, reader.i64()?, reader.i64()?);
    let (expiry_ns, reserve) = (reader.i64()?, reader.i64()?);
    let client_key = reader.array()?;
    let (account, market) = (reader.u32()?, reader.u32()?);
    let [sub, side, order_type, time_in_force, self_trade_prevention, outcome] = reader.array()?;
    if side > 1 {
        return Err(format!("order {id} has side {side}"));
    }
    Ok(Order {
        id,
        priority,
        price,
        remaining,
        total,
        expiry_ns,
        reserve,
        client_key,
        account,
        market,
        sub,
        side,
        order_type,
        time_in_force,
        self_trade_prevention,
        outcome,
        flags: reader.u16()?,
        fee_cap_e6bp: reader.u32()?,
        level: NONE,
        previous: NONE,
        next: NONE,
        account_previous: NONE,
        account_next: NONE,
    })
}
