//! The paper market: mirrors of outside books, recorded rows, and the loop that plays them against an engine.

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use tradewind_engine::batch::{Batch as EngineBatch, BatchView};
use tradewind_engine::wire::command::{Command, COMMAND_SIZE};
use tradewind_feeds::Level;
use tradewind_paper::commands::{Encoder, Sender};
use tradewind_paper::cuts::{segment_cuts, CancelModel};
use tradewind_paper::fold::{is_quiet, Handles, Market};
use tradewind_paper::mirror::Change;
use tradewind_paper::queues::Entry;
use tradewind_paper::replay::{Cursor, Host, Run, Stop, Wants};
use tradewind_paper::rows::{Head, Row, Rows, What};
use tradewind_paper::{Action, Config, Mirror, Side};

use crate::batch::{Batch, Input, Part};
use crate::engine::{key32, Engine};
use crate::feeds::{Given, Levels};

fn side_of(side: u8) -> PyResult<Side> {
    Side::from_number(side).ok_or_else(|| PyValueError::new_err(format!("{side} is no side")))
}

fn changes<'a>(bids: &'a [Level], asks: &'a [Level]) -> impl Iterator<Item = Change> + 'a {
    let of = |side: Side, levels: &'a [Level]| {
        levels.iter().map(move |level| (side, level.price_ticks, level.lots))
    };
    of(Side::Bid, bids).chain(of(Side::Ask, asks))
}

/// Planned actions and their commands.
#[pyclass(frozen, module = "tradewind._core")]
pub struct PaperPlan {
    actions: Vec<Action>,
    encoder: Encoder,
}

#[pymethods]
impl PaperPlan {
    fn __len__(&self) -> usize {
        self.actions.len()
    }

    /// One command per action, unstamped.
    fn commands<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let encode = |action| PyBytes::new(py, bytemuck::bytes_of(&self.encoder.command(action)));
        PyList::new(py, self.actions.iter().map(encode).collect::<Vec<_>>())
    }
}

/// (order, side, price in ticks, lots, total lots, priority, is the mirror's, account).
type EntryRow = (u64, u8, i64, i64, i64, u64, bool, u32);

fn entry_row(entry: &Entry) -> EntryRow {
    let Entry { order, side, price_ticks, lots, total_lots, priority, mirror, account } = *entry;
    (order, side as u8, price_ticks, lots, total_lots, priority, mirror, account)
}

/// updates, prints, prints without side, unexplained levels, forced lots, trade-through fills, lots of stale better
/// levels, shadowed lots.
type StatsRow = (u64, u64, u64, u64, i64, u64, i64, i64);

/// The mirror of one outside book in one market of the engine.
#[pyclass(module = "tradewind._core")]
pub struct PaperMirror {
    market: Market,
}

impl PaperMirror {
    fn plan(&mut self, work: impl FnOnce(&mut Mirror, &mut Vec<Action>)) -> PaperPlan {
        let mut actions = Vec::new();
        work(&mut self.market.mirror, &mut actions);
        PaperPlan { actions, encoder: self.market.encoder }
    }
}

