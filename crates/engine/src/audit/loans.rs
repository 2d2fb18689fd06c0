//! Leveraged outcome positions from events alone: what is lent, owed and pledged (I02, I09, I10, I17, I24), interest, and
//! worst cases (I14). The rules of P4.6 are computed here again.

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::groups::Share;
use super::ledger::{FREE, INSURANCE, LIQUIDATION_FEES, VAULT_CASH};
use super::loan_swaps::PledgeSwaps;
use super::outcome::OUTCOME;
use super::records::check_movements;
use super::Auditor;
use crate::book::Book;
use crate::engine::Engine;
use crate::wire::event::{
    Event, EventKind, InterestIndexBody, LoanBody, LoanInterestBody, LoanLiquidatedBody, LoanLossBody,
    LoanMovedBody, Posting,
};

pub(super) const LOAN: u8 = 4;
pub(super) const VAULT_LOANS: u8 = 0x84;
pub const FIRST_PLEDGE: u8 = 128;
pub(super) const PPM: i128 = 1_000_000;
const INDEX_ONE: i128 = 1_000_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const HOUR_NS: i64 = 3_600 * SECOND_NS;
const DAY_S: i128 = 86_400;
const REPAID: u8 = 2;
pub(super) const CREDITED: u8 = 4;
/// What insurance pays of one loss, in micro-units.
const INSURANCE_LIMIT: i64 = 1_000_000_000_000;

/// A position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loan {
    pub(super) sub: u8,
    pub(super) outcome: u8,
    /// It holds every other outcome.
    pub(super) short: bool,
    pub(super) taken: bool,
    pub(super) market: u32,
    pub(super) debt: i64,
    /// Lots of a short that opens, and the least for its outcome: a bridge follows.
    pub(super) opening: Option<(i64, i64)>,
    /// Lots of a bridge, and the debt that there must be at most behind it.
    pub(super) bridge: Option<(i64, i64)>,
    /// Claims when its money was shared out last.
    pub(super) shares: i64,
    pub(super) index_e18: i128,
}

impl Loan {
    /// Whether its claims are paid when an outcome wins.
    pub(super) const fn pays(&self, winner: u8) -> bool {
        (winner == self.outcome) != self.short
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Loans {
    pub(super) list: BTreeMap<(u32, u8), Loan>,
    index_e18: i128,
    /// J_min in ppm.
    pub(super) jump_ppm: i64,
    /// The pledge whose sale was told, and its order once it is given: a liquidation goes on where others wait (P7.5).
    sold: Option<(u32, u8)>,
    sold_order: u64,
    pub(super) swaps: PledgeSwaps,
}

impl Default for Loans {
    fn default() -> Self {
        Loans {
            list: BTreeMap::new(),
            index_e18: 0,
            jump_ppm: 100_000,
            sold: None,
            sold_order: 0,
            swaps: PledgeSwaps::default(),
        }
    }
}

impl Loans {
    pub fn has_any(&self, market: u32) -> bool {
        self.list.values().any(|loan| loan.market == market)
    }

    /// Whether this order is the one of a sale that was told right before it.
    pub(super) fn begins_sale(&mut self, event: &Event) -> bool {
        let begins = self.sold == Some((event.account, event.sub));
        if begins {
            (self.sold, self.sold_order) = (None, event.order);
        }
        begins
    }

    /// Whether a swap is the one of a sale that was told right before it.
    pub(super) fn begins_pool_sale(&mut self, place: (u32, u8)) -> bool {
        self.sold.take_if(|sold| *sold == place).is_some()
    }

    /// Whether an order liquidates a pledge.
    pub(super) fn sells(&self, order: u64) -> bool {
        order != 0 && order == self.sold_order
    }

    pub fn set_jump(&mut self, jump_ppm: i64) {
        self.jump_ppm = jump_ppm;
    }

    /// `ceil(v · max(1/l(τ), J) · part)`, `part` in halves of a millionth.
    pub(super) fn margin(&self, value: i64, leverage_e2: u32, w: i128, part: i128) -> i128 {
        let (value, least) = (i128::from(value), i128::from(self.jump_ppm));
        let leverage = 100 * PPM + (i128::from(leverage_e2.max(100)) - 100) * w;
        let jump = least * PPM + (PPM - least) * (PPM - w);
        let whole = 2 * PPM;
        ceil(value * 100 * PPM * part, leverage * whole).max(ceil(value * jump * part, PPM * PPM * whole))
    }
}

pub(super) fn ceil(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) > 0)
}

