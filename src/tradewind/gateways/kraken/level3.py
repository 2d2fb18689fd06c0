"""The `level3` channel: single orders of the best price levels, with a checksum over every one of them.

It is made from the exchange's resting orders at each change of the book, and only while somebody listens. The
work of a change is proportional to the orders of the market.
"""

from __future__ import annotations

from typing import Any, Final
from zlib import crc32

import msgspec

from tradewind.gateways.kraken import ids
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.numbers import rfc3339
from tradewind.gateways.kraken.rows import PairFormat, Row
from tradewind.venues.feeds.checksum import CHECKSUM_LEVELS
from tradewind.venues.market_data import Side

DEPTHS: Final = (10, 100, 1_000)


class Single(msgspec.Struct, frozen=True):
    """One resting order. `since_ns`: when it was accepted, or last changed here."""

    order: int
    price: int
    lots: int
    since_ns: int


Book = dict[Side, dict[int, Single]]
"""Orders of both sides by number: best level first, in a level by priority."""


class OrderView:
    """The orders of the best `depth` levels of a market, as subscribers have them."""

    def __init__(self, desk: Desk, symbol: str, depth: int) -> None:
        self._desk, self._symbol, self._depth = desk, symbol, depth
        self._handle = desk.exchange.markets[symbol].handle
        self.listeners: dict[Any, None] = {}
        self._shown: Book = {Side.BUY: {}, Side.SELL: {}}
        self._resting: dict[int, int] = {}
        """Every resting order of the market with its price, in sight or not."""

    def refresh(self) -> tuple[list[Row], list[Row]]:
        """Takes what rests now; events that lead there: bids, asks.

        An order whose level is pushed out of the depth by better ones is not told: cutting removes it.
        """
        now_ns = self._desk.now_ns()
        current = self._current(now_ns)
        events = tuple(self._events(side, current[side], now_ns) for side in (Side.BUY, Side.SELL))
        self._shown = current
        return events[0], events[1]

    def _current(self, now_ns: int) -> Book:
        exchange = self._desk.exchange
        resting: dict[Side, dict[int, list[Single]]] = {Side.BUY: {}, Side.SELL: {}}
        self._resting = {}
        for one in exchange.views.books.orders(self._handle):
            self._resting[one.order] = one.price
            side = Side(one.side)
            known = self._shown[side].get(one.order)
            if known is not None and (known.price, known.lots) == (one.price, one.lots):
                single = known
            else:
                order = exchange.views.orders.get(one.order) if known is None else None
                single = Single(
                    one.order, one.price, one.lots, now_ns if order is None else order.accepted_ns
                )
            resting[side].setdefault(one.price, []).append(single)
        book: Book = {Side.BUY: {}, Side.SELL: {}}
        for side, levels in resting.items():
            for price in sorted(levels, reverse=side is Side.BUY)[: self._depth]:
                book[side].update((single.order, single) for single in levels[price])
        return book

    def _events(self, side: Side, current: dict[int, Single], now_ns: int) -> list[Row]:
        pair, shown = self._desk.pair(self._symbol), self._shown[side]
        kept = _kept(shown, current)
        events: list[Row] = []
        for number, old in shown.items():
            if number not in kept and (number in current or self._resting.get(number) != old.price):
                row = single_row(pair, old) | {"timestamp": rfc3339(now_ns, 9)}
                events.append({"event": "delete", **row})
        for number, new in current.items():
            if number not in kept:
                events.append({"event": "add", **single_row(pair, new)})
            elif shown[number].lots != new.lots:
                events.append({"event": "modify", **single_row(pair, new)})
        return events

    def row(self, bids: list[Row], asks: list[Row]) -> Row:
        """A message: events or orders of both sides, and the checksum of the book behind them."""
        sides = {"bids": bids, "asks": asks}
        moment = rfc3339(self._desk.now_ns(), 9)
        return {"symbol": self._symbol, **sides, "checksum": self.checksum(), "timestamp": moment}

    def orders(self) -> tuple[list[Row], list[Row]]:
        """Every order in sight: bids, asks."""
        pair = self._desk.pair(self._symbol)
        bids, asks = self._shown[Side.BUY].values(), self._shown[Side.SELL].values()
        return [single_row(pair, one) for one in bids], [single_row(pair, one) for one in asks]

    def checksum(self) -> int:
        """CRC-32 over price and quantity of every order of the ten best asks, then of the ten best bids."""
        pair = self._desk.pair(self._symbol)
        return crc32((_digits(pair, self._shown[Side.SELL]) + _digits(pair, self._shown[Side.BUY])).encode())


def _kept(shown: dict[int, Single], current: dict[int, Single]) -> set[int]:
    """Orders that keep their place in the queue of their level: behind the first that moved, none does."""
    queues: dict[int, list[int]] = {}
    for number, one in current.items():
        queues.setdefault(one.price, []).append(number)
    before: dict[int, list[int]] = {}
    for number, one in shown.items():
        if number in current and current[number].price == one.price:
            before.setdefault(one.price, []).append(number)
    kept: set[int] = set()
    for price, numbers in before.items():
        for number, other in zip(numbers, queues[price], strict=False):
            if number != other:
                break
            kept.add(number)
    return kept


def _digits(pair: PairFormat, orders: dict[int, Single]) -> str:
    prices: set[int] = set()
    text = []
    for one in orders.values():
        prices.add(one.price)
        if len(prices) > CHECKSUM_LEVELS:
            break
        for digits in (pair.price(one.price), pair.size(one.lots)):
            text.append(digits.replace(".", "").lstrip("0"))
    return "".join(text)


def single_row(pair: PairFormat, one: Single) -> Row:
    """One order without its owner."""
    return {
        "order_id": ids.order_id(one.order),
        "limit_price": pair.price_number(one.price),
        "order_qty": pair.size_number(one.lots),
        "timestamp": rfc3339(one.since_ns, 9),
    }
