//! Pauses, breakers and auctions as events tell them, and I25: nothing is accepted that a state of P7.5 refuses.

use super::fault::{ensure, Check};
use super::{Auditor, Market};
use crate::roles::SYSTEM;
use crate::wire::event::{
    AuctionBody, BreakerBody, CancelBody, Event, EventKind, OrderBody, PauseBody, TradeBody, NO_MARKET,
};

const ACTIVE: u8 = 1;
const PAUSED: u8 = 2;
const CLOSE_ONLY: u8 = 3;
const PARTIAL: u8 = 1;
const FULL: u8 = 2;
const FREEZE: u8 = 3;
const MASK_TRADING: u8 = 1;
const MASK_LIQUIDATION: u8 = 2;
const MASK_WITHDRAWAL: u8 = 8;
const MASK_DEPOSIT: u8 = 16;
const PERPETUAL: u8 = 1;
const REDUCE_ONLY: u16 = 2;
const REASON_USER: u8 = 1;
const REASON_CANCEL_ALL: u8 = 2;
const TRADE_LIQUIDATION: u8 = 6;

const BREAKERS: usize = 10;
const B1: u8 = 1;
const B2C: u8 = 4;
const B4: u8 = 6;
const B5: u8 = 7;
/// B2a, B2b, B3, B7: their halts end in an auction.
const REOPEN_BY_AUCTION: [u8; 4] = [2, 3, 5, 9];
const CLOSED: u8 = 0;
const TRIPPED: u8 = 1;
const AUCTION: u8 = 2;
const PROBATION: u8 = 3;
const MANUAL: u8 = 12;

/// What is halted in a market, or on the platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Level and mask of the pause.
    pub pause: Option<(u8, u8)>,
    /// Phase by breaker number.
    pub phases: [u8; BREAKERS],
    /// The one price at which trades print while an auction uncrosses; 0 = none does.
    pub uncross_price: i64,
}

impl Scope {
    fn level(&self) -> u8 {
        self.pause.map_or(0, |pause| pause.0)
    }

    fn masks(&self, category: u8) -> bool {
        self.pause.is_some_and(|pause| pause.1 & category != 0)
    }

    /// Orders are collected: the book may be crossed and nothing trades.
    pub fn collects(&self) -> bool {
        REOPEN_BY_AUCTION.iter().any(|&id| matches!(self.phases[id as usize], TRIPPED | AUCTION))
    }

    fn is_tripped(&self, id: u8) -> bool {
        self.phases[id as usize] == TRIPPED
    }

    fn halts_by_auction_breaker(&self) -> bool {
        REOPEN_BY_AUCTION.iter().any(|&id| self.is_tripped(id))
    }
}

/// The scopes of the shard.
#[derive(Clone, Debug, Default)]
pub struct Halts {
    pub platform: Scope,
    pub markets: Vec<Scope>,
}

impl Halts {
    pub fn scope_mut(&mut self, market: u32) -> &mut Scope {
        if market == NO_MARKET {
            return &mut self.platform;
        }
        let index = market as usize;
        if index >= self.markets.len() {
            self.markets.resize(index + 1, Scope::default());
        }
        &mut self.markets[index]
    }

    pub fn scope(&self, market: u32) -> Scope {
        self.markets.get(market as usize).copied().unwrap_or_default()
    }
}

impl Auditor {
    /// A pause or its end.
    pub(super) fn paused(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: PauseBody = event.body_as();
        let set = kind == EventKind::PauseSet;
        ensure!(!set || body.level <= FREEZE, "I25", "a pause of level {}", body.level);
        if !set {
            self.early.triggered.remove(&event.market);
        }
        self.halts.scope_mut(event.market).pause = set.then_some((body.level, body.categories));
        if event.market == NO_MARKET || (set && body.level < PARTIAL) {
            return Ok(());
        }
        let present = self.market(event.market)?.status;
        let status = if set { PAUSED } else { ACTIVE };
        // A pause that was only a mask ends in a market that was active all the time.
        let allowed = present == PAUSED || present == ACTIVE;
        ensure!(allowed, "I25", "market {} goes from status {present} to {status}", event.market);
        self.markets[event.market as usize].status = status;
        Ok(())
    }

