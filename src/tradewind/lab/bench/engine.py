"""Suite `engine`: the state machine alone, on one thread, ledger and events included."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

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
    try:
        valgrind = find_valgrind()
    except Skipped as reason:
        figures["mixed"] |= {"instructions_per_command": None, "skipped": str(reason)}
        figures |= {flow: {"instructions": None, "skipped": str(reason)} for flow in SINGLE_FLOWS}
        figures |= {"worst_instructions": None, "skipped": str(reason)}
        return
    context.tell("counting instructions")

    def attempt(flow: str) -> Counts | MeasureFailed:
        try:
            return count(valgrind, flow, context)
        except MeasureFailed as error:
            return error

    flows = ("mixed", *SINGLE_FLOWS)
    with ThreadPoolExecutor(PARALLEL_COUNTS) as pool:
        counts = dict(zip(flows, pool.map(attempt, flows), strict=True))
    for flow, found in counts.items():
        figures[flow] = figures.get(flow, {}) | _row(flow, found)
    worst = [
        found.worst for found in counts.values() if isinstance(found, Counts) and found.worst is not None
    ]
    figures["worst_instructions"] = max(worst, default=None)


def _row(flow: str, found: Counts | MeasureFailed) -> Figures:
    """The figures of a counted flow, under the names of the contract."""
    key = "instructions_per_command" if flow == "mixed" else "instructions"
    if isinstance(found, MeasureFailed):
        return {key: None, "failed": str(found)}
    counted = {"commands": found.commands, "refused": found.refused, "trades": found.trades}
    named = {"counted": counted} if flow == "mixed" else counted
    return {key: found.average, "worst_instructions": found.worst, **named}
