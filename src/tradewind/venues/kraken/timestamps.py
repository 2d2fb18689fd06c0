"""RFC 3339 and decimal-second times to nanoseconds, exactly (no float)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from tradewind.venues.market_data import DecodeError

NANOSECOND_DIGITS = 9
MICROSECOND_CHARACTERS = 27
"""As the venue writes nearly all of its times."""


@lru_cache(maxsize=1_024)
def _second_ns(text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000


def _fraction_ns(fraction: str) -> int:
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        raise ValueError(f"bad fraction {fraction[:32]!r}")
    return int(fraction[:NANOSECOND_DIGITS].ljust(NANOSECOND_DIGITS, "0"))


def _plain(text: str) -> bool:
    return text.isascii() and text.isdigit()


def rfc3339_ns(text: str) -> int:
    """2023-10-06T17:35:55.440295Z -> nanoseconds since 1970 UTC. Raises `DecodeError`; only UTC is
    accepted.
    """
    fraction = text[20:26]
    try:
        if len(text) == MICROSECOND_CHARACTERS and text[19] == "." and text[26] == "Z" and _plain(fraction):
            return _second_ns(text[:19]) + int(fraction) * 1_000
        if not text.endswith("Z"):
            raise ValueError("not UTC")
        whole, _, fraction = text[:-1].partition(".")
        return _second_ns(whole) + _fraction_ns(fraction)
    except ValueError as error:
        raise DecodeError("timestamp", f"{text[:40]!r}: {error}") from error


def decimal_seconds_ns(text: str) -> int:
    """1618678133.162950 -> nanoseconds since 1970 UTC. Raises `DecodeError`."""
    whole, _, fraction = text.partition(".")
    try:
        if not (whole.isascii() and whole.isdigit()):
            raise ValueError("not a plain number")
        return int(whole) * 1_000_000_000 + _fraction_ns(fraction)
    except ValueError as error:
        raise DecodeError("timestamp", f"{text[:40]!r}: {error}") from error
