//! Reading, checking and proving a journal without owning it.

use std::path::PathBuf;
use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tradewind_engine::batch::BatchView;
use tradewind_engine::wire::record::Record;
use tradewind_journal::{self as log, snapshot, JournalError, OpenReport, Reader, TornTail};

use crate::batch::{Batch, Input, Place, Storage};
use crate::engine::key32;
use crate::failure::Failure;
use crate::recover::{self, Recovered, BATCH_FORMAT};

/// Calls a Python function with (done, all); keeps what it raises until the work has stopped.
pub struct Watcher {
    callback: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Watcher {
    pub fn new(callback: Option<Py<PyAny>>) -> Self {
        Watcher { callback, raised: None }
    }

    /// False when the callback raised.
    pub fn tell(&mut self, done: u64, all: u64) -> bool {
        if self.raised.is_some() {
            return false;
        }
        let Some(callback) = &self.callback else { return true };
        let told = Python::attach(|py| callback.call1(py, (done, all)).map(drop));
        self.raised = told.err();
        self.raised.is_none()
    }

    /// The result, or what the callback raised.
    pub fn outcome<T>(self, result: Result<T, Failure>) -> PyResult<T> {
        match self.raised {
            Some(raised) => Err(raised),
            None => Ok(result?),
        }
    }
}

fn torn_report<'py>(py: Python<'py>, torn: &TornTail) -> PyResult<Bound<'py, PyDict>> {
    let report = PyDict::new(py);
    report.set_item("segment", &torn.segment)?;
    report.set_item("block", torn.block)?;
    report.set_item("offset", torn.offset)?;
    report.set_item("bytes", torn.bytes)?;
    report.set_item("cause", torn.cause.to_string())?;
    Ok(report)
}

fn set_torn(py: Python<'_>, report: &Bound<'_, PyDict>, torn: Option<&TornTail>) -> PyResult<()> {
    match torn {
        Some(torn) => report.set_item("torn_tail", torn_report(py, torn)?),
        None => report.set_item("torn_tail", py.None()),
    }
}

/// What opening found and did.
pub fn open_report<'py>(
    py: Python<'py>,
    opened: &OpenReport,
    recovered: &Recovered,
) -> PyResult<Bound<'py, PyDict>> {
    let report = replay_report(py, recovered)?;
    set_torn(py, &report, opened.torn_tail.as_ref())?;
    report.set_item("blocks", opened.blocks)?;
    report.set_item("last_seq", opened.last_seq)?;
    report.set_item("segments", opened.segments)?;
    report.set_item("bytes", opened.bytes)?;
    report.set_item("head_hash", PyBytes::new(py, &opened.head_hash))?;
    report.set_item("quarantine", opened.quarantine.as_deref())?;
    report.set_item("reserve_held", opened.reserve_held)?;
    Ok(report)
}

fn replay_report<'py>(py: Python<'py>, recovered: &Recovered) -> PyResult<Bound<'py, PyDict>> {
    let report = PyDict::new(py);
    report.set_item("snapshot_seq", recovered.snapshot_seq)?;
    report.set_item("rejected_snapshots", &recovered.rejected_snapshots)?;
    report.set_item("replayed_blocks", recovered.blocks)?;
    report.set_item("replayed_commands", recovered.commands)?;
    report.set_item("hashes_compared", recovered.hashes_compared)?;
    report.set_item("elapsed_ns", recovered.elapsed_ns)?;
    report.set_item("next_seq", recovered.engine.next_seq())?;
    report.set_item("state_hash", PyBytes::new(py, &recovered.engine.state_hash()))?;
    report.set_item("cursor_hash", PyBytes::new(py, &recovered.engine.cursor_hash()))?;
    Ok(report)
}

/// Reads blocks in order, from any process, also while one writes.
#[pyclass(frozen, module = "tradewind._core")]
pub struct JournalReader {
    reader: Mutex<Reader>,
}

