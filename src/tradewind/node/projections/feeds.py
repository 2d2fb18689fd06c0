"""Price feeds as the log shows them. Prices in micro-units of the settlement asset per whole unit."""

from __future__ import annotations

import msgspec

from tradewind.core.event_types import (
    FeedChanged,
    FeedOverridden,
    FeedOverrideEnded,
    FeedOverridePending,
    FeedSourceSet,
    FeedStateChanged,
    IndexUpdated,
    SourceUpdated,
)
from tradewind.core.events import Event

STATES = ("VALID", "WARN", "DEGRADED", "UNCERTAIN", "DIVERGENT", "STALE", "NO_QUORUM", "INVALID")
"""Feed states by number, from best to worst (protocol P6.2)."""
NO_FEED = 0xFFFFFFFF


class Source(msgspec.Struct):
    """One source of a feed and what it said last; `gate` 0 = it passes."""

    key: bytes
    weight: int
    value: int = 0
    confidence: int = 0
    source_time_ns: int = 0
    source_seq: int = 0
    gate: int = 0
    published_ns: int = 0


class Feed(msgspec.Struct):
    """A feed: limits, sources, index and state. An index of 0 is unknown."""

    feed: int
    symbol: str
    feed_kind: int
    quorum: int
    interval_ms: int
    max_confidence_ppm: int
    max_deviation_bp: int
    fallback: int
    config_version: int
    sources: dict[bytes, Source] = msgspec.field(default_factory=dict)
    index: int = 0
    confidence: int = 0
    state: int = 7
    since_ns: int = 0
    updated_ns: int = 0
    updates: int = 0
    cause: int = 0
    clears: int = 0
    override: int = 0
    """Action of an override in force, 0 = none."""
    override_until_ns: int = 0
    pending: tuple[int, int] | None = None
    """An override that waits for its second person: action and end. The second asks for the same."""

    @property
    def state_name(self) -> str:
        """Name of the state."""
        return STATES[self.state] if self.state < len(STATES) else "UNKNOWN"


class FeedsView:
    """Feeds by number."""

    def __init__(self) -> None:
        self.by_number: dict[int, Feed] = {}

    def find(self, name: str) -> Feed | None:
        """A feed by number or symbol; the newest of several with one symbol."""
        if name.isdecimal() and int(name) in self.by_number:
            return self.by_number[int(name)]
        wanted = name.upper()
        return next((one for one in reversed(self.by_number.values()) if one.symbol.upper() == wanted), None)

    def on_event(self, event: Event) -> None:
        if isinstance(event, SourceUpdated):
            self._published(event)
        elif isinstance(event, IndexUpdated):
            feed = self.by_number[event.feed]
            feed.index, feed.confidence = event.index, event.confidence
            feed.updated_ns, feed.updates = event.updated_ns, feed.updates + 1
        elif isinstance(event, FeedStateChanged):
            feed = self.by_number[event.feed]
            feed.state, feed.since_ns = event.state, event.since_ns
            feed.cause, feed.clears = event.cause, event.clears
        elif isinstance(event, FeedChanged):
            self._changed(event)
        elif isinstance(event, FeedSourceSet):
            self._weighted(event)
        elif isinstance(event, FeedOverridden | FeedOverrideEnded):
            feed = self.by_number[event.feed]
            in_force = isinstance(event, FeedOverridden)
            feed.override = event.action if in_force else 0
            feed.override_until_ns = event.until_ns if in_force else 0
            feed.pending = None
        elif isinstance(event, FeedOverridePending):
            self.by_number[event.feed].pending = (event.action, event.until_ns)

    def _changed(self, event: FeedChanged) -> None:
        known = self.by_number.get(event.feed)
        fields = {
            name: getattr(event, name)
            for name in (
                "feed",
                "symbol",
                "feed_kind",
                "quorum",
                "interval_ms",
                "max_confidence_ppm",
                "max_deviation_bp",
                "fallback",
                "config_version",
            )
        }
        if known is None:
            self.by_number[event.feed] = Feed(**fields)
            return
        for name, value in fields.items():
            setattr(known, name, value)

    def _weighted(self, event: FeedSourceSet) -> None:
        feed = self.by_number[event.feed]
        feed.config_version = event.config_version
        source = feed.sources.setdefault(event.source, Source(event.source, 0))
        source.weight = event.weight
        if event.activated:
            feed.sources = {key: one for key, one in feed.sources.items() if one.weight}

    def _published(self, event: SourceUpdated) -> None:
        feed = self.by_number[event.feed]
        source = feed.sources.setdefault(event.source, Source(event.source, event.weight))
        source.value, source.confidence, source.gate = event.value, event.confidence, event.gate
        source.source_time_ns, source.source_seq = event.source_time_ns, event.source_seq
        source.published_ns = event.time_ns
