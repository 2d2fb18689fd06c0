//! Hashes and snapshots of an engine (protocol P1.1.4).

use crate::book::Book;
use crate::codec::{Reader, Writer};
use crate::cursor::Cursor;
use crate::engine::Engine;
use crate::state::put;

const SNAPSHOT_MAGIC: [u8; 8] = *b"TWSNAP\x02\0";

impl<B: Book> Engine<B> {
    /// BLAKE3 of the canonical encoding of business state (P1.1.4).
    pub fn state_hash(&self) -> [u8; 32] {
        *blake3::hash(&self.state.encode()).as_bytes()
    }

    /// BLAKE3 of the canonical encoding of the cursor.
    pub fn cursor_hash(&self) -> [u8; 32] {
        *blake3::hash(&self.cursor.encode()).as_bytes()
    }

    /// State and cursor as bytes. Between continuations only.
    pub fn snapshot(&self) -> Vec<u8> {
        assert!(self.pending.is_none(), "a snapshot is taken between commands");
        let mut writer = Writer::default();
        writer.raw(&SNAPSHOT_MAGIC);
        writer.u16(self.shard);
        for part in [self.state.encode(), self.cursor.encode()] {
            writer.raw(blake3::hash(&part).as_bytes());
            writer.len(part.len());
            writer.raw(&part);
        }
        writer.bytes
    }

    /// The engine that wrote `bytes`.
    ///
    /// # Errors
    /// A sentence that names the defect; damaged bytes never give an engine.
    pub fn restore(bytes: &[u8]) -> Result<Self, String> {
        let (shard, state, cursor) = parts(bytes)?;
        // What was read of a defective part goes with this engine, which nobody has seen.
        let mut engine = Self::blank(shard, 0);
        put(&mut engine.cursor, &mut Reader::new(cursor), Cursor::decode)?;
        let mut reader = Reader::new(state);
        engine.state.fill(&mut reader)?;
        if reader.remaining() != 0 {
            return Err("bytes behind the state".into());
        }
        engine.count_all_positions();
        Ok(engine)
    }
}

/// Shard, encoded state and encoded cursor of a snapshot whose hashes match.
fn parts(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), String> {
    let mut reader = Reader::new(bytes);
    if reader.array::<8>()? != SNAPSHOT_MAGIC {
        return Err("not a snapshot of version 2".into());
    }
    let shard = reader.u16()?;
    let (state, rest) = hashed_part(&bytes[10..])?;
    let (cursor, rest) = hashed_part(rest)?;
    if !rest.is_empty() {
        return Err(format!("{} bytes behind the snapshot", rest.len()));
    }
    Ok((shard, state, cursor))
}

fn hashed_part(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let mut reader = Reader::new(bytes);
    let hash: [u8; 32] = reader.array()?;
    let length = reader.len(1)?;
    let (part, rest) = bytes[40..].split_at_checked(length).ok_or("the snapshot is cut short")?;
    if *blake3::hash(part).as_bytes() != hash {
        return Err("the snapshot's hash does not match its bytes".into());
    }
    Ok((part, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{FastBook, ReferenceBook};
    use crate::streams::Stream;

    /// A snapshot of these two parts with hashes that match.
    fn forged(shard: u16, state: &[u8], cursor: &[u8]) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.raw(&SNAPSHOT_MAGIC);
        writer.u16(shard);
        for part in [state, cursor] {
            writer.raw(blake3::hash(part).as_bytes());
            writer.len(part.len());
            writer.raw(part);
        }
        writer.bytes
    }

    #[test]
    fn a_part_that_ends_anywhere_before_its_end_is_refused_even_when_its_hash_matches() {
        let (engine, _) = Stream::new::<FastBook>(2, 1, 10);
        let (state, cursor) = (engine.state.encode(), engine.cursor.encode());
        assert_eq!(forged(engine.shard, &state, &cursor), engine.snapshot());
        for end in 0..state.len() {
            let refusal = Engine::<FastBook>::restore(&forged(0, &state[..end], &cursor)).err();
            assert!(refusal.is_some_and(|sentence| !sentence.is_empty()), "a state cut behind {end} bytes");
        }
        for end in (0..cursor.len()).step_by(7) {
            let refusal = Engine::<FastBook>::restore(&forged(0, &state, &cursor[..end])).err();
            assert!(refusal.is_some_and(|sentence| !sentence.is_empty()), "a cursor cut behind {end} bytes");
        }
        let longer = [state.as_slice(), &[0]].concat();
        assert_eq!(
            Engine::<FastBook>::restore(&forged(0, &longer, &cursor)).err().unwrap(),
            "bytes behind the state"
        );
    }

    #[test]
    fn a_restored_engine_writes_the_snapshot_that_it_was_made_of() {
        let (engine, _) = Stream::new::<FastBook>(3, 2, 10);
        let bytes = engine.snapshot();
        let fast = Engine::<FastBook>::restore(&bytes).expect("its own snapshot");
        let reference = Engine::<ReferenceBook>::restore(&bytes).expect("its own snapshot");
        assert_eq!((fast.snapshot(), fast.state_hash()), (bytes.clone(), engine.state_hash()));
        assert_eq!((reference.snapshot(), reference.cursor_hash()), (bytes, engine.cursor_hash()));
    }
}
