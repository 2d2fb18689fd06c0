//! Payloads and bodies of verses: groups of related markets (P15.8, P2.2 row 0E02).

use crate::record;

record! {
    /// 0E02/0. Slug: 1 to 64 of a-z, 0-9 and "-", zero padded. `parent` u32::MAX = none.
    CreateVerse: 72 { parent: u32, reserved: u32, slug: [u8; 64] }
}

record! {
    /// 0E02/1. `verse` u32::MAX takes the market out of its verse.
    LinkMarket: 8 { market: u32, verse: u32 }
}

record! {
    /// 0E02/2. `parent` u32::MAX = none.
    MoveVerse: 8 { verse: u32, parent: u32 }
}

record! {
    /// A new verse.
    VerseBody: 72 { verse: u32, parent: u32, slug: [u8; 64] }
}

record! {
    /// A verse under another parent, or the header's market in another verse; u32::MAX = none.
    VerseLinkBody: 16 { verse: u32, parent: u32, previous: u32, reserved: u32 }
}
