"""Orders as clients ask for them, over REST and over WebSocket v2, as requests to the exchange.

What the venue offers and the exchange could not do exactly as asked is an error, never left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.gateways.kraken import errors
from tradewind.gateways.kraken.errors import KrakenError, invalid
from tradewind.gateways.kraken.numbers import decimals_of, parse_decimal
from tradewind.gateways.kraken.parameters import Fields
from tradewind.gateways.kraken.rows import KIND_NAMES, LIMITED, TRIGGERED, PairFormat
from tradewind.gateways.model import Kind, PlaceRequest, SelfTrade
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import TimeInForce

KINDS: Final = {name: kind for kind, name in KIND_NAMES.items()}
SELF_TRADES: Final = {
    str(one): one for one in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH)
}
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
TIMES: Final = {
    "GTC": TimeInForce.GTC,
    "GTD": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
}
REST_FLAGS: Final = frozenset({"post", "fciq", "nompp", "viqc"})
"""`fcib` is refused: fees are in the quote asset. `nompp` has no effect at the venue either."""

MIN_DEADLINE_NS: Final = 500_000_000
MAX_DEADLINE_NS: Final = 60_000_000_000
MAX_EXPIRY_NS: Final = 30 * 86_400 * 1_000_000_000
MAX_USERREF: Final = (1 << 31) - 1
MAX_LOTS: Final = (1 << 63) - 1
MAX_BATCH_ROWS: Final = 64
"""Rows that are read; how many are placed is checked behind it."""
SHORT_CLIENT_ID: Final = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,17}")
LONG_CLIENT_ID: Final = re.compile(
    r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"
)


def client_id(text: str, field: str = "cl_ord_id") -> str:
    """A client's id: a UUID, dashes or not, or up to 18 printable characters. Raises `KrakenError`."""
    if text and not (SHORT_CLIENT_ID.fullmatch(text) or LONG_CLIENT_ID.fullmatch(text)):
        raise invalid(field)
    return text


def deadline_ns(fields: Fields, now_ns: int, name: str = "deadline") -> int:
    """The moment behind which the request must not be executed; 0: none. Raises `KrakenError`."""
    moment = fields.moment_ns(name)
    if moment is None:
        return 0
    if moment <= now_ns:
        raise KrakenError(errors.DEADLINE)
    if not MIN_DEADLINE_NS <= moment - now_ns <= MAX_DEADLINE_NS:
        raise invalid(name)
    return moment


def price_ticks(pair: PairFormat, value: Decimal) -> int:
    """A price in ticks. Raises `KrakenError`: zero, too many decimals, off the tick."""
    if value <= 0:
        raise KrakenError(errors.INVALID_PRICE)
    if decimals_of(value) > pair.price_decimals:
        plural = f"{pair.name.alternative} price can only be specified up to {pair.price_decimals} decimals."
        raise KrakenError(f"{errors.INVALID_PRICE}:{plural}")
    ticks, rest = divmod(value, pair.tick)
    if rest:
        raise KrakenError("EOrder:Tick size check failed")
    return int(ticks)


def size_lots(pair: PairFormat, value: Decimal, field: str) -> int:
    """A quantity in lots. Raises `KrakenError`."""
    if value <= 0:
        raise invalid(field)
    if value > MAX_LOTS * pair.lot:
        raise KrakenError(errors.INSUFFICIENT_FUNDS)
    lots, rest = divmod(value, pair.lot)
    if rest:
        raise invalid(field)
    return int(lots)


def expiry_ns(text: str, now_ns: int, field: str) -> int:
    """`expiretm`: seconds since 1970, or `+` seconds from now; 0: never."""
    if text in ("", "0", "+0"):
        return 0
    value = parse_decimal(text.removeprefix("+"))
    if value is None:
        raise invalid(field)
    moment = int(value * 1_000_000_000) + (now_ns if text.startswith("+") else 0)
    return check_expiry(moment, now_ns, field)


def check_expiry(moment: int, now_ns: int, field: str) -> int:
    """An end of life that lies ahead. Raises `KrakenError`."""
    if not now_ns < moment <= now_ns + MAX_EXPIRY_NS:
        raise invalid(field)
    return moment


