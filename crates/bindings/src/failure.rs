//! What can go wrong while the interpreter is released: plain data, turned into an exception afterwards.

use pyo3::PyErr;
use tradewind_engine::audit::Violation;
use tradewind_engine::wire::error::Reject;
use tradewind_journal::JournalError;

use crate::errors;

#[derive(Clone, Debug)]
pub enum Failure {
    Reject(Reject),
    Journal(JournalError),
    Invariant {
        invariant: String,
        seq: u64,
        detail: String,
    },
    /// Bytes whose checksums hold but which say something impossible.
    Content {
        block: u64,
        message: String,
    },
    Genesis(String),
    Stopped {
        seq: u64,
        reason: String,
    },
    Thread(String),
}

impl From<Reject> for Failure {
    fn from(refusal: Reject) -> Self {
        Failure::Reject(refusal)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Failure::Journal(error)
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Failure::Invariant {
            invariant: violation.invariant.into(),
            seq: violation.seq,
            detail: violation.detail,
        }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Reject(refusal) => errors::rejected(refusal),
            Failure::Journal(error) => errors::from_journal(&error),
            Failure::Invariant { invariant, seq, detail } => {
                errors::invariant_broken(&invariant, seq, &detail)
            }
            Failure::Content { block, message } => errors::corrupt(block, &message),
            Failure::Genesis(message) => errors::invalid_genesis(&message),
            Failure::Stopped { seq, reason } => errors::stopped(&reason, seq),
            Failure::Thread(message) => errors::stopped(&message, 0),
        }
    }
}

impl Failure {
    /// One sentence for logs and the console.
    pub fn sentence(&self) -> String {
        match self {
            Failure::Reject(refusal) => {
                let name = refusal.code.entry().name;
                format!("{name}: given {}, bound {}", refusal.given, refusal.bound)
            }
            Failure::Journal(error) => format!("{}: {error}", error.code()),
            Failure::Invariant { invariant, seq, detail } => {
                format!("INVARIANT_BROKEN: {invariant} at sequence {seq}: {detail}")
            }
            Failure::Content { block, message } => format!("JOURNAL_CORRUPT: block {block}: {message}"),
            Failure::Genesis(message) => format!("INVALID_GENESIS: {message}"),
            Failure::Stopped { reason, .. } => reason.clone(),
            Failure::Thread(message) => message.clone(),
        }
    }
}
