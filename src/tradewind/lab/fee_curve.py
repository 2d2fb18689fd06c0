"""The picture of the elastic fee against coverage: the engine's own rate and its golden points."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tradewind.core import native
from tradewind.lab.scenarios.report import require_matplotlib

LARGEST_PPM: Final = 3_000_000
STEP_PPM: Final = 5_000
GOLDEN_PPM: Final = (0, 100_000, 250_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000)
STATES: Final = (
    ("HALT", 0.0, 0.5, "#f8d7d4"),
    ("CRITICAL", 0.5, 1.0, "#fdebd0"),
    ("WARNING", 1.0, 1.5, "#fdf6d8"),
    ("NORMAL", 1.5, 3.0, "#e3f1e6"),
)


def curve() -> list[tuple[float, float]]:
    """(coverage, taker rate in bp) from no coverage to three times what is at risk."""
    points = range(0, LARGEST_PPM + STEP_PPM, STEP_PPM)
    return [(ppm / 1e6, native.fee_rate_e8(ppm) / 1e8) for ppm in points]


def plot_fee(path: Path) -> None:
    """Writes the picture.

    Raises:
        PlotMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8.0, 4.5), layout="constrained")
    for name, low, high, colour in STATES:
        axes.axvspan(low, high, color=colour, linewidth=0)
        axes.text((low + high) / 2, 30.8, name, ha="center", va="center", fontsize=9, color="#444444")
    points = curve()
    axes.plot([c for c, _ in points], [bp for _, bp in points], color="#003049", linewidth=2)
    golden = [(ppm / 1e6, native.fee_rate_e8(ppm) / 1e8) for ppm in GOLDEN_PPM]
    axes.plot([c for c, _ in golden], [bp for _, bp in golden], "o", color="#c1121f", markersize=5)
    for coverage, rate in golden:
        offset = (7, 5) if coverage < 2.5 else (-34, 7)
        axes.annotate(f"{rate:.2f}", (coverage, rate), xytext=offset, textcoords="offset points", fontsize=8)
    axes.axhline(3, color="#888888", linewidth=0.8, linestyle="--")
    axes.set(xlim=(0, 3), ylim=(0, 32), xlabel="coverage: value of the vault / S", ylabel="taker fee, bp")
    axes.set_title("3 + 25·exp(−3·coverage)", fontsize=11)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
