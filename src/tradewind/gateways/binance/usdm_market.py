"""Public calls of Binance USD-M, and its market streams."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tradewind.gateways.model import PublicTrade
from tradewind.venues.market_data import Side

from . import market
from .calls import Context, Venue
from .errors import BinanceError, invalid_data
from .parameters import Parameters
from .replies import Time, public_trade
from .symbols import Symbol
from .text import ZERO, decimal_text
from .topics import (
    AggregateTopic,
    BookTickerTopic,
    DepthTopic,
    KlineTopic,
    SymbolTopic,
    TickerTopic,
    Topic,
    stream_parts,
)

if TYPE_CHECKING:
    from .streams import Connection

DEPTHS: Final = (5, 10, 20, 50, 100, 500, 1_000)
DEPTH_WEIGHTS: Final = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1_000: 20}
ROWS: Final = 1_500
NO_FIELDS: Final = frozenset({"prevClosePrice", "bidPrice", "bidQty", "askPrice", "askQty"})
SPEEDS: Final = {"": 250, "500ms": 500, "250ms": 250, "100ms": 100, "0ms": 0}
PARTIAL: Final = {"depth5": 5, "depth10": 10, "depth20": 20}
MARK_MS: Final = {"": 3_000, "1s": 1_000}


async def exchange_info(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    settlement = context.exchange.configuration.settlement
    return {
        "timezone": "UTC",
        "serverTime": context.time(context.now_ns),
        "futuresType": "U_MARGINED",
        "rateLimits": [limit.row() for limit in context.venue.usage.limits],
        "exchangeFilters": [],
        "assets": [{"asset": settlement, "marginAvailable": True, "autoAssetExchange": "0"}]
        if settlement is not None
        else [],
        "symbols": [symbol.info() for symbol in context.venue.symbols.all()],
    }


async def depth(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    limit = parameters.whole("limit")
    parameters.finish()
    if limit is None:
        limit = 500
    if limit not in DEPTHS:
        raise BinanceError(-4021, f"{limit} is not valid depth limit.")
    book = context.exchange.book(symbol.market.symbol, limit)
    return {
        "lastUpdateId": book.update_id,
        "E": context.time(context.now_ns),
        "T": context.time(book.time_ns),
        "bids": symbol.levels(book.bids[:limit]),
        "asks": symbol.levels(book.asks[:limit]),
    }


def depth_weight(parameters: Parameters) -> int:
    text = parameters.values.get("limit", "500")
    return DEPTH_WEIGHTS.get(int(text), 20) if text.isascii() and text.isdigit() and len(text) < 9 else 20


async def trades(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    limit = parameters.limit(500, market.TRADES_LIMIT)
    parameters.finish()
    found = context.exchange.trades(symbol.market.symbol, limit)
    rows = [public_trade(trade, symbol, context.time) for trade in found]
    for row in rows:
        del row["isBestMatch"]
    return rows


async def agg_trades(context: Context, parameters: Parameters) -> Any:
    rows = await market.agg_trades(context, parameters)
    for row in rows:
        del row["M"]
    return rows


async def klines(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    interval = parameters.required("interval")
    if interval not in market.INTERVALS_S or interval == "1s":
        raise BinanceError(-1120, "Invalid interval.")
    start_ns, end_ns = parameters.span()
    limit = parameters.limit(500, ROWS)
    parameters.finish()
    found = market.candles(context, symbol, interval, limit, start_ns=start_ns, end_ns=end_ns)
    return [market.kline_row(candle, interval, symbol, context.time) for candle in found]


def chosen(context: Context, parameters: Parameters) -> tuple[list[Symbol], bool]:
    """The symbol that was named, or all; and whether one was."""
    name = parameters.optional_symbol()
    parameters.finish()
    return (context.venue.symbols.all(), False) if name is None else ([context.symbol(name)], True)


def rows_of(
    build: Callable[[Context, Symbol], dict[str, Any] | None],
) -> Callable[[Context, Parameters], Any]:
    """A call that gives the row of the symbol that was named, or those of all."""

    async def call(context: Context, parameters: Parameters) -> Any:
        symbols, single = chosen(context, parameters)
        rows = [row for row in (build(context, symbol) for symbol in symbols) if row is not None]
        if single and not rows:
            raise invalid_data("symbol")
        return rows[0] if single else rows

    return call


def day_row(context: Context, symbol: Symbol) -> dict[str, Any]:
    row = market.day_ticker(context, symbol, mini=False)
    return {name: value for name, value in row.items() if name not in NO_FIELDS}


def price_row(context: Context, symbol: Symbol) -> dict[str, Any] | None:
    last = context.exchange.trades(symbol.market.symbol, 1)
    if not last:
        return None
    return {
        "symbol": symbol.name,
        "price": symbol.price(last[-1].price_ticks),
        "time": context.time(last[-1].time_ns),
    }


def book_row(context: Context, symbol: Symbol) -> dict[str, Any]:
    book = context.exchange.book(symbol.market.symbol, 1)
    bid, ask = symbol.levels(book.bids[:1]), symbol.levels(book.asks[:1])
    return {
        "symbol": symbol.name,
        "bidPrice": bid[0][0] if bid else ZERO,
        "bidQty": bid[0][1] if bid else ZERO,
        "askPrice": ask[0][0] if ask else ZERO,
        "askQty": ask[0][1] if ask else ZERO,
        "time": context.time(book.time_ns),
        "lastUpdateId": book.update_id,
    }


def premium_row(context: Context, symbol: Symbol) -> dict[str, Any] | None:
    """None while there is no price."""
    prices = context.exchange.perpetual_prices(symbol.market.symbol)
    if prices.mark_ticks is None or prices.index_ticks is None:
        return None
    index = symbol.price(prices.index_ticks)
    return {
        "symbol": symbol.name,
        "markPrice": symbol.price(prices.mark_ticks),
        "indexPrice": index,
        "estimatedSettlePrice": index,
        "lastFundingRate": rate_text(prices.funding_rate),
        "interestRate": ZERO,
        "nextFundingTime": context.time(prices.next_funding_ns),
        "time": context.time(prices.time_ns),
    }


def rate_text(rate: Decimal) -> str:
    return decimal_text(rate) if rate >= 0 else "-" + decimal_text(-rate)


async def open_interest(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    parameters.finish()
    prices = context.exchange.perpetual_prices(symbol.market.symbol)
    return {
        "symbol": symbol.name,
        "openInterest": symbol.quantity(prices.open_interest_lots),
        "time": context.time(context.now_ns),
    }


def all_weight(one: int, every: int) -> Callable[[Parameters], int]:
    return lambda parameters: one if "symbol" in parameters.values else every


# ---- streams ---------------------------------------------------------------------------------------


class UsdmTradeTopic(SymbolTopic):
    def on_trade(self, trade: PublicTrade) -> None:
        now_ns, symbol = self.venue.exchange.now_ns(), self.symbol
        self.send(
            lambda time: {
                "e": "trade",
                "E": time(now_ns),
                "T": time(trade.time_ns),
                "s": symbol.name,
                "t": trade.trade_id,
                "p": symbol.price(trade.price_ticks),
                "q": symbol.quantity(trade.lots),
                "X": "MARKET",
                "m": trade.taker_side is Side.SELL,
            }
        )


class UsdmAggregateTopic(AggregateTopic):
    def send(self, build: Callable[[Time], Any]) -> None:
        super().send(lambda time: {name: value for name, value in build(time).items() if name != "M"})


class UsdmBookTickerTopic(BookTickerTopic):
    def send(self, build: Callable[[Time], Any]) -> None:
        now_ns = self.venue.exchange.now_ns()
        book_ns = self.venue.exchange.book(self.canonical, 1).time_ns
        super().send(lambda time: {"e": "bookTicker", **build(time), "T": time(book_ns), "E": time(now_ns)})


class UsdmDepthTopic(DepthTopic):
    """`pu` is the last `u` of this stream: numbers of changes have no gaps."""

    def send(self, build: Callable[[Time], Any]) -> None:
        book_ns = self.venue.exchange.book(self.canonical, 1).time_ns

        def event(time: Time) -> dict[str, Any]:
            body = build(time)
            return {
                "e": body["e"],
                "E": body["E"],
                "T": time(book_ns),
                "s": body["s"],
                "U": body["U"],
                "u": body["u"],
                "pu": body["U"] - 1,
                "b": body["b"],
                "a": body["a"],
            }

        super().send(event)


class UsdmPartialTopic(SymbolTopic):
    """The best levels, whole, in the form of an update."""

    def __init__(self, name: str, venue: Venue, symbol: Symbol, levels: int, *, every_ms: int) -> None:
        super().__init__(name, venue, symbol, every_ms=every_ms)
        self._levels = levels
        self._last_id = 0

    def on_book(self, change: object) -> None:
        self.touch()

    def add(self, connection: Connection, time: Time) -> None:
        super().add(connection, time)
        self.touch()

    def flush(self) -> None:
        symbol, now_ns = self.symbol, self.venue.exchange.now_ns()
        book = self.venue.exchange.book(self.canonical, self._levels)
        before, self._last_id = self._last_id or book.update_id, book.update_id
        self.send(
            lambda time: {
                "e": "depthUpdate",
                "E": time(now_ns),
                "T": time(book.time_ns),
                "s": symbol.name,
                "U": min(before + 1, book.update_id),
                "u": book.update_id,
                "pu": before,
                "b": symbol.levels(book.bids[: self._levels]),
                "a": symbol.levels(book.asks[: self._levels]),
            }
        )


class MarkPriceTopic(SymbolTopic):
    """Mark, index and funding, at fixed intervals for as long as somebody listens."""

    def __init__(self, name: str, venue: Venue, symbol: Symbol, *, every_ms: int) -> None:
        super().__init__(name, venue, symbol, every_ms=max(1, every_ms))

    def add(self, connection: Connection, time: Time) -> None:
        super().add(connection, time)
        self.touch()

    def flush(self) -> None:
        symbol, now_ns = self.symbol, self.venue.exchange.now_ns()
        prices = self.venue.exchange.perpetual_prices(self.canonical)
        self.touch()
        mark, index = prices.mark_ticks, prices.index_ticks
        if mark is None or index is None:
            return
        self.send(
            lambda time: {
                "e": "markPriceUpdate",
                "E": time(now_ns),
                "s": symbol.name,
                "p": symbol.price(mark),
                "i": symbol.price(index),
                "P": symbol.price(index),
                "r": rate_text(prices.funding_rate),
                "T": time(prices.next_funding_ns),
            }
        )


def make_usdm_topic(name: str, venue: Venue, scale: float) -> Topic | None:
    """As `make_topic`. Raises -1121 for a symbol that is not listed."""
    parts = stream_parts(name)
    if parts is None:
        return None
    symbol_name, kind, speed = parts
    plain: dict[str, Callable[[Symbol], Topic]] = {
        "trade": lambda symbol: UsdmTradeTopic(name, venue, symbol),
        "aggTrade": lambda symbol: UsdmAggregateTopic(name, venue, symbol),
        "bookTicker": lambda symbol: UsdmBookTickerTopic(name, venue, symbol),
        "ticker": lambda symbol: TickerTopic(name, venue, symbol, mini=False, every_ms=int(2_000 * scale)),
        "miniTicker": lambda symbol: TickerTopic(name, venue, symbol, mini=True, every_ms=int(500 * scale)),
    }

    def wait(milliseconds: int) -> int:
        return int(milliseconds * scale)

    if not speed and kind.startswith("kline_") and kind[6:] in market.INTERVALS_S and kind != "kline_1s":
        plain[kind] = lambda symbol: KlineTopic(name, venue, symbol, kind[6:], every_ms=wait(250))
    if speed in SPEEDS:
        every_ms = wait(SPEEDS[speed])
        plain[f"depth@{speed}"] = lambda symbol: UsdmDepthTopic(name, venue, symbol, every_ms=every_ms)
        for partial, levels in PARTIAL.items():
            plain[f"{partial}@{speed}"] = lambda symbol, levels=levels: UsdmPartialTopic(  # type: ignore[misc]
                name, venue, symbol, levels, every_ms=every_ms
            )
    if speed in MARK_MS:
        plain[f"markPrice@{speed}"] = lambda symbol: MarkPriceTopic(
            name, venue, symbol, every_ms=wait(MARK_MS[speed])
        )
    found = plain.get(kind if not speed and kind in plain else f"{kind}@{speed}")
    return None if found is None else found(venue.symbols.find(symbol_name.upper()))
