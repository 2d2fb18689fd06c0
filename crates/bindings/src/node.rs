//! Engine, journal and auditor together: apply, append, sync, then tell. One writer; fail-stop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tradewind_engine::liquidation::rank::AdlRank;
use tradewind_engine::wire::command::{Command, Kind};
use tradewind_engine::wire::error::Code;
use tradewind_engine::wire::record::Record;
use tradewind_engine::{sequence, Batch as EngineBatch, Engine};
use tradewind_journal::{snapshot, BlockMeta, BlockRef, Journal, JournalError, JournalOptions};

use crate::audit::AuditThread;
use crate::batch::{Batch, Input, Live, Place, Pool, Storage};
use crate::engine::commands_of;
use crate::failure::Failure;
use crate::journal::{open_report, Watcher};
use crate::recover::{self, BATCH_FORMAT};
use crate::PYTHON_ALIGNMENT;

/// Commands of one call; the sequencer's own come on top.
pub const MAX_BATCH_COMMANDS: usize = 4_096;
/// Bytes of the notes of one call.
pub const MAX_BATCH_NOTE_BYTES: usize = 8 << 20;
/// One command may sweep many orders, and what is applied must be written: the journal's own limit is the bound.
const MAX_PAYLOAD_BYTES: u32 = tradewind_journal::MAX_PAYLOAD_LIMIT_BYTES;

/// What the writing side owns. Taken while the engine is still held, so that blocks keep the engine's order.
struct Writer {
    journal: Option<Journal>,
    audit: Option<AuditThread>,
    /// The space held back for cancels has been given up (operations O2.3).
    reserve_released: bool,
}

/// Figures that readers want without waiting for a commit.
#[derive(Clone, Copy, Default)]
struct Cursor {
    next_seq: u64,
    time_ns: i64,
    next_due_ns: Option<i64>,
}

/// A durable engine. After any failure of the journal or a broken invariant every call raises `EngineStopped`.
#[pyclass(frozen, module = "tradewind._core")]
pub struct Node {
    // Boxed: the state asks for more alignment than Python's allocator gives its objects.
    engine: Mutex<Box<Engine>>,
    writer: Mutex<Writer>,
    cursor: Mutex<Cursor>,
    stopped: Mutex<Option<Failure>>,
    boards: Mutex<BTreeMap<u32, Board>>,
    pool: Arc<Pool>,
    dir: PathBuf,
    shard: u16,
    rules_version: u32,
    system_principal: [u8; 32],
}

const _: () = assert!(align_of::<Node>() <= PYTHON_ALIGNMENT);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn options(segment_bytes: u64, reserve_bytes: u64, shard: u16) -> JournalOptions {
    JournalOptions {
        segment_bytes,
        reserve_bytes,
        shard,
        preallocate: true,
        max_payload_bytes: MAX_PAYLOAD_BYTES,
    }
}

/// The order of auto-deleveraging of one market as it was asked for last.
struct Board {
    ranks: BTreeMap<(u32, u8), AdlRank>,
    next_seq: u64,
    made: Instant,
    took: Duration,
}

/// An order is looked at again after this time, and not before a hundred times what the look took: whoever asks, the
/// engine stands still for no more than a hundredth of the time.
const BOARD_AGE: Duration = Duration::from_millis(500);
const BOARD_SHARE: u32 = 100;
/// Markets whose order is kept.
const MAX_BOARDS: usize = 1_024;

/// A block that is durable, and its batch.
struct Committed {
    storage: Arc<Storage>,
    place: Place,
}

impl Node {
    fn new(engine: Engine, journal: Journal, audit: Option<AuditThread>, rules_version: u32) -> Self {
        let cursor = cursor_of(&engine);
        Node {
            dir: journal.dir().to_path_buf(),
            shard: engine.shard(),
            system_principal: engine.system_principal(),
            rules_version,
            engine: Mutex::new(Box::new(engine)),
            writer: Mutex::new(Writer { journal: Some(journal), audit, reserve_released: false }),
            cursor: Mutex::new(cursor),
            stopped: Mutex::new(None),
            boards: Mutex::default(),
            pool: Arc::default(),
        }
    }