#[pymethods]
impl PaperMirror {
    /// `maker` and `taker` are (handle, principal, account id); `times_ns` how long a decrease waits, a crossing has to
    /// last, and a shadow stays.
    ///
    /// Raises:
    ///     ValueError: a key is not 32 bytes long, or the depth or the ratio is below one.
    #[new]
    #[allow(clippy::type_complexity)] // Plain tuples from Python.
    fn new(
        market: u32,
        maker: (u32, Vec<u8>, Vec<u8>),
        taker: (u32, Vec<u8>, Vec<u8>),
        depth_levels: usize,
        lots_ratio: i64,
        pessimistic: bool,
        times_ns: (i64, i64, i64),
    ) -> PyResult<Self> {
        if depth_levels < 1 || lots_ratio < 1 {
            return Err(PyValueError::new_err(format!(
                "depth and ratio of at least 1, got {depth_levels} and {lots_ratio}"
            )));
        }
        let sender = |(_, principal, account): &(u32, Vec<u8>, Vec<u8>)| -> PyResult<Sender> {
            Ok(Sender { principal: key32(principal, "principal")?, account: key32(account, "account")? })
        };
        let cancel_model = if pessimistic { CancelModel::Pessimistic } else { CancelModel::Prorata };
        let (decrease_wait_ns, cross_wait_ns, shadow_ns) = times_ns;
        let config =
            Config { depth_levels, lots_ratio, cancel_model, decrease_wait_ns, cross_wait_ns, shadow_ns };
        Ok(PaperMirror {
            market: Market {
                mirror: Mirror::new(config),
                encoder: Encoder { market, maker: sender(&maker)?, taker: sender(&taker)? },
                handles: Handles { maker: maker.0, taker: taker.0 },
                as_of_ns: None,
                last_price_ticks: None,
                refused_actions: 0,
                unheard: Vec::new(),
            },
        })
    }

    #[getter]
    fn live(&self) -> bool {
        self.market.mirror.is_live()
    }

    #[getter]
    fn as_of_ns(&self) -> Option<i64> {
        self.market.as_of_ns
    }

    #[setter]
    fn set_as_of_ns(&mut self, as_of_ns: Option<i64>) {
        self.market.as_of_ns = as_of_ns;
    }

    #[getter]
    fn last_price_ticks(&self) -> Option<i64> {
        self.market.last_price_ticks
    }

    #[setter]
    fn set_last_price_ticks(&mut self, price_ticks: Option<i64>) {
        self.market.last_price_ticks = price_ticks;
    }

    #[getter]
    fn refused_actions(&self) -> u64 {
        self.market.refused_actions
    }

    /// Prints of a replay of which nobody heard one by one: (moment of the first, the venue's lots) by second.
    fn take_unheard(&mut self) -> Vec<(i64, i128)> {
        self.market.unheard.drain(..).map(|unheard| (unheard.first_ns, unheard.lots)).collect()
    }

    fn stats(&self) -> StatsRow {
        let stats = self.market.mirror.stats;
        (
            stats.updates,
            stats.prints,
            stats.prints_without_side,
            stats.unexplained_levels,
            stats.forced_lots,
            stats.trade_through_fills,
            stats.stale_better_lots,
            stats.shadowed_lots,
        )
    }

    fn best(&self, side: u8) -> PyResult<Option<i64>> {
        Ok(self.market.mirror.best(side_of(side)?))
    }

    fn shown_lots(&self, side: u8, price_ticks: i64) -> PyResult<i64> {
        Ok(self.market.mirror.shown_lots(side_of(side)?, price_ticks))
    }

    fn wanted_lots(&self, side: u8, price_ticks: i64) -> PyResult<i64> {
        Ok(self.market.mirror.wanted_lots(side_of(side)?, price_ticks))
    }

    fn shown_through(&self, side: u8, limit_ticks: i64) -> PyResult<i64> {
        Ok(self.market.mirror.shown_through(side_of(side)?, limit_ticks))
    }

    /// The best `count` displayed levels as (price in ticks, lots), best first.
    fn top(&self, side: u8, count: usize) -> PyResult<Vec<(i64, i64)>> {
        Ok(self.market.mirror.top(side_of(side)?, count).collect())
    }

    fn next_due_ns(&self) -> Option<i64> {
        self.market.mirror.next_due_ns()
    }

    // ---- inputs --------------------------------------------------------------------------------------------------

    fn snapshot(
        &mut self,
        bids: &Bound<'_, PyAny>,
        asks: &Bound<'_, PyAny>,
        now_ns: i64,
    ) -> PyResult<PaperPlan> {
        let (bids, asks) = (Given::of(bids)?, Given::of(asks)?);
        Ok(self.plan(|mirror, out| mirror.snapshot(changes(bids.levels(), asks.levels()), now_ns, out)))
    }

