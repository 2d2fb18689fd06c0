"""Rows of the checklist: what was measured, against what, from which file, and the verdict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

import msgspec

Verdict = Literal["pass", "fail", "insufficient", "pending", "not_run", "reported", "invalid"]
"""pending: only time is missing. insufficient: too few samples to say. reported: never a gate."""
GREEN: Final = frozenset({"pass", "reported"})
METRICS: Final = "metrics.csv"
ORDERS: Final = "orders.csv"
FILLS: Final = "fills.csv"
EQUITY: Final = "equity.csv"
CAMPAIGN: Final = "campaign.json"
ALERTS: Final = "alerts.json"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the checklist. `value` and `demanded` are text for people, `figures` the numbers."""

    id: str
    metric: str
    verdict: Verdict
    value: str
    demanded: str
    file: str
    samples: int = 0
    reason: str = ""
    figures: Mapping[str, float | None] = {}
    allowed: bool = False
    """An `insufficient` that this gate allows."""

    @property
    def green(self) -> bool:
        """Whether this row lets the gate pass."""
        return self.verdict in GREEN or (self.verdict == "insufficient" and self.allowed)


class Checklist(msgspec.Struct, frozen=True, kw_only=True):
    """All rows against one gate. There is no score: it passes when every row is green."""

    gate_hours: int
    covered_hours: float
    provenance: str
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether every row is green."""
        return bool(self.rows) and all(row.green for row in self.rows)

    @property
    def red(self) -> tuple[Row, ...]:
        """The rows that are not green."""
        return tuple(row for row in self.rows if not row.green)


def with_files(rows: Sequence[Row], present: Collection[str]) -> tuple[Row, ...]:
    """A row whose raw data file is not named or not there is invalid, whatever it says (T15.10)."""
    checked = []
    for row in rows:
        if row.file in present:
            checked.append(row)
        else:
            reason = f"raw data file {row.file!r} is not in the report" if row.file else "names no raw file"
            checked.append(msgspec.structs.replace(row, verdict="invalid", reason=reason, allowed=False))
    return tuple(checked)
