"""Breakers as the log shows them: their phase, the last trip and its cause."""

from __future__ import annotations

from collections import deque

import msgspec

from tradewind.core.enums import NO_MARKET
from tradewind.core.event_types import (
    AuctionEnded,
    AuctionStarted,
    AuctionUncrossed,
    BreakerClosed,
    BreakerConfigured,
    BreakerExtended,
    BreakerHalfOpen,
    BreakerResumePending,
    BreakerTripped,
)
from tradewind.core.events import Event

TRIPS_KEPT = 1_000


class Breaker(msgspec.Struct):
    """One breaker of a market (or of the platform: market `NO_MARKET`)."""

    market: int
    breaker: int
    phase: int = 0
    cause: int = 0
    value: int = 0
    threshold: int = 0
    since_ns: int = 0
    until_ns: int = 0
    halt_s: int = 0
    trips: int = 0
    pending: bool = False
    """The first of two approvals to close it early was given."""


class Trip(msgspec.Struct, frozen=True):
    """A trip for the record."""

    seq: int
    time_ns: int
    market: int
    breaker: int
    cause: int
    value: int
    threshold: int
    until_ns: int


class BreakersView:
    """Breakers by (market, number), the last trips, and running auctions by market."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[int, int], Breaker] = {}
        self.trips: deque[Trip] = deque(maxlen=TRIPS_KEPT)
        self.trip_count = 0
        self.auctions: dict[int, int] = {}
        """Market → when its auction uncrosses, ns."""

    def on_event(self, event: Event) -> None:
        if isinstance(event, BreakerTripped | BreakerExtended | BreakerHalfOpen | BreakerClosed):
            self._moved(event)
        elif isinstance(event, BreakerResumePending):
            self._of(event.market, event.breaker).pending = True
        elif isinstance(event, BreakerConfigured):
            one = self._of(event.market, event.breaker)
            one.threshold, one.halt_s = event.threshold, event.halt_s
        elif isinstance(event, AuctionStarted):
            self.auctions[event.market] = event.until_ns
        elif isinstance(event, AuctionUncrossed | AuctionEnded):
            self.auctions.pop(event.market, None)

    def of_scope(self, market: int | None) -> list[Breaker]:
        """Breakers of one market with those of the platform, or all."""
        scope = None if market is None else {market, NO_MARKET}
        return [one for key, one in sorted(self.by_key.items()) if scope is None or key[0] in scope]

    def _of(self, market: int, breaker: int) -> Breaker:
        return self.by_key.setdefault((market, breaker), Breaker(market, breaker))

    def _moved(self, event: BreakerTripped | BreakerExtended | BreakerHalfOpen | BreakerClosed) -> None:
        one = self._of(event.market, event.breaker)
        one.phase, one.since_ns, one.until_ns = event.phase, event.since_ns, event.until_ns
        one.threshold, one.halt_s, one.pending = event.threshold, event.halt_s, False
        if isinstance(event, BreakerTripped):
            one.cause, one.value, one.trips = event.cause, event.value, one.trips + 1
            self.trip_count += 1
            self.trips.append(
                Trip(
                    event.seq,
                    event.time_ns,
                    event.market,
                    event.breaker,
                    event.cause,
                    event.value,
                    event.threshold,
                    event.until_ns,
                )
            )