    fn remember(&mut self, bids: &Bound<'_, PyAny>, asks: &Bound<'_, PyAny>) -> PyResult<()> {
        let (bids, asks) = (Given::of(bids)?, Given::of(asks)?);
        self.market.mirror.remember(changes(bids.levels(), asks.levels()));
        Ok(())
    }

    fn resume(&mut self, now_ns: i64) -> PaperPlan {
        self.plan(|mirror, out| mirror.resume(now_ns, out))
    }

    fn suspend(&mut self) {
        self.market.mirror.suspend();
    }

    fn diff(
        &mut self,
        bids: &Bound<'_, PyAny>,
        asks: &Bound<'_, PyAny>,
        venue_ts_ns: Option<i64>,
        now_ns: i64,
    ) -> PyResult<PaperPlan> {
        let (bids, asks) = (Given::of(bids)?, Given::of(asks)?);
        let changes = changes(bids.levels(), asks.levels());
        Ok(self.plan(|mirror, out| mirror.diff(changes, venue_ts_ns, now_ns, out)))
    }

    fn trade(
        &mut self,
        price_ticks: i64,
        venue_lots: i128,
        aggressor: Option<u8>,
        venue_ts_ns: Option<i64>,
    ) -> PyResult<PaperPlan> {
        let aggressor = aggressor.map(side_of).transpose()?;
        Ok(self.plan(|mirror, out| mirror.trade(price_ticks, venue_lots, aggressor, venue_ts_ns, out)))
    }

    fn prepare(&mut self, side: u8, price_ticks: i64, lots: i64) -> PyResult<PaperPlan> {
        let side = side_of(side)?;
        Ok(self.plan(|mirror, out| mirror.prepare(side, price_ticks, lots, out)))
    }

    /// None: nothing is due, as nearly always.
    fn due(&mut self, now_ns: i64) -> Option<PaperPlan> {
        let plan = self.plan(|mirror, out| mirror.due(now_ns, out));
        (!plan.actions.is_empty()).then_some(plan)
    }

    /// The engine refused the action at this place of a plan.
    fn refused(&mut self, plan: &PaperPlan, place: usize) -> PyResult<()> {
        let action = plan.actions.get(place).ok_or_else(|| PyIndexError::new_err("no such action"))?;
        self.market.refused_actions += 1;
        self.market.mirror.refused(action);
        Ok(())
    }

    // ---- queues --------------------------------------------------------------------------------------------------

    /// Entries of a level, front first; None when nothing rests there.
    fn level(&self, side: u8, price_ticks: i64) -> PyResult<Option<Vec<EntryRow>>> {
        let level = self.market.mirror.queues.level(side_of(side)?, price_ticks);
        Ok(level.map(|level| level.entries.iter().map(entry_row).collect()))
    }

    fn mirror_lots(&self, side: u8, price_ticks: i64) -> PyResult<i64> {
        Ok(self.market.mirror.queues.mirror_lots(side_of(side)?, price_ticks))
    }

    /// Every resting order, level by level in queue order.
    fn entries(&self) -> Vec<EntryRow> {
        self.market.mirror.queues.entries().map(entry_row).collect()
    }

    /// The order rests behind what rests at its level already.
    fn rest(&mut self, row: EntryRow) -> PyResult<()> {
        let (order, side, price_ticks, lots, total_lots, priority, mirror, account) = row;
        let side = side_of(side)?;
        let entry = Entry { order, side, price_ticks, lots, total_lots, priority, mirror, account };
        self.market.mirror.queues.rest(entry);
        Ok(())
    }
}

