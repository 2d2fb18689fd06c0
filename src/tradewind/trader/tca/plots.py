"""Pictures of a parent: schedule against fills, price, split of its cost. Needs the extra `reports`."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any, Final

from tradewind.core.errors import TradewindError

from ..execution.book import Parent
from ..execution.schedule import SECOND_NS, planned_until
from .facts import CostFacts
from .report import CostRow, parent_row

BLUE, RED, GREEN, AMBER, GREY = "#003049", "#c1121f", "#2a9d8f", "#e09f3e", "#8d99ae"
PLAN_POINTS: Final = 400
PARTS: Final = ("delay", "spread", "impact", "fees", "opportunity")


class PlotMissing(TradewindError):
    """Plots need the extra `reports`."""

    name = "PLOT_MISSING"


def require_pyplot() -> Any:
    """matplotlib's pyplot without a screen. Raises `PlotMissing`."""
    try:
        import matplotlib
    except ImportError as error:
        raise PlotMissing("plots need matplotlib: pip install 'tradewind[reports]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def parent_png(facts: CostFacts, parent: Parent) -> bytes:
    """One parent: what was planned and what was filled, at which prices, and what it cost."""
    pyplot = require_pyplot()
    figure, (done, price, cost) = pyplot.subplots(
        3, 1, figsize=(9, 10), layout="constrained", height_ratios=(3, 2, 2)
    )
    row = parent_row(facts, parent)
    _progress(done, facts, parent, row)
    _prices(price, facts, parent, row)
    _parts(cost, row)
    price.sharex(done)
    return _saved(pyplot, figure)


def parts_png(rows: list[CostRow]) -> bytes:
    """The split of every ended parent's cost, in bps of its value at arrival."""
    pyplot = require_pyplot()
    figure, axis = pyplot.subplots(figsize=(9, 4), layout="constrained")
    shown = [row for row in rows if row.shortfall is not None][-60:]
    for number, row in enumerate(shown):
        assert row.shortfall is not None
        value = row.quantity * row.arrival_mid
        up = down = 0.0
        for part, colour in zip(PARTS, (BLUE, AMBER, RED, GREY, GREEN), strict=True):
            height = float(getattr(row.shortfall, part) * 10_000 / value)
            bottom = up if height >= 0 else down
            axis.bar(number, height, bottom=bottom, color=colour, label=part if not number else None)
            up, down = (up + height, down) if height >= 0 else (up, down + height)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_xticks(range(len(shown)), [row.id for row in shown])
    axis.set_xlabel("parent")
    axis.set_ylabel("cost, bps")
    axis.set_title("Implementation shortfall by part", loc="left", fontsize=11)
    axis.grid(True, axis="y", alpha=0.25)
    if shown:
        axis.legend(loc="best", fontsize=8, frameon=False, ncols=5)
    return _saved(pyplot, figure)


def _progress(axis: Any, facts: CostFacts, parent: Parent, row: CostRow) -> None:
    opened, lot = parent.opened, parent.opened.scale.lot
    fills = sorted(facts.fills.get(parent.number, []), key=lambda fill: fill.at_ns)
    end_ns = max([opened.end_ns, *(fill.at_ns for fill in fills)])
    if parent.is_ended and parent.changed_ns < opened.end_ns:
        end_ns = max([parent.changed_ns, *(fill.at_ns for fill in fills)])
    step_ns = max(1, (end_ns - opened.start_ns) // PLAN_POINTS)
    moments = [*range(opened.start_ns, end_ns, step_ns), end_ns]
    if opened.algorithm in {"twap", "vwap"}:
        planned = [float(lot * planned_until(parent, at_ns)) for at_ns in moments]
        axis.plot(_minutes(moments, parent), planned, color=GREY, linestyle="--", label="schedule")
    done, total = [0.0], Decimal(0)
    for fill in fills:
        total += lot * fill.lots
        done.append(float(total))
    times = _minutes([opened.start_ns, *(fill.at_ns for fill in fills)], parent)
    stop = _minutes([end_ns], parent)
    axis.step([*times, *stop], [*done, done[-1]], where="post", color=BLUE, linewidth=1.8, label="filled")
    axis.axhline(float(row.quantity), color=GREY, linewidth=0.8)
    axis.set_ylabel(f"{opened.scale.base}")
    what = f"{opened.algorithm} {opened.side.name.lower()} {row.quantity.normalize():f} {opened.symbol}"
    title = f"Parent {parent.number}: {what}, {parent.state}"
    axis.set_title(title, loc="left", fontsize=11)
    axis.legend(loc="upper left", fontsize=8, frameon=False)
    axis.grid(True, alpha=0.25)


def _prices(axis: Any, facts: CostFacts, parent: Parent, row: CostRow) -> None:
    opened, tick = parent.opened, parent.opened.scale.tick
    children = facts.children.get(parent.number, [])
    mids = [float(tick * child.mark.mid_ticks) for child in children]
    axis.plot(
        _minutes([child.at_ns for child in children], parent), mids, color=GREY, label="mid at each child"
    )
    fills = facts.fills.get(parent.number, [])
    for maker, colour, label in ((True, GREEN, "fill, resting"), (False, RED, "fill, crossing")):
        kind = [fill for fill in fills if fill.maker is maker]
        axis.scatter(
            _minutes([fill.at_ns for fill in kind], parent),
            [float(tick * fill.price_ticks) for fill in kind],
            s=14,
            color=colour,
            label=label,
            zorder=3,
        )
    axis.axhline(float(row.arrival_mid), color=BLUE, linewidth=0.9, linestyle=":", label="arrival mid")
    axis.ticklabel_format(useOffset=False, style="plain", axis="y")
    axis.set_ylabel(opened.scale.quote)
    axis.set_xlabel("minutes")
    axis.legend(loc="best", fontsize=8, frameon=False)
    axis.grid(True, alpha=0.25)


def _parts(axis: Any, row: CostRow) -> None:
    if row.shortfall is None:
        axis.text(0.5, 0.5, "the parent has not ended", ha="center", va="center")
        axis.set_axis_off()
        return
    value = row.quantity * row.arrival_mid
    parts = [round(float(getattr(row.shortfall, one) * 10_000 / value), 2) + 0.0 for one in (*PARTS, "total")]
    colours = [RED if height > 0 else GREEN for height in parts[:-1]]
    axis.bar([*PARTS, "total"], parts, color=[*colours, BLUE])
    for number, height in enumerate(parts):
        axis.annotate(
            f"{height:.2f}",
            (number, height),
            ha="center",
            va="bottom" if height >= 0 else "top",
            fontsize=8,
        )
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(y=0.2)
    axis.set_ylabel("cost, bps")
    axis.grid(True, axis="y", alpha=0.25)


def _minutes(moments: list[int], parent: Parent) -> list[float]:
    return [(at_ns - parent.opened.start_ns) / SECOND_NS / 60 for at_ns in moments]


def _saved(pyplot: Any, figure: Any) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=90, metadata={"Software": None})
    pyplot.close(figure)
    return target.getvalue()
