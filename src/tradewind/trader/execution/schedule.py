"""When how much of a parent is due: slices of TWAP and VWAP, refreshes of an iceberg. Pure functions."""

from __future__ import annotations

import functools
import random
from decimal import Decimal
from typing import Final

from .book import Parent
from .model import Algorithm

SECOND_NS: Final = 1_000_000_000
JITTER: Final = 0.2
"""Slices begin up to this part of an interval early or late, to avoid resonance and to hide nothing."""
CATCH_UP: Final = 2
"""A slice may place at most so many times what was planned for it (T13.2)."""
REFRESH_S: Final = (0.2, 2.0)
MAX_DRAWS: Final = 4_096
"""Draws that are remembered."""
REPLAN_ALARM_PCT: Final = 20


def slice_count(parent: Parent) -> int:
    """Number of slices; 1 for what has no interval."""
    opened = parent.opened
    interval_ns = opened.terms.interval_s * SECOND_NS
    return max(1, (opened.end_ns - opened.start_ns) // interval_ns) if interval_ns else 1


def slice_start_ns(parent: Parent, number: int) -> int:
    """When a slice begins; that of number `slice_count` is the end of the schedule."""
    opened, count = parent.opened, slice_count(parent)
    if number >= count:
        return opened.end_ns
    length_ns = (opened.end_ns - opened.start_ns) // count
    if number == 0 or not opened.terms.interval_s:
        return opened.start_ns + number * length_ns
    return opened.start_ns + number * length_ns + int(_jitter(opened.seed, number) * length_ns)


@functools.lru_cache(maxsize=MAX_DRAWS)
def _jitter(seed: int, number: int) -> float:
    """Part of an interval, the same for the same seed and slice."""
    return random.Random(f"{seed}/{number}").uniform(-JITTER, JITTER)  # noqa: S311 - reproducible


def slice_at(parent: Parent, now_ns: int) -> int:
    """The slice that a moment lies in; the last one behind the end."""
    opened, count = parent.opened, slice_count(parent)
    length_ns = max(1, (opened.end_ns - opened.start_ns) // count)
    guess = max(0, min(count - 1, (now_ns - opened.start_ns) // length_ns))
    while guess > 0 and slice_start_ns(parent, guess) > now_ns:
        guess -= 1
    while guess < count - 1 and slice_start_ns(parent, guess + 1) <= now_ns:
        guess += 1
    return guess


def planned_until(parent: Parent, now_ns: int) -> int:
    """Lots that the schedule wants done by a moment; all of them at its end."""
    opened = parent.opened
    if now_ns >= opened.end_ns:
        return opened.lots
    passed_ns = max(0, now_ns - opened.start_ns)
    if opened.algorithm == Algorithm.VWAP:
        done, whole = curve_progress(parent, now_ns)
        return opened.lots * done // whole if whole else 0
    return opened.lots * passed_ns // (opened.end_ns - opened.start_ns)


def target_of_slice(parent: Parent, number: int) -> int:
    """Lots that are to be done when a slice ends."""
    if parent.opened.algorithm == Algorithm.TWAP:
        return parent.opened.lots * (number + 1) // slice_count(parent)
    return planned_until(parent, slice_start_ns(parent, number + 1))


def planned_of_slice(parent: Parent, number: int) -> int:
    """Lots planned for one slice."""
    before = target_of_slice(parent, number - 1) if number else 0
    return max(0, target_of_slice(parent, number) - before)


def curve_progress(parent: Parent, now_ns: int) -> tuple[int, int]:
    """Market volume up to a moment, and in the whole time of the parent. What is over counts as it was
    realised, what comes as the curve expects it (T13.4).
    """
    replans = {one.bucket: one for one in parent.replans}
    done = whole = 0
    for number, point in enumerate(parent.opened.curve):
        replan = replans.get(number)
        lots = point.expected_lots
        if replan is not None and replan.observed:
            lots = replan.realised_lots
        whole += lots
        length_ns = point.end_ns - point.start_ns
        passed_ns = max(0, min(now_ns - point.start_ns, length_ns))
        done += lots * passed_ns // length_ns
    return done, whole


def deviation_pct(realised_lots: int, expected_lots: int) -> Decimal | None:
    """By how much a bucket's volume differed from what was expected of it; None without an expectation."""
    if not expected_lots:
        return None
    return Decimal(realised_lots - expected_lots) * 100 / expected_lots


def refresh_ns(parent: Parent) -> int:
    """How long after a fill the next part of an iceberg shows."""
    seconds = random.Random(  # noqa: S311 - reproducible
        f"{parent.opened.seed}/refresh/{parent.children_count}"
    ).uniform(*REFRESH_S)
    return int(seconds * SECOND_NS)