/// The part of a claim that insurance leaves to the claimant, rounded up (P9.12).
fn hundredth(claim: i64) -> i64 {
    (claim + 99) / 100
}

/// w of P4.6.2, as a numerator over a day in nanoseconds.
pub(super) fn ramp(now_ns: i64, settle_ns: i64) -> i128 {
    let day = DAY_S * i128::from(SECOND_NS);
    let left = i128::from(settle_ns) - i128::from(HOUR_NS) - i128::from(now_ns);
    // To a millionth, rounded down.
    (left * PPM).div_euclid(day).clamp(0, PPM)
}

pub(super) const fn tier_e2(outcomes: u8) -> u32 {
    match outcomes {
        2 => 7_000,
        3..=4 => 2_500,
        5..=8 => 1_500,
        9..=16 => 1_200,
        _ => 1_000,
    }
}

impl Auditor {
    pub(super) fn check_loans(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        match kind {
            EventKind::InterestIndexMoved => return self.interest_index_moved(event, postings),
            EventKind::LoanOpened => self.loan_opened(event, postings)?,
            EventKind::LoanMoved if event.body_as::<LoanMovedBody>().cause == CREDITED => {
                self.loan_credited(event, postings)?;
            }
            EventKind::LoanMoved => self.loan_moved(event, postings)?,
            EventKind::LoanCharged => self.loan_charged(event, postings)?,
            EventKind::LoanLiquidated => self.loan_liquidated(event, postings)?,
            EventKind::LoanBridged => self.loan_bridged(event, postings)?,
            EventKind::LoanSwapped => self.loan_swapped(event, postings)?,
            _ => self.loan_loss_covered(event, postings)?,
        }
        self.check_pledge(event)
    }

    /// The line `loan` is what the position owes, and all of them are what the vault has lent.
    fn check_pledge(&self, event: &Event) -> Check {
        let quote = self.market(event.market)?.quote;
        let debt = self.loans.list.get(&(event.account, event.sub)).map_or(0, |loan| loan.debt);
        let line = self.ledger.line(event.account, event.sub, quote, LOAN);
        ensure!(
            event.sub >= FIRST_PLEDGE && line == -debt,
            "I02",
            "pledge {} of account {} owes {debt}, its line is {line}",
            event.sub,
            event.account
        );
        Ok(())
    }

    pub(super) fn loan_at(&self, event: &Event) -> Check<Loan> {
        let found = self.loans.list.get(&(event.account, event.sub)).copied();
        found.filter(|loan| loan.market == event.market).ok_or_else(|| {
            fault("I26", format_args!("pledge {} of account {} is no position", event.sub, event.account))
        })
    }

    /// Claims of a position: of its outcome, or of a short what it has of each other one at least.
    pub(super) fn pledged(&self, event: &Event, loan: &Loan) -> Check<i64> {
        let of = |outcome| {
            let (free, held) = self.claim(event.account, event.sub, event.market, outcome);
            free + held
        };
        if !loan.short {
            return Ok(of(loan.outcome));
        }
        let others = (0..self.market(event.market)?.outcome_count).filter(|&outcome| outcome != loan.outcome);
        Ok(others.map(of).min().unwrap_or(0))
    }

    pub(super) fn set_loan(&mut self, event: &Event, loan: Loan) {
        self.loans.list.insert((event.account, event.sub), loan);
    }

    fn nav(&self, asset: u16) -> i64 {
        self.ledger.line(0, 0, asset, VAULT_CASH) + self.ledger.line(0, 0, asset, VAULT_LOANS)
    }

