//! Order books of outside venues: frames in, levels in whole ticks and lots out, and the book they make.
//!
//! No I/O, no clock, no floating-point number, no panic on any bytes. The readers here know a frame only as its venue
//! writes it nearly always; for every other shape they answer `None`, and the caller reads it at leisure and refuses
//! what is wrong with its reason. What they do read is read exactly.

pub mod binance;
mod calendar;
pub mod checksum;
pub mod kraken;
pub mod ladder;
mod scan;
pub mod side;
pub mod units;

/// One price level, or its new absolute quantity: 0 lots remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub price_ticks: i64,
    /// Wide, because a lot can be 10⁻¹⁸ of an asset of which a level shows billions.
    pub lots: i128,
}
