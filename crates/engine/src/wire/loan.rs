//! Payloads and bodies of leveraged outcome positions (P2.2 rows 0401 to 0403; P4.6). Money in micro-quote, prices in
//! ticks of the outcome that the position holds. Events name the position by the number of its pledge, as sub-account.

use crate::record;

record! {
    /// 0402. Side 0 is long: it buys the outcome; 1 is short: it buys the others, at most at `max_price` for a whole one
    /// of each.
    OpenLeveraged: 32 {
        market: u32,
        outcome: u8,
        side: u8,
        /// 0: buys in the book. Else from the market's pool, whose price it moves by at most so many basis points of
        /// the payout (P10.2.4); then `max_price` includes the pool's fee.
        pool_impact_bp: u16,
        lots: i64,
        max_price: i64,
        leverage_e2: u32,
        reserved2: u32,
    }
}

record! {
    /// 0401/1. `lots` 0 = all; `limit` in ticks, 0 = the market's protective limit. Never below the bankruptcy price.
    CloseLeveraged: 24 {
        market: u32,
        outcome: u8,
        side: u8,
        /// 0: sells in the book. Else into the market's pool, all or nothing, whose price it moves by at most so many
        /// basis points of the payout (P10.2.4); then `limit` is what is left behind the pool's fee.
        pool_impact_bp: u16,
        lots: i64,
        limit: i64,
    }
}

record! {
    /// 0403/1: pays back part of a position's debt out of the envelope's sub-account.
    RepayLoan: 16 { market: u32, outcome: u8, side: u8, reserved: u16, amount: i64 }
}

record! {
    /// A loan for a purchase. The header's sub-account is the pledge.
    LoanBody: 64 {
        /// What is bought, or, of more than two, what a short has none of: it holds all the others.
        outcome: u8,
        /// Sub-account that pays the margin.
        owner_sub: u8,
        short: u8,
        reserved: u8,
        leverage_e2: u32,
        lots: i64,
        /// Largest price of the purchase (of a short: for a claim on each of the others), and mark.
        price: i64,
        mark: i64,
        /// Lent, and paid by the owner with the worst fee: what the purchase does not take of both pays the debt.
        loan: i64,
        margin: i64,
        /// Of the whole position, if the purchase takes everything.
        debt: i64,
        initial_margin: i64,
    }
}

record! {
    /// What a pledge paid back or gave back, and what it has left.
    LoanMovedBody: 48 {
        outcome: u8,
        owner_sub: u8,
        /// As in `loan_cause`.
        cause: u8,
        /// The position is no more.
        closed: u8,
        /// When it is credited, the pledge of the same group that pays, else 0.
        payer: u32,
        /// To the vault: from the pledge's money, and out of the owner's, or of the payer's.
        repaid: i64,
        paid_in: i64,
        /// To the owner (or, of what insurance has taken over, to insurance).
        returned: i64,
        debt: i64,
        /// Claims left, in micro-shares.
        shares: i64,
    }
}

record! {
    /// An hour's interest on one loan.
    LoanInterestBody: 32 { interest: i64, debt: i64, index_low: u64, index_high: i64 }
}

record! {
    /// A step of the interest index in 1e-18: `hours` at the yearly rate of the utilisation (P4.6.5).
    InterestIndexBody: 64 {
        index_low: u64,
        index_high: i64,
        apr_ppm: i64,
        utilisation_ppm: i64,
        hours: i64,
        hour_ns: i64,
        loans: i64,
        nav: i64,
    }
}

record! {
    /// A position below its maintenance margin sells `lots` at `limit` or better.
    LoanLiquidatedBody: 64 {
        outcome: u8,
        owner_sub: u8,
        reserved: u16,
        /// w of P4.6.2.
        ramp_ppm: u32,
        mark: i64,
        lots_held: i64,
        value: i64,
        debt: i64,
        maintenance: i64,
        lots: i64,
        limit: i64,
    }
}

record! {
    /// Who pays what a pledge cannot (P5.6). `taken`: insurance has the claims for it.
    LoanLossBody: 64 {
        outcome: u8,
        owner_sub: u8,
        taken: u8,
        reserved: u8,
        reserved2: u32,
        debt: i64,
        liquidation_fees: i64,
        insurance: i64,
        vault: i64,
        shares: i64,
        mark: i64,
        /// Debt of the position after the event.
        debt_left: i64,
    }
}

/// Why a pledge's money moved.
pub mod loan_cause {
    /// An order of the pledge is over.
    pub const ORDER: u8 = 1;
    /// The owner paid back.
    pub const REPAID: u8 = 2;
    /// The market paid.
    pub const SETTLED: u8 = 3;
    /// Another position of its group paid (P4.6.6).
    pub const CREDITED: u8 = 4;

    /// Names in code order, starting with 1.
    pub const NAMES: [&str; 4] = ["order", "repaid", "settled", "credited"];
}
