//! Opening a leveraged outcome position, or adding to one (row 0402).

use super::basket::basket_order;
use super::PledgeOrder;
use crate::book::Book;
use crate::coverage::leverage::{cap, Cap, Term};
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_margin, post_system, post_user};
use crate::limits::*;
use crate::market::Market;
use crate::math::notional;
use crate::oracle::{matrix, state};
use crate::outcome::groups::{Margin, Part};
use crate::outcome::leverage::{loan_of, MAX_EXPOSURE_PCT, MAX_UTILISATION_PCT};
use crate::outcome::loans::{Pledge, HOUR_ITEM, SHORT};
use crate::outcome::marks::Marks;
use crate::outcome::Loan;
use crate::output::Output;
use crate::state::due;
use crate::wire::command::{side, stp, Command, OpenLeveraged};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{loan_cause, EventKind, LoanBody};

/// What an accepted request opens.
struct Opening {
    pledge: Pledge,
    /// What it holds: see [`Loan::place`].
    place: u8,
    loan: i64,
    margin: i64,
    /// Of the whole position with everything that is borrowed now.
    debt: i64,
    /// The market's marks of this moment, and that of the outcome.
    marks: Marks,
    mark: i64,
    initial_margin: i64,
}

impl<B: Book> Engine<B> {
    /// 0402: borrows from the vault, buys the outcome in its book up to the largest price, and pledges the claims. What
    /// the purchase does not take pays the loan back at once. A short of more than two outcomes buys all the others: see
    /// [`super::basket`]. The result is the number of the pledge.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `INVALID_OUTCOME`,
    /// `ASSET_NOT_FOUND` (the market's quote is not what the vault lends), `MARKET_NOT_ACTIVE`, `INVALID_SIZE`,
    /// `INVALID_PRICE`, `TOO_MANY_POSITIONS`, `CAPACITY_EXCEEDED`; then those of P4.6 in the order of row 0402:
    /// `INVALID_LEVERAGE`, `LEVERAGE_TOO_HIGH` (`COVERAGE_TOO_LOW` and `STAGE_FORBIDS` below 1), `SUITABILITY_REQUIRED`,
    /// `IN_RESOLUTION_BUFFER`, `UTILISATION_CAP`, `EXPOSURE_LIMIT`, `INSUFFICIENT_MARGIN`, `NO_LIQUIDITY` (no mark),
    /// `SLIPPAGE_EXCEEDED`, `INSUFFICIENT_LIQUIDITY` (the vault cannot bridge the sets of a short). From a pool also
    /// `POOL_NOT_FOUND`, `PARAMETER_OUT_OF_BOUNDS` (impact), `BELOW_MINIMUM`, `ABOVE_MAXIMUM`,
    /// `PRICE_IMPACT_TOO_HIGH`, and halts of swaps.
    pub(crate) fn open_leveraged(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: OpenLeveraged = command.payload_as();
        let opening = self.check_opening(command, context, &request)?;
        let short = opening.place & SHORT != 0;
        let mut wanted = PledgeOrder {
            market: request.market,
            outcome: opening.place & !SHORT,
            side: side::BUY,
            price: request.max_price,
            lots: request.lots,
            self_trade_prevention: stp::CANCEL_NEWEST,
            reduces: false,
        };
        if short {
            wanted = basket_order(self.market_of_loan(request.market), &wanted);
        }
        if request.pool_impact_bp != 0 {
            return self.open_from_pool(command, &request, &opening, &wanted, output);
        }
        // Everything, or nothing: what fills only in part would have another leverage than the one that was asked for.
        let order = self.pledge_order(command, opening.pledge, &wanted);
        self.check_outcome_band(request.market, wanted.outcome, wanted.side, wanted.price)?;
        self.check_outcome_execution(&order, command.time_ns)?;
        let feasible = self.feasible_lots(&order, command.time_ns);
        if feasible < request.lots {
            return reject(Code::SLIPPAGE_EXCEEDED, feasible, request.lots);
        }
        let bridged = if short { self.check_bridge(&wanted, opening.loan)? } else { 0 };
        self.keep_marks(command, request.market, opening.marks.clone(), output);
        self.lend(command, &request, &opening, output);
        if short {
            self.bridge(command, opening.pledge, &wanted, bridged, output);
        }
        let taker = self.pledge_taker(command, opening.pledge, &wanted, output)?;
        self.run_pledge(command, opening.pledge, taker, loan_cause::ORDER, output);
        Ok(u64::from(opening.pledge.1))
    }

    /// The same from the market's pool, all or nothing; the largest price includes the pool's fee.
    #[inline(never)]
    fn open_from_pool(
        &mut self,
        command: &Command,
        request: &OpenLeveraged,
        opening: &Opening,
        wanted: &PledgeOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let pledge = opening.pledge;
        let swap = self.price_pledge_swap(pledge, wanted, request.pool_impact_bp, command.time_ns)?;
        let short = opening.place & SHORT != 0;
        let bridged = if short { self.check_bridge(wanted, opening.loan)? } else { 0 };
        self.keep_marks(command, request.market, opening.marks.clone(), output);
        self.lend(command, request, opening, output);
        if short {
            self.bridge(command, pledge, wanted, bridged, output);
        }
        self.swap_pledged(command, pledge, &swap, false, output);
        Ok(u64::from(pledge.1))
    }

