//! Prices from outside and the feeds they belong to (protocol P6).

use crate::book::Book;
use crate::engine::Engine;
use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::error::{Code, Reject};

impl<B: Book> Engine<B> {
    pub(crate) fn publish_price(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn register_feed(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn update_feed(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn set_feed_source(
        &mut self,
        _command: &Command,
        _output: &mut Output,
    ) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    pub(crate) fn override_feed(&mut self, _command: &Command, _output: &mut Output) -> Result<u64, Reject> {
        Err(Code::UNKNOWN_COMMAND.into())
    }

    /// One item of this concern has fallen due.
    pub(crate) fn oracle_due(&mut self, _command: &Command, _kind: u8, _id: u64, _output: &mut Output) {}
}
