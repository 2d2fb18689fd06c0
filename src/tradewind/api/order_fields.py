"""Engine fields of an order request."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from tradewind.api import requests as req
from tradewind.api.directory import NamedMarket
from tradewind.api.numbers import parse_decimal, parse_price, parse_size
from tradewind.api.outcome_names import outcome_fields
from tradewind.api.problems import failure_of
from tradewind.core.enums import (
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)
from tradewind.core.errors import reject
from tradewind.core.units import Scale

SECOND_NS: Final = 1_000_000_000
MAX_LEVERAGE_E2: Final = 65_535
MAX_SPAN_S: Final = 366 * 86_400


def order_fields(market: NamedMarket, one: req.PlaceOrder, now_ns: int) -> dict[str, Any]:
    """Engine fields of an order. Raises `ApiFailure` for everything that is no number or off the grid."""
    scale = market.scale
    needs_price = one.order_type in ("limit", "stop_limit", "iceberg")
    if one.price is None and needs_price:
        raise failure_of(reject("INVALID_PRICE", bound=(1 << 31) - 1, given=0))
    if one.expires_in_s is not None and one.time_in_force != "gtd":
        raise failure_of(reject("INVALID_TIME_IN_FORCE", given=int(TimeInForce[one.time_in_force.upper()])))
    expiry_ns = 0 if one.expires_in_s is None else now_ns + seconds(one.expires_in_s) * SECOND_NS
    # A market order's price goes to the engine as it is given, so that the engine's own refusal is seen.
    return {
        "side": Side[one.side.upper()],
        "lots": parse_size(one.quantity, scale),
        "price": 0 if one.price is None else parse_price(one.price, scale),
        "order_type": OrderType[one.order_type.upper()],
        "time_in_force": TimeInForce[one.time_in_force.upper()],
        "order_flags": _order_flags(one),
        "self_trade_prevention": SelfTradePrevention[one.self_trade_prevention.upper()],
        "expiry_ns": expiry_ns,
        "slippage_bp": one.slippage_bp,
        "leverage_e2": 0 if one.leverage is None else hundredths(one.leverage),
        "linked_order": one.linked_order,
        **outcome_fields(market, one.outcome),
        **_conditions(one, scale),
    }


def _order_flags(one: req.PlaceOrder) -> OrderFlag:
    flags = OrderFlag.POST_ONLY if one.post_only else OrderFlag(0)
    flags |= OrderFlag.REDUCE_ONLY if one.reduce_only else OrderFlag(0)
    flags |= OrderFlag.TRAIL_PPM if one.trail_ppm is not None else OrderFlag(0)
    return flags | (OrderFlag(0) if one.link is None else OrderFlag[one.link.upper()])


def _conditions(one: req.PlaceOrder, scale: Scale) -> dict[str, int]:
    """Trigger, trail and display of an order."""
    if one.trail is not None and one.trail_ppm is not None:
        raise failure_of(reject("INVALID_TRAIL", bound=1, given=2))
    trail = one.trail_ppm or 0
    if one.trail is not None:
        trail = parse_price(one.trail, scale)
    source = 0 if one.trigger_source is None else int(TriggerSource[one.trigger_source.upper()])
    return {
        "trigger_price": 0 if one.trigger is None else parse_price(one.trigger, scale),
        "trigger_source": source,
        "trail": trail,
        "display_lots": 0 if one.display is None else parse_size(one.display, scale),
    }


def hundredths(value: Any) -> int:
    """Leverage in hundredths. Raises `ApiFailure` INVALID_LEVERAGE for what is no step of 0.01 above 0."""
    number = parse_decimal(value) * 100
    if number != number.to_integral_value() or not 1 <= number <= MAX_LEVERAGE_E2:
        given = int(max(min(number, Decimal(2**31)), Decimal(-(2**31))))
        raise failure_of(reject("INVALID_LEVERAGE", bound=100, given=given))
    return int(number)


def seconds(value: int) -> int:
    """A span of seconds, at most a year. Raises `ApiFailure` PARAMETER_OUT_OF_BOUNDS."""
    if not -MAX_SPAN_S <= value <= MAX_SPAN_S:
        raise failure_of(reject("PARAMETER_OUT_OF_BOUNDS", bound=MAX_SPAN_S, given=value))
    return value
