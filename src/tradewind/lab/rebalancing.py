"""What a pm-AMM loses to better-informed traders, simulated through the engine's kernels (protocol P10.4.5).

The true price is Φ(X/√(T−t)) of a Brownian motion X, the odds of "X ends above 0". At each of equal steps one
who knows it swaps the pool to it; what the swap brings at the new price is the pool's loss versus
rebalancing. A pool of constant L is expected to lose at the rate V/(2(T−t)) of its value V at any moment. One
whose L falls with √(T−t) loses V₀/(2(T−t₀)) all the time: it rescales before each swap, as pools do, and
what that frees is no loss.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind import amm
from tradewind.lab.scenarios.report import require_matplotlib

MAX_PATHS: Final = 100_000
MAX_STEPS: Final = 10_000
LARGEST_END: Final = 0.99
"""Closer to settlement a step of equal length is no small one any more."""
HIGHEST_SCORE: Final = 7.5
STATIC_COLOUR, DYNAMIC_COLOUR = "#c1121f", "#003049"


class LossPart(msgspec.Struct, frozen=True):
    """One part of the time: what was lost in it and what was expected, per unit of V₀, by an average path."""

    until: float
    """End as a part of T − t₀."""
    lost: float
    error: float
    """Standard error of `lost`."""
    expected: float

    @property
    def deviation(self) -> float:
        """In standard errors."""
        return (self.lost - self.expected) / self.error


class LossReport(msgspec.Struct, frozen=True):
    """Of one kind of pool: the whole time first, then its parts in order."""

    dynamic: bool
    whole: LossPart
    parts: tuple[LossPart, ...]
    paths: int
    steps: int
    seed: int


def swap_to(liquidity: float, price: float, target: float) -> float:
    """What one who knows that the price is `target` earns by moving a pool there from `price`."""
    x, y = amm.pm_amm_reserves(liquidity, price)
    x_then, y_then = amm.pm_amm_reserves(liquidity, target)
    if target < price:
        given = x_then - x
        return amm.pm_amm_swap(liquidity, x, y, given) * (1.0 - target) - given * target
    given = y_then - y
    return amm.pm_amm_swap(liquidity, y, x, given) * target - given * (1.0 - target)


def _probability(score: float) -> float:
    return 0.5 * math.erfc(-score / math.sqrt(2.0))


def _path(rng: random.Random, price: float, steps: int, end: float, dynamic: bool) -> list[float]:
    """Losses of a pool with V₀ = 1 in each step; T − t₀ = 1."""
    score = _score(price)
    first = 1.0 / amm.pm_amm_value(1.0, price)
    length = end / steps
    drift, losses = score, []
    for step in range(steps):
        left = 1.0 - step * length
        drift += rng.gauss(0.0, math.sqrt(length))
        reached = drift / math.sqrt(left - length)
        # Beyond it nothing is left to lose that a float could tell, and the kernels end at 8.
        reached = max(-HIGHEST_SCORE, min(HIGHEST_SCORE, reached))
        target = _probability(reached)
        liquidity = first * math.sqrt(left) if dynamic else first
        losses.append(swap_to(liquidity, price, target) if target != price else 0.0)
        price = target
    return losses


def _score(price: float) -> float:
    x, y = amm.pm_amm_reserves(1.0, price)
    return y - x


def expected_loss(dynamic: bool, begin: float, until: float) -> float:
    """What a pool with V₀ = 1 is expected to lose from one part of T − t₀ to another.

    The value of a static pool is expected to be √(1 − t); its rate V/(2(1 − t)) adds up to the difference.
    """
    if dynamic:
        return (until - begin) / 2.0
    return math.sqrt(1.0 - begin) - math.sqrt(1.0 - until)


def simulate(
    *,
    dynamic: bool,
    price: float = 0.5,
    paths: int = 2_000,
    steps: int = 180,
    end: float = 0.9,
    parts: int = 9,
    seed: int = 1,
) -> LossReport:
    """Runs the paths; the same seed gives the same report.

    Raises:
        ValueError: a number is outside its range: price in (0.01, 0.99), paths 2 to 100,000, steps a multiple
            of `parts` up to 10,000, end in (0, 0.99].
    """
    if not 0.01 <= price <= 0.99:
        raise ValueError(f"price must be from 0.01 to 0.99, got {price}")
    if not 2 <= paths <= MAX_PATHS:
        raise ValueError(f"paths must be from 2 to {MAX_PATHS}, got {paths}")
    if not 1 <= parts <= steps <= MAX_STEPS or steps % parts:
        raise ValueError(f"steps must be a multiple of {parts} up to {MAX_STEPS}, got {steps}")
    if not 0.0 < end <= LARGEST_END:
        raise ValueError(f"end must be above 0 and at most {LARGEST_END}, got {end}")
    rng = random.Random(seed)  # noqa: S311 (a simulation)
    width = steps // parts
    sums: list[list[float]] = [[] for _ in range(parts + 1)]
    for _ in range(paths):
        losses = _path(rng, price, steps, end, dynamic)
        sums[parts].append(math.fsum(losses))
        for part in range(parts):
            sums[part].append(math.fsum(losses[part * width : (part + 1) * width]))
    ends = [end * (part + 1) / parts for part in range(parts)]
    rows = [
        _summary(samples, until, expected_loss(dynamic, begin, until))
        for samples, begin, until in zip(sums, [0.0, *ends[:-1], 0.0], [*ends, end], strict=True)
    ]
    return LossReport(dynamic, rows[parts], tuple(rows[:parts]), paths, steps, seed)


def _summary(samples: Sequence[float], until: float, expected: float) -> LossPart:
    count = len(samples)
    mean = math.fsum(samples) / count
    variance = math.fsum((one - mean) ** 2 for one in samples) / (count - 1)
    return LossPart(until, mean, math.sqrt(variance / count), expected)


def draw_losses(path: Path, reports: Sequence[LossReport]) -> None:
    """Loss per time of each pool against what is expected, as PNG.

    Raises:
        PlotMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 4.6), layout="constrained")
    for report in reports:
        colour = DYNAMIC_COLOUR if report.dynamic else STATIC_COLOUR
        name = "dynamic L" if report.dynamic else "static L"
        begins = [0.0, *(part.until for part in report.parts[:-1])]
        widths = [part.until - begin for part, begin in zip(report.parts, begins, strict=True)]
        axis.errorbar(
            [part.until - width / 2 for part, width in zip(report.parts, widths, strict=True)],
            [part.lost / width for part, width in zip(report.parts, widths, strict=True)],
            yerr=[3 * part.error / width for part, width in zip(report.parts, widths, strict=True)],
            fmt="o",
            color=colour,
            label=f"{name}: {report.paths} paths, ±3 standard errors",
            capsize=3,
        )
        times = [report.whole.until * index / 200 for index in range(200)]
        rate = [0.5 if report.dynamic else 0.5 / math.sqrt(1.0 - time) for time in times]
        axis.plot(times, rate, color=colour, linewidth=1.4, label=f"{name}: expected")
    axis.set(
        xlabel="time as a part of T − t₀",
        ylabel="loss per time, V₀ = 1 and T − t₀ = 1",
        title="Loss of a pm-AMM to better-informed traders",
    )
    axis.set_ylim(bottom=0.0)
    axis.grid(alpha=0.25)
    axis.legend(frameon=False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
