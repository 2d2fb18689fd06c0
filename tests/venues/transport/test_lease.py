"""One core trades an account: epochs grow, a paused holder signs nothing, a successor waits (T1.1)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tradewind.venues.transport.lease import (
    KeyBusy,
    KeyLock,
    LeaseHeld,
    LeaseLost,
    TradingLease,
    holder_of,
)
from tradewind.venues.transport.nonce import SECOND_NS

HOLDER = """
import sys
from pathlib import Path
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from tradewind.venues.transport.lease import LeaseLost, TradingLease
lease = TradingLease.acquire(Path(sys.argv[1]))
print("held", lease.epoch, flush=True)
for line in sys.stdin:
    allowed = lease.may_sign
    try:
        lease.renew()
    except LeaseLost:
        pass
    print(int(allowed), int(lease.may_sign), lease.lost or "-", flush=True)
"""


class World:
    """A boot clock and a wall clock."""

    def __init__(self) -> None:
        self.boot_ns, self.wall_ns = 10**12, 1_800_000_000 * SECOND_NS

    def acquire(self, path: Path, boot_id: str = "a") -> TradingLease:
        return TradingLease.acquire(path, lambda: self.boot_ns, lambda: self.wall_ns, boot_id)

    def pass_s(self, seconds: float) -> None:
        self.boot_ns += int(seconds * SECOND_NS)
        self.wall_ns += int(seconds * SECOND_NS)


def test_signing_ends_a_second_before_anybody_else_can_acquire(tmp_path: Path) -> None:
    world, path = World(), tmp_path / "lease"
    first = world.acquire(path)
    assert first.epoch == 1 and first.may_sign
    world.pass_s(3.999)
    assert first.may_sign
    world.pass_s(0.001)
    assert not first.may_sign
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()}"):
        world.acquire(path)
    world.pass_s(1)
    second = world.acquire(path)
    assert second.epoch == 2 and not first.may_sign and second.may_sign
    with pytest.raises(LeaseLost):
        first.renew()
    assert first.lost and second.may_sign
    first.release()
    with pytest.raises(LeaseHeld):
        world.acquire(path)


def test_renewal_keeps_it_and_after_its_end_it_is_lost_even_if_nobody_took_it(tmp_path: Path) -> None:
    world, path = World(), tmp_path / "lease"
    lease = world.acquire(path)
    for _ in range(5):
        world.pass_s(3.5)
        lease.renew()
        assert lease.may_sign
    world.pass_s(5)
    with pytest.raises(LeaseLost, match="in time"):
        lease.renew()
    assert not lease.may_sign
    with pytest.raises(LeaseLost):
        lease.renew()


def test_a_released_lease_is_free_at_once_and_its_epoch_is_not_used_again(tmp_path: Path) -> None:
    world, path = World(), tmp_path / "lease"
    first = world.acquire(path)
    first.release()
    assert not first.may_sign
    assert world.acquire(path).epoch == 2
    assert world.acquire(path, boot_id="after a reboot").epoch == 3


def test_a_wall_clock_that_jumped_can_only_end_a_lease(tmp_path: Path) -> None:
    world, path = World(), tmp_path / "lease"
    lease = world.acquire(path)
    world.wall_ns += 3_600 * SECOND_NS
    assert not lease.may_sign, "the machine may have been paused with its steady clock"
    world.wall_ns -= 7_200 * SECOND_NS
    assert lease.may_sign
    world.boot_ns += 4 * SECOND_NS
    assert not lease.may_sign


def test_a_damaged_record_gives_no_lease(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.write_bytes(b"{")
    with pytest.raises(LeaseLost, match="damaged"):
        World().acquire(path)


async def test_it_is_renewed_in_the_background_until_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    lease = TradingLease.acquire(path)
    keeping = asyncio.create_task(lease.keep())
    before = path.read_bytes()
    async with asyncio.timeout(10):
        while path.read_bytes() == before:  # noqa: ASYNC110 the file is what others see
            await asyncio.sleep(0.01)
        path.write_bytes(before.replace(b'"token":"', b'"token":"other'))
        await keeping
    assert lease.lost and not lease.may_sign


def test_a_paused_process_refuses_everything_after_its_successor_began(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    arguments = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as paused:
        assert paused.stdin is not None and paused.stdout is not None
        assert paused.stdout.readline() == "held 1\n"
        paused.send_signal(signal.SIGSTOP)
        successor: TradingLease | None = None
        while successor is None:
            with contextlib.suppress(LeaseHeld):
                successor = TradingLease.acquire(path)
            time.sleep(0.01)
        assert successor.epoch == 2
        paused.send_signal(signal.SIGCONT)
        for _ in range(2):
            paused.stdin.write("go\n")
            paused.stdin.flush()
            assert paused.stdout.readline().startswith("0 0 ")
        paused.stdin.close()
    assert not successor.lost


def test_nobody_holds_a_lock_that_does_not_exist(tmp_path: Path) -> None:
    assert holder_of(tmp_path, "none") is None


async def test_a_disk_that_fails_once_does_not_end_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = TradingLease.acquire(tmp_path / "lease", lambda: 0, lambda: 0)
    monkeypatch.setattr("tradewind.venues.transport.lease.RENEW_EVERY_S", 0.001)
    tried = 0

    def renew() -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise OSError(28, "No space left on device")
        raise LeaseLost("enough")

    monkeypatch.setattr(lease, "renew", renew)
    async with asyncio.timeout(10):
        await lease.keep()
    assert tried == 2


def test_a_holder_that_said_nothing_and_a_lock_that_is_free(tmp_path: Path) -> None:
    lock = KeyLock(tmp_path, "key")
    holder = holder_of(tmp_path, "key")
    assert holder is not None and holder.pid == os.getpid()
    lock.path.write_bytes(b"")
    with pytest.raises(KeyBusy, match="unknown") as busy:
        KeyLock(tmp_path, "key")
    assert busy.value.holder is None and busy.value.status == 75
    lock.release()
    lock.release()
    assert holder_of(tmp_path, "key") is None


def test_a_machine_without_a_boot_id_still_counts_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.venues.transport.lease.BOOT_ID", tmp_path / "none")
    first = TradingLease.acquire(tmp_path / "lease", lambda: 0, lambda: 0)
    first.release()
    first.release()
    assert TradingLease.acquire(tmp_path / "lease", lambda: 0, lambda: 0).epoch == 2
