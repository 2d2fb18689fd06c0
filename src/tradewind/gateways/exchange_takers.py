"""What kind of order took each kept trade: the tape knows prices and orders, not the words of clients."""

from __future__ import annotations

from collections import deque
from typing import Final

from .model import Kind

AT_MARKET: Final = frozenset({Kind.MARKET, Kind.STOP, Kind.TAKE_PROFIT})
"""Orders that take without a limit of the client's, at once or when their price has come."""


class MarketTakers:
    """Numbers of the trades that a market order took, of the last `kept` trades of each market."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._order: dict[int, deque[int]] = {}
        self._numbers: dict[int, set[int]] = {}

    def add(self, market: int, number: int, kind: Kind | None) -> Kind:
        """A trade of a market, by the kind of its taker (None: not known, which counts as a limit order)."""
        order = self._order.get(market)
        if order is None:
            order, self._numbers[market] = deque(), set()
            self._order[market] = order
        while order and order[0] <= number - self._kept:
            self._numbers[market].discard(order.popleft())
        if kind not in AT_MARKET:
            return Kind.LIMIT
        order.append(number)
        self._numbers[market].add(number)
        return Kind.MARKET

    def kind(self, market: int, number: int) -> Kind:
        """`MARKET` or `LIMIT`."""
        return Kind.MARKET if number in self._numbers.get(market, ()) else Kind.LIMIT
