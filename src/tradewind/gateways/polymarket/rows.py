"""Rows of markets, books, orders and trades as Polymarket writes them."""

from __future__ import annotations

import hashlib
import time
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.gateways.outcome_model import (
    ListedOutcome,
    OutcomeOrder,
    OutcomeTrade,
    Party,
    Token,
    TokenBook,
)
from tradewind.gateways.polymarket.desk import Desk, fee_bps_text, shown_owner
from tradewind.gateways.polymarket.numbers import ms, plain, price_text, seconds, size_text
from tradewind.venues.market_data import Side
from tradewind.venues.polymarket.typed_data import ZERO_ADDRESS
from tradewind.venues.protocol import OrderPhase, VenueState

Row = dict[str, Any]
STATUSES: Final = {
    OrderPhase.WORKING: "LIVE",
    OrderPhase.PARTIALLY_FILLED: "LIVE",
    OrderPhase.FILLED: "MATCHED",
    OrderPhase.CANCELLED: "CANCELED",
    OrderPhase.EXPIRED: "CANCELED",
    OrderPhase.REJECTED: "INVALID",
}
_ENCODER: Final = msgspec.json.Encoder()


def number(value: Decimal) -> msgspec.Raw:
    """A JSON number with exactly these digits."""
    return msgspec.Raw(plain(value).encode())


def side_text(side: Side) -> str:
    """BUY or SELL."""
    return "BUY" if side is Side.BUY else "SELL"


# ---- markets ---------------------------------------------------------------------------------------------


