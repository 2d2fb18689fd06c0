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
