"""Binance symbols and filters (T2.1, T2.2). A zero in a filter means the rule is switched off."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

import msgspec

from tradewind.venues.binance.messages import ExchangeInfo, SymbolInfo
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.market_data import DecodeError, Instrument, UnknownSymbol

QUOTE_ASSETS = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "EUR", "GBP", "TRY", "BRL", "JPY", "BTC",
                "ETH", "BNB", "DAI")  # fmt: skip


class BinanceMarket(StrEnum):
    """Which Binance: spot or USD-margined perpetual futures."""

    SPOT = "spot"
    USDM = "usdm"


def canonical_symbol(base: str, quote: str, market: BinanceMarket) -> str:
    """BASE/QUOTE for spot, BASE/QUOTE-PERP for perpetuals, so that the two never collide."""
    return f"{base}/{quote}" if market is BinanceMarket.SPOT else f"{base}/{quote}-PERP"


def split_symbol(venue_symbol: str) -> tuple[str, str]:
    """Split BTCUSDT into (BTC, USDT) by the known quote assets; raises `UnknownSymbol` when none fits."""
    for quote in QUOTE_ASSETS:
        if venue_symbol.endswith(quote) and len(venue_symbol) > len(quote):
            return venue_symbol[: -len(quote)], quote
    raise UnknownSymbol(f"{venue_symbol}: no known quote asset")


def parse_exchange_info(
    body: bytes, market: BinanceMarket, as_of_ns: int, wanted: frozenset[str] | None = None
) -> tuple[dict[str, Instrument], list[str]]:
    """Return instruments by venue symbol and the reasons of the rows that were quarantined.

    `wanted` limits the result to these venue symbols. Raises `DecodeError` when the body itself is
    unreadable.
    """
    try:
        rows = msgspec.json.decode(body, type=ExchangeInfo).symbols
    except UNREADABLE as error:
        raise DecodeError("exchangeInfo", str(error)) from error
    instruments: dict[str, Instrument] = {}
    quarantined: list[str] = []
    for row in rows:
        try:
            info = msgspec.json.decode(row, type=SymbolInfo)
            if wanted is None or info.symbol in wanted:
                instruments[info.symbol] = instrument_of(info, market, as_of_ns)
        except (*UNREADABLE, KeyError, InvalidOperation, ValueError) as error:
            quarantined.append(f"{bytes(row)[:80]!r}: {error}")
    return instruments, quarantined


def instrument_of(info: SymbolInfo, market: BinanceMarket, as_of_ns: int) -> Instrument:
    """The instrument of a row. Raises `KeyError`, `ValueError` or `InvalidOperation` for unreadable rules."""
    try:
        filters = {row["filterType"]: row for row in info.filters}
    except TypeError as error:
        raise ValueError(f"{info.symbol}: a filter without a name") from error
    tick = _positive(filters["PRICE_FILTER"], "tickSize")
    lot = _positive(filters["LOT_SIZE"], "stepSize")
    if tick is None or lot is None:
        raise ValueError(f"{info.symbol} has no tick or lot size")
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return Instrument(
        venue=f"binance-{market}",
        symbol=canonical_symbol(info.baseAsset, info.quoteAsset, market),
        venue_symbol=info.symbol,
        base=info.baseAsset,
        quote=info.quoteAsset,
        tick=tick,
        lot=lot,
        min_quantity=_positive(filters["LOT_SIZE"], "minQty"),
        max_quantity=_positive(filters["LOT_SIZE"], "maxQty"),
        min_notional=_positive(notional, "minNotional") or _positive(notional, "notional"),
        max_notional=_positive(notional, "maxNotional"),
        price_decimals=decimals_of(tick),
        quantity_decimals=decimals_of(lot),
        status="online" if info.status == "TRADING" else info.status,
        source="venue",
        as_of_ns=as_of_ns,
    )


def _positive(row: dict[str, Any], key: str) -> Decimal | None:
    value = Decimal(str(row[key])).normalize() if key in row else Decimal(0)
    if not value.is_finite():
        raise ValueError(f"{key} is {value}")
    return value if value > 0 else None


def decimals_of(step: Decimal) -> int:
    """Number of decimals of a step such as 0.01 (2)."""
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)
