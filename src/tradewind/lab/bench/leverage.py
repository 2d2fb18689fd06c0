"""Leveraged markets: prices over many positions, a crash, instructions of orders with a margin check."""

from __future__ import annotations

from typing import Any, Final

from tradewind.core.measure import COUNTED_FUNCTION, coverage_changes, crash, price_steps
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, Skipped, refuse_many_refusals
from tradewind.lab.bench.instructions import collect, find_valgrind

PROGRAM: Final = """
import json
from tradewind.core.measure import leveraged_orders
figures = leveraged_orders({kind!r}, {positions}, {count})
print(json.dumps({{"commands": figures.commands, "refused": figures.refused, "trades": figures.trades}}))
"""
COUNTED_POSITIONS: Final = 1_000
COUNTED_TAKES: Final = 2_000
COUNTED_BATCHES: Final = 20
PRICED_POSITIONS: Final = 10_000
PRICE_STEPS: Final = 200
CRASH_POSITIONS: Final = 100_000
COVERED_MARKETS: Final = 21_000
COVERAGE_CHANGES: Final = 20_000


def run(context: Context) -> Figures:
    """Figures of leveraged markets."""
    figures: dict[str, Any] = {
        "price": _price(context),
        "coverage": _coverage(context),
        "crash": _crash(context),
    }
    try:
        valgrind = find_valgrind()
    except Skipped as reason:
        figures["take"] = figures["batch"] = {"skipped": str(reason)}
        return figures
    figures["take"] = _counted(valgrind, "take", COUNTED_TAKES, context)
    figures["batch"] = _counted(valgrind, "batch", COUNTED_BATCHES, context)
    return figures


def _price(context: Context) -> Figures:
    context.tell(f"a price over {PRICED_POSITIONS:,} positions")
    found = price_steps(PRICED_POSITIONS, PRICE_STEPS)
    refuse_many_refusals("price", found.refused, found.steps)
    if found.marks < found.steps // 2:
        raise MeasureFailed(f"only {found.marks} of {found.steps} steps moved the mark")
    return {"positions": found.positions, "p50_us": found.p50_ns / 1_000, "max_us": found.max_ns / 1_000}


def _coverage(context: Context) -> Figures:
    context.tell(f"a change of coverage among {COVERED_MARKETS:,} markets")
    found = coverage_changes(COVERED_MARKETS, PRICED_POSITIONS, COVERAGE_CHANGES)
    if found.finite < found.changes:
        raise MeasureFailed(f"only {found.finite} of {found.changes} changes left anything at risk")
    return {
        "markets": found.markets,
        "positions": found.positions,
        "p50_us": found.p50_ns / 1_000,
        "max_us": found.max_ns / 1_000,
    }


def _crash(context: Context) -> Figures:
    positions = max(1_000, CRASH_POSITIONS // (1 if context.effort.counted_commands > 1_000 else 20))
    context.tell(f"a crash over {positions:,} positions")
    found = crash(positions)
    if found.steps < positions // 4:
        raise MeasureFailed(f"only {found.steps} liquidation steps over {positions} positions")
    return {
        "positions": found.positions,
        "steps": found.steps,
        "flagged": found.flagged,
        "events": found.events,
        "elapsed_s": round(found.elapsed_ns / 1e9, 3),
        "steps_per_second": round(found.steps / (found.elapsed_ns / 1e9), 1),
    }


def _counted(valgrind: str, kind: str, count: int, context: Context) -> Figures:
    context.tell(f"instructions of {kind} in a leveraged market, {COUNTED_FUNCTION}")
    folder = context.folder(f"leverage-{kind}")
    program = PROGRAM.format(kind=kind, positions=COUNTED_POSITIONS, count=count)
    figures, total = collect(valgrind, program, folder, context)
    refuse_many_refusals(kind, figures["refused"], figures["commands"])
    if not total:
        raise MeasureFailed(f"nothing was counted: {COUNTED_FUNCTION} is missing from the build")
    return {"instructions": round(total / count, 1), "trades": figures["trades"], "runs": count}
