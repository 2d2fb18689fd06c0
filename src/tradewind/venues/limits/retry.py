"""When a read may be tried again (trading T4.10). Submits, amends and cancels are never repeated here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")
_uniform = random.SystemRandom().uniform


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Full jitter: uniform(0, min(ceiling_s, base_s * 2^n)), within a deadline for all attempts together."""

    max_retries: int = 3
    base_s: float = 0.25
    ceiling_s: float = 8.0
    deadline_s: float = 10.0

    def next_delay_s(
        self,
        retries: int,
        elapsed_s: float,
        retry_after_s: float | None = None,
        uniform: Callable[[float, float], float] = _uniform,
    ) -> float | None:
        """Seconds before the next attempt after `retries` of them; None: no further one.

        A Retry-After that ends after the deadline ends the attempts: it is never shortened.
        """
        if retries >= self.max_retries:
            return None
        delay_s = uniform(0.0, min(self.ceiling_s, self.base_s * 2.0**retries))
        delay_s = max(delay_s, retry_after_s or 0.0)
        return delay_s if elapsed_s + delay_s < self.deadline_s else None


READS = RetryPolicy()


async def read_again(
    attempt: Callable[[], Awaitable[T]],
    again: Callable[[T], float | None],
    policy: RetryPolicy = READS,
) -> T:
    """The first answer for which `again` is None, else the last one. Only for reads.

    `again(answer)` gives the seconds that the venue asked for (0 when it named none) if the answer is a
    passing fault, and None when it stands.
    """
    begin_s = time.monotonic()
    retries = 0
    while True:
        answer = await attempt()
        asked_s = again(answer)
        if asked_s is None:
            return answer
        delay_s = policy.next_delay_s(retries, time.monotonic() - begin_s, asked_s)
        if delay_s is None:
            return answer
        retries += 1
        await asyncio.sleep(delay_s)