/// Takes a batch into the queues of all mirrors of one venue; whether it is the mirrors' alone.
#[pyfunction]
fn paper_fold(mut mirrors: Vec<PyRefMut<'_, PaperMirror>>, batch: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Ok(batch) = batch.cast::<Batch>() {
        let batch = batch.get();
        let view = BatchView {
            commands: batch.bytes(Part::Commands),
            results: &[],
            events: batch.bytes(Part::Events),
            postings: batch.bytes(Part::Postings),
            notes: &[],
        };
        return Ok(fold(&mut mirrors, &view));
    }
    let [commands, events, postings] = ["commands", "events", "postings"].map(|name| batch.getattr(name));
    let (commands, events, postings) = (commands?, events?, postings?);
    let (commands, events, postings) = (Input::of(&commands)?, Input::of(&events)?, Input::of(&postings)?);
    let view = BatchView {
        commands: commands.bytes(),
        results: &[],
        events: events.bytes(),
        postings: postings.bytes(),
        notes: &[],
    };
    Ok(fold(&mut mirrors, &view))
}

fn fold(mirrors: &mut [PyRefMut<'_, PaperMirror>], view: &BatchView<'_>) -> bool {
    for mirror in mirrors.iter_mut() {
        mirror.market.fold_bytes(view.events);
    }
    let Some(first) = mirrors.first() else { return false };
    let Encoder { maker, taker, .. } = &first.market.encoder;
    is_quiet(view, first.market.handles, [&maker.account, &taker.account])
}

/// Lots to remove from each segment of a level; front segment first.
#[pyfunction]
fn paper_segment_cuts(sizes: Vec<i64>, excess_lots: i64, pessimistic: bool) -> Vec<i64> {
    let model = if pessimistic { CancelModel::Pessimistic } else { CancelModel::Prorata };
    segment_cuts(&sizes, excess_lots, model)
}

/// A running BLAKE3 over everything that was sent to an engine, in order.
#[pyclass(module = "tradewind._core")]
pub struct Tape {
    hasher: blake3::Hasher,
    #[pyo3(get)]
    count: u64,
}

impl Tape {
    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.count += 1;
    }
}

#[pymethods]
impl Tape {
    #[new]
    fn new() -> Self {
        Tape { hasher: blake3::Hasher::new(), count: 0 }
    }

    fn append(&mut self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        self.add(Input::of(data)?.bytes());
        Ok(())
    }

    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.hasher.finalize().as_bytes())
    }
}

/// Recorded messages in memory; prices in ticks, quantities in the venue's lots.
#[pyclass(module = "tradewind._core")]
pub struct PaperRows {
    rows: Rows,
}

/// None: a quantity is too wide for a row.
fn narrow(levels: &[Level]) -> Option<Vec<Row>> {
    levels.iter().map(|level| Some((level.price_ticks, i64::try_from(level.lots).ok()?))).collect()
}

/// (kind, symbol, received, venue's time, ids, aggressor, bids, asks).
type MessageRow = (u8, u16, i64, Option<i64>, (i64, i64), Option<u8>, Levels, Levels);

fn full() -> PyErr {
    PyValueError::new_err("no more rows fit")
}

#[pymethods]
impl PaperRows {
    #[new]
    fn new() -> Self {
        PaperRows { rows: Rows::default() }
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }

    #[getter]
    fn row_count(&self) -> u64 {
        self.rows.row_count()
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.rows.bytes()
    }

    /// False: a quantity is too wide, the message has to be kept.
    fn difference(
        &mut self,
        symbol: u16,
        recv_ns: i64,
        venue_ts_ns: Option<i64>,
        ids: (i64, i64),
        bids: &Bound<'_, PyAny>,
        asks: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let (bids, asks) = (Given::of(bids)?, Given::of(asks)?);
        let (Some(bids), Some(asks)) = (narrow(bids.levels()), narrow(asks.levels())) else {
            return Ok(false);
        };
        let head = Head { symbol, recv_ns, venue_ts_ns, ids: [ids.0, ids.1], aggressor: None };
        self.rows.push(What::Difference, head, &bids, &asks).then_some(true).ok_or_else(full)
    }

    fn trade(
        &mut self,
        symbol: u16,
        recv_ns: i64,
        venue_ts_ns: Option<i64>,
        trade_id: i64,
        print: Row,
        aggressor: Option<u8>,
    ) -> PyResult<()> {
        let aggressor = aggressor.map(side_of).transpose()?;
        let head = Head { symbol, recv_ns, venue_ts_ns, ids: [trade_id, 0], aggressor };
        self.rows.push(What::Trade, head, &[print], &[]).then_some(()).ok_or_else(full)
    }

