"""Metrics agree with the log, stand in the catalogue, and are absent when unknown."""

from __future__ import annotations

import msgspec
import pytest
from fastapi import FastAPI
from platform_server import Platform
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from tradewind.core import commands as build
from tradewind.core.events import decode_events, event_types
from tradewind.observe.counting import BatchCounters, Histogram, quantile_us
from tradewind.observe.http import mount_observe
from tradewind.observe.metrics import CatalogueError, Metrics, SystemFacts, load_catalogue
from tradewind.observe.view import FeedState, PlatformView

VIEW = PlatformView(taken_ns=1, env="paper", version="1")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, tuple(sorted(labels.items()))))


async def test_counters_equal_the_events_of_the_whole_log(platform: Platform) -> None:
    from tradewind.core import journal

    trades = volume = commands = 0
    for batch in journal.batches(platform.node.journal_path, 0):
        commands += batch.count
        for event in decode_events(batch):
            if isinstance(event, event_types.Trade):
                trades += 1
                volume += event.notional
    counted = BatchCounters()
    for batch in journal.batches(platform.node.journal_path, 0):
        counted.apply(batch)
    assert trades > 0
    assert (sum(counted.trades.values()), sum(counted.volume_micro.values())) == (trades, volume)
    assert counted.commands_total == commands


async def test_refused_commands_are_counted_by_kind_and_code(platform: Platform) -> None:
    before = platform.collector.counters.rejects()
    wrong = build.register_asset(principal=bytes(31) + b"\1", client_key=bytes(15) + b"\1", symbol="DOGE")
    [result] = await platform.node.submit([wrong])
    assert not result.accepted
    platform.collector.refresh()
    count = value(
        platform.collector.metrics,
        "tradewind_commands_total",
        kind="RegisterAsset",
        result="refused",
        code=result.name,
    )
    assert count == before.get(result.name, 0) + 1


async def test_every_exported_family_is_in_the_catalogue_and_the_other_way_round(platform: Platform) -> None:
    platform.collector.refresh()
    names = {family.name for family in platform.collector.metrics.collector.collect()}
    names = {f"{name}_total" if f"{name}_total" in load_catalogue() else name for name in names}
    assert names == set(load_catalogue())


def test_every_gauge_of_the_catalogue_has_a_companion_age_or_an_absence_rule() -> None:
    catalogue = load_catalogue()
    for name, entry in catalogue.items():
        assert name.startswith("tradewind_")
        assert name.endswith("_total") == (entry.type == "counter"), name
        if entry.type == "gauge":
            assert entry.age == "absent" or catalogue[entry.age].type == "gauge", name


def test_a_metric_outside_the_catalogue_is_refused() -> None:
    metrics = Metrics(lambda: VIEW, BatchCounters())
    with pytest.raises(CatalogueError):
        metrics.collector._gauge("tradewind_invented", [((), 1.0)])


def test_unknown_values_are_absent_and_not_zero() -> None:
    metrics = Metrics(lambda: VIEW, BatchCounters())
    names = {name for name, _ in samples(metrics)}
    for name in (
        "journal_writable",
        "equity_micro",
        "trading_state",
        "venue_connected",
        "symbol_age_seconds",
    ):
        assert f"tradewind_{name}" not in names
    assert "tradewind_view_lag_seconds" in names


async def test_halted_trader_and_ledger_balance_are_exported(platform: Platform) -> None:
    from tradewind.trader.kill import KillSwitch

    await KillSwitch(platform.session).halt("tester", "test")
    platform.collector.refresh()
    metrics = platform.collector.metrics
    assert value(metrics, "tradewind_trading_state", scope="account", state="halted") == 1
    assert value(metrics, "tradewind_trading_state", scope="account", state="normal") == 0
    assert value(metrics, "tradewind_ledger_imbalance_micro", asset="USDT") == 0
    assert value(metrics, "tradewind_open_orders", account="trader") == 0


def test_an_imbalance_is_exported_as_it_is() -> None:
    metrics = Metrics(lambda: VIEW, BatchCounters(), lambda: SystemFacts(imbalance_micro={"USDT": -3}))
    assert value(metrics, "tradewind_ledger_imbalance_micro", asset="USDT") == -3


def test_health_answers_503_with_the_reasons_until_everything_is_known() -> None:
    current = {"view": VIEW}
    app = FastAPI()
    mount_observe(app, lambda: current["view"], Metrics(lambda: VIEW, BatchCounters()))
    client = TestClient(app)
    failing = client.get("/health")
    assert failing.status_code == 503
    assert {reason.split(":")[0] for reason in failing.json()["reasons"]} == {
        "view",
        "journal",
        "head",
        "feed",
        "trading_state",
    }
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_each_health_check_turns_red_alone(platform: Platform) -> None:
    from tradewind.observe.health import assess

    view = platform.collector.refresh()
    now_ns, replace = view.taken_ns, msgspec.structs.replace
    assert assess(view, now_ns).ok
    broken = {
        "view": (view, now_ns + 3_001_000_000),
        "journal": (replace(view, head=replace(view.head, writable=False)), now_ns),
        "head": (replace(view, head=replace(view.head, age_ms=5_001)), now_ns),
        "feed": (replace(view, feed=replace(view.feed, age_ms=10**9)), now_ns),
        "trading_state": (replace(view, trading=replace(view.trading, state="unknown")), now_ns),
    }
    for name, (mutated, at_ns) in broken.items():
        health = assess(mutated, at_ns)
        assert not health.ok
        assert [reason.split(":")[0] for reason in health.reasons] == [name]
    suspect = replace(view, feed=replace(view.feed, state=FeedState.SUSPECT))
    assert not assess(suspect, now_ns).ok


def test_histogram_buckets_are_cumulative_and_bounds_inclusive() -> None:
    histogram = Histogram((1, 2, 4))
    for one in (1, 2, 3, 4, 5):
        histogram.observe(one)
    assert histogram.cumulative() == [("1", 1.0), ("2", 2.0), ("4", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 15


def test_quantiles_of_no_samples_are_unknown() -> None:
    assert quantile_us([], 0.99) is None
    assert quantile_us([1_000 * one for one in range(100)], 0.99) == 99
