//! Chains (protocol P15.9, row 0E01): one to three steps in one command, all of them or none, and the way back.
//!
//! Steps are carried out by the handlers of the single commands, in order, on the state itself. When one of them, or the
//! test behind the last one, refuses, [`undo`] puts back what the steps before it changed. Only steps whose changes can be
//! put back exactly are done so; an order in a book is the last thing that a chain does, behind every check ([`book`]), so
//! that no fill needs to be undone and no work is left over.

mod book;
mod closing;
mod risk;
mod steps;
mod undo;

use crate::book::Book;
use crate::chains::{is_known, Chain, Step};
use crate::engine::{Context, Engine};
use crate::fees::{split, Profile};
use crate::governance::parameters::Parameter;
use crate::ledger::{line, post_system, post_system_lines, post_user};
use crate::limits::*;
use crate::math::MAX_BALANCE;
use crate::outcome::leverage::MAX_UTILISATION_PCT;
use crate::output::{Output, Subject};
use crate::wire::chains::{chain_step, ChainStep};
use crate::wire::command::{Command, OpenChain};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{ChainBody, ChainChargeBody, ChainStepBody, EventKind, FlashBody};

/// What a chain of these steps costs: the request alone says it, so that it can be shown before (P8.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    /// Micro-units of the settlement asset that its steps put at stake, and the chain's fee.
    base: i64,
    fee: i64,
    rate_bp: u32,
    /// What is borrowed until the last step, and what that costs.
    principal: i64,
    flash_fee: i64,
    /// Verses that its markets lie in, and the largest effective leverage, in hundredths.
    verses: u8,
    cap_e2: u32,
}

/// A chain that is being opened.
struct Opening {
    owner: (u32, u8),
    asset: u16,
    number: u64,
    quote: Price,
    steps: Vec<ChainStep>,
}

/// `ceil(amount · bp / 10,000)`.
fn fee_of(amount: i64, bp: u32) -> i64 {
    ((i128::from(amount) * i128::from(bp) + 9_999) / 10_000) as i64
}

/// `CHAIN_STEP_FAILED` with the step, counted from 1, and the code that it was refused with.
fn failed(step: usize, refusal: Reject) -> Reject {
    Reject::new(Code::CHAIN_STEP_FAILED, step as i64 + 1, i64::from(refusal.code as u16))
}

impl<B: Book> Engine<B> {
    /// 0E01/0: carries out the steps in order, then the fee and the loan's return, then the test of P15.9.2.
    ///
    /// # Errors
    /// `ASSET_NOT_FOUND` without a settlement asset; `CHAIN_STEP_COUNT` (none, or a gap), `CHAIN_CYCLE` (given: the step, bound: the one before),
    /// `TOO_MANY_POSITIONS` (bound 5: open chains of the account; bound 0: perpetual positions of the sub-account),
    /// `CAPACITY_EXCEEDED`, `VERSE_FULL` beyond three verses, `CORRELATION_TOO_HIGH` in ppm, `BELOW_MINIMUM`,
    /// `ABOVE_MAXIMUM`; `CHAIN_STEP_FAILED` with the step and its own code; `FLASH_NOT_REPAID`, `INSUFFICIENT_BALANCE`
    /// for the fee, `LEVERAGE_TOO_HIGH` in hundredths. Nothing has changed then.
    pub(crate) fn open_chain(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let opening = self.check_chain(command, context)?;
        let markets: Vec<u32> = opening.steps.iter().map(|step| step.market).collect();
        let savepoint = self.savepoint(opening.owner, command.time_ns, &markets, output);
        match self.carry_out(command, context, &opening, output) {
            Ok(chain) => Ok(self.state.chains.add(chain)),
            Err(refusal) => {
                self.roll_back(savepoint, output);
                Err(refusal)
            }
        }
    }

    /// Open chains, ascending by number.
    pub fn chains(&self) -> &crate::chains::Chains {
        &self.state.chains
    }

    fn check_chain(&self, command: &Command, context: Context) -> Result<Opening, Reject> {
        let owner = (context.account, command.sub);
        let (asset, steps, quote) = self.check_steps(owner, &command.payload_as())?;
        Ok(Opening { owner, asset, number: self.state.chains.last + 1, quote, steps })
    }