    /// # Errors
    /// `Stopped` with the first failure's sentence.
    fn refuse_when_stopped(&self) -> Result<(), Failure> {
        match &*locked(&self.stopped) {
            None => Ok(()),
            Some(failure) => {
                let seq = locked(&self.cursor).next_seq.saturating_sub(1);
                Err(Failure::Stopped { seq, reason: format!("the node stopped: {}", failure.sentence()) })
            }
        }
    }

    fn stop(&self, failure: Failure) -> Failure {
        locked(&self.stopped).get_or_insert_with(|| failure.clone());
        failure
    }

    /// Applies, then writes while the next caller may already apply.
    fn commit_bytes(
        &self,
        input: &[u8],
        notes: &[(u16, u16, Vec<u8>)],
        now_ns: i64,
    ) -> Result<Committed, Failure> {
        let mut engine = locked(&self.engine);
        self.refuse_when_stopped()?;
        let batch = self.apply(&mut engine, input, notes, now_ns)?;
        let mut writer = locked(&self.writer);
        drop(engine);
        self.write(&mut writer, batch)
    }

    fn apply(
        &self,
        engine: &mut Engine,
        input: &[u8],
        notes: &[(u16, u16, Vec<u8>)],
        now_ns: i64,
    ) -> Result<EngineBatch, Failure> {
        let mut batch = self.pool.take();
        // A block holds at least one command: notes alone travel with a Tick.
        let tick = self.system_command(Kind::Tick);
        let only_notes = input.is_empty();
        let input = if only_notes { tick.bytes() } else { input };
        let applied = sequence::apply_batch(engine, input, now_ns, &mut batch);
        *locked(&self.cursor) = cursor_of(engine);
        if let Err(refusal) = applied {
            // Bytes that are no commands changed nothing; every other refusal means that the engine cannot go on.
            let failure = Failure::Reject(refusal);
            let nothing_applied = matches!(refusal.code, Code::MALFORMED_FRAME | Code::CAPACITY_EXCEEDED);
            return Err(if nothing_applied { failure } else { self.stop(failure) });
        }
        if only_notes {
            batch.submitted.clear();
        }
        notes.iter().for_each(|(stream, kind, bytes)| batch.push_note(*stream, *kind, bytes));
        Ok(batch)
    }

    /// Appends, syncs and audits one batch. Any failure stops the node: the engine is ahead of the log.
    fn write(&self, writer: &mut Writer, batch: EngineBatch) -> Result<Committed, Failure> {
        self.refuse_when_stopped()?;
        let storage = Arc::new(Storage::Live(Live::new(batch, &self.pool)));
        let written = self.write_and_audit(writer, &storage);
        let (first, last, block) = written.map_err(|failure| self.stop(failure))?;
        let place = Place {
            first_seq: first.seq,
            count: (last.seq - first.seq + 1) as u32,
            time_ns: last.time_ns,
            block: Some((block.block, block.hash)),
        };
        Ok(Committed { storage, place })
    }

    fn write_and_audit(
        &self,
        writer: &mut Writer,
        storage: &Arc<Storage>,
    ) -> Result<(Command, Command, BlockRef), Failure> {
        let Storage::Live(live) = &**storage else { return Err(Failure::Thread("not a live batch".into())) };
        let (Some(first), Some(last)) = (live.batch.commands.first(), live.batch.commands.last()) else {
            return Err(Failure::Thread("a batch without commands".into()));
        };
        if let Some(audit) = &mut writer.audit {
            audit.begin(storage)?;
        }
        let meta = BlockMeta {
            first_seq: first.seq,
            count: live.batch.commands.len() as u32,
            time_ns: last.time_ns,
            rule_version: self.rules_version,
            format: BATCH_FORMAT,
        };
        let block = append(writer, meta, &live.batch);
        let block = block.and_then(|block| writer.journal()?.sync().map(|()| block));
        // The audit is always awaited, so that no answer is left for the next batch.
        let audited = writer.audit.as_mut().map_or(Ok(()), AuditThread::finish);
        let block = block?;
        audited?;
        Ok((*first, *last, block))
    }

    fn system_command(&self, kind: Kind) -> Command {
        let mut command = Command::new(kind);
        command.shard = self.shard;
        command.principal = self.system_principal;
        command
    }

