"""Decoder of Binance spot and USD-M market streams, combined or single, and of REST depth snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tradewind.core.native import BinanceDepthReader
from tradewind.venues.binance import messages as wire
from tradewind.venues.binance.instruments import BinanceMarket
from tradewind.venues.feeds.decoding import UNREADABLE, DecodeCounters, Received
from tradewind.venues.market_data import (
    BookDelta,
    BookSnapshot,
    DecodeError,
    Instrument,
    MarketMessage,
    MarkPrice,
    Scale,
    Side,
    TopOfBook,
    TradePrint,
)

MS_TO_NS = 1_000_000
MAX_ROUTES = 8_192
STREAM_PREFIX = b'{"stream":"'
KNOWN_TRADE_KINDS = frozenset({"", "MARKET"})
IGNORED_EVENTS = frozenset({"kline", "24hrTicker", "24hrMiniTicker", "forceOrder"})
KINDS = {"depthUpdate": "depth", "markPriceUpdate": "markPrice"}
"""Events that are named otherwise than their stream."""

Build = Callable[[Any, Instrument, Scale, Received], MarketMessage]
Route = tuple[str, msgspec.json.Decoder[Any], Build, Instrument, Scale]
DepthRoute = tuple[BinanceDepthReader, str]


class BinanceDecoder:
    """Decodes frames of the symbols in `instruments`; frames of other symbols are counted and ignored."""

    def __init__(self, instruments: Iterable[Instrument], market: BinanceMarket = BinanceMarket.SPOT) -> None:
        self.market = market
        self.counters = DecodeCounters()
        self._by_venue_symbol = {one.venue_symbol: (one, one.scale()) for one in instruments}
        self._routes: dict[bytes, Route | str] = {}
        self._depths: dict[bytes, DepthRoute] = {}
        """Streams whose usual frames are read natively; an unusual one goes the way of `_routes`."""
        self._header = msgspec.json.Decoder(wire.Header)
        self._depth = msgspec.json.Decoder(wire.Depth)
        self._kinds: dict[str, tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any], Build]] = {
            "depth": _kind(wire.DepthStream, wire.DepthUpdate, _delta),
            "bookTicker": _kind(wire.BookTickerStream, wire.BookTicker, self._top),
            "trade": _kind(wire.TradeStream, wire.Trade, self._trade),
            "aggTrade": _kind(wire.AggregateTradeStream, wire.AggregateTrade, _aggregate),
            "markPrice": _kind(wire.MarkPriceStream, wire.MarkPriceUpdate, _mark),
            "depthSnapshot": _kind(wire.SnapshotStream, wire.Depth, _snapshot),
        }

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Known instruments by canonical symbol."""
        return {one.symbol: one for one, _ in self._by_venue_symbol.values()}

    def decode(self, frame: bytes, received: Received) -> list[MarketMessage]:
        """Decode one frame. Raises `DecodeError` (counted) for anything unreadable or off-step."""
        self.counters.frames += 1
        start = len(STREAM_PREFIX)
        end = frame.find(b'"', start) if frame.startswith(STREAM_PREFIX) else -1
        if end > 0:
            name = frame[start:end]
            depth = self._depths.get(name)
            if depth is not None:
                row = depth[0].read(frame)
                if row is not None:
                    first_id, last_id, previous_id, venue_ts_ns, bids, asks = row
                    return [
                        BookDelta(
                            symbol=depth[1], bids=bids, asks=asks, first_id=first_id, last_id=last_id,
                            previous_id=previous_id, venue_ts_ns=venue_ts_ns,
                            recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns,
                            epoch=received.epoch,
                        )
                    ]  # fmt: skip
            route = self._routes.get(name) or self._route(name)
            if isinstance(route, str):
                self.counters.ignore(route)
                return []
            return [self._build(route, frame, received)]
        return self._unwrapped(frame, received)

    def decode_snapshot(self, body: bytes, venue_symbol: str, received: Received) -> BookSnapshot:
        """Decode the body of a REST depth call for `venue_symbol`. Raises `DecodeError`."""
        known = self._by_venue_symbol.get(venue_symbol)
        if known is None:
            raise self._error("depthSnapshot", f"no instrument for {venue_symbol}", None)
        message = self._build(("depthSnapshot", self._depth, _snapshot, *known), body, received)
        assert isinstance(message, BookSnapshot)
        return message

    def _build(self, route: Route, frame: bytes, received: Received) -> MarketMessage:
        kind, decoder, build, instrument, scale = route
        try:
            parsed = decoder.decode(frame)
            return build(getattr(parsed, "data", parsed), instrument, scale, received)
        except (*UNREADABLE, DecodeError) as error:
            raise self._error(kind, str(error), instrument.symbol) from error

    def _error(self, channel: str, reason: str, symbol: str | None) -> DecodeError:
        self.counters.error(channel, reason)
        return DecodeError(channel, reason, symbol)

    def _route(self, name: bytes) -> Route | str:
        stream = name.decode("ascii", "replace")
        venue_symbol, _, rest = stream.partition("@")
        kind = rest.partition("@")[0]
        route: Route | str
        known = self._by_venue_symbol.get(venue_symbol.upper())
        if kind not in self._kinds:
            route = kind.partition("_")[0] or "unnamed stream"
        elif known is None:
            route = f"{kind} of another symbol"
        else:
            decoder, _, build = self._kinds[kind]
            route = (kind, decoder, build, *known)
        if len(self._routes) < MAX_ROUTES:
            self._routes[name] = route
            if kind == "depth" and known is not None:
                instrument, scale = known
                steps = scale.ticks.native_step(), scale.level_lots.native_step()
                self._depths[name] = (BinanceDepthReader(*steps), instrument.symbol)
        return route

    def _unwrapped(self, frame: bytes, received: Received) -> list[MarketMessage]:
        try:
            header = self._header.decode(frame)
        except UNREADABLE as error:
            raise self._error("frame", str(error), None) from error
        if header.stream is not None:  # a combined frame with other key order or spacing
            return self._reordered(frame, header.stream, received)
        if header.lastUpdateId is not None:
            return [self._lone_snapshot(frame, received)]
        kind = KINDS.get(header.e or "", header.e or "")
        if not kind and header.B is not None and header.A is not None:
            kind = "bookTicker"
        if kind not in self._kinds:
            self._count_other(header, kind)
            return []
        _, decoder, build = self._kinds[kind]
        try:
            symbol = decoder.decode(frame).s
        except UNREADABLE as error:
            raise self._error(kind, str(error), None) from error
        known = self._by_venue_symbol.get(symbol)
        if known is None:
            self.counters.ignore(f"{kind} of another symbol")
            return []
        return [self._build((kind, decoder, build, *known), frame, received)]

    def _reordered(self, frame: bytes, stream: str, received: Received) -> list[MarketMessage]:
        route = self._route(stream.encode())
        if isinstance(route, str):
            self.counters.ignore(route)
            return []
        return [self._build(route, frame, received)]

    def _lone_snapshot(self, frame: bytes, received: Received) -> BookSnapshot:
        if len(self._by_venue_symbol) != 1:
            raise self._error("depthSnapshot", "a depth body without symbol among several symbols", None)
        return self.decode_snapshot(frame, next(iter(self._by_venue_symbol)), received)

    def _count_other(self, header: wire.Header, kind: str) -> None:
        if bytes(header.error) not in (b"", b"null"):
            self.counters.error("control", bytes(header.error).decode("utf-8", "replace"))
        elif header.id is not None or bytes(header.result):
            self.counters.ignore("acknowledgement")
        elif kind in IGNORED_EVENTS:
            self.counters.ignore(kind)
        else:
            self.counters.unknown_value("event", kind or "(none)")

    def _top(self, data: wire.BookTicker, instrument: Instrument, scale: Scale,
             received: Received) -> TopOfBook:  # fmt: skip
        return TopOfBook(
            symbol=instrument.symbol, bid_ticks=scale.ticks[data.b], bid_lots=scale.level_lots[data.B],
            ask_ticks=scale.ticks[data.a], ask_lots=scale.level_lots[data.A], sequence=data.u,
            venue_ts_ns=None if data.T is None else data.T * MS_TO_NS, recv_ts_ns=received.recv_ts_ns,
            recv_mono_ns=received.recv_mono_ns, epoch=received.epoch,
        )  # fmt: skip

    def _trade(self, data: wire.Trade, instrument: Instrument, scale: Scale,
               received: Received) -> TradePrint:  # fmt: skip
        if data.X not in KNOWN_TRADE_KINDS:
            self.counters.unknown_value("trade.X", data.X)
        return _print(data, (data.t, data.X), instrument, scale, received)


