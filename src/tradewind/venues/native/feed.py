"""Live market data of a node's own markets: gapless numbers, a checksum with every snapshot and with every
thousandth change (T5.6).
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.venues.feeds.book import BookLimits, Checksum, MirrorBook
from tradewind.venues.feeds.decoding import DecodeCounters, Received
from tradewind.venues.feeds.live import LiveFeed, LiveOptions
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import GaplessRule
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    Instrument,
    Level,
    MarketMessage,
    TopOfBook,
    TradePrint,
)
from tradewind.venues.native.messages import Header
from tradewind.venues.native.mirror import SIDES
from tradewind.venues.transport.account_mirror import Unmapped, lots_of, ticks_of
from tradewind.venues.transport.capture import RawCapture
from tradewind.venues.transport.errors import TransportError

PING_S: Final = 1.0
"""A quiet book is confirmed every second: its pong tells number and best prices."""
CHECKED_LEVELS: Final = 25

LevelRow = tuple[Decimal, Decimal]


class NativeRule(GaplessRule):
    """Exactly the next number; now and then the whole book is proved by its checksum."""

    name = "native"
    verifies_checksum = True


class BookFrame(msgspec.Struct, frozen=True):
    """A whole book, or the levels that changed: price and size now."""

    market: int
    number: int
    time_ns: int
    bids: list[LevelRow]
    asks: list[LevelRow]
    checksum: int | None = None


class TradeFrame(msgspec.Struct, frozen=True):
    """One trade; `number` counts those of the market."""

    market: int
    number: int
    time_ns: int
    price: Decimal
    size: Decimal
    side: str


class TopRow(msgspec.Struct, frozen=True):
    """The best prices of a book behind its change `number`."""

    market: int
    number: int
    bids: list[LevelRow]
    asks: list[LevelRow]


class PongFrame(msgspec.Struct, frozen=True):
    """The answer to a ping."""

    now_ns: int
    books: list[TopRow] = []


def checksum_of(bids: Iterable[Level], asks: Iterable[Level]) -> int:
    """CRC-32 over `ticks:lots,` of the best levels: bids, a bar, asks."""
    text = "|".join("".join(f"{price}:{lots}," for price, lots in side) for side in (bids, asks))
    return zlib.crc32(text.encode())


def _book_checksum(_: Instrument) -> Checksum:
    def number(book: MirrorBook) -> int:
        return checksum_of(book.bids.top(CHECKED_LEVELS), book.asks.top(CHECKED_LEVELS))

    return number


class NativeDecoder:
    """Decodes frames about the markets in `instruments`; others are ignored."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.counters = DecodeCounters()
        self._known = {int(one.venue_symbol): one for one in instruments}

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Known instruments by canonical symbol."""
        return {one.symbol: one for one in self._known.values()}

    def decode(self, frame: bytes, received: Received) -> list[MarketMessage]:
        """Decode one frame. Raises `DecodeError` (counted) for anything unreadable or off-step."""
        self.counters.frames += 1
        try:
            kind = msgspec.json.decode(frame, type=Header).type
            if kind in {"book", "snapshot"}:
                return self._book(kind, msgspec.json.decode(frame, type=BookFrame), received)
            if kind == "trade":
                return self._trade(msgspec.json.decode(frame, type=TradeFrame), received)
            if kind == "pong":
                pong = msgspec.json.decode(frame, type=PongFrame)
                return [one for row in pong.books for one in self._top(row, received)]
            self.counters.ignore(kind[:32])
            return []
        except (msgspec.MsgspecError, UnicodeDecodeError, Unmapped, ArithmeticError) as error:
            self.counters.error("book", str(error))
            only = next(iter(self.instruments)) if len(self._known) == 1 else None
            raise DecodeError("book", str(error)[:200], only) from error

    def _book(self, kind: str, frame: BookFrame, received: Received) -> list[MarketMessage]:
        instrument = self._known.get(frame.market)
        if instrument is None:
            return []
        bids, asks = _levels(instrument, frame.bids), _levels(instrument, frame.asks)
        if kind == "snapshot":
            return [
                BookSnapshot(
                    symbol=instrument.symbol,
                    bids=bids,
                    asks=asks,
                    sequence=frame.number,
                    venue_ts_ns=frame.time_ns,
                    recv_ts_ns=received.recv_ts_ns,
                    recv_mono_ns=received.recv_mono_ns,
                    epoch=received.epoch,
                    checksum=frame.checksum,
                )
            ]
        return [
            BookDelta(
                symbol=instrument.symbol,
                bids=bids,
                asks=asks,
                first_id=frame.number,
                last_id=frame.number,
                previous_id=frame.number - 1,
                venue_ts_ns=frame.time_ns,
                recv_ts_ns=received.recv_ts_ns,
                recv_mono_ns=received.recv_mono_ns,
                epoch=received.epoch,
                checksum=frame.checksum,
            )
        ]

    def _trade(self, frame: TradeFrame, received: Received) -> list[MarketMessage]:
        instrument = self._known.get(frame.market)
        if instrument is None:
            return []
        side = SIDES.get(frame.side)
        if side is None:
            self.counters.unknown_value("trade.side", frame.side)
        return [
            TradePrint(
                symbol=instrument.symbol,
                trade_id=frame.number,
                price_ticks=ticks_of(instrument, frame.price),
                quantity_lots=lots_of(instrument, frame.size),
                aggressor_side=side,
                venue_ts_ns=frame.time_ns,
                recv_ts_ns=received.recv_ts_ns,
                recv_mono_ns=received.recv_mono_ns,
                epoch=received.epoch,
                raw_kind="" if side is not None else frame.side[:32],
            )
        ]

    def _top(self, row: TopRow, received: Received) -> list[MarketMessage]:
        instrument = self._known.get(row.market)
        if instrument is None or not row.bids or not row.asks:
            return []
        [bid], [ask] = _levels(instrument, row.bids[:1]), _levels(instrument, row.asks[:1])
        return [
            TopOfBook(
                symbol=instrument.symbol,
                bid_ticks=bid[0],
                bid_lots=bid[1],
                ask_ticks=ask[0],
                ask_lots=ask[1],
                sequence=row.number,
                venue_ts_ns=None,
                recv_ts_ns=received.recv_ts_ns,
                recv_mono_ns=received.recv_mono_ns,
                epoch=received.epoch,
            )
        ]


def _levels(instrument: Instrument, rows: list[LevelRow]) -> tuple[Level, ...]:
    return tuple((ticks_of(instrument, price), lots_of(instrument, size)) for price, size in rows)


class NativeFeed(LiveFeed):
    """Live feed of a node's markets over one connection."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        url: str,
        headers: Callable[[], Mapping[str, str]],
        *,
        options: LiveOptions | None = None,
        limits: BookLimits | None = None,
        capture: RawCapture | None = None,
    ) -> None:
        self.decoder = NativeDecoder(instruments)
        pipeline = MarketPipeline(self.decoder, NativeRule(), limits, _book_checksum)
        self._pings: asyncio.Task[None] | None = None
        super().__init__("native", url, pipeline, options, capture, headers=headers)

    def subscribe(self) -> None:
        """Trades, then the book of every market: its snapshot comes first."""
        now_s = time.monotonic()
        for symbol, resync in self.resyncs.items():
            resync.begin(now_s, self.pipeline.book(symbol).counters.snapshots)
        for one in self.instruments.values():
            for channel in ("trades", "book"):
                self._say({"op": "subscribe", "channel": channel, "market": one.venue_symbol})
        if self._pings is not None:
            self._pings.cancel()
        self._pings = asyncio.create_task(self._ping(self.link.epoch), name="native ping")

    async def request_snapshot(self, symbol: str) -> bool:
        """Ask for the book again: it begins with its snapshot."""
        market = self.instruments[symbol].venue_symbol
        try:
            self._say({"op": "subscribe", "channel": "book", "market": market})
        except TransportError:
            return False
        return True

    async def close(self) -> None:
        """Disconnect and end `events`."""
        if self._pings is not None:
            self._pings.cancel()
        await super().close()

    async def _ping(self, epoch: int) -> None:
        while self.link.epoch == epoch and not self.closed:
            await asyncio.sleep(PING_S)
            try:
                self._say({"op": "ping"})
            except TransportError:
                return

    def _say(self, message: dict[str, Any]) -> None:
        self.link.send_text(msgspec.json.encode(message))
