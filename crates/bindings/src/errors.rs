//! Rust failures as Python exceptions with code, name and values.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyType;
use tradewind_engine::wire::error::{Code, Reject};
use tradewind_journal::JournalError;

create_exception!(tradewind._core, TradewindError, PyException, "Base of every error of the platform.");
create_exception!(tradewind._core, MalformedFrame, TradewindError, "Bytes that are no whole records.");
create_exception!(tradewind._core, InvalidGenesis, TradewindError, "A genesis configuration that cannot be.");
create_exception!(tradewind._core, EngineStopped, TradewindError, "The node takes no commands any more.");
create_exception!(tradewind._core, InvariantBroken, EngineStopped, "The auditor found a broken invariant.");
create_exception!(tradewind._core, ReplayMismatch, TradewindError, "Replay gives other bytes than the log.");
create_exception!(tradewind._core, JournalFailure, TradewindError, "Base of every error of the journal.");
create_exception!(tradewind._core, JournalIo, JournalFailure, "An operating-system call failed.");
create_exception!(tradewind._core, JournalNoSpace, JournalIo, "The file system is full.");
create_exception!(tradewind._core, JournalCorrupt, JournalFailure, "Damage before the end of the log.");
create_exception!(tradewind._core, JournalLocked, JournalFailure, "Another writer has the directory.");

/// What an exception says beside its message.
struct Facts {
    code: u16,
    name: String,
    http_status: u16,
    retryable: bool,
    bound: i64,
    given: i64,
}

impl Facts {
    fn of(code: Code, bound: i64, given: i64) -> Self {
        let entry = code.entry();
        let (http_status, retryable) = (entry.http_status, entry.retryable);
        Facts { code: entry.number, name: entry.name.into(), http_status, retryable, bound, given }
    }

    /// A failure without a number in the catalogue: code 0, HTTP 503.
    fn unnumbered(name: &str, retryable: bool) -> Self {
        Facts { code: 0, name: name.into(), http_status: 503, retryable, bound: 0, given: 0 }
    }
}

fn exception(class: &Bound<'_, PyType>, facts: &Facts, message: &str) -> PyErr {
    let build = || -> PyResult<PyErr> {
        let error = class.call1((message,))?;
        error.setattr("code", facts.code)?;
        error.setattr("name", &facts.name)?;
        error.setattr("http_status", facts.http_status)?;
        error.setattr("retryable", facts.retryable)?;
        error.setattr("bound", facts.bound)?;
        error.setattr("given", facts.given)?;
        Ok(PyErr::from_value(error))
    };
    build().unwrap_or_else(|failure| failure)
}

/// A refusal of the engine as an exception of the fitting class.
pub fn from_reject(py: Python<'_>, refusal: Reject) -> PyErr {
    let Reject { code, bound, given } = refusal;
    let class = match code {
        Code::ENGINE_STOPPED => py.get_type::<EngineStopped>(),
        Code::INVARIANT_BROKEN => py.get_type::<InvariantBroken>(),
        Code::REPLAY_MISMATCH => py.get_type::<ReplayMismatch>(),
        Code::MALFORMED_FRAME => py.get_type::<MalformedFrame>(),
        _ => py.get_type::<TradewindError>(),
    };
    exception(&class, &Facts::of(code, bound, given), &code.message(bound, given))
}

/// As [`from_reject`], from code that released the interpreter.
pub fn rejected(refusal: Reject) -> PyErr {
    Python::attach(|py| from_reject(py, refusal))
}