def batch_requests(
    read: Callable[[PairFormat, Fields, int], PlaceRequest], pair: PairFormat, fields: Fields, now_ns: int
) -> list[PlaceRequest]:
    """The orders of a batch, each read by `read`; a deadline of the batch holds for all of them.

    Raises `KrakenError`.
    """
    moment = deadline_ns(fields, now_ns)
    requests = []
    for row in fields.many("orders", MAX_BATCH_ROWS):
        if not isinstance(row, Mapping):
            raise invalid("orders")
        one = read(pair, Fields(row), now_ns)
        requests.append(msgspec.structs.replace(one, valid_until_ns=moment or one.valid_until_ns))
    return requests


# ---- REST ----------------------------------------------------------------------------------------------


def rest_order(pair: PairFormat, fields: Fields, now_ns: int) -> PlaceRequest:
    """The order of AddOrder or of one row of AddOrderBatch. Raises `KrakenError`."""
    kind = KINDS.get(fields.required("ordertype"))
    side = SIDES.get(fields.required("type"))
    if kind is None:
        raise invalid("ordertype")
    if side is None:
        raise invalid("type")
    _refuse_rest_extras(fields)
    flags = set(fields.words("oflags", 8))
    if not flags <= REST_FLAGS:
        raise invalid("oflags")
    in_quote = "viqc" in flags
    if in_quote and not (kind is Kind.MARKET and side is Side.BUY):
        raise invalid("oflags")
    limit, trigger = _rest_prices(pair, fields, kind)
    volume = fields.decimal("volume")
    if volume is None:
        raise invalid("volume")
    time_name = fields.text("timeinforce", "GTC").upper()
    expires = expiry_ns(fields.text("expiretm"), now_ns, "expiretm")
    common = _common(kind, "post" in flags, time_name, expires, ("timeinforce", "oflags"))
    return PlaceRequest(
        symbol=pair.market.symbol,
        side=side,
        kind=kind,
        price_ticks=limit,
        trigger_ticks=trigger,
        lots=0 if in_quote else size_lots(pair, volume, "volume"),
        quote_amount=_quote_amount(volume, "volume") if in_quote else Decimal(0),
        display_lots=_display(pair, fields.decimal("displayvol"), kind, "displayvol"),
        reduce_only=fields.flag("reduce_only"),
        self_trade=_self_trade(fields.text("stptype").replace("-", "_"), "stptype"),
        expires_ns=expires,
        valid_until_ns=deadline_ns(fields, now_ns),
        **_identity(fields, "userref"),
        **common,
    )


def _refuse_rest_extras(fields: Fields) -> None:
    """What the exchange has nothing for: margin, scheduled starts, conditional closes, index prices."""
    if fields.text("leverage", "none") not in ("none", "", "0", "1", "1:1"):
        raise KrakenError(errors.MARGIN_NOT_ALLOWED)
    if fields.text("starttm", "0") not in ("", "0", "+0"):
        raise invalid("starttm")
    if fields.text("trigger", "last") not in ("last", ""):
        raise invalid("trigger")
    for name, value in fields.values.items():
        if name.startswith("close") and value not in ("", None):
            raise invalid("close")


def _rest_prices(pair: PairFormat, fields: Fields, kind: Kind) -> tuple[int, int]:
    """(limit, trigger) in ticks: `price` is the trigger of triggered orders, `price2` then their limit."""
    first, second = _rest_price(pair, fields, "price"), _rest_price(pair, fields, "price2")
    if kind in TRIGGERED:
        if first is None or (second is None) == (kind in LIMITED):
            raise KrakenError(errors.INVALID_PRICE) if first is None else invalid("price2")
        return second or 0, first
    if second is not None or (first is not None and kind is Kind.MARKET):
        raise invalid("price" if first is not None and kind is Kind.MARKET else "price2")
    if first is None and kind is Kind.LIMIT:
        raise KrakenError(errors.INVALID_PRICE)
    return first or 0, 0


def _rest_price(pair: PairFormat, fields: Fields, name: str) -> int | None:
    """A price, absent or zero meaning none. Prices relative to the last trade (+, -, #, %) are refused."""
    text = fields.text(name)
    if text in ("", "0"):
        return None
    value = parse_decimal(text)
    if value is None:
        raise KrakenError(errors.INVALID_PRICE)
    return price_ticks(pair, value) if value else None


# ---- WebSocket v2 --------------------------------------------------------------------------------------


