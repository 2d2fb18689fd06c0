"""When to try again: exponential backoff with full jitter, and the attempt budget (T6.2)."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import msgspec


class BackoffPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Delay before attempt n (from 0): uniform(0, min(ceiling_s, base_s * 2^n))."""

    base_s: float = 0.5
    ceiling_s: float = 30.0
    reset_after_s: float = 60.0
    max_attempts: int = 60
    attempt_window_s: float = 300.0


class Backoff:
    """Counts attempts of one connection or one symbol. Times are monotonic seconds given by the caller."""

    def __init__(self, policy: BackoffPolicy, uniform: Callable[[float, float], float] | None = None) -> None:
        self.policy = policy
        self.failures = 0
        self._uniform = uniform or random.SystemRandom().uniform
        self._attempts: deque[float] = deque(maxlen=policy.max_attempts)
        self._healthy_since_s: float | None = None

    def ceiling_s(self) -> float:
        """Upper end of the next delay."""
        # 2^30 s is far beyond any ceiling; the bound keeps the power finite after endless failures
        return float(min(self.policy.ceiling_s, self.policy.base_s * 2.0 ** min(self.failures, 30)))

    def next_delay_s(self, now_s: float) -> float:
        """Delay before the next attempt, which is counted as made. Waits out an exhausted attempt budget."""
        delay_s = self._uniform(0.0, self.ceiling_s())
        self.failures += 1
        self._healthy_since_s = None
        if len(self._attempts) == self.policy.max_attempts:
            free_at_s = self._attempts[0] + self.policy.attempt_window_s
            delay_s = max(delay_s, free_at_s - now_s)
        self._attempts.append(now_s + delay_s)
        return delay_s

    @property
    def budget_left(self) -> int:
        """Attempts that can be made without waiting for the window."""
        return self.policy.max_attempts - len(self._attempts)

    def healthy(self, now_s: float) -> None:
        """Call while the connection works; after `reset_after_s` of that, the count starts again from 0."""
        if self._healthy_since_s is None:
            self._healthy_since_s = now_s
        elif now_s - self._healthy_since_s >= self.policy.reset_after_s:
            self.failures = 0

    def unhealthy(self) -> None:
        """The connection was lost: the healthy time starts again."""
        self._healthy_since_s = None
