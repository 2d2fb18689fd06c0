"""Numbers and times as Kraken prints and reads them. Nothing passes through a float."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000
MAX_DIGITS: Final = 38
MAX_DECIMALS: Final = 18
REST_PRICE_DECIMALS: Final = 5
REST_SIZE_DECIMALS: Final = 3


def decimals_of(value: Decimal) -> int:
    """Decimal places that a value needs."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def fixed(value: Decimal, decimals: int) -> str:
    """Plain digits with exactly `decimals` places. Raises `ValueError` instead of rounding."""
    if decimals_of(value) > decimals:
        raise ValueError(f"{value} has more than {decimals} decimals")
    return f"{value:.{decimals}f}"


def at_least(value: Decimal, decimals: int) -> str:
    """Plain digits with `decimals` places, or with more where the value needs them."""
    return f"{value:.{max(decimals, decimals_of(value))}f}"


def rounded(value: Decimal, decimals: int) -> str:
    """For averages only, which have no end: half even to `decimals` places."""
    return f"{value:.{decimals}f}"


def number(text: str) -> msgspec.Raw:
    """Digits as a JSON number, every one of them kept."""
    return msgspec.Raw(text.encode())


def seconds(at_ns: int, decimals: int = 4) -> msgspec.Raw:
    """Seconds since 1970 as a JSON number, cut to `decimals` (0 to 9) places."""
    whole, rest = divmod(at_ns, SECOND_NS)
    return number(f"{whole}.{rest:09d}"[: len(str(whole)) + 1 + decimals] if decimals else str(whole))


def rfc3339(at_ns: int, digits: int = 6) -> str:
    """2023-09-25T09:04:31.742599Z with `digits` (0 to 9) of the second."""
    whole, rest = divmod(at_ns, SECOND_NS)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}"[: 20 + digits] + "Z" if digits else f"{text}Z"


def rfc1123(at_ns: int) -> str:
    """Tue, 11 Nov 25 00:17:04 +0000: two digits of the year, as the venue has it."""
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).strftime("%a, %d %b %y %H:%M:%S +0000")


def parse_decimal(text: str) -> Decimal | None:
    """A plain decimal number: digits, at most one dot, no sign, no exponent; None for anything else."""
    whole, dot, fraction = text.partition(".")
    digits = whole + fraction
    plain = digits.isascii() and digits.isdigit() and (fraction or not dot)
    if not plain or len(digits) > MAX_DIGITS or len(fraction) > MAX_DECIMALS:
        return None
    return Decimal(text if whole else f"0{text}")


def plain_decimal(value: Decimal) -> Decimal | None:
    """A decimal of a JSON number if it is not negative, finite and of reasonable length; else None."""
    sign, digits, exponent = value.as_tuple()
    if sign or not isinstance(exponent, int) or len(digits) > MAX_DIGITS or abs(exponent) > MAX_DECIMALS:
        return None
    return value


def parse_moment_ns(text: str) -> int | None:
    """RFC 3339 with any offset, or seconds since 1970; None for anything else."""
    try:
        if "T" in text:
            head, _, zone = text.partition("Z")
            if zone:
                return None
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                return None
            fraction = head.partition(".")[2].partition("+")[0].partition("-")[0]
            whole = int(moment.replace(microsecond=0).timestamp())
            return whole * SECOND_NS + int(fraction[:9].ljust(9, "0") or 0)
        value = parse_decimal(text)
        return None if value is None else int(value * SECOND_NS)
    except (ValueError, OverflowError, InvalidOperation):
        return None
