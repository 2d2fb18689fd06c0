"""Our orders in Kraken's words, WebSocket v2 and REST. Numbers are written digit by digit, never as
floats.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec

from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import NewOrder, OrderType, TimeInForce

TIMES_IN_FORCE = {TimeInForce.GTC: "gtc", TimeInForce.IOC: "ioc"}
SIDES = {Side.BUY: "buy", Side.SELL: "sell"}
_FREE_TEXT = re.compile(r"[0-9A-Za-z-]{1,18}\Z")
_UUID = re.compile(r"[0-9a-f]{32}\Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_ENCODER = msgspec.json.Encoder()


def valid_client_id(client_id: str) -> bool:
    """Whether the venue takes it as `cl_ord_id`: at most 18 characters of free text, or a UUID."""
    return bool(_FREE_TEXT.match(client_id) or _UUID.match(client_id))


def number(value: Decimal) -> msgspec.Raw:
    """A JSON number with all of its digits and no exponent."""
    return msgspec.Raw(format(value, "f").encode())


def form(nonce: int, fields: Sequence[tuple[str, str]]) -> bytes:
    """The body of a private call: these bytes are signed and sent."""
    return urlencode([("nonce", str(nonce)), *fields]).encode()


def moment(ns: int) -> str:
    """RFC 3339 with milliseconds, rounded down: a deadline is never later than it was meant."""
    at = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000 % 1_000:03d}Z"


def method(name: str, request_id: int, params: dict[str, Any]) -> bytes:
    """One WebSocket v2 request."""
    return _ENCODER.encode({"method": name, "params": params, "req_id": request_id})


def add_order(order: NewOrder, instrument: Instrument, deadline_ns: int, token: str) -> dict[str, Any]:
    """Parameters of `add_order`.

    A market order goes out as an immediate-or-cancel limit at its collar: the venue's own market order has
    no limit at all.
    """
    market = order.order_type is OrderType.MARKET
    params: dict[str, Any] = {
        "order_type": "limit",
        "side": SIDES[order.side],
        "symbol": instrument.venue_symbol,
        "order_qty": number(instrument.lot * order.lots),
        "limit_price": number(instrument.tick * order.price_ticks),
        "time_in_force": "ioc" if market else TIMES_IN_FORCE[order.time_in_force],
        "cl_ord_id": order.client_id,
        "deadline": moment(deadline_ns),
        "fee_preference": "quote",
        "token": token,
    }
    if order.post_only:
        params["post_only"] = True
    return params


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """What a working order is to become: limit and total quantity, both stated."""

    client_id: str
    price_ticks: int
    lots: int
    post_only: bool = False


def amend_order(change: Amendment, instrument: Instrument, deadline_ns: int, token: str) -> dict[str, Any]:
    """Parameters of `amend_order`."""
    params: dict[str, Any] = {
        "cl_ord_id": change.client_id,
        "order_qty": number(instrument.lot * change.lots),
        "limit_price": number(instrument.tick * change.price_ticks),
        "deadline": moment(deadline_ns),
        "token": token,
    }
    if change.post_only:
        params["post_only"] = True
    return params