impl JournalReader {
    fn reader(&self) -> std::sync::MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[pymethods]
impl JournalReader {
    /// Stands before the block that holds `from_seq`, at the start of the log for 0.
    #[new]
    #[pyo3(signature = (path, from_seq = 0))]
    fn new(py: Python<'_>, path: PathBuf, from_seq: u64) -> PyResult<Self> {
        let reader = py.detach(|| match from_seq {
            0 => Reader::open(&path, 0),
            seq => Reader::open_at_seq(&path, seq),
        });
        Ok(JournalReader { reader: Mutex::new(reader.map_err(Failure::Journal)?) })
    }

    /// The next block, None at the end of what is written; ask again later to follow a writer.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        Ok(py.detach(|| -> Result<Option<Batch>, Failure> {
            let mut reader = self.reader();
            let Some(block) = reader.next()? else { return Ok(None) };
            let content = |message: String| Failure::Content { block: block.block, message };
            if block.format != BATCH_FORMAT {
                return Err(content(format!("payload format {} is unknown", block.format)));
            }
            let place = Place {
                first_seq: block.first_seq,
                count: block.count,
                time_ns: block.time_ns,
                block: Some((block.block, block.hash)),
            };
            let storage = Storage::from_payload(block.payload.to_vec()).map_err(content)?;
            Ok(Some(Batch::stored(storage, place)))
        })?)
    }

    /// Reads no further than before this block number; None lifts the limit.
    #[pyo3(signature = (upper_block))]
    fn set_upper_block(&self, upper_block: Option<u64>) {
        self.reader().set_upper_block(upper_block);
    }

    /// Number of the block that `next` returns next.
    #[getter]
    fn next_block(&self) -> u64 {
        self.reader().next_block()
    }
}

/// The genesis configuration with which a journal was created.
#[pyfunction]
pub fn journal_genesis(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyBytes>> {
    Ok(PyBytes::new(py, &Reader::genesis(&path).map_err(Failure::Journal)?))
}

/// Checks every byte of a journal; `progress(bytes_done, bytes_total)` is called about once per MiB.
#[pyfunction]
#[pyo3(signature = (path, progress = None))]
pub fn journal_verify(
    py: Python<'_>,
    path: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'_, PyDict>> {
    let mut watcher = Watcher::new(progress);
    let verified = py.detach(|| {
        let tell = &mut |done, all| {
            watcher.tell(done, all);
        };
        log::verify(&path, tell).map_err(Failure::from)
    });
    let verified = watcher.outcome(verified)?;
    let report = PyDict::new(py);
    set_torn(py, &report, verified.torn_tail.as_ref())?;
    report.set_item("blocks", verified.blocks)?;
    report.set_item("first_seq", verified.first_seq)?;
    report.set_item("last_seq", verified.last_seq)?;
    report.set_item("bytes", verified.bytes)?;
    report.set_item("segments", verified.segments)?;
    report.set_item("head_hash", PyBytes::new(py, &verified.head_hash))?;
    report.set_item("root", PyBytes::new(py, &verified.root))?;
    Ok(report)
}

/// Replays a journal from genesis and compares every result and event; `progress(blocks_done, blocks_total)`.
#[pyfunction]
#[pyo3(signature = (path, progress = None, *, audit = true))]
pub fn journal_replay(
    py: Python<'_>,
    path: PathBuf,
    progress: Option<Py<PyAny>>,
    audit: bool,
) -> PyResult<Bound<'_, PyDict>> {
    let shown = progress.is_some();
    let mut watcher = Watcher::new(progress);
    let replayed = py.detach(|| -> Result<Recovered, Failure> {
        // Whoever watches wants to know that this is the whole log: the check counts its blocks, and refuses a log
        // that ends before its snapshot.
        let blocks = if shown { log::verify(&path, &mut |_, _| {})?.blocks } else { u64::MAX };
        recover::replay_all(&path, blocks, audit, &mut |done, all| watcher.tell(done, all))
    });
    let recovered = watcher.outcome(replayed)?;
    replay_report(py, &recovered)
}

