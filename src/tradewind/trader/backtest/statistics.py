"""Statistics of trades (T14.7): Sharpe ratios and their probabilities, bootstrap, drawdown, overfitting.

Floats are allowed here: these are statistics, money stays `Decimal` elsewhere. A value that the formula does
not give is None, and whoever shows it writes `insufficient`.

Sources: PSR, DSR and minimum track record length as the clause T14.7 states them (Bailey and López de Prado,
"The Sharpe Ratio Efficient Frontier", 2012, and "The Deflated Sharpe Ratio", 2014). Probability of back-test
overfitting: Bailey, Borwein, López de Prado and Zhu, "The Probability of Backtest Overfitting", 2015
(combinatorially symmetric cross-validation).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import accumulate, combinations, pairwise
from statistics import NormalDist
from typing import Final

import msgspec

EULER_MASCHERONI: Final = 0.5772156649
NORMAL: Final = NormalDist()
Z_95: Final = NORMAL.inv_cdf(0.95)
YEAR_S: Final = 365 * 86_400
MIN_TRADES: Final = 30
"""Below this no ratio is printed (T14.7)."""
MAX_RESAMPLES: Final = 2_000
MIN_RESAMPLES: Final = 200
MAX_DRAWS: Final = 2_000_000
"""Bound of the work of one bootstrap: blocks times resamples."""
MAX_SPLITS: Final = 1_000
"""Bound of the symmetric splits of one overfitting estimate."""


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """Sample moments. `sharpe` is mean over deviation (n - 1), per period; `kurtosis` of a normal law is 3.
    `sharpe`, `skew` and `kurtosis` are None where the values do not vary.
    """

    n: int
    mean: float
    deviation: float | None
    sharpe: float | None
    skew: float | None
    kurtosis: float | None


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A mean with its block-bootstrap interval of 95 %, and how it was drawn."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    block: int
    resamples: int


def moments(values: Sequence[float]) -> Moments:
    """Moments of a sample; population skew and kurtosis, as the formulas of PSR take them."""
    n = len(values)
    mean = math.fsum(values) / n if n else 0.0
    if n < 2:
        return Moments(n=n, mean=mean, deviation=None, sharpe=None, skew=None, kurtosis=None)
    second = math.fsum((one - mean) ** 2 for one in values) / n
    scale = max(abs(one) for one in values)
    if second <= (1e-14 * scale) ** 2:
        return Moments(n=n, mean=mean, deviation=0.0, sharpe=None, skew=None, kurtosis=None)
    root = math.sqrt(second)
    deviation = root * math.sqrt(n / (n - 1))
    return Moments(
        n=n,
        mean=mean,
        deviation=deviation,
        sharpe=mean / deviation,
        skew=math.fsum(((one - mean) / root) ** 3 for one in values) / n,
        kurtosis=math.fsum(((one - mean) / root) ** 4 for one in values) / n,
    )


def radicand(sharpe: float, skew: float, kurtosis: float) -> float:
    """1 - g3 S + (g4 - 1)/4 S^2: the variance of the Sharpe ratio's estimate, times n - 1."""
    return 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2


def probabilistic_sharpe(
    sharpe: float, benchmark: float, n: int, skew: float, kurtosis: float
) -> float | None:
    """PSR(S*) of T14.7: the probability that the true Sharpe ratio is above `benchmark`; both per period.

    None (`insufficient`) for fewer than two periods or a radicand that is not positive.
    """
    inside = radicand(sharpe, skew, kurtosis)
    if n < 2 or not inside > 0:
        return None
    return NORMAL.cdf((sharpe - benchmark) * math.sqrt(n - 1) / math.sqrt(inside))


def expected_best_sharpe(trials: int, variance: float | None) -> float | None:
    """S* of the DSR (T14.7): the Sharpe ratio that the best of `trials` worthless trials is expected to show.

    One trial: 0. None when there are several and the variance of their Sharpe ratios is not known.
    Raises `ValueError` for no trial or a negative variance.
    """
    if trials < 1 or (variance is not None and not variance >= 0):
        raise ValueError(f"{trials} trials with variance {variance}")
    if trials == 1:
        return 0.0
    if variance is None:
        return None
    first = NORMAL.inv_cdf(1 - 1 / trials)
    second = NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)


def deflated_sharpe(sample: Moments, trials: int, variance: float | None) -> float | None:
    """DSR of T14.7; None is `insufficient`."""
    benchmark = expected_best_sharpe(trials, variance)
    if benchmark is None or sample.sharpe is None or sample.skew is None or sample.kurtosis is None:
        return None
    return probabilistic_sharpe(sample.sharpe, benchmark, sample.n, sample.skew, sample.kurtosis)


def minimum_track_record(sample: Moments, benchmark: float) -> float | None:
    """Periods that are needed before the Sharpe ratio is above `benchmark` with 95 % (T14.7).

    None: no length is enough, since the ratio is not above the benchmark, or the radicand is not positive.
    """
    if sample.sharpe is None or sample.skew is None or sample.kurtosis is None or sample.sharpe <= benchmark:
        return None
    inside = radicand(sample.sharpe, sample.skew, sample.kurtosis)
    if not inside > 0:
        return None
    return 1 + inside * (Z_95 / (sample.sharpe - benchmark)) ** 2


