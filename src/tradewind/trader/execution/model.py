"""What can be asked of the execution desk: algorithms, their parameters and bounds, completion policies."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

import msgspec

from tradewind.venues.market_data import Side

from .errors import ExecutionRefused, Refusal
from .records import Terms

ALGORITHM_VERSION: Final = 1
MINUTE_S: Final = 60
DAY_S: Final = 86_400
MAX_LOTS: Final = 2**62


class Algorithm(StrEnum):
    """How a parent is worked."""

    TWAP = "twap"
    VWAP = "vwap"
    POV = "pov"
    ICEBERG = "iceberg"
    PASSIVE = "passive"
    """Rest at the near touch first, then cross (passive-then-cross)."""


class Completion(StrEnum):
    """What happens with what is left when the time is over (T13.7). There is no default."""

    CANCEL_REST = "cancel_rest"
    FINISH_PASSIVE = "finish_passive"
    """Rest at the near touch for as long again, then cancel."""
    CROSS_AT_END = "cross_at_end"
    """Cross within `completion_bps` of the mid for at most a minute, then cancel."""
    HAND_TO_OPERATOR = "hand_to_operator"
    """Cancel the child, keep the parent open without activity, tell an operator."""


class ParentState(StrEnum):
    """Where a parent stands."""

    WORKING = "working"
    PAUSED = "paused"
    FINISHING = "finishing"
    """Its time is over; the completion policy works on the rest."""
    ENDING = "ending"
    """It ends as soon as its children have."""
    HANDED = "handed"
    """Left to an operator, who cancels it."""
    COMPLETED = "completed"
    PARTIAL = "partial"
    ABORTED = "aborted"
    CANCELLED = "cancelled"
    OVERFILLED = "overfilled"


ENDED: Final = frozenset(
    {
        ParentState.COMPLETED,
        ParentState.PARTIAL,
        ParentState.ABORTED,
        ParentState.CANCELLED,
        ParentState.OVERFILLED,
    }
)


class ExecuteIntent(msgspec.Struct, frozen=True, kw_only=True):
    """Wish for a parent order. `limit_ticks` bounds every child; `duration_s` 0 is the algorithm's default.

    `max_cost_bps` ends the parent when finishing it would cost more than that against the arrival mid.
    """

    symbol: str
    side: Side
    lots: int
    algorithm: Algorithm
    completion: Completion
    limit_ticks: int | None = None
    duration_s: int = 0
    completion_bps: Decimal | None = None
    max_cost_bps: Decimal | None = None
    parameters: dict[str, str] = {}
    seed: int | None = None
    tag: str = ""


class Bounds(msgspec.Struct, frozen=True):
    """A parameter: name, least and greatest value, what it is without being said, unit, meaning."""

    name: str
    low: Decimal
    high: Decimal
    usual: Decimal | None
    unit: str
    text: str


_INTERVAL = Bounds("interval_s", Decimal(30), Decimal(300), Decimal(60), "s", "length of a slice")
_PASSIVE = Bounds(
    "passive_pct", Decimal(0), Decimal(100), Decimal(60), "%", "part of a slice spent at the near touch"
)
PARAMETERS: Final[dict[Algorithm, tuple[Bounds, ...]]] = {
    Algorithm.TWAP: (
        _INTERVAL,
        _PASSIVE,
        Bounds("participation_pct", Decimal("0.1"), Decimal(10), Decimal(10), "%", "cap in any 60 s"),
    ),
    Algorithm.VWAP: (
        _INTERVAL,
        _PASSIVE,
        Bounds("participation_pct", Decimal("0.1"), Decimal(20), Decimal(10), "%", "cap in any 60 s"),
    ),
    Algorithm.POV: (
        Bounds("participation_pct", Decimal(1), Decimal(20), Decimal(5), "%", "share of all trades"),
    ),
    Algorithm.ICEBERG: (
        Bounds("display_lots", Decimal(1), Decimal(MAX_LOTS), None, "lots", "what is shown at a time"),
    ),
    Algorithm.PASSIVE: (_PASSIVE,),
}
"""Parameters by algorithm (T13.3-T13.6)."""
DURATIONS_S: Final[dict[Algorithm, tuple[int, int, int]]] = {
    Algorithm.TWAP: (5 * MINUTE_S, DAY_S, 15 * MINUTE_S),
    Algorithm.VWAP: (5 * MINUTE_S, DAY_S, 60 * MINUTE_S),
    Algorithm.POV: (MINUTE_S, DAY_S, 60 * MINUTE_S),
    Algorithm.ICEBERG: (MINUTE_S, DAY_S, 60 * MINUTE_S),
    Algorithm.PASSIVE: (10, DAY_S, MINUTE_S),
}
"""Least, greatest and usual duration by algorithm, in seconds."""
MAX_BPS: Final = Decimal(1_000)


def resolve(intent: ExecuteIntent) -> tuple[Terms, int]:
    """Terms and duration of an intent, checked against their bounds. Raises `ExecutionRefused`."""
    if not 0 < intent.lots <= MAX_LOTS:
        raise ExecutionRefused(
            Refusal.BAD_NUMBER, f"a quantity of {intent.lots} lots", given=str(intent.lots), bound="1"
        )
    if intent.limit_ticks is not None and intent.limit_ticks <= 0:
        raise ExecutionRefused(Refusal.BAD_NUMBER, f"a limit of {intent.limit_ticks} ticks")
    _check_completion(intent)
    low, high, usual = DURATIONS_S[intent.algorithm]
    duration_s = intent.duration_s or usual
    _check(Bounds("duration_s", Decimal(low), Decimal(high), None, "s", ""), Decimal(duration_s))
    values = _values(intent.algorithm, intent.parameters)
    terms = Terms(
        interval_s=int(values.get("interval_s", 0)),
        participation_pct=values.get("participation_pct"),
        passive_pct=values.get("passive_pct", Decimal(100)),
        display_lots=int(values.get("display_lots", 0)),
    )
    if terms.interval_s and duration_s < terms.interval_s:
        raise ExecutionRefused(
            Refusal.PARAMETER_OUT_OF_BOUNDS,
            f"a duration of {duration_s} s has no room for a slice of {terms.interval_s} s",
        )
    return terms, duration_s


def _check_completion(intent: ExecuteIntent) -> None:
    crosses = intent.completion is Completion.CROSS_AT_END
    if crosses != (intent.completion_bps is not None):
        raise ExecutionRefused(
            Refusal.NO_COMPLETION_POLICY,
            "cross_at_end needs completion_bps, and no other completion policy takes it",
        )
    for name, value in (("completion_bps", intent.completion_bps), ("max_cost_bps", intent.max_cost_bps)):
        if value is not None:
            _check(Bounds(name, Decimal(0), MAX_BPS, None, "bps", ""), value)


def _values(algorithm: Algorithm, given: Mapping[str, str]) -> dict[str, Decimal]:
    """Every parameter of the algorithm that has a value. Raises `ExecutionRefused`."""
    known = {one.name: one for one in PARAMETERS[algorithm]}
    for name in given:
        if name not in known:
            raise ExecutionRefused(
                Refusal.UNKNOWN_PARAMETER,
                f"{algorithm} has no parameter {name!r}; it has {', '.join(known)}",
                given=name,
            )
    values = {name: one.usual for name, one in known.items() if one.usual is not None}
    for name, text in given.items():
        values[name] = _number(name, text)
        _check(known[name], values[name])
    for name in ("interval_s", "display_lots"):
        if name in values and values[name] != int(values[name]):
            raise ExecutionRefused(Refusal.BAD_NUMBER, f"{name} must be a whole number, not {values[name]}")
    return values


def _number(name: str, text: object) -> Decimal:
    plain = str(text)
    if isinstance(text, float | bool) or not plain.replace(".", "", 1).isdecimal() or not plain.isascii():
        raise ExecutionRefused(Refusal.BAD_NUMBER, f"{name} {plain[:40]!r} is not a plain decimal number")
    if len(plain) > 38:
        raise ExecutionRefused(Refusal.BAD_NUMBER, f"{name} has more than 38 digits")
    try:
        return Decimal(plain)
    except InvalidOperation as error:
        raise ExecutionRefused(Refusal.BAD_NUMBER, f"{name} {plain[:40]!r} is not a number") from error


def _check(bounds: Bounds, value: Decimal) -> None:
    if not value.is_finite() or not bounds.low <= value <= bounds.high:
        nearest = bounds.low if not value.is_finite() or value < bounds.low else bounds.high
        raise ExecutionRefused(
            Refusal.PARAMETER_OUT_OF_BOUNDS,
            f"{bounds.name} must be from {bounds.low} to {bounds.high} {bounds.unit}, not {value}",
            bound=f"{bounds.low} to {bounds.high}",
            given=str(value),
            nearest=str(nearest),
        )
