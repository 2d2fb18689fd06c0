"""Orders: what is open, what ended lately and why."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from tradewind.core.enums import CancelReason, Side
from tradewind.core.event_types import (
    OrderAccepted,
    OrderActivated,
    OrderCancelled,
    OrderReplaced,
    OrderResized,
    OrderRested,
    SelfTradePrevented,
    SetFilled,
    SliceEnded,
    SliceSent,
    Trade,
    TriggerPlaced,
    TwapPlaced,
)
from tradewind.core.events import Event
from tradewind.node.projections.directory import MarketsView

ENDED_ORDERS_KEPT = 10_000


class OrderStatus(StrEnum):
    """State of an order (protocol P2.3.2)."""

    PENDING_TRIGGER = "pending_trigger"
    OPEN = "open"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Order(msgspec.Struct):
    """An order as the last event left it. Prices in ticks, sizes in lots, money in micro-quote."""

    order: int
    market: int
    account: int
    sub: int
    client_key: bytes
    side: Side
    order_type: int
    time_in_force: int
    order_flags: int
    price: int
    total_lots: int
    remaining_lots: int
    expiry_ns: int
    accepted_seq: int
    accepted_ns: int
    updated_ns: int
    outcome: int = 0
    """Outcome that the owner named; side and price are of this outcome."""
    resting: bool = False
    status: OrderStatus = OrderStatus.OPEN
    filled_lots: int = 0
    filled_notional: int = 0
    fees: int = 0
    reason: CancelReason | None = None
    sliced: bool = False
    """A TWAP: its trades count against the present slice, `SliceEnded` tells what is left of the whole."""


class OrdersView:
    """Open orders by id, account, market and client key, and the last ones that ended."""

    def __init__(
        self,
        ended_kept: int = ENDED_ORDERS_KEPT,
        *,
        markets: MarketsView | None = None,
        on_forgotten: Callable[[Order], object] | None = None,
    ) -> None:
        self._markets = markets
        self.unkept_accounts: set[int] = set()
        """Accounts (by handle) whose orders are forgotten when they end: they push nobody else's out."""
        self._on_forgotten = on_forgotten
        self.open: dict[int, Order] = {}
        self.ended: deque[Order] = deque(maxlen=ended_kept)
        self._ended_by_id: dict[int, Order] = {}
        self._by_account: dict[int, dict[int, Order]] = {}
        self._by_key: dict[tuple[int, bytes], Order] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, Trade):
            self._traded(event)
        elif isinstance(event, SetFilled):
            self._completed(event)
        elif isinstance(event, OrderAccepted):
            self._accepted(event)
        elif isinstance(event, OrderRested):
            order = self.open[event.order]
            order.resting = True
        elif isinstance(event, OrderReplaced):
            self._replaced(event)
        elif isinstance(event, _CONDITIONS):
            self._conditioned(event)
        elif isinstance(event, OrderCancelled):
            self._cancelled(event)
        elif isinstance(event, SelfTradePrevented):
            self._prevented(event)

    def get(self, order: int) -> Order | None:
        """An open order or one that ended lately; None when it is neither."""
        return self.open.get(order) or self._ended_by_id.get(order)

    def by_client_key(self, account: int, client_key: bytes) -> Order | None:
        """The latest order of an account (by handle) with this key, open or ended lately."""
        return self._by_key.get((account, client_key))

    def of_account(self, account: int, market: int | None = None) -> list[Order]:
        """Open orders of an account (by handle), oldest first."""
        orders = self._by_account.get(account, {}).values()
        return [order for order in orders if market is None or order.market == market]

    def of_market(self, market: int) -> Iterator[Order]:
        """Open orders of a market, oldest first."""
        return (order for order in self.open.values() if order.market == market)

    def _accepted(self, event: OrderAccepted) -> None:
        order = Order(
            order=event.order,
            market=event.market,
            account=event.account,
            sub=event.sub,
            client_key=event.client_key,
            side=Side(event.side),
            order_type=event.order_type,
            time_in_force=event.time_in_force,
            order_flags=event.order_flags,
            price=event.price,
            total_lots=event.total_lots,
            remaining_lots=event.remaining_lots,
            expiry_ns=event.expiry_ns,
            accepted_seq=event.seq,
            accepted_ns=event.time_ns,
            updated_ns=event.time_ns,
            outcome=event.outcome,
            resting=event.resting == 1,
        )
        self.open[order.order] = order
        self._by_account.setdefault(order.account, {})[order.order] = order
        self._by_key[order.account, order.client_key] = order

    def _conditioned(
        self, event: TriggerPlaced | OrderActivated | TwapPlaced | SliceSent | SliceEnded | OrderResized
    ) -> None:
        order = self.open[event.order]
        order.updated_ns = event.time_ns
        if isinstance(event, TriggerPlaced):
            order.status = OrderStatus.PENDING_TRIGGER
        elif isinstance(event, TwapPlaced):
            order.sliced = True
        elif isinstance(event, OrderActivated):
            order.status = OrderStatus.PARTIAL if order.filled_lots else OrderStatus.OPEN
            order.price, order.resting = event.price, event.resting == 1
            order.total_lots, order.remaining_lots = event.total_lots, event.remaining_lots
        elif isinstance(event, OrderResized):
            order.total_lots, order.remaining_lots = event.total_lots, event.remaining_lots
        else:
            order.remaining_lots = event.remaining_lots
            if isinstance(event, SliceEnded) and not event.remaining_lots:
                self._end(order, OrderStatus.FILLED, None)

    def _replaced(self, event: OrderReplaced) -> None:
        order = self.open[event.order]
        order.price = event.price
        order.total_lots = event.total_lots
        order.remaining_lots = event.remaining_lots
        order.expiry_ns = event.expiry_ns
        order.resting = event.resting == 1
        order.updated_ns = event.time_ns

    def _traded(self, event: Trade) -> None:
        for number, remaining, fee in (
            (event.order, event.taker_remaining, event.taker_fee),
            (event.maker_order, event.maker_remaining, event.maker_fee),
        ):
            order = self.open[number]
            order.filled_lots += event.lots
            order.filled_notional += self._notional(order, event)
            order.fees += fee
            order.status = OrderStatus.PARTIAL
            if order.sliced:
                order.remaining_lots -= event.lots
                order.updated_ns = event.time_ns
            else:
                self._shrink(order, remaining, event.time_ns)

    def _completed(self, event: SetFilled) -> None:
        order = self.open[event.order]
        order.filled_lots += event.lots
        order.filled_notional += event.value
        order.fees += event.fee
        order.status = OrderStatus.PARTIAL
        self._shrink(order, event.remaining, event.time_ns)

    def _notional(self, order: Order, event: Trade) -> int:
        """What the order's own outcome cost: trades of two outcomes are told in prices of outcome 0."""
        market = None if self._markets is None else self._markets.by_handle.get(event.market)
        if market is None or not market.flips(order.outcome):
            return event.notional
        return event.lots * market.lot_size - event.notional

    def _prevented(self, event: SelfTradePrevented) -> None:
        for number, remaining in (
            (event.order, event.taker_remaining),
            (event.maker_order, event.maker_remaining),
        ):
            order = self.open[number]
            order.total_lots -= event.lots
            self._shrink(order, remaining, event.time_ns, CancelReason.SELF_TRADE)

    def _shrink(self, order: Order, remaining: int, time_ns: int, reason: CancelReason | None = None) -> None:
        order.remaining_lots = remaining
        order.updated_ns = time_ns
        if remaining:
            return
        self._end(order, OrderStatus.CANCELLED if reason else OrderStatus.FILLED, reason)

    def _cancelled(self, event: OrderCancelled) -> None:
        order = self.open[event.order]
        order.updated_ns = event.time_ns
        order.remaining_lots = event.remaining_lots
        reason = CancelReason(event.reason)
        expired = reason is CancelReason.EXPIRY
        self._end(order, OrderStatus.EXPIRED if expired else OrderStatus.CANCELLED, reason)

    def _end(self, order: Order, status: OrderStatus, reason: CancelReason | None) -> None:
        order.status, order.reason, order.resting = status, reason, False
        del self.open[order.order]
        orders = self._by_account[order.account]
        del orders[order.order]
        if not orders:
            del self._by_account[order.account]
        if order.account in self.unkept_accounts:
            self._forget(order)
            return
        if self.ended.maxlen and len(self.ended) == self.ended.maxlen:
            self._forget(self.ended[0])
        self.ended.append(order)
        self._ended_by_id[order.order] = order

    def _forget(self, order: Order) -> None:
        self._ended_by_id.pop(order.order, None)
        key = (order.account, order.client_key)
        if self._by_key.get(key) is order:
            del self._by_key[key]
        if self._on_forgotten is not None:
            self._on_forgotten(order)


_CONDITIONS = (TriggerPlaced, OrderActivated, TwapPlaced, SliceSent, SliceEnded, OrderResized)
