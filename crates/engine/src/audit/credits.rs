//! Verse credits from events alone (P15.10): `locked + available = total`, and what a market locks is its largest loss over
//! all outcomes, computed here outcome by outcome from the money that moved and the claims that are held.

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::ledger::{FREE, HELD};
use super::outcome::ClaimsMove;
use super::records::check_movements;
use super::Auditor;
use crate::book::Book;
use crate::engine::Engine;
use crate::wire::event::{CreditBody, CreditLegs, CreditMoneyBody, Event, EventKind, Posting, NO_MARKET};

/// Sub-accounts from here on are credits.
pub const FIRST_CREDIT: u8 = 240;
const LEGS: usize = 32;
const LOCKED: u8 = 1;
const CLOSED: u8 = 2;
const SETTLED: u8 = 3;
const HANDED_OVER: u8 = 4;
/// Status of a market whose payout is final.
const OVER: u8 = 6;

/// A credit as its events tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Credit {
    verse: u32,
    asset: u16,
    total: i64,
    outlays: BTreeMap<u32, i64>,
    staged: usize,
}

impl Credit {
    fn locked(&self) -> i128 {
        self.outlays.values().map(|&outlay| i128::from(outlay)).sum()
    }
}

/// All of them, and what their markets have cost since their last account.
#[derive(Clone, Debug, Default)]
pub struct Credits {
    list: BTreeMap<(u32, u8), Credit>,
    spent: BTreeMap<(u32, u8, u32), i64>,
}

impl Auditor {
    /// Money that an event of a credit moves in a market.
    #[cold]
    pub(super) fn note_credit_money(&mut self, event: &Event, postings: &[Posting]) {
        let own = |posting: &&Posting| {
            (posting.owner, posting.sub) == (event.account, event.sub) && matches!(posting.line, FREE | HELD)
        };
        let moved: i64 = postings.iter().filter(own).map(|posting| posting.amount).sum();
        if moved != 0 && event.market != NO_MARKET {
            *self.credits.spent.entry((event.account, event.sub, event.market)).or_insert(0) -= moved;
        }
    }

    pub(super) fn check_credit(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        ensure!(event.sub >= FIRST_CREDIT, "I26", "sub-account {} is no credit", event.sub);
        match kind {
            EventKind::CreditMoved => self.credit_moved(event, postings),
            EventKind::CreditStaged => {
                ensure!(postings.is_empty(), "I01", "staging legs moves money");
                self.credit_staged(event)
            }
            _ => {
                ensure!(postings.is_empty(), "I01", "the account of a credit moves money");
                self.credit_changed(kind, event)
            }
        }
    }

    fn credit_moved(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: CreditMoneyBody = event.body_as();
        let (account, sub, asset) = (event.account, event.sub, body.asset);
        let movements =
            [(account, body.owner_sub, asset, FREE, -body.amount), (account, sub, asset, FREE, body.amount)];
        check_movements("I02", movements, postings)?;
        let fresh = Credit { verse: body.verse, asset, ..Credit::default() };
        let known = self.credits.list.contains_key(&(account, sub));
        ensure!(known || body.amount > 0, "I26", "credit {sub} of account {account} is none");
        let credit = self.credits.list.entry((account, sub)).or_insert(fresh);
        credit.total += body.amount;
        let over = credit.total == 0 && body.amount <= 0 && credit.outlays.is_empty();
        ensure!(
            (credit.verse, credit.asset, body.closed) == (body.verse, asset, u8::from(over))
                && body.owner_sub < FIRST_CREDIT,
            "I26",
            "credit {sub} of account {account} is told as {body:?}"
        );
        self.check_credit_sum(event, (body.available, body.locked, body.total))?;
        if over {
            self.credits.list.remove(&(account, sub));
        }
        if body.amount > 0 {
            self.check_left_enough(account, body.owner_sub)?;
        }
        Ok(())
    }

    fn credit_staged(&mut self, event: &Event) -> Check {
        let body: CreditLegs = event.body_as();
        let credit = self.credit_at(event, body.verse)?;
        let (before, given) = (usize::from(body.staged), usize::from(body.count));
        ensure!(
            (before == 0 || before == credit.staged) && given > 0 && before + given <= LEGS,
            "I20",
            "{given} legs are staged behind {before} of {}",
            credit.staged
        );
        credit.staged = before + given;
        Ok(())
    }

