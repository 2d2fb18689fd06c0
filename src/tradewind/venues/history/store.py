"""Files of history: one gzip CSV a day, written aside, renamed when whole, then listed in `manifest.json`.

A file counts only when the manifest lists it and its SHA-256 is right: whatever a killed run left behind is
written anew. Equal rows give equal bytes (the gzip header carries no time), so a fetch that was interrupted
ends with the same files as one that was not.
"""

from __future__ import annotations

import csv
import fcntl
import gzip
import hashlib
import io
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec

from .model import COLUMNS, ID_COLUMN, HistoryError, HistoryKind, Row, Span

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
PART: Final = ".part"
MAX_ROWS_A_FILE: Final = 50_000_000
COMPRESSION_LEVEL: Final = 6
MAX_GAPS_LISTED: Final = 16


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One complete file."""

    venue: str
    symbol: str
    kind: HistoryKind
    interval: str = ""
    from_ns: int
    to_ns: int
    rows: int
    first_ns: int | None
    last_ns: int | None
    missing_ids: int = 0
    """Trade ids that the venue skipped between two rows of this file."""
    gaps: list[tuple[int, int]] = []
    """Up to 16 of them, as (id before, id behind)."""
    source: str
    checksum: str = ""
    """What the venue itself published for the source, if anything."""
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, kw_only=True):
    """`manifest.json`."""

    format: int = FORMAT
    files: dict[str, FileEntry] = {}


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is one day of."""

    venue: str
    symbol: str
    kind: HistoryKind
    interval: str = ""

    def file_name(self, span: Span) -> str:
        """`kraken-btcusd-candles-1m-2024-08-08.csv.gz`."""
        words = [self.venue, self.symbol.replace("/", "").lower(), str(self.kind), self.interval, span.day]
        return "-".join(word for word in words if word) + ".csv.gz"


