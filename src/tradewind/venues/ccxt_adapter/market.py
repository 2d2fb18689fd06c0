"""Market data through ccxt: books and trades read at a steady pace.

ccxt's streams hand out books of floats, so they are not used: every book here is a whole one, of exact
numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any, Final

from tradewind.venues.ccxt_adapter.calls import Caller, Failed
from tradewind.venues.ccxt_adapter.directory import exact
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.limits import Priority
from tradewind.venues.market_data import (
    BookSnapshot,
    BookState,
    FeedError,
    FeedEvent,
    FeedGap,
    FeedState,
    FloatMoney,
    Instrument,
    Level,
    Scale,
    Side,
    TradePrint,
)

MAX_LEVELS: Final = 5_000
MAX_KNOWN_TRADES: Final = 20_000
MAX_SYMBOLS: Final = 200
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}


class MarketReader:
    """One symbol's book and trades."""

    def __init__(self, caller: Caller, instrument: Instrument, options: CcxtOptions) -> None:
        self.caller, self.instrument, self.options = caller, instrument, options
        self.scale: Scale = instrument.scale()
        self.state = BookState.EMPTY
        self.sequence = 0
        self._shown: tuple[tuple[Level, ...], tuple[Level, ...]] | None = None
        self._known: OrderedDict[str, None] = OrderedDict()
        self._first = True

    async def read(self) -> list[FeedEvent]:
        """What changed since the last reading."""
        symbol = self.instrument.symbol
        book = await self.caller.call("fetch_order_book", symbol, self.options.book_depth, cls=Priority.P4)
        events = self._book(book)
        if self.caller.has("fetchTrades"):
            trades = await self.caller.call("fetch_trades", symbol, None, None, {}, cls=Priority.P4)
            events += self._trades(trades)
        return events

    def _suspect(self, reason: str) -> list[FeedEvent]:
        if self.state is BookState.SUSPECT:
            return []
        self.state = BookState.SUSPECT
        self._shown = None
        return [self._says(reason)]

    def _says(self, reason: str) -> FeedState:
        return FeedState(
            symbol=self.instrument.symbol,
            state=self.state,
            reason=reason[:200],
            since_ns=time.time_ns(),
            epoch=1,
        )

    def _book(self, answer: Any) -> list[FeedEvent]:
        if isinstance(answer, Failed):
            return self._suspect(answer.reason)
        try:
            sides = tuple(
                tuple(sorted((self._level(one) for one in answer[name][:MAX_LEVELS]), reverse=name == "bids"))
                for name in ("bids", "asks")
            )
        except (FeedError, FloatMoney, KeyError, TypeError, IndexError) as error:
            return self._suspect(f"{type(error).__name__}: {error}")
        bids, asks = sides
        if bids and asks and bids[0][0] >= asks[0][0]:
            return self._suspect("the book is crossed")
        events: list[FeedEvent] = []
        if (bids, asks) != self._shown:
            self._shown = (bids, asks)
            self.sequence += 1
            events.append(
                BookSnapshot(
                    symbol=self.instrument.symbol, bids=bids, asks=asks, sequence=self.sequence,
                    venue_ts_ns=None, recv_ts_ns=time.time_ns(), recv_mono_ns=time.monotonic_ns(), epoch=1,
                )
            )  # fmt: skip
        if self.state is not BookState.LIVE:
            self.state = BookState.LIVE
            events.append(self._says(""))
        return events

    def _level(self, row: Any) -> Level:
        price, quantity = exact(row[0], "price"), exact(row[1], "quantity")
        return self.scale.ticks[price], self.scale.level_lots[quantity]

    def _trades(self, answer: Any) -> list[FeedEvent]:
        """New trades, oldest first. Those of the first reading are old news."""
        if isinstance(answer, Failed) or not isinstance(answer, list):
            return []  # the next reading shows them, or that some are missing
        rows = [one for one in answer if isinstance(one, dict) and one.get("id") is not None]
        fresh = [one for one in rows if str(one["id"]) not in self._known]
        # trades that were known before are in the page, unless more came than it holds
        hole = bool(self._known) and bool(rows) and len(fresh) == len(rows)
        for one in fresh:
            self._known[str(one["id"])] = None
        while len(self._known) > MAX_KNOWN_TRADES:
            self._known.popitem(last=False)
        first, self._first = self._first, False
        if first:
            return []
        events: list[FeedEvent] = []
        if hole or len(rows) < len(answer):
            events.append(self._gap("trades between two readings may be missing"))
        for one in sorted(fresh, key=lambda row: int(row.get("timestamp") or 0)):
            try:
                events.append(self._print(one))
            except (FeedError, FloatMoney, TypeError, ValueError) as error:
                events.append(self._gap(f"{type(error).__name__}: {error}"[:200]))
        return events

    def _gap(self, reason: str) -> FeedGap:
        return FeedGap(
            symbol=self.instrument.symbol, reason=reason, expected=None, got=None,
            recv_ts_ns=time.time_ns(), epoch=1,
        )  # fmt: skip

    def _print(self, row: dict[str, Any]) -> TradePrint:
        name, at_ms = str(row["id"]), row.get("timestamp")
        return TradePrint(
            symbol=self.instrument.symbol,
            trade_id=int(name) if name.isascii() and name.isdigit() else None,
            price_ticks=self.scale.ticks[exact(row.get("price"), "price")],
            quantity_lots=self.scale.lots[exact(row.get("amount"), "quantity")],
            aggressor_side=SIDES.get(str(row.get("side"))),
            venue_ts_ns=None if at_ms is None else int(exact(at_ms, "timestamp") * 1_000_000),
            recv_ts_ns=time.time_ns(),
            recv_mono_ns=time.monotonic_ns(),
            epoch=1,
            raw_kind=str(row.get("side") or "")[:40],
        )


async def read_markets(
    caller: Caller, chosen: list[Instrument], options: CcxtOptions
) -> AsyncIterator[FeedEvent]:
    """Events of these symbols, one after the other, until the reader leaves."""
    readers = [MarketReader(caller, one, options) for one in chosen[:MAX_SYMBOLS]]
    while readers:
        began_s = time.monotonic()
        for reader in readers:
            for event in await reader.read():
                yield event
        await asyncio.sleep(max(0.0, began_s + options.market_every_s - time.monotonic()))
