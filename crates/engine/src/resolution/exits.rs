//! Who has left which market in the last seven days (P15.3): an arbiter who held it then has no vote in it.
//!
//! Everybody's leaving is kept, not only that of arbiters, since an account may get the role after it has sold. One row
//! a market and account, oldest first; noting is a step of constant time. Rows older than the bar go as new ones come.

use crate::codec::{Reader, Writer};
use crate::index::Index;
use crate::limits::{ARBITER_BAR_NS, MAX_EXITS};

/// "No row".
const NONE: u32 = u32::MAX;
/// Rows that are out of date and go with a new one: more than come, so that they never pile up.
const EXPIRED_AT_ONCE: usize = 2;

/// An account that had claims or a part of the pool of a market, and the last moment at which it gave some of that up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    left_ns: i64,
    market: u32,
    account: u32,
    older: u32,
    newer: u32,
}

#[derive(Clone, Debug)]
pub struct Exits {
    rows: Vec<Row>,
    unused: Vec<u32>,
    index: Index,
    oldest: u32,
    newest: u32,
    /// Until then a missing row proves nothing: one that counted had to go for a newer one. 0 = none had.
    unsure_until_ns: i64,
}

impl Default for Exits {
    fn default() -> Self {
        Exits {
            rows: Vec::new(),
            unused: Vec::new(),
            index: Index::default(),
            oldest: NONE,
            newest: NONE,
            unsure_until_ns: 0,
        }
    }
}

impl PartialEq for Exits {
    /// By what they say; places in memory are nobody's business.
    fn eq(&self, other: &Self) -> bool {
        self.unsure_until_ns == other.unsure_until_ns && self.iter().eq(other.iter())
    }
}

impl Eq for Exits {}

fn hash(market: u32, account: u32) -> u64 {
    let product = u128::from(u64::from(market) << 32 | u64::from(account)) * 0x9E37_79B9_7F4A_7C15;
    (product as u64) ^ ((product >> 64) as u64)
}

impl Exits {
    pub fn len(&self) -> usize {
        self.rows.len() - self.unused.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An account gives up claims of a market, or its part of the pool, at `now_ns`; never before an earlier call's.
    pub fn note(&mut self, market: u32, account: u32, now_ns: i64) {
        self.note_within(MAX_EXITS, (market, account), now_ns);
    }

    fn note_within(&mut self, bound: usize, (market, account): (u32, u32), now_ns: i64) {
        for _ in 0..EXPIRED_AT_ONCE {
            match self.rows.get(self.oldest as usize) {
                Some(row) if until_ns(row) <= now_ns => self.remove(self.oldest),
                _ => break,
            }
        }
        if let Some(row) = self.find(market, account) {
            self.remove(row);
        } else if self.len() >= bound {
            let forgotten = &self.rows[self.oldest as usize];
            self.unsure_until_ns = self.unsure_until_ns.max(until_ns(forgotten));
            self.remove(self.oldest);
        }
        self.append(market, account, now_ns);
    }

    /// The moment from which an account that holds nothing of a market may vote in it, if that is still to come.
    pub fn barred_until(&self, market: u32, account: u32, now_ns: i64) -> Option<i64> {
        let found = self.find(market, account);
        let until_ns = found.map_or(self.unsure_until_ns, |row| until_ns(&self.rows[row as usize]));
        (now_ns < until_ns).then_some(until_ns)
    }

    /// Market, account and moment, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, i64)> + '_ {
        let first = self.rows.get(self.oldest as usize);
        let rows = std::iter::successors(first, |row| self.rows.get(row.newer as usize));
        rows.map(|row| (row.market, row.account, row.left_ns))
    }

    fn find(&self, market: u32, account: u32) -> Option<u32> {
        let same = |row: u32| {
            let row = &self.rows[row as usize];
            (row.market, row.account) == (market, account)
        };
        self.index.find(hash(market, account), same)
    }

