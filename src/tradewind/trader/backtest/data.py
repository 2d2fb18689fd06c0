"""Market data of a back-test: captures, candles, or a generated market; checked and hashed.

Whatever the source, `batches()` yields the same events in the same order every time it is called.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from tradewind.venues.feeds.generated import GeneratedFeed
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.feeds.select import find_recordings
from tradewind.venues.market_data import FeedError, FeedEvent, Instrument
from tradewind.venues.paper.mirror import MirrorConfig

from .candle_files import is_candle_file, read_candles
from .candles import ASSUMPTIONS, MIRROR, CandleModel, CandlePath, check_candles, infer_instrument
from .errors import DataRefused

SECOND_NS: Final = 1_000_000_000
CHUNK: Final = 1 << 20
MAX_FILES: Final = 4_096
MAX_GENERATED_S: Final = 30 * 86_400
_GENERATED: Final = re.compile(r"generated:(\d{1,7})(?::(\d{1,9}))?")


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read, by content."""

    name: str
    bytes: int
    sha256: str
    torn: bool = False


class MarketData(Protocol):
    """What a back-test runs on. `market_age_ms`: how old market data may be, None: as the profile says."""

    @property
    def kind(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def venue(self) -> str: ...

    @property
    def files(self) -> tuple[DataFile, ...]: ...

    @property
    def instruments(self) -> Mapping[str, Instrument]: ...

    @property
    def assumptions(self) -> tuple[str, ...]: ...

    @property
    def gaps(self) -> tuple[str, ...]: ...

    @property
    def mirror(self) -> MirrorConfig: ...

    @property
    def market_age_ms(self) -> int | None: ...

    @property
    def hash(self) -> str: ...

    def batches(self) -> Iterator[tuple[int, list[FeedEvent]]]:
        """(time ns, events), from the beginning; times never go back."""


def data_hash(data: MarketData, *more: object) -> str:
    """Hash of files and choices."""
    text = json.dumps([data.kind, [one.sha256 for one in data.files], [str(one) for one in more]])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class CaptureData:
    """Recorded frames of a venue, replayed through the usual pipeline."""

    kind = "capture"
    market_age_ms = None

    def __init__(self, paths: Sequence[Path], *, allow_gaps: bool = False) -> None:
        """Raises `DataRefused`; a file that was torn off is a gap, which may be allowed."""
        self.paths = list(paths)
        self.files = tuple(checked_file(path, allow_torn=allow_gaps) for path in paths)
        self.gaps = tuple(f"{one.name} ends in the middle" for one in self.files if one.torn)
        self.mirror = MirrorConfig()
        self.assumptions = ("data are captures: every frame at the time at which it was received",)
        feed = self._feed()
        self.instruments = dict(feed.instruments)
        self.label = feed.label
        first = next(iter(self.instruments.values()), None)
        self.venue = first.venue if first is not None else ""

    def _feed(self) -> RecordedFeed:
        try:
            return RecordedFeed(self.paths, speed=None)
        except StopIteration:
            raise DataRefused("DATA_EMPTY", f"{self.paths[0].name}: no frames") from None
        except FeedError as error:
            raise DataRefused("DATA_UNREADABLE", str(error)) from error

    def feed(self) -> RecordedFeed:
        """A fresh feed of the same frames."""
        return self._feed()

    def batches(self) -> Iterator[tuple[int, list[FeedEvent]]]:
        """See `MarketData`. Raises `DataRefused` for a frame of no known format."""
        try:
            yield from self._feed().batches()
        except FeedError as error:
            raise DataRefused("DATA_UNREADABLE", str(error)) from error

    @property
    def hash(self) -> str:
        """Of the files."""
        return data_hash(self)


class GeneratedData:
    """A seeded synthetic market, for trying things out; nothing of it proves anything."""

    kind = "generated"
    market_age_ms = None
    gaps: tuple[str, ...] = ()
    files: tuple[DataFile, ...] = ()

    def __init__(self, seconds: int, seed: int) -> None:
        if not 1 <= seconds <= MAX_GENERATED_S:
            raise DataRefused("PARAMETER_OUT_OF_BOUNDS", f"{seconds} s are outside 1..{MAX_GENERATED_S}")
        self.seconds, self.seed = seconds, seed
        self.mirror = MirrorConfig()
        self.label, self.venue = f"generated:{seconds}:{seed}", "generated"
        self.assumptions = ("data are generated: a synthetic market, which proves nothing about a real one",)
        self.instruments = dict(GeneratedFeed(seed, speed=None).instruments)

    def batches(self) -> Iterator[tuple[int, list[FeedEvent]]]:
        """See `MarketData`."""
        first_ns: int | None = None
        for now_ns, events in GeneratedFeed(self.seed, speed=None).batches():
            first_ns = now_ns if first_ns is None else first_ns
            if now_ns - first_ns >= self.seconds * SECOND_NS:
                return
            yield now_ns, events

    @property
    def hash(self) -> str:
        """Of seed and length."""
        return data_hash(self, self.seconds, self.seed)


class CandleData:
    """Candles of one symbol, as `CandlePath` plays them."""

    kind = "candles"

    def __init__(
        self, paths: Sequence[Path], *, symbol: str | None, model: CandleModel, seed: int, allow_gaps: bool
    ) -> None:
        """Raises `DataRefused`."""
        model.validate()
        self.files = tuple(checked_file(path) for path in paths)
        parts = [read_candles(path) for path in paths]
        first = parts[0]
        for path, part in zip(paths, parts, strict=True):
            if (part.symbol, part.step_ns) != (first.symbol, first.step_ns):
                raise DataRefused("DATA_MIXED", f"{path.name} is of {part.symbol}, not of {first.symbol}")
        name = symbol or first.symbol
        if name is None:
            raise DataRefused("UNKNOWN_SYMBOL", f"{paths[0].name} does not name its symbol: give --symbol")
        if first.symbol is not None and name != first.symbol:
            raise DataRefused("UNKNOWN_SYMBOL", f"{paths[0].name} is of {first.symbol}, not of {name}")
        candles = [candle for part in parts for candle in part.candles]
        where = "+".join(path.name for path in paths)
        self.gaps = tuple(check_candles(candles, first.step_ns, where=where, allow_gaps=allow_gaps))
        self.step_ns, self.seed, self.model = first.step_ns, seed, model
        self.label, self.venue = f"candles:{where}", first.venue
        instrument = infer_instrument(first.venue, name, candles)
        self.instruments = {name: instrument}
        self.mirror = MIRROR
        self.market_age_ms = first.step_ns // 1_000_000 + 10_000
        self.assumptions = (
            *ASSUMPTIONS,
            f"spread {model.spread_bps} bps; orders find {model.participation_pct} % of a candle's volume",
        )
        self._path = CandlePath(instrument, candles, first.step_ns, model, seed)

    def batches(self) -> Iterator[tuple[int, list[FeedEvent]]]:
        """See `MarketData`."""
        path = self._path
        one = CandlePath(path.instrument, path.candles, path.step_ns, path.model, path.seed)
        return one.batches()

    @property
    def hash(self) -> str:
        """Of files and model."""
        return data_hash(self, self.model, self.seed, *self.instruments)


def open_data(
    sources: Sequence[str],
    *,
    symbol: str | None = None,
    model: CandleModel | None = None,
    seed: int = 1,
    allow_gaps: bool = False,
) -> MarketData:
    """Files of one kind, in order of time; a folder stands for its captures; or `generated:SECONDS[:SEED]`.

    Raises `DataRefused` with the reason.
    """
    if not sources:
        raise DataRefused("NO_DATA", "no data: give --data FILE")
    generated = _GENERATED.fullmatch(sources[0])
    if generated is not None and len(sources) == 1:
        return GeneratedData(int(generated[1]), int(generated[2] or seed))
    paths = _expanded([Path(one) for one in sources])
    kinds = {is_candle_file(path) for path in paths}
    if len(kinds) > 1:
        raise DataRefused("DATA_MIXED", "captures and candles cannot be mixed in one back-test")
    if kinds == {True}:
        return CandleData(
            paths, symbol=symbol, model=model or CandleModel(), seed=seed, allow_gaps=allow_gaps
        )
    return CaptureData(paths, allow_gaps=allow_gaps)


def _expanded(given: Sequence[Path]) -> list[Path]:
    for path in given:
        if not path.exists():
            raise DataRefused("DATA_MISSING", f"there is no {path}")
    paths: list[Path] = []
    for path in given:
        candles = sorted(path.glob("*-candles-*.csv.gz")) if path.is_dir() else []
        paths += candles or find_recordings([path])
    if not paths:
        raise DataRefused("DATA_EMPTY", f"{given[0]} has no recordings and no candles")
    packed = [path for path in paths if path.suffix == ".zst"]
    if packed:
        raise DataRefused(
            "DATA_UNSUPPORTED", f"{packed[0].name}: zstd is not read here; unpack it, or use gzip"
        )
    if len(paths) > MAX_FILES:
        raise DataRefused("DATA_TOO_LARGE", f"{len(paths)} files, at most {MAX_FILES} are read")
    return paths


def checked_file(path: Path, *, allow_torn: bool = False) -> DataFile:
    """Size and SHA-256; gzip is read to its end. Raises `DataRefused`: missing, empty, torn, damaged."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise DataRefused("DATA_MISSING", f"{path}: {error.strerror}") from error
    if not size:
        raise DataRefused("DATA_EMPTY", f"{path.name} is empty")
    torn = False
    if path.suffix == ".gz":
        unpacked, torn = _unpacked_bytes(path)
        if torn and not allow_torn:
            raise DataRefused(
                "DATA_TRUNCATED", f"{path.name} ends in the middle: {unpacked} bytes could be read"
            )
        if not unpacked:
            raise DataRefused("DATA_EMPTY", f"{path.name} holds nothing")
    return DataFile(name=path.name, bytes=size, sha256=digest.hexdigest(), torn=torn)


def _unpacked_bytes(path: Path) -> tuple[int, bool]:
    """How much is in a gzip file, and whether it was torn off. Raises `DataRefused` for other damage."""
    size = 0
    try:
        with gzip.open(path, "rb") as file:
            while chunk := file.read1(CHUNK):
                size += len(chunk)
    except EOFError:
        return size, True
    except (OSError, zlib.error) as error:
        raise DataRefused("DATA_DAMAGED", f"{path.name}: {error}") from error
    return size, False
