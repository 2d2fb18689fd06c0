//! What a step is as a single command, and what undoes it.

use super::book::is_in_book;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::output::Output;
use crate::wire::chains::{chain_step, ChainStep};
use crate::wire::command::{
    side, Command, DepositVault, Kind, OneSet, PoolLiquidity, RequestVaultExit, StakeToken, SwapAmm,
    UnstakeToken,
};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, SwapBody};
use crate::wire::record::Record;

const DAY_S: u32 = 86_400;

/// The envelope of a chain with the kind and payload of one of its steps.
pub(super) fn as_command<P: Record>(command: &Command, kind: Kind, payload: &P) -> (Kind, Command) {
    let (number, op) = kind.code();
    (kind, Command { kind: number, op, ..*command }.with(payload))
}

fn swap(step: &ChainStep, side: u8, exact_out: u8, amount: i64, limit: i64) -> SwapAmm {
    let ChainStep { market, outcome, .. } = *step;
    SwapAmm { market, outcome, side, exact_out, amount, limit, ..SwapAmm::zero() }
}

impl<B: Book> Engine<B> {
    /// What a step must look like whatever the state: fields that its kind does not know are zero, and its market
    /// settles in the settlement asset.
    pub(super) fn check_step_form(&self, step: &ChainStep, asset: u16) -> Result<(), Reject> {
        use chain_step::{ADD_LIQUIDITY, DEPOSIT_VAULT, FLASH_BORROW, MINT_SET, POOL_BUY, POOL_SELL, STAKE};
        let in_book = is_in_book(step);
        let ChainStep { kind, outcome, detail, market, amount, limit } = *step;
        let unknown = match kind {
            POOL_BUY | POOL_SELL => false,
            _ if in_book => detail != 0,
            ADD_LIQUIDITY => outcome != 0 || detail != 0,
            MINT_SET => outcome != 0 || detail != 0 || limit != 0,
            STAKE => outcome != 0 || market != 0 || limit != 0,
            _ => outcome != 0 || detail != 0 || market != 0 || limit != 0,
        };
        if unknown {
            return Err(Code::RESERVED_NOT_ZERO.into());
        }
        if amount < 1 || limit < 0 {
            return reject(Code::INVALID_AMOUNT, 1, amount.min(limit));
        }
        if matches!(kind, DEPOSIT_VAULT | STAKE | FLASH_BORROW) {
            return Ok(());
        }
        if detail > 1 {
            return reject(Code::INVALID_ORDER_TYPE, 1, i64::from(detail));
        }
        match self.state.markets.list.get(market as usize) {
            None => reject(Code::MARKET_NOT_FOUND, 0, i64::from(market)),
            Some(entry) if entry.quote != asset => reject(Code::ASSET_NOT_FOUND, 0, i64::from(entry.quote)),
            Some(_) if in_book => self.check_book_form(step),
            Some(_) => Ok(()),
        }
    }

    /// Carries out one step as its own command would; what undoing it will give back.
    pub(super) fn run_step(
        &mut self,
        command: &Command,
        context: Context,
        step: &ChainStep,
        output: &mut Output,
    ) -> Result<i64, Reject> {
        use chain_step::{ADD_LIQUIDITY, DEPOSIT_VAULT, MINT_SET, POOL_BUY, POOL_SELL, STAKE};
        let ChainStep { kind, detail, market, amount, limit, .. } = *step;
        let (kind, single) = match kind {
            POOL_BUY => {
                as_command(command, Kind::SwapAmm, &swap(step, side::BUY, detail as u8, amount, limit))
            }
            POOL_SELL => {
                as_command(command, Kind::SwapAmm, &swap(step, side::SELL, detail as u8, amount, limit))
            }
            ADD_LIQUIDITY => {
                let payload = PoolLiquidity { market, amount, min_out: limit, ..PoolLiquidity::zero() };
                as_command(command, Kind::AddLiquidity, &payload)
            }
            DEPOSIT_VAULT => as_command(command, Kind::DepositVault, &DepositVault { amount }),
            STAKE => {
                let lock_s = u32::from(detail) * DAY_S;
                as_command(command, Kind::StakeToken, &StakeToken { amount, lock_s, reserved: 0 })
            }
            MINT_SET => {
                as_command(command, Kind::MintSet, &OneSet { market, lots: amount, ..OneSet::zero() })
            }
            other => return reject(Code::INVALID_ORDER_TYPE, 0, i64::from(other)),
        };
        let value = self.run_single(&single, kind, context, output)?;
        Ok(match step.kind {
            // The value of a sale for exact money is that money.
            POOL_BUY | POOL_SELL => swapped_shares(output),
            MINT_SET => amount,
            _ => value as i64,
        })
    }

    /// Undoes a step within the owner's limit, as the single command that undoes it would.
    pub(super) fn undo_step(
        &mut self,
        command: &Command,
        context: Context,
        (step, done): (&ChainStep, i64),
        limit: i64,
        output: &mut Output,
    ) -> Result<(), Reject> {
        use chain_step::{ADD_LIQUIDITY, DEPOSIT_VAULT, MINT_SET, POOL_BUY, POOL_SELL, STAKE};
        if is_in_book(step) {
            return self.run_book_step(command, context, (step, true), limit, output).map(|_| ());
        }
        let market = step.market;
        let (kind, single) = match step.kind {
            POOL_BUY => as_command(command, Kind::SwapAmm, &swap(step, side::SELL, 0, done, limit)),
            POOL_SELL => as_command(command, Kind::SwapAmm, &swap(step, side::BUY, 1, done, limit)),
            ADD_LIQUIDITY => {
                let payload = PoolLiquidity { market, amount: done, min_out: limit, ..PoolLiquidity::zero() };
                as_command(command, Kind::RemoveLiquidity, &payload)
            }
            DEPOSIT_VAULT => as_command(command, Kind::RequestVaultExit, &RequestVaultExit { shares: done }),
            STAKE => as_command(command, Kind::UnstakeToken, &UnstakeToken { lot: done as u64 }),
            MINT_SET => as_command(command, Kind::MergeSet, &OneSet { market, lots: done, ..OneSet::zero() }),
            // A flash loan was returned when the chain was opened.
            _ => return Ok(()),
        };
        self.run_single(&single, kind, context, output).map(|_| ())
    }

    /// The single command with its own row of the halts; nothing of it may wait for another command.
    fn run_single(
        &mut self,
        single: &Command,
        kind: Kind,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        self.check_halts(single, kind, &context)?;
        self.dispatch(single, kind, context, output)
    }
}

/// A limit of a closing is one of its step; that of an order is looked at with its form.
pub(super) fn check_limit(step: &ChainStep, limit: i64) -> Result<(), Reject> {
    use chain_step::{ADD_LIQUIDITY, POOL_BUY, POOL_SELL};
    let bounded = is_in_book(step) || matches!(step.kind, POOL_BUY | POOL_SELL | ADD_LIQUIDITY);
    if limit < 0 || limit != 0 && !bounded {
        return reject(Code::INVALID_AMOUNT, 0, limit);
    }
    Ok(())
}

/// Shares of the swap that was told last.
fn swapped_shares(output: &Output) -> i64 {
    let swapped = output.events.iter().rev().find(|event| event.kind == EventKind::AmmSwapped as u16);
    swapped.map_or(0, |event| event.body_as::<SwapBody>().shares)
}
