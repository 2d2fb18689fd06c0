"""The request budget towards a venue: at most so many requests in any window of time (P6.7.2, P6.7.3).

A sliding log, shared by every worker of the process. A request counts from the moment it is let out until the
window's length after it ended: wherever between those two the venue counts it, no half-open window of that
length ever holds more than the limit, on either side of the wire.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tradewind.core.hashing import blake3

SECOND_NS: Final = 1_000_000_000
MAX_REQUESTS: Final = 50
WINDOW_NS: Final = 10 * SECOND_NS
MAX_RETRIES: Final = 3
RETRY_BASE_S: Final = 10.0
RETRY_CEILING_S: Final = 300.0
JITTER_MS: Final = 1_000
MAX_HOLD_S: Final = 3_600.0
LOOK_AGAIN_NS: Final = SECOND_NS // 100
"""How soon a waiter looks again when every place belongs to a request without an answer yet."""

Clock = Callable[[], int]
Sleep = Callable[[float], Awaitable[object]]


class RequestWindow:
    """At most `limit` requests in any half-open span of `span_ns`.

    The clock must be monotonic; one that goes back is taken to stand still: it never opens the window.
    """

    def __init__(
        self, limit: int = MAX_REQUESTS, span_ns: int = WINDOW_NS, clock_ns: Clock = time.monotonic_ns
    ) -> None:
        if limit < 1 or span_ns < 1:
            raise ValueError("limit and span_ns must be at least 1")
        self.limit, self.span_ns = limit, span_ns
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._ended_ns: deque[int] = deque()
        self._open = 0
        self._last_ns: int | None = None
        self._held_until_ns: int | None = None
        self.requests = 0
        """Requests let out so far."""

    def _now_ns(self) -> int:
        now_ns = self._clock_ns()
        if self._last_ns is not None:
            now_ns = max(now_ns, self._last_ns)
        self._last_ns = now_ns
        return now_ns

    def enter(self, ceiling: int | None = None) -> int:
        """Lets one request out and gives 0; else nanoseconds after which to ask again. Every entry needs a
        `leave`. With a `ceiling` the request may only fill the window up to that many.
        """
        with self._lock:
            wait_ns = self._wait_ns(ceiling)
            if wait_ns == 0:
                self._open += 1
                self.requests += 1
            return wait_ns

    def peek(self, ceiling: int | None = None) -> int:
        """What `enter` would answer now; nothing is let out."""
        with self._lock:
            return self._wait_ns(ceiling)

    def _wait_ns(self, ceiling: int | None) -> int:
        now_ns = self._now_ns()
        if self._held_until_ns is not None:
            if now_ns < self._held_until_ns:
                return self._held_until_ns - now_ns
            self._held_until_ns = None
        while self._ended_ns and now_ns - self._ended_ns[0] >= self.span_ns:
            self._ended_ns.popleft()
        limit = self.limit if ceiling is None else min(ceiling, self.limit)
        excess = self._open + len(self._ended_ns) + 1 - limit
        if excess <= 0:
            return 0
        if excess > len(self._ended_ns):
            return LOOK_AGAIN_NS
        return max(1, self._ended_ns[excess - 1] + self.span_ns - now_ns)

    def leave(self) -> None:
        """The request of an entry has ended, with or without an answer.

        Raises:
            RuntimeError: nothing is under way.
        """
        with self._lock:
            if self._open == 0:
                raise RuntimeError("no request is under way")
            self._open -= 1
            self._ended_ns.append(self._now_ns())

    def hold(self, seconds: float) -> None:
        """Lets nothing out for a while, because the venue asked for it (Retry-After); at most an hour."""
        with self._lock:
            until_ns = self._now_ns() + int(min(max(seconds, 0.0), MAX_HOLD_S) * SECOND_NS)
            self._held_until_ns = max(until_ns, self._held_until_ns or until_ns)

    @property
    def used(self) -> int:
        """Requests that count now."""
        with self._lock:
            now_ns = self._now_ns()
            return self._open + sum(now_ns - ended_ns < self.span_ns for ended_ns in self._ended_ns)

    def ages_ns(self) -> list[int]:
        """Ages of the requests that count now, oldest first; one under way is of age 0."""
        with self._lock:
            now_ns = self._now_ns()
            ended = [now_ns - ended_ns for ended_ns in self._ended_ns if now_ns - ended_ns < self.span_ns]
            return ended + [0] * self._open

    def restore(self, ages_ns: Sequence[int]) -> None:
        """Counts requests of a process before this one, oldest first."""
        with self._lock:
            now_ns = self._now_ns()
            self._ended_ns = deque(sorted([*self._ended_ns, *(now_ns - max(0, age) for age in ages_ns)]))

    @asynccontextmanager
    async def request(self, sleep: Sleep = asyncio.sleep) -> AsyncIterator[None]:
        """Waits for a place, and gives it back when the block ends in any way."""
        while wait_ns := self.enter():
            await sleep(wait_ns / SECOND_NS)
        try:
            yield
        finally:
            self.leave()


_shared: dict[str, RequestWindow] = {}
_shared_lock = threading.Lock()


def shared_window(venue: str) -> RequestWindow:
    """The one window of this process towards a venue, by its base address."""
    with _shared_lock:
        return _shared.setdefault(venue, RequestWindow())


def retry_wait_s(worker: str, attempt: int, retry_after_s: float | None = None) -> float:
    """Seconds before retry number `attempt` (0 is the first): 10·2ⁿ, at most 300, and at least what the venue
    asked for, plus BLAKE3(worker, attempt) mod 1,000 ms. The same worker waits the same time in every run.
    """
    digest = blake3(worker.encode() + b"\0" + attempt.to_bytes(8, "little"))
    jitter_ms = int.from_bytes(digest[:8], "little") % JITTER_MS
    backoff_s = min(RETRY_CEILING_S, RETRY_BASE_S * 2.0 ** min(attempt, 30))
    return max(backoff_s, min(retry_after_s or 0.0, MAX_HOLD_S)) + jitter_ms / 1_000
