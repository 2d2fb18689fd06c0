"""Kraken's futures messages in full. Nothing here is traded: what is read can be recorded and looked at.

Numbers are `Decimal` (the venue writes JSON numbers, of candles text); times are milliseconds on WebSocket
and RFC 3339 text on REST.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

# ---- REST --------------------------------------------------------------------------------------------------


class FillRow(msgspec.Struct, gc=False):
    """One execution."""

    fill_id: str
    symbol: str
    side: str
    order_id: str
    fillTime: str
    size: Decimal
    price: Decimal
    fillType: str
    fee_paid: Decimal | None = None
    fee_currency: str | None = None
    cli_ord_id: str | None = None


class Fills(msgspec.Struct, gc=False):
    """Answer of `fills`."""

    result: str
    serverTime: str
    fills: list[FillRow]


class OpenOrderRow(msgspec.Struct, gc=False):
    """One working order."""

    order_id: str
    symbol: str
    side: str
    orderType: str
    unfilledSize: Decimal
    filledSize: Decimal
    receivedTime: str
    lastUpdateTime: str
    status: str
    reduceOnly: bool
    limitPrice: Decimal | None = None
    stopPrice: Decimal | None = None
    triggerSignal: str | None = None
    cli_ord_id: str | None = None


class OpenOrders(msgspec.Struct, gc=False):
    """Answer of `openorders`."""

    result: str
    serverTime: str
    openOrders: list[OpenOrderRow]


class OrderBook(msgspec.Struct, gc=False):
    """Price and size."""

    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class OrderBookAnswer(msgspec.Struct, gc=False):
    """Answer of `orderbook`."""

    result: str
    serverTime: str
    orderBook: OrderBook


class SendStatus(msgspec.Struct, gc=False):
    """What became of an order."""

    status: str
    order_id: str | None = None
    cli_ord_id: str | None = None
    receivedTime: str | None = None


class SendAnswer(msgspec.Struct, gc=False):
    """Answer of `sendorder`."""

    result: str
    serverTime: str
    sendStatus: SendStatus


class CandleRow(msgspec.Struct, gc=False):
    """One candle."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Candles(msgspec.Struct, gc=False):
    """Answer of `charts`."""

    candles: list[CandleRow]
    more_candles: bool


class MarginLevel(msgspec.Struct, gc=False):
    """Margins from a size on: contracts, or units of linear contracts."""

    initialMargin: Decimal
    maintenanceMargin: Decimal
    contracts: Decimal | None = None
    numNonContractUnits: Decimal | None = None


class InstrumentRow(msgspec.Struct, gc=False):
    """One contract."""

    symbol: str
    type: str
    tickSize: Decimal
    contractSize: Decimal
    tradeable: bool
    postOnly: bool
    marginLevels: list[MarginLevel] | None = None
    underlying: str | None = None
    impactMidSize: Decimal | None = None
    maxPositionSize: Decimal | None = None
    openingDate: str | None = None
    lastTradingTime: str | None = None
    fundingRateCoefficient: Decimal | None = None
    maxRelativeFundingRate: Decimal | None = None
    contractValueTradePrecision: int | None = None
    feeScheduleUid: str | None = None
    isin: str | None = None
    mtf: bool | None = None
    base: str | None = None
    quote: str | None = None
    pair: str | None = None
    category: str | None = None
    tags: list[str] | None = None


class Instruments(msgspec.Struct, gc=False):
    """Answer of `instruments`."""

    result: str
    instruments: list[InstrumentRow]
    serverTime: str | None = None


# ---- WebSocket ---------------------------------------------------------------------------------------------


class FeedLevel(msgspec.Struct, gc=False):
    """A level of a book."""

    price: Decimal
    qty: Decimal


class FeedBookSnapshot(msgspec.Struct, gc=False):
    """`book_snapshot`."""

    feed: str
    product_id: str
    timestamp: int
    seq: int
    bids: list[FeedLevel]
    asks: list[FeedLevel]
    tickSize: Decimal | None = None


class FeedBookDelta(msgspec.Struct, gc=False):
    """`book`: one level; quantity 0 removes it."""

    feed: str
    product_id: str
    side: str
    seq: int
    price: Decimal
    qty: Decimal
    timestamp: int


class FeedFill(msgspec.Struct, gc=False):
    """One execution of the account."""

    instrument: str
    time: int
    price: Decimal
    seq: int
    buy: bool
    qty: Decimal
    order_id: str
    fill_id: str
    fill_type: str
    remaining_order_qty: Decimal | None = None
    cli_ord_id: str | None = None
    fee_paid: Decimal | None = None
    fee_currency: str | None = None
    taker_order_type: str | None = None
    order_type: str | None = None


class FeedFills(msgspec.Struct, gc=False):
    """`fills_snapshot` and `fills`."""

    feed: str
    fills: list[FeedFill]
    account: str | None = None
    username: str | None = None


class FeedOrder(msgspec.Struct, gc=False):
    """One working order; direction 0 buys, 1 sells."""

    instrument: str
    time: int
    last_update_time: int
    qty: Decimal
    filled: Decimal
    type: str
    order_id: str
    direction: int
    reduce_only: bool
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    cli_ord_id: str | None = None
    triggerSignal: str | None = None


class FeedOrders(msgspec.Struct, gc=False):
    """`open_orders_snapshot`."""

    feed: str
    orders: list[FeedOrder]
    account: str | None = None


class FeedTicker(msgspec.Struct, gc=False):
    """`ticker`."""

    feed: str
    product_id: str
    time: int
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    volume: Decimal
    index: Decimal
    last: Decimal
    markPrice: Decimal
    openInterest: Decimal
    suspended: bool
    tag: str
    pair: str
    leverage: str
    dtm: int
    premium: Decimal
    change: Decimal
    maturityTime: int
    funding_rate: Decimal | None = None
    funding_rate_prediction: Decimal | None = None
    relative_funding_rate: Decimal | None = None
    relative_funding_rate_prediction: Decimal | None = None
    next_funding_rate_time: int | None = None
    post_only: bool | None = None
    volumeQuote: Decimal | None = None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None


class FeedTrade(msgspec.Struct, gc=False):
    """`trade`."""

    feed: str
    product_id: str
    uid: str
    side: str
    type: str
    seq: int
    time: int
    qty: Decimal
    price: Decimal
