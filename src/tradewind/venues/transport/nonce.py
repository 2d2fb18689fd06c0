"""Nonces of one API key: strictly increasing over threads, crashes, restarts and clock jumps (trading T3).

No nonce leaves before a mark at or above it is on the disk. After a crash counting goes on at that mark, so
no incarnation can repeat what another one may have sent.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import structlog

from tradewind.venues.transport import durable

log = structlog.get_logger("tradewind.venues.nonce")
SECOND_NS: Final = 1_000_000_000
RESERVE_S: Final = 10
"""The mark is put so far ahead of the clock."""
RESERVE_AHEAD_S: Final = 1
"""And at least so far ahead of the last nonce: restarts in a row must not run away from the clock."""
LOW_TENTHS: Final = 3
"""Refilled in the background when so many tenths of a reserve are left."""
REFILL_EVERY_S: Final = 5.0
MAX_FORWARD_NS: Final = 60 * SECOND_NS
MAX_SKEW_NS: Final = SECOND_NS // 2
RESYNC_NS: Final = SECOND_NS
ALARM_AHEAD_S: Final = 15.0
QUARANTINE_AHEAD_S: Final = 300.0
MAX_STATE_BYTES: Final = 4_096
MIN_RESEED_S: Final = 60
MAX_RESEED_S: Final = 3_600


class NonceUnit(StrEnum):
    """What one step of a nonce is."""

    US = "us"
    NS = "ns"

    @property
    def per_s(self) -> int:
        """Steps of a second."""
        return 10**6 if self is NonceUnit.US else 10**9

    @property
    def ns(self) -> int:
        """Nanoseconds of a step."""
        return SECOND_NS // self.per_s

    @property
    def digits(self) -> int:
        """Decimal digits of a nonce of this era."""
        return 16 if self is NonceUnit.US else 19


class NonceError(Exception):
    """The nonces of a key cannot be given out. Nothing was sent."""

    code = "NonceError"


class NonceUnitMismatch(NonceError):
    """The unit of the key and what its file holds differ: an operator has to look."""

    code = "NonceUnitMismatch"


class NonceStateLost(NonceError):
    """A key that was used has no readable mark: `tradewind keys reseed` after the cause is known."""

    code = "NonceStateLost"


class NonceStorageFailed(NonceError):
    """The mark cannot be made durable. The same file is not tried again by this process."""

    code = "NonceStorageFailed"


class NonceForked(NonceError):
    """The allocator was copied into a child process, which must not use it."""

    code = "NonceForked"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds: nonces up to and with `high_water` may have been sent."""

    unit: NonceUnit
    high_water: int
    epoch: int

    def checksum(self) -> int:
        """CRC-32 of the fields."""
        return zlib.crc32(f"{self.unit}|{self.high_water}|{self.epoch}".encode())


class _File(Mark, frozen=True, kw_only=True):
    crc32: str