    /// A market's part of a credit: what it cost is what moved, and what it locks covers whichever outcome wins.
    fn credit_changed(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: CreditBody = event.body_as();
        let (account, sub, market) = (event.account, event.sub, event.market);
        let (outcomes, ended) = (self.market(market)?.outcome_count, self.market(market)?.status >= OVER);
        let spent = self.credits.spent.remove(&(account, sub, market)).unwrap_or(0);
        let claims: Vec<i64> = (0..outcomes)
            .map(|outcome| self.claim(account, sub, market, outcome))
            .map(|(free, held)| free + held)
            .collect();
        let credit = self.credit_at(event, body.verse)?;
        let before = credit.outlays.get(&market).copied();
        let cost = i128::from(before.unwrap_or(0)) + i128::from(spent);
        let (holds, locked) = match body.cause {
            HANDED_OVER => {
                let left =
                    claims.iter().enumerate().any(|(at, &held)| at != usize::from(body.outcome) && held != 0);
                ensure!(
                    before == Some(0)
                        && spent == 0
                        && body.shares > 0
                        && claims.get(usize::from(body.outcome)) == Some(&body.shares),
                    "I09",
                    "market {market} hands claims over while {cost} is at risk"
                );
                (left, 0)
            }
            _ => {
                let holds = claims.iter().any(|&held| held != 0);
                let losses = claims.iter().map(|&held| cost - i128::from(held));
                (holds, if holds { losses.max().unwrap_or(0).max(0) } else { 0 })
            }
        };
        match holds {
            true => credit.outlays.insert(market, body.outlay),
            false => credit.outlays.remove(&market),
        };
        credit.total += body.realised;
        if body.unstaged == 1 {
            credit.staged = 0;
        }
        let complete = body.cause != HANDED_OVER && claims.iter().all(|&held| held > 0);
        ensure!(!complete, "I05", "credit {sub} of account {account} keeps complete sets of market {market}");
        ensure!(
            (body.paid, i128::from(body.outlay)) == (spent, locked)
                && i128::from(body.realised) == locked - cost
                && body.unstaged <= 1,
            "I09",
            "market {market} has cost {cost} with claims {claims:?}: {locked} at risk are told as {body:?}"
        );
        let locks = kind == EventKind::CreditLocked;
        ensure!(
            locks == (body.cause == LOCKED)
                && (ended == (body.cause == SETTLED) || body.cause == HANDED_OVER)
                && (LOCKED..=HANDED_OVER).contains(&body.cause),
            "I26",
            "cause {} of a credit's event in a market that is over: {ended}",
            body.cause
        );
        ensure!(
            locks || before.is_some() && (matches!(body.cause, CLOSED | HANDED_OVER) || !holds),
            "I26",
            "market {market} of credit {sub} releases what it does not have, or keeps what it redeemed"
        );
        self.check_credit_sum(event, (body.available, body.locked, body.total))?;
        if body.cause == HANDED_OVER {
            let outcome = body.outcome;
            let from = ClaimsMove { market, account, sub, outcome, free: -body.shares, held: 0 };
            self.outcomes.expect(from);
            self.outcomes.expect(ClaimsMove { sub: body.owner_sub, free: body.shares, ..from });
        }
        Ok(())
    }

    fn credit_at(&mut self, event: &Event, verse: u32) -> Check<&mut Credit> {
        let place = (event.account, event.sub);
        match self.credits.list.get_mut(&place) {
            Some(credit) if credit.verse == verse => Ok(credit),
            _ => Err(fault("I26", format_args!("credit {place:?} of verse {verse} is none"))),
        }
    }

    /// P15.10: available as the ledger has it, locked as the markets lock, total as deposits and results made it.
    fn check_credit_sum(&self, event: &Event, (available, locked, total): (i64, i64, i64)) -> Check {
        let place = (event.account, event.sub);
        let Some(credit) = self.credits.list.get(&place) else {
            return Err(fault("I26", format_args!("credit {place:?} is none")));
        };
        let line = |line| self.ledger.line(place.0, place.1, credit.asset, line);
        ensure!(
            available == line(FREE)
                && line(HELD) == 0
                && i128::from(locked) == credit.locked()
                && total == credit.total
                && i128::from(available) + i128::from(locked) == i128::from(total),
            "I02",
            "credit {place:?} has {} available, {} locked and {} in all, told as {available}, {locked}, {total}",
            line(FREE),
            credit.locked(),
            credit.total
        );
        Ok(())
    }

    /// When a command is over, so are the accounts of all markets that it moved money in.
    pub(super) fn check_credits_end(&self) -> Check {
        match self.credits.spent.iter().find(|(_, &spent)| spent != 0) {
            Some((place, spent)) if self.pending.is_none() => {
                Err(fault("I02", format_args!("{spent} of credit {place:?} left without an account")))
            }
            _ => Ok(()),
        }
    }

    /// Everything from scratch: sums, and claims only where a market is accounted for.
    pub(super) fn verify_credits(&self) -> Check {
        for (&(account, sub), credit) in &self.credits.list {
            let available = self.ledger.line(account, sub, credit.asset, FREE);
            ensure!(
                i128::from(available) + credit.locked() == i128::from(credit.total) && available >= 0,
                "I02",
                "credit {sub} of account {account} has {available} and {} of {}",
                credit.locked(),
                credit.total
            );
        }
        for balance in self.ledger.balances.iter().filter(|balance| balance.sub >= FIRST_CREDIT) {
            let place = (balance.account, balance.sub);
            let known = self.credits.list.get(&place).is_some_and(|credit| credit.asset == balance.asset);
            ensure!(known || balance.lines.iter().all(|&line| line == 0), "I02", "{place:?} is no credit");
        }
        for (account, sub, market) in self.outcomes.holders_from(FIRST_CREDIT) {
            let credit = self.credits.list.get(&(account, sub));
            let known = credit.is_some_and(|credit| credit.outlays.contains_key(&market));
            ensure!(known, "I09", "claims of market {market} lie unaccounted on {sub} of account {account}");
        }
        Ok(())
    }

    /// Takes the credits of a restored state over.
    pub(super) fn take_over_credits<B: Book>(&mut self, engine: &Engine<B>) {
        for (place, credit) in engine.credits().iter() {
            let outlays = credit.outlays().collect();
            let (verse, asset, total) = (credit.verse, credit.asset, credit.total);
            let staged = credit.staged.len();
            self.credits.list.insert(place, Credit { verse, asset, total, outlays, staged });
        }
    }
}
