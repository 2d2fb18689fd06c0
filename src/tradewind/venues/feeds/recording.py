"""Recording a venue's public stream: every frame as it came, with its receive time, into rotated files.

The recorder is a live feed with a capture: it keeps the books too, so that a gap, a bad checksum or a book
that never gets live is seen while it is recorded and not months later.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tradewind.venues.binance.instruments import BinanceMarket
from tradewind.venues.binance.live import SPOT, USDM, BinanceEndpoints, open_binance_feed
from tradewind.venues.feeds.live import LiveFeed, LiveOptions
from tradewind.venues.kraken.live import KrakenEndpoints, open_kraken_feed
from tradewind.venues.market_data import DecodeError, FeedUnavailable
from tradewind.venues.transport.capture import DEFAULT_MAX_FILES, MAX_FILE_BYTES, RawCapture, header_frame

VENUES: Final = ("kraken", "binance", "binance-usdm")
MAX_SYMBOLS: Final = 60
"""Three streams each on one Binance connection, below its 200."""
LOOK_S: Final = 0.5
"""How often progress is told, the file flushed and the disk looked at."""
MIN_FREE_BYTES: Final = 256 * 1024 * 1024
TOO_FAST: Final = "EAPI:Rate limit exceeded"
AGAIN_S: Final = 1.0
MAX_WAITS: Final = 3


class RecordingRefused(Exception):
    """The recording cannot start. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RecordingWish(msgspec.Struct, frozen=True, kw_only=True):
    """What to record. `url` and `socket_url` replace the venue's public addresses."""

    venue: str
    symbols: tuple[str, ...]
    directory: Path
    url: str | None = None
    socket_url: str | None = None
    depth: int = 1_000
    """Kraken: levels a side, one of 10, 25, 100, 500, 1000."""
    max_file_bytes: int = MAX_FILE_BYTES
    """Before compression."""
    max_files: int = DEFAULT_MAX_FILES
    min_free_bytes: int = MIN_FREE_BYTES
    options: LiveOptions = LiveOptions()


class RecordingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a recording is. Bytes of frames are before compression, those on the disk behind it."""

    connection: str
    elapsed_s: float
    frames: int
    frame_bytes: int
    disk_bytes: int
    files: int
    file: str | None
    removed_files: int
    gaps: int
    checksum_failures: int
    decode_errors: int
    reconnects: int
    dropped_frames: int
    trades: int
    books: dict[str, str]
    """State by symbol."""
    new_names: tuple[str, ...] = ()
    """Fields and words of the venue's messages that this build does not know."""


def addresses(venue: str, url: str | None, socket_url: str | None) -> KrakenEndpoints | BinanceEndpoints:
    """The venue's addresses, or those given; the socket is at the host of `url` unless it is given too.

    Raises:
        RecordingRefused: no such venue, or no address.
    """
    if venue not in VENUES:
        raise RecordingRefused("UNKNOWN_VENUE", f"no recorder for {venue!r}; there are {', '.join(VENUES)}")
    if url is not None and socket_url is None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise RecordingRefused("BAD_ADDRESS", f"{url!r} is not an http address")
        scheme = "ws" if parts.scheme == "http" else "wss"
        socket_url = f"{scheme}://{parts.netloc}" + ("/v2" if venue == "kraken" else "")
    changes = {} if url is None else {"rest_url": url.rstrip("/")}
    changes |= {} if socket_url is None else {"websocket_url": socket_url.rstrip("/")}
    if venue == "kraken":
        return msgspec.structs.replace(KrakenEndpoints(), **changes)
    return msgspec.structs.replace(SPOT if venue == "binance" else USDM, **changes)


