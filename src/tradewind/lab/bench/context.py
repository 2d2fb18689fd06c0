"""What every suite is given, and how it says that it could not measure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradewind.lab.bench.effort import Effort

Figures = dict[str, Any]
"""Names to figures, groups of figures, or notes."""

MEBI = 1 << 20


class Skipped(Exception):
    """The suite cannot be measured on this machine; the message says why."""


class MeasureFailed(Exception):
    """A measurement went wrong: a child failed, a flow was refused, a result cannot be."""


@dataclass(frozen=True, slots=True)
class Context:
    """`scratch` is an empty folder on the disk that is measured; `tell` shows what is going on."""

    effort: Effort
    scratch: Path
    cache: Path
    install_peers: bool
    tell: Callable[[str], None]

    def folder(self, name: str) -> Path:
        """A new, empty folder for a suite."""
        path = self.scratch / name
        path.mkdir(parents=True)
        return path


def per_second(count: int, elapsed_ns: int) -> float | None:
    """Rate, None when nothing was measured: unknown is not zero."""
    return round(count * 1e9 / elapsed_ns, 1) if elapsed_ns > 0 else None


def microseconds(nanoseconds: float) -> float:
    return round(nanoseconds / 1_000, 2)


def percentile(samples: Sequence[int], fraction: float) -> int:
    """Nearest-rank percentile.

    Raises:
        MeasureFailed: there are no samples.
    """
    if not samples:
        raise MeasureFailed("no samples")
    ordered = sorted(samples)
    return ordered[round((len(ordered) - 1) * fraction)]


def median(rates: Sequence[float | None]) -> float | None:
    """Median of what is known."""
    known = [rate for rate in rates if rate is not None]
    return statistics.median(known) if known else None


def refuse_many_refusals(flow: str, refused: int, commands: int) -> None:
    """A flow that is mostly refused is fast and says nothing.

    Raises:
        MeasureFailed: more than 5 % of the commands were refused.
    """
    if refused * 20 > commands:
        raise MeasureFailed(f"{refused} of {commands} commands of the {flow} flow were refused")
