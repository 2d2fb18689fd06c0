//! Orders that wait or come in parts: triggers, icebergs, slices, links, batches (protocol P2.5).

mod batch;
mod claims;
mod ending;
mod firing;
mod form;
mod iceberg;
mod links;
mod placing;
mod reducing;
mod replacing;
mod twap;

pub(crate) use batch::OpenBatch;
pub(crate) use firing::LINKED_CANCELS;