class Recording:
    """One recording. Build with `start_recording`; `run` until told to stop."""

    def __init__(self, wish: RecordingWish, feed: LiveFeed, capture: RawCapture, lock: int) -> None:
        self.wish, self.feed, self.capture = wish, feed, capture
        self._lock: int | None = lock
        self._begin_s = time.monotonic()

    async def run(
        self,
        stop: asyncio.Event,
        tell: Callable[[RecordingStatus], None] = lambda status: None,
        *,
        for_s: float | None = None,
    ) -> str:
        """Why it ended: `stopped`, `time`, `disk` (space), `capture` (the file could not be written)."""
        reader = asyncio.create_task(self._read(), name="recorder")
        try:
            return await self._until(stop, tell, for_s)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await self.close()
            tell(self.status())

    async def _read(self) -> None:
        """Takes what the feed publishes, so that its queue never conflates; the frames are written by it."""
        async for _ in self.feed.events():
            pass

    async def _until(
        self, stop: asyncio.Event, tell: Callable[[RecordingStatus], None], for_s: float | None
    ) -> str:
        while True:
            left_s = LOOK_S if for_s is None else min(LOOK_S, for_s - (time.monotonic() - self._begin_s))
            if left_s <= 0:
                return "time"
            try:
                async with asyncio.timeout(left_s):
                    await stop.wait()
                return "stopped"
            except TimeoutError:
                reason = self._look()
            if reason is not None:
                return reason
            tell(self.status())

    def _look(self) -> str | None:
        if self.feed.capture_failure is not None:
            return "capture"
        try:
            self.capture.flush()
        except OSError as error:
            self.feed.capture_failure = f"{type(error).__name__}: {error.strerror}"
            return "capture"
        free = shutil.disk_usage(self.wish.directory).free
        return "disk" if free < self.wish.min_free_bytes else None

    def status(self) -> RecordingStatus:
        """Counts since the start of this run."""
        found, capture = self.feed.statistics(), self.capture
        return RecordingStatus(
            connection=str(self.feed.link.state),
            elapsed_s=round(time.monotonic() - self._begin_s, 1),
            frames=capture.frames,
            frame_bytes=capture.bytes,
            disk_bytes=capture.disk_bytes(),
            files=len(capture.files),
            file=capture.files[-1].name if capture.files else None,
            removed_files=capture.removed,
            gaps=found.gaps,
            checksum_failures=found.checksum_failures,
            decode_errors=found.decode_errors,
            reconnects=found.reconnects,
            dropped_frames=found.dropped_frames,
            trades=found.trades,
            books={symbol: str(self.feed.state(symbol)) for symbol in self.feed.instruments},
            new_names=found.new_names,
        )

    async def close(self) -> None:
        """Disconnects and finishes the file (idempotent)."""
        await self.feed.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(directory: Path, name: str) -> int:
    """Two recorders of one name would take each other's numbers."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise RecordingRefused("LOCKED", f"another recorder writes {name} in {directory}") from error
    return descriptor


def capture_name(wish: RecordingWish) -> str:
    """Name of the files: venue and symbols, the first three of them."""
    words = [one.replace("/", "").lower() for one in wish.symbols]
    more = f"-and-{len(words) - 3}" if len(words) > 3 else ""
    return f"{wish.venue}-{'-'.join(words[:3])}{more}"


async def start_recording(wish: RecordingWish) -> Recording:
    """Asks the venue for its instruments and opens the capture; `Recording.run` connects.

    Raises:
        RecordingRefused: the wish is wrong, another recorder has the files, a symbol is not listed.
        FeedError: the venue did not answer, or not in a way that can be read.
    """
    if not 0 < len(wish.symbols) <= MAX_SYMBOLS or len(set(wish.symbols)) != len(wish.symbols):
        raise RecordingRefused("BAD_SYMBOLS", f"1 to {MAX_SYMBOLS} different symbols")
    where = addresses(wish.venue, wish.url, wish.socket_url)
    lock = _locked(wish.directory, capture_name(wish))
    try:
        capture = RawCapture(wish.directory, capture_name(wish), wish.max_file_bytes, wish.max_files)
        feed = await _open(wish, where, capture)
    except FeedUnavailable as error:
        os.close(lock)
        raise RecordingRefused("NOT_LISTED", str(error)) from error
    except BaseException:
        os.close(lock)
        raise
    name, depth = _header_facts(wish, where)
    capture.header = lambda: header_frame(name, feed.instruments.values(), depth)
    return Recording(wish, feed, capture, lock)


async def _open(wish: RecordingWish, where: Any, capture: RawCapture) -> LiveFeed:
    if isinstance(where, KrakenEndpoints):
        for _ in range(MAX_WAITS):
            try:
                return await _open_kraken(wish, where, capture)
            except DecodeError as error:
                if TOO_FAST not in error.reason:
                    raise
                await asyncio.sleep(AGAIN_S)  # others on this address filled the venue's public counter
        return await _open_kraken(wish, where, capture)
    names = [one.replace("/", "") for one in _upper(wish.symbols)]
    return await open_binance_feed(names, where, options=wish.options, capture=capture)


async def _open_kraken(wish: RecordingWish, where: KrakenEndpoints, capture: RawCapture) -> LiveFeed:
    return await open_kraken_feed(
        _upper(wish.symbols), where, depth=wish.depth, options=wish.options, capture=capture
    )


def _upper(symbols: Iterable[str]) -> list[str]:
    return [one.upper() for one in symbols]


def _header_facts(wish: RecordingWish, where: Any) -> tuple[str, int | None]:
    if isinstance(where, KrakenEndpoints):
        return "kraken", wish.depth
    return ("binance-spot" if where.market is BinanceMarket.SPOT else "binance-usdm"), None
