//! Payload and bodies of markets that accounts list themselves (P2.2 row 0101, P15.4), and of early triggers (P15.5).

use crate::record;

record! {
    /// 0101/1. An outcome market, or one of a number, that an account lists itself. The platform's usual terms hold for
    /// band, sizes and the elastic fee. `bond` is the most, in micro-quote, that the sender puts at stake; what the
    /// governed bond asks for is taken.
    ListMarket: 48 {
        /// As in CreateMarket.
        nonce: u64,
        market_kind: u8,
        outcome_count: u8,
        quote: u16,
        reserved: u32,
        /// Micro-quote per whole contract.
        tick_size: i64,
        /// Micro-shares per lot.
        lot_size: i64,
        settle_time_ns: i64,
        bond: i64,
    }
}

record! {
    /// The listing bond of the header's market, out of the header's account.
    ListingBody: 16 {
        /// Micro-quote in escrow.
        bond: i64,
        /// Part of it for whoever says first what becomes final.
        reward: i64,
    }
}

record! {
    /// The end of a listing bond; the header's account listed the market.
    ListingEndBody: 48 {
        bond: i64,
        /// To whoever said first what is final now; 0 when nobody was judged.
        reward: i64,
        /// Back to who listed the market.
        returned: i64,
        to_insurance: i64,
        /// Who is rewarded; u32::MAX = nobody.
        winner: u32,
        winner_sub: u8,
        reserved: u8,
        reserved2: u16,
        reserved3: i64,
    }
}

record! {
    /// A jump of a price to an end of its range; the market's pause follows. Ticks of the book.
    EarlyBody: 32 {
        /// The book: of two outcomes 0.
        outcome: u8,
        /// `early_cause`: whether trades or marks tell the price.
        cause: u8,
        reserved: u16,
        reserved2: u32,
        price: i64,
        /// Furthest price of the last 60 s.
        jumped_from: i64,
        payout_ticks: i64,
    }
}

/// What told a price that has jumped.
pub mod early_cause {
    pub const TRADE: u8 = 1;
    pub const MARK: u8 = 2;
}
