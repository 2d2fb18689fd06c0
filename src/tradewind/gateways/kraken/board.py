"""Market data of WebSocket v2: a board a market turns what the exchange publishes into frames."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from tradewind.core.native import BookSide
from tradewind.gateways.exchange import Subscription
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.level3 import OrderView
from tradewind.gateways.kraken.numbers import rfc3339
from tradewind.gateways.kraken.rows import (
    PairFormat,
    Row,
    socket_candle,
    socket_levels,
    socket_ticker,
    socket_trade,
)
from tradewind.gateways.model import BookChange, PublicTrade
from tradewind.venues.feeds.checksum import CHECKSUM_LEVELS, kraken_levels_checksum
from tradewind.venues.market_data import Level, Side

DEPTHS: Final = (10, 25, 100, 500, 1_000)
INTERVALS: Final = (1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600)
MAX_LEVELS: Final = 1_000_000
"""Levels of a side that a board keeps; an engine has fewer."""
SPREADS_KEPT: Final = 200
TRADES_SHOWN: Final = 50
CANDLES_SHOWN: Final = 720

ENCODER: Final = msgspec.json.Encoder()


class Listener(Protocol):
    """A connection, as a board sees it."""

    def send(self, channel: str, frame: bytes) -> None:
        """Queue a frame; must not block and must not raise."""


def encoded(message: dict[str, Any]) -> bytes:
    """A message as it goes out."""
    return ENCODER.encode(message)


def data_frame(channel: str, kind: str, data: Any, **more: Any) -> bytes:
    """{"channel":…,"type":…,"data":…}."""
    return encoded({"channel": channel, "type": kind, "data": data, **more})


class DepthView:
    """The best levels of one depth as its subscribers have them."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.listeners: dict[Listener, None] = {}
        self.shown: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}

    def changes(self, side: BookSide) -> list[Level]:
        """Levels to send so that a subscriber that applies them and cuts to the depth has the best levels.

        A level that is only pushed out by better ones is not sent: cutting removes it.
        """
        before, after = self.shown[Side(side.side)], dict(side.top(self.depth))
        if before == after:
            return []
        self.shown[Side(side.side)] = after
        gone = [(price, 0) for price in before if price not in after and price not in side]
        return gone + [(price, lots) for price, lots in after.items() if before.get(price) != lots]


