//! Bodies of leveraged outcome positions beside the loans themselves: marks of the outcomes (P4.7), bridges of shorts (P4.6.1).

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
    /// The vault pays for complete sets of which a short sells one outcome, or for that outcome, which makes sets of what
    /// it holds: sets and sale pay it back with the order. The header's sub-account is the pledge.
    LoanBridgedBody: 40 {
        outcome: u8,
        owner_sub: u8,
        /// 1: the sets are made now and the outcome is sold; 0: it is bought back.
        opens: u8,
        reserved: u8,
        reserved2: u32,
        lots: i64,
        /// In ticks: the least for the outcome, or the most.
        price: i64,
        amount: i64,
        debt: i64,
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
