//! Outcome markets (protocol P1.4.3, P3.5): claims on outcomes, fully backed by complete sets.

pub mod claims;
pub mod credits;
pub mod groups;
pub mod leverage;
pub mod loans;
pub mod marks;

pub use claims::{Claims, Holding, POOL};
pub use credits::Credits;
pub use loans::{Loan, Loans};

/// Micro-quote that a whole winning contract pays (Π of P1.4.3).
pub const PAYOUT: i64 = 1_000_000;

/// Ticks of a whole contract (T of P1.4.3); None when the tick does not divide the payout into at least two.
pub const fn payout_ticks(tick_size: i64) -> Option<i64> {
    if tick_size < 1 || PAYOUT % tick_size != 0 || PAYOUT / tick_size < 2 {
        return None;
    }
    Some(PAYOUT / tick_size)
}
