"""The venue's clock as we see it: offset to our steady clock, with its bound (T10.5)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import msgspec

MS = 1_000_000
SAMPLES = 5


class Sample(msgspec.Struct, frozen=True):
    """One question for the time: steady clock before and behind it, and the answer in ms."""

    sent_ns: int
    received_ns: int
    server_ms: int

    @property
    def offset_ns(self) -> int:
        """Venue's wall time minus our steady clock. The answer is taken to be from the middle."""
        return self.server_ms * MS + MS // 2 - (self.sent_ns + self.received_ns) // 2

    @property
    def bound_ns(self) -> int:
        """Half of the round trip, and the resolution of the answer."""
        return (self.received_ns - self.sent_ns) // 2 + MS


class ServerTime:
    """Wall time of the venue: a steady clock and an offset. Until it is measured, our own wall clock."""

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._offset_ns = wall_ns() - steady_ns()
        self.bound_ns: int | None = None
        """How far `now_ns` may be off; None before the first measurement."""
        self.measured_ns: int | None = None

    def now_ns(self) -> int:
        """The venue's time now."""
        return self._steady_ns() + self._offset_ns

    def now_ms(self) -> int:
        """The venue's time now, rounded down: a stamp is never in the venue's future by rounding."""
        return self.now_ns() // MS

    def at_ns(self, steady_ns: int) -> int:
        """The venue's time at a moment of the steady clock."""
        return steady_ns + self._offset_ns

    @property
    def skew_ns(self) -> int:
        """Our wall clock minus the venue's."""
        return self._wall_ns() - self.now_ns()

    def measured(self, samples: list[Sample]) -> None:
        """Takes the median of the samples; the bound is that of the quickest answer near it."""
        if not samples:
            return
        self._offset_ns = int(statistics.median_low(one.offset_ns for one in samples))
        self.bound_ns = max(one.bound_ns for one in samples)
        self.measured_ns = self._steady_ns()
