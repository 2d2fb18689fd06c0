"""Kraken's spot messages in full, where trading itself reads only a part of them or none.

Numbers are `Decimal`, whether the venue writes text or JSON numbers; times are as the venue writes them:
RFC 3339 on WebSocket v2, seconds elsewhere.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

Result = TypeVar("Result")


class Answer(msgspec.Struct, Generic[Result]):
    """The envelope of REST."""

    error: list[str]
    result: Result | None = None


# ---- public REST -------------------------------------------------------------------------------------------


class ServerTime(msgspec.Struct, gc=False):
    """Result of Time."""

    unixtime: int
    rfc1123: str


class TickerRow(msgspec.Struct, gc=False):
    """One pair of Ticker; of the pairs of figures the second is of the last 24 hours."""

    a: tuple[Decimal, Decimal, Decimal]
    """Best ask: price, whole lots, lots."""
    b: tuple[Decimal, Decimal, Decimal]
    c: tuple[Decimal, Decimal]
    """Last trade: price, lots."""
    v: tuple[Decimal, Decimal]
    p: tuple[Decimal, Decimal]
    t: tuple[int, int]
    l: tuple[Decimal, Decimal]  # noqa: E741 the venue's name
    h: tuple[Decimal, Decimal]
    o: Decimal


class DepthBook(msgspec.Struct, gc=False):
    """One pair of Depth: price, volume, seconds."""

    asks: list[tuple[Decimal, Decimal, int]]
    bids: list[tuple[Decimal, Decimal, int]]


class PairRow(msgspec.Struct, gc=False):
    """One pair of AssetPairs. Fees are steps of 30 days' volume and percent."""

    altname: str
    aclass_base: str
    base: str
    aclass_quote: str
    quote: str
    lot: str
    pair_decimals: int
    lot_decimals: int
    lot_multiplier: int
    leverage_buy: list[int]
    leverage_sell: list[int]
    fees: list[tuple[Decimal, Decimal]]
    fee_volume_currency: str
    margin_call: int
    margin_stop: int
    wsname: str | None = None
    fees_maker: list[tuple[Decimal, Decimal]] | None = None
    cost_decimals: int | None = None
    ordermin: Decimal | None = None
    costmin: Decimal | None = None
    tick_size: Decimal | None = None
    status: str | None = None
    long_position_limit: int | None = None
    short_position_limit: int | None = None
    execution_venue: str | None = None


# ---- private REST ------------------------------------------------------------------------------------------


class OrderDescription(msgspec.Struct, gc=False):
    """What was ordered."""

    pair: str
    type: str
    ordertype: str
    price: Decimal
    price2: Decimal
    leverage: str
    order: str
    close: str | None = None
    aclass: str | None = None


class OrderRow(msgspec.Struct, gc=False):
    """One order of OpenOrders, ClosedOrders and QueryOrders."""

    status: str
    descr: OrderDescription
    vol: Decimal
    vol_exec: Decimal
    opentm: Decimal
    refid: str | None = None
    userref: int | None = None
    cl_ord_id: str | None = None
    starttm: Decimal | None = None
    expiretm: Decimal | None = None
    closetm: Decimal | None = None
    cost: Decimal | None = None
    fee: Decimal | None = None
    price: Decimal | None = None
    stopprice: Decimal | None = None
    limitprice: Decimal | None = None
    misc: str | None = None
    oflags: str | None = None
    trigger: str | None = None
    margin: bool | None = None
    reason: str | None = None
    trades: list[str] | None = None
    sender_sub_id: str | None = None


class OpenOrders(msgspec.Struct, gc=False):
    """Result of OpenOrders."""

    open: dict[str, OrderRow]


class ClosedOrders(msgspec.Struct, gc=False):
    """Result of ClosedOrders."""

    closed: dict[str, OrderRow]
    count: int | None = None


class TradeRow(msgspec.Struct, gc=False):
    """One execution of TradesHistory and QueryTrades."""

    ordertxid: str
    pair: str
    time: Decimal
    type: str
    ordertype: str
    price: Decimal
    cost: Decimal
    fee: Decimal
    vol: Decimal
    margin: Decimal
    misc: str
    postxid: str | None = None
    leverage: Decimal | None = None
    trade_id: int | None = None
    maker: bool | None = None
    ledgers: list[str] | None = None
    aclass: str | None = None


