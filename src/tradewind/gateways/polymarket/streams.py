"""The two channels: /ws/market for books and trades of tokens, /ws/user for the orders of a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from tradewind.gateways.exchange_outcomes import of_token
from tradewind.gateways.outcome_model import (
    ListedOutcome,
    OrderNews,
    OutcomeNews,
    OutcomeTrade,
    Token,
    TokenChange,
    TradeNews,
)
from tradewind.gateways.polymarket.auth import Caller
from tradewind.gateways.polymarket.desk import Desk, fee_bps_text
from tradewind.gateways.polymarket.numbers import ms, plain, price_text, size_text
from tradewind.gateways.polymarket.rows import Row, current_book, order_event, side_text, trade_event
from tradewind.gateways.server import Socket

MAX_ASSETS: Final = 1_000
"""Tokens that one connection may follow."""
MAX_TIMERS: Final = 20_000
"""Trades whose later states are still to be told, on all connections."""
AUTH_S: Final = 10.0
"""How long a connection may stay without a subscription."""
PING: Final = b"PING"
PONG: Final = b"PONG"
INVALID: Final = b"INVALID OPERATION"

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()


def decoded(frame: bytes) -> Mapping[str, Any] | None:
    """A message that is an object; None for anything else."""
    try:
        found = _DECODER.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _names(message: Mapping[str, Any], *fields: str) -> list[str] | None:
    for field in fields:
        value = message.get(field)
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value if len(value) <= MAX_ASSETS else None
    return []


class MarketChannel:
    """One connection of /ws/market."""

    def __init__(self, desk: Desk, socket: Socket) -> None:
        self._desk, self._socket = desk, socket
        self._tokens: dict[str, Token] = {}
        self._tops: dict[str, tuple[str, str]] = {}
        self._custom = False
        self._subscribed = False

    async def run(self) -> None:
        """Talks until the connection ends."""
        outcomes = self._desk.outcomes
        closers = [outcomes.listen_books(self._on_book), outcomes.listen_trades(self._on_trade)]
        try:
            async for frame in self._socket:
                if frame.strip() == PING:
                    self._socket.send(PONG, "pong")
                elif not self._heard(decoded(frame)):
                    self._socket.send(INVALID, "error")
        finally:
            for close in closers:
                close()

    def _heard(self, message: Mapping[str, Any] | None) -> bool:
        if message is None:
            return False
        names = _names(message, "assets_ids", "asset_ids")
        operation = message.get("operation")
        if names is None or operation not in (None, "subscribe", "unsubscribe"):
            return False
        if operation is None and str(message.get("type", "market")).lower() != "market":
            return False
        if message.get("custom_feature_enabled") is True:
            self._custom = True
        if operation == "unsubscribe":
            for name in names:
                self._tokens.pop(name, None)
            return True
        fresh = [
            token
            for name in dict.fromkeys(names)
            if (token := self._desk.outcomes.tokens.get(name)) is not None and name not in self._tokens
        ]
        if len(self._tokens) + len(fresh) > MAX_ASSETS:
            return False
        self._tokens.update({token.token_id: token for token in fresh})
        if message.get("initial_dump", True) is not False and fresh:
            rows = [self._book(token) for token in fresh]
            self._socket.send(_ENCODER.encode(rows), "book")
        return True

    def _book(self, token: Token) -> Row:
        return {"event_type": "book", **current_book(self._desk, token)}

    def _on_book(self, change: TokenChange) -> None:
        followed = [token for token in change.market.tokens if token.token_id in self._tokens]
        rows: list[Row] = []
        for token in followed:
            rows += self._changes(token, change)
        if rows:
            row = {
                "market": change.market.condition_id,
                "price_changes": rows,
                "timestamp": ms(change.time_ns),
                "event_type": "price_change",
            }
            self._socket.send(_ENCODER.encode(row), "price_change")
        if self._custom:
            for token in followed:
                self._tell_top(token, change.time_ns)

    def _changes(self, token: Token, change: TokenChange) -> list[Row]:
        market = change.market
        book = self._desk.outcomes.book(token)
        full = current_book(self._desk, token)
        best_bid, best_ask = self._top(market, book.bids, book.asks)
        bids, asks = of_token(token, change.bids, change.asks)
        return [
            {
                "asset_id": token.token_id,
                "price": price_text(market, price),
                "size": size_text(market, lots),
                "side": side,
                "hash": full["hash"],
                "best_bid": best_bid,
                "best_ask": best_ask,
            }
            for side, levels in (("BUY", bids), ("SELL", asks))
            for price, lots in levels
        ]

    def _top(
        self, market: ListedOutcome, bids: tuple[tuple[int, int], ...], asks: tuple[tuple[int, int], ...]
    ) -> tuple[str, str]:
        """Best prices; 0 and 1 stand for an empty side."""
        bid = price_text(market, bids[0][0]) if bids else "0"
        return bid, price_text(market, asks[0][0]) if asks else "1"

    def _tell_top(self, token: Token, time_ns: int) -> None:
        book = self._desk.outcomes.book(token, 1)
        top = self._top(token.market, book.bids, book.asks)
        if self._tops.get(token.token_id) == top:
            return
        self._tops[token.token_id] = top
        whole = token.market.payout_ticks
        bid = book.bids[0][0] if book.bids else 0
        ask = book.asks[0][0] if book.asks else whole
        row = {
            "event_type": "best_bid_ask",
            "market": token.market.condition_id,
            "asset_id": token.token_id,
            "best_bid": top[0],
            "best_ask": top[1],
            "spread": plain((ask - bid) * token.market.rules.tick),
            "timestamp": ms(time_ns),
        }
        self._socket.send(_ENCODER.encode(row), "best_bid_ask")

    def _on_trade(self, trade: OutcomeTrade) -> None:
        taker = trade.taker
        if taker.token.token_id not in self._tokens:
            return
        row = {
            "asset_id": taker.token.token_id,
            "event_type": "last_trade_price",
            "fee_rate_bps": fee_bps_text(trade.market.rules),
            "market": trade.market.condition_id,
            "price": price_text(trade.market, taker.price_ticks),
            "side": side_text(taker.side),
            "size": size_text(trade.market, trade.lots),
            "timestamp": ms(trade.time_ns),
        }
        self._socket.send(_ENCODER.encode(row), "last_trade_price")


class Timers:
    """Later states of trades, bounded and ended with the gateway."""

    def __init__(self) -> None:
        self._handles: set[asyncio.TimerHandle] = set()

    def later(self, delay_s: float, work: Callable[[], None]) -> None:
        """At once when there is no delay, or no place for another timer."""
        if delay_s <= 0 or len(self._handles) >= MAX_TIMERS:
            work()
            return

        def run() -> None:
            self._handles.discard(handle)
            work()

        handle = asyncio.get_running_loop().call_later(delay_s, run)
        self._handles.add(handle)

    def close(self) -> None:
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()


class UserChannel:
    """One connection of /ws/user. Its first message must carry the key; a wrong one ends it."""

    def __init__(self, desk: Desk, socket: Socket, timers: Timers) -> None:
        self._desk, self._socket, self._timers = desk, socket, timers
        self._caller: Caller | None = None
        self._markets: set[str] | None = None
        """Condition ids; None: all."""
        self._close: Callable[[], None] | None = None

    async def run(self) -> None:
        """Talks until the connection ends."""
        waiting = asyncio.get_running_loop().call_later(AUTH_S, self._give_up)
        try:
            async for frame in self._socket:
                if frame.strip() == PING:
                    self._socket.send(PONG, "pong")
                    continue
                message = decoded(frame)
                if message is None:
                    self._socket.send(INVALID, "error")
                elif self._caller is None:
                    if not self._enter(message):
                        self._socket.close(1008, "authentication failed")
                        return
                elif not self._heard(message):
                    self._socket.send(INVALID, "error")
        finally:
            waiting.cancel()
            if self._close is not None:
                self._close()

    def _give_up(self) -> None:
        if self._caller is None:
            self._socket.close(1008, "no subscription")

    def _enter(self, message: Mapping[str, Any]) -> bool:
        auth = message.get("auth")
        names = _names(message, "markets")
        if not isinstance(auth, dict) or names is None:
            return False
        given = [auth.get(name, "") for name in ("apiKey", "secret", "passphrase")]
        if not all(isinstance(one, str) for one in given):
            return False
        name, secret, passphrase = given
        caller = self._desk.authenticator.by_secret(name, secret, passphrase, self._desk.now_ns())
        if caller is None:
            return False
        self._caller = caller
        self._markets = set(names) or None
        self._close = self._desk.outcomes.listen_account(caller.account, self._on_news)
        return True

    def _heard(self, message: Mapping[str, Any]) -> bool:
        names, operation = _names(message, "markets"), message.get("operation")
        if names is None or operation not in ("subscribe", "unsubscribe"):
            return False
        if operation == "subscribe":
            if self._markets is not None:
                self._markets = set(list(self._markets | set(names))[:MAX_ASSETS])
        else:
            self._markets = (
                set(self._desk.outcomes.markets) if self._markets is None else self._markets
            ) - set(names)
        return True

    def _on_news(self, news: OutcomeNews) -> None:
        if isinstance(news, OrderNews):
            if self._follows(news.order.token.market):
                self._tell_order(news)
        elif self._follows(news.trade.market):
            self._tell_trade(news)

    def _follows(self, market: ListedOutcome) -> bool:
        return self._markets is None or market.condition_id in self._markets

    def _tell_order(self, news: OrderNews) -> None:
        order = news.order
        kind = {"placed": "PLACEMENT", "changed": "UPDATE", "ended": "CANCELLATION"}[news.what]
        if kind == "CANCELLATION" and order.filled_lots == order.lots:
            kind = "UPDATE"
        self._send(order_event(order, kind, news.time_ns), "order")

    def _tell_trade(self, news: TradeNews) -> None:
        options = self._desk.options
        for status, delay_s in (
            ("MATCHED", 0.0),
            ("MINED", options.mined_s),
            ("CONFIRMED", options.confirmed_s),
        ):
            self._timers.later(delay_s, lambda status=status: self._tell_state(news, status))  # type: ignore[misc]

    def _tell_state(self, news: TradeNews, status: str) -> None:
        if self._caller is not None and self._socket.open:
            row = trade_event(self._desk, news.trade, self._caller.account, news.role, status)
            self._send(row, "trade")

    def _send(self, row: Row, channel: str) -> None:
        self._socket.send(_ENCODER.encode(row), channel)
