//! Where the engine writes events and postings.

use crate::wire::command::Command;
use crate::wire::event::{
    Event, EventKind, Posting, EVENT_SIZE, EVENT_TAG, EVENT_VERSION, NO_ACCOUNT, NO_MARKET,
};
use crate::wire::record::Record;

/// Events and postings in order; the engine appends.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub events: Vec<Event>,
    pub postings: Vec<Posting>,
    first_event: usize,
    first_posting: usize,
}

/// Events and postings of a spot order that trades once, and its cancelled rest.
const USUAL_EVENTS: usize = 3;
const USUAL_POSTINGS: usize = 12;

/// Which record an event concerns.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    pub market: u32,
    pub account: u32,
    pub sub: u8,
    pub order: u64,
}

impl Subject {
    pub const NONE: Subject = Subject { market: NO_MARKET, account: NO_ACCOUNT, sub: 0, order: 0 };

    pub const fn market(market: u32) -> Self {
        Subject { market, ..Subject::NONE }
    }

    pub const fn account(account: u32, sub: u8) -> Self {
        Subject { account, sub, ..Subject::NONE }
    }
}

impl Output {
    /// Forgets everything but keeps the capacity.
    pub fn clear(&mut self) {
        self.events.clear();
        self.postings.clear();
        self.first_event = 0;
        self.first_posting = 0;
    }

    /// Makes room for what so many trading commands usually write, so that nothing is moved while they do.
    pub(crate) fn reserve(&mut self, commands: usize) {
        self.events.reserve(USUAL_EVENTS * commands);
        self.postings.reserve(USUAL_POSTINGS * commands);
    }

    /// Marks where the events of the next command start.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.first_event = self.events.len();
        self.first_posting = self.postings.len();
    }

    /// Forgets what the present command wrote behind these numbers of events and postings.
    pub(crate) fn take_back(&mut self, (events, postings): (usize, usize)) {
        self.events.truncate(events);
        self.postings.truncate(postings);
        self.first_posting = postings;
    }

    pub(crate) fn command_events(&self) -> (u32, u32) {
        (self.first_event as u32, (self.events.len() - self.first_event) as u32)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.events.reserve(1);
    }

    /// Writes an event; the postings pushed since the previous event belong to it.
    #[inline(always)]
    pub(crate) fn emit<B: Record>(&mut self, command: &Command, kind: EventKind, subject: Subject, body: &B) {
        // Looked at first, so that what makes up the event need not be kept meanwhile.
        if self.events.len() == self.events.capacity() {
            self.grow();
        }
        let mut bytes = [0; 72];
        bytes[..B::SIZE].copy_from_slice(body.bytes());
        self.events.push(Event {
            tag: EVENT_TAG,
            version: EVENT_VERSION,
            length: EVENT_SIZE as u16,
            flags: 0,
            seq: command.seq,
            time_ns: command.time_ns,
            kind: kind as u16,
            index: (self.events.len() - self.first_event) as u16,
            posting_count: (self.postings.len() - self.first_posting) as u16,
            shard: command.shard,
            first_posting: self.first_posting as u32,
            market: subject.market,
            account: subject.account,
            sub: subject.sub,
            reserved: 0,
            reserved2: 0,
            order: subject.order,
            body: bytes,
        });
        self.first_posting = self.postings.len();
    }
}
