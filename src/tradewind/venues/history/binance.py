"""Binance's public history over REST: aggregate trades and candles, in pages of 1,000."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from .client import BinanceBudget, HistoryClient
from .kraken import parse
from .model import INTERVALS_S, SECOND_NS, HistoryError, HistoryKind, Row, Span, number, whole

URL: Final = "https://api.binance.com"
PREFIX: Final = "/api/v3"
PAGE: Final = 1_000
MS_NS: Final = 1_000_000
HOUR_NS: Final = 3_600 * SECOND_NS
KLINES_WEIGHT: Final = 2
AGGREGATES_WEIGHT: Final = 4
MAX_PAGES: Final = 100_000


class BinanceHistory:
    """History of one symbol."""

    def __init__(self, client: HistoryClient, budget: BinanceBudget, symbol: str) -> None:
        self.client, self.budget = client, budget
        self.symbol = symbol.upper().replace("/", "")
        self._loaded = False

    async def rows(self, kind: HistoryKind, interval: str, span: Span) -> AsyncIterator[Row]:
        """Rows of the span, oldest first. Raises `HistoryError`."""
        if kind is HistoryKind.TRADES:
            raise HistoryError(
                "NOT_OFFERED", "single trades are only in Binance's archive; take agg-trades for this day"
            )
        await self._load()
        source = self._candles(interval, span) if kind is HistoryKind.CANDLES else self._aggregates(span)
        async for row in source:
            yield row

    async def _load(self) -> None:
        """The venue's limits, before anything is asked of it."""
        if self._loaded:
            return
        answer = parse(await self.client.get(f"{PREFIX}/exchangeInfo", {"symbol": self.symbol}, weight=0))
        try:
            self.budget.load(answer["rateLimits"])
        except (KeyError, TypeError) as error:
            raise HistoryError("BAD_ANSWER", "exchangeInfo has no rateLimits") from error
        self._loaded = True

    async def _page(self, call: str, weight: int, **fields: str) -> list[Any]:
        params = {"symbol": self.symbol, "limit": str(PAGE), **fields}
        rows = parse(await self.client.get(f"{PREFIX}/{call}", params, weight=weight))
        if not isinstance(rows, list):
            raise HistoryError("BAD_ANSWER", f"{call} answered no rows")
        return rows

    async def _candles(self, interval: str, span: Span) -> AsyncIterator[Row]:
        step_ns, at_ns = INTERVALS_S[interval] * SECOND_NS, span.from_ns
        for _ in range(MAX_PAGES):
            rows = await self._page(
                "klines", KLINES_WEIGHT, interval=interval, startTime=str(at_ns // MS_NS),
                endTime=str(span.to_ns // MS_NS - 1),
            )  # fmt: skip
            for row in rows:
                candle = candle_row(row)
                if int(candle[0]) < at_ns:
                    raise HistoryError("BAD_ANSWER", "klines: candles before the start that was asked for")
                if int(candle[0]) + step_ns > span.to_ns:
                    return
                yield candle
                at_ns = int(candle[0]) + MS_NS
            if len(rows) < PAGE:
                return
        raise HistoryError("BAD_ANSWER", f"klines: more than {MAX_PAGES} pages a day")

    async def _aggregates(self, span: Span) -> AsyncIterator[Row]:
        """The first one by time, in windows of an hour; from there on by id, which misses nothing."""
        rows: list[Any] = []
        begin_ns = span.from_ns
        while begin_ns < span.to_ns and not rows:
            end_ns = min(begin_ns + HOUR_NS, span.to_ns)
            rows = await self._page(
                "aggTrades", AGGREGATES_WEIGHT, startTime=str(begin_ns // MS_NS),
                endTime=str(end_ns // MS_NS - 1),
            )  # fmt: skip
            begin_ns = end_ns
        for _ in range(MAX_PAGES):
            next_id = None
            for row in rows:
                trade = aggregate_row(row)
                if int(trade[0]) >= span.to_ns:
                    return
                next_id = int(trade[4]) + 1
                if int(trade[0]) >= span.from_ns:
                    yield trade
            if next_id is None:
                return
            rows = await self._page("aggTrades", AGGREGATES_WEIGHT, fromId=str(next_id))
        raise HistoryError("BAD_ANSWER", f"aggTrades: more than {MAX_PAGES} pages a day")


def moment_ns(value: object) -> int:
    """Milliseconds, or microseconds where there are more digits (the archive from 2025 on), in ns."""
    count = whole(value)
    if count < 10**14:
        return count * MS_NS
    if count < 10**17:
        return count * 1_000
    raise HistoryError("BAD_ROW", f"{count} is no time in ms or us")


def candle_row(row: Any) -> Row:
    """A kline, of REST or of the archive. Raises `HistoryError`."""
    try:
        opened, first, high, low, close, volume, _, quote, trades, *_ = row
    except (TypeError, ValueError) as error:
        raise HistoryError("BAD_ROW", f"a candle of {str(row)[:80]!r}") from error
    numbers = tuple(number(one) for one in (first, high, low, close, volume, quote))
    return (str(moment_ns(opened)), *numbers, "", str(whole(trades)))


def taker_side(buyer_was_maker: object) -> str:
    """Side of the order that took. Raises `HistoryError`."""
    word = buyer_was_maker.lower() if isinstance(buyer_was_maker, str) else buyer_was_maker
    if word is True or word == "true":
        return "sell"
    if word is False or word == "false":
        return "buy"
    raise HistoryError("BAD_ROW", f"{str(buyer_was_maker)[:20]!r} is neither true nor false")


def aggregate_row(row: Any) -> Row:
    try:
        fields = (row["T"], row["p"], row["q"], row["m"], row["a"], row["f"], row["l"])
    except (KeyError, TypeError) as error:
        raise HistoryError("BAD_ROW", f"an aggregate trade of {str(row)[:80]!r}") from error
    time_ms, price, quantity, maker, *ids = fields
    return (
        str(moment_ns(time_ms)), number(price), number(quantity), taker_side(maker),
        *(str(whole(one)) for one in ids),
    )  # fmt: skip