class TradesHistory(msgspec.Struct, gc=False):
    """Result of TradesHistory."""

    trades: dict[str, TradeRow]
    count: int


class OrderedDescription(msgspec.Struct, gc=False):
    """What AddOrder understood. Most answers have `order` alone."""

    order: str
    pair: str | None = None
    type: str | None = None
    ordertype: str | None = None
    price: Decimal | None = None
    price2: Decimal | None = None
    leverage: str | None = None
    close: str | None = None


class AddOrderResult(msgspec.Struct, gc=False):
    """Result of AddOrder; without ids for a validation."""

    descr: OrderedDescription
    txid: list[str] | None = None
    cl_ord_id: str | None = None


class CountResult(msgspec.Struct, gc=False):
    """Result of CancelOrder and CancelAll."""

    count: int
    pending: bool | None = None


# ---- WebSocket v2 ------------------------------------------------------------------------------------------


class Level(msgspec.Struct, gc=False):
    """A level of a book."""

    price: Decimal
    qty: Decimal


class BookRow(msgspec.Struct, gc=False):
    """One market of `book`."""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    checksum: int
    timestamp: str | None = None


class TradePrintRow(msgspec.Struct, gc=False):
    """One print of `trade`."""

    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    ord_type: str
    trade_id: int
    timestamp: str


class TickerUpdateRow(msgspec.Struct, gc=False):
    """One market of `ticker`."""

    symbol: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    last: Decimal
    volume: Decimal
    vwap: Decimal
    low: Decimal
    high: Decimal
    change: Decimal
    change_pct: Decimal
    timestamp: str | None = None
    trades: int | None = None
    volume_usd: Decimal | None = None


class SingleOrder(msgspec.Struct, gc=False):
    """One order of `level3`; `event` (add, modify, delete) only in updates."""

    order_id: str
    limit_price: Decimal
    order_qty: Decimal
    timestamp: str
    event: str | None = None


class SingleOrders(msgspec.Struct, gc=False):
    """One market of `level3`."""

    symbol: str
    checksum: int
    bids: list[SingleOrder]
    asks: list[SingleOrder]
    timestamp: str | None = None


class SystemRow(msgspec.Struct, gc=False):
    """The row of `status`. Ids of connections are larger than 2^63."""

    system: str
    api_version: str
    connection_id: int
    version: str


Row = TypeVar("Row")


class Channel(msgspec.Struct, Generic[Row]):
    """A frame of a channel."""

    channel: str
    type: str
    data: list[Row]
    sequence: int | None = None
    timestamp: str | None = None


class Heartbeat(msgspec.Struct, gc=False):
    """`{"channel":"heartbeat"}`."""

    channel: str


class Subscribed(msgspec.Struct, gc=False):
    """Result of subscribe and unsubscribe."""

    channel: str
    symbol: str | None = None
    snapshot: bool | None = None
    depth: int | None = None
    interval: int | None = None
    event_trigger: str | None = None
    snap_orders: bool | None = None
    snap_trades: bool | None = None
    order_status: bool | None = None
    ratecounter: bool | None = None
    maxratecount: Decimal | None = None
    users: str | None = None
    warnings: list[str] | None = None


class Ordered(msgspec.Struct, gc=False):
    """Result of add_order, amend_order and cancel_order."""

    order_id: str | None = None
    cl_ord_id: str | None = None
    order_userref: int | None = None
    amend_id: str | None = None
    count: int | None = None
    warnings: list[str] | None = None


class MethodAnswer(msgspec.Struct, Generic[Result]):
    """The answer to a method."""

    method: str
    success: bool | None = None
    result: Result | None = None
    error: str | None = None
    symbol: str | None = None
    orders_cancelled: int | None = None
    """Of batch_cancel."""
    req_id: int | None = None
    time_in: str | None = None
    time_out: str | None = None


