"""What readers of a paper venue see: market data in the lots of the paper instrument, and the account's
events.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..market_data import (
    BookDelta,
    BookSnapshot,
    FeedEvent,
    FeedGap,
    Level,
    TopOfBook,
    TradePrint,
)
from ..protocol import PrivateEvent, StreamState
from ..streams import Fanout, Reader


def _coarser(levels: Sequence[Level], ratio: int) -> tuple[Level, ...]:
    return tuple((price, lots // ratio) for price, lots in levels)


class MarketWindow:
    """Market data of some symbols for one reader.

    Where a paper lot is several of the venue's, levels are rounded down to whole paper lots, and what is left
    of a print is added to the next one of its symbol, so that no volume is lost.
    """

    def __init__(self, ratios: dict[str, int]) -> None:
        self.reader: Reader[FeedEvent] = Reader(
            lambda count: FeedGap(
                symbol="", reason=f"{count} events not taken in time", expected=None, got=None, recv_ts_ns=0,
                epoch=0,
            )
        )  # fmt: skip
        self._ratios = ratios
        self._carried = dict.fromkeys(ratios, 0)

    def put(self, event: FeedEvent) -> None:
        """Hand over one outside event."""
        ratio = self._ratios.get(event.symbol)
        if ratio is None:
            return
        if ratio == 1:
            self.reader.put(event)
        elif isinstance(event, BookSnapshot | BookDelta):
            bids, asks = _coarser(event.bids, ratio), _coarser(event.asks, ratio)
            if isinstance(event, BookSnapshot):
                bids, asks = (tuple(one for one in side if one[1]) for side in (bids, asks))
            self.reader.put(msgspec.structs.replace(event, bids=bids, asks=asks))
        elif isinstance(event, TradePrint):
            lots, self._carried[event.symbol] = divmod(
                self._carried[event.symbol] + event.quantity_lots, ratio
            )
            if lots:
                self.reader.put(msgspec.structs.replace(event, quantity_lots=lots))
        elif isinstance(event, TopOfBook):
            self.reader.put(
                msgspec.structs.replace(
                    event, bid_lots=event.bid_lots // ratio, ask_lots=event.ask_lots // ratio
                )
            )
        else:
            self.reader.put(event)


class Published:
    """Every reader of one paper venue."""

    def __init__(self) -> None:
        self.private: Fanout[PrivateEvent] = Fanout(
            lambda count: StreamState(live=False, reason=f"{count} events not taken in time", since_ns=0)
        )
        self._windows: list[MarketWindow] = []

    def window(self, ratios: dict[str, int]) -> MarketWindow:
        """A new reader of market data; `ratios` gives the outside lots of one paper lot by symbol."""
        window = MarketWindow(ratios)
        self._windows = [one for one in self._windows if not one.reader.closed]
        self._windows.append(window)
        return window

    @property
    def read(self) -> bool:
        """Whether anybody reads market data."""
        return any(not window.reader.closed for window in self._windows)

    def tell(self, event: FeedEvent) -> None:
        """One outside event."""
        for window in self._windows:
            window.put(event)
