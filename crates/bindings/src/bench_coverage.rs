//! Measurement of coverage: one change among many markets (protocol P9.2, P9.3).

use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tradewind_engine::coverage::stress::Stress;
use tradewind_engine::coverage::{Coverage, Exposure};
use tradewind_engine::liquidation::watch::owner;
use tradewind_engine::perp::{PerpMarket, Position, Risk};

const MAX_MARKETS: u32 = 65_536;
const MAX_POSITIONS: u32 = 1_000_000;
const MAX_CHANGES: usize = 100_000;
const BUCKETS: u32 = 64;
const NAV: i64 = 1_000_000_000_000_000;
/// Mark in ticks and unit of the market that changes.
const MARK: i64 = 10_000;
const UNIT: i64 = 10;

/// Long and short by turns, 10 to 60 per cent of the notional behind each.
fn position(account: u32, salt: i64) -> (Position, i128) {
    let lots = 1_000 + (i64::from(account) * 7_919 + salt) % 9_000;
    let lots = if account % 2 == 0 { lots } else { -lots };
    let value = lots * MARK * UNIT;
    let money = value.abs() / 100 * (10 + (i64::from(account) + salt) % 50);
    (Position { lots, cost: value, ..Position::new(account, 0, 0, 0) }, i128::from(money))
}

/// Nanoseconds of one change, median and worst: a position of a leveraged market with `positions` of them is counted
/// again, the market's worst case over the grid, S over `markets` markets in 64 buckets, and coverage.
///
/// Raises:
///     ValueError: a number is zero or beyond its bound.
#[pyfunction]
pub fn bench_coverage_changes<'py>(
    py: Python<'py>,
    markets: u32,
    positions: u32,
    changes: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let sound = (1..=MAX_MARKETS).contains(&markets)
        && (1..=MAX_POSITIONS).contains(&positions)
        && (1..=MAX_CHANGES).contains(&changes);
    if !sound {
        return Err(PyValueError::new_err(
            "markets, positions and changes must be at least 1 and within bounds",
        ));
    }
    let (mut samples, finite) = py.detach(|| measure(markets, positions, changes));
    samples.sort_unstable();
    let report = PyDict::new(py);
    report.set_item("markets", markets)?;
    report.set_item("positions", positions)?;
    report.set_item("changes", changes)?;
    report.set_item("finite", finite)?;
    report.set_item("p50_ns", samples[samples.len() / 2])?;
    report.set_item("max_ns", samples[samples.len() - 1])?;
    Ok(report)
}

/// Samples, and how many of the coverages were finite: a measurement of nothing would have none.
fn measure(markets: u32, positions: u32, changes: usize) -> (Vec<u64>, usize) {
    let mut exposure = Exposure::default();
    (1..markets).for_each(|market| exposure.set(market, market % BUCKETS, 1_000_000 + i64::from(market)));
    let mut stress = Stress::default();
    let mut lines: Vec<_> = (0..positions)
        .map(|account| {
            let (position, money) = position(account, 0);
            stress.add(0, &position, money)
        })
        .collect();
    let mut perp = PerpMarket::new(0, 0, UNIT, Risk::default());
    let (mut samples, mut finite) = (Vec::with_capacity(changes), 0);
    for change in 0..changes {
        let account = (change as u32).wrapping_mul(2_654_435_761) % positions;
        let (position, money) = position(account, change as i64);
        perp.mark = MARK + change as i64 % 100;
        let begin = Instant::now();
        stress.remove(0, owner(account, 0), lines[account as usize]);
        lines[account as usize] = stress.add(0, &position, money);
        exposure.set(0, 0, stress.worst_case(0, &perp));
        let coverage = Coverage::of(NAV, exposure.total());
        samples.push(begin.elapsed().as_nanos() as u64);
        finite += usize::from(coverage.is_finite());
    }
    (samples, finite)
}
