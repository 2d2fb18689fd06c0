//! What swaps and market makers' kernels cost, counted in the functions that profilers find by name.

use std::hint::black_box;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tradewind_engine::amm::distribution::{self, Normal};
use tradewind_engine::amm::{exponential, simpson};
use tradewind_engine::sequence::apply_batch;
use tradewind_engine::streams_pool::PoolStream;
use tradewind_engine::wire::pool::amm_kind;
use tradewind_engine::{Batch as EngineBatch, FastBook};

use crate::bench::tw_bench_apply;
use crate::failure::Failure;

const MOST_SWAPS: usize = 4_096;
const REACH: f64 = 8.0;
const SECOND_NS: i64 = 1_000_000_000;

/// A distribution trade: its collateral in closed form, and the norm of the new claim audited by Simpson's rule.
#[no_mangle]
#[inline(never)]
pub fn tw_bench_distribution(k: f64, from: Normal, to: Normal) -> (f64, f64) {
    let collateral = distribution::collateral(k, from, to).unwrap_or(f64::NAN);
    let peak = distribution::peak(k, to.sigma);
    let square = |place: f64| {
        let z = (place - to.mean) / to.sigma;
        peak * peak * exponential(-z * z)
    };
    let (lower, upper) = (to.mean - REACH * to.sigma, to.mean + REACH * to.sigma);
    let norm =
        simpson::integrate(square, lower, upper, simpson::SEGMENTS).map_or(f64::NAN, |found| found.value);
    (collateral, norm)
}

/// Applies `count` swaps to a pool, "lmsr" of so many outcomes, "pm" or "pm-dynamic", in the counted function and in
/// batches of `batch`, a second apart, after as many that are not counted; "distribution" values as many moves. Returns
/// (counted, refused).
///
/// Raises:
///     ValueError: unknown kind, or a number out of bounds.
#[pyfunction]
#[pyo3(signature = (kind, outcomes, count, batch = MOST_SWAPS))]
pub fn bench_market_maker(
    py: Python<'_>,
    kind: &str,
    outcomes: u8,
    count: usize,
    batch: usize,
) -> PyResult<(usize, usize)> {
    let numbers = 1..=MOST_SWAPS;
    if !numbers.contains(&count) || !numbers.contains(&batch) || !(2..=64).contains(&outcomes) {
        return Err(PyValueError::new_err(format!(
            "count and batch must be from 1 to {MOST_SWAPS} and outcomes from 2 to 64, got {count}, {batch}, {outcomes}"
        )));
    }
    let amm = match kind {
        "lmsr" => amm_kind::LMSR,
        "pm" => amm_kind::PM_STATIC,
        "pm-dynamic" => amm_kind::PM_DYNAMIC,
        "distribution" => return Ok((count, moves(count))),
        _ => {
            let known = "lmsr, pm, pm-dynamic and distribution";
            return Err(PyValueError::new_err(format!("no kind {kind:?}; there are {known}")));
        }
    };
    Ok(py.detach(|| swaps(if amm == amm_kind::LMSR { outcomes } else { 2 }, amm, count, batch))?)
}

fn swaps(outcomes: u8, kind: u8, count: usize, batch_size: usize) -> Result<(usize, usize), Failure> {
    let mut stream = PoolStream::<FastBook>::new(outcomes, kind)?;
    let mut batch = EngineBatch::default();
    let warming = stream.swaps(count);
    let mut now_ns = stream.now_ns;
    apply_batch(&mut stream.engine, bytemuck::cast_slice(&warming), now_ns, &mut batch)?;
    let counted = stream.swaps(count);
    let mut refused = 0;
    for commands in counted.chunks(batch_size) {
        now_ns += SECOND_NS;
        // A batch is added to until it is cleared; one that grows is no part of a swap.
        batch.clear();
        tw_bench_apply(&mut stream.engine, bytemuck::cast_slice(commands), now_ns, &mut batch)?;
        refused += batch.results.iter().filter(|result| result.accepted == 0).count();
    }
    Ok((counted.len(), refused))
}

/// Moves without a finite answer.
fn moves(count: usize) -> usize {
    let from = Normal { mean: 0.0, sigma: 1.0 };
    let one = |number: usize| {
        let part = number as f64 / count as f64;
        let to = Normal { mean: 4.0 * part - 2.0, sigma: 0.5 + 1.7 * part };
        let (collateral, norm) = tw_bench_distribution(black_box(100.0), black_box(from), black_box(to));
        collateral.is_finite() && norm.is_finite()
    };
    (0..count).filter(|&number| !one(number)).count()
}
