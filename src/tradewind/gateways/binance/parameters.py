"""Parameters of a call, from query, body or JSON, read one by one; what nobody read is an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from .errors import BinanceError, illegal, invalid_data, missing

MAX_PARAMETERS: Final = 64
MAX_SYMBOLS: Final = 500

DECIMAL_LEGAL: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
WHOLE_LEGAL: Final = "^[0-9]{1,20}$"
SYMBOL_LEGAL: Final = "^[A-Z0-9-_.]{1,20}$"
CLIENT_ID_LEGAL: Final = "^[a-zA-Z0-9-_]{1,36}$"
DECIMAL_PATTERN: Final = re.compile(r"([0-9]{1,20})(\.[0-9]{1,20})?")
WHOLE_PATTERN: Final = re.compile(r"[0-9]{1,20}")
SYMBOL_PATTERN: Final = re.compile(r"[A-Z0-9_.-]{1,20}")
CLIENT_ID_PATTERN: Final = re.compile(r"[a-zA-Z0-9_-]{1,36}")

EMPTY: Final[dict[str, Callable[[], BinanceError]]] = {
    "newClientOrderId": lambda: BinanceError(-1118, "New client order ID was empty."),
    "origClientOrderId": lambda: BinanceError(-1119, "Original client order ID was empty."),
}
"""Names whose emptiness has a code of its own."""


def split_pairs(text: str) -> list[tuple[str, str]]:
    """Percent-decoded pairs of a query or a form, in order."""
    if text.count("&") >= MAX_PARAMETERS:
        raise BinanceError(-1101, "Too many parameters sent for this endpoint.")
    pairs = []
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def merge(query: str, body: str) -> dict[str, str]:
    """One table of both places; a name in both takes the query's value, twice in one place is an error."""
    values: dict[str, str] = {}
    for text in (body, query):
        pairs = split_pairs(text)
        if len({name for name, _ in pairs}) != len(pairs):
            raise BinanceError(-1101, "Duplicate values for a parameter detected.")
        values.update(pairs)
    return values


def from_json(params: Any) -> dict[str, str]:
    """Parameters of a WebSocket request as text; arrays become JSON arrays, as in a query."""
    if params is None:
        return {}
    if not isinstance(params, dict) or len(params) > MAX_PARAMETERS:
        raise BinanceError(-1135, "Invalid JSON Request")
    values = {}
    for name, value in params.items():
        if isinstance(value, bool):
            values[name] = "true" if value else "false"
        elif isinstance(value, list | dict):
            values[name] = msgspec.json.encode(value).decode()
        elif value is not None:
            values[name] = str(value)
    return values


class Parameters:
    """Reads parameters with the venue's checks and remembers which were read."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether it was sent at all; does not count as reading it."""
        return name in self.values

    def text(self, name: str) -> str | None:
        """The raw text, None when not sent. Raises -1105 when it was sent empty."""
        value = self.values.get(name)
        if value is None:
            return None
        self._read.add(name)
        if not value:
            raise EMPTY.get(name, lambda: BinanceError(-1105, f"Parameter '{name}' was empty."))()
        return value

    def required(self, name: str) -> str:
        """Raises -1102 when it was not sent or is empty."""
        self._read.add(name)
        value = self.values.get(name)
        if not value:
            raise missing(name)
        return value

    def whole(self, name: str) -> int | None:
        """A whole number; raises -1100 for anything else."""
        value = self.text(name)
        if value is None:
            return None
        if not WHOLE_PATTERN.fullmatch(value):
            raise illegal(name, WHOLE_LEGAL)
        number = int(value)
        if number >= 2**63:
            raise BinanceError(-1108, f"Parameter '{name}' overflowed.")
        return number

    def amount(self, name: str) -> Decimal | None:
        """A plain non-negative decimal; raises -1100 for signs, exponents and anything else."""
        value = self.text(name)
        if value is None:
            return None
        if not DECIMAL_PATTERN.fullmatch(value):
            raise illegal(name, DECIMAL_LEGAL)
        return Decimal(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name)
        if value is None:
            return default
        if value.lower() not in {"true", "false"}:
            raise illegal(name, "^(true|false)$")
        return value.lower() == "true"

    def limit(self, default: int, maximum: int) -> int:
        """`limit`, cut to the call's maximum as the venue does; 0 is refused."""
        value = self.whole("limit")
        if value is None:
            return default
        if value == 0:
            raise invalid_data("limit")
        return min(value, maximum)

    def client_id(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not CLIENT_ID_PATTERN.fullmatch(value):
            raise illegal(name, CLIENT_ID_LEGAL)
        return value

    def symbol(self) -> str:
        value = self.required("symbol")
        if not SYMBOL_PATTERN.fullmatch(value):
            raise illegal("symbol", SYMBOL_LEGAL)
        return value

    def optional_symbol(self) -> str | None:
        return self.symbol() if self.text("symbol") is not None else None

    def symbols(self) -> list[str] | None:
        """`symbol` or `symbols` (a JSON array), None when neither was sent; both is an error."""
        one = self.optional_symbol()
        many = self.text("symbols")
        if many is None:
            return None if one is None else [one]
        if one is not None:
            raise BinanceError(-1128, "Combination of optional parameters invalid.")
        try:
            names = msgspec.json.decode(many, type=list[str])
        except (msgspec.DecodeError, UnicodeError):
            raise illegal("symbols", r'^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$') from None
        if not names or len(names) > MAX_SYMBOLS:
            raise invalid_data("symbols")
        if len(set(names)) != len(names):
            raise BinanceError(-1151, "Symbol is present multiple times in the list.")
        for name in names:
            if not SYMBOL_PATTERN.fullmatch(name):
                raise illegal("symbols", r'^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$')
        return names

    def span(self, longest_ms: int | None = None) -> tuple[int, int]:
        """`startTime` and `endTime` in nanoseconds, 0 where not sent; longer than `longest_ms` is -1127."""
        start, end = self.whole("startTime"), self.whole("endTime")
        if start is not None and end is not None:
            if start > end:
                raise BinanceError(-1128, "Combination of optional parameters invalid.")
            if longest_ms is not None and end - start > longest_ms:
                hours = longest_ms // 3_600_000
                raise BinanceError(-1127, f"More than {hours} hours between startTime and endTime.")
        # the end counts whole milliseconds inclusive
        return (start or 0) * 1_000_000, (end * 1_000_000 + 999_999) if end is not None else 0

    def finish(self) -> None:
        """Raises -1101 or -1104 when something was sent that the call does not know."""
        unread = [name for name in self.values if name not in self._read]
        if not unread:
            return
        sent = len(self.values)
        if not self._read:
            raise BinanceError(-1101, f"Too many parameters; expected '0' and received '{sent}'.")
        raise BinanceError(
            -1104,
            f"Not all sent parameters were read; read '{sent - len(unread)}' parameter(s)"
            f" but was sent '{sent}'.",
        )
