"""Decoder of recorded Kraken WebSocket v1 frames (arrays), for replaying old captures.

v1 sends decimal strings; its checksum uses exactly the digits it sends, so the printed decimals of each
pair are learnt from the first level of its snapshot unless an instrument is given.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE, DecodeCounters, Received
from tradewind.venues.kraken.instruments import canonical_symbol
from tradewind.venues.kraken.timestamps import decimal_seconds_ns
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    Instrument,
    Level,
    MarketMessage,
    Scale,
    Side,
    TopOfBook,
    TradePrint,
    UnknownSymbol,
)

SIDES = {"b": Side.BUY, "s": Side.SELL}
MAX_PAIRS = 4_096
MIN_FRAME_PARTS = 4

Row = list[str]


class TickerPayload(msgspec.Struct, gc=False):
    """Best ask and bid of a v1 ticker: [price, whole lots, quantity]."""

    a: tuple[str, Any, str]
    b: tuple[str, Any, str]


class BookPayload(msgspec.Struct, gc=False, rename={"ask_snapshot": "as", "bid_snapshot": "bs"}):
    """One v1 book payload; an update of both sides comes as two of them."""

    ask_snapshot: list[Row] | None = None
    bid_snapshot: list[Row] | None = None
    a: list[Row] = []
    b: list[Row] = []
    c: str | None = None


class KrakenV1Decoder:
    """Decodes v1 book, trade and ticker frames. Raises `DecodeError`, counted."""

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self.counters = DecodeCounters()
        self._known = {one.symbol: (one, one.scale()) for one in instruments}
        self._sequence: dict[str, int] = {}
        self._frame = msgspec.json.Decoder(list[msgspec.Raw])
        self._payload = msgspec.json.Decoder(BookPayload)
        self._trades = msgspec.json.Decoder(list[Row])
        self._ticker = msgspec.json.Decoder(TickerPayload)
        self._event = msgspec.json.Decoder(dict[str, Any])
        self._text = msgspec.json.Decoder(str)

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Known instruments by canonical symbol, learnt ones included."""
        return {symbol: one for symbol, (one, _) in self._known.items()}

    def decode(self, frame: bytes, received: Received) -> list[MarketMessage]:
        """Decode one frame."""
        self.counters.frames += 1
        channel, symbol = "frame", None
        try:
            if not frame.startswith(b"["):
                self.counters.ignore(str(self._event.decode(frame).get("event", "(none)")))
                return []
            parts = self._frame.decode(frame)
            if len(parts) < MIN_FRAME_PARTS:
                raise DecodeError("frame", f"{len(parts)} parts")
            channel = self._text.decode(parts[-2]).partition("-")[0]
            symbol = canonical_symbol(self._text.decode(parts[-1]))
            return self._channel(channel, symbol, parts[1:-2], received)
        except (*UNREADABLE, DecodeError, UnknownSymbol, IndexError) as error:
            self.counters.error(channel, str(error))
            raise DecodeError(channel, str(error), symbol) from error

    def _channel(self, channel: str, symbol: str, payloads: list[msgspec.Raw],
                 received: Received) -> list[MarketMessage]:  # fmt: skip
        if channel == "book":
            return [self._book(symbol, [self._payload.decode(one) for one in payloads], received)]
        if channel == "trade":
            return [self._trade(symbol, row, received) for row in self._trades.decode(payloads[0])]
        if channel == "ticker":
            return [self._top(symbol, self._ticker.decode(payloads[0]), received)]
        self.counters.ignore(channel)
        return []

    def _learn(self, symbol: str, price: str, quantity: str) -> tuple[Instrument, Scale]:
        known = self._known.get(symbol)
        if known is not None:
            return known
        if len(self._known) >= MAX_PAIRS:
            raise DecodeError("instrument", f"more than {MAX_PAIRS} pairs")
        price_decimals, quantity_decimals = len(price.partition(".")[2]), len(quantity.partition(".")[2])
        base, _, quote = symbol.partition("/")
        instrument = Instrument(
            venue="kraken", symbol=symbol, venue_symbol=symbol, base=base, quote=quote,
            tick=Decimal(1).scaleb(-price_decimals), lot=Decimal(1).scaleb(-quantity_decimals),
            price_decimals=price_decimals, quantity_decimals=quantity_decimals, source="inferred",
        )  # fmt: skip
        self._known[symbol] = (instrument, instrument.scale())
        return self._known[symbol]

    def _book(self, symbol: str, payloads: list[BookPayload], received: Received) -> MarketMessage:
        first = payloads[0]
        whole = first.ask_snapshot is not None or first.bid_snapshot is not None
        asks = (first.ask_snapshot or []) if whole else [row for one in payloads for row in one.a]
        bids = (first.bid_snapshot or []) if whole else [row for one in payloads for row in one.b]
        if not asks and not bids:
            raise DecodeError("book", "no levels", symbol)
        sample = (asks or bids)[0]
        instrument, scale = self._learn(symbol, sample[0], sample[1])
        sequence = self._sequence[symbol] = self._sequence.get(symbol, 0) + 1
        newest = max(row[2] for row in asks + bids)
        checksum = next((one.c for one in reversed(payloads) if one.c is not None), None)
        common: dict[str, Any] = {
            "symbol": instrument.symbol, "bids": _levels(bids, scale), "asks": _levels(asks, scale),
            "venue_ts_ns": decimal_seconds_ns(newest), "recv_ts_ns": received.recv_ts_ns,
            "recv_mono_ns": received.recv_mono_ns, "epoch": received.epoch,
            "checksum": None if checksum is None else _unsigned(checksum),
        }  # fmt: skip
        if whole:
            return BookSnapshot(sequence=sequence, **common)
        return BookDelta(first_id=sequence, last_id=sequence, previous_id=sequence - 1, **common)

    def _trade(self, symbol: str, row: Row, received: Received) -> TradePrint:
        instrument, scale = self._learn(symbol, row[0], row[1])
        side = SIDES.get(row[3])
        if side is None:
            self.counters.unknown_value("trade.side", row[3])
        return TradePrint(
            symbol=instrument.symbol, trade_id=None, price_ticks=scale.ticks[row[0]],
            quantity_lots=scale.lots[row[1]], aggressor_side=side, venue_ts_ns=decimal_seconds_ns(row[2]),
            recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns, epoch=received.epoch,
            raw_kind=row[4] if side is not None else row[3],
        )  # fmt: skip

    def _top(self, symbol: str, payload: TickerPayload, received: Received) -> TopOfBook:
        instrument, scale = self._learn(symbol, payload.b[0], payload.b[2])
        return TopOfBook(
            symbol=instrument.symbol, bid_ticks=scale.ticks[payload.b[0]], bid_lots=scale.lots[payload.b[2]],
            ask_ticks=scale.ticks[payload.a[0]], ask_lots=scale.lots[payload.a[2]], sequence=None,
            venue_ts_ns=None, recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns,
            epoch=received.epoch,
        )  # fmt: skip


def _levels(rows: list[Row], scale: Scale) -> tuple[Level, ...]:
    ticks, lots = scale.ticks, scale.lots
    return tuple([(ticks[row[0]], lots[row[1]]) for row in rows])


def _unsigned(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise DecodeError("book", f"checksum {text[:32]!r} is not a number")
    return int(text)
