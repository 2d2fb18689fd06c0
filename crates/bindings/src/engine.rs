//! The engine without a journal, for tests, back-tests and simulation.

use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tradewind_engine::audit::Auditor;
use tradewind_engine::batch::Batch as EngineBatch;
use tradewind_engine::wire::command::{Command, COMMAND_SIZE};
use tradewind_engine::wire::error::{Code, Reject};
use tradewind_engine::{id, sequence, Engine as CoreEngine, FastBook, Genesis, Grant, ReferenceBook};

use crate::batch::{Batch, Input, Live, Place, Pool, Storage};
use crate::failure::Failure;
use crate::PYTHON_ALIGNMENT;

/// (price in ticks, lots, orders).
type LevelRow = (i64, i64, u32);

enum AnyEngine {
    Fast(Box<CoreEngine<FastBook>>),
    Reference(Box<CoreEngine<ReferenceBook>>),
}

macro_rules! with_engine {
    ($any:expr, $engine:ident => $body:expr) => {
        match $any {
            AnyEngine::Fast($engine) => $body,
            AnyEngine::Reference($engine) => $body,
        }
    };
}

struct Inner {
    engine: AnyEngine,
    auditor: Option<Auditor>,
}

impl Inner {
    fn audit(&mut self, batch: &EngineBatch) -> Result<(), Failure> {
        if let Some(auditor) = &mut self.auditor {
            auditor.check(&batch.commands, &batch.results, &batch.output.events, &batch.output.postings)?;
        }
        Ok(())
    }
}

/// A deterministic engine in memory. Not shared between threads at the same time: calls wait for each other.
#[pyclass(frozen, module = "tradewind._core")]
pub struct Engine {
    // Boxed: the state asks for more alignment than Python's allocator gives its objects.
    inner: Mutex<Box<Inner>>,
    pool: Arc<Pool>,
}

const _: () = assert!(align_of::<Engine>() <= PYTHON_ALIGNMENT);

/// Splits bytes into commands.
///
/// # Errors
/// `MALFORMED_FRAME` when they are no whole number of commands.
pub fn commands_of(bytes: &[u8]) -> Result<impl Iterator<Item = Command> + '_, Reject> {
    if bytes.len() % COMMAND_SIZE != 0 {
        return Err(Reject::new(Code::MALFORMED_FRAME, COMMAND_SIZE as i64, bytes.len() as i64));
    }
    Ok(bytes.chunks_exact(COMMAND_SIZE).map(bytemuck::pod_read_unaligned))
}

