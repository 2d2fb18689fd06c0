//! The 520-byte market record for Python: fields as a dictionary, records as bytes.

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tradewind_engine::record520::{self, ArchivedMarket, Link};
use tradewind_engine::record_number::ArchivedNumber;

use crate::errors;

/// A field of the dictionary; what is missing or of another type is named.
fn field<'py, T: FromPyObject<'py>>(fields: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let value = fields.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
    value.extract::<T>().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn id(fields: &Bound<'_, PyDict>, name: &str) -> PyResult<[u8; 32]> {
    let bytes: Vec<u8> = field(fields, name)?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| PyValueError::new_err(format!("{name}: 32 bytes, not {length}")))
}

fn read(fields: &Bound<'_, PyDict>) -> PyResult<ArchivedMarket> {
    let links: Vec<(u64, i64)> = field(fields, "links")?;
    Ok(ArchivedMarket {
        header_flags: field(fields, "header_flags")?,
        market_id: id(fields, "market_id")?,
        condition_id: id(fields, "condition_id")?,
        verse_id: id(fields, "verse_id")?,
        prices: field(fields, "prices")?,
        volumes: field(fields, "volumes")?,
        liquidity: field(fields, "liquidity")?,
        settle_time_ns: field(fields, "settle_time_ns")?,
        resolution_time_ns: field(fields, "resolution_time_ns")?,
        evidence_hash: id(fields, "evidence_hash")?,
        resolution_id: id(fields, "resolution_id")?,
        liquidation_accumulator: field(fields, "liquidation_accumulator")?,
        links: links.into_iter().map(|(chain, exposure_lots)| Link { chain, exposure_lots }).collect(),
        links_total: field(fields, "links_total")?,
        winner: field(fields, "winner")?,
        amm_kind: field(fields, "amm_kind")?,
        status: field(fields, "status")?,
        pause_level: field(fields, "pause_level")?,
        halt_reasons: field(fields, "halt_reasons")?,
    })
}

/// The base record of a market and its overflow records, 520 bytes each (protocol P1.6).
///
/// Raises:
///     KeyError: a field is missing. ValueError: a field of another type or size. TradewindError: a value that the
///     record cannot hold, e.g. `INVALID_OUTCOME_COUNT`.
#[pyfunction]
pub fn market_record_encode<'py>(
    py: Python<'py>,
    fields: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = read(fields)?.encode().map_err(|refusal| errors::from_reject(py, refusal))?;
    Ok(PyBytes::new(py, &bytes))
}

/// The fields of a market from its records.
///
/// Raises:
///     TradewindError: `INVALID_RECORD_LENGTH`, `INVALID_TYPE_TAG`, `UNSUPPORTED_VERSION`, `RESERVED_NOT_ZERO`,
///     `CHECKSUM_MISMATCH` or a value that contradicts another.
#[pyfunction]
pub fn market_record_decode<'py>(py: Python<'py>, records: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let market = ArchivedMarket::decode(records).map_err(|refusal| errors::from_reject(py, refusal))?;
    let fields = PyDict::new(py);
    fields.set_item("header_flags", market.header_flags)?;
    fields.set_item("market_id", PyBytes::new(py, &market.market_id))?;
    fields.set_item("condition_id", PyBytes::new(py, &market.condition_id))?;
    fields.set_item("verse_id", PyBytes::new(py, &market.verse_id))?;
    fields.set_item("prices", market.prices)?;
    fields.set_item("volumes", market.volumes)?;
    fields.set_item("liquidity", market.liquidity)?;
    fields.set_item("settle_time_ns", market.settle_time_ns)?;
    fields.set_item("resolution_time_ns", market.resolution_time_ns)?;
    fields.set_item("evidence_hash", PyBytes::new(py, &market.evidence_hash))?;
    fields.set_item("resolution_id", PyBytes::new(py, &market.resolution_id))?;
    fields.set_item("liquidation_accumulator", market.liquidation_accumulator)?;
    let links: Vec<_> = market.links.iter().map(|link| (link.chain, link.exposure_lots)).collect();
    fields.set_item("links", links)?;
    fields.set_item("links_total", market.links_total)?;
    fields.set_item("winner", market.winner)?;
    fields.set_item("amm_kind", market.amm_kind)?;
    fields.set_item("status", market.status)?;
    fields.set_item("pause_level", market.pause_level)?;
    fields.set_item("halt_reasons", market.halt_reasons)?;
    Ok(fields)
}

/// The number of a market from its own record, held against the market's records.
///
/// Raises:
///     TradewindError: what `market_record_decode` raises for either; `DERIVED_ID_MISMATCH`, `INVALID_AMM_KIND` or
///     `PARAMETER_OUT_OF_BOUNDS` when the two contradict each other.
#[pyfunction]
pub fn number_record_decode<'py>(
    py: Python<'py>,
    number: &[u8],
    records: &[u8],
) -> PyResult<Bound<'py, PyDict>> {
    let read = || {
        let number = ArchivedNumber::decode(number)?;
        number.check_of(&ArchivedMarket::decode(records)?)?;
        Ok(number)
    };
    let number = read().map_err(|refusal| errors::from_reject(py, refusal))?;
    let fields = PyDict::new(py);
    fields.set_item("lower", number.lower)?;
    fields.set_item("upper", number.upper)?;
    fields.set_item("norm", number.norm)?;
    fields.set_item("backing", number.backing)?;
    fields.set_item("fees", number.fees)?;
    fields.set_item("mean", number.mean)?;
    fields.set_item("sigma", number.sigma)?;
    fields.set_item("value", number.value)?;
    Ok(fields)
}

/// CRC-16/CCITT-FALSE, the checksum of the market record.
#[pyfunction]
pub fn crc16(data: &[u8]) -> u16 {
    record520::crc16(data)
}
