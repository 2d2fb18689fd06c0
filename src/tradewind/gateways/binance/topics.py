"""What market streams send: one topic for each stream name, written once for all its subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from tradewind.gateways.model import BookChange, Candle, PublicTrade
from tradewind.venues.market_data import Side

from .calls import Context, Venue, milliseconds
from .dispatch import ADDRESS
from .market import (
    INTERVALS_S,
    average,
    best_prices,
    book_body,
    candles,
    closing_ns,
    day_changes,
    opening_ns,
)
from .replies import Aggregate, Time, aggregate
from .symbols import Symbol
from .text import ZERO, cut_text, decimal_text

if TYPE_CHECKING:
    from .streams import Connection

log = structlog.get_logger("tradewind.gateway")

SLOW_MS: Final = 1_000
FAST_MS: Final = 100
KLINE_MS: Final = 2_000
DAY_NS: Final = 86_400 * 1_000_000_000
MAX_PENDING_TRADES: Final = 10_000


class Topic:
    """One stream. It works only while somebody listens."""

    hears_markets = True
    """Whether it is about markets."""

    def __init__(self, name: str, venue: Venue, *, every_ms: int = 0) -> None:
        self.name = name
        self.venue = venue
        self.every_ms = every_ms
        self.connections: dict[Connection, Time] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Connection, time: Time) -> None:
        self.connections[connection] = time

    def remove(self, connection: Connection) -> None:
        self.connections.pop(connection, None)
        if not self.connections and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Nobody listens any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_book(self, change: BookChange) -> None:
        """The book of its market changed."""

    def on_trade(self, trade: PublicTrade) -> None:
        """There was a trade in its market."""

    def touch(self) -> None:
        """Something changed: sends within the topic's interval."""
        if self._timer is None and self.connections:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.every_ms / 1_000, self._due)

    def _due(self) -> None:
        self._timer = None
        if self.connections:
            self.guarded(self.flush)

    def guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        """A defect of one stream ends its own connections: they must not go on with a hole in them."""
        try:
            step(*arguments)
        except Exception as error:  # noqa: BLE001 - the other streams go on
            log.error("gateway_stream_failed", name=self.name, error=f"{type(error).__name__}: {error}")
            for connection in tuple(self.connections):
                connection.socket.abort("stream failed")

    @property
    def channel(self) -> str:
        """The stream's name for fault plans."""
        return self.name

    def flush(self) -> None:
        """Sends what has gathered."""

    def context(self, time: Time) -> Context:
        return Context(self.venue, now_ns=self.venue.exchange.now_ns(), time=time, address=ADDRESS)

    def send(self, build: Callable[[Time], Any]) -> None:
        """Writes one event once for each time unit and hands it to all."""
        written: dict[Time, tuple[bytes, bytes]] = {}
        for connection, time in tuple(self.connections.items()):
            frames = written.get(time)
            if frames is None:
                raw = msgspec.json.encode(build(time))
                wrapped = b'{"stream":"' + self.name.encode() + b'","data":' + raw + b"}"
                frames = written[time] = (raw, wrapped)
            connection.send(frames[1] if connection.combined else frames[0], self.channel)


class SymbolTopic(Topic):
    """A stream about one market."""

    def __init__(self, name: str, venue: Venue, symbol: Symbol, *, every_ms: int = 0) -> None:
        super().__init__(name, venue, every_ms=every_ms)
        self.symbol_name = symbol.name

    @property
    def symbol(self) -> Symbol:
        """As it is now: the exchange replaces a market's record when its state changes."""
        return self.venue.symbols.find(self.symbol_name)

    @property
    def canonical(self) -> str:
        return self.symbol.market.symbol


class TradeTopic(SymbolTopic):
    def on_trade(self, trade: PublicTrade) -> None:
        now_ns, symbol = self.venue.exchange.now_ns(), self.symbol
        self.send(
            lambda time: {
                "e": "trade",
                "E": time(now_ns),
                "s": symbol.name,
                "t": trade.trade_id,
                "p": symbol.price(trade.price_ticks),
                "q": symbol.quantity(trade.lots),
                "b": trade.buyer_order,
                "a": trade.seller_order,
                "T": time(trade.time_ns),
                "m": trade.taker_side is Side.SELL,
                "M": True,
            }
        )