impl Engine {
    fn lock(&self) -> MutexGuard<'_, Box<Inner>> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn finish(&self, inner: &mut Inner, batch: EngineBatch) -> Result<Batch, Failure> {
        inner.audit(&batch)?;
        Ok(self.shared(batch))
    }

    /// Applies a batch of this process's own making; for Python it becomes one by [`Engine::shared`].
    ///
    /// # Errors
    /// The engine has stopped, or an invariant is broken.
    pub fn apply_here(&self, bytes: &[u8], now_ns: i64, batch: &mut EngineBatch) -> Result<(), Failure> {
        let mut inner = self.lock();
        with_engine!(&mut inner.engine, engine => sequence::apply_batch(engine, bytes, now_ns, batch))?;
        inner.audit(batch)
    }

    /// Keeps the room of a batch that nobody looks at any more.
    pub fn reuse(&self, batch: EngineBatch) {
        self.pool.give_back(batch);
    }

    /// Time of the last command.
    pub fn last_ns(&self) -> i64 {
        with_engine!(&self.lock().engine, engine => engine.time_ns())
    }

    /// A batch as Python sees it.
    pub fn shared(&self, batch: EngineBatch) -> Batch {
        let place = Place {
            first_seq: batch.commands.first().map_or(0, |command| command.seq),
            count: batch.commands.len() as u32,
            time_ns: batch.commands.last().map_or(0, |command| command.time_ns),
            block: None,
        };
        Batch::live(Arc::new(Storage::Live(Live::new(batch, &self.pool))), place)
    }
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (genesis, *, reference_book = false, audit = true))]
    fn new(genesis: &[u8], reference_book: bool, audit: bool) -> PyResult<Self> {
        let genesis = Genesis::decode(genesis).map_err(Failure::Genesis)?;
        let engine = if reference_book {
            AnyEngine::Reference(Box::new(CoreEngine::new(&genesis).map_err(Failure::Genesis)?))
        } else {
            AnyEngine::Fast(Box::new(CoreEngine::new(&genesis).map_err(Failure::Genesis)?))
        };
        let auditor = audit.then(|| Auditor::new(&genesis));
        Ok(Engine { inner: Mutex::new(Box::new(Inner { engine, auditor })), pool: Arc::default() })
    }

    /// Stamps and applies commands in order; adds the `Continue` commands that they need.
    fn apply(&self, py: Python<'_>, commands: &Bound<'_, PyAny>, now_ns: i64) -> PyResult<Batch> {
        let input = Input::of(commands)?;
        let bytes = input.bytes();
        Ok(py.detach(|| -> Result<Batch, Failure> {
            let mut inner = self.lock();
            let mut batch = self.pool.take();
            with_engine!(&mut inner.engine, engine => sequence::apply_batch(engine, bytes, now_ns, &mut batch))?;
            self.finish(&mut inner, batch)
        })?)
    }

    /// Applies commands that carry sequence and time already, exactly as they are.
    fn apply_stamped(&self, py: Python<'_>, commands: &Bound<'_, PyAny>) -> PyResult<Batch> {
        let input = Input::of(commands)?;
        let bytes = input.bytes();
        Ok(py.detach(|| -> Result<Batch, Failure> {
            let mut inner = self.lock();
            let mut batch = self.pool.take();
            let commands = commands_of(bytes)?;
            with_engine!(&mut inner.engine, engine => sequence::apply_stamped(engine, commands, &mut batch))?;
            self.finish(&mut inner, batch)
        })?)
    }

    fn state_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let hash = py.detach(|| with_engine!(&self.lock().engine, engine => engine.state_hash()));
        PyBytes::new(py, &hash)
    }

    /// The records by which a settled market of outcomes is archived (P1.6.5); None for every other market.
    fn market_archive<'py>(&self, py: Python<'py>, market: u32) -> Option<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| with_engine!(&self.lock().engine, engine => engine.market_archive(market)));
        bytes.map(|bytes| PyBytes::new(py, &bytes))
    }

    fn cursor_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let hash = py.detach(|| with_engine!(&self.lock().engine, engine => engine.cursor_hash()));
        PyBytes::new(py, &hash)
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = py.detach(|| with_engine!(&self.lock().engine, engine => engine.snapshot()));
        PyBytes::new(py, &bytes)
    }

    /// An engine as it was when `snapshot` was taken.
    #[staticmethod]
    #[pyo3(signature = (snapshot, *, reference_book = false, audit = true))]
    fn restore(snapshot: &Bound<'_, PyAny>, reference_book: bool, audit: bool) -> PyResult<Self> {
        let input = Input::of(snapshot)?;
        let invalid = |message: String| PyValueError::new_err(format!("snapshot refused: {message}"));
        let engine = if reference_book {
            AnyEngine::Reference(Box::new(CoreEngine::restore(input.bytes()).map_err(invalid)?))
        } else {
            AnyEngine::Fast(Box::new(CoreEngine::restore(input.bytes()).map_err(invalid)?))
        };
        let take_over = || with_engine!(&engine, engine => Auditor::from_engine(engine));
        let auditor = audit.then(take_over).transpose().map_err(Failure::from)?;
        Ok(Engine { inner: Mutex::new(Box::new(Inner { engine, auditor })), pool: Arc::default() })
    }

    #[getter]
    fn next_seq(&self) -> u64 {
        with_engine!(&self.lock().engine, engine => engine.next_seq())
    }

    /// Time of the last command in nanoseconds since the Unix epoch.
    #[getter]
    fn time_ns(&self) -> i64 {
        with_engine!(&self.lock().engine, engine => engine.time_ns())
    }

    #[getter]
    fn pending_token(&self) -> Option<u64> {
        with_engine!(&self.lock().engine, engine => engine.pending_token())
    }

    /// Sequence number at which a broken invariant stopped the engine.
    #[getter]
    fn stopped(&self) -> Option<u64> {
        with_engine!(&self.lock().engine, engine => engine.stopped())
    }

    /// Micro-units on a balance line of an account; None for an unknown account.
    fn balance(&self, account_id: &[u8], sub: u8, asset: u16, line: u8) -> PyResult<Option<i64>> {
        let id = key32(account_id, "account_id")?;
        Ok(with_engine!(&self.lock().engine, engine => engine.balance(&id, sub, asset, line)))
    }

    /// Micro-units on a system line; `key` is a market or pool handle, else 0.
    fn system_balance(&self, line: u8, key: u32, asset: u16) -> i64 {
        with_engine!(&self.lock().engine, engine => engine.system_balance(line, key, asset))
    }

    /// The best `depth` levels of a side as (price in ticks, lots, orders).
    fn levels(&self, market: u32, side: u8, depth: usize) -> Vec<LevelRow> {
        let levels = with_engine!(&self.lock().engine, engine => engine.levels(market, side, depth));
        levels.into_iter().map(|level| (level.price, level.lots, level.orders)).collect()
    }

    /// Numbers of (open orders, markets, accounts).
    fn sizes(&self) -> (usize, usize, usize) {
        with_engine!(&self.lock().engine, engine => engine.sizes())
    }
}