    /// A step of a breaker's state machine (P7.4).
    pub(super) fn breaker_moved(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: BreakerBody = event.body_as();
        let id = body.breaker;
        ensure!((1..BREAKERS as u8).contains(&id), "I25", "breaker {id} is none");
        let from = self.halts.scope_mut(event.market).phases[id as usize];
        let by_auction = REOPEN_BY_AUCTION.contains(&id);
        let (edge, to) = match kind {
            EventKind::BreakerTripped => (from == CLOSED || from == PROBATION, TRIPPED),
            EventKind::BreakerExtended => (from == TRIPPED || from == AUCTION, TRIPPED),
            EventKind::BreakerHalfOpen if by_auction => (
                from == TRIPPED && body.phase == AUCTION || from == AUCTION && body.phase >= AUCTION,
                body.phase,
            ),
            EventKind::BreakerHalfOpen => (from == TRIPPED && body.phase == PROBATION, PROBATION),
            _ => (from == PROBATION || (from == TRIPPED && !by_auction), CLOSED),
        };
        ensure!(edge && to == body.phase, "I25", "breaker {id} goes from {from} to {}", body.phase);
        if kind == EventKind::BreakerTripped {
            let beyond = if id == B1 { body.value < body.threshold } else { body.value > body.threshold };
            ensure!(
                beyond || body.cause == MANUAL,
                "I25",
                "breaker {id} trips at {} with a threshold of {}",
                body.value,
                body.threshold
            );
            ensure!(
                body.cause != 0 && body.until_ns > body.since_ns,
                "I25",
                "breaker {id} trips for nothing"
            );
        }
        self.halts.scope_mut(event.market).phases[id as usize] = to;
        if event.market != NO_MARKET && self.halts.scope(event.market).collects() {
            self.books.let_cross(event.market, true)?;
        }
        Ok(())
    }

