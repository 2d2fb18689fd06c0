"""How much a synchronised book may be believed: staleness budgets and plausibility of its prices.

Times are nanoseconds of the feed's own clock, so a recorded market is judged by recorded time. Statistics
here are about health, not money; nothing in this module rounds or creates a price.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

import msgspec

SECOND_NS = 1_000_000_000
MAX_SPREAD_SAMPLES = 3_600
MAX_GAP_SAMPLES = 600


class HealthLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of T5.9 and T5.10; every value has its unit in its name."""

    crossed_ns: int = 250_000_000
    liquid_gap_ns: int = 500_000_000
    stale_floor_ns: int = 2 * SECOND_NS
    stale_ceiling_ns: int = 30 * SECOND_NS
    quiet_gap_multiple: int = 4
    spread_multiple: int = 10
    spread_floor_bps: int = 5
    spread_min_samples: int = 60
    mid_move_bps: int = 1_000
    mid_window_ns: int = 60 * SECOND_NS
    one_sided_ns: int = 250_000_000


class StalenessBudget:
    """Budget from the symbol's own rhythm: p95 of the gaps between book messages over the last samples.

    Liquid symbols (p95 < 0.5 s) get 2 s; quiet ones 4 x p95 within 2 s to 30 s. Gaps are sampled at most
    once a second (the longest gap of that second), so 600 samples cover the ten minutes of T5.9.
    """

    __slots__ = ("_bucket_end_ns", "_bucket_max_ns", "_gaps", "_last_ns", "_limits", "_sorted")

    def __init__(self, limits: HealthLimits) -> None:
        self._limits = limits
        self._gaps: deque[int] = deque()
        self._sorted: list[int] = []
        self._last_ns: int | None = None
        self._bucket_end_ns = 0
        self._bucket_max_ns = 0

    def observe(self, now_ns: int) -> None:
        """A book message was received."""
        last_ns, self._last_ns = self._last_ns, now_ns
        if last_ns is None:
            self._bucket_end_ns = now_ns + SECOND_NS
            return
        self._bucket_max_ns = max(self._bucket_max_ns, now_ns - last_ns)
        if now_ns < self._bucket_end_ns:
            return
        self._add(self._bucket_max_ns)
        self._bucket_max_ns = 0
        self._bucket_end_ns = now_ns + SECOND_NS

    def restart(self) -> None:
        """A new connection: the pause before it says nothing about the symbol's rhythm."""
        self._last_ns = None
        self._bucket_max_ns = 0

    def _add(self, gap_ns: int) -> None:
        if len(self._gaps) >= MAX_GAP_SAMPLES:
            oldest = self._gaps.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]
        self._gaps.append(gap_ns)
        insort(self._sorted, gap_ns)

    def budget_ns(self) -> int:
        """How old the book may be before it is stale; the floor while nothing is known about the symbol."""
        limits = self._limits
        if not self._sorted:
            return limits.stale_floor_ns
        p95_ns = self._sorted[min(len(self._sorted) - 1, len(self._sorted) * 95 // 100)]
        if p95_ns < limits.liquid_gap_ns:
            return limits.stale_floor_ns
        return min(max(limits.quiet_gap_multiple * p95_ns, limits.stale_floor_ns), limits.stale_ceiling_ns)


class PlausibilityMonitor:
    """Detects books that obey the sequence and still cannot be right (crossed, one-sided, torn, jumping)."""

    __slots__ = (
        "_crossed_since_ns",
        "_limits",
        "_mids",
        "_next_sample_ns",
        "_one_sided_since_ns",
        "_sorted_spreads",
        "_spreads",
    )

    def __init__(self, limits: HealthLimits) -> None:
        self._limits = limits
        self._spreads: deque[int] = deque()
        self._sorted_spreads: list[int] = []
        self._mids: deque[tuple[int, int]] = deque()
        self._crossed_since_ns: int | None = None
        self._one_sided_since_ns: int | None = None
        self._next_sample_ns = 0

    def restart(self) -> None:
        """A fresh snapshot confirmed the book independently: forget the price path, keep the spread
        history.
        """
        self._mids.clear()
        self._crossed_since_ns = None
        self._one_sided_since_ns = None
        self._next_sample_ns = 0

    def crossed_too_long(self, bid_ticks: int | None, ask_ticks: int | None, now_ns: int) -> bool:
        """True when bid >= ask has lasted longer than the limit."""
        if bid_ticks is None or ask_ticks is None or bid_ticks < ask_ticks:
            self._crossed_since_ns = None
            return False
        if self._crossed_since_ns is None:
            self._crossed_since_ns = now_ns
        return now_ns - self._crossed_since_ns > self._limits.crossed_ns

    def objection(self, bid_ticks: int | None, ask_ticks: int | None, now_ns: int) -> str | None:
        """Why the book is implausible now, or None. Call after `crossed_too_long`."""
        if bid_ticks is None or ask_ticks is None:
            return self._one_sided(now_ns)
        self._one_sided_since_ns = None
        if bid_ticks >= ask_ticks:
            return None
        spread = ask_ticks - bid_ticks
        mid_doubled = ask_ticks + bid_ticks
        reason = self._wide(spread, mid_doubled) or self._jump(mid_doubled, now_ns)
        if now_ns >= self._next_sample_ns:
            self._next_sample_ns = now_ns + SECOND_NS
            self._sample(spread, mid_doubled, now_ns)
        return reason

    def _one_sided(self, now_ns: int) -> str | None:
        if self._one_sided_since_ns is None:
            self._one_sided_since_ns = now_ns
        lasted_ns = now_ns - self._one_sided_since_ns
        return "book_implausible: one side empty" if lasted_ns > self._limits.one_sided_ns else None

    def _wide(self, spread: int, mid_doubled: int) -> str | None:
        if len(self._sorted_spreads) < self._limits.spread_min_samples:
            return None
        median = self._sorted_spreads[len(self._sorted_spreads) // 2]
        # the floor: where the usual spread is one tick of a tiny tick, ten ticks are an ordinary moment
        if (spread <= self._limits.spread_multiple * median
                or spread * 20_000 <= self._limits.spread_floor_bps * mid_doubled):  # fmt: skip
            return None
        return f"book_implausible: spread {spread} ticks, 1 h median {median}"

    def _jump(self, mid_doubled: int, now_ns: int) -> str | None:
        mids = self._mids
        while mids and mids[0][0] < now_ns - self._limits.mid_window_ns:
            mids.popleft()
        if not mids:
            return None
        reference = mids[0][1]
        moved_bps = abs(mid_doubled - reference) * 10_000 // reference
        if moved_bps <= self._limits.mid_move_bps:
            return None
        return f"book_implausible: mid moved {moved_bps} bps in the last minute"

    def _sample(self, spread: int, mid_doubled: int, now_ns: int) -> None:
        if len(self._spreads) >= MAX_SPREAD_SAMPLES:
            oldest = self._spreads.popleft()
            del self._sorted_spreads[bisect_left(self._sorted_spreads, oldest)]
        self._spreads.append(spread)
        insort(self._sorted_spreads, spread)
        self._mids.append((now_ns, mid_doubled))


class ErrorRateWindow:
    """Share of failed messages over the last 60 s, in one-second buckets (T5.11: > 1 % degrades)."""

    __slots__ = ("_buckets", "limit_bps", "minimum_messages", "window_s")

    def __init__(self, limit_bps: int = 100, minimum_messages: int = 100, window_s: int = 60) -> None:
        self.limit_bps = limit_bps
        self.minimum_messages = minimum_messages
        self.window_s = window_s
        self._buckets: deque[list[int]] = deque(maxlen=window_s)

    def observe(self, now_ns: int, failed: bool) -> None:
        """Count one message."""
        second = now_ns // SECOND_NS
        if not self._buckets or self._buckets[-1][0] != second:
            self._buckets.append([second, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += 1
        bucket[2] += failed

    def exceeded(self, now_ns: int) -> bool:
        """True when enough messages were seen and too many of them failed."""
        oldest = now_ns // SECOND_NS - self.window_s
        recent = [bucket for bucket in self._buckets if bucket[0] > oldest]
        total = sum(bucket[1] for bucket in recent)
        failed = sum(bucket[2] for bucket in recent)
        return total >= self.minimum_messages and failed * 10_000 > total * self.limit_bps

    def clear(self) -> None:
        """Forget the past, after a reconnect."""
        self._buckets.clear()
