//! Field tables, catalogues and constants: Python reads the one definition of each record from here.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use tradewind_engine::ledger::line;
use tradewind_engine::record520::{OutcomeMarketRecord, OutcomeOverflowRecord};
use tradewind_engine::record_number::DistributionClaimRecord;
use tradewind_engine::wire::command::{self, Command, Kind};
use tradewind_engine::wire::error::{Code, CATALOGUE};
use tradewind_engine::wire::event::{self, CommandResult, Event, EventKind, Posting};
use tradewind_engine::wire::record::{Field, Record};
use tradewind_engine::{market, roles};

type FieldRow = (&'static str, usize, &'static str);

fn rows(fields: &[Field]) -> Vec<FieldRow> {
    fields.iter().map(|field| (field.name, field.offset, field.numpy_type)).collect()
}

/// Every record, payload and body by name: its fields as (name, byte offset, NumPy type).
#[pyfunction]
pub fn field_tables() -> BTreeMap<&'static str, Vec<FieldRow>> {
    let mut tables = BTreeMap::from([
        (Command::NAME, rows(Command::FIELDS)),
        (CommandResult::NAME, rows(CommandResult::FIELDS)),
        (Event::NAME, rows(Event::FIELDS)),
        (Posting::NAME, rows(Posting::FIELDS)),
        (OutcomeMarketRecord::NAME, rows(OutcomeMarketRecord::FIELDS)),
        (OutcomeOverflowRecord::NAME, rows(OutcomeOverflowRecord::FIELDS)),
        (DistributionClaimRecord::NAME, rows(DistributionClaimRecord::FIELDS)),
    ]);
    tables.extend(Kind::ALL.iter().map(|kind| (kind.payload_name(), rows(kind.payload_fields()))));
    tables.extend(EventKind::ALL.iter().map(|kind| (kind.body_name(), rows(kind.body_fields()))));
    tables
}

/// Bytes of every record of `field_tables`.
#[pyfunction]
pub fn record_sizes() -> BTreeMap<&'static str, usize> {
    let mut sizes = BTreeMap::from([
        (Command::NAME, Command::SIZE),
        (CommandResult::NAME, CommandResult::SIZE),
        (Event::NAME, Event::SIZE),
        (Posting::NAME, Posting::SIZE),
        (OutcomeMarketRecord::NAME, OutcomeMarketRecord::SIZE),
        (OutcomeOverflowRecord::NAME, OutcomeOverflowRecord::SIZE),
        (DistributionClaimRecord::NAME, DistributionClaimRecord::SIZE),
    ]);
    sizes.extend(Kind::ALL.iter().map(|kind| (kind.payload_name(), kind.payload_size())));
    sizes.extend(EventKind::ALL.iter().map(|kind| (kind.body_name(), kind.body_size())));
    sizes
}

/// Command name → (kind, op, payload record).
#[pyfunction]
pub fn command_kinds() -> BTreeMap<&'static str, (u16, u8, &'static str)> {
    let row = |kind: &Kind| (kind.name(), (kind.code().0, kind.code().1, kind.payload_name()));
    Kind::ALL.iter().map(row).collect()
}

/// Event name → (code, body record).
#[pyfunction]
pub fn event_kinds() -> BTreeMap<&'static str, (u16, &'static str)> {
    EventKind::ALL.iter().map(|&kind| (kind.name(), (kind as u16, kind.body_name()))).collect()
}

/// (number, name, HTTP status, retryable, message template) of every error, in ascending number.
#[pyfunction]
pub fn error_catalogue() -> Vec<(u16, &'static str, u16, bool, &'static str)> {
    CATALOGUE.iter().map(|row| (row.number, row.name, row.http_status, row.retryable, row.template)).collect()
}

/// The sentence of an error with its values; empty for a number that the catalogue does not have.
#[pyfunction]
pub fn error_message(number: u16, bound: i64, given: i64) -> String {
    Code::from_number(number).map_or_else(String::new, |code| code.message(bound, given))
}

macro_rules! group {
    ($($path:ident)::+ { $($name:ident),* $(,)? }) => {{
        use $($path)::+ as group;
        BTreeMap::from([$((stringify!($name).to_owned(), u64::from(group::$name))),*])
    }};
}

/// Named numbers of the vocabulary, by group.
#[pyfunction]
pub fn constants() -> BTreeMap<&'static str, BTreeMap<String, u64>> {
    BTreeMap::from([
        ("side", group!(command::side { BUY, SELL })),
        (
            "order_type",
            group!(command::order_type {
                LIMIT,
                MARKET,
                STOP,
                STOP_LIMIT,
                TAKE_PROFIT,
                TRAILING_STOP,
                ICEBERG,
                TWAP
            }),
        ),
        ("time_in_force", group!(command::time_in_force { GTC, IOC, FOK, GTD })),
        ("order_flag", group!(command::order_flag { POST_ONLY, REDUCE_ONLY, OCO, BRACKET, TRAIL_PPM })),
        ("trigger_source", group!(command::trigger_source { MARK, INDEX, LAST_TRADE })),
        ("asset_flag", group!(command::asset_flag { SETTLEMENT, STABLE, STAKE, TOKEN })),
        (
            "position_cause",
            group!(event::position_cause {
                TRADE,
                FUNDING,
                LIQUIDATION,
                ADL,
                SETTLEMENT,
                SOCIALISED,
                TAKEOVER
            }),
        ),
        ("stp", group!(command::stp { CANCEL_NEWEST, CANCEL_OLDEST, CANCEL_BOTH, DECREMENT })),
        ("scope", group!(command::scope { TRADE, CANCEL, TRANSFER_IN, ALL })),
        ("all", group!(command { ALL_MARKETS, ALL })),
        ("none", group!(event { NO_MARKET, NO_ACCOUNT })),
        (
            "trade_kind",
            group!(event::trade_kind { TRANSFER, MINT, MERGE, PERP, AMM, DARK, LIQUIDATION, ADL }),
        ),
        ("cancel_reason", numbered(&event::cancel_reason::NAMES, 1)),
        ("role", numbered(roles::NAMES, 0)),
        (
            "line",
            line::NAMES.iter().map(|&(name, number)| (name.to_uppercase(), u64::from(number))).collect(),
        ),
        ("market_status", numbered(&market::status::NAMES, 0)),
        ("market_kind", group!(market::kind { SPOT, PERPETUAL, OUTCOME, DISTRIBUTION })),
    ])
}

fn numbered(names: &[&str], first: u64) -> BTreeMap<String, u64> {
    names.iter().map(|name| name.to_uppercase()).zip(first..).collect()
}