    fn best(
        &mut self,
        symbol: u16,
        recv_ns: i64,
        venue_ts_ns: Option<i64>,
        bid: (i64, i64),
        ask: (i64, i64),
    ) -> PyResult<()> {
        let head = Head { symbol, recv_ns, venue_ts_ns, ids: [0, 0], aggressor: None };
        self.rows.push(What::Best, head, &[bid], &[ask]).then_some(()).ok_or_else(full)
    }

    fn kept(&mut self, symbol: u16, recv_ns: i64, rows: u64) -> PyResult<()> {
        let head = Head { symbol, recv_ns, venue_ts_ns: None, ids: [0, 0], aggressor: None };
        self.rows.push_kept(head, rows).then_some(()).ok_or_else(full)
    }

    /// kind: 0 difference, 1 trade (one bid), 2 best quote (a bid and an ask), 3 kept.
    fn message(&self, index: usize) -> PyResult<MessageRow> {
        let message = self.rows.get(index).ok_or_else(|| PyIndexError::new_err("no such message"))?;
        let wide = |rows: &[Row]| {
            let level = |&(price_ticks, lots): &Row| Level { price_ticks, lots: i128::from(lots) };
            Levels::from_levels(rows.iter().map(level).collect())
        };
        Ok((
            message.what as u8,
            message.symbol,
            message.recv_ns,
            message.venue_ts_ns,
            (message.ids[0], message.ids[1]),
            message.aggressor.map(|side| side as u8),
            wide(self.rows.bids(message)),
            wide(self.rows.asks(message)),
        ))
    }
}

/// A replay of rows against an engine and its mirrors.
#[pyclass(module = "tradewind._core")]
pub struct PaperReplay {
    engine: Py<Engine>,
    rows: Py<PaperRows>,
    mirrors: Vec<Py<PaperMirror>>,
    places: Vec<Option<usize>>,
    tape: Py<Tape>,
    told: Py<PyAny>,
    tick: Command,
    cursor: Cursor,
    spare: (Vec<Action>, Vec<Command>),
}

#[pymethods]
impl PaperReplay {
    /// `places` names the mirror of each symbol of the rows; `told` is called with every batch that is not the
    /// mirrors' alone and the moment, and answers when the next request or report is due.
    ///
    /// Raises:
    ///     ValueError: `tick` is no command, or a place is of no mirror.
    #[new]
    fn new(
        engine: Py<Engine>,
        rows: Py<PaperRows>,
        mirrors: Vec<Py<PaperMirror>>,
        places: Vec<Option<usize>>,
        tape: Py<Tape>,
        told: Py<PyAny>,
        tick: &[u8],
    ) -> PyResult<Self> {
        if tick.len() != COMMAND_SIZE || places.iter().flatten().any(|&place| place >= mirrors.len()) {
            return Err(PyValueError::new_err("the tick is no command, or a place is of no mirror"));
        }
        let (tick, cursor) = (bytemuck::pod_read_unaligned(tick), Cursor::new(0));
        Ok(PaperReplay {
            engine,
            rows,
            mirrors,
            places,
            tape,
            told,
            tick,
            cursor,
            spare: (Vec::new(), Vec::new()),
        })
    }

    /// Messages that are behind.
    #[getter]
    fn messages(&self) -> usize {
        self.cursor.next
    }

    /// Rows that were mirrored here.
    #[getter]
    fn rows_done(&self) -> u64 {
        self.cursor.rows
    }

