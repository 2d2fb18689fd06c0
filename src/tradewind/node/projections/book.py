"""Order books by level, as the public may see them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tradewind.core.enums import Side
from tradewind.core.event_types import (
    IcebergShown,
    OrderAccepted,
    OrderActivated,
    OrderCancelled,
    OrderReplaced,
    OrderResized,
    OrderRested,
    SelfTradePrevented,
    SetFilled,
    Trade,
)
from tradewind.core.events import Event
from tradewind.node.projections.directory import MarketsView


class Level(msgspec.Struct, frozen=True):
    """A price in ticks with the lots and the number of orders at it."""

    price: int
    lots: int
    orders: int


class RestingOrder(msgspec.Struct, frozen=True):
    """An order in the book as the public may see it: nothing of its owner, nothing of its hidden part."""

    order: int
    side: Side
    price: int
    lots: int


class _Resting(msgspec.Struct):
    market: int
    line: int
    side: int
    price: int
    lots: int
    """What the public sees: without the hidden part of an iceberg."""
    hidden: int = 0


class Book:
    """Both sides of one market."""

    def __init__(self, *, tracks_changes: bool = False) -> None:
        self.sides: tuple[dict[int, list[int]], dict[int, list[int]]] = ({}, {})
        self.updated_seq = 0
        self.updated_ns = 0
        self._before: dict[tuple[int, int], int] | None = {} if tracks_changes else None
        """Lots of each level that was touched since `take_changes`, as they were before."""

    def add(self, side: int, price: int, lots: int, orders: int) -> None:
        """Changes a level; it disappears with its last order."""
        level = self.sides[side].setdefault(price, [0, 0])
        if self._before is not None:
            self._before.setdefault((side, price), level[0])
        level[0] += lots
        level[1] += orders
        if level[1] == 0:
            del self.sides[side][price]

    def levels(self, side: Side, depth: int | None = None) -> list[Level]:
        """Levels from the best on."""
        prices = sorted(self.sides[side], reverse=side == Side.BUY)
        return [Level(price, *self.sides[side][price]) for price in prices[:depth]]

    def take_changes(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(price, lots now) of levels whose lots differ from those at the last call: bids, asks; best first.

        Empty for a book that does not track its changes.
        """
        changed: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for (side, price), before in (self._before or {}).items():
            level = self.sides[side].get(price)
            lots = 0 if level is None else level[0]
            if lots != before:
                changed[side].append((price, lots))
        if self._before:
            self._before.clear()
        changed[Side.BUY].sort(reverse=True)
        changed[Side.SELL].sort()
        return changed

    def best(self, side: Side) -> int | None:
        """Best price in ticks; None for an empty side."""
        prices = self.sides[side]
        if not prices:
            return None
        return max(prices) if side == Side.BUY else min(prices)


class BookView:
    """The books of all markets, built from what rests, trades and leaves.

    A market of two outcomes has one book in prices of outcome 0; one of three or more has a book per outcome.
    """

    def __init__(self, markets: MarketsView | None = None, *, tracks_changes: bool = False) -> None:
        self.books: dict[int, Book] = {}
        self.touched: set[int] = set()
        """Markets whose book changed since a reader emptied this set; only with `tracks_changes`."""
        self._tracks_changes = tracks_changes
        self._further: dict[tuple[int, int], Book] = {}
        self._resting: dict[int, _Resting] = {}
        self._markets = markets

    def book(self, market: int, outcome: int = 0) -> Book:
        """The book of a market, or of a further outcome; an empty one where nobody has placed an order."""
        found = self._further.get((market, outcome)) if outcome else self.books.get(market)
        return found or Book()

    def orders(self, market: int) -> Iterator[RestingOrder]:
        """Orders of a market (outcome 0), in the order in which they came to rest where they are."""
        for order, one in self._resting.items():
            if one.market == market and not one.line:
                yield RestingOrder(order, Side(one.side), one.price, one.lots)

    def markets(self) -> Iterator[int]:
        return iter(self.books)

    def on_event(self, event: Event) -> None:
        if isinstance(event, Trade):
            self._shrink(event, event.maker_order, event.maker_remaining)
        elif isinstance(event, SetFilled):
            if event.order != event.taker_order:
                self._shrink(event, event.order, event.remaining)
        elif isinstance(event, OrderAccepted | OrderRested | OrderReplaced):
            self._remove(event, event.order)
            if event.resting == 1:
                self._add(event)
        elif isinstance(event, OrderActivated):
            if event.resting == 1:
                self._add(event)
        elif isinstance(event, IcebergShown):
            self._show(event)
        elif isinstance(event, OrderResized):
            if event.order in self._resting:
                self._shrink(event, event.order, event.remaining_lots)
        elif isinstance(event, OrderCancelled):
            self._remove(event, event.order)
        elif isinstance(event, SelfTradePrevented):
            self._shrink(event, event.maker_order, event.maker_remaining)

    def _touch(self, event: Event, resting: _Resting) -> Book:
        if resting.line:
            book = self._further.setdefault((resting.market, resting.line), Book())
        elif (known := self.books.get(resting.market)) is not None:
            book = known
        else:
            book = self.books[resting.market] = Book(tracks_changes=self._tracks_changes)
        if self._tracks_changes:
            self.touched.add(resting.market)
        book.updated_seq, book.updated_ns = event.seq, event.time_ns
        return book

    def _show(self, event: IcebergShown) -> None:
        """Displayed and hidden lots of a resting iceberg, at its start and at each refill."""
        resting = self._resting.get(event.order)
        if resting is not None:
            shown = event.displayed_lots - resting.lots
            self._touch(event, resting).add(resting.side, resting.price, shown, 0)
            resting.lots, resting.hidden = event.displayed_lots, event.hidden_lots

    def _add(self, event: OrderAccepted | OrderRested | OrderReplaced | OrderActivated) -> None:
        side, price, line = event.side, event.price, event.outcome
        market = None if self._markets is None else self._markets.by_handle.get(event.market)
        if market is not None and market.flips(event.outcome):
            side, price, line = 1 - side, market.payout_ticks - price, 0
        resting = _Resting(event.market, line, side, price, event.remaining_lots)
        self._resting[event.order] = resting
        self._touch(event, resting).add(resting.side, resting.price, resting.lots, 1)

    def _remove(self, event: Event, order: int) -> None:
        resting = self._resting.pop(order, None)
        if resting is not None:
            self._touch(event, resting).add(resting.side, resting.price, -resting.lots, -1)

    def _shrink(self, event: Event, order: int, remaining: int) -> None:
        if remaining == 0:
            self._remove(event, order)
            return
        resting = self._resting[order]
        shown = remaining - resting.hidden
        self._touch(event, resting).add(resting.side, resting.price, shown - resting.lots, 0)
        resting.lots = shown
