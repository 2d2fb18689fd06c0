//! Replay: the same commands give the same results, events and postings, byte for byte (protocol P1.2.4).

use crate::batch::{Batch, BatchView};
use crate::book::Book;
use crate::engine::Engine;
use crate::sequence::apply_stamped;
use crate::wire::command::COMMAND_SIZE;
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{CommandResult, Event};

/// Applies the commands of a recorded batch and compares what comes out with what was recorded.
///
/// # Errors
/// `REPLAY_MISMATCH` with the first differing sequence number in `given`; the errors of [`apply_stamped`].
pub fn replay<B: Book>(
    engine: &mut Engine<B>,
    recorded: &BatchView<'_>,
    scratch: &mut Batch,
) -> Result<(), Reject> {
    scratch.clear();
    apply_stamped(engine, recorded.iter_commands(), scratch)?;
    let again = scratch.as_view();
    // The commands are those of the record.
    let same = again.results == recorded.results
        && again.events == recorded.events
        && again.postings == recorded.postings;
    if same {
        return Ok(());
    }
    reject(Code::REPLAY_MISMATCH, 0, first_difference(recorded, &again) as i64)
}

/// The sequence number at which two batches first differ.
fn first_difference(recorded: &BatchView<'_>, again: &BatchView<'_>) -> u64 {
    let seq_at = |bytes: &[u8], offset: usize| {
        bytes.get(offset..offset + 8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
    };
    let row = |a: &[u8], b: &[u8], size: usize, offset: usize| {
        let rows = a.len().max(b.len()).div_ceil(size);
        let differs =
            (0..rows).find(|&i| a.get(i * size..(i + 1) * size) != b.get(i * size..(i + 1) * size))?;
        seq_at(a, differs * size + offset).or_else(|| seq_at(b, differs * size + offset))
    };
    let event = row(recorded.events, again.events, size_of::<Event>(), 8);
    let result = row(recorded.results, again.results, size_of::<CommandResult>(), 0);
    let fallback = || seq_at(recorded.commands, recorded.commands.len().saturating_sub(COMMAND_SIZE) + 8);
    event.into_iter().chain(result).min().or_else(fallback).unwrap_or(0)
}