    /// Σ over markets of what an account's debts can come to when the outcome wins that spares least.
    fn exposed(&self, account: u32) -> i128 {
        let mut by_market: BTreeMap<u32, Vec<i128>> = BTreeMap::new();
        for (_, loan) in self.loans.list.range((account, 0)..=(account, u8::MAX)) {
            let outcomes = usize::from(self.markets[loan.market as usize].outcome_count);
            let lost = by_market.entry(loan.market).or_insert_with(|| vec![0; outcomes]);
            for (winner, lost) in (0..).zip(lost) {
                *lost += if loan.pays(winner) { 0 } else { i128::from(loan.debt) };
            }
        }
        by_market.values().map(|lost| lost.iter().copied().max().unwrap_or(0)).sum()
    }

    fn loan_opened(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LoanBody = event.body_as();
        let market = *self.market(event.market)?;
        let (account, pledge, quote) = (event.account, event.sub, market.quote);
        let movements = [
            (account, body.owner_sub, quote, FREE, -body.margin),
            (account, pledge, quote, FREE, body.margin + body.loan),
            (account, pledge, quote, LOAN, -body.loan),
            (0, 0, quote, VAULT_CASH, -body.loan),
            (0, 0, quote, VAULT_LOANS, body.loan),
        ];
        check_movements("I24", movements, postings)?;
        self.collect_fees(quote, -body.loan);
        let sound = market.kind == OUTCOME
            && body.outcome < market.outcome_count
            && (body.short == 0 || body.short == 1 && market.outcome_count > 2)
            && body.owner_sub < FIRST_PLEDGE
            && self.values.settlement() == Some(quote);
        ensure!(sound, "I26", "market {} lends for outcome {}", event.market, body.outcome);
        let index_e18 = self.loans.index_e18;
        let fresh = Loan {
            sub: body.owner_sub,
            outcome: body.outcome,
            short: body.short == 1,
            market: event.market,
            index_e18,
            ..Loan::default()
        };
        let loan = self.loans.list.entry((account, pledge)).or_insert(fresh);
        if loan.debt == 0 {
            // Nothing was owed, so that no event told of interest.
            loan.index_e18 = index_e18;
        }
        let same = (loan.sub, loan.outcome, loan.short, loan.market, loan.taken, loan.index_e18)
            == (body.owner_sub, body.outcome, body.short == 1, event.market, false, index_e18)
            && loan.bridge.is_none();
        loan.debt += body.loan;
        loan.opening = loan.short.then_some((body.lots, market.payout_ticks() - body.price));
        let debt = loan.debt;
        ensure!(same && debt == body.debt, "I26", "a loan adds to another position, or to {debt}");
        self.loans.swaps.ask((account, pledge), body.lots, body.price);
        self.check_loan_risk(event, &body)
    }

    /// I09 and I24: what the vault lends at most, to whom, and against what.
    fn check_loan_risk(&self, event: &Event, body: &LoanBody) -> Check {
        let market = self.market(event.market)?;
        let (nav, lent) = (self.nav(market.quote), self.ledger.line(0, 0, market.quote, VAULT_LOANS));
        let (nav, lent) = (i128::from(nav), i128::from(lent));
        ensure!(body.loan == 0 || lent * 100 <= nav * 80, "I24", "{lent} are lent of a vault of {nav}");
        let exposed = self.exposed(event.account);
        ensure!(
            body.loan == 0 || exposed * 100 <= nav * 5,
            "I24",
            "account {} may cost a vault of {nav} as much as {exposed}",
            event.account
        );
        let value = i128::from(market.value(body.price, body.lots)?);
        let own = value - i128::from(body.loan);
        let cap_e2 = tier_e2(market.outcome_count);
        ensure!(
            (100..=cap_e2).contains(&body.leverage_e2)
                && own * i128::from(body.leverage_e2) >= value * 100
                && i128::from(body.margin) >= own,
            "I09",
            "{} of {value} are lent at a leverage of {} in hundredths",
            body.loan,
            body.leverage_e2
        );
        let w = ramp(self.time_ns, market.settle_time_ns);
        let loan = self.loan_at(event)?;
        let held = self.pledged(event, &loan)? / market.lot_size;
        let marked = market.value(body.mark, held + body.lots)?;
        let own = Share { loan: Loan { debt: body.debt, ..loan }, lots: held + body.lots, value: marked };
        let (equity, needed) = self.group_margin(event, own, (cap_e2, w, 2 * PPM))?;
        self.check_mark(event, (body.outcome, loan.short), body.mark, true)?;
        ensure!(
            w > 0 && body.mark > 0 && equity >= needed && i128::from(body.initial_margin) >= needed,
            "I09",
            "account {} has {equity} for a margin of {needed}",
            event.account
        );
        Ok(())
    }

