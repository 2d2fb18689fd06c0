"""Honest durations (operations O1.10), judged from the samples alone, never from what the state says.

A stretch counts while boot and process stay the same, wall and boot clock agree, the machine is not
suspended, the journal's heartbeat has no gap above 30 s, and no sample is missing. Stretches are never put
together.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .clocks import SECOND_NS, Moment, span
from .evidence import Evidence
from .samples import Sample

MAX_HEARTBEAT_GAP_S: Final = 30.0
MAX_SAMPLE_GAP_S: Final = 180.0
"""Samples are a minute apart; two in a row that are missing end the stretch."""
AGE_TOLERANCE_S: Final = 2.0


class Honest(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples prove. `seconds` is 0 unless market and clock were real."""

    seconds: float
    longest_s: float
    """The longest stretch, whatever the market was."""
    processes: int
    boots: int
    suspended_s: float
    defects: tuple[str, ...]

    @property
    def restarts(self) -> int:
        """Processes after the first one, by the kernel's start times, not by anybody's counter."""
        return max(0, self.processes - 1)


def judge(evidence: Evidence) -> Honest:
    """The honest part of a campaign or of a window of it."""
    samples = evidence.samples
    defects: list[str] = []
    longest_s = suspended_s = 0.0
    first: Sample | None = None
    starts: list[tuple[str, float]] = []
    for before, now in zip([None, *samples], samples, strict=False):
        started = _process(now)
        if started is None or not starts or not _same(starts[-1], started):
            starts.append(started or (now.boot_id, -1.0))
        defect = "" if before is None else _defect(before, now)
        if before is None or defect or first is None:
            first = now
        if defect:
            defects.append(f"sample {now.number}: {defect}")
        suspended_s += 0.0 if before is None else _suspended_s(before, now)
        longest_s = max(longest_s, _stretch_s(first, now))
    real = evidence.state.identity.provenance == "real"
    return Honest(
        seconds=longest_s if real else 0.0,
        longest_s=longest_s,
        processes=len(starts),
        boots=len({one.boot_id for one in samples}),
        suspended_s=suspended_s,
        defects=tuple(defects),
    )


def _process(sample: Sample) -> tuple[str, float] | None:
    """(boot, start of the process in seconds since boot); None when the kernel did not tell it."""
    if sample.process_age_s is None:
        return None
    return sample.boot_id, sample.boottime_ns / SECOND_NS - sample.process_age_s


def _same(one: tuple[str, float], other: tuple[str, float]) -> bool:
    return one[0] == other[0] and abs(one[1] - other[1]) <= AGE_TOLERANCE_S


def _moment(sample: Sample) -> Moment:
    return Moment(
        wall_ns=sample.wall_ns,
        monotonic_ns=sample.monotonic_ns,
        boottime_ns=sample.boottime_ns,
        boot_id=sample.boot_id,
    )


def _suspended_s(before: Sample, now: Sample) -> float:
    return span(_moment(before), _moment(now)).suspended_ns / SECOND_NS


def _defect(before: Sample, now: Sample) -> str:
    """Why the time between two samples does not count; "" when it does."""
    passed = span(_moment(before), _moment(now))
    one, other, gap_s = _process(before), _process(now), now.logs.heartbeat_gap_s
    reasons = (
        (bool(passed.defect), passed.defect),
        (one is None or other is None or not _same(one, other), "another process"),
        (passed.suspended_ns > 0, f"suspended for {passed.suspended_ns / SECOND_NS:.1f} s"),
        (
            passed.counted_ns > MAX_SAMPLE_GAP_S * SECOND_NS,
            f"no sample for {passed.counted_ns / SECOND_NS:.0f} s",
        ),
        (now.number != before.number + 1, f"{now.number - before.number - 1} samples are missing"),
        (gap_s is None or gap_s > MAX_HEARTBEAT_GAP_S, f"the journal's heartbeat was away for {gap_s} s"),
    )
    return next((text for found, text in reasons if found), "")


def _stretch_s(first: Sample, now: Sample) -> float:
    """The least that any of the clocks says has passed."""
    passed = [
        now.wall_ns - first.wall_ns,
        now.monotonic_ns - first.monotonic_ns,
        now.boottime_ns - first.boottime_ns,
    ]
    ages = (first.process_age_s, now.process_age_s)
    least_s = min(passed) / SECOND_NS
    if ages[0] is not None and ages[1] is not None:
        least_s = min(least_s, ages[1] - ages[0])
    return max(0.0, least_s)
