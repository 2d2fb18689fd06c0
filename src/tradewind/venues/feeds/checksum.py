"""Kraken's book checksum (T5.3): CRC-32 over the ten best asks, then the ten best bids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from zlib import crc32

from tradewind.venues.feeds.book import Checksum, MirrorBook
from tradewind.venues.market_data import Instrument, Level

CHECKSUM_LEVELS = 10

LevelsChecksum = Callable[[Iterable[Level], Iterable[Level]], int]
"""Checksum of the ten best asks and the ten best bids, both best first."""


def _units_per_step(step: Decimal, decimals: int) -> int:
    units = step.scaleb(decimals)
    if units != units.to_integral_value():
        raise ValueError(f"step {step} has more than the venue's {decimals} decimals")
    return int(units)


def kraken_levels_checksum(instrument: Instrument) -> LevelsChecksum:
    """Return the checksum function for one instrument; its caller hands over at most ten levels a side.

    The venue formats a number with the instrument's decimals, then removes the dot and leading zeros. That is
    exactly the integer number of 10^-decimals units, so no text formatting of decimals is needed. Fewer
    than ten levels: those that exist. The result is the unsigned IEEE CRC-32.
    """
    price_units = _units_per_step(instrument.tick, instrument.price_decimals)
    quantity_units = _units_per_step(instrument.lot, instrument.quantity_decimals)

    def side_text(levels: Iterable[Level]) -> str:
        return "".join(f"{price * price_units}{lots * quantity_units}" for price, lots in levels)

    def checksum(asks: Iterable[Level], bids: Iterable[Level]) -> int:
        return crc32((side_text(asks) + side_text(bids)).encode())

    return checksum


def kraken_checksum(instrument: Instrument) -> Checksum:
    """The same for a mirror book, which a feed verifies."""
    price_units = _units_per_step(instrument.tick, instrument.price_decimals)
    quantity_units = _units_per_step(instrument.lot, instrument.quantity_decimals)

    def checksum(book: MirrorBook) -> int:
        return book.sides.checksum(CHECKSUM_LEVELS, price_units, quantity_units)

    return checksum
