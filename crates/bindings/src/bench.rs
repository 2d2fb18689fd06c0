//! Measurements that must run inside Rust: the engine alone, single commands, the journal alone, standard streams.
//!
//! Nothing here judges a figure; `tradewind.lab.bench` compares them with their budgets.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tradewind_engine::batch::Batch as EngineBatch;
use tradewind_engine::sequence::apply_batch;
use tradewind_engine::streams::{genesis, Flow, Stream};
use tradewind_engine::wire::command::COMMAND_SIZE;
use tradewind_engine::wire::error::Reject;
use tradewind_engine::wire::event::EventKind;
use tradewind_engine::{Engine, FastBook};
use tradewind_journal::{verify, BlockMeta, Journal, JournalOptions};

use crate::failure::Failure;
use crate::PYTHON_ALIGNMENT;

/// Commands of one applied batch.
const BATCH_COMMANDS: usize = 4_096;
/// Bounds of one measurement.
const MAX_COMMANDS: usize = 50_000_000;
const MAX_LIVE: usize = 1_500_000;
const MAX_SAMPLES: usize = 10_000_000;
const MAX_MARKETS: u64 = 65_536;
/// From this many resting orders on the book is wide and has more owners, because an account holds at most 200 orders.
const DEEP_LIVE: usize = 100_000;
/// Mixed commands applied before anything is measured, so that tables have grown and caches are warm.
const WARM_UP_COMMANDS: usize = 40 * BATCH_COMMANDS;
const JOURNAL_RECORD_BYTES: usize = 128;
const MAX_JOURNAL_ROUNDS: u64 = 1_000_000;

/// The only function in which instructions are counted: profilers find it by this name.
///
/// # Errors
/// As `apply_batch`.
#[no_mangle]
#[inline(never)]
pub fn tw_bench_apply(
    engine: &mut Engine<FastBook>,
    input: &[u8],
    now_ns: i64,
    batch: &mut EngineBatch,
) -> Result<(), Reject> {
    apply_batch(engine, input, now_ns, batch)
}

fn flow_of(name: &str) -> PyResult<Flow> {
    match name {
        "mixed" => Ok(Flow::Mixed),
        "place" => Ok(Flow::Place),
        "cancel" => Ok(Flow::Cancel),
        "replace" => Ok(Flow::Replace),
        "trade" => Ok(Flow::Trade),
        _ => Err(PyValueError::new_err(format!(
            "no flow {name:?}; there are mixed, place, cancel, replace, trade"
        ))),
    }
}

fn check(name: &str, given: usize, least: usize, most: usize) -> PyResult<()> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{name} is {given}, it must be from {least} to {most}")))
}

/// Number of accounts and half width of the book in ticks for so many resting orders.
fn shape(live: usize) -> (u64, u64) {
    if live >= DEEP_LIVE {
        (20_000, 20_000)
    } else {
        (2_000, 500)
    }
}

/// Value at `fraction` of sorted samples, 0 when there are none.
fn percentile(sorted: &[u32], fraction: f64) -> u32 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * fraction).round() as usize).copied().unwrap_or(0)
}

fn elapsed_ns(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX)
}

/// What it costs to read the clock twice: the median, in nanoseconds.
fn timer_ns() -> u32 {
    let mut samples: Vec<u32> = (0..10_001).map(|_| elapsed_ns(black_box(Instant::now()))).collect();
    samples.sort_unstable();
    percentile(&samples, 0.5)
}

/// What a measured flow did: one that is mostly refused must not pass for a fast one.
#[derive(Default)]
struct Counts {
    commands: u64,
    refused: u64,
    trades: u64,
    events: u64,
    postings: u64,
}

impl Counts {
    fn add(&mut self, batch: &EngineBatch) {
        let refused = batch.results.iter().filter(|result| result.accepted == 0).count();
        let trades = batch.output.events.iter().filter(|event| event.kind == EventKind::Trade as u16).count();
        self.commands += batch.submitted.len() as u64;
        self.refused += refused as u64;
        self.trades += trades as u64;
        self.events += batch.output.events.len() as u64;
        self.postings += batch.output.postings.len() as u64;
    }

    fn write(&self, report: &Bound<'_, PyDict>) -> PyResult<()> {
        report.set_item("commands", self.commands)?;
        report.set_item("refused", self.refused)?;
        report.set_item("trades", self.trades)?;
        report.set_item("events", self.events)?;
        report.set_item("postings", self.postings)
    }
}

/// An engine, the stream that trades on it, and what the measured part of the stream did.
struct Rig {
    engine: Engine<FastBook>,
    stream: Stream,
    batch: EngineBatch,
    live: usize,
    counts: Counts,
}

