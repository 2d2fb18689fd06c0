"""Live public market data of Binance spot and USD-M futures: combined stream plus REST depth snapshots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

import msgspec

from tradewind.venues.binance.decoder import BinanceDecoder
from tradewind.venues.binance.instruments import BinanceMarket, parse_exchange_info
from tradewind.venues.feeds.book import BookLimits
from tradewind.venues.feeds.decoding import Received
from tradewind.venues.feeds.live import FRAMES_PER_YIELD, LiveFeed, LiveOptions
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.sequencing import BinanceFuturesRule, BinanceSpotRule
from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.market_data import DecodeError, FeedEvent, FeedUnavailable, Instrument
from tradewind.venues.transport.capture import RawCapture
from tradewind.venues.transport.errors import HttpStatus, TransportError
from tradewind.venues.transport.http import PublicHttpSession
from tradewind.venues.transport.websocket import RawFrame, SupervisedWebSocket

MAX_STREAMS = 200
DEFAULT_BLOCK_S = 60.0


class BinanceEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and public paths of one Binance market; tests point them to a local server."""

    market: BinanceMarket
    websocket_url: str
    rest_url: str
    rest_prefix: str
    depth_limit: int
    depth_stream: str
    more_streams: tuple[str, ...] = ()
    """What is heard beside the book, trades and best prices."""
    route: str = ""
    """Path in front of the streams of books, trades and best prices."""
    more_route: str = ""
    """Path in front of `more_streams`. The venue sends a stream of the wrong path nothing, and no error; with
    another path than `route` they have a connection of their own.
    """

    def paths(self) -> frozenset[str]:
        """The public paths a market data session may call."""
        return frozenset(f"{self.rest_prefix}/{name}" for name in ("ping", "time", "exchangeInfo", "depth"))


SPOT = BinanceEndpoints(
    market=BinanceMarket.SPOT, websocket_url="wss://stream.binance.com:9443",
    rest_url="https://api.binance.com", rest_prefix="/api/v3", depth_limit=5_000, depth_stream="depth@100ms",
)  # fmt: skip
USDM = BinanceEndpoints(
    market=BinanceMarket.USDM, websocket_url="wss://fstream.binance.com",
    rest_url="https://fapi.binance.com", rest_prefix="/fapi/v1", depth_limit=1_000,
    depth_stream="depth@100ms", more_streams=("markPrice@1s",), route="/public", more_route="/market",
)  # fmt: skip


class BinanceFeed(LiveFeed):
    """Live feed of `instruments`; build it with `open_binance_feed`, which asks the venue for them."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        endpoints: BinanceEndpoints,
        http: PublicHttpSession,
        *,
        options: LiveOptions | None = None,
        limits: BookLimits | None = None,
        capture: RawCapture | None = None,
    ) -> None:
        chosen = list(instruments)
        self.endpoints = endpoints
        self.http = http
        self.decoder = BinanceDecoder(chosen, endpoints.market)
        self._rest_blocked_until_s = 0.0
        rule = BinanceSpotRule() if endpoints.market is BinanceMarket.SPOT else BinanceFuturesRule()
        pipeline = MarketPipeline(self.decoder, rule, limits)
        name = "binance" if endpoints.market is BinanceMarket.SPOT else "binance-usdm"
        super().__init__(name, stream_url(chosen, endpoints), pipeline, options, capture)
        self.side = SideStream(self, side_url(chosen, endpoints))
        # A fifth of a second of imports, which a platform on another feed does without.
        from tradewind.venues.binance.shapes import SHAPES, name_of

        self.watch = FrameWatch(SHAPES, name_of)

    def start(self) -> None:
        """Connect and begin to receive (idempotent)."""
        super().start()
        if not self.closed:
            self.side.start()

    def take_beside(self, raw: RawFrame, out: list[FeedEvent]) -> None:
        """A frame of the second connection, which tells nothing of books."""
        self.record(raw.recv_ts_ns, raw.payload)
        if self.watch is not None:
            self.watch.see(raw.payload)
        self.pipeline.process(raw.payload, Received(raw.recv_ts_ns, raw.recv_mono_ns, self.link.epoch), out)

    def subscribe(self) -> None:
        """Nothing to send: the streams are part of the address."""

    def may_request_snapshot(self, now_s: float) -> bool:
        """False until the time the venue named in its 403, 418 or 429 answer has passed."""
        return now_s >= self._rest_blocked_until_s

    async def request_snapshot(self, symbol: str) -> bool:
        """Fetch the REST depth snapshot and bridge it to the stream."""
        venue_symbol = self.instruments[symbol].venue_symbol
        params = {"symbol": venue_symbol, "limit": str(self.endpoints.depth_limit)}
        epoch = self.link.epoch
        try:
            body = await self.http.get(f"{self.endpoints.rest_prefix}/depth", params,
                                       self.options.resync.attempt_timeout_s)  # fmt: skip
        except HttpStatus as error:
            if error.status in (403, 418, 429):  # told to stop: stop (T4.3)
                wait_s = DEFAULT_BLOCK_S if error.retry_after_s is None else error.retry_after_s
                self._rest_blocked_until_s = time.monotonic() + wait_s
            return False
        except TransportError:
            return False
        if epoch != self.link.epoch:
            return False
        return self._apply_snapshot(body, symbol, venue_symbol)

    def _apply_snapshot(self, body: bytes, symbol: str, venue_symbol: str) -> bool:
        received = self.received_now()
        out: list[FeedEvent] = []
        try:
            snapshot = self.decoder.decode_snapshot(body, venue_symbol, received)
        except DecodeError as error:
            self.pipeline.fail(error, received.recv_ts_ns, out)
            self.publish(out)
            return False
        if self.capture is not None:
            stream = f'{{"stream":"{venue_symbol.lower()}@depthSnapshot","data":'.encode()
            self.record(received.recv_ts_ns, stream + body + b"}")
        applied = self.pipeline.book(symbol).on_snapshot(snapshot, out)
        self.publish(out)
        return applied

    async def close(self) -> None:
        """Disconnect, end `events` and close the HTTP session."""
        await self.side.close()
        await super().close()
        await self.http.close()


class SideStream:
    """The connection of streams that have another path than the book's, if there are any. While it is down
    they are silent: who uses what they tell judges its age.
    """

    def __init__(self, feed: BinanceFeed, url: str | None) -> None:
        self._feed = feed
        self.link: SupervisedWebSocket | None = None
        self._task: asyncio.Task[None] | None = None
        if url is not None:
            self.link = SupervisedWebSocket(lambda: url, self, feed.options.link, feed.options.reconnect)

    def start(self) -> None:
        """Connect and begin to receive (idempotent)."""
        if self.link is not None and self._task is None:
            self.link.start()
            self._task = asyncio.create_task(self._pump(self.link), name=f"{self._feed.label} side pump")

    async def close(self) -> None:
        """Disconnect."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self.link is not None:
            await self.link.close()

    def on_link_up(self, epoch: int) -> None:
        """Nothing to send: the streams are part of the address."""

    def on_link_down(self, epoch: int, reason: str) -> None:
        """Nothing that was told becomes wrong by that."""

    async def _pump(self, link: SupervisedWebSocket) -> None:
        while True:
            await link.received.wait()
            out: list[FeedEvent] = []
            for raw in link.take(FRAMES_PER_YIELD):
                self._feed.take_beside(raw, out)
            self._feed.publish(out)
            await asyncio.sleep(0)


