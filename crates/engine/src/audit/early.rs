//! Early triggers from events alone (P15.5): a market is paused for a jump that its own prices show, and only then
//! proposed before its time.

use std::collections::{BTreeSet, VecDeque};

use super::fault::{ensure, fault, Check};
use super::outcome::OUTCOME;
use super::Auditor;
use crate::hash::Map;
use crate::wire::event::{early_cause, EarlyBody, Event};

const ACTIVE: u8 = 1;
const PAUSED: u8 = 2;
const PARTIAL: u8 = 1;
/// A minute in whole seconds spans at most this.
const WINDOW_NS: i64 = 61 * 1_000_000_000;
/// Prices of a book that are kept in any case, and at most.
const FEWEST: usize = 8;
const MOST: usize = 4_096;

/// Prices of books with their moments, and markets that wait for two persons or a proposal.
#[derive(Clone, Debug, Default)]
pub struct Early {
    seen: Map<(u32, u8), VecDeque<(i64, i64)>>,
    pub triggered: BTreeSet<u32>,
    /// Triggered by the present command: its pause must follow.
    fired: Option<u32>,
    /// From this moment on every price is known.
    pub since_ns: i64,
}

impl Early {
    /// A book has a new price, of a trade or a mark.
    pub fn note(&mut self, market: u32, book: u8, price: i64, now_ns: i64) {
        let seen = self.seen.entry((market, book)).or_default();
        seen.push_back((now_ns, price));
        while seen.len() > FEWEST && seen[1].0 < now_ns - WINDOW_NS {
            seen.pop_front();
        }
        if seen.len() > MOST {
            seen.pop_front();
            self.since_ns = now_ns;
        }
    }
}

impl Auditor {
    pub(super) fn early_triggered(&mut self, event: &Event) -> Check {
        let body: EarlyBody = event.body_as();
        let market = *self.market(event.market)?;
        let (ticks, moved) = (market.payout_ticks(), (body.jumped_from - body.price).abs());
        let at_an_end = (body.price < body.jumped_from && body.price * 20 < ticks)
            || (body.price > body.jumped_from && body.price * 20 > ticks * 19);
        ensure!(
            market.kind == OUTCOME
                && matches!(market.status, ACTIVE | PAUSED)
                && body.payout_ticks == ticks
                && at_an_end
                && moved * 5 > ticks,
            "I25",
            "market {} is triggered at {} from {} of {ticks}",
            event.market,
            body.price,
            body.jumped_from
        );
        let early = &mut self.early;
        let seen = early.seen.get(&(event.market, body.outcome));
        let shown = seen.is_some_and(|seen| {
            let stood = seen.iter().any(|&(_, price)| price == body.jumped_from);
            stood && seen.back().is_some_and(|&(_, price)| price == body.price)
        });
        // Rounds of sets move the prices of categorical books without a trade of theirs.
        let in_rounds = market.outcome_count > 2 && body.cause == early_cause::TRADE;
        let known = self.time_ns.saturating_sub(early.since_ns) > WINDOW_NS && !in_rounds;
        ensure!(shown || !known, "I25", "no price of market {} was {}", event.market, body.jumped_from);
        ensure!(early.triggered.insert(event.market), "I25", "market {} is triggered twice", event.market);
        early.fired = Some(event.market);
        Ok(())
    }

    /// A triggered market takes no new risk.
    pub(super) fn check_early_end(&mut self) -> Check {
        let Some(market) = self.early.fired.take() else { return Ok(()) };
        let level = self.halts.scope(market).pause.map_or(0, |pause| pause.0);
        match level >= PARTIAL {
            true => Ok(()),
            false => Err(fault("I25", format_args!("market {market} is triggered and not paused"))),
        }
    }
}
