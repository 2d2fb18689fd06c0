//! Orders and their store: a slab whose slots are the low bits of the ids, so that finding an order is one load.

use crate::account::Accounts;
use crate::codec::{Reader, Writer};
use crate::limits::MAX_OPEN_ORDERS;

/// "No slot".
pub const NONE: u32 = u32::MAX;

/// Bits of `flags` that are the engine's own; orders never bring them and events never show them.
pub mod flag {
    /// `state.triggers` holds a record of the order.
    pub const SPECIAL: u16 = 0x4000;
    /// The order is in no book: it waits for a price, a time or another order.
    pub const WAITING: u16 = 0x8000;
    /// The owner named outcome 1 of a binary market: the book shows the other side at the complement of the price.
    pub const FLIPPED: u16 = 0x2000;
    /// A liquidation offers lots passively before it takes (P5.9), or the fund what it took over (P5.6).
    pub const OFFER: u16 = 0x1000;
    /// It bettered the best price by a basis point when it came to rest: five points more rebate (P8.6).
    pub const IMPROVES: u16 = 0x0800;
    pub const INTERNAL: u16 = SPECIAL | WAITING | FLIPPED | OFFER | IMPROVES;
}

/// An open order: 128 bytes (P18.3), what its neighbours and its book touch in the first cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Order {
    pub id: u64,
    pub price: i64,
    pub remaining: i64,
    pub account: u32,
    pub market: u32,
    /// Links of the fast book: level and neighbours in it.
    pub level: u32,
    pub previous: u32,
    pub next: u32,
    /// Links of the account's list.
    pub account_previous: u32,
    pub account_next: u32,
    /// Worst fee rate that the order accepted, 1e-6 bp.
    pub fee_cap_e6bp: u32,
    pub side: u8,
    pub order_type: u8,
    pub time_in_force: u8,
    pub self_trade_prevention: u8,
    pub flags: u16,
    pub outcome: u8,
    pub sub: u8,
    /// Micro-units of `held` that secure it: quote for a buy, base for a sell.
    pub reserve: i64,
    pub total: i64,
    pub expiry_ns: i64,
    /// Rank in time within its price level; lower is first.
    pub priority: u64,
    pub client_key: [u8; 16],
}

const _: () = assert!(core::mem::size_of::<Order>() == 128);

impl Order {
    /// Whether its time is over; what has expired and rests still is removed on sight (P2.1.5).
    #[inline]
    pub fn is_expired(&self, now_ns: i64) -> bool {
        self.expiry_ns != 0 && self.expiry_ns <= now_ns
    }
}

/// What an empty slot holds.
const EMPTY: Order = Order {
    id: 0,
    priority: 0,
    price: 0,
    remaining: 0,
    total: 0,
    expiry_ns: 0,
    reserve: 0,
    client_key: [0; 16],
    account: 0,
    market: 0,
    sub: 0,
    side: 0,
    order_type: 0,
    time_in_force: 0,
    self_trade_prevention: 0,
    outcome: 0,
    flags: 0,
    fee_cap_e6bp: 0,
    level: NONE,
    previous: NONE,
    next: NONE,
    account_previous: NONE,
    account_next: NONE,
};

/// Low bits of an order id that hold its slot; the bits above are a counter, so ids ascend and never repeat.
pub const SLOT_BITS: u32 = 21;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
const _: () = assert!(MAX_OPEN_ORDERS <= 1 << SLOT_BITS);

/// All open orders of the shard. An empty slot has id 0.
#[derive(Clone, Debug, Default)]
pub struct OrderStore {
    slots: Vec<Order>,
    /// Empty slots, last freed on top. State: it decides the next ids.
    free: Vec<u32>,
    open: usize,
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
    /// The slot of an open order.
    #[inline]
    pub fn find(&self, id: u64) -> Option<u32> {
        let slot = id & SLOT_MASK;
        match self.slots.get(slot as usize) {
            Some(order) if order.id == id && id != 0 => Some(slot as u32),
            _ => None,
        }
    }

