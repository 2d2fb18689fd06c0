"""Files of candles: a day of `data fetch`, or the answer of Kraken's OHLC call."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.venues.history.kraken import candle_row, parse
from tradewind.venues.history.model import COLUMNS, INTERVALS_S, HistoryError, HistoryKind
from tradewind.venues.history.store import read_manifest

from .candles import Candle
from .errors import DataRefused

SECOND_NS: Final = 1_000_000_000
MAX_DOCUMENT_BYTES: Final = 64 << 20
CANDLE_HEADER: Final = ",".join(COLUMNS[HistoryKind.CANDLES])
QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "CHF", "JPY", "BTC", "ETH")
LEGACY: Final = {"XBT": "BTC", "XDG": "DOGE"}
_FILE_NAME: Final = re.compile(r"(\w+)-(\w+)-candles-(\w+)-\d{4}-\d\d-\d\d\.csv\.gz")


class CandleFile(msgspec.Struct, frozen=True, kw_only=True):
    """The candles of one file. `symbol` None: the file does not say."""

    venue: str
    symbol: str | None
    step_ns: int
    candles: list[Candle]


def is_candle_file(path: Path) -> bool:
    """Whether a file holds candles: a CSV with their columns, or the answer of Kraken's OHLC call."""
    names = path.name.removesuffix(".gz")
    if names.endswith(".csv"):
        return _first_text(path).partition("\n")[0].strip() == CANDLE_HEADER
    return names.endswith(".json") and '"result"' in _first_text(path)


def _first_text(path: Path) -> str:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(4_096).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return ""


def read_candles(path: Path) -> CandleFile:
    """Raises `DataRefused`."""
    body = _body(path)
    try:
        if path.name.removesuffix(".gz").endswith(".json"):
            return _kraken_answer(path, body)
        return _history(path, body)
    except (HistoryError, InvalidOperation, ValueError, KeyError, TypeError) as error:
        raise DataRefused("DATA_DAMAGED", f"{path.name}: {error}") from error


def _body(path: Path) -> bytes:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        body = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(body) > MAX_DOCUMENT_BYTES:
        raise DataRefused("DATA_TOO_LARGE", f"{path.name}: more than {MAX_DOCUMENT_BYTES} bytes of candles")
    return body


def _candle(row: Sequence[str]) -> Candle:
    return Candle(
        open_ns=int(row[0]), open=Decimal(row[1]), high=Decimal(row[2]), low=Decimal(row[3]),
        close=Decimal(row[4]), volume=Decimal(row[5]),
    )  # fmt: skip


def _history(path: Path, body: bytes) -> CandleFile:
    """A day of `data fetch`; the manifest beside it, or else the file's name, says what it is."""
    rows = list(csv.reader(io.StringIO(body.decode("ascii"))))
    candles = [_candle(row) for row in rows[1:] if row]
    try:
        entry = read_manifest(path.parent).files.get(path.name)
    except HistoryError:
        entry = None
    if entry is not None and entry.interval in INTERVALS_S:
        return CandleFile(
            venue=entry.venue, symbol=entry.symbol, step_ns=INTERVALS_S[entry.interval] * SECOND_NS,
            candles=candles,
        )  # fmt: skip
    match = _FILE_NAME.fullmatch(path.name)
    step_ns = INTERVALS_S.get(match[3], 0) * SECOND_NS if match else 0
    venue = match[1] if match else "candles"
    symbol = _split(match[2].upper()) if match else None
    return CandleFile(
        venue=venue, symbol=symbol, step_ns=step_ns or _smallest_step(path, candles), candles=candles
    )


def _kraken_answer(path: Path, body: bytes) -> CandleFile:
    """The body of the OHLC call; the last candle is still open and is left away."""
    result: dict[str, Any] = parse(body)["result"]
    [(pair, rows)] = [(key, value) for key, value in result.items() if key != "last"]
    candles = [_candle(candle_row(row)) for row in rows[:-1]]
    return CandleFile(
        venue="kraken", symbol=_split(pair), step_ns=_smallest_step(path, candles), candles=candles
    )


def _smallest_step(path: Path, candles: Sequence[Candle]) -> int:
    steps = [later.open_ns - one.open_ns for one, later in pairwise(candles)]
    positive = [step for step in steps if step > 0]
    if not positive:
        raise DataRefused("DATA_EMPTY", f"{path.name}: fewer than two candles")
    return min(positive)


def _split(pair: str) -> str | None:
    """BASE/QUOTE of a name without a slash, None when its quote is not known."""
    for quote in QUOTES:
        base = pair.removesuffix(quote)
        if base != pair and base:
            return f"{LEGACY.get(base, base)}/{quote}"
    return None
