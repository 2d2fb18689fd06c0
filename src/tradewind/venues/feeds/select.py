"""Choosing a feed: live when reachable, else recordings, else a generated market that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import msgspec

from tradewind.venues.binance.live import SPOT, BinanceEndpoints, open_binance_feed
from tradewind.venues.feeds.base import Feed
from tradewind.venues.feeds.generated import EPOCH_2024_NS, GeneratedFeed, market_named
from tradewind.venues.feeds.live import LiveOptions
from tradewind.venues.feeds.recorded import RecordedFeed
from tradewind.venues.kraken.live import KrakenEndpoints, open_kraken_feed
from tradewind.venues.market_data import FeedError, FeedUnavailable
from tradewind.venues.transport.capture import series_of
from tradewind.venues.transport.errors import TransportError
from tradewind.venues.transport.http import PublicHttpSession

REACH_TIMEOUT_S = 2.0
OPEN_TIMEOUT_S = 10.0
DEFAULT_SEED = 20_240_808
CAPTURE_SUFFIXES = (".gz", ".txt")


class FeedMode(StrEnum):
    """What the operator asked for (`--feed`)."""

    AUTO = "auto"
    LIVE = "live"
    REPLAY = "replay"
    GENERATED = "generated"


class FeedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `select_feed` may need. `recordings`: files in order, or one directory."""

    venue: str = "binance"
    symbols: tuple[str, ...] = ("BTCUSDT",)
    recordings: tuple[Path, ...] = ()
    speed: float | None = 1.0
    loop: bool = False
    seed: int = DEFAULT_SEED
    start_at_ns: int | None = None
    binance: BinanceEndpoints = SPOT
    kraken: KrakenEndpoints = KrakenEndpoints()
    options: LiveOptions = LiveOptions()
    reach_timeout_s: float = REACH_TIMEOUT_S


class SelectedFeed(msgspec.Struct, frozen=True, kw_only=True):
    """The feed and why the better choices were not taken (shown to the operator)."""

    feed: Feed
    passed_over: tuple[str, ...] = ()


async def select_feed(mode: FeedMode | str, request: FeedRequest | None = None) -> SelectedFeed:
    """Build the feed for `mode`. Raises `FeedUnavailable` (or a `ValueError` for an unknown mode).

    `auto` never fails: it ends with the generated market. The other modes never substitute anything.
    """
    wanted, asked = FeedMode(mode), request or FeedRequest()
    if wanted is FeedMode.GENERATED:
        return SelectedFeed(feed=_generated(asked))
    if wanted is FeedMode.REPLAY:
        return SelectedFeed(feed=_recorded(asked))
    passed_over: list[str] = []
    try:
        return SelectedFeed(feed=await _live(asked))
    except (FeedError, TimeoutError) as error:
        if wanted is FeedMode.LIVE:
            raise FeedUnavailable(f"live {asked.venue} is not available: {error or 'no answer'}") from error
        passed_over.append(f"live {asked.venue}: {error or 'no answer in time'}")
    try:
        return SelectedFeed(feed=_recorded(asked), passed_over=tuple(passed_over))
    except FeedUnavailable as error:
        passed_over.append(f"replay: {error}")
    return SelectedFeed(feed=_generated(asked), passed_over=tuple(passed_over))


async def reachable(request: FeedRequest) -> None:
    """Ask the venue's public time or ping once. Raises `TransportError` when it does not answer."""
    if request.venue == "binance":
        url, path = request.binance.rest_url, f"{request.binance.rest_prefix}/ping"
    elif request.venue == "kraken":
        url, path = request.kraken.rest_url, "/0/public/Time"
    else:
        raise FeedUnavailable(f"no live feed for venue {request.venue!r}; known: binance, kraken")
    async with PublicHttpSession(url, frozenset({path}), timeout_s=request.reach_timeout_s) as http:
        try:
            await http.get(path)
        except OSError as error:
            raise TransportError(f"{request.venue}: {type(error).__name__}") from error


async def _live(request: FeedRequest) -> Feed:
    await reachable(request)
    async with asyncio.timeout(OPEN_TIMEOUT_S):
        if request.venue == "kraken":
            return await open_kraken_feed(request.symbols, request.kraken, options=request.options)
        return await open_binance_feed(request.symbols, request.binance, options=request.options)


def find_recordings(paths: Iterable[Path]) -> list[Path]:
    """Files as given; for a directory, the first capture of its name order, with all its numbered files.

    A `.http.txt.gz` file is never a recording of its own: it belongs to its `.ws.txt.gz`.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        names = sorted(one for one in path.iterdir()
                       if one.suffix in CAPTURE_SUFFIXES and ".http." not in one.name)  # fmt: skip
        found.extend(series_of(names[0]) if names else ())
    return found


def _recorded(request: FeedRequest) -> Feed:
    paths = find_recordings(request.recordings)
    if not paths:
        raise FeedUnavailable("no recordings given")
    return RecordedFeed(paths, request.speed, loop=request.loop, start_at_ns=request.start_at_ns)


def _generated(request: FeedRequest) -> Feed:
    start_at_ns = EPOCH_2024_NS if request.start_at_ns is None else request.start_at_ns
    markets = [market_named(symbol) for symbol in request.symbols]
    return GeneratedFeed(request.seed, markets, request.speed, start_at_ns=start_at_ns)
