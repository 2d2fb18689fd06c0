"""Fixed records by name, with the layout read from Rust.

`RecordCodec("PlaceOrder").pack(market=0, side=0, ...)` gives the record's bytes; fields not given are zero.
NumPy is imported only when `dtype()` is called.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tradewind import _core
from tradewind.core.errors import InvalidField

if TYPE_CHECKING:
    import numpy

_STRUCT_CODES = {"|u1": "B", "<u2": "H", "<u4": "I", "<u8": "Q", "<i8": "q"}

_HEADER_FIELDS = frozenset({"seq", "time_ns", "index", "shard", "market", "account", "sub", "order"})
_TEXT_FIELDS = frozenset({"symbol", "reason", "slug"})
_REASON_IS_A_NUMBER = frozenset({"CancelBody"})

Field = tuple[str, int, str]
"""Name, byte offset, NumPy type string."""


def struct_code(numpy_type: str) -> str:
    """`<u4` → `I`, `|V32` → `32s`.

    Raises:
        KeyError: the type is none of the vocabulary's.
    """
    return f"{numpy_type[2:]}s" if numpy_type.startswith("|V") else _STRUCT_CODES[numpy_type]


def struct_format(fields: Sequence[Field], size: int, start: int = 0) -> str:
    """Little-endian format of `fields` inside a record of `size` bytes; gaps become padding."""
    parts, position = ["<"], start
    for _, offset, numpy_type in fields:
        code = struct_code(numpy_type)
        if offset > position:
            parts.append(f"{offset - position}x")
        parts.append(code)
        position = offset + struct.calcsize("<" + code)
    if size > position:
        parts.append(f"{size - position}x")
    return "".join(parts)


class RecordCodec:
    """Packs and reads one kind of record."""

    def __init__(self, name: str) -> None:
        """
        Raises:
            KeyError: no record has this name.
        """
        self.name = name
        self.size: int = record_sizes()[name]
        self.fields: list[Field] = field_tables()[name]
        self.field_names: tuple[str, ...] = tuple(field for field, _, _ in self.fields)
        self.struct = struct.Struct(struct_format(self.fields, self.size))
        self._zeros = {
            field: bytes(int(numpy_type[2:])) if numpy_type.startswith("|V") else 0
            for field, _, numpy_type in self.fields
        }

    def pack(self, **fields: int | bytes) -> bytes:
        """The record's bytes; fields that are not named are zero.

        Raises:
            InvalidField: unknown field, or a value that does not fit.
        """
        unknown = fields.keys() - self._zeros.keys()
        if unknown:
            field = sorted(unknown)[0]
            raise InvalidField(self.name, field, fields[field], "no such field")
        values = {**self._zeros, **fields}
        try:
            packed = self.struct.pack(*values.values())
        except struct.error as error:
            raise self._misfit(values) from error
        for field, _, numpy_type in self.fields:
            if numpy_type.startswith("|V") and len(values[field]) > int(numpy_type[2:]):  # type: ignore[arg-type]
                raise InvalidField(self.name, field, values[field], f"at most {numpy_type[2:]} bytes")
        return packed

    def _misfit(self, values: dict[str, Any]) -> InvalidField:
        for field, _, numpy_type in self.fields:
            try:
                struct.pack("<" + struct_code(numpy_type), values[field])
            except struct.error as error:
                return InvalidField(self.name, field, values[field], str(error))
        return InvalidField(self.name, "", None, "the values do not fit together")

    def unpack(self, buffer: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
        """Field → value of the record at `offset`.

        Raises:
            struct.error: fewer bytes than one record.
        """
        return dict(zip(self.field_names, self.struct.unpack_from(buffer, offset), strict=True))

    def iter(self, buffer: bytes | memoryview) -> Iterator[tuple[Any, ...]]:
        """Every record as a tuple in the order of `field_names`.

        Raises:
            struct.error: the buffer is no whole number of records.
        """
        return self.struct.iter_unpack(buffer)

    def dtype(self) -> numpy.dtype[Any]:
        """The NumPy type of the record: `numpy.frombuffer(batch.events, codec.dtype())`.

        Raises:
            ImportError: NumPy is not installed.
        """
        import numpy

        names, offsets, formats = [], [], []
        for field, offset, numpy_type in self.fields:
            names.append(field)
            offsets.append(offset)
            formats.append(numpy_type)
        spec: Any = {"names": names, "offsets": offsets, "formats": formats, "itemsize": self.size}
        dtype: numpy.dtype[Any] = numpy.dtype(spec)
        return dtype


@cache
def field_tables() -> dict[str, list[Field]]:
    return _core.field_tables()


@cache
def record_sizes() -> dict[str, int]:
    return _core.record_sizes()


@cache
def codec(name: str) -> RecordCodec:
    """The shared codec of a record.

    Raises:
        KeyError: no record has this name.
    """
    return RecordCodec(name)


def visible_fields(record: str) -> list[Field]:
    """Fields of a record without the reserved ones."""
    return [row for row in field_tables()[record] if not row[0].startswith("reserved")]


def event_header_fields() -> list[Field]:
    """Header fields that every event type shows, in the order of the wire."""
    return [row for row in field_tables()["Event"] if row[0] in _HEADER_FIELDS]


def is_text(record: str, field: str, numpy_type: str) -> bool:
    """Whether a byte field is zero-padded text; every other byte field is an id or a key."""
    return numpy_type.startswith("|V") and field in _TEXT_FIELDS and record not in _REASON_IS_A_NUMBER