    /// What a slot holds, if there is such a slot; an empty one holds an order with id 0.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&Order> {
        self.slots.get(slot as usize)
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.open
    }

    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Sets a slot aside and returns it with the order id that `counter` gives it.
    #[inline(always)]
    pub fn reserve(&mut self, counter: u64) -> (u32, u64) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(EMPTY);
                (self.slots.len() - 1) as u32
            }
        };
        (slot, counter << SLOT_BITS | u64::from(slot))
    }

    /// Gives back a slot that was reserved and never filled.
    #[inline]
    pub fn unreserve(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Stores an order in its reserved slot and appends it to its account's list (ids ascend, so the list does).
    #[inline(always)]
    pub fn insert(&mut self, accounts: &mut Accounts, order: &Order) -> u32 {
        let slot = (order.id & SLOT_MASK) as u32;
        let account = &mut accounts.list[order.account as usize];
        let last = account.last_order;
        account.last_order = slot;
        account.open_orders += 1;
        self.open += 1;
        match last {
            NONE => account.first_order = slot,
            _ => self.slots[last as usize].account_next = slot,
        }
        let stored = &mut self.slots[slot as usize];
        *stored = *order;
        stored.account_previous = last;
        stored.account_next = NONE;
        slot
    }

    /// Removes an order that is in no book any more.
    #[inline]
    pub fn remove(&mut self, accounts: &mut Accounts, slot: u32) {
        let order = &mut self.slots[slot as usize];
        let (owner, previous, next) = (order.account, order.account_previous, order.account_next);
        order.id = 0;
        let account = &mut accounts.list[owner as usize];
        account.open_orders -= 1;
        self.open -= 1;
        match previous {
            NONE => account.first_order = next,
            previous => self.slots[previous as usize].account_next = next,
        }
        match next {
            NONE => account.last_order = previous,
            next => self.slots[next as usize].account_previous = previous,
        }
        self.free.push(slot);
    }

    /// Number of slots, used or empty.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Removes the order that was inserted last; a slot beyond the first `slots` goes with it, so that the store is
    /// as it was before.
    pub fn remove_last(&mut self, accounts: &mut Accounts, slot: u32, slots: usize) {
        self.remove(accounts, slot);
        if slot as usize >= slots {
            self.free.pop();
            self.slots.truncate(slots);
        }
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

    /// All open orders, ascending by id.
    pub fn ascending(&self) -> Vec<&Order> {
        let mut orders: Vec<&Order> = self.slots.iter().filter(|order| order.id != 0).collect();
        orders.sort_unstable_by_key(|order| order.id);
        orders
    }

    /// The number of slots and the empty ones in the order in which they are used again.
    pub fn encode_slots(&self, writer: &mut Writer) {
        writer.len(self.slots.len());
        writer.len(self.free.len());
        self.free.iter().for_each(|&slot| writer.u32(slot));
    }

    /// The empty store that [`OrderStore::encode_slots`] described; orders are inserted behind it.
    pub fn decode_slots(reader: &mut Reader<'_>) -> Result<Self, String> {
        let count = reader.u64()?;
        if count > 1 << SLOT_BITS {
            return Err(format!("{count} order slots"));
        }
        let mut store = OrderStore { slots: vec![EMPTY; count as usize], free: Vec::new(), open: 0 };
        for _ in 0..reader.len(4)? {
            let slot = reader.u32()?;
            if u64::from(slot) >= count {
                return Err(format!("free slot {slot} of {count}"));
            }
            store.free.push(slot);
        }
        Ok(store)
    }

    /// Whether an order with this id may be inserted: its slot exists and is empty.
    pub fn accepts(&self, id: u64) -> bool {
        id > SLOT_MASK && self.slots.get((id & SLOT_MASK) as usize).is_some_and(|order| order.id == 0)
    }

    pub fn encode(&self, writer: &mut Writer) {
        self.encode_slots(writer);
        writer.len(self.open);
        for order in self.ascending() {
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