def block_length(starts_ns: Sequence[int], holding_ns: Sequence[int]) -> int:
    """Trades that overlap in time on average: mean holding time over mean distance of their starts, at least
    1 and at most half of the sample. Trades inside one block are not independent of each other.
    """
    n = len(starts_ns)
    if n < 2:
        return 1
    span_ns = max(starts_ns) - min(starts_ns)
    if span_ns <= 0:
        return max(1, n // 2)
    mean_holding_ns = sum(holding_ns) / n
    return max(1, min(n // 2, math.ceil(mean_holding_ns * (n - 1) / span_ns)))


def bootstrap_mean(values: Sequence[float], block: int, seed: int) -> Interval:
    """Mean with its 95 % interval by the circular block bootstrap; the same seed gives the same interval.

    Fewer than two values have no interval.
    """
    n = len(values)
    if n < 2:
        mean = values[0] if values else None
        return Interval(n=n, mean=mean, low=None, high=None, block=1, resamples=0)
    block = max(1, min(block, n))
    sums = list(accumulate([*values, *values[: block - 1]], initial=0.0))
    lengths = [block] * (n // block) + ([n % block] if n % block else [])
    resamples = max(MIN_RESAMPLES, min(MAX_RESAMPLES, MAX_DRAWS // len(lengths)))
    generator = random.Random(seed)  # noqa: S311 - a reproducible resampling, not a secret
    means = sorted(_resampled(sums, n, lengths, generator) / n for _ in range(resamples))
    mean = math.fsum(values) / n
    return Interval(
        n=n, mean=mean, low=_quantile(means, 0.025), high=_quantile(means, 0.975), block=block,
        resamples=resamples,
    )  # fmt: skip


def _resampled(sums: Sequence[float], n: int, lengths: Sequence[int], generator: random.Random) -> float:
    draw = generator.random
    total = 0.0
    for length in lengths:
        start = int(draw() * n)
        total += sums[start + length] - sums[start]
    return total


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between the two nearest values."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def sortino(values: Sequence[float]) -> float | None:
    """Mean over the root of the mean squared loss (target 0), per period; None without a loss."""
    if not values:
        return None
    downside = math.fsum(min(one, 0.0) ** 2 for one in values) / len(values)
    return math.fsum(values) / len(values) / math.sqrt(downside) if downside > 0 else None


def annualised(ratio: float | None, period_s: float) -> float | None:
    """A per-period ratio on 365 days."""
    return None if ratio is None else ratio * math.sqrt(YEAR_S / period_s)


def max_drawdown(equity: Sequence[float]) -> tuple[float, int, int]:
    """Largest fall from a peak as a fraction of the peak, with the places of peak and trough. Equity is
    positive; (0, 0, 0) when it never falls.
    """
    worst, peak_at, trough_at, top_at = 0.0, 0, 0, 0
    for place, value in enumerate(equity):
        if value > equity[top_at]:
            top_at = place
        fall = 1 - value / equity[top_at] if equity[top_at] > 0 else 0.0
        if fall > worst:
            worst, peak_at, trough_at = fall, top_at, place
    return worst, peak_at, trough_at


def returns_of(equity: Sequence[float]) -> list[float]:
    """Simple returns between neighbours; equity is positive."""
    return [after / before - 1 for before, after in pairwise(equity) if before > 0]


class Overfitting(msgspec.Struct, frozen=True, kw_only=True):
    """How often the best trial of one half is below the median of the other half."""

    probability: float | None
    splits: int
    blocks: int
    logits: list[float]


def overfitting(performance: Sequence[Sequence[float]], blocks: int = 8) -> Overfitting:
    """PBO by combinatorially symmetric cross-validation. `performance[trial][period]`, all equally long.

    The periods are cut into `blocks` (even) equal parts; for every choice of half of them the trial with the
    best Sharpe ratio there is ranked in the other half. The probability is the share of choices whose logit
    is not positive. None with fewer than two trials, or fewer than two periods a block.
    """
    if blocks < 2 or blocks % 2:
        raise ValueError(f"{blocks} blocks: an even number of at least 2 is needed")
    trials = len(performance)
    size = min((len(one) for one in performance), default=0) // blocks
    if trials < 2 or size < 2:
        return Overfitting(probability=None, splits=0, blocks=blocks, logits=[])
    sums = [[_block_sums(one, block, size) for block in range(blocks)] for one in performance]
    everything = frozenset(range(blocks))
    logits: list[float] = []
    for chosen in combinations(range(blocks), blocks // 2):
        if len(logits) >= MAX_SPLITS:
            break
        inside = [_sharpe_of(one, chosen, size) for one in sums]
        outside = [_sharpe_of(one, everything - set(chosen), size) for one in sums]
        best = max(range(trials), key=lambda trial: inside[trial])
        below = sum(1 for value in outside if value < outside[best])
        equal = sum(1 for value in outside if value == outside[best])
        share = (below + (equal + 1) / 2) / (trials + 1)
        logits.append(math.log(share / (1 - share)))
    probability = sum(1 for one in logits if one <= 0) / len(logits)
    return Overfitting(probability=probability, splits=len(logits), blocks=blocks, logits=logits)


def _block_sums(values: Sequence[float], block: int, size: int) -> tuple[float, float]:
    part = values[block * size : (block + 1) * size]
    return math.fsum(part), math.fsum(one * one for one in part)


def _sharpe_of(
    sums: Sequence[tuple[float, float]], blocks: Sequence[int] | frozenset[int], size: int
) -> float:
    """Sharpe ratio over some blocks; 0 where nothing varies, as of a trial that does not trade."""
    n = size * len(blocks)
    total = math.fsum(sums[block][0] for block in blocks)
    squares = math.fsum(sums[block][1] for block in blocks)
    variance = (squares - total * total / n) / (n - 1)
    return total / n / math.sqrt(variance) if variance > 1e-30 else 0.0
