"""One sample a minute: plain figures, None where something was not measured. None is never zero."""

from __future__ import annotations

import msgspec

from .statistics import Histogram

SAMPLE_EVERY_S = 60.0


class ProcessFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of this process, from the kernel and the interpreter."""

    rss_bytes: int | None
    heap_bytes: int | None
    """In use by the C library's allocator; None where it cannot be asked."""
    python_blocks: int | None
    cpu_s: float | None
    descriptors: int | None
    tasks: int | None
    threads: int | None
    descriptor_limit: int | None
    cpu_limit: float | None
    """Cores that this process may use."""
    disk_free_bytes: int | None
    disk_total_bytes: int | None


class LogFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of the diagnostic log and the journal."""

    log_bytes: int | None
    log_file_max_bytes: int | None
    log_rotations: int | None
    log_dropped: int | None
    log_failed: int | None
    journal_bytes: int | None
    journal_blocks: int | None
    journal_seq: int | None
    heartbeat_gap_s: float | None
    """Longest time between two blocks since the last sample."""


class FeedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of the market data, since the process started unless the name says otherwise."""

    label: str
    watched_s: float
    """Seconds since the last sample in which somebody looked."""
    live_s: float
    """Of these, with a live book."""
    private_live_s: float
    frames: int
    events: int
    gaps: int
    reconnects: int
    planned_reconnects: int
    resynced: int
    """Reconnects after which the book came back by a snapshot and the ledger was equal."""


class TradingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of orders and money. Counts since the process started; money as text."""

    submits: int
    acks: int
    preventable_rejects: int
    venue_rejects: int
    nonce_rejects: int
    uncertain: int
    denied: int
    unknown_open: int
    unknown_max_s: float
    """Longest time that an order was without an answer since the last sample, in venue time."""
    fills: int
    """Executions that reached the series."""
    ledger_fills: int
    """Executions that the ledger booked."""
    trade_through: int
    suspense: int
    orders_open: int
    signals: int
    """Intents of strategies that became orders."""
    ledger_differences: int | None
    """None: something was in flight at every look of this minute."""
    reconciliation_breaks: int
    violations: int
    breaches: int
    equity: str | None
    net_pnl: str | None
    fees: str | None
    turnover: str | None
    mirror_updates: int
    mirror_forced: int
    mirror_refused: int
    state: str


class ApiFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of requests to the venue since the last sample: counts by class, latency as histogram in ms."""

    requests: int
    errors: dict[str, int]
    latency: Histogram
    wire_floor_ms: float | None
    """Mean round trip that the venue's wire takes by itself."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment of a campaign."""

    number: int
    life: int
    campaign_s: float
    wall_ns: int
    monotonic_ns: int
    boottime_ns: int
    boot_id: str
    process_age_s: float | None
    process: ProcessFigures
    logs: LogFigures
    feed: FeedFigures | None
    trading: TradingFigures | None
    api: ApiFigures | None
    alarms: list[str] = []


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened to an order of the campaign."""

    what: str
    """submit, ack, reject, uncertain, end"""
    at_ns: int
    client_id: str
    campaign_s: float = 0.0
    symbol: str = ""
    side: str = ""
    price: str = ""
    quantity: str = ""
    filled: str = ""
    state: str = ""
    code: str = ""
    preventable: bool = False
    latency_ms: float | None = None


class FillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, money as text."""

    at_ns: int
    campaign_s: float
    trade_id: str
    client_id: str
    symbol: str
    side: str
    price: str
    quantity: str
    fee: str
    fee_asset: str
    maker: bool
    realised: str
    """Realised profit of the symbol after this fill, before fees."""


class DrillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One drill that the campaign ran: `kill`, `reconnect`, `alerts`, `nonce`, `journal`."""

    drill: str
    day: int
    campaign_s: float
    at_ns: int
    ran: bool
    passed: bool
    figures: dict[str, float] = {}
    detail: str = ""


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that began."""

    at_ns: int
    campaign_s: float
    text: str
