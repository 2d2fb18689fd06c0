//! Credit between the positions of one sub-account in one market from events alone (P4.6.6): what they need together, and
//! that what one of them has beyond its debt pays the others' first (I09, I10, I24).

use super::fault::{ensure, Check};
use super::ledger::{FREE, VAULT_CASH};
use super::loans::{ceil, Loan, CREDITED, LOAN, PPM, VAULT_LOANS};
use super::records::check_movements;
use super::Auditor;
use crate::wire::event::{Event, LoanMovedBody, Posting};

/// The payout settles a position.
const SETTLED: u8 = 3;

/// A position as an event has it: the others of its group are as they were told last.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub(super) loan: Loan,
    pub(super) lots: i64,
    pub(super) value: i64,
}

/// Leverage in hundredths, w in ppm, and the part of the margin in halves of a millionth.
type Terms = (u32, i128, i128);

impl Auditor {
    /// The other positions of the group.
    fn others(&self, event: &Event, of: &Loan) -> Vec<(u8, Loan)> {
        let own = self.loans.list.range((event.account, 0)..=(event.account, u8::MAX));
        let same = |loan: &Loan| loan.market == event.market && loan.sub == of.sub && !loan.taken;
        let found = own.filter(|(place, loan)| place.1 != event.sub && same(loan));
        found.map(|(place, loan)| (place.1, *loan)).collect()
    }

    /// The told mark of what a position holds; 0 = none.
    fn told_mark(&self, event: &Event, loan: &Loan) -> Check<i64> {
        let market = self.market(event.market)?;
        let line = |line: u8| self.marks.of(event.market, line);
        let long = match (market.outcome_count, loan.outcome) {
            (2, 1) => line(0).map(|mark| market.payout_ticks() - mark),
            (_, outcome) => line(outcome),
        };
        let mark = long.unwrap_or(0);
        Ok(if loan.short && mark > 0 { market.payout_ticks() - mark } else { mark })
    }

    /// Equity of the group and what it needs; of a position alone, its own.
    pub(super) fn group_margin(&self, event: &Event, own: Share, terms: Terms) -> Check<(i128, i128)> {
        let market = *self.market(event.market)?;
        let others = self.others(event, &own.loan);
        let (leverage_e2, w, part) = terms;
        let mut shares = vec![(event.sub, own)];
        for (pledge, loan) in others {
            let lots = loan.shares / market.lot_size;
            let value = market.value(self.told_mark(event, &loan)?, lots)?;
            shares.push((pledge, Share { loan, lots, value }));
        }
        let (mut equity, mut apart, mut floor, mut owed) = (0_i128, 0_i128, 0_i128, 0_i128);
        let mut lost = vec![0_i128; usize::from(market.outcome_count)];
        for (pledge, Share { loan, lots, value }) in shares {
            let cash = self.ledger.line(event.account, pledge, market.quote, FREE);
            let (value, debt) = (i128::from(value), i128::from(loan.debt));
            equity += value - debt + i128::from(cash);
            owed += debt;
            if debt > 0 {
                apart += self.loans.margin(value as i64, leverage_e2, w, part);
                // J alone, and half of it.
                let least = i128::from(self.loans.jump_ppm);
                let jump = least * PPM + (PPM - least) * (PPM - w);
                floor = floor.max(ceil(value * jump, PPM * PPM * 2));
            }
            for (winner, lost) in (0_u8..).zip(&mut lost) {
                let paid = if loan.pays(winner) { i128::from(lots) * i128::from(market.lot_size) } else { 0 };
                *lost += value - paid;
            }
        }
        let worst = lost.into_iter().max().unwrap_or(0).max(0);
        let together = self.loans.margin(i64::try_from(worst).unwrap_or(i64::MAX), leverage_e2, w, part);
        let needed = match (owed, w) {
            (0, _) => 0,
            // The last hour knows no credit.
            (_, 0) => apart,
            _ => together.max(floor).min(apart),
        };
        Ok((equity, needed))
    }

    /// One position pays another's debt out of what it has beyond its own.
    pub(super) fn loan_credited(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LoanMovedBody = event.body_as();
        let loan = self.loan_at(event)?;
        let quote = self.market(event.market)?.quote;
        let payer = u8::try_from(body.payer).unwrap_or(0);
        let paying = self.others(event, &loan).into_iter().find(|(pledge, _)| *pledge == payer);
        let movements = [
            (event.account, payer, quote, FREE, -body.repaid),
            (event.account, event.sub, quote, LOAN, body.repaid),
            (0, 0, quote, VAULT_LOANS, -body.repaid),
            (0, 0, quote, VAULT_CASH, body.repaid),
        ];
        check_movements("I24", movements, postings)?;
        self.collect_fees(quote, body.repaid);
        let left = self.ledger.line(event.account, payer, quote, FREE);
        let held = self.pledged(event, &loan)?;
        let debt = loan.debt - body.repaid;
        ensure!(
            body.cause == CREDITED
                && !loan.taken
                && paying.is_some_and(|(_, paying)| left >= paying.debt)
                && (1..=loan.debt).contains(&body.repaid)
                && (body.paid_in, body.returned, body.closed) == (body.repaid, 0, 0)
                && (body.debt, body.shares, body.owner_sub) == (debt, held, loan.sub),
            "I24",
            "pledge {payer} of account {} with {left} left pays {body:?} of pledge {}",
            event.account,
            event.sub
        );
        self.set_loan(event, Loan { debt, shares: body.shares, ..loan });
        Ok(())
    }

    /// Nothing goes to the owner that another position of the group needs.
    pub(super) fn check_returned(&self, event: &Event, loan: &Loan, body: &LoanMovedBody) -> Check {
        let others = self.others(event, loan);
        if body.returned == 0 || loan.taken || others.iter().all(|(_, loan)| loan.debt == 0) {
            return Ok(());
        }
        let market = *self.market(event.market)?;
        if body.cause == SETTLED {
            for (pledge, other) in others {
                let at = Event { sub: pledge, ..*event };
                let cash = self.ledger.line(event.account, pledge, market.quote, FREE);
                ensure!(
                    self.pledged(&at, &other)? == 0 && cash >= other.debt,
                    "I24",
                    "account {} gets {} while its pledge {pledge} owes {}",
                    event.account,
                    body.returned,
                    other.debt
                );
            }
            return Ok(());
        }
        let lots = body.shares / market.lot_size;
        let value = market.value(self.told_mark(event, loan)?, lots)?;
        let own = Share { loan: Loan { debt: body.debt, ..*loan }, lots, value };
        let w = super::loans::ramp(self.time_ns, market.settle_time_ns);
        let terms = (super::loans::tier_e2(market.outcome_count), w, 2 * PPM);
        let (equity, needed) = self.group_margin(event, own, terms)?;
        ensure!(
            equity >= needed,
            "I24",
            "account {} gets {} of a group with {equity} for a margin of {needed}",
            event.account,
            body.returned
        );
        Ok(())
    }
}