class AggregateTopic(SymbolTopic):
    """Trades of one command arrive together: they are joined before the loop goes on."""

    def __init__(self, name: str, venue: Venue, symbol: Symbol) -> None:
        super().__init__(name, venue, symbol)
        self._pending: list[PublicTrade] = []

    def on_trade(self, trade: PublicTrade) -> None:
        self._pending.append(trade)
        if len(self._pending) >= MAX_PENDING_TRADES:
            self.flush()
        else:
            self.touch()

    def flush(self) -> None:
        rows, self._pending = aggregate(self._pending), []
        now_ns, symbol = self.venue.exchange.now_ns(), self.symbol
        for row in rows:
            self.send(self._event(row, now_ns, symbol))

    @staticmethod
    def _event(row: Aggregate, now_ns: int, symbol: Symbol) -> Callable[[Time], Any]:
        head = {"e": "aggTrade", "s": symbol.name}
        return lambda time: {"e": head["e"], "E": time(now_ns), "s": head["s"], **row.row(symbol, time)}


class BookTickerTopic(SymbolTopic):
    def __init__(self, name: str, venue: Venue, symbol: Symbol) -> None:
        super().__init__(name, venue, symbol)
        self._last: object = None

    def on_book(self, change: BookChange) -> None:
        self.touch()

    def flush(self) -> None:
        symbol = self.symbol
        book = self.venue.exchange.book(self.canonical, 1)
        best = (book.bids[:1], book.asks[:1])
        if best == self._last:
            return
        self._last = best
        bid, ask = symbol.levels(book.bids[:1]), symbol.levels(book.asks[:1])
        self.send(
            lambda time: {
                "u": book.update_id,
                "s": symbol.name,
                "b": bid[0][0] if bid else ZERO,
                "B": bid[0][1] if bid else ZERO,
                "a": ask[0][0] if ask else ZERO,
                "A": ask[0][1] if ask else ZERO,
            }
        )


class DepthTopic(SymbolTopic):
    """Differences: every change of the book in exactly one event, `U` following the last `u`."""

    def __init__(self, name: str, venue: Venue, symbol: Symbol, *, every_ms: int) -> None:
        super().__init__(name, venue, symbol, every_ms=every_ms)
        self._first_id = 0
        self._last_id = 0
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def on_book(self, change: BookChange) -> None:
        if not self._first_id:
            self._first_id = change.update_id
        self._last_id = change.update_id
        self._bids.update(change.bids)
        self._asks.update(change.asks)
        self.touch()

    def remove(self, connection: Connection) -> None:
        super().remove(connection)
        if not self.connections:
            self._first_id = 0
            self._bids, self._asks = {}, {}

    def flush(self) -> None:
        if not self._first_id:
            return
        first, last, now_ns, symbol = self._first_id, self._last_id, self.venue.exchange.now_ns(), self.symbol
        bids = symbol.levels(tuple(sorted(self._bids.items(), reverse=True)))
        asks = symbol.levels(tuple(sorted(self._asks.items())))
        self._first_id = 0
        self._bids, self._asks = {}, {}
        self.send(
            lambda time: {
                "e": "depthUpdate",
                "E": time(now_ns),
                "s": symbol.name,
                "U": first,
                "u": last,
                "b": bids,
                "a": asks,
            }
        )


class PartialTopic(SymbolTopic):
    """The best levels, whole, whenever the book changed."""

    def __init__(self, name: str, venue: Venue, symbol: Symbol, levels: int, *, every_ms: int) -> None:
        super().__init__(name, venue, symbol, every_ms=every_ms)
        self._levels = levels
        self._last: object = None

    def on_book(self, change: BookChange) -> None:
        self.touch()

    def add(self, connection: Connection, time: Time) -> None:
        super().add(connection, time)
        self._last = None
        self.touch()

    def flush(self) -> None:
        body = book_body(self.context(milliseconds), self.symbol, self._levels)
        if body != self._last:
            self._last = body
            self.send(lambda time: body)


class TickerTopic(SymbolTopic):
    """Statistics of 24 hours, at most once in an interval and only when something changed."""

    def __init__(self, name: str, venue: Venue, symbol: Symbol, *, mini: bool, every_ms: int) -> None:
        super().__init__(name, venue, symbol, every_ms=every_ms)
        self._mini = mini

    def on_book(self, change: BookChange) -> None:
        if not self._mini:
            self.touch()

    def on_trade(self, trade: PublicTrade) -> None:
        self.touch()

    def flush(self) -> None:
        event = ticker_event(self.venue, self.symbol, mini=self._mini)
        self.send(event)