impl Rig {
    /// An engine with a filled book, warm for the flow.
    fn new(flow: Flow, commands: usize, live: usize) -> Result<Rig, Reject> {
        let (accounts, depth) = shape(live);
        let (engine, stream) = Stream::new::<FastBook>(accounts, 1, depth);
        let mut rig = Rig { engine, stream, batch: EngineBatch::default(), live, counts: Counts::default() };
        // Cancels and takes use orders up, and what they leave must still be a book; places find their tables grown.
        let filled = match flow {
            Flow::Cancel | Flow::Place => live + commands,
            Flow::Trade => live + commands / 4,
            Flow::Mixed | Flow::Replace => live,
        };
        while rig.stream.live() < filled {
            rig.untimed(Flow::Place, BATCH_COMMANDS.min(filled - rig.stream.live()))?;
        }
        let warm_up = match flow {
            Flow::Place => (Flow::Cancel, commands),
            Flow::Mixed => (Flow::Mixed, WARM_UP_COMMANDS),
            Flow::Cancel | Flow::Replace | Flow::Trade => (flow, 0),
        };
        for done in (0..warm_up.1).step_by(BATCH_COMMANDS) {
            rig.untimed(warm_up.0, BATCH_COMMANDS.min(warm_up.1 - done))?;
        }
        Ok(rig)
    }

    fn untimed(&mut self, flow: Flow, count: usize) -> Result<(), Reject> {
        let commands = self.stream.batch(flow, count, self.live);
        self.batch.clear();
        let now_ns = self.stream.now_ns;
        apply_batch(&mut self.engine, bytemuck::cast_slice(&commands), now_ns, &mut self.batch)?;
        self.stream.learn(&self.batch);
        Ok(())
    }

    /// Applies `commands` of a flow in batches of `size` and returns the nanoseconds that applying took.
    fn timed(&mut self, flow: Flow, commands: usize, size: usize) -> Result<u64, Reject> {
        let (mut left, mut spent_ns) = (commands, 0);
        while left > 0 {
            let part = self.stream.batch(flow, left.min(size), self.live);
            self.batch.clear();
            let now_ns = self.stream.now_ns;
            let begin = Instant::now();
            tw_bench_apply(&mut self.engine, bytemuck::cast_slice(&part), now_ns, &mut self.batch)?;
            spent_ns += begin.elapsed().as_nanos() as u64;
            self.counts.add(&self.batch);
            self.stream.learn(&self.batch);
            left -= part.len();
        }
        Ok(spent_ns)
    }

    /// Nanoseconds of every single command, clock reading included.
    fn one_by_one(&mut self, flow: Flow, commands: usize) -> Result<Vec<u32>, Reject> {
        let mut samples = Vec::with_capacity(commands);
        while samples.len() < commands {
            let count = (commands - samples.len()).min(BATCH_COMMANDS);
            let part = self.stream.batch(flow, count, self.live);
            self.batch.clear();
            let now_ns = self.stream.now_ns;
            for command in &part {
                let begin = Instant::now();
                let input = bytemuck::bytes_of(command);
                apply_batch(&mut self.engine, input, now_ns, &mut self.batch)?;
                samples.push(elapsed_ns(begin));
            }
            self.counts.add(&self.batch);
            self.stream.learn(&self.batch);
        }
        Ok(samples)
    }
}

/// Applies a standard flow over `live` resting orders in batches, single-threaded, without journal and auditor:
/// nanoseconds spent applying, and what was done. The flow's generation is not in the time.
#[pyfunction]
#[pyo3(signature = (flow, commands, live, batch = BATCH_COMMANDS))]
pub fn bench_engine<'py>(
    py: Python<'py>,
    flow: &str,
    commands: usize,
    live: usize,
    batch: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let flow = flow_of(flow)?;
    check("batch", batch, 1, BATCH_COMMANDS)?;
    check("commands", commands, 0, MAX_COMMANDS)?;
    check("live", live, 1, MAX_LIVE)?;
    let (rig, spent_ns) = py.detach(|| -> Result<_, Failure> {
        let mut rig = Rig::new(flow, commands, live)?;
        let spent_ns = rig.timed(flow, commands, batch)?;
        Ok((rig, spent_ns))
    })?;
    let report = PyDict::new(py);
    rig.counts.write(&report)?;
    report.set_item("elapsed_ns", spent_ns)?;
    report.set_item("live_orders", rig.engine.sizes().0)?;
    Ok(report)
}

