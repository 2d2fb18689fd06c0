"""Nonces only grow: over crashes at every step, threads, kills, clock jumps, damaged files (trading T3)."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.readiness.probes import nonce_child
from tradewind.venues.transport import durable
from tradewind.venues.transport.lease import KeyLock
from tradewind.venues.transport.nonce import (
    SECOND_NS,
    Mark,
    NonceAllocator,
    NonceClock,
    NonceError,
    NonceForked,
    NonceStateLost,
    NonceStorageFailed,
    NonceUnit,
    NonceUnitMismatch,
    migrate_unit,
    read_mark,
    reseed,
    write_mark,
)

START_NS = 1_800_000_000 * SECOND_NS
HOUR_NS = 3_600 * SECOND_NS
CHILD = ("-m", nonce_child.__name__)
US = NonceUnit.US


class World:
    """A wall clock that can be set and a steady one that cannot."""

    def __init__(self) -> None:
        self.steady_ns, self.wall_ns = 0, START_NS

    def clock(self) -> NonceClock:
        return NonceClock(wall_ns=lambda: self.wall_ns, steady_ns=lambda: self.steady_ns)

    def pass_ns(self, span_ns: int) -> None:
        self.steady_ns += span_ns
        self.wall_ns += span_ns


class Crash(BaseException):
    """The power went away."""


class Disk:
    """Fails, or loses the power, at a chosen durable operation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.countdown: int | None = None
        for name in ("write", "fsync"):
            honest = getattr(os, name)

            def step(*arguments: object, _honest: object = honest) -> object:
                self.step()
                return _honest(*arguments)  # type: ignore[operator]  # one of two functions of os

            monkeypatch.setattr(durable.os, name, step)
        replace = Path.replace

        def moved(path: Path, target: Path) -> Path:
            self.step()
            return replace(path, target)

        monkeypatch.setattr(durable.Path, "replace", moved)

    def step(self) -> None:
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                raise Crash


INCARNATIONS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 12 * SECOND_NS), max_size=6),
        st.sampled_from([-HOUR_NS, -SECOND_NS, 0, 0, SECOND_NS, HOUR_NS]),
        st.one_of(st.none(), st.integers(0, 12)),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=int(os.environ.get("TRADEWIND_NONCE_CASES", "100")), deadline=None)
