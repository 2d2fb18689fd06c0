//! What owners do with their leveraged outcome positions (rows 0401/1, 0403/1): sell pledged claims, pay back.

use super::basket::basket_order;
use super::PledgeOrder;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_margin, post_system, post_user};
use crate::limits::{MAX_LOTS, RESOLUTION_BUFFER_NS};
use crate::outcome::leverage::least_price;
use crate::outcome::loans::Pledge;
use crate::outcome::Loan;
use crate::output::Output;
use crate::wire::command::{side, stp, CloseLeveraged, Command, RepayLoan};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{loan_cause, EventKind, LoanMovedBody};

impl<B: Book> Engine<B> {
    /// 0401/1: sells pledged claims in the book, at once; a short of more than two buys its outcome back. What they bring pays the debt first; without debt it is the
    /// owner's. Never below the price at which the position could not pay what it owes (P5.5).
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `INVALID_OUTCOME`, `INVALID_OUTCOME_COUNT`, `POSITION_NOT_FOUND`,
    /// `MARKET_NOT_ACTIVE`, `IN_RESOLUTION_BUFFER`, `INVALID_SIZE`, `INSUFFICIENT_SHARES` (bound: lots held),
    /// `INVALID_PRICE`, `NO_LIQUIDITY` (no protective limit without a mark), `CAPACITY_EXCEEDED`, `BREAKER_ACTIVE`,
    /// `SLIPPAGE_EXCEEDED` when nothing can be sold at the limit (bound) or better, `INSUFFICIENT_LIQUIDITY` (of a short)
    /// when the vault cannot bridge the purchase; into a pool also those of a swap (row 0501).
    pub(crate) fn close_leveraged(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CloseLeveraged = command.payload_as();
        let place = (request.market, request.outcome, request.side);
        let (pledge, loan) = self.own_loan(context, command.sub, place)?;
        let market = self.market_for_orders(request.market, true)?;
        let last_ns = market.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        if command.time_ns >= last_ns {
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, command.time_ns);
        }
        if self.collects(request.market) {
            return reject(Code::BREAKER_ACTIVE, 0, i64::from(request.market));
        }
        if !(0..=MAX_LOTS).contains(&request.lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
        }
        let held = self.pledged_shares(pledge, &loan) / market.lot_size;
        let lots = if request.lots == 0 { held } else { request.lots };
        if lots > held || held == 0 {
            return reject(Code::INSUFFICIENT_SHARES, held, lots);
        }
        let price = self.closing_limit(&loan, held, request.limit, command.time_ns)?;
        self.check_loan_room()?;
        let mut wanted = PledgeOrder {
            market: request.market,
            outcome: loan.outcome,
            side: side::SELL,
            price,
            lots,
            self_trade_prevention: stp::CANCEL_OLDEST,
            reduces: true,
        };
        if loan.short {
            wanted = basket_order(self.market_of_loan(request.market), &wanted);
        }
        if request.pool_impact_bp != 0 {
            return self.close_into_pool(command, pledge, (&wanted, request.pool_impact_bp), output);
        }
        let order = self.pledge_order(command, pledge, &wanted);
        if self.feasible_lots(&order, command.time_ns) == 0 {
            return reject(Code::SLIPPAGE_EXCEEDED, price, lots);
        }
        if loan.short {
            let bridged = self.check_bridge(&wanted, 0)?;
            self.bridge(command, pledge, &wanted, bridged, output);
        }
        let taker = self.pledge_taker(command, pledge, &wanted, output)?;
        self.run_pledge(command, pledge, taker, loan_cause::ORDER, output);
        Ok(u64::from(pledge.1))
    }

    /// The same into the market's pool, all or nothing; what the limit says is left behind the pool's fee.
    #[inline(never)]
    fn close_into_pool(
        &mut self,
        command: &Command,
        pledge: Pledge,
        (wanted, impact_bp): (&PledgeOrder, u16),
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let swap = self.price_pledge_swap(pledge, wanted, impact_bp, command.time_ns)?;
        let short = self.state.vault.loans.get(pledge).is_some_and(|loan| loan.short);
        if short {
            let bridged = self.check_bridge(wanted, 0)?;
            self.bridge(command, pledge, wanted, bridged, output);
        }
        self.swap_pledged(command, pledge, &swap, false, output);
        Ok(u64::from(pledge.1))
    }

    /// The owner's limit, or the market's slippage below the mark; not below the bankruptcy price.
    fn closing_limit(&self, loan: &Loan, held: i64, limit: i64, now_ns: i64) -> Result<i64, Reject> {
        let market = self.market_of_loan(loan.market);
        let highest = market.payout_ticks() - 1;
        if !(0..=highest).contains(&limit) {
            return reject(Code::INVALID_PRICE, highest, limit);
        }
        let wished = match limit {
            0 => {
                let marks = self.marks_now(loan.market, now_ns);
                let mark =
                    Some(marks.of_place(loan.place(), market.payout_ticks())).filter(|&mark| mark != 0);
                let mark = mark.ok_or(Reject::from(Code::NO_LIQUIDITY))?;
                mark - market.ticks_of_bp(market.parameters.slippage_bp)
            }
            limit => limit,
        };
        let Some(bankruptcy) = least_price(market, held, loan.debt) else {
            return reject(Code::SLIPPAGE_EXCEEDED, highest, wished);
        };
        Ok(wished.max(bankruptcy).clamp(1, highest))
    }

    /// 0403/1: pays back part of a position's debt.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `INVALID_OUTCOME`, `INVALID_OUTCOME_COUNT`, `POSITION_NOT_FOUND`,
    /// `INVALID_AMOUNT`, `ABOVE_MAXIMUM` beyond the debt, `INSUFFICIENT_BALANCE`, `INSUFFICIENT_FREE_COLLATERAL`.
    pub(crate) fn repay_loan(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: RepayLoan = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let place = (request.market, request.outcome, request.side);
        let (pledge, loan) = self.own_loan(context, command.sub, place)?;
        if request.amount < 1 {
            return reject(Code::INVALID_AMOUNT, 1, request.amount);
        }
        if request.amount > loan.debt {
            return reject(Code::ABOVE_MAXIMUM, loan.debt, request.amount);
        }
        let (quote, amount) = (self.market_of_loan(loan.market).quote, request.amount);
        let free = self.state.accounts.balance(pledge.0, loan.sub, quote, line::FREE);
        if amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, amount);
        }
        self.check_removal(pledge.0, loan.sub, quote, amount)?;
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_margin(accounts, postings, (pledge.0, loan.sub), quote, -amount);
        post_user(accounts, postings, pledge.0, pledge.1, quote, line::LOAN, amount);
        post_system(&mut self.state.system, postings, line::VAULT_LOANS, 0, quote, -amount);
        post_system(&mut self.state.system, postings, line::VAULT_CASH, 0, quote, amount);
        let debt = loan.debt - amount;
        let body = LoanMovedBody {
            outcome: loan.outcome,
            owner_sub: loan.sub,
            cause: loan_cause::REPAID,
            closed: 0,
            payer: 0,
            repaid: amount,
            paid_in: amount,
            returned: 0,
            debt,
            shares: loan.shares,
        };
        output.emit(command, EventKind::LoanMoved, self.pledge_subject(pledge, loan.market), &body);
        self.state.vault.loans.put(pledge, Some(Loan { debt, ..loan }));
        self.weigh_loans(command, loan.market, output);
        self.after_collateral(command, pledge.0, loan.sub, output);
        Ok(debt as u64)
    }

    /// The position that a command names by market, outcome and side.
    fn own_loan(
        &self,
        context: Context,
        sub: u8,
        (market, outcome, short): (u32, u8, u8),
    ) -> Result<(Pledge, Loan), Reject> {
        let held = self.held_place(market, outcome, short)?;
        let found = self.state.vault.loans.find(context.account, sub, market, held);
        // Between its order's last fill and the next Tick a position is about to change.
        let pledge = found.filter(|&pledge| !self.state.vault.loans.is_unsettled(market, pledge));
        let loan = pledge.and_then(|pledge| self.state.vault.loans.get(pledge).map(|loan| (pledge, *loan)));
        loan.ok_or(Reject::new(Code::POSITION_NOT_FOUND, 0, i64::from(market)))
    }
}
