//! Bonds of markets that accounts have listed themselves (protocol P15.4, row 0101).

use std::collections::BTreeMap;

use crate::codec::{Reader, Writer};

/// The bond behind one market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    pub account: u32,
    pub sub: u8,
    /// Micro-quote in escrow.
    pub bond: i64,
    /// Part of it for whoever says first what becomes final; as governance had it when the market was listed.
    pub reward: i64,
}

/// How a listing bond ends: micro-quote to whoever was right, back, and to insurance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub reward: i64,
    pub returned: i64,
    pub to_insurance: i64,
}

impl Listing {
    /// Nobody judged: everything returns. A judged INVALID was a question without an answer: what the reward leaves is
    /// forfeited.
    pub fn end(&self, rewarded: bool, forfeited: bool) -> Ended {
        let reward = if rewarded { self.reward } else { 0 };
        let rest = self.bond - reward;
        match forfeited {
            true => Ended { reward, returned: 0, to_insurance: rest },
            false => Ended { reward, returned: rest, to_insurance: 0 },
        }
    }
}

/// Listings of markets that are not final, by market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listings {
    of_market: BTreeMap<u32, Listing>,
    /// Markets listed by an account that are not final: derived.
    of_account: BTreeMap<u32, u32>,
}

impl Listings {
    pub fn get(&self, market: u32) -> Option<&Listing> {
        self.of_market.get(&market)
    }

    /// Markets of an account that are not final yet.
    pub fn count_of(&self, account: u32) -> u32 {
        self.of_account.get(&account).copied().unwrap_or(0)
    }

    pub fn insert(&mut self, market: u32, listing: Listing) {
        *self.of_account.entry(listing.account).or_default() += 1;
        self.of_market.insert(market, listing);
    }

    /// Takes the listing of a market that is final.
    pub fn take(&mut self, market: u32) -> Option<Listing> {
        let listing = self.of_market.remove(&market)?;
        let count = self.of_account.get_mut(&listing.account).expect("it counts its listings");
        *count -= 1;
        if *count == 0 {
            self.of_account.remove(&listing.account);
        }
        Some(listing)
    }

    /// Ascending by market.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Listing)> {
        self.of_market.iter().map(|(&market, listing)| (market, listing))
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.of_market.len());
        for (&market, listing) in &self.of_market {
            writer.u32(market);
            writer.u32(listing.account);
            writer.u8(listing.sub);
            writer.i64(listing.bond);
            writer.i64(listing.reward);
        }
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut listings = Listings::default();
        for _ in 0..reader.len(25)? {
            let (market, account, sub) = (reader.u32()?, reader.u32()?, reader.u8()?);
            let listing = Listing { account, sub, bond: reader.i64()?, reward: reader.i64()? };
            if !(0..=listing.bond).contains(&listing.reward) {
                return Err(format!("the listing of market {market} is {listing:?}"));
            }
            listings.insert(market, listing);
        }
        Ok(listings)
    }
}
