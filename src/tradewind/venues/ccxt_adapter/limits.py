"""The rate that ccxt states for a venue, as a limit with classes: a sliding window of units (T4.1, T4.7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from tradewind.venues.limits.blocks import Block, Blocks, retry_after_ns
from tradewind.venues.limits.verdicts import (
    ABOVE_BUDGET,
    GRANTED,
    SECOND_NS,
    Denied,
    Priority,
    Verdict,
    Wait,
    ceiling,
)

DEFAULT_WINDOW_S: Final = 10
MILLI: Final = 1_000
"""Costs are counted in thousandths of a unit: ccxt states fractions."""
FIREWALL: Final = 403
MAX_GRANTS: Final = 100_000
RESERVED_SHARE: Final = 0.5
"""The most of a window that is kept free for the cancels of working orders."""


class CostLimits:
    """At most so many units in any window. New risk leaves room for one cancel of every working order."""

    def __init__(self, units: int, window_s: float, working: Callable[[], int]) -> None:
        """Raises `ValueError`: a window without units."""
        if units < 1 or window_s <= 0:
            raise ValueError("a window has at least one unit")
        self.units, self.window_ns = units, int(window_s * SECOND_NS)
        self._working = working
        self._grants: deque[tuple[int, int]] = deque()
        self._used = 0
        self._blocks = Blocks()

    def admit(self, cls: Priority, items: Sequence[Any], now_ns: int) -> Verdict:
        """`items`: costs in thousandths of a unit."""
        block = self._blocks.find((), now_ns)
        if block is not None:
            return Wait(block.until_ns, block.reason)
        self._forget(now_ns)
        cost = sum(int(one) for one in items)
        most = max(1, ceiling(cls, self.units)) * MILLI
        if cls >= Priority.P3:
            kept = min(self._working() * MILLI, int(self.units * MILLI * RESERVED_SHARE))
            most = max(MILLI, most - kept)
        if cost > most and cost > self.units * MILLI:
            return Denied(ABOVE_BUDGET)
        # one call may cost more than its class's share: then it goes alone
        if self._grants and self._used + cost > most:
            return Wait(self._free_at(self._used + cost - most))
        if len(self._grants) >= MAX_GRANTS:
            return Wait(self._grants[0][0] + self.window_ns)
        self._grants.append((now_ns, cost))
        self._used += cost
        return GRANTED

    def _free_at(self, needed: int) -> int:
        """When so many thousandths have left the window."""
        last_ns = 0
        for granted_ns, cost in self._grants:
            last_ns = granted_ns
            needed -= cost
            if needed <= 0:
                break
        return last_ns + self.window_ns

    def _forget(self, now_ns: int) -> None:
        while self._grants and now_ns - self._grants[0][0] >= self.window_ns:
            self._used -= self._grants.popleft()[1]

    def refused(self, retry_after: str | None, missing_s: int, now_ns: int) -> Block:
        """The venue said that it was too much: nothing goes out for a while."""
        block = Block(until_ns=now_ns + retry_after_ns(retry_after, missing_s), reason="TooManyRequests")
        self._blocks.add("", block)
        return block


def stated(exchange: Any, units_per_s: float | None) -> tuple[int, float]:
    """Units and window of a venue, from the rate that ccxt states or the one that is configured."""
    window_s = float(getattr(exchange, "rollingWindowSize", 0) or 0) / 1_000 or DEFAULT_WINDOW_S
    if units_per_s is None:
        spacing_ms = float(exchange.rateLimit or 0)
        units_per_s = 1_000 / spacing_ms if spacing_ms > 0 else 1.0
    return max(1, int(window_s * units_per_s)), window_s