def _kind(envelope: type, bare: type, build: Build) -> tuple[Any, Any, Build]:
    return msgspec.json.Decoder(envelope), msgspec.json.Decoder(bare), build


def _delta(data: wire.DepthUpdate, instrument: Instrument, scale: Scale, received: Received) -> BookDelta:
    ticks, lots = scale.ticks, scale.level_lots
    if data.u < data.U:
        raise DecodeError("depth", f"last id {data.u} before first id {data.U}")
    return BookDelta(
        symbol=instrument.symbol,
        bids=tuple([(ticks[price], lots[quantity]) for price, quantity in data.b]),
        asks=tuple([(ticks[price], lots[quantity]) for price, quantity in data.a]),
        first_id=data.U, last_id=data.u, previous_id=data.pu, venue_ts_ns=data.E * MS_TO_NS,
        recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns, epoch=received.epoch,
    )  # fmt: skip


def _mark(data: wire.MarkPriceUpdate, instrument: Instrument, scale: Scale,
          received: Received) -> MarkPrice:  # fmt: skip
    try:
        rate = Decimal(data.r) if data.r else None
    except InvalidOperation as error:
        raise DecodeError("markPrice", f"funding rate {str(data.r)[:40]!r}") from error
    if not data.p.is_finite() or data.p <= 0 or not (rate is None or rate.is_finite()):
        raise DecodeError("markPrice", f"mark {data.p}, funding rate {rate}")
    index = data.i if data.i is not None and data.i.is_finite() and data.i > 0 else None
    return MarkPrice(
        symbol=instrument.symbol, mark=data.p, index=index, funding_rate=rate,
        next_funding_ns=data.T * MS_TO_NS or None, venue_ts_ns=data.E * MS_TO_NS,
        recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns, epoch=received.epoch,
    )  # fmt: skip


