//! A market's leveraged positions, looked at once a second: marks, health, sales, and what a settled market pays
//! (protocol P4.6.2, P4.6.3, P5, P15.7). Only the worst positions of each outcome are valued; see
//! [`crate::outcome::loans`].

use super::basket::basket_order;
use super::group::Looked;
use super::PledgeOrder;
use crate::apply::work::{Budget, Work};
use crate::book::Book;
use crate::engine::Engine;
use crate::gate::{Action, Cell};
use crate::limits::*;
use crate::market::status;
use crate::outcome::leverage::{least_price, Valued};
use crate::outcome::loans::Pledge;
use crate::outcome::Loan;
use crate::output::Output;
use crate::wire::command::{side, stp, Command};
use crate::wire::event::{loan_cause, EventKind, LoanLiquidatedBody};

/// Positions that a look still values: those of groups are counted apart, so that neither keep the others from theirs.
struct Left {
    single: usize,
    groups: usize,
}

/// What one look may take, and what it has asked of the market's pool.
pub(super) struct Look<'a> {
    pub(super) budget: &'a mut Budget,
    /// Sales that the pool may still price.
    pub(super) tries: u32,
    /// Prices of its outcomes in 1e-9 of the payout, once they were needed; none without a pool.
    pub(super) prices: Option<Vec<i64>>,
}

/// What a look has done for the position that it found.
pub(super) enum Sale {
    /// An order that is to be matched.
    Order(Work),
    /// A swap with the pool: there is one of them at most in a look.
    Swapped,
}

