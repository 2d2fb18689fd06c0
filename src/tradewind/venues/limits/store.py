"""Keeps limiter states over restarts: written every second, restored with the decay since (trading T4.9).

How long the process was away is told by the machine's own boot clock, never by the wall clock, which can be
set. After a reboot the time since boot is taken: it was at least as long as that.
"""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import msgspec
import structlog

log = structlog.get_logger("tradewind.venues.limits")
SAVE_EVERY_S: Final = 1.0
MAX_STATE_BYTES: Final = 8 << 20
CRC_BYTES: Final = 8
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
State = TypeVar("State")


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A reading of the boot clock, with the boot that it belongs to ("" unknown)."""

    boot_id: str
    since_boot_ns: int


def this_moment() -> Moment:
    """Now, in a form that a later process can compare with."""
    try:
        boot_id = BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot_id = ""
    return Moment(boot_id=boot_id, since_boot_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME))


def elapsed_ns(before: Moment, now: Moment) -> int:
    """Time that surely passed between two moments, in ns; too little rather than too much."""
    if before.boot_id and before.boot_id == now.boot_id:
        return max(0, now.since_boot_ns - before.since_boot_ns)
    return now.since_boot_ns if before.boot_id and now.boot_id else 0


class _Saved(msgspec.Struct, kw_only=True):
    moment: Moment
    state: msgspec.Raw


def read_saved(path: Path, kind: type[State]) -> tuple[State, Moment] | None:
    """A saved state and when it was saved; None when there is none that can be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STATE_BYTES)
        body = data[CRC_BYTES:]
        if int(data[:CRC_BYTES], 16) != zlib.crc32(body):
            raise ValueError("checksum")
        saved = msgspec.json.decode(body, type=_Saved)
        return msgspec.json.decode(saved.state, type=kind), saved.moment
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.DecodeError) as error:
        log.warning("limiter_state_lost", path=str(path), reason=type(error).__name__)
        return None


class Keepable(Protocol[State]):
    """A model whose state can be kept."""

    def state(self, now_ns: int) -> State:
        """Everything that a restart has to know."""

    def restore(self, state: State | None, now_ns: int, elapsed_ns: int) -> None:
        """Continues from it; None: it is lost."""


class LimiterStore(Generic[State]):
    """The state file of one model."""

    def __init__(
        self,
        path: Path,
        model: Keepable[State],
        kind: type[State],
        clock_ns: Callable[[], int] = time.monotonic_ns,
        moment: Callable[[], Moment] = this_moment,
    ) -> None:
        self.path, self.model = path, model
        self._kind, self._clock_ns, self._moment = kind, clock_ns, moment
        self.saves = 0
        self.failures = 0

    def load(self, *, fresh: bool = False) -> bool:
        """Restores the model; False when the state was lost and 70 % was assumed.

        `fresh`: this account was never used, so that a missing file is no loss.
        """
        saved = read_saved(self.path, self._kind)
        now_ns = self._clock_ns()
        if saved is None:
            if fresh and not self.path.exists():
                return True
            self.model.restore(None, now_ns, 0)
            return False
        state, moment = saved
        self.model.restore(state, now_ns, elapsed_ns(moment, self._moment()))
        return True

    def save(self) -> None:
        """Replaces the file atomically. Raises `OSError`."""
        state = msgspec.Raw(msgspec.json.encode(self.model.state(self._clock_ns())))
        body = msgspec.json.encode(_Saved(moment=self._moment(), state=state))
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(b"%08x" % zlib.crc32(body) + body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        self.saves += 1

    async def run(self) -> None:
        """Saves every second until cancelled, and once more then. A disk that fails is counted, not fatal."""
        try:
            while True:
                await asyncio.sleep(SAVE_EVERY_S)
                await asyncio.to_thread(self._try_save)
        finally:
            self._try_save()

    def _try_save(self) -> None:
        try:
            self.save()
        except OSError as error:
            self.failures += 1
            log.warning("limiter_state_not_saved", path=str(self.path), reason=error.strerror)
