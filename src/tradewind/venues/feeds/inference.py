"""Instruments for a recording that carries none: known facts first, else inferred from recorded numbers."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from tradewind.venues.binance.instruments import BinanceMarket, canonical_symbol, decimals_of, split_symbol
from tradewind.venues.feeds.captures import CapturedFrame
from tradewind.venues.market_data import FeedUnavailable, Instrument

MAX_SCANNED_FRAMES = 4_096


@lru_cache(maxsize=1)
def _facts() -> dict[str, dict[str, Any]]:
    text = (files("tradewind.venues.binance") / "recorded_instruments.toml").read_text(encoding="utf-8")
    return {f"{row['venue']}:{row['symbol']}": row for row in tomllib.loads(text)["instrument"]}


def binance_fact(venue_symbol: str, market: BinanceMarket) -> Instrument | None:
    """The checked-in filters of a well-known Binance symbol, or None."""
    row = _facts().get(f"binance-{market}:{venue_symbol}")
    if row is None:
        return None
    tick, lot = Decimal(row["tick"]), Decimal(row["lot"])
    return Instrument(
        venue=row["venue"], symbol=canonical_symbol(row["base"], row["quote"], market),
        venue_symbol=venue_symbol, base=row["base"], quote=row["quote"], tick=tick, lot=lot,
        min_quantity=Decimal(row["min_quantity"]), min_notional=Decimal(row["min_notional"]),
        price_decimals=decimals_of(tick), quantity_decimals=decimals_of(lot), source="facts",
    )  # fmt: skip


class _Finest:
    """The finest price and quantity steps seen for one symbol."""

    def __init__(self) -> None:
        self.price_decimals = 0
        self.quantity_decimals = 0

    def see(self, price: str, quantity: str) -> None:
        self.price_decimals = max(self.price_decimals, _significant_decimals(price))
        self.quantity_decimals = max(self.quantity_decimals, _significant_decimals(quantity))


def _significant_decimals(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))


def binance_instruments(frames: list[CapturedFrame], market: BinanceMarket) -> dict[str, Instrument]:
    """Instruments by venue symbol for the symbols in the first frames of a capture.

    Raises `FeedUnavailable` when no symbol is found.
    """
    finest: dict[str, _Finest] = {}
    for captured in frames[:MAX_SCANNED_FRAMES]:
        _scan(captured, finest)
    if not finest:
        raise FeedUnavailable("no symbol found in the first frames of the capture")
    return {name: binance_fact(name, market) or _inferred(name, seen, market)
            for name, seen in finest.items()}  # fmt: skip


def _scan(captured: CapturedFrame, finest: dict[str, _Finest]) -> None:
    try:
        frame = msgspec.json.decode(captured.frame)
    except msgspec.DecodeError:
        return  # the feed itself will count and report it
    if not isinstance(frame, dict):
        return
    data = frame.get("data", frame)
    name = captured.rest_symbol or data.get("s")
    if name is None and len(finest) == 1:
        name = next(iter(finest))
    if not isinstance(name, str):
        return
    seen = finest.setdefault(name, _Finest())
    for key in ("b", "a", "bids", "asks"):
        rows = data.get(key)
        if isinstance(rows, list):
            for price, quantity in rows:
                seen.see(price, quantity)
    for price_key, quantity_key in (("p", "q"), ("b", "B"), ("a", "A")):
        price, quantity = data.get(price_key), data.get(quantity_key)
        if isinstance(price, str) and isinstance(quantity, str):
            seen.see(price, quantity)


def _inferred(venue_symbol: str, seen: _Finest, market: BinanceMarket) -> Instrument:
    base, quote = split_symbol(venue_symbol)
    return Instrument(
        venue=f"binance-{market}", symbol=canonical_symbol(base, quote, market), venue_symbol=venue_symbol,
        base=base, quote=quote, tick=Decimal(1).scaleb(-seen.price_decimals),
        lot=Decimal(1).scaleb(-seen.quantity_decimals), price_decimals=seen.price_decimals,
        quantity_decimals=seen.quantity_decimals, source="inferred",
    )  # fmt: skip
