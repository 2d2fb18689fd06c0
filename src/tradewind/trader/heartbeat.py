"""The sign of life of a trading core, in a file that the watchdog reads (T8.3).

A beat is written by the core's own event loop: a process that is dead, stopped or stuck writes none. It tells
how long ago order control and private events were proven, which orders protect positions, and where the
account trades, so that the watchdog needs nothing else from the core.

    heartbeat = Heartbeat(path, venue="kraken", account="main", channels=lambda: Channels(...))
    task = asyncio.create_task(heartbeat.run())      # at the end: task.cancel(), await heartbeat.stopped()
"""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from tradewind.venues.limits.store import this_moment
from tradewind.venues.transport import durable

log = structlog.get_logger("tradewind.trader.heartbeat")
VERSION: Final = 1
BEAT_EVERY_S: Final = 1.0
MAX_BEAT_BYTES: Final = 256 << 10
MAX_PROTECTIVE: Final = 1_000
MAX_SYMBOLS: Final = 1_000
CRC_BYTES: Final = 8
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
FUTURE_NS: Final = 2_000_000_000
"""A beat may be so far ahead of the reader's clock; both read the same boot clock of one machine."""
LOG_EVERY: Final = 60


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """Ages of the last proofs, in ns; None: the core does not measure this one."""

    control_age_ns: int | None = None
    events_age_ns: int | None = None


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One sign of life. Times are of the machine's boot clock in ns, which nobody can set."""

    version: int
    venue: str
    account: str
    core: str
    """Random name of one life of the core."""
    pid: int
    number: int
    boot_id: str
    at_ns: int
    control_ns: int | None = None
    """Last proof of order control."""
    events_ns: int | None = None
    """Last proof of private events."""
    stopped: bool = False
    """The core has ended in order: what still rests at the venue rests there on purpose."""
    protective: tuple[str, ...] = ()
    """Client ids of orders that protect positions."""
    symbols: tuple[str, ...] = ()
    """The venue's own names of the markets that are traded."""


class BadBeat(Exception):
    """The file holds no beat that can be believed. `reason` is one word for counters."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def boot_now_ns() -> int:
    """The boot clock, in ns: it goes on while the machine sleeps, and nobody can set it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def encode(beat: Beat) -> bytes:
    """The content of the file. Raises `ValueError` for a beat above the bound."""
    if len(beat.protective) > MAX_PROTECTIVE or len(beat.symbols) > MAX_SYMBOLS:
        raise ValueError(f"at most {MAX_PROTECTIVE} protective orders and {MAX_SYMBOLS} symbols")
    body = msgspec.json.encode(beat)
    return b"%08x" % zlib.crc32(body) + body


def read_beat(path: Path) -> Beat:
    """The beat in a file, whoever wrote it and whenever.

    Raises:
        BadBeat: missing, exposed (others write it, or another user owns it), damaged, version, unreadable.
    """
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            data = file.read(MAX_BEAT_BYTES + 1)
    except FileNotFoundError:
        raise BadBeat("missing", str(path)) from None
    except OSError as error:
        raise BadBeat("unreadable", error.strerror or type(error).__name__) from None
    if facts.st_mode & OTHERS_WRITE or facts.st_uid not in {os.geteuid(), 0}:
        raise BadBeat("exposed", f"mode {stat.S_IMODE(facts.st_mode):04o}, owner {facts.st_uid}")
    body = data[CRC_BYTES:]
    try:
        if len(data) > MAX_BEAT_BYTES or int(data[:CRC_BYTES], 16) != zlib.crc32(body):
            raise ValueError("checksum")
        beat = msgspec.json.decode(body, type=Beat)
    except (ValueError, msgspec.DecodeError) as error:
        raise BadBeat("damaged", str(error)[:100]) from None
    if beat.version != VERSION:
        raise BadBeat("version", f"{beat.version}, not {VERSION}")
    return beat


class Heartbeat:
    """Writes the beats of one core. One event loop; the disk is waited for in a thread."""

    def __init__(
        self,
        path: Path,
        *,
        venue: str,
        account: str,
        channels: Callable[[], Channels] = Channels,
        protective: Callable[[], Sequence[str]] = tuple,
        symbols: Sequence[str] = (),
        every_s: float = BEAT_EVERY_S,
    ) -> None:
        self.path, self.venue, self.account = path, venue, account
        self._channels, self._protective, self._symbols = channels, protective, tuple(symbols)
        self._every_s = every_s
        self._core = secrets.token_hex(8)
        self._boot_id = this_moment().boot_id
        self._number = 0
        self._durable: tuple[str, ...] | None = None
        self.failures = 0
        """Beats in a row that could not be written: the watchdog will take the core for dead."""

    async def run(self) -> None:
        """A beat every second until cancelled. A disk that fails is logged, and tried again."""
        while True:
            await self.beat()
            await asyncio.sleep(self._every_s)

    async def beat(self) -> None:
        """One beat now."""
        await self._write(self._next(stopped=False))

    async def stopped(self) -> None:
        """The last word of an orderly end: what rests at the venue now is left there on purpose."""
        await self._write(self._next(stopped=True))

    def _next(self, *, stopped: bool) -> Beat:
        now_ns = boot_now_ns()
        channels = self._channels()
        self._number += 1

        def since(age_ns: int | None) -> int | None:
            return None if age_ns is None else max(0, now_ns - age_ns)

        return Beat(
            version=VERSION, venue=self.venue, account=self.account, core=self._core, pid=os.getpid(),
            number=self._number, boot_id=self._boot_id, at_ns=now_ns,
            control_ns=since(channels.control_age_ns), events_ns=since(channels.events_age_ns),
            stopped=stopped, protective=tuple(self._protective()), symbols=self._symbols,
        )  # fmt: skip

    async def _write(self, beat: Beat) -> None:
        try:
            # Protective orders outlive a power cut, so their list does; a sign of life means nothing then.
            synced = beat.stopped or beat.protective != self._durable
            await asyncio.to_thread(_put, self.path, encode(beat), synced=synced)
            self._durable, self.failures = beat.protective, 0
        except (OSError, ValueError) as error:
            self.failures += 1
            if self.failures % LOG_EVERY == 1:
                log.critical("heartbeat_not_written", reason=str(error)[:200], in_a_row=self.failures)


def _put(path: Path, data: bytes, *, synced: bool) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if synced:
        durable.replace(path, data)
        return
    draft = path.with_name(path.name + ".draft")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)
    draft.replace(path)
