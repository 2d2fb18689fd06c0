//! Verse credits (protocol P15.10): money that its owner puts aside for the markets of one verse, and the claims bought
//! with it.
//!
//! A credit is a *pledge* as leveraged positions are: a sub-account of its owner, numbered 240 or more, that no command can
//! name. Its `free` line is what is available; claims lie beside it. Complete sets never stay in a credit: they are merged
//! into money at once. So of each market some outcome has no claims, and what the market's claims have cost is exactly
//! the largest loss over its outcomes. That is what it locks; markets add up.

use std::collections::BTreeMap;

use crate::codec::{Reader, Writer};
use crate::limits::{
    MAX_CREDITS, MAX_CREDITS_PER_ACCOUNT, MAX_CREDIT_LEGS, MAX_LOTS, MAX_OUTCOMES, MAX_PRICE,
};
use crate::math::MAX_BALANCE;

/// Sub-accounts from here on are credits.
pub const FIRST_CREDIT: u8 = 240;

/// Owner's account and number of the credit's sub-account.
pub type Place = (u32, u8);

/// Wanted claims: on an outcome (long), or one on every other outcome (short).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    pub market: u32,
    pub outcome: u8,
    pub short: bool,
    /// Most to pay for a claim, or for one on every other outcome, in ticks.
    pub price: i64,
    pub lots: i64,
}

/// Money for one verse and what it has bought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    pub verse: u32,
    pub asset: u16,
    /// Deposited less withdrawn, with realised gains and losses, in micro-units.
    pub total: i64,
    /// What each market with claims locks, in micro-units.
    outlays: BTreeMap<u32, i64>,
    /// Legs that wait for the command that locks them.
    pub staged: Vec<Leg>,
}

impl Credit {
    /// A credit before its first deposit.
    pub fn new(verse: u32, asset: u16) -> Self {
        Credit { verse, asset, ..Credit::default() }
    }

    /// Micro-units that all markets lock.
    pub fn locked(&self) -> i64 {
        self.outlays.values().sum()
    }

    /// Markets with claims and what they lock, ascending.
    pub fn outlays(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.outlays.iter().map(|(&market, &outlay)| (market, outlay))
    }

    /// What a market locks; None without claims.
    pub fn outlay(&self, market: u32) -> Option<i64> {
        self.outlays.get(&market).copied()
    }

    /// Keeps what a market locks; None = it has no claims any more.
    pub fn set_outlay(&mut self, market: u32, outlay: Option<i64>) {
        match outlay {
            Some(outlay) => self.outlays.insert(market, outlay),
            None => self.outlays.remove(&market),
        };
    }
}

/// What a market locks behind `paid` more (negative: less), and what that realises: with `claims` left at least nothing,
/// the gain beyond is realised; without any, everything is.
pub fn locked_after(outlay: i64, paid: i64, claims: bool) -> (i64, i64) {
    let cost = outlay + paid;
    let locked = if claims { cost.max(0) } else { 0 };
    (locked, locked - cost)
}

/// All credits.
#[derive(Clone, Debug, Default)]
pub struct Credits {
    list: BTreeMap<Place, Credit>,
}

impl Credits {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All credits, ascending by account and number.
    pub fn iter(&self) -> impl Iterator<Item = (Place, &Credit)> {
        self.list.iter().map(|(&place, credit)| (place, credit))
    }

    pub fn get(&self, place: Place) -> Option<&Credit> {
        self.list.get(&place)
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut Credit> {
        self.list.get_mut(&place)
    }

    /// The credits of an account; at most 16.
    pub fn of_account(&self, account: u32) -> impl Iterator<Item = (u8, &Credit)> {
        self.list.range((account, 0)..=(account, u8::MAX)).map(|(&(_, sub), credit)| (sub, credit))
    }

    /// The credit of an account in a verse.
    pub fn find(&self, account: u32, verse: u32) -> Option<Place> {
        self.of_account(account).find(|(_, credit)| credit.verse == verse).map(|(sub, _)| (account, sub))
    }

    /// The lowest number of an account that is in no use.
    pub fn vacant(&self, account: u32) -> Option<u8> {
        (FIRST_CREDIT..=u8::MAX).find(|&sub| !self.list.contains_key(&(account, sub)))
    }

    pub fn insert(&mut self, place: Place, credit: Credit) {
        self.list.insert(place, credit);
    }

    pub fn remove(&mut self, place: Place) {
        self.list.remove(&place);
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.list.len());
        for (&(account, sub), credit) in &self.list {
            writer.u32(account);
            writer.u8(sub);
            writer.u32(credit.verse);
            writer.u16(credit.asset);
            writer.i64(credit.total);
            writer.len(credit.outlays.len());
            for (market, outlay) in credit.outlays() {
                writer.u32(market);
                writer.i64(outlay);
            }
            writer.len(credit.staged.len());
            for leg in &credit.staged {
                writer.u32(leg.market);
                writer.raw(&[leg.outcome, u8::from(leg.short)]);
                writer.i64(leg.price);
                writer.i64(leg.lots);
            }
        }
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut credits = Credits::default();
        for _ in 0..reader.len(35)? {
            let place = (reader.u32()?, reader.u8()?);
            let mut credit = Credit {
                verse: reader.u32()?,
                asset: reader.u16()?,
                total: reader.i64()?,
                ..Credit::default()
            };
            for _ in 0..reader.len(12)? {
                let (market, outlay) = (reader.u32()?, reader.i64()?);
                let ascends = credit.outlays.last_key_value().is_none_or(|(&last, _)| last < market);
                if !ascends || !(0..=MAX_BALANCE).contains(&outlay) {
                    return Err(format!("credit {place:?} locks {outlay} in market {market}"));
                }
                credit.outlays.insert(market, outlay);
            }
            for _ in 0..reader.len(22)? {
                credit.staged.push(decode_leg(reader)?);
            }
            let bounded = credit.outlays.len() <= MAX_CREDIT_LEGS && credit.staged.len() <= MAX_CREDIT_LEGS;
            let ascends = credits.list.last_key_value().is_none_or(|(&last, _)| last < place);
            let sound = place.1 >= FIRST_CREDIT && (0..=MAX_BALANCE).contains(&credit.total);
            let single = credits.find(place.0, credit.verse).is_none();
            if !bounded || !ascends || !sound || !single || credits.len() >= MAX_CREDITS {
                return Err(format!("credit {place:?} of verse {}", credit.verse));
            }
            credits.list.insert(place, credit);
        }
        Ok(credits)
    }
}

