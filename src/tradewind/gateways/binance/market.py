"""Public calls: time, rules, books, trades, candles and tickers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from tradewind.gateways.model import Candle, PublicTrade, Ticker

from .calls import Context
from .errors import BinanceError, invalid_data
from .parameters import Parameters
from .replies import Aggregate, Time, aggregate, public_trade
from .symbols import Symbol
from .text import ZERO, cut_text, decimal_text

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
DEPTH_LIMIT: Final = 5_000
TRADES_LIMIT: Final = 1_000
AVERAGE_MINUTES: Final = 5
ALL_TRADES: Final = 10_000
DAYS_KEPT: Final = 420
HOUR_MS: Final = 3_600_000

INTERVALS_S: Final = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "8h": 28_800,
    "12h": 43_200,
    "1d": 86_400,
    "3d": 259_200,
    "1w": 604_800,
    "1M": 0,
}
"""Length of each interval; 0 for calendar months. Weeks begin on Mondays."""


async def ping(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    return {}


async def server_time(context: Context, parameters: Parameters) -> Any:
    parameters.finish()
    return {"serverTime": context.time(context.now_ns)}


async def exchange_info(context: Context, parameters: Parameters) -> Any:
    wanted = parameters.symbols()
    permissions = parameters.text("permissions")
    parameters.flag("showPermissionSets", True)
    status = parameters.text("symbolStatus")
    parameters.finish()
    symbols = context.venue.symbols.all() if wanted is None else [context.symbol(name) for name in wanted]
    if permissions is not None and "SPOT" not in permissions:
        symbols = []
    if status is not None:
        symbols = [symbol for symbol in symbols if symbol.status == status]
    return {
        "timezone": "UTC",
        "serverTime": context.time(context.now_ns),
        "rateLimits": [limit.row() for limit in context.venue.usage.limits],
        "exchangeFilters": [],
        "symbols": [symbol.info() for symbol in symbols],
    }


async def depth(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    limit = parameters.limit(100, DEPTH_LIMIT)
    parameters.text("symbolStatus")
    parameters.finish()
    return book_body(context, symbol, limit)


def book_body(context: Context, symbol: Symbol, limit: int) -> dict[str, Any]:
    """The book as `depth` and the partial depth streams write it."""
    book = context.exchange.book(symbol.market.symbol, limit)
    return {
        "lastUpdateId": book.update_id,
        "bids": symbol.levels(book.bids[:limit]),
        "asks": symbol.levels(book.asks[:limit]),
    }


def depth_weight(parameters: Parameters) -> int:
    text = parameters.values.get("limit", "100")
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 100
    for bound, weight in ((100, 5), (500, 25), (1_000, 50)):
        if limit <= bound:
            return weight
    return 250


async def trades(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    limit = parameters.limit(500, TRADES_LIMIT)
    parameters.finish()
    found = context.exchange.trades(symbol.market.symbol, limit)
    return [public_trade(trade, symbol, context.time) for trade in found]


async def historical_trades(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    limit = parameters.limit(500, TRADES_LIMIT)
    from_id = parameters.whole("fromId")
    parameters.finish()
    if from_id is None:
        found = context.exchange.trades(symbol.market.symbol, limit)
    else:
        found = trades_from(context, symbol, from_id, limit)
    return [public_trade(trade, symbol, context.time) for trade in found]


def trades_from(context: Context, symbol: Symbol, first_id: int, limit: int) -> list[PublicTrade]:
    """Trades with ids from `first_id` on, oldest first."""
    if first_id > 1:
        return context.exchange.trades(symbol.market.symbol, limit, since_id=first_id - 1)
    return context.exchange.trades(symbol.market.symbol, limit, since_ns=1)


async def agg_trades(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    from_id = parameters.whole("fromId")
    start_ns, end_ns = parameters.span()
    limit = parameters.limit(500, TRADES_LIMIT)
    parameters.finish()
    if from_id is not None and (start_ns or end_ns):
        raise BinanceError(-1128, "Combination of optional parameters invalid.")
    if from_id is not None:
        # from the trade before: it tells whether the first one only goes on with an aggregate
        rows = aggregates_on(lambda count: trades_from(context, symbol, from_id - 1, count), limit + 1)
        rows = [row for row in rows if row.first_id >= from_id][:limit]
    elif start_ns:
        name = symbol.market.symbol
        rows = aggregates_on(lambda count: context.exchange.trades(name, count, since_ns=start_ns), limit)
        rows = [row for row in rows if not end_ns or row.time_ns <= end_ns]
    else:
        rows = last_aggregates(context, symbol, ALL_TRADES if end_ns else limit)
        rows = [row for row in rows if not end_ns or row.time_ns <= end_ns][-limit:]
    return [row.row(symbol, context.time) for row in rows]


def aggregates_on(fetch: Callable[[int], list[PublicTrade]], limit: int) -> list[Aggregate]:
    """The first `limit` aggregates of a tape that is read forward; `fetch` gives its first so many trades."""
    count = limit * 2 + 64
    while True:
        found = fetch(min(count, ALL_TRADES))
        rows = aggregate(found)
        complete = len(found) < count or count >= ALL_TRADES
        # the last one may go on behind what was read
        if complete or len(rows) > limit:
            return rows[:limit]
        count *= 4


def last_aggregates(context: Context, symbol: Symbol, limit: int) -> list[Aggregate]:
    """The newest `limit` aggregates, oldest first."""
    count = limit * 2 + 64
    while True:
        found = context.exchange.trades(symbol.market.symbol, min(count, ALL_TRADES))
        rows = aggregate(found)
        complete = len(found) < count or count >= ALL_TRADES
        # the first one may have begun before what was read
        if complete or len(rows) > limit:
            return rows[-limit:]
        count *= 4


# ---- candles ---------------------------------------------------------------------------------------


async def klines(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    interval = parameters.required("interval")
    if interval not in INTERVALS_S:
        raise BinanceError(-1120, "Invalid interval.")
    start_ns, end_ns = parameters.span()
    zone = parameters.text("timeZone")
    limit = parameters.limit(500, TRADES_LIMIT)
    parameters.finish()
    if zone not in {None, "0", "00:00", "+00:00"}:
        raise invalid_data("timeZone")
    found = candles(context, symbol, interval, limit, start_ns=start_ns, end_ns=end_ns)
    return [kline_row(candle, interval, symbol, context.time) for candle in found]


def candles(
    context: Context, symbol: Symbol, interval: str, limit: int, *, start_ns: int = 0, end_ns: int = 0
) -> list[Candle]:
    """Candles that open in [start_ns, end_ns], oldest first; the last `limit` without a start."""
    name = symbol.market.symbol
    if interval in {"1w", "1M"}:
        days = context.exchange.candles(name, 86_400, DAYS_KEPT)
        found = [row for row in merged(days, interval) if row.open_ns >= start_ns]
        if end_ns:
            found = [row for row in found if row.open_ns <= end_ns]
        return found[:limit] if start_ns else found[-limit:]
    seconds = INTERVALS_S[interval]
    if start_ns:
        found = context.exchange.candles(name, seconds, limit, since_ns=start_ns)
        return [row for row in found if not end_ns or row.open_ns <= end_ns]
    return context.exchange.candles(name, seconds, limit, until_ns=end_ns + 1 if end_ns else 0)


def opening_ns(time_ns: int, interval: str) -> int:
    """When the interval that holds a moment began."""
    if interval == "1M":
        moment = datetime.fromtimestamp(time_ns // SECOND_NS, UTC)
        return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * SECOND_NS
    if interval == "1w":
        # 1970-01-01 was a Thursday: weeks are counted from the Monday before it
        days = time_ns // DAY_NS
        return (days - (days + 3) % 7) * DAY_NS
    span_ns = INTERVALS_S[interval] * SECOND_NS
    return time_ns - time_ns % span_ns


def closing_ns(open_ns: int, interval: str) -> int:
    """The last nanosecond of an interval."""
    if interval == "1M":
        moment = datetime.fromtimestamp(open_ns // SECOND_NS, UTC)
        year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
        return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * SECOND_NS - 1
    return open_ns + INTERVALS_S[interval] * SECOND_NS - 1


def merged(days: list[Candle], interval: str) -> list[Candle]:
    """Daily candles joined into weeks or months."""
    found: list[Candle] = []
    for day in days:
        start_ns = opening_ns(day.open_ns, interval)
        if not found or found[-1].open_ns != start_ns:
            found.append(_moved(day, start_ns))
            continue
        last = found[-1]
        found[-1] = Candle(
            open_ns=start_ns,
            open_ticks=last.open_ticks,
            high_ticks=max(last.high_ticks, day.high_ticks),
            low_ticks=min(last.low_ticks, day.low_ticks),
            close_ticks=day.close_ticks,
            lots=last.lots + day.lots,
            taker_buy_lots=last.taker_buy_lots + day.taker_buy_lots,
            quote_volume=last.quote_volume + day.quote_volume,
            taker_buy_quote=last.taker_buy_quote + day.taker_buy_quote,
            trades=last.trades + day.trades,
        )
    return found


def _moved(day: Candle, start_ns: int) -> Candle:
    return Candle(
        open_ns=start_ns,
        open_ticks=day.open_ticks,
        high_ticks=day.high_ticks,
        low_ticks=day.low_ticks,
        close_ticks=day.close_ticks,
        lots=day.lots,
        taker_buy_lots=day.taker_buy_lots,
        quote_volume=day.quote_volume,
        taker_buy_quote=day.taker_buy_quote,
        trades=day.trades,
    )


def kline_row(candle: Candle, interval: str, symbol: Symbol, time: Time) -> list[Any]:
    """A row of twelve."""
    return [
        time(candle.open_ns),
        symbol.price(candle.open_ticks),
        symbol.price(candle.high_ticks),
        symbol.price(candle.low_ticks),
        symbol.price(candle.close_ticks),
        symbol.quantity(candle.lots),
        time(closing_ns(candle.open_ns, interval)),
        decimal_text(candle.quote_volume),
        candle.trades,
        symbol.quantity(candle.taker_buy_lots),
        decimal_text(candle.taker_buy_quote),
        "0",
    ]


# ---- tickers ---------------------------------------------------------------------------------------


async def average_price(context: Context, parameters: Parameters) -> Any:
    symbol = context.symbol(parameters.symbol())
    parameters.finish()
    price, last_ns = average(context, symbol)
    return {
        "mins": AVERAGE_MINUTES,
        "price": cut_text(price),
        "closeTime": context.time(last_ns),
    }


def average(context: Context, symbol: Symbol) -> tuple[Decimal, int]:
    """Volume-weighted price of the last minutes (else the last price, else 0), and the last trade's time."""
    since_ns = context.now_ns - AVERAGE_MINUTES * 60 * SECOND_NS
    found = context.exchange.trades(symbol.market.symbol, ALL_TRADES, since_ns=since_ns)
    if not found:
        found = context.exchange.trades(symbol.market.symbol, 1)
    lots = sum(trade.lots for trade in found)
    if not lots:
        return Decimal(0), 0
    ticks = Decimal(sum(trade.price_ticks * trade.lots for trade in found)) / lots
    return ticks * symbol.tick, found[-1].time_ns


