//! Credit between the positions of one sub-account in one market (protocol P4.6.6): they have one requirement, and what
//! one of them has beyond its debt pays the others' before its owner gets anything. Without the second the first would
//! let an owner keep what wins and leave what loses to the vault.

use std::cmp::Reverse;

use super::look::{Look, Sale};
use crate::book::Book;
use crate::engine::Engine;
use crate::ledger::{line, post_system, post_user};
use crate::limits::{
    GROUPS_VALUED_PER_LOOK, LOAN_LOOK_NS, LOAN_RETRY_NS, LOAN_TAKEOVER_NS, LOAN_VALUE_EFFORT,
};
use crate::math::notional;
use crate::outcome::groups::{Group, Margin, Part};
use crate::outcome::leverage::Valued;
use crate::outcome::loans::Pledge;
use crate::outcome::marks::Marks;
use crate::outcome::Loan;
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::event::{loan_cause, EventKind, LoanMovedBody};

/// What a look at the group of an unhealthy position found.
pub(super) enum Looked {
    /// It has no group: its own margin decides.
    Single,
    /// Its group has what it needs.
    Credited,
    /// It has not: what sells, if anything can be sold.
    Unsound(Option<Sale>),
}

/// A group at the kept marks: how its health is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHealth {
    pub positions: usize,
    /// Basis of the requirement, in micro-quote as all that follows.
    pub largest_loss: i64,
    pub equity: i128,
    pub initial: i128,
    pub maintenance: i128,
    /// What the positions would need beyond it each for itself.
    pub credit: i128,
}

impl<B: Book> Engine<B> {
    /// A position at a mark in ticks.
    fn marked_part(&self, pledge: Pledge, loan: &Loan, mark: i64) -> Part {
        let market = self.market_of_loan(loan.market);
        let value = notional(mark, loan.shares / market.lot_size, market.unit).unwrap_or(i64::MAX);
        let cash = self.pledged_cash(pledge, market.quote);
        Part { place: loan.place(), shares: loan.shares, value, debt: loan.debt, cash }
    }

    fn group_at(&self, members: &[(Pledge, Loan)], market: u32, marks: &Marks) -> Group {
        let entry = self.market_of_loan(market);
        let ticks = entry.payout_ticks();
        let part = |(pledge, loan): &(Pledge, Loan)| {
            self.marked_part(*pledge, loan, marks.of_place(loan.place(), ticks))
        };
        Group { parts: members.iter().map(part).collect(), outcome_count: entry.outcome_count }
    }

    /// A group with one position as it will be.
    pub(super) fn group_with(
        &self,
        pledge: Pledge,
        (sub, market): (u8, u32),
        part: Part,
        marks: &Marks,
    ) -> Group {
        let mut others = self.state.vault.loans.group(pledge.0, sub, market);
        others.retain(|member| member.0 != pledge);
        let mut group = self.group_at(&others, market, marks);
        group.parts.push(part);
        group
    }

    /// The group of a position as it is marked now; None without a mark, and of what insurance took over.
    pub fn group_health(&self, pledge: Pledge) -> Option<GroupHealth> {
        let loan = self.state.vault.loans.get(pledge).filter(|loan| !loan.taken)?;
        let members = self.state.vault.loans.group(pledge.0, loan.sub, loan.market);
        let group = self.group_at(&members, loan.market, self.state.vault.loans.marks(loan.market)?);
        let market = self.market_of_loan(loan.market);
        let ramp = self.ramp(market, self.cursor.time_ns);
        let base_e2 = Self::loan_base_e2(market);
        let maintenance = group.requirement(ramp, Margin::Maintenance(base_e2));
        let owing = group.parts.iter().filter(|part| part.debt != 0);
        let apart: i128 = owing.map(|part| ramp.maintenance_margin(part.value, base_e2)).sum();
        Some(GroupHealth {
            positions: members.len(),
            largest_loss: group.largest_loss(),
            equity: group.equity(),
            initial: group.requirement(ramp, Margin::Initial(base_e2)),
            maintenance,
            credit: apart - maintenance,
        })
    }

