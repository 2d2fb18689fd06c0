"""Honest time of a campaign (T15.7, operations O1.10): three clocks of the kernel that must tell the same.

The monotonic clock counts only while the machine runs, the boot clock counts suspension too, the wall clock
is what people read. A stretch of time is honest when wall and boot clock agree within 1 s + 50 ppm; what
counts is monotonic time, so suspension never does.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, Protocol

import msgspec

SECOND_NS: Final = 1_000_000_000
TOLERANCE_NS: Final = SECOND_NS
TOLERANCE_PPM: Final = 50
SUSPEND_NOISE_NS: Final = 10_000_000
"""Both clocks are read one after the other; less than this between them is no suspension."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_OWN_STAT: Final = Path("/proc/self/stat")
_START_FIELD: Final = 19
"""Field 22 of `stat`, counted behind the command's closing bracket."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of all clocks, in ns; `boot_id` names the boot that monotonic and boot time belong to."""

    wall_ns: int
    monotonic_ns: int
    boottime_ns: int
    boot_id: str

    @property
    def suspended_ns(self) -> int:
        """How long this boot was suspended until now."""
        return self.boottime_ns - self.monotonic_ns


class Clocks(Protocol):
    """Where moments come from; a test gives its own."""

    def now(self) -> Moment:
        """The present moment."""


class SystemClocks:
    """The clocks of this machine."""

    def __init__(self) -> None:
        self._boot_id = boot_id()

    def now(self) -> Moment:
        """The present moment."""
        return Moment(
            wall_ns=time.time_ns(),
            monotonic_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC),
            boottime_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            boot_id=self._boot_id,
        )


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What lies between two moments of one boot. `defect` says why it is not honest, "" when it is."""

    wall_ns: int
    counted_ns: int
    suspended_ns: int
    defect: str


def span(first: Moment, last: Moment) -> Span:
    """The stretch between two moments. Time that cannot be trusted counts as nothing."""
    wall_ns = last.wall_ns - first.wall_ns
    if first.boot_id != last.boot_id:
        return Span(wall_ns=wall_ns, counted_ns=0, suspended_ns=0, defect="the machine was booted in between")
    counted_ns = last.monotonic_ns - first.monotonic_ns
    passed_ns = last.boottime_ns - first.boottime_ns
    suspended_ns = passed_ns - counted_ns
    suspended_ns = 0 if suspended_ns < SUSPEND_NOISE_NS else suspended_ns
    defect = ""
    allowed_ns = TOLERANCE_NS + abs(passed_ns) * TOLERANCE_PPM // 1_000_000
    if counted_ns < 0 or passed_ns < 0:
        defect = "a clock that only grows went back"
    elif abs(wall_ns - passed_ns) > allowed_ns:
        defect = f"{wall_ns / 1e9:.3f} s on the wall clock, {passed_ns / 1e9:.3f} s on the boot clock"
    return Span(
        wall_ns=wall_ns, counted_ns=max(0, counted_ns), suspended_ns=max(0, suspended_ns), defect=defect
    )


def boot_id() -> str:
    """Name of the present boot; "unknown" where the kernel does not tell it."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def process_started_ticks(pid: int | None = None) -> int | None:
    """When a process began, in clock ticks since boot; None when there is no such process."""
    path = _OWN_STAT if pid is None else Path(f"/proc/{pid}/stat")
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[_START_FIELD])


def process_age_ns(boottime_ns: int) -> int | None:
    """How old this process is by the kernel's own record of its start."""
    ticks = process_started_ticks()
    if ticks is None:
        return None
    return boottime_ns - ticks * SECOND_NS // os.sysconf("SC_CLK_TCK")