    /// Money of a pledge pays the debt first; nothing is returned while something is owed.
    fn loan_moved(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LoanMovedBody = event.body_as();
        let loan = self.loan_at(event)?;
        let quote = self.market(event.market)?.quote;
        let (account, pledge) = (event.account, event.sub);
        let from_owner = body.cause == REPAID;
        let cash = if from_owner { 0 } else { body.repaid + body.returned };
        let paid_in = if from_owner { body.repaid } else { 0 };
        let (owner, insurance) = if loan.taken { (0, body.returned) } else { (body.returned, 0) };
        let movements = [
            (account, pledge, quote, FREE, -cash),
            (account, pledge, quote, LOAN, body.repaid),
            (account, loan.sub, quote, FREE, owner - paid_in),
            (0, 0, quote, VAULT_LOANS, -body.repaid),
            (0, 0, quote, VAULT_CASH, body.repaid),
            (0, 0, quote, INSURANCE, insurance),
        ];
        check_movements("I24", movements, postings)?;
        self.collect_fees(quote, body.repaid + insurance);
        let debt = loan.debt - body.repaid;
        let held = self.pledged(event, &loan)?;
        let left = self.ledger.line(account, pledge, quote, FREE);
        let closed = debt == 0 && held == 0;
        ensure!(
            (body.debt, body.shares, body.closed) == (debt, held, u8::from(closed && !from_owner))
                && body.payer == 0
                && body.paid_in == paid_in
                && body.repaid >= 0
                && (body.returned == 0 || body.returned > 0 && debt == 0)
                && (from_owner || left == 0),
            "I24",
            "pledge {pledge} of account {account} pays {body:?} with {debt} owed and {left} kept"
        );
        self.check_returned(event, &loan, &body)?;
        self.check_bridged(event, &loan, debt)?;
        self.loans.swaps.end((account, pledge))?;
        let loan = Loan { bridge: None, ..loan };
        match body.closed {
            1 => self.loans.list.remove(&(account, pledge)),
            _ => self.loans.list.insert((account, pledge), Loan { debt, shares: body.shares, ..loan }),
        };
        self.forget_marks(event.market);
        Ok(())
    }

    fn interest_index_moved(&mut self, event: &Event, postings: &[Posting]) -> Check {
        ensure!(postings.is_empty(), "I01", "a step of the interest index moves money");
        let body: InterestIndexBody = event.body_as();
        let index = i128::from(body.index_high) << 64 | i128::from(body.index_low);
        let asset = self.values.settlement();
        let asset = asset.ok_or_else(|| fault("I24", format_args!("interest without a settlement asset")))?;
        let (loans, nav) = (self.ledger.line(0, 0, asset, VAULT_LOANS), self.nav(asset));
        let used = match nav {
            ..=0 => PPM,
            nav => ceil(i128::from(loans) * PPM, i128::from(nav)).min(PPM),
        };
        let rate = match used <= 800_000 {
            true => 40_000 + ceil(used, 10),
            false => 120_000 + (used - 800_000) * 4,
        };
        let grown = ceil(rate * i128::from(body.hours) * (INDEX_ONE / PPM), 365 * 24);
        ensure!(
            (body.loans, body.nav) == (loans, nav)
                && (i128::from(body.utilisation_ppm), i128::from(body.apr_ppm)) == (used, rate)
                && body.hours > 0
                && index == self.loans.index_e18 + grown,
            "I24",
            "interest of {rate} ppm on {loans} of {nav} is told as {body:?}"
        );
        self.loans.index_e18 = index;
        Ok(())
    }

