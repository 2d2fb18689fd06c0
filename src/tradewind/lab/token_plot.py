"""Picture of the token's supply: the vesting table and a season's emission."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tradewind.lab.scenarios.report import require_matplotlib
from tradewind.node.projections.token import DAY_NS, POOLS, Season

UNITS: Final = 1_000_000
MILLION: Final = 1_000_000
BUDGET: Final = 10_000_000 * UNITS
SEASON_DAYS: Final = 180
LAST_DAY: Final = 3_650
STEP_DAYS: Final = 1
YEAR_DAYS: Final = 365
COLOURS: Final = ("#003049", "#669bbc", "#f4a261", "#2a9d8f", "#8d99ae")
SEASON_COLOUR: Final = "#c1121f"


def released(day: int) -> list[float]:
    """Millions of tokens that each pool has vested on a day after the issue."""
    return [pool.vested(pool.size, day * DAY_NS) / UNITS / MILLION for pool in POOLS]


def draw(path: Path) -> None:
    """Writes the picture as PNG: what has vested by year, stacked by pool, and what a season emits by day.

    Raises:
        PlotMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import pyplot

    days = list(range(0, LAST_DAY + 1, STEP_DAYS))
    by_pool = list(zip(*(released(day) for day in days), strict=True))
    season = Season(1, BUDGET, 0, SEASON_DAYS * DAY_NS, 0, settled=False)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), width_ratios=(2, 1))
    years = [day / YEAR_DAYS for day in days]
    names = [f"{pool.name} ({pool.size // UNITS // MILLION} M)" for pool in POOLS]
    left.stackplot(years, *by_pool, labels=names, colors=COLOURS, alpha=0.9)
    left.hlines(90, 4, 10, color="black", linewidth=0.8, linestyle=":")
    left.set(xlabel="years after the issue", ylabel="vested, million MMT", xlim=(0, 10), ylim=(0, 95))
    left.set_title("90 million under vesting")
    left.legend(loc="upper left", frameon=False, reverse=True)
    season_days = range(SEASON_DAYS + 1)
    emitted = [season.emitted(day * DAY_NS) / UNITS / MILLION for day in season_days]
    right.plot(season_days, emitted, color=SEASON_COLOUR, linewidth=2)
    right.set(
        xlabel="days of the season", ylabel="emitted, million MMT", xlim=(0, SEASON_DAYS), ylim=(0, 10.5)
    )
    right.set_title("a season of 10 million")
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