class Board:
    """One market. Lives as long as its gateway."""

    def __init__(self, desk: Desk, symbol: str) -> None:
        self._desk, self.symbol = desk, symbol
        self.views: dict[int, DepthView] = {}
        self.order_views: dict[int, OrderView] = {}
        self.trades: dict[Listener, None] = {}
        self.tickers: dict[str, dict[Listener, None]] = {"trades": {}, "bbo": {}}
        self.candles: dict[int, dict[Listener, None]] = {}
        self.spreads: deque[tuple[int, int, int]] = deque(maxlen=SPREADS_KEPT)
        """(ns, best bid, best ask) at every change of one of them."""
        self._sides = {side: BookSide(side, MAX_LEVELS) for side in Side}
        self._subscription: Subscription = desk.exchange.listen_market(symbol, self._on_book, self._on_trade)
        book = desk.exchange.book(symbol)
        self._update_id, self._time_ns = book.update_id, book.time_ns
        self._sides[Side.BUY].replace(book.bids)
        self._sides[Side.SELL].replace(book.asks)
        self._checksum = kraken_levels_checksum(self._pair.market.instrument)
        self._summary_due = False
        self._top: tuple[Level | None, Level | None] = (None, None)
        self._note_top()

    @property
    def _pair(self) -> PairFormat:
        return self._desk.pair(self.symbol)

    def close(self) -> None:
        """Hears nothing more."""
        self._subscription.close()

    # ---- the exchange moves ----------------------------------------------------------------------------

    def _on_book(self, change: BookChange) -> None:
        if change.update_id <= self._update_id:
            return  # already part of the book that the board began with
        self._update_id, self._time_ns = change.update_id, change.time_ns
        bids, asks = self._sides[Side.BUY], self._sides[Side.SELL]
        bids.apply(change.bids)
        asks.apply(change.asks)
        for view in self.views.values():
            changed_bids, changed_asks = view.changes(bids), view.changes(asks)
            if view.listeners and (changed_bids or changed_asks):
                frame = data_frame("book", "update", [self._book_row(changed_bids, changed_asks)])
                send_all(view.listeners, "book", frame)
        for orders in self.order_views.values():
            if orders.listeners:
                self._tell_orders(orders)
        if self._note_top() and self.tickers["bbo"]:
            send_all(self.tickers["bbo"], "ticker", self.ticker_frame("update"))

    def _tell_orders(self, view: OrderView) -> None:
        bids, asks = view.refresh()
        if bids or asks:
            send_all(view.listeners, "level3", data_frame("level3", "update", [view.row(bids, asks)]))

    def _book_row(self, bids: Iterable[Level], asks: Iterable[Level]) -> Row:
        pair = self._pair
        return {
            "symbol": self.symbol,
            "bids": socket_levels(pair, bids),
            "asks": socket_levels(pair, asks),
            "checksum": self._checksum(
                self._sides[Side.SELL].top(CHECKSUM_LEVELS), self._sides[Side.BUY].top(CHECKSUM_LEVELS)
            ),
            "timestamp": rfc3339(self._time_ns),
        }

    def _note_top(self) -> bool:
        """Whether best prices or quantities changed; a changed price is kept for Spread."""
        best = (self._sides[Side.BUY].best, self._sides[Side.SELL].best)
        if best == self._top:
            return False
        prices = tuple(level[0] if level else 0 for level in best)
        if not self.spreads or self.spreads[-1][1:] != prices:
            self.spreads.append((self._time_ns, prices[0], prices[1]))
        self._top = best
        return True

    def _on_trade(self, trade: PublicTrade) -> None:
        if self.trades:
            send_all(self.trades, "trade", data_frame("trade", "update", [socket_trade(self._pair, trade)]))
        if not self._summary_due and (self.tickers["trades"] or any(self.candles.values())):
            self._summary_due = True
            asyncio.get_running_loop().call_soon(self._summarise)

    def _summarise(self) -> None:
        """Ticker and candles once for all trades of a moment: they only show where the market is."""
        self._summary_due = False
        if self.tickers["trades"]:
            send_all(self.tickers["trades"], "ticker", self.ticker_frame("update"))
        for interval, listeners in self.candles.items():
            if listeners:
                send_all(listeners, "ohlc", self.candle_frame(interval, "update"))

    # ---- what a subscriber begins with -----------------------------------------------------------------

    def view(self, depth: int) -> DepthView:
        """The view of a depth, up to date."""
        view = self.views.get(depth)
        if view is None:
            view = self.views[depth] = DepthView(depth)
            for side in self._sides.values():
                view.changes(side)
        return view

    def book_snapshot(self, depth: int) -> bytes:
        """The whole book down to a depth."""
        shown = self.view(depth).shown
        row = self._book_row(shown[Side.BUY].items(), shown[Side.SELL].items())
        return data_frame("book", "snapshot", [row])

    def order_view(self, depth: int) -> OrderView:
        """The orders of a depth, up to date for everybody who listens already."""
        view = self.order_views.setdefault(depth, OrderView(self._desk, self.symbol, depth))
        self._tell_orders(view)
        return view

    def order_snapshot(self, depth: int) -> bytes:
        """Every order down to a depth."""
        view = self.order_views[depth]
        return data_frame("level3", "snapshot", [view.row(*view.orders())])

    def trade_snapshot(self) -> bytes:
        """The last trades, oldest first."""
        rows = [
            socket_trade(self._pair, one) for one in self._desk.exchange.trades(self.symbol, TRADES_SHOWN)
        ]
        return data_frame("trade", "snapshot", rows)

    def ticker_frame(self, kind: str) -> bytes:
        """Best prices and the last 24 hours."""
        return data_frame(
            "ticker", kind, [socket_ticker(self._pair, self._desk.exchange.ticker(self.symbol))]
        )

    def candle_frame(self, interval: int, kind: str) -> bytes:
        """The last candles as a snapshot, the open one as an update."""
        count = CANDLES_SHOWN if kind == "snapshot" else 1
        candles = self._desk.exchange.candles(self.symbol, interval * 60, count)
        rows = [socket_candle(self._pair, one, interval) for one in candles]
        return data_frame("ohlc", kind, rows, timestamp=rfc3339(self._desk.now_ns(), 9))

    def forget(self, listener: Listener) -> None:
        """A connection ended."""
        tables = [self.trades, *self.tickers.values(), *self.candles.values()]
        tables += [view.listeners for view in self.views.values()]
        for table in [*tables, *(view.listeners for view in self.order_views.values())]:
            table.pop(listener, None)


