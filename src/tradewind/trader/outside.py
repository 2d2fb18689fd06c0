"""Books of symbols that strategies only look at: data without a market to trade in."""

from __future__ import annotations

from typing import Final

from tradewind.core.native import BookSides
from tradewind.venues.market_data import BookDelta, BookSnapshot, BookState, FeedEvent, FeedState, Instrument

from .strategy import BookTop

MAX_LEVELS: Final = 1_000


class OutsideBook:
    """A copy of a feed's book; believed while the feed says that it is live."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.live = False
        self.as_of_ns = 0
        self._sides = BookSides(MAX_LEVELS)
        self._whole = False

    def on_event(self, event: FeedEvent, now_ns: int) -> None:
        """Fold one event of the symbol."""
        if isinstance(event, BookDelta):
            if self._whole:
                self._sides.update(event.bids, event.asks)
                self.as_of_ns = now_ns
        elif isinstance(event, BookSnapshot):
            self._sides.bids.replace(event.bids)
            self._sides.asks.replace(event.asks)
            self._whole, self.as_of_ns = True, now_ns
        elif isinstance(event, FeedState):
            self.live = event.state is BookState.LIVE and self._whole
            self._whole = self._whole and event.state is not BookState.SYNCING

    def top(self, depth: int) -> BookTop:
        """The best levels, in ticks and lots of the outside instrument."""
        symbol, sides = self.instrument.symbol, self._sides
        return BookTop(symbol, tuple(sides.bids.top(depth)), tuple(sides.asks.top(depth)), self.as_of_ns)
