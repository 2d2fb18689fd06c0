"""The venue's time, and how far this machine is from it (trading T10.5). Pure: the caller measures and tells.

Every signature with a timestamp, every fixed window of a limit and every deadline uses `venue_ns`, which is a
steady clock plus the measured offset: setting the wall clock moves none of them. Small corrections make that
time stand still; a large one says that what was told before was wrong, and the time is put right at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from statistics import median_low
from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000
MEASURE_EVERY_S: Final = 60.0
SAMPLES: Final = 5
ALARM_NS: Final = SECOND_NS // 10
NO_NEW_RISK_NS: Final = SECOND_NS // 2
HALT_NS: Final = SECOND_NS
MAX_ROUND_TRIP_NS: Final = 5 * SECOND_NS
STALE_NS: Final = 600 * SECOND_NS
STEP_BACK_NS: Final = NO_NEW_RISK_NS
"""A correction backwards beyond this is told; up to it the time stands still until it is reached again."""


class ClockVerdict(StrEnum):
    """What the skew allows."""

    GOOD = "good"
    ALARM = "alarm"
    NO_NEW_RISK = "no_new_risk"
    HALTED = "halted"
    UNKNOWN = "unknown"
    """Never measured, or not for ten minutes: no new risk."""


class Offset(msgspec.Struct, frozen=True, kw_only=True):
    """Venue time less wall time, surely within `bound_ns` on either side."""

    offset_ns: int
    bound_ns: int


class ClockGuard:
    """Compares the wall clock with the venue's. `resolution_ns`: steps of the time that the venue tells."""

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
        resolution_ns: int = 1_000_000,
    ) -> None:
        if resolution_ns < 1:
            raise ValueError("resolution_ns is at least 1")
        self._wall_ns, self._steady_ns, self._resolution_ns = wall_ns, steady_ns, resolution_ns
        self._samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)
        """Venue time less steady time, and the uncertainty of it."""
        self._middle: tuple[int, int] | None = None
        """The sample that is the median: asked for several times an order, changed once a minute."""
        self._measured_ns: int | None = None
        self._told_ns = 0
        self.rejected = 0
        """Measurements that took too long to mean anything."""
        self.steps_back = 0
        """How often the time that was told was put back: it had been wrong."""

    def begin(self) -> int:
        """Call right before the question is sent; give the value to `measured`."""
        return self._steady_ns()

    def measured(self, venue_ns: int, begin_ns: int) -> bool:
        """The venue said its time; False when the answer took too long to be used.

        `venue_ns` is in ns of Unix time, cut off at the venue's resolution.
        """
        end_ns = self._steady_ns()
        round_trip_ns = end_ns - begin_ns
        if not 0 <= round_trip_ns <= MAX_ROUND_TRIP_NS:
            self.rejected += 1
            return False
        # A time that is cut off is on average half a step earlier than it was.
        middle_ns = begin_ns + round_trip_ns // 2
        offset_ns = venue_ns + self._resolution_ns // 2 - middle_ns
        self._samples.append((offset_ns, round_trip_ns // 2 + self._resolution_ns // 2))
        self._middle = self._median()
        self._measured_ns = end_ns
        return True

    def forget(self) -> None:
        """Drops every measurement, and the time that was told by them: the venue refused a timestamp, so they
        are wrong. Measure again.
        """
        self._samples.clear()
        self._middle = None
        self._measured_ns = None
        self._told_ns = 0

    @property
    def is_due(self) -> bool:
        """Whether a minute went by since the last measurement."""
        if self._measured_ns is None:
            return True
        return self._steady_ns() - self._measured_ns >= MEASURE_EVERY_S * SECOND_NS

    def _median(self) -> tuple[int, int]:
        """Median of the last five, with the bound of the sample that it is."""
        middle = median_low(offset_ns for offset_ns, _ in self._samples)
        return min((one for one in self._samples if one[0] == middle), key=lambda one: one[1])

    def offset(self) -> Offset | None:
        """How far the wall clock is from the venue's; None: unknown."""
        found = self._middle
        if found is None:
            return None
        offset_ns, bound_ns = found
        return Offset(offset_ns=self._steady_ns() + offset_ns - self._wall_ns(), bound_ns=bound_ns)

    def venue_ns(self) -> int:
        """The venue's time now. Before the first measurement it is the wall clock's.

        It goes back only where it was wrong by more than half a second (a wall clock that was ahead before
        the first measurement, a bad measurement), or behind `forget`: by a time that is ahead every signed
        request would be refused until the true time has caught up. Who counts by it has to bear that.
        """
        found = self._middle
        now_ns = self._wall_ns() if found is None else self._steady_ns() + found[0]
        if now_ns < self._told_ns - STEP_BACK_NS:
            self.steps_back += 1
            self._told_ns = now_ns
        self._told_ns = max(self._told_ns, now_ns)
        return self._told_ns

    def verdict(self) -> ClockVerdict:
        """What the skew allows now. The uncertainty of the measurement is given to the clock's favour."""
        offset = self.offset()
        if offset is None or self._measured_ns is None:
            return ClockVerdict.UNKNOWN
        if self._steady_ns() - self._measured_ns > STALE_NS:
            return ClockVerdict.UNKNOWN
        skew_ns = max(0, abs(offset.offset_ns) - offset.bound_ns)
        for limit_ns, verdict in (
            (HALT_NS, ClockVerdict.HALTED),
            (NO_NEW_RISK_NS, ClockVerdict.NO_NEW_RISK),
            (ALARM_NS, ClockVerdict.ALARM),
        ):
            if skew_ns > limit_ns:
                return verdict
        return ClockVerdict.GOOD

    @property
    def new_risk_allowed(self) -> bool:
        """True for `GOOD` and `ALARM` only."""
        return self.verdict() in (ClockVerdict.GOOD, ClockVerdict.ALARM)