impl<B: Book> Engine<B> {
    /// One look; the next is a second later, or at once while there is more to do.
    pub(super) fn look_at_loans(
        &mut self,
        command: &Command,
        market: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<(Option<Work>, bool)> {
        let now_ns = command.time_ns;
        budget.spend(LOAN_LOOK_EFFORT);
        let mut more = self.settle_pledges(command, market, budget, output);
        let mut sale = None;
        if self.state.resolutions.payout(market).is_some() {
            more |= self.pay_pledges(command, market, budget, output);
        } else if !more {
            if let Some(Sale::Order(taker)) = self.look_for_sale(command, market, budget, output) {
                (sale, more) = (Some(taker), true);
            }
        }
        let next_ns = if more { now_ns } else { now_ns.saturating_add(LOAN_LOOK_NS) };
        let any = self.state.vault.loans.outcomes(market).next().is_some();
        self.state.vault.loans.look_at(&mut self.state.due, market, any.then_some(next_ns));
        match sale {
            Some(taker) => Some((Some(taker), budget.is_spent())),
            None => budget.is_spent().then_some((Some(Work::Due), true)),
        }
    }

    /// Shares out what orders of pledges have brought. Whether more of them wait.
    fn settle_pledges(
        &mut self,
        command: &Command,
        market: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        if !self.may_merge(market) {
            return false;
        }
        for _ in 0..LOANS_SETTLED_PER_LOOK {
            let Some(pledge) = self.state.vault.loans.next_unsettled(market) else { return false };
            budget.spend(LOAN_SETTLE_EFFORT);
            self.settle_pledge(command, pledge, loan_cause::ORDER, output);
        }
        self.state.vault.loans.next_unsettled(market).is_some()
    }

    /// Redeems pledges of a settled market: the debt is paid first (P15.7). Whether more of them are left that may be.
    fn pay_pledges(
        &mut self,
        command: &Command,
        market: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) -> bool {
        if self.halt_cell(Action::MintMerge, Some(market)) == Cell::Refused {
            return false;
        }
        for _ in 0..LOANS_PAID_PER_LOOK {
            let Some(first) = self.first_pledge(market) else { return false };
            budget.spend(LOAN_SETTLE_EFFORT * 2);
            let (pledge, redeems) = self.next_of_group(first);
            let loan = *self.state.vault.loans.get(pledge).expect("it was found just now");
            if self.pledged_shares(pledge, &loan) != 0 {
                self.redeem_for(command, pledge, market, output)
                    .expect("a settled market pays what a pledge holds");
            }
            // A group's losses are covered when all its claims have been paid (P4.6.6).
            if redeems {
                continue;
            }
            self.settle_pledge(command, pledge, loan_cause::SETTLED, output);
        }
        self.first_pledge(market).is_some()
    }

    fn first_pledge(&self, market: u32) -> Option<Pledge> {
        self.state.vault.loans.outcomes(market).find_map(|(_, leg)| leg.worst_first().next())
    }

    /// Marks every outcome that is held, then looks for the first position that must sell and can.
    fn look_for_sale(
        &mut self,
        command: &Command,
        market: u32,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Sale> {
        let mut outcomes: Vec<u8> =
            self.state.vault.loans.outcomes(market).map(|(outcome, _)| outcome).collect();
        if outcomes.is_empty() {
            return None;
        }
        let trades = self.may_liquidate(market, command.time_ns);
        // Every look begins with another outcome, so that one whose positions find no buyer keeps none from theirs.
        let turn = command.time_ns.div_euclid(LOAN_LOOK_NS) as usize % outcomes.len();
        outcomes.rotate_left(turn);
        let mut left = Left { single: LOANS_VALUED_PER_LOOK, groups: GROUPS_VALUED_PER_LOOK };
        let mut look = Look { budget, tries: LOAN_POOL_TRIES_PER_LOOK, prices: None };
        look.budget.spend(LOAN_MARK_EFFORT * u32::from(self.lines(market)));
        let marks = self.marks_now(market, command.time_ns);
        self.keep_marks(command, market, marks, output);
        for outcome in outcomes {
            let mark = self.loan_mark(market, outcome);
            if mark == 0 || !trades {
                continue;
            }
            if let Some(sale) =
                self.look_at_leg(command, (market, outcome), (mark, &mut left), &mut look, output)
            {
                return Some(sale);
            }
        }
        None
    }

    /// Whether the book takes the sales of a liquidation now (P5.9, P6.5, P7.5).
    fn may_liquidate(&self, market: u32, now_ns: i64) -> bool {
        let entry = &self.state.markets.list[market as usize];
        let open = (status::ACTIVE..status::CLOSED).contains(&entry.status)
            && now_ns < entry.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS);
        open && !self.collects(market)
            && matches!(self.halt_cell(Action::Liquidate, Some(market)), Cell::Allowed | Cell::SaferSide)
            && self.check_venue(market, Action::Liquidate, now_ns).is_ok()
            && self.check_loan_room().is_ok()
    }

    /// The worst positions of an outcome until one is healthy: the others have less debt per claim.
    fn look_at_leg(
        &mut self,
        command: &Command,
        (market, outcome): (u32, u8),
        (mark, left): (i64, &mut Left),
        look: &mut Look<'_>,
        output: &mut Output,
    ) -> Option<Sale> {
        let leg = self.state.vault.loans.leg(market, outcome)?;
        // What found no buyer, or has credit, keeps nobody behind it from theirs.
        let loans = &self.state.vault.loans;
        let waits = |pledge: &Pledge| loans.get(*pledge).is_some_and(|loan| command.time_ns < loan.wait_ns);
        let mut groups = left.groups;
        let has_turn = |pledge: &Pledge| {
            let grouped = loans.is_grouped(market, *pledge);
            let turns = !grouped || groups > 0;
            groups -= usize::from(turns && grouped);
            turns
        };
        let ready = leg.worst_first().take(LOANS_PASSED_PER_LEG).filter(|pledge| !waits(pledge));
        let worst: Vec<Pledge> = ready.filter(has_turn).take(LOANS_SEEN_PER_LEG).collect();
        for pledge in worst {
            let loan = *self.state.vault.loans.get(pledge).expect("a leg ranks loans that exist");
            if command.time_ns < loan.wait_ns {
                continue;
            }
            let grouped = self.state.vault.loans.is_grouped(market, pledge);
            let turns = if grouped { &mut left.groups } else { &mut left.single };
            // Large groups cost much: the others wait for the next look.
            if *turns == 0 || grouped && look.budget.is_spent() {
                continue;
            }
            *turns -= 1;
            look.budget.spend(LOAN_VALUE_EFFORT);
            let valued = self.valued(pledge, &loan, mark, command.time_ns);
            if valued.is_healthy() {
                if loan.since_ns != 0 {
                    self.state.vault.loans.put(pledge, Some(Loan { since_ns: 0, ..loan }));
                }
                return None;
            }
            match self.look_at_group(command, pledge, look, output) {
                Looked::Single => {}
                Looked::Credited => continue,
                Looked::Unsound(Some(sale)) => return Some(sale),
                Looked::Unsound(None) => continue,
            }
            let stuck =
                loan.since_ns != 0 && command.time_ns >= loan.since_ns.saturating_add(LOAN_TAKEOVER_NS);
            let over = self.ramp(self.market_of_loan(market), command.time_ns).is_over();
            if stuck && (valued.equity <= 0 || over) && self.insure_loan(command, pledge, &valued, output) {
                continue;
            }
            let lots = valued.lots_to_sell(self.market_of_loan(market).unit);
            let asked = (&loan, &valued, lots);
            if let Some(sale) = self.start_sale(command, pledge, asked, look, output) {
                return Some(sale);
            }
        }
        None
    }

    /// Begins to sell pledged claims: nowhere below the price that pays the debt, nor far below the mark (P5.5). What the
    /// book does not take at that price the pool may.
    pub(super) fn start_sale(
        &mut self,
        command: &Command,
        pledge: Pledge,
        (loan, valued, lots): (&Loan, &Valued, i64),
        look: &mut Look<'_>,
        output: &mut Output,
    ) -> Option<Sale> {
        let now_ns = command.time_ns;
        let since_ns = if loan.since_ns == 0 { now_ns } else { loan.since_ns };
        let wait_ns = now_ns.saturating_add(LOAN_RETRY_NS);
        self.state.vault.loans.put(pledge, Some(Loan { since_ns, wait_ns, ..*loan }));
        let market = self.market_of_loan(loan.market);
        let bankruptcy = least_price(market, valued.lots, loan.debt)?;
        let mut sale = PledgeOrder {
            market: loan.market,
            outcome: loan.outcome,
            side: side::SELL,
            price: valued.sale_limit(bankruptcy).min(market.payout_ticks() - 1),
            lots,
            self_trade_prevention: stp::CANCEL_OLDEST,
            reduces: true,
        };
        if loan.short {
            sale.lots = sale.lots.min(self.bridged_lots(market));
        }
        let wanted = if loan.short { basket_order(market, &sale) } else { sale };
        let order = self.pledge_order(command, pledge, &wanted);
        // Nothing to sell to: no order is told that could not fill, and if the pool takes nothing the next look tries again.
        if sale.lots == 0 || self.feasible_lots(&order, now_ns) == 0 {
            return self.sell_to_pool(command, pledge, (valued, &sale), look, output);
        }
        let bridged = if loan.short { self.check_bridge(&wanted, 0).ok()? } else { 0 };
        self.tell_liquidation(command, pledge, (valued, &sale), output);
        if loan.short {
            self.bridge(command, pledge, &wanted, bridged, output);
        }
        let taker = self.pledge_taker(command, pledge, &wanted, output).expect("a pledge has what it sells");
        let debt = loan.debt + bridged;
        let selling = Loan { since_ns, wait_ns: now_ns.saturating_add(LOAN_LOOK_NS), debt, ..*loan };
        self.state.vault.loans.put(pledge, Some(selling));
        self.state.vault.loans.unsettle(loan.market, pledge);
        Some(Sale::Order(Work::Match(taker)))
    }

    /// The same into the market's pool, at once.
    #[inline(never)]
    fn sell_to_pool(
        &mut self,
        command: &Command,
        pledge: Pledge,
        (valued, sale): (&Valued, &PledgeOrder),
        look: &mut Look<'_>,
        output: &mut Output,
    ) -> Option<Sale> {
        let now_ns = command.time_ns;
        let loan = *self.state.vault.loans.get(pledge).expect("a sale is of a loan");
        if loan.short && !self.may_merge(loan.market) {
            return None;
        }
        let market = self.market_of_loan(loan.market);
        let asked = |sale: &PledgeOrder| if loan.short { basket_order(market, sale) } else { *sale };
        if look.tries == 0 {
            // The next look asks for it.
            let wait_ns = now_ns.saturating_add(LOAN_LOOK_NS);
            self.state.vault.loans.put(pledge, Some(Loan { wait_ns, ..loan }));
            return None;
        }
        let swap = self.pool_sale(pledge, sale, asked, now_ns, look)?;
        let sale = PledgeOrder { lots: swap.lots(), ..*sale };
        let wanted = asked(&sale);
        let bridged = if loan.short { self.check_bridge(&wanted, 0).ok()? } else { 0 };
        self.tell_liquidation(command, pledge, (valued, &sale), output);
        let selling = Loan { wait_ns: now_ns.saturating_add(LOAN_LOOK_NS), ..loan };
        self.state.vault.loans.put(pledge, Some(selling));
        if loan.short {
            self.bridge(command, pledge, &wanted, bridged, output);
        }
        self.swap_pledged(command, pledge, &swap, true, output);
        Some(Sale::Swapped)
    }

    fn tell_liquidation(
        &self,
        command: &Command,
        pledge: Pledge,
        (valued, sale): (&Valued, &PledgeOrder),
        output: &mut Output,
    ) {
        let loan = self.state.vault.loans.get(pledge).expect("a sale is of a loan");
        let body = LoanLiquidatedBody {
            outcome: loan.outcome,
            owner_sub: loan.sub,
            reserved: 0,
            ramp_ppm: self.ramp(self.market_of_loan(loan.market), command.time_ns).w_ppm(),
            mark: valued.mark,
            lots_held: valued.lots,
            value: valued.value,
            debt: loan.debt,
            maintenance: i64::try_from(valued.maintenance).unwrap_or(i64::MAX),
            lots: sale.lots,
            limit: sale.price,
        };
        output.emit(command, EventKind::LoanLiquidated, self.pledge_subject(pledge, loan.market), &body);
    }
}