def send_all(listeners: dict[Listener, None], channel: str, frame: bytes) -> None:
    """The same frame to everybody, in the order in which they subscribed."""
    for listener in tuple(listeners):
        listener.send(channel, frame)


class Boards:
    """Boards of every market, and the channels that are about all of them: status and instrument."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._boards = {symbol: Board(desk, symbol) for symbol in desk.exchange.markets}
        self.statuses: dict[Listener, None] = {}
        self.instruments: dict[Listener, None] = {}
        self._system = desk.system
        self._states = self._pair_states()

    def close(self) -> None:
        """Hears nothing more."""
        for board in self._boards.values():
            board.close()

    def board(self, symbol: str) -> Board:
        """The board of a market; one that was listed later gets its own now."""
        found = self._boards.get(symbol)
        if found is None:
            found = self._boards[symbol] = Board(self._desk, symbol)
        return found

    def forget(self, listener: Listener) -> None:
        """A connection ended."""
        self.statuses.pop(listener, None)
        self.instruments.pop(listener, None)
        for board in self._boards.values():
            board.forget(listener)

    def _pair_states(self) -> dict[str, str]:
        return {symbol: self._desk.pair_status(symbol) for symbol in self._desk.exchange.markets}

    def notice(self, status_frame: Callable[[Listener], bytes]) -> None:
        """Tells about states that changed. `status_frame` makes a connection's own frame."""
        if self._desk.system != self._system:
            self._system = self._desk.system
            for listener in tuple(self.statuses):
                listener.send("status", status_frame(listener))
        states = self._pair_states()
        if states != self._states:
            changed = [symbol for symbol, state in states.items() if self._states.get(symbol) != state]
            self._states = states
            if self.instruments:
                data = {"assets": [], "pairs": [instrument_row(self._desk, symbol) for symbol in changed]}
                send_all(self.instruments, "instrument", data_frame("instrument", "update", data))

    def instrument_snapshot(self) -> bytes:
        """Every asset and pair."""
        assets = [
            {
                "id": asset.canonical,
                "status": "enabled",
                "precision": 6,
                "precision_display": asset.display_decimals,
                "borrowable": False,
                "collateral_value": 0,
                "margin_rate": 0,
            }
            for asset in self._desk.names.assets.values()
        ]
        pairs = [instrument_row(self._desk, symbol) for symbol in self._desk.exchange.markets]
        return data_frame("instrument", "snapshot", {"assets": assets, "pairs": pairs})


def instrument_row(desk: Desk, symbol: str) -> Row:
    """One pair of the `instrument` channel."""
    pair = desk.pair(symbol)
    instrument = pair.market.instrument
    base, quote = symbol.split("/")
    row: Row = {
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "status": desk.pair_status(symbol),
        "qty_precision": pair.lot_decimals,
        "qty_increment": pair.size_number(1),
        "price_precision": pair.price_decimals,
        "cost_precision": 6,
        "marginable": False,
        "has_index": False,
        "tick_size": pair.price_number(1),
        "price_increment": pair.price_number(1),
    }
    if instrument.min_quantity is not None:
        row["qty_min"] = pair.size_number(int(instrument.min_quantity / pair.lot))
    if instrument.min_notional is not None:
        row["cost_min"] = pair.cost_number(instrument.min_notional)
    return row


__all__ = ["DEPTHS", "INTERVALS", "Board", "Boards", "Listener", "data_frame", "encoded", "send_all"]
