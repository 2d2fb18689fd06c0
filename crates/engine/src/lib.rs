//! The deterministic state machine of Tradewind: `apply(state, command) → (result, events)`.
//!
//! No clock, no I/O, no threads, no randomness, no floating-point money. Time is a field of the command. The
//! same log gives the same state, bit for bit, on every machine.

mod account;
mod apply;
pub mod audit;
pub mod batch;
pub mod book;
mod codec;
mod engine;
pub mod genesis;
mod hash;
pub mod id;
mod idempotency;
mod index;
pub mod ledger;
pub mod limits;
pub mod market;
pub mod math;
mod order;
mod output;
mod read_ahead;
pub mod replay;
pub mod roles;
pub mod sequence;
mod state;
pub mod streams;
pub mod wire;

pub use batch::{Batch, BatchView};
pub use book::{Book, FastBook, ReferenceBook};
pub use engine::{Engine, RULES_VERSION};
pub use genesis::{Genesis, Grant};
pub use output::Output;
