//! Redemption of a settled market's claims (protocol P15.7, row 0603).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_system, post_user};
use crate::output::{Output, Subject};
use crate::wire::command::{Command, OneMarket};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{claims_cause, EventKind, RedeemedBody, SweptBody};

impl<B: Book> Engine<B> {
    /// 0603: pays the sub-account what all its claims of a settled market are worth together, rounded down.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `NOT_RESOLVED`, `NOTHING_TO_REDEEM`.
    pub(crate) fn redeem(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: OneMarket = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        self.redeem_for(command, (context.account, command.sub), request.market, output)
    }

    /// [`Engine::redeem`] of any sub-account, pledges among them.
    ///
    /// # Errors
    /// As [`Engine::redeem`].
    pub(super) fn redeem_for(
        &mut self,
        command: &Command,
        owner: (u32, u8),
        handle: u32,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let market = self.market_of_outcomes(handle)?;
        let (quote, outcomes) = (market.quote, market.outcome_count);
        let Some(payout) = self.state.resolutions.payout(handle) else {
            return reject(Code::NOT_RESOLVED, 0, i64::from(market.status));
        };
        let claims = &self.state.claims;
        let free = |outcome| claims.free(owner.0, owner.1, handle, outcome);
        let mut held = [0; 64];
        for outcome in 0..outcomes {
            held[usize::from(outcome)] = free(outcome);
        }
        let held = &held[..usize::from(outcomes)];
        let due = self.distribution_due(owner, handle)?;
        let has_none = held.iter().all(|&held| held == 0);
        if has_none && due.is_none() {
            return reject(Code::NOTHING_TO_REDEEM, 1, 0);
        }
        let amount = payout.value(held.iter().copied());
        if let Some(due) = due {
            self.pay_distribution(command, (owner, handle, quote), due, output);
        }
        let of_number = due.map_or(0, |due| due.paid);
        if has_none {
            self.after_collateral(command, owner.0, owner.1, output);
            return Ok(of_number as u64);
        }
        let postings = &mut output.postings;
        post_system(&mut self.state.system, postings, line::SET_ESCROW, handle + 1, quote, -amount);
        post_user(&mut self.state.accounts, postings, owner.0, owner.1, quote, line::FREE, amount);
        let escrow = self.state.system.get(line::SET_ESCROW, handle + 1, quote);
        let subject = Subject { account: owner.0, sub: owner.1, ..Subject::market(handle) };
        output.emit(command, EventKind::Redeemed, subject, &RedeemedBody { amount, escrow });
        for (outcome, &held) in held.iter().enumerate().filter(|(_, &held)| held != 0) {
            self.move_claims(command, &subject, outcome as u8, (-held, 0), claims_cause::REDEEM, output);
        }
        self.sweep_escrow(command, handle, quote, output);
        self.after_collateral(command, owner.0, owner.1, output);
        Ok((amount + of_number) as u64)
    }

    /// When no claim is worth anything any more, what is left in the escrow goes to insurance.
    pub(super) fn sweep_escrow(&mut self, command: &Command, market: u32, quote: u16, output: &mut Output) {
        let Some(payout) = self.state.resolutions.payout(market) else { return };
        let claims = &self.state.claims;
        let supplies = (0..payout.outcomes()).map(|outcome| claims.supply(market, outcome));
        let left = self.state.system.get(line::SET_ESCROW, market + 1, quote);
        if left == 0 || payout.owed(supplies) != 0 {
            return;
        }
        let postings = &mut output.postings;
        post_system(&mut self.state.system, postings, line::SET_ESCROW, market + 1, quote, -left);
        post_system(&mut self.state.system, postings, line::INSURANCE, 0, quote, left);
        output.emit(command, EventKind::EscrowSwept, Subject::market(market), &SweptBody { amount: left });
    }
}
