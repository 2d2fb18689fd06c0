//! Measurements of leveraged markets: prices over many positions, a crash, orders with a margin check.

use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tradewind_engine::batch::Batch as EngineBatch;
use tradewind_engine::sequence::apply_batch;
use tradewind_engine::streams_crash::{Crash, Report};
use tradewind_engine::wire::error::Reject;
use tradewind_engine::wire::event::EventKind;
use tradewind_engine::wire::Command;
use tradewind_engine::FastBook;

use crate::bench::tw_bench_apply;
use crate::failure::Failure;

const MAX_POSITIONS: u32 = 200_000;
const MAX_STEPS: usize = 10_000;
const MAX_ORDERS: usize = 4_096;
/// The crash: 40 % within a minute in quarters of a second, then a minute for what is left.
const CRASH_PPM: i64 = 400_000;
const CRASH_STEPS: i64 = 240;
const AFTER_STEPS: i64 = 240;
/// Bids below the market, in ticks below 100.00 and contracts: less than what must be sold, so that every stage is used.
const BIDS: i64 = 200;

fn check(name: &str, given: u64, least: u64, most: u64) -> PyResult<()> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{name} is {given}, it must be from {least} to {most}")))
}

fn apply(crash: &mut Crash<FastBook>, commands: &[Command], batch: &mut EngineBatch) -> Result<(), Reject> {
    batch.clear();
    let now_ns = crash.now_ns();
    tw_bench_apply(&mut crash.engine, bytemuck::cast_slice(commands), now_ns, batch)
}

fn refused(batch: &EngineBatch) -> u64 {
    batch.results.iter().filter(|result| result.accepted == 0).count() as u64
}

/// Nanoseconds of a price step over `positions` leveraged positions, none of which becomes unhealthy: each step is
/// three publications and a Tick. Sorted median and worst.
#[pyfunction]
pub fn bench_price_steps<'py>(py: Python<'py>, positions: u32, steps: usize) -> PyResult<Bound<'py, PyDict>> {
    check("positions", positions.into(), 1, MAX_POSITIONS.into())?;
    check("steps", steps as u64, 1, MAX_STEPS as u64)?;
    let (mut samples, refused, marks) = py.detach(|| -> Result<_, Failure> {
        let mut crash = Crash::<FastBook>::new(positions)?;
        let mut batch = EngineBatch::default();
        let (mut samples, mut bad, mut marks) = (Vec::with_capacity(steps), 0, 0);
        for step in 0..steps {
            // Down and up by a tenth of a percent: the mark moves each time, and nobody comes near his margin.
            let commands = crash.step(if step % 2 == 0 { 1_000 } else { -1_000 });
            let begin = Instant::now();
            apply(&mut crash, &commands, &mut batch)?;
            samples.push(begin.elapsed().as_nanos() as u64);
            bad += refused(&batch);
            let mark = EventKind::MarkUpdated as u16;
            marks += batch.output.events.iter().filter(|event| event.kind == mark).count() as u64;
        }
        Ok((samples, bad, marks))
    })?;
    samples.sort_unstable();
    let report = PyDict::new(py);
    report.set_item("positions", positions)?;
    report.set_item("steps", steps)?;
    report.set_item("refused", refused)?;
    report.set_item("marks", marks)?;
    report.set_item("p50_ns", samples[samples.len() / 2])?;
    report.set_item("max_ns", samples[samples.len() - 1])?;
    Ok(report)
}

/// A fall of 40 % within a minute over `positions` positions: what was done and the nanoseconds that it took, the
/// making of the commands included.
#[pyfunction]
pub fn bench_crash<'py>(py: Python<'py>, positions: u32) -> PyResult<Bound<'py, PyDict>> {
    check("positions", positions.into(), 1, MAX_POSITIONS.into())?;
    let (report, spent_ns) = py.detach(|| -> Result<_, Failure> {
        let mut crash = Crash::<FastBook>::new(positions)?;
        let mut report = Report::default();
        for level in 0..BIDS {
            let lots = i64::from(positions) * 10_000 / 2 / BIDS;
            crash.bid(9_990 - level * 20, lots.max(1), &mut report)?;
        }
        report = Report::default();
        let begin = Instant::now();
        crash.fall(CRASH_PPM, CRASH_STEPS, &mut report)?;
        crash.wait(AFTER_STEPS, &mut report)?;
        Ok((report, begin.elapsed().as_nanos() as u64))
    })?;
    let shown = PyDict::new(py);
    shown.set_item("positions", positions)?;
    shown.set_item("commands", report.commands)?;
    shown.set_item("events", report.events)?;
    shown.set_item("steps", report.steps)?;
    shown.set_item("flagged", report.flagged)?;
    shown.set_item("elapsed_ns", spent_ns)?;
    Ok(shown)
}

/// `count` orders of one kind in a leveraged market, applied by the counted function: `take` checks margin and fills,
/// `batch` is an atomic batch of eight. Returns commands, refused and trades.
#[pyfunction]
pub fn bench_leveraged_orders<'py>(
    py: Python<'py>,
    kind: &str,
    positions: u32,
    count: usize,
) -> PyResult<Bound<'py, PyDict>> {
    check("positions", positions.into(), 1, MAX_POSITIONS.into())?;
    check("count", count as u64, 1, MAX_ORDERS as u64)?;
    let taking = match kind {
        "take" => true,
        "batch" => false,
        _ => return Err(PyValueError::new_err(format!("no kind {kind:?}; there are take and batch"))),
    };
    let (commands, refused, trades) = py.detach(|| -> Result<_, Failure> {
        let mut crash = Crash::<FastBook>::new(positions)?;
        let mut report = Report::default();
        crash.bid(9_995, 10_000_000, &mut report)?;
        let some = |crash: &mut Crash<FastBook>, count: usize| match taking {
            true => crash.takes(count),
            false => (0..count).flat_map(|_| crash.batch_of_eight()).collect(),
        };
        let mut batch = EngineBatch::default();
        // The first time fills the tables and buffers; `apply` of these is not counted.
        // A sub-account rests 200 orders in a market at most: few batches for that.
        let warming = some(&mut crash, if taking { count } else { count.min(2) });
        let now_ns = crash.now_ns();
        apply_batch(&mut crash.engine, bytemuck::cast_slice(&warming), now_ns, &mut batch)?;
        let commands = some(&mut crash, count);
        apply(&mut crash, &commands, &mut batch)?;
        let trade = EventKind::Trade as u16;
        let trades = batch.output.events.iter().filter(|event| event.kind == trade).count();
        Ok((commands.len(), refused(&batch), trades))
    })?;
    let report = PyDict::new(py);
    report.set_item("commands", commands)?;
    report.set_item("refused", refused)?;
    report.set_item("trades", trades)?;
    Ok(report)
}
