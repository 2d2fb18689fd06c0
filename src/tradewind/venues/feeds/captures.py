"""Readers of recorded captures: format A (time and frame), B (socket log), C (REST log).

A: `<receive time in ns> <frame>`
B: `<url> <-> <seconds>`, `<url> <- <seconds>: <sent>`, `<seconds>: <frame>`
C: `<url> -> <seconds>: <body>`
"""

from __future__ import annotations

import gzip
import heapq
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog

from tradewind.venues.kraken.timestamps import decimal_seconds_ns
from tradewind.venues.market_data import DecodeError, FeedUnavailable
from tradewind.venues.transport.capture import HEADER_MARK, CaptureHeader, read_header

log = structlog.get_logger("tradewind.feeds")
MAX_LINE_BYTES = 16 * 1024 * 1024
SNIFF_LINES = 64
NANOSECOND_DIGITS = 19


class CaptureKind(StrEnum):
    """What speaks in a capture."""

    BINANCE_SPOT = "binance-spot"
    BINANCE_USDM = "binance-usdm"
    KRAKEN_V1 = "kraken-v1"
    KRAKEN_V2 = "kraken-v2"


KINDS_BY_VENUE = {
    "binance-spot": CaptureKind.BINANCE_SPOT,
    "binance-usdm": CaptureKind.BINANCE_USDM,
    "kraken": CaptureKind.KRAKEN_V2,
}
"""By the venue that the header of our own captures names."""


class CapturedFrame(msgspec.Struct, frozen=True, gc=False):
    """One received frame. `rest_symbol` is set for a REST depth body whose URL names the symbol."""

    recv_ts_ns: int
    frame: bytes
    rest_symbol: str | None = None


def open_capture(path: Path) -> BinaryIO:
    """Open a capture, plain or gzip. Raises `FeedUnavailable`."""
    try:
        return cast(BinaryIO, gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))
    except OSError as error:
        raise FeedUnavailable(f"cannot open capture {path.name}: {error.strerror}") from error


def _is_format_a(line: bytes) -> bool:
    return line[:NANOSECOND_DIGITS].isdigit() and line[NANOSECOND_DIGITS : NANOSECOND_DIGITS + 1] == b" "


def _lines(path: Path) -> Iterator[bytes]:
    """Lines of a capture. A torn end (the recorder was killed) ends the capture; other damage raises."""
    with open_capture(path) as stream:
        try:
            yield from stream
        except EOFError:
            log.warning("capture_torn", file=path.name, detail="recorder killed; what it wrote is used")
            return
        except (OSError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
            raise FeedUnavailable(f"capture {path.name} is damaged: {error}") from error


def read_capture(path: Path) -> Iterator[CapturedFrame]:
    """Yield the frames of one capture in receive order; merges `X.ws.txt.gz` with its `X.http.txt.gz`.

    Raises `FeedUnavailable` when the file cannot be read and `DecodeError` for a line of no known format.
    """
    rest = Path(str(path).replace(".ws.txt", ".http.txt"))
    if rest != path and rest.exists():
        yield from heapq.merge(_read_one(path), _read_one(rest), key=lambda one: one.recv_ts_ns)
    else:
        yield from _read_one(path)


def _read_one(path: Path) -> Iterator[CapturedFrame]:
    for number, line in enumerate(_lines(path), 1):
        if _is_format_a(line):  # the fast path: every line of format A
            yield CapturedFrame(int(line[:NANOSECOND_DIGITS]), line[NANOSECOND_DIGITS + 1 : -1])
            continue
        text = line.strip()
        if text:
            frame = _read_log_line(text, path, number)
            if frame is not None:
                yield frame


def _read_log_line(line: bytes, path: Path, number: int) -> CapturedFrame | None:
    head, colon, body = line.partition(b": ")
    words = head.split(b" ")
    if len(line) > MAX_LINE_BYTES:
        raise DecodeError("capture", f"{path.name} line {number} is longer than {MAX_LINE_BYTES} bytes")
    if colon and len(words) == 1 and head.replace(b".", b"", 1).isdigit():
        return CapturedFrame(decimal_seconds_ns(head.decode()), body)
    if colon and len(words) == 3 and words[1] == b"->":
        return CapturedFrame(decimal_seconds_ns(words[2].decode()), body, _symbol_of(words[0].decode()))
    if len(words) == 3 and words[1] in (b"<->", b"<-"):
        return None
    raise DecodeError("capture", f"{path.name} line {number}: unknown line format {line[:40]!r}")


def _symbol_of(url: str) -> str:
    values = parse_qs(urlsplit(url).query).get("symbol", [])
    if len(values) != 1:
        raise DecodeError("capture", f"no symbol in REST address {url[:80]!r}")
    return values[0]


def capture_header(path: Path) -> CaptureHeader | None:
    """The header of one of our own captures, None for any other. Raises `FeedUnavailable`."""
    line = next(_lines(path), b"")
    frame = line[NANOSECOND_DIGITS + 1 :]
    if not (_is_format_a(line) and frame.startswith(HEADER_MARK)):
        return None
    try:
        return read_header(frame)
    except msgspec.DecodeError as error:
        raise FeedUnavailable(f"capture {path.name} has a damaged header: {error}") from error


def sniff_capture(path: Path) -> CaptureKind:
    """Tell what speaks in a capture from its first lines. Raises `FeedUnavailable`."""
    header = capture_header(path)
    if header is not None:
        kind = KINDS_BY_VENUE.get(header.venue)
        if kind is None:
            raise FeedUnavailable(f"capture {path.name} is of {header.venue[:32]!r}, which is not known")
        return kind
    spot_seen = False
    for number, line in enumerate(_lines(path)):
        if number >= SNIFF_LINES:
            break
        if b'"pu":' in line or b"fstream." in line[:80]:
            return CaptureKind.BINANCE_USDM
        if b'{"stream":' in line or b"binance" in line[:80]:
            spot_seen = True
        elif b"ws.kraken.com/v2" in line[:80] or b'"channel":"' in line[:80]:
            return CaptureKind.KRAKEN_V2
        elif b"ws.kraken.com" in line[:80] or b'"event":"systemStatus"' in line:
            return CaptureKind.KRAKEN_V1
    if spot_seen:
        return CaptureKind.BINANCE_SPOT
    raise FeedUnavailable(f"capture {path.name}: no known venue in its first {SNIFF_LINES} lines")