@given(incarnations=INCARNATIONS)
def test_nonces_grow_over_crashes_at_any_step_restarts_and_clock_jumps(
    incarnations: list[tuple[list[int], int, int | None, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, world, sent = tmp_path_factory.mktemp("nonce") / "key.nonce", World(), list[int]()
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch)
        for waits, jump_ns, crash_at, clean in incarnations:
            disk.countdown = crash_at
            try:
                nonces = NonceAllocator.open(
                    path, US, used=path.exists(), clock=world.clock(), background=False
                )
                for number, wait_ns in enumerate(waits):
                    world.pass_ns(wait_ns)
                    if number == len(waits) // 2:
                        world.wall_ns += jump_ns
                    for _ in range(3):
                        nonce = nonces.next()
                        mark = read_mark(path)
                        assert mark is not None and nonce <= mark.high_water, "covered before it is sent"
                        assert not sent or nonce > sent[-1]
                        assert len(str(nonce)) == US.digits
                        sent.append(nonce)
                if clean:
                    nonces.close()
            except Crash:
                pass
            world.pass_ns(SECOND_NS // 100)


def kill_after(folder: Path, lines: int, offset_s: int, threads: int = 3) -> list[int]:
    """Nonces of a child that was killed with SIGKILL after so many lines."""
    arguments = [sys.executable, *CHILD, str(folder), str(threads), str(offset_s)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        found = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        found += child.stdout.readlines()
    rows = [line.split() for line in found if line.endswith("\n")]
    assert all(covered == "1" for _, covered, _ in rows), "nothing left above the mark on the disk"
    return [int(nonce) for nonce, _, _ in rows]


def test_processes_killed_at_random_points_never_repeat_or_go_back(tmp_path: Path) -> None:
    chance, sent = random.Random(3), list[int]()
    for offset_s in (0, -3_600, -1, 1, 3_600, 0):
        sent += kill_after(tmp_path, chance.randint(1, 400), offset_s)
    assert len(sent) > 500
    assert all(later > earlier for earlier, later in itertools.pairwise(sent))


def test_a_second_process_leaves_with_75_and_names_the_holder_and_the_first_goes_on(tmp_path: Path) -> None:
    arguments = [sys.executable, *CHILD, str(tmp_path), "1", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline()
        second = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=30)
        assert second.returncode == 75
        assert f"in use by process {first.pid} on {os.uname().nodename}" in second.stdout
        assert float(second.stdout.split()[-1]) < 1
        assert first.poll() is None and first.stdout.readline()
        first.kill()


def test_threads_get_different_nonces_and_each_sees_its_own_grow(tmp_path: Path) -> None:
    nonces = NonceAllocator.open(tmp_path / "key.nonce", US, used=False)
    found: list[list[int]] = [[] for _ in range(8)]

    def take(mine: list[int]) -> None:
        for _ in range(2_000):
            mine.append(nonces.next())

    threads = [threading.Thread(target=take, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    nonces.close()
    assert all(mine == sorted(mine) for mine in found)
    assert len({nonce for mine in found for nonce in mine}) == 16_000
    mark = read_mark(tmp_path / "key.nonce")
    assert mark is not None and mark.high_water == nonces.last, "after a clean stop nothing is skipped"
    with pytest.raises(NonceError, match="closed"):
        nonces.next()


def test_two_keys_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """The disk of one key hangs; the other one goes on."""
    slow, fast = (
        NonceAllocator.open(tmp_path / name, US, used=False, background=False) for name in ("a", "b")
    )
    with slow._file_lock:
        assert fast.next() < fast.next()
        fast.refill()
    slow.close()
    fast.close()


def test_a_jump_of_the_wall_clock_is_ignored_told_and_over_when_it_is_back() -> None:
    world = World()
    clock = world.clock()
    for jump_ns in (HOUR_NS, -HOUR_NS):
        before_ns = clock()
        world.wall_ns += jump_ns
        world.pass_ns(2 * SECOND_NS)
        assert clock() - before_ns == 2 * SECOND_NS
        assert clock.stepped and abs(clock.skew_ns) == HOUR_NS
        world.wall_ns -= jump_ns
        assert clock.resync() == 0 and not clock.stepped
    assert clock.steps == 2
    world.wall_ns += 30 * SECOND_NS
    assert clock.resync() == 0 and clock() == world.wall_ns, "small corrections forward are followed"
    world.wall_ns -= 30 * SECOND_NS
    assert clock.resync() == -30 * SECOND_NS and clock() > world.wall_ns, "never backward"


def test_after_a_crash_counting_goes_on_at_the_mark_and_restarts_do_not_run_away(tmp_path: Path) -> None:
    path, world = tmp_path / "key.nonce", World()
    first = NonceAllocator.open(path, US, used=False, clock=world.clock(), background=False)
    high_water = first.high_water
    assert high_water - first.next() == 10 * US.per_s - 1
    for restart in range(20):
        again = NonceAllocator.open(path, US, used=True, clock=world.clock(), background=False)
        assert again.next() == high_water + 1
        high_water = again.high_water
        assert again.ahead_s <= 10 + restart + 1
    world.pass_ns(60 * SECOND_NS)
    assert again.ahead_s == 0


def test_the_reserve_is_refilled_before_it_is_used_up(tmp_path: Path) -> None:
    nonces = NonceAllocator.open(tmp_path / "key.nonce", US, used=False)
    nonces.skip_ahead(8)
    deadline_s = time.monotonic() + 10
    while nonces.refills < 2 and time.monotonic() < deadline_s:
        nonces.next()
    assert nonces.refills >= 2 and nonces.sync_refills == 0
    nonces.close()


def test_a_lost_or_damaged_mark_of_a_used_key_stops_it_until_it_is_reseeded(tmp_path: Path) -> None:
    path, world = tmp_path / "key.nonce", World()
    with pytest.raises(NonceStateLost, match="missing"):
        NonceAllocator.open(path, US, used=True)
    write_mark(path, Mark(unit=US, high_water=START_NS // 1_000, epoch=3))
    whole = path.read_bytes()
    for place in range(len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises((NonceStateLost, NonceUnitMismatch)):
            NonceAllocator.open(path, US, used=False)
    for ahead_s in (59, 3_601):
        with pytest.raises(ValueError, match="between"):
            reseed(path, US, ahead_s)
    mark = reseed(path, US, 60, world.clock())
    assert mark.high_water == START_NS // 1_000 + 60_000_000
    nonces = NonceAllocator.open(path, US, used=True, clock=world.clock(), background=False)
    assert nonces.next() == mark.high_water + 1
    write_mark(path, Mark(unit=US, high_water=mark.high_water + HOUR_NS, epoch=3))
    assert reseed(path, US, 60, world.clock()).high_water == mark.high_water + HOUR_NS, "never lower"


def test_the_unit_changes_upward_once_and_in_no_other_way(tmp_path: Path) -> None:
    path, world = tmp_path / "key.nonce", World()
    nonces = NonceAllocator.open(path, US, used=False, clock=world.clock(), background=False)
    last = nonces.next()
    nonces.close()
    with pytest.raises(NonceUnitMismatch):
        NonceAllocator.open(path, NonceUnit.NS, used=True)
    assert migrate_unit(path).high_water == (last + 1) * 1_000
    after = NonceAllocator.open(path, NonceUnit.NS, used=True, clock=world.clock(), background=False)
    assert after.next() > last * 1_000 and len(str(after.next())) == 19
    after.close()
    with pytest.raises(NonceUnitMismatch):
        migrate_unit(path)
    with pytest.raises(NonceUnitMismatch):
        NonceAllocator.open(path, US, used=True)
    with pytest.raises(NonceStateLost):
        migrate_unit(tmp_path / "other.nonce")
    write_mark(path, Mark(unit=US, high_water=10**18, epoch=0))
    with pytest.raises(NonceUnitMismatch, match="19 digits"):
        read_mark(path)


def test_a_failed_write_ends_the_nonces_at_the_mark_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, world = tmp_path / "key.nonce", World()
    nonces = NonceAllocator.open(path, US, used=False, clock=world.clock(), background=False)

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "fsync", fails)
        assert nonces.next() <= nonces.high_water
        world.pass_ns(11 * SECOND_NS)
        with pytest.raises(NonceStorageFailed, match="Input/output"):
            nonces.next()
    with pytest.raises(NonceStorageFailed, match="before"):
        nonces.next()
    assert reseed_fails(path, monkeypatch)


def reseed_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(durable.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(NonceStorageFailed):
        reseed(path, US, 60)
    return True


def test_an_epoch_only_grows_and_is_on_the_disk_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "key.nonce"
    nonces = NonceAllocator.open(path, US, used=False, background=False)
    assert [nonces.see_epoch(epoch) for epoch in (3, 2, 3, 7)] == [True, False, True, True]
    assert json.loads(path.read_bytes())["epoch"] == 7
    again = NonceAllocator.open(path, US, used=True, background=False)
    assert not again.see_epoch(6) and again.epoch == 7


def test_a_forked_child_gets_no_nonces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nonces = NonceAllocator.open(tmp_path / "key.nonce", US, used=False, background=False)
    monkeypatch.setattr("tradewind.venues.transport.nonce.os.getpid", lambda: -1)
    with pytest.raises(NonceForked):
        nonces.next()


def test_a_lock_whose_file_was_replaced_is_no_longer_held(tmp_path: Path) -> None:
    lock = KeyLock(tmp_path, "key")
    assert lock.held
    lock.path.unlink()
    assert not lock.held
    other = KeyLock(tmp_path, "key")
    assert other.held and not lock.held
    lock.release()
    other.release()
    assert not other.held


def test_the_background_gives_up_with_the_disk_and_an_orderly_stop_survives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonces = NonceAllocator.open(tmp_path / "key.nonce", US, used=False)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tradewind.venues.transport.nonce.write_mark", full)
        nonces._wake.set()
        nonces._refiller.join(10)
        assert not nonces._refiller.is_alive() and nonces._failed
        assert nonces.next() <= nonces.high_water, "what was reserved before is still good"
        nonces.close()
    nonces.close()
    nonces.refill()
    healthy = NonceAllocator.open(tmp_path / "other.nonce", US, used=False, background=False)
    monkeypatch.setattr("tradewind.venues.transport.nonce.write_mark", full)
    healthy.close()
    with pytest.raises(NonceStorageFailed):
        migrate_unit_of(tmp_path / "other.nonce")


def migrate_unit_of(path: Path) -> None:
    migrate_unit(path)
