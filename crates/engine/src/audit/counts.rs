//! Numbers of open orders: of an account, and of a sub-account in a market (the bounds of I20).

use crate::hash::Map;

/// Account, sub-account, market.
pub type Holder = (u32, u8, u32);

/// Open orders of one account. Most accounts trade in one market, and those are counted right here.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u32,
    /// The sub-account and market that is counted here, while its number is not zero.
    key: (u8, u32),
    here: u32,
    /// Orders that are counted in [`Counts::further`]; only while there are none may a new key be counted here.
    further: u32,
}

/// The counts of all accounts.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    accounts: Vec<Count>,
    /// Numbers by [`key_of`] where [`Count`] keeps another key.
    further: Map<u64, u32>,
}

const fn key_of((account, sub, market): Holder) -> u64 {
    ((account as u64) << 32) | ((sub as u64) << 24) | market as u64
}

impl Counts {
    /// One order more.
    pub fn add(&mut self, holder: Holder) {
        let (index, key) = (holder.0 as usize, (holder.1, holder.2));
        if index >= self.accounts.len() {
            self.accounts.resize(index + 1, Count::default());
        }
        let count = &mut self.accounts[index];
        count.all += 1;
        if count.here == 0 && count.further == 0 {
            count.key = key;
        }
        if count.key == key && (count.here != 0 || count.further == 0) {
            count.here += 1;
        } else {
            count.further += 1;
            *self.further.entry(key_of(holder)).or_insert(0) += 1;
        }
    }

    /// One order less; it was added.
    pub fn remove(&mut self, holder: Holder) {
        let count = &mut self.accounts[holder.0 as usize];
        count.all -= 1;
        if count.here != 0 && count.key == (holder.1, holder.2) {
            count.here -= 1;
            return;
        }
        count.further -= 1;
        let key = key_of(holder);
        if let Some(further) = self.further.get_mut(&key) {
            *further -= 1;
            if *further == 0 {
                self.further.remove(&key);
            }
        }
    }

    /// Open orders of an account.
    #[inline]
    pub fn all(&self, account: u32) -> u32 {
        self.accounts.get(account as usize).map_or(0, |count| count.all)
    }

    /// Open orders of a sub-account in a market.
    pub fn of(&self, holder: Holder) -> u32 {
        match self.accounts.get(holder.0 as usize) {
            Some(count) if count.here != 0 && count.key == (holder.1, holder.2) => count.here,
            _ => self.further.get(&key_of(holder)).copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn i20_orders_of_a_sub_account_and_market_are_counted_whatever_the_account_has_beside_them() {
        let (mut counts, mut model, mut open) = (Counts::default(), BTreeMap::new(), Vec::new());
        let mut state = 3_u64;
        for step in 0..20_000_u64 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let random = (state >> 33) as u32;
            let holder: Holder = (random % 3, (random / 3 % 2) as u8, random / 6 % 3);
            // Grows and shrinks by turns, so that every count comes back to nothing.
            if !open.is_empty() && (step / 500 % 2 == 1 || random % 4 == 0) {
                let gone: Holder = open.swap_remove(random as usize / 64 % open.len());
                counts.remove(gone);
                *model.get_mut(&gone).expect("it is open") -= 1;
            } else {
                counts.add(holder);
                open.push(holder);
                *model.entry(holder).or_insert(0) += 1;
            }
            for (&holder, &count) in &model {
                let all: u32 = model.iter().filter(|row| row.0 .0 == holder.0).map(|row| *row.1).sum();
                assert_eq!((counts.of(holder), counts.all(holder.0)), (count, all), "step {step}");
            }
        }
    }
}
