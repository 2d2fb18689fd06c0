"""Binance's archive: a zip a day or a month with its SHA-256 beside it.

Nothing of a zip is used before its checksum was compared.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from .binance import candle_row, moment_ns, taker_side
from .client import HistoryClient
from .model import HistoryError, HistoryKind, Row, number, whole

URL: Final = "https://data.binance.vision"
ATTEMPTS: Final = 3
"""Downloads of one zip whose checksum is wrong, before it is given up."""
FOLDERS: Final = {
    HistoryKind.TRADES: "trades",
    HistoryKind.AGG_TRADES: "aggTrades",
    HistoryKind.CANDLES: "klines",
}
_CHECKSUM: Final = re.compile(r"([0-9a-fA-F]{64})\s+\*?(\S+)\s*")


class Archived:
    """A zip that was checked."""

    def __init__(self, path: Path, source: str, sha256: str, kind: HistoryKind) -> None:
        self.path, self.source, self.sha256, self.kind = path, source, sha256, kind

    def rows(self) -> Iterator[Row]:
        """Rows in the archive's order. Raises `HistoryError`."""
        try:
            with zipfile.ZipFile(self.path) as packed:
                [name] = packed.namelist()
                with packed.open(name) as raw, io.TextIOWrapper(raw, encoding="ascii", newline="") as text:
                    for number_of_row, row in enumerate(csv.reader(text)):
                        if number_of_row == 0 and row and not row[0].isdigit():
                            continue  # newer files name their columns
                        yield _row(self.kind, row)
        except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
            raise HistoryError("BAD_ARCHIVE", f"{self.source}: {error}") from error


def _row(kind: HistoryKind, row: list[str]) -> Row:
    try:
        if kind is HistoryKind.CANDLES:
            return candle_row(row)
        if kind is HistoryKind.TRADES:
            trade_id, price, quantity, _, time, maker, *_ = row
            extra: tuple[str, ...] = ("",)
        else:
            trade_id, price, quantity, first, last, time, maker, *_ = row
            extra = (str(whole(first)), str(whole(last)))
    except ValueError as error:
        raise HistoryError("BAD_ROW", f"{len(row)} fields in a row of {kind}") from error
    return (
        str(moment_ns(time)), number(price), number(quantity), taker_side(maker), str(whole(trade_id)), *extra
    )  # fmt: skip


class BinanceArchive:
    """Zips of one symbol; `folder` keeps at most one at a time."""

    def __init__(self, client: HistoryClient, symbol: str, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.symbol = symbol.upper().replace("/", "")
        self.rejected = 0
        """Downloads whose checksum was wrong."""

    async def get(
        self, kind: HistoryKind, interval: str, period: str, tell: Callable[[int], None] = lambda size: None
    ) -> Archived | None:
        """The zip of a day (`2024-08-08`) or a month (`2024-08`); None when the archive does not have it.

        Raises:
            HistoryError: `CHECKSUM` after three wrong downloads, or what the client raises.
        """
        cycle = "daily" if period.count("-") == 2 else "monthly"
        middle = f"/{interval}" if kind is HistoryKind.CANDLES else ""
        word = interval if kind is HistoryKind.CANDLES else FOLDERS[kind]
        name = f"{self.symbol}-{word}-{period}.zip"
        path = f"/data/spot/{cycle}/{FOLDERS[kind]}/{self.symbol}{middle}/{name}"
        for _ in range(ATTEMPTS):
            try:
                wanted = await self._checksum(path, name)
                target = self.folder / f"{name}.part"
                got = await self.client.download(path, target, tell)
            except HistoryError as error:
                if error.code == "NOT_FOUND":
                    return None
                raise
            if got.sha256 == wanted:
                return Archived(target, f"archive:{path}", wanted, kind)
            target.unlink()
            self.rejected += 1
        raise HistoryError("CHECKSUM", f"{path}: its SHA-256 was wrong {ATTEMPTS} times")

    async def _checksum(self, path: str, name: str) -> str:
        text = (await self.client.get(f"{path}.CHECKSUM")).decode("ascii", "replace")
        match = _CHECKSUM.fullmatch(text)
        if match is None or match[2] != name:
            raise HistoryError("BAD_ANSWER", f"{path}.CHECKSUM is not the checksum of {name}")
        return match[1].lower()
