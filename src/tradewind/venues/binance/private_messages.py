"""Binance's trading messages as typed structs: answers of REST and of the WebSocket API, events of accounts.

Numbers of money are decimal strings on this wire and are decoded as `Decimal`; times are milliseconds.
Unknown fields are ignored, missing ones are decode errors.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from tradewind.venues.binance.messages import NOTHING

NO_LIST = -1


class ErrorBody(msgspec.Struct, gc=False):
    """An error answer; `data` only behind a cancel-replace that succeeded in part or not at all."""

    code: int
    msg: str = ""
    data: msgspec.Raw = NOTHING


class ServerTime(msgspec.Struct, gc=False):
    """Answer of `time`."""

    serverTime: int


class OrderRow(msgspec.Struct, gc=False):
    """An order of `order`, `openOrders`, `allOrders` or a RESULT answer; which times there are differs."""

    symbol: str
    orderId: int
    clientOrderId: str
    price: Decimal
    origQty: Decimal
    executedQty: Decimal
    status: str
    type: str
    side: str
    timeInForce: str = ""
    orderListId: int = NO_LIST
    origClientOrderId: str | None = None
    cummulativeQuoteQty: Decimal = Decimal(0)
    time: int | None = None
    updateTime: int | None = None
    transactTime: int | None = None
    strategyId: int | None = None
    strategyType: int | None = None
    workingTime: int | None = None
    isWorking: bool = True
    stopPrice: Decimal = Decimal(0)
    icebergQty: Decimal = Decimal(0)
    origQuoteOrderQty: Decimal = Decimal(0)
    selfTradePreventionMode: str = "NONE"
    preventedQuantity: Decimal = Decimal(0)
    expiryReason: str | int | None = None


class AmendedOrder(msgspec.Struct, gc=False):
    """The order behind an amend that keeps its place."""

    symbol: str
    orderId: int
    clientOrderId: str
    price: Decimal
    qty: Decimal
    executedQty: Decimal
    status: str
    type: str
    side: str
    origClientOrderId: str = ""


class AmendAnswer(msgspec.Struct, gc=False):
    """Answer of `order/amend/keepPriority`."""

    transactTime: int
    executionId: int
    amendedOrder: AmendedOrder


class ReplaceAnswer(msgspec.Struct, gc=False):
    """Both legs of a cancel-replace. A leg that failed is an `ErrorBody`, one that was not tried None."""

    cancelResult: str
    newOrderResult: str
    cancelResponse: msgspec.Raw = NOTHING
    newOrderResponse: msgspec.Raw = NOTHING


class CancelledRow(msgspec.Struct, gc=False):
    """One row of a cancel of everything: an order, or a list with the reports of its legs."""

    orderReports: list[OrderRow] | None = None


class TradeRow(msgspec.Struct, gc=False):
    """One row of `myTrades`."""

    symbol: str
    id: int
    orderId: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    commissionAsset: str
    time: int
    isBuyer: bool
    isMaker: bool
    orderListId: int = NO_LIST
    quoteQty: Decimal = Decimal(0)


class BalanceRow(msgspec.Struct, gc=False):
    """One balance of `account`."""

    asset: str
    free: Decimal
    locked: Decimal


class AccountBody(msgspec.Struct, gc=False):
    """Answer of `account`."""

    balances: list[BalanceRow]
    canTrade: bool
    updateTime: int
    canWithdraw: bool = False
    accountType: str = "SPOT"
    permissions: list[str] = []
    uid: int | None = None


class Rates(msgspec.Struct, gc=False):
    """Fractions of notional."""

    maker: Decimal
    taker: Decimal
    buyer: Decimal = Decimal(0)
    seller: Decimal = Decimal(0)


class CommissionBody(msgspec.Struct, gc=False):
    """Answer of `account/commission`. A discount for paying in another asset is left out: it may end."""

    symbol: str
    standardCommission: Rates
    taxCommission: Rates | None = None
    specialCommission: Rates | None = None


# ---- the WebSocket API -------------------------------------------------------------------------------------


class LimitRow(msgspec.Struct, gc=False):
    """What a limit is, and how much of it is used."""

    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int
    count: int = 0


class SocketAnswer(msgspec.Struct, gc=False):
    """Answer to a request."""

    id: int | str | None
    status: int
    result: msgspec.Raw = NOTHING
    error: ErrorBody | None = None
    rateLimits: list[LimitRow] = []


class SocketFrame(msgspec.Struct, gc=False):
    """Enough of a frame to tell what it is."""

    id: int | str | None = None
    status: int | None = None
    event: msgspec.Raw = NOTHING
    data: msgspec.Raw = NOTHING
    """Older wrapping of the same events (`{"stream": ..., "data": {...}}`)."""
    e: str | None = None
    subscriptionId: int | None = None


class EventHeader(msgspec.Struct, gc=False):
    """Which event it is. `E` is there too, with another case only: names decide."""

    e: str
    E: int = 0


class ExecutionReport(msgspec.Struct, gc=False):
    """An order changed."""

    E: int
    s: str
    c: str
    S: str
    o: str
    q: Decimal
    p: Decimal
    x: str
    X: str
    i: int
    l: Decimal  # noqa: E741 the venue's name
    z: Decimal
    L: Decimal
    T: int
    t: int
    m: bool
    C: str = ""
    f: str = ""
    r: str = "NONE"
    n: Decimal | None = None
    N: str | None = None
    g: int = NO_LIST
    I: int | None = None  # noqa: E741
    w: bool = False
    O: int | None = None  # noqa: E741
    P: Decimal = Decimal(0)
    F: Decimal = Decimal(0)
    Z: Decimal = Decimal(0)
    Y: Decimal = Decimal(0)
    Q: Decimal = Decimal(0)
    j: int | None = None
    J: int | None = None
    V: str = ""
    W: int | None = None


class PositionRow(msgspec.Struct, gc=False):
    """A balance behind a change."""

    a: str
    f: Decimal
    l: Decimal  # noqa: E741


class AccountPosition(msgspec.Struct, gc=False):
    """Balances that may have changed."""

    E: int
    u: int
    B: list[PositionRow]


class BalanceUpdate(msgspec.Struct, gc=False):
    """A deposit, a withdrawal or a transfer."""

    E: int
    a: str
    d: Decimal
    T: int


class ExternalLock(msgspec.Struct, gc=False):
    """Funds that somebody else locked or released (`externalLockUpdate`)."""

    E: int
    a: str
    d: Decimal
    T: int


class ListLeg(msgspec.Struct, gc=False):
    """An order of a list."""

    s: str
    i: int
    c: str


class ListStatus(msgspec.Struct, gc=False):
    """A list of orders changed."""

    E: int
    s: str
    g: int
    c: str
    l: str  # noqa: E741
    L: str
    r: str
    C: str
    T: int
    O: list[ListLeg]  # noqa: E741


EVENT_TYPES: dict[str, Any] = {
    "executionReport": ExecutionReport,
    "outboundAccountPosition": AccountPosition,
    "balanceUpdate": BalanceUpdate,
    "externalLockUpdate": ExternalLock,
    "listStatus": ListStatus,
    "eventStreamTerminated": EventHeader,
    "serverShutdown": EventHeader,
}
"""Every event that this build knows."""
