//! Leveraged markets: parameters, positions, margin, funding (protocol P4).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::{Code, Reject};

impl<B: Book> Engine<B> {
    pub(crate) fn update_market_risk(
        &mut self,
        _command: &Command,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn settle_market(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn update_asset(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn close_position(
        &mut self,
        _command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn adjust_margin(
        &mut self,
        _command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn crank_funding(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn fund_insurance(
        &mut self,
        _command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn set_suitability(
        &mut self,
        _command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    /// One item of this concern has fallen due.
    pub(crate) fn perp_due(&mut self, _command: &Command, _kind: u8, _id: u64, _output: &mut Output) {}
}