    /// Records a snapshot in the log and takes the state as it is there.
    fn take_snapshot(&self, now_ns: i64) -> Result<(Committed, SnapshotImage), Failure> {
        let mut engine = locked(&self.engine);
        self.refuse_when_stopped()?;
        let command = self.system_command(Kind::Snapshot);
        let batch = self.apply(&mut engine, command.bytes(), &[], now_ns)?;
        let mut writer = locked(&self.writer);
        let committed = self.write(&mut writer, batch)?;
        let head = writer.journal()?.head();
        drop(writer);
        let image = SnapshotImage {
            dir: self.dir.clone(),
            seq: head.durable_seq,
            blocks: head.durable_block,
            head_hash: head.durable_hash,
            state_hash: engine.state_hash(),
            state: engine.snapshot(),
        };
        Ok((committed, image))
    }
}

/// The state at one position of the log, to be written while the node goes on.
#[pyclass(frozen, module = "tradewind._core")]
pub struct SnapshotImage {
    dir: PathBuf,
    #[pyo3(get)]
    seq: u64,
    blocks: u64,
    head_hash: [u8; 32],
    state_hash: [u8; 32],
    state: Vec<u8>,
}

#[pymethods]
impl SnapshotImage {
    #[getter]
    fn state_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.state_hash)
    }

    /// Writes the snapshot durably and removes all but the newest three. One image at a time.
    /// Returns `seq`, `path`, `bytes`, `state_hash`.
    fn write<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let path = py.detach(|| {
            snapshot::write(&self.dir, self.seq, self.blocks, &self.head_hash, &self.state_hash, &self.state)
                .map_err(Failure::from)
        })?;
        let report = PyDict::new(py);
        report.set_item("seq", self.seq)?;
        report.set_item("path", path)?;
        report.set_item("bytes", self.state.len())?;
        report.set_item("state_hash", PyBytes::new(py, &self.state_hash))?;
        Ok(report)
    }
}

impl Writer {
    /// # Errors
    /// `Fenced` after `close`.
    fn journal(&mut self) -> Result<&mut Journal, JournalError> {
        self.journal.as_mut().ok_or(JournalError::Fenced)
    }
}

/// Writes the block; on a full disk once more after the reserve was given up, for cancels and the closing record.
fn append(writer: &mut Writer, meta: BlockMeta, batch: &EngineBatch) -> Result<BlockRef, JournalError> {
    let header = batch.header();
    let parts = batch.parts(&header);
    match writer.journal()?.append(meta, &parts) {
        Err(JournalError::NoSpace { .. }) if !writer.reserve_released && !writer.journal()?.is_fenced() => {
            writer.reserve_released = true;
            writer.journal()?.release_reserve()?;
            writer.journal()?.append(meta, &parts)
        }
        other => other,
    }
}

fn cursor_of(engine: &Engine) -> Cursor {
    Cursor { next_seq: engine.next_seq(), time_ns: engine.time_ns(), next_due_ns: engine.next_due_ns() }
}

type Notes = Vec<(u16, u16, Vec<u8>)>;

fn check_sizes(input: &[u8], notes: &Notes) -> PyResult<()> {
    let commands = commands_of(input).map_err(Failure::Reject)?.count();
    if commands > MAX_BATCH_COMMANDS {
        return Err(PyValueError::new_err(format!(
            "{commands} commands in one batch, {MAX_BATCH_COMMANDS} are allowed"
        )));
    }
    let bytes: usize = notes.iter().map(|(_, _, bytes)| bytes.len() + 16).sum();
    if bytes > MAX_BATCH_NOTE_BYTES {
        return Err(PyValueError::new_err(format!(
            "{bytes} bytes of notes, {MAX_BATCH_NOTE_BYTES} are allowed"
        )));
    }
    if commands == 0 && notes.is_empty() {
        return Err(PyValueError::new_err("nothing to commit"));
    }
    Ok(())
}