def chosen(context: Context, parameters: Parameters) -> tuple[list[Symbol], bool]:
    """The symbols that a ticker call is about, and whether it is about one."""
    single = parameters.has("symbol")
    names = parameters.symbols()
    if names is None:
        return context.venue.symbols.all(), False
    return [context.symbol(name) for name in names], single


def ticker_type(parameters: Parameters) -> bool:
    """Whether the short form was asked for."""
    kind = parameters.text("type")
    if kind not in {None, "FULL", "MINI"}:
        raise BinanceError(-1139, "Invalid ticker type.")
    return kind == "MINI"


async def ticker_24hr(context: Context, parameters: Parameters) -> Any:
    symbols, single = chosen(context, parameters)
    mini = ticker_type(parameters)
    parameters.text("symbolStatus")
    parameters.finish()
    rows = [day_ticker(context, symbol, mini=mini) for symbol in symbols]
    return rows[0] if single else rows


def day_ticker(context: Context, symbol: Symbol, *, mini: bool) -> dict[str, Any]:
    """Statistics of the last 24 hours."""
    ticker = context.exchange.ticker(symbol.market.symbol)
    last_id = ticker.last.trade_id if ticker.last is not None else -1
    first_id = ticker.first_trade_id if ticker.first_trade_id is not None else -1
    tail = {
        "openTime": context.time(ticker.time_ns - DAY_NS),
        "closeTime": context.time(ticker.time_ns),
        "firstId": first_id,
        "lastId": last_id if ticker.trades else -1,
        "count": ticker.trades,
    }
    prices = {
        "openPrice": _price(symbol, ticker.open_ticks),
        "highPrice": _price(symbol, ticker.high_ticks),
        "lowPrice": _price(symbol, ticker.low_ticks),
        "lastPrice": symbol.price(ticker.last.price_ticks) if ticker.last is not None else ZERO,
        "volume": symbol.quantity(ticker.lots),
        "quoteVolume": decimal_text(ticker.quote_volume),
    }
    if mini:
        return {"symbol": symbol.name, **prices, **tail}
    change, percent, weighted = day_changes(ticker, symbol)
    return {
        "symbol": symbol.name,
        "priceChange": change,
        "priceChangePercent": percent,
        "weightedAvgPrice": weighted,
        "prevClosePrice": prices["openPrice"],
        "lastPrice": prices["lastPrice"],
        "lastQty": symbol.quantity(ticker.last.lots) if ticker.last is not None else ZERO,
        **best_prices(ticker, symbol),
        "openPrice": prices["openPrice"],
        "highPrice": prices["highPrice"],
        "lowPrice": prices["lowPrice"],
        "volume": prices["volume"],
        "quoteVolume": prices["quoteVolume"],
        **tail,
    }


