"""order-book: a sorted map of price levels in C. It does not match: matching is done here."""

from __future__ import annotations

import importlib
from typing import Any

BUY = 0
PACKAGE: Any = importlib.import_module("order_book")


class Book:
    def __init__(self) -> None:
        book = PACKAGE.OrderBook()
        self.sides = (book.bids, book.asks)
        self.places: dict[int, tuple[int, int]] = {}
        self.traded_lots = 0

    def add(self, order: int, side: int, price: int, lots: int) -> None:
        levels = self.sides[side]
        if price in levels:
            levels[price][order] = lots
        else:
            levels[price] = {order: lots}
        self.places[order] = (side, price)

    def take(self, order: int, side: int, price: int, lots: int) -> None:
        levels = self.sides[1 - side]
        while lots and len(levels):
            best, queue = levels.index(0)
            if best > price if side == BUY else best < price:
                return
            lots = self._match(queue, lots)
            if not queue:
                del levels[best]

    def _match(self, queue: dict[int, int], lots: int) -> int:
        """Fills from the front of a level; the lots that are left."""
        while lots and queue:
            maker, resting = next(iter(queue.items()))
            filled = min(lots, resting)
            lots -= filled
            self.traded_lots += filled
            if filled == resting:
                del queue[maker], self.places[maker]
            else:
                queue[maker] = resting - filled
        return lots

    def cancel(self, order: int) -> bool:
        place = self.places.pop(order, None)
        if place is None:
            return False
        levels = self.sides[place[0]]
        queue = levels[place[1]]
        del queue[order]
        if not queue:
            del levels[place[1]]
        return True
