//! Tests of the state machine through its public border: commands in, results, events and postings out.

mod auction;
mod audit;
mod authority;
mod breakers;
mod conditional;
mod continuation;
mod detection;
mod flow;
mod golden;
mod governance;
mod hostile;
mod iceberg;
mod keeper_duty;
mod keepers;
mod leveraged;
mod leveraged_audit;
mod lifecycle;
mod matrix;
mod oracle;
mod oracle_marks;
mod pauses;
mod prices;
mod properties;
mod rejects;
mod support;
mod twap;
