"""Decoder of Kraken WebSocket v2 public channels: book, trade, ticker, status, heartbeat, method answers."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tradewind.core.native import KrakenBookReader, Levels
from tradewind.venues.feeds.decoding import UNREADABLE, DecodeCounters, Received
from tradewind.venues.kraken import messages as wire
from tradewind.venues.kraken.timestamps import rfc3339_ns
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
)

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
BOOK_PREFIX = b'{"channel":"book",'
"""How nearly all frames begin. Updates written as usual are read natively; every other shape is read, and
refused, here."""
KNOWN_SYSTEM_STATES = frozenset({"online", "maintenance", "cancel_only", "post_only", "limit_only"})


class KrakenDecoder:
    """Decodes v2 frames of the symbols in `instruments`; Kraken sends no ids, so updates are counted here."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.counters = DecodeCounters()
        self.system_state: str | None = None
        self.rejected_subscriptions: list[str] = []
        self._known = {one.venue_symbol: (one, one.scale()) for one in instruments}
        self._sequence: dict[str, int] = dict.fromkeys(self._known, 0)
        self._order = [(one.venue_symbol, one.symbol) for one, _ in self._known.values()]
        self._updates = KrakenBookReader(
            [(name, scale.ticks.native_step(), scale.lots.native_step())
             for name, (_, scale) in self._known.items()]
        )  # fmt: skip
        self._header = msgspec.json.Decoder(wire.Header)
        self._book = msgspec.json.Decoder(wire.BookMessage)
        self._trade = msgspec.json.Decoder(wire.TradeMessage)
        self._ticker = msgspec.json.Decoder(wire.TickerMessage)
        self._status = msgspec.json.Decoder(wire.StatusMessage)

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Known instruments by canonical symbol."""
        return {one.symbol: one for one, _ in self._known.values()}

    def decode(self, frame: bytes, received: Received) -> list[MarketMessage]:
        """Decode one frame. Raises `DecodeError` (counted) for anything unreadable or off-step."""
        self.counters.frames += 1
        channel = "frame"
        try:
            if frame.startswith(BOOK_PREFIX):
                row = self._updates.read(frame)
                if row is not None:
                    return [self._usual(row, received)]
                channel = "book"
                return self._books(self._book.decode(frame), received)
            header = self._header.decode(frame)
            channel = header.channel or header.method or "frame"
            if header.channel == "book":
                return self._books(self._book.decode(frame), received)
            if header.channel == "trade":
                return self._trades(self._trade.decode(frame), received)
            if header.channel == "ticker":
                return self._tickers(self._ticker.decode(frame), received)
            self._control(header, frame)
            return []
        except (*UNREADABLE, DecodeError) as error:
            self.counters.error(channel, str(error))
            symbol = error.symbol if isinstance(error, DecodeError) else None
            raise DecodeError(channel, str(error), symbol or self._only_symbol()) from error

    def _only_symbol(self) -> str | None:
        """With one symbol subscribed, an unreadable frame can only be about it."""
        return next(iter(self.instruments)) if len(self._known) == 1 else None

    def _usual(self, row: tuple[int, Levels, Levels, int, int | None], received: Received) -> BookDelta:
        place, bids, asks, checksum, venue_ts_ns = row
        name, symbol = self._order[place]
        previous = self._sequence[name]
        sequence = self._sequence[name] = previous + 1
        return BookDelta(
            symbol=symbol, bids=bids, asks=asks, first_id=sequence, last_id=sequence, previous_id=previous,
            venue_ts_ns=venue_ts_ns, recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns,
            epoch=received.epoch, checksum=checksum,
        )  # fmt: skip

    def _books(self, message: wire.BookMessage, received: Received) -> list[MarketMessage]:
        if message.type not in ("snapshot", "update"):
            self.counters.unknown_value("book.type", message.type)
            return []
        result: list[MarketMessage] = []
        for row in message.data:
            known = self._find(row.symbol, "book")
            if known is not None:
                result.append(self._one_book(row, message.type == "snapshot", *known, received))
        return result

    def _one_book(self, row: wire.Book, whole: bool, instrument: Instrument, scale: Scale,
                  received: Received) -> BookSnapshot | BookDelta:  # fmt: skip
        sequence = self._sequence[row.symbol] = self._sequence[row.symbol] + 1
        try:
            bids = _levels(row.bids, scale) if row.bids else ()
            asks = _levels(row.asks, scale) if row.asks else ()
            venue_ts_ns = None if row.timestamp is None else rfc3339_ns(row.timestamp)
        except DecodeError as error:
            raise DecodeError("book", str(error), instrument.symbol) from error
        if whole:
            return BookSnapshot(
                symbol=instrument.symbol, bids=bids, asks=asks, sequence=sequence, venue_ts_ns=venue_ts_ns,
                recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns, epoch=received.epoch,
                checksum=row.checksum,
            )  # fmt: skip
        return BookDelta(
            symbol=instrument.symbol, bids=bids, asks=asks, first_id=sequence, last_id=sequence,
            previous_id=sequence - 1, venue_ts_ns=venue_ts_ns, recv_ts_ns=received.recv_ts_ns,
            recv_mono_ns=received.recv_mono_ns, epoch=received.epoch, checksum=row.checksum,
        )  # fmt: skip

    def _trades(self, message: wire.TradeMessage, received: Received) -> list[MarketMessage]:
        if message.type == "snapshot":  # history before the subscription: not prints that happen now
            self.counters.ignore("trade snapshot")
            return []
        result: list[MarketMessage] = []
        for row in message.data:
            known = self._find(row.symbol, "trade")
            if known is None:
                continue
            instrument, scale = known
            side = SIDES.get(row.side)
            if side is None:
                self.counters.unknown_value("trade.side", row.side)
            result.append(
                TradePrint(
                    symbol=instrument.symbol, trade_id=row.trade_id, price_ticks=scale.ticks[row.price],
                    quantity_lots=scale.lots[row.qty], aggressor_side=side,
                    venue_ts_ns=rfc3339_ns(row.timestamp), recv_ts_ns=received.recv_ts_ns,
                    recv_mono_ns=received.recv_mono_ns, epoch=received.epoch,
                    raw_kind=row.ord_type if side is not None else row.side,
                )
            )  # fmt: skip
        return result

    def _tickers(self, message: wire.TickerMessage, received: Received) -> list[MarketMessage]:
        result: list[MarketMessage] = []
        for row in message.data:
            known = self._find(row.symbol, "ticker")
            if known is None:
                continue
            instrument, scale = known
            result.append(
                TopOfBook(
                    symbol=instrument.symbol, sequence=None,
                    bid_ticks=scale.ticks[row.bid], bid_lots=scale.lots[row.bid_qty],
                    ask_ticks=scale.ticks[row.ask], ask_lots=scale.lots[row.ask_qty],
                    venue_ts_ns=None if row.timestamp is None else rfc3339_ns(row.timestamp),
                    recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns, epoch=received.epoch,
                )
            )  # fmt: skip
        return result

    def _find(self, symbol: str, channel: str) -> tuple[Instrument, Scale] | None:
        known = self._known.get(symbol)
        if known is None:
            self.counters.ignore(f"{channel} of another symbol")
        return known

    def _control(self, header: wire.Header, frame: bytes) -> None:
        if header.channel == "status":
            for row in self._status.decode(frame).data:
                self.system_state = row.system
                if row.system not in KNOWN_SYSTEM_STATES:
                    self.counters.unknown_value("status.system", row.system)
            self.counters.ignore("status")
        elif header.success is False:
            self.counters.error(header.method or "method", header.error or "refused without a reason")
            self.rejected_subscriptions.append(header.error or "refused without a reason")
            del self.rejected_subscriptions[:-16]
        elif header.channel is not None:
            self.counters.ignore(header.channel)
        elif header.method is not None:
            self.counters.ignore(header.method)
        else:
            self.counters.unknown_value("frame", frame[:32].decode("utf-8", "replace"))


def _levels(levels: list[wire.Level], scale: Scale) -> tuple[Level, ...]:
    ticks, lots = scale.ticks, scale.lots
    return tuple([(ticks[level.price], lots[level.qty]) for level in levels])
