"""Whole messages of venues, read without loss.

A `Shape` names everything that a message of its kind says: the typed struct, the words that are known, and
the fields that are left out on purpose. Reading tells what a message said beyond its shape:

* a field that the shape does not know is reported (`Reading.unread`) and otherwise ignored,
* a word that the shape does not know is kept as it came and reported (`Reading.strange`): whoever would take
  new risk because of this message must not (`Reading.no_new_risk`),
* everything else is in `Reading.value`, exactly: written again it is the same message (`Reading.restated`).

What is not so is a `DecodeError`: a missing field, another type, a number that is none, a cut message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.market_data import DecodeError

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Longer messages are refused unread. The longest that a venue sends (all symbols of Binance) has 15 MB."""
MAX_REPORTED: Final = 64
"""Of one message at most so many unread fields and strange words are named."""
MAX_NAME_CHARS: Final = 80
MAX_NUMBER_CHARS: Final = 100

NUMBER: Final = re.compile(r"-?([0-9]+(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
"""A number as venues write it. `Decimal` alone also takes "NaN", "Infinity", blanks and underscores."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What messages of one kind look like.

    A path is the names from the top, joined by dots; `[]` is every element of a list, `{}` every value of a
    map whose keys are data: `result.open{}.descr.type`.
    """

    name: str
    """`venue surface what`, e.g. `kraken stream level3`."""
    type: Any
    words: Mapping[str, frozenset[str]] = {}
    """Path -> the words that are known there."""
    left_out: Mapping[str, str] = {}
    """Path -> why it is not decoded. What lies below such a path is left out too."""

    def __hash__(self) -> int:
        return hash(self.name)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One message, read."""

    shape: Shape
    value: Any
    """The typed struct (or list or map of structs) of the shape."""
    restated: Any
    """The message written again from `value`: JSON values, `Decimal` for a fraction. It lacks
    only `unread` and what the shape leaves out."""
    unread: tuple[str, ...] = ()
    """Paths of fields that the shape does not know."""
    left_out: tuple[str, ...] = ()
    """Paths of fields that the shape leaves out on purpose."""
    strange: tuple[str, ...] = ()
    """Words that the shape does not know, as `path=word`."""

    @property
    def no_new_risk(self) -> bool:
        """Whether the message says something that we do not understand: no new risk may follow from it."""
        return bool(self.strange)


@lru_cache(maxsize=512)
def _decoder(shape: Shape) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape.type)


@lru_cache(maxsize=1_024)
def _fields(kind: type) -> dict[str, str]:
    """Name on the wire -> attribute."""
    return {one.encode_name: one.name for one in msgspec.structs.fields(kind)}


def document_of(body: bytes, name: str = "message") -> Any:
    """JSON as Python values; every number with a fraction or exponent is an exact `Decimal`.

    Raises `DecodeError`, also for the numbers that JSON does not have (NaN, Infinity).
    """
    if len(body) > MAX_BODY_BYTES:
        raise DecodeError(name, f"{len(body)} bytes are more than {MAX_BODY_BYTES}")
    try:
        return json.loads(body, parse_float=_exact, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise DecodeError(name, str(error)[:200]) from error


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _exact(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_CHARS or NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text[:40]} is no number of a venue")
    return Decimal(text)


def read(shape: Shape, body: bytes) -> Reading:
    """One message of this shape. Raises `DecodeError` and nothing else."""
    document = document_of(body, shape.name)
    try:
        value = _decoder(shape).decode(body)
    except UNREADABLE as error:
        raise DecodeError(shape.name, str(error)[:200]) from error
    walk = _Walk(shape)
    try:
        restated = walk.write(value, document, "")
    except RecursionError as error:
        raise DecodeError(shape.name, "nested too deeply") from error
    return Reading(
        shape=shape, value=value, restated=restated, unread=tuple(walk.unread),
        left_out=tuple(walk.left_out), strange=tuple(walk.strange),
    )  # fmt: skip


class _Walk:
    """Writes a typed value in the form in which it came, and notes what the value does not have."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.unread: dict[str, None] = {}
        self.left_out: dict[str, None] = {}
        self.strange: dict[str, None] = {}

    def write(self, value: Any, document: Any, path: str) -> Any:
        if isinstance(value, msgspec.Struct):
            return self._struct(value, document, path)
        if isinstance(value, dict):
            return {key: self.write(value[key], one, f"{path}{{}}") for key, one in document.items()}
        if isinstance(value, list | tuple):
            return self._row(value, document, path)
        if isinstance(value, msgspec.Raw):
            raise TypeError(f"{self.shape.name}: {path} is left undecoded")
        return self._leaf(value, document, path)

    def _struct(self, value: msgspec.Struct, document: Any, path: str) -> Any:
        fields = _fields(type(value))
        if isinstance(document, list):
            return self._row([getattr(value, name) for name in fields.values()], document, path)
        written: dict[str, Any] = {}
        for key, one in document.items():
            below = f"{path}.{key}" if path else key
            if key in fields:
                written[key] = self.write(getattr(value, fields[key]), one, below)
            elif below in self.shape.left_out:
                _note(self.left_out, below)
            else:
                _note(self.unread, below[:MAX_NAME_CHARS])
        return written

    def _row(self, value: list[Any] | tuple[Any, ...], document: list[Any], path: str) -> list[Any]:
        """A list; of a row with a fixed number of columns what follows them is unread."""
        below = f"{path}[]"
        if len(document) > len(value):
            _note(self.unread, f"{path}[{len(value)}]")
        return [self.write(one, there, below) for one, there in zip(value, document, strict=False)]

    def _leaf(self, value: Any, document: Any, path: str) -> Any:
        if isinstance(value, Decimal):
            return self._number(value, document, path)
        if isinstance(value, str):
            words = self.shape.words.get(path)
            if words is not None and value not in words:
                _note(self.strange, f"{path}={value[:MAX_NAME_CHARS]}")
        if type(value) is not type(document) or value != document:
            raise DecodeError(self.shape.name, f"{path} would not be kept as it came")
        return value

    def _number(self, value: Decimal, document: Any, path: str) -> Any:
        """A number in the form in which it came: text stays text, digit by digit."""
        if isinstance(document, str):
            if len(document) > MAX_NUMBER_CHARS or NUMBER.fullmatch(document) is None:
                raise DecodeError(self.shape.name, f"{path}: {document[:40]!r} is no number")
            if Decimal(document).as_tuple() != value.as_tuple():
                raise DecodeError(self.shape.name, f"{path} would not be kept as it came")
            return str(value) if "e" in document.lower() else format(value, "f")
        if isinstance(document, bool) or not isinstance(document, int | Decimal) or document != value:
            raise DecodeError(self.shape.name, f"{path} would not be kept as it came")
        return int(value) if isinstance(document, int) else value


def _note(names: dict[str, None], name: str) -> None:
    if len(names) < MAX_REPORTED:
        names[name] = None


class Catalogue(msgspec.Struct, frozen=True):
    """The shapes of a venue by name."""

    venue: str
    shapes: Mapping[str, Shape]

    def __iter__(self) -> Iterator[Shape]:
        return iter(self.shapes.values())

    def __getitem__(self, name: str) -> Shape:
        """A shape. Raises `KeyError`."""
        return self.shapes[name]

    def read(self, name: str, body: bytes) -> Reading:
        """A message of a shape. Raises `KeyError`, `DecodeError`."""
        return read(self.shapes[name], body)


def catalogue(venue: str, shapes: list[Shape]) -> Catalogue:
    """Shapes by name. Raises `ValueError` when a name appears twice."""
    named = {one.name: one for one in shapes}
    if len(named) != len(shapes):
        raise ValueError(f"{venue}: a shape is named twice")
    return Catalogue(venue, named)
