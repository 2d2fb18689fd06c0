"""Seeded latency of a paper venue (T15.3): log-normal entry, cancel and report delays.

Latency is a statistic, not money: floats are allowed here, the result is whole nanoseconds.
"""

from __future__ import annotations

import math
import random
from typing import Literal

import msgspec

Path = Literal["entry", "cancel", "report"]
Z_99 = 2.3263478740408408
"""The 99 % point of the standard normal distribution."""
MAX_LATENCY_NS = 10_000_000_000


class LatencyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Median and 99th percentile of each one-way delay, in milliseconds; zero median switches the
    delay off.
    """

    entry_median_ms: float = 40.0
    entry_p99_ms: float = 250.0
    cancel_median_ms: float = 40.0
    cancel_p99_ms: float = 250.0
    report_median_ms: float = 40.0
    report_p99_ms: float = 250.0
    seed: int = 1

    @classmethod
    def off(cls) -> LatencyConfig:
        """No delay at all: tests of rules which are not about time."""
        zero = 0.0
        return cls(
            entry_median_ms=zero,
            entry_p99_ms=zero,
            cancel_median_ms=zero,
            cancel_p99_ms=zero,
            report_median_ms=zero,
            report_p99_ms=zero,
        )


class LatencyModel:
    """Draws delays; the same seed gives the same sequence.

    Raises `ValueError` for a 99th percentile below its median, or a delay above ten seconds.
    """

    def __init__(self, config: LatencyConfig) -> None:
        self.config = config
        self._random = random.Random(config.seed)  # noqa: S311 - a simulation, not a secret
        self._parameters: dict[str, tuple[float, float]] = {}
        for path in ("entry", "cancel", "report"):
            median_ms = getattr(config, f"{path}_median_ms")
            p99_ms = getattr(config, f"{path}_p99_ms")
            if not 0 <= median_ms <= p99_ms or p99_ms * 1e6 > MAX_LATENCY_NS:
                raise ValueError(
                    f"{path} latency: need 0 <= median <= p99 <= 10 s, got {median_ms} and {p99_ms} ms"
                )
            if median_ms:
                self._parameters[path] = (math.log(median_ms * 1e6), math.log(p99_ms / median_ms) / Z_99)

    def draw_ns(self, path: Path) -> int:
        """One delay in nanoseconds."""
        if path not in self._parameters:
            return 0
        mean, deviation = self._parameters[path]
        return min(MAX_LATENCY_NS, round(math.exp(self._random.gauss(mean, deviation))))
