//! Complete sets (protocol P1.4.3, rows 0601 and 0602): one unit of quote buys one claim on every outcome, and back.

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_system, post_user};
use crate::limits::{CLAIMS_ROOM, MAX_LOTS};
use crate::market::{kind, status, Market};
use crate::math::MAX_BALANCE;
use crate::output::{Output, Subject};
use crate::wire::command::{Command, OneSet};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{claims_cause, ClaimsBody, EventKind, SetBody};

impl<B: Book> Engine<B> {
    /// 0601: pays `lots × lot_size` micro-quote into the market's escrow for as many micro-shares of every outcome.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `MARKET_NOT_ACTIVE`, `INVALID_SIZE`, `CAPACITY_EXCEEDED`,
    /// `INSUFFICIENT_BALANCE`.
    pub(crate) fn mint_set(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: OneSet = command.payload_as();
        let market = self.market_of_sets(&request)?;
        if market.status != status::ACTIVE {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(market.status));
        }
        let quote = market.quote;
        let amount = set_amount(market, request.lots)?;
        if self.state.claims.len() >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, self.state.claims.len() as i64);
        }
        let free = self.state.accounts.balance(context.account, command.sub, quote, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        let sets = self.state.claims.supply(request.market, 0);
        if amount > MAX_BALANCE - sets {
            return reject(Code::INVALID_SIZE, MAX_BALANCE - sets, amount);
        }
        self.make_sets(command, (context.account, command.sub), request.market, request.lots, output);
        Ok(0)
    }

    /// Turns money of a sub-account into complete sets (negative: back), which were checked.
    pub(super) fn make_sets(
        &mut self,
        command: &Command,
        owner: (u32, u8),
        handle: u32,
        lots: i64,
        output: &mut Output,
    ) {
        let market = &self.state.markets.list[handle as usize];
        let (quote, outcomes, amount) = (market.quote, market.outcome_count, lots * market.lot_size);
        let sets = self.state.claims.supply(handle, 0) + amount;
        self.post_sets(owner, handle, quote, amount, output);
        let subject = Subject { account: owner.0, sub: owner.1, ..Subject::market(handle) };
        let (kind, cause) = match lots > 0 {
            true => (EventKind::SetMinted, claims_cause::MINT),
            false => (EventKind::SetMerged, claims_cause::MERGE),
        };
        output.emit(command, kind, subject, &SetBody { lots: lots.abs(), amount: amount.abs(), sets });
        for outcome in 0..outcomes {
            self.move_claims(command, &subject, outcome, (amount, 0), cause, output);
        }
        self.after_collateral(command, owner.0, owner.1, output);
    }

    /// 0602: gives back one claim on every outcome for the micro-quote that backs them.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `MARKET_NOT_ACTIVE` (nothing was minted yet, or the market is
    /// settled and its claims are redeemed), `INVALID_SIZE`, `SET_INCOMPLETE` with what the scarcest outcome allows.
    pub(crate) fn merge_set(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: OneSet = command.payload_as();
        let market = self.market_of_sets(&request)?;
        if !(status::ACTIVE..status::SETTLED).contains(&market.status) {
            return reject(Code::MARKET_NOT_ACTIVE, i64::from(status::ACTIVE), i64::from(market.status));
        }
        let outcomes = market.outcome_count;
        let amount = set_amount(market, request.lots)?;
        let owned = |outcome| self.state.claims.free(context.account, command.sub, request.market, outcome);
        let complete = (0..outcomes).map(owned).min().unwrap_or(0);
        if amount > complete {
            return reject(Code::SET_INCOMPLETE, complete, amount);
        }
        self.make_sets(command, (context.account, command.sub), request.market, -request.lots, output);
        Ok(0)
    }

    /// Free and held micro-shares of a sub-account in an outcome; None for an unknown account.
    pub fn claim(&self, account: &[u8; 32], sub: u8, market: u32, outcome: u8) -> Option<(i64, i64)> {
        let handle = self.state.accounts.find(account)?;
        let holding = self.state.claims.holding(handle, sub, market, outcome);
        Some((holding.free, holding.held))
    }

    /// Micro-shares of an outcome that exist.
    pub fn claim_supply(&self, market: u32, outcome: u8) -> i64 {
        self.state.claims.supply(market, outcome)
    }

    fn market_of_sets(&self, request: &OneSet) -> Result<&Market, Reject> {
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let Some(market) = self.state.markets.list.get(request.market as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        };
        if !market.has_outcomes() {
            return reject(Code::INVALID_MARKET_KIND, i64::from(kind::OUTCOME), i64::from(market.kind));
        }
        Ok(market)
    }

    /// Moves micro-quote of a sub-account into the escrow of a market's sets (negative: back).
    fn post_sets(&mut self, owner: (u32, u8), market: u32, quote: u16, amount: i64, output: &mut Output) {
        let postings = &mut output.postings;
        post_user(&mut self.state.accounts, postings, owner.0, owner.1, quote, line::FREE, -amount);
        post_system(&mut self.state.system, postings, line::SET_ESCROW, market + 1, quote, amount);
    }

    /// Changes the claims of the subject's account (`POOL`: the market's pool) and says so.
    pub(crate) fn move_claims(
        &mut self,
        command: &Command,
        subject: &Subject,
        outcome: u8,
        (delta_free, delta_held): (i64, i64),
        cause: u8,
        output: &mut Output,
    ) {
        let owner = (subject.account, subject.sub);
        let claims = &mut self.state.claims;
        let holding = claims.shift(owner, subject.market, outcome, (delta_free, delta_held));
        let body = ClaimsBody {
            outcome,
            cause,
            reserved: 0,
            reserved2: 0,
            delta_free,
            delta_held,
            free: holding.free,
            held: holding.held,
            supply: claims.supply(subject.market, outcome),
        };
        output.emit(command, EventKind::ClaimsMoved, *subject, &body);
    }
}

/// Micro-shares of `lots` lots.
fn set_amount(market: &Market, lots: i64) -> Result<i64, Reject> {
    if !(1..=MAX_LOTS).contains(&lots) {
        return reject(Code::INVALID_SIZE, MAX_LOTS, lots);
    }
    lots.checked_mul(market.lot_size).ok_or(Code::MATH_OVERFLOW.into())
}
