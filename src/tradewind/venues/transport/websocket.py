"""A supervised WebSocket: connects, watches that frames keep coming, reconnects with backoff, for ever.

Received frames go into a bounded queue with their receive times; the owner takes them in bounded batches,
so a burst of market data never blocks the event loop for long. Outbound messages are never queued over a
reconnect.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tradewind.venues.transport.backoff import Backoff, BackoffPolicy
from tradewind.venues.transport.errors import TransportError

if TYPE_CHECKING:
    from picows import WSTransport


ROTATION = "planned rotation"


class LinkState(StrEnum):
    """State of the connection."""

    IDLE = "idle"
    CONNECTING = "connecting"
    LIVE = "live"
    DOWN = "down"


class LinkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Named bounds of one supervised connection."""

    frame_age_s: float = 5.0
    payload_age_s: float = 5.0
    """The same of data frames alone, where the owner expects heartbeats: a pong is no heartbeat."""
    rotate_after_s: float | None = None
    """A connection this old is replaced by plan, before the venue ends it; None: never."""
    ping_idle_s: float = 2.0
    watch_interval_s: float = 0.25
    connect_timeout_s: float = 5.0
    max_frame_bytes: int = 16 * 1024 * 1024
    max_pending_frames: int = 65_536
    max_pending_bytes: int = 64 * 1024 * 1024
    max_reason_chars: int = 200


class RawFrame(msgspec.Struct, frozen=True, gc=False):
    """One received text or binary frame."""

    recv_ts_ns: int
    recv_mono_ns: int
    epoch: int
    payload: bytes


class LinkOwner(Protocol):
    """What the owner of a connection is told; called on the event loop, must not block."""

    def on_link_up(self, epoch: int) -> None: ...

    def on_link_down(self, epoch: int, reason: str) -> None: ...


