//! Leveraged markets: positions, marks, margin, funding (protocol P4).

pub mod funding;
pub mod margin;
pub mod mark;
mod market;
mod position;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use market::{PerpMarket, Risk};
pub use position::{Change, Position};

use crate::account::Accounts;
use crate::codec::{Reader, Writer};
use crate::coverage::stress::{Line, Stress};
use crate::index::Index;
use crate::liquidation::watch::{account_of, owner, Bounds};
use crate::order::{Order, NONE};
use crate::state::{due, Due};
use crate::wire::command::side;

/// Leveraged markets and positions of the shard.
#[derive(Clone, Debug)]
pub struct Perps {
    pub markets: Vec<PerpMarket>,
    /// What coverage and stage allow to new risk, in hundredths (`u32::MAX` = no bound), and what binds it.
    pub cover_cap_e2: u32,
    pub cover_term: u8,
    /// Place in `markets` by market handle.
    by_market: Vec<u32>,
    by_feed: BTreeMap<u32, Vec<u32>>,
    positions: Vec<Position>,
    free: Vec<u32>,
    index: Index,
    /// Markets whose mark waits for the next Tick.
    pub stale: VecDeque<u32>,
    /// What coverage has to know of the positions.
    pub stress: Stress,
}

/// Spreads the key of a position.
#[inline]
fn key_hash(account: u32, sub: u8, market: u32) -> u64 {
    let key = u64::from(account) << 32 | u64::from(market) << 7 ^ u64::from(sub);
    let product = u128::from(key ^ 0x51_7C_C1_B7_27_22_0A_95) * 0x9E37_79B9_7F4A_7C15;
    (product as u64) ^ ((product >> 64) as u64)
}

impl Default for Perps {
    fn default() -> Self {
        Perps {
            markets: Vec::new(),
            cover_cap_e2: u32::MAX,
            cover_term: crate::coverage::leverage::Term::Coverage as u8,
            by_market: Vec::new(),
            by_feed: BTreeMap::new(),
            positions: Vec::new(),
            free: Vec::new(),
            index: Index::default(),
            stale: VecDeque::new(),
            stress: Stress::default(),
        }
    }
}

impl Perps {
    /// Sets what coverage and stage allow to new risk in every market.
    pub fn set_cover(&mut self, cap_e2: u32, term: u8) {
        (self.cover_cap_e2, self.cover_term) = (cap_e2, term);
        self.markets.iter_mut().for_each(|market| market.cover_cap_e2 = cap_e2);
    }

    pub fn add_market(&mut self, mut market: PerpMarket) {
        market.cover_cap_e2 = self.cover_cap_e2;
        let handle = market.market as usize;
        if self.by_market.len() <= handle {
            self.by_market.resize(handle + 1, NONE);
        }
        self.by_market[handle] = self.markets.len() as u32;
        self.by_feed.entry(market.feed).or_default().push(market.market);
        self.markets.push(market);
    }

    #[inline]
    pub fn of_market(&self, market: u32) -> Option<&PerpMarket> {
        let place = *self.by_market.get(market as usize)?;
        self.markets.get(place as usize)
    }

    #[inline]
    pub fn of_market_mut(&mut self, market: u32) -> Option<&mut PerpMarket> {
        let place = *self.by_market.get(market as usize)?;
        self.markets.get_mut(place as usize)
    }

    /// Place of a market in `markets`.
    #[inline]
    pub fn place(&self, market: u32) -> Option<usize> {
        let place = *self.by_market.get(market as usize)? as usize;
        (place < self.markets.len()).then_some(place)
    }

    /// Every position with the place of its market in `markets` and the market's unit, in no particular order.
    pub fn each_mut(&mut self, mut change: impl FnMut(usize, i64, &mut Position)) {
        let mut live = vec![true; self.positions.len()];
        self.free.iter().for_each(|&slot| live[slot as usize] = false);
        for (position, _) in self.positions.iter_mut().zip(live).filter(|(_, live)| *live) {
            let place = self.by_market[position.market as usize] as usize;
            change(place, self.markets[place].unit, position);
        }
    }

    /// Markets that take their index from a feed, ascending.
    pub fn of_feed(&self, feed: u32) -> &[u32] {
        self.by_feed.get(&feed).map_or(&[], Vec::as_slice)
    }

    /// The slot of a position.
    #[inline]
    pub fn find(&self, account: u32, sub: u8, market: u32) -> Option<u32> {
        self.index.find(key_hash(account, sub, market), |slot| {
            let position = &self.positions[slot as usize];
            position.account == account && position.market == market && position.sub == sub
        })
    }

    #[inline]
    pub fn position(&self, account: u32, sub: u8, market: u32) -> Option<&Position> {
        self.find(account, sub, market).map(|slot| &self.positions[slot as usize])
    }

    #[inline]
    pub fn at(&self, slot: u32) -> &Position {
        &self.positions[slot as usize]
    }

    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> &mut Position {
        &mut self.positions[slot as usize]
    }

