"""What outside venues show for outcome markets. Prices in millionths of the payout, liquidity in
micro-USDC.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Final

import msgspec

from tradewind.core.event_types import (
    VenueBatchApplied,
    VenueLinked,
    VenueOutage,
    VenueQuoted,
    VenueRefreshed,
)
from tradewind.core.events import Event

PART_OUTCOMES: Final = 5
SKIPS: Final = (
    "missing",
    "market_not_found",
    "feed_not_found",
    "source_not_registered",
    "market_not_active",
    "invalid_outcome",
    "publish_out_of_order",
    "future_timestamp",
    "stale_price",
    "parameter_out_of_bounds",
    "non_positive_price",
    "crossed_source",
    "invalid_probabilities",
)
"""Why items of a batch were not taken; fields of VenueBatchApplied."""


class VenueMarket(msgspec.Struct):
    """A linked market; without quotes until the first were taken."""

    market: int
    condition: bytes
    source: bytes
    outcomes: int
    bids: tuple[int, ...] = ()
    asks: tuple[int, ...] = ()
    liquidity: int = 0
    confidence: int = 0
    venue_time_ns: int = 0


class VenueSource(msgspec.Struct):
    """A source: its batches and its outage (0 none, 1 alert, 2 its markets are halted)."""

    key: bytes
    markets: int = 0
    batches: int = 0
    failed: int = 0
    alerts: int = 0
    quoted: int = 0
    refreshed: int = 0
    unreadable: int = 0
    skipped: Counter[str] = msgspec.field(default_factory=Counter)
    last_batch_ns: int = 0
    outage: int = 0


class VenuesView:
    """Linked markets by handle, sources by number."""

    def __init__(self) -> None:
        self.by_market: dict[int, VenueMarket] = {}
        self.sources: dict[int, VenueSource] = {}
        self.version = 0
        """Grows with every link."""

    def has_source(self, key: bytes) -> bool:
        """Whether a public key publishes for any market."""
        return any(source.key == key for source in self.sources.values())

    def of_source(self, key: bytes) -> list[VenueMarket]:
        """The markets that a public key publishes quotes for."""
        return [one for one in self.by_market.values() if one.source == key]

    def on_event(self, event: Event) -> None:
        if isinstance(event, VenueQuoted):
            self._quoted(event)
        elif isinstance(event, VenueRefreshed):
            for place in range(len(event.markets) * 8):
                if event.markets[place // 8] >> place % 8 & 1:
                    self.by_market[event.first + place].venue_time_ns = event.venue_time_ns
        elif isinstance(event, VenueBatchApplied):
            self._applied(event)
        elif isinstance(event, VenueLinked):
            self._linked(event)
        elif isinstance(event, VenueOutage):
            self.sources[event.source].outage = event.level

    def _linked(self, event: VenueLinked) -> None:
        source = self.sources.setdefault(event.source, VenueSource(event.key))
        source.markets += 1
        self.version += 1
        self.by_market[event.market] = VenueMarket(
            market=event.market, condition=event.condition, source=event.key, outcomes=event.outcomes
        )

    def _quoted(self, event: VenueQuoted) -> None:
        one = self.by_market[event.market]
        bids = struct.unpack(f"<{PART_OUTCOMES}I", event.bids)[: event.quotes]
        asks = struct.unpack(f"<{PART_OUTCOMES}I", event.asks)[: event.quotes]
        one.bids = (*one.bids[: event.first], *bids)
        one.asks = (*one.asks[: event.first], *asks)
        one.liquidity, one.confidence = event.liquidity, event.confidence
        one.venue_time_ns = event.venue_time_ns

    def _applied(self, event: VenueBatchApplied) -> None:
        source = self.sources[event.source]
        source.batches += 1
        source.failed += event.failed
        source.alerts += event.alert
        source.quoted += event.quoted
        source.refreshed += event.refreshed
        source.unreadable += event.unreadable
        source.last_batch_ns = event.time_ns
        for name in SKIPS:
            if count := getattr(event, name):
                source.skipped[name.upper()] += count
