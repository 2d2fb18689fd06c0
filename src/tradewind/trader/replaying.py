"""Rows through a session on a virtual clock: the same result as one event after the other, without Python in
between.

Fills, balances, commands, records and state are those of `Session.on_event` for each event in turn; only what
nobody in Python wants to hear is not told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tradewind.venues.paper.bulk import FAR_NS, BulkRun, Why
from tradewind.venues.paper.rows import Rows

from .session import Session

PROGRESS_EVERY_NS: Final = 100_000_000
"""Wall-clock time between two words about the progress, at which other tasks have their turn too."""


class ReplayCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did. `calls` are the times at which Python had to be asked; `wall_ns` is real time."""

    rows: int
    messages: int
    calls: int
    wall_ns: int


class Replay:
    """Rows for one session. Raises `BulkRefused` when the session's venue cannot be driven natively."""

    def __init__(self, session: Session, rows: Rows) -> None:
        self.session = session
        self.rows = rows
        self._bulk = BulkRun(session.venue, rows)

    async def run(
        self, *, until_ns: int = FAR_NS, on_progress: Callable[[int], None] | None = None
    ) -> ReplayCounts:
        """Replay what is left, up to `until_ns` of virtual time. `on_progress` hears the number of messages
        that are behind. Raises `PortStopped`.
        """
        begin_ns = spoke_ns = time.monotonic_ns()
        before, rows_before, calls = self._bulk.messages, self._bulk.row_count, 0
        while True:
            async with self.session.lock:
                why, value = self._go(until_ns)
                if why is not Why.KEPT and why is not Why.END:
                    await self._answer(why, value)
            if why is Why.END:
                break
            if why is Why.KEPT:
                # its rows are counted where they came from: the native loop did not see them
                await self.session.on_event(
                    self.rows.event(value), max(self.session.port.now_ns(), self.rows.time_ns(value))
                )
                self.session.feed_events -= 1
            calls += 1
            if not calls % 64 and time.monotonic_ns() - spoke_ns > PROGRESS_EVERY_NS:
                spoke_ns = time.monotonic_ns()
                if on_progress is not None:
                    on_progress(self._bulk.messages)
                await asyncio.sleep(0)
        messages = self._bulk.messages - before
        self.session.feed_events += messages
        return ReplayCounts(
            rows=self._bulk.row_count - rows_before,
            messages=messages,
            calls=calls,
            wall_ns=time.monotonic_ns() - begin_ns,
        )

    def _go(self, until_ns: int) -> tuple[Why, int]:
        trader = self.session.trader
        wants = [
            (trader.wants(one, "book"), trader.wants(one, "trades") or trader.wants(one, "bars"))
            for one in self._bulk.symbols
        ]
        return self._bulk.go(
            wants,
            wake_ns=trader.next_due_ns(),
            until_ns=until_ns,
            foreign=bool(trader.hosts.outside),
            on_prints=trader.printed,
        )

    async def _answer(self, why: Why, value: int) -> None:
        session = self.session
        if why is Why.QUEUE or why is Why.ARRIVING:
            await session.venue.advance(value)
            if why is Why.QUEUE:
                await session.tick()
                await session.trader.step()
        elif why is Why.WAKE:
            await session.trader.step()
        else:
            await session.trader.on_market(self.rows.event(value))
