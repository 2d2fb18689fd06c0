"""Just enough of ELF to read symbols and the compiler's `.stack_sizes` of a 64-bit little-endian file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAGIC: Final = b"\x7fELF\x02\x01"
SECTION: Final = struct.Struct("<IIQQQQIIQQ")
SYMBOL: Final = struct.Struct("<IBBHQQ")
ADDRESS: Final = struct.Struct("<Q")
FUNCTION: Final = 2
SYMBOL_TABLES: Final = (2, 11)
MAX_LEB128_BYTES: Final = 10


class NotReadable(Exception):
    """The bytes are no 64-bit little-endian ELF file, or are cut short."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section header."""

    name: str
    kind: int
    offset: int
    size: int
    link: int


def sections(content: bytes) -> list[Section]:
    """Every section of the file.

    Raises:
        NotReadable: no such file.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise NotReadable("no 64-bit little-endian ELF file")
    try:
        table_offset = ADDRESS.unpack_from(content, 0x28)[0]
        entry_size, count, names_index = struct.unpack_from("<HHH", content, 0x3A)
        rows = [SECTION.unpack_from(content, table_offset + entry_size * index) for index in range(count)]
        names = rows[names_index][4]
        return [Section(_text(content, names + row[0]), row[1], row[4], row[5], row[6]) for row in rows]
    except (struct.error, IndexError) as error:
        raise NotReadable(f"section headers: {error}") from error


def _text(content: bytes, start: int) -> str:
    return content[start : content.index(b"\0", start)].decode("utf-8", "replace")


def functions(content: bytes) -> dict[int, str]:
    """Address → name of every function symbol."""
    found: dict[int, str] = {}
    table = sections(content)
    for section in table:
        if section.kind not in SYMBOL_TABLES:
            continue
        names = table[section.link].offset
        for offset in range(section.offset, section.offset + section.size, SYMBOL.size):
            name, info, _, _, address, _ = SYMBOL.unpack_from(content, offset)
            if info & 0xF == FUNCTION and address:
                found.setdefault(address, _text(content, names + name))
    return found


def stack_sizes(content: bytes) -> dict[int, int]:
    """Address of a function → bytes of its frame; empty when the compiler wrote no such section.

    Raises:
        NotReadable: an entry is cut short.
    """
    found: dict[int, int] = {}
    for section in sections(content):
        if section.name == ".stack_sizes":
            for address, size in _entries(content[section.offset : section.offset + section.size]):
                # Folded functions appear more than once; the larger frame counts.
                found[address] = max(size, found.get(address, 0))
    return found


def _entries(table: bytes) -> Iterator[tuple[int, int]]:
    position = 0
    while position < len(table):
        if position + ADDRESS.size >= len(table):
            raise NotReadable("the section of stack sizes is cut short")
        address = ADDRESS.unpack_from(table, position)[0]
        size, position = _unsigned(table, position + ADDRESS.size)
        yield address, size


def _unsigned(table: bytes, position: int) -> tuple[int, int]:
    """A LEB128 number and the position behind it."""
    value = 0
    for index in range(MAX_LEB128_BYTES):
        if position + index >= len(table):
            break
        byte = table[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, position + index + 1
    raise NotReadable("a stack size is cut short")
