"""The plots of a report as PNG, the same bytes for the same data. Floats only: these are pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, Final

from .checklist import resident_mb, slope_per_hour, warm
from .evidence import Evidence
from .samples import Sample
from .tables import Hour, hours_of

DPI: Final = 110
SIZE: Final = (8.6, 3.9)
BLUE, ORANGE, GREY, RED, GREEN = "#2b6cb0", "#c05621", "#718096", "#c53030", "#2f855a"
MAX_POINTS: Final = 3_000


class PlotMissing(Exception):
    """Plots need matplotlib, which is in the extra `reports`."""

    code = "PLOTS_NOT_INSTALLED"


def draw_all(evidence: Evidence) -> dict[str, bytes]:
    """PNG by name. Raises `PlotMissing`."""
    try:
        import matplotlib
    except ImportError as error:
        raise PlotMissing("plots need matplotlib: pip install 'tradewind[reports]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    hours = hours_of(evidence)
    style: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
             "grid.alpha": 0.25, "axes.axisbelow": True, "svg.hashsalt": "tradewind"}  # fmt: skip
    figures: dict[str, Callable[[Any, Any], None]] = {
        "equity": lambda top, bottom: _equity(evidence, top, bottom),
        "memory": lambda top, bottom: _memory(evidence, top, bottom),
        "orders": lambda top, bottom: _orders(hours, top, bottom),
        "streams": lambda top, bottom: _streams(evidence, hours, top, bottom),
    }
    drawn = {}
    with pyplot.rc_context(style):
        for name, paint in figures.items():
            figure, (top, bottom) = pyplot.subplots(
                2, 1, figsize=(8.6, 4.6), layout="constrained", sharex=True
            )
            paint(top, bottom)
            bottom.set_xlabel("campaign time, h")
            target = io.BytesIO()
            figure.savefig(target, format="png", dpi=DPI, metadata={"Software": None})
            pyplot.close(figure)
            drawn[name] = target.getvalue()
    return drawn


def _series(evidence: Evidence, read: Callable[[Sample], float | None]) -> tuple[list[float], list[float]]:
    pairs = evidence.each(read)
    step = max(1, len(pairs) // MAX_POINTS)
    kept = pairs[::step]
    return [hours for hours, _ in kept], [value for _, value in kept]


def _equity(evidence: Evidence, top: Any, bottom: Any) -> None:
    hours, values = _series(
        evidence, lambda one: float(one.trading.equity) if one.trading and one.trading.equity else None
    )
    currency = evidence.state.identity.currency
    top.plot(hours, values, color=BLUE, linewidth=1.2)
    top.set_ylabel(f"equity, {currency}")
    top.ticklabel_format(axis="y", useOffset=False, style="plain")
    high, fall = float("-inf"), []
    for value in values:
        high = max(high, value)
        fall.append(value - high)
    bottom.fill_between(hours, fall, 0, color=RED, alpha=0.35, linewidth=0)
    bottom.set_ylabel(f"below the high, {currency}")
    _empty(top, hours)


def _memory(evidence: Evidence, top: Any, bottom: Any) -> None:
    hours, values = _series(evidence, resident_mb)
    top.plot(hours, values, color=BLUE, linewidth=1.2, label="resident")
    used = warm(evidence.longest_life())
    found = slope_per_hour(used, resident_mb)
    if found is not None:
        xs = [used[0].campaign_s / 3_600, used[-1].campaign_s / 3_600]
        ys = [value for one in used if (value := resident_mb(one)) is not None]
        middle_x, middle_y = sum(one.campaign_s for one in used) / len(used) / 3_600, sum(ys) / len(ys)
        label = f"slope {found.estimate:+.3f} MB/h [{found.low:+.3f}, {found.high:+.3f}]"
        line = [middle_y + found.estimate * (x - middle_x) for x in xs]
        top.plot(xs, line, color=ORANGE, linewidth=1.4, label=label)
    top.set_ylabel("memory, MB")
    if values:
        top.set_ylim(0, max(max(values) * 1.15, 10))
        top.legend(loc="lower right", frameon=False)
    for name, colour in (("descriptors", BLUE), ("tasks", ORANGE), ("threads", GREY)):
        xs, ys = _series(evidence, _of_process(name))
        bottom.plot(xs, ys, color=colour, linewidth=1.0, label=name)
    bottom.set_ylabel("open")
    bottom.set_ylim(bottom=0)
    bottom.legend(loc="lower right", frameon=False, ncols=3)
    _empty(top, hours)


def _of_process(name: str) -> Callable[[Sample], float | None]:
    return lambda one: getattr(one.process, name)


def _orders(hours: Sequence[Hour], top: Any, bottom: Any) -> None:
    at = [one.hour + 0.5 for one in hours]
    top.bar(at, [one.submits or 0 for one in hours], width=0.8, color=GREY, alpha=0.5, label="orders")
    top.bar(at, [one.fills or 0 for one in hours], width=0.45, color=GREEN, label="fills")
    top.set_ylabel("an hour")
    top.legend(loc="upper right", frameon=False, ncols=2)
    for name, colour in (("p50", BLUE), ("p95", ORANGE), ("p99", RED)):
        values = [one.latency[name] for one in hours]
        bottom.plot(at, values, color=colour, marker="o", markersize=3, linewidth=1.0, label=name)
    bottom.set_ylabel("round trip, ms")
    bottom.set_ylim(bottom=0)
    bottom.legend(loc="upper right", frameon=False, ncols=3)


def _streams(evidence: Evidence, hours: Sequence[Hour], top: Any, bottom: Any) -> None:
    at = [one.hour + 0.5 for one in hours]
    shares = [None if one.live_share is None else 100 * one.live_share for one in hours]
    private = [None if one.private_share is None else 100 * one.private_share for one in hours]
    top.plot(at, shares, color=BLUE, marker="o", markersize=3, label="market data")
    top.plot(at, private, color=ORANGE, marker="o", markersize=3, label="private")
    top.axhline(99.5, color=RED, linewidth=0.8, linestyle="--", label="99.5 %")
    known = [one for one in shares + private if one is not None]
    top.set_ylim(min(99.0, *known) - 0.5 if known else 90, 100.3)
    top.set_ylabel("live, %")
    top.legend(loc="lower right", frameon=False, ncols=3)
    xs, ys = _series(evidence, lambda one: one.logs.journal_bytes and one.logs.journal_bytes / 1e9)
    bottom.plot(xs, ys, color=GREY, linewidth=1.2)
    bottom.set_ylabel("journal, GB")
    bottom.set_ylim(bottom=0)


def _empty(axes: Any, hours: Sequence[float]) -> None:
    if not hours:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=GREY)