    fn append(&mut self, market: u32, account: u32, left_ns: i64) {
        let row = Row { left_ns, market, account, older: self.newest, newer: NONE };
        let place = match self.unused.pop() {
            Some(place) => {
                self.rows[place as usize] = row;
                place
            }
            None => {
                self.rows.push(row);
                (self.rows.len() - 1) as u32
            }
        };
        match self.rows.get_mut(row.older as usize) {
            Some(older) => older.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
        self.index.insert(hash(market, account), place);
    }

    fn remove(&mut self, place: u32) {
        let Row { market, account, older, newer, .. } = self.rows[place as usize];
        match self.rows.get_mut(older as usize) {
            Some(row) => row.newer = newer,
            None => self.oldest = newer,
        }
        match self.rows.get_mut(newer as usize) {
            Some(row) => row.older = older,
            None => self.newest = older,
        }
        self.index.remove(hash(market, account), place);
        self.unused.push(place);
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.i64(self.unsure_until_ns);
        writer.len(self.len());
        for (market, account, left_ns) in self.iter() {
            writer.u32(market);
            writer.u32(account);
            writer.i64(left_ns);
        }
    }

    /// Reads what [`Exits::encode`] wrote.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut exits = Exits { unsure_until_ns: reader.i64()?, ..Exits::default() };
        let count = reader.len(16)?;
        if count > MAX_EXITS {
            return Err(format!("{count} exits"));
        }
        let mut last_ns = i64::MIN;
        for _ in 0..count {
            let (market, account, left_ns) = (reader.u32()?, reader.u32()?, reader.i64()?);
            if left_ns < last_ns || exits.find(market, account).is_some() {
                return Err(format!("the exit of account {account} from market {market} is out of order"));
            }
            last_ns = left_ns;
            exits.append(market, account, left_ns);
        }
        Ok(exits)
    }
}

fn until_ns(row: &Row) -> i64 {
    row.left_ns.saturating_add(ARBITER_BAR_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn decoded(exits: &Exits) -> Exits {
        let mut writer = Writer::default();
        exits.encode(&mut writer);
        Exits::decode(&mut Reader::new(&writer.bytes)).expect("what was written")
    }

    #[test]
    fn exits_answer_like_an_ordered_map_and_survive_a_snapshot() {
        let mut exits = Exits::default();
        let mut model: BTreeMap<(u32, u32), i64> = BTreeMap::new();
        let (mut state, mut now_ns) = (0x9E37_79B9_7F4A_7C15_u64, 0);
        for step in 0..5_000 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let bits = state >> 20;
            now_ns += (bits % 50) as i64 * (ARBITER_BAR_NS / 1_000);
            let (market, account) = ((bits >> 8) as u32 % 7, (bits >> 16) as u32 % 30);
            exits.note(market, account, now_ns);
            model.insert((market, account), now_ns);
            for market in 0..7 {
                for account in 0..30 {
                    let until = model.get(&(market, account)).map(|left_ns| left_ns + ARBITER_BAR_NS);
                    let expected = until.filter(|&until_ns| now_ns < until_ns);
                    assert_eq!(exits.barred_until(market, account, now_ns), expected);
                }
            }
            if step % 500 == 0 {
                let again = decoded(&exits);
                assert!(again.iter().eq(exits.iter()));
                exits = again;
            }
        }
        assert!(exits.len() <= 7 * 30);
    }

    #[test]
    fn rows_older_than_the_bar_make_room() {
        let mut exits = Exits::default();
        (0..100).for_each(|account| exits.note(0, account, 0));
        (0..100).for_each(|account| exits.note(1, account, ARBITER_BAR_NS));
        assert_eq!(exits.len(), 100);
        assert_eq!(exits.rows.len(), 100, "places are used again");
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_bars_whom_it_cannot_vouch_for() {
        let mut exits = Exits::default();
        for account in 0..4 {
            exits.note_within(3, (0, account), 10 + i64::from(account));
        }
        assert_eq!(exits.len(), 3);
        assert_eq!(exits.barred_until(0, 0, 20), Some(10 + ARBITER_BAR_NS), "forgotten, not free");
        assert_eq!(decoded(&exits).barred_until(9, 9, 20), Some(10 + ARBITER_BAR_NS));
        assert_eq!(exits.barred_until(0, 0, 10 + ARBITER_BAR_NS), None);
        exits.note_within(3, (0, 2), 30);
        assert_eq!(exits.len(), 3, "an account that leaves again needs no further row");
    }

    #[test]
    fn exits_out_of_order_are_no_snapshot() {
        let bytes = |rows: [(u32, u32, i64); 2]| {
            let mut writer = Writer::default();
            writer.i64(0);
            writer.len(2);
            for (market, account, left_ns) in rows {
                writer.u32(market);
                writer.u32(account);
                writer.i64(left_ns);
            }
            Exits::decode(&mut Reader::new(&writer.bytes)).map(|exits| exits.len())
        };
        assert_eq!(bytes([(1, 1, 5), (0, 1, 5)]), Ok(2));
        assert!(bytes([(0, 1, 6), (0, 2, 5)]).is_err());
        assert!(bytes([(0, 1, 5), (0, 1, 6)]).is_err());
    }
}