    /// An auction starts, prints or is over; then the book is not crossed any more (P3.3).
    pub(super) fn auction_moved(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: AuctionBody = event.body_as();
        self.market(event.market)?;
        let scope = self.halts.scope_mut(event.market);
        ensure!(scope.collects(), "I25", "market {} has an auction without a halt", event.market);
        match kind {
            EventKind::AuctionUncrossed => {
                ensure!(
                    body.price > 0 && (body.low..=body.high).contains(&body.price),
                    "I25",
                    "market {} uncrosses at {} outside {}..{}",
                    event.market,
                    body.price,
                    body.low,
                    body.high
                );
                scope.uncross_price = body.price;
            }
            EventKind::AuctionEnded => {
                scope.uncross_price = 0;
                // Another breaker may have tripped meanwhile: then orders are collected again at once.
                let halted = scope.halts_by_auction_breaker();
                self.books.let_cross(event.market, false)?;
                self.books.let_cross(event.market, halted)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// New risk is taken only where nothing forbids it (I25).
    #[inline]
    pub(super) fn check_takes_risk(&self, handle: u32, flags: u16) -> Check<Market> {
        let market = *self.market(handle)?;
        let quiet = self.halts.markets.is_empty() && self.halts.platform == Scope::default();
        let reduces = flags & REDUCE_ONLY != 0 && market.status == CLOSE_ONLY;
        ensure!(
            market.status == ACTIVE || reduces || !quiet,
            "I25",
            "market {handle} has status {}",
            market.status
        );
        if !quiet {
            self.check_risk_in_halt(handle, &market, flags)?;
        }
        Ok(market)
    }

    #[cold]
    fn check_risk_in_halt(&self, handle: u32, market: &Market, flags: u16) -> Check {
        let (scope, platform) = (self.halts.scope(handle), &self.halts.platform);
        let reduces = flags & REDUCE_ONLY != 0;
        ensure!(
            matches!(market.status, ACTIVE | PAUSED) || (reduces && market.status == CLOSE_ONLY),
            "I25",
            "market {handle} has status {}",
            market.status
        );
        for pause in [&scope, platform] {
            let level = pause.level();
            let stopped = level >= FULL || (level == PARTIAL && !reduces) || pause.masks(MASK_TRADING);
            ensure!(!stopped, "I25", "an order in market {handle} under a pause of level {level}");
        }
        if reduces || self.records.holds(&self.principal, SYSTEM) {
            return Ok(());
        }
        let by_market =
            scope.halts_by_auction_breaker() || (market.kind == PERPETUAL && scope.is_tripped(B4));
        let by_platform = [B1, B2C, B5].iter().any(|&id| platform.is_tripped(id));
        ensure!(
            !by_market && !by_platform,
            "I25",
            "an order takes risk in market {handle} while it is halted"
        );
        Ok(())
    }

    /// Whether a breaker of price, volume or open interest halts a market, or the platform's.
    pub(super) fn is_halted_by_price(&self, market: u32) -> bool {
        self.halts.scope(market).collects() || self.halts.platform.is_tripped(B2C)
    }

    /// Liquidations go on in every state but FREEZE and where a mask takes them away.
    pub(super) fn check_sale_in_halt(&self, handle: u32) -> Check<Market> {
        let market = *self.market(handle)?;
        ensure!(
            matches!(market.status, ACTIVE | PAUSED | CLOSE_ONLY),
            "I25",
            "market {handle} has status {}",
            market.status
        );
        for pause in [&self.halts.scope(handle), &self.halts.platform] {
            let stopped = pause.level() >= FREEZE || pause.masks(MASK_LIQUIDATION);
            ensure!(!stopped, "I25", "a liquidation in market {handle} under FREEZE or its mask");
        }
        Ok(market)
    }

    /// An order that is accepted while orders are collected must rest.
    pub(super) fn check_collected(&self, event: &Event, body: &OrderBody) -> Check {
        let collects = !self.halts.markets.is_empty() && self.halts.scope(event.market).collects();
        // What waits outside of the book matches nothing; a liquidation goes on in every halt but those of P7.5 that stop it.
        let rests = body.resting == 1 || super::specials::waits(body.order_type);
        let may = rests || self.is_sale(event, body.price, body.total_lots);
        ensure!(!collects || may, "I25", "order {} matches in a halted market", event.order);
        Ok(())
    }

    /// A fill in a halted market is a liquidation or belongs to the auction, at the auction's price. True for the
    /// latter.
    pub(super) fn check_trade_in_halt(&self, event: &Event, body: &TradeBody, offered: bool) -> Check<bool> {
        let status = self.market(event.market)?.status;
        ensure!(
            matches!(status, ACTIVE | PAUSED | CLOSE_ONLY),
            "I25",
            "a trade in market {}, status {status}",
            event.market
        );
        let scope = self.halts.scope(event.market);
        let level = self.halts.platform.level().max(scope.level());
        // Who takes what a liquidation offers trades like everybody.
        let liquidates = (body.trade_kind == TRADE_LIQUIDATION && !offered) || self.loans.sells(event.order);
        let stopped = if liquidates { level >= FREEZE } else { level >= FULL };
        ensure!(!stopped, "I25", "a trade in market {} under a pause of level {level}", event.market);
        if !scope.collects() || liquidates {
            return Ok(false);
        }
        ensure!(
            scope.uncross_price == body.price,
            "I25",
            "a trade at {} in market {}, whose auction's price is {}",
            body.price,
            event.market,
            scope.uncross_price
        );
        Ok(true)
    }

    /// Money in and out, and cancels, under pauses.
    pub(super) fn check_paused_record(&self, kind: EventKind, event: &Event) -> Check {
        let platform = &self.halts.platform;
        let Some((level, _)) = platform.pause else { return Ok(()) };
        let refused = match kind {
            EventKind::Deposited => level >= FULL || platform.masks(MASK_DEPOSIT),
            EventKind::WithdrawalReleased => level >= PARTIAL || platform.masks(MASK_WITHDRAWAL),
            EventKind::WithdrawalQueued => level >= FULL || platform.masks(MASK_WITHDRAWAL),
            _ => false,
        };
        ensure!(
            !refused,
            "I25",
            "{} of account {} under a pause of level {level}",
            kind.name(),
            event.account
        );
        Ok(())
    }

    /// Cancels are possible at every level but FREEZE.
    pub(super) fn check_cancel_in_halt(&self, event: &Event, body: &CancelBody) -> Check {
        if !matches!(body.reason, REASON_USER | REASON_CANCEL_ALL) {
            return Ok(());
        }
        let level = self.halts.platform.level().max(self.halts.scope(event.market).level());
        ensure!(level < FREEZE, "I25", "order {} is cancelled under FREEZE", event.order);
        Ok(())
    }
}
