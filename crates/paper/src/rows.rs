//! Recorded market data in memory: read once, replayed as often as one likes.
//!
//! A row is one level change, one trade or one best quote; a message is what the venue sent at once.

use crate::mirror::Change;
use crate::Side;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum What {
    /// New quantities of levels.
    Difference,
    /// One public trade.
    Trade,
    /// The best bid and ask as the venue's ticker states them: time passes, the mirror knows them from the book.
    Best,
    /// Anything else, kept by the caller: a whole book, a change of state, a gap.
    Other,
}

/// One message; its levels lie in [`Rows`].
#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub recv_ns: i64,
    pub venue_ts_ns: Option<i64>,
    /// First and last id of a difference; the id of a trade.
    pub ids: [i64; 2],
    first: u32,
    bids: u32,
    asks: u32,
    pub symbol: u16,
    pub what: What,
    pub aggressor: Option<Side>,
}

/// A price and its quantity in the venue's lots.
pub type Row = (i64, i64);

/// Messages in the order in which they were received.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    messages: Vec<Message>,
    levels: Vec<Row>,
    /// Rows of messages that the caller keeps.
    kept_rows: u64,
}

/// A message as it comes in.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub symbol: u16,
    pub recv_ns: i64,
    pub venue_ts_ns: Option<i64>,
    pub ids: [i64; 2],
    pub aggressor: Option<Side>,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Level changes, trades and best quotes.
    pub fn row_count(&self) -> u64 {
        self.levels.len() as u64 - self.best_extra() + self.kept_rows
    }

    /// A best quote takes two levels and is one row.
    fn best_extra(&self) -> u64 {
        self.messages.iter().filter(|message| message.what == What::Best).count() as u64
    }

    /// Bytes of the arrays.
    pub fn bytes(&self) -> usize {
        self.messages.capacity() * size_of::<Message>() + self.levels.capacity() * size_of::<Row>()
    }

    pub fn get(&self, index: usize) -> Option<&Message> {
        self.messages.get(index)
    }

    /// Rows of one message that is not the caller's.
    pub fn rows_of(&self, message: &Message) -> u64 {
        match message.what {
            What::Best => 1,
            _ => u64::from(message.bids) + u64::from(message.asks),
        }
    }

    pub fn bids(&self, message: &Message) -> &[Row] {
        let first = message.first as usize;
        &self.levels[first..first + message.bids as usize]
    }

    pub fn asks(&self, message: &Message) -> &[Row] {
        let first = (message.first + message.bids) as usize;
        &self.levels[first..first + message.asks as usize]
    }

    /// Level changes of a difference: bids first, each in the venue's order.
    pub fn changes<'a>(&'a self, message: &Message) -> impl Iterator<Item = Change> + 'a {
        let of = |side: Side, rows: &'a [Row]| {
            rows.iter().map(move |&(price, lots)| (side, price, i128::from(lots)))
        };
        of(Side::Bid, self.bids(message)).chain(of(Side::Ask, self.asks(message)))
    }

    /// Appends a message; a trade has one bid, a best quote a bid and an ask. False: there is no room for it.
    #[must_use]
    pub fn push(&mut self, what: What, head: Head, bids: &[Row], asks: &[Row]) -> bool {
        let counts = [self.levels.len(), bids.len(), asks.len(), self.levels.len() + bids.len() + asks.len()];
        let [Ok(first), Ok(bid_count), Ok(ask_count), Ok(_)] = counts.map(u32::try_from) else {
            return false;
        };
        self.levels.extend_from_slice(bids);
        self.levels.extend_from_slice(asks);
        let Head { symbol, recv_ns, venue_ts_ns, ids, aggressor } = head;
        let (bids, asks) = (bid_count, ask_count);
        self.messages.push(Message { recv_ns, venue_ts_ns, ids, first, bids, asks, symbol, what, aggressor });
        true
    }

    /// Appends a message that the caller keeps, with as many rows.
    #[must_use]
    pub fn push_kept(&mut self, head: Head, rows: u64) -> bool {
        self.kept_rows += rows;
        self.push(What::Other, head, &[], &[])
    }
}