    /// (kind, value, now): 0 requests are due until value, 1 the same and a message of that moment comes next, 2 the
    /// owner's time has come, 3 message value was mirrored and is wanted, 4 message value is the caller's, 5 the end.
    #[allow(clippy::too_many_arguments)] // Plain values from Python.
    fn run(
        &mut self,
        py: Python<'_>,
        now_ns: i64,
        until_ns: i64,
        wake_ns: i64,
        due_ns: Option<i64>,
        wants: Vec<(bool, bool)>,
        foreign: bool,
    ) -> PyResult<(u8, i64, i64)> {
        let rows = self.rows.bind(py).try_borrow()?;
        let mut tape = self.tape.bind(py).try_borrow_mut()?;
        let mut borrowed = self
            .mirrors
            .iter()
            .map(|mirror| mirror.bind(py).try_borrow_mut())
            .collect::<Result<Vec<_>, _>>()?;
        let mut markets: Vec<&mut Market> = borrowed.iter_mut().map(|mirror| &mut mirror.market).collect();
        let mut wants: Vec<Wants> = wants.into_iter().map(|(book, trades)| Wants { book, trades }).collect();
        wants.resize(markets.len(), Wants::default());
        let mut host = EngineHost {
            py,
            engine: self.engine.bind(py).get(),
            batch: EngineBatch::default(),
            accepted: Vec::new(),
            due_ns,
            tape: &mut tape,
            told: self.told.bind(py),
            tick: self.tick,
        };
        self.cursor.now_ns = now_ns;
        let (actions, commands) = std::mem::take(&mut self.spare);
        let mut run = Run {
            rows: &rows.rows,
            markets: &mut markets,
            places: &self.places,
            wants: &wants,
            foreign,
            until_ns,
            wake_ns,
            host: &mut host,
            actions,
            commands,
        };
        let stop = run.run(&mut self.cursor);
        self.spare = (run.actions, run.commands);
        host.engine.reuse(std::mem::take(&mut host.batch));
        let (kind, value) = match stop? {
            Stop::Queue { until_ns, arriving } => (u8::from(arriving), until_ns),
            Stop::Wake => (2, self.cursor.now_ns),
            Stop::Message { index } => (3, index as i64),
            Stop::Kept { index } => (4, index as i64),
            Stop::End => (5, 0),
        };
        Ok((kind, value, self.cursor.now_ns))
    }
}

struct EngineHost<'a, 'py> {
    py: Python<'py>,
    engine: &'a Engine,
    batch: EngineBatch,
    accepted: Vec<bool>,
    due_ns: Option<i64>,
    tape: &'a mut Tape,
    told: &'a Bound<'py, PyAny>,
    tick: Command,
}

impl Host for EngineHost<'_, '_> {
    type Error = PyErr;

    fn apply(&mut self, commands: &[Command], now_ns: i64) -> PyResult<()> {
        let bytes: &[u8] = bytemuck::cast_slice(commands);
        self.batch.clear();
        self.engine.apply_here(bytes, now_ns, &mut self.batch)?;
        self.tape.add(bytes);
        let EngineBatch { results, submitted, .. } = &self.batch;
        self.accepted.clear();
        self.accepted.extend(submitted.iter().map(|&place| results[place as usize].accepted != 0));
        Ok(())
    }

    fn batch(&self) -> BatchView<'_> {
        self.batch.as_view()
    }

    fn accepted(&self, place: usize) -> bool {
        self.accepted.get(place).copied().unwrap_or(false)
    }

    fn tell(&mut self, now_ns: i64) -> PyResult<()> {
        let batch = self.engine.shared(std::mem::take(&mut self.batch));
        self.due_ns = self.told.call1((Bound::new(self.py, batch)?, now_ns))?.extract()?;
        Ok(())
    }

    fn due_ns(&self) -> Option<i64> {
        self.due_ns
    }

    fn engine_time_ns(&self) -> i64 {
        self.engine.last_ns()
    }

    fn tick(&self) -> Command {
        self.tick
    }
}

/// Adds the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PaperMirror>()?;
    module.add_class::<PaperPlan>()?;
    module.add_class::<PaperRows>()?;
    module.add_class::<PaperReplay>()?;
    module.add_class::<Tape>()?;
    module.add_function(wrap_pyfunction!(paper_fold, module)?)?;
    module.add_function(wrap_pyfunction!(paper_segment_cuts, module)?)
}