def socket_order_request(pair: PairFormat, fields: Fields, now_ns: int) -> PlaceRequest:
    """The order of `add_order` or of one row of `batch_add`. Raises `KrakenError`."""
    kind = KINDS.get(fields.required("order_type"))
    side = SIDES.get(fields.required("side"))
    if kind is None:
        raise invalid("order_type")
    if side is None:
        raise invalid("side")
    _refuse_socket_extras(fields)
    limit = fields.decimal("limit_price")
    if (limit is None) == (kind in LIMITED):
        raise KrakenError(errors.INVALID_PRICE) if limit is None else invalid("limit_price")
    trigger = socket_trigger(fields)
    if (trigger is None) == (kind in TRIGGERED):
        raise invalid("triggers")
    quantity, cash = fields.decimal("order_qty"), fields.decimal("cash_order_qty")
    if cash is not None and not (kind is Kind.MARKET and side is Side.BUY and quantity is None):
        raise invalid("cash_order_qty")
    if quantity is None and cash is None:
        raise invalid("order_qty")
    time_name = fields.text("time_in_force", "gtc").upper()
    expires = fields.moment_ns("expire_time")
    expires = 0 if expires is None else check_expiry(expires, now_ns, "expire_time")
    common = _common(kind, fields.flag("post_only"), time_name, expires, ("time_in_force", "post_only"))
    return PlaceRequest(
        symbol=pair.market.symbol,
        side=side,
        kind=kind,
        price_ticks=price_ticks(pair, limit) if limit is not None else 0,
        trigger_ticks=price_ticks(pair, trigger) if trigger is not None else 0,
        lots=size_lots(pair, quantity, "order_qty") if quantity is not None else 0,
        quote_amount=_quote_amount(cash, "cash_order_qty") if cash is not None else Decimal(0),
        display_lots=_display(pair, fields.decimal("display_qty"), kind, "display_qty"),
        reduce_only=fields.flag("reduce_only"),
        self_trade=_self_trade(fields.text("stp_type"), "stp_type"),
        expires_ns=expires,
        valid_until_ns=deadline_ns(fields, now_ns),
        **_identity(fields, "order_userref"),
        **common,
    )


def _refuse_socket_extras(fields: Fields) -> None:
    if fields.flag("margin"):
        raise KrakenError(errors.MARGIN_NOT_ALLOWED)
    for name, allowed in (("limit_price_type", "static"), ("fee_preference", "quote")):
        if fields.text(name, allowed) != allowed:
            raise invalid(name)
    for name in ("effective_time", "conditional"):
        if fields.values.get(name):
            raise invalid(name)


def socket_trigger(fields: Fields) -> Decimal | None:
    """`triggers.price`; only fixed prices against the last trade."""
    value = fields.values.get("triggers")
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise invalid("triggers")
    inner = Fields(value)
    if inner.text("reference", "last") != "last" or inner.text("price_type", "static") != "static":
        raise invalid("triggers")
    price = inner.decimal("price")
    if price is None:
        raise invalid("triggers")
    return price


# ---- both ----------------------------------------------------------------------------------------------


def _common(kind: Kind, post: bool, time_name: str, expires: int, names: tuple[str, str]) -> dict[str, Any]:
    """Time in force and post-only; `names` are the fields that an error names."""
    time_field, post_field = names
    time = TIMES.get(time_name)
    if time is None or (time_name == "GTD") != bool(expires):
        raise invalid(time_field)
    if kind is not Kind.LIMIT and time is not TimeInForce.GTC and kind is not Kind.MARKET:
        raise invalid(time_field)
    if post and (kind is not Kind.LIMIT or time is not TimeInForce.GTC):
        raise invalid(post_field)
    return {"post_only": post, "time_in_force": time}


def _identity(fields: Fields, tag_field: str) -> dict[str, Any]:
    """The client's own names; the venue takes one of the two."""
    name = client_id(fields.text("cl_ord_id"))
    tag = fields.whole(tag_field, 0, -MAX_USERREF - 1, MAX_USERREF)
    if name and tag:
        raise invalid(tag_field)
    return {"client_id": name, "tag": tag}


def _self_trade(text: str, field: str) -> SelfTrade:
    found = SELF_TRADES.get(text or "cancel_newest")
    if found is None:
        raise invalid(field)
    return found


def _quote_amount(value: Decimal, field: str) -> Decimal:
    if value <= 0:
        raise invalid(field)
    return value


def _display(pair: PairFormat, value: Decimal | None, kind: Kind, field: str) -> int:
    """The visible part of an iceberg: at least a fifteenth of the whole is checked by the exchange."""
    if value is None or not value:
        return 0
    if kind is not Kind.LIMIT:
        raise invalid(field)
    return size_lots(pair, value, field)
