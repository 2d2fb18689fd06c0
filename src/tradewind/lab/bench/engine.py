"""Suite `engine`: the state machine alone, on one thread, ledger and events included."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tradewind.core import measure
from tradewind.lab.bench.context import (
    Context,
    Figures,
    MeasureFailed,
    Skipped,
    median,
    per_second,
    refuse_many_refusals,
)
from tradewind.lab.bench.instructions import Counts, count, find_valgrind

SINGLE_FLOWS: Final = ("place", "cancel", "replace", "trade")
PARALLEL_COUNTS: Final = 2
"""Counts do not disturb each other, so that two run at a time."""


def run(context: Context) -> Figures:
    """Throughput and latency of the mixed flow, the deep book, and instructions of every kind of command."""
    effort = context.effort
    context.tell("mixed flow")
    mixed = _throughput(context, effort.engine_commands, effort.live_orders)
    context.tell("mixed flow, one command at a time")
    latency = measure.engine_latency("mixed", effort.latency_commands, effort.live_orders)
    mixed |= {
        "p50_ns": latency.p50_ns,
        "p99_ns": latency.p99_ns,
        "p999_ns": latency.p999_ns,
        "max_ns": latency.max_ns,
        "timer_ns": latency.timer_ns,
    }
    context.tell(f"{effort.deep_live_orders:,} resting orders")
    deep = _throughput(context, effort.deep_commands, effort.deep_live_orders, repeats=1)
    shallow_rate, deep_rate = mixed["commands_per_second"], deep["commands_per_second"]
    deep["ratio"] = round(shallow_rate / deep_rate, 2) if shallow_rate and deep_rate else None
    figures: Figures = {"mixed": mixed, "deep": deep}
    _add_instructions(context, figures)
    return figures


def _throughput(context: Context, commands: int, live: int, repeats: int | None = None) -> Figures:
    rates, flow = [], None
    for _ in range(repeats or context.effort.repeats):
        flow = measure.engine_flow("mixed", commands, live)
        refuse_many_refusals("mixed", flow.refused, flow.commands)
        rates.append(per_second(flow.commands, flow.elapsed_ns))
    if flow is None:
        raise MeasureFailed("no measurement was asked for")
    known = [rate for rate in rates if rate is not None]
    return {
        "commands_per_second": median(rates),
        "best_commands_per_second": max(known, default=None),
        "commands": flow.commands,
        "refused": flow.refused,
        "trades": flow.trades,
        "events": flow.events,
        "postings": flow.postings,
        "live_orders": flow.live_orders,
    }


def _add_instructions(context: Context, figures: Figures) -> None:
    """Adds counts to the flows; without a counter the same keys are there with the reason."""
    mixed = figures["mixed"]
    try:
        valgrind = find_valgrind()
    except Skipped as reason:
        mixed["instructions_per_command"] = None
        mixed["skipped"] = figures["skipped"] = str(reason)
        figures |= {flow: {"instructions": None, "skipped": str(reason)} for flow in SINGLE_FLOWS}
        return
    flows = ("mixed", *SINGLE_FLOWS)
    context.tell("counting instructions")
    with ThreadPoolExecutor(PARALLEL_COUNTS) as pool:
        counts = dict(zip(flows, pool.map(lambda flow: count(valgrind, flow, context), flows), strict=True))
    mixed["instructions_per_command"] = counts["mixed"].average
    mixed["worst_instructions"] = counts["mixed"].worst
    for flow in SINGLE_FLOWS:
        figures[flow] = _row(counts[flow])
    worst = [found.worst for found in counts.values() if found.worst is not None]
    figures["worst_instructions"] = max(worst, default=None)


def _row(counts: Counts) -> dict[str, Any]:
    return {
        "instructions": counts.average,
        "worst_instructions": counts.worst,
        "commands": counts.commands,
        "refused": counts.refused,
        "trades": counts.trades,
    }