/// A proof, checkable offline, that `seq` is in the log.
#[pyfunction]
pub fn journal_prove(py: Python<'_>, path: PathBuf, seq: u64) -> PyResult<Bound<'_, PyBytes>> {
    let proof = py.detach(|| log::prove(&path, seq).map_err(Failure::from))?;
    Ok(PyBytes::new(py, &proof.to_bytes()))
}

/// Checks an inclusion proof against a published root. `valid` tells the outcome; `command` is the proven record.
#[pyfunction]
pub fn proof_verify<'py>(
    py: Python<'py>,
    proof: &Bound<'py, PyAny>,
    root: &[u8],
) -> PyResult<Bound<'py, PyDict>> {
    let input = Input::of(proof)?;
    let root = key32(root, "root")?;
    let proof = log::InclusionProof::from_bytes(input.bytes()).map_err(Failure::Journal)?;
    let report = PyDict::new(py);
    report.set_item("valid", proof.verify(root))?;
    report.set_item("seq", proof.seq)?;
    report.set_item("block", proof.block())?;
    report.set_item("tree_size", proof.tree_size)?;
    report.set_item("root", PyBytes::new(py, &proof.root))?;
    report.set_item("block_hash", PyBytes::new(py, &proof.block_hash()))?;
    let view = BatchView::decode(&proof.payload).ok();
    let command = view.and_then(|view| view.iter_commands().find(|command| command.seq == proof.seq));
    match command {
        Some(command) => report.set_item("command", PyBytes::new(py, command.bytes()))?,
        None => report.set_item("command", py.None())?,
    }
    Ok(report)
}

/// Number of blocks and the Merkle root over them; over the first `tree_size` blocks when that is given.
#[pyfunction]
#[pyo3(signature = (path, tree_size = None))]
pub fn journal_root(
    py: Python<'_>,
    path: PathBuf,
    tree_size: Option<u64>,
) -> PyResult<(u64, Bound<'_, PyBytes>)> {
    let (size, root) = py.detach(|| -> Result<_, Failure> {
        Ok(match tree_size {
            Some(size) => (size, log::root_at(&path, size)?),
            None => log::root(&path)?,
        })
    })?;
    Ok((size, PyBytes::new(py, &root)))
}

/// A proof that the log with `old_size` blocks is a prefix of the one with `new_size` blocks (default: of today's).
#[pyfunction]
#[pyo3(signature = (path, old_size, new_size = None))]
pub fn journal_consistency(
    py: Python<'_>,
    path: PathBuf,
    old_size: u64,
    new_size: Option<u64>,
) -> PyResult<Bound<'_, PyBytes>> {
    let proof = py.detach(|| -> Result<_, Failure> {
        Ok(match new_size {
            Some(new_size) => log::prove_consistency_between(&path, old_size, new_size)?,
            None => log::prove_consistency(&path, old_size)?,
        })
    })?;
    Ok(PyBytes::new(py, &proof.to_bytes()))
}

/// Checks a consistency proof against two published roots.
#[pyfunction]
pub fn consistency_verify(proof: &Bound<'_, PyAny>, old_root: &[u8], new_root: &[u8]) -> PyResult<bool> {
    let input = Input::of(proof)?;
    let proof = log::ConsistencyProof::from_bytes(input.bytes()).map_err(Failure::Journal)?;
    Ok(proof.verify(key32(old_root, "old_root")?, key32(new_root, "new_root")?))
}

/// (sequence, path, bytes) of the snapshots, newest first.
#[pyfunction]
pub fn snapshot_list(path: PathBuf) -> PyResult<Vec<(u64, PathBuf, u64)>> {
    let files = snapshot::list(&path).map_err(Failure::Journal)?;
    Ok(files.into_iter().map(|file| (file.seq, file.path, file.bytes)).collect())
}

/// Whether a directory holds a journal.
#[pyfunction]
pub fn journal_exists(path: PathBuf) -> PyResult<bool> {
    match Reader::genesis(&path) {
        Ok(_) => Ok(true),
        Err(JournalError::NotAJournal { .. }) => Ok(false),
        Err(error) => Err(Failure::Journal(error).into()),
    }
}