class HistoryStore:
    """A folder of history, with one writer at a time."""

    def __init__(self, directory: Path) -> None:
        """Raises `HistoryError`: another fetch writes there, or the manifest cannot be read."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._lock: int | None = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise HistoryError("LOCKED", f"another fetch writes in {directory}") from error
        try:
            self.manifest = read_manifest(directory)
        except HistoryError:
            self.close()
            raise
        for part in directory.glob(f"*{PART}"):
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets others write (idempotent)."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def complete(self, series: Series, span: Span) -> bool:
        """Whether the file of this day is there, undamaged, and covers the span."""
        name = series.file_name(span)
        entry = self.manifest.files.get(name)
        if entry is None or entry.from_ns > span.from_ns or entry.to_ns < span.to_ns:
            return False
        return damage(self.directory / name, entry) is None

    async def write(
        self, series: Series, span: Span, rows: AsyncIterator[Row], *, source: str, checksum: str = ""
    ) -> FileEntry:
        """Writes one day.

        Raises:
            HistoryError: a row outside the span or out of order (`BAD_ROW`); whatever `rows` raises. No file
                is listed then.
        """
        path = self.directory / series.file_name(span)
        part = path.with_name(path.name + PART)
        tally = _Tally(series.kind, span)
        try:
            with part.open("wb") as raw:
                with (
                    gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=0) as packed,
                    io.TextIOWrapper(packed, encoding="ascii", newline="") as text,
                ):
                    writer = csv.writer(text, lineterminator="\n")
                    writer.writerow(COLUMNS[series.kind])
                    async for row in rows:
                        tally.add(row)
                        writer.writerow(row)
                raw.flush()
                os.fsync(raw.fileno())
            entry = tally.entry(series, source, checksum, part)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        self.manifest.files[path.name] = entry
        self._save()
        return entry

    def _save(self) -> None:
        path = self.directory / MANIFEST
        part = path.with_name(MANIFEST + PART)
        ordered = Manifest(files=dict(sorted(self.manifest.files.items())))
        with part.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(ordered), indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        folder = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _Tally:
    """Checks order and span while rows pass, and counts what the manifest says of them."""

    def __init__(self, kind: HistoryKind, span: Span) -> None:
        self.kind, self.span = kind, span
        self.rows = self.missing = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.last_id: int | None = None
        self.gaps: list[tuple[int, int]] = []

    def add(self, row: Row) -> None:
        time_ns = int(row[0])
        if len(row) != len(COLUMNS[self.kind]):
            raise HistoryError("BAD_ROW", f"{len(row)} fields instead of {len(COLUMNS[self.kind])}")
        if not self.span.from_ns <= time_ns < self.span.to_ns:
            raise HistoryError("BAD_ROW", f"a row of {time_ns} ns is outside its day {self.span.day}")
        if self.last_ns is not None and time_ns < self.last_ns:
            raise HistoryError("BAD_ROW", f"{time_ns} ns comes behind {self.last_ns} ns")
        if self.kind is HistoryKind.CANDLES and time_ns == self.last_ns:
            raise HistoryError("BAD_ROW", f"two candles of {time_ns} ns")
        if self.kind is not HistoryKind.CANDLES and row[ID_COLUMN]:
            self._id(int(row[ID_COLUMN]))
        self.first_ns = time_ns if self.first_ns is None else self.first_ns
        self.last_ns = time_ns
        self.rows += 1
        if self.rows > MAX_ROWS_A_FILE:
            raise HistoryError("TOO_MANY_ROWS", f"more than {MAX_ROWS_A_FILE} rows in a day")

    def _id(self, trade_id: int) -> None:
        if self.last_id is not None and trade_id <= self.last_id:
            raise HistoryError("BAD_ROW", f"id {trade_id} comes behind {self.last_id}")
        if self.last_id is not None and trade_id > self.last_id + 1:
            self.missing += trade_id - self.last_id - 1
            if len(self.gaps) < MAX_GAPS_LISTED:
                self.gaps.append((self.last_id, trade_id))
        self.last_id = trade_id

    def entry(self, series: Series, source: str, checksum: str, path: Path) -> FileEntry:
        return FileEntry(
            venue=series.venue, symbol=series.symbol, kind=series.kind, interval=series.interval,
            from_ns=self.span.from_ns, to_ns=self.span.to_ns, rows=self.rows, first_ns=self.first_ns,
            last_ns=self.last_ns, missing_ids=self.missing, gaps=self.gaps, source=source, checksum=checksum,
            bytes=path.stat().st_size, sha256=sha256_of(path),
        )  # fmt: skip


def sha256_of(path: Path) -> str:
    """Of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a folder, empty when there is none. Raises `HistoryError` for a damaged one."""
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return Manifest()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError("BAD_MANIFEST", f"{directory / MANIFEST} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise HistoryError("BAD_MANIFEST", f"{directory / MANIFEST} has format {manifest.format}")
    return manifest


def damage(path: Path, entry: FileEntry) -> str | None:
    """What is wrong with a listed file, None when nothing is."""
    if not path.is_file():
        return "missing"
    if path.stat().st_size != entry.bytes:
        return f"{path.stat().st_size} bytes instead of {entry.bytes}"
    return None if sha256_of(path) == entry.sha256 else "its SHA-256 is another one"


def verify(directory: Path) -> dict[str, str]:
    """Listed files that are damaged, and files of history that are not listed, with what is wrong."""
    listed = read_manifest(directory).files
    found = {name: damage(directory / name, entry) for name, entry in listed.items()}
    wrong = {name: text for name, text in found.items() if text is not None}
    strange = sorted(one.name for one in directory.glob("*.csv.gz") if one.name not in listed)
    return wrong | dict.fromkeys(strange, "not in the manifest")


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of one file by column name."""
    with gzip.open(path, "rt", encoding="ascii", newline="") as text:
        yield from csv.DictReader(text)
