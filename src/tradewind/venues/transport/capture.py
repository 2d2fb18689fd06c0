"""Raw capture of received frames: `recv_ts_ns SP frame`, gzip, rotated by size; `RecordedFeed` reads it
back.

gzip and not zstd: Python 3.11 has no zstd of its own, a capture must be readable where nothing else is
installed, and at level 3 one core compresses two orders of magnitude more than a venue sends.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from tradewind.venues.market_data import Instrument

MAX_FILE_BYTES = 256 * 1024 * 1024
DEFAULT_MAX_FILES = 64
COMPRESSION_LEVEL: Final = 3
MAX_NUMBER: Final = 999_999
HEADER_MARK: Final = b'{"stream":"tradewind@capture"'
"""How the frame begins that a capture writes first; no venue sends it, every decoder ignores it."""
_NUMBERED = re.compile(r"-(\d{6})\.gz\Z")


class CaptureFull(OSError):
    """A million files were numbered: another name or folder is needed."""


class CaptureHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame of a file: who was recorded, with the rules its numbers are read by."""

    stream: str = "tradewind@capture"
    channel: str = "tradewind"
    venue: str
    version: int = 1
    depth: int | None = None
    """Levels a side that were subscribed, where a checksum depends on them."""
    instruments: list[Instrument]


def header_frame(venue: str, instruments: Iterable[Instrument], depth: int | None = None) -> bytes:
    """The header of a capture of `venue` (`kraken`, `binance-spot`, `binance-usdm`)."""
    return msgspec.json.encode(CaptureHeader(venue=venue, instruments=list(instruments), depth=depth))


def read_header(frame: bytes) -> CaptureHeader | None:
    """The header, None when the frame is something else. Raises `msgspec.DecodeError` for a damaged one."""
    return msgspec.json.decode(frame, type=CaptureHeader) if frame.startswith(HEADER_MARK) else None


def series_of(path: Path) -> list[Path]:
    """The files of the capture that `path` belongs to, in order; only itself when it is not numbered."""
    match = _NUMBERED.search(path.name)
    if match is None:
        return [path]
    stem = path.name[: match.start()]
    return [one for one in numbered(path.parent, stem) if one.name >= path.name]


def numbered(directory: Path, name: str) -> list[Path]:
    """Files `<name>-<six digits>.gz` of a folder, in order."""
    pattern = re.compile(re.escape(name) + _NUMBERED.pattern)
    return sorted(one for one in directory.iterdir() if pattern.fullmatch(one.name) and one.is_file())


class RawCapture:
    """Writes frames to `<directory>/<name>-<n>.gz`; sizes are before compression.

    Numbers continue behind the files that are there: nothing is overwritten. At `max_files` files, those of
    earlier runs included, the oldest is removed, so a forgotten capture cannot fill a disk.
    Raises `OSError` from `write` when the disk refuses; the caller decides that a feed goes on without
    capture.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_files: int = DEFAULT_MAX_FILES,
    ) -> None:
        if max_file_bytes < 1 or max_files < 1:
            raise ValueError("max_file_bytes and max_files must be at least 1")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.name = name
        self.max_file_bytes = max_file_bytes
        self.max_files = max_files
        self.frames = 0
        self.bytes = 0
        """Written by this run, before compression."""
        self.removed = 0
        self.header: Callable[[], bytes] | None = None
        """The frame that every file begins with."""
        self.files = numbered(directory, name)
        """Those of earlier runs included, oldest first."""
        self._number = int(self.files[-1].name[-9:-3]) + 1 if self.files else 0
        self._written = 0
        self._stream: gzip.GzipFile | None = None

    def write(self, recv_ts_ns: int, frame: bytes) -> None:
        """Append one frame; line breaks inside JSON whitespace become spaces, so one frame stays one line."""
        line = self._line(recv_ts_ns, frame)
        if self._stream is None or self._written + len(line) > self.max_file_bytes:
            self._rotate(recv_ts_ns)
        self._append(line)
        self.frames += 1

    @staticmethod
    def _line(recv_ts_ns: int, frame: bytes) -> bytes:
        return b"%d %s\n" % (recv_ts_ns, frame.replace(b"\n", b" ").replace(b"\r", b" "))

    def _append(self, line: bytes) -> None:
        assert self._stream is not None
        self._stream.write(line)
        self._written += len(line)
        self.bytes += len(line)

    def _rotate(self, recv_ts_ns: int) -> None:
        self.close()
        if self._number > MAX_NUMBER:
            raise CaptureFull(f"{self.name} has {MAX_NUMBER + 1} files")
        path = self.directory / f"{self.name}-{self._number:06d}.gz"
        self._stream = gzip.open(path, "xb", compresslevel=COMPRESSION_LEVEL)  # noqa: SIM115 closed by the next
        self._number += 1
        self._written = 0
        self.files.append(path)
        while len(self.files) > self.max_files:
            self.files.pop(0).unlink(missing_ok=True)
            self.removed += 1
        if self.header is not None:
            self._append(self._line(recv_ts_ns, self.header()))

    def flush(self) -> None:
        """What was written so far survives the end of this process, whole lines only."""
        if self._stream is not None:
            self._stream.flush(zlib.Z_SYNC_FLUSH)

    def disk_bytes(self) -> int:
        """Size of all files of this capture on the disk."""
        return sum(_size(path) for path in self.files)

    def close(self) -> None:
        """Finish the present file."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
