"""Pictures of a back-test as PNG: equity, fills on the price, costs, results of trades, segments."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, Final

from tradewind.core.errors import TradewindError

from .document import Findings
from .statistics import MIN_TRADES

BLUE, RED, GREEN, GREY, AMBER = "#003049", "#c1121f", "#2a9d8f", "#888888", "#e09f3e"
MAX_MARKERS: Final = 2_000
SIZE: Final = (9.0, 3.6)
DPI: Final = 90


class PlotMissing(TradewindError):
    """Plots need the extra `reports`."""

    name = "PLOT_MISSING"


def require_matplotlib() -> Any:
    """The plotting module, drawing into memory. Raises `PlotMissing`."""
    try:
        import matplotlib
    except ImportError as error:
        raise PlotMissing("plots need matplotlib: pip install 'tradewind[reports]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw_all(found: Findings) -> dict[str, bytes]:
    """PNG by name, in the order of the report. Raises `PlotMissing`."""
    pyplot = require_matplotlib()
    drawings: dict[str, Callable[[Any, Findings], Any]] = {
        "equity": _equity,
        "trades": _trades,
        "costs": _costs,
        "results": _results,
        "rolling": _rolling,
        "segments": _segments,
    }
    pictures = {}
    for name, draw in drawings.items():
        figure = draw(pyplot, found)
        pictures[name] = png(pyplot, figure)
    return pictures


def png(pyplot: Any, figure: Any) -> bytes:
    """The picture without anything that changes from run to run."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    pyplot.close(figure)
    return out.getvalue()


def _clock(found: Findings, at_ns: Sequence[int]) -> tuple[list[float], str]:
    """Time since the beginning in the unit that fits."""
    span_s = (found.facts.end_ns - found.facts.start_ns) / 1e9
    unit, name = (86_400.0, "days") if span_s > 4 * 86_400 else (3_600.0, "hours")
    if span_s < 4 * 3_600:
        unit, name = (60.0, "minutes") if span_s > 240 else (1.0, "seconds")
    return [(one - found.facts.start_ns) / 1e9 / unit for one in at_ns], f"{name} since the beginning"


def _dress(axis: Any, label: str) -> None:
    axis.set_ylabel(label)
    axis.grid(True, alpha=0.25)
    axis.margins(x=0)


def _equity(pyplot: Any, found: Findings) -> Any:
    figure, axes = pyplot.subplots(
        2, 1, sharex=True, figsize=(SIZE[0], 4.6), layout="constrained", height_ratios=(2, 1)
    )
    points = found.results.equity
    times, label = _clock(found, [one.at_ns for one in points])
    values = [float(one.equity) for one in points]
    axes[0].plot(times, values, color=BLUE, linewidth=1.3)
    axes[0].axhline(float(found.facts.cash), color=GREY, linewidth=0.8, linestyle=":")
    axes[0].set_title("marked equity, net of all costs", fontsize=10, loc="left")
    axes[0].ticklabel_format(axis="y", useOffset=False)
    _dress(axes[0], found.facts.currency)
    top, falls = values[0], []
    for value in values:
        top = max(top, value)
        falls.append((value / top - 1) * 100)
    axes[1].fill_between(times, falls, 0, color=RED, alpha=0.35, linewidth=0)
    axes[1].set_title("drawdown", fontsize=10, loc="left")
    axes[1].set_xlabel(label)
    _dress(axes[1], "%")
    return figure


