"""Numbers, ages and readings as escaped HTML. Pure; money stays decimal text and is never computed here."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from html import escape

from tradewind.observe.view import Quality, Reading

MINUS = "\u2212"
SHOWN_DECIMALS = 2
"""Decimals of money in full size; the other four of its micro-units are set small."""
MONEY_DECIMALS = 6
SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def grouped(value: str, least_decimals: int = 0) -> str:
    """Decimal text with thousands separators and a true minus sign; every given digit is kept."""
    number = Decimal(value)
    if not number.is_finite():
        return "unknown"
    plain = format(number, "f")
    sign, digits = (MINUS, plain[1:]) if plain.startswith("-") else ("", plain)
    whole, _, fraction = digits.partition(".")
    fraction = fraction.rstrip("0").ljust(least_decimals, "0")
    return f"{sign}{int(whole):,}" + (f".{fraction}" if fraction else "")


def fixed(value: str, decimals: int) -> str:
    """Decimal text with exactly `decimals` places (display of counts and ratios, half even)."""
    number = Decimal(value)
    return grouped(format(round(number, decimals), "f"), decimals) if number.is_finite() else "unknown"


def decimals_of(step: str) -> int:
    """Places of a tick or lot size: "0.01" has 2."""
    exponent = Decimal(step).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def age(age_ms: int | None) -> str:
    """ "250 ms", "3.2 s", "4 m", "2 h"; "age unknown" for None."""
    if age_ms is None:
        return "age unknown"
    if age_ms < SECOND_MS:
        return f"{age_ms} ms"
    if age_ms < MINUTE_MS:
        return f"{age_ms / SECOND_MS:.1f} s"
    if age_ms < HOUR_MS:
        return f"{age_ms // MINUTE_MS} m {age_ms % MINUTE_MS // SECOND_MS:02d} s"
    return f"{age_ms // HOUR_MS} h {age_ms % HOUR_MS // MINUTE_MS:02d} m"


def clock(time_ns: int) -> str:
    """UTC time of day with seconds."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%H:%M:%S")


def size(byte_count: int) -> str:
    """Bytes in binary units."""
    amount = float(byte_count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def duration(seconds: int) -> str:
    """Uptime: "42 s", "3 m 05 s", "2 h 04 m", "3 d 04 h"."""
    if seconds < 86_400:
        return age(seconds * SECOND_MS) if seconds >= 60 else f"{seconds} s"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3_600:02d} h"


def latency(latency_us: int | None) -> str:
    """Microseconds or milliseconds; "unknown" for None."""
    if latency_us is None:
        return "unknown"
    return f"{latency_us} µs" if latency_us < 1_000 else f"{latency_us / 1_000:.1f} ms"


def exact(value: str, decimals: int = SHOWN_DECIMALS, least: int = 0) -> str:
    """Number with its digits behind `decimals` set small, so that micro-units are there without shouting."""
    text = grouped(value, least or decimals)
    whole, point, fraction = text.partition(".")
    head, tail = fraction[:decimals], fraction[decimals:]
    small = f"<small>{tail}</small>" if tail else ""
    return f"{whole}{point if head else ''}{head}{small}"


def unknown() -> str:
    """The mark of a value that is not known."""
    return '<span class="unknown" title="not known">unknown</span>'


def reading(
    value: Reading, decimals: int = SHOWN_DECIMALS, *, signed: bool = False, unit: str = "", least: int = 0
) -> str:
    """A reading with sign, quality and (when stale) age. Shape and colour both carry the sign."""
    if value.value is None or value.quality is Quality.UNKNOWN:
        return unknown()
    number = Decimal(value.value)
    shown = exact(value.value, decimals, least)
    tone = ""
    if signed and number > 0:
        shown, tone = f'<i class="shape" aria-hidden="true">▲</i>+{shown}', " gain"
    elif signed and number < 0:
        shown, tone = f'<i class="shape" aria-hidden="true">▼</i>{shown}', " loss"
    suffix = f' <span class="unit">{escape(unit)}</span>' if unit else ""
    old = ""
    if value.quality is Quality.STALE:
        old, tone = f' <span class="old">stale {escape(age(value.age_ms))}</span>', f"{tone} stale"
    return f'<span class="num{tone}" data-value="{escape(value.value)}">{shown}{suffix}</span>{old}'


def money(value: Reading, *, signed: bool = False) -> str:
    """Money: two decimals in full size, the other four of its micro-units small, always there."""
    return reading(value, signed=signed, least=MONEY_DECIMALS)
