"""The connection in use is only given up for one that is live, and a failed rotation changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tradewind.venues.transport.rotation import Rotation, RotationPolicy


class Socket:
    epoch = 1


class Link:
    """A link whose life the test decides."""

    name = "test"

    def __init__(self, comes_up: bool, log: list[str], number: int) -> None:
        self.live = False
        self.socket = Socket()
        self._comes_up, self._log, self._number = comes_up, log, number

    def start(self) -> None:
        self._log.append(f"start {self._number}")
        self.live = self._comes_up

    async def wait_live(self, timeout_s: float) -> bool:
        await asyncio.sleep(0)
        return self.live

    async def close(self) -> None:
        self._log.append(f"close {self._number}")
        self.live = False


class Stream:
    def __init__(self, link: Any) -> None:
        self.link = link


def rotation(up: list[bool], policy: RotationPolicy) -> tuple[Rotation[Any], list[str]]:
    log: list[str] = []
    numbers = iter(range(100))

    def make() -> Stream:
        number = next(numbers)
        return Stream(Link(up[number] if number < len(up) else True, log, number))

    return Rotation(make, policy, uniform=lambda low, high: 0.0), log


async def until(condition: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.001)


async def test_the_old_connection_is_closed_behind_the_start_of_the_new_one() -> None:
    one, log = rotation([True, True], RotationPolicy())
    one.start()
    assert one.live
    one.rotate("test")
    await until(lambda: one.rotations == 1)
    await until(lambda: len(log) == 3)
    assert log == ["start 0", "start 1", "close 0"]
    assert one.live
    await one.close()
    assert log[-1] == "close 1"


async def test_a_new_connection_that_never_lives_is_dropped_and_tried_again() -> None:
    one, log = rotation([True, False, False, True], RotationPolicy(retry_s=0.001, live_within_s=1))
    one.start()
    first = one.current
    one.rotate("test")
    await until(lambda: one.failed_rotations == 2 or one.rotations == 1)
    await until(lambda: one.rotations == 1)
    await until(lambda: log[-1] == "close 0")
    assert one.failed_rotations == 2
    assert log == ["start 0", "start 1", "close 1", "start 2", "close 2", "start 3", "close 0"]
    assert one.current is not first
    await one.close()


async def test_a_connection_is_replaced_by_age_and_a_reconnect_makes_it_young() -> None:
    one, _ = rotation([], RotationPolicy(after_s=0.0, jitter_s=0.0))
    one.start()
    await until(lambda: one.rotations >= 1)
    await one.close()
    assert not one.live
