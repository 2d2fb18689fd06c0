"""What an amount of one asset is worth in another, by the exchange's own markets."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

from tradewind.gateways.exchange import Exchange

MAX_STEPS: Final = 3
"""Markets that a conversion goes through at most."""


class Worth:
    """Converts by last prices, or by the middle of the book where nothing was traded."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def of(self, amount: Decimal, asset: str, target: str) -> Decimal | None:
        """The worth of an amount; None when no chain of markets with prices leads there."""
        if asset == target or not amount:
            return amount
        seen, waiting = {asset}, deque([(asset, amount, 0)])
        while waiting:
            here, value, steps = waiting.popleft()
            if steps == MAX_STEPS:
                continue
            for symbol in self._exchange.markets:
                base, quote = symbol.split("/")
                if here not in (base, quote):
                    continue
                there = quote if here == base else base
                price = None if there in seen else self._price(symbol)
                if price is None:
                    continue
                changed = value * price if here == base else value / price
                if there == target:
                    return changed
                seen.add(there)
                waiting.append((there, changed, steps + 1))
        return None

    def _price(self, symbol: str) -> Decimal | None:
        tick = self._exchange.markets[symbol].instrument.tick
        last = self._exchange.trades(symbol, 1)
        if last:
            return tick * last[-1].price_ticks
        book = self._exchange.book(symbol, 1)
        if book.bids and book.asks:
            return tick * (book.bids[0][0] + book.asks[0][0]) / 2
        return None
