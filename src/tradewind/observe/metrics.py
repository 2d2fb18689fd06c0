"""`/metrics` for Prometheus: counters from batches, gauges from the platform view, names from
`catalogue.toml`.

A gauge whose value is unknown is left out of the answer, never written as zero.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from importlib import resources
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tradewind.core.errors import name_of

from .counting import OTHER_MARKETS, SECONDS_BOUNDS, BatchCounters, Histogram
from .leveraged import LeveragedFacts
from .shortfall import Shortfall
from .venue_rows import VenueConnection, samples_of
from .view import ExecutionView, FeedState, PlatformView, Reading, StrategyView, ViewSource

MICRO = Decimal(1_000_000)
MAX_STRATEGIES = 32
"""More are not shown, so that the number of rows stays bounded."""
TRADING_STATES = ("normal", "reduce_only", "halted")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class CatalogueError(Exception):
    """A metric that is not in the catalogue, or with other labels."""

    code = "CatalogueError"


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric of the catalogue."""

    type: str
    labels: tuple[str, ...]
    help: str
    age: str = ""


def load_catalogue() -> dict[str, Entry]:
    """The metrics that this build may export."""
    source = resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    return {name: msgspec.convert(entry, Entry) for name, entry in tomllib.loads(source).items()}


class SystemFacts(msgspec.Struct, kw_only=True):
    """What the collector knows beside the view. None = unknown."""

    imbalance_micro: Mapping[str, int] | None = None
    market_states: Mapping[str, str] | None = None
    market_names: Mapping[int, str] = {}
    queue_used: Mapping[str, float] = {}
    invariant_violations: Mapping[str, int] = {}
    log_suppressed: int | None = None
    loop_lag_s: float | None = None
    leveraged: LeveragedFacts = msgspec.field(default_factory=LeveragedFacts)
    shortfall: Shortfall | None = None
    venues: Sequence[VenueConnection] = ()
    streams: tuple[int, int] | None = None
    """Open connections of the API's stream, and those that were cut off."""


Samples = Iterable[tuple[Sequence[str], float | None]]