def _price(symbol: Symbol, ticks: int | None) -> str:
    return symbol.price(ticks) if ticks is not None else ZERO


def day_changes(ticker: Ticker, symbol: Symbol) -> tuple[str, str, str]:
    """Price change, in percent, and the volume-weighted average, as text."""
    if ticker.last is None or ticker.open_ticks is None or not ticker.lots:
        return ZERO, "0.000", ZERO
    change = ticker.last.price_ticks - ticker.open_ticks
    percent = Decimal(change * 100) / ticker.open_ticks
    average_price = ticker.quote_volume / (symbol.lot * ticker.lots)
    sign = "-" if change < 0 else ""
    return f"{sign}{symbol.price(abs(change))}", f"{percent:.3f}", cut_text(average_price)


def best_prices(ticker: Ticker, symbol: Symbol) -> dict[str, str]:
    return {
        "bidPrice": symbol.price(ticker.bid[0]) if ticker.bid else ZERO,
        "bidQty": symbol.quantity(ticker.bid[1]) if ticker.bid else ZERO,
        "askPrice": symbol.price(ticker.ask[0]) if ticker.ask else ZERO,
        "askQty": symbol.quantity(ticker.ask[1]) if ticker.ask else ZERO,
    }


async def ticker_price(context: Context, parameters: Parameters) -> Any:
    symbols, single = chosen(context, parameters)
    parameters.text("symbolStatus")
    parameters.finish()
    rows = []
    for symbol in symbols:
        last = context.exchange.trades(symbol.market.symbol, 1)
        price = symbol.price(last[-1].price_ticks) if last else ZERO
        rows.append({"symbol": symbol.name, "price": price})
    return rows[0] if single else rows


