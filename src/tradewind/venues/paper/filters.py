"""The venue's order filters (T2.5, T2.6): every failure is listed, in the venue's order, with the nearest
valid values.

Nothing is ever rounded *up* to meet a minimum. `Rules` is an `Instrument` turned into whole ticks and lots,
plus the limits which a venue states for orders.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

import msgspec

from ..market_data import FloatMoney, Instrument, Side
from ..protocol import NewOrder, OrderType, TimeInForce

MAX_DIGITS = 38
MAX_DECIMALS = 18


class FilterFailure(msgspec.Struct, frozen=True, kw_only=True):
    """One violated filter: its code, the bound, the value, and the nearest valid values (None: there is
    none).
    """

    code: str
    field: str
    bound: Decimal | int | None
    given: Decimal | int | str
    nearest_below: Decimal | None = None
    nearest_above: Decimal | None = None


class BadNumber(ValueError):
    """A price or quantity that is not a plain positive decimal number."""

    code = "BadNumber"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of one symbol. `None` means the venue has no such rule."""

    instrument: Instrument
    max_open_orders: int | None = None
    price_up_multiplier: Decimal | None = None
    price_down_multiplier: Decimal | None = None
    max_position: Decimal | None = None
    order_types: frozenset[OrderType] = frozenset(OrderType)
    times_in_force: frozenset[TimeInForce] = frozenset(TimeInForce)
    reduce_only: bool = False
    """Whether there are positions that an order can reduce."""


class OrderContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the filters compare with: reference price, open orders, position (base units)."""

    reference_price: Decimal | None
    open_orders: int
    position: Decimal


def parse_positive(text: str | Decimal | int, field: str) -> Decimal:
    """`text` as an exact positive decimal.

    Raises `BadNumber` for anything but plain digits with at most one point (no exponent, comma, sign, NaN),
    more than
    38 digits or 18 decimals; `FloatMoney` for a float.
    """
    if isinstance(text, float | bool):
        raise FloatMoney(f"{field} arrived as {type(text).__name__}")
    plain = format(text, "f") if isinstance(text, Decimal) else str(text)
    whole, dot, fraction = plain.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit() and whole and (fraction or not dot)):
        raise BadNumber(f"{field} {plain[:64]!r} is not a plain decimal number")
    if len(digits) > MAX_DIGITS or len(fraction) > MAX_DECIMALS:
        raise BadNumber(f"{field} {plain[:64]!r} has too many digits")
    try:
        value = Decimal(plain)
    except InvalidOperation as error:
        raise BadNumber(f"{field} {plain[:64]!r} is not a number") from error
    if value <= 0:
        raise BadNumber(f"{field} must be positive, got {plain[:64]}")
    return value


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to_step(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def quantise_price(price: Decimal, side: Side, tick: Decimal) -> Decimal:
    """Passive rounding to the tick: a buy down, a sell up (T1.8)."""
    return floor_to_step(price, tick) if side is Side.BUY else ceil_to_step(price, tick)


def quantise_quantity(quantity: Decimal, lot: Decimal) -> Decimal:
    """Rounded down to the lot, for both sides (T1.8)."""
    return floor_to_step(quantity, lot)


def check_order(rules: Rules, order: NewOrder, context: OrderContext) -> list[FilterFailure]:
    """Failures of an order that is already in whole ticks and lots. Empty list: it passes."""
    scale = rules.instrument
    failures = check_values(
        rules,
        order.side,
        order.order_type,
        order.time_in_force,
        price=scale.tick * order.price_ticks,
        quantity=scale.lot * order.lots,
        context=context,
    )
    if not order.reduce_only:
        return failures
    if not rules.reduce_only:
        return [
            FilterFailure(code="TypeUnsupported", field="reduce_only", bound=None, given="true"),
            *failures,
        ]
    # the rest of a position may be worth less than the least order
    return [one for one in failures if one.code != "BelowMinNotional"]


def check_values(
    rules: Rules,
    side: Side,
    order_type: OrderType,
    time_in_force: TimeInForce,
    *,
    price: Decimal | str | int,
    quantity: Decimal | str | int,
    context: OrderContext,
) -> list[FilterFailure]:
    """Failures of an order in venue units, first failure first (T2.5)."""
    parsed: dict[str, Decimal] = {}
    failures = []
    for field, given in (("price", price), ("quantity", quantity)):
        try:
            parsed[field] = parse_positive(given, field)
        except BadNumber:
            failures.append(FilterFailure(code="BadNumber", field=field, bound=None, given=str(given)[:64]))
    if failures:
        return failures
    failures += _check_kind(rules, order_type, time_in_force)
    failures += _check_steps(rules.instrument, parsed["price"], parsed["quantity"])
    failures += _check_sizes(rules.instrument, parsed["price"], parsed["quantity"])
    failures += _check_band(rules, side, parsed["price"], context)
    failures += _check_counts(rules, side, parsed["quantity"], context)
    return failures


def _check_kind(rules: Rules, order_type: OrderType, time_in_force: TimeInForce) -> list[FilterFailure]:
    failures = []
    status = rules.instrument.status
    if status != "online":
        failures.append(FilterFailure(code="SymbolClosed", field="status", bound=None, given=status))
    if order_type not in rules.order_types:
        failures.append(
            FilterFailure(code="TypeUnsupported", field="type", bound=None, given=str(order_type))
        )
    if time_in_force not in rules.times_in_force:
        failures.append(
            FilterFailure(code="TypeUnsupported", field="tif", bound=None, given=str(time_in_force))
        )
    return failures


def _step_failure(code: str, field: str, value: Decimal, step: Decimal) -> list[FilterFailure]:
    if value % step == 0:
        return []
    below = floor_to_step(value, step)
    return [
        FilterFailure(
            code=code,
            field=field,
            bound=step,
            given=value,
            nearest_below=below if below > 0 else None,
            nearest_above=ceil_to_step(value, step),
        )
    ]


def _check_steps(instrument: Instrument, price: Decimal, quantity: Decimal) -> list[FilterFailure]:
    return _step_failure("OffTick", "price", price, instrument.tick) + _step_failure(
        "OffLot", "quantity", quantity, instrument.lot
    )


def _check_sizes(instrument: Instrument, price: Decimal, quantity: Decimal) -> list[FilterFailure]:
    failures = []
    notional, lot = price * quantity, instrument.lot
    low, high = instrument.min_quantity, instrument.max_quantity
    if low is not None and quantity < low:
        failures.append(
            FilterFailure(
                code="BelowMinQty",
                field="quantity",
                bound=low,
                given=quantity,
                nearest_above=ceil_to_step(low, lot),
            )
        )
    if high is not None and quantity > high:
        failures.append(
            FilterFailure(
                code="AboveMaxQty",
                field="quantity",
                bound=high,
                given=quantity,
                nearest_below=floor_to_step(high, lot),
            )
        )
    low, high = instrument.min_notional, instrument.max_notional
    if low is not None and notional < low:
        failures.append(
            FilterFailure(
                code="BelowMinNotional",
                field="notional",
                bound=low,
                given=notional,
                nearest_above=ceil_to_step(low / price, lot),
            )
        )
    if high is not None and notional > high:
        failures.append(
            FilterFailure(
                code="AboveMaxNotional",
                field="notional",
                bound=high,
                given=notional,
                nearest_below=floor_to_step(high / price, lot),
            )
        )
    return failures


def _check_band(rules: Rules, side: Side, price: Decimal, context: OrderContext) -> list[FilterFailure]:
    reference, tick = context.reference_price, rules.instrument.tick
    if reference is None:
        return []
    if rules.price_up_multiplier is not None and price > (high := reference * rules.price_up_multiplier):
        return [
            FilterFailure(
                code="OutsideBand",
                field="price",
                bound=high,
                given=price,
                nearest_below=floor_to_step(high, tick),
            )
        ]
    if rules.price_down_multiplier is not None and price < (low := reference * rules.price_down_multiplier):
        return [
            FilterFailure(
                code="OutsideBand",
                field="price",
                bound=low,
                given=price,
                nearest_above=ceil_to_step(low, tick),
            )
        ]
    return []


def _check_counts(rules: Rules, side: Side, quantity: Decimal, context: OrderContext) -> list[FilterFailure]:
    failures = []
    if rules.max_open_orders is not None and context.open_orders >= rules.max_open_orders:
        failures.append(
            FilterFailure(
                code="TooManyOrders",
                field="open_orders",
                bound=rules.max_open_orders,
                given=context.open_orders + 1,
            )
        )
    cap = rules.max_position
    if cap is not None and side is Side.BUY and context.position + quantity > cap:
        room = floor_to_step(cap - context.position, rules.instrument.lot)
        failures.append(
            FilterFailure(
                code="VenuePositionCap",
                field="position",
                bound=cap,
                given=context.position + quantity,
                nearest_below=room if room > 0 else None,
            )
        )
    return failures
