"""Private links that hand over to each other: the new one is live before the old one is given up (T6.2).

Reasons are the age of the connection (the venue closes it after a fixed time anyway) and word from the venue
that a server goes. While both are up every event is heard twice: the mirror tells it once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec
import structlog

from tradewind.venues.transport.private_link import PrivateLink

log = structlog.get_logger(__name__)


LOOK_S = 60.0
LOOK_PART = 0.125
"""A reconnect is seen within a minute, and within this part of the age: its age is not told much too old."""


class RotationPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a connection is replaced: `after_s` plus or minus up to `jitter_s`."""

    after_s: float = 23 * 3_600.0
    jitter_s: float = 1_800.0
    live_within_s: float = 30.0
    """How long the new connection may take; then it is given up and tried again."""
    retry_s: float = 30.0


class HasLink(Protocol):
    """A venue's dialect with its link."""

    link: PrivateLink


Stream = TypeVar("Stream", bound=HasLink)


class Rotation(Generic[Stream]):
    """The stream in use, and the one that will take over."""

    def __init__(
        self,
        make: Callable[[], Stream],
        policy: RotationPolicy | None = None,
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self.policy = policy or RotationPolicy()
        self.current: Stream = make()
        self.following: Stream | None = None
        self.rotations = 0
        self.failed_rotations = 0
        self._make = make
        self._uniform = uniform or random.SystemRandom().uniform
        self._wanted = asyncio.Event()
        self._reason = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """Whether private events are proven, by either connection."""
        return any(one.link.live for one in self.streams())

    def streams(self) -> list[Stream]:
        """Both, or the one."""
        return [self.current] if self.following is None else [self.current, self.following]

    def start(self) -> None:
        """Connect, and keep connected (idempotent)."""
        if self._task is None:
            self.current.link.start()
            self._task = asyncio.create_task(self._run(), name=f"{self.current.link.name} rotation")

    def rotate(self, reason: str) -> None:
        """Replace the connection as soon as possible."""
        self._reason = reason
        self._wanted.set()

    async def close(self) -> None:
        """End both connections."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for one in self.streams():
            await one.link.close()

    async def _run(self) -> None:
        while True:
            wait_s = self.policy.after_s + self._uniform(-self.policy.jitter_s, self.policy.jitter_s)
            await self._until_wanted(max(1.0, wait_s))
            while not await self._hand_over():
                self.failed_rotations += 1
                await asyncio.sleep(self.policy.retry_s)

    async def _until_wanted(self, age_s: float) -> None:
        """Until somebody asks, or the connection in use is this old; a reconnect begins its age anew."""
        socket = self.current.link.socket
        loop = asyncio.get_running_loop()
        epoch, since_s = socket.epoch, loop.time()
        while not self._wanted.is_set():
            if socket.epoch != epoch:
                epoch, since_s = socket.epoch, loop.time()
            left_s = since_s + age_s - loop.time()
            if left_s <= 0:
                self._reason = f"{age_s:.0f} s old"
                return
            try:
                async with asyncio.timeout(min(left_s, LOOK_S, age_s * LOOK_PART)):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _hand_over(self) -> bool:
        self._wanted.clear()
        following = self.following = self._make()
        following.link.start()
        if not await following.link.wait_live(self.policy.live_within_s):
            self.following = None
            await following.link.close()
            log.warning("rotation_failed", link=following.link.name, reason=self._reason)
            return False
        old, self.current, self.following = self.current, following, None
        self.rotations += 1
        log.info("rotated", link=following.link.name, reason=self._reason)
        await old.link.close()
        return True
