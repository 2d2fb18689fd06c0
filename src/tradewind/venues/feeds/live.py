"""The part of a live feed that is the same for every venue: pump, resync, health, capture, conflation."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec

from tradewind.venues.feeds.base import FeedStatistics
from tradewind.venues.feeds.common import PipelineFeed
from tradewind.venues.feeds.decoding import Received
from tradewind.venues.feeds.pipeline import MarketPipeline
from tradewind.venues.feeds.queue import EventQueue
from tradewind.venues.feeds.resync import ResyncLimits, SymbolResync
from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.market_data import BookSnapshot, FeedEvent
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.capture import RawCapture
from tradewind.venues.transport.websocket import LinkLimits, LinkState, RawFrame, SupervisedWebSocket

FRAMES_PER_YIELD = 256
TICK_S = 0.1
ROTATE_AFTER_S = 23 * 3_600.0
"""Venues end connections after a day (T6.2)."""


class LiveOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and policies of one live feed."""

    link: LinkLimits = LinkLimits(rotate_after_s=ROTATE_AFTER_S)
    reconnect: BackoffPolicy = BackoffPolicy()
    resync: ResyncLimits = ResyncLimits()


class LiveFeed(PipelineFeed):
    """A feed over one supervised WebSocket. Subclasses say how to subscribe and how to get a snapshot."""

    def __init__(
        self,
        name: str,
        url: str,
        pipeline: MarketPipeline,
        options: LiveOptions | None = None,
        capture: RawCapture | None = None,
        *,
        headers: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__(pipeline)
        self.name = name
        self.options = options or LiveOptions()
        self.capture = capture
        self.capture_failure: str | None = None
        self.max_queue_delay_ns = 0
        self.stale_frames = 0
        self.watch: FrameWatch | None = None
        """Looks for what the venue adds to its messages."""
        self.link = SupervisedWebSocket(lambda: url, self, self.options.link, self.options.reconnect, headers)
        self.queue = EventQueue(self._fresh_snapshot)
        self.resyncs = {symbol: SymbolResync(self.options.resync) for symbol in pipeline.books}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump_task: asyncio.Task[None] | None = None

    @property
    def label(self) -> str:
        """Names the venue."""
        return f"live:{self.name}"

    def clock_ns(self) -> int:
        """Wall time, monotonic within a connection."""
        return self.link.clock_ns()

    def statistics(self) -> FeedStatistics:
        """Counts since the start, with what only a live feed has."""
        return msgspec.structs.replace(
            super().statistics(),
            reconnects=max(0, self.link.connects - 1),
            conflations=self.queue.conflations,
            dropped_frames=self.link.dropped_frames + self.stale_frames,
            new_names=() if self.watch is None else tuple(self.watch.names),
        )

    # ---- venue specific ----------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Send the subscriptions on a fresh connection."""
        raise NotImplementedError

    async def request_snapshot(self, symbol: str) -> bool:
        """Try to get a snapshot of `symbol` applied or on its way; False when the attempt failed."""
        raise NotImplementedError

    def may_request_snapshot(self, now_s: float) -> bool:
        """False while the venue has told us not to ask (rate limit, ban); nothing is attempted then."""
        return True

    # ---- life --------------------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Yield events until `close`. Connects at the first call."""
        self.start()
        while True:
            event = await self.queue.get()
            if event is None:
                return
            yield event

    def start(self) -> None:
        """Connect and begin to receive (idempotent)."""
        if self._pump_task is None and not self.closed:
            self.link.start()
            self._pump_task = asyncio.create_task(self._pump(), name=f"{self.label} pump")

    async def close(self) -> None:
        """Disconnect and end `events`."""
        self.closed = True
        tasks = [*self._tasks, *([self._pump_task] if self._pump_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.link.close()
        if self.capture is not None:
            self.capture.close()
        self.queue.close()

    def on_link_up(self, epoch: int) -> None:
        """A new connection: every book synchronises again."""
        out: list[FeedEvent] = []
        self.pipeline.begin(self.clock_ns(), epoch, "connected", out)
        for resync in self.resyncs.values():
            resync.new_connection()
        self._publish(out)
        self.subscribe()

    def on_link_down(self, epoch: int, reason: str) -> None:
        """The connection is gone: nothing is known until the next snapshot."""
        out: list[FeedEvent] = []
        self.pipeline.lose(self.clock_ns(), f"disconnected: {reason}", out)
        self._publish(out)

    # ---- pump --------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        next_tick_s = 0.0
        while not self.closed:
            if not self.link.pending:
                # nothing arrived: ages still have to be judged. Not `wait_for`: in Python 3.11 it forgets a
                # cancellation that comes together with a frame, and closing would wait for ever.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self.link.received.wait()
            out: list[FeedEvent] = []
            for raw in self.link.take(FRAMES_PER_YIELD):
                self._receive(raw, out)
            now_s = time.monotonic()
            if now_s >= next_tick_s:
                next_tick_s = now_s + TICK_S
                self.pipeline.on_time(self.clock_ns(), out)
            self._publish(out)
            self._resync(now_s)
            await asyncio.sleep(0)

    def _receive(self, raw: RawFrame, out: list[FeedEvent]) -> None:
        if raw.epoch != self.link.epoch or self.link.state is not LinkState.LIVE:
            self.stale_frames += 1  # of a connection that is gone; its books are being resynchronised anyway
            return
        self.max_queue_delay_ns = max(self.max_queue_delay_ns, time.monotonic_ns() - raw.recv_mono_ns)
        self.record(raw.recv_ts_ns, raw.payload)
        if self.watch is not None:
            self.watch.see(raw.payload)
        self.pipeline.process(raw.payload, Received(raw.recv_ts_ns, raw.recv_mono_ns, raw.epoch), out)

    def record(self, recv_ts_ns: int, frame: bytes) -> None:
        """Write to the raw capture; a full disk ends the capture, not the feed."""
        if self.capture is None:
            return
        try:
            self.capture.write(recv_ts_ns, frame)
        except OSError as error:
            self.capture_failure = f"{type(error).__name__}: {error.strerror}"
            self.capture = None

    def received_now(self) -> Received:
        """Stamp for something that arrived outside the WebSocket."""
        return Received(self.clock_ns(), time.monotonic_ns(), self.link.epoch)

    def _publish(self, events: list[FeedEvent]) -> None:
        self.published_events += len(events)
        for event in events:
            self.queue.put(event)

    def publish(self, events: list[FeedEvent]) -> None:
        """Hand events of a venue-specific task to the consumer."""
        self._publish(events)

    def _fresh_snapshot(self, symbol: str) -> BookSnapshot | None:
        book = self.pipeline.books.get(symbol)
        return None if book is None or book.wants_snapshot else book.snapshot(self.clock_ns())

    # ---- resync ------------------------------------------------------------------------------------------

    def _resync(self, now_s: float) -> None:
        if self.link.state is not LinkState.LIVE:
            return
        if self.pipeline.errors.exceeded(self.clock_ns()):
            self.pipeline.errors.clear()
            self.link.reconnect("more than 1 % of frames undecodable in 60 s")
            return
        for symbol, book in self.pipeline.books.items():
            resync = self.resyncs[symbol]
            resync.observe(book.counters.snapshots, not book.wants_snapshot, now_s)
            if book.horizon_reached and self.may_request_snapshot(now_s) and resync.due(now_s):
                self._begin(symbol, now_s, "price reached the edge of the snapshot")
            elif not book.wants_snapshot:
                resync.synced(now_s)
            elif not self.may_request_snapshot(now_s):
                continue
            elif resync.hopeless(now_s):
                self.link.reconnect(f"{symbol}: repeated resync failures")
                return
            elif resync.due(now_s):
                self._begin(symbol, now_s, "snapshot requested")

    def _begin(self, symbol: str, now_s: float, reason: str) -> None:
        if len(self._tasks) >= self.options.resync.max_concurrent:
            return  # the symbol stays due; an attempt starts when one of the running ones is done
        book = self.pipeline.book(symbol)
        self.resyncs[symbol].begin(now_s, book.counters.snapshots)
        out: list[FeedEvent] = []
        book.begin_sync(self.clock_ns(), reason, out)
        self._publish(out)
        task = asyncio.create_task(self._attempt(symbol), name=f"{self.label} snapshot {symbol}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, symbol: str) -> None:
        if not await self.request_snapshot(symbol):
            self.resyncs[symbol].failed(time.monotonic())
