"""Statistics of the checklist. Floats are allowed here: nothing of this is money.

Slopes: ordinary least squares with Newey-West standard errors (Bartlett kernel), because samples a minute
apart are autocorrelated and plain errors would be far too small. Proportions: Wilson's score interval. Both
need more than a few samples and say so instead of guessing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

Z_95: Final = 1.959963984540054
"""Two-sided 95 % point of the standard normal distribution."""
MIN_SLOPE_SAMPLES: Final = 30
SLOPE_METHOD: Final = "least squares, Newey-West errors (Bartlett kernel, lag max(4(n/100)^(2/9), n^(1/3)))"


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate with its 95 % interval and the number of samples it rests on."""

    estimate: float
    low: float
    high: float
    samples: int


def slope(times: Sequence[float], values: Sequence[float]) -> Interval | None:
    """Slope of values over times; None for fewer than 30 samples or times that do not differ."""
    count = len(times)
    if count < MIN_SLOPE_SAMPLES or count != len(values):
        return None
    mean_t, mean_v = math.fsum(times) / count, math.fsum(values) / count
    deviations = [one - mean_t for one in times]
    spread = math.fsum(one * one for one in deviations)
    if spread <= 0:
        return None
    estimate = math.fsum(d * (v - mean_v) for d, v in zip(deviations, values, strict=True)) / spread
    scores = [
        d * (v - mean_v - estimate * d) for d, v in zip(deviations, values, strict=True)
    ]  # fmt: skip
    variance = _long_run(scores, lag_of(count)) / (spread * spread)
    # The small-sample factor of least squares: two parameters were estimated.
    half = Z_95 * math.sqrt(max(0.0, variance) * count / (count - 2))
    return Interval(estimate=estimate, low=estimate - half, high=estimate + half, samples=count)


def lag_of(count: int) -> int:
    """Lags that the kernel covers."""
    return max(int(4 * math.pow(count / 100, 2 / 9)), round(math.pow(count, 1 / 3)))


def _long_run(scores: Sequence[float], lags: int) -> float:
    total = math.fsum(one * one for one in scores)
    for lag in range(1, min(lags, len(scores) - 1) + 1):
        weight = 1 - lag / (lags + 1)
        total += 2 * weight * math.fsum(scores[i] * scores[i - lag] for i in range(lag, len(scores)))
    return total


def wilson(successes: int, total: int) -> Interval | None:
    """Wilson's 95 % interval of a proportion; None without a trial."""
    if total <= 0:
        return None
    share, z2 = successes / total, Z_95 * Z_95
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return Interval(estimate=share, low=low, high=high, samples=total)


def mean(values: Sequence[float]) -> Interval | None:
    """Mean with a normal 95 % interval; None for fewer than two values."""
    count = len(values)
    if count < 2:
        return None
    middle = math.fsum(values) / count
    half = Z_95 * math.sqrt(math.fsum((one - middle) ** 2 for one in values) / (count - 1) / count)
    return Interval(estimate=middle, low=middle - half, high=middle + half, samples=count)


def probabilistic_sharpe(values: Sequence[float]) -> float | None:
    """Probability that the true Sharpe ratio of these returns is above 0 (Bailey and Lopez de Prado, 2012).

    None for fewer than three values or no variation.
    """
    count = len(values)
    if count < 3:
        return None
    middle = math.fsum(values) / count
    moments = [math.fsum((one - middle) ** power for one in values) / count for power in (2, 3, 4)]
    # Rounding leaves a little variance in equal values.
    if moments[0] <= 1e-24 * max(1.0, middle * middle):
        return None
    ratio = middle / math.sqrt(moments[0] * count / (count - 1))
    skew, kurtosis = moments[1] / moments[0] ** 1.5, moments[2] / moments[0] ** 2
    under = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio * ratio
    if under <= 0:
        return None
    return 0.5 * math.erfc(-ratio * math.sqrt(count - 1) / math.sqrt(under) / math.sqrt(2))


def median(values: Sequence[float]) -> float:
    """The middle value. Raises `ValueError` without values."""
    if not values:
        raise ValueError("no value has no median")
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def robust_deviation(values: Sequence[float]) -> float:
    """Median absolute deviation, scaled to a normal distribution's standard deviation."""
    middle = median(values)
    return 1.482602218505602 * median([abs(one - middle) for one in values])


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest-rank percentile, None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


class Histogram(msgspec.Struct):
    """Counts in buckets that grow by a fixed ratio: a percentile is right within 5 %, the mean exactly."""

    counts: dict[int, int] = {}
    total: float = 0.0
    samples: int = 0

    def observe(self, value_ms: float) -> None:
        """One value of at least 0; beyond 1e7 ms counts as 1e7."""
        bounded = min(max(value_ms, 0.0), 1e7)
        ratio = bounded / BUCKET_FLOOR_MS
        bucket = 0 if ratio <= 1 else 1 + int(math.log(ratio) / BUCKET_LOG)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.total += bounded
        self.samples += 1

    def add(self, other: Histogram) -> None:
        """Take over everything of another one."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.total += other.total
        self.samples += other.samples

    @property
    def mean(self) -> float | None:
        """None without samples."""
        return self.total / self.samples if self.samples else None

    def quantile(self, share: float) -> float | None:
        """Upper edge of the bucket that holds this share of the samples; None without samples."""
        need, seen = share * self.samples, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= need:
                return float(BUCKET_FLOOR_MS * math.exp(bucket * BUCKET_LOG))
        return None


BUCKET_FLOOR_MS: Final = 0.001
BUCKET_LOG: Final = math.log(1.05)