    /// What an unhealthy position's group says. An unsound group sells its worst position that finds a buyer: a group
    /// needs no more than its positions each for itself, so that one of them is unhealthy whenever it is unsound.
    pub(super) fn look_at_group(
        &mut self,
        command: &Command,
        pledge: Pledge,
        look: &mut Look<'_>,
        output: &mut Output,
    ) -> Looked {
        let Some(&loan) = self.state.vault.loans.get(pledge) else { return Looked::Single };
        let mut members = self.state.vault.loans.group(pledge.0, loan.sub, loan.market);
        if loan.taken || members.len() < 2 {
            return Looked::Single;
        }
        look.budget.spend(LOAN_VALUE_EFFORT * members.len() as u32);
        let now_ns = command.time_ns;
        let Some(marks) = self.state.vault.loans.marks(loan.market) else { return Looked::Single };
        let group = self.group_at(&members, loan.market, marks);
        let market = self.market_of_loan(loan.market);
        let ramp = self.ramp(market, now_ns);
        if group.lack(ramp, Margin::Maintenance(Self::loan_base_e2(market))) == 0 {
            let wait_ns = now_ns.saturating_add(self.credited_rest_ns(loan.market));
            for (member, loan) in members {
                let rested = Loan { since_ns: 0, wait_ns, ..loan };
                self.state.vault.loans.put(member, Some(rested));
            }
            return Looked::Credited;
        }
        // A rest that a sound group was given ends with its being sound; the wait for a buyer does not.
        members.retain(|(_, loan)| loan.debt != 0 && (loan.since_ns == 0 || now_ns >= loan.wait_ns));
        for (member, loan, valued) in self.worst_of(&members, now_ns) {
            let stuck = loan.since_ns != 0 && now_ns >= loan.since_ns.saturating_add(LOAN_TAKEOVER_NS);
            // Nobody pays for a position while its group has something.
            let lost = group.equity() <= 0 || ramp.is_over() && valued.equity >= 0;
            if stuck && lost && self.insure_loan(command, member, &valued, output) {
                return Looked::Unsound(None);
            }
            // A position that is healthy itself sells everything for the others.
            let lots = match valued.is_healthy() {
                true => valued.lots,
                false => valued.lots_to_sell(self.market_of_loan(loan.market).unit),
            };
            let asked = (&loan, &valued, lots);
            if let Some(sale) = self.start_sale(command, member, asked, look, output) {
                return Looked::Unsound(Some(sale));
            }
        }
        Looked::Unsound(None)
    }

    /// So long does a sound group wait for its next turn: until every other one of the market had its own.
    fn credited_rest_ns(&self, market: u32) -> i64 {
        let groups = self.state.vault.loans.grouped_count(market) / 2;
        let turns = groups.div_ceil(GROUPS_VALUED_PER_LOOK);
        LOAN_RETRY_NS.max(LOAN_LOOK_NS * turns as i64)
    }

    /// Positions of a group that are marked and have no order, by what they lack of their own margin: those of different
    /// outcomes have different marks, so that debt per claim says nothing.
    fn worst_of(&self, members: &[(Pledge, Loan)], now_ns: i64) -> Vec<(Pledge, Loan, Valued)> {
        let valued = |&(pledge, loan): &(Pledge, Loan)| {
            let mark = self.loan_mark(loan.market, loan.place());
            let ready = mark != 0 && !self.state.vault.loans.is_unsettled(loan.market, pledge);
            ready.then(|| (pledge, loan, self.valued(pledge, &loan, mark, now_ns)))
        };
        let mut worst: Vec<_> = members.iter().filter_map(valued).collect();
        let lack = |valued: &Valued| valued.maintenance - i128::from(valued.equity);
        worst.sort_by_key(|(pledge, _, valued)| (Reverse(lack(valued)), *pledge));
        worst
    }

    /// What of a settled market's group comes next, and whether its claims are paid only: first every position's claims,
    /// then those that have what they owe, last those that have not.
    pub(super) fn next_of_group(&self, first: Pledge) -> (Pledge, bool) {
        let loan = *self.state.vault.loans.get(first).expect("it was found just now");
        let members = self.state.vault.loans.group(first.0, loan.sub, loan.market);
        if loan.taken || members.len() < 2 {
            return (first, false);
        }
        let quote = self.market_of_loan(loan.market).quote;
        let unpaid = members.iter().find(|(pledge, loan)| self.pledged_shares(*pledge, loan) != 0);
        let solvent = || members.iter().find(|(pledge, loan)| self.pledged_cash(*pledge, quote) >= loan.debt);
        match unpaid {
            Some(&(pledge, _)) => (pledge, true),
            None => (solvent().map_or(first, |member| member.0), false),
        }
    }

