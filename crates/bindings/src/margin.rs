//! Margin arithmetic for views: the engine's own functions on the numbers that the log shows.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tradewind_engine::perp::margin::{bankruptcy_price, liquidation_price};
use tradewind_engine::perp::{funding, PerpMarket, Position, Risk};

/// Largest lots, prices and values that an engine can hold; beyond them the products could overflow.
const MAX_SIZE: i64 = 1 << 41;

fn market(
    mark: i64,
    unit: i64,
    leverage_e2: u32,
    size_k_ppm: u32,
    floor_mmf_ppm: u32,
) -> PyResult<PerpMarket> {
    if !(0..=i64::from(i32::MAX)).contains(&mark) || !(1..=1_000_000_000_000).contains(&unit) {
        return Err(PyValueError::new_err("mark and unit must be within the engine's bounds"));
    }
    let risk = Risk { max_leverage_e2: leverage_e2, size_k_ppm, floor_mmf_ppm, ..Risk::default() };
    let mut market = PerpMarket::new(0, 0, unit, risk);
    market.mark = mark;
    Ok(market)
}

/// Unrealised profit, initial and maintenance margin of a position with its open orders, in micro-quote.
///
/// `orders` = (open buy lots, their value at their limits, open sell lots, their value); `risk` = (leverage cap in
/// hundredths, size term, floor of the maintenance fraction); `chosen_e2` 0 = no leverage chosen.
///
/// Raises:
///     ValueError: a number outside the engine's bounds.
#[pyfunction]
pub fn position_margins(
    lots: i64,
    cost: i64,
    mark: i64,
    unit: i64,
    orders: (i64, i64, i64, i64),
    risk: (u32, u32, u32),
    chosen_e2: u32,
) -> PyResult<(i128, i128, i128)> {
    let (open_buy_lots, open_buy_value, open_sell_lots, open_sell_value) = orders;
    if [lots, open_buy_lots, open_sell_lots].iter().any(|lots| lots.unsigned_abs() > MAX_SIZE as u64) {
        return Err(PyValueError::new_err("lots must be within the engine's bounds"));
    }
    let (leverage_e2, size_k_ppm, floor_mmf_ppm) = risk;
    let perp = market(mark, unit, leverage_e2, size_k_ppm, floor_mmf_ppm)?;
    let position = Position {
        lots,
        cost,
        leverage_e2: chosen_e2,
        open_buy_lots,
        open_buy_value,
        open_sell_lots,
        open_sell_value,
        ..Position::new(0, 0, 0, 0)
    };
    let profit = position.unrealised(mark, unit);
    Ok((profit, perp.initial_margin(&position, position.leverage_e2), perp.maintenance_margin(&position)))
}

/// Mark in ticks at which a position reaches maintenance, None when no price does; `equity_without_value` is what
/// the sub-account would have if the position's lots were worth nothing, less the maintenance of the others.
///
/// Raises:
///     ValueError: a number outside the engine's bounds.
#[pyfunction]
pub fn position_liquidation_price(
    lots: i64,
    unit: i64,
    mark: i64,
    equity_without_value: i128,
    risk: (u32, u32, u32),
) -> PyResult<Option<i64>> {
    let perp = market(mark, unit, risk.0, risk.1, risk.2)?;
    if equity_without_value.unsigned_abs() > 1 << 100 || lots.unsigned_abs() > MAX_SIZE as u64 {
        return Err(PyValueError::new_err("equity and lots must be within the engine's bounds"));
    }
    let mmf = perp.fractions(0).maintenance_ppm(perp.value(lots));
    Ok(liquidation_price(lots, unit, equity_without_value, mmf))
}

/// Price in ticks at which the equity of a sub-account with this position is zero.
#[pyfunction]
pub fn position_bankruptcy_price(lots: i64, unit: i64, mark: i64, equity: i128) -> i64 {
    bankruptcy_price(lots, unit.max(1), mark, equity.clamp(-(1 << 100), 1 << 100))
}

/// Micro-quote that a position owes (negative: is owed) between two values of the funding index.
///
/// Raises:
///     ValueError: a number outside the engine's bounds.
#[pyfunction]
pub fn funding_payment(lots: i64, index: i128, entry: i128) -> PyResult<i64> {
    let reach = index.checked_sub(entry).filter(|reach| reach.unsigned_abs() < 1 << 80);
    match reach {
        Some(reach) if lots.unsigned_abs() <= MAX_SIZE as u64 => {
            let micro = i128::from(lots) * reach / 1_000_000_000;
            if micro.unsigned_abs() > i64::MAX as u128 / 2 {
                return Err(PyValueError::new_err("the payment is beyond the ledger"));
            }
            Ok(funding::payment(lots, index, entry))
        }
        _ => Err(PyValueError::new_err("lots and index must be within the engine's bounds")),
    }
}
