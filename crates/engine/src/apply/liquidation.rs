//! Liquidation and the waterfall of losses (protocol P5).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::output::Output;
use crate::wire::command::{Command, Liquidate};
use crate::wire::error::{reject, Code, Reject};

impl<B: Book> Engine<B> {
    pub(crate) fn liquidate(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: Liquidate = command.payload_as();
        if request.reserved != 0 || request.reserved2 != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved2));
        }
        let target = self.find_target(&request.target, request.target_sub, request.market);
        if !context.system {
            return self.liquidate_as_keeper(command, context.account, target, output);
        }
        let target = target?;
        self.liquidate_target(command, None, target.account, target.sub, target.market, output)
    }

    /// One step of a liquidation. `by`: the keeper that earns; its standing is checked by
    /// [`Engine::liquidate_as_keeper`].
    pub(crate) fn liquidate_target(
        &mut self,
        _command: &Command,
        _by: Option<u32>,
        account: u32,
        sub: u8,
        market: u32,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        if self.state.perps.position(account, sub, market).is_none_or(|position| position.lots == 0) {
            return reject(Code::POSITION_NOT_FOUND, 0, i64::from(market));
        }
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn complete_liquidation(
        &mut self,
        _command: &Command,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    /// One item of this concern has fallen due.
    pub(crate) fn liquidation_due(&mut self, _command: &Command, _kind: u8, _id: u64, _output: &mut Output) {}
}
