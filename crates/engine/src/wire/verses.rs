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

record! {
    /// 0E02/3. Level 1 PARTIAL or 2 FULL; `until_ns` at most 72 h ahead. PARTIAL ends then, FULL when two persons say so.
    HaltVerse: 64 { verse: u32, level: u8, reserved: u8, reserved2: u16, until_ns: i64, reason: [u8; 48] }
}

record! {
    /// 0E02/4. Two RESUMER principals, neither the one who halted.
    ResumeVerse: 8 { verse: u32, pause_id: u32 }
}

record! {
    /// A halted verse; the markets below it are paused with the same pause.
    VerseHaltBody: 72 {
        verse: u32,
        pause_id: u32,
        level: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: u32,
        until_ns: i64,
        reason: [u8; 48],
    }
}

record! {
    /// The first approval (until then it waits for the second), or the end of a halt; by time the key is zero.
    VerseResumeBody: 48 { verse: u32, pause_id: u32, until_ns: i64, principal: [u8; 32] }
}

record! {
    /// Every one of the markets below a verse is settled.
    VerseResolvedBody: 8 { verse: u32, markets: u32 }
}
