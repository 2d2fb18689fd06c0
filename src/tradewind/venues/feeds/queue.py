"""Between the socket and the consumer: bounded, ordered, and never silent about what it drops (T5.8)."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable

from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    FeedEvent,
    FeedGap,
    MarkPrice,
    TopOfBook,
    TradePrint,
)

MAX_QUEUED_TRADES = 65_536
MAX_QUEUED_BOOK_EVENTS = 8_192
MAX_QUEUED_OTHER_EVENTS = 8_192

Snapshotter = Callable[[str], BookSnapshot | None]


class EventQueue:
    """Events of one feed in order.

    Trades are lossless up to `max_trades` per symbol. When more than `max_book_events` book events of one
    symbol wait, they are replaced by one fresh `BookSnapshot` (the mirror book is always up to date).
    Tickers are latest wins: at most one per symbol waits. State changes and gaps are always kept; they are
    bounded by the states.
    """

    def __init__(
        self,
        snapshot_of: Snapshotter,
        max_trades: int = MAX_QUEUED_TRADES,
        max_book_events: int = MAX_QUEUED_BOOK_EVENTS,
    ) -> None:
        self.max_trades = max_trades
        self.max_book_events = max_book_events
        self.conflations = 0
        self.lost_trades = 0
        self._snapshot_of = snapshot_of
        self._events: deque[FeedEvent] = deque()
        self._trades: Counter[str] = Counter()
        self._book_events: Counter[str] = Counter()
        self._latest: dict[tuple[str, type], TopOfBook | MarkPrice] = {}
        self._others = 0
        self._ready = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._events) + len(self._latest)

    def put(self, event: FeedEvent) -> None:
        """Queue one event, conflating when a bound is reached."""
        if isinstance(event, TopOfBook | MarkPrice):
            self._latest[event.symbol, type(event)] = event
        elif isinstance(event, TradePrint):
            self._put_trade(event)
        elif isinstance(event, BookDelta | BookSnapshot):
            self._put_book(event)
        else:
            self._put_other(event)
        self._ready.set()

    def _put_trade(self, trade: TradePrint) -> None:
        symbol = trade.symbol
        if self._trades[symbol] < self.max_trades:
            self._trades[symbol] += 1
            self._events.append(trade)
            return
        lost = self._trades.pop(symbol)
        self.lost_trades += lost
        self._remove(symbol, (TradePrint,))
        self._put_other(
            FeedGap(symbol=symbol, reason=f"{lost} trades not taken in time", expected=None,
                    got=trade.trade_id, recv_ts_ns=trade.recv_ts_ns, epoch=trade.epoch)
        )  # fmt: skip
        self._put_trade(trade)

    def _put_book(self, event: BookDelta | BookSnapshot) -> None:
        symbol = event.symbol
        if self._book_events[symbol] < self.max_book_events:
            self._book_events[symbol] += 1
            self._events.append(event)
            return
        self.conflations += 1
        self._remove(symbol, (BookDelta, BookSnapshot))
        fresh = self._snapshot_of(symbol)
        self._book_events[symbol] = 0 if fresh is None else 1
        if fresh is not None:
            self._events.append(fresh)

    def _put_other(self, event: FeedEvent) -> None:
        if self._others >= MAX_QUEUED_OTHER_EVENTS:
            # a consumer this late has lost everything: keep the newest state of each symbol only
            self._keep_newest_states()
        self._others += 1
        self._events.append(event)

    def _keep_newest_states(self) -> None:
        newest: dict[tuple[str, str], FeedEvent] = {}
        rest: list[FeedEvent] = []
        for event in self._events:
            if isinstance(event, TradePrint | BookDelta | BookSnapshot):
                rest.append(event)
            else:
                newest[(event.symbol, type(event).__name__)] = event
        self.conflations += 1
        self._events = deque(rest)
        self._events.extend(newest.values())
        self._others = len(newest)

    def _remove(self, symbol: str, kinds: tuple[type, ...]) -> None:
        self._events = deque(
            event for event in self._events if not (event.symbol == symbol and isinstance(event, kinds))
        )

    def _forget(self, event: FeedEvent) -> None:
        if isinstance(event, TradePrint):
            self._trades[event.symbol] -= 1
        elif isinstance(event, BookDelta | BookSnapshot):
            self._book_events[event.symbol] -= 1
        else:
            self._others -= 1

    async def get(self) -> FeedEvent | None:
        """The next event, waiting for one; None after `close` when everything was taken."""
        while not self._events and not self._latest:
            if self._closed:
                return None
            self._ready.clear()
            await self._ready.wait()
        if self._events:
            event = self._events.popleft()
            self._forget(event)
            return event
        return self._latest.pop(next(iter(self._latest)))

    def close(self) -> None:
        """No more events will come."""
        self._closed = True
        self._ready.set()
