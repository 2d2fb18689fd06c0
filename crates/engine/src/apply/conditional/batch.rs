//! Atomic batches of orders (protocol row 0302).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::{Code, Reject};

/// A batch whose items are still to come.
#[derive(Clone, Debug)]
pub struct OpenBatch {}

impl<B: Book> Engine<B> {
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
}
