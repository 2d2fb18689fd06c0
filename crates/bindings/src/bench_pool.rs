//! What swaps and market makers' kernels cost, counted in the functions that profilers find by name.

use std::hint::black_box;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tradewind_engine::amm::distribution::{self, Normal};
use tradewind_engine::amm::{exponential, simpson};
use tradewind_engine::sequence::apply_batch;
use tradewind_engine::streams_pool::PoolStream;
use tradewind_engine::{Batch as EngineBatch, FastBook};

use crate::bench::tw_bench_apply;
use crate::failure::Failure;

const MOST_SWAPS: usize = 4_096;
const REACH: f64 = 8.0;

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

/// Applies `count` swaps to a pool, "lmsr" of so many outcomes or "pm", in the counted function, after as many that are
/// not counted; "distribution" values as many moves. Returns (counted, refused).
///
/// Raises:
///     ValueError: unknown kind, or a number out of bounds.
#[pyfunction]
pub fn bench_market_maker(
    py: Python<'_>,
    kind: &str,
    outcomes: u8,
    count: usize,
) -> PyResult<(usize, usize)> {
    if !(1..=MOST_SWAPS).contains(&count) || !(2..=64).contains(&outcomes) {
        return Err(PyValueError::new_err(format!(
            "count must be from 1 to {MOST_SWAPS} and outcomes from 2 to 64, got {count} and {outcomes}"
        )));
    }
    match kind {
        "lmsr" | "pm" => Ok(py.detach(|| swaps(outcomes, kind == "pm", count))?),
        "distribution" => Ok((count, moves(count))),
        _ => Err(PyValueError::new_err(format!("no kind {kind:?}; there are lmsr, pm and distribution"))),
    }
}

fn swaps(outcomes: u8, pm: bool, count: usize) -> Result<(usize, usize), Failure> {
    let mut stream = PoolStream::<FastBook>::new(if pm { 2 } else { outcomes }, pm)?;
    let mut batch = EngineBatch::default();
    let warming = stream.swaps(count);
    let now_ns = stream.now_ns;
    apply_batch(&mut stream.engine, bytemuck::cast_slice(&warming), now_ns, &mut batch)?;
    let counted = stream.swaps(count);
    tw_bench_apply(&mut stream.engine, bytemuck::cast_slice(&counted), now_ns, &mut batch)?;
    let refused = batch.results.iter().filter(|result| result.accepted == 0).count();
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
