"""The tables of a report as CSV: one row a sample, an hour, an order, a fill. Money stays text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from .evidence import Evidence
from .samples import Sample
from .statistics import Histogram, median


def moment(ns: int | None) -> str:
    """UTC with milliseconds; empty for None."""
    if ns is None:
        return ""
    whole_s, rest_ns = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(whole_s, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A table with a head line; None is an empty cell, never a zero."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue().encode()


def _flat(sample: Sample) -> dict[str, Any]:
    """One sample as columns; histograms as their percentiles."""
    flat: dict[str, Any] = {"utc": moment(sample.wall_ns)}
    for name, value in msgspec.to_builtins(sample).items():
        if name == "api":
            continue
        if isinstance(value, dict):
            flat |= {f"{name}_{inner}": one for inner, one in value.items()}
        else:
            flat[name] = " ".join(value) if isinstance(value, list) else value
    api = sample.api
    flat["api_requests"] = None if api is None else api.requests
    flat["api_errors"] = None if api is None else sum(api.errors.values())
    flat["api_error_classes"] = (
        "" if api is None else " ".join(f"{name}={count}" for name, count in sorted(api.errors.items()))
    )
    latency = _latency(None if api is None else api.latency)
    flat |= {f"api_latency_{name}_ms": value for name, value in latency.items()}
    flat["api_wire_floor_ms"] = None if api is None else api.wire_floor_ms
    return flat


def _latency(histogram: Histogram | None) -> dict[str, float | None]:
    figures: dict[str, float | None] = {"mean": None, "p50": None, "p95": None, "p99": None}
    if histogram is not None and histogram.samples:
        figures["mean"] = histogram.mean
        figures |= {f"p{share}": histogram.quantile(share / 100) for share in (50, 95, 99)}
    return {name: None if value is None else round(value, 3) for name, value in figures.items()}


def metrics_csv(evidence: Evidence) -> bytes:
    """The minute series."""
    rows = [_flat(sample) for sample in evidence.samples]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["utc"]
    return as_csv(columns, ([row.get(name) for name in columns] for row in rows))


def equity_csv(evidence: Evidence) -> bytes:
    """Equity, profit and fees of every sample, with the fall from the high."""
    rows, high = [], None
    for one in evidence.samples:
        trading = one.trading
        if trading is None or trading.equity is None:
            continue
        equity = Decimal(trading.equity)
        high = equity if high is None else max(high, equity)
        rows.append(
            (
                moment(one.wall_ns), f"{one.campaign_s / 3_600:.4f}", trading.equity, trading.net_pnl,
                trading.fees, f"{high - equity:f}",
            )
        )  # fmt: skip
    return as_csv(("utc", "hours", "equity", "net_pnl", "fees", "below_high"), rows)


def orders_csv(evidence: Evidence) -> bytes:
    """Every order with its answer and its end."""
    rows = (
        (
            moment(one.submitted_ns), one.client_id, one.symbol, one.side, one.price, one.quantity,
            one.filled, one.answer, one.code, "yes" if one.preventable else "", one.latency_ms, one.state,
            moment(one.ended_ns), one.fills,
        )
        for one in evidence.orders
    )  # fmt: skip
    columns = (
        "sent_utc", "client_id", "symbol", "side", "price", "quantity", "filled", "answer", "code",
        "preventable", "latency_ms", "state", "ended_utc", "fills",
    )  # fmt: skip
    return as_csv(columns, rows)


def fills_csv(evidence: Evidence) -> bytes:
    """Every execution."""
    rows = (
        (
            moment(one.at_ns), one.trade_id, one.client_id, one.symbol, one.side, one.price, one.quantity,
            one.fee, one.fee_asset, "maker" if one.maker else "taker", one.realised,
        )
        for one in evidence.fills
    )  # fmt: skip
    columns = (
        "utc", "trade_id", "client_id", "symbol", "side", "price", "quantity", "fee", "fee_asset", "role",
        "realised",
    )  # fmt: skip
    return as_csv(columns, rows)


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """One hour of campaign time, 0 is the first."""

    hour: int
    samples: int
    signals: float | None
    submits: float | None
    acks: float | None
    fills: float | None
    requests: int
    errors: int
    live_share: float | None
    private_share: float | None
    latency: dict[str, float | None]
    rss_mb: float | None
    cpu_share: float | None
    descriptors: float | None
    tasks: float | None
    threads: float | None


def hours_of(evidence: Evidence) -> list[Hour]:
    """Every hour that has a sample. Counters are what grew within the hour."""
    grouped: dict[int, list[Sample]] = {}
    for one in evidence.samples:
        grouped.setdefault(_hour(one), []).append(one)
    earlier: dict[int, Sample] = dict(evidence.earlier)
    hours = []
    for number in sorted(grouped):
        part = Evidence(
            state=evidence.state, samples=grouped[number], orders=[], fills=[], drills=[], alerts=[],
            earlier=dict(earlier),
        )  # fmt: skip
        hours.append(_one_hour(number, part))
        earlier |= {one.life: one for one in grouped[number]}
    return hours


def _hour(sample: Sample) -> int:
    """A sample tells of the minute before it: the one at exactly an hour belongs to the hour it ends."""
    return max(0, int((sample.campaign_s - 1e-9) // 3_600))


def _one_hour(number: int, part: Evidence) -> Hour:
    feeds = [one.feed for one in part.samples if one.feed is not None]
    watched = sum(one.watched_s for one in feeds)
    apis = [one.api for one in part.samples if one.api is not None]

    def middle(read: Any) -> float | None:
        values = [value for _, value in part.each(read)]
        return median(values) if values else None

    resident = middle(lambda one: one.process.rss_bytes)
    cpu_s = part.grown(lambda one: one.process.cpu_s)
    span_s = _span_s(part)
    return Hour(
        hour=number,
        samples=len(part.samples),
        signals=part.traded(lambda one: one.signals),
        submits=part.traded(lambda one: one.submits),
        acks=part.traded(lambda one: one.acks),
        fills=part.traded(lambda one: one.fills),
        requests=sum(one.requests for one in apis),
        errors=sum(sum(one.errors.values()) for one in apis),
        live_share=sum(one.live_s for one in feeds) / watched if watched else None,
        private_share=sum(one.private_live_s for one in feeds) / watched if watched else None,
        latency=_latency(part.latency()),
        rss_mb=None if resident is None else resident / 1e6,
        cpu_share=cpu_s / span_s if cpu_s is not None and span_s > 0 else None,
        descriptors=middle(lambda one: one.process.descriptors),
        tasks=middle(lambda one: one.process.tasks),
        threads=middle(lambda one: one.process.threads),
    )


def _span_s(part: Evidence) -> float:
    """Real seconds between the samples, from the last one before them."""
    lives: dict[int, list[int]] = {}
    for one in [*part.earlier.values(), *part.samples]:
        lives.setdefault(one.life, []).append(one.monotonic_ns)
    used = {one.life for one in part.samples}
    return sum(max(times) - min(times) for life, times in lives.items() if life in used) / 1e9


def hourly_csv(evidence: Evidence) -> bytes:
    """One row an hour."""
    columns = [name for name in Hour.__struct_fields__ if name != "latency"]
    latency = ("mean", "p50", "p95", "p99")
    rows = (
        [_rounded(getattr(one, name)) for name in columns] + [one.latency[name] for name in latency]
        for one in hours_of(evidence)
    )
    return as_csv([*columns, *(f"latency_{name}_ms" for name in latency)], rows)


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
