//! Who was liquidated within the last 60 s, and how much (P7.1 B4).

use std::collections::{BTreeMap, VecDeque};

use crate::codec::{Reader, Writer};
use crate::limits::{MAX_LIQUIDATED_ACCOUNTS, SECOND_NS};

const WINDOW_S: i64 = 60;

/// Liquidations of one market by whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Liquidated {
    /// Account → second of its last liquidation in the window; at most [`MAX_LIQUIDATED_ACCOUNTS`].
    accounts: BTreeMap<u32, i64>,
    /// (second, account) in order; an entry whose account was liquidated again later says nothing.
    order: VecDeque<(i64, u32)>,
    /// (second, micro-quote), ascending: at most 61 entries.
    amounts: VecDeque<(i64, i64)>,
    total: i64,
}

impl Liquidated {
    /// Adds a liquidation and returns the accounts and the micro-quote of the window. Amortised O(log n).
    pub fn add(&mut self, now_ns: i64, account: u32, notional: i64) -> (i64, i64) {
        let second = now_ns.div_euclid(SECOND_NS);
        self.forget(second);
        let known = self.accounts.get(&account).copied();
        // Beyond the bound the count no longer grows: it is above every threshold already.
        if known != Some(second) && (known.is_some() || self.accounts.len() < MAX_LIQUIDATED_ACCOUNTS) {
            self.accounts.insert(account, second);
            self.order.push_back((second, account));
        }
        match self.amounts.back_mut() {
            Some(last) if last.0 == second => last.1 = last.1.saturating_add(notional),
            _ => self.amounts.push_back((second, notional)),
        }
        self.total = self.total.saturating_add(notional);
        (self.accounts.len() as i64, self.total)
    }

    fn forget(&mut self, second: i64) {
        while self.order.front().is_some_and(|entry| entry.0 <= second - WINDOW_S) {
            let (at, account) = self.order.pop_front().expect("looked at above");
            if self.accounts.get(&account) == Some(&at) {
                self.accounts.remove(&account);
            }
        }
        while self.amounts.front().is_some_and(|entry| entry.0 <= second - WINDOW_S) {
            self.total -= self.amounts.pop_front().expect("looked at above").1;
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.order.len());
        for &(second, account) in &self.order {
            writer.i64(second);
            writer.u32(account);
        }
        writer.len(self.amounts.len());
        for &(second, amount) in &self.amounts {
            writer.i64(second);
            writer.i64(amount);
        }
    }

    /// # Errors
    /// A sentence when the bytes end early.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut liquidated = Liquidated::default();
        for _ in 0..reader.len(12)? {
            let (second, account) = (reader.i64()?, reader.u32()?);
            liquidated.order.push_back((second, account));
            liquidated.accounts.insert(account, second);
        }
        for _ in 0..reader.len(16)? {
            let (second, amount) = (reader.i64()?, reader.i64()?);
            liquidated.amounts.push_back((second, amount));
            liquidated.total = liquidated.total.saturating_add(amount);
        }
        Ok(liquidated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_counts_once_and_for_sixty_seconds_behind_its_last_liquidation() {
        let mut window = Liquidated::default();
        assert_eq!(window.add(0, 1, 10), (1, 10));
        assert_eq!(window.add(SECOND_NS, 1, 10), (1, 20));
        assert_eq!(window.add(30 * SECOND_NS, 2, 5), (2, 25));
        assert_eq!(window.add(60 * SECOND_NS, 3, 1), (3, 16));
        assert_eq!(window.add(61 * SECOND_NS, 3, 1), (2, 7));
        assert_eq!(window.add(200 * SECOND_NS, 4, 2), (1, 2));
        assert_eq!((window.order.len(), window.amounts.len()), (1, 1));
    }

    #[test]
    fn a_storm_fills_no_more_than_its_bound_and_survives_a_snapshot() {
        let mut window = Liquidated::default();
        (0..5_000_u32).for_each(|number| {
            window.add(i64::from(number) * SECOND_NS / 1_000, number, 1);
        });
        assert_eq!(window.accounts.len(), MAX_LIQUIDATED_ACCOUNTS);
        let mut writer = Writer::default();
        window.encode(&mut writer);
        assert_eq!(Liquidated::decode(&mut Reader::new(&writer.bytes)), Ok(window));
    }
}
