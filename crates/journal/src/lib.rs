//! Tradewind journal.
