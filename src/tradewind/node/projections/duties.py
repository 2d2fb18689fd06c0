"""What keepers may do now, as the log shows it: sub-accounts below their margin, funding that is due, orders
that wait for a price.

The view keeps what events named; nothing is searched for. Times in ns since the epoch, prices in ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from tradewind.core.enums import OrderType, Side
from tradewind.core.event_types import EVENT_TYPES
from tradewind.core.events import Event

SECOND_NS: Final = 1_000_000_000
HOUR_NS: Final = 3_600 * SECOND_NS
KEEPER_GRACE_NS: Final = 2 * SECOND_NS
"""How long a due action is left to keepers before SYSTEM performs it (protocol P13.1)."""
PENDING: Final = 1
TAKE_PROFIT: Final = int(OrderType.TAKE_PROFIT)
FIXED_TRIGGERS: Final = (int(OrderType.STOP), int(OrderType.STOP_LIMIT), TAKE_PROFIT)
BUY: Final = int(Side.BUY)


class LiquidationDuty(msgspec.Struct, kw_only=True):
    """A sub-account below its maintenance margin; `market` is reduced first."""

    account: int
    sub: int
    market: int
    equity: int
    maintenance_margin: int
    """Micro-quote when the last event named them, and the market's mark in ticks at that moment."""
    mark: int
    notional: int
    since_ns: int
    open_ns: int
    """From when a keeper may take the next step."""
    system_from_ns: int

    def ratio_ppm(self, mark: int, value_per_tick: int) -> int:
        """Equity over maintenance margin at another mark, in ppm. Exact when this market holds the only
        position, else an estimate; `value_per_tick` in micro-quote, negative for short positions.
        """
        equity = self.equity + value_per_tick * (mark - self.mark)
        margin = self.maintenance_margin * mark // max(1, self.mark)
        return equity * 1_000_000 // max(1, margin)


class Waiting(msgspec.Struct):
    """An order that waits for a price and does not trail."""

    order: int
    market: int
    rising: bool
    trigger_price: int
    source: int
    since_ns: int


class DutiesView:
    """Liquidations by (account, sub-account), moments of funding by market, waiting orders, slices by order.

    `version` grows with every change that a keeper may want to know.
    """

    def __init__(self) -> None:
        self.liquidations: dict[tuple[int, int], LiquidationDuty] = {}
        self.funding_due_ns: dict[int, int] = {}
        self.waiting: dict[int, Waiting] = {}
        self.slices_due_ns: dict[int, int] = {}
        self.version = 0
        self._sides: dict[int, tuple[int, int]] = {}
        self._marks: dict[int, int] = {}
        named: dict[str, Callable[[Any], None]] = {
            "LiquidationFlagged": self._flagged,
            "LiquidationEnded": self._ended,
            "MarkUpdated": self._marked,
            "MarketActivated": self._activated,
            "FundingIndexUpdated": self._charged,
            "MarketSettled": self._settled,
            "OrderAccepted": self._accepted,
            "TriggerPlaced": self._placed,
            "TriggerFired": self._left,
            "OrderCancelled": self._left,
            "SliceSent": self._sliced,
            "SliceEnded": self._left,
        }
        self._handlers = {
            kind: named[kind.__name__] for kind in EVENT_TYPES.values() if kind.__name__ in named
        }

    def on_event(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def funding(self, now_ns: int) -> list[tuple[int, int]]:
        """Markets whose hour is over, with the moment at which it ended."""
        return [(market, due) for market, due in sorted(self.funding_due_ns.items()) if due <= now_ns]

    def some_waiting(self, start: int, most: int) -> Iterator[Waiting]:
        """Up to `most` waiting orders from place `start` on: a part of a round over all of them."""
        return islice(self.waiting.values(), start, start + most)

    # ---- liquidation -------------------------------------------------------------------------------

    def _flagged(self, event: Any) -> None:
        self.liquidations[event.account, event.sub] = LiquidationDuty(
            account=event.account,
            sub=event.sub,
            market=event.market,
            equity=event.equity,
            maintenance_margin=event.maintenance_margin,
            mark=self._marks.get(event.market, 0),
            notional=event.notional,
            since_ns=event.time_ns,
            open_ns=event.time_ns,
            system_from_ns=event.system_from_ns,
        )
        self.version += 1

    def _ended(self, event: Any) -> None:
        # Without a next moment the sub-account is healthy again; with one, only a step of it is over.
        key = (event.account, event.sub)
        if event.next_ns == 0:
            self.liquidations.pop(key, None)
        elif key in self.liquidations:
            duty = self.liquidations[key]
            duty.equity, duty.maintenance_margin = event.equity, event.maintenance_margin
            duty.mark = self._marks.get(duty.market, 0)
            duty.system_from_ns = event.next_ns
            duty.open_ns = max(event.time_ns, event.next_ns - KEEPER_GRACE_NS)
        self.version += 1

    def _marked(self, event: Any) -> None:
        self._marks[event.market] = event.mark

    # ---- funding -----------------------------------------------------------------------------------

    def _activated(self, event: Any) -> None:
        self.funding_due_ns[event.market] = (event.time_ns // HOUR_NS + 1) * HOUR_NS
        self.version += 1

    def _charged(self, event: Any) -> None:
        self.funding_due_ns[event.market] = event.next_due_ns
        self.version += 1

    def _settled(self, event: Any) -> None:
        self.funding_due_ns.pop(event.market, None)

    # ---- orders that wait --------------------------------------------------------------------------

    def _accepted(self, event: Any) -> None:
        if event.order_type in FIXED_TRIGGERS:
            self._sides[event.order] = (event.order_type, event.side)

    def _placed(self, event: Any) -> None:
        known = self._sides.get(event.order)
        if event.state != PENDING or known is None:
            self.waiting.pop(event.order, None)
            return
        order_type, side = known
        rising = (side == BUY) != (order_type == TAKE_PROFIT)
        self.waiting[event.order] = Waiting(
            event.order, event.market, rising, event.trigger_price, event.source, event.time_ns
        )

    def _sliced(self, event: Any) -> None:
        self.slices_due_ns[event.order] = event.next_ns

    def _left(self, event: Any) -> None:
        self._sides.pop(event.order, None)
        self.waiting.pop(event.order, None)
        self.slices_due_ns.pop(event.order, None)