    /// Everything that can be said of a chain before its first step.
    fn check_steps(
        &self,
        (account, sub): (u32, u8),
        request: &OpenChain,
    ) -> Result<(u16, Vec<ChainStep>, Price), Reject> {
        let Some(asset) = self.settlement_asset() else {
            return Err(Code::ASSET_NOT_FOUND.into());
        };
        let steps = counted(&request.steps())?;
        let open = self.state.chains.of_account(account).count();
        if open >= MAX_CHAINS_PER_ACCOUNT {
            return reject(Code::TOO_MANY_POSITIONS, MAX_CHAINS_PER_ACCOUNT as i64, open as i64);
        }
        if self.state.chains.len() >= MAX_CHAINS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_CHAINS as i64, self.state.chains.len() as i64);
        }
        let positions = self.state.accounts.positions(account, sub).len();
        if positions != 0 {
            return reject(Code::TOO_MANY_POSITIONS, 0, positions as i64);
        }
        for (at, step) in steps.iter().enumerate() {
            self.check_step_form(step, asset).map_err(|refusal| failed(at, refusal))?;
        }
        book::check_places(&steps).map_err(|(at, refusal)| failed(at, refusal))?;
        self.check_verses(account, &steps)?;
        self.check_correlation(&steps)?;
        let quote = self.price_chain(&steps)?;
        if quote.base < MIN_CHAIN_BASE {
            return reject(Code::BELOW_MINIMUM, MIN_CHAIN_BASE, quote.base);
        }
        Ok((asset, steps, quote))
    }

    fn price_chain(&self, steps: &[ChainStep]) -> Result<Price, Reject> {
        let sum: i128 = steps.iter().map(|step| i128::from(self.base_of(step))).sum();
        let principal: i128 = steps
            .iter()
            .filter(|step| step.kind == chain_step::FLASH_BORROW)
            .map(|step| i128::from(step.amount))
            .sum();
        let most = i128::from(MAX_BALANCE / 4);
        if sum.max(principal) > most {
            return reject(Code::ABOVE_MAXIMUM, MAX_BALANCE / 4, MAX_BALANCE);
        }
        let (base, principal) = (sum as i64, principal as i64);
        let verses = self.verses_of(steps).len();
        let rate_bp = if verses > 1 { CROSS_VERSE_FEE_BP } else { CHAIN_FEE_BP };
        Ok(Price {
            base,
            fee: fee_of(base, rate_bp),
            rate_bp,
            principal,
            flash_fee: fee_of(principal, FLASH_FEE_BP),
            verses: verses as u8,
            cap_e2: self.chain_cap_e2(steps),
        })
    }

    /// The steps, what they cost, and the test behind them; whoever calls takes back what a refusal leaves.
    fn carry_out(
        &mut self,
        command: &Command,
        context: Context,
        opening: &Opening,
        output: &mut Output,
    ) -> Result<Chain, Reject> {
        let Opening { owner, asset, number, quote, .. } = *opening;
        let body = ChainBody {
            chain: number,
            steps: opening.steps.len() as u8,
            verses: quote.verses,
            asset,
            rate_bp: quote.rate_bp,
            base: quote.base,
            fee: quote.fee,
            reserved: 0,
        };
        output.emit(command, EventKind::ChainOpened, Subject::account(owner.0, owner.1), &body);
        let mut steps = Vec::with_capacity(opening.steps.len());
        let mut charged = false;
        for (at, step) in opening.steps.iter().enumerate() {
            if book::is_in_book(step) {
                // Its fills are not taken back: whatever may refuse is asked before them.
                let outlay = self.book_outlay(step).map_err(|refusal| failed(at, refusal))?;
                self.charge_chain(command, opening, outlay, output)?;
                charged = true;
            }
            let done = match step.kind {
                _ if charged => self.run_book_step(command, context, (step, false), step.limit, output),
                chain_step::FLASH_BORROW => self.borrow_flash(command, opening, step.amount, output),
                _ => self.run_step(command, context, step, output),
            };
            let done = done.map_err(|refusal| failed(at, refusal))?;
            let body = step_body(number, at, step, step.limit, done);
            let subject = Subject { account: owner.0, sub: owner.1, ..Subject::market(step.market) };
            output.emit(command, EventKind::ChainStepped, subject, &body);
            steps.push(Step { request: *step, done });
        }
        if !charged {
            self.repay_flash(command, opening, output)?;
            self.charge_chain(command, opening, 0, output)?;
        }
        let Opening { owner: (account, sub), quote: Price { base, fee, .. }, .. } = *opening;
        Ok(Chain { account, sub, opened_ns: command.time_ns, base, fee, steps })
    }

    /// P15.9.4: what the vault lends stays its value, on the line of its loans.
    fn borrow_flash(
        &mut self,
        command: &Command,
        opening: &Opening,
        principal: i64,
        output: &mut Output,
    ) -> Result<i64, Reject> {
        if self.state.governance.value(Parameter::FlashBorrow) == 0 {
            return Err(Code::PERMISSION_DENIED.into());
        }
        let Opening { owner, asset, number, .. } = *opening;
        let system = &self.state.system;
        let lent = i128::from(system.get(line::VAULT_LOANS, 0, asset)) + i128::from(principal);
        let most = i128::from(self.vault_nav(asset).max(0)) * MAX_UTILISATION_PCT / 100;
        let cash = system.get(line::VAULT_CASH, 0, asset);
        if lent > most || principal > cash {
            return reject(Code::UTILISATION_CAP, most as i64, lent.min(i128::from(i64::MAX)) as i64);
        }
        self.post_flash(owner, asset, principal, output);
        let fee = fee_of(principal, FLASH_FEE_BP);
        let body = FlashBody { chain: number, principal, fee, asset, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::FlashBorrowed, Subject::account(owner.0, owner.1), &body);
        Ok(principal)
    }

    /// Money from the vault to the owner, who owes it; negative: back.
    fn post_flash(&mut self, (account, sub): (u32, u8), asset: u16, amount: i64, output: &mut Output) {
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_user(accounts, postings, account, sub, asset, line::FREE, amount);
        post_user(accounts, postings, account, sub, asset, line::LOAN, -amount);
        let system = &mut self.state.system;
        post_system(system, postings, line::VAULT_CASH, 0, asset, -amount);
        post_system(system, postings, line::VAULT_LOANS, 0, asset, amount);
    }

    fn repay_flash(
        &mut self,
        command: &Command,
        opening: &Opening,
        output: &mut Output,
    ) -> Result<(), Reject> {
        let Opening { owner, asset, number, quote, .. } = *opening;
        let Price { principal, flash_fee: fee, .. } = quote;
        if principal == 0 {
            return Ok(());
        }
        let free = self.state.accounts.balance(owner.0, owner.1, asset, line::FREE);
        if principal + fee > free {
            return reject(Code::FLASH_NOT_REPAID, principal + fee, free);
        }
        self.post_flash(owner, asset, -principal, output);
        self.post_fee(owner, asset, fee, output);
        let body = FlashBody { chain: number, principal, fee, asset, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::FlashRepaid, Subject::account(owner.0, owner.1), &body);
        Ok(())
    }

    /// The chain's fee, and P15.9.2 for the sub-account behind it, of which an order in a book may still take `outlay`.
    fn charge_chain(
        &mut self,
        command: &Command,
        opening: &Opening,
        outlay: i64,
        output: &mut Output,
    ) -> Result<(), Reject> {
        let Opening { owner, asset, number, quote, .. } = *opening;
        let free = self.state.accounts.balance(owner.0, owner.1, asset, line::FREE);
        let needed = quote.fee.saturating_add(outlay);
        if needed > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, needed);
        }
        self.check_removal(owner.0, owner.1, asset, quote.fee)?;
        let (exposure, equity) = self.chain_exposure(owner, &opening.steps, free - needed);
        let most = i128::from(quote.cap_e2) * i128::from(equity);
        if i128::from(exposure) * 100 > most {
            let given = i128::from(exposure) * 100 / i128::from(equity.max(1));
            let given = given.min(i128::from(i64::MAX)) as i64;
            return reject(Code::LEVERAGE_TOO_HIGH, i64::from(quote.cap_e2), given);
        }
        self.post_fee(owner, asset, quote.fee, output);
        let body = ChainChargeBody {
            chain: number,
            fee: quote.fee,
            exposure,
            equity,
            cap_e2: quote.cap_e2,
            asset,
            reserved: 0,
            reserved2: 0,
        };
        output.emit(command, EventKind::ChainCharged, Subject::account(owner.0, owner.1), &body);
        Ok(())
    }

    /// A fee by the split of P8.8.
    fn post_fee(&mut self, (account, sub): (u32, u8), asset: u16, fee: i64, output: &mut Output) {
        let postings = &mut output.postings;
        post_user(&mut self.state.accounts, postings, account, sub, asset, line::FREE, -fee);
        let split = split(fee, Profile::Standard);
        let lines = [
            (line::VAULT_CASH, split.vault),
            (line::STAKER_POOL, split.stakers),
            (line::MAKER_FUND, split.maker_fund),
            (line::INSURANCE, split.buyback),
        ];
        post_system_lines(&mut self.state.system, postings, asset, lines);
    }
}