def read_mark(path: Path) -> Mark | None:
    """The mark of a file, None when there is none.

    Raises:
        NonceStateLost: it cannot be read. NonceUnitMismatch: its digits are not those of its unit.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STATE_BYTES)
        found = msgspec.json.decode(data, type=_File)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise NonceStateLost(f"{path.name} cannot be read ({type(error).__name__})") from error
    if found.crc32 != f"{found.checksum():08x}":
        raise NonceStateLost(f"{path.name} is damaged: its checksum does not match")
    if len(str(found.high_water)) != found.unit.digits:
        digits = len(str(found.high_water))
        raise NonceUnitMismatch(f"{path.name} says {found.unit} and holds a number of {digits} digits")
    return Mark(unit=found.unit, high_water=found.high_water, epoch=found.epoch)


def write_mark(path: Path, mark: Mark) -> None:
    """Makes a mark durable. Raises `OSError`."""
    fields = {**msgspec.structs.asdict(mark), "crc32": f"{mark.checksum():08x}"}
    durable.replace(path, msgspec.json.encode(fields) + b"\n")


def boot_ns() -> int:
    """The steady clock that goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class NonceClock:
    """Unix time that follows the wall clock forward in small steps and ignores its jumps (T3.3)."""

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = boot_ns
    ) -> None:
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._anchor = (wall_ns(), steady_ns())  # one assignment: a reader sees both or neither
        self._looked_at_ns = self._anchor[1]
        self.skew_ns = 0
        """Wall clock less this clock, at the last look."""
        self.steps = 0
        """Jumps of the wall clock that were ignored."""

    def __call__(self) -> int:
        """Now, in ns."""
        steady_ns = self._steady_ns()
        if steady_ns - self._looked_at_ns >= RESYNC_NS:
            self.resync()
        anchor_ns, anchored_at_ns = self._anchor
        return anchor_ns + max(0, steady_ns - anchored_at_ns)

    def resync(self) -> int:
        """Looks at the wall clock; gives the skew that is left, in ns."""
        steady_ns, wall_ns = self._steady_ns(), self._wall_ns()
        anchor_ns, anchored_at_ns = self._anchor
        here_ns = anchor_ns + max(0, steady_ns - anchored_at_ns)
        self._looked_at_ns = steady_ns
        before_ns, skew_ns = self.skew_ns, wall_ns - here_ns
        if 0 < skew_ns <= MAX_FORWARD_NS:
            self._anchor = (wall_ns, steady_ns)
            skew_ns = 0
        self.skew_ns = skew_ns
        if abs(skew_ns) > MAX_SKEW_NS >= abs(before_ns):
            self.steps += 1
            log.error("ClockStep", skew_ms=skew_ns // 1_000_000)
        return skew_ns

    @property
    def stepped(self) -> bool:
        """The wall clock is more than 500 ms off: no new risk."""
        return abs(self.skew_ns) > MAX_SKEW_NS


class NonceAllocator:
    """The one source of nonces of a key. Thread-safe; hold the key's `lease.KeyLock` while it lives."""

    def __init__(self, path: Path, mark: Mark, clock: NonceClock) -> None:
        """See `open`: `mark` is durable, and nothing above it was sent."""
        self.path, self.unit = path, mark.unit
        self.clock = clock
        self._last = mark.high_water
        self._high_water = mark.high_water
        self._epoch = mark.epoch
        self._lock = threading.Lock()
        self._file_lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._failed = False
        self._pid = os.getpid()
        self._low = 0
        self.allocated = 0
        self.refills = 0
        self.sync_refills = 0
        """Times that a caller had to wait for the disk; expected none in an hour."""
        self._refiller = threading.Thread(target=self._keep_full, name="nonce-refill", daemon=True)

    @classmethod
    def open(
        cls,
        path: Path,
        unit: NonceUnit,
        *,
        used: bool,
        clock: NonceClock | None = None,
        background: bool = True,
    ) -> NonceAllocator:
        """Continues after the mark of the file. `used`: the key's record says that it has sent requests.

        Without `background` every refill is made by a caller, who waits for the disk.

        Raises:
            NonceStateLost: the mark of a used key is missing or damaged. NonceUnitMismatch: another unit.
            NonceStorageFailed: the first mark cannot be written.
        """
        clock = clock or NonceClock()
        mark = read_mark(path)
        if mark is None:
            if used:
                raise NonceStateLost(f"{path.name} is missing, and the key was used before")
            mark = Mark(unit=unit, high_water=clock() // unit.ns, epoch=0)
        if mark.unit is not unit:
            raise NonceUnitMismatch(f"the key counts in {unit}, its file in {mark.unit}")
        allocator = cls(path, mark, clock)
        allocator.refill()
        if background:
            allocator._refiller.start()
        return allocator

    # ---- giving out --------------------------------------------------------------------------------

    def next(self) -> int:
        """The next nonce. It is larger than any before, and the mark on the disk covers it.

        Raises:
            NonceStorageFailed: the reserve is used up and no mark can be written.
            NonceForked: this is not the process that opened it. NonceError: it is closed.
        """
        if os.getpid() != self._pid:
            raise NonceForked("the nonces of a key belong to the process that opened them")
        while True:
            with self._lock:
                if self._closed:
                    raise NonceError("the nonces are closed")
                nonce = max(self.clock() // self.unit.ns, self._last + 1)
                if nonce <= self._high_water:
                    self._last = nonce
                    self.allocated += 1
                    if self._high_water - nonce < self._low:
                        self._wake.set()
                    return nonce
                self.sync_refills += 1
            self.refill()

    def refill(self) -> None:
        """Puts the mark ten seconds ahead of the clock, durably. Raises `NonceStorageFailed`."""
        with self._file_lock:
            with self._lock:
                if self._closed:
                    return
                now, last, per_s = self.clock() // self.unit.ns, self._last, self.unit.per_s
                target = max(self._high_water, now + RESERVE_S * per_s, last + RESERVE_AHEAD_S * per_s)
                epoch = self._epoch
            self._write(Mark(unit=self.unit, high_water=target, epoch=epoch))
            with self._lock:
                self._high_water = target
                self._low = (target - max(now, last)) * LOW_TENTHS // 10
                self.refills += 1

    def _write(self, mark: Mark) -> None:
        if self._failed:
            raise NonceStorageFailed(f"{self.path.name} could not be written before")
        try:
            write_mark(self.path, mark)
        except OSError as error:
            # After a failed fsync nobody knows what is on the disk: this file is not tried again.
            self._failed = True
            raise NonceStorageFailed(f"{self.path.name}: {error.strerror}") from error

    def _keep_full(self) -> None:
        """Refills in the background: when little is left, and every five seconds as the clock goes on."""
        while not self._closed:
            self._wake.wait(REFILL_EVERY_S)
            self._wake.clear()
            try:
                self.refill()
            except NonceStorageFailed as error:
                log.critical("NonceStorageFailed", reason=str(error))
                return

    # ---- changing ----------------------------------------------------------------------------------

    def see_epoch(self, epoch: int) -> bool:
        """Whether a call of this epoch may be signed. A higher one than before is made durable first.

        Raises:
            NonceStorageFailed: it cannot be.
        """
        with self._lock:
            if epoch <= self._epoch:
                return epoch == self._epoch
        with self._file_lock:
            with self._lock:
                high_water, seen = self._high_water, self._epoch
            if epoch > seen:
                self._write(Mark(unit=self.unit, high_water=high_water, epoch=epoch))
                with self._lock:
                    self._epoch = epoch
        return epoch >= seen

    def skip_ahead(self, seconds: int) -> None:
        """Goes on so far ahead of everything that was sent: the venue has seen a higher nonce (T3.9)."""
        with self._lock:
            self._last = max(self._last, self.clock() // self.unit.ns) + seconds * self.unit.per_s

    def close(self) -> None:
        """Stops, and writes the last nonce as the mark: after an orderly stop nothing is skipped."""
        with self._file_lock:
            with self._lock:
                if self._closed:
                    return
                self._closed = True
                mark = Mark(unit=self.unit, high_water=self._last, epoch=self._epoch)
            self._wake.set()
            if not self._failed:
                try:
                    write_mark(self.path, mark)
                except OSError as error:
                    log.warning("nonce_mark_not_lowered", reason=error.strerror)
        if self._refiller.ident is not None:
            self._refiller.join(REFILL_EVERY_S)

    # ---- looking -----------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """The last nonce that was given out, or the mark that counting went on from."""
        return self._last

    @property
    def high_water(self) -> int:
        """The mark on the disk."""
        return self._high_water

    @property
    def epoch(self) -> int:
        """The highest epoch that was seen."""
        return self._epoch

    @property
    def ahead_s(self) -> float:
        """Seconds that the last nonce is ahead of the clock."""
        return max(0.0, (self._last - self.clock() // self.unit.ns) / self.unit.per_s)


def reseed(path: Path, unit: NonceUnit, ahead_s: int, clock: NonceClock | None = None) -> Mark:
    """Writes a new mark so far ahead of now, and of a readable mark, for a key whose state was lost.

    Hold the key's lock. Raises:
        ValueError: `ahead_s` is not between 60 and 3600. NonceStorageFailed: it cannot be written.
    """
    if not MIN_RESEED_S <= ahead_s <= MAX_RESEED_S:
        raise ValueError(f"ahead_s is between {MIN_RESEED_S} and {MAX_RESEED_S}")
    try:
        before = read_mark(path)
    except NonceError:
        before = None
    high_water = (clock or NonceClock())() // unit.ns + ahead_s * unit.per_s
    if before is not None and before.unit is unit:
        high_water = max(high_water, before.high_water)
    mark = Mark(unit=unit, high_water=high_water, epoch=0 if before is None else before.epoch)
    try:
        write_mark(path, mark)
    except OSError as error:
        raise NonceStorageFailed(f"{path.name}: {error.strerror}") from error
    return mark


def migrate_unit(path: Path) -> Mark:
    """Turns a mark in microseconds into one in nanoseconds; there is no way back. Hold the key's lock.

    Raises:
        NonceUnitMismatch: it counts in nanoseconds already. NonceStateLost: there is no mark.
        NonceStorageFailed: it cannot be written.
    """
    before = read_mark(path)
    if before is None:
        raise NonceStateLost(f"{path.name} does not exist")
    if before.unit is not NonceUnit.US:
        raise NonceUnitMismatch(f"{path.name} counts in {before.unit}; only us becomes ns")
    mark = Mark(unit=NonceUnit.NS, high_water=(before.high_water + 1) * 1_000, epoch=before.epoch)
    try:
        write_mark(path, mark)
    except OSError as error:
        raise NonceStorageFailed(f"{path.name}: {error.strerror}") from error
    return mark