fn decode_leg(reader: &mut Reader<'_>) -> Result<Leg, String> {
    let market = reader.u32()?;
    let [outcome, short] = reader.array()?;
    let leg = Leg { market, outcome, short: short == 1, price: reader.i64()?, lots: reader.i64()? };
    let sound = outcome < MAX_OUTCOMES
        && short <= 1
        && (1..=MAX_PRICE).contains(&leg.price)
        && (1..=MAX_LOTS).contains(&leg.lots);
    sound.then_some(leg).ok_or_else(|| format!("staged {leg:?}"))
}

const _: () = assert!(MAX_CREDITS_PER_ACCOUNT == (u8::MAX - FIRST_CREDIT) as usize + 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p15_10_a_market_locks_its_cost_and_what_is_beyond_it_is_realised() {
        // Two shorts of three outcomes for 1.30, one set merged: 0.30 at risk.
        assert_eq!(locked_after(0, 1_300_000 - 1_000_000, true), (300_000, 0));
        // More came back than was paid, claims are left: nothing is at risk, the gain is there already.
        assert_eq!(locked_after(300_000, -450_000, true), (0, 150_000));
        // Nothing is left: gain and loss are over.
        assert_eq!(locked_after(300_000, -100_000, false), (0, -200_000));
        assert_eq!(locked_after(300_000, -700_000, false), (0, 400_000));
        assert_eq!(locked_after(0, 0, false), (0, 0));
    }

    fn some() -> Credits {
        let mut credits = Credits::default();
        let leg = Leg { market: 3, outcome: 2, short: true, price: 700, lots: 5 };
        let mut credit = Credit { verse: 1, asset: 4, total: 900, staged: vec![leg], ..Credit::default() };
        credit.set_outlay(3, Some(30));
        credit.set_outlay(2, Some(12));
        credits.insert((1, 240), credit);
        credits.insert((1, 241), Credit { verse: 9, ..Credit::default() });
        credits.insert((7, 255), Credit { verse: 9, total: 5, ..Credit::default() });
        credits
    }

    #[test]
    fn what_is_written_is_read_again_and_defects_are_told() {
        let credits = some();
        let mut writer = Writer::default();
        credits.encode(&mut writer);
        let read = Credits::decode(&mut Reader::new(&writer.bytes)).expect("sound");
        assert_eq!(read.list, credits.list);
        assert_eq!(
            read.get((1, 240)).map(|credit| (credit.locked(), credit.outlay(2))),
            Some((42, Some(12)))
        );
        assert_eq!((read.find(1, 9), read.find(2, 9)), (Some((1, 241)), None));
        assert_eq!((read.vacant(1), read.vacant(7)), (Some(242), Some(240)));
        // The number of the first credit is no credit's, its total is negative, its markets are out of order.
        for (at, byte) in [(12, 1), (26, 0xFF), (35, 9)] {
            let mut damaged = writer.bytes.clone();
            damaged[at] = byte;
            assert!(Credits::decode(&mut Reader::new(&damaged)).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_account_has_no_more_credits_than_numbers() {
        let mut credits = Credits::default();
        for verse in 0..MAX_CREDITS_PER_ACCOUNT as u32 {
            let sub = credits.vacant(3).expect("room");
            credits.insert((3, sub), Credit { verse, ..Credit::default() });
        }
        assert_eq!(credits.vacant(3), None);
        credits.remove((3, 250));
        assert_eq!(credits.vacant(3), Some(250));
    }
}