def ticker_event(venue: Venue, symbol: Symbol, *, mini: bool) -> Callable[[Time], dict[str, Any]]:
    """`24hrTicker` or `24hrMiniTicker`."""
    ticker = venue.exchange.ticker(symbol.market.symbol)
    last = ticker.last

    def price(ticks: int | None) -> str:
        return symbol.price(ticks) if ticks is not None else ZERO

    ends = {
        "c": price(last.price_ticks if last is not None else None),
        "o": price(ticker.open_ticks),
        "h": price(ticker.high_ticks),
        "l": price(ticker.low_ticks),
        "v": symbol.quantity(ticker.lots),
        "q": decimal_text(ticker.quote_volume),
    }
    if mini:
        return lambda time: {
            "e": "24hrMiniTicker",
            "E": time(ticker.time_ns),
            "s": symbol.name,
            **ends,
        }
    change, percent, weighted = day_changes(ticker, symbol)
    best = best_prices(ticker, symbol)
    return lambda time: {
        "e": "24hrTicker",
        "E": time(ticker.time_ns),
        "s": symbol.name,
        "p": change,
        "P": percent,
        "w": weighted,
        "x": ends["o"],
        "c": ends["c"],
        "Q": symbol.quantity(last.lots) if last is not None else ZERO,
        "b": best["bidPrice"],
        "B": best["bidQty"],
        "a": best["askPrice"],
        "A": best["askQty"],
        "o": ends["o"],
        "h": ends["h"],
        "l": ends["l"],
        "v": ends["v"],
        "q": ends["q"],
        "O": time(ticker.time_ns - DAY_NS),
        "C": time(ticker.time_ns),
        "F": ticker.first_trade_id if ticker.first_trade_id is not None else -1,
        "L": last.trade_id if last is not None and ticker.trades else -1,
        "n": ticker.trades,
    }


class AllTickersTopic(Topic):
    """`!ticker@arr` and `!miniTicker@arr`: the markets that changed since the last event."""

    def __init__(self, name: str, venue: Venue, *, mini: bool, every_ms: int) -> None:
        super().__init__(name, venue, every_ms=every_ms)
        self._mini = mini
        self._changed: set[str] = set()

    def on_book(self, change: BookChange) -> None:
        if not self._mini:
            self._changed.add(change.symbol)
            self.touch()

    def on_trade(self, trade: PublicTrade) -> None:
        self._changed.add(trade.symbol)
        self.touch()

    def flush(self) -> None:
        changed, self._changed = sorted(self._changed), set()
        symbols = [self.venue.symbols.of_canonical(name) for name in changed]
        events = [ticker_event(self.venue, one, mini=self._mini) for one in symbols if one is not None]
        if events:
            self.send(lambda time: [event(time) for event in events])


class AverageTopic(SymbolTopic):
    def on_trade(self, trade: PublicTrade) -> None:
        self.touch()

    def flush(self) -> None:
        price, last_ns = average(self.context(milliseconds), self.symbol)
        now_ns, name = self.venue.exchange.now_ns(), self.symbol_name
        self.send(
            lambda time: {
                "e": "avgPrice",
                "E": time(now_ns),
                "s": name,
                "i": "5m",
                "w": cut_text(price),
                "T": time(last_ns),
            }
        )


