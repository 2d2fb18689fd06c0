//! Buy-and-burn from events alone (I11, I15; P8.8): where its money comes from, what it may spend, what it burns.

use super::super::ledger::{FREE, INSURANCE, ISSUANCE};
use super::super::records::check_movements;
use super::*;
use crate::id;
use crate::wire::command::time_in_force;
use crate::wire::event::{BurnBody, BuybackBody, OrderBody, Posting};

pub const BUYBACK: u8 = 0x8A;
const SPOT: u8 = 0;
const ACTIVE: u8 = 1;
const CLOSED: u8 = 4;
const BUY: u8 = 0;
const LEAST: i64 = 1_000_000;
const MOST: i64 = 10_000_000_000;
const INTERVAL_NS: i64 = 60_000_000_000;

/// What the events say of buy-and-burn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Burn {
    /// The market of the token in the settlement asset.
    market: Option<u32>,
    /// The account that buys.
    pub account: Option<u32>,
    /// The last purchase, and the one that goes on.
    funded_ns: Option<i64>,
    going: Option<BuybackBody>,
    /// Micro-units of the token that were ever burnt.
    pub total: i64,
}

/// Key of the account that buys the token: nobody can sign for it.
pub fn burner_key() -> [u8; 32] {
    id::derive("system", b"token buyback")
}

impl Auditor {
    /// A market was made.
    pub(in crate::audit) fn note_token_market(&mut self, market: u32) -> Check {
        let entry = *self.market(market)?;
        let sells = entry.kind == SPOT
            && self.token.is_asset(entry.base)
            && self.values.settlement() == Some(entry.quote);
        let open = match self.tiers.burn.market {
            Some(known) => self.market(known)?.status < CLOSED,
            None => false,
        };
        if sells && !open {
            self.tiers.burn.market = Some(market);
        }
        Ok(())
    }

    /// Where the tenth of a fee goes.
    pub(in crate::audit) fn burn_line(&self, quote: u16) -> u8 {
        let market = self.tiers.burn.market.and_then(|market| self.markets.get(market as usize));
        match market {
            Some(market) if market.status == ACTIVE && market.quote == quote => BUYBACK,
            _ => INSURANCE,
        }
    }

    pub(in crate::audit) fn buyback_funded(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: BuybackBody = event.body_as();
        let market = *self.market(event.market)?;
        let movements =
            [(0, 0, body.asset, BUYBACK, -body.amount), (event.account, 0, body.asset, FREE, body.amount)];
        check_movements("I11", movements, postings)?;
        self.collect_fees(body.asset, -body.amount);
        let burn = &mut self.tiers.burn;
        let before = self.ledger.line(0, 0, body.asset, BUYBACK) + body.amount;
        let waited = burn.funded_ns.is_none_or(|last_ns| event.time_ns - last_ns >= INTERVAL_NS);
        ensure!(
            burn.market == Some(event.market) && burn.account == Some(event.account) && burn.going.is_none(),
            "I11",
            "account {} buys the token in market {}",
            event.account,
            event.market
        );
        ensure!(
            market.status == ACTIVE
                && body.asset == market.quote
                && (1..=MOST).contains(&body.amount)
                && before >= LEAST
                && waited,
            "I11",
            "{} of {before} buy the token in a market of status {}",
            body.amount,
            market.status
        );
        (burn.funded_ns, burn.going) = (Some(event.time_ns), Some(body));
        Ok(())
    }

    /// An order of the account that buys: the one that was funded, at once or never.
    pub(in crate::audit) fn check_burner_order(&self, event: &Event, body: &OrderBody) -> Check {
        let due = self.tiers.burn.going.filter(|_| self.tiers.burn.market == Some(event.market));
        let same = due.is_some_and(|due| {
            body.side == BUY
                && body.time_in_force == time_in_force::IOC
                && (body.price, body.total_lots) == (due.price, due.lots)
        });
        ensure!(same, "I11", "order {} buys the token unasked", event.order);
        Ok(())
    }

    pub(in crate::audit) fn tokens_burned(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: BurnBody = event.body_as();
        let movements = [
            (event.account, 0, body.asset, FREE, -body.burnt),
            (event.account, 0, body.quote, FREE, -body.returned),
            (0, 0, body.asset, ISSUANCE, body.burnt),
            (0, 0, body.quote, BUYBACK, body.returned),
        ];
        check_movements("I15", movements, postings)?;
        self.collect_fees(body.quote, body.returned);
        let burn = &mut self.tiers.burn;
        burn.total += body.burnt;
        let left = |asset| self.ledger.line(event.account, 0, asset, FREE);
        ensure!(
            burn.going.take().is_some()
                && burn.account == Some(event.account)
                && self.token.is_asset(body.asset)
                && self.values.settlement() == Some(body.quote)
                && body.burnt >= 0
                && body.returned >= 0
                && body.total == burn.total
                && (left(body.asset), left(body.quote)) == (0, 0),
            "I15",
            "{} of asset {} are burnt to make {}, {} return",
            body.burnt,
            body.asset,
            body.total,
            body.returned
        );
        self.check_supply_lines()
    }

    /// A purchase ends with the command that began it.
    pub(in crate::audit) fn check_burn_end(&self) -> Check {
        ensure!(self.tiers.burn.going.is_none(), "I11", "a purchase of the token does not end");
        Ok(())
    }

    pub(in crate::audit) fn take_over_burn<B: Book>(&mut self, engine: &Engine<B>) {
        let known = engine.state.fees.burn;
        let some = |handle: u32| (handle != crate::fees::burn::NONE).then_some(handle);
        let burn = &mut self.tiers.burn;
        (burn.market, burn.account) = (some(known.market), some(known.account));
        // The engine's next look is a minute behind its last one, with or without a purchase.
        burn.funded_ns = (known.next_ns != 0).then(|| known.next_ns - INTERVAL_NS);
        if let Some(issue) = engine.state.token.issue {
            burn.total = 100_000_000_000_000 + self.ledger.line(0, 0, issue.asset, ISSUANCE);
        }
    }
}
