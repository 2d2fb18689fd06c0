"""A consumer that keeps its own copy of the book from published events only, and checks the contract as
it goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tradewind.venues.feeds.base import Feed
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    BookState,
    FeedEvent,
    FeedGap,
    FeedState,
    Side,
    TradePrint,
)

BROKEN = (BookState.SYNCING, BookState.EMPTY)


class Consumer:
    """Collects events of a one-symbol feed; `violations` lists every broken promise."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.levels: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.states: list[FeedState] = []
        self.gaps: list[FeedGap] = []
        self.trades: list[TradePrint] = []
        self.snapshots = 0
        self.deltas = 0
        self.violations: list[str] = []
        self.live = False
        self._has_book = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for event in self.feed.events():
            self.take(event)

    def take(self, event: FeedEvent) -> None:
        if isinstance(event, FeedState):
            self._state(event)
        elif isinstance(event, FeedGap):
            self.gaps.append(event)
        elif isinstance(event, TradePrint):
            self.trades.append(event)
        elif isinstance(event, BookSnapshot):
            self.snapshots += 1
            self.levels = {Side.BUY: dict(event.bids), Side.SELL: dict(event.asks)}
            self._has_book = True
            self._check_crossing()
        elif isinstance(event, BookDelta):
            self._delta(event)

    def _state(self, event: FeedState) -> None:
        self.states.append(event)
        self.live = event.state is BookState.LIVE
        if self.live and not self._has_book:
            self.violations.append("live without a snapshot")
        if event.state in BROKEN:
            self._has_book = False

    def _delta(self, event: BookDelta) -> None:
        self.deltas += 1
        if not self._has_book:
            self.violations.append(f"delta {event.last_id} without a snapshot")
        for side, price, lots in event.changes():
            if lots:
                self.levels[side][price] = lots
            elif self.levels[side].pop(price, None) is None:
                self.violations.append(f"removal of an unknown level {price}")
        self._check_crossing()

    def _check_crossing(self) -> None:
        bids, asks = self.levels[Side.BUY], self.levels[Side.SELL]
        if bids and asks and max(bids) >= min(asks):
            self.violations.append(f"crossed {max(bids)} >= {min(asks)}")

    async def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    if self._task.done():
                        self._task.result()
                        raise AssertionError(f"events ended before: {what}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            tail = [(one.state.value, one.reason) for one in self.states[-6:]]
            raise AssertionError(f"never: {what}; {self.feed.statistics()}; states {tail}") from None

    async def close(self) -> None:
        await self.feed.close()
        await asyncio.wait_for(self._task, 5)