class KlineTopic(SymbolTopic):
    """The open candle after trades, and each candle once more, marked closed, when its interval is over."""

    def __init__(self, name: str, venue: Venue, symbol: Symbol, interval: str, *, every_ms: int) -> None:
        super().__init__(name, venue, symbol, every_ms=every_ms)
        self._interval = interval
        self._closing: asyncio.TimerHandle | None = None

    def add(self, connection: Connection, time: Time) -> None:
        super().add(connection, time)
        if self._closing is None:
            self._schedule()

    def remove(self, connection: Connection) -> None:
        super().remove(connection)
        if not self.connections:
            self._stop()

    def close(self) -> None:
        super().close()
        self._stop()

    def _stop(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _schedule(self) -> None:
        now_ns = self.venue.exchange.now_ns()
        open_ns = opening_ns(now_ns, self._interval)
        wait_s = (closing_ns(open_ns, self._interval) + 1 - now_ns) / 1e9
        # a loop's timer may not reach further than a day
        due_s = min(wait_s, 86_400.0)
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(due_s, self._over, open_ns if due_s == wait_s else None)

    def _over(self, open_ns: int | None) -> None:
        self._closing = None
        if self.connections:
            self.guarded(self._close_candle, open_ns)

    def _close_candle(self, open_ns: int | None) -> None:
        if open_ns is not None:
            found = candles(
                self.context(milliseconds), self.symbol, self._interval, 1, start_ns=open_ns, end_ns=open_ns
            )
            if found:
                self._tell(found[0], closed=True)
        self._schedule()

    def on_trade(self, trade: PublicTrade) -> None:
        self.touch()

    def flush(self) -> None:
        found = candles(self.context(milliseconds), self.symbol, self._interval, 1)
        if found:
            self._tell(found[-1], closed=False)

    def _tell(self, candle: Candle, *, closed: bool) -> None:
        now_ns, symbol, interval = self.venue.exchange.now_ns(), self.symbol, self._interval
        last_id = self._last_id(candle)
        self.send(
            lambda time: {
                "e": "kline",
                "E": time(now_ns),
                "s": symbol.name,
                "k": {
                    "t": time(candle.open_ns),
                    "T": time(closing_ns(candle.open_ns, interval)),
                    "s": symbol.name,
                    "i": interval,
                    "f": last_id - candle.trades + 1 if candle.trades else -1,
                    "L": last_id if candle.trades else -1,
                    "o": symbol.price(candle.open_ticks),
                    "c": symbol.price(candle.close_ticks),
                    "h": symbol.price(candle.high_ticks),
                    "l": symbol.price(candle.low_ticks),
                    "v": symbol.quantity(candle.lots),
                    "n": candle.trades,
                    "x": closed,
                    "q": decimal_text(candle.quote_volume),
                    "V": symbol.quantity(candle.taker_buy_lots),
                    "Q": decimal_text(candle.taker_buy_quote),
                    "B": "0",
                },
            }
        )

    def _last_id(self, candle: Candle) -> int:
        """Number of the candle's last trade: numbers have no gaps."""
        exchange = self.venue.exchange
        later = exchange.trades(self.canonical, 1, since_ns=closing_ns(candle.open_ns, self._interval) + 1)
        if later:
            return later[0].trade_id - 1
        last = exchange.trades(self.canonical, 1)
        return last[-1].trade_id if last else -1


SPEEDS: Final = {"": SLOW_MS, "1000ms": SLOW_MS, "100ms": FAST_MS}
PARTIAL_LEVELS: Final = {"depth5": 5, "depth10": 10, "depth20": 20}


def stream_parts(name: str) -> tuple[str, str, str] | None:
    """`<symbol>@<kind>[@<speed>]` in parts; None for a name that cannot be of a market's stream."""
    symbol_name, at, rest = name.partition("@")
    if not at or symbol_name != symbol_name.lower():
        return None
    kind, _, speed = rest.partition("@")
    return symbol_name, kind, speed


def make_topic(name: str, venue: Venue, scale: float) -> Topic | None:
    """The topic of a stream name; None for a name that no stream has. `scale` shortens intervals in tests.

    Raises:
        BinanceError: -1121 for a symbol that is not listed.
    """

    def wait(milliseconds_: int) -> int:
        return int(milliseconds_ * scale)

    if name in {"!ticker@arr", "!miniTicker@arr"}:
        return AllTickersTopic(name, venue, mini=name.startswith("!mini"), every_ms=wait(SLOW_MS))
    parts = stream_parts(name)
    if parts is None:
        return None
    symbol_name, kind, speed = parts
    plain: dict[str, Callable[[Symbol], Topic]] = {
        "trade": lambda symbol: TradeTopic(name, venue, symbol),
        "aggTrade": lambda symbol: AggregateTopic(name, venue, symbol),
        "bookTicker": lambda symbol: BookTickerTopic(name, venue, symbol),
        "ticker": lambda symbol: TickerTopic(name, venue, symbol, mini=False, every_ms=wait(SLOW_MS)),
        "miniTicker": lambda symbol: TickerTopic(name, venue, symbol, mini=True, every_ms=wait(SLOW_MS)),
        "avgPrice": lambda symbol: AverageTopic(name, venue, symbol, every_ms=wait(SLOW_MS)),
    }
    found: Callable[[Symbol], Topic] | None = None
    if not speed and kind in plain:
        found = plain[kind]
    elif not speed and kind.startswith("kline_") and kind[6:] in INTERVALS_S:
        every_ms = wait(SLOW_MS if kind == "kline_1s" else KLINE_MS)
        found = lambda symbol: KlineTopic(name, venue, symbol, kind[6:], every_ms=every_ms)  # noqa: E731
    elif speed in SPEEDS and kind == "depth":
        found = lambda symbol: DepthTopic(name, venue, symbol, every_ms=wait(SPEEDS[speed]))  # noqa: E731
    elif speed in SPEEDS and kind in PARTIAL_LEVELS:
        levels = PARTIAL_LEVELS[kind]
        found = lambda symbol: PartialTopic(  # noqa: E731
            name, venue, symbol, levels, every_ms=wait(SPEEDS[speed])
        )
    return None if found is None else found(venue.symbols.find(symbol_name.upper()))
