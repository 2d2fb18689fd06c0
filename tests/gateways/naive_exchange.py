"""The plainest exchange that can be: lists, sorted at every step, whole micro-units."""

from __future__ import annotations

from typing import Any

import msgspec

MICRO = 1_000_000
FEE_BPS = 10
UNIT = 1
"""Micro-quote of one tick and lot of BTC/USD: 0.1 x 0.00001."""
LOT_MICRO = 10


class NaiveOrder(msgspec.Struct):
    """One order."""

    number: int
    account: str
    buys: bool
    price: int
    lots: int
    left: int
    state: str = "working"
    filled: int = 0
    cost: int = 0
    fee: int = 0
    arrival: int = 0


def fee_of(value: int) -> int:
    return -(-value * FEE_BPS // 10_000)


class NaiveExchange:
    """One market."""

    def __init__(self, accounts: list[str], quote: int, base: int) -> None:
        self.total = {name: {"USD": quote, "BTC": base} for name in accounts}
        self.orders: dict[int, NaiveOrder] = {}
        self.trades: list[tuple[int, int]] = []
        self._count = 0

    def held(self, account: str) -> dict[str, int]:
        held = {"USD": 0, "BTC": 0}
        for one in self.working():
            if one.account == account:
                if one.buys:
                    value = one.price * one.left * UNIT
                    held["USD"] += value + fee_of(value)
                else:
                    held["BTC"] += one.left * LOT_MICRO
        return held

    def free(self, account: str, asset: str) -> int:
        return self.total[account][asset] - self.held(account)[asset]

    def working(self) -> list[NaiveOrder]:
        return [one for one in self.orders.values() if one.state == "working"]

    def side(self, buys: bool) -> list[NaiveOrder]:
        """Best first, then first come."""
        rows = [one for one in self.working() if one.buys == buys]
        return sorted(rows, key=lambda one: (-one.price if buys else one.price, one.arrival))

    def book(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        sides: list[Any] = []
        for buys in (True, False):
            levels: dict[int, int] = {}
            for one in self.side(buys):
                levels[one.price] = levels.get(one.price, 0) + one.left
            sides.append(tuple(levels.items()))
        return sides[0], sides[1]

    def crosses(self, buys: bool, price: int) -> list[NaiveOrder]:
        return [one for one in self.side(not buys) if (one.price <= price if buys else one.price >= price)]

    def place(self, number: int, account: str, buys: bool, price: int, lots: int, how: str) -> str:
        """The state afterwards, or why it is refused."""
        value = price * lots * UNIT
        needed = value + fee_of(value) if buys else lots * LOT_MICRO
        if needed > self.free(account, "USD" if buys else "BTC"):
            return "insufficient_funds"
        against = self.crosses(buys, price)
        if how == "post" and against:
            return "would_take"
        if against and against[0].account == account:
            return "self_trade"
        if how == "fok" and not self._fills_whole(account, against, lots):
            return "not_fillable"
        self._count += 1
        order = NaiveOrder(number, account, buys, price, lots, lots, arrival=self._count)
        self.orders[number] = order
        self._match(order)
        if order.state == "working" and how in ("ioc", "fok"):
            order.state = "cancelled"
        return order.state

    @staticmethod
    def _fills_whole(account: str, against: list[NaiveOrder], lots: int) -> bool:
        for one in against:
            if one.account == account:
                return False
            lots -= one.left
            if lots <= 0:
                return True
        return False

    def _match(self, order: NaiveOrder) -> None:
        for one in self.crosses(order.buys, order.price):
            if one.account == order.account:
                # The newest of the two ends.
                order.state = "cancelled"
                return
            lots = min(one.left, order.left)
            self.trades.append((one.price, lots))
            for each in (order, one):
                self._settle(each, one.price, lots)
            if order.left == 0:
                return

    def _settle(self, order: NaiveOrder, price: int, lots: int) -> None:
        value, before = price * lots * UNIT, order.price * order.left * UNIT
        order.left -= lots
        order.filled += lots
        fee = fee_of(value)
        if order.buys:
            # Rounded up once when it was reserved, never more often when it is charged.
            after = order.price * order.left * UNIT
            fee = min(fee, before + fee_of(before) - value - after - fee_of(after))
        order.cost += value
        order.fee += fee
        total = self.total[order.account]
        total["USD"] += -(value + fee) if order.buys else value - fee
        total["BTC"] += lots * LOT_MICRO if order.buys else -lots * LOT_MICRO
        if order.left == 0:
            order.state = "filled"

    def cancel(self, number: int) -> None:
        if self.orders[number].state == "working":
            self.orders[number].state = "cancelled"
