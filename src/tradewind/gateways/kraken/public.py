"""Kraken's public REST calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tradewind.gateways.kraken.board import Boards
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.errors import invalid
from tradewind.gateways.kraken.numbers import SECOND_NS, at_least, number, rfc1123, rfc3339
from tradewind.gateways.kraken.parameters import Fields
from tradewind.gateways.kraken.rows import (
    COST_DECIMALS,
    PairFormat,
    Row,
    candle_row,
    level_rows,
    ticker_row,
    trade_row,
)
from tradewind.gateways.kraken.symbols import ASSET_DECIMALS, AssetName, PairName

MAX_PAIRS: Final = 256
MAX_DEPTH: Final = 500
MAX_TRADES: Final = 1_000
MAX_CANDLES: Final = 720
DAY_S: Final = 86_400
INTERVALS: Final = frozenset({1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600})
PAIR_PARTS: Final = {
    "info": None,
    "leverage": ("leverage_buy", "leverage_sell"),
    "fees": ("fees", "fees_maker", "fee_volume_currency"),
    "margin": ("margin_call", "margin_stop"),
}
MAX_PERCENT: Final = 100

Handler = Callable[[Fields], Any]


def asset_row(asset: AssetName) -> Row:
    """One asset of Assets."""
    return {
        "aclass": "currency",
        "altname": asset.alternative,
        "decimals": ASSET_DECIMALS,
        "display_decimals": asset.display_decimals,
        "status": "enabled",
    }


def pair_row(pair: PairFormat, status: str) -> Row:
    """One pair of AssetPairs. Spot only: no leverage, one fee for every volume."""
    market, instrument = pair.market, pair.market.instrument
    percent = [[0, number(at_least(bps / MAX_PERCENT, 2))] for bps in (market.taker_bps, market.maker_bps)]
    row: Row = {
        "altname": pair.name.alternative,
        "wsname": pair.name.wsname,
        "aclass_base": "currency",
        "base": pair.base.code,
        "aclass_quote": "currency",
        "quote": pair.quote.code,
        "lot": "unit",
        "cost_decimals": COST_DECIMALS,
        "pair_decimals": pair.price_decimals,
        "lot_decimals": pair.lot_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [percent[0]],
        "fees_maker": [percent[1]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "tick_size": at_least(instrument.tick, 0),
        "status": status,
    }
    if instrument.min_quantity is not None:
        row["ordermin"] = at_least(instrument.min_quantity, 0)
    if instrument.min_notional is not None:
        row["costmin"] = at_least(instrument.min_notional, 0)
    return row


class PublicCalls:
    """Handlers by method name; each returns the `result` or raises `KrakenError`."""

    def __init__(self, desk: Desk, boards: Boards) -> None:
        self._desk, self._exchange, self._boards = desk, desk.exchange, boards
        self.handlers: dict[str, Handler] = {
            "Time": self._time,
            "SystemStatus": self._system_status,
            "Assets": self._assets,
            "AssetPairs": self._asset_pairs,
            "Ticker": self._ticker,
            "Depth": self._depth,
            "Trades": self._trades,
            "OHLC": self._candles,
            "Spread": self._spread,
        }

    def _pairs(self, fields: Fields) -> list[tuple[str, PairName, PairFormat]]:
        """(name as asked, names, format) of the pairs that were asked for; all without a name."""
        asked = fields.words("pair", MAX_PAIRS)
        if not asked:
            asked = [self._desk.pair(symbol).name.key for symbol in self._exchange.markets]
        return [(name, *self._desk.find_pair(name)) for name in asked]

    def _one_pair(self, fields: Fields) -> tuple[str, PairFormat]:
        """(key of the answer, format) of the pair."""
        name = fields.required("pair")
        names, pair = self._desk.find_pair(name)
        return self._desk.names.key(name, names), pair

    def _time(self, fields: Fields) -> Row:
        now_ns = self._desk.now_ns()
        return {"unixtime": now_ns // SECOND_NS, "rfc1123": rfc1123(now_ns)}

    def _system_status(self, fields: Fields) -> Row:
        return {"status": self._desk.system, "timestamp": rfc3339(self._desk.now_ns(), 0)}

    def _assets(self, fields: Fields) -> Row:
        if fields.text("aclass", "currency") not in ("currency", ""):
            raise invalid("aclass")
        asked = fields.words("asset", MAX_PAIRS)
        assets = [self._desk.find_asset(one) for one in asked] if asked else self._desk.names.assets.values()
        return {asset.code: asset_row(asset) for asset in assets}

    def _asset_pairs(self, fields: Fields) -> Row:
        part = fields.text("info", "info") or "info"
        if part not in PAIR_PARTS:
            raise invalid("info")
        rows = {}
        for name, names, pair in self._pairs(fields):
            row = pair_row(pair, self._desk.pair_status(names.canonical))
            wanted = PAIR_PARTS[part]
            rows[self._desk.names.key(name, names)] = (
                row if wanted is None else {one: row[one] for one in wanted}
            )
        return rows

    def _ticker(self, fields: Fields) -> Row:
        midnight_ns = self._desk.now_ns() // (DAY_S * SECOND_NS) * DAY_S * SECOND_NS
        rows = {}
        for name, names, pair in self._pairs(fields):
            candles = self._exchange.candles(names.canonical, DAY_S, 1)
            today = candles[-1] if candles and candles[-1].open_ns >= midnight_ns else None
            rows[self._desk.names.key(name, names)] = ticker_row(
                pair, self._exchange.ticker(names.canonical), today
            )
        return rows

    def _depth(self, fields: Fields) -> Row:
        key, pair = self._one_pair(fields)
        book = self._exchange.book(pair.market.symbol, fields.whole("count", 100, 1, MAX_DEPTH))
        at_s = book.time_ns // SECOND_NS
        return {key: {"asks": level_rows(pair, book.asks, at_s), "bids": level_rows(pair, book.bids, at_s)}}

    def _trades(self, fields: Fields) -> Row:
        """`since`: ns (exclusive), or seconds where it is short; `last` continues behind the page."""
        key, pair = self._one_pair(fields)
        since = _cursor_ns(fields)
        count = fields.whole("count", MAX_TRADES, 1, MAX_TRADES)
        trades = self._exchange.trades(pair.market.symbol, count, 0, 0 if since is None else since + 1)
        last = trades[-1].time_ns if trades else since if since is not None else self._desk.now_ns()
        while trades and len(trades) == count:
            # the cursor is a time, so a page must not end between two trades of one moment
            more = self._exchange.trades(pair.market.symbol, MAX_TRADES, trades[-1].trade_id, 0)
            same = [one for one in more if one.time_ns == last]
            trades += same
            if len(same) < len(more) or not same:
                break
        return {key: [trade_row(pair, one) for one in trades], "last": str(last)}

    def _candles(self, fields: Fields) -> Row:
        key, pair = self._one_pair(fields)
        interval = fields.whole("interval", 1, 1, max(INTERVALS))
        if interval not in INTERVALS:
            raise invalid("interval")
        candles = self._exchange.candles(pair.market.symbol, interval * 60, MAX_CANDLES)
        since = _cursor_ns(fields)
        if since is not None:
            candles = [one for one in candles if one.open_ns > since]
        rows = [candle_row(pair, one) for one in candles]
        committed = rows[-2][0] if len(rows) > 1 else rows[-1][0] if rows else 0
        return {key: rows, "last": committed}

    def _spread(self, fields: Fields) -> Row:
        key, pair = self._one_pair(fields)
        since = _cursor_ns(fields)
        rows = [
            [at_ns // SECOND_NS, pair.rest_price(bid), pair.rest_price(ask)]
            for at_ns, bid, ask in self._boards.board(pair.market.symbol).spreads
            if since is None or at_ns // SECOND_NS >= since // SECOND_NS
        ]
        return {key: rows, "last": rows[-1][0] if rows else self._desk.now_ns() // SECOND_NS}


def _cursor_ns(fields: Fields) -> int | None:
    """`since`: seconds, or ns where it has more digits than seconds ever have."""
    text = fields.text("since")
    if not text:
        return None
    whole = text.partition(".")[0]
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 20):
        raise invalid("since")
    value = int(whole)
    return value if len(whole) > 12 else value * SECOND_NS
