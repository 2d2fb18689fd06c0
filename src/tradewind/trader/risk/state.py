"""Trading states (T11.4): Normal, ReduceOnly, Halted, latched per scope and cause; the most restrictive
wins.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from ..records import Latch

ACCOUNT = "account"
TOTAL_LOSS: Final = "total_loss"
ALWAYS_TWO: Final = frozenset({TOTAL_LOSS})
"""Causes that two people reset, whatever is at stake."""
TWO_ABOVE: Final = frozenset(
    {
        "daily_loss",
        "drawdown",
        "reconciliation",
        "foreign_activity",
        "operator",
        "overfill",
        "suspense",
        "risk",
    }
)
"""Causes that two people reset when more than `dual_control_quote` is at stake (T11.4)."""
AUTOMATIC: Final = frozenset({"outage", "stale", "maintenance", "correlation", "control", "resources"})
"""Causes that end by their own recovery rule; every other one latches."""
MAX_LATCHES = 1_024


class TradingState(IntEnum):
    """What may be sent. Ordered by restriction."""

    NORMAL = 0
    REDUCE_ONLY = 1
    HALTED = 2


class LatchError(ValueError):
    """A latch that may not be cleared: unknown, too early, without a reason or without a second person."""

    code = "LatchError"


def venue_scope(name: str) -> str:
    """Scope of one venue."""
    return f"venue:{name}"


def strategy_scope(name: str) -> str:
    """Scope of one strategy."""
    return f"strategy:{name}"


def symbol_scope(name: str) -> str:
    """Scope of one symbol."""
    return f"symbol:{name}"


class StateTable:
    """The latches in force. Every change is a `Latch` record; applying the records again gives the same
    table.

    Latching causes (loss, drawdown, reconciliation, operator) end only by `clear` with a reason; the
    others (outage, staleness) end by `release`, which is the rule that set them. Neither a restart nor a
    clock nor midnight clears anything. `much_at_stake` says whether the resets of `TWO_ABOVE` need two
    people now.
    """

    def __init__(self, much_at_stake: Callable[[], bool] | None = None) -> None:
        self._latches: dict[tuple[str, str], Latch] = {}
        self.much_at_stake = much_at_stake or (lambda: False)

    def apply(self, latch: Latch) -> None:
        """Fold one record into the table."""
        key = (latch.scope, latch.cause)
        if latch.cleared:
            self._latches.pop(key, None)
        elif len(self._latches) < MAX_LATCHES or key in self._latches:
            self._latches[key] = latch
        else:
            raise LatchError(f"more than {MAX_LATCHES} latches")

    def trip(
        self,
        scope: str,
        cause: str,
        level: TradingState,
        *,
        reason: str,
        actor: str,
        now_ns: int,
        latching: bool = True,
        not_before_ns: int = 0,
    ) -> Latch | None:
        """Restrict a scope. None when this cause restricts it as much already; a latch never weakens."""
        known = self._latches.get((scope, cause))
        if known is not None and TradingState[known.level] >= level:
            return None
        latch = Latch(
            scope=scope,
            cause=cause,
            level=level.name,
            latching=latching,
            cleared=False,
            reason=reason,
            actor=actor,
            at_ns=now_ns,
            not_before_ns=not_before_ns,
        )
        self.apply(latch)
        return latch

    def needs_two(self, cause: str) -> bool:
        """Whether two people have to reset this cause now."""
        return cause in ALWAYS_TWO or (cause in TWO_ABOVE and self.much_at_stake())

    def release(self, scope: str, cause: str, *, reason: str, now_ns: int) -> Latch | None:
        """The recovery rule of a cause that does not latch is fulfilled. None when it is not set. Raises
        `LatchError` for one that latches: nothing resets it by itself.
        """
        known = self._latches.get((scope, cause))
        if known is None:
            return None
        if known.latching:
            raise LatchError(f"{cause} of {scope} latches: a person resets it, with a reason")
        return self.clear(scope, cause, reason=reason, actor="trader", now_ns=now_ns)

    def clear(
        self, scope: str, cause: str, *, reason: str, actor: str, now_ns: int, second: str = ""
    ) -> Latch:
        """End one latch. Raises `LatchError` when it is not set, too early, the reason is empty, or a second,
        different person is needed.
        """
        known = self._latches.get((scope, cause))
        if known is None:
            raise LatchError(f"{scope} is not restricted by {cause}")
        if known.latching and not reason.strip():
            raise LatchError(f"{cause} of {scope} needs a reason to be reset")
        if now_ns < known.not_before_ns:
            raise LatchError(f"{cause} of {scope} cannot be reset before {known.not_before_ns} ns")
        if known.latching and self.needs_two(cause) and _same(actor, second):
            raise LatchError(f"{cause} of {scope} needs a second, different person to be reset")
        latch = Latch(
            scope=scope,
            cause=cause,
            level=known.level,
            latching=known.latching,
            cleared=True,
            reason=reason,
            actor=actor,
            at_ns=now_ns,
            second=second,
        )
        self.apply(latch)
        return latch

    def active(self) -> list[Latch]:
        """All latches in force, oldest first."""
        return sorted(self._latches.values(), key=lambda latch: (latch.at_ns, latch.scope, latch.cause))

    def is_set(self, scope: str, cause: str) -> bool:
        """Whether this cause restricts this scope."""
        return (scope, cause) in self._latches

    def effective(self, *scopes: str) -> TradingState:
        """The most restrictive state of the account and these scopes."""
        relevant = (ACCOUNT, *scopes)
        levels = [TradingState[latch.level] for latch in self._latches.values() if latch.scope in relevant]
        return max(levels, default=TradingState.NORMAL)


def _same(actor: str, second: str) -> bool:
    """Whether there is no second person: nobody, or the first one again."""
    return not second.strip() or second.strip().casefold() == actor.strip().casefold()
