"""Runs suites one after the other and puts the figures beside their budgets."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tradewind.core.errors import TradewindError
from tradewind.lab.bench.budgets import judge
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, Skipped
from tradewind.lab.bench.effort import FULL, Effort
from tradewind.lab.bench.machine import describe, in_memory

# Timed suites first and counting ones last, so that what is left over from one disturbs no time.
SUITES: Final[Sequence[str]] = (
    "engine",
    "leverage",
    "pools",
    "journal",
    "node",
    "trader",
    "gateway",
    "python",
    "replay",
    "ingestion",
    "decode",
    "backtest",
    "tick-to-order",
    "nonce",
    "risk",
    "memory",
    "stack",
    "peers",
)


@dataclass(frozen=True, slots=True)
class Options:
    """`scratch` is the folder whose disk is measured; see `default_scratch` and `default_cache`."""

    effort: Effort = FULL
    scratch: Path | None = None
    cache: Path | None = None
    install_peers: bool = False


def silent(suite: str, step: str) -> None:
    """Tells nobody."""


def run(
    suites: Sequence[str] = SUITES,
    options: Options | None = None,
    tell: Callable[[str, str], None] = silent,
) -> dict[str, Any]:
    """One document: `machine`, `suites`, `budgets`, `elapsed_s`. `tell(suite, step)` hears what is going on.

    A suite that cannot run here is `{"skipped": reason}`, one that went wrong `{"failed": reason}`.

    Raises:
        ValueError: no suite has this name. OSError: there is no scratch folder.
    """
    unknown = [name for name in suites if name not in SUITES]
    if unknown:
        raise ValueError(f"no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    options = options or Options()
    begin = time.monotonic()
    parent = options.scratch or default_scratch()
    machine = describe(parent)
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-", dir=parent) as folder:
        for name in suites:
            context = Context(
                effort=options.effort,
                scratch=Path(folder),
                cache=options.cache or default_cache(),
                install_peers=options.install_peers,
                tell=lambda step, name=name: tell(name, step),  # type: ignore[misc]
            )
            found[name] = _run_suite(name, context)
    return {
        "machine": machine,
        "suites": found,
        "budgets": judge(found),
        "elapsed_s": round(time.monotonic() - begin, 1),
    }


def _run_suite(name: str, context: Context) -> Figures:
    module = importlib.import_module(f"tradewind.lab.bench.{name.replace('-', '_')}")
    try:
        figures: Figures = module.run(context)
    except Skipped as reason:
        return {"skipped": str(reason)}
    except (MeasureFailed, TradewindError, OSError) as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    return figures


def default_scratch() -> Path:
    """The temporary folder; when that is memory, where nothing is durable, the working folder."""
    temporary = Path(tempfile.gettempdir())
    return Path.cwd() if in_memory(temporary) else temporary


def default_cache() -> Path:
    """Where the environments of peers are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tradewind" / "bench"
