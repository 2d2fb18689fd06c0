"""What the watchdog did, in lines that hang together by hash, and what it has to know after a restart."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from tradewind.trader.heartbeat import boot_now_ns
from tradewind.venues.transport import durable

from .disk import Disk

log = structlog.get_logger("tradewind.watchdog.diary")
MAX_BYTES: Final = 16 << 20
"""Of one file; then it is put aside under the time, and a new one goes on from its last hash."""
MAX_STATE_BYTES: Final = 1 << 20
TAIL_BYTES: Final = 64 << 10
FIRST: Final = "0" * 32


class Memory(msgspec.Struct, kw_only=True):
    """What a restarted watchdog has to know."""

    incident: str = ""
    """The one that has not ended; "" none."""
    cause: str = ""
    verified: bool = False
    """The venue has shown since that nothing is left."""
    protective: tuple[str, ...] | None = None
    """As the last beat named them; None: no beat was ever seen."""
    symbols: tuple[str, ...] = ()


class Diary:
    """The journal and the memory below one folder. A disk that fails or hangs never keeps the watchdog from
    acting: lines are handed to a thread, in their order.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        """Raises `OSError` when the folder cannot be made."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._disk = disk
        self.path, self._state = folder / "journal.jsonl", folder / "memory.json"
        self._last = self._last_hash()
        self.memory = self._recall()
        broken = broken_line(self.path) if self.path.exists() else None
        if broken is not None:
            self.write("journal_broken", line=broken)  # written on, and said: nothing is repaired here

    def write(self, act: str, **facts: Any) -> None:
        """One line."""
        line = {"act": act, "time_ns": time.time_ns(), "boot_ns": boot_now_ns(), **facts, "after": self._last}
        body = msgspec.json.encode(line)
        log.warning("watchdog", act=act, **facts)
        self._last = _hash(body)
        self._disk.do(lambda: self._append(body))

    def _append(self, body: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size + len(body) > MAX_BYTES:
            self.path.rename(self.path.with_name(f"journal-{time.time_ns()}.jsonl"))
        durable.append(self.path, body + b"\n")

    def keep(self) -> None:
        """Makes the memory as it is now durable."""
        body = msgspec.json.encode(self.memory)
        self._disk.do(lambda: durable.replace(self._state, body))

    def _recall(self) -> Memory:
        try:
            with self._state.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_STATE_BYTES), type=Memory)
        except FileNotFoundError:
            return Memory()
        except (OSError, msgspec.DecodeError) as error:
            log.error("memory_lost", reason=type(error).__name__)
            return Memory()

    def _last_hash(self) -> str:
        try:
            with self.path.open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - TAIL_BYTES))
                lines = file.read().splitlines()
        except OSError:
            return FIRST
        return _hash(lines[-1]) if lines else FIRST


def _hash(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def broken_line(path: Path) -> int | None:
    """The first line of a journal that does not follow the one before it, from 1; None: it is whole."""
    last: str | None = None
    for number, body in enumerate(path.read_bytes().splitlines(), 1):
        try:
            after = msgspec.json.decode(body)["after"]
        except (msgspec.DecodeError, KeyError, TypeError):
            return number
        if last is not None and after != last:
            return number
        last = _hash(body)
    return None
