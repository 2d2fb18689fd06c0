"""lightmatchingengine: pure Python, price levels in a dictionary, no accounts, no ledger, no events."""

from __future__ import annotations

import importlib
from typing import Any

PACKAGE: Any = importlib.import_module("lightmatchingengine.lightmatchingengine")
SIDES = (PACKAGE.Side.BUY, PACKAGE.Side.SELL)


class Book:
    def __init__(self) -> None:
        self.engine = PACKAGE.LightMatchingEngine()
        self.ids: dict[int, Any] = {}
        self.traded_lots = 0

    def add(self, order: int, side: int, price: int, lots: int) -> None:
        placed, _ = self.engine.add_order("MARKET", price, lots, SIDES[side])
        self.ids[order] = placed

    def take(self, order: int, side: int, price: int, lots: int) -> None:
        placed, _ = self.engine.add_order("MARKET", price, lots, SIDES[side])
        self.traded_lots += placed.cum_qty
        if placed.leaves_qty > 0:
            # There is no immediate-or-cancel: what would rest is taken back.
            self.engine.cancel_order(placed.order_id, "MARKET")

    def cancel(self, order: int) -> bool:
        placed = self.ids.pop(order, None)
        # Filled orders stay in its map, and cancelling one fails an assertion.
        if placed is None or placed.leaves_qty == 0:
            return False
        return self.engine.cancel_order(placed.order_id, "MARKET") is not None
