"""Rows through a paper venue on a virtual clock, natively, until somebody has to be asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

from tradewind.core import commands as build
from tradewind.core.errors import TradewindError
from tradewind.core.native import Batch, PaperReplay

from .driver import MarketDriver
from .port import EnginePort, PortStopped
from .rows import Rows

FAR_NS = 2**63 - 1
"""A moment that never comes."""


class BulkRefused(Exception):
    """This venue cannot be driven natively now; the message says why. One event at a time always works."""

    code = "BulkRefused"


class Why(IntEnum):
    """Why the native loop came back."""

    QUEUE = 0
    """A request or report is due by `value` (ns): advance the venue to it, then look at the own time."""
    ARRIVING = 1
    """The same, but a message of that very moment comes next: advance the venue only."""
    WAKE = 2
    """The owner's own time has come."""
    MESSAGE = 3
    """The message at place `value` was mirrored, and is wanted."""
    KEPT = 4
    """The message at place `value` is for the caller to handle as a single event."""
    END = 5
    """No message is left, or the next one is later than was asked for."""


class Stop(NamedTuple):
    """Why, and the moment or the place that belongs to it."""

    why: Why
    value: int


class BulkRun:
    """One pass of rows through one venue. Nobody else drives the venue meanwhile.

    Raises `BulkRefused`: the engine has a journal, its tape is kept, somebody else listens to it, or reads
    the venue's market data.
    """

    def __init__(self, venue: MarketDriver, rows: Rows) -> None:
        port = venue.port
        if not isinstance(port, EnginePort):
            raise BulkRefused("only a bare engine on a virtual clock replays rows")
        if port.keep_tape:
            raise BulkRefused("a replay keeps no tape, only its digest: build the port with keep_tape=False")
        if not port.heard_only_by(venue.on_batch):
            raise BulkRefused("somebody else listens to the engine")
        if venue.published.read:
            raise BulkRefused("somebody reads the venue's market data")
        self.rows = rows
        self.symbols = tuple(venue.markets)
        self._venue = venue
        self._port = port
        places = {symbol: place for place, symbol in enumerate(self.symbols)}
        self._native = PaperReplay(
            port.engine,
            rows.native,
            [market.mirror.native for market in venue.markets.values()],
            [places.get(symbol) for symbol in rows.symbols],
            port.written,
            self._told,
            build.tick(principal=port.system),
        )

    def _told(self, batch: Batch, now_ns: int) -> int | None:
        self._port.advance_to(now_ns)
        self._venue.on_account(batch)
        self._port.tell_others(batch, self._venue.on_batch)
        return self._venue.next_due_ns()

    @property
    def messages(self) -> int:
        """Messages that are behind."""
        return self._native.messages

    @property
    def row_count(self) -> int:
        """Rows of them that were mirrored natively."""
        return self._native.rows_done

    def go(
        self,
        wants: Sequence[tuple[bool, bool]],
        *,
        wake_ns: int = FAR_NS,
        until_ns: int = FAR_NS,
        foreign: bool = False,
        on_prints: Callable[[str, int, int], None] | None = None,
    ) -> Stop:
        """Mirror rows until there is a reason to come back.

        `wants` says by market, in the venue's order, whether differences and trades are wanted, `foreign` the
        same of symbols without a market; `wake_ns` is when the owner has something to do; messages received
        behind `until_ns` wait. `on_prints` hears (symbol, the venue's lots, ns of the first) of each second
        of trades that were not wanted. Raises `PortStopped`.
        """
        port = self._port
        try:
            why, value, now_ns = self._native.run(
                port.now_ns(), until_ns, wake_ns, self._venue.next_due_ns(), wants, foreign
            )
        except TradewindError as error:
            self._venue.stopped_reason = str(error)
            raise PortStopped(str(error)) from error
        port.advance_to(now_ns)
        for symbol, market in self._venue.markets.items():
            for first_ns, lots in market.mirror.native.take_unheard():
                if on_prints is not None:
                    on_prints(symbol, lots, first_ns)
        return Stop(Why(why), value)
