"""Pictures of the automated market makers: price curves, depth, densities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tradewind import amm
from tradewind.lab.scenarios.report import require_matplotlib

POINTS = 240
LMSR_COLOUR, PM_COLOUR = "#c1121f", "#003049"
BEFORE_COLOUR, AFTER_COLOUR, CLAIM_COLOUR = "#003049", "#c1121f", "#e09f3e"
# Beyond these prices a curve on shares is a flat line.
LOWEST_PRICE, HIGHEST_PRICE = 0.02, 0.98


def liquidity_of_equal_funding(b: float) -> float:
    """L of a pm-AMM whose value at price ½ is what a binary LMSR with this b may lose."""
    return b * math.log(2.0) / amm.pm_amm_value(1.0, 0.5)


def _prices(points: int = POINTS) -> list[float]:
    span = HIGHEST_PRICE - LOWEST_PRICE
    return [LOWEST_PRICE + span * index / (points - 1) for index in range(points)]


def _lmsr_shares(b: float, price: float) -> float:
    """Shares of one of two outcomes that raise its price from ½."""
    return b * math.log(price / (1.0 - price))


def _pm_shares(liquidity: float, price: float) -> float:
    x, y = amm.pm_amm_reserves(liquidity, price)
    return y - x


def _depth(shares: Callable[[float, float], float], size: float, prices: Sequence[float]) -> list[float]:
    """Shares that move the price by one point (0.01) around each price."""
    return [shares(size, price + 0.005) - shares(size, price - 0.005) for price in prices]


def draw_curves(path: Path, b: float, liquidity: float | None = None, mark: float | None = None) -> None:
    """Price by shares bought, and depth by price, of a binary LMSR and a pm-AMM, as PNG.

    Args:
        b: the LMSR's liquidity in shares. liquidity: the pm-AMM's; None = that of equal funding.
        mark: a price to mark, in 0..1.

    Raises:
        PlotMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import pyplot

    liquidity = liquidity_of_equal_funding(b) if liquidity is None else liquidity
    prices = _prices()
    lines = (
        (f"LMSR, b = {b:g}", LMSR_COLOUR, b, _lmsr_shares),
        (f"pm-AMM, L = {liquidity:g}", PM_COLOUR, liquidity, _pm_shares),
    )
    figure, (curve, depth) = pyplot.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for label, colour, size, shares in lines:
        curve.plot(
            [shares(size, price) for price in prices], prices, label=label, color=colour, linewidth=1.6
        )
        depth.plot(prices, _depth(shares, size, prices), label=label, color=colour, linewidth=1.6)
    curve.set(xlabel="net shares bought from price ½", ylabel="price", title="Price curve", ylim=(0, 1))
    depth.set(xlabel="price", ylabel="shares that move it by 0.01", title="Depth", xlim=(0, 1))
    depth.set_ylim(bottom=0.0)
    for axis in (curve, depth):
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
    if mark is not None:
        curve.axhline(mark, color="#777777", linewidth=0.9, linestyle="--")
        depth.axvline(mark, color="#777777", linewidth=0.9, linestyle="--")
    _save(figure, path)


def draw_lmsr(path: Path, b: float, q: Sequence[float], outcome: int) -> None:
    """All prices of an LMSR pool against shares bought of one outcome, as PNG.

    Raises:
        PlotMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import pyplot

    reach = 6.0 * b
    bought = [reach * (2.0 * index / (POINTS - 1) - 1.0) for index in range(POINTS)]
    states = [[value + shares * (place == outcome) for place, value in enumerate(q)] for shares in bought]
    prices = [amm.lmsr_prices(b, state) for state in states]
    costs = [
        amm.lmsr_trade_cost(b, q, [shares * (place == outcome) for place in range(len(q))])
        for shares in bought
    ]
    figure, (curve, cost) = pyplot.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for place in range(len(q)):
        wide = place == outcome
        label = f"outcome {place}" if len(q) <= 8 or wide else None
        curve.plot(bought, [row[place] for row in prices], label=label, linewidth=2.2 if wide else 1.1)
    curve.axvline(0.0, color="#777777", linewidth=0.9, linestyle="--")
    cost.plot(bought, costs, color=LMSR_COLOUR, linewidth=1.6)
    cost.axhline(0.0, color="#777777", linewidth=0.9)
    title = f"LMSR, b = {b:g}, {len(q)} outcomes"
    curve.set(xlabel=f"shares bought of outcome {outcome}", ylabel="price", title=title, ylim=(0, 1))
    cost.set(
        xlabel=f"shares bought of outcome {outcome}", ylabel="cost", title="Cost (received, when negative)"
    )
    curve.legend(frameon=False)
    for axis in (curve, cost):
        axis.grid(alpha=0.25)
    _save(figure, path)


def draw_densities(path: Path, k: float, before: tuple[float, float], after: tuple[float, float]) -> None:
    """The claims f, g and what the trader holds, g − f, with its lowest point, as PNG.

    Raises:
        PlotMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import pyplot

    low = min(mean - 4.0 * sigma for mean, sigma in (before, after))
    high = max(mean + 4.0 * sigma for mean, sigma in (before, after))
    points = [low + (high - low) * index / (4 * POINTS - 1) for index in range(4 * POINTS)]

    def claim(which: tuple[float, float]) -> list[float]:
        mean, sigma = which
        peak = amm.distribution_peak(k, sigma)
        return [peak * math.exp(-0.5 * ((point - mean) / sigma) ** 2) for point in points]

    f, g = claim(before), claim(after)
    held = [new - old for new, old in zip(g, f, strict=True)]
    collateral = amm.distribution_collateral(k, *before, *after)
    figure, axis = pyplot.subplots(figsize=(9, 4.8), layout="constrained")
    axis.plot(points, f, color=BEFORE_COLOUR, label=f"f = N({before[0]:g}, {before[1]:g}²)", linewidth=1.6)
    axis.plot(points, g, color=AFTER_COLOUR, label=f"g = N({after[0]:g}, {after[1]:g}²)", linewidth=1.6)
    axis.plot(points, held, color=CLAIM_COLOUR, label="g − f: the trader's claim", linewidth=1.6)
    axis.fill_between(points, held, color=CLAIM_COLOUR, alpha=0.18, linewidth=0)
    axis.axhline(-collateral, color="#777777", linewidth=0.9, linestyle="--")
    axis.annotate(
        f"collateral {collateral:.4f}", (low, -collateral), xytext=(4, 4), textcoords="offset points"
    )
    axis.axhline(0.0, color="#777777", linewidth=0.9)
    axis.set(xlabel="outcome", ylabel="payout", title=f"Distribution market, k = {k:g}")
    axis.grid(alpha=0.25)
    axis.legend(frameon=False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
