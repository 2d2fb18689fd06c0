//! Records of what a fee depends on, and of what becomes of its parts (protocol P8). Micro-units.

use crate::record;

record! {
    /// The depth of a book within 2 % of its middle asks for another adjustment (P8.3). At most what is deep enough.
    FeeDepthBody: 16 { depth: i64, outcome: u8, bp: u8, previous_bp: u8, reserved: u8, reserved2: u32 }
}

record! {
    /// The load of the shard in the last second asks for another adjustment (P8.3): commands, and how many are all.
    FeeLoadBody: 24 { commands: u64, capacity: i64, bp: u8, reserved: u8, reserved2: u16, reserved3: u32 }
}

record! {
    /// Money of the buy-back line for one purchase of the token: lots at most at a price in ticks (P8.8).
    BuybackBody: 32 { asset: u16, reserved: u16, reserved2: u32, amount: i64, price: i64, lots: i64 }
}

record! {
    /// What a purchase brought is burnt, what it left of its money is back; `total` is all that was ever burnt (P11.1).
    BurnBody: 32 { asset: u16, quote: u16, reserved: u32, burnt: i64, returned: i64, total: i64 }
}