def _snapshot(data: wire.Depth, instrument: Instrument, scale: Scale, received: Received) -> BookSnapshot:
    ticks, lots = scale.ticks, scale.level_lots
    return BookSnapshot(
        symbol=instrument.symbol,
        bids=tuple([(ticks[price], lots[quantity]) for price, quantity in data.bids]),
        asks=tuple([(ticks[price], lots[quantity]) for price, quantity in data.asks]),
        sequence=data.lastUpdateId, venue_ts_ns=None if data.E is None else data.E * MS_TO_NS,
        recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns, epoch=received.epoch,
    )  # fmt: skip


def _aggregate(data: wire.AggregateTrade, instrument: Instrument, scale: Scale,
               received: Received) -> TradePrint:  # fmt: skip
    return _print(data, (data.a, "aggregate"), instrument, scale, received)


def _print(data: wire.Trade | wire.AggregateTrade, name: tuple[int, str], instrument: Instrument,
           scale: Scale, received: Received) -> TradePrint:  # fmt: skip
    trade_id, raw_kind = name
    return TradePrint(
        symbol=instrument.symbol, trade_id=trade_id, price_ticks=scale.ticks[data.p],
        quantity_lots=scale.lots[data.q], aggressor_side=Side.SELL if data.m else Side.BUY,
        venue_ts_ns=data.T * MS_TO_NS, recv_ts_ns=received.recv_ts_ns, recv_mono_ns=received.recv_mono_ns,
        epoch=received.epoch, raw_kind=raw_kind,
    )  # fmt: skip