async def ticker_book(context: Context, parameters: Parameters) -> Any:
    symbols, single = chosen(context, parameters)
    parameters.text("symbolStatus")
    parameters.finish()
    rows = []
    for symbol in symbols:
        ticker = context.exchange.ticker(symbol.market.symbol)
        rows.append({"symbol": symbol.name, **best_prices(ticker, symbol)})
    return rows[0] if single else rows


def ticker_weight(parameters: Parameters) -> int:
    """`ticker/24hr`."""
    if "symbol" in parameters.values:
        return 2
    if "symbols" in parameters.values:
        count = parameters.values["symbols"].count(",") + 1
        return 2 if count <= 20 else 40 if count <= 100 else 80
    return 80


def short_ticker_weight(parameters: Parameters) -> int:
    """`ticker/price` and `ticker/bookTicker`."""
    return 2 if "symbol" in parameters.values else 4


WINDOWS_S: Final = {"m": 60, "h": 3_600, "d": 86_400}


async def ticker_window(context: Context, parameters: Parameters) -> Any:
    """The rolling window: 1m to 59m, 1h to 23h, 1d to 7d; it opens at a full minute."""
    symbols, single = chosen(context, parameters)
    if not parameters.has("symbol") and not parameters.has("symbols"):
        raise BinanceError(-1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!")
    mini = ticker_type(parameters)
    window = parameters.text("windowSize") or "1d"
    parameters.text("symbolStatus")
    parameters.finish()
    number, unit = window[:-1], window[-1:]
    most = {"m": 59, "h": 23, "d": 7}.get(unit, 0)
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= most):
        raise invalid_data("windowSize")
    span_ns = int(number) * WINDOWS_S[unit] * SECOND_NS
    start_ns = (context.now_ns - span_ns) // (60 * SECOND_NS) * 60 * SECOND_NS
    rows = [window_ticker(context, symbol, start_ns, mini=mini) for symbol in symbols]
    return rows[0] if single else rows


