"""Numbers of requests: plain decimal text or whole numbers, never binary floats, never exponents."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from tradewind.api.problems import ApiFailure, failure_of
from tradewind.core.errors import FloatMoney, Rejected, reject
from tradewind.core.units import MAX_MICROS, Scale, from_micros, to_micros

MAX_DIGITS: Final = 38
MAX_DECIMALS: Final = 18
FEE_SCALE: Final = 1_000_000
"""Fee units (1e-6 bp) of one basis point."""
_PLAIN: Final = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")


def parse_decimal(value: Any) -> Decimal:
    """A finite decimal from text such as `-12.50` or a whole number.

    Raises:
        ApiFailure: NOT_A_NUMBER for NaN, infinity, exponents, locale commas, empty text, more than 38
        digits or
            18 decimals; FLOAT_MONEY for a JSON number with a fraction.
    """
    if isinstance(value, float):
        message = f'{value!r} is a binary floating-point number; send decimal text such as "0.10"'
        raise ApiFailure(422, FloatMoney.name, message)
    match = (
        _PLAIN.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    )
    if match is None:
        raise failure_of(reject("NOT_A_NUMBER"))
    whole, decimals = match.group(1), match.group(2) or ""
    if len(whole) + len(decimals) > MAX_DIGITS or len(decimals) > MAX_DECIMALS:
        raise failure_of(reject("NOT_A_NUMBER"))
    return Decimal(match.group(0))


def parse_amount(value: Any) -> int:
    """Micro-units of a positive amount. Raises `ApiFailure`: INVALID_AMOUNT, NOT_A_NUMBER, MATH_OVERFLOW."""
    try:
        micros = to_micros(parse_decimal(value))
    except Rejected as error:
        raise failure_of(error) from error
    if micros < 1:
        raise failure_of(reject("INVALID_AMOUNT", bound=1, given=micros))
    return micros


def parse_price(value: Any, scale: Scale) -> int:
    """Ticks of a price. Raises `ApiFailure`: TICK_MISALIGNED with the nearest valid prices, INVALID_PRICE,
    …
    """
    number = parse_decimal(value)
    try:
        return scale.ticks(number)
    except Rejected as error:
        nearest = None
        if error.name == "TICK_MISALIGNED":
            nearest = [
                plain_text(scale.price(tick))
                for tick in (scale.ticks_floor(number), scale.ticks_ceil(number))
            ]
        raise failure_of(error, nearest=nearest) from error


def parse_size(value: Any, scale: Scale) -> int:
    """Lots of a size. Raises `ApiFailure`: LOT_MISALIGNED with the nearest valid sizes, INVALID_SIZE, …"""
    number = parse_decimal(value)
    try:
        return scale.lots(number)
    except Rejected as error:
        nearest = None
        if error.name == "LOT_MISALIGNED":
            floor = scale.lots_floor(number)
            nearest = [plain_text(scale.size(lots)) for lots in (floor, floor + 1) if lots > 0]
        raise failure_of(error, nearest=nearest) from error


def parse_fee_bps(value: Any) -> int:
    """Fee units of 1e-6 bp from basis points. Raises `ApiFailure`: NOT_A_NUMBER, PARAMETER_OUT_OF_BOUNDS."""
    scaled = parse_decimal(value) * FEE_SCALE
    if scaled != scaled.to_integral_value() or not 0 <= scaled < 1 << 32:
        raise failure_of(
            reject("PARAMETER_OUT_OF_BOUNDS", bound=100 * FEE_SCALE, given=min(int(scaled), MAX_MICROS))
        )
    return int(scaled)


def plain_text(number: Decimal) -> str:
    """Decimal text without exponent and without superfluous zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount_text(micros: int) -> str:
    """Units of an amount in micro-units."""
    return plain_text(from_micros(micros))


def fee_bps_text(fee_e6bp: int) -> str:
    """Basis points of a fee in 1e-6 bp."""
    return plain_text(Decimal(fee_e6bp) / FEE_SCALE)
