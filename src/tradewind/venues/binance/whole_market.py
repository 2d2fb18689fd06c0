"""Binance's market data in full, spot and USD-M: streams and public calls.

Names are the venue's own single letters; prices and quantities are text at the venue and `Decimal` here,
times are milliseconds (microseconds where a client asked for them).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

Data = TypeVar("Data")
Level = tuple[Decimal, Decimal]


class Combined(msgspec.Struct, Generic[Data]):
    """The envelope of combined streams."""

    stream: str
    data: Data


class DepthUpdate(msgspec.Struct, gc=False):
    """`depth`. `pu`, `T`, `ps` (pair) and `st` only of futures."""

    e: str
    E: int
    s: str
    U: int
    u: int
    b: list[Level]
    a: list[Level]
    pu: int | None = None
    T: int | None = None
    ps: str | None = None
    st: int | None = None


class BookTicker(msgspec.Struct, gc=False):
    """`bookTicker`; of spot without a name and times."""

    u: int
    s: str
    b: Decimal
    B: Decimal
    a: Decimal
    A: Decimal
    e: str | None = None
    E: int | None = None
    T: int | None = None
    ps: str | None = None
    st: int | None = None


class Trade(msgspec.Struct, gc=False):
    """`trade`. `M` means nothing, `a` and `b` are the orders (until 2023), `X` is the kind (futures)."""

    e: str
    E: int
    s: str
    t: int
    p: Decimal
    q: Decimal
    T: int
    m: bool
    M: bool | None = None
    X: str | None = None
    a: int | None = None
    b: int | None = None
    st: int | None = None


class AggregateTrade(msgspec.Struct, gc=False):
    """`aggTrade`: executions `f` to `l` of one order at one price."""

    e: str
    E: int
    s: str
    a: int
    p: Decimal
    q: Decimal
    f: int
    l: int  # noqa: E741 the venue's name
    T: int
    m: bool
    M: bool | None = None
    nq: Decimal | None = None
    st: int | None = None


class Candle(msgspec.Struct, gc=False):
    """A candle of `kline`; `x` when it is closed."""

    t: int
    T: int
    s: str
    i: str
    f: int
    L: int
    o: Decimal
    c: Decimal
    h: Decimal
    l: Decimal  # noqa: E741
    v: Decimal
    n: int
    x: bool
    q: Decimal
    V: Decimal
    Q: Decimal
    B: str
    """Of no meaning."""


class CandleUpdate(msgspec.Struct, gc=False):
    """`kline`."""

    e: str
    E: int
    s: str
    k: Candle


class MarkPrice(msgspec.Struct, gc=False):
    """`markPriceUpdate`: mark, index, estimated settlement, funding rate and when it is due."""

    e: str
    E: int
    s: str
    p: Decimal
    T: int
    i: Decimal | None = None
    P: Decimal | None = None
    r: Decimal | None = None
    ap: Decimal | None = None
    st: int | None = None


class ForcedOrder(msgspec.Struct, gc=False):
    """The order of a liquidation."""

    s: str
    S: str
    o: str
    f: str
    q: Decimal
    p: Decimal
    ap: Decimal
    X: str
    l: Decimal  # noqa: E741
    z: Decimal
    T: int
    ps: str | None = None
    st: int | None = None


class ForcedOrderEvent(msgspec.Struct, gc=False):
    """`forceOrder`."""

    e: str
    E: int
    o: ForcedOrder


class DayTicker(msgspec.Struct, gc=False):
    """`24hrTicker`."""

    e: str
    E: int
    s: str
    p: Decimal
    P: Decimal
    w: Decimal
    c: Decimal
    Q: Decimal
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741
    v: Decimal
    q: Decimal
    O: int  # noqa: E741
    C: int
    F: int
    L: int
    n: int
    x: Decimal | None = None
    b: Decimal | None = None
    B: Decimal | None = None
    a: Decimal | None = None
    A: Decimal | None = None
    st: int | None = None


# ---- public calls ------------------------------------------------------------------------------------------


class DepthBody(msgspec.Struct, gc=False):
    """Answer of `depth`; times only of futures."""

    lastUpdateId: int
    bids: list[Level]
    asks: list[Level]
    E: int | None = None
    T: int | None = None


class RateLimit(msgspec.Struct, gc=False):
    """One limit of `exchangeInfo`."""

    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int


class Filter(msgspec.Struct, gc=False):
    """One filter of a symbol; which fields it has depends on its type."""

    filterType: str
    minPrice: Decimal | None = None
    maxPrice: Decimal | None = None
    tickSize: Decimal | None = None
    minQty: Decimal | None = None
    maxQty: Decimal | None = None
    stepSize: Decimal | None = None
    minNotional: Decimal | None = None
    maxNotional: Decimal | None = None
    notional: Decimal | None = None
    applyToMarket: bool | None = None
    applyMinToMarket: bool | None = None
    applyMaxToMarket: bool | None = None
    avgPriceMins: int | None = None
    multiplierUp: Decimal | None = None
    multiplierDown: Decimal | None = None
    multiplierDecimal: Decimal | None = None
    bidMultiplierUp: Decimal | None = None
    bidMultiplierDown: Decimal | None = None
    askMultiplierUp: Decimal | None = None
    askMultiplierDown: Decimal | None = None
    limit: int | None = None
    maxNumOrders: int | None = None
    maxNumAlgoOrders: int | None = None
    maxNumIcebergOrders: int | None = None
    maxNumOrderLists: int | None = None
    maxNumOrderAmends: int | None = None
    maxPosition: Decimal | None = None
    minTrailingAboveDelta: int | None = None
    maxTrailingAboveDelta: int | None = None
    minTrailingBelowDelta: int | None = None
    maxTrailingBelowDelta: int | None = None


class SymbolRow(msgspec.Struct, gc=False):
    """One symbol of spot."""

    symbol: str
    status: str
    baseAsset: str
    quoteAsset: str
    orderTypes: list[str]
    filters: list[Filter]
    baseAssetPrecision: int | None = None
    quotePrecision: int | None = None
    quoteAssetPrecision: int | None = None
    baseCommissionPrecision: int | None = None
    quoteCommissionPrecision: int | None = None
    icebergAllowed: bool | None = None
    ocoAllowed: bool | None = None
    otoAllowed: bool | None = None
    opoAllowed: bool | None = None
    quoteOrderQtyMarketAllowed: bool | None = None
    allowTrailingStop: bool | None = None
    cancelReplaceAllowed: bool | None = None
    amendAllowed: bool | None = None
    pegInstructionsAllowed: bool | None = None
    isSpotTradingAllowed: bool | None = None
    isMarginTradingAllowed: bool | None = None
    permissions: list[str] | None = None
    permissionSets: list[list[str]] | None = None
    defaultSelfTradePreventionMode: str | None = None
    allowedSelfTradePreventionModes: list[str] | None = None


class RoutedAsset(msgspec.Struct, gc=False):
    """Symbols among which smart routing chooses."""

    baseAsset: str
    symbols: list[str]


class ExchangeInfo(msgspec.Struct, gc=False):
    """Answer of `exchangeInfo` of spot."""

    timezone: str
    serverTime: int
    rateLimits: list[RateLimit]
    exchangeFilters: list[Filter]
    symbols: list[SymbolRow]
    sors: list[RoutedAsset] | None = None


class ContractRow(msgspec.Struct, gc=False):
    """One symbol of USD-M."""

    symbol: str
    pair: str
    contractType: str
    status: str
    baseAsset: str
    quoteAsset: str
    marginAsset: str
    pricePrecision: int
    quantityPrecision: int
    filters: list[Filter]
    orderTypes: list[str]
    timeInForce: list[str]
    deliveryDate: int | None = None
    onboardDate: int | None = None
    maintMarginPercent: Decimal | None = None
    requiredMarginPercent: Decimal | None = None
    baseAssetPrecision: int | None = None
    quotePrecision: int | None = None
    underlyingType: str | None = None
    underlyingSubType: list[str] | None = None
    settlePlan: int | None = None
    triggerProtect: Decimal | None = None
    liquidationFee: Decimal | None = None
    marketTakeBound: Decimal | None = None
    maxMoveOrderLimit: int | None = None
    permissionSets: list[str] | None = None


class MarginAsset(msgspec.Struct, gc=False):
    """An asset that serves as margin."""

    asset: str
    marginAvailable: bool
    autoAssetExchange: Decimal | None = None


class FuturesExchangeInfo(msgspec.Struct, gc=False):
    """Answer of `exchangeInfo` of USD-M."""

    timezone: str
    serverTime: int
    rateLimits: list[RateLimit]
    exchangeFilters: list[Filter]
    symbols: list[ContractRow]
    futuresType: str | None = None
    assets: list[MarginAsset] | None = None


class CandleRow(msgspec.Struct, array_like=True, gc=False):
    """One candle of `klines`."""

    open_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_time: int
    quote_volume: Decimal
    trades: int
    taker_base_volume: Decimal
    taker_quote_volume: Decimal
    unused: str


class AggregateRow(msgspec.Struct, gc=False):
    """One row of `aggTrades`."""

    a: int
    p: Decimal
    q: Decimal
    f: int
    l: int  # noqa: E741
    T: int
    m: bool
    M: bool | None = None


class TradeRow(msgspec.Struct, gc=False):
    """One row of `trades`."""

    id: int
    price: Decimal
    qty: Decimal
    quoteQty: Decimal
    time: int
    isBuyerMaker: bool
    isBestMatch: bool | None = None
    isRPITrade: bool | None = None


class PriceTicker(msgspec.Struct, gc=False):
    """`ticker/price`."""

    symbol: str
    price: Decimal
    time: int | None = None


class BookTickerBody(msgspec.Struct, gc=False):
    """`ticker/bookTicker`."""

    symbol: str
    bidPrice: Decimal
    bidQty: Decimal
    askPrice: Decimal
    askQty: Decimal
    time: int | None = None
    lastUpdateId: int | None = None


class DayTickerBody(msgspec.Struct, gc=False):
    """`ticker/24hr`."""

    symbol: str
    priceChange: Decimal
    priceChangePercent: Decimal
    weightedAvgPrice: Decimal
    lastPrice: Decimal
    lastQty: Decimal
    openPrice: Decimal
    highPrice: Decimal
    lowPrice: Decimal
    volume: Decimal
    quoteVolume: Decimal
    openTime: int
    closeTime: int
    firstId: int
    lastId: int
    count: int
    prevClosePrice: Decimal | None = None
    bidPrice: Decimal | None = None
    bidQty: Decimal | None = None
    askPrice: Decimal | None = None
    askQty: Decimal | None = None


class OpenInterest(msgspec.Struct, gc=False):
    """`openInterest`."""

    openInterest: Decimal
    symbol: str
    time: int


class PremiumIndex(msgspec.Struct, gc=False):
    """`premiumIndex`."""

    symbol: str
    markPrice: Decimal
    indexPrice: Decimal
    lastFundingRate: Decimal
    nextFundingTime: int
    time: int
    estimatedSettlePrice: Decimal | None = None
    interestRate: Decimal | None = None


class LongShortRow(msgspec.Struct, gc=False):
    """How accounts are positioned; the time is text."""

    symbol: str
    longShortRatio: Decimal
    longAccount: Decimal
    shortAccount: Decimal
    timestamp: str | int


class IndexPart(msgspec.Struct, gc=False):
    """An asset of an index."""

    baseAsset: str
    quoteAsset: str
    weightInQuantity: Decimal
    weightInPercentage: Decimal


class IndexRow(msgspec.Struct, gc=False):
    """A composite index."""

    symbol: str
    time: int
    component: str
    baseAssetList: list[IndexPart]
