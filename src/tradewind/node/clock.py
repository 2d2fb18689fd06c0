"""The clock of a node: the machine's, but it never goes back and never stands still."""

from __future__ import annotations

import time
from collections.abc import Callable

STEP_TOLERANCE_NS = 500_000_000
"""A wall clock that is further behind the log than this was set back (trading T10.5)."""


class SteadyClock:
    """Nanoseconds since the Unix epoch, UTC.

    Where the wall clock is behind what was told before, time goes on with the monotonic clock until the wall
    clock has caught up. Simply holding the last value would freeze every timer of the log for as long as the
    clock was set back: dead-man's switches, expiries, requests under way.
    """

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.wall = wall
        self._monotonic = monotonic
        self._anchor_ns = wall()
        self._anchored_at_ns = monotonic()

    def __call__(self) -> int:
        """The present moment."""
        wall_ns, monotonic_ns = self.wall(), self._monotonic()
        steady_ns = self._anchor_ns + (monotonic_ns - self._anchored_at_ns)
        if wall_ns < steady_ns:
            return steady_ns
        self._anchor_ns, self._anchored_at_ns = wall_ns, monotonic_ns
        return wall_ns

    def not_before(self, time_ns: int) -> None:
        """Go on from here if this moment is later than the present one: the last one that a log knows."""
        if time_ns > self():
            self._anchor_ns, self._anchored_at_ns = time_ns, self._monotonic()
