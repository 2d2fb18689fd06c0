"""Calls that need no key: markets, books, prices, parameters."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tradewind.gateways.outcome_model import ListedOutcome, Token
from tradewind.gateways.polymarket import errors
from tradewind.gateways.polymarket.desk import Desk
from tradewind.gateways.polymarket.errors import PolymarketError
from tradewind.gateways.polymarket.numbers import NS_PER_S, plain
from tradewind.gateways.polymarket.rows import (
    Row,
    clob_market_row,
    current_book,
    market_row,
    middle,
    number,
    side_text,
    simplified_row,
)
from tradewind.venues.market_data import Side

END_CURSOR: Final = "LTE="
PAGE: Final = 500
MAX_TOKENS: Final = 500
CONDITION_LENGTH: Final = 66
INTERVALS_S: Final = {
    "1m": 30 * 86_400,
    "1w": 7 * 86_400,
    "1d": 86_400,
    "6h": 6 * 3_600,
    "1h": 3_600,
    "max": 0,
}
MAX_FIDELITY: Final = 10_080

Query = Mapping[str, str]


def page(items: Sequence[Any], cursor: str, size: int = PAGE) -> tuple[Sequence[Any], str]:
    """A page of a list, and the cursor of the next one. Raises `PolymarketError`."""
    if cursor == END_CURSOR:
        return [], END_CURSOR
    try:
        start = int(base64.b64decode(cursor or "MA==", validate=True)) if cursor else 0
    except (binascii.Error, ValueError):
        raise PolymarketError(400, errors.INVALID_PAYLOAD) from None
    if start < 0:
        raise PolymarketError(400, errors.INVALID_PAYLOAD)
    end = start + size
    following = base64.b64encode(str(end).encode()).decode() if end < len(items) else END_CURSOR
    return items[start:end], following


def paged(items: Sequence[Any], cursor: str, row: Callable[[Any], Row]) -> Row:
    """A page as the venue answers it."""
    chosen, following = page(items, cursor)
    return {
        "data": [row(one) for one in chosen],
        "next_cursor": following,
        "limit": PAGE,
        "count": len(chosen),
    }


class PublicCalls:
    """Each returns what is encoded, or raises `PolymarketError`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    # ---- markets -------------------------------------------------------------------------------------

    def time(self, query: Query) -> Any:
        return self._desk.now_ns() // NS_PER_S

    def version(self, query: Query) -> Any:
        return {"version": 2}

    def markets(self, query: Query) -> Any:
        return self._pages(query, market_row)

    def simplified_markets(self, query: Query) -> Any:
        return self._pages(query, simplified_row)

    def _pages(self, query: Query, row: Callable[[Desk, ListedOutcome], Row]) -> Any:
        markets = list(self._desk.outcomes.markets.values())
        return paged(markets, query.get("next_cursor", ""), lambda one: row(self._desk, one))

    def market(self, condition_id: str) -> Any:
        return market_row(self._desk, self._market(condition_id))

    def clob_market(self, condition_id: str) -> Any:
        return clob_market_row(self._desk, self._market(condition_id))

    def market_by_token(self, token_id: str) -> Any:
        token = self._listed(token_id)
        primary, secondary = token.market.tokens
        return {
            "condition_id": token.market.condition_id,
            "primary_token_id": primary.token_id,
            "secondary_token_id": secondary.token_id,
        }

    def _market(self, condition_id: str) -> ListedOutcome:
        if len(condition_id) != CONDITION_LENGTH or not condition_id.startswith("0x"):
            raise PolymarketError(400, errors.INVALID_MARKET)
        found = self._desk.outcomes.markets.get(condition_id)
        if found is None:
            raise PolymarketError(404, errors.NO_MARKET)
        return found

    def _listed(self, token_id: str) -> Token:
        try:
            return self._desk.token(token_id)
        except PolymarketError as error:
            if error.status != 404:
                raise
            raise PolymarketError(404, errors.NO_MARKET) from None

    # ---- parameters ----------------------------------------------------------------------------------

    def tick_size(self, query: Query) -> Any:
        rules = self._listed(query.get("token_id", "")).market.rules
        return {"minimum_tick_size": number(rules.tick)}

    def neg_risk(self, query: Query) -> Any:
        return {"neg_risk": self._listed(query.get("token_id", "")).market.rules.neg_risk}

    def fee_rate(self, query: Query) -> Any:
        return {"base_fee": int(self._listed(query.get("token_id", "")).market.rules.taker_bps)}

    # ---- books and prices ----------------------------------------------------------------------------

    def book(self, query: Query) -> Any:
        token = self._desk.token(query.get("token_id", ""))
        return current_book(self._desk, token)

    def books(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        """Books of the tokens that exist; others are left out, as the venue does."""
        outcomes = self._desk.outcomes
        found = [outcomes.tokens.get(str(row.get("token_id", ""))) for row in rows]
        return [current_book(self._desk, token) for token in found if token is not None]

    def price(self, query: Query) -> Any:
        side = query.get("side", "").upper()
        if side not in ("BUY", "SELL"):
            raise PolymarketError(400, errors.INVALID_SIDE)
        return {"price": self._price(self._desk.token(query.get("token_id", "")), side)}

    def prices(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        answer: dict[str, dict[str, str]] = {}
        for row in rows:
            side = row.get("side")
            if side not in ("BUY", "SELL"):
                raise PolymarketError(400, errors.INVALID_SIDE)
            token = self._desk.outcomes.tokens.get(str(row.get("token_id", "")))
            if token is not None:
                answer.setdefault(token.token_id, {})[side] = self._price(token, side)
        return answer

    def _price(self, token: Token, side: str) -> str:
        book = self._desk.outcomes.book(token, 1)
        levels = book.bids if side == "BUY" else book.asks
        return plain(levels[0][0] * token.market.rules.tick) if levels else "0"

    def midpoint(self, query: Query) -> Any:
        return {"mid": self._mid(self._desk.token(query.get("token_id", "")))}

    def midpoints(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        return self._each(rows, self._mid)

    def _mid(self, token: Token) -> str:
        found = middle(self._desk, token)
        return plain(Decimal("0.5") if found is None else found)

    def spread(self, query: Query) -> Any:
        return {"spread": self._spread(self._desk.token(query.get("token_id", "")))}

    def spreads(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        return self._each(rows, self._spread)

    def _spread(self, token: Token) -> str:
        book = self._desk.outcomes.book(token, 1)
        whole, tick = token.market.payout_ticks, token.market.rules.tick
        bid = book.bids[0][0] if book.bids else 0
        ask = book.asks[0][0] if book.asks else whole
        return plain((ask - bid) * tick)

    def last_trade_price(self, query: Query) -> Any:
        return self._last(self._desk.token(query.get("token_id", "")))

    def last_trades_prices(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        found = [self._desk.outcomes.tokens.get(str(row.get("token_id", ""))) for row in rows]
        return [{"token_id": token.token_id, **self._last(token)} for token in found if token is not None]

    def _last(self, token: Token) -> Row:
        last = self._desk.outcomes.last_price(token)
        if last is None:
            return {"price": "0.5", "side": ""}
        price, side = last
        return {"price": plain(price * token.market.rules.tick), "side": side_text(Side(side))}

    def _each(self, rows: Sequence[Mapping[str, Any]], value: Callable[[Token], str]) -> Any:
        found = [self._desk.outcomes.tokens.get(str(row.get("token_id", ""))) for row in rows]
        return {token.token_id: value(token) for token in found if token is not None}

    def prices_history(self, query: Query) -> Any:
        """Closing prices of minutes with trades; the span by `interval`, or by `startTs` and `endTs`."""
        token = self._desk.token(query.get("market", ""))
        now_s = self._desk.now_ns() // NS_PER_S
        start_s, end_s = _whole(query, "startTs", 0), _whole(query, "endTs", now_s)
        interval = query.get("interval", "")
        if interval:
            if interval not in INTERVALS_S:
                raise PolymarketError(400, "invalid filters: 'interval' is invalid")
            span_s = INTERVALS_S[interval]
            start_s = now_s - span_s if span_s else 0
        elif "startTs" not in query:
            raise PolymarketError(400, "invalid filters: 'startTs' and 'endTs' or 'interval' are required")
        fidelity = _whole(query, "fidelity", 1)
        if not 1 <= fidelity <= MAX_FIDELITY:
            raise PolymarketError(400, "invalid filters: 'fidelity' is invalid")
        tick = token.market.rules.tick
        rows = self._desk.outcomes.prices(token, start_s * NS_PER_S, end_s * NS_PER_S, fidelity * 60)
        return {"history": [{"t": time_ns // NS_PER_S, "p": number(price * tick)} for time_ns, price in rows]}


def _whole(query: Query, name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise PolymarketError(400, f"invalid filters: {name!r} is invalid")
    return int(text)


def token_list(body: Any) -> Sequence[Mapping[str, Any]]:
    """The body of a call about several tokens. Raises `PolymarketError`."""
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise PolymarketError(400, errors.INVALID_PAYLOAD)
    if len(body) > MAX_TOKENS:
        raise PolymarketError(400, errors.TOO_MANY)
    return body
