//! Closing a chain (P15.9.3): its steps are undone in reverse order, all of them or none; an order in a book where nothing
//! behind it can refuse.

use super::book::{is_in_book, order_of_undoing};
use super::steps::check_limit;
use super::{failed, step_body};
use crate::book::Book;
use crate::chains::Chain;
use crate::engine::{Context, Engine};
use crate::output::{Output, Subject};
use crate::wire::command::{CloseChain, Command};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{ChainEndBody, EventKind};

impl<B: Book> Engine<B> {
    /// 0E01/1: undoes the steps of a chain, the last one first, each within its limit; or releases it, so that what its
    /// steps hold is its owner's without the chain.
    ///
    /// # Errors
    /// `POSITION_NOT_FOUND` (no such chain is open), `WRONG_OWNER`, `SUB_ACCOUNT_NOT_FOUND` for another sub-account,
    /// `PARAMETER_OUT_OF_BOUNDS`, `TOO_MANY_POSITIONS` (perpetual positions), `CHAIN_STEP_FAILED` with the step and its
    /// own code: the chain stays open and nothing has changed.
    pub(crate) fn close_chain(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CloseChain = command.payload_as();
        if request.reserved != 0 || request.reserved2 != 0 || request.reserved3 != 0 {
            return Err(Code::RESERVED_NOT_ZERO.into());
        }
        let chain = self.own_chain(command, context, request.chain)?;
        let limits = [request.limit_1, request.limit_2, request.limit_3];
        let free_places = &limits[chain.steps.len()..];
        let unused = if request.release == 1 { &limits[..] } else { free_places };
        if request.release > 1 || unused.iter().any(|&limit| limit != 0) {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, i64::from(request.release));
        }
        if request.release == 0 {
            let positions = self.state.accounts.positions(chain.account, chain.sub).len();
            if positions != 0 {
                return reject(Code::TOO_MANY_POSITIONS, 0, positions as i64);
            }
            let markets: Vec<u32> = chain.steps.iter().map(|step| step.request.market).collect();
            let savepoint = self.savepoint((chain.account, chain.sub), command.time_ns, &markets, output);
            if let Err(refusal) = self.unwind(command, context, (request.chain, &chain), limits, output) {
                self.roll_back(savepoint, output);
                return Err(refusal);
            }
        }
        self.state.chains.remove(request.chain);
        let body = ChainEndBody {
            chain: request.chain,
            steps: chain.steps.len() as u8,
            released: request.release,
            reserved: 0,
            reserved2: 0,
        };
        output.emit(command, EventKind::ChainClosed, Subject::account(chain.account, chain.sub), &body);
        Ok(request.chain)
    }

    fn own_chain(&self, command: &Command, context: Context, number: u64) -> Result<Chain, Reject> {
        let Some(chain) = self.state.chains.get(number) else {
            return reject(Code::POSITION_NOT_FOUND, self.state.chains.last as i64, number as i64);
        };
        if chain.account != context.account {
            return Err(Code::WRONG_OWNER.into());
        }
        if chain.sub != command.sub {
            return reject(Code::SUB_ACCOUNT_NOT_FOUND, i64::from(chain.sub), i64::from(command.sub));
        }
        Ok(chain.clone())
    }

    fn unwind(
        &mut self,
        command: &Command,
        context: Context,
        (number, chain): (u64, &Chain),
        limits: [i64; 3],
        output: &mut Output,
    ) -> Result<(), Reject> {
        for (at, step) in chain.steps.iter().enumerate() {
            check_limit(&step.request, limits[at]).map_err(|refusal| failed(at, refusal))?;
        }
        let order = order_of_undoing(&chain.steps);
        for (place, &at) in order.iter().enumerate() {
            let step = &chain.steps[at];
            if is_in_book(&step.request) {
                // Its fills are not taken back: what comes behind them is asked before.
                for &behind in &order[place + 1..] {
                    let pair = (&chain.steps[behind].request, &step.request);
                    self.check_behind(command, context, pair).map_err(|refusal| failed(behind, refusal))?;
                }
            }
            let undone = self.undo_step(command, context, (&step.request, step.done), limits[at], output);
            undone.map_err(|refusal| failed(at, refusal))?;
            let body = step_body(number, at, &step.request, limits[at], step.done);
            let market = Subject::market(step.request.market);
            let subject = Subject { account: chain.account, sub: chain.sub, ..market };
            output.emit(command, EventKind::ChainUnwound, subject, &body);
        }
        Ok(())
    }
}
