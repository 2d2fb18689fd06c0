//! The deterministic state machine of Tradewind (see `ARCHITECTURE.md`).

pub mod wire;
