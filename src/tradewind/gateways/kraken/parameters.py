"""Parameters of a request from a query string, a form or a JSON body, read strictly.

Values are kept as text: a number in JSON keeps its digits and never becomes a float. A name that comes twice
is an error, since the two ends could read different ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tradewind.gateways.kraken.errors import KrakenError, invalid
from tradewind.gateways.kraken.numbers import parse_decimal, parse_moment_ns

MAX_FIELDS: Final = 512
MAX_LIST: Final = 1_000
TRUE_TEXTS: Final = frozenset({"true", "1", "yes"})
FALSE_TEXTS: Final = frozenset({"false", "0", "no", ""})

_DECODER: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_LISTS: Final = msgspec.json.Decoder(list[Any], float_hook=Decimal)


def read_form(text: str) -> dict[str, Any]:
    """Fields of `a=1&b=2`. `name[]=…` and repeated names of that form make a list."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MAX_FIELDS)
    except ValueError:
        raise invalid() from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name.endswith("]") and "[" in name:
            _nested(fields, name, value)
        elif name in fields:
            raise invalid(name)
        else:
            fields[name] = value
    return fields


def _nested(fields: dict[str, Any], name: str, value: str) -> None:
    """orders[0][price]=… and orders[]=…: what form encoders make of lists and maps."""
    head, _, rest = name.partition("[")
    parts = rest[:-1].split("][")
    target = fields.setdefault(head, {})
    for part in parts[:-1]:
        target = target.setdefault(part, {}) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise invalid(head)
    if not isinstance(target, dict):
        raise invalid(head)
    last = parts[-1] or str(len(target))
    if last in target:
        raise invalid(head)
    target[last] = value


def read_json(body: bytes) -> dict[str, Any]:
    """Fields of a JSON object; its numbers with a dot are `Decimal`. Raises `KrakenError`."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid() from None


class Fields:
    """Typed reading of parameters. Every method raises `KrakenError` naming the field."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def text(self, name: str, default: str = "") -> str:
        """Text, or the digits of a number."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return value
        if isinstance(value, int):
            return str(value)
        if isinstance(value, Decimal):
            return f"{value:f}"
        raise invalid(name)

    def required(self, name: str) -> str:
        """Text that is there and not empty."""
        value = self.text(name)
        if not value:
            raise invalid(name)
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        text = self.text(name)
        if not text:
            return default
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 20 and low <= int(text) <= high):
            raise invalid(name)
        return int(text)

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        text = self.text(name).lower()
        if text in TRUE_TEXTS:
            return True
        if text in FALSE_TEXTS:
            return False
        raise invalid(name)

    def decimal(self, name: str) -> Decimal | None:
        """A plain number that is not negative; None when it is not given."""
        text = self.text(name)
        if not text:
            return None
        value = parse_decimal(text)
        if value is None:
            raise invalid(name)
        return value

    def moment_ns(self, name: str) -> int | None:
        """A moment, in ns since 1970; None when it is not given."""
        text = self.text(name)
        if not text:
            return None
        value = parse_moment_ns(text)
        if value is None:
            raise invalid(name)
        return value

    def many(self, name: str, limit: int = MAX_LIST) -> list[Any]:
        """A list: of JSON, of a form, or its own JSON text in a form."""
        value = self.values.get(name)
        if value is None:
            return []
        if isinstance(value, str) and value.startswith("["):
            try:
                value = _LISTS.decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise invalid(name) from None
        if isinstance(value, Mapping):
            value = list(value.values())
        if not isinstance(value, list) or len(value) > limit:
            raise invalid(name)
        return value

    def words(self, name: str, limit: int) -> list[str]:
        """A comma-separated list of words, or a JSON list of them."""
        value = self.values.get(name)
        if isinstance(value, list):
            words = [str(one) for one in value if isinstance(one, str | int)]
            if len(words) != len(value):
                raise invalid(name)
        else:
            text = self.text(name)
            words = [one.strip() for one in text.split(",")] if text else []
        if len(words) > limit or not all(words):
            raise invalid(name)
        return words


__all__ = ["Fields", "KrakenError", "read_form", "read_json"]