#[pymethods]
impl Node {
    /// Starts a new journal in `path` with this genesis configuration.
    #[staticmethod]
    #[pyo3(signature = (path, genesis, *, segment_bytes = 64 << 20, reserve_bytes = 0, audit = true))]
    fn create(
        py: Python<'_>,
        path: PathBuf,
        genesis: &[u8],
        segment_bytes: u64,
        reserve_bytes: u64,
        audit: bool,
    ) -> PyResult<Self> {
        Ok(py.detach(|| -> Result<Self, Failure> {
            let (engine, audit) = recover::from_genesis(genesis, audit)?;
            let options = options(segment_bytes, reserve_bytes, engine.shard());
            let journal = Journal::create(&path, genesis, options)?;
            Ok(Node::new(engine, journal, audit, rules_version(genesis)?))
        })?)
    }

    /// Opens a journal: cuts a torn tail, restores the newest snapshot that holds, replays and compares the rest.
    /// Returns the node and a report.
    #[staticmethod]
    #[pyo3(signature = (path, *, shard = 0, segment_bytes = 64 << 20, reserve_bytes = 0, audit = true, progress = None))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        shard: u16,
        segment_bytes: u64,
        reserve_bytes: u64,
        audit: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Self, Py<PyDict>)> {
        let mut watcher = Watcher::new(progress);
        let opened = py.detach(|| -> Result<_, Failure> {
            let (journal, opened) = Journal::open(&path, options(segment_bytes, reserve_bytes, shard))?;
            let genesis = tradewind_journal::Reader::genesis(&path)?;
            let recovered =
                recover::recover(&path, opened.blocks, audit, &mut |done, all| watcher.tell(done, all))?;
            Ok((journal, opened, rules_version(&genesis)?, recovered))
        });
        let (journal, opened, rules_version, recovered) = watcher.outcome(opened)?;
        let report = open_report(py, &opened, &recovered)?;
        Ok((Node::new(recovered.engine, journal, recovered.audit, rules_version), report.unbind()))
    }

    /// Applies commands, makes them durable together with the notes (stream, kind, bytes), and returns the batch.
    /// Two threads may call at once: the second applies while the first syncs; blocks keep the order of applying.
    fn commit(
        &self,
        py: Python<'_>,
        commands: &Bound<'_, PyAny>,
        notes: Notes,
        now_ns: i64,
    ) -> PyResult<Batch> {
        let input = Input::of(commands)?;
        let bytes = input.bytes();
        check_sizes(bytes, &notes)?;
        let committed = py.detach(|| self.commit_bytes(bytes, &notes, now_ns))?;
        Ok(Batch::live(committed.storage, committed.place))
    }

    /// Records a snapshot in the log. Returns the batch and the image, which still has to be written.
    #[pyo3(signature = (now_ns = 0))]
    fn snapshot(&self, py: Python<'_>, now_ns: i64) -> PyResult<(Batch, SnapshotImage)> {
        let (committed, image) = py.detach(|| self.take_snapshot(now_ns))?;
        Ok((Batch::live(committed.storage, committed.place), image))
    }

    /// Seals the current segment and starts the next.
    fn rotate(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| -> Result<(), Failure> {
            self.refuse_when_stopped()?;
            let mut writer = locked(&self.writer);
            match writer.journal()?.rotate() {
                Err(error) if writer.journal()?.is_fenced() => Err(self.stop(error.into())),
                other => Ok(other?),
            }
        })?)
    }

    /// Where the log stands. Waits for a commit that is under way.
    fn head<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (head, released) = py.detach(|| -> Result<_, Failure> {
            let mut writer = locked(&self.writer);
            Ok((writer.journal()?.head(), writer.reserve_released))
        })?;
        let report = PyDict::new(py);
        report.set_item("blocks", head.block)?;
        report.set_item("last_seq", head.last_seq)?;
        report.set_item("hash", PyBytes::new(py, &head.hash))?;
        report.set_item("durable_blocks", head.durable_block)?;
        report.set_item("durable_seq", head.durable_seq)?;
        report.set_item("durable_hash", PyBytes::new(py, &head.durable_hash))?;
        report.set_item("segment", head.segment)?;
        report.set_item("offset", head.offset)?;
        report.set_item("reserve_released", released)?;
        Ok(report)
    }

    fn state_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let hash = py.detach(|| locked(&self.engine).state_hash());
        PyBytes::new(py, &hash)
    }

    /// The records by which a settled market of outcomes is archived (P1.6.5); None for every other market.
    fn market_archive<'py>(&self, py: Python<'py>, market: u32) -> Option<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| locked(&self.engine).market_archive(market));
        bytes.map(|bytes| PyBytes::new(py, &bytes))
    }

    fn cursor_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let hash = py.detach(|| locked(&self.engine).cursor_hash());
        PyBytes::new(py, &hash)
    }

    /// Free bytes of the journal's file system.
    fn free_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(py.detach(|| -> Result<u64, Failure> { Ok(locked(&self.writer).journal()?.free_bytes()?) })?)
    }

    /// Number of blocks and the Merkle root over them.
    fn root<'py>(&self, py: Python<'py>) -> PyResult<(u64, Bound<'py, PyBytes>)> {
        let (size, root) =
            py.detach(|| -> Result<_, Failure> { Ok(locked(&self.writer).journal()?.root()) })?;
        Ok((size, PyBytes::new(py, &root)))
    }

    /// Numbers of (open orders, markets, accounts).
    fn sizes(&self, py: Python<'_>) -> (usize, usize, usize) {
        py.detach(|| locked(&self.engine).sizes())
    }

    /// A position's place in the order of auto-deleveraging (P5.8): (quintile, rank, positions of its side), the first
    /// to give way at 1. None without a position there, and for one without equity, which is passed over. At most half
    /// a second old, or a hundred times what a look takes.
    fn adl_rank(&self, py: Python<'_>, account: u32, sub: u8, market: u32) -> Option<(u8, u32, u32)> {
        py.detach(|| {
            let mut boards = locked(&self.boards);
            let next_seq = locked(&self.cursor).next_seq;
            let lasts = |board: &Board| {
                board.next_seq == next_seq || board.made.elapsed() < BOARD_AGE.max(board.took * BOARD_SHARE)
            };
            if !boards.get(&market).is_some_and(lasts) {
                let began = Instant::now();
                let ranks = locked(&self.engine).adl_board(market);
                if boards.len() >= MAX_BOARDS {
                    boards.clear();
                }
                boards.insert(market, Board { ranks, next_seq, made: began, took: began.elapsed() });
            }
            let rank = boards.get(&market)?.ranks.get(&(account, sub))?;
            Some((rank.quintile(), rank.rank, rank.of))
        })
    }

    #[getter]
    fn next_seq(&self) -> u64 {
        locked(&self.cursor).next_seq
    }

    /// Time of the last command in nanoseconds since the Unix epoch.
    #[getter]
    fn time_ns(&self) -> i64 {
        locked(&self.cursor).time_ns
    }

    /// Moment at which the next Tick has work, None when nothing is due.
    #[getter]
    fn next_due_ns(&self) -> Option<i64> {
        locked(&self.cursor).next_due_ns
    }

    #[getter]
    fn shard(&self) -> u16 {
        self.shard
    }

    /// Public key that signs the sequencer's own commands.
    #[getter]
    fn system_principal<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.system_principal)
    }

    /// Why the node takes no commands, None while it does.
    #[getter]
    fn stop_reason(&self) -> Option<String> {
        locked(&self.stopped).as_ref().map(Failure::sentence)
    }

    /// Stops the node on purpose; everything that comes later is refused with this reason.
    fn halt(&self, reason: String) {
        self.stop(Failure::Thread(reason));
    }

    /// Syncs and gives the directory free. Later calls raise `EngineStopped`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| -> Result<(), Failure> {
            let _engine = locked(&self.engine);
            let mut writer = locked(&self.writer);
            self.stop(Failure::Thread("closed".into()));
            writer.audit = None;
            match writer.journal.take() {
                // After a failure there is nothing left to sync; dropping gives the lock free.
                Some(journal) if !journal.is_fenced() => Ok(journal.close()?),
                _ => Ok(()),
            }
        })
        .map_err(PyErr::from)
    }

    fn __repr__(&self) -> String {
        format!("Node({}, next seq {})", self.dir.display(), locked(&self.cursor).next_seq)
    }
}

fn rules_version(genesis: &[u8]) -> Result<u32, Failure> {
    tradewind_engine::Genesis::decode(genesis).map(|genesis| genesis.rules_version).map_err(Failure::Genesis)
}
