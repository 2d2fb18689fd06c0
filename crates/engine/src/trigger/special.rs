//! What an order has beyond the plain record.

use crate::codec::{Reader, Writer};
use crate::order::NONE;
use crate::wire::command::{order_flag, side};

/// Whether and for what an order waits outside of its book.
pub mod waits {
    /// In its book, or taking.
    pub const NOT: u8 = 0;
    /// For a price.
    pub const PENDING: u8 = 1;
    /// Fired; in its market's queue.
    pub const QUEUED: u8 = 2;
    /// For fills of a bracket's entry.
    pub const INACTIVE: u8 = 3;
    /// For the time of its next slice.
    pub const SLICING: u8 = 4;
}

/// Extra facts of one order. Prices in ticks, sizes in lots; 0 = none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// One of [`waits`].
    pub state: u8,
    pub source: u8,
    /// Of market variants and slices; bp of the trigger price or the reference.
    pub slippage_bp: u16,
    pub leverage_e2: u32,
    pub trigger_price: i64,
    /// Ticks, or ppm of the extreme.
    pub trail: i64,
    /// Best price of the source since activation. While the order waits its group knows it better.
    pub extreme: i64,
    /// Group of trailing orders; derived.
    pub group: u32,
    /// Limit that the owner gave; 0 = a market variant.
    pub limit: i64,
    pub display: i64,
    /// Lots beyond the order's record.
    pub hidden: i64,
    /// The other order of a one-cancels-the-other pair.
    pub partner: u64,
    /// The entry whose bracket this order belongs to.
    pub entry: u64,
    /// The exits of this entry.
    pub exits: [u64; 2],
    pub slices: u16,
    pub sent: u16,
    pub interval_s: u32,
    pub next_ns: i64,
}

impl Special {
    pub const PLAIN: Special = Special {
        state: waits::NOT,
        source: 0,
        slippage_bp: 0,
        leverage_e2: 0,
        trigger_price: 0,
        trail: 0,
        extreme: 0,
        group: NONE,
        limit: 0,
        display: 0,
        hidden: 0,
        partner: 0,
        entry: 0,
        exits: [0; 2],
        slices: 0,
        sent: 0,
        interval_s: 0,
        next_ns: 0,
    };

    /// Whether the order, once it does not wait any more, is an ordinary one.
    pub fn is_ordinary(&self) -> bool {
        self.display == 0 && self.partner == 0 && self.entry == 0 && self.exits == [0; 2] && self.slices == 0
    }

    /// The stop that follows from an extreme (P2.5.4): a sell's below it, rounded down to the tick, a buy's above
    /// it, rounded up.
    pub fn stop(&self, order_side: u8, extreme: i64, flags: u16) -> i64 {
        stop_of(order_side, extreme, self.trail, flags & order_flag::TRAIL_PPM != 0)
    }
}

const PPM: i64 = 1_000_000;

/// The stop of a trail in ticks, or in ppm of the extreme. Never below 0.
pub fn stop_of(order_side: u8, extreme: i64, trail: i64, in_ppm: bool) -> i64 {
    match (in_ppm, order_side) {
        (false, side::BUY) => extreme.saturating_add(trail),
        (false, _) => (extreme - trail).max(0),
        (true, side::BUY) => extreme + (extreme * trail + PPM - 1) / PPM,
        (true, _) => extreme * (PPM - trail) / PPM,
    }
}

pub fn encode_special(special: &Special, writer: &mut Writer) {
    let Special {
        state,
        source,
        slippage_bp,
        leverage_e2,
        trigger_price,
        trail,
        extreme,
        group: _,
        limit,
        display,
        hidden,
        partner,
        entry,
        exits,
        slices,
        sent,
        interval_s,
        next_ns,
    } = *special;
    writer.raw(&[state, source]);
    writer.u16(slippage_bp);
    writer.u32(leverage_e2);
    [trigger_price, trail, extreme, limit, display, hidden, next_ns]
        .into_iter()
        .for_each(|value| writer.i64(value));
    [partner, entry, exits[0], exits[1]].into_iter().for_each(|id| writer.u64(id));
    writer.u16(slices);
    writer.u16(sent);
    writer.u32(interval_s);
}

pub fn decode_special(reader: &mut Reader<'_>) -> Result<Special, String> {
    let [state, source] = reader.array()?;
    if state > waits::SLICING || source > crate::wire::command::trigger_source::LAST_TRADE {
        return Err(format!("an order waits in state {state} for source {source}"));
    }
    Ok(Special {
        state,
        source,
        slippage_bp: reader.u16()?,
        leverage_e2: reader.u32()?,
        trigger_price: reader.i64()?,
        trail: reader.i64()?,
        extreme: reader.i64()?,
        limit: reader.i64()?,
        display: reader.i64()?,
        hidden: reader.i64()?,
        next_ns: reader.i64()?,
        partner: reader.u64()?,
        entry: reader.u64()?,
        exits: [reader.u64()?, reader.u64()?],
        slices: reader.u16()?,
        sent: reader.u16()?,
        interval_s: reader.u32()?,
        group: NONE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sell_stop_is_rounded_down_and_a_buy_stop_up() {
        assert_eq!(stop_of(side::SELL, 1_000, 50, false), 950);
        assert_eq!(stop_of(side::BUY, 1_000, 50, false), 1_050);
        // 0.1 % of 1,005 ticks is 1.005 ticks.
        assert_eq!(stop_of(side::SELL, 1_005, 1_000, true), 1_003);
        assert_eq!(stop_of(side::BUY, 1_005, 1_000, true), 1_007);
        assert_eq!(stop_of(side::SELL, 1_005, 1_000_000, true), 0);
    }
}
