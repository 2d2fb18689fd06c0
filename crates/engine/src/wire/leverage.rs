//! Bodies of what leveraged outcome positions stand on: the marks of a market's outcomes (P4.7).

use crate::record;

record! {
    /// The mark of an outcome moved. Of two outcomes the first is marked; the other is the rest of the payout.
    OutcomeMarkBody: 40 {
        outcome: u8,
        /// Its speed was limited: it is not `unclamped` yet (MarkClamped).
        clamped: u8,
        reserved: u16,
        reserved2: u32,
        /// In ticks.
        mark: i64,
        unclamped: i64,
        /// In 1e-6 ticks; 0 = none.
        index_e6: i64,
        premium_e6: i64,
    }
}

record! {
    /// The marks of a market as they are together, once some have moved or their state has changed.
    OutcomeMarksBody: 16 {
        /// Of all marks, in ticks: the payout.
        sum: i64,
        outcomes: u8,
        /// `DEGRADED` while the prices do not allow marks: then they are held.
        feed_state: u8,
        reserved: u16,
        reserved2: u32,
    }
}
