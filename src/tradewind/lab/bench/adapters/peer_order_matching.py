"""order-matching: Python objects and data frames; every order is placed and matched by itself, as ours is."""

from __future__ import annotations

import importlib
from datetime import datetime, timedelta
from typing import Any

ENGINE: Any = importlib.import_module("order_matching.matching_engine")
ORDER: Any = importlib.import_module("order_matching.order")
ORDERS: Any = importlib.import_module("order_matching.orders")
ENUMS: Any = importlib.import_module("order_matching.enums")
SIDES = (ENUMS.Side.BUY, ENUMS.Side.SELL)
STEP = timedelta(microseconds=1)


class Book:
    def __init__(self) -> None:
        importlib.import_module("loguru").logger.disable("order_matching")
        self.engine = ENGINE.MatchingEngine(seed=1)
        self.now = datetime(2024, 1, 1)
        self.traded_lots = 0

    def _place(self, order: int, side: int, price: int, lots: int) -> Any:
        self.now += STEP
        placed = ORDER.LimitOrder(
            side=SIDES[side],
            price=float(price),
            size=float(lots),
            timestamp=self.now,
            order_id=str(order),
            trader_id="trader",
        )
        self.engine.place(orders=ORDERS.Orders([placed]))
        trades = self.engine.match(timestamp=self.now)
        self.traded_lots += int(sum(trade.size for trade in trades.trades))
        return placed

    def add(self, order: int, side: int, price: int, lots: int) -> None:
        self._place(order, side, price, lots)

    def take(self, order: int, side: int, price: int, lots: int) -> None:
        if self._place(order, side, price, lots).size > 0:
            # There is no immediate-or-cancel: what would rest is taken back.
            self.engine.cancel_order(str(order))

    def cancel(self, order: int) -> bool:
        try:
            self.engine.cancel_order(str(order))
        except ValueError:
            return False
        return True