class NewOrder(msgspec.Struct, gc=False):
    """Parameters of add_order, and one order of batch_add."""

    order_type: str
    side: str
    order_qty: Decimal
    symbol: str | None = None
    limit_price: Decimal | None = None
    time_in_force: str | None = None
    cl_ord_id: str | None = None
    order_userref: int | None = None
    post_only: bool | None = None
    reduce_only: bool | None = None
    deadline: str | None = None
    validate: bool | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"NewOrder({self.side} {self.order_qty} {self.symbol} {self.order_type})"


class NewOrders(msgspec.Struct, gc=False):
    """Parameters of batch_add."""

    symbol: str
    orders: list[NewOrder]
    token: str
    deadline: str | None = None
    validate: bool | None = None

    def __repr__(self) -> str:
        return f"NewOrders({self.symbol}, {len(self.orders)})"


class AmendedOrder(msgspec.Struct, gc=False):
    """Parameters of amend_order."""

    token: str
    order_id: str | None = None
    cl_ord_id: str | None = None
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    display_qty: Decimal | None = None
    post_only: bool | None = None
    deadline: str | None = None

    def __repr__(self) -> str:
        return f"AmendedOrder({self.order_id or self.cl_ord_id})"


class CancelledOrders(msgspec.Struct, gc=False):
    """Parameters of cancel_order."""

    token: str
    order_id: list[str] | None = None
    cl_ord_id: list[str] | None = None
    order_userref: list[int] | None = None

    def __repr__(self) -> str:
        return f"CancelledOrders({self.order_id or self.cl_ord_id or self.order_userref})"


class Request(msgspec.Struct, Generic[Result]):
    """A method as a client asks it. Printed without the token."""

    method: str
    params: Result
    req_id: int | None = None


# ---- WebSocket v1 (recordings) -----------------------------------------------------------------------------


class OldEvent(msgspec.Struct, gc=False):
    """A heartbeat."""

    event: str


class OldSystemStatus(msgspec.Struct, gc=False):
    """The state of the system."""

    event: str
    connectionID: int
    status: str
    version: str


class OldSubscription(msgspec.Struct, gc=False):
    """What was subscribed."""

    name: str
    depth: int | None = None
    interval: int | None = None


class OldSubscriptionStatus(msgspec.Struct, gc=False):
    """The answer to a subscription."""

    event: str
    status: str
    channelID: int | None = None
    channelName: str | None = None
    pair: str | None = None
    subscription: OldSubscription | None = None
    errorMessage: str | None = None
    reqid: int | None = None


class OldLevel(msgspec.Struct, array_like=True, gc=False):
    """A level of a book; `r` behind it marks one that was published before."""

    price: Decimal
    volume: Decimal
    time_s: Decimal
    kind: str | None = None


class OldBook(msgspec.Struct, gc=False):
    """A snapshot (`as`, `bs`), or one or both sides of an update (`a`, `b`)."""

    asks: list[OldLevel] | None = msgspec.field(name="as", default=None)
    bids: list[OldLevel] | None = msgspec.field(name="bs", default=None)
    a: list[OldLevel] | None = None
    b: list[OldLevel] | None = None
    c: str | None = None
    """CRC-32 of the ten best levels, behind an update."""


class OldTicker(msgspec.Struct, gc=False):
    """Figures of a market: today, and of the last 24 hours."""

    a: tuple[Decimal, int, Decimal]
    b: tuple[Decimal, int, Decimal]
    c: tuple[Decimal, Decimal]
    v: tuple[Decimal, Decimal]
    p: tuple[Decimal, Decimal]
    t: tuple[int, int]
    l: tuple[Decimal, Decimal]  # noqa: E741 the venue's name
    h: tuple[Decimal, Decimal]
    o: tuple[Decimal, Decimal]


OldTrade = tuple[Decimal, Decimal, Decimal, str, str, str]
"""Price, volume, seconds, side (b, s), type (m, l), miscellaneous."""
OldBookFrame = tuple[int, OldBook, str, str]
OldBookFrameOfBothSides = tuple[int, OldBook, OldBook, str, str]
OldTickerFrame = tuple[int, OldTicker, str, str]
OldTradeFrame = tuple[int, list[OldTrade], str, str]
"""Number of the channel, rows, name of the channel, pair."""
