"""Our requests in Binance's words: parameters in a fixed order, percent-encoded once, signed as sent.

A market order goes out as an immediate-or-cancel limit at its collar: the venue's own market order has no
limit at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from tradewind.venues.binance.rows import CARRIED_TYPE
from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import NewOrder, OrderType, TimeInForce
from tradewind.venues.transport.signatures import BadSecret, binance_ed25519, binance_hmac

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Fields = Sequence[tuple[str, str]]
SIDES = {Side.BUY: "BUY", Side.SELL: "SELL"}
TIMES_IN_FORCE = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}
UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}\Z")


def valid_client_id(client_id: str) -> bool:
    """Whether the venue takes it as `newClientOrderId`."""
    return bool(_CLIENT_ID.match(client_id))


def number(value: Decimal) -> str:
    """All digits and no exponent."""
    return format(value, "f")


class BinanceKey:
    """An API key that can sign. The secret stays inside, and out of every repr.

    `secret` is the text of an HMAC key, or an Ed25519 private key.
    """

    def __init__(self, name: str, secret: str | Ed25519PrivateKey) -> None:
        if not name or not name.isascii():
            raise BadSecret("the name of the key is empty or not ASCII")
        self.name = name
        self._hmac: bytes | None = None
        self._private: Ed25519PrivateKey | None = None
        if isinstance(secret, str):
            if not secret or not secret.isascii():
                raise BadSecret("the secret is empty or not ASCII")
            self._hmac = secret.encode()
        else:
            self._private = secret

    @property
    def can_log_on(self) -> bool:
        """Whether a WebSocket session can be logged on with it: Ed25519 only."""
        return self._private is not None

    def sign(self, payload: bytes) -> str:
        """The signature as text, not percent-encoded."""
        if self._private is not None:
            return binance_ed25519(self._private, payload)
        assert self._hmac is not None
        return binance_hmac(self._hmac, payload)

    def __repr__(self) -> str:
        return f"BinanceKey({'ed25519' if self.can_log_on else 'hmac'})"


def signed(key: BinanceKey, fields: Fields, stamp_ms: int, window_ms: int) -> str:
    """A query or body with time, window and signature."""
    text = _form([*fields, ("recvWindow", str(window_ms)), ("timestamp", str(stamp_ms))])
    return f"{text}&signature={quote(key.sign(text.encode()), safe='')}"


def _form(fields: Fields) -> str:
    """As `urlencode`, which takes its time over values that need no escape."""
    if all(UNRESERVED.fullmatch(value) for _, value in fields):
        return "&".join([f"{name}={value}" for name, value in fields])
    return urlencode(fields)


def socket_signed(key: BinanceKey, stamp_ms: int, window_ms: int) -> dict[str, str | int]:
    """Parameters of a signed request of the WebSocket API: signed in alphabetical order of their names."""
    params: dict[str, str | int] = {"apiKey": key.name, "recvWindow": window_ms, "timestamp": stamp_ms}
    payload = "&".join(f"{name}={quote(str(params[name]), safe='')}" for name in sorted(params))
    return {**params, "signature": key.sign(payload.encode())}


def new_order(
    order: NewOrder, instrument: Instrument, *, lots: int | None = None, carried_lots: int = 0
) -> list[tuple[str, str]]:
    """Parameters of a spot order. `lots` and `carried_lots` are those of an order that continues another
    one.
    """
    fields = [("symbol", instrument.venue_symbol), ("side", SIDES[order.side])]
    if order.post_only:
        fields.append(("type", "LIMIT_MAKER"))
    else:
        fields += [("type", "LIMIT"), ("timeInForce", time_in_force(order))]
    fields += _amounts(order, instrument, order.lots if lots is None else lots)
    if carried_lots:
        fields += [("strategyId", str(carried_lots)), ("strategyType", str(CARRIED_TYPE))]
    return fields


def futures_order(order: NewOrder, instrument: Instrument) -> list[tuple[str, str]]:
    """Parameters of an order for a perpetual: post-only is a time in force there."""
    fields = [
        ("symbol", instrument.venue_symbol),
        ("side", SIDES[order.side]),
        ("type", "LIMIT"),
        ("timeInForce", "GTX" if order.post_only else time_in_force(order)),
        *_amounts(order, instrument, order.lots),
    ]
    if order.reduce_only:
        fields.append(("reduceOnly", "true"))
    return fields


def time_in_force(order: NewOrder) -> str:
    """The venue's word; a market order is an immediate limit."""
    market = order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.GTC
    return "IOC" if market else TIMES_IN_FORCE[order.time_in_force]


def _amounts(order: NewOrder, instrument: Instrument, lots: int) -> list[tuple[str, str]]:
    return [
        ("quantity", number(instrument.lot * lots)),
        ("price", number(instrument.tick * order.price_ticks)),
        ("newClientOrderId", order.client_id),
        ("newOrderRespType", "RESULT"),
    ]