/// The steps that there are: one to three, none behind an empty place, none twice (P15.9.1).
fn counted(places: &[ChainStep; MAX_CHAIN_STEPS]) -> Result<Vec<ChainStep>, Reject> {
    let empty = <ChainStep as crate::wire::Record>::zero();
    let count = places.iter().position(|step| *step == empty).unwrap_or(MAX_CHAIN_STEPS);
    let given = places.iter().filter(|step| **step != empty).count();
    if count == 0 || given != count {
        return reject(Code::CHAIN_STEP_COUNT, MAX_CHAIN_STEPS as i64, given as i64);
    }
    let steps = &places[..count];
    for (at, step) in steps.iter().enumerate() {
        if !is_known(step.kind) {
            return Err(failed(at, Reject::new(Code::INVALID_ORDER_TYPE, 0, i64::from(step.kind))));
        }
        let place = |step: &ChainStep| (step.market, step.outcome, step.kind);
        if let Some(first) = steps[..at].iter().position(|earlier| place(earlier) == place(step)) {
            return reject(Code::CHAIN_CYCLE, first as i64 + 1, at as i64 + 1);
        }
    }
    Ok(steps.to_vec())
}

fn step_body(chain: u64, at: usize, step: &ChainStep, limit: i64, done: i64) -> ChainStepBody {
    ChainStepBody {
        chain,
        step: at as u8 + 1,
        kind: step.kind,
        outcome: step.outcome,
        reserved: 0,
        detail: step.detail,
        reserved2: 0,
        amount: step.amount,
        limit,
        done,
        reserved3: 0,
    }
}

#[cfg(test)]
mod tests;
