"""Live market data of Polymarket tokens: /ws/market, the snapshot is its first `book` (T5.5).

There is no sequence. Two proofs stand in for one: the SHA-1 hash of every whole book, and the best prices
that every change states. Whichever fails makes the book suspect, and it is read again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.venues.feeds.book import BookLimits, Checksum, MirrorBook
from tradewind.venues.feeds.decoding import DecodeCounters, Received
from tradewind.venues.feeds.live import LiveFeed, LiveOptions
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import Verdict
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    Instrument,
    Level,
    MarketMessage,
    TradePrint,
)
from tradewind.venues.polymarket.messages import (
    SIDES,
    BookMessage,
    ChangeMessage,
    ChangeRow,
    LevelRow,
    TradeMessage,
    Unmapped,
    lots_of,
    ms_to_ns,
    ticks_of,
)
from tradewind.venues.transport.capture import RawCapture
from tradewind.venues.transport.errors import TransportError

PING_S: Final = 10.0
HASHED: Final = (
    "market", "asset_id", "timestamp", "hash", "bids", "asks", "min_order_size", "tick_size", "neg_risk",
    "last_trade_price",
)  # fmt: skip
"""Fields in the order in which the venue hashes them, with an empty hash."""


class TopRule:
    """No sequence: every update is applied, then proved by the best prices that it states."""

    name = "polymarket-top"
    buffers_before_snapshot = False
    verifies_checksum = True

    def bridge(self, delta: BookDelta, local_id: int) -> Verdict:
        return Verdict.APPLY

    def follow(self, delta: BookDelta, local_id: int) -> Verdict:
        return Verdict.APPLY

    def expected_id(self, local_id: int) -> int:
        return local_id + 1


def top_number(bid_ticks: int, ask_ticks: int) -> int:
    """Both best prices as one number; 0 and the whole share stand for an empty side."""
    return bid_ticks << 32 | ask_ticks


def top_of(instrument: Instrument) -> Checksum:
    """The same of a mirror book."""
    whole = int(1 / instrument.tick)

    def number(book: MirrorBook) -> int:
        bids, asks = list(book.bids.top(1)), list(book.asks.top(1))
        return top_number(bids[0][0] if bids else 0, asks[0][0] if asks else whole)

    return number


def hash_is_right(row: dict[str, Any]) -> bool | None:
    """Whether a whole book has the hash that it states; None where a field of it was not sent."""
    if any(name not in row for name in HASHED):
        return None
    text = msgspec.json.encode({**{name: row[name] for name in HASHED}, "hash": ""})
    return str(row["hash"]) == hashlib.sha1(text, usedforsecurity=False).hexdigest()


class PolymarketDecoder:
    """Decodes frames about the tokens in `instruments`; others are ignored."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.counters = DecodeCounters()
        self._known = {one.venue_symbol: one for one in instruments}
        self._sequence: dict[str, int] = dict.fromkeys(self._known, 0)

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Known instruments by canonical symbol."""
        return {one.symbol: one for one in self._known.values()}

    def decode(self, frame: bytes, received: Received) -> list[MarketMessage]:
        """Decode one frame. Raises `DecodeError` (counted) for anything unreadable or off-step."""
        self.counters.frames += 1
        if frame in (b"PONG", b"INVALID OPERATION"):
            self.counters.ignore(frame.decode())
            return []
        symbol: str | None = None
        try:
            found = msgspec.json.decode(frame)
            rows = found if isinstance(found, list) else [found]
            result: list[MarketMessage] = []
            for row in rows:
                if not isinstance(row, dict):
                    raise DecodeError("frame", "not an object")
                known = self._known.get(str(row.get("asset_id", "")))
                symbol = None if known is None else known.symbol
                result += self._one(row, received)
            return result
        except (msgspec.MsgspecError, UnicodeDecodeError, DecodeError, Unmapped, ArithmeticError) as error:
            self.counters.error("book", str(error))
            only = next(iter(self.instruments)) if len(self._known) == 1 else None
            raise DecodeError("book", str(error), symbol or only) from error

    def _one(self, row: dict[str, Any], received: Received) -> list[MarketMessage]:
        kind = row.get("event_type")
        if kind == "book":
            return self._book(row, received)
        if kind == "price_change":
            return self._changes(msgspec.convert(row, ChangeMessage, strict=False), received)
        if kind == "last_trade_price":
            return self._trade(msgspec.convert(row, TradeMessage, strict=False), received)
        self.counters.ignore(str(kind)[:32])
        return []

    def _book(self, row: dict[str, Any], received: Received) -> list[MarketMessage]:
        message = msgspec.convert(row, BookMessage, strict=False)
        instrument = self._known.get(message.asset_id)
        if instrument is None:
            return []
        right = hash_is_right(row)
        if right is False:
            raise DecodeError("book", "the hash is not that of the book", instrument.symbol)
        if right is None:
            self.counters.ignore("book without the fields of its hash")
        bids = _levels(instrument, message.bids, highest_first=True)
        asks = _levels(instrument, message.asks, highest_first=False)
        whole = int(1 / instrument.tick)
        number = self._next(message.asset_id)
        return [
            BookSnapshot(
                symbol=instrument.symbol,
                bids=bids,
                asks=asks,
                sequence=number,
                venue_ts_ns=ms_to_ns(message.timestamp),
                recv_ts_ns=received.recv_ts_ns,
                recv_mono_ns=received.recv_mono_ns,
                epoch=received.epoch,
                checksum=top_number(bids[0][0] if bids else 0, asks[0][0] if asks else whole),
            )
        ]

    def _changes(self, message: ChangeMessage, received: Received) -> list[MarketMessage]:
        by_token: dict[str, list[ChangeRow]] = {}
        for row in message.price_changes:
            by_token.setdefault(row.asset_id, []).append(row)
        result: list[MarketMessage] = []
        for token, rows in by_token.items():
            instrument = self._known.get(token)
            if instrument is not None:
                result.append(self._delta(instrument, rows, message.timestamp, received))
        return result

    def _delta(
        self, instrument: Instrument, rows: list[ChangeRow], timestamp: str, received: Received
    ) -> BookDelta:
        sides: dict[str, dict[int, int]] = {"BUY": {}, "SELL": {}}
        for row in rows:
            if row.side not in sides:
                raise DecodeError("book", f"side {row.side[:20]!r}", instrument.symbol)
            sides[row.side][ticks_of(instrument, row.price)] = lots_of(instrument, row.size)
        number = self._next(instrument.venue_symbol)
        return BookDelta(
            symbol=instrument.symbol,
            bids=tuple(sides["BUY"].items()),
            asks=tuple(sides["SELL"].items()),
            first_id=number,
            last_id=number,
            previous_id=number - 1,
            venue_ts_ns=ms_to_ns(timestamp),
            recv_ts_ns=received.recv_ts_ns,
            recv_mono_ns=received.recv_mono_ns,
            epoch=received.epoch,
            checksum=_stated_top(instrument, rows[-1]),
        )

    def _trade(self, message: TradeMessage, received: Received) -> list[MarketMessage]:
        instrument = self._known.get(message.asset_id)
        if instrument is None:
            return []
        side = SIDES.get(message.side)
        if side is None:
            self.counters.unknown_value("trade.side", message.side)
        return [
            TradePrint(
                symbol=instrument.symbol,
                trade_id=None,
                price_ticks=ticks_of(instrument, message.price),
                quantity_lots=lots_of(instrument, message.size),
                aggressor_side=side,
                venue_ts_ns=ms_to_ns(message.timestamp),
                recv_ts_ns=received.recv_ts_ns,
                recv_mono_ns=received.recv_mono_ns,
                epoch=received.epoch,
            )
        ]

    def _next(self, token: str) -> int:
        self._sequence[token] += 1
        return self._sequence[token]


def _levels(instrument: Instrument, rows: list[LevelRow], *, highest_first: bool) -> tuple[Level, ...]:
    found = {ticks_of(instrument, row.price): lots_of(instrument, row.size) for row in rows}
    prices = sorted(found, reverse=highest_first)
    return tuple((price, found[price]) for price in prices if found[price])


def _stated_top(instrument: Instrument, row: ChangeRow) -> int | None:
    """None where the venue states none: then there is nothing to prove."""
    if not row.best_bid or not row.best_ask:
        return None
    bid, ask = (ticks_of(instrument, Decimal(one)) for one in (row.best_bid, row.best_ask))
    return top_number(bid, ask)


class PolymarketFeed(LiveFeed):
    """Live feed of tokens over one connection."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        websocket_url: str,
        *,
        options: LiveOptions | None = None,
        limits: BookLimits | None = None,
        capture: RawCapture | None = None,
    ) -> None:
        self.decoder = PolymarketDecoder(instruments)
        pipeline = MarketPipeline(self.decoder, TopRule(), limits, top_of)
        self._pings: asyncio.Task[None] | None = None
        super().__init__("polymarket", websocket_url, pipeline, options, capture)

    def subscribe(self) -> None:
        """Every token; each sends its book."""
        now_s = time.monotonic()
        for symbol, resync in self.resyncs.items():
            resync.begin(now_s, self.pipeline.book(symbol).counters.snapshots)
        tokens = [one.venue_symbol for one in self.instruments.values()]
        self._say({"assets_ids": tokens, "type": "market"})
        if self._pings is not None:
            self._pings.cancel()
        self._pings = asyncio.create_task(self._ping(self.link.epoch), name="polymarket ping")

    async def request_snapshot(self, symbol: str) -> bool:
        """Leave the token and come back; its book comes with the stream."""
        token = self.instruments[symbol].venue_symbol
        try:
            self._say({"assets_ids": [token], "operation": "unsubscribe"})
            self._say({"assets_ids": [token], "operation": "subscribe"})
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
                self.link.send_text(b"PING")
            except TransportError:
                return

    def _say(self, message: dict[str, Any]) -> None:
        self.link.send_text(msgspec.json.encode(message))
