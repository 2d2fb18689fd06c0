"""The dark midpoint cross as the log shows it (protocol P16).

`orders` and `fills` are for their owners alone; `prints` are what the public learns, a minute after a cross.
Midpoints in half ticks.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from tradewind.core.event_types import (
    DarkAccepted,
    DarkCancelled,
    DarkFilled,
    DarkPrinted,
    ParameterSet,
)
from tradewind.core.events import Event

FILLS_KEPT: Final = 200
"""Last fills of an account that the view remembers."""
PRINTS_KEPT: Final = 1_000
FIRST_PLACE: Final = 193
PLACES: Final = 16
INTERVAL: Final = 192
DEFAULT_INTERVAL_MS: Final = 1_000


class DarkOrder(msgspec.Struct):
    """A resting order."""

    order: int
    account: int
    sub: int
    market: int
    outcome: int
    side: int
    lots: int
    min_lots: int
    limit: int
    filled: int = 0


class DarkFill(msgspec.Struct, frozen=True):
    """One side of a fill: `money` is paid by a buyer and received by a seller, without the fee."""

    order: int
    market: int
    outcome: int
    side: int
    midpoint: int
    lots: int
    money: int
    fee: int
    time_ns: int


class DarkPrint(msgspec.Struct, frozen=True):
    """A cross, as the public knows it."""

    market: int
    outcome: int
    midpoint: int
    lots: int
    crossed_ns: int


class DarkView:
    """Orders by number, last fills by account, last prints by market, and the markets that cross."""

    def __init__(self) -> None:
        self.orders: dict[int, DarkOrder] = {}
        self.fills: dict[int, deque[DarkFill]] = {}
        self.prints: dict[int, deque[DarkPrint]] = {}
        self.places: dict[int, int] = {}
        """Market by its place among the governed ones."""
        self.interval_ms = DEFAULT_INTERVAL_MS

    def on_event(self, event: Event) -> None:
        if isinstance(event, DarkAccepted):
            self.orders[event.order] = DarkOrder(
                event.order,
                event.account,
                event.sub,
                event.market,
                event.outcome,
                event.side,
                event.lots,
                event.min_lots,
                event.limit,
            )
        elif isinstance(event, DarkCancelled):
            self.orders.pop(event.order, None)
        elif isinstance(event, DarkFilled):
            self._filled(event)
        elif isinstance(event, DarkPrinted):
            prints = self.prints.setdefault(event.market, deque(maxlen=PRINTS_KEPT))
            prints.append(
                DarkPrint(event.market, event.outcome, event.midpoint, event.lots, event.crossed_ns)
            )
        elif isinstance(event, ParameterSet):
            self._set(event)

    def _set(self, event: ParameterSet) -> None:
        if event.parameter == INTERVAL:
            self.interval_ms = event.value
        place = event.parameter - FIRST_PLACE
        if 0 <= place < PLACES:
            self.places.pop(place, None)
            if event.value:
                self.places[place] = event.value - 1

    def _filled(self, event: DarkFilled) -> None:
        sides = (
            (event.order, event.paid, event.buyer_fee),
            (event.seller_order, event.received, event.seller_fee),
        )
        for side, (number, money, fee) in enumerate(sides):
            order = self.orders[number]
            order.lots -= event.lots
            order.filled += event.lots
            fill = DarkFill(
                number,
                event.market,
                event.outcome,
                side,
                event.midpoint,
                event.lots,
                money,
                fee,
                event.time_ns,
            )
            self.fills.setdefault(order.account, deque(maxlen=FILLS_KEPT)).append(fill)
            if not order.lots:
                del self.orders[number]

    def of_account(self, account: int) -> list[DarkOrder]:
        """Resting orders of an account, by number."""
        return [one for one in self.orders.values() if one.account == account]