class SupervisedWebSocket:
    """One connection to `url()`, kept alive until `close`. Each successful connect is a new epoch.

    An address that has to be asked for is awaited; an exception there is a failed attempt.
    """

    def __init__(
        self,
        url: Callable[[], str | Awaitable[str]],
        owner: LinkOwner,
        limits: LinkLimits | None = None,
        policy: BackoffPolicy | None = None,
        headers: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        """`headers` go with every handshake, for venues that want to know then who comes."""
        self.limits = limits or LinkLimits()
        self.backoff = Backoff(policy or BackoffPolicy())
        self.state = LinkState.IDLE
        self.epoch = 0
        self.connects = 0
        self.rotations = 0
        """Connections that were replaced by plan."""
        self.expects_heartbeats = False
        """The venue has promised a data frame about every second on this connection; ends with it."""
        self.dropped_frames = 0
        self.last_reason = "not started"
        self.received = asyncio.Event()
        self._url = url
        self._headers = headers
        self._owner = owner
        self._pending: deque[RawFrame] = deque()
        self._pending_bytes = 0
        self._transport: WSTransport | None = None
        self._last_frame_mono_s = self._last_payload_mono_s = 0.0
        self._partial: list[bytes] = []
        self._down_reason: str | None = None
        self._anchor = (time.time_ns(), time.monotonic_ns())
        self._task: asyncio.Task[None] | None = None

    # ---- owner's side ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the supervising task (once)."""
        if self._task is None:
            self._task = asyncio.create_task(self._supervise(), name="websocket-supervisor")

    def take(self, limit: int) -> list[RawFrame]:
        """Take at most `limit` received frames, oldest first."""
        pending = self._pending
        frames = [pending.popleft() for _ in range(min(limit, len(pending)))]
        self._pending_bytes -= sum(len(frame.payload) for frame in frames)
        if not pending:
            self.received.clear()
        return frames

    @property
    def pending(self) -> int:
        """Frames received and not yet taken."""
        return len(self._pending)

    def clock_ns(self) -> int:
        """Wall time that cannot step back within a connection: re-read at each connect, monotonic between."""
        return self._anchor[0] + time.monotonic_ns() - self._anchor[1]

    def frame_age_s(self) -> float | None:
        """Seconds since any frame (data or pong) arrived on the open connection, None when not connected."""
        return None if self._transport is None else time.monotonic() - self._last_frame_mono_s

    def send_text(self, message: bytes) -> None:
        """Send now on the open connection. Raises `TransportError` when there is none: nothing is queued."""
        if self._transport is None:
            raise TransportError("not connected")
        from picows import WSMsgType

        self._transport.send(WSMsgType.TEXT, message)

    def reconnect(self, reason: str) -> None:
        """Drop the connection; the supervisor opens a new one."""
        self._down_reason = reason
        if self._transport is not None:
            self._transport.disconnect(False)

    async def close(self) -> None:
        """Stop supervising and disconnect."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._transport is not None:
            self._transport.disconnect(False)
            self._transport = None
        self.state = LinkState.DOWN

    # ---- supervising -------------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        first = True
        while True:
            if not first:
                await asyncio.sleep(self.backoff.next_delay_s(time.monotonic()))
            first = False
            self.state = LinkState.CONNECTING
            try:
                await self._one_connection()
            except Exception as error:  # noqa: BLE001 attempts are unlimited (T6.2), whatever went wrong
                self._lost(f"{type(error).__name__}: {error}")

    async def _one_connection(self) -> None:
        from picows import ws_connect

        self._down_reason = None
        self._partial.clear()
        epoch = self.epoch + 1
        self._anchor = (time.time_ns(), time.monotonic_ns())
        async with asyncio.timeout(self.limits.connect_timeout_s):
            url = self._url()
            transport, _ = await ws_connect(
                lambda: make_listener(self, epoch), url if isinstance(url, str) else await url,
                websocket_handshake_timeout=self.limits.connect_timeout_s,
                max_frame_size=self.limits.max_frame_bytes, max_redirects=0,
                extra_headers=None if self._headers is None else self._headers(),
            )  # fmt: skip
        self.epoch = epoch
        self.connects += 1
        self._transport = transport
        self._last_frame_mono_s = self._last_payload_mono_s = time.monotonic()
        self.expects_heartbeats = False
        self.state = LinkState.LIVE
        watcher = asyncio.create_task(self._watch(transport), name="websocket-watch")
        try:
            self._owner.on_link_up(epoch)
            await transport.wait_disconnected()
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            transport.disconnect(False)
            self._transport = None
        self._lost(self._down_reason or "closed by the venue")

    def _lost(self, reason: str) -> None:
        self.state = LinkState.DOWN
        self.last_reason = reason[: self.limits.max_reason_chars]
        if not reason.startswith(ROTATION):  # a plan is no failure: the next connection need not wait longer
            self.backoff.unhealthy()
        self._owner.on_link_down(self.epoch, self.last_reason)

    async def _watch(self, transport: WSTransport) -> None:
        """Ping when idle; disconnect when even the pong does not come (half-open connections)."""
        pinged_at_s, opened_s = 0.0, time.monotonic()
        rotate_s = self.limits.rotate_after_s
        while True:
            await asyncio.sleep(self.limits.watch_interval_s)
            now_s = time.monotonic()
            if rotate_s is not None and now_s - opened_s > rotate_s:
                self.rotations += 1
                self._down_reason = f"{ROTATION}: {rotate_s:g} s old"
                transport.disconnect(False)
                return
            if self.expects_heartbeats and now_s - self._last_payload_mono_s > self.limits.payload_age_s:
                self._down_reason = f"no heartbeat for {self.limits.payload_age_s:g} s"
                transport.disconnect(False)
                return
            age_s = now_s - self._last_frame_mono_s
            if age_s > self.limits.frame_age_s:
                self._down_reason = f"no frame for {self.limits.frame_age_s:g} s"
                transport.disconnect(False)
                return
            if age_s > self.limits.ping_idle_s and now_s - pinged_at_s > self.limits.ping_idle_s:
                pinged_at_s = now_s
                transport.send_ping(b"tw")
            self.backoff.healthy(now_s)

    # ---- frames (called by the listener) -----------------------------------------------------------------

    def on_control(self) -> None:
        """A ping or pong arrived: the connection is alive."""
        self._last_frame_mono_s = time.monotonic()

    def on_payload(self, payload: bytes, final: bool, epoch: int) -> None:
        """A data frame (or a fragment of one) arrived."""
        mono_ns = time.monotonic_ns()
        self._last_frame_mono_s = self._last_payload_mono_s = mono_ns / 1e9
        if not final or self._partial:
            self._partial.append(payload)
            if sum(map(len, self._partial)) > self.limits.max_frame_bytes:
                self.reconnect("fragmented message too large")
                return
            if not final:
                return
            payload = b"".join(self._partial)
            self._partial.clear()
        full = (len(self._pending) >= self.limits.max_pending_frames
                or self._pending_bytes + len(payload) > self.limits.max_pending_bytes)  # fmt: skip
        if full:
            # market data that cannot be kept must not be lost silently: drop it all and start clean
            self.dropped_frames += len(self._pending) + 1
            self._pending.clear()
            self._pending_bytes = 0
            self.reconnect(f"more than {self.limits.max_pending_frames} frames waiting")
            return
        self._pending.append(RawFrame(self.clock_ns(), mono_ns, epoch, payload))
        self._pending_bytes += len(payload)
        self.received.set()


def make_listener(link: SupervisedWebSocket, epoch: int) -> Any:
    """The picows listener of one connection (picows is imported only when a live feed is used)."""
    from picows import WSFrame, WSListener, WSMsgType

    data_types = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type in data_types:
                link.on_payload(frame.get_payload_as_bytes(), frame.fin, epoch)
            elif frame.msg_type == WSMsgType.CLOSE:
                link.reconnect(f"venue closed: {frame.get_close_code()}")
            else:
                link.on_control()

    return Listener()
