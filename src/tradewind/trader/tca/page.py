"""The cost report as one HTML file without anything from outside."""

from __future__ import annotations

import base64
from html import escape

from .facts import CostFacts
from .plots import parent_png, parts_png
from .report import CostReport, CostRow

MAX_PICTURES = 20
_STYLE = (
    "body{font:14px/1.5 sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#111}"
    "table{border-collapse:collapse;margin:1em 0;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:right}"
    "th:first-child,td:first-child{text-align:left}img{max-width:100%}"
)
COLUMNS = (
    ("id", "id"),
    ("algorithm", "algorithm"),
    ("symbol", "market"),
    ("side", "side"),
    ("state", "state"),
    ("quantity", "quantity"),
    ("filled", "filled"),
    ("arrival_mid", "arrival"),
    ("average_price", "average"),
    ("interval_vwap", "interval VWAP"),
    ("shortfall_bps", "shortfall bps"),
    ("expected_bps", "expected bps"),
    ("realised_bps", "realised bps"),
    ("residual_bps", "residual bps"),
    ("participation_pct", "participation %"),
    ("passive_pct", "passive %"),
    ("decision_delay_ms", "delay ms"),
)


def page(facts: CostFacts, document: CostReport) -> str:
    """The page. Raises `PlotMissing` without matplotlib."""
    model = document.model
    parts = ["<!doctype html><meta charset='utf-8'><title>Cost analysis</title>", f"<style>{_STYLE}</style>"]
    parts.append("<h1>Cost analysis</h1>")
    parts.append(
        f"<p>Cost model {model.version}, offset {model.offset_bps} bps; {model.residuals} of {model.needed} "
        "residuals since its last move.</p>"
    )
    parts.append(_table("Parents", document.parents))
    if any(row.shortfall is not None for row in document.parents):
        parts.append(_picture(parts_png(document.parents), "Implementation shortfall by part"))
    for row in document.parents[-MAX_PICTURES:]:
        parent = facts.book.parents[int(row.id)]
        parts.append(_picture(parent_png(facts, parent), f"Parent {row.id}"))
        parts.append(_split(row))
    parts.append(_table("Single orders", document.singles))
    return "\n".join(parts) + "\n"


def _table(title: str, rows: list[CostRow]) -> str:
    if not rows:
        return f"<h2>{title}</h2><p>none</p>"
    head = "".join(f"<th>{name}</th>" for _, name in COLUMNS)
    lines = [
        "<tr>" + "".join(f"<td>{_cell(getattr(row, field))}</td>" for field, _ in COLUMNS) + "</tr>"
        for row in rows
    ]
    return f"<h2>{title}</h2><table><tr>{head}</tr>{''.join(lines)}</table>"


def _split(row: CostRow) -> str:
    if row.shortfall is None:
        return ""
    cells = [("part", "quote")]
    cells += [(part, f"{getattr(row.shortfall, part):f}") for part in row.shortfall.__struct_fields__]
    cells += [(f"reversion {name}, bps", _cell(value)) for name, value in row.reversion_bps.items()]
    body = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in cells)
    return f"<table>{body}</table>"


def _cell(value: object) -> str:
    return "-" if value is None else escape(str(value))


def _picture(png: bytes, text: str) -> str:
    return f"<img alt='{escape(text)}' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"
