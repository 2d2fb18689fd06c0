"""When to fetch a snapshot again, per symbol, and when to give up on the connection instead (T5.7)."""

from __future__ import annotations

from collections import deque

import msgspec

from tradewind.venues.transport.backoff import Backoff, BackoffPolicy


class ResyncLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of resynchronising one symbol. The first attempt is immediate, later ones back off."""

    base_s: float = 0.5
    ceiling_s: float = 30.0
    healthy_after_s: float = 60.0
    attempt_timeout_s: float = 5.0
    failures_to_reconnect: int = 3
    failure_window_s: float = 60.0
    max_concurrent: int = 4


class SymbolResync:
    """Attempts of one symbol. Times are monotonic seconds given by the caller."""

    def __init__(self, limits: ResyncLimits) -> None:
        self.limits = limits
        self.attempts = 0
        self._backoff = Backoff(
            BackoffPolicy(base_s=limits.base_s, ceiling_s=limits.ceiling_s,
                          reset_after_s=limits.healthy_after_s, max_attempts=1_000)
        )  # fmt: skip
        self._failures: deque[float] = deque(maxlen=limits.failures_to_reconnect)
        self._due_s = 0.0
        self._snapshots_before = 0
        self._running_since_s: float | None = None

    def observe(self, snapshots: int, synced: bool, now_s: float) -> None:
        """Notice that the snapshot of the running attempt came, and whether the book is still good with
        it.
        """
        if self._running_since_s is None or snapshots == self._snapshots_before:
            return
        if synced:
            self._running_since_s = None
        else:
            self.failed(now_s)

    def synced(self, now_s: float) -> None:
        """The book has its snapshot."""
        self._running_since_s = None
        self._backoff.healthy(now_s)
        if self._backoff.failures == 0:
            self._due_s = 0.0

    def due(self, now_s: float) -> bool:
        """True when an attempt should start now. Counts a running attempt as failed when it takes too
        long.
        """
        if self._running_since_s is not None:
            if now_s - self._running_since_s <= self.limits.attempt_timeout_s:
                return False
            self.failed(now_s)
        return now_s >= self._due_s

    def begin(self, now_s: float, snapshots_before: int) -> None:
        """An attempt starts; the next one has to wait for the backoff."""
        self.attempts += 1
        self._snapshots_before = snapshots_before
        self._running_since_s = now_s
        self._due_s = now_s + self._backoff.next_delay_s(now_s)

    def failed(self, now_s: float) -> None:
        """The attempt brought no usable snapshot."""
        self._running_since_s = None
        self._failures.append(now_s)

    def hopeless(self, now_s: float) -> bool:
        """Too many failures in the window: a new connection is the better attempt."""
        full = len(self._failures) == self.limits.failures_to_reconnect
        return full and now_s - self._failures[0] <= self.limits.failure_window_s

    def new_connection(self) -> None:
        """A new connection: attempt at once, forget the failures of the old one."""
        self._failures.clear()
        self._running_since_s = None
        self._due_s = 0.0
