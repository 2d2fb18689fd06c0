//! The deterministic state machine of Tradewind: `apply(state, command) → (result, events)`.
//!
//! No clock, no I/O, no threads, no randomness, no floating-point money. Time is a field of the command. The
//! same log gives the same state, bit for bit, on every machine.

mod account;
pub mod amm;
mod apply;
pub mod audit;
pub mod batch;
pub mod book;
pub mod chains;
mod codec;
pub mod coverage;
mod cursor;
pub mod dark;
pub mod detect;
mod dispatch;
mod engine;
pub mod fees;
pub mod flow;
pub mod gate;
pub mod genesis;
pub mod governance;
pub mod halts;
mod hash;
pub mod id;
mod idempotency;
mod index;
pub mod keeper;
pub mod ledger;
pub mod limits;
pub mod liquidation;
pub mod market;
pub mod math;
pub mod oracle;
mod order;
pub mod outcome;
mod output;
pub mod perp;
mod read_ahead;
pub mod record520;
pub mod record_number;
pub mod replay;
pub mod resolution;
pub mod roles;
pub mod sequence;
mod snapshot;
mod state;
pub mod streams;
pub mod streams_crash;
pub mod streams_pool;
pub mod streams_siege;
mod streams_stage;
pub mod token;
pub mod trigger;
pub mod vault;
pub mod venue;
pub mod verse;
pub mod wire;

pub use batch::{Batch, BatchView};
pub use book::{Book, FastBook, ReferenceBook};
pub use engine::{Engine, RULES_VERSION};
pub use genesis::{Genesis, Grant};
pub use output::Output;
