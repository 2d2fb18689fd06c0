"""What only this venue's wire knows of orders, in a file beside the keys: a restart forgets none of it.

One JSON object a line, appended. Names given by amendments and lists of orders are on the disk before a
client is told of them; a line that a crash cut is left out when the file is read. Most orders need no line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import structlog

log = structlog.get_logger("tradewind.gateway")

FILE_NAME: Final = "binance-notes.jsonl"
MAX_FILE_BYTES: Final = 64 << 20
MAX_LINES: Final = 400_000
"""Lines after which the file is written anew with what still holds."""


class Named(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    """An amendment gave an order another name."""

    order_id: int
    account: str
    client_id: str


class Said(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    """What a client said about an order that the exchange has no field for."""

    order_id: int
    type: str
    quote_order_qty: Decimal
    strategy_id: int | None
    strategy_type: int | None
    working_type: str = ""


class Listed(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    """Two orders became a list."""

    list_id: int
    account: str
    symbol: str
    client_id: str
    time_ns: int
    legs: tuple[tuple[int, str], ...]


Line = Named | Said | Listed
_DECODER = msgspec.json.Decoder(Line)


class Notebook:
    """Append-only; nothing here raises: a disk that refuses costs what a restart would have remembered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.failures = 0

    def read(self) -> list[Line]:
        """All lines that can be read, in order."""
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._failed(error)
            return []
        found: list[Line] = []
        for line in content.split(b"\n"):
            if line:
                try:
                    found.append(_DECODER.decode(line))
                except (msgspec.DecodeError, UnicodeError):
                    log.warning("gateway_note_unreadable", file=self.path.name)
        return found

    def rewrite(self, lines: Iterable[Line]) -> None:
        """A whole new file takes the old one's place."""
        kept = list(lines)
        fresh = self.path.with_name(f".{self.path.name}.new")
        try:
            fresh.unlink(missing_ok=True)
            self._append(fresh, b"".join(msgspec.json.encode(line) + b"\n" for line in kept), durable=True)
            fresh.replace(self.path)
        except OSError as error:
            self._failed(error)
            return
        self.lines = len(kept)

    def write(self, line: Line, *, durable: bool) -> None:
        """One more line; `durable`: it is on the disk when this returns."""
        try:
            self._append(self.path, msgspec.json.encode(line) + b"\n", durable=durable)
        except OSError as error:
            self._failed(error)
            return
        self.lines += 1

    @staticmethod
    def _append(path: Path, content: bytes, *, durable: bool) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, content)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _failed(self, error: OSError) -> None:
        self.failures += 1
        log.error("gateway_notes_failed", file=self.path.name, error=f"{type(error).__name__}: {error}")