def market_row(desk: Desk, market: ListedOutcome) -> Row:
    """A market as /markets tells it."""
    rules = market.rules
    accepts = desk.outcomes.state(market) in (VenueState.ONLINE, VenueState.POST_ONLY)
    closed = market.settle_ns <= desk.now_ns()
    return {
        "enable_order_book": True,
        "active": True,
        "closed": closed,
        "archived": False,
        "accepting_orders": accepts and not closed,
        "accepting_order_timestamp": None,
        "minimum_order_size": number(rules.min_shares),
        "minimum_tick_size": number(rules.tick),
        "condition_id": market.condition_id,
        "question_id": rules.question_id,
        "question": rules.question,
        "description": "",
        "market_slug": rules.slug,
        "end_date_iso": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(market.settle_ns // 10**9)),
        "game_start_time": None,
        "seconds_delay": 0,
        "fpmm": "",
        "maker_base_fee": int(rules.maker_bps),
        "taker_base_fee": int(rules.taker_bps),
        "notifications_enabled": False,
        "neg_risk": rules.neg_risk,
        "neg_risk_market_id": rules.question_id if rules.neg_risk else "",
        "neg_risk_request_id": "",
        "icon": "",
        "image": "",
        "rewards": {"rates": None, "min_size": 0, "max_spread": 0},
        "is_50_50_outcome": False,
        "tokens": [token_row(desk, token) for token in market.tokens],
        "tags": [],
    }


def simplified_row(desk: Desk, market: ListedOutcome) -> Row:
    """A market as /simplified-markets tells it."""
    full = market_row(desk, market)
    names = ("condition_id", "rewards", "tokens", "active", "closed", "archived", "accepting_orders")
    return {name: full[name] for name in names}


def clob_market_row(desk: Desk, market: ListedOutcome) -> Row:
    """A market in the short names of /clob-markets."""
    rules = market.rules
    return {
        "c": market.condition_id,
        "t": [{"t": token.token_id, "o": token.name} for token in market.tokens],
        "mts": number(rules.tick),
        "mos": number(rules.min_shares),
        "nr": rules.neg_risk,
        "mbf": int(rules.maker_bps),
        "tbf": int(rules.taker_bps),
        "ao": desk.outcomes.state(market) in (VenueState.ONLINE, VenueState.POST_ONLY),
    }


def token_row(desk: Desk, token: Token) -> Row:
    """A token of a market, with its last or middle price."""
    price = middle(desk, token)
    return {
        "token_id": token.token_id,
        "outcome": token.name,
        "price": number(price if price is not None else Decimal("0.5")),
        "winner": False,
    }


def middle(desk: Desk, token: Token) -> Decimal | None:
    """The middle of a token's book, else its last price."""
    book = desk.outcomes.book(token, 1)
    tick = token.market.rules.tick
    if book.bids and book.asks:
        return (book.bids[0][0] + book.asks[0][0]) * tick / 2
    last = desk.outcomes.last_price(token)
    return None if last is None else last[0] * tick


# ---- books -----------------------------------------------------------------------------------------------


def level_rows(market: ListedOutcome, levels: tuple[tuple[int, int], ...]) -> list[Row]:
    """Levels, the best last."""
    return [
        {"price": price_text(market, price), "size": size_text(market, lots)}
        for price, lots in reversed(levels)
    ]


def book_row(desk: Desk, book: TokenBook) -> Row:
    """A token's book with its hash."""
    token, market = book.token, book.token.market
    last = desk.outcomes.last_price(token)
    row: Row = {
        "market": market.condition_id,
        "asset_id": token.token_id,
        "timestamp": ms(book.time_ns or desk.now_ns()),
        "hash": "",
        "bids": level_rows(market, book.bids),
        "asks": level_rows(market, book.asks),
        "min_order_size": plain(market.rules.min_shares),
        "tick_size": plain(market.rules.tick),
        "neg_risk": market.rules.neg_risk,
        "last_trade_price": "" if last is None else price_text(market, last[0]),
    }
    row["hash"] = book_hash(row)
    return row


def current_book(desk: Desk, token: Token) -> Row:
    """A token's book as it is now; made once a change, however many ask."""
    number = desk.outcomes.views.update_ids.get(token.market.handle, 0)
    known = desk.book_rows.get(token.token_id)
    if known is not None and known[0] == number:
        return known[1]
    row = book_row(desk, desk.outcomes.book(token))
    if number:
        desk.book_rows[token.token_id] = number, row
    return row


def book_hash(row: Row) -> str:
    """SHA-1 of the book's compact JSON in the order of its fields, with an empty hash."""
    return hashlib.sha1(_ENCODER.encode({**row, "hash": ""}), usedforsecurity=False).hexdigest()


# ---- orders ----------------------------------------------------------------------------------------------


def order_row(order: OutcomeOrder) -> Row:
    """An order as its owner sees it."""
    market = order.token.market
    return {
        "id": order.reference,
        "status": STATUSES[order.phase],
        "owner": order.owner,
        "maker_address": order.maker,
        "market": market.condition_id,
        "asset_id": order.token.token_id,
        "side": side_text(order.side),
        "original_size": size_text(market, order.lots),
        "size_matched": size_text(market, order.filled_lots),
        "price": price_text(market, order.price_ticks),
        "outcome": order.token.name,
        "expiration": seconds(order.expires_ns),
        "order_type": order.order_type,
        "associate_trades": list(order.trade_ids),
        "created_at": order.created_ns // 10**9,
    }


def order_event(order: OutcomeOrder, kind: str, time_ns: int) -> Row:
    """An order as the user channel tells it: PLACEMENT, UPDATE or CANCELLATION."""
    row = order_row(order)
    row["created_at"] = str(row["created_at"])
    row["associate_trades"] = row["associate_trades"] or None
    return {
        "event_type": "order",
        "type": kind,
        "order_owner": order.owner,
        "timestamp": ms(time_ns),
        **row,
    }


# ---- trades ----------------------------------------------------------------------------------------------


def transaction_hash(trade: OutcomeTrade) -> str:
    """Stands for the transaction that settles a match on the chain; here there is none."""
    digest = hashlib.blake2b(trade.trade_id.encode(), digest_size=32, person=b"transaction")
    return "0x" + digest.hexdigest()


def trade_row(desk: Desk, trade: OutcomeTrade, reader: str, role: str, now_ns: int) -> Row:
    """A trade as one of its accounts sees it: the outer fields are the taker's, whoever reads."""
    taker, market = trade.taker, trade.market
    own = taker if role == "taker" else trade.resting
    return {
        "id": trade.trade_id,
        "taker_order_id": taker.reference,
        "market": market.condition_id,
        "asset_id": taker.token.token_id,
        "side": side_text(taker.side),
        "size": size_text(market, trade.lots),
        "fee_rate_bps": fee_bps_text(market.rules),
        "price": price_text(market, taker.price_ticks),
        "status": desk.trade_status(trade, now_ns),
        "match_time": seconds(trade.time_ns),
        "last_update": seconds(now_ns),
        "outcome": taker.token.name,
        "bucket_index": 0,
        "owner": own.owner,
        "maker_address": own.maker or ZERO_ADDRESS,
        "transaction_hash": transaction_hash(trade),
        "maker_orders": [_maker_row(trade, trade.resting, reader)],
        "trader_side": role.upper(),
    }


def _maker_row(trade: OutcomeTrade, party: Party, reader: str) -> Row:
    market = trade.market
    return {
        "order_id": party.reference,
        "owner": shown_owner(party.owner, party.account, reader),
        "maker_address": party.maker or ZERO_ADDRESS,
        "matched_amount": size_text(market, trade.lots),
        "price": price_text(market, party.price_ticks),
        "fee_rate_bps": str(int(market.rules.maker_bps)),
        "asset_id": party.token.token_id,
        "outcome": party.token.name,
        "side": side_text(party.side),
    }


def trade_event(desk: Desk, trade: OutcomeTrade, reader: str, role: str, status: str) -> Row:
    """A trade as the user channel tells it, in one of its states."""
    now_ns = desk.now_ns()
    taker = trade.taker
    return {
        "event_type": "trade",
        "type": "TRADE",
        **trade_row(desk, trade, reader, role, now_ns),
        "status": status,
        "trade_owner": shown_owner(taker.owner, taker.account, reader),
        "timestamp": ms(now_ns),
    }
