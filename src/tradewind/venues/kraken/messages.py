"""Kraken wire messages as typed structs. v2 numbers are JSON numbers, read as Decimal, never as float."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Level(msgspec.Struct, gc=False):
    """One v2 book level."""

    price: Decimal
    qty: Decimal


class Book(msgspec.Struct, gc=False):
    """One v2 `book` row; the checksum follows every message."""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    checksum: int
    timestamp: str | None = None


class Trade(msgspec.Struct, gc=False):
    """One v2 `trade` row."""

    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    timestamp: str
    ord_type: str = ""


class Ticker(msgspec.Struct, gc=False):
    """One v2 `ticker` row, the fields of the best bid and ask."""

    symbol: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    timestamp: str | None = None


class Status(msgspec.Struct, gc=False):
    """One v2 `status` row."""

    system: str


class BookMessage(msgspec.Struct, gc=False):
    """`{"channel":"book","type":"snapshot|update","data":[...]}`."""

    type: str
    data: list[Book]


class TradeMessage(msgspec.Struct, gc=False):
    """`{"channel":"trade",...}`; a snapshot repeats the last trades."""

    type: str
    data: list[Trade]


class TickerMessage(msgspec.Struct, gc=False):
    """`{"channel":"ticker",...}`."""

    type: str
    data: list[Ticker]


class StatusMessage(msgspec.Struct, gc=False):
    """`{"channel":"status",...}`."""

    data: list[Status]


class Header(msgspec.Struct, gc=False):
    """What a v2 frame is: a channel message, or the answer to a method."""

    channel: str | None = None
    method: str | None = None
    success: bool | None = None
    error: str | None = None


class PairInfo(msgspec.Struct, gc=False):
    """One row of the REST AssetPairs call."""

    altname: str
    wsname: str
    pair_decimals: int
    lot_decimals: int
    ordermin: str | None = None
    costmin: str | None = None
    tick_size: str | None = None
    status: str = "online"


class AssetPairs(msgspec.Struct, gc=False):
    """Body of the REST AssetPairs call."""

    error: list[str]
    result: dict[str, msgspec.Raw] = {}