async def ticker_trading_day(context: Context, parameters: Parameters) -> Any:
    """Since midnight UTC."""
    symbols, single = chosen(context, parameters)
    if not parameters.has("symbol") and not parameters.has("symbols"):
        raise BinanceError(-1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!")
    mini = ticker_type(parameters)
    if parameters.text("timeZone") not in {None, "0", "00:00", "+00:00"}:
        raise invalid_data("timeZone")
    parameters.text("symbolStatus")
    parameters.finish()
    start_ns = context.now_ns // DAY_NS * DAY_NS
    rows = [window_ticker(context, symbol, start_ns, mini=mini) for symbol in symbols]
    return rows[0] if single else rows


def window_ticker(context: Context, symbol: Symbol, start_ns: int, *, mini: bool) -> dict[str, Any]:
    """Statistics since a full minute, from candles of a minute."""
    minutes = context.exchange.candles(symbol.market.symbol, 60, 10_080, since_ns=start_ns)
    traded = [candle for candle in minutes if candle.trades]
    newest = context.exchange.trades(symbol.market.symbol, 1) if traded else []
    count = sum(candle.trades for candle in traded)
    lots = sum(candle.lots for candle in traded)
    quote = sum((candle.quote_volume for candle in traded), Decimal(0))
    change, percent, weighted = ZERO, "0.000", ZERO
    if traded and lots:
        opened, closed = traded[0].open_ticks, traded[-1].close_ticks
        difference = closed - opened
        change = ("-" if difference < 0 else "") + symbol.price(abs(difference))
        percent = f"{Decimal(difference * 100) / opened:.3f}"
        weighted = cut_text(quote / (symbol.lot * lots))
    body: dict[str, Any] = {"symbol": symbol.name}
    if not mini:
        body |= {
            "priceChange": change,
            "priceChangePercent": percent,
            "weightedAvgPrice": weighted,
        }
    last_id = newest[-1].trade_id if newest else -1
    return body | {
        "openPrice": symbol.price(traded[0].open_ticks) if traded else ZERO,
        "highPrice": symbol.price(max(one.high_ticks for one in traded)) if traded else ZERO,
        "lowPrice": symbol.price(min(one.low_ticks for one in traded)) if traded else ZERO,
        "lastPrice": symbol.price(traded[-1].close_ticks) if traded else ZERO,
        "volume": symbol.quantity(lots),
        "quoteVolume": decimal_text(quote),
        "openTime": context.time(start_ns),
        "closeTime": context.time(context.now_ns),
        "firstId": last_id - count + 1 if newest else -1,
        "lastId": last_id,
        "count": count,
    }
