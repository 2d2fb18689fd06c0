//! Outflow of withdrawals, links between owners, detection (protocol P9.10, P12).

use crate::book::Book;
use crate::engine::Engine;
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::{Code, Reject};

impl<B: Book> Engine<B> {
    pub(crate) fn link_owners(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    /// One item of this concern has fallen due.
    pub(crate) fn flow_due(&mut self, _command: &Command, _kind: u8, _id: u64, _output: &mut Output) {}
}
