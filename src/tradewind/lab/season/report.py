"""The picture of a season."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tradewind.lab.scenarios.report import PlotMissing, require_matplotlib

__all__ = ["PANELS", "PlotMissing", "draw"]

PANELS: tuple[tuple[str, float, tuple[tuple[str, str, str], ...]], ...] = (
    ("markets", 1.0, (("open_markets", "not resolved yet", "#003049"),)),
    (
        "million USDC",
        1e12,
        (
            ("set_escrow", "behind complete sets", "#2a9d8f"),
            ("redeemed", "redeemed, in total", "#c1121f"),
        ),
    ),
    (
        "million USDC",
        1e12,
        (
            ("bond_escrow", "bonds at stake", "#6a4c93"),
            ("pool_cash", "cash of pools", "#e09f3e"),
            ("vault_cash", "vault", "#003049"),
        ),
    ),
    (
        "thousand USDC",
        1e9,
        (("insurance", "insurance: fees, and halves of lost bonds", "#003049"),),
    ),
    (
        "USDC",
        1e6,
        (("treasury", "treasury", "#e09f3e"), ("staker_pool", "waiting for stakers", "#c1121f")),
    ),
    (
        "million MMT",
        1e12,
        (("circulating", "vested and claimed", "#2a9d8f"), ("staked", "staked", "#6a4c93")),
    ),
)
"""Panels from top to bottom: unit, divisor, and (column, label, colour) of each line."""


def draw(path: Path, samples: Sequence[dict[str, Any]], title: str) -> None:
    """The plot as PNG.

    Raises:
        PlotMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(PANELS), 1, sharex=True, figsize=(9, 12), layout="constrained")
    days = [row["day"] for row in samples]
    for axis, (unit, divisor, lines) in zip(axes, PANELS, strict=True):
        for column, label, colour in lines:
            values = [row[column] / divisor for row in samples]
            axis.plot(days, values, label=label, color=colour, linewidth=1.4)
        axis.set_ylabel(unit)
        axis.grid(True, alpha=0.25)
        axis.legend(loc="best", fontsize=8, frameon=False)
        axis.margins(x=0)
    axes[0].set_title(title, fontsize=11, loc="left")
    axes[-1].set_xlabel("day of the season")
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