class MetricsCollector(Collector):
    """Builds every family at scrape time; nothing is computed between scrapes."""

    def __init__(
        self,
        source: ViewSource,
        counters: BatchCounters,
        facts: Callable[[], SystemFacts],
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.commit_seconds = Histogram(SECONDS_BOUNDS)
        self._source, self._counters, self._facts, self._now_ns = source, counters, facts, now_ns
        self._catalogue = load_catalogue()

    # ---- families ----------------------------------------------------------------------------------

    def _family(self, name: str, kind: str) -> Entry:
        entry = self._catalogue.get(name)
        if entry is None or entry.type != kind:
            raise CatalogueError(f"{name} is no {kind} of the catalogue")
        return entry

    def _gauge(self, name: str, samples: Samples) -> GaugeMetricFamily:
        entry = self._family(name, "gauge")
        family = GaugeMetricFamily(name, entry.help, labels=entry.labels)
        for labels, value in samples:
            if value is not None:
                family.add_metric(labels, value)
        return family

    def _counter(self, name: str, samples: Samples) -> CounterMetricFamily:
        entry = self._family(name, "counter")
        family = CounterMetricFamily(name, entry.help, labels=entry.labels)
        for labels, value in samples:
            if value is not None:
                family.add_metric(labels, value)
        return family

    def _histogram(self, name: str, histogram: Histogram) -> HistogramMetricFamily:
        entry = self._family(name, "histogram")
        return HistogramMetricFamily(
            name, entry.help, buckets=histogram.cumulative(), sum_value=histogram.total
        )

    def collect(self) -> Iterator[Metric]:
        """Every family with what is known now."""
        view, facts = self._source(), self._facts()
        yield from self._from_batches(facts)
        yield from self._journal(view, facts)
        yield from self._market(view, facts)
        yield from self._trader(view)
        yield from self._execution(view.execution)
        yield from self._workers(view)
        yield from self._leveraged(facts.leveraged)
        yield from self._shortfall(facts.shortfall)
        yield from self._venues(facts.venues)
        yield from self._process(view, facts)

    def _from_batches(self, facts: SystemFacts) -> Iterator[Metric]:
        counters = self._counters
        yield self._counter(
            "tradewind_commands_total",
            (
                ((kind, "refused" if code else "committed", name_of(code) if code else ""), count)
                for (kind, code), count in counters.commands.items()
            ),
        )
        yield self._histogram("tradewind_batch_commands", counters.batch_sizes)
        yield self._histogram("tradewind_block_commit_duration_seconds", self.commit_seconds)
        yield self._counter("tradewind_journal_blocks_total", [((), counters.blocks)])

        def named(handle: int) -> str:
            return "other" if handle == OTHER_MARKETS else facts.market_names.get(handle, str(handle))

        trades = (((named(market),), count) for market, count in counters.trades.items())
        yield self._counter("tradewind_trades_total", trades)
        volume = (((named(market),), micro) for market, micro in counters.volume_micro.items())
        yield self._counter("tradewind_volume_micro_total", volume)
        roles = (("taker", counters.taker_fees_micro), ("maker", counters.maker_fees_micro))
        yield self._counter(
            "tradewind_fee_revenue_micro_total",
            [((named(market), role), micro) for role, fees in roles for market, micro in fees.items()],
        )

    def _journal(self, view: PlatformView, facts: SystemFacts) -> Iterator[Metric]:
        head = view.head
        yield self._gauge("tradewind_journal_head_seq", [((), head.seq)])
        yield self._gauge("tradewind_journal_head_age_seconds", [((), _seconds(head.age_ms))])
        writable = None if head.writable is None else float(head.writable)
        yield self._gauge("tradewind_journal_writable", [((), writable)])
        yield self._gauge("tradewind_journal_free_bytes", [((), head.free_bytes)])
        violations = [((name,), count) for name, count in facts.invariant_violations.items()]
        yield self._counter("tradewind_invariant_violations_total", violations)
        imbalances = (facts.imbalance_micro or {}).items()
        yield self._gauge(
            "tradewind_ledger_imbalance_micro", [((asset,), micro) for asset, micro in imbalances]
        )

    def _market(self, view: PlatformView, facts: SystemFacts) -> Iterator[Metric]:
        states = facts.market_states or {}
        counts = {state: sum(1 for one in states.values() if one == state) for state in set(states.values())}
        yield self._gauge("tradewind_markets", [((state,), count) for state, count in counts.items()])
        yield self._gauge(
            "tradewind_market_state", [((market, state), 1) for market, state in list(states.items())[:200]]
        )
        symbol, lot, tick = view.market.symbol, Decimal(view.market.lot), Decimal(view.market.tick)
        sides = (("buy", view.depth.bids), ("sell", view.depth.asks))
        depth = [((symbol, side), float(Decimal(rows[-1].cumulative) / lot)) for side, rows in sides if rows]
        yield self._gauge("tradewind_book_depth_lots", depth)
        spread = view.market.spread.value
        ticks = None if spread is None else float(Decimal(spread) / tick)
        yield self._gauge("tradewind_book_spread_ticks", [((symbol,), ticks)])
        feed = view.feed
        yield self._gauge(
            "tradewind_symbol_age_seconds", [((feed.label, feed.symbol), _seconds(feed.age_ms))]
        )
        connected = None if feed.state is FeedState.UNKNOWN else float(feed.state is FeedState.LIVE)
        yield self._gauge("tradewind_venue_connected", [((feed.label, feed.symbol), connected)])
        yield self._counter(
            "tradewind_venue_reconnects_total", [((feed.label, feed.symbol), feed.reconnects)]
        )

    def _trader(self, view: PlatformView) -> Iterator[Metric]:
        account = ("trader",)
        yield self._gauge("tradewind_equity_micro", [(account, _micro(view.profit.equity))])
        yield self._gauge("tradewind_pnl_realised_micro", [(account, _micro(view.profit.realised))])
        yield self._gauge("tradewind_pnl_unrealised_micro", [(account, _micro(view.profit.unrealised))])
        yield self._gauge(
            "tradewind_risk_limit_used_ratio",
            [((limit.code, "account"), limit.fraction) for limit in view.limits],
        )
        daily = [(account, limit.fraction) for limit in view.limits if limit.code == "DailyLoss"]
        yield self._gauge("tradewind_daily_loss_used_ratio", daily)
        known = view.trading.state in TRADING_STATES
        states = [(("account", state), float(view.trading.state == state)) for state in TRADING_STATES]
        yield self._gauge("tradewind_trading_state", states if known else [])
        yield self._gauge("tradewind_open_orders", [(account, view.orders_open)])
        yield from self._strategies(view.strategies[:MAX_STRATEGIES])

    def _strategies(self, rows: Sequence[StrategyView]) -> Iterator[Metric]:
        """One row a strategy; the trader hosts a bounded number of them."""
        yield self._gauge(
            "tradewind_strategy_running", [((one.name,), float(one.state == "running")) for one in rows]
        )
        yield self._gauge(
            "tradewind_strategy_pnl_micro",
            [((one.name,), float(Decimal(one.net) * 1_000_000)) for one in rows if one.net],
        )
        yield self._counter(
            "tradewind_strategy_callbacks_total", [((one.name,), one.callbacks) for one in rows]
        )
        yield self._counter("tradewind_strategy_intents_total", [((one.name,), one.intents) for one in rows])
        yield self._gauge(
            "tradewind_strategy_callback_p99_seconds",
            [
                ((one.name,), None if one.callback_p99_us is None else one.callback_p99_us / 1e6)
                for one in rows
            ],
        )
        yield self._gauge(
            "tradewind_strategy_memory_bytes", [((one.name,), one.memory_bytes) for one in rows]
        )

    def _execution(self, view: ExecutionView | None) -> Iterator[Metric]:
        one = view or ExecutionView()
        known = [] if view is None else [((), view.children_denied)]
        yield self._gauge("tradewind_parents", [((state,), count) for state, count in one.open.items()])
        yield self._counter(
            "tradewind_parents_ended_total", [((state,), count) for state, count in one.ended.items()]
        )
        yield self._counter(
            "tradewind_parent_waits_total", [((reason,), count) for reason, count in one.waits.items()]
        )
        yield self._counter("tradewind_children_denied_total", known)
        slippage = [((name,), cost) for name, cost in one.slippage_bps.items()]
        yield self._gauge("tradewind_parent_slippage_bps", slippage)

    def _workers(self, view: PlatformView) -> Iterator[Metric]:
        rows = view.workers
        yield self._gauge(
            "tradewind_worker_running", [((one.name,), float(one.state == "running")) for one in rows]
        )
        yield self._counter(
            "tradewind_worker_actions_total",
            [
                *(((one.name, "accepted", ""), one.accepted) for one in rows),
                *(
                    ((one.name, "refused", code), count)
                    for one in rows
                    for code, count in one.rejected.items()
                ),
            ],
        )
        yield self._counter("tradewind_worker_faults_total", [((one.name,), one.faults) for one in rows])
        yield self._gauge("tradewind_worker_due", [((one.name,), one.due) for one in rows])
        ages = [((one.name,), _seconds(one.last_action_age_ms)) for one in rows]
        yield self._gauge("tradewind_worker_last_action_age_seconds", ages)
        yield self._gauge(
            "tradewind_worker_lag_seconds", [((one.name,), _seconds(one.lag_ms)) for one in rows]
        )

    def _leveraged(self, facts: LeveragedFacts) -> Iterator[Metric]:
        feeds = facts.feeds.items()
        ages = [((name,), None if feed.age_ns is None else feed.age_ns / 1e9) for name, feed in feeds]
        yield self._gauge("tradewind_oracle_feed_age_seconds", ages)
        yield self._gauge(
            "tradewind_oracle_feed_interval_seconds",
            [((name,), feed.interval_ns / 1e9) for name, feed in feeds],
        )
        yield self._gauge("tradewind_oracle_feed_state", [((name, feed.state), 1) for name, feed in feeds])
        yield self._counter(
            "tradewind_oracle_updates_total", [((name,), feed.updates) for name, feed in feeds]
        )
        for name, by_label in (
            ("tradewind_open_interest_lots", facts.open_interest_lots),
            ("tradewind_funding_rate_ppb", facts.funding_rate_ppb),
            ("tradewind_insurance_micro", facts.insurance_micro),
            ("tradewind_keepers", facts.keepers),
        ):
            yield self._gauge(name, [((label,), number) for label, number in by_label.items()])
        yield self._gauge("tradewind_liquidations_pending", [((), facts.liquidations_pending)])
        yield self._counter("tradewind_breaker_trips_total", list(facts.breaker_trips.items()))
        halting = [(key, float(is_open)) for key, is_open in facts.breakers_open.items()]
        yield self._gauge("tradewind_breaker_open", halting)
        scores = [((str(account),), score) for account, score in facts.keeper_scores_ppm.items()]
        yield self._gauge("tradewind_keeper_score_ppm", scores)

    def _shortfall(self, found: Shortfall | None) -> Iterator[Metric]:
        known = [] if found is None else [found]
        sources = [((name,), getattr(one, name)) for one in known for name in ("resolution", "history")]
        yield self._gauge("tradewind_vault_expected_shortfall_micro", sources)
        yield self._gauge("tradewind_vault_nav_micro", [((), one.nav) for one in known])
        yield self._gauge("tradewind_vault_short", [((), float(one.is_short)) for one in known])

    def _venues(self, connections: Sequence[VenueConnection]) -> Iterator[Metric]:
        found = samples_of(connections)
        for name, samples in found.gauges.items():
            yield self._gauge(name, samples)
        for name, samples in found.counters.items():
            yield self._counter(name, samples)

    def _process(self, view: PlatformView, facts: SystemFacts) -> Iterator[Metric]:
        lag_s = max(0.0, (self._now_ns() - view.taken_ns) / 1e9)
        yield self._gauge("tradewind_view_lag_seconds", [(("platform",), lag_s)])
        yield self._gauge("tradewind_build_info", [((view.version, view.env), 1)])
        queues = [((name,), ratio) for name, ratio in facts.queue_used.items()]
        yield self._gauge("tradewind_queue_used_ratio", queues)
        yield self._counter("tradewind_log_suppressed_total", [(("diagnostic",), facts.log_suppressed)])
        yield self._gauge("tradewind_process_resident_bytes", [((), resident_bytes())])
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = [((), usage.ru_utime + usage.ru_stime)]
        yield self._counter("tradewind_process_cpu_seconds_total", cpu)
        yield self._gauge("tradewind_process_open_descriptors", [((), _descriptors())])
        yield self._gauge("tradewind_tasks", [((), _tasks())])
        yield self._gauge("tradewind_event_loop_lag_seconds", [((), facts.loop_lag_s)])
        open_streams, cut_off = facts.streams or (None, None)
        yield self._gauge("tradewind_api_streams", [((), open_streams)])
        yield self._counter("tradewind_api_streams_cut_off_total", [((), cut_off)])


class Metrics:
    """The registry behind `/metrics`."""

    def __init__(
        self, source: ViewSource, counters: BatchCounters, facts: Callable[[], SystemFacts] = SystemFacts
    ) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.collector = MetricsCollector(source, counters, facts)
        self.registry.register(self.collector)

    def render(self) -> bytes:
        """The exposition in Prometheus text format."""
        return generate_latest(self.registry)


def _seconds(age_ms: int | None) -> float | None:
    return None if age_ms is None else age_ms / 1_000


def _micro(reading: Reading) -> float | None:
    return None if reading.value is None else float(Decimal(reading.value) * MICRO)


def resident_bytes() -> int | None:
    """Resident memory of this process, None where /proc is missing."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


def _descriptors() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None


def _tasks() -> int | None:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return None


def describe(catalogue: Mapping[str, Any] | None = None) -> list[str]:
    """Names of the catalogue, sorted."""
    return sorted(catalogue or load_catalogue())
