//! The paper market of T15.2: what an outside venue displays, mirrored into a market of the engine.
//!
//! The planner knows what the venue displays ([`shown`]), what the engine's queues hold ([`queues`], fed from engine
//! events) and plans the actions that bring the second to the first. It never invents liquidity: an own order trades
//! only by a print (rule 2), a crossing that persists (rule 4) or by taking displayed lots (rule 6).
//!
//! No I/O, no clock, no Python, no floating-point number. Sizes are whole lots of the engine; the venue's finer lots
//! are floored, and the remainders of prints are carried. Sums of what a venue displays saturate.

pub mod commands;
mod credits;
pub mod cuts;
pub mod fold;
pub mod mirror;
mod plan;
pub mod queues;
pub mod replay;
pub mod rows;
mod shadows;
pub mod shown;

pub use mirror::{Config, Mirror, Stats};

/// Side of a book level, and of an order: bids are bought at, asks are sold at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    Bid = 0,
    Ask = 1,
}

impl Side {
    /// Both, bids first.
    pub const BOTH: [Side; 2] = [Side::Bid, Side::Ask];

    pub fn opposite(self) -> Side {
        match self {
            Side::Bid => Side::Ask,
            Side::Ask => Side::Bid,
        }
    }

    /// None for a number that is no side.
    pub fn from_number(number: u8) -> Option<Side> {
        match number {
            0 => Some(Side::Bid),
            1 => Some(Side::Ask),
            _ => None,
        }
    }

    /// Grows towards the best price of the side, and is its own inverse. The complement, unlike the negative, always
    /// exists.
    #[inline]
    pub(crate) fn rank(self, price_ticks: i64) -> i64 {
        match self {
            Side::Bid => price_ticks,
            Side::Ask => !price_ticks,
        }
    }

    /// Whether an order of this side at `price_ticks` reaches `other_ticks` of the other side.
    #[inline]
    pub(crate) fn reaches(self, price_ticks: i64, other_ticks: i64) -> bool {
        self.rank(price_ticks) >= self.rank(other_ticks)
    }
}

/// A level: side and price in ticks.
pub type Key = (Side, i64);

/// What the mirror does in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new mirror order at the back of its level.
    Place { side: Side, price_ticks: i64, lots: i64 },
    /// A mirror order gets this total (filled lots included): smaller keeps its place, larger goes to the back.
    Resize { order: u64, total_lots: i64 },
    /// A mirror order leaves the book.
    Cancel { order: u64 },
    /// The mirror-taker sends an immediate-or-cancel order.
    Take { side: Side, price_ticks: i64, lots: i64 },
}
