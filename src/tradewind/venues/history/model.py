"""What history is made of: kinds, columns, spans of time, and what can go wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
MAX_DAYS: Final = 4_000
_PLAIN: Final = re.compile(r"\d{1,20}(\.\d{1,18})?")

Row = tuple[str, ...]
"""One line of a file, as `COLUMNS` of its kind name it. An empty text is "not known", never zero."""


class HistoryKind(StrEnum):
    """What is fetched."""

    TRADES = "trades"
    AGG_TRADES = "agg-trades"
    CANDLES = "candles"


COLUMNS: Final[dict[HistoryKind, Row]] = {
    HistoryKind.TRADES: ("time_ns", "price", "quantity", "taker_side", "id", "order_type"),
    HistoryKind.AGG_TRADES: ("time_ns", "price", "quantity", "taker_side", "id", "first_id", "last_id"),
    HistoryKind.CANDLES: (
        "open_time_ns",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "vwap",
        "trades",
    ),
}
"""Times in ns since 1970 UTC; prices in the quote asset, quantities and volumes in the base asset."""
INTERVALS_S: Final = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "4h": 14_400,
    "1d": 86_400,
}
ID_COLUMN: Final = 4


class HistoryError(Exception):
    """History could not be had. `code` is stable; complete days stay, and the next run goes on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Span(msgspec.Struct, frozen=True):
    """A half-open span of time."""

    from_ns: int
    to_ns: int

    @property
    def day(self) -> str:
        """Its UTC day, as 2024-08-08."""
        return f"{datetime.fromtimestamp(self.from_ns // SECOND_NS, UTC):%Y-%m-%d}"

    @property
    def whole_day(self) -> bool:
        """Whether it is a UTC day from beginning to end."""
        return self.from_ns % DAY_NS == 0 and self.to_ns - self.from_ns == DAY_NS

    def days(self) -> Iterator[Span]:
        """Its parts by UTC day."""
        begin_ns = self.from_ns
        while begin_ns < self.to_ns:
            end_ns = min((begin_ns // DAY_NS + 1) * DAY_NS, self.to_ns)
            yield Span(begin_ns, end_ns)
            begin_ns = end_ns


def parse_moment(text: str) -> int:
    """`2024-08-08` or `2024-08-08T12:30:00`, UTC, as ns. Raises `HistoryError`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise HistoryError("BAD_DATE", f"{text!r} is not a date such as 2024-08-08") from error
    if moment.tzinfo is not None and moment.utcoffset():
        raise HistoryError("BAD_DATE", f"{text!r}: dates are UTC")
    return int(moment.replace(tzinfo=UTC, microsecond=0).timestamp()) * SECOND_NS


def span_of(from_text: str, to_text: str, now_ns: int) -> Span:
    """From a moment up to, but without, another. Raises `HistoryError`: empty, too long, in the future."""
    span = Span(parse_moment(from_text), parse_moment(to_text))
    if span.from_ns >= span.to_ns:
        raise HistoryError("BAD_RANGE", f"{from_text} is not before {to_text}")
    if span.to_ns > now_ns:
        raise HistoryError("BAD_RANGE", f"{to_text} has not come yet; --to is exclusive")
    if span.to_ns - span.from_ns > MAX_DAYS * DAY_NS:
        raise HistoryError("BAD_RANGE", f"more than {MAX_DAYS} days")
    return span


def number(text: object) -> str:
    """A venue's decimal text as it came. Raises `HistoryError` for anything else (no float passes)."""
    if not isinstance(text, str) or not _PLAIN.fullmatch(text):
        raise HistoryError("BAD_ROW", f"{str(text)[:40]!r} is not a plain decimal number")
    return text


def whole(value: object) -> int:
    """An id or a count. Raises `HistoryError`."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise HistoryError("BAD_ROW", f"{str(value)[:40]!r} is not a whole number")


def seconds_ns(value: object) -> int:
    """Seconds with a fraction, as `Decimal` or whole, in ns, exactly. Raises `HistoryError`."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise HistoryError("BAD_ROW", f"{str(value)[:40]!r} is not a time in seconds")
    try:
        exact = Decimal(value) * SECOND_NS
        result = int(exact)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise HistoryError("BAD_ROW", f"{str(value)[:40]!r} is not a time in seconds") from error
    if result != exact or not 0 <= result < 2**63:
        raise HistoryError("BAD_ROW", f"{str(value)[:40]!r} is not a time in whole ns")
    return result
