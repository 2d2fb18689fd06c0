//! A batch: what one journal block carries. The payload is a 32-byte header and five arrays.

use crate::output::Output;
use crate::wire::command::Command;
use crate::wire::event::{CommandResult, Event, Posting};

/// Bytes of the payload header.
pub const HEADER_SIZE: usize = 32;

/// Commands with their results, events and postings, and notes of other writers (the trader's records).
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub commands: Vec<Command>,
    pub results: Vec<CommandResult>,
    pub output: Output,
    pub notes: Vec<u8>,
    /// Positions of the submitted commands among `commands`; the sequencer may have added others.
    pub submitted: Vec<u32>,
}

impl Batch {
    /// Forgets everything but keeps the capacity.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.results.clear();
        self.output.clear();
        self.notes.clear();
        self.submitted.clear();
    }

    /// Appends a note, padded to 8 bytes: stream, kind, length, bytes.
    pub fn push_note(&mut self, stream: u16, kind: u16, bytes: &[u8]) {
        self.notes.extend_from_slice(&stream.to_le_bytes());
        self.notes.extend_from_slice(&kind.to_le_bytes());
        self.notes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.notes.extend_from_slice(bytes);
        self.notes.resize(self.notes.len().next_multiple_of(8), 0);
    }

    /// The payload header: counts of the arrays.
    pub fn header(&self) -> [u8; HEADER_SIZE] {
        let counts = [
            self.commands.len(),
            self.results.len(),
            self.output.events.len(),
            self.output.postings.len(),
            self.notes.len(),
        ];
        let mut header = [0; HEADER_SIZE];
        for (slot, count) in header.chunks_exact_mut(4).zip(counts) {
            slot.copy_from_slice(&(count as u32).to_le_bytes());
        }
        header
    }

    /// The payload in parts, without copying.
    pub fn parts<'a>(&'a self, header: &'a [u8; HEADER_SIZE]) -> [&'a [u8]; 6] {
        [
            header,
            bytemuck::cast_slice(&self.commands),
            bytemuck::cast_slice(&self.results),
            bytemuck::cast_slice(&self.output.events),
            bytemuck::cast_slice(&self.output.postings),
            &self.notes,
        ]
    }

    pub fn as_view(&self) -> BatchView<'_> {
        BatchView {
            commands: bytemuck::cast_slice(&self.commands),
            results: bytemuck::cast_slice(&self.results),
            events: bytemuck::cast_slice(&self.output.events),
            postings: bytemuck::cast_slice(&self.output.postings),
            notes: &self.notes,
        }
    }
}

/// A note: stream, kind, bytes.
pub type Note<'a> = (u16, u16, &'a [u8]);

/// The arrays of a payload as bytes (which may be unaligned).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView<'a> {
    pub commands: &'a [u8],
    pub results: &'a [u8],
    pub events: &'a [u8],
    pub postings: &'a [u8],
    pub notes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// # Errors
    /// A sentence when the counts do not fit the bytes.
    pub fn decode(payload: &'a [u8]) -> Result<Self, String> {
        let (header, mut rest) = payload
            .split_at_checked(HEADER_SIZE)
            .ok_or_else(|| format!("payload of {} bytes has no header", payload.len()))?;
        let word = |index: usize| {
            u32::from_le_bytes(header[4 * index..4 * index + 4].try_into().expect("four bytes")) as usize
        };
        if header[20..].iter().any(|&byte| byte != 0) {
            return Err("reserved bytes of the payload header are not zero".into());
        }
        let sizes = [
            word(0) * size_of::<Command>(),
            word(1) * size_of::<CommandResult>(),
            word(2) * size_of::<Event>(),
            word(3) * size_of::<Posting>(),
            word(4),
        ];
        let mut arrays = [&payload[..0]; 5];
        for (array, size) in arrays.iter_mut().zip(sizes) {
            (*array, rest) = rest
                .split_at_checked(size)
                .ok_or_else(|| format!("payload of {} bytes is shorter than its counts", payload.len()))?;
        }
        if !rest.is_empty() {
            return Err(format!("{} bytes behind the payload", rest.len()));
        }
        let [commands, results, events, postings, notes] = arrays;
        Ok(BatchView { commands, results, events, postings, notes })
    }

    pub fn iter_commands(&self) -> impl Iterator<Item = Command> + 'a {
        self.commands.chunks_exact(size_of::<Command>()).map(bytemuck::pod_read_unaligned)
    }

    /// Notes as (stream, kind, bytes).
    ///
    /// # Errors
    /// A sentence when a note is cut short.
    pub fn iter_notes(&self) -> Result<Vec<Note<'a>>, String> {
        let mut notes = Vec::new();
        let mut rest = self.notes;
        while !rest.is_empty() {
            let short = || format!("a note is cut short: {} bytes left", rest.len());
            let (head, body) = rest.split_at_checked(8).ok_or_else(short)?;
            let length = u32::from_le_bytes(head[4..8].try_into().expect("four bytes")) as usize;
            let (padded, behind) = body.split_at_checked(length.next_multiple_of(8)).ok_or_else(short)?;
            let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
            notes.push((number(0), number(2), &padded[..length]));
            rest = behind;
        }
        Ok(notes)
    }
}