/// Nanoseconds of single commands of a flow, sequencing included: percentiles and the clock's own cost.
#[pyfunction]
pub fn bench_latency<'py>(
    py: Python<'py>,
    flow: &str,
    commands: usize,
    live: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let flow = flow_of(flow)?;
    check("commands", commands, 1, MAX_SAMPLES)?;
    check("live", live, 1, MAX_LIVE)?;
    let (rig, samples) = py.detach(|| -> Result<_, Failure> {
        let mut rig = Rig::new(flow, commands, live)?;
        let mut samples = rig.one_by_one(flow, commands)?;
        samples.sort_unstable();
        Ok((rig, samples))
    })?;
    let report = PyDict::new(py);
    rig.counts.write(&report)?;
    for (name, fraction) in [("p50_ns", 0.5), ("p99_ns", 0.99), ("p999_ns", 0.999), ("max_ns", 1.0)] {
        report.set_item(name, percentile(&samples, fraction))?;
    }
    report.set_item("timer_ns", timer_ns())?;
    Ok(report)
}

/// Bytes of memory by which this process grows when an engine creates `markets` empty spot markets.
#[pyfunction]
pub fn bench_idle_markets<'py>(py: Python<'py>, markets: u64) -> PyResult<Bound<'py, PyDict>> {
    check("markets", markets as usize, 0, MAX_MARKETS as usize)?;
    let (before, after, made) = py.detach(|| -> PyResult<_> {
        let before = resident_bytes()?;
        let engine = engine_with_markets(markets).map_err(PyErr::from)?;
        let after = resident_bytes()?;
        Ok((before, after, engine.sizes().1))
    })?;
    let report = PyDict::new(py);
    report.set_item("markets", made)?;
    report.set_item("before_bytes", before)?;
    report.set_item("after_bytes", after)?;
    Ok(report)
}

/// An engine with empty markets. They are created a part at a time, because an account has a bounded number of live keys.
fn engine_with_markets(markets: u64) -> Result<Engine<FastBook>, Failure> {
    const PART_COMMANDS: usize = 2_048;
    const KEY_LIFE_NS: i64 = 1_000_000_000;
    let mut engine = Engine::new(&genesis()).map_err(Failure::Genesis)?;
    let mut stream = Stream::unattached(1, 1);
    let mut commands = stream.setup(markets);
    let mut batch = EngineBatch::default();
    let mut now_ns = stream.now_ns;
    for part in commands.chunks_mut(PART_COMMANDS) {
        part.iter_mut().for_each(|command| command.valid_until_ns = now_ns + KEY_LIFE_NS);
        batch.clear();
        apply_batch(&mut engine, bytemuck::cast_slice(part), now_ns, &mut batch)?;
        now_ns += 2 * KEY_LIFE_NS;
    }
    Ok(engine)
}

fn resident_bytes() -> PyResult<u64> {
    const KIBIBYTE: u64 = 1_024;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = field.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let kibibytes = kibibytes.ok_or_else(|| PyValueError::new_err("/proc/self/status names no VmRSS"))?;
    Ok(kibibytes * KIBIBYTE)
}

struct JournalFigures {
    sorted_ns: Vec<u32>,
    elapsed_ns: u64,
    bytes: u64,
    verify_ns: u64,
}

fn measure_journal(dir: &Path, batch: u32, rounds: u64) -> Result<JournalFigures, Failure> {
    let mut journal = Journal::create(dir, b"bench", JournalOptions::default())?;
    let size = batch as usize * JOURNAL_RECORD_BYTES;
    let payload: Vec<u8> = (0..size).map(|index| (index * 31 + index / 251) as u8).collect();
    let mut samples = Vec::with_capacity(rounds as usize);
    let started = Instant::now();
    for round in 0..rounds {
        let begin = Instant::now();
        journal.append(BlockMeta::new(1 + round * u64::from(batch), batch, 0), &[&payload])?;
        journal.sync()?;
        samples.push(elapsed_ns(begin));
    }
    let elapsed_ns = started.elapsed().as_nanos() as u64;
    journal.close()?;
    samples.sort_unstable();
    let begin = Instant::now();
    let report = verify(dir, &mut |_, _| {})?;
    Ok(JournalFigures {
        sorted_ns: samples,
        elapsed_ns,
        bytes: report.bytes,
        verify_ns: begin.elapsed().as_nanos() as u64,
    })
}

