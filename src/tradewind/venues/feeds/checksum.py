"""Kraken's book checksum (T5.3): CRC-32 over the ten best asks, then the ten best bids."""

from __future__ import annotations

from decimal import Decimal
from zlib import crc32

from tradewind.venues.feeds.book import Checksum, MirrorBook
from tradewind.venues.feeds.levels import BookSide
from tradewind.venues.market_data import Instrument

CHECKSUM_LEVELS = 10


def _units_per_step(step: Decimal, decimals: int) -> int:
    units = step.scaleb(decimals)
    if units != units.to_integral_value():
        raise ValueError(f"step {step} has more than the venue's {decimals} decimals")
    return int(units)


def kraken_checksum(instrument: Instrument) -> Checksum:
    """Return the checksum function for one instrument.

    The venue formats a number with the instrument's decimals, then removes the dot and leading zeros. That is
    exactly the integer number of 10^-decimals units, so no text formatting of decimals is needed. Fewer
    than ten levels: those that exist. The result is the unsigned IEEE CRC-32.
    """
    price_units = _units_per_step(instrument.tick, instrument.price_decimals)
    quantity_units = _units_per_step(instrument.lot, instrument.quantity_decimals)

    def side_text(side: BookSide) -> str:
        return "".join(
            f"{price * price_units}{lots * quantity_units}" for price, lots in side.top(CHECKSUM_LEVELS)
        )

    def checksum(book: MirrorBook) -> int:
        return crc32((side_text(book.asks) + side_text(book.bids)).encode())

    return checksum
