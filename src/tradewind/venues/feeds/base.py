"""What every feed offers, whatever its origin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from tradewind.venues.feeds.book import MirrorBook
from tradewind.venues.market_data import BookState, FeedEvent, Instrument


class FeedStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start, for metrics and the console."""

    frames: int
    events: int
    decode_errors: int
    unknown_values: int
    ignored: int
    gaps: int
    duplicates: int
    checksum_failures: int
    trades: int
    trade_gaps: int
    reconnects: int
    conflations: int = 0
    dropped_frames: int = 0
    new_names: tuple[str, ...] = ()
    """Fields and words of the venue's messages that this build does not know."""


@runtime_checkable
class Feed(Protocol):
    """A source of market data for some symbols.

    `label` names the origin and must be shown with the data: "live:binance", "recorded:<file>", "generated".
    `clock_ns` is "now" on the feed's own clock (recorded feeds live in the past); ages are measured on it.
    """

    @property
    def label(self) -> str: ...

    @property
    def instruments(self) -> Mapping[str, Instrument]: ...

    def events(self) -> AsyncIterator[FeedEvent]: ...

    def book(self, symbol: str) -> MirrorBook: ...

    def state(self, symbol: str) -> BookState: ...

    def clock_ns(self) -> int: ...

    def age_ns(self, symbol: str) -> int | None: ...

    def statistics(self) -> FeedStatistics: ...

    async def close(self) -> None: ...
