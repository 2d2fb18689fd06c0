"""What risk remembers of the last seconds: messages, repeated wishes, denials. Every memory is bounded."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Container, Sized
from decimal import Decimal
from typing import Protocol

from tradewind.venues.market_data import Side

from .model import SECOND_NS, Order

MAX_RECENT_ORDERS = 4_096
MAX_NAMES = 1_024
"""Strategies and operators that are told apart; more share one memory, which is stricter."""
REST = "(all others)"
STORM_WINDOW_NS = 60 * SECOND_NS
Wish = tuple[str, Side, Decimal, Decimal]
"""What two orders have in common that are the same to L12."""


class _Memory(Sized, Container[str], Protocol):
    """A dictionary by name."""


class _Wishes:
    """Orders of one strategy within a window, and how often each was wished."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, Wish]] = deque()
        self._counts: Counter[Wish] = Counter()

    def add(self, wish: Wish, now_ns: int) -> None:
        if len(self._sent) >= MAX_RECENT_ORDERS:
            self._drop()
        self._sent.append((now_ns, wish))
        self._counts[wish] += 1

    def count(self, wish: Wish, since_ns: int) -> int:
        """How often it was wished after the moment; what is older is forgotten."""
        while self._sent and self._sent[0][0] <= since_ns:
            self._drop()
        return self._counts[wish]

    def _drop(self) -> None:
        _, wish = self._sent.popleft()
        self._counts[wish] -= 1
        if not self._counts[wish]:
            del self._counts[wish]


class Recent:
    """Memory of L11, L12 and T11.9."""

    def __init__(self) -> None:
        self._messages: dict[str, deque[int]] = {}
        self._wishes: dict[str, _Wishes] = {}
        self._denied_at: dict[str, dict[str, deque[int]]] = {}

    def messages(self, strategy: str, now_ns: int) -> int:
        """New orders and amends that passed within the last second."""
        moments = self._messages.get(_name(self._messages, strategy))
        while moments and now_ns - moments[0] >= SECOND_NS:
            moments.popleft()
        return len(moments or ())

    def same(self, order: Order, now_ns: int, window_s: int) -> int:
        """How often this very order passed within the window."""
        wishes = self._wishes.get(_name(self._wishes, order.strategy))
        return 0 if wishes is None else wishes.count(_wish(order), now_ns - window_s * SECOND_NS)

    def passed(self, order: Order, now_ns: int) -> None:
        """An order passed."""
        moments = self._messages.setdefault(
            _name(self._messages, order.strategy), deque(maxlen=MAX_RECENT_ORDERS)
        )
        moments.append(now_ns)
        if order.replaces is None:
            self._wishes.setdefault(_name(self._wishes, order.strategy), _Wishes()).add(_wish(order), now_ns)

    def denied(self, strategy: str, code: str, now_ns: int) -> None:
        """An order was denied with this code."""
        codes = self._denied_at.setdefault(_name(self._denied_at, strategy), {})
        codes.setdefault(code, deque(maxlen=MAX_RECENT_ORDERS)).append(now_ns)

    def storm(self, strategy: str, now_ns: int, most: int) -> str | None:
        """The code that this strategy was denied with more than `most` times within a minute, if any."""
        for code, moments in self._denied_at.get(_name(self._denied_at, strategy), {}).items():
            while moments and now_ns - moments[0] >= STORM_WINDOW_NS:
                moments.popleft()
            if len(moments) > most:
                return code
        return None


def _name(memory: _Memory, name: str) -> str:
    return name if name in memory or len(memory) < MAX_NAMES else REST


def _wish(order: Order) -> Wish:
    return order.symbol, order.side, order.price, order.quantity
