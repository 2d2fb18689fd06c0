"""Binance wire messages as typed structs. Unknown fields are ignored, missing ones are decode errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

TextLevel = tuple[str, str]
NOTHING = msgspec.Raw(b"")
"""A part that is not there. (`Raw | None` decodes nothing but null.)"""


class DepthUpdate(msgspec.Struct, gc=False):
    """`<symbol>@depth`: absolute quantities. `E` is milliseconds; `pu` exists on futures only."""

    s: str
    E: int
    U: int
    u: int
    b: list[TextLevel]
    a: list[TextLevel]
    pu: int | None = None


class BookTicker(msgspec.Struct, gc=False):
    """`<symbol>@bookTicker`; spot has no time."""

    s: str
    u: int
    b: str
    B: str
    a: str
    A: str
    T: int | None = None


class Trade(msgspec.Struct, gc=False):
    """`<symbol>@trade`; `m` is true when the buyer was the maker; `X` (futures) is the kind of trade."""

    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    X: str = ""


class AggregateTrade(msgspec.Struct, gc=False):
    """`<symbol>@aggTrade`: fills of one taker order at one price."""

    s: str
    a: int
    p: str
    q: str
    T: int
    m: bool


class MarkPriceUpdate(msgspec.Struct, gc=False):
    """`<symbol>@markPrice` of futures; `r` is empty for a contract without funding."""

    s: str
    E: int
    p: Decimal
    i: Decimal | None = None
    r: str | None = None
    T: int = 0


class Depth(msgspec.Struct, gc=False):
    """Body of the REST depth call; futures add `E` milliseconds."""

    lastUpdateId: int
    bids: list[TextLevel]
    asks: list[TextLevel]
    E: int | None = None


class DepthStream(msgspec.Struct, gc=False):
    """Combined-stream envelope."""

    stream: str
    data: DepthUpdate


class BookTickerStream(msgspec.Struct, gc=False):
    """Combined-stream envelope."""

    stream: str
    data: BookTicker


class TradeStream(msgspec.Struct, gc=False):
    """Combined-stream envelope."""

    stream: str
    data: Trade


class AggregateTradeStream(msgspec.Struct, gc=False):
    """Combined-stream envelope."""

    stream: str
    data: AggregateTrade


class MarkPriceStream(msgspec.Struct, gc=False):
    """Combined-stream envelope."""

    stream: str
    data: MarkPriceUpdate


class SnapshotStream(msgspec.Struct, gc=False):
    """How our own captures wrap a REST depth body, so that it names its symbol."""

    stream: str
    data: Depth


class Header(msgspec.Struct, gc=False):
    """The few fields that tell what an unwrapped frame is."""

    e: str | None = None
    stream: str | None = None
    lastUpdateId: int | None = None
    result: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING
    id: int | str | None = None
    B: str | None = None
    A: str | None = None


class SymbolInfo(msgspec.Struct, gc=False):
    """One row of `exchangeInfo`."""

    symbol: str
    status: str
    baseAsset: str
    quoteAsset: str
    filters: list[dict[str, Any]]


class FuturesSymbolInfo(SymbolInfo, gc=False):
    """One row of the futures `exchangeInfo`."""

    contractType: str = ""


class ExchangeInfo(msgspec.Struct, gc=False):
    """Body of `exchangeInfo`; rows stay raw so that one bad row does not hide the others."""

    symbols: list[msgspec.Raw]
