"""Captures and single messages read in full: which messages there are, and what in them we do not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.venues.binance import shapes as binance
from tradewind.venues.feeds.captures import CaptureKind, read_capture, sniff_capture
from tradewind.venues.kraken import shapes as kraken
from tradewind.venues.market_data import DecodeError, FeedUnavailable
from tradewind.venues.polymarket import shapes as polymarket
from tradewind.venues.shapes import MAX_BODY_BYTES, Catalogue, document_of, read
from tradewind.venues.transport.capture import HEADER_MARK

VENUES: Final[dict[str, tuple[Catalogue, Callable[[Any], str | None]]]] = {
    "kraken": (kraken.SHAPES, kraken.name_of),
    "binance": (binance.SHAPES, binance.name_of),
    "polymarket": (polymarket.SHAPES, polymarket.name_of),
}
BY_KIND: Final = {
    CaptureKind.KRAKEN_V1: "kraken",
    CaptureKind.KRAKEN_V2: "kraken",
    CaptureKind.BINANCE_SPOT: "binance",
    CaptureKind.BINANCE_USDM: "binance",
}
DEPTH: Final = "binance rest depth"
MAX_NAMES: Final = 1_024
SHOWN_CHARS: Final = 120


class Inspection(msgspec.Struct, kw_only=True):
    """What was found in some files. Counts by name; of names at most `MAX_NAMES` of a kind are kept."""

    messages: dict[str, int] = {}
    """By shape."""
    unread: dict[str, int] = {}
    """Fields that a shape does not know, as `shape: path`."""
    strange: dict[str, int] = {}
    """Words that a shape does not know, as `shape: path=word`."""
    unnamed: dict[str, int] = {}
    """Messages of no shape that we know, by their beginning."""
    unlike: dict[str, int] = {}
    """Messages that are not of their shape, or no JSON, by the reason."""

    @property
    def is_clean(self) -> bool:
        """Whether everything was read in full, and there was something."""
        return bool(self.messages) and not (self.unread or self.strange or self.unnamed or self.unlike)


def inspect(paths: list[Path], venue: str | None = None, shape: str | None = None) -> Inspection:
    """Read captures (`data record`) and files with one JSON message in full.

    `venue` and `shape` name what the messages are where they do not say it themselves: answers of REST.

    Raises:
        FeedUnavailable: a file cannot be read, or what it is cannot be told.
        KeyError: no such venue or shape.
    """
    if shape is not None:
        venue = venue or next((one for one in VENUES if shape in VENUES[one][0].shapes), shape)
        VENUES[venue][0].shapes[shape]
    counts = {name: Counter[str]() for name in Inspection.__struct_fields__}
    for path in paths:
        for body, name, of in _bodies(path, venue, shape):
            _count(counts, body, name, of)
    return Inspection(**{name: dict(count.most_common()) for name, count in counts.items()})


def _bodies(path: Path, venue: str | None, shape: str | None) -> Iterator[tuple[bytes, str | None, str]]:
    """Messages, the shape where it is known beforehand, and the venue."""
    if path.suffix != ".json":
        of = BY_KIND[sniff_capture(path)]
        for captured in read_capture(path):
            if not captured.frame.startswith(HEADER_MARK):
                yield captured.frame, DEPTH if captured.rest_symbol is not None else shape, of
        return
    if venue is None:
        raise FeedUnavailable(f"{path.name}: one message does not say whose it is: name the venue")
    VENUES[venue]
    try:
        if path.stat().st_size > MAX_BODY_BYTES:
            raise FeedUnavailable(f"{path.name} is longer than {MAX_BODY_BYTES} bytes")
        yield path.read_bytes(), shape, venue
    except OSError as error:
        raise FeedUnavailable(f"{path.name}: {error.strerror}") from error


def _count(counts: dict[str, Counter[str]], body: bytes, name: str | None, venue: str) -> None:
    shapes, name_of = VENUES[venue]
    try:
        name = name or name_of(document_of(body))
        if name is None:
            _add(counts["unnamed"], body[:SHOWN_CHARS].decode("utf-8", "replace"))
            return
        reading = read(shapes[name], body)
    except DecodeError as error:
        _add(counts["unlike"], str(error)[:SHOWN_CHARS])
        return
    _add(counts["messages"], name)
    for path in reading.unread:
        _add(counts["unread"], f"{name}: {path}")
    for word in reading.strange:
        _add(counts["strange"], f"{name}: {word}")


def _add(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < MAX_NAMES else "(other)"] += 1
