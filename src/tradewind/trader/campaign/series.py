"""Append-only files of raw measurements: one JSON document a line, each behind its CRC32.

A torn last line (kill -9, power) is cut at the next start; damage before it is an error, never skipped. Every
file has a bound; a file that is full says so and its rows of the checklist fail.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

MAX_SAMPLE_BYTES: Final = 96 << 20
"""120 h of one sample a minute need about 20 MB."""
MAX_EVENT_BYTES: Final = 1 << 30
"""Orders and fills: about four million lines."""
MAX_LINE_BYTES: Final = 64 << 10
_CRC_LENGTH: Final = 8


class SeriesDamaged(Exception):
    """A line in the middle of a series does not match its checksum: nothing after it can be believed."""

    code = "SERIES_DAMAGED"


class SeriesFull(Exception):
    """A series has reached its bound; the line was not written."""

    code = "SERIES_FULL"


def encode_line(document: Any) -> bytes:
    """One line with its checksum. Raises `ValueError` beyond 64 KiB."""
    body = msgspec.json.encode(document)
    if len(body) > MAX_LINE_BYTES:
        raise ValueError(f"a line of {len(body)} bytes, at most {MAX_LINE_BYTES}")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _body(line: bytes) -> bytes | None:
    """The document of a line, None when the checksum does not match."""
    if len(line) <= _CRC_LENGTH + 1 or not line.endswith(b"\n"):
        return None
    body = line[_CRC_LENGTH + 1 : -1]
    return body if line[: _CRC_LENGTH + 1] == b"%08x " % zlib.crc32(body) else None


class Series:
    """One file, open for appending. Opening cuts a torn tail; `cut_bytes` says how much that was.

    Raises:
        SeriesDamaged: a line before the last one is damaged. OSError: the file cannot be written.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.full = False
        self.cut_bytes = 0
        self.lines = 0
        whole = self._whole_bytes() if path.exists() else 0
        self._file = path.open("ab")
        self.cut_bytes = self._file.tell() - whole
        if self.cut_bytes:
            self._file.truncate(whole)
        self.bytes = whole

    def _whole_bytes(self) -> int:
        whole = 0
        torn = False
        with self.path.open("rb") as file:
            for line in file:
                if torn:
                    raise SeriesDamaged(f"{self.path.name}: damaged at byte {whole}")
                if _body(line) is None:
                    torn = True
                else:
                    whole += len(line)
                    self.lines += 1
        return whole

    def append(self, document: Any) -> None:
        """Write a line; it is on the disk after the next `sync`. Raises `SeriesFull`, OSError."""
        line = encode_line(document)
        if self.bytes + len(line) > self.max_bytes:
            self.full = True
            raise SeriesFull(f"{self.path.name} has {self.bytes} of {self.max_bytes} bytes")
        self._file.write(line)
        # Out of this process at once, so that kill -9 loses nothing; onto the disk with `sync`.
        self._file.flush()
        self.bytes += len(line)
        self.lines += 1

    def sync(self) -> None:
        """Everything appended is on the disk. Raises OSError."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        self._file.close()


def read_series(path: Path) -> Iterator[Any]:
    """Documents of a series, oldest first; a torn last line is left out, a missing file is empty.

    Raises:
        SeriesDamaged: a line before the last one does not match its checksum.
    """
    yield from decode_series(path.read_bytes() if path.exists() else b"", path.name)


def decode_series(content: bytes, name: str) -> Iterator[Any]:
    """The same from bytes."""
    at = 0
    torn = False
    while at < len(content):
        end = content.find(b"\n", at) + 1 or len(content)
        body = _body(content[at:end])
        if torn:
            raise SeriesDamaged(f"{name}: damaged before byte {at}")
        if body is None:
            torn = True
        else:
            yield msgspec.json.decode(body)
        at = end


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a crash leaves the old or the new one, whole (fsync of file and folder)."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
