"""What a scenario leaves behind: samples as CSV, a summary as JSON, and the plot."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tradewind.core.errors import TradewindError

PANELS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("price, USDC", (("mark", "mark", "#c1121f"), ("index", "index", "#003049"))),
    (
        "million USDC",
        (("equity_longs", "equity of longs", "#c1121f"), ("equity_shorts", "equity of shorts", "#2a9d8f")),
    ),
    (
        "million USDC",
        (("insurance", "insurance fund", "#003049"), ("fee_pool", "liquidation fee pool", "#e09f3e")),
    ),
    ("million USDC", (("open_interest", "open interest", "#6a4c93"),)),
    (
        "accounts",
        (("pending", "below maintenance", "#c1121f"), ("bankrupt", "below zero", "#111111")),
    ),
)
"""Panels from top to bottom: unit, and (column, label, colour) of each line."""
SCALE = {"USDC": 100.0, "million USDC": 1e12, "accounts": 1.0}


class PlotMissing(TradewindError):
    """Plots need the extra `reports`."""

    name = "PLOT_MISSING"


def write_samples(path: Path, samples: Sequence[dict[str, Any]]) -> None:
    """One row per simulated second; money in micro-USDC, prices in ticks."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(samples[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(samples)


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    path.write_text(json.dumps(summary, indent=1, default=str) + "\n", encoding="utf-8")


def require_matplotlib() -> Any:
    """
    Raises:
        PlotMissing: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise PlotMissing("plots need matplotlib: pip install 'tradewind[reports]'") from error
    matplotlib.use("Agg")
    return matplotlib


def draw(
    path: Path,
    samples: Sequence[dict[str, Any]],
    title: str,
    highlights: Sequence[tuple[float, float, str]],
    trips: Sequence[float],
) -> None:
    """The plot as PNG; `trips` are the seconds at which breakers tripped.

    Raises:
        PlotMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(PANELS), 1, sharex=True, figsize=(9, 11), layout="constrained")
    seconds = [row["second"] for row in samples]
    for axis, (unit, lines) in zip(axes, PANELS, strict=True):
        scale = SCALE[unit.removeprefix("price, ")]
        for column, label, colour in lines:
            # A price of 0 is an unknown one: a gap in the line.
            unknown = column in ("mark", "index")
            values = [row[column] / scale if row[column] or not unknown else float("nan") for row in samples]
            axis.plot(seconds, values, label=label, color=colour, linewidth=1.4)
        for start, end, _ in highlights:
            axis.axvspan(start, end, color="#f2e8cf", alpha=0.6, linewidth=0)
        for second in trips:
            axis.axvline(second, color="#888888", linestyle=":", linewidth=0.8)
        axis.set_ylabel(unit)
        axis.grid(True, alpha=0.25)
        axis.legend(loc="best", fontsize=8, frameon=False)
        axis.margins(x=0)
    for start, end, text in highlights:
        middle = (start + end) / 2
        axes[0].text(
            middle, 0.97, text, ha="center", va="top", fontsize=9, transform=axes[0].get_xaxis_transform()
        )
    axes[0].set_title(title + ("\ndotted: a breaker trips" if trips else ""), fontsize=11, loc="left")
    axes[-1].set_xlabel("simulated seconds")
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