    fn check_opening(
        &self,
        command: &Command,
        context: Context,
        request: &OpenLeveraged,
    ) -> Result<Opening, Reject> {
        if request.reserved2 != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved2));
        }
        let place = self.held_place(request.market, request.outcome, request.side)?;
        let market = self.market_for_orders(request.market, false)?;
        let Some(asset) = self.settlement_asset().filter(|&asset| asset == market.quote) else {
            return reject(Code::ASSET_NOT_FOUND, 0, i64::from(market.quote));
        };
        if !(1..=MAX_LOTS).contains(&request.lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
        }
        let highest = market.payout_ticks() - 1;
        if !(1..=highest).contains(&request.max_price) {
            return reject(Code::INVALID_PRICE, highest, request.max_price);
        }
        let (account, sub) = (context.account, command.sub);
        let pledge = self.pledge_for(account, sub, request.market, place)?;
        self.check_loan_room()?;
        self.check_loan_leverage(account, market, asset, request.leverage_e2)?;
        let ramp = self.ramp(market, command.time_ns);
        if ramp.is_over() || self.is_about_to_resolve(request.market) {
            let last_ns = market.settle_time_ns - crate::outcome::leverage::DEBT_FREE_NS;
            return reject(Code::IN_RESOLUTION_BUFFER, last_ns, command.time_ns);
        }
        let value = notional(request.max_price, request.lots, market.unit)?;
        let reserve =
            market.outcome_reserve(request.max_price, request.lots, market.parameters.fee_cap_e6bp())?;
        let loan = loan_of(value, request.leverage_e2);
        self.check_lender(account, (request.market, place, loan), asset)?;
        let present = self.state.vault.loans.get(pledge).copied().unwrap_or_default();
        let margin = reserve - loan;
        let free = self.state.accounts.balance(account, sub, asset, line::FREE);
        if margin > free {
            return reject(Code::INSUFFICIENT_MARGIN, free, margin);
        }
        self.check_removal(account, sub, asset, margin)?;
        let marks = self.marks_now(request.market, command.time_ns);
        let mark = marks.of_place(place, market.payout_ticks());
        if mark == 0 {
            return Err(Code::NO_LIQUIDITY.into());
        }
        if marks.state == state::DEGRADED {
            return Err(matrix::refusal(marks.state, command.time_ns));
        }
        let lots = present.shares / market.lot_size + request.lots;
        let marked = notional(mark, lots, market.unit)?;
        let debt = present.debt.checked_add(loan).ok_or(Reject::from(Code::MATH_OVERFLOW))?;
        let cap_e2 = self.loan_cap(market, asset).cap_e2;
        let shares = lots.saturating_mul(market.lot_size);
        let part = Part { place, shares, value: marked, debt, cash: 0 };
        let group = self.group_with(pledge, (sub, request.market), part, &marks);
        let needed = group.requirement(ramp, Margin::Initial(cap_e2));
        if group.equity() < needed {
            let clamp = |amount: i128| amount.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            return reject(Code::INSUFFICIENT_MARGIN, clamp(group.equity()), clamp(needed));
        }
        Ok(Opening { pledge, place, loan, margin, debt, marks, mark, initial_margin: needed as i64 })
    }

    /// The pledge of the position that the request adds to, or of a new one.
    fn pledge_for(&self, account: u32, sub: u8, market: u32, place: u8) -> Result<Pledge, Reject> {
        let loans = &self.state.vault.loans;
        if let Some(pledge) = loans.find(account, sub, market, place) {
            if loans.is_unsettled(market, pledge) {
                return reject(Code::TRANCHE_COOLDOWN, 0, i64::from(pledge.1));
            }
            return Ok(pledge);
        }
        let held = loans.of_account(account).count();
        if held >= MAX_LOANS_PER_ACCOUNT {
            return reject(Code::TOO_MANY_POSITIONS, MAX_LOANS_PER_ACCOUNT as i64, held as i64);
        }
        if loans.len() >= MAX_LOANS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_LOANS as i64, loans.len() as i64);
        }
        let grouped = loans.grouped_with(account, sub, market);
        if grouped > MAX_GROUPED_PER_MARKET {
            return reject(Code::CAPACITY_EXCEEDED, MAX_GROUPED_PER_MARKET as i64, grouped as i64);
        }
        match loans.vacant(account) {
            Some(pledge) => Ok((account, pledge)),
            None => reject(Code::TOO_MANY_POSITIONS, MAX_LOANS_PER_ACCOUNT as i64, held as i64),
        }
    }

    /// P4.5 for an outcome market: tier, coverage, ladder and stage; what it lends is the vault's, so that the stage
    /// always binds.
    pub(crate) fn loan_cap(&self, market: &Market, asset: u16) -> Cap {
        let coverage = self.coverage_now(asset);
        let stage_e2 = self.state.vault.stage.leverage_cap_e2(self.vault_nav(asset), coverage);
        cap(u32::from(market.outcome_count), coverage, stage_e2, u32::MAX)
    }

    fn check_loan_leverage(
        &self,
        account: u32,
        market: &Market,
        asset: u16,
        leverage_e2: u32,
    ) -> Result<(), Reject> {
        if leverage_e2 < LEVERAGE_E2.0 {
            return reject(Code::INVALID_LEVERAGE, i64::from(LEVERAGE_E2.0), i64::from(leverage_e2));
        }
        let Cap { cap_e2, term } = self.loan_cap(market, asset);
        if cap_e2 < 100 {
            let code = if term == Term::Stage { Code::STAGE_FORBIDS } else { Code::COVERAGE_TOO_LOW };
            return reject(code, 100, i64::from(cap_e2));
        }
        if leverage_e2 > cap_e2 {
            let bound = i64::from(cap_e2) | (term as i64) << 32;
            return reject(Code::LEVERAGE_TOO_HIGH, bound, i64::from(leverage_e2));
        }
        let without = MAX_LEVERAGE_WITHOUT_SUITABILITY_E2;
        if leverage_e2 > without && !self.is_suitable(account) {
            return reject(Code::SUITABILITY_REQUIRED, i64::from(without), i64::from(leverage_e2));
        }
        Ok(())
    }

    /// What all loans, and those of one account, may come to (P4.6.5).
    fn check_lender(&self, account: u32, wanted: (u32, u8, i64), asset: u16) -> Result<(), Reject> {
        let nav = self.vault_nav(asset);
        let part = |percent: i128| (i128::from(nav.max(0)) * percent / 100) as i64;
        let loans = self.state.system.get(line::VAULT_LOANS, 0, asset);
        let lent = loans.saturating_add(wanted.2);
        // A loan of nothing takes nothing from the vault.
        if wanted.2 != 0 && lent > part(MAX_UTILISATION_PCT) {
            return reject(Code::UTILISATION_CAP, part(MAX_UTILISATION_PCT), lent);
        }
        let outcome_count = |market: u32| self.market_of_loan(market).outcome_count;
        let exposure = self.state.vault.loans.exposure(account, wanted, outcome_count);
        if wanted.2 != 0 && exposure > part(MAX_EXPOSURE_PCT) {
            return reject(Code::EXPOSURE_LIMIT, part(MAX_EXPOSURE_PCT), exposure);
        }
        Ok(())
    }

    /// Money of vault and owner goes to the pledge (P1.5.5), the debt begins.
    fn lend(&mut self, command: &Command, request: &OpenLeveraged, opening: &Opening, output: &mut Output) {
        let (account, pledge) = opening.pledge;
        let (quote, sub) = (self.market_of_loan(request.market).quote, command.sub);
        if self.state.accounts.list[account as usize].sub(pledge).is_none() {
            self.state.accounts.list[account as usize].open_sub(pledge, 0);
        }
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_margin(accounts, postings, (account, sub), quote, -opening.margin);
        post_user(accounts, postings, account, pledge, quote, line::FREE, opening.margin + opening.loan);
        post_user(accounts, postings, account, pledge, quote, line::LOAN, -opening.loan);
        let system = &mut self.state.system;
        post_system(system, postings, line::VAULT_CASH, 0, quote, -opening.loan);
        post_system(system, postings, line::VAULT_LOANS, 0, quote, opening.loan);
        let (outcome, short) = (opening.place & !SHORT, opening.place & SHORT != 0);
        let body = LoanBody {
            outcome,
            owner_sub: sub,
            short: u8::from(short),
            reserved: 0,
            leverage_e2: request.leverage_e2,
            lots: request.lots,
            price: request.max_price,
            mark: opening.mark,
            loan: opening.loan,
            margin: opening.margin,
            debt: opening.debt,
            initial_margin: opening.initial_margin,
        };
        let subject = self.pledge_subject(opening.pledge, request.market);
        output.emit(command, EventKind::LoanOpened, subject, &body);
        self.start_loan_clocks(command, request.market);
        let loans = &mut self.state.vault.loans;
        let fresh = Loan {
            sub,
            outcome,
            short,
            market: request.market,
            index_e18: loans.index_e18,
            ..Loan::default()
        };
        let present = loans.get(opening.pledge).copied().unwrap_or(fresh);
        loans.put(opening.pledge, Some(Loan { debt: opening.debt, ..present }));
        self.use_vault(command.time_ns);
        self.after_collateral(command, account, sub, output);
    }

    /// The hour's clock with the first loan, the market's looks with its first one.
    fn start_loan_clocks(&mut self, command: &Command, market: u32) {
        let now_ns = command.time_ns;
        let loans = &mut self.state.vault.loans;
        if loans.hour_ns == 0 {
            loans.hour_ns = now_ns.div_euclid(HOUR_NS).saturating_mul(HOUR_NS);
            self.state.due.insert((loans.next_hour_ns(), due::LOAN, HOUR_ITEM));
        }
        if loans.outcomes(market).next().is_none() {
            let next_ns = now_ns.saturating_add(LOAN_LOOK_NS);
            loans.look_at(&mut self.state.due, market, Some(next_ns));
        }
    }
}