def stream_url(instruments: list[Instrument], endpoints: BinanceEndpoints) -> str:
    """Address of the combined stream. Raises `FeedUnavailable` above the stream bound of one connection."""
    together = endpoints.more_streams if endpoints.more_route == endpoints.route else ()
    kinds = (endpoints.depth_stream, "trade", "bookTicker", *together)
    return _combined(instruments, endpoints, endpoints.route, kinds)


def side_url(instruments: list[Instrument], endpoints: BinanceEndpoints) -> str | None:
    """Address of the second connection, None when none is needed. Raises `FeedUnavailable`."""
    if not endpoints.more_streams or endpoints.more_route == endpoints.route:
        return None
    return _combined(instruments, endpoints, endpoints.more_route, endpoints.more_streams)


def _combined(
    instruments: list[Instrument], endpoints: BinanceEndpoints, route: str, kinds: Sequence[str]
) -> str:
    streams = [f"{one.venue_symbol.lower()}@{kind}" for one in instruments for kind in kinds]
    if not 0 < len(streams) <= MAX_STREAMS:
        raise FeedUnavailable(f"{len(streams)} streams; one connection carries 1 to {MAX_STREAMS}")
    return f"{endpoints.websocket_url}{route}/stream?streams={'/'.join(streams)}"


async def open_binance_feed(
    venue_symbols: Iterable[str],
    endpoints: BinanceEndpoints = SPOT,
    *,
    options: LiveOptions | None = None,
    limits: BookLimits | None = None,
    capture: RawCapture | None = None,
) -> BinanceFeed:
    """Read the instruments from the venue and build the feed (it connects at `events` or `start`).

    Raises `TransportError`, `DecodeError` or `FeedUnavailable` (a symbol the venue does not list).
    """
    wanted = frozenset(venue_symbols)
    http = PublicHttpSession(endpoints.rest_url, endpoints.paths())
    try:
        body = await http.get(f"{endpoints.rest_prefix}/exchangeInfo")
        known, quarantined = parse_exchange_info(body, endpoints.market, time.time_ns(), wanted)
        missing = sorted(wanted - known.keys())
        if missing:
            detail = f"; unreadable rows: {quarantined[:3]}" if quarantined else ""
            raise FeedUnavailable(f"{endpoints.market} does not list {', '.join(missing)}{detail}")
        return BinanceFeed(known.values(), endpoints, http, options=options, limits=limits, capture=capture)
    except BaseException:
        await http.close()
        raise
