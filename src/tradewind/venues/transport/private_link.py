"""One private connection of one key as a state machine (T6.1): who we are, what we asked to hear, what the
venue holds, and only then `Live`. The same for every venue; a `Dialect` knows the venue's words.

Requests travel over the connection with an answer each, or a `NoReply` that says whether bytes left. Nothing
is queued over a reconnect and nothing is sent again (T6.4).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Protocol

import msgspec
import structlog

from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.market_data import FeedError
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.errors import TransportError
from tradewind.venues.transport.websocket import LinkLimits, RawFrame, SupervisedWebSocket

log = structlog.get_logger(__name__)
FRAMES_PER_YIELD = 256
KEPT_TRANSITIONS = 256


class Phase(StrEnum):
    """Where a private connection stands. Only in `LIVE` may new risk be sent."""

    IDLE = "idle"
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    SUBSCRIBING = "subscribing"
    SNAPSHOTTING = "snapshotting"
    RECONCILING = "reconciling"
    LIVE = "live"
    DEGRADED = "degraded"
    DOWN = "down"


NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.IDLE: frozenset({Phase.CONNECTING}),
    Phase.CONNECTING: frozenset({Phase.AUTHENTICATING, Phase.DOWN}),
    Phase.AUTHENTICATING: frozenset({Phase.SUBSCRIBING, Phase.DOWN}),
    Phase.SUBSCRIBING: frozenset({Phase.SNAPSHOTTING, Phase.DOWN}),
    Phase.SNAPSHOTTING: frozenset({Phase.RECONCILING, Phase.DOWN}),
    Phase.RECONCILING: frozenset({Phase.LIVE, Phase.DEGRADED, Phase.DOWN}),
    Phase.LIVE: frozenset({Phase.DEGRADED, Phase.DOWN}),
    Phase.DEGRADED: frozenset({Phase.RECONCILING, Phase.DOWN}),
    Phase.DOWN: frozenset({Phase.AUTHENTICATING, Phase.DOWN}),
}
"""Every transition that there is. `Down -> Authenticating` is a reconnect: connecting is the socket's."""
CAN_SEND = frozenset({Phase.SUBSCRIBING, Phase.SNAPSHOTTING, Phase.RECONCILING, Phase.LIVE, Phase.DEGRADED})
"""Phases in which what takes risk away (cancel, timer) can be sent: the connection is authenticated."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the machine, for the journal."""

    link: str
    before: Phase
    after: Phase
    reason: str
    epoch: int
    at_ns: int


class Reply(msgspec.Struct, frozen=True):
    """The frame that answered a request."""

    frame: bytes


class NoReply(msgspec.Struct, frozen=True):
    """No answer. `sent` False: no byte left this host, so nothing can have happened."""

    reason: str
    sent: bool


class LinkRefused(FeedError):
    """The venue refused a step of the connection, or did not do it in time; a new connection is made."""

    code = "LinkRefused"


class PrivateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Named bounds of one private connection."""

    step_timeout_s: float = 10.0
    """Longest time for each of authenticating, subscribing and snapshotting."""
    reconcile_timeout_s: float = 30.0
    reconcile_retry_s: float = 0.5
    reconcile_retry_max_s: float = 30.0
    ping_every_s: float = 10.0
    pong_within_s: float = 5.0
    max_pending_requests: int = 1_024
    max_bad_frames: int = 16
    bad_frame_window_s: float = 60.0


class Dialect(Protocol):
    """What one venue does on its private connection. Steps raise `LinkRefused` or a `TransportError`."""

    async def authenticate(self, epoch: int) -> None:
        """Prove who we are, or fetch what proves it later."""

    async def subscribe(self, epoch: int) -> None:
        """Ask for the private channels; returns when the venue has confirmed all of them."""

    async def snapshot(self, epoch: int) -> None:
        """Returns when the snapshots of the channels have arrived."""

    async def reconcile(self, epoch: int) -> str:
        """Bring the account up to date (T7.9). "" when it is complete, else why it is not."""

    async def ping(self) -> None:
        """One application ping; returns with its pong."""

    def on_frame(self, frame: RawFrame) -> None:
        """A frame. Raises `FeedError` when it cannot be read; must not block."""

    def on_transition(self, transition: Transition) -> None:
        """The machine moved. Called before anything else happens in the new phase."""


class PrivateLink:
    """Keeps one private connection until `close`."""

    def __init__(
        self,
        name: str,
        url: Callable[[], str | Awaitable[str]],
        dialect: Dialect,
        *,
        limits: PrivateLimits | None = None,
        socket_limits: LinkLimits | None = None,
        policy: BackoffPolicy | None = None,
        headers: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self.name = name
        self.limits = limits or PrivateLimits()
        self.phase = Phase.IDLE
        self.reason = "not started"
        self.transitions: deque[Transition] = deque(maxlen=KEPT_TRANSITIONS)
        self.bad_frames = 0
        self.late_replies = 0
        self.defects = 0
        """Steps that failed in a way that nobody foresaw."""
        self.reconnects = 0
        self.socket = SupervisedWebSocket(url, self, socket_limits, policy, headers)
        self.watch: FrameWatch | None = None
        """Looks for what the venue adds to its messages."""
        self._dialect = dialect
        self._pending: dict[int, asyncio.Future[Reply | NoReply]] = {}
        self._request_id = 0
        self._bad: deque[float] = deque(maxlen=self.limits.max_bad_frames)
        self._pump: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._not_live_since_s = time.monotonic()
        self._moved = asyncio.Event()

    # ---- for the connector -------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Whether order control and private events are both proven."""
        return self.phase is Phase.LIVE

    @property
    def can_send(self) -> bool:
        """Whether a request that takes risk away can be sent."""
        return self.phase in CAN_SEND

    @property
    def outage_s(self) -> float:
        """Seconds since the link was last live; 0 while it is."""
        return 0.0 if self.live else time.monotonic() - self._not_live_since_s

    def start(self) -> None:
        """Connect and keep connected (idempotent)."""
        if self._pump is None:
            self._move(Phase.CONNECTING, "start")
            self._pump = asyncio.create_task(self._run_pump(), name=f"{self.name} pump")
            self.socket.start()

    async def wait_live(self, timeout_s: float) -> bool:
        """Wait until the link is live; False when it is not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.live:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Stop for good. Open requests end as `NoReply`."""
        tasks = [task for task in (self._pump, self._worker) if task is not None]
        self._pump = self._worker = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.socket.close()
        self._fail_pending("closed")
        if self.phase is not Phase.DOWN and self.phase is not Phase.IDLE:
            self._move(Phase.DOWN, "closed")

    def degrade(self, reason: str) -> None:
        """Something is wrong that only a new connection heals: trading stops now, the connection is cut."""
        if self.phase in {Phase.LIVE, Phase.RECONCILING}:
            self._move(Phase.DEGRADED, reason)
        self.socket.reconnect(reason)

    async def request(self, encode: Callable[[int], bytes], timeout_s: float) -> Reply | NoReply:
        """Send `encode(request id)` and wait for its answer, at most `timeout_s`."""
        if len(self._pending) >= self.limits.max_pending_requests:
            return NoReply(f"more than {self.limits.max_pending_requests} requests wait for an answer", False)
        self._request_id += 1
        number = self._request_id
        answer: asyncio.Future[Reply | NoReply] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            self.socket.send_text(encode(number))
        except TransportError as error:
            del self._pending[number]
            return NoReply(str(error), False)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return NoReply(f"no answer in {timeout_s:g} s", True)
        finally:
            self._pending.pop(number, None)

    def answered(self, number: int | None, frame: bytes) -> bool:
        """Hand an answer to whoever waits for it. False: nobody does (late, repeated, or not ours)."""
        waiting = self._pending.pop(number, None) if number is not None else None
        if waiting is None or waiting.done():
            self.late_replies += 1
            return False
        waiting.set_result(Reply(frame))
        return True

    # ---- the socket's side -------------------------------------------------------------------------------

    def on_link_up(self, epoch: int) -> None:
        """A fresh connection: go through every step on it."""
        self._stop_worker()
        self.reconnects += self.phase is Phase.DOWN
        self._move(Phase.AUTHENTICATING, f"connection {epoch}", epoch)
        self._worker = asyncio.create_task(self._guarded(epoch), name=f"{self.name} establish")

    def on_link_down(self, epoch: int, reason: str) -> None:
        """The connection is gone: whatever was under way is undecided."""
        self._stop_worker()
        self._fail_pending(reason)
        if self.phase is not Phase.DOWN:
            self._move(Phase.DOWN, reason, epoch)
        else:
            self.reason = reason

    # ---- steps -------------------------------------------------------------------------------------------

    async def _guarded(self, epoch: int) -> None:
        """A defect in a step must not leave a connection that neither gets live nor ends."""
        try:
            await self._establish(epoch)
        except Exception as error:  # noqa: BLE001 the next connection tries again
            self.defects += 1
            log.critical("private_link_defect", link=self.name, phase=self.phase, error=repr(error)[:200])
            self.degrade(f"defect: {type(error).__name__}")

    async def _establish(self, epoch: int) -> None:
        steps: list[tuple[Phase, Callable[[int], Awaitable[None]]]] = [
            (Phase.SUBSCRIBING, self._dialect.authenticate),
            (Phase.SNAPSHOTTING, self._dialect.subscribe),
            (Phase.RECONCILING, self._dialect.snapshot),
        ]
        for reached, step in steps:
            try:
                async with asyncio.timeout(self.limits.step_timeout_s):
                    await step(epoch)
            except TimeoutError:
                self.socket.reconnect(f"{self.phase} took more than {self.limits.step_timeout_s:g} s")
                return
            except FeedError as error:
                self.socket.reconnect(f"{self.phase}: {error}")
                return
            self._move(reached, "", epoch)
        await self._reconcile_until_clean(epoch)
        await self._keep_alive()

    async def _reconcile_until_clean(self, epoch: int) -> None:
        delay_s = self.limits.reconcile_retry_s
        while True:
            try:
                async with asyncio.timeout(self.limits.reconcile_timeout_s):
                    problem = await self._dialect.reconcile(epoch)
            except TimeoutError:
                problem = f"not reconciled in {self.limits.reconcile_timeout_s:g} s"
            except FeedError as error:
                problem = str(error)
            if self.phase is not Phase.RECONCILING:
                return  # degraded meanwhile: the connection is being cut
            if not problem:
                self._move(Phase.LIVE, "", epoch)
                return
            self._move(Phase.DEGRADED, problem, epoch)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, self.limits.reconcile_retry_max_s)
            self._move(Phase.RECONCILING, "again", epoch)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self.limits.ping_every_s)
            try:
                async with asyncio.timeout(self.limits.pong_within_s):
                    await self._dialect.ping()
            except (TimeoutError, FeedError) as error:
                self.degrade(f"no pong in {self.limits.pong_within_s:g} s ({type(error).__name__})")
                return

    async def _run_pump(self) -> None:
        while True:
            await self.socket.received.wait()
            for frame in self.socket.take(FRAMES_PER_YIELD):
                # a greeting may come before the socket itself knows that it is up
                if frame.epoch >= self.socket.epoch:
                    self._one_frame(frame)
            await asyncio.sleep(0)

    def _one_frame(self, frame: RawFrame) -> None:
        if self.watch is not None:
            self.watch.see(frame.payload)
        try:
            self._dialect.on_frame(frame)
        except FeedError as error:
            self.bad_frames += 1
            now_s = time.monotonic()
            self._bad.append(now_s)
            log.warning("private_frame_unreadable", link=self.name, error=str(error)[:200])
            recent = len(self._bad) == self._bad.maxlen
            if recent and now_s - self._bad[0] < self.limits.bad_frame_window_s:
                self._bad.clear()
                self.degrade(f"{self.limits.max_bad_frames} unreadable frames")

    def _move(self, after: Phase, reason: str, epoch: int | None = None) -> None:
        before = self.phase
        if after not in NEXT[before]:
            raise AssertionError(f"{self.name}: {before} -> {after} is no transition")
        if before is Phase.LIVE:
            self._not_live_since_s = time.monotonic()
        self.phase, self.reason = after, reason
        transition = Transition(
            link=self.name, before=before, after=after, reason=reason,
            epoch=self.socket.epoch if epoch is None else epoch, at_ns=self.socket.clock_ns(),
        )  # fmt: skip
        self.transitions.append(transition)
        self._dialect.on_transition(transition)
        self._moved.set()

    def _stop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and worker is not asyncio.current_task():
            worker.cancel()

    def _fail_pending(self, reason: str) -> None:
        pending, self._pending = self._pending, {}
        for waiting in pending.values():
            if not waiting.done():
                waiting.set_result(NoReply(reason, True))