    /// A position and its market.
    #[inline(always)]
    pub fn parts_mut(&mut self, slot: u32) -> (&mut Position, &mut PerpMarket) {
        let position = &mut self.positions[slot as usize];
        let place = self.by_market[position.market as usize] as usize;
        (position, &mut self.markets[place])
    }

    /// All records by slot, free ones included.
    #[inline]
    pub fn records_mut(&mut self) -> &mut [Position] {
        &mut self.positions
    }

    /// The slot of a position, new when there was none.
    #[inline]
    pub fn open(&mut self, accounts: &mut Accounts, account: u32, sub: u8, market: u32) -> u32 {
        match self.find(account, sub, market) {
            Some(slot) => slot,
            None => {
                let entry = self.of_market(market).map_or(0, |perp| perp.funding_index);
                self.insert(accounts, Position::new(account, sub, market, entry))
            }
        }
    }

    fn insert(&mut self, accounts: &mut Accounts, position: Position) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.positions[slot as usize] = position;
                slot
            }
            None => {
                self.positions.push(position);
                (self.positions.len() - 1) as u32
            }
        };
        let Position { account, sub, market, .. } = position;
        self.index.insert(key_hash(account, sub, market), slot);
        let list = accounts.positions_mut(account, sub);
        let at = list.partition_point(|&other| self.positions[other as usize].market < market);
        list.insert(at, slot);
        slot
    }

    /// An order of this key takes: the record, if there is one, stays meanwhile, and the leverage in it. Its slot, or
    /// [`NONE`]. `known`: where it was just now, or [`NONE`].
    #[inline(always)]
    pub fn begin_taking(&mut self, known: u32, key: (u32, u8, u32)) -> u32 {
        match self.positions.get_mut(known as usize) {
            // A record that holds something is nobody else's.
            Some(position) if position.keeps(key) => {
                position.taking = true;
                known
            }
            _ => self.find_taking(key),
        }
    }

    #[inline(never)]
    fn find_taking(&mut self, (account, sub, market): (u32, u8, u32)) -> u32 {
        let Some(slot) = self.find(account, sub, market) else { return NONE };
        self.positions[slot as usize].taking = true;
        slot
    }

    /// [`Perps::drop_if_empty`] of the key whose record was at this slot ([`NONE`]: it had none then).
    #[inline]
    pub fn drop_at_if_empty(&mut self, accounts: &mut Accounts, slot: u32, key: (u32, u8, u32)) {
        if slot == NONE || !self.positions[slot as usize].keeps(key) {
            self.drop_if_empty(accounts, key);
        }
    }

    /// The owner's money or positions changed: coverage looks at them with the next Tick.
    #[inline]
    pub fn touch(&mut self, accounts: &Accounts, account: u32, sub: u8) {
        if let Some(&slot) = accounts.positions(account, sub).first() {
            self.touch_first(slot, (account, sub));
        }
    }

    /// [`Perps::touch`] of the owner whose first position is in this slot.
    #[inline(always)]
    pub fn touch_first(&mut self, slot: u32, (account, sub): (u32, u8)) {
        if !std::mem::replace(&mut self.positions[slot as usize].touched, true) {
            self.stress.touched.push(owner(account, sub));
        }
    }

    /// A market's mark or its funding moved: its worst case is computed again with the next Tick.
    #[inline]
    pub fn set_dirty(&mut self, market: u32) {
        if let Some(place) = self.place(market) {
            self.stress.set_dirty(place);
        }
    }

    /// All worst cases are computed again with the next Tick.
    pub fn set_all_dirty(&mut self) {
        (0..self.markets.len()).for_each(|place| self.stress.set_dirty(place));
    }

    /// Removes the record of a key if it holds neither lots nor orders.
    #[inline(never)]
    pub fn drop_if_empty(&mut self, accounts: &mut Accounts, (account, sub, market): (u32, u8, u32)) {
        let Some(slot) = self.find(account, sub, market) else { return };
        if !self.positions[slot as usize].is_empty() {
            return;
        }
        if let Some(line) = self.positions[slot as usize].line {
            let place = self.by_market[market as usize] as usize;
            self.stress.drop_line(place, account, sub, line);
        }
        self.index.remove(key_hash(account, sub, market), slot);
        accounts.positions_mut(account, sub).retain(|&other| other != slot);
        self.free.push(slot);
    }

    /// Marks a market's mark as out of date, once.
    #[inline]
    pub fn set_stale(&mut self, market: u32) {
        if let Some(perp) = self.of_market_mut(market).filter(|perp| !perp.stale) {
            perp.stale = true;
            self.stale.push_back(market);
        }
    }

    /// Takes the newest mark of [`Perps::set_stale`] back.
    pub fn take_stale_back(&mut self, market: u32) {
        if self.stale.back() == Some(&market) {
            self.stale.pop_back();
        }
        if let Some(perp) = self.of_market_mut(market) {
            perp.stale = false;
        }
    }

    /// All positions, ascending by (account, sub-account, market).
    pub fn sorted(&self) -> Vec<&Position> {
        let mut live = vec![true; self.positions.len()];
        self.free.iter().for_each(|&slot| live[slot as usize] = false);
        let mut all: Vec<_> =
            self.positions.iter().zip(live).filter(|(_, live)| *live).map(|(position, _)| position).collect();
        all.sort_unstable_by_key(|position| (position.account, position.sub, position.market));
        all
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.positions.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.markets.len());
        self.markets.iter().for_each(|market| market.encode(writer));
        writer.len(self.stale.len());
        self.stale.iter().for_each(|&market| writer.u32(market));
        let sorted = self.sorted();
        writer.len(sorted.len());
        for position in sorted {
            writer.u32(position.account);
            writer.u8(position.sub);
            writer.u32(position.market);
            writer.u32(position.leverage_e2);
            writer.i64(position.lots);
            writer.i64(position.cost);
            writer.raw(&position.funding_entry.to_le_bytes());
            writer.i64(position.watch.low);
            writer.i64(position.watch.high);
            writer.u8(u8::from(position.touched) | u8::from(position.line.is_some()) << 1);
        }
        writer.u32(self.cover_cap_e2);
        writer.u8(self.cover_term);
        self.stress.encode(writer);
    }

    /// Positions come back by [`Perps::attach`], when accounts and markets are known.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut perps = Perps::default();
        for _ in 0..reader.len(150)? {
            perps.add_market(PerpMarket::decode(reader)?);
        }
        for _ in 0..reader.len(4)? {
            perps.stale.push_back(reader.u32()?);
        }
        for _ in 0..reader.len(62)? {
            let (account, sub, market) = (reader.u32()?, reader.u8()?, reader.u32()?);
            let leverage_e2 = reader.u32()?;
            let (lots, cost) = (reader.i64()?, reader.i64()?);
            let funding_entry = i128::from_le_bytes(reader.array()?);
            let position = Position::new(account, sub, market, funding_entry);
            let watch = Bounds { low: reader.i64()?, high: reader.i64()? };
            let bits = reader.u8()?;
            let (touched, line) = (bits & 1 != 0, (bits & 2 != 0).then_some(Line::default()));
            perps.positions.push(Position { leverage_e2, lots, cost, watch, touched, line, ..position });
        }
        let (cap_e2, term) = (reader.u32()?, reader.u8()?);
        perps.set_cover(cap_e2, term);
        perps.stress = Stress::decode(reader, perps.markets.len())?;
        Ok(perps)
    }

    /// Joins decoded positions with accounts, markets and open orders.
    ///
    /// # Errors
    /// A sentence when a position names what does not exist.
    pub fn attach<'a>(
        &mut self,
        accounts: &mut Accounts,
        units: impl Fn(u32) -> Option<i64>,
        orders: impl Iterator<Item = (&'a Order, i64)>,
    ) -> Result<(), String> {
        for market in &mut self.markets {
            market.unit = units(market.market).ok_or("a leveraged market without a market")?;
        }
        for position in std::mem::take(&mut self.positions) {
            let known = accounts
                .list
                .get(position.account as usize)
                .is_some_and(|account| account.sub(position.sub).is_some());
            let Some(perp) = self.of_market_mut(position.market).filter(|_| known) else {
                return Err(format!("a position of account {} has no account or market", position.account));
            };
            perp.open_interest += position.lots.max(0);
            perp.positions += u32::from(position.lots != 0);
            perp.funding_claims += i128::from(position.lots) * position.funding_entry;
            self.insert(accounts, position);
        }
        let known =
            |who: (u32, u8)| accounts.list.get(who.0 as usize).is_some_and(|a| a.sub(who.1).is_some());
        if !self.stress.touched.iter().all(|&owner| known(account_of(owner))) {
            return Err("coverage waits for a sub-account that does not exist".into());
        }
        for (order, lots) in orders {
            if self.of_market(order.market).is_some() {
                self.track(accounts, order, lots);
            }
        }
        Ok(())
    }

    /// Counts `lots` of a resting order in (negative: out). The market must be leveraged.
    #[inline]
    pub fn track(&mut self, accounts: &mut Accounts, order: &Order, lots: i64) {
        let slot = self.open(accounts, order.account, order.sub, order.market);
        self.track_at(slot, order, lots);
    }

    /// [`Perps::track`] in the record that the order's owner has for its market.
    #[inline(always)]
    pub fn track_at(&mut self, slot: u32, order: &Order, lots: i64) {
        let (position, perp) = self.parts_mut(slot);
        // An accepted order's value fits; so does any part of it.
        let value = lots * order.price * perp.unit;
        if order.side == side::BUY {
            position.open_buy_lots += lots;
            position.open_buy_value += value;
        } else {
            position.open_sell_lots += lots;
            position.open_sell_value += value;
        }
    }

    /// What of this state is due some day.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        for market in &self.markets {
            if market.next_sample_ns != 0 {
                due.insert((market.next_sample_ns, due::FUNDING, u64::from(market.market)));
            }
        }
    }
}
