"""Kraken symbols and filters (T2.1, T2.2, T2.4)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.kraken.messages import AssetPairs, PairInfo
from tradewind.venues.market_data import DecodeError, Instrument, UnknownSymbol

LEGACY_ASSETS = {"XBT": "BTC", "XDG": "DOGE"}
MAX_DECIMALS = 18


def canonical_symbol(venue_symbol: str) -> str:
    """BASE/QUOTE with the legacy codes replaced: XBT/USD -> BTC/USD. Raises `UnknownSymbol`."""
    base, slash, quote = venue_symbol.partition("/")
    if not (slash and base and quote) or "/" in quote:
        raise UnknownSymbol(f"{venue_symbol!r} is not BASE/QUOTE")
    return f"{LEGACY_ASSETS.get(base, base)}/{LEGACY_ASSETS.get(quote, quote)}"


def parse_asset_pairs(body: bytes, as_of_ns: int) -> tuple[dict[str, Instrument], list[str]]:
    """Return instruments by canonical symbol and the reasons of the rows that were quarantined.

    Raises `DecodeError` when the body is unreadable or carries an error.
    """
    try:
        answer = msgspec.json.decode(body, type=AssetPairs)
    except UNREADABLE as error:
        raise DecodeError("AssetPairs", str(error)) from error
    if answer.error:
        raise DecodeError("AssetPairs", "; ".join(answer.error)[:200])
    instruments: dict[str, Instrument] = {}
    quarantined: list[str] = []
    for name, row in answer.result.items():
        try:
            one = instrument_of(msgspec.json.decode(row, type=PairInfo), as_of_ns)
            if one.symbol in instruments:
                raise UnknownSymbol(f"{one.symbol} appears twice")
            instruments[one.symbol] = one
        except (*UNREADABLE, InvalidOperation, UnknownSymbol, ValueError) as error:
            quarantined.append(f"{name}: {error}")
    return instruments, quarantined


def instrument_of(pair: PairInfo, as_of_ns: int | None) -> Instrument:
    """The instrument of one AssetPairs row; without `tick_size` the tick is 10^-pair_decimals."""
    if not (0 <= pair.pair_decimals <= MAX_DECIMALS and 0 <= pair.lot_decimals <= MAX_DECIMALS):
        raise ValueError(f"decimals {pair.pair_decimals}/{pair.lot_decimals} out of range")
    symbol = canonical_symbol(pair.wsname)
    base, _, quote = symbol.partition("/")
    tick = Decimal(pair.tick_size) if pair.tick_size else Decimal(1).scaleb(-pair.pair_decimals)
    return Instrument(
        venue="kraken",
        symbol=symbol,
        venue_symbol=symbol,  # v2 uses the canonical codes
        base=base,
        quote=quote,
        tick=tick,
        lot=Decimal(1).scaleb(-pair.lot_decimals),
        min_quantity=Decimal(pair.ordermin) if pair.ordermin else None,
        min_notional=Decimal(pair.costmin) if pair.costmin else None,
        price_decimals=pair.pair_decimals,
        quantity_decimals=pair.lot_decimals,
        status=pair.status,
        source="venue",
        as_of_ns=as_of_ns,
    )
