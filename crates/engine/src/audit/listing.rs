//! Bonds of listed markets from events alone (I23): taken as governance asked, paid out once, to whoever was right.

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::ledger::{BOND_ESCROW, FREE, INSURANCE};
use super::records::check_movements;
use super::Auditor;
use crate::roles::OPERATOR;
use crate::wire::event::{Event, ListingBody, ListingEndBody, ParameterBody, Posting, NO_ACCOUNT};

const OPEN: u32 = 140;
const BOND: u32 = 141;
const REWARD_PCT: u32 = 142;
const PER_ACCOUNT: u32 = 143;
const WHOLE: i64 = 1_000_000;

/// A bond in escrow: whose, micro-units, and the part for whoever is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bond {
    pub account: u32,
    pub sub: u8,
    pub bond: i64,
    pub reward: i64,
}

/// Listed markets that are not final, and what governance asks of them.
#[derive(Clone, Debug)]
pub struct Listings {
    pub of_market: BTreeMap<u32, Bond>,
    pub open: bool,
    pub bond: i64,
    pub reward_pct: i64,
    pub per_account: i64,
    /// A market that somebody without the permission has made: its bond must follow.
    pub(super) unbonded: Option<u32>,
}

impl Default for Listings {
    fn default() -> Self {
        Listings {
            of_market: BTreeMap::new(),
            open: false,
            bond: 100,
            reward_pct: 10,
            per_account: 16,
            unbonded: None,
        }
    }
}

impl Listings {
    /// Micro-units behind a market.
    pub fn bond_of(&self, market: u32) -> i64 {
        self.of_market.get(&market).map_or(0, |bond| bond.bond)
    }

    /// Governance has set a parameter.
    pub fn set(&mut self, body: &ParameterBody) {
        match body.parameter {
            OPEN => self.open = body.value != 0,
            BOND => self.bond = body.value,
            REWARD_PCT => self.reward_pct = body.value,
            PER_ACCOUNT => self.per_account = body.value,
            _ => {}
        }
    }
}

impl Auditor {
    /// Who makes a market holds the permission, or puts up a bond.
    pub(super) fn note_market_maker(&mut self, market: u32) {
        if !self.records.holds(&self.principal, OPERATOR) {
            self.listings.unbonded = Some(market);
        }
    }

    pub(super) fn check_listing_end(&self) -> Check {
        match self.listings.unbonded {
            Some(market) => Err(fault("I23", format_args!("market {market} is listed without a bond"))),
            None => Ok(()),
        }
    }

    pub(super) fn listing_bonded(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let ListingBody { bond, reward } = event.body_as();
        let quote = self.market(event.market)?.quote;
        let listings = &mut self.listings;
        let of_account = listings.of_market.values().filter(|one| one.account == event.account).count();
        ensure!(
            listings.open && listings.unbonded.take() == Some(event.market),
            "I23",
            "market {} is listed while nobody may",
            event.market
        );
        ensure!(
            bond == listings.bond * WHOLE
                && reward == bond * listings.reward_pct / 100
                && (of_account as i64) < listings.per_account,
            "I23",
            "account {} lists market {} with {bond} and a reward of {reward} beside {of_account} others",
            event.account,
            event.market
        );
        let entry = Bond { account: event.account, sub: event.sub, bond, reward };
        listings.of_market.insert(event.market, entry);
        let movements =
            [(event.account, event.sub, quote, FREE, -bond), (event.market + 1, 0, quote, BOND_ESCROW, bond)];
        check_movements("I23", movements, postings)?;
        self.check_bonds_of(event.market)
    }

    /// The reward goes to whoever said first what is final, the rest back; a judged INVALID forfeits it.
    pub(super) fn listing_ended(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: ListingEndBody = event.body_as();
        let market = *self.market(event.market)?;
        let Some(listing) = self.listings.of_market.remove(&event.market) else {
            return Err(fault("I23", format_args!("market {} was not listed", event.market)));
        };
        let (right, forfeited) = self.rewarded_of(event.market)?;
        let reward = if right.is_some() { listing.reward } else { 0 };
        let rest = listing.bond - reward;
        let parts = if forfeited { (reward, 0, rest) } else { (reward, rest, 0) };
        ensure!(
            (listing.account, listing.sub, listing.bond) == (event.account, event.sub, body.bond)
                && (body.reward, body.returned, body.to_insurance) == parts
                && right.unwrap_or((NO_ACCOUNT, 0)) == (body.winner, body.winner_sub),
            "I23",
            "the listing bond {} of market {} ends as {}, {} and {}, rewarded is {right:?}",
            body.bond,
            event.market,
            body.reward,
            body.returned,
            body.to_insurance
        );
        let quote = market.quote;
        let movements = [
            (event.market + 1, 0, quote, BOND_ESCROW, -body.bond),
            (event.account, event.sub, quote, FREE, body.returned),
            (body.winner, body.winner_sub, quote, FREE, body.reward),
            (0, 0, quote, INSURANCE, body.to_insurance),
        ];
        self.collect_fees(quote, body.to_insurance);
        check_movements("I23", movements, postings)?;
        self.check_bonds_of(event.market)
    }
}
