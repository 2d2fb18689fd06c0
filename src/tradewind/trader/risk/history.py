"""Why orders were refused, and which states hold, as the log tells it: with or without a running platform."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from ..records import Denial, Latch, decode
from .catalogue import OTHER_CODES, entry_of
from .model import Code
from .records import Reason
from .state import ACCOUNT, StateTable, strategy_scope, symbol_scope

MAX_LISTED: Final = 1_000
SHOWN: Final = 8
PLACES: Final = Decimal(1).scaleb(-SHOWN)
SEEN: Final = (b'{"type":"Denial"', b'{"type":"Latch"')
"""The records that matter here; the others are not even decoded."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A refused order, its number in the log, and the latches in force then."""

    number: int
    denial: Denial
    latches: tuple[Latch, ...]


class History:
    """Reads the trader's notes once, in their order."""

    def __init__(
        self, payloads: Iterable[bytes | memoryview], *, keep: int, number: int | None = None
    ) -> None:
        """Keeps the last refusals, at most `MAX_LISTED`, or the one with this number."""
        self.states = StateTable()
        self.refusals: deque[Refusal] = deque(maxlen=max(1, min(keep, MAX_LISTED)))
        self.count = 0
        for record in _records(payloads):
            if isinstance(record, Latch):
                self.states.apply(record)
                continue
            self.count += 1
            if number is None or self.count == number:
                self.refusals.append(Refusal(number=self.count, denial=record, latches=self._latches(record)))

    def _latches(self, denial: Denial) -> tuple[Latch, ...]:
        scopes = {ACCOUNT, strategy_scope(denial.strategy), symbol_scope(denial.symbol)}
        return tuple(
            latch
            for latch in self.states.active()
            if latch.scope in scopes or latch.scope.startswith("venue:")
        )


def _records(payloads: Iterable[bytes | memoryview]) -> Iterator[Denial | Latch]:
    for payload in payloads:
        if bytes(payload[:20]).startswith(SEEN):
            record = decode(payload)
            if isinstance(record, Denial | Latch):
                yield record


def explain(refusal: Refusal) -> dict[str, Any]:
    """The whole answer to: why was this order refused?"""
    denial = refusal.denial
    return {
        "id": refusal.number,
        "at_ns": denial.at_ns,
        "strategy": denial.strategy,
        "path": denial.path,
        "symbol": denial.symbol,
        "side": denial.side.name.lower(),
        "price_ticks": denial.price_ticks,
        "lots": denial.lots,
        "reasons": [_reason(one, refusal) for one in denial.reasons or _old(denial)],
        "states": [latch_row(latch) for latch in refusal.latches],
    }


def _old(denial: Denial) -> list[Reason]:
    """A record of an earlier build has codes and a text only."""
    return [Reason(code=code, limit="", detail=denial.detail) for code in denial.codes]


def _reason(reason: Reason, refusal: Refusal) -> dict[str, Any]:
    entry = entry_of(reason.limit, reason.code)
    return {
        "code": reason.code,
        "limit": entry.id if entry is not None else reason.limit,
        "what": entry.title if entry is not None else OTHER_CODES.get(reason.code, ""),
        "bound": _plain(reason.bound),
        "given": _plain(reason.given),
        "unit": entry.unit if entry is not None else "",
        "would_pass": _would_pass(reason, refusal),
        "detail": reason.detail,
    }


def _would_pass(reason: Reason, refusal: Refusal) -> str:
    """What would have passed."""
    entry = entry_of(reason.limit, reason.code)
    if reason.code in (Code.STATE_HALTED, Code.STATE_REDUCE_ONLY):
        names = ", ".join(f"{latch.cause} of {latch.scope}" for latch in refusal.latches)
        least = "an order that reduces the position" if reason.code == Code.STATE_REDUCE_ONLY else "nothing"
        return f"{least}; any order after the reset of {names}" if names else least
    if reason.limit == "L03":
        return reason.detail
    if reason.code == Code.COST_GATE:
        return f"an edge of at least {_plain(reason.bound)} bps" if reason.bound is not None else ""
    if reason.code == Code.SELF_MATCH:
        return f"a price that does not reach {_plain(reason.bound)}"
    if reason.bound is None:
        return "the same order once this is known" if not entry or not entry.key else ""
    unit = entry.unit if entry is not None else ""
    return f"at most {_plain(reason.bound)} {unit}".rstrip()


def latch_row(latch: Latch) -> dict[str, Any]:
    """A latch as people read it."""
    return {
        "scope": latch.scope,
        "state": latch.level.lower(),
        "cause": latch.cause,
        "reason": latch.reason,
        "actor": latch.actor,
        "since_ns": latch.at_ns,
        "latching": latch.latching,
        "not_before_ns": latch.not_before_ns or None,
    }


def _plain(value: Decimal | None) -> str | None:
    if value is None:
        return None
    short = value.quantize(PLACES) if value.as_tuple().exponent < -SHOWN else value  # type: ignore[operator]
    return format(short.normalize(), "f")