    /// What a position has beyond its debt pays the other positions of its group: when the market has paid, whatever they
    /// cannot pay themselves; before, what the others lack of their initial margin.
    pub(super) fn share_surplus(
        &mut self,
        command: &Command,
        pledge: Pledge,
        cause: u8,
        output: &mut Output,
    ) {
        let Some(&loan) = self.state.vault.loans.get(pledge) else { return };
        let market = self.market_of_loan(loan.market);
        let mut surplus = self.pledged_cash(pledge, market.quote) - loan.debt;
        if surplus <= 0 || loan.taken {
            return;
        }
        let mut others = self.state.vault.loans.group(pledge.0, loan.sub, loan.market);
        others.retain(|member| member.0 != pledge);
        if others.is_empty() {
            return;
        }
        if cause != loan_cause::SETTLED {
            let lack = self.lack_without(&others, pledge, &loan, command.time_ns);
            surplus = i64::try_from(lack).unwrap_or(i64::MAX).min(surplus);
        }
        others.sort_by_key(|(other, loan)| (Reverse((loan.weight(), loan.shares)), *other));
        let quote = self.market_of_loan(loan.market).quote;
        for (other, owing) in others {
            let wanted = match cause {
                loan_cause::SETTLED => (owing.debt - self.pledged_cash(other, quote)).max(0),
                _ => owing.debt,
            };
            let amount = wanted.min(surplus);
            if amount > 0 {
                surplus -= amount;
                self.credit_loan(command, (pledge, other), amount, output);
            }
        }
    }

    /// What a group lacks of its initial margin once a position has paid its debt and given back what is left; everything
    /// without a mark.
    fn lack_without(&self, others: &[(Pledge, Loan)], pledge: Pledge, loan: &Loan, now_ns: i64) -> i128 {
        let market = self.market_of_loan(loan.market);
        let Some(marks) = self.state.vault.loans.marks(loan.market) else { return i128::MAX };
        let ticks = market.payout_ticks();
        let unmarked = |(_, loan): &(Pledge, Loan)| marks.of_place(loan.place(), ticks) == 0;
        if others.iter().any(unmarked) {
            return i128::MAX;
        }
        let mut group = self.group_at(others, loan.market, marks);
        let kept = Loan { debt: 0, shares: self.pledged_shares(pledge, loan), ..*loan };
        let mark = marks.of_place(loan.place(), ticks);
        group.parts.push(Part { cash: 0, ..self.marked_part(pledge, &kept, mark) });
        group.lack(self.ramp(market, now_ns), Margin::Initial(Self::loan_base_e2(market)))
    }

    /// Money of one pledge pays another's debt.
    fn credit_loan(
        &mut self,
        command: &Command,
        (payer, pledge): (Pledge, Pledge),
        amount: i64,
        output: &mut Output,
    ) {
        let loan = *self.state.vault.loans.get(pledge).expect("it was found in its group");
        let quote = self.market_of_loan(loan.market).quote;
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_user(accounts, postings, payer.0, payer.1, quote, line::FREE, -amount);
        post_user(accounts, postings, pledge.0, pledge.1, quote, line::LOAN, amount);
        post_system(&mut self.state.system, postings, line::VAULT_LOANS, 0, quote, -amount);
        post_system(&mut self.state.system, postings, line::VAULT_CASH, 0, quote, amount);
        let debt = loan.debt - amount;
        let shares = self.pledged_shares(pledge, &loan);
        let body = LoanMovedBody {
            outcome: loan.outcome,
            owner_sub: loan.sub,
            cause: loan_cause::CREDITED,
            closed: 0,
            payer: u32::from(payer.1),
            repaid: amount,
            paid_in: amount,
            returned: 0,
            debt,
            shares,
        };
        output.emit(command, EventKind::LoanMoved, self.pledge_subject(pledge, loan.market), &body);
        self.state.vault.loans.put(pledge, Some(Loan { debt, shares, ..loan }));
    }
}