    fn loan_charged(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LoanInterestBody = event.body_as();
        let loan = self.loan_at(event)?;
        let index = i128::from(body.index_high) << 64 | i128::from(body.index_low);
        let owed = ceil(i128::from(loan.debt) * (index - loan.index_e18), INDEX_ONE);
        ensure!(
            index == self.loans.index_e18
                && owed == i128::from(body.interest)
                && loan.debt + body.interest == body.debt,
            "I24",
            "pledge {} of account {} owes an interest of {owed}, not {}",
            event.sub,
            event.account,
            body.interest
        );
        let quote = self.market(event.market)?.quote;
        let movements = [
            (event.account, event.sub, quote, LOAN, -body.interest),
            (0, 0, quote, VAULT_LOANS, body.interest),
        ];
        check_movements("I24", movements, postings)?;
        let bridge = loan.bridge.map(|(lots, most)| (lots, most + body.interest));
        let changed = Loan { debt: body.debt, index_e18: index, bridge, ..loan };
        self.loans.list.insert((event.account, event.sub), changed);
        Ok(())
    }

    /// I10: only a position below its maintenance margin is sold, and not below the price that pays its debt.
    fn loan_liquidated(&mut self, event: &Event, postings: &[Posting]) -> Check {
        ensure!(postings.is_empty(), "I01", "the start of a sale moves money");
        let body: LoanLiquidatedBody = event.body_as();
        let loan = self.loan_at(event)?;
        let market = *self.market(event.market)?;
        let lots = self.pledged(event, &loan)? / market.lot_size;
        let w = ramp(self.time_ns, market.settle_time_ns);
        let value = market.value(body.mark, lots)?;
        let terms = (tier_e2(market.outcome_count), w, 2 * PPM - w);
        let needed = self.loans.margin(value, terms.0, terms.1, terms.2);
        // A position is sold for its group, which may lack what the position itself has.
        let own = Share { loan, lots, value };
        let (equity, lacking) = self.group_margin(event, own, terms)?;
        self.check_mark(event, (loan.outcome, loan.short), body.mark, false)?;
        self.loans.sold = Some((event.account, event.sub));
        self.loans.swaps.ask((event.account, event.sub), body.lots, body.limit);
        ensure!(
            (body.lots_held, body.value, body.debt) == (lots, value, loan.debt)
                && (i128::from(body.ramp_ppm), i128::from(body.maintenance)) == (w, needed)
                && loan.debt > 0
                && equity < lacking,
            "I10",
            "pledge {} of account {} is sold with {equity} for a margin of {lacking}",
            event.sub,
            event.account
        );
        let owed = i128::from(loan.debt) * i128::from(body.lots);
        ensure!(
            (1..=lots).contains(&body.lots)
                && i128::from(market.value(body.limit, body.lots)?) * i128::from(lots) >= owed,
            "I10",
            "{} of {lots} lots are sold at {}",
            body.lots,
            body.limit
        );
        Ok(())
    }

