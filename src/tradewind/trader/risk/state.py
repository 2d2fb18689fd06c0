"""Trading states (T11.4): Normal, ReduceOnly, Halted, latched per scope and cause; the most restrictive
wins.
"""

from __future__ import annotations

from enum import IntEnum

from ..records import Latch

ACCOUNT = "account"
MAX_LATCHES = 1_024


class TradingState(IntEnum):
    """What may be sent. Ordered by restriction."""

    NORMAL = 0
    REDUCE_ONLY = 1
    HALTED = 2


class LatchError(ValueError):
    """A latch that may not be cleared: unknown, too early, or without a reason."""

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
    others (outage, staleness) end by the rule that set them.
    """

    def __init__(self) -> None:
        self._latches: dict[tuple[str, str], Latch] = {}

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

    def clear(self, scope: str, cause: str, *, reason: str, actor: str, now_ns: int) -> Latch:
        """End one latch. Raises `LatchError` when it is not set, too early, or the reason is empty."""
        known = self._latches.get((scope, cause))
        if known is None:
            raise LatchError(f"{scope} is not restricted by {cause}")
        if known.latching and not reason.strip():
            raise LatchError(f"{cause} of {scope} needs a reason to be reset")
        if now_ns < known.not_before_ns:
            raise LatchError(f"{cause} of {scope} cannot be reset before {known.not_before_ns} ns")
        latch = Latch(
            scope=scope,
            cause=cause,
            level=known.level,
            latching=known.latching,
            cleared=True,
            reason=reason,
            actor=actor,
            at_ns=now_ns,
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