/// A damaged payload, snapshot or genesis inside a journal whose checksums hold.
fn invalid(class_of: fn(Python<'_>) -> Bound<'_, PyType>, code: Code, place: i64, message: &str) -> PyErr {
    Python::attach(|py| exception(&class_of(py), &Facts::of(code, 0, place), message))
}

pub fn invalid_genesis(message: &str) -> PyErr {
    Python::attach(|py| {
        let facts = Facts { http_status: 422, ..Facts::unnumbered("INVALID_GENESIS", false) };
        exception(&py.get_type::<InvalidGenesis>(), &facts, message)
    })
}

pub fn corrupt(block: u64, message: &str) -> PyErr {
    invalid(|py| py.get_type::<JournalCorrupt>(), Code::JOURNAL_CORRUPT, block as i64, message)
}

pub fn stopped(message: &str, seq: u64) -> PyErr {
    invalid(|py| py.get_type::<EngineStopped>(), Code::ENGINE_STOPPED, seq as i64, message)
}

pub fn invariant_broken(invariant: &str, seq: u64, detail: &str) -> PyErr {
    let message = format!("invariant {invariant} is broken at sequence {seq}: {detail}");
    invalid(|py| py.get_type::<InvariantBroken>(), Code::INVARIANT_BROKEN, seq as i64, &message)
}

/// A failure of the journal with its place as attributes.
pub fn from_journal(error: &JournalError) -> PyErr {
    Python::attach(|py| match place(py, error) {
        Ok(exception) => exception,
        Err(failure) => failure,
    })
}

fn place(py: Python<'_>, error: &JournalError) -> PyResult<PyErr> {
    let message = error.to_string();
    let facts = Facts::unnumbered(error.code(), false);
    let with = |class: Bound<'_, PyType>, facts: &Facts| exception(&class, facts, &message);
    Ok(match error {
        JournalError::Corrupt { block, segment, first_seq, offset, cause } => {
            let facts = Facts::of(Code::JOURNAL_CORRUPT, 0, *block as i64);
            let exception = with(py.get_type::<JournalCorrupt>(), &facts);
            let value = exception.value(py);
            value.setattr("block", block)?;
            value.setattr("segment", segment)?;
            value.setattr("first_seq", first_seq)?;
            value.setattr("offset", offset)?;
            value.setattr("cause", cause.to_string())?;
            exception
        }
        JournalError::Io { op, path, errno } => {
            let exception = with(py.get_type::<JournalIo>(), &facts);
            let value = exception.value(py);
            value.setattr("op", op)?;
            value.setattr("path", path.to_string_lossy())?;
            value.setattr("errno", errno)?;
            exception
        }
        JournalError::NoSpace { op, path, needed_bytes } => {
            let exception = with(py.get_type::<JournalNoSpace>(), &facts);
            let value = exception.value(py);
            value.setattr("op", op)?;
            value.setattr("path", path.to_string_lossy())?;
            value.setattr("errno", 28)?;
            value.setattr("needed_bytes", needed_bytes)?;
            exception
        }
        JournalError::Locked { pid } => {
            let facts = Facts { retryable: true, ..facts };
            let exception = with(py.get_type::<JournalLocked>(), &facts);
            exception.value(py).setattr("pid", pid)?;
            exception
        }
        JournalError::Fenced => with(py.get_type::<EngineStopped>(), &Facts::of(Code::ENGINE_STOPPED, 0, 0)),
        _ => with(py.get_type::<JournalFailure>(), &facts),
    })
}

/// Adds the classes to the module; the base class has the attributes with neutral values.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = py.get_type::<TradewindError>();
    base.setattr("code", 0)?;
    base.setattr("name", "")?;
    base.setattr("http_status", 500)?;
    base.setattr("retryable", false)?;
    base.setattr("bound", 0)?;
    base.setattr("given", 0)?;
    let classes = [
        base,
        py.get_type::<MalformedFrame>(),
        py.get_type::<InvalidGenesis>(),
        py.get_type::<EngineStopped>(),
        py.get_type::<InvariantBroken>(),
        py.get_type::<ReplayMismatch>(),
        py.get_type::<JournalFailure>(),
        py.get_type::<JournalIo>(),
        py.get_type::<JournalNoSpace>(),
        py.get_type::<JournalCorrupt>(),
        py.get_type::<JournalLocked>(),
    ];
    for class in classes {
        module.add(&*class.name()?.extract::<String>()?, &class)?;
    }
    Ok(())
}