/// Appends and syncs `rounds` blocks of `batch` 128-byte records in the empty folder `path`, one after the other.
#[pyfunction]
pub fn bench_journal<'py>(
    py: Python<'py>,
    path: PathBuf,
    batch: u32,
    rounds: u64,
) -> PyResult<Bound<'py, PyDict>> {
    check("batch", batch as usize, 1, BATCH_COMMANDS)?;
    check("rounds", rounds as usize, 1, MAX_JOURNAL_ROUNDS as usize)?;
    let figures = py.detach(|| measure_journal(&path, batch, rounds))?;
    let report = PyDict::new(py);
    for (name, fraction) in [("p50_ns", 0.5), ("p99_ns", 0.99), ("p999_ns", 0.999), ("max_ns", 1.0)] {
        report.set_item(name, percentile(&figures.sorted_ns, fraction))?;
    }
    report.set_item("elapsed_ns", figures.elapsed_ns)?;
    report.set_item("records", u64::from(batch) * rounds)?;
    report.set_item("bytes", figures.bytes)?;
    report.set_item("verify_ns", figures.verify_ns)?;
    Ok(report)
}

struct Source {
    stream: Stream,
    /// Applies what it hands out, because a stream cancels the orders that really rest.
    shadow: Engine<FastBook>,
    batch: EngineBatch,
}

/// The standard stream as bytes, for engines and nodes that are driven from Python. Apply everything, in order, at the
/// times that come with it: first `setup`, then what `next` gives.
#[pyclass(frozen, module = "tradewind._core")]
pub struct BenchStream {
    // Boxed: the state asks for more alignment than Python's allocator gives its objects.
    source: Mutex<Box<Source>>,
    setup: Vec<u8>,
    setup_ns: i64,
}

const _: () = assert!(align_of::<BenchStream>() <= PYTHON_ALIGNMENT);

impl BenchStream {
    fn lock(&self) -> MutexGuard<'_, Box<Source>> {
        self.source.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[pymethods]
impl BenchStream {
    #[new]
    fn new(py: Python<'_>, live: usize) -> PyResult<Self> {
        check("live", live, 1, MAX_LIVE)?;
        Ok(py.detach(|| -> Result<Self, Failure> {
            let (accounts, depth) = shape(live);
            let mut stream = Stream::unattached(accounts, depth);
            let setup: Vec<u8> = bytemuck::cast_slice(&stream.setup(1)).to_vec();
            let mut shadow = Engine::new(&genesis()).map_err(Failure::Genesis)?;
            let mut batch = EngineBatch::default();
            for part in setup.chunks(BATCH_COMMANDS * COMMAND_SIZE) {
                batch.clear();
                apply_batch(&mut shadow, part, stream.now_ns, &mut batch)?;
            }
            let setup_ns = stream.now_ns;
            Ok(BenchStream {
                source: Mutex::new(Box::new(Source { stream, shadow, batch })),
                setup,
                setup_ns,
            })
        })?)
    }

    /// Bytes of the genesis configuration from which the stream's first command goes on.
    #[getter]
    fn genesis<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &genesis().encode())
    }

    /// The commands that open and fund the accounts, in batches of at most 4,096.
    #[getter]
    fn setup<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let parts = self.setup.chunks(BATCH_COMMANDS * COMMAND_SIZE);
        parts.map(|part| PyBytes::new(py, part)).collect()
    }

    /// Moment in nanoseconds at which the set-up is applied.
    #[getter]
    fn setup_ns(&self) -> i64 {
        self.setup_ns
    }

    /// The next `count` commands of a flow that keeps about `live` orders resting, and the moment to apply them.
    fn next<'py>(
        &self,
        py: Python<'py>,
        flow: &str,
        count: usize,
        live: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, i64)> {
        let flow = flow_of(flow)?;
        check("count", count, 1, BATCH_COMMANDS)?;
        check("live", live, 1, MAX_LIVE)?;
        let (commands, now_ns) = py.detach(|| -> Result<_, Failure> {
            let mut source = self.lock();
            let Source { stream, shadow, batch } = &mut **source;
            let commands = stream.batch(flow, count, live);
            batch.clear();
            apply_batch(shadow, bytemuck::cast_slice(&commands), stream.now_ns, batch)?;
            stream.learn(batch);
            Ok((commands, stream.now_ns))
        })?;
        Ok((PyBytes::new(py, bytemuck::cast_slice(&commands)), now_ns))
    }

    /// Orders that rest when everything handed out so far is applied.
    #[getter]
    fn live(&self) -> usize {
        self.lock().stream.live()
    }

    /// State hash of an engine that applied everything handed out so far.
    fn state_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let hash = py.detach(|| self.lock().shadow.state_hash());
        PyBytes::new(py, &hash)
    }
}

/// # Errors
/// When Python refuses a name.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<BenchStream>()?;
    module.add_function(wrap_pyfunction!(bench_engine, module)?)?;
    module.add_function(wrap_pyfunction!(bench_latency, module)?)?;
    module.add_function(wrap_pyfunction!(bench_idle_markets, module)?)?;
    module.add_function(wrap_pyfunction!(bench_journal, module)?)
}
