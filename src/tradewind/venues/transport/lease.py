"""Who may use a key: a lock for the life of the process, and the lease with its epochs (T1.1, T3.7)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from tradewind.venues.transport import durable
from tradewind.venues.transport.nonce import SECOND_NS, boot_ns

log = structlog.get_logger("tradewind.venues.lease")
EXIT_STATUS: Final = 75
TIME_TO_LIVE_NS: Final = 5 * SECOND_NS
RENEW_EVERY_S: Final = 1.0
STOP_SIGNING_NS: Final = 4 * SECOND_NS
MAX_HOLDER_BYTES: Final = 512
MAX_LEASE_BYTES: Final = 4_096
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds something."""

    pid: int
    host: str


class KeyBusy(Exception):
    """Another process has the key. `status` is the exit status for it."""

    code = "KeyBusy"
    status = EXIT_STATUS

    def __init__(self, fingerprint: str, holder: Holder | None) -> None:
        who = "unknown" if holder is None else f"{holder.pid} on {holder.host}"
        super().__init__(f"key {fingerprint} is in use by process {who}")
        self.holder = holder


class KeyLock:
    """Holds `<fingerprint>.lock` while it is open; the operating system gives it back with the process."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Raises `KeyBusy` at once, without waiting; `OSError` when the folder cannot be written."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f"{fingerprint}.lock"
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _read_holder(self._handle)
            os.close(self._handle)
            self._handle = -1
            raise KeyBusy(fingerprint, holder) from error
        holder = Holder(pid=os.getpid(), host=socket.gethostname())
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, msgspec.json.encode(holder), 0)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock, on the file that others would open."""
        if self._handle < 0:
            return False
        try:
            mine, there = os.fstat(self._handle), self.path.stat()
        except OSError:
            return False
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def release(self) -> None:
        """Lets another process have the key; the file stays."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _read_holder(handle: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(handle, MAX_HOLDER_BYTES, 0), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None


def holder_of(folder: Path, fingerprint: str) -> Holder | None:
    """Who holds a key's lock now; None when nobody does (or has not yet said so)."""
    try:
        handle = os.open(folder / f"{fingerprint}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(handle)
    finally:
        os.close(handle)
    return None


class LeaseHeld(Exception):
    """Another core trades this account."""

    code = "LeaseHeld"
    status = EXIT_STATUS

    def __init__(self, holder: Holder, epoch: int) -> None:
        super().__init__(f"process {holder.pid} on {holder.host} trades this account (epoch {epoch})")
        self.holder, self.epoch = holder, epoch


class LeaseLost(Exception):
    """The lease ran out or was taken: nothing may be signed until a new one is acquired and reconciled."""

    code = "LeaseLost"


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    epoch: int
    token: str
    holder: Holder
    boot_id: str
    renewed_ns: int
    """On the boot clock; -1: released."""


class TradingLease:
    """The right to sign for one account, from one core at a time. `epoch` grows with every acquisition."""

    def __init__(
        self, path: Path, record: _Record, clocks: tuple[Callable[[], int], Callable[[], int]]
    ) -> None:
        self.path, self.epoch = path, record.epoch
        self._record = record
        self._boot_ns, self._wall_ns = clocks
        self._renewed_ns = record.renewed_ns
        self._renewed_wall_ns = self._wall_ns()
        self.lost = ""
        """Why it was lost, "" while it was not."""

    @classmethod
    def acquire(
        cls,
        path: Path,
        steady_ns: Callable[[], int] = boot_ns,
        wall_ns: Callable[[], int] = time.time_ns,
        boot_id: str | None = None,
    ) -> TradingLease:
        """Takes the lease of an account when nobody has it or the holder did not renew for five seconds.

        Raises:
            LeaseHeld: somebody has it. LeaseLost: the record is damaged, so that no epoch is safe.
            OSError: it cannot be made durable.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        boot_id = _boot_id() if boot_id is None else boot_id
        with _guarded(path):
            before, now_ns = _read(path), steady_ns()
            if before is not None and _alive(before, boot_id, now_ns):
                raise LeaseHeld(before.holder, before.epoch)
            record = _Record(
                epoch=1 if before is None else before.epoch + 1,
                token=secrets.token_hex(16),
                holder=Holder(pid=os.getpid(), host=socket.gethostname()),
                boot_id=boot_id,
                renewed_ns=now_ns,
            )
            durable.replace(path, msgspec.json.encode(record))
        return cls(path, record, (steady_ns, wall_ns))

    @property
    def age_ns(self) -> int:
        """Time since the last renewal, by whichever clock saw more of it pass.

        A paused machine may stop its steady clock; a wall clock that was set can only end the lease early.
        """
        return max(self._boot_ns() - self._renewed_ns, self._wall_ns() - self._renewed_wall_ns)

    @property
    def may_sign(self) -> bool:
        """Whether bytes may leave now: four seconds after the last renewal they may not."""
        return not self.lost and self.age_ns < STOP_SIGNING_NS

    def renew(self) -> None:
        """Keeps the lease.

        Raises:
            LeaseLost: it ran out before, or another core has it. It stays lost.
        """
        if self.lost:
            raise LeaseLost(self.lost)
        now_ns, wall_ns = self._boot_ns(), self._wall_ns()
        if self.age_ns >= TIME_TO_LIVE_NS:
            self._lose("it was not renewed in time")
        with _guarded(self.path):
            present = _read(self.path)
            if present is None or present.token != self._record.token:
                self._lose("another core has it")
            self._record = msgspec.structs.replace(self._record, renewed_ns=now_ns)
            # Not synced: a renewal means nothing after a power cut, and the epoch is on the disk already.
            draft = self.path.with_name(self.path.name + ".renewed")
            draft.write_bytes(msgspec.json.encode(self._record))
            draft.replace(self.path)
        self._renewed_ns, self._renewed_wall_ns = now_ns, wall_ns

    def _lose(self, reason: str) -> None:
        self.lost = reason
        log.critical("LeaseLost", reason=reason, epoch=self.epoch)
        raise LeaseLost(reason)

    def release(self) -> None:
        """Gives it back, so that a successor need not wait. Harmless when it was lost."""
        if self.lost:
            return
        self.lost = "it was released"
        with _guarded(self.path):
            present = _read(self.path)
            if present is not None and present.token == self._record.token:
                durable.replace(
                    self.path, msgspec.json.encode(msgspec.structs.replace(present, renewed_ns=-1))
                )

    async def keep(self) -> None:
        """Renews every second until the lease is lost (returns) or the task is cancelled."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                await asyncio.to_thread(self.renew)
            except LeaseLost:
                return
            except OSError as error:
                # The next try may succeed; if none does, signing stops after four seconds.
                log.error("lease_not_renewed", reason=error.strerror)


def _alive(record: _Record, boot_id: str, now_ns: int) -> bool:
    if record.renewed_ns < 0 or record.boot_id != boot_id:
        return False
    # Its holder stops a second before; a clock that went back does not end a lease.
    return now_ns - record.renewed_ns < TIME_TO_LIVE_NS


def _read(path: Path) -> _Record | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_LEASE_BYTES), type=_Record)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise LeaseLost(f"{path.name} is damaged") from error


@contextlib.contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """One process at a time looks and writes."""
    handle = os.open(path.with_name(path.name + ".guard"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