/// # Errors
/// `ValueError` when the bytes are not 32.
pub fn key32(bytes: &[u8], name: &str) -> PyResult<[u8; 32]> {
    bytes
        .try_into()
        .map_err(|_| PyValueError::new_err(format!("{name} must be 32 bytes, not {}", bytes.len())))
}

/// Id of the account that belongs to an owner's public key (protocol P1.3.1).
#[pyfunction]
pub fn derive_account_id<'py>(py: Python<'py>, owner_key: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &id::account_id(&key32(owner_key, "owner_key")?)))
}

/// Id of a market from its creator's account id and nonce.
#[pyfunction]
pub fn derive_market_id<'py>(py: Python<'py>, creator: &[u8], nonce: u64) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &id::market_id(&key32(creator, "creator")?, nonce)))
}

/// BLAKE3-256.
#[pyfunction]
pub fn blake3<'py>(py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let input = Input::of(data)?;
    let bytes = input.bytes();
    let hash = py.detach(|| ::blake3::hash(bytes));
    Ok(PyBytes::new(py, hash.as_bytes()))
}

/// The bytes of a genesis configuration; `grants` are (principal, role number, expiry in ns).
#[pyfunction]
pub fn encode_genesis<'py>(
    py: Python<'py>,
    shard: u16,
    rules_version: u32,
    time_ns: i64,
    grants: Vec<(Vec<u8>, u8, i64)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let grants = grants
        .into_iter()
        .map(|(key, role, expiry_ns)| Ok(Grant { principal: key32(&key, "principal")?, role, expiry_ns }))
        .collect::<PyResult<Vec<_>>>()?;
    let bytes = Genesis { shard, rules_version, time_ns, grants }.encode();
    Genesis::decode(&bytes).map_err(Failure::Genesis)?;
    Ok(PyBytes::new(py, &bytes))
}

/// (shard, rules version, time in ns, grants) of a genesis configuration.
#[pyfunction]
#[allow(clippy::type_complexity)] // A plain tuple for Python.
pub fn decode_genesis(genesis: &[u8]) -> PyResult<(u16, u32, i64, Vec<(Vec<u8>, u8, i64)>)> {
    let genesis = Genesis::decode(genesis).map_err(Failure::Genesis)?;
    let grants = genesis.grants.iter().map(|g| (g.principal.to_vec(), g.role, g.expiry_ns)).collect();
    Ok((genesis.shard, genesis.rules_version, genesis.time_ns, grants))
}
