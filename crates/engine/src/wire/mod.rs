//! The vocabulary: what crosses the engine's border, byte for byte.

pub mod chains;
pub mod command;
pub mod credit;
mod dark;
mod detection;
pub mod error;
pub mod event;
mod fees;
mod flow;
mod governance;
mod halts;
mod keepers;
pub mod leverage;
mod liquidation;
pub mod listing;
pub mod loan;
pub mod loan_pool;
mod makers;
pub mod message;
mod oracle;
mod orders;
mod outcome;
mod perpetual;
pub mod pool;
pub mod record;
mod resolution;
mod sets;
mod token;
mod vault;
mod vault_terms;
mod venue;
mod verses;

pub use command::{Command, Kind};
pub use error::Code;
pub use event::{CommandResult, Event, EventKind, Posting};
pub use record::Record;