def _trades(pyplot: Any, found: Findings) -> Any:
    figure, axis = pyplot.subplots(figsize=SIZE, layout="constrained")
    points = found.results.equity
    times, label = _clock(found, [one.at_ns for one in points])
    mids = [float("nan") if one.mid is None else float(one.mid) for one in points]
    axis.plot(times, mids, color=GREY, linewidth=0.9, label="middle")
    fills = found.results.executions
    for sign, marker, colour, name in ((1, "^", GREEN, "bought"), (-1, "v", RED, "sold")):
        side = [one for one in fills if one.sign == sign]
        shown = side[:: max(1, -(-len(side) // MAX_MARKERS))]
        at, _ = _clock(found, [one.at_ns for one in shown])
        prices = [float(one.price) for one in shown]
        text = f"{name} ({len(side)})"
        axis.scatter(at, prices, marker=marker, color=colour, s=16, label=text, linewidths=0)
    axis.set_title("fills on the price", fontsize=10, loc="left")
    axis.set_xlabel(label)
    axis.ticklabel_format(axis="y", useOffset=False)
    _dress(axis, f"price, {found.facts.currency}")
    axis.legend(loc="best", fontsize=8, frameon=False)
    return figure


def _costs(pyplot: Any, found: Findings) -> Any:
    """From gross to net, step by step."""
    figure, axis = pyplot.subplots(figsize=SIZE, layout="constrained")
    parts = found.results.attribution
    steps = [
        ("spread", parts.spread), ("slippage", parts.slippage),
        ("adverse\nselection", parts.adverse_selection), ("fees", parts.fees), ("funding", parts.funding),
    ]  # fmt: skip
    names, level = ["gross"], float(parts.gross)
    axis.bar(0, level, color=BLUE, width=0.6)
    axis.annotate(f"{level:,.2f}", (0, level), ha="center", va="bottom" if level >= 0 else "top", fontsize=8)
    for place, (name, cost) in enumerate(steps, 1):
        change = -float(cost)
        axis.bar(place, change, bottom=level, color=GREEN if change >= 0 else RED, width=0.6)
        text = f"{change:+,.2f}" if change else "0"
        axis.annotate(text, (place, max(level, level + change)), ha="center", va="bottom", fontsize=8)
        level += change
        names.append(name)
    net = float(parts.net)
    axis.bar(len(names), net, color=BLUE, width=0.6)
    axis.annotate(
        f"{net:,.2f}", (len(names), net), ha="center", va="bottom" if net >= 0 else "top", fontsize=8
    )
    names.append("net")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_xticks(range(len(names)), names, fontsize=9)
    axis.set_title("from gross to net: where the difference went", fontsize=10, loc="left")
    axis.use_sticky_edges = False
    axis.margins(y=0.15)
    axis.grid(True, axis="y", alpha=0.25)
    axis.set_ylabel(found.facts.currency)
    return figure


def _empty(axis: Any, text: str) -> None:
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes, color=GREY)
    axis.set_xticks([])
    axis.set_yticks([])


def _results(pyplot: Any, found: Findings) -> Any:
    figure, axis = pyplot.subplots(figsize=SIZE, layout="constrained")
    axis.set_title("net result of each trade", fontsize=10, loc="left")
    values = [one.net_return * 10_000 for one in found.results.trades]
    if not values:
        _empty(axis, "no trades")
        return figure
    axis.hist(values, bins=min(60, max(10, len(values) // 4)), color=BLUE, alpha=0.8)
    mean = found.results.mean_bps
    if mean.mean is not None:
        axis.axvline(mean.mean, color=RED, linewidth=1.2, label=f"mean {mean.mean:.2f} bps")
    if mean.low is not None and mean.high is not None:
        text = f"95 %: {mean.low:.2f} to {mean.high:.2f}"
        axis.axvspan(mean.low, mean.high, color=AMBER, alpha=0.3, linewidth=0, label=text)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel("bps of the entry's value")
    axis.set_ylabel("trades")
    axis.grid(True, alpha=0.25)
    axis.legend(loc="best", fontsize=8, frameon=False)
    return figure


def _rolling(pyplot: Any, found: Findings) -> Any:
    figure, axis = pyplot.subplots(figsize=SIZE, layout="constrained")
    trades = found.results.trades
    axis.set_title(f"mean of the last {MIN_TRADES} trades", fontsize=10, loc="left")
    if len(trades) < MIN_TRADES:
        _empty(axis, f"insufficient: {len(trades)} trades")
        return figure
    values = [one.net_return * 10_000 for one in trades]
    means = [sum(values[end - MIN_TRADES : end]) / MIN_TRADES for end in range(MIN_TRADES, len(values) + 1)]
    times, label = _clock(found, [one.exit_ns for one in trades[MIN_TRADES - 1 :]])
    axis.plot(times, means, color=BLUE, linewidth=1.2)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_xlabel(label)
    _dress(axis, "bps a trade, net")
    return figure


def _segments(pyplot: Any, found: Findings) -> Any:
    figure, axes = pyplot.subplots(1, 2, sharey=True, figsize=SIZE, layout="constrained")
    for axis, outside in zip(axes, (found.folds, found.forward), strict=True):
        for place, one in enumerate(outside.segments):
            for offset, value, colour in (
                (-0.2, one.train_mean_bps, GREY),
                (0.2, one.test_mean_bps, BLUE),
            ):
                if value is not None:
                    axis.bar(place + offset, value, width=0.38, color=colour)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set_xticks(
            range(len(outside.segments)), [f"{one.number}\nn={one.test_trades}" for one in outside.segments],
            fontsize=8,
        )  # fmt: skip
        axis.set_title(f"{outside.method}: outside (grey) and inside of the segment", fontsize=9, loc="left")
        axis.grid(True, axis="y", alpha=0.25)
    axes[0].set_ylabel("mean bps a trade, net")
    return figure
