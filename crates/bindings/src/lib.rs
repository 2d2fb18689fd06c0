//! The Python module `tradewind._core`: engine, journal and auditor behind one thin layer.
//!
//! Records cross the border as bytes; Python reads their layout from `field_tables`. The interpreter is released
//! while commands are applied and blocks are synced.

use pyo3::prelude::*;
use tradewind_engine::wire::command::{Command, COMMAND_SIZE};
use tradewind_engine::wire::event::{CommandResult, Posting, EVENT_SIZE};

mod amm;
mod audit;
mod batch;
mod bench;
mod bench_coverage;
mod bench_leveraged;
mod bench_pool;
mod coverage;
mod engine;
mod errors;
mod failure;
#[cfg(feature = "faults")]
mod faults;
mod feeds;
mod journal;
mod margin;
mod node;
mod paper;
mod pool;
mod record520;
mod recover;
mod tables;

/// Alignment of the memory that Python gives its objects; what asks for more must lie in a box of its own.
const PYTHON_ALIGNMENT: usize = 2 * size_of::<usize>();

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("COMMAND_SIZE", COMMAND_SIZE)?;
    module.add("RESULT_SIZE", size_of::<CommandResult>())?;
    module.add("EVENT_SIZE", EVENT_SIZE)?;
    module.add("POSTING_SIZE", size_of::<Posting>())?;
    module.add("MAX_BATCH_COMMANDS", node::MAX_BATCH_COMMANDS)?;
    module.add("MAX_BATCH_NOTE_BYTES", node::MAX_BATCH_NOTE_BYTES)?;
    debug_assert_eq!(size_of::<Command>(), COMMAND_SIZE);
    errors::register(module)?;
    module.add_class::<batch::Batch>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<node::Node>()?;
    module.add_class::<node::SnapshotImage>()?;
    module.add_class::<journal::JournalReader>()?;
    add_functions(module)?;
    amm::register(module)?;
    bench::register(module)?;
    feeds::register(module)?;
    paper::register(module)?;
    module.add_function(wrap_pyfunction!(bench_pool::bench_market_maker, module)?)?;
    module.add_function(wrap_pyfunction!(pool::pool_prices, module)?)?;
    module.add_function(wrap_pyfunction!(pool::pool_quote, module)?)?;
    module.add_function(wrap_pyfunction!(pool::distribution_quote, module)?)?;
    module.add_function(wrap_pyfunction!(pool::pool_touched, module)?)?;
    module.add_function(wrap_pyfunction!(bench_leveraged::bench_price_steps, module)?)?;
    module.add_function(wrap_pyfunction!(bench_coverage::bench_coverage_changes, module)?)?;
    module.add_function(wrap_pyfunction!(bench_leveraged::bench_crash, module)?)?;
    module.add_function(wrap_pyfunction!(bench_leveraged::bench_leveraged_orders, module)?)?;
    #[cfg(feature = "faults")]
    {
        module.add_function(wrap_pyfunction!(faults::set_fault, module)?)?;
        module.add_function(wrap_pyfunction!(faults::clear_fault, module)?)?;
    }
    Ok(())
}

fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(tables::field_tables, module)?)?;
    module.add_function(wrap_pyfunction!(tables::record_sizes, module)?)?;
    module.add_function(wrap_pyfunction!(tables::command_kinds, module)?)?;
    module.add_function(wrap_pyfunction!(tables::event_kinds, module)?)?;
    module.add_function(wrap_pyfunction!(tables::error_catalogue, module)?)?;
    module.add_function(wrap_pyfunction!(tables::error_message, module)?)?;
    module.add_function(wrap_pyfunction!(tables::constants, module)?)?;
    module.add_function(wrap_pyfunction!(engine::derive_account_id, module)?)?;
    module.add_function(wrap_pyfunction!(engine::derive_market_id, module)?)?;
    module.add_function(wrap_pyfunction!(engine::blake3, module)?)?;
    module.add_function(wrap_pyfunction!(engine::encode_genesis, module)?)?;
    module.add_function(wrap_pyfunction!(engine::decode_genesis, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_exists, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_genesis, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_verify, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_replay, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_prove, module)?)?;
    module.add_function(wrap_pyfunction!(journal::proof_verify, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_root, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_consistency, module)?)?;
    module.add_function(wrap_pyfunction!(journal::consistency_verify, module)?)?;
    module.add_function(wrap_pyfunction!(journal::snapshot_list, module)?)?;
    module.add_function(wrap_pyfunction!(margin::position_margins, module)?)?;
    module.add_function(wrap_pyfunction!(margin::position_liquidation_price, module)?)?;
    module.add_function(wrap_pyfunction!(margin::position_bankruptcy_price, module)?)?;
    module.add_function(wrap_pyfunction!(margin::funding_payment, module)?)?;
    add_coverage(module)?;
    module.add_function(wrap_pyfunction!(record520::market_record_encode, module)?)?;
    module.add_function(wrap_pyfunction!(record520::market_record_decode, module)?)?;
    module.add_function(wrap_pyfunction!(record520::number_record_decode, module)?)?;
    module.add_function(wrap_pyfunction!(record520::crc16, module)?)?;
    Ok(())
}

/// Fees, coverage and vault shares.
fn add_coverage(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(coverage::fee_rate_e8, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::fee_amount, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::fee_split, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::fee_tiers, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::fee_discount_bp, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::fee_flat_rate_e8, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::fee_returned, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::coverage_ppm, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::coverage_at_risk, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::coverage_states, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::leverage_cap, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::leverage_of_stage, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::expected_shortfall, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::vault_shares, module)?)?;
    module.add_function(wrap_pyfunction!(coverage::vault_assets, module)?)?;
    Ok(())
}
