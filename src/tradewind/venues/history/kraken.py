"""Kraken's public history: trades by a cursor in ns, the last 720 candles."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Final

from tradewind.venues.kraken.instruments import canonical_symbol
from tradewind.venues.market_data import UnknownSymbol

from .client import HistoryClient
from .model import INTERVALS_S, SECOND_NS, HistoryError, HistoryKind, Row, Span, number, seconds_ns, whole

URL: Final = "https://api.kraken.com"
SIDES: Final = {"b": "buy", "s": "sell"}
ORDER_TYPES: Final = {"l": "limit", "m": "market"}
MAX_PAGES: Final = 100_000
MAX_CANDLES: Final = 720


def parse(body: bytes) -> Any:
    """JSON whose numbers with a fraction are decimals. Raises `HistoryError`."""
    try:
        return json.loads(body, parse_float=Decimal)
    except ValueError as error:
        raise HistoryError("BAD_ANSWER", f"no JSON: {body[:80]!r}") from error


def error_text(body: bytes) -> str:
    """The first error of an answer."""
    found = parse(body)
    errors = found.get("error") if isinstance(found, dict) else None
    if not isinstance(errors, list):
        raise HistoryError("BAD_ANSWER", f"no answer of this venue: {body[:80]!r}")
    return str(errors[0]) if errors else ""


class KrakenHistory:
    """History of one pair."""

    def __init__(self, client: HistoryClient, symbol: str) -> None:
        self.client, self.symbol = client, symbol.upper()
        self._pair: str | None = None

    async def rows(self, kind: HistoryKind, interval: str, span: Span) -> AsyncIterator[Row]:
        """Rows of the span, oldest first. Raises `HistoryError`."""
        if kind is HistoryKind.AGG_TRADES:
            raise HistoryError("NOT_OFFERED", "Kraken has no aggregate trades; take --kind trades")
        source = self._candles(interval, span) if kind is HistoryKind.CANDLES else self._trades(span)
        async for row in source:
            yield row

    async def _name(self) -> str:
        """The name that the venue's REST calls know the pair by."""
        if self._pair is None:
            result = parse(await self.client.get("/0/public/AssetPairs"))["result"]
            for row in result.values():
                try:
                    if canonical_symbol(row["wsname"]) == self.symbol:
                        self._pair = row["altname"]
                        return row["altname"]  # type: ignore[no-any-return]
                except (UnknownSymbol, KeyError, TypeError):
                    continue
            raise HistoryError("UNKNOWN_SYMBOL", f"Kraken does not list {self.symbol}")
        return self._pair

    async def _page(self, call: str, **fields: str) -> tuple[list[Any], Any]:
        answer = parse(await self.client.get(f"/0/public/{call}", {"pair": await self._name(), **fields}))
        try:
            result = answer["result"]
            last = result["last"]
            [rows] = [value for key, value in result.items() if key != "last"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise HistoryError("BAD_ANSWER", f"{call} has no rows and cursor") from error
        if not isinstance(rows, list):
            raise HistoryError("BAD_ANSWER", f"{call} has no rows")
        return rows, last

    async def _trades(self, span: Span) -> AsyncIterator[Row]:
        """Pages behind a cursor; a page that repeats trades of the one before is thinned by their ids."""
        cursor, newest_id = span.from_ns - 1, -1
        for _ in range(MAX_PAGES):
            rows, last = await self._page("Trades", since=str(cursor), count="1000")
            fresh = [one for one in map(trade_row, rows) if int(one[4]) > newest_id]
            for row in fresh:
                newest_id = int(row[4])
                if int(row[0]) >= span.to_ns:
                    return
                if int(row[0]) >= span.from_ns:
                    yield row
            before, cursor = cursor, whole(last)
            if not fresh or cursor >= span.to_ns:
                return
            if cursor <= before:
                raise HistoryError("BAD_ANSWER", "Trades: the cursor does not move, though there are rows")
        raise HistoryError("BAD_ANSWER", f"Trades: more than {MAX_PAGES} pages a day")

    async def _candles(self, interval: str, span: Span) -> AsyncIterator[Row]:
        """The venue keeps 720 of an interval and says nothing of older ones: those are refused, not empty."""
        step_ns = INTERVALS_S[interval] * SECOND_NS
        rows, _ = await self._page("OHLC", interval=str(INTERVALS_S[interval] // 60))
        if len(rows) >= MAX_CANDLES and rows and seconds_ns(rows[0][0]) > span.from_ns:
            raise HistoryError(
                "NOT_KEPT", f"Kraken keeps {MAX_CANDLES} candles; its oldest of {interval} is younger than"
                f" {span.day}: fetch trades instead",
            )  # fmt: skip
        for row in rows[:-1]:  # the last one is still open
            candle = candle_row(row)
            if span.from_ns <= int(candle[0]) and int(candle[0]) + step_ns <= span.to_ns:
                yield candle


def trade_row(row: Any) -> Row:
    try:
        price, quantity, time_s, side, kind, _, trade_id, *_ = row
    except (TypeError, ValueError) as error:
        raise HistoryError("BAD_ROW", f"a trade of {str(row)[:80]!r}") from error
    return (
        str(seconds_ns(time_s)), number(price), number(quantity), SIDES.get(side, ""), str(whole(trade_id)),
        ORDER_TYPES.get(kind, str(kind)[:16]),
    )  # fmt: skip


def candle_row(row: Any) -> Row:
    try:
        open_s, first, high, low, close, vwap, volume, count, *_ = row
    except (TypeError, ValueError) as error:
        raise HistoryError("BAD_ROW", f"a candle of {str(row)[:80]!r}") from error
    prices = tuple(number(one) for one in (first, high, low, close))
    trades = whole(count)
    average = number(vwap) if trades else ""
    return (str(seconds_ns(open_s)), *prices, number(volume), "", average, str(trades))
