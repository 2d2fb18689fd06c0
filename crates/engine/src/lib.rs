//! Tradewind engine.
