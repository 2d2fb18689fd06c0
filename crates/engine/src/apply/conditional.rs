//! Orders that wait or come in parts: triggers, slices, links, batches (protocol P2.5).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::{Code, Reject};

impl<B: Book> Engine<B> {
    pub(crate) fn place_twap(
        &mut self,
        _command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn place_batch(
        &mut self,
        _command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn batch_item(
        &mut self,
        _command: &Command,
        _context: Context,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    /// One item of this concern has fallen due.
    pub(crate) fn order_due(&mut self, _command: &Command, _kind: u8, _id: u64, _output: &mut Output) {}
}
