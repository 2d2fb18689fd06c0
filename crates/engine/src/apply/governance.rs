//! Actions and authority (protocol P14.4, P14.5).

use crate::book::Book;
use crate::engine::Engine;
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::{Code, Reject};

impl<B: Book> Engine<B> {
    pub(crate) fn propose_action(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn approve_action(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn cancel_action(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn execute_action(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn offer_authority(
        &mut self,
        _command: &Command,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn accept_authority(
        &mut self,
        _command: &Command,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn withdraw_offer(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn renounce_authority(
        &mut self,
        _command: &Command,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    /// One item of this concern has fallen due.
    pub(crate) fn governance_due(&mut self, _command: &Command, _kind: u8, _id: u64, _output: &mut Output) {}
}
