"""The part of `Feed` that is the same for every feed built on a `MarketPipeline`."""

from __future__ import annotations

from collections.abc import Mapping

from tradewind.venues.feeds.base import FeedStatistics
from tradewind.venues.feeds.book import MirrorBook
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.market_data import BookState, Instrument


class PipelineFeed:
    """Reads state, age and statistics out of the pipeline; subclasses produce the events."""

    def __init__(self, pipeline: MarketPipeline) -> None:
        self.pipeline = pipeline
        self.published_events = 0
        self.reconnects = 0
        self.closed = False

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Instruments by canonical symbol."""
        return self.pipeline.decoder.instruments

    def book(self, symbol: str) -> MirrorBook:
        """The mirror book of `symbol`. Raises `UnknownSymbol`."""
        return self.pipeline.book(symbol)

    def state(self, symbol: str) -> BookState:
        """State of the book of `symbol`. Raises `UnknownSymbol`."""
        return self.pipeline.book(symbol).state

    def clock_ns(self) -> int:
        """Now, on the clock that stamps this feed's receive times."""
        raise NotImplementedError

    def age_ns(self, symbol: str) -> int | None:
        """Nanoseconds since the book was last confirmed, None when it never was. Reading changes nothing."""
        as_of_ns = self.pipeline.book(symbol).as_of_ns
        return None if as_of_ns is None else max(0, self.clock_ns() - as_of_ns)

    def statistics(self) -> FeedStatistics:
        """Counts since the start."""
        books = [book.counters for book in self.pipeline.books.values()]
        tapes = list(self.pipeline.tapes.values())
        counters = self.pipeline.decoder.counters
        return FeedStatistics(
            frames=counters.frames,
            events=self.published_events,
            decode_errors=counters.errors.total(),
            unknown_values=counters.unknown_values.total(),
            ignored=counters.ignored.total() + self.pipeline.ignored_prints.total(),
            gaps=sum(book.gaps for book in books),
            duplicates=sum(book.duplicates for book in books) + sum(tape.duplicates for tape in tapes),
            checksum_failures=sum(book.checksum_failures for book in books),
            trades=sum(tape.prints for tape in tapes),
            trade_gaps=sum(tape.gaps for tape in tapes),
            reconnects=self.reconnects,
        )

    async def close(self) -> None:
        """Stop producing events."""
        self.closed = True