    /// The stages of P5.6 in their order: fees' pool, insurance within its limits, the vault that lent.
    fn loan_loss_covered(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: LoanLossBody = event.body_as();
        let loan = self.loan_at(event)?;
        let quote = self.market(event.market)?.quote;
        let (fees, insurance, vault) = (body.liquidation_fees, body.insurance, body.vault);
        let movements = [
            (0, 0, quote, LIQUIDATION_FEES, -fees),
            (0, 0, quote, INSURANCE, -insurance),
            (0, 0, quote, VAULT_CASH, fees + insurance),
            (0, 0, quote, VAULT_LOANS, -loan.debt),
            (event.account, event.sub, quote, LOAN, loan.debt),
        ];
        check_movements("I10", movements, postings)?;
        // Its insurance share leaves one fee line for another.
        self.collect_fees(quote, fees);
        let pool = self.ledger.line(0, 0, quote, LIQUIDATION_FEES);
        let fund = self.ledger.line(0, 0, quote, INSURANCE) + insurance;
        let allowed = (fund / 5).min(INSURANCE_LIMIT).min(fund - 1).max(0);
        let held = self.pledged(event, &loan)?;
        let sound = match body.taken {
            0 => {
                let claim = loan.debt - fees;
                held == 0
                    && (pool == 0 || insurance + vault == 0)
                    && insurance == allowed.min(claim - hundredth(claim))
            }
            _ => {
                let market = self.market(event.market)?;
                let worth = market.value(body.mark, held / market.lot_size)?;
                vault == hundredth((loan.debt - worth).max(0) - fees) && held > 0
            }
        };
        ensure!(
            sound
                && [fees, insurance, vault].iter().all(|&part| part >= 0)
                && fees + insurance + vault == loan.debt
                && insurance <= allowed
                && body.debt == loan.debt,
            "I10",
            "a debt of {} is paid by {body:?} with {pool} and {fund} in the pools",
            loan.debt
        );
        let place = (event.account, event.sub);
        match body.taken {
            0 => self.loans.list.remove(&place),
            _ => self.loans.list.insert(place, Loan { debt: 0, taken: true, ..loan }),
        };
        self.forget_marks(event.market);
        Ok(())
    }

    /// I14: `max_k Σ max(0, debt − value_k)` of an outcome market, one loan after the other.
    pub(super) fn check_lent(&self, market: u32, worst_case: i64) -> Check {
        if self.markets.get(market as usize).is_none_or(|market| market.kind != OUTCOME) {
            return Ok(());
        }
        let outcomes = self.market(market)?.outcome_count;
        let mut lost = vec![0_i128; usize::from(outcomes)];
        for loan in self.loans.list.values().filter(|loan| loan.market == market) {
            for (winner, lost) in lost.iter_mut().enumerate() {
                let value = if loan.pays(winner as u8) { loan.shares } else { 0 };
                *lost += i128::from(loan.debt - value).max(0);
            }
        }
        let computed = lost.into_iter().max().unwrap_or(0);
        ensure!(
            computed == i128::from(worst_case),
            "I14",
            "market {market} lends with a worst case of {worst_case}, computed again {computed}"
        );
        Ok(())
    }

    /// Everything from scratch: debts against lines, and what is lent.
    pub(super) fn verify_loans(&self) -> Check {
        let mut lent = 0_i128;
        for (&(account, pledge), loan) in &self.loans.list {
            let quote = self.market(loan.market)?.quote;
            let line = self.ledger.line(account, pledge, quote, LOAN);
            ensure!(
                line == -loan.debt,
                "I02",
                "pledge {pledge} of account {account} owes {} by {line}",
                loan.debt
            );
            lent += i128::from(loan.debt);
        }
        if let Some(asset) = self.values.settlement() {
            let line = i128::from(self.ledger.line(0, 0, asset, VAULT_LOANS));
            ensure!(line == lent, "I24", "the vault has lent {line}, positions owe {lent}");
        }
        let owing = self.ledger.balances.iter().filter(|balance| balance.lines[usize::from(LOAN)] != 0);
        for balance in owing {
            let known = self.loans.list.contains_key(&(balance.account, balance.sub));
            ensure!(known, "I02", "account {} sub {} owes without a loan", balance.account, balance.sub);
        }
        Ok(())
    }

    /// Takes the loans of a restored state over.
    pub(super) fn take_over_loans<B: Book>(&mut self, engine: &Engine<B>) {
        self.loans.index_e18 = engine.state.vault.loans.index_e18;
        self.loans.jump_ppm = engine.state.governance.jump_minimum_ppm();
        for (place, loan) in engine.state.vault.loans.iter() {
            let &crate::outcome::Loan { sub, outcome, short, taken, market, debt, shares, index_e18, .. } =
                loan;
            let known =
                Loan { sub, outcome, short, taken, market, debt, shares, index_e18, ..Loan::default() };
            self.loans.list.insert(place, known);
        }
    }
}
