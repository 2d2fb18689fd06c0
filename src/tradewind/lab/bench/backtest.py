"""Suite `backtest`: a Python strategy on recorded rows, through the same engine and paper rules as a
campaign.

An event is one *row*: one level change, one trade or one best quote. `timer` is a strategy called every
second of the data, `every` one that is called for each message of the book and each trade (a best quote moves
time only: the book of the paper market is made of the levels). Rates are of processor time on one core, since
other programs of the machine would else be measured; `wall_per_second` stands beside them. Each run is a
process of its own, and all runs of a kind must end in the same state hash and the same hash of all that
was sent. Beside them stand peers on the same rows with the same small strategy.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from tradewind.lab.bench import children
from tradewind.lab.bench.backtest_runs import write_rows
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, Skipped, median, per_second
from tradewind.lab.bench.peers import PEERS, document, interpreter

ADAPTERS: Final = Path(__file__).parent / "adapters"
CAPTURE_FOLDER_VARIABLE: Final = "TRADEWIND_SHARED"
CAPTURES: Final = ("binance-spot-btcusdt-2024-08-08.gz", "binance-spot-btcusdt-2024-08-09.gz")
DATA: Final = {"timer": (), "every": ("book", "trades")}
PROGRAM: Final = """
import json
from tradewind.lab.bench.backtest_runs import measure
print(json.dumps(measure({captures!r}, {data!r}, {messages})))
"""
PEER_MODES: Final = {
    "hftbacktest": ("timer", "every", "timer-python", "every-python"),
    "nautilus_trader": ("timer", "every"),
}
ABOUT: Final = {
    "tradewind": {
        "does": "mirror and engine with accounts, fees, ledger and risk; latency; everything sent is hashed",
        "does_not": "no auditor, no journal in this run; called for the book and trades, not for best quotes",
    },
    "hftbacktest": {
        "does": "feed, latency and queue position of one strategy, compiled; -python: the strategy is not",
        "does_not": "no accounts, ledger, risk or records; called for best quotes too",
    },
    "nautilus_trader": {
        "does": "book, simulated exchange, risk engine, accounts, events; the strategy in Python",
        "does_not": "no queue position, no latency; called for best quotes too; no hash of what happened",
    },
}


def run(context: Context) -> Figures:
    """`timer`, `every`, their `source`, and one group per peer and way of being called."""
    captures = recordings()
    messages = context.effort.backtest_messages
    figures: Figures = {"source": _source(captures)}
    for name, data in DATA.items():
        context.tell(f"strategy called by {name}")
        figures[name] = ours(captures, data, context)
    rows = context.folder("backtest") / "rows.bin"
    context.tell("rows for the peers")
    told = write_rows(captures, messages, rows)
    if told["rows"] != figures["timer"]["rows"]:
        raise MeasureFailed(f"the peers got {told['rows']} rows, we {figures['timer']['rows']}")
    for peer in PEERS:
        if peer.name in PEER_MODES:
            figures[peer.name] = _peer(peer.name, rows, figures, context)
    figures["about"] = ABOUT
    return figures


def recordings() -> list[str]:
    """The captures, none when they are not here."""
    root = Path(__file__).resolve().parents[5]
    folder = Path(os.environ.get(CAPTURE_FOLDER_VARIABLE, root / "shared")) / "data" / "captures"
    found = [folder / name for name in CAPTURES]
    return [str(one) for one in found] if all(one.is_file() for one in found) else []


def _source(captures: list[str]) -> str:
    names = " and ".join(Path(one).name for one in captures)
    return f"recorded: {names}" if captures else "generated market: no recordings are here"


def ours(captures: list[str], data: tuple[str, ...], context: Context) -> Figures:
    """Some runs of one kind.

    Raises:
        MeasureFailed: a run failed, or its ledger differs from the venue's.
    """
    effort = context.effort
    program = PROGRAM.format(captures=captures, data=data, messages=effort.backtest_messages)
    runs: list[dict[str, Any]] = []
    for _ in range(effort.repeats):
        found, _said = children.python_json(program, limit_s=effort.child_limit_s)
        runs.append(found)
    return judged(runs)


def judged(runs: list[dict[str, Any]]) -> Figures:
    """Figures of runs that must agree; `runs_equal` is 0 when they do not. Raises as `ours`."""
    first = runs[0]
    ends = {(one["state_hash"], one["written"], one["fills"]) for one in runs}
    if first["differences"]:
        raise MeasureFailed(f"{first['differences']} differences between ledger and venue")
    cpu = median([per_second(one["rows"], one["cpu_ns"]) for one in runs])
    mirrored = first["rows"] - first["best_quotes"]
    return {
        "rows_per_second": cpu,
        "wall_per_second": median([per_second(one["rows"], one["wall_ns"]) for one in runs]),
        "without_best_quotes_per_second": median([per_second(mirrored, one["cpu_ns"]) for one in runs]),
        "calls_per_second": median([per_second(one["strategy_calls"], one["cpu_ns"]) for one in runs]),
        "rows": first["rows"],
        "best_quotes": first["best_quotes"],
        "messages": first["messages"],
        "strategy_calls": first["strategy_calls"],
        "orders": first["orders"],
        "fills": first["fills"],
        "runs_equal": int(len(ends) == 1),
        "state_hash": first["state_hash"],
        "row_mb": round(first["row_bytes"] / 1e6, 1),
        "loaded_rows_per_second": median([per_second(one["rows"], one["load_cpu_ns"]) for one in runs]),
        "max_rss_mb": round(max(one["max_rss_bytes"] for one in runs) / 1e6, 1),
    }


def _peer(name: str, rows: Path, figures: Figures, context: Context) -> Figures:
    """Figures of a peer by the way it is called, `ratio` is ours over theirs; or why there are none."""
    peer = next(one for one in PEERS if one.name == name)
    found: Figures = {}
    try:
        python = interpreter(peer, context)
    except Skipped as reason:
        return {"skipped": str(reason)}
    except MeasureFailed as error:
        return {"failed": str(error)}
    for mode in PEER_MODES[name]:
        context.tell(f"{name}, {mode}")
        adapter = ADAPTERS / f"peer_{peer.module}_rows.py"
        try:
            done = children.run([python, adapter, rows, mode], limit_s=context.effort.child_limit_s)
            told = document(done.stdout)
        except MeasureFailed as error:
            found[mode] = {"failed": str(error)}
            continue
        rate = per_second(told["rows"], told["cpu_ns"])
        own = figures[mode.partition("-")[0]]["rows_per_second"]
        found[mode] = {
            "rows_per_second": rate,
            "wall_per_second": per_second(told["rows"], told["wall_ns"]),
            "ratio": round(own / rate, 2) if own and rate else None,
            "strategy_calls": told["strategy_calls"],
            "orders": told["orders"],
            "complete": told["rows"] == figures["timer"]["rows"],
        }
    return found
