"""What every venue decoder shares: its contract and its counters."""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

import msgspec

from tradewind.venues.market_data import Instrument, MarketMessage

MAX_COUNTED_NAMES = 1_024
MAX_REMEMBERED_ERRORS = 16
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading a venue's bytes may raise: broken, of another type, no text, or nested without end."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """When and on which connection a frame arrived."""

    recv_ts_ns: int
    recv_mono_ns: int
    epoch: int


class DecodeCounters:
    """Counts by channel; the number of distinct names is bounded, the rest is counted as "(other)"."""

    def __init__(self) -> None:
        self.frames = 0
        self.ignored: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.unknown_values: Counter[str] = Counter()
        self.last_errors: list[str] = []

    def ignore(self, name: str) -> None:
        """A well-formed message this platform does not use (kline, heartbeat, acknowledgement)."""
        self._add(self.ignored, name)

    def error(self, channel: str, message: str) -> None:
        """A message that could not be decoded."""
        self._add(self.errors, channel)
        self.last_errors.append(message[:200])
        del self.last_errors[:-MAX_REMEMBERED_ERRORS]

    def unknown_value(self, field: str, value: object) -> None:
        """An enum value this release does not know; the raw text is kept."""
        self._add(self.unknown_values, f"{field}={str(value)[:32]}")

    @staticmethod
    def _add(counter: Counter[str], name: str) -> None:
        if name not in counter and len(counter) >= MAX_COUNTED_NAMES:
            name = "(other)"
        counter[name] += 1


class Decoder(Protocol):
    """Turns one frame into zero or more normalised messages. Raises `DecodeError`, never anything else."""

    counters: DecodeCounters

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Known instruments by canonical symbol."""
        ...

    def decode(self, frame: bytes, received: Received) -> list[MarketMessage]: ...
