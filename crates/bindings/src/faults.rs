//! Disk faults on purpose. Only in builds with the `faults` feature.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tradewind_journal::faults::{self, Action, Fault, Op};

fn operation(name: &str) -> PyResult<Option<Op>> {
    Ok(Some(match name {
        "any" => return Ok(None),
        "create" => Op::Create,
        "allocate" => Op::Allocate,
        "write" => Op::Write,
        "truncate" => Op::Truncate,
        "sync" => Op::SyncData,
        "sync_dir" => Op::SyncDir,
        "rename" => Op::Rename,
        "remove" => Op::Remove,
        other => return Err(PyValueError::new_err(format!("unknown disk operation {other:?}"))),
    }))
}

/// Arms one fault below `path`: the operation `op` after `skip` others of its kind meets `action` (fail, tear, halt,
/// abort) with `errno` after `bytes` bytes.
#[pyfunction]
#[pyo3(signature = (path, op, action, *, skip = 0, errno = 5, bytes = 0))]
pub fn set_fault(path: PathBuf, op: &str, action: &str, skip: u32, errno: i32, bytes: u64) -> PyResult<()> {
    let action = match action {
        "fail" => Action::Fail { errno },
        "tear" => Action::Tear { bytes, errno },
        "halt" => Action::Halt { bytes },
        "abort" => Action::Abort { bytes },
        other => return Err(PyValueError::new_err(format!("unknown action {other:?}"))),
    };
    faults::set_fault(&path, Fault { op: operation(op)?, skip, action });
    Ok(())
}

/// Disarms the fault of `path`; true when it had fired.
#[pyfunction]
pub fn clear_fault(path: PathBuf) -> bool {
    faults::clear_fault(&path)
}
