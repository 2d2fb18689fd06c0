"""The report of a sweep: its points as table and picture, and what the best of them is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .document import encode
from .pages import Page, Section, fields, html_page, markdown
from .plots import AMBER, BLUE, GREY, RED, SIZE, png, require_matplotlib
from .report import outside_sections, put, rows_section, table
from .sweep import Swept, summary

COLUMNS = (
    "point", "trades", "net", "mean_bps", "low_95", "high_95", "sharpe_per_trade", "max_drawdown_pct",
    "turnover_of_cash", "error",
)  # fmt: skip


def write_sweep(found: Swept, folder: Path, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the report and return its document. Raises as `report.write`."""
    content = summary(found)
    shown = Page(
        title=f"Sweep: {content['strategy']} on {content['symbol']}",
        where=f"{content['data']['label']}, {content['data']['from']} to {content['data']['to']} UTC",
        labels=content["labels"],
        verdict=_verdict(content),
        good=False,
        sections=[
            Section("The best point, as the best of all trials", fields(content["best"] or {})),
            Section("Probability of overfitting", fields(content["overfitting"])),
            *outside_sections(content["out_of_sample"]),
            rows_section("Points, in-sample", content["points"], COLUMNS),
            Section("Trials", fields(content["trials"])),
        ],
        assumptions=content["data"]["assumptions"],
        footer=f"data {content['data']['hash']}, code {content['code_hash']}",
        pictures=pictures,
    )
    rows = [list(COLUMNS)] + [[row[name] for name in COLUMNS] for row in content["points"]]
    files = {
        "result.json": encode(content),
        "report.md": markdown(shown).encode(),
        "report.html": html_page(shown).encode(),
        "points.csv": table(rows),
    }
    put(folder, files | {f"{name}.png": data for name, data in pictures.items()})
    return content


def _verdict(content: Mapping[str, Any]) -> str:
    best = content["best"]
    if best is None:
        return "No point has trades enough to be judged"
    pbo = content["overfitting"]["probability"]
    return f"Best point {best['point']}: deflated Sharpe {best['dsr']}, probability of overfitting {pbo}"


def draw_sweep(found: Swept) -> dict[str, bytes]:
    """Heat map (two parameters), points with intervals, and the logits. Raises `PlotMissing`."""
    pyplot = require_matplotlib()
    pictures = {}
    if len(found.axes) == 2:
        pictures["heat"] = png(pyplot, _heat(pyplot, found))
    pictures["points"] = png(pyplot, _points(pyplot, found))
    if found.pbo.logits:
        pictures["logits"] = png(pyplot, _logits(pyplot, found))
    return pictures


def _heat(pyplot: Any, found: Swept) -> Any:
    (first, rows), (second, columns) = found.axes.items()
    by_name = {one.name: one for one in found.points}
    values = [
        [_mean(by_name[f"{first}={row} {second}={column}"].mean_bps) for column in columns] for row in rows
    ]
    figure, axis = pyplot.subplots(
        figsize=(max(4.5, 1.1 * len(columns) + 2.5), max(3.0, 0.7 * len(rows) + 1.4)), layout="constrained"
    )
    bound = max((abs(one) for line in values for one in line if not math.isnan(one)), default=1.0) or 1.0
    image = axis.imshow(values, cmap="RdYlGn", vmin=-bound, vmax=bound, aspect="auto")
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            trades = by_name[f"{first}={rows[y]} {second}={columns[x]}"].trades
            text = f"{value:.2f}\nn={trades}" if not math.isnan(value) else f"none\nn={trades}"
            axis.text(x, y, text, ha="center", va="center", fontsize=8)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_xlabel(second)
    axis.set_ylabel(first)
    axis.set_title("mean bps a trade, net, in-sample", fontsize=10, loc="left")
    figure.colorbar(image, ax=axis, shrink=0.9)
    return figure


def _mean(value: float | None) -> float:
    return float("nan") if value is None else value


def _points(pyplot: Any, found: Swept) -> Any:
    """Mean and interval of every point, worst to best."""
    figure, axis = pyplot.subplots(figsize=SIZE, layout="constrained")
    known = [one for one in found.points if one.mean_bps is not None]
    known.sort(key=lambda one: one.mean_bps or 0.0)
    for place, one in enumerate(known):
        mean = _mean(one.mean_bps)
        if one.low_bps is not None and one.high_bps is not None:
            axis.plot([place, place], [one.low_bps, one.high_bps], color=AMBER, linewidth=2.5, alpha=0.7)
        axis.plot(place, mean, "o", color=BLUE, markersize=4)
    axis.axhline(0, color="black", linewidth=0.8)
    if len(known) <= 16:
        values = ["\n".join(part.partition("=")[2] for part in one.name.split(" ")) for one in known]
        axis.set_xticks(range(len(known)), values, fontsize=8)
    axis.set_xlabel(", ".join(found.axes))
    axis.set_ylabel("bps a trade, net")
    axis.set_title("mean with its 95 % interval, in-sample, worst to best", fontsize=10, loc="left")
    axis.grid(True, axis="y", alpha=0.25)
    return figure


def _logits(pyplot: Any, found: Swept) -> Any:
    figure, axis = pyplot.subplots(figsize=SIZE, layout="constrained")
    axis.hist(found.pbo.logits, bins=min(40, max(8, len(found.pbo.logits) // 3)), color=GREY)
    axis.axvline(0, color=RED, linewidth=1.2)
    axis.set_xlabel("logit of the rank, in the other half, of the best of one half (left of 0: overfitted)")
    axis.set_ylabel("splits")
    title = f"probability of overfitting {found.pbo.probability:.2f} over {found.pbo.splits} splits"
    axis.set_title(title, fontsize=10, loc="left")
    axis.grid(True, alpha=0.25)
    return figure
