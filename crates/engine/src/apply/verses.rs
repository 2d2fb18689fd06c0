//! Verses: create, move, link (protocol P15.8, row 0E02).

use crate::book::Book;
use crate::engine::Engine;
use crate::market::status;
use crate::output::{Output, Subject};
use crate::verse::{Verses, NONE};
use crate::wire::command::{Command, CreateVerse, LinkMarket, MoveVerse};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, VerseBody, VerseLinkBody};

impl<B: Book> Engine<B> {
    /// 0E02/0. Errors: those of [`Verses::check_new`].
    pub(crate) fn create_verse(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let CreateVerse { parent, reserved, slug } = command.payload_as();
        if reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved));
        }
        self.state.verses.check_new(&slug, parent)?;
        let verse = self.state.verses.add(slug, parent);
        output.emit(command, EventKind::VerseCreated, Subject::NONE, &VerseBody { verse, parent, slug });
        Ok(u64::from(verse))
    }

    /// 0E02/1. Errors: `MARKET_NOT_FOUND`, `VERSE_NOT_FOUND`, `ALREADY_EXISTS` for the link that stands,
    /// `INVALID_TRANSITION` out of or into a halted verse.
    pub(crate) fn link_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let LinkMarket { market, verse } = command.payload_as();
        if market as usize >= self.state.markets.list.len() {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(market));
        }
        let verses = &self.state.verses;
        let mut parent = NONE;
        if verse != NONE {
            parent = verses.find(verse)?.parent;
        }
        let present = verses.of_market(market);
        if present == verse {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(verse));
        }
        self.check_verse_moves(present)?;
        self.check_verse_moves(verse)?;
        let settled = self.state.markets.list[market as usize].status >= status::SETTLED;
        let previous = self.state.verses.link(market, verse, settled);
        self.state.perps.set_dirty(market);
        let body = VerseLinkBody { verse, parent, previous, reserved: 0 };
        output.emit(command, EventKind::MarketLinked, Subject::market(market), &body);
        Ok(u64::from(verse))
    }

    /// 0E02/2. Errors: those of [`Verses::check_move`], `ALREADY_EXISTS` for the parent that stands,
    /// `INVALID_TRANSITION` out of or into a halted one.
    pub(crate) fn move_verse(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let MoveVerse { verse, parent } = command.payload_as();
        let verses = &self.state.verses;
        if verses.find(verse)?.parent == parent {
            return reject(Code::ALREADY_EXISTS, 0, i64::from(parent));
        }
        verses.check_move(verse, parent)?;
        self.check_verse_moves(verse)?;
        self.check_verse_moves(parent)?;
        let previous = self.state.verses.reparent(verse, parent);
        // Whichever markets lie below: their bucket may be another one (P9.2).
        self.state.perps.set_all_dirty();
        let body = VerseLinkBody { verse, parent, previous, reserved: 0 };
        output.emit(command, EventKind::VerseMoved, Subject::NONE, &body);
        Ok(u64::from(verse))
    }

    /// All verses and their markets.
    pub fn verses(&self) -> &Verses {
        &self.state.verses
    }
}
