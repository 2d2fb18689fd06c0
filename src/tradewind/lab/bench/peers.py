"""Suite `peers`: the same places, cancels and takes through other libraries, each in its own interpreter.

The ratio is ours over theirs. Ours is the Python batch interface with ledger, events and postings.
What a peer does and does not do stands beside its figure: none of them is the same thing.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tradewind.lab.bench import children
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, Skipped, per_second
from tradewind.lab.bench.flow import Ours, write_flow

DRIVER: Final = Path(__file__).parent / "adapters" / "drive.py"
"""The interpreter puts the folder of this program first on its path; the adapters lie beside it."""
READY: Final = "ready.json"
"""Written into an environment after everything in it was installed."""


@dataclass(frozen=True, slots=True)
class Peer:
    """`module` shows whether it is installed; `packages` are what pip is asked for."""

    name: str
    module: str
    packages: Sequence[str]
    does: str
    does_not: str
    preparation_s: float = 20.0
    """Time for start, compilation and filling the book, on top of the measurement."""


PEERS: Final[Sequence[Peer]] = (
    Peer(
        "lightmatchingengine",
        "lightmatchingengine",
        ("lightmatchingengine",),
        "matches by price and time, in Python",
        "no accounts, ledger, fees, risk, events or log; no immediate-or-cancel",
    ),
    Peer(
        "order-book",
        "order_book",
        ("order-book",),
        "a sorted map of levels in C",
        "does not match (the adapter does, in Python); no accounts, ledger, events or log",
    ),
    Peer(
        "order-matching",
        "order_matching",
        ("order-matching", "pandera[polars]"),
        "matches by price and time, in Python objects, with expiry",
        "no accounts, ledger, fees, events or log; finds orders by walking the book",
        preparation_s=60.0,
    ),
    Peer(
        "hftbacktest",
        "hftbacktest",
        ("hftbacktest",),
        "simulates one strategy's orders with latency and queue position, compiled",
        "its orders never meet each other; one position instead of a ledger; no accounts, events or log",
        preparation_s=120.0,
    ),
    Peer(
        "nautilus_trader",
        "nautilus_trader",
        ("nautilus_trader",),
        "risk engine, execution engine, simulated exchange, order events, cache",
        "its orders never meet each other; account frozen in this run; no durable log",
        preparation_s=120.0,
    ),
)


def run(context: Context) -> Figures:
    """One entry per peer: `commands_per_second` and `ratio`, or `skipped` or `failed` with the reason."""
    effort = context.effort
    folder = context.folder("peers")
    flow = folder / "flow.bin"
    context.tell("our engine on the flow")
    ours = write_flow(flow, effort.peer_commands, effort.live_orders)
    figures: Figures = {
        "tradewind": {
            "commands_per_second": ours.commands_per_second,
            "commands": ours.commands,
            "refused": ours.refused,
            "traded_lots": ours.traded_lots,
            "does": "matches by price and time; accounts, fees, ledger, events; batches of 4,096 from Python",
            "does_not": "no journal and no auditor in this run",
        }
    }
    for peer in PEERS:
        context.tell(peer.name)
        try:
            figures[peer.name] = _measure(peer, flow, ours, context)
        except Skipped as reason:
            figures[peer.name] = {"skipped": str(reason)}
        except MeasureFailed as error:
            figures[peer.name] = {"failed": str(error)}
    return figures


def _measure(peer: Peer, flow: Path, ours: Ours, context: Context) -> Figures:
    python = interpreter(peer, context)
    limit_s = context.effort.peer_limit_s
    command: list[str | Path] = [python, DRIVER, f"peer_{peer.module}", flow, str(limit_s)]
    done = children.run(command, limit_s=limit_s + peer.preparation_s)
    return _figures(peer, document(done.stdout), ours)


def document(printed: str) -> dict[str, Any]:
    """The last line that a peer printed; libraries say things before it."""
    try:
        found = json.loads(printed.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise MeasureFailed(f"no figures: {printed[-200:]!r}") from error
    if not isinstance(found, dict):
        raise MeasureFailed(f"no figures: {printed[-200:]!r}")
    return found


def _figures(peer: Peer, found: dict[str, Any], ours: Ours) -> Figures:
    rate = per_second(found["commands"], found["elapsed_ns"])
    own = ours.commands_per_second
    return {
        "commands_per_second": rate,
        "ratio": round(own / rate, 2) if own and rate else None,
        "commands": found["commands"],
        "complete": found["commands"] == ours.commands,
        "refused": found["refused"],
        "traded_lots": found["traded_lots"],
        "does": peer.does,
        "does_not": peer.does_not,
    }


def interpreter(peer: Peer, context: Context) -> Path:
    """An interpreter that has the peer: its own environment, or this one.

    Raises:
        Skipped: it is nowhere installed. MeasureFailed: installing it failed.
    """
    environment = context.cache / peer.name
    python = environment / "bin" / "python"
    if (environment / READY).is_file() and python.exists():
        return python
    if importlib.util.find_spec(peer.module) is not None:
        return Path(sys.executable)
    if not context.install_peers:
        raise Skipped("not installed; tradewind bench peers --install puts it into an environment of its own")
    context.tell(f"installing {peer.name}")
    _install(peer, environment, python, context.effort.child_limit_s)
    return python


def _install(peer: Peer, environment: Path, python: Path, limit_s: float) -> None:
    """A fresh environment with the peer; half an installation is removed.

    Raises:
        MeasureFailed: pip failed, or took too long.
    """
    shutil.rmtree(environment, ignore_errors=True)
    try:
        venv.create(environment, with_pip=True)
        children.run([python, "-m", "pip", "install", "--quiet", *peer.packages], limit_s=limit_s)
        children.run([python, "-c", f"import {peer.module}"], limit_s=limit_s)
    except MeasureFailed:
        shutil.rmtree(environment, ignore_errors=True)
        raise
    (environment / READY).write_text(json.dumps({"packages": list(peer.packages)}))
