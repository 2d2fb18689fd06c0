"""Bodies of order, account and trade replies, field by field as the venue writes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.gateways.model import Fill, Kind, Order, PublicTrade
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase, TimeInForce

from .notebook import Named, Notebook, Said
from .orders import Extras
from .symbols import STP_MODES, TRIGGERED, Symbol
from .text import ZERO, decimal_text

Time = Callable[[int], int]
"""Nanoseconds into the unit that the client asked for (ms, or us)."""

MAX_REMEMBERED: Final = 100_000
"""Orders about which this process remembers what only the wire knows."""

STATUS: Final = {
    OrderPhase.WORKING: "NEW",
    OrderPhase.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderPhase.FILLED: "FILLED",
    OrderPhase.CANCELLED: "CANCELED",
    OrderPhase.EXPIRED: "EXPIRED",
    OrderPhase.REJECTED: "REJECTED",
}
BY_CLIENT: Final = frozenset({"", "user", "cancel_all", "switch"})
"""Reasons for which the venue says CANCELED; everything else that ends an order is its own doing."""
TYPE_NAMES: Final = {
    Kind.LIMIT: "LIMIT",
    Kind.MARKET: "MARKET",
    Kind.STOP: "STOP_LOSS",
    Kind.STOP_LIMIT: "STOP_LOSS_LIMIT",
    Kind.TAKE_PROFIT: "TAKE_PROFIT",
    Kind.TAKE_PROFIT_LIMIT: "TAKE_PROFIT_LIMIT",
}
TIF_NAMES: Final = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}
SIDE_NAMES: Final = {Side.BUY: "BUY", Side.SELL: "SELL"}


class Remembered(msgspec.Struct):
    """What this process knows of one order beside the exchange."""

    extras: Extras | None = None
    client_id: str = ""
    """The name an amendment gave it, "" while it has its first one."""
    account: str = ""
    """Whose it is, once it has another name."""
    amended_to: str = ""
    """The name that an amendment under way will give it."""
    list_id: int = -1
    cancel_id: str = ""
    """The name of the cancel that ends it, "" while nobody cancelled."""
    working_ns: int = 0


def said(order_id: int, extras: Extras) -> Said:
    return Said(
        order_id,
        extras.type,
        extras.quote_order_qty,
        extras.strategy_id,
        extras.strategy_type,
        extras.working_type,
    )


class Memory:
    """Bounded: the oldest order is forgotten first and then shown without what only the wire knew."""

    def __init__(self, notebook: Notebook, bound: int = MAX_REMEMBERED) -> None:
        self._notebook = notebook
        self._bound = bound
        self._orders: OrderedDict[int, Remembered] = OrderedDict()
        self._names: dict[tuple[str, str], int] = {}
        self._expected: dict[tuple[str, str], Remembered] = {}

    def expect(self, account: str, client_id: str, entry: Remembered) -> None:
        """An order of this name is about to be placed: its first events already need what is known of it."""
        self._expected[(account, client_id)] = entry

    def adopt(self, account: str, client_id: str, order_id: int) -> None:
        """The expected order has its number. May be called twice."""
        entry = self._expected.pop((account, client_id), None)
        if entry is not None:
            self.about(order_id)
            self._orders[order_id] = entry
            if entry.extras is not None and entry.extras.unusual:
                self._notebook.write(said(order_id, entry.extras), durable=False)

    def refused(self, account: str, client_id: str) -> None:
        """The expected order was refused."""
        self._expected.pop((account, client_id), None)

    def of(self, order_id: int) -> Remembered | None:
        return self._orders.get(order_id)

    def about(self, order_id: int) -> Remembered:
        """The entry of an order, made when there is none."""
        found = self._orders.get(order_id)
        if found is None:
            if len(self._orders) >= self._bound:
                self._forget()
            found = self._orders[order_id] = Remembered()
        return found

    def _forget(self) -> None:
        _, old = self._orders.popitem(last=False)
        if old.account:
            self._names.pop((old.account, old.client_id), None)

    def rename(self, account: str, order_id: int) -> None:
        """The amendment under way has happened: the order has its new name. May be called twice."""
        entry = self.about(order_id)
        if not entry.amended_to:
            return
        if entry.client_id:
            self._names.pop((account, entry.client_id), None)
        entry.account, entry.client_id, entry.amended_to = account, entry.amended_to, ""
        self._names[(account, entry.client_id)] = order_id
        self._notebook.write(Named(order_id, account, entry.client_id), durable=True)

    def recall(self, line: Named | Said) -> None:
        """What was written before a restart."""
        entry = self.about(line.order_id)
        if isinstance(line, Said):
            entry.extras = Extras(
                type=line.type,
                quote_order_qty=line.quote_order_qty,
                strategy_id=line.strategy_id,
                strategy_type=line.strategy_type,
                working_type=line.working_type,
            )
            return
        if entry.client_id:
            self._names.pop((entry.account, entry.client_id), None)
        entry.account, entry.client_id = line.account, line.client_id
        self._names[(line.account, line.client_id)] = line.order_id

    def lines(self) -> Iterator[Named | Said]:
        """What a restart has to know."""
        for order_id, entry in self._orders.items():
            if entry.extras is not None and entry.extras.unusual:
                yield said(order_id, entry.extras)
            if entry.client_id:
                yield Named(order_id, entry.account, entry.client_id)

    def renamed(self, account: str, client_id: str) -> int | None:
        """The order that an amendment gave this name."""
        return self._names.get((account, client_id))


def client_id_of(order: Order, entry: Remembered | None) -> str:
    return entry.client_id if entry is not None and entry.client_id else order.client_id


def status_of(order: Order, entry: Remembered | None) -> str:
    """The status word. What the exchange ended by itself is EXPIRED, a self-trade EXPIRED_IN_MATCH.

    The second leg of a pair is CANCELED when a client cancelled the pair, EXPIRED when the first leg acted.
    """
    if order.phase is OrderPhase.CANCELLED and order.reason not in BY_CLIENT:
        if order.reason == "linked" and entry is not None and entry.cancel_id:
            return "CANCELED"
        return "EXPIRED_IN_MATCH" if order.reason == "self_trade" else "EXPIRED"
    return STATUS[order.phase]


def type_of(order: Order, entry: Remembered | None) -> str:
    if entry is not None and entry.extras is not None and entry.extras.type:
        return entry.extras.type
    if order.kind is Kind.LIMIT and order.post_only:
        return "LIMIT_MAKER"
    return TYPE_NAMES[order.kind]


def waits(order: Order) -> bool:
    """Whether a stop has not fired: it rests outside of the book."""
    return order.waiting


def working_ns(order: Order, entry: Remembered | None) -> int:
    """Since when an order is in the book; -1 while it waits for its trigger."""
    if waits(order):
        return -1
    return entry.working_ns if entry is not None and entry.working_ns else order.created_ns


def stale(order: Order) -> Order:
    """The order as it was right behind its acceptance (fault plans show it so)."""
    return msgspec.structs.replace(
        order,
        phase=OrderPhase.WORKING,
        reason="",
        filled_lots=0,
        cost=Decimal(0),
        fee=Decimal(0),
        updated_ns=order.created_ns,
        trade_ids=(),
    )


def quote_quantity(entry: Remembered | None) -> Decimal:
    return entry.extras.quote_order_qty if entry is not None and entry.extras is not None else Decimal(0)


def optional_fields(order: Order, symbol: Symbol, entry: Remembered | None) -> dict[str, Any]:
    """Fields that only some orders have."""
    fields: dict[str, Any] = {}
    if order.kind in TRIGGERED:
        fields["stopPrice"] = symbol.price(order.trigger_ticks)
    if order.display_lots:
        fields["icebergQty"] = symbol.quantity(order.display_lots)
    if entry is not None and entry.extras is not None:
        if entry.extras.strategy_id is not None:
            fields["strategyId"] = entry.extras.strategy_id
        if entry.extras.strategy_type is not None:
            fields["strategyType"] = entry.extras.strategy_type
    return fields


def ack(order: Order, symbol: Symbol, entry: Remembered | None, time: Time) -> dict[str, Any]:
    """`newOrderRespType=ACK`."""
    return {
        "symbol": symbol.name,
        "orderId": order.order_id,
        "orderListId": entry.list_id if entry is not None else -1,
        "clientOrderId": client_id_of(order, entry),
        "transactTime": time(order.updated_ns),
    }


def result(order: Order, symbol: Symbol, entry: Remembered | None, time: Time) -> dict[str, Any]:
    """`newOrderRespType=RESULT`."""
    body = ack(order, symbol, entry, time)
    body.update(amounts(order, symbol, entry))
    body.update(optional_fields(order, symbol, entry))
    since_ns = working_ns(order, entry)
    body["workingTime"] = -1 if since_ns < 0 else time(since_ns)
    body["selfTradePreventionMode"] = STP_MODES[order.self_trade]
    return body


def amounts(order: Order, symbol: Symbol, entry: Remembered | None) -> dict[str, Any]:
    return {
        "price": symbol.price(order.price_ticks),
        "origQty": symbol.quantity(order.lots),
        "executedQty": symbol.quantity(order.filled_lots),
        "origQuoteOrderQty": decimal_text(quote_quantity(entry)),
        "cummulativeQuoteQty": decimal_text(order.cost),
        "status": status_of(order, entry),
        "timeInForce": TIF_NAMES[order.time_in_force],
        "type": type_of(order, entry),
        "side": SIDE_NAMES[order.side],
    }


def full(
    order: Order, symbol: Symbol, entry: Remembered | None, fills: Iterable[Fill], time: Time
) -> dict[str, Any]:
    """`newOrderRespType=FULL`."""
    body = result(order, symbol, entry, time)
    body["fills"] = [
        {
            "price": symbol.price(fill.price_ticks),
            "qty": symbol.quantity(fill.lots),
            "commission": decimal_text(fill.fee),
            "commissionAsset": fill.fee_asset,
            "tradeId": fill.trade_id,
        }
        for fill in fills
    ]
    return body


def queried(order: Order, symbol: Symbol, entry: Remembered | None, time: Time) -> dict[str, Any]:
    """A row of `order`, `openOrders` and `allOrders`."""
    body: dict[str, Any] = {
        "symbol": symbol.name,
        "orderId": order.order_id,
        "orderListId": entry.list_id if entry is not None else -1,
        "clientOrderId": client_id_of(order, entry),
    }
    values = amounts(order, symbol, entry)
    quote = values.pop("origQuoteOrderQty")
    body.update(values)
    body["stopPrice"] = symbol.price(order.trigger_ticks)
    body["icebergQty"] = symbol.quantity(order.display_lots)
    body["time"] = time(order.created_ns)
    body["updateTime"] = time(order.updated_ns)
    body["isWorking"] = not waits(order)
    since_ns = working_ns(order, entry)
    body["workingTime"] = -1 if since_ns < 0 else time(since_ns)
    body["origQuoteOrderQty"] = quote
    body["selfTradePreventionMode"] = STP_MODES[order.self_trade]
    for name, value in optional_fields(order, symbol, entry).items():
        body.setdefault(name, value)
    return body


def cancelled(
    order: Order, symbol: Symbol, entry: Remembered | None, cancel_id: str, time: Time
) -> dict[str, Any]:
    """The reply of a cancel: `clientOrderId` names the cancel, `origClientOrderId` the order."""
    body: dict[str, Any] = {
        "symbol": symbol.name,
        "origClientOrderId": client_id_of(order, entry),
        "orderId": order.order_id,
        "orderListId": entry.list_id if entry is not None else -1,
        "clientOrderId": cancel_id,
        "transactTime": time(order.updated_ns),
    }
    body.update(amounts(order, symbol, entry))
    body.update(optional_fields(order, symbol, entry))
    body["selfTradePreventionMode"] = STP_MODES[order.self_trade]
    return body


def amended(
    order: Order, symbol: Symbol, entry: Remembered | None, before: str, time: Time
) -> dict[str, Any]:
    """The reply of an amendment; `before` is the name that the order had."""
    since_ns = working_ns(order, entry)
    body = {
        "symbol": symbol.name,
        "orderId": order.order_id,
        "orderListId": entry.list_id if entry is not None else -1,
        "origClientOrderId": before,
        "clientOrderId": client_id_of(order, entry),
        "price": symbol.price(order.price_ticks),
        "qty": symbol.quantity(order.lots),
        "executedQty": symbol.quantity(order.filled_lots),
        "preventedQty": ZERO,
        "quoteOrderQty": decimal_text(quote_quantity(entry)),
        "cumulativeQuoteQty": decimal_text(order.cost),
        "status": status_of(order, entry),
        "timeInForce": TIF_NAMES[order.time_in_force],
        "type": type_of(order, entry),
        "side": SIDE_NAMES[order.side],
        **optional_fields(order, symbol, entry),
        "workingTime": -1 if since_ns < 0 else time(since_ns),
        "selfTradePreventionMode": STP_MODES[order.self_trade],
    }
    return {
        "transactTime": time(order.updated_ns),
        "executionId": order.updated_ns // 1_000,
        "amendedOrder": body,
    }


def my_trade(fill: Fill, symbol: Symbol, entry: Remembered | None, time: Time) -> dict[str, Any]:
    """A row of `myTrades`."""
    return {
        "symbol": symbol.name,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": entry.list_id if entry is not None else -1,
        "price": symbol.price(fill.price_ticks),
        "qty": symbol.quantity(fill.lots),
        "quoteQty": decimal_text(fill.cost),
        "commission": decimal_text(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": time(fill.time_ns),
        "isBuyer": fill.side is Side.BUY,
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def public_trade(trade: PublicTrade, symbol: Symbol, time: Time) -> dict[str, Any]:
    """A row of `trades`."""
    return {
        "id": trade.trade_id,
        "price": symbol.price(trade.price_ticks),
        "qty": symbol.quantity(trade.lots),
        "quoteQty": symbol.cost(trade.price_ticks, trade.lots),
        "time": time(trade.time_ns),
        "isBuyerMaker": trade.taker_side is Side.SELL,
        "isBestMatch": True,
    }


class Aggregate(msgspec.Struct):
    """Trades of one taker order at one price at one moment."""

    first_id: int
    last_id: int
    price_ticks: int
    lots: int
    taker: int
    taker_side: Side
    time_ns: int

    def takes(self, trade: PublicTrade) -> bool:
        """Adds a trade when it belongs to this aggregate."""
        same = (
            trade.trade_id == self.last_id + 1
            and trade.price_ticks == self.price_ticks
            and trade.time_ns == self.time_ns
            and taker_of(trade) == self.taker
        )
        if same:
            self.last_id, self.lots = trade.trade_id, self.lots + trade.lots
        return same

    def row(self, symbol: Symbol, time: Time) -> dict[str, Any]:
        """As `aggTrades` writes it. The id is that of the first trade: the same after every restart."""
        return {
            "a": self.first_id,
            "p": symbol.price(self.price_ticks),
            "q": symbol.quantity(self.lots),
            "f": self.first_id,
            "l": self.last_id,
            "T": time(self.time_ns),
            "m": self.taker_side is Side.SELL,
            "M": True,
        }


def taker_of(trade: PublicTrade) -> int:
    return trade.buyer_order if trade.taker_side is Side.BUY else trade.seller_order


def aggregate(trades: Iterable[PublicTrade]) -> list[Aggregate]:
    """Aggregates of trades in order."""
    found: list[Aggregate] = []
    for trade in trades:
        if not found or not found[-1].takes(trade):
            found.append(
                Aggregate(
                    first_id=trade.trade_id,
                    last_id=trade.trade_id,
                    price_ticks=trade.price_ticks,
                    lots=trade.lots,
                    taker=taker_of(trade),
                    taker_side=trade.taker_side,
                    time_ns=trade.time_ns,
                )
            )
    return found
