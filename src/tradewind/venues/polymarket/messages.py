"""Polymarket's messages, as far as the platform reads them. Numbers are text at the venue and stay exact."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import DecodeError, Instrument, Side

LOT: Final = Decimal("0.01")
LOT_MICRO: Final = 10_000
MICRO: Final = 1_000_000
NS: Final = 1_000_000_000
QUOTE: Final = "USDC"
MAX_DIGITS: Final = 30
"""Of an amount, before or behind the point."""
SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}


class LevelRow(msgspec.Struct, frozen=True):
    price: Decimal
    size: Decimal


class BookMessage(msgspec.Struct, frozen=True):
    """A whole book, from the channel or from /book."""

    asset_id: str
    timestamp: str
    bids: list[LevelRow] = []
    asks: list[LevelRow] = []


class ChangeRow(msgspec.Struct, frozen=True):
    asset_id: str
    price: Decimal
    size: Decimal
    side: str
    best_bid: str = ""
    best_ask: str = ""


class ChangeMessage(msgspec.Struct, frozen=True):
    price_changes: list[ChangeRow]
    timestamp: str


class TradeMessage(msgspec.Struct, frozen=True):
    """last_trade_price"""

    asset_id: str
    price: Decimal
    size: Decimal
    side: str
    timestamp: str


class TokenRow(msgspec.Struct, frozen=True):
    token_id: str
    outcome: str


class MarketRow(msgspec.Struct, frozen=True):
    condition_id: str
    market_slug: str
    minimum_tick_size: Decimal
    minimum_order_size: Decimal
    neg_risk: bool
    tokens: list[TokenRow]
    active: bool = True
    closed: bool = False
    accepting_orders: bool = True
    maker_base_fee: Decimal = Decimal(0)
    taker_base_fee: Decimal = Decimal(0)


class MarketsPage(msgspec.Struct, frozen=True):
    data: list[MarketRow]
    next_cursor: str


class OrderRow(msgspec.Struct, frozen=True):
    """An order, from a call or the user channel."""

    id: str
    status: str
    asset_id: str
    side: str
    original_size: Decimal
    size_matched: Decimal
    price: Decimal
    order_type: str = ""
    created_at: int | str = 0
    timestamp: str = ""


class OrdersPage(msgspec.Struct, frozen=True):
    data: list[OrderRow]
    next_cursor: str


class MakerRow(msgspec.Struct, frozen=True):
    order_id: str
    maker_address: str
    matched_amount: Decimal
    price: Decimal
    asset_id: str
    side: str = ""
    fee_rate_bps: Decimal = Decimal(0)


class TradeRow(msgspec.Struct, frozen=True):
    """A trade, from a call or the user channel: the outer fields are the taker's."""

    id: str
    taker_order_id: str
    asset_id: str
    side: str
    size: Decimal
    price: Decimal
    status: str
    match_time: str
    maker_orders: list[MakerRow]
    fee_rate_bps: Decimal = Decimal(0)


class TradesPage(msgspec.Struct, frozen=True):
    data: list[TradeRow]
    next_cursor: str


class OrderAnswer(msgspec.Struct, frozen=True):
    success: bool
    orderID: str = ""
    errorMsg: str | None = ""
    status: str = ""


class CancelAnswer(msgspec.Struct, frozen=True):
    canceled: list[str]
    not_canceled: dict[str, str] = {}


class BalanceAnswer(msgspec.Struct, frozen=True):
    balance: Decimal


class ErrorAnswer(msgspec.Struct, frozen=True):
    error: str = ""
    error_msg: str = ""
    heartbeat_id: str = ""


class Heartbeat(msgspec.Struct, frozen=True):
    heartbeat_id: str = ""


class Unmapped(Exception):
    """A row that says something we have no name for."""


def ticks_of(instrument: Instrument, price: Decimal) -> int:
    """Raises `Unmapped` for a price off the tick."""
    ticks = finite(price) / instrument.tick
    if ticks != int(ticks):
        raise Unmapped(f"{instrument.symbol}: price {price} is off the tick of {instrument.tick}")
    return int(ticks)


def lots_of(instrument: Instrument, size: Decimal) -> int:
    """Whole lots; what is finer than a lot is dust and rounded down."""
    return int(finite(size) / instrument.lot)


def finite(value: Decimal) -> Decimal:
    """The same amount. Raises `Unmapped` for what is none (NaN, Infinity), or longer than any amount is."""
    if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
        raise Unmapped(f"{str(value)[:40]} is no amount")
    return value


def side_of(text: str) -> Side:
    """Raises `Unmapped`."""
    found = SIDES.get(text.upper())
    if found is None:
        raise Unmapped(f"side {text[:20]!r}")
    return found


def ms_to_ns(text: str) -> int:
    """Milliseconds as text to ns. Raises `DecodeError`."""
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise DecodeError("timestamp", f"{text[:20]!r} is no time")
    return int(text) * 1_000_000
