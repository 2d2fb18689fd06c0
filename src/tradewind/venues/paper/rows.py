"""Recorded market data in compact native memory: read once, replayed as often as one likes.

A *row* is what every back-tester counts as an event: one level change (a level of a snapshot too), one trade,
or one best quote. A *message* is what the venue sent at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from tradewind.core.native import PaperRows

from ..market_data import (
    BookDelta,
    BookSnapshot,
    FeedEvent,
    Side,
    TopOfBook,
    TradePrint,
)

MAX_SYMBOLS = 1_000
MAX_ROW_LOTS = 2**63 - 1
_DIFFERENCE, _TRADE, _BEST, _KEPT = range(4)


class Rows:
    """Messages in the order in which they came. Read only once it is built.

    Differences, trades and best quotes lie in native memory (80 bytes a message and 16 a row); all other
    events, and those with a quantity beyond 64 bits, are kept as they are.
    """

    def __init__(self) -> None:
        self.native = PaperRows()
        self.symbols: tuple[str, ...] = ()
        self._places: dict[str, int] = {}
        self._kept: dict[int, FeedEvent] = {}
        self._now_ns = 0

    @classmethod
    def of(cls, batches: Iterable[tuple[int, Iterable[FeedEvent]]]) -> Rows:
        """Rows of (time in ns, events) as feeds give them. Raises `ValueError` when times go back, or for
        more than `MAX_SYMBOLS` symbols.
        """
        rows = cls()
        for now_ns, events in batches:
            for event in events:
                rows.append(event, now_ns)
        return rows

    def append(self, event: FeedEvent, now_ns: int) -> None:
        """One more event, received at `now_ns`. Raises as `of` does."""
        if now_ns < self._now_ns:
            raise ValueError(f"time goes back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns
        symbol = self._place(event.symbol)
        match event:
            case BookDelta():
                ids = (event.first_id, event.last_id)
                if not self.native.difference(symbol, now_ns, event.venue_ts_ns, ids, event.bids, event.asks):
                    self._keep(symbol, event, len(event.bids) + len(event.asks))
            case TradePrint() if event.quantity_lots <= MAX_ROW_LOTS:
                traded = (event.price_ticks, event.quantity_lots)
                number = event.trade_id or 0
                self.native.trade(symbol, now_ns, event.venue_ts_ns, number, traded, event.aggressor_side)
            case TopOfBook() if max(event.bid_lots, event.ask_lots) <= MAX_ROW_LOTS:
                bid, ask = (event.bid_ticks, event.bid_lots), (event.ask_ticks, event.ask_lots)
                self.native.best(symbol, now_ns, event.venue_ts_ns, bid, ask)
            case BookSnapshot():
                self._keep(symbol, event, len(event.bids) + len(event.asks))
            case _:
                self._keep(symbol, event, int(isinstance(event, TradePrint | TopOfBook)))

    def _place(self, symbol: str) -> int:
        place = self._places.get(symbol)
        if place is None:
            if len(self.symbols) >= MAX_SYMBOLS:
                raise ValueError(f"more than {MAX_SYMBOLS} symbols")
            place = self._places[symbol] = len(self.symbols)
            self.symbols += (symbol,)
        return place

    def _keep(self, symbol: int, event: FeedEvent, rows: int) -> None:
        self._kept[len(self.native)] = event
        self.native.kept(symbol, self._now_ns, rows)

    def __len__(self) -> int:
        """Messages."""
        return len(self.native)

    @property
    def row_count(self) -> int:
        """Level changes, trades and best quotes."""
        return self.native.row_count

    @property
    def nbytes(self) -> int:
        """Bytes of native memory."""
        return self.native.nbytes

    def time_ns(self, index: int) -> int:
        """When a message was received. Raises `IndexError`."""
        return self.native.message(index)[2]

    def event(self, index: int) -> FeedEvent:
        """A message as an event. Of one in native memory are lost: checksum, epoch, the id before a
        difference's first, and the venue's own word for a trade. Raises `IndexError`.
        """
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        kind, place, now_ns, venue_ts_ns, ids, aggressor, bids, asks = self.native.message(index)
        symbol = self.symbols[place]
        if kind == _DIFFERENCE:
            return BookDelta(
                symbol=symbol, bids=bids, asks=asks, first_id=ids[0], last_id=ids[1], previous_id=None,
                venue_ts_ns=venue_ts_ns, recv_ts_ns=now_ns, recv_mono_ns=now_ns, epoch=0,
            )  # fmt: skip
        if kind == _TRADE:
            price_ticks, lots = bids[0]
            return TradePrint(
                symbol=symbol, trade_id=ids[0] or None, price_ticks=price_ticks, quantity_lots=lots,
                aggressor_side=None if aggressor is None else Side(aggressor),
                venue_ts_ns=venue_ts_ns, recv_ts_ns=now_ns, recv_mono_ns=now_ns, epoch=0,
            )  # fmt: skip
        (bid_ticks, bid_lots), (ask_ticks, ask_lots) = bids[0], asks[0]
        return TopOfBook(
            symbol=symbol, bid_ticks=bid_ticks, bid_lots=bid_lots, ask_ticks=ask_ticks, ask_lots=ask_lots,
            sequence=None, venue_ts_ns=venue_ts_ns, recv_ts_ns=now_ns, recv_mono_ns=now_ns, epoch=0,
        )  # fmt: skip
